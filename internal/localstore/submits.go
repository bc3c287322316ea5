package localstore

import (
	"slices"
	"strings"
	"time"

	"laurel/internal/leaderboard"
)

// submitCounts has how many submissions members have made on a board in a minute
// and in the one before or after. It is not on the disk.
type submitCounts struct {
	windows [2]submitWindow // by whether the minute is even
	last    time.Time       // when something was counted
}

type submitWindow struct {
	minute int64
	counts map[string]int
}

func (c *submitCounts) window(minute int64) *submitWindow { return &c.windows[minute&1] }

// forgetAfter is how long after the last one the counts of a board are kept.
const forgetAfter = 2 * time.Minute

// count counts a submission, or says that it is too many.
func (g *group) count(p *boardPlan, op *leaderboard.Op, at time.Time) error {
	b, minute := p.board, leaderboard.Minute(at)
	if b.submits == nil {
		b.submits = new(submitCounts)
		g.store.counting = append(g.store.counting, b)
	}
	b.submits.last = time.Now()
	w := b.submits.window(minute)
	if w.minute != minute || w.counts == nil {
		*w = submitWindow{minute, make(map[string]int)}
	}
	n := w.counts[op.Member]
	if n >= p.settings.SubmitsPerMinute {
		return p.settings.TooManySubmits(op, at)
	}
	if n == 0 {
		w.counts[strings.Clone(op.Member)] = 1 // the member may be a part of a request's body
	} else {
		w.counts[op.Member] = n + 1
	}
	return nil
}

// uncount takes back what was counted of steps that are not done.
func (g *group) uncount(steps []step, at time.Time) {
	minute := leaderboard.Minute(at)
	for i := range steps {
		st := &steps[i]
		if !st.counted || st.plan.board.submits == nil {
			continue
		}
		w := st.plan.board.submits.window(minute)
		n := w.counts[st.op.Member]
		switch {
		case w.minute != minute || n == 0:
		case n == 1:
			delete(w.counts, st.op.Member)
		default:
			w.counts[st.op.Member] = n - 1
		}
	}
}

// uncountAll takes back what was counted of a group that the disk did not take.
func (g *group) uncountAll() {
	for _, r := range g.requests {
		if r.kind == applyBatch && r.err == nil && !r.outcome.Repeated {
			g.uncount(g.steps[r.steps[0]:r.steps[1]], r.batch.At)
		}
	}
}

// forgetCounts lets go of counts that are of no more use.
func (s *Store) forgetCounts() {
	now := time.Now()
	s.counting = slices.DeleteFunc(s.counting, func(b *board) bool {
		if now.Sub(b.submits.last) < forgetAfter {
			return false
		}
		b.submits = nil
		return true
	})
}
