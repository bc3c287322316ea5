package storetest

import (
	"errors"
	"fmt"
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
	{"a batch with a digest is answered again as it was", func(f *fixture) {
		for _, b := range []leaderboard.Board{
			{ID: "race"},
			{ID: "best", Policy: leaderboard.Best, Decimals: 2, Order: leaderboard.Ascending},
			{ID: "dense", RankStyle: leaderboard.Dense, Order: leaderboard.Ascending},
			{ID: "shared", RankStyle: leaderboard.Competition, Ties: leaderboard.LatestTie},
		} {
			f.create(b)
			f.apply(set(b.ID, "anna", "3"), set(b.ID, "bert", "1"), set(b.ID, "carl", "1"), set(b.ID, "dora", "7"))
		}
		for i, ops := range [][]leaderboard.Op{
			{submit("race", "bert", "2")},
			{submit("race", "bert", "0"), remove("race", "dora"), submit("race", "emil", "9"), set("race", "carl", "3")},
			{submit("best", "bert", "1.5"), submit("best", "anna", "0.25"), set("best", "dora", "7"), remove("best", "carl")},
			{submit("shared", "emil", "1"), submit("shared", "bert", "2"), submit("race", "bert", "1"), submit("best", "fred", "1"), submit("shared", "anna", "1")},
			{submit("dense", "bert", "7"), submit("dense", "carl", "7"), submit("dense", "emil", "5"), remove("dense", "anna"), submit("dense", "fred", "1"), set("dense", "dora", "2")},
		} {
			name := fmt.Sprint("n", i)
			first := f.keep(name, leaderboard.Digest{1}, ops...)
			f.apply(set("race", "zoe", "100"), set("best", "zoe", "0"), set("shared", "zoe", "100"), set("dense", "zoe", "0"))
			f.recalled(first, name, leaderboard.Digest{1}, ops...)
			f.reopen()
			f.recalled(first, name, leaderboard.Digest{1}, ops...)
		}
	}},
	{"a name is not for a batch with another digest", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.create(leaderboard.Board{ID: "other"})
		for name, ops := range map[string][]leaderboard.Op{"n": {submit("race", "alice", "5")}, "m": {submit("race", "alice", "5"), submit("other", "alice", "5")}} {
			f.keep(name, leaderboard.Digest{1}, ops...)
			f.reused(name, leaderboard.Digest{2}, ops...)
			f.reused(name, leaderboard.Digest{2}, submit("race", "alice", "5"), submit("race", "bob", "5"))
			f.repeated(name, ops...)
		}
		f.once("stream", submit("race", "alice", "5"))
		f.unchanged(func() {
			if diff := compare(leaderboard.Outcome{Repeated: true}, f.keep("stream", leaderboard.Digest{1}, submit("race", "alice", "5"))); diff != "" {
				f.Errorf("outcome under a name without a digest (-want +got):\n%s", diff)
			}
		})
		f.wantTable("race", "1 alice 15")
	}},
	{"what is kept outlives the board and its settings", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Decimals: 1, MinScore: bound("-0.5"), MaxScore: bound("100"), MaxStep: bound("7")})
		ops := []leaderboard.Op{submit("race", "alice", "5.5"), submit("race", "bob", "7")}
		first := f.keep("n", leaderboard.Digest{1}, ops...)
		if b := first.Boards[0].Board; b.MinScore != bound("-0.5") || b.MaxScore != bound("100") || b.MaxStep != bound("7") {
			f.Errorf("the bounds of the first outcome are %v, %v and %v", b.MinScore, b.MaxScore, b.MaxStep)
		}
		f.patch("race", leaderboard.Patch{MaxScore: new(bound("1")), MaxStep: new(bound("")), Policy: new(leaderboard.Best), RankStyle: new(leaderboard.Competition), Top: new(7)})
		f.recalled(first, "n", leaderboard.Digest{1}, ops...)
		f.delete("race")
		f.recalled(first, "n", leaderboard.Digest{1}, ops...)
		f.create(leaderboard.Board{ID: "race", Order: leaderboard.Ascending})
		f.recalled(first, "n", leaderboard.Digest{1}, ops...)
	}},
	{"a batch with a digest that fails is tried anew", func(f *fixture) {
		ops := []leaderboard.Op{submit("race", "alice", "5"), remove("race", "bob")}
		for _, want := range []leaderboard.Code{leaderboard.CodeBoardNotFound, leaderboard.CodeMemberNotFound} {
			_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock, Once: "n", OnceDigest: leaderboard.Digest{1}})
			f.wantCode("Apply", err, want)
			if want == leaderboard.CodeBoardNotFound {
				f.create(leaderboard.Board{ID: "race"})
			}
		}
		f.apply(submit("race", "bob", "1"))
		f.recalled(f.keep("n", leaderboard.Digest{1}, ops...), "n", leaderboard.Digest{1}, ops...)
		f.wantTable("race", "1 alice 5")
	}},
	{"a change of a board with a name is made once", func(f *fixture) {
		board := leaderboard.Board{ID: "race", Decimals: 1, Top: 20}.WithDefaults()
		board.CreatedAt = f.clock
		steps := []leaderboard.BoardChange{
			{ID: "race", Create: &board, Once: "create", OnceDigest: leaderboard.Digest{1}},
			{ID: "race", Patch: &leaderboard.Patch{Top: new(30)}, Once: "patch", OnceDigest: leaderboard.Digest{2}},
			{ID: "race", Once: "delete", OnceDigest: leaderboard.Digest{3}},
		}
		var views []leaderboard.View
		for i, c := range steps {
			view, repeated, err := f.store.ChangeBoard(f.Context(), c)
			if err != nil || repeated {
				f.Fatalf("%s: repeated %v, %v", c.Once, repeated, err)
			}
			if views = append(views, view); i == 1 {
				f.apply(submit("race", "alice", "1"))
			}
		}
		if views[0].Rev != 1 || views[0].Board != board || views[1].Rev != 2 || views[1].Board.Top != 30 {
			f.Errorf("views = %+v", views)
		}
		for range 2 {
			f.unchanged(func() {
				for i, c := range steps {
					view, repeated, err := f.store.ChangeBoard(f.Context(), c)
					if diff := compare(views[i], view); diff != "" && i < 2 || !repeated || err != nil {
						f.Errorf("%s again: repeated %v, %v (-want +got):\n%s", c.Once, repeated, err, diff)
					}
					c.OnceDigest[0] = 9
					_, _, err = f.store.ChangeBoard(f.Context(), c)
					f.wantCode("ChangeBoard", err, leaderboard.CodeOnceReused)
				}
				f.reused("patch", leaderboard.Digest{9}, submit("race", "alice", "1"))
			})
			f.reopen()
		}
		f.create(leaderboard.Board{ID: "race"})
		f.keep("batch", leaderboard.Digest{1}, submit("race", "alice", "1"))
		_, _, err := f.store.ChangeBoard(f.Context(), leaderboard.BoardChange{ID: "race", Once: "batch", OnceDigest: leaderboard.Digest{2}})
		f.wantCode("ChangeBoard", err, leaderboard.CodeOnceReused)
		f.wantTable("race", "1 alice 1")
	}},
	{"of many at once with a digest one is carried out, and all are answered alike", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.create(leaderboard.Board{ID: "other"})
		for name, ops := range map[string][]leaderboard.Op{
			"a": {submit("race", "alice", "1")}, "b": {submit("race", "bob", "1"), submit("race", "alice", "1")},
			"c": {submit("race", "bob", "1"), submit("other", "alice", "2")}, "d": {submit("other", "bob", "1"), submit("race", "alice", "1")},
		} {
			var carried atomic.Int64
			var wg sync.WaitGroup
			outcomes := make([]leaderboard.Outcome, 8)
			for i := range outcomes {
				wg.Go(func() {
					outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock, Once: name, OnceDigest: leaderboard.Digest{1}})
					if err != nil {
						f.Errorf("Apply: %v", err)
					} else if !outcome.Repeated {
						carried.Add(1)
					}
					outcome.Repeated = false
					outcomes[i] = outcome
				})
				wg.Go(func() {
					_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", "carl", "1")}, At: f.clock})
					if err != nil {
						f.Errorf("Apply: %v", err)
					}
				})
			}
			wg.Wait()
			if carried.Load() != 1 {
				f.Errorf("%d batches of one name were carried out, want 1", carried.Load())
			}
			for i := range outcomes {
				if diff := compare(outcomes[0], outcomes[i]); diff != "" {
					f.Errorf("outcome %d (-want +got):\n%s", i, diff)
				}
			}
		}
		f.wantTable("race", "1 carl 32", "2 alice 3", "3 bob 2")
		f.wantTable("other", "1 alice 2", "2 bob 1")
	}},
}

