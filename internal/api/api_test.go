package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"laurel/internal/auth"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an API over a model of a store, behind a real server.
type server struct {
	*httptest.Server
	t        testing.TB
	api      *API
	key      string
	store    *storetest.Model
	registry *prometheus.Registry
	log      *bytes.Buffer // to be read when no request is under way
	passed   atomic.Int64  // nanoseconds since clock
}

// clock is what the boards of the tests are stamped with.
var clock = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func newServer(tb testing.TB, change ...func(*Options)) *server {
	tb.Helper()
	s := &server{t: tb, key: auth.NewKey(), store: storetest.NewModel(), registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	service := leaderboard.NewService(s.store, leaderboard.ServiceOptions{Now: func() time.Time { return clock.Add(time.Duration(s.passed.Load())) }})
	opts := Options{Log: slog.New(slog.NewTextHandler(s.log, nil)), Registerer: s.registry, Version: "test"}
	for _, c := range change {
		c(&opts)
	}
	s.api = New(service, auth.NewKeys(s.key), opts)
	s.Server = httptest.NewServer(s.api.Handler(nil))
	tb.Cleanup(s.Close)
	return s
}

// reply is an answer with its body read.
type received struct {
	status int
	header http.Header
	body   string
}

// send sends a request with the API key; the body is JSON unless a header says
// otherwise. Headers come as name, value.
func (s *server) send(method, path, body string, headers ...string) received {
	s.t.Helper()
	req := s.request(method, path, strings.NewReader(body), headers...)
	return s.do(req)
}

func (s *server) request(method, path string, body io.Reader, headers ...string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, body)
	if err != nil {
		s.t.Fatalf("request: %v", err)
	}
	req.Header.Set("X-API-Key", s.key)
	if body != http.NoBody {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return req
}

func (s *server) do(req *http.Request) received {
	s.t.Helper()
	client := &http.Client{
		Transport:     s.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return received{res.StatusCode, res.Header, string(body)}
}

// must sends a request that has to succeed.
func (s *server) must(method, path, body string) received {
	s.t.Helper()
	got := s.send(method, path, body)
	if got.status < 200 || got.status > 299 {
		s.t.Fatalf("%s %s %s = %d %s", method, path, body, got.status, got.body)
	}
	return got
}

func (r received) code() string {
	var p problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		return fmt.Sprintf("not a problem: %v: %s", err, r.body)
	}
	return string(p.Code)
}

// decode reads a JSON body.
func decode[T any](tb testing.TB, r received) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		tb.Fatalf("%v: %s", err, r.body)
	}
	return v
}
