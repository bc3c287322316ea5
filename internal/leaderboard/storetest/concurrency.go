package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"laurel/internal/leaderboard"
)

var concurrencyChecks = []check{
	{"each of many writers' submissions is one change with a rev of its own", func(f *fixture) {
		const writers, each = 8, 25
		f.create(leaderboard.Board{ID: "race"})
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			revs []uint64
		)
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					outcome, ok := f.try(f.Context(), submit("race", fmt.Sprint((w+i)%3), "1"))
					if !ok {
						return
					}
					mu.Lock()
					revs = append(revs, outcome.Boards[0].Rev)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(revs)
		for i, rev := range revs {
			if rev != uint64(i)+2 {
				f.Fatalf("revs of the outcomes = %v, want 2 to %d, each once", revs, writers*each+1)
			}
		}
		var sum int64
		for _, e := range f.entries("race") {
			sum += e.Score
		}
		if sum != writers*each {
			f.Errorf("sum of the scores = %d, want %d", sum, writers*each)
		}
		f.wantRev("race", writers*each+1)
	}},
	{"what was answered can be read at once", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		var wg sync.WaitGroup
		for w := range 4 {
			member := fmt.Sprint(w)
			wg.Go(func() {
				for i := range int64(25) {
					outcome, ok := f.try(f.Context(), submit("race", member, "1"))
					if !ok {
						return
					}
					if got := outcome.Results[0].Current.Score; got != i+1 {
						f.Errorf("score in the result = %d, want %d", got, i+1)
					}
					page, err := f.store.Lookup(f.Context(), leaderboard.Ref{Board: "race"}, []string{member})
					if err != nil {
						f.Errorf("Lookup: %v", err)
						return
					}
					if page.Entries[0].Score != i+1 || page.Rev < outcome.Boards[0].Rev {
						f.Errorf("read score %d at rev %d after the answer of score %d at rev %d", page.Entries[0].Score, page.Rev, i+1, outcome.Boards[0].Rev)
					}
				}
			})
		}
		wg.Wait()
	}},
	{"readers see whole batches, at revs that never decrease, with the ranks that belong to them", func(f *fixture) {
		for _, b := range []leaderboard.Board{
			{ID: "ordinal", RankStyle: leaderboard.Ordinal},
			{ID: "competition", RankStyle: leaderboard.Competition, Order: leaderboard.Ascending, Ties: leaderboard.LatestTie},
			{ID: "dense", RankStyle: leaderboard.Dense, Ties: leaderboard.LatestTie},
		} {
			f.transfers(b)
		}
	}},
	{"a batch whose context ends is carried out whole or not at all", func(f *fixture) {
		f.create(leaderboard.Board{ID: "a"})
		f.create(leaderboard.Board{ID: "b"})
		ctx, cancel := context.WithCancel(f.Context())
		var (
			wg       sync.WaitGroup
			answered atomic.Int64
		)
		for range 4 {
			wg.Go(func() {
				for range 20 {
					_, err := f.store.Apply(ctx, leaderboard.Batch{At: f.clock, Ops: []leaderboard.Op{
						submit("a", "alice", "1"), submit("b", "alice", "-1"), submit("a", "bob", "1"),
					}})
					if err != nil && !errors.Is(err, context.Canceled) {
						f.Errorf("Apply: %v, want %v", err, context.Canceled)
						return
					}
					if err == nil && answered.Add(1) == 25 {
						cancel()
					}
				}
			})
		}
		wg.Wait()
		cancel()
		f.apply(submit("a", "nobody", "0"), submit("b", "nobody", "0"))
		late, cancel := f.soon() // who was not answered may find its batch carried out a little later
		defer cancel()
		for {
			a, b := f.lookup("a", "alice", "bob"), f.lookup("b", "alice")
			alice, bob, other := a.Entries[0].Score, a.Entries[1].Score, b.Entries[0].Score
			if alice != bob || a.Rev != uint64(2*alice)+2 || b.Rev != uint64(-other)+2 {
				f.Fatalf("scores are %d and %d at rev %d, and %d at rev %d, which is not a number of whole batches", alice, bob, a.Rev, other, b.Rev)
			}
			if alice < answered.Load() || -other < answered.Load() {
				f.Fatalf("%d and %d batches are carried out, %d were answered", alice, -other, answered.Load())
			}
			if alice == -other {
				return
			}
			if late.Err() != nil {
				f.Fatalf("scores are %d and %d, which is not a number of whole batches", alice, other)
			}
		}
	}},
	{"of many who create one board one succeeds", func(f *fixture) {
		for round := range 5 {
			var (
				wg      sync.WaitGroup
				created atomic.Int64
			)
			id := fmt.Sprint(round)
			for range 6 {
				wg.Go(func() {
					_, err := f.store.CreateBoard(f.Context(), leaderboard.Board{ID: id}.WithDefaults())
					switch {
					case err == nil:
						created.Add(1)
					case !errors.Is(err, leaderboard.ErrBoardExists):
						f.Errorf("CreateBoard: %v", err)
					}
				})
			}
			wg.Wait()
			if created.Load() != 1 {
				f.Errorf("%d creations succeeded, want 1", created.Load())
			}
			f.wantRev(id, 1)
		}
	}},
	{"rev counts every change while a board is created and deleted under its writers", func(f *fixture) {
		var (
			wg      sync.WaitGroup
			changes atomic.Uint64
			done    atomic.Bool
		)
		for w := range 3 {
			wg.Go(func() {
				for !done.Load() {
					_, err := f.store.Apply(f.Context(), leaderboard.Batch{At: f.clock, Ops: []leaderboard.Op{
						submit("race", fmt.Sprint(w), "1"), set("race", "all", "5"),
					}})
					switch {
					case err == nil:
						changes.Add(2)
					case !errors.Is(err, leaderboard.ErrBoardNotFound):
						f.Errorf("Apply: %v", err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			defer done.Store(true)
			for range 20 {
				before := changes.Load()
				view, err := f.store.CreateBoard(f.Context(), leaderboard.Board{ID: "race"}.WithDefaults())
				if err != nil {
					f.Errorf("CreateBoard: %v", err)
					return
				}
				if changes.Add(1); view.Rev <= before || view.Total != 0 {
					f.Errorf("new board at rev %d with %d entries, want none and a rev above %d", view.Rev, view.Total, before)
				}
				if err := f.store.DeleteBoard(f.Context(), "race"); err != nil {
					f.Errorf("DeleteBoard: %v", err)
					return
				}
				changes.Add(1)
			}
		})
		wg.Wait()
		if got := f.create(leaderboard.Board{ID: "race"}).Rev; got != changes.Load()+1 {
			f.Errorf("rev = %d after %d changes, want %d", got, changes.Load(), changes.Load()+1)
		}
		f.wantTable("race")
	}},
	{"the change log loses nothing under many writers, and tells what can be read", func(f *fixture) {
		const writers, each = 4, 30
		ids := []string{"a", "b", "c"}
		want := map[string]uint64{}
		for _, id := range ids {
			f.create(leaderboard.Board{ID: id})
			want[id] = 1 + writers*each
		}
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for i := range each {
					if _, ok := f.try(f.Context(), submit(ids[i%3], "alice", "1")); !ok {
						return
					}
					if _, ok := f.try(f.Context(), submit(ids[(i+1)%3], "bob", "1"), submit(ids[(i+2)%3], "bob", "1")); !ok {
						return
					}
				}
			})
		}
		wg.Go(func() {
			reached, told := map[string]uint64{}, map[string]uint64{} // told: since the reading last began anew
			var cursor leaderboard.Cursor
			for calls := 1; !maps.Equal(reached, want); calls++ {
				ctx, cancel := f.soon()
				changes, next, err := f.store.Changes(ctx, cursor, 7)
				cancel()
				if err != nil {
					f.Errorf("Changes: %v; told up to %v, want %v", err, reached, want)
					return
				}
				if len(changes) == 0 || len(changes) > 7 {
					f.Errorf("Changes by 7 has %d changes", len(changes))
					return
				}
				for _, c := range changes {
					if c.Rev <= told[c.Board] {
						f.Errorf("%s at rev %d is told after rev %d", c.Board, c.Rev, told[c.Board])
					}
					told[c.Board] = c.Rev
					reached[c.Board] = max(reached[c.Board], c.Rev)
					if view, err := f.store.Board(f.Context(), c.Board); err != nil || view.Rev < c.Rev {
						f.Errorf("%s is read at rev %d, %v, after rev %d was told", c.Board, view.Rev, err, c.Rev)
					}
				}
				cursor = next
				if calls%3 == 0 {
					if err := f.store.Ack(f.Context(), cursor); err != nil {
						f.Errorf("Ack: %v", err)
					}
				}
				if calls%5 == 0 {
					cursor = "" // as after a restart: from what is not acknowledged
					clear(told)
				}
			}
		})
		wg.Wait()
		for id, rev := range want {
			f.wantRev(id, rev)
		}
	}},
}

