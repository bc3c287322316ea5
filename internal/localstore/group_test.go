package localstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

// gate is a file system whose syncs of the log can be made to wait.
type gate struct {
	vfs.FS

	hold chan chan error // gets where a sync is to get its error from
	held chan struct{}   // gets something when it waits
}

func newGate() *gate {
	g := &gate{hold: make(chan chan error, 1), held: make(chan struct{})}
	g.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileSyncData {
			return nil
		}
		select {
		case release := <-g.hold:
			g.held <- struct{}{}
			return <-release
		default:
			return nil
		}
	}))
	return g
}

// next makes the next sync wait for what is returned.
func (g *gate) next() chan error {
	release := make(chan error, 1)
	g.hold <- release
	return release
}

func openGate(t *testing.T, g *gate, opts Options) *Store {
	t.Helper()
	opts.FS = g.FS
	s, err := Open(t.Context(), "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// plugged makes the board "plug" on each of the stores, to which plug submits so that
// a group has something to commit.
func plugged(t *testing.T, stores ...leaderboard.Store) {
	t.Helper()
	b := leaderboard.Board{ID: "plug"}.WithDefaults()
	b.CreatedAt = start
	for _, store := range stores {
		if _, err := store.CreateBoard(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func plug() *request {
	r := newRequest(applyBatch)
	r.batch = leaderboard.Batch{At: start, Ops: []leaderboard.Op{{Board: "plug", Member: "m", Score: leaderboard.ScaledDecimal(1, 0)}}}
	return r
}

// plan pushes requests and waits until the committer has planned them, or will have
// before it looks at anything else.
func plan(t *testing.T, s *Store, rs ...*request) {
	t.Helper()
	for _, r := range rs {
		if err := s.queue.push(r); err != nil {
			t.Fatal(err)
		}
	}
	for !rs[len(rs)-1].taken.Load() {
		runtime.Gosched()
	}
}

// TestGroupsAreLikeOneAfterTheOther holds the committer in a commit, lets random
// requests gather behind it, and behind the commit of those again, and compares
// what they are answered with what a model answers to one after the other. Many of
// them fail, some after a part of their batch was planned, and must leave no
// trace for the next. While a group is held, the one before it is there and answered,
// and nothing of it itself or of the one that is planned over it can be seen.
func TestGroupsAreLikeOneAfterTheOther(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	g, model := newGate(), storetest.NewModel()
	s := openGate(t, g, Options{})
	s.finisher.close() // or its requests would be among those that are held
	plugged(t, s, model)
	clock := start
	failed, largest := 0, 0
	answered := func(group []*request) {
		t.Helper()
		for i, r := range group {
			<-r.done
			want := answerOf(t, model, r)
			if diff := cmp.Diff(want.outcome, r.outcome, likeModel...); diff != "" {
				t.Errorf("request %d of %d, outcome (-model +store):\n%s", i, len(group), diff)
			}
			if diff := cmp.Diff(want.view, r.view, likeModel...); diff != "" {
				t.Errorf("request %d of %d, view (-model +store):\n%s", i, len(group), diff)
			}
			if leaderboard.CodeOf(want.err) != leaderboard.CodeOf(r.err) || (want.err == nil) != (r.err == nil) {
				t.Errorf("request %d of %d: %v, the model says %v", i, len(group), r.err, want.err)
			}
			if r.err != nil {
				failed++
			}
		}
		largest = max(largest, len(group))
		wantLikeModel(t, s, model)
	}
	for range 60 {
		var flying []*request
		next := []*request{plug()}
		release := g.next()
		for range 4 {
			plan(t, s, next...)
			if flying != nil {
				wantLikeModel(t, s, model)
				was := release
				release = g.next()
				close(was)
			}
			<-g.held
			if flying != nil {
				answered(flying)
			}
			flying, next = next, []*request{plug()}
			for range 1 + rng.IntN(12) {
				clock = clock.Add(time.Duration(1+rng.IntN(9)) * time.Second)
				next = append(next, nameSeasons(t, rng, model, randomRequest(rng, clock)))
			}
		}
		close(release)
		answered(flying)
		if t.Failed() {
			return
		}
	}
	if failed < 50 || largest < 8 {
		t.Errorf("%d requests failed and the largest group had %d, want more", failed, largest)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantLikeModel(t, openGate(t, g, Options{}), model)
}

// wantLikeModel compares all that can be read from a store with a model.
func wantLikeModel(t *testing.T, s *Store, model leaderboard.Store) {
	t.Helper()
	want, err := model.Boards(t.Context(), "", leaderboard.MaxLimit)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Boards(t.Context(), "", leaderboard.MaxLimit)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, likeModel...); diff != "" {
		t.Fatalf("boards (-model +store):\n%s", diff)
	}
	for _, v := range want {
		wantSeasonsLikeModel(t, s, model, v.Board.ID)
		at, all := leaderboard.Ref{Board: v.Board.ID}, leaderboard.Range{Limit: leaderboard.MaxLimit}
		want, err := model.Entries(t.Context(), at, all)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Entries(t.Context(), at, all)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, likeModel...); diff != "" {
			t.Errorf("entries of %q (-model +store):\n%s", v.Board.ID, diff)
		}
	}
	wantTold := told(t, model, math.MaxInt, 1) // one record for each change
	if got := told(t, s, 1, len(wantTold)); !maps.Equal(wantTold, got) {
		t.Errorf("the change log tells of %v, want %v", got, wantTold)
	}
}

func wantSeasonsLikeModel(t *testing.T, s *Store, model leaderboard.Store, id string) {
	t.Helper()
	want, err := model.Seasons(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Seasons(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, likeModel...); diff != "" {
		t.Fatalf("seasons of %q (-model +store):\n%s", id, diff)
	}
	for _, v := range want[1:] {
		at, all := leaderboard.Ref{Board: id, Season: v.Season}, leaderboard.Range{Limit: leaderboard.MaxLimit}
		want, err := model.Entries(t.Context(), at, all)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Entries(t.Context(), at, all)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, likeModel...); diff != "" {
			t.Errorf("entries of %v (-model +store):\n%s", at, diff)
		}
	}
}

// told returns the changes of a store, as board to rev, in so many pieces of at
// most limit.
func told(t *testing.T, s leaderboard.Store, limit, pieces int) map[string]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	revs := make(map[string]uint64)
	var after leaderboard.Cursor
	for range pieces {
		changes, next, err := s.Changes(ctx, after, limit)
		if err != nil {
			t.Fatalf("Changes after %q, with %v told: %v", after, revs, err)
		}
		for _, c := range changes {
			revs[c.Board] = c.Rev
		}
		after = next
	}
	return revs
}

// TestLateOperationsInGroups has late operations meet ends that are on their way to the
// disk, or planned with them, and those meet each other.
func TestLateOperationsInGroups(t *testing.T) {
	g, model := newGate(), storetest.NewModel()
	s := openGate(t, g, Options{})
	s.finisher.close()
	plugged(t, s, model)
	create := func() *request {
		r := newRequest(createBoard)
		r.board = leaderboard.Board{ID: "a", Seasons: leaderboard.Seasons{Grace: 60_000, Keep: 2}}.WithDefaults()
		r.board.CreatedAt = start
		return r
	}
	end := func() *request {
		r := newRequest(endSeason)
		r.id, r.end = "a", leaderboard.End{At: start.Add(time.Second)}
		return r
	}
	op := func(season int, members ...string) *request {
		r := newRequest(applyBatch)
		r.batch.At = start.Add(2 * time.Second)
		for _, member := range members {
			r.batch.Ops = append(r.batch.Ops, leaderboard.Op{Board: "a", Member: member, Season: season, Score: leaderboard.ScaledDecimal(1, 0)})
		}
		return r
	}
	remove := newRequest(deleteBoard)
	remove.id = "a"
	groups := [][]*request{
		{create(), op(0, "m", "n"), end(), op(1, "m", "o"), op(2, "m")},
		{op(1, "n"), op(2, "n", "n"), op(1, "p", "m"), op(3, "m"), end(), op(2, "q"), op(3, "r"), op(1, "m")},
		{op(2, "m", "s"), op(3, "m"), end(), op(3, "m", "t"), op(2, "m"), end(), op(4, "u"), op(5, "u")},
		{op(4, "m"), op(3, "m"), end(), op(5, "v"), op(6, "v")},
		{op(5, "w"), end(), end(), end(), op(8, "m"), op(9, "m")},
		{remove},
		{create(), op(0, "m"), end(), op(1, "n"), op(2, "n")},
	}
	var all []*request
	var release chan error
	for _, group := range groups {
		before := release
		release = g.next()
		group = append([]*request{plug()}, group...)
		all = append(all, group...)
		plan(t, s, group...)
		if before != nil {
			close(before)
		}
		<-g.held
	}
	close(release)
	late := 0
	for i, r := range all {
		<-r.done
		want := answerOf(t, model, r)
		if diff := cmp.Diff(want.outcome, r.outcome, likeModel...); diff != "" {
			t.Errorf("request %d, outcome (-model +store):\n%s", i, diff)
		}
		if leaderboard.CodeOf(want.err) != leaderboard.CodeOf(r.err) || (want.err == nil) != (r.err == nil) {
			t.Errorf("request %d: %v, the model says %v", i, r.err, want.err)
		}
		if len(r.outcome.Boards) > 0 && r.outcome.Boards[0].Closed {
			late++
		}
	}
	if late < 10 {
		t.Errorf("%d batches were late, want more", late)
	}
	wantLikeModel(t, s, model)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openGate(t, g, Options{})
	wantLikeModel(t, again, model)
	AwaitFinal(again)
	wantLikeModel(t, again, model)
}

// TestFailedCommitTakesThePlannedGroupWithIt plans a group over one whose commit
// then fails, or hangs until it is given up. Both are refused, and nothing of
// either shows up, not even after a restart.
func TestFailedCommitTakesThePlannedGroupWithIt(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration
	}{{"fails", time.Minute}, {"hangs", 20 * time.Millisecond}} {
		t.Run(test.name, func(t *testing.T) {
			g, model := newGate(), storetest.NewModel()
			s := openGate(t, g, Options{CommitTimeout: test.timeout, RetryInterval: time.Millisecond})
			plugged(t, s, model)
			create := func(id string) *request {
				r := newRequest(createBoard)
				r.board = leaderboard.Board{ID: id}.WithDefaults()
				r.board.CreatedAt = start
				return r
			}
			remove := newRequest(deleteBoard)
			remove.id = "plug"
			both := []*request{plug(), create("a"), plug(), create("b"), remove}

			release := g.next()
			plan(t, s, both[0])
			<-g.held
			plan(t, s, both[1:]...)
			if test.name == "fails" {
				release <- syscall.EIO
			}
			for i, r := range both {
				<-r.done
				if !errors.Is(r.err, leaderboard.ErrStorageUnavailable) {
					t.Errorf("request %d: %v, want %v", i, r.err, leaderboard.ErrStorageUnavailable)
				}
			}
			wantLikeModel(t, s, model)
			if test.name == "hangs" {
				close(release)
			}
			for s.Writable() != nil {
				runtime.Gosched()
			}
			again := []*request{plug(), create("b"), plug()}
			plan(t, s, again...)
			for i, r := range again {
				<-r.done
				want := answerOf(t, model, r)
				if r.err != nil || want.err != nil {
					t.Errorf("request %d once the disk is well: %v, the model says %v", i, r.err, want.err)
				}
			}
			wantLikeModel(t, s, model)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			wantLikeModel(t, openGate(t, g, Options{}), model)
		})
	}
}

// TestCloseFinishesWhatIsUnderWay closes a store with one group in flight, another
// one that is planned over it and full, and more that waits.
func TestCloseFinishesWhatIsUnderWay(t *testing.T) {
	g, model := newGate(), storetest.NewModel()
	s := openGate(t, g, Options{})
	plugged(t, s, model)
	all := []*request{plug()}
	for range 8 {
		r := plug()
		r.batch.Ops = slices.Repeat(r.batch.Ops, leaderboard.MaxBatch)
		all = append(all, r)
	}
	release := g.next()
	plan(t, s, all[0])
	<-g.held
	plan(t, s, all[1:6]...)
	for _, r := range all[6:] {
		if err := s.queue.push(r); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for !s.queue.isClosed() {
		runtime.Gosched()
	}
	close(release)
	for i, r := range all {
		<-r.done
		if _, err := model.Apply(t.Context(), r.batch); err != nil || r.err != nil {
			t.Errorf("request %d: %v, the model says %v", i, r.err, err)
		}
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	wantLikeModel(t, openGate(t, g, Options{}), model)
}

// TestCloseFinishesWhatWaits closes an idle store together with a submit to it.
func TestCloseFinishesWhatWaits(t *testing.T) {
	g, model := newGate(), storetest.NewModel()
	s := openGate(t, g, Options{})
	plugged(t, s, model)
	r := plug()
	s.queue.mu.Lock()
	s.queue.waiting, s.queue.closed = append(s.queue.waiting, r), true
	s.queue.signal()
	s.queue.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case <-r.done:
	default:
		t.Fatal("the submit is not answered")
	}
	if _, err := model.Apply(t.Context(), r.batch); err != nil || r.err != nil {
		t.Errorf("the submit: %v, the model says %v", r.err, err)
	}
	wantLikeModel(t, openGate(t, g, Options{}), model)
}

var likeModel = cmp.Options{cmpopts.IgnoreFields(leaderboard.View{}, "Epoch"), cmpopts.EquateEmpty()}

func randomRequest(rng *rand.Rand, at time.Time) *request {
	id := func() string { return []string{"a", "b"}[rng.IntN(2)] }
	switch rng.IntN(12) {
	case 10, 11:
		r := newRequest(endSeason)
		r.id, r.end = id(), leaderboard.End{At: at, Due: rng.IntN(2) == 0}
		return r
	case 0, 1:
		r := newRequest(createBoard)
		r.board = leaderboard.Board{
			ID:        id(),
			Policy:    []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest}[rng.IntN(3)],
			Order:     []leaderboard.Order{leaderboard.Ascending, leaderboard.Descending}[rng.IntN(2)],
			Ties:      []leaderboard.Ties{leaderboard.Earliest, leaderboard.LatestTie}[rng.IntN(2)],
			RankStyle: []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense}[rng.IntN(3)],
			Seasons:   randomSeasons(rng),
		}.WithDefaults()
		r.board.CreatedAt = at
		return r
	case 2:
		r := newRequest(deleteBoard)
		r.id = id()
		return r
	case 3:
		r := newRequest(patchBoard)
		style := []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense, "none"}[rng.IntN(4)]
		r.id, r.patch = id(), leaderboard.Patch{RankStyle: &style, At: at}
		if rng.IntN(2) == 0 {
			r.patch.RankStyle, r.patch.Seasons = nil, new(randomSeasons(rng))
		}
		return r
	}
	r := newRequest(applyBatch)
	r.batch.At = at
	count := 1 + rng.IntN(5)
	if rng.IntN(8) == 0 {
		count = maxPieceOps
	}
	for range count {
		op := leaderboard.Op{
			Board:  id(),
			Kind:   leaderboard.Kind(rng.IntN(3)),
			Member: fmt.Sprint(rng.IntN(4)),
			Score:  leaderboard.ScaledDecimal(rng.Int64N(4), 0),
		}
		switch rng.IntN(12) {
		case 0:
			op.Score = leaderboard.ScaledDecimal(15, 1) // has more decimals than the board
		case 1:
			op.Data = []byte("null")
		case 2:
			op.Data = fmt.Appendf(nil, `{"n":%d}`, rng.IntN(9))
		}
		if op.Kind == leaderboard.Remove {
			op.Score, op.Data = leaderboard.Decimal{}, nil
		}
		r.batch.Ops = append(r.batch.Ops, op)
	}
	return r
}

