package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

func measurePublish(ctx context.Context, b *bench) (err error) {
	const viewers = 10 // of each board
	id := func(n int) string { return fmt.Sprint("of-", n) }
	boards := map[string]int{}
	for _, n := range b.size.boards {
		boards[id(n)] = n
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
	c, err := dial(ctx, p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	watching := map[int][]*viewer{}
	for _, n := range b.size.boards {
		if watching[n], err = watchAll(ctx, p, id(n), viewers); err != nil {
			return err
		}
		defer closeAll(watching[n])
	}

	costs := map[int][]time.Duration{} // the mean of each turn
	for range b.size.rounds {
		for _, n := range b.size.boards {
			before, err := p.metrics(ctx)
			if err != nil {
				return err
			}
			for range b.size.published {
				answer, err := c.do(single(p, id(n), memberName(0), 1))
				if err != nil {
					return err
				}
				rev, err := revOf(answer)
				if err != nil {
					return err
				}
				if _, err := watching[n][0].await(ctx, rev); err != nil {
					return err
				}
				if err := sleep(ctx, 105*time.Millisecond); err != nil { // until the window closes
					return err
				}
			}
			after, err := p.metrics(ctx)
			if err != nil {
				return err
			}
			mean, count := after.mean("laurel_feed_publish_seconds", before)
			if count == 0 {
				return fmt.Errorf("the server counts no publications of board %s", id(n))
			}
			costs[n] = append(costs[n], time.Duration(mean*float64(time.Second)))
		}
	}
	first := b.size.boards[0]
	base := median(costs[first])
	for _, n := range b.size.boards {
		cost := median(costs[n])
		r := row{what: fmt.Sprintf("a publication at %s members", members(n)), ours: span(cost)}
		if n != first {
			r.yardstick = span(base) + " at " + members(first)
			r.ratio = float64(cost) / float64(base)
			r.target = atMost(r.ratio, 1.5, "")
		}
		b.row(r)
	}
	b.notef("to read, encode and hand out a top of %d to %d viewers; median of %d turns", topMembers, viewers, b.size.rounds)
	return nil
}
