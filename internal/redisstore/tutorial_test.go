package redisstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"

	"laurel/internal/redistest"
)

// wholeBoard does for each score what Centrifugo's leaderboard tutorial has
// Redis do: add to the member, number the change, read the whole board, encode
// it as one publication, and append that to a stream which keeps about the last
// ten thousand.
//
//	KEYS: board (ZSET), state (HASH), stream
//	ARGV: member, points, channel
var wholeBoard = rueidis.NewLuaScript(`
redis.call('ZINCRBY', KEYS[1], ARGV[2], ARGV[1])
if redis.call('HSETNX', KEYS[2], 'epoch', redis.call('TIME')[1]) == 1 then
  redis.call('HSET', KEYS[2], 'version', 0)
end
local version = redis.call('HINCRBY', KEYS[2], 'version', 1)
redis.call('EXPIRE', KEYS[2], 86400)
local flat = redis.call('ZREVRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local rows = {}
for i = 1, #flat, 2 do
  rows[#rows + 1] = {name = flat[i], score = tonumber(flat[i + 1])}
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'method', 'publish', 'payload', cjson.encode({
  channel = ARGV[3],
  data = {leaders = rows},
  version = version,
  version_epoch = redis.call('HGET', KEYS[2], 'epoch'),
}))
return version
`)

// BenchmarkWholeBoard measures the scores a second of a script that publishes
// the whole board on every change, by the size of the board.
func BenchmarkWholeBoard(b *testing.B) {
	for _, members := range []int{5, 100, 1000, 10_000} {
		b.Run("members="+strconv.Itoa(members), func(b *testing.B) {
			client := redistest.Start(b).Client(b)
			fill(b, client, "leaderboard", members)
			keys := []string{"leaderboard", "leaderboard-state", "leaderboard-stream"}
			inParallel(b, 64, func(ctx context.Context, rng *rand.Rand) error {
				args := []string{member(rng.IntN(members)), strconv.Itoa(1 + rng.IntN(10)), "leaderboard"}
				return wholeBoard.Exec(ctx, client, keys, args).Error()
			})
		})
	}
}

// inParallel shares b's operations among so many writers and reports how many
// they do in a second.
func inParallel(b *testing.B, writers int, op func(context.Context, *rand.Rand) error) {
	b.Helper()
	var done atomic.Int64
	var wg sync.WaitGroup
	work := make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range work {
				if err := op(b.Context(), rng); err != nil {
					b.Error(err)
				}
				done.Add(1)
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(done.Load())/b.Elapsed().Seconds(), "scores/s")
}

// member returns the id of the member of a number.
func member(n int) string { return fmt.Sprintf("member-%07d", n) }

// fill makes a ZSET of so many members.
func fill(b *testing.B, client rueidis.Client, key string, members int) {
	b.Helper()
	for at := 0; at < members; {
		add := client.B().Zadd().Key(key).ScoreMember()
		for range min(1000, members-at) {
			add = add.ScoreMember(float64(at%1000), member(at))
			at++
		}
		if err := client.Do(b.Context(), add.Build()).Error(); err != nil {
			b.Fatal(err)
		}
	}
}
