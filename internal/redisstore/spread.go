package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"laurel/internal/leaderboard"
)

const (
	// giveUp is how long a batch over several partitions may be without a decision
	// until others may decide against it.
	giveUp = 500 * time.Millisecond

	// remembered is how long it is known what became of a batch in a partition, at the
	// least: longer than anybody asks or a call of it may be on the way.
	remembered = 30 * time.Second

	// tidyAtOnce is how many batches that were left are ended at a time.
	tidyAtOnce = 100
)

// begin counts something that Close is to wait for, unless it is too late.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return false
	}
	s.batches.Add(1)
	return true
}

func (s *Store) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// Apply carries out the operations of a batch in their order, all or none.
func (s *Store) Apply(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	if s.isClosed() {
		return leaderboard.Outcome{}, errClosed
	}
	if err := ctx.Err(); err != nil || len(batch.Ops) == 0 {
		return leaderboard.Outcome{}, err
	}
	first := batch.Ops[0].Board
	home := s.partition(first)
	if len(s.parts) > 1 {
		for i := range batch.Ops {
			if board := batch.Ops[i].Board; board != first && s.partition(board) != home {
				return s.applySpread(ctx, batch)
			}
		}
	}
	return home.apply(ctx, batch)
}

// applySpread carries out a batch over several partitions. It goes on when
// nobody waits any more, so that it leaves nothing behind.
func (s *Store) applySpread(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	if !s.begin() {
		return leaderboard.Outcome{}, errClosed
	}
	done := make(chan result, 1)
	go func() {
		defer s.batches.Done()
		var r result
		r.outcome, r.err = s.carryOutSpread(ctx, batch)
		done <- r
	}()
	select {
	case r := <-done:
		return r.outcome, r.err
	case <-ctx.Done():
		return leaderboard.Outcome{}, ctx.Err()
	}
}

var errContended = unavailable("other batches over several boards are always faster", nil)

// carryOutSpread tries until a batch is carried out or cannot be.
func (s *Store) carryOutSpread(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	leave, err := s.turns.take(ctx, batch)
	if err != nil {
		return leaderboard.Outcome{}, err
	}
	defer leave()
	s.metrics.spread.Inc()
	start := time.Now()
	for attempts := 0; ; attempts++ {
		var outcome leaderboard.Outcome
		b, err := s.newSpread(batch)
		if err == nil {
			outcome, err = b.attempt(ctx)
		}
		due, isDue := errors.AsType[*dueError](err)
		locked, met := errors.AsType[*metError](err)
		switch {
		case isDue:
			outcome, err := s.beforeSpread(ctx, batch, due.board)
			if err != nil || outcome.Repeated {
				return outcome, err
			}
		case met:
			if err := locked.at.unlock(ctx, locked.lock, attempts); err != nil {
				return leaderboard.Outcome{}, err
			}
		case errors.Is(err, errGivenUp):
			if !pause(ctx, retryAfter(attempts)) {
				return leaderboard.Outcome{}, ctx.Err()
			}
		case !errors.Is(err, errStale):
			if err == nil {
				s.metrics.operations.Add(float64(len(batch.Ops)))
			}
			return outcome, err
		}
		if s.isEnding() {
			return leaderboard.Outcome{}, errClosed
		}
		if time.Since(start) > s.opts.Timeout {
			return leaderboard.Outcome{}, errContended
		}
	}
}

// retryAfter is how long to wait before the next attempt. It is random, so that two
// batches do not hinder each other again and again.
func retryAfter(attempts int) time.Duration {
	return time.Millisecond + rand.N(time.Millisecond<<min(attempts, 6))
}

// errGivenUp says that others have decided against a batch.
var errGivenUp = errors.New("others have decided against the batch")

// metError says that a board of a batch is locked.
type metError struct {
	at   *partition
	lock string
}

func (e *metError) Error() string {
	return fmt.Sprintf("board in %s is locked by batch %s", e.at, e.lock)
}

