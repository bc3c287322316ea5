package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"laurel/internal/leaderboard"
)

// memberShape is what a test reads of a member's entries.
type memberShape struct {
	Member  string
	Entries []struct {
		Member, Board string
		Rank, Total   int
		Percentile    float64
	}
	NextCursor string `json:"next_cursor"`
}

func TestAMemberOverAllItsBoards(t *testing.T) {
	s := newServer(t)
	var want []string
	for i := range 10 {
		board := fmt.Sprintf("b%d", i)
		s.must("PUT", "/v1/leaderboards/"+board+"/entries/other", `{"score":1}`)
		if i%3 == 0 {
			s.must("PUT", "/v1/leaderboards/"+board+"/entries/a%2Fb", fmt.Sprintf(`{"score":%d}`, i%2*9))
			want = append(want, fmt.Sprintf("%s: %d of 2, above %d %%", board, 2-i%2, i%2*100))
		}
	}
	for _, limit := range []int{1, 3, 4, 10, 1000} {
		var got []string
		requests := 0
		for cursor := ""; ; requests++ {
			path := fmt.Sprintf("/v1/members/a%%2Fb?limit=%d", limit)
			if cursor != "" {
				path += "&cursor=" + url.QueryEscape(cursor)
			}
			page := decode[memberShape](t, s.must("GET", path, ""))
			for _, e := range page.Entries {
				got = append(got, fmt.Sprintf("%s: %d of %d, above %g %%", e.Board, e.Rank, e.Total, e.Percentile))
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
			s.checkProblem(t, "cursor of another member", s.send("GET", "/v1/members/other?cursor="+url.QueryEscape(cursor), ""), codeInvalidCursor)
		}
		if !slices.Equal(got, want) || requests != (10+limit-1)/limit-1 {
			t.Errorf("by %d boards: %q after %d further requests, want %q", limit, got, requests, want)
		}
	}
	if got := s.send("GET", "/v1/members/nobody", "", "X-API-Key", ""); got.status != http.StatusOK || len(decode[memberShape](t, got).Entries) != 0 {
		t.Errorf("nobody = %d %s", got.status, got.body)
	}
	s.checkProblem(t, "limit", s.send("GET", "/v1/members/a?limit=1001", ""), leaderboard.CodeInvalidLimit)
	s.checkProblem(t, "member", s.send("GET", "/v1/members/%01", ""), leaderboard.CodeInvalidMember)
}
