package localstore

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
	"laurel/internal/zset"
)

// group is requests that are carried out with one commit: what they do, planned
// over the memory of before. Nothing of memory is changed by planning, but
// what is planned already lies over it, in two layers: what the group in flight will
// leave, and over that what the group itself has planned so far. So every request
// sees what the ones before it leave. The committer uses two groups in turn.
type group struct {
	store    *Store
	requests []*request
	load     load
	boards   map[string]*boardPlan // the newest of each id
	steps    []step
	changed  []*boardPlan     // in the order of their last changes, when all is planned
	touched  []*boardPlan     // of all requests that are batches; each has its part
	undo     []undo           // of the batch that is being planned
	garbage  []garbage        // boards that are deleted, and seasons that are not kept
	ends     []seasonEnd      // of all requests; each has its part
	finals   []*finalWrite    // parts of final standings
	names    map[string]*kept // of requests that are carried out once, by onceName
	keepers  []*request       // those of them whose answers are kept, in their order

	used, spare []*boardPlan
	outbox      outboxPlan
	ticks       uint64 // changes so far
	key, value  []byte
	records     []record
}

// boardPlan is what a group leaves of a season of a board.
type boardPlan struct {
	state
	id      string
	board   *board     // as it is in memory; of a board that is created, what will be there
	season  *standings // the same of the season
	before  *boardPlan // what the group in flight leaves of it, if that has a plan of it
	changed uint64     // when the group changed it last, by its own count; 0: not at all
	batch   *request   // the batch that was the last to touch it

	// The plan of the board's current season, which counts the changes of all; and that of the
	// season before it, if there is one.
	current, last *boardPlan
	target        *boardPlan // of the current one: the season that batch goes to

	outlook *outlook // if somebody has to know ranks before the commit

	cells []cell           // the entries that the group has looked at
	index map[string]int32 // where each member's cell is
}

// cell is an entry as a group leaves it.
type cell struct {
	member  string
	present bool
	dirty   bool // differs from what memory has
	score   int64
	seq     uint64
	rev     uint64 // of the entry's last change
	updated int64
	data    json.RawMessage
}

// step is what one operation does, to be done again in memory after the commit.
type step struct {
	plan     *boardPlan
	op       *leaderboard.Op
	reason   leaderboard.Reason
	accepted bool
	counted  bool // as a submission of its minute
	had      bool // whether the member was on the board before, with the score was
	was      int64
	wasSeq   uint64
	score    int64
	seq      uint64
	data     json.RawMessage
	rev      uint64 // of the board, then
	entryRev uint64 // of the entry, if there is one then
	fallen   []fallen
}

// undo is what a batch that fails has to put back.
type undo struct {
	plan  *boardPlan
	index int // of the cell; -1: of the state
	cell  cell
	state struct {
		rev     uint64
		total   int
		changed uint64
	}
}

func (g *group) reset() {
	for _, p := range g.used {
		clear(p.cells)
		clear(p.index)
		*p = boardPlan{cells: p.cells[:0], index: p.index}
	}
	g.spare = append(g.spare, g.used...)
	g.used = g.used[:0]
	clear(g.requests)
	clear(g.boards)
	clear(g.names)
	clear(g.steps)
	clear(g.changed)
	clear(g.touched)
	clear(g.undo)
	clear(g.records)
	clear(g.keepers)
	clear(g.ends)
	clear(g.finals)
	g.ends, g.finals = g.ends[:0], g.finals[:0]
	g.keepers = g.keepers[:0]
	g.outbox.reset()
	g.requests, g.steps, g.touched, g.undo, g.records = g.requests[:0], g.steps[:0], g.touched[:0], g.undo[:0], g.records[:0]
	g.changed, g.garbage, g.ticks, g.load = g.changed[:0], g.garbage[:0], 0, load{}
}

