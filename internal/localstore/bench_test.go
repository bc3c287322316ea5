package localstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
)

const (
	benchWriters = 256
	benchBatch   = 1000
	benchMembers = 100_000
)

// yardstick is bare Pebble, set up as the store sets it up.
func yardstick(b *testing.B) *pebble.DB {
	b.Helper()
	db, err := pebble.Open(b.TempDir(), &pebble.Options{
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   8 << 20,
		MemTableSize:                32 << 20,
		MemTableStopWritesThreshold: 4,
		L0StopWritesThreshold:       1 << 20,
		Logger:                      quiet{},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func benchStore(b *testing.B) *localstore.Store {
	b.Helper()
	s, err := localstore.Open(b.Context(), b.TempDir(), localstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	board := leaderboard.Board{ID: "race"}.WithDefaults()
	board.CreatedAt = time.Now()
	if _, err := s.CreateBoard(b.Context(), board); err != nil {
		b.Fatal(err)
	}
	return s
}

// writers lets so many writers share n operations and returns how long they took.
func writers(b *testing.B, count int, n int64, op func(ctx context.Context, rng *rand.Rand) error) time.Duration {
	b.Helper()
	var (
		left atomic.Int64
		wg   sync.WaitGroup
	)
	left.Store(n)
	start := time.Now()
	for w := range count {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), uint64(n)))
			for left.Add(-1) >= 0 {
				if err := op(b.Context(), rng); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// compare runs both sides in turns, so that what else the machine does meets both
// alike, and reports the rate of each and their ratio.
func compareRates(b *testing.B, perOp int, round int64, count int, ours, bare func(context.Context, *rand.Rand) error) {
	b.Helper()
	writers(b, count, round, ours)
	writers(b, count, round, bare)
	var oursTook, bareTook time.Duration
	var n int64
	for b.Loop() {
		oursTook += writers(b, count, round, ours)
		bareTook += writers(b, count, round, bare)
		n += round
	}
	rate := func(took time.Duration) float64 { return float64(n) * float64(perOp) / took.Seconds() }
	b.ReportMetric(rate(oursTook), "store-ops/s")
	b.ReportMetric(rate(bareTook), "pebble-ops/s")
	b.ReportMetric(rate(oursTook)/rate(bareTook), "ratio")
}

var benchValue = make([]byte, 16)

func benchKey(rng *rand.Rand) []byte {
	return fmt.Appendf(make([]byte, 0, 32), "e00000001m%06d", rng.IntN(benchMembers))
}

func benchOp(rng *rand.Rand) leaderboard.Op {
	return leaderboard.Op{
		Board:  "race",
		Member: fmt.Sprintf("m%06d", rng.IntN(benchMembers)),
		Score:  leaderboard.ScaledDecimal(rng.Int64N(1000), 0),
	}
}

// BenchmarkSubmit is durable submits of one score by 256 writers beside synced
// sets of bare Pebble by as many, of the same size.
func BenchmarkSubmit(b *testing.B) {
	s, db := benchStore(b), yardstick(b)
	now := time.Now()
	compareRates(b, 1, 16*benchWriters, benchWriters,
		func(ctx context.Context, rng *rand.Rand) error {
			_, err := s.Apply(ctx, leaderboard.Batch{Ops: []leaderboard.Op{benchOp(rng)}, At: now})
			return err
		},
		func(_ context.Context, rng *rand.Rand) error {
			return db.Set(benchKey(rng), benchValue, pebble.Sync)
		})
}

// BenchmarkBatch is durable batches of 1,000 submits by one writer, and by four,
// beside synced batches of bare Pebble.
func BenchmarkBatch(b *testing.B) {
	for _, count := range []int{1, 4} {
		b.Run(fmt.Sprintf("writers=%d", count), func(b *testing.B) {
			s, db := benchStore(b), yardstick(b)
			now := time.Now()
			compareRates(b, benchBatch, 20, count,
				func(ctx context.Context, rng *rand.Rand) error {
					ops := make([]leaderboard.Op, benchBatch)
					for i := range ops {
						ops[i] = benchOp(rng)
					}
					_, err := s.Apply(ctx, leaderboard.Batch{Ops: ops, At: now})
					return err
				},
				func(_ context.Context, rng *rand.Rand) error {
					batch := db.NewBatch()
					for range benchBatch {
						if err := batch.Set(benchKey(rng), benchValue, nil); err != nil {
							return err
						}
					}
					return batch.Commit(pebble.Sync)
				})
		})
	}
}

// BenchmarkOpen is a restart with a board of so many entries.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []struct {
		name    string
		entries int
	}{{"100k", 1e5}, {"1M", 1e6}, {"10M", 1e7}} {
		b.Run(size.name, func(b *testing.B) {
			dir := b.TempDir()
			if err := localstore.Fill(b.Context(), dir, size.entries); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				s, err := localstore.Open(b.Context(), dir, localstore.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				view, err := s.Board(b.Context(), "race")
				if err != nil || view.Total != size.entries {
					b.Fatalf("%d entries, want %d: %v", view.Total, size.entries, err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
