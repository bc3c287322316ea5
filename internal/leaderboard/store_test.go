package leaderboard_test

import (
	"testing"

	"laurel/internal/leaderboard"
)

func TestPercentile(t *testing.T) {
	for _, test := range []struct {
		rank, total int
		want        float64
	}{
		{1, 0, 100}, {1, 1, 100}, {1, 2, 100}, {2, 2, 0}, {1, 5, 100}, {2, 5, 75}, {3, 5, 50}, {5, 5, 0}, {1, 1000, 100}, {1000, 1000, 0}, {112, 1000, 100 * 888.0 / 999},
	} {
		if got := leaderboard.Percentile(test.rank, test.total); got != test.want {
			t.Errorf("Percentile(%d, %d) = %v, want %v", test.rank, test.total, got, test.want)
		}
	}
}

func TestPositionIsWhatOrdersEntries(t *testing.T) {
	e := leaderboard.Entry{Member: "alice", Score: -5, Rank: 3, Seq: 7}
	if got, want := e.Position(), (leaderboard.Position{Score: -5, Seq: 7}); got != want {
		t.Errorf("Position = %v, want %v", got, want)
	}
}