// newPlan makes the plan of a board the newest of its id.
func (g *group) newPlan(id string, b *board) *boardPlan {
	var p *boardPlan
	if n := len(g.spare); n > 0 {
		p, g.spare = g.spare[n-1], g.spare[:n-1]
	} else {
		p = &boardPlan{index: make(map[string]int32)}
	}
	p.id, p.board, p.season, p.state = id, b, b.standings, b.state
	p.current = p
	g.used = append(g.used, p)
	g.boards[id] = p
	return p
}

// plan returns the plan of a board, or nil if there has never been one of this id.
func (g *group) plan(id string) *boardPlan {
	if p, ok := g.boards[id]; ok {
		return p
	}
	if f := g.store.flight; f != nil {
		if before, ok := f.group.boards[id]; ok {
			p := g.newPlan(id, before.board)
			p.state, p.season, p.before = before.state, before.season, before
			return p
		}
	}
	if b := g.store.boards[id]; b != nil {
		return g.newPlan(id, b)
	}
	return nil
}

// live returns the plan of a board that is not deleted, or nil.
func (g *group) live(id string) *boardPlan {
	if p := g.plan(id); p != nil && !p.deleted {
		return p
	}
	return nil
}

func (g *group) tick() uint64 {
	g.ticks++
	return g.ticks
}

// add plans a request. One that fails has its err set, and leaves no trace.
func (g *group) add(r *request) {
	g.requests = append(g.requests, r)
	g.load.add(r)
	if r.once != "" && g.repeats(r) {
		return
	}
	switch r.kind {
	case createBoard:
		r.err = g.create(r)
	case patchBoard:
		r.err = g.patch(r)
	case deleteBoard:
		r.err = g.delete(r)
	case applyBatch:
		from := len(g.ends)
		r.err = g.batch(r)
		r.ends = [2]int{from, len(g.ends)}
	case recordNote:
		r.err = g.record(r)
	case settleMessage:
		g.settleMessage(r)
	case endSeason:
		from := len(g.ends)
		r.err = g.end(r)
		r.ends = [2]int{from, len(g.ends)}
	case writeFinal:
		r.err = g.final(r.final)
	}
	if r.once != "" && r.err == nil {
		g.keep(r)
	}
}

func (g *group) create(r *request) error {
	id := r.board.ID
	old := g.plan(id)
	if old != nil && !old.deleted {
		return leaderboard.Errorf(leaderboard.CodeBoardExists, "board %q exists already", id)
	}
	s := state{settings: r.board, run: r.board.FirstRun(r.board.CreatedAt), number: g.store.nextNumber, rev: 1, oldest: 1}
	s.due = dueOf(&s)
	g.store.nextNumber++
	if old != nil {
		s.rev = old.rev + 1
	}
	r.plan = g.newPlan(id, newBoard(s))
	r.plan.changed = g.tick()
	r.view = g.store.view(&r.plan.state)
	return nil
}

func (g *group) patch(r *request) error {
	p := g.live(r.id)
	if p == nil {
		return notFound(r.id)
	}
	settings, err := r.patch.Apply(p.settings)
	if err != nil {
		return err
	}
	p.settings = settings
	if r.patch.Seasons != nil {
		p.run = settings.Reschedule(p.run, r.patch.At)
		p.due = dueOf(&p.state)
	}
	p.rev++
	p.changed = g.tick()
	r.fallen = g.fall(p, leaderboard.FallWithPatch, true)
	r.plan, r.board, r.run, r.rev = p, settings, p.run, p.rev
	r.view = g.store.view(&p.state)
	return nil
}

func (g *group) delete(r *request) error {
	p := g.live(r.id)
	if p == nil {
		return notFound(r.id)
	}
	p.deleted = true
	p.rev++
	p.total = 0
	p.changed = g.tick()
	r.plan, r.rev = p, p.rev
	g.garbage = append(g.garbage, garbage{number: p.number})
	return nil
}