// keep carries out operations as one batch with a name and a digest.
func (f *fixture) keep(name string, digest leaderboard.Digest, ops ...leaderboard.Op) leaderboard.Outcome {
	f.Helper()
	f.clock = f.clock.Add(time.Second)
	outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock, Once: name, OnceDigest: digest})
	if err != nil {
		f.Fatalf("Apply(%v): %v", describe(ops), err)
	}
	return outcome
}

// recalled carries out a batch again, which is to be answered as it was.
func (f *fixture) recalled(first leaderboard.Outcome, name string, digest leaderboard.Digest, ops ...leaderboard.Op) {
	f.Helper()
	if first.Repeated || len(first.Results) != len(ops) {
		f.Fatalf("the first outcome is %+v", first)
	}
	first.Repeated = true
	for range 2 {
		again := f.keep(name, digest, ops...)
		if diff := compare(first, again); diff != "" {
			f.Errorf("outcome of a batch that is sent again (-want +got):\n%s", diff)
		}
	}
}

// reused carries out a batch under a name that belongs to another.
func (f *fixture) reused(name string, digest leaderboard.Digest, ops ...leaderboard.Op) {
	f.Helper()
	f.unchanged(func() {
		outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock, Once: name, OnceDigest: digest})
		f.wantCode("Apply", err, leaderboard.CodeOnceReused)
		if diff := compare(leaderboard.Outcome{}, outcome); diff != "" {
			f.Errorf("outcome (-want +got):\n%s", diff)
		}
	})
}
