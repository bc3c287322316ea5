package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"laurel/client"
	"laurel/internal/hooks"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 30 * time.Second
	secret   = "0123456789abcdef"
)

// world is a store with a board's worth of hooks.
type world struct {
	*testing.T
	store    *storetest.Model
	service  *leaderboard.Service
	options  hooks.Options
	registry *prometheus.Registry
	log      *logged
}

// logged keeps the messages of a log.
type logged struct {
	slog.Handler
	mu       sync.Mutex
	messages []string
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, r.Message)
	return nil
}

func (l *logged) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *logged) count(message string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.messages {
		if m == message {
			n++
		}
	}
	return n
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store := storetest.NewModel()
	w := &world{
		T: t, store: store, service: leaderboard.NewService(store, leaderboard.ServiceOptions{}),
		registry: prometheus.NewRegistry(), log: &logged{Handler: slog.DiscardHandler},
	}
	w.options = hooks.Options{
		MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, Poll: 5 * time.Millisecond,
		Log: slog.New(w.log), Metrics: w.registry,
	}
	return w
}

// hooks makes hooks, which run until the test ends or they are stopped.
func (w *world) hooks(list ...hooks.Hook) (h *hooks.Hooks, stop func()) {
	w.Helper()
	h, err := hooks.New(w.store, list, w.options)
	if err != nil {
		w.Fatal(err)
	}
	w.options.Metrics = nil // once is enough
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		h.Run(ctx)
		close(ended)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	w.Cleanup(stop)
	return h, stop
}

// show shows hooks a board as it is now, as a feed does.
func (w *world) show(h *hooks.Hooks, board string) {
	w.Helper()
	page, err := w.store.Entries(w.Context(), leaderboard.Ref{Board: board}, leaderboard.Range{Limit: 10})
	if err != nil {
		w.Fatal(err)
	}
	if err := h.Saw(w.Context(), page); err != nil {
		w.Fatal(err)
	}
}

