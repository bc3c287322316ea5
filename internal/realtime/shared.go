package realtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/redisconn"
)

// shared carries tables to the viewers of every node, and keeps the newest of
// each board for those who come: it is the library's broker on Redis, and around
// it what makes that keep our promises.
//
//   - Redis may lose what is on its way, or what it holds. The library notices at
//     a viewer's turn to be checked, which comes once in a minute or so. Here the
//     position of each channel that somebody views is compared twice a second with
//     what has arrived; if something has not, the viewers are made to subscribe
//     again, by which they have the newest table.
//   - An epoch of the store is one of the channel too: viewers are told that
//     what follows cannot be compared with what was before, and a table of another
//     epoch than the store's, which the library takes for new, does not stay. Each
//     publication carries its epoch in a tag that is taken off before viewers
//     would see it.
//   - A viewer whose subscription fails keeps its connection and tries again.
type shared struct {
	*centrifuge.RedisBroker // set by connect

	config  redisconn.Config
	prefix  string
	node    *centrifuge.Node
	reader  Reader
	publish func(p feed.Publication, kind string) (outdated bool, err error)
	log     *slog.Logger
	metrics *metrics

	shard *centrifuge.RedisShard // set by connect

	mu       sync.Mutex
	channels map[string]*viewed   // guarded by mu
	sentAway map[string]time.Time // guarded by mu: channels whose viewers were made to subscribe again
	readings map[string]*reading  // guarded by mu: what is being read, by channel
	away     error                // guarded by mu: why Redis did not answer the last time, or nil
}

const (
	checkInterval   = 500 * time.Millisecond // between two looks at what has arrived
	lateAfter       = time.Second            // what has not arrived then does not any more
	confirmInterval = 10 * time.Second       // between two looks whether a table is of the store's epoch
	comeBackTime    = time.Minute            // for viewers who were made to subscribe again
	maxChecks       = 16                     // at once: it is the network that takes the time

	probe = "probe" // a channel that does not exist, whose position is asked for
)

// The kinds of tables are parts of the version epoch, and so of a publication's
// tag: one of another kind is taken for new, whatever its rev.
const (
	plain  = ""
	gone   = "/gone"  // of a board that was deleted
	refill = "/again" // put into a cache that has lost the table and not its rev

	tagEpoch = "epoch"
)

// viewed is a channel that this node hears, or is about to. It is guarded by
// shared.mu.
type viewed struct {
	since  time.Time
	heard  bool
	wanted string // the epoch that the board had in the store the last time somebody subscribed; empty: any will do

	// The newest of what has arrived and what was read here. Redis counts the
	// positions.
	known bool
	at    centrifuge.StreamPosition
	epoch string // of the store
	rev   uint64 // the highest of a table in the epoch
	gone  bool

	missing      centrifuge.StreamPosition // what has not arrived yet; the zero value is nothing
	missingSince time.Time
	doubtful     bool // the epoch has changed since it was confirmed
	confirmed    time.Time
}

// errOlder passes when the store, whose data was lost, begins a new epoch.
var errOlder = errors.New("the store has an older table than viewers have seen")

func newShared(config redisconn.Config, prefix string) *shared {
	prefix += ".live"
	// Publications know no databases.
	if db := config.Options().SelectDB; db != 0 {
		prefix += fmt.Sprint(".db", db)
	}
	return &shared{config: config, prefix: prefix, channels: map[string]*viewed{}, sentAway: map[string]time.Time{}, readings: map[string]*reading{}}
}

