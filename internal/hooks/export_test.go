package hooks

import (
	"context"

	"laurel/internal/leaderboard"
)

// SeasonEnded records that a season of a board has ended as if it had been seen in the
// next, unless that is recorded already.
func (h *Hooks) SeasonEnded(ctx context.Context, board leaderboard.Board, season int, end SeasonEnd) error {
	want := h.asked(board.ID)
	if want == (asked{}) {
		return nil
	}
	return h.record(ctx, board, func(n note) (note, []event, bool) {
		if created := board.CreatedAt.UnixMilli(); n.Created != created {
			n = note{Created: created, Season: season}
		}
		if season < n.Season {
			return n, nil, false
		}
		n.drop(want)
		events := h.lastRecord(ctx, &n, board.ID, season, want)
		return n, append(events, n.end(board, season, end, want)...), true
	})
}
