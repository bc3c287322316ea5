package localstore

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"sync"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/zset"
)

// board is a board in memory: its current season, and those before it. The
// committer alone changes it, under mu, so that the committer itself may read it
// without. A deleted board stays, for its rev.
type board struct {
	mu sync.RWMutex
	*standings
	past    []*past       // the oldest first, without a gap
	submits *submitCounts // of all seasons; nil until one is counted; the committer's alone
}

// standings is a season of a board in memory.
type standings struct {
	state
	ranks   *zset.Set
	updated column                     // by slot: when the entry changed last, in ms
	data    map[uint32]json.RawMessage // by slot, of those who have some
	ages    *zset.Set                  // members by updated, then rev, of a current season whose entries expire
	ahead   *zset.Set                  // the order as it is planned, of a board that is limited in size; the committer's alone
	revs    map[uint32]uint64          // by slot: the rev of the last change, of those for whom that is not their Seq
}

func newBoard(s state) *board { return &board{standings: newStandings(s)} }

func newStandings(s state) *standings {
	b := &standings{state: s, ranks: zset.New(order(s.settings)), data: make(map[uint32]json.RawMessage)}
	if s.settings.RankStyle == leaderboard.Dense {
		b.ranks.KeepLevels()
	}
	if s.settings.MaxEntries != 0 {
		b.ahead = zset.New(order(s.settings))
	}
	if s.settings.EntryTTL != 0 {
		b.ages = zset.New(zset.Order{Ascending: true})
	}
	return b
}

func order(b leaderboard.Board) zset.Order {
	return zset.Order{Ascending: b.Order == leaderboard.Ascending, LatestFirst: b.Ties == leaderboard.LatestTie}
}

// column holds a number for each slot. It grows by a piece at a time, so that
// no write waits for all of it to be copied.
type column struct{ pieces [][]int64 }

const pieceLen = 1 << 12

func (c *column) set(slot uint32, v int64) {
	for int(slot/pieceLen) >= len(c.pieces) {
		c.pieces = append(c.pieces, make([]int64, pieceLen))
	}
	c.pieces[slot/pieceLen][slot%pieceLen] = v
}

func (c *column) get(slot uint32) int64 { return c.pieces[slot/pieceLen][slot%pieceLen] }

// inMemory returns how many entries there are in memory.
func (b *standings) inMemory() int {
	if b.ranks == nil {
		return 0 // the standing is on the disk
	}
	return b.ranks.Len()
}

// put gives a member an entry.
func (b *standings) put(member string, score int64, seq, rev uint64, updated int64, data json.RawMessage) {
	slot := b.ranks.Set(member, score, seq)
	b.updated.set(slot, updated)
	if data != nil {
		b.data[slot] = data
	} else {
		delete(b.data, slot)
	}
	b.setRev(slot, seq, rev)
	if b.ages != nil {
		b.ages.Set(member, updated, rev)
	}
}

// setRev notes the rev of the last change of the entry with a slot.
func (b *standings) setRev(slot uint32, seq, rev uint64) {
	if rev == seq {
		delete(b.revs, slot)
		return
	}
	if b.revs == nil {
		b.revs = make(map[uint32]uint64)
	}
	b.revs[slot] = rev
}

// entryRev returns the rev of the last change of an entry.
func (b *standings) entryRev(e zset.Entry) uint64 {
	if rev, ok := b.revs[e.Slot]; ok {
		return rev
	}
	return e.Seq
}

// remove takes a member's entry away.
func (b *standings) remove(member string) {
	e, ok := b.ranks.Get(member)
	if !ok {
		return
	}
	delete(b.data, e.Slot)
	delete(b.revs, e.Slot)
	if b.ages != nil {
		b.ages.Remove(member)
	}
	b.ranks.Remove(member)
}

// standing returns the place of a member with a score.
func (b *standings) standing(member string, score int64) leaderboard.Standing {
	switch b.settings.RankStyle {
	case leaderboard.Competition:
		return leaderboard.Standing{Score: score, Rank: 1 + b.ranks.Better(score)}
	case leaderboard.Dense:
		return leaderboard.Standing{Score: score, Rank: 1 + b.ranks.BetterLevels(score)}
	}
	rank, _ := b.ranks.Rank(member)
	return leaderboard.Standing{Score: score, Rank: rank}
}

