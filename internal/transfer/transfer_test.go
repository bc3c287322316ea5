package transfer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
	"laurel/internal/redisconn"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
	"laurel/internal/transfer"
)

type store interface {
	leaderboard.Store
	Close() error
}

func onDisk(t *testing.T) store {
	t.Helper()
	s, err := localstore.Open(t.Context(), t.TempDir(), localstore.Options{})
	return opened(t, s, err)
}

func onRedis(t *testing.T, prefix string) store {
	t.Helper()
	config, err := redisconn.Parse(redistest.Start(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	s, err := redisstore.Open(t.Context(), redisstore.Options{Redis: config, Prefix: prefix})
	return opened(t, s, err)
}

func opened(t *testing.T, s store, err error) store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fill makes boards with many ties, of which two are larger than a page.
func fill(t *testing.T, s store) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	start := time.UnixMilli(1_700_000_000_000).UTC()
	for _, b := range []leaderboard.Board{
		{ID: "points"},
		{ID: "laps", Order: leaderboard.Ascending, Policy: leaderboard.Best, Decimals: 3, Ties: leaderboard.LatestTie, Top: 7, Interval: 250, Seasons: leaderboard.Seasons{Keep: 1, Every: "3650d", From: start.Add(-time.Hour), TimeZone: "Asia/Tokyo"}},
		{ID: "levels", RankStyle: leaderboard.Dense},
		{ID: "nobody", Policy: leaderboard.Latest},
	} {
		b.CreatedAt = start
		if _, err := s.CreateBoard(t.Context(), b.WithDefaults()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 * 1000 {
		batch := leaderboard.Batch{At: start.Add(time.Duration(i/3) * time.Second)}
		for _, id := range []string{"points", "laps", "levels"} {
			op := leaderboard.Op{Board: id, Member: fmt.Sprint("m", random.IntN(2300)), Score: leaderboard.ScaledDecimal(random.Int64N(9), 0)}
			if i%2 == 0 {
				op.Data = json.RawMessage(fmt.Sprintf(`{"name":"number %d"}`, i))
			}
			batch.Ops = append(batch.Ops, op)
		}
		if _, err := s.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		// The first season of one board is not kept, the second is, with settings of its own.
		if i == 1000 || i == 2000 {
			_, _, err := s.ChangeBoard(t.Context(), leaderboard.BoardChange{ID: "laps", End: &leaderboard.End{At: batch.At}})
			if err != nil {
				t.Fatal(err)
			}
		}
		if i == 1500 || i == 2500 {
			own := leaderboard.Patch{Top: new(9), RankStyle: new(leaderboard.Competition)}
			if i == 2500 {
				own = leaderboard.Patch{Top: new(7), RankStyle: new(leaderboard.Ordinal)}
			}
			if _, err := s.PatchBoard(t.Context(), "laps", own); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// content is all that a copy must keep, by board and season.
func content(t *testing.T, s store) map[string]leaderboard.Page {
	t.Helper()
	boards, err := s.Boards(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]leaderboard.Page)
	for _, v := range boards {
		seasons, err := s.Seasons(t.Context(), v.Board.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range seasons {
			page, err := s.Entries(t.Context(), leaderboard.Ref{Board: v.Board.ID, Season: v.Season}, leaderboard.Range{Limit: 10_000})
			if err != nil {
				t.Fatal(err)
			}
			all[fmt.Sprint(v.Board.ID, " ", v.Season)] = page
		}
	}
	return all
}

func TestACopyHasTheSameEntriesInTheSameOrder(t *testing.T) {
	first, second, third := onDisk(t), onRedis(t, "copy"), onDisk(t)
	fill(t, first)
	want := content(t, first)
	if n := len(want["points 1"].Entries); n < 1500 {
		t.Fatalf("a board has only %d entries, less than two pages", n)
	}
	for _, c := range []struct {
		name     string
		to, from store
	}{{"from a disk to Redis", second, first}, {"from Redis to a disk", third, second}} {
		var seen []string
		if err := transfer.Copy(t.Context(), c.to, c.from, func(v leaderboard.View) { seen = append(seen, fmt.Sprint(v.Board.ID, " ", v.Total)) }); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		ignored := cmp.Options{cmpopts.IgnoreFields(leaderboard.View{}, "Rev", "Epoch"), cmpopts.IgnoreFields(leaderboard.Entry{}, "Seq", "Rev")}
		if diff := cmp.Diff(want, content(t, c.to), ignored); diff != "" {
			t.Errorf("%s:\n%.3000s", c.name, diff)
		}
		told := []string{fmt.Sprint("laps ", want["laps 3"].Total), fmt.Sprint("levels ", want["levels 1"].Total), "nobody 0", fmt.Sprint("points ", want["points 1"].Total)}
		if diff := cmp.Diff(told, seen); diff != "" {
			t.Errorf("%s, the progress:\n%s", c.name, diff)
		}
	}
}

func TestAStoreWithBoardsIsLeftAlone(t *testing.T) {
	from, to := onDisk(t), onDisk(t)
	fill(t, from)
	if _, err := to.CreateBoard(t.Context(), leaderboard.Board{ID: "mine"}.WithDefaults()); err != nil {
		t.Fatal(err)
	}
	if err := transfer.Copy(t.Context(), to, from, nil); !errors.Is(err, transfer.ErrNotEmpty) {
		t.Errorf("the error is %v, want %v", err, transfer.ErrNotEmpty)
	}
	if got := content(t, to); len(got) != 1 {
		t.Errorf("there are %d boards, want the one that was there", len(got))
	}
}
