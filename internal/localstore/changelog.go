package localstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"laurel/internal/leaderboard"
)

// changeLog holds, for each board with changes that are not acknowledged, the
// newest of them. What is durable of it stands in the boards' states.
type changeLog struct {
	mu      sync.Mutex // guards all that follows
	records []record   // in order of seq; those that a newer one of their board stands for may linger
	newest  map[string]uint64
	last    uint64 // seq of the last change
	acked   uint64 // changes up to this one need not be told again
	more    chan struct{}
	closed  bool
}

type record struct {
	seq uint64
	leaderboard.Change
}

// load fills the log at the start. The records may come in any order; last is
// at least the seq of each.
func (l *changeLog) load(records []record, last, acked uint64) {
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.seq, b.seq) })
	l.last, l.acked = last, acked
	l.append(records)
}

// append adds changes, in order of seq, of boards of which each comes once.
func (l *changeLog) append(records []record) {
	if len(records) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest == nil {
		l.newest = make(map[string]uint64)
	}
	for _, r := range records {
		l.newest[r.Board] = r.seq
		l.last = max(l.last, r.seq)
	}
	l.records = append(l.records, records...)
	if len(l.records) > 2*len(l.newest)+64 {
		l.records = slices.DeleteFunc(l.records, func(r record) bool { return l.newest[r.Board] != r.seq })
	}
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// read returns at most limit changes after a place, and the place after them;
// or, if there are none, a channel that is closed when there are.
func (l *changeLog) read(after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, "", nil, errClosed
	}
	seq, err := l.parse(after)
	if err != nil {
		return nil, "", nil, err
	}
	seq = max(seq, l.acked)
	var changes []leaderboard.Change
	for _, r := range l.records[l.search(seq):] {
		if l.newest[r.Board] != r.seq {
			continue
		}
		if len(changes) == limit {
			break
		}
		if changes == nil {
			changes = make([]leaderboard.Change, 0, min(limit, len(l.newest)))
		}
		changes = append(changes, r.Change)
		seq = r.seq
	}
	if len(changes) > 0 {
		return changes, leaderboard.Cursor(strconv.FormatUint(seq, 10)), nil, nil
	}
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return nil, "", l.more, nil
}

// search returns the index of the first record after seq.
func (l *changeLog) search(seq uint64) int {
	i, _ := slices.BinarySearchFunc(l.records, seq, func(r record, seq uint64) int {
		if r.seq <= seq {
			return -1
		}
		return 1
	})
	return i
}

func (l *changeLog) parse(c leaderboard.Cursor) (uint64, error) {
	if c == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(string(c), 10, 64)
	if err != nil || seq > l.last {
		return 0, fmt.Errorf("cursor %q is not one of this store", c)
	}
	return seq, nil
}

func (l *changeLog) ack(through leaderboard.Cursor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	seq, err := l.parse(through)
	if err != nil || seq <= l.acked {
		return err
	}
	l.acked = seq
	told := l.search(seq)
	for _, r := range l.records[:told] {
		if l.newest[r.Board] == r.seq {
			delete(l.newest, r.Board)
		}
	}
	l.records = slices.Delete(l.records, 0, told)
	return nil
}

// place returns up to where the log is acknowledged.
func (l *changeLog) place() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// lastSeq returns the seq of the last change.
func (l *changeLog) lastSeq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// lag returns how many boards have changes that are not acknowledged.
func (l *changeLog) lag() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.newest)
}

// close ends the wait of every reader.
func (l *changeLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// Changes waits for changes; see [leaderboard.ChangeLog]. Only the newest change
// of each board is told. A closed store answers [leaderboard.ErrShuttingDown].
func (s *Store) Changes(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	for {
		changes, next, more, err := s.changes.read(after, limit)
		if more == nil {
			return changes, next, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, after, ctx.Err()
		}
	}
}

// Ack acknowledges changes. It does not wait for the disk: what was acknowledged
// becomes durable with the next group of writes, or when the store is closed, so
// that after a crash the last changes may be told again.
func (s *Store) Ack(_ context.Context, through leaderboard.Cursor) error {
	return s.changes.ack(through)
}
