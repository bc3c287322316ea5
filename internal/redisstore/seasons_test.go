package redisstore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

// began is when the boards of these tests are created; their seasons are an hour long, and take late scores for ten minutes.
var (
	began  = time.Date(2027, 1, 2, 3, 0, 0, 0, time.UTC)
	hourly = leaderboard.Seasons{Cron: "@hourly", Grace: 600_000, Keep: 2}
)

func hours(n int) time.Time { return began.Add(time.Duration(n) * time.Hour) }

func seasonal(t *testing.T, s leaderboard.Store, b leaderboard.Board) {
	t.Helper()
	b.CreatedAt = began
	if _, err := s.CreateBoard(t.Context(), b.WithDefaults()); err != nil {
		t.Fatal(err)
	}
}

// add adds points to a member's score at a time.
func add(ctx context.Context, s leaderboard.Store, at time.Time, board string, season int, member string, points int64) (leaderboard.View, error) {
	outcome, err := s.Apply(ctx, leaderboard.Batch{At: at, Ops: []leaderboard.Op{{
		Board: board, Season: season, Member: member, Score: leaderboard.ScaledDecimal(points, 0),
	}}})
	if err != nil {
		return leaderboard.View{}, err
	}
	return outcome.Boards[0], nil
}

func mustAdd(t *testing.T, s leaderboard.Store, at time.Time, board string, season int, member string, points int64) leaderboard.View {
	t.Helper()
	view, err := add(t.Context(), s, at, board, season, member, points)
	if err != nil {
		t.Fatalf("add %d to %s of season %d of %s at %v: %v", points, member, season, board, at, err)
	}
	return view
}

func endSeason(ctx context.Context, s leaderboard.Store, board string, end leaderboard.End) (leaderboard.View, error) {
	view, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: board, End: &end})
	return view, err
}

func mustEnd(t *testing.T, s leaderboard.Store, board string, at time.Time) leaderboard.View {
	t.Helper()
	view, err := endSeason(t.Context(), s, board, leaderboard.End{At: at})
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// standing is the table of a season as one line.
func standing(t *testing.T, s leaderboard.Store, board string, season int) string {
	t.Helper()
	page, err := s.Entries(t.Context(), leaderboard.Ref{Board: board, Season: season}, leaderboard.Range{Limit: 100})
	if err != nil {
		t.Fatalf("season %d of %s: %v", season, board, err)
	}
	var list []string
	for _, e := range page.Entries {
		list = append(list, fmt.Sprintf("%d %s %d", e.Rank, e.Member, e.Score))
	}
	return strings.Join(list, ", ")
}

func wantStanding(t *testing.T, s leaderboard.Store, board string, season int, want string) {
	t.Helper()
	if got := standing(t, s, board, season); got != want {
		t.Errorf("season %d of %s is %q, want %q", season, board, got, want)
	}
}

// ofBoard returns the keys that have a board's name, in order.
func ofBoard(t *testing.T, c rueidis.Client, prefix, board string) []string {
	t.Helper()
	return slices.Sorted(slices.Values(slices.DeleteFunc(texts(t, c, "KEYS", prefix+".{*}.*"+board+"*"), func(key string) bool {
		return strings.Contains(key, "}.a.")
	})))
}

func TestTwoNodesEndASeasonOnce(t *testing.T) {
	server := redistest.Start(t)
	stores := []*redisstore.Store{open(t, server.URL()), open(t, server.URL())}
	for _, b := range []leaderboard.Board{{ID: "time", Seasons: hourly}, {ID: "hand"}} {
		seasonal(t, stores[0], b)
		mustAdd(t, stores[1], began, b.ID, 0, "ann", 1)
	}
	const rounds, writers = 20, 4
	for round := 1; round <= rounds; round++ {
		at := hours(round)
		var wg sync.WaitGroup
		var ended atomic.Int64
		for n, s := range stores {
			for w := range writers {
				wg.Go(func() {
					if _, err := add(t.Context(), s, at, "time", 0, fmt.Sprintf("m%d%d", n, w), 1); err != nil {
						t.Errorf("submit: %v", err)
					}
				})
			}
			wg.Go(func() {
				_, err := endSeason(t.Context(), s, "hand", leaderboard.End{Season: round, At: at})
				if err == nil {
					ended.Add(1)
				} else if !errors.Is(err, leaderboard.ErrSeasonEnded) {
					t.Errorf("end: %v", err)
				}
			})
		}
		wg.Wait()
		if n := ended.Load(); n != 1 {
			t.Errorf("round %d: season was ended %d times by hand, want once", round, n)
		}
		for n, s := range stores {
			view, err := s.Board(t.Context(), "hand")
			if err != nil || view.Season != round+1 || view.Rev != uint64(2+round) {
				t.Errorf("round %d: node %d sees hand in season %d at rev %d (%v)", round, n, view.Season, view.Rev, err)
			}
			view, err = s.Board(t.Context(), "time")
			// The creation and ann, then in each round the end and as many as there are writers.
			if want := uint64(2 + round*(1+2*writers)); err != nil || view.Season != round+1 || view.Rev != want || view.Total != 2*writers {
				t.Errorf("round %d: node %d sees time in season %d at rev %d with %d members (%v), want rev %d",
					round, n, view.Season, view.Rev, view.Total, err, want)
			}
		}
	}
}

func TestANodeThatKnowsAnOldSeasonTriesAgain(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL()), open(t, server.URL())
	for _, style := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Dense} {
		id := string(style)
		seasonal(t, a, leaderboard.Board{ID: id, RankStyle: style, Seasons: leaderboard.Seasons{Grace: 600_000}})
		mustAdd(t, a, began, id, 0, "ann", 5)
		for season := 1; season <= 3; season++ {
			// Each time another operation is the first with which b finds out.
			mustAdd(t, b, began, id, 0, "bob", 3) // knows the season now
			mustEnd(t, a, id, began.Add(time.Minute))
			before := standing(t, a, id, season)
			switch season {
			case 1:
				if view := mustAdd(t, b, hours(2), id, 0, "ann", 1); view.Season != 2 || view.Total != 1 {
					t.Errorf("the first score after the end is in %+v, want season 2", view)
				}
				wantStanding(t, b, id, 2, "1 ann 1")
			case 2:
				wantStanding(t, b, id, 0, "")
				page, err := b.Lookup(t.Context(), leaderboard.Ref{Board: id}, []string{"ann"})
				if err != nil || page.Season != 3 || page.Entries[0].Rank != 0 {
					t.Errorf("lookup after the end: %+v, %v", page, err)
				}
			case 3:
				if view, err := b.Board(t.Context(), id); err != nil || view.Season != 4 || view.Total != 0 {
					t.Errorf("the board after the end is %+v, %v", view, err)
				}
			}
			wantStanding(t, b, id, season, before)
		}
		mustAdd(t, b, began, id, 0, "ann", 1)
		mustEnd(t, a, id, began.Add(time.Minute))
		if _, _, err := b.Member(t.Context(), "ann", "", 10); err != nil {
			t.Errorf("Member after the end: %v", err)
		}
		if views, err := b.Boards(t.Context(), id[:1], 1); err != nil || views[0].Board.ID != id || views[0].Season != 5 {
			t.Errorf("Boards after the end: %+v, %v", views, err)
		}
		mustEnd(t, a, id, began.Add(time.Minute))
		if views, err := b.Seasons(t.Context(), id); err != nil || len(views) != 6 || views[0].Season != 6 || views[1].Season != 5 {
			t.Errorf("Seasons after the end: %+v, %v", views, err)
		}
		// What is late by the settings that b knows is too late by those of another end.
		mustAdd(t, b, began.Add(time.Minute), id, 5, "late", 1)
		mustEnd(t, a, id, began.Add(time.Minute))
		if _, err := add(t.Context(), b, began.Add(time.Minute), id, 5, "late", 1); !errors.Is(err, leaderboard.ErrSeasonEnded) {
			t.Errorf("a score for season 5 while 7 is the current one: %v", err)
		}
		wantStanding(t, b, id, 5, "1 late 1")
	}
}

