// Package realtime brings boards to their viewers over long-lived connections.
//
// It is a node of the centrifuge library, which any Centrifugo SDK can talk to,
// by WebSocket, Server-Sent Events or streamed HTTP. The channel board:{id}
// carries the table that the feed renders: [Realtime.Publish] numbers it with its
// rev, so that an older one can never replace a newer one, and the newest is kept
// to be part of the answer to whoever subscribes. If it is not there, it is read
// from the store, once however many ask for it. The channel rank:{id}#{member}
// carries the standing of one member and costs something only while it is
// watched. Reads go over the same connection as RPC.
package realtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
)

// Reader is what viewers are answered from; see [leaderboard.Reader].
type Reader interface {
	feed.Reader
	Board(ctx context.Context, id string) (leaderboard.View, error)
	Around(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error)
}

// Options are the settings of a [Realtime]. The zero value works.
type Options struct {
	// RPC answers a call of a client, with JSON. If its error is a
	// [leaderboard.Error], the client is told code and message. Nil: there are
	// no calls.
	RPC func(ctx context.Context, method string, params []byte) ([]byte, error)

	// Channels are the rules of open channels; nil: there are none.
	Channels *ChannelOptions

	// Origins are the pages beside those of the server itself that may connect,
	// such as https://game.example:8443. "*" is all.
	Origins []string

	// PollRanks is for a store whose changes are told to one of several nodes:
	// whether a board has changed whose members are watched here is then found
	// out by asking for its rev, once per RankInterval.
	PollRanks bool

	RankInterval time.Duration // between two publications of a member's standing at the least; 0 is 250 ms
	BodyTimeout  time.Duration // in which a request's body must arrive; 0 is 10 s
	QueueSize    int           // bytes that may wait for a slow connection before it is closed; 0 is 1 MiB
	CacheTTL     time.Duration // how long a table is kept that is neither published nor read, in whole seconds; 0 is an hour

	Log     *slog.Logger         // nil: nothing is logged
	Metrics *prometheus.Registry // nil: metrics are not shown
}

// What one connection may do.
const (
	maxChannels = 128      // subscriptions
	maxRanks    = 32       // subscriptions to ranks, among them
	maxCalls    = 4        // calls at once; more have to wait
	maxMessage  = 48 << 10 // bytes in a frame: enough to renew as many of the longest subscriptions at once

	writeTimeout = 5 * time.Second
	staleDelay   = 10 * time.Second // to send the connect command
)

const (
	fillTimeout     = 5 * time.Second  // to read a table that somebody waits for
	shutdownTimeout = 10 * time.Second // to tell every connection

	// What the library keeps of a channel goes through two periods: after the
	// first it drops the publication, after the second the version as well. If
	// the first ended alone, the same rev could not be published into the empty
	// cache again. The second is renewed by reading, so the first never ends.
	forever = 10 * 365 * 24 * time.Hour
)

// Realtime holds the connections of viewers. Its Run must be called, once.
type Realtime struct {
	reader      Reader
	call        func(ctx context.Context, method string, params []byte) ([]byte, error)
	cacheTTL    time.Duration
	bodyTimeout time.Duration
	log         *slog.Logger
	failures    limiter
	metrics     *metrics
	node        *centrifuge.Node
	channels    *ChannelOptions         // nil: there are none that are open
	handlers    map[string]http.Handler // by path
	origins     origins
	ranks       *ranks
	fills       singleflight.Group // by board
	epoch       atomic.Value       // a string: that of the newest table seen

	running chan struct{} // closed when the node runs

	mu     sync.Mutex
	ended  bool           // guarded by mu: nothing may be started any more
	active sync.WaitGroup // calls under way; added to under mu
}

var _ feed.Publisher = (*Realtime)(nil)

