package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
)

// topMembers is how many members of a board stand so far above the others that
// they are its top for good: as many as viewers are sent.
const topMembers = leaderboard.DefaultTop

func memberName(i int) string { return fmt.Sprintf("player-%08d", i) }

// fillScore gives the first members the top.
func fillScore(rng *rand.Rand, i int) int64 {
	if i < topMembers {
		return 1_000_000_000 + rng.Int64N(1000)
	}
	return rng.Int64N(1_000_000)
}

// fill makes a data directory with boards of so many members. It goes through the
// store, in batches larger than a request may have.
func fill(ctx context.Context, dir string, boards map[string]int) error {
	store, err := localstore.Open(ctx, dir, localstore.Options{})
	if err != nil {
		return err
	}
	for id, n := range boards {
		if err := fillBoard(ctx, store, id, n); err != nil {
			return errors.Join(err, store.Close())
		}
	}
	if err := store.Close(); err != nil {
		return err
	}
	debug.FreeOSMemory() // what is measured next may need it
	return nil
}

func fillBoard(ctx context.Context, store *localstore.Store, id string, n int) error {
	board := leaderboard.Board{ID: id}.WithDefaults()
	board.CreatedAt = time.Now().UTC().Truncate(time.Millisecond)
	if _, err := store.CreateBoard(ctx, board); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	const most = 10_000
	for i := 0; i < n; {
		ops := make([]leaderboard.Op, 0, most)
		for ; i < n && len(ops) < most; i++ {
			ops = append(ops, leaderboard.Op{Board: id, Member: memberName(i), Score: leaderboard.ScaledDecimal(fillScore(rng, i), 0)})
		}
		if _, err := store.Apply(ctx, leaderboard.Batch{Ops: ops, At: time.Now()}); err != nil {
			return err
		}
	}
	return nil
}
