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
	if err := s.adoptable(ctx, b); err != nil {
		return leaderboard.View{}, err
	}
	return s.change(ctx, "create", b.ID, b, "")
}

// PatchBoard changes settings.
func (s *Store) PatchBoard(ctx context.Context, id string, patch leaderboard.Patch) (leaderboard.View, error) {
	for {
		view, err := s.Board(ctx, id)
		if err != nil {
			return leaderboard.View{}, err
		}
		set := s.settings.get(id)
		if set.board != view.Board {
			continue // changed since
		}
		changed, err := patch.Apply(set.board)
		if err != nil {
			return leaderboard.View{}, err
		}
		view, err = s.change(ctx, "patch", id, changed, strconv.FormatUint(set.revision, 10))
		if !errors.Is(err, errStale) {
			return view, err
		}
	}
}

// DeleteBoard removes a board, its entries and its seasons, all but its rev.
func (s *Store) DeleteBoard(ctx context.Context, id string) error {
	_, err := s.change(ctx, "delete", id, leaderboard.Board{}, "")
	return err
}

// change creates, patches or deletes a board.
func (s *Store) change(ctx context.Context, what, id string, b leaderboard.Board, revision string) (leaderboard.View, error) {
	if s.isClosed() {
		return leaderboard.View{}, errClosed
	}
	text, err := json.Marshal(b)
	if err != nil {
		return leaderboard.View{}, fmt.Errorf("settings of board %q: %w", id, err)
	}
	p := s.partition(id)
	args := []string{"", s.logCap, what, id, string(text), letters(b), revision, b.ZSet}
	for attempts := 0; ; attempts++ {
		answer, err := p.changeOnce(ctx, id, args)
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
func (p *partition) changeOnce(ctx context.Context, id string, args []string) (string, error) {
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
		keys := []string{p.meta, p.log, p.lane.key, p.state(id), p.ranks(id), p.entries(id), p.boards, p.adopted, p.levels(id)}
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
