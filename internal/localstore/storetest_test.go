package localstore_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
	"laurel/internal/localstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(tb testing.TB, dir string) storetest.Store {
		s, err := localstore.Open(tb.Context(), dir, localstore.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}

// TestFinalSeasonsKeepTheContract has no read before the seasons that have ended are
// final.
func TestFinalSeasonsKeepTheContract(t *testing.T) {
	storetest.Run(t, func(tb testing.TB, dir string) storetest.Store {
		s, err := localstore.Open(tb.Context(), dir, localstore.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		return finished{s}
	})
}

// finished is a store whose reads wait for what it does in the background.
type finished struct{ *localstore.Store }

func (s finished) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	localstore.AwaitFinal(s.Store)
	return s.Store.Entries(ctx, at, r)
}

func (s finished) Around(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error) {
	localstore.AwaitFinal(s.Store)
	return s.Store.Around(ctx, at, member, limit)
}

func (s finished) Lookup(ctx context.Context, at leaderboard.Ref, members []string) (leaderboard.Page, error) {
	localstore.AwaitFinal(s.Store)
	return s.Store.Lookup(ctx, at, members)
}
