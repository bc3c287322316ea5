package sim

import (
	"context"
	"maps"
	"sync"
	"time"
)

// DriverOptions are the settings of a [Driver].
type DriverOptions struct {
	Batch    int           // events of one board that make a request; 0 is 1
	InFlight int           // requests at a time, at most; 0 is 64
	Duration time.Duration // after which the world ends; 0: it does not

	// Code names an error, for counting; nil counts all together.
	Code func(error) string
}

// linger is how long an event waits for others to fill its batch.
const linger = 250 * time.Millisecond

// Driver plays a world in real time: an event is submitted when it is due,
// whether or not the ones before it are done, as long as fewer than InFlight
// requests are under way. Requests under way at the same time may overtake each
// other.
type Driver struct {
	world  *World
	submit func(ctx context.Context, board string, events []Event) error
	opts   DriverOptions

	mu      sync.Mutex
	stats   Stats     // guarded by mu; Elapsed is set at the end
	started time.Time // guarded by mu
}

// Stats is what a driver has achieved.
type Stats struct {
	Elapsed   time.Duration
	Due       int            // events that were due
	Submitted int            // events that were submitted with success
	Requests  int            // requests that came to an end
	Errors    map[string]int // requests that failed, by code
	Latencies Latencies      // of requests, from when the last event in them was due
	Behind    time.Duration  // how late the last request began
}

// NewDriver returns a driver that hands the events of a world to submit, which
// must be safe for concurrent use.
func NewDriver(w *World, submit func(ctx context.Context, board string, events []Event) error, opts DriverOptions) *Driver {
	if opts.Batch == 0 {
		opts.Batch = 1
	}
	if opts.InFlight == 0 {
		opts.InFlight = 64
	}
	if opts.Code == nil {
		opts.Code = func(error) string { return "error" }
	}
	return &Driver{world: w, submit: submit, opts: opts, stats: Stats{Errors: map[string]int{}}}
}

// Stats returns what was achieved so far.
func (d *Driver) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	stats := d.stats
	stats.Errors = maps.Clone(stats.Errors)
	if stats.Elapsed == 0 && !d.started.IsZero() {
		stats.Elapsed = time.Since(d.started)
	}
	return stats
}

// request is events of one board that leave together.
type request struct {
	board  string
	events []Event
	due    time.Time
}

// Run plays the world until the context ends or Duration is over, and waits for
// the requests under way.
func (d *Driver) Run(ctx context.Context) error {
	requests := make(chan request) // unbuffered: what waits here is late already
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(requests)
	for range d.opts.InFlight {
		wg.Go(func() {
			for r := range requests {
				d.send(ctx, r)
			}
		})
	}

	start := time.Now()
	d.mu.Lock()
	d.started = start
	d.mu.Unlock()
	d.play(ctx, requests, start)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Elapsed = time.Since(start)
	return nil
}

func (d *Driver) play(ctx context.Context, requests chan<- request, start time.Time) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	pending := map[string]*request{} // that are not full yet
	next := d.world.Next()
	for {
		now := time.Since(start)
		for next.At <= now {
			if d.opts.Duration > 0 && next.At > d.opts.Duration {
				break
			}
			r := pending[next.Board]
			if r == nil {
				r = &request{board: next.Board}
				pending[next.Board] = r
			}
			r.events = append(r.events, next)
			r.due = start.Add(next.At)
			if len(r.events) >= d.opts.Batch {
				delete(pending, next.Board)
				if !d.hand(ctx, requests, *r) {
					return
				}
			}
			next = d.world.Next()
		}
		over := d.opts.Duration > 0 && now >= d.opts.Duration
		for board, r := range pending {
			if over || now-r.events[0].At >= linger {
				delete(pending, board)
				r.due = time.Now()
				if !d.hand(ctx, requests, *r) {
					return
				}
			}
		}
		if over {
			return
		}

		wait := next.At - time.Since(start)
		if len(pending) > 0 {
			wait = min(wait, linger/5)
		}
		if d.opts.Duration > 0 {
			wait = min(wait, d.opts.Duration-time.Since(start))
		}
		timer.Reset(max(wait, time.Millisecond)) // a shorter sleep costs more than it brings
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// hand gives a request to whoever is free, or reports that the context ended first.
func (d *Driver) hand(ctx context.Context, requests chan<- request, r request) bool {
	select {
	case requests <- r:
	case <-ctx.Done():
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Due += len(r.events)
	d.stats.Behind = time.Since(r.due)
	return true
}

func (d *Driver) send(ctx context.Context, r request) {
	err := d.submit(ctx, r.board, r.events)
	if err != nil && ctx.Err() != nil {
		return // it was called off
	}
	took := time.Since(r.due)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Requests++
	d.stats.Latencies.Add(took)
	if err != nil {
		d.stats.Errors[d.opts.Code(err)]++
		return
	}
	d.stats.Submitted += len(r.events)
}