func TestScoresOfTwoSeasonsGoOnAtOnce(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), onePartition)
	for _, id := range []string{"a", "b"} {
		seasonal(t, s, leaderboard.Board{ID: id, Seasons: hourly, RankStyle: leaderboard.Dense})
		mustAdd(t, s, began, id, 0, "ann", 1)
		mustAdd(t, s, hours(1), id, 0, "ann", 1)
	}
	const writers, scores = 16, 40
	var wg sync.WaitGroup
	var revs sync.Map // of both seasons: each change has one of its own
	for w := range writers {
		wg.Go(func() {
			for i := range scores {
				batch := leaderboard.Batch{At: hours(1)}
				for n, id := range []string{"a", "b"} {
					batch.Ops = append(batch.Ops, leaderboard.Op{
						Board: id, Season: 1 + (w+i+n)%2, Member: "m" + strconv.Itoa(w), Score: leaderboard.ScaledDecimal(1, 0),
					})
				}
				outcome, err := s.Apply(t.Context(), batch)
				if err != nil {
					t.Errorf("Apply: %v", err)
					return
				}
				for n, view := range outcome.Boards {
					if view.Season != batch.Ops[n].Season || view.Closed != (view.Season == 1) {
						t.Errorf("a score for season %d is in %+v", batch.Ops[n].Season, view)
					}
					if _, used := revs.LoadOrStore(fmt.Sprint(view.Board.ID, view.Rev), true); used {
						t.Errorf("rev %d of %s comes twice", view.Rev, view.Board.ID)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"a", "b"} {
		for season := 1; season <= 2; season++ {
			page, err := s.Entries(t.Context(), leaderboard.Ref{Board: id, Season: season}, leaderboard.Range{Limit: 100})
			if err != nil || page.Total != writers+1 {
				t.Fatalf("season %d of %s has %d members (%v), want %d", season, id, page.Total, err, writers+1)
			}
			for _, e := range page.Entries {
				if e.Member != "ann" && e.Score != scores/2 {
					t.Errorf("%s has %d in season %d of %s, want %d", e.Member, e.Score, season, id, scores/2)
				}
			}
		}
		view, err := s.Board(t.Context(), id)
		if want := uint64(4 + writers*scores); err != nil || view.Rev != want {
			t.Errorf("%s is at rev %d (%v), want %d", id, view.Rev, err, want)
		}
	}
	for _, id := range []string{"a", "b"} {
		wantLevelsOf(t, s, server.Client(t), "laurel", id, id)
		wantLevelsOf(t, s, server.Client(t), "laurel", id, id+"/2")
	}
}

func TestABatchOverPartitionsEndsWhatIsDue(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	a, b := open(t, server.URL()), open(t, server.URL())
	ids := apart(t, a, 4) // by hand
	for i, id := range ids[1:] {
		p := leaderboard.Patch{Seasons: &hourly, At: began}
		if i == 2 {
			p.Seasons = &leaderboard.Seasons{Grace: 600_000}
		}
		if _, err := a.PatchBoard(t.Context(), id, p); err != nil {
			t.Fatal(err)
		}
	}
	mustEnd(t, a, ids[3], hours(1)) // it takes late scores now
	batch := func(at time.Time, points int64) leaderboard.Batch {
		batch := setAll(ids, "m", points)
		batch.At = at
		batch.Ops[3].Season = 1
		return batch
	}
	// By b, which knows the board that fails alone.
	wantStanding(t, b, ids[0], 0, "1 m 1")
	failing := batch(hours(1), 5)
	failing.Ops = slices.Insert(failing.Ops, 1, leaderboard.Op{Board: ids[0], Kind: leaderboard.Remove, Member: "nobody"})
	_, err := b.Apply(t.Context(), failing)
	if wrong, ok := errors.AsType[*leaderboard.BatchError](err); !ok || wrong.Index != 1 || !errors.Is(err, leaderboard.ErrMemberNotFound) {
		t.Fatalf("a batch that removes nobody: %v", err)
	}
	for i, want := range []int{1, 2, 2, 2} {
		if view, err := b.Board(t.Context(), ids[i]); err != nil || view.Season != want {
			t.Errorf("after a batch that failed board %d is in season %d (%v), want %d", i, view.Season, err, want)
		}
	}

	named := batch(hours(2), 7)
	named.Once, named.OnceDigest = "name", leaderboard.Digest{1}
	named.Ops[3].Season = 0
	outcome, err := b.Apply(t.Context(), named)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 3, 3, 2} {
		if view := outcome.Boards[i]; view.Season != want || view.Closed {
			t.Errorf("board %d of the batch is %+v, want season %d", i, view, want)
		}
	}
	// The name counts before anything is due, on a node that knows it or not.
	for _, at := range []time.Time{hours(2), hours(3)} {
		for n, s := range []*redisstore.Store{a, b, open(t, server.URL())} {
			named.At = at
			again, err := s.Apply(t.Context(), named)
			if err != nil || !again.Repeated {
				t.Fatalf("again at %v on node %d: repeated %t, %v", at, n, again.Repeated, err)
			}
			again.Repeated = false
			if diff := cmp.Diff(outcome, again); diff != "" {
				t.Errorf("again at %v on node %d (-want +got):\n%s", at, n, diff)
			}
		}
	}
	for i, want := range []int{1, 3, 3, 2} {
		if view, err := a.Board(t.Context(), ids[i]); err != nil || view.Season != want {
			t.Errorf("after batches that were repeated board %d is in season %d (%v), want %d", i, view.Season, err, want)
		}
	}

	late := batch(hours(1).Add(time.Minute), 9)
	late.Ops = late.Ops[2:]
	late.Ops[0].Season = 2 // that is over since an hour
	if outcome, err = b.Apply(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{2, 1} {
		view := outcome.Boards[i]
		past, err := a.Entries(t.Context(), leaderboard.Ref{Board: view.Board.ID, Season: want}, leaderboard.Range{Limit: 1})
		if err != nil || view.Season != want || !view.Closed || past.Entries[0].Score != 9 {
			t.Errorf("board %d of the late batch is %+v with %+v (%v), want season %d", i, view, past.Entries, err, want)
		}
		if diff := cmp.Diff(past.View, view); diff != "" {
			t.Errorf("view of the late batch (-as it is read +got):\n%s", diff)
		}
	}
	eventually(t, "nothing is left", func() bool { return len(left(t, client, "laurel")) == 0 })
}

// TestSeasonsAreWholeWhereverANodeDies has a node die with a batch for three boards: one in its
// third season, one in its second, and one that is late for its first.
func TestSeasonsAreWholeWhereverANodeDies(t *testing.T) {
	const parts = 3
	server := redistest.Start(t)
	client := server.Client(t)
	for _, meeting := range []string{"ends seasons", "reads", "does nothing"} {
		for steps := range 2*parts + 2 {
			prefix := fmt.Sprintf("%s%d", strings.ReplaceAll(meeting, " ", ""), steps)
			t.Run(fmt.Sprintf("%d steps, then one %s", steps, meeting), func(t *testing.T) {
				one, err := tryOpen(t, server.URL(), prefixed(prefix), withLease(aWhile))
				if err != nil {
					t.Fatal(err)
				}
				ids := denseApart(t, one, parts)
				current := []int{3, 2, 2}
				for i, id := range ids {
					if _, err := one.PatchBoard(t.Context(), id, leaderboard.Patch{Seasons: &leaderboard.Seasons{Grace: 600_000}}); err != nil {
						t.Fatal(err)
					}
					for season := 1; season <= current[i]; season++ {
						if season > 1 {
							mustEnd(t, one, id, began)
						}
						mustAdd(t, one, began, id, 0, "m", int64(season))
					}
				}
				target := []int{3, 2, 1}
				batch := setAll(ids, "m", 9)
				batch.At = began
				batch.Ops[2].Season = 1
				batch.Ops = append(batch.Ops, batch.Ops...)
				for i := range parts {
					batch.Ops[parts+i].Member = "new"
				}
				take(t, one.Steps(batch), steps)
				lease := withLease(aWhile)
				if meeting == "does nothing" {
					lease = withLease(shortLease) // its leases are free, so that somebody tidies up
					if err := one.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					one.Abandon()
				}
				two := open(t, server.URL(), prefixed(prefix), lease)
				switch meeting {
				case "ends seasons":
					for i, id := range ids {
						if view := mustEnd(t, two, id, began); view.Season != current[i]+1 || view.Total != 0 {
							t.Errorf("the end of %s has begun %+v", id, view)
						}
					}
				case "does nothing":
					eventually(t, "nothing is left", func() bool { return len(left(t, client, prefix)) == 0 })
				}
				for i, id := range ids {
					want := "1 m " + strconv.Itoa(target[i])
					if steps > parts {
						want = "1 m 9, 1 new 9"
					}
					wantStanding(t, two, id, target[i], want)
					if other := 1 + target[i]%2; other != target[i] && other <= current[i] {
						wantStanding(t, two, id, other, "1 m "+strconv.Itoa(other))
					}
					name := id
					if target[i] > 1 {
						name = fmt.Sprintf("%s/%d", id, target[i])
					}
					wantLevelsOf(t, two, client, prefix, id, name)
				}
			})
		}
	}
}

func TestABoardThatIsDueAndWasDeletedIsNotFound(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL()), open(t, server.URL())
	for _, apart := range []bool{false, true} {
		seasonal(t, a, leaderboard.Board{ID: "race", Seasons: hourly})
		mustAdd(t, b, began, "race", 0, "ann", 1) // b knows when it is due
		if err := a.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
		ops := []leaderboard.Op{{Board: "race", Member: "ann", Score: leaderboard.ScaledDecimal(1, 0)}}
		if apart {
			ops = append(setAll(elsewhere(t, b, "race"), "m", 1).Ops, ops...)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := b.Apply(ctx, leaderboard.Batch{At: hours(1), Ops: ops})
		cancel()
		if !errors.Is(err, leaderboard.ErrBoardNotFound) {
			t.Errorf("a score that is due, apart %t: %v", apart, err)
		}
	}
}

// elsewhere creates a board that is in another partition than one that is given.
func elsewhere(t *testing.T, s *redisstore.Store, other string) []string {
	t.Helper()
	id := "elsewhere"
	for n := 0; s.Partition(id) == s.Partition(other); n++ {
		id = fmt.Sprintf("elsewhere%d", n)
	}
	createBoard(t, s, id)
	return []string{id}
}

func TestABatchUnlocksEveryBoardOfAPartition(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	one, err := tryOpen(t, server.URL(), func(o *redisstore.Options) { o.Partitions = 2 }, withLease(aWhile))
	if err != nil {
		t.Fatal(err)
	}
	batch := leaderboard.Batch{At: hours(1)}
	for _, style := range []leaderboard.RankStyle{leaderboard.Dense, leaderboard.Ordinal} {
		for n := range 6 {
			id := fmt.Sprintf("%s%d", style, n)
			seasonal(t, one, leaderboard.Board{ID: id, RankStyle: style, Seasons: hourly, SubmitsPerMinute: n % 3 * 4})
			mustAdd(t, one, began, id, 0, "m", 1)
			mustAdd(t, one, hours(1), id, 0, "m", 2)
			batch.Ops = append(batch.Ops, leaderboard.Op{
				Board: id, Season: 1 + n%2, Member: "m", Score: leaderboard.ScaledDecimal(4, 0),
			})
		}
	}
	if _, err := one.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left", func() bool { return len(left(t, client, "laurel")) == 0 })
	take(t, one.Steps(batch), 3) // in one partition it is carried out, in the other by who meets it
	one.Abandon()
	two := open(t, server.URL(), func(o *redisstore.Options) { o.Partitions = 2 }, withLease(aWhile))
	for _, op := range batch.Ops {
		wantStanding(t, two, op.Board, op.Season, fmt.Sprintf("1 m %d", op.Season+8))
		wantStanding(t, two, op.Board, 3-op.Season, fmt.Sprintf("1 m %d", 3-op.Season))
		mustAdd(t, two, hours(1), op.Board, op.Season, "m", 1)
	}
	for _, key := range left(t, client, "laurel") {
		if strings.Contains(key, "}.s.") || strings.Contains(key, "}.i.") {
			t.Errorf("%s is left", key)
		}
	}
}

func TestAnEndWaitsForABatchThatLocksTheBoard(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL()), open(t, server.URL())
	ids := apart(t, a, 2)
	steps := a.Steps(setAll(ids, "m", 5))
	take(t, steps, 3) // it is decided for, and carried out on the first board alone
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			if _, err := endSeason(t.Context(), b, id, leaderboard.End{At: time.Now()}); err != nil {
				t.Errorf("end of %s: %v", id, err)
			}
		})
	}
	wg.Wait()
	if carried, err := steps.Finish(t.Context(), 1); err != nil || !carried {
		t.Errorf("the rest of the batch: %t, %v", carried, err)
	}
	for _, id := range ids {
		wantStanding(t, a, id, 1, "1 m 5")
		wantStanding(t, a, id, 0, "")
	}
}

