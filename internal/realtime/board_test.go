package realtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/centrifugal/centrifuge"
	sdk "github.com/centrifugal/centrifuge-go"
	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/sdktest"
)

// The table comes in the answer to the subscription, whatever the client asks
// for and whether the table was published before or not.
func TestSubscribeReplyHasTable(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		for _, published := range []bool{false, true} {
			for name, options := range map[string]string{
				"plain":         ``,
				"since":         `,"recover":true,"recoverable":true`,
				"delta":         `,"delta":"fossil"`,
				"since, delta":  `,"recover":true,"recoverable":true,"delta":"fossil"`,
				"long outdated": `,"recover":true,"recoverable":true,"epoch":"xyz","offset":77`,
			} {
				t.Run(fmt.Sprintf("%s/published=%v", name, published), func(t *testing.T) {
					w := newWorld(t, opts)
					w.submit("race", "Zoë 🌿", 7)
					if published {
						w.publish("race")
					}
					r := w.websocket(nil).subscribe(2, "board:race", options)
					if r.Subscribe == nil || len(r.Subscribe.Publications) != 1 {
						t.Fatalf("reply = %+v, want one with a publication", r)
					}
					if !r.Subscribe.Recovered || !r.Subscribe.Recoverable {
						t.Errorf("reply = %+v, want recoverable and recovered", r.Subscribe)
					}
					got := r.Subscribe.Publications[0].table(t)
					want(t, "leader", got.Leaders[0].Name, "Zoë 🌿")
					want(t, "rev", got.Rev, 2)
				})
			}
		}
	})
}

// Who comes back and has the newest table is not sent it again; the next one is
// whole, because the server does not know whether the client has kept its base.
func TestSubscribeReplyHasNothingThatClientHas(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.submit("race", "alice", 7)
		w.publish("race")
		p := w.websocket(nil)
		first := p.subscribe(2, "board:race", `,"delta":"fossil"`).Subscribe
		p.close()

		p = w.websocket(nil)
		r := p.subscribe(2, "board:race", fmt.Sprintf(`,"recover":true,"delta":"fossil","epoch":%q,"offset":%d`, first.Epoch, first.Publications[0].Offset))
		want(t, "publications", len(r.Subscribe.Publications), 0)
		want(t, "recovered", r.Subscribe.Recovered, true)
		w.submit("race", "alice", 1)
		w.publish("race")
		want(t, "rev", p.pushed().table(t).Rev, 3)
	})
}

// viewer follows a board with an SDK.
type viewer struct {
	client *sdk.Client
	wire   sdktest.Wire
	cuts   atomic.Int32 // how often it has left by itself
	tables chan sighting
	states chan uint32 // why it is connecting, again and again
	errors chan error  // why it could not subscribe
	last   sighting
}

// sighting is a table and the epoch in which a viewer has seen it.
type sighting struct {
	table
	epoch string
}

func (w *world) viewer(protobuf bool, delta sdk.DeltaType) *viewer {
	w.Helper()
	return w.viewerOf("race", protobuf, delta)
}

