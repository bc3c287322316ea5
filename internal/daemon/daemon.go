// Package daemon is where the parts of Laurel meet: it opens the store, builds
// what stands on it, runs all of that behind one listener, and stops it in the
// order in which nothing is lost.
//
// The order of stopping is the reverse of how a score travels. First /readyz
// says no, so that a load balancer looks elsewhere; then what came by streams is
// finished, while its viewers are still here; then no more connections are
// accepted, requests under way are finished, viewers are told to reconnect; then
// the feed stops; and last, with nobody left who could write, the store is closed.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/api"
	"laurel/internal/auth"
	"laurel/internal/centrifugo"
	"laurel/internal/feed"
	"laurel/internal/hooks"
	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
	"laurel/internal/realtime"
	"laurel/internal/redisconn"
	"laurel/internal/redisstore"
	"laurel/internal/telemetry"
	"laurel/internal/timekeeper"
	"laurel/web"
)

// Options are the settings of a [Daemon]. Only Data or Redis is needed.
type Options struct {
	Data string // the data directory; made if it is not there

	// Redis takes the place of Data: there the boards are, and the other nodes
	// that serve them.
	Redis      redisconn.Config
	Prefix     string // of all names in Redis; "" is laurel
	Partitions int    // at the first start; 0 is the default of redisstore, or what is stored

	Listen   string       // address to listen on; "" is DefaultListen
	Listener net.Listener // takes the place of Listen; the daemon closes it

	// APIKey is the one key that is valid. Without, it is the one that was made
	// at the first start in Data or Redis; see [Daemon.NewKey].
	APIKey string

	// Origins are other web pages that may read and watch, such as
	// https://game.example; "*" is all.
	Origins []string

	// Streams is what is followed of a Centrifugo's configuration: channels that
	// are not boards, and consumers of Redis streams, which fill them or submit
	// scores. Nil: there are none.
	Streams *centrifugo.Config

	// Publisher is for the viewers of a Centrifugo: tables are published to them
	// as well, in this way. Nil: they are not. Its Log and Metrics do not count.
	Publisher *centrifugo.PublisherOptions

	// Hooks are told what happens to boards.
	Hooks       []hooks.Hook
	hookOptions hooks.Options // how long they wait for what; the zero value is for everybody but tests

	NoAutoCreate bool          // refuse a submission to a board that does not exist
	RankInterval time.Duration // between two publications of a member's rank; 0 is the default of realtime

	// DrainDelay is how long everything goes on when the daemon was told to
	// stop, with /readyz saying no.
	DrainDelay time.Duration

	// ShutdownTimeout is how long requests under way may take then, and before
	// them entries of streams; 0 is DefaultShutdownTimeout.
	ShutdownTimeout time.Duration

	BodyTimeout time.Duration // in which a request's body must arrive; 0 is DefaultBodyTimeout

	DebugListen string // address for profiles; "" is none

	Version string
	Log     *slog.Logger // nil: nothing is logged
}

// The defaults of Options.
const (
	DefaultListen          = "127.0.0.1:8000"
	DefaultBodyTimeout     = 10 * time.Second
	DefaultShutdownTimeout = 10 * time.Second
)

// Of nodes that share a store.
const (
	lease = 2 * time.Second // of a node that publishes boards; after it, another takes over from one that died
	trust = lease / 2       // in what was published: shorter than it takes to lose a board and get it back
)

// Limits on a connection. What a request may take beyond them is up to the API.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	answerTimeout     = time.Minute // to take an answer, except a stream
	maxHeaderBytes    = 64 << 10    // a client by Server-Sent Events sends its first commands in the address
)

// store is where the boards are, on a disk or in Redis.
type store interface {
	leaderboard.Store
	leaderboard.Outbox
	Close() error
}

// Daemon is a running server, from [Open] until Run or Close returns.
type Daemon struct {
	opts     Options
	log      *slog.Logger
	newKey   string
	registry *prometheus.Registry

	store      store
	service    *leaderboard.Service
	timekeeper *timekeeper.Timekeeper
	realtime   *realtime.Realtime
	feed       *feed.Feed

	consumer  *centrifugo.Consumer  // nil if there is none
	publisher *centrifugo.Publisher // nil if there is none
	hooks     *hooks.Hooks          // nil if there is none

	listener net.Listener
	server   *http.Server
	debug    *http.Server // nil if there is none
	debugOn  net.Listener

	stopping atomic.Bool
}

