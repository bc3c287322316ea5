package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const (
	nodeMembers = 1000    // of a board
	quietBoard  = "quiet" // which gets no scores but those whose way is timed
	readers     = 25      // of a node's viewers read what they are sent; the others count
)

// measureNodes measures two servers on one Redis, each with half of the viewers
// and of the submits.
func measureNodes(ctx context.Context, b *bench) (err error) {
	redis, err := b.redisServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.stop()) }()
	key := rand.Text() + rand.Text()
	var nodes []*process
	for range 2 {
		p := &process{key: key}
		err := p.start(ctx, b.Binary, []string{"LAUREL_API_KEY=" + key},
			"serve", "--redis", "redis://"+redis.addr, "--listen", "127.0.0.1:0", "--log-format", "json")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		nodes = append(nodes, p)
	}
	if err := fillOverHTTP(ctx, nodes[0], benchBoard, quietBoard); err != nil {
		return err
	}

	alone, err := b.nodeLoad(ctx, redis, nodes, 0)
	if err != nil {
		return fmt.Errorf("without viewers: %w", err)
	}
	watched, err := b.nodeLoad(ctx, redis, nodes, b.size.nodeViewers)
	if err != nil {
		return err
	}

	b.row(row{
		what: fmt.Sprintf("submits a second, two nodes, %s viewers", grouped(float64(2*b.size.nodeViewers))),
		ours: rate(watched.submits), yardstick: rate(b.size.nodeRate) + " offered",
		ratio: watched.submits / b.size.nodeRate, target: atLeast(watched.submits/b.size.nodeRate, 0.95),
	})
	b.row(row{what: "publication in Redis to message: p50", ours: span(median(watched.published))})
	b.row(row{what: fmt.Sprintf("  p99 of %s", grouped(float64(len(watched.published)))), ours: span(quantile(watched.published, 0.99))})
	b.row(row{
		what: "score at one node, message at the other: p50", ours: span(median(watched.traced.message)),
		yardstick: span(median(watched.traced.answer)) + " until the answer",
	})
	b.row(row{
		what: fmt.Sprintf("  p99 of %d", len(watched.traced.message)), ours: span(quantile(watched.traced.message, 0.99)),
		yardstick: span(quantile(watched.traced.answer, 0.99)) + " until the answer",
	})
	b.row(row{what: "messages a second at the viewers", ours: rate(watched.messages)})
	b.row(row{what: "processor time of both nodes, a message", ours: microseconds(1e6 * watched.cores / watched.messages)})
	b.row(row{
		what: "  of that what viewers add", ours: microseconds(1e6 * (watched.cores - alone.cores) / watched.messages),
	})
	b.notef("nodes %.2f cores, Redis %.2f, load tool and viewers %.2f; without viewers, nodes %.2f and Redis %.2f",
		watched.cores, watched.redisCores, watched.toolCores, alone.cores, alone.redisCores)
	b.notef("a board of %s with a top of %d; %d viewers of each node read every table, the others count messages; the scores that are timed go to another board, which is quiet and publishes at once",
		members(nodeMembers), topMembers, min(readers, b.size.nodeViewers))
	return nil
}

// nodesLoad is what happened under load.
type nodesLoad struct {
	submits, messages            float64 // a second
	cores, redisCores, toolCores float64
	published                    []time.Duration // from Redis to a viewer
	traced                       delays          // from one node to a viewer of the other
}

