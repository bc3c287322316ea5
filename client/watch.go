package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

// State says whether a watched table is up to date.
type State string

// The states of a watch.
const (
	Connecting State = "connecting" // the table may be old; a connection is being made
	Live       State = "live"       // changes arrive as the server publishes them
)

// WatchOptions are the settings of [Client.Watch].
type WatchOptions struct {
	// OnState is called when the state changes, with what was the matter if the
	// connection was lost or could not be made. It runs in the goroutine that
	// ranges over the watch, between two tables.
	OnState func(State, error)
}

// Table is the top of a board at one rev, with its total of members. Of its Span it
// has when the season ends, and whether it has.
type Table struct {
	Settings Settings `json:"-"`
	Position
	Entries []Entry `json:"entries"`
}

// Watch follows the top of a board: it yields the table as it stands, and then
// each newer one that the server publishes. A lost connection is made again
// without end. Within an epoch the revs only rise; a loop that is slow misses
// tables, never the newest.
//
// The sequence ends when the context does, without an error; or else with one
// error, for instance [CodeBoardNotFound] when the board does not exist, or no
// longer.
//
//	for table, err := range c.Watch(ctx, "race", client.WatchOptions{}) {
//		…
//	}
func (c *Client) Watch(ctx context.Context, board string, opts WatchOptions) iter.Seq2[Table, error] {
	return func(yield func(Table, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w := &watcher{client: c, board: board, opts: opts, news: make(chan struct{}, 1)}
		err := w.run(ctx, yield)
		if err != nil && !errors.Is(err, errStop) && ctx.Err() == nil {
			yield(Table{}, err)
		}
	}
}

// errStop ends a watch whose loop was left.
var errStop = errors.New("the loop was left")

const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// describeEvery is how often the board's settings are read: that they were
// changed, or the board deleted, is not published.
var describeEvery = 30 * time.Second

type watcher struct {
	client *Client
	board  string
	opts   WatchOptions
	news   chan struct{} // holds a token while inbox has something; one is enough

	mu    sync.Mutex
	inbox inbox // guarded by mu

	// The rest belongs to the goroutine that ranges.
	state    State
	settings Settings
	shown    Position // of the last table that was yielded
	last     []byte   // that table as it was published
}

// inbox is what the connection has told since the watcher last looked: only the
// newest of each kind, so that it never grows.
type inbox struct {
	lost         bool   // the connection, or the subscription
	subscribed   bool   // to the channel, anew, and after a loss: the table is of this subscription
	cause        error  // of the loss
	unsubscribed bool   // by the server, which does not take us back by itself
	table        []byte // the newest publication
	closed       error  // the server wants no more of us
}

func (w *watcher) tell(change func(*inbox)) {
	w.mu.Lock()
	change(&w.inbox)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *watcher) take() inbox {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.inbox
	w.inbox = inbox{}
	return taken
}

func (w *watcher) run(ctx context.Context, yield func(Table, error) bool) error {
	w.setState(Connecting, nil)
	if err := w.describe(ctx); err != nil {
		return err
	}
	connection := centrifuge.NewProtobufClient(w.client.socketURL(), w.client.socketConfig(ctx))
	defer connection.Close()
	subscription, err := w.subscribe(connection)
	if err != nil {
		return err
	}

	again := time.NewTicker(describeEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
			if w.state != Live {
				continue // it is asked for anyway when we are back
			}
			if err := w.describeAgain(ctx, yield); err != nil {
				return err
			}
			continue
		case <-w.news:
		}
		in := w.take()
		if in.closed != nil {
			return in.closed
		}
		if in.lost {
			w.setState(Connecting, in.cause)
		}
		if in.unsubscribed {
			// The board was deleted, unless the server has another reason, which passes.
			if err := w.describe(ctx); err != nil {
				return err
			}
			if err := pause(ctx, retryFirst); err != nil {
				return err
			}
			if err := subscription.Subscribe(); err != nil {
				return err
			}
			continue
		}
		if in.subscribed {
			// The store may be another one now, and the settings may have changed.
			if err := w.describe(ctx); err != nil {
				return err
			}
			w.setState(Live, nil)
		}
		if in.table != nil {
			if err := w.show(in.table, yield); err != nil {
				return err
			}
		}
	}
}

// subscribe connects the SDK's callbacks to the inbox. They run in goroutines
// of the SDK and must not wait.
func (w *watcher) subscribe(connection *centrifuge.Client) (*centrifuge.Subscription, error) {
	connection.OnError(func(e centrifuge.ErrorEvent) {
		w.tell(func(in *inbox) { in.lost, in.cause = true, e.Error })
	})
	connection.OnConnecting(func(e centrifuge.ConnectingEvent) {
		if e.Reason == "connect called" {
			return
		}
		w.tell(func(in *inbox) { in.lost, in.cause = true, errors.New(e.Reason) })
	})
	connection.OnDisconnected(func(e centrifuge.DisconnectedEvent) {
		w.tell(func(in *inbox) {
			in.closed = fmt.Errorf("watch %q: the server closed the connection: %s (%d)", w.board, e.Reason, e.Code)
		})
	})

	subscription, err := connection.NewSubscription("board:"+w.board, centrifuge.SubscriptionConfig{
		Delta:               centrifuge.DeltaTypeFossil,
		MinResubscribeDelay: retryFirst,
		MaxResubscribeDelay: retryMost,
	})
	if err != nil {
		return nil, err
	}
	subscription.OnSubscribing(func(e centrifuge.SubscribingEvent) {
		if e.Code == 0 {
			return // we asked for it
		}
		w.tell(func(in *inbox) {
			*in = inbox{lost: true, cause: cmp.Or(in.cause, errors.New(e.Reason)), closed: in.closed}
		})
	})
	subscription.OnSubscribed(func(centrifuge.SubscribedEvent) {
		w.tell(func(in *inbox) {
			*in = inbox{subscribed: true, lost: in.lost, cause: in.cause, closed: in.closed}
		})
	})
	subscription.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		w.tell(func(in *inbox) {
			*in = inbox{lost: true, unsubscribed: true, cause: errors.New(e.Reason), closed: in.closed}
		})
	})
	subscription.OnPublication(func(e centrifuge.PublicationEvent) {
		w.tell(func(in *inbox) { in.table = e.Data })
	})
	if err := subscription.Subscribe(); err != nil {
		return nil, err
	}
	// An error of the first attempt comes through OnError too, and more attempts follow.
	_ = connection.Connect()
	return subscription, nil
}

