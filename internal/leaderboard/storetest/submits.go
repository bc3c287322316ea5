package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"laurel/internal/leaderboard"
)

// submitsAt carries out a batch of a time, and compares which operation of it is
// one submission too many; negative is none.
func (f *fixture) submitsAt(at time.Time, tooMany int, ops ...leaderboard.Op) {
	f.Helper()
	_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: at})
	failed, ok := errors.AsType[*leaderboard.BatchError](err)
	switch {
	case tooMany < 0 && err != nil:
		f.Fatalf("Apply(%v) at %v: %v", describe(ops), at, err)
	case tooMany >= 0 && (!ok || failed.Index != tooMany || !errors.Is(err, leaderboard.ErrTooManySubmits)):
		f.Fatalf("Apply(%v) at %v: %v, want operation %d to be one too many", describe(ops), at, err, tooMany)
	}
}

var submitsChecks = []check{
	{"a member makes no more submissions in a minute than its board allows, whatever came of them", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best, SubmitsPerMinute: 3})
		at := time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
		f.submitsAt(at, -1, submit("race", "alice", "5"))
		f.submitsAt(at.Add(30*time.Second), -1, submit("race", "alice", "4")) // is not better
		f.submitsAt(at.Add(59999*time.Millisecond), -1, submit("race", "alice", "6"), submit("race", "bob", "1"))
		f.unchanged(func() {
			for _, after := range []time.Duration{0, 30 * time.Second, time.Minute - time.Millisecond} {
				f.submitsAt(at.Add(after), 0, submit("race", "alice", "9"))
			}
			f.submitsAt(at, 1, submit("race", "bob", "2"), submit("race", "alice", "9"))
		})
		f.submitsAt(at, -1, submit("race", "bob", "2"))
		f.submitsAt(at.Add(time.Minute), -1, submit("race", "alice", "7"), submit("race", "alice", "8"), submit("race", "alice", "9"))
		f.submitsAt(at.Add(time.Minute), 0, submit("race", "alice", "10"))
		f.wantTable("race", "1 alice 9", "2 bob 2")
	}},
	{"a refusal for too many submissions names the rule, and says when to try again", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", SubmitsPerMinute: 1})
		at := time.Date(2026, 11, 24, 9, 1, 12, 500e6, time.UTC)
		f.submitsAt(at, -1, submit("race", "alice", "5"))
		_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", "alice", "5")}, At: at})
		known, ok := errors.AsType[*leaderboard.Error](err)
		if want := 47500 * time.Millisecond; !ok || known.RetryAfter != want {
			f.Errorf("%v, want one that tells of %v", err, want)
		}
	}},
	{"what is refused counts as no submission, and neither do corrections and removals", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", SubmitsPerMinute: 2, MaxScore: bound("100")})
		f.create(leaderboard.Board{ID: "other"})
		at := time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
		f.clock = at
		for range 3 {
			f.refuse(1, leaderboard.CodeScoreAboveMaximum, submit("race", "alice", "1"), submit("race", "alice", "101"))
			f.refuse(1, leaderboard.CodeTooManyDecimals, submit("race", "alice", "1"), submit("race", "alice", "0.5"))
			f.refuse(2, leaderboard.CodeMemberNotFound, submit("race", "alice", "1"), submit("other", "alice", "1"), remove("race", "bob"))
			f.submitsAt(at, 2, submit("race", "alice", "1"), submit("race", "alice", "1"), submit("race", "alice", "1"))
			f.submitsAt(at, -1, set("race", "alice", "50"), remove("race", "alice"), submit("other", "alice", "1"))
		}
		f.submitsAt(at, -1, submit("race", "alice", "1"), submit("race", "alice", "1"))
		f.refuse(0, leaderboard.CodeScoreAboveMaximum, submit("race", "alice", "101")) // what else is wrong comes first
		f.submitsAt(at, 0, submit("race", "alice", "1"))
		f.submitsAt(at, -1, set("race", "alice", "1"))
	}},
	{"submissions are counted by the times of their batches, also where these go back", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", SubmitsPerMinute: 2})
		at := time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
		f.submitsAt(at, -1, submit("race", "alice", "1"))
		f.submitsAt(at.Add(-time.Millisecond), -1, submit("race", "alice", "1"), submit("race", "alice", "1"))
		f.submitsAt(at.Add(-time.Millisecond), 0, submit("race", "alice", "1"))
		f.submitsAt(at.Add(time.Second), -1, submit("race", "alice", "1"))
		f.submitsAt(at.Add(2*time.Second), 0, submit("race", "alice", "1"))
		f.submitsAt(at.Add(-59*time.Second), 0, submit("race", "alice", "1"))
		f.submitsAt(at.Add(time.Hour), -1, submit("race", "alice", "1"))
		f.submitsAt(at.Add(time.Hour+time.Minute), -1, submit("race", "alice", "1"), submit("race", "alice", "1"))
		f.submitsAt(at.Add(time.Hour), -1, submit("race", "alice", "1"))
		f.submitsAt(at.Add(time.Hour), 0, submit("race", "alice", "1"))
	}},
	{"the limit of submissions can be given, changed and taken away, and belongs to the board", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", RankStyle: leaderboard.Dense, MinScore: bound("0")})
		at := time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
		f.submitsAt(at, -1, submit("race", "alice", "1"), submit("race", "alice", "1"), submit("race", "alice", "1"))
		if got := f.patch("race", leaderboard.Patch{SubmitsPerMinute: new(2)}).Board.SubmitsPerMinute; got != 2 {
			f.Errorf("submits_per_minute = %d, want 2", got)
		}
		f.submitsAt(at, -1, submit("race", "alice", "1"), submit("race", "alice", "1")) // the first that are counted
		f.submitsAt(at, 0, submit("race", "alice", "1"))
		f.patch("race", leaderboard.Patch{SubmitsPerMinute: new(3), RankStyle: new(leaderboard.Dense)})
		f.submitsAt(at, -1, submit("race", "alice", "1"))
		f.submitsAt(at, 0, submit("race", "alice", "1"))
		f.patch("race", leaderboard.Patch{SubmitsPerMinute: new(0)})
		f.submitsAt(at, -1, submit("race", "alice", "1"))
		f.patch("race", leaderboard.Patch{SubmitsPerMinute: new(3)})
		f.submitsAt(at, 0, submit("race", "alice", "1"))
		f.delete("race")
		f.create(leaderboard.Board{ID: "race", SubmitsPerMinute: 3})
		f.submitsAt(at, -1, submit("race", "alice", "1"), submit("race", "alice", "1"), submit("race", "alice", "1"))
		f.submitsAt(at, 0, submit("race", "alice", "1"))
		f.unchanged(f.reopen)
		if got := f.view("race").Board.SubmitsPerMinute; got != 3 {
			f.Errorf("submits_per_minute = %d after opening, want 3", got)
		}
		for _, wrong := range []int{-1, leaderboard.MaxSubmits + 1} {
			_, err := f.store.PatchBoard(f.Context(), "race", leaderboard.Patch{SubmitsPerMinute: &wrong})
			f.wantCode(fmt.Sprintf("PatchBoard to %d", wrong), err, leaderboard.CodeInvalidBoard)
		}
	}},
	{"a batch over many boards is refused whole for one submission too many, and counts on each", func(f *fixture) {
		var ops []leaderboard.Op
		at := time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
		for i := range 8 {
			b := leaderboard.Board{ID: fmt.Sprintf("b%d", i), SubmitsPerMinute: 2}
			switch i % 3 {
			case 1:
				b.RankStyle, b.MaxStep = leaderboard.Dense, bound("9")
			case 2:
				b.SubmitsPerMinute = 0
			}
			f.create(b)
			ops = append(ops, submit(b.ID, "alice", "1"))
		}
		f.submitsAt(at, -1, ops...)
		f.unchanged(func() {
			batch := slices.Clone(ops)
			batch = append(batch, submit("b1", "bob", "1"), submit("b4", "alice", "1"), submit("b0", "bob", "1"))
			f.submitsAt(at, len(ops)+1, batch...)
		})
		f.submitsAt(at, -1, ops...)
		f.unchanged(func() { f.submitsAt(at, 0, ops...) })
		f.unchanged(func() { f.submitsAt(at, 0, ops[7], ops[2]) })
		f.submitsAt(at, -1, ops[2], ops[5], submit("b0", "bob", "1"))
	}},
	{"a batch of a name that was used counts no submission", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", SubmitsPerMinute: 2})
		first := f.keep("n", leaderboard.Digest{1}, submit("race", "alice", "1"))
		f.recalled(first, "n", leaderboard.Digest{1}, submit("race", "alice", "1"))
		f.recalled(f.keep("m", leaderboard.Digest{1}, submit("race", "alice", "1")), "m", leaderboard.Digest{1}, submit("race", "alice", "1"))
		f.refuse(0, leaderboard.CodeTooManySubmits, submit("race", "alice", "1"))
	}},
	{"of many submissions at once, as many are carried out as the board allows", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", SubmitsPerMinute: 10})
		at := time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
		var carried, refused atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 5 {
					_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", "alice", "1")}, At: at})
					switch {
					case err == nil:
						carried.Add(1)
					case errors.Is(err, leaderboard.ErrTooManySubmits):
						refused.Add(1)
					default:
						f.Errorf("Apply: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if carried.Load() != 10 || refused.Load() != 30 {
			f.Errorf("%d carried out and %d refused, want 10 and 30", carried.Load(), refused.Load())
		}
		f.wantTable("race", "1 alice 10")
	}},
}
