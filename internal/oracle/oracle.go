// Package oracle runs the whole server under simulated traffic and faults and
// compares what comes out with what it was told.
//
// The server is the real binary in a process of its own, which is killed with
// kill -9, stopped with SIGTERM and paused at random moments. Writers submit
// what a [sim.World] plays, singly and in batches, and each member belongs to
// one writer, which therefore knows what the server has to answer. When a
// request ends without an answer the writer asks, after the restart, whether it
// was done: entirely or not at all. Viewers follow boards over real connections
// and never may see a rev go down. At the end everything that was acknowledged is
// on the boards, in the right order, and each viewer has the top that the store has.
package oracle

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	Acknowledged int           // submissions that were answered
	Doubted      int           // submissions whose request ended without an answer
	Found        int           // of these, the ones that were found done
	Kills        int           // kill -9
	Stops        int           // SIGTERM
	Pauses       int           // SIGSTOP for a while
	Rebuilt      int           // times that a board was deleted and created again
	Tables       int           // that viewers were sent
	Settled      time.Duration // from the last answer until every viewer had the newest top
}

// settleLimit is how long viewers may take to have the newest top when writes
// have stopped. It is far more than the promise, one interval and a second, so
// that a busy machine does not look like a fault; the report has the figure.
const settleLimit = 20 * time.Second

// Run lets the world play for the duration and then compares. Its error is what
// the server did wrong, or what kept the run from being made.
func Run(ctx context.Context, opts Options) (Report, error) {
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

	srv, err := newServer(ctx, opts.Binary, opts.Dir)
	if err != nil {
		return Report{}, err
	}
	defer srv.close()
	if err := srv.start(ctx); err != nil {
		return Report{}, err
	}
	api, err := client.New("http://"+srv.address, client.Options{APIKey: srv.key})
	if err != nil {
		return Report{}, err
	}
	defer api.Close()

	world := sim.New(opts.Seed, sim.Options{Members: opts.Members, Rate: opts.Rate, Tutorial: true})
	books, err := openBooks(ctx, api, world)
	if err != nil {
		return Report{}, err
	}
	run := &run{opts: opts, srv: srv, api: api, books: books, fail: fail}
	report, err := run.play(ctx, world)
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx) // what ended the run, rather than what came of its end
	}
	return report, err
}

type run struct {
	opts  Options
	srv   *server
	api   *client.Client
	books map[string]*book
	fail  context.CancelCauseFunc

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
	for _, b := range r.books {
		for i := range r.opts.Viewers {
			v, err := r.view(b, i)
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
	playing, stopPlaying := context.WithTimeout(ctx, r.opts.Duration)
	defer stopPlaying()
	var writers, faults sync.WaitGroup
	faults.Go(func() { r.disturb(ctx, playing) })
	writers.Go(func() { r.rebuild(ctx, playing) })
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
	return r.report, nil
}

// disturb does things to the server until the traffic is over, and leaves it running.
func (r *run) disturb(ctx, playing context.Context) {
	rng := rand.New(rand.NewPCG(r.opts.Seed, 1))
	for first := true; ; first = false {
		wait := 200*time.Millisecond + time.Duration(rng.Int64N(int64(1500*time.Millisecond)))
		if !pause(playing, wait) {
			return
		}
		var err error
		switch fault := rng.IntN(10); {
		case fault < 6 || first: // however short the run, it has one
			r.count(func(rep *Report) { rep.Kills++ })
			err = r.srv.kill()
		case fault < 8:
			r.count(func(rep *Report) { rep.Stops++ })
			err = r.srv.stop()
		default:
			r.count(func(rep *Report) { rep.Pauses++ })
			err = r.srv.freeze(ctx, time.Duration(rng.Int64N(int64(400*time.Millisecond))))
		}
		// Sometimes the server is away for longer than a client's first attempt to reconnect.
		if err == nil && !r.srv.running() {
			pause(ctx, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
			err = r.srv.start(ctx)
		}
		if err != nil {
			if ctx.Err() == nil {
				r.fail(err)
			}
			return
		}
	}
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
			rep.Tables += v.tables()
		}
	})
	return nil
}

// poll reads a board over and over: its rev must never go down.
func (r *run) poll(ctx context.Context, b *book) {
	var last uint64
	for pause(ctx, 20*time.Millisecond) {
		view, err := r.api.Board(ctx, b.board.ID)
		if err != nil {
			continue // the server is away
		}
		if view.Rev < last {
			r.fail(fmt.Errorf("board %q was read at rev %d after it was at %d", b.board.ID, view.Rev, last))
			return
		}
		last = view.Rev
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
