package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"laurel/internal/leaderboard"
)

var changeLogChecks = []check{
	{"every kind of change is told", func(f *fixture) {
		l := f.follow()
		f.create(leaderboard.Board{ID: "race", Policy: leaderboard.Best})
		l.until(leaderboard.Change{Board: "race", Rev: 1})
		f.patch("race", leaderboard.Patch{})
		l.until(leaderboard.Change{Board: "race", Rev: 2})
		f.apply(submit("race", "alice", "1"))
		l.until(leaderboard.Change{Board: "race", Rev: 3})
		f.apply(set("race", "alice", "1"))
		l.until(leaderboard.Change{Board: "race", Rev: 4})
		f.apply(remove("race", "alice"))
		l.until(leaderboard.Change{Board: "race", Rev: 5})
		f.delete("race")
		l.until(leaderboard.Change{Board: "race", Rev: 6})
		f.create(leaderboard.Board{ID: "race"})
		l.until(leaderboard.Change{Board: "race", Rev: 7})
	}},
	{"a batch tells the last rev of each of its boards", func(f *fixture) {
		for _, id := range []string{"a", "b", "c"} {
			f.create(leaderboard.Board{ID: id})
		}
		f.apply(submit("c", "alice", "1"), submit("a", "alice", "1"), submit("c", "bob", "1"), submit("b", "alice", "1"), submit("c", "alice", "1"))
		f.follow().until(leaderboard.Change{Board: "c", Rev: 4}, leaderboard.Change{Board: "a", Rev: 2}, leaderboard.Change{Board: "b", Rev: 2})
	}},
	{"changes are told in their order, at most limit at once", func(f *fixture) {
		var want []leaderboard.Change
		for i := range 7 {
			id := fmt.Sprint((i * 4) % 7) // not in the order of the ids
			f.create(leaderboard.Board{ID: id})
			want = append(want, leaderboard.Change{Board: id, Rev: 1})
		}
		for limit := 1; limit <= 8; limit++ {
			l := f.follow()
			l.limit = limit
			l.until(want...)
			if diff := compare(want, l.told); diff != "" {
				f.Errorf("changes by %d (-want +got):\n%s", limit, diff)
			}
		}
	}},
	{"changes that are folded keep the order and the newest", func(f *fixture) {
		var all []leaderboard.Change
		ids := []string{"a", "b", "c"}
		for _, id := range ids {
			f.create(leaderboard.Board{ID: id})
			all = append(all, leaderboard.Change{Board: id, Rev: 1})
		}
		for i := range 20 {
			id := ids[(i*i)%3]
			outcome := f.apply(submit(id, "alice", "1"))
			all = append(all, leaderboard.Change{Board: id, Rev: outcome.Boards[0].Rev})
		}
		l := f.follow()
		l.limit = 2
		l.until(leaderboard.Change{Board: "a", Rev: f.view("a").Rev}, leaderboard.Change{Board: "b", Rev: f.view("b").Rev},
			leaderboard.Change{Board: "c", Rev: f.view("c").Rev})
		// What was told must be what happened, with some of it left out.
		rest := all
		for _, told := range l.told {
			i := slices.Index(rest, told)
			if i < 0 {
				f.Fatalf("changes told = %v, not in the order of %v", l.told, all)
			}
			rest = rest[i+1:]
		}
	}},
	{"what changed nothing is not told", func(f *fixture) {
		f.create(leaderboard.Board{ID: "best", Policy: leaderboard.Best})
		f.create(leaderboard.Board{ID: "sum"})
		f.apply(submit("best", "alice", "5"))
		l := f.follow()
		l.until(leaderboard.Change{Board: "best", Rev: 2}, leaderboard.Change{Board: "sum", Rev: 1})
		l.told = nil

		f.apply(submit("best", "alice", "4"))
		f.refuse(1, leaderboard.CodeMemberNotFound, submit("best", "alice", "9"), remove("best", "nobody"))
		f.refuse(1, leaderboard.CodeBoardNotFound, submit("best", "alice", "9"), submit("none", "alice", "1"))
		if _, err := f.store.CreateBoard(f.Context(), leaderboard.Board{ID: "best"}.WithDefaults()); err == nil {
			f.Fatal("CreateBoard of a board that exists succeeded")
		}
		f.apply(submit("best", "alice", "3"), submit("sum", "alice", "1"))
		l.until(leaderboard.Change{Board: "sum", Rev: 2})
		if diff := compare([]leaderboard.Change{{Board: "sum", Rev: 2}}, l.told); diff != "" {
			f.Errorf("changes (-want +got):\n%s", diff)
		}
	}},
	{"a cursor tells the same again", func(f *fixture) {
		for _, id := range []string{"a", "b", "c"} {
			f.create(leaderboard.Board{ID: id})
		}
		_, first := f.changes("", 1)
		for range 2 {
			got, _ := f.changes(first, 10)
			if diff := compare([]leaderboard.Change{{Board: "b", Rev: 1}, {Board: "c", Rev: 1}}, got); diff != "" {
				f.Errorf("changes after the first (-want +got):\n%s", diff)
			}
		}
		got, _ := f.changes("", 10)
		if diff := compare([]leaderboard.Change{{Board: "a", Rev: 1}, {Board: "b", Rev: 1}, {Board: "c", Rev: 1}}, got); diff != "" {
			f.Errorf("changes from the beginning (-want +got):\n%s", diff)
		}
	}},

	{"who waits for changes is woken by one", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		_, cursor := f.changes("", 10)
		woken := f.waitFor(cursor)
		f.apply(submit("race", "alice", "1"))
		f.wantWoken(woken, leaderboard.Change{Board: "race", Rev: 2})
	}},
	{"who waits on an empty log is woken by the first change", func(f *fixture) {
		woken := f.waitFor("")
		f.create(leaderboard.Board{ID: "race"})
		f.wantWoken(woken, leaderboard.Change{Board: "race", Rev: 1})
	}},
	{"all who wait are woken", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		_, cursor := f.changes("", 10)
		var waiters []<-chan answer
		for range 3 {
			waiters = append(waiters, f.waitFor(cursor))
		}
		f.patch("race", leaderboard.Patch{})
		for _, woken := range waiters {
			f.wantWoken(woken, leaderboard.Change{Board: "race", Rev: 2})
		}
	}},
	{"no change is slept through", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		_, cursor := f.changes("", 10)
		for rev := uint64(2); rev < 200; rev++ {
			woken := f.waitFor(cursor)
			f.apply(submit("race", "alice", "1"))
			cursor = f.wantWoken(woken, leaderboard.Change{Board: "race", Rev: rev})
		}
	}},
	{"waiting ends with the context", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		_, cursor := f.changes("", 10)
		store, done := f.store, make(chan error, 1)
		inner, cancel := context.WithCancel(f.Context())
		waiting := &watchedContext{Context: inner, begun: make(chan struct{})}
		go func() {
			defer waiting.begin.Do(func() { close(waiting.begun) })
			_, _, err := store.Changes(waiting, cursor, 10)
			done <- err
		}()
		waiting.await(f.patience)
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				f.Errorf("Changes with a cancelled context: %v, want %v", err, context.Canceled)
			}
		case <-time.After(f.patience):
			f.Fatalf("Changes still waits %v after its context was cancelled", f.patience)
		}

		ctx, cancel := context.WithTimeout(f.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := f.store.Changes(ctx, cursor, 10); !errors.Is(err, context.DeadlineExceeded) {
			f.Errorf("Changes beyond its deadline: %v, want %v", err, context.DeadlineExceeded)
		}
	}},

	{"after an acknowledgement the empty cursor stands behind what was acknowledged", func(f *fixture) {
		for _, id := range []string{"a", "b", "c", "d"} {
			f.create(leaderboard.Board{ID: id})
		}
		_, cursor := f.changes("", 2)
		f.ack(cursor)
		got, _ := f.changes("", 10)
		if diff := compare([]leaderboard.Change{{Board: "c", Rev: 1}, {Board: "d", Rev: 1}}, got); diff != "" {
			f.Errorf("changes (-want +got):\n%s", diff)
		}
		got, cursor = f.changes(cursor, 10)
		if diff := compare([]leaderboard.Change{{Board: "c", Rev: 1}, {Board: "d", Rev: 1}}, got); diff != "" {
			f.Errorf("changes after the cursor (-want +got):\n%s", diff)
		}
		f.ack(cursor)
		woken := f.waitFor("")
		f.patch("b", leaderboard.Patch{})
		f.wantWoken(woken, leaderboard.Change{Board: "b", Rev: 2})
	}},
	{"an acknowledgement does not reach beyond its cursor", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		_, cursor := f.changes("", 10)
		f.apply(submit("race", "alice", "1"))
		f.ack(cursor)
		l := f.follow()
		l.until(leaderboard.Change{Board: "race", Rev: 2})
		if len(l.told) != 1 {
			f.Errorf("changes = %v, want race at rev 2 alone", l.told)
		}
	}},
	{"acknowledging the empty cursor or an earlier one takes nothing away and gives nothing back", func(f *fixture) {
		for _, id := range []string{"a", "b", "c"} {
			f.create(leaderboard.Board{ID: id})
		}
		f.ack("")
		got, first := f.changes("", 1)
		if diff := compare([]leaderboard.Change{{Board: "a", Rev: 1}}, got); diff != "" {
			f.Errorf("changes (-want +got):\n%s", diff)
		}
		_, second := f.changes(first, 1)
		f.ack(second)
		f.ack(first)
		f.ack("")
		got, _ = f.changes("", 10)
		if diff := compare([]leaderboard.Change{{Board: "c", Rev: 1}}, got); diff != "" {
			f.Errorf("changes (-want +got):\n%s", diff)
		}
	}},
}

