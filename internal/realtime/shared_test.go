package realtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	sdk "github.com/centrifugal/centrifuge-go"
	"github.com/redis/rueidis"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/redistest"
)

// common is a store that nodes share, which may lose what it has and be away. Its
// boards have one member, whose score is the rev times ten.
type common struct {
	mu     sync.Mutex
	epoch  string            // guarded by mu
	boards map[string]uint64 // guarded by mu: their revs
	away   bool              // guarded by mu
}

func newCommon() *common { return &common{epoch: "first", boards: map[string]uint64{}} }

func (c *common) view(id string) (leaderboard.View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rev, ok := c.boards[id]
	switch {
	case c.away:
		return leaderboard.View{}, leaderboard.ErrStorageUnavailable
	case !ok:
		return leaderboard.View{}, leaderboard.ErrBoardNotFound
	}
	return leaderboard.View{Board: leaderboard.Board{ID: id}.WithDefaults(), Season: 1, Rev: rev, Epoch: c.epoch, Total: 1}, nil
}

func (c *common) Board(_ context.Context, id string) (leaderboard.View, error) { return c.view(id) }

func (c *common) Entries(_ context.Context, at leaderboard.Ref, _ leaderboard.Range) (leaderboard.Page, error) {
	view, err := c.view(at.Board)
	if err != nil {
		return leaderboard.Page{}, err
	}
	return leaderboard.Page{View: view, Entries: []leaderboard.Entry{{Member: "alice", Score: int64(10 * view.Rev), Rank: 1}}}, nil
}

func (c *common) Around(ctx context.Context, at leaderboard.Ref, _ string, _ int) (leaderboard.Page, error) {
	return c.Entries(ctx, at, leaderboard.Range{})
}

// set gives a board a rev in an epoch.
func (c *common) set(id, epoch string, rev uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch, c.boards[id] = epoch, rev
}

// lose takes all boards away.
func (c *common) lose(epoch string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch, c.boards = epoch, map[string]uint64{}
}

func (c *common) goAway(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
}

// cluster is nodes on one store and one Redis, each with a listener.
type cluster struct {
	*testing.T
	store *common
	nodes []*world
	log   lines
}

// newCluster returns a cluster whose nodes reach Redis by these URLs.
func newCluster(t *testing.T, urls ...string) *cluster {
	t.Helper()
	c := &cluster{T: t, store: newCommon()}
	c.store.set("race", "first", 1)
	prefix := fmt.Sprint("world", worlds.Add(1))
	for _, url := range urls {
		w := &world{T: t, reader: c.store, prefix: prefix}
		c.nodes = append(c.nodes, w.open(Options{
			Redis: onRedis(t, url),
			Log:   slog.New(slog.NewTextHandler(&c.log, nil)),
		}))
	}
	return c
}

// table returns the table of the board as it is in the store.
func (c *cluster) table() feed.Publication {
	c.Helper()
	table, err := feed.Render(c.Context(), c.store, "race")
	if err != nil {
		c.Fatal(err)
	}
	return table
}

// publish gives the board a rev and publishes it from a node.
func (c *cluster) publish(node int, epoch string, rev uint64) {
	c.Helper()
	c.store.set("race", epoch, rev)
	if err := c.nodes[node].node.Publish(c.Context(), c.table()); err != nil {
		c.Fatal(err)
	}
}

// eventually publishes as the feed does: again and again until it succeeds.
func (c *cluster) eventually(node int, epoch string, rev uint64) {
	c.Helper()
	c.store.set("race", epoch, rev)
	deadline := time.Now().Add(patience)
	for {
		err := c.nodes[node].node.Publish(c.Context(), c.table())
		switch {
		case err == nil:
			return
		case time.Now().After(deadline):
			c.Fatal(err)
		}
	}
}

// audience is viewers of all kinds on all nodes.
func (c *cluster) audience() []*viewer {
	c.Helper()
	var viewers []*viewer
	for i, w := range c.nodes {
		viewers = append(viewers, w.viewer(i%2 == 0, sdk.DeltaTypeFossil), w.viewer(i%2 == 1, sdk.DeltaTypeNone))
	}
	return viewers
}

func exactly(tb testing.TB, viewers []*viewer, rev uint64) {
	tb.Helper()
	for _, v := range viewers {
		v.sees(tb, fmt.Sprint("exactly rev ", rev), func(t table) bool { return t.Rev == rev })
	}
}

