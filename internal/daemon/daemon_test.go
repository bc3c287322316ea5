package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"laurel/client"
	"laurel/internal/localstore"
)

// A request of the SDK leaves a goroutine that waits for its timeout, five
// seconds, if the connection was made again before.
var sdkTimeout = goleak.IgnoreTopFunction("github.com/centrifugal/centrifuge-go.(*Client).sendAsync.func1")

// The library waits a second before it lets go of a channel, also when the node has ended.
var channelsEnd = goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, sdkTimeout, channelsEnd) }

const key = "0123456789abcdef"

// running is a daemon that serves until its test ends.
type running struct {
	*Daemon
	url  string
	stop func() error // tells it to stop, and waits until it has
}

func run(t *testing.T, opts Options) running {
	t.Helper()
	if opts.Data == "" {
		opts.Data = t.TempDir()
	}
	if opts.Listen == "" && opts.Listener == nil {
		opts.Listen = "127.0.0.1:0"
	}
	opts.APIKey = key
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	d, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	url := "http://" + d.Addr().String()
	until(t, "at first", func() error { // it may be asked before its parts run
		if answer := get(t, url+"/readyz"); answer.status != http.StatusOK {
			return errors.New(answer.text)
		}
		return nil
	})
	return running{d, url, stop}
}

func connect(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.Options{APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer is what a server said to a GET over a connection of its own.
type answer struct {
	status int
	kind   string
	text   string
}

func get(t *testing.T, url string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header.Get("Content-Type"), body(t, res)}
}

func TestScoreReachesViewer(t *testing.T) {
	d := run(t, Options{})
	c := connect(t, d.url)
	if _, err := c.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for table, err := range c.Watch(t.Context(), "race", client.WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(table.Entries) == 0 {
			continue // the board was new
		}
		n++
		if n == 1 {
			if got := fmt.Sprint(table.Entries[0].Member, table.Entries[0].Score); got != "alice5" {
				t.Errorf("first table is led by %s, want alice5", got)
			}
			if _, err := c.Submit(t.Context(), "race", client.Submission{Member: "bob", Score: "7"}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if len(table.Entries) == 2 {
			if got := fmt.Sprint(table.Entries[0].Member, table.Entries[0].Score); got != "bob7" {
				t.Errorf("second table is led by %s, want bob7", got)
			}
			break
		}
	}
	if n < 2 {
		t.Errorf("viewer saw %d tables, want 2", n)
	}
}

func TestAllOfItAnswers(t *testing.T) {
	d := run(t, Options{Version: "v1.2.3", DebugListen: "127.0.0.1:0"})
	for path, want := range map[string]answer{
		"/":                {200, "text/html; charset=utf-8", "<div id=\"root\">"},
		"/b/race":          {200, "text/html; charset=utf-8", "<div id=\"root\">"},
		"/healthz":         {200, "application/json", "ok"},
		"/readyz":          {200, "application/json", `"status":"ready"`},
		"/openapi.json":    {200, "application/json", `"3.1`},
		"/docs":            {200, "text/html; charset=utf-8", "v1.2.3"},
		"/v1/leaderboards": {200, "application/json", "leaderboards"},
		"/v1/nothing":      {404, "application/problem+json", "not_found"},
		"/nothing":         {404, "application/problem+json", "not_found"},
		"/v2/leaderboards": {404, "application/problem+json", "not_found"},
		"/connection/":     {404, "application/problem+json", "not_found"},
		"/debug/pprof/":    {404, "application/problem+json", "not_found"},
	} {
		got := get(t, d.url+path)
		if got.status != want.status || got.kind != want.kind || !strings.Contains(got.text, want.text) {
			t.Errorf("%s answers %d, %s, want %v:\n%.300s", path, got.status, got.kind, want, got.text)
		}
	}
	metrics := get(t, d.url+"/metrics").text
	for _, name := range []string{
		`laurel_build_info{`, `version="v1.2.3"`, "go_goroutines", "laurel_store_", "laurel_feed_", "laurel_http_", "centrifuge_",
	} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	if got := get(t, "http://"+d.DebugAddr().String()+"/debug/pprof/cmdline"); got.status != http.StatusOK {
		t.Errorf("the debug listener answers %d", got.status)
	}
}

// Everything that was acknowledged while the daemon was told to stop is there
// when it starts again.
func TestStopLosesNothing(t *testing.T) {
	data := t.TempDir()
	d := run(t, Options{Data: data})
	c := connect(t, d.url)
	var acknowledged atomic.Int64
	var wg sync.WaitGroup
	enough := make(chan struct{})
	for w := range 8 {
		wg.Go(func() {
			for {
				_, err := c.Submit(t.Context(), "sum", client.Submission{Member: fmt.Sprint("m", w), Score: "1"})
				if err != nil {
					return // it has stopped; whether this one counts is not known
				}
				if acknowledged.Add(1) == 200 {
					close(enough)
				}
			}
		})
	}
	<-enough
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()

	again := run(t, Options{Data: data})
	total := int64(0)
	for entry, err := range connect(t, again.url).All(t.Context(), "sum") {
		if err != nil {
			t.Fatal(err)
		}
		n, _ := entry.Score.Int64()
		total += n
	}
	// Each of the 8 may have had one request whose answer did not arrive.
	if acked := acknowledged.Load(); total < acked || total > acked+8 {
		t.Errorf("after the restart the board adds up to %d, want the %d that were acknowledged", total, acked)
	}
}

func TestViewersComeBackAfterARestart(t *testing.T) {
	data := t.TempDir()
	d := run(t, Options{Data: data})
	address := d.Addr().String()
	c := connect(t, d.url)
	if _, err := c.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"}); err != nil {
		t.Fatal(err)
	}
	var states []client.State
	opts := client.WatchOptions{OnState: func(s client.State, _ error) { states = append(states, s) }}
	last := uint64(0)
	for table, err := range c.Watch(t.Context(), "race", opts) {
		if err != nil {
			t.Fatal(err)
		}
		if table.Rev <= last {
			t.Errorf("table has rev %d after %d", table.Rev, last)
		}
		last = table.Rev
		if len(table.Entries) == 0 {
			continue // the board was new
		}
		if len(table.Entries) == 2 {
			break
		}
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		d = run(t, Options{Data: data, Listen: address})
		if _, err := c.Submit(t.Context(), "race", client.Submission{Member: "bob", Score: "6"}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprint(slices.Compact(states)), "[connecting live connecting live]"; got != want {
		t.Errorf("the states were %s, want %s", got, want)
	}
}

func TestReadinessTurnsRedFirst(t *testing.T) {
	d := run(t, Options{DrainDelay: time.Second})
	if got := get(t, d.url+"/readyz"); got.status != http.StatusOK {
		t.Fatalf("/readyz answers %d before the end, want 200", got.status)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = d.stop() }) // its error is looked at when the test ends
	for {
		got := get(t, d.url+"/readyz")
		if got.status == http.StatusOK {
			continue // it has not been told yet
		}
		if got.status != http.StatusServiceUnavailable || !strings.Contains(got.text, "the server is stopping") {
			t.Errorf("/readyz answers %d while stopping, want 503 and why: %s", got.status, got.text)
		}
		break
	}
	// Meanwhile everything goes on.
	if _, err := connect(t, d.url).Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "1"}); err != nil {
		t.Errorf("a score before the listener is closed: %v", err)
	}
}

// submitSlowly sends a request but for the end of its body, waits until the
// daemon has been told to stop and takes no more connections, and returns the
// connection.
func submitSlowly(t *testing.T, d running, wg *sync.WaitGroup) net.Conn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", d.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "POST /v1/leaderboards/race/scores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"X-API-Key: "+key+"\r\nContent-Length: 29\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	// The server asks for the body, so the request is under way.
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("answer is %q (%v), want 100 Continue", line, err)
	}
	wg.Go(func() { _ = d.stop() }) // its error is looked at when the test ends
	for {
		probe, err := dialer.DialContext(t.Context(), "tcp", d.Addr().String())
		if err != nil {
			return conn
		}
		probe.Close()
	}
}

