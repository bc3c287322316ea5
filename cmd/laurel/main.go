// Laurel is a real-time leaderboard server, with the tools around it.
// `laurel help` tells what it can do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

// version is set by the linker; a build without it says what Go knows.
var version = ""

func main() {
	os.Exit(run(os.Args[1:], terminal{Out: os.Stdout, Err: os.Stderr, Environ: os.Environ()}))
}

// terminal is where a command was started.
type terminal struct {
	Out, Err io.Writer
	Environ  []string
	Sections sections // of the configuration file
}

// command is one subcommand. Its file declares it; commands lists it.
type command struct {
	name  string
	args  string // what follows the options, for the help; at its end, ... is one or more, and brackets are one or none
	short string // one line of `laurel help`
	long  string // the rest of `laurel help NAME`

	// setup declares the options and returns what runs when they are read.
	setup func(*flag.FlagSet) action
}

// action runs a subcommand with what follows its options. The context ends with
// the first SIGINT or SIGTERM.
type action func(ctx context.Context, t terminal, args []string) error

// commands are in the order of `laurel help`.
func commands() []command {
	return []command{
		demoCommand(),
		serveCommand(),
		submitCommand(),
		topCommand(),
		rankCommand(),
		memberCommand(),
		boardCommand(),
		watchCommand(),
		seasonsCommand(),
		endSeasonCommand(),
		simCommand(),
		importCommand(),
		exportCommand(),
		copyCommand(),
		benchCommand(),
		versionCommand(),
	}
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func run(args []string, t terminal) int {
	err := dispatch(args, t)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(t.Err, "laurel: %v\n", err)
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(t.Err, "hint: %s\n", hint)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}

func dispatch(args []string, t terminal) error {
	all := commands()
	if len(args) == 0 {
		return usage("a command is missing", everyCommand)
	}
	name, args := args[0], args[1:]
	if isHelp(name) {
		return help(t.Out, all, args)
	}
	if name == "-version" || name == "--version" {
		name = "version"
	}
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return usage(fmt.Sprintf("unknown command %q", name), suggest(name, append(names(all), "help"), everyCommand))
	}
	cmd := all[i]
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	act := cmd.setup(flags)
	rest, more, err := configure(flags, args, t.Environ, optionNames(all))
	if errors.Is(err, flag.ErrHelp) {
		return help(t.Out, all, []string{cmd.name})
	}
	if err != nil {
		return err
	}
	if want := arguments(cmd.args); !fits(len(rest), want) {
		return usage(fmt.Sprintf("%s takes %s, not %d arguments", cmd.name, describe(want), len(rest)), "`laurel help "+cmd.name+"` has an example")
	}

	t.Sections = more
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// When the first signal has come, the next one has its usual effect: it ends
	// the process at once.
	context.AfterFunc(ctx, stop)
	return act(ctx, t, rest)
}

// fits reports whether so many arguments are those that a command takes.
func fits(n int, want []string) bool {
	if n == len(want) || len(want) == 0 {
		return n == len(want)
	}
	last := want[len(want)-1]
	return n > len(want) && strings.HasSuffix(last, "...") || n == len(want)-1 && strings.HasPrefix(last, "[")
}

func isHelp(arg string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, arg)
}

func names(all []command) []string {
	list := make([]string, len(all))
	for i, c := range all {
		list[i] = c.name
	}
	return list
}

// usageError is a mistake in how a command was written.
type usageError struct{ message, hint string }

func (e *usageError) Error() string { return e.message }

func usage(message, hint string) error { return &usageError{message, hint} }

// hintError is an error with a way out.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func withHint(err error, hint string) error { return &hintError{err, hint} }

func hintOf(err error) string {
	if e, ok := errors.AsType[*hintError](err); ok {
		return e.hint
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		return e.hint
	}
	return ""
}

// buildVersion is what was linked in, or else the version control's name for
// what was built.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}
