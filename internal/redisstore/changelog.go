package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"laurel/internal/leaderboard"
)

// position is a place in a partition's log: the id of an entry.
type position struct {
	us uint64 // its time in microseconds, which does not decrease
	n  uint64 // its number, which is one more than that of the entry before
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.us, q.us), cmp.Compare(p.n, q.n))
}

func (p position) after(q position) bool { return p.compare(q) > 0 }

func (p position) String() string {
	return strconv.FormatUint(p.us, 10) + "-" + strconv.FormatUint(p.n, 10)
}

func parsePosition(s string) (position, error) {
	us, n, ok := strings.Cut(s, "-")
	p := position{}
	var err, err2 error
	p.us, err = strconv.ParseUint(us, 10, 64)
	p.n, err2 = strconv.ParseUint(n, 10, 64)
	if !ok || err != nil || err2 != nil {
		return position{}, fmt.Errorf("%q is not a place in a log", s)
	}
	return p, nil
}

// record is an entry of a log.
type record struct {
	partition int
	at        position
	leaderboard.Change
}

// partitionLog is what a node knows of a partition's log. While the node has
// the lease, it holds, for each board with changes that are not acknowledged,
// the newest of them.
type partitionLog struct {
	mu       sync.Mutex // guards all that follows
	epoch    string     // of which the log is
	until    time.Time  // the node has the lease up to then, at the least
	loaded   bool       // what is not acknowledged is being read, from acked on
	failing  bool       // reading fails
	acked    position
	read     position // up to here
	written  position // an entry is known to be there
	records  []record // in order; those that a newer one of their board stands for may linger
	newest   map[string]position
	restarts int // counts what makes a reading under way useless
}

// known notes that the log of an epoch has an entry.
func (l *partitionLog) known(epoch string, at position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch && at.after(l.written) {
		l.written = at
	}
}

// last returns the last place that was heard of.
func (l *partitionLog) last() position {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read.after(l.written) {
		return l.read
	}
	return l.written
}

// restart forgets the log, as it is another one now.
func (l *partitionLog) restart(epoch string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch = epoch
	l.forget()
	l.acked, l.written = position{}, position{}
}

// forget drops what was read. It is called with mu held.
func (l *partitionLog) forget() {
	l.loaded, l.failing = false, false
	l.records, l.newest = nil, nil
	l.read = position{}
	l.restarts++
}

// lose notes that the lease is lost; it returns whether the node had it.
func (l *partitionLog) lose() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := !l.until.IsZero()
	l.until = time.Time{}
	l.forget()
	return had
}

// hold notes that the node has the lease, and returns whether it had it before
// without a break, and whether the log has to be loaded.
func (l *partitionLog) hold(until time.Time) (had, load bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had = !l.until.IsZero()
	if had && time.Now().After(l.until) {
		l.forget() // somebody else may have had it in between
	}
	l.until = until
	return had, !l.loaded
}

// load begins the log at what is acknowledged; last is its last entry.
func (l *partitionLog) load(epoch string, acked, last position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return // it will be loaded anew
	}
	l.forget()
	l.loaded = true
	l.acked, l.read = acked, acked
	l.newest = make(map[string]position)
	if last.after(l.written) {
		l.written = last
	}
}

// reading is from where a log is to be read on.
func (l *partitionLog) reading() (from position, restarts int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read, l.restarts, l.loaded && !l.until.IsZero()
}

// append adds entries that were read; it returns whether some before them are
// missing. A log that was restarted meanwhile takes none.
func (l *partitionLog) append(records []record, restarts int) (missing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if restarts != l.restarts || !l.loaded {
		return false
	}
	l.failing = false
	for _, r := range records {
		if r.at.n != l.read.n+1 {
			l.forget()
			return true
		}
		l.read = r.at
		l.newest[r.Board] = r.at
		l.records = append(l.records, r)
	}
	if len(l.records) > 2*len(l.newest)+64 {
		l.records = slices.DeleteFunc(l.records, func(r record) bool { return l.newest[r.Board] != r.at })
	}
	return false
}

// fail notes that reading fails.
func (l *partitionLog) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing = true
}

// target is how far reading has to come to have everything that is known to be
// there: in another epoch the numbers begin anew. Zero is no target.
type target struct {
	n     uint64
	epoch string
}

// reached returns the target, or none if there is no use in waiting.
func (l *partitionLog) reached(now time.Time) target {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded || l.failing || !now.Before(l.until) {
		return target{}
	}
	// The number counts: the time goes on without an entry when an epoch begins.
	return target{l.written.n, l.epoch}
}

// tell appends at most limit entries behind a place. It returns false if
// reading has not come to the target yet.
func (l *partitionLog) tell(into []record, after position, until target, limit int, now time.Time) ([]record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded || !now.Before(l.until) {
		return into, true
	}
	if until.n > l.read.n && until.epoch == l.epoch && !l.failing {
		return into, false
	}
	if l.acked.after(after) {
		after = l.acked
	}
	for _, r := range l.records[l.search(after):] {
		if limit == 0 {
			break
		}
		if l.newest[r.Board] == r.at {
			into = append(into, r)
			limit--
		}
	}
	return into, true
}

// search returns the index of the first record after a place. It is called with
// mu held.
func (l *partitionLog) search(after position) int {
	i, _ := slices.BinarySearchFunc(l.records, after, func(r record, after position) int {
		if r.at.after(after) {
			return 1
		}
		return -1
	})
	return i
}