// nameSeasons has the operations of some batches name a season of about now, as far as
// the model is behind.
func nameSeasons(t *testing.T, rng *rand.Rand, model leaderboard.Store, r *request) *request {
	t.Helper()
	if r.kind != applyBatch || rng.IntN(3) > 0 {
		return r
	}
	shift := []int{-1, 0, 0, 0, 0, 1}[rng.IntN(6)] // with many of what is behind is an end
	r.batch.Ops = r.batch.Ops[:min(2, len(r.batch.Ops))]
	for i := range r.batch.Ops {
		op := &r.batch.Ops[i]
		if op.Board = r.batch.Ops[0].Board; op.Kind == leaderboard.Remove {
			op.Kind, op.Score = leaderboard.Set, leaderboard.ScaledDecimal(1, 0)
		}
		if v, err := model.Board(t.Context(), op.Board); err == nil {
			op.Season = max(v.Season+shift, 0)
		}
	}
	return r
}

func randomSeasons(rng *rand.Rand) leaderboard.Seasons {
	return leaderboard.Seasons{Cron: []string{"", "* * * * *"}[rng.IntN(2)], Grace: rng.IntN(3) * 20_000, Keep: 1 + rng.IntN(3)}
}

// answerOf carries out on a store what a request asks for.
func answerOf(t *testing.T, store leaderboard.Store, r *request) (a answer) {
	t.Helper()
	switch r.kind {
	case createBoard:
		a.view, a.err = store.CreateBoard(t.Context(), r.board)
	case patchBoard:
		a.view, a.err = store.PatchBoard(t.Context(), r.id, r.patch)
	case deleteBoard:
		a.err = store.DeleteBoard(t.Context(), r.id)
	case endSeason:
		a.view, _, a.err = store.ChangeBoard(t.Context(), leaderboard.BoardChange{ID: r.id, End: &r.end})
	case applyBatch:
		a.outcome, a.err = store.Apply(t.Context(), r.batch)
	}
	return a
}

