package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

func measureRestart(ctx context.Context, b *bench) error {
	var perEntry float64 // of the first size
	for i, n := range b.size.restarts {
		dir := b.newDir()
		began := time.Now()
		if err := fill(ctx, dir, map[string]int{benchBoard: n}); err != nil {
			return err
		}
		filled := time.Since(began)
		var started, opened []time.Duration
		for range 3 {
			p, err := b.serve(ctx, dir)
			if err != nil {
				return err
			}
			if err := p.stop(); err != nil {
				return err
			}
			started, opened = append(started, p.started), append(opened, p.opened)
		}
		took := median(started)
		r := row{what: fmt.Sprintf("start to listening, %s members", members(n)), ours: span(took)}
		if i == 0 {
			perEntry = float64(took) / float64(n)
		} else {
			r.yardstick = span(time.Duration(perEntry*float64(n))) + " as many times the first"
			r.ratio = float64(took) / float64(n) / perEntry
		}
		b.row(r)
		b.row(row{what: "  of that the store", ours: span(median(opened))})
		b.notef("median of 3; %s members were written in %s by batches of 10,000: %s", members(n), span(filled), rate(float64(n)/filled.Seconds()))
		if i == 0 {
			if err := b.restartAfterKill(ctx, dir, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// restartAfterKill ends the server in the middle of its work, so that the next
// start has a log to read.
func (b *bench) restartAfterKill(ctx context.Context, dir string, n int) error {
	p, err := b.serve(ctx, dir)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(4, 0))
	requests := make([][]byte, 64)
	for i := range requests {
		requests[i] = batch(p, benchBoard, 1000, func() (string, int64) { return memberName(rng.IntN(n)), rng.Int64N(30) })
	}
	pl, err := newPool(ctx, p, 4, requests)
	if err != nil {
		return errors.Join(err, p.kill())
	}
	defer pl.close()
	t, err := pl.closedLoop(ctx, b.size.turn)
	if err := errors.Join(err, p.kill()); err != nil {
		return err
	}
	p, err = b.serve(ctx, dir)
	if err != nil {
		return err
	}
	b.row(row{what: "  after kill -9 under load", ours: span(p.started)})
	b.notef("before the kill, %s by HTTP batches of 1,000 over 4 connections", rate(1000*t.rate()))
	return p.stop()
}
