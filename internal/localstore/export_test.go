package localstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
)

// AwaitFinal waits until all seasons are final but those that may get late scores, or until
// the store is closed.
func AwaitFinal(s *Store) {
	for f := s.finisher; ; runtime.Gosched() {
		f.mu.Lock()
		busy := len(f.of) > len(f.waiting)
		f.mu.Unlock()
		select {
		case <-f.quit:
			return
		default:
		}
		if !busy {
			return
		}
	}
}

// Unfinished returns how many seasons are not final.
func Unfinished(s *Store) int { return s.finisher.left() }

// PastBytes returns how much memory past seasons take, which are final: that of the
// directories that are held.
func PastBytes(s *Store) int {
	s.directories.mu.Lock()
	defer s.directories.mu.Unlock()
	return s.directories.bytes
}

// Fill makes a store in dir with one board of n entries, past the committer and so
// without its cost.
func Fill(ctx context.Context, dir string, n int) error {
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	if _, err := s.CreateBoard(ctx, leaderboard.Board{ID: "race"}.WithDefaults()); err != nil {
		return err
	}
	b := s.boards["race"]
	st := b.state
	rng := rand.New(rand.NewPCG(1, 2))
	batch := s.disk.db.NewBatch()
	var key, value []byte
	for i := range n {
		st.rev++
		key = appendEntryKey(key[:0], st.number, st.season(), fmt.Sprintf("player-%010d", i))
		value = appendEntry(value[:0], rng.Int64N(1e6), st.rev, st.rev, int64(1.7e12)+int64(i), nil)
		if err := batch.Set(key, value, nil); err != nil {
			return err
		}
		if batch.Len() > 1<<20 {
			if err := batch.Commit(pebble.NoSync); err != nil {
				return err
			}
			batch = s.disk.db.NewBatch()
		}
	}
	st.total = n
	if err := batch.Set(appendBoardKey(nil, "race"), appendState(nil, &st), nil); err != nil {
		return err
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return err
	}
	return s.Close()
}
