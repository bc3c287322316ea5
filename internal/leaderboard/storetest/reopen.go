package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"laurel/internal/leaderboard"
)

var reopenChecks = []check{
	{"everything that can be read is there again", func(f *fixture) {
		for _, b := range shapes {
			b.Decimals, b.Policy, b.Top, b.Interval = 2, leaderboard.Latest, 7, 250
			f.ten(b.ID, b)
			f.apply(withData(submit(b.ID, "m3", "1.25"), `{"name":"Ålice"}`), submit(b.ID, "m4", "-5"), remove(b.ID, "m1"))
		}
		f.create(leaderboard.Board{ID: "empty"})
		f.unchanged(f.reopen)
		f.unchanged(f.reopen)
	}},
	{"rev goes on", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		f.reopen()
		if got := f.apply(submit("race", "alice", "1")).Boards[0].Rev; got != 3 {
			f.Errorf("rev of the next change = %d, want 3", got)
		}
		f.reopen()
		if got := f.patch("race", leaderboard.Patch{}).Rev; got != 4 {
			f.Errorf("rev of the patch = %d, want 4", got)
		}
		f.reopen()
		f.wantRev("race", 4)
	}},
	{"rev goes on through deletion and creation", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"), submit("race", "bob", "1")) // rev 3
		f.delete("race")                                                  // rev 4
		f.reopen()
		_, err := f.store.Board(f.Context(), "race")
		f.wantCode("Board", err, leaderboard.CodeBoardNotFound)
		f.reopen()
		if got := f.create(leaderboard.Board{ID: "race"}).Rev; got != 5 {
			f.Errorf("rev of the new board = %d, want 5", got)
		}
		f.delete("race")
		f.create(leaderboard.Board{ID: "race"})
		f.reopen()
		f.wantRev("race", 7)
	}},
	{"what was deleted does not come back", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.create(leaderboard.Board{ID: "gone"})
		f.apply(submit("race", "alice", "1"), submit("gone", "alice", "1"), submit("race", "bob", "1"))
		f.delete("race")
		f.delete("gone")
		f.create(leaderboard.Board{ID: "race", Order: leaderboard.Ascending, Ties: leaderboard.LatestTie})
		f.apply(submit("race", "bob", "7"), submit("race", "carol", "7"))
		f.apply(remove("race", "bob"))
		f.unchanged(f.reopen)
		f.wantTable("race", "1 carol 7")
		if len(f.boards()) != 1 {
			f.Errorf("boards = %+v, want race alone", f.boards())
		}
		f.create(leaderboard.Board{ID: "gone"})
		f.reopen()
		f.wantTable("gone")
	}},
	{"what was refused or rejected does not come back", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best})
		f.apply(withData(submit("race", "alice", "5"), `{"n":1}`))
		f.unchanged(func() {
			f.apply(withData(submit("race", "alice", "4"), `{"n":2}`))
			f.refuse(2, leaderboard.CodeMemberNotFound, submit("race", "alice", "9"), submit("race", "bob", "9"), remove("race", "nobody"))
			f.reopen()
		})
	}},
	{"ties keep their order, and the next to come stands where it should", func(f *fixture) {
		for _, b := range shapes {
			b.Policy = leaderboard.Latest
			f.create(b)
			f.apply(submit(b.ID, "carol", "5"), submit(b.ID, "bob", "5"), submit(b.ID, "alice", "5"), submit(b.ID, "carol", "6"), submit(b.ID, "carol", "5"))
		}
		f.reopen()
		for _, b := range shapes {
			f.apply(submit(b.ID, "dave", "5"), submit(b.ID, "bob", "5"))
			want := []string{"bob", "alice", "carol", "dave"}
			if b.Ties == leaderboard.LatestTie {
				slices.Reverse(want)
			}
			var got []string
			for _, e := range f.entries(b.ID) {
				got = append(got, e.Member)
			}
			if diff := compare(want, got); diff != "" {
				f.Errorf("members of %s (-want +got):\n%s", b.ID, diff)
			}
		}
	}},
	{"scores go on from where they were, at any place in their range", func(f *fixture) {
		values := []string{"0", "1", "-1", "255", "-256", "65536", "-65537", "4294967296", "-4294967297", "9007199254740990", "-9007199254740990"}
		for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
			f.create(leaderboard.Board{ID: string(order), Order: order})
			for _, v := range values {
				f.apply(submit(string(order), "m"+v, v))
			}
		}
		f.unchanged(f.reopen)
		for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
			for _, v := range values {
				unit := "1"
				if v[0] == '-' {
					unit = "-1"
				}
				result := f.apply(submit(string(order), "m"+v, unit)).Results[0]
				if want := score(v).String(); fmt.Sprint(result.Previous.Score) != want {
					f.Errorf("score of m%s before = %d, want %s", v, result.Previous.Score, want)
				}
			}
		}
		f.unchanged(f.reopen)
	}},
	{"a board of thousands comes back in its order", func(f *fixture) {
		ids := []string{"desc", "asc", "dense"}
		f.create(leaderboard.Board{ID: "desc", RankStyle: leaderboard.Competition})
		f.create(leaderboard.Board{ID: "dense", RankStyle: leaderboard.Dense})
		f.create(leaderboard.Board{ID: "asc", Order: leaderboard.Ascending, Ties: leaderboard.LatestTie})
		for batch := range 4 {
			for _, id := range ids {
				var ops []leaderboard.Op
				for i := range 700 {
					n := batch*700 + i
					ops = append(ops, submit(id, fmt.Sprintf("m%d", n), fmt.Sprint((n*7919)%501-250)))
				}
				f.apply(ops...)
			}
		}
		read := func() (pages []leaderboard.Page) {
			for _, id := range ids {
				for offset := 0; offset < 2800; offset += 700 {
					pages = append(pages, f.page(id, leaderboard.Range{Offset: offset, Limit: 700}))
				}
			}
			return pages
		}
		before := read()
		f.reopen()
		if diff := compare(before, read()); diff != "" {
			f.Errorf("pages (-before +after):\n%s", diff)
		}
		for i, id := range ids {
			var all []leaderboard.Entry
			for _, page := range before[4*i : 4*i+4] {
				all = append(all, page.Entries...)
			}
			model := &board{settings: f.view(id).Board, entries: all}
			if diff := compare(model.ranked(), all); diff != "" || len(all) != 2800 {
				f.Errorf("%d entries of %s (-in order +got):\n%s", len(all), id, diff)
			}
		}
	}},

	{"changes that were not acknowledged are told again", func(f *fixture) {
		f.create(leaderboard.Board{ID: "a"})
		f.create(leaderboard.Board{ID: "b"})
		f.apply(submit("a", "alice", "1"))
		l := f.follow()
		l.until(leaderboard.Change{Board: "a", Rev: 2}, leaderboard.Change{Board: "b", Rev: 1})
		f.reopen()
		f.follow().until(leaderboard.Change{Board: "a", Rev: 2}, leaderboard.Change{Board: "b", Rev: 1})
		f.delete("b")
		f.reopen()
		f.follow().until(leaderboard.Change{Board: "a", Rev: 2}, leaderboard.Change{Board: "b", Rev: 2})
	}},
	{"changes that were acknowledged are not told again", func(f *fixture) {
		for _, id := range []string{"a", "b", "c"} {
			f.create(leaderboard.Board{ID: id})
		}
		_, cursor := f.changes("", 2)
		f.ack(cursor)
		f.reopen()
		got, _ := f.changes("", 10)
		if diff := compare([]leaderboard.Change{{Board: "c", Rev: 1}}, got); diff != "" {
			f.Errorf("changes (-want +got):\n%s", diff)
		}
	}},
	{"a change after everything was acknowledged is told", func(f *fixture) {
		for _, id := range []string{"a", "b", "c"} {
			f.create(leaderboard.Board{ID: id})
		}
		l := f.follow()
		l.until(leaderboard.Change{Board: "a", Rev: 1}, leaderboard.Change{Board: "b", Rev: 1}, leaderboard.Change{Board: "c", Rev: 1})
		for rev := uint64(2); rev < 5; rev++ {
			f.ack(l.cursor)
			f.reopen()
			woken := f.waitFor("")
			f.patch("a", leaderboard.Patch{})
			l.cursor = f.wantWoken(woken, leaderboard.Change{Board: "a", Rev: rev})
		}
	}},
	{"a cursor is the same place as before", func(f *fixture) {
		for _, id := range []string{"a", "b", "c"} {
			f.create(leaderboard.Board{ID: id})
		}
		_, first := f.changes("", 1)
		_, last := f.changes("", 10)
		f.reopen()
		got, _ := f.changes(first, 10)
		if diff := compare([]leaderboard.Change{{Board: "b", Rev: 1}, {Board: "c", Rev: 1}}, got); diff != "" {
			f.Errorf("changes after the first (-want +got):\n%s", diff)
		}
		woken := f.waitFor(last)
		f.patch("b", leaderboard.Patch{})
		f.wantWoken(woken, leaderboard.Change{Board: "b", Rev: 2})
	}},

	{"a closed store answers that it is shutting down", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		_, cursor := f.changes("", 10)
		s, ctx, ref := f.store, f.Context(), leaderboard.Ref{Board: "race"}
		f.close()

		f.wantCode("Writable", s.Writable(), leaderboard.CodeShuttingDown)
		_, err := s.Apply(ctx, leaderboard.Batch{Ops: []leaderboard.Op{submit("race", "alice", "1")}, At: f.clock})
		f.wantCode("Apply", err, leaderboard.CodeShuttingDown)
		_, err = s.CreateBoard(ctx, leaderboard.Board{ID: "new"}.WithDefaults())
		f.wantCode("CreateBoard", err, leaderboard.CodeShuttingDown)
		_, err = s.PatchBoard(ctx, "race", leaderboard.Patch{})
		f.wantCode("PatchBoard", err, leaderboard.CodeShuttingDown)
		f.wantCode("DeleteBoard", s.DeleteBoard(ctx, "race"), leaderboard.CodeShuttingDown)
		_, _, err = s.ChangeBoard(ctx, leaderboard.BoardChange{ID: "race", End: &leaderboard.End{At: f.clock}})
		f.wantCode("ChangeBoard", err, leaderboard.CodeShuttingDown)
		_, err = s.Seasons(ctx, "race")
		f.wantCode("Seasons", err, leaderboard.CodeShuttingDown)
		_, _, err = s.Due(ctx, f.clock, 10)
		f.wantCode("Due", err, leaderboard.CodeShuttingDown)
		_, err = s.Board(ctx, "race")
		f.wantCode("Board", err, leaderboard.CodeShuttingDown)
		_, err = s.Boards(ctx, "", 10)
		f.wantCode("Boards", err, leaderboard.CodeShuttingDown)
		_, err = s.Entries(ctx, ref, whole)
		f.wantCode("Entries", err, leaderboard.CodeShuttingDown)
		_, err = s.Around(ctx, ref, "alice", 1)
		f.wantCode("Around", err, leaderboard.CodeShuttingDown)
		_, err = s.Lookup(ctx, ref, []string{"alice"})
		f.wantCode("Lookup", err, leaderboard.CodeShuttingDown)
		_, _, err = s.Changes(ctx, cursor, 10)
		f.wantCode("Changes", err, leaderboard.CodeShuttingDown)
		f.wantCode("Ack", s.Ack(ctx, cursor), leaderboard.CodeShuttingDown)
	}},
	{"closing ends the waiting for changes", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		_, cursor := f.changes("", 10)
		woken := f.waitFor(cursor)
		f.close()
		f.wantCode("Changes", (<-woken).err, leaderboard.CodeShuttingDown)
	}},
	{"closing under writers keeps what was answered and nothing else", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		var (
			wg       sync.WaitGroup
			answered [4]int64
			total    atomic.Int64
			enough   = make(chan struct{}, len(answered)+1)
		)
		store := f.store
		for w := range answered {
			wg.Go(func() {
				for {
					_, err := store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", fmt.Sprint(w), "1")}, At: f.clock})
					if err != nil {
						if !errors.Is(err, leaderboard.ErrShuttingDown) {
							f.Errorf("Apply: %v", err)
						}
						enough <- struct{}{}
						return
					}
					answered[w]++
					if total.Add(1) == 40 {
						enough <- struct{}{}
					}
				}
			})
		}
		<-enough
		f.reopen()
		wg.Wait()
		var sum int64
		for w, want := range answered {
			sum += want
			if got := f.entry("race", fmt.Sprint(w)).Score; got != want {
				f.Errorf("score of writer %d = %d, want %d, which is what was answered", w, got, want)
			}
		}
		f.wantRev("race", uint64(sum)+1)
	}},
}
