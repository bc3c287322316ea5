package storetest

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"

	"laurel/internal/leaderboard"
)

var readChecks = []check{
	{"a page from an offset has the entries from there on, at most limit", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		all := f.entries("race")
		view := f.view("race")
		for offset := range 12 {
			for limit := 1; limit <= 12; limit++ {
				start := min(offset, 10)
				end := min(start+limit, 10)
				want := leaderboard.Page{View: view, Entries: all[start:end], More: end < 10}
				if diff := compare(want, f.page("race", leaderboard.Range{Offset: offset, Limit: limit})); diff != "" {
					f.Errorf("page of %d from %d (-want +got):\n%s", limit, offset, diff)
				}
			}
		}
	}},
	{"a page of an empty board is empty, with its view", func(f *fixture) {
		view := f.create(leaderboard.Board{ID: "race"})
		for _, r := range []leaderboard.Range{whole, {Offset: 5, Limit: 5}, {After: &leaderboard.Position{}, Limit: 5}} {
			if diff := compare(leaderboard.Page{View: view}, f.page("race", r)); diff != "" {
				f.Errorf("page %s (-want +got):\n%s", describeRange(r), diff)
			}
		}
	}},
	{"an offset far beyond the end gives an empty page", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		for _, offset := range []int{11, 1000, math.MaxInt32, math.MaxInt} {
			got := f.page("race", leaderboard.Range{Offset: offset, Limit: leaderboard.MaxLimit})
			if diff := compare(leaderboard.Page{View: f.view("race")}, got); diff != "" {
				f.Errorf("page from %d (-want +got):\n%s", offset, diff)
			}
		}
	}},
	{"pages one after the other by position are the whole board", func(f *fixture) {
		for _, b := range shapes {
			f.ten(b.ID, b)
			all := f.entries(b.ID)
			for limit := 1; limit <= 11; limit++ {
				r := leaderboard.Range{Limit: limit}
				var got []leaderboard.Entry
				for {
					page := f.page(b.ID, r)
					got = append(got, page.Entries...)
					if page.More != (len(got) < len(all)) {
						f.Errorf("more = %t with %d of %d entries seen", page.More, len(got), len(all))
					}
					if !page.More || len(page.Entries) == 0 {
						break
					}
					after := page.Entries[len(page.Entries)-1].Position()
					r.After = &after
				}
				if diff := compare(all, got); diff != "" {
					f.Errorf("board %s by pages of %d (-want +got):\n%s", b.ID, limit, diff)
				}
			}
		}
	}},
	{"the offset does not count beside a position", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		all := f.entries("race")
		after := all[2].Position()
		got := f.page("race", leaderboard.Range{Offset: 5, After: &after, Limit: 2})
		if diff := compare(all[3:5], got.Entries); diff != "" {
			f.Errorf("entries (-want +got):\n%s", diff)
		}
	}},
	{"a position that nobody has any more is still a place", func(f *fixture) {
		for _, b := range shapes {
			f.ten(b.ID, b)
			all := f.entries(b.ID)
			for _, i := range []int{4, 7, 0, 5, 9} { // from here and there, so that no place is what is left of the board
				after := all[i].Position()
				f.apply(remove(b.ID, all[i].Member))
				var want, got []string
				for _, e := range all[i+1:] {
					if f.entry(b.ID, e.Member).Rank > 0 {
						want = append(want, e.Member)
					}
				}
				for _, e := range f.page(b.ID, leaderboard.Range{After: &after, Limit: 20}).Entries {
					got = append(got, e.Member)
				}
				if diff := compare(want, got); diff != "" {
					f.Errorf("members of %s behind rank %d (-want +got):\n%s", b.ID, i+1, diff)
				}
			}
		}
	}},
	{"a position between the entries, or beyond them, is a place", func(f *fixture) {
		for _, b := range shapes {
			f.ten(b.ID, b)
			all := f.entries(b.ID)
			m := modelOf(b, all)
			positions := append([]leaderboard.Position{}, extremePositions...)
			for _, e := range all {
				for _, d := range []int64{-1, 0, 1} {
					for _, seq := range []uint64{0, e.Seq - 1, e.Seq, e.Seq + 1, math.MaxUint64} {
						positions = append(positions, leaderboard.Position{Score: e.Score + d, Seq: seq})
					}
				}
			}
			for _, after := range positions {
				r := leaderboard.Range{After: &after, Limit: 3}
				want, err := m.Entries(f.Context(), leaderboard.Ref{Board: b.ID}, r)
				if err != nil {
					f.Fatal(err)
				}
				got := f.page(b.ID, r)
				if diff := compare(want.Entries, got.Entries); diff != "" || want.More != got.More {
					f.Errorf("%s, page of %s, more = %t, want %t (-want +got):\n%s", b.ID, describeRange(r), got.More, want.More, diff)
				}
			}
		}
	}},
	{"pages by position neither repeat nor skip the entries that stay while others move", func(f *fixture) {
		f.ten("race", leaderboard.Board{Policy: leaderboard.Latest})
		first := f.page("race", leaderboard.Range{Limit: 4})
		rest := f.page("race", leaderboard.Range{Offset: 4, Limit: 20})
		after := first.Entries[3].Position()
		f.apply(
			submit("race", first.Entries[3].Member, "1000"), // whom the position was taken from goes up,
			remove("race", first.Entries[1].Member),         // another of the page goes,
			submit("race", "new", "2000"),                   // and one comes
		)
		var want, got []string
		for _, e := range rest.Entries {
			want = append(want, e.Member)
		}
		second := f.page("race", leaderboard.Range{After: &after, Limit: 20})
		for _, e := range second.Entries {
			got = append(got, e.Member)
		}
		if diff := compare(want, got); diff != "" {
			f.Errorf("members behind the position (-want +got):\n%s", diff)
		}
		if got := second.Entries[0].Rank; got != 5 {
			f.Errorf("first rank behind the position = %d, want 5", got)
		}
	}},

	{"around has the member in its middle, one more above with an even limit", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		f.wantAround(5, 1, 5, 5)
		f.wantAround(5, 2, 4, 5)
		f.wantAround(5, 3, 4, 6)
		f.wantAround(5, 4, 3, 6)
		f.wantAround(5, 5, 3, 7)
	}},
	{"around is filled up from below at the top", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		f.wantAround(1, 1, 1, 1)
		f.wantAround(1, 2, 1, 2)
		f.wantAround(1, 5, 1, 5)
		f.wantAround(2, 5, 1, 5)
		f.wantAround(2, 4, 1, 4)
		f.wantAround(3, 4, 1, 4)
		f.wantAround(3, 5, 1, 5)
		f.wantAround(4, 5, 2, 6)
	}},
	{"around is filled up from above at the bottom", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		f.wantAround(10, 1, 10, 10)
		f.wantAround(10, 2, 9, 10)
		f.wantAround(10, 5, 6, 10)
		f.wantAround(9, 5, 6, 10)
		f.wantAround(9, 4, 7, 10)
		f.wantAround(8, 5, 6, 10)
		f.wantAround(7, 5, 5, 9)
	}},
	{"around with a limit beyond the board is the whole board", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		for rank := 1; rank <= 10; rank++ {
			f.wantAround(rank, 9, map[bool]int{true: 1, false: 2}[rank < 6], map[bool]int{true: 9, false: 10}[rank < 6])
			for _, limit := range []int{10, 11, leaderboard.MaxLimit} {
				f.wantAround(rank, limit, 1, 10)
			}
		}
	}},
	{"around has the place of a member among its equals", func(f *fixture) {
		for _, b := range shapes {
			f.ten(b.ID, b)
			all := f.entries(b.ID)
			for i, e := range all {
				page, err := f.store.Around(f.Context(), leaderboard.Ref{Board: b.ID}, e.Member, 1)
				if err != nil {
					f.Fatal(err)
				}
				if diff := compare(all[i:i+1], page.Entries); diff != "" {
					f.Errorf("%s around %s alone (-want +got):\n%s", b.ID, e.Member, diff)
				}
			}
		}
	}},
	{"around a member that is not on the board finds nothing", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		f.apply(remove("race", "m3"))
		for _, member := range []string{"m3", "nobody"} {
			_, err := f.store.Around(f.Context(), leaderboard.Ref{Board: "race"}, member, 3)
			f.wantCode("Around "+member, err, leaderboard.CodeMemberNotFound)
		}
	}},

	{"a lookup answers in the order it was asked, absent members by name alone", func(f *fixture) {
		f.ten("race", leaderboard.Board{RankStyle: leaderboard.Competition})
		all := map[string]leaderboard.Entry{}
		for _, e := range f.entries("race") {
			all[e.Member] = e
		}
		want := leaderboard.Page{View: f.view("race"), Entries: []leaderboard.Entry{
			all["m7"], {Member: "nobody"}, all["m1"], all["m7"], {Member: "somebody"}, all["m10"],
		}}
		if diff := compare(want, f.lookup("race", "m7", "nobody", "m1", "m7", "somebody", "m10")); diff != "" {
			f.Errorf("page (-want +got):\n%s", diff)
		}
		if diff := compare(leaderboard.Page{View: f.view("race")}, f.lookup("race")); diff != "" {
			f.Errorf("page for no members (-want +got):\n%s", diff)
		}
	}},

	{"around a score are those who stand about where it would", func(f *fixture) {
		for _, b := range shapes {
			b.Decimals = 1
			f.ten(b.ID, b)
			all := f.entries(b.ID)
			settings := f.view(b.ID).Board
			for _, points := range []string{"-99999999999999.9", "-5.1", "-5", "-4.9", "0", "0.5", "10", "19.9", "20", "20.1", "70", "71", "99999999999999.9"} {
				around := score(points)
				scaled, err := around.Scaled(1)
				if err != nil {
					f.Fatal(err)
				}
				above := 0 // who stands before one who reaches the score now
				for _, e := range all {
					if settings.Better(e.Score, scaled) || e.Score == scaled && settings.Ties == leaderboard.Earliest {
						above++
					}
				}
				for limit := 1; limit <= 12; limit++ {
					start := max(0, min(above-limit/2, 10-limit))
					end := min(start+limit, 10)
					want := leaderboard.Page{View: f.view(b.ID), Entries: all[start:end], More: end < 10}
					got := f.page(b.ID, leaderboard.Range{Around: &around, Limit: limit, Offset: 3, After: &leaderboard.Position{}})
					if diff := compare(want, got); diff != "" {
						f.Errorf("%s, %d around %s (-want +got):\n%s", b.ID, limit, points, diff)
					}
				}
			}
		}
	}},
	{"who reaches the score stands where the page around it had its middle", func(f *fixture) {
		for _, b := range shapes {
			f.ten(b.ID, b)
			around := score("20")
			page := f.page(b.ID, leaderboard.Range{Around: &around, Limit: 4})
			f.apply(set(b.ID, "new", "20"))
			got, err := f.store.Around(f.Context(), leaderboard.Ref{Board: b.ID}, "new", 5)
			if err != nil {
				f.Fatal(err)
			}
			var want, names []string
			for i, e := range page.Entries {
				if i == 2 {
					want = append(want, "new")
				}
				want = append(want, e.Member)
			}
			for _, e := range got.Entries {
				names = append(names, e.Member)
			}
			if diff := compare(want, names); diff != "" {
				f.Errorf("%s (-want +got):\n%s", b.ID, diff)
			}
		}
	}},
	{"a score that the board cannot keep has no place", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Decimals: 2})
		f.apply(submit("race", "a", "1"))
		for points, code := range map[string]leaderboard.Code{
			"0.001": leaderboard.CodeTooManyDecimals, "9999999999999.99": "", "10000000000000": leaderboard.CodeScoreOutOfRange, "-10000000000000": leaderboard.CodeScoreOutOfRange,
		} {
			around := score(points)
			page, err := f.store.Entries(f.Context(), leaderboard.Ref{Board: "race"}, leaderboard.Range{Around: &around, Limit: 5})
			if leaderboard.CodeOf(err) != code || (err == nil) != (code == "") {
				f.Errorf("around %s: %v, want the code %q", points, err, code)
			}
			if err != nil && compare(leaderboard.Page{}, page) != "" {
				f.Errorf("around %s: a page beside the error %v: %+v", points, err, page)
			}
			_, err = f.store.Entries(f.Context(), leaderboard.Ref{Board: "none"}, leaderboard.Range{Around: &around, Limit: 5})
			f.wantCode("around "+points+" on no board", err, leaderboard.CodeBoardNotFound)
			_, err = f.store.Entries(f.Context(), leaderboard.Ref{Board: "race", Season: 7}, leaderboard.Range{Around: &around, Limit: 5})
			f.wantCode("around "+points+" in no season", err, leaderboard.CodeSeasonNotFound)
		}
	}},
	{"around a score is by the decimals of the board that there is", func(f *fixture) {
		around := score("0.5")
		for _, decimals := range []int{1, 6, 2} {
			f.create(leaderboard.Board{ID: "race", Decimals: decimals})
			f.apply(submit("race", "a", "0.9"), submit("race", "b", "0.6"), submit("race", "c", "0.4"), submit("race", "d", "0.1"))
			f.wantMembers(f.page("race", leaderboard.Range{Around: &around, Limit: 2}), "b", "c")
			f.delete("race")
		}
	}},

	{"the first so many percent are rounded up, exactly", func(f *fixture) {
		f.ten("race", leaderboard.Board{RankStyle: leaderboard.Competition})
		all := f.entries("race")
		for percent, n := range map[string]int{
			"0.000001": 1, "9.999999": 1, "10": 1, "10.000001": 2, "20": 2, "30": 3, "33.333333": 4, "69.999999": 7, "70": 7, "70.000001": 8, "99": 10, "100": 10,
		} {
			part := score(percent)
			for offset := range 12 {
				for limit := 1; limit <= 12; limit++ {
					start := min(offset, n)
					end := min(start+limit, n)
					want := leaderboard.Page{View: f.view("race"), Entries: all[start:end], More: end < n}
					if diff := compare(want, f.page("race", leaderboard.Range{Percent: &part, Offset: offset, Limit: limit})); diff != "" {
						f.Errorf("%d from %d of the first %s %% (-want +got):\n%s", limit, offset, percent, diff)
					}
				}
			}
		}
	}},
	{"pages by position end with the percentage, whatever moves", func(f *fixture) {
		f.ten("race", leaderboard.Board{Policy: leaderboard.Latest})
		half := score("50")
		all := f.entries("race")
		first := f.page("race", leaderboard.Range{Percent: &half, Limit: 3})
		after := all[2].Position()
		rest := f.page("race", leaderboard.Range{Percent: &half, After: &after, Limit: 3})
		if diff := compare(all[:5], append(first.Entries, rest.Entries...)); diff != "" || !first.More || rest.More {
			f.Errorf("more = %t, then %t (-want +got):\n%s", first.More, rest.More, diff)
		}
		f.apply(submit("race", "m11", "-50"), submit("race", "m12", "-51"), submit("race", "m13", "-52"))
		rest = f.page("race", leaderboard.Range{Percent: &half, After: &after, Limit: 9})
		if len(rest.Entries) != 4 || rest.More { // up to the 7th of 13
			f.Errorf("%d more of the first half of 13, more = %t; want 4", len(rest.Entries), rest.More)
		}
		for i := range 8 {
			f.apply(remove("race", all[9-i].Member))
		}
		rest = f.page("race", leaderboard.Range{Percent: &half, After: &after, Limit: 9}) // of 5, of whom 2 stand before
		if len(rest.Entries) != 1 || rest.More {
			f.Errorf("%d more of the first half of 5, more = %t; want 1", len(rest.Entries), rest.More)
		}
	}},
	{"a percentile is the share of the others who do not stand before, also among equals", func(f *fixture) {
		for _, b := range shapes {
			f.ten(b.ID, b)
			page := f.page(b.ID, whole)
			for i, e := range page.Entries {
				before := i
				if b.RankStyle != leaderboard.Ordinal {
					before = slices.IndexFunc(page.Entries, func(other leaderboard.Entry) bool { return other.Score == e.Score })
				}
				want, _ := big.NewRat(int64(100*(len(page.Entries)-1-before)), int64(len(page.Entries)-1)).Float64()
				found := f.lookup(b.ID, e.Member)
				if better := found.Entries[0].Better; b.RankStyle == leaderboard.Dense && (better != before || e.Better != before) {
					f.Errorf("%s: %d are better than %s by a lookup, %d on its page; want %d", b.ID, better, e.Member, e.Better, before)
				}
				if got := found.Percentile(found.Entries[0]); got != want {
					f.Errorf("%s: percentile of %s by a lookup = %v, want %v", b.ID, e.Member, got, want)
				}
				if got := page.Percentile(e); got != want {
					f.Errorf("%s: percentile of %s on its page = %v, want %v", b.ID, e.Member, got, want)
				}
			}
		}
	}},

	{"the order of entries is that of their positions", func(f *fixture) {
		for _, b := range shapes {
			f.ten(b.ID, b)
			all, settings := f.entries(b.ID), f.view(b.ID).Board
			for i, x := range all {
				for j, y := range all {
					if got, want := settings.Compare(x.Position(), y.Position()), cmp.Compare(i, j); got != want {
						f.Errorf("%s: %s at %d compared with %s at %d is %d, want %d", b.ID, x.Member, i+1, y.Member, j+1, got, want)
					}
				}
			}
		}
	}},

	{"a member is found on every board, in pages by id", func(f *fixture) {
		var want []leaderboard.Page
		var ids []string
		for i, b := range append(slices.Clone(shapes), leaderboard.Board{ID: "A"}, leaderboard.Board{ID: "zz"}, leaderboard.Board{ID: "gone"}) {
			f.ten(b.ID, b)
			if i%3 == 1 {
				f.apply(remove(b.ID, "m5"))
			}
			ids = append(ids, b.ID)
		}
		f.delete("gone")
		ids = ids[:len(ids)-1]
		slices.Sort(ids)
		on := map[string]bool{}
		for _, id := range ids {
			if page := f.lookup(id, "m5"); page.Entries[0].Rank > 0 {
				want = append(want, page)
				on[id] = true
			}
		}
		if len(want) == 0 || len(want) == len(ids) {
			f.Fatalf("m5 is on %d of %d boards", len(want), len(ids))
		}
		for limit := 1; limit <= len(ids)+1; limit++ {
			var got []leaderboard.Page
			for after, seen := "", 0; ; {
				pages, next, err := f.store.Member(f.Context(), "m5", after, limit)
				if err != nil {
					f.Fatal(err)
				}
				looked := min(limit, len(ids)-seen)
				found := 0
				for _, id := range ids[seen : seen+looked] {
					if on[id] {
						found++
					}
				}
				seen += looked
				wantNext := ""
				if seen < len(ids) {
					wantNext = ids[seen-1]
				}
				if len(pages) != found || next != wantNext {
					f.Fatalf("%d boards after %q: on %d of them, then %q; want %d, then %q", limit, after, len(pages), next, found, wantNext)
				}
				got = append(got, pages...)
				if after = next; after == "" {
					break
				}
			}
			if diff := compare(want, got); diff != "" {
				f.Errorf("boards by %d (-want +got):\n%s", limit, diff)
			}
		}
		if pages, next, err := f.store.Member(f.Context(), "nobody", "", leaderboard.MaxLimit); len(pages) > 0 || next != "" || err != nil {
			f.Errorf("nobody is on %d boards, then %q, %v", len(pages), next, err)
		}
		if pages, next, err := f.store.Member(f.Context(), "m5", "zzz", 5); len(pages) > 0 || next != "" || err != nil {
			f.Errorf("behind the last board m5 is on %d, then %q, %v", len(pages), next, err)
		}
	}},

	{"ordinal ranks count the entries", func(f *fixture) {
		f.equals("race", leaderboard.Board{RankStyle: leaderboard.Ordinal})
		f.wantTable("race", "1 a 9", "2 b 7", "3 c 7", "4 d 7", "5 e 5", "6 f 5", "7 g 1")
	}},
	{"competition ranks are shared by equals, and the next ones left out", func(f *fixture) {
		f.equals("race", leaderboard.Board{RankStyle: leaderboard.Competition})
		f.wantTable("race", "1 a 9", "2 b 7", "2 c 7", "2 d 7", "5 e 5", "5 f 5", "7 g 1")
		f.apply(remove("race", "a"))
		f.wantTable("race", "1 b 7", "1 c 7", "1 d 7", "4 e 5", "4 f 5", "6 g 1")
	}},
	{"dense ranks are shared by equals, and none is left out", func(f *fixture) {
		f.equals("race", leaderboard.Board{RankStyle: leaderboard.Dense})
		f.wantTable("race", "1 a 9", "2 b 7", "2 c 7", "2 d 7", "3 e 5", "3 f 5", "4 g 1")
		f.apply(remove("race", "f"))
		f.wantTable("race", "1 a 9", "2 b 7", "2 c 7", "2 d 7", "3 e 5", "4 g 1")
		f.apply(remove("race", "e"))
		f.wantTable("race", "1 a 9", "2 b 7", "2 c 7", "2 d 7", "3 g 1")
		f.apply(set("race", "c", "8"), set("race", "a", "7"))
		f.wantTable("race", "1 c 8", "2 b 7", "2 d 7", "2 a 7", "3 g 1")
		f.apply(set("race", "c", "0"), remove("race", "g"))
		f.wantTable("race", "1 b 7", "1 d 7", "1 a 7", "2 c 0")
	}},
	{"dense ranks are those of the whole board also around a score, in the first so many percent and over all boards", func(f *fixture) {
		f.equals("race", leaderboard.Board{RankStyle: leaderboard.Dense})
		all := f.entries("race")
		around := score("5") // behind e and f
		percent := score("50")
		second := all[1].Position()
		for _, want := range []struct {
			r        leaderboard.Range
			from, to int
		}{
			{leaderboard.Range{Around: &around, Limit: 4}, 3, 7},
			{leaderboard.Range{Around: &around, Limit: 2}, 5, 7},
			{leaderboard.Range{Percent: &percent, Limit: 9}, 0, 4},
			{leaderboard.Range{Percent: &percent, After: &second, Limit: 9}, 2, 4},
		} {
			if diff := compare(all[want.from:want.to], f.page("race", want.r).Entries); diff != "" {
				f.Errorf("page %+v (-want +got):\n%s", want.r, diff)
			}
		}
		for _, e := range all {
			pages, _, err := f.store.Member(f.Context(), e.Member, "", 1)
			if err != nil || len(pages) != 1 {
				f.Fatalf("%s is on %d boards, %v; want 1", e.Member, len(pages), err)
			}
			if diff := compare([]leaderboard.Entry{e}, pages[0].Entries); diff != "" {
				f.Errorf("%s over all boards (-want +got):\n%s", e.Member, diff)
			}
		}
	}},
	{"an entry with a dense rank says how many are better", func(f *fixture) {
		f.equals("race", leaderboard.Board{RankStyle: leaderboard.Dense, Order: leaderboard.Ascending})
		var got []int
		for _, e := range f.entries("race") {
			got = append(got, e.Better)
		}
		if want := []int{0, 1, 1, 3, 3, 3, 6}; !slices.Equal(want, got) {
			f.Errorf("better = %v, want %v", got, want)
		}
	}},
	{"ranks are those of the whole board wherever a page begins", func(f *fixture) {
		for _, style := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense} {
			for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
				id := fmt.Sprintf("%s-%s", style, order)
				f.equals(id, leaderboard.Board{RankStyle: style, Order: order})
				all := f.entries(id)
				for i, e := range all {
					got := []leaderboard.Page{f.page(id, leaderboard.Range{Offset: i, Limit: 1}), f.lookup(id, e.Member)}
					around, err := f.store.Around(f.Context(), leaderboard.Ref{Board: id}, e.Member, 1)
					if err != nil {
						f.Fatal(err)
					}
					got = append(got, around)
					if i > 0 {
						after := all[i-1].Position()
						got = append(got, f.page(id, leaderboard.Range{After: &after, Limit: 1}))
					}
					for _, page := range got {
						if diff := compare(all[i:i+1], page.Entries); diff != "" {
							f.Errorf("entry %d of %s (-on its page +alone):\n%s", i, id, diff)
						}
					}
				}
			}
		}
	}},

	{"the current season is the first", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		for _, season := range []int{0, 1} {
			ref := leaderboard.Ref{Board: "race", Season: season}
			entries, err := f.store.Entries(f.Context(), ref, whole)
			if err != nil || entries.Season != 1 || len(entries.Entries) != 10 {
				f.Errorf("Entries of season %d = %d entries of season %d, %v, want 10 of season 1", season, len(entries.Entries), entries.Season, err)
			}
			around, err := f.store.Around(f.Context(), ref, "m3", 3)
			if err != nil || around.Season != 1 || len(around.Entries) != 3 {
				f.Errorf("Around in season %d = %+v, %v", season, around, err)
			}
			lookup, err := f.store.Lookup(f.Context(), ref, []string{"m3"})
			if err != nil || lookup.Season != 1 || lookup.Entries[0].Rank == 0 {
				f.Errorf("Lookup in season %d = %+v, %v", season, lookup, err)
			}
		}
	}},
	{"a season that never was is not found", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		for _, season := range []int{-1, 2, 3, math.MaxInt} {
			ref := leaderboard.Ref{Board: "race", Season: season}
			_, err := f.store.Entries(f.Context(), ref, whole)
			f.wantCode(fmt.Sprintf("Entries of season %d", season), err, leaderboard.CodeSeasonNotFound)
			_, err = f.store.Around(f.Context(), ref, "nobody", 3)
			f.wantCode(fmt.Sprintf("Around in season %d", season), err, leaderboard.CodeSeasonNotFound)
			_, err = f.store.Lookup(f.Context(), ref, []string{"m3"})
			f.wantCode(fmt.Sprintf("Lookup in season %d", season), err, leaderboard.CodeSeasonNotFound)
			ref.Board = "none"
			_, err = f.store.Entries(f.Context(), ref, whole)
			f.wantCode("Entries of no board", err, leaderboard.CodeBoardNotFound)
		}
	}},
}

