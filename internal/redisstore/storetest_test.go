package redisstore_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
	"laurel/internal/redisconn"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client of a cluster lets go of connections, and looks for servers again, some seconds later.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

func TestStoreKeepsTheContract(t *testing.T) {
	server := redistest.Start(t)
	for _, partitions := range []int{1, 8} {
		t.Run(fmt.Sprintf("%d partitions", partitions), func(t *testing.T) {
			storetest.Run(t, opener(t, server.URL(), partitions))
		})
	}
}

func TestStoreKeepsTheContractWithSentinels(t *testing.T) {
	storetest.Run(t, opener(t, redistest.StartSentinel(t).URL(), 8))
}

func TestStoreKeepsTheContractOnACluster(t *testing.T) {
	storetest.Run(t, opener(t, redistest.StartCluster(t).URL(), 8))
}

// opener opens stores on one Redis, which a directory gives a prefix each.
func opener(t *testing.T, url string, partitions int) storetest.Opener {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	return func(tb testing.TB, dir string) storetest.Store {
		tb.Helper()
		sum := sha1.Sum([]byte(dir))
		s, err := redisstore.Open(tb.Context(), redisstore.Options{
			Redis: config, Prefix: "t" + hex.EncodeToString(sum[:8]), Partitions: partitions,
		})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	}
}

// createBoard creates a board with the defaults.
func createBoard(tb testing.TB, s leaderboard.Store, id string) {
	tb.Helper()
	board := leaderboard.Board{ID: id, CreatedAt: time.Now().UTC().Truncate(time.Millisecond)}.WithDefaults()
	if _, err := s.CreateBoard(tb.Context(), board); err != nil {
		tb.Fatal(err)
	}
}