// nodeLoad offers half of the load to each node while so many viewers watch on each.
func (b *bench) nodeLoad(ctx context.Context, redis *redisServer, nodes []*process, viewers int) (l nodesLoad, err error) {
	listening, err := redis.listen(ctx, "board:"+benchBoard)
	if err != nil {
		return l, err
	}
	defer listening.close()
	var reading []*viewer
	var counting []*counter
	defer func() {
		closeAll(reading)
		for _, c := range counting {
			c.close()
		}
	}()
	for _, p := range nodes {
		some, err := watchAll(ctx, p, benchBoard, min(readers, viewers))
		if err != nil {
			return l, err
		}
		reading = append(reading, some...)
		for range viewers - len(some) {
			c, err := count(ctx, p, benchBoard)
			if err != nil {
				return l, err
			}
			counting = append(counting, c)
		}
	}

	loading, stop := context.WithTimeout(ctx, b.size.nodeWarm+b.size.nodeLoad)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	errs := make([]error, len(nodes)+1)
	var loops []*openLoop
	for i, p := range nodes {
		pl, err := newPool(ctx, p, loadConnections, nodeRequests(p))
		if err != nil {
			return l, err
		}
		defer pl.close()
		o := &openLoop{pool: pl, rate: b.size.nodeRate / float64(len(nodes))}
		loops = append(loops, o)
		wg.Go(func() { errs[i] = o.run(loading) })
	}
	if err := sleep(ctx, b.size.nodeWarm); err != nil {
		return l, err
	}
	before, err := nodesNow(redis, nodes, loops, counting)
	if err != nil {
		return l, err
	}
	if viewers > 0 {
		wg.Go(func() { l.traced, errs[len(nodes)] = traceAcross(loading, nodes, b.size.samples) })
	}
	if err := sleep(ctx, b.size.nodeLoad-100*time.Millisecond); err != nil { // before the load is over
		return l, err
	}
	after, err := nodesNow(redis, nodes, loops, counting)
	if err != nil {
		return l, err
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return l, err
	}
	took := after.at.Sub(before.at).Seconds()
	seen := 0
	for _, v := range reading {
		seen += v.count(before.at, after.at)
		ways, err := v.since(listening.moments(), before.at, after.at)
		if err != nil {
			return l, err
		}
		l.published = append(l.published, ways...)
	}
	for _, c := range counting {
		if err := c.failed(); err != nil {
			return l, err
		}
	}
	l.submits = float64(after.submits-before.submits) / took
	l.messages = (float64(seen) + float64(after.messages-before.messages)) / took
	l.cores = (after.nodes - before.nodes).Seconds() / took
	l.redisCores = (after.redis - before.redis).Seconds() / took
	l.toolCores = (after.tool - before.tool).Seconds() / took
	return l, nil
}

// moment is what was done and used until then.
type moment struct {
	at                 time.Time
	submits, messages  int
	nodes, redis, tool time.Duration
}

func nodesNow(redis *redisServer, nodes []*process, loops []*openLoop, counting []*counter) (m moment, err error) {
	m.at = time.Now()
	for _, o := range loops {
		total, _ := o.stats()
		m.submits += total.requests
	}
	for _, c := range counting {
		m.messages += int(c.messages.Load())
	}
	for _, p := range nodes {
		used, err := p.cpu()
		if err != nil {
			return m, err
		}
		m.nodes += used
	}
	if m.redis, err = cpu(redis.cmd.Process.Pid); err != nil {
		return m, err
	}
	m.tool, err = cpu(os.Getpid())
	return m, err
}

// traceAcross times scores on the quiet board from either node to a viewer of the other.
func traceAcross(ctx context.Context, nodes []*process, samples int) (all delays, err error) {
	for i, to := range nodes {
		v, err := watch(ctx, to, quietBoard)
		if err != nil {
			return all, err
		}
		pause := func() time.Duration { return 110*time.Millisecond + mathrand.N(30*time.Millisecond) } // the board's window has closed
		d, err := trace(ctx, nodes[len(nodes)-1-i], v, quietBoard, samples/len(nodes), pause)
		v.close()
		all.answer, all.message = append(all.answer, d.answer...), append(all.message, d.message...)
		if err != nil && !errors.Is(err, ctx.Err()) {
			return all, err
		}
	}
	return all, nil
}