// Open opens the store and the listener and builds everything between them.
// Nothing is served until Run. What the store says about its directory, for
// instance [localstore.InUseError], is in the error's chain.
func Open(ctx context.Context, opts Options) (*Daemon, error) {
	opts.BodyTimeout = cmp.Or(opts.BodyTimeout, DefaultBodyTimeout)
	opts.ShutdownTimeout = cmp.Or(opts.ShutdownTimeout, DefaultShutdownTimeout)
	if opts.Streams != nil {
		opts.Origins = slices.Concat(opts.Origins, opts.Streams.Client.AllowedOrigins)
	}
	d := &Daemon{opts: opts, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler))}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Daemon) open(ctx context.Context) (err error) {
	if err := realtime.CheckOrigins(d.opts.Origins); err != nil {
		return err // before a store is read that may be large
	}
	if err := hooks.Validate(d.opts.Hooks); err != nil {
		return err
	}
	d.registry = telemetry.NewRegistry(d.opts.Version)
	// The store comes before the listener: it may take long to open, and a
	// connection that is refused tells more than one that waits.
	keeper, err := d.openStore(ctx)
	if err != nil {
		return err
	}
	if err := d.listen(ctx); err != nil {
		return err
	}
	d.service = leaderboard.NewService(d.store, leaderboard.ServiceOptions{NoAutoCreate: d.opts.NoAutoCreate})
	d.timekeeper = timekeeper.New(d.service, d.log.With("part", "timekeeper"))
	d.timekeeper.CatchUp(ctx) // seasons that ended while nobody was running, before anybody reads
	// A key is made when all that is likely to fail has not: nobody would see it.
	keys, made, err := auth.Ensure(ctx, keeper, d.opts.APIKey)
	if err != nil {
		return err
	}
	d.newKey = made
	return d.build(keys)
}

// openStore opens the store, and returns what keeps the API keys beside it.
func (d *Daemon) openStore(ctx context.Context) (auth.Keeper, error) {
	log := d.log.With("part", "store")
	if d.opts.Redis.IsZero() {
		local, err := localstore.Open(ctx, d.opts.Data, localstore.Options{Logger: log, Registerer: d.registry})
		if err != nil {
			return nil, err // and no store, rather than one that is nil
		}
		d.store = local
		return auth.InDir(d.opts.Data), nil
	}
	shared, err := redisstore.Open(ctx, redisstore.Options{
		Redis:      d.opts.Redis,
		Prefix:     d.opts.Prefix,
		Partitions: d.opts.Partitions,
		Logger:     log,
		Registerer: d.registry,
		Lease:      lease,
	})
	if err != nil {
		return nil, err
	}
	d.store = shared
	return shared.Keeper(), nil
}

func (d *Daemon) listen(ctx context.Context) (err error) {
	var config net.ListenConfig
	d.listener = d.opts.Listener
	if d.listener == nil {
		if d.listener, err = config.Listen(ctx, "tcp", cmp.Or(d.opts.Listen, DefaultListen)); err != nil {
			return err
		}
	}
	if d.opts.DebugListen != "" {
		if d.debugOn, err = config.Listen(ctx, "tcp", d.opts.DebugListen); err != nil {
			return err
		}
	}
	return nil
}

// Addr returns the address that the daemon listens on.
func (d *Daemon) Addr() net.Addr { return d.listener.Addr() }

// DebugAddr returns the address that profiles are at, or nil.
func (d *Daemon) DebugAddr() net.Addr {
	if d.debugOn == nil {
		return nil
	}
	return d.debugOn.Addr()
}

// NewKey returns the API key if one was made by Open, or "". It is kept nowhere
// else, so whoever starts the daemon should show it.
func (d *Daemon) NewKey() string { return d.newKey }

// Service returns the door to the store, for what runs in the same process.
func (d *Daemon) Service() *leaderboard.Service { return d.service }

