package centrifugo

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"laurel/internal/redisconn"
)

//go:embed lua/leave.lua
var leaveLua string

var leaveScript = rueidis.NewLuaScript(leaveLua)

// Handlers carry out what commands ask for. Both are called by many workers at
// once. An error with a code of the rules (see [leaderboard.CodeOf]) sets the
// entry aside; after any other the same is asked for again until it succeeds.
type Handlers struct {
	// Publish sends data to the viewers of one channel, unless a version as new
	// has been sent before.
	Publish func(ctx context.Context, p Publication) error

	// Submit applies the submissions of a payload, all or none. What was applied
	// under a name is not applied under it again.
	Submit func(ctx context.Context, name string, payload []byte) error
}

// ConsumerOptions are the settings of a [Consumer] beside what its
// configuration says. The zero value works.
type ConsumerOptions struct {
	Node            string        // what it is called in its groups, alone; "" is a name by chance
	ShutdownTimeout time.Duration // for what is in hand when it is stopped; 0 is 10 s
	Log             *slog.Logger
	Metrics         prometheus.Registerer // nil: metrics are not shown
}

const (
	// readWait is how long Redis keeps us when a stream has nothing new. We are
	// not interrupted, because what it gives us at that moment would be lost
	// until somebody claims it; so it is also how long stopping may have to wait.
	readWait = 500 * time.Millisecond

	claimPause = 5 * time.Second // between two looks for entries that others have left, at most
	groupPause = time.Minute     // between two looks at who is in the group

	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second

	deadSuffix   = ".dead"
	deadMaxLen   = 1000
	deadMaxValue = 64 << 10 // bytes of a value that are kept

	sourceSuffix = ".source"
)

// Consumer carries out the commands that it reads from streams. Its Run must be
// called, once.
type Consumer struct {
	configs  []ConsumerConfig
	handlers Handlers
	node     string
	grace    time.Duration
	quiet    time.Duration // how long another consumer must not have been seen to be taken for gone, at least
	log      *slog.Logger
	dead     limiter // of lines about entries that were set aside
	trouble  limiter // of lines about what is tried again
	metrics  *consumerMetrics
}

