package redisstore

import (
	"context"
	"math"
	"strconv"
	"time"

	"laurel/internal/leaderboard"
)

// boardsAtOnce is how many boards of a partition are looked at for entries that are due.
const boardsAtOnce = 100

// Expire takes entries off boards that nobody has refreshed; see [leaderboard.Expirer].
// Each partition has its boards in the order of when they are due, and each of
// these has its entries in that order, so nothing is looked at that is not due. What
// many nodes find at the same time, the script that does it takes off once.
func (s *Store) Expire(ctx context.Context, now time.Time, limit int) (expired int, next time.Time, err error) {
	if s.isClosed() {
		return 0, next, errClosed
	}
	for _, p := range s.parts {
		n, first, err := p.expire(ctx, now, limit-expired)
		expired += n
		if err != nil {
			return expired, now, s.fault(ctx, err)
		}
		if !first.IsZero() && (next.IsZero() || first.Before(next)) {
			next = first
		}
	}
	return expired, next, nil
}

func (p *partition) expire(ctx context.Context, now time.Time, limit int) (expired int, next time.Time, err error) {
	limited, cancel := context.WithTimeout(ctx, p.store.opts.Timeout)
	defer cancel()
	client := p.store.client
	boards, err := client.Do(limited, client.B().Zrange().Key(p.expiring).Min("0").Max(strconv.Itoa(boardsAtOnce-1)).Withscores().Build()).AsZScores()
	if err != nil {
		return 0, next, err
	}
	if len(boards) == 0 {
		return 0, next, nil
	}
	for i, b := range boards {
		due := time.UnixMilli(int64(b.Score)).UTC()
		if due.After(now) && i == 0 {
			return 0, due, nil
		}
		if due.After(now) {
			break
		}
		if expired >= limit {
			return expired, now, nil
		}
		n, err := p.expireOf(ctx, b.Member, now, min(limit-expired, leaderboard.MaxBatch))
		expired += n
		if err != nil {
			return expired, now, err
		}
	}
	// What is left of those that were due, or behind them, is another now.
	left, err := client.Do(limited, client.B().Zrange().Key(p.expiring).Min("0").Max("0").Withscores().Build()).AsZScores()
	if err != nil || len(left) == 0 {
		return expired, next, err
	}
	return expired, time.UnixMilli(int64(left[0].Score)).UTC(), nil
}

// expireOf takes the first entries that are due off a board.
func (p *partition) expireOf(ctx context.Context, id string, now time.Time, limit int) (expired int, err error) {
	view, err := p.store.Board(ctx, id)
	if leaderboard.CodeOf(err) == leaderboard.CodeBoardNotFound {
		return 0, nil // it was deleted in between
	}
	if err != nil {
		return 0, err
	}
	client, latest := p.store.client, strconv.FormatInt(now.Add(-view.Board.TTL()).UnixMilli(), 10)
	members, err := client.Do(ctx, client.B().Zrangebyscore().Key(p.ages(id)).Min("-inf").Max(latest).Limit(0, int64(min(limit, math.MaxInt32))).Build()).AsStrSlice()
	if err != nil || len(members) == 0 {
		return 0, err
	}
	batch := leaderboard.Batch{At: now}
	for _, member := range members {
		batch.Ops = append(batch.Ops, leaderboard.Op{Board: id, Kind: leaderboard.Expire, Member: member})
	}
	outcome, err := p.store.Apply(ctx, batch)
	switch leaderboard.CodeOf(err) {
	case leaderboard.CodeBoardNotFound, leaderboard.CodeSeasonEnded:
		return 0, nil // it was deleted, or its season closed, in between
	}
	for i := range outcome.Results {
		if outcome.Results[i].Accepted {
			expired++
		}
	}
	return expired, err
}