func (g *group) batch(r *request) error {
	steps, touched := len(g.steps), len(g.touched)
	single := len(r.batch.Ops) == 1 // it can fail only before it changes anything
	g.undo = g.undo[:0]
	var p *boardPlan
	for i := range r.batch.Ops {
		op := &r.batch.Ops[i]
		if p == nil || p.id != op.Board {
			p = g.live(op.Board)
			if p != nil && p.batch != r {
				p = g.touch(p, op, r, single)
			}
		}
		target := p
		var err error
		if p != nil && p.particular(op) {
			target, err = g.targetOf(p, op, r)
		}
		if err == nil {
			err = g.step(target, op, r.batch.At, single)
		}
		if err != nil {
			g.rollBack()
			g.uncount(g.steps[steps:], r.batch.At)
			g.steps, g.touched = g.steps[:steps], g.touched[:touched]
			for j := range r.batch.Ops[i:] {
				g.endIfDue(g.live(r.batch.Ops[i+j].Board), r.batch.At)
			}
			return &leaderboard.BatchError{Index: i, Op: *op, Err: err}
		}
	}
	r.steps, r.touched = [2]int{steps, len(g.steps)}, [2]int{touched, len(g.touched)}
	return nil
}

// remember keeps the state of a plan for an undoing.
func (g *group) remember(p *boardPlan) {
	u := undo{plan: p, index: -1}
	u.state.rev, u.state.total, u.state.changed = p.rev, p.total, p.changed
	g.undo = append(g.undo, u)
}

func (g *group) rollBack() {
	for i := len(g.undo) - 1; i >= 0; i-- {
		u := &g.undo[i]
		if u.index >= 0 {
			u.plan.cells[u.index] = u.cell
			u.plan.mirror(&u.cell)
			continue
		}
		u.plan.rev, u.plan.total, u.plan.changed = u.state.rev, u.state.total, u.state.changed
		u.plan.batch = nil
	}
}

// step plans one operation of a batch of a time; p is nil if its board does not exist.
func (g *group) step(p *boardPlan, op *leaderboard.Op, at time.Time, single bool) error {
	if p == nil {
		return notFound(op.Board)
	}
	i := p.cell(op.Member)
	c := &p.cells[i]
	st := step{plan: p, op: op, had: c.present, was: c.score, wasSeq: c.seq, entryRev: c.rev}
	if op.If.Valid {
		if err := op.CheckRev(c.rev); err != nil {
			return err
		}
	}
	var next leaderboard.Record
	remove := op.Kind == leaderboard.Remove
	if op.Kind == leaderboard.Expire {
		if !c.present || p.current != p || !p.settings.Expired(c.updated, at.UnixMilli()) {
			st.reason, st.rev = leaderboard.NotExpired, p.rev
			g.steps = append(g.steps, st)
			return nil
		}
		remove = true
	} else if remove {
		if !c.present {
			return memberNotFound(op.Board, op.Member)
		}
	} else {
		var has *leaderboard.Record
		record := leaderboard.Record{Score: c.score, Data: c.data}
		if c.present {
			has = &record
		}
		var err error
		next, st.reason, err = p.settings.Decide(*op, has)
		if err != nil {
			return err
		}
		if p.settings.SubmitsPerMinute != 0 && op.Kind == leaderboard.Submit {
			if err := g.count(p, op, at); err != nil {
				return err
			}
			st.counted = true
		}
		if st.reason == "" && !c.present && p.full(next.Score) {
			st.reason = leaderboard.BoardFull
		}
		if st.reason != "" {
			st.rev = p.rev
			g.steps = append(g.steps, st)
			return nil
		}
	}

	if !single {
		g.undo = append(g.undo, undo{plan: p, index: i, cell: *c})
	}
	p.current.rev++
	p.current.changed = g.tick()
	p.rev, p.changed = p.current.rev, p.current.changed
	if remove {
		p.total--
		*c = cell{member: c.member, dirty: true}
	} else {
		if !c.present {
			p.total++
		}
		if !c.present || c.score != next.Score {
			c.seq = p.rev
		}
		if op.Data != nil {
			next.Data = bytes.Clone(next.Data) // the caller's own
		}
		c.present, c.dirty, c.rev = true, true, p.rev
		c.score, c.data, c.updated = next.Score, next.Data, at.UnixMilli()
	}
	st.accepted, st.score, st.seq, st.data, st.rev, st.entryRev = true, c.score, c.seq, c.data, p.rev, c.rev
	p.mirror(c)
	if !st.had {
		st.fallen = g.fall(p, leaderboard.FallWithMember, single)
	}
	g.steps = append(g.steps, st)
	return nil
}