// fillOverHTTP gives boards their members.
func fillOverHTTP(ctx context.Context, p *process, boards ...string) error {
	c, err := dial(ctx, p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	rng := mathrand.New(mathrand.NewPCG(7, 0))
	for _, board := range boards {
		i := 0
		request := batch(p, board, nodeMembers, func() (string, int64) {
			i++
			return memberName(i - 1), fillScore(rng, i-1)
		})
		if _, err := c.do(request); err != nil {
			return err
		}
	}
	return nil
}

func nodeRequests(p *process) [][]byte {
	rng := mathrand.New(mathrand.NewPCG(6, 0))
	requests := make([][]byte, 4096)
	for i := range requests {
		requests[i] = single(p, benchBoard, memberName(rng.IntN(nodeMembers)), 1+rng.Int64N(30))
	}
	return requests
}

// since returns how long each table took to a viewer that was published between
// two moments.
func (v *viewer) since(published map[uint64]time.Time, from, to time.Time) ([]time.Duration, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var ways []time.Duration
	for _, s := range v.seen {
		if s.at.Before(from) || s.at.After(to) {
			continue
		}
		at, ok := published[s.rev]
		if !ok {
			return nil, fmt.Errorf("a viewer has the table of rev %d, and Redis never had it", s.rev)
		}
		ways = append(ways, max(0, s.at.Sub(at))) // what came by Redis may be looked at later than what came by a node
	}
	return ways, nil
}

// counter is a viewer that only counts messages.
type counter struct {
	conn     *websocket.Conn
	messages atomic.Int64
	closing  atomic.Bool
	done     chan struct{} // closed when nothing more is read
	err      error         // why, unless it was closed; valid after done
}

// count connects a counter.
func count(ctx context.Context, p *process, board string) (*counter, error) {
	conn, err := connect(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteMessage(websocket.TextMessage, subscription(board)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &counter{conn: conn, done: make(chan struct{})}
	go c.read() // until close
	return c, nil
}

func (c *counter) read() {
	defer close(c.done)
	var frame bytes.Buffer
	for {
		frame.Reset()
		_, r, err := c.conn.NextReader()
		if err == nil {
			_, err = frame.ReadFrom(r)
		}
		for line := range bytes.Lines(frame.Bytes()) {
			if !bytes.Equal(bytes.TrimSpace(line), ping) {
				c.messages.Add(1)
			} else if err == nil {
				err = c.conn.WriteMessage(websocket.TextMessage, ping)
			}
		}
		if err != nil {
			if !c.closing.Load() {
				c.err = err
			}
			return
		}
	}
}

// ping is what the server sends to see whether a viewer is there, and the answer.
var ping = []byte("{}")

// failed returns why nothing more is read, if it is so.
func (c *counter) failed() error {
	select {
	case <-c.done:
		return fmt.Errorf("a viewer that counts: %w", c.err)
	default:
		return nil
	}
}

func (c *counter) close() {
	c.closing.Store(true)
	_ = c.conn.Close() // nothing that was sent is of interest any more
	<-c.done
}

// redisServer is a Redis that was started.
type redisServer struct {
	cmd  *exec.Cmd
	addr string
}

// redisServer starts a Redis as the documentation says one should be.
func (b *bench) redisServer(ctx context.Context) (*redisServer, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("there is no redis-server on the path: scripts/packages redis-server installs it on Debian")
	}
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	dir := b.newDir()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	r := &redisServer{addr: addr, cmd: exec.CommandContext(ctx, path, "--bind", host, "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction")}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	for begun := time.Now(); ; {
		if l, err := r.listen(ctx, "nobody"); err == nil {
			l.close()
			return r, nil
		}
		if time.Since(begun) > answerTimeout {
			return nil, errors.Join(fmt.Errorf("redis-server does not listen after %s", answerTimeout), r.stop())
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return nil, errors.Join(err, r.stop())
		}
	}
}

func (r *redisServer) stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return r.cmd.Wait()
}

// listener hears what is published in Redis, and when.
type listener struct {
	conn net.Conn
	done chan struct{} // closed when nothing more is read

	mu sync.Mutex
	at map[uint64]time.Time // guarded by mu: when each rev was published
}

// listen listens to the channels whose names end in suffix, and returns when it hears.
func (r *redisServer) listen(ctx context.Context, suffix string) (*listener, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	_, err = fmt.Fprintf(conn, "PSUBSCRIBE *%s\r\n", suffix)
	if err == nil {
		_, err = readArray(in)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l := &listener{conn: conn, done: make(chan struct{}), at: map[uint64]time.Time{}}
	go l.read(in) // until close
	return l, nil
}

func (l *listener) read(in *bufio.Reader) {
	defer close(l.done)
	for {
		message, err := readArray(in)
		at := time.Now()
		if err != nil {
			return // closed, or viewers miss something
		}
		if len(message) != 4 {
			continue
		}
		rev, err := revOf(message[3])
		if err != nil {
			continue // something else
		}
		l.mu.Lock()
		if _, ok := l.at[rev]; !ok { // another time means nothing to viewers
			l.at[rev] = at
		}
		l.mu.Unlock()
	}
}

func (l *listener) moments() map[uint64]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.at)
}

func (l *listener) close() {
	_ = l.conn.Close() // nothing that was sent is of interest any more
	<-l.done
}

// readArray reads an array of texts and numbers as Redis writes it.
func readArray(in *bufio.Reader) ([][]byte, error) {
	number := func(kinds string) (kind byte, n int, err error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, 0, err
		}
		if len(line) < 3 || !strings.Contains(kinds, line[:1]) {
			return 0, 0, fmt.Errorf("redis says %q", line)
		}
		n, err = strconv.Atoi(strings.TrimSpace(line[1:]))
		return line[0], n, err
	}
	_, n, err := number("*")
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for range n {
		kind, n, err := number("$:")
		if err != nil {
			return nil, err
		}
		if kind == ':' {
			all = append(all, nil)
			continue
		}
		text := make([]byte, n+len("\r\n"))
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, err
		}
		all = append(all, text[:n])
	}
	return all, nil
}
