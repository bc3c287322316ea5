package storetest

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"laurel/internal/leaderboard"
)

// never is when nothing is due.
const never = time.Duration(math.MinInt64)

// expire expires what is due by a time, and compares how much that was and when the
// next is due, as a time after now.
func (f *fixture) expire(now time.Time, limit, want int, next time.Duration) {
	f.Helper()
	expired, at, err := f.store.Expire(f.Context(), now, limit)
	if err != nil {
		f.Fatalf("Expire(%v): %v", now, err)
	}
	wantAt := now.Add(next)
	if next == never {
		wantAt = time.Time{}
	}
	if expired != want || !at.Equal(wantAt) {
		f.Errorf("Expire(%v, %d) = %d, next at %v, want %d and %v", now, limit, expired, at, want, wantAt)
	}
}

var expiryChecks = []check{
	{"an entry that nobody refreshed for so long is taken off the board, which is one change", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", EntryTTL: 60})
		f.create(leaderboard.Board{ID: "other"})
		f.expire(f.clock, 10, 0, never)
		f.apply(submit("race", "alice", "5"), submit("other", "alice", "5"))
		f.apply(withData(submit("race", "bob", "4"), `{"n":1}`)) // a second later
		f.unchanged(func() {
			f.expire(f.clock, 10, 0, 59*time.Second)
			f.expire(f.clock.Add(59*time.Second-time.Millisecond), 10, 0, time.Millisecond)
		})
		f.expire(f.clock.Add(59*time.Second), 10, 1, time.Second)
		f.wantTable("race", "1 bob 4")
		f.wantRev("race", 4)
		f.unchanged(f.reopen)
		f.expire(f.clock.Add(time.Hour), 10, 1, never)
		f.wantRev("race", 5)
		f.wantTable("race")
		f.wantTable("other", "1 alice 5")
		f.unchanged(func() { f.expire(f.clock.Add(time.Hour), 10, 0, never) })
		f.wantResult(f.apply(submit("race", "bob", "1")), leaderboard.Result{Member: "bob", Accepted: true, Current: at(1, 1)})
		if data := f.entry("race", "bob").Data; data != nil {
			f.Errorf("data of who expired is there again: %s", data)
		}
	}},
	{"what is accepted refreshes an entry, also where the score stays, and what is not better does not", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best, EntryTTL: 10})
		f.apply(submit("race", "alice", "5"), submit("race", "bob", "5"), submit("race", "carol", "5"))
		start := f.clock
		for range 5 {
			f.apply(submit("race", "alice", "5"), withData(set("race", "bob", "5"), "{}"), submit("race", "carol", "4"))
		}
		f.apply(submit("race", "carol", "6")) // 6 s
		f.expire(start.Add(10*time.Second), 10, 1, 5*time.Second)
		f.wantTable("race", "1 carol 6", "2 bob 5")
		f.expire(start.Add(15*time.Second), 10, 1, time.Second)
		f.wantTable("race", "1 carol 6")
	}},
	{"those expire first that were updated first, so many at a time", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10})
		start := f.clock
		for _, member := range []string{"e", "d", "c", "b", "a"} {
			f.apply(submit("race", member, "1"))
		}
		later := start.Add(time.Hour)
		f.expire(later, 2, 2, start.Add(13*time.Second).Sub(later)) // overdue
		f.wantTable("race", "1 c 1", "2 b 1", "3 a 1")
		f.wantRev("race", 8)
		f.expire(later, 1, 1, start.Add(14*time.Second).Sub(later))
		f.expire(later, 2, 2, never)
		f.wantRev("race", 11)
	}},
	{"the next is the first of all boards, whichever has lost some", func(f *fixture) {
		for i := range 8 { // of which some share a partition, if there are any
			f.create(leaderboard.Board{ID: fmt.Sprintf("b%d", i), EntryTTL: 10})
			f.apply(submit(fmt.Sprintf("b%d", i), "alice", "5"))
		}
		start := f.clock.Add(-7 * time.Second)
		f.clock = start.Add(-500 * time.Millisecond)
		f.apply(submit("b0", "bob", "5")) // half a second before the next alice
		f.expire(start.Add(10*time.Second), 100, 1, 500*time.Millisecond)
		f.expire(start.Add(10500*time.Millisecond), 100, 1, 500*time.Millisecond)
		f.expire(start.Add(11*time.Second), 100, 1, time.Second)
	}},
	{"an entry is due by the time of its last batch, also where that went back", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10})
		f.apply(submit("race", "alice", "5"))
		then := f.clock
		f.clock = then.Add(-6 * time.Second)
		f.apply(submit("race", "alice", "1"))
		f.expire(then, 10, 0, 5*time.Second)
		f.expire(then.Add(5*time.Second), 10, 1, never)
	}},
	{"a time to live is given at the creation or never, and a change counts for those who are there", func(f *fixture) {
		f.create(leaderboard.Board{ID: "with", EntryTTL: 10})
		f.create(leaderboard.Board{ID: "without"})
		f.apply(submit("with", "alice", "5"), submit("without", "alice", "5"))
		f.unchanged(func() {
			_, err := f.store.PatchBoard(f.Context(), "with", leaderboard.Patch{EntryTTL: new(0)})
			f.wantCode("PatchBoard to 0", err, leaderboard.CodeImmutableSetting)
			_, err = f.store.PatchBoard(f.Context(), "without", leaderboard.Patch{EntryTTL: new(10)})
			f.wantCode("PatchBoard from 0", err, leaderboard.CodeImmutableSetting)
			_, err = f.store.PatchBoard(f.Context(), "with", leaderboard.Patch{EntryTTL: new(leaderboard.MaxEntryTTL + 1)})
			f.wantCode("PatchBoard", err, leaderboard.CodeInvalidBoard)
		})
		f.patch("with", leaderboard.Patch{EntryTTL: new(20)})
		f.expire(f.clock.Add(10*time.Second), 10, 0, 10*time.Second)
		f.patch("with", leaderboard.Patch{EntryTTL: new(5)})
		f.expire(f.clock, 10, 0, 5*time.Second)
		f.expire(f.clock.Add(5*time.Second), 10, 1, never)
		f.apply(submit("with", "alice", "5"))
		f.delete("with")
		f.expire(f.clock.Add(time.Hour), 10, 0, never)
		f.create(leaderboard.Board{ID: "with"})
		f.apply(submit("with", "alice", "5"))
		f.expire(f.clock.Add(time.Hour), 10, 0, never)
		f.delete("with")
		f.create(leaderboard.Board{ID: "with", EntryTTL: 3, MaxEntries: 2, RankStyle: leaderboard.Dense, SubmitsPerMinute: 9})
		f.apply(submit("with", "alice", "5"), submit("with", "bob", "6"), submit("with", "carol", "6"))
		f.expire(f.clock.Add(3*time.Second), 10, 2, never) // alice fell off
		f.wantTable("with")
	}},
	{"who left the board in another way does not expire", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10, MaxEntries: 3})
		f.apply(crowd("race", 3)...)
		f.apply(submit("race", "new", "9"))
		f.patch("race", leaderboard.Patch{MaxEntries: new(2)})
		f.apply(remove("race", "new"))
		f.wantTable("race", "1 m0003 3")
		f.expire(f.clock.Add(time.Hour), 10, 1, never)
		f.expire(f.clock.Add(time.Hour), 10, 0, never)
	}},
	{"each of a batch over many boards expires where it is", func(f *fixture) {
		var ops []leaderboard.Op
		for i := range 8 {
			b := leaderboard.Board{ID: fmt.Sprintf("b%d", i), EntryTTL: 10 + i}
			if i%2 == 1 {
				b.RankStyle, b.SubmitsPerMinute = leaderboard.Dense, 100
			}
			f.create(b)
			ops = append(ops, submit(b.ID, "alice", "5"), submit(b.ID, "bob", "6"))
		}
		f.apply(ops...)
		start := f.clock
		f.apply(ops[0], ops[2], ops[4])
		for i := range 8 {
			want := 2
			if i < 3 {
				want = 1
			}
			if i >= 1 && i <= 3 {
				want++ // alice of the board before, a second after bob
			}
			next := time.Second
			if i == 7 {
				next = never
			}
			f.expire(start.Add(time.Duration(10+i)*time.Second), 100, want, next)
		}
		for i := range 8 {
			f.wantTable(fmt.Sprintf("b%d", i))
		}
	}},
	{"of many who expire entries while others refresh them, each expiry is made once", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10})
		f.apply(crowd("race", 200)...)
		later := f.clock.Add(10 * time.Second)
		var expired atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					n, next, err := f.store.Expire(f.Context(), later, 7)
					if err != nil {
						f.Errorf("Expire: %v", err)
						return
					}
					expired.Add(int64(n))
					if next.IsZero() || next.After(later) {
						return
					}
				}
			})
		}
		refreshed := crowd("race", 5)
		wg.Go(func() {
			for _, op := range refreshed {
				if _, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{op}, At: later}); err != nil {
					f.Errorf("Apply: %v", err)
				}
			}
		})
		wg.Wait()
		view := f.view("race")
		if view.Total != 5 || uint64(201+5)+uint64(expired.Load()) != view.Rev {
			f.Errorf("%d entries at rev %d after %d expiries, want 5 at %d", view.Total, view.Rev, expired.Load(), 206+expired.Load())
		}
	}},
	{"an expiry is told", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race", EntryTTL: 10})
		f.apply(submit("race", "alice", "5"))
		changes, cursor, err := f.store.Changes(f.Context(), "", 10)
		if err != nil || len(changes) == 0 {
			f.Fatalf("Changes: %v, %v", changes, err)
		}
		f.expire(f.clock.Add(10*time.Second), 10, 1, never)
		for told := changes[len(changes)-1].Rev; told < 3; {
			ctx, cancel := f.soon()
			changes, cursor, err = f.store.Changes(ctx, cursor, 10)
			cancel()
			if err != nil {
				f.Fatalf("Changes after the expiry: %v", err)
			}
			told = changes[len(changes)-1].Rev
		}
	}},
}
