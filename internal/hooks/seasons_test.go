package hooks_test

import (
	"testing"
	"time"

	"laurel/internal/hooks"
	"laurel/internal/leaderboard"
)

func (w *world) endSeason(board string, at time.Time) {
	w.Helper()
	if _, _, err := w.store.ChangeBoard(w.Context(), leaderboard.BoardChange{ID: board, End: &leaderboard.End{At: at}}); err != nil {
		w.Fatal(err)
	}
}

// now is the time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// Seasons that end one after the other are told with their standings, and with the
// last record of each, though nobody calls for it.
func TestEndsOfSeasonsAreTold(t *testing.T) {
	w := newWorld(t)
	others, ends := newTarget(t), newTarget(t)
	hook, endHook := others.hook("others"), ends.hook("ends")
	hook.Events, endHook.Events = []hooks.Kind{hooks.NewLeader, hooks.RecordBeaten}, []hooks.Kind{hooks.SeasonEnded}
	h, _ := w.hooks(hook, endHook)
	w.create(leaderboard.Board{ID: "race"})
	w.submit("race", "alice", "5")
	w.show(h, "race")
	w.submit("race", "bob", "7") // not seen before the end
	ended := now()
	w.endSeason("race", ended)
	w.show(h, "race")
	others.wantNext("race 1: record_beaten bob 7 in 1, was 5 in 1")
	e := ends.next()
	if got, want := describe(e), "race 1: season_ended 1/1 of 2: 1 bob 7 2 alice 5"; got != want || !e.EndedAt.Equal(ended) {
		t.Errorf("delivery = %s at %v, want %s at %v", got, e.EndedAt, want, ended)
	}
	w.submit("race", "carol", "1")
	w.show(h, "race")
	w.submit("race", "alice", "2")
	w.endSeason("race", now())
	w.endSeason("race", now())
	w.show(h, "race")
	ends.wantNext("race 2: season_ended 1/1 of 2: 1 alice 2 2 carol 1", "race 3: season_ended 1/1 of 0:")
	others.wantNoMore()
	ends.wantNoMore()
}

// The end of a season that takes late scores is told when it does not any more, with
// them.
func TestLateScoresAreInTheStanding(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.SeasonEnded}
	h, _ := w.hooks(hook)
	const grace = 200 * time.Millisecond
	w.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Every: "24h", From: now().Add(-time.Hour), Grace: int(grace / time.Millisecond)}})
	w.submit("race", "alice", "5")
	w.show(h, "race")
	ended := now()
	w.endSeason("race", ended)
	_, err := w.store.Apply(t.Context(), leaderboard.Batch{At: ended, Ops: []leaderboard.Op{
		{Board: "race", Season: 1, Member: "late", Score: leaderboard.ScaledDecimal(9, 0)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.show(h, "race")
	e := target.next()
	if got, want := describe(e), "race 1: season_ended 1/1 of 2: 1 late 9 2 alice 5"; got != want {
		t.Errorf("delivery = %s, want %s", got, want)
	}
	if final := ended.Add(grace); !e.FinalAt.Equal(final) || time.Now().Before(final) {
		t.Errorf("final at %v, told at %v, want %v", e.FinalAt, time.Now(), final)
	}
}

// A season that is over and that no other one follows has ended, and is told once.
func TestClosedSeasonIsTold(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	h, _ := w.hooks(target.hook("all"))
	ends := now().Add(time.Hour)
	w.create(leaderboard.Board{ID: "cup", Seasons: leaderboard.Seasons{StartsAt: now().Add(-time.Hour), EndsAt: ends}})
	w.submit("cup", "alice", "5")
	w.show(h, "cup")
	w.submit("cup", "bob", "7")
	due := leaderboard.BoardChange{ID: "cup", End: &leaderboard.End{At: ends, Due: true}}
	if view, _, err := w.store.ChangeBoard(t.Context(), due); err != nil || !view.Closed {
		t.Fatalf("ChangeBoard: %+v, %v, want a closed season", view, err)
	}
	for range 3 {
		w.show(h, "cup")
	}
	got := map[string]bool{}
	for range 3 {
		got[describe(target.next())] = true
	}
	for _, want := range []string{
		"cup 1: new_leader bob 7, was alice 5", "cup 1: record_beaten bob 7 in 1, was 5 in 1",
		"cup 1: season_ended 1/1 of 2: 1 bob 7 2 alice 5",
	} {
		if !got[want] {
			t.Errorf("%s was not told, but %v", want, got)
		}
	}
	w.endSeason("cup", ends.Add(time.Hour)) // another one begins
	w.show(h, "cup")
	target.wantNoMore()
	if n := w.metric("laurel_hooks_recorded_total", "event=season_ended"); n != 1 {
		t.Errorf("%v ends of seasons were recorded, want 1", n)
	}
}
