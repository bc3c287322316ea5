package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"laurel": main})
}

// TestScripts runs the command as its users do. Beside what testscript brings,
// the scripts have these commands, where NAME stands for a server:
//
//	start NAME args…     starts `laurel args…` and waits until it listens; sets $NAME_URL, $NAME_PID and, if one was printed, $NAME_KEY
//	send NAME SIGNAL     sends a signal
//	end NAME [SIGNAL]    sends one, SIGTERM if none is named, waits for a clean end, and leaves the output in NAME.out and NAME.err;
//	                     SIGKILL, and with ! any signal, must end it without its doing
//	watch NAME args…     starts `laurel watch args…`
//	await NAME REGEXP    waits for something that a server or a watch prints
//	busy VARIABLE        sets $VARIABLE to an address that somebody listens on
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Values[childrenKey{}] = children{}
			env.Defer(func() {
				for _, c := range env.Values[childrenKey{}].(children) {
					_ = c.cmd.Process.Kill() // what a failed script left behind
					c.output.Wait()
					_ = c.cmd.Wait()
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start,
			"send":  send,
			"end":   end,
			"watch": watch,
			"await": await,
			"busy":  busy,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

type childrenKey struct{}

type children map[string]*child

// child is a process that runs beside its script.
type child struct {
	cmd    *exec.Cmd
	output sync.WaitGroup

	mu            sync.Mutex
	changed       *sync.Cond      // with mu
	out, err, all strings.Builder // guarded by mu
	open          int             // guarded by mu: pipes that may bring more
	next          int             // guarded by mu: where await goes on in all
}

// patience is how long a script waits for something that must come.
const patience = 30 * time.Second

func launch(ts *testscript.TestScript, name string, args ...string) *child {
	var environ []string
	for _, name := range inherited {
		environ = append(environ, name+"="+ts.Getenv(name))
	}
	c, err := begin(ts.Getenv("WORK"), environ, args...)
	ts.Check(err)
	ts.Value(childrenKey{}).(children)[name] = c
	return c
}

// inherited are the variables that a child has of its parent's environment.
var inherited = []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR"}

// begin starts `laurel args…`.
func begin(dir string, environ []string, args ...string) (*child, error) {
	path, err := exec.LookPath("laurel")
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(path, args...), open: 2} //nolint:noctx // it ends with its test
	c.changed = sync.NewCond(&c.mu)
	c.cmd.Dir, c.cmd.Env = dir, environ
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.output.Go(func() { c.collect(out, &c.out) })
	c.output.Go(func() { c.collect(errs, &c.err) })
	return c, nil
}

func (c *child) collect(from io.Reader, to *strings.Builder) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c.mu.Lock()
		to.WriteString(lines.Text() + "\n")
		c.all.WriteString(lines.Text() + "\n")
		c.mu.Unlock()
		c.changed.Broadcast()
	}
	c.mu.Lock()
	c.open--
	c.mu.Unlock()
	c.changed.Broadcast()
}

// await returns the first match of re in what the child prints after what an
// earlier call has matched.
func (c *child) await(re *regexp.Regexp) ([]string, error) {
	late := false
	timer := time.AfterFunc(patience, func() {
		c.mu.Lock()
		late = true
		c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		rest := c.all.String()[c.next:]
		if where := re.FindStringIndex(rest); where != nil {
			c.next += where[1]
			return re.FindStringSubmatch(rest), nil
		}
		if late || c.open == 0 {
			return nil, fmt.Errorf("it has not printed %s, but:\n%s", re, c.all.String())
		}
		c.changed.Wait()
	}
}

func (c *child) printed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all.String()
}

var listening = regexp.MustCompile(`listening on (http://\S+)`)

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME args…")
	}
	c := launch(ts, args[0], args[1:]...)
	match, err := c.await(listening)
	ts.Check(err)
	name := strings.ToUpper(args[0])
	ts.Setenv(name+"_URL", match[1])
	ts.Setenv(name+"_PID", fmt.Sprint(c.cmd.Process.Pid))
	if key := regexp.MustCompile(`laurel_[a-z2-7]+`).FindString(c.printed()); key != "" {
		ts.Setenv(name+"_KEY", key)
	}
}

var signals = map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL}

func send(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: send NAME SIGNAL")
	}
	ts.Check(running(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 1 {
		args = append(args, "SIGTERM")
	}
	if len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: end NAME [SIGNAL]")
	}
	name, signal := args[0], signals[args[1]]
	c := running(ts, name)
	delete(ts.Value(childrenKey{}).(children), name)
	ts.Check(c.cmd.Process.Signal(signal))
	c.output.Wait()
	err := c.cmd.Wait()
	if neg || signal == syscall.SIGKILL {
		if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.Exited() {
			ts.Fatalf("%s has ended by itself (%v)\n%s", name, err, c.printed())
		}
	} else if err != nil {
		ts.Fatalf("%s: %v\n%s", name, err, c.printed())
	}
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), name+".out"), []byte(c.out.String()), 0o600))
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), name+".err"), []byte(c.err.String()), 0o600))
}

func running(ts *testscript.TestScript, name string) *child {
	c := ts.Value(childrenKey{}).(children)[name]
	if c == nil {
		ts.Fatalf("there is no %q", name)
	}
	return c
}

func watch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: watch NAME args…")
	}
	launch(ts, args[0], append([]string{"watch"}, args[1:]...)...)
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NAME REGEXP")
	}
	_, err := running(ts, args[0]).await(regexp.MustCompile(args[1]))
	ts.Check(err)
}

func busy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: busy VARIABLE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it takes no time
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}