func (s *Store) view(st *state) leaderboard.View {
	return leaderboard.View{
		Board:    st.settings,
		Season:   st.run.Season,
		Rev:      st.rev,
		Epoch:    s.epoch,
		Total:    st.total,
		StartsAt: st.run.StartsAt,
		EndsAt:   st.run.EndsAt,
		Closed:   st.run.Closed,
	}
}

// entry returns an entry; rank is that of the rank style.
func (b *standings) entry(e zset.Entry, rank int) leaderboard.Entry {
	return leaderboard.Entry{
		Member:    e.Member,
		Score:     e.Score,
		Rank:      rank,
		Seq:       e.Seq,
		Rev:       b.entryRev(e),
		Data:      b.data[e.Slot],
		UpdatedAt: time.UnixMilli(b.updated.get(e.Slot)).UTC(),
	}
}

// emptyPage returns a page for n entries from an ordinal rank on, which is at least 1.
func emptyPage(v leaderboard.View, from, limit, end int) (p leaderboard.Page, first, n int) {
	from = max(from, 1)
	n = max(min(limit, end-from+1), 0)
	return leaderboard.Page{View: v, Entries: make([]leaderboard.Entry, 0, n), More: from+n <= end}, from, n
}

// rank implements [ranking].
func (b *standings) rank(member string) (int, bool, error) {
	rank, ok := b.ranks.Rank(member)
	return rank, ok, nil
}

// rankAfter implements [ranking].
func (b *standings) rankAfter(k zset.Key) (int, error) { return b.ranks.RankAfter(k), nil }

// page implements [ranking].
func (b *standings) page(v leaderboard.View, from, limit, end int) (leaderboard.Page, error) {
	p, from, n := emptyPage(v, from, limit, end)
	if n == 0 {
		return p, nil
	}
	style := b.settings.RankStyle
	var better, level int // of the last entry: how many have a better score, and, by dense ranks, how many such scores there are
	for ordinal, e := range b.ranks.Range(from) {
		rank := ordinal
		if style != leaderboard.Ordinal {
			if i := len(p.Entries); i == 0 {
				better = b.ranks.Better(e.Score)
				if style == leaderboard.Dense {
					level = b.ranks.BetterLevels(e.Score)
				}
			} else if p.Entries[i-1].Score != e.Score {
				better = ordinal - 1
				level++
			}
			rank = 1 + better
		}
		shown := b.entry(e, rank)
		if style == leaderboard.Dense {
			shown.Rank, shown.Better = 1+level, better
		}
		p.Entries = append(p.Entries, shown)
		if len(p.Entries) == n {
			break
		}
	}
	return p, nil
}

func notFound(id string) error {
	return leaderboard.Errorf(leaderboard.CodeBoardNotFound, "board %q does not exist", id)
}

func (s *Store) lookup(id string) (*board, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed
	}
	if b := s.boards[id]; b != nil {
		return b, nil
	}
	return nil, notFound(id)
}

func seasonNotFound(board string, season int) error {
	return leaderboard.Errorf(leaderboard.CodeSeasonNotFound, "board %q has no season %d", board, season)
}

// read calls f with a season of a board that nobody changes meanwhile. f must not
// wait, but for what it asks.
func (s *Store) read(at leaderboard.Ref, f func(ranking, leaderboard.View) error) error {
	b, err := s.lookup(at.Board)
	if err != nil {
		return err
	}
	b.mu.RLock()
	if !b.deleted && (at.Season == 0 || at.Season == b.run.Season) {
		defer b.mu.RUnlock()
		return f(b.standings, s.view(&b.state))
	}
	return s.readPast(b, at, f)
}

// readPast is read for a season that is not the current one. It gives back the board's
// mutex, with which it is called.
func (s *Store) readPast(b *board, at leaderboard.Ref, f func(ranking, leaderboard.View) error) error {
	locked := true
	defer func() {
		if locked {
			b.mu.RUnlock()
		}
	}()
	if b.deleted {
		return notFound(at.Board)
	}
	p := b.pastSeason(at.Season)
	if p == nil {
		return seasonNotFound(at.Board, at.Season)
	}
	st := p.standings
	if !p.final {
		return f(st, s.view(&st.state))
	}
	locked = false
	b.mu.RUnlock()
	return s.readFinal(at.Board, p, &st.state, func(r ranking) error { return f(r, s.view(&st.state)) })
}