// NewConsumer returns a consumer for each of configs. It does not need Redis.
func NewConsumer(configs []ConsumerConfig, handlers Handlers, opts ConsumerOptions) *Consumer {
	c := &Consumer{
		configs:  configs,
		handlers: handlers,
		node:     opts.Node,
		grace:    opts.ShutdownTimeout,
		quiet:    groupPause,
		log:      opts.Log,
		metrics:  newConsumerMetrics(opts.Metrics),
	}
	if c.node == "" {
		c.node = fmt.Sprintf("laurel-%016x", rand.Uint64())
	}
	if c.grace == 0 {
		c.grace = 10 * time.Second
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	for _, config := range configs {
		for _, key := range config.RedisStream.Streams {
			c.metrics.reading.WithLabelValues(config.Name, key).Set(0)
		}
	}
	return c
}

// Run consumes until ctx is done. Then it finishes what is in hand, leaves its
// groups, and returns. Redis may come and go meanwhile.
func (c *Consumer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range c.configs {
		wg.Go(func() { c.consume(ctx, &c.configs[i]) })
	}
}

func (c *Consumer) consume(ctx context.Context, config *ConsumerConfig) {
	client := c.connect(ctx, config)
	if client == nil {
		return
	}
	defer client.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, key := range config.RedisStream.Streams {
		s := &stream{
			Consumer: c,
			config:   config,
			settings: &config.RedisStream,
			key:      key,
			client:   client,
			log:      c.log.With("consumer", config.Name, "stream", key),
			free:     make(chan struct{}, config.RedisStream.NumWorkers),
			hand:     map[string]time.Time{},
		}
		wg.Go(func() { s.run(ctx) })
	}
}

// connect returns a client, or nil if ctx is done before Redis can be reached.
func (c *Consumer) connect(ctx context.Context, config *ConsumerConfig) rueidis.Client {
	r := &config.RedisStream
	options := clientOptions(r.Redis, r.ConnectTimeout, r.IOTimeout)
	options.ClientName = cmp.Or(r.ClientName, options.ClientName)
	options.AlwaysRESP2 = r.ForceRESP2
	for attempt := 0; ; attempt++ {
		client, err := rueidis.NewClient(options)
		if err == nil {
			if attempt > 0 {
				c.log.Info("reached Redis", "consumer", config.Name)
			}
			return client
		}
		if attempt == 0 {
			c.log.Error("cannot reach Redis, trying again", "consumer", config.Name, "redis", r.Redis.String(), "err", err)
		}
		if !pause(ctx, backoff(attempt)) {
			return nil
		}
	}
}

// stream is one stream of one consumer.
type stream struct {
	*Consumer
	config   *ConsumerConfig
	settings *RedisStreamConfig
	key      string
	client   rueidis.Client
	log      *slog.Logger

	free    chan struct{} // has an element for each worker that is not working
	workers sync.WaitGroup

	mu     sync.Mutex
	hand   map[string]time.Time // guarded by mu: entries that workers have, and since when
	source string               // guarded by mu: see name; "" if it is not known
}

type entry = rueidis.XRangeSlice

// run consumes the stream until ctx is done.
func (s *stream) run(ctx context.Context) {
	for range s.settings.NumWorkers {
		s.free <- struct{}{}
	}
	// What is in hand when ctx ends has a while to be finished.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.grace, cut) })()

	beating, still := context.WithCancel(work)
	var beat sync.WaitGroup
	beat.Go(func() { s.stayAlive(beating) })

	s.read(ctx, work)
	s.workers.Wait()
	still()
	beat.Wait()
	s.leave(work)
}

// read takes entries as long as there is a worker for them.
func (s *stream) read(ctx, work context.Context) {
	failures := 0
	made := false // the group, as far as we know
	reading := s.metrics.reading.WithLabelValues(s.config.Name, s.key)
	defer reading.Set(0)
	var claimed, looked time.Time
	for {
		free := s.takeFree(ctx)
		if free == 0 {
			return
		}
		var entries []entry
		var err error
		switch {
		case !made:
			if err = s.makeGroup(work); err == nil {
				made = true
			}
		case s.settings.VisibilityTimeout > 0 && time.Since(claimed) > min(claimPause, s.settings.VisibilityTimeout/3):
			s.putFree(free)
			if err = s.claim(ctx, work); err == nil {
				claimed = time.Now()
			}
			free = 0
		case time.Since(looked) > min(groupPause, max(s.quiet, readWait)):
			looked = time.Now()
			err = s.lookAtGroup(work)
		default:
			entries, err = s.next(work, free)
		}
		for _, e := range entries {
			s.start(ctx, work, e)
		}
		s.putFree(free - len(entries))

		reply, fromRedis := rueidis.IsRedisErr(err)
		switch {
		case err == nil:
			if failures > 0 {
				s.log.Info("reading again", "failures", failures)
			}
			failures = 0
			reading.Set(1)
			continue
		case ctx.Err() != nil:
			return
		case fromRedis && (strings.HasPrefix(reply.Error(), "NOGROUP") || strings.HasPrefix(reply.Error(), "UNBLOCKED")):
			s.log.Warn("the stream or its group is gone, making it again")
			made = false
			s.forgetSource()
		default:
			if failures == 0 {
				s.log.Error("cannot read, trying again", "err", err)
			}
		}
		reading.Set(0)
		if !pause(ctx, backoff(failures)) {
			return
		}
		failures++
	}
}

// takeFree takes all workers that are free, and waits for one if there is none.
// It returns 0 if ctx is done.
func (s *stream) takeFree(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	default:
	}
	select {
	case <-s.free:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case <-s.free:
		default:
			return n
		}
	}
}

func (s *stream) putFree(n int) {
	for range n {
		s.free <- struct{}{}
	}
}

// makeGroup makes the group at the beginning of the stream, and the stream: what
// was written before anybody came to read is meant for us too.
func (s *stream) makeGroup(ctx context.Context) error {
	b := s.client.B()
	err := s.do(ctx, b.XgroupCreate().Key(s.key).Group(s.settings.ConsumerGroup).Id("0").Mkstream().Build()).Error()
	if reply, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(reply.Error(), "BUSYGROUP") {
		return nil
	}
	return err
}

// next waits a while for new entries, at most n.
func (s *stream) next(ctx context.Context, n int) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readWait+s.settings.IOTimeout)
	defer cancel()
	read, err := s.client.Do(ctx, s.client.B().Xreadgroup().Group(s.settings.ConsumerGroup, s.node).
		Count(int64(n)).Block(readWait.Milliseconds()).Streams().Key(s.key).Id(">").Build()).AsXReadSlices()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return read[s.key], err
}

