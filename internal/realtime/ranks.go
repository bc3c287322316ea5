package realtime

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
)

// ranks publishes the standings of members who are watched on this node. When a
// board has changed, each of its watched members is read and, if it stands
// differently, published; then the board rests for the interval. The work
// depends on how many members are watched, not on how large the board is.
//
// That a board has changed it is told, or, where changes may be told to another
// node, it finds out itself: it asks for the rev of each watched board once per
// interval.
type ranks struct {
	reader   Reader
	interval time.Duration
	polls    bool // set before run
	publish  func(board, member string, standing []byte) error
	metrics  *metrics
	log      *slog.Logger
	failures limiter

	slots chan struct{} // has an element for each board that is being read
	seed  maphash.Seed
	// A member's standing is read and sent while its lock is held, so that
	// nobody is sent an older one after a newer one. Members share locks.
	sending [64]sync.Mutex

	mu      sync.Mutex
	boards  map[string]*watchedBoard // guarded by mu
	changed []*watchedBoard          // guarded by mu: to be taken up by run
	wake    chan struct{}            // has an element if changed is not empty
}

// watchedBoard is guarded by ranks.mu.
type watchedBoard struct {
	id      string
	members map[string]*watched
	changed bool // since its members began to be read
	busy    bool // being read, or at rest after that, or about to be
	failing bool // it could not be read the last time

	polled  bool // at least once
	reached reached
}

// reached is where a board was when it was asked for its rev; the zero value is
// that of a board that does not exist.
type reached struct {
	epoch string
	rev   uint64
}

// maxPolls is how many boards are asked for their revs at once: it is the network
// that takes the time.
const maxPolls = 16

type watched struct {
	viewers int      // guarded by ranks.mu
	last    standing // as it was sent; guarded by the member's lock in ranks.sending
}

func newRanks(reader Reader, interval time.Duration, concurrency int, publish func(board, member string, standing []byte) error, m *metrics, log *slog.Logger) *ranks {
	return &ranks{
		reader: reader, interval: interval, publish: publish, metrics: m, log: log,
		slots:  make(chan struct{}, concurrency),
		seed:   maphash.MakeSeed(),
		boards: map[string]*watchedBoard{},
		wake:   make(chan struct{}, 1),
	}
}

func (r *ranks) lockOf(board, member string) *sync.Mutex {
	hash := maphash.Comparable(r.seed, [2]string{board, member})
	return &r.sending[hash%uint64(len(r.sending))]
}

// run publishes what has changed until ctx is done.
func (r *ranks) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if r.polls {
		wg.Go(func() { r.poll(ctx) })
	}
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		changed := r.changed
		r.changed = nil
		r.mu.Unlock()
		for _, b := range changed {
			wg.Go(func() { r.follow(ctx, b) })
		}
	}
}

// poll looks once per interval which of the watched boards have changed.
func (r *ranks) poll(ctx context.Context) {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	slots := make(chan struct{}, maxPolls)
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		var wg sync.WaitGroup
		for _, board := range r.watchedBoards() {
			slots <- struct{}{}
			wg.Go(func() {
				r.pollOne(ctx, board)
				<-slots
			})
		}
		wg.Wait()
	}
}

func (r *ranks) watchedBoards() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, b := range r.boards {
		if len(b.members) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *ranks) pollOne(ctx context.Context, board string) {
	view, err := r.reader.Board(ctx, board)
	now := reached{view.Epoch, view.Rev}
	if errors.Is(err, leaderboard.ErrBoardNotFound) {
		now, err = reached{}, nil
	}
	r.read(ctx, board, err)
	if err == nil && r.moved(board, now) {
		r.boardChanged(board)
	}
}

// moved reports whether a watched board is not where it was when it was asked
// for the last time. The first time nobody knows: some of its members may have
// been read before a change.
func (r *ranks) moved(board string, now reached) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boards[board]
	if b == nil || b.polled && b.reached == now {
		return false
	}
	b.polled, b.reached = true, now
	return true
}