func TestABatchThatFailsEndsASeasonThatWasNotKnown(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL(), onePartition), open(t, server.URL(), onePartition)
	createBoard(t, a, "hand")
	seasonal(t, a, leaderboard.Board{ID: "race", Seasons: hourly})
	wantStanding(t, b, "hand", 0, "") // b knows this one, and not the other
	_, err := b.Apply(t.Context(), leaderboard.Batch{At: hours(1), Ops: []leaderboard.Op{
		{Board: "hand", Kind: leaderboard.Remove, Member: "nobody"},
		{Board: "race", Member: "m", Score: leaderboard.ScaledDecimal(1, 0)},
	}})
	if wrong, ok := errors.AsType[*leaderboard.BatchError](err); !ok || wrong.Index != 0 {
		t.Fatalf("a batch that removes nobody: %v", err)
	}
	if view, err := a.Board(t.Context(), "race"); err != nil || view.Season != 2 || view.Total != 0 {
		t.Errorf("race is %+v, %v, want season 2, empty", view, err)
	}
}

func TestALateBatchThatChangesNothingHasTheRevOfItsSeason(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), onePartition)
	seasonal(t, s, leaderboard.Board{ID: "race", Seasons: hourly, Policy: leaderboard.Best})
	mustAdd(t, s, began, "race", 0, "ann", 5)
	mustAdd(t, s, hours(1), "race", 0, "ann", 1)
	want, err := s.Seasons(t.Context(), "race")
	if err != nil {
		t.Fatal(err)
	}
	batch := leaderboard.Batch{At: hours(1), Ops: []leaderboard.Op{{Board: "race", Season: 1, Member: "ann", Score: leaderboard.ScaledDecimal(4, 0)}}}
	for _, name := range []string{"", "once", "once"} {
		if batch.Once = name; name != "" {
			batch.OnceDigest = leaderboard.Digest{1}
		}
		outcome, err := s.Apply(t.Context(), batch)
		if err != nil || outcome.Results[0].Accepted {
			t.Fatalf("a score that is not better: %+v, %v", outcome, err)
		}
		if diff := cmp.Diff(want[1], outcome.Boards[0]); diff != "" {
			t.Errorf("view of the batch named %q (-as it is read +got):\n%s", name, diff)
		}
	}
	if view := mustAdd(t, s, hours(1), "race", 1, "ann", 6); view.Rev != want[0].Rev+1 {
		t.Errorf("the next change of season 1 has rev %d, want %d", view.Rev, want[0].Rev+1)
	}
}

