package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/rueidis"

	"laurel/internal/redistest"
)

// page is the tutorial's page, in a process of its own.
type page struct {
	mu      sync.Mutex
	joined  map[string]bool    // guarded by mu, like the rest
	states  map[string][]state // what each viewer was shown, in its order
	trouble []string
}

// state is a table as the page has it.
type state []struct {
	Name  string
	Score int
}

// number says which state it is: each update adds 1 to somebody's score.
func (s state) number() (sum int) {
	for _, row := range s {
		sum += row.Score
	}
	return sum
}

var viewers = []string{"plain", "delta", "since"}

// openPage opens the page.
func openPage(t *testing.T, address string) *page {
	t.Helper()
	sdk, err := filepath.Abs("../../web/node_modules/centrifuge/build/index.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(sdk); err != nil {
		t.Fatalf("the SDK for browsers is missing: `npm --prefix web ci` fetches it (%v)", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "--experimental-websocket", "testdata/page.mjs", sdk, address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &page{joined: map[string]bool{}, states: map[string][]state{}}
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line struct {
				Viewer     string
				Subscribed bool
				Leaders    state
				Error      string
			}
			err := json.Unmarshal(lines.Bytes(), &line)
			p.mu.Lock()
			switch {
			case err != nil:
				p.trouble = append(p.trouble, lines.Text())
			case line.Subscribed:
				p.joined[line.Viewer] = true
			case line.Error != "":
				p.trouble = append(p.trouble, line.Viewer+": "+line.Error)
			default:
				p.states[line.Viewer] = append(p.states[line.Viewer], line.Leaders)
			}
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		stop()
		reading.Wait()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("the page said: %s %s", p.trouble, said.String())
		}
	})
	return p
}

// at returns the number of a viewer's newest state, and how many it was shown.
func (p *page) at(viewer string) (newest, seen int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	states := p.states[viewer]
	if len(states) == 0 {
		return 0, 0
	}
	return states[len(states)-1].number(), len(states)
}

func (p *page) isJoined(viewer string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.joined[viewer]
}

func (p *page) everybody(is func(viewer string) bool) func() bool {
	return func() bool { return !slices.ContainsFunc(viewers, func(viewer string) bool { return !is(viewer) }) }
}

// The tutorial's script, called by eight writers at once, and the SDK of the
// tutorial's page at the other end, before servers with the configuration that
// the documentation has for it.
func TestTutorialRunsUnchanged(t *testing.T) {
	script, err := os.ReadFile("../../internal/centrifugo/testdata/tutorial.lua")
	if err != nil {
		t.Fatal(err)
	}
	updateScript := rueidis.NewLuaScript(string(script))
	for _, test := range []struct {
		name    string
		workers int
		nodes   int  // that share a Redis; 0: one that does not
		every   bool // state is shown, not only the newest
	}{
		{"one worker shows every state", 1, 0, true},
		{"eight workers show newer and newer states", 8, 0, false},
		{"eight workers on each of two nodes do so too", 8, 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := server.Client(t)
			settings := []string{"redis:6379", server.Addr(), "num_workers: 8", fmt.Sprint("num_workers: ", test.workers), "listen: :8000", "listen: 127.0.0.1:0"}
			if test.nodes == 0 {
				settings = append(settings, "data: /var/lib/laurel", "data: boards")
			} else {
				settings = append(settings, "data: /var/lib/laurel", "redis: "+server.URL())
			}
			config := documented(t, "without_namespace", settings...)
			update := func() {
				if err := updateScript.Exec(t.Context(), client, []string{"leaderboard", "leaderboard-state", "leaderboard-stream"},
					[]string{[]string{"Alice", "Bøb", "Чарли", "David 🏆", "Eve"}[rand.N(5)], "1", "leaderboard"}).Error(); err != nil {
					t.Error(err)
				}
			}
			update() // before anybody is there
			srv := serve(t, "--config", config)
			for range test.nodes - 1 {
				serve(t, "--config", config)
			}
			// Who comes before the entry is read is shown it as a publication, who comes later in the answer.
			page := openPage(t, "ws"+strings.TrimPrefix(srv.url, "http")+"/connection/websocket")
			eventually(t, "each viewer has subscribed, and one was given what there was", page.everybody(func(viewer string) bool {
				newest, _ := page.at(viewer)
				return page.isJoined(viewer) && (viewer != "since" || newest == 1)
			}))
			const updates = 400
			var writers sync.WaitGroup
			for range 8 {
				writers.Go(func() {
					for range updates / 8 {
						update()
					}
				})
			}
			writers.Wait()
			eventually(t, "each viewer has the last state", page.everybody(func(viewer string) bool {
				newest, _ := page.at(viewer)
				return newest == updates+1
			}))
			page.mu.Lock()
			defer page.mu.Unlock()
			wanted, err := client.Do(t.Context(), client.B().Zrange().Key("leaderboard").Min("0").Max("-1").Rev().Withscores().Build()).AsZScores()
			if err != nil {
				t.Fatal(err)
			}
			for _, viewer := range viewers {
				states := page.states[viewer]
				for i := 1; i < len(states); i++ {
					if a, b := states[i-1].number(), states[i].number(); b <= a || test.every && b != a+1 {
						t.Errorf("%s was shown state %d after %d", viewer, b, a)
					}
				}
				var got []rueidis.ZScore
				for _, row := range states[len(states)-1] {
					got = append(got, rueidis.ZScore{Member: row.Name, Score: float64(row.Score)})
				}
				if !slices.Equal(got, wanted) {
					t.Errorf("%s ends with %v, want %v", viewer, got, wanted)
				}
				t.Logf("%s was shown %d of %d states", viewer, len(states), updates+1)
			}
			if len(page.trouble) > 0 {
				t.Error(page.trouble)
			}
		})
	}
}
