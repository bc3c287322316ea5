package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	benchBoard  = "race"
	httpMembers = 100_000
)

// side is one of two servers under the same load.
type side struct {
	*process
	rates     []float64
	latencies []time.Duration // the p99 of each turn
	requests  float64
	cpu       time.Duration // of the server
	tool      time.Duration // of the load tool meanwhile
	machine   time.Duration // of everything
	took      time.Duration
}

func measureHTTP(ctx context.Context, b *bench) (err error) {
	dir := b.newDir()
	if err := fill(ctx, dir, map[string]int{benchBoard: min(httpMembers, b.size.members)}); err != nil {
		return err
	}
	laurel, err := b.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, laurel.stop()) }()
	bare, err := b.yardstick(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()

	for _, connections := range []int{64, 256} {
		ours, theirs := &side{process: laurel}, &side{process: bare}
		before, err := laurel.metrics(ctx)
		if err != nil {
			return err
		}
		if err := b.takeTurns(ctx, connections, ours, theirs); err != nil {
			return err
		}
		if b.Profile != "" {
			if err := b.profile(ctx, laurel, connections); err != nil {
				return err
			}
		}
		after, err := laurel.metrics(ctx)
		if err != nil {
			return err
		}
		ratios := make([]float64, len(ours.rates))
		for i := range ratios {
			ratios[i] = ours.rates[i] / theirs.rates[i]
		}
		ratio := median(ratios)
		b.row(row{
			what: fmt.Sprintf("single submits, %d connections", connections),
			ours: rate(median(ours.rates)), yardstick: rate(median(theirs.rates)) + " bare net/http",
			ratio: ratio, target: atLeast(ratio, 0.5),
		})
		b.row(row{
			what: "  the slowest of 100 answers",
			ours: span(median(ours.latencies)), yardstick: span(median(theirs.latencies)),
			ratio: median(ours.latencies).Seconds() / median(theirs.latencies).Seconds(),
		})
		per := func(s *side, d time.Duration) time.Duration { return time.Duration(float64(d) / s.requests) }
		b.row(row{
			what: "  processor time of the server a request",
			ours: span(per(ours, ours.cpu)), yardstick: span(per(theirs, theirs.cpu)),
			ratio: float64(per(ours, ours.cpu)) / float64(per(theirs, theirs.cpu)),
		})
		group, _ := after.mean("laurel_store_group_operations", before)
		commit, _ := after.mean("laurel_store_commit_seconds", before)
		b.notef("the load tool takes %s a request on the same cores, %s at the yardstick; turns' ratios from %.2f to %.2f",
			span(per(ours, ours.tool)), span(per(theirs, theirs.tool)), quantile(ratios, 0), quantile(ratios, 1))
		cores := func(d, took time.Duration) float64 { return d.Seconds() / took.Seconds() }
		for _, with := range []struct {
			*side
			what string
		}{{ours, "ours"}, {theirs, "the yardstick"}} {
			b.notef("of %d cores, with %s, the server has %.2f, the load tool %.2f, others %.2f and nobody %.2f", runtime.NumCPU(), with.what,
				cores(with.cpu, with.took), cores(with.tool, with.took), cores(with.machine-with.cpu-with.tool, with.took),
				float64(runtime.NumCPU())-cores(with.machine, with.took))
		}
		b.notef("a commit makes %.0f submits durable and takes %s", group, span(time.Duration(commit*float64(time.Second))))
	}
	return nil
}

// singles returns connections for requests of one score.
func (b *bench) singles(ctx context.Context, p *process, connections int) (*pool, error) {
	rng := rand.New(rand.NewPCG(2, 0))
	requests := make([][]byte, 4096)
	for i := range requests {
		requests[i] = single(p, benchBoard, memberName(rng.IntN(min(httpMembers, b.size.members))), rng.Int64N(100))
	}
	return newPool(ctx, p, connections, requests)
}

// takeTurns loads both sides in turns.
func (b *bench) takeTurns(ctx context.Context, connections int, sides ...*side) error {
	pools := make([]*pool, len(sides))
	for i, s := range sides {
		var err error
		if pools[i], err = b.singles(ctx, s.process, connections); err != nil {
			return err
		}
		defer pools[i].close()
		if _, err := pools[i].closedLoop(ctx, b.size.turn/2); err != nil { // to warm up
			return err
		}
	}
	for range b.size.rounds {
		for i, s := range sides {
			if err := s.turn(ctx, pools[i], b.size.turn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *side) turn(ctx context.Context, pl *pool, d time.Duration) error {
	before, err := s.times()
	if err != nil {
		return err
	}
	t, err := pl.closedLoop(ctx, d)
	if err != nil {
		return err
	}
	after, err := s.times()
	if err != nil {
		return err
	}
	s.rates = append(s.rates, t.rate())
	s.latencies = append(s.latencies, quantile(t.latencies, 0.99))
	s.requests += float64(t.requests)
	s.cpu += after.server - before.server
	s.tool += after.tool - before.tool
	s.machine += after.machine - before.machine
	s.took += t.took
	return nil
}

// times are processor times until now.
type times struct{ server, tool, machine time.Duration }

func (s *side) times() (t times, err error) {
	if t.server, err = s.process.cpu(); err != nil {
		return t, err
	}
	if t.tool, err = cpu(os.Getpid()); err != nil {
		return t, err
	}
	t.machine, err = machineCPU()
	return t, err
}

// profile writes a profile of the server under load to the file that the options
// name, with the number of connections at its end.
func (b *bench) profile(ctx context.Context, p *process, connections int) error {
	pl, err := b.singles(ctx, p, connections)
	if err != nil {
		return err
	}
	defer pl.close()
	seconds := int(max(time.Second, 2*b.size.turn).Seconds())
	var wg sync.WaitGroup
	var profile []byte
	var profileErr error
	wg.Go(func() {
		profile, profileErr = get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.debug, seconds))
	})
	_, err = pl.closedLoop(ctx, time.Duration(seconds+1)*time.Second)
	wg.Wait()
	if err := errors.Join(err, profileErr); err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprint(b.Profile, ".", connections), profile, 0o644)
}
