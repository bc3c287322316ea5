package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"laurel/internal/leaderboard"
)

// selectionShape is what a test reads of a lookup.
type selectionShape struct {
	Entries []struct {
		Member     string
		Rank       int
		Position   int
		Percentile float64
	}
	NotFound []string `json:"not_found"`
	Rev      uint64
	Total    int
}

func (s selectionShape) lines() (lines []string) {
	for _, e := range s.Entries {
		lines = append(lines, fmt.Sprintf("%d. %s is number %d, above %g %%", e.Position, e.Member, e.Rank, e.Percentile))
	}
	return lines
}

func TestLookupPutsMembersInTheBoardsOrder(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b","rank_style":"competition","ties":"latest"}`)
	s.must("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"a","score":9},{"member":"b","score":5},{"member":"c","score":5},{"member":"d","score":5},{"member":"e","score":1}]}`)
	got := s.send("POST", "/v1/leaderboards/b/entries/lookup", `{"members":["e","b","x","c","d","y","b","x"]}`, "X-API-Key", "")
	if got.status != http.StatusOK {
		t.Fatalf("lookup without a key = %d %s", got.status, got.body)
	}
	found := decode[selectionShape](t, got)
	want := []string{"1. d is number 2, above 75 %", "2. c is number 2, above 75 %", "3. b is number 2, above 75 %", "4. e is number 5, above 0 %"}
	if lines := found.lines(); !slices.Equal(lines, want) || !slices.Equal(found.NotFound, []string{"x", "y"}) || found.Rev != 6 || found.Total != 5 {
		t.Errorf("lookup = %q and %+v, want %q", lines, found, want)
	}
	if got := s.must("POST", "/v1/leaderboards/b/entries/lookup", `{"members":["x"]}`).body; !json.Valid([]byte(got)) {
		t.Errorf("nobody found: %s", got)
	}
}

func TestLookupTakesAsManyAsItSays(t *testing.T) {
	s := newServer(t)
	s.must("PUT", "/v1/leaderboards/b/entries/m", `{"score":1}`)
	names := func(n int) string {
		list := []string{"m"}
		for i := 1; i < n; i++ {
			list = append(list, fmt.Sprint("m", i))
		}
		text, err := json.Marshal(map[string]any{"members": list})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	found := decode[selectionShape](t, s.must("POST", "/v1/leaderboards/b/entries/lookup", names(1000)))
	if len(found.Entries) != 1 || len(found.NotFound) != 999 {
		t.Errorf("%d found and %d not, want 1 and 999", len(found.Entries), len(found.NotFound))
	}
	s.checkProblem(t, "1001", s.send("POST", "/v1/leaderboards/b/entries/lookup", names(1001)), leaderboard.CodeBatchTooLarge)
	for body, code := range map[string]leaderboard.Code{
		`{}`:                     leaderboard.CodeEmptyBatch,
		`{"members":[]}`:         leaderboard.CodeEmptyBatch,
		`{"members":null}`:       codeInvalidJSON,
		`{"members":["a",5]}`:    codeInvalidJSON,
		`{"members":["a",""]}`:   leaderboard.CodeInvalidMember,
		`{"member":["a"]}`:       codeUnknownField,
		`{"members":["a"]} null`: codeInvalidJSON,
	} {
		s.checkProblem(t, body, s.send("POST", "/v1/leaderboards/b/entries/lookup", body), code)
	}
	wrong := decode[problem](t, s.send("POST", "/v1/leaderboards/b/entries/lookup", `{"members":["a","b",""]}`))
	if wrong.Field != "members" || wrong.Index == nil || *wrong.Index != 2 {
		t.Errorf("problem = %+v, want index 2 of members", wrong)
	}
}
