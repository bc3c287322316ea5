package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// publication is what was published, as a viewer reads it, and when.
type publication struct {
	Board string
	At    time.Duration // since the test began
	Rev   uint64
	Epoch string
	Table
}

type Table struct {
	Leaders []row  `json:"leaders"`
	Total   int    `json:"total"`
	Season  int    `json:"season"`
	Rev     uint64 `json:"rev"`
}

type row struct {
	Name  string          `json:"name"`
	Score json.Number     `json:"score"`
	Data  json.RawMessage `json:"data"`
}

// world is a store with a feed and something that takes its publications.
type world struct {
	*testing.T
	store   *storetest.Model
	service *leaderboard.Service
	start   time.Time
	log     bytes.Buffer // written by the feed's Run
	metrics *prometheus.Registry
	witness feed.Witness // of feeds that run from now on

	// Held while a score is submitted: that creates the board first, and the feed is
	// not to read it in between, which it might or might not.
	writing sync.RWMutex

	mu        sync.Mutex
	published []publication
	changed   []string                     // what the observer was told
	before    func(feed.Publication) error // each publication waits for it and fails with it, if it is not nil
	inFlight  int
	most      int // publications in flight at once
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store := storetest.NewModel()
	w := &world{
		T: t, store: store, start: time.Now(),
		service: leaderboard.NewService(store, leaderboard.ServiceOptions{}),
	}
	return w
}

// gated is a store whose boards are not read while somebody writes.
type gated struct {
	*storetest.Model
	writing *sync.RWMutex
}

func (g gated) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	g.writing.RLock()
	defer g.writing.RUnlock()
	return g.Model.Entries(ctx, at, r)
}

// run starts a feed and returns what ends it and waits for its end. At the
// latest that is the end of the test.
func (w *world) run(concurrency int) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	w.metrics = prometheus.NewRegistry()
	f := feed.New(gated{w.store, &w.writing}, w, feed.Options{
		Observer: w, Witness: w.witness, Concurrency: concurrency, Metrics: w.metrics,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	w.Cleanup(stop)
	return stop
}

// Publish implements [feed.Publisher].
func (w *world) Publish(_ context.Context, p feed.Publication) error {
	w.mu.Lock()
	before := w.before
	w.inFlight++
	w.most = max(w.most, w.inFlight)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.inFlight--
	}()

	if before != nil {
		if err := before(p); err != nil {
			return err
		}
	}
	got := publication{Board: p.Board, At: time.Since(w.start), Rev: p.Rev, Epoch: p.Epoch}
	if err := json.Unmarshal(p.Data, &got.Table); err != nil {
		w.Errorf("publication %s: %v", p.Data, err)
	}
	if got.Table.Rev != p.Rev {
		w.Errorf("publication %d has rev %d in its table", p.Rev, got.Table.Rev)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, got)
	return nil
}

// BoardChanged implements [feed.Observer].
func (w *world) BoardChanged(board string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = append(w.changed, board)
}

// fail makes publications fail with what f returns, or no more if it is nil.
func (w *world) fail(f func(feed.Publication) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = f
}

// take returns the publications since the last call, when the feed has come to rest.
func (w *world) take() []publication {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.published
	w.published = nil
	return taken
}

func (w *world) create(b leaderboard.Board) {
	w.Helper()
	if _, err := w.service.CreateBoard(w.Context(), b); err != nil {
		w.Fatal(err)
	}
}

func (w *world) submit(board, member string, score int) {
	w.Helper()
	w.writing.Lock()
	defer w.writing.Unlock()
	_, err := w.service.Submit(w.Context(), board, []leaderboard.Submission{
		{Member: member, Score: leaderboard.ScaledDecimal(int64(score), 0)},
	})
	if err != nil {
		w.Fatal(err)
	}
}

// unacked returns the boards that the log would tell of after a crash.
func (w *world) unacked() []string {
	w.Helper()
	synctest.Wait()
	ctx, cancel := context.WithTimeout(w.Context(), time.Nanosecond)
	defer cancel()
	changes, _, err := w.store.Changes(ctx, "", 1000)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.Fatal(err)
	}
	var boards []string
	for _, c := range changes {
		boards = append(boards, c.Board)
	}
	return boards
}

