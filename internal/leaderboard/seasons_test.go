package leaderboard_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laurel/internal/leaderboard"
)

// instant reads a time; "" is the zero one.
func instant(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	found, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return found.UTC()
}

func seasonal(t *testing.T, s leaderboard.Seasons) leaderboard.Board {
	t.Helper()
	b := leaderboard.Board{ID: "race", Seasons: s}.WithDefaults()
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

func run(t *testing.T, season int, starts, ends string) leaderboard.Run {
	t.Helper()
	return leaderboard.Run{Season: season, StartsAt: instant(t, starts), EndsAt: instant(t, ends)}
}

// kinds are the settings of the tables. On 29 March 2026 clocks go from 2 to 3 in
// Berlin, and from midnight to 1 in Beirut.
func kinds(t *testing.T) map[string]leaderboard.Seasons {
	t.Helper()
	return map[string]leaderboard.Seasons{
		"hand":       {},
		"hand grace": {Grace: 60_000},
		"hourly":     {Cron: "@hourly"},
		"grace":      {Cron: "@hourly", Grace: 600_000},
		"berlin":     {Cron: "30 2 * * *", TimeZone: "Europe/Berlin"},
		"beirut":     {Cron: "@daily", TimeZone: "Asia/Beirut"},
		"days":       {Every: "1d", From: instant(t, "2026-03-28T11:00:00Z"), TimeZone: "Europe/Berlin"},
		"36h":        {Every: "36h", From: instant(t, "2026-03-28T11:00:00Z"), Grace: 1000},
		"dates":      {StartsAt: instant(t, "2026-05-01T10:00:00Z"), EndsAt: instant(t, "2026-05-03T10:00:00Z")},
		"late dates": {StartsAt: instant(t, "2026-05-01T10:00:00Z"), EndsAt: instant(t, "2026-05-03T10:00:00Z"), Grace: 3_600_000},
		"from":       {StartsAt: instant(t, "2026-05-01T10:00:00Z")},
		"until":      {EndsAt: instant(t, "2026-05-03T10:00:00Z")},
	}
}

func TestFirstSeason(t *testing.T) {
	for _, c := range []struct {
		kind, at, starts, ends string
		awaited                bool
	}{
		{"hand", "2026-05-01T09:00:00Z", "2026-05-01T09:00:00Z", "", false},
		{"hourly", "2026-05-01T09:20:00Z", "2026-05-01T09:20:00Z", "2026-05-01T10:00:00Z", false},
		{"hourly", "2026-05-01T09:00:00Z", "2026-05-01T09:00:00Z", "2026-05-01T10:00:00Z", false},
		{"berlin", "2026-03-28T12:00:00Z", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", false},
		{"beirut", "2026-03-28T12:00:00Z", "2026-03-28T12:00:00Z", "2026-03-28T22:00:00Z", false},
		{"days", "2026-03-28T12:00:00Z", "2026-03-28T12:00:00Z", "2026-03-29T10:00:00Z", false},
		{"days", "2026-03-27T12:00:00Z", "2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z", true},
		{"36h", "2026-03-28T11:00:00Z", "2026-03-28T11:00:00Z", "2026-03-29T23:00:00Z", false},
		{"36h", "2026-01-01T00:00:00Z", "2026-03-28T11:00:00Z", "2026-03-29T23:00:00Z", true},
		{"dates", "2026-05-01T09:59:59Z", "2026-05-01T10:00:00Z", "2026-05-03T10:00:00Z", true},
		{"dates", "2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z", "2026-05-03T10:00:00Z", false},
		{"dates", "2026-05-02T10:00:00Z", "2026-05-02T10:00:00Z", "2026-05-03T10:00:00Z", false},
		{"from", "2026-04-01T00:00:00Z", "2026-05-01T10:00:00Z", "", true},
		{"until", "2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z", "2026-05-03T10:00:00Z", false},
	} {
		want := run(t, 1, c.starts, c.ends)
		want.Awaited = c.awaited
		if diff := cmp.Diff(want, seasonal(t, kinds(t)[c.kind]).FirstRun(instant(t, c.at))); diff != "" {
			t.Errorf("%s, created at %s (-want +got):\n%s", c.kind, c.at, diff)
		}
	}
}

func TestWhenASeasonIsDue(t *testing.T) {
	for _, c := range []struct {
		kind, ends string
		closed     bool
		want       string
	}{
		{"hand", "", false, ""},
		{"hourly", "2026-05-01T10:00:00Z", false, "2026-05-01T10:00:00Z"},
		{"grace", "2026-05-01T10:00:00Z", false, "2026-05-01T10:00:00Z"},
		{"dates", "2026-05-03T10:00:00Z", false, "2026-05-03T10:00:00Z"},
		{"dates", "2026-05-03T10:00:00Z", true, ""},
		{"dates", "", false, ""},
		{"late dates", "2026-05-03T10:00:00Z", false, "2026-05-03T11:00:00Z"},
	} {
		b, r := seasonal(t, kinds(t)[c.kind]), run(t, 3, "2026-04-01T00:00:00Z", c.ends)
		r.Closed = c.closed
		due := b.DueAt(r)
		if want := instant(t, c.want); !due.Equal(want) {
			t.Errorf("%s, a season until %s, closed = %t, is due at %v, want %v", c.kind, c.ends, c.closed, due, want)
		}
		if b.Due(r, due.Add(-time.Millisecond)) || b.Due(r, due) == due.IsZero() {
			t.Errorf("%s: due before it is due: %t, and then: %t", c.kind, b.Due(r, due.Add(-time.Millisecond)), b.Due(r, due))
		}
	}
}

func TestEndOfASeason(t *testing.T) {
	for _, c := range []struct {
		name, kind           string
		season               int // that is to be ended
		due                  bool
		starts, ends, at     string // of season 4
		closed, awaited      bool
		code                 leaderboard.Code
		next                 int
		nextStarts, nextEnds string
		nextClosed           bool
		nextAwaited          bool
		ended, late          string
	}{
		{
			name: "by hand", kind: "hand", starts: "2026-05-01T09:00:00Z", at: "2026-05-01T09:30:00Z",
			next: 5, nextStarts: "2026-05-01T09:30:00Z", ended: "2026-05-01T09:30:00Z",
		},
		{
			name: "by hand, by number", kind: "hand", season: 4, starts: "2026-05-01T09:00:00Z", at: "2026-05-01T09:30:00Z",
			next: 5, nextStarts: "2026-05-01T09:30:00Z", ended: "2026-05-01T09:30:00Z",
		},
		{
			name: "by hand, with grace", kind: "hand grace", starts: "2026-05-01T09:00:00Z", at: "2026-05-01T09:30:00Z",
			next: 5, nextStarts: "2026-05-01T09:30:00Z", ended: "2026-05-01T09:30:00Z", late: "2026-05-01T09:31:00Z",
		},
		{name: "by hand, of one that has ended", kind: "hand", season: 3, starts: "2026-05-01T09:00:00Z", at: "2026-05-01T09:30:00Z", code: leaderboard.CodeSeasonEnded},
		{name: "by hand, of one that is to come", kind: "hand", season: 5, starts: "2026-05-01T09:00:00Z", at: "2026-05-01T09:30:00Z", code: leaderboard.CodeSeasonNotFound},
		{name: "of none", kind: "hand", season: -1, starts: "2026-05-01T09:00:00Z", at: "2026-05-01T09:30:00Z", code: leaderboard.CodeSeasonNotFound},
		{
			name: "by a clock that is behind", kind: "hand", starts: "2026-05-01T09:00:00Z", at: "2026-05-01T08:59:59Z",
			next: 5, nextStarts: "2026-05-01T09:00:00Z", ended: "2026-05-01T09:00:00Z",
		},
		{name: "where it is never due", kind: "hand", due: true, starts: "2026-05-01T09:00:00Z", at: "2036-05-01T09:30:00Z"},

		{name: "before it is due", kind: "hourly", due: true, starts: "2026-05-01T09:00:00Z", ends: "2026-05-01T10:00:00Z", at: "2026-05-01T09:59:59Z"},
		{name: "of one that has ended, which need not be due", kind: "hourly", season: 3, due: true, starts: "2026-05-01T09:00:00Z", ends: "2026-05-01T10:00:00Z", at: "2026-05-01T09:59:59Z", code: leaderboard.CodeSeasonEnded},
		{
			name: "when it is due", kind: "hourly", due: true, starts: "2026-05-01T09:00:00Z", ends: "2026-05-01T10:00:00Z", at: "2026-05-01T10:00:00Z",
			next: 5, nextStarts: "2026-05-01T10:00:00Z", nextEnds: "2026-05-01T11:00:00Z", ended: "2026-05-01T10:00:00Z",
		},
		{
			name: "a little late, with grace", kind: "grace", due: true, starts: "2026-05-01T09:00:00Z", ends: "2026-05-01T10:00:00Z", at: "2026-05-01T10:00:01Z",
			next: 5, nextStarts: "2026-05-01T10:00:00Z", nextEnds: "2026-05-01T11:00:00Z", ended: "2026-05-01T10:00:00Z", late: "2026-05-01T10:10:00Z",
		},
		{
			name: "after a long pause, in which others would have been", kind: "grace", due: true, starts: "2026-05-01T09:00:00Z", ends: "2026-05-01T10:00:00Z", at: "2027-01-01T12:34:56Z",
			next: 5, nextStarts: "2027-01-01T12:00:00Z", nextEnds: "2027-01-01T13:00:00Z", ended: "2026-05-01T10:00:00Z",
		},
		{
			name: "by hand, after a long pause", kind: "grace", starts: "2026-05-01T09:00:00Z", ends: "2026-05-01T10:00:00Z", at: "2027-01-01T12:34:56Z",
			next: 5, nextStarts: "2027-01-01T12:00:00Z", nextEnds: "2027-01-01T13:00:00Z", ended: "2026-05-01T10:00:00Z",
		},
		{
			name: "by hand, before its time", kind: "grace", starts: "2026-05-01T09:00:00Z", ends: "2026-05-01T10:00:00Z", at: "2026-05-01T09:59:00Z",
			next: 5, nextStarts: "2026-05-01T09:59:00Z", nextEnds: "2026-05-01T10:00:00Z", ended: "2026-05-01T09:59:00Z", late: "2026-05-01T10:09:00Z",
		},
		{
			name: "by a clock that leaves the hour out", kind: "berlin", due: true, starts: "2026-03-28T01:30:00Z", ends: "2026-03-29T01:00:00Z", at: "2026-03-29T05:00:00Z",
			next: 5, nextStarts: "2026-03-29T01:00:00Z", nextEnds: "2026-03-30T00:30:00Z", ended: "2026-03-29T01:00:00Z",
		},
		{
			name: "by a clock that leaves midnight out", kind: "beirut", due: true, starts: "2026-03-27T22:00:00Z", ends: "2026-03-28T22:00:00Z", at: "2026-03-28T22:00:00Z",
			next: 5, nextStarts: "2026-03-28T22:00:00Z", nextEnds: "2026-03-29T21:00:00Z", ended: "2026-03-28T22:00:00Z",
		},
		{
			name: "at noon, whatever the clocks do", kind: "days", due: true, starts: "2026-03-28T11:00:00Z", ends: "2026-03-29T10:00:00Z", at: "2026-03-29T10:00:00.001Z",
			next: 5, nextStarts: "2026-03-29T10:00:00Z", nextEnds: "2026-03-30T10:00:00Z", ended: "2026-03-29T10:00:00Z",
		},
		{
			name: "after hours", kind: "36h", due: true, starts: "2026-03-28T11:00:00Z", ends: "2026-03-29T23:00:00Z", at: "2026-03-31T11:00:00Z",
			next: 5, nextStarts: "2026-03-31T11:00:00Z", nextEnds: "2026-04-01T23:00:00Z", ended: "2026-03-29T23:00:00Z",
		},
		{
			name: "by hand, before lengths begin", kind: "36h", starts: "2026-03-01T11:00:00Z", ends: "2026-03-28T11:00:00Z", at: "2026-03-05T00:00:00Z",
			next: 5, nextStarts: "2026-03-28T11:00:00Z", nextEnds: "2026-03-29T23:00:00Z", nextAwaited: true, ended: "2026-03-05T00:00:00Z", late: "2026-03-05T00:00:01Z",
		},

		{
			name: "of its dates", kind: "dates", due: true, starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-04T00:00:00Z",
			next: 4, nextStarts: "2026-05-01T10:00:00Z", nextEnds: "2026-05-03T10:00:00Z", nextClosed: true, ended: "2026-05-03T10:00:00Z",
		},
		{name: "of its dates, while it takes late scores", kind: "late dates", due: true, starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-03T10:59:59Z"},
		{
			name: "of its dates, when it takes no more", kind: "late dates", due: true, starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-03T11:00:00Z",
			next: 4, nextStarts: "2026-05-01T10:00:00Z", nextEnds: "2026-05-03T10:00:00Z", nextClosed: true, ended: "2026-05-03T10:00:00Z",
		},
		{name: "of its dates, again", kind: "dates", due: true, closed: true, starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-04T00:00:00Z"},
		{
			name: "by hand, after its dates", kind: "late dates", closed: true, starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-09T00:00:00Z",
			next: 5, nextStarts: "2026-05-09T00:00:00Z", ended: "2026-05-03T10:00:00Z",
		},
		{
			name: "by hand, after its dates, which nobody has closed", kind: "late dates", starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-09T00:00:00Z",
			next: 5, nextStarts: "2026-05-09T00:00:00Z", ended: "2026-05-03T10:00:00Z",
		},
		{
			name: "by hand, while it takes late scores", kind: "late dates", starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-03T10:30:00Z",
			next: 5, nextStarts: "2026-05-03T10:30:00Z", ended: "2026-05-03T10:00:00Z", late: "2026-05-03T11:00:00Z",
		},
		{
			name: "by hand, within its dates", kind: "late dates", starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-05-02T10:00:00Z",
			next: 5, nextStarts: "2026-05-02T10:00:00Z", nextEnds: "2026-05-03T10:00:00Z", ended: "2026-05-02T10:00:00Z", late: "2026-05-02T11:00:00Z",
		},
		{
			name: "by hand, of one that goes on for ever", kind: "from", starts: "2026-05-01T10:00:00Z", at: "2026-05-02T10:00:00Z",
			next: 5, nextStarts: "2026-05-02T10:00:00Z", ended: "2026-05-02T10:00:00Z",
		},
		{
			name: "by hand, before it has begun", kind: "dates", awaited: true, starts: "2026-05-01T10:00:00Z", ends: "2026-05-03T10:00:00Z", at: "2026-04-01T00:00:00Z",
			next: 5, nextStarts: "2026-05-01T10:00:00Z", nextEnds: "2026-05-03T10:00:00Z", nextAwaited: true, ended: "2026-04-01T00:00:00Z",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, 4, c.starts, c.ends)
			r.Closed, r.Awaited = c.closed, c.awaited
			want := r
			if c.next != 0 {
				want = run(t, c.next, c.nextStarts, c.nextEnds)
				want.Closed, want.Awaited, want.LateUntil = c.nextClosed, c.nextAwaited, instant(t, c.late)
			}
			got, ended, err := seasonal(t, kinds(t)[c.kind]).EndRun(r, leaderboard.End{Season: c.season, At: instant(t, c.at), Due: c.due})
			if leaderboard.CodeOf(err) != c.code || (err == nil) != (c.code == "") {
				t.Fatalf("error %v, want the code %q", err, c.code)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("next (-want +got):\n%s", diff)
			}
			if !ended.Equal(instant(t, c.ended)) {
				t.Errorf("ended at %v, want %s", ended, c.ended)
			}
		})
	}
}

func TestChangeOfTheSettingOfSeasons(t *testing.T) {
	begun := run(t, 2, "2026-04-20T08:00:00Z", "2026-05-20T08:00:00Z")
	begun.LateUntil = instant(t, "2026-04-20T09:00:00Z")
	awaited := run(t, 1, "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z")
	awaited.Awaited = true
	closed := run(t, 2, "2026-04-01T00:00:00Z", "2026-04-20T00:00:00Z")
	closed.Closed = true
	future := leaderboard.Seasons{Every: "1d", From: instant(t, "2026-05-10T00:00:00Z")}
	for _, c := range []struct {
		name         string
		to           leaderboard.Seasons
		was          leaderboard.Run
		starts, ends string
		awaited      bool
	}{
		{"to an end by hand", leaderboard.Seasons{}, begun, "2026-04-20T08:00:00Z", "", false},
		{"to the full hour", kinds(t)["hourly"], begun, "2026-04-20T08:00:00Z", "2026-05-01T10:00:00Z", false},
		{"to lengths that begin later", future, begun, "2026-04-20T08:00:00Z", "2026-05-10T00:00:00Z", false},
		{"to dates", kinds(t)["dates"], begun, "2026-05-01T10:00:00Z", "2026-05-03T10:00:00Z", true},
		{"to an end", kinds(t)["until"], begun, "2026-04-20T08:00:00Z", "2026-05-03T10:00:00Z", false},
		{"of one that has not begun, to an end by hand", leaderboard.Seasons{}, awaited, "2026-05-01T09:30:00Z", "", false},
		{"of one that has not begun, to lengths that begin later", future, awaited, "2026-05-10T00:00:00Z", "2026-05-11T00:00:00Z", true},
		{"of one that has not begun, to dates", kinds(t)["dates"], awaited, "2026-05-01T10:00:00Z", "2026-05-03T10:00:00Z", true},
		{"of one that was closed, to an end by hand", leaderboard.Seasons{}, closed, "2026-04-01T00:00:00Z", "", false},
		{"of one that was closed, to the full hour", kinds(t)["hourly"], closed, "2026-04-01T00:00:00Z", "2026-05-01T10:00:00Z", false},
		{"of one that was closed, to an end that is still to come", kinds(t)["until"], closed, "2026-04-01T00:00:00Z", "2026-05-03T10:00:00Z", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := run(t, c.was.Season, c.starts, c.ends)
			want.LateUntil, want.Awaited = c.was.LateUntil, c.awaited
			got := seasonal(t, c.to).Reschedule(c.was, instant(t, "2026-05-01T09:30:00Z"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhichSeasonTakesAnOperation(t *testing.T) {
	b := seasonal(t, kinds(t)["dates"])
	open := run(t, 3, "2026-05-01T10:00:00Z", "2026-05-03T10:00:00Z")
	open.LateUntil = instant(t, "2026-05-01T11:00:00Z")
	closed, awaited := open, open
	closed.Closed = true
	awaited.Awaited = true
	for _, c := range []struct {
		name   string
		run    leaderboard.Run
		season int
		kind   leaderboard.Kind
		at     string
		late   bool
		code   leaderboard.Code
	}{
		{"the current one", open, 0, leaderboard.Submit, "2026-05-01T10:30:00Z", false, ""},
		{"the current one, by number", open, 3, leaderboard.Submit, "2026-05-01T10:30:00Z", false, ""},
		{"the one before, in time", open, 2, leaderboard.Submit, "2026-05-01T10:59:59Z", true, ""},
		{"a removal from the one before, in time", open, 2, leaderboard.Remove, "2026-05-01T10:59:59Z", true, ""},
		{"the one before, too late", open, 2, leaderboard.Submit, "2026-05-01T11:00:00Z", false, leaderboard.CodeSeasonEnded},
		{"the one before that", open, 1, leaderboard.Set, "2026-05-01T10:30:00Z", false, leaderboard.CodeSeasonEnded},
		{"the next one", open, 4, leaderboard.Submit, "2026-05-01T10:30:00Z", false, leaderboard.CodeSeasonNotFound},
		{"none", open, -1, leaderboard.Submit, "2026-05-01T10:30:00Z", false, leaderboard.CodeSeasonNotFound},
		{"one that was closed", closed, 0, leaderboard.Submit, "2026-05-04T10:00:00Z", false, leaderboard.CodeSeasonEnded},
		{"a correction of one that was closed", closed, 3, leaderboard.Set, "2026-05-04T10:00:00Z", false, leaderboard.CodeSeasonEnded},
		{"one that is to come", awaited, 0, leaderboard.Submit, "2026-05-01T09:59:59Z", false, leaderboard.CodeSeasonNotOpen},
		{"a correction of one that is to come", awaited, 0, leaderboard.Set, "2026-05-01T09:59:59Z", false, ""},
		{"one that was to come, and has", awaited, 3, leaderboard.Submit, "2026-05-01T10:00:00Z", false, ""},
		{"the one before, while the next is to come", awaited, 2, leaderboard.Submit, "2026-05-01T09:00:00Z", true, ""},
	} {
		late, err := b.Admit(c.run, &leaderboard.Op{Kind: c.kind, Season: c.season}, instant(t, c.at))
		if late != c.late || leaderboard.CodeOf(err) != c.code || (err == nil) != (c.code == "") {
			t.Errorf("%s: late = %t, %v; want %t, %q", c.name, late, err, c.late, c.code)
		}
	}
}

func TestSettingsOfSeasonsThatAreRefused(t *testing.T) {
	for name, s := range map[string]leaderboard.Seasons{
		"no such cron":    {Cron: "often"},
		"two kinds":       {Cron: "@daily", EndsAt: instant(t, "2026-05-01T00:00:00Z")},
		"too much grace":  {Grace: int(leaderboard.MaxGrace/time.Millisecond) + 1},
		"less than none":  {Grace: -1},
		"too many kept":   {Keep: leaderboard.MaxKeep + 1},
		"fewer than none": {Keep: -1},
		"no such zone":    {Cron: "@daily", TimeZone: "Europe/Atlantis"},
		"another order":   {StartsAt: instant(t, "2026-05-02T00:00:00Z"), EndsAt: instant(t, "2026-05-01T00:00:00Z")},
	} {
		err := leaderboard.Board{ID: "race", Seasons: s}.WithDefaults().Validate()
		if leaderboard.CodeOf(err) != leaderboard.CodeInvalidBoard {
			t.Errorf("%s: %v, want the code %q", name, err, leaderboard.CodeInvalidBoard)
		}
	}
	err := leaderboard.Board{ID: "race", ZSet: "scores", Seasons: leaderboard.Seasons{Keep: 1}}.WithDefaults().Validate()
	if leaderboard.CodeOf(err) != leaderboard.CodeInvalidBoard {
		t.Errorf("a board that shows a zset: %v, want the code %q", err, leaderboard.CodeInvalidBoard)
	}
}

// TestSeasonsFollowEachOther ends seasons at random instants, by hand and when they
// are due, and changes the setting in between.
func TestSeasonsFollowEachOther(t *testing.T) {
	settings := kinds(t)
	names := rapid.SampledFrom([]string{"hand", "hand grace", "hourly", "grace", "berlin", "beirut", "days", "36h", "dates", "late dates", "from", "until"})
	rapid.Check(t, func(rt *rapid.T) {
		b := seasonal(t, settings[names.Draw(rt, "kind")])
		now := time.Date(2026, time.Month(rapid.IntRange(2, 5).Draw(rt, "month")), rapid.IntRange(1, 28).Draw(rt, "day"), 8, 0, 0, 0, time.UTC)
		r := b.FirstRun(now)
		for range 12 {
			now = now.Add(time.Duration(rapid.SampledFrom([]int64{0, 1, 1000, 600_000, 3_600_000, 90_000_000, 10_000_000_000}).Draw(rt, "later")) * time.Millisecond)
			if rapid.IntRange(0, 5).Draw(rt, "what") == 0 {
				b = seasonal(t, settings[names.Draw(rt, "kind")])
				was := r
				if r = b.Reschedule(r, now); r.Season != was.Season || r.Closed || !r.LateUntil.Equal(was.LateUntil) {
					rt.Fatalf("after the setting was changed at %v, %+v is %+v", now, was, r)
				}
				continue
			}
			end := leaderboard.End{At: now, Due: rapid.Bool().Draw(rt, "due")}
			due := b.Due(r, now)
			next, ended, err := b.EndRun(r, end)
			if err != nil {
				rt.Fatal(err)
			}
			switch {
			case end.Due && !due:
				if next != r || !ended.IsZero() {
					rt.Fatalf("at %v nothing is due, but %+v becomes %+v", now, r, next)
				}
			case next.Season == r.Season:
				if !end.Due || !next.Closed || b.Seasons.Rolling() || !ended.Equal(r.EndsAt) {
					rt.Fatalf("at %v %+v stays, as %+v that ended at %v", now, r, next, ended)
				}
			default:
				if next.Season != r.Season+1 || next.Closed || ended.After(now) && ended.After(r.StartsAt) {
					rt.Fatalf("at %v %+v, which ended at %v, is followed by %+v", now, r, ended, next)
				}
				if next.StartsAt.Before(ended) || !next.EndsAt.IsZero() && !next.EndsAt.After(next.StartsAt) {
					rt.Fatalf("%+v, which ended at %v, is followed by %+v", r, ended, next)
				}
				if due && b.Seasons.Rolling() && (!ended.Equal(r.EndsAt) || next.EndsAt.IsZero() || now.Before(next.StartsAt)) {
					rt.Fatalf("at %v %+v, which ended at %v, is followed by %+v", now, r, ended, next)
				}
				if !next.LateUntil.IsZero() && (b.Seasons.Grace == 0 || !next.LateUntil.Equal(ended.Add(b.Seasons.GracePeriod()))) {
					rt.Fatalf("%+v, which ended at %v, is followed by %+v", r, ended, next)
				}
			}
			if b.Due(next, now) {
				if again, _, err := b.EndRun(next, leaderboard.End{At: now, Due: true}); end.Due || err != nil {
					rt.Fatalf("at %v %+v is followed by %+v, which is due, and then %+v, %v", now, r, next, again, err)
				}
			}
			r = next
		}
	})
}
