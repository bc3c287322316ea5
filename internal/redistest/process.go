package redistest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// maxOutput is how much of what a server has written is kept: the end of it.
const maxOutput = 64 << 10

// process is a redis-server that runs, or has ended.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has

	mu  sync.Mutex
	out []byte // guarded by mu; the last of what it has written
}

func startProcess(args []string) (*process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("there is no redis-server on the path: scripts/packages redis-server installs Debian's package of that name")
	}
	p := &process{cmd: exec.CommandContext(context.Background(), path, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// The kernel ends the process with the thread that has started it, so this one is to live as long.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in what it wrote
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// Write takes what the process writes.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b...)
	if over := len(p.out) - maxOutput; over > maxOutput { // not with each line
		p.out = append(p.out[:0], p.out[over:]...)
	}
	return len(b), nil
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.out[max(0, len(p.out)-maxOutput):])
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // which fails only for a process that has ended
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}
