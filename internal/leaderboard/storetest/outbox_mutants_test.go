package storetest

import (
	"context"
	"errors"

	"laurel/internal/leaderboard"
)

// Each method of the outbox of a brokenOutbox is the model's, unless there is another.
type brokenOutbox struct {
	*Model
	record  func(ctx context.Context, r leaderboard.Recording) ([]int, error)
	waiting func(ctx context.Context, queue, after string, limit int) (leaderboard.Waiting, error)
	settle  func(ctx context.Context, m leaderboard.Message, text []byte) error
}

func (s *brokenOutbox) Record(ctx context.Context, r leaderboard.Recording) ([]int, error) {
	if s.record != nil {
		return s.record(ctx, r)
	}
	return s.Model.Record(ctx, r)
}

func (s *brokenOutbox) Waiting(ctx context.Context, queue, after string, limit int) (leaderboard.Waiting, error) {
	if s.waiting != nil {
		return s.waiting(ctx, queue, after, limit)
	}
	return s.Model.Waiting(ctx, queue, after, limit)
}

func (s *brokenOutbox) Settle(ctx context.Context, m leaderboard.Message, text []byte) error {
	if s.settle != nil {
		return s.settle(ctx, m, text)
	}
	return s.Model.Settle(ctx, m, text)
}

// outboxMutants are not for the state machine, which makes no use of the outbox.
var outboxMutants = []mutant{
	{
		name: "whoever records last wins", caughtBy: "Outbox/of many who record the same one succeeds",
		store: func(m *Model) Store {
			return &brokenOutbox{Model: m, record: func(ctx context.Context, r leaderboard.Recording) ([]int, error) {
				for {
					note, err := m.Note(ctx, r.Board)
					if err != nil {
						return nil, err
					}
					r.After = note.Version
					if left, err := m.Record(ctx, r); !errors.Is(err, leaderboard.ErrNoteChanged) {
						return left, err
					}
				}
			}}
		},
	},
	{
		name: "messages are queued though the note was changed", caughtBy: "Outbox/a recording that comes after another note changes nothing",
		store: func(m *Model) Store {
			return &brokenOutbox{Model: m, record: func(ctx context.Context, r leaderboard.Recording) ([]int, error) {
				left, err := m.Record(ctx, r)
				if errors.Is(err, leaderboard.ErrNoteChanged) {
					m.mu.Lock()
					defer m.mu.Unlock()
					for i, out := range r.Messages {
						m.outbox.queued = append(m.outbox.queued, leaderboard.Message{Queue: out.Queue, Board: r.Board, Place: r.PlaceOf(i), Text: out.Text})
					}
				}
				return left, err
			}}
		},
	},
	{
		name: "a full queue keeps the note as it was", caughtBy: "Outbox/a full queue leaves messages out, and the note is replaced all the same",
		store: func(m *Model) Store {
			return &brokenOutbox{Model: m, record: func(ctx context.Context, r leaderboard.Recording) ([]int, error) {
				note := m.outbox.notes[r.Board]
				left, err := m.Record(ctx, r)
				if len(left) > 0 {
					m.mu.Lock()
					defer m.mu.Unlock()
					m.outbox.notes[r.Board] = leaderboard.Note{Version: r.After + 1, Text: note.Text}
				}
				return left, err
			}}
		},
	},
	{
		name: "a message keeps those about another board waiting", caughtBy: "Outbox/messages about a board wait in their order, those about others do not wait for them",
		store: func(m *Model) Store {
			return &brokenOutbox{Model: m, waiting: func(ctx context.Context, queue, after string, limit int) (leaderboard.Waiting, error) {
				w, err := m.Waiting(ctx, queue, after, limit)
				w.Oldest = w.Oldest[:min(1, len(w.Oldest))]
				return w, err
			}}
		},
	},
	{
		name: "a page begins with the board that the last one ended with", caughtBy: "Outbox/boards are told in pieces, by their ids",
		store: func(m *Model) Store {
			return &brokenOutbox{Model: m, waiting: func(ctx context.Context, queue, after string, limit int) (leaderboard.Waiting, error) {
				if after != "" {
					after = after[:len(after)-1] + string(after[len(after)-1]-1)
				}
				return m.Waiting(ctx, queue, after, limit)
			}}
		},
	},
	{
		name: "another text brings back a message", caughtBy: "Outbox/a message can be given another text in its place",
		store: func(m *Model) Store {
			return &brokenOutbox{Model: m, settle: func(ctx context.Context, message leaderboard.Message, text []byte) error {
				if err := m.Settle(ctx, message, nil); err != nil || text == nil {
					return err
				}
				m.mu.Lock()
				defer m.mu.Unlock()
				message.Text = text
				m.outbox.queued = append([]leaderboard.Message{message}, m.outbox.queued...)
				return nil
			}}
		},
	},
	{
		name: "messages are lost when the store is closed", caughtBy: "Outbox/the outbox is there again after opening",
		reopen: func(m *Model) { m.outbox.queued = nil },
	},
	{
		name: "notes are lost when the store is closed", caughtBy: "Outbox/the outbox is there again after opening",
		reopen: func(m *Model) { clear(m.outbox.notes) },
	},
}