func (w *watcher) setState(s State, cause error) {
	if s == w.state && cause == nil {
		return
	}
	w.state = s
	if w.opts.OnState != nil {
		w.opts.OnState(s, cause)
	}
}

// describe reads the settings of the board and the epoch of its store. It asks
// until there is an answer, and returns an error if that is a refusal.
func (w *watcher) describe(ctx context.Context) error {
	for delay := retryFirst; ; delay = min(2*delay, retryMost) {
		board, err := w.client.Board(ctx, w.board)
		if err == nil {
			w.settings = board.Settings
			if board.Epoch != w.shown.Epoch || board.Rev < w.shown.Rev {
				w.shown = Position{Epoch: board.Epoch}
			}
			return nil
		}
		if refused, ok := errors.AsType[*Error](err); ok && refused.Status < 500 {
			return err
		}
		w.setState(Connecting, err)
		if err := pause(ctx, delay); err != nil {
			return err
		}
	}
}

// describeAgain describes, and yields the last table again if the settings by
// which it is shown have changed.
func (w *watcher) describeAgain(ctx context.Context, yield func(Table, error) bool) error {
	before := w.settings
	if err := w.describe(ctx); err != nil {
		return err
	}
	w.setState(Live, nil)
	if w.settings == before || w.last == nil {
		return nil
	}
	w.shown.Rev = 0
	return w.show(w.last, yield)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// show yields a table unless it is not newer than the last one.
func (w *watcher) show(publication []byte, yield func(Table, error) bool) error {
	var sent struct {
		Leaders []struct {
			Name  string          `json:"name"`
			Score Score           `json:"score"`
			Data  json.RawMessage `json:"data"`
		} `json:"leaders"`
		Total  int    `json:"total"`
		Season int    `json:"season"`
		Rev    uint64 `json:"rev"`
		Span
	}
	if err := json.Unmarshal(publication, &sent); err != nil {
		return fmt.Errorf("watch %q: publication: %w", w.board, err)
	}
	if sent.Rev <= w.shown.Rev {
		return nil
	}
	w.last = publication
	w.shown = Position{Board: w.board, Season: sent.Season, Rev: sent.Rev, Epoch: w.shown.Epoch, Total: sent.Total, Span: sent.Span}
	table := Table{Settings: w.settings, Position: w.shown, Entries: make([]Entry, len(sent.Leaders))}
	for i, row := range sent.Leaders {
		rank := i + 1
		if style := w.settings.RankStyle; i > 0 && (style == "competition" || style == "dense") {
			above := table.Entries[i-1].Rank
			if row.Score == sent.Leaders[i-1].Score {
				rank = above
			} else if style == "dense" {
				rank = above + 1
			}
		}
		table.Entries[i] = Entry{Member: row.Name, Score: row.Score, Rank: rank, Data: row.Data}
	}
	if !yield(table, nil) {
		return errStop
	}
	return nil
}

func (c *Client) socketURL() string {
	return "ws" + strings.TrimPrefix(c.base, "http") + "/connection/websocket"
}

// socketConfig makes a WebSocket go the way of the HTTP requests, and end with
// the context even while it is being made.
func (c *Client) socketConfig(ctx context.Context) centrifuge.Config {
	config := centrifuge.Config{
		Name:              "laurel-go",
		HandshakeTimeout:  5 * time.Second,
		MinReconnectDelay: retryFirst,
		MaxReconnectDelay: retryMost,
	}
	dial := (&net.Dialer{}).DialContext
	transport, ok := c.http.Transport.(*http.Transport)
	if c.http.Transport == nil {
		transport, ok = http.DefaultTransport.(*http.Transport)
	}
	if ok {
		config.Proxy = transport.Proxy
		if transport.TLSClientConfig != nil {
			config.TLSConfig = transport.TLSClientConfig.Clone()
			config.TLSConfig.NextProtos = nil // a WebSocket is made over HTTP/1.1
		}
		if transport.DialContext != nil {
			dial = transport.DialContext
		}
	}
	config.NetDialContext = func(dialing context.Context, network, address string) (net.Conn, error) {
		dialing, cancel := context.WithCancel(dialing)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		conn, err := dial(dialing, network, address)
		if err != nil {
			return nil, err
		}
		return &boundConn{conn, context.AfterFunc(ctx, func() { conn.Close() })}, nil
	}
	return config
}

// boundConn is a connection that a context closes, unless it was closed before.
type boundConn struct {
	net.Conn
	release func() bool
}

func (c *boundConn) Close() error {
	c.release()
	return c.Conn.Close()
}