// at returns when publications were made.
func at(ps []publication) []time.Duration {
	times := make([]time.Duration, len(ps))
	for i, p := range ps {
		times[i] = p.At
	}
	return times
}

func want[T any](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

const (
	ms       = time.Millisecond
	interval = leaderboard.DefaultInterval
)

func TestRunPublishesFirstChangeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(0)
		time.Sleep(time.Hour)
		w.submit("race", "alice", 7) // two changes: the board, and the score
		want(t, "published", w.take(), []publication{{
			Board: "race", At: time.Hour, Rev: 2, Epoch: "model",
			Table: Table{Leaders: []row{{Name: "alice", Score: "7"}}, Total: 1, Season: 1, Rev: 2},
		}})

		// Quiet again once its window has closed.
		time.Sleep(interval)
		w.submit("race", "alice", 1)
		want(t, "published", at(w.take()), []time.Duration{time.Hour + interval})
	})
}

func TestRunConflatesBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(leaderboard.Board{ID: "race"})
		w.run(0)
		synctest.Wait()
		for i := range 50 { // within the window that the creation has opened
			w.submit("race", fmt.Sprintf("p%02d", i), i)
			time.Sleep(ms)
		}
		time.Sleep(interval)
		published := w.take()
		want(t, "published", at(published), []time.Duration{0, interval})
		want(t, "leader", published[1].Leaders[0].Name, "p49")
		want(t, "rev", published[1].Rev, 51)

		time.Sleep(time.Hour)
		want(t, "published while nothing changes", w.take(), nil)
	})
}

func TestRunPublishesOncePerIntervalUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(leaderboard.Board{ID: "fast", Interval: 20})
		w.create(leaderboard.Board{ID: "slow", Interval: 700})
		w.run(0)
		for range 400 {
			w.submit("fast", "alice", 1)
			w.submit("slow", "alice", 1)
			time.Sleep(5 * ms)
		}
		var fast, slow []publication
		for _, p := range w.take() {
			if p.Board == "fast" {
				fast = append(fast, p)
			} else {
				slow = append(slow, p)
			}
		}
		want(t, "slow", at(slow), []time.Duration{0, 700 * ms, 1400 * ms})
		want(t, "times that fast was published within 2 s, both ends included", len(fast), 101)
		for i, p := range fast[1:] {
			if gap := p.At - fast[i].At; gap < 20*ms {
				t.Errorf("fast was published after %v", gap)
			}
		}
	})
}

func TestRunTriesAgainWithNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var tried []time.Duration
		w.fail(func(feed.Publication) error {
			tried = append(tried, time.Since(w.start))
			return errors.New("broker: connection refused")
		})
		w.create(leaderboard.Board{ID: "race"})
		w.run(0)
		for i := range 40 { // 4 s
			w.submit("race", "alice", 1)
			time.Sleep(100 * ms)
			if i == 30 {
				w.fail(nil)
			}
		}
		published := w.take()
		want(t, "tried and failed", tried, []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 2500 * ms})
		want(t, "first publication", published[0].At, 3500*ms)
		if got := published[0].Leaders[0].Score; got != "35" && got != "36" { // the write of that moment may be in it
			t.Errorf("score = %s, want the one of now", got)
		}
		want(t, "lines logged of the failures", strings.Count(w.log.String(), "level=WARN"), 1)
		if !strings.Contains(w.log.String(), `err="publish \"race\": broker: connection refused"`) {
			t.Errorf("log does not say what failed:\n%s", &w.log)
		}
		if !strings.Contains(w.log.String(), `msg="publishing again" board=race failures=6`) {
			t.Errorf("log does not say that it works again:\n%s", &w.log)
		}
		if got := metric(t, w, "laurel_feed_failures_total"); got != 6 {
			t.Errorf("failures counted = %v, want 6", got)
		}
	})
}

