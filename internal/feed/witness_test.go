package feed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
)

// witness notes the revs and leaders that it is shown.
type witness struct {
	mu   sync.Mutex
	saw  []string // board, rev and leader
	fail error    // what it returns, if it is not nil
}

func (w *witness) Saw(_ context.Context, top leaderboard.Page) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	leader := ""
	if len(top.Entries) > 0 {
		leader = top.Entries[0].Member
	}
	w.saw = append(w.saw, strings.TrimSpace(fmt.Sprint(top.Board.ID, " ", top.Rev, " ", leader)))
	return w.fail
}

func (w *witness) take() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	saw := w.saw
	w.saw = nil
	return saw
}

func (w *witness) failWith(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

// The witness sees the newest state of each window, those that viewers are not
// sent included, and deletions not at all.
func TestRunShowsWhatItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, saw := newWorld(t), &witness{}
		w.witness = saw
		w.create(leaderboard.Board{ID: "race", Top: 1})
		w.run(0)
		want(t, "seen at first", saw.take(), []string{"race 1"})
		w.submit("race", "alice", 5)
		w.submit("race", "bob", 7)
		time.Sleep(interval)
		want(t, "seen of a burst", saw.take(), []string{"race 3 bob"})
		time.Sleep(interval)
		w.take()
		w.submit("race", "bob", 0) // nobody sees a difference
		want(t, "published", w.take(), nil)
		want(t, "seen of what is not published", saw.take(), []string{"race 4 bob"})
		time.Sleep(interval)
		if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(interval)
		want(t, "seen of a deletion", saw.take(), nil)
	})
}

// A witness that fails is shown the board again and keeps its change from being
// acknowledged, but viewers from nothing.
func TestRunShowsAgainUntilTheWitnessHasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, saw := newWorld(t), &witness{}
		w.witness = saw
		saw.failWith(errors.New("disk full"))
		w.create(leaderboard.Board{ID: "race"})
		w.submit("race", "alice", 5)
		w.run(0)
		time.Sleep(10 * time.Second)
		seen := saw.take()
		if len(seen) < 5 || len(seen) > 20 {
			t.Errorf("seen %d times in 10 s, want more seldom each time, but no more seldom than every second", len(seen))
		}
		want(t, "publications", at(w.take()), []time.Duration{0})
		want(t, "not acknowledged", w.unacked(), []string{"race", "race"}) // its creation and the score
		w.submit("race", "bob", 7)
		time.Sleep(2 * time.Second)
		want(t, "publications while it fails", len(w.take()), 1)
		saw.take()
		saw.failWith(nil)
		time.Sleep(2 * time.Second)
		want(t, "seen when it does not fail any more", saw.take(), []string{"race 3 bob"})
		want(t, "published then", w.take(), nil)
		want(t, "not acknowledged", w.unacked(), nil)
	})
}

// Viewers who cannot be reached keep the witness from nothing.
func TestRunShowsWhatCannotBePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, saw := newWorld(t), &witness{}
		w.witness = saw
		w.fail(func(feed.Publication) error { return errors.New("broker: connection refused") })
		w.create(leaderboard.Board{ID: "race"})
		w.submit("race", "alice", 5)
		w.run(0)
		want(t, "seen", saw.take(), []string{"race 2 alice"})
		want(t, "not acknowledged", w.unacked(), []string{"race", "race"}) // its creation and the score
	})
}
