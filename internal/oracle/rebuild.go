package oracle

import (
	"context"
	"errors"
	"fmt"

	"laurel/client"
)

// rebuild deletes a board and creates it again, over and over. Its rev has to
// rise all the same, and it has to be empty each time it is new.
func (r *run) rebuild(ctx, playing context.Context) {
	const board = "rebuilt"
	var last uint64 // rev that was told
	var life int64  // in which it was
	rises := func(what string, rev uint64) error {
		if rev <= last {
			return wrong{fmt.Errorf("%s left it at rev %d, and it was at %d before", what, rev, last)}
		}
		last = rev
		return nil
	}
	round := func() error {
		if n := r.lives.n.Load(); n != life {
			life, last = n, 0 // it may be another store
		}
		created, err := r.api.CreateBoard(ctx, client.Settings{ID: board})
		if err != nil && client.CodeOf(err) != client.CodeBoardExists { // from a round that a fault cut short
			return err
		}
		if err == nil {
			if created.Total != 0 {
				return wrong{fmt.Errorf("it is new and has %d members", created.Total)}
			}
			if err := rises("its creation", created.Rev); err != nil {
				return err
			}
		}
		for _, member := range []string{"one", "two"} {
			out, err := r.api.Submit(ctx, board, client.Submission{Member: member, Score: "1"})
			if err != nil {
				return err
			}
			if err := rises("a submission", out.Rev); err != nil {
				return err
			}
		}
		err = r.api.DeleteBoard(ctx, board)
		if _, alone := r.place.(single); !alone && client.CodeOf(err) == client.CodeBoardNotFound {
			err = nil // the node that did it died, and nginx asked another one
		}
		if err != nil {
			return err
		}
		r.count(func(rep *Report) { rep.Rebuilt++ })
		return nil
	}
	for pause(playing, retryDelay) {
		moment := r.place.moment()
		counts, err := r.lives.in(round)
		if !counts || err == nil || ctx.Err() != nil {
			continue
		}
		refused, answered := errors.AsType[*client.Error](err)
		found, ours := errors.AsType[wrong](err)
		switch {
		case ours:
			err = found
		case !answered || refused.Code == "" || r.place.excuses(refused):
			if r.place.over(playing, moment) != nil {
				return // the traffic is over
			}
			continue
		}
		r.fail(fmt.Errorf("delete and create %q: %w", board, err))
		return
	}
}

// wrong is what the server must not do, unlike what a fault can do to a request.
type wrong struct{ error }
