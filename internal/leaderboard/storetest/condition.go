package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"laurel/internal/leaderboard"
)

// given returns an operation that is carried out only if its entry is at a rev.
func given(rev uint64, op leaderboard.Op) leaderboard.Op {
	op.If = leaderboard.IfRev(rev)
	return op
}

// wantEntryRev compares the rev of an entry, as every read has it.
func (f *fixture) wantEntryRev(id, member string, want uint64) {
	f.Helper()
	around, err := f.store.Around(f.Context(), leaderboard.Ref{Board: id}, member, 1)
	if err != nil || len(around.Entries) != 1 {
		f.Fatalf("Around(%q, %q) = %v, %v", id, member, around, err)
	}
	over, _, err := f.store.Member(f.Context(), member, "", leaderboard.MaxLimit)
	if err != nil {
		f.Fatalf("Member(%q): %v", member, err)
	}
	got := map[string]uint64{"Lookup": f.entry(id, member).Rev, "Around": around.Entries[0].Rev}
	for _, e := range f.entries(id) {
		if e.Member == member {
			got["Entries"] = e.Rev
		}
	}
	for _, page := range over {
		if page.Board.ID == id {
			got["Member"] = page.Entries[0].Rev
		}
	}
	for what, rev := range got {
		if rev != want || len(got) != 4 {
			f.Errorf("%s: rev of %s on %s = %d, want %d", what, member, id, rev, want)
		}
	}
}

// wantRevs compares the revs of the entries that a batch answers.
func (f *fixture) wantRevs(outcome leaderboard.Outcome, want ...uint64) {
	f.Helper()
	got := make([]uint64, len(outcome.Results))
	for i, r := range outcome.Results {
		got[i] = r.Rev
	}
	if diff := compare(want, got); diff != "" {
		f.Errorf("revs of the results (-want +got):\n%s", diff)
	}
}