// claim takes over what its workers have left unfinished for too long, and
// starts on it.
func (s *stream) claim(ctx, work context.Context) error {
	for from := "0-0"; ; {
		free := s.takeFree(ctx)
		if free == 0 {
			return ctx.Err()
		}
		reply, err := s.do(work, s.client.B().Xautoclaim().Key(s.key).Group(s.settings.ConsumerGroup).Consumer(s.node).
			MinIdleTime(strconv.FormatInt(s.settings.VisibilityTimeout.Milliseconds(), 10)).Start(from).Count(int64(free)).Build()).ToArray()
		var entries []entry
		if err == nil {
			from, entries, err = s.claimed(reply)
		}
		for _, e := range entries {
			s.start(ctx, work, e)
		}
		s.putFree(free - len(entries))
		if err != nil || from == "0-0" {
			return err
		}
	}
}

// claimed reads the answer to a claim: where to go on, what is ours now, and
// what is in the stream no more.
func (s *stream) claimed(reply []rueidis.RedisMessage) (next string, entries []entry, err error) {
	if len(reply) < 2 {
		return "", nil, fmt.Errorf("XAUTOCLAIM answered %d values", len(reply))
	}
	if next, err = reply[0].ToString(); err != nil {
		return "", nil, err
	}
	messages, err := reply[1].ToArray()
	if err != nil {
		return "", nil, err
	}
	for _, message := range messages {
		if message.IsNil() { // as Redis below 7 tells of what is in the stream no more
			s.lost(1)
			continue
		}
		e, err := message.AsXRangeSlice()
		if err != nil {
			return "", nil, err
		}
		if !s.has(e.ID) {
			entries = append(entries, e)
		}
	}
	if len(reply) > 2 {
		gone, err := reply[2].ToArray()
		if err != nil {
			return "", nil, err
		}
		s.lost(len(gone))
	}
	s.metrics.claimed.WithLabelValues(s.config.Name).Add(float64(len(entries)))
	return next, entries, nil
}

// lost counts entries that were cut off from the stream before anybody had
// finished them.
func (s *stream) lost(n int) {
	if n == 0 {
		return
	}
	s.metrics.lost.WithLabelValues(s.config.Name).Add(float64(n))
	if dropped, ok := s.trouble.allow("lost"); ok {
		s.log.Error("entries were trimmed from the stream before they were carried out", "entries", n, "lines_dropped", dropped)
	}
}

// start gives an entry to a worker that was taken for it.
func (s *stream) start(ctx, work context.Context, e entry) {
	s.mu.Lock()
	s.hand[e.ID] = time.Now()
	s.mu.Unlock()
	s.workers.Go(func() {
		s.handle(ctx, work, e)
		s.mu.Lock()
		delete(s.hand, e.ID)
		s.mu.Unlock()
		s.putFree(1)
	})
}

func (s *stream) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.hand[id]
	return ok
}

// handle carries out what an entry asks for, or sets it aside, and says so to
// the group. If it can do neither before it is stopped, it leaves the entry to
// others.
func (s *stream) handle(ctx, work context.Context, e entry) {
	command, err := s.settings.decode(e.FieldValues)
	if err == nil {
		err = s.persist(ctx, work, e.ID, func() error { return s.carryOut(work, e.ID, &command) })
	}
	if bad, ok := errors.AsType[*poison](err); ok {
		err = s.persist(ctx, work, e.ID, func() error { return s.setAside(work, e, bad) })
	} else if err == nil {
		s.metrics.processed.WithLabelValues(s.config.Name, string(command.method)).Inc()
	}
	if err == nil {
		err = s.persist(ctx, work, e.ID, func() error {
			return s.do(work, s.client.B().Xack().Key(s.key).Group(s.settings.ConsumerGroup).Id(e.ID).Build()).Error()
		})
	}
	if err != nil {
		s.giveBack(work, e.ID)
	}
}

// persist tries something until it succeeds, or is of no use, or ctx is done.
func (s *stream) persist(ctx, work context.Context, id string, try func() error) error {
	for attempt := 0; ; attempt++ {
		err := try()
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*poison](err); ok || work.Err() != nil {
			return err
		}
		s.metrics.retries.WithLabelValues(s.config.Name).Inc()
		if dropped, ok := s.trouble.allow("retry"); ok {
			s.log.Warn("cannot carry out an entry, trying again", "id", id, "attempt", attempt+1, "err", err, "lines_dropped", dropped)
		}
		if !pause(ctx, backoff(attempt)) {
			return err
		}
	}
}

