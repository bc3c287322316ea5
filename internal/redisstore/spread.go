package redisstore

import (
	"context"

	"laurel/internal/leaderboard"
)

// begin counts something that Close is to wait for, unless it is too late.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return false
	}
	s.batches.Add(1)
	return true
}

// Apply carries out the operations of a batch in their order, all or none.
func (s *Store) Apply(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	if s.isClosed() {
		return leaderboard.Outcome{}, errClosed
	}
	if err := ctx.Err(); err != nil || len(batch.Ops) == 0 {
		return leaderboard.Outcome{}, err
	}
	return s.partition(batch.Ops[0].Board).apply(ctx, batch)
}

// errLocked says that a board is locked, as one is by a batch over several partitions.
var errLocked = unavailable("a board is locked by a batch over several partitions, which this version does not know", nil)

func (p *partition) unlock(context.Context, string, int) error { return errLocked }

func (p *partition) readable(_ context.Context, lock string) (bool, error) {
	if lock != "" {
		return false, errLocked
	}
	return true, nil
}
