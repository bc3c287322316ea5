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

func TestPercentileOfAPageCountsMembersWhateverTheRankStyle(t *testing.T) {
	// Of six members, one has a better score than the three that are equal.
	for style, e := range map[leaderboard.RankStyle]leaderboard.Entry{
		leaderboard.Ordinal:     {Rank: 2},
		leaderboard.Competition: {Rank: 2},
		leaderboard.Dense:       {Rank: 2, Better: 1},
	} {
		page := leaderboard.Page{View: leaderboard.View{Board: leaderboard.Board{RankStyle: style}, Total: 6}}
		if got := page.Percentile(e); got != 80 {
			t.Errorf("%s: percentile = %v, want 80", style, got)
		}
	}
	// And the last of them, whom four members surpass by two scores.
	page := leaderboard.Page{View: leaderboard.View{Board: leaderboard.Board{RankStyle: leaderboard.Dense}, Total: 6}}
	if got := page.Percentile(leaderboard.Entry{Rank: 3, Better: 4}); got != 20 {
		t.Errorf("percentile = %v, want 20", got)
	}
}

func TestPositionIsWhatOrdersEntries(t *testing.T) {
	e := leaderboard.Entry{Member: "alice", Score: -5, Rank: 3, Seq: 7}
	if got, want := e.Position(), (leaderboard.Position{Score: -5, Seq: 7}); got != want {
		t.Errorf("Position = %v, want %v", got, want)
	}
}
