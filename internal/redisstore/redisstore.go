// Package redisstore is the store on Redis, for any number of nodes.
//
// Boards are spread over partitions by a fixed hash of their ids. All keys of a
// partition share a hash tag, so that whatever is done to its boards is one call
// of a script on one server: it decides, keeps the order, numbers the change,
// appends it to the partition's log and answers with ranks, or it does nothing.
// A node gathers what arrives while its calls are under way into the next one.
//
// A call that was not answered is made again, with the same number, and
// carried out once. When Redis stays away, writes are refused with
// [leaderboard.ErrStorageUnavailable], and what was given up is not carried out
// later, as calls name the time until when they may be. Of one that was sent,
// however, and whose answer was lost with Redis, nobody can say whether it was
// carried out.
//
// A batch whose boards are in several partitions is written down as an intent in
// each, which locks its boards; it is decided in one of them, and then carried out
// in all. Whoever meets a lock asks what was decided, decides against a batch
// that has taken too long, and carries out what is left to do: nobody sees half of
// a batch, whenever the node that began it dies. Only data that Redis itself loses can
// be a part of one: of partitions on different servers, or which did not save
// the same.
//
// Each partition's changes are told by one node at a time, which has a lease. Up
// to where they are acknowledged is kept by Redis, so that another node goes on
// from there.
//
// Each partition has an epoch. A new one begins when its data may have been lost:
// when it is not there, or when another server process has it than before, as
// after a restart or a failover. The scripts name the process that they are for,
// so no answer of another one is ever taken for one of the same epoch.
package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redisconn"
)

// Options are the settings of a [Store].
type Options struct {
	// Redis is where the boards are.
	Redis redisconn.Config

	// Prefix begins the name of every key; "" is "laurel". Stores with different
	// prefixes know nothing of each other.
	Prefix string

	// Partitions is how many there are, at most 1024. It is fixed when a store is
	// opened for the first time; 0 is what is stored, or 16 then. More of them
	// spread the boards more evenly over the servers of a cluster and over the
	// nodes that publish; a batch over several of them takes longer.
	Partitions int

	// Node names the node in logs and in Redis; "" is a random name.
	Node string

	// Logger gets what happens to the store and to Redis; nil is none.
	Logger *slog.Logger

	// Registerer gets the store's metrics; nil is none.
	Registerer prometheus.Registerer

	// Timeout is how long Redis may take to answer until it counts as away; 0 is 5 s.
	Timeout time.Duration

	// Lease is how long a node that has gone without a word keeps the partitions whose
	// changes it tells; 0 is 2 s.
	Lease time.Duration

	// LogCap is about how many changes of a partition are kept until they are
	// acknowledged; 0 is 65,536. When there are more, all boards of the partition
	// are told instead.
	LogCap int

	// Poll is how often a ZSET that a board shows is looked at although Redis
	// notifies of its changes; 0 is 5 s. Where Redis does not, it is every second, or
	// more often if Poll is less.
	Poll time.Duration
}

const (
	defaultPrefix     = "laurel"
	defaultPartitions = 16
	maxPartitions     = 1024
)

func (o Options) withDefaults() Options {
	o.Prefix = cmp.Or(o.Prefix, defaultPrefix)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Lease = cmp.Or(o.Lease, 2*time.Second)
	o.LogCap = cmp.Or(o.LogCap, 1<<16)
	o.Poll = cmp.Or(o.Poll, 5*time.Second)
	return o
}

func (o Options) validate() error {
	switch {
	case o.Redis.IsZero():
		return errors.New("no Redis is given")
	case strings.ContainsAny(o.Prefix, "{}"):
		return fmt.Errorf("prefix %q must not have braces", o.Prefix)
	case o.Partitions < 0 || o.Partitions > maxPartitions:
		return fmt.Errorf("%d partitions, at most %d are possible", o.Partitions, maxPartitions)
	}
	return nil
}

