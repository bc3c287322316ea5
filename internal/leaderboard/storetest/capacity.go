package storetest

import (
	"fmt"
	"slices"

	"laurel/internal/leaderboard"
)

// full is the result of an operation that its board has no room for.
func full(member string) leaderboard.Result {
	return leaderboard.Result{Member: member, Reason: leaderboard.BoardFull}
}

// crowd submits the scores 1 to n of members named for them, and returns the operations.
func crowd(board string, n int) []leaderboard.Op {
	ops := make([]leaderboard.Op, n)
	for i := range ops {
		ops[i] = submit(board, fmt.Sprintf("m%04d", i+1), fmt.Sprint(i+1))
	}
	return ops
}

var capacityChecks = []check{
	{"a board keeps its best, and who would be behind them is not taken", func(f *fixture) {
		for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
			id, sign := string(order), ""
			if order == leaderboard.Ascending {
				sign = "-"
			}
			f.create(leaderboard.Board{ID: id, Order: order, Policy: leaderboard.Best, MaxEntries: 3})
			f.apply(submit(id, "alice", sign+"5"), submit(id, "bob", sign+"3"), submit(id, "carol", sign+"4")) // 2, 3, 4
			f.unchanged(func() {
				f.wantResult(f.apply(submit(id, "dora", sign+"2"), set(id, "emil", sign+"1")), full("dora"), full("emil"))
			})
			outcome := f.apply(submit(id, "dora", sign+"4"))
			if got := outcome.Results[0]; !got.Accepted || got.Current.Rank != 3 || got.Rev != 5 {
				f.Errorf("result = %+v, want rank 3 at rev 5", got)
			}
			if got := outcome.Boards[0]; got.Rev != 5 || got.Total != 3 {
				f.Errorf("view = %+v, want rev 5 and 3 entries", got)
			}
			f.wantTable(id, "1 alice "+sign+"5", "2 carol "+sign+"4", "3 dora "+sign+"4")
			if page := f.lookup(id, "bob"); page.Entries[0].Rank != 0 {
				f.Errorf("who fell off is still there: %+v", page.Entries[0])
			}
			f.unchanged(func() { f.refuse(0, leaderboard.CodeMemberNotFound, remove(id, "bob")) })
			// Who is on the board stays on it, however bad.
			f.apply(set(id, "alice", sign+"1"))
			f.wantTable(id, "1 carol "+sign+"4", "2 dora "+sign+"4", "3 alice "+sign+"1")
		}
	}},
	{"among equals who stands last falls off, and a full board takes an equal only where the latest stands first", func(f *fixture) {
		for _, ties := range []leaderboard.Ties{leaderboard.Earliest, leaderboard.LatestTie} {
			id := string(ties)
			f.create(leaderboard.Board{ID: id, Ties: ties, MaxEntries: 2})
			outcome := f.apply(submit(id, "alice", "5"), submit(id, "bob", "5"), submit(id, "carol", "5"))
			if ties == leaderboard.Earliest {
				f.wantResult(leaderboard.Outcome{Results: outcome.Results[2:]}, full("carol"))
				f.wantTable(id, "1 alice 5", "2 bob 5")
				f.wantRev(id, 3)
				continue
			}
			f.wantTable(id, "1 carol 5", "2 bob 5")
			f.wantRev(id, 4)
		}
	}},
	{"in a batch each operation sees who fell off by the ones before it", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", MaxEntries: 2})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "3"))
		f.unchanged(func() {
			f.refuse(1, leaderboard.CodeMemberNotFound, submit("race", "carol", "4"), remove("race", "bob"))
			f.refuse(2, leaderboard.CodeMemberNotFound, submit("race", "carol", "4"), submit("race", "dora", "6"), remove("race", "carol"))
			f.refuse(1, leaderboard.CodeEntryChanged, submit("race", "carol", "4"), given(3, submit("race", "bob", "1")))
		})
		outcome := f.apply(
			submit("race", "carol", "4"), // bob falls off
			submit("race", "bob", "4"),   // and begins anew, behind carol
			submit("race", "bob", "9"),   // alice falls off? no: carol
			set("race", "alice", "1"),    // is on the board
			submit("race", "carol", "2"), // alice falls off
			remove("race", "bob"),        //
			given(0, set("race", "bob", "0")),
		)
		var accepted []bool
		for _, r := range outcome.Results {
			accepted = append(accepted, r.Accepted)
		}
		if want := []bool{true, false, true, true, true, true, true}; !slices.Equal(want, accepted) {
			f.Errorf("accepted are %v, want %v", accepted, want)
		}
		f.wantTable("race", "1 carol 2", "2 bob 0")
		f.unchanged(f.reopen)
		f.wantResult(f.apply(submit("race", "dora", "-1")), full("dora"))
	}},
	{"data, rank styles and dense ranks are those of who is left", func(f *fixture) {
		for _, style := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense} {
			id := string(style)
			f.create(leaderboard.Board{ID: id, RankStyle: style, MaxEntries: 3})
			f.apply(withData(submit(id, "alice", "1"), `{"n":1}`), submit(id, "bob", "2"), submit(id, "carol", "2"))
			f.apply(submit(id, "dora", "3"))   // alice falls off, and the score 1
			f.apply(submit(id, "emil", "3"))   // carol does
			f.apply(submit(id, "fred", "2.0")) // is behind bob
			f.apply(remove(id, "bob"), submit(id, "alice", "1"))
			want := []string{"1 dora 3", "2 emil 3", "3 alice 1"}
			switch style {
			case leaderboard.Competition:
				want = []string{"1 dora 3", "1 emil 3", "3 alice 1"}
			case leaderboard.Dense:
				want = []string{"1 dora 3", "1 emil 3", "2 alice 1"}
			}
			f.wantTable(id, want...)
			if got := f.entry(id, "alice").Data; got != nil {
				f.Errorf("data of who fell off is there again: %s", got)
			}
		}
	}},
	{"a lower number takes the worst with the patch and with each new member, so many at a time", func(f *fixture) {
		const n = leaderboard.FallWithPatch + 4*leaderboard.FallWithMember
		f.create(leaderboard.Board{ID: "race", MaxEntries: 5000, RankStyle: leaderboard.Dense})
		ops := crowd("race", n)
		f.apply(ops[:leaderboard.MaxBatch]...)
		f.apply(ops[leaderboard.MaxBatch:]...)
		rev := f.view("race").Rev
		view := f.patch("race", leaderboard.Patch{MaxEntries: new(5)})
		if view.Rev != rev+1 || view.Total != n-leaderboard.FallWithPatch || view.Board.MaxEntries != 5 {
			f.Errorf("view of the patch = %+v", view)
		}
		f.apply(set("race", "m1040", "1039.0"))                                            // is there already
		f.wantResult(f.apply(submit("race", "new", "1035")), full("new"))                  // would be the sixth
		outcome := f.apply(submit("race", "new", "1037"), submit("race", "newer", "2000")) // is the fifth
		if got := outcome.Boards[0].Total; got != n-leaderboard.FallWithPatch+2-2*leaderboard.FallWithMember {
			f.Errorf("%d entries after two new ones", got)
		}
		f.apply(submit("race", "newest", "2001"))
		f.apply(submit("race", "last", "2002"))
		f.wantTable("race", "1 last 2002", "2 newest 2001", "3 newer 2000", "4 m1039 1039", "4 m1040 1039")
		f.unchanged(f.reopen)
		f.patch("race", leaderboard.Patch{MaxEntries: new(6)})
		f.apply(submit("race", "another", "0"))
		f.patch("race", leaderboard.Patch{MaxEntries: new(1), Top: new(5)})
		f.wantTable("race", "1 last 2002")
	}},
	{"a number of entries is given at the creation or never", func(f *fixture) {
		f.create(leaderboard.Board{ID: "with", MaxEntries: 2})
		f.create(leaderboard.Board{ID: "without"})
		f.unchanged(func() {
			_, err := f.store.PatchBoard(f.Context(), "with", leaderboard.Patch{MaxEntries: new(0)})
			f.wantCode("PatchBoard to 0", err, leaderboard.CodeImmutableSetting)
			_, err = f.store.PatchBoard(f.Context(), "without", leaderboard.Patch{MaxEntries: new(2)})
			f.wantCode("PatchBoard from 0", err, leaderboard.CodeImmutableSetting)
			for _, wrong := range []int{-1, leaderboard.MaxMaxEntries + 1} {
				_, err = f.store.PatchBoard(f.Context(), "with", leaderboard.Patch{MaxEntries: &wrong})
				f.wantCode(fmt.Sprintf("PatchBoard to %d", wrong), err, leaderboard.CodeInvalidBoard)
			}
		})
		f.patch("without", leaderboard.Patch{MaxEntries: new(0)})
		f.patch("with", leaderboard.Patch{MaxEntries: new(3)})
		f.delete("with")
		f.create(leaderboard.Board{ID: "with"})
		f.apply(crowd("with", 5)...)
		f.delete("with")
		f.create(leaderboard.Board{ID: "with", MaxEntries: 3})
		f.apply(crowd("with", 5)...)
		f.wantTable("with", "1 m0005 5", "2 m0004 4", "3 m0003 3")
	}},
	{"a batch over many boards is carried out on full ones as on others, or refused whole", func(f *fixture) {
		var ops []leaderboard.Op
		for i := range 8 {
			b := leaderboard.Board{ID: fmt.Sprintf("b%d", i), MaxEntries: 1 + i%3}
			if i%2 == 1 {
				b.RankStyle, b.SubmitsPerMinute, b.MinScore = leaderboard.Dense, 100, bound("-9")
			}
			f.create(b)
			ops = append(ops, submit(b.ID, "alice", "5"), submit(b.ID, "bob", "6"), submit(b.ID, "carol", "1"), submit(b.ID, "dora", "7"))
		}
		f.unchanged(func() {
			f.refuse(len(ops), leaderboard.CodeMemberNotFound, append(slices.Clone(ops), remove("b0", "bob"))...)
		})
		first := f.keep("n", leaderboard.Digest{1}, ops...)
		want := [][]string{{"1 dora 7"}, {"1 dora 7", "2 bob 6"}, {"1 dora 7", "2 bob 6", "3 alice 5"}}
		for i := range 8 {
			f.wantTable(fmt.Sprintf("b%d", i), want[i%3]...)
		}
		f.recalled(first, "n", leaderboard.Digest{1}, ops...)
		f.reopen()
		f.recalled(first, "n", leaderboard.Digest{1}, ops...)
		one := []leaderboard.Op{submit("b2", "zoe", "9"), submit("b2", "yan", "0")}
		f.recalled(f.keep("one", leaderboard.Digest{1}, one...), "one", leaderboard.Digest{1}, one...)
	}},
	{"a full board loses nobody who belongs on it, however many write", func(f *fixture) {
		const writers, each, most = 6, 40, 50
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best, MaxEntries: most})
		var scores []int
		done := make(chan error, writers)
		for w := range writers {
			for i := range each {
				scores = append(scores, (i*writers+w)*7%1009)
			}
			go func() {
				for i := range each {
					n := i*writers + w
					ops := []leaderboard.Op{submit("race", fmt.Sprintf("m%d", n), fmt.Sprint(n*7%1009))}
					if i%3 == 0 { // no more than a try
						ops = append(ops, submit("race", fmt.Sprintf("m%d", n), "-1"))
					}
					if _, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock}); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range writers {
			if err := <-done; err != nil {
				f.Fatalf("Apply: %v", err)
			}
		}
		slices.Sort(scores)
		slices.Reverse(scores)
		var got []int
		for _, e := range f.entries("race") {
			got = append(got, int(e.Score))
		}
		if want := scores[:most]; !slices.Equal(want, got) {
			f.Errorf("scores are %v, want %v", got, want)
		}
	}},
}
