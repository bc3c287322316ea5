package redisstore

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
)

const (
	readLimit = 1000 // entries of a partition's log in one reading

	// readPause is the least time between two readings, so that writers who make
	// thousands of calls a second do not make as many of ours.
	readPause = 2 * time.Millisecond
)

// tail reads the logs of those of its partitions that the node has the lease of,
// on a connection of its own. The partitions' keys can be read with one command:
// on a cluster, each has a tail for itself.
type tail struct {
	store *Store
	parts []*partition

	mu       sync.Mutex
	changed  bool               // guarded by mu; which logs are to be read, or from where, since that was last looked at
	cancel   context.CancelFunc // guarded by mu; ends the reading under way, or the wait for one
	finished bool               // guarded by mu
}

// turn has the tail look again at what it is to read.
func (t *tail) turn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed = true
	if t.cancel != nil {
		t.cancel()
	}
}

// stop ends run.
func (t *tail) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finished = true
	if t.cancel != nil {
		t.cancel()
	}
}

// turned prepares the next reading. ctx ends when there is something else to read.
func (t *tail) turned() (ctx context.Context, cancel context.CancelFunc, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return nil, nil, false
	}
	t.changed = false
	ctx, t.cancel = context.WithCancel(context.Background())
	return ctx, t.cancel, true
}

// run reads until the tail is stopped.
func (t *tail) run() {
	var (
		earliest time.Time
		failures int
	)
	for {
		ctx, cancel, ok := t.turned()
		if !ok {
			return
		}
		for ctx.Err() == nil {
			if wait := time.Until(earliest); wait > 0 && !pause(ctx, wait) {
				break
			}
			parts, keys, from, restarts := t.wanted()
			if len(parts) == 0 {
				<-ctx.Done()
				break
			}
			streams, err := t.read(ctx, keys, from)
			if ctx.Err() != nil && err != nil {
				break
			}
			if err != nil {
				for _, p := range parts {
					p.changes.fail()
				}
				t.store.news.tell()
				earliest = time.Now().Add(backOff(failures))
				failures++
				continue
			}
			failures = 0
			earliest = time.Now().Add(readPause)
			for i, p := range parts {
				p.append(streams[keys[i]], restarts[i])
			}
			t.store.news.tell()
		}
		cancel()
	}
}

// wanted is what there is to read, and from where.
func (t *tail) wanted() (parts []*partition, keys, from []string, restarts []int) {
	for _, p := range t.parts {
		if at, n, ok := p.changes.reading(); ok {
			parts = append(parts, p)
			keys = append(keys, p.log)
			from = append(from, at.String())
			restarts = append(restarts, n)
		}
	}
	return parts, keys, from, restarts
}

// read waits for entries.
func (t *tail) read(ctx context.Context, keys, from []string) (map[string][]rueidis.XRangeEntry, error) {
	cmd := t.store.client.B().Arbitrary("XREAD", "COUNT", strconv.Itoa(readLimit), "BLOCK", "0", "STREAMS").Keys(keys...).Args(from...).Blocking()
	streams, err := t.store.client.Do(ctx, cmd).AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil, errors.New("a reading that waits has ended with nothing")
	}
	return streams, err
}

// append adds entries to what the node knows of the partition's log.
func (p *partition) append(entries []rueidis.XRangeEntry, restarts int) {
	records := make([]record, 0, len(entries))
	for _, e := range entries {
		at, err := parsePosition(e.ID)
		rev, err2 := strconv.ParseUint(e.FieldValues["r"], 10, 64)
		if err != nil || err2 != nil {
			// Somebody else has written into the log; its numbers do not fit then.
			p.store.log.Error("entry of a log is not ours", "partition", p.n, "id", e.ID)
		}
		records = append(records, record{p.n, at, leaderboard.Change{Board: e.FieldValues["b"], Rev: rev}})
	}
	if p.changes.append(records, restarts) {
		p.store.log.Warn("entries of a log are missing", "partition", p.n)
		p.store.hurry()
	}
}
