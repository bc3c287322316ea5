package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// oddMembers are members that a path makes difficult.
var oddMembers = []string{
	"a/b", "/", "//", "a//b", ".", "..", "...", "../..", "a/../b", "#", "?", "a?b=c", "a#b", "%", "%2F", "%2e%2e", "%zz", " ", "a b", "+", "a+b", ";", "a;b", "&", "=",
	":", "@", "\\", "..\\..", "lookup", "around", "entries", "scores", "around/around", "{member}", "*", "~", "'", `"`, "<script>", "é", "☃", "👩‍🚀", "\u2028", "\ufeff",
	"null", "0", strings.Repeat("m", 128), strings.Repeat("☃", 42) + "ab",
}

// segment percent-encodes a member for a path, dots too where they would be steps.
func segment(member string) string {
	if strings.Trim(member, ".") == "" {
		return strings.ReplaceAll(member, ".", "%2E")
	}
	return url.PathEscape(member)
}

func TestEveryMemberCanBeReached(t *testing.T) {
	for _, front := range []string{"alone", "before the page"} {
		s := newServer(t)
		if front == "before the page" {
			page := http.NewServeMux()
			page.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
			s.Config.Handler = s.api.Handler(page)
		}
		for i, member := range oddMembers {
			path := "/v1/leaderboards/odd/entries/" + segment(member)
			put := decode[outcomeShape](t, s.must("PUT", path, `{"score":7}`))
			if got := put.Results[0]; got.Member != member || !got.Accepted || put.Total != 1 {
				t.Fatalf("%s %d: PUT %q = %+v", front, i, member, put)
			}
			if got := decode[outcomeShape](t, s.must("GET", path, "")); got.Member != member {
				t.Errorf("%s: GET %q is of %q", front, member, got.Member)
			}
			if got := decode[entries](t, s.must("GET", path+"/around?limit=3", "")).members(); !slices.Equal(got, []string{member}) {
				t.Errorf("%s: around %q = %q", front, member, got)
			}
			if got := decode[memberShape](t, s.must("GET", "/v1/members/"+segment(member), "")); got.Member != member || len(got.Entries) != 1 || got.Entries[0].Member != member {
				t.Errorf("%s: member %q = %+v", front, member, got)
			}
			if got := decode[outcomeShape](t, s.must("DELETE", path, "")); got.Results[0].Member != member || got.Total != 0 {
				t.Errorf("%s: DELETE %q = %+v", front, member, got)
			}
		}
	}
}

// outcomeShape is what a test reads of an outcome or a standing.
type outcomeShape struct {
	Results []struct {
		Member   string
		Accepted bool
	}
	Member string
	Total  int
	Rev    uint64
}

// TestNothingIsRedirected sends steps up the tree that were not encoded. To
// follow them could delete a whole board in place of a member.
func TestNothingIsRedirected(t *testing.T) {
	s := newServer(t)
	s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`)
	for _, path := range []string{
		"/v1/leaderboards/b/entries/..", "/v1/leaderboards/b/entries/../", "/v1/leaderboards/b/entries/.", "/v1/leaderboards/b/", "/v1/leaderboards/b//",
		"/v1/leaderboards/./b", "/v1//leaderboards/b", "/v1/leaderboards/x/../b", "/v1/leaderboards/b/entries/x/..",
	} {
		answer := s.raw(t, "DELETE "+path+" HTTP/1.1\r\nHost: x\r\nX-API-Key: "+s.key+"\r\nConnection: close\r\n\r\n")
		if answer.status < 400 || answer.status > 499 {
			t.Errorf("DELETE %s = %d, Location %q", path, answer.status, answer.header.Get("Location"))
		}
	}
	if got := decode[entries](t, s.must("GET", "/v1/leaderboards/b/entries", "")); got.Total != 1 {
		t.Errorf("members = %d, want 1", got.Total)
	}
}

func TestNoLiteralHidesAParameter(t *testing.T) {
	table := routes()
	for i, one := range table {
		for _, other := range table[i+1:] {
			if one.method != other.method {
				continue
			}
			a, b := segmentsOf(one.path), segmentsOf(other.path)
			overlap := len(a) == len(b)
			for j := range min(len(a), len(b)) {
				overlap = overlap && (a[j] == b[j] || a[j].literal == "" || b[j].literal == "")
			}
			if overlap {
				t.Errorf("%s %s and %s match the same path", one.method, one.path, other.path)
			}
		}
	}
}

func TestOtherMethodsAreRefusedWithThoseThatThereAre(t *testing.T) {
	s := newServer(t, func(o *Options) { o.Metrics = http.NotFoundHandler() })
	allowed := map[string][]string{}
	for _, r := range routes() {
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	if len(allowed) != 18 {
		t.Errorf("%d paths, want 18", len(allowed))
	}
	// A member may be called lookup.
	allowed[lookupPath] = append(allowed[lookupPath], allowed[entryPath]...)
	for path, methods := range allowed {
		concrete := strings.NewReplacer("{board}", "b", "{member}", "m").Replace(path)
		want := map[string]bool{http.MethodOptions: true}
		for _, method := range methods {
			want[method] = true
			if method == http.MethodGet {
				want[http.MethodHead] = true
			}
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW", "get"} {
			if want[method] {
				continue
			}
			got := s.send(method, concrete, "")
			if method != "HEAD" {
				s.checkProblem(t, method+" "+concrete, got, codeMethodNotAllowed)
			}
			listed := strings.Split(got.header.Get("Allow"), ", ")
			if len(listed) != len(want) || slices.ContainsFunc(listed, func(m string) bool { return !want[m] }) {
				t.Errorf("%s %s: Allow %q, want %v", method, concrete, listed, want)
			}
		}
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	s := newServer(t)
	s.must("PUT", "/v1/leaderboards/b/entries/a", `{"score":1}`)
	for _, path := range []string{"/v1/leaderboards", "/v1/leaderboards/b/entries/a", "/v1/leaderboards/x", "/docs", "/openapi.json"} {
		head, get := s.send("HEAD", path, ""), s.send("GET", path, "")
		if head.status != get.status || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("HEAD %s = %d %q, GET = %d", path, head.status, head.body, get.status)
		}
	}
}

func TestOtherPathsGoToTheRest(t *testing.T) {
	s := newServer(t)
	s.Config.Handler = s.api.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Path", r.URL.Path)
		w.WriteHeader(http.StatusTeapot)
	}))
	for _, path := range []string{"/", "/b/race", "/connection/websocket", "/metrics", "/v1x", "/docs/", "/docs/other.css", "/healthz/"} {
		if got := s.send("GET", path, ""); got.status != http.StatusTeapot || got.header.Get("Path") != path {
			t.Errorf("GET %s = %d", path, got.status)
		}
	}
	for _, path := range []string{"/v1", "/v1/", "/v1/other"} {
		s.checkProblem(t, path, s.send("GET", path, ""), codeNotFound)
	}
	if got := s.send("GET", "/healthz", ""); got.status != http.StatusOK {
		t.Errorf("GET /healthz = %d", got.status)
	}
}
