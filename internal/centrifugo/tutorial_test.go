package centrifugo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard/storetest"
	"laurel/internal/realtime"
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

// watch opens the page.
func watch(t *testing.T, address string) *page {
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

// at returns the number of the newest state of each viewer, and of how many there were.
func (p *page) at(viewer string) (newest, seen int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	states := p.states[viewer]
	if len(states) == 0 {
		return 0, 0
	}
	return states[len(states)-1].number(), len(states)
}

func (p *page) everybody(is func(viewer string) bool) func() bool {
	return func() bool { return !slices.ContainsFunc(viewers, func(viewer string) bool { return !is(viewer) }) }
}

// serveTutorial is Laurel as the tutorial's page needs it: channels and consumer
// are those of the configuration.
func serveTutorial(t *testing.T, config Config, options func(*realtime.Options)) (address string) {
	t.Helper()
	channels := config.Channel.WithoutNamespace
	opts := realtime.Options{
		Origins: config.Client.AllowedOrigins,
		Channels: &realtime.ChannelOptions{
			Closed:      !config.Client.Insecure,
			HistorySize: channels.HistorySize, HistoryTTL: channels.HistoryTTL, HistoryMetaTTL: channels.HistoryMetaTTL,
			Recovery: channels.ForceRecovery, Cache: channels.ForceRecoveryMode == "cache", Auto: channels.AutoCacheRecover,
			AllowDelta: len(channels.AllowedDeltaTypes) > 0, AlwaysDelta: channels.DeltaPublish,
		},
	}
	options(&opts)
	node, err := realtime.New(storetest.NewModel(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := node.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(node.Handler())
	t.Cleanup(func() { stop(); running.Wait(); server.Close() })
	run(t, config.Consumers[0], Handlers{
		Publish: func(ctx context.Context, p Publication) error { return node.Send(ctx, realtime.Message(p)) },
	})
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/connection/websocket"
}

// The tutorial's script, called by eight writers at once, and the SDK of the
// tutorial's page at the other end.
func TestTutorialRunsUnchanged(t *testing.T) {
	for _, test := range []struct {
		name    string
		workers string
		every   bool // state is shown, not only the newest
	}{
		{"one worker shows every state", "num_workers: 1", true},
		{"eight workers show newer and newer states", "num_workers: 8", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := server.Client(t)
			text := strings.Replace(strings.Replace(tutorial, "redis:6379", server.Addr(), 1), "num_workers: 8", test.workers, 1)
			config, err := parseYAML(t, text)
			if err != nil {
				t.Fatal(err)
			}
			update := func() {
				if err := updateScript.Exec(t.Context(), client, []string{"leaderboard", "leaderboard-state", testStream},
					[]string{[]string{"Alice", "Bøb", "Чарли", "David 🏆", "Eve"}[time.Now().UnixNano()%5], "1", "leaderboard"}).Error(); err != nil {
					t.Error(err)
				}
			}
			update() // before anybody is there
			page := watch(t, serveTutorial(t, config, func(*realtime.Options) {}))
			until(t, "each viewer has subscribed, and one was given what there was", page.everybody(func(viewer string) bool {
				page.mu.Lock()
				defer page.mu.Unlock()
				return page.joined[viewer] && (viewer != "since" || len(page.states[viewer]) == 1)
			}))
			settled(t, client)
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
			until(t, "each viewer has the last state", page.everybody(func(viewer string) bool {
				newest, _ := page.at(viewer)
				return newest == updates+1
			}))
			page.mu.Lock()
			defer page.mu.Unlock()
			for _, viewer := range viewers {
				states := page.states[viewer]
				for i := 1; i < len(states); i++ {
					if a, b := states[i-1].number(), states[i].number(); b <= a || test.every && b != a+1 {
						t.Errorf("%s was shown state %d after %d", viewer, b, a)
					}
				}
				wanted, err := client.Do(t.Context(), client.B().Zrange().Key("leaderboard").Min("0").Max("-1").Rev().Withscores().Build()).AsZScores()
				if err != nil {
					t.Fatal(err)
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
