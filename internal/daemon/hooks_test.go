package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laurel/client"
	"laurel/internal/hooks"
	"laurel/internal/redistest"
)

const hookSecret = "a secret of the test"

// impatient is a configuration of hooks that does not let a test wait.
var impatient = hooks.Options{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Poll: 20 * time.Millisecond}

// hookTarget is a server that takes deliveries, and each of them once.
type hookTarget struct {
	*testing.T
	server *http.Server
	url    string
	got    chan client.HookEvent // has room for all that a test sends

	mu     sync.Mutex
	seen   map[string]bool            // guarded by mu; deliveries
	answer func(client.HookEvent) int // guarded by mu; nil takes it
}

func newHookTarget(t *testing.T) *hookTarget {
	t.Helper()
	target := &hookTarget{T: t, got: make(chan client.HookEvent, 10_000), seen: map[string]bool{}}
	target.listen("127.0.0.1:0")
	t.Cleanup(target.down)
	return target
}

func (t *hookTarget) listen(address string) {
	t.Helper()
	var listener net.Listener
	until(t.T, "listen at "+address, func() (err error) {
		var config net.ListenConfig
		listener, err = config.Listen(t.Context(), "tcp", address)
		return err
	})
	t.url = "http://" + listener.Addr().String()
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: time.Minute}
	go func() { _ = t.server.Serve(listener) }() // until it is closed
}

// down closes the target's address, and up opens it again.
func (t *hookTarget) down() { _ = t.server.Close() }

func (t *hookTarget) up() {
	t.Helper()
	t.listen(strings.TrimPrefix(t.url, "http://"))
}

func (t *hookTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := client.ReadHook(r, hookSecret)
	if err != nil {
		if !errors.Is(err, client.ErrHookSignature) {
			return // it was cut off
		}
		t.Errorf("delivery: %v", err)
	}
	t.mu.Lock()
	answer := t.answer
	t.mu.Unlock()
	if answer != nil {
		if status := answer(e); status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.seen[e.Delivery] {
		t.seen[e.Delivery] = true
		t.got <- e
	}
}

func (t *hookTarget) answers(f func(client.HookEvent) int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer = f
}

func (t *hookTarget) hook(name string, events ...hooks.Kind) hooks.Hook {
	return hooks.Hook{Name: name, URL: t.url, Secrets: []string{hookSecret}, Events: events}
}

func (t *hookTarget) next() client.HookEvent {
	t.Helper()
	select {
	case e := <-t.got:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no delivery comes")
		return client.HookEvent{}
	}
}

// chain takes deliveries of one board until it hears that a member leads. Each must go on from
// where the one before has left off, or some are missing, or were recorded twice.
func (t *hookTarget) chain(leader, last string) (events int) {
	t.Helper()
	for leader != last {
		e := t.next()
		if e.Event != client.HookNewLeader {
			t.Fatalf("event = %s, want only new leaders", e.Event)
		}
		if e.Previous.Member != leader {
			t.Fatalf("%s took the place of %s, but %s was told to lead", e.Leader.Member, e.Previous.Member, leader)
		}
		leader = e.Leader.Member
		events++
	}
	return events
}

// noticed waits until it is noted who leads a board.
func noticed(t *testing.T, d running, board, leader string) {
	t.Helper()
	until(t, leader+" is to lead", func() error {
		note, err := d.store.Note(t.Context(), board)
		if err == nil && !strings.Contains(string(note.Text), fmt.Sprintf(`"leader":%q`, leader)) {
			err = fmt.Errorf("noted is %q", note.Text)
		}
		return err
	})
}

func lead(t *testing.T, c *client.Client, board, member string, score int) {
	t.Helper()
	if _, err := c.Set(t.Context(), board, client.Submission{Member: member, Score: client.Int(int64(score))}); err != nil {
		t.Fatal(err)
	}
}

// One hook is told what happens, though another one's target never answers.
func TestHooksTellWhatHappens(t *testing.T) {
	target, hanging := newHookTarget(t), newHookTarget(t)
	release := make(chan struct{})
	defer close(release)
	asked := make(chan struct{}, 1000)
	hanging.answers(func(client.HookEvent) int {
		asked <- struct{}{}
		<-release
		return http.StatusOK
	})
	hangs := hanging.hook("hangs")
	d := run(t, Options{Hooks: []hooks.Hook{hangs, target.hook("all")}, hookOptions: impatient})
	c := connect(t, d.url)
	if _, err := c.CreateBoard(t.Context(), client.Settings{ID: "race", Decimals: 1, IntervalMS: 20}); err != nil {
		t.Fatal(err)
	}
	lead(t, c, "race", "alice", 5)
	noticed(t, d, "race", "alice")
	lead(t, c, "race", "bob", 7)
	e := target.next()
	if e.Event != client.HookNewLeader || e.Board != "race" || e.Leader.Member != "bob" || e.Leader.Score != "7" || e.Previous.Member != "alice" || e.Previous.Score != "5" {
		t.Errorf("first event = %+v, want bob in alice's place", e)
	}
	e = target.next()
	if e.Event != client.HookRecordBeaten || e.Record.Member != "bob" || e.Previous.Score != "5" {
		t.Errorf("second event = %+v, want bob's record", e)
	}
	<-asked // so the other one hangs
	second, err := c.EndSeason(t.Context(), "race", 1)
	if err != nil {
		t.Fatal(err)
	}
	e = target.next()
	if e.Event != client.HookSeasonEnded || e.Season != 1 || !e.EndedAt.Equal(second.StartsAt) || e.Standing.Pages != 1 || len(e.Standing.Entries) != 2 || e.Standing.Entries[1].Member != "alice" {
		t.Errorf("third event = %+v, want the end of season 1 at %v", e, second.StartsAt)
	}
	metrics := get(t, d.url+"/metrics").text
	for _, line := range []string{
		`laurel_hooks_recorded_total{event="season_ended",hook="all"} 1`, `laurel_hooks_deliveries_total{hook="all",result="delivered"}`,
		`laurel_hooks_waiting{hook="hangs"}`, `laurel_hooks_oldest_seconds{hook="all"}`, "laurel_hooks_attempt_seconds_count",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("/metrics has no %s", line)
		}
	}
}

