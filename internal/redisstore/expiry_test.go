package redisstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

// agingApart creates n boards whose entries live for a minute in as many partitions,
// every second with dense ranks.
func agingApart(t *testing.T, s *redisstore.Store, n int) []string {
	t.Helper()
	var ids []string
	seen := make(map[int]bool)
	for i := 0; len(ids) < n; i++ {
		b := leaderboard.Board{ID: fmt.Sprintf("aging%d", i), EntryTTL: 60, CreatedAt: time.UnixMilli(1)}
		if seen[s.Partition(b.ID)] {
			continue
		}
		seen[s.Partition(b.ID)] = true
		if len(ids)%2 == 1 {
			b.RankStyle = leaderboard.Dense
		}
		ids = append(ids, b.ID)
		if _, err := s.CreateBoard(t.Context(), b.WithDefaults()); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// What a batch over three partitions wrote expires in all of them, wherever the node
// died that began it and whoever ended it, and nothing is left in Redis.
func TestEntriesExpireWhereverANodeDied(t *testing.T) {
	const parts = 3
	server := redistest.Start(t)
	client := server.Client(t)
	for steps := range 2*parts + 2 {
		for _, tended := range []bool{false, true} {
			prefix := fmt.Sprintf("aging%d%t", steps, tended)
			t.Run(fmt.Sprintf("%d steps, tended %t", steps, tended), func(t *testing.T) {
				first, err := tryOpen(t, server.URL(), prefixed(prefix), withLease(aWhile))
				if err != nil {
					t.Fatal(err)
				}
				ids := agingApart(t, first, parts)
				batch := setAll(ids, "m", 1)
				batch.Ops = append(batch.Ops, setAll(ids, "n", 2).Ops...)
				take(t, first.Steps(batch), steps)
				lease := withLease(aWhile)
				if tended {
					lease = withLease(shortLease)
					if err := first.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					first.Abandon()
				}
				second := open(t, server.URL(), prefixed(prefix), lease) // it knows none of the settings
				if tended {
					eventually(t, "nothing is left", func() bool { return len(left(t, client, prefix)) == 0 })
				}
				want := 0
				if steps > parts {
					want = 2 * parts
				}
				for _, id := range ids { // who meets a lock ends it
					if _, err := second.Entries(t.Context(), leaderboard.Ref{Board: id}, leaderboard.Range{Limit: 1}); err != nil {
						t.Fatal(err)
					}
				}
				due := batch.At.Add(time.Minute)
				if n, _, err := second.Expire(t.Context(), due.Add(-time.Second), 100); n != 0 || err != nil {
					t.Errorf("%d entries expired a second too early, %v", n, err)
				}
				if n, next, err := second.Expire(t.Context(), due, 100); n != want || err != nil || !next.IsZero() {
					t.Errorf("%d entries expired, want %d; the next at %v, %v", n, want, next, err)
				}
				keys := slices.DeleteFunc(texts(t, client, "KEYS", prefix+".{*"), func(key string) bool {
					_, what, _ := strings.Cut(key, "}.")
					return what != "expiring" && !strings.HasPrefix(what, "t.") && !strings.HasPrefix(what, "e.") && !strings.HasPrefix(what, "z.")
				})
				if len(keys) > 0 {
					t.Errorf("afterwards there are %v", keys)
				}
			})
		}
	}
}
