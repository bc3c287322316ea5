package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// counter adds up the counters of a name that have one of their labels set to
// each of the values.
func counter(t *testing.T, registry *prometheus.Registry, name string, values ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if has(m.GetLabel(), values) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func has(labels []*dto.LabelPair, values []string) bool {
	for _, want := range values {
		found := false
		for _, label := range labels {
			found = found || label.GetValue() == want
		}
		if !found {
			return false
		}
	}
	return true
}

func TestRequestsAreCountedByRouteAndNotByName(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"secret-board"}`)
	s.must("POST", "/v1/leaderboards/secret-board/scores", `{"member":"secret-member","score":1}`)
	s.must("GET", "/v1/leaderboards/secret-board/entries/secret-member", "")
	s.must("HEAD", "/v1/leaderboards/secret-board/entries/secret-member", "")
	s.send("GET", "/v1/leaderboards/secret-board/entries/another-secret", "")
	s.send("GET", "/secret", "")
	s.send("BREW", "/v1/leaderboards", "")
	s.Close() // so that every request has been counted

	const requests = "laurel_http_requests_total"
	for _, want := range []struct {
		labels []string
		count  float64
	}{
		{[]string{boardsPath, http.MethodPost, "2xx"}, 1},
		{[]string{boardPath + "/scores", http.MethodPost, "2xx"}, 1},
		{[]string{entryPath, http.MethodGet, "2xx"}, 2},
		{[]string{entryPath, http.MethodGet, "4xx"}, 1},
		{[]string{unmatched, "4xx"}, 2},
	} {
		if got := counter(t, s.registry, requests, want.labels...); got != want.count {
			t.Errorf("%v = %v, want %v", want.labels, got, want.count)
		}
	}
	for _, code := range []string{"member_not_found", "not_found", "method_not_allowed"} {
		if got := counter(t, s.registry, "laurel_http_problems_total", code); got != 1 {
			t.Errorf("problems %s = %v, want 1", code, got)
		}
	}
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if text := family.String(); strings.Contains(text, "secret") || strings.Contains(text, "BREW") {
			t.Errorf("%s has a label that a client made up", family.GetName())
		}
	}
}
