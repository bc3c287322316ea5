package centrifugo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redistest"
)

const (
	testStream = "leaderboard-stream"
	testGroup  = "centrifugo"
)

// consumerConfig is the tutorial's consumer on a server.
func consumerConfig(tb testing.TB, url string, change ...func(*RedisStreamConfig)) ConsumerConfig {
	tb.Helper()
	c := settings(tb, change...)
	c.Redis = redisConfig(tb, url)
	c.Streams = []string{testStream}
	c.ConsumerGroup = testGroup
	c.NumWorkers = 8
	for _, f := range change {
		f(&c)
	}
	return ConsumerConfig{Name: "leaderboard_redis", RedisStream: c}
}

// world records what handlers are asked for.
type world struct {
	mu        sync.Mutex
	published map[string][]Publication // by channel, without those that come too late
	names     map[string]int           // of submissions: how often they came
	payloads  []string                 // of submissions, each name once
	outdated  int

	publish func(p Publication) error // nil: nothing fails
	submit  func(payload string) error
}

func newWorld() *world {
	return &world{published: map[string][]Publication{}, names: map[string]int{}}
}

func (w *world) handlers() Handlers {
	return Handlers{
		Publish: func(_ context.Context, p Publication) error {
			if w.publish != nil {
				if err := w.publish(p); err != nil {
					return err
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if list := w.published[p.Channel]; p.Version > 0 && len(list) > 0 {
				if last := list[len(list)-1]; last.VersionEpoch == p.VersionEpoch && last.Version >= p.Version {
					w.outdated++
					return nil
				}
			}
			w.published[p.Channel] = append(w.published[p.Channel], p)
			return nil
		},
		Submit: func(_ context.Context, name string, payload []byte) error {
			if w.submit != nil {
				if err := w.submit(string(payload)); err != nil {
					return err
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.names[name]++; w.names[name] == 1 {
				w.payloads = append(w.payloads, string(payload))
			}
			return nil
		},
	}
}

func (w *world) count() (publications, submissions, outdated int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.published {
		publications += len(list)
	}
	return publications, len(w.payloads), w.outdated
}

// running is a consumer that was started.
type running struct {
	*Consumer
	registry *prometheus.Registry
	stop     func() // and waits until it has stopped
	log      *logBuffer
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func run(tb testing.TB, config ConsumerConfig, h Handlers, change ...func(*Consumer)) *running {
	tb.Helper()
	r := &running{registry: prometheus.NewPedanticRegistry(), log: &logBuffer{}}
	r.Consumer = NewConsumer([]ConsumerConfig{config}, h, ConsumerOptions{
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Metrics: r.registry,
	})
	for _, f := range change {
		f(r.Consumer)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	r.stop = func() { cancel(); wg.Wait() }
	tb.Cleanup(func() {
		r.stop()
		if tb.Failed() {
			tb.Logf("%s:\n%s", r.node, r.log)
		}
	})
	return r
}

func (r *running) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	return metric(tb, r.registry, name)
}

// metric returns the sum of a metric over its labels.
func metric(tb testing.TB, registry *prometheus.Registry, name string) (sum float64) {
	tb.Helper()
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// until waits until something is so. Redis tells nobody, so we ask.
func until(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	ask := time.NewTicker(2 * time.Millisecond)
	defer ask.Stop()
	for !so() {
		select {
		case <-ask.C:
		case <-deadline.C:
			tb.Fatalf("waited too long until %s", what)
		}
	}
}

func add(tb testing.TB, client rueidis.Client, stream string, pairs ...string) string {
	tb.Helper()
	add := client.B().Xadd().Key(stream).Id("*").FieldValue()
	for i := 0; i < len(pairs); i += 2 {
		add = add.FieldValue(pairs[i], pairs[i+1])
	}
	id, err := client.Do(tb.Context(), add.Build()).ToString()
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// group is the state of the group in Redis.
type group struct {
	consumers     map[string]int64 // entries in hand, by name
	pending       int64
	lastDelivered string
}

func groupOf(tb testing.TB, client rueidis.Client) (g group, ok bool) {
	tb.Helper()
	g.consumers = map[string]int64{}
	groups, err := client.Do(tb.Context(), client.B().XinfoGroups().Key(testStream).Build()).ToArray()
	if err != nil {
		return g, false
	}
	for _, message := range groups {
		info, err := message.AsMap()
		if err != nil {
			tb.Fatal(err)
		}
		name, pending, last := info["name"], info["pending"], info["last-delivered-id"]
		if name, _ := name.ToString(); name == testGroup {
			ok = true
		}
		g.pending, _ = pending.AsInt64()
		g.lastDelivered, _ = last.ToString()
	}
	consumers, err := client.Do(tb.Context(), client.B().XinfoConsumers().Key(testStream).Group(testGroup).Build()).ToArray()
	if err != nil {
		return g, false
	}
	for _, message := range consumers {
		info, err := message.AsMap()
		if err != nil {
			tb.Fatal(err)
		}
		name, pending := info["name"], info["pending"]
		id, _ := name.ToString()
		g.consumers[id], _ = pending.AsInt64()
	}
	return g, ok
}

func lastID(tb testing.TB, client rueidis.Client) string {
	tb.Helper()
	entries, err := client.Do(tb.Context(), client.B().Xrevrange().Key(testStream).End("+").Start("-").Count(1).Build()).AsXRange()
	if err != nil || len(entries) == 0 {
		tb.Fatalf("no entries in the stream: %v", err)
	}
	return entries[0].ID
}

// settled waits until every entry of the stream was delivered and acknowledged.
func settled(tb testing.TB, client rueidis.Client) {
	tb.Helper()
	until(tb, "the stream is read and acknowledged", func() bool {
		g, ok := groupOf(tb, client)
		return ok && g.pending == 0 && g.lastDelivered == lastID(tb, client)
	})
}

func TestTutorialIsPublishedInOrderOfItsVersions(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	script, err := os.ReadFile("testdata/tutorial.lua")
	if err != nil {
		t.Fatal(err)
	}
	update := rueidis.NewLuaScript(string(script))
	w := newWorld()
	for range 2 { // two nodes with eight workers each
		run(t, consumerConfig(t, server.URL()), w.handlers())
	}
	const writers, each = 8, 250
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				member := []string{"Alice", "Bob", "Charlie", "David", "Eve"}[rand.N(5)]
				err := update.Exec(t.Context(), client, []string{"leaderboard", "leaderboard-state", testStream},
					[]string{member, strconv.Itoa(1 + i%10), "leaderboard"}).Error()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	settled(t, client)

	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.published["leaderboard"]
	if got := len(list) + w.outdated; got != writers*each {
		t.Errorf("%d publications, want %d", got, writers*each)
	}
	last := list[len(list)-1]
	if last.Version != writers*each {
		t.Errorf("the last version is %d, want %d", last.Version, writers*each)
	}
	var table struct {
		Leaders []struct {
			Name  string
			Score float64
		}
	}
	if err := json.Unmarshal(last.Data, &table); err != nil {
		t.Fatal(err)
	}
	want, err := client.Do(t.Context(), client.B().Zrange().Key("leaderboard").Min("0").Max("-1").Rev().Withscores().Build()).AsZScores()
	if err != nil {
		t.Fatal(err)
	}
	var got []rueidis.ZScore
	for _, row := range table.Leaders {
		got = append(got, rueidis.ZScore{Member: row.Name, Score: row.Score})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Versions that come in any order, and from several epochs, leave the newest.
func TestWhatWasThereBeforeIsRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	versions := rand.Perm(200)
	for _, v := range versions {
		add(t, client, testStream, "method", "publish", "payload", fmt.Sprintf(`{"channel":"leaderboard","data":%d,"version":%d,"version_epoch":"e"}`, v+1, v+1))
	}
	w := newWorld()
	run(t, consumerConfig(t, server.URL()), w.handlers())
	settled(t, client)
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.published["leaderboard"]
	if last := list[len(list)-1]; last.Version != 200 || string(last.Data) != "200" {
		t.Errorf("the last is %s at version %d, want 200", last.Data, last.Version)
	}
	if len(list)+w.outdated != 200 {
		t.Errorf("%d publications, want all 200, though they were written before there was a group", len(list)+w.outdated)
	}
}

func TestBroadcastGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	w := newWorld()
	failures := 0
	w.publish = func(p Publication) error {
		switch {
		case p.Channel == "b" && failures < 2:
			failures++
			return errors.New("broker: connection refused")
		case p.Channel == "board:x":
			return leaderboard.Errorf("unknown_channel", "not yours")
		}
		return nil
	}
	run(t, consumerConfig(t, server.URL()), w.handlers())
	add(t, client, testStream, "method", "broadcast", "payload", `{"channels":["a","board:x","b","c"],"data":1}`)
	settled(t, client)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, channel := range []string{"a", "b", "c"} {
		if got := len(w.published[channel]); got != 1 {
			t.Errorf("%d publications to %s, want 1", got, channel)
		}
	}
	if failures != 2 {
		t.Errorf("%d failures, want 2", failures)
	}
	dead := deadOf(t, client)
	if len(dead) != 1 || !strings.Contains(dead[0]["dead-reason"], `channel "board:x": not yours`) {
		t.Errorf("dead letters: %v", dead)
	}
}

func deadOf(tb testing.TB, client rueidis.Client) (list []map[string]string) {
	tb.Helper()
	entries, err := client.Do(tb.Context(), client.B().Xrange().Key(testStream+deadSuffix).Start("-").End("+").Build()).AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		tb.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.FieldValues)
	}
	return list
}

func TestPoisonIsSetAsideAndBlocksNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	w := newWorld()
	w.submit = func(payload string) error {
		switch payload {
		case "refused":
			return &leaderboard.BatchError{Op: leaderboard.Op{Member: "m"}, Err: leaderboard.Errorf(leaderboard.CodeScoreOutOfRange, "too much")}
		case "panic":
			panic("out of cheese")
		}
		return nil
	}
	type letter struct {
		kind   string
		fields map[string]string
	}
	want := map[string]letter{} // by id
	good := 0
	for _, p := range poisons {
		if len(p.entry) == 0 {
			continue // Redis has no such entries
		}
		var pairs []string
		fields := map[string]string{}
		for _, f := range p.entry {
			pairs = append(pairs, f.Field, f.Value)
			fields[f.Field] = f.Value[:min(len(f.Value), deadMaxValue)]
		}
		want[add(t, client, testStream, pairs...)] = letter{string(p.kind), fields}
		add(t, client, testStream, "method", "submit", "payload", strconv.Itoa(good))
		good++
	}
	for payload, kind := range map[string]kind{"refused": kindRefused, "panic": kindPanic} {
		id := add(t, client, testStream, "method", "submit", "payload", payload)
		want[id] = letter{string(kind), map[string]string{"method": "submit", "payload": payload}}
	}
	r := run(t, consumerConfig(t, server.URL(), func(c *RedisStreamConfig) { c.NumWorkers = 1 }), w.handlers())
	settled(t, client)

	if _, submissions, _ := w.count(); submissions != good {
		t.Errorf("%d submissions between the poison were carried out, want %d", submissions, good)
	}
	got := map[string]letter{}
	for _, fields := range deadOf(t, client) {
		id := fields["dead-id"]
		if fields["dead-reason"] == "" || fields["dead-group"] != testGroup {
			t.Errorf("a dead letter without its reason or group: %v", fields)
		}
		l := letter{fields["dead-kind"], maps.Clone(fields)}
		maps.DeleteFunc(l.fields, func(name, _ string) bool { return strings.HasPrefix(name, "dead-") })
		got[id] = l
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(letter{})); diff != "" {
		t.Error(diff)
	}
	if n := r.metric(t, "laurel_consumer_dead_total"); int(n) != len(want) {
		t.Errorf("%v dead letters counted, want %d", n, len(want))
	}
	if n := r.metric(t, "laurel_consumer_processed_total"); int(n) != good {
		t.Errorf("%v submissions counted, want %d", n, good)
	}
	if n := strings.Count(r.log.String(), "an entry was set aside"); n != 4 {
		t.Errorf("%d lines about dead letters, want one for each of 4 kinds", n)
	}
}

func TestDeadLettersThatCannotBeKeptBlockNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	if err := client.Do(t.Context(), client.B().Set().Key(testStream+deadSuffix).Value("x").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	r := run(t, consumerConfig(t, server.URL()), w.handlers())
	add(t, client, testStream, "method", "explode", "payload", "1")
	add(t, client, testStream, "method", "submit", "payload", "1")
	settled(t, client)
	if _, submissions, _ := w.count(); submissions != 1 {
		t.Errorf("%d submissions, want 1", submissions)
	}
	if !strings.Contains(r.log.String(), "cannot be set aside") {
		t.Error("nothing was logged about the entry that is lost")
	}
}

func TestDeadLettersAreCapped(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	run(t, consumerConfig(t, server.URL()), newWorld().handlers())
	const n = 3 * deadMaxLen
	for range n {
		add(t, client, testStream, "method", "explode", "payload", "1")
	}
	settled(t, client)
	kept, err := client.Do(t.Context(), client.B().Xlen().Key(testStream+deadSuffix).Build()).AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	if kept < deadMaxLen || kept > 2*deadMaxLen {
		t.Errorf("%d dead letters are kept of %d, want about %d", kept, n, deadMaxLen)
	}
}

// What cannot be carried out for now is tried again in its place, and nothing
// else waits for it.
func TestTroubleIsNoPoison(t *testing.T) {
	for name, trouble := range map[string]error{
		"storage":  leaderboard.ErrStorageUnavailable,
		"stopping": leaderboard.ErrShuttingDown,
		"unknown":  errors.New("out of cheese"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := server.Client(t)
			w := newWorld()
			var away sync.Map
			away.Store("so", true)
			w.submit = func(payload string) error {
				if _, so := away.Load("so"); so && payload == "1" {
					return fmt.Errorf("apply: %w", trouble)
				}
				return nil
			}
			r := run(t, consumerConfig(t, server.URL()), w.handlers())
			add(t, client, testStream, "method", "submit", "payload", "1")
			add(t, client, testStream, "method", "submit", "payload", "2")
			until(t, "it was tried four times", func() bool { return r.metric(t, "laurel_consumer_retries_total") >= 4 })
			if _, submissions, _ := w.count(); submissions != 1 {
				t.Errorf("%d submissions, want only the one behind it", submissions)
			}
			away.Delete("so")
			settled(t, client)
			w.mu.Lock()
			defer w.mu.Unlock()
			if diff := cmp.Diff([]string{"2", "1"}, w.payloads); diff != "" {
				t.Error(diff)
			}
			if dead := deadOf(t, client); len(dead) > 0 {
				t.Errorf("dead letters: %v", dead)
			}
		})
	}
}

func TestStoppingFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	w := newWorld()
	begun, end := make(chan struct{}), make(chan struct{})
	w.submit = func(string) error {
		begun <- struct{}{}
		<-end
		return nil
	}
	r := run(t, consumerConfig(t, server.URL()), w.handlers())
	add(t, client, testStream, "method", "submit", "payload", "1")
	<-begun
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("it stopped with an entry in hand")
	case <-time.After(2 * readWait):
	}
	close(end)
	<-stopped
	g, _ := groupOf(t, client)
	if g.pending != 0 || len(g.consumers) != 0 {
		t.Errorf("it left behind %+v, want nothing, not even its name", g)
	}
	if _, submissions, _ := w.count(); submissions != 1 {
		t.Errorf("%d submissions, want 1", submissions)
	}
}

// An entry that cannot be carried out when its consumer is stopped is another's
// at once, though the time after which it could be claimed is not over.
func TestStoppingGivesBackWhatCannotBeDone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	away := newWorld()
	away.submit = func(string) error { return leaderboard.ErrStorageUnavailable }
	first := run(t, consumerConfig(t, server.URL()), away.handlers())
	add(t, client, testStream, "method", "submit", "payload", "1")
	until(t, "it was tried", func() bool { return first.metric(t, "laurel_consumer_retries_total") > 0 })
	first.stop()
	if g, _ := groupOf(t, client); g.consumers[first.node] != 1 {
		t.Fatalf("the group is %+v, want the entry still there", g)
	}
	w := newWorld()
	second := run(t, consumerConfig(t, server.URL()), w.handlers(), func(c *Consumer) { c.quiet = 0 })
	settled(t, client)
	if n := second.metric(t, "laurel_consumer_claimed_total"); n != 1 {
		t.Errorf("%v entries were claimed, want 1", n)
	}
	until(t, "the one that left it is out of the group", func() bool {
		g, _ := groupOf(t, client)
		_, there := g.consumers[first.node]
		return !there
	})
	if away.names = w.names; len(away.names) != 1 {
		t.Errorf("submitted under %v, want one name", away.names)
	}
}

