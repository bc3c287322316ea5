package redisstore

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// adoptedRound is the most time until a board over a ZSET that was created, or
	// taken over from another node, is watched.
	adoptedRound = time.Second

	// touchPause is the least time between two changes that are told of a ZSET.
	touchPause = 50 * time.Millisecond

	touchAtOnce = 100 // boards in one call
	probeAtOnce = 16  // ZSETs that are looked at at the same time
	probes      = 16  // members below the top that are looked at
)

// adopter watches the ZSETs of those boards whose changes this node tells: a
// ZSET that has changed is one change of its board. Redis notifies of changes if it
// is told to; apart from that, ZSETs are looked at from time to time.
type adopter struct {
	store  *Store
	prefix string        // of the channels on which Redis notifies
	wake   chan struct{} // holds one: look what boards there are
	news   chan struct{} // holds one: a ZSET was noted

	mu     sync.Mutex          // guards all that follows
	noted  map[string]struct{} // keys that may have changed
	wanted map[string]struct{} // channels to listen to
	quiet  bool                // it was said that a server does not notify

	// Of run:

	boards    map[string]*adopted // by id
	listeners map[string]*listener
	running   sync.WaitGroup
}

// adopted is a board over a ZSET.
type adopted struct {
	partition *partition
	restarts  int // of its partition's log
	id, key   string
	probed    time.Time
	kind      string // of the key, when it was looked at
	digest    string
}

func newAdopter(s *Store) *adopter {
	return &adopter{
		store:     s,
		prefix:    "__keyspace@" + strconv.Itoa(s.opts.Redis.Options().SelectDB) + "__:",
		wake:      make(chan struct{}, 1),
		news:      make(chan struct{}, 1),
		noted:     make(map[string]struct{}),
		wanted:    make(map[string]struct{}),
		boards:    make(map[string]*adopted),
		listeners: make(map[string]*listener),
	}
}

// hurry has the adopter look soon what boards there are.
func (a *adopter) hurry() {
	select {
	case a.wake <- struct{}{}:
	default: // it will
	}
}

// note says that a ZSET may have changed.
func (a *adopter) note(key string) {
	a.mu.Lock()
	a.noted[key] = struct{}{}
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
}

func (a *adopter) run(ctx context.Context) {
	defer a.running.Wait()
	defer func() {
		for _, l := range a.listeners {
			l.stop()
		}
	}()
	tick := time.NewTicker(min(adoptedRound, a.store.opts.Poll))
	defer tick.Stop()
	for {
		select {
		case <-a.wake:
			a.round(ctx)
		case <-tick.C:
			a.round(ctx)
		case <-a.news:
			a.touch(ctx)
			if !pause(ctx, touchPause) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// patience is how long the adopter waits for a server, so that those of other
// servers are not neglected.
func (a *adopter) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(a.store.opts.Lease/2, adoptedRound))
}

// round looks what boards there are to watch, and at those whose time has come.
func (a *adopter) round(ctx context.Context) {
	limited, cancel := a.patience(ctx)
	defer cancel()
	a.find(limited)
	a.listen(ctx)
	a.probe(limited)
}

// find looks for boards over ZSETs in the partitions that the node tells the
// changes of. What is new may have changed before.
func (a *adopter) find(ctx context.Context) {
	s := a.store
	type owned struct {
		partition *partition
		restarts  int
	}
	var parts []owned
	var cmds []rueidis.Completed
	for _, p := range s.parts {
		if restarts, ok := p.changes.held(); ok {
			parts = append(parts, owned{p, restarts})
			cmds = append(cmds, s.client.B().Hgetall().Key(p.adopted).Build())
		}
	}
	found := make(map[string]*adopted)
	var fresh []*adopted
	for i, answer := range s.client.DoMulti(ctx, cmds...) {
		keys, err := answer.AsStrMap()
		if err != nil {
			for id, b := range a.boards { // as before, until there is an answer
				if b.partition == parts[i].partition {
					found[id] = b
				}
			}
			continue
		}
		for id, key := range keys {
			b := a.boards[id]
			if b == nil || b.key != key || b.restarts != parts[i].restarts {
				b = &adopted{partition: parts[i].partition, restarts: parts[i].restarts, id: id, key: key}
				fresh = append(fresh, b)
			}
			found[id] = b
		}
	}
	a.boards = found
	for _, b := range fresh {
		a.note(b.key)
	}
}

// held returns whether the node has the lease, and what differs once it was lost
// in between.
func (l *partitionLog) held() (restarts int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.restarts, time.Now().Before(l.until)
}

// touch tells boards as changed whose ZSETs were noted.
func (a *adopter) touch(ctx context.Context) {
	a.mu.Lock()
	noted := a.noted
	a.noted = make(map[string]struct{})
	a.mu.Unlock()
	of := make(map[*partition][]*adopted)
	for _, b := range a.boards {
		if _, ok := noted[b.key]; ok {
			of[b.partition] = append(of[b.partition], b)
		}
	}
	limited, cancel := a.patience(ctx)
	defer cancel()
	var lost sync.Map
	var wg sync.WaitGroup
	for p, list := range of {
		wg.Go(func() {
			for some := range slices.Chunk(list, touchAtOnce) {
				mine, err := p.touch(limited, some)
				if err != nil {
					for _, b := range some {
						a.note(b.key)
					}
				} else if !mine {
					lost.Store(p, nil)
				}
			}
		})
	}
	wg.Wait()
	for id, b := range a.boards {
		if _, ok := lost.Load(b.partition); ok {
			delete(a.boards, id) // if the lease is back, they are new
		}
	}
}

// touch returns false if the node has not got the lease.
func (p *partition) touch(ctx context.Context, boards []*adopted) (mine bool, err error) {
	keys := []string{p.meta, p.log, p.lease, p.adopted}
	args := []string{p.store.logCap, p.store.session}
	for _, b := range boards {
		keys = append(keys, p.state(b.id))
		args = append(args, b.id, b.key)
	}
	message, err := p.try(ctx, scriptTouch, keys, args)
	if err != nil {
		return false, err
	}
	answer, err := message.ToString()
	return answer == "K", err
}

// probe looks at the ZSETs whose time has come.
func (a *adopter) probe(ctx context.Context) {
	every := a.store.opts.Poll
	if !a.notified() {
		every = min(every, time.Second)
	}
	// A round may come a little early.
	before := time.Now().Add(-every + min(every, adoptedRound)/10)
	slots := make(chan struct{}, probeAtOnce)
	var wg sync.WaitGroup
	for _, b := range a.boards {
		if b.probed.After(before) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			a.probeBoard(ctx, b)
		})
	}
	wg.Wait()
}

