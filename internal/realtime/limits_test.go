package realtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

func TestClientsAreRefused(t *testing.T) {
	w := newWorld(t, Options{})
	w.submit("race", "alice", 7)
	long := strings.Repeat("x", leaderboard.MaxMember)
	p := w.websocket(nil)
	p.subscribe(2, "board:race", "")
	for id, c := range []struct {
		command string
		code    uint32
	}{
		{`"subscribe":{"channel":"board:other"}`, 102},
		{`"subscribe":{"channel":"board:"}`, 102},
		{`"subscribe":{"channel":"board:no such id"}`, 102},
		{`"subscribe":{"channel":"race"}`, 102},
		{`"subscribe":{"channel":"Board:race"}`, 102},
		{`"subscribe":{"channel":"$private"}`, 102},
		{`"subscribe":{"channel":"rank:race"}`, 102},
		{`"subscribe":{"channel":"rank:race#"}`, 102},
		{`"subscribe":{"channel":"rank:race#a\u0000b"}`, 102},
		{`"subscribe":{"channel":"rank:other#alice"}`, 102},
		{`"subscribe":{"channel":"rank:#alice"}`, 102},
		{`"subscribe":{"channel":"rank:race#` + long + `x"}`, 102},
		{`"subscribe":{"channel":"` + strings.Repeat("x", maxChannelLength+1) + `"}`, 107},
		{`"subscribe":{"channel":"board:race"}`, 105}, // is already
		{`"publish":{"channel":"board:race","data":{}}`, 108},
		{`"publish":{"channel":"rank:race#alice","data":{}}`, 108},
		{`"presence":{"channel":"board:race"}`, 108},
		{`"presence_stats":{"channel":"board:race"}`, 108},
		{`"history":{"channel":"board:race","limit":10}`, 108},
		{`"rpc":{"method":"top"}`, 108}, // this node has no calls
		{`"sub_refresh":{"channel":"board:race"}`, 108},
		{`"refresh":{"token":"x"}`, 108},
	} {
		p.send(fmt.Sprintf(`{"id":%d,%s}`, id+10, c.command))
		r := p.next()
		if r.Error == nil || r.Error.Code != c.code {
			t.Errorf("%s: reply %+v, want error %d", c.command, r, c.code)
		}
	}
	// The connection lives, and the longest channel is one.
	if r := p.subscribe(99, "rank:race#"+long, ""); r.Subscribe == nil {
		t.Errorf("reply = %+v, want a subscription", r)
	}
}

func TestHostileFramesEndTheConnection(t *testing.T) {
	w := newWorld(t, Options{})
	for name, c := range map[string]struct {
		frame string
		code  websocket.StatusCode
	}{
		"not JSON":        {`]`, 3501},
		"empty":           {``, 3501},
		"no such command": {`{"id":2,"fly":{}}`, 3501},
		"wrong type":      {`{"id":2,"subscribe":{"channel":7}}`, 3501},
		"without id":      {`{"subscribe":{"channel":"board:race"}}`, 3501},
		"no channel":      {`{"id":2,"subscribe":{}}`, 3501},
		"message":         {`{"send":{"data":{}}}`, 3508},
		"connect twice":   {connect, 3501},
		"unknown delta":   {`{"id":2,"subscribe":{"channel":"board:race","delta":"xdelta"}}`, 3501},
		"deep":            {strings.Repeat(`{"a":`, 5000), 3501},
	} {
		t.Run(name, func(t *testing.T) {
			w.T = t
			p := w.websocket(nil)
			p.send(c.frame)
			want(t, "close code", p.closing(), c.code)
		})
	}
}

func TestTooLargeFrameEndsTheConnection(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.websocket(nil)
	frame := `{"id":2,"subscribe":{"channel":"` + strings.Repeat("x", maxMessage) + `"}}`
	// The server does not read on, so that the end may come before all is
	// written, and its reason be lost.
	if err := p.write(frame); err == nil {
		if code := p.closing(); code != websocket.StatusMessageTooBig && code != -1 {
			t.Errorf("close code %d, want that the message is too big", code)
		}
	}
	p = w.websocket(nil)
	p.send(`{"id":2,"subscribe":{"channel":"` + strings.Repeat("x", maxMessage-100) + `"}}`)
	if r := p.next(); r.Error == nil {
		t.Errorf("reply %+v, want an error", r)
	}
}

