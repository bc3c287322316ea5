package redisstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

// denseApart creates n boards with dense ranks in as many partitions.
func denseApart(t *testing.T, s *redisstore.Store, n int) []string {
	t.Helper()
	var ids []string
	seen := make(map[int]bool)
	for i := 0; len(ids) < n; i++ {
		b := leaderboard.Board{ID: fmt.Sprintf("dense%d", i), RankStyle: leaderboard.Dense, CreatedAt: time.UnixMilli(1)}
		if seen[s.Partition(b.ID)] {
			continue
		}
		seen[s.Partition(b.ID)] = true
		ids = append(ids, b.ID)
		if i%2 == 1 {
			b.Order = leaderboard.Ascending
		}
		if _, err := s.CreateBoard(t.Context(), b.WithDefaults()); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// wantLevels compares the levels of boards with the scores of their members.
func wantLevels(t *testing.T, s *redisstore.Store, c rueidis.Client, prefix string, ids []string) {
	t.Helper()
	for _, id := range ids {
		wantLevelsOf(t, s, c, prefix, id, id)
	}
}

// wantLevelsOf does so for the season of a board that keys have under a name.
func wantLevelsOf(t *testing.T, s *redisstore.Store, c rueidis.Client, prefix, id, name string) {
	t.Helper()
	key := func(letter string) string { return fmt.Sprintf("%s.{%d}.%s.%s", prefix, s.Partition(id), letter, name) }
	scored := func(key string) (scores []string) {
		rows, err := c.Do(t.Context(), c.B().Zrange().Key(key).Min("0").Max("-1").Withscores().Build()).AsZScores()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			scores = append(scores, strconv.FormatFloat(row.Score, 'f', -1, 64))
		}
		return scores
	}
	want := slices.Compact(scored(key("z")))
	if got := scored(key("l")); !slices.Equal(want, got) {
		t.Errorf("levels of %s are %v, want %v", name, got, want)
	}
	if got := texts(t, c, "ZRANGE", key("l"), "0", "-1"); !slices.Equal(want, got) {
		t.Errorf("members of the levels of %s are %v, want %v", name, got, want)
	}
}

func TestLevelsAreTheScoresThatThereAre(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const prefix = "levels"
	stores := []*redisstore.Store{open(t, server.URL(), prefixed(prefix)), open(t, server.URL(), prefixed(prefix))}
	ids := denseApart(t, stores[0], 3)
	var wg sync.WaitGroup
	for n, s := range stores {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for range 150 {
				batch := leaderboard.Batch{At: time.Now()}
				of := ids[random.IntN(len(ids))]
				spread := random.IntN(4) == 0
				for range 1 + random.IntN(6) {
					if spread {
						of = ids[random.IntN(len(ids))]
					}
					batch.Ops = append(batch.Ops, leaderboard.Op{
						Board: of, Kind: leaderboard.Kind(random.IntN(3)), Member: strconv.Itoa(random.IntN(8)),
						Score: leaderboard.ScaledDecimal(random.Int64N(5)-2, 0),
					})
				}
				_, err := s.Apply(t.Context(), batch)
				if code := leaderboard.CodeOf(err); err != nil && code != leaderboard.CodeMemberNotFound {
					t.Errorf("Apply: %v", err)
				}
			}
		})
	}
	wg.Wait()
	wantLevels(t, stores[0], client, prefix, ids)

	for _, id := range ids {
		if err := stores[1].DeleteBoard(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	keys := texts(t, client, "KEYS", prefix+".{*}.l.*")
	if len(keys) > 0 {
		t.Errorf("after the boards are deleted there are %v", keys)
	}
}

func TestLevelsAreWholeWhereverANodeDies(t *testing.T) {
	const parts = 3
	server := redistest.Start(t)
	client := server.Client(t)
	for steps := range 2*parts + 2 {
		for _, tended := range []bool{false, true} {
			prefix := fmt.Sprintf("dense%d%t", steps, tended)
			t.Run(fmt.Sprintf("%d steps, tended %t", steps, tended), func(t *testing.T) {
				one, err := tryOpen(t, server.URL(), prefixed(prefix), withLease(aWhile))
				if err != nil {
					t.Fatal(err)
				}
				ids := denseApart(t, one, parts)
				for i, member := range strings.Fields("m n o m") {
					for _, id := range ids {
						mustSubmit(t, one, id, member, int64(1+i/2))
					}
				}
				batch := setAll(ids, "m", 9)
				batch.Ops = append(batch.Ops, setAll(ids, "new", 5).Ops...)
				batch.Ops = append(batch.Ops, setAll(ids, "n", 5).Ops...)
				take(t, one.Steps(batch), steps)
				lease := withLease(aWhile)
				if tended {
					lease = withLease(shortLease)
					if err := one.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					one.Abandon()
				}
				two := open(t, server.URL(), prefixed(prefix), lease) // it knows none of the settings
				if tended {
					eventually(t, "nothing is left", func() bool { return len(left(t, client, prefix)) == 0 })
				}
				for _, id := range ids {
					view, err := two.Board(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					want := 2 // by the scores 3, 2 and 1
					if steps > parts && view.Board.Order == leaderboard.Ascending {
						want = 1 // by 2, 5 and 9
					} else if steps > parts {
						want = 3
					}
					page, err := two.Lookup(t.Context(), leaderboard.Ref{Board: id}, []string{"o"})
					if err != nil || page.Entries[0].Rank != want {
						t.Errorf("o on %s is %+v (%v), want rank %d", id, page.Entries, err, want)
					}
				}
				wantLevels(t, two, client, prefix, ids)
			})
		}
	}
}
