package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits on what is waited for.
const (
	startTimeout  = 5 * time.Minute
	stopTimeout   = 30 * time.Second
	answerTimeout = 30 * time.Second
)

// process is a server that was started.
type process struct {
	cmd     *exec.Cmd
	addr    string        // HOST:PORT that it listens on
	started time.Duration // from its start until it listened
	opened  time.Duration // of that, what the store took, as its log tells
	readers sync.WaitGroup
	log     bytes.Buffer // of the end of it; to be read after readers

	key   string // API key
	debug string // address of profiles
}

// serve starts the real server on a data directory.
func (b *bench) serve(ctx context.Context, dir string) (*process, error) {
	debug, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{key: rand.Text() + rand.Text(), debug: debug}
	err = p.start(ctx, b.Binary, []string{"LAUREL_API_KEY=" + p.key},
		"serve", "--data", dir, "--listen", "127.0.0.1:0", "--debug-listen", debug, "--log-format", "json")
	if err != nil {
		return nil, err
	}
	return p, nil
}

// yardstick starts the bare handler.
func (b *bench) yardstick(ctx context.Context) (*process, error) {
	p := &process{}
	if err := p.start(ctx, b.Binary, nil, "bench", "yardstick"); err != nil {
		return nil, err
	}
	return p, nil
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// environ is an environment without settings of ours.
func environ(list []string) []string {
	var rest []string
	for _, variable := range list {
		if !strings.HasPrefix(variable, "LAUREL_") {
			rest = append(rest, variable)
		}
	}
	return rest
}

// start starts a process and waits until it says that it listens.
func (p *process) start(ctx context.Context, binary string, env []string, args ...string) error {
	p.cmd = exec.CommandContext(ctx, binary, args...)
	p.cmd.Env = append(environ(p.cmd.Environ()), env...)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopTimeout
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	listening := make(chan string, 1)
	p.readers.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "listening on http://"); ok {
				p.started = time.Since(start)
				listening <- url
			}
		}
		close(listening)
	})
	p.readers.Go(func() { p.readLog(log) })

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case url, ok := <-listening:
		if !ok {
			return fmt.Errorf("%s %s ended: %w\n%s", binary, args[0], p.wait(), p.log.Bytes())
		}
		p.addr = url
		return nil
	case <-timeout.C:
		err = fmt.Errorf("%s %s does not listen after %s", binary, args[0], startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, p.kill())
}

func (p *process) readLog(log io.Reader) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if p.log.Len() < 1<<16 {
			p.log.Write(append(lines.Bytes(), '\n'))
		}
	}
}

// logged finds in the log what the store's opening took. The process must have ended.
func (p *process) logged() {
	for line := range bytes.Lines(p.log.Bytes()) {
		var entry struct {
			Message string        `json:"msg"`
			Took    time.Duration `json:"took"`
		}
		if json.Unmarshal(line, &entry) == nil && entry.Message == "store opened" {
			p.opened = entry.Took
		}
	}
}

func (p *process) wait() error {
	p.readers.Wait()
	err := p.cmd.Wait()
	p.logged()
	return err
}

// stop ends the process as an operator would, and waits for that.
func (p *process) stop() error {
	// It may have ended already: by itself, or since the context has.
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	cut := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer cut.Stop()
	if err := p.wait(); err != nil {
		return fmt.Errorf("the server ended: %w\n%s", err, p.log.Bytes())
	}
	return nil
}

// kill ends the process at once.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = p.wait() // that it was killed
	return nil
}

// tickRate is what /proc counts processor time in, on every Linux that Go runs on.
const tickRate = 100

// cpu returns the processor time that a process has used.
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / tickRate, nil
}

// machineCPU returns the processor time that the whole machine has used, with what
// its host has kept from it.
func machineCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, wait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	return time.Duration(user+nice+system+irq+softirq+steal) * time.Second / tickRate, nil
}

func (p *process) cpu() (time.Duration, error) { return cpu(p.cmd.Process.Pid) }

// resident returns how many bytes of memory the process has.
func (p *process) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			return kib * 1024, nil
		}
	}
	return 0, errors.New("the process has no memory")
}

// get returns the answer to a GET.
func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // no connection is left that would count as memory
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, res.Status)
	}
	return body, err
}

// series are metrics without labels by their names.
type series map[string]float64

// metrics reads the server's.
func (p *process) metrics(ctx context.Context) (series, error) {
	text, err := get(ctx, "http://"+p.addr+"/metrics")
	if err != nil {
		return nil, err
	}
	all := series{}
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = f
		}
	}
	return all, nil
}

// mean returns the mean of a histogram's observations since earlier, and their number.
func (s series) mean(name string, earlier series) (mean, count float64) {
	count = s[name+"_count"] - earlier[name+"_count"]
	if count == 0 {
		return 0, 0
	}
	return (s[name+"_sum"] - earlier[name+"_sum"]) / count, count
}

// live returns how many bytes are in use on the heap and by stacks when the
// garbage has been collected.
func (p *process) live(ctx context.Context) (float64, error) {
	for range 2 { // what has a finaliser goes with the second
		if _, err := get(ctx, "http://"+p.debug+"/debug/pprof/heap?gc=1"); err != nil {
			return 0, err
		}
	}
	m, err := p.metrics(ctx)
	return m["go_memstats_heap_alloc_bytes"] + m["go_memstats_stack_inuse_bytes"], err
}