func TestHostileRequests(t *testing.T) {
	w := newWorld(t, Options{})
	large := strings.Repeat("x", maxMessage+1)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/connection/websocket", "", http.StatusBadRequest}, // no upgrade
		{"GET", "/connection/sse", "", http.StatusBadRequest},       // no command
		{"DELETE", "/connection/sse", "", http.StatusMethodNotAllowed},
		{"POST", "/connection/sse", large, http.StatusRequestEntityTooLarge},
		{"GET", "/connection/http_stream", "", http.StatusMethodNotAllowed},
		{"POST", "/connection/http_stream", large, http.StatusRequestEntityTooLarge},
		{"GET", "/emulation", "", http.StatusMethodNotAllowed},
		{"POST", "/emulation", "not JSON", http.StatusBadRequest},
		{"POST", "/emulation", `{"node":"x","session":"y","data":"z"}`, http.StatusNotFound},
		{"POST", "/emulation", large, http.StatusRequestEntityTooLarge},
		{"GET", "/connection/other", "", http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, w.server.URL+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %s %.20q: status %d, want %d", c.method, c.path, c.body, resp.StatusCode, c.status)
		}
	}
}

// A body that does not arrive is given up, also where none is read, and what is
// left of its connection ends.
func TestSlowBodiesAreGivenUp(t *testing.T) {
	w := newWorld(t, Options{BodyTimeout: 50 * time.Millisecond})
	w.submit("race", "alice", 7)
	p := w.stream("/connection/http_stream")
	for _, c := range []struct {
		request string
		status  int
	}{
		{"POST /connection/http_stream", http.StatusRequestTimeout},
		{"POST /connection/sse", http.StatusRequestTimeout},
		{"POST /emulation", http.StatusRequestTimeout},
		{"GET /emulation", http.StatusRequestTimeout},
		{"GET /connection/sse?cf_connect={}", http.StatusRequestTimeout},
		{"OPTIONS /emulation", http.StatusNoContent},
		{"POST /emulation HTTP/1.1\r\nOrigin: https://evil.example", http.StatusForbidden},
	} {
		for _, body := range []string{"Content-Length: 24\r\n\r\n{\"id\":", "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"id"} {
			request := c.request
			if !strings.Contains(request, "HTTP/1.1") {
				request += " HTTP/1.1"
			}
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, request+"\r\nHost: x\r\n"+body); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if status := fmt.Sprintf("HTTP/1.1 %d ", c.status); err != nil || !strings.HasPrefix(string(answer), status) {
				t.Errorf("%q is answered %.100q (%v), want %s", request, answer, err, status)
			}
			_ = conn.Close()
		}
	}
	// The time was for the body alone: by now it has passed for a stream, too.
	want(t, "leader", p.subscribe(2, "board:race", "").Subscribe.Publications[0].table(t).Leaders[0].Name, "alice")
}

func TestOrigins(t *testing.T) {
	w := newWorld(t, Options{Origins: []string{"https://game.example", "http://localhost:5173"}})
	open := newWorld(t, Options{Origins: []string{"*"}})
	own := w.server.URL
	for _, c := range []struct {
		origin       string
		listed, open bool
	}{
		{"", true, true}, // a program
		{"https://game.example", true, true},
		{"https://GAME.example", true, true},
		{"http://localhost:5173", true, true},
		{own, true, false}, // own is that of w
		{"http://game.example", false, true},
		{"https://game.example:8443", false, true},
		{"https://game.example.evil.example", false, true},
		{"http://localhost", false, true},
		{"null", false, true},
		{"not an origin", false, true},
	} {
		for _, path := range []string{"/connection/websocket", "/connection/sse", "/connection/http_stream", "/emulation"} {
			for _, s := range []struct {
				*world
				want bool
			}{{w, c.listed}, {open, c.open || c.origin == own}} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.server.URL+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				if c.origin != "" {
					req.Header.Set("Origin", c.origin)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if got := resp.StatusCode == http.StatusNoContent; got != s.want {
					t.Errorf("%s from %q: status %d", path, c.origin, resp.StatusCode)
				}
				if got := resp.Header.Get("Access-Control-Allow-Origin"); s.want && got != c.origin || !s.want && got != "" {
					t.Errorf("%s from %q: allowed is %q", path, c.origin, got)
				}
			}
		}
	}
	// It holds for the connection itself, too.
	header := http.Header{"Origin": {"https://evil.example"}}
	_, resp, err := websocket.Dial(t.Context(), w.url("/connection/websocket"), &websocket.DialOptions{HTTPHeader: header}) //nolint:bodyclose // Dial closes it
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin: %v, %v", resp, err)
	}
	header.Set("Origin", "https://game.example")
	w.websocket(&websocket.DialOptions{HTTPHeader: header})
}

