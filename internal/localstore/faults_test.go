package localstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
	"laurel/internal/localstore"
)

const dataDir = "data"

// patience is how long something that must happen may take.
const patience = 30 * time.Second

// events is a log handler that tells when the disk came back or has room again,
// when an attempt to get it back was in vain, and when it is nearly full. The
// channels hold one event, as one is enough to know.
type events struct {
	slog.Handler

	back, inVain, full chan struct{}
}

func newEvents() *events {
	return &events{
		Handler: slog.DiscardHandler,
		back:    make(chan struct{}, 1),
		inVain:  make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
	}
}

func (e *events) Enabled(context.Context, slog.Level) bool { return true }

func (e *events) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "disk is back, writes are taken", "disk has room again, writes are taken":
		tell(e.back)
	case "disk is not back":
		tell(e.inVain)
	case "disk is nearly full, writes are refused":
		tell(e.full)
	}
	return nil
}

func tell(event chan struct{}) {
	select {
	case event <- struct{}{}:
	default:
	}
}

func await(t *testing.T, event <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(patience):
		t.Fatalf("waiting for %s: nothing for %v", what, patience)
	}
}

func options(fs vfs.FS, e *events) localstore.Options {
	return localstore.Options{
		FS:            fs,
		Logger:        slog.New(e),
		RetryInterval: time.Millisecond,
		MemTableSize:  32 << 10, // so that a small workload fills several
	}
}

// faulty is errorfs's file system, but for files that are used again: errorfs
// leaves their errors alone, and the file system in memory takes a lock twice
// for them, which a clone in between turns into a deadlock.
type faulty struct {
	*errorfs.FS
	injector errorfs.Injector
}

func wrap(fs vfs.FS, injector errorfs.Injector) vfs.FS {
	return faulty{errorfs.Wrap(fs, injector), injector}
}

func (f faulty) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.injector.MaybeError(errorfs.Op{Kind: errorfs.OpReuseForWrite, Path: newname}); err != nil {
		return nil, err
	}
	if err := f.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return f.OpenReadWrite(newname, category)
}

// deed is one write of a workload, on a store or on a model.
type deed func(ctx context.Context, s leaderboard.Store) error

