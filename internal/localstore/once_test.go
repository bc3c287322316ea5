package localstore

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"laurel/internal/leaderboard"
)

// named returns a request for a batch with a name.
func named(name string) *request {
	r := plug()
	b := r.batch
	b.Once = name
	r.setBatch(b)
	return r
}

// TestNameIsTakenWhileItsBatchIsUnderWay sends a batch again while the first is on
// its way to the disk, and in the same group as another.
func TestNameIsTakenWhileItsBatchIsUnderWay(t *testing.T) {
	g := newGate()
	s := openGate(t, g, Options{})
	plugged(t, s)
	release := g.next()
	first := named("x")
	plan(t, s, first)
	<-g.held
	rest := []*request{named("x"), named("y"), named("y")}
	plan(t, s, rest...)
	close(release)
	for i, r := range append([]*request{first}, rest...) {
		<-r.done
		if want := i == 1 || i == 3; r.err != nil || r.outcome.Repeated != want {
			t.Errorf("batch %d: repeated = %v, %v; want %v", i, r.outcome.Repeated, r.err, want)
		}
	}
}

// TestNameIsFreeAfterAFailedCommit sends batches again that were refused because
// the disk failed, one of which may have reached it.
func TestNameIsFreeAfterAFailedCommit(t *testing.T) {
	g := newGate()
	s := openGate(t, g, Options{RetryInterval: time.Millisecond})
	plugged(t, s)
	release := g.next()
	refused := []*request{named("x"), named("y")}
	plan(t, s, refused[0])
	<-g.held
	plan(t, s, refused[1])
	release <- syscall.EIO
	for _, r := range refused {
		<-r.done
		if !errors.Is(r.err, leaderboard.ErrStorageUnavailable) {
			t.Fatalf("%v, want %v", r.err, leaderboard.ErrStorageUnavailable)
		}
	}
	for s.Writable() != nil {
		runtime.Gosched()
	}
	for _, want := range []bool{false, true} {
		for _, name := range []string{"x", "y"} {
			r := named(name)
			plan(t, s, r)
			<-r.done
			if r.err != nil || r.outcome.Repeated != want {
				t.Errorf("%s: repeated = %v, %v; want %v", name, r.outcome.Repeated, r.err, want)
			}
		}
	}
}

func TestOldNamesAreForgotten(t *testing.T) {
	s, err := Open(t.Context(), "data", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	plugged(t, s)
	const days = 5
	for day := range days {
		r := named("x")
		r.batch.At = start.Add(time.Duration(2*day) * leaderboard.OnceTTL)
		outcome, err := s.Apply(context.Background(), r.batch)
		if err != nil || outcome.Repeated {
			t.Fatalf("day %d: %+v, %v", day, outcome, err)
		}
	}
	it, err := s.disk.db.NewIter(&pebble.IterOptions{LowerBound: []byte{oncePrefix}, UpperBound: []byte{oncePrefix + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	names := 0
	for ok := it.First(); ok; ok = it.Next() {
		names++
	}
	if names != 1 {
		t.Errorf("%d names are kept of %d days, want that of the last", names, days)
	}
}