// changes reads the change log where there is something to be told.
func (f *fixture) changes(after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor) {
	f.Helper()
	ctx, cancel := f.soon()
	defer cancel()
	changes, next, err := f.store.Changes(ctx, after, limit)
	if err != nil {
		f.Fatalf("Changes(%q, %d): %v", after, limit, err)
	}
	if len(changes) == 0 || len(changes) > limit {
		f.Fatalf("Changes(%q, %d) has %d changes", after, limit, len(changes))
	}
	return changes, next
}

func (f *fixture) ack(through leaderboard.Cursor) {
	f.Helper()
	if err := f.store.Ack(f.Context(), through); err != nil {
		f.Fatalf("Ack(%q): %v", through, err)
	}
}

// follower reads the change log from its beginning.
type follower struct {
	f      *fixture
	cursor leaderboard.Cursor
	limit  int
	told   []leaderboard.Change
}

func (f *fixture) follow() *follower { return &follower{f: f, limit: 100} }

// until reads on until all of the changes have been told.
func (l *follower) until(wanted ...leaderboard.Change) {
	l.f.Helper()
	missing := map[string]uint64{}
	for _, c := range wanted {
		missing[c.Board] = c.Rev
	}
	for len(missing) > 0 {
		ctx, cancel := l.f.soon()
		changes, next, err := l.f.store.Changes(ctx, l.cursor, l.limit)
		cancel()
		if err != nil {
			l.f.Fatalf("Changes(%q, %d): %v; told = %v, missing are %v", l.cursor, l.limit, err, l.told, missing)
		}
		if len(changes) == 0 || len(changes) > l.limit {
			l.f.Fatalf("Changes(%q, %d) has %d changes", l.cursor, l.limit, len(changes))
		}
		l.cursor = next
		l.told = append(l.told, changes...)
		maps.DeleteFunc(missing, func(board string, rev uint64) bool {
			return slices.Contains(changes, leaderboard.Change{Board: board, Rev: rev})
		})
	}
}

