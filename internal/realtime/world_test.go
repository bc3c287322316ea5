package realtime

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
	"laurel/internal/redisconn"
	"laurel/internal/redistest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The SDK waits for the answer to a command also when its client was closed.
		goleak.IgnoreTopFunction("github.com/centrifugal/centrifuge-go.(*Client).sendAsync.func1"),
		// The client of a cluster looks after its servers a second later, also when it was closed.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
		// The library waits a second before it lets go of a channel, also when the node has ended.
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"))
}

// patience is how long what must happen may take on a slow machine.
const patience = 30 * time.Second

// client keeps no connections, which would look like leaks.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// world is a node on a real listener, in front of a store.
type world struct {
	*testing.T
	store   *counted
	service *leaderboard.Service
	node    *Realtime
	serving atomic.Pointer[Realtime] // node, for the server
	server  *httptest.Server
	reader  Reader // in place of store, if there is one
	prefix  string // in Redis, if it has one

	emulation string // the server that requests of streaming clients go to, if it is not this one
	metrics   *prometheus.Registry
	stop      func() // ends the node and waits for its end
}

// counted counts the tables that are read.
type counted struct {
	*storetest.Model
	tables atomic.Int64
}

func (c *counted) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	c.tables.Add(1)
	return c.Model.Entries(ctx, at, r)
}

// worlds is how many there were.
var worlds atomic.Int64

func newWorld(t *testing.T, opts Options) *world {
	t.Helper()
	store := &counted{Model: storetest.NewModel()}
	return (&world{
		T: t, store: store, service: leaderboard.NewService(store, leaderboard.ServiceOptions{}),
		prefix: fmt.Sprint("world", worlds.Add(1)),
	}).open(opts)
}

// beside returns another node on the same store and the same Redis.
func (w *world) beside(opts Options) *world {
	w.Helper()
	return (&world{T: w.T, store: w.store, service: w.service, prefix: w.prefix}).open(opts)
}

func (w *world) open(opts Options) *world {
	w.Helper()
	w.start(opts)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.serving.Load().Handler().ServeHTTP(rw, r)
	}))
	w.Cleanup(func() {
		w.stop() // before the server, which waits for requests that stream
		w.server.Close()
	})
	return w
}

// onBothBrokers runs a test on a node that is alone, and on one that shares its
// tables by Redis.
func onBothBrokers(t *testing.T, f func(t *testing.T, opts Options)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { f(t, Options{}) })
	t.Run("redis", func(t *testing.T) { f(t, Options{Redis: onRedis(t, redistest.Start(t).URL())}) })
}

func onRedis(t *testing.T, url string) redisconn.Config {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// start starts a node, the first one or a successor of one that was stopped.
func (w *world) start(opts Options) {
	w.Helper()
	if opts.Prefix == "" {
		opts.Prefix = w.prefix
	}
	if opts.Metrics == nil {
		opts.Metrics = prometheus.NewRegistry()
	}
	w.metrics = opts.Metrics
	reader := w.reader
	if reader == nil {
		reader = w.store
	}
	node, err := New(reader, opts)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	<-node.running
	w.node = node
	w.serving.Store(node)
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
}

// feed runs a feed between the store and the node until the test ends.
func (w *world) feed() {
	ctx, cancel := context.WithCancel(context.Background())
	f := feed.New(w.store, w.node, feed.Options{Observer: w.node})
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("feed: %v", err)
		}
	})
}

func (w *world) create(b leaderboard.Board) {
	w.Helper()
	if _, err := w.service.CreateBoard(w.Context(), b); err != nil {
		w.Fatal(err)
	}
}

func (w *world) submit(board, member string, score int) {
	w.Helper()
	_, err := w.service.Submit(w.Context(), board, []leaderboard.Submission{{Member: member, Score: leaderboard.ScaledDecimal(int64(score), 0)}})
	if err != nil {
		w.Fatal(err)
	}
}