// shapes are boards of every order, tie rule and rank style.
var shapes = func() (boards []leaderboard.Board) {
	for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
		for _, ties := range []leaderboard.Ties{leaderboard.Earliest, leaderboard.LatestTie} {
			for _, style := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense} {
				id := fmt.Sprintf("%s-%s-%s", order, ties, style)
				boards = append(boards, leaderboard.Board{ID: id, Order: order, Ties: ties, RankStyle: style})
			}
		}
	}
	return boards
}()

// ten makes a board of ten members, m1 to m10, some of whom have equal scores,
// one of them below zero.
func (f *fixture) ten(id string, b leaderboard.Board) {
	f.Helper()
	b.ID = id
	f.create(b)
	for i, points := range []string{"30", "20", "20", "-5", "20", "10", "70", "70", "0", "1"} {
		f.apply(submit(id, fmt.Sprintf("m%d", i+1), points))
	}
}

// equals makes a board of a to g with several equal scores.
func (f *fixture) equals(id string, b leaderboard.Board) {
	f.Helper()
	b.ID = id
	f.create(b)
	f.apply(
		submit(id, "e", "5"), submit(id, "b", "7"), submit(id, "g", "1"), submit(id, "a", "9"),
		submit(id, "c", "7"), submit(id, "f", "5"), submit(id, "d", "7"),
	)
}

