package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	fossil "github.com/shadowspore/fossil-delta"
)

// viewer is a WebSocket connection that watches a board in the client protocol,
// with deltas, and does no more with a table than to look at its rev.
type viewer struct {
	conn  *websocket.Conn
	done  chan struct{} // closed when nothing more is read
	table []byte        // the newest; owned by the goroutine that reads

	mu      sync.Mutex
	seen    []sight       // guarded by mu
	changed chan struct{} // guarded by mu: closed, and made anew, when there is something new
	err     error         // guarded by mu: why nothing more is read
}

// sight is when a table of a rev arrived.
type sight struct {
	rev uint64
	at  time.Time
}

// push is what of a message is of interest.
type push struct {
	ID        uint32   `json:"id"`
	Error     *refusal `json:"error"`
	Subscribe *struct {
		Delta        bool          `json:"delta"`
		Publications []publication `json:"publications"`
	} `json:"subscribe"`
	Push *struct {
		Pub *publication `json:"pub"`
	} `json:"push"`
}

type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

type publication struct {
	Data  json.RawMessage `json:"data"`
	Delta bool            `json:"delta"`
}

// watch connects a viewer and waits until it has a table.
func watch(ctx context.Context, p *process, board string) (*viewer, error) {
	c, err := connect(ctx, p)
	if err != nil {
		return nil, err
	}
	v := &viewer{conn: c, done: make(chan struct{}), changed: make(chan struct{})}
	if err := c.WriteMessage(websocket.TextMessage, subscription(board)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	go v.read()
	if _, err := v.await(ctx, 0); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// subscription is what a viewer sends first.
func subscription(board string) []byte {
	return fmt.Appendf(nil, `{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":"board:%s","delta":"fossil"}}`, board)
}

// connect makes a WebSocket. A server that has just begun to listen may not take
// viewers yet, and says so.
func connect(ctx context.Context, p *process) (*websocket.Conn, error) {
	dialer := websocket.Dialer{ReadBufferSize: 1024, WriteBufferSize: 256, HandshakeTimeout: answerTimeout}
	for begun := time.Now(); ; {
		c, res, err := dialer.DialContext(ctx, "ws://"+p.addr+"/connection/websocket", nil)
		if res != nil {
			_ = res.Body.Close() // what is in it does not matter
		}
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, websocket.ErrBadHandshake) || res.StatusCode != http.StatusServiceUnavailable || time.Since(begun) > answerTimeout {
			return nil, err
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// watchAll connects many.
func watchAll(ctx context.Context, p *process, board string, n int) ([]*viewer, error) {
	var all []*viewer
	for range n {
		v, err := watch(ctx, p, board)
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("viewer %d: %w", len(all)+1, err)
		}
		all = append(all, v)
	}
	return all, nil
}

func closeAll(all []*viewer) {
	for _, v := range all {
		v.close()
	}
}

// close closes the connection and waits for the end of reading.
func (v *viewer) close() {
	_ = v.conn.Close() // nothing that was sent is of interest any more
	<-v.done
}

func (v *viewer) read() {
	defer close(v.done)
	for {
		_, message, err := v.conn.ReadMessage()
		at := time.Now()
		if err == nil {
			err = v.take(message, at)
		}
		if err != nil {
			v.tell(func() { v.err = err })
			return
		}
	}
}

func (v *viewer) tell(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
	close(v.changed)
	v.changed = make(chan struct{})
}

// take reads the replies and pushes of a message.
func (v *viewer) take(message []byte, at time.Time) error {
	for decoder := json.NewDecoder(bytes.NewReader(message)); ; {
		var m push
		switch err := decoder.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Error != nil:
			return fmt.Errorf("the server refuses command %d: %s (%d)", m.ID, m.Error.Message, m.Error.Code)
		case m.Subscribe != nil:
			if !m.Subscribe.Delta {
				return errors.New("the server gives no deltas")
			}
			for _, p := range m.Subscribe.Publications {
				if err := v.show(p, at); err != nil {
					return err
				}
			}
		case m.Push != nil && m.Push.Pub != nil:
			if err := v.show(*m.Push.Pub, at); err != nil {
				return err
			}
		case m.ID == 0 && m.Push == nil: // a ping
			if err := v.conn.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
				return err
			}
		}
	}
}

// show takes over a publication. With deltas its data is a text that holds the
// table or the delta.
func (v *viewer) show(p publication, at time.Time) error {
	var text string
	if err := json.Unmarshal(p.Data, &text); err != nil {
		return fmt.Errorf("publication: %w", err)
	}
	table := []byte(text)
	if p.Delta {
		var err error
		if table, err = fossil.Apply(v.table, table); err != nil {
			return fmt.Errorf("delta: %w", err)
		}
	}
	rev, err := revOf(table)
	if err != nil {
		return err
	}
	v.table = table
	v.tell(func() { v.seen = append(v.seen, sight{rev, at}) })
	return nil
}

// await waits for a table that is not older than rev and returns when it came.
func (v *viewer) await(ctx context.Context, rev uint64) (time.Time, error) {
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	for {
		v.mu.Lock()
		for i := len(v.seen) - 1; i >= 0 && v.seen[i].rev >= rev; i-- {
			if i == 0 || v.seen[i-1].rev < rev {
				at := v.seen[i].at
				v.mu.Unlock()
				return at, nil
			}
		}
		changed, err := v.changed, v.err
		v.mu.Unlock()
		if err != nil {
			return time.Time{}, err
		}
		select {
		case <-changed:
		case <-timeout.C:
			return time.Time{}, fmt.Errorf("no table of rev %d in %s", rev, answerTimeout)
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// count returns how many tables came between two moments.
func (v *viewer) count(from, to time.Time) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, s := range v.seen {
		if s.at.After(from) && !s.at.After(to) {
			n++
		}
	}
	return n
}
