package localstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/leaderboard"
	"laurel/internal/localstore"
)

func open(t *testing.T, dir string, opts localstore.Options) *localstore.Store {
	t.Helper()
	s, err := localstore.Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t *testing.T, s *localstore.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func create(t *testing.T, s *localstore.Store, b leaderboard.Board) {
	t.Helper()
	b = b.WithDefaults()
	b.CreatedAt = time.Now()
	if _, err := s.CreateBoard(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func one(board, member string, score int64) leaderboard.Batch {
	return leaderboard.Batch{At: time.Now(), Ops: []leaderboard.Op{{Board: board, Member: member, Score: leaderboard.ScaledDecimal(score, 0)}}}
}

func submit(t *testing.T, s *localstore.Store, board, member string, score int64) {
	t.Helper()
	if _, err := s.Apply(t.Context(), one(board, member, score)); err != nil {
		t.Fatal(err)
	}
}

// ownerEnv makes the test binary open the directory it names, say so on its
// output, and live until it is killed.
const ownerEnv = "LOCALSTORE_TEST_OWNS"

func init() {
	dir := os.Getenv(ownerEnv)
	if dir == "" {
		return
	}
	if _, err := localstore.Open(context.Background(), dir, localstore.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	select {}
}

func TestOpenRefusesDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, localstore.Options{})
	_, err := localstore.Open(t.Context(), dir, localstore.Options{})
	wantInUse(t, err, dir, os.Getpid())
	shut(t, s)
	open(t, dir, localstore.Options{})
}

func TestOpenNamesOwnerUntilItIsKilled(t *testing.T) {
	dir := t.TempDir()
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), ownerEnv+"="+dir)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	_, err = localstore.Open(t.Context(), dir, localstore.Options{})
	wantInUse(t, err, dir, owner.Process.Pid)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // of being killed
	open(t, dir, localstore.Options{})
}

