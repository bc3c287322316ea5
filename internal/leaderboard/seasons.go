package leaderboard

import (
	"time"

	"laurel/internal/season"
)

// Limits of the settings of seasons.
const (
	DefaultKeep = 10   // past seasons that a board keeps unless told otherwise
	MaxKeep     = 1000 // past seasons that a board can keep
	MaxGrace    = 7 * 24 * time.Hour
)

// Seasons says when the seasons of a board begin and end. If it has none of Cron,
// Every, StartsAt and EndsAt, a season ends when somebody says so. With Cron or Every
// each season is followed by the next at once. StartsAt and EndsAt are the dates of
// one season; when that is over, its standing stays the current one, and takes no
// more scores, until somebody begins another. See [season.Setting] for what the
// first six mean.
type Seasons struct {
	Cron     string    `json:"cron,omitempty"`
	Every    string    `json:"every,omitempty"`
	From     time.Time `json:"from,omitzero"`
	TimeZone string    `json:"time_zone,omitempty"`
	StartsAt time.Time `json:"starts_at,omitzero"`
	EndsAt   time.Time `json:"ends_at,omitzero"`

	// Grace is for how many milliseconds after its end a season takes late scores: of
	// who names it, if another one has begun, and else any. 0 to MaxGrace.
	Grace int `json:"grace_ms,omitempty"`

	// Keep is how many past seasons are kept: 1 to MaxKeep, or 0 for DefaultKeep. Older
	// ones are removed when a season ends.
	Keep int `json:"keep,omitempty"`
}

func (s Seasons) setting() season.Setting {
	return season.Setting{Cron: s.Cron, Every: s.Every, From: s.From, TimeZone: s.TimeZone, StartsAt: s.StartsAt, EndsAt: s.EndsAt}
}

// Rolling reports whether each season is followed by the next at a time that is known.
func (s Seasons) Rolling() bool { return s.Cron != "" || s.Every != "" }

// GracePeriod is for how long a season takes late scores.
func (s Seasons) GracePeriod() time.Duration { return time.Duration(s.Grace) * time.Millisecond }

// Kept is how many past seasons are kept.
func (s Seasons) Kept() int {
	if s.Keep == 0 {
		return DefaultKeep
	}
	return s.Keep
}

// normal returns s with times as stores keep them: in whole milliseconds, in UTC.
func (s Seasons) normal() Seasons {
	for _, t := range []*time.Time{&s.From, &s.StartsAt, &s.EndsAt} {
		if !t.IsZero() {
			*t = t.UTC().Truncate(time.Millisecond)
		}
	}
	return s
}

func (s Seasons) validate() error {
	if _, err := season.Parse(s.setting()); err != nil {
		return &Error{Code: CodeInvalidBoard, Message: "seasons: " + err.Error()}
	}
	if err := within("seasons.grace_ms", s.Grace, 0, int(MaxGrace/time.Millisecond)); err != nil {
		return err
	}
	return within("seasons.keep", s.Keep, 0, MaxKeep)
}

// Run is the current season of a board, as stores keep it.
type Run struct {
	Season   int       // 1-based
	StartsAt time.Time // in whole milliseconds, as all of these
	EndsAt   time.Time // the first instant after it; zero: nobody knows
	Awaited  bool      // it was to begin later when this was written down: until StartsAt nothing can be submitted
	Closed   bool      // it has ended, and no other one has begun

	// LateUntil is until when the season before takes scores of who names it. It is
	// zero if it does not.
	LateUntil time.Time
}

// FirstRun returns the first season of a board that is created at an instant. The
// board must be valid.
func (b Board) FirstRun(at time.Time) Run {
	starts, ends, awaited := b.span(at)
	if !awaited {
		starts = at
	}
	return Run{Season: 1, StartsAt: starts, EndsAt: ends, Awaited: awaited}
}

// Reschedule returns a current season as it is after the setting of seasons was
// changed, at an instant, to that of b.
func (b Board) Reschedule(r Run, at time.Time) Run {
	starts, ends, awaited := b.span(at)
	begun := !r.Awaited || !at.Before(r.StartsAt)
	if begun && awaited && b.Seasons.Rolling() {
		r.EndsAt, r.Closed = starts, false // it goes on until the first of the new ones
		return r
	}
	switch {
	case awaited || !b.Seasons.StartsAt.IsZero():
		r.StartsAt = starts
	case !begun:
		r.StartsAt = at
	}
	r.EndsAt, r.Awaited = ends, awaited
	r.Closed = false // if it is over it is due, and will be closed anew
	return r
}