// TestFenceKeepsErrorsFromWhatCannotBearThem breaks the disk and looks which
// files tell of it, and that nothing reaches the disk any more.
func TestFenceKeepsErrorsFromWhatCannotBearThem(t *testing.T) {
	tests := []struct {
		name   string
		silent bool
	}{
		{"000002.log", true},
		{"MANIFEST-000001", true},
		{"marker.manifest.000001.MANIFEST-000001", true},
		{"000003.sst", false},
		{"OPTIONS-000004", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var broken atomic.Bool
			mem := vfs.NewMem()
			f := newFence(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					return syscall.EIO
				}
				return nil
			})))
			if err := f.opened(); err != nil {
				t.Fatal(err)
			}
			file, err := f.Create(test.name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write([]byte("before ")); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			wantTold(t, "the sync that fails", file.Sync(), test.silent)
			if err := f.err(); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), test.name) {
				t.Errorf("cause of the fence = %v, want %v and the file's name", err, syscall.EIO)
			}
			broken.Store(false)
			_, err = file.Write([]byte("after"))
			wantTold(t, "a write behind the closed fence", err, test.silent)
			_, err = f.Create(test.name+".log", vfs.WriteCategoryUnspecified)
			wantTold(t, "a new log behind the closed fence", err, true)
			if err := f.Rename(test.name, "other"); err == nil {
				t.Error("a file was renamed behind the closed fence")
			}
			if err := file.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			names, err := mem.List("")
			if err != nil || len(names) != 1 {
				t.Errorf("files = %v, %v, want %s alone", names, err, test.name)
			}
			info, err := mem.Stat(test.name)
			if err != nil || info.Size() != int64(len("before ")) {
				t.Errorf("size = %d, %v, want what was written before", info.Size(), err)
			}
		})
	}
}

func wantTold(t *testing.T, what string, err error, silent bool) {
	t.Helper()
	if silent != (err == nil) {
		t.Errorf("%s: error %v, want it to be told: %t", what, err, !silent)
	}
}