var conditionChecks = []check{
	{"an entry tells the rev of its last accepted change, also where that leaves its score", func(f *fixture) {
		for _, ties := range []leaderboard.Ties{leaderboard.Earliest, leaderboard.LatestTie} {
			id := string(ties)
			f.create(leaderboard.Board{ID: id, Policy: leaderboard.Best, Ties: ties})
			f.wantRevs(f.apply(submit(id, "alice", "5"), submit(id, "bob", "5")), 2, 3)
			f.wantEntryRev(id, "alice", 2)
			f.wantRevs(f.apply(withData(set(id, "alice", "5"), `{"n":1}`)), 4)
			f.wantEntryRev(id, "alice", 4)
			f.wantRevs(f.apply(submit(id, "alice", "1"), submit(id, "bob", "5")), 4, 3) // are not better
			f.wantRevs(f.apply(set(id, "alice", "5"), withData(set(id, "alice", "5"), `{"n":2}`), submit(id, "alice", "4"), submit(id, "bob", "6")), 5, 6, 6, 7)
			f.wantEntryRev(id, "alice", 6)
			f.wantEntryRev(id, "bob", 7)
			f.wantRevs(f.apply(withData(set(id, "bob", "6"), `null`), remove(id, "alice"), submit(id, "alice", "6")), 8, 0, 10)
			f.wantEntryRev(id, "bob", 8)
			f.wantEntryRev(id, "alice", 10)
			f.unchanged(f.reopen)
			f.wantEntryRev(id, "bob", 8)
			f.wantEntryRev(id, "alice", 10)
		}
	}},
	{"an operation is carried out if its entry is at the rev that it names, and else nothing is", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "3")) // 2, 3
		for _, op := range []leaderboard.Op{submit("race", "alice", "1"), set("race", "alice", "1"), remove("race", "alice")} {
			f.unchanged(func() {
				for _, rev := range []uint64{0, 1, 3, 4, 1<<53 - 1, 1 << 53, 1<<64 - 1} {
					f.refuse(0, leaderboard.CodeEntryChanged, given(rev, op))
					f.refuse(1, leaderboard.CodeEntryChanged, submit("race", "bob", "1"), given(rev, op))
				}
			})
		}
		f.wantRevs(f.apply(given(2, submit("race", "alice", "1"))), 4)
		f.wantRevs(f.apply(given(4, submit("race", "alice", "0"))), 5)
		f.unchanged(func() { f.refuse(0, leaderboard.CodeEntryChanged, given(4, set("race", "alice", "1"))) })
		f.wantRevs(f.apply(given(5, set("race", "alice", "1"))), 6)
		f.wantRevs(f.apply(given(6, remove("race", "alice"))), 0)
		f.wantTable("race", "1 bob 3")
	}},
	{"an operation with the condition that there is no entry is carried out once", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(given(0, submit("race", "alice", "5")), given(0, set("race", "bob", "4")))
		f.unchanged(func() {
			f.refuse(0, leaderboard.CodeEntryChanged, given(0, submit("race", "alice", "5")))
			f.refuse(0, leaderboard.CodeEntryChanged, given(0, set("race", "bob", "4")))
			f.refuse(0, leaderboard.CodeEntryChanged, given(0, remove("race", "bob")))
			f.refuse(0, leaderboard.CodeMemberNotFound, given(0, remove("race", "carol")))
			f.refuse(0, leaderboard.CodeEntryChanged, given(7, remove("race", "carol")))
			f.refuse(1, leaderboard.CodeEntryChanged, given(0, submit("race", "carol", "5")), given(0, submit("race", "carol", "5")))
		})
		f.apply(remove("race", "alice"), given(0, submit("race", "alice", "1")))
		f.wantTable("race", "1 bob 4", "2 alice 1")
	}},
	{"a condition is about what the operations before it leave", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best})
		f.apply(given(0, submit("race", "alice", "5")), given(2, submit("race", "alice", "6")), submit("race", "bob", "1"),
			given(3, submit("race", "alice", "2")), given(3, remove("race", "alice")), given(0, set("race", "alice", "9")), given(6, set("race", "alice", "9")))
		f.wantEntryRev("race", "alice", 7)
		f.unchanged(func() {
			// What is put back has the rev that it had.
			f.refuse(2, leaderboard.CodeEntryChanged, set("race", "alice", "1"), remove("race", "alice"), given(7, set("race", "alice", "9")))
			f.refuse(1, leaderboard.CodeEntryChanged, withData(set("race", "alice", "9"), "{}"), given(7, set("race", "alice", "9")))
		})
		f.apply(given(7, set("race", "alice", "8")))
	}},
	{"a condition is looked at before the score, and after the board", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", MaxScore: bound("9")})
		f.apply(submit("race", "alice", "5"))
		f.unchanged(func() {
			for _, points := range []string{"0.5", "9007199254740991", "5"} {
				f.refuse(0, leaderboard.CodeEntryChanged, given(9, submit("race", "alice", points)))
				f.refuse(0, leaderboard.CodeEntryChanged, given(9, set("race", "bob", points)))
			}
			f.refuse(0, leaderboard.CodeTooManyDecimals, given(2, submit("race", "alice", "0.5")))
			f.refuse(0, leaderboard.CodeScoreAboveMaximum, given(2, submit("race", "alice", "5")))
			f.refuse(0, leaderboard.CodeBoardNotFound, given(2, submit("other", "alice", "5")))
		})
	}},
	{"a batch over many boards is refused whole for a condition of one", func(f *fixture) {
		var ops []leaderboard.Op
		for i := range 8 {
			id := fmt.Sprintf("b%d", i)
			f.create(leaderboard.Board{ID: id})
			f.apply(submit(id, "alice", "1"))
			ops = append(ops, given(2, submit(id, "alice", "6")), submit(id, "bob", "1"))
		}
		for i := 0; i < len(ops); i += 2 {
			f.unchanged(func() {
				batch := append([]leaderboard.Op{}, ops...)
				batch[i] = given(3, batch[i])
				f.refuse(i, leaderboard.CodeEntryChanged, batch...)
			})
		}
		f.apply(ops...)
		f.unchanged(func() { f.refuse(0, leaderboard.CodeEntryChanged, ops...) })
		for i := range 8 {
			f.wantTable(fmt.Sprintf("b%d", i), "1 alice 7", "2 bob 1")
			f.wantEntryRev(fmt.Sprintf("b%d", i), "alice", 3)
		}
	}},
	{"of many that saw an entry at one rev, one changes it", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "0"))
		const writers, rounds = 4, 10
		var wg sync.WaitGroup
		var lost atomic.Int64
		for range writers {
			wg.Go(func() {
				for done := 0; done < rounds; {
					e := f.entry("race", "alice")
					next := given(e.Rev, set("race", "alice", fmt.Sprint(e.Score+1)))
					_, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{next}, At: f.clock})
					switch leaderboard.CodeOf(err) {
					case "":
						if err != nil {
							f.Errorf("Apply: %v", err)
							return
						}
						done++
					case leaderboard.CodeEntryChanged:
						lost.Add(1)
					default:
						f.Errorf("Apply: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		f.Logf("%d of %d attempts were late", lost.Load(), lost.Load()+writers*rounds)
		f.wantTable("race", fmt.Sprintf("1 alice %d", writers*rounds))
	}},
	{"a batch with conditions and a digest is answered again as it was, not looked at again", func(f *fixture) {
		for _, id := range []string{"one", "many", "other", "third"} {
			f.create(leaderboard.Board{ID: id, Policy: leaderboard.Best})
			f.apply(submit(id, "alice", "5"), submit(id, "bob", "4"))
			f.apply(withData(set(id, "bob", "4"), "{}"))
		}
		for i, ops := range [][]leaderboard.Op{
			{given(2, submit("one", "alice", "6"))},
			{submit("many", "bob", "1"), given(4, submit("many", "bob", "3")), given(4, remove("many", "bob")), given(0, submit("many", "bob", "2"))},
			{
				given(2, submit("other", "alice", "7")), given(4, submit("third", "bob", "1")), given(2, set("third", "alice", "5")),
				given(4, remove("other", "bob")), given(0, submit("other", "carol", "8")),
			},
		} {
			name := fmt.Sprint("n", i)
			first := f.keep(name, leaderboard.Digest{1}, ops...)
			f.recalled(first, name, leaderboard.Digest{1}, ops...)
			f.apply(set("one", "zoe", "100"), set("many", "zoe", "100"), set("other", "zoe", "1"), set("third", "zoe", "1"))
			f.reopen()
			f.recalled(first, name, leaderboard.Digest{1}, ops...)
		}
	}},
}
