package api

import (
	"net/http"
	"strings"
	"testing"

	"laurel/internal/auth"
)

// writes are the requests that change something.
func writes(t *testing.T) []route {
	t.Helper()
	var list []route
	for _, r := range routes() {
		if r.write {
			list = append(list, r)
		}
		if want := r.method != http.MethodGet; r.write != want && r.path != lookupPath {
			t.Errorf("%s %s: needs a key: %v", r.method, r.path, r.write)
		}
	}
	return list
}

func concrete(path string) string {
	return strings.NewReplacer("{board}", "b", "{member}", "a").Replace(path)
}

func TestWritesNeedAKey(t *testing.T) {
	s := newServer(t)
	for _, r := range writes(t) {
		for name, headers := range map[string][]string{
			"none":          {"X-API-Key", ""},
			"empty":         {"X-API-Key", "", "Authorization", "apikey "},
			"wrong":         {"X-API-Key", auth.NewKey()},
			"cut":           {"X-API-Key", s.key[:len(s.key)-1]},
			"other scheme":  {"X-API-Key", "", "Authorization", "Bearer " + s.key},
			"no scheme":     {"X-API-Key", "", "Authorization", s.key},
			"wrong is used": {"X-API-Key", "wrong", "Authorization", "apikey " + s.key},
		} {
			got := s.send(r.method, concrete(r.path), `{}`, headers...)
			s.checkProblem(t, name, got, codeUnauthorized)
			if got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", name)
			}
			if strings.Contains(got.body, s.key) {
				t.Errorf("%s: the answer has the key: %s", name, got.body)
			}
		}
	}
	for _, headers := range [][]string{
		{"X-API-Key", s.key},
		{"X-API-Key", "", "Authorization", "apikey " + s.key},
		{"X-API-Key", "", "Authorization", "ApiKey  " + s.key},
	} {
		if got := s.send("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`, headers...); got.status != http.StatusOK {
			t.Errorf("%v = %d %s", headers, got.status, got.body)
		}
	}
	for _, path := range []string{"/v1/leaderboards", "/v1/leaderboards/b", "/v1/leaderboards/b/entries", "/v1/leaderboards/b/entries/a", "/healthz", "/docs"} {
		if got := s.send("GET", path, "", "X-API-Key", ""); got.status != http.StatusOK {
			t.Errorf("GET %s without a key = %d", path, got.status)
		}
	}
	if s.log.Len() > 0 {
		t.Errorf("wrong keys were logged:\n%s", s.log)
	}
}

func TestWithoutKeysNobodyWrites(t *testing.T) {
	s := newServer(t)
	s.api.keys = nil
	s.checkProblem(t, "no keys", s.send("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`), codeUnauthorized)
}

func TestPagesOfOtherOriginsMayOnlyRead(t *testing.T) {
	const ours, other = "https://game.example", "https://evil.example"
	for _, test := range []struct {
		origins []string
		origin  string
		allowed string
	}{
		{nil, ours, ""},
		{[]string{ours}, ours, ours},
		{[]string{ours, "https://second.example"}, "https://second.example", "https://second.example"},
		{[]string{ours}, other, ""},
		{[]string{ours}, "https://game.example.evil.example", ""},
		{[]string{ours}, "null", ""},
		{[]string{ours}, "", ""},
		{[]string{"*"}, other, "*"},
		{[]string{"https://Game.example"}, ours, ours}, // a browser writes it in lower case
	} {
		s := newServer(t, func(o *Options) { o.Origins = test.origins })
		s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`)
		for _, path := range []string{"/v1/leaderboards/b/entries", "/v1/leaderboards/none"} { // an answer and a problem
			got := s.send("GET", path, "", "Origin", test.origin)
			if h := got.header.Get("Access-Control-Allow-Origin"); h != test.allowed {
				t.Errorf("%v, from %q: allowed %q, want %q", test.origins, test.origin, h, test.allowed)
			}
			if len(test.origins) > 0 && test.origins[0] != "*" && got.header.Get("Vary") != "Origin" {
				t.Errorf("%v: Vary %q", test.origins, got.header.Get("Vary"))
			}
			if h := got.header.Get("Access-Control-Allow-Credentials"); h != "" {
				t.Errorf("credentials are allowed: %q", h)
			}
		}
		for _, r := range routes() {
			if r.path == metricsPath {
				continue
			}
			got := s.send("OPTIONS", concrete(r.path), "", "Origin", test.origin, "Access-Control-Request-Method", r.method, "Access-Control-Request-Headers", "x-api-key, content-type")
			methods, headers := "", ""
			if test.allowed != "" {
				methods = "GET, HEAD"
				if r.path == lookupPath {
					methods, headers = "GET, HEAD, POST", "Content-Type"
				}
			}
			if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Methods") != methods || got.header.Get("Access-Control-Allow-Headers") != headers {
				t.Errorf("%v, from %q: preflight of %s %s = %d, methods %q, headers %q", test.origins, test.origin, r.method, r.path,
					got.status, got.header.Get("Access-Control-Allow-Methods"), got.header.Get("Access-Control-Allow-Headers"))
			}
			if got.header.Get("Allow") == "" {
				t.Error("OPTIONS does not say what is allowed")
			}
		}
	}
}
