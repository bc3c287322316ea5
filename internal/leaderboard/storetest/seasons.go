package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"laurel/internal/leaderboard"
)

// hourly seasons, as most of these checks have.
var hourly = leaderboard.Seasons{Cron: "@hourly"}

var seasonChecks = []check{
	{"a board begins with the season that its setting says", func(f *fixture) {
		day := f.clock.Truncate(24 * time.Hour) // it is 9 o'clock
		for _, c := range []struct {
			id           string
			seasons      leaderboard.Seasons
			starts, ends time.Time // zero: now, and never
		}{
			{"hand", leaderboard.Seasons{}, time.Time{}, time.Time{}},
			{"hand-grace", leaderboard.Seasons{Grace: 1000, Keep: 3}, time.Time{}, time.Time{}},
			{"hourly", hourly, time.Time{}, day.Add(10 * time.Hour)},
			{"berlin", leaderboard.Seasons{Cron: "@daily", TimeZone: "Europe/Berlin"}, time.Time{}, day.Add(23 * time.Hour)},
			{"every", leaderboard.Seasons{Every: "36h", From: day}, time.Time{}, day.Add(36 * time.Hour)},
			{"later", leaderboard.Seasons{Every: "2d", From: day.AddDate(0, 0, 3)}, day.AddDate(0, 0, 3), day.AddDate(0, 0, 5)},
			{"dates", leaderboard.Seasons{StartsAt: day, EndsAt: day.AddDate(0, 0, 1)}, day, day.AddDate(0, 0, 1)},
			{"from", leaderboard.Seasons{StartsAt: day.AddDate(0, 0, 1)}, day.AddDate(0, 0, 1), time.Time{}},
			{"until", leaderboard.Seasons{EndsAt: day.AddDate(0, 0, 1)}, time.Time{}, day.AddDate(0, 0, 1)},
		} {
			if c.starts.IsZero() || c.starts.Before(f.clock) {
				c.starts = f.clock
			}
			created := f.create(leaderboard.Board{ID: c.id, Seasons: c.seasons})
			want := leaderboard.View{
				Board: created.Board, Season: 1, Rev: 1, Epoch: created.Epoch, StartsAt: c.starts, EndsAt: c.ends,
			}
			if diff := compare(c.seasons, created.Board.Seasons); diff != "" {
				f.Errorf("setting of %s (-want +got):\n%s", c.id, diff)
			}
			if diff := compare(want, created); diff != "" {
				f.Errorf("view of %s (-want +got):\n%s", c.id, diff)
			}
			if diff := compare([]leaderboard.View{want}, f.seasons(c.id)); diff != "" {
				f.Errorf("seasons of %s (-want +got):\n%s", c.id, diff)
			}
		}
		f.unchanged(f.reopen)
	}},
	{"an end by hand keeps the season as it stands and begins an empty one", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		f.apply(withData(submit("race", "m1", "1"), `{"n":1}`))
		before := f.page("race", whole)
		f.clock = f.clock.Add(time.Second)
		view := f.end("race", leaderboard.End{Season: 1})
		want := before.View
		want.Season, want.Rev, want.Total, want.StartsAt = 2, before.Rev+1, 0, f.clock
		if diff := compare(want, view); diff != "" {
			f.Errorf("view of the end (-want +got):\n%s", diff)
		}
		past := before
		past.EndsAt, past.Closed = f.clock, true
		if diff := compare(past, f.pageOf(leaderboard.Ref{Board: "race", Season: 1}, whole)); diff != "" {
			f.Errorf("season 1 (-want +got):\n%s", diff)
		}
		if diff := compare([]leaderboard.View{want, past.View}, f.seasons("race")); diff != "" {
			f.Errorf("seasons (-want +got):\n%s", diff)
		}
		if diff := compare(leaderboard.Page{View: want}, f.page("race", whole)); diff != "" {
			f.Errorf("season 2 (-want +got):\n%s", diff)
		}
	}},
	{"a past season answers every read as it did before its end, whatever comes after", func(f *fixture) {
		want := map[string][]leaderboard.Page{}
		for _, b := range shapes {
			b.Policy = leaderboard.Latest
			f.ten(b.ID, b)
			f.apply(withData(submit(b.ID, "m3", "20"), `{"name":"Ålice"}`), remove(b.ID, "m7"), submit(b.ID, "m2", "20"))
			want[b.ID] = f.reads(leaderboard.Ref{Board: b.ID})
			f.end(b.ID, leaderboard.End{})
			for i := range want[b.ID] {
				want[b.ID][i].EndsAt, want[b.ID][i].Closed = f.clock, true
			}
		}
		compareAll := func(when string) {
			for _, b := range shapes {
				if diff := compare(want[b.ID], f.reads(leaderboard.Ref{Board: b.ID, Season: 1})); diff != "" {
					f.Errorf("reads of season 1 of %s %s (-before the end +got):\n%s", b.ID, when, diff)
				}
			}
		}
		compareAll("after its end")
		for _, b := range shapes {
			f.apply(submit(b.ID, "m3", "1"), submit(b.ID, "m11", "20"), remove(b.ID, "m3"), submit(b.ID, "m5", "21"))
		}
		compareAll("after changes of the next one")
		f.reopen()
		compareAll("after opening")
		for _, b := range shapes {
			style := leaderboard.Ordinal
			if b.RankStyle == style {
				style = leaderboard.Competition
			}
			p := leaderboard.Patch{Top: new(7), Policy: new(leaderboard.Best)}
			if b.RankStyle != leaderboard.Dense {
				p.RankStyle = &style
			}
			f.patch(b.ID, p)
			f.end(b.ID, leaderboard.End{})
			f.end(b.ID, leaderboard.End{})
		}
		compareAll("after other settings and other ends")
		f.reopen()
		compareAll("after opening again")
	}},
	{"a past season of thousands answers every read as it did before its end", func(f *fixture) {
		ids := []string{"desc", "asc", "dense"}
		f.create(leaderboard.Board{ID: "desc", RankStyle: leaderboard.Competition, Policy: leaderboard.Latest})
		f.create(leaderboard.Board{ID: "dense", RankStyle: leaderboard.Dense, Policy: leaderboard.Latest})
		f.create(leaderboard.Board{ID: "asc", Order: leaderboard.Ascending, Ties: leaderboard.LatestTie, Policy: leaderboard.Latest})
		for batch := range 4 {
			for _, id := range ids {
				var ops []leaderboard.Op
				for i := range 700 {
					n := batch*700 + i
					ops = append(ops, submit(id, fmt.Sprintf("m%d", n), fmt.Sprint((n*7919)%11-5))) // a few hundred of each
					if n%9 == 5 {
						ops = append(ops, withData(submit(id, fmt.Sprintf("m%d", n/2), fmt.Sprint(n%13)), fmt.Sprintf(`{"n":%d}`, n)))
					}
				}
				ops = append(ops, remove(id, fmt.Sprintf("m%d", batch*700+3)))
				f.apply(ops...)
			}
		}
		read := func(season int) (pages []leaderboard.Page) {
			for _, id := range ids {
				ref := leaderboard.Ref{Board: id, Season: season}
				var all []leaderboard.Entry
				for offset := 0; offset < 2800; offset += 700 {
					pages = append(pages, f.pageOf(ref, leaderboard.Range{Offset: offset, Limit: 700}))
					all = append(all, pages[len(pages)-1].Entries...)
				}
				for i := 0; i < len(all); i += 97 {
					after := all[i].Position()
					pages = append(pages,
						f.pageOf(ref, leaderboard.Range{After: &after, Limit: 2}),
						f.pageOf(ref, leaderboard.Range{Offset: i, Limit: 3}),
						f.around(ref, all[i].Member, 5), f.lookupIn(ref, all[i].Member, "nobody", all[len(all)-1-i].Member),
					)
				}
				for points := -6; points < 14; points++ {
					pages = append(pages, f.pageOf(ref, leaderboard.Range{Around: new(score(fmt.Sprint(points))), Limit: 4}))
				}
				pages = append(pages, f.pageOf(ref, leaderboard.Range{Percent: new(score("12.5")), Offset: 300, Limit: 700}))
			}
			for i := range pages {
				pages[i].Closed, pages[i].EndsAt = false, time.Time{}
			}
			return pages
		}
		want := read(1)
		for _, id := range ids {
			f.end(id, leaderboard.End{})
			f.apply(submit(id, "m1", "5"))
		}
		if diff := compare(want, read(1)); diff != "" {
			f.Errorf("pages after the end (-want +got):\n%s", diff)
		}
		f.reopen()
		if diff := compare(want, read(1)); diff != "" {
			f.Errorf("pages after opening (-want +got):\n%s", diff)
		}
	}},
	{"a season that is not kept is not found", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		f.end("race", leaderboard.End{})
		for _, season := range []int{-1, 3, 7} {
			ref := leaderboard.Ref{Board: "race", Season: season}
			_, err := f.store.Entries(f.Context(), ref, whole)
			f.wantCode("Entries", err, leaderboard.CodeSeasonNotFound)
			_, err = f.store.Around(f.Context(), ref, "m1", 3)
			f.wantCode("Around", err, leaderboard.CodeSeasonNotFound)
			_, err = f.store.Lookup(f.Context(), ref, []string{"m1"})
			f.wantCode("Lookup", err, leaderboard.CodeSeasonNotFound)
		}
		past := leaderboard.Ref{Board: "race", Season: 1}
		_, err := f.store.Around(f.Context(), past, "nobody", 3)
		f.wantCode("Around nobody", err, leaderboard.CodeMemberNotFound)
		_, err = f.store.Entries(f.Context(), past, leaderboard.Range{Around: new(score("0.5")), Limit: 3})
		f.wantCode("Entries around half a point", err, leaderboard.CodeTooManyDecimals)
		_, err = f.store.Seasons(f.Context(), "rac")
		f.wantCode("Seasons of no board", err, leaderboard.CodeBoardNotFound)
	}},
	{"an empty season is kept too", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.end("race", leaderboard.End{})
		f.apply(submit("race", "alice", "1"), remove("race", "alice"))
		f.end("race", leaderboard.End{})
		f.unchanged(f.reopen)
		for season := 1; season <= 2; season++ {
			ref := leaderboard.Ref{Board: "race", Season: season}
			if page := f.pageOf(ref, whole); page.Season != season || page.Total != 0 || len(page.Entries) != 0 {
				f.Errorf("season %d is %+v", season, page)
			}
			if page := f.lookupIn(ref, "alice"); page.Entries[0].Rank != 0 {
				f.Errorf("alice is in season %d: %+v", season, page.Entries)
			}
		}
	}},
	{"members begin anew in the new season", func(f *fixture) {
		for _, policy := range []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest} {
			id := string(policy)
			f.create(leaderboard.Board{ID: id, Policy: policy, MaxStep: bound("10")})
			f.apply(withData(submit(id, "alice", "9"), `{"n":1}`))
			f.end(id, leaderboard.End{})
			f.refuse(0, leaderboard.CodeMemberNotFound, remove(id, "alice"))
			f.wantResult(f.apply(submit(id, "alice", "3")), leaderboard.Result{Member: "alice", Accepted: true, Current: at(3, 1)})
			if e := f.entry(id, "alice"); e.Data != nil || e.Score != 3 {
				f.Errorf("alice begins with %+v", e)
			}
		}
	}},
	{"rev and seq go on over seasons", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		var last uint64
		for range 4 {
			f.apply(submit("race", "alice", "1"), submit("race", "bob", "1"))
			for _, e := range f.entries("race") {
				if e.Seq <= last {
					f.Errorf("seq of %s = %d, which is not above %d", e.Member, e.Seq, last)
				}
			}
			last = f.view("race").Rev
			if rev := f.end("race", leaderboard.End{}).Rev; rev != last+1 {
				f.Errorf("rev of the end = %d, want %d", rev, last+1)
			}
			f.reopen()
			f.wantRev("race", last+1)
		}
	}},
	{"an end that is asked for twice happens once", func(f *fixture) {
		f.ten("race", leaderboard.Board{})
		f.end("race", leaderboard.End{Season: 1})
		f.unchanged(func() {
			f.refuseEnd(leaderboard.CodeSeasonEnded, "race", leaderboard.End{Season: 1})
			f.refuseEnd(leaderboard.CodeSeasonEnded, "race", leaderboard.End{Season: 1, Due: true})
			f.refuseEnd(leaderboard.CodeSeasonNotFound, "race", leaderboard.End{Season: 3})
			f.refuseEnd(leaderboard.CodeSeasonNotFound, "race", leaderboard.End{Season: -1})
			f.refuseEnd(leaderboard.CodeBoardNotFound, "rac", leaderboard.End{})
			f.reopen()
			f.refuseEnd(leaderboard.CodeSeasonEnded, "race", leaderboard.End{Season: 1})
		})
		f.end("race", leaderboard.End{Season: 2})
	}},
	{"an end that has to be due waits until it is", func(f *fixture) {
		f.create(leaderboard.Board{ID: "hand"})
		f.create(leaderboard.Board{ID: "race", Seasons: hourly})
		f.apply(submit("race", "alice", "1"))
		day := f.clock.Truncate(24 * time.Hour)
		f.unchanged(func() {
			for _, at := range []time.Time{f.clock, day, day.Add(10*time.Hour - time.Millisecond)} {
				f.end("race", leaderboard.End{At: at, Due: true})
				f.end("race", leaderboard.End{At: at, Due: true, Season: 1})
				f.end("hand", leaderboard.End{At: day.AddDate(9, 0, 0), Due: true})
			}
		})
		view := f.end("race", leaderboard.End{At: day.Add(10 * time.Hour), Due: true, Season: 1})
		if view.Season != 2 || view.Rev != 3 || !view.StartsAt.Equal(day.Add(10*time.Hour)) || !view.EndsAt.Equal(day.Add(11*time.Hour)) {
			f.Errorf("view = %+v, want season 2 from 10 to 11", view)
		}
		f.unchanged(func() { f.end("race", leaderboard.End{At: day.Add(10 * time.Hour), Due: true}) })
	}},
	{"a batch ends the season first if it is due by then, to the millisecond", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: hourly})
		ten := f.clock.Truncate(24 * time.Hour).Add(10 * time.Hour)
		f.clock = ten.Add(-time.Second - time.Millisecond)
		f.apply(submit("race", "alice", "1"))
		f.wantRev("race", 2)
		f.clock = ten.Add(-time.Second)
		outcome := f.apply(submit("race", "alice", "2"), submit("race", "bob", "3"))
		view := outcome.Boards[0]
		if view.Season != 2 || view.Rev != 5 || view.Total != 2 || !view.StartsAt.Equal(ten) || !view.EndsAt.Equal(ten.Add(time.Hour)) || view.Closed {
			f.Errorf("view of the batch = %+v, want season 2 from %v on, at rev 5", view, ten)
		}
		f.wantTable("race", "1 bob 3", "2 alice 2")
		past := f.pageOf(leaderboard.Ref{Board: "race", Season: 1}, whole)
		if diff := compare([]string{"1 alice 1"}, table(past.Entries)); diff != "" || past.Rev != 2 || !past.EndsAt.Equal(ten) || !past.Closed {
			f.Errorf("season 1 = %+v (-want +got):\n%s", past.View, diff)
		}
		f.unchanged(f.reopen)
	}},
	{"a season that ended long ago is ended once, at its instant", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: hourly})
		f.create(leaderboard.Board{ID: "night", Seasons: leaderboard.Seasons{Cron: "@daily", TimeZone: "Asia/Beirut"}})
		f.apply(submit("race", "alice", "1"), submit("night", "alice", "1"))
		day := f.clock.Truncate(24 * time.Hour)
		f.reopen()
		f.clock = time.Date(2027, 3, 28, 12, 34, 55, 0, time.UTC) // midnight was left out there last night
		f.apply(submit("race", "bob", "1"), submit("night", "bob", "1"))
		for id, want := range map[string][3]time.Time{
			"race":  {day.Add(10 * time.Hour), time.Date(2027, 3, 28, 12, 0, 0, 0, time.UTC), time.Date(2027, 3, 28, 13, 0, 0, 0, time.UTC)},
			"night": {day.Add(22 * time.Hour), time.Date(2027, 3, 27, 22, 0, 0, 0, time.UTC), time.Date(2027, 3, 28, 21, 0, 0, 0, time.UTC)},
		} {
			seasons := f.seasons(id)
			if len(seasons) != 2 || seasons[0].Season != 2 {
				f.Fatalf("seasons of %s = %+v, want two", id, seasons)
			}
			if got := [3]time.Time{seasons[1].EndsAt, seasons[0].StartsAt, seasons[0].EndsAt}; compare(want, got) != "" {
				f.Errorf("%s ended at %v, and goes on from %v to %v; want %v", id, got[0], got[1], got[2], want)
			}
			f.wantTable(id, "1 bob 1")
		}
	}},
	{"a batch that fails leaves the ends that it began with, and nothing else", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: hourly})
		f.create(leaderboard.Board{ID: "other", Seasons: hourly})
		f.create(leaderboard.Board{ID: "hand"})
		f.apply(submit("race", "alice", "1"), submit("other", "alice", "1"), submit("hand", "alice", "1"))
		f.clock = f.clock.Add(time.Hour)
		f.refuse(2, leaderboard.CodeMemberNotFound, submit("hand", "bob", "1"), submit("race", "bob", "1"), remove("race", "alice"), submit("other", "bob", "1"))
		f.clock = f.clock.Add(-time.Hour)
		for id, rev := range map[string]uint64{"race": 3, "other": 3, "hand": 2} {
			view := f.view(id)
			if want := map[uint64]int{3: 2, 2: 1}[rev]; view.Season != want || view.Rev != rev {
				f.Errorf("%s is at rev %d in season %d, want %d and %d", id, view.Rev, view.Season, rev, want)
			}
		}
		f.wantTable("race")
		f.wantTable("other")
		f.wantTable("hand", "1 alice 1")
		f.unchanged(f.reopen)
		f.clock = f.clock.Add(2 * time.Hour)
		f.refuse(1, leaderboard.CodeBoardNotFound, submit("race", "bob", "1"), submit("nowhere", "bob", "1"))
		if got := f.view("race").Season; got != 3 {
			f.Errorf("race is in season %d, want 3", got)
		}
	}},
	{"a batch over many boards ends those that are due", func(f *fixture) {
		f.create(leaderboard.Board{ID: "a", Seasons: hourly})
		f.create(leaderboard.Board{ID: "b", Seasons: leaderboard.Seasons{Cron: "@daily"}, RankStyle: leaderboard.Dense})
		f.create(leaderboard.Board{ID: "c"})
		f.create(leaderboard.Board{ID: "d", Seasons: leaderboard.Seasons{EndsAt: f.clock.Add(time.Hour), Grace: 7_200_000}})
		ids := []string{"a", "b", "c", "d"}
		for hour := range 2 {
			var ops []leaderboard.Op
			for _, id := range ids {
				ops = append(ops, submit(id, "alice", "1"), submit(id, "bob", "1"), submit(id, "alice", "1"))
			}
			outcome := f.apply(ops...)
			for i, id := range ids {
				season, rev, want := 1, uint64(4+3*hour), int64(2+2*hour)
				if id == "a" && hour > 0 {
					season, rev, want = 2, 8, 2
				}
				if v := outcome.Boards[i]; v.Season != season || v.Rev != rev || outcome.Results[3*i+2].Current != at(want, 1) {
					f.Errorf("hour %d: %s is in season %d at rev %d, want %d, %d; %+v", hour, id, v.Season, v.Rev, season, rev, outcome.Results[3*i+2])
				}
			}
			f.clock = f.clock.Add(time.Hour)
		}
		f.unchanged(f.reopen)
	}},
	{"before a season begins it takes corrections alone", func(f *fixture) {
		day := f.clock.Truncate(24 * time.Hour)
		for id, s := range map[string]leaderboard.Seasons{
			"dates": {StartsAt: day.Add(10 * time.Hour), EndsAt: day.Add(11 * time.Hour)}, "every": {Every: "1h", From: day.Add(10 * time.Hour)},
		} {
			f.clock = day.Add(9 * time.Hour)
			f.create(leaderboard.Board{ID: id, Seasons: s})
			f.unchanged(func() {
				f.refuse(0, leaderboard.CodeSeasonNotOpen, submit(id, "alice", "1"))
				f.refuse(1, leaderboard.CodeSeasonNotOpen, set(id, "alice", "1"), submit(id, "alice", "1"))
			})
			f.apply(set(id, "alice", "5"), set(id, "bob", "1"), remove(id, "bob"))
			f.reopen()
			f.clock = day.Add(10*time.Hour - time.Second - time.Millisecond)
			f.refuse(0, leaderboard.CodeSeasonNotOpen, submit(id, "alice", "1"))
			f.clock = day.Add(10*time.Hour - time.Second)
			f.apply(submit(id, "alice", "1"))
			f.wantTable(id, "1 alice 6")
		}
	}},
	{"a season whose dates are over is closed, stays, and takes nothing, until another is begun", func(f *fixture) {
		noon := f.clock.Truncate(24 * time.Hour).Add(12 * time.Hour)
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{EndsAt: noon}})
		f.apply(submit("race", "alice", "1"))
		f.clock = noon
		f.refuse(0, leaderboard.CodeSeasonEnded, submit("race", "alice", "1"))
		view := f.view("race")
		if view.Season != 1 || view.Rev != 3 || !view.Closed || view.Total != 1 || !view.EndsAt.Equal(noon) {
			f.Errorf("view = %+v, want season 1, closed, at rev 3", view)
		}
		f.unchanged(func() {
			f.refuse(0, leaderboard.CodeSeasonEnded, submit("race", "alice", "1"))
			f.refuse(0, leaderboard.CodeSeasonEnded, set("race", "alice", "1"))
			f.refuse(0, leaderboard.CodeSeasonEnded, remove("race", "alice"))
			op := submit("race", "alice", "1")
			op.Season = 1
			f.refuse(0, leaderboard.CodeSeasonEnded, op)
			f.end("race", leaderboard.End{Due: true})
			f.reopen()
			f.refuse(0, leaderboard.CodeSeasonEnded, submit("race", "alice", "1"))
		})
		f.clock = noon.AddDate(0, 0, 1)
		view = f.end("race", leaderboard.End{Season: 1})
		if view.Season != 2 || view.Rev != 4 || view.Closed || !view.StartsAt.Equal(f.clock) || !view.EndsAt.IsZero() {
			f.Errorf("view = %+v, want season 2 from %v on, at rev 4", view, f.clock)
		}
		if past := f.seasons("race")[1]; !past.EndsAt.Equal(noon) || past.Rev != 3 || !past.Closed {
			f.Errorf("season 1 = %+v, want one until %v at rev 3", past, noon)
		}
		f.apply(submit("race", "bob", "1"))
		f.wantTable("race", "1 bob 1")
	}},
	{"a season whose dates are over takes late scores for its grace", func(f *fixture) {
		noon := f.clock.Truncate(24 * time.Hour).Add(12 * time.Hour)
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{EndsAt: noon, Grace: 60_000}})
		f.clock = noon.Add(58*time.Second + 999*time.Millisecond)
		f.apply(submit("race", "alice", "1"))
		if view := f.view("race"); view.Rev != 2 || view.Closed {
			f.Errorf("view = %+v, want one that is not closed", view)
		}
		f.clock = noon.Add(59 * time.Second)
		f.refuse(0, leaderboard.CodeSeasonEnded, submit("race", "alice", "1"))
		if view := f.view("race"); view.Rev != 3 || !view.Closed || !view.EndsAt.Equal(noon) {
			f.Errorf("view = %+v, want one that is closed", view)
		}
	}},
	{"late scores are taken of who names the season before, for its grace", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Cron: "@hourly", Grace: 60_000}, RankStyle: leaderboard.Competition})
		ten := f.clock.Truncate(24 * time.Hour).Add(10 * time.Hour)
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "5"), submit("race", "carol", "1")) // rev 4
		f.clock = ten
		f.apply(submit("race", "alice", "1")) // the end is rev 5, this 6
		outcome := f.apply(late(1, submit("race", "carol", "4")), late(1, submit("race", "dave", "9")), late(1, remove("race", "bob")))
		f.wantResult(outcome,
			leaderboard.Result{Member: "carol", Accepted: true, Current: at(5, 1), Previous: at(1, 3)},
			leaderboard.Result{Member: "dave", Accepted: true, Current: at(9, 1)},
			leaderboard.Result{Member: "bob", Accepted: true, Previous: at(5, 2)},
		)
		if v := outcome.Boards[0]; v.Season != 1 || v.Rev != 9 || !v.Closed || v.Total != 3 || !v.EndsAt.Equal(ten) {
			f.Errorf("view of the late batch = %+v, want season 1 at rev 9", v)
		}
		f.wantRev("race", 9)
		past := f.pageOf(leaderboard.Ref{Board: "race", Season: 1}, whole)
		if diff := compare([]string{"1 dave 9", "2 alice 5", "2 carol 5"}, table(past.Entries)); diff != "" || past.Rev != 9 {
			f.Errorf("season 1 at rev %d (-want +got):\n%s", past.Rev, diff)
		}
		if e := past.Entries[2]; e.Seq != 7 || !e.UpdatedAt.Equal(f.clock) {
			f.Errorf("entry of carol = %+v, want one of rev 7 and now", e)
		}
		f.wantTable("race", "1 alice 1")
		f.unchanged(f.reopen)
		f.clock = ten.Add(58*time.Second + 999*time.Millisecond)
		f.apply(late(1, submit("race", "alice", "1")))
		f.apply(submit("race", "alice", "1"))
		if past := f.pageOf(leaderboard.Ref{Board: "race", Season: 1}, whole); past.Rev != 10 {
			f.Errorf("season 1 is at rev %d, want 10", past.Rev)
		}
		f.unchanged(func() {
			f.clock = ten.Add(59 * time.Second)
			f.refuse(0, leaderboard.CodeSeasonEnded, late(1, submit("race", "alice", "1")))
			f.refuse(0, leaderboard.CodeSeasonNotFound, late(3, submit("race", "alice", "1")))
			f.refuse(0, leaderboard.CodeSeasonNotFound, late(-1, submit("race", "alice", "1")))
			f.reopen()
		})
		f.apply(late(2, submit("race", "alice", "1")))
		f.wantTable("race", "1 alice 3")
		f.clock = ten.Add(time.Hour)
		f.apply(submit("race", "alice", "1"))
		f.refuse(0, leaderboard.CodeSeasonEnded, late(1, submit("race", "alice", "1"))) // the one before that
	}},
	{"without a grace nothing late is taken", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "5"))
		f.end("race", leaderboard.End{})
		f.clock = f.clock.Add(-time.Second)
		f.unchanged(func() { f.refuse(0, leaderboard.CodeSeasonEnded, late(1, submit("race", "alice", "1"))) })
	}},
	{"late scores are held to the rules that the season had at its end", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best, MaxScore: bound("9"), Seasons: leaderboard.Seasons{Grace: 60_000}})
		f.apply(submit("race", "alice", "5"))
		f.end("race", leaderboard.End{})
		f.patch("race", leaderboard.Patch{Policy: new(leaderboard.Sum), MaxScore: new(bound("100")), RankStyle: new(leaderboard.Competition)}) // rev 4
		f.unchanged(func() {
			f.wantResult(f.apply(late(1, submit("race", "alice", "4"))),
				leaderboard.Result{Member: "alice", Reason: leaderboard.NotBetter, Current: at(5, 1), Previous: at(5, 1)})
			f.refuse(1, leaderboard.CodeScoreAboveMaximum, late(1, submit("race", "alice", "6")), late(1, submit("race", "bob", "10")))
		})
		f.reopen()
		f.wantResult(f.apply(late(1, submit("race", "alice", "6")), late(1, submit("race", "bob", "6"))),
			leaderboard.Result{Member: "alice", Accepted: true, Current: at(6, 1), Previous: at(5, 1)},
			leaderboard.Result{Member: "bob", Accepted: true, Current: at(6, 2)})
		f.apply(submit("race", "alice", "60"), submit("race", "alice", "6"))
		f.wantTable("race", "1 alice 66")
	}},
	{"a batch may be late on one board and in time on another, all or none", func(f *fixture) {
		for _, id := range []string{"a", "b", "c"} {
			f.create(leaderboard.Board{ID: id, Seasons: leaderboard.Seasons{Grace: 60_000}})
			f.apply(submit(id, "alice", "5"))
		}
		f.end("a", leaderboard.End{})
		f.end("b", leaderboard.End{})
		f.unchanged(func() {
			f.refuse(3, leaderboard.CodeMemberNotFound, late(1, submit("a", "bob", "1")), submit("b", "bob", "1"), late(1, submit("c", "bob", "1")), remove("c", "nobody"))
			f.refuse(2, leaderboard.CodeSeasonNotFound, late(1, submit("a", "bob", "1")), submit("b", "bob", "1"), late(2, submit("c", "bob", "1")))
		})
		outcome := f.apply(late(1, submit("a", "bob", "1")), submit("b", "bob", "2"), late(1, submit("c", "bob", "3")), late(1, submit("a", "bob", "1")))
		for i, want := range []int{1, 2, 1} {
			if got := outcome.Boards[i].Season; got != want {
				f.Errorf("%s is in season %d, want %d", outcome.Boards[i].Board.ID, got, want)
			}
		}
		f.wantTable("a")
		f.wantTable("b", "1 bob 2")
		f.wantTable("c", "1 alice 5", "2 bob 3")
		past := f.pageOf(leaderboard.Ref{Board: "a", Season: 1}, whole)
		if diff := compare([]string{"1 alice 5", "2 bob 2"}, table(past.Entries)); diff != "" {
			f.Errorf("season 1 of a (-want +got):\n%s", diff)
		}
		f.unchanged(f.reopen)
	}},
	{"so many past seasons are kept, and older ones are removed", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Keep: 2}})
		f.create(leaderboard.Board{ID: "ten"})
		for season := 1; season <= 12; season++ {
			for _, id := range []string{"race", "ten"} {
				f.apply(submit(id, "alice", fmt.Sprint(season)))
				f.end(id, leaderboard.End{Season: season})
			}
			f.wantKept("race", season+1, min(season, 2))
			f.wantKept("ten", season+1, min(season, leaderboard.DefaultKeep))
			if season%5 == 0 {
				f.unchanged(f.reopen)
			}
		}
		f.patch("ten", leaderboard.Patch{Seasons: &leaderboard.Seasons{Keep: 1}, At: f.clock})
		f.wantKept("ten", 13, 10)
		f.end("ten", leaderboard.End{})
		f.wantKept("ten", 14, 1)
		f.patch("race", leaderboard.Patch{Seasons: &leaderboard.Seasons{Keep: 5}, At: f.clock})
		f.end("race", leaderboard.End{})
		f.wantKept("race", 14, 3)
		f.unchanged(f.reopen)
		for _, id := range []string{"race", "ten"} {
			for season := 1; season <= 10; season++ {
				_, err := f.store.Entries(f.Context(), leaderboard.Ref{Board: id, Season: season}, whole)
				f.wantCode(fmt.Sprintf("season %d of %s", season, id), err, leaderboard.CodeSeasonNotFound)
			}
		}
	}},
	{"a deleted board takes its seasons along, and one that is created again begins with the first", func(f *fixture) {
		for _, id := range []string{"race", "again"} {
			f.create(leaderboard.Board{ID: id, Seasons: leaderboard.Seasons{Cron: "@hourly", Grace: 60_000}})
			for range 3 {
				f.apply(submit(id, "alice", "5"))
				f.clock = f.clock.Add(time.Hour)
			}
			f.apply(submit(id, "alice", "5"))
			f.wantKept(id, 4, 3)
			rev := f.view(id).Rev
			f.delete(id)
			_, err := f.store.Seasons(f.Context(), id)
			f.wantCode("Seasons", err, leaderboard.CodeBoardNotFound)
			_, err = f.store.Entries(f.Context(), leaderboard.Ref{Board: id, Season: 2}, whole)
			f.wantCode("Entries", err, leaderboard.CodeBoardNotFound)
			if id == "again" {
				f.reopen()
			}
			f.create(leaderboard.Board{ID: id})
			f.wantKept(id, 1, 0)
			f.wantRev(id, rev+2)
			f.apply(submit(id, "bob", "1"))
			f.end(id, leaderboard.End{})
			f.wantKept(id, 2, 1)
			past := f.pageOf(leaderboard.Ref{Board: id, Season: 1}, whole)
			if diff := compare([]string{"1 bob 1"}, table(past.Entries)); diff != "" {
				f.Errorf("season 1 of %s (-want +got):\n%s", id, diff)
			}
		}
		f.unchanged(f.reopen)
	}},
	{"the boards and those of a member are those of the current seasons", func(f *fixture) {
		f.ten("a", leaderboard.Board{})
		f.ten("b", leaderboard.Board{})
		f.end("a", leaderboard.End{})
		views := f.boards()
		if len(views) != 2 || views[0].Season != 2 || views[0].Total != 0 || views[1].Season != 1 || views[1].Total != 10 {
			f.Errorf("boards = %+v", views)
		}
		pages, _, err := f.store.Member(f.Context(), "m1", "", 10)
		if err != nil || len(pages) != 1 || pages[0].Board.ID != "b" {
			f.Errorf("m1 is on %+v, %v; want b alone", pages, err)
		}
	}},
	{"the change log tells of ends and of late scores", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Cron: "@hourly", Grace: 60_000}})
		f.create(leaderboard.Board{ID: "dates", Seasons: leaderboard.Seasons{EndsAt: f.clock.Add(time.Hour)}})
		l := f.follow()
		l.until(leaderboard.Change{Board: "race", Rev: 1}, leaderboard.Change{Board: "dates", Rev: 1})
		woken := f.waitFor(l.cursor)
		f.end("race", leaderboard.End{})
		l.cursor = f.wantWoken(woken, leaderboard.Change{Board: "race", Rev: 2})
		woken = f.waitFor(l.cursor)
		f.apply(late(1, submit("race", "alice", "1")))
		l.cursor = f.wantWoken(woken, leaderboard.Change{Board: "race", Rev: 3})
		f.clock = f.clock.Add(2 * time.Hour)
		woken = f.waitFor(l.cursor)
		f.end("race", leaderboard.End{Due: true})
		l.cursor = f.wantWoken(woken, leaderboard.Change{Board: "race", Rev: 4})
		woken = f.waitFor(l.cursor)
		f.refuse(0, leaderboard.CodeSeasonEnded, submit("dates", "alice", "1"))
		f.wantWoken(woken, leaderboard.Change{Board: "dates", Rev: 2})
		f.reopen()
		f.follow().until(leaderboard.Change{Board: "race", Rev: 4}, leaderboard.Change{Board: "dates", Rev: 2})
	}},
	{"what was answered under a name is answered again when the season has ended", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Cron: "@hourly", Grace: 60_000}})
		digest := leaderboard.Digest{1}
		first := f.keep("n", digest, submit("race", "alice", "5"))
		f.clock = f.clock.Truncate(time.Hour).Add(time.Hour)
		f.unchanged(func() { // it is not carried out, and so ends nothing
			f.recalled(first, "n", digest, submit("race", "alice", "5"))
		})
		over := f.keep("over", digest, submit("race", "bob", "1"))
		if v := over.Boards[0]; v.Season != 2 || v.Rev != 4 {
			f.Errorf("view = %+v, want season 2 at rev 4", v)
		}
		old := f.keep("late", digest, late(1, submit("race", "alice", "1")))
		if v := old.Boards[0]; v.Season != 1 || v.Rev != 5 || !v.Closed || !v.EndsAt.Equal(f.clock.Truncate(time.Hour)) || old.Results[0].Current != at(6, 1) {
			f.Errorf("outcome = %+v, want one of season 1 at rev 5", old)
		}
		f.end("race", leaderboard.End{})
		for range 2 {
			f.recalled(first, "n", digest, submit("race", "alice", "5"))
			f.recalled(over, "over", digest, submit("race", "bob", "1"))
			f.recalled(old, "late", digest, late(1, submit("race", "alice", "1")))
			f.reopen()
		}
	}},
	{"an end under a name happens once, and is answered again", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "5"))
		c := leaderboard.BoardChange{ID: "race", End: &leaderboard.End{At: f.clock}, Once: "n", OnceDigest: leaderboard.Digest{1}}
		first, repeated, err := f.store.ChangeBoard(f.Context(), c)
		if err != nil || repeated || first.Season != 2 || first.Rev != 3 {
			f.Fatalf("ChangeBoard = %+v, %t, %v, want season 2 at rev 3", first, repeated, err)
		}
		f.apply(submit("race", "bob", "5"))
		for range 2 {
			f.unchanged(func() {
				again, repeated, err := f.store.ChangeBoard(f.Context(), c)
				if diff := compare(first, again); diff != "" || !repeated || err != nil {
					f.Errorf("again: repeated = %t, %v (-want +got):\n%s", repeated, err, diff)
				}
				c.OnceDigest[0] = 2
				_, _, err = f.store.ChangeBoard(f.Context(), c)
				f.wantCode("ChangeBoard", err, leaderboard.CodeOnceReused)
				c.OnceDigest[0] = 1
			})
			f.reopen()
		}
		c = leaderboard.BoardChange{ID: "race", End: &leaderboard.End{At: f.clock, Season: 1}, Once: "refused", OnceDigest: leaderboard.Digest{1}}
		_, _, err = f.store.ChangeBoard(f.Context(), c)
		f.wantCode("ChangeBoard", err, leaderboard.CodeSeasonEnded)
		c.End.Season = 2
		if view, repeated, err := f.store.ChangeBoard(f.Context(), c); err != nil || repeated || view.Season != 3 {
			f.Errorf("under the name of one that was refused: %+v, %t, %v", view, repeated, err)
		}
	}},
	{"boards are due in the order of their ends", func(f *fixture) {
		day := f.clock.Truncate(24 * time.Hour)
		hour := func(n int) time.Time { return day.Add(time.Duration(n) * time.Hour) }
		f.wantDue(hour(23), 10, time.Time{})
		f.create(leaderboard.Board{ID: "hand"})
		f.wantDue(hour(23), 10, time.Time{})
		for _, id := range []string{"h2", "h1", "h3"} {
			f.create(leaderboard.Board{ID: id, Seasons: hourly})
		}
		f.create(leaderboard.Board{ID: "noon", Seasons: leaderboard.Seasons{Cron: "0 12 * * *", Grace: 3_600_000}})
		f.create(leaderboard.Board{ID: "dates", Seasons: leaderboard.Seasons{EndsAt: hour(10), Grace: 3_600_000}})
		for range 2 {
			f.wantDue(hour(9), 10, hour(10))
			f.wantDue(hour(10).Add(-time.Millisecond), 10, hour(10))
			f.wantDue(hour(10), 10, hour(11), "h1", "h2", "h3")
			f.wantDue(hour(10), 2, hour(10), "h1", "h2")
			f.wantDue(hour(11), 10, hour(12), "h1", "h2", "h3", "dates")
			f.wantDue(hour(12), 4, hour(12), "h1", "h2", "h3", "dates")
			f.wantDue(hour(12), 5, time.Time{}, "h1", "h2", "h3", "dates", "noon")
			f.reopen()
		}
		f.clock = hour(10)
		f.end("h2", leaderboard.End{Due: true})
		f.delete("h1")
		f.end("h3", leaderboard.End{At: hour(9)}) // which leaves 9 to 10
		f.wantDue(hour(10), 10, hour(11), "h3")
		f.apply(submit("h3", "alice", "1"))
		f.clock = hour(11)
		f.end("dates", leaderboard.End{Due: true})
		f.wantDue(hour(11), 10, hour(12), "h2", "h3")
		f.patch("h3", leaderboard.Patch{Seasons: &leaderboard.Seasons{}, At: hour(11)})
		f.patch("hand", leaderboard.Patch{Seasons: &leaderboard.Seasons{EndsAt: hour(12)}, At: hour(11)})
		f.wantDue(hour(12), 10, time.Time{}, "h2", "hand", "noon")
		f.create(leaderboard.Board{ID: "h1"})
		f.reopen()
		f.wantDue(hour(12), 10, time.Time{}, "h2", "hand", "noon")
	}},
	{"a change of the setting lets the season go on, to another end", func(f *fixture) {
		before := f.create(leaderboard.Board{ID: "race", Seasons: hourly})
		f.apply(submit("race", "alice", "1"))
		f.clock = f.clock.Add(time.Minute)
		want := before
		want.Rev, want.Total = 3, 1
		day := f.clock.Truncate(24 * time.Hour)
		for _, s := range []leaderboard.Seasons{
			{Cron: "15 * * * *", TimeZone: "Asia/Kathmandu", Grace: 5, Keep: 7}, {}, {Every: "2w", From: day, TimeZone: "Europe/Berlin"}, {EndsAt: day.AddDate(0, 1, 0)}, {Every: "1d", From: day.AddDate(0, 0, 2)},
		} {
			got := f.patch("race", leaderboard.Patch{Seasons: &s, At: f.clock})
			want.Board.Seasons = s
			switch {
			case s.Cron != "":
				want.EndsAt = day.Add(9*time.Hour + 30*time.Minute) // a quarter past there
			case s.Every == "2w":
				want.EndsAt = day.AddDate(0, 0, 14)
			case s.Every == "1d":
				want.EndsAt = s.From
			default:
				want.EndsAt = s.EndsAt
			}
			if diff := compare(want, got); diff != "" {
				f.Errorf("view with %+v (-want +got):\n%s", s, diff)
			}
			f.unchanged(f.reopen)
			want.Rev++
		}
		f.unchanged(func() {
			for _, s := range []leaderboard.Seasons{{Cron: "often"}, {Keep: -1}, {Grace: -1}, {Every: "1d"}} {
				_, err := f.store.PatchBoard(f.Context(), "race", leaderboard.Patch{Seasons: &s, At: f.clock})
				f.wantCode("PatchBoard", err, leaderboard.CodeInvalidBoard)
			}
		})
		want.Board.Top = 7
		if diff := compare(want, f.patch("race", leaderboard.Patch{Top: new(7)})); diff != "" {
			f.Errorf("view after another setting was changed (-want +got):\n%s", diff)
		}
	}},
	{"a change of the setting opens a season that was closed", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{EndsAt: f.clock.Add(time.Hour)}})
		f.apply(submit("race", "alice", "1"))
		f.clock = f.clock.Add(2 * time.Hour)
		if view := f.end("race", leaderboard.End{Due: true}); !view.Closed || view.Season != 1 {
			f.Errorf("view = %+v, want one that is closed", view)
		}
		f.patch("race", leaderboard.Patch{Seasons: &leaderboard.Seasons{EndsAt: f.clock.Add(time.Hour)}, At: f.clock})
		f.apply(submit("race", "alice", "1"))
		f.wantTable("race", "1 alice 2")
		f.unchanged(f.reopen)
	}},
	{"of many ends at once exactly one happens", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: hourly})
		f.apply(submit("race", "alice", "1"))
		for season := 1; season <= 4; season++ {
			rev := f.view("race").Rev
			f.clock = f.clock.Add(time.Hour)
			var happened atomic.Int64
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					_, _, err := f.store.ChangeBoard(f.Context(), leaderboard.BoardChange{ID: "race", End: &leaderboard.End{Season: season, At: f.clock, Due: i%2 == 0 || season%2 == 0}})
					switch {
					case err == nil:
						happened.Add(1)
					case leaderboard.CodeOf(err) != leaderboard.CodeSeasonEnded:
						f.Errorf("ChangeBoard: %v", err)
					}
				})
			}
			wg.Wait()
			if view := f.view("race"); view.Season != season+1 || happened.Load() != 1 || view.Rev != rev+1 {
				f.Errorf("%d ends of season %d happened; now it is season %d at rev %d, after %d", happened.Load(), season, view.Season, view.Rev, rev)
			}
		}
	}},
	{"of many batches at once that find the season due, one ends it", func(f *fixture) {
		ids := []string{"a", "b", "c"}
		for _, id := range ids {
			f.create(leaderboard.Board{ID: id, Seasons: hourly})
			f.apply(submit(id, "alice", "1"))
		}
		for season := 2; season <= 5; season++ {
			f.clock = f.clock.Add(time.Hour)
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					ops := []leaderboard.Op{submit(ids[w%3], "alice", "1"), submit(ids[(w+1)%3], "alice", "1")}
					if w%2 == 0 {
						ops = ops[:1]
					}
					if _, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock}); err != nil {
						f.Errorf("Apply: %v", err)
					}
				})
			}
			wg.Wait()
			var sum int64
			for _, id := range ids {
				page := f.page(id, whole)
				sum += page.Entries[0].Score
				if page.Season != season {
					f.Errorf("%s is in season %d, want %d", id, page.Season, season)
				}
			}
			if sum != 12 {
				f.Errorf("season %d has %d points, want 12", season, sum)
			}
		}
		f.unchanged(f.reopen)
	}},
	{"under writers, each score is in one season", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Seasons: leaderboard.Seasons{Grace: 3_600_000, Keep: 50}})
		const count, rounds = 4, 30
		var wg sync.WaitGroup
		for w := range count {
			wg.Go(func() {
				for range rounds {
					outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit("race", fmt.Sprint(w), "1")}, At: f.clock})
					if err != nil {
						f.Errorf("Apply: %v", err)
						return
					}
					// The same season once more, if it takes it.
					again := late(outcome.Boards[0].Season, submit("race", fmt.Sprint("late", w), "1"))
					_, err = f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{again}, At: f.clock})
					if err != nil && leaderboard.CodeOf(err) != leaderboard.CodeSeasonEnded {
						f.Errorf("Apply: %v", err)
						return
					}
				}
			})
		}
		for range 9 {
			f.end("race", leaderboard.End{})
		}
		wg.Wait()
		sums, revs := map[string]int64{}, uint64(1+9)
		for _, view := range f.seasons("race") {
			for _, e := range f.pageOf(leaderboard.Ref{Board: "race", Season: view.Season}, whole).Entries {
				sums[e.Member] += e.Score
				revs += uint64(e.Score)
			}
		}
		for w := range count {
			if got := sums[fmt.Sprint(w)]; got != rounds {
				f.Errorf("writer %d has %d points over all seasons, want %d", w, got, rounds)
			}
		}
		f.wantRev("race", revs)
		f.unchanged(f.reopen)
	}},
}

