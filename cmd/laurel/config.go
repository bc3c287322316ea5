package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An option has one name in three places: --shutdown-timeout on the command
// line, LAUREL_SHUTDOWN_TIMEOUT in the environment, and shutdown-timeout in the
// YAML file that --config names. The command line counts more than the
// environment, which counts more than the file, which counts more than the
// default. What no command knows is an error wherever it stands, because it is
// a typo; what only another command knows is left to that one in the
// environment and the file, which commands share. The file may have sections
// beside options; see sectionNames.

const envPrefix = "LAUREL_"

// otherVariables begin like ours and belong to `make` and the page's tools.
var otherVariables = []string{"LAUREL_BIN", "LAUREL_SOAK", "LAUREL_URL"}

func envName(option string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// optionNames returns the name of every option of every command, ordered.
func optionNames(all []command) []string {
	list := []string{configOption}
	for _, cmd := range all {
		flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
		cmd.setup(flags)
		flags.VisitAll(func(f *flag.Flag) { list = append(list, f.Name) })
	}
	slices.Sort(list)
	return slices.Compact(list)
}

const configOption = "config"

// configure sets the options of a command from the three places and returns
// the arguments that are not options, and what the file has beside options.
// known are the options of all commands.
func configure(flags *flag.FlagSet, args, environ, known []string) (rest []string, more sections, err error) {
	file := flags.String(configOption, "", "`file` in YAML with options of this and other commands")
	given, rest, err := parseArgs(flags, args)
	if err != nil {
		return nil, more, err
	}
	fromEnv, err := parseEnv(environ, known)
	if err != nil {
		return nil, more, err
	}
	for _, settings := range [][]setting{fromEnv, given} {
		for _, s := range settings {
			if s.option == configOption {
				*file = s.value
			}
		}
	}
	var fromFile []setting
	if *file != "" {
		if fromFile, more, err = parseFile(*file, known); err != nil {
			return nil, more, err
		}
	}
	for _, s := range slices.Concat(fromFile, fromEnv, given) {
		if flags.Lookup(s.option) == nil {
			continue // another command's
		}
		if err := flags.Set(s.option, s.value); err != nil {
			return nil, more, usage(fmt.Sprintf("%s is %q: %s", s.source, s.value, reason(err)), "`laurel help "+flags.Name()+"` tells what it can be")
		}
	}
	return rest, more, nil
}

// setting is an option and its value as they were written somewhere.
type setting struct {
	option, value string
	source        string // how it is called there
}

// parseArgs tells options from arguments. Unlike the flag package it takes
// options behind arguments too, and negative numbers for arguments.
func parseArgs(flags *flag.FlagSet, args []string) (given []setting, rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			return given, append(rest, args...), nil
		}
		name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
		if name == arg || name == "" || name[0] >= '0' && name[0] <= '9' || name[0] == '.' {
			rest = append(rest, arg)
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		if name == "h" || name == "help" {
			return nil, nil, flag.ErrHelp
		}
		f := flags.Lookup(name)
		if f == nil {
			var own []string
			flags.VisitAll(func(f *flag.Flag) { own = append(own, "--"+f.Name) })
			return nil, nil, usage(fmt.Sprintf("%s has no option --%s", flags.Name(), name), suggest("--"+name, own, "`laurel help "+flags.Name()+"` lists what there is"))
		}
		if !hasValue {
			if boolean, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && boolean.IsBoolFlag() {
				value = "true"
			} else if len(args) == 0 {
				return nil, nil, usage(fmt.Sprintf("option --%s needs a value", name), "`laurel help "+flags.Name()+"` tells what it can be")
			} else {
				value, args = args[0], args[1:]
			}
		}
		given = append(given, setting{name, value, "--" + name})
	}
	return given, rest, nil
}

func parseEnv(environ, known []string) ([]setting, error) {
	var settings []setting
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(otherVariables, name) {
			continue
		}
		i := slices.IndexFunc(known, func(option string) bool { return envName(option) == name })
		if i < 0 {
			valid := make([]string, len(known))
			for i, option := range known {
				valid[i] = envName(option)
			}
			return nil, usage(fmt.Sprintf("the environment has %s, which is no option", name), suggest(name, valid, everyOption))
		}
		settings = append(settings, setting{known[i], value, name})
	}
	return settings, nil
}

// parseFile reads the options of a file, and what it has beside them.
func parseFile(path string, known []string) (settings []setting, more sections, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, more, fmt.Errorf("configuration: %w", err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, more, nil // empty
	} else if err != nil {
		return nil, more, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, more, usage(fmt.Sprintf("configuration %s has more than one document", path), "")
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, more, usage(fmt.Sprintf("configuration %s is not a list of `option: value` lines", path), "")
	}
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		place := fmt.Sprintf("%s:%d", path, key.Line)
		if key.Value == configOption {
			return nil, more, usage(place+": a configuration cannot name another one", "")
		}
		isSection := slices.Contains(sectionNames, key.Value)
		if !isSection && !slices.Contains(known, key.Value) {
			return nil, more, usage(fmt.Sprintf("%s: %q is no option", place, key.Value), suggest(key.Value, slices.Concat(known, sectionNames), everyOption))
		}
		if seen[key.Value] {
			return nil, more, usage(fmt.Sprintf("%s: %s is there twice", place, key.Value), "")
		}
		seen[key.Value] = true
		if isSection {
			continue
		}
		value, ok := text(node)
		if !ok {
			return nil, more, usage(fmt.Sprintf("%s: %s must be one value, or a list of them", place, key.Value), "")
		}
		settings = append(settings, setting{key.Value, value, place + ": " + key.Value})
	}
	return settings, sections{path, root}, nil
}

// text returns a value as one would write it on the command line.
func text(node *yaml.Node) (string, bool) {
	switch node.Kind {
	case yaml.AliasNode:
		return text(node.Alias)
	case yaml.ScalarNode:
		return node.Value, node.ShortTag() != "!!null"
	case yaml.SequenceNode:
		parts := make([]string, len(node.Content))
		for i, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", false
			}
			parts[i] = item.Value
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// reason takes from an error of flag.Value.Set what the flag package would say.
func reason(err error) string {
	if text := err.Error(); text != "parse error" {
		return text
	}
	return "it cannot be read"
}

// list is the value of an option that has several, separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = nil
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}

// choice is the value of an option that is one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.of, ", "))
	}
	c.value = s
	return nil
}

// oneOf declares an option that is one of a few words.
func oneOf(flags *flag.FlagSet, name, value, help string, of ...string) *choice {
	c := &choice{value, of}
	flags.Var(c, name, help+": `"+strings.Join(of, "|")+"`")
	return c
}

const everyOption = "`laurel help COMMAND` lists the options of a command"

// suggest is a hint to the nearest of the valid names, or the other hint if none is near.
func suggest(name string, valid []string, otherwise string) string {
	nearest, distance := "", len(name)/2+1
	for _, v := range valid {
		if d := editDistance(strings.ToLower(name), strings.ToLower(v)); d < distance {
			nearest, distance = v, d
		}
	}
	if nearest == "" {
		return otherwise
	}
	return "did you mean " + nearest + "?"
}

// editDistance is how many letters must be put in, taken out or replaced to
// make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