// workload is a sequence of writes that uses every kind of them, deletes boards
// that have entries and creates them again, ends seasons, and is large enough for the
// database to change to a new log and to flush.
func workload(rng *rand.Rand) []deed {
	clock := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	filler := strings.Repeat("x", 900)
	create := func(b leaderboard.Board) deed {
		b = b.WithDefaults()
		b.CreatedAt = clock
		return func(ctx context.Context, s leaderboard.Store) error {
			_, err := s.CreateBoard(ctx, b)
			return err
		}
	}
	apply := func(ops ...leaderboard.Op) deed {
		clock = clock.Add(time.Second)
		batch := leaderboard.Batch{Ops: ops, At: clock}
		return func(ctx context.Context, s leaderboard.Store) error {
			_, err := s.Apply(ctx, batch)
			return err
		}
	}
	submit := func(board string) leaderboard.Op {
		op := leaderboard.Op{Board: board, Member: fmt.Sprintf("m%d", rng.IntN(20)), Score: leaderboard.ScaledDecimal(rng.Int64N(9), 0)}
		if rng.IntN(2) == 0 {
			op.Data = fmt.Appendf(nil, `{"n":%d,"filler":%q}`, rng.IntN(100), filler)
		}
		return op
	}
	season := 1 // of "s"
	end := func() deed {
		season++
		end := leaderboard.End{Season: season - 1, At: clock}
		return func(ctx context.Context, s leaderboard.Store) error {
			_, _, err := s.ChangeBoard(ctx, leaderboard.BoardChange{ID: "s", End: &end})
			return err
		}
	}
	late := func() leaderboard.Op {
		op := submit("s")
		op.Season = season - 1
		return op
	}
	deeds := []deed{
		create(leaderboard.Board{ID: "s", RankStyle: leaderboard.Dense, Seasons: leaderboard.Seasons{Cron: "@hourly", Grace: 60_000, Keep: 2}}),
		create(leaderboard.Board{ID: "a"}),
		create(leaderboard.Board{ID: "b", Policy: leaderboard.Latest, Order: leaderboard.Ascending}),
		create(leaderboard.Board{ID: "c", Policy: leaderboard.Best, Ties: leaderboard.LatestTie}),
	}
	for round := range 2 {
		for range 4 {
			deeds = append(deeds, apply(submit("a")), apply(submit("b"), submit("c"), submit("a"), submit("b")))
			var many []leaderboard.Op
			for range 12 {
				many = append(many, submit("a"), submit("b"))
			}
			deeds = append(deeds, apply(many...))
		}
		var many []leaderboard.Op
		for i := range 300 { // two blocks of a final standing
			many = append(many, leaderboard.Op{Kind: leaderboard.Set, Board: "s", Member: fmt.Sprintf("m%d", i), Score: leaderboard.ScaledDecimal(int64(i*7%31), 0)})
		}
		deeds = append(deeds, apply(many...), end(), apply(late(), late()), apply(submit("s"), submit("a")), apply(late()))
		clock = clock.Add(2 * time.Hour)
		season++
		deeds = append(deeds, apply(submit("b"), submit("s"), submit("s")), end(), apply(late(), submit("a")), end())
		top := 10 + round
		deeds = append(deeds,
			apply(leaderboard.Op{Kind: leaderboard.Set, Board: "a", Member: "gone", Score: leaderboard.ScaledDecimal(5, 0)}),
			apply(submit("a"), leaderboard.Op{Kind: leaderboard.Remove, Board: "a", Member: "gone"}, submit("b")),
			func(ctx context.Context, s leaderboard.Store) error {
				_, err := s.PatchBoard(ctx, "b", leaderboard.Patch{Top: &top})
				return err
			},
			func(ctx context.Context, s leaderboard.Store) error { return s.DeleteBoard(ctx, "a") },
			create(leaderboard.Board{ID: "a", RankStyle: leaderboard.Competition}),
			apply(submit("a"), submit("a")),
		)
		deeds = append(deeds, outboxDeeds(uint64(round), filler)...)
	}
	return deeds
}

// outboxDeeds are writes to the outbox after so many recordings about a board: one of
// messages, another text for the oldest, and its end.
func outboxDeeds(after uint64, filler string) []deed {
	oldest := func(ctx context.Context, s leaderboard.Store, text []byte) error {
		outbox := s.(leaderboard.Outbox)
		w, err := outbox.Waiting(ctx, "hook", "", 1)
		if err != nil {
			return err
		}
		return outbox.Settle(ctx, w.Oldest[0], text)
	}
	return []deed{
		func(ctx context.Context, s leaderboard.Store) error {
			_, err := s.(leaderboard.Outbox).Record(ctx, leaderboard.Recording{Board: "a", After: after, Note: fmt.Append(nil, after, filler), Messages: []leaderboard.Outgoing{
				{Queue: "hook", Text: fmt.Append(nil, after, " first"), Limit: 9},
				{Queue: "hook", Text: fmt.Append(nil, after, " second"), Limit: 9},
			}})
			return err
		},
		func(ctx context.Context, s leaderboard.Store) error {
			return oldest(ctx, s, fmt.Append(nil, after, " again"))
		},
		func(ctx context.Context, s leaderboard.Store) error { return oldest(ctx, s, nil) },
	}
}

// readOutbox is what can be read of the outbox: a line for what is noted, and one for what waits.
func readOutbox(ctx context.Context, s leaderboard.Store) (c content, err error) {
	outbox := s.(leaderboard.Outbox)
	note, err := outbox.Note(ctx, "a")
	if err != nil || note.Version == 0 {
		return nil, err
	}
	w, err := outbox.Waiting(ctx, "hook", "", 10)
	return content{fmt.Sprintf("note %d %s", note.Version, note.Text), fmt.Sprintf("%d wait, the oldest are %+v", w.Queued, w.Oldest)}, err
}