// A consumer that works on one entry for long keeps it.
func TestSlowIsNotDead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	short := func(c *RedisStreamConfig) { c.VisibilityTimeout = time.Second }
	begun, end := make(chan struct{}), make(chan struct{})
	slow := newWorld()
	slow.submit = func(string) error { close(begun); <-end; return nil }
	run(t, consumerConfig(t, server.URL(), short), slow.handlers())
	add(t, client, testStream, "method", "submit", "payload", "1")
	<-begun
	other := newWorld()
	run(t, consumerConfig(t, server.URL(), short), other.handlers())
	// Each time that it is less than before, the group has heard of the entry.
	idle, heard := time.Duration(0), 0
	until(t, "the group has heard five times that the entry is worked on", func() bool {
		pending, err := client.Do(t.Context(), client.B().Xpending().Key(testStream).Group(testGroup).Start("-").End("+").Count(1).Build()).ToArray()
		if err != nil || len(pending) != 1 {
			t.Fatalf("pending: %v, %v", pending, err)
		}
		parts, _ := pending[0].ToArray()
		ms, _ := parts[2].AsInt64()
		now := time.Duration(ms) * time.Millisecond
		if now < idle {
			heard++
		}
		idle = now
		return heard == 5
	})
	close(end)
	settled(t, client)
	if _, taken, _ := other.count(); taken != 0 {
		t.Error("another consumer took the entry")
	}
}

