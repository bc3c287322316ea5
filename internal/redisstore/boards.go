package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"laurel/internal/leaderboard"
)

// CreateBoard makes an empty board with valid settings.
func (s *Store) CreateBoard(ctx context.Context, b leaderboard.Board) (leaderboard.View, error) {
	view, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: b.ID, Create: &b})
	return view, err
}

// PatchBoard changes settings.
func (s *Store) PatchBoard(ctx context.Context, id string, patch leaderboard.Patch) (leaderboard.View, error) {
	view, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: id, Patch: &patch})
	return view, err
}

// DeleteBoard removes a board, its entries and its seasons, all but its rev.
func (s *Store) DeleteBoard(ctx context.Context, id string) error {
	_, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: id})
	return err
}

// ChangeBoard creates, patches or deletes a board or ends its season, under a name if
// there is one.
func (s *Store) ChangeBoard(ctx context.Context, c leaderboard.BoardChange) (view leaderboard.View, repeated bool, err error) {
	if c.Once != "" {
		// First of all, as the change may not be possible any more when it has been made.
		answer, err := s.partition(c.ID).askName(ctx, c.ID, c.Once, c.OnceDigest)
		if err != nil {
			return leaderboard.View{}, false, err
		}
		if answer != "" {
			view, repeated, err = told(view, readMade(answer))
			if view.Board.ZSet != "" {
				views := []leaderboard.View{view}
				_ = s.countAdopted(ctx, views) // as it does after the change
				view = views[0]
			}
			return view, repeated, err
		}
	}
	switch {
	case c.Create != nil:
		if err := s.adoptable(ctx, *c.Create); err != nil {
			return leaderboard.View{}, false, err
		}
		b := *c.Create
		next := &settings{board: b, run: b.FirstRun(b.CreatedAt), first: 1}
		return told(s.change(ctx, c, making{what: "create", next: next}))
	case c.Patch != nil:
		return told(s.amend(ctx, c, boardChange(c).patch))
	case c.End != nil:
		return told(s.amend(ctx, c, boardChange(c).end))
	}
	_, repeated, err = told(s.amend(ctx, c, boardChange(c).remove))
	return leaderboard.View{}, repeated, err
}

// told takes apart what comes of a change with a name.
func told(view leaderboard.View, err error) (leaderboard.View, bool, error) {
	if before, ok := errors.AsType[*madeError](err); ok {
		return before.view, true, nil
	}
	return view, false, err
}

// madeError says that a change of the same name was made before.
type madeError struct{ view leaderboard.View }

func (e *madeError) Error() string { return "the change was made before" }

// readMade reads what is kept with the name of a change.
func readMade(answer string) error {
	r := reader{rest: answer[1:]}
	outcome, err := readRepeated(&r, answer[0], leaderboard.Batch{})
	if _, ok := errors.AsType[*spreadError](err); ok {
		return leaderboard.ErrOnceReused
	}
	if err != nil {
		return err
	}
	made := new(madeError)
	if len(outcome.Boards) > 0 {
		made.view = outcome.Boards[0]
	}
	return made
}

// boardChange is what makes a change of what a board is.
type boardChange leaderboard.BoardChange

// making is a change of a board as change.lua is told.
type making struct {
	what    string    // create, patch, end or delete; none if only the change's name is to be kept
	now     *settings // that the change is made to; nil at a creation
	next    *settings // that the board has then, and at a deletion had
	past    *settings // if a season becomes a past one, the settings that it keeps
	removed []int     // seasons that are removed, but for that of next
}

// patch makes the change of a patch.
func (c boardChange) patch(now *settings) (*making, error) {
	changed, err := c.Patch.Apply(now.board)
	if err != nil {
		return nil, err
	}
	next := *now
	next.board = changed
	if c.Patch.Seasons != nil {
		next.run = changed.Reschedule(now.run, c.Patch.At)
	}
	return &making{what: "patch", now: now, next: &next}, nil
}

// remove makes the change of a deletion.
func (c boardChange) remove(now *settings) (*making, error) {
	m := &making{what: "delete", now: now, next: now}
	for season := now.first; season < now.run.Season; season++ {
		m.removed = append(m.removed, season)
	}
	return m, nil
}

// amend makes a change to the settings that the board has, until they have not changed
// meanwhile. If there is nothing to change, the board is returned as it is.
func (s *Store) amend(ctx context.Context, c leaderboard.BoardChange, plan func(now *settings) (*making, error)) (leaderboard.View, error) {
	if known := s.settings.get(c.ID); known.revision > 0 {
		if m, err := plan(known); m != nil && err == nil {
			view, err := s.change(ctx, c, *m)
			if !errors.Is(err, errStale) {
				return view, err
			}
		}
	}
	for {
		now, view, err := s.fresh(ctx, c.ID)
		if err != nil {
			return leaderboard.View{}, err
		}
		m, err := plan(now)
		if err != nil {
			return leaderboard.View{}, err
		}
		if m == nil {
			if c.Once == "" {
				return view, nil
			}
			m = &making{what: "none", now: now, next: now}
		}
		view, err = s.change(ctx, c, *m)
		if !errors.Is(err, errStale) {
			return view, err
		}
	}
}

