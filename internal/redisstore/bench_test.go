package redisstore_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redisconn"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

var (
	benchMembers = flag.Int("redis.members", 1_000_000, "how many `members` the board and the ZSET of benchmarks have")
	benchSpread  = flag.Int("redis.spread", 10, "their scores at the start are below this `number`; ten is about what redis-benchmark makes of an empty ZSET")
	benchTurn    = flag.Duration("redis.turn", time.Second, "how long a side that is compared has its `turn`")
)

const (
	benchBoard = "race"
	benchKey   = "yardstick"
)

// memberName is the name that redis-benchmark gives the member of a number.
func memberName(n int) string { return fmt.Sprintf("member:%012d", n) }

// openBench opens a store for a benchmark, with an empty board.
func openBench(b *testing.B, server *redistest.Server) *redisstore.Store {
	b.Helper()
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	s, err := redisstore.Open(b.Context(), redisstore.Options{Redis: config})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	createBoard(b, s, benchBoard)
	return s
}

// fillBoth gives a board and a ZSET the same members with the same scores.
func fillBoth(b *testing.B, s *redisstore.Store, client rueidis.Client, board string, members, spread int) {
	b.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for at := 0; at < members; {
		add := client.B().Zadd().Key(benchKey).ScoreMember()
		var ops []leaderboard.Op
		for range min(1000, members-at) {
			name, score := memberName(at), rng.IntN(spread)
			at++
			add = add.ScoreMember(float64(score), name)
			ops = append(ops, leaderboard.Op{Board: board, Member: name, Score: leaderboard.ScaledDecimal(int64(score), 0)})
		}
		if err := client.Do(b.Context(), add.Build()).Error(); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Apply(b.Context(), leaderboard.Batch{Ops: ops, At: time.Now()}); err != nil {
			b.Fatal(err)
		}
	}
}

// writersFor lets writers work for a while, and returns how many scores they
// submit in a second; each op submits perOp.
func writersFor(b *testing.B, writers, perOp int, d time.Duration, op func(context.Context, *rand.Rand) error) float64 {
	b.Helper()
	var (
		done atomic.Int64
		wg   sync.WaitGroup
	)
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), uint64(start.UnixNano())))
			for time.Since(start) < d {
				if err := op(b.Context(), rng); err != nil {
					b.Error(err)
					return
				}
				done.Add(int64(perOp))
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

// submitter returns what submits perOp scores of random members in one batch.
func submitter(s *redisstore.Store, board string, members, perOp int) func(context.Context, *rand.Rand) error {
	now := time.Now()
	return func(ctx context.Context, rng *rand.Rand) error {
		ops := make([]leaderboard.Op, perOp)
		for i := range ops {
			ops[i] = leaderboard.Op{Board: board, Member: memberName(rng.IntN(members)), Score: leaderboard.ScaledDecimal(1, 0)}
		}
		_, err := s.Apply(ctx, leaderboard.Batch{Ops: ops, At: now})
		return err
	}
}

// redisBenchmark has redis-benchmark add one to random members of the ZSET, and
// returns how often it does in a second.
func redisBenchmark(b *testing.B, server *redistest.Server, clients, pipeline, requests int) float64 {
	b.Helper()
	host, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		b.Fatal(err)
	}
	output, err := exec.CommandContext(b.Context(), "redis-benchmark", "-h", host, "-p", port, "--csv",
		"-c", strconv.Itoa(clients), "-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(requests), "-r", strconv.Itoa(*benchMembers),
		"ZINCRBY", benchKey, "1", "member:__rand_int__").Output()
	if err != nil {
		b.Fatalf("redis-benchmark: %v\n%s", err, output)
	}
	// Before the line with the figures, there may be others that were overwritten on a terminal.
	line := output[bytes.LastIndex(output, []byte(`"ZINCRBY`)):]
	fields, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil || len(fields) < 2 {
		b.Fatalf("redis-benchmark: %v\n%s", err, output)
	}
	rate, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		b.Fatalf("redis-benchmark: %v\n%s", err, output)
	}
	return rate
}

// calls returns how long Redis was busy with a call of a script since the last
// time: the median, and what one call in a hundred exceeds.
func calls(b *testing.B, client rueidis.Client) (median, slow float64) {
	b.Helper()
	info, err := client.Do(b.Context(), client.B().Info().Section("latencystats").Build()).ToString()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(line, "latency_percentiles_usec_evalsha:"); ok {
			if _, err := fmt.Sscanf(rest, "p50=%f,p99=%f", &median, &slow); err != nil {
				b.Fatalf("%q: %v", line, err)
			}
		}
	}
	if err := client.Do(b.Context(), client.B().ConfigResetstat().Build()).Error(); err != nil {
		b.Fatal(err)
	}
	return median, slow
}