func TestConsumersThatAreGoneAreRemoved(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	ctx := t.Context()
	add(t, client, testStream, "method", "submit", "payload", "1")
	for _, cmd := range []rueidis.Completed{
		client.B().XgroupCreate().Key(testStream).Group(testGroup).Id("0").Build(),
		client.B().XgroupCreateconsumer().Key(testStream).Group(testGroup).Consumer("idle").Build(),
		client.B().Xreadgroup().Group(testGroup, "busy").Count(1).Streams().Key(testStream).Id(">").Build(),
	} {
		if err := client.Do(ctx, cmd).Error(); err != nil {
			t.Fatal(err)
		}
	}
	run(t, consumerConfig(t, server.URL()), newWorld().handlers(), func(c *Consumer) { c.quiet = 0 })
	until(t, "the idle one is gone", func() bool {
		g, _ := groupOf(t, client)
		_, there := g.consumers["idle"]
		return !there
	})
	if g, _ := groupOf(t, client); g.consumers["busy"] != 1 {
		t.Errorf("the group is %+v: a consumer was removed with an entry in its hands", g)
	}
}

func TestRedisComesAndGoes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.AppendOnly())
	server.Kill()
	w := newWorld()
	r := run(t, consumerConfig(t, server.URL()), w.handlers())
	until(t, "it has noticed", func() bool { return strings.Contains(r.log.String(), "cannot reach Redis") })
	if n := r.metric(t, "laurel_consumer_reading"); n != 0 {
		t.Errorf("the metric says %v, want 0 while Redis is away", n)
	}
	server.RestartEmpty(t)
	submitted := 0
	more := func() {
		t.Helper()
		client := server.Client(t)
		add(t, client, testStream, "method", "submit", "payload", strconv.Itoa(submitted))
		submitted++
		until(t, "it is carried out", func() bool { _, n, _ := w.count(); return n == submitted })
		settled(t, client)
		until(t, "the metric says that the stream is read", func() bool { return r.metric(t, "laurel_consumer_reading") == 1 })
	}
	more()
	server.Kill()
	until(t, "the metric says that it is not read", func() bool { return r.metric(t, "laurel_consumer_reading") == 0 })
	server.Restart(t)
	more()
	server.RestartEmpty(t) // the group is gone, and the stream begins again
	more()
	client := server.Client(t)
	if err := client.Do(t.Context(), client.B().Flushall().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	more()
	if err := client.Do(t.Context(), client.B().Del().Key(testStream).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	more()
	server.Pause()
	time.AfterFunc(time.Second, server.Resume)
	more()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.names) != submitted {
		t.Errorf("%d names for %d entries: %v", len(w.names), submitted, w.names)
	}
}