// render returns a board's table as it is now.
func (w *world) render(board string) feed.Publication {
	w.Helper()
	table, err := feed.Render(w.Context(), w.store.Model, board)
	if err != nil {
		w.Fatal(err)
	}
	return table
}

// publish does the feed's work once.
func (w *world) publish(board string) {
	w.Helper()
	if err := w.node.Publish(w.Context(), w.render(board)); err != nil {
		w.Fatal(err)
	}
}

// url returns the address of a path for WebSocket.
func (w *world) url(path string) string {
	return "ws" + strings.TrimPrefix(w.server.URL, "http") + path
}

// table is what a viewer reads in a publication.
type table struct {
	Leaders []struct {
		Name  string
		Score json.Number
		Data  json.RawMessage
	}
	Total  int
	Season int
	Rev    uint64
}

// reply is what the server sends: an answer or a push.
type reply struct {
	ID    uint32
	Error *struct {
		Code      uint32
		Message   string
		Temporary bool
	}
	Connect *struct {
		Session string
		Node    string
		Ping    int
		Pong    bool
	}
	Subscribe *struct {
		Recoverable  bool
		Recovered    bool
		Delta        bool
		Epoch        string
		Offset       uint64
		Publications []publication
	}
	RPC  *struct{ Data json.RawMessage }
	Push *struct {
		Channel     string
		Pub         *publication
		Disconnect  *struct{ Code uint32 }
		Unsubscribe *struct{ Code uint32 }
	}
}

type publication struct {
	Data   json.RawMessage
	Delta  bool
	Offset uint64
}

// table returns the publication's table. It must be whole, not a delta.
func (p publication) table(tb testing.TB) table {
	tb.Helper()
	data := []byte(p.Data)
	var text string // with delta, the table is a string
	if json.Unmarshal(data, &text) == nil {
		data = []byte(text)
	}
	var t table
	if p.Delta || json.Unmarshal(data, &t) != nil {
		tb.Fatalf("publication is not a table: %s", p.Data)
	}
	return t
}

// peer is one end of a connection that speaks JSON, command by command.
type peer struct {
	testing.TB
	replies chan reply // closed at the end of the connection
	write   func(commands string) error
	close   func()
	closed  websocket.StatusCode // how the server has closed it; to be read when replies is closed
}

const connect = `{"id":1,"connect":{}}`

// websocket opens a connection and sends the connect command.
func (w *world) websocket(opts *websocket.DialOptions) *peer {
	w.Helper()
	p := w.dial(opts)
	p.send(connect)
	if r := p.next(); r.Connect == nil {
		w.Fatalf("answer to connect: %+v", r)
	}
	return p
}

func (w *world) dial(opts *websocket.DialOptions) *peer {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	conn, resp, err := websocket.Dial(ctx, w.url("/connection/websocket"), opts)
	if err != nil {
		cancel()
		w.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	conn.SetReadLimit(-1)
	p := &peer{
		TB: w.T, replies: make(chan reply, 1000),
		write: func(commands string) error {
			return conn.Write(ctx, websocket.MessageText, []byte(commands))
		},
		close: func() { cancel(); _ = conn.CloseNow() },
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(p.replies)
		for {
			_, frame, err := conn.Read(ctx)
			if err != nil {
				p.closed = websocket.CloseStatus(err)
				return
			}
			for line := range bytes.Lines(frame) {
				p.receive(line)
			}
		}
	})
	w.Cleanup(func() { p.close(); reading.Wait() })
	return p
}

func (p *peer) send(commands string) {
	p.Helper()
	if err := p.write(commands); err != nil {
		p.Fatal(err)
	}
}

func (p *peer) receive(line []byte) {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		p.Errorf("reply %q: %v", line, err)
	}
	p.replies <- r
}

// next returns the next reply that is not a ping.
func (p *peer) next() reply {
	p.Helper()
	for {
		select {
		case r, ok := <-p.replies:
			if !ok {
				p.Fatalf("connection was closed: %v", p.closed)
			}
			if r.ID == 0 && r.Push == nil && r.Error == nil {
				continue
			}
			return r
		case <-time.After(patience):
			p.Fatal("no reply")
		}
	}
}

