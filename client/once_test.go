package client_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laurel/client"
)

// loser sends requests, loses the answers of some, and keeps the bodies of none.
type loser struct {
	lose     int            // so many answers
	lost     func()         // called after each
	requests []http.Request // as they were sent
	http.RoundTripper
}

func (l *loser) RoundTrip(r *http.Request) (*http.Response, error) {
	l.requests = append(l.requests, *r)
	res, err := l.RoundTripper.RoundTrip(r)
	if err != nil || len(l.requests) > l.lose {
		return res, err
	}
	res.Body.Close()
	l.lost()
	return nil, errors.New("the answer is lost")
}

// TestWritesCountOnceWhateverIsLost loses the answers of writes, and stops and starts the
// server before each is sent again.
func TestWritesCountOnceWhateverIsLost(t *testing.T) {
	s := newServer(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	l := &loser{lose: 2, RoundTripper: transport, lost: func() {
		transport.CloseIdleConnections()
		s.stop()
		s.start()
	}}
	c, err := client.New("http://"+s.listen, client.Options{APIKey: key, Attempts: 3, HTTPClient: &http.Client{Transport: l}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"})
	if err != nil || first.Results[0].Score != "5" || first.Rev != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	if len(l.requests) != 3 {
		t.Fatalf("%d requests, want 3", len(l.requests))
	}
	once := l.requests[0].Header.Get("Idempotency-Key")
	for _, r := range l.requests {
		if got := r.Header.Get("Idempotency-Key"); got == "" || got != once {
			t.Errorf("key %q, that of the first was %q", got, once)
		}
	}
	second, err := c.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"})
	if err != nil || second.Results[0].Score != "10" {
		t.Fatalf("another submit: %+v, %v", second, err)
	}
	// The same again, by who kept the key.
	again, err := c.Once(once).Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"})
	if diff := cmp.Diff(first, again); diff != "" || err != nil {
		t.Errorf("%v (-first +again):\n%s", err, diff)
	}
	_, err = c.Once(once).Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "6"})
	if client.CodeOf(err) != "idempotency_key_reused" {
		t.Errorf("another score under the key: %v", err)
	}
}

// TestLostAnswersAreTheCallersWithoutAttempts sends nothing twice unless told to.
func TestLostAnswersAreTheCallersWithoutAttempts(t *testing.T) {
	s := newServer(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	l := &loser{lose: 1, RoundTripper: transport, lost: func() {}}
	c, err := client.New("http://"+s.listen, client.Options{APIKey: key, HTTPClient: &http.Client{Transport: l}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"}); err == nil {
		t.Fatal("a lost answer is no error")
	}
	if len(l.requests) != 1 || l.requests[0].Header.Get("Idempotency-Key") != "" {
		t.Errorf("%d requests, the first with the key %q", len(l.requests), l.requests[0].Header.Get("Idempotency-Key"))
	}
}
