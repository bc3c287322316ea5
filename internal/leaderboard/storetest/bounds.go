package storetest

import (
	"fmt"

	"laurel/internal/leaderboard"
)

// bound returns a bound with a limit, or none for "".
func bound(limit string) leaderboard.Bound {
	if limit == "" {
		return leaderboard.Bound{}
	}
	return leaderboard.BoundOf(score(limit))
}

var boundsChecks = []check{
	{"no operation leaves a member below the minimum or above the maximum", func(f *fixture) {
		for _, policy := range []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest} {
			id := string(policy)
			f.create(leaderboard.Board{ID: id, Policy: policy, Decimals: 1, MinScore: bound("-2.5"), MaxScore: bound("10")})
			f.apply(submit(id, "low", "-2.5"), submit(id, "high", "10"), set(id, "high", "10"), set(id, "low", "-2.5"))
			f.unchanged(func() {
				for _, op := range []func(board, member, points string) leaderboard.Op{submit, set} {
					f.refuse(0, leaderboard.CodeScoreBelowMinimum, op(id, "new", "-2.6"))
					f.refuse(0, leaderboard.CodeScoreAboveMaximum, op(id, "new", "10.1"))
				}
				f.refuse(0, leaderboard.CodeScoreAboveMaximum, submit(id, "high", "10.1"))
				f.refuse(0, leaderboard.CodeScoreBelowMinimum, set(id, "low", "-9"))
			})
		}
	}},
	{"where scores add up, the bounds are those of the sum", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", MinScore: bound("0"), MaxScore: bound("10")})
		f.apply(submit("race", "alice", "6"), submit("race", "alice", "-6"), submit("race", "alice", "10"))
		f.unchanged(func() {
			f.refuse(0, leaderboard.CodeScoreAboveMaximum, submit("race", "alice", "1"))
			f.refuse(0, leaderboard.CodeScoreBelowMinimum, submit("race", "alice", "-11"))
			f.refuse(2, leaderboard.CodeScoreBelowMinimum, submit("race", "alice", "-9"), submit("race", "alice", "-1"), submit("race", "alice", "-1"))
		})
		f.wantTable("race", "1 alice 10")
	}},
	{"a score that is not better is left aside, whatever the bounds", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best, MinScore: bound("0"), MaxStep: bound("2")})
		f.apply(submit("race", "alice", "50"))
		f.wantResult(f.apply(submit("race", "alice", "-1"), submit("race", "alice", "1"), submit("race", "alice", "50")),
			leaderboard.Result{Member: "alice", Reason: leaderboard.NotBetter, Current: at(50, 1), Previous: at(50, 1)},
			leaderboard.Result{Member: "alice", Reason: leaderboard.NotBetter, Current: at(50, 1), Previous: at(50, 1)},
			leaderboard.Result{Member: "alice", Reason: leaderboard.NotBetter, Current: at(50, 1), Previous: at(50, 1)},
		)
	}},
	{"a submission moves a score by no more than the furthest step", func(f *fixture) {
		for _, policy := range []leaderboard.Policy{leaderboard.Sum, leaderboard.Latest} {
			id := string(policy)
			f.create(leaderboard.Board{ID: id, Policy: policy, Decimals: 2, MaxStep: bound("1.5")})
			f.apply(submit(id, "alice", "1.5"))
			up, down, tooFarUp, tooFarDown := "1.5", "-1.5", "1.51", "-1.51"
			if policy == leaderboard.Latest {
				up, down, tooFarUp, tooFarDown = "3", "1.5", "3.01", "-0.01"
			}
			f.unchanged(func() {
				f.refuse(0, leaderboard.CodeStepTooLarge, submit(id, "alice", tooFarUp))
				f.refuse(0, leaderboard.CodeStepTooLarge, submit(id, "alice", tooFarDown))
			})
			f.apply(submit(id, "alice", up))
			f.apply(submit(id, "alice", down))
			f.wantTable(id, "1 alice 150")
		}
		f.create(leaderboard.Board{ID: "asc", Policy: leaderboard.Best, Order: leaderboard.Ascending, MaxStep: bound("5")})
		f.apply(submit("asc", "alice", "100"), submit("asc", "alice", "95"))
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("asc", "alice", "89"))
		f.apply(submit("asc", "alice", "90"))
	}},
	{"each submission of a batch makes its own step", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", MaxStep: bound("5")})
		f.apply(submit("race", "alice", "5"), submit("race", "alice", "5"), submit("race", "alice", "5"))
		f.unchanged(func() {
			f.refuse(1, leaderboard.CodeStepTooLarge, submit("race", "alice", "5"), submit("race", "alice", "6"))
		})
		f.wantTable("race", "1 alice 15")
	}},
	{"the first step begins at 0 where scores add up, and is free elsewhere", func(f *fixture) {
		f.create(leaderboard.Board{ID: "sum", MaxStep: bound("5")})
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("sum", "alice", "6"))
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("sum", "alice", "-6"))
		f.apply(submit("sum", "alice", "-5"))
		f.apply(remove("sum", "alice"))
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("sum", "alice", "6"))
		for _, policy := range []leaderboard.Policy{leaderboard.Best, leaderboard.Latest} {
			id := string(policy)
			f.create(leaderboard.Board{ID: id, Policy: policy, MaxStep: bound("5")})
			f.apply(submit(id, "alice", "1000"))
			f.refuse(0, leaderboard.CodeStepTooLarge, submit(id, "alice", "1006"))
			f.apply(remove(id, "alice"), submit(id, "alice", "2000"))
		}
	}},
	{"a correction may step as far as it likes", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", MaxStep: bound("5")})
		f.apply(set("race", "alice", "1000"))
		f.apply(set("race", "alice", "-1000"))
		f.wantTable("race", "1 alice -1000")
	}},
	{"bounds hold at the ends of the range", func(f *fixture) {
		const most = "9007199254740991"
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest, MinScore: bound("-" + most), MaxScore: bound(most), MaxStep: bound(most)})
		f.apply(submit("race", "alice", most), submit("race", "alice", "0"), submit("race", "alice", "-"+most))
		f.unchanged(func() {
			f.refuse(0, leaderboard.CodeStepTooLarge, submit("race", "alice", "1"))
			f.refuse(0, leaderboard.CodeStepTooLarge, submit("race", "alice", most))
		})
		f.create(leaderboard.Board{ID: "sum", MinScore: bound("-" + most), MaxScore: bound(most), MaxStep: bound(most)})
		f.apply(submit("sum", "alice", most))
		f.refuse(0, leaderboard.CodeScoreOutOfRange, submit("sum", "alice", "1"))
	}},
	{"a batch over many boards is refused whole for a bound of one", func(f *fixture) {
		var ops []leaderboard.Op
		for i := range 8 {
			id := fmt.Sprintf("b%d", i)
			f.create(leaderboard.Board{ID: id, MaxScore: bound("10")})
			ops = append(ops, submit(id, "alice", "6"))
		}
		f.apply(ops...)
		for i := range ops {
			f.unchanged(func() {
				batch := make([]leaderboard.Op, len(ops))
				for j := range ops {
					batch[j] = submit(ops[j].Board, "bob", "6")
				}
				batch[i] = ops[i]
				f.refuse(i, leaderboard.CodeScoreAboveMaximum, batch...)
			})
		}
		f.unchanged(func() { f.refuse(0, leaderboard.CodeScoreAboveMaximum, ops...) })
		for i := range ops {
			f.wantTable(fmt.Sprintf("b%d", i), "1 alice 6")
		}
	}},
	{"a patch gives, moves and takes away bounds, and those that it does not name stay", func(f *fixture) {
		before := f.create(leaderboard.Board{ID: "race", Decimals: 2})
		f.apply(submit("race", "alice", "-100"))
		got := f.patch("race", leaderboard.Patch{MinScore: new(bound("-0.25")), MaxStep: new(bound("7"))})
		want := before
		want.Rev, want.Total, want.Board.MinScore, want.Board.MaxStep = 3, 1, bound("-0.25"), bound("7")
		if diff := compare(want, got); diff != "" {
			f.Errorf("view of the first PatchBoard (-want +got):\n%s", diff)
		}
		if diff := compare(want, f.view("race")); diff != "" {
			f.Errorf("view of Board (-want +got):\n%s", diff)
		}
		f.refuse(0, leaderboard.CodeScoreBelowMinimum, submit("race", "bob", "-0.26"))
		f.refuse(0, leaderboard.CodeScoreBelowMinimum, submit("race", "alice", "6")) // is where no new one may come
		f.apply(set("race", "alice", "0"), submit("race", "bob", "-0.25"))

		f.patch("race", leaderboard.Patch{MinScore: new(bound("")), MaxScore: new(bound("1"))})
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("race", "bob", "-8"))
		f.refuse(0, leaderboard.CodeScoreAboveMaximum, submit("race", "bob", "1.26"))
		f.apply(submit("race", "bob", "-7"))
		f.patch("race", leaderboard.Patch{MaxScore: new(bound("")), MaxStep: new(bound(""))})
		f.apply(submit("race", "bob", "5000"), submit("race", "alice", "-5000"))
	}},
	{"bounds that a board cannot have are refused", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Decimals: 1, MinScore: bound("1"), MaxScore: bound("5")})
		f.unchanged(func() {
			for _, p := range []leaderboard.Patch{
				{MinScore: new(bound("0.25"))},
				{MinScore: new(bound("5.1"))},
				{MaxScore: new(bound("0.9"))},
				{MaxScore: new(bound("999999999999999"))},
				{MaxStep: new(bound("0"))},
				{MaxStep: new(bound("-1"))},
			} {
				_, err := f.store.PatchBoard(f.Context(), "race", p)
				f.wantCode(fmt.Sprintf("PatchBoard(%+v)", p), err, leaderboard.CodeInvalidBoard)
			}
		})
		f.patch("race", leaderboard.Patch{MinScore: new(bound("5"))})
		f.apply(submit("race", "alice", "5"))
	}},
	{"boards with bounds, with dense ranks, with both and with neither share a batch", func(f *fixture) {
		f.create(leaderboard.Board{ID: "both", MaxScore: bound("9"), RankStyle: leaderboard.Dense})
		f.create(leaderboard.Board{ID: "bounds", MaxScore: bound("9")})
		f.create(leaderboard.Board{ID: "dense", RankStyle: leaderboard.Dense})
		f.create(leaderboard.Board{ID: "neither"})
		ids := []string{"both", "neither", "dense", "bounds"}
		var ops []leaderboard.Op
		for _, id := range ids {
			ops = append(ops, submit(id, "alice", "9"), submit(id, "bob", "9"), submit(id, "carol", "1"))
		}
		f.apply(ops...)
		for _, last := range []string{"both", "bounds"} {
			f.unchanged(func() {
				f.refuse(3, leaderboard.CodeScoreAboveMaximum,
					remove("both", "alice"), submit("neither", "carol", "1"), submit("dense", "carol", "1"), submit(last, "carol", "9"))
			})
		}
		for _, id := range []string{"both", "dense"} {
			f.wantTable(id, "1 alice 9", "1 bob 9", "2 carol 1")
		}
		for _, id := range []string{"bounds", "neither"} {
			f.wantTable(id, "1 alice 9", "2 bob 9", "3 carol 1")
		}
	}},
	{"bounds are there again after opening", func(f *fixture) {
		f.create(leaderboard.Board{ID: "all", Decimals: 3, MinScore: bound("-1.5"), MaxScore: bound("2.125"), MaxStep: bound("0.001")})
		f.create(leaderboard.Board{ID: "min", MinScore: bound("0")})
		f.create(leaderboard.Board{ID: "max", MaxScore: bound("0"), RankStyle: leaderboard.Competition})
		f.create(leaderboard.Board{ID: "step", MaxStep: bound("1e9"), Ties: leaderboard.LatestTie})
		f.create(leaderboard.Board{ID: "dense", MinScore: bound("-2"), MaxStep: bound("7"), RankStyle: leaderboard.Dense})
		f.create(leaderboard.Board{ID: "none"})
		f.unchanged(f.reopen)
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("all", "alice", "0.002"))
		f.refuse(0, leaderboard.CodeScoreBelowMinimum, submit("min", "alice", "-1"))
		f.refuse(0, leaderboard.CodeScoreAboveMaximum, submit("max", "alice", "1"))
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("step", "alice", "1000000001"))
		f.refuse(0, leaderboard.CodeScoreBelowMinimum, submit("dense", "alice", "-3"))
		f.refuse(0, leaderboard.CodeStepTooLarge, submit("dense", "alice", "8"))
		f.apply(submit("dense", "alice", "5"), submit("dense", "bob", "5"), submit("dense", "carol", "-2"))
		f.wantTable("dense", "1 alice 5", "1 bob 5", "2 carol -2")
		f.apply(submit("none", "alice", "1000000001"))
	}},
}
