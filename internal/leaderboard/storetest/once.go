package storetest

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"laurel/internal/leaderboard"
)

var onceChecks = []check{
	{"a batch of a name that was used changes nothing, whatever it holds", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.create(leaderboard.Board{ID: "other"})
		outcome := f.once("1-0", submit("race", "alice", "5"), submit("other", "alice", "1"))
		f.wantResult(outcome,
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(5, 1)},
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(1, 1)},
		)
		f.repeated("1-0", submit("race", "alice", "5"), submit("other", "alice", "1"))
		f.repeated("1-0", submit("race", "alice", "5"))
		f.repeated("1-0", set("race", "bob", "7"), remove("race", "nobody"))
		f.repeated("1-0", submit("race", "bob", "0.5"))
		if !f.once("1-1", submit("race", "alice", "5")).Results[0].Accepted {
			f.Error("a batch of another name was not carried out")
		}
		f.apply(submit("race", "alice", "1"))
		f.apply(submit("race", "alice", "1"))
		f.wantTable("race", "1 alice 12")
	}},
	{"a name belongs to the board of the first operation", func(f *fixture) {
		for _, id := range []string{"a", "b", "ab"} {
			f.create(leaderboard.Board{ID: id})
		}
		for _, b := range []struct{ id, name string }{{"a", "bc"}, {"ab", "c"}, {"b", "bc"}, {"a", "c"}, {"a", "bc\x00"}, {"a", strings.Repeat("n", leaderboard.MaxOnce)}} {
			if f.once(b.name, submit(b.id, "alice", "1")).Repeated {
				f.Errorf("%q on %s was taken for another", b.name, b.id)
			}
			f.repeated(b.name, submit(b.id, "alice", "1"))
		}
		if f.once("bc", submit("ab", "alice", "1"), submit("a", "alice", "1")).Repeated {
			f.Error("the name was looked for on the second board")
		}
		f.wantTable("a", "1 alice 5")
	}},
	{"a batch that fails uses up no name", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		ops := []leaderboard.Op{submit("race", "alice", "5"), submit("later", "alice", "5")}
		for range 2 {
			_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock, Once: "n"})
			f.wantCode("Apply", err, leaderboard.CodeBoardNotFound)
		}
		f.create(leaderboard.Board{ID: "later"})
		f.once("n", ops...)
		f.wantTable("race", "1 alice 5")
		f.repeated("n", ops...)
	}},
	{"a batch that changes nothing uses its name up", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best})
		f.apply(submit("race", "alice", "5"))
		f.unchanged(func() {
			if got := f.once("n", submit("race", "alice", "4")).Results[0]; got.Accepted || got.Reason != leaderboard.NotBetter {
				f.Errorf("result = %+v, want one that is not better", got)
			}
		})
		f.repeated("n", submit("race", "alice", "9"))
	}},
	{"names outlive their board, and its settings", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.once("n", submit("race", "alice", "5"))
		f.patch("race", leaderboard.Patch{Policy: new(leaderboard.Latest)})
		f.repeated("n", submit("race", "alice", "6"))
		f.delete("race")
		f.repeated("n", submit("race", "alice", "6"))
		f.create(leaderboard.Board{ID: "race"})
		f.repeated("n", submit("race", "alice", "6"))
	}},
	{"names are remembered for their time, whatever the clock does", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		for _, when := range []time.Duration{0, time.Millisecond, leaderboard.OnceTTL - time.Millisecond, -time.Second} {
			for hour := range 24 { // so that one of them is just before every boundary
				first := f.clock.Add(time.Duration(hour)*time.Hour - 204*time.Millisecond)
				name := when.String() + first.String()
				for i, at := range []time.Time{first, first.Add(when)} {
					outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", "alice", "1")}, At: at, Once: name})
					if err != nil || outcome.Repeated != (i == 1) {
						f.Fatalf("batch %d of %s, %v after the first: %+v, %v", i+1, name, when, outcome, err)
					}
				}
			}
		}
	}},
	{"of many at once one is carried out", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			var carried atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", "alice", "1")}, At: f.clock, Once: name})
					if err != nil {
						f.Errorf("Apply: %v", err)
					} else if !outcome.Repeated {
						carried.Add(1)
					}
				})
			}
			wg.Wait()
			if carried.Load() != 1 {
				f.Errorf("%d batches of one name were carried out, want 1", carried.Load())
			}
		}
		f.wantTable("race", "1 alice 8")
	}},
	{"names are there again after opening", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.once("n", submit("race", "alice", "5"))
		_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{remove("race", "bob")}, At: f.clock, Once: "failed"})
		if !errors.Is(err, leaderboard.ErrMemberNotFound) {
			f.Fatalf("Apply: %v", err)
		}
		f.reopen()
		f.repeated("n", submit("race", "alice", "5"))
		if f.once("failed", submit("race", "alice", "5")).Repeated {
			f.Error("a name is used up that belongs to a batch that failed")
		}
		f.reopen()
		f.repeated("failed", submit("race", "alice", "5"))
	}},
}