func (w *world) submit(board, member, score string) {
	w.Helper()
	d, err := leaderboard.ParseDecimal(score)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.service.Submit(w.Context(), board, []leaderboard.Submission{{Member: member, Score: d}}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(b leaderboard.Board) {
	w.Helper()
	if _, err := w.service.CreateBoard(w.Context(), b); err != nil {
		w.Fatal(err)
	}
}

// metric returns the sum of a metric over those of its labels that are given as "name=value".
func (w *world) metric(name string, labels ...string) (sum float64) {
	w.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
					has++
				}
			}
			if has == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// target is a server that takes deliveries.
type target struct {
	*testing.T
	*httptest.Server
	got chan client.HookEvent // has room for all that a test sends

	mu     sync.Mutex
	answer func(e client.HookEvent, w http.ResponseWriter) // guarded by mu; nil takes it
}

func newTarget(t *testing.T) *target {
	t.Helper()
	target := &target{T: t, got: make(chan client.HookEvent, 10_000)}
	target.Server = httptest.NewServer(target)
	t.Cleanup(target.Close)
	return target
}

func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := client.ReadHook(r, "another secret", secret)
	if err != nil {
		t.Errorf("delivery: %v", err)
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" ||
		r.Header.Get("Laurel-Event") != e.Event || r.Header.Get("Laurel-Delivery") != e.Delivery {
		t.Errorf("%s with the header %v does not fit the event %+v", r.Method, r.Header, e)
	}
	t.mu.Lock()
	answer := t.answer
	t.mu.Unlock()
	if answer != nil {
		answer(e, w)
	}
	t.got <- e
}

func (t *target) answers(f func(e client.HookEvent, w http.ResponseWriter)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answer = f
}

// next waits for the next delivery.
func (t *target) next() client.HookEvent {
	t.Helper()
	select {
	case e := <-t.got:
		return e
	case <-time.After(patience):
		t.Fatal("no delivery comes")
		return client.HookEvent{}
	}
}

func (t *target) wantNext(want ...string) {
	t.Helper()
	for _, want := range want {
		if got := describe(t.next()); got != want {
			t.Fatalf("delivery = %s, want %s", got, want)
		}
	}
}

// wantNoMore says that nothing more was delivered when something else was.
func (t *target) wantNoMore() {
	t.Helper()
	select {
	case e := <-t.got:
		t.Errorf("delivery of %s, want none", describe(e))
	default:
	}
}

func (t *target) hook(name string) hooks.Hook {
	return hooks.Hook{Name: name, URL: t.URL, Secrets: []string{secret}}
}

// describe writes what is told for people.
func describe(e client.HookEvent) string {
	place := func(p *client.HookPlace) string {
		text := strings.TrimSpace(p.Member + " " + string(p.Score))
		if p.Season > 0 {
			text += fmt.Sprint(" in ", p.Season)
		}
		return text
	}
	text := fmt.Sprint(e.Board, " ", e.Season, ": ", e.Event)
	switch e.Event {
	case client.HookNewLeader:
		text += " " + place(e.Leader) + ", was " + place(e.Previous)
	case client.HookRecordBeaten:
		text += " " + place(e.Record) + ", was " + place(e.Previous)
	case client.HookSeasonEnded:
		text += fmt.Sprintf(" %d/%d of %d:", e.Standing.Page, e.Standing.Pages, e.Standing.Total)
		for _, p := range e.Standing.Entries {
			text += fmt.Sprint(" ", p.Rank, " ", place(&p))
		}
		if e.Standing.Gone {
			text += " gone"
		}
	}
	return text
}

func TestTellsOfLeadersAndRecords(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	h, _ := w.hooks(target.hook("all"))
	w.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest, Decimals: 1})
	w.show(h, "race")
	w.submit("race", "alice", "5")
	w.show(h, "race") // the first one takes nobody's place
	w.show(h, "race")
	w.submit("race", "bob", "7.5")
	w.show(h, "race")
	target.wantNext("race 1: new_leader bob 7.5, was alice 5", "race 1: record_beaten bob 7.5 in 1, was 5 in 1")
	w.submit("race", "bob", "6")
	w.show(h, "race") // a lower score is no record
	w.submit("race", "alice", "7")
	w.show(h, "race")
	target.wantNext("race 1: new_leader alice 7, was bob 6")
	w.submit("race", "alice", "8")
	w.show(h, "race")
	target.wantNext("race 1: record_beaten alice 8 in 1, was 7.5 in 1")
	removal := leaderboard.Op{Board: "race", Kind: leaderboard.Remove, Member: "alice"}
	if _, err := w.store.Apply(t.Context(), leaderboard.Batch{Ops: []leaderboard.Op{removal}, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.show(h, "race")
	target.wantNext("race 1: new_leader bob 6, was alice")
	w.show(h, "race")
	if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
		t.Fatal(err)
	}
	w.create(leaderboard.Board{ID: "race", Order: leaderboard.Ascending, CreatedAt: time.Now()})
	w.submit("race", "carol", "9")
	w.show(h, "race") // of another board with this id nobody knows what was
	w.submit("race", "dave", "4")
	w.show(h, "race")
	target.wantNext("race 1: new_leader dave 4, was carol 9", "race 1: record_beaten dave 4 in 1, was 9 in 1")
	target.wantNoMore()
	if n := w.metric("laurel_hooks_recorded_total", "event=new_leader"); n != 4 {
		t.Errorf("recorded new leaders = %v, want 4", n)
	}
}

