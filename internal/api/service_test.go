package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"laurel/internal/leaderboard"
)

func TestHealth(t *testing.T) {
	broken := errors.New("feed has stopped")
	var feed error
	s := newServer(t, func(o *Options) {
		o.Checks = []Check{{Name: "feed", Check: func(context.Context) error { return feed }}}
	})
	ready := func() received {
		t.Helper()
		if got := s.send("GET", "/healthz", ""); got.status != http.StatusOK || got.body != `{"status":"ok"}` {
			t.Errorf("GET /healthz = %d %s", got.status, got.body)
		}
		return s.send("GET", "/readyz", "")
	}
	if got := ready(); got.status != http.StatusOK || got.body != `{"status":"ready","checks":[{"name":"storage","ok":true},{"name":"feed","ok":true}]}` {
		t.Errorf("ready: %d %s", got.status, got.body)
	}
	feed = broken
	for range 3 {
		if got := ready(); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" ||
			got.body != `{"status":"not_ready","checks":[{"name":"storage","ok":true},{"name":"feed","ok":false,"reason":"feed has stopped"}]}` {
			t.Errorf("without feed: %d %s", got.status, got.body)
		}
	}
	feed = nil
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ready(); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, `{"name":"storage","ok":false,"reason":"`) {
		t.Errorf("closed: %d %s", got.status, got.body)
	}
	s.api.service = leaderboard.NewService(s.store.Reopen(), leaderboard.ServiceOptions{})
	if got := ready(); got.status != http.StatusOK {
		t.Errorf("reopened: %d %s", got.status, got.body)
	}
	if text := s.log.String(); strings.Count(text, "not ready") != 1 || strings.Count(text, "ready again") != 1 {
		t.Errorf("readiness was not logged once for each change:\n%s", text)
	}
}

