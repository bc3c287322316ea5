package sim

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDriverSubmitsWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seed = 9
		opts := Options{Rate: 500, Boards: 2, Steady: true}
		want := map[string]int{}
		due := 0
		w := New(seed, opts)
		for e := w.Next(); e.At <= 10*time.Second; e = w.Next() {
			want[e.Board]++
			due++
		}

		var mu sync.Mutex
		got := map[string]int{}
		submit := func(_ context.Context, board string, events []Event) error {
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				if e.Board != board {
					t.Errorf("event of %q in a request to %q", e.Board, board)
				}
				got[board]++
			}
			return nil
		}
		d := NewDriver(New(seed, opts), submit, DriverOptions{Batch: 7, Duration: 10 * time.Second})
		if err := d.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		stats := d.Stats()
		if stats.Due != due || stats.Submitted != due {
			t.Errorf("%d events were due and %d submitted, want %d", stats.Due, stats.Submitted, due)
		}
		for board, n := range want {
			if got[board] != n {
				t.Errorf("board %q got %d events, want %d", board, got[board], n)
			}
		}
		if p50 := stats.Latencies.Quantile(0.5); p50 < 5*time.Millisecond || p50 > 8*time.Millisecond {
			t.Errorf("median latency is %v, want 5 ms and at most a timer more", p50)
		}
		if stats.Elapsed < 10*time.Second || stats.Elapsed > 10100*time.Millisecond {
			t.Errorf("run took %v, want 10 s", stats.Elapsed)
		}
	})
}

func TestDriverIsBoundedAndHonestAboutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		submit := func(context.Context, string, []Event) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)
			return nil
		}
		// 4 at a time of 100 ms each are 40 a second, where 100 are asked for.
		d := NewDriver(New(1, Options{Rate: 100, Steady: true}), submit, DriverOptions{InFlight: 4, Duration: 10 * time.Second})
		if err := d.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if most.Load() != 4 {
			t.Errorf("%d requests were under way at once, want 4", most.Load())
		}
		stats := d.Stats()
		if behind := stats.Behind; behind < 4*time.Second {
			t.Errorf("the last request began %v late, want several seconds", behind)
		}
		if p50 := stats.Latencies.Quantile(0.5); p50 < time.Second {
			t.Errorf("median latency is %v, want the time waited to be in it", p50)
		}
	})
}

func TestDriverCountsErrorsByCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		submit := func(context.Context, string, []Event) error {
			if n++; n%2 == 0 {
				return errors.New("even")
			}
			return nil
		}
		d := NewDriver(New(1, Options{Rate: 100}), submit, DriverOptions{
			InFlight: 1,
			Duration: 5 * time.Second,
			Code:     func(err error) string { return err.Error() },
		})
		if err := d.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		stats := d.Stats()
		if got := stats.Errors["even"]; got != stats.Requests/2 || stats.Submitted != stats.Requests-got {
			t.Errorf("of %d requests %d failed and %d events were submitted, want half of each", stats.Requests, got, stats.Submitted)
		}
	})
}

func TestDriverStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		d := NewDriver(New(1, Options{}), func(ctx context.Context, _ string, _ []Event) error {
			<-ctx.Done()
			return ctx.Err()
		}, DriverOptions{})
		if err := d.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil: being told to stop is not an error", err)
		}
		if stats := d.Stats(); len(stats.Errors) > 0 {
			t.Errorf("errors = %v, want none: the requests were called off", stats.Errors)
		}
	})
}
