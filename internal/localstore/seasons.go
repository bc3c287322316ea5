package localstore

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
)

// past is a season that has ended. As long as it is not final its standing is in
// memory, and late operations may change it. Once it is, that is on disk alone, and
// nothing about it changes any more. It is guarded by its board's mutex.
type past struct {
	*standings
	final bool
}

// season returns a past season, or nil.
func (b *board) pastSeason(season int) *past {
	i := season - b.oldest
	if i < 0 || i >= len(b.past) {
		return nil
	}
	return b.past[i]
}

// instant is a time as it is after a restart.
func instant(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// garbage is what is to be removed from the disk: all of a number, or if there is one,
// a season of it.
type garbage struct{ number, season uint32 }

func (g garbage) key(dst []byte) []byte {
	return appendSeasonKey(dst, garbagePrefix, g.number, g.season)
}

// prefixes are those of the keys to be removed. The record of a season goes with the change
// that drops it.
func (g garbage) prefixes() string {
	if g.season != 0 {
		return string([]byte{entryPrefix, finalPrefix})
	}
	return string([]byte{entryPrefix, finalPrefix, pastPrefix})
}

// seasonEnd is an end, to be done again in memory after the commit.
type seasonEnd struct {
	plan *boardPlan
	next *boardPlan // nil: the season is closed, and no other begins
	rev  uint64
	at   time.Time
}

// end plans the end of a season that is asked for.
func (g *group) end(r *request) error {
	p := g.live(r.id)
	if p == nil {
		return notFound(r.id)
	}
	if err := g.endRun(p, r.end); err != nil {
		return err
	}
	r.view = g.store.view(&g.boards[r.id].state)
	return nil
}

// endIfDue ends the season of a board, if there is one and it is due at an instant. It
// returns the plan of the season that there is then.
func (g *group) endIfDue(p *boardPlan, at time.Time) *boardPlan {
	if p == nil || p.due == 0 || at.UnixMilli() < p.due {
		return p
	}
	_ = g.endRun(p, leaderboard.End{At: at, Due: true}) // of any season, and so without an error
	return g.boards[p.id]
}

// endRun plans an end, if the rules say that there is to be one.
func (g *group) endRun(p *boardPlan, end leaderboard.End) error {
	end.At = instant(end.At)
	next, ended, err := p.settings.EndRun(p.run, end)
	if err != nil || next == p.run {
		return err
	}
	if next.Season == p.run.Season {
		p.run, p.due = next, 0
		p.rev++
		p.changed = g.tick()
		g.ends = append(g.ends, seasonEnd{plan: p, rev: p.rev})
		return nil
	}
	q := g.newPlan(p.id, p.board)
	q.state = p.state
	q.run, q.rev, q.total = next, p.rev+1, 0
	q.due = dueOf(&q.state)
	q.oldest = max(p.oldest, next.Season-p.settings.Seasons.Kept())
	q.season = newStandings(q.state)
	q.changed = g.tick()
	q.last, p.current = p, q
	p.run.EndsAt, p.run.Closed, p.run.Awaited, p.run.LateUntil = ended, true, false, time.Time{}
	p.due, p.changed = 0, q.changed
	for season := p.oldest; season < q.oldest; season++ {
		g.garbage = append(g.garbage, garbage{p.number, uint32(season)})
	}
	g.ends = append(g.ends, seasonEnd{plan: p, next: q, rev: q.rev, at: end.At})
	return nil
}

// touch begins a batch's work on a board: its season is ended if it is due, and what
// the batch changes of it can be put back. It returns the plan of the current season.
func (g *group) touch(p *boardPlan, op *leaderboard.Op, r *request, single bool) *boardPlan {
	p = g.endIfDue(p, r.batch.At)
	p.batch, p.target = r, p
	if op.Season != 0 {
		if late, _ := p.settings.Admit(p.run, op, r.batch.At); late { // an error comes again
			p.target = g.seasonBefore(p)
		}
	}
	g.touched = append(g.touched, p.target)
	if !single {
		g.remember(p)
		if p.target != p {
			g.remember(p.target)
		}
	}
	return p
}

// particular reports whether it has to be asked which season takes an operation.
func (p *boardPlan) particular(op *leaderboard.Op) bool {
	return op.Season != 0 || p.run.Awaited || p.run.Closed || p.target != p
}

// targetOf returns the plan of the season that takes an operation.
func (g *group) targetOf(p *boardPlan, op *leaderboard.Op, r *request) (*boardPlan, error) {
	late, err := p.settings.Admit(p.run, op, r.batch.At)
	if err != nil {
		return nil, err
	}
	if late != (p.target != p) {
		return nil, leaderboard.Errorf(leaderboard.CodeMixedSeasons, "two seasons of board %q are named", op.Board)
	}
	return p.target, nil
}

// seasonBefore returns the plan of the season before that of p, which must take late
// operations.
func (g *group) seasonBefore(p *boardPlan) *boardPlan {
	if p.last != nil {
		return p.last
	}
	last := g.newPlan(p.id, p.board)
	g.boards[p.id] = p
	last.current, p.last = p, last
	if p.before != nil && p.before.last != nil {
		last.before = p.before.last
		last.season, last.state = last.before.season, last.before.state
		return last
	}
	last.season = p.board.pastSeason(p.run.Season - 1).standings
	last.state = last.season.state
	return last
}

// writeSeasons puts what the group leaves of past seasons into a database batch.
func (g *group) writeSeasons(b *pebble.Batch) error {
	for _, f := range g.finals {
		if err := f.write(b); err != nil {
			return err
		}
	}
	for _, p := range g.used {
		now := g.boards[p.id]
		if p.current == p || p.changed == 0 || now.deleted || now.number != p.number || p.run.Season < now.oldest {
			continue
		}
		g.key = appendSeasonKey(g.key[:0], pastPrefix, p.number, p.state.season())
		g.value = appendPast(g.value[:0], &p.state, false)
		if err := b.Set(g.key, g.value, nil); err != nil {
			return err
		}
		if err := g.writeCells(b, p); err != nil {
			return err
		}
	}
	for _, x := range g.garbage {
		if x.season != 0 {
			if err := b.Delete(appendSeasonKey(nil, pastPrefix, x.number, x.season), nil); err != nil {
				return err
			}
		}
		g.key = x.key(g.key[:0])
		if err := b.Set(g.key, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// apply lets go of the standing of the season as it is, and begins an empty one.
func (e *seasonEnd) apply(s *Store) {
	b := e.plan.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.next == nil {
		b.run.Closed, b.rev, b.due = true, e.rev, 0
		s.timetable.set(e.plan.id, 0)
		return
	}
	old := b.standings
	old.run, old.due, old.ages = e.plan.run, 0, nil
	dropped := 0
	for ; dropped < len(b.past) && b.past[dropped].run.Season < e.next.oldest; dropped++ {
		s.metrics.entries.Add(-int64(b.past[dropped].inMemory()))
	}
	if n := len(b.past); n > 0 {
		s.finisher.hurry(b.past[n-1])
	}
	ended := &past{standings: old}
	b.past = append(slices.Clone(b.past[dropped:]), ended) // so that those that are gone are let go of
	b.standings = e.next.season
	s.timetable.set(e.plan.id, b.due)
	wait := time.Duration(0)
	if late := b.run.LateUntil; !late.IsZero() {
		wait = late.Sub(e.at) + clockSlack
	}
	s.finisher.add(b, e.plan.id, ended, wait)
}

// Seasons returns the seasons of a board; see [leaderboard.Reader].
func (s *Store) Seasons(_ context.Context, id string) (views []leaderboard.View, err error) {
	b, err := s.lookup(id)
	if err != nil {
		return nil, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.deleted {
		return nil, notFound(id)
	}
	views = append(make([]leaderboard.View, 0, 1+len(b.past)), s.view(&b.state))
	for _, p := range slices.Backward(b.past) {
		views = append(views, s.view(&p.state))
	}
	return views, nil
}