func TestAStoppingServerSaysSo(t *testing.T) {
	s := newServer(t)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, got := range []received{s.send("GET", "/v1/leaderboards", ""), s.send("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`)} {
		s.checkProblem(t, "closed", got, leaderboard.CodeShuttingDown)
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

// failingStore fails with an error, or panics with it.
type failingStore struct {
	leaderboard.Store
	err    error
	throws bool
}

func (f failingStore) Apply(context.Context, leaderboard.Batch) (leaderboard.Outcome, error) {
	if f.throws {
		panic(f.err)
	}
	return leaderboard.Outcome{}, fmt.Errorf("commit: %w", f.err)
}

func TestWhatIsBehindAnErrorIsLoggedAndNotTold(t *testing.T) {
	secret := errors.New("open /var/lib/laurel/secret: permission denied")
	for name, test := range map[string]struct {
		store  failingStore
		code   leaderboard.Code
		logged int
	}{
		"unknown error":    {failingStore{err: secret}, codeInternal, 1},
		"unknown code":     {failingStore{err: &leaderboard.Error{Code: "strange", Message: "secret"}}, codeInternal, 1},
		"panic":            {failingStore{err: secret, throws: true}, codeInternal, 2}, // with its stack, and as a failed request
		"unavailable":      {failingStore{err: &leaderboard.Error{Code: leaderboard.CodeStorageUnavailable, Message: "the disk is full", Err: secret}}, leaderboard.CodeStorageUnavailable, 0},
		"a caller's error": {failingStore{err: &leaderboard.BatchError{Err: leaderboard.Errorf(leaderboard.CodeScoreOutOfRange, "too much")}}, leaderboard.CodeScoreOutOfRange, 0},
	} {
		s := newServer(t)
		s.api.service = leaderboard.NewService(test.store, leaderboard.ServiceOptions{})
		got := s.send("POST", "/v1/leaderboards/b/scores", `{"member":"a","score":1}`)
		s.checkProblem(t, name, got, test.code)
		if strings.Contains(got.body, "secret") {
			t.Errorf("%s: told: %s", name, got.body)
		}
		if got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
		s.must("GET", "/healthz", "") // the server lives
		s.Close()
		if lines := strings.Count(s.log.String(), "\n"); lines != test.logged {
			t.Errorf("%s: %d lines logged, want %d:\n%s", name, lines, test.logged, s.log)
		}
		if test.logged > 0 && !strings.Contains(s.log.String(), "secret") {
			t.Errorf("%s: the log does not have the cause:\n%s", name, s.log)
		}
		if got, want := counter(t, s.registry, "laurel_http_panics_total"), map[bool]float64{true: 1}[test.store.throws]; got != want {
			t.Errorf("%s: %v panics counted, want %v", name, got, want)
		}
	}
}

func TestRPCAnswersWhatHTTPAnswers(t *testing.T) {
	s := newServer(t)
	for i := range 20 {
		s.must("PUT", fmt.Sprintf("/v1/leaderboards/b/entries/m%02d", i), fmt.Sprintf(`{"score":%d}`, i))
	}
	for _, test := range []struct{ method, params, path string }{
		{"top", `{"board":"b"}`, "/v1/leaderboards/b/entries"},
		{"top", `{"board":"b","limit":3}`, "/v1/leaderboards/b/entries?limit=3"},
		{"top", `{"board":"b","season":1,"limit":3}`, "/v1/leaderboards/b/entries?limit=3"},
		{"top", ` { "season" : "current", "board":"b"}`, "/v1/leaderboards/b/entries"},
		{"rank", `{"board":"b","member":"m07"}`, "/v1/leaderboards/b/entries/m07"},
		{"around", `{"board":"b","member":"m07"}`, "/v1/leaderboards/b/entries/m07/around"},
		{"around", `{"board":"b","member":"m07","limit":4}`, "/v1/leaderboards/b/entries/m07/around?limit=4"},
		{"top", `{"board":"b","around_score":6.0,"limit":3}`, "/v1/leaderboards/b/entries?around_score=6&limit=3"},
		{"top", `{"board":"b","top_percent":12.5}`, "/v1/leaderboards/b/entries?top_percent=12.5"},
		{"member", `{"member":"m07"}`, "/v1/members/m07"},
		{"member", `{"member":"nobody","limit":1}`, "/v1/members/nobody?limit=1"},
		{"lookup", `{"board":"b","members":["m07","no","m11"],"season":1}`, `POST /v1/leaderboards/b/entries/lookup {"members":["m07","no","m11"]}`},
	} {
		got, err := s.api.RPC(t.Context(), test.method, []byte(test.params))
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.params, err)
			continue
		}
		method, path, body := "GET", test.path, ""
		if rest, ok := strings.CutPrefix(path, "POST "); ok {
			method = "POST"
			path, body, _ = strings.Cut(rest, " ")
		}
		if want := s.must(method, path, body).body; string(got) != want {
			t.Errorf("%s %s = %s, want %s", test.method, test.params, got, want)
		}
	}
	for _, test := range []struct {
		method, params string
		code           leaderboard.Code
	}{
		{"submit", `{"board":"b"}`, codeNotFound},
		{"", ``, codeNotFound},
		{"top", ``, codeInvalidJSON},
		{"top", `null`, codeInvalidJSON},
		{"top", `{}`, leaderboard.CodeInvalidBoard},
		{"top", `{"board":"no"}`, leaderboard.CodeBoardNotFound},
		{"top", `{"board":5}`, codeInvalidJSON},
		{"top", `{"board":"b","limit":0}`, leaderboard.CodeInvalidLimit},
		{"top", `{"board":"b","limit":1001}`, leaderboard.CodeInvalidLimit},
		{"top", `{"board":"b","limit":99999999999999999999}`, leaderboard.CodeInvalidLimit},
		{"top", `{"board":"b","limit":"5"}`, codeInvalidJSON},
		{"top", `{"board":"b","member":"a"}`, codeUnknownField},
		{"top", `{"board":"b","season":2}`, leaderboard.CodeSeasonNotFound},
		{"top", `{"board":"b","season":0}`, leaderboard.CodeSeasonNotFound},
		{"top", `{"board":"b","season":null}`, codeInvalidJSON},
		{"top", `{"board":"b"}}`, codeInvalidJSON},
		{"rank", `{"board":"b"}`, leaderboard.CodeInvalidMember},
		{"rank", `{"board":"b","member":"no"}`, leaderboard.CodeMemberNotFound},
		{"rank", `{"board":"b","member":"m01","limit":1}`, codeUnknownField},
		{"around", `{"board":"b","member":"\u0000"}`, leaderboard.CodeInvalidMember},
		{"lookup", `{"board":"b"}`, leaderboard.CodeEmptyBatch},
		{"member", `{}`, leaderboard.CodeInvalidMember},
		{"member", `{"member":""}`, leaderboard.CodeInvalidMember},
		{"member", `{"member":"m07","cursor":"x"}`, codeInvalidCursor},
		{"member", `{"member":"m07","limit":0}`, leaderboard.CodeInvalidLimit},
		{"member", `{"board":"b","member":"m07"}`, codeUnknownField},
		{"top", `{"board":"b","around_score":"6"}`, leaderboard.CodeInvalidScore},
		{"top", `{"board":"b","around_score":6.5}`, leaderboard.CodeTooManyDecimals},
		{"top", `{"board":"b","around_score":1e16}`, leaderboard.CodeScoreOutOfRange},
		{"top", `{"board":"b","around_score":6,"top_percent":5}`, codeBadRequest},
		{"top", `{"board":"b","top_percent":0}`, leaderboard.CodeInvalidLimit},
		{"rank", `{"board":"b","member":"m01","top_percent":1}`, codeUnknownField},
		{"lookup", `{"board":"b","members":[]}`, leaderboard.CodeEmptyBatch},
		{"lookup", `{"board":"b","members":["a","\u0000"]}`, leaderboard.CodeInvalidMember},
		{"lookup", `{"board":"b","members":"a"}`, codeInvalidJSON},
		{"lookup", `{"board":"no","members":["a"]}`, leaderboard.CodeBoardNotFound},
	} {
		got, err := s.api.RPC(t.Context(), test.method, []byte(test.params))
		if got != nil || leaderboard.CodeOf(err) != test.code {
			t.Errorf("%s %s = %s, %v; want %s", test.method, test.params, got, err, test.code)
		}
	}
	if got := counter(t, s.registry, "laurel_rpc_calls_total", "top", "ok"); got != 6 {
		t.Errorf("%v calls of top counted, want 6", got)
	}
	if got := counter(t, s.registry, "laurel_rpc_calls_total", unmatched, "not_found"); got != 2 {
		t.Errorf("%v unknown calls counted, want 2", got)
	}
}

func TestRPCDoesNotTellWhatIsBehindAnError(t *testing.T) {
	s := newServer(t)
	s.api.service = leaderboard.NewService(brokenReads{}, leaderboard.ServiceOptions{})
	_, err := s.api.RPC(t.Context(), "top", []byte(`{"board":"b"}`))
	if leaderboard.CodeOf(err) != codeInternal || strings.Contains(err.Error(), "secret") {
		t.Errorf("err = %v", err)
	}
	if !strings.Contains(s.log.String(), "secret") {
		t.Errorf("the log does not have the cause:\n%s", s.log)
	}
}

type brokenReads struct{ leaderboard.Store }

func (brokenReads) Entries(context.Context, leaderboard.Ref, leaderboard.Range) (leaderboard.Page, error) {
	return leaderboard.Page{}, errors.New("secret")
}

func TestABoardIsNotCreatedBySubmitIfThatIsSwitchedOff(t *testing.T) {
	s := newServer(t)
	s.api.service = leaderboard.NewService(s.store, leaderboard.ServiceOptions{NoAutoCreate: true})
	s.checkProblem(t, "submit", s.send("POST", "/v1/leaderboards/b/scores", `{"member":"a","score":1}`), leaderboard.CodeBoardNotFound)
	s.checkProblem(t, "put", s.send("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`), leaderboard.CodeBoardNotFound)
	s.checkProblem(t, "delete", s.send("DELETE", "/v1/leaderboards/b/entries/a", ""), leaderboard.CodeBoardNotFound)
}

// TestRequestsDoNotMix sends many at once, since exchanges and their buffers are
// used again.
func TestRequestsDoNotMix(t *testing.T) {
	s := newServer(t)
	const writers, each = 8, 50
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				member := fmt.Sprintf("%d-%d-%s", w, i, strings.Repeat(string(rune('a'+w)), i))
				body := fmt.Sprintf(`{"submissions":[{"member":%q,"score":%d,"data":{"of":%q}}]}`, member, i, member)
				req := s.request(http.MethodPost, "/v1/leaderboards/b/scores", strings.NewReader(body))
				res, err := s.Client().Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				var got outcomeShape
				err = errors.Join(json.NewDecoder(res.Body).Decode(&got), res.Body.Close())
				if err != nil || len(got.Results) != 1 || got.Results[0].Member != member {
					t.Errorf("%s: %d %+v, %v", member, res.StatusCode, got, err)
				}
			}
		})
	}
	group.Wait()
	list := decode[struct {
		Entries []struct {
			Member string
			Data   struct{ Of string }
		}
	}](t, s.must("GET", "/v1/leaderboards/b/entries?limit=1000", ""))
	if len(list.Entries) != writers*each {
		t.Errorf("%d entries, want %d", len(list.Entries), writers*each)
	}
	for _, e := range list.Entries {
		if e.Data.Of != e.Member {
			t.Errorf("%s has the data of %s", e.Member, e.Data.Of)
		}
	}
}