// What happens while the target is down comes when it is up, in order, also from
// a server that was started anew in between. Nobody else notices.
func TestHooksWaitForTheirTarget(t *testing.T) {
	for _, store := range []string{"localstore", "redisstore"} {
		t.Run(store, func(t *testing.T) {
			target := newHookTarget(t)
			opts := Options{Hooks: []hooks.Hook{target.hook("leaders", hooks.NewLeader)}, hookOptions: impatient}
			if store == "localstore" {
				opts.Data = t.TempDir()
			} else {
				opts.Redis = at(t, redistest.Start(t).URL())
			}
			target.down()
			d := run(t, opts)
			c := connect(t, d.url)
			if _, err := c.CreateBoard(t.Context(), client.Settings{ID: "race", IntervalMS: 20}); err != nil {
				t.Fatal(err)
			}
			score := 0
			change := func(n int) {
				for range n {
					score++
					member := fmt.Sprint("m", score)
					lead(t, c, "race", member, score)
					noticed(t, d, "race", member)
				}
			}
			change(6)
			until(t, "a failure is to be counted", func() error {
				if !strings.Contains(get(t, d.url+"/metrics").text, `laurel_hooks_deliveries_total{hook="leaders",result="failed"}`) {
					return errors.New("none is")
				}
				return nil
			})
			if answer := get(t, d.url+"/readyz"); answer.status != http.StatusOK {
				t.Errorf("/readyz answers %d", answer.status)
			}
			if err := d.stop(); err != nil {
				t.Fatal(err)
			}
			d = run(t, opts)
			c = connect(t, d.url)
			change(4)
			target.up()
			if n := target.chain("m1", "m10"); n != 9 {
				t.Errorf("%d events, want each of 9", n)
			}
		})
	}
}

// Of nodes that share a store one records each event, and while one of them goes, another
// one takes over.
func TestNodesShareHooks(t *testing.T) {
	redis := at(t, redistest.Start(t).URL())
	target := newHookTarget(t)
	opts := Options{Redis: redis, Hooks: []hooks.Hook{target.hook("leaders", hooks.NewLeader)}, hookOptions: impatient}
	nodes := []running{run(t, opts), run(t, opts), run(t, opts)}
	clients := make([]*client.Client, len(nodes))
	for i, node := range nodes {
		clients[i] = connect(t, node.url)
	}
	boards := []string{"a", "b", "c", "d", "e", "f", "g", "h"} // in several partitions
	for _, board := range boards {
		if _, err := clients[0].CreateBoard(t.Context(), client.Settings{ID: board, IntervalMS: 20}); err != nil {
			t.Fatal(err)
		}
		lead(t, clients[0], board, "m0", 1)
	}
	for _, board := range boards {
		noticed(t, nodes[0], board, "m0")
	}
	recordings := func() (n int) {
		for _, board := range boards {
			note, err := nodes[0].store.Note(t.Context(), board)
			if err != nil {
				t.Fatal(err)
			}
			n += int(note.Version)
		}
		return n
	}
	before := recordings()
	const changes = 30
	for i := range changes {
		for _, board := range boards {
			lead(t, clients[i%len(clients)], board, fmt.Sprint("m", i+1), i+2)
		}
		if i == changes/2 {
			if err := nodes[2].stop(); err != nil {
				t.Fatal(err)
			}
			nodes, clients = nodes[:2], clients[:2]
		}
	}
	last := fmt.Sprint("m", changes)
	leaders, ids, events := map[string]string{}, map[string]bool{}, 0
	for _, board := range boards {
		leaders[board] = "m0"
	}
	for slices.ContainsFunc(boards, func(b string) bool { return leaders[b] != last }) {
		e := target.next()
		if e.Previous.Member != leaders[e.Board] {
			t.Fatalf("on %s %s took the place of %s, but %s was told to lead", e.Board, e.Leader.Member, e.Previous.Member, leaders[e.Board])
		}
		if ids[e.ID] {
			t.Errorf("event %s has two deliveries", e.ID)
		}
		leaders[e.Board], ids[e.ID] = e.Leader.Member, true
		events++
	}
	if n := recordings() - before; n != events {
		t.Errorf("%d events came of %d recordings", events, n)
	}
	t.Logf("%d events of %d changes", events, changes*len(boards))
}

func TestBadHooksEndTheStart(t *testing.T) {
	_, err := Open(t.Context(), Options{Data: t.TempDir(), Listen: "127.0.0.1:0", Hooks: []hooks.Hook{{Name: "x", URL: "localhost"}}})
	wrong, ok := errors.AsType[*hooks.SettingError](err)
	if !ok || wrong.Setting != "hooks[0].url" {
		t.Errorf("Open: %v, want a mistake in hooks[0].url", err)
	}
}
