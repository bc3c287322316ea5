package api

import (
	"fmt"
	"net/url"
	"slices"
	"testing"

	"laurel/internal/leaderboard"
)

func TestPagesAroundAScoreAndOfAShare(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b","decimals":1}`)
	for i := range 11 {
		s.must("PUT", fmt.Sprintf("/v1/leaderboards/b/entries/m%02d", i), fmt.Sprintf(`{"score":%d.5}`, 10-i))
	}
	read := func(query string) entries {
		t.Helper()
		return decode[entries](t, s.must("GET", "/v1/leaderboards/b/entries?"+query, ""))
	}
	for query, want := range map[string][]string{
		"around_score=7.5&limit=2":   {"m03", "m04"},
		"around_score=7.4&limit=2":   {"m03", "m04"},
		"around_score=7.6&limit=2":   {"m02", "m03"},
		"around_score=75e-1&limit=2": {"m03", "m04"},
		"around_score=-9&limit=1":    {"m10"},
		"around_score=99&limit=1":    {"m00"},
		"top_percent=9":              {"m00"},
		"top_percent=9.090909":       {"m00"},
		"top_percent=9.090910":       {"m00", "m01"}, // more than 1 of 11
		"top_percent=20&offset=1":    {"m01", "m02"},
		"top_percent=1e1&limit=1":    {"m00"},
	} {
		if got := read(query).members(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}

	first := read("top_percent=20&limit=2")
	cursor := url.QueryEscape(first.NextCursor)
	for _, query := range []string{"cursor=" + cursor, "top_percent=20.00&cursor=" + cursor} {
		rest := read(query)
		if got := append(first.members(), rest.members()...); !slices.Equal(got, []string{"m00", "m01", "m02"}) || rest.NextCursor != "" {
			t.Errorf("%s: pages of the first 20 %% are %q, then %q", query, got, rest.NextCursor)
		}
	}
	whole := url.QueryEscape(read("limit=2").NextCursor)
	for query, code := range map[string]leaderboard.Code{
		"around_score=":                            leaderboard.CodeInvalidScore,
		"around_score=x":                           leaderboard.CodeInvalidScore,
		"around_score=7.55":                        leaderboard.CodeTooManyDecimals,
		"around_score=1e15":                        leaderboard.CodeScoreOutOfRange,
		"around_score=1&offset=0":                  codeBadRequest,
		"around_score=1&top_percent=5":             codeBadRequest,
		"around_score=1&cursor=" + whole:           codeBadRequest,
		"around_score=1&limit=0":                   leaderboard.CodeInvalidLimit,
		"top_percent=0":                            leaderboard.CodeInvalidLimit,
		"top_percent=-1":                           leaderboard.CodeInvalidLimit,
		"top_percent=100.000001":                   leaderboard.CodeInvalidLimit,
		"top_percent=x":                            leaderboard.CodeInvalidLimit,
		"top_percent=9.0909091":                    leaderboard.CodeInvalidLimit,
		"top_percent=21&cursor=" + cursor:          codeInvalidCursor,
		"top_percent=20&cursor=" + whole:           codeInvalidCursor,
		"top_percent=20&offset=1&cursor=" + cursor: codeBadRequest,
	} {
		s.checkProblem(t, query, s.send("GET", "/v1/leaderboards/b/entries?"+query, ""), code)
	}
}
