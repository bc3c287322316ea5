package centrifugo

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/rueidis"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/redisconn"
)

//go:embed lua/publish.lua
var publishLua string

var publishScript = rueidis.NewLuaScript(publishLua)

// The defaults of a [Publisher].
const (
	DefaultStream        = "laurel-centrifugo"
	DefaultConsumerGroup = "centrifugo"
	DefaultChannel       = "board:" + boardPlace
	DefaultMaxLen        = 1000
)

const boardPlace = "{id}" // in a channel

// PublisherOptions are the settings of a [Publisher]. All but Redis may be left
// as they are.
type PublisherOptions struct {
	Redis         redisconn.Config
	Stream        string // that the Centrifugo's consumer reads; "" is DefaultStream
	ConsumerGroup string // in which it does; "" is DefaultConsumerGroup
	Channel       string // of a board: {id} stands for the board's id; "" is DefaultChannel

	// MaxLen is how many commands the stream may have; 0 is DefaultMaxLen. Those
	// that were read stay in it until there are so many.
	MaxLen int

	// Refresh is how often Run publishes every board, whether or not it has
	// changed; 0 is a minute.
	Refresh time.Duration

	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: metrics are not shown
}

// Boards is the part of a [leaderboard.Store] that a publisher reads every board
// from.
type Boards interface {
	feed.Reader
	Boards(ctx context.Context, after string, limit int) ([]leaderboard.View, error)
}

const (
	refreshSuffix = ".refresh"
	refreshPage   = 100                  // boards that are listed at once
	refreshPause  = 5 * time.Millisecond // between two boards
)

// errNobodyReads is returned for a publication while the stream is full of what
// no Centrifugo has read.
var errNobodyReads = errors.New("the stream is full of commands that no Centrifugo has read")

// Publisher brings tables to the viewers of a Centrifugo server. It is a
// [feed.Publisher]: the version of a publication is the rev of its board, and so
// Centrifugo drops what is older than what it has had.
//
// While Redis is away, or Centrifugo has not read what is in the stream, Publish
// returns an error. The feed tries again with the newest table, so that neither
// the stream nor a queue of old tables grows, and none is lost that counts.
type Publisher struct {
	opts    PublisherOptions
	log     *slog.Logger
	link    link
	metrics *publisherMetrics

	mu      sync.Mutex
	blocked bool // guarded by mu: the last publication found the stream full
}

type publisherMetrics struct {
	published prometheus.Counter
	refused   prometheus.Counter
	failed    prometheus.Counter
	refreshed prometheus.Counter
}

var _ feed.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher that must be closed. It does not wait for
// Redis. It returns an error if the options are not valid.
func NewPublisher(opts PublisherOptions) (*Publisher, error) {
	opts.Stream = cmp.Or(opts.Stream, DefaultStream)
	opts.ConsumerGroup = cmp.Or(opts.ConsumerGroup, DefaultConsumerGroup)
	opts.Channel = cmp.Or(opts.Channel, DefaultChannel)
	opts.MaxLen = cmp.Or(opts.MaxLen, DefaultMaxLen)
	opts.Refresh = cmp.Or(opts.Refresh, time.Minute)
	switch {
	case strings.Count(opts.Channel, boardPlace) != 1:
		return nil, fmt.Errorf("channel is %q, must have %s in it once, where a board's id goes", opts.Channel, boardPlace)
	case opts.MaxLen < 0:
		return nil, fmt.Errorf("a stream cannot have at most %d commands", opts.MaxLen)
	}
	with := promauto.With(opts.Metrics)
	counter := func(name, help string) prometheus.Counter {
		return with.NewCounter(prometheus.CounterOpts{Namespace: "laurel", Subsystem: "centrifugo", Name: name, Help: help})
	}
	p := &Publisher{
		opts: opts,
		log:  opts.Log,
		link: link{options: clientOptions(opts.Redis, defaultConnectTimeout, defaultIOTimeout)},
		metrics: &publisherMetrics{
			published: counter("publications_total", "Commands that were appended to Centrifugo's stream."),
			refused:   counter("refused_total", "Publications that were put off because Centrifugo had not read those before."),
			failed:    counter("failures_total", "Publications that were put off because Redis did not take them."),
			refreshed: counter("refreshed_total", "Tables that were published, among all, in case Centrifugo had lost them."),
		},
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p, nil
}

// Publish appends a table to the stream.
func (p *Publisher) Publish(ctx context.Context, table feed.Publication) error {
	ctx, cancel := context.WithTimeout(ctx, 2*defaultIOTimeout)
	defer cancel()
	o := p.opts
	client, err := p.link.client(ctx)
	if err != nil {
		p.metrics.failed.Inc()
		return fmt.Errorf("stream %q: %w", o.Stream, err)
	}
	payload := appendPublish(nil, strings.Replace(o.Channel, boardPlace, table.Board, 1), table)
	err = publishScript.Exec(ctx, client, []string{o.Stream}, []string{
		o.ConsumerGroup, strconv.Itoa(o.MaxLen), "method", "payload", rueidis.BinaryString(payload),
	}).Error()
	full := rueidis.IsRedisNil(err)
	p.note(full, err)
	switch {
	case full:
		p.metrics.refused.Inc()
		return fmt.Errorf("stream %q, group %q: %w", o.Stream, o.ConsumerGroup, errNobodyReads)
	case err != nil:
		p.metrics.failed.Inc()
		return fmt.Errorf("stream %q: %w", o.Stream, err)
	}
	p.metrics.published.Inc()
	return nil
}

// Run publishes every board from time to time, until ctx is done, on one of the
// nodes that share a stream. A Centrifugo that has restarted has lost what was in
// its memory, and would have nothing for who comes to watch a board that is quiet;
// one that has the table drops it, because its version is not newer.
func (p *Publisher) Run(ctx context.Context, boards Boards) {
	for {
		switch mine, err := p.takeTurn(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.log.Debug("cannot ask whose turn it is", "err", err)
		case mine:
			if err := p.publishAll(ctx, boards); err != nil && ctx.Err() == nil {
				p.log.Warn("cannot publish all boards once more", "err", err)
			}
		}
		if !pause(ctx, p.opts.Refresh) {
			return
		}
	}
}

// takeTurn reports whether no other node publishes all boards this time.
func (p *Publisher) takeTurn(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*defaultIOTimeout)
	defer cancel()
	client, err := p.link.client(ctx)
	if err != nil {
		return false, err
	}
	// It is over a little before ours is, lest two nodes keep each other off.
	term := p.opts.Refresh * 9 / 10
	err = client.Do(ctx, client.B().Set().Key(p.opts.Stream+refreshSuffix).Value("taken").Nx().PxMilliseconds(max(1, term.Milliseconds())).Build()).Error()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	return err == nil, err
}