func TestRequestUnderWayIsFinished(t *testing.T) {
	data := t.TempDir()
	d := run(t, Options{Data: data})
	var wg sync.WaitGroup
	conn := submitSlowly(t, d, &wg)
	if _, err := io.WriteString(conn, `{"member":"alice", "score":5}`); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "200 OK") {
		t.Fatalf("the request under way is answered %q (%v), want 200", answer, err)
	}
	wg.Wait()

	again := run(t, Options{Data: data})
	if entry, err := connect(t, again.url).Entry(t.Context(), "race", "alice"); err != nil || entry.Score != "5" {
		t.Errorf("after the restart alice has %s (%v), want the 5 that were acknowledged", entry.Score, err)
	}
}

func TestRequestThatDoesNotEndIsCutOff(t *testing.T) {
	d := run(t, Options{ShutdownTimeout: 50 * time.Millisecond})
	var wg sync.WaitGroup
	conn := submitSlowly(t, d, &wg)
	wg.Wait() // would take the ten seconds that a body may take
	if answer, err := io.ReadAll(conn); strings.Contains(string(answer), "200 OK") {
		t.Errorf("the request that did not end is answered %q (%v)", answer, err)
	}
}

// broken is a listener that cannot accept.
type broken struct{ net.Listener }

var errBroken = errors.New("no more connections")

func (broken) Accept() (net.Conn, error) { return nil, errBroken }

func TestOnePartFailingStopsTheRest(t *testing.T) {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	d, err := Open(t.Context(), Options{Data: data, Listener: broken{l}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "listener: ") {
		t.Errorf("Run = %v, want the listener's error", err)
	}
	run(t, Options{Data: data}) // the store was closed
}

func TestOpenNamesTheOwner(t *testing.T) {
	data := t.TempDir()
	run(t, Options{Data: data})
	_, err := Open(t.Context(), Options{Data: data, Listen: "127.0.0.1:0"})
	used, ok := errors.AsType[*localstore.InUseError](err)
	if !ok || used.PID != os.Getpid() {
		t.Errorf("error is %v, want that this process uses the directory", err)
	}
}

func TestKeyIsMadeOnce(t *testing.T) {
	data := t.TempDir()
	taken := run(t, Options{}) // an address that cannot be had
	if _, err := Open(t.Context(), Options{Data: data, Listen: taken.Addr().String()}); err == nil {
		t.Fatal("two daemons listen on one address")
	}
	if _, err := Open(t.Context(), Options{Data: data, Listen: "127.0.0.1:0", Origins: []string{"game.example"}}); err == nil {
		t.Fatal("an origin without a scheme is taken")
	}
	for start := range 2 {
		d, err := Open(t.Context(), Options{Data: data, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if made := d.NewKey() != ""; made != (start == 0) {
			t.Errorf("start %d made a key: %v, want only the first that succeeds to make one", start+1, made)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