func TestALimitOfSubmissionsIsOneOverSeasons(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), onePartition)
	seasonal(t, s, leaderboard.Board{ID: "race", Seasons: hourly, SubmitsPerMinute: 2})
	mustAdd(t, s, hours(1), "race", 0, "ann", 1)
	mustAdd(t, s, hours(1), "race", 1, "ann", 1)
	for season := range 3 {
		if _, err := add(t.Context(), s, hours(1), "race", season, "ann", 1); !errors.Is(err, leaderboard.ErrTooManySubmits) {
			t.Errorf("a third submission in a minute, to season %d: %v", season, err)
		}
	}
	mustAdd(t, s, hours(1).Add(time.Minute), "race", 1, "ann", 1)
	wantStanding(t, s, "race", 1, "1 ann 2")
}

func TestWhatASeasonRefusesIsRefusedWhateverIsAskedOfTheEntry(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	seasonal(t, s, leaderboard.Board{ID: "race"})
	mustAdd(t, s, began, "race", 0, "ann", 1)
	mustEnd(t, s, "race", began)
	_, err := s.Apply(t.Context(), leaderboard.Batch{At: began, Ops: []leaderboard.Op{{
		Board: "race", Season: 1, Member: "ann", Score: leaderboard.ScaledDecimal(1, 0), If: leaderboard.IfRev(7),
	}}})
	if !errors.Is(err, leaderboard.ErrSeasonEnded) {
		t.Errorf("a score with a condition that does not hold, for a season that has ended: %v", err)
	}
}

