package redistest

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes let the process end with ours, however ours ends, and keep from it what a terminal sends to ours.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// pause returns when the process has stopped, or has ended.
func (p *process) pause() {
	p.signal(syscall.SIGSTOP)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
