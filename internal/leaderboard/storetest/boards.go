package storetest

import (
	"fmt"
	"slices"
	"strings"

	"laurel/internal/leaderboard"
)

var boardChecks = []check{
	{"a new board is empty, at rev 1 and in its first season", func(f *fixture) {
		settings := leaderboard.Board{
			ID: "race", Order: leaderboard.Ascending, Policy: leaderboard.Best, Decimals: 3, Ties: leaderboard.LatestTie,
			RankStyle: leaderboard.Competition, Top: 7, Interval: 250, CreatedAt: f.clock,
		}
		created, err := f.store.CreateBoard(f.Context(), settings)
		if err != nil {
			f.Fatal(err)
		}
		want := leaderboard.View{Board: settings, Season: 1, Rev: 1, Epoch: created.Epoch, Total: 0, StartsAt: f.clock}
		if diff := compare(want, created); diff != "" {
			f.Errorf("view of CreateBoard (-want +got):\n%s", diff)
		}
		if diff := compare(want, f.view("race")); diff != "" {
			f.Errorf("view of Board (-want +got):\n%s", diff)
		}
		f.wantTable("race")
	}},
	{"every view names the same epoch", func(f *fixture) {
		a := f.create(leaderboard.Board{ID: "a"})
		b := f.create(leaderboard.Board{ID: "b"})
		outcome := f.apply(submit("b", "alice", "1"))
		if a.Epoch == "" {
			f.Error("epoch is empty")
		}
		for what, got := range map[string]string{
			"CreateBoard": b.Epoch, "Board": f.view("a").Epoch, "Apply": outcome.Boards[0].Epoch, "Boards": f.boards()[1].Epoch,
			"Entries": f.page("b", whole).Epoch, "Lookup": f.lookup("b", "alice").Epoch,
		} {
			if got != a.Epoch {
				f.Errorf("epoch of %s = %q, want %q", what, got, a.Epoch)
			}
		}
	}},
	{"a board that exists cannot be created", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		f.unchanged(func() {
			_, err := f.store.CreateBoard(f.Context(), leaderboard.Board{ID: "race", Order: leaderboard.Ascending}.WithDefaults())
			f.wantCode("CreateBoard", err, leaderboard.CodeBoardExists)
		})
	}},
	{"a board that does not exist is not found", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		ref := leaderboard.Ref{Board: "rac"}
		_, err := f.store.Board(f.Context(), "rac")
		f.wantCode("Board", err, leaderboard.CodeBoardNotFound)
		_, err = f.store.PatchBoard(f.Context(), "rac", leaderboard.Patch{})
		f.wantCode("PatchBoard", err, leaderboard.CodeBoardNotFound)
		f.wantCode("DeleteBoard", f.store.DeleteBoard(f.Context(), "rac"), leaderboard.CodeBoardNotFound)
		_, err = f.store.Entries(f.Context(), ref, whole)
		f.wantCode("Entries", err, leaderboard.CodeBoardNotFound)
		_, err = f.store.Around(f.Context(), ref, "alice", 3)
		f.wantCode("Around", err, leaderboard.CodeBoardNotFound)
		_, err = f.store.Lookup(f.Context(), ref, []string{"alice"})
		f.wantCode("Lookup", err, leaderboard.CodeBoardNotFound)
		for _, op := range []leaderboard.Op{submit("rac", "alice", "1"), set("rac", "alice", "1"), remove("rac", "alice")} {
			f.refuse(0, leaderboard.CodeBoardNotFound, op)
		}
	}},
	{"a patch changes the settings it names and is one change", func(f *fixture) {
		before := f.create(leaderboard.Board{ID: "race"})
		policy, style, top, interval := leaderboard.Latest, leaderboard.Competition, 3, 1000

		got := f.patch("race", leaderboard.Patch{Policy: &policy, Top: &top})
		want := before
		want.Rev, want.Board.Policy, want.Board.Top = 2, policy, top
		if diff := compare(want, got); diff != "" {
			f.Errorf("view of the first PatchBoard (-want +got):\n%s", diff)
		}
		got = f.patch("race", leaderboard.Patch{RankStyle: &style, Interval: &interval})
		want.Rev, want.Board.RankStyle, want.Board.Interval = 3, style, interval
		if diff := compare(want, got); diff != "" {
			f.Errorf("view of the second PatchBoard (-want +got):\n%s", diff)
		}
		if diff := compare(want, f.view("race")); diff != "" {
			f.Errorf("view of Board (-want +got):\n%s", diff)
		}
	}},
	{"a patch that changes nothing is one change too", func(f *fixture) {
		view := f.create(leaderboard.Board{ID: "race"})
		if got := f.patch("race", leaderboard.Patch{}); got.Rev != 2 {
			f.Errorf("rev after an empty patch = %d, want 2", got.Rev)
		}
		if got := f.patch("race", leaderboard.Patch{Order: &view.Board.Order, Top: &view.Board.Top}); got.Rev != 3 {
			f.Errorf("rev after a patch with what is = %d, want 3", got.Rev)
		}
	}},
	{"a patch keeps the entries and rules the next submission", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "5"))
		policy, style := leaderboard.Latest, leaderboard.Competition
		before := f.entries("race")
		f.patch("race", leaderboard.Patch{Policy: &policy, RankStyle: &style})
		before[1].Rank = 1
		if diff := compare(before, f.entries("race")); diff != "" {
			f.Errorf("entries after the patch (-want +got):\n%s", diff)
		}
		f.apply(submit("race", "bob", "3"))
		f.wantTable("race", "1 alice 5", "2 bob 3")
	}},
	{"a setting that cannot change is refused by a patch, whole", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		order, decimals, ties, top := leaderboard.Ascending, 2, leaderboard.LatestTie, 3
		for _, p := range []leaderboard.Patch{{Order: &order, Top: &top}, {Decimals: &decimals, Top: &top}, {Ties: &ties, Top: &top}} {
			f.unchanged(func() {
				_, err := f.store.PatchBoard(f.Context(), "race", p)
				f.wantCode("PatchBoard", err, leaderboard.CodeImmutableSetting)
			})
		}
	}},
	{"dense ranks are for all of a board's life or none of it", func(f *fixture) {
		for _, style := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense} {
			for _, other := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense} {
				id, top := fmt.Sprintf("%s-%s", style, other), 3
				f.create(leaderboard.Board{ID: id, RankStyle: style})
				patch := leaderboard.Patch{RankStyle: &other, Top: &top}
				if style == other || style != leaderboard.Dense && other != leaderboard.Dense {
					if got := f.patch(id, patch).Board; got.RankStyle != other || got.Top != top {
						f.Errorf("board after the patch: %+v, want rank style %s and a top of %d", got, other, top)
					}
					continue
				}
				f.unchanged(func() {
					_, err := f.store.PatchBoard(f.Context(), id, patch)
					f.wantCode("PatchBoard "+id, err, leaderboard.CodeImmutableSetting)
				})
			}
		}
	}},
	{"a board that is created again has its own rank style, and none of the scores of before", func(f *fixture) {
		for _, styles := range [][]leaderboard.RankStyle{
			{leaderboard.Dense, leaderboard.Ordinal, leaderboard.Dense},
			{leaderboard.Dense, leaderboard.Dense},
			{leaderboard.Competition, leaderboard.Dense},
		} {
			for _, style := range styles {
				f.create(leaderboard.Board{ID: "race", RankStyle: style})
				f.apply(submit("race", "alice", "5"), submit("race", "bob", "5"), submit("race", "carol", "3"))
				switch style {
				case leaderboard.Ordinal:
					f.wantTable("race", "1 alice 5", "2 bob 5", "3 carol 3")
				case leaderboard.Competition:
					f.wantTable("race", "1 alice 5", "1 bob 5", "3 carol 3")
				case leaderboard.Dense:
					f.wantTable("race", "1 alice 5", "1 bob 5", "2 carol 3")
				}
				f.apply(submit("race", "alice", "4"), submit("race", "dave", "8"))
				f.delete("race")
			}
		}
	}},
	{"a setting out of its range is refused by a patch, whole", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.unchanged(func() {
			policy, top := leaderboard.Latest, 0
			_, err := f.store.PatchBoard(f.Context(), "race", leaderboard.Patch{Policy: &policy, Top: &top})
			f.wantCode("PatchBoard", err, leaderboard.CodeInvalidBoard)
		})
	}},
	{"a deleted board is gone with its entries", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		f.delete("race")
		_, err := f.store.Board(f.Context(), "race")
		f.wantCode("Board", err, leaderboard.CodeBoardNotFound)
		_, err = f.store.Entries(f.Context(), leaderboard.Ref{Board: "race"}, whole)
		f.wantCode("Entries", err, leaderboard.CodeBoardNotFound)
		f.wantCode("DeleteBoard", f.store.DeleteBoard(f.Context(), "race"), leaderboard.CodeBoardNotFound)
		f.refuse(0, leaderboard.CodeBoardNotFound, submit("race", "alice", "1"))
		if boards := f.boards(); len(boards) != 0 {
			f.Errorf("Boards = %v, want none", boards)
		}
	}},
	{"a board created again is empty, has its new settings and goes on from its rev", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "7")) // to rev 3
		f.delete("race")                                                  // to rev 4
		view := f.create(leaderboard.Board{ID: "race", Order: leaderboard.Ascending, Decimals: 1})
		if view.Rev != 5 || view.Total != 0 || view.Season != 1 || view.Board.Order != leaderboard.Ascending || view.Board.Decimals != 1 {
			f.Errorf("view = %+v, want an empty ascending board at rev 5", view)
		}
		f.wantTable("race")
		outcome := f.apply(submit("race", "bob", "0.5"), submit("race", "carol", "0.4"))
		if got := outcome.Results[0].Previous; got != (leaderboard.Standing{}) {
			f.Errorf("standing before the first submission = %v, want none", got)
		}
		f.wantTable("race", "1 carol 4", "2 bob 5")
		f.wantRev("race", 7)
	}},
	{"rev goes on through every deletion", func(f *fixture) {
		for i := range uint64(3) {
			if view := f.create(leaderboard.Board{ID: "race"}); view.Rev != 3*i+1 {
				f.Errorf("rev of creation %d = %d, want %d", i+1, view.Rev, 3*i+1)
			}
			f.apply(submit("race", "alice", "1"))
			f.delete("race")
		}
	}},
	{"boards do not touch each other, however alike their ids are", func(f *fixture) {
		ids := []string{"a", "A", "aa", "a.", "a.b", "a-", "a-b", "a_", "a0", "0", "a1", "a10", strings.Repeat("a", leaderboard.MaxBoardID)}
		for i, id := range ids {
			f.create(leaderboard.Board{ID: id, Top: i + 1})
			f.apply(submit(id, "alice", fmt.Sprint(i)), submit(id, "b", "5"))
		}
		f.delete("a")
		for i, id := range ids[1:] {
			view := f.view(id)
			if view.Rev != 3 || view.Total != 2 || view.Board.Top != i+2 || view.Board.ID != id {
				f.Errorf("view of %q = %+v, want rev 3, 2 entries and a top of %d", id, view, i+2)
			}
			if got := f.entry(id, "alice").Score; got != int64(i+1) {
				f.Errorf("score of alice on %q = %d, want %d", id, got, i+1)
			}
		}
		f.create(leaderboard.Board{ID: "a"})
		f.wantTable("a")
	}},
	{"boards are listed by id bytewise, in pages", func(f *fixture) {
		ids := []string{"0", "A", "B-", "B.", "B0", "BA", "B_", "Ba", "a", "aa", "b"} // in this order by their bytes
		shuffled := slices.Clone(ids)
		slices.Reverse(shuffled)
		for i, id := range shuffled {
			f.create(leaderboard.Board{ID: id, Top: i + 1})
		}
		f.apply(submit("Ba", "alice", "1"))
		for limit := 1; limit <= len(ids)+1; limit++ {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page, err := f.store.Boards(f.Context(), after, limit)
				if err != nil {
					f.Fatal(err)
				}
				if len(page) > limit {
					f.Fatalf("Boards(%q, %d) has %d boards", after, limit, len(page))
				}
				if len(page) == 0 {
					break
				}
				for _, view := range page {
					got = append(got, view.Board.ID)
					if diff := compare(f.view(view.Board.ID), view); diff != "" {
						f.Errorf("view in the list (-by Board +by Boards):\n%s", diff)
					}
				}
			}
			if diff := compare(ids, got); diff != "" {
				f.Errorf("boards by pages of %d (-want +got):\n%s", limit, diff)
			}
		}
		for after, want := range map[string]string{"B": "B-", "B.z": "B0", "Z": "a", "aaa": "b"} {
			page, err := f.store.Boards(f.Context(), after, 1)
			if err != nil || len(page) != 1 || page[0].Board.ID != want {
				f.Errorf("Boards(%q, 1) = %v, %v, want %q", after, page, err, want)
			}
		}
	}},
	{"a store that is open takes writes", func(f *fixture) {
		if err := f.store.Writable(); err != nil {
			f.Errorf("Writable: %v", err)
		}
	}},
}
