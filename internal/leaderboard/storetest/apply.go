package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"laurel/internal/leaderboard"
)

var applyChecks = []check{
	{"a first submission puts the member on the board, under each policy", func(f *fixture) {
		for _, policy := range []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest} {
			id := string(policy)
			f.create(leaderboard.Board{ID: id, Policy: policy})
			outcome := f.apply(submit(id, "alice", "0"), submit(id, "bob", "-3"))
			want := []leaderboard.Result{
				{Member: "alice", Accepted: true, Current: leaderboard.Standing{Score: 0, Rank: 1}},
				{Member: "bob", Accepted: true, Current: leaderboard.Standing{Score: -3, Rank: 2}},
			}
			f.wantResult(outcome, want...)
			f.wantTable(id, "1 alice 0", "2 bob -3")
		}
	}},
	{"an entry has what was submitted, the rev of its score and the time of its batch", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "bob", "1"))
		f.apply(withData(submit("race", "alice", "5"), `{"name":"Alice"}`))
		want := leaderboard.Entry{Member: "alice", Score: 5, Rank: 1, Seq: 3, Rev: 3, Data: []byte(`{"name":"Alice"}`), UpdatedAt: f.clock}
		if diff := compare(want, f.entry("race", "alice")); diff != "" {
			f.Errorf("entry (-want +got):\n%s", diff)
		}
	}},
	{"the outcome shows the board as it is then", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		outcome := f.apply(submit("race", "alice", "5"), submit("race", "bob", "1"))
		if diff := compare([]leaderboard.View{f.view("race")}, outcome.Boards); diff != "" {
			f.Errorf("boards of the outcome (-by Board +by Apply):\n%s", diff)
		}
		if got := outcome.Boards[0]; got.Rev != 3 || got.Total != 2 {
			f.Errorf("board of the outcome at rev %d with %d entries, want rev 3 with 2", got.Rev, got.Total)
		}
	}},

	{"sum adds to the score", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Sum})
		f.apply(submit("race", "alice", "5"))
		outcome := f.apply(submit("race", "alice", "7"))
		f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(12, 1), Previous: at(5, 1)})
		f.apply(submit("race", "alice", "-20"))
		f.wantTable("race", "1 alice -8")
	}},
	{"sum is exact with decimals", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Sum, Decimals: 2})
		f.apply(submit("race", "alice", "0.1"))
		outcome := f.apply(submit("race", "alice", "0.2"))
		f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(30, 1), Previous: at(10, 1)})
		f.apply(submit("race", "alice", "1e1"))
		f.wantTable("race", "1 alice 1030")
	}},
	{"latest replaces the score, with a better or a worse one", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest})
		for _, points := range []string{"5", "3", "9"} {
			f.apply(submit("race", "alice", points))
			f.wantTable("race", "1 alice "+points)
		}
	}},
	{"best replaces the score with a better one", func(f *fixture) {
		for order, points := range map[leaderboard.Order][]string{leaderboard.Descending: {"5", "6", "60"}, leaderboard.Ascending: {"60", "6", "-5"}} {
			id := string(order)
			f.create(leaderboard.Board{ID: id, Policy: leaderboard.Best, Order: order})
			for i, p := range points {
				outcome := f.apply(submit(id, "alice", p))
				if !outcome.Results[0].Accepted {
					f.Errorf("%s is not accepted on %s", p, id)
				}
				f.wantTable(id, "1 alice "+p)
				f.wantRev(id, uint64(i)+2)
			}
		}
	}},
	{"best leaves a worse or an equal score aside and changes nothing", func(f *fixture) {
		for order, worse := range map[leaderboard.Order]string{leaderboard.Descending: "4", leaderboard.Ascending: "6"} {
			id := string(order)
			f.create(leaderboard.Board{ID: id, Policy: leaderboard.Best, Order: order})
			f.apply(withData(submit(id, "alice", "5"), `{"name":"Alice"}`))
			for _, points := range []string{worse, "5"} {
				for _, data := range []string{"", "null", `{"name":"Eve"}`} {
					f.unchanged(func() {
						op := submit(id, "alice", points)
						if data != "" {
							op = withData(op, data)
						}
						outcome := f.apply(op)
						f.wantResult(outcome, leaderboard.Result{
							Member: "alice", Reason: leaderboard.NotBetter, Current: at(5, 1), Previous: at(5, 1),
						})
						if diff := compare([]leaderboard.View{f.view(id)}, outcome.Boards); diff != "" {
							f.Errorf("boards of the outcome (-by Board +by Apply):\n%s", diff)
						}
					})
				}
			}
		}
	}},
	{"set replaces the score whatever the policy", func(f *fixture) {
		for _, policy := range []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest} {
			id := string(policy)
			f.create(leaderboard.Board{ID: id, Policy: policy})
			f.apply(submit(id, "alice", "5"))
			outcome := f.apply(set(id, "alice", "3"))
			f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(3, 1), Previous: at(5, 1)})
			f.apply(set(id, "bob", "4"))
			f.wantTable(id, "1 bob 4", "2 alice 3")
		}
	}},
	{"remove takes the member off the board and is one change", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "3"), submit("race", "carol", "1"))
		outcome := f.apply(remove("race", "bob"))
		f.wantResult(outcome, leaderboard.Result{Member: "bob", Accepted: true, Previous: at(3, 2)})
		if got := outcome.Boards[0]; got.Rev != 5 || got.Total != 2 {
			f.Errorf("board of the outcome at rev %d with %d entries, want rev 5 with 2", got.Rev, got.Total)
		}
		f.wantTable("race", "1 alice 5", "2 carol 1")
	}},
	{"a member that is not on the board cannot be removed", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.create(leaderboard.Board{ID: "other"})
		f.apply(submit("race", "alice", "5"), submit("other", "bob", "5"))
		f.unchanged(func() { f.refuse(0, leaderboard.CodeMemberNotFound, remove("race", "bob")) })
	}},
	{"a removed member begins anew", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(withData(submit("race", "alice", "5"), `{"name":"Alice"}`), submit("race", "bob", "5"))
		f.apply(remove("race", "alice")) // rev 4
		outcome := f.apply(submit("race", "alice", "5"))
		f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(5, 2)})
		want := leaderboard.Entry{Member: "alice", Score: 5, Rank: 2, Seq: 5, Rev: 5, UpdatedAt: f.clock}
		if diff := compare(want, f.entry("race", "alice")); diff != "" {
			f.Errorf("entry (-want +got):\n%s", diff)
		}
	}},

	{"results have the standing before and after", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest})
		f.apply(submit("race", "alice", "30"), submit("race", "bob", "20"), submit("race", "carol", "10"))
		outcome := f.apply(submit("race", "carol", "40"))
		f.wantResult(outcome, leaderboard.Result{Member: "carol", Accepted: true, Current: at(40, 1), Previous: at(10, 3)})
		outcome = f.apply(submit("race", "alice", "15"))
		f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(15, 3), Previous: at(30, 2)})
		outcome = f.apply(submit("race", "bob", "21"))
		f.wantResult(outcome, leaderboard.Result{Member: "bob", Accepted: true, Current: at(21, 2), Previous: at(20, 2)})
	}},
	{"results have ranks by the board's rank style", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest, RankStyle: leaderboard.Competition})
		f.apply(submit("race", "alice", "30"), submit("race", "bob", "30"), submit("race", "carol", "30"), submit("race", "dave", "1"))
		outcome := f.apply(submit("race", "dave", "30"))
		f.wantResult(outcome, leaderboard.Result{Member: "dave", Accepted: true, Current: at(30, 1), Previous: at(1, 4)})
		outcome = f.apply(submit("race", "alice", "29"))
		f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(29, 4), Previous: at(30, 1)})
	}},
	{"results have dense ranks where those are the board's", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest, RankStyle: leaderboard.Dense})
		f.apply(submit("race", "alice", "30"), submit("race", "bob", "30"), submit("race", "carol", "30"), submit("race", "dave", "1"))
		outcome := f.apply(submit("race", "dave", "29"))
		f.wantResult(outcome, leaderboard.Result{Member: "dave", Accepted: true, Current: at(29, 2), Previous: at(1, 2)})
		outcome = f.apply(submit("race", "alice", "28"))
		f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(28, 3), Previous: at(30, 1)})
		outcome = f.apply(remove("race", "dave"))
		f.wantResult(outcome, leaderboard.Result{Member: "dave", Accepted: true, Previous: at(29, 2)})
		outcome = f.apply(submit("race", "alice", "28"))
		f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(28, 2), Previous: at(28, 2)})
	}},

	{"the order says which scores stand first", func(f *fixture) {
		f.create(leaderboard.Board{ID: "desc", Order: leaderboard.Descending})
		f.create(leaderboard.Board{ID: "asc", Order: leaderboard.Ascending})
		for _, id := range []string{"desc", "asc"} {
			f.apply(submit(id, "alice", "0"), submit(id, "bob", "-5"), submit(id, "carol", "7"), submit(id, "dave", "-50"))
		}
		f.wantTable("desc", "1 carol 7", "2 alice 0", "3 bob -5", "4 dave -50")
		f.wantTable("asc", "1 dave -50", "2 bob -5", "3 alice 0", "4 carol 7")
	}},
	{"among equals the earliest stands first, in both orders", func(f *fixture) {
		for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
			id := string(order)
			f.create(leaderboard.Board{ID: id, Order: order, Ties: leaderboard.Earliest})
			f.apply(submit(id, "carol", "5"), submit(id, "alice", "5"), submit(id, "bob", "5"))
			f.wantTable(id, "1 carol 5", "2 alice 5", "3 bob 5")
		}
	}},
	{"among equals the latest stands first where the ties say so, in both orders", func(f *fixture) {
		for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
			id := string(order)
			f.create(leaderboard.Board{ID: id, Order: order, Ties: leaderboard.LatestTie})
			f.apply(submit(id, "carol", "5"), submit(id, "alice", "5"), submit(id, "bob", "5"))
			f.wantTable(id, "1 bob 5", "2 alice 5", "3 carol 5")
		}
	}},
	{"who comes back to a score has reached it anew", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "5"))
		f.apply(submit("race", "alice", "1"))
		f.apply(submit("race", "alice", "-1"))
		f.wantTable("race", "1 bob 5", "2 alice 5")
		if got := f.entry("race", "alice").Seq; got != 5 {
			f.Errorf("seq = %d, want 5", got)
		}
	}},
	{"an accepted submission that leaves the score equal keeps its place and is one change", func(f *fixture) {
		for name, op := range map[string]leaderboard.Op{
			"sum":    submit("sum", "alice", "0"),
			"latest": submit("latest", "alice", "5"),
			"set":    set("set", "alice", "5"),
		} {
			for _, ties := range []leaderboard.Ties{leaderboard.Earliest, leaderboard.LatestTie} {
				policy := leaderboard.Policy(name)
				if name == "set" {
					policy = leaderboard.Best
				}
				op.Board = name + "." + string(ties)
				f.create(leaderboard.Board{ID: op.Board, Policy: policy, Ties: ties})
				f.apply(submit(op.Board, "carol", "5"), submit(op.Board, "alice", "5"), submit(op.Board, "bob", "5"))
				outcome := f.apply(withData(op, `{"n":1}`))
				f.wantResult(outcome, leaderboard.Result{Member: "alice", Accepted: true, Current: at(5, 2), Previous: at(5, 2)})
				want := leaderboard.Entry{Member: "alice", Score: 5, Rank: 2, Seq: 3, Rev: 5, Data: []byte(`{"n":1}`), UpdatedAt: f.clock}
				if diff := compare(want, f.entry(op.Board, "alice")); diff != "" {
					f.Errorf("entry on %s (-want +got):\n%s", op.Board, diff)
				}
				f.wantRev(op.Board, 5)
			}
		}
	}},
	{"a rejected submission uses up no rev", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best})
		f.apply(submit("race", "alice", "5"))
		f.apply(submit("race", "alice", "5"), submit("race", "alice", "4"), submit("race", "bob", "1"))
		f.wantRev("race", 3)
		if got := f.entry("race", "bob").Seq; got != 3 {
			f.Errorf("seq = %d, want 3", got)
		}
	}},

	{"data that is absent keeps what there is", func(f *fixture) {
		f.data(func(kind func(data string) leaderboard.Op) {
			f.apply(kind(`{"name":"Alice"}`))
			f.apply(kind(""))
			f.wantData(`{"name":"Alice"}`)
		})
	}},
	{"data that is null removes what there is", func(f *fixture) {
		f.data(func(kind func(data string) leaderboard.Op) {
			f.apply(kind(`{"name":"Alice"}`))
			f.apply(kind("null"))
			f.wantData("")
		})
	}},
	{"data that is an object replaces what there is", func(f *fixture) {
		f.data(func(kind func(data string) leaderboard.Op) {
			f.apply(kind(`{"name":"Alice"}`))
			f.apply(kind(`{"country":"FI"}`))
			f.wantData(`{"country":"FI"}`)
		})
	}},
	{"data of a new entry is what was sent, or none", func(f *fixture) {
		for _, data := range []string{"", "null", "{}", `{"name":"Alice"}`} {
			want := data
			if data == "null" {
				want = ""
			}
			f.data(func(kind func(data string) leaderboard.Op) {
				f.apply(kind(data))
				f.wantData(want)
			})
		}
	}},
	{"data comes back byte for byte", func(f *fixture) {
		for _, data := range []string{
			`{"name":"Ålice \u0041 😀 <b>&</b>","n":1.50,"e":1E+2,"n":2}`,
			`{"z":[{},[],null,true],"a":"` + "\u2028" + `"}`,
			`{"x":"` + strings.Repeat("y", leaderboard.MaxData-len(`{"x":""}`)) + `"}`,
		} {
			f.data(func(kind func(data string) leaderboard.Op) {
				f.apply(kind(data))
				f.wantData(data)
			})
		}
	}},
	{"a member may be any text", func(f *fixture) {
		members := []string{
			"a", "A", " ", "  ", "a ", "a/b", "a:b", "a#b", "a%00b", "\"", "\\", "é", "e\u0301", "😀", "null", "0", "-", "{}", "a\u200bb",
			strings.Repeat("x", leaderboard.MaxMember), strings.Repeat("x", leaderboard.MaxMember-1), strings.Repeat("😀", leaderboard.MaxMember/4),
		}
		f.create(leaderboard.Board{ID: "race"})
		var ops []leaderboard.Op
		for i, member := range members {
			ops = append(ops, submit("race", member, fmt.Sprint(-i)))
		}
		f.apply(ops...)
		page := f.lookup("race", members...)
		for i, member := range members {
			if got := page.Entries[i]; got.Member != member || got.Rank != i+1 || got.Score != int64(-i) {
				f.Errorf("entry of %q = %+v, want rank %d and score %d", member, got, i+1, -i)
			}
		}
		if diff := compare(page.Entries, f.entries("race")); diff != "" {
			f.Errorf("entries (-by Lookup +by Entries):\n%s", diff)
		}
	}},
	{"updated_at is the time of the batch, even when it lies before the last", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		for _, when := range []time.Time{f.clock, f.clock.Add(-time.Hour), f.clock.Add(time.Millisecond), time.UnixMilli(1).UTC()} {
			if _, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", "alice", "1")}, At: when}); err != nil {
				f.Fatal(err)
			}
			if got := f.entry("race", "alice").UpdatedAt; !got.Equal(when) {
				f.Errorf("updated at %v, want %v", got, when)
			}
		}
	}},

	{"scores reach to the limit on both sides, in both orders", func(f *fixture) {
		for _, limit := range limits {
			for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
				id := fmt.Sprintf("%s.%d", order, limit.decimals)
				f.create(leaderboard.Board{ID: id, Order: order, Decimals: limit.decimals})
				f.apply(submit(id, "high", limit.most), submit(id, "low", "-"+limit.most), submit(id, "zero", "0"))
				want := []string{
					fmt.Sprintf("1 high %d", limit.scaled), "2 zero 0", fmt.Sprintf("3 low %d", -limit.scaled),
				}
				if order == leaderboard.Ascending {
					want = []string{fmt.Sprintf("1 low %d", -limit.scaled), "2 zero 0", fmt.Sprintf("3 high %d", limit.scaled)}
				}
				f.wantTable(id, want...)
			}
		}
	}},
	{"scores next to each other at the limit are told apart", func(f *fixture) {
		for _, limit := range limits {
			id := fmt.Sprint(limit.decimals)
			f.create(leaderboard.Board{ID: id, Decimals: limit.decimals})
			f.apply(submit(id, "high", limit.most), submit(id, "next", limit.most), submit(id, "low", "-"+limit.most), submit(id, "above", "-"+limit.most))
			f.apply(submit(id, "next", "-"+limit.unit), submit(id, "above", limit.unit))
			f.wantTable(id, fmt.Sprintf("1 high %d", limit.scaled), fmt.Sprintf("2 next %d", limit.scaled-1),
				fmt.Sprintf("3 above %d", 1-limit.scaled), fmt.Sprintf("4 low %d", -limit.scaled))
		}
	}},
	{"a score beyond the limit is refused", func(f *fixture) {
		for _, limit := range limits {
			for _, policy := range []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest} {
				id := fmt.Sprintf("%s.%d", policy, limit.decimals)
				f.create(leaderboard.Board{ID: id, Policy: policy, Decimals: limit.decimals})
				f.apply(submit(id, "alice", "1"))
				f.unchanged(func() {
					for _, points := range []string{limit.beyond, "-" + limit.beyond} {
						for _, member := range []string{"alice", "bob"} {
							f.refuse(0, leaderboard.CodeScoreOutOfRange, submit(id, member, points))
							f.refuse(0, leaderboard.CodeScoreOutOfRange, set(id, member, points))
						}
					}
				})
			}
		}
	}},
	{"a sum beyond the limit is refused", func(f *fixture) {
		for _, limit := range limits {
			id := fmt.Sprint(limit.decimals)
			f.create(leaderboard.Board{ID: id, Decimals: limit.decimals})
			f.apply(submit(id, "high", limit.most), submit(id, "low", "-"+limit.most))
			f.unchanged(func() {
				f.refuse(0, leaderboard.CodeScoreOutOfRange, submit(id, "high", limit.unit))
				f.refuse(0, leaderboard.CodeScoreOutOfRange, submit(id, "high", limit.most))
				f.refuse(0, leaderboard.CodeScoreOutOfRange, submit(id, "low", "-"+limit.unit))
				f.refuse(0, leaderboard.CodeScoreOutOfRange, submit(id, "low", "-"+limit.most))
			})
			outcome := f.apply(submit(id, "high", "-"+limit.most), set(id, "low", limit.most))
			if got := outcome.Results[0].Current.Score; got != 0 {
				f.Errorf("the limit less the limit = %d, want 0", got)
			}
		}
	}},
	{"a score with more decimals than its board is refused", func(f *fixture) {
		for decimals, points := range map[int]string{0: "0.1", 2: "1.234", 5: "0.000001"} {
			id := fmt.Sprint(decimals)
			f.create(leaderboard.Board{ID: id, Decimals: decimals, Policy: leaderboard.Best})
			f.apply(submit(id, "alice", "9"))
			f.unchanged(func() {
				f.refuse(0, leaderboard.CodeTooManyDecimals, submit(id, "alice", points))
				f.refuse(0, leaderboard.CodeTooManyDecimals, set(id, "bob", points))
			})
		}
	}},
}

