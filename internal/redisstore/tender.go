package redisstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	retellAtOnce = 200 // boards in one call, at the most
	retellCalls  = 10  // for a partition at a time, so that leases are not neglected
)

// The tender is the goroutine that looks after the partitions: which server they
// are on, whether it answers, who tells their changes, and what others have left
// undone.

// hurry has the tender look soon.
func (s *Store) hurry() {
	select {
	case s.wake <- struct{}{}:
	default: // it will
	}
}

func (s *Store) tend(ctx context.Context) {
	timer := time.NewTimer(s.opts.Lease / 4)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		s.look(ctx)
		timer.Reset(s.opts.Lease / 4)
	}
}

// look looks after all partitions once.
func (s *Store) look(ctx context.Context) {
	// A server that is silent must not have us neglect the leases on others.
	limited, cancel := context.WithTimeout(ctx, s.opts.Lease/2)
	defer cancel()
	s.count(limited)
	found := make([]lease, len(s.parts))
	_ = s.each(func(p *partition) error {
		found[p.n] = p.tend(limited, "keep")
		return nil
	})
	s.share(limited, found)
	for _, p := range s.parts {
		if found[p.n].whose == mine {
			p.tidy(limited, found[p.n])
		}
	}
}

// share takes partitions that nobody tells, or gives some back, so that no node
// has two more than another. Those that have one more are the first by name.
func (s *Store) share(ctx context.Context, found []lease) {
	fair := len(s.parts) / s.nodes
	if s.before < len(s.parts)%s.nodes {
		fair++
	}
	var have int
	var free []*partition
	for _, p := range s.parts {
		switch found[p.n].whose {
		case mine:
			have++
			if have > fair {
				s.log.Info("partition given back", "partition", p.n, "nodes", s.nodes)
				found[p.n] = p.tend(ctx, "drop")
			}
		case vacant:
			free = append(free, p)
		}
	}
	rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	free = free[:max(0, min(fair-have, len(free)))]
	taking := make(map[int]bool)
	for _, p := range free {
		taking[p.n] = true
	}
	_ = s.each(func(p *partition) error {
		if taking[p.n] {
			found[p.n] = p.tend(ctx, "take")
		}
		return nil
	})
}

// count says that this node is there, and counts all that are.
func (s *Store) count(ctx context.Context) {
	fields, err := s.beat(ctx, false)
	if err == nil {
		n, err := strconv.Atoi(fields[1])
		before, err2 := strconv.Atoi(fields[2])
		if err == nil && err2 == nil {
			s.nodes, s.before = max(1, n), before
		}
	}
}

func (s *Store) beat(ctx context.Context, last bool) ([]string, error) {
	p := s.parts[0]
	message, err := p.try(ctx, scriptNodes, []string{p.meta, p.nodes}, []string{s.session, milli(s.opts.Lease), flag(last)})
	if err != nil {
		return nil, err
	}
	fields, err := message.AsStrSlice()
	if err != nil || len(fields) != 3 {
		return nil, fmt.Errorf("%s: script %s: %w", p, scriptNodes, errAnswer)
	}
	return fields, nil
}

