package redisstore

import (
	"context"
	"errors"

	"laurel/internal/leaderboard"
)

// Steps is a batch over several partitions that is carried out step by step.
type Steps struct{ b *spread }

// Steps prepares nothing yet.
func (s *Store) Steps(batch leaderboard.Batch) *Steps {
	b, err := s.newSpread(batch)
	if err != nil {
		panic(err) // a season is due
	}
	return &Steps{b}
}

// Parts is how many partitions the batch is over.
func (s *Steps) Parts() int { return len(s.b.parts) }

// Home is the partition where the batch is decided.
func (s *Steps) Home() int { return s.b.parts[0].partition.n }

// Lock names the batch.
func (s *Steps) Lock() string { return s.b.lock }

// Keys returns the key of a part's intent, and that of the state of its first board.
func (s *Steps) Keys(i int) (intent, state string) {
	part := s.b.parts[i]
	return part.partition.intent(s.b.lock), part.keys[0]
}

// Prepare writes a part down.
func (s *Steps) Prepare(ctx context.Context, i int) error { return s.b.prepare(ctx, i, s.b.lock) }

// Finish carries out a part, the first after deciding so. It returns whether it was carried out.
func (s *Steps) Finish(ctx context.Context, i int) (bool, error) {
	answer, err := s.b.finish(ctx, i, "C")
	return answer != "A", err
}

// Forget is the last step.
func (s *Steps) Forget(ctx context.Context) error { return s.b.store.forget(ctx, s.b.lock) }

// GivenUp reports whether a part could not be prepared as the batch has ended.
func GivenUp(err error) bool { return errors.Is(err, errGivenUp) }

// Partition returns the partition of a board.
func (s *Store) Partition(board string) int { return s.partition(board).n }