// Store is a [leaderboard.Store] on Redis.
type Store struct {
	opts       Options
	log        *slog.Logger
	client     rueidis.Client
	metrics    *metrics
	partitions int
	parts      []*partition
	tails      []*tail
	session    string // names this opening among all nodes
	logCap     string
	started    time.Time

	settings settingsCache
	news     broadcast // changes may be told that could not before

	mu         sync.Mutex
	scriptSets map[string]*scriptSet // guarded by mu; by the run id of their server
	ending     bool                  // guarded by mu; nothing new is begun

	nodes  int           // of the tender: how many there are
	before int           // of the tender: how many of them stand before this one
	wake   chan struct{} // of the tender: holds one, as one is enough to look

	closed  atomic.Bool
	stop    sync.Once
	closing error // of Close
	end     context.CancelFunc
	adopter *adopter
	turns   turns // of batches over several partitions
	lanes   sync.WaitGroup
	others  sync.WaitGroup // the tender and the tails
	batches sync.WaitGroup // those over several partitions that are under way
}

var _ leaderboard.Store = (*Store)(nil)

var errClosed = &leaderboard.Error{Code: leaderboard.CodeShuttingDown, Message: "the store is closed"}

// Open opens the store that is in Redis, or a new one if there is none. It
// returns an error that names both numbers if the boards are spread over another
// number of partitions.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		opts:    opts,
		log:     opts.Logger,
		session: strings.TrimPrefix(opts.Node+"."+randomID(), "."),
		logCap:  strconv.Itoa(opts.LogCap),
		started: time.Now(),
		nodes:   1,
		wake:    make(chan struct{}, 1),
	}
	s.turns.init()
	s.adopter = newAdopter(s)
	s.metrics = newMetrics(s)
	client, err := connect(opts.Redis)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.client = client
	if err := s.open(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("open store in %s: %w", opts.Redis, err)
	}
	return s, nil
}

// connect makes a client that suits the store.
func connect(config redisconn.Config) (rueidis.Client, error) {
	o := config.Options()
	o.PipelineMultiplex = 0 // one connection for each server carries all calls; more would only be more to read
	o.ReadBufferEachConn, o.WriteBufferEachConn = 64<<10, 64<<10
	client, err := rueidis.NewClient(o)
	if err != nil {
		return nil, fmt.Errorf("connect to Redis at %s: %w", config, err)
	}
	return client, nil
}

func (s *Store) open(ctx context.Context) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	if err := s.find(ctx); err != nil {
		return err
	}
	if err := s.metrics.register(s.opts.Registerer); err != nil {
		return err
	}
	for _, p := range s.parts {
		for i := range lanes {
			s.lanes.Go(newLane(p, laneName(i)).run)
		}
	}
	s.makeTails()
	for _, t := range s.tails {
		s.others.Go(t.run)
	}
	s.look(ctx)
	s.advise(ctx)
	var run context.Context
	run, s.end = context.WithCancel(context.Background())
	s.others.Go(func() { s.tend(run) })
	s.others.Go(func() { s.adopter.run(run) })
	s.log.Info("store opened", "redis", s.opts.Redis.String(), "prefix", s.opts.Prefix, "partitions", s.partitions,
		"node", s.session, "took", time.Since(start))
	return nil
}

// find looks at every partition, and makes those that are not there.
func (s *Store) find(ctx context.Context) error {
	s.partitions = cmp.Or(s.opts.Partitions, defaultPartitions)
	first := newPartition(s, 0)
	epoch := randomID()
	found, err := first.look(ctx, s.partitions, epoch, true)
	if err != nil {
		return s.fault(ctx, err)
	}
	if s.opts.Partitions == 0 {
		s.partitions = found.partitions
	}
	if found.ready {
		epoch = "" // each gets its own
	} else {
		epoch = found.epoch
	}
	for n := range s.partitions {
		s.parts = append(s.parts, newPartition(s, n))
	}
	err = s.each(func(p *partition) error {
		mine, err := p.look(ctx, s.partitions, cmp.Or(epoch, randomID()), epoch != "")
		if err != nil {
			return err
		}
		if mine.partitions != s.partitions {
			return &mismatchError{s.opts.Redis.String(), s.opts.Prefix, mine.partitions, s.partitions}
		}
		p.adopt(mine)
		return nil
	})
	if err == nil && !found.ready {
		err = s.client.Do(ctx, s.client.B().Hset().Key(s.parts[0].meta).FieldValue().FieldValue("ready", "1").Build()).Error()
	}
	if err != nil {
		if mismatch, ok := errors.AsType[*mismatchError](err); ok {
			return mismatch
		}
		return s.fault(ctx, err)
	}
	return nil
}

