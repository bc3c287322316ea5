package oracle

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"laurel/client"
	"laurel/internal/sdktest"
)

// firstServerCode is above the codes with which an SDK says that it was its own
// side that left.
const firstServerCode = 100

// viewer follows a board as any program with Centrifugo's SDK does. Unlike
// [client.Client.Watch] it sees whatever the server sends.
type viewer struct {
	name string
	book *book
	conn *centrifuge.Client
	wire sdktest.Wire
	news chan struct{} // holds a token when there is a table that nobody has looked at

	mu     sync.Mutex
	epoch  string // guarded by mu; of the subscription
	table  table  // guarded by mu
	count  int    // guarded by mu; of tables
	epochs int    // guarded by mu; that followed the first
}

// table is a publication.
type table struct {
	Leaders []struct {
		Name  string          `json:"name"`
		Score client.Score    `json:"score"`
		Data  json.RawMessage `json:"data"`
	} `json:"leaders"`
	Total  int    `json:"total"`
	Season int    `json:"season"`
	Rev    uint64 `json:"rev"`
}

// unknownChannel is how a viewer is told that there is no such board.
const unknownChannel = 102

// view connects the i-th viewer to a board: in turn with JSON and Protobuf, with
// and without deltas, with and without asking for the newest table.
func (r *run) view(b *book, i int) (*viewer, error) {
	address := r.place.viewed(i)
	v := &viewer{book: b, news: make(chan struct{}, 1)}
	config := centrifuge.Config{MinReconnectDelay: 20 * time.Millisecond, MaxReconnectDelay: 500 * time.Millisecond, NetDialContext: v.wire.Dial}
	connect, protocol := centrifuge.NewJsonClient, "JSON"
	if i%2 == 1 {
		connect, protocol = centrifuge.NewProtobufClient, "Protobuf"
	}
	v.conn = connect("ws://"+address+"/connection/websocket", config)
	subscription := centrifuge.SubscriptionConfig{MinResubscribeDelay: sdktest.Never, MaxResubscribeDelay: sdktest.Never}
	if i%4 < 3 {
		subscription.Delta = centrifuge.DeltaTypeFossil
	}
	if i%3 == 0 {
		subscription.Recoverable = true
	}
	v.name = fmt.Sprintf("viewer %d of %q (at %s, %s, delta %q, recoverable %t)", i, b.board.ID, address, protocol, subscription.Delta, subscription.Recoverable)
	sub, err := v.conn.NewSubscription("board:"+b.board.ID, subscription)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	sub.OnPublication(func(e centrifuge.PublicationEvent) {
		if err := v.see(e.Data); err != nil {
			r.fail(fmt.Errorf("%s: %w", v.name, err))
		}
	})
	sub.OnError(func(centrifuge.SubscriptionErrorEvent) { v.wire.Cut() })
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		if e.StreamPosition == nil {
			r.fail(fmt.Errorf("%s was told no epoch", v.name))
			return
		}
		v.begin(e.StreamPosition.Epoch, r.place.forgets())
	})
	sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		if e.Code == unknownChannel && r.lives.changed() {
			v.wire.Cut() // the board was lost, and is created again
		} else if e.Code >= firstServerCode {
			r.fail(fmt.Errorf("%s was unsubscribed: %s (%d)", v.name, e.Reason, e.Code))
		}
	})
	v.conn.OnConnecting(func(centrifuge.ConnectingEvent) {
		_ = sub.Subscribe() // if it was unsubscribed; the SDK waits for the connection
	})
	v.conn.OnDisconnected(func(e centrifuge.DisconnectedEvent) {
		if e.Code >= firstServerCode {
			r.fail(fmt.Errorf("%s was told not to come back: %s (%d)", v.name, e.Reason, e.Code))
		}
	})
	if err := sub.Subscribe(); err != nil {
		return nil, fmt.Errorf("%s: %w", v.name, err)
	}
	_ = v.conn.Connect() // more attempts follow the first
	return v, nil
}

// begin begins an epoch, or goes on with the one there is. What is sent in another
// one cannot be compared with what was before, if the store may have forgotten that.
func (v *viewer) begin(epoch string, forgotten bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if epoch == v.epoch {
		return
	}
	if v.epoch != "" {
		v.epochs++
	}
	v.epoch = epoch
	if forgotten {
		v.table.Rev = 0
	}
}

// see takes a table and returns what is wrong with it.
func (v *viewer) see(data []byte) error {
	var t table
	if err := json.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("publication %q: %w", data, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if t.Rev < v.table.Rev {
		return fmt.Errorf("went back from rev %d to %d in epoch %s", v.table.Rev, t.Rev, v.epoch)
	}
	if len(t.Leaders) != min(t.Total, v.book.board.Top) {
		return fmt.Errorf("rev %d has %d leaders of %d members", t.Rev, len(t.Leaders), t.Total)
	}
	v.table = t
	v.count++
	select {
	case v.news <- struct{}{}:
	default:
	}
	return nil
}

// differs says in what the viewer's table is another one than the top of the store.
func (v *viewer) differs(top client.Page) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.table
	if t.Total != top.Total || t.Season != top.Season || len(t.Leaders) != len(top.Entries) || t.Rev > top.Rev {
		return fmt.Errorf("has %d leaders of %d in season %d at rev %d; the store has %d of %d in season %d at rev %d",
			len(t.Leaders), t.Total, t.Season, t.Rev, len(top.Entries), top.Total, top.Season, top.Rev)
	}
	for i, got := range t.Leaders {
		want := top.Entries[i]
		if got.Name != want.Member || got.Score != want.Score || !sameJSON(got.Data, want.Data) {
			return fmt.Errorf("place %d is %s with %s %s; in the store it is %s with %s %s",
				i+1, got.Name, got.Score, got.Data, want.Member, want.Score, want.Data)
		}
	}
	return nil
}

// sameJSON compares values: a publication escapes what is not ASCII.
func sameJSON(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func (v *viewer) counts() (tables, epochs int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.count, v.epochs
}

func (v *viewer) close() { v.conn.Close() }