// spread is one attempt to carry out a batch over several partitions.
type spread struct {
	store *Store
	lock  string // names the attempt and says where it is decided
	batch leaderboard.Batch
	parts []*part // the first is where it is decided
}

// part is what concerns one partition.
type part struct {
	partition *partition
	batch     leaderboard.Batch
	index     []int // of the operations in the whole batch
	encoder   encoder
	boards    string
	keys      []string // of boards and name
	args      []string // the batch
}

// newSpread returns a [*dueError] if the season of a board has to be ended first.
func (s *Store) newSpread(batch leaderboard.Batch) (*spread, error) {
	b := s.divide(batch)
	for _, part := range b.parts {
		if err := part.encoder.take(&part.batch); err != nil {
			return nil, err
		}
		part.keys, part.args = part.encoder.encode(&part.partition.keys, []leaderboard.Batch{part.batch}, nil, nil)
		part.boards = part.encoder.names()
	}
	return b, nil
}

// divide returns the parts of a batch, of which nothing is written yet.
func (s *Store) divide(batch leaderboard.Batch) *spread {
	b := &spread{store: s, batch: batch}
	for i, op := range batch.Ops {
		p := s.partition(op.Board)
		n := slices.IndexFunc(b.parts, func(part *part) bool { return part.partition == p })
		if n < 0 {
			n = len(b.parts)
			b.parts = append(b.parts, &part{partition: p, batch: leaderboard.Batch{At: batch.At, OnceDigest: batch.OnceDigest}, encoder: encoder{store: s}})
			b.parts[n].encoder.reset()
		}
		if e := &b.parts[n].encoder; !e.has(op.Board) {
			e.add(op.Board)
		}
		b.parts[n].batch.Ops = append(b.parts[n].batch.Ops, op)
		b.parts[n].index = append(b.parts[n].index, i)
	}
	b.parts[0].batch.Once = batch.Once
	b.lock = strconv.Itoa(b.parts[0].partition.n) + ":" + randomID()
	return b
}

// home is the partition where a batch over several is decided.
func (s *Store) home(lock string) (*partition, error) {
	name, _, _ := strings.Cut(lock, ":")
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 || n >= len(s.parts) {
		return nil, fmt.Errorf("lock %q is not one of this store", lock)
	}
	return s.parts[n], nil
}

// attempt takes all the steps. Of a batch that fails nothing is left. When nobody
// waits any more, the batch is dropped unless it is decided.
func (b *spread) attempt(waiting context.Context) (leaderboard.Outcome, error) {
	ctx := context.WithoutCancel(waiting)
	errs := make([]error, len(b.parts))
	answers := make([]string, len(b.parts))
	errs[0] = b.prepare(ctx, 0, b.lock)
	lock := b.lock
	if errs[0] != nil {
		failed, ok := errors.AsType[*partError](errs[0])
		if !ok {
			_, _ = b.finish(ctx, 0, "A") // nobody knows whether it is prepared
			return leaderboard.Outcome{}, errs[0]
		}
		if failed.repeated {
			return leaderboard.Outcome{Repeated: true}, nil
		}
		if before, ok := errors.AsType[*spreadError](failed.err); ok {
			return b.recall(ctx, before.lock)
		}
		if errors.Is(failed.err, leaderboard.ErrOnceReused) {
			return leaderboard.Outcome{}, failed.err
		}
		lock = "" // it is only to be found out which operation fails first
	}
	each(1, len(b.parts), func(i int) { errs[i] = b.prepare(ctx, i, lock) })
	if err := cmp.Or(b.why(errs), waiting.Err()); err != nil {
		if lock != "" {
			b.abort(ctx)
		}
		return leaderboard.Outcome{}, err
	}

	answers[0], errs[0] = b.finish(ctx, 0, "C")
	switch {
	case errs[0] != nil:
		return leaderboard.Outcome{}, errs[0]
	case answers[0] == "A":
		b.abort(ctx)
		return leaderboard.Outcome{}, errGivenUp
	}
	each(1, len(b.parts), func(i int) { answers[i], errs[i] = b.finish(ctx, i, "C") })
	if err := firstOf(errs); err != nil {
		return leaderboard.Outcome{}, err
	}
	// This one is still counted, so Close waits for it too.
	b.store.batches.Go(func() { _ = b.store.forget(ctx, b.lock) }) // else the tender will
	return b.outcome(answers, (*part).read)
}

