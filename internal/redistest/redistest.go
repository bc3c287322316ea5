// Package redistest runs real Redis servers for tests, on loopback, in temporary
// directories, and ends them with the test. It needs Debian's redis-server.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/redisconn"
)

// patience is how long something that should happen soon may take.
const patience = 20 * time.Second

// Option is a setting of a server.
type Option func(*Server)

// Password makes the server ask for a password.
func Password(password string) Option {
	return func(s *Server) {
		s.password = password
		s.args = append(s.args, "--requirepass", password, "--masterauth", password)
	}
}

// AppendOnly makes the server write every command to a file and sync it, so that
// Restart has all of them.
func AppendOnly() Option { return Args("--appendonly", "yes", "--appendfsync", "always") }

// Args are more arguments of redis-server.
func Args(args ...string) Option {
	return func(s *Server) { s.args = append(s.args, args...) }
}

// Server is a redis-server.
type Server struct {
	dir      string
	addr     string
	password string
	args     []string

	mu  sync.Mutex
	run *process // guarded by mu; the last one
}

// process is a running redis-server, or one that has ended.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has

	mu  sync.Mutex
	out bytes.Buffer // guarded by mu
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Start starts a server. Nothing of it is left when the test ends.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s := &Server{dir: tb.TempDir()}
	for _, o := range opts {
		o(s)
	}
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			tb.Logf("redis at %s said:\n%s", s.addr, s.output())
		}
	})
	// A port that is free now may be taken a moment later; then another one will do.
	for range 10 {
		s.addr = freeAddress(tb)
		if s.start(tb) {
			return s
		}
	}
	tb.Fatalf("redis-server does not start: %s", s.output())
	return nil
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the process and waits until it answers; false means that it ended instead.
func (s *Server) start(tb testing.TB) bool {
	tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Fatalf("redis-server is missing: `scripts/packages redis-server` installs it on Debian")
	}
	host, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--daemonize", "no", "--logfile", ""}, s.args...)
	p := &process{cmd: exec.CommandContext(context.Background(), path, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed cleans nothing up
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start redis-server: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // that it ended is all there is to know
		close(p.ended)
	}()
	s.mu.Lock()
	s.run = p
	s.mu.Unlock()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-p.ended:
			return false
		default:
		}
		if s.answers() {
			return true
		}
		<-time.After(2 * time.Millisecond) // a process tells nobody when it listens
	}
	tb.Fatalf("redis-server at %s does not answer", s.addr)
	return false
}

// answers reports whether the server has loaded its data and answers.
func (s *Server) answers() bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", s.addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 128)
	n, _ := conn.Read(answer)
	return bytes.HasPrefix(answer[:n], []byte("+PONG")) || bytes.HasPrefix(answer[:n], []byte("-NOAUTH"))
}

func (s *Server) output() string {
	p := s.process()
	if p == nil {
		return "nothing"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// Addr returns the server's address, HOST:PORT.
func (s *Server) Addr() string { return s.addr }

// URL returns the server's URL, for redisconn.
func (s *Server) URL() string {
	if s.password != "" {
		return fmt.Sprintf("redis://%s@%s", url.UserPassword("", s.password), s.addr)
	}
	return "redis://" + s.addr
}

// Client returns a client, which is closed with the test.
func (s *Server) Client(tb testing.TB) rueidis.Client {
	tb.Helper()
	return client(tb, s.URL())
}

func client(tb testing.TB, address string) rueidis.Client {
	tb.Helper()
	config, err := redisconn.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := config.Dial()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// Kill ends the process as kill -9 does, if it runs.
func (s *Server) Kill() {
	if p := s.process(); p != nil {
		_ = p.cmd.Process.Kill() // fails if it has ended
		<-p.ended
	}
}

// Pause stops the process without ending it: connections stay, and nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	if p := s.process(); p != nil {
		_ = p.cmd.Process.Signal(sig) // fails if it has ended
	}
}

// Restart kills the server, if it runs, and starts it with what it has on disk.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	if !s.start(tb) {
		tb.Fatalf("redis-server does not start again: %s", s.output())
	}
}

// RestartEmpty kills the server, if it runs, and starts it without data.
func (s *Server) RestartEmpty(tb testing.TB) {
	tb.Helper()
	s.Kill()
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			tb.Fatal(err)
		}
	}
	s.Restart(tb)
}
