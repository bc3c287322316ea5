package telemetry

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLoggerWritesItsFormatFromItsLevel(t *testing.T) {
	for format, want := range map[string]string{"text": "level=WARN msg=told board=eu", "json": `"level":"WARN","msg":"told","board":"eu"`} {
		var out bytes.Buffer
		log, err := NewLogger(&out, format, "warn")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("not told")
		log.Warn("told", "board", "eu")
		if got := out.String(); !strings.Contains(got, want) || strings.Contains(got, "not told") {
			t.Errorf("%s log is %q, want only the warning %q", format, got, want)
		}
		if format == "json" && !json.Valid(out.Bytes()) {
			t.Errorf("log is not JSON: %s", out.Bytes())
		}
	}
}

func TestLoggerRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, c := range []struct{ format, level string }{{"xml", "info"}, {"text", "loud"}, {"text", ""}, {"", "info"}, {"text", "info+2"}} {
		if _, err := NewLogger(io.Discard, c.format, c.level); err == nil {
			t.Errorf("NewLogger with format %q and level %q has no error", c.format, c.level)
		}
	}
}

func TestDebugHandlerHasProfilesAndMetrics(t *testing.T) {
	server := httptest.NewServer(DebugHandler(NewRegistry("v1.2.3")))
	defer server.Close()
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile:",
		"/metrics":                       `laurel_build_info{go_version="go`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s answers %d without %q (%v)", path, res.StatusCode, want, err)
		}
	}
}