// each does something with every number from first on, below limit, at the same time.
func each(first, limit int, do func(i int)) {
	var wg sync.WaitGroup
	for i := first + 1; i < limit; i++ {
		wg.Go(func() { do(i) })
	}
	if first < limit {
		do(first)
	}
	wg.Wait()
}

// partError says why a part cannot be prepared, or that it need not be.
type partError struct {
	index    int // of the operation in the whole batch
	err      error
	repeated bool
}

func (e *partError) Error() string { return fmt.Sprintf("operation %d: %v", e.index, e.err) }

// prepare writes a part down and locks its boards. Without a lock it only looks
// whether it can be carried out.
func (b *spread) prepare(ctx context.Context, i int, lock string) error {
	part := b.parts[i]
	p := part.partition
	keys := append([]string{p.meta, p.intent(b.lock), p.ended(b.lock), p.intents, p.decisions}, part.keys...)
	where, wait := "", 2*giveUp // whoever tidies up begins where it is decided
	if i == 0 {
		where, wait = b.where(), giveUp
	}
	args := append([]string{"", lock, strconv.FormatInt(wait.Microseconds(), 10), where, part.boards}, part.args...)
	answer, err := p.timed(ctx, scriptPrepare, keys, args)
	if err != nil {
		return err
	}
	switch answer[0] {
	case 'P':
		return nil
	case 'D':
		return errGivenUp
	}
	r, epoch, err := part.read(answer)
	if err != nil {
		return err
	}
	if b.batch.Once != "" && i == 0 && r.rest != "" && strings.IndexByte("DW", r.rest[0]) >= 0 {
		_, err := part.encoder.readOutcome(&r, epoch, part.batch, 0)
		if err == nil {
			return leaderboard.ErrOnceReused // it is one of this partition alone
		}
		return &partError{err: err}
	}
	peek := r
	peek.byte()
	index := int(peek.uint16())
	outcome, err := part.encoder.readOutcome(&r, epoch, part.batch, 0)
	if err == nil && !outcome.Repeated || err != nil && index >= len(part.index) {
		return fmt.Errorf("%s: script %s: %w", p, scriptPrepare, errAnswer)
	}
	if err == nil {
		return &partError{repeated: true}
	}
	failed := &partError{index: part.index[index], err: err}
	if locked, ok := errors.AsType[*lockedError](err); ok {
		failed.err = &metError{p, locked.lock}
	}
	if wrong, ok := errors.AsType[*leaderboard.BatchError](err); ok {
		wrong.Index = failed.index
	}
	return failed
}

// where are the batch's partitions.
func (b *spread) where() string {
	names := make([]string, len(b.parts))
	for i, part := range b.parts {
		names[i] = strconv.Itoa(part.partition.n)
	}
	return strings.Join(names, ",")
}

// read reads how an answer about a part begins.
func (part *part) read(answer string) (r reader, epoch string, err error) {
	r = reader{rest: answer[1:]}
	if answer[0] != 'K' {
		return r, "", fmt.Errorf("%s: %q: %w", part.partition, answer[:1], errAnswer)
	}
	if epoch, err = part.partition.readHead(&r); err == nil {
		err = part.encoder.readBoards(&r)
	}
	return r, epoch, err
}

// why is the reason why a batch cannot be carried out: of several, that of its
// first operation that fails.
func (b *spread) why(errs []error) error {
	var first *partError
	for _, err := range errs {
		failed, ok := errors.AsType[*partError](err)
		switch {
		case err != nil && !ok:
			return err
		case ok && errors.Is(failed.err, errStale):
			return errStale // a season may have to be ended first
		case ok && (first == nil || failed.index < first.index):
			first = failed
		}
	}
	if first == nil {
		return nil
	}
	return first.err
}