// find returns the index of a member's cell, if there is one.
func (p *boardPlan) find(member string) (int32, bool) {
	if p == nil {
		return 0, false
	}
	i, ok := p.index[member]
	return i, ok
}

// cell returns the index of a member's cell, which it makes if there is none.
func (p *boardPlan) cell(member string) int {
	if i, ok := p.index[member]; ok {
		return int(i)
	}
	c := cell{member: member}
	if i, ok := p.before.find(member); ok {
		c = p.before.cells[i]
		c.dirty = false
	} else if e, ok := p.season.ranks.Get(member); ok {
		c.present, c.score, c.seq = true, e.Score, e.Seq
		c.updated, c.data, c.rev = p.season.updated.get(e.Slot), p.season.data[e.Slot], p.season.entryRev(e)
	}
	p.cells = append(p.cells, c)
	p.index[member] = int32(len(p.cells) - 1)
	return len(p.cells) - 1
}

// write puts what the group leaves into a database batch, and numbers the
// changes, each board's last one in their order. It starts with the seq after last.
func (g *group) write(b *pebble.Batch, last uint64) error {
	for _, p := range g.used {
		if p.changed != 0 && g.boards[p.id] == p {
			g.changed = append(g.changed, p)
		}
	}
	slices.SortFunc(g.changed, func(p, q *boardPlan) int { return cmp.Compare(p.changed, q.changed) })
	for _, p := range g.changed {
		last++
		p.seq = last
		g.records = append(g.records, record{p.seq, leaderboard.Change{Board: p.id, Rev: p.rev}})
		g.key = appendBoardKey(g.key[:0], p.id)
		g.value = appendState(g.value[:0], &p.state)
		if err := b.Set(g.key, g.value, nil); err != nil {
			return err
		}
		if p.deleted {
			continue
		}
		if err := g.writeCells(b, p); err != nil {
			return err
		}
	}
	if err := g.writeOutbox(b); err != nil {
		return err
	}
	if err := g.writeSeasons(b); err != nil {
		return err
	}
	return g.writeNames(b)
}

