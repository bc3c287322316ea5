package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/client"
	"laurel/internal/redistest"
)

// documented writes the configuration of docs/centrifugo.md that has part in it
// to a file, with settings replaced: each pair is an old and a new one.
func documented(t *testing.T, part string, settings ...string) (path string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/centrifugo.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i, block := range strings.Split(string(text), "```") {
		if language, body, _ := strings.Cut(block, "\n"); i%2 == 1 && language == "yaml" && strings.Contains(body, part) {
			found = append(found, body)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the documentation has %d configurations with %q, want 1", len(found), part)
	}
	for i := 0; i < len(settings); i += 2 {
		if !strings.Contains(found[0], settings[i]) {
			t.Fatalf("the configuration has no %q:\n%s", settings[i], found[0])
		}
	}
	path = filepath.Join(t.TempDir(), "laurel.yaml")
	if err := os.WriteFile(path, []byte(strings.NewReplacer(settings...).Replace(found[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serving is a `laurel serve` in a process of its own.
type serving struct {
	*child
	url string
	end func() // kills it, as kill -9 does
}

const serverKey = "0123456789abcdef"

func serve(t *testing.T, args ...string) serving {
	t.Helper()
	environ := []string{"LAUREL_API_KEY=" + serverKey}
	for _, name := range inherited {
		environ = append(environ, name+"="+os.Getenv(name))
	}
	c, err := begin(t.TempDir(), environ, append([]string{"serve"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = c.cmd.Process.Kill()
		c.output.Wait()
		_ = c.cmd.Wait() // it was killed
	})
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("laurel serve printed:\n%s", c.printed())
		}
	})
	match, err := c.await(listening)
	if err != nil {
		t.Fatal(err)
	}
	return serving{c, match[1], end}
}

// eventually waits until something is so. Neither Redis nor HTTP tells of it, so
// we ask.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * patience)
	defer deadline.Stop()
	ask := time.NewTicker(5 * time.Millisecond)
	defer ask.Stop()
	for !so() {
		select {
		case <-ask.C:
		case <-deadline.C:
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// total returns what the scores of a board add up to.
func total(t *testing.T, c *client.Client, board string) (sum int64) {
	t.Helper()
	page, err := c.Top(t.Context(), board, 1000)
	if client.CodeOf(err) == client.CodeBoardNotFound {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		n, ok := e.Score.Int64()
		if !ok {
			t.Fatalf("the score of %s is %s", e.Member, e.Score)
		}
		sum += n
	}
	return sum
}

func connectTo(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.Options{APIKey: serverKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// metricOf returns the sum of a server's metric over its labels.
func metricOf(t *testing.T, url, name string) (sum float64) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if labels, value, ok := strings.Cut(lines.Text(), "} "); ok && strings.HasPrefix(labels, name+"{") {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// scoreStream is the stream of the documentation's consumer.
type scoreStream struct {
	*testing.T
	client rueidis.Client
}

func (s scoreStream) add(payload string) {
	s.Helper()
	if err := s.client.Do(s.Context(), s.client.B().Xadd().Key("scores").Id("*").FieldValue().FieldValue("method", "submit").FieldValue("payload", payload).Build()).Error(); err != nil {
		s.Error(err)
	}
}

// group returns how many entries were not delivered, and not acknowledged.
func (s scoreStream) group() (behind, pending int64) {
	s.Helper()
	groups, err := s.client.Do(s.Context(), s.client.B().XinfoGroups().Key("scores").Build()).ToArray()
	if err != nil || len(groups) != 1 {
		s.Fatalf("%d groups, %v", len(groups), err)
	}
	group, err := groups[0].AsMap()
	if err != nil {
		s.Fatal(err)
	}
	lag, left := group["lag"], group["pending"]
	behind, _ = lag.AsInt64()
	pending, _ = left.AsInt64()
	return behind, pending
}

func (s scoreStream) finished() bool {
	behind, pending := s.group()
	return behind == 0 && pending == 0
}

func (s scoreStream) dead() (ids map[string]int) {
	s.Helper()
	entries, err := s.client.Do(s.Context(), s.client.B().Xrange().Key("scores.dead").Start("-").End("+").Build()).AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		s.Fatal(err)
	}
	ids = map[string]int{}
	for _, e := range entries {
		ids[e.FieldValues["dead-id"]]++
	}
	return ids
}

// onBothStores runs a test on each store, with the options of a server that has
// the consumer of the documentation, and that consumer's stream, which it reads
// as the user laurel.
func onBothStores(t *testing.T, test func(t *testing.T, options []string, s scoreStream)) {
	t.Helper()
	for _, store := range []string{"localstore", "redisstore"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := scoreStream{t, server.Client(t)}
			config := documented(t, "streams: [scores]",
				"redis://127.0.0.1:6379", "redis://laurel:secret@"+server.Addr(),
				"num_workers: 8", "num_workers: 32\n      visibility_timeout: 1s")
			options := []string{"--config", config, "--listen", "127.0.0.1:0"}
			if store == "localstore" {
				options = append(options, "--data", filepath.Join(t.TempDir(), "boards"))
			} else {
				options = append(options, "--redis", redistest.Start(t).URL())
			}
			test(t, options, s)
		})
	}
}

// mayAcknowledge makes the user laurel, who may do everything, or everything
// but acknowledge entries.
func (s scoreStream) mayAcknowledge(may bool) {
	s.Helper()
	rules := []string{"on", ">secret", "~*", "&*", "+@all", "-xack"}
	if may {
		rules[len(rules)-1] = "+xack"
	}
	if err := s.client.Do(s.Context(), s.client.B().AclSetuser().Username("laurel").Rule(rules...).Build()).Error(); err != nil {
		s.Fatal(err)
	}
}

// Servers are killed when they have applied entries and not acknowledged one of
// them: Redis refuses it. Their successors are given all of them again.
func TestKilledBetweenApplyAndAcknowledge(t *testing.T) {
	onBothStores(t, func(t *testing.T, options []string, s scoreStream) {
		s.mayAcknowledge(false)
		const entries, kills = 24, 2
		for i := range entries {
			s.add(fmt.Sprintf(`{"board":"weekly","submissions":[{"member":"Ada","score":1},{"member":"m%d","score":1}]}`, i))
			if (i+1)%(entries/kills) != 0 {
				continue
			}
			srv := serve(t, options...)
			c := connectTo(t, srv.url)
			eventually(t, "what there is is applied", func() bool { return total(t, c, "weekly") == 2*int64(i+1) })
			srv.end()
		}
		if _, pending := s.group(); pending != entries {
			t.Fatalf("%d entries are not acknowledged, want all %d", pending, entries)
		}
		s.mayAcknowledge(true)
		const poison = 5
		for i := range poison {
			s.add(fmt.Sprintf(`{"board":"weekly","member":"Ada","score":"%d points"}`, i))
		}
		srv := serve(t, options...)
		c := connectTo(t, srv.url)
		eventually(t, "the stream is finished", s.finished)
		if got := total(t, c, "weekly"); got != 2*entries {
			t.Errorf("the board adds up to %d, want %d", got, 2*entries)
		}
		if dead := s.dead(); len(dead) != poison {
			t.Errorf("%d entries were set aside, want %d: %v", len(dead), poison, dead)
		}
		for name, want := range map[string]float64{
			"laurel_consumer_claimed_total": entries, "laurel_consumer_processed_total": entries, "laurel_consumer_dead_total": poison,
		} {
			if got := metricOf(t, srv.url, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	})
}

// Servers are killed at any moment, while entries come.
func TestKilledServersApplyEntriesOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, options []string, s scoreStream) {
		s.mayAcknowledge(true)
		const writers, each, kills = 8, 200, 3
		var wg sync.WaitGroup
		defer wg.Wait()
		step := make(chan struct{}) // a server has taken its part
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if i > 0 && i%(each/(kills+1)) == 0 {
						select {
						case <-step:
						case <-t.Context().Done():
							return
						}
					}
					if i%20 == 19 {
						s.add(`{"board":"weekly"}`) // poison
					} else {
						s.add(fmt.Sprintf(`{"board":"weekly","member":"m%d","score":1}`, w))
					}
				}
			})
		}
		const poison = writers * each / 20
		for range kills {
			srv := serve(t, options...)
			c := connectTo(t, srv.url)
			before := total(t, c, "weekly")
			go func() {
				for range writers {
					select {
					case step <- struct{}{}:
					case <-t.Context().Done():
					}
				}
			}()
			eventually(t, "the server applies entries", func() bool { return total(t, c, "weekly") > before })
			srv.end()
		}
		wg.Wait()
		srv := serve(t, options...)
		eventually(t, "the stream is finished", s.finished)
		if got := total(t, connectTo(t, srv.url), "weekly"); got != writers*each-poison {
			t.Errorf("the board adds up to %d, want %d", got, writers*each-poison)
		}
		if dead := s.dead(); len(dead) != poison {
			t.Errorf("%d entries were set aside, want %d", len(dead), poison)
		}
	})
}

// A stock Centrifugo's consumer is given each table as a command that it takes.
func TestDocumentedFeed(t *testing.T) {
	server := redistest.Start(t)
	redis := server.Client(t)
	config := documented(t, "realtime: centrifugo", "redis://127.0.0.1:6379", server.URL())
	srv := serve(t, "--config", config, "--listen", "127.0.0.1:0")
	c := connectTo(t, srv.url)
	for i := range 30 {
		if _, err := c.Submit(t.Context(), "weekly", client.Submission{Member: "Łukasz 🏃", Score: client.Int(int64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	want, err := c.Top(t.Context(), "weekly", 10)
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	eventually(t, "the last table is in the stream", func() bool {
		read, err := redis.Do(t.Context(), redis.B().Xreadgroup().Group("centrifugo", "node").Count(100).Streams().Key("laurel-centrifugo").Id(">").Build()).AsXReadSlices()
		if err != nil {
			return false // there is no group before the first table, or nothing new in it
		}
		for _, entry := range read["laurel-centrifugo"] {
			fields := entry.FieldValues
			if len(fields) != 2 || fields[0].Field != "method" || fields[0].Value != "publish" || fields[1].Field != "payload" {
				t.Fatalf("the fields are %v", fields)
			}
			for _, c := range []byte(fields[1].Value) {
				if c < ' ' || c > '~' {
					t.Fatalf("the payload is not ASCII in one line: %q", fields[1].Value)
				}
			}
			var command struct {
				Channel string
				Data    struct {
					Leaders []struct {
						Name  string
						Score json.Number
					}
					Total, Season, Rev uint64
				}
				Version      json.Number
				VersionEpoch string `json:"version_epoch"`
				Delta        bool
			}
			if err := json.Unmarshal([]byte(fields[1].Value), &command); err != nil {
				t.Fatal(err)
			}
			version, err := strconv.ParseUint(command.Version.String(), 10, 64)
			if err != nil || version != command.Data.Rev {
				t.Errorf("the version is %s, of the rev %d", command.Version, command.Data.Rev)
			}
			last = max(last, version) // when all boards are published anew, they may come in any order
			if command.Channel != "board:weekly" || command.VersionEpoch != want.Epoch || !command.Delta {
				t.Errorf("the command is %+v", command)
			}
			if version == want.Rev && (len(command.Data.Leaders) != 1 || command.Data.Leaders[0].Name != "Łukasz 🏃" || command.Data.Leaders[0].Score.String() != string(want.Entries[0].Score)) {
				t.Errorf("the last table is %+v, want %+v", command.Data, want.Entries)
			}
		}
		return last == want.Rev
	})
}