// end ends a season, at the clock's time unless there is one.
func (f *fixture) end(id string, end leaderboard.End) leaderboard.View {
	f.Helper()
	if end.At.IsZero() {
		end.At = f.clock
	}
	view, repeated, err := f.store.ChangeBoard(f.Context(), leaderboard.BoardChange{ID: id, End: &end})
	if err != nil || repeated {
		f.Fatalf("end of %q by %+v: repeated = %t, %v", id, end, repeated, err)
	}
	return view
}

func (f *fixture) refuseEnd(code leaderboard.Code, id string, end leaderboard.End) {
	f.Helper()
	end.At = f.clock
	_, _, err := f.store.ChangeBoard(f.Context(), leaderboard.BoardChange{ID: id, End: &end})
	f.wantCode(fmt.Sprintf("end of %q by %+v", id, end), err, code)
}

// late names the season that an operation is meant for.
func late(season int, op leaderboard.Op) leaderboard.Op {
	op.Season = season
	return op
}

func (f *fixture) seasons(id string) []leaderboard.View {
	f.Helper()
	views, err := f.store.Seasons(f.Context(), id)
	if err != nil {
		f.Fatalf("Seasons(%q): %v", id, err)
	}
	return views
}

func (f *fixture) pageOf(at leaderboard.Ref, r leaderboard.Range) leaderboard.Page {
	f.Helper()
	page, err := f.store.Entries(f.Context(), at, r)
	if err != nil {
		f.Fatalf("Entries(%v, %s): %v", at, describeRange(r), err)
	}
	return page
}

