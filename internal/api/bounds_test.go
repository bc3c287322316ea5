package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestBoundsAreSettings(t *testing.T) {
	s := newServer(t)
	created := s.must("POST", "/v1/leaderboards", `{"id":"b","decimals":2,"min_score":-0.50,"max_score":1e2,"max_step":null}`)
	if !strings.Contains(created.body, `"min_score":-0.5,"max_score":100,`) || strings.Contains(created.body, "max_step") {
		t.Errorf("created: %s", created.body)
	}
	patched := s.must("PATCH", "/v1/leaderboards/b", `{"max_step":2.25,"max_score":null}`)
	if !strings.Contains(patched.body, `"min_score":-0.5,"max_step":2.25,`) || strings.Contains(patched.body, "max_score") {
		t.Errorf("patched: %s", patched.body)
	}
	for body, code := range map[string]string{
		`{"min_score":"1"}`:                      "invalid_json",
		`{"min_score":true}`:                     "invalid_json",
		`{"min_score":0.125}`:                    "invalid_board",
		`{"min_score":0.00000001}`:               "invalid_board",
		`{"max_score":-1}`:                       "invalid_board",
		`{"max_score":1e300}`:                    "invalid_board",
		`{"max_step":0}`:                         "invalid_board",
		`{"min_score":1,"min_score":2}`:          "invalid_json",
		`{"min_score":5,"max_score":4,"top":10}`: "invalid_board",
	} {
		if got := s.send("PATCH", "/v1/leaderboards/b", body); got.status != http.StatusBadRequest || string(decode[problem](t, got).Code) != code {
			t.Errorf("%s: %d %s, want the code %s", body, got.status, got.body, code)
		}
	}
	if now := s.must("GET", "/v1/leaderboards/b", ""); now.body != patched.body {
		t.Errorf("after what was refused: %s, want %s", now.body, patched.body)
	}
}

func TestARefusalNamesTheBoundAndTheMember(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b","decimals":1,"min_score":-1.5,"max_score":10,"max_step":5}`)
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"alice","score":5}`)
	for _, c := range []struct{ method, path, body, code string }{
		{"POST", "/scores", `{"member":"bob","score":-1.6}`, "score_below_minimum"},
		{"POST", "/scores", `{"member":"alice","score":5.1}`, "score_above_maximum"},
		{"POST", "/scores", `{"member":"alice","score":-5.1}`, "step_too_large"},
		{"PUT", "/entries/alice", `{"score":-2}`, "score_below_minimum"},
	} {
		got := s.send(c.method, "/v1/leaderboards/b"+c.path, c.body)
		p := decode[problem](t, got)
		if got.status != http.StatusUnprocessableEntity || string(p.Code) != c.code || p.Member == "" || p.Index != nil {
			t.Errorf("%s %s: %d %s", c.method, c.body, got.status, got.body)
		}
	}
	got := s.send("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"alice","score":1},{"member":"bob","score":9}]}`)
	if p := decode[problem](t, got); p.Code != "step_too_large" || p.Index == nil || *p.Index != 1 || p.Member != "bob" {
		t.Errorf("batch: %s", got.body)
	}
	if now := s.must("GET", "/v1/leaderboards/b/entries", ""); !strings.Contains(now.body, `"rev":2,`) {
		t.Errorf("after what was refused: %s", now.body)
	}
	s.must("PUT", "/v1/leaderboards/b/entries/alice", `{"score":-1}`) // a correction steps as far as it likes
}