func TestNewRefusesOriginsThatAreNone(t *testing.T) {
	for _, origin := range []string{"", "game.example", "https://", "https://game.example/", "https://game.example/path", "https://*.example/", "https://user@game.example", "//x"} {
		if _, err := New(nil, Options{Origins: []string{origin}}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", origin)) {
			t.Errorf("origin %q: %v, want an error that names it", origin, err)
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.websocket(nil)
	for i := range maxChannels {
		w.create(leaderboard.Board{ID: fmt.Sprint("b", i)})
	}
	for i := range maxRanks {
		if r := p.subscribe(1000+i, fmt.Sprintf("rank:b%d#alice", i), ""); r.Subscribe == nil {
			t.Fatalf("rank %d: %+v", i, r)
		}
	}
	if r := p.subscribe(2000, "rank:b0#bob", ""); r.Error == nil || r.Error.Code != centrifuge.ErrorLimitExceeded.Code {
		t.Errorf("one rank more: %+v, want that the limit is reached", r)
	}
	p.send(`{"id":2001,"unsubscribe":{"channel":"rank:b0#alice"}}`)
	p.next()
	if r := p.subscribe(2002, "rank:b0#bob", ""); r.Subscribe == nil {
		t.Errorf("another rank in the place of one: %+v", r)
	}
	for i := range maxChannels - maxRanks {
		if r := p.subscribe(3000+i, fmt.Sprint("board:b", i), ""); r.Subscribe == nil {
			t.Fatalf("board %d: %+v", i, r)
		}
	}
	if r := p.subscribe(4000, fmt.Sprint("board:b", maxChannels-1), ""); r.Error == nil || r.Error.Code != centrifuge.ErrorLimitExceeded.Code {
		t.Errorf("one channel more: %+v, want that the limit is reached", r)
	}
}

// The longest subscriptions that one connection may have fit in one frame, in
// which an SDK renews them.
func TestAllSubscriptionsFitInOneFrame(t *testing.T) {
	w := newWorld(t, Options{})
	w.create(leaderboard.Board{ID: strings.Repeat("b", leaderboard.MaxBoardID)})
	var frame strings.Builder
	for i := range maxRanks {
		member := fmt.Sprintf("%0*d", leaderboard.MaxMember, i)
		fmt.Fprintf(&frame, `{"id":%d,"subscribe":{"channel":"rank:%s#%s","recover":true,"epoch":"abcdef","offset":123456789}}`+"\n", 10_000+i, strings.Repeat("b", leaderboard.MaxBoardID), member)
	}
	for i := maxRanks; i < maxChannels; i++ {
		id := fmt.Sprintf("%0*d", leaderboard.MaxBoardID, i)
		w.create(leaderboard.Board{ID: id})
		fmt.Fprintf(&frame, `{"id":%d,"subscribe":{"channel":"board:%s","recover":true,"epoch":"abcdef","offset":123456789,"delta":"fossil"}}`+"\n", 10_000+i, id)
	}
	t.Logf("%d bytes", frame.Len())
	p := w.websocket(nil)
	p.send(frame.String())
	for range maxChannels {
		if r := p.next(); r.Subscribe == nil {
			t.Fatalf("reply = %+v", r)
		}
	}
}

// Who does not read is closed when more waits than may, and holds up nobody.
func TestSlowConnectionIsClosed(t *testing.T) {
	metrics := prometheus.NewRegistry()
	w := newWorld(t, Options{QueueSize: 64 << 10, Metrics: metrics})
	w.create(leaderboard.Board{ID: "race"})
	slow, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	_, err = io.WriteString(slow, "POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: 71\r\n\r\n"+
		`{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":"board:race"}}    `)
	if err != nil {
		t.Fatal(err)
	}
	quick := w.websocket(nil)
	quick.subscribe(2, "board:race", "")
	hub := w.node.node.Hub()
	var head []byte // of what the slow one is sent; it does not read on
	for buf := make([]byte, 1); !bytes.Contains(head, []byte(`"subscribe":{`)); head = append(head, buf...) {
		if _, err := io.ReadFull(slow, buf); err != nil {
			t.Fatalf("%v after %s", err, head)
		}
	}
	want(t, "subscribers", hub.NumSubscribers("board:race"), 2)

	row := strings.Repeat("x", 60<<10)
	var rev uint64
	for hub.NumSubscribers("board:race") == 2 {
		rev++
		if rev == 10_000 {
			t.Fatal("a connection that does not read is kept")
		}
		data := fmt.Appendf(nil, `{"leaders":[{"name":%q,"score":1}],"total":1,"season":1,"rev":%d}`, row, rev)
		if err := w.node.Publish(t.Context(), feed.Publication{Board: "race", Rev: rev + 1, Epoch: "model", Data: data}); err != nil {
			t.Fatal(err)
		}
		want(t, "rev at the one who reads", quick.pushed().table(t).Rev, rev)
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "laurel_centrifuge_client_num_server_disconnects" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "code" {
					codes[label.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	want(t, "disconnects", codes, map[string]float64{"3008": 1})
}

func TestCalls(t *testing.T) {
	begun, release := make(chan struct{}, 3*maxCalls), make(chan struct{})
	var active, most atomic.Int32
	w := newWorld(t, Options{RPC: func(ctx context.Context, method string, params []byte) ([]byte, error) {
		switch method {
		case "slow":
			most.Store(max(most.Load(), active.Add(1)))
			begun <- struct{}{}
			defer active.Add(-1)
			select {
			case <-release:
			case <-ctx.Done():
			}
		case "top":
			return params, nil
		case "missing":
			return nil, fmt.Errorf("inner: %w", leaderboard.Errorf(leaderboard.CodeMemberNotFound, "member %q is not on board %q", "x", "race"))
		case "closing":
			return nil, leaderboard.ErrShuttingDown
		case "unknown":
			return nil, leaderboard.Errorf("not_found", "no method")
		case "broken":
			return nil, errors.New("disk on fire")
		case "panics":
			panic("oh")
		}
		return []byte(`1`), nil
	}})
	p := w.websocket(nil)
	for id, c := range []struct {
		method, want string
		code         uint32
		temporary    bool
	}{
		{"top", `{"board":"race"}`, 0, false},
		{"missing", `member "x" is not on board "race"`, 1001, false},
		{"closing", "shutting down", 1021, true},
		{"unknown", "no method", 104, false},
		{"broken", "internal server error", 100, true},
		{"panics", "internal server error", 100, true},
	} {
		p.send(fmt.Sprintf(`{"id":%d,"rpc":{"method":%q,"data":{"board":"race"}}}`, id+2, c.method))
		switch r := p.next(); {
		case c.code == 0:
			want(t, c.method, string(r.RPC.Data), c.want)
		case r.Error == nil:
			t.Errorf("%s: reply %+v, want an error", c.method, r)
		default:
			want(t, c.method, r.Error.Code, c.code)
			want(t, c.method, r.Error.Message, c.want)
			want(t, c.method, r.Error.Temporary, c.temporary)
		}
	}

	for id := range 3 * maxCalls {
		p.send(fmt.Sprintf(`{"id":%d,"rpc":{"method":"slow"}}`, id+100))
	}
	// Other connections are not held up.
	other := w.websocket(nil)
	other.send(`{"id":2,"rpc":{"method":"top","data":7}}`)
	want(t, "other", string(other.next().RPC.Data), "7")
	for range maxCalls {
		<-begun
	}
	close(release)
	for range 3 * maxCalls {
		p.next()
	}
	want(t, "calls at once", most.Load(), maxCalls)
}

// Run ends with calls under way; their clients are gone.
func TestRunWaitsForCalls(t *testing.T) {
	begun := make(chan struct{})
	var ended atomic.Bool
	w := newWorld(t, Options{RPC: func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		close(begun)
		<-ctx.Done()
		ended.Store(true)
		return nil, ctx.Err()
	}})
	w.websocket(nil).send(`{"id":2,"rpc":{"method":"slow"}}`)
	<-begun
	w.stop()
	if !ended.Load() {
		t.Error("Run has returned before the call")
	}
}

func TestHandlerBeforeRun(t *testing.T) {
	node, err := New(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	node.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/connection/sse?cf_connect={}", http.NoBody))
	want(t, "status", answer.Code, http.StatusServiceUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := node.Publish(ctx, feed.Publication{Board: "race", Rev: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish = %v, want that it waits for the node", err)
	}
}

func TestLogIsLimited(t *testing.T) {
	var out bytes.Buffer
	log := newLogHandler(slog.New(slog.NewJSONHandler(&out, nil)))
	for range 1000 {
		log(centrifuge.LogEntry{Level: centrifuge.LogLevelError, Message: "error", Fields: map[string]any{"data": strings.Repeat("x", 1000)}})
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n < maxLines || n > 3*maxLines {
		t.Errorf("%d lines, want about %d", n, maxLines)
	}
	for line := range bytes.Lines(out.Bytes()) {
		var entry struct{ Level, Msg, Event, Data string }
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatal(err)
		}
		want(t, "level", entry.Level, "WARN")
		want(t, "event", entry.Event, "error")
		if len(entry.Data) > 250 {
			t.Errorf("%d bytes of data are logged", len(entry.Data))
		}
	}
}

// FuzzCommands sends whatever comes to a connection: it may end, the node may not.
func FuzzCommands(f *testing.F) {
	for _, frame := range []string{
		`{"id":2,"subscribe":{"channel":"board:race","recover":true,"delta":"fossil"}}`,
		`{"id":2,"subscribe":{"channel":"rank:race#alice"}}` + "\n" + `{"id":3,"unsubscribe":{"channel":"rank:race#alice"}}`,
		`{"id":2,"rpc":{"method":"top","data":{}}}`, `{"id":2,"publish":{"channel":"board:race","data":{}}}`,
		`{"id":2,"history":{"channel":"board:race"}}`, `{}`, `{"id":2,"subscribe":{"channel":"board:race","type":1}}`,
		`{"id":2,"subscribe":{"channel":"board:race","type":4,"tf":{}}}`, `{"id":2,"sub_refresh":{"channel":"board:race","type":1}}`,
	} {
		f.Add([]byte(frame), false)
	}
	f.Add([]byte("\x10\x08\x02\x2a\x0c\x0a\x0aboard:race"), true)
	store := storetest.NewModel()
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	if _, err := service.Submit(f.Context(), "race", []leaderboard.Submission{{Member: "alice"}}); err != nil {
		f.Fatal(err)
	}
	node, err := New(store, Options{RPC: func(context.Context, string, []byte) ([]byte, error) { return []byte(`1`), nil }})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	<-node.running
	server := httptest.NewServer(node.Handler())
	f.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.Error(err)
		}
		server.Close()
	})
	f.Fuzz(func(t *testing.T, frame []byte, protobuf bool) {
		hello, call := []byte(connect), []byte(`{"id":99,"rpc":{}}`)
		kind, path := websocket.MessageText, "/connection/websocket"
		if protobuf { // the same two commands, each with its length before it
			hello, call = []byte("\x04\x08\x01\x22\x00"), []byte("\x04\x08\x63\x6a\x00")
			kind, path = websocket.MessageBinary, path+"?format=protobuf"
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http")+path, nil) //nolint:bodyclose // the body of an upgrade is the connection
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseNow() }()
		if err := conn.Write(ctx, kind, hello); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(ctx); err != nil {
			t.Fatal(err)
		}
		// Either the connection is ended, or the call is answered, be it after other answers.
		_ = conn.Write(ctx, kind, frame)
		_ = conn.Write(ctx, kind, call)
		for {
			_, answer, err := conn.Read(ctx)
			if ctx.Err() != nil {
				t.Fatal("no answer")
			}
			if err != nil || bytes.Contains(answer, []byte(`"id":99`)) || bytes.Contains(answer, []byte("\x08\x63")) {
				return
			}
		}
	})
}

// failing is a store that cannot read tables.
type failing struct{ *counted }

func (failing) Entries(context.Context, leaderboard.Ref, leaderboard.Range) (leaderboard.Page, error) {
	return leaderboard.Page{}, errors.New("disk on fire")
}

// A client whose subscription fails because of the store keeps its connection
// and is told to try again.
func TestStoreThatFails(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	w.submit("race", "alice", 7)
	p := w.websocket(nil)
	refused := func(id int, channel string) {
		t.Helper()
		if r := p.subscribe(id, channel, ""); r.Error == nil || r.Error.Code != 100 || !r.Error.Temporary {
			t.Errorf("%s: reply %+v, want a temporary error", channel, r)
		}
	}
	w.node.reader = failing{w.store}
	for id := range 50 {
		refused(id+2, "board:race")
	}
	w.node.reader = w.store
	if r := p.subscribe(99, "board:race", ""); r.Subscribe == nil {
		t.Errorf("reply %+v, want a subscription", r)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	refused(100, "board:race2")
	refused(101, "rank:race#alice")
	w.stop()
	if n := strings.Count(log.String(), "disk on fire"); n == 0 || n > 4*maxLines {
		t.Errorf("the cause is logged %d times, want about %d", n, maxLines)
	}
}
