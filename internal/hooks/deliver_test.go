package hooks

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestPausesGrow(t *testing.T) {
	h, err := New(nil, []Hook{{Name: "x", URL: "http://127.0.0.1:1", Secrets: []string{"0123456789abcdef"}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1000: 5 * time.Minute} {
		seen := map[time.Duration]bool{}
		for range 100 {
			d := h.workers[0].pause(failures)
			if d > want || d < want/2-1 {
				t.Errorf("pause after %d failures = %v, want from half of %v to all of it", failures, d, want)
			}
			seen[d] = true
		}
		if len(seen) < 50 {
			t.Errorf("%d different pauses of 100 after %d failures", len(seen), failures)
		}
	}
}

// A target may ask for a longer pause, within reason.
func TestTargetAsksForAPause(t *testing.T) {
	for header, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "86400": 5 * time.Minute, "-1": 0, "soon": 0} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		t.Cleanup(server.Close)
		h, err := New(nil, []Hook{{Name: "x", URL: server.URL, Secrets: []string{"0123456789abcdef"}}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := h.workers[0]
		t.Cleanup(w.client.CloseIdleConnections)
		wait, err := w.post(t.Context(), event{ID: "1"})
		if wait != want || err == nil || err.Error() != "the target answers 429 Too Many Requests" {
			t.Errorf("Retry-After %q: pause of %v, %v, want %v", header, wait, err, want)
		}
	}
}
