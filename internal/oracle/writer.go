package oracle

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"laurel/client"
	"laurel/internal/sim"
)

const (
	retryDelay = 20 * time.Millisecond
	mostBatch  = 20 // submissions in a request
)

// write hands the events of the world, when they are due, to writers, each
// member's to the same one. It returns when the traffic is over; the writers
// then finish what they have.
func (r *run) write(ctx, playing context.Context, world *sim.World, writers *sync.WaitGroup) {
	queues := make([]chan sim.Event, r.opts.Writers)
	for i := range queues {
		queues[i] = make(chan sim.Event, 2*mostBatch) // what piles up while the server is away becomes batches
		writers.Go(func() {
			if err := r.writer(ctx, queues[i]); err != nil && ctx.Err() == nil {
				r.fail(err)
			}
		})
	}
	defer func() {
		for _, q := range queues {
			close(q)
		}
	}()
	start := time.Now()
	for {
		e := world.Next()
		if !pause(playing, time.Until(start.Add(e.At))) {
			return
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(e.Member))
		select {
		case queues[h.Sum32()%uint32(len(queues))] <- e:
		case <-playing.Done():
			return
		}
	}
}

// writer submits its events in their order. What is waiting for the same board
// goes in one request.
func (r *run) writer(ctx context.Context, queue <-chan sim.Event) error {
	var next []sim.Event // taken from the queue
	for {
		if len(next) == 0 {
			select {
			case e, ok := <-queue:
				if !ok {
					return nil
				}
				next = append(next, e)
			case <-ctx.Done():
				return nil
			}
		}
		for more := true; more && len(next) < mostBatch; {
			select {
			case e, ok := <-queue:
				if more = ok; ok {
					next = append(next, e)
				}
			default:
				more = false
			}
		}
		n := 1
		for n < len(next) && next[n].Board == next[0].Board {
			n++
		}
		counts, err := r.lives.in(func() error { return r.submit(ctx, next[:n]) })
		if err != nil && counts {
			return fmt.Errorf("board %q: %w", next[0].Board, err)
		}
		next = next[n:]
	}
}

// submit submits events of one board and sees to it that what became of them is known.
func (r *run) submit(ctx context.Context, events []sim.Event) error {
	book := r.books[events[0].Board]
	steps, err := book.expect(events)
	if err != nil {
		return err
	}
	submissions := make([]client.Submission, len(events))
	for i, e := range events {
		submissions[i] = client.Submission{Member: e.Member, Score: client.Score(e.Score.String())}
		if e.Data != nil {
			submissions[i].Data = e.Data
		}
	}
	for !r.lives.over() {
		moment := r.place.moment()
		book.mu.Lock()
		floor := book.highest
		book.mu.Unlock()
		out, err := r.api.Submit(ctx, book.board.ID, submissions...)
		if err == nil {
			r.count(func(rep *Report) { rep.Acknowledged += len(events) })
			return book.acknowledge(events, steps, out, floor)
		}
		refused, ok := errors.AsType[*client.Error](err)
		switch {
		case !ok || refused.Code == "": // or something in between could not bring the answer
			r.count(func(rep *Report) { rep.Doubted += len(events) })
		case !r.place.excuses(refused):
			return fmt.Errorf("a submission was refused: %w", err)
		}
		// Whoever may have done it, or may still do it, must be gone before anybody
		// looks. It is enough to wait for a while: a fault made the request fail.
		waiting, cancel := context.WithTimeoutCause(ctx, 60*time.Second, fmt.Errorf("a request failed though nothing happened to the server: %w", err))
		err = r.place.over(waiting, moment)
		cancel()
		if err != nil {
			return err
		}
		done, err := book.resolve(ctx, r.api, events, steps)
		if err != nil {
			return err
		}
		if done {
			r.count(func(rep *Report) { rep.Found += len(events) })
			return nil
		}
		if steps, err = book.expect(events); err != nil {
			return err
		}
		pause(ctx, retryDelay)
	}
	return nil
}
