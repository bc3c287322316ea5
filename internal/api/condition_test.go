package api

import (
	"net/http"
	"strings"
	"testing"

	"laurel/internal/leaderboard"
)

func TestWritesOnCondition(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b"}`)
	const scores, entry = "/v1/leaderboards/b/scores", "/v1/leaderboards/b/entries/a"
	for _, step := range []struct {
		method, path, body, header, value string
		status                            int
		want                              string // in the answer
	}{
		{"POST", scores, `{"member":"a","score":5}`, "If-Match", `"7"`, 412, `"member":"a"`},
		{"POST", scores, `{"member":"a","score":5}`, "If-None-Match", "*", 200, `"entry_rev":2}`},
		{"POST", scores, `{"member":"a","score":5}`, "If-None-Match", "*", 412, "entry_changed"},
		{"PUT", entry, `{"score":5}`, "If-None-Match", "*", 412, "entry_changed"},
		{"PUT", entry, `{"score":5}`, "If-Match", `"2"`, 200, `"entry_rev":3}`},
		{"PUT", entry, `{"score":5}`, "If-Match", `"2"`, 412, "entry_changed"},
		{"DELETE", entry, "", "If-Match", `"2"`, 412, "entry_changed"},
		{"POST", scores, `{"member":"a","score":1}`, "If-Match", `"3"`, 200, `"score":6,`},
		{"POST", scores, `{"submissions":[{"member":"b","score":1,"if_rev":0},{"member":"a","score":1,"if_rev":4}]}`, "", "", 200, `"entry_rev":6}]`},
		{"POST", scores, `{"submissions":[{"member":"b","score":1},{"member":"a","score":1,"if_rev":4}]}`, "", "", 412, `"index":1,"member":"a"`},
		{"POST", "/v1/scores", `{"submissions":[{"board":"b","member":"a","score":1,"if_rev":1}]}`, "", "", 412, `"member":"a","board":"b"`},
		{"POST", "/v1/members/a/scores", `{"scores":[{"board":"b","score":1,"if_rev":6}]}`, "", "", 200, `"entry_rev":7}`},
		{"DELETE", entry, "", "If-Match", `"7"`, 200, `"previous_rank":1}`},
		{"DELETE", entry, "", "If-None-Match", "*", 404, "member_not_found"},
		{"POST", scores, `{"member":"a","score":5,"if_rev":0}`, "", "", 200, `"entry_rev":9}`},
	} {
		got := s.send(step.method, step.path, step.body, step.header, step.value)
		if got.status != step.status || !strings.Contains(got.body, step.want) {
			t.Errorf("%s %s %s with %s: %s = %d %s, want %d with %s", step.method, step.path, step.body, step.header, step.value, got.status, got.body, step.status, step.want)
		}
	}
}

func TestConditionsThatCannotBe(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b"}`)
	const entry = "/v1/leaderboards/b/entries/a"
	tag := s.must("GET", "/v1/leaderboards/b", "").header.Get("ETag")
	for _, value := range []string{"7", `"7", "8"`, `W/"7"`, `"07"`, `"0"`, `"-7"`, `"+7"`, `""`, `"`, "*", `"9007199254740992"`, `"18446744073709551617"`, tag} {
		got := s.send("PUT", entry, `{"score":1}`, "If-Match", value)
		s.checkProblem(t, value, got, codeBadRequest)
		if p := decode[problem](t, got); p.Field != "If-Match" {
			t.Errorf("field = %q", p.Field)
		}
	}
	s.checkProblem(t, "a tag", s.send("DELETE", entry, "", "If-None-Match", `"7"`), codeBadRequest)
	s.checkProblem(t, "both headers", s.send("DELETE", entry, "", "If-None-Match", "*", "If-Match", `"7"`), codeBadRequest)
	s.checkProblem(t, "header and body", s.send("POST", "/v1/leaderboards/b/scores", `{"member":"a","score":1,"if_rev":0}`, "If-None-Match", "*"), codeBadRequest)
	for body, code := range map[string]leaderboard.Code{`-1`: codeBadRequest, `9007199254740992`: codeBadRequest, `"7"`: codeInvalidJSON, `1.5`: codeInvalidJSON, `null`: codeInvalidJSON} {
		s.checkProblem(t, body, s.send("POST", "/v1/leaderboards/b/scores", `{"member":"a","score":1,"if_rev":`+body+`}`), code)
	}
	s.checkProblem(t, "import", s.send("POST", importPath, `{"member":"a","score":1,"if_rev":0}`, "Content-Type", ndjsonType), codeUnknownField)
	for _, header := range []string{"If-Match", "If-None-Match"} {
		s.checkProblem(t, "batch", s.send("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"a","score":1}]}`, header, "*"), codeNotSupported)
		for _, r := range writes(t) {
			if !r.guards {
				s.checkProblem(t, r.method+" "+r.path, s.send(r.method, concrete(r.path), `{}`, header, "*"), codeNotSupported)
			}
		}
	}
	if now := s.must("GET", "/v1/leaderboards/b/entries", ""); !strings.Contains(now.body, `"rev":1,`) {
		t.Errorf("after what was refused: %s", now.body)
	}
}

func TestAConditionIsPartOfTheRequestThatAKeyNames(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"a","score":5}`)
	const entry = "/v1/leaderboards/b/entries/a"
	first := s.send("PUT", entry, `{"score":7}`, "Idempotency-Key", "k", "If-Match", `"2"`)
	again := s.send("PUT", entry, `{"score":7}`, "Idempotency-Key", "k", "If-Match", `"2"`)
	if first.status != http.StatusOK || again.status != http.StatusOK || again.body != first.body {
		t.Errorf("%d %s, and again %d %s", first.status, first.body, again.status, again.body)
	}
	s.checkProblem(t, "another rev", s.send("PUT", entry, `{"score":7}`, "Idempotency-Key", "k", "If-Match", `"3"`), leaderboard.CodeOnceReused)
	s.checkProblem(t, "none", s.send("PUT", entry, `{"score":7}`, "Idempotency-Key", "k"), leaderboard.CodeOnceReused)
}

func TestASubmitOnConditionCreatesNoBoardInVain(t *testing.T) {
	s := newServer(t)
	s.checkProblem(t, "refused", s.send("POST", "/v1/leaderboards/new/scores", `{"member":"a","score":5}`, "If-Match", `"2"`), leaderboard.CodeEntryChanged)
	s.checkProblem(t, "board", s.send("GET", "/v1/leaderboards/new", ""), leaderboard.CodeBoardNotFound)
	if got := s.send("POST", "/v1/leaderboards/new/scores", `{"member":"a","score":5}`, "If-None-Match", "*"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}