// content is all that can be read from a store, but for its epoch: a text for each
// season of each board, or [unread].
type content []string

// unread stands for a season that cannot be read while the disk is broken.
const unread = "unread"

// equal compares what is there with what should be.
func (c content) equal(got content) bool {
	return slices.EqualFunc(c, got, func(want, got string) bool { return want == got || got == unread })
}

func read(ctx context.Context, s leaderboard.Store) (content, error) {
	boards, err := s.Boards(ctx, "", leaderboard.MaxLimit)
	if err != nil {
		return nil, err
	}
	var c content
	for _, b := range boards {
		seasons, err := s.Seasons(ctx, b.Board.ID)
		if err != nil {
			return nil, err
		}
		if len(seasons) == 0 || seasons[0].Rev != b.Rev {
			return nil, fmt.Errorf("seasons of %q: %+v; the board has rev %d", b.Board.ID, seasons, b.Rev)
		}
		for _, v := range seasons {
			text, err := readSeason(ctx, s, v)
			if errors.Is(err, leaderboard.ErrStorageUnavailable) && v.Closed && s.Writable() != nil {
				text, err = unread, nil
			}
			if err != nil {
				return nil, err
			}
			c = append(c, text)
		}
	}
	outbox, err := readOutbox(ctx, s)
	return append(c, outbox...), err
}

func readSeason(ctx context.Context, s leaderboard.Store, v leaderboard.View) (string, error) {
	page, err := s.Entries(ctx, leaderboard.Ref{Board: v.Board.ID, Season: v.Season}, leaderboard.Range{Limit: leaderboard.MaxLimit})
	if err != nil {
		return "", err
	}
	if page.Rev != v.Rev || page.Total != len(page.Entries) {
		return "", fmt.Errorf("page of %q has rev %d and %d entries of %d; the board has rev %d", v.Board.ID, page.Rev, len(page.Entries), page.Total, v.Rev)
	}
	text := fmt.Appendf(nil, "%+v, season %d, rev %d, total %d, from %v to %v, closed %t\n", v.Board, v.Season, v.Rev, v.Total, v.StartsAt, v.EndsAt, v.Closed)
	for _, e := range page.Entries {
		text = fmt.Appendf(text, "  %d %s %d, better %d, seq %d, rev %d, at %v, %s\n", e.Rank, e.Member, e.Score, e.Better, e.Seq, e.Rev, e.UpdatedAt.UTC(), e.Data)
	}
	return string(text), nil
}

// untold returns the changes that are not acknowledged, as board to rev.
func untold(ctx context.Context, s leaderboard.Store, expected int) (map[string]uint64, error) {
	told := map[string]uint64{}
	if expected == 0 {
		return told, nil
	}
	changes, _, err := s.Changes(ctx, "", 1<<20) // the model tells of each change
	for _, c := range changes {
		told[c.Board] = c.Rev
	}
	return told, err
}

// history is what a store must hold after each number of deeds.
type history struct {
	deeds    []deed
	contents []content
	pending  []map[string]uint64 // changes since the last acknowledgement
	ackAfter map[int]bool        // deeds after which what was told is acknowledged
}

func newHistory(t *testing.T, rng *rand.Rand) *history {
	t.Helper()
	h := &history{deeds: workload(rng), ackAfter: map[int]bool{}}
	model := storetest.NewModel()
	note := func() {
		c, err := read(t.Context(), model)
		if err != nil {
			t.Fatal(err)
		}
		pending, err := untold(t.Context(), model, len(c))
		if err != nil {
			t.Fatal(err)
		}
		h.contents, h.pending = append(h.contents, c), append(h.pending, pending)
	}
	h.contents, h.pending = append(h.contents, nil), append(h.pending, nil)
	for i, do := range h.deeds {
		if err := do(t.Context(), model); err != nil {
			t.Fatalf("deed %d on the model: %v", i, err)
		}
		note()
	}
	return h
}

