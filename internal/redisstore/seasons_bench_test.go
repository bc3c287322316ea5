package redisstore_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

// fillSeason gives so many members a score in the current season of a board.
func fillSeason(b *testing.B, s *redisstore.Store, board string, members, spread int) {
	b.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for at := 0; at < members; {
		var ops []leaderboard.Op
		for range min(1000, members-at) {
			ops = append(ops, leaderboard.Op{Board: board, Member: memberName(at), Score: leaderboard.ScaledDecimal(int64(rng.IntN(spread)), 0)})
			at++
		}
		if _, err := s.Apply(b.Context(), leaderboard.Batch{Ops: ops, At: time.Now()}); err != nil {
			b.Fatal(err)
		}
	}
}

// longestPause has 16 writers submit single scores for a turn, does something in its middle if there is
// anything to do, and returns for how many milliseconds that took, and the longest submit.
func longestPause(b *testing.B, s *redisstore.Store, board string, members int, what func() error) (took, longest float64) {
	b.Helper()
	var (
		wg   sync.WaitGroup
		most atomic.Int64
	)
	start := time.Now()
	op := submitter(s, board, members, 1)
	for w := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), uint64(start.UnixNano())))
			for last := start; last.Sub(start) < *benchTurn; {
				if err := op(b.Context(), rng); err != nil {
					b.Error(err)
					return
				}
				now := time.Now()
				for before := most.Load(); int64(now.Sub(last)) > before && !most.CompareAndSwap(before, int64(now.Sub(last))); before = most.Load() {
				}
				last = now
			}
		})
	}
	if what != nil {
		wg.Go(func() {
			<-time.After(*benchTurn / 2)
			begun := time.Now()
			if err := what(); err != nil {
				b.Error(err)
			}
			took = time.Since(begun).Seconds() * 1000
		})
	}
	wg.Wait()
	return took, time.Duration(most.Load()).Seconds() * 1000
}

// BenchmarkEndOfSeason ends the season of a small and of a large board while 16 writers go on: when
// nothing is removed, and when the season that was as large is. Beside it is a turn of the same writers
// without an end.
func BenchmarkEndOfSeason(b *testing.B) {
	server := redistest.Start(b)
	s := openBench(b, server)
	for _, members := range []int{1000, *benchMembers} {
		b.Run("members="+strconv.Itoa(members), func(b *testing.B) {
			var quiet, end, ending, removal, removing []float64
			for n := 0; b.Loop(); n++ {
				board := leaderboard.Board{ID: strconv.Itoa(members) + "-" + strconv.Itoa(n), Seasons: leaderboard.Seasons{Keep: 1}}
				if _, err := s.CreateBoard(b.Context(), board.WithDefaults()); err != nil {
					b.Fatal(err)
				}
				fillSeason(b, s, board.ID, members, *benchSpread)
				by := func() error {
					_, _, err := s.ChangeBoard(b.Context(), leaderboard.BoardChange{ID: board.ID, End: &leaderboard.End{At: time.Now()}})
					return err
				}
				_, longest := longestPause(b, s, board.ID, members, nil)
				quiet = append(quiet, longest)
				took, longest := longestPause(b, s, board.ID, members, by)
				end, ending = append(end, took), append(ending, longest)
				took, longest = longestPause(b, s, board.ID, members, by)
				removal, removing = append(removal, took), append(removing, longest)
				if err := s.DeleteBoard(b.Context(), board.ID); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(middle(quiet), "quiet-pause-ms")
			b.ReportMetric(middle(end), "end-ms")
			b.ReportMetric(middle(ending), "end-pause-ms")
			b.ReportMetric(middle(removal), "removal-ms")
			b.ReportMetric(middle(removing), "removal-pause-ms")
		})
	}
}

// BenchmarkPastSeason has 32 readers read a past season and the current one of a board, which have as
// many members with the same scores, in turns.
func BenchmarkPastSeason(b *testing.B) {
	server := redistest.Start(b)
	s := openBench(b, server)
	fillSeason(b, s, benchBoard, *benchMembers, *benchSpread)
	if _, _, err := s.ChangeBoard(b.Context(), leaderboard.BoardChange{ID: benchBoard, End: &leaderboard.End{At: time.Now()}}); err != nil {
		b.Fatal(err)
	}
	fillSeason(b, s, benchBoard, *benchMembers, *benchSpread)
	for _, c := range []struct {
		name string
		read func(ctx context.Context, at leaderboard.Ref, rng *rand.Rand) error
	}{
		{"lookup", func(ctx context.Context, at leaderboard.Ref, rng *rand.Rand) error {
			_, err := s.Lookup(ctx, at, []string{memberName(rng.IntN(*benchMembers))})
			return err
		}},
		{"page", func(ctx context.Context, at leaderboard.Ref, rng *rand.Rand) error {
			_, err := s.Entries(ctx, at, leaderboard.Range{Offset: rng.IntN(*benchMembers), Limit: 50})
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var rates [3][]float64
			for b.Loop() {
				for season := 1; season <= 2; season++ {
					rates[season] = append(rates[season], writersFor(b, 32, 1, *benchTurn, func(ctx context.Context, rng *rand.Rand) error {
						return c.read(ctx, leaderboard.Ref{Board: benchBoard, Season: season % 2}, rng)
					}))
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(middle(rates[1]), "past-reads/s")
			b.ReportMetric(middle(rates[2]), "current-reads/s")
			b.ReportMetric(middle(rates[1])/middle(rates[2]), "ratio")
		})
	}
}
