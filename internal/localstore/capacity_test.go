package localstore_test

import (
	"errors"
	"fmt"
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
)

// A disk that fails under writers takes back what was planned of a full board, so that
// the next to fall off is the right one again.
func TestFullBoardsSurviveADiskThatFails(t *testing.T) {
	var failing atomic.Bool
	var fired atomic.Int64
	events := newEvents()
	s := open(t, dataDir, options(wrap(vfs.NewCrashableMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpCreate) {
			fired.Add(1)
			return syscall.EIO
		}
		return nil
	})), events))
	defer shut(t, s)
	model := storetest.NewModel()
	settings := leaderboard.Board{ID: "race", Policy: leaderboard.Best, MaxEntries: 10}
	create(t, s, settings)
	created, err := s.Board(t.Context(), settings.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := model.CreateBoard(t.Context(), created.Board); err != nil {
		t.Fatal(err)
	}
	next := 0
	both := func(n int) {
		t.Helper()
		for range n {
			next++
			batch := one("race", fmt.Sprintf("m%d", next), int64(next*37%101))
			batch.At = batch.At.UTC().Truncate(time.Millisecond)
			want, wantErr := model.Apply(t.Context(), batch)
			got, err := s.Apply(t.Context(), batch)
			if wantErr != nil || err != nil || want.Results[0].Accepted != got.Results[0].Accepted || want.Boards[0].Total != got.Boards[0].Total {
				t.Fatalf("%+v and %v, want %+v and %v", got, err, want, wantErr)
			}
		}
	}
	for round := range 5 {
		both(20)
		failing.Store(true)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				_, err := s.Apply(t.Context(), one("race", fmt.Sprintf("lost%d.%d", round, w), int64(500+w)))
				if !errors.Is(err, leaderboard.ErrStorageUnavailable) {
					t.Errorf("Apply on a failing disk: %v", err)
				}
			})
		}
		wg.Wait()
		failing.Store(false)
		await(t, events.back, "the disk")
		both(20)
		want, wantErr := model.Entries(t.Context(), leaderboard.Ref{Board: "race"}, leaderboard.Range{Limit: 100})
		got, err := s.Entries(t.Context(), leaderboard.Ref{Board: "race"}, leaderboard.Range{Limit: 100})
		want.Epoch = got.Epoch
		if diff := cmp.Diff(want, got); diff != "" || err != nil || wantErr != nil {
			t.Fatalf("%v, %v (-model +store):\n%s", err, wantErr, diff)
		}
	}
	if fired.Load() == 0 {
		t.Fatal("the disk never failed")
	}
}