// try carries out a batch; it is for goroutines, which must not end a check.
func (f *fixture) try(ctx context.Context, ops ...leaderboard.Op) (leaderboard.Outcome, bool) {
	outcome, err := f.store.Apply(ctx, leaderboard.Batch{Ops: ops, At: f.clock})
	if err != nil {
		f.Errorf("Apply(%v): %v", describe(ops), err)
		return outcome, false
	}
	return outcome, true
}

// transfers moves points between the members of a board, so that their sum
// stays what it is, while others read.
func (f *fixture) transfers(b leaderboard.Board) {
	f.Helper()
	const members, writers, each, sum = 6, 3, 40, 600
	view := f.create(b)
	names := make([]string, members)
	for i := range names {
		names[i] = fmt.Sprint("m", i)
		f.apply(submit(b.ID, names[i], fmt.Sprint(sum/members)))
	}
	ref := leaderboard.Ref{Board: b.ID}
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				from, to := names[(w+i)%members], names[(w+2*i+1)%members]
				points := fmt.Sprint(i % 4) // small, so that equal scores are common
				if _, ok := f.try(f.Context(), submit(b.ID, from, "-"+points), submit(b.ID, to, points)); !ok {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	reads := map[string]func() (leaderboard.Page, error){
		"Entries": func() (leaderboard.Page, error) { return f.store.Entries(f.Context(), ref, whole) },
		"Around":  func() (leaderboard.Page, error) { return f.store.Around(f.Context(), ref, "m2", members) },
		"Lookup": func() (leaderboard.Page, error) {
			page, err := f.store.Lookup(f.Context(), ref, names)
			slices.SortFunc(page.Entries, func(x, y leaderboard.Entry) int {
				return (&board{settings: view.Board}).compare(x.Position(), y.Position())
			})
			return page, err
		},
	}
	for name, read := range reads {
		reading.Go(func() {
			var last leaderboard.Page
			for more := true; more; {
				select {
				case <-done:
					more = false // once more, for what is there at the end
				default:
				}
				page, err := read()
				if err != nil {
					f.Errorf("%s: %v", name, err)
					return
				}
				if problem := inconsistent(page, view.Board, members, sum); problem != "" {
					f.Errorf("%s: %s", name, problem)
					return
				}
				if page.Rev < last.Rev {
					f.Errorf("%s: rev %d after rev %d", name, page.Rev, last.Rev)
				}
				if page.Rev == last.Rev {
					if diff := compare(last, page); diff != "" {
						f.Errorf("%s: two pages of rev %d (-first +second):\n%s", name, page.Rev, diff)
					}
				}
				last = page
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	f.wantRev(b.ID, 1+members+2*writers*each)
}

// inconsistent says what is wrong with a page of a whole board, whose scores
// add up to sum and whose every transfer is two changes.
func inconsistent(page leaderboard.Page, settings leaderboard.Board, members int, sum int64) string {
	if len(page.Entries) != members || page.Total != members {
		return fmt.Sprintf("%d entries with a total of %d, want %d", len(page.Entries), page.Total, members)
	}
	if (page.Rev-1-uint64(members))%2 != 0 {
		return fmt.Sprintf("rev %d lies within a batch", page.Rev)
	}
	model := &board{settings: settings, entries: slices.Clone(page.Entries)}
	if diff := compare(model.ranked(), page.Entries); diff != "" {
		return fmt.Sprintf("order or ranks at rev %d (-by the scores +got):\n%s", page.Rev, diff)
	}
	var got int64
	for _, e := range page.Entries {
		got += e.Score
	}
	if got != sum {
		return fmt.Sprintf("scores at rev %d add up to %d, want %d", page.Rev, got, sum)
	}
	if newest := slices.MaxFunc(page.Entries, func(x, y leaderboard.Entry) int { return cmp.Compare(x.Seq, y.Seq) }); newest.Seq > page.Rev {
		return fmt.Sprintf("seq %d at rev %d", newest.Seq, page.Rev)
	}
	return ""
}
