package daemon

import (
	"context"
	"log/slog"
	"time"

	"laurel/internal/leaderboard"
)

const (
	expireEvery  = time.Second // at the most: an entry lives for a second at the least, so none is much overdue
	expireAtOnce = 1000        // entries, so that writers need not wait long
)

// expire takes entries off their boards that nobody has refreshed, until the
// context ends. Every node does so; an expiry is made once all the same. While the
// store takes no writes, it waits.
func expire(ctx context.Context, store leaderboard.Expirer, log *slog.Logger) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := time.Now()
		expired, next, err := store.Expire(ctx, now, expireAtOnce)
		wait := expireEvery
		switch code := leaderboard.CodeOf(err); {
		case ctx.Err() != nil:
			return nil
		case err != nil && code != leaderboard.CodeStorageUnavailable && code != leaderboard.CodeShuttingDown:
			log.Error("entries cannot expire", "error", err)
		case err != nil: // the store tells of it
		case expired > 0 && !next.After(now) && !next.IsZero():
			wait = 0
		case next.After(now):
			wait = min(wait, next.Sub(now))
		}
		timer.Reset(wait)
	}
}
