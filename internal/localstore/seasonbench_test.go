package localstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
)

// filled opens a store whose board "race" has -local.members entries.
func filled(b *testing.B) *localstore.Store {
	b.Helper()
	dir := b.TempDir()
	if err := localstore.Fill(b.Context(), dir, *rankMembers); err != nil {
		b.Fatal(err)
	}
	s, err := localstore.Open(b.Context(), dir, localstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func endRace(b *testing.B, s *localstore.Store) {
	b.Helper()
	c := leaderboard.BoardChange{ID: "race", End: &leaderboard.End{At: time.Now()}}
	if _, _, err := s.ChangeBoard(b.Context(), c); err != nil {
		b.Fatal(err)
	}
}

// latencies lets 16 writers submit as fast as they are answered, until what is
// returned is called, which returns how long each submit took.
func latencies(b *testing.B, s *localstore.Store) (stop func() []time.Duration) {
	b.Helper()
	var (
		wg    sync.WaitGroup
		done  atomic.Bool
		took  [16][]time.Duration
		begun atomic.Int64
	)
	for w := range took {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			for !done.Load() {
				start := time.Now()
				if _, err := s.Apply(context.Background(), leaderboard.Batch{Ops: []leaderboard.Op{benchOp(rng)}, At: start}); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(start))
				begun.Add(1)
			}
		})
	}
	return func() []time.Duration {
		done.Store(true)
		wg.Wait()
		all := slices.Concat(took[:]...)
		slices.Sort(all)
		return all
	}
}

// BenchmarkSeasonEnd ends a season of -local.members entries under writers. It reports
// the longest submits while it ended and became final, beside those of as long a time
// in which no season did, and how long it took.
func BenchmarkSeasonEnd(b *testing.B) {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for b.Loop() {
		b.StopTimer()
		s := filled(b)
		runtime.GC()
		before := localstore.RankBytes(s)
		b.StartTimer()

		stop := latencies(b, s)
		start := time.Now()
		endRace(b, s)
		answered := time.Since(start)
		for localstore.Unfinished(s) > 0 {
			time.Sleep(5 * time.Millisecond) // as a wait that looks all the time would be a load of its own
		}
		final := time.Since(start)
		ending := stop()

		quiet := latencies(b, s)
		time.Sleep(final)
		calm := quiet()

		b.ReportMetric(ms(answered), "end-ms")
		b.ReportMetric(ms(final), "final-ms")
		b.ReportMetric(ms(ending[len(ending)-1]), "longest-submit-ms")
		b.ReportMetric(ms(calm[len(calm)-1]), "longest-without-ms")
		b.ReportMetric(ms(ending[len(ending)*99/100]), "p99-ms")
		b.ReportMetric(ms(calm[len(calm)*99/100]), "p99-without-ms")
		b.ReportMetric(float64(len(calm))/float64(len(ending)), "submits-ratio")
		page, err := s.Entries(b.Context(), leaderboard.Ref{Board: "race", Season: 1}, leaderboard.Range{Limit: 1})
		if err != nil || page.Total < *rankMembers {
			b.Fatalf("season 1 has %d entries, %v", page.Total, err)
		}
		b.ReportMetric(float64(before)/(1<<20), "MiB-before")
		b.ReportMetric(float64(localstore.RankBytes(s))/(1<<20), "MiB-after")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPastSeason reads from a final season of -local.members entries and from a
// current one of the same, in turns. It reports the median of each read, their
// ratio, and the memory that the past season takes.
func BenchmarkPastSeason(b *testing.B) {
	past, current := filled(b), filled(b)
	endRace(b, past)
	localstore.AwaitFinal(past)
	n := *rankMembers
	rng := rand.New(rand.NewPCG(3, 4))
	member := func() string { return fmt.Sprintf("player-%010d", rng.IntN(n)) }
	reads := []struct {
		name string
		read func(s *localstore.Store, at leaderboard.Ref) error
	}{
		{"top", func(s *localstore.Store, at leaderboard.Ref) error {
			_, err := s.Entries(b.Context(), at, leaderboard.Range{Limit: 100})
			return err
		}},
		{"middle", func(s *localstore.Store, at leaderboard.Ref) error {
			_, err := s.Entries(b.Context(), at, leaderboard.Range{Offset: rng.IntN(n), Limit: 100})
			return err
		}},
		{"entry", func(s *localstore.Store, at leaderboard.Ref) error {
			_, err := s.Lookup(b.Context(), at, []string{member()})
			return err
		}},
		{"around", func(s *localstore.Store, at leaderboard.Ref) error {
			_, err := s.Around(b.Context(), at, member(), 11)
			return err
		}},
		{"lookup100", func(s *localstore.Store, at leaderboard.Ref) error {
			members := make([]string, 100)
			for i := range members {
				members[i] = member()
			}
			_, err := s.Lookup(b.Context(), at, members)
			return err
		}},
	}
	const turn = 20
	took := make([][2][]time.Duration, len(reads))
	for b.Loop() {
		for i, r := range reads {
			for side, s := range []*localstore.Store{past, current} {
				start := time.Now()
				for range turn {
					if err := r.read(s, leaderboard.Ref{Board: "race", Season: 1}); err != nil {
						b.Fatal(err)
					}
				}
				took[i][side] = append(took[i][side], time.Since(start))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, r := range reads {
		var medians [2]float64
		for side := range medians {
			slices.Sort(took[i][side])
			medians[side] = float64(took[i][side][len(took[i][side])/2].Nanoseconds()) / turn / 1000
		}
		b.ReportMetric(medians[0], r.name+"-µs")
		b.ReportMetric(medians[0]/medians[1], r.name+"-ratio")
	}
	b.ReportMetric(float64(localstore.PastBytes(past))/1024, "KiB-past")
	b.ReportMetric(float64(localstore.RankBytes(current))/(1<<20), "MiB-current")
}
