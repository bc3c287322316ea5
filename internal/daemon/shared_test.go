package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"laurel/client"
	"laurel/internal/redisconn"
	"laurel/internal/redistest"
)

// at is how a node reaches Redis.
func at(t *testing.T, url string) redisconn.Config {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// until tries something again and again.
func until(t *testing.T, what string, try func() error) {
	t.Helper()
	patience := time.After(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-patience:
			t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// What one node takes is what the viewers of every node see.
func TestNodesShareBoards(t *testing.T) {
	redis := at(t, redistest.Start(t).URL())
	nodes := []running{run(t, Options{Redis: redis}), run(t, Options{Redis: redis})}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	score := 0
	submit := func(node running) {
		score++
		if _, err := connect(t, node.url).Submit(ctx, "race", client.Submission{Member: "m", Score: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, viewed := range nodes {
		writers := append(slices.Clone(nodes), nodes...)
		submit(viewed)
		for table, err := range connect(t, viewed.url).Watch(ctx, "race", client.WatchOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if len(table.Entries) == 0 || string(table.Entries[0].Score) != strconv.Itoa(score) {
				continue // a table of before
			}
			if len(writers) == 0 {
				break
			}
			submit(writers[0])
			writers = writers[1:]
		}
	}
}

// A ZSET that another program writes is a board on every node, live and not to be written.
func TestZSETOfAnotherProgramIsLive(t *testing.T) {
	server := redistest.Start(t, redistest.Args("--notify-keyspace-events", "Kzgx"))
	redis := at(t, server.URL())
	nodes := []running{run(t, Options{Redis: redis}), run(t, Options{Redis: redis})}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	other := server.Client(t)
	add := func(member string, score float64) {
		t.Helper()
		if err := other.Do(ctx, other.B().Zincrby().Key("game:scores").Increment(score).Member(member).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		add(fmt.Sprintf("player %03d", i), float64(i))
	}
	first := connect(t, nodes[0].url)
	if _, err := first.CreateBoard(ctx, client.Settings{ID: "all-time", ZSet: "game:scores", Decimals: 2}); err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		c := connect(t, node.url)
		around, err := c.Around(ctx, "all-time", "player 500", 3)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range around.Entries {
			got = append(got, fmt.Sprint(e.Rank, " ", e.Member, " ", e.Score))
		}
		if want := []string{"499 player 501 501", "500 player 500 500", "501 player 499 499"}; !slices.Equal(got, want) || around.Total != 1000 {
			t.Errorf("around player 500 stand %q of %d, want %q of 1000", got, around.Total, want)
		}
		refused, ok := errors.AsType[*client.Error](func() error {
			_, err := c.Submit(ctx, "all-time", client.Submission{Member: "player 500", Score: "1"})
			return err
		}())
		if !ok || refused.Code != "read_only" || refused.Status != http.StatusConflict {
			t.Errorf("a submit is answered with %v, want read_only", refused)
		}
	}
	for i, node := range nodes {
		leader := fmt.Sprint("leader ", i)
		written := false
		for table, err := range connect(t, node.url).Watch(ctx, "all-time", client.WatchOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if !written {
				written = true
				add(leader, 1e6+float64(i)+0.25)
			}
			if e := table.Entries[0]; e.Member == leader {
				if want := fmt.Sprintf("%d.25", 1_000_000+i); string(e.Score) != want {
					t.Errorf("%s leads with %s, want %s", leader, e.Score, want)
				}
				break
			}
		}
	}
	if err := first.DeleteBoard(ctx, "all-time"); err != nil {
		t.Fatal(err)
	}
	if n, err := other.Do(ctx, other.B().Zcard().Key("game:scores").Build()).AsInt64(); err != nil || n != 1002 {
		t.Errorf("the ZSET has %d members, %v, when the board is deleted; want 1002", n, err)
	}
}

// The key that the first node makes is valid at all, and made once.
func TestNodesShareTheKey(t *testing.T) {
	opts := Options{Redis: at(t, redistest.Start(t).URL()), Listen: "127.0.0.1:0"}
	open := func() string {
		d, err := Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		return d.NewKey()
	}
	if key := open(); key == "" {
		t.Error("the first node made no key")
	}
	if key := open(); key != "" {
		t.Error("the second node made another key")
	}
}

// While Redis is away, a node says so to everybody, and goes on by itself.
func TestRedisGoesAndComesBack(t *testing.T) {
	server := redistest.Start(t, redistest.AppendOnly())
	d := run(t, Options{Redis: at(t, server.URL())})
	submit := func(member string) (*http.Response, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/v1/leaderboards/race/scores",
			strings.NewReader(fmt.Sprintf(`{"member": %q, "score": 1}`, member)))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-API-Key", key)
		return http.DefaultTransport.RoundTrip(request)
	}
	expect := func(what string, status int, send func() (*http.Response, error)) func() error {
		return func() error {
			answer, err := send()
			if err != nil {
				return err
			}
			text, err := io.ReadAll(answer.Body)
			if err := errors.Join(err, answer.Body.Close()); err != nil {
				return err
			}
			if answer.StatusCode != status {
				return fmt.Errorf("%s answers %d, want %d: %s", what, answer.StatusCode, status, text)
			}
			if status == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
				return fmt.Errorf("%s has no Retry-After: %s", what, text)
			}
			if strings.Contains(string(text), server.Addr()) {
				t.Errorf("%s tells everybody where Redis is: %s", what, text)
			}
			return nil
		}
	}
	ready := func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/readyz", http.NoBody)
		if err != nil {
			return nil, err
		}
		return http.DefaultTransport.RoundTrip(request)
	}
	until(t, "at first", expect("/readyz", http.StatusOK, ready))
	if err := expect("a submit", http.StatusOK, func() (*http.Response, error) { return submit("alice") })(); err != nil {
		t.Fatal(err)
	}

	server.Kill()
	if err := expect("a submit without Redis", http.StatusServiceUnavailable, func() (*http.Response, error) { return submit("bob") })(); err != nil {
		t.Error(err)
	}
	until(t, "without Redis", expect("/readyz", http.StatusServiceUnavailable, ready))
	if err := expect("a read without Redis", http.StatusServiceUnavailable, func() (*http.Response, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/v1/leaderboards/race", http.NoBody)
		if err != nil {
			return nil, err
		}
		return http.DefaultTransport.RoundTrip(request)
	})(); err != nil {
		t.Error(err)
	}

	server.Restart(t)
	until(t, "with Redis again", expect("/readyz", http.StatusOK, ready))
	until(t, "with Redis again", expect("a submit", http.StatusOK, func() (*http.Response, error) { return submit("carol") }))
	top, err := connect(t, d.url).Top(t.Context(), "race", 10)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range top.Entries {
		names = append(names, e.Member)
	}
	if got := strings.Join(names, " "); got != "alice carol" {
		t.Errorf("on the board are %q, want alice and carol; bob was refused", got)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// What one node has answered under a key is what every node answers.
func TestNodesShareIdempotencyKeys(t *testing.T) {
	redis := at(t, redistest.Start(t).URL())
	nodes := []running{run(t, Options{Redis: redis}), run(t, Options{Redis: redis})}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// post submits a score under a key.
	post := func(node running, once, body string) (status int, answer, replayed string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, node.url+"/v1/leaderboards/race/scores", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-API-Key", key)
		req.Header.Set("Idempotency-Key", once)
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text), res.Header.Get("Idempotency-Replayed")
	}
	const body = `{"member":"alice","score":5}`
	for i, first := range nodes {
		other, once := nodes[1-i], fmt.Sprint("key ", i)
		status, want, replayed := post(first, once, body)
		if status != http.StatusOK || replayed != "" {
			t.Fatalf("the first answer is %d %s, replayed %q", status, want, replayed)
		}
		if _, err := connect(t, other.url).Submit(ctx, "race", client.Submission{Member: "bob", Score: "100"}); err != nil {
			t.Fatal(err)
		}
		for _, node := range []running{other, first} {
			status, got, replayed := post(node, once, body)
			if status != http.StatusOK || got != want || replayed != "true" {
				t.Errorf("again, the answer is %d %s, replayed %q, want 200 %s", status, got, replayed, want)
			}
		}
		status, got, replayed := post(other, once, `{"member":"alice","score":6}`)
		if status != http.StatusUnprocessableEntity || !strings.Contains(got, `"idempotency_key_reused"`) || replayed != "" {
			t.Errorf("another body is answered with %d %s, replayed %q", status, got, replayed)
		}
	}
	entry, err := connect(t, nodes[0].url).Entry(ctx, "race", "alice")
	if err != nil {
		t.Fatal(err)
	}
	if entry.Score != "10" {
		t.Errorf("alice has %s, want 10", entry.Score)
	}
}
