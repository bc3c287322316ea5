package redisstore

import (
	"context"
	"sync"

	"laurel/internal/leaderboard"
)

// request is a batch of one partition that waits to be carried out.
type request struct {
	ctx   context.Context //nolint:containedctx // whoever waits: nobody is to work for one who has gone
	batch leaderboard.Batch
	done  chan result // holds the one result, so that nobody waits to hand it over
}

type result struct {
	outcome leaderboard.Outcome
	err     error
}

func (r *request) answer(outcome leaderboard.Outcome, err error) { r.done <- result{outcome, err} }

// queue holds the requests that arrived while the lanes were busy.
type queue struct {
	mu      sync.Mutex // guards all that follows
	some    sync.Cond
	waiting []*request
	closed  bool
}

func (q *queue) init() { q.some.L = &q.mu }

// put adds a request; it returns false if the queue is closed.
func (q *queue) put(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, r)
	q.some.Signal()
	return true
}

// take waits for requests and takes as many as make up at most limit
// operations, but one at least. It returns none when the queue is closed and
// empty.
func (q *queue) take(limit int, into []*request) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.some.Wait()
	}
	into = into[:0]
	for len(q.waiting) > 0 {
		r := q.waiting[0]
		if len(into) > 0 && len(r.batch.Ops) > limit {
			break
		}
		limit -= len(r.batch.Ops)
		into = append(into, r)
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
	}
	if len(q.waiting) > 0 {
		q.some.Signal()
	}
	return into
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}