// makeTails divides the partitions among tails.
func (s *Store) makeTails() {
	for _, p := range s.parts {
		if len(s.tails) == 0 || s.opts.Redis.IsCluster() {
			s.tails = append(s.tails, &tail{store: s})
		}
		p.tail = s.tails[len(s.tails)-1]
		p.tail.parts = append(p.tail.parts, p)
	}
}

// Close carries out what is waiting, gives the partitions back that this node
// tells the changes of, and closes the store. Whoever comes later gets
// [leaderboard.ErrShuttingDown].
func (s *Store) Close() error {
	s.stop.Do(func() {
		s.mu.Lock()
		s.ending = true
		s.mu.Unlock()
		for _, p := range s.parts {
			p.queue.close()
		}
		s.lanes.Wait()
		s.batches.Wait()
		s.closed.Store(true)
		s.quit()
		ctx, cancel := context.WithTimeout(context.Background(), s.opts.Lease)
		defer cancel()
		// Without an answer, the leases run out.
		_ = s.each(func(p *partition) error {
			_, err := p.askLease(ctx, "drop")
			return err
		})
		_, _ = s.beat(ctx, true)
		s.client.Close()
	})
	return s.closing
}

// quit ends the goroutines that are not for writing.
func (s *Store) quit() {
	s.news.tell()
	s.end()
	for _, t := range s.tails {
		t.stop()
	}
	s.others.Wait()
	s.metrics.unregister(s.opts.Registerer)
}

func (s *Store) isClosed() bool { return s.closed.Load() }

// now is the store's clock, in microseconds, which never goes back.
func (s *Store) now() int64 { return time.Since(s.started).Microseconds() }

func (s *Store) partition(board string) *partition { return s.parts[partitionOf(board, len(s.parts))] }

func (s *Store) scriptsFor(run string) *scriptSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scriptSets == nil {
		s.scriptSets = make(map[string]*scriptSet)
	}
	set := s.scriptSets[run]
	if set == nil {
		set = newScriptSet(run)
		s.scriptSets[run] = set
	}
	return set
}

// each does something to every partition at the same time, and returns one of the errors.
func (s *Store) each(do func(p *partition) error) error {
	if len(s.parts) == 1 {
		return do(s.parts[0])
	}
	errs := make([]error, len(s.parts))
	var wg sync.WaitGroup
	for i, p := range s.parts {
		wg.Go(func() { errs[i] = do(p) })
	}
	wg.Wait()
	return errors.Join(firstOf(errs))
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// fault makes of an error of Redis one that a caller can act on.
func (s *Store) fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case s.isClosed():
		return errClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case leaderboard.CodeOf(err) != "":
		return err
	}
	if kind, refused := classify(err); kind == refusal {
		return refused
	}
	return unavailable(cmp.Or(passingMeaning(err), "Redis does not answer as it should"), err)
}

func ignoreNil(err error) error {
	if rueidis.IsRedisNil(err) {
		return nil
	}
	return err
}

// randomID returns what nobody else will come upon.
func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Writable returns nil if the store takes writes, and else why not.
func (s *Store) Writable() error {
	if s.isClosed() {
		return errClosed
	}
	for _, p := range s.parts {
		if t := p.trouble.Load(); t != nil {
			return t.err
		}
	}
	return nil
}
