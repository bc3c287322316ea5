package storetest

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"time"

	"laurel/internal/leaderboard"
)

// ended returns a ChangeBoard that lets a mutant see what an end has done to a board,
// of which before is a copy, and change it.
func ended(m *Model, change func(b, before *board)) func(context.Context, leaderboard.BoardChange) (leaderboard.View, bool, error) {
	return func(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
		m.mu.Lock()
		before := m.boards[c.ID]
		if before != nil {
			before = before.clone()
		}
		m.mu.Unlock()
		view, repeated, err := m.ChangeBoard(ctx, c)
		if c.End == nil || err != nil || view.Season == before.number {
			return view, repeated, err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		b := m.boards[c.ID]
		change(b, before)
		return m.view(b), repeated, err
	}
}

// before returns an Apply that changes boards before the model applies a batch to them.
func before(m *Model, change func(b *board, batch *leaderboard.Batch)) func(context.Context, leaderboard.Batch) (leaderboard.Outcome, error) {
	return func(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
		batch.Ops = slices.Clone(batch.Ops)
		m.mu.Lock()
		for _, op := range batch.Ops {
			if b := m.boards[op.Board]; b != nil && !b.deleted {
				change(b, &batch)
			}
		}
		m.mu.Unlock()
		return m.Apply(ctx, batch)
	}
}

func init() { mutants = append(mutants, seasonMutants...) }

var seasonMutants = []mutant{
	{
		name: "a new season has the entries of the one before", caughtBy: "Seasons/an end by hand keeps the season as it stands and begins an empty one",
		store: func(m *Model) Store {
			return &broken{Model: m, change: ended(m, func(b, before *board) { b.entries = before.entries })}
		},
	},
	{
		name: "a past season is not closed", caughtBy: "Seasons/an end by hand keeps the season as it stands and begins an empty one",
		store: func(m *Model) Store {
			return &broken{Model: m, change: ended(m, func(b, _ *board) { b.past[len(b.past)-1].closed = false })}
		},
	},
	{
		name: "a past season has the rev of the end", caughtBy: "Seasons/an end by hand keeps the season as it stands and begins an empty one",
		store: func(m *Model) Store {
			return &broken{Model: m, change: ended(m, func(b, _ *board) { b.past[len(b.past)-1].rev = b.rev })}
		},
	},
	{
		name: "a past season has the settings of the current one", caughtBy: "Seasons/a past season answers every read as it did before its end, whatever comes after",
		store: func(m *Model) Store {
			return &broken{Model: m, change: ended(m, func(b, _ *board) {
				for _, old := range b.past {
					old.settings = b.settings
				}
			})}
		},
	},
	{
		name: "a season begins with rev 1", caughtBy: "Seasons/rev and seq go on over seasons",
		store: func(m *Model) Store {
			return &broken{Model: m, change: ended(m, func(b, _ *board) { b.rev = 1 })}
		},
	},
	{
		name: "one too many is kept", caughtBy: "Seasons/so many past seasons are kept, and older ones are removed",
		store: func(m *Model) Store {
			return &broken{Model: m, change: ended(m, func(b, before *board) {
				if n := len(before.past); n > 0 && before.past[0] != b.past[0] && n == len(b.past) {
					b.past = append(before.past[:1:1], b.past...)
				}
			})}
		},
	},
	{
		name: "one too few is kept", caughtBy: "Seasons/so many past seasons are kept, and older ones are removed",
		store: func(m *Model) Store {
			return &broken{Model: m, change: ended(m, func(b, before *board) {
				if n := len(b.past); n > 1 && n == len(before.past) {
					b.past = b.past[1:]
				}
			})}
		},
	},
	{
		name: "an end is of whatever season there is", caughtBy: "Seasons/an end that is asked for twice happens once",
		store: func(m *Model) Store {
			return &broken{Model: m, change: func(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
				if c.End != nil {
					end := *c.End
					c.End, end.Season = &end, 0
				}
				return m.ChangeBoard(ctx, c)
			}}
		},
	},
	{
		name: "an end need not be due", caughtBy: "Seasons/an end that has to be due waits until it is",
		store: func(m *Model) Store {
			return &broken{Model: m, change: func(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
				if c.End != nil {
					end := *c.End
					c.End, end.Due = &end, false
				}
				return m.ChangeBoard(ctx, c)
			}}
		},
	},
	{
		name: "two ends at once both happen", caughtBy: "Seasons/of many ends at once exactly one happens", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, change: func(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
				if view, err := m.Board(ctx, c.ID); err == nil && c.End != nil && c.End.Season == view.Season {
					for range 1000 {
						runtime.Gosched()
					}
					c.End = &leaderboard.End{At: c.End.At}
				}
				return m.ChangeBoard(ctx, c)
			}}
		},
	},
	{
		name: "an end is not told", caughtBy: "Seasons/the change log tells of ends and of late scores",
		store: func(m *Model) Store {
			return &broken{Model: m, change: func(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
				if c.End == nil {
					return m.ChangeBoard(ctx, c)
				}
				m.mu.Lock()
				was := len(m.log)
				m.mu.Unlock()
				view, repeated, err := m.ChangeBoard(ctx, c)
				m.mu.Lock()
				defer m.mu.Unlock()
				m.log = m.log[:was]
				return view, repeated, err
			}}
		},
		hidden: true, // the log may fold
	},
	{
		name: "the instant of the end is the season's last", caughtBy: "Seasons/a batch ends the season first if it is due by then, to the millisecond",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: before(m, func(b *board, batch *leaderboard.Batch) {
				if b.dueAt().Equal(batch.At) {
					batch.At = batch.At.Add(-time.Millisecond)
				}
			})}
		},
	},
	{
		name: "a season ended when somebody looked", caughtBy: "Seasons/a season that ended long ago is ended once, at its instant",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: before(m, func(b *board, batch *leaderboard.Batch) {
				if b.isDue(batch.At) {
					b.ends = batch.At
				}
			})}
		},
	},
	{
		name: "a batch that fails takes its ends back", caughtBy: "Seasons/a batch that fails leaves the ends that it began with, and nothing else",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
				copies := map[string]*board{}
				m.mu.Lock()
				for _, op := range batch.Ops {
					if b := m.boards[op.Board]; b != nil {
						copies[op.Board] = b.clone()
					}
				}
				m.mu.Unlock()
				outcome, err := m.Apply(ctx, batch)
				if err != nil {
					m.mu.Lock()
					defer m.mu.Unlock()
					maps.Copy(m.boards, copies)
				}
				return outcome, err
			}}
		},
	},
	{
		name: "late scores go to the current season", caughtBy: "Seasons/late scores are taken of who names the season before, for its grace",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: before(m, func(b *board, batch *leaderboard.Batch) {
				for i := range batch.Ops {
					if batch.Ops[i].Board == b.settings.ID && batch.Ops[i].Season == b.number-1 {
						batch.Ops[i].Season = 0
					}
				}
			})}
		},
	},
	{
		name: "late scores are taken without end", caughtBy: "Seasons/late scores are taken of who names the season before, for its grace",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: before(m, func(b *board, batch *leaderboard.Batch) {
				if !b.latest.IsZero() {
					b.latest = batch.At.Add(time.Second)
				}
			})}
		},
	},
	{
		name: "late scores are held to the rules of now", caughtBy: "Seasons/late scores are held to the rules that the season had at its end",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: before(m, func(b *board, _ *leaderboard.Batch) {
				for _, old := range b.past {
					old.settings = b.settings
				}
			})}
		},
	},
	{
		name: "a season that was closed takes scores", caughtBy: "Seasons/a season whose dates are over is closed, stays, and takes nothing, until another is begun",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: before(m, func(b *board, _ *leaderboard.Batch) {
				if b.closed {
					b.closed, b.ends = false, time.Time{}
				}
			})}
		},
	},
	{
		name: "a season takes scores before it begins", caughtBy: "Seasons/before a season begins it takes corrections alone",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: before(m, func(b *board, _ *leaderboard.Batch) { b.opens = time.Time{} })}
		},
	},
	{
		name: "what was answered is answered with the season of now", caughtBy: "Seasons/what was answered under a name is answered again when the season has ended",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, batch)
				if outcome.Repeated {
					outcome.Boards = slices.Clone(outcome.Boards)
					for i := range outcome.Boards {
						v := &outcome.Boards[i]
						if now, err := m.Board(ctx, v.Board.ID); err == nil {
							v.Season, v.StartsAt, v.EndsAt, v.Closed = now.Season, now.StartsAt, now.EndsAt, now.Closed
						}
					}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "a board that is created again has the seasons of the one before", caughtBy: "Seasons/a deleted board takes its seasons along, and one that is created again begins with the first",
		store: func(m *Model) Store {
			kept := map[string][]*board{}
			return &broken{
				Model: m,
				delete: func(ctx context.Context, id string) error {
					m.mu.Lock()
					if b := m.boards[id]; b != nil && len(b.past) > 0 {
						kept[id] = b.past
					}
					m.mu.Unlock()
					return m.DeleteBoard(ctx, id)
				},
				create: func(ctx context.Context, b leaderboard.Board) (leaderboard.View, error) {
					view, err := m.CreateBoard(ctx, b)
					if err == nil {
						m.boards[b.ID].past = kept[b.ID]
					}
					return view, err
				},
			}
		},
	},
	{
		name: "a change of the setting leaves the end where it was", caughtBy: "Seasons/a change of the setting lets the season go on, to another end",
		store: func(m *Model) Store {
			return &broken{Model: m, patch: func(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error) {
				m.mu.Lock()
				var ends time.Time
				if b := m.boards[id]; b != nil {
					ends = b.ends
				}
				m.mu.Unlock()
				if _, err := m.PatchBoard(ctx, id, p); err != nil {
					return leaderboard.View{}, err
				}
				m.mu.Lock()
				m.boards[id].ends = ends
				m.mu.Unlock()
				return m.Board(ctx, id)
			}}
		},
	},
	{
		name: "boards are due in the order of their ids", caughtBy: "Seasons/boards are due in the order of their ends",
		store: func(m *Model) Store {
			return &broken{Model: m, due: func(ctx context.Context, at time.Time, limit int) ([]string, time.Time, error) {
				boards, next, err := m.Due(ctx, at, limit)
				slices.Sort(boards)
				return boards, next, err
			}}
		},
		hidden: true, // as it would have to be three boards, and three seconds each time
	},
	{
		name: "seasons are listed from the oldest on", caughtBy: "Seasons/so many past seasons are kept, and older ones are removed",
		store: func(m *Model) Store {
			return &broken{Model: m, seasons: func(ctx context.Context, id string) ([]leaderboard.View, error) {
				views, err := m.Seasons(ctx, id)
				slices.Reverse(views)
				return views, err
			}}
		},
	},
	{
		name: "opening loses past seasons", caughtBy: "Seasons/a past season answers every read as it did before its end, whatever comes after",
		reopen: func(m *Model) {
			for _, b := range m.boards {
				b.past = nil
			}
		},
	},
	{
		name: "opening loses the end of a season", caughtBy: "Seasons/a board begins with the season that its setting says",
		reopen: func(m *Model) {
			for _, b := range m.boards {
				b.ends = time.Time{}
			}
		},
	},
	{
		name: "opening ends the grace", caughtBy: "Seasons/late scores are taken of who names the season before, for its grace",
		reopen: func(m *Model) {
			for _, b := range m.boards {
				b.latest = time.Time{}
			}
		},
	},
}