// limits are the ends of the range of scores for some numbers of decimals.
var limits = []struct {
	decimals           int
	most, beyond, unit string
	scaled             int64
}{
	{0, "9007199254740991", "9007199254740992", "1", 9007199254740991},
	{1, "99999999999999.9", "100000000000000", "0.1", 999999999999999},
	{2, "9999999999999.99", "10000000000000", "0.01", 999999999999999},
	{6, "999999999.999999", "1000000000", "0.000001", 999999999999999},
}

func at(score int64, rank int) leaderboard.Standing {
	return leaderboard.Standing{Score: score, Rank: rank}
}

// wantResult compares results but for the revs of their entries.
func (f *fixture) wantResult(outcome leaderboard.Outcome, want ...leaderboard.Result) {
	f.Helper()
	got := slices.Clone(outcome.Results)
	for i := range got {
		got[i].Rev = 0
	}
	if diff := compare(want, got); diff != "" {
		f.Errorf("results (-want +got):\n%s", diff)
	}
}

// data runs a check with submissions, then with sets, on a new board each time.
func (f *fixture) data(run func(kind func(data string) leaderboard.Op)) {
	f.Helper()
	for _, op := range []leaderboard.Op{submit("race", "alice", "1"), set("race", "alice", "1")} {
		if slices.ContainsFunc(f.boards(), func(v leaderboard.View) bool { return v.Board.ID == "race" }) {
			f.delete("race")
		}
		f.create(leaderboard.Board{ID: "race"})
		run(func(data string) leaderboard.Op {
			if data == "" {
				return op
			}
			return withData(op, data)
		})
	}
}

// wantData compares the data of alice on race; "" is none.
func (f *fixture) wantData(want string) {
	f.Helper()
	got := f.entry("race", "alice").Data
	if string(got) != want || (got == nil) != (want == "") {
		f.Errorf("data = %q, want %q", got, want)
	}
	if top := f.entries("race")[0].Data; string(top) != string(got) {
		f.Errorf("data by Entries = %q, by Lookup %q", top, got)
	}
}
