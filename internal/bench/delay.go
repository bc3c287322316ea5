package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// othersRate is how many submits a second come in beside the one whose way is timed.
const othersRate = 5000

// delays are the times from sending a score, to the answer and to a viewer's message.
type delays struct{ answer, message []time.Duration }

func measureDelay(ctx context.Context, b *bench) (err error) {
	const boardMembers = 1000
	boards := map[string]int{benchBoard: boardMembers}
	others := []string{"other-1", "other-2", "other-3", "other-4"}
	for _, id := range others {
		boards[id] = boardMembers
	}
	dir := b.newDir()
	if err := fill(ctx, dir, boards); err != nil {
		return err
	}
	p, err := b.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	v, err := watch(ctx, p, benchBoard)
	if err != nil {
		return err
	}
	defer v.close()

	const interval = 100 * time.Millisecond
	for _, c := range []struct {
		what   string
		boards []string // that the others' submits are for
		pause  func() time.Duration
		target float64 // ms, of the p99; 0: none
	}{
		// The board is quiet: its window has closed when the next score comes.
		{"score to message, alone", nil, func() time.Duration { return interval + 10*time.Millisecond + rand.N(30*time.Millisecond) }, 100},
		{"beside 5,000/s on other boards", others, func() time.Duration { return interval + 10*time.Millisecond + rand.N(30*time.Millisecond) }, 100},
		// At any moment of the window.
		{"beside 5,000/s on the same board", []string{benchBoard}, func() time.Duration { return interval/2 + rand.N(interval) }, 0},
	} {
		var d delays
		var achieved float64
		if c.boards == nil {
			d, err = trace(ctx, p, v, benchBoard, b.size.samples, c.pause)
		} else {
			d, achieved, err = b.traceUnder(ctx, p, v, c.boards, boardMembers, c.pause)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		beside := func(q float64) string { return span(quantile(d.answer, q)) + " until the answer" }
		p50, p99 := quantile(d.message, 0.5), quantile(d.message, 0.99)
		p99Row := row{what: "  p99 of " + fmt.Sprint(len(d.message)), ours: span(p99), yardstick: beside(0.99), ratio: float64(p99) / float64(quantile(d.answer, 0.99))}
		if c.target > 0 {
			p99Row.target = atMost(float64(p99)/1e6, c.target, " ms")
		}
		b.row(row{what: c.what + ": p50", ours: span(p50), yardstick: beside(0.5), ratio: float64(p50) / float64(quantile(d.answer, 0.5))})
		b.row(p99Row)
		if c.boards != nil {
			b.notef("the others: %s of %s offered, in requests of one score over 64 connections", rate(achieved), rate(othersRate))
		}
	}
	b.notef("a quiet board publishes at once; a busy one when its interval of %s ends, which is up to that long after a score", span(interval))
	return nil
}

// traceUnder traces while others submit to boards, and returns how many they did
// a second.
func (b *bench) traceUnder(ctx context.Context, p *process, v *viewer, boards []string, members int, pause func() time.Duration) (delays, float64, error) {
	rng := rand.New(rand.NewPCG(3, 0))
	requests := make([][]byte, 4096)
	for i := range requests {
		requests[i] = single(p, boards[i%len(boards)], memberName(1+rng.IntN(members-1)), 1+rng.Int64N(30))
	}
	pl, err := newPool(ctx, p, 64, requests)
	if err != nil {
		return delays{}, 0, err
	}
	defer pl.close()
	o := &openLoop{pool: pl, rate: othersRate}
	loading, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var loadErr error
	wg.Go(func() { loadErr = o.run(loading) })
	d, err := trace(ctx, p, v, benchBoard, b.size.samples, pause)
	stop()
	wg.Wait()
	total, _ := o.stats()
	return d, total.rate(), errors.Join(err, loadErr)
}

// trace sends so many scores one after the other, and waits for each until the
// viewer has a table with it. With a context that ends it returns those it has
// and the context's error.
func trace(ctx context.Context, p *process, v *viewer, board string, samples int, pause func() time.Duration) (d delays, err error) {
	c, err := dial(context.WithoutCancel(ctx), p.addr)
	if err != nil {
		return d, err
	}
	defer c.Close()
	request := single(p, board, memberName(0), 1) // which changes the top
	for range samples {
		if err := sleep(ctx, pause()); err != nil {
			return d, err
		}
		start := time.Now()
		answer, err := c.do(request)
		if err != nil {
			return d, err
		}
		answered := time.Since(start)
		rev, err := revOf(answer)
		if err != nil {
			return d, err
		}
		at, err := v.await(ctx, rev)
		if err != nil {
			return d, err
		}
		d.answer = append(d.answer, answered)
		d.message = append(d.message, at.Sub(start))
	}
	return d, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
