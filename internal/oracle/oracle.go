// Package oracle runs the whole server under simulated traffic and faults and
// compares what comes out with what it was told.
//
// The server is the real binary in a process of its own, which is killed with
// kill -9, stopped with SIGTERM and paused at random moments. Writers submit
// what a [sim.World] plays, singly and in batches, and each member belongs to
// one writer, which therefore knows what the server has to answer. When a
// request ends without an answer the writer asks, after the restart, whether it
// was done: entirely or not at all. Viewers follow boards over real connections
// and within an epoch never may see a rev go down. At the end everything that was
// acknowledged is on the boards, in the right order, and each viewer has the top
// that the store has.
//
// What is put to the test is one server, see [Run], or in this package's tests
// several nodes with nginx before them and Redis behind, where also Redis is
// restarted, emptied and failed over, and cut off from nodes.
package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"laurel/client"
	"laurel/internal/sim"
)

// Options are the settings of a run.
type Options struct {
	Binary   string        // path of laurel
	Dir      string        // the data directory, and where the server's log goes
	Seed     uint64        // of the traffic and of the faults
	Duration time.Duration // of the traffic
	Rate     float64       // submissions a second; 0 is 500
	Members  int           // 0 is 300
	Writers  int           // 0 is 16
	Viewers  int           // on each board; 0 is 4
}

// Report is what happened in a run.
type Report struct {
	Acknowledged int // submissions that were answered
	Doubted      int // submissions whose request ended without an answer
	Found        int // of these, the ones that were found done
	Faults       map[string]int
	Seasons      int           // of a board whose seasons are ended
	Late         int           // requests that went to a season that had ended
	Imports      int           // that filled a board
	Rebuilt      int           // times that a board was deleted and created again
	Tables       int           // that viewers were sent
	Epochs       int           // times that a viewer was told a new epoch
	Settled      time.Duration // from the last answer until every viewer had the newest top
}

// settleLimit is how long viewers may take to have the newest top when writes
// have stopped. It is far more than the promise, one interval and a second, so
// that a busy machine does not look like a fault; the report has the figure.
const settleLimit = 20 * time.Second

// place is what is put to the test.
type place interface {
	address() string     // where writers and readers go
	viewed(i int) string // where the i-th viewer goes

	// forgets reports whether what was acknowledged may be gone in a new epoch.
	forgets() bool

	// disturb does something bad, of which it returns the name, and mends it. The
	// first faults, as many as least says, are made however short the run is.
	disturb(ctx context.Context, r *run, rng *rand.Rand) (string, error)
	least() int

	// over waits until a request cannot be carried out any more that was made
	// after a moment and has ended without an answer.
	moment() int
	over(ctx context.Context, moment int) error

	// excuses reports whether a fault may have led to an answer.
	excuses(*client.Error) bool
}

// Run runs one server, lets the world play for the duration and then compares.
// Its error is what the server did wrong, or what kept the run from being made.
func Run(ctx context.Context, opts Options) (Report, error) {
	srv, err := newServer(ctx, opts.Binary, opts.Dir, "server", "--data", filepath.Join(opts.Dir, "data"))
	if err != nil {
		return Report{}, err
	}
	defer srv.close()
	if err := srv.start(ctx); err != nil {
		return Report{}, err
	}
	return runOn(ctx, single{srv}, opts)
}

// runOn lets the world play on a place that is running.
func runOn(ctx context.Context, on place, opts Options) (Report, error) {
	if opts.Rate == 0 {
		opts.Rate = 500
	}
	if opts.Members == 0 {
		opts.Members = 300
	}
	if opts.Writers == 0 {
		opts.Writers = 16
	}
	if opts.Viewers == 0 {
		opts.Viewers = 4
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	api, err := client.New("http://"+on.address(), client.Options{APIKey: key})
	if err != nil {
		return Report{}, err
	}
	defer api.Close()

	world := sim.New(opts.Seed, sim.Options{Members: opts.Members, Rate: opts.Rate, Tutorial: true})
	books, err := openBooks(ctx, api, world)
	if err != nil {
		return Report{}, err
	}
	run := &run{opts: opts, place: on, api: api, books: books, fail: fail, report: Report{Faults: map[string]int{}}}
	report, err := run.play(ctx, world)
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx) // what ended the run, rather than what came of its end
	}
	return report, err
}

type run struct {
	opts  Options
	place place
	api   *client.Client
	books map[string]*book
	fail  context.CancelCauseFunc

	lives lives

	mu     sync.Mutex
	report Report // guarded by mu
}

