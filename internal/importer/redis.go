package importer

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/redisconn"
)

// ZSet is a sorted set in a Redis, of any program.
type ZSet struct {
	Redis redisconn.Config
	Key   string

	// Reverse reads from the highest score to the lowest, and equal ones from the
	// last name to the first, as ZREVRANGE does.
	Reverse bool

	// Podium says that it is a leaderboard of Podium, whose id is the key: members
	// whose time in KEY:ttl has passed, which Podium is about to remove, are left out.
	Podium bool
}

const pageSize = 1000

// Entries reads the members from place skip on, a page at a time: in a set
// that changes meanwhile, some may be missing and some come twice.
func (z ZSet) Entries(ctx context.Context, skip int) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		client, err := z.Redis.Dial()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer client.Close()
		kind, err := client.Do(ctx, client.B().Type().Key(z.Key).Build()).ToString()
		if err == nil && kind != "zset" {
			err = fmt.Errorf("it is a %s, not a sorted set", kind)
			if kind == "none" {
				err = fmt.Errorf("there is no such key")
			}
		}
		if err != nil {
			yield(Entry{}, fmt.Errorf("key %q: %w", z.Key, err))
			return
		}
		var text []byte
		for at := skip; ; {
			page, err := z.page(ctx, client, at)
			if err != nil {
				yield(Entry{}, fmt.Errorf("key %q: %w", z.Key, err))
				return
			}
			gone, err := z.expired(ctx, client, page)
			if err != nil {
				yield(Entry{}, fmt.Errorf("key %q: %w", z.Key+":ttl", err))
				return
			}
			for i, m := range page {
				at++
				if gone[i] {
					continue
				}
				if math.IsInf(m.Score, 0) {
					err = fmt.Errorf("its score is %v", m.Score)
				} else {
					text, err = appendEntry(text[:0], m.Member, strconv.FormatFloat(m.Score, 'f', -1, 64), "")
				}
				if err != nil {
					yield(Entry{}, fmt.Errorf("member %.40q: %w", m.Member, err))
					return
				}
				if !yield(Entry{at, text}, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

func (z ZSet) page(ctx context.Context, client rueidis.Client, at int) ([]rueidis.ZScore, error) {
	from, to := int64(at), int64(at+pageSize-1)
	cmd := client.B().Zrange().Key(z.Key).Min(strconv.FormatInt(from, 10)).Max(strconv.FormatInt(to, 10)).Withscores().Build()
	if z.Reverse {
		cmd = client.B().Zrevrange().Key(z.Key).Start(from).Stop(to).Withscores().Build()
	}
	return client.Do(ctx, cmd).AsZScores()
}

// expired tells which members of a page Podium counts as gone.
func (z ZSet) expired(ctx context.Context, client rueidis.Client, page []rueidis.ZScore) ([]bool, error) {
	gone := make([]bool, len(page))
	if !z.Podium || len(page) == 0 {
		return gone, nil
	}
	cmds := make([]rueidis.Completed, len(page))
	for i, m := range page {
		cmds[i] = client.B().Zscore().Key(z.Key + ":ttl").Member(m.Member).Build()
	}
	now := float64(time.Now().Unix())
	for i, answer := range client.DoMulti(ctx, cmds...) {
		end, err := answer.AsFloat64()
		switch {
		case rueidis.IsRedisNil(err): // it has no end
		case err != nil:
			return nil, err
		default:
			gone[i] = end <= now
		}
	}
	return gone, nil
}
