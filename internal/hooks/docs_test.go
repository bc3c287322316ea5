package hooks_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"laurel/client"
	"laurel/internal/hooks"
	"laurel/internal/leaderboard"
)

// block returns the only piece of code in a language that docs/hooks.md has.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```"+language+"\n")
	if len(parts) != 2 {
		t.Fatalf("docs/hooks.md has %d pieces of %s, want 1", len(parts)-1, language)
	}
	code, _, _ := strings.Cut(parts[1], "```")
	return code
}

// The code for receivers in docs/hooks.md takes what the server sends, and nothing else.
func TestReceiversOfTheDocumentation(t *testing.T) {
	w := newWorld(t)
	signed := newRaw(t)
	hook := hooks.Hook{Name: "all", URL: signed.URL, Events: []hooks.Kind{hooks.NewLeader}, Secrets: []string{"another secret of the hook", secret}}
	h, _ := w.hooks(hook)
	w.create(leaderboard.Board{ID: "race"})
	w.submit("race", "ålice <b>", "1")
	w.show(h, "race")
	w.submit("race", "bob", "2")
	w.show(h, "race")
	d := signed.next()

	receivers := map[string]struct{ command, main string }{
		"js": {"node", `
const [secret, header, file] = process.argv.slice(2);
console.log(verify(secret, header, require("node:fs").readFileSync(file)));
`},
		"python": {"python3", `
import sys
print(str(verify(sys.argv[1], sys.argv[2], open(sys.argv[3], "rb").read())).lower())
`},
	}
	run := 0
	for language, r := range receivers {
		code := block(t, language) // it is there, whether or not it can be run here
		command, err := exec.LookPath(r.command)
		if err != nil {
			t.Logf("there is no %s on this machine", r.command)
			continue
		}
		run++
		dir := t.TempDir()
		program := filepath.Join(dir, "receiver."+map[string]string{"js": "cjs", "python": "py"}[language])
		write(t, program, code+r.main)
		for _, c := range []struct{ name, secret, header, body, want string }{
			{"what was sent", secret, d.signature, d.body, "true"},
			{"another secret", "0123456789abcdeg", d.signature, d.body, "false"},
			{"another body", secret, d.signature, d.body + " ", "false"},
			{"another time", secret, "t=1764000000" + d.signature[strings.Index(d.signature, ","):], d.body, "false"},
			{"no time", secret, d.signature[strings.Index(d.signature, ",")+1:], d.body, "false"},
			{"no signature", secret, d.signature[:strings.Index(d.signature, ",")], d.body, "false"},
			{"nothing", secret, "", d.body, "false"},
			{"an empty signature", secret, d.signature[:strings.Index(d.signature, ",")] + ",v1=,v1", d.body, "false"},
		} {
			file := filepath.Join(dir, "body")
			write(t, file, c.body)
			out, err := exec.CommandContext(t.Context(), command, program, c.secret, c.header, file).CombinedOutput()
			if got := strings.TrimSpace(string(out)); got != c.want || err != nil {
				t.Errorf("%s, %s: %s, %v, want %s", language, c.name, got, err, c.want)
			}
			if verr := client.VerifyHook(c.header, []byte(c.body), time.Hour, c.secret); (verr == nil) != (c.want == "true") {
				t.Errorf("VerifyHook, %s: %v, want %s", c.name, verr, c.want)
			}
		}
	}
	if run == 0 {
		t.Error("nothing could be run: there is neither Node nor Python")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