func metric(t *testing.T, w *world, name string) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestRunSkipsWhatNobodySees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(leaderboard.Board{ID: "race", Top: 2})
		for i, member := range []string{"low", "mid", "high"} {
			w.submit("race", member, 10*i)
		}
		w.run(0)
		time.Sleep(time.Second)
		want(t, "published", len(w.take()), 1)
		w.changed = nil

		for range 3 {
			w.submit("race", "low", 1) // below the top
			time.Sleep(time.Second)
		}
		want(t, "published", w.take(), nil)
		want(t, "observer was told", w.changed, []string{"race", "race", "race"})
		want(t, "not acknowledged", w.unacked(), nil)
		if got := metric(t, w, "laurel_feed_skipped_total"); got != 3 {
			t.Errorf("skipped = %v, want 3", got)
		}

		w.submit("race", "low", 100)
		time.Sleep(time.Second)
		want(t, "published", len(w.take()), 1)

		// Each of what a viewer sees: data, and total.
		if _, err := w.service.Set(t.Context(), "race", leaderboard.Submission{
			Member: "low", Score: leaderboard.ScaledDecimal(103, 0), Data: json.RawMessage(`{"name":"Lö"}`),
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want(t, "published", len(w.take()), 1)
		w.submit("race", "lowest", -1)
		time.Sleep(time.Second)
		want(t, "published", len(w.take()), 1)
	})
}

func TestRunAcknowledgesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fail(func(p feed.Publication) error {
			if p.Board == "stuck" {
				return errors.New("refused")
			}
			return nil
		})
		stop := w.run(0)
		w.submit("before", "alice", 1)
		time.Sleep(time.Second)
		want(t, "not acknowledged", w.unacked(), nil)

		w.submit("stuck", "alice", 1)
		for range 5 {
			w.submit("after", "alice", 1)
			time.Sleep(time.Second)
		}
		// All of "after" is published; it must be told again nonetheless, because "stuck" must.
		want(t, "not acknowledged", slices.Compact(w.unacked()), []string{"stuck", "after"})

		// A new process is told of it.
		stop()
		w.take()
		w.fail(nil)
		w.run(0)
		time.Sleep(time.Second)
		var boards []string
		for _, p := range w.take() {
			boards = append(boards, p.Board)
		}
		slices.Sort(boards)
		want(t, "published", boards, []string{"after", "stuck"})
		want(t, "not acknowledged", w.unacked(), nil)
	})
}

// While a publication is under way the board changes again: that change must be
// published too, and the first must not acknowledge it.
func TestRunPublishesChangeDuringPublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fail(func(feed.Publication) error {
			time.Sleep(time.Second)
			return nil
		})
		w.create(leaderboard.Board{ID: "race"})
		w.run(0)
		time.Sleep(500 * ms)
		w.submit("race", "alice", 1)
		time.Sleep(600 * ms) // the first is published at 1 s, the second cannot be before 2.1 s
		want(t, "revs", revs(w.take()), []uint64{1})
		want(t, "not acknowledged", w.unacked(), []string{"race"})
		time.Sleep(1200 * ms)
		want(t, "revs", revs(w.take()), []uint64{2})
		want(t, "not acknowledged", w.unacked(), nil)
	})
}

func revs(ps []publication) []uint64 {
	all := make([]uint64, len(ps))
	for i, p := range ps {
		all[i] = p.Rev
	}
	return all
}

func TestRunPublishesDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(0)
		w.submit("race", "alice", 7)
		time.Sleep(time.Second)
		w.take()

		if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want(t, "published", w.take(), []publication{{
			Board: "race", At: time.Second, Rev: 3, Epoch: "model", Table: Table{Leaders: []row{}, Season: 1, Rev: 3},
		}})
		want(t, "not acknowledged", w.unacked(), nil)

		w.submit("race", "bob", 1)
		time.Sleep(time.Second)
		want(t, "revs", revs(w.take()), []uint64{5})
	})
}

// behind is a store whose log first tells of a change that is not the newest of
// its board.
type behind struct {
	*storetest.Model
	first []leaderboard.Change
}

func (s *behind) Changes(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	if told := s.first; told != nil {
		s.first = nil
		return told, after, nil
	}
	time.Sleep(ms) // so that the board's window is still open
	return s.Model.Changes(ctx, after, limit)
}

