package storetest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/season"
)

// run is the current season of a board, and those before it.
type run struct {
	number int
	starts time.Time
	ends   time.Time // zero: nobody knows
	opens  time.Time // no submissions before that; zero: they are taken
	closed bool
	latest time.Time // until when the season before is open to who names it; zero: it is not
	past   []*board  // the oldest first
}

// calendar asks when seasons are by the board's setting.
func (b *board) calendar(at time.Time) season.Season {
	s := b.settings.Seasons
	calendar, err := season.Parse(season.Setting{
		Cron: s.Cron, Every: s.Every, From: s.From, TimeZone: s.TimeZone, StartsAt: s.StartsAt, EndsAt: s.EndsAt,
	})
	if err != nil {
		panic(err)
	}
	return calendar.At(at)
}

// rolls reports whether seasons follow each other by themselves.
func (b *board) rolls() bool { return b.settings.Seasons.Cron+b.settings.Seasons.Every != "" }

func (b *board) grace() time.Duration {
	return time.Duration(b.settings.Seasons.Grace) * time.Millisecond
}

// toCome says that a season of the calendar has not begun.
func toCome(s season.Season, at time.Time) bool { return !s.Open && at.Before(s.Start) }

// found begins the first season.
func (b *board) found(at time.Time) {
	b.run = run{number: 1, starts: at}
	c := b.calendar(at)
	b.ends = c.End
	if toCome(c, at) {
		b.starts, b.opens = c.Start, c.Start
	}
}

// replan gives the current season the dates of a new setting.
func (b *board) replan(at time.Time) {
	c := b.calendar(at)
	waiting := at.Before(b.opens)
	b.closed = false
	if b.rolls() && toCome(c, at) && !waiting {
		b.ends = c.Start
		return
	}
	b.ends, b.opens = c.End, time.Time{}
	switch {
	case toCome(c, at):
		b.starts, b.opens = c.Start, c.Start
	case !b.settings.Seasons.StartsAt.IsZero():
		b.starts = b.settings.Seasons.StartsAt
	case waiting:
		b.starts = at
	}
}

// dueAt is when the season has to be ended; zero if that is unknown.
func (b *board) dueAt() time.Time {
	switch {
	case b.closed:
		return time.Time{}
	case b.ends.IsZero() || b.rolls():
		return b.ends
	}
	return b.ends.Add(b.grace())
}

func (b *board) isDue(at time.Time) bool {
	due := b.dueAt()
	return !due.IsZero() && !due.After(at)
}

// advance ends the season, and begins the next one, empty.
func (b *board) advance(at time.Time) {
	ended, pause := at, false
	if !b.ends.IsZero() && !at.Before(b.ends) || b.closed {
		ended, pause = b.ends, !b.rolls()
	}
	if ended.Before(b.starts) && b.opens.IsZero() {
		ended = b.starts
	}
	old := &board{settings: b.settings, rev: b.rev, entries: b.entries}
	old.run = run{number: b.number, starts: b.starts, ends: ended, closed: true}
	next := run{number: b.number + 1, past: append(slices.Clone(b.past), old)}
	if open := ended.Add(b.grace()); !b.closed && b.grace() > 0 && open.After(at) {
		next.latest = open
	}
	c := b.calendar(at)
	next.starts, next.ends = c.Start, c.End
	switch {
	case toCome(c, at):
		next.opens = c.Start
	case pause:
		next.starts = at
	case ended.After(next.starts):
		next.starts = ended
	}
	if !b.rolls() && !toCome(c, at) && !next.ends.After(at) {
		next.ends = time.Time{}
	}
	keep := b.settings.Seasons.Keep
	if keep == 0 {
		keep = 10
	}
	next.past = next.past[max(0, len(next.past)-keep):]
	b.entries, b.run = nil, next
}

// endSeason is ChangeBoard with an End.
func (m *Model) endSeason(ctx context.Context, id string, end leaderboard.End) (leaderboard.View, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.View{}, err
	}
	b, err := m.board(id)
	switch {
	case err != nil:
		return leaderboard.View{}, err
	case end.Season < 0 || end.Season > b.number:
		return leaderboard.View{}, leaderboard.ErrSeasonNotFound
	case end.Season > 0 && end.Season < b.number:
		return leaderboard.View{}, leaderboard.ErrSeasonEnded
	case end.Due:
		m.endIfDue(b, end.At)
	default:
		b.advance(end.At)
		m.changed(b)
	}
	return m.view(b), nil
}

func (m *Model) endIfDue(b *board, at time.Time) {
	if !b.isDue(at) {
		return
	}
	if b.rolls() {
		b.advance(at)
	} else {
		b.closed = true
	}
	m.changed(b)
}

// endDue ends what a batch finds due.
func (m *Model) endDue(batch leaderboard.Batch) {
	for _, op := range batch.Ops {
		if b, err := m.board(op.Board); err == nil {
			m.endIfDue(b, batch.At)
		}
	}
}

// clone returns a copy of a board that an operation may change.
func (b *board) clone() *board {
	c := *b
	c.entries, c.past, c.submits = slices.Clone(b.entries), slices.Clone(b.past), slices.Clone(b.submits)
	for i, old := range c.past {
		c.past[i] = old.clone()
	}
	return &c
}

// takes returns the season that an operation goes to.
func (b *board) takes(op leaderboard.Op, at time.Time) (*board, error) {
	switch {
	case op.Season < 0 || op.Season > b.number:
		return nil, leaderboard.ErrSeasonNotFound
	case op.Season == 0 || op.Season == b.number:
		if b.closed {
			return nil, leaderboard.ErrSeasonEnded
		}
		if op.Kind == leaderboard.Submit && at.Before(b.opens) {
			return nil, &leaderboard.Error{Code: leaderboard.CodeSeasonNotOpen, Message: "not open"}
		}
		return b, nil
	case op.Season == b.number-1 && at.Before(b.latest):
		return b.past[len(b.past)-1], nil
	}
	return nil, leaderboard.ErrSeasonEnded
}

// season returns the board that a reference names, as it is in that season.
func (m *Model) season(at leaderboard.Ref) (*board, error) {
	b, err := m.board(at.Board)
	if err != nil || at.Season == 0 || at.Season == b.number {
		return b, err
	}
	for _, old := range b.past {
		if old.number == at.Season {
			return old, nil
		}
	}
	return nil, leaderboard.ErrSeasonNotFound
}

// Seasons implements [leaderboard.Reader].
func (m *Model) Seasons(ctx context.Context, id string) ([]leaderboard.View, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	b, err := m.board(id)
	if err != nil {
		return nil, err
	}
	views := []leaderboard.View{m.view(b)}
	for _, old := range slices.Backward(b.past) {
		views = append(views, m.view(old))
	}
	return views, nil
}

// Due implements [leaderboard.Reader].
func (m *Model) Due(ctx context.Context, at time.Time, limit int) (boards []string, next time.Time, err error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return nil, time.Time{}, err
	}
	var timed []*board
	for _, b := range m.boards {
		if !b.deleted && !b.dueAt().IsZero() {
			timed = append(timed, b)
		}
	}
	slices.SortFunc(timed, func(x, y *board) int {
		return cmp.Or(x.dueAt().Compare(y.dueAt()), cmp.Compare(x.settings.ID, y.settings.ID))
	})
	for _, b := range timed {
		if !b.isDue(at) || len(boards) == limit {
			return boards, b.dueAt(), nil
		}
		boards = append(boards, b.settings.ID)
	}
	return boards, time.Time{}, nil
}
