package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
)

// readView reads a view that prelude.lua has described, behind its mark. name is that of
// the settings in the cache, and set what is known of them.
func (s *Store) readView(r *reader, epoch, name string, set *settings) (view leaderboard.View, is *settings, lock string, err error) {
	rev, total, revision := r.uint64(), int(r.uint32()), r.uint64()
	lock = r.take(int(r.byte()))
	text := r.take(int(r.uint16()))
	if r.bad {
		return view, nil, "", errAnswer
	}
	if text != "" {
		if set, err = s.settings.put(name, revision, []byte(text)); err != nil {
			return view, nil, "", err
		}
	}
	return set.view(rev, epoch, total), set, lock, nil
}

// known returns the revision of a board's settings that is known, as scripts
// are told, and those settings.
func (s *Store) known(id string) (*settings, string) {
	set := s.settings.get(id)
	return set, strconv.FormatUint(set.revision, 10)
}

// Board returns a board as it is now.
func (s *Store) Board(ctx context.Context, id string) (leaderboard.View, error) {
	if s.isClosed() {
		return leaderboard.View{}, errClosed
	}
	views, err := s.partition(id).views(ctx, []string{id})
	if err != nil {
		return leaderboard.View{}, s.fault(ctx, err)
	}
	if len(views) == 0 {
		return leaderboard.View{}, boardNotFound(id)
	}
	return views[0], nil
}

// views returns those of the partition's boards that exist.
func (p *partition) views(ctx context.Context, ids []string) ([]leaderboard.View, error) {
	for {
		views, _, locks, err := p.viewsOnce(ctx, ids)
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return nil, err
		}
		valid := true
		for _, lock := range locks {
			ok, err := p.readable(ctx, lock)
			if err != nil {
				return nil, err
			}
			valid = valid && ok
		}
		if valid {
			return views, p.store.countAdopted(ctx, views)
		}
	}
}

// viewsOnce returns errStale if a board's season was another one than was known; now it
// is known.
func (p *partition) viewsOnce(ctx context.Context, ids []string) (views []leaderboard.View, is []*settings, locks []string, err error) {
	keys, args := []string{p.meta}, []string{}
	sets := make([]*settings, len(ids))
	for i, id := range ids {
		set, revision := p.store.known(id)
		sets[i] = set
		keys = append(keys, p.state(id), p.ranks(nameOf(id, set.run.Season)))
		args = append(args, revision, strconv.Itoa(set.run.Season))
	}
	message, err := p.eval(ctx, scriptViews, keys, args)
	if err != nil {
		return nil, nil, nil, err
	}
	text, err := message.ToString()
	if err != nil || text == "" {
		return nil, nil, nil, fmt.Errorf("%s: script %s: %w", p, scriptViews, errAnswer)
	}
	stale := false
	r := reader{rest: text[1:]}
	epoch, us := r.head()
	p.heard(us)
	for i, id := range ids {
		switch r.byte() {
		case '0':
			continue
		case 'T':
			if err := p.store.readOthers(&r, id); err != nil {
				return nil, nil, nil, fmt.Errorf("%s: script %s: %w", p, scriptViews, err)
			}
			stale = true
			continue
		}
		view, set, lock, err := p.store.readView(&r, epoch, id, sets[i])
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%s: script %s: %w", p, scriptViews, err)
		}
		views, is = append(views, view), append(is, set)
		if lock != "" && !slices.Contains(locks, lock) {
			locks = append(locks, lock)
		}
	}
	if stale {
		return nil, nil, nil, errStale
	}
	return views, is, locks, nil
}

// readOthers reads settings that prelude.lua tells of instead of a view, behind the mark.
func (s *Store) readOthers(r *reader, id string) error {
	revision := r.uint64()
	text := r.take(int(r.uint16()))
	if r.bad {
		return errAnswer
	}
	_, err := s.settings.put(id, revision, []byte(text))
	return err
}