func (g *group) writeCells(b *pebble.Batch, p *boardPlan) error {
	for i := range p.cells {
		if err := g.writeCell(b, p, &p.cells[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) writeCell(b *pebble.Batch, p *boardPlan, c *cell) error {
	if !c.dirty {
		return nil
	}
	g.key = appendEntryKey(g.key[:0], p.number, p.state.season(), c.member)
	if !c.present {
		return b.Delete(g.key, nil)
	}
	g.value = appendEntry(g.value[:0], c.score, c.seq, c.rev, c.updated, c.data)
	return b.Set(g.key, g.value, nil)
}

// apply does in memory what is durable now, and fills in what the requests are answered.
func (g *group) apply() {
	for _, r := range g.requests {
		for i := range g.ends[r.ends[0]:r.ends[1]] {
			g.ends[r.ends[0]+i].apply(g.store)
		}
		if r.err != nil || r.outcome.Repeated {
			r.settle()
			continue
		}
		switch r.kind {
		case createBoard:
			g.store.applyCreate(r)
		case patchBoard:
			g.store.applyPatch(r)
		case deleteBoard:
			g.store.applyDelete(r)
		case applyBatch:
			g.applyBatch(r)
		case recordNote, settleMessage:
			g.store.applyOutbox(r)
		case endSeason: // is done
		case writeFinal:
			g.store.applyFinal(r.final)
		}
		if r.kept != nil {
			r.kept.answer = r.answer
		}
	}
	for _, p := range g.changed {
		p.board.seq = p.seq // nobody else looks at it
	}
}

func (s *Store) applyCreate(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := r.plan.board
	s.boards[r.plan.id] = b
	if b.ages != nil {
		s.aging = append(s.aging, b)
	}
	i, _ := slices.BinarySearch(s.ids, r.plan.id)
	s.ids = slices.Insert(s.ids, i, r.plan.id)
	s.metrics.boards.Store(int64(len(s.ids)))
	s.timetable.set(r.plan.id, b.due)
}

func (s *Store) applyPatch(r *request) {
	b := r.plan.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settings, b.run, b.rev = r.board, r.run, r.rev
	b.due = dueOf(&b.state)
	s.timetable.set(r.plan.id, b.due)
	b.drop(r.fallen)
	b.total = b.ranks.Len()
	s.metrics.entries.Add(-int64(len(r.fallen)))
}

func (s *Store) applyDelete(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := r.plan.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s.metrics.entries.Add(-int64(b.ranks.Len()))
	for _, p := range b.past {
		s.metrics.entries.Add(-int64(p.inMemory()))
	}
	b.deleted, b.rev, b.total = true, r.rev, 0
	b.ahead, b.ages = nil, nil
	s.aging = slices.DeleteFunc(s.aging, func(aging *board) bool { return aging == b })
	b.ranks, b.updated, b.data, b.revs = zset.New(zset.Order{}), column{}, nil, nil
	b.past, b.due = nil, 0
	s.timetable.set(r.plan.id, 0)
	i, _ := slices.BinarySearch(s.ids, r.plan.id)
	s.ids = slices.Delete(s.ids, i, i+1)
	s.metrics.boards.Store(int64(len(s.ids)))
}

func (g *group) applyBatch(r *request) {
	s := g.store
	plans := g.touched[r.touched[0]:r.touched[1]]
	if len(plans) > 1 {
		s.mu.Lock() // so that a list of boards does not show some before and some after
		defer s.mu.Unlock()
	}
	for _, p := range plans {
		p.board.mu.Lock()
	}
	entries := 0
	for _, p := range plans {
		entries -= p.season.inMemory()
	}
	steps := g.steps[r.steps[0]:r.steps[1]]
	results, views := make([]leaderboard.Result, len(steps)), make([]leaderboard.View, len(plans))
	for i := range steps {
		results[i] = steps[i].apply(r.batch.At.UnixMilli())
	}
	for i, p := range plans {
		p.season.total = p.season.ranks.Len()
		views[i] = s.view(&p.season.state)
		entries += p.season.inMemory()
	}
	s.metrics.entries.Add(int64(entries))
	for _, p := range plans {
		p.board.mu.Unlock()
	}
	if r.outcome.Results == nil { // else it is answered what was written down
		r.outcome.Results, r.outcome.Boards = results, views
	}
}

func (st *step) apply(updated int64) leaderboard.Result {
	b, member := st.plan.season, st.op.Member
	res := leaderboard.Result{Member: member, Accepted: st.accepted, Reason: st.reason, Rev: st.entryRev}
	if st.had {
		res.Previous = b.standing(member, st.was)
	}
	switch {
	case !st.accepted:
		res.Current = res.Previous
		return res
	case st.removes():
		b.remove(member)
	default:
		b.put(member, st.score, st.seq, st.entryRev, updated, st.data)
		res.Current = b.standing(member, st.score)
		b.drop(st.fallen)
	}
	b.rev = st.rev
	st.plan.board.rev = st.rev // of whatever season it was
	return res
}
