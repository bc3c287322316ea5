package localstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// TestGroupIsLikeOneAfterTheOther holds the committer in a commit, lets random
// requests gather behind it, and compares what they are answered as one group
// with what a model answers to one after the other. Many of them fail, some
// after a part of their batch was planned, and must leave no trace for the next.
func TestGroupIsLikeOneAfterTheOther(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	var (
		hold = make(chan chan struct{}, 1) // gets what a sync is to wait for
		held = make(chan struct{})
	)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileSyncData {
			return nil
		}
		select {
		case release := <-hold:
			held <- struct{}{}
			<-release
		default:
		}
		return nil
	}))
	s, err := Open(t.Context(), "data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	model := storetest.NewModel()
	clock := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	plug := leaderboard.Board{ID: "plug"}.WithDefaults()
	plug.CreatedAt = clock
	for _, store := range []leaderboard.Store{s, model} {
		if _, err := store.CreateBoard(t.Context(), plug); err != nil {
			t.Fatal(err)
		}
	}
	failed, largest := 0, 0
	for range 150 {
		release := make(chan struct{})
		hold <- release
		clock = clock.Add(time.Second)
		first := newRequest(applyBatch)
		first.batch = leaderboard.Batch{At: clock, Ops: []leaderboard.Op{{Board: "plug", Member: "m"}}}
		push(t, s, first)
		<-held
		group := []*request{first}
		for range 1 + rng.IntN(12) {
			r := randomRequest(rng, clock)
			push(t, s, r)
			group = append(group, r)
		}
		close(release)
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
		if t.Failed() {
			return
		}
		largest = max(largest, len(group))
	}
	if failed < 50 || largest < 8 {
		t.Errorf("%d requests failed and the largest group had %d, want more", failed, largest)
	}
}

var likeModel = cmp.Options{cmpopts.IgnoreFields(leaderboard.View{}, "Epoch"), cmpopts.EquateEmpty()}

func push(t *testing.T, s *Store, r *request) {
	t.Helper()
	if err := s.queue.push(r); err != nil {
		t.Fatal(err)
	}
}

func randomRequest(rng *rand.Rand, at time.Time) *request {
	id := func() string { return []string{"a", "b"}[rng.IntN(2)] }
	switch rng.IntN(10) {
	case 0, 1:
		r := newRequest(createBoard)
		r.board = leaderboard.Board{
			ID:        id(),
			Policy:    []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest}[rng.IntN(3)],
			Order:     []leaderboard.Order{leaderboard.Ascending, leaderboard.Descending}[rng.IntN(2)],
			Ties:      []leaderboard.Ties{leaderboard.Earliest, leaderboard.LatestTie}[rng.IntN(2)],
			RankStyle: []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition}[rng.IntN(2)],
		}.WithDefaults()
		r.board.CreatedAt = at
		return r
	case 2:
		r := newRequest(deleteBoard)
		r.id = id()
		return r
	case 3:
		r := newRequest(patchBoard)
		style := []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, "none"}[rng.IntN(3)]
		r.id, r.patch = id(), leaderboard.Patch{RankStyle: &style}
		return r
	}
	r := newRequest(applyBatch)
	r.batch.At = at
	for range 1 + rng.IntN(5) {
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