func TestABatchThatFailsEndsASeasonBehindALock(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL()), open(t, server.URL())
	ids := apart(t, a, 2)
	beside := "beside"
	for n := 0; a.Partition(beside) != a.Partition(ids[0]); n++ {
		beside = fmt.Sprintf("beside%d", n)
	}
	createBoard(t, a, beside)
	if _, err := a.PatchBoard(t.Context(), ids[0], leaderboard.Patch{Seasons: &hourly, At: began}); err != nil {
		t.Fatal(err)
	}
	take(t, a.Steps(setAll(ids, "m", 5)), 2) // prepared, and left behind
	_, err := b.Apply(t.Context(), leaderboard.Batch{At: hours(1), Ops: []leaderboard.Op{
		{Board: beside, Kind: leaderboard.Remove, Member: "nobody"},
		{Board: ids[0], Member: "m", Score: leaderboard.ScaledDecimal(1, 0)},
	}})
	if wrong, ok := errors.AsType[*leaderboard.BatchError](err); !ok || wrong.Index != 0 {
		t.Fatalf("a batch that removes nobody: %v", err)
	}
	wantStanding(t, a, ids[0], 1, "1 m 1")
	wantStanding(t, a, ids[0], 2, "")
}

func TestAnEndWhoseAnswerIsLostHappensOnce(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	proxy := redistest.NewProxy(t, server.Addr())
	s := open(t, server.URLThrough(proxy), onePartition, withTimeout(patience))
	seasonal(t, s, leaderboard.Board{ID: "race", Seasons: hourly})
	for round, change := range []func() (leaderboard.View, error){
		func() (leaderboard.View, error) {
			return endSeason(t.Context(), s, "race", leaderboard.End{Season: 1, At: began})
		},
		func() (leaderboard.View, error) {
			return endSeason(t.Context(), s, "race", leaderboard.End{At: began})
		},
		func() (leaderboard.View, error) { return add(t.Context(), s, hours(2), "race", 0, "ann", 1) },
	} {
		for range 64 { // see TestALostAnswerIsAskedForAgain
			if _, err := s.Board(t.Context(), "race"); err != nil {
				t.Fatal(err)
			}
		}
		want := round + 2
		proxy.LoseAnswers()
		done := make(chan error, 1)
		var view leaderboard.View
		go func() {
			var err error
			view, err = change()
			done <- err
		}()
		eventually(t, "the season has ended", func() bool {
			n, err := client.Do(t.Context(), client.B().Hget().Key(state("race")).Field("season").Build()).AsInt64()
			return err == nil && n == int64(want)
		})
		proxy.Heal()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		rev := uint64(want)
		if round == 2 {
			rev++
		}
		if view.Season != want || view.Rev != rev {
			t.Errorf("season %d at rev %d, want %d at rev %d", view.Season, view.Rev, want, rev)
		}
	}
	wantStanding(t, s, "race", 0, "1 ann 1")
}

