package api

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"laurel/internal/leaderboard"
)

// boardReads are requests for one board that have an answer.
var boardReads = []string{
	"/v1/leaderboards/b", "/v1/leaderboards/b?season=1", "/v1/leaderboards/b/entries", "/v1/leaderboards/b/entries?limit=1",
	"/v1/leaderboards/b/entries?limit=1&offset=1", "/v1/leaderboards/b/entries?around_score=1", "/v1/leaderboards/b/entries?top_percent=50",
	"/v1/leaderboards/b/entries/a", "/v1/leaderboards/b/entries/a/around", "/v1/leaderboards/b/entries/a/around?limit=1&season=current",
}

func TestWhoHasTheAnswerIsNotSentIt(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"a","score":2},{"member":"b","score":1}]}`)
	read := func(path, tag string) received {
		t.Helper()
		got := s.send("GET", path, "", "If-None-Match", tag)
		if got.header.Get("Etag") == "" || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("GET %s: ETag %q, Cache-Control %q", path, got.header.Get("Etag"), got.header.Get("Cache-Control"))
		}
		if got.status == http.StatusNotModified && (got.body != "" || got.header.Get("Content-Type") != "" || got.header.Get("Content-Length") != "") {
			t.Errorf("GET %s: a 304 with %q and %v", path, got.body, got.header)
		}
		return got
	}
	tags := map[string]string{}
	for _, path := range boardReads {
		first := read(path, "")
		tag := first.header.Get("Etag")
		if tags[tag] != "" {
			t.Errorf("%s and %s have the same tag", path, tags[tag])
		}
		tags[tag] = path
		if first.status != http.StatusOK {
			t.Fatalf("GET %s = %d", path, first.status)
		}
		for _, given := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag + ` ,W/"y"`, "*"} {
			if got := read(path, given); got.status != http.StatusNotModified || got.header.Get("Etag") != tag {
				t.Errorf("GET %s with %s = %d %q, want 304", path, given, got.status, got.header.Get("Etag"))
			}
			if got := s.send("HEAD", path, "", "If-None-Match", given); got.status != http.StatusNotModified {
				t.Errorf("HEAD %s with %s = %d, want 304", path, given, got.status)
			}
		}
		for _, given := range []string{`"x"`, "x", "", ",", strings.Replace(tag, ".", "-", 1), tag[:len(tag)-2] + `"`} {
			if got := read(path, given); got.status != http.StatusOK || got.body != first.body {
				t.Errorf("GET %s with %q = %d %q, want what it was", path, given, got.status, got.body)
			}
		}
	}
	// Every change of the board is one of each of its answers, and every tag is of one request.
	for _, change := range []string{
		`PATCH /v1/leaderboards/b {"top":5}`, `POST /v1/leaderboards/b/scores {"member":"b","score":1}`, `PUT /v1/leaderboards/b/entries/a {"score":7}`,
		`DELETE /v1/leaderboards/b/entries/b `, `DELETE /v1/leaderboards/b `,
	} {
		method, rest, _ := strings.Cut(change, " ")
		path, body, _ := strings.Cut(rest, " ")
		s.must(method, path, body)
		if change == `DELETE /v1/leaderboards/b ` {
			s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":2}`)
		}
		for _, path := range boardReads {
			for old := range tags {
				if got := read(path, old); got.status != http.StatusOK || got.body == "" {
					t.Errorf("after %s GET %s with %s = %d", change, path, old, got.status)
				}
			}
		}
		for _, path := range boardReads {
			tags[read(path, "").header.Get("Etag")] = path
		}
	}
	tag := read("/v1/leaderboards/b", "").header.Get("Etag")
	for _, path := range []string{"/v1/leaderboards/b/entries/nobody", "/v1/leaderboards/b/entries?limit=0", "/v1/leaderboards/b?season=2", "/v1/leaderboards/none"} {
		got := s.send("GET", path, "", "If-None-Match", tag)
		if got.status < 400 || got.header.Get("Etag") != "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s = %d, ETag %q, Cache-Control %q", path, got.status, got.header.Get("Etag"), got.header.Get("Cache-Control"))
		}
	}
	for _, path := range []string{"/v1/leaderboards", "/healthz"} {
		if got := s.send("GET", path, "", "If-None-Match", "*"); got.status != http.StatusOK || got.header.Get("Etag") != "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s = %d, ETag %q, Cache-Control %q", path, got.status, got.header.Get("Etag"), got.header.Get("Cache-Control"))
		}
	}
}

func TestATagIsOfOneVersionOfTheProgram(t *testing.T) {
	tags := map[string]bool{}
	for _, version := range []string{"1", "2"} {
		s := newServer(t, func(o *Options) { o.Version = version })
		s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`)
		tags[s.must("GET", "/v1/leaderboards/b", "").header.Get("Etag")] = true
	}
	if len(tags) != 2 {
		t.Errorf("two versions have the tag %v", tags)
	}
}

// countingReads counts the pages that are read, and can give each row another
// score than the rev says, as on a board whose rows another program writes.
type countingReads struct {
	leaderboard.Store
	pages atomic.Int32
	zset  string
	plus  atomic.Int64
}

func (c *countingReads) Board(ctx context.Context, id string) (leaderboard.View, error) {
	view, err := c.Store.Board(ctx, id)
	view.Board.ZSet = c.zset
	return view, err
}

func (c *countingReads) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	c.pages.Add(1)
	page, err := c.Store.Entries(ctx, at, r)
	page.Board.ZSet = c.zset
	for i := range page.Entries {
		page.Entries[i].Score += c.plus.Load()
	}
	return page, err
}

func TestThatNothingHasChangedIsSaidWithoutReadingThePage(t *testing.T) {
	s := newServer(t)
	s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`)
	store := &countingReads{Store: s.store}
	s.api.service = leaderboard.NewService(store, leaderboard.ServiceOptions{})
	const path = "/v1/leaderboards/b/entries"
	tag := s.must("GET", path, "").header.Get("Etag")
	for range 3 {
		if got := s.send("GET", path, "", "If-None-Match", tag); got.status != http.StatusNotModified {
			t.Errorf("status %d, want 304", got.status)
		}
	}
	if n := store.pages.Load(); n != 1 {
		t.Errorf("%d pages were read, want 1", n)
	}
}

func TestRowsOfAnotherProgramAreReadAllTheSame(t *testing.T) {
	s := newServer(t)
	s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`)
	store := &countingReads{Store: s.store, zset: "scores"}
	s.api.service = leaderboard.NewService(store, leaderboard.ServiceOptions{})
	const path = "/v1/leaderboards/b/entries"
	first := s.must("GET", path, "")
	tag := first.header.Get("Etag")
	if got := s.send("GET", path, "", "If-None-Match", tag); got.status != http.StatusNotModified || store.pages.Load() != 2 {
		t.Errorf("status %d after %d pages, want 304 after 2", got.status, store.pages.Load())
	}
	store.plus.Store(1) // at the same rev
	if got := s.send("GET", path, "", "If-None-Match", tag); got.status != http.StatusOK || got.body == first.body {
		t.Errorf("after a change = %d %s", got.status, got.body)
	}
}
