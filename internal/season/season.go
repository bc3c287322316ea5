// Package season computes when the seasons of a board begin and end. It knows
// calendars and time zones, not boards: it is given a setting and an instant, and
// says which season it is then.
//
// A wall-clock time, such as midnight of the first of the month in a zone, stands
// for the first instant at which a clock in that zone shows it or a later one.
// Where clocks are put forward over it, that is the instant at which they are;
// where they are put back and show it twice, the first of the two. So no boundary
// is left out, none comes twice, and they never change their order.
package season

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // so that a zone means the same on every machine, also on one without a database of them

	"github.com/robfig/cron/v3"
)

// Setting says when seasons begin and end. The zero Setting is one season that
// ends when somebody says so. Otherwise it has either Cron, or Every and From, or
// StartsAt, EndsAt or both.
type Setting struct {
	// Cron is five fields (minute, hour, day of the month, month, day of the week)
	// or one of @hourly, @daily, @weekly, @monthly and @yearly: a season ends, and
	// the next one begins, at each of these times in TimeZone.
	Cron string

	// Every is the length of a season, the first of which begins at From: hours and
	// minutes as in "36h", "90m" or "1h30m", or days or weeks as in "14d" or "2w",
	// which end at the same time of day in TimeZone as From, whatever clocks do in
	// between.
	Every string
	From  time.Time

	// TimeZone is a name of the IANA database, such as Europe/Berlin; "" is UTC.
	TimeZone string

	// StartsAt and EndsAt are the bounds of the only season. Either may be zero.
	StartsAt, EndsAt time.Time
}

// Bounds of what a [Setting] may say.
const (
	ShortestEvery = time.Minute
	LongestEvery  = 10 * 366 * 24 * time.Hour

	// horizon is how far the next boundary of a Cron may be away. It is a little
	// less than the five years in which package cron looks for one.
	horizon = 5*365*24*time.Hour - 48*time.Hour
)

// Errors of [Parse], for errors.Is.
var (
	ErrMixed    = errors.New("take one of cron, every with from, or starts_at with ends_at")
	ErrCron     = errors.New("cron is five fields (minute, hour, day of the month, month, day of the week) or @hourly, @daily, @weekly, @monthly or @yearly")
	ErrNever    = errors.New("there is no such date within five years")
	ErrEvery    = errors.New(`every is a length such as "14d", "2w", "36h" or "90m", from a minute to ten years`)
	ErrFrom     = errors.New("every needs from, when the first season begins, and from needs every")
	ErrTimeZone = errors.New("time_zone is a name of the IANA database, such as Europe/Berlin")
	ErrOrder    = errors.New("ends_at has to be after starts_at")
)

// Season is a stretch of time.
type Season struct {
	Start time.Time // zero: it has no beginning
	End   time.Time // the first instant after it; zero: it has no end that is known
	Open  bool      // scores count; otherwise nothing has begun, or everything has ended
}

// Schedule is a [Setting] that was checked. It does not change, and is safe for
// concurrent use.
type Schedule struct {
	setting Setting
	zone    *time.Location
	next    func(wall) wall // the first wall-clock boundary after one; zero if there is none. nil without wall-clock boundaries
	every   time.Duration   // of a Setting whose Every is hours and minutes
}

// wall is what a clock shows, kept as the instant at which one in UTC shows it.
type wall = time.Time

// Parse checks a setting.
func Parse(s Setting) (*Schedule, error) {
	sched := &Schedule{setting: s}
	kinds := 0
	for _, is := range []bool{s.Cron != "", s.Every != "" || !s.From.IsZero(), !s.StartsAt.IsZero() || !s.EndsAt.IsZero()} {
		if is {
			kinds++
		}
	}
	if kinds > 1 {
		return nil, ErrMixed
	}
	// LoadLocation takes Local for the zone of the machine, and paths within the database.
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "Local" {
		return nil, fmt.Errorf("%w, not %q", ErrTimeZone, s.TimeZone)
	}
	sched.zone = zone
	switch {
	case s.Cron != "":
		return sched, sched.parseCron()
	case s.Every != "" || !s.From.IsZero():
		return sched, sched.parseEvery()
	case !s.StartsAt.IsZero() && !s.EndsAt.IsZero() && !s.EndsAt.After(s.StartsAt):
		return nil, ErrOrder
	}
	return sched, nil
}

