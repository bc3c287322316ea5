package localstore_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
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

var (
	rankMembers = flag.Int("local.members", 1_000_000, "how many `members` the boards have on which ranks are read")
	rankSpread  = flag.Int64("local.spread", 1_000_000, "their scores are below this `number`")
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

// BenchmarkSubmitOnce is durable submits of one score by 256 writers, each under a
// name with a digest, beside those without.
func BenchmarkSubmitOnce(b *testing.B) {
	named, plain := benchStore(b), benchStore(b)
	now := time.Now()
	var n atomic.Int64
	var rates [2]float64
	run := func(side int, op func(context.Context, *rand.Rand) error) {
		const round = 16 * benchWriters
		rates[side] += writers(b, benchWriters, round, op).Seconds() / round
	}
	rounds := 0.0
	for b.Loop() {
		run(0, func(ctx context.Context, rng *rand.Rand) error {
			i := n.Add(1)
			_, err := named.Apply(ctx, leaderboard.Batch{
				Ops: []leaderboard.Op{benchOp(rng)}, At: now,
				Once: fmt.Sprintf("=%026d", i), OnceDigest: leaderboard.Digest{1, byte(i)},
			})
			return err
		})
		run(1, func(ctx context.Context, rng *rand.Rand) error {
			_, err := plain.Apply(ctx, leaderboard.Batch{Ops: []leaderboard.Op{benchOp(rng)}, At: now})
			return err
		})
		rounds++
	}
	b.ReportMetric(rounds/rates[0], "named-ops/s")
	b.ReportMetric(rounds/rates[1], "plain-ops/s")
	b.ReportMetric(rates[1]/rates[0], "ratio")
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

// BenchmarkRank looks up one member after another, on boards of each rank style
// in turns. The boards have the same members with the same scores, which are
// spread over -local.spread.
func BenchmarkRank(b *testing.B) {
	s := benchStore(b)
	styles := []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense}
	for _, style := range styles {
		board := leaderboard.Board{ID: string(style), Policy: leaderboard.Latest, RankStyle: style, CreatedAt: time.Now()}
		if _, err := s.CreateBoard(b.Context(), board.WithDefaults()); err != nil {
			b.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for at := 0; at < *rankMembers; {
			batch := leaderboard.Batch{At: board.CreatedAt}
			for range min(benchBatch, *rankMembers-at) {
				batch.Ops = append(batch.Ops, leaderboard.Op{
					Board: board.ID, Member: fmt.Sprint("player", at), Score: leaderboard.ScaledDecimal(rng.Int64N(*rankSpread), 0),
				})
				at++
			}
			if _, err := s.Apply(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	const turn = 500
	took := make([][]time.Duration, len(styles))
	rng := rand.New(rand.NewPCG(3, 4))
	members := make([][]string, turn)
	for b.Loop() {
		for i, style := range styles {
			for j := range members { // others than those of the style before, which are in the processor's cache
				members[j] = []string{fmt.Sprint("player", rng.IntN(*rankMembers))}
			}
			start := time.Now()
			for _, member := range members {
				page, err := s.Lookup(b.Context(), leaderboard.Ref{Board: string(style)}, member)
				if err != nil || page.Entries[0].Rank == 0 {
					b.Fatalf("%+v, %v", page.Entries, err)
				}
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	b.ReportMetric(0, "ns/op")
	var ordinal float64
	for i, style := range styles {
		slices.Sort(took[i])
		median := float64(took[i][len(took[i])/2].Nanoseconds()) / turn
		b.ReportMetric(median, string(style)+"-ns")
		if style == leaderboard.Ordinal {
			ordinal = median
			continue
		}
		b.ReportMetric(median/ordinal, string(style)+"-ratio")
	}
}

// BenchmarkLoad fills a board with -local.members new members by batches of 1,000
// durable corrections from one writer, as an import does, and beside it a bare Pebble with as many
// keys by synced batches of as many, in turns.
func BenchmarkLoad(b *testing.B) {
	n := *rankMembers / benchBatch * benchBatch
	rng := rand.New(rand.NewPCG(7, 0))
	order := rng.Perm(n)
	var oursTook, bareTook time.Duration
	for b.Loop() {
		s, db := benchStore(b), yardstick(b)
		began := time.Now()
		for i := 0; i < n; i += benchBatch {
			ops := make([]leaderboard.Op, benchBatch)
			for k, member := range order[i : i+benchBatch] {
				ops[k] = leaderboard.Op{Board: "race", Kind: leaderboard.Set, Member: fmt.Sprintf("player-%08d", member), Score: leaderboard.ScaledDecimal(rng.Int64N(1_000_000), 0)}
			}
			if _, err := s.Apply(b.Context(), leaderboard.Batch{Ops: ops, At: began}); err != nil {
				b.Fatal(err)
			}
		}
		oursTook += time.Since(began)
		began = time.Now()
		for i := 0; i < n; i += benchBatch {
			batch := db.NewBatch()
			for _, member := range order[i : i+benchBatch] {
				if err := batch.Set(fmt.Appendf(make([]byte, 0, 32), "e00000001player-%08d", member), benchValue, nil); err != nil {
					b.Fatal(err)
				}
			}
			if err := batch.Commit(pebble.Sync); err != nil {
				b.Fatal(err)
			}
		}
		bareTook += time.Since(began)
	}
	total := float64(n) * float64(b.N)
	b.ReportMetric(total/oursTook.Seconds(), "store-ops/s")
	b.ReportMetric(total/bareTook.Seconds(), "pebble-ops/s")
	b.ReportMetric(bareTook.Seconds()/oursTook.Seconds(), "ratio")
}