// scores checks that viewers see the score that goes with the rev, so that no
// delta was applied to another table than it was made for.
func scores(tb testing.TB, viewers []*viewer) {
	tb.Helper()
	for _, v := range viewers {
		if v.last.Total > 0 {
			want(tb, "score", v.last.Leaders[0].Score.String(), fmt.Sprint(10*v.last.Rev))
		}
	}
}

func flush(t *testing.T, server *redistest.Server) {
	t.Helper()
	client := server.Client(t)
	if err := client.Do(t.Context(), client.B().Flushall().Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

func TestTablesReachViewersOfAllNodes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL())
	viewers := c.audience()
	exactly(t, viewers, 1)
	for rev := uint64(2); rev < 20; rev++ { // in turn, as after a takeover
		c.publish(int(rev)%2, "first", rev)
	}
	exactly(t, viewers, 19)
	scores(t, viewers)
	late := c.audience()
	exactly(t, late, 19)
	if fills := metric(t, c.nodes[0], "laurel_realtime_fills_total") + metric(t, c.nodes[1], "laurel_realtime_fills_total"); fills > 2 {
		t.Errorf("the table was read %v times for viewers, want once a node at most", fills)
	}
}

// A delta is made on the node where the viewer is, from what the table was before.
func TestDeltasFromOtherNodes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL())
	p := c.nodes[1].websocket(nil)
	if r := p.subscribe(2, "board:race", `,"delta":"fossil"`); r.Subscribe == nil || !r.Subscribe.Delta {
		t.Fatalf("reply = %+v", r)
	}
	for rev := uint64(2); rev < 5; rev++ {
		c.publish(0, "first", rev)
		r := p.next()
		if r.Push == nil || r.Push.Pub == nil || !r.Push.Pub.Delta {
			t.Errorf("reply = %+v, want a delta", r)
		}
	}
	_ = p.write(`{"id":3,"rpc":{"method":"none"}}`)
}

// What Redis carries beside the table is not for viewers.
func TestTagsAreNotForViewers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	frames := c.nodes[0].frames(ctx, `{"id":2,"subscribe":{"channel":"board:race"}}`)
	first := <-frames
	c.publish(0, "first", 2)
	for _, frame := range []string{first, <-frames} {
		if strings.Contains(frame, "tags") || !strings.Contains(frame, `"leaders"`) {
			t.Errorf("frame = %s", frame)
		}
	}
}

// A request of a client may arrive at another node than the one that streams to it.
func TestRequestsArriveAtAnyNode(t *testing.T) {
	for _, path := range []string{"/connection/sse", "/connection/http_stream"} {
		t.Run(path, func(t *testing.T) {
			server := redistest.Start(t)
			c := newCluster(t, server.URL(), server.URL())
			c.acquainted()
			p := c.nodes[0].stream(path)
			c.nodes[0].emulation = c.nodes[1].server.URL
			p.send(`{"id":2,"subscribe":{"channel":"board:race"}}`)
			r := p.next()
			if r.Subscribe == nil || len(r.Subscribe.Publications) != 1 {
				t.Fatalf("reply = %+v, want the table", r)
			}
			c.publish(1, "first", 2)
			want(t, "rev", p.pushed().table(t).Rev, 2)
		})
	}
}

// acquainted waits until all nodes know each other.
func (c *cluster) acquainted() {
	c.Helper()
	deadline := time.Now().Add(patience)
	for _, w := range c.nodes {
		for {
			info, err := w.node.node.Info()
			if err != nil {
				c.Fatal(err)
			}
			if len(info.Nodes) == len(c.nodes) {
				break
			}
			if time.Now().After(deadline) {
				c.Fatalf("a node knows %d nodes, want %d", len(info.Nodes), len(c.nodes))
			}
		}
	}
}

