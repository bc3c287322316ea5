package bench

import (
	"context"
	"fmt"
	"strconv"
)

// seasonRounds is how often a season is ended.
const seasonRounds = 3

// measureSeasons ends a season of a large board while writes go on, and reads it
// afterwards, on both stores.
func measureSeasons(ctx context.Context, b *bench) error {
	if err := b.localSeasons(ctx); err != nil {
		return err
	}
	return b.redisSeasons(ctx)
}

func (b *bench) localSeasons(ctx context.Context) error {
	size := []string{"-args", "-local.members", strconv.Itoa(b.size.members)}
	found, err := b.goBench(ctx, "./internal/localstore", "^BenchmarkSeasonEnd$", strconv.Itoa(seasonRounds)+"x", size...)
	if err != nil {
		return err
	}
	v, err := found.get("SeasonEnd", "end-ms", "final-ms", "longest-submit-ms", "longest-without-ms", "p99-ms", "p99-without-ms")
	if err != nil {
		return err
	}
	ms := func(v float64) string { return microseconds(1000 * v) }
	b.row(row{what: fmt.Sprintf("end of a season of %s, embedded store: answered", members(b.size.members)), ours: ms(v[0])})
	b.row(row{what: "  until its standing is on the disk", ours: ms(v[1])})
	b.row(row{what: "  longest submit meanwhile", ours: ms(v[2]), yardstick: ms(v[3]) + " without an end", ratio: v[2] / v[3]})
	b.row(row{what: "  p99 of a submit meanwhile", ours: ms(v[4]), yardstick: ms(v[5]) + " without an end", ratio: v[4] / v[5]})
	if found, err = b.goBench(ctx, "./internal/localstore", "^BenchmarkPastSeason$", "100x", size...); err != nil {
		return err
	}
	for _, r := range []struct{ name, what string }{
		{"top", "the first 100"}, {"middle", "100 from anywhere"}, {"entry", "one entry"}, {"around", "around a member"}, {"lookup100", "lookup of 100"},
	} {
		v, err := found.get("PastSeason", r.name+"-µs", r.name+"-ratio")
		if err != nil {
			return err
		}
		b.row(row{what: "past season: " + r.what, ours: microseconds(v[0]), yardstick: microseconds(v[0]/v[1]) + " of the current one", ratio: v[1]})
	}
	v, err = found.get("PastSeason", "KiB-past", "MiB-current")
	if err != nil {
		return err
	}
	b.row(row{
		what: "memory that a past season holds", ours: fmt.Sprintf("%.0f KiB", v[0]), yardstick: fmt.Sprintf("%.1f MiB the current one", v[1]),
		ratio: v[0] / 1024 / v[1],
	})
	return nil
}

func (b *bench) redisSeasons(ctx context.Context) error {
	found, err := b.goBench(ctx, "./internal/redisstore", "^Benchmark(EndOfSeason|PastSeason)$", strconv.Itoa(seasonRounds)+"x",
		"-args", "-redis.spread", "1000000", "-redis.members", strconv.Itoa(b.size.members))
	if err != nil {
		return err
	}
	v, err := found.get("EndOfSeason/members="+strconv.Itoa(b.size.members), "end-ms", "end-pause-ms", "quiet-pause-ms")
	if err != nil {
		return err
	}
	b.row(row{what: fmt.Sprintf("end of a season of %s, store on Redis: answered", members(b.size.members)), ours: microseconds(1000 * v[0])})
	b.row(row{what: "  longest submit meanwhile", ours: microseconds(1000 * v[1]), yardstick: microseconds(1000*v[2]) + " without an end", ratio: v[1] / v[2]})
	for _, r := range []struct{ name, what string }{{"page", "50 from anywhere"}, {"lookup", "one entry"}} {
		v, err := found.get("PastSeason/"+r.name, "past-reads/s", "current-reads/s", "ratio")
		if err != nil {
			return err
		}
		b.row(row{what: "past season: " + r.what, ours: rate(v[0]), yardstick: rate(v[1]) + " of the current one", ratio: v[2]})
	}
	return nil
}
