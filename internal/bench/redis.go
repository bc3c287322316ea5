package bench

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// boardSizes are the sizes of the boards that the store on Redis and a script
// that publishes whole boards are compared at.
var boardSizes = []int{5, 100, 1000, 10_000}

func measureRedis(ctx context.Context, b *bench) error {
	found, err := b.goBench(ctx, "./internal/redisstore", "^Benchmark(Submit|Rank|BoardSize)$", strconv.Itoa(b.size.rounds)+"x",
		"-args", "-redis.members", strconv.Itoa(b.size.members), "-redis.turn", (b.size.turn / 2).String())
	if err != nil {
		return err
	}
	for _, r := range []struct {
		bench, what, yardstick string
		least                  float64
		most                   float64 // milliseconds of a call
	}{
		{"batches=1000", "batches of 1,000, 4 writers: scores", "-P 64", 0.5, 0},
		{"batches=64", "batches of 64, 16 writers: scores", "-P 64", 0.5, 5},
		{"singly", "single submits, 256 writers", "-c 256", 0.8, 5},
	} {
		v, err := found.get("Submit/"+r.bench, "submits/s", "zincrbys/s", "ratio", "call-µs", "slow-call-µs")
		if err != nil {
			return err
		}
		b.row(row{
			what: r.what, ours: rate(v[0]), yardstick: rate(v[1]) + " ZINCRBY " + r.yardstick,
			ratio: v[2], target: atLeast(v[2], r.least),
		})
		slow := row{what: "Redis at work on one call, p50 and p99", ours: microseconds(v[3]) + ", " + microseconds(v[4])}
		if r.most != 0 {
			slow.target = atMost(v[4]/1000, r.most, " ms")
		}
		b.row(slow)
	}
	b.notef("the yardstick is redis-benchmark on a ZSET of %s with the same scores, on the same server; medians of %d turns", members(b.size.members), b.size.rounds)

	for _, style := range []string{"competition", "dense"} {
		v, err := found.get("Rank", style+"-reads/s", "ordinal-reads/s", style+"-ratio")
		if err != nil {
			return err
		}
		b.row(row{
			what: fmt.Sprintf("reads of %s ranks, 32 readers", style), ours: rate(v[0]),
			yardstick: rate(v[1]) + " ordinal", ratio: v[2], target: atMost(v[2], 2, ""),
		})
	}

	ours, theirs := make([]float64, len(boardSizes)), make([]float64, len(boardSizes))
	for i, n := range boardSizes {
		v, err := found.get("BoardSize/members="+strconv.Itoa(n), "submits/s", "script/s", "times-as-fast")
		if err != nil {
			return err
		}
		ours[i], theirs[i] = v[0], v[1]
		b.row(row{
			what: fmt.Sprintf("single submits, 64 writers, %s members", members(n)), ours: rate(v[0]),
			yardstick: rate(v[1]) + " whole boards", ratio: v[2],
		})
	}
	b.printf("\n%s\n", curves(boardSizes, ours, theirs))
	b.notef("the yardstick is a script that reads, encodes and appends the whole board to a stream on every score")
	return nil
}

func microseconds(us float64) string { return span(time.Duration(us * float64(time.Microsecond))) }

// curves draws two rates by the size of the board, each unit of height a third of a
// power of ten: L is Laurel, and w what publishes whole boards.
func curves(sizes []int, ours, theirs []float64) string {
	const steps, column = 3, 14
	height := func(perSecond float64) int { return int(math.Round(steps * math.Log10(max(1, perSecond)))) }
	low, high := math.MaxInt, 0
	for i := range sizes {
		low = min(low, height(ours[i]), height(theirs[i]))
		high = max(high, height(ours[i]), height(theirs[i]))
	}
	var b strings.Builder
	for h := (high + steps - 1) / steps * steps; h >= low/steps*steps; h-- {
		label := ""
		if h%steps == 0 {
			label = grouped(math.Pow10(h / steps))
		}
		line := fmt.Appendf(nil, "  %9s |", label)
		for i := range sizes {
			mark := ""
			switch {
			case height(ours[i]) == h && height(theirs[i]) == h:
				mark = "Lw"
			case height(ours[i]) == h:
				mark = "L"
			case height(theirs[i]) == h:
				mark = "w"
			}
			line = fmt.Appendf(line, "%*s", column, mark)
		}
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	fmt.Fprintf(&b, "  %9s +%s\n  %9s  ", "scores/s", strings.Repeat("-", column*len(sizes)+2), "")
	for _, n := range sizes {
		fmt.Fprintf(&b, "%*s", column, grouped(float64(n)))
	}
	return b.String() + " members"
}
