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
//	end NAME [SIGNAL]    sends a signal, SIGTERM if none is named, waits for the end, and leaves the output in NAME.out and NAME.err
//	watch NAME args…     starts `laurel watch args…`
//	await NAME REGEXP    waits for a line of its output
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

	mu       sync.Mutex
	changed  *sync.Cond      // with mu
	out, err strings.Builder // guarded by mu
	open     int             // guarded by mu: pipes that may bring more
	next     int             // guarded by mu: where await goes on in out
}

// patience is how long a script waits for something that must come.
const patience = 30 * time.Second

func launch(ts *testscript.TestScript, name string, args ...string) *child {
	path, err := exec.LookPath("laurel")
	ts.Check(err)
	c := &child{cmd: exec.Command(path, args...), open: 2} //nolint:noctx // it ends with its script
	c.changed = sync.NewCond(&c.mu)
	c.cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR"} {
		c.cmd.Env = append(c.cmd.Env, name+"="+ts.Getenv(name))
	}
	out, err := c.cmd.StdoutPipe()
	ts.Check(err)
	errs, err := c.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(c.cmd.Start())
	c.output.Go(func() { c.collect(out, &c.out) })
	c.output.Go(func() { c.collect(errs, &c.err) })
	ts.Value(childrenKey{}).(children)[name] = c
	return c
}

func (c *child) collect(from io.Reader, to *strings.Builder) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c.mu.Lock()
		to.WriteString(lines.Text() + "\n")
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
		rest := c.out.String()[c.next:]
		if where := re.FindStringIndex(rest); where != nil {
			c.next += where[1]
			return re.FindStringSubmatch(rest), nil
		}
		if late || c.open == 0 {
			return nil, fmt.Errorf("it has not printed %s, but:\n%s%s", re, c.out.String(), c.err.String())
		}
		c.changed.Wait()
	}
}

func (c *child) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String() + c.err.String()
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME args…")
	}
	c := launch(ts, args[0], args[1:]...)
	match, err := c.await(regexp.MustCompile(`listening on (http://\S+)`))
	ts.Check(err)
	name := strings.ToUpper(args[0])
	ts.Setenv(name+"_URL", match[1])
	ts.Setenv(name+"_PID", fmt.Sprint(c.cmd.Process.Pid))
	if key := regexp.MustCompile(`laurel_[a-z2-7]+`).FindString(c.all()); key != "" {
		ts.Setenv(name+"_KEY", key)
	}
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"": syscall.SIGTERM, "SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL}
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: end NAME [SIGNAL]")
	}
	signal := signals[strings.Join(args[1:], "")]
	all := ts.Value(childrenKey{}).(children)
	c := all[args[0]]
	if c == nil || signal == 0 {
		ts.Fatalf("no server %q or no such signal", args[0])
	}
	delete(all, args[0])
	ts.Check(c.cmd.Process.Signal(signal))
	c.output.Wait()
	err := c.cmd.Wait()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && signal == syscall.SIGKILL && !failed.Exited() {
		err = nil
	}
	if err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, c.all())
	}
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), args[0]+".out"), []byte(c.out.String()), 0o600))
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), args[0]+".err"), []byte(c.err.String()), 0o600))
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
	c := ts.Value(childrenKey{}).(children)[args[0]]
	if c == nil {
		ts.Fatalf("there is no %q", args[0])
	}
	_, err := c.await(regexp.MustCompile(args[1]))
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