// unacked returns whether a place lies behind what is acknowledged as far as is
// known.
func (l *partitionLog) unacked(at position) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return at.after(l.acked)
}

// ack notes up to where the log is acknowledged.
func (l *partitionLog) ack(epoch string, through position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch || !through.after(l.acked) {
		return
	}
	l.acked = through
	told := l.search(through)
	for _, r := range l.records[:told] {
		if l.newest[r.Board] == r.at {
			delete(l.newest, r.Board)
		}
	}
	l.records = slices.Delete(l.records, 0, told)
}

// lag returns how many boards have changes that are not acknowledged.
func (l *partitionLog) lag() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.newest)
}

// cursor is a place in each partition's log.
type cursor []position

func (s *Store) parseCursor(text leaderboard.Cursor) (cursor, error) {
	c := make(cursor, len(s.parts))
	if text == "" {
		return c, nil
	}
	for item := range strings.SplitSeq(string(text), ",") {
		name, place, ok := strings.Cut(item, ":")
		n, err := strconv.Atoi(name)
		if !ok || err != nil || n < 0 || n >= len(c) {
			return nil, fmt.Errorf("cursor %q is not one of this store", text)
		}
		if c[n], err = parsePosition(place); err != nil {
			return nil, fmt.Errorf("cursor %q: %w", text, err)
		}
	}
	return c, nil
}

func (c cursor) String() leaderboard.Cursor {
	var b []byte
	for n, at := range c {
		if at == (position{}) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, ':')
		b = strconv.AppendUint(b, at.us, 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, at.n, 10)
	}
	return leaderboard.Cursor(b)
}

// Changes waits for changes; see [leaderboard.ChangeLog]. It tells those of the
// partitions that this node has the lease of, and of each board only the newest
// change. While Redis is away, it waits. A closed store answers
// [leaderboard.ErrShuttingDown].
func (s *Store) Changes(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	c, err := s.parseCursor(after)
	if err != nil {
		return nil, "", err
	}
	// What this node has written, or heard of, is to be read before anything is
	// told: a change that was answered is told at once.
	targets := make([]target, len(s.parts))
	for i, p := range s.parts {
		targets[i] = p.changes.reached(time.Now())
	}
	for {
		news := s.news.wait()
		if s.isClosed() {
			return nil, "", errClosed
		}
		if found, ready := s.tell(c, targets, limit); ready && len(found) > 0 {
			changes := make([]leaderboard.Change, len(found))
			for i, r := range found {
				changes[i] = r.Change
				c[r.partition] = r.at
			}
			return changes, c.String(), nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, after, ctx.Err()
		}
	}
}

// tell collects the first changes of all partitions behind a cursor, in the
// order of their time.
func (s *Store) tell(c cursor, targets []target, limit int) (found []record, ready bool) {
	now := time.Now()
	for i, p := range s.parts {
		if found, ready = p.changes.tell(found, c[i], targets[i], limit, now); !ready {
			return nil, false
		}
	}
	slices.SortStableFunc(found, func(a, b record) int { return cmp.Compare(a.at.us, b.at.us) })
	return found[:min(limit, len(found))], true
}

// Ack acknowledges changes. It is durable as everything else that Redis has.
func (s *Store) Ack(ctx context.Context, through leaderboard.Cursor) error {
	if s.isClosed() {
		return errClosed
	}
	c, err := s.parseCursor(through)
	if err != nil {
		return err
	}
	return s.each(func(p *partition) error {
		if at := c[p.n]; p.changes.unacked(at) {
			return p.ack(ctx, at)
		}
		return nil
	})
}

// ack moves on up to where the log is acknowledged.
func (p *partition) ack(ctx context.Context, through position) error {
	_, err := p.place(ctx, strconv.FormatUint(through.us, 10), strconv.FormatUint(through.n, 10))
	if err == nil && p.crowded.CompareAndSwap(true, false) {
		p.store.hurry()
	}
	return err
}

// load begins to read the log from where it is acknowledged.
func (p *partition) load(ctx context.Context) error {
	found, err := p.place(ctx)
	if err == nil {
		p.changes.load(found.epoch, found.acked, found.last)
		if found.cut {
			p.store.hurry()
		}
	}
	return err
}

// logPlace is what acked.lua answers.
type logPlace struct {
	epoch       string
	acked, last position
	cut         bool // all boards are to be told again
}

func (p *partition) place(ctx context.Context, args ...string) (found logPlace, err error) {
	message, err := p.eval(ctx, scriptAcked, []string{p.meta, p.log}, args)
	if err != nil {
		return found, err
	}
	fields, err := message.AsStrSlice()
	if err != nil || len(fields) != 7 {
		return found, fmt.Errorf("%s: script %s: %w", p, scriptAcked, errAnswer)
	}
	found.epoch, found.cut = fields[5], fields[6] == "1"
	if found.acked, err = parsePosition(fields[1] + "-" + fields[2]); err != nil {
		return found, err
	}
	if found.last, err = parsePosition(fields[3] + "-" + fields[4]); err != nil {
		return found, err
	}
	p.changes.ack(found.epoch, found.acked)
	return found, nil
}

// broadcast wakes all who wait for something that may have happened.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; closed at the next event; nil if nobody waits
}

// wait returns a channel that is closed at the next event.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