// answer is what Changes answered.
type answer struct {
	changes []leaderboard.Change
	next    leaderboard.Cursor
	err     error
}

// waitFor calls Changes in the background, and returns when the store has begun
// to wait or has answered.
func (f *fixture) waitFor(after leaderboard.Cursor) <-chan answer {
	store, woken := f.store, make(chan answer, 1)
	ctx := &watchedContext{begun: make(chan struct{})}
	go func() {
		var cancel context.CancelFunc
		ctx.Context, cancel = f.soon()
		defer cancel()
		defer ctx.begin.Do(func() { close(ctx.begun) })
		changes, next, err := store.Changes(ctx, after, 10)
		woken <- answer{changes, next, err}
	}()
	ctx.await(f.patience)
	return woken
}

// watchedContext tells when somebody begins to wait for its end, as whoever
// waits for something else beside it does.
type watchedContext struct {
	context.Context
	begin sync.Once
	begun chan struct{}
}

func (c *watchedContext) await(patience time.Duration) {
	select {
	case <-c.begun:
	case <-time.After(patience): // somebody waits without regard to the context
	}
}

func (c *watchedContext) Done() <-chan struct{} {
	c.begin.Do(func() { close(c.begun) })
	return c.Context.Done()
}

func (f *fixture) wantWoken(woken <-chan answer, want leaderboard.Change) leaderboard.Cursor {
	f.Helper()
	got := <-woken // comes at the latest when the patience is over
	if got.err != nil {
		f.Fatalf("waiting for %v: %v", want, got.err)
	}
	if diff := compare([]leaderboard.Change{want}, got.changes); diff != "" {
		f.Errorf("changes (-want +got):\n%s", diff)
	}
	return got.next
}
