package redisstore_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

// cappedApart creates n boards of two entries in as many partitions, every second
// with dense ranks, with the members m at 1 and old at 0.
func cappedApart(t *testing.T, s *redisstore.Store, n int) []string {
	t.Helper()
	var ids []string
	seen := make(map[int]bool)
	for i := 0; len(ids) < n; i++ {
		b := leaderboard.Board{ID: fmt.Sprintf("capped%d", i), MaxEntries: 2, CreatedAt: time.UnixMilli(1)}
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
		mustSubmit(t, s, b.ID, "m", 1)
		mustSubmit(t, s, b.ID, "old", 0)
	}
	return ids
}

// The worst of full boards in three partitions fall off on all of them or on none,
// wherever the node dies that began it and whoever ends it, and nothing is left of them.
func TestFullBoardsAreWholeWhereverANodeDies(t *testing.T) {
	const parts = 3
	server := redistest.Start(t)
	client := server.Client(t)
	for steps := range 2*parts + 2 {
		for _, tended := range []bool{false, true} {
			prefix := fmt.Sprintf("capped%d%t", steps, tended)
			t.Run(fmt.Sprintf("%d steps, tended %t", steps, tended), func(t *testing.T) {
				first, err := tryOpen(t, server.URL(), prefixed(prefix), withLease(aWhile))
				if err != nil {
					t.Fatal(err)
				}
				ids := cappedApart(t, first, parts)
				batch := setAll(ids, "new", 5)
				batch.Ops = append(batch.Ops, setAll(ids, "newer", 6).Ops...)
				batch.Ops = append(batch.Ops, setAll(ids, "worst", 1).Ops...)
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
				want, rev := []string{"m", "old"}, uint64(3)
				if steps > parts {
					want, rev = []string{"newer", "new"}, 5
				}
				for _, id := range ids {
					page, err := second.Entries(t.Context(), leaderboard.Ref{Board: id}, leaderboard.Range{Limit: 10})
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					for _, e := range page.Entries {
						got = append(got, e.Member)
					}
					if !slices.Equal(want, got) || page.Rev != rev || page.Total != 2 {
						t.Errorf("%s has %v at rev %d, %d entries, want %v at %d", id, got, page.Rev, page.Total, want, rev)
					}
					key := fmt.Sprintf("%s.{%d}.e.%s", prefix, second.Partition(id), id)
					if n := number(t, client, "HLEN", key); n != 2 {
						t.Errorf("%s keeps %d entries, want 2", id, n)
					}
				}
				wantLevels(t, second, client, prefix, ids[1:2])
			})
		}
	}
}
