package api

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"laurel/internal/leaderboard"
)

func TestTooManySubmitsAreTold(t *testing.T) {
	s := newServer(t)
	created := s.must("POST", "/v1/leaderboards", `{"id":"b","submits_per_minute":2}`)
	if !strings.Contains(created.body, `"submits_per_minute":2,`) {
		t.Errorf("created: %s", created.body)
	}
	s.must("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"a","score":1},{"member":"a","score":1}]}`)
	got := s.send("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"b","score":1},{"member":"a","score":1}]}`)
	p := decode[problem](t, got)
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	if got.status != http.StatusTooManyRequests || string(p.Code) != "too_many_submits" || p.Index == nil || *p.Index != 1 || p.Member != "a" || err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("%d %s, Retry-After: %s", got.status, got.body, got.header.Get("Retry-After"))
	}
	s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":9}`)
	patched := s.must("PATCH", "/v1/leaderboards/b", `{"submits_per_minute":0}`)
	if strings.Contains(patched.body, "submits_per_minute") {
		t.Errorf("patched: %s", patched.body)
	}
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"a","score":1}`)
	for _, body := range []string{`{"submits_per_minute":-1}`, `{"submits_per_minute":10001}`} {
		s.checkProblem(t, body, s.send("PATCH", "/v1/leaderboards/b", body), leaderboard.CodeInvalidBoard)
	}
}
