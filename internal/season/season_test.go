package season_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"laurel/internal/season"
)

func parse(t *testing.T, s season.Setting) *season.Schedule {
	t.Helper()
	sched, err := season.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return sched
}

// at reads an instant; "" is the zero one.
func at(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	found, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func show(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// TestClocksThatChange has boundaries at the very times that clocks leave out or
// show twice. What they do is public record: the IANA database, release 2024a.
func TestClocksThatChange(t *testing.T) {
	for _, c := range []struct {
		name, cron, zone, from string
		want                   []string // the boundaries that follow from, in UTC
	}{
		{
			"left out at 2 a.m.", "30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z",
			[]string{"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		},
		{
			"shown twice at 2 a.m.", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		},
		{
			"the other end of the hour that is shown twice", "0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"},
		},
		{
			"left out at 2 a.m. in America", "0 2 * * *", "America/New_York", "2026-03-07T12:00:00Z",
			[]string{"2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"},
		},
		{
			"midnight left out", "@daily", "Asia/Beirut", "2024-03-30T12:00:00Z",
			[]string{"2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z"},
		},
		{
			"midnight left out, on the day", "0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z",
			[]string{"2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		},
		{
			"midnight shown twice", "@daily", "America/Sao_Paulo", "2018-02-17T12:00:00Z",
			[]string{"2018-02-18T03:00:00Z", "2018-02-19T03:00:00Z"},
		},
		{
			"clocks put back to the midnight that has just been", "@daily", "America/Havana", "2023-11-04T12:00:00Z",
			[]string{"2023-11-05T04:00:00Z", "2023-11-06T05:00:00Z"},
		},
		{
			"midnight left out in Cuba", "@daily", "America/Havana", "2023-03-11T12:00:00Z",
			[]string{"2023-03-12T05:00:00Z", "2023-03-13T04:00:00Z"},
		},
		{
			"half an hour", "15 2 * * *", "Australia/Lord_Howe", "2025-10-04T00:00:00Z",
			[]string{"2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z"},
		},
		{
			"a whole day left out", "@daily", "Pacific/Apia", "2011-12-28T12:00:00Z",
			[]string{"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},
		},
		{
			"every Monday", "0 0 * * 1", "Europe/Berlin", "2026-03-22T00:00:00Z",
			[]string{"2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z", "2026-04-05T22:00:00Z"},
		},
		{
			"every first of a month", "@monthly", "", "2026-01-31T23:59:59Z",
			[]string{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			sched := parse(t, season.Setting{Cron: c.cron, TimeZone: c.zone})
			now := at(t, c.from)
			for _, want := range c.want {
				is := sched.At(now)
				if got := show(is.End); got != want {
					t.Fatalf("the season of %s ends at %s, want %s", show(now), got, want)
				}
				if before := sched.At(is.End.Add(-1)); !before.End.Equal(is.End) {
					t.Errorf("the season just before %s ends at %s", want, show(before.End))
				}
				now = is.End
				if begun := sched.At(now); !begun.Start.Equal(now) || !begun.Open {
					t.Errorf("at %s there is the season of %s", want, show(begun.Start))
				}
			}
		})
	}
}

// TestBoundariesAreWhatClocksShow compares with the definition, minute by minute.
func TestBoundariesAreWhatClocksShow(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	zones := []string{
		"UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "America/Havana",
		"America/Asuncion", "America/Santiago", "America/Godthab", "Africa/Casablanca", "Africa/Cairo", "Africa/Monrovia", "Asia/Beirut", "Asia/Gaza",
		"Asia/Tehran", "Asia/Amman", "Asia/Kathmandu", "Asia/Pyongyang", "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia", "Pacific/Kwajalein",
		"Pacific/Kiritimati", "Pacific/Chatham", "Antarctica/Troll", "Antarctica/Casey",
	}
	for range 200 {
		name := zones[rng.IntN(len(zones))]
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		hour, minute := rng.IntN(24), rng.IntN(60)
		if rng.IntN(2) == 0 {
			hour, minute = rng.IntN(4), 0
		}
		sched := parse(t, season.Setting{Cron: fmt.Sprintf("%d %d * * *", minute, hour), TimeZone: name})
		// A stretch around a change of the clocks, if there is one.
		from := time.Date(1973+rng.IntN(64), time.Month(1+rng.IntN(12)), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), 0, 0, time.UTC)
		if _, change := from.In(zone).ZoneBounds(); !change.IsZero() {
			from = change.UTC().Truncate(time.Minute).Add(-time.Duration(rng.IntN(3*24*60)) * time.Minute)
		}
		const days = 6
		what := fmt.Sprintf("%02d:%02d in %s from %s", hour, minute, name, show(from))

		// The first minute at which clocks show the time of a day, or a later one.
		shown := func(u time.Time) int64 {
			l := u.In(zone)
			return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC).Unix()
		}
		var want []time.Time
		newest := int64(-1 << 62)
		for u := from.Add(-50 * time.Hour); u.Before(from.Add(days * 24 * time.Hour)); u = u.Add(time.Minute) {
			now := shown(u)
			if now <= newest {
				continue
			}
			due := (now-int64(hour*3600+minute*60))/86400 != (newest-int64(hour*3600+minute*60))/86400
			if newest > 0 && due && u.After(from) {
				want = append(want, u)
			}
			newest = now
		}
		now := from
		for _, boundary := range want {
			is := sched.At(now)
			if !is.End.Equal(boundary) {
				t.Fatalf("%s: a season ends at %s, want %s", what, show(is.End), show(boundary))
			}
			if is.Start.After(now) || now.Sub(is.Start) > 49*time.Hour {
				t.Fatalf("%s: the season of %s begins at %s", what, show(now), show(is.Start))
			}
			inside := now.Add(time.Duration(rng.Int64N(int64(boundary.Sub(now)))))
			if got := sched.At(inside); got != is {
				t.Fatalf("%s: at %s it is the season from %s to %s, at %s that from %s to %s", what,
					show(now), show(is.Start), show(is.End), show(inside), show(got.Start), show(got.End))
			}
			now = boundary
		}
		if len(want) < days-2 {
			t.Fatalf("%s: %d boundaries were looked at", what, len(want))
		}
	}
}

func TestLengthsFromADate(t *testing.T) {
	for _, c := range []struct{ every, from, zone, now, start, end string }{
		{"36h", "2026-03-28T12:00:00+01:00", "Europe/Berlin", "2026-03-28T11:00:00Z", "2026-03-28T11:00:00Z", "2026-03-29T23:00:00Z"},
		{"36h", "2026-03-28T12:00:00+01:00", "Europe/Berlin", "2026-03-29T23:00:00Z", "2026-03-29T23:00:00Z", "2026-03-31T11:00:00Z"},
		{"1h30m", "2026-01-01T00:00:00Z", "", "2026-01-01T04:29:59Z", "2026-01-01T03:00:00Z", "2026-01-01T04:30:00Z"},
		{"1d", "2026-03-28T12:00:00+01:00", "Europe/Berlin", "2026-03-28T11:00:00Z", "2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z"},
		{"2w", "2026-03-23T00:00:00+01:00", "Europe/Berlin", "2026-04-10T00:00:00Z", "2026-04-05T22:00:00Z", "2026-04-19T22:00:00Z"},
		{"7d", "2026-03-23T00:00:00+01:00", "", "2026-03-29T23:30:00Z", "2026-03-29T23:00:00Z", "2026-04-05T23:00:00Z"},
		{"1d", "2026-10-25T02:30:00+01:00", "Europe/Berlin", "2026-10-25T01:45:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"},
	} {
		sched := parse(t, season.Setting{Every: c.every, From: at(t, c.from), TimeZone: c.zone})
		got := sched.At(at(t, c.now))
		if show(got.Start) != c.start || show(got.End) != c.end || !got.Open {
			t.Errorf("every %s from %s: at %s it is the season from %s to %s, want %s to %s", c.every, c.from, c.now, show(got.Start), show(got.End), c.start, c.end)
		}
		first := sched.At(at(t, c.from).Add(-time.Second))
		if first.Open || !first.Start.Equal(at(t, c.from)) || first.End != sched.At(first.Start).End {
			t.Errorf("every %s from %s: before, it is %+v", c.every, c.from, first)
		}
	}
}

func TestOnlySeason(t *testing.T) {
	for _, c := range []struct {
		start, end, now string
		open            bool
	}{
		{"", "", "2026-01-01T00:00:00Z", true},
		{"2026-02-01T00:00:00Z", "", "2026-01-31T23:59:59Z", false},
		{"2026-02-01T00:00:00Z", "", "2026-02-01T00:00:00Z", true},
		{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-02-28T23:59:59Z", true},
		{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", false},
		{"", "2026-03-01T00:00:00Z", "2025-03-01T00:00:00Z", true},
	} {
		got := parse(t, season.Setting{StartsAt: at(t, c.start), EndsAt: at(t, c.end)}).At(at(t, c.now))
		if want := (season.Season{Start: at(t, c.start), End: at(t, c.end), Open: c.open}); got != want {
			t.Errorf("at %s it is %+v, want %+v", c.now, got, want)
		}
	}
}

func TestRefusedSettings(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		setting season.Setting
		want    error
	}{
		{season.Setting{Cron: "@daily", StartsAt: from}, season.ErrMixed},
		{season.Setting{Cron: "@daily", Every: "1d", From: from}, season.ErrMixed},
		{season.Setting{Cron: "0 0 * *"}, season.ErrCron},
		{season.Setting{Cron: "0 0 0 * * *"}, season.ErrCron},
		{season.Setting{Cron: "61 0 * * *"}, season.ErrCron},
		{season.Setting{Cron: "@every 1h"}, season.ErrCron},
		{season.Setting{Cron: "TZ=Europe/Berlin 0 0 * * *"}, season.ErrCron},
		{season.Setting{Cron: "0 0 30 2 *"}, season.ErrNever},
		{season.Setting{Cron: "@daily", TimeZone: "Europe/Atlantis"}, season.ErrTimeZone},
		{season.Setting{Cron: "@daily", TimeZone: "Local"}, season.ErrTimeZone},
		{season.Setting{Cron: "@daily", TimeZone: "../UTC"}, season.ErrTimeZone},
		{season.Setting{Every: "1d"}, season.ErrFrom},
		{season.Setting{From: from}, season.ErrFrom},
		{season.Setting{Every: "0d", From: from}, season.ErrEvery},
		{season.Setting{Every: "-1w", From: from}, season.ErrEvery},
		{season.Setting{Every: "4000d", From: from}, season.ErrEvery},
		{season.Setting{Every: "99999999999999999999w", From: from}, season.ErrEvery},
		{season.Setting{Every: "59s", From: from}, season.ErrEvery},
		{season.Setting{Every: "1h0.5s", From: from}, season.ErrEvery},
		{season.Setting{Every: "soon", From: from}, season.ErrEvery},
		{season.Setting{StartsAt: from, EndsAt: from}, season.ErrOrder},
	} {
		if _, err := season.Parse(c.setting); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.setting, err, c.want)
		}
	}
}

// TestLongSilence has a schedule found again after years in which nobody asked.
func TestLongSilence(t *testing.T) {
	leap := parse(t, season.Setting{Cron: "0 0 29 2 *"})
	if got := leap.At(at(t, "2027-12-31T00:00:00Z")); show(got.Start) != "2024-02-29T00:00:00Z" || show(got.End) != "2028-02-29T00:00:00Z" {
		t.Errorf("it is the season from %s to %s", show(got.Start), show(got.End))
	}
	minutely := parse(t, season.Setting{Cron: "* * * * *", TimeZone: "Europe/Berlin"})
	now := at(t, "2026-10-25T00:30:30Z")
	if got := minutely.At(now); show(got.Start) != "2026-10-25T00:30:00Z" || show(got.End) != "2026-10-25T00:31:00Z" {
		t.Errorf("it is the season from %s to %s", show(got.Start), show(got.End))
	}
	// While clocks show an hour again, there are no boundaries.
	now = at(t, "2026-10-25T01:30:30Z")
	if got := minutely.At(now); show(got.Start) != "2026-10-25T00:59:00Z" || show(got.End) != "2026-10-25T02:00:00Z" {
		t.Errorf("it is the season from %s to %s", show(got.Start), show(got.End))
	}
}
