package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The load tool writes requests that were made beforehand and looks at no more
// of an answer than it must: it shares the machine with what it measures, and
// the less it does, the more of the machine is left for both sides.

// conn is a connection that is kept, with one request under way at a time.
type conn struct {
	net.Conn
	r    *bufio.Reader
	body []byte // of the last answer
}

func dial(ctx context.Context, addr string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 4096)}, nil
}

// do sends a request and reads the answer, whose body is valid until the next one.
func (c *conn) do(request []byte) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	status, length := 0, -1
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if first {
			if len(line) < len("HTTP/1.1 200") {
				return nil, fmt.Errorf("the answer begins with %q", line)
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return nil, err
			}
			continue
		}
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return nil, err
			}
		}
	}
	if length < 0 {
		return nil, errors.New("the answer does not say how long it is")
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	if _, err := io.ReadFull(c.r, c.body); err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, fmt.Errorf("the server answers %d: %.300s", status, c.body)
	}
	return c.body, nil
}

// post makes a request out of a body.
func post(p *process, board string, body []byte) []byte {
	var request bytes.Buffer
	fmt.Fprintf(&request, "POST /v1/leaderboards/%s/scores HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nX-API-Key: %s\r\nContent-Length: %d\r\n\r\n",
		board, p.addr, p.key, len(body))
	request.Write(body)
	return request.Bytes()
}

// single is a request with one submission.
func single(p *process, board, member string, score int64) []byte {
	return post(p, board, fmt.Appendf(nil, `{"member":"%s","score":%d}`, member, score))
}

// batch is a request with many.
func batch(p *process, board string, n int, next func() (member string, score int64)) []byte {
	body := []byte(`{"submissions":[`)
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		member, score := next()
		body = fmt.Appendf(body, `{"member":"%s","score":%d}`, member, score)
	}
	return post(p, board, append(body, "]}"...))
}

// revOf finds the rev in an answer or in a table, where it stands behind the rows.
func revOf(body []byte) (uint64, error) {
	const name = `"rev":`
	i := bytes.LastIndex(body, []byte(name))
	if i < 0 {
		return 0, fmt.Errorf("there is no rev in %.300q", body)
	}
	digits := body[i+len(name):]
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	return strconv.ParseUint(string(digits[:n]), 10, 64)
}

// pool is connections to one server, and the requests that they choose from.
type pool struct {
	conns    []*conn
	requests [][]byte
}

func newPool(ctx context.Context, p *process, n int, requests [][]byte) (*pool, error) {
	pl := &pool{requests: requests}
	for range n {
		c, err := dial(ctx, p.addr)
		if err != nil {
			pl.close()
			return nil, err
		}
		pl.conns = append(pl.conns, c)
	}
	return pl, nil
}

func (pl *pool) close() {
	for _, c := range pl.conns {
		_ = c.Close() // it is only read from and written to with errors looked at
	}
}

// traffic is what was answered.
type traffic struct {
	requests  int
	took      time.Duration
	latencies []time.Duration
}

func (t traffic) rate() float64 { return float64(t.requests) / t.took.Seconds() }

// closedLoop lets every connection send its next request when the last one was
// answered, for a time.
func (pl *pool) closedLoop(ctx context.Context, d time.Duration) (traffic, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total traffic // guarded by mu
		errs  []error // guarded by mu
		over  atomic.Bool
	)
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	defer context.AfterFunc(ctx, func() { over.Store(true) })()
	start := time.Now()
	for _, c := range pl.conns {
		wg.Go(func() {
			var own []time.Duration
			var failed error
			rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for !over.Load() && failed == nil {
				sent := time.Now()
				if _, failed = c.do(pl.requests[rng.IntN(len(pl.requests))]); failed == nil {
					own = append(own, time.Since(sent))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.requests += len(own)
			total.latencies = append(total.latencies, own...)
			if failed != nil {
				errs = append(errs, failed)
			}
		})
	}
	wg.Wait()
	total.took = time.Since(start)
	if len(errs) > 0 {
		return traffic{}, fmt.Errorf("%d of %d connections failed: %w", len(errs), len(pl.conns), errs[0])
	}
	return total, ctx.Err()
}

// openLoop offers requests at a rate until the context ends, whether or not the
// server keeps up, as long as there is a connection that waits for no answer. A
// latency counts from when the request was due.
type openLoop struct {
	pool *pool
	rate float64 // requests a second

	mu     sync.Mutex
	total  traffic // guarded by mu
	late   int     // requests that nobody was free for within a second and that were left out; guarded by mu
	failed error   // guarded by mu: the first error
}

// stats returns what was answered so far.
func (o *openLoop) stats() (traffic, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total, o.late
}

func (o *openLoop) run(ctx context.Context) error {
	due := make(chan time.Time) // unbuffered: what waits here is late already
	var wg sync.WaitGroup
	for _, c := range o.pool.conns {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for at := range due {
				_, err := c.do(o.pool.requests[rng.IntN(len(o.pool.requests))])
				took := time.Since(at)
				o.mu.Lock()
				if err == nil {
					o.total.requests++
					o.total.latencies = append(o.total.latencies, took)
				} else if o.failed == nil {
					o.failed = err
				}
				o.mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	start := time.Now()
	o.offer(ctx, start, due)
	close(due)
	wg.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total.took = time.Since(start)
	return o.failed
}

func (o *openLoop) offer(ctx context.Context, start time.Time, due chan<- time.Time) {
	const mostLate = time.Second
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	step := time.Duration(float64(time.Second) / o.rate)
	for n := 0; ; {
		for at := start.Add(time.Duration(n) * step); !at.After(time.Now()); at = start.Add(time.Duration(n) * step) {
			n++
			if time.Since(at) > mostLate {
				o.mu.Lock()
				o.late++
				o.mu.Unlock()
				continue
			}
			select {
			case due <- at:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