// Standings are each node's own: nothing of them is in Redis.
func TestRanksStayOnTheirNode(t *testing.T) {
	server := redistest.Start(t)
	w := newWorld(t, Options{Redis: onRedis(t, server.URL()), RankInterval: time.Millisecond})
	other := w.beside(Options{Redis: onRedis(t, server.URL())})
	w.feed()
	w.submit("race", "alice", 10)
	near, far := w.websocket(nil), other.websocket(nil)
	for _, p := range []*peer{near, far} {
		if r := p.subscribe(2, "rank:race#alice", ""); r.Subscribe == nil {
			t.Fatalf("reply = %+v", r)
		}
		if r := p.subscribe(3, "board:race", ""); r.Subscribe == nil {
			t.Fatalf("reply = %+v", r)
		}
	}
	w.submit("race", "alice", 1) // w is told of it
	for channels := map[string]bool{}; len(channels) < 2; {
		channels[near.next().Push.Channel] = true
	}
	want(t, "channel", far.next().Push.Channel, "board:race")

	client := server.Client(t)
	for name, command := range map[string]rueidis.Completed{
		"channels": client.B().PubsubChannels().Pattern("*").Build(),
		"keys":     client.B().Keys().Pattern("*").Build(),
	} {
		all, err := client.Do(t.Context(), command).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "board:race") }) ||
			slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "rank:") }) {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// Publications know no databases, so two servers in two of them must not have the
// same names.
func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	first := newCluster(t, server.URL())
	second := &cluster{T: t, store: newCommon()}
	second.store.set("race", "other", 100)
	w := &world{T: t, reader: second.store, prefix: first.nodes[0].prefix}
	second.nodes = []*world{w.open(Options{Redis: onRedis(t, server.URL()+"/3")})}
	one, two := first.audience(), second.audience()
	exactly(t, one, 1)
	exactly(t, two, 100)
	first.publish(0, "first", 2)
	second.publish(0, "other", 101)
	exactly(t, one, 2)
	exactly(t, two, 101)
	client := server.Client(t)
	channels, err := client.Do(t.Context(), client.B().PubsubChannels().Pattern("*board:race").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	want(t, "channels", len(channels), 2)
}

// Redis is emptied: viewers have the table of the store again, though nobody
// publishes anything.
func TestFlushedRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL())
	viewers := c.audience()
	c.publish(0, "first", 50)
	exactly(t, viewers, 50)
	flush(t, server)
	exactly(t, viewers, 50) // anew, in another epoch
	c.publish(1, "first", 51)
	exactly(t, viewers, 51)
	scores(t, viewers)
}

// The store had its data in the same Redis: there are boards no more. Viewers see
// an empty table, and the board when somebody has made it again.
func TestFlushedRedisAndStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL())
	viewers := c.audience()
	c.publish(0, "first", 50)
	exactly(t, viewers, 50)
	c.store.lose("second")
	flush(t, server)
	for _, v := range viewers {
		v.sees(t, "an empty table", func(t table) bool { return t.Total == 0 })
	}
	if r := c.nodes[0].websocket(nil).subscribe(2, "board:other", ""); r.Error == nil || r.Error.Code != centrifuge.ErrorUnknownChannel.Code {
		t.Errorf("reply = %+v, want unknown channel", r)
	}
	c.publish(1, "second", 1)
	exactly(t, viewers, 1)
	c.publish(0, "second", 2)
	exactly(t, viewers, 2)
	scores(t, viewers)
}

// The store has lost its data and has a new epoch, but Redis still has the tables.
func TestNewEpoch(t *testing.T) {
	for name, rev := range map[string]uint64{"lower": 3, "same": 50, "higher": 70} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			c := newCluster(t, server.URL(), server.URL())
			viewers := c.audience()
			c.publish(0, "first", 50)
			exactly(t, viewers, 50)
			epochs := map[string]bool{}
			for _, v := range viewers {
				epochs[v.last.epoch] = true
			}
			c.publish(1, "second", rev)
			for _, v := range viewers {
				v.sees(t, "another epoch", func(table) bool { return !epochs[v.last.epoch] })
				want(t, "rev", v.last.Rev, rev)
			}
			c.publish(1, "second", rev+1)
			exactly(t, viewers, rev+1)
			scores(t, viewers)
		})
	}
}

