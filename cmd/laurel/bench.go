package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"laurel/internal/bench"
)

func benchCommand() command {
	var parts strings.Builder
	for _, p := range bench.Parts() {
		fmt.Fprintf(&parts, "  %-8s %s\n", p.Name, p.Short)
	}
	return command{
		name:  "bench",
		args:  "PART...",
		short: "measures this binary, each figure beside a yardstick",
		long: `
Starts servers of its own on free ports of 127.0.0.1, with data directories that
are removed afterwards, and prints what it finds and which targets were met. The
figures mean something as ratios within a run, and on a machine with nothing else
to do. The parts are

` + parts.String() + `
and "all". The first three run Go benchmarks and need Laurel's source tree as the
working directory.

"laurel bench yardstick" serves the bare handler that "http" compares with, for
other load tools.

  laurel bench http delay`,
		setup: func(flags *flag.FlagSet) action {
			var opts bench.Options
			flags.StringVar(&opts.Dir, "bench-dir", "", "`directory` in which data directories are made, and so the disk that is measured; that for temporary files if there is none")
			flags.BoolVar(&opts.Quick, "quick", false, "do only a little of everything: to see that it works, with figures that mean nothing")
			flags.StringVar(&opts.Profile, "profile", "", "`file` that gets a profile of the server's processor time in the part http, for go tool pprof; the number of connections is added to its name")
			return func(ctx context.Context, t terminal, args []string) error {
				if slices.Equal(args, []string{"yardstick"}) {
					return bench.ServeYardstick(ctx, t.Out)
				}
				chosen, err := chooseParts(args)
				if err != nil {
					return err
				}
				opts.Out, opts.Source = t.Out, "."
				if slices.ContainsFunc(chosen, func(p bench.Part) bool { return p.NeedsSource }) {
					if err := bench.CheckSource(opts.Source); err != nil {
						return withHint(err, "run it in the source tree, or name only parts that do not need it, such as `laurel bench http delay`")
					}
				}
				if opts.Binary, err = os.Executable(); err != nil {
					return err
				}
				err = bench.Run(ctx, chosen, opts)
				if ctx.Err() != nil {
					return errors.New("stopped before the end")
				}
				return err
			}
		},
	}
}

// chooseParts returns the parts that are named, in their own order.
func chooseParts(names []string) ([]bench.Part, error) {
	all := bench.Parts()
	known := []string{"all"}
	for _, p := range all {
		known = append(known, p.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, usage(fmt.Sprintf("there is no part %q to measure", name), suggest(name, known, "`laurel help bench` lists the parts"))
		}
	}
	return slices.DeleteFunc(all, func(p bench.Part) bool {
		return !slices.Contains(names, "all") && !slices.Contains(names, p.Name)
	}), nil
}
