package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"laurel/internal/leaderboard"
)

const (
	// lanes is how many calls of a partition may be under way: while Redis
	// carries out one, the next one is put together.
	lanes = 2

	// maxGathered is how many operations are gathered into one call, which Redis
	// is busy with for about ten microseconds each. One batch may have more,
	// leaderboard.MaxBatch, as it cannot be divided.
	maxGathered = 256
)

// lane makes calls that change a partition, one after the other. It numbers
// them, and the server keeps the answer to the last one: so a call may be made
// again when its answer has not come, and is carried out once.
type lane struct {
	partition *partition
	key       string
	number    uint64

	// Used again and again by the lanes of batches.

	encoder encoder
	group   []*request
	batches []leaderboard.Batch
	keys    []string
	args    []string
}

func newLane(p *partition, name string) *lane {
	return &lane{partition: p, key: p.answer(p.store.session + "." + name), encoder: encoder{store: p.store}}
}

var errTooLate = errors.New("the server's clock has moved")

// call runs a script with the lane's next number. args[0] is left for the call.
// Behind the deadline that the script is given, and which is over when the call
// returns, it does nothing: what was given up does not happen later.
func (l *lane) call(ctx context.Context, id script, keys, args []string) (string, error) {
	p := l.partition
	l.number++
	if t := p.trouble.Load(); t != nil && t.away {
		return "", t.err
	}
	limited, cancel := context.WithTimeout(ctx, p.store.opts.Timeout)
	defer cancel()
	end := p.store.now() + p.store.opts.Timeout.Microseconds()
	for {
		head := binary.BigEndian.AppendUint64(nil, l.number)
		head = binary.BigEndian.AppendUint64(head, uint64(end+p.clock.Load()))
		args[0] = string(head)
		message, err := p.evalUntil(ctx, limited, id, keys, args)
		if err != nil {
			return "", err
		}
		answer, err := message.ToString()
		if err != nil || answer == "" {
			return "", fmt.Errorf("%s: script %s: %w", p, id, errAnswer)
		}
		switch answer[0] {
		case 'L': // the clock was estimated as it was some time ago
			r := reader{rest: answer[1:]}
			p.heard(int64(r.uint64()))
			if limited.Err() != nil {
				return "", p.away(errTooLate)
			}
		case 'S':
			return "", fmt.Errorf("%s: script %s: a later call of this lane has been answered", p, id)
		default:
			p.well(true)
			return answer, nil
		}
	}
}

// run carries out what is in the partition's queue, until it is closed.
func (l *lane) run() {
	for {
		l.group = l.partition.queue.take(maxGathered, l.group)
		if len(l.group) == 0 {
			return
		}
		l.carryOut()
		clear(l.group)
	}
}

// carryOut carries out the requests of the group.
func (l *lane) carryOut() {
	waiting := l.group[:0]
	for _, r := range l.group {
		if err := r.ctx.Err(); err != nil {
			r.answer(leaderboard.Outcome{}, err)
			continue
		}
		waiting = append(waiting, r)
	}
	for len(waiting) > 0 {
		waiting = l.attempt(waiting)
	}
}

// attempt makes one call for requests, and returns those that have to be tried
// again: with other settings, or in a call of their own.
func (l *lane) attempt(requests []*request) (again []*request) {
	l.batches = l.batches[:0]
	l.encoder.reset()
	var apart []*request
	taken := requests[:0]
	for _, r := range requests {
		switch err := l.encoder.take(&r.batch); {
		case err == nil:
			taken = append(taken, r)
			l.batches = append(l.batches, r.batch)
		case errors.Is(err, errApart):
			apart = append(apart, r)
		default:
			r.answer(leaderboard.Outcome{}, err)
		}
	}
	if len(taken) == 0 {
		return apart
	}
	p := l.partition
	l.keys = append(l.keys[:0], p.meta, p.log, l.key)
	l.args = append(l.args[:0], "", p.store.logCap)
	l.keys, l.args = l.encoder.encode(&p.keys, l.batches, l.keys, l.args)

	start := time.Now()
	answer, err := l.call(context.Background(), scriptApply, l.keys, l.args)
	clear(l.args)
	p.store.metrics.observe(time.Since(start), len(l.encoder.ops))
	if err == nil {
		r := reader{rest: answer[1:]}
		var epoch string
		if epoch, err = p.readHead(&r); err == nil {
			err = l.encoder.readBoards(&r)
		}
		if err == nil {
			return append(apart, l.answer(&r, epoch, taken)...)
		}
	}
	for _, r := range taken {
		r.answer(leaderboard.Outcome{}, err)
	}
	return apart
}

// readHead reads how the answer of a change begins, and notes what it tells of
// the clock and of the log.
func (p *partition) readHead(r *reader) (epoch string, err error) {
	epoch, us := r.head()
	at := position{us: r.uint64(), n: r.uint64()}
	if r.bad {
		return "", fmt.Errorf("%s: %w", p, errAnswer)
	}
	p.heard(us)
	p.changes.known(epoch, at)
	return epoch, nil
}

// answer answers requests with what became of them.
func (l *lane) answer(r *reader, epoch string, requests []*request) (again []*request) {
	first := 0
	for _, request := range requests {
		outcome, err := l.encoder.readOutcome(r, epoch, request.batch, first)
		first += len(request.batch.Ops)
		if errors.Is(err, errStale) {
			again = append(again, request)
			continue
		}
		if _, ok := errors.AsType[*spreadError](err); ok {
			err = leaderboard.ErrOnceReused // as a batch over several partitions, and so another one
		}
		request.answer(outcome, err)
	}
	return again
}

// apply carries out a batch of the partition's boards.
func (p *partition) apply(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	if t := p.trouble.Load(); t != nil && t.away {
		return leaderboard.Outcome{}, t.err
	}
	for attempts := 0; ; attempts++ {
		r := &request{ctx: ctx, batch: batch, done: make(chan result, 1)}
		if !p.queue.put(r) {
			return leaderboard.Outcome{}, errClosed
		}
		var done result
		select {
		case done = <-r.done:
		case <-ctx.Done():
			return leaderboard.Outcome{}, ctx.Err()
		}
		if due, ok := errors.AsType[*dueError](done.err); ok {
			outcome, err := p.recallBatch(ctx, batch)
			if err == nil && !outcome.Repeated {
				err = p.endDue(ctx, due.board, batch.At)
			}
			if _, spread := errors.AsType[*spreadError](err); spread {
				err = leaderboard.ErrOnceReused // as a batch over several partitions, and so another one
			}
			if err != nil || outcome.Repeated {
				return outcome, err
			}
			continue
		}
		locked, ok := errors.AsType[*lockedError](done.err)
		if !ok {
			return done.outcome, done.err
		}
		if err := p.unlock(ctx, locked.lock, attempts); err != nil {
			return leaderboard.Outcome{}, err
		}
	}
}

func laneName(i int) string { return strconv.Itoa(i) }
