// Package redistest runs real Redis for tests: single servers, a master with replicas under Sentinels, and Clusters, each of its own
// processes on loopback with its files in a temporary directory. All of it is ready to be used when the function that starts it returns,
// and gone when the test ends, however it ends. A [Proxy] between a client and a server stands for the network that fails.
//
// It needs the program redis-server, which Debian has in the package of that name, and says so where it is missing. What a server has
// written is shown only when the test fails.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/redisconn"
)

const (
	loopback = "127.0.0.1"

	// patience is how long something that should happen soon may take, on a machine that has much else to do.
	patience = 30 * time.Second

	// attempts is how often other ports are tried when somebody was quicker to take them.
	attempts = 10
)

// An Option is something that a server has or asks for.
type Option func(*settings)

// settings are the same for each server of a set.
type settings struct {
	password string
	certs    *certificates
	aof      bool
	mutual   bool // clients need a certificate
	withTLS  bool
	args     []string
}

// Password makes the servers ask for a password; Sentinels ask for one too, which is another.
func Password(password string) Option { return func(s *settings) { s.password = password } }

// AppendOnly makes the servers sync each change to a file before they answer, so that a server that was killed has it after Restart.
func AppendOnly() Option { return func(s *settings) { s.aof = true } }

// TLS makes the servers speak nothing but TLS, with certificates that are made for the test.
func TLS() Option { return func(s *settings) { s.withTLS = true } }

// MutualTLS is TLS where the client, too, has to show a certificate.
func MutualTLS() Option { return func(s *settings) { s.withTLS, s.mutual = true, true } }

// Args are more arguments for redis-server.
func Args(args ...string) Option {
	return func(s *settings) { s.args = append(s.args, args...) }
}

func newSettings(tb testing.TB, opts []Option) *settings {
	tb.Helper()
	s := new(settings)
	for _, o := range opts {
		o(s)
	}
	if s.withTLS {
		s.certs = newCertificates(tb)
	}
	return s
}

// Server is a redis-server, or a Sentinel, at an address that stays the same over all restarts.
type Server struct {
	*settings
	port  int
	dir   string // of its data
	conf  string // its configuration, which the server may write to
	guard bool   // it is a Sentinel

	mu   sync.Mutex
	proc *process // guarded by mu; the last one that was started

	asking sync.Mutex
	wire   *wire // guarded by asking; ours for questions, nil until there is one
}

// Start starts a server.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	set := newSettings(tb, opts)
	for range attempts {
		s := newServer(tb, set, reserve(tb), nil)
		if s.start(tb) {
			return s
		}
	}
	tb.Fatalf("redistest: %d free ports were all taken before redis-server could listen", attempts)
	return nil
}

// newServer returns a server that can be started, with more lines in its configuration than each has.
func newServer(tb testing.TB, set *settings, port int, lines []string) *Server {
	tb.Helper()
	return prepare(tb, &Server{settings: set, port: port}, lines)
}

// newGuard is newServer for a Sentinel.
func newGuard(tb testing.TB, set *settings, port int, lines []string) *Server {
	tb.Helper()
	return prepare(tb, &Server{settings: set, port: port, guard: true}, lines)
}

func prepare(tb testing.TB, s *Server, lines []string) *Server {
	tb.Helper()
	home := tb.TempDir()
	s.dir, s.conf = filepath.Join(home, "data"), filepath.Join(home, "redis.conf")
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	text := strings.Join(append(s.configuration(), lines...), "\n") + "\n"
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			tb.Logf("redis at %s wrote:\n%s", s.Addr(), s.output())
		}
	})
	return s
}

