package storetest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"laurel/internal/leaderboard"
)

// someSeasons returns a setting by which seasons end often.
func (m *machine) someSeasons(t *rapid.T) leaderboard.Seasons {
	s := leaderboard.Seasons{
		Grace: rapid.SampledFrom([]int{0, 0, 1000, 40_000}).Draw(t, "grace"),
		Keep:  rapid.SampledFrom([]int{0, 1, 2, 5}).Draw(t, "keep"),
	}
	some := func(name string) time.Time {
		return m.clock.Add(time.Duration(rapid.IntRange(-40, 60).Draw(t, name)) * time.Second)
	}
	switch rapid.IntRange(0, 5).Draw(t, "seasons") {
	case 0, 1:
		s.Cron = "* * * * *"
	case 2:
		s.Every, s.From = "1m", some("from")
	case 3:
		s.EndsAt = some("ends")
	case 4:
		s.StartsAt = some("starts")
		s.EndsAt = s.StartsAt.Add(time.Minute)
	}
	return s
}

// someSeason returns the number of a season to be read.
func (m *machine) someSeason(t *rapid.T) int {
	if m.seasonal {
		return rapid.IntRange(-1, 7).Draw(t, "season")
	}
	return rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, -1}).Draw(t, "season")
}

// someLate has some operations name a season, those of one board the same.
func (m *machine) someLate(t *rapid.T, ops []leaderboard.Op) {
	if !m.seasonal || rapid.IntRange(0, 2).Draw(t, "late") > 0 {
		return
	}
	named := map[string]int{}
	for i := range ops {
		season, ok := named[ops[i].Board]
		if view, err := m.model.Board(m.ctx, ops[i].Board); !ok && err == nil {
			season = max(view.Season+rapid.SampledFrom([]int{-1, -1, -1, 0, -2, 1}).Draw(t, "season"), 0)
			named[ops[i].Board] = season
		}
		ops[i].Season = season
	}
}

// past refers to the seasons but for the current one.
func past(seasons []leaderboard.View) (refs []leaderboard.Ref) {
	for _, view := range seasons {
		refs = append(refs, leaderboard.Ref{Board: view.Board.ID, Season: view.Season})
	}
	return refs[min(1, len(refs)):]
}

// End ends a season, if it is due or by hand.
func (m *machine) End(t *rapid.T) {
	if !m.seasonal {
		t.Skip("nothing ends")
	}
	id := someBoards.Draw(t, "board")
	end := leaderboard.End{At: m.clock, Due: rapid.Bool().Draw(t, "due")}
	if view, err := m.model.Board(m.ctx, id); err == nil && rapid.Bool().Draw(t, "by number") {
		end.Season = view.Season + rapid.SampledFrom([]int{0, 0, 0, -1, 1}).Draw(t, "season")
	}
	c := leaderboard.BoardChange{ID: id, End: &end}
	if rapid.IntRange(0, 3).Draw(t, "once") == 0 {
		c.Once, c.OnceDigest = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name"), leaderboard.Digest{byte(end.Season), 1}
	}
	want, wantRepeated, wantErr := m.model.ChangeBoard(m.ctx, c)
	got, repeated, err := m.store.ChangeBoard(m.ctx, c)
	m.same(t, fmt.Sprintf("ChangeBoard(%q, %+v)", id, end), want, wantErr, got, err)
	if repeated != wantRepeated {
		t.Fatalf("ChangeBoard(%q, %+v): repeated = %t, want %t", id, end, repeated, wantRepeated)
	}
	if err == nil && !repeated {
		m.changed(id, got.Rev)
	}
}

// Later moves the clock, mostly over ends.
func (m *machine) Later(t *rapid.T) {
	if !m.seasonal {
		t.Skip("nothing ends")
	}
	m.clock = m.clock.Add(time.Duration(rapid.SampledFrom([]int{1, 20, 39, 60, 600}).Draw(t, "later")) * time.Second)
	if rapid.IntRange(0, 3).Draw(t, "sharp") == 0 {
		m.clock = m.clock.Truncate(time.Minute)
	}
}

// due is what Due answers.
type due struct {
	Boards []string
	Next   time.Time
}

// Due asks until the store has noticed everything, which it may take a second to.
func (m *machine) Due(t *rapid.T) {
	at := m.clock.Add(time.Duration(rapid.IntRange(-1, 120).Draw(t, "from now")) * time.Second)
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	var want, got due
	var wantErr, err error
	want.Boards, want.Next, wantErr = m.model.Due(m.ctx, at, limit)
	for end := time.Now().Add(3 * time.Second); ; {
		got.Boards, got.Next, err = m.store.Due(m.ctx, at, limit)
		if slices.Equal(want.Boards, got.Boards) && want.Next.Equal(got.Next) || time.Now().After(end) {
			break
		}
	}
	m.same(t, fmt.Sprintf("Due(%v, %d)", at, limit), want, wantErr, got, err)
}
