package localstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
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

// The committer plans about so many operations until it looks whether the commit
// is done that is under way. Without, the disk would wait until all large requests
// are planned, and as they are answered together, do so each time.
const maxPieceOps = 256

type requestKind uint8

const (
	applyBatch requestKind = iota
	createBoard
	patchBoard
	deleteBoard
	recordNote
	settleMessage
	endSeason
	writeFinal
)

// request is a write that waits for the committer.
type request struct {
	kind  requestKind
	batch leaderboard.Batch
	board leaderboard.Board
	id    string // of the board; of a batch with a name, that of its first operation
	patch leaderboard.Patch
	end   leaderboard.End
	final *finalWrite

	once   string // empty: it has no name
	digest leaderboard.Digest
	at     int64 // ms, of one with a name

	outbox *outboxRequest // of recordNote and settleMessage

	taken atomic.Bool   // by the committer, or by a caller who gives up
	done  chan struct{} // gets one value when the answer is there

	answer

	// What follows is the committer's.

	plan    *boardPlan
	rev     uint64
	run     leaderboard.Run
	first   *kept // whose answer this one is to be given
	kept    *kept // of this one
	fallen  []fallen
	steps   [2]int // from, to: in the group
	touched [2]int
	ends    [2]int
}

type answer struct {
	outcome leaderboard.Outcome
	view    leaderboard.View
	left    []int // of recordNote
	err     error
}

var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

// newRequest returns a request that was not used, or that nobody uses any more.
func newRequest(kind requestKind) *request {
	r := requests.Get().(*request)
	r.kind = kind
	r.taken.Store(false)
	r.batch, r.board, r.id, r.patch = leaderboard.Batch{}, leaderboard.Board{}, "", leaderboard.Patch{}
	r.end, r.final, r.ends = leaderboard.End{}, nil, [2]int{}
	r.once, r.digest, r.at = "", leaderboard.Digest{}, 0
	r.answer, r.plan, r.first, r.kept, r.outbox, r.fallen = answer{}, nil, nil, nil, nil, nil
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

// load is how much work a group has taken.
type load struct{ ops, bytes int }

func (l *load) add(r *request) {
	l.ops += max(len(r.batch.Ops), 1)
	for i := range r.batch.Ops {
		l.bytes += len(r.batch.Ops[i].Member) + len(r.batch.Ops[i].Data)
	}
	if r.final != nil {
		l.bytes += 2 * finalBytes // or so
	}
}

func (l load) full() bool { return l.ops >= maxGroupOps || l.bytes >= maxGroupBytes }

// take appends to taken a piece of what waits, for a group that has some load
// already and may become full. It says whether that was the last: the queue is
// closed and empty. Those who gave up are left out.
func (q *queue) take(taken []*request, l load) (_ []*request, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, enough := 0, l.ops+maxPieceOps
	for _, r := range q.waiting {
		if l.full() || l.ops >= enough {
			break
		}
		n++
		if r.taken.CompareAndSwap(false, true) {
			l.add(r)
			taken = append(taken, r)
		}
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	if len(q.waiting) > 0 {
		q.signal()
	}
	return taken, q.closed && len(q.waiting) == 0
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
	r.setBatch(b)
	a, err := s.submit(ctx, r)
	return a.outcome, err
}

func (r *request) setBatch(b leaderboard.Batch) {
	r.batch = b
	if b.Once != "" {
		r.id, r.once, r.digest, r.at = b.Ops[0].Board, b.Once, b.OnceDigest, b.At.UnixMilli()
	}
}

// CreateBoard makes a board; see [leaderboard.Writer].
func (s *Store) CreateBoard(ctx context.Context, b leaderboard.Board) (leaderboard.View, error) {
	view, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: b.ID, Create: &b})
	return view, err
}

// PatchBoard changes settings; see [leaderboard.Writer].
func (s *Store) PatchBoard(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error) {
	view, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: id, Patch: &p})
	return view, err
}

// DeleteBoard removes a board; see [leaderboard.Writer].
func (s *Store) DeleteBoard(ctx context.Context, id string) error {
	_, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: id})
	return err
}