func (s *Server) configuration() []string {
	lines := []string{
		"bind " + loopback,
		"dir " + quote(s.dir),
		"daemonize no",
	}
	if s.certs == nil {
		lines = append(lines, "port "+strconv.Itoa(s.port))
	} else {
		clients := "no"
		if s.mutual {
			clients = "yes"
		}
		lines = append(lines, "port 0", "tls-port "+strconv.Itoa(s.port), "tls-replication yes", "tls-cluster yes", "tls-auth-clients "+clients,
			"tls-ca-cert-file "+quote(s.certs.ca), "tls-cert-file "+quote(s.certs.cert), "tls-key-file "+quote(s.certs.key))
	}
	if password := s.ownPassword(); password != "" {
		lines = append(lines, "requirepass "+quote(password))
	}
	if s.guard {
		return lines
	}
	lines = append(lines,
		`save ""`,                    // only when it is told to
		"enable-debug-command local", // for a test that wants a server to be slow
		"repl-diskless-sync-delay 0",
		"shutdown-timeout 0", // a replica may be paused or gone
	)
	if s.password != "" {
		lines = append(lines, "masterauth "+quote(s.password))
	}
	if s.aof {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	return lines
}

// ownPassword is what the server itself asks for.
func (s *Server) ownPassword() string {
	if s.guard {
		return s.guardPassword()
	}
	return s.password
}

// guardPassword is what the Sentinels ask for: another one, so that nobody takes the one for the other unseen.
func (s *settings) guardPassword() string {
	if s.password == "" {
		return ""
	}
	return s.password + " of the Sentinels"
}

// quote writes s as Redis reads it in a configuration.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// start starts the process and waits until it answers. It returns false if the port was taken.
func (s *Server) start(tb testing.TB) bool {
	tb.Helper()
	args := []string{s.conf}
	if s.guard {
		args = append(args, "--sentinel")
	} else {
		args = append(args, s.args...)
	}
	p, err := startProcess(args)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		// A server that still reads its data answers -LOADING.
		if answer, err := s.do(ctx, "PING"); err == nil && answer == "PONG" {
			return true
		}
		select {
		case <-p.ended:
			if strings.Contains(p.output(), "Address already in use") {
				return false
			}
			tb.Fatalf("redistest: redis-server ended instead of listening at %s:\n%s", s.Addr(), p.output())
		case <-ctx.Done():
			tb.Fatalf("redistest: redis-server at %s does not answer after %v", s.Addr(), patience)
		case <-time.After(2 * time.Millisecond): // nobody tells when a process listens
		}
	}
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

func (s *Server) output() string {
	p := s.process()
	if p == nil {
		return "nothing, it was never started"
	}
	return p.output()
}

// Running reports whether the server's process lives, be it paused.
func (s *Server) Running() bool {
	p := s.process()
	return p != nil && p.running()
}

// Addr returns the server's address as host:port.
func (s *Server) Addr() string { return address(s.port) }

func address(port int) string { return loopback + ":" + strconv.Itoa(port) }

// URL returns what redisconn.Parse takes to reach the server.
func (s *Server) URL() string { return s.urlAt("", s.Addr(), "") }

// URLThrough returns what redisconn.Parse takes to reach the server through p.
func (s *Server) URLThrough(p *Proxy) string { return s.urlAt("", p.Addr(), "") }

func (s *settings) urlAt(form, addrs, query string) string {
	scheme, user := "redis", ""
	values := make(url.Values)
	if s.certs != nil {
		scheme = "rediss"
		values.Set("tls_ca", s.certs.ca)
		if s.mutual {
			values.Set("tls_cert", s.certs.cert)
			values.Set("tls_key", s.certs.key)
		}
	}
	if s.password != "" {
		user = url.UserPassword("", s.password).String() + "@"
	}
	if tls := values.Encode(); query == "" || tls == "" {
		query += tls
	} else {
		query += "&" + tls
	}
	if query != "" {
		query = "?" + query
	}
	return scheme + form + "://" + user + addrs + query
}

// Client returns a client with the options of redisconn, which is closed with the test.
func (s *Server) Client(tb testing.TB) rueidis.Client {
	tb.Helper()
	return client(tb, s.URL())
}

func client(tb testing.TB, rawURL string) rueidis.Client {
	tb.Helper()
	config, err := redisconn.Parse(rawURL)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	c, err := config.Dial()
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	tb.Cleanup(c.Close)
	return c
}

// Kill ends the server as kill -9 does, if it runs. Restart and RestartEmpty start it again.
func (s *Server) Kill() {
	if p := s.process(); p != nil {
		p.kill()
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.wire != nil {
		s.wire.close()
		s.wire = nil
	}
}

// Pause stops the server without ending it: it keeps its connections, takes new ones as far as the kernel does, and answers nothing. Pause
// returns when the server has stopped.
func (s *Server) Pause() {
	if p := s.process(); p != nil {
		p.pause()
	}
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	if p := s.process(); p != nil {
		p.signal(syscall.SIGCONT)
	}
}

// Restart ends the server in order, if it runs, so that it keeps its data, and starts it again. A server that was killed before has what it
// had on disk: with AppendOnly all that it had acknowledged, without it nothing.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if s.Running() {
		s.Resume()
		mode := "SAVE"
		if s.guard || s.aof {
			mode = "NOSAVE" // a Sentinel has nothing to save, and a file of changes holds all
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// The answer is the end of the connection, and anything else an error.
		if answer, err := s.do(ctx, "SHUTDOWN", mode, "FORCE"); err == nil {
			tb.Fatalf("redistest: shut down redis at %s: %v", s.Addr(), answer)
		} else if errors.As(err, new(replyError)) {
			tb.Fatalf("redistest: shut down redis at %s: %v", s.Addr(), err)
		}
		select {
		case <-s.process().ended:
		case <-ctx.Done():
			tb.Fatalf("redistest: redis at %s has not shut down after %v", s.Addr(), patience)
		}
	}
	s.again(tb)
}

// RestartEmpty kills the server, if it runs, and starts it without its data. A node of a Cluster remains that node.
func (s *Server) RestartEmpty(tb testing.TB) {
	tb.Helper()
	s.Kill()
	files, err := os.ReadDir(s.dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == nodesFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dir, f.Name())); err != nil {
			tb.Fatal(err)
		}
	}
	s.again(tb)
}

