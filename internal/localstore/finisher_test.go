package localstore

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

// seasonal makes the board "s" on each of the stores, with so many entries, some of
// which have data.
func seasonal(t *testing.T, s leaderboard.Seasons, n int, stores ...leaderboard.Store) {
	t.Helper()
	b := leaderboard.Board{ID: "s", RankStyle: leaderboard.Dense, Seasons: s, CreatedAt: start}
	batch := leaderboard.Batch{At: start}
	for i := range n {
		op := leaderboard.Op{Board: "s", Member: fmt.Sprint("m", i), Score: leaderboard.ScaledDecimal(int64(i*7919%101), 0)}
		if i%50 == 0 {
			op.Data = fmt.Appendf(nil, `{"n":%d}`, i)
		}
		batch.Ops = append(batch.Ops, op)
	}
	for _, store := range stores {
		if _, err := store.CreateBoard(t.Context(), b.WithDefaults()); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

func endSeasonOf(t *testing.T, id string, stores ...leaderboard.Store) {
	t.Helper()
	for _, store := range stores {
		c := leaderboard.BoardChange{ID: id, End: &leaderboard.End{At: start.Add(time.Second)}}
		if _, _, err := store.ChangeBoard(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
}

// TestCloseWhileASeasonBecomesFinal closes a store after each number of parts of a
// final standing, with the commit of the next one under way.
func TestCloseWhileASeasonBecomesFinal(t *testing.T) {
	t.Cleanup(InSmallParts())
	for parts := range 4 {
		t.Run(fmt.Sprint(parts), func(t *testing.T) {
			g, model := newGate(), storetest.NewModel()
			s := openGate(t, g, Options{})
			seasonal(t, leaderboard.Seasons{}, 1000, s, model)
			endSeasonOf(t, "s", model)
			release := g.next()
			var wg sync.WaitGroup
			wg.Go(func() { endSeasonOf(t, "s", s) })
			<-g.held
			for range parts + 1 {
				before := release
				release = g.next()
				close(before)
				<-g.held
			}
			wg.Wait()
			if s.boards["s"].past[0].final {
				t.Error("the season is final already")
			}
			closed := make(chan error)
			go func() { closed <- s.Close() }()
			<-s.finisher.quit
			close(release)
			if err := <-closed; err != nil {
				t.Errorf("Close: %v", err)
			}
			s = openGate(t, g, Options{})
			wantLikeModel(t, s, model)
			AwaitFinal(s)
			wantLikeModel(t, s, model)
			if left := Unfinished(s); left != 0 {
				t.Errorf("%d seasons are not final", left)
			}
		})
	}
}

// TestFullDiskHoldsFinalityBack opens a store with a season that is not final on a disk
// that is full.
func TestFullDiskHoldsFinalityBack(t *testing.T) {
	mem, model := vfs.NewMem(), storetest.NewModel()
	opts := Options{FS: mem, MinFree: 100 << 20, RetryInterval: time.Millisecond}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30})
	s, err := Open(t.Context(), "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	s.finisher.close()
	seasonal(t, leaderboard.Seasons{}, 1000, s, model)
	endSeasonOf(t, "s", s, model)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 99 << 20})
	if s, err = Open(t.Context(), "data", opts); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for s.Writable() == nil {
		runtime.Gosched()
	}
	if left := Unfinished(s); left != 1 {
		t.Errorf("%d seasons are not final, want 1", left)
	}
	wantLikeModel(t, s, model)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30})
	AwaitFinal(s)
	wantLikeModel(t, s, model)
	if left := Unfinished(s); left != 0 || s.boards["s"].past[0].ranks != nil {
		t.Errorf("%d seasons are not final, want none", left)
	}
}

