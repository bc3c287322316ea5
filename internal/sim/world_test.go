package sim

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
)

func take(w *World, n int) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = w.Next()
	}
	return events
}

var byValue = cmp.Comparer(func(a, b leaderboard.Decimal) bool { return a == b })

func TestWorldIsItsSeed(t *testing.T) {
	opts := Options{Members: 300, Boards: 5, Rate: 200, Tutorial: true}
	a, b := New(7, opts), New(7, opts)
	if diff := cmp.Diff(slices.Collect(a.Opening()), slices.Collect(b.Opening()), byValue); diff != "" {
		t.Fatalf("two openings of one seed differ:\n%s", diff)
	}
	// Reading the opening does not move the world.
	c := New(7, opts)
	first := take(c, 20_000)
	if diff := cmp.Diff(take(a, 20_000), first, byValue); diff != "" {
		t.Fatalf("two worlds of one seed differ:\n%s", diff)
	}
	if cmp.Equal(take(New(8, opts), 20_000), first, byValue) {
		t.Error("worlds of two seeds are the same")
	}
}

func TestRoundsAreOfTheSameMembers(t *testing.T) {
	first, second := New(7, Options{Members: 100}), New(7, Options{Members: 100, Round: 1})
	if diff := cmp.Diff(slices.Collect(first.Opening()), slices.Collect(second.Opening()), byValue); diff != "" {
		t.Fatalf("the openings of two rounds differ:\n%s", diff)
	}
	members := map[string]bool{}
	for e := range first.Opening() {
		members[e.Member] = true
	}
	a, b := take(first, 1000), take(second, 1000)
	if cmp.Equal(a, b, byValue) {
		t.Error("two rounds have the same events")
	}
	for _, e := range b {
		if !members[e.Member] {
			t.Fatalf("%q is only in the second round", e.Member)
		}
	}
}

func TestWorldIsValid(t *testing.T) {
	const seed = 11
	w := New(seed, Options{Members: 2000, Boards: 7, Rate: 1000, Tutorial: true, Prefix: "x-"})
	boards := map[string]leaderboard.Board{}
	for _, b := range w.Boards() {
		if err := b.Validate(); err != nil {
			t.Errorf("seed %d: board %q: %v", seed, b.ID, err)
		}
		boards[b.ID] = b
	}
	if len(boards) != 8 {
		t.Errorf("world has %d different boards, want 7 and the tutorial", len(boards))
	}
	events := append(slices.Collect(w.Opening()), take(w, 50_000)...)
	var last time.Duration
	met := map[string]bool{}
	for i, e := range events {
		if e.At < last {
			t.Fatalf("seed %d: event %d is at %v, before the one before it at %v", seed, i, e.At, last)
		}
		last = e.At
		b, ok := boards[e.Board]
		if !ok {
			t.Fatalf("seed %d: event %d is on %q, which is no board of the world", seed, i, e.Board)
		}
		met[e.Board] = true
		if err := leaderboard.ValidateMember(e.Member); err != nil {
			t.Fatalf("seed %d: event %d: %v", seed, i, err)
		}
		if _, _, err := b.Decide(leaderboard.Op{Score: e.Score}, nil); err != nil {
			t.Fatalf("seed %d: event %d on %q: %v", seed, i, e.Board, err)
		}
		if _, err := leaderboard.CompactData(e.Data); err != nil {
			t.Fatalf("seed %d: event %d: %v", seed, i, err)
		}
	}
	if len(met) != len(boards) {
		t.Errorf("seed %d: events are on %d boards, want all %d", seed, len(met), len(boards))
	}
}

func TestOpeningHasEveryMemberOnEveryBoard(t *testing.T) {
	w := New(3, Options{Members: 1000})
	seen := map[[2]string]bool{}
	for e := range w.Opening() {
		seen[[2]string{e.Board, e.Member}] = true
	}
	if got, want := len(seen), 1000*len(games); got != want {
		t.Errorf("opening has %d different members on boards, want %d", got, want)
	}
}

func TestRateHoldsOnAverage(t *testing.T) {
	for _, steady := range []bool{false, true} {
		w := New(5, Options{Rate: 100, Steady: steady})
		const n = 200_000
		took := take(w, n)[n-1].At.Seconds()
		if rate := n / took; rate < 95 || rate > 105 {
			t.Errorf("steady %v: %.1f events a second, want about 100", steady, rate)
		}
	}
}

func TestBurstsAreLivelyAndConcentrated(t *testing.T) {
	perSecond := func(steady bool) []int {
		w := New(5, Options{Rate: 100, Steady: steady})
		counts := make([]int, 300)
		for {
			e := w.Next()
			second := int(e.At / time.Second)
			if second >= len(counts) {
				slices.Sort(counts)
				return counts
			}
			counts[second]++
		}
	}
	lively, even := perSecond(false), perSecond(true)
	if low, high := lively[30], lively[270]; high < 2*low {
		t.Errorf("with bursts a lively second has %d events and a calm one %d, want at least twice as many", high, low)
	}
	if low, high := even[30], even[270]; high > 2*low {
		t.Errorf("without bursts a second has %d to %d events, want nearly the same", low, high)
	}
}

func TestTutorialScoresEveryFifthOfASecond(t *testing.T) {
	w := New(1, Options{Tutorial: true, Rate: 1})
	members := map[string]bool{}
	n := 0
	for e := w.Next(); e.At <= time.Minute; e = w.Next() {
		if e.Board != "tutorial" {
			continue
		}
		n++
		members[e.Member] = true
		if got, want := e.At, time.Duration(n)*200*time.Millisecond; got != want {
			t.Fatalf("event %d is at %v, want %v", n, got, want)
		}
		if s, err := e.Score.Scaled(0); err != nil || s < 1 || s > 10 {
			t.Fatalf("event %d scores %v, want 1 to 10", n, e.Score)
		}
	}
	if n != 300 || len(members) != 5 {
		t.Errorf("%d events by %d members in a minute, want 300 by 5", n, len(members))
	}
}

func TestNamesComeInManyScripts(t *testing.T) {
	w := New(1, Options{Members: 1000, Boards: 1})
	named, wide := 0, 0
	for e := range w.Opening() {
		if e.Data == nil {
			continue
		}
		var data struct{ Name string }
		if err := json.Unmarshal(e.Data, &data); err != nil || data.Name == "" || !utf8.ValidString(data.Name) {
			t.Fatalf("data of %s is %s (%v), want a name", e.Member, e.Data, err)
		}
		named++
		if len(data.Name) > utf8.RuneCountInString(data.Name) {
			wide++
		}
	}
	if named < 500 || named > 700 || wide < 200 {
		t.Errorf("of 1,000 members %d have a display name, %d of them beyond ASCII; want about 600 and 300", named, wide)
	}
}

func BenchmarkNext(b *testing.B) {
	w := New(1, Options{Members: 1_000_000, Rate: 20_000})
	b.ReportAllocs()
	for b.Loop() {
		w.Next()
	}
}