// fresh reads the settings of a board.
func (s *Store) fresh(ctx context.Context, id string) (*settings, leaderboard.View, error) {
	if s.isClosed() {
		return nil, leaderboard.View{}, errClosed
	}
	for {
		views, is, _, err := s.partition(id).viewsOnce(ctx, []string{id})
		switch {
		case errors.Is(err, errStale):
		case err != nil:
			return nil, leaderboard.View{}, s.fault(ctx, err)
		case len(views) == 0:
			return nil, leaderboard.View{}, boardNotFound(id)
		default:
			return is[0], views[0], nil
		}
	}
}

// change makes a change of a board. If it was made before, it returns a [*madeError].
func (s *Store) change(ctx context.Context, c leaderboard.BoardChange, m making) (leaderboard.View, error) {
	if s.isClosed() {
		return leaderboard.View{}, errClosed
	}
	id := c.ID
	text, err := m.next.text()
	if err != nil {
		return leaderboard.View{}, fmt.Errorf("settings of board %q: %w", id, err)
	}
	p := s.partition(id)
	b, revision, due, digest := m.next.board, "", "", ""
	if m.now != nil {
		revision = strconv.FormatUint(m.now.revision, 10)
	}
	if at := b.DueAt(m.next.run); m.what != "delete" && !at.IsZero() {
		due = strconv.FormatInt(at.UnixMilli(), 10)
	}
	life := b.EntryTTL
	if m.next.run.Closed {
		life = 0 // what has ended stays as it is
	}
	name := nameOf(id, m.next.run.Season)
	keys := []string{
		p.meta, p.log, p.lane.key, p.state(id), p.ranks(name), p.entries(name), p.boards, p.adopted, p.levels(name), p.past(id), p.due,
		p.counts(id, 0), p.counts(id, 1), p.ages(id), p.expiring,
	}
	for _, season := range m.removed {
		name := nameOf(id, season)
		keys = append(keys, p.ranks(name), p.entries(name), p.levels(name))
	}
	if c.Once != "" {
		keys = append(keys, p.once(id, c.Once))
		digest = digestOf(c.OnceDigest)
	}
	args := []string{
		"", s.logCap, m.what, id, string(text), letters(b), revision, b.ZSet, digest, strconv.Itoa(m.next.run.Season), due, "", "",
		strconv.Itoa(b.MaxEntries), strconv.Itoa(leaderboard.FallWithPatch), strconv.Itoa(life),
	}
	if m.past != nil {
		kept, err := m.past.text()
		if err != nil {
			return leaderboard.View{}, fmt.Errorf("settings of board %q: %w", id, err)
		}
		k := letters(m.past.board)
		args[11], args[12] = strconv.Itoa(m.past.run.Season), string(rune(len(k)))+k+string(kept)
	}
	for _, season := range m.removed {
		args = append(args, strconv.Itoa(season))
	}
	for attempts := 0; ; attempts++ {
		answer, err := p.changeOnce(ctx, keys, args)
		if err != nil {
			return leaderboard.View{}, err
		}
		switch answer[0] {
		case 'E':
			return leaderboard.View{}, leaderboard.Errorf(leaderboard.CodeBoardExists, "board %q exists already", id)
		case 'N':
			return leaderboard.View{}, boardNotFound(id)
		case 'T':
			return leaderboard.View{}, errStale
		case 'R', 'D', 'W':
			return leaderboard.View{}, readMade(answer)
		case 'B':
			if err := p.unlock(ctx, answer[1:], attempts); err != nil {
				return leaderboard.View{}, err
			}
			continue
		}
		r := reader{rest: answer[1:]}
		epoch, err := p.readHead(&r)
		rev, set, total := r.uint64(), r.uint64(), int(r.uint32())
		if err != nil || r.bad {
			return leaderboard.View{}, fmt.Errorf("%s: script %s: %w", p, scriptChange, errAnswer)
		}
		if m.what != "delete" {
			if _, err := s.settings.put(id, set, text); err != nil {
				return leaderboard.View{}, err
			}
		}
		views := []leaderboard.View{m.next.view(rev, epoch, total)}
		if b.ZSet != "" {
			s.adopter.hurry()
			_ = s.countAdopted(ctx, views) // the change is made, whatever can be read
		}
		return views[0], nil
	}
}

// askName returns what change.lua answers about a name that was used, or "".
func (p *partition) askName(ctx context.Context, board, once string, digest leaderboard.Digest) (string, error) {
	keys := []string{p.meta, p.log, p.lane.key, p.once(board, once)}
	answer, err := p.changeOnce(ctx, keys, []string{"", p.store.logCap, "recall", board, "", "", "", "", digestOf(digest)})
	if err != nil || answer[0] == 'N' {
		return "", err
	}
	return answer, nil
}

// digestOf is how change.lua is told the digest of what has a name.
func digestOf(digest leaderboard.Digest) string {
	if digest == noDigest {
		return "-"
	}
	return string(digest[:])
}

// changeOnce makes one call. It takes turns with others of the node, and goes on
// when nobody waits for it any more, so that the lane can be used again.
func (p *partition) changeOnce(ctx context.Context, keys, args []string) (string, error) {
	type result struct {
		answer string
		err    error
	}
	done := make(chan result, 1)
	select {
	case p.single <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if !p.store.begin() {
		<-p.single
		return "", errClosed
	}
	go func() {
		defer p.store.batches.Done()
		defer func() { <-p.single }()
		var r result
		r.answer, r.err = p.lane.call(context.Background(), scriptChange, keys, args)
		done <- r
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