// connect connects to Redis. After that, close must be called.
func (s *shared) connect() error {
	opts := s.config.Options()
	config := centrifuge.RedisShardConfig{
		DB:             opts.SelectDB,
		User:           opts.Username,
		Password:       opts.Password,
		ClientName:     opts.ClientName,
		TLSConfig:      opts.TLSConfig,
		ConnectTimeout: opts.Dialer.Timeout,
		IOTimeout:      opts.ConnWriteTimeout,
	}
	switch {
	case opts.Sentinel.MasterSet != "":
		config.SentinelAddresses = opts.InitAddress
		config.SentinelMasterName = opts.Sentinel.MasterSet
		config.SentinelUser = opts.Sentinel.Username
		config.SentinelPassword = opts.Sentinel.Password
		config.SentinelClientName = opts.Sentinel.ClientName
		config.SentinelTLSConfig = opts.Sentinel.TLSConfig
	case s.config.IsCluster():
		config.ClusterAddresses = opts.InitAddress
	default:
		config.Address = opts.InitAddress[0]
	}
	var err error
	if s.shard, err = centrifuge.NewRedisShard(s.node, config); err != nil {
		return fmt.Errorf("connect to Redis at %s: %w", s.config, err)
	}
	// Lists in place of streams would forget revs.
	s.RedisBroker, err = centrifuge.NewRedisBroker(s.node, centrifuge.RedisBrokerConfig{
		Prefix: s.prefix,
		Shards: []*centrifuge.RedisShard{s.shard},
	})
	if err != nil {
		s.shard.Close()
		return fmt.Errorf("use Redis at %s: %w", s.config, err)
	}
	return nil
}

func (s *shared) close() {
	_ = s.Close(context.Background()) // it has no error to tell
	s.shard.Close()
}

// Publish implements [centrifuge.Broker].
func (s *shared) Publish(channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.PublishResult, error) {
	opts.Tags = map[string]string{tagEpoch: opts.VersionEpoch}
	return s.RedisBroker.Publish(channel, data, opts)
}

// kindOf returns the kind of a table that is published for the first time.
func kindOf(p feed.Publication) string {
	if p.Gone {
		return gone
	}
	return plain
}

// takeOrigin takes the tag off a publication and returns what it says.
func takeOrigin(p *centrifuge.Publication) (epoch, kind string) {
	tag := p.Tags[tagEpoch]
	p.Tags = nil
	if i := strings.IndexByte(tag, '/'); i >= 0 {
		return tag[:i], tag[i:]
	}
	return tag, plain
}

// position is where viewers are told they are.
func position(at centrifuge.StreamPosition, epoch string) centrifuge.StreamPosition {
	return centrifuge.StreamPosition{Offset: at.Offset, Epoch: at.Epoch + "." + epoch}
}

// controller is how nodes speak to each other.
type controller struct{ *shared }

// RegisterControlEventHandler implements [centrifuge.Controller]. It returns when
// the node hears both the others and publications: the library says hello next,
// and would not hear the answers.
func (c controller) RegisterControlEventHandler(h centrifuge.ControlEventHandler) error {
	if err := c.RedisBroker.RegisterControlEventHandler(h); err != nil {
		return err
	}
	return c.RegisterBrokerEventHandler(arrivals(c))
}

// arrivals is what Redis sends.
type arrivals struct{ *shared }

// HandlePublication implements [centrifuge.BrokerEventHandler]. The library calls
// it in the order of the channel's publications.
func (a arrivals) HandlePublication(channel string, p *centrifuge.Publication, at centrifuge.StreamPosition, delta bool, previous *centrifuge.Publication) error {
	if isOpenChannel(channel) {
		return a.node.HandlePublication(channel, p, at, delta, previous)
	}
	epoch, kind := takeOrigin(p)
	if previous != nil {
		previous.Tags = nil
	}
	epoch, fate := a.arrived(channel, p.Version, at, epoch, kind)
	switch fate {
	case dropped:
		return nil
	case again:
		a.sendAway(channel)
	}
	return a.node.HandlePublication(channel, p, position(at, epoch), delta, previous)
}

// fate is what becomes of a publication that has arrived.
type fate int

const (
	passed  fate = iota // to the viewers
	dropped             // those who are there must not see it, or nobody is there
	again               // the viewers have to subscribe again
)