// Board returns a board as it is now; see [leaderboard.Reader].
func (s *Store) Board(_ context.Context, id string) (view leaderboard.View, err error) {
	err = s.read(leaderboard.Ref{Board: id}, func(_ ranking, v leaderboard.View) error {
		view = v
		return nil
	})
	return view, err
}

// Boards returns boards in the order of their ids; see [leaderboard.Reader].
func (s *Store) Boards(_ context.Context, after string, limit int) ([]leaderboard.View, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed
	}
	ids, _ := s.idsAfter(after, limit)
	views := make([]leaderboard.View, len(ids))
	for i, id := range ids {
		b := s.boards[id]
		b.mu.RLock()
		views[i] = s.view(&b.state)
		b.mu.RUnlock()
	}
	return views, nil
}

// Entries returns a page of a board; see [leaderboard.Reader].
func (s *Store) Entries(_ context.Context, at leaderboard.Ref, r leaderboard.Range) (page leaderboard.Page, err error) {
	err = s.read(at, func(b ranking, v leaderboard.View) (err error) {
		from := min(r.Offset, v.Total) + 1
		switch {
		case r.Around != nil:
			score, err := r.Around.Scaled(v.Board.Decimals)
			if err != nil {
				return err
			}
			place, err := b.rankAfter(zset.Key{Score: score, Seq: math.MaxUint64})
			if err != nil {
				return err
			}
			from = min(place-r.Limit/2, v.Total-r.Limit+1)
		case r.After != nil:
			if from, err = b.rankAfter(zset.Key{Score: r.After.Score, Seq: r.After.Seq}); err != nil {
				return err
			}
		}
		page, err = b.page(v, from, r.Limit, r.End(v.Total))
		return err
	})
	return page, err
}

// Around returns a member and its neighbours; see [leaderboard.Reader].
func (s *Store) Around(_ context.Context, at leaderboard.Ref, member string, limit int) (page leaderboard.Page, err error) {
	err = s.read(at, func(b ranking, v leaderboard.View) error {
		rank, ok, err := b.rank(member)
		switch {
		case err != nil:
			return err
		case !ok:
			return memberNotFound(at.Board, member)
		}
		from := min(rank-limit/2, v.Total-limit+1)
		page, err = b.page(v, from, limit, v.Total)
		return err
	})
	return page, err
}

func memberNotFound(board, member string) error {
	return leaderboard.Errorf(leaderboard.CodeMemberNotFound, "member %q is not on board %q", member, board)
}

// Lookup returns the entries of members; see [leaderboard.Reader].
func (s *Store) Lookup(_ context.Context, at leaderboard.Ref, members []string) (page leaderboard.Page, err error) {
	err = s.read(at, func(b ranking, v leaderboard.View) (err error) {
		page, err = b.lookup(v, members)
		return err
	})
	return page, err
}

// lookup implements [ranking].
func (b *standings) lookup(v leaderboard.View, members []string) (leaderboard.Page, error) {
	page := leaderboard.Page{View: v, Entries: make([]leaderboard.Entry, len(members))}
	for i, member := range members {
		page.Entries[i] = leaderboard.Entry{Member: member}
		if e, ok := b.ranks.Get(member); ok {
			page.Entries[i] = b.entry(e, b.standing(member, e.Score).Rank)
			if b.settings.RankStyle == leaderboard.Dense {
				page.Entries[i].Better = b.ranks.Better(e.Score)
			}
		}
	}
	return page, nil
}

// Member looks for a member on boards; see [leaderboard.Reader].
func (s *Store) Member(_ context.Context, member, after string, limit int) (pages []leaderboard.Page, next string, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, "", errClosed
	}
	ids, more := s.idsAfter(after, limit)
	for _, id := range ids {
		b := s.boards[id]
		b.mu.RLock()
		if page, _ := b.lookup(s.view(&b.state), []string{member}); page.Entries[0].Rank > 0 { // in memory, and so without an error
			pages = append(pages, page)
		}
		b.mu.RUnlock()
	}
	if more {
		next = ids[len(ids)-1]
	}
	return pages, next, nil
}

// idsAfter returns at most limit ids of boards above after, and whether there are
// more. It must be called with mu, for as long as they are used.
func (s *Store) idsAfter(after string, limit int) (ids []string, more bool) {
	i, found := slices.BinarySearch(s.ids, after)
	if found {
		i++
	}
	ids = s.ids[i:]
	return ids[:min(limit, len(ids))], len(ids) > limit
}