// finish ends a part: where the batch is decided, after deciding it if nobody has.
// The answer is "A" if the batch was dropped.
func (b *spread) finish(ctx context.Context, i int, verdict string) (string, error) {
	part := b.parts[i]
	answer, err := part.partition.finish(ctx, b.lock, verdict, part.boards, part.keys)
	if err == nil && verdict == "C" && answer == "U" {
		err = errPartLost
	}
	return answer, err
}

var errPartLost = unavailable("a part of the batch was lost with data of Redis", nil)

// abort drops a batch that was not carried out. What is not reached is left to
// whoever meets it.
func (b *spread) abort(ctx context.Context) {
	errs := make([]error, len(b.parts))
	each(0, len(b.parts), func(i int) { _, errs[i] = b.finish(ctx, i, "A") })
	if firstOf(errs) == nil {
		_ = b.store.forget(ctx, b.lock) // else the tender will
	}
}

// recall asks all parts what became of them when the batch was carried out under a lock.
func (b *spread) recall(ctx context.Context, lock string) (leaderboard.Outcome, error) {
	errs := make([]error, len(b.parts))
	answers := make([]string, len(b.parts))
	// A part that was not reached then is carried out now, as the batch was decided for.
	each(0, len(b.parts), func(i int) {
		if answers[i], errs[i] = b.parts[i].partition.finishFor(ctx, lock, "C"); errs[i] == nil && answers[i] == "U" {
			errs[i] = errPartLost
		}
	})
	if err := firstOf(errs); err != nil {
		return leaderboard.Outcome{}, err
	}
	outcome, err := b.outcome(answers, (*part).reread)
	outcome.Repeated = err == nil
	return outcome, err
}

// reread reads how an answer about a part begins that may be old: what it tells of
// the clock and of the log is of then.
func (part *part) reread(answer string) (r reader, epoch string, err error) {
	r = reader{rest: answer[1:]}
	if answer[0] != 'K' {
		return r, "", fmt.Errorf("%s: %q: %w", part.partition, answer[:1], errAnswer)
	}
	epoch, _ = r.head()
	r.take(16)
	return r, epoch, part.encoder.readBoards(&r)
}

// outcome puts together what became of the parts.
func (b *spread) outcome(answers []string, read func(*part, string) (reader, string, error)) (leaderboard.Outcome, error) {
	whole := leaderboard.Outcome{Results: make([]leaderboard.Result, len(b.batch.Ops))}
	views := make(map[string]leaderboard.View)
	for i, part := range b.parts {
		r, epoch, err := read(part, answers[i])
		if err != nil {
			return leaderboard.Outcome{}, err
		}
		outcome, err := part.encoder.readOutcome(&r, epoch, part.batch, 0)
		if err != nil {
			return leaderboard.Outcome{}, err
		}
		for n, result := range outcome.Results {
			whole.Results[part.index[n]] = result
		}
		for _, view := range outcome.Boards {
			views[view.Board.ID] = view
		}
	}
	for _, op := range b.batch.Ops {
		if view, ok := views[op.Board]; ok {
			whole.Boards = append(whole.Boards, view)
			delete(views, op.Board)
		}
	}
	return whole, nil
}

// timed runs a script that is given, as its first argument, a time after which it
// does nothing, so that what was given up does not happen later.
func (p *partition) timed(ctx context.Context, id script, keys, args []string) (string, error) {
	if t := p.trouble.Load(); t != nil && t.away {
		return "", t.err
	}
	limited, cancel := context.WithTimeout(ctx, p.store.opts.Timeout)
	defer cancel()
	end := p.store.now() + p.store.opts.Timeout.Microseconds()
	for {
		args[0] = string(binary.BigEndian.AppendUint64(nil, uint64(end+p.clock.Load())))
		message, err := p.evalUntil(ctx, limited, id, keys, args)
		if err != nil {
			return "", err
		}
		answer, err := message.ToString()
		if err != nil || answer == "" {
			return "", fmt.Errorf("%s: script %s: %w", p, id, errAnswer)
		}
		if answer[0] != 'L' {
			p.well(true)
			return answer, nil
		}
		r := reader{rest: answer[1:]}
		p.heard(int64(r.uint64()))
		if limited.Err() != nil {
			return "", p.away(errTooLate)
		}
	}
}

