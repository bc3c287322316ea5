// Command cluster runs on this machine what compose.yaml runs in containers: a
// Redis, Laurel nodes on it, and nginx in front of them, all on loopback. It
// needs Debian's redis-server and nginx, and what is kept is gone when it stops.
//
//	go run ./deploy/cluster -laurel bin/laurel
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"laurel/deploy"
)

func main() {
	var opts options
	flag.StringVar(&opts.laurel, "laurel", "bin/laurel", "the `program` to run as nodes")
	flag.IntVar(&opts.nodes, "nodes", 2, "`number` of nodes")
	flag.StringVar(&opts.listen, "listen", "127.0.0.1:8080", "the one `address` of all; port 0 is any free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, opts); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

type options struct {
	laurel string // program
	nodes  int
	listen string
}

// run runs a cluster until ctx is done, or Redis or nginx has ended.
func run(ctx context.Context, out io.Writer, opts options) error {
	c, err := start(ctx, out, opts)
	if err != nil {
		return err
	}
	c.print(`
All of them are at

  http://%[1]s/

and take scores with the API key %[2]s, for instance:

  bin/laurel sim --server http://%[1]s --api-key %[2]s

Ctrl-C stops it all, and nothing is kept. Kill a node, and the others go on.

`, c.address, c.key)
	select {
	case <-ctx.Done():
		return c.stop()
	case <-c.redis.done:
		return errors.Join(errors.New("redis has ended"), c.stop())
	case <-c.nginx.done:
		return errors.Join(errors.New("nginx has ended"), c.stop())
	}
}

// cluster is the processes that have been started.
type cluster struct {
	dir     string // of what they keep
	address string // of all
	key     string
	redis   *process
	nodes   []*process
	at      []string // addresses of the nodes
	nginx   *process

	started []*process // in their order
	mu      sync.Mutex // guards out
	out     io.Writer
}

type process struct {
	name      string
	cmd       *exec.Cmd
	listening chan string   // gets the address that it says it listens on
	done      chan struct{} // closed when it has ended, and all that it has written was printed
}

// start starts the parts, each when those that it needs are ready.
func start(ctx context.Context, out io.Writer, opts options) (_ *cluster, err error) {
	c := &cluster{out: out, key: "laurel_" + strings.ToLower(rand.Text())}
	if c.dir, err = os.MkdirTemp("", "laurel-cluster-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	redis, err := freeAddress(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(redis)
	if err != nil {
		return nil, err
	}
	c.redis, err = c.start(ctx, "redis", nil, "redis-server",
		append([]string{"--bind", host, "--port", port, "--dir", c.dir, "--save", "", "--loglevel", "warning"}, deploy.Redis()...)...)
	if err != nil {
		return nil, err
	}
	if err := c.await(ctx, c.redis, func(ctx context.Context) bool { return pings(ctx, redis) }); err != nil {
		return nil, err
	}

	for i := range opts.nodes {
		p, err := c.start(ctx, fmt.Sprint("node-", i+1), []string{"LAUREL_API_KEY=" + c.key},
			opts.laurel, "serve", "--redis", "redis://"+redis, "--listen", "127.0.0.1:0", "--log-level", "warn")
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, p)
		var address string
		if err := c.await(ctx, p, func(context.Context) bool {
			select {
			case address = <-p.listening:
				return true
			default:
				return false
			}
		}); err != nil {
			return nil, err
		}
		c.at = append(c.at, address)
	}

	if c.address, err = freeAddress(ctx, opts.listen); err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(c.dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(deploy.NginxAlone(c.dir, me.Username, c.address, c.at...)), 0o600); err != nil {
		return nil, err
	}
	if c.nginx, err = c.start(ctx, "nginx", nil, "nginx", "-c", config, "-p", c.dir, "-e", "stderr"); err != nil {
		return nil, err
	}
	return c, c.await(ctx, c.nginx, func(ctx context.Context) bool { return answers(ctx, "http://"+c.address+"/readyz") })
}

func (c *cluster) print(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format, args...)
}

// start starts a program with some more environment, whose output is printed
// under its name.
func (c *cluster) start(ctx context.Context, name string, env []string, program string, args ...string) (*process, error) {
	path, err := exec.LookPath(program)
	if err != nil && program != filepath.Base(program) {
		return nil, fmt.Errorf("%w: `make build` makes it", err)
	}
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + program) // where Debian has nginx, and not every user looks
	}
	if err != nil {
		return nil, fmt.Errorf("%s is missing: `scripts/packages %s` installs it on Debian", program, program)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, args...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process, which stops them in their order
	output, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: cmd, listening: make(chan string, 1), done: make(chan struct{})}
	c.started = append(c.started, p)
	go func() { // until done is closed, for which stop waits
		defer close(p.done)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			c.print("%s: %s\n", name, lines.Text())
			if address, ok := strings.CutPrefix(lines.Text(), "listening on http://"); ok {
				p.listening <- address
			}
		}
		c.print("%s has ended: %v\n", name, cmp.Or(cmd.Wait(), errors.New("as it was told")))
	}()
	return p, nil
}

// await waits until a process is ready.
func (c *cluster) await(ctx context.Context, p *process, ready func(context.Context) bool) error {
	look := time.NewTicker(20 * time.Millisecond) // nobody tells
	defer look.Stop()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for !ready(ctx) {
		select {
		case <-look.C:
		case <-late.C:
			return fmt.Errorf("%s is not ready after 30 s", p.name)
		case <-p.done:
			return fmt.Errorf("%s has ended before it was ready", p.name)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// stop ends what was started, the last first, and removes what it has kept.
func (c *cluster) stop() error {
	for _, p := range slices.Backward(c.started) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
		late := time.NewTimer(15 * time.Second)
		select {
		case <-p.done:
		case <-late.C:
			c.print("%s does not stop, and is killed\n", p.name)
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		late.Stop()
	}
	return os.RemoveAll(c.dir)
}

// freeAddress returns an address that nobody listens on; of port 0 it makes a
// free one.
func freeAddress(ctx context.Context, address string) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// pings reports whether a Redis answers.
func pings(ctx context.Context, address string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // every TCP connection has deadlines
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "+PONG")
}

// answers reports whether a URL answers 200.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