func (f *fixture) around(at leaderboard.Ref, member string, limit int) leaderboard.Page {
	f.Helper()
	page, err := f.store.Around(f.Context(), at, member, limit)
	if err != nil {
		f.Fatalf("Around(%v, %q, %d): %v", at, member, limit, err)
	}
	return page
}

func (f *fixture) lookupIn(at leaderboard.Ref, members ...string) leaderboard.Page {
	f.Helper()
	page, err := f.store.Lookup(f.Context(), at, members)
	if err != nil {
		f.Fatalf("Lookup(%v, %q): %v", at, members, err)
	}
	return page
}

// reads asks for everything there is to ask of a season of about ten entries.
func (f *fixture) reads(at leaderboard.Ref) (pages []leaderboard.Page) {
	f.Helper()
	all := f.pageOf(at, whole)
	pages = append(pages, all)
	positions := slices.Clone(extremePositions)
	for _, e := range all.Entries {
		positions = append(positions, e.Position(), leaderboard.Position{Score: e.Score, Seq: e.Seq - 1}, leaderboard.Position{Score: e.Score + 1})
		for limit := 1; limit <= 12; limit += 2 {
			pages = append(pages, f.around(at, e.Member, limit))
		}
		pages = append(pages, f.lookupIn(at, e.Member))
	}
	for _, after := range positions {
		pages = append(pages, f.pageOf(at, leaderboard.Range{After: &after, Limit: 4}))
	}
	for offset := range 12 {
		for _, limit := range []int{1, 4, 12} {
			pages = append(pages, f.pageOf(at, leaderboard.Range{Offset: offset, Limit: limit}))
		}
		pages = append(pages, f.pageOf(at, leaderboard.Range{Percent: new(score("33.4")), Offset: offset, Limit: 3}))
	}
	for _, points := range []string{"-99", "-5", "-4", "1", "20", "21", "99"} {
		pages = append(pages, f.pageOf(at, leaderboard.Range{Around: new(score(points)), Limit: 5}))
	}
	return append(pages, f.lookupIn(at, "m3", "nobody", "m7", "m3", "m10"), f.lookupIn(at))
}

// wantKept compares the seasons that there are with so many before the current one.
func (f *fixture) wantKept(id string, current, past int) {
	f.Helper()
	var want, got []int
	for n := range past + 1 {
		want = append(want, current-n)
	}
	for _, view := range f.seasons(id) {
		got = append(got, view.Season)
	}
	if diff := compare(want, got); diff != "" {
		f.Errorf("seasons of %q (-want +got):\n%s", id, diff)
	}
}

// wantDue asks for the boards that are due until a store has noticed, which it may take
// a moment to.
func (f *fixture) wantDue(at time.Time, limit int, next time.Time, want ...string) {
	f.Helper()
	type due struct {
		Boards []string
		Next   time.Time
	}
	for end := time.Now().Add(f.patience); ; {
		boards, then, err := f.store.Due(f.Context(), at, limit)
		if err != nil {
			f.Fatalf("Due: %v", err)
		}
		diff := compare(due{want, next}, due{boards, then})
		if diff == "" {
			return
		}
		if time.Now().After(end) {
			f.Fatalf("due at %v, at most %d (-want +got):\n%s", at, limit, diff)
		}
	}
}