// finish ends a batch over several partitions in this one, whose keys are those of
// its boards and of its name.
func (p *partition) finish(ctx context.Context, lock, verdict, boards string, keys []string) (string, error) {
	home, err := p.store.home(lock)
	if err != nil {
		return "", err
	}
	keys = append([]string{p.meta, p.log, p.intent(lock), p.ended(lock), p.intents, p.decisions}, keys...)
	ttl := max(remembered, 4*p.store.opts.Timeout)
	args := []string{"", p.store.logCap, lock, verdict, flag(p == home), boards, milli(ttl)}
	return p.timed(ctx, scriptFinish, keys, args)
}

// finishFor ends a batch that another one began. The answer is as finish.lua has it.
func (p *partition) finishFor(ctx context.Context, lock, verdict string) (string, error) {
	boards := ""
	var keys []string
	for {
		answer, err := p.finish(ctx, lock, verdict, boards, keys)
		if err != nil || answer[0] != 'T' {
			return answer, err
		}
		boards, keys = answer[1:], nil
		for name := range strings.SplitSeq(boards, "/") {
			ref, err := parseBoardRef(name)
			if err != nil {
				return "", fmt.Errorf("%s: batch %s: %w", p, lock, err)
			}
			keys = p.ofBoard(keys, ref)
		}
		p.store.metrics.helped.Inc()
	}
}

// helpFinish is finishFor where nobody asks what became of the batch.
func (p *partition) helpFinish(ctx context.Context, lock, verdict string) error {
	_, err := p.finishFor(ctx, lock, verdict)
	return err
}

// Ways to ask what was decided about a batch.
const (
	justLook    = "look"
	mayGiveItUp = "decide" // against it, if it has taken too long
)

// resolve asks at its home what was decided about a batch. The answer is as
// resolve.lua has it.
func (p *partition) resolve(ctx context.Context, lock, how string) (decision string, parts []*partition, err error) {
	args := []string{lock, how, strconv.FormatInt(giveUp.Microseconds(), 10)}
	message, err := p.eval(ctx, scriptResolve, []string{p.meta, p.intents, p.decisions}, args)
	if err != nil {
		return "", nil, err
	}
	answer, err := message.ToString()
	if err != nil || answer == "" {
		return "", nil, fmt.Errorf("%s: script %s: %w", p, scriptResolve, errAnswer)
	}
	if answer == "U" {
		return answer, nil, nil
	}
	for name := range strings.SplitSeq(answer[1:], ",") {
		n, err := strconv.Atoi(name)
		if err != nil || n < 0 || n >= len(p.store.parts) {
			return "", nil, fmt.Errorf("%s: script %s: %w", p, scriptResolve, errAnswer)
		}
		parts = append(parts, p.store.parts[n])
	}
	return answer[:1], parts, nil
}

// help ends a batch in this partition if it is decided, and returns what was decided.
func (p *partition) help(ctx context.Context, lock string) (string, error) {
	home, err := p.store.home(lock)
	if err != nil {
		return "", err
	}
	decision, _, err := home.resolve(ctx, lock, mayGiveItUp)
	switch {
	case err != nil || decision == "P":
	case decision == "U":
		// If it has ended, there is nothing of it here; if there is, it never will be
		// carried out.
		err = p.helpFinish(ctx, lock, "A")
	default:
		err = p.helpFinish(ctx, lock, decision)
	}
	return decision, err
}

