package storetest

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"laurel/internal/leaderboard"
)

// outbox is that of a [Model]. A model that was opened again has the same one.
type outbox struct {
	notes  map[string]leaderboard.Note
	queued []leaderboard.Message // of all queues, in the order of their boards and places
}

func newOutbox() *outbox { return &outbox{notes: map[string]leaderboard.Note{}} }

func (o *outbox) count(queue string) (n int) {
	for _, m := range o.queued {
		if m.Queue == queue {
			n++
		}
	}
	return n
}

// Note implements [leaderboard.Outbox].
func (m *Model) Note(ctx context.Context, board string) (leaderboard.Note, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.Note{}, err
	}
	return m.outbox.notes[board], nil
}

// Record implements [leaderboard.Outbox].
func (m *Model) Record(ctx context.Context, r leaderboard.Recording) (left []int, err error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	if m.outbox.notes[r.Board].Version != r.After {
		return nil, leaderboard.ErrNoteChanged
	}
	m.outbox.notes[r.Board] = leaderboard.Note{Version: r.After + 1, Text: bytes.Clone(r.Note)}
	for i, out := range r.Messages {
		if m.outbox.count(out.Queue) >= out.Limit {
			left = append(left, i)
			continue
		}
		m.outbox.queued = append(m.outbox.queued, leaderboard.Message{Queue: out.Queue, Board: r.Board, Place: r.PlaceOf(i), Text: bytes.Clone(out.Text)})
	}
	slices.SortFunc(m.outbox.queued, func(x, y leaderboard.Message) int {
		return cmp.Or(cmp.Compare(x.Board, y.Board), cmp.Compare(x.Place, y.Place))
	})
	return left, nil
}

// Waiting implements [leaderboard.Outbox].
func (m *Model) Waiting(ctx context.Context, queue, after string, limit int) (w leaderboard.Waiting, err error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return w, err
	}
	w.Queued = m.outbox.count(queue)
	last := after
	for _, message := range m.outbox.queued {
		if message.Queue == queue && message.Board > last && len(w.Oldest) < limit {
			last = message.Board
			w.Oldest = append(w.Oldest, message)
		}
	}
	return w, nil
}

// Settle implements [leaderboard.Outbox].
func (m *Model) Settle(ctx context.Context, message leaderboard.Message, text []byte) error {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return err
	}
	i := slices.IndexFunc(m.outbox.queued, func(other leaderboard.Message) bool {
		return other.Queue == message.Queue && other.Board == message.Board && other.Place == message.Place
	})
	switch {
	case i < 0:
	case text == nil:
		m.outbox.queued = slices.Delete(m.outbox.queued, i, i+1)
	default:
		m.outbox.queued[i].Text = bytes.Clone(text)
	}
	return nil
}