// A node that was stopped for a while publishes what it had read before: a table
// of an epoch that has ended, which the library takes for new. It does not stay,
// even if that node is stopped again at once.
func TestLateTableOfAnOlderEpoch(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL())
	late := c.nodes[0]
	c.publish(0, "first", 500)
	stale := c.table()
	stale.Rev = 510
	stale.Data = bytes.ReplaceAll(stale.Data, []byte("500"), []byte("510"))
	publish := func() {
		t.Helper()
		if outdated, err := late.node.publish(stale, plain); err != nil || outdated {
			t.Fatalf("late table: outdated = %v, %v", outdated, err)
		}
	}

	// Nobody views: it is there, and not given to who comes.
	c.publish(1, "second", 2)
	publish()
	viewers := []*viewer{c.nodes[1].viewer(true, sdk.DeltaTypeFossil), c.nodes[1].viewer(false, sdk.DeltaTypeNone)}
	for _, v := range viewers {
		v.sees(t, "a table", func(table) bool { return true })
		want(t, "first rev", v.last.Rev, 2)
	}

	// Somebody views, and sees nothing of it.
	publish()
	c.soon("the table of the store is kept", func() bool { return c.kept().epoch == "second" })
	c.publish(1, "second", 3)
	for _, v := range viewers {
		v.sees(t, "rev 3", func(t table) bool {
			if t.Rev == 510 {
				c.Errorf("a viewer has seen the late table")
			}
			return t.Rev == 3
		})
	}
}

// kept returns what Redis keeps of the board.
func (c *cluster) kept() kept {
	c.Helper()
	k, _, err := c.nodes[0].node.shared.newest("board:race", forever)
	if err != nil {
		c.Fatal(err)
	}
	return k
}

// A board that was deleted and a late table of it, and one that was made again
// and a late deletion.
func TestLateTableOfADeletedBoard(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL())
	viewers := c.audience()
	c.publish(0, "first", 50)
	exactly(t, viewers, 50)
	stale := c.table()
	c.store.lose("first") // deletes the board
	if err := c.nodes[0].node.Publish(t.Context(), feed.RenderGone("race", 51, "first")); err != nil {
		t.Fatal(err)
	}
	isEmpty := func(t table) bool { return t.Total == 0 }
	for _, v := range viewers {
		v.sees(t, "an empty table", isEmpty)
	}
	if _, err := c.nodes[0].node.publish(stale, plain); err != nil { // another node has not seen what this one has
		t.Fatal(err)
	}
	c.soon("the deletion is kept", func() bool { return c.kept().kind == gone })

	c.publish(0, "first", 52)
	for _, v := range viewers {
		v.sees(t, "rev 52", func(t table) bool {
			if t.Rev == 50 {
				c.Error("a viewer has seen the late table")
			}
			return t.Rev == 52
		})
	}
	if _, err := c.nodes[0].node.publish(feed.RenderGone("race", 51, "first"), gone); err != nil {
		t.Fatal(err)
	}
	c.soon("the table is kept", func() bool { return c.kept().kind == plain })
	c.publish(0, "first", 53)
	exactly(t, viewers, 53)
	scores(t, viewers)
}

// until waits for something that comes by itself. It asks again and again.
func (c *cluster) until(what string, so func() bool) {
	c.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !so(); <-ticker.C {
		if time.Now().After(deadline) {
			c.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// soon is until, for what must not wait for a table to be confirmed.
func (c *cluster) soon(what string, so func() bool) {
	c.Helper()
	start := time.Now()
	c.until(what, so)
	if took := time.Since(start); took > confirmInterval/2 {
		c.Errorf("after %v: %s", took, what)
	}
}

// An evicted table is filled in again, though Redis still knows its rev.
func TestEvictedTable(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL())
	c.publish(0, "first", 50)
	client := server.Client(t)
	if err := client.Do(t.Context(), client.B().Del().Key(c.nodes[0].prefix+".live.stream.board:race").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	viewers := c.audience()
	exactly(t, viewers, 50)
	c.publish(1, "first", 51)
	exactly(t, viewers, 51)
}

// Redis keeps the table of a board as long as there is the board, whether somebody
// looks at it or not, and that of a deleted one for an hour.
func TestTablesLastAsLongAsTheirBoards(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL())
	client := server.Client(t)
	ends := func(in func(time.Duration) bool) {
		t.Helper()
		for _, key := range []string{".live.stream.board:race", ".live.stream.meta.board:race"} {
			seconds, err := client.Do(t.Context(), client.B().Ttl().Key(c.nodes[0].prefix+key).Build()).AsInt64()
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Duration(seconds) * time.Second; !in(d) {
				t.Errorf("%s ends in %v", key, d)
			}
		}
	}
	never := func(d time.Duration) bool { return d > 365*24*time.Hour }
	soon := func(d time.Duration) bool { return d > 0 && d <= time.Hour }
	c.publish(0, "first", 50)
	ends(never)
	if err := c.nodes[0].node.Publish(t.Context(), feed.RenderGone("race", 51, "first")); err != nil {
		t.Fatal(err)
	}
	ends(soon)
	c.publish(0, "first", 52)
	ends(never)
	exactly(t, c.audience(), 52)
	ends(never)
}

// Many nodes fill an empty cache at once, while one publishes: everybody has the
// newest at the end, and nobody goes back.
func TestManyNodesFillAtOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL(), server.URL())
	for round := range uint64(5) {
		board := fmt.Sprint("board", round)
		c.store.set(board, "first", 1)
		var viewers []*viewer
		for _, w := range c.nodes {
			for i := range 4 {
				viewers = append(viewers, w.viewerOf(board, i%2 == 0, sdk.DeltaTypeFossil))
			}
		}
		for rev := uint64(2); rev <= 10; rev++ {
			c.store.set(board, "first", rev)
			table, err := feed.Render(t.Context(), c.store, board)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.nodes[rev%3].node.Publish(t.Context(), table); err != nil {
				t.Fatal(err)
			}
		}
		exactly(t, viewers, 10)
		scores(t, viewers)
	}
}