func milli(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// whose lease a partition's is.
type whose string

const (
	mine   whose = "mine"
	vacant whose = "free"
)

// lease is what lease.lua answers.
type lease struct {
	whose     whose
	retell    bool
	intent    string // the oldest batch over several partitions that may be given up
	decisions bool   // about such batches are kept
	last      position
	refused   string
	epoch     string
}

// tend looks after a partition once: whether its server is the one it was, and
// answers, and whether the lease is held.
func (p *partition) tend(ctx context.Context, what string) lease {
	asked := time.Now()
	found, err := p.askLease(ctx, what)
	if err != nil {
		p.missed(err)
		return lease{}
	}
	p.heardOf(asked, found)
	return found
}

// heardOf takes notice of what was found.
func (p *partition) heardOf(asked time.Time, found lease) {
	p.failing.Store(0)
	p.well(found.refused == "")
	if found.refused != "" {
		if kind, refused := classifyText(found.refused, nil); kind == refusal {
			p.refused(refused)
		}
	}
	if found.whose != mine {
		if p.changes.lose() {
			p.store.metrics.owned.Add(-1)
			p.tail.turn()
		}
		return
	}
	had, load := p.changes.hold(asked.Add(p.store.opts.Lease))
	if !had {
		p.store.metrics.owned.Add(1)
	}
	p.changes.known(found.epoch, found.last)
	if load {
		ctx, cancel := context.WithTimeout(context.Background(), p.store.opts.Lease/2)
		defer cancel()
		if err := p.load(ctx); err != nil {
			return // the next time
		}
		p.tail.turn()
	}
	p.store.news.tell()
}

func (p *partition) askLease(ctx context.Context, what string) (lease, error) {
	in := p.incarnation.Load()
	if time.Since(p.looked) >= p.store.opts.Lease/2 {
		// Redis before 7.0 gives scripts to replicas, so that the one that takes its
		// master's place is not found out by not having them.
		p.looked = time.Now()
		if _, err := p.check(ctx, in); err != nil {
			return lease{}, err
		}
	}
	t := p.trouble.Load()
	keys := []string{p.meta, p.lease, p.intents, p.decisions}
	args := []string{p.store.session, milli(p.store.opts.Lease), what, flag(t != nil)}
	message, err := p.try(ctx, scriptLease, keys, args)
	if err != nil {
		return lease{}, err
	}
	f, err := message.AsStrSlice()
	if err != nil || len(f) != 9 {
		return lease{}, fmt.Errorf("%s: script %s: %w", p, scriptLease, errAnswer)
	}
	last, err := parsePosition(f[5] + "-" + f[6])
	return lease{
		whose: whose(f[1]), retell: f[2] == "1", intent: f[3], decisions: f[4] != "0", last: last, refused: f[7], epoch: f[8],
	}, err
}

// missed notes that looking after the partition has failed. After as long as a
// call may take, the server counts as away.
func (p *partition) missed(err error) {
	if kind, refused := classify(err); kind == refusal {
		p.refused(refused)
		return
	}
	now := p.store.now()
	if p.failing.CompareAndSwap(0, now) || p.store.isClosed() {
		return
	}
	if time.Duration(now-p.failing.Load())*time.Microsecond >= p.store.opts.Timeout && p.trouble.Load() == nil {
		_ = p.away(err)
	}
}

// tidy does for a partition whose changes this node tells what is left to do.
func (p *partition) tidy(ctx context.Context, found lease) {
	if found.retell {
		if err := p.retell(ctx); err != nil {
			p.store.log.Warn("cannot tell all boards again, trying later", "partition", p.n, "err", err)
		}
	}
	if found.intent != "" {
		if err := p.tidyIntents(ctx); err != nil {
			p.store.log.Warn("cannot end a batch over several partitions, trying later", "partition", p.n, "err", err)
		}
	}
}

// retell tells the boards of the partition as changed, at the revs that they
// have: some for each call, as long as the log has room for them.
func (p *partition) retell(ctx context.Context) error {
	client := p.store.client
	room := p.store.opts.LogCap / 2
	atOnce := min(retellAtOnce, max(1, room/2))
	for range retellCalls {
		place, err := client.Do(ctx, client.B().Hget().Key(p.meta).Field("retell").Build()).ToString()
		if err != nil {
			return ignoreNil(err)
		}
		waiting, err := client.Do(ctx, client.B().Xlen().Key(p.log).Build()).AsInt64()
		if err != nil {
			return err
		}
		if waiting > 0 && int(waiting)+atOnce > room {
			p.crowded.Store(true)
			return nil // until some are acknowledged
		}
		ids, err := p.boardIDs(ctx, place, atOnce)
		if err != nil {
			return err
		}
		keys := []string{p.meta, p.log, p.boards}
		args := []string{p.store.logCap, place}
		for _, id := range ids {
			keys = append(keys, p.state(id))
			args = append(args, id)
		}
		if _, err := p.try(ctx, scriptRetell, keys, args); err != nil {
			return err
		}
		if len(ids) == 0 {
			p.store.log.Info("all boards of a partition were told again", "partition", p.n)
			return nil
		}
	}
	p.store.hurry()
	return nil
}

// boardIDs returns the ids of at most limit boards above after.
func (p *partition) boardIDs(ctx context.Context, after string, limit int) ([]string, error) {
	low := "-"
	if after != "" {
		low = "(" + after
	}
	client := p.store.client
	cmd := client.B().Zrangebylex().Key(p.boards).Min(low).Max("+").Limit(0, int64(limit)).Build()
	return client.Do(ctx, cmd).AsStrSlice()
}
