package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"laurel/client"
)

// binary is the program of the nodes.
var binary string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "laurel-cluster-test")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "laurel")
	if out, err := exec.CommandContext(ctx, "go", "build", "-race", "-o", binary, "laurel/cmd/laurel").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// viewer follows the score of alice on the board race.
type viewer struct {
	name string
	seen chan int // holds the newest
}

func (v *viewer) see(score int) {
	select {
	case <-v.seen:
	default:
	}
	v.seen <- score
}

// until waits for a score.
func (v *viewer) until(t *testing.T, want int) {
	t.Helper()
	late := time.After(30 * time.Second)
	newest := 0
	for newest < want {
		select {
		case newest = <-v.seen:
		case <-late:
			t.Fatalf("%s has seen %d, want %d", v.name, newest, want)
		}
	}
}

// Viewers and writers know one address, and go on when a node dies.
func TestOneAddressOfTwoNodes(t *testing.T) {
	c, err := start(t.Context(), t.Output(), options{laurel: binary, nodes: 2, listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	}
	defer stop()
	api, err := client.New("http://"+c.address, client.Options{APIKey: c.key})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	submit := func() int {
		t.Helper()
		for {
			out, err := api.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "1"}, client.Submission{Member: "a/b ü?", Score: "1"})
			if err == nil {
				score, err := strconv.Atoi(string(out.Results[0].Score))
				if err != nil {
					t.Fatal(err)
				}
				return score
			}
			if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Status < http.StatusInternalServerError {
				t.Fatal(err)
			}
		}
	}
	score := submit()
	if score != 1 {
		t.Fatalf("the first score is %d", score)
	}
	if entry, err := api.Entry(t.Context(), "race", "a/b ü?"); err != nil || entry.Member != "a/b ü?" {
		t.Errorf("a member whose name a path has to encode: %+v, %v", entry, err)
	}

	watching, stopWatching := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer stopWatching()
	var viewers []*viewer
	for i := range 8 {
		v := &viewer{name: fmt.Sprint("WebSocket ", i), seen: make(chan int, 1)}
		watch := byWebSocket
		if i%2 == 1 {
			v.name, watch = fmt.Sprint("SSE ", i), byEvents
		}
		viewers = append(viewers, v)
		watchers.Go(func() {
			if err := watch(watching, c.address, v); err != nil && watching.Err() == nil {
				t.Errorf("%s: %v", v.name, err)
			}
		})
	}
	everybody := func() {
		t.Helper()
		for _, v := range viewers {
			v.until(t, score)
		}
	}
	everybody()
	for range 5 { // each has to arrive before the next is there to push it out of a buffer
		score = submit()
		everybody()
	}
	for _, node := range c.at {
		// Requests count as well as viewers, so that it is not exactly half.
		if n := viewersOf(t, node); n < len(viewers)/4 {
			t.Errorf("node %s has %d viewers of %d, so nginx does not spread them", node, n, len(viewers))
		}
	}
	origins(t, c.address)

	if err := c.nodes[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.nodes[0].done
	score = submit()
	everybody()
	if n := viewersOf(t, c.at[1]); n != len(viewers) {
		t.Errorf("%d of %d viewers are on the node that is left", n, len(viewers))
	}

	stopWatching()
	watchers.Wait()
	api.Close()
	stop()
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was kept is not gone: %v", err)
	}
}

func byWebSocket(ctx context.Context, address string, v *viewer) error {
	api, err := client.New("http://"+address, client.Options{})
	if err != nil {
		return err
	}
	defer api.Close()
	for table, err := range api.Watch(ctx, "race", client.WatchOptions{}) {
		if err != nil {
			return err
		}
		if len(table.Entries) == 0 {
			continue // from when the board had just been created
		}
		score, err := strconv.Atoi(string(table.Entries[0].Score))
		if err != nil {
			return err
		}
		v.see(score)
	}
	return nil
}

// byEvents does as a browser's EventSource: it connects again when the stream ends.
func byEvents(ctx context.Context, address string, v *viewer) error {
	commands := `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"board:race"}}`
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/connection/sse?cf_connect="+url.QueryEscape(commands), http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		err = v.events(resp)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (v *viewer) events(resp *http.Response) error {
	if resp.StatusCode >= http.StatusInternalServerError {
		return nil // the node is going
	}
	if media := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(media, "text/event-stream") {
		return fmt.Errorf("answered %s with %s", resp.Status, media)
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		type publication struct {
			Data struct {
				Leaders []struct{ Score int }
			}
		}
		var reply struct {
			Error     struct{ Temporary bool }
			Subscribe struct{ Publications []publication }
			Push      struct {
				Pub         *publication
				Unsubscribe struct{ Code int }
			}
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if reply.Error.Temporary || reply.Push.Unsubscribe.Code != 0 {
			return nil // to subscribe again
		}
		tables := reply.Subscribe.Publications
		if reply.Push.Pub != nil {
			tables = append(tables, *reply.Push.Pub)
		}
		for _, table := range tables {
			if len(table.Data.Leaders) > 0 { // else it is from when the board had just been created
				v.see(table.Data.Leaders[0].Score)
			}
		}
	}
	return nil // the node is gone
}

// viewersOf reads how many viewers a node has.
func viewersOf(t *testing.T, node string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+node+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "laurel_centrifuge_client_connections_inflight{") {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// origins checks that a page of the one address may connect, and another not.
func origins(t *testing.T, address string) {
	t.Helper()
	for origin, want := range map[string]int{
		"http://" + address:     http.StatusSwitchingProtocols,
		"http://laurel":         http.StatusForbidden,
		"https://other.example": http.StatusForbidden,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/connection/websocket", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Origin": origin, "Connection": "Upgrade", "Upgrade": "websocket",
			"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "bGF1cmVsLWxhdXJlbC0xMg==",
		} {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a page of %s is answered %d, want %d", origin, resp.StatusCode, want)
		}
	}
}

// The nodes know every option that the containers are given.
func TestOptionsOfContainers(t *testing.T) {
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	options := 0
	for name, service := range compose.Services {
		if !strings.HasPrefix(name, "laurel-") {
			continue
		}
		cmd := exec.CommandContext(t.Context(), binary, "serve")
		cmd.Env = cmd.Environ()
		for option, value := range service.Environment {
			options++
			switch option {
			case "LAUREL_API_KEY":
				value = "the-key-of-the-test"
			case "LAUREL_REDIS":
				value = "redis://127.0.0.1:1" // where nobody is: the options are read first
			}
			cmd.Env = append(cmd.Env, option+"="+value)
		}
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
			t.Errorf("%s: %v, want status 1 because there is no Redis: %s", name, err, out)
		}
	}
	if options == 0 {
		t.Error("nothing was put to the test")
	}
}