func TestEachScoreIsInOneSeasonThroughAFailingNetwork(t *testing.T) {
	const writers, scores = 8, 60
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	stores := []*redisstore.Store{
		open(t, server.URLThrough(proxy), withTimeout(patience)), open(t, server.URL(), withTimeout(patience)),
	}
	b := leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Cron: "@hourly", Keep: leaderboard.MaxKeep}}
	seasonal(t, stores[0], b)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithCancel(t.Context())
	var faults, wg sync.WaitGroup
	faults.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 0))
		worse := []func(){proxy.Cut, proxy.Silence, proxy.LoseAnswers}
		for ctx.Err() == nil {
			for _, f := range []func(){worse[rng.IntN(len(worse))], proxy.Heal} {
				f()
				select {
				case <-time.After(time.Duration(5+rng.IntN(30)) * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
		proxy.Heal()
	})
	var clock, ends atomic.Int64
	for w := range writers {
		wg.Go(func() {
			s := stores[w%2]
			for i := range scores {
				if i%20 == 19 {
					clock.Add(1)
				}
				if _, err := add(t.Context(), s, hours(int(clock.Load())), "race", 0, "m"+strconv.Itoa(w), 1); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				if i%30 == 29 {
					if _, err := endSeason(t.Context(), s, "race", leaderboard.End{At: hours(int(clock.Load()))}); err != nil {
						t.Errorf("writer %d: end: %v", w, err)
						return
					}
					ends.Add(1)
				}
			}
		})
	}
	wg.Wait()
	cancel()
	faults.Wait()
	views, err := stores[1].Seasons(t.Context(), "race")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, view := range views {
		page, err := stores[0].Entries(t.Context(), leaderboard.Ref{Board: "race", Season: view.Season}, leaderboard.Range{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			got[e.Member] += e.Score
		}
	}
	for w := range writers {
		if n := got["m"+strconv.Itoa(w)]; n != scores {
			t.Errorf("writer %d has %d in all seasons, want %d", w, n, scores)
		}
	}
	last := views[0]
	if want := uint64(1 + writers*scores + last.Season - 1); last.Rev != want || len(views) != last.Season || int64(last.Season) <= ends.Load() {
		t.Errorf("season %d of %d at rev %d, want rev %d and more than %d", last.Season, len(views), last.Rev, want, ends.Load())
	}
}

func TestSeasonsThroughAFailover(t *testing.T) {
	set := redistest.StartSentinel(t)
	stores := []*redisstore.Store{open(t, set.URL(), onePartition, withTimeout(patience)), open(t, set.URL(), onePartition, withTimeout(patience))}
	seasonal(t, stores[0], leaderboard.Board{ID: "race", Seasons: hourly})
	mustAdd(t, stores[0], began, "race", 0, "ann", 1)
	mustAdd(t, stores[1], hours(1), "race", 0, "ann", 2)
	before, err := stores[1].Seasons(t.Context(), "race")
	if err != nil {
		t.Fatal(err)
	}
	written(t, set.Master(t))
	set.Failover(t)
	for _, s := range stores {
		after, err := s.Seasons(t.Context(), "race")
		if err != nil {
			t.Fatal(err)
		}
		if after[0].Epoch == before[0].Epoch {
			t.Errorf("the epoch is %s as before", after[0].Epoch)
		}
		for i := range after {
			after[i].Epoch = before[i].Epoch
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("seasons after the failover (-before +after):\n%s", diff)
		}
	}
	mustAdd(t, stores[1], hours(1), "race", 1, "late", 1)
	mustAdd(t, stores[0], hours(2), "race", 0, "ann", 3)
	wantStanding(t, stores[1], "race", 1, "1 ann 1, 2 late 1")
	wantStanding(t, stores[0], "race", 2, "1 ann 2")
	wantStanding(t, stores[1], "race", 0, "1 ann 3")
	boards, next, err := stores[0].Due(t.Context(), hours(3), 5)
	if want := []string{"race"}; err != nil || !slices.Equal(boards, want) || !next.IsZero() {
		t.Errorf("Due = %v, %v, %v, want %v", boards, next, err, want)
	}
}

func TestWhatIsRemovedLeavesNoKey(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), onePartition)
	for _, b := range []leaderboard.Board{
		{ID: "plain", Seasons: hourly},
		{ID: "dense", Seasons: hourly, RankStyle: leaderboard.Dense},
		{ID: "limit", Seasons: hourly, SubmitsPerMinute: 2},
	} {
		seasonal(t, s, b)
		letters := []string{"e", "z"}
		if b.RankStyle == leaderboard.Dense {
			letters = []string{"e", "l", "z"}
		}
		for season := 1; season <= 6; season++ {
			at := hours(season - 1)
			mustAdd(t, s, at, b.ID, 0, "ann", 1)
			if season > 1 {
				mustAdd(t, s, at, b.ID, season-1, "late", 1)
			}
			want := []string{"laurel.{0}.s." + b.ID}
			if season > 1 {
				want = append(want, "laurel.{0}.h."+b.ID)
			}
			for kept := max(1, season-2); kept <= season; kept++ { // two are kept
				for _, letter := range letters {
					key := "laurel.{0}." + letter + "." + b.ID
					if kept > 1 {
						key += "/" + strconv.Itoa(kept)
					}
					want = append(want, key)
				}
			}
			if b.SubmitsPerMinute > 0 {
				want = append(want, "laurel.{0}.c0.limit") // all in even minutes, and of all seasons
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, ofBoard(t, client, "laurel", b.ID)); diff != "" {
				t.Errorf("keys in season %d (-want +got):\n%s", season, diff)
			}
			if season > 1 {
				fields := texts(t, client, "HKEYS", "laurel.{0}.h."+b.ID)
				if len(fields) != min(2, season-1) {
					t.Errorf("past seasons in season %d are %v", season, fields)
				}
			}
		}
		for _, kept := range []int{1, 2, 3} {
			if _, err := s.Entries(t.Context(), leaderboard.Ref{Board: b.ID, Season: kept}, leaderboard.Range{Limit: 1}); !errors.Is(err, leaderboard.ErrSeasonNotFound) {
				t.Errorf("season %d of %s: %v", kept, b.ID, err)
			}
		}
		if err := s.DeleteBoard(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
		if got := ofBoard(t, client, "laurel", b.ID); !slices.Equal(got, []string{"laurel.{0}.s." + b.ID}) {
			t.Errorf("after %s is deleted there are %v, want its rev alone", b.ID, got)
		}
		if got := texts(t, client, "HKEYS", "laurel.{0}.s."+b.ID); !slices.Equal(got, []string{"rev"}) {
			t.Errorf("state of the deleted %s has %v, want its rev alone", b.ID, got)
		}
		if n := number(t, client, "ZCARD", "laurel.{0}.due"); n != 0 {
			t.Errorf("%d boards are due after %s is deleted", n, b.ID)
		}
	}
	// What is unlinked is freed by another thread than that which carries out commands.
	info := ask(t, client, "INFO", "commandstats")
	text, err := info.ToString()
	if err != nil || !strings.Contains(text, "cmdstat_unlink") {
		t.Errorf("nothing was unlinked: %v\n%s", err, text)
	}
}

func TestFewerSeasonsAreKeptAfterTheNextEnd(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	a, b := open(t, server.URL(), onePartition), open(t, server.URL(), onePartition)
	seasonal(t, a, leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Keep: leaderboard.MaxKeep}})
	const ends = 40
	for season := 1; season <= ends; season++ {
		mustAdd(t, a, began, "race", 0, "ann", int64(season))
		mustEnd(t, b, "race", began)
	}
	if _, err := a.PatchBoard(t.Context(), "race", leaderboard.Patch{Seasons: &leaderboard.Seasons{Keep: 3}, At: began}); err != nil {
		t.Fatal(err)
	}
	if views, err := b.Seasons(t.Context(), "race"); err != nil || len(views) != ends+1 {
		t.Errorf("%d seasons after the patch (%v), want %d", len(views), err, ends+1)
	}
	mustAdd(t, b, began, "race", 0, "ann", ends+1)
	mustEnd(t, b, "race", began)
	views, err := a.Seasons(t.Context(), "race")
	if err != nil || len(views) != 4 || views[3].Season != ends-1 || views[3].Total != 1 {
		t.Errorf("seasons after the next end: %+v, %v", views, err)
	}
	if keys := texts(t, client, "KEYS", "laurel.{0}.z.race*"); len(keys) != 3 {
		t.Errorf("ranks are left: %v", keys)
	}
	wantStanding(t, a, "race", ends-1, fmt.Sprintf("1 ann %d", ends-1))
}

