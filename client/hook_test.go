package client_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"laurel/client"
)

// signed is a delivery that was signed at a time.
func signed(t *testing.T, at time.Time, secret, body string) *http.Request {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/laurel", strings.NewReader(body))
	r.Header.Set("Laurel-Signature", fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil))))
	return r
}

func TestReadHook(t *testing.T) {
	const body = `{"id":"1","delivery":"1-2","event":"season_ended","board":"race","season":3,"at":"2026-11-24T00:00:00.02Z",
		"ended_at":"2026-11-24T00:00:00Z","standing":{"page":2,"pages":2,"total":2,"entries":[{"rank":2,"member":"bob","score":7.5}]}}`
	e, err := client.ReadHook(signed(t, time.Now(), "now", body), "before", "now")
	if err != nil {
		t.Fatal(err)
	}
	if e.Delivery != "1-2" || e.Event != client.HookSeasonEnded || e.Standing == nil || e.Standing.Entries[0].Score != "7.5" || e.EndedAt.IsZero() {
		t.Errorf("event = %+v", e)
	}
	for what, r := range map[string]*http.Request{
		"another secret":       signed(t, time.Now(), "another", body),
		"an empty secret":      signed(t, time.Now(), "", body),
		"six minutes ago":      signed(t, time.Now().Add(-6*time.Minute), "now", body),
		"six minutes from now": signed(t, time.Now().Add(6*time.Minute), "now", body),
	} {
		if _, err := client.ReadHook(r, "now", ""); !errors.Is(err, client.ErrHookSignature) {
			t.Errorf("%s: %v, want ErrHookSignature", what, err)
		}
	}
	for _, header := range []string{"", "t=", "v1=00", "t=x,v1=00", "t=1,v1=zz", ",,=", "t=99999999999999999999,v1=00"} {
		if err := client.VerifyHook(header, []byte(body), client.HookTolerance, "now"); !errors.Is(err, client.ErrHookSignature) {
			t.Errorf("%q: %v, want ErrHookSignature", header, err)
		}
	}
	if _, err := client.ReadHook(signed(t, time.Now(), "now", `{"id":`), "now"); err == nil || errors.Is(err, client.ErrHookSignature) {
		t.Errorf("half an event: %v", err)
	}
	if _, err := client.ReadHook(signed(t, time.Now(), "now", strings.Repeat(" ", 17<<20)), "now"); err == nil {
		t.Error("17 MiB were read")
	}
}

func ExampleReadHook() {
	http.HandleFunc("POST /laurel", func(w http.ResponseWriter, r *http.Request) {
		event, err := client.ReadHook(r, os.Getenv("HOOK_SECRET"))
		if err != nil {
			http.Error(w, "not signed by Laurel", http.StatusUnauthorized)
			return
		}
		if event.Event == client.HookNewLeader {
			fmt.Println(event.Leader.Member, "leads", event.Board)
		}
	})
}

// The documentation has the example as it is here.
func TestHookExampleOfTheDocumentation(t *testing.T) {
	docs, err := os.ReadFile("../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("hook_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := bytes.Cut(source, []byte("func ExampleReadHook() {\n"))
	code, _, _ = bytes.Cut(code, []byte("\n}\n"))
	example := strings.ReplaceAll(strings.TrimPrefix(string(code), "\t"), "\n\t", "\n")
	if !strings.Contains(string(docs), "```go\n"+example+"\n```") {
		t.Errorf("docs/hooks.md does not have the example:\n%s", example)
	}
}
