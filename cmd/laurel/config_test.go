package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testOptions are one option of each kind.
type testOptions struct {
	Listen  string
	Timeout time.Duration
	Origins list
	Create  bool
	Format  string
}

// read configures a command with such options and returns them and its arguments.
func read(t *testing.T, args, environ []string, yaml string) (testOptions, []string, error) {
	t.Helper()
	var o testOptions
	flags := flag.NewFlagSet("try", flag.ContinueOnError)
	flags.StringVar(&o.Listen, "listen", "default", "")
	flags.DurationVar(&o.Timeout, "shutdown-timeout", time.Second, "")
	flags.Var(&o.Origins, "origins", "")
	flags.BoolVar(&o.Create, "auto-create", true, "")
	format := oneOf(flags, "log-format", "text", "", "text", "json")
	if yaml != "" {
		path := filepath.Join(t.TempDir(), "laurel.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, "LAUREL_CONFIG="+path)
	}
	known := []string{"auto-create", "config", "limit", "listen", "log-format", "origins", "shutdown-timeout"}
	rest, _, err := configure(flags, args, environ, known)
	o.Format = format.value
	return o, rest, err
}

func TestPrecedence(t *testing.T) {
	const inFile = "listen: file"
	inEnv := []string{"LAUREL_LISTEN=env", "HOME=/"}
	inArgs := []string{"--listen", "flag"}
	for _, c := range []struct {
		name          string
		args, environ []string
		yaml, want    string
	}{
		{name: "nothing", want: "default"},
		{name: "file", yaml: inFile, want: "file"},
		{name: "environment", environ: inEnv, want: "env"},
		{name: "flag", args: inArgs, want: "flag"},
		{name: "environment over file", environ: inEnv, yaml: inFile, want: "env"},
		{name: "flag over file", args: inArgs, yaml: inFile, want: "flag"},
		{name: "flag over environment", args: inArgs, environ: inEnv, want: "flag"},
		{name: "flag over both", args: inArgs, environ: inEnv, yaml: inFile, want: "flag"},
		{name: "empty in the environment", environ: []string{"LAUREL_LISTEN="}, yaml: inFile, want: ""},
		{name: "the later flag", args: []string{"-listen=a", "--listen=b"}, want: "b"},
	} {
		o, _, err := read(t, c.args, c.environ, c.yaml)
		if err != nil || o.Listen != c.want {
			t.Errorf("%s: listen is %q (%v), want %q", c.name, o.Listen, err, c.want)
		}
	}
}

func TestConfigOnTheCommandLineCountsMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(path, []byte("listen: other"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, _, err := read(t, []string{"--config", path}, nil, "listen: file")
	if err != nil || o.Listen != "other" {
		t.Errorf("listen is %q (%v), want other", o.Listen, err)
	}
}

func TestEveryKindInEveryPlace(t *testing.T) {
	want := testOptions{Listen: ":8000", Timeout: 90 * time.Second, Origins: list{"https://a", "https://b"}, Create: false, Format: "json"}
	for name, in := range map[string]struct {
		args, environ []string
		yaml          string
	}{
		"flags": {args: strings.Fields("--listen :8000 -shutdown-timeout 1m30s --origins https://a,https://b --auto-create=false --log-format=json")},
		"environment": {environ: []string{
			"LAUREL_LISTEN=:8000", "LAUREL_SHUTDOWN_TIMEOUT=90s", "LAUREL_ORIGINS=https://a, https://b", "LAUREL_AUTO_CREATE=false", "LAUREL_LOG_FORMAT=json",
		}},
		"file":              {yaml: "listen: :8000\nshutdown-timeout: 90s\norigins:\n  - https://a\n  - https://b\nauto-create: false\nlog-format: json\n"},
		"file, in one line": {yaml: "{listen: ':8000', shutdown-timeout: 90s, origins: 'https://a,https://b', auto-create: false, log-format: json}"},
	} {
		got, rest, err := read(t, in.args, in.environ, in.yaml)
		if diff := cmp.Diff(want, got); diff != "" || err != nil || len(rest) > 0 {
			t.Errorf("%s: %v, arguments %q\n%s", name, err, rest, diff)
		}
	}
}

func TestArgumentsAmongOptions(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"race alice 5 --listen x", "race alice 5"},
		{"--listen x race alice -5", "race alice -5"},
		{"race -.5 --auto-create alice", "race -.5 alice"},
		{"race -- --listen -x", "race --listen -x"},
		{"-", "-"},
	} {
		_, rest, err := read(t, strings.Fields(c.args), nil, "")
		if err != nil || !slices.Equal(rest, strings.Fields(c.want)) {
			t.Errorf("%q has the arguments %q (%v), want %q", c.args, rest, err, c.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name          string
		args, environ []string
		yaml          string
		message, hint string
	}{
		{name: "flag", args: []string{"--lisen", "x"}, message: "try has no option --lisen", hint: "did you mean --listen?"},
		{name: "flag of another command", args: []string{"--limit", "x"}, message: "try has no option --limit", hint: "`laurel help try` lists"},
		{name: "variable", environ: []string{"LAUREL_LISTNE=x"}, message: "the environment has LAUREL_LISTNE", hint: "did you mean LAUREL_LISTEN?"},
		{name: "key", yaml: "a: 1", message: `laurel.yaml:1: "a" is no option`, hint: "`laurel help COMMAND` lists"},
		{name: "config in a file", yaml: "\nconfig: other.yaml", message: "laurel.yaml:2: a configuration cannot name another one"},
		{name: "key with an underscore", yaml: "\nshutdown_timeout: 1s", message: `laurel.yaml:2: "shutdown_timeout" is no option`, hint: "did you mean shutdown-timeout?"},
		{name: "no value", args: []string{"--listen"}, message: "option --listen needs a value"},
		{name: "bad value of a flag", args: []string{"--shutdown-timeout", "soon"}, message: `--shutdown-timeout is "soon"`},
		{name: "bad value of a variable", environ: []string{"LAUREL_AUTO_CREATE=perhaps"}, message: `LAUREL_AUTO_CREATE is "perhaps"`},
		{name: "bad value in a file", yaml: "log-format: xml", message: `laurel.yaml:1: log-format is "xml": it must be one of text, json`},
		{name: "nested", yaml: "listen:\n  host: x", message: "laurel.yaml:1: listen must be one value"},
		{name: "null", yaml: "listen:", message: "laurel.yaml:1: listen must be one value"},
		{name: "nested list", yaml: "origins: [[a]]", message: "laurel.yaml:1: origins must be one value, or a list"},
		{name: "twice", yaml: "listen: a\nlisten: b", message: "laurel.yaml:2: listen is there twice"},
		{name: "two documents", yaml: "listen: a\n---\nlisten: b", message: "more than one document"},
		{name: "a list", yaml: "- a", message: "is not a list of"},
		{name: "not YAML", yaml: "{", message: "laurel.yaml: yaml:"},
		{name: "no such file", args: []string{"--config", "/nowhere.yaml"}, message: "configuration: open /nowhere.yaml: no such file"},
	} {
		_, _, err := read(t, c.args, c.environ, c.yaml)
		if err == nil || !strings.Contains(err.Error(), c.message) || !strings.Contains(hintOf(err), c.hint) {
			t.Errorf("%s: error is %q with the hint %q, want %q and %q", c.name, err, hintOf(err), c.message, c.hint)
		}
	}
}

func TestOptionsOfOthersAreLeftToThem(t *testing.T) {
	environ := []string{"LAUREL_LIMIT=no number", "LAUREL_BIN=/bin/laurel"}
	if _, _, err := read(t, nil, environ, "limit: no number"); err != nil {
		t.Errorf("options of another command are an error: %v", err)
	}
}

func TestHelpIsAskedFor(t *testing.T) {
	for _, arg := range []string{"-h", "--help", "-help"} {
		if _, _, err := read(t, []string{"race", arg}, nil, ""); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: error is %v, want that help was asked for", arg, err)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"listen", "lisen", 1}, {"ab", "ba", 2}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("distance of %q and %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
