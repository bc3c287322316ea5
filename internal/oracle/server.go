package oracle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is the binary, running or not, always on the same address and directory.
type server struct {
	binary, dir  string
	address, key string
	log          *os.File

	mu     sync.Mutex
	cmd    *exec.Cmd     // guarded by mu; nil when not running
	starts int           // guarded by mu
	again  chan struct{} // guarded by mu; closed at the next start
}

func newServer(ctx context.Context, binary, dir string) (*server, error) {
	// A free port, which nobody else takes in the meantime, with luck.
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, fmt.Errorf("create the server's log: %w", err)
	}
	return &server{
		binary: binary, dir: dir, address: address, key: "oracle-key-0123456789abcdef",
		log: log, again: make(chan struct{}),
	}, nil
}

// start starts the server and returns when it listens.
func (s *server) start(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.binary, "serve", "--data", filepath.Join(s.dir, "data"), "--listen", s.address)
	cmd.Env = append(cmd.Environ(), "LAUREL_API_KEY="+s.key)
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

func (s *server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd != nil
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
}