// What is lost on its way to a node arrives nonetheless, also if nothing follows.
func TestLostPublication(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL(), server.URL())
	viewers := c.audience()
	c.publish(0, "first", 50)
	exactly(t, viewers, 50)
	client := server.Client(t)
	if err := client.Do(t.Context(), client.B().Arbitrary("CLIENT", "KILL", "TYPE", "pubsub").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	c.publish(0, "first", 51) // nobody hears it
	start := time.Now()
	exactly(t, viewers, 51)
	t.Logf("arrived after %v", time.Since(start))
	c.until("somebody was made to subscribe again", func() bool {
		return metric(t, c.nodes[0], "laurel_realtime_resyncs_total")+metric(t, c.nodes[1], "laurel_realtime_resyncs_total") > 0
	})
}

// Redis is away for a while. Who is connected stays connected and keeps the
// table; who comes tries again; publications fail, and then everything goes on.
func TestRedisAway(t *testing.T) {
	for name, back := range map[string]func(*redistest.Server, testing.TB){
		"with its data":    (*redistest.Server).Restart,
		"without its data": (*redistest.Server).RestartEmpty,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, redistest.AppendOnly())
			c := newCluster(t, server.URL(), server.URL())
			viewers := c.audience()
			c.publish(0, "first", 50)
			exactly(t, viewers, 50)
			for _, v := range viewers {
				want(t, "state", <-v.states, 0)
			}

			server.Kill()
			c.store.set("race", "first", 51)
			if err := c.nodes[0].node.Publish(t.Context(), c.table()); err == nil {
				t.Error("a table was published without Redis")
			}
			c.until("not ready", func() bool { return c.nodes[0].node.Ready() != nil })
			late := c.audience()
			for _, v := range late {
				_ = v.refused(t)
			}
			for _, v := range viewers {
				want(t, "connected", v.client.State(), sdk.StateConnected)
			}

			back(server, t)
			c.eventually(0, "first", 51)
			exactly(t, viewers, 51)
			exactly(t, late, 51)
			c.until("ready", func() bool { return c.nodes[0].node.Ready() == nil })
			c.publish(1, "first", 52)
			exactly(t, viewers, 52)
			exactly(t, late, 52)
			scores(t, viewers)
			for _, v := range viewers {
				want(t, "reconnections", int32(len(v.states)), v.cuts.Load())
			}
			for line, atMost := range map[string]int{"tables do not reach viewers": 2, "tables reach viewers again": 2} {
				if n := c.log.count(line); n < 1 || n > atMost {
					t.Errorf("logged %d times: %s", n, line)
				}
			}
		})
	}
}

