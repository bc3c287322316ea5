package localstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
)

// A group takes what waits, up to these bounds, so that no commit gets large and
// no reader waits long; a single request may be larger.
const (
	maxGroupOps   = 4096
	maxGroupBytes = 4 << 20
)

type requestKind uint8

const (
	applyBatch requestKind = iota
	createBoard
	patchBoard
	deleteBoard
)

// request is a write that waits for the committer.
type request struct {
	kind  requestKind
	batch leaderboard.Batch
	board leaderboard.Board
	id    string
	patch leaderboard.Patch

	taken atomic.Bool   // by the committer, or by a caller who gives up
	done  chan struct{} // gets one value when the answer is there

	answer

	// What follows is the committer's.

	plan    *boardPlan
	rev     uint64
	steps   [2]int // from, to: in the group
	touched [2]int
}

type answer struct {
	outcome leaderboard.Outcome
	view    leaderboard.View
	err     error
}

var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

// newRequest returns a request that was not used, or that nobody uses any more.
func newRequest(kind requestKind) *request {
	r := requests.Get().(*request)
	r.kind = kind
	r.taken.Store(false)
	r.batch, r.board, r.id, r.patch = leaderboard.Batch{}, leaderboard.Board{}, "", leaderboard.Patch{}
	r.answer, r.plan = answer{}, nil
	return r
}

// queue is what waits for the committer. It needs no bound: everybody who is in
// it waits for the answer.
type queue struct {
	mu      sync.Mutex // guards what follows
	waiting []*request
	closed  bool

	ready chan struct{} // gets something when there is something to look at; holds one
}

