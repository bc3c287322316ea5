package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"laurel/internal/auth"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

// fuzzed is an API that is used for one input after another.
type fuzzed struct {
	api     *API
	handler http.Handler
}

func newFuzzed() fuzzed {
	api := New(nil, auth.NewKeys(benchKey), Options{})
	return fuzzed{api, api.Handler(nil)}
}

// fill gives the API a new store with one board and three members.
func (f fuzzed) fill(t *testing.T) {
	t.Helper()
	f.api.service = leaderboard.NewService(storetest.NewModel(), leaderboard.ServiceOptions{})
	w := serve(f.handler, http.MethodPost, &url.URL{Path: benchPath}, `{"submissions":[{"member":"a","score":3},{"member":"b","score":2},{"member":"a/b","score":1,"data":{"x":1}}]}`)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

func serve(handler http.Handler, method string, at *url.URL, body string) *httptest.ResponseRecorder {
	req := &http.Request{
		Method: method, URL: at, Host: "x", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"X-Api-Key": {benchKey}, "Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	return w
}

// checkAnswer holds an answer to what every answer promises: it is no fault of
// ours, and it is what the document says.
func checkAnswer(t *testing.T, document schemas, r *route, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= 500 || w.Code < 200 || w.Code >= 300 && w.Code < 400 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if w.Code == http.StatusNoContent {
		return
	}
	mediaType := w.Header().Get("Content-Type")
	if w.Code >= 400 {
		if mediaType != "application/problem+json" {
			t.Fatalf("status %d with %s: %s", w.Code, mediaType, w.Body)
		}
		schema := document.doc.Components.Schemas.Schema(reflect.TypeFor[problem](), true, "")
		document.check(t, "problem", schema, w.Body.Bytes())
		return
	}
	if r != nil && r.answer != nil && r.method == http.MethodGet || r != nil && r.body != nil {
		document.check(t, r.id, document.response(t, r, w.Code, mediaType), w.Body.Bytes())
	}
}

func FuzzSubmitBody(f *testing.F) {
	for _, seed := range []string{
		`{"member":"a","score":5,"data":{"name":"Alice"}}`, `{"member":"\ud83d\ude00","score":-0.0}`, `{"submissions":[{"member":"a","score":1e2},{"score":1,"member":"b","data":null}]}`,
		`{"submissions":[]}`, `{"member":"a","score":1e400}`, `{"member":"a","score":NaN}`, `{"member":"\ud800","score":1}`, `{"member":"a","score":9007199254740991}`, `{"member":"a","score":1}{`, `[[[[`, `{"a":{"b":[`,
	} {
		f.Add(seed)
	}
	document := newSchemas()
	target := newFuzzed()
	submit := target.api.router.match(benchPath).node.route(http.MethodPost)
	f.Fuzz(func(t *testing.T, body string) {
		target.fill(t)
		w := serve(target.handler, http.MethodPost, &url.URL{Path: benchPath}, body)
		checkAnswer(t, document, submit, w)
		if w.Code != http.StatusOK {
			return
		}
		if !json.Valid([]byte(body)) || !utf8.ValidString(body) {
			t.Fatalf("%q is no JSON and was accepted", body)
		}
		// What was accepted is under the name that encoding/json reads.
		var sent struct {
			Member      string
			Submissions []struct{ Member string }
		}
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatal(err)
		}
		if len(sent.Submissions) == 0 {
			sent.Submissions = append(sent.Submissions, struct{ Member string }{sent.Member})
		}
		got := decode[outcomeShape](t, received{body: w.Body.String()})
		if len(got.Results) != len(sent.Submissions) {
			t.Fatalf("%d results for %d submissions", len(got.Results), len(sent.Submissions))
		}
		for i, s := range sent.Submissions {
			if got.Results[i].Member != s.Member {
				t.Fatalf("member %q became %q", s.Member, got.Results[i].Member)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/v1/leaderboards", "/v1/leaderboards/race/entries/a%2Fb/around?limit=3", "/v1/leaderboards/race/entries/%2E%2E", "/v1/leaderboards/race/entries/..", "/v1/leaderboards/race/entries?limit=1&cursor=AQYBDKY",
		"/v1/leaderboards/race?season=1", "//", "/v1/../docs", "/%", "/v1/leaderboards/%00/entries/%ff", "*", "/openapi.json", "/docs", "/readyz", "/v1/leaderboards/race/entries?limit=1;x",
	} {
		f.Add("GET", seed, `{"score":1}`)
		f.Add("PUT", seed, `{"score":1,"data":{}}`)
		f.Add("PATCH", seed, `{"top":3}`)
		f.Add("DELETE", seed, ``)
		f.Add("POST", seed, `{"id":"x"}`)
	}
	document := newSchemas()
	target := newFuzzed()
	f.Fuzz(func(t *testing.T, method, path, body string) {
		at, err := url.ParseRequestURI(path)
		if err != nil {
			return // net/http refuses it
		}
		target.fill(t)
		var r *route
		if m := target.api.router.match(at.EscapedPath()); m.node != nil {
			r = m.node.route(method)
		}
		w := serve(target.handler, method, at, body)
		checkAnswer(t, document, r, w)
		if w.Code < 300 && r == nil && method != http.MethodOptions {
			t.Fatalf("%s %s is no route and answers %d", method, path, w.Code)
		}
	})
}

// FuzzScanner compares what the scanner takes for JSON with what encoding/json
// does, and the strings and numbers that they read.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e+3,"x\u00e9\n",true,false,null,{}]}`, `[]`, `""`, `"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", `0`, `-0.0`, `1E5`, `01`, `1.`, ` 1 `, `[1,]`, `{"a":1,}`, `{,}`, `tru`, `nulll`, "\"\x1f\"", `"\/\b\f\r\t\\\""`, `"\u12"`, `"\uD83D\u0041"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := scanner{text: []byte(text)}
		raw := s.raw()
		s.end()
		valid := json.Valid([]byte(text))
		if s.err != nil && valid {
			// The scanner is stricter in two things.
			if deep := strings.Contains(s.err.Error(), "deep"); !deep && !strings.Contains(s.err.Error(), "surrogate") {
				t.Fatalf("%q is JSON: %v", text, s.err)
			}
			return
		}
		if s.err == nil && !valid {
			t.Fatalf("%q is no JSON", text)
		}
		if s.err != nil {
			if code := leaderboard.CodeOf(s.err); code != codeInvalidJSON {
				t.Fatalf("%q: %v has the code %s", text, s.err, code)
			}
			return
		}
		if trimmed := strings.Trim(text, " \t\r\n"); string(raw) != trimmed {
			t.Fatalf("raw %q of %q", raw, text)
		}
		s = scanner{text: []byte(text)}
		switch s.kind() {
		case '"':
			var want string
			if err := json.Unmarshal([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			if got := strings.ToValidUTF8(s.string(""), "\ufffd"); utf8.ValidString(text) && got != want {
				t.Fatalf("%q is read as %q, want %q", text, got, want)
			}
		case '0':
			if number := string(s.number()); !json.Valid([]byte(number)) || number != strings.Trim(text, " \t\r\n") {
				t.Fatalf("%q is read as the number %q", text, number)
			}
		}
	})
}

// FuzzString compares how a string is written with encoding/json.
func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "a", "\x00\x1f\x7f", `"\/`, "\u2028\u2029", "\xff\xfe", "é☃👩‍🚀", "<script>&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want strings.Builder
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(text); err != nil {
			t.Fatal(err)
		}
		if got := string(appendString(nil, text)); got+"\n" != want.String() {
			t.Fatalf("%q is written as %s, want %s", text, got, want.String())
		}
	})
}
