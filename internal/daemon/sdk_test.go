package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/google/go-cmp/cmp"

	"laurel/client"
)

// patience is how long what must happen may take on a slow machine.
const patience = 30 * time.Second

// published is a table as an SDK is sent it.
type published struct {
	Leaders []leader `json:"leaders"`
	Total   int      `json:"total"`
	Season  int      `json:"season"`
	Rev     uint64   `json:"rev"`
}

type leader struct {
	Name  string       `json:"name"`
	Score client.Score `json:"score"`
	Data  any          `json:"data"`
}

// tableOf reads over HTTP what viewers of a board must see.
func tableOf(t *testing.T, c *client.Client, board string) published {
	t.Helper()
	page, err := c.Top(t.Context(), board, 1000)
	if err != nil {
		t.Fatal(err)
	}
	p := published{Leaders: []leader{}, Total: page.Total, Season: page.Season, Rev: page.Rev}
	for _, e := range page.Entries {
		row := leader{Name: e.Member, Score: e.Score}
		if e.Data != nil {
			if err := json.Unmarshal(e.Data, &row.Data); err != nil {
				t.Fatal(err)
			}
		}
		p.Leaders = append(p.Leaders, row)
	}
	return p
}

// viewer is a client of the SDK that follows one board.
type viewer struct {
	*centrifuge.Client
	tables     chan published
	subscribed chan centrifuge.SubscribedEvent
}

func view(t *testing.T, url, board string, protobuf bool, config centrifuge.SubscriptionConfig) viewer {
	t.Helper()
	connect := centrifuge.NewJsonClient
	if protobuf {
		connect = centrifuge.NewProtobufClient
	}
	v := viewer{
		Client:     connect("ws"+strings.TrimPrefix(url, "http")+"/connection/websocket", centrifuge.Config{}),
		tables:     make(chan published, 1000),
		subscribed: make(chan centrifuge.SubscribedEvent, 1),
	}
	t.Cleanup(v.Close)
	sub, err := v.NewSubscription("board:"+board, config)
	if err != nil {
		t.Fatal(err)
	}
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) { v.subscribed <- e })
	sub.OnPublication(func(e centrifuge.PublicationEvent) {
		var p published
		if err := json.Unmarshal(e.Data, &p); err != nil {
			t.Errorf("publication %q: %v", e.Data, err)
		}
		v.tables <- p
	})
	if err := errors.Join(sub.Subscribe(), v.Connect()); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v viewer) next(t *testing.T) published {
	t.Helper()
	select {
	case p := <-v.tables:
		return p
	case <-time.After(patience):
		t.Fatal("no table")
		return published{}
	}
}

// However the SDK for Go asks for a board, it has the table of a quiet one when
// it has subscribed, and every table that it sees is the store's.
func TestAnySubscriptionOfTheSDKFollowsTheBoard(t *testing.T) {
	d := run(t, Options{})
	c := connect(t, d.url)
	if _, err := c.CreateBoard(t.Context(), client.Settings{ID: "race", IntervalMS: 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(t.Context(), "race", client.Submission{Member: "Łukasz 🏃", Score: "3"}); err != nil {
		t.Fatal(err)
	}
	first := tableOf(t, c, "race")
	// The board is quiet when the feed has published what it has.
	for early := view(t, d.url, "race", false, centrifuge.SubscriptionConfig{}); early.next(t).Rev < first.Rev; {
	}
	viewers := map[string]viewer{}
	for _, protobuf := range []bool{false, true} {
		for _, delta := range []centrifuge.DeltaType{centrifuge.DeltaTypeNone, centrifuge.DeltaTypeFossil} {
			for name, config := range map[string]centrifuge.SubscriptionConfig{
				"plain": {}, "recoverable": {Recoverable: true}, "positioned": {Positioned: true},
			} {
				config.Delta = delta
				name = fmt.Sprintf("%s, delta %q, protobuf %v", name, delta, protobuf)
				v := view(t, d.url, "race", protobuf, config)
				if diff := cmp.Diff(first, v.next(t)); diff != "" {
					t.Errorf("%s: the first table differs from the store's (-want +got):\n%s", name, diff)
				}
				if e := <-v.subscribed; !e.Recoverable {
					t.Errorf("%s: the subscription is not recoverable", name)
				}
				viewers[name] = v
			}
		}
	}

	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	names := []string{"Жанна", "佐藤 さくら", "Zoë 🌿", `"quoted"\`, "</script>", "plain", "👩‍👧", "a#b:c d", "a\u2028b"}
	tables := map[uint64]published{first.Rev: first}
	last := first.Rev
	for range 50 {
		s := client.Submission{
			Member: fmt.Sprint(names[rng.IntN(len(names))], rng.IntN(3)),
			Score:  client.Int(1 + rng.Int64N(500)),
			Data:   map[string]any{"name": names[rng.IntN(len(names))], "n": rng.IntN(9)},
		}
		if _, err := c.Submit(t.Context(), "race", s); err != nil {
			t.Fatal(err)
		}
		now := tableOf(t, c, "race")
		tables[now.Rev], last = now, now.Rev
	}
	for name, v := range viewers {
		for seen := first.Rev; seen < last; {
			p := v.next(t)
			if p.Rev < seen {
				t.Fatalf("%s: went from rev %d to %d", name, seen, p.Rev)
			}
			seen = p.Rev
			if diff := cmp.Diff(tables[seen], p); diff != "" {
				t.Fatalf("%s: the table of rev %d differs from the store's (-want +got):\n%s", name, seen, diff)
			}
		}
	}
}