// BenchmarkSubmit is submits to a board beside redis-benchmark's ZINCRBY on a
// ZSET of as many members with the same scores, on the same server: in batches
// beside pipelines of 64, and singly beside no pipelines, from as many
// connections as there are writers. Both take turns; the rates are medians.
func BenchmarkSubmit(b *testing.B) {
	server := redistest.Start(b)
	client := server.Client(b)
	s := openBench(b, server)
	fillBoth(b, s, client, benchBoard, *benchMembers, *benchSpread)
	for _, c := range []struct {
		name               string
		writers, batch     int
		clients, pipelines int
	}{
		{"batches=1000", 4, 1000, 50, 64},
		{"batches=64", 16, 64, 50, 64},
		{"singly", 256, 1, 256, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			requests := max(1000, int(100_000*benchTurn.Seconds()))
			if c.pipelines > 1 {
				requests *= 2
			}
			op := submitter(s, benchBoard, *benchMembers, c.batch)
			writersFor(b, c.writers, c.batch, *benchTurn/2, op)
			redisBenchmark(b, server, c.clients, c.pipelines, requests/2)
			var ours, theirs, median, slow []float64
			for b.Loop() {
				calls(b, client)
				ours = append(ours, writersFor(b, c.writers, c.batch, *benchTurn, op))
				took, most := calls(b, client)
				median, slow = append(median, took), append(slow, most)
				theirs = append(theirs, redisBenchmark(b, server, c.clients, c.pipelines, requests))
			}
			b.ReportMetric(middle(ours), "submits/s")
			b.ReportMetric(middle(theirs), "zincrbys/s")
			b.ReportMetric(middle(ours)/middle(theirs), "ratio")
			b.ReportMetric(middle(median), "call-µs")
			b.ReportMetric(middle(slow), "slow-call-µs")
		})
	}
}

// BenchmarkBoardSize is single submits by 64 writers, by the size of the board,
// beside a script that publishes the whole board on every change, as
// Centrifugo's tutorial has it. Both take turns on one server.
func BenchmarkBoardSize(b *testing.B) {
	server := redistest.Start(b)
	client := server.Client(b)
	s := openBench(b, server)
	for _, members := range []int{5, 100, 1000, 10_000} {
		b.Run("members="+strconv.Itoa(members), func(b *testing.B) {
			board := fmt.Sprintf("of-%d", members)
			if _, err := s.Board(b.Context(), board); err != nil {
				createBoard(b, s, board)
			}
			if err := client.Do(b.Context(), client.B().Del().Key(benchKey, "state", "stream").Build()).Error(); err != nil {
				b.Fatal(err)
			}
			fillBoth(b, s, client, board, members, 1000)
			keys := []string{benchKey, "state", "stream"}
			op := submitter(s, board, members, 1)
			var ours, theirs []float64
			for b.Loop() {
				ours = append(ours, writersFor(b, 64, 1, *benchTurn/2, op))
				theirs = append(theirs, writersFor(b, 64, 1, *benchTurn/2, func(ctx context.Context, rng *rand.Rand) error {
					return wholeBoard.Exec(ctx, client, keys, []string{memberName(rng.IntN(members)), "1", "leaderboard"}).Error()
				}))
			}
			b.ReportMetric(middle(ours), "submits/s")
			b.ReportMetric(middle(theirs), "script/s")
			b.ReportMetric(middle(ours)/middle(theirs), "times-as-fast")
		})
	}
}

// BenchmarkRank has 32 readers look up one member after another, on boards of each
// rank style in turns. The boards have the same members with the same scores.
func BenchmarkRank(b *testing.B) {
	server := redistest.Start(b)
	client := server.Client(b)
	s := openBench(b, server)
	styles := []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense}
	for _, style := range styles {
		board := leaderboard.Board{ID: string(style), RankStyle: style, CreatedAt: time.Now()}
		if _, err := s.CreateBoard(b.Context(), board.WithDefaults()); err != nil {
			b.Fatal(err)
		}
		fillBoth(b, s, client, board.ID, *benchMembers, *benchSpread)
	}
	reads, busy, submits := make([][]float64, len(styles)), make([][]float64, len(styles)), make([][]float64, len(styles))
	for b.Loop() {
		for i, style := range styles {
			calls(b, client)
			reads[i] = append(reads[i], writersFor(b, 32, 1, *benchTurn, func(ctx context.Context, rng *rand.Rand) error {
				_, err := s.Lookup(ctx, leaderboard.Ref{Board: string(style)}, []string{memberName(rng.IntN(*benchMembers))})
				return err
			}))
			took, _ := calls(b, client)
			busy[i] = append(busy[i], took)
		}
		for i, style := range styles {
			submits[i] = append(submits[i], writersFor(b, 16, 64, *benchTurn, submitter(s, string(style), *benchMembers, 64)))
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, style := range styles {
		b.ReportMetric(middle(reads[i]), string(style)+"-reads/s")
		b.ReportMetric(middle(busy[i]), string(style)+"-call-µs")
		b.ReportMetric(middle(submits[i]), string(style)+"-submits/s")
		if i > 0 {
			b.ReportMetric(middle(reads[0])/middle(reads[i]), string(style)+"-ratio")
		}
	}
}

// middle returns the median.
func middle(list []float64) float64 { return slices.Sorted(slices.Values(list))[len(list)/2] }