// ChangeBoard creates, patches or deletes a board, or ends its season, under a name if
// there is one; see [leaderboard.Writer].
func (s *Store) ChangeBoard(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
	r := newRequest(deleteBoard)
	r.id, r.once, r.digest = c.ID, c.Once, c.OnceDigest
	switch {
	case c.Create != nil:
		b := *c.Create
		if b.ZSet != "" {
			return leaderboard.View{}, false, leaderboard.Errorf(leaderboard.CodeInvalidBoard, "zset is %q: a ZSET can only be shown by a server that keeps its boards in Redis (serve --redis)", b.ZSet)
		}
		b.CreatedAt = time.UnixMilli(b.CreatedAt.UnixMilli()).UTC() // as it is after a restart
		r.kind, r.board = createBoard, b
	case c.Patch != nil:
		r.kind, r.patch = patchBoard, *c.Patch
		r.patch.At = instant(r.patch.At)
	case c.End != nil:
		r.kind, r.end = endSeason, *c.End
	}
	if r.once != "" {
		r.at = time.Now().UnixMilli()
	}
	a, err := s.submit(ctx, r)
	return a.view, a.outcome.Repeated, err
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
	groups     [2]group // take turns: one is planned while the other is in flight
	next       *group   // the one that is being planned
	flight     *flight  // of the other one; nil if it is empty
	taken      []*request
	nextNumber uint32   // of the next board
	counting   []*board // with submits
	garbage    []garbage
	today      uint32 // the latest day that a batch with a name was of
	last       uint64 // seq of the last change that was written; its commit may be under way
	acked      uint64 // as it is on disk
	doubt      [][]byte
	behind     int // bytes committed since Pebble was last asked how far behind it is
}

// flight is a batch on its way to the disk.
type flight struct {
	group   *group // what it is the batch of, if of one
	acked   uint64 // what is on disk with it
	batch   *pebble.Batch
	repr    []byte
	timeout *time.Timer
	done    chan error // gets what came of it; holds two, as that may still come after the timeout
}

// run is the committer.
func (s *Store) run() {
	defer close(s.stopped)
	for i := range s.groups {
		s.groups[i].store = s
		s.groups[i].boards = make(map[string]*boardPlan)
		s.groups[i].names = make(map[string]*kept)
	}
	s.next = &s.groups[0]
	s.last = s.changes.lastSeq()
	for {
		if failed := s.serve(); !failed || !s.heal() {
			break
		}
	}
	s.closing = s.shut()
}

// serve carries out requests until the disk fails, or until the queue is closed
// and empty. While the commit of one group is under way, it finishes the group before
// and plans the one after.
func (s *Store) serve() (failed bool) {
	look := time.NewTicker(s.opts.RetryInterval)
	defer look.Stop()
	s.lookForRoom()
	for {
		ended := s.gather()
		if ended && s.flight == nil && len(s.next.requests) == 0 && len(s.garbage) == 0 {
			return false
		}
		if err := s.advance(look.C); err != nil {
			s.abort(err)
			return true
		}
	}
}

// gather plans what waits, as far as there is room for it in the next group. It
// says whether that was the last.
func (s *Store) gather() (ended bool) {
	s.taken, ended = s.queue.take(s.taken[:0], s.next.load)
	if full := s.full.Load(); full != nil {
		refuse(s.taken, full)
		return ended
	}
	for _, r := range s.taken {
		s.next.add(r)
	}
	return ended
}

// advance gives the disk something to do, if it has nothing and there is something,
// or else waits for what comes next. An error is the disk's.
func (s *Store) advance(look <-chan time.Time) error {
	ready, fenced := s.queue.ready, s.disk.fence.closed
	var done chan error
	switch {
	case s.flight != nil:
		done, fenced = s.flight.done, nil // it will be told of the fence
	case len(s.next.requests) > 0:
		return s.launch()
	case len(s.garbage) > 0:
		return s.sweep()
	}
	if s.next.load.full() {
		ready = nil
	}
	select {
	case err := <-done:
		return s.land(err)
	case <-ready:
	case <-look:
		s.lookForRoom()
		s.forgetCounts()
	case <-fenced:
		return s.disk.fence.err()
	}
	return nil
}

// launch starts the commit of the next group. From then on the other one, which
// is empty or about to be finished, is the next. After an error nothing was started.
func (s *Store) launch() error {
	s.awaitFlush()
	if err := s.disk.fence.err(); err != nil {
		return err
	}
	g := s.next
	batch := s.disk.db.NewBatch()
	if err := g.write(batch, s.last); err != nil {
		return err
	}
	s.last += uint64(len(g.records))
	acked := s.acked
	if place := s.changes.place(); place != acked && !batch.Empty() {
		acked = place
		if err := batch.Set(ackedKey, binary.AppendUvarint(nil, acked), nil); err != nil {
			return err
		}
	}
	s.flight = s.begin(batch, true)
	s.flight.group, s.flight.acked = g, acked
	if s.next = &s.groups[0]; s.next == g {
		s.next = &s.groups[1]
	}
	return nil
}