// Redis comes back with an older state, as after a failover: what has arrived
// here before is not there. Nobody goes back, and everybody goes on.
func TestRedisComesBackOlder(t *testing.T) {
	start := func(t *testing.T) (*redistest.Server, *cluster, []*viewer) {
		server := redistest.Start(t)
		c := newCluster(t, server.URL(), server.URL())
		viewers := c.audience()
		for rev := uint64(2); rev <= 50; rev++ {
			c.publish(0, "first", rev)
		}
		client := server.Client(t)
		if err := client.Do(t.Context(), client.B().Save().Build()).Error(); err != nil {
			t.Fatal(err)
		}
		for rev := uint64(51); rev <= 60; rev++ {
			c.publish(0, "first", rev)
		}
		exactly(t, viewers, 60)
		c.until("there is no other reason to look at the table", func() bool {
			return !slices.ContainsFunc(c.nodes, func(w *world) bool {
				v, ok := w.node.shared.state("board:race")
				return !ok || v.doubtful
			})
		})
		server.Kill()
		server.Restart(t) // with what it had saved
		client = server.Client(t)
		rev, err := client.Do(t.Context(), client.B().Hget().Key(c.nodes[0].prefix+".live.stream.meta.board:race").Field("v").Build()).AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		want(t, "rev that Redis knows", rev, 50)
		return server, c, viewers
	}
	t.Run("the store has lost nothing", func(t *testing.T) {
		t.Parallel()
		_, c, viewers := start(t)
		for rev := uint64(61); rev <= 80; rev++ {
			c.eventually(0, "first", rev)
		}
		exactly(t, viewers, 80)
		scores(t, viewers)
	})
	t.Run("nothing is published", func(t *testing.T) {
		t.Parallel()
		_, c, viewers := start(t)
		kept := func() uint64 {
			k, _, err := c.nodes[0].node.shared.newest("board:race", forever)
			if err != nil {
				return 0
			}
			return k.rev
		}
		c.soon("the table is kept again", func() bool { return kept() == 60 })
		late := c.audience()
		exactly(t, late, 60)
		c.publish(0, "first", 61)
		exactly(t, viewers, 61)
		exactly(t, late, 61)
		scores(t, viewers)
	})
	t.Run("the store has lost as much", func(t *testing.T) {
		t.Parallel()
		_, c, viewers := start(t)
		c.eventually(0, "first", 50) // before it knows
		for rev := uint64(51); rev <= 55; rev++ {
			c.eventually(1, "first", rev)
		}
		late := c.audience()
		for _, v := range late {
			_ = v.refused(t) // it would be sent what others have gone beyond
		}
		for _, v := range viewers {
			want(t, "tables", len(v.tables), 0)
		}
		c.eventually(0, "second", 55)
		exactly(t, late, 55)
		for rev := uint64(56); rev <= 80; rev++ {
			c.eventually(0, "second", rev)
		}
		exactly(t, viewers, 80)
		exactly(t, late, 80)
		scores(t, viewers)
	})
}

// Redis answers nothing, and does not close connections either.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL())
	viewers := c.audience()
	c.publish(0, "first", 50)
	exactly(t, viewers, 50)
	server.Pause()
	c.store.set("race", "first", 51)
	if err := c.nodes[0].node.Publish(t.Context(), c.table()); err == nil {
		t.Error("a table was published without Redis")
	}
	server.Resume()
	c.eventually(0, "first", 52)
	exactly(t, viewers, 52)
	for _, v := range viewers {
		want(t, "state", <-v.states, 0)
		want(t, "reconnections", int32(len(v.states)), v.cuts.Load())
	}
}

