package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/redistest"
)

// tutorial is how the tutorial of Centrifugo configures the channel of its
// leaderboard, in the end.
func tutorial() *ChannelOptions {
	return &ChannelOptions{
		HistorySize: 1, HistoryTTL: 24 * time.Hour, HistoryMetaTTL: 720 * time.Hour,
		Recovery: true, Cache: true, AllowDelta: true, AlwaysDelta: true,
	}
}

// message is a table of some length, most of which does not change.
func message(rev uint64) Message {
	return Message{
		Channel: "leaderboard", Version: rev, VersionEpoch: "1764000000",
		Data: fmt.Appendf(nil, `{"leaders":[],"total":0,"season":1,"filler":%q,"rev":%d}`, strings.Repeat("Åsa ", 50), rev),
	}
}

func (w *world) sendMessage(m Message) {
	w.Helper()
	if err := w.node.Send(w.Context(), m); err != nil {
		w.Fatal(err)
	}
}

func TestOpenChannelCarriesMessagesInOrder(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		opts.Channels = tutorial()
		w := newWorld(t, opts)
		w.sendMessage(message(5))

		// Who asks for what there is has it in the answer, and deltas from then on.
		since := w.websocket(nil)
		r := since.subscribe(2, "leaderboard", `,"recover":true,"delta":"fossil"`)
		if r.Subscribe == nil || len(r.Subscribe.Publications) != 1 {
			t.Fatalf("answer to who asks since {}: %+v", r)
		}
		want(t, "rev", r.Subscribe.Publications[0].table(t).Rev, 5)
		// Who does not ask waits for the next.
		other := w.websocket(nil)
		if r := other.subscribe(2, "leaderboard", ""); r.Subscribe == nil || len(r.Subscribe.Publications) != 0 {
			t.Fatalf("answer to who asks for nothing: %+v", r)
		}

		w.sendMessage(message(4)) // late
		w.sendMessage(message(5)) // twice
		w.sendMessage(message(6))
		p := since.pushed()
		if !p.Delta || len(p.Data) > 100 {
			t.Errorf("it was sent %s, want a delta", p.Data)
		}
		want(t, "rev", other.pushed().table(t).Rev, 6)

		again := message(1)
		again.VersionEpoch = "1764099999" // the backend has lost its state
		w.sendMessage(again)
		want(t, "rev", other.pushed().table(t).Rev, 1)
		w.sendMessage(Message{Channel: "elsewhere", Data: []byte("{}")})
		w.sendMessage(Message{Channel: "leaderboard", Data: []byte(`{"rev":77}`), SkipHistory: true})
		want(t, "rev", other.pushed().table(t).Rev, 77)
		want(t, "rev of what is kept", w.websocket(nil).subscribe(2, "leaderboard", `,"recover":true`).Subscribe.Publications[0].table(t).Rev, 1)
	})
}

func TestOpenChannelWithoutHistory(t *testing.T) {
	onBothBrokers(t, func(t *testing.T, opts Options) {
		opts.Channels = &ChannelOptions{}
		w := newWorld(t, opts)
		w.sendMessage(message(5))
		p := w.websocket(nil)
		if r := p.subscribe(2, "leaderboard", `,"recover":true`); r.Subscribe == nil || r.Subscribe.Recoverable || len(r.Subscribe.Publications) != 0 {
			t.Fatalf("reply = %+v, want one without recovery", r)
		}
		w.sendMessage(message(3)) // versions do not count
		want(t, "rev", p.pushed().table(t).Rev, 3)
	})
}

func TestOpenChannelsThatThereAreNot(t *testing.T) {
	names := []string{"", "board:race", "rank:race#alice", "chat:lobby", "$private", "user#42", strings.Repeat("x", maxChannelLength+1)}
	for _, test := range []struct {
		name     string
		channels *ChannelOptions
		names    []string
	}{
		{"with open channels", tutorial(), names},
		{"without", nil, append(names, "leaderboard")},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{Channels: test.channels})
			for _, name := range test.names {
				err := w.node.Send(t.Context(), Message{Channel: name, Data: []byte("{}")})
				want(t, "code for "+name, leaderboard.CodeOf(err), codeUnknownChannel)
				if err == nil || len(err.Error()) > 250 {
					t.Errorf("the error for %q is %v", name, err)
				}
				if name == "" || len(name) > maxChannelLength {
					continue // the library refuses it
				}
				if r := w.websocket(nil).subscribe(2, name, ""); r.Error == nil || r.Error.Code != 102 {
					t.Errorf("subscribe to %q: %+v, want that there is no such channel", name, r)
				}
			}
		})
	}
}

func TestClosedChannelsAreForNobody(t *testing.T) {
	w := newWorld(t, Options{Channels: &ChannelOptions{Closed: true}})
	if r := w.websocket(nil).subscribe(2, "leaderboard", ""); r.Error == nil || r.Error.Code != 103 {
		t.Errorf("reply = %+v, want that it is not permitted", r)
	}
	w.sendMessage(message(1)) // which nobody sees
}

// A message reaches the viewers of every node, whichever is given it.
func TestOpenChannelOnTwoNodes(t *testing.T) {
	opts := Options{Redis: onRedis(t, redistest.Start(t).URL()), Channels: tutorial()}
	w := newWorld(t, opts)
	other := w.beside(opts)
	viewer := other.websocket(nil)
	viewer.subscribe(2, "leaderboard", "")
	w.sendMessage(message(2))
	want(t, "rev", viewer.pushed().table(t).Rev, 2)
	other.sendMessage(message(1)) // late
	other.sendMessage(message(3))
	want(t, "rev", viewer.pushed().table(t).Rev, 3)
	want(t, "rev that is kept", w.websocket(nil).subscribe(2, "leaderboard", `,"recover":true`).Subscribe.Publications[0].table(t).Rev, 3)
}
