package localstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
)

// InSmallParts has final standings written by a block for each commit from now on, until
// what is returned is called. No store may be open at either moment.
func InSmallParts() (restore func()) {
	was := finalBytes
	finalBytes = 1
	return func() { finalBytes = was }
}

// AwaitFinalOrTrouble is AwaitFinal, but ends when writes are refused, too.
func AwaitFinalOrTrouble(s *Store) {
	for s.finisher.busy() && s.Writable() == nil {
		runtime.Gosched()
	}
}

// AwaitFinal waits until all seasons are final but those that may get late scores, or until
// the store is closed.
func AwaitFinal(s *Store) {
	for s.finisher.busy() {
		runtime.Gosched()
	}
}

// busy reports whether there are seasons that could be final, and are not.
func (f *finisher) busy() bool {
	select {
	case <-f.quit:
		return false
	default:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.of) > len(f.waiting)
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

// RankBytes is how much memory the ranks of all boards take, and those of past seasons
// that are not final.
func RankBytes(s *Store) int { return s.rankBytes() }