// Who reads of an earlier change that the board is gone does not know the rev of
// its deletion. Viewers may have a table of that earlier rev, and take only a newer one.
func TestRunPublishesDeletionThatIsToldLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.submit("race", "alice", 7)
		if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
		source := &behind{Model: w.store, first: []leaderboard.Change{{Board: "race", Rev: 2}}}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- feed.New(source, w, feed.Options{}).Run(ctx) }()
		time.Sleep(10 * time.Second)
		want(t, "revs", revs(w.take()), []uint64{2, 3})
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// Deleting and creating a board in turn is no way around its interval.
func TestRunKeepsIntervalThroughDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(0)
		for range 100 {
			w.submit("race", "alice", 7)
			time.Sleep(5 * ms)
			if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * ms)
		}
		time.Sleep(time.Second)
		published := w.take()
		if n := len(published); n > 11 {
			t.Errorf("%d publications within 1 s, want at most 11", n)
		}
		last := published[len(published)-1]
		want(t, "last table", last.Leaders, []row{})
	})
}

func TestRunTakesPatchedSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(leaderboard.Board{ID: "race", Top: 1, Interval: 1000})
		for i := range 150 {
			w.submit("race", fmt.Sprint(i), i)
		}
		w.run(0)
		time.Sleep(500 * ms)
		want(t, "rows", len(w.take()[0].Leaders), 1)

		top, faster := 120, 50
		if _, err := w.service.PatchBoard(t.Context(), "race", leaderboard.Patch{Top: &top, Interval: &faster}); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			time.Sleep(50 * ms)
			w.submit("race", "149", 1)
		}
		published := w.take()
		want(t, "rows", len(published[0].Leaders), 120)
		want(t, "published", at(published)[:3], []time.Duration{1000 * ms, 1050 * ms, 1100 * ms})

		top = 3
		if _, err := w.service.PatchBoard(t.Context(), "race", leaderboard.Patch{Top: &top}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		published = w.take()
		want(t, "rows", len(published[len(published)-1].Leaders), 3)
	})
}

// oneByOne tells a change a millisecond and counts what is read.
type oneByOne struct {
	*storetest.Model
	reads atomic.Int32
}

func (s *oneByOne) Changes(ctx context.Context, after leaderboard.Cursor, _ int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	time.Sleep(ms)
	return s.Model.Changes(ctx, after, 1)
}

func (s *oneByOne) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	s.reads.Add(1)
	return s.Model.Entries(ctx, at, r)
}

// A change that the log tells of later than the table shows it is not published
// again. It costs one look in a window: it might be of a new epoch.
func TestRunPublishesNothingTwice(t *testing.T) {
	for name, publishing := range map[string]time.Duration{"while publishing": time.Second, "afterwards": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.fail(func(feed.Publication) error {
					time.Sleep(publishing)
					return nil
				})
				w.create(leaderboard.Board{ID: "race", Top: 500})
				for i := range 200 {
					w.submit("race", fmt.Sprint(i), i)
				}
				source := &oneByOne{Model: w.store} // takes 201 ms to tell of them
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- feed.New(source, w, feed.Options{Observer: w}).Run(ctx) }()
				time.Sleep(10 * time.Second)
				want(t, "published", len(w.take()), 1)
				if reads := source.reads.Load(); reads > 2+3 { // the first finds out how many rows there are
					t.Errorf("%d reads", reads)
				}
				want(t, "not acknowledged", w.unacked(), nil)

				source.reads.Store(0)
				w.submit("race", "0", 1000)
				time.Sleep(10 * time.Second)
				want(t, "rows", len(w.take()[0].Leaders), 200)
				want(t, "reads", source.reads.Load(), 1)
				stop()
				if err := <-done; err != nil {
					t.Errorf("Run = %v", err)
				}
			})
		})
	}
}

func TestRunIsNotHeldUpBySlowBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fail(func(p feed.Publication) error {
			if p.Board == "slow" {
				time.Sleep(time.Hour)
			}
			return nil
		})
		w.run(2)
		w.submit("slow", "alice", 1)
		for i := range 10 {
			w.submit(fmt.Sprint("board", i), "alice", 1)
		}
		published := w.take()
		want(t, "boards published", len(published), 10)
		want(t, "at", published[9].At, 0)
		time.Sleep(2 * time.Hour)
		want(t, "boards published", len(w.take()), 1)
	})
}

func TestRunBoundsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fail(func(feed.Publication) error {
			time.Sleep(10 * ms)
			return nil
		})
		for i := range 12 {
			w.submit(fmt.Sprint("board", i), "alice", 1)
		}
		w.run(3)
		time.Sleep(time.Second)
		published := w.take()
		want(t, "boards published", len(published), 12)
		want(t, "at once", w.most, 3)
		want(t, "last at", published[11].At, 40*ms)
	})
}

func TestRunEndsWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		done := make(chan error)
		go func() { done <- feed.New(w.store, w, feed.Options{}).Run(t.Context()) }()
		time.Sleep(time.Second)
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, leaderboard.ErrShuttingDown) {
			t.Errorf("Run = %v, want that the store is shutting down", err)
		}
	})
}

// Whatever is written and however often publishing fails: revs do not go back,
// intervals are kept, and within an interval and a second after the last write
// the last publication of each board is its top. The store must not tell of any
// change again then.
func TestRunConverges(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%#x", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { converge(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func converge(t *testing.T, rng *rand.Rand) {
	t.Helper()
	w := newWorld(t)
	boards := []string{"a", "b", "c", "d"}
	longest := 20
	for _, id := range boards {
		b := leaderboard.Board{ID: id, Top: 1 + rng.IntN(5), Interval: 20 + rng.IntN(200)}
		longest = max(longest, b.Interval)
		w.create(b)
	}
	var mu sync.Mutex // guards rng and failed
	failed := 0
	writing := true
	w.fail(func(feed.Publication) error {
		mu.Lock()
		wait := time.Duration(rng.IntN(30)) * ms
		fail := writing && rng.IntN(3) == 0
		mu.Unlock()
		time.Sleep(wait)
		if fail {
			mu.Lock()
			failed++
			mu.Unlock()
			return errors.New("injected")
		}
		return nil
	})
	stop := w.run(1 + rng.IntN(4))

	for range 300 {
		mu.Lock()
		board := boards[rng.IntN(len(boards))]
		member, score := fmt.Sprint("m", rng.IntN(9)), rng.IntN(100)-30
		action := rng.IntN(100)
		wait := time.Duration(rng.IntN(25)) * ms
		mu.Unlock()
		var err error
		switch {
		case action < 3:
			err = w.service.DeleteBoard(t.Context(), board)
		case action < 10:
			_, err = w.service.Remove(t.Context(), leaderboard.Ref{Board: board}, member)
		case action < 13:
			top := 1 + score&3
			_, err = w.service.PatchBoard(t.Context(), board, leaderboard.Patch{Top: &top})
		case action == 13:
			stop()
			stop = w.run(1 + score&3)
		default:
			w.submit(board, member, score)
		}
		if leaderboard.CodeOf(err) != "" && !errors.Is(err, leaderboard.ErrBoardNotFound) && !errors.Is(err, leaderboard.ErrMemberNotFound) {
			t.Fatal(err)
		}
		time.Sleep(wait)
	}
	mu.Lock()
	writing = false
	mu.Unlock()
	time.Sleep(time.Duration(max(longest, 100))*ms + time.Second)

	last := map[string]publication{}
	for _, p := range w.take() {
		before, ok := last[p.Board]
		if ok && p.Rev < before.Rev {
			t.Errorf("board %s went from rev %d to %d", p.Board, before.Rev, p.Rev)
		}
		last[p.Board] = p
	}
	for _, id := range boards {
		page, err := w.store.Entries(t.Context(), leaderboard.Ref{Board: id}, leaderboard.Range{Limit: 100})
		if err != nil && !errors.Is(err, leaderboard.ErrBoardNotFound) {
			t.Fatal(err)
		}
		leaders := []row{}
		for _, e := range page.Entries[:min(len(page.Entries), page.Board.Top)] {
			leaders = append(leaders, row{Name: e.Member, Score: json.Number(fmt.Sprint(e.Score))})
		}
		want(t, "leaders of "+id, last[id].Leaders, leaders)
		want(t, "total of "+id, last[id].Total, page.Total)
	}
	want(t, "not acknowledged", w.unacked(), nil)
	if failed == 0 {
		t.Error("no publication was made to fail")
	}
}
