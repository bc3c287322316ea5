package redisstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

// limitedApart creates n boards with a limit of submissions in as many partitions,
// every second with dense ranks.
func limitedApart(t *testing.T, s *redisstore.Store, n, limit int) []string {
	t.Helper()
	var ids []string
	seen := make(map[int]bool)
	for i := 0; len(ids) < n; i++ {
		b := leaderboard.Board{ID: fmt.Sprintf("limited%d", i), SubmitsPerMinute: limit, CreatedAt: time.UnixMilli(1)}
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

// moreSubmits says how many submissions a member may still make on a board.
func moreSubmits(t *testing.T, s *redisstore.Store, id, member string, at time.Time) int {
	t.Helper()
	for n := 0; ; n++ {
		batch := leaderboard.Batch{Ops: []leaderboard.Op{{Board: id, Member: member}}, At: at}
		_, err := s.Apply(t.Context(), batch)
		if errors.Is(err, leaderboard.ErrTooManySubmits) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNodesCountSubmitsTogether(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	stores := []*redisstore.Store{open(t, server.URL()), open(t, server.URL()), open(t, server.URL())}
	id, at := limitedApart(t, stores[0], 1, 5)[0], time.Now()
	for i := range 4 {
		if _, err := stores[i%3].Apply(t.Context(), leaderboard.Batch{Ops: []leaderboard.Op{{Board: id, Member: "m"}}, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	if n := moreSubmits(t, stores[2], id, "m", at); n != 1 {
		t.Errorf("%d more were taken, want 1", n)
	}
	for _, s := range stores {
		if n := moreSubmits(t, s, id, "m", at); n != 0 {
			t.Errorf("a node has taken %d more", n)
		}
	}
	keys := texts(t, client, "KEYS", "laurel.{*}.c[01].*")
	if len(keys) != 1 {
		t.Fatalf("the counts are in %v, want one key", keys)
	}
	if left := number(t, client, "PTTL", keys[0]); left <= 0 || left > 120_000 {
		t.Errorf("the counts have %d ms left", left)
	}
	if err := stores[1].DeleteBoard(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if keys := texts(t, client, "KEYS", "laurel.{*}.c[01].*"); len(keys) > 0 {
		t.Errorf("after the board is deleted there are %v", keys)
	}
}

// A batch over boards in three partitions counts on all of them or on none, once,
// wherever the node dies that began it and whoever ends it.
func TestSubmitsAreCountedOnceWhereverANodeDies(t *testing.T) {
	const parts = 3
	server := redistest.Start(t)
	client := server.Client(t)
	for steps := range 2*parts + 2 {
		for _, tended := range []bool{false, true} {
			prefix := fmt.Sprintf("limited%d%t", steps, tended)
			t.Run(fmt.Sprintf("%d steps, tended %t", steps, tended), func(t *testing.T) {
				first, err := tryOpen(t, server.URL(), prefixed(prefix), withLease(aWhile))
				if err != nil {
					t.Fatal(err)
				}
				ids := limitedApart(t, first, parts, 5)
				batch := setAll(ids, "m", 9)
				for i := range batch.Ops {
					batch.Ops[i].Kind = leaderboard.Submit
				}
				batch.Ops = append(batch.Ops, batch.Ops...)
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
				want := 5
				if steps > parts {
					want = 3
				}
				for _, id := range ids {
					if n := moreSubmits(t, second, id, "m", batch.At); n != want {
						t.Errorf("%d more submissions were taken on %s, want %d", n, id, want)
					}
				}
			})
		}
	}
}
