package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"laurel/internal/leaderboard"
)

// maxNotes is how many notes are remembered. Forgetting one costs a read.
const maxNotes = 1 << 16

// known is a note as it is in the store.
type known struct {
	note
	version uint64
}

// Saw is shown the top of a board, and records what it tells. It implements
// feed.Witness.
func (h *Hooks) Saw(ctx context.Context, top leaderboard.Page) error {
	want := h.asked(top.Board.ID)
	if want == (asked{}) {
		return nil
	}
	return h.record(ctx, top.Board, func(n note) (note, []event, bool) {
		var events []event
		ended := n.Created == top.Board.CreatedAt.UnixMilli() && n.Season < top.Season
		if ended {
			events = h.lastRecord(ctx, &n, top.Board.ID, top.Season-1, want)
		}
		next, more, changed := n.after(top, want)
		return next, append(events, more...), changed
	})
}

// SeasonEnd is what is known of the end of a season when it is noticed. The rest is read
// with its standing.
type SeasonEnd struct {
	At    time.Time // when it ended; zero if nobody knows
	Final time.Time // from when on its standing does not change any more; zero if that is so already
}

// lastRecord looks for a record in the last state of a season, which may never
// have been seen.
func (h *Hooks) lastRecord(ctx context.Context, n *note, board string, season int, want asked) []event {
	if !want.record {
		return nil
	}
	top, err := h.store.Entries(ctx, leaderboard.Ref{Board: board, Season: season}, leaderboard.Range{Limit: 1})
	if err != nil || len(top.Entries) == 0 {
		return nil // it is not kept; or the store is away, and the recording will fail too
	}
	events, _ := n.reach(top)
	return events
}

// asked returns what the hooks ask for about a board.
func (h *Hooks) asked(board string) (want asked) {
	for _, w := range h.workers {
		want.leader = want.leader || w.hook.asks(NewLeader, board)
		want.record = want.record || w.hook.asks(RecordBeaten, board)
		want.season = want.season || w.hook.asks(SeasonEnded, board)
	}
	return want
}

// record makes the note of a board what follows on it, and queues the events, if
// anything has changed. next may be called more than once.
func (h *Hooks) record(ctx context.Context, b leaderboard.Board, next func(note) (note, []event, bool)) error {
	for {
		before, err := h.noteOf(ctx, b.ID)
		if err != nil {
			return fmt.Errorf("what was told about %q: %w", b.ID, err)
		}
		after, events, changed := next(before.note)
		if !changed {
			return nil
		}
		r := leaderboard.Recording{Board: b.ID, After: before.version}
		if r.Note, err = json.Marshal(after); err != nil {
			return err
		}
		owners, err := h.address(&r, events)
		if err != nil {
			return err
		}
		left, err := h.store.Record(ctx, r)
		switch {
		case errors.Is(err, leaderboard.ErrNoteChanged):
			h.forget(b.ID)
			continue
		case err != nil:
			h.forget(b.ID) // it may have been done
			return fmt.Errorf("record what happened to %q: %w", b.ID, err)
		}
		h.remember(b.ID, known{after, before.version + 1})
		h.recorded(owners, left)
		return nil
	}
}

// outgoing is whose a message is, and what.
type outgoing struct {
	worker *worker
	event  *event
}

// address puts events into a recording for those who asked for them.
func (h *Hooks) address(r *leaderboard.Recording, events []event) (owners []outgoing, err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range events {
		e := &events[i]
		e.At = now
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		for _, w := range h.workers {
			if !w.hook.asks(e.Event, e.Board) {
				continue
			}
			r.Messages = append(r.Messages, leaderboard.Outgoing{Queue: w.hook.queue(e.Event), Text: text, Limit: w.hook.Queue})
			owners = append(owners, outgoing{w, e})
		}
	}
	return owners, nil
}

// recorded counts what was recorded, and wakes those who deliver it.
func (h *Hooks) recorded(owners []outgoing, left []int) {
	for i, o := range owners {
		if len(left) > 0 && left[0] == i {
			left = left[1:]
			h.metrics.dropped.WithLabelValues(o.worker.hook.Name).Inc()
			h.log.Error("queue of a hook is full, an event is lost", "hook", o.worker.hook.Name, "event", o.event.Event, "board", o.event.Board, "id", o.event.ID)
			continue
		}
		h.metrics.recorded.WithLabelValues(o.worker.hook.Name, string(o.event.Event)).Inc()
		o.worker.nudge()
	}
}

// noteOf returns the note of a board.
func (h *Hooks) noteOf(ctx context.Context, board string) (known, error) {
	h.mu.Lock()
	k, ok := h.notes[board]
	h.mu.Unlock()
	if ok {
		return k, nil
	}
	found, err := h.store.Note(ctx, board)
	if err != nil {
		return k, err
	}
	if k.version = found.Version; k.version > 0 {
		if err := json.Unmarshal(found.Text, &k.note); err != nil {
			// Another version wrote it, or nobody knows who: begin anew.
			h.log.Error("what was told about a board cannot be read", "board", board, "error", err)
			k.note = note{}
		}
	}
	h.remember(board, k)
	return k, nil
}

func (h *Hooks) remember(board string, k known) {
	if h.opts.Shared {
		return // somebody else may change it
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.notes) >= maxNotes {
		clear(h.notes)
	}
	h.notes[board] = k
}

func (h *Hooks) forget(board string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.notes, board)
}