// carryOut does what a command asks for. What it has done of it, it does not do
// again when it is called again.
func (s *stream) carryOut(ctx context.Context, id string, c *command) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			// It would be thrown on every node that is given the entry.
			s.log.Error("panic", "id", id, "panic", fmt.Sprint(thrown), "stack", string(debug.Stack()))
			err = &poison{kindPanic, fmt.Errorf("panic: %v", thrown)}
		}
	}()
	if c.method == submit {
		name, err := s.name(ctx, id)
		if err != nil {
			return err
		}
		return judge(s.handlers.Submit(ctx, name, c.payload))
	}
	for len(c.publications) > 0 {
		p := c.publications[0]
		err := judge(s.handlers.Publish(ctx, p))
		if bad, ok := errors.AsType[*poison](err); ok {
			c.refused = append(c.refused, fmt.Errorf("channel %q: %w", clip(p.Channel), bad.err))
		} else if err != nil {
			return err
		}
		c.publications = c.publications[1:]
	}
	if len(c.refused) > 0 {
		return &poison{kindRefused, errors.Join(c.refused...)}
	}
	return nil
}

// name returns the name under which an entry is applied, whoever reads it and in
// whichever group. An id is unique only in its stream, and a stream's key only in
// its Redis; so beside the stream lies a random name of it, for as long as it has
// its data.
func (s *stream) name(ctx context.Context, id string) (string, error) {
	s.mu.Lock()
	source := s.source
	s.mu.Unlock()
	if source == "" {
		key := s.key + sourceSuffix
		fresh := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
		err := s.do(ctx, s.client.B().Set().Key(key).Value(fresh).Nx().Build()).Error()
		if err != nil && !rueidis.IsRedisNil(err) {
			return "", fmt.Errorf("name the stream: %w", err)
		}
		if source, err = s.do(ctx, s.client.B().Get().Key(key).Build()).ToString(); err != nil {
			return "", fmt.Errorf("name the stream: %w", err)
		}
		s.mu.Lock()
		s.source = source
		s.mu.Unlock()
	}
	return "stream:" + source + ":" + id, nil
}

func (s *stream) forgetSource() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.source = ""
}

// setAside keeps an entry that nothing can be done with, with the reason, where
// somebody may look at it.
func (s *stream) setAside(ctx context.Context, e entry, bad *poison) error {
	set := s.client.B().Xadd().Key(s.key + deadSuffix).Maxlen().Almost().Threshold(strconv.Itoa(deadMaxLen)).Id("*").FieldValue()
	clipped := ""
	for _, field := range e.FieldValues {
		name, value := field.Field, field.Value
		if len(value) > deadMaxValue {
			clipped = strconv.Itoa(len(value))
			value = value[:deadMaxValue]
		}
		set = set.FieldValue(name, value)
	}
	set = set.FieldValue("dead-id", e.ID).FieldValue("dead-group", s.settings.ConsumerGroup).
		FieldValue("dead-kind", string(bad.kind)).FieldValue("dead-reason", bad.Error())
	if clipped != "" {
		set = set.FieldValue("dead-clipped-from", clipped)
	}
	err := s.do(ctx, set.Build()).Error()
	reply, fromRedis := rueidis.IsRedisErr(err)
	kept := err == nil
	switch {
	case kept:
	case fromRedis && (strings.HasPrefix(reply.Error(), "WRONGTYPE") || strings.HasPrefix(reply.Error(), "NOPERM")):
		// Nothing that comes later would be carried out if we insisted.
	default:
		return fmt.Errorf("set it aside: %w", err)
	}
	s.metrics.dead.WithLabelValues(s.config.Name, string(bad.kind)).Inc()
	if dropped, ok := s.dead.allow(string(bad.kind)); ok {
		attrs := []any{"id", e.ID, "kind", string(bad.kind), "reason", clip(bad.Error()), "kept_in", s.key + deadSuffix, "lines_dropped", dropped}
		if kept {
			s.log.Warn("an entry was set aside", attrs...)
		} else {
			s.log.Error("an entry was left out, and cannot be set aside", append(attrs, "err", err)...)
		}
	}
	return nil
}