// again starts a server that has ended, at the address it had.
func (s *Server) again(tb testing.TB) {
	tb.Helper()
	s.Kill()
	for range attempts {
		if s.start(tb) {
			return
		}
	}
	tb.Fatalf("redistest: the address %s of redis-server has been taken while it was down", s.Addr())
}

// do asks the server alone, whatever it is part of.
func (s *Server) do(ctx context.Context, command ...string) (any, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.wire == nil {
		w, err := dialWire(ctx, s)
		if err != nil {
			return nil, err
		}
		s.wire = w
	}
	answer, err := s.wire.do(ctx, command...)
	if err != nil && !errors.As(err, new(replyError)) {
		s.wire.close()
		s.wire = nil
	}
	return answer, err
}

// text is do for an answer that is a text, and "" for any other.
func (s *Server) text(ctx context.Context, command ...string) string {
	answer, _ := s.do(ctx, command...) // what does not answer will be asked again
	text, _ := answer.(string)
	return text
}

// field returns what a server's INFO says of name.
func (s *Server) field(ctx context.Context, section, name string) string {
	for line := range strings.Lines(s.text(ctx, "INFO", section)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (s *Server) role(ctx context.Context) string {
	answer, _ := s.do(ctx, "ROLE")
	if fields, ok := answer.([]any); ok && len(fields) > 0 {
		role, _ := fields[0].(string)
		return role
	}
	return ""
}

// follows reports whether the server is a replica that has all its master had, of the master with that address.
func (s *Server) follows(ctx context.Context, master string) bool {
	answer, _ := s.do(ctx, "ROLE")
	fields, ok := answer.([]any)
	return ok && len(fields) == 5 && fields[0] == "slave" && fmt.Sprintf("%v:%v", fields[1], fields[2]) == master && fields[3] == "connected"
}

// wait waits until something is so that nobody tells about.
func wait(tb testing.TB, what string, isSo func(context.Context) bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !isSo(ctx) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			tb.Fatalf("redistest: waited %v in vain until %s", patience, what)
		}
	}
}
