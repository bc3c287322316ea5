package realtime

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
	"laurel/internal/localstore"
	"laurel/internal/redisconn"
	"laurel/internal/redistest"
)

// startNode starts a node for a benchmark and returns its listener's address.
func startNode(b *testing.B, reader Reader) (node *Realtime, addr string) {
	b.Helper()
	return startNodeWith(b, reader, Options{})
}

func startNodeWith(b *testing.B, reader Reader, opts Options) (node *Realtime, addr string) {
	b.Helper()
	node, err := New(reader, opts)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	<-node.running
	server := httptest.NewServer(node.Handler())
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		server.Close()
	})
	return node, server.Listener.Addr().String()
}

// connectRaw opens a connection that watches a board and takes as little memory
// as it can on the client's side. The answer to its subscription has been read.
func connectRaw(b *testing.B, addr string) (net.Conn, *bufio.Reader) {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReaderSize(conn, 512)
	send := func(text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			b.Fatal(err)
		}
	}
	send("GET /connection/websocket HTTP/1.1\r\nHost: " + addr +
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	for line := ""; line != "\r\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
	}
	commands := connect + "\n" + `{"id":2,"subscribe":{"channel":"board:race","delta":"fossil"}}`
	send(string([]byte{0x81, 0x80 | byte(len(commands)), 0, 0, 0, 0}) + commands) // a text that is masked with zeros
	for {
		frame, err := readFrame(in)
		if err != nil {
			b.Fatal(err)
		}
		if bytes.Contains(frame, []byte(`"subscribe":{`)) {
			return conn, in
		}
	}
}

// readFrame returns the payload of the server's next frame.
func readFrame(in *bufio.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	size := int(head[1])
	if size == 126 {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil, err
		}
		size = int(head[0])<<8 + int(head[1]) // no table here is larger
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(in, frame)
	return frame, err
}