// A node stops in good time, though Redis has gone before it, with viewers there
// and others who have just left.
func TestRunEndsWithoutRedis(t *testing.T) {
	for name, goes := range map[string]func(*redistest.Server){
		"gone":  (*redistest.Server).Kill,
		"hangs": (*redistest.Server).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			t.Cleanup(server.Resume)
			c := newCluster(t, server.URL())
			viewers := c.audience()
			exactly(t, viewers, 1)
			goes(server)
			viewers[0].client.Close()
			start := time.Now()
			c.nodes[0].stop()
			if took := time.Since(start); took > shutdownTimeout {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// The feed publishes what is newest when Redis is back.
func TestFeedGoesOnAfterRedisWasAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := newWorld(t, Options{Redis: onRedis(t, server.URL())})
	other := w.beside(Options{Redis: onRedis(t, server.URL())})
	w.feed()
	w.submit("race", "alice", 1)
	viewers := []*viewer{w.viewer(true, sdk.DeltaTypeFossil), other.viewer(false, sdk.DeltaTypeFossil)}
	for _, v := range viewers {
		v.until(t, 2)
	}
	server.Kill()
	for range 10 {
		w.submit("race", "alice", 1)
	}
	server.RestartEmpty(t)
	for _, v := range viewers {
		want(t, "score", v.until(t, 12).Leaders[0].Score.String(), "11")
	}
}

// Who watches a member on a node that is told of no changes sees them all the same.
func TestRanksOfBoardsThatAnotherNodePublishes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	opts := Options{Redis: onRedis(t, server.URL()), RankInterval: 10 * time.Millisecond, PollRanks: true}
	w := newWorld(t, opts)
	other := w.beside(opts)
	w.feed()
	w.submit("race", "alice", 1)
	p := other.websocket(nil)
	if r := p.subscribe(2, "rank:race#alice", ""); r.Subscribe == nil {
		t.Fatalf("reply = %+v", r)
	}
	w.submit("race", "bob", 2)
	want(t, "rank", *parseRank(t, p.pushed().Data).Rank, 2)
}

// A node is cut off from Redis, and the others are not.
func TestNodeIsCutOff(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	c := newCluster(t, server.URL(), proxy.URL())
	viewers := c.audience()
	c.publish(1, "first", 50)
	exactly(t, viewers, 50)
	proxy.Cut()
	for rev := uint64(51); rev <= 60; rev++ {
		c.publish(0, "first", rev)
	}
	exactly(t, viewers[:2], 60) // those of the other node
	want(t, "tables behind the cut", len(viewers[2].tables)+len(viewers[3].tables), 0)
	proxy.Heal()
	exactly(t, viewers[2:], 60)
	c.publish(0, "first", 61)
	exactly(t, viewers, 61)
	scores(t, viewers)
}

func TestRunNeedsRedisAtFirst(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	node, err := New(newCommon(), Options{Redis: onRedis(t, server.URL())})
	if err != nil {
		t.Fatal(err)
	}
	err = node.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("Run = %v, want an error that names %s", err, server.Addr())
	}

	server = redistest.Start(t, redistest.Password("right"))
	node, err = New(newCommon(), Options{Redis: onRedis(t, strings.Replace(server.URL(), "right", "wrong", 1))})
	if err != nil {
		t.Fatal(err)
	}
	err = node.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "wrong@") {
		t.Errorf("Run = %v, want that the password is wrong, without it", err)
	}
}

// The store is away: viewers keep their tables and come back by themselves.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := newCluster(t, server.URL())
	viewers := c.audience()
	c.publish(0, "first", 50)
	exactly(t, viewers, 50)
	c.store.goAway(true)
	flush(t, server)
	late := c.audience()
	for _, v := range late {
		err := v.refused(t)
		if e, ok := errors.AsType[*sdk.Error](err); ok && !e.Temporary {
			t.Errorf("error of the subscription = %v, want a temporary one", err)
		}
	}
	c.store.goAway(false)
	exactly(t, late, 50)
	exactly(t, viewers, 50)
}

// The same on the other forms of Redis: a node's tables reach the viewers of
// another, also after the loss of a server.
func TestFormsOfRedis(t *testing.T) {
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		url := redistest.Start(t, redistest.Password("p@ss/word")).URL()
		follow(t, newCluster(t, url, url), func() {})
	})
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		url := redistest.Start(t, redistest.MutualTLS(), redistest.Password("p@ss/word")).URL()
		follow(t, newCluster(t, url, url), func() {})
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinel(t)
		follow(t, newCluster(t, s.URL(), s.URL()), func() { s.Failover(t) })
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartCluster(t)
		c := newCluster(t, s.URL(), s.URL())
		follow(t, c, func() { s.Failover(t, c.nodes[0].prefix+".live.stream.{board:race}") })
	})
}

func follow(t *testing.T, c *cluster, happens func()) {
	t.Helper()
	viewers := c.audience()
	for rev := uint64(2); rev <= 20; rev++ {
		c.publish(int(rev)%2, "first", rev)
	}
	exactly(t, viewers, 20)
	happens()
	for rev := uint64(21); rev <= 40; rev++ {
		c.eventually(int(rev)%2, "first", rev)
	}
	exactly(t, viewers, 40)
	late := c.audience()
	exactly(t, late, 40)
	scores(t, viewers)
}