func (q *queue) push(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.waiting = append(q.waiting, r)
	if len(q.waiting) == 1 {
		q.signal()
	}
	return nil
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// take appends to group what waits, within the bounds of a group, and says whether
// the queue is closed. Those who gave up are left out.
func (q *queue) take(group []*request) (_ []*request, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, ops, size := 0, 0, 0
	for _, r := range q.waiting {
		if n > 0 && (ops >= maxGroupOps || size >= maxGroupBytes) {
			break
		}
		n++
		if !r.taken.CompareAndSwap(false, true) {
			continue
		}
		ops += max(len(r.batch.Ops), 1)
		for i := range r.batch.Ops {
			size += len(r.batch.Ops[i].Member) + len(r.batch.Ops[i].Data)
		}
		group = append(group, r)
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group, q.closed
}

// submit hands a request to the committer and waits for the answer.
func (s *Store) submit(ctx context.Context, r *request) (answer, error) {
	err := ctx.Err()
	if err == nil {
		err = s.refusal()
	}
	if err == nil {
		err = s.queue.push(r)
	}
	if err != nil {
		requests.Put(r)
		return answer{}, err
	}
	select {
	case <-r.done:
		a := r.answer
		requests.Put(r)
		return a, a.err
	case <-ctx.Done():
		r.taken.Store(true) // in vain, if the committer has it
		return answer{}, ctx.Err()
	}
}

// Apply carries out a batch; see [leaderboard.Writer]. The batch must not be
// changed afterwards, not even when the context has ended the wait: the store may
// be at it still.
func (s *Store) Apply(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
	r := newRequest(applyBatch)
	r.batch = b
	a, err := s.submit(ctx, r)
	return a.outcome, err
}

// CreateBoard makes a board; see [leaderboard.Writer].
func (s *Store) CreateBoard(ctx context.Context, b leaderboard.Board) (leaderboard.View, error) {
	r := newRequest(createBoard)
	b.CreatedAt = time.UnixMilli(b.CreatedAt.UnixMilli()).UTC() // as it is after a restart
	r.board = b
	a, err := s.submit(ctx, r)
	return a.view, err
}

// PatchBoard changes settings; see [leaderboard.Writer].
func (s *Store) PatchBoard(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error) {
	r := newRequest(patchBoard)
	r.id, r.patch = id, p
	a, err := s.submit(ctx, r)
	return a.view, err
}

// DeleteBoard removes a board; see [leaderboard.Writer].
func (s *Store) DeleteBoard(ctx context.Context, id string) error {
	r := newRequest(deleteBoard)
	r.id = id
	_, err := s.submit(ctx, r)
	return err
}

// Writable returns nil if writes are taken; see [leaderboard.Writer].
func (s *Store) Writable() error {
	if s.queue.isClosed() {
		return errClosed
	}
	return s.refusal()
}

// refusal returns why writes are refused for now, or nil.
func (s *Store) refusal() error {
	if trouble := s.trouble.Load(); trouble != nil {
		return trouble
	}
	if full := s.full.Load(); full != nil {
		return full
	}
	return nil
}

// committer is what only the committer's goroutine uses.
type committer struct {
	disk       *disk
	group      group
	taken      []*request
	timeout    *time.Timer
	nextNumber uint32 // of the next board
	garbage    []uint32
	acked      uint64 // as it is on disk
	doubt      [][]byte
	behind     int // bytes committed since Pebble was last asked how far behind it is
}

// run is the committer.
func (s *Store) run() {
	defer close(s.stopped)
	s.group.store = s
	s.group.boards = make(map[string]*boardPlan)
	s.timeout = time.NewTimer(time.Hour)
	s.timeout.Stop()
	for {
		if failed := s.serve(); !failed || !s.heal() {
			break
		}
	}
	s.closing = s.shut()
}

// serve carries out requests until the disk fails, or until the queue is closed
// and empty.
func (s *Store) serve() (failed bool) {
	look := time.NewTicker(s.opts.RetryInterval)
	defer look.Stop()
	s.lookForRoom()
	for {
		var closed bool
		s.taken, closed = s.queue.take(s.taken[:0])
		switch {
		case len(s.taken) > 0:
			if !s.process(s.taken) {
				return true
			}
			select {
			case <-look.C:
				s.lookForRoom()
			default:
			}
			continue
		case len(s.garbage) > 0:
			if err := s.sweep(); err != nil {
				s.fail(err)
				return true
			}
		case closed:
			return false
		}
		select {
		case <-s.queue.ready:
		case <-look.C:
			s.lookForRoom()
		case <-s.disk.fence.closed:
			s.fail(s.disk.fence.err())
			return true
		}
	}
}

// process carries out requests as one group, and answers them. It returns false
// if the disk failed.
func (s *Store) process(taken []*request) bool {
	if full := s.full.Load(); full != nil {
		s.refuse(taken, full)
		return true
	}
	g := &s.group
	g.reset()
	for _, r := range taken {
		g.add(r)
	}
	if err := s.commitGroup(g); err != nil {
		s.fail(err)
		s.refuse(taken, s.trouble.Load())
		return false
	}
	g.apply()
	s.garbage = append(s.garbage, g.garbage...)
	s.changes.append(g.records)
	s.metrics.observe(g)
	for _, r := range taken {
		r.done <- struct{}{}
	}
	return true
}

func (s *Store) commitGroup(g *group) error {
	if err := s.disk.fence.err(); err != nil {
		return err
	}
	batch := s.disk.db.NewBatch()
	if err := g.write(batch, s.changes.lastSeq()); err != nil {
		return err
	}
	if batch.Empty() {
		return batch.Close()
	}
	acked := s.changes.place()
	if acked != s.acked {
		if err := batch.Set(ackedKey, binary.AppendUvarint(nil, acked), nil); err != nil {
			return err
		}
	}
	if err := s.commit(batch, true); err != nil {
		return err
	}
	s.acked = acked
	return nil
}

// commit writes a batch and waits for it, though not for ever. After an error
// it is in doubt whether the batch is on the disk.
func (s *Store) commit(batch *pebble.Batch, durable bool) error {
	start := time.Now()
	d, repr := s.disk, batch.Repr()
	s.behind += len(repr)
	done := make(chan error, 1)
	d.commits.Go(func() {
		err := d.commit(batch, durable)
		if err == nil {
			err = batch.Close()
		}
		done <- err
	})
	s.timeout.Reset(s.opts.CommitTimeout)
	var err error
	select {
	case err = <-done:
		s.timeout.Stop()
	case <-s.timeout.C:
		err = fmt.Errorf("a commit took longer than %v", s.opts.CommitTimeout)
		d.fence.close(err)
	}
	if err != nil {
		s.doubt = append(s.doubt, repr)
		return err
	}
	s.metrics.commit.Observe(time.Since(start).Seconds())
	return s.awaitFlush()
}

// awaitFlush waits while more of the tables in Pebble's memory wait to be written to disk
// than is sensible.
func (s *Store) awaitFlush() error {
	const most = 4
	if s.behind < s.opts.MemTableSize/2 {
		return nil
	}
	s.timeout.Reset(s.opts.CommitTimeout)
	defer s.timeout.Stop()
	for s.disk.db.Metrics().MemTable.Size > uint64(most*s.opts.MemTableSize) {
		select {
		case <-s.disk.flushed:
		case <-s.disk.fence.closed:
			return nil // which the next group will notice
		case <-s.timeout.C:
			s.disk.fence.close(fmt.Errorf("the database wrote nothing for %v", s.opts.CommitTimeout))
			return nil
		}
	}
	s.behind = 0
	return nil
}

// sweep removes the entries of deleted boards from the disk. It waits for
// nothing: if it is lost in a crash, the next start does it again.
func (s *Store) sweep() error {
	batch := s.disk.db.NewBatch()
	for _, number := range s.garbage {
		from, to := entriesOf(number)
		if err := batch.DeleteRange(from, to, nil); err != nil {
			return err
		}
		if err := batch.Delete(appendGarbageKey(nil, number), nil); err != nil {
			return err
		}
	}
	if err := s.commit(batch, false); err != nil {
		return err
	}
	s.garbage = s.garbage[:0]
	return nil
}

// refuse answers requests with an error.
func (s *Store) refuse(taken []*request, err error) {
	for _, r := range taken {
		r.answer = answer{err: err}
		r.done <- struct{}{}
	}
}

// shut closes the database.
func (s *Store) shut() error {
	if s.disk == nil {
		return nil // it failed, and did not come back
	}
	var err error
	if acked := s.changes.place(); acked != s.acked && s.trouble.Load() == nil {
		batch := s.disk.db.NewBatch()
		err = cmp.Or(batch.Set(ackedKey, binary.AppendUvarint(nil, acked), nil), s.commit(batch, true))
	}
	return errors.Join(err, s.disk.close())
}
