package localstore_test

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"laurel/internal/leaderboard"
)

// What a disk that fails does not take counts as no submission.
func TestSubmitsThatTheDiskRefusesAreNotCounted(t *testing.T) {
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
	create(t, s, leaderboard.Board{ID: "race", SubmitsPerMinute: 3})
	at := time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
	batch := one("race", "alice", 1)
	batch.At = at
	if _, err := s.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	for range 4 {
		if _, err := s.Apply(t.Context(), batch); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
			t.Fatalf("Apply on a failing disk: %v", err)
		}
	}
	if fired.Load() == 0 {
		t.Fatal("the disk never failed")
	}
	failing.Store(false)
	await(t, events.back, "the disk")
	for range 2 {
		if _, err := s.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Apply(t.Context(), batch); !errors.Is(err, leaderboard.ErrTooManySubmits) {
		t.Errorf("the fourth that was carried out: %v", err)
	}
}