func (p *Publisher) publishAll(ctx context.Context, boards Boards) error {
	for after := ""; ; {
		views, err := boards.Boards(ctx, after, refreshPage)
		if err != nil || len(views) == 0 {
			return err
		}
		for _, view := range views {
			after = view.Board.ID
			table, err := feed.Render(ctx, boards, after)
			switch {
			case errors.Is(err, leaderboard.ErrBoardNotFound):
				continue
			case err == nil:
				err = p.Publish(ctx, table)
			}
			if err != nil {
				return fmt.Errorf("board %q: %w", after, err)
			}
			p.metrics.refreshed.Inc()
			if !pause(ctx, refreshPause) {
				return ctx.Err()
			}
		}
	}
}

// note logs when the stream becomes full, and when that is over.
func (p *Publisher) note(full bool, err error) {
	if err != nil && !full {
		return
	}
	p.mu.Lock()
	before := p.blocked
	p.blocked = full
	p.mu.Unlock()
	switch {
	case full && !before:
		p.log.Error("no Centrifugo reads the stream, so nothing more is published", "stream", p.opts.Stream, "group", p.opts.ConsumerGroup, "max_len", p.opts.MaxLen)
	case before && !full:
		p.log.Info("the stream is read again", "stream", p.opts.Stream)
	}
}

// appendPublish appends the payload of a publish command.
func appendPublish(dst []byte, channel string, table feed.Publication) []byte {
	dst = append(dst, `{"channel":`...)
	dst = feed.AppendString(dst, channel)
	dst = append(dst, `,"data":`...)
	dst = append(dst, table.Data...)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendUint(dst, table.Rev, 10)
	if table.Epoch != "" {
		dst = append(dst, `,"version_epoch":`...)
		dst = feed.AppendString(dst, table.Epoch)
	}
	return append(dst, `,"delta":true}`...)
}

// Close gives up the connection.
func (p *Publisher) Close() { p.link.close() }

// link is a client that is made when it is first needed and Redis can be
// reached: rueidis makes none before.
type link struct {
	options rueidis.ClientOption

	mu     sync.Mutex
	made   rueidis.Client // guarded by mu, like the rest
	closed bool
}

var errClosed = errors.New("closed")

func (l *link) client(ctx context.Context) (rueidis.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case l.made != nil:
		return l.made, nil
	case ctx.Err() != nil: // while others tried
		return nil, ctx.Err()
	}
	client, err := rueidis.NewClient(l.options)
	if err != nil {
		return nil, err
	}
	l.made = client
	return client, nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.made != nil {
		l.made.Close()
	}
}