// An entry has one name in every group, and another than the entry with the same
// id in another Redis, or after the stream was lost.
func TestNamesOfEntries(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	var server *redistest.Server
	w := newWorld()
	submitOne := func(group string) {
		t.Helper()
		r := run(t, consumerConfig(t, server.URL(), func(c *RedisStreamConfig) { c.ConsumerGroup = group }), w.handlers())
		before := r.metric(t, "laurel_consumer_processed_total")
		until(t, "it is carried out", func() bool { return r.metric(t, "laurel_consumer_processed_total") > before })
		r.stop()
	}
	addAt := func(id string) {
		t.Helper()
		client := server.Client(t)
		if err := client.Do(t.Context(), client.B().Xadd().Key(testStream).Id(id).FieldValue().FieldValue("method", "submit").FieldValue("payload", "1").Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for _, restart := range []bool{false, true} {
		if restart {
			server.RestartEmpty(t)
		} else {
			server = redistest.Start(t)
		}
		addAt("1-1")
		submitOne("g1")
		submitOne("g2")
		for name := range w.names {
			names[name] = true
		}
	}
	if len(names) != 2 {
		t.Errorf("the names of two entries, each read in two groups, are %v", slices.Sorted(maps.Keys(names)))
	}
}

// The child is killed with entries in its hands: each is carried out all the same,
// and a submission once.
func TestKilledConsumersLoseNothing(t *testing.T) {
	if url := os.Getenv("CENTRIFUGO_TEST_CHILD"); url != "" {
		consumeAsChild(t, url)
		return
	}
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	const n = 3000
	sum := 0
	var wg sync.WaitGroup
	for i := range 8 {
		for j := i; j < n; j += 8 {
			sum += j
		}
		wg.Go(func() {
			for j := i; j < n; j += 8 {
				add(t, client, testStream, "method", "submit", "payload", strconv.Itoa(j))
			}
		})
	}
	applied := func() (count, total int64) {
		t.Helper()
		count, err := client.Do(t.Context(), client.B().Get().Key("count").Build()).AsInt64()
		if rueidis.IsRedisNil(err) {
			return 0, 0
		} else if err != nil {
			t.Fatal(err)
		}
		total, _ = client.Do(t.Context(), client.B().Get().Key("total").Build()).AsInt64()
		return count, total
	}
	kills := 0
	for kills < 4 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledConsumersLoseNothing$")
		child.Env = append(os.Environ(), "CENTRIFUGO_TEST_CHILD="+server.URL())
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		before, _ := applied()
		until(t, "the child works", func() bool { now, _ := applied(); return now > before+50 })
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed
		kills++
	}
	wg.Wait()
	g, _ := groupOf(t, client)
	if g.pending == 0 {
		t.Fatal("no child died with an entry in its hands")
	}
	r := run(t, consumerConfig(t, server.URL(), shortLived), Handlers{Submit: submitInRedis(client)}, func(c *Consumer) { c.quiet = 0 })
	settled(t, client)
	if count, total := applied(); count != n || total != int64(sum) {
		t.Errorf("%d submissions with the sum %d, want %d with %d", count, total, n, sum)
	}
	if claimed := r.metric(t, "laurel_consumer_claimed_total"); claimed < float64(g.pending) {
		t.Errorf("%v entries were claimed of %d that the dead had", claimed, g.pending)
	}
	until(t, "the dead are out of the group", func() bool {
		g, _ := groupOf(t, client)
		return len(g.consumers) == 1
	})
}

func shortLived(c *RedisStreamConfig) { c.VisibilityTimeout = time.Second }

// submitInRedis applies a submission, which is a number, once by its name.
func submitInRedis(client rueidis.Client) func(context.Context, string, []byte) error {
	once := rueidis.NewLuaScript(`
if redis.call('SADD', 'names', ARGV[1]) == 1 then
  redis.call('INCR', 'count')
  redis.call('INCRBY', 'total', ARGV[2])
end
return 1`)
	return func(ctx context.Context, name string, payload []byte) error {
		return once.Exec(ctx, client, nil, []string{name, string(payload)}).Error()
	}
}

func consumeAsChild(t *testing.T, url string) {
	client, err := rueidis.NewClient(redisConfig(t, url).Options())
	if err != nil {
		t.Fatal(err)
	}
	NewConsumer([]ConsumerConfig{consumerConfig(t, url, shortLived)}, Handlers{Submit: submitInRedis(client)}, ConsumerOptions{}).Run(context.Background())
}

// BenchmarkConsume reads and acknowledges entries that cost nothing.
func BenchmarkConsume(b *testing.B) {
	server := redistest.Start(b)
	client := server.Client(b)
	var done sync.WaitGroup
	done.Add(b.N)
	payload := `{"channel":"leaderboard","data":` + strings.Repeat(" ", 500) + `{},"version":1}`
	for range b.N {
		if err := client.Do(b.Context(), client.B().Xadd().Key(testStream).Id("*").FieldValue().FieldValue("method", "publish").FieldValue("payload", payload).Build()).Error(); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	run(b, consumerConfig(b, server.URL()), Handlers{Publish: func(context.Context, Publication) error { done.Done(); return nil }})
	done.Wait()
}

// The rights that the documentation names are enough.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	acl := func(user string, rules ...string) {
		t.Helper()
		if err := client.Do(t.Context(), client.B().AclSetuser().Username(user).Rule(append([]string{"on", ">secret"}, rules...)...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	acl("producer", "~"+testStream, "+@connection", "+xadd")
	acl("laurel", "~"+testStream+"*", "+@connection", "+xreadgroup", "+xautoclaim", "+xclaim", "+xack", "+xadd", "+xgroup", "+xinfo", "+get", "+set", "+eval", "+evalsha")
	as := func(user string) string {
		return strings.Replace(server.URL(), "redis://", "redis://"+user+":secret@", 1)
	}

	w := newWorld()
	r := run(t, consumerConfig(t, as("laurel"), shortLived), w.handlers(), func(c *Consumer) { c.quiet = 0 })
	producer, err := rueidis.NewClient(redisConfig(t, as("producer")).Options())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	add(t, producer, testStream, "method", "submit", "payload", "1")
	add(t, producer, testStream, "method", "explode", "payload", "1")
	settled(t, client)
	if dead := deadOf(t, client); len(dead) != 1 {
		t.Errorf("dead letters: %v", dead)
	}
	r.stop()
	if g, _ := groupOf(t, client); len(g.consumers) != 0 {
		t.Errorf("the group is %+v: it could not leave", g)
	}
	if strings.Contains(r.log.String(), "NOPERM") || r.metric(t, "laurel_consumer_retries_total") > 0 {
		t.Error("something was not permitted")
	}
}