// HandleJoin implements [centrifuge.BrokerEventHandler].
func (arrivals) HandleJoin(string, *centrifuge.ClientInfo) error { return nil }

// HandleLeave implements [centrifuge.BrokerEventHandler].
func (arrivals) HandleLeave(string, *centrifuge.ClientInfo) error { return nil }

// arrived takes note of a publication and returns the epoch that it belongs to.
func (s *shared) arrived(channel string, rev uint64, at centrifuge.StreamPosition, epoch, kind string) (string, fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.channels[channel]
	if v == nil {
		return "", dropped
	}
	if epoch == "" {
		epoch = v.epoch // it was not known to who has published it
	}
	became := passed
	switch {
	case !v.known:
	case at.Epoch == v.at.Epoch && at.Offset <= v.at.Offset:
		if epoch == v.epoch && rev <= v.rev {
			return epoch, passed // it was read before it arrived
		}
		// Redis has lost publications that had arrived here, and counts again from
		// before: viewers would take it for what they have seen.
		became = again
	case v.back(epoch, kind, rev):
		v.at, v.doubtful = at, true
		s.sentAway[channel] = time.Now() // by the next one, which does not follow the last
		return epoch, dropped
	}
	if v.known && (at.Epoch != v.at.Epoch || v.epoch != "" && epoch != v.epoch) { // by the library
		s.sentAway[channel] = time.Now()
	}
	v.known, v.at = true, at
	v.note(epoch, kind, rev)
	return epoch, became
}

// note takes note of the newest table.
func (v *viewed) note(epoch, kind string, rev uint64) {
	if epoch != v.epoch {
		v.epoch, v.rev, v.doubtful = epoch, 0, true
	}
	v.gone = kind == gone
	if !v.gone { // of a deletion nobody may have known the rev
		v.rev = max(v.rev, rev)
	}
}

// back reports whether viewers who are sent a table would go back. After the
// table of a deleted board that is also who is sent the one of before.
func (v *viewed) back(epoch, kind string, rev uint64) bool {
	return v != nil && v.known && epoch == v.epoch && (rev < v.rev || v.gone && kind != gone && rev == v.rev)
}

// sendAway makes the viewers of a channel subscribe again.
func (s *shared) sendAway(channel string) {
	s.mu.Lock()
	s.sentAway[channel] = time.Now()
	s.mu.Unlock()
	s.metrics.resyncs.Inc()
	// A publication from nowhere, after which a viewer cannot know what it has missed.
	_ = s.node.HandlePublication(channel, &centrifuge.Publication{Offset: math.MaxUint64, Data: []byte("{}")},
		centrifuge.StreamPosition{Offset: math.MaxUint64}, false, nil) // nobody is there to be told of an error
}

// comesBack reports whether viewers of a channel have been made to subscribe
// again. They are told what became of a board even if it is gone.
func (s *shared) comesBack(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.sentAway[channel]
	return ok && time.Since(at) < comeBackTime
}

// expect says which epoch the board of a channel has in the store. The table of
// another one is not given to who subscribes. Empty is that any will do.
func (s *shared) expect(channel, epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channel(channel).wanted = epoch
}

// channel returns what is known of a channel. It is called under mu.
func (s *shared) channel(channel string) *viewed {
	v := s.channels[channel]
	if v == nil {
		v = &viewed{since: time.Now(), confirmed: time.Now()}
		s.channels[channel] = v
	}
	return v
}

// isOutdated reports whether viewers here have seen a newer table.
func (s *shared) isOutdated(p feed.Publication) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels[boardChannel(p.Board)].back(p.Epoch, kindOf(p), p.Rev)
}