func (s *Schedule) parseCron() error {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	text := s.setting.Cron
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") || strings.HasPrefix(text, "@every") {
		return ErrCron // there are other settings for that
	}
	times, err := parser.Parse(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCron, err)
	}
	s.next = times.Next
	if times.Next(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return fmt.Errorf("%w: %q", ErrNever, text)
	}
	return nil
}

func (s *Schedule) parseEvery() error {
	if s.setting.Every == "" || s.setting.From.IsZero() {
		return ErrFrom
	}
	text := s.setting.Every
	days := 0
	for unit, length := range map[string]int{"d": 1, "w": 7} {
		if count, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.Atoi(count)
			if err != nil || n < 1 || time.Duration(n) > LongestEvery/(24*time.Hour)/time.Duration(length) {
				return fmt.Errorf("%w, not %q", ErrEvery, text)
			}
			days = n * length
		}
	}
	if days > 0 {
		from := wallOf(s.setting.From.In(s.zone))
		s.next = func(after wall) wall {
			if after.Before(from) {
				return from
			}
			passed := int(after.Sub(from) / (24 * time.Hour)) // wall-clock days have 24 hours
			return from.AddDate(0, 0, (passed/days+1)*days)
		}
		return nil
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < ShortestEvery || length > LongestEvery || length%time.Second != 0 {
		return fmt.Errorf("%w, not %q", ErrEvery, text)
	}
	s.every = length
	return nil
}

// At returns the season of an instant.
func (s *Schedule) At(t time.Time) Season {
	switch {
	case s.every > 0:
		from := s.setting.From
		if t.Before(from) {
			return Season{Start: from, End: from.Add(s.every)}
		}
		start := t.Add(-(t.Sub(from) % s.every))
		return Season{start, start.Add(s.every), true}
	case s.next != nil:
		if from := s.setting.From; t.Before(from) {
			return Season{Start: from, End: s.after(from)}
		} else if start := s.last(t); start.Before(from) { // From is the second of two instants of one time of day
			return Season{from, s.after(t), true}
		}
		return Season{s.last(t), s.after(t), true}
	}
	start, end := s.setting.StartsAt, s.setting.EndsAt
	return Season{start, end, !t.Before(start) && (end.IsZero() || t.Before(end))}
}

// after returns the first boundary after t; zero if there is none within the
// horizon.
func (s *Schedule) after(t time.Time) time.Time {
	// What is not after the wall-clock time of t was shown by then.
	for w := s.next(wallOf(t.In(s.zone))); !w.IsZero(); w = s.next(w) {
		if at := instant(w, s.zone); at.After(t) {
			return at
		}
	}
	return time.Time{}
}

// last returns the last boundary that is not after t; zero if there is none within
// the horizon.
func (s *Schedule) last(t time.Time) time.Time {
	now := wallOf(t.In(s.zone))
	for span := time.Hour; ; span = min(2*span, horizon) {
		var found time.Time
		for w := s.next(now.Add(-span)); !w.IsZero(); w = s.next(w) {
			at := instant(w, s.zone)
			if at.After(t) {
				break
			}
			found = at
		}
		if !found.IsZero() || span == horizon {
			return found
		}
	}
}

// wallOf returns what a clock shows at t in the zone of t.
func wallOf(t time.Time) wall {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant returns the first instant at which a clock in zone shows w or a later
// time.
func instant(w wall, zone *time.Location) time.Time {
	t := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), w.Nanosecond(), zone)
	start, end := t.ZoneBounds()
	switch shown := wallOf(t); {
	case shown.After(w): // w was left out when the clocks were put to what they show at start
		return start
	case shown.Before(w): // it will be left out
		return end
	}
	if start.IsZero() {
		return t
	}
	// It may have been shown before the clocks were put back.
	_, offset := start.Add(-1).Zone()
	if first := w.Add(-time.Duration(offset) * time.Second); first.Before(start) {
		return first.In(zone)
	}
	return t
}
