// Package feed turns the changes of boards into few, numbered publications of
// their tops.
//
// A [Feed] follows a store's change log with a cursor. Of a board it remembers
// that it has changed, never the states that it went through: the first change
// of a quiet board is published at once, and while its window is open, which is
// the board's interval, changes only mark it as due. When the window closes the
// newest top is read, once, and published with its rev. If that fails it is
// tried again, with what is newest then; if nothing that a viewer sees is
// different, it is left out. Only afterwards is the log acknowledged, so that a
// change is published at least once, whatever happens in between.
//
// Several feeds may share a store whose log tells each board to one of them at a
// time. When that moves, the next one begins at what was acknowledged, so two
// may publish a board at once for a moment; their revs tell which table is the
// newer one. When the store has lost data, it tells its boards in a new epoch,
// and each of them is published, whatever was before.
package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/leaderboard"
)

// Source is the part of a [leaderboard.Store] that a feed works from.
type Source interface {
	Reader
	leaderboard.ChangeLog
}

// Publisher brings a table to those who watch its board. It drops a publication
// that is older than one it has had: numbering them is the feed's part, their
// order is the publisher's. Publish is called for several boards at once, and
// never twice at once for one.
type Publisher interface {
	Publish(ctx context.Context, p Publication) error
}

// Observer is told when a board has changed: at most once in a board's window,
// and even if the change is below the top. A read that begins afterwards sees
// the change. BoardChanged must not wait.
type Observer interface {
	BoardChanged(board string)
}

// Witness is shown the tops of boards that are read for publication, before their
// changes are acknowledged: at least one of each change, and one at a time of a board. As
// changes of a burst are folded, it sees what viewers see and no more. When it returns
// an error it is shown the board again, with what is newest then.
type Witness interface {
	Saw(ctx context.Context, top leaderboard.Page) error
}

// Options are the settings of a [Feed]. The zero value works.
type Options struct {
	Observer    Observer              // nil: nobody is told
	Witness     Witness               // nil: nobody is shown anything
	Concurrency int                   // boards that are published at the same time; 0 is 8
	Log         *slog.Logger          // nil: nothing is logged
	Metrics     prometheus.Registerer // nil: metrics are not shown

	// Trust is how long what was published is taken for what viewers have, so that
	// a table that looks the same can be left out. Where several feeds share a
	// store, it must be shorter than what it takes another one to get a board and
	// give it back. 0 is without end.
	Trust time.Duration
}

const (
	pullLimit = 256 // changes in one read of the log

	// The log is left alone while so many boards are waiting: a publisher that is
	// down makes the feed fall behind by its cursor, not grow.
	maxUnsettled = 1 << 14

	// Boards that are remembered. Forgetting a quiet one costs a publication that
	// could have been left out.
	maxRemembered = 1 << 16

	minRetry = 50 * time.Millisecond  // after the first failure of the log; twice as long each time
	maxRetry = time.Second            // between two attempts for the log or a board, unless the board's interval is longer
	ackPause = 100 * time.Millisecond // between two acknowledgements; what is told twice after a crash does no harm

	maxFailing = 10 // boards whose failures are logged at a time: all fail when the store or the publisher is away
)

// Feed publishes the boards of a source. Its Run must be called, once.
type Feed struct {
	source      Source
	publisher   Publisher
	observer    Observer
	witness     Witness
	concurrency int
	trust       time.Duration
	log         *slog.Logger
	metrics     *metrics
	seed        maphash.Seed

	// Owned by Run.

	boards    map[string]*board
	waiting   queue              // boards with something to do when their window closes
	unsettled int                // boards with a change that is not settled
	running   int                // attempts under way
	batches   []*batch           // what was read from the log and is not settled, in the log's order
	unacked   leaderboard.Cursor // settled up to here and not acknowledged; empty: nothing
	epoch     string             // of the last table that was read, of any board
	failing   int                // boards whose failures are logged
}

// board is what the feed remembers of one. A change is settled when a state
// that includes it has been published, or left out as nothing new.
type board struct {
	id       string
	told     uint64 // the newest rev that the log has told
	shown    shown
	top      int
	interval time.Duration

	since    time.Time // when the log told of the oldest change that is not settled
	window   time.Time // when it closes
	due      time.Time // when it is looked at, if there is a reason
	place    int       // in Feed.waiting, 1-based; 0: not waiting
	failures int       // attempts in a row
	logged   bool      // the first of them was
	trying   bool

	batch *batch // where the oldest change that is not settled was told, or nil
	again *batch // where the oldest one since the attempt under way began was told, or nil
}

