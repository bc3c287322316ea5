package storetest

import (
	"fmt"
	"slices"

	"laurel/internal/leaderboard"
)

var batchChecks = []check{
	{"each operation sees what the ones before it did", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		outcome := f.apply(
			submit("race", "alice", "10"),
			submit("race", "bob", "20"),
			submit("race", "alice", "15"),
			submit("race", "alice", "-20"),
			remove("race", "bob"),
			submit("race", "bob", "1"),
		)
		f.wantResult(outcome,
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(10, 1)},
			leaderboard.Result{Member: "bob", Accepted: true, Current: at(20, 1)},
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(25, 1), Previous: at(10, 2)},
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(5, 2), Previous: at(25, 1)},
			leaderboard.Result{Member: "bob", Accepted: true, Previous: at(20, 1)},
			leaderboard.Result{Member: "bob", Accepted: true, Current: at(1, 2)},
		)
		f.wantTable("race", "1 alice 5", "2 bob 1")
	}},
	{"ranks within a batch count the members it has moved and those it has not", func(f *fixture) {
		for _, style := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense} {
			id := string(style)
			f.create(leaderboard.Board{ID: id, Policy: leaderboard.Latest, RankStyle: style})
			f.apply(submit(id, "a", "50"), submit(id, "b", "40"), submit(id, "c", "30"), submit(id, "d", "20"), submit(id, "e", "10"))
			third := 3 // rank of the second of two equals that stand behind one
			if style != leaderboard.Ordinal {
				third = 2
			}
			// By the dense style, those who stand behind two equals are a rank nearer.
			behind := func(rank int) int {
				if style == leaderboard.Dense {
					return rank - 1
				}
				return rank
			}
			outcome := f.apply(
				submit(id, "e", "60"), // e a b c d
				submit(id, "d", "50"), // e a d b c
				submit(id, "a", "5"),  // e d b c a
				submit(id, "c", "50"), // e d c b a
				remove(id, "e"),       // d c b a
				submit(id, "b", "45"), // d c b a
				submit(id, "f", "70"), // f d c b a
			)
			f.wantResult(outcome,
				leaderboard.Result{Member: "e", Accepted: true, Current: at(60, 1), Previous: at(10, 5)},
				leaderboard.Result{Member: "d", Accepted: true, Current: at(50, third), Previous: at(20, 5)},
				leaderboard.Result{Member: "a", Accepted: true, Current: at(5, 5), Previous: at(50, 2)},
				leaderboard.Result{Member: "c", Accepted: true, Current: at(50, third), Previous: at(30, 4)},
				leaderboard.Result{Member: "e", Accepted: true, Previous: at(60, 1)},
				leaderboard.Result{Member: "b", Accepted: true, Current: at(45, behind(3)), Previous: at(40, behind(3))},
				leaderboard.Result{Member: "f", Accepted: true, Current: at(70, 1)},
			)
			f.wantTable(id, "1 f 70", "2 d 50", fmt.Sprintf("%d c 50", third), fmt.Sprintf("%d b 45", behind(4)), fmt.Sprintf("%d a 5", behind(5)))
		}
	}},
	{"each accepted operation is one change, in order", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best})
		outcome := f.apply(
			submit("race", "alice", "5"), // rev 2
			submit("race", "alice", "4"), // rejected
			submit("race", "bob", "5"),   // rev 3
			submit("race", "alice", "6"), // rev 4
			set("race", "bob", "6"),      // rev 5
			remove("race", "alice"),      // rev 6
			submit("race", "carol", "6"), // rev 7
		)
		if got := outcome.Boards[0].Rev; got != 7 {
			f.Errorf("rev = %d, want 7", got)
		}
		var seqs []uint64
		for _, e := range f.entries("race") {
			seqs = append(seqs, e.Seq)
		}
		if diff := compare([]uint64{5, 7}, seqs); diff != "" {
			f.Errorf("seqs of bob and carol (-want +got):\n%s", diff)
		}
	}},
	{"a score that leaves and comes back within a batch is reached anew", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "5"), submit("race", "carol", "5"))
		f.apply(
			submit("race", "alice", "6"), submit("race", "alice", "5"), // rev 6
			remove("race", "bob"), submit("race", "bob", "5"), // rev 8
		)
		f.wantTable("race", "1 carol 5", "2 alice 5", "3 bob 5")
		if alice, bob := f.entry("race", "alice").Seq, f.entry("race", "bob").Seq; alice != 6 || bob != 8 {
			f.Errorf("seqs of alice and bob = %d and %d, want 6 and 8", alice, bob)
		}
	}},
	{"a score that stays equal within a batch keeps the rev that reached it", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "5"), submit("race", "alice", "5"), submit("race", "alice", "5"))
		if got := f.entry("race", "alice").Seq; got != 2 {
			f.Errorf("seq = %d, want 2", got)
		}
		f.wantTable("race", "1 alice 5", "2 bob 5")
		f.wantRev("race", 5)
	}},
	{"data within a batch is what the last operation that sent some left", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		plain := submit("race", "alice", "1")
		f.apply(withData(plain, `{"n":1}`), plain, withData(plain, `{"n":2}`), plain)
		f.wantData(`{"n":2}`)
		f.apply(withData(plain, `{"n":3}`), withData(plain, "null"), plain)
		f.wantData("")
		f.apply(withData(plain, `{"n":4}`))
		f.apply(remove("race", "alice"), plain)
		f.wantData("")
	}},
	{"a board that ends a batch without its members is empty", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		outcome := f.apply(submit("race", "bob", "2"), remove("race", "alice"), remove("race", "bob"))
		if got := outcome.Boards[0]; got.Total != 0 || got.Rev != 5 {
			f.Errorf("board of the outcome at rev %d with %d entries, want rev 5 with none", got.Rev, got.Total)
		}
		f.wantTable("race")
	}},
	{"a batch over many boards has its views in the order of the first operations", func(f *fixture) {
		for _, id := range []string{"a", "b", "c", "d"} {
			f.create(leaderboard.Board{ID: id, Policy: leaderboard.Best})
		}
		f.apply(submit("d", "alice", "9"))
		outcome := f.apply(
			submit("c", "alice", "1"), submit("a", "alice", "1"), submit("c", "bob", "2"),
			submit("d", "alice", "1"), submit("b", "alice", "1"), submit("a", "alice", "2"),
		)
		want := []leaderboard.View{f.view("c"), f.view("a"), f.view("d"), f.view("b")}
		if diff := compare(want, outcome.Boards); diff != "" {
			f.Errorf("boards of the outcome (-want +got):\n%s", diff)
		}
		for id, rev := range map[string]uint64{"a": 3, "b": 2, "c": 3, "d": 2} {
			f.wantRev(id, rev)
		}
		f.wantResult(outcome,
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(1, 1)},
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(1, 1)},
			leaderboard.Result{Member: "bob", Accepted: true, Current: at(2, 1)},
			leaderboard.Result{Member: "alice", Reason: leaderboard.NotBetter, Current: at(9, 1), Previous: at(9, 1)},
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(1, 1)},
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(2, 1), Previous: at(1, 1)},
		)
	}},
	{"a batch of the most operations is carried out", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.create(leaderboard.Board{ID: "other"})
		var ops []leaderboard.Op
		for i := range leaderboard.MaxBatch {
			board := "race"
			if i%10 == 0 {
				board = "other"
			}
			ops = append(ops, submit(board, fmt.Sprintf("m%03d", i), fmt.Sprint(i%7)))
		}
		outcome := f.apply(ops...)
		if got := outcome.Boards; len(got) != 2 || got[0].Total != 100 || got[1].Total != 900 || got[1].Rev != 901 {
			f.Errorf("boards of the outcome = %+v, want other with 100 entries and race with 900 at rev 901", got)
		}
		if diff := compare(outcome.Boards[1], f.page("race", whole).View); diff != "" {
			f.Errorf("view (-by Apply +by Entries):\n%s", diff)
		}
		entries := f.entries("race")
		if len(entries) != 900 || !slices.IsSortedFunc(entries, func(x, y leaderboard.Entry) int {
			if x.Score != y.Score {
				return int(y.Score - x.Score)
			}
			return int(x.Seq) - int(y.Seq)
		}) {
			f.Errorf("%d entries, want 900 in order", len(entries))
		}
	}},

	refused("that names no board", leaderboard.CodeBoardNotFound, submit("none", "alice", "1")),
	refused("that removes who is not there", leaderboard.CodeMemberNotFound, remove("b1", "nobody")),
	refused("with too many decimals", leaderboard.CodeTooManyDecimals, submit("b1", "alice", "0.5")),
	refused("with a score out of range", leaderboard.CodeScoreOutOfRange, set("b1", "alice", "9007199254740992")),
	refused("with a sum out of range", leaderboard.CodeScoreOutOfRange, submit("b1", "rich", "1")),

	{"a sum that a batch itself drives out of range is refused at the operation that does", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.unchanged(func() {
			f.refuse(2, leaderboard.CodeScoreOutOfRange, submit("race", "alice", "9007199254740991"), submit("race", "bob", "1"), submit("race", "alice", "1"))
		})
		f.apply(submit("race", "alice", "9007199254740991"), submit("race", "alice", "-1"), submit("race", "alice", "1"))
		f.wantTable("race", "1 alice 9007199254740991")
	}},
	{"a member removed twice in a batch is refused the second time", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		f.unchanged(func() {
			f.refuse(1, leaderboard.CodeMemberNotFound, remove("race", "alice"), remove("race", "alice"))
		})
	}},
	{"the first operation that fails is the one that is named", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.unchanged(func() {
			f.refuse(1, leaderboard.CodeTooManyDecimals,
				submit("race", "alice", "1"), submit("race", "bob", "0.5"), submit("none", "alice", "1"), remove("race", "nobody"))
		})
	}},
	{"a refused batch leaves nothing for the next one to see", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		f.refuse(3, leaderboard.CodeBoardNotFound,
			submit("race", "alice", "5"), withData(submit("race", "bob", "9"), `{"n":1}`), remove("race", "alice"), submit("none", "alice", "1"))
		outcome := f.apply(submit("race", "bob", "1"), submit("race", "alice", "1"))
		f.wantResult(outcome,
			leaderboard.Result{Member: "bob", Accepted: true, Current: at(1, 2)},
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(2, 1), Previous: at(1, 1)},
		)
		if got := f.entry("race", "bob"); got.Seq != 3 || got.Data != nil {
			f.Errorf("entry of bob = %+v, want seq 3 and no data", got)
		}
	}},
}

// refused checks that a batch with a bad operation changes nothing at all,
// wherever in the batch the operation stands, on one board and over several.
func refused(what string, code leaderboard.Code, bad leaderboard.Op) check {
	return check{"an operation " + what + " refuses its whole batch", func(f *fixture) {
		for _, id := range []string{"b0", "b1", "b2"} {
			f.create(leaderboard.Board{ID: id})
			f.apply(submit(id, "alice", "1"), submit(id, "bob", "2"), submit(id, "rich", "9007199254740991"))
		}
		good := map[string][]leaderboard.Op{
			"one board": {
				submit("b1", "alice", "5"), withData(submit("b1", "carol", "3"), `{"n":1}`), remove("b1", "bob"), set("b1", "alice", "0"),
			},
			"several boards": {
				submit("b0", "alice", "5"), submit("b1", "carol", "3"), remove("b2", "bob"), set("b0", "alice", "0"), submit("b1", "bob", "1"),
			},
		}
		for _, ops := range good {
			for index := range len(ops) + 1 {
				f.unchanged(func() { f.refuse(index, code, slices.Insert(slices.Clone(ops), index, bad)...) })
			}
		}
	}}
}
