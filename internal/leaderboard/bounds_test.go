package leaderboard_test

import (
	"encoding/json"
	"testing"

	"laurel/internal/leaderboard"
)

func decimal(t *testing.T, text string) leaderboard.Decimal {
	t.Helper()
	d, err := leaderboard.ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestARefusalNamesTheBoundItsLimitAndTheMember(t *testing.T) {
	board := leaderboard.Board{
		ID: "b", Decimals: 1,
		MinScore: leaderboard.BoundOf(decimal(t, "-1.5")), MaxScore: leaderboard.BoundOf(decimal(t, "10")), MaxStep: leaderboard.BoundOf(decimal(t, "5")),
	}.WithDefaults()
	if err := board.Validate(); err != nil {
		t.Fatal(err)
	}
	five := &leaderboard.Record{Score: 50}
	for _, c := range []struct {
		kind  leaderboard.Kind
		score string
		has   *leaderboard.Record
		want  string
	}{
		{leaderboard.Submit, "-1.6", nil, `member "alice" would have the score -1.6, below the min_score of its board, which is -1.5`},
		{leaderboard.Submit, "5.1", five, `member "alice" would have the score 10.1, above the max_score of its board, which is 10`},
		{leaderboard.Submit, "-5.1", five, `the score of member "alice" would change by -5.1, further than the max_step of its board, which is 5`},
		{leaderboard.Set, "-2", five, `member "alice" would have the score -2, below the min_score of its board, which is -1.5`},
	} {
		_, _, err := board.Decide(leaderboard.Op{Board: "b", Kind: c.kind, Member: "alice", Score: decimal(t, c.score)}, c.has)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.score, err, c.want)
		}
	}
}

func TestBoundsOfAZSETAreRefused(t *testing.T) {
	board := leaderboard.Board{ID: "b", ZSet: "z", MinScore: leaderboard.BoundOf(leaderboard.Decimal{})}.WithDefaults()
	if err := board.Validate(); leaderboard.CodeOf(err) != leaderboard.CodeInvalidBoard {
		t.Errorf("Validate: %v", err)
	}
}

func TestBoundsKeepTheirFormAsJSON(t *testing.T) {
	board := leaderboard.Board{ID: "b", Decimals: 2, MinScore: leaderboard.BoundOf(decimal(t, "-0.25")), MaxStep: leaderboard.BoundOf(decimal(t, "1e3"))}.WithDefaults()
	text, err := json.Marshal(board)
	if err != nil {
		t.Fatal(err)
	}
	var back leaderboard.Board
	if err := json.Unmarshal(text, &back); err != nil || back != board {
		t.Errorf("%s is read as %+v (%v)", text, back, err)
	}
	if text, err := json.Marshal(leaderboard.Board{}.MinScore); err != nil || string(text) != "null" {
		t.Errorf("no bound is written as %s (%v)", text, err)
	}
}