// read takes note whether a board could be read, and logs when that is different.
func (r *ranks) read(ctx context.Context, board string, err error) {
	r.mu.Lock()
	b := r.boards[board]
	different := b != nil && ctx.Err() == nil && b.failing != (err != nil)
	if different {
		b.failing = err != nil
	}
	r.mu.Unlock()
	if !different {
		return
	}
	dropped, ok := r.failures.allow()
	switch {
	case !ok:
	case err != nil:
		r.log.Error("cannot read ranks for their viewers, trying again", "board", board, "err", err, "lines_dropped", dropped)
	default:
		r.log.Info("reading ranks again", "board", board, "lines_dropped", dropped)
	}
}

// boardChanged takes note that a board has changed.
func (r *ranks) boardChanged(board string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boards[board]
	if b == nil {
		return // nobody watches
	}
	b.changed = true
	if b.busy {
		return
	}
	b.busy = true
	r.changed = append(r.changed, b)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// follow publishes what is different on a board, at most once per interval,
// until it does not change any more.
func (r *ranks) follow(ctx context.Context, b *watchedBoard) {
	for {
		members := r.due(b)
		if len(members) == 0 {
			return
		}
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := r.refresh(ctx, b.id, members)
		<-r.slots
		r.read(ctx, b.id, err)
		if err != nil {
			r.boardChanged(b.id) // try again
		}
		select {
		case <-time.After(r.interval):
		case <-ctx.Done():
			return
		}
	}
}

// due returns the watched members of a board if it has changed. Otherwise the
// board is busy no longer, and forgotten if nobody watches it.
func (r *ranks) due(b *watchedBoard) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.changed && len(b.members) > 0 {
		b.changed = false
		return slices.Collect(maps.Keys(b.members))
	}
	b.busy, b.changed = false, false
	if len(b.members) == 0 {
		delete(r.boards, b.id)
	}
	return nil
}

// refresh reads members and publishes those who stand differently.
func (r *ranks) refresh(ctx context.Context, board string, members []string) error {
	for _, member := range members {
		if err := r.refreshOne(ctx, board, member); err != nil {
			return err
		}
	}
	return nil
}

func (r *ranks) refreshOne(ctx context.Context, board, member string) error {
	lock := r.lockOf(board, member)
	lock.Lock()
	defer lock.Unlock()
	w := r.find(board, member)
	if w == nil {
		return nil // nobody watches any more
	}
	now, err := readStanding(ctx, r.reader, board, member)
	if errors.Is(err, leaderboard.ErrBoardNotFound) {
		now, err = w.last.gone(member), nil
	}
	if err != nil || now.same(w.last) {
		return err
	}
	if err := r.publish(board, member, now.json); err != nil {
		return err
	}
	w.last = now
	r.metrics.ranks.Inc()
	return nil
}

func (r *ranks) find(board, member string) *watched {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.boards[board]; b != nil {
		return b.members[member]
	}
	return nil
}

// watch adds a viewer of a member. It passes the member's standing to subscribe,
// which must make the viewer one of those that publications reach: none is lost
// or doubled in between. If it returns an error, there is no new viewer.
func (r *ranks) watch(ctx context.Context, board, member string, subscribe func(standing []byte)) error {
	lock := r.lockOf(board, member)
	lock.Lock()
	defer lock.Unlock()
	w := r.add(board, member)
	// Who watches already has what was sent last, and if that is not the newest,
	// the newest will be sent to all.
	if w.last.json == nil {
		now, err := readStanding(ctx, r.reader, board, member)
		if err != nil {
			r.unwatch(board, member)
			return err
		}
		w.last = now
	}
	subscribe(w.last.json)
	return nil
}

func (r *ranks) add(board, member string) *watched {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boards[board]
	if b == nil {
		b = &watchedBoard{id: board, members: map[string]*watched{}}
		r.boards[board] = b
	}
	w := b.members[member]
	if w == nil {
		w = &watched{}
		b.members[member] = w
		r.metrics.watched.Inc()
	}
	w.viewers++
	return w
}