// closing waits until the server has closed the connection, and returns how.
func (p *peer) closing() websocket.StatusCode {
	p.Helper()
	for {
		select {
		case _, ok := <-p.replies:
			if !ok {
				return p.closed
			}
		case <-time.After(patience):
			p.Fatal("connection is not closed")
		}
	}
}

// subscribe subscribes and returns the answer. Options are more fields of the command.
func (p *peer) subscribe(id int, channel, options string) reply {
	p.Helper()
	name, err := json.Marshal(channel)
	if err != nil {
		p.Fatal(err)
	}
	p.send(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%s%s}}`, id, name, options))
	r := p.next()
	if r.ID != uint32(id) {
		p.Fatalf("reply %+v, want one to the subscription", r)
	}
	return r
}

// pushed returns the next publication.
func (p *peer) pushed() publication {
	p.Helper()
	r := p.next()
	if r.Push == nil || r.Push.Pub == nil {
		p.Fatalf("reply %+v, want a publication", r)
	}
	return *r.Push.Pub
}

// stream opens a connection that comes over plain HTTP: by Server-Sent Events or
// as lines of JSON. What is sent goes to /emulation.
func (w *world) stream(path string) *peer {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var req *http.Request
	var err error
	if path == "/connection/sse" {
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path+"?cf_connect="+url.QueryEscape(connect), http.NoBody)
	} else {
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL+path, strings.NewReader(connect))
	}
	if err != nil {
		w.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		w.Fatalf("%s: %s", path, resp.Status)
	}
	p := &peer{TB: w.T, replies: make(chan reply, 1000), close: cancel}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(p.replies)
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			line := bytes.TrimPrefix(lines.Bytes(), []byte("data: "))
			if len(bytes.TrimSpace(line)) > 0 {
				p.receive(line)
			}
		}
	})
	w.Cleanup(func() { cancel(); reading.Wait() })
	connected := p.next().Connect
	if connected == nil {
		w.Fatalf("%s: no answer to connect", path)
	}
	p.write = func(commands string) error {
		body, err := json.Marshal(map[string]string{"session": connected.Session, "node": connected.Node, "data": commands})
		if err != nil {
			return err
		}
		to := w.server.URL
		if w.emulation != "" {
			to = w.emulation
		}
		if status := w.post(to+"/emulation", string(body)); status != http.StatusNoContent {
			return fmt.Errorf("/emulation: status %d", status)
		}
		return nil
	}
	return p
}

// post sends JSON and returns the status.
func (w *world) post(url, body string) int {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// frames connects, sends a command and returns what the server sends after that,
// but for pings, as it is.
func (w *world) frames(ctx context.Context, command string) <-chan string {
	w.Helper()
	conn, resp, err := websocket.Dial(ctx, w.url("/connection/websocket"), nil)
	if err != nil {
		w.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(connect+"\n"+command)); err != nil {
		w.Fatal(err)
	}
	frames := make(chan string, 100)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(frames)
		for {
			_, frame, err := conn.Read(ctx)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(frame)) {
				if !strings.Contains(line, `"connect"`) && len(line) > 3 {
					frames <- line
				}
			}
		}
	})
	w.Cleanup(func() { _ = conn.CloseNow(); reading.Wait() })
	return frames
}

// metric returns the value of a counter of a node.
func metric(tb testing.TB, w *world, name string) float64 {
	tb.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.Metric[0].Counter.GetValue()
		}
	}
	tb.Fatalf("there is no metric %s", name)
	return 0
}

func want[T any](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

// newQuietWorld is a world without a listener, for the clock of a bubble.
func newQuietWorld(t *testing.T, opts Options) *world {
	t.Helper()
	store := &counted{Model: storetest.NewModel()}
	w := &world{T: t, store: store, service: leaderboard.NewService(store, leaderboard.ServiceOptions{})}
	w.start(opts)
	t.Cleanup(w.stop)
	return w
}