// Boards returns at most limit boards whose ids are above after. Boards of
// different partitions are read one after the other.
func (s *Store) Boards(ctx context.Context, after string, limit int) ([]leaderboard.View, error) {
	if s.isClosed() {
		return nil, errClosed
	}
	views := make([]leaderboard.View, 0)
	for len(views) < limit {
		ids, err := s.boardIDs(ctx, after, limit-len(views))
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		if len(ids) == 0 {
			break
		}
		found, err := s.viewsOf(ctx, ids)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		views = append(views, found...) // one may have been deleted in between
		after = ids[len(ids)-1]
	}
	return views, nil
}

// boardIDs returns the ids of at most limit boards of all partitions above after.
func (s *Store) boardIDs(ctx context.Context, after string, limit int) ([]string, error) {
	found := make([][]string, len(s.parts))
	err := s.each(func(p *partition) error {
		if t := p.trouble.Load(); t != nil && t.away {
			return t.err
		}
		limited, cancel := context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
		var err error
		found[p.n], err = p.boardIDs(limited, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(slices.Values(slices.Concat(found...)))
	return ids[:min(limit, len(ids))], nil
}

// viewsOf returns those of the boards that exist, in the order of ids, which is
// ascending.
func (s *Store) viewsOf(ctx context.Context, ids []string) ([]leaderboard.View, error) {
	asked := make([][]string, len(s.parts))
	for _, id := range ids {
		n := partitionOf(id, len(s.parts))
		asked[n] = append(asked[n], id)
	}
	found := make([][]leaderboard.View, len(s.parts))
	err := s.each(func(p *partition) (err error) {
		if len(asked[p.n]) > 0 {
			found[p.n], err = p.views(ctx, asked[p.n])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(slices.Values(slices.Concat(found...)), func(a, b leaderboard.View) int {
		return strings.Compare(a.Board.ID, b.Board.ID)
	}), nil
}

// Entries returns a page of a board from the top.
func (s *Store) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	if r.Around != nil {
		return s.aroundScore(ctx, at, r)
	}
	args := []string{"offset", strconv.Itoa(min(r.Offset, maxOffset))}
	if r.After != nil {
		// Scores and revs beyond what there can be are as far away as those at the end.
		score := max(-maxSeq, min(maxSeq, r.After.Score))
		args = []string{"after", strconv.FormatInt(score, 10), strconv.FormatUint(min(r.After.Seq, maxSeq), 10)}
	}
	return s.page(ctx, at, r, args...)
}

// aroundScore reads the page around a score. How it is scaled is among the board's
// settings; if those that are known are another board's, of the same id, which has
// been deleted, it is read again.
func (s *Store) aroundScore(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	set, _ := s.known(at.Board)
	decimals := set.board.Decimals
	for {
		score, invalid := r.Around.Scaled(decimals) // 0 if it cannot be
		page, err := s.page(ctx, at, r, "score", strconv.FormatInt(score, 10))
		switch {
		case err != nil:
			return page, err
		case page.Board.Decimals != decimals:
			decimals = page.Board.Decimals
		case invalid != nil:
			return leaderboard.Page{}, invalid
		default:
			return page, nil
		}
	}
}

// maxOffset is beyond every board.
const maxOffset = 1 << 40

// Around returns a member and its neighbours.
func (s *Store) Around(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error) {
	page, err := s.page(ctx, at, leaderboard.Range{Limit: limit}, "around", member)
	if err == errNoMember { //nolint:errorlint // it is never wrapped
		err = memberNotFound(member, at.Board)
	}
	return page, err
}

var errNoMember = errors.New("no such member")

// page reads the page that begins where the scripts are told; r says how far it goes.
func (s *Store) page(ctx context.Context, at leaderboard.Ref, r leaderboard.Range, where ...string) (page leaderboard.Page, err error) {
	p := s.partition(at.Board)
	err = s.read(ctx, p, scriptEntries, at, append([]string{strconv.Itoa(r.Limit)}, where...), func(view leaderboard.View, m []rueidis.RedisMessage) error {
		if view.Board.ZSet != "" {
			page, err = s.adoptedPage(ctx, view, r, where...)
		} else {
			page, err = readPage(view, m, r)
		}
		return err
	})
	return page, err
}

// Lookup returns one entry for each of members, in their order.
func (s *Store) Lookup(ctx context.Context, at leaderboard.Ref, members []string) (page leaderboard.Page, err error) {
	p := s.partition(at.Board)
	err = s.read(ctx, p, scriptLookup, at, members, func(view leaderboard.View, m []rueidis.RedisMessage) error {
		if view.Board.ZSet != "" {
			page, err = s.adoptedLookup(ctx, view, members)
		} else {
			page, err = readLookup(view, members, m)
		}
		return err
	})
	return page, err
}

// read runs a script that reads a board until it has seen none but whole batches.
func (s *Store) read(ctx context.Context, p *partition, id script, at leaderboard.Ref, args []string, take func(leaderboard.View, []rueidis.RedisMessage) error) error {
	if s.isClosed() {
		return errClosed
	}
	for {
		known := s.knownSeason(at)
		message, err := p.eval(ctx, id, p.keysOf(at.Board, known.season), append(known.args(), args...))
		if err != nil {
			return s.fault(ctx, err)
		}
		view, lock, answer, err := p.open(id, at, known.settings, message)
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return err
		}
		valid, err := p.readable(ctx, lock)
		if err != nil {
			return s.fault(ctx, err)
		}
		if valid {
			return take(view, answer)
		}
	}
}

// keysOf are the keys of a script that reads a season of a board.
func (p *partition) keysOf(board string, season int) []string {
	name := nameOf(board, season)
	return []string{p.meta, p.state(board), p.ranks(name), p.entries(name), p.levels(name), p.past(board)}
}

// open reads what every script that reads a season answers first, and returns the rest.
// It returns errStale if the current season was another one than was known; now it is
// known.
func (p *partition) open(id script, at leaderboard.Ref, set *settings, message rueidis.RedisMessage) (view leaderboard.View, lock string, rest []rueidis.RedisMessage, err error) {
	if message.IsString() {
		text, _ := message.ToString()
		if err := p.readWhy(text, at); err != nil {
			return view, "", nil, err
		}
	}
	answer, err := message.ToArray()
	if err != nil || len(answer) < 3 {
		return view, "", nil, fmt.Errorf("%s: script %s: %w", p, id, errAnswer)
	}
	text, err := answer[0].ToString()
	if err != nil || text == "" {
		return view, "", nil, fmt.Errorf("%s: script %s: %w", p, id, errAnswer)
	}
	r := reader{rest: text[1:]}
	if view, _, lock, err = p.openHead(&r, at, set); err != nil {
		return view, "", nil, fmt.Errorf("%s: script %s: %w", p, id, err)
	}
	return view, lock, answer[1:], nil
}

// readWhy returns why a season cannot be read, or nil if that is not what was answered.
func (p *partition) readWhy(answer string, at leaderboard.Ref) error {
	switch {
	case answer == "N":
		return boardNotFound(at.Board)
	case answer == "S":
		return leaderboard.Errorf(leaderboard.CodeSeasonNotFound, "board %q has no season %d", at.Board, at.Season)
	case len(answer) > 1 && answer[0] == 'T':
		r := reader{rest: answer[1:]}
		if err := p.store.readOthers(&r, at.Board); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		return errStale
	}
	return nil
}

// openHead reads head and view of a season.
func (p *partition) openHead(r *reader, at leaderboard.Ref, set *settings) (view leaderboard.View, is *settings, lock string, err error) {
	epoch, us := r.head()
	name := at.Board
	if r.byte() == 'P' {
		name = pastName(at.Board, at.Season)
	}
	if view, is, lock, err = p.store.readView(r, epoch, name, set); err == nil {
		p.heard(us)
	}
	return view, is, lock, err
}

// readEntry reads an entry as batch.lua writes it.
func readEntry(b *leaderboard.Board, member, text string) (leaderboard.Entry, error) {
	r := reader{rest: text}
	e := leaderboard.Entry{Member: member, Score: r.score(), Seq: r.uint64(), UpdatedAt: milliseconds(int64(r.uint64()))}
	if r.bad {
		return e, fmt.Errorf("entry of member %q on board %q is damaged", member, b.ID)
	}
	if b.Ties == leaderboard.LatestTie {
		e.Seq = maxSeq - e.Seq
	}
	e.Rev = e.Seq
	if len(r.rest) >= 8 && r.rest[0] == 0 {
		e.Rev = r.uint64()
	}
	if r.rest != "" {
		e.Data = json.RawMessage(r.rest)
	}
	return e, nil
}

func readPage(view leaderboard.View, m []rueidis.RedisMessage, r leaderboard.Range) (leaderboard.Page, error) {
	if text, err := m[0].ToString(); err == nil && text == "M" {
		return leaderboard.Page{}, errNoMember
	}
	if len(m) < 4 {
		return leaderboard.Page{}, errAnswer
	}
	start, err := m[0].ToInt64()
	rank, err2 := m[1].ToInt64()
	members, err3 := m[2].ToArray()
	entries, err4 := m[3].ToArray()
	dense := view.Board.RankStyle == leaderboard.Dense
	var better int64
	var err5 error
	if dense && len(m) > 4 {
		better, err5 = m[4].ToInt64()
	}
	if err := cmp.Or(err, err2, err3, err4, err5); err != nil || len(members) != len(entries) || dense && len(members) > 0 && len(m) < 5 {
		return leaderboard.Page{}, errAnswer
	}
	end := int64(r.End(view.Total))
	members = members[:max(0, min(int64(len(members)), end-start))]
	page := leaderboard.Page{View: view, Entries: make([]leaderboard.Entry, len(members))}
	page.More = start < end && start+int64(len(members)) < end
	for i := range members {
		name, err := members[i].ToString()
		text, err2 := entries[i].ToString()
		if err != nil || err2 != nil || len(name) < 8 {
			return leaderboard.Page{}, errAnswer
		}
		e, err := readEntry(&view.Board, name[8:], text)
		if err != nil {
			return leaderboard.Page{}, err
		}
		switch {
		case i == 0:
			e.Rank, e.Better = int(rank)+1, int(better)
		case view.Board.RankStyle != leaderboard.Ordinal && page.Entries[i-1].Score == e.Score:
			e.Rank, e.Better = page.Entries[i-1].Rank, page.Entries[i-1].Better
		case dense:
			e.Rank, e.Better = page.Entries[i-1].Rank+1, int(start)+i
		default:
			e.Rank = int(start) + i + 1
		}
		page.Entries[i] = e
	}
	return page, nil
}

func readLookup(view leaderboard.View, members []string, m []rueidis.RedisMessage) (leaderboard.Page, error) {
	entries, err := m[0].ToArray()
	ranks, err2 := m[1].ToArray()
	if err != nil || err2 != nil || len(entries) != len(members) || len(ranks) != len(members) {
		return leaderboard.Page{}, errAnswer
	}
	var better []rueidis.RedisMessage
	if view.Board.RankStyle == leaderboard.Dense && len(members) > 0 {
		if len(m) < 3 {
			return leaderboard.Page{}, errAnswer
		}
		if better, err = m[2].ToArray(); err != nil || len(better) != len(members) {
			return leaderboard.Page{}, errAnswer
		}
	}
	page := leaderboard.Page{View: view, Entries: make([]leaderboard.Entry, len(members))}
	for i, member := range members {
		rank, err := ranks[i].ToInt64()
		if err != nil {
			return leaderboard.Page{}, errAnswer
		}
		if rank < 0 {
			page.Entries[i].Member = member
			continue
		}
		text, err := entries[i].ToString()
		if err != nil {
			return leaderboard.Page{}, errAnswer
		}
		if page.Entries[i], err = readEntry(&view.Board, member, text); err != nil {
			return leaderboard.Page{}, err
		}
		page.Entries[i].Rank = int(rank) + 1
		if better != nil {
			n, err := better[i].ToInt64()
			if err != nil {
				return leaderboard.Page{}, errAnswer
			}
			page.Entries[i].Better = int(n)
		}
	}
	return page, nil
}