// Subscribe implements [centrifuge.Broker].
func (s *shared) Subscribe(channels ...string) error {
	s.mu.Lock()
	for _, channel := range channels {
		s.channel(channel).heard = true // from now on, if it is
	}
	s.mu.Unlock()
	err := s.RedisBroker.Subscribe(channels...)
	if err == nil {
		return nil
	}
	s.forget(channels)
	s.log.Debug("cannot hear a channel", "channels", channels, "err", err)
	return errUnavailable
}

// Unsubscribe implements [centrifuge.Broker].
func (s *shared) Unsubscribe(channels ...string) error {
	s.forget(channels)
	return s.RedisBroker.Unsubscribe(channels...)
}

func (s *shared) forget(channels []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, channel := range channels {
		delete(s.channels, channel)
	}
}

// History implements [centrifuge.Broker]. It is how a viewer who subscribes gets
// the table, and how its position is checked later.
func (s *shared) History(channel string, opts centrifuge.HistoryOptions) ([]*centrifuge.Publication, centrifuge.StreamPosition, error) {
	positionOnly := opts.Filter.Limit == 0
	kept, at, err := s.newestForMany(channel, opts.MetaTTL)
	if err != nil {
		s.log.Debug("cannot read a channel", "channel", channel, "err", err)
		return nil, centrifuge.StreamPosition{}, errUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.channels[channel]
	if v == nil {
		v = &viewed{} // nobody is there
	}
	epoch := kept.epoch
	if epoch == "" {
		epoch = v.epoch
	}
	if kept.table != nil && v.back(epoch, kept.kind, kept.rev) {
		return nil, centrifuge.StreamPosition{}, errUnavailable // until check has seen to it
	}
	if !v.known {
		v.known, v.at = true, at
	}
	if kept.table != nil && at == v.at { // otherwise something is on its way
		v.note(epoch, kept.kind, kept.rev)
	}
	if positionOnly || kept.table == nil || v.wanted != "" && (epoch != v.wanted || kept.kind == gone) {
		return nil, position(at, epoch), nil
	}
	return []*centrifuge.Publication{kept.table}, position(at, epoch), nil
}

// openBroker carries open channels, of which nothing is known but what Redis
// keeps: there is no store to compare them with.
type openBroker struct{ *shared }

// Publish implements [centrifuge.Broker].
func (b openBroker) Publish(channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.PublishResult, error) {
	return b.RedisBroker.Publish(channel, data, opts)
}

// Subscribe implements [centrifuge.Broker].
func (b openBroker) Subscribe(channels ...string) error {
	if err := b.RedisBroker.Subscribe(channels...); err != nil {
		b.log.Debug("cannot hear a channel", "channels", channels, "err", err)
		return errUnavailable
	}
	return nil
}

// Unsubscribe implements [centrifuge.Broker].
func (b openBroker) Unsubscribe(channels ...string) error {
	return b.RedisBroker.Unsubscribe(channels...)
}

// History implements [centrifuge.Broker].
func (b openBroker) History(channel string, opts centrifuge.HistoryOptions) ([]*centrifuge.Publication, centrifuge.StreamPosition, error) {
	kept, at, err := b.RedisBroker.History(channel, opts)
	if err != nil {
		b.log.Debug("cannot read a channel", "channel", channel, "err", err)
		err = errUnavailable
	}
	return kept, at, err
}

// serves reports whether there is a table for those who subscribe.
func (s *shared) serves(channel string) (bool, error) {
	tables, _, err := s.History(channel, centrifuge.HistoryOptions{Filter: centrifuge.HistoryFilter{Limit: 1}, MetaTTL: forever})
	return len(tables) > 0, err
}

// kept is what Redis keeps of a channel.
type kept struct {
	table *centrifuge.Publication // nil: nothing
	epoch string
	kind  string
	rev   uint64
}

// reading is a look at a channel for all who began to wait for it before it.
type reading struct {
	kept kept
	at   centrifuge.StreamPosition
	err  error
	done chan struct{} // closed when the rest is there
	next *reading      // guarded by shared.mu: the one that follows, or nil
}

// newestForMany is newest for many callers at once. None is given what was read
// before it asked: the library's own way to do so is not as strict, and a viewer
// who subscribes would miss what was published meanwhile.
func (s *shared) newestForMany(channel string, metaTTL time.Duration) (kept, centrifuge.StreamPosition, error) {
	s.mu.Lock()
	r, first := s.readings[channel], false
	switch {
	case r == nil:
		r, first = &reading{done: make(chan struct{})}, true
		s.readings[channel] = r
	case r.next == nil:
		before := r
		r, first = &reading{done: make(chan struct{})}, true
		before.next = r
		s.mu.Unlock()
		<-before.done
		s.mu.Lock()
	default:
		r = r.next
	}
	s.mu.Unlock()
	if first {
		r.kept, r.at, r.err = s.newest(channel, metaTTL)
		s.mu.Lock()
		if r.next == nil {
			delete(s.readings, channel)
		} else {
			s.readings[channel] = r.next
		}
		s.mu.Unlock()
		close(r.done)
	}
	<-r.done
	return r.kept, r.at, r.err
}

func (s *shared) newest(channel string, metaTTL time.Duration) (kept, centrifuge.StreamPosition, error) {
	pubs, at, err := s.RedisBroker.History(channel, centrifuge.HistoryOptions{
		Filter:  centrifuge.HistoryFilter{Limit: 1, Reverse: true},
		MetaTTL: metaTTL,
	})
	if err != nil || len(pubs) == 0 {
		return kept{}, at, err
	}
	k := kept{table: pubs[0], rev: pubs[0].Version}
	k.epoch, k.kind = takeOrigin(pubs[0])
	return k, at, nil
}

// run looks after the channels until ctx is done.
func (s *shared) run(ctx context.Context) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	slots := make(chan struct{}, maxChecks)
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !s.answers() {
			continue
		}
		var wg sync.WaitGroup
		for _, channel := range s.heard() {
			slots <- struct{}{}
			wg.Go(func() {
				s.check(ctx, channel)
				<-slots
			})
		}
		wg.Wait()
	}
}

