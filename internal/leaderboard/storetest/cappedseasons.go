package storetest

import (
	"time"

	"laurel/internal/leaderboard"
)

// wantPast compares a season of a board with rows as those of wantTable.
func (f *fixture) wantPast(at leaderboard.Ref, want ...string) {
	f.Helper()
	if diff := compare(want, table(f.pageOf(at, whole).Entries)); diff != "" {
		f.Errorf("%v (-want +got):\n%s", at, diff)
	}
}

// Boards that have seasons, and a number of entries or a time for which these live.
var cappedSeasonChecks = []check{
	{"a season that takes late scores is held to the number of entries that it had at its end", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", MaxEntries: 2, RankStyle: leaderboard.Dense, Seasons: leaderboard.Seasons{Grace: 60_000}})
		first := leaderboard.Ref{Board: "race", Season: 1}
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "4"))
		f.end("race", leaderboard.End{})
		f.patch("race", leaderboard.Patch{MaxEntries: new(1)})
		f.wantPast(first, "1 alice 5", "2 bob 4")
		f.wantResult(f.apply(submit("race", "carol", "1")), leaderboard.Result{Member: "carol", Accepted: true, Current: at(1, 1)})
		f.unchanged(func() {
			f.wantResult(f.apply(submit("race", "dave", "0")), leaderboard.Result{Member: "dave", Reason: leaderboard.BoardFull})
			f.wantResult(f.apply(late(1, submit("race", "dave", "3"))), leaderboard.Result{Member: "dave", Reason: leaderboard.BoardFull})
			f.refuse(1, leaderboard.CodeMemberNotFound, late(1, submit("race", "erin", "7")), late(1, remove("race", "bob"))) // who fell off
			f.reopen()
			f.wantPast(first, "1 alice 5", "2 bob 4")
		})
		f.wantResult(f.apply(late(1, submit("race", "dave", "6"))), leaderboard.Result{Member: "dave", Accepted: true, Current: at(6, 1)})
		f.wantPast(first, "1 dave 6", "2 alice 5")
		f.wantTable("race", "1 carol 1")
		f.apply(late(1, remove("race", "dave")), late(1, submit("race", "erin", "1")))
		f.wantPast(first, "1 alice 5", "2 erin 1")
		f.unchanged(f.reopen)
		f.wantPast(first, "1 alice 5", "2 erin 1")
	}},
	{"entries of a season that has ended never expire", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10, MaxEntries: 3, Seasons: leaderboard.Seasons{Grace: 60_000}})
		first := leaderboard.Ref{Board: "race", Season: 1}
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "4"))
		f.end("race", leaderboard.End{})
		later := f.clock.Add(time.Hour)
		f.unchanged(func() { f.expire(later, 10, 0, never) })
		f.apply(late(1, submit("race", "alice", "1")), late(1, submit("race", "carol", "1"))) // to the new season nothing
		f.unchanged(func() {
			f.expire(later, 10, 0, never)
			f.reopen()
			f.expire(later, 10, 0, never)
		})
		f.apply(submit("race", "alice", "2"))
		start := f.clock
		f.apply(late(1, submit("race", "bob", "1")))
		f.unchanged(f.reopen)
		f.expire(start, 10, 0, 10*time.Second)
		rev := f.view("race").Rev
		f.expire(later, 10, 1, never)
		f.wantRev("race", rev+1)
		f.wantTable("race")
		f.wantPast(first, "1 alice 6", "2 bob 5", "3 carol 1")
		f.patch("race", leaderboard.Patch{EntryTTL: new(1)})
		f.unchanged(func() { f.expire(later, 10, 0, never) })
	}},
	{"an end that is due is before the expiry of what it ends", func(f *fixture) {
		day := f.clock.Truncate(24*time.Hour).AddDate(0, 0, 1)
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10, Seasons: leaderboard.Seasons{Every: "1d", From: day.AddDate(0, 0, -1)}})
		f.clock = day.Add(-12 * time.Second)
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "4"))
		f.expire(day, 10, 0, never)
		if view := f.view("race"); view.Season != 2 || view.Total != 0 {
			f.Errorf("view = %+v, want season 2 without entries", view)
		}
		f.wantPast(leaderboard.Ref{Board: "race", Season: 1}, "1 alice 5", "2 bob 4")
	}},
	{"what a season that was closed has stays, and lives on if the season goes on", func(f *fixture) {
		noon := f.clock.Truncate(24*time.Hour).AddDate(0, 0, 1)
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10, Seasons: leaderboard.Seasons{EndsAt: noon}})
		f.create(leaderboard.Board{ID: "asked", EntryTTL: 10, Seasons: leaderboard.Seasons{EndsAt: noon}})
		f.clock = noon.Add(-5 * time.Second)
		f.apply(submit("race", "alice", "5"), submit("asked", "alice", "5"))
		f.end("race", leaderboard.End{Due: true, At: noon})
		f.expire(noon.Add(time.Hour), 10, 0, never) // which closes the other one
		f.unchanged(func() {
			f.expire(noon.Add(time.Hour), 10, 0, never)
			f.reopen()
			f.expire(noon.Add(time.Hour), 10, 0, never)
			f.wantTable("race", "1 alice 5")
			f.wantTable("asked", "1 alice 5")
		})
		f.patch("race", leaderboard.Patch{Seasons: &leaderboard.Seasons{EndsAt: noon.AddDate(0, 0, 1)}, At: noon.Add(time.Hour)})
		f.expire(noon.Add(time.Hour), 10, 1, never)
		f.wantTable("race")
		f.wantTable("asked", "1 alice 5")
	}},
}