func (a *adopter) probeBoard(ctx context.Context, b *adopted) {
	s := a.store
	set := s.settings.get(b.id)
	if set.board.ZSet != b.key {
		views, err := b.partition.views(ctx, []string{b.id})
		if err != nil || len(views) == 0 || views[0].Board.ZSet != b.key {
			return
		}
		set = s.settings.get(b.id)
	}
	message, err := s.ask(ctx, adoptedProbe, b.key, order(set.board), strconv.Itoa(set.board.Top), strconv.Itoa(probes))
	if err != nil {
		return // as long as nothing can be read, nothing can be told
	}
	fields, err := message.AsStrSlice()
	if err != nil || len(fields) != 2 {
		return
	}
	kind, digest := fields[0], fields[1]
	changed := b.kind != "" && (b.kind != kind || b.digest != digest)
	if kind != b.kind && kind != "zset" && kind != "none" {
		s.log.Warn("a board is empty, as its key is not a zset", "board", b.id, "key", b.key, "type", kind)
	}
	b.kind, b.digest, b.probed = kind, digest, time.Now()
	if changed {
		a.note(b.key)
	}
}

// listen has listeners for all servers as long as there are boards: on a cluster,
// only the server that has a key notifies of it, and it may be another one soon.
func (a *adopter) listen(ctx context.Context) {
	wanted := make(map[string]struct{})
	for _, b := range a.boards {
		wanted[a.prefix+b.key] = struct{}{}
	}
	a.mu.Lock()
	a.wanted = wanted
	a.mu.Unlock()
	var nodes map[string]rueidis.Client
	if len(wanted) > 0 {
		nodes = a.store.client.Nodes()
	}
	for address, l := range a.listeners {
		if nodes[address] == nil {
			l.stop()
			delete(a.listeners, address)
		}
	}
	for address, node := range nodes {
		l := a.listeners[address]
		if l == nil {
			l = newListener(a, address, node)
			a.listeners[address] = l
			own, cancel := context.WithCancel(ctx)
			l.stop = cancel
			a.running.Go(func() { l.run(own) })
			continue
		}
		l.hurry()
	}
}

// notified returns whether all servers that answer notify of changes.
func (a *adopter) notified() bool {
	some := false
	for _, l := range a.listeners {
		switch l.state.Load() {
		case notifies:
			some = true
		case silent:
			return false
		}
	}
	return some
}