// answers reports whether Redis answers, and logs when that is different.
func (s *shared) answers() bool {
	_, _, err := s.RedisBroker.History(probe, centrifuge.HistoryOptions{MetaTTL: time.Hour})
	s.mu.Lock()
	before := s.away
	s.away = err
	s.mu.Unlock()
	switch {
	case err != nil && before == nil:
		s.log.Error("tables do not reach viewers, trying again", "redis", s.config.String(), "err", err)
	case err == nil && before != nil:
		s.log.Info("tables reach viewers again", "redis", s.config.String())
	}
	return err == nil
}

// ready returns why tables do not reach viewers, or nil. Where Redis is and what
// it said is for the log: everybody may ask whether a node is ready.
func (s *shared) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return errors.New("viewers are sent nothing new: no answer from Redis")
	}
	return nil
}

// heard returns the channels that this node hears, and forgets what is of no use
// any more.
func (s *shared) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for channel, at := range s.sentAway {
		if time.Since(at) > comeBackTime {
			delete(s.sentAway, channel)
		}
	}
	var channels []string
	for channel, v := range s.channels {
		switch {
		case v.heard:
			channels = append(channels, channel)
		case time.Since(v.since) > comeBackTime: // whoever asked did not subscribe
			delete(s.channels, channel)
		}
	}
	return channels
}