// shown is the table that a board's viewers have, as far as this feed knows.
type shown struct {
	rev   uint64
	epoch string
	gone  bool      // the board was deleted
	sum   uint64    // of what a viewer sees of it; 0: not known
	at    time.Time // when that was certain
}

// batch is one reading of the log.
type batch struct {
	through leaderboard.Cursor
	open    int // boards that wait for a change of this batch to be settled
}

// New returns a feed that publishes the boards of source.
func New(source Source, publisher Publisher, opts Options) *Feed {
	f := &Feed{
		source:      source,
		publisher:   publisher,
		observer:    opts.Observer,
		witness:     opts.Witness,
		concurrency: opts.Concurrency,
		trust:       opts.Trust,
		log:         opts.Log,
		metrics:     newMetrics(opts.Metrics),
		seed:        maphash.MakeSeed(),
		boards:      map[string]*board{},
	}
	if f.concurrency == 0 {
		f.concurrency = 8
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// Run publishes until ctx is done, and then returns nil; what is not published
// by then the log tells again. It returns an error if the log has ended.
func (f *Feed) Run(ctx context.Context) error {
	parent := ctx
	ctx, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop(nil)

	told := make(chan reading)
	wg.Go(func() { stop(f.follow(ctx, told)) })
	acks := make(chan leaderboard.Cursor)
	wg.Go(func() { f.acknowledge(ctx, acks) })

	done := make(chan attempt)
	window := time.NewTimer(0) // for the board that is due next
	defer window.Stop()
	for {
		for b := f.next(time.Now()); b != nil; b = f.next(time.Now()) {
			a := f.begin(b)
			wg.Go(func() {
				a.try(ctx, f)
				if ctx.Err() != nil {
					return // nobody takes it, and its error may be only that
				}
				select {
				case done <- a:
				case <-ctx.Done():
				}
			})
		}

		// A case that has nothing to do now has a nil channel.
		var closes <-chan time.Time
		if first := f.waiting.first(); first != nil && f.running < f.concurrency {
			window.Reset(time.Until(first.due))
			closes = window.C
		}
		changes := told
		if f.unsettled >= maxUnsettled {
			changes = nil
		}
		settled := acks
		if f.unacked == "" {
			settled = nil
		}

		select {
		case <-closes:
		case r := <-changes:
			f.note(r, time.Now())
		case a := <-done:
			f.settle(a, time.Now())
		case settled <- f.unacked:
			f.unacked = ""
		case <-ctx.Done():
			if parent.Err() != nil {
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

// reading is a piece of the change log.
type reading struct {
	changes []leaderboard.Change
	through leaderboard.Cursor
}

// follow reads the change log until ctx is done or the store is closed. Other
// errors it takes for passing ones. After one it begins again at what is not
// acknowledged, in case the store does not know the cursor any more.
func (f *Feed) follow(ctx context.Context, told chan<- reading) error {
	var cursor leaderboard.Cursor
	for failures := 0; ; {
		changes, through, err := f.source.Changes(ctx, cursor, pullLimit)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, leaderboard.ErrShuttingDown):
			return fmt.Errorf("read the change log: %w", err)
		case err != nil:
			if failures++; failures == 1 {
				f.log.Error("cannot read the change log, trying again", "err", err)
			}
			cursor = ""
			if !pause(ctx, backOff(minRetry, failures)) {
				return ctx.Err()
			}
			continue
		}
		if failures > 0 {
			f.log.Info("reading the change log again", "failures", failures)
			failures = 0
		}
		cursor = through
		select {
		case told <- reading{changes, through}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// acknowledge passes on to the log up to where changes are settled, the newest
// of what it is given, until the log takes it.
func (f *Feed) acknowledge(ctx context.Context, acks <-chan leaderboard.Cursor) {
	var refused leaderboard.Cursor // empty: nothing
	for failures := 0; ; {
		through := refused
		if refused == "" {
			select {
			case through = <-acks:
			case <-ctx.Done():
				return
			}
		}
		select {
		case through = <-acks: // a newer one, which includes it
		default:
		}
		wait := ackPause
		switch err := f.source.Ack(ctx, through); {
		case ctx.Err() != nil:
			return
		case err == nil:
			refused, failures = "", 0
		default:
			if failures++; failures == 1 {
				f.log.Error("cannot acknowledge the change log, trying again", "err", err)
			}
			refused, wait = through, backOff(ackPause, failures)
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// backOff returns how long to wait after so many failures: first, then twice as
// long each time up to maxRetry, but never less than first.
func backOff(first time.Duration, failures int) time.Duration {
	wait := first
	for n := 1; n < failures && wait < maxRetry; n++ {
		wait *= 2
	}
	return max(first, min(wait, maxRetry))
}

// pause reports whether d has passed before ctx was done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// note marks the boards of a reading as changed.
func (f *Feed) note(r reading, now time.Time) {
	read := &batch{through: r.through}
	for _, change := range r.changes {
		b := f.remember(change.Board, now)
		b.told = change.Rev
		switch {
		case b.batch == nil:
			b.batch, b.since = read, now
			read.open++
			f.unsettled++
			b.due = b.dueFrom(now)
			f.waiting.put(b)
		case b.trying && b.again == nil:
			b.again = read
			read.open++
		case !b.trying && b.failures == 0:
			f.waiting.hasten(b, b.dueFrom(now))
		}
	}
	f.metrics.changed.Set(float64(f.unsettled))
	f.batches = append(f.batches, read)
	if read.open == 0 {
		f.close(read)
	}
}

// dueFrom returns when to look at a board that the log has told of. If the table
// shows a rev as high already, either it had the change before the log told of it
// or the rev is of a new epoch. The latter is seldom: it can wait for an interval.
func (b *board) dueFrom(now time.Time) time.Time {
	if b.told <= b.shown.rev {
		return now.Add(b.interval)
	}
	return b.window
}

// remember returns the state of a board.
func (f *Feed) remember(id string, now time.Time) *board {
	if b, ok := f.boards[id]; ok {
		return b
	}
	if len(f.boards) >= maxRemembered {
		f.forgetOne(now)
	}
	b := &board{id: id, top: leaderboard.DefaultTop, interval: leaderboard.DefaultInterval, window: now}
	f.boards[id] = b
	return b
}

// forgetOne looks at a few boards at random and forgets one that is quiet.
func (f *Feed) forgetOne(now time.Time) {
	looks := 8
	for id, b := range f.boards {
		if b.batch == nil && b.place == 0 && !b.window.After(now) {
			delete(f.boards, id)
			return
		}
		if looks--; looks == 0 {
			return
		}
	}
}

// next takes a board whose window has closed and that has changed, unless there
// is none or as many as may be are being published.
func (f *Feed) next(now time.Time) *board {
	for f.running < f.concurrency {
		b := f.waiting.first()
		if b == nil || b.due.After(now) {
			return nil
		}
		f.waiting.take()
		if b.batch != nil {
			return b
		}
		delete(f.boards, b.id) // it is gone
	}
	return nil
}

// attempt is one try to publish the newest state of a board. It works on copies
// of what it needs of the board, which belongs to Run.
type attempt struct {
	board *board
	told  uint64
	shown shown
	top   int
	epoch string // of a board that is gone before its table was read

	start   time.Time
	page    leaderboard.Page // what was read
	sum     uint64           // of what viewers see of it
	gone    bool             // the board does not exist any more
	skipped bool
	took    time.Duration
	err     error
	unclear bool // err is of the publication, which may have arrived all the same
	blind   bool // err is of the witness alone: viewers have what they are to have
}

func (f *Feed) begin(b *board) attempt {
	b.trying = true
	f.running++
	return attempt{board: b, told: b.told, shown: b.shown, top: b.top, epoch: cmp.Or(b.shown.epoch, f.epoch)}
}

// try reads the newest top and publishes it if it shows anything new.
func (a *attempt) try(ctx context.Context, f *Feed) {
	a.start = time.Now()
	defer func() { a.took = time.Since(a.start) }()

	id := a.board.id
	a.page, a.err = readTop(ctx, f.source, id, a.top)
	if errors.Is(a.err, leaderboard.ErrBoardNotFound) {
		a.gone, a.err = true, nil
		a.page.View = leaderboard.View{Season: 1, Rev: max(a.told, a.shown.rev), Epoch: a.epoch}
		if !a.shown.gone { // the log may not have told of the deletion, whose rev is above that of any table
			a.page.Rev = max(a.told, a.shown.rev+1)
		}
	}
	if a.err != nil {
		return
	}
	if f.observer != nil && a.moved() {
		f.observer.BoardChanged(id)
	}
	table, seen := encode(a.page)
	// Two tables with one sum: once in 2^64 comparisons, and until the next change.
	a.sum = max(1, maphash.Bytes(f.seed, table[:seen])) // 0 is that of a board that was never published
	// Viewers may not have taken the table of a deletion whose rev was not known yet.
	if f.knows(a.shown, a.sum, a.page.Epoch) && (!a.gone || a.page.Rev == a.shown.rev) {
		a.skipped = true
	} else if err := f.publisher.Publish(ctx, Publication{Board: id, Rev: a.page.Rev, Epoch: a.page.Epoch, Gone: a.gone, Data: table}); err != nil {
		a.err, a.unclear = fmt.Errorf("publish %q: %w", id, err), true
	}
	if f.witness == nil || a.gone {
		return
	}
	// Neither has to wait until the other does not fail any more.
	if err := f.witness.Saw(ctx, a.page); err != nil && a.err == nil {
		a.err, a.blind = fmt.Errorf("show %q to the witness: %w", id, err), true
	}
}

// moved reports whether the board has changed since it was read last.
func (a *attempt) moved() bool {
	return a.page.Rev != a.shown.rev || a.page.Epoch != a.shown.epoch || a.gone != a.shown.gone
}

// knows reports whether viewers certainly have a table that looks like this one.
func (f *Feed) knows(s shown, sum uint64, epoch string) bool {
	return s.sum == sum && s.epoch == epoch && (f.trust == 0 || time.Since(s.at) < f.trust)
}

// settle takes note of how an attempt ended and decides when the next one is due.
func (f *Feed) settle(a attempt, now time.Time) {
	b := a.board
	b.trying = false
	f.running--
	f.metrics.attempted(a, now)

	if a.err != nil {
		f.failed(a)
		if a.unclear {
			b.shown = shown{rev: a.page.Rev, epoch: a.page.Epoch, gone: a.gone}
		}
		if a.blind {
			b.shown = shown{rev: a.page.Rev, epoch: a.page.Epoch, sum: a.sum, at: a.start}
		}
		if b.again != nil { // waits for the older one, and so for the same attempt
			f.release(b.again)
			b.again = nil
		}
		b.window = now.Add(backOff(b.interval, b.failures))
		b.due = b.window
		f.waiting.put(b)
		return
	}
	f.recovered(b)

	b.shown = shown{rev: a.page.Rev, epoch: a.page.Epoch, gone: a.gone, sum: a.sum, at: a.start}
	if !a.gone {
		b.top, b.interval = a.page.Board.Top, a.page.Board.PublishInterval()
		f.epoch = a.page.Epoch
	}
	if a.moved() || !a.skipped {
		b.window = now.Add(b.interval)
	}
	f.release(b.batch)
	b.batch, b.again, b.since = b.again, nil, now.Add(-a.took)
	if b.batch == nil {
		f.unsettled--
		f.metrics.changed.Set(float64(f.unsettled))
	}
	b.due = b.dueFrom(now)
	if b.batch != nil || a.gone { // a board that is gone is forgotten when its window closes
		f.waiting.put(b)
	}
}

// failed counts a failure in a row. The first one of a board is logged, unless
// many boards fail.
func (f *Feed) failed(a attempt) {
	b := a.board
	if b.failures++; b.failures > 1 || f.failing >= maxFailing {
		return
	}
	f.failing++
	b.logged = true
	f.log.Warn("cannot publish, trying again", "board", b.id, "err", a.err)
}

func (f *Feed) recovered(b *board) {
	if b.logged {
		f.failing--
		f.log.Info("publishing again", "board", b.id, "failures", b.failures)
	}
	b.failures, b.logged = 0, false
}

// release takes one board off those that a batch waits for.
func (f *Feed) release(b *batch) {
	if b.open--; b.open == 0 {
		f.close(b)
	}
}

// close ends a batch that waits for no board. The first batch is acknowledged;
// another one goes with the one before it. So no more batches are kept than
// there are boards that they wait for, however long the first one lasts.
func (f *Feed) close(b *batch) {
	i := slices.Index(f.batches, b)
	if i == 0 {
		f.unacked = b.through
	} else {
		f.batches[i-1].through = b.through
	}
	f.batches = slices.Delete(f.batches, i, i+1)
}