// Of a board that was emptied no name is kept, and who comes first then takes
// nobody's place.
func TestEmptyBoardHasNoLeader(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	h, _ := w.hooks(target.hook("all"))
	w.submit("race", "alice", "5")
	w.show(h, "race")
	removal := leaderboard.Op{Board: "race", Kind: leaderboard.Remove, Member: "alice"}
	if _, err := w.store.Apply(t.Context(), leaderboard.Batch{Ops: []leaderboard.Op{removal}, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.show(h, "race")
	if note, err := w.store.Note(t.Context(), "race"); err != nil || note.Version == 0 || strings.Contains(string(note.Text), "alice") {
		t.Errorf("note = %s, %v, want one without alice", note.Text, err)
	}
	w.submit("race", "bob", "4")
	w.show(h, "race")
	w.submit("race", "carol", "4.5e1")
	w.show(h, "race")
	target.wantNext("race 1: new_leader carol 45, was bob 4", "race 1: record_beaten carol 45 in 1, was 5 in 1")
}

func TestTellsEachWhatItAskedFor(t *testing.T) {
	w := newWorld(t)
	leaders, records, all := newTarget(t), newTarget(t), newTarget(t)
	hook1, hook2 := leaders.hook("leaders"), records.hook("records")
	hook1.Events, hook1.Boards = []hooks.Kind{hooks.NewLeader}, []string{"eu.*", "world"}
	hook2.Events, hook2.Boards = []hooks.Kind{hooks.RecordBeaten}, []string{"?s"}
	h, _ := w.hooks(hook1, hook2, all.hook("all"))
	for _, board := range []string{"eu", "eu.1", "us", "world"} {
		w.submit(board, "alice", "1")
		w.show(h, board)
		w.submit(board, "bob", "2")
		w.show(h, board)
	}
	var want []string // in the order of each board
	for _, board := range []string{"eu", "eu.1", "us", "world"} {
		want = append(want, board+" 1: new_leader bob 2, was alice 1", board+" 1: record_beaten bob 2 in 1, was 1 in 1")
	}
	got := make([]string, len(want))
	for i := range got {
		got[i] = describe(all.next())
	}
	slices.SortStableFunc(got, func(x, y string) int { return strings.Compare(strings.Fields(x)[0], strings.Fields(y)[0]) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told to who asked for all (-want +got):\n%s", diff)
	}
	leaders.wantNext("eu.1 1: new_leader bob 2, was alice 1", "world 1: new_leader bob 2, was alice 1")
	records.wantNext("us 1: record_beaten bob 2 in 1, was 1 in 1")
	leaders.wantNoMore()
	records.wantNoMore()
}

// Many who see the same changes at once, some of them late, record each event once.
func TestRecordsOnceHoweverManyLook(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.NewLeader}
	recorders := make([]*hooks.Hooks, 4)
	w.options.Shared = true
	for i := range recorders {
		h, err := hooks.New(w.store, []hooks.Hook{hook}, hooks.Options{Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		recorders[i] = h
	}
	w.create(leaderboard.Board{ID: "race"})
	var pages []leaderboard.Page
	for i := range 20 {
		w.submit("race", fmt.Sprint("m", i), fmt.Sprint(i+1))
		page, err := w.store.Entries(t.Context(), leaderboard.Ref{Board: "race"}, leaderboard.Range{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page)
	}
	var wg sync.WaitGroup
	for _, h := range recorders {
		wg.Go(func() {
			for _, page := range pages {
				if err := h.Saw(t.Context(), page); err != nil {
					t.Errorf("Saw: %v", err)
				}
			}
		})
	}
	wg.Wait()
	w.hooks(hook)
	leader, seen := "", map[string]bool{}
	for leader != "m19" {
		e := target.next()
		if leader != "" && e.Previous.Member != leader {
			t.Errorf("%s took the place of %s, but %s was told to lead", e.Leader.Member, e.Previous.Member, leader)
		}
		if seen[e.ID] {
			t.Errorf("event %s is told twice", e.ID)
		}
		seen[e.ID], leader = true, e.Leader.Member
	}
	target.wantNoMore()
	if note, err := w.store.Note(t.Context(), "race"); err != nil || int(note.Version) != len(seen)+1 {
		t.Errorf("version of the note = %d, %v, after %d events, want one more", note.Version, err, len(seen))
	}
}

// What a node has told does not keep it from noticing what others told since.
func TestWhatOthersToldIsNoticed(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.NewLeader}
	w.options.Shared = true
	a, _ := w.hooks(hook)
	b, err := hooks.New(w.store, []hooks.Hook{hook}, w.options) // a delivers for both
	if err != nil {
		t.Fatal(err)
	}
	w.create(leaderboard.Board{ID: "race", Policy: leaderboard.Latest})
	w.submit("race", "alice", "5")
	w.show(a, "race")
	w.submit("race", "bob", "6")
	w.show(b, "race")
	w.submit("race", "alice", "7")
	w.show(a, "race")
	target.wantNext("race 1: new_leader bob 6, was alice 5", "race 1: new_leader alice 7, was bob 6")
}

func TestRetriesInOrder(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	h, _ := w.hooks(target.hook("all"))
	tries := map[string]int{} // used by one delivery at a time
	target.answers(func(e client.HookEvent, w http.ResponseWriter) {
		if tries[e.ID]++; tries[e.ID] < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	w.create(leaderboard.Board{ID: "race"})
	w.submit("race", "m0", "1")
	w.show(h, "race")
	for i := range 10 {
		w.submit("race", fmt.Sprint("m", i+1), fmt.Sprint(i+2))
		w.show(h, "race")
	}
	for i := range 10 {
		leader := fmt.Sprintf("race 1: new_leader m%d %d, was m%d %d", i+1, i+2, i, i+1)
		record := fmt.Sprintf("race 1: record_beaten m%d %d in 1, was %d in 1", i+1, i+2, i+1)
		target.wantNext(leader, leader, leader, record, record, record)
	}
}

// A board whose event is not taken does not keep those of others.
func TestOneBoardDoesNotHoldUpAnother(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.NewLeader}
	h, _ := w.hooks(hook)
	target.answers(func(e client.HookEvent, w http.ResponseWriter) {
		if e.Board == "bad" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	for _, board := range []string{"bad", "good"} {
		w.submit(board, "a", "0")
		w.show(h, board)
		for i := range 20 {
			w.submit(board, fmt.Sprint("m", i), fmt.Sprint(i+1))
			w.show(h, board)
		}
	}
	for good := 0; good < 20; {
		e := target.next()
		if e.Board == "bad" && e.Leader.Member != "m0" {
			t.Fatalf("%s came before the first was taken", describe(e))
		}
		if e.Board == "good" {
			if want := fmt.Sprint("m", good); e.Leader.Member != want {
				t.Fatalf("leader = %s, want %s", e.Leader.Member, want)
			}
			good++
		}
	}
}

// A target that does not answer holds up nobody else, and is given up on after a while.
func TestHangingTargetHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	hangs, takes := newTarget(t), newTarget(t)
	release := make(chan struct{})
	var once sync.Once
	hanging := make(chan struct{})
	hangs.answers(func(client.HookEvent, http.ResponseWriter) {
		once.Do(func() { close(hanging) })
		<-release
	})
	t.Cleanup(func() { close(release) })
	w.options.Timeout = time.Hour
	h, _ := w.hooks(hangs.hook("hangs"), takes.hook("takes"))
	w.submit("race", "m", "0")
	w.show(h, "race")
	w.submit("race", "n", "1")
	w.show(h, "race")
	<-hanging
	takes.wantNext("race 1: new_leader n 1, was m 0", "race 1: record_beaten n 1 in 1, was 0 in 1")
	for i := range 100 {
		w.submit("race", "n", "1")
		w.show(h, "race")
		takes.wantNext(fmt.Sprintf("race 1: record_beaten n %d in 1, was %d in 1", i+2, i+1))
	}
}

func TestAttemptHasATimeout(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	var attempts atomic.Int64
	second := make(chan struct{})
	target.answers(func(client.HookEvent, http.ResponseWriter) {
		switch attempts.Add(1) {
		case 1:
			<-second // which does not come before this one has ended for who sent it
		case 2:
			close(second)
		}
	})
	w.options.Timeout = 50 * time.Millisecond
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.NewLeader}
	h, _ := w.hooks(hook)
	w.submit("race", "m", "0")
	w.show(h, "race")
	w.submit("race", "n", "1")
	w.show(h, "race")
	target.wantNext("race 1: new_leader n 1, was m 0", "race 1: new_leader n 1, was m 0")
	if n := w.metric("laurel_hooks_deliveries_total", "result=failed"); n < 1 {
		t.Error("no failure was counted")
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	target, elsewhere := newTarget(t), newTarget(t)
	redirects := 0 // used by one delivery at a time
	target.answers(func(_ client.HookEvent, w http.ResponseWriter) {
		if redirects++; redirects < 3 {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	})
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.NewLeader}
	h, _ := w.hooks(hook)
	w.submit("race", "m", "0")
	w.show(h, "race")
	w.submit("race", "n", "1")
	w.show(h, "race")
	for range 3 {
		target.wantNext("race 1: new_leader n 1, was m 0")
	}
	elsewhere.wantNoMore()
}

// What cannot be delivered for too long is given up, and the next one has its turn.
func TestGivesUp(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	w.options.GiveUp = time.Nanosecond
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.NewLeader}
	h, _ := w.hooks(hook)
	target.answers(func(e client.HookEvent, w http.ResponseWriter) {
		if e.Leader.Member == "n" {
			w.WriteHeader(http.StatusGone)
		}
	})
	w.submit("race", "m", "0")
	w.show(h, "race")
	w.submit("race", "n", "1")
	w.show(h, "race")
	target.wantNext("race 1: new_leader n 1, was m 0")
	w.submit("race", "o", "2")
	w.show(h, "race")
	target.wantNext("race 1: new_leader o 2, was n 1")
	if n := w.metric("laurel_hooks_deliveries_total", "result=given_up"); n != 1 || w.log.count("event given up") != 1 {
		t.Errorf("given up = %v, and logged %d times, want once", n, w.log.count("event given up"))
	}
}

// Beyond the bound of a queue events are lost, counted and logged, but those of
// ended seasons have room of their own.
func TestFullQueueLosesEvents(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	hook := target.hook("all")
	hook.Events, hook.Queue = []hooks.Kind{hooks.NewLeader, hooks.SeasonEnded}, 2
	h, err := hooks.New(w.store, []hooks.Hook{hook}, w.options) // nobody delivers
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		w.submit("race", fmt.Sprint("m", i), fmt.Sprint(i))
		w.show(h, "race")
	}
	view, err := w.store.Board(t.Context(), "race")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SeasonEnded(t.Context(), view.Board, 1, hooks.SeasonEnd{At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if n := w.metric("laurel_hooks_dropped_total", "hook=all"); n != 3 || w.log.count("queue of a hook is full, an event is lost") != 3 {
		t.Errorf("dropped = %v, and logged %d times, want 3", n, w.log.count("queue of a hook is full, an event is lost"))
	}
	w.options.Metrics = nil
	w.hooks(hook)
	got := []string{describe(target.next()), describe(target.next()), describe(target.next())}
	slices.Sort(got) // the end of the season may overtake the others
	if diff := cmp.Diff([]string{
		"race 1: new_leader m1 1, was m0 0", "race 1: new_leader m2 2, was m1 1",
		"race 1: season_ended 1/1 of 6: 1 m5 5 2 m4 4 3 m3 3 4 m2 2 5 m1 1 6 m0 0",
	}, got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

// The standing comes in pages, each delivered once it was taken, also where
// another server has to go on.
func TestSeasonEndComesInPages(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	w.create(leaderboard.Board{ID: "race", RankStyle: leaderboard.Competition})
	for i := range 7 {
		w.submit("race", fmt.Sprint("m", i), fmt.Sprint(i/2))
	}
	view, err := w.store.Board(t.Context(), "race")
	if err != nil {
		t.Fatal(err)
	}
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.SeasonEnded}
	w.options.Page = 3
	down := make(chan struct{})
	var once sync.Once
	target.answers(func(e client.HookEvent, w http.ResponseWriter) {
		if e.Standing.Page == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			once.Do(func() { close(down) })
		}
	})
	first, stop := w.hooks(hook)
	ended := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for range 3 { // however often it is said
		if err := first.SeasonEnded(t.Context(), view.Board, 1, hooks.SeasonEnd{At: ended}); err != nil {
			t.Fatal(err)
		}
	}
	<-down
	stop()
	target.answers(nil)
	w.hooks(hook)

	want := []string{
		"race 1: season_ended 1/3 of 7: 1 m6 3 2 m4 2 2 m5 2",
		"race 1: season_ended 2/3 of 7: 4 m2 1 4 m3 1 6 m0 0",
		"race 1: season_ended 3/3 of 7: 6 m1 0",
	}
	var got, deliveries []string
	var id string
	for len(got) < len(want) {
		e := target.next()
		if !e.EndedAt.Equal(ended) || id != "" && e.ID != id {
			t.Errorf("event %s, ended at %v, want %s at %v", e.ID, e.EndedAt, id, ended)
		}
		id = e.ID
		if !slices.Contains(deliveries, e.Delivery) { // else it is page 2 again
			got, deliveries = append(got, describe(e)), append(deliveries, e.Delivery)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	if n := w.metric("laurel_hooks_recorded_total"); n != 1 {
		t.Errorf("%v events were recorded, want 1", n)
	}
}

// A standing that late scores may still change is not told before it is final, and the
// other events of the board do not wait for it.
func TestSeasonEndWaitsForLateScores(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.NewLeader, hooks.SeasonEnded}
	w.options.GiveUp = time.Nanosecond // it is not given up on while it is not due
	h, _ := w.hooks(hook)
	w.create(leaderboard.Board{ID: "race"})
	w.create(leaderboard.Board{ID: "week"})
	for board, late := range map[string]time.Duration{"race": time.Hour, "week": 50 * time.Millisecond} {
		w.submit(board, "alice", "1")
		w.show(h, board)
		view, err := w.store.Board(t.Context(), board)
		if err != nil {
			t.Fatal(err)
		}
		final := time.Now().Add(late)
		if err := h.SeasonEnded(t.Context(), view.Board, 1, hooks.SeasonEnd{At: time.Now(), Final: final}); err != nil {
			t.Fatal(err)
		}
		if board == "week" {
			target.wantNext("week 1: season_ended 1/1 of 1: 1 alice 1")
			if time.Now().Before(final) {
				t.Error("the end of the season was told before it was final")
			}
		}
	}
	see := func(season, rev int, member string) {
		t.Helper()
		view, err := w.store.Board(t.Context(), "race")
		if err != nil {
			t.Fatal(err)
		}
		view.Season, view.Rev = season, uint64(rev)
		if err := h.Saw(t.Context(), leaderboard.Page{View: view, Entries: []leaderboard.Entry{{Member: member, Score: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	see(2, 10, "bob")
	see(2, 11, "carol")
	target.wantNext("race 2: new_leader carol 1, was bob")
	target.wantNoMore()
	if n := w.metric("laurel_hooks_waiting"); n < 1 {
		t.Errorf("waiting = %v, want the end of the season too", n)
	}
}

func TestSeasonEndTellsAsManyAsAreWanted(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	for i := range 5 {
		w.submit("race", fmt.Sprint("m", i), fmt.Sprint(9-i))
	}
	w.create(leaderboard.Board{ID: "empty"})
	w.create(leaderboard.Board{ID: "gone"})
	hook := target.hook("all")
	hook.Events, hook.Standing = []hooks.Kind{hooks.SeasonEnded}, 3
	w.options.Page = 2
	h, err := hooks.New(w.store, []hooks.Hook{hook}, w.options)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"race", "empty", "gone"} {
		view, err := w.store.Board(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.SeasonEnded(t.Context(), view.Board, 1, hooks.SeasonEnd{At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.service.DeleteBoard(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	w.options.Metrics = nil
	w.hooks(hook)
	target.wantNext("empty 1: season_ended 1/1 of 0:", "gone 1: season_ended 1/1 of 0: gone",
		"race 1: season_ended 1/2 of 5: 1 m0 9 2 m1 8", "race 1: season_ended 2/2 of 5: 3 m2 7")
}

// A season that ended is noticed in the next one, whoever ended it, with the record
// in its last state, and its leader takes nobody's place in the next.
func TestSeasonIsSeenToEnd(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	ends := newTarget(t)
	hook, endHook := target.hook("others"), ends.hook("ends")
	hook.Events, endHook.Events = []hooks.Kind{hooks.NewLeader, hooks.RecordBeaten}, []hooks.Kind{hooks.SeasonEnded}
	h, _ := w.hooks(hook, endHook)
	top := func(season, rev int, entries ...leaderboard.Entry) leaderboard.Page {
		return leaderboard.Page{View: leaderboard.View{
			Board:  leaderboard.Board{ID: "race", CreatedAt: time.UnixMilli(1764000000000)}.WithDefaults(),
			Season: season, Rev: uint64(rev), Epoch: "e", Total: len(entries),
		}, Entries: entries}
	}
	see := func(page leaderboard.Page) {
		t.Helper()
		if err := h.Saw(t.Context(), page); err != nil {
			t.Fatal(err)
		}
	}
	see(top(1, 5, leaderboard.Entry{Member: "alice", Score: 9}))
	see(top(2, 8))
	see(top(2, 9, leaderboard.Entry{Member: "bob", Score: 3}))
	see(top(1, 6, leaderboard.Entry{Member: "carol", Score: 10})) // of before
	see(top(2, 10, leaderboard.Entry{Member: "alice", Score: 12}, leaderboard.Entry{Member: "bob", Score: 3}))
	see(top(5, 20, leaderboard.Entry{Member: "dave", Score: 1}))
	target.wantNext("race 2: new_leader alice 12, was bob 3", "race 2: record_beaten alice 12 in 2, was 9 in 1")
	for season := range 4 {
		ends.wantNext(fmt.Sprintf("race %d: season_ended 1/1 of 0: gone", season+1))
	}
	see(top(5, 21, leaderboard.Entry{Member: "erin", Score: 2}))
	target.wantNext("race 5: new_leader erin 2, was dave")
	target.wantNoMore()
}

// A record that was set in the last moment of a season is told, though nobody saw it lead.
func TestLastRecordOfASeasonIsTold(t *testing.T) {
	w := newWorld(t)
	target := newTarget(t)
	hook := target.hook("all")
	hook.Events = []hooks.Kind{hooks.RecordBeaten}
	h, _ := w.hooks(hook)
	w.submit("race", "alice", "5")
	w.show(h, "race")
	w.submit("race", "bob", "7")
	view, err := w.store.Board(t.Context(), "race")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.SeasonEnded(t.Context(), view.Board, 1, hooks.SeasonEnd{At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	target.wantNext("race 1: record_beaten bob 7 in 1, was 5 in 1")
	target.wantNoMore()
}

// raw is a server that takes deliveries as they come.
type raw struct {
	*testing.T
	*httptest.Server
	got chan rawDelivery
}

type rawDelivery struct{ signature, body string }

func newRaw(t *testing.T) *raw {
	t.Helper()
	r := &raw{T: t, got: make(chan rawDelivery, 10)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.got <- rawDelivery{req.Header.Get("Laurel-Signature"), string(body)}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *raw) next() rawDelivery {
	r.Helper()
	select {
	case d := <-r.got:
		return d
	case <-time.After(patience):
		r.Fatal("no delivery comes")
		return rawDelivery{}
	}
}

func TestBothSecretsSign(t *testing.T) {
	w := newWorld(t)
	server := newRaw(t)
	h, _ := w.hooks(hooks.Hook{Name: "all", URL: server.URL, Events: []hooks.Kind{hooks.NewLeader}, Secrets: []string{"the secret of now", "the secret to come"}})
	w.submit("race", "m", "0")
	w.show(h, "race")
	w.submit("race", "n", "1")
	w.show(h, "race")
	d := server.next()
	for _, secret := range []string{"the secret of now", "the secret to come"} {
		if err := client.VerifyHook(d.signature, []byte(d.body), time.Minute, secret); err != nil {
			t.Errorf("with %q: %v", secret, err)
		}
	}
	if err := client.VerifyHook(d.signature, []byte(d.body), time.Minute, "another secret"); err == nil {
		t.Error("another secret fits")
	}
}

func TestHooksAreValidated(t *testing.T) {
	good := map[string]any{"name": "discord", "url": "https://game.example/hook", "secret": secret}
	with := func(change map[string]any) any {
		hook := map[string]any{}
		for _, from := range []map[string]any{good, change} {
			for k, v := range from {
				if hook[k] = v; v == nil {
					delete(hook, k)
				}
			}
		}
		return []any{hook}
	}
	for want, value := range map[string]any{
		"hooks must be a list of hooks":                                                       map[string]any{"name": "x"},
		"hooks[0] must have settings, such as name and url":                                   []any{"x"},
		`hooks[0].name is "", must be 1 to 32 lower-case letters`:                             with(map[string]any{"name": nil}),
		`hooks[0].name is "Discord", must be`:                                                 with(map[string]any{"name": "Discord"}),
		`hooks[0].name must be text`:                                                          with(map[string]any{"name": 1}),
		`hooks[1].name is "discord", as that of another hook`:                                 []any{good, good},
		`hooks[0].url is not like https://game.example/laurel`:                                with(map[string]any{"url": "ftp://game.example"}),
		`hooks[0].url is not like https://game.example/laurel `:                               with(map[string]any{"url": "game.example"}),
		`hooks[0].secret has 0 values`:                                                        with(map[string]any{"secret": nil}),
		`hooks[0].secret has 3 values`:                                                        with(map[string]any{"secret": []any{secret, secret, secret}}),
		`hooks[0].secret has 5 characters, at least 16 are needed`:                            with(map[string]any{"secret": "short"}),
		`hooks[0].secret must be text, or a list of texts`:                                    with(map[string]any{"secret": 7}),
		`hooks[0].secret_file is there beside another secret`:                                 with(map[string]any{"secret_file": "good"}),
		`hooks[0].secret_file cannot be read: no such file`:                                   with(map[string]any{"secret": nil, "secret_file": "bad"}),
		`hooks[0].events has "leader", must be of new_leader, record_beaten and season_ended`: with(map[string]any{"events": "leader"}),
		`hooks[0].events is an empty list`:                                                    with(map[string]any{"events": []any{}}),
		`hooks[0].boards has "[", which is no pattern`:                                        with(map[string]any{"boards": []any{"eu.*", "["}}),
		`hooks[0].queue must be a whole number of at least 1`:                                 with(map[string]any{"queue": 0}),
		`hooks[0].queue is 2000000, must be from 1 to 1000000`:                                with(map[string]any{"queue": 2_000_000}),
		`hooks[0].standing must be a whole number`:                                            with(map[string]any{"standing": "all"}),
		`hooks[0].retries is no setting of a hook; those are name, url, secret`:               with(map[string]any{"retries": 3}),
	} {
		_, err := hooks.Parse(value, source)
		if err == nil || !strings.HasPrefix(err.Error()+" ", want) {
			t.Errorf("%v: %v, want %s…", value, err, want)
		}
	}
	got, err := hooks.Parse([]any{
		map[string]any{
			"name": "a-1_", "url": "http://127.0.0.1:9", "secret": []any{secret, secret + "2"}, "events": []any{"new_leader", "season_ended"},
			"boards": []any{"eu.*"}, "queue": 5, "standing": 100,
		},
		map[string]any{"name": "b", "url": "https://game.example", "secret_file": "good"},
	}, source)
	want := []hooks.Hook{
		{Name: "a-1_", URL: "http://127.0.0.1:9", Secrets: []string{secret, secret + "2"}, Events: []hooks.Kind{hooks.NewLeader, hooks.SeasonEnded}, Boards: []string{"eu.*"}, Queue: 5, Standing: 100},
		{Name: "b", URL: "https://game.example", Secrets: []string{"first-of-the-file", "second-of-the-file"}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// source is a place with one secret.
func source(_, name string) (string, error) {
	if name != "good" {
		return "", errors.New("no such file")
	}
	return "first-of-the-file\nsecond-of-the-file\n", nil
}