// check sees to it that the viewers of a channel have what the store has.
func (s *shared) check(ctx context.Context, channel string) {
	before, ok := s.state(channel)
	if !ok {
		return
	}
	// Looking is no use, which would be a write each time: a lifetime below a
	// second is none.
	_, top, err := s.RedisBroker.History(channel, centrifuge.HistoryOptions{MetaTTL: time.Nanosecond})
	if err != nil {
		return // answers has said so, or will
	}
	lost, confirm := s.compare(channel, before, top, time.Now())
	if !confirm {
		return
	}
	board, _ := parseBoardChannel(channel)
	replaced, err := s.confirm(ctx, board)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Debug("cannot confirm a table", "board", board, "err", err)
		}
		return // the next check comes to the same
	}
	s.mu.Lock()
	v := s.channels[channel]
	if v != nil {
		v.doubtful, v.confirmed = v.doubtful && v.epoch != before.epoch, time.Now()
		if lost && !replaced {
			v.missing = centrifuge.StreamPosition{}
			if v.at == before.at {
				v.at = top
			}
		}
	}
	s.mu.Unlock()
	if lost && !replaced {
		s.sendAway(channel)
	}
}

// state returns a copy of what is known of a channel, if it is enough to compare.
func (s *shared) state(channel string) (viewed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.channels[channel]
	if v == nil || !v.known {
		return viewed{}, false
	}
	return *v, true
}

// compare reports whether viewers of a channel may lack what is at its top, and
// whether its table has to be compared with the store. What was known was so
// before the top was read.
func (s *shared) compare(channel string, before viewed, top centrifuge.StreamPosition, now time.Time) (lost, confirm bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.channels[channel]
	if v == nil {
		return false, false
	}
	has := func(p centrifuge.StreamPosition) bool { return v.at.Epoch == p.Epoch && v.at.Offset >= p.Offset }
	switch {
	case before.at.Epoch == top.Epoch && before.at.Offset > top.Offset:
		lost = true // in Redis
	case has(top):
		v.missing = centrifuge.StreamPosition{}
	case v.missing == centrifuge.StreamPosition{} || has(v.missing):
		v.missing, v.missingSince = top, now
	default:
		lost = now.Sub(v.missingSince) >= lateAfter
	}
	return lost, lost || v.doubtful || now.Sub(v.confirmed) >= confirmInterval
}

// confirm replaces the table that is kept of a board if it is not of that board
// as the store has it now: of another epoch, of one that has been deleted or made
// since, none, or an older one than viewers here have seen.
func (s *shared) confirm(ctx context.Context, board string) (replaced bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	channel := boardChannel(board)
	view, err := s.reader.Board(ctx, board)
	exists := !errors.Is(err, leaderboard.ErrBoardNotFound)
	if exists && err != nil {
		return false, err
	}
	kept, _, err := s.newest(channel, time.Nanosecond)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	v := *s.channel(channel)
	s.mu.Unlock()
	right := kept.table != nil && exists == (kept.kind != gone) && (!exists || kept.epoch == view.Epoch)
	if right && !v.back(kept.epoch, kept.kind, kept.rev) {
		return false, nil
	}
	var table feed.Publication
	if exists {
		if table, err = feed.Render(ctx, s.reader, board); err != nil {
			return false, err
		}
	} else {
		table = s.goneTable(board)
	}
	if v.back(table.Epoch, kindOf(table), table.Rev) {
		return false, errOlder
	}
	s.metrics.repairs.Inc()
	return s.put(table)
}

// put publishes a table, also where Redis has lost it and not its rev: as long as
// it evicts keys. It reports whether the table was new to Redis.
func (s *shared) put(table feed.Publication) (fresh bool, err error) {
	outdated, err := s.publish(table, kindOf(table))
	if err != nil || !outdated {
		return err == nil, err
	}
	kept, _, err := s.newest(boardChannel(table.Board), time.Nanosecond)
	if err != nil || kept.table != nil {
		return false, err
	}
	outdated, err = s.publish(table, refill)
	return err == nil && !outdated, err
}

// goneTable returns the table for the viewers of a board that is not in the
// store. When it was deleted nobody knows any more; it was after what they saw.
func (s *shared) goneTable(board string) feed.Publication {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.channel(boardChannel(board))
	return feed.RenderGone(board, v.rev+1, v.epoch)
}
