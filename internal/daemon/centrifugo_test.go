package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/redis/rueidis"

	"laurel/client"
	"laurel/internal/centrifugo"
	"laurel/internal/feed"
	"laurel/internal/redistest"
)

// scores is a configuration with a consumer of the stream scores.
func scores(t *testing.T, server *redistest.Server) *centrifugo.Config {
	t.Helper()
	config, err := centrifugo.Parse(map[string]any{"consumers": []any{map[string]any{
		"enabled": true, "name": "scores", "type": "redis_stream",
		"redis_stream": map[string]any{"address": server.URL(), "streams": "scores", "consumer_group": "laurel", "num_workers": 4},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return &config
}

func add(t *testing.T, redis rueidis.Client, payload string) {
	t.Helper()
	if err := redis.Do(t.Context(), redis.B().Xadd().Key("scores").Id("*").FieldValue().FieldValue("method", "submit").FieldValue("payload", payload).Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

// finished reports whether every entry of the stream was delivered and acknowledged.
func finished(t *testing.T, redis rueidis.Client) error {
	t.Helper()
	groups, err := redis.Do(t.Context(), redis.B().XinfoGroups().Key("scores").Build()).ToArray()
	if err != nil || len(groups) != 1 {
		return fmt.Errorf("%d groups, %w", len(groups), err)
	}
	group, err := groups[0].AsMap()
	if err != nil {
		return err
	}
	lag, pending := group["lag"], group["pending"]
	if behind, _ := lag.AsInt64(); behind != 0 {
		return fmt.Errorf("%d entries are not delivered", behind)
	}
	if left, _ := pending.AsInt64(); left != 0 {
		return fmt.Errorf("%d entries are not acknowledged", left)
	}
	return nil
}

func dead(t *testing.T, redis rueidis.Client) (reasons []string) {
	t.Helper()
	entries, err := redis.Do(t.Context(), redis.B().Xrange().Key("scores.dead").Start("-").End("+").Build()).AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		reasons = append(reasons, e.FieldValues["dead-kind"]+": "+e.FieldValues["dead-reason"])
	}
	return reasons
}

// standings is a board in a line, such as "Ada 12.5, Grace 9".
func standings(t *testing.T, url, board string) string {
	t.Helper()
	top, err := connect(t, url).Top(t.Context(), board, 10)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, e := range top.Entries {
		rows = append(rows, e.Member+" "+string(e.Score))
	}
	return strings.Join(rows, ", ")
}

// What a stream brings is on its board. What the rules do not allow is set aside
// with the reason, and nothing waits for it.
func TestScoresComeByAStream(t *testing.T) {
	server := redistest.Start(t)
	redis := server.Client(t)
	for _, payload := range []string{
		`{"board":"weekly","member":"Ada","score":12}`,
		`{"board":"weekly","member":"Ada","score":0.5}`,
		`{"board":"weekly","member":"Ada"}`,
		`{"member":"Ada","score":1}`,
		`{"board":"not a board","member":"Ada","score":1}`,
		`{"board":"monthly","member":"Ada","score":1}`,
		`{"board":"weekly","submissions":[{"member":"Grace","score":9},{"member":"Ada","score":9007199254740992}]}`,
		`[]`,
		`{"board":"weekly","submissions":[{"member":"Grace","score":9},{"member":"Ada","score":1}]}`,
	} {
		add(t, redis, payload)
	}
	d := run(t, Options{NoAutoCreate: true})
	if _, err := connect(t, d.url).CreateBoard(t.Context(), client.Settings{ID: "weekly"}); err != nil {
		t.Fatal(err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d = run(t, Options{Data: d.opts.Data, NoAutoCreate: true, Streams: scores(t, server)})
	until(t, "the stream is finished", func() error { return finished(t, redis) })
	if got, want := standings(t, d.url, "weekly"), "Ada 13, Grace 9"; got != want {
		t.Errorf("the board is %s, want %s", got, want)
	}
	reasons := dead(t, redis)
	for _, part := range []string{"0 decimals", "score is missing", "board is missing", "not a board", "monthly", "9007199254740991", "must be an object"} {
		if !slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(reason, part) }) {
			t.Errorf("no dead letter says %q", part)
		}
	}
	if len(reasons) != 7 {
		t.Errorf("%d dead letters, want 7", len(reasons))
	}
	if t.Failed() {
		t.Log(strings.Join(reasons, "\n"))
	}
	if metrics := get(t, d.url+"/metrics").text; !strings.Contains(metrics, `laurel_consumer_dead_total{consumer="scores",kind="refused"} 7`) {
		t.Error("the metrics do not count them")
	}
}

// A node whose consumer cannot reach its Redis goes on with everything else,
// and says what is wrong where operators look.
func TestConsumerWaitsForItsRedis(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	d := run(t, Options{Streams: scores(t, server)})
	if _, err := connect(t, d.url).Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"}); err != nil {
		t.Errorf("a score by HTTP: %v", err)
	}
	if got := get(t, d.url+"/readyz"); got.status != http.StatusOK {
		t.Errorf("/readyz answers %d, want 200: %s", got.status, got.text)
	}
	reading := func(want int) func() error {
		line := fmt.Sprintf(`laurel_consumer_reading{consumer="scores",stream="scores"} %d`, want)
		return func() error {
			if !strings.Contains(get(t, d.url+"/metrics").text, line) {
				return errors.New("the metrics do not say " + line)
			}
			return nil
		}
	}
	if err := reading(0)(); err != nil {
		t.Error(err)
	}
	server.RestartEmpty(t)
	redis := server.Client(t)
	add(t, redis, `{"board":"race","member":"bob","score":7}`)
	until(t, "Redis is there", reading(1))
	until(t, "the stream is finished", func() error { return finished(t, redis) })
	if got, want := standings(t, d.url, "race"), "bob 7, alice 5"; got != want {
		t.Errorf("the board is %s, want %s", got, want)
	}
}

// While the store is away, entries wait; none is set aside, and none is applied
// twice when it is back.
func TestStreamWaitsForTheStore(t *testing.T) {
	server, boards := redistest.Start(t), redistest.Start(t, redistest.AppendOnly())
	redis := server.Client(t)
	d := run(t, Options{Redis: at(t, boards.URL()), Streams: scores(t, server)})
	add(t, redis, `{"board":"race","member":"alice","score":5}`)
	until(t, "the first is applied", func() error { return finished(t, redis) })
	boards.Kill()
	const n = 20
	for range n {
		add(t, redis, `{"board":"race","member":"alice","score":1}`)
	}
	until(t, "it is tried again", func() error {
		for line := range strings.Lines(get(t, d.url+"/metrics").text) {
			if strings.HasPrefix(line, "laurel_consumer_retries_total{") && !strings.HasSuffix(line, " 0\n") {
				return nil
			}
		}
		return errors.New("no attempt has failed")
	})
	boards.Restart(t)
	until(t, "the others are applied", func() error { return finished(t, redis) })
	if got, want := standings(t, d.url, "race"), fmt.Sprint("alice ", 5+n); got != want {
		t.Errorf("the board is %s, want %s", got, want)
	}
	if reasons := dead(t, redis); len(reasons) > 0 {
		t.Errorf("dead letters: %v", reasons)
	}
}

// Who may watch a channel that is not a board is what the configuration says.
func TestWhoMayWatchAChannel(t *testing.T) {
	type section = map[string]any
	for name, test := range map[string]struct {
		values section
		code   uint32 // of the refusal; 0: none
	}{
		"nothing is said": {nil, 102},
		"nobody is let":   {section{"client": section{}}, 103},
		"insecure":        {section{"client": section{"insecure": true}}, 0},
		"only clients":    {section{"channel": section{"without_namespace": section{"allow_subscribe_for_client": true}}}, 103},
		"clients and anonymous": {section{"channel": section{"without_namespace": section{
			"allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
		}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var opts Options
			if test.values != nil {
				config, err := centrifugo.Parse(test.values)
				if err != nil {
					t.Fatal(err)
				}
				opts.Streams = &config
			}
			d := run(t, opts)
			c := centrifuge.NewJsonClient("ws"+strings.TrimPrefix(d.url, "http")+"/connection/websocket", centrifuge.Config{})
			defer c.Close()
			sub, err := c.NewSubscription("leaderboard")
			if err != nil {
				t.Fatal(err)
			}
			answered := make(chan uint32, 1)
			sub.OnSubscribed(func(centrifuge.SubscribedEvent) { answered <- 0 })
			sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { answered <- e.Code })
			if err := sub.Subscribe(); err != nil {
				t.Fatal(err)
			}
			_ = c.Connect() // it is tried again if the daemon does not run yet
			select {
			case code := <-answered:
				if code != test.code {
					t.Errorf("the answer is %d, want %d", code, test.code)
				}
			case <-time.After(patience):
				t.Fatal("no answer")
			}
		})
	}
}

func TestOriginsOfBothSections(t *testing.T) {
	config, err := centrifugo.Parse(map[string]any{"client": map[string]any{"allowed_origins": []any{"https://b.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	d := run(t, Options{Origins: []string{"https://a.example"}, Streams: &config})
	for origin, want := range map[string]int{"https://a.example": http.StatusNoContent, "https://b.example": http.StatusNoContent, "https://c.example": http.StatusForbidden} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, d.url+"/connection/websocket", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s is answered %d, want %d", origin, answer.StatusCode, want)
		}
	}
}

type publisherFunc func(feed.Publication) error

func (f publisherFunc) Publish(_ context.Context, table feed.Publication) error { return f(table) }

// One publisher that fails keeps nothing from the others, and is told of.
func TestEachPublisherIsTried(t *testing.T) {
	away := errors.New("away")
	var calls []string
	publish := func(name string, err error) publisherFunc {
		return func(feed.Publication) error { calls = append(calls, name); return err }
	}
	err := each{publish("a", away), publish("b", nil)}.Publish(t.Context(), feed.Publication{})
	if got := strings.Join(calls, " "); got != "a b" || !errors.Is(err, away) {
		t.Errorf("called were %s, with %v, want a and b with the error of a", got, err)
	}
	if err := (each{publish("a", nil), publish("b", nil)}).Publish(t.Context(), feed.Publication{}); err != nil {
		t.Error(err)
	}
}

// A Centrifugo and Laurel's own viewers see the same tables, and each goes on
// without the other.
func TestTablesGoToACentrifugoToo(t *testing.T) {
	server := redistest.Start(t)
	opts, err := centrifugo.ParsePublisher(map[string]any{"address": server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	d := run(t, Options{Publisher: &opts})
	c := connect(t, d.url)
	submit := func() {
		if _, err := c.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	submit()
	seen := 0
	for table, err := range c.Watch(t.Context(), "race", client.WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(table.Entries) == 0 {
			continue // the board was new
		}
		switch seen++; seen {
		case 1, 3:
			rev, redis := table.Rev, server.Client(t)
			until(t, "Centrifugo has the table", func() error {
				entries, err := redis.Do(t.Context(), redis.B().Xrevrange().Key(centrifugo.DefaultStream).End("+").Start("-").Count(1).Build()).AsXRange()
				if err != nil || len(entries) == 0 {
					return fmt.Errorf("no command: %w", err)
				}
				fields := entries[0].FieldValues
				if want := fmt.Sprintf(`"version":%d,`, rev); fields["method"] != "publish" || !strings.Contains(fields["payload"], want) {
					return fmt.Errorf("the command is %v, want a publish with %s", fields, want)
				}
				return nil
			})
			server.Kill()
			if got := get(t, d.url+"/readyz"); got.status != http.StatusOK {
				t.Errorf("/readyz answers %d without the Redis of Centrifugo, want 200: %s", got.status, got.text)
			}
			if seen == 3 {
				return
			}
		case 2: // came though Redis is away
			server.RestartEmpty(t)
		}
		submit()
	}
}
