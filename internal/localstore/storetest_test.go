package localstore_test

import (
	"testing"

	"go.uber.org/goleak"

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
