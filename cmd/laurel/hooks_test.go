package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"laurel/client"
	"laurel/internal/redistest"
)

const hookSecret = "a secret of the test"

// TestKilledServersLoseNoEvent kills servers while one leader after the other is
// recorded and delivered. What was delivered, each once by its id, must be one story
// without a gap: whoever took the first place took it from the one who was told to have it.
func TestKilledServersLoseNoEvent(t *testing.T) {
	for _, store := range []string{"localstore", "redisstore"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			target := newHookTarget(t)
			config := filepath.Join(t.TempDir(), "laurel.yaml")
			text := fmt.Sprintf("hooks:\n  - {name: leaders, url: %q, secret: %q, events: [new_leader], boards: [\"week*\"]}\n", target.URL, hookSecret)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			options := []string{"--listen", "127.0.0.1:0", "--config", config}
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

			var wg sync.WaitGroup
			defer wg.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			enough := make(chan struct{})
			last := make(chan string, 1)
			wg.Go(func() {
				for i := 1; ; i++ {
					select {
					case <-enough:
						last <- fmt.Sprint("m", i-1)
						return
					default:
					}
					if _, err := c.Submit(ctx, "weekly", client.Submission{Member: fmt.Sprint("m", i), Score: client.Int(int64(i))}); err != nil {
						if ctx.Err() == nil {
							t.Errorf("submission %d: %v", i, err)
						}
						return
					}
				}
			})

			// Half of the servers are killed while their deliveries are refused, and so surely
			// between recording and delivery, and the others at any moment.
			const kills = 6
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			for n := range kills {
				srv := serve(t, options...)
				f.follow(srv.url)
				enough := target.count() + 2 + rng.IntN(20)
				target.await(t, "deliveries", func() bool { return target.taken >= enough })
				if n%2 == 0 {
					target.refuse(true)
					refused := target.refused()
					target.await(t, "a delivery that is refused", func() bool { return target.refusals > refused })
				}
				srv.end()
				f.follow("")
				target.refuse(false)
			}
			srv := serve(t, options...)
			f.follow(srv.url)
			close(enough)
			leader := <-last
			target.await(t, "the last leader", func() bool {
				return len(target.told) > 0 && target.told[len(target.told)-1].Leader.Member == leader
			})
			ids := map[string]bool{}
			for i, e := range target.told {
				if i > 0 && e.Previous.Member != target.told[i-1].Leader.Member {
					t.Errorf("event %d: %s took the place of %s, but %s was told to have it", i, e.Leader.Member, e.Previous.Member, target.told[i-1].Leader.Member)
				}
				if ids[e.ID] {
					t.Errorf("event %d has two deliveries", i)
				}
				ids[e.ID] = true
			}
			t.Logf("%d events, %d deliveries came again, %d were refused", len(target.told), target.again.Load(), target.refused())
		})
	}
}

// hookTarget takes deliveries, each of them once, or refuses them.
type hookTarget struct {
	*httptest.Server
	again atomic.Int64 // deliveries that had been taken before
	news  chan struct{}

	mu       sync.Mutex // guards what follows; told, when no server delivers any more, is read without
	told     []client.HookEvent
	seen     map[string]bool
	refusing bool
	taken    int
	refusals int
}

func newHookTarget(t *testing.T) *hookTarget {
	t.Helper()
	target := &hookTarget{seen: map[string]bool{}, news: make(chan struct{}, 1)}
	target.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := client.ReadHook(r, hookSecret)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized) // it was cut off by a kill
			return
		}
		target.mu.Lock()
		defer target.mu.Unlock()
		switch {
		case target.refusing:
			target.refusals++
			w.WriteHeader(http.StatusServiceUnavailable)
		case target.seen[e.Delivery]:
			target.again.Add(1)
		default:
			target.taken++
			target.seen[e.Delivery] = true
			target.told = append(target.told, e)
		}
		select {
		case target.news <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(target.Close)
	return target
}

func (h *hookTarget) refuse(refuse bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusing = refuse
}

func (h *hookTarget) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

func (h *hookTarget) refused() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refusals
}

// await waits until something is so of what was delivered.
func (h *hookTarget) await(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * patience)
	defer deadline.Stop()
	for {
		h.mu.Lock()
		ok := so()
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-h.news:
		case <-deadline.C:
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// The configuration in docs/hooks.md is one.
func TestDocumentedHooks(t *testing.T) {
	text, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(text), "```yaml\n")
	config, _, _ = strings.Cut(config, "```")
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(hookSecret+"2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REWARDS_SECRET", "the-secret-of-rewards")
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(strings.Replace(config, "/run/secrets/laurel-hook", secretFile, 1)), &document); err != nil {
		t.Fatal(err)
	}
	list, err := sections{"laurel.yaml", document.Content[0]}.hooks()
	if err != nil || len(list) != 2 || list[1].Secrets[0] != "the-secret-of-rewards" || list[1].Standing != 10_000 || list[0].Boards[0] != "eu.*" {
		t.Errorf("hooks = %+v, %v", list, err)
	}
}
