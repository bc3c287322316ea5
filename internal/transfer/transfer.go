// Package transfer copies boards from one store to another, for who outgrows a
// store or looks for a way back.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"laurel/internal/leaderboard"
)

// Progress is called when a board has been copied, with the board as it is in
// the new store.
type Progress func(leaderboard.View)

// ErrNotEmpty is the error of a store that has boards already.
var ErrNotEmpty = errors.New("there are boards already")

const (
	boardsPage  = 100
	entriesPage = 1000
)

// Copy makes the boards of one store in another, which must have none: settings,
// seasons, scores, the order of ties, data and times. It reads the entries page by page,
// so that nobody may write to the store that is read meanwhile.
//
// Revs start anew, as the entries' changes are counted; the new store's epoch
// tells viewers so. When an error is returned, part of the boards is there.
func Copy(ctx context.Context, to leaderboard.Store, from leaderboard.Reader, progress Progress) error {
	if there, err := to.Boards(ctx, "", 1); err != nil {
		return err
	} else if len(there) > 0 {
		return ErrNotEmpty
	}
	after := ""
	for {
		views, err := from.Boards(ctx, after, boardsPage)
		if err != nil {
			return err
		}
		for _, v := range views {
			if err := copyBoard(ctx, to, from, v); err != nil {
				return fmt.Errorf("board %q: %w", v.Board.ID, err)
			}
			made, err := to.Board(ctx, v.Board.ID)
			if err != nil {
				return err
			}
			progress(made)
			after = v.Board.ID
		}
		if len(views) < boardsPage {
			return nil
		}
	}
}

// copyBoard makes a board with the seasons that are kept, under their numbers.
func copyBoard(ctx context.Context, to leaderboard.Store, from leaderboard.Reader, v leaderboard.View) error {
	// Bounds come last: entries that were there before them may lie beyond. So do
	// seasons, which would end now.
	plain := unbounded(v.Board)
	plain.Seasons = leaderboard.Seasons{Keep: v.Board.Seasons.Keep}
	if _, err := to.CreateBoard(ctx, plain); err != nil || v.Board.ZSet != "" {
		return err // the entries of a ZSET are not ours
	}
	seasons, err := from.Seasons(ctx, v.Board.ID)
	if err != nil {
		return err
	}
	slices.Reverse(seasons)
	end := func(season int, at time.Time) error {
		_, _, err := to.ChangeBoard(ctx, leaderboard.BoardChange{ID: v.Board.ID, End: &leaderboard.End{Season: season, At: at}})
		return err
	}
	current := 1
	for _, past := range seasons[:len(seasons)-1] {
		for ; current < past.Season; current++ { // those that are not kept
			if err := end(current, past.StartsAt); err != nil {
				return err
			}
		}
		if err := copyEntries(ctx, to, from, past); err != nil {
			return err
		}
		// It keeps the settings that it ended with.
		own := settings(past.Board)
		own.Seasons, own.At = &past.Board.Seasons, past.EndsAt
		if _, err := to.PatchBoard(ctx, v.Board.ID, own); err != nil {
			return err
		}
		if err := end(current, past.EndsAt); err != nil {
			return err
		}
		current++
		next := settings(unbounded(v.Board))
		next.Seasons, next.At = &plain.Seasons, past.EndsAt
		if _, err := to.PatchBoard(ctx, v.Board.ID, next); err != nil {
			return err
		}
	}
	for last := seasons[len(seasons)-1]; current < last.Season; current++ {
		if err := end(current, last.StartsAt); err != nil {
			return err
		}
	}
	if err := copyEntries(ctx, to, from, v); err != nil {
		return err
	}
	final := settings(v.Board)
	if v.Board.Seasons != plain.Seasons {
		final.Seasons, final.At = &v.Board.Seasons, time.Now().UTC().Truncate(time.Millisecond)
	} else if !v.Board.Bounded() && len(seasons) == 1 {
		return nil
	}
	_, err = to.PatchBoard(ctx, v.Board.ID, final)
	return err
}

func unbounded(b leaderboard.Board) leaderboard.Board {
	b.MinScore, b.MaxScore, b.MaxStep = leaderboard.Bound{}, leaderboard.Bound{}, leaderboard.Bound{}
	return b
}

// settings are those of a board that can change, but for Seasons.
func settings(b leaderboard.Board) leaderboard.Patch {
	return leaderboard.Patch{
		Policy: &b.Policy, RankStyle: &b.RankStyle, Top: &b.Top, Interval: &b.Interval,
		MinScore: &b.MinScore, MaxScore: &b.MaxScore, MaxStep: &b.MaxStep,
	}
}

// copyEntries copies the entries of a season to the current one of the new board,
// in the order in which each reached its score as far as equal ones are concerned: from
// the top, or where the latest of equals stands first, from the bottom.
func copyEntries(ctx context.Context, to leaderboard.Store, from leaderboard.Reader, v leaderboard.View) error {
	for done := 0; done < v.Total; done += entriesPage {
		r := leaderboard.Range{Offset: done, Limit: entriesPage}
		if v.Board.Ties == leaderboard.LatestTie {
			r.Offset = max(v.Total-done-entriesPage, 0)
			r.Limit = v.Total - done - r.Offset
		}
		page, err := from.Entries(ctx, leaderboard.Ref{Board: v.Board.ID, Season: v.Season}, r)
		if err != nil {
			return err
		}
		if page.Rev != v.Rev || len(page.Entries) != min(r.Limit, v.Total-r.Offset) {
			return errors.New("it was written to while it was copied")
		}
		if v.Board.Ties == leaderboard.LatestTie {
			slices.Reverse(page.Entries)
		}
		if err := write(ctx, to, v.Board, page.Entries); err != nil {
			return err
		}
	}
	return nil
}

// write writes entries. Those with equal scores are written one after the other,
// the others at the same time, for a store to gather.
func write(ctx context.Context, to leaderboard.Writer, b leaderboard.Board, entries []leaderboard.Entry) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && entries[n].Score == entries[0].Score {
			n++
		}
		equal := entries[:n]
		entries = entries[n:]
		wg.Go(func() {
			for _, batch := range batches(b, equal) {
				if _, err := to.Apply(ctx, batch); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// batches makes one batch of all neighbours that were changed at the same time.
func batches(b leaderboard.Board, entries []leaderboard.Entry) []leaderboard.Batch {
	var list []leaderboard.Batch
	for _, e := range entries {
		if n := len(list); n == 0 || !list[n-1].At.Equal(e.UpdatedAt) || len(list[n-1].Ops) == leaderboard.MaxBatch {
			list = append(list, leaderboard.Batch{At: e.UpdatedAt})
		}
		last := &list[len(list)-1]
		last.Ops = append(last.Ops, leaderboard.Op{
			Board:  b.ID,
			Kind:   leaderboard.Set,
			Member: e.Member,
			Score:  leaderboard.ScaledDecimal(e.Score, b.Decimals),
			Data:   e.Data,
		})
	}
	return list
}
