package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewRefusesAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:8000", "localhost", "ftp://host", "http://", "http://host?x=1", "http://ho st"} {
		if _, err := New(address, Options{}); err == nil {
			t.Errorf("New(%q) has no error", address)
		}
	}
}

// Between us and the server may be something that answers in its own words.
func TestErrorOfSomethingElse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<h1>Bad Gateway</h1>"))
	}))
	defer server.Close()
	c, err := New(server.URL+"/", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Board(t.Context(), "race")
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error is %v, want an *Error", err)
	}
	want := &Error{Status: 502, Detail: "the server answered Bad Gateway and nothing that Laurel would say", RetryAfter: 7 * time.Second}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
}

func TestEscapeKeepsASegmentWhole(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "a/b": "a%2Fb", "..": "%2E%2E", ".": "%2E", "a b?": "a%20b%3F", "Ж": "%D0%96", "a%2Fb": "a%252Fb",
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}
