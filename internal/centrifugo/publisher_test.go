package centrifugo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
	"laurel/internal/redistest"
)

const testOut = "out"

func newPublisher(tb testing.TB, server *redistest.Server, change ...func(*PublisherOptions)) *Publisher {
	tb.Helper()
	opts := PublisherOptions{Redis: redisConfig(tb, server.URL()), Stream: testOut}
	for _, f := range change {
		f(&opts)
	}
	p, err := NewPublisher(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

func table(board string, rev uint64) feed.Publication {
	return feed.Publication{Board: board, Rev: rev, Epoch: "e\u00e9", Data: fmt.Appendf(nil, `{"leaders":[],"total":0,"season":1,"rev":%d}`, rev)}
}

func outOf(tb testing.TB, client rueidis.Client) []rueidis.XRangeSlice {
	tb.Helper()
	entries, err := client.Do(tb.Context(), client.B().Xrange().Key(testOut).Start("-").End("+").Build()).AsXRangeSlices()
	if err != nil && !rueidis.IsRedisNil(err) {
		tb.Fatal(err)
	}
	return entries
}

// readAs does as a Centrifugo's consumer does: it reads, and may acknowledge.
func readAs(tb testing.TB, client rueidis.Client, count int64, ack bool) (ids []string) {
	tb.Helper()
	read, err := client.Do(tb.Context(), client.B().Xreadgroup().Group(DefaultConsumerGroup, "node").Count(count).Streams().Key(testOut).Id(">").Build()).AsXRead()
	if err != nil && !rueidis.IsRedisNil(err) {
		tb.Fatal(err)
	}
	for _, e := range read[testOut] {
		ids = append(ids, e.ID)
	}
	if ack && len(ids) > 0 {
		if err := client.Do(tb.Context(), client.B().Xack().Key(testOut).Group(DefaultConsumerGroup).Id(ids...).Build()).Error(); err != nil {
			tb.Fatal(err)
		}
	}
	return ids
}

func TestPublishWritesACommandThatIsUnderstood(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	p := newPublisher(t, server, func(o *PublisherOptions) { o.Channel = "games:{id}:top" })
	if err := p.Publish(t.Context(), table("weekly", 18231)); err != nil {
		t.Fatal(err)
	}
	entries := outOf(t, client)
	if len(entries) != 1 {
		t.Fatalf("the stream has %d entries, want 1", len(entries))
	}
	var payload bytes.Buffer
	for _, f := range entries[0].FieldValues {
		if f.Field == "payload" {
			payload.WriteString(f.Value)
		}
	}
	want := `{"channel":"games:weekly:top","data":{"leaders":[],"total":0,"season":1,"rev":18231},"version":18231,"version_epoch":"e\u00e9","delta":true}`
	if diff := cmp.Diff(want, payload.String()); diff != "" {
		t.Error(diff)
	}
	c := settings(t)
	got, err := c.decode(entries[0].FieldValues)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(command{method: publish, publications: []Publication{{
		Channel: "games:weekly:top", Data: table("weekly", 18231).Data, Version: 18231, VersionEpoch: "e\u00e9", Delta: true,
	}}}, got, cmp.AllowUnexported(command{})); diff != "" {
		t.Error(diff)
	}
	// Whoever makes the group now finds it at the beginning.
	if ids := readAs(t, client, 10, true); len(ids) != 1 {
		t.Errorf("the group was given %d entries, want 1", len(ids))
	}
}

// A stream that nobody reads does not grow for ever, and nothing is cut off that
// nobody has read: it may be the last state of a board.
func TestPublishWaitsForReaders(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	var log logBuffer
	p := newPublisher(t, server, func(o *PublisherOptions) { o.MaxLen = 10; o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	rev := uint64(0)
	publish := func() error { rev++; return p.Publish(t.Context(), table("b", rev)) }
	for range 10 {
		if err := publish(); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := publish(); !errors.Is(err, errNobodyReads) {
			t.Fatalf("publish into a full stream: %v", err)
		}
	}
	if n := len(outOf(t, client)); n != 10 {
		t.Fatalf("the stream has %d entries, want all 10", n)
	}
	if n := strings.Count(log.String(), "no Centrifugo reads"); n != 1 {
		t.Errorf("%d lines say that nobody reads, want 1", n)
	}

	// What was acknowledged makes room.
	readAs(t, client, 4, true)
	for i := range 4 {
		if err := publish(); err != nil {
			t.Fatalf("publication %d after four were read: %v", i+1, err)
		}
	}
	if err := publish(); !errors.Is(err, errNobodyReads) {
		t.Fatalf("publish into a full stream: %v", err)
	}
	if !strings.Contains(log.String(), "the stream is read again") {
		t.Error("nothing says that the stream is read again")
	}

	// What a reader has not acknowledged stays, as long as there is other room…
	readAs(t, client, 2, true)
	kept := readAs(t, client, 2, false)
	readAs(t, client, 2, true)
	for range 2 {
		if err := publish(); err != nil {
			t.Fatal(err)
		}
	}
	if first := outOf(t, client)[0].ID; first != kept[0] {
		t.Errorf("the stream begins at %s, want %s, which a reader has in hand", first, kept[0])
	}
	// …and then goes: it is stuck, and would stop everything else.
	for i := range 4 {
		if err := publish(); err != nil {
			t.Fatalf("publication %d: %v", i+1, err)
		}
	}
	if first := outOf(t, client)[0].ID; first <= kept[1] {
		t.Errorf("the stream begins at %s, want it behind %s", first, kept[1])
	}
	if n := len(outOf(t, client)); n > 10 {
		t.Errorf("the stream has %d entries, want at most 10", n)
	}
}

func TestPublishMakesTheGroupAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := newPublisher(t, server)
	for i, lose := range []func(){
		func() {},
		func() { server.RestartEmpty(t) },
		func() {
			c := server.Client(t)
			if err := c.Do(t.Context(), c.B().XgroupDestroy().Key(testOut).Group(DefaultConsumerGroup).Build()).Error(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		lose()
		until(t, "it publishes", func() bool { return p.Publish(t.Context(), table("b", uint64(i+1))) == nil })
		if ids := readAs(t, server.Client(t), 10, true); len(ids) == 0 {
			t.Error("the group was given nothing")
		}
	}
}

func TestPublishWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	registry := prometheus.NewPedanticRegistry()
	p := newPublisher(t, server, func(o *PublisherOptions) { o.Metrics = registry })
	if err := p.Publish(t.Context(), table("b", 1)); err == nil {
		t.Error("published without Redis")
	}
	if got := metric(t, registry, "laurel_centrifugo_failures_total"); got != 1 {
		t.Errorf("%v failures are counted, want 1", got)
	}
	server.RestartEmpty(t)
	if err := p.Publish(t.Context(), table("b", 2)); err != nil {
		t.Errorf("publish when Redis is there: %v", err)
	}
	if got := metric(t, registry, "laurel_centrifugo_failures_total"); got != 1 {
		t.Errorf("%v failures are counted when Redis is there, want still 1", got)
	}
	p.Close()
	if err := p.Publish(t.Context(), table("b", 3)); !errors.Is(err, errClosed) {
		t.Errorf("publish after Close: %v", err)
	}
}

// Together they bring a board's tables from the feed to a viewer, whatever order
// eight workers on two nodes work in.
func TestPublisherAndConsumerMeet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := newPublisher(t, server, func(o *PublisherOptions) { o.MaxLen = 20 })
	w := newWorld()
	for range 2 {
		run(t, consumerConfig(t, server.URL(), func(c *RedisStreamConfig) { c.Streams = []string{testOut} }), w.handlers())
	}
	const boards, revs = 4, 200
	var wg sync.WaitGroup
	for b := range boards {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for rev := uint64(1); rev <= revs; {
				switch err := p.Publish(ctx, table(fmt.Sprint("b", b), rev)); {
				case err == nil:
					rev++
				case !errors.Is(err, errNobodyReads):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	until(t, "each viewer has the last table", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for b := range boards {
			list := w.published[fmt.Sprint("board:b", b)]
			if len(list) == 0 || list[len(list)-1].Version != revs {
				return false
			}
		}
		return true
	})
	for b := range boards {
		list := w.published[fmt.Sprint("board:b", b)]
		var last struct{ Rev uint64 }
		if err := json.Unmarshal(list[len(list)-1].Data, &last); err != nil || last.Rev != revs {
			t.Errorf("board %d ends with %s, %v", b, list[len(list)-1].Data, err)
		}
	}
}

// What a Centrifugo has lost with its memory, it is given again, by one of the
// nodes at a time.
func TestRunPublishesEveryBoardAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	store := storetest.NewModel()
	const boards = refreshPage + 3
	for i := range boards {
		if _, err := store.CreateBoard(t.Context(), leaderboard.Board{ID: fmt.Sprintf("b%03d", i)}.WithDefaults()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		p := newPublisher(t, server, func(o *PublisherOptions) { o.Refresh = time.Hour })
		wg.Go(func() { p.Run(ctx, store) })
	}
	until(t, "all boards are published", func() bool { return len(outOf(t, client)) == boards })
	stop()
	wg.Wait()
	p := newPublisher(t, server, func(o *PublisherOptions) { o.Refresh = time.Hour })
	if mine, err := p.takeTurn(t.Context()); mine || err != nil {
		t.Errorf("the next node takes its turn within the hour: %v, %v", mine, err)
	}
	if n := len(outOf(t, client)); n != boards {
		t.Errorf("%d publications of %d boards", n, boards)
	}

	// In a stream that nobody reads they are not heaped up.
	full := newPublisher(t, server, func(o *PublisherOptions) { o.MaxLen = boards })
	if err := full.publishAll(t.Context(), store); !errors.Is(err, errNobodyReads) {
		t.Errorf("publish all into a full stream: %v", err)
	}
}

func TestNewPublisherRefuses(t *testing.T) {
	for _, opts := range []PublisherOptions{
		{Channel: "board"}, {Channel: "{id}:{id}"}, {MaxLen: -1},
	} {
		if _, err := NewPublisher(opts); err == nil {
			t.Errorf("NewPublisher(%+v) took it", opts)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	server := redistest.Start(b)
	p := newPublisher(b, server)
	client := server.Client(b)
	data := []byte(`{"leaders":[` + strings.TrimSuffix(strings.Repeat(`{"name":"member","score":12345},`, 100), ",") + `],"total":100,"season":1,"rev":1}`)
	rev := uint64(0)
	for b.Loop() {
		if rev++; rev%500 == 0 {
			b.StopTimer()
			readAs(b, client, 1000, true)
			b.StartTimer()
		}
		if err := p.Publish(b.Context(), feed.Publication{Board: "b", Rev: rev, Epoch: "e", Data: data}); err != nil {
			b.Fatal(err)
		}
	}
}
