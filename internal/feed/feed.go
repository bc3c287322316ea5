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
package feed

import (
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

// Options are the settings of a [Feed]. The zero value works.
type Options struct {
	Observer    Observer              // nil: nobody is told
	Concurrency int                   // boards that are published at the same time; 0 is 8
	Log         *slog.Logger          // nil: nothing is logged
	Metrics     prometheus.Registerer // nil: metrics are not shown
}

const (
	pullLimit = 256 // changes in one read of the log

	// The log is left alone while so many boards are waiting: a publisher that is
	// down makes the feed fall behind by its cursor, not grow.
	maxUnsettled = 1 << 14

	// Boards that are remembered. Forgetting a quiet one costs a publication that
	// could have been left out.
	maxRemembered = 1 << 16

	maxRetry = time.Second            // between two attempts for a board, unless its interval is longer
	ackPause = 100 * time.Millisecond // between two acknowledgements; what is told twice after a crash does no harm
)

// Feed publishes the boards of a source. Its Run must be called, once.
type Feed struct {
	source      Source
	publisher   Publisher
	observer    Observer
	concurrency int
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
	epoch     string             // of the last table that was read
}

// board is what the feed remembers of one. A change is settled when a state
// that includes it has been published, or left out as nothing new.
type board struct {
	id       string
	told     uint64 // the newest rev that the log has told
	settled  uint64 // the rev that was published last
	sum      uint64 // of what a viewer saw of that
	top      int
	interval time.Duration

	since    time.Time // when the log told of the oldest change that is not settled
	due      time.Time // when the window closes
	place    int       // in Feed.waiting, 1-based; 0: not waiting
	failures int       // attempts in a row
	trying   bool
	gone     bool // deleted, and to be forgotten when the window closes

	batch *batch // where the oldest change that is not settled was told, or nil
	again *batch // where the oldest one since the attempt under way began was told, or nil
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
		concurrency: opts.Concurrency,
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
// errors it takes for passing ones.
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
				f.log.Error("cannot read the change log", "err", err)
			}
			if !pause(ctx, maxRetry) {
				return ctx.Err()
			}
			continue
		}
		failures = 0
		cursor = through
		select {
		case told <- reading{changes, through}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// acknowledge passes on to the log up to where changes are settled, the newest
// of what it is given.
func (f *Feed) acknowledge(ctx context.Context, acks <-chan leaderboard.Cursor) {
	for failures := 0; ; {
		select {
		case through := <-acks:
			switch err := f.source.Ack(ctx, through); {
			case ctx.Err() != nil:
				return
			case err == nil:
				failures = 0
			default:
				// The next acknowledgement includes this one.
				if failures++; failures == 1 {
					f.log.Error("cannot acknowledge the change log", "err", err)
				}
			}
			if !pause(ctx, ackPause) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
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
		if change.Rev <= b.settled {
			continue // it was in the table already when the log told of it
		}
		b.told = max(b.told, change.Rev)
		switch {
		case b.batch == nil:
			b.batch, b.since = read, now
			read.open++
			f.unsettled++
			f.waiting.put(b)
		case b.trying && b.again == nil:
			b.again = read
			read.open++
		}
	}
	f.metrics.changed.Set(float64(f.unsettled))
	f.batches = append(f.batches, read)
	if read.open == 0 {
		f.close(read)
	}
}

// remember returns the state of a board.
func (f *Feed) remember(id string, now time.Time) *board {
	if b, ok := f.boards[id]; ok {
		return b
	}
	if len(f.boards) >= maxRemembered {
		f.forgetOne(now)
	}
	b := &board{id: id, top: leaderboard.DefaultTop, interval: leaderboard.DefaultInterval, due: now}
	f.boards[id] = b
	return b
}

// forgetOne looks at a few boards at random and forgets one that is quiet.
func (f *Feed) forgetOne(now time.Time) {
	looks := 8
	for id, b := range f.boards {
		if b.batch == nil && b.place == 0 && !b.due.After(now) {
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
	seen  uint64 // the sum of what viewers see now
	top   int
	epoch string

	page    leaderboard.Page // what was read
	sum     uint64           // of what viewers see of it
	gone    bool             // the board does not exist any more
	skipped bool
	took    time.Duration
	err     error
}

func (f *Feed) begin(b *board) attempt {
	b.trying = true
	f.running++
	return attempt{board: b, told: b.told, seen: b.sum, top: b.top, epoch: f.epoch}
}

// try reads the newest top and publishes it if it shows anything new.
func (a *attempt) try(ctx context.Context, f *Feed) {
	start := time.Now()
	defer func() { a.took = time.Since(start) }()

	id := a.board.id
	a.page, a.err = readTop(ctx, f.source, id, a.top)
	if errors.Is(a.err, leaderboard.ErrBoardNotFound) {
		a.gone, a.err = true, nil
		a.page.View = leaderboard.View{Season: 1, Rev: a.told, Epoch: a.epoch}
	}
	if a.err != nil {
		return
	}
	if f.observer != nil {
		f.observer.BoardChanged(id)
	}
	table, seen := encode(a.page)
	// Two tables with one sum: once in 2^64 comparisons, and until the next change.
	a.sum = max(1, maphash.Bytes(f.seed, table[:seen])) // 0 is that of a board that was never published
	if a.sum == a.seen {
		a.skipped = true
		return
	}
	if err := f.publisher.Publish(ctx, Publication{Board: id, Rev: a.page.Rev, Epoch: a.page.Epoch, Data: table}); err != nil {
		a.err = fmt.Errorf("publish %q: %w", id, err)
	}
}

// settle takes note of how an attempt ended and decides when the next one is due.
func (f *Feed) settle(a attempt, now time.Time) {
	b := a.board
	b.trying = false
	f.running--
	f.metrics.attempted(a, now)

	if a.err != nil {
		if b.failures++; b.failures == 1 {
			f.log.Warn("cannot publish, trying again", "board", b.id, "err", a.err)
		}
		if b.again != nil { // waits for the older one, and so for the same attempt
			f.release(b.again)
			b.again = nil
		}
		b.due = now.Add(b.retryIn())
		f.waiting.put(b)
		return
	}
	if b.failures > 0 {
		f.log.Info("publishing again", "board", b.id, "failures", b.failures)
		b.failures = 0
	}

	b.settled, b.sum, b.gone = a.page.Rev, a.sum, a.gone
	if !a.gone {
		b.top, b.interval = a.page.Board.Top, a.page.Board.PublishInterval()
		f.epoch = a.page.Epoch
	}
	f.release(b.batch)
	b.batch, b.again, b.since = b.again, nil, now.Add(-a.took)
	if b.batch != nil && b.told <= b.settled { // told late: the table had it
		f.release(b.batch)
		b.batch = nil
	}
	if b.batch == nil {
		f.unsettled--
		f.metrics.changed.Set(float64(f.unsettled))
	}
	b.due = now.Add(b.interval)
	if b.batch != nil || b.gone {
		f.waiting.put(b)
	}
}

// retryIn returns how long to wait after so many failures: the interval, then
// twice as long each time up to maxRetry.
func (b *board) retryIn() time.Duration {
	wait := b.interval
	for n := 1; n < b.failures && wait < maxRetry; n++ {
		wait *= 2
	}
	return max(b.interval, min(wait, maxRetry))
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