// wantAround asks for the neighbours of the member with the rank on race and
// compares the page with the ranks from first to last.
func (f *fixture) wantAround(rank, limit, first, last int) {
	f.Helper()
	const id = "race"
	all := f.entries(id)
	member := all[rank-1].Member
	got, err := f.store.Around(f.Context(), leaderboard.Ref{Board: id}, member, limit)
	if err != nil {
		f.Fatalf("Around(%q, %d): %v", member, limit, err)
	}
	want := leaderboard.Page{View: f.view(id), Entries: all[first-1 : last], More: last < len(all)}
	if diff := compare(want, got); diff != "" {
		f.Errorf("%d entries around rank %d (-want +got):\n%s", limit, rank, diff)
	}
}

func (f *fixture) wantMembers(page leaderboard.Page, want ...string) {
	f.Helper()
	var got []string
	for _, e := range page.Entries {
		got = append(got, e.Member)
	}
	if diff := compare(want, got); diff != "" {
		f.Errorf("members of %q (-want +got):\n%s", page.Board.ID, diff)
	}
}

// modelOf is a model that has one board with the entries.
func modelOf(settings leaderboard.Board, entries []leaderboard.Entry) *Model {
	m := NewModel()
	m.boards[settings.ID] = &board{settings: settings, entries: entries}
	return m
}
