// Package timekeeper ends the seasons of boards when they are due, so that viewers
// are told in time. It only has to be prompt: a season ends at its instant whoever
// comes first, as every write looks at it; and once, however many nodes try.
package timekeeper

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"laurel/internal/leaderboard"
)

// Boards is what the timekeeper needs of a [leaderboard.Service].
type Boards interface {
	// Due returns at most limit boards whose season is due now, and when the next of the
	// others will be.
	Due(ctx context.Context, limit int) (boards []string, next time.Time, err error)

	// EndDue ends the season of a board if it is due.
	EndDue(ctx context.Context, board string) (leaderboard.View, error)
}

// LookEvery is how often the timekeeper looks whether something is due that it was
// not told of: a board that was created or changed since it looked last, or one
// that could not be written.
const LookEvery = time.Second

// atOnce is how many boards are asked for at a time.
const atOnce = 100

// Timekeeper ends seasons.
type Timekeeper struct {
	boards Boards
	log    *slog.Logger
	failed bool // the last time; not to fill the log
}

// New returns a timekeeper; without a log it says nothing.
func New(boards Boards, log *slog.Logger) *Timekeeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Timekeeper{boards: boards, log: log}
}

// Run ends seasons until the context ends. What fails is tried again.
func (k *Timekeeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := LookEvery
		if next := k.CatchUp(ctx); !next.IsZero() {
			wait = max(0, min(wait, time.Until(next)))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// CatchUp ends the seasons that are due now. It returns when the next will be; zero if
// that is not known, or if something failed.
func (k *Timekeeper) CatchUp(ctx context.Context) (next time.Time) {
	for {
		due, next, err := k.boards.Due(ctx, atOnce)
		ended := 0
		for _, board := range due {
			view, endErr := k.boards.EndDue(ctx, board)
			switch {
			case endErr == nil:
				ended++
				k.log.Info("season ended", "board", board, "season", view.Season, "rev", view.Rev)
			case errors.Is(endErr, leaderboard.ErrBoardNotFound), errors.Is(endErr, leaderboard.ErrSeasonEnded):
				ended++ // by another node
			default:
				err = errors.Join(err, endErr)
			}
		}
		if err != nil && ctx.Err() == nil {
			if !k.failed {
				k.log.Warn("seasons that are due could not be ended; trying again", "error", err.Error())
			}
			k.failed = true
			return time.Time{}
		}
		k.failed = false
		if ended < atOnce {
			return next
		}
	}
}