func wantInUse(t *testing.T, err error, dir string, pid int) {
	t.Helper()
	inUse, ok := errors.AsType[*localstore.InUseError](err)
	if !ok || inUse.PID != pid || inUse.Dir != dir {
		t.Fatalf("Open of a directory in use: %v, want it to be in use by %d", err, pid)
	}
	if want := fmt.Sprintf("data directory %s is in use by process %d", dir, pid); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

// TestOpenStopsAtDamage changes what is on disk and expects Open to say where
// the damage is.
func TestOpenStopsAtDamage(t *testing.T) {
	entryKey := "e\x00\x00\x00\x00\x00\x00\x00\x01alice"
	tests := []struct {
		name   string
		damage func(t *testing.T, db *pebble.DB) error
		want   string
	}{
		{"an unknown format", func(_ *testing.T, db *pebble.DB) error {
			return db.Set([]byte("mformat"), []byte("99"), pebble.Sync)
		}, `format "99"`},
		{"a missing format", func(_ *testing.T, db *pebble.DB) error {
			return db.Delete([]byte("mformat"), pebble.Sync)
		}, "no format"},
		{"a board's state that is cut short", func(_ *testing.T, db *pebble.DB) error {
			return db.Set([]byte("brace"), []byte{0, 0, 1}, pebble.Sync)
		}, `"brace"`},
		{"an entry with unknown flags", func(_ *testing.T, db *pebble.DB) error {
			return db.Set([]byte(entryKey), []byte{9, 1, 1, 1}, pebble.Sync)
		}, `e/0/1/"alice"`},
		{"an entry that is cut short", func(_ *testing.T, db *pebble.DB) error {
			return db.Set([]byte(entryKey), []byte{0, 1}, pebble.Sync)
		}, `e/0/1/"alice"`},
		{"an entry of no board", func(_ *testing.T, db *pebble.DB) error {
			return db.Set([]byte("e\x00\x00\x00\x07\x00\x00\x00\x01alice"), []byte{0, 2, 2, 2}, pebble.Sync)
		}, `e/7/1/"alice"`},
		{"an entry of another season", func(_ *testing.T, db *pebble.DB) error {
			return db.Set([]byte("e\x00\x00\x00\x00\x00\x00\x00\x02alice"), []byte{0, 2, 2, 2}, pebble.Sync)
		}, `e/0/2/"alice"`},
		{"an entry too few", func(_ *testing.T, db *pebble.DB) error {
			return db.Delete([]byte(entryKey), pebble.Sync)
		}, `"brace"`},
		{"two entries with one position", func(_ *testing.T, db *pebble.DB) error {
			value, closer, err := db.Get([]byte(entryKey))
			if err != nil {
				return err
			}
			defer closer.Close()
			return db.Set([]byte("e\x00\x00\x00\x00\x00\x00\x00\x01zoe"), value, pebble.Sync)
		}, `board "race"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, localstore.Options{})
			create(t, s, leaderboard.Board{ID: "race"})
			submit(t, s, "race", "alice", 1)
			submit(t, s, "race", "bob", 2)
			shut(t, s)
			db, err := pebble.Open(filepath.Join(dir, "db"), &pebble.Options{Logger: quiet{}})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(test.damage(t, db), db.Close()); err != nil {
				t.Fatal(err)
			}
			s, err = localstore.Open(t.Context(), dir, localstore.Options{})
			if err == nil {
				shut(t, s)
				t.Fatal("Open of damaged data succeeded")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %q does not name %s and the directory", err, test.want)
			}
			if test.name != "an unknown format" && !errors.Is(err, localstore.ErrDamaged) {
				t.Errorf("error %v is not ErrDamaged", err)
			}
		})
	}
}

// TestOpenStopsAtFlippedBits changes a byte of a table, which its checksum must show.
func TestOpenStopsAtFlippedBits(t *testing.T) {
	dir := t.TempDir()
	if err := localstore.Fill(t.Context(), dir, 20_000); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, localstore.Options{MemTableSize: 64 << 10}) // replays the log into tables
	shut(t, s)
	tables, err := filepath.Glob(filepath.Join(dir, "db", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	bytes, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	bytes[100] ^= 1
	if err := os.WriteFile(tables[0], bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = localstore.Open(t.Context(), dir, localstore.Options{})
	if err == nil {
		shut(t, s)
		t.Fatal("Open of a damaged table succeeded")
	}
	if !errors.Is(err, localstore.ErrDamaged) || !strings.Contains(err.Error(), strings.TrimSuffix(filepath.Base(tables[0]), ".sst")) {
		t.Errorf("error %v, want ErrDamaged and the table's name", err)
	}
}

// TestOpenStopsAtLostManifest takes away what says that there is a database.
func TestOpenStopsAtLostManifest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, localstore.Options{})
	create(t, s, leaderboard.Board{ID: "race"})
	shut(t, s)
	markers, err := filepath.Glob(filepath.Join(dir, "db", "marker.manifest.*"))
	if err != nil || len(markers) != 1 {
		t.Fatalf("markers: %v, %v", markers, err)
	}
	if err := os.Remove(markers[0]); err != nil {
		t.Fatal(err)
	}
	s, err = localstore.Open(t.Context(), dir, localstore.Options{})
	if err == nil {
		shut(t, s)
		t.Fatal("Open began an empty store beside the data")
	}
	if !errors.Is(err, localstore.ErrDamaged) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want ErrDamaged and the directory", err)
	}
}

// TestWritesWaitForRoom takes no writes while the disk is nearly full, and takes
// them again when it is not.
func TestWritesWaitForRoom(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30})
	e := newEvents()
	opts := options(mem, e)
	opts.MinFree = 100 << 20
	s := open(t, dataDir, opts)
	create(t, s, leaderboard.Board{ID: "race"})
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 99 << 20})
	await(t, e.full, "the store to see that the disk is nearly full")
	_, err := s.Apply(t.Context(), one("race", "alice", 1))
	if !errors.Is(err, leaderboard.ErrStorageUnavailable) || !strings.Contains(err.Error(), "99 MiB are free") {
		t.Errorf("Apply on a full disk: %v, want %v", err, leaderboard.ErrStorageUnavailable)
	}
	if err := s.Writable(); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("Writable on a full disk: %v, want %v", err, leaderboard.ErrStorageUnavailable)
	}
	if view, err := s.Board(t.Context(), "race"); err != nil || view.Total != 0 {
		t.Errorf("Board on a full disk: %+v, %v", view, err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 101 << 20})
	await(t, e.back, "the store to see that there is room")
	submit(t, s, "race", "alice", 1)
}

// TestHangingDiskIsGivenUp lets a sync hang: the submit that waits for it is
// refused in time, and when the sync returns at last, the store takes writes
// again, without what it had refused.
func TestHangingDiskIsGivenUp(t *testing.T) {
	var (
		hang    atomic.Bool
		hanging = make(chan struct{}, 1)
		release = make(chan struct{})
	)
	fs := wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && hang.Load() {
			tell(hanging)
			<-release
		}
		return nil
	}))
	e := newEvents()
	opts := options(fs, e)
	opts.CommitTimeout = 50 * time.Millisecond
	s := open(t, dataDir, opts)
	create(t, s, leaderboard.Board{ID: "race"})
	submit(t, s, "race", "alice", 1)

	hang.Store(true)
	_, err := s.Apply(t.Context(), one("race", "bob", 10))
	if !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("Apply on a hanging disk: %v, want %v", err, leaderboard.ErrStorageUnavailable)
	}
	await(t, hanging, "the sync to hang")
	page, err := s.Lookup(t.Context(), leaderboard.Ref{Board: "race"}, []string{"alice"})
	if err != nil || page.Entries[0].Score != 1 {
		t.Errorf("Lookup on a hanging disk: %+v, %v", page, err)
	}
	hang.Store(false)
	close(release)
	await(t, e.back, "the disk")
	submit(t, s, "race", "alice", 100)
	shut(t, s)
	s = open(t, dataDir, opts)
	page, err = s.Entries(t.Context(), leaderboard.Ref{Board: "race"}, leaderboard.Range{Limit: 10})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Score != 101 || page.Rev != 3 {
		t.Errorf("entries = %+v at rev %d, %v, want alice alone with 101 at rev 3", page.Entries, page.Rev, err)
	}
}

// TestDiskHealsUnderWriters breaks the disk in one way or another, and repairs
// it, several times, under concurrent writers. What was answered is there in the
// end, and nothing else.
func TestDiskHealsUnderWriters(t *testing.T) {
	writes := func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate }
	syncs := func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData }
	tests := []struct {
		name  string
		fails func(errorfs.Op) bool
		err   error
	}{
		{"the disk is full", writes, syscall.ENOSPC},
		{"the log cannot be synced", func(op errorfs.Op) bool { return syncs(op) && strings.HasSuffix(op.Path, ".log") }, syscall.EIO},
		{"no log can be made", func(op errorfs.Op) bool {
			return (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite) && strings.HasSuffix(op.Path, ".log")
		}, syscall.EMFILE},
		{"no table can be written", func(op errorfs.Op) bool { return writes(op) && strings.HasSuffix(op.Path, ".sst") }, syscall.ENOSPC},
		{"no table can be synced", func(op errorfs.Op) bool { return syncs(op) && strings.HasSuffix(op.Path, ".sst") }, syscall.EIO},
		{"the manifest cannot be written", func(op errorfs.Op) bool { return writes(op) && strings.Contains(op.Path, "MANIFEST") }, syscall.EROFS},
		{"the manifest cannot be synced", func(op errorfs.Op) bool { return syncs(op) && strings.Contains(op.Path, "MANIFEST") }, syscall.EIO},
		{"the directory cannot be synced", func(op errorfs.Op) bool { return syncs(op) && strings.HasSuffix(op.Path, "db") }, syscall.EIO},
		{"nothing can be removed or reused", func(op errorfs.Op) bool { return op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpReuseForWrite }, syscall.EACCES},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { healUnderWriters(t, test.fails, test.err) })
	}
}

func healUnderWriters(t *testing.T, fails func(errorfs.Op) bool, failure error) {
	const count, failures, between = 8, 4, 20
	mem := vfs.NewCrashableMem()
	var (
		broken atomic.Bool
		hit    = make(chan struct{}, 1)
	)
	fs := wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && fails(op) {
			tell(hit)
			return failure
		}
		return nil
	}))
	e := newEvents()
	s := open(t, dataDir, options(fs, e))
	create(t, s, leaderboard.Board{ID: "race"})
	filler := fmt.Appendf(nil, `{"filler":%q}`, strings.Repeat("x", 900)) // so that tables fill soon
	var (
		wg       sync.WaitGroup
		answered [count]int64
		enough   atomic.Bool
	)
	for w := range count {
		wg.Go(func() {
			for !enough.Load() {
				batch := one("race", fmt.Sprint(w), 1)
				batch.Ops[0].Data = filler
				_, err := s.Apply(t.Context(), batch)
				switch {
				case err == nil:
					answered[w]++
				case !errors.Is(err, leaderboard.ErrStorageUnavailable) || !strings.Contains(err.Error(), failure.Error()):
					t.Errorf("Apply: %v", err)
					return
				}
			}
		})
	}
	for range failures {
		for range between {
			submit(t, s, "race", "between", 1)
		}
		select {
		case <-hit: // another of the time before
		default:
		}
		broken.Store(true)
		await(t, hit, "the failure")
		broken.Store(false)
		await(t, e.back, "the disk")
	}
	enough.Store(true)
	wg.Wait()
	check := func(s *localstore.Store) {
		t.Helper()
		sum := int64(failures * between)
		for w, want := range answered {
			if got := score(t, s, "race", w); got != want {
				t.Errorf("score of writer %d = %d, want %d, which is what was answered", w, got, want)
			}
			sum += want
		}
		if view, err := s.Board(t.Context(), "race"); err != nil || view.Rev != uint64(sum)+1 {
			t.Errorf("rev = %d, %v, want %d", view.Rev, err, sum+1)
		}
	}
	check(s)
	shut(t, s)
	check(open(t, dataDir, options(mem.CrashClone(vfs.CrashCloneCfg{}), e)))
}

// TestReadersSeeWholeBatches lets writers move points between two members and two
// boards, so that sums stay, while readers look, and boards come and go.
func TestReadersSeeWholeBatches(t *testing.T) {
	s := open(t, t.TempDir(), localstore.Options{Registerer: prometheus.NewRegistry()})
	for _, id := range []string{"a", "b"} {
		create(t, s, leaderboard.Board{ID: id})
	}
	const members = 20
	ctx, cancel := context.WithCancel(t.Context())
	var writersDone, readersDone sync.WaitGroup
	for w := range 8 {
		writersDone.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 100 {
				points := rng.Int64N(100)
				op := func(board string, points int64) leaderboard.Op {
					return leaderboard.Op{Board: board, Member: fmt.Sprint(rng.IntN(members)), Score: leaderboard.ScaledDecimal(points, 0)}
				}
				batch := leaderboard.Batch{At: time.Now(), Ops: []leaderboard.Op{op("a", points), op("b", points), op("a", -points), op("b", -points)}}
				if _, err := s.Apply(ctx, batch); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writersDone.Go(func() {
		for range 30 {
			board := leaderboard.Board{ID: "c"}.WithDefaults()
			if _, err := s.CreateBoard(ctx, board); err != nil {
				t.Error(err)
			}
			if _, err := s.Apply(ctx, one("c", "alice", 1)); err != nil {
				t.Error(err)
			}
			if err := s.DeleteBoard(ctx, "c"); err != nil {
				t.Error(err)
			}
		}
	})
	var reads atomic.Int64
	for _, id := range []string{"a", "b"} {
		readersDone.Go(func() {
			var last uint64
			for ctx.Err() == nil {
				page, err := s.Entries(ctx, leaderboard.Ref{Board: id}, leaderboard.Range{Limit: members})
				if err != nil {
					t.Error(err)
					return
				}
				var sum int64
				for i, e := range page.Entries {
					sum += e.Score
					if e.Rank != i+1 || i > 0 && e.Score > page.Entries[i-1].Score {
						t.Errorf("entry %d of %q is %+v, behind %+v", i, id, e, page.Entries[max(i-1, 0)])
					}
				}
				if sum != 0 || page.Total != len(page.Entries) || page.Rev < last || page.Rev%2 != 1 {
					t.Errorf("board %q at rev %d, after %d: sum %d, %d entries of %d", id, page.Rev, last, sum, len(page.Entries), page.Total)
					return
				}
				last = page.Rev
				reads.Add(1)
			}
		})
	}
	readersDone.Go(func() {
		for ctx.Err() == nil {
			views, err := s.Boards(ctx, "", 2)
			if err != nil {
				t.Error(err)
				return
			}
			if views[0].Rev != views[1].Rev {
				t.Errorf("boards at revs %d and %d, which every batch moves together", views[0].Rev, views[1].Rev)
				return
			}
		}
	})
	writersDone.Wait()
	cancel()
	readersDone.Wait()
	if reads.Load() == 0 {
		t.Error("nobody read")
	}
}

// TestAbandonedSubmitIsWholeOrNot cancels submits at random moments: each may be
// carried out or not, but the board must be one that exactly some of them make.
func TestAbandonedSubmitIsWholeOrNot(t *testing.T) {
	s := open(t, t.TempDir(), localstore.Options{})
	create(t, s, leaderboard.Board{ID: "race"})
	var answered, abandoned atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if (w+i)%2 == 0 {
					go cancel()
				}
				_, err := s.Apply(ctx, one("race", "alice", 1))
				switch {
				case err == nil:
					answered.Add(1)
				case errors.Is(err, context.Canceled):
					abandoned.Add(1)
				default:
					t.Errorf("Apply: %v", err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	submit(t, s, "race", "bob", 1) // is behind all that was abandoned
	page, err := s.Lookup(t.Context(), leaderboard.Ref{Board: "race"}, []string{"alice"})
	if err != nil {
		t.Fatal(err)
	}
	score := page.Entries[0].Score
	if score < answered.Load() || score > answered.Load()+abandoned.Load() || page.Rev != uint64(score)+2 {
		t.Errorf("score = %d at rev %d, with %d submits answered and %d abandoned", score, page.Rev, answered.Load(), abandoned.Load())
	}
}

// TestDeletedBoardLeavesNoEntriesOnDisk looks into the database after a board
// with entries was deleted.
func TestDeletedBoardLeavesNoEntriesOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, localstore.Options{})
	for range 2 {
		create(t, s, leaderboard.Board{ID: "race"})
		submit(t, s, "race", "alice", 1)
		if err := s.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, s)
	db, err := pebble.Open(filepath.Join(dir, "db"), &pebble.Options{Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if key := it.Key(); key[0] == 'e' || key[0] == 'x' {
			t.Errorf("key %q is still there", key)
		}
	}
	if err := errors.Join(it.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsTellWhatIsThere(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	dir := t.TempDir()
	s := open(t, dir, localstore.Options{Registerer: registry})
	create(t, s, leaderboard.Board{ID: "race"})
	create(t, s, leaderboard.Board{ID: "gone"})
	for _, id := range []string{"race", "gone"} {
		submit(t, s, id, "alice", 1)
		submit(t, s, id, "bob", 1)
	}
	if err := s.DeleteBoard(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"laurel_store_boards":                1,
		"laurel_store_entries":               2,
		"laurel_store_operations_total":      4,
		"laurel_store_unacknowledged_boards": 2,
		"laurel_store_writable":              1,
		"laurel_store_disk_failures_total":   0,
	}
	wantMetrics(t, registry, want)
	shut(t, s)
	open(t, dir, localstore.Options{Registerer: registry})
	want["laurel_store_operations_total"] = 0
	wantMetrics(t, registry, want)
}

func wantMetrics(t *testing.T, registry *prometheus.Registry, want map[string]float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s = %v (there: %t), want %v", name, v, ok, value)
		}
	}
}