// New returns a node that answers from reader. It returns an error if the
// options are not valid.
func New(reader Reader, opts Options) (*Realtime, error) {
	origins, err := parseOrigins(opts.Origins)
	if err != nil {
		return nil, err
	}
	if opts.RankInterval == 0 {
		opts.RankInterval = 250 * time.Millisecond
	}
	if opts.BodyTimeout == 0 {
		opts.BodyTimeout = 10 * time.Second
	}
	if opts.CacheTTL == 0 {
		opts.CacheTTL = time.Hour
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = prometheus.NewRegistry()
	}
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel:              logLevel(opts.Log),
		LogHandler:            newLogHandler(opts.Log),
		ClientStaleCloseDelay: staleDelay,
		ClientQueueMaxSize:    opts.QueueSize,
		ClientChannelLimit:    maxChannels,
		ChannelMaxLength:      maxChannelLength,
		HistoryMetaTTL:        opts.CacheTTL,
		UseSingleFlight:       true,
		// Other nodes would be told a summary of the metrics; there are none.
		NodeInfoMetricsAggregateInterval: 24 * time.Hour,
		Metrics: centrifuge.MetricsConfig{
			MetricsNamespace:          "laurel_centrifuge",
			RegistererGatherer:        opts.Metrics,
			GetChannelNamespaceLabel:  channelKind,
			ChannelNamespaceCacheSize: -1, // it is quicker than a cache
		},
	})
	if err != nil {
		return nil, err
	}
	r := &Realtime{
		reader:      reader,
		call:        opts.RPC,
		cacheTTL:    opts.CacheTTL,
		bodyTimeout: opts.BodyTimeout,
		channels:    opts.Channels,
		log:         opts.Log,
		metrics:     newMetrics(opts.Metrics),
		node:        node,
		origins:     origins,
		running:     make(chan struct{}),
	}
	r.ranks = newRanks(reader, opts.RankInterval, runtime.GOMAXPROCS(0), r.publishRank, r.metrics, r.log)
	r.ranks.polls = opts.PollRanks
	r.handlers = newHandlers(node)
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil // anybody
	})
	node.OnConnect(r.connected)
	node.OnCacheEmpty(r.cacheEmpty)
	return r, nil
}

// Run holds connections until ctx is done. Then it tells them to connect again,
// to another node or to this one's successor, and returns nil.
func (r *Realtime) Run(ctx context.Context) error {
	if err := r.node.Run(); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	close(r.running)
	r.ranks.run(ctx)

	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := r.node.Shutdown(stop); err != nil {
		r.log.Warn("connections cut off", "err", err)
	}
	r.active.Wait()
	return nil
}

func (r *Realtime) isRunning() bool {
	select {
	case <-r.running:
	default:
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ended
}

// spawn runs f in a goroutine that Run waits for, or reports that it is too late.
func (r *Realtime) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.active.Go(f)
	}
	return !r.ended
}

// Publish sends a table to the viewers of its board and keeps it for those who
// come. One that is not newer than what they have is left out. It waits until
// the node runs.
func (r *Realtime) Publish(ctx context.Context, p feed.Publication) error {
	select {
	case <-r.running:
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.Rev == 0 {
		return fmt.Errorf("board %q has no rev", p.Board) // the library would take it for one without a number
	}
	epoch := p.Epoch
	if known, _ := r.epoch.Load().(string); epoch == "" {
		epoch = known
	} else if epoch != known {
		r.epoch.Store(epoch)
	}
	result, err := r.node.Publish(boardChannel(p.Board), p.Data,
		centrifuge.WithHistory(1, forever, r.cacheTTL),
		centrifuge.WithDelta(true),
		centrifuge.WithVersion(p.Rev, epoch),
	)
	if err != nil {
		return err
	}
	if result.Suppressed {
		r.metrics.outdated.Inc()
	}
	return nil
}

// publishRank sends a member's standing to those who watch it.
func (r *Realtime) publishRank(board, member string, standing []byte) error {
	_, err := r.node.Publish(rankChannel(board, member), standing)
	return err
}

// BoardChanged implements [feed.Observer].
func (r *Realtime) BoardChanged(board string) { r.ranks.boardChanged(board) }

// cacheEmpty fills the cache of a board for a subscriber who has found nothing
// in it.
func (r *Realtime) cacheEmpty(e centrifuge.CacheEmptyEvent) (centrifuge.CacheEmptyReply, error) {
	board, ok := parseBoardChannel(e.Channel)
	if !ok {
		return centrifuge.CacheEmptyReply{}, nil
	}
	_, err, _ := r.fills.Do(board, func() (any, error) {
		// Somebody else may have filled it since e's subscriber looked.
		kept, err := r.node.History(e.Channel, centrifuge.WithLimit(1), centrifuge.WithHistoryMetaTTL(r.cacheTTL))
		if err != nil || len(kept.Publications) > 0 {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), fillTimeout)
		defer cancel()
		table, err := feed.Render(ctx, r.reader, board)
		if err != nil {
			return nil, err
		}
		r.metrics.fills.Inc()
		return nil, r.Publish(ctx, table)
	})
	switch {
	case errors.Is(err, leaderboard.ErrBoardNotFound):
		return centrifuge.CacheEmptyReply{}, centrifuge.ErrorUnknownChannel
	case err != nil:
		r.failed(context.Background(), board, err)
		return centrifuge.CacheEmptyReply{}, errUnavailable
	}
	return centrifuge.CacheEmptyReply{Populated: true}, nil
}