// unlock waits until a batch does not lock boards of the partition any more.
func (p *partition) unlock(ctx context.Context, lock string, attempts int) error {
	for ; ; attempts++ {
		decision, err := p.help(ctx, lock)
		if err != nil {
			return p.store.fault(ctx, err)
		}
		if decision != "P" {
			return nil
		}
		if !pause(ctx, retryAfter(attempts)) {
			return ctx.Err()
		}
	}
}

// readable reports whether what was read of boards that a batch locks is not half
// of the batch. It is not if the batch is being carried out: it is now in this
// partition.
func (p *partition) readable(ctx context.Context, lock string) (bool, error) {
	if lock == "" {
		return true, nil
	}
	home, err := p.store.home(lock)
	if err != nil {
		return false, err
	}
	decision, _, err := home.resolve(ctx, lock, justLook)
	if err != nil {
		return false, err
	}
	switch decision {
	case "P", "A":
		// It was not carried out when the boards were read, as it was not even
		// afterwards.
		return true, nil
	case "U":
		return false, p.helpFinish(ctx, lock, "A")
	}
	return false, p.helpFinish(ctx, lock, decision)
}

// forget forgets a batch that has ended in all partitions.
func (s *Store) forget(ctx context.Context, lock string) error {
	p, err := s.home(lock)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	for _, answer := range s.client.DoMulti(ctx,
		s.client.B().Hdel().Key(p.decisions).Field(lock).Build(),
		s.client.B().Zrem().Key(p.intents).Member(lock).Build(),
	) {
		if err := answer.Error(); err != nil {
			return err
		}
	}
	return nil
}

// tidyIntents ends batches that were left by those who began them.
func (p *partition) tidyIntents(ctx context.Context) error {
	now := strconv.FormatInt(p.store.now()+p.clock.Load(), 10)
	cmd := p.store.client.B().Zrangebyscore().Key(p.intents).Min("-inf").Max(now).Limit(0, tidyAtOnce).Build()
	locks, err := p.store.client.Do(ctx, cmd).AsStrSlice()
	if err != nil {
		return err
	}
	for _, lock := range locks {
		if err := p.settle(ctx, lock); err != nil {
			return err
		}
	}
	return nil
}

// settle ends a batch in this partition, and in all if it is decided here.
func (p *partition) settle(ctx context.Context, lock string) error {
	home, err := p.store.home(lock)
	if err != nil {
		return err
	}
	if home != p {
		_, err := p.help(ctx, lock)
		return err
	}
	decision, parts, err := p.resolve(ctx, lock, mayGiveItUp)
	if err != nil || decision == "P" {
		return err
	}
	if decision == "U" {
		return p.helpFinish(ctx, lock, "A")
	}
	errs := make([]error, len(parts))
	each(0, len(parts), func(i int) { errs[i] = parts[i].helpFinish(ctx, lock, decision) })
	if err := firstOf(errs); err != nil {
		return err
	}
	return p.store.forget(ctx, lock)
}

// turns has the batches over several partitions that this node begins wait for
// each other if they have a board in common, so that they do not hinder each other.
type turns struct {
	seed  maphash.Seed
	slots [256]chan struct{} // each holds one while a batch has a board of it
}

func (t *turns) init() {
	t.seed = maphash.MakeSeed()
	for i := range t.slots {
		t.slots[i] = make(chan struct{}, 1)
	}
}

// take waits until it is the batch's turn. leave ends it.
func (t *turns) take(ctx context.Context, batch leaderboard.Batch) (leave func(), err error) {
	slots := make([]int, len(batch.Ops))
	for i, op := range batch.Ops {
		slots[i] = int(maphash.String(t.seed, op.Board) % uint64(len(t.slots)))
	}
	slices.Sort(slots) // in one order for all
	slots = slices.Compact(slots)
	taken := 0
	leave = func() {
		for _, slot := range slots[:taken] {
			<-t.slots[slot]
		}
	}
	for ; taken < len(slots); taken++ {
		select {
		case t.slots[slots[taken]] <- struct{}{}:
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		}
	}
	return leave, nil
}