func TestSeasonsOfABoardThatWasCreatedAgain(t *testing.T) {
	server := redistest.Start(t)
	a, b := open(t, server.URL()), open(t, server.URL())
	for keep := 1; keep <= 2; keep++ { // at the same number, another one is the oldest
		seasonal(t, a, leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Keep: keep}})
		mustEnd(t, a, "race", began)
		mustEnd(t, a, "race", began)
		views, err := b.Seasons(t.Context(), "race")
		if err != nil || len(views) != 1+keep {
			t.Errorf("with %d past seasons kept there are %+v, %v", keep, views, err)
		}
		if err := a.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
	}
}

// entry is an entry as batch.lua writes it.
func entry(score float64, tie uint64, ms int64, data string) string {
	b := binary.BigEndian.AppendUint64(nil, math.Float64bits(score))
	b = binary.BigEndian.AppendUint64(b, tie)
	return string(binary.BigEndian.AppendUint64(b, uint64(ms))) + data
}

// place is a member of a board's ranks.
func place(tie uint64, member string) string {
	return string(binary.BigEndian.AppendUint64(nil, tie)) + member
}

func TestBoardsOfTheVersionBefore(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), onePartition)
	const settings = `{"id":"race","order":"desc","policy":"sum","decimals":0,"ties":"earliest","rank_style":"dense","top":100,"interval_ms":100,"created_at":"2027-01-02T03:00:00Z"}`
	do(t, client, "HSET", state("race"), "rev", "3", "sr", "1790000000000000", "settings", settings, "k", "ded")
	do(t, client, "ZADD", "laurel.{0}.boards", "0", "race")
	do(t, client, "ZADD", "laurel.{0}.z.race", "-5", place(2, "ann"), "-3", place(3, "bob"))
	do(t, client, "ZADD", "laurel.{0}.l.race", "-5", "-5", "-3", "-3")
	do(t, client, "HSET", "laurel.{0}.e.race", "ann", entry(5, 2, began.UnixMilli(), `{"n":1}`), "bob", entry(3, 3, began.UnixMilli(), ""))

	view, err := s.Board(t.Context(), "race")
	want := leaderboard.View{
		Board:  leaderboard.Board{ID: "race", RankStyle: leaderboard.Dense, CreatedAt: began}.WithDefaults(),
		Season: 1, Rev: 3, Epoch: view.Epoch, Total: 2, StartsAt: began,
	}
	if diff := cmp.Diff(want, view); err != nil || diff != "" {
		t.Fatalf("board (-want +got):\n%s%v", diff, err)
	}
	mustAdd(t, s, began, "race", 1, "bob", 2)
	if got := texts(t, client, "HMGET", state("race"), "settings")[0]; got != settings {
		t.Errorf("a score has changed the settings to %s", got)
	}
	patched := settings[:strings.Index(settings, `"top":100`)] + `"top":7` + settings[strings.Index(settings, `,"interval_ms"`):]
	if _, err := s.PatchBoard(t.Context(), "race", leaderboard.Patch{Top: new(7)}); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, client, "HMGET", state("race"), "settings")[0]; got != patched {
		t.Errorf("settings without seasons are %s, want %s as before", got, patched)
	}

	other := open(t, server.URL(), onePartition)
	mustEnd(t, other, "race", hours(1))
	mustAdd(t, s, hours(1), "race", 0, "cem", 1)
	wantStanding(t, s, "race", 1, "1 ann 5, 1 bob 5")
	wantStanding(t, other, "race", 0, "1 cem 1")
	page, err := other.Lookup(t.Context(), leaderboard.Ref{Board: "race", Season: 1}, []string{"ann"})
	if err != nil || string(page.Entries[0].Data) != `{"n":1}` || page.Entries[0].Seq != 2 || page.Rev != 5 || !page.EndsAt.Equal(hours(1)) {
		t.Errorf("ann in season 1: %+v, %v", page, err)
	}
	// A version that knows no seasons must not take it for the first one.
	if got := texts(t, client, "HMGET", state("race"), "settings")[0]; !strings.HasPrefix(got, "[") {
		t.Errorf("settings of season 2 are %s, which versions before can read", got)
	}
	if err := s.DeleteBoard(t.Context(), "race"); err != nil {
		t.Fatal(err)
	}
	if got := ofBoard(t, client, "laurel", "race"); len(got) != 1 {
		t.Errorf("after the deletion there are %v", got)
	}
}