// verify returns how many deeds a store holds, at least acked and at most one
// more. Its content and its change log must be those of that number.
func (h *history) verify(ctx context.Context, s leaderboard.Store, acked int) (int, error) {
	got, err := read(ctx, s)
	if err != nil {
		return 0, err
	}
	n := acked
	if !h.contents[n].equal(got) {
		if n++; n == len(h.contents) || !h.contents[n].equal(got) {
			return 0, fmt.Errorf("what is there is neither what was acknowledged nor that and the next (-acknowledged +there):\n%s",
				cmp.Diff([]string(h.contents[acked]), []string(got)))
		}
	}
	told, err := untold(ctx, s, len(h.pending[n]))
	if err != nil {
		return 0, err
	}
	for board, rev := range h.pending[n] {
		if told[board] != rev {
			return 0, fmt.Errorf("the change log tells of %q at rev %d, want %d", board, told[board], rev)
		}
	}
	return n, nil
}

func seed(t *testing.T) *rand.Rand {
	t.Helper()
	s := rand.Uint64()
	t.Logf("seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// crash is the disk as a crash at some moment left it.
type crash struct {
	fs    *vfs.MemFS
	op    string
	acked int // deeds that were acknowledged before
}

// TestCrashAtEverySyncPoint runs a workload and takes, before and after each
// change of the file system, what a crash would leave then: all that is synced,
// and none, all or some of what is not. Each must open with everything that was
// acknowledged, and nothing half done.
func TestCrashAtEverySyncPoint(t *testing.T) {
	t.Cleanup(localstore.InSmallParts())
	rng := seed(t)
	h := newHistory(t, rng)
	mem := vfs.NewCrashableMem()
	var (
		acked   atomic.Int64
		mu      sync.Mutex // guards what follows
		crashes []crash
		syncs   int
	)
	note := func(op errorfs.Op, percent int) {
		mu.Lock()
		defer mu.Unlock()
		before := int(acked.Load()) // no more than one deed can end while we are here: the next needs the file system
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		crashes = append(crashes, crash{clone, fmt.Sprintf("%v %s, %d %% of the rest", op.Kind, op.Path, percent), before})
	}
	fs := wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData:
			mu.Lock()
			syncs++
			mu.Unlock()
			for _, percent := range []int{0, 50, 100} {
				note(op, percent)
			}
			for range 5 {
				if acked.Load() == 0 { // much happens for the first time, and little is there to clone
					note(op, 50)
				}
			}
		case errorfs.OpFileWrite, errorfs.OpFileClose:
			note(op, 50)
		case errorfs.OpCreate, errorfs.OpRemove, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpMkdirAll:
			note(op, 0)
			note(op, 50)
		}
		return nil
	}))
	s, err := localstore.Open(t.Context(), dataDir, options(fs, newEvents()))
	if err != nil {
		t.Fatal(err)
	}
	for i, do := range h.deeds {
		if err := do(t.Context(), s); err != nil {
			t.Fatalf("deed %d: %v", i, err)
		}
		acked.Add(1)
		localstore.AwaitFinal(s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	note(errorfs.Op{}, 0)
	t.Logf("%d crashes at %d syncs", len(crashes), syncs)
	if syncs < len(h.deeds) {
		t.Fatalf("%d syncs for %d deeds", syncs, len(h.deeds))
	}

	later, between := 0, 0
	for _, c := range crashes {
		s, err := localstore.Open(t.Context(), dataDir, options(c.fs, newEvents()))
		if err != nil {
			t.Fatalf("open after a crash at %s, with %d deeds acknowledged: %v", c.op, c.acked, err)
		}
		n, err := h.verify(t.Context(), s, c.acked)
		if err != nil {
			t.Errorf("after a crash at %s, with %d deeds acknowledged: %v", c.op, c.acked, err)
		}
		if unfinished := localstore.Unfinished(s); unfinished > 0 {
			between++
			localstore.AwaitFinal(s)
			if got, err := h.verify(t.Context(), s, n); err != nil || got != n {
				t.Errorf("after a crash at %s, once seasons are final: %d deeds of %d, %v", c.op, got, n, err)
			}
		}
		later += n - c.acked
		if n < len(h.deeds) {
			if err := h.deeds[n](t.Context(), s); err != nil {
				t.Errorf("the next deed after a crash at %s: %v", c.op, err)
			}
			if _, err := h.verify(t.Context(), s, n+1); err != nil {
				t.Errorf("with one more deed after a crash at %s: %v", c.op, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("close after a crash at %s: %v", c.op, err)
		}
	}
	if between == 0 {
		t.Error("no crash was between the end of a season and its being final")
	}
	t.Logf("%d crashes while seasons were not final", between)
	if later == 0 {
		t.Error("no crash left a deed that was not acknowledged: no crash was between a write and its acknowledgement")
	}
}

// broken is a file system whose n-th change fails, and each later one too until it
// is repaired.
type broken struct {
	mem *vfs.MemFS
	n   int64

	count    atomic.Int64
	repaired atomic.Bool
	fired    atomic.Pointer[errorfs.Op]
}

func (b *broken) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpLock || op.Kind == errorfs.OpFilePreallocate {
		return nil
	}
	if b.count.Add(1) < b.n || b.repaired.Load() {
		return nil
	}
	b.fired.CompareAndSwap(nil, &op)
	return syscall.EIO
}

func (b *broken) String() string { return "broken" }

// TestFailureOfEveryChange lets each change of the file system fail, in run after
// run of one workload. The deed that meets it is refused and leaves nothing
// behind, reads go on, and when the disk is well again the store goes on by
// itself. In every third run the process ends instead, before the disk is well.
func TestFailureOfEveryChange(t *testing.T) {
	t.Cleanup(localstore.InSmallParts())
	rng := seed(t)
	h := newHistory(t, rng)
	mem := vfs.NewMem()
	whole := &broken{mem: mem, n: 1 << 30}
	s, err := localstore.Open(t.Context(), dataDir, options(wrap(mem, whole), newEvents()))
	if err != nil {
		t.Fatal(err)
	}
	opening := whole.count.Load()
	for _, do := range h.deeds {
		if err := do(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		localstore.AwaitFinal(s)
	}
	all := whole.count.Load()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes of the file system, %d of them to open", all, opening)

	refused := map[string]int{}
	for n := int64(1); n <= all; n++ {
		op, met := failAt(t, h, n, rng)
		if op == nil {
			continue // this run needed fewer changes
		}
		if met {
			refused[fmt.Sprintf("%v", op.Kind)]++
		}
	}
	if len(refused) < 3 {
		t.Errorf("failures that refused a deed, by kind of change: %v, want several kinds", refused)
	}
	t.Logf("failures that refused a deed, by kind of change: %v", refused)
}

// failAt runs the workload with the n-th change failing. It returns that
// change, if there was one, and whether a deed was refused for it.
func failAt(t *testing.T, h *history, n int64, rng *rand.Rand) (op *errorfs.Op, refused bool) {
	t.Helper()
	disk := &broken{mem: vfs.NewCrashableMem(), n: n}
	e := newEvents()
	fatalf := func(format string, args ...any) {
		t.Helper()
		where := "nowhere"
		if op := disk.fired.Load(); op != nil {
			where = fmt.Sprintf("%v %s", op.Kind, op.Path)
		}
		t.Fatalf("change %d fails (%s): %s", n, where, fmt.Sprintf(format, args...))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := localstore.Open(ctx, dataDir, options(wrap(disk.mem, disk), e))
	if err != nil {
		if disk.fired.Load() == nil || !errors.Is(err, syscall.EIO) {
			fatalf("open: %v", err)
		}
		disk.repaired.Store(true)
		if s, err = localstore.Open(ctx, dataDir, options(wrap(disk.mem, disk), e)); err != nil {
			fatalf("open once the disk is well: %v", err)
		}
	}
	done := 0
	for done < len(h.deeds) {
		err := h.deeds[done](ctx, s)
		if err == nil {
			done++
			if n%4 > 0 { // else what is in the background goes on as it likes
				localstore.AwaitFinalOrTrouble(s)
			}
			continue
		}
		if disk.fired.Load() == nil || !errors.Is(err, leaderboard.ErrStorageUnavailable) {
			fatalf("deed %d: %v", done, err)
		}
		refused = true
		if err := s.Writable(); !disk.repaired.Load() && !errors.Is(err, leaderboard.ErrStorageUnavailable) {
			fatalf("a deed was refused, but Writable returns %v", err)
		}
		if got, err := h.verify(ctx, s, done); err != nil || got != done {
			fatalf("reads while the disk is broken: %d deeds of %d, %v", got, done, err)
		}
		if disk.repaired.Load() {
			continue
		}
		switch n % 3 {
		case 0:
			// The process ends: nothing reaches the disk any more, and what was
			// not synced may be lost.
			after := disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			if err := s.Close(); err != nil && !errors.Is(err, syscall.EIO) {
				fatalf("close: %v", err)
			}
			if s, err = localstore.Open(ctx, dataDir, options(after, e)); err != nil {
				fatalf("open after the process ended: %v", err)
			}
			disk.mem = after
			disk.repaired.Store(true)
			if done, err = h.verify(ctx, s, done); err != nil {
				fatalf("after the process ended: %v", err)
			}
			continue
		case 1: // the disk is well after some attempts to get it back
			await(t, e.inVain, "a vain attempt to get the disk back")
		}
		disk.repaired.Store(true)
		await(t, e.back, "the disk")
		if n%2 == 0 {
			continue
		}
		// The refused deed, which is not tried again, must not show up later.
		if err := s.Close(); err != nil {
			fatalf("close once the disk is well: %v", err)
		}
		if s, err = localstore.Open(ctx, dataDir, options(disk.mem, e)); err != nil {
			fatalf("open once the disk is well: %v", err)
		}
		if got, err := h.verify(ctx, s, done); err != nil || got != done {
			fatalf("once the disk is well: %d deeds of %d, %v", got, done, err)
		}
	}
	if got, err := h.verify(ctx, s, done); err != nil || got != done {
		fatalf("at the end: %d deeds, %v", got, err)
	}
	disk.repaired.Store(true)
	if err := s.Close(); err != nil && !errors.Is(err, syscall.EIO) {
		fatalf("close: %v", err)
	}
	if s, err = localstore.Open(ctx, dataDir, options(disk.mem, e)); err != nil {
		fatalf("open again: %v", err)
	}
	for range 2 {
		if got, err := h.verify(ctx, s, done); err != nil || got != done {
			fatalf("opened again: %d deeds, %v", got, err)
		}
		localstore.AwaitFinal(s)
	}
	if err := s.Close(); err != nil {
		fatalf("close again: %v", err)
	}
	return disk.fired.Load(), refused
}

// TestCrashUnderWriters lets many writers submit at once, so that groups hold
// several requests, and takes what crashes at some of the syncs would leave. Each
// request gives one point on two boards: it must be there on both or on none.
func TestCrashUnderWriters(t *testing.T) {
	const count, rounds = 8, 25
	rng := seed(t)
	mem := vfs.NewCrashableMem()
	type moment struct {
		fs       *vfs.MemFS
		answered [count]int64
	}
	var (
		answered [count]atomic.Int64
		mu       sync.Mutex // guards moments and rng
		moments  []moment
	)
	fs := wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			mu.Lock()
			defer mu.Unlock()
			var m moment
			for w := range answered {
				m.answered[w] = answered[w].Load()
			}
			m.fs = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
			moments = append(moments, m)
		}
		return nil
	}))
	s := open(t, dataDir, options(fs, newEvents()))
	for _, id := range []string{"a", "b"} {
		create(t, s, leaderboard.Board{ID: id})
	}
	mu.Lock()
	moments = nil
	mu.Unlock()
	var wg sync.WaitGroup
	for w := range count {
		wg.Go(func() {
			for range rounds {
				batch := one("a", fmt.Sprint(w), 1)
				batch.Ops = append(batch.Ops, batch.Ops[0])
				batch.Ops[1].Board = "b"
				if _, err := s.Apply(t.Context(), batch); err != nil {
					t.Errorf("Apply: %v", err)
					return
				}
				answered[w].Add(1)
			}
		})
	}
	wg.Wait()
	shut(t, s)
	if len(moments) < rounds {
		t.Fatalf("%d syncs for %d rounds", len(moments), rounds)
	}
	for i, m := range moments {
		s := open(t, dataDir, options(m.fs, newEvents()))
		var sum int64
		for w, least := range m.answered {
			a, b := score(t, s, "a", w), score(t, s, "b", w)
			if a != b || a < least || a > rounds {
				t.Errorf("crash %d: writer %d has %d points on one board and %d on the other, with %d answered", i, w, a, b, least)
			}
			sum += a
		}
		for _, id := range []string{"a", "b"} {
			if view, err := s.Board(t.Context(), id); err != nil || view.Rev != uint64(sum)+1 {
				t.Errorf("crash %d: board %q is at rev %d, %v, want %d", i, id, view.Rev, err, sum+1)
			}
		}
		shut(t, s)
	}
}

