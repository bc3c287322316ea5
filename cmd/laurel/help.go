package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

const everyCommand = "`laurel help` lists the commands"

func help(out io.Writer, all []command, args []string) error {
	if len(args) == 0 {
		overview(out, all)
		return nil
	}
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return usage(fmt.Sprintf("unknown command %q", args[0]), suggest(args[0], names(all), everyCommand))
	}
	details(out, all[i])
	return nil
}

func overview(out io.Writer, all []command) {
	fmt.Fprint(out, `Laurel is a real-time leaderboard server: scores go in over HTTP, and everyone
who watches sees the table move.

Usage: laurel COMMAND [options]

`)
	for _, cmd := range all {
		fmt.Fprintf(out, "  %-8s %s\n", cmd.name, cmd.short)
	}
	fmt.Fprint(out, `
`+"`laurel help COMMAND`"+` explains a command and its options.

Each option can be given in three places, of which the first counts most:
--shutdown-timeout 5s on the command line, LAUREL_SHUTDOWN_TIMEOUT=5s in the
environment, and shutdown-timeout: 5s in the YAML file that --config names.
Unknown names are errors in all three. Lists are separated by commas, or are
lists in YAML. Durations are written like 250ms, 10s or 1h30m.

Exit status: 0 if all went well, 1 if not, 2 if the command was not understood.
`)
}

func details(out io.Writer, cmd command) {
	line := "laurel " + cmd.name
	if cmd.args != "" {
		line += " " + cmd.args
	}
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	cmd.setup(flags)
	hasOptions := false
	flags.VisitAll(func(*flag.Flag) { hasOptions = true })
	if hasOptions {
		line += " [options]"
	}
	fmt.Fprintf(out, "%s: %s\n\nUsage: %s\n", cmd.name, cmd.short, line)
	if cmd.long != "" {
		fmt.Fprintf(out, "\n%s\n", strings.TrimSpace(cmd.long))
	}
	if !hasOptions {
		return
	}
	flags.String(configOption, "", "`file` in YAML with options of this and other commands")
	fmt.Fprintf(out, "\nOptions:\n")
	flags.VisitAll(func(f *flag.Flag) {
		placeholder, text := flag.UnquoteUsage(f)
		if placeholder != "" {
			placeholder = " " + strings.ToUpper(placeholder)
			if _, ok := f.Value.(*choice); ok {
				placeholder = strings.ToLower(placeholder)
				text = strings.TrimSuffix(text, ": "+strings.TrimSpace(placeholder))
			}
		}
		if f.DefValue != "" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(out, "  --%s%s\n", f.Name, placeholder)
		for _, part := range wrap(text, 72) {
			fmt.Fprintf(out, "      %s\n", part)
		}
		fmt.Fprintf(out, "      %s\n", envName(f.Name))
	})
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// arguments are the words of a command's args.
func arguments(args string) []string { return strings.Fields(args) }

func describe(args []string) string {
	if len(args) == 0 {
		return "no arguments"
	}
	return strings.Join(args, " ")
}