func TestAnIntentOfTheVersionBeforeIsEnded(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	one, err := tryOpen(t, server.URL(), withLease(aWhile))
	if err != nil {
		t.Fatal(err)
	}
	ids := apart(t, one, 2)
	steps := one.Steps(setAll(ids, "m", 5))
	take(t, steps, 3)
	for i, id := range ids {
		intent, _ := steps.Keys(i)
		if got := texts(t, client, "LRANGE", intent, "0", "0"); i == 1 && !slices.Equal(got, []string{id}) {
			t.Errorf("the intent begins with %v, want %s as before", got, id)
		}
	}
	one.Abandon()
	two := open(t, server.URL(), withLease(aWhile))
	for _, id := range ids {
		wantStanding(t, two, id, 0, "1 m 5")
	}
}

func TestAnEndWithoutMemoryDoesNothing(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), onePartition)
	seasonal(t, s, leaderboard.Board{ID: "race", Seasons: hourly})
	mustAdd(t, s, began, "race", 0, "ann", 1)
	dump := func() string {
		return fmt.Sprint(texts(t, client, "HMGET", state("race"), "rev", "sr", "settings", "k", "season"), ofBoard(t, client, "laurel", "race"),
			texts(t, client, "ZRANGE", "laurel.{0}.due", "0", "-1", "WITHSCORES"), number(t, client, "XLEN", "laurel.{0}.log"))
	}
	whole := dump()
	ask(t, client, "CONFIG", "SET", "maxmemory", "1")
	_, err := endSeason(t.Context(), s, "race", leaderboard.End{At: began})
	if !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("end: %v", err)
	}
	if _, err := add(t.Context(), s, hours(1), "race", 0, "ann", 1); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("a score that ends the season: %v", err)
	}
	if now := dump(); now != whole {
		t.Errorf("what was refused has changed Redis from\n%s\nto\n%s", whole, now)
	}
	ask(t, client, "CONFIG", "SET", "maxmemory", "0")
	eventually(t, "the store heals by itself", func() bool { return s.Writable() == nil })
	if view := mustAdd(t, s, hours(1), "race", 0, "ann", 1); view.Season != 2 || view.Rev != 4 {
		t.Errorf("the score is in %+v", view)
	}
}

func TestDueIsOverAllPartitions(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	var want []string
	for i := range 20 {
		id := fmt.Sprintf("b%02d", i)
		seasonal(t, s, leaderboard.Board{ID: id, Seasons: leaderboard.Seasons{EndsAt: hours(1 + i/2)}})
		want = append(want, id)
	}
	seasonal(t, s, leaderboard.Board{ID: "never"})
	for limit := 1; limit <= 21; limit++ {
		boards, next, err := s.Due(t.Context(), hours(5), limit)
		wantNext := hours(6)
		if limit < 10 {
			wantNext = hours(1 + limit/2)
		}
		if err != nil || !slices.Equal(boards, want[:min(limit, 10)]) || !next.Equal(wantNext) {
			t.Errorf("at most %d: %v, next at %v (%v)", limit, boards, next, err)
		}
	}
	for _, id := range want {
		if _, err := endSeason(t.Context(), s, id, leaderboard.End{At: hours(99), Due: true}); err != nil {
			t.Fatal(err)
		}
	}
	if boards, next, err := s.Due(t.Context(), hours(99), 5); err != nil || len(boards) != 0 || !next.IsZero() {
		t.Errorf("after all have ended: %v, %v, %v", boards, next, err)
	}
}

func TestABoardOverAZSetHasNoSeasonsToEnd(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL())
	do(t, client, "ZADD", "scores", "1", "ann", "2", "bob")
	adopt(t, s, leaderboard.Board{ID: "race", ZSet: "scores"})
	if _, err := endSeason(t.Context(), s, "race", leaderboard.End{At: began}); !errors.Is(err, leaderboard.ErrReadOnly) {
		t.Errorf("end: %v, want read_only", err)
	}
	views, err := s.Seasons(t.Context(), "race")
	if err != nil || len(views) != 1 || views[0].Total != 2 || views[0].Season != 1 {
		t.Errorf("seasons: %+v, %v", views, err)
	}
	wantStanding(t, s, "race", 1, "1 bob 2, 2 ann 1")
	if _, err := s.Entries(t.Context(), leaderboard.Ref{Board: "race", Season: 2}, leaderboard.Range{Limit: 1}); !errors.Is(err, leaderboard.ErrSeasonNotFound) {
		t.Errorf("season 2: %v", err)
	}
}
