package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

func measureMemory(ctx context.Context, b *bench) error {
	empty, err := b.entries(ctx, nil)
	if err != nil {
		return err
	}
	n := b.size.members
	full, err := b.entries(ctx, map[string]int{benchBoard: n})
	if err != nil {
		return err
	}
	b.row(row{what: fmt.Sprintf("bytes an entry, whole process, %s members", members(n)), ours: fmt.Sprintf("%.1f B", (full.live-empty.live)/float64(n))})
	b.row(row{what: "  resident memory an entry after the start", ours: fmt.Sprintf("%.1f B", (full.resident-empty.resident)/float64(n))})
	b.notef("without entries the process has %s in use and %s resident; with them %s and %s", size(empty.live), size(empty.resident), size(full.live), size(full.resident))
	return b.idle(ctx)
}

// use is the memory of a process.
type use struct {
	live     float64 // on the heap and on stacks, without garbage
	resident float64
}

func (u use) less(other use, n int) use {
	return use{(u.live - other.live) / float64(n), (u.resident - other.resident) / float64(n)}
}

func (p *process) use(ctx context.Context) (u use, err error) {
	if u.live, err = p.live(ctx); err == nil {
		u.resident, err = p.resident()
	}
	return u, err
}

// entries returns what a server uses that has just started with boards.
func (b *bench) entries(ctx context.Context, boards map[string]int) (u use, err error) {
	dir := b.newDir()
	if err := fill(ctx, dir, boards); err != nil {
		return use{}, err
	}
	p, err := b.serve(ctx, dir)
	if err != nil {
		return use{}, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return p.use(ctx)
}

// idle measures connections on which nothing happens: of viewers, beside those of
// HTTP clients to a bare net/http server.
func (b *bench) idle(ctx context.Context) (err error) {
	n := b.size.connections
	dir := b.newDir()
	if err := fill(ctx, dir, map[string]int{benchBoard: 1000}); err != nil {
		return err
	}
	p, err := b.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	bare, err := b.yardstick(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()

	before, err := p.use(ctx)
	if err != nil {
		return err
	}
	viewers, err := watchAll(ctx, p, benchBoard, n)
	if err != nil {
		return err
	}
	defer closeAll(viewers)
	after, err := p.use(ctx)
	if err != nil {
		return err
	}
	ours := after.less(before, n)

	if before, err = bare.bareUse(ctx); err != nil {
		return err
	}
	pl, err := newPool(ctx, bare, n, [][]byte{single(bare, benchBoard, memberName(0), 1)})
	if err != nil {
		return err
	}
	defer pl.close()
	for _, c := range pl.conns {
		if _, err := c.do(pl.requests[0]); err != nil {
			return err
		}
	}
	if after, err = bare.bareUse(ctx); err != nil {
		return err
	}
	theirs := after.less(before, n)

	b.row(row{
		what: "bytes an idle WebSocket viewer", ours: size(ours.live), yardstick: size(theirs.live) + " idle HTTP connection",
		ratio: ours.live / theirs.live,
	})
	b.row(row{what: "  resident memory", ours: size(ours.resident), yardstick: size(theirs.resident), ratio: ours.resident / theirs.resident})
	b.notef("%s connections each; a viewer has subscribed to a board with deltas and has its table", grouped(float64(n)))
	return nil
}

// bareUse is use for the bare handler, which tells by itself.
func (p *process) bareUse(ctx context.Context) (u use, err error) {
	text, err := get(ctx, "http://"+p.addr+"/memory")
	if err != nil {
		return use{}, err
	}
	if u.live, err = strconv.ParseFloat(string(text), 64); err != nil {
		return use{}, err
	}
	u.resident, err = p.resident()
	return u, err
}
