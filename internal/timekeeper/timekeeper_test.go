package timekeeper_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/timekeeper"
)

// boards are due at some times, and may not be writable.
type boards struct {
	mu    sync.Mutex
	due   map[string]time.Time
	ended map[string]time.Time
	asked int
	err   error
}

func (b *boards) Due(_ context.Context, limit int) (due []string, next time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	for board, at := range b.due {
		switch {
		case !time.Now().Before(at):
			due = append(due, board)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	slices.Sort(due)
	return due[:min(limit, len(due))], next, nil
}

func (b *boards) EndDue(_ context.Context, board string) (leaderboard.View, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return leaderboard.View{}, b.err
	}
	b.ended[board] = time.Now()
	delete(b.due, board)
	return leaderboard.View{}, nil
}

func (b *boards) endedAt(board string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended[board]
}

func (b *boards) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func run(t *testing.T, b *boards, test func()) {
	synctest.Test(t, func(t *testing.T) {
		b.due, b.ended = map[string]time.Time{}, map[string]time.Time{}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var done sync.WaitGroup
		done.Go(func() { timekeeper.New(b, nil).Run(ctx) })
		test()
		stop()
		done.Wait()
	})
}

func TestSeasonsEndAtTheirInstant(t *testing.T) {
	var b boards
	run(t, &b, func() {
		start := time.Now()
		b.set(func() {
			b.due["race"] = start.Add(90 * time.Minute)
			b.due["soon"] = start.Add(1234 * time.Millisecond)
		})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for board, want := range map[string]time.Duration{"race": 90 * time.Minute, "soon": 1234 * time.Millisecond} {
			if got := b.endedAt(board).Sub(start); got != want {
				t.Errorf("%s was ended after %v, want %v", board, got, want)
			}
		}
	})
}

func TestWhatIsNewIsSeenWithinASecond(t *testing.T) {
	var b boards
	run(t, &b, func() {
		time.Sleep(time.Hour)
		start := time.Now()
		b.set(func() { b.due["new"] = start })
		time.Sleep(timekeeper.LookEvery)
		synctest.Wait()
		if b.endedAt("new").IsZero() {
			t.Error("a board that became due unforeseen was not ended within a second")
		}
	})
}

func TestAFailureIsTriedAgain(t *testing.T) {
	var b boards
	run(t, &b, func() {
		b.set(func() { b.err = errors.New("disk full"); b.due["race"] = time.Now() })
		time.Sleep(time.Minute)
		synctest.Wait()
		b.set(func() {
			if b.asked > 70 {
				t.Errorf("asked %d times in a minute", b.asked)
			}
			b.err = nil
		})
		time.Sleep(timekeeper.LookEvery)
		synctest.Wait()
		if b.endedAt("race").IsZero() {
			t.Error("not ended when the disk had room again")
		}
	})
}

func TestManyAreEndedAtOnce(t *testing.T) {
	var b boards
	run(t, &b, func() {
		b.set(func() {
			for i := range 250 {
				b.due[string(rune('a'+i%26))+time.Duration(i).String()] = time.Now()
			}
		})
		start := time.Now()
		time.Sleep(timekeeper.LookEvery)
		synctest.Wait()
		b.set(func() {
			if len(b.ended) != 250 {
				t.Errorf("%d of 250 boards were ended within a second", len(b.ended))
			}
			for board, at := range b.ended {
				if at.Sub(start) > timekeeper.LookEvery {
					t.Errorf("%s was ended late", board)
				}
			}
		})
	})
}
