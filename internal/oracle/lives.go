package oracle

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// lives lets the books begin anew when a fault has taken from the store what it
// had acknowledged, though writers are in the midst of requests.
type lives struct {
	gate sync.RWMutex // held by whoever makes a request
	n    atomic.Int64 // odd while what comes of requests is not to be known
}

// in makes a request, and reports whether what became of it counts.
func (l *lives) in(request func() error) (counts bool, err error) {
	l.gate.RLock()
	defer l.gate.RUnlock()
	n := l.n.Load()
	err = request()
	return n%2 == 0 && l.n.Load() == n, err
}

// over reports whether nothing that comes of the requests under way counts.
func (l *lives) over() bool { return l.n.Load()%2 == 1 }

// changed reports whether the store has ever lost something.
func (l *lives) changed() bool { return l.n.Load() > 0 }

// anew loses what there is while requests are under way, waits for their end,
// which does not count, and then lets the books learn what there is now.
func (r *run) anew(ctx context.Context, lose func(), learn func(context.Context, *book) error) error {
	r.lives.n.Add(1)
	var locking sync.WaitGroup
	locking.Go(r.lives.gate.Lock) // from now on none begins
	lost := false
	defer func() {
		if !lost {
			r.fail(errors.New("a fault could not be made")) // the test says why
		}
		locking.Wait()
		r.lives.gate.Unlock()
	}()
	lose()
	lost = true
	locking.Wait()
	for _, b := range r.books {
		if err := learn(ctx, b); err != nil {
			return err
		}
	}
	r.lives.n.Add(1)
	return nil
}