// unwatch takes one viewer of a member away.
func (r *ranks) unwatch(board, member string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boards[board]
	w := b.members[member]
	if w.viewers--; w.viewers > 0 {
		return
	}
	delete(b.members, member)
	r.metrics.watched.Dec()
	if len(b.members) == 0 && !b.busy { // a busy one rests first: coming back quickly is no way around the interval
		delete(r.boards, board)
	}
}

// standing is how a member stands, as its viewers are sent it.
type standing struct {
	json []byte // not to be changed
	seen int    // so many bytes of it are what a viewer sees; behind them is only the rev
	rev  uint64
}

// same reports whether a viewer sees no difference.
func (s standing) same(t standing) bool { return bytes.Equal(s.json[:s.seen], t.json[:t.seen]) }

// gone is the standing of a member whose board does not exist any more.
func (s standing) gone(member string) standing {
	return encodeStanding(leaderboard.View{Season: 1, Rev: s.rev}, member, nil, nil, nil)
}

// readStanding reads how a member stands, also if it is not on the board. It
// returns [leaderboard.ErrBoardNotFound] if there is no board.
func readStanding(ctx context.Context, reader Reader, board, member string) (standing, error) {
	page, err := reader.Around(ctx, leaderboard.Ref{Board: board}, member, 3)
	if errors.Is(err, leaderboard.ErrMemberNotFound) {
		view, err := reader.Board(ctx, board)
		if err != nil {
			return standing{}, err
		}
		return encodeStanding(view, member, nil, nil, nil), nil
	}
	if err != nil {
		return standing{}, err
	}
	var self, above, below *leaderboard.Entry
	for i := range page.Entries {
		e := &page.Entries[i]
		switch {
		case e.Member == member:
			self = e
		case self == nil:
			above = e
		case below == nil:
			below = e
		}
	}
	return encodeStanding(page.View, member, self, above, below), nil
}

func encodeStanding(view leaderboard.View, member string, self, above, below *leaderboard.Entry) standing {
	const size = len(`{"member":"","score":,"rank":,"total":,"above":{"name":"","score":,"rank":},"below":{"name":"","score":,"rank":},"season":,"rev":}`)
	room := size + len(member) + 9*12
	for _, e := range []*leaderboard.Entry{above, below} {
		if e != nil {
			room += len(e.Member)
		}
	}
	dst := make([]byte, 0, room)
	dst = append(dst, `{"member":`...)
	dst = feed.AppendString(dst, member)
	if self == nil {
		dst = append(dst, `,"score":null,"rank":null`...)
	} else {
		dst = append(dst, `,"score":`...)
		dst = leaderboard.AppendScore(dst, self.Score, view.Board.Decimals)
		dst = append(dst, `,"rank":`...)
		dst = strconv.AppendInt(dst, int64(self.Rank), 10)
	}
	dst = append(dst, `,"total":`...)
	dst = strconv.AppendInt(dst, int64(view.Total), 10)
	dst = append(dst, `,"above":`...)
	dst = appendNeighbour(dst, above, view.Board.Decimals)
	dst = append(dst, `,"below":`...)
	dst = appendNeighbour(dst, below, view.Board.Decimals)
	dst = append(dst, `,"season":`...)
	dst = strconv.AppendInt(dst, int64(view.Season), 10)
	seen := len(dst)
	dst = append(dst, `,"rev":`...)
	dst = strconv.AppendUint(dst, view.Rev, 10)
	return standing{json: append(dst, '}'), seen: seen, rev: view.Rev}
}

func appendNeighbour(dst []byte, e *leaderboard.Entry, decimals int) []byte {
	if e == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"name":`...)
	dst = feed.AppendString(dst, e.Member)
	dst = append(dst, `,"score":`...)
	dst = leaderboard.AppendScore(dst, e.Score, decimals)
	dst = append(dst, `,"rank":`...)
	dst = strconv.AppendInt(dst, int64(e.Rank), 10)
	return append(dst, '}')
}