// span returns the season of an instant by the setting; awaited says that it
// begins later.
func (b Board) span(at time.Time) (starts, ends time.Time, awaited bool) {
	sched, err := season.Parse(b.Seasons.setting())
	if err != nil {
		return time.Time{}, time.Time{}, false // not of a valid board
	}
	s := sched.At(at)
	return s.Start.UTC(), s.End.UTC(), !s.Open && at.Before(s.Start)
}

// Due reports whether the season has to be ended before anything is done at an
// instant.
func (b Board) Due(r Run, at time.Time) bool {
	due := b.DueAt(r)
	return !due.IsZero() && !at.Before(due)
}

// DueAt returns when the season has to be ended: at its end if another one follows,
// else when it takes no more late scores. It is zero if nobody knows, and of one that
// was closed.
func (b Board) DueAt(r Run) time.Time {
	switch {
	case r.Closed || r.EndsAt.IsZero():
		return time.Time{}
	case b.followed(r):
		return r.EndsAt
	}
	return r.EndsAt.Add(b.Seasons.GracePeriod())
}

// EndRun ends the current season. If nothing is to be done, as end is for one that is
// due and this one is not, next is r. If the season is due and no other follows by
// itself, next is the same season, closed; who asks for an end that need not be due gets
// the one after that. Otherwise next is the season that follows. Then ended is the
// instant at which r ended: that of its end if it is over, which may be long ago, or
// else now. Seasons that would have begun and ended in between do not exist. The error has
// the code [CodeSeasonEnded] or [CodeSeasonNotFound].
func (b Board) EndRun(r Run, end End) (next Run, ended time.Time, err error) {
	due := b.Due(r, end.At)
	switch {
	case end.Season > r.Season || end.Season < 0:
		return r, time.Time{}, seasonNotFound(b.ID, end.Season)
	case end.Season != 0 && end.Season < r.Season:
		return r, time.Time{}, seasonEnded(b.ID, end.Season, r)
	case end.Due && !due:
		return r, time.Time{}, nil
	case end.Due && !b.followed(r):
		r.Closed = true
		return r, r.EndsAt, nil
	}
	over := r.Closed || !r.EndsAt.IsZero() && !end.At.Before(r.EndsAt) // it may take late scores
	ended = end.At
	if over {
		ended = r.EndsAt
	}
	if ended.Before(r.StartsAt) && !r.Awaited {
		ended = r.StartsAt // clocks differ
	}
	starts, ends, awaited := b.span(end.At)
	next = Run{Season: r.Season + 1, StartsAt: starts, EndsAt: ends, Awaited: awaited}
	switch {
	case awaited:
	case over && !b.followed(r): // there was a pause
		next.StartsAt = end.At
	case starts.Before(ended):
		next.StartsAt = ended
	}
	if !awaited && !b.Seasons.Rolling() && !ends.After(end.At) {
		next.EndsAt = time.Time{} // those dates were of the one before
	}
	if late := ended.Add(b.Seasons.GracePeriod()); !r.Closed && late.After(ended) && late.After(end.At) {
		next.LateUntil = late
	}
	return next, ended, nil
}

// followed reports whether the end of a season that is known is the beginning of
// another.
func (b Board) followed(r Run) bool {
	return b.Seasons.Rolling() || !r.EndsAt.Equal(b.Seasons.EndsAt)
}

func seasonNotFound(board string, season int) error {
	return Errorf(CodeSeasonNotFound, "board %q has no season %d", board, season)
}

func seasonEnded(board string, season int, r Run) error {
	return Errorf(CodeSeasonEnded, "season %d of board %q has ended; the current one is %d", season, board, r.Season)
}

// Admit says which season takes an operation at an instant, where r is not due: the
// current one, or, if late, the one before. The error has the code [CodeSeasonEnded],
// [CodeSeasonNotOpen] or [CodeSeasonNotFound].
func (b Board) Admit(r Run, op *Op, at time.Time) (late bool, err error) {
	switch {
	case op.Season == 0 || op.Season == r.Season:
		switch {
		case r.Closed:
			return false, Errorf(CodeSeasonEnded, "season %d of board %q has ended at %s", r.Season, b.ID, r.EndsAt.Format(time.RFC3339))
		case r.Awaited && op.Kind == Submit && at.Before(r.StartsAt):
			return false, Errorf(CodeSeasonNotOpen, "season %d of board %q begins at %s", r.Season, b.ID, r.StartsAt.Format(time.RFC3339))
		}
		return false, nil
	case op.Season > r.Season || op.Season < 0:
		return false, seasonNotFound(b.ID, op.Season)
	case op.Season == r.Season-1 && at.Before(r.LateUntil):
		return true, nil
	}
	return false, seasonEnded(b.ID, op.Season, r)
}
