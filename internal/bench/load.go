package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

const (
	loadBatch       = 100 // submissions in a request
	loadConnections = 16

	// One of so many submissions is for a member of the top; the others are for
	// anybody. Otherwise a top of 100 would stand still on a board of a million.
	topShare = 100
)

func measureLoad(ctx context.Context, b *bench) (err error) {
	n := b.size.members
	dir := b.newDir()
	if err := fill(ctx, dir, map[string]int{benchBoard: n}); err != nil {
		return err
	}
	p, err := b.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	viewers, err := watchAll(ctx, p, benchBoard, b.size.viewers)
	if err != nil {
		return err
	}
	defer closeAll(viewers)
	pl, err := newPool(ctx, p, loadConnections, loadRequests(p, n))
	if err != nil {
		return err
	}
	defer pl.close()

	liveBefore, err := p.use(ctx)
	if err != nil {
		return err
	}
	o := &openLoop{pool: pl, rate: b.size.rate / loadBatch}
	loading, stop := context.WithTimeout(ctx, b.size.load)
	defer stop()
	var wg sync.WaitGroup
	var loadErr, traceErr error
	var d delays
	start := time.Now()
	wg.Go(func() { loadErr = o.run(loading) })
	wg.Go(func() {
		pause := func() time.Duration { return 50*time.Millisecond + rand.N(100*time.Millisecond) }
		if d, traceErr = trace(loading, p, viewers[0], benchBoard, math.MaxInt, pause); errors.Is(traceErr, loading.Err()) {
			traceErr = nil
		}
	})
	looks, err := b.watchLoad(loading, p, o, viewers, liveBefore.resident)
	wg.Wait()
	end := time.Now()
	if err := errors.Join(err, loadErr, traceErr); err != nil {
		return err
	}
	liveAfter, err := p.use(ctx)
	if err != nil {
		return err
	}
	total, late := o.stats()

	b.row(row{
		what: fmt.Sprintf("submits a second, %s members, %d viewers", members(n), len(viewers)),
		ours: rate(total.rate() * loadBatch), yardstick: rate(b.size.rate) + " offered",
		ratio: total.rate() * loadBatch / b.size.rate, target: atLeast(total.rate()*loadBatch/b.size.rate, 0.95),
	})
	var seen []float64
	for _, v := range viewers {
		seen = append(seen, float64(v.count(start, end))/end.Sub(start).Seconds())
	}
	const atInterval = 10.0 // a second
	b.row(row{
		what: "publications a second at a viewer, median", ours: fmt.Sprintf("%.2f/s", median(seen)),
		yardstick: fmt.Sprintf("%.0f/s: 1/interval", atInterval), ratio: median(seen) / atInterval, target: atLeast(median(seen)/atInterval, 0.9),
	})
	b.row(row{
		what: "  at the worst served viewer", ours: fmt.Sprintf("%.2f/s", quantile(seen, 0)),
		yardstick: fmt.Sprintf("%.0f/s: 1/interval", atInterval), ratio: quantile(seen, 0) / atInterval, target: atLeast(quantile(seen, 0)/atInterval, 0.9),
	})
	b.row(row{what: "score to message: p50", ours: span(median(d.message)), yardstick: span(median(d.answer)) + " until the answer"})
	b.row(row{what: fmt.Sprintf("  p99 of %d", len(d.message)), ours: span(quantile(d.message, 0.99)), yardstick: span(quantile(d.answer, 0.99)) + " until the answer"})
	b.row(row{what: "answer to a batch: p50", ours: span(median(total.latencies))})
	b.row(row{what: "  p99", ours: span(quantile(total.latencies, 0.99))})
	last := looks[len(looks)-1]
	early := last
	for _, l := range looks {
		if l.at >= b.size.warm && l.at < early.at {
			early = l
		}
	}
	b.row(row{
		what: "resident memory at the end", ours: size(last.resident), yardstick: fmt.Sprintf("%s after %.0f s", size(early.resident), early.at.Seconds()),
		ratio: last.resident / early.resident, target: atMost(last.resident/early.resident, 1.1, ""),
	})
	b.row(row{
		what: "memory in use at the end", ours: size(liveAfter.live), yardstick: size(liveBefore.live) + " at the start",
		ratio: liveAfter.live / liveBefore.live, target: atMost(liveAfter.live/liveBefore.live, 1.1, ""),
	})
	for _, l := range looks {
		b.notef("%4.0f s: %s resident, %s, %.1f publications/s, server %.2f cores, load tool and viewers %.2f",
			l.at.Seconds(), size(l.resident), rate(l.submits), l.publications, l.server, l.tool)
	}
	b.notef("offered by HTTP batches of %d over %d connections, one submission in %d for the top; %d batches not offered because none was free for a second",
		loadBatch, loadConnections, topShare, late)
	return nil
}

func loadRequests(p *process, n int) [][]byte {
	rng := rand.New(rand.NewPCG(5, 0))
	requests := make([][]byte, 2000)
	for i := range requests {
		requests[i] = batch(p, benchBoard, loadBatch, func() (string, int64) {
			member := rng.IntN(n)
			if rng.IntN(topShare) == 0 {
				member = rng.IntN(topMembers)
			}
			return memberName(member), 1 + rng.Int64N(30)
		})
	}
	return requests
}

// look is what the load does at a moment, and did since the last one.
type look struct {
	at           time.Duration // since the start
	resident     float64
	submits      float64 // a second
	publications float64 // a second at the median viewer
	server, tool float64 // cores
}

// watchLoad looks at the load until the context ends.
func (b *bench) watchLoad(ctx context.Context, p *process, o *openLoop, viewers []*viewer, resident float64) ([]look, error) {
	looks := []look{{resident: resident}}
	start := time.Now()
	last := start
	var answered int
	serverBefore, err := p.cpu()
	if err != nil {
		return nil, err
	}
	toolBefore, err := cpu(os.Getpid())
	if err != nil {
		return nil, err
	}
	for ended := false; !ended; {
		ended = sleep(ctx, b.size.interval) != nil
		now := time.Now()
		span := now.Sub(last)
		if ended && span < b.size.interval/2 {
			return looks, nil
		}
		l := look{at: now.Sub(start)}
		if l.resident, err = p.resident(); err != nil {
			return nil, err
		}
		server, err := p.cpu()
		if err != nil {
			return nil, err
		}
		tool, err := cpu(os.Getpid())
		if err != nil {
			return nil, err
		}
		total, _ := o.stats()
		l.submits = float64(total.requests-answered) * loadBatch / span.Seconds()
		var seen []float64
		for _, v := range viewers {
			seen = append(seen, float64(v.count(last, now))/span.Seconds())
		}
		l.publications = median(seen)
		l.server, l.tool = (server-serverBefore).Seconds()/span.Seconds(), (tool-toolBefore).Seconds()/span.Seconds()
		last, answered, serverBefore, toolBefore = now, total.requests, server, tool
		looks = append(looks, l)
	}
	return looks, nil
}