// stayAlive tells the group about entries that take long, lest others claim them.
func (s *stream) stayAlive(ctx context.Context) {
	every := s.settings.VisibilityTimeout / 3
	if every == 0 {
		return
	}
	for pause(ctx, every) {
		var ids []string
		s.mu.Lock()
		for id, since := range s.hand {
			if time.Since(since) > every {
				ids = append(ids, id)
			}
		}
		s.mu.Unlock()
		if len(ids) > 0 {
			// If that fails, others may work on them too; that does no harm.
			_ = s.do(ctx, s.client.B().Xclaim().Key(s.key).Group(s.settings.ConsumerGroup).Consumer(s.node).
				MinIdleTime("0").Id(ids...).Justid().Build()).Error()
		}
	}
}

// giveBack lets others claim an entry at once.
func (s *stream) giveBack(ctx context.Context, id string) {
	if s.settings.VisibilityTimeout == 0 {
		return
	}
	// If that fails, they can when its time is over.
	_ = s.do(ctx, s.client.B().Xclaim().Key(s.key).Group(s.settings.ConsumerGroup).Consumer(s.node).
		MinIdleTime("0").Id(id).Idle(s.settings.VisibilityTimeout.Milliseconds()).Justid().Build()).Error()
}

// leave takes us out of the group, unless we leave something there.
func (s *stream) leave(ctx context.Context) {
	if err := s.remove(ctx, s.node, 0); err != nil {
		s.log.Debug("cannot leave the group", "err", err)
	}
}

func (s *stream) remove(ctx context.Context, consumer string, idle time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.IOTimeout)
	defer cancel()
	return leaveScript.Exec(ctx, s.client, []string{s.key}, []string{
		s.settings.ConsumerGroup, consumer, strconv.FormatInt(idle.Milliseconds(), 10),
	}).Error()
}

// lookAtGroup removes consumers that have not been seen for long and have
// nothing in hand: a node that was killed leaves its name behind. And it takes
// note of how far the group is behind.
func (s *stream) lookAtGroup(ctx context.Context) error {
	consumers, err := s.do(ctx, s.client.B().XinfoConsumers().Key(s.key).Group(s.settings.ConsumerGroup).Build()).ToArray()
	if err != nil {
		return err
	}
	limit := s.quiet
	if limit > 0 {
		limit = max(limit, 2*s.settings.VisibilityTimeout)
	}
	for _, message := range consumers {
		consumer, err := message.AsMap()
		if err != nil {
			return err
		}
		name, idle, pending := consumer["name"], consumer["idle"], consumer["pending"]
		id, _ := name.ToString()
		ms, _ := idle.AsInt64()
		left, _ := pending.AsInt64()
		if id == s.node || left > 0 || ms < limit.Milliseconds() {
			continue
		}
		if err := s.remove(ctx, id, limit); err != nil {
			return err
		}
		s.log.Info("took a consumer out of the group that was not seen any more", "gone", id)
	}
	groups, err := s.do(ctx, s.client.B().XinfoGroups().Key(s.key).Build()).ToArray()
	if err != nil {
		return err
	}
	for _, message := range groups {
		group, err := message.AsMap()
		if err != nil {
			return err
		}
		name, lag := group["name"], group["lag"]
		if name, _ := name.ToString(); name != s.settings.ConsumerGroup {
			continue
		}
		if behind, err := lag.AsInt64(); err == nil { // Redis below 7 does not tell
			s.metrics.behind.WithLabelValues(s.config.Name, s.key).Set(float64(behind))
		}
	}
	return nil
}

// do sends a command that does not wait.
func (s *stream) do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, s.settings.IOTimeout)
	defer cancel()
	return s.client.Do(ctx, cmd)
}

// clientOptions returns how to reach Redis and how long to wait for it.
func clientOptions(redis redisconn.Config, connect, io time.Duration) rueidis.ClientOption {
	o := redis.Options()
	o.Dialer.Timeout = connect
	o.ConnWriteTimeout = io
	return o
}

// backoff returns how long to wait after so many attempts.
func backoff(attempt int) time.Duration {
	wait := maxRetry
	if attempt < 10 {
		wait = min(maxRetry, minRetry<<attempt)
	}
	return wait/2 + rand.N(wait/2)
}

// pause reports whether d has passed before ctx was done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