func score(t *testing.T, s *localstore.Store, board string, writer int) int64 {
	t.Helper()
	page, err := s.Lookup(t.Context(), leaderboard.Ref{Board: board}, []string{fmt.Sprint(writer)})
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries[0].Score
}

// TestOpenEndsWhenTheDiskFails opens a store that was not closed, so that
// there is a log to be flushed, on a disk that takes no more changes from each of
// those on that opening makes: it ends with an error, and does no harm.
func TestOpenEndsWhenTheDiskFails(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, dataDir, options(mem, newEvents()))
	create(t, s, leaderboard.Board{ID: "race"})
	submit(t, s, "race", "alice", 5)
	for after := int64(0); ; after++ {
		disk := mem.CrashClone(vfs.CrashCloneCfg{})
		var changes, failures atomic.Int64
		full := wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || changes.Add(1) <= after {
				return nil
			}
			failures.Add(1)
			return syscall.ENOSPC
		}))
		ended := make(chan error, 1)
		go func() {
			s, err := localstore.Open(t.Context(), dataDir, options(full, newEvents()))
			if err == nil {
				err = s.Close()
			}
			ended <- err
		}()
		select {
		case err := <-ended:
			if errors.Is(err, localstore.ErrDamaged) {
				t.Errorf("%d changes before the disk was full: %v, which is no damage", after, err)
			}
			if failures.Load() > 0 && err == nil && after < 5 {
				t.Errorf("%d changes before the disk was full: no error", after)
			}
		case <-time.After(patience):
			t.Fatalf("%d changes before the disk was full: opening does not end", after)
		}
		again := open(t, dataDir, options(disk.CrashClone(vfs.CrashCloneCfg{}), newEvents()))
		if view, err := again.Board(t.Context(), "race"); err != nil || view.Total != 1 {
			t.Fatalf("%d changes before the disk was full: afterwards %+v, %v, want what was there before", after, view, err)
		}
		if failures.Load() == 0 {
			t.Logf("opening and closing makes %d changes", changes.Load())
			return
		}
	}
}