// BenchmarkPublish reads, encodes and publishes a top of 100 to one viewer who
// takes deltas. It must not depend on how many members the board has.
func BenchmarkPublish(b *testing.B) {
	for _, members := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			store := filledStore(b, members)
			node, addr := startNode(b, store)
			_, viewer := connectRaw(b, addr)
			go func() { _, _ = io.Copy(io.Discard, viewer) }() // ends with the connection
			rev := uint64(1 << 40)
			b.ReportAllocs()
			for b.Loop() {
				table, err := feed.Render(b.Context(), store, "race")
				if err != nil {
					b.Fatal(err)
				}
				rev++ // in place of a write, whose sync would be all that is measured
				table.Rev = rev
				table.Data = strconv.AppendUint(append(table.Data[:len(table.Data)-1], `,"n":`...), rev, 10)
				table.Data = append(table.Data, '}')
				if err := node.Publish(b.Context(), table); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSharedPublish publishes a top of 100 by way of Redis, and waits until a
// viewer has it: on the node that has published it, or on another one. Beside it
// are the same without Redis, and one command to that Redis and its answer.
func BenchmarkSharedPublish(b *testing.B) {
	server := redistest.Start(b)
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	store := storetest.NewModel()
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	for i := range 100 {
		if _, err := service.Submit(b.Context(), "race", []leaderboard.Submission{{
			Member: fmt.Sprintf("player-%03d", i), Score: leaderboard.ScaledDecimal(int64(10*i), 0),
			Data: []byte(`{"name":"Alice Liddell","country":"FI"}`),
		}}); err != nil {
			b.Fatal(err)
		}
	}
	table, err := feed.Render(b.Context(), store, "race")
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("a table has %d bytes", len(table.Data))
	next := func() feed.Publication {
		table.Rev++
		table.Data = strconv.AppendUint(append([]byte(nil), bytes.TrimRight(table.Data, "0123456789}")...), table.Rev, 10)
		table.Data = append(table.Data, '}')
		return table
	}
	publish := func(b *testing.B, node *Realtime) {
		b.Helper()
		if err := node.Publish(b.Context(), next()); err != nil {
			b.Fatal(err)
		}
	}
	arrived := func(b *testing.B, in *bufio.Reader) {
		b.Helper()
		if _, err := readFrame(in); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("ping", func(b *testing.B) {
		client := server.Client(b)
		for b.Loop() {
			if err := client.Do(b.Context(), client.B().Ping().Build()).Error(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("memory", func(b *testing.B) {
		node, addr := startNode(b, store)
		_, in := connectRaw(b, addr)
		b.ReportAllocs()
		for b.Loop() {
			publish(b, node)
			arrived(b, in)
		}
	})
	for _, name := range []string{"redis, nobody watches", "redis, to this node", "redis, to another node"} {
		b.Run(name, func(b *testing.B) {
			opts := Options{Redis: config, Prefix: "bench" + strconv.Itoa(len(name))}
			node, here := startNodeWith(b, store, opts)
			_, there := startNodeWith(b, store, opts)
			var in *bufio.Reader
			switch name {
			case "redis, to this node":
				_, in = connectRaw(b, here)
			case "redis, to another node":
				_, in = connectRaw(b, there)
			}
			b.ReportAllocs()
			for b.Loop() {
				publish(b, node)
				if in != nil {
					arrived(b, in)
				}
			}
		})
	}
	// The feed publishes several boards at once.
	b.Run("redis, 8 boards at once", func(b *testing.B) {
		node, _ := startNodeWith(b, store, Options{Redis: config, Prefix: "many"})
		data := next().Data
		b.ReportAllocs()
		for rev := table.Rev; b.Loop(); rev++ {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					p := feed.Publication{Board: fmt.Sprint("board", i), Rev: rev, Epoch: "bench", Data: data}
					if err := node.Publish(b.Context(), p); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/8, "ns/publication")
	})
}

// filledStore returns a store with a board of so many members.
func filledStore(b *testing.B, members int) *localstore.Store {
	b.Helper()
	store, err := localstore.Open(b.Context(), b.TempDir(), localstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	for done := 0; done < members; {
		batch := make([]leaderboard.Submission, leaderboard.MaxBatch)
		for i := range batch {
			done++
			batch[i] = leaderboard.Submission{
				Member: fmt.Sprintf("player-%07d", done),
				Score:  leaderboard.ScaledDecimal(int64(done), 0),
				Data:   []byte(`{"name":"Alice Liddell","country":"FI"}`),
			}
		}
		if _, err := service.Submit(b.Context(), "race", batch); err != nil {
			b.Fatal(err)
		}
	}
	return store
}

// BenchmarkRanks looks at the standings of 1,000 watched members of a board that
// has changed, as it does at most once per interval.
func BenchmarkRanks(b *testing.B) {
	const watched = 1_000
	for _, members := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			store := filledStore(b, members)
			r := newRanks(store, time.Second, 1, func(_, _ string, _ []byte) error { return nil }, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
			names := make([]string, watched)
			for i := range names {
				names[i] = fmt.Sprintf("player-%07d", 1+i*(members/watched))
				if err := r.watch(b.Context(), "race", names[i], func([]byte) {}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := r.refresh(b.Context(), "race", names); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/watched, "ns/member")
		})
	}
}

// BenchmarkFanOut publishes a top of 100 that has changed in two rows to many
// viewers who take deltas, and waits until each has it.
func BenchmarkFanOut(b *testing.B) {
	for _, viewers := range []int{1, 100, 1_000} {
		b.Run(fmt.Sprint("viewers=", viewers), func(b *testing.B) {
			store := storetest.NewModel()
			service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
			for i := range 100 {
				if _, err := service.Submit(b.Context(), "race", []leaderboard.Submission{{Member: fmt.Sprintf("player-%03d", i), Score: leaderboard.ScaledDecimal(int64(10*i), 0)}}); err != nil {
					b.Fatal(err)
				}
			}
			node, addr := startNode(b, store)
			arrived := make(chan struct{}, viewers)
			for range viewers {
				_, in := connectRaw(b, addr)
				go func() { // ends with the connection
					for {
						if _, err := readFrame(in); err != nil {
							return
						}
						arrived <- struct{}{}
					}
				}()
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := service.Submit(b.Context(), "race", []leaderboard.Submission{{Member: fmt.Sprintf("player-%03d", i%100), Score: leaderboard.ScaledDecimal(15, 0)}}); err != nil {
					b.Fatal(err)
				}
				table, err := feed.Render(b.Context(), store, "race")
				if err != nil {
					b.Fatal(err)
				}
				if err := node.Publish(b.Context(), table); err != nil {
					b.Fatal(err)
				}
				for range viewers {
					<-arrived
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(viewers), "ns/viewer")
		})
	}
}

// BenchmarkIdleConnection tells what a viewer costs when nothing happens.
func BenchmarkIdleConnection(b *testing.B) {
	const connections = 2_000
	store := storetest.NewModel()
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	if _, err := service.Submit(b.Context(), "race", []leaderboard.Submission{{Member: "alice"}}); err != nil {
		b.Fatal(err)
	}
	_, addr := startNode(b, store)
	connectRaw(b, addr) // what all share is there
	for b.Loop() {
		before := memory()
		conns := make([]net.Conn, connections)
		for i := range conns {
			conns[i], _ = connectRaw(b, addr)
		}
		b.ReportMetric((memory()-before)/connections, "B/conn")
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// memory returns the bytes on the heap and on the stacks.
func memory() float64 {
	var stats runtime.MemStats
	for range 3 { // what pools hold goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc + stats.StackInuse)
}
