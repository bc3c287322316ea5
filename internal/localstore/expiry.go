package localstore

import (
	"context"
	"strings"
	"time"

	"laurel/internal/leaderboard"
)

// removes reports whether the step, which was accepted, takes its member off the board.
func (st *step) removes() bool {
	return st.op.Kind == leaderboard.Remove || st.op.Kind == leaderboard.Expire
}

// Expire takes entries off boards that nobody has refreshed; see [leaderboard.Expirer].
// It looks at every board that has some, whether one is due or not.
func (s *Store) Expire(ctx context.Context, now time.Time, limit int) (expired int, next time.Time, err error) {
	s.mu.RLock()
	closed, boards := s.closed, append([]*board(nil), s.aging...)
	s.mu.RUnlock()
	if closed {
		return 0, next, errClosed
	}
	for _, b := range boards {
		ops, due := b.overdue(now, min(limit-expired, leaderboard.MaxBatch))
		if len(ops) > 0 {
			outcome, err := s.Apply(ctx, leaderboard.Batch{Ops: ops, At: now})
			switch leaderboard.CodeOf(err) {
			case leaderboard.CodeBoardNotFound, leaderboard.CodeSeasonEnded:
				continue // it was deleted, or its season closed, in between
			}
			if err != nil {
				return expired, now, err
			}
			for i := range outcome.Results {
				if outcome.Results[i].Accepted {
					expired++
				}
			}
			_, due = b.overdue(now, 0)
		}
		if !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return expired, next, nil
}

// overdue returns operations that expire the first entries that are due, and when the
// first of all is due.
func (b *board) overdue(now time.Time, limit int) (ops []leaderboard.Op, first time.Time) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.deleted || b.run.Closed || b.ages.Len() == 0 { // what has ended stays as it is
		return nil, first
	}
	for i, e := range b.ages.Range(1) {
		if i == 1 {
			first = time.UnixMilli(e.Score).Add(b.settings.TTL()).UTC()
		}
		if len(ops) >= limit || !b.settings.Expired(e.Score, now.UnixMilli()) {
			break
		}
		ops = append(ops, leaderboard.Op{Board: b.settings.ID, Kind: leaderboard.Expire, Member: strings.Clone(e.Member)})
	}
	return ops, first
}