func (r *run) count(change func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.report)
}

func (r *run) play(ctx context.Context, world *sim.World) (Report, error) {
	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer stopWatching()
	var viewers []*viewer
	for _, id := range slices.Sorted(maps.Keys(r.books)) {
		b := r.books[id]
		for range r.opts.Viewers {
			v, err := r.view(b, len(viewers))
			if err != nil {
				return r.report, err
			}
			defer v.close()
			viewers = append(viewers, v)
		}
		watchers.Go(func() { r.poll(watching, b) })
	}

	// Faults end before the traffic does, so that the writers find a server
	// which answers what they still have to ask.
	playing, stopPlaying := context.WithCancel(ctx)
	defer stopPlaying()
	var writers, faults sync.WaitGroup
	faults.Go(func() {
		defer stopPlaying()
		r.disturb(ctx)
	})
	writers.Go(func() { r.rebuild(ctx, playing) })
	var beside *arena
	if !r.place.forgets() { // it would be known no longer what has to be
		var err error
		if beside, err = r.openArena(ctx); err != nil {
			return r.report, err
		}
		beside.play(ctx, playing, &writers)
	}
	r.write(ctx, playing, world, &writers)
	faults.Wait()
	writers.Wait()
	if ctx.Err() != nil {
		return r.report, ctx.Err()
	}
	if err := r.settle(ctx, viewers); err != nil {
		return r.report, err
	}
	for _, b := range r.books {
		if err := b.audit(ctx, r.api); err != nil {
			return r.report, fmt.Errorf("board %q: %w", b.board.ID, err)
		}
	}
	if beside != nil {
		if err := beside.audit(ctx); err != nil {
			return r.report, fmt.Errorf("board %q: %w", arenaBoard, err)
		}
		r.report.Seasons, r.report.Late, r.report.Imports = beside.season, beside.late, beside.imports
	}
	return r.report, nil
}

// disturb does things to the place until the time is over, and leaves it running.
func (r *run) disturb(ctx context.Context) {
	done := false
	defer func() {
		if !done && ctx.Err() == nil {
			r.fail(errors.New("a fault could not be made")) // the test says why
		}
	}()
	rng := rand.New(rand.NewPCG(r.opts.Seed, 1))
	timed, cancel := context.WithTimeout(ctx, r.opts.Duration)
	defer cancel()
	for n := 0; n < r.place.least() || timed.Err() == nil; n++ {
		wait := 200*time.Millisecond + time.Duration(rng.Int64N(int64(1500*time.Millisecond)))
		waiting := timed
		if n < r.place.least() {
			waiting = ctx
		}
		if !pause(waiting, wait) {
			break
		}
		name, err := r.place.disturb(ctx, r, rng)
		r.count(func(rep *Report) { rep.Faults[name]++ })
		if err != nil {
			if ctx.Err() == nil {
				r.fail(fmt.Errorf("%s: %w", name, err))
			}
			break
		}
	}
	done = true
}

// settle waits until every viewer has the top that the store has.
func (r *run) settle(ctx context.Context, viewers []*viewer) error {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, settleLimit, errors.New("viewers do not come to the newest top"))
	defer cancel()
	for _, v := range viewers {
		top, err := r.api.Top(ctx, v.book.board.ID, v.book.board.Top)
		if err != nil {
			return fmt.Errorf("read the top of %q: %w", v.book.board.ID, err)
		}
		for v.differs(top) != nil {
			select {
			case <-v.news:
			case <-ctx.Done():
				return fmt.Errorf("%w: %s: %w", context.Cause(ctx), v.name, v.differs(top))
			}
		}
	}
	r.count(func(rep *Report) {
		rep.Settled = time.Since(start)
		for _, v := range viewers {
			tables, epochs := v.counts()
			rep.Tables += tables
			rep.Epochs += epochs
		}
	})
	return nil
}

// poll reads a board over and over: its rev must not go down in an epoch.
func (r *run) poll(ctx context.Context, b *book) {
	var last client.Board
	for pause(ctx, 20*time.Millisecond) {
		view, err := r.api.Board(ctx, b.board.ID)
		if err != nil {
			continue // the server is away
		}
		if view.Epoch == last.Epoch && view.Rev < last.Rev {
			r.fail(fmt.Errorf("board %q was read at rev %d after it was at %d, in epoch %s", b.board.ID, view.Rev, last.Rev, view.Epoch))
			return
		}
		last = view
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
