package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"laurel/internal/leaderboard"
)

// writesWithKeys are the routes of writes but for the import.
func writesWithKeys(t *testing.T) []route {
	t.Helper()
	return slices.DeleteFunc(writes(t), func(r route) bool { return strings.HasSuffix(r.path, "/import") })
}

func TestImportRefusesAnIdempotencyKey(t *testing.T) {
	s := newServer(t)
	got := s.send("POST", importPath, numbered(2), "Content-Type", ndjsonType, "Idempotency-Key", "k")
	s.checkProblem(t, "import", got, codeNotSupported)
	if p := decode[problem](t, got); p.Field != "Idempotency-Key" {
		t.Errorf("field = %q", p.Field)
	}
	s.checkProblem(t, "nothing was set", s.send("GET", "/v1/leaderboards/b", ""), leaderboard.CodeBoardNotFound)
}

// TestWritesWithAKeyCountOnce sends every write there is twice with a key, then with
// another body or path, and looks at what has changed.
func TestWritesWithAKeyCountOnce(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"c"}`)
	tested := 0
	for _, w := range []struct{ method, path, body, other string }{
		{"POST", "/v1/leaderboards", `{"id":"b","decimals":1}`, `{"id":"b"}`},
		{"PATCH", "/v1/leaderboards/b", `{"top":20}`, `{"top":21}`},
		{"POST", "/v1/leaderboards/b/scores", `{"member":"a","score":5.5}`, `{"member":"a","score":6}`},
		{"POST", "/v1/scores", `{"submissions":[{"board":"b","member":"a","score":1},{"board":"c","member":"a","score":1}]}`, `{"submissions":[{"board":"b","member":"a","score":1}]}`},
		{"POST", "/v1/members/a/scores", `{"scores":[{"board":"b","score":5},{"board":"c","score":1}]}`, `{"scores":[{"board":"b","score":5}]}`},
		{"PUT", "/v1/leaderboards/b/entries/a", `{"score":3}`, `{"score":4}`},
		{"DELETE", "/v1/leaderboards/b/entries/a", "", ""},
		{"POST", "/v1/leaderboards/b/seasons", `{"season":1}`, `{}`},
		{"DELETE", "/v1/leaderboards/b", "", ""},
	} {
		tested++
		key := strings.Repeat("k", maxKey-2) + fmt.Sprint(" ", tested)
		first := s.send(w.method, w.path, w.body, "Idempotency-Key", key)
		if first.status >= 300 || first.header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("%s %s = %d %s", w.method, w.path, first.status, first.body)
		}
		for range 2 {
			again := s.send(w.method, w.path, w.body, "Idempotency-Key", key)
			if again.status != first.status || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("Location") != first.header.Get("Location") {
				t.Errorf("%s %s again = %d %s, first %d %s", w.method, w.path, again.status, again.body, first.status, first.body)
			}
		}
		if w.other != "" {
			s.checkProblem(t, "another body", s.send(w.method, w.path, w.other, "Idempotency-Key", key), leaderboard.CodeOnceReused)
		}
		if w.path != "/v1/leaderboards" {
			s.checkProblem(t, "another path", s.send("DELETE", "/v1/leaderboards/b/entries/x", "", "Idempotency-Key", key), leaderboard.CodeOnceReused)
		}
	}
	if n := len(writesWithKeys(t)); n != tested {
		t.Errorf("%d kinds of writes were tested, there are %d", tested, n)
	}
}

func TestKeyOfAFailedWriteIsFree(t *testing.T) {
	s := newServer(t)
	s.checkProblem(t, "no board", s.send("DELETE", "/v1/leaderboards/b/entries/a", "", "Idempotency-Key", "k"), leaderboard.CodeBoardNotFound)
	if got := s.send("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`, "Idempotency-Key", "k"); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	// The board was created by the write, whose key is its own.
	if got := s.send("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`, "Idempotency-Key", "k"); got.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestInvalidIdempotencyKeys(t *testing.T) {
	s := newServer(t)
	for _, key := range []string{strings.Repeat("k", maxKey+1), "\u00e9", "a\tb"} {
		for _, r := range writesWithKeys(t) {
			got := s.send(r.method, concrete(r.path), `{}`, "Idempotency-Key", key)
			s.checkProblem(t, r.method+" "+r.path, got, codeBadRequest)
			if p := decode[problem](t, got); p.Field != "Idempotency-Key" {
				t.Errorf("field = %q", p.Field)
			}
		}
	}
}
