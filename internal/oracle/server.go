package oracle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// key is the API key of every server.
const key = "oracle-key-0123456789abcdef"

// server is the binary, running or not, always on the same address and with the
// same boards.
type server struct {
	binary  string
	args    []string // beside the address
	address string
	held    io.Closer // of the address
	log     *os.File

	mu     sync.Mutex
	cmd    *exec.Cmd     // guarded by mu; nil when not running
	starts int           // guarded by mu
	again  chan struct{} // guarded by mu; closed at the next start
}

// newServer returns a server that is started with args and writes its log into dir.
func newServer(ctx context.Context, binary, dir, name string, args ...string) (*server, error) {
	address, held, err := reserve(ctx)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create the server's log: %w", err), held.Close())
	}
	return &server{binary: binary, args: args, address: address, held: held, log: log, again: make(chan struct{})}, nil
}

// The ports below are those that a kernel gives to nobody who connects, so that
// a server finds its own again after a restart.
const (
	firstPort = 10000
	lastPort  = 32767
)

// reserve returns an address that is free, and holds the UDP port of the same
// number, which nobody wants, to tell others who look for one.
func reserve(ctx context.Context) (address string, held io.Closer, err error) {
	var config net.ListenConfig
	for range 1000 {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		if held, err = config.ListenPacket(ctx, "udp", address); err != nil {
			continue
		}
		if err = try(ctx, address); err == nil {
			return address, held, nil
		}
		_ = held.Close() // nothing was sent by it
	}
	return "", nil, fmt.Errorf("find a free port: %w", err)
}

// try sees whether an address can be listened on. No process is started
// meanwhile: for a moment it would have the listener too, and the address be taken.
func try(ctx context.Context, address string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

// start starts the server and returns when it listens.
func (s *server) start(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"serve", "--listen", s.address}, s.args...)...)
	cmd.Env = append(cmd.Environ(), "LAUREL_API_KEY="+key)
	cmd.Stderr = s.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "listening on ") {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.cmd = cmd
			s.starts++
			close(s.again)
			s.again = make(chan struct{})
			return nil
		}
	}
	return fmt.Errorf("the server ended before it listened: %w; its log is %s", errors.Join(lines.Err(), cmd.Wait()), s.log.Name())
}

// generation counts the starts.
func (s *server) generation() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// restarted waits until the server has been started after the generation.
func (s *server) restarted(ctx context.Context, generation int) error {
	for {
		s.mu.Lock()
		starts, again := s.starts, s.again
		s.mu.Unlock()
		if starts > generation {
			return nil
		}
		select {
		case <-again:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take returns the running process, which is the caller's to end.
func (s *server) take() *exec.Cmd {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := s.cmd
	s.cmd = nil
	return cmd
}

// kill ends the server as kill -9 does.
func (s *server) kill() error {
	cmd := s.take()
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill the server: %w", err)
	}
	var exit *exec.ExitError
	err := cmd.Wait()
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return fmt.Errorf("the server had ended by itself before it was killed: %w; its log is %s", err, s.log.Name())
	}
	return nil
}

// stop asks the server to end and waits until it has, without an error.
func (s *server) stop() error {
	cmd := s.take()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	overdue := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }) // its stacks are in its log
	defer overdue.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the server did not stop cleanly: %w; its log is %s", err, s.log.Name())
	}
	return nil
}

// freeze lets the server do nothing for a while.
func (s *server) freeze(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	process := s.cmd.Process
	s.mu.Unlock()
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause the server: %w", err)
	}
	pause(ctx, d)
	if err := process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("continue the server: %w", err)
	}
	return nil
}

func (s *server) close() {
	if cmd := s.take(); cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	_ = s.log.Close()
	_ = s.held.Close()
}