// land finishes the group in flight, if no error came of it. If there is a next
// group, its commit is started first, so that the disk is at work while memory
// is changed. After an error, the groups that are not finished are to be refused.
func (s *Store) land(err error) error {
	f := s.flight
	if err := s.end(f, err); err != nil {
		return err
	}
	s.flight, s.acked = nil, f.acked
	if len(s.next.keepers) > 0 {
		// What they will be answered is worked out over the memory that this group leaves.
		s.finish(f.group)
		return s.launch()
	}
	if len(s.next.requests) > 0 {
		err = s.launch()
		runtime.Gosched() // or the commit's goroutine may have to wait for this one
	}
	s.finish(f.group)
	return err
}

// finish does in memory what a group did on the disk, and answers.
func (s *Store) finish(g *group) {
	g.apply()
	s.garbage = append(s.garbage, g.garbage...)
	s.changes.append(g.records)
	s.metrics.observe(g)
	for _, r := range g.requests {
		r.done <- struct{}{}
	}
	g.reset()
}

// abort gives the disk up. It refuses the group in flight, of which it is in doubt
// what is on the disk, as well as the next one, which was planned over it.
func (s *Store) abort(cause error) {
	s.fail(cause)
	s.flight = nil
	for i := range s.groups {
		g := &s.groups[i]
		g.uncountAll()
		g.unmirror()
		refuse(g.requests, s.trouble.Load())
		g.reset()
	}
}

// begin starts a commit. The fence closes if it takes too long.
func (s *Store) begin(batch *pebble.Batch, durable bool) *flight {
	d, start := s.disk, time.Now()
	f := &flight{batch: batch, repr: batch.Repr(), done: make(chan error, 2)}
	s.behind += len(f.repr)
	f.timeout = time.AfterFunc(s.opts.CommitTimeout, func() {
		err := fmt.Errorf("a commit took longer than %v", s.opts.CommitTimeout)
		d.fence.close(err)
		f.done <- err
	})
	if batch.Empty() {
		f.done <- nil
		return f
	}
	d.commits.Go(func() {
		err := d.commit(batch, durable)
		if err == nil {
			s.metrics.commit.Observe(time.Since(start).Seconds())
		}
		f.done <- err
	})
	return f
}

// end is to be called with what came of a commit, and returns it. After an error
// it is in doubt whether the batch is on the disk.
func (s *Store) end(f *flight, err error) error {
	f.timeout.Stop()
	if err != nil {
		s.doubt = append(s.doubt, f.repr)
		return err
	}
	return f.batch.Close()
}

// commit writes a batch and waits for it, though not for ever.
func (s *Store) commit(batch *pebble.Batch, durable bool) error {
	f := s.begin(batch, durable)
	return s.end(f, <-f.done)
}

// awaitFlush waits while more of the tables in Pebble's memory wait to be written to disk
// than is sensible. If that takes too long, the fence closes. No commit may be
// under way, as nobody would look after it.
func (s *Store) awaitFlush() {
	const most = 4
	if s.behind < s.opts.MemTableSize/2 {
		return
	}
	timeout := time.NewTimer(s.opts.CommitTimeout)
	defer timeout.Stop()
	for s.disk.db.Metrics().MemTable.Size > uint64(most*s.opts.MemTableSize) {
		select {
		case <-s.disk.flushed:
		case <-s.disk.fence.closed:
			return
		case <-timeout.C:
			s.disk.fence.close(fmt.Errorf("the database wrote nothing for %v", s.opts.CommitTimeout))
			return
		}
	}
	s.behind = 0
}

// sweep removes what deleted boards, and seasons that are not kept, have left on the
// disk. It waits for nothing: if it is lost in a crash, the next start does it again.
func (s *Store) sweep() error {
	batch := s.disk.db.NewBatch()
	for _, x := range s.garbage {
		for _, prefix := range []byte(x.prefixes()) {
			from, to := keysOf(prefix, x.number, x.season)
			if err := batch.DeleteRange(from, to, nil); err != nil {
				return err
			}
		}
		if err := batch.Delete(x.key(nil), nil); err != nil {
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
func refuse(taken []*request, err error) {
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
	s.setReadable(nil)
	var err error
	if acked := s.changes.place(); acked != s.acked && s.trouble.Load() == nil {
		batch := s.disk.db.NewBatch()
		err = cmp.Or(batch.Set(ackedKey, binary.AppendUvarint(nil, acked), nil), s.commit(batch, true))
	}
	return errors.Join(err, s.disk.close())
}
