package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laurel/client"
	"laurel/internal/redistest"
)

// follower sends requests to the server that there is, and waits for one while
// there is none.
type follower struct {
	http.Transport
	lost atomic.Int64 // requests without an answer

	mu   sync.Mutex
	host string        // guarded by mu
	up   chan struct{} // guarded by mu: closed while there is a server
}

func (f *follower) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		f.mu.Lock()
		host, up := f.host, f.up
		f.mu.Unlock()
		if host != "" {
			r = r.Clone(r.Context())
			r.URL.Host = host
			res, err := f.Transport.RoundTrip(r)
			if err != nil {
				f.lost.Add(1)
			}
			return res, err
		}
		select {
		case <-up:
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

// follow says where the server is now; "" is nowhere.
func (f *follower) follow(url string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.host = strings.TrimPrefix(url, "http://")
	if url == "" {
		f.up = make(chan struct{})
	} else {
		close(f.up)
	}
}

// TestKilledServersCountWritesOnce kills servers while increments come, each of
// which is sent under a key of its own until it is answered.
func TestKilledServersCountWritesOnce(t *testing.T) {
	for _, store := range []string{"localstore", "redisstore"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			options := []string{"--listen", "127.0.0.1:0"}
			if store == "localstore" {
				options = append(options, "--data", filepath.Join(t.TempDir(), "boards"))
			} else {
				options = append(options, "--redis", redistest.Start(t).URL())
			}
			f := &follower{up: make(chan struct{})}
			defer f.CloseIdleConnections()
			c, err := client.New("http://laurel.invalid", client.Options{APIKey: serverKey, Attempts: 1000, HTTPClient: &http.Client{Transport: f}})
			if err != nil {
				t.Fatal(err)
			}
			send := func(ctx context.Context, w, i int) (client.Outcome, error) {
				return c.Once(fmt.Sprint(w, "-", i)).Submit(ctx, "weekly", client.Submission{Member: strconv.Itoa(w), Score: "1"})
			}

			const writers, kills = 8, 4
			var (
				outcomes [writers][]client.Outcome // each owned by its writer
				answered = make(chan struct{})
				enough   = make(chan struct{})
				wg       sync.WaitGroup
			)
			ctx, cancel := context.WithCancel(t.Context())
			defer wg.Wait()
			defer cancel()
			for w := range writers {
				wg.Go(func() {
					for i := 0; ; i++ {
						outcome, err := send(ctx, w, i)
						if err != nil {
							if ctx.Err() == nil {
								t.Errorf("increment %d of writer %d: %v", i, w, err)
							}
							return
						}
						outcomes[w] = append(outcomes[w], outcome)
						select {
						case answered <- struct{}{}:
						case <-enough:
							return
						case <-ctx.Done():
							return
						}
					}
				})
			}
			for n := range kills {
				srv := serve(t, options...)
				f.follow(srv.url)
				for range 20 * (n + 1) {
					select {
					case <-answered:
					case <-time.After(patience):
						t.Fatal("no increment is answered")
					}
				}
				srv.end()
				f.follow("")
			}
			srv := serve(t, options...)
			f.follow(srv.url)
			close(enough)
			wg.Wait()

			if f.lost.Load() == 0 {
				t.Error("no answer was lost")
			}
			var sent int64
			for w := range outcomes {
				for i, first := range outcomes[w] {
					again, err := send(ctx, w, i)
					if diff := cmp.Diff(first, again); diff != "" || err != nil {
						t.Fatalf("increment %d of writer %d again: %v (-first +again):\n%s", i, w, err, diff)
					}
					if got, want := string(again.Results[0].Score), strconv.Itoa(i+1); got != want {
						t.Errorf("increment %d of writer %d was answered with a score of %s, want %s", i, w, got, want)
					}
				}
				sent += int64(len(outcomes[w]))
			}
			if got := total(t, c, "weekly"); got != sent {
				t.Errorf("the board adds up to %d, want %d", got, sent)
			}
			t.Logf("%d increments, %d times without an answer", sent, f.lost.Load())
		})
	}
}