// Run serves until the context ends, which is not an error, or until one of the
// parts fails. Then it stops everything and closes the daemon.
func (d *Daemon) Run(ctx context.Context) error {
	failed, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	live, stopLive := context.WithCancel(failed)
	defer stopLive()
	feeding, stopFeed := context.WithCancel(failed)
	defer stopFeed()
	consuming, stopConsumer := context.WithCancel(failed)
	defer stopConsumer()
	d.server.RegisterOnShutdown(stopLive) // when no more connections are accepted, or viewers would come back here

	var connections, feeds, consumers sync.WaitGroup
	part := func(wg *sync.WaitGroup, name string, run func() error) {
		wg.Go(func() {
			if err := run(); err != nil {
				fail(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	part(&connections, "realtime", func() error { return d.realtime.Run(live) })
	part(&connections, "listener", func() error { return serve(d.server, d.listener) })
	if d.debug != nil {
		part(&connections, "debug listener", func() error { return serve(d.debug, d.debugOn) })
	}
	part(&feeds, "feed", func() error { return d.feed.Run(feeding) })
	feeds.Go(func() { d.timekeeper.Run(feeding) })
	part(&feeds, "expiry", func() error { return expire(feeding, d.store, d.log.With("part", "expiry")) })
	if d.publisher != nil {
		feeds.Go(func() { d.publisher.Run(feeding, d.store) })
	}
	if d.hooks != nil {
		feeds.Go(func() { d.hooks.Run(feeding) })
	}
	if d.consumer != nil {
		consumers.Go(func() { d.consumer.Run(consuming) }) // what it publishes waits until realtime runs
	}
	d.log.Info("serving", "address", d.Addr().String(), "version", d.opts.Version)

	select {
	case <-ctx.Done():
		d.log.Info("stopping", "reason", context.Cause(ctx).Error())
	case <-failed.Done():
		d.log.Error("stopping", "reason", context.Cause(failed).Error())
	}
	start := time.Now()
	d.stopping.Store(true)
	if d.opts.DrainDelay > 0 && failed.Err() == nil {
		delay := time.NewTimer(d.opts.DrainDelay)
		select {
		case <-delay.C:
		case <-failed.Done():
			delay.Stop()
		}
	}
	stopConsumer()
	consumers.Wait()
	d.finishRequests()
	stopLive()
	connections.Wait()
	stopFeed()
	feeds.Wait()
	err := errors.Join(context.Cause(failed), d.Close())
	d.log.Info("stopped", "took", time.Since(start))
	return err
}

// serve accepts connections until the server is shut down.
func serve(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// finishRequests stops accepting connections and waits for the requests under
// way, but not longer than the timeout.
func (d *Daemon) finishRequests() {
	ctx, cancel := context.WithTimeout(context.Background(), d.opts.ShutdownTimeout)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		d.log.Warn("requests cut off", "error", err.Error())
		_ = d.server.Close() // closes connections; there is nothing else to do about them
	}
	if d.debug != nil {
		_ = d.debug.Close() // a profile that takes a minute is not waited for
	}
}

// Close closes what Open opened. Run does it too.
func (d *Daemon) Close() error {
	var errs []error
	for _, l := range []net.Listener{d.listener, d.debugOn} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if d.publisher != nil {
		d.publisher.Close()
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	return errors.Join(errs...)
}

// ready is a check of /readyz.
func (d *Daemon) ready(context.Context) error {
	if d.stopping.Load() {
		return leaderboard.Errorf(leaderboard.CodeShuttingDown, "the server is stopping")
	}
	return nil
}

// build makes the parts that stand on the store.
func (d *Daemon) build(keys *auth.Keys) error {
	shared := !d.opts.Redis.IsZero()
	checks := []api.Check{{Name: "running", Check: d.ready}}
	if shared {
		checks = append(checks, api.Check{Name: "realtime", Check: func(context.Context) error { return d.realtime.Ready() }})
	}
	service := api.New(d.service, keys, api.Options{
		BodyTimeout: d.opts.BodyTimeout,
		Origins:     d.opts.Origins,
		Checks:      checks,
		Metrics:     telemetry.MetricsHandler(d.registry),
		Version:     d.opts.Version,
		Log:         d.log.With("part", "api"),
		Registerer:  d.registry,
	})
	var err error
	d.realtime, err = realtime.New(d.store, realtime.Options{
		RPC:          service.RPC,
		Redis:        d.opts.Redis,
		Prefix:       d.opts.Prefix,
		Channels:     channelOptions(d.opts.Streams),
		PollRanks:    shared,
		Origins:      d.opts.Origins,
		RankInterval: d.opts.RankInterval,
		BodyTimeout:  d.opts.BodyTimeout,
		Log:          d.log.With("part", "realtime"),
		Metrics:      d.registry,
	})
	if err != nil {
		return fmt.Errorf("realtime: %w", err)
	}
	options := feed.Options{
		Observer: d.realtime,
		Log:      d.log.With("part", "feed"),
		Metrics:  d.registry,
	}
	if shared {
		options.Trust = trust
	}
	if err := d.openHooks(&options); err != nil {
		return err
	}
	publisher, err := d.newPublisher()
	if err != nil {
		return err
	}
	d.feed = feed.New(d.store, publisher, options)
	if d.opts.Streams != nil && len(d.opts.Streams.Consumers) > 0 {
		d.consumer = d.newConsumer(d.opts.Streams.Consumers)
	}
	page, err := newPage(web.Files(), service.Refuse)
	if err != nil {
		return err
	}
	d.server = d.newServer(bounded(service.Handler(d.streams(page))))
	d.server.RegisterOnShutdown(service.StopImports)
	if d.debugOn != nil {
		d.debug = d.newServer(telemetry.DebugHandler(d.registry))
	}
	return nil
}

func (d *Daemon) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(d.log.With("part", "http").Handler(), slog.LevelWarn),
	}
}

// bounded gives an answer a time in which it must be taken.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Every writer of net/http's server has deadlines.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		h.ServeHTTP(w, r)
	})
}

// streams serves the paths of live connections, which may take as long as they
// like to take what they are sent, and leaves the others to rest, which takes no
// bodies.
func (d *Daemon) streams(rest http.Handler) http.Handler {
	live := http.NewServeMux()
	d.realtime.Register(live)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := live.Handler(r)
		// Every writer of net/http's server has deadlines.
		control := http.NewResponseController(w)
		if pattern == "" {
			if r.ContentLength != 0 {
				// The page reads no body, but net/http waits for it before it answers.
				_ = control.SetReadDeadline(time.Now().Add(d.opts.BodyTimeout))
			}
			rest.ServeHTTP(w, r)
			return
		}
		_ = control.SetWriteDeadline(time.Time{})
		h.ServeHTTP(w, r)
	})
}
