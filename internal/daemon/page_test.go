package daemon

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"laurel/internal/api"
)

func request(t *testing.T, h http.Handler, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var script = strings.Repeat("console.log('moved');\n", 100)

func testPage(t *testing.T) *page {
	t.Helper()
	p, err := newPage(fstest.MapFS{
		"index.html":           {Data: []byte("<!doctype html><title>Laurel</title>")},
		"assets/index-Ab1.js":  {Data: []byte(script)},
		"assets/index-Ab1.css": {Data: []byte("a{}")},
		"assets/icon-Ab1.svg":  {Data: []byte("<svg/>")},
	}, api.New(nil, nil, api.Options{}).Refuse)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPageHasItsAddresses(t *testing.T) {
	p := testPage(t)
	for path, want := range map[string]struct {
		status      int
		kind, cache string
	}{
		"/":                     {200, "text/html; charset=utf-8", "no-cache"},
		"/b/race":               {200, "text/html; charset=utf-8", "no-cache"},
		"/b/not%20an%20id":      {200, "text/html; charset=utf-8", "no-cache"}, // the page says what is wrong
		"/index.html":           {200, "text/html; charset=utf-8", "no-cache"},
		"/assets/index-Ab1.js":  {200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/index-Ab1.css": {200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/icon-Ab1.svg":  {200, "image/svg+xml", "public, max-age=31536000, immutable"},
		"/assets/":              {404, "application/problem+json", "no-store"},
		"/assets":               {404, "application/problem+json", "no-store"},
		"/assets/../index.html": {404, "application/problem+json", "no-store"},
		"/b/":                   {404, "application/problem+json", "no-store"},
		"/b":                    {404, "application/problem+json", "no-store"},
		"/b/race/more":          {404, "application/problem+json", "no-store"},
		"/favicon.ico":          {404, "application/problem+json", "no-store"},
	} {
		res := request(t, p, http.MethodGet, path)
		res.Body.Close()
		h := res.Header
		if res.StatusCode != want.status || h.Get("Content-Type") != want.kind || h.Get("Cache-Control") != want.cache {
			t.Errorf("%s answers %d, %s, %q, want %v", path, res.StatusCode, h.Get("Content-Type"), h.Get("Cache-Control"), want)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || res.StatusCode == http.StatusOK && h.Get("Content-Security-Policy") != contentPolicy {
			t.Errorf("%s lacks the headers that protect it: %v", path, h)
		}
	}
}

func TestPersonIsToldWhereTheBoardsAre(t *testing.T) {
	res := request(t, testPage(t), http.MethodGet, "/nothing", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if got := body(t, res); res.StatusCode != http.StatusNotFound || got != "There is no such page. The boards are at /.\n" {
		t.Errorf("a browser is answered %d and %q, want a 404 in words", res.StatusCode, got)
	}
}

func TestPageIsOnlyRead(t *testing.T) {
	p := testPage(t)
	for method, status := range map[string]int{
		http.MethodPost: 405, http.MethodPut: 405, http.MethodDelete: 405, http.MethodOptions: 204,
	} {
		res := request(t, p, method, "/")
		res.Body.Close()
		if res.StatusCode != status || res.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s answers %d with Allow %q, want %d and GET, HEAD, OPTIONS", method, res.StatusCode, res.Header.Get("Allow"), status)
		}
	}
	res := request(t, p, http.MethodHead, "/b/race")
	if got := body(t, res); res.StatusCode != http.StatusOK || got != "" {
		t.Errorf("HEAD answers %d and %q, want 200 and no body", res.StatusCode, got)
	}
}

func TestPageIsSentOnlyIfItChanged(t *testing.T) {
	p := testPage(t)
	for _, encoding := range []string{"", "gzip"} {
		for _, path := range []string{"/", "/assets/index-Ab1.js"} {
			first := request(t, p, http.MethodGet, path, "Accept-Encoding", encoding)
			first.Body.Close()
			tag := first.Header.Get("ETag")
			again := request(t, p, http.MethodGet, path, "Accept-Encoding", encoding, "If-None-Match", tag)
			if got := body(t, again); tag == "" || again.StatusCode != http.StatusNotModified || got != "" {
				t.Errorf("%s with encoding %q and ETag %s answers %d and %q, want 304", path, encoding, tag, again.StatusCode, got)
			}
			other := request(t, p, http.MethodGet, path, "Accept-Encoding", encoding, "If-None-Match", `"other"`)
			other.Body.Close()
			if other.StatusCode != http.StatusOK {
				t.Errorf("%s with another ETag answers %d, want 200", path, other.StatusCode)
			}
		}
	}
}

func TestPageIsCompressedForThoseWhoCan(t *testing.T) {
	p := testPage(t)
	for header, want := range map[string]bool{
		"gzip": true, "br, gzip;q=0.8": true, "gzip; q=0": false, "": false, "br": false, "x-gzip": false,
	} {
		res := request(t, p, http.MethodGet, "/assets/index-Ab1.js", "Accept-Encoding", header)
		if got := res.Header.Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q is answered compressed: %v, want %v", header, got, want)
			continue
		}
		if res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q is answered without Vary", header)
		}
		if !want {
			if got := body(t, res); got != script {
				t.Errorf("Accept-Encoding %q is answered with another file", header)
			}
			continue
		}
		unzipped, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(unzipped); err != nil || string(content) != script {
			t.Errorf("Accept-Encoding %q is answered with another file (%v)", header, err)
		}
	}
}

func TestPageNeedsItsIndex(t *testing.T) {
	if _, err := newPage(fstest.MapFS{"assets/a.js": {}}, nil); err == nil {
		t.Error("a page without index.html has no error")
	}
}