// TestFinalSeasonTakesNothing has a season become final before its grace is over, as it
// would be for one whose clock is far behind.
func TestFinalSeasonTakesNothing(t *testing.T) {
	g := newGate()
	s := openGate(t, g, Options{})
	seasonal(t, leaderboard.Seasons{Grace: 60_000}, 10, s)
	endSeasonOf(t, "s", s)
	late := leaderboard.Batch{At: start.Add(2 * time.Second), Ops: []leaderboard.Op{{Board: "s", Member: "m1", Season: 1, Score: leaderboard.ScaledDecimal(1, 0)}}}
	if _, err := s.Apply(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	AwaitFinal(s)
	if left := Unfinished(s); left != 1 {
		t.Fatalf("%d seasons are not final, want that which takes late scores", left)
	}
	s.finisher.hurry(s.boards["s"].past[0])
	for range 2 {
		AwaitFinal(s)
		if left := Unfinished(s); left != 0 {
			t.Errorf("%d seasons are not final", left)
		}
		if _, err := s.Apply(t.Context(), late); leaderboard.CodeOf(err) != leaderboard.CodeSeasonEnded {
			t.Errorf("Apply: %v, want the code %s", err, leaderboard.CodeSeasonEnded)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openGate(t, g, Options{})
	}
}

// keys returns how many keys of each prefix the database of a closed store has.
func keys(t *testing.T, fs vfs.FS, change func(db *pebble.DB) error) map[byte]int {
	t.Helper()
	db, err := pebble.Open(fs.PathJoin("data", databaseDir), &pebble.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		if err := change(db); err != nil {
			t.Fatal(err)
		}
	}
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[byte]int{}
	for ok := it.First(); ok; ok = it.Next() {
		found[it.Key()[0]]++
	}
	if err := errors.Join(it.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestNothingIsLeftOfWhatIsNotKept looks at the keys after seasons were dropped, and
// after their board was deleted.
func TestNothingIsLeftOfWhatIsNotKept(t *testing.T) {
	g := newGate()
	s := openGate(t, g, Options{})
	seasonal(t, leaderboard.Seasons{Keep: 2}, 600, s)
	for i := range 5 {
		endSeasonOf(t, "s", s)
		if i%2 == 0 {
			AwaitFinal(s)
		}
		if _, err := s.Apply(t.Context(), leaderboard.Batch{At: start, Ops: []leaderboard.Op{{Board: "s", Member: "m"}}}); err != nil {
			t.Fatal(err)
		}
	}
	AwaitFinal(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Two past seasons and the current one, of an entry each, and a block and a directory for each of the past.
	if got := keys(t, g.FS, nil); got[entryPrefix] != 3 || got[pastPrefix] != 2 || got[finalPrefix] != 4 || got[garbagePrefix] != 0 {
		t.Errorf("%v keys are left", got)
	}
	s = openGate(t, g, Options{})
	if err := s.DeleteBoard(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, g.FS, nil); got[entryPrefix]+got[pastPrefix]+got[finalPrefix]+got[garbagePrefix] != 0 || got[boardPrefix] != 1 {
		t.Errorf("%v keys are left of a deleted board", got)
	}
}

// TestOpeningLeapsOverFinalSeasons damages an entry of a season that is final: who opens
// the store does not look at it, and who asks for it is told.
func TestOpeningLeapsOverFinalSeasons(t *testing.T) {
	g := newGate()
	s := openGate(t, g, Options{})
	seasonal(t, leaderboard.Seasons{}, 600, s)
	number := s.boards["s"].number
	endSeasonOf(t, "s", s)
	AwaitFinal(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	keys(t, g.FS, func(db *pebble.DB) error {
		return db.Set(appendEntryKey(nil, number, 1, "m7"), []byte{9}, pebble.Sync)
	})
	s = openGate(t, g, Options{})
	ref := leaderboard.Ref{Board: "s", Season: 1}
	if _, err := s.Lookup(t.Context(), ref, []string{"m8"}); err != nil {
		t.Errorf("Lookup beside the damage: %v", err)
	}
	if _, err := s.Lookup(t.Context(), ref, []string{"m7"}); !errors.Is(err, ErrDamaged) || !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("Lookup of what is damaged: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(db *pebble.DB) error{
		"a season that is missing": func(db *pebble.DB) error { return db.Delete(appendSeasonKey(nil, pastPrefix, number, 1), pebble.Sync) },
		"a season that is cut short": func(db *pebble.DB) error {
			return db.Set(appendSeasonKey(nil, pastPrefix, number, 1), []byte{1, 0}, pebble.Sync)
		},
		"a season that is yet to come": func(db *pebble.DB) error {
			return db.Set(appendSeasonKey(nil, pastPrefix, number, 2), []byte{1, 0}, pebble.Sync)
		},
		"a season of no board": func(db *pebble.DB) error {
			return db.Set(appendSeasonKey(nil, pastPrefix, 99, 1), []byte{1, 0}, pebble.Sync)
		},
	} {
		copied := vfs.NewMem()
		if _, err := vfs.Clone(g.FS, copied, "data", "data"); err != nil {
			t.Fatal(err)
		}
		keys(t, copied, damage)
		if s, err := Open(t.Context(), "data", Options{FS: copied}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want %v", name, err, ErrDamaged)
			if err == nil {
				_ = s.Close()
			}
		}
	}
}

// TestReadersOfASeasonThatIsDropped read it while it becomes final and until it is gone.
func TestReadersOfASeasonThatIsDropped(t *testing.T) {
	s := openGate(t, newGate(), Options{})
	const n = 600
	seasonal(t, leaderboard.Seasons{Keep: 1}, n, s)
	for season := 1; season <= 4; season++ {
		var wg sync.WaitGroup
		var read atomic.Int64
		ref := leaderboard.Ref{Board: "s", Season: season}
		for range 3 {
			wg.Go(func() {
				for {
					page, err := s.Entries(t.Context(), ref, leaderboard.Range{Offset: 250, Limit: 20})
					if err == nil {
						_, err = s.Lookup(t.Context(), ref, []string{"m5", "m50", "nobody"})
					}
					switch {
					case leaderboard.CodeOf(err) == leaderboard.CodeSeasonNotFound:
						return
					case err != nil:
						t.Errorf("read of season %d: %v", season, err)
						return
					case page.Total == n && len(page.Entries) != 20:
						t.Errorf("%d entries of season %d", len(page.Entries), season)
						return
					}
					read.Add(1)
				}
			})
		}
		for read.Load() == 0 && !t.Failed() {
			runtime.Gosched()
		}
		endSeasonOf(t, "s", s)
		AwaitFinal(s)
		for was := read.Load(); read.Load() < was+10 && !t.Failed(); {
			runtime.Gosched()
		}
		endSeasonOf(t, "s", s)
		wg.Wait()
		season++
		batch := leaderboard.Batch{At: start}
		for i := range n {
			batch.Ops = append(batch.Ops, leaderboard.Op{Board: "s", Member: fmt.Sprint("m", i), Score: leaderboard.ScaledDecimal(int64(i), 0)})
		}
		if _, err := s.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}
