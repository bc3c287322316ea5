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
//
// Several nodes may share the viewers of a board: with Redis, a table that one of
// them publishes reaches those of all, and is kept for all. Standings never leave
// a node. What a client of an HTTP transport sends may arrive at any node and is
// passed on to the one that has its connection.
package realtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/redisconn"
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

	// Redis carries tables to the viewers of all nodes that have the same. The
	// zero value is that there is only this node.
	Redis  redisconn.Config
	Prefix string // of all names in Redis; "" is laurel

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
	CacheTTL     time.Duration // how long a table is kept that is neither published nor read, in whole seconds; 0 is an hour. In Redis only that of a deleted board ends

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

const defaultPrefix = "laurel"

const (
	fillTimeout     = 5 * time.Second  // to read a table that somebody waits for
	shutdownTimeout = 10 * time.Second // to tell every connection

	// What the library keeps of a channel goes through two periods: after the
	// first it drops the publication, after the second the version as well. If
	// the first ended alone, the same rev could not be published into the empty
	// cache again. The second is renewed by reading, so the first never ends. In
	// Redis the two are keys that end on their own, so neither does.
	forever = 10 * 365 * 24 * time.Hour
)

// Realtime holds the connections of viewers. Its Run must be called, once.
type Realtime struct {
	reader      Reader
	call        func(ctx context.Context, method string, params []byte) ([]byte, error)
	cacheTTL    time.Duration
	metaTTL     time.Duration // the second period, see forever
	bodyTimeout time.Duration
	log         *slog.Logger
	failures    limiter
	metrics     *metrics
	node        *centrifuge.Node
	shared      *shared                 // nil if there is only this node
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
	var tables *shared
	if !opts.Redis.IsZero() {
		tables = newShared(opts.Redis, cmp.Or(opts.Prefix, defaultPrefix))
	}
	node, err := centrifuge.New(centrifuge.Config{
		GetBroker: func(channel string) (centrifuge.Broker, bool) {
			switch {
			case tables == nil:
				return nil, false
			case strings.HasPrefix(channel, boardPrefix):
				return tables, true
			}
			return openBroker{tables}, isOpenChannel(channel)
		},
		LogLevel:              logLevel(opts.Log),
		LogHandler:            newLogHandler(opts.Log),
		ClientStaleCloseDelay: staleDelay,
		ClientQueueMaxSize:    opts.QueueSize,
		ClientChannelLimit:    maxChannels,
		ChannelMaxLength:      maxChannelLength,
		HistoryMetaTTL:        opts.CacheTTL,
		UseSingleFlight:       tables == nil, // which has its own
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
		metaTTL:     opts.CacheTTL,
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
	if tables != nil {
		tables.node, tables.reader, tables.publish = node, reader, r.publish
		tables.log, tables.metrics = r.log, r.metrics
		r.shared, r.metaTTL = tables, forever
	}
	r.handlers = newHandlers(node)
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil // anybody
	})
	node.OnConnect(r.connected)
	node.OnCacheEmpty(r.cacheEmpty)
	return r, nil
}

// Run holds connections until ctx is done. Then it tells them to connect again,
// to another node or to this one's successor, and returns nil. It returns an
// error at once if Redis is needed and does not answer.
func (r *Realtime) Run(ctx context.Context) error {
	if err := r.start(); err != nil {
		return err
	}
	var parts sync.WaitGroup
	if r.shared != nil {
		defer r.shared.close()
		parts.Go(func() { r.shared.run(ctx) })
	}
	close(r.running)
	r.ranks.run(ctx)
	parts.Wait()

	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	if err := r.shutdown(ctx); err != nil {
		r.log.Warn("connections cut off", "err", err)
	}
	r.active.Wait()
	return nil
}

func (r *Realtime) start() error {
	if r.shared != nil {
		if err := r.shared.connect(); err != nil {
			return err
		}
		r.node.SetController(controller{r.shared})
	}
	err := r.node.Run()
	switch {
	case err == nil:
		return nil
	case r.shared == nil:
		return fmt.Errorf("start node: %w", err)
	}
	_ = r.shutdown(context.Background()) // there are no connections yet
	r.shared.close()
	return fmt.Errorf("start node with Redis at %s: %w", r.shared.config, err)
}

func (r *Realtime) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return r.node.Shutdown(ctx)
}

// Ready returns why viewers are not sent new tables, or nil if they are.
func (r *Realtime) Ready() error {
	if !r.isRunning() {
		return errors.New("starting or stopping")
	}
	if r.shared == nil {
		return nil
	}
	return r.shared.ready()
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
	if r.shared != nil && r.shared.isOutdated(p) {
		r.metrics.outdated.Inc()
		return nil
	}
	kind := plain
	if r.shared != nil {
		kind = kindOf(p)
	}
	_, err := r.publish(p, kind)
	return err
}

// publish publishes a table unless one is kept that is of the same epoch and kind
// and not older: then it is outdated.
func (r *Realtime) publish(p feed.Publication, kind string) (outdated bool, err error) {
	epoch := p.Epoch
	if known, _ := r.epoch.Load().(string); epoch == "" {
		epoch = known
	} else if epoch != known {
		r.epoch.Store(epoch)
	}
	ttl, metaTTL := forever, r.metaTTL
	if kind == gone { // nobody subscribes any more
		ttl, metaTTL = r.cacheTTL, r.cacheTTL
	}
	result, err := r.node.Publish(boardChannel(p.Board), p.Data,
		centrifuge.WithHistory(1, ttl, metaTTL),
		centrifuge.WithDelta(true),
		centrifuge.WithVersion(p.Rev, epoch+kind),
	)
	if err != nil {
		return false, err
	}
	if result.Suppressed {
		r.metrics.outdated.Inc()
	}
	return result.Suppressed, nil
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
		ctx, cancel := context.WithTimeout(context.Background(), fillTimeout)
		defer cancel()
		if r.shared != nil {
			return nil, r.fillShared(ctx, board)
		}
		return nil, r.fill(ctx, board)
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

func (r *Realtime) fill(ctx context.Context, board string) error {
	// Somebody else may have filled it since the subscriber looked.
	kept, err := r.node.History(boardChannel(board), centrifuge.WithLimit(1), centrifuge.WithHistoryMetaTTL(r.metaTTL))
	if err != nil || len(kept.Publications) > 0 {
		return err
	}
	table, err := feed.Render(ctx, r.reader, board)
	if err != nil {
		return err
	}
	r.metrics.fills.Inc()
	return r.Publish(ctx, table)
}

// fillShared is fill where other nodes may fill the cache at the same time, which
// does no harm, and where what was found may have been not nothing, but of
// another epoch.
func (r *Realtime) fillShared(ctx context.Context, board string) error {
	channel := boardChannel(board)
	if filled, err := r.shared.serves(channel); err != nil || filled {
		return err
	}
	table, err := feed.Render(ctx, r.reader, board)
	if errors.Is(err, leaderboard.ErrBoardNotFound) && r.shared.comesBack(channel) {
		table, err = r.shared.goneTable(board), nil
	}
	if err != nil {
		return err
	}
	if table.Gone {
		r.shared.expect(channel, "")
	} else {
		r.shared.expect(channel, table.Epoch)
	}
	if !r.shared.isOutdated(table) {
		r.metrics.fills.Inc()
		if _, err := r.shared.put(table); err != nil {
			return err
		}
	}
	if filled, err := r.shared.serves(channel); err != nil || filled {
		return err
	}
	return errOlder
}