func (w *world) viewerOf(board string, protobuf bool, delta sdk.DeltaType) *viewer {
	w.Helper()
	newClient := sdk.NewJsonClient
	if protobuf {
		newClient = sdk.NewProtobufClient
	}
	v := &viewer{
		tables: make(chan sighting, 10000),
		states: make(chan uint32, 1000),
		errors: make(chan error, 1000),
	}
	v.client = newClient(w.url("/connection/websocket"), sdk.Config{
		MinReconnectDelay: time.Millisecond, MaxReconnectDelay: 50 * time.Millisecond, ReadTimeout: patience, NetDialContext: v.wire.Dial,
	})
	v.client.OnConnecting(func(e sdk.ConnectingEvent) { v.states <- e.Code })
	sub, err := v.client.NewSubscription("board:"+board, sdk.SubscriptionConfig{
		Delta: delta, Recoverable: protobuf,
		MinResubscribeDelay: sdktest.Never, MaxResubscribeDelay: sdktest.Never,
	})
	if err != nil {
		w.Fatal(err)
	}
	var epoch string
	sub.OnSubscribed(func(e sdk.SubscribedEvent) { epoch = e.StreamPosition.Epoch })
	sub.OnPublication(func(e sdk.PublicationEvent) {
		got := sighting{epoch: epoch}
		if err := json.Unmarshal(e.Data, &got.table); err != nil {
			w.Errorf("publication %q: %v", e.Data, err)
		}
		v.tables <- got
	})
	sub.OnError(func(e sdk.SubscriptionErrorEvent) {
		select {
		case v.errors <- e.Error:
		default:
		}
		v.cuts.Add(1)
		v.wire.Cut()
	})
	sub.OnUnsubscribed(func(e sdk.UnsubscribedEvent) {
		if e.Code >= 100 { // by the server
			w.Errorf("viewer was unsubscribed: %s (%d)", e.Reason, e.Code)
		}
	})
	if err := sub.Subscribe(); err != nil {
		w.Fatal(err)
	}
	if err := v.client.Connect(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(v.client.Close)
	return v
}

// until returns the first table that shows a rev or a newer one.
func (v *viewer) until(tb testing.TB, rev uint64) table {
	tb.Helper()
	return v.sees(tb, fmt.Sprint("rev ", rev), func(t table) bool { return t.Rev >= rev })
}

// refused waits until the viewer could not subscribe, and returns why.
func (v *viewer) refused(tb testing.TB) error {
	tb.Helper()
	select {
	case err := <-v.errors:
		return err
	case <-time.After(patience):
		tb.Fatal("the viewer was not refused")
		return nil
	}
}

// sees returns the first table that is as it should be. None of those before it
// may be older than another one of its epoch.
func (v *viewer) sees(tb testing.TB, what string, right func(table) bool) table {
	tb.Helper()
	for {
		select {
		case got := <-v.tables:
			if got.epoch == v.last.epoch && got.Rev < v.last.Rev {
				tb.Fatalf("viewer went from rev %d to %d", v.last.Rev, got.Rev)
			}
			if v.last = got; right(got.table) {
				return got.table
			}
		case <-time.After(patience):
			tb.Fatalf("viewer sees %+v, want %s", v.last, what)
		}
	}
}

// Viewers with and without delta, over JSON and Protobuf, see the same tables,
// whatever is written in them.
func TestViewersFollowBoard(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.create(leaderboard.Board{ID: "race", Interval: 20, Top: 30})
		w.feed()
		viewers := map[string]*viewer{
			"json":            w.viewer(false, sdk.DeltaTypeNone),
			"json, delta":     w.viewer(false, sdk.DeltaTypeFossil),
			"protobuf":        w.viewer(true, sdk.DeltaTypeNone),
			"protobuf, delta": w.viewer(true, sdk.DeltaTypeFossil),
		}
		seed := rand.Uint64()
		t.Logf("seed %#x", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		names := []string{"Жанна", "佐藤", "Zoë 🌿", `"quoted"\`, "</script>", "plain", "Ünïcödé", "🏃‍♀️", "a#b:c d"}
		for i := range 60 {
			name := names[rng.IntN(len(names))]
			data, err := json.Marshal(map[string]any{"name": name, "n": rng.IntN(4)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.service.Submit(t.Context(), "race", []leaderboard.Submission{{
				Member: fmt.Sprint(name, rng.IntN(4)), Score: leaderboard.ScaledDecimal(rng.Int64N(1000), 0), Data: data,
			}}); err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 { // let some of it out one by one
				viewers["protobuf, delta"].until(t, uint64(i+2))
			}
		}
		final := w.render("race")
		var wanted table
		if err := json.Unmarshal(final.Data, &wanted); err != nil {
			t.Fatal(err)
		}
		for name, v := range viewers {
			if name == "protobuf, delta" {
				continue // has been read above
			}
			want(t, name, v.until(t, final.Rev), wanted)
		}
	})
}

// A move costs a delta, not a table.
func TestPublicationsAreDeltas(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		for i := range 50 {
			w.submit("race", fmt.Sprintf("игрок-%02d", i), 1000-i)
		}
		p := w.websocket(nil)
		whole := p.subscribe(2, "board:race", `,"delta":"fossil"`).Subscribe.Publications[0]
		want(t, "first rows", len(whole.table(t).Leaders), 50)
		for range 3 {
			w.submit("race", "игрок-49", 1)
			w.publish("race")
			moved := p.pushed()
			if !moved.Delta || len(moved.Data) > len(whole.Data)/5 {
				t.Errorf("a new score was sent with %d bytes, delta = %v; the table has %d", len(moved.Data), moved.Delta, len(whole.Data))
			}
		}
	})
}

// Pushes name their channel, also to who would take a number in its place: see
// subscribeBoard.
func TestPushesNameTheirChannel(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		opts.RankInterval = time.Millisecond
		w := newWorld(t, opts)
		w.submit("race", "alice", 7)
		p := w.websocket(nil)
		for id, channel := range []string{"board:race", "rank:race#alice"} {
			if r := p.subscribe(id+2, channel, `,"flag":1`); r.Subscribe == nil {
				t.Fatalf("reply = %+v", r)
			}
		}
		w.submit("race", "bob", 9)
		w.publish("race")
		w.node.BoardChanged("race")
		named := map[string]int{}
		for range 2 {
			named[p.next().Push.Channel]++
		}
		want(t, "channels", named, map[string]int{"board:race": 1, "rank:race#alice": 1})
	})
}

func TestColdCacheIsFilledOnce(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.submit("race", "alice", 7)
		const viewers = 100
		slow := &crowd{counted: w.store, waits: make(chan struct{})}
		slow.expected.Store(viewers)
		w.node.reader = slow
		peers := make([]*peer, viewers)
		for i := range peers {
			peers[i] = w.websocket(nil)
		}
		for _, p := range peers {
			p.send(`{"id":2,"subscribe":{"channel":"board:race"}}`)
		}
		for _, p := range peers {
			r := p.next()
			if r.Subscribe == nil || len(r.Subscribe.Publications) != 1 {
				t.Fatalf("reply = %+v, want one with the table", r)
			}
		}
		want(t, "tables read", w.store.tables.Load(), 1)
	})
}

// crowd makes a store answer with a table only when as many viewers as are
// expected have asked for the board.
type crowd struct {
	*counted
	expected atomic.Int64
	waits    chan struct{}
}

func (c *crowd) Board(ctx context.Context, id string) (leaderboard.View, error) {
	if c.expected.Add(-1) == 0 {
		close(c.waits)
	}
	return c.counted.Board(ctx, id)
}

func (c *crowd) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	<-c.waits
	return c.counted.Entries(ctx, at, r)
}

// hold makes a store slow to read tables.
type hold struct {
	*counted
	begun chan struct{}
	until chan struct{}
}

func (h *hold) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	page, err := h.counted.Entries(ctx, at, r)
	close(h.begun)
	<-h.until
	return page, err
}

// A table that is read for a subscriber may be older than one that the feed
// publishes meanwhile: the newer one stays.
func TestColdCacheIsNotFilledWithOldTable(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.submit("race", "alice", 7)
		held := &hold{counted: w.store, begun: make(chan struct{}), until: make(chan struct{})}
		w.node.reader = held
		p := w.websocket(nil)
		p.send(`{"id":2,"subscribe":{"channel":"board:race"}}`)
		<-held.begun // with rev 2
		w.submit("race", "alice", 1)
		w.publish("race")
		close(held.until)
		r := p.next()
		got := r.Subscribe.Publications[len(r.Subscribe.Publications)-1].table(t)
		want(t, "rev", got.Rev, 3)
	})
}

func TestPublishKeepsOrder(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.create(leaderboard.Board{ID: "race"})
		p := w.websocket(nil)
		p.subscribe(2, "board:race", "")

		publish := func(rev uint64, epoch string) {
			t.Helper()
			data := fmt.Appendf(nil, `{"leaders":[],"total":0,"season":1,"rev":%d}`, rev)
			if err := w.node.Publish(t.Context(), feed.Publication{Board: "race", Rev: rev, Epoch: epoch, Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		publish(10, "model")
		publish(9, "model")  // late
		publish(10, "model") // twice
		publish(11, "")      // of a board that was deleted: the epoch is the one of before
		publish(10, "model")
		publish(12, "model")
		for _, rev := range []uint64{10, 11, 12} {
			want(t, "rev", p.pushed().table(t).Rev, rev)
		}
		publish(3, "restored") // another incarnation counts anew
		if opts.Redis.IsZero() {
			want(t, "rev", p.pushed().table(t).Rev, 3)
		} else { // which viewers are told, so they subscribe again
			r := p.next()
			if r.Push == nil || r.Push.Unsubscribe == nil || r.Push.Unsubscribe.Code != 2500 {
				t.Fatalf("reply = %+v, want that the position is not valid any more", r)
			}
		}

		if err := w.node.Publish(t.Context(), feed.Publication{Board: "race", Data: []byte("{}")}); err == nil {
			t.Error("a table without a rev was published")
		}
	})
}

// However many publish one board at once, in whatever order: no viewer goes back.
func TestPublishKeepsOrderUnderConcurrency(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.create(leaderboard.Board{ID: "race"})
		viewers := []*viewer{w.viewer(false, sdk.DeltaTypeFossil), w.viewer(true, sdk.DeltaTypeNone)}
		for _, v := range viewers {
			v.until(t, 1)
		}
		var wg sync.WaitGroup
		const publishers, last = 8, 400
		for n := range publishers {
			wg.Go(func() {
				for rev := uint64(2 + n); rev <= last; rev += 1 + uint64(n)%3 {
					data := fmt.Appendf(nil, `{"leaders":[],"total":%d,"season":1,"rev":%d}`, n, rev)
					if err := w.node.Publish(t.Context(), feed.Publication{Board: "race", Rev: rev, Epoch: "model", Data: data}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for _, v := range viewers {
			v.until(t, last)
		}
	})
}

// A table that nobody has read for long is dropped with its number, or the same
// rev could not be put into the cache again.
func TestCacheIsFilledAgainAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newQuietWorld(t, Options{CacheTTL: time.Hour})
		const channel = "board:race"
		kept := func() bool {
			t.Helper()
			history, err := w.node.node.History(channel, centrifuge.WithLimit(1), centrifuge.WithHistoryMetaTTL(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			return len(history.Publications) == 1
		}
		w.submit("race", "alice", 7)
		w.publish("race")
		for range 5 { // somebody looks, so it stays, though nothing is published
			time.Sleep(50 * time.Minute)
			if !kept() {
				t.Fatal("a table that is read was dropped")
			}
		}
		time.Sleep(2 * time.Hour)
		if kept() {
			t.Fatal("a table that nobody has read is kept")
		}
		reply, err := w.node.cacheEmpty(centrifuge.CacheEmptyEvent{Channel: channel})
		if err != nil || !reply.Populated || !kept() {
			t.Errorf("cacheEmpty = %+v, %v; the cache is still empty", reply, err)
		}
	})
}

func TestDeletedBoard(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.feed()
		w.submit("race", "alice", 7)
		p := w.websocket(nil)
		p.subscribe(2, "board:race", "")
		if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
		for { // the table of before may come first
			got := p.pushed().table(t)
			if got.Rev == 3 {
				want(t, "total", got.Total, 0)
				break
			}
		}
		// It is in the cache, but the board is not there.
		if r := w.websocket(nil).subscribe(2, "board:race", ""); r.Error == nil || r.Error.Code != centrifuge.ErrorUnknownChannel.Code {
			t.Errorf("reply = %+v, want unknown channel", r)
		}
	})
}

// A client is told to connect again when the node stops, and goes on where it
// was when there is another one.
func TestRunTellsClientsToReconnect(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		w := newWorld(t, opts)
		w.submit("race", "alice", 7)
		v := w.viewer(false, sdk.DeltaTypeFossil)
		want(t, "state", <-v.states, 0)
		v.until(t, 2)
		p := w.websocket(nil)

		w.stop()
		want(t, "close code", p.closing(), websocket.StatusCode(centrifuge.DisconnectShutdown.Code))
		if code := <-v.states; code != centrifuge.DisconnectShutdown.Code {
			t.Errorf("client reconnects because of %d, want the shutdown", code)
		}
		w.submit("race", "alice", 1)
		w.start(opts)
		if !opts.Redis.IsZero() { // where the table of before is kept, until the feed has replaced it
			w.publish("race")
		}
		want(t, "score", v.until(t, 3).Leaders[0].Score, "8")
	})
}

// What a connection has started ends with it.
func TestConnectionsLeaveNothingBehind(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		opts.RPC = func(context.Context, string, []byte) ([]byte, error) { return []byte(`1`), nil }
		w := newWorld(t, opts)
		w.submit("race", "alice", 7)
		before := goleak.IgnoreCurrent()
		for range 20 {
			p := w.websocket(nil)
			p.subscribe(2, "board:race", "")
			p.subscribe(3, "rank:race#alice", "")
			p.send(`{"id":4,"rpc":{"method":"top"}}`)
			p.next()
			p.close()
		}
		for _, path := range []string{"/connection/sse", "/connection/http_stream"} {
			p := w.stream(path)
			p.send(`{"id":2,"subscribe":{"channel":"board:race"}}`)
			p.next()
			p.close()
			for range p.replies { // until it has ended
			}
		}
		goleak.VerifyNone(t, before, // nor the first few connections to Redis, which are made as they are needed
			goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*pipe)._background"),
			goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*pipe)._background.func1"))
		w.node.ranks.mu.Lock()
		defer w.node.ranks.mu.Unlock()
		want(t, "boards watched", len(w.node.ranks.boards), 0)
		want(t, "connections", w.node.node.Hub().NumClients(), 0)
	})
}

func TestHTTPTransports(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		for _, path := range []string{"/connection/sse", "/connection/http_stream"} {
			t.Run(path, func(t *testing.T) {
				opts.RPC = func(_ context.Context, method string, params []byte) ([]byte, error) {
					return fmt.Appendf(nil, `{"method":%q,"params":%s}`, method, params), nil
				}
				w := newWorld(t, opts)
				w.submit("race", "Zoë", 7)
				p := w.stream(path)
				p.send(`{"id":2,"subscribe":{"channel":"board:race","delta":"fossil"}}`)
				want(t, "leader", p.next().Subscribe.Publications[0].table(t).Leaders[0].Name, "Zoë")
				w.submit("race", "Zoë", 1)
				w.publish("race")
				if got := p.pushed(); len(got.Data) == 0 {
					t.Error("empty publication")
				}
				p.send(`{"id":3,"rpc":{"method":"rank","data":{"board":"race"}}}`)
				if got := p.next().RPC; got == nil || !bytes.Equal(got.Data, []byte(`{"method":"rank","params":{"board":"race"}}`)) {
					t.Errorf("answer to the call = %+v", got)
				}
				w.stop()
				r := p.next()
				if r.Push == nil || r.Push.Disconnect == nil || r.Push.Disconnect.Code != centrifuge.DisconnectShutdown.Code {
					t.Errorf("push = %+v, want one of the shutdown", r)
				}
			})
		}
	})
}
