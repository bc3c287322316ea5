package redisstore

import (
	"context"
	"encoding/json"
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

// ChangeBoard creates, patches or deletes a board, under a name if there is one.
func (s *Store) ChangeBoard(ctx context.Context, c leaderboard.BoardChange) (view leaderboard.View, repeated bool, err error) {
	if c.Once != "" {
		// First of all, as the change may not be possible any more when it has been made.
		view, err = s.change(ctx, "recall", c, leaderboard.Board{}, "")
		if err == nil || !errors.Is(err, leaderboard.ErrBoardNotFound) {
			view, repeated, err = told(view, err)
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
		return told(s.change(ctx, "create", c, *c.Create, ""))
	case c.Patch != nil:
		return told(s.patch(ctx, c))
	}
	return told(s.change(ctx, "delete", c, leaderboard.Board{}, ""))
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

func (s *Store) patch(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, error) {
	for {
		view, err := s.Board(ctx, c.ID)
		if err != nil {
			return leaderboard.View{}, err
		}
		set := s.settings.get(c.ID)
		if set.board != view.Board {
			continue // changed since
		}
		changed, err := c.Patch.Apply(set.board)
		if err != nil {
			return leaderboard.View{}, err
		}
		view, err = s.change(ctx, "patch", c, changed, strconv.FormatUint(set.revision, 10))
		if !errors.Is(err, errStale) {
			return view, err
		}
	}
}

// change creates, patches or deletes a board, or asks for the name of a change only:
// then the board is not found if there is none. If the change was made before, it returns a [*madeError].
func (s *Store) change(ctx context.Context, what string, c leaderboard.BoardChange, b leaderboard.Board, revision string) (leaderboard.View, error) {
	if s.isClosed() {
		return leaderboard.View{}, errClosed
	}
	id := c.ID
	text, err := json.Marshal(b)
	if err != nil {
		return leaderboard.View{}, fmt.Errorf("settings of board %q: %w", id, err)
	}
	p := s.partition(id)
	args := []string{"", s.logCap, what, id, string(text), letters(b), revision, b.ZSet}
	keys := []string{p.meta, p.log, p.lane.key, p.state(id), p.ranks(id), p.entries(id), p.boards, p.adopted, p.levels(id), p.counts(id, 0), p.counts(id, 1)}
	if c.Once != "" {
		keys = append(keys, p.once(id, c.Once))
		args = append(args, string(c.OnceDigest[:]))
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
		if what != "delete" {
			if _, err := s.settings.put(id, set, text); err != nil {
				return leaderboard.View{}, err
			}
		}
		views := []leaderboard.View{{Board: b, Season: 1, Rev: rev, Epoch: epoch, Total: total}}
		if b.ZSet != "" {
			s.adopter.hurry()
			_ = s.countAdopted(ctx, views) // the change is made, whatever can be read
		}
		return views[0], nil
	}
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
