package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
)

// partition is one of the parts that the boards are spread over.
type partition struct {
	store *Store
	n     int
	keys

	queue    queue
	single   chan struct{} // holds one while a board is created, patched or deleted
	lane     *lane         // of that
	ending   chan struct{} // holds one while a season that is due is ended
	checking chan struct{} // holds one while the server is looked at

	incarnation atomic.Pointer[incarnation]
	trouble     atomic.Pointer[trouble]
	failing     atomic.Int64 // since when the tender has got no answer, by the store's clock; 0: it has
	looked      time.Time    // when the tender looked last which server it is
	clock       atomic.Int64 // what is to be added to the store's clock for the server's, in µs; never too much

	changes partitionLog
	tail    *tail
	crowded atomic.Bool // boards that are to be told again wait until changes are acknowledged
}

// incarnation is a server process as a partition was found on it.
type incarnation struct {
	run     string
	epoch   string
	scripts *scriptSet
}

// trouble is why a partition cannot be written, or not be reached at all.
type trouble struct {
	err  *leaderboard.Error
	away bool // nothing is answered; else only writes are refused
}

func newPartition(s *Store, n int) *partition {
	p := &partition{
		store: s, n: n, keys: newKeys(s.opts.Prefix, n),
		single:   make(chan struct{}, 1),
		ending:   make(chan struct{}, 1),
		checking: make(chan struct{}, 1),
	}
	p.queue.init()
	p.lane = newLane(p, "c")
	return p
}

func (p *partition) String() string { return "partition " + strconv.Itoa(p.n) }

// errLoadAgain is what a script answered that found another server than it was for.
var errLoadAgain = errors.New("the server is another one than before")

// eval runs a script, again and again if it has to be, until there is an answer
// or the time is over. So a script must be one that may be repeated.
func (p *partition) eval(ctx context.Context, id script, keys, args []string) (rueidis.RedisMessage, error) {
	if t := p.trouble.Load(); t != nil && t.away {
		return rueidis.RedisMessage{}, t.err
	}
	limited, cancel := context.WithTimeout(ctx, p.store.opts.Timeout)
	defer cancel()
	return p.evalUntil(ctx, limited, id, keys, args)
}

// evalUntil is eval with a time limit of the caller's: limited ends at the latest
// with ctx.
func (p *partition) evalUntil(ctx, limited context.Context, id script, keys, args []string) (rueidis.RedisMessage, error) {
	var last error
	for failures := 0; ; failures++ {
		answer, err := p.try(limited, id, keys, args)
		if err == nil {
			p.well(false)
			return answer, nil
		}
		if p.store.isClosed() {
			return answer, errClosed
		}
		if limited.Err() == nil || last == nil {
			last = err // and not that the time is over
		}
		switch kind, refused := classify(err); kind {
		case refusal:
			p.refused(refused)
			return answer, refused
		case mistake:
			return answer, fmt.Errorf("%s: script %s: %w", p, id, err)
		}
		if !pause(limited, backOff(failures)) {
			if ctx.Err() != nil {
				return answer, ctx.Err()
			}
			return answer, p.away(last)
		}
	}
}

// try runs a script once on the server as it is known.
func (p *partition) try(ctx context.Context, id script, keys, args []string) (rueidis.RedisMessage, error) {
	var none rueidis.RedisMessage
	in := p.incarnation.Load()
	if in == nil {
		var err error
		if in, err = p.check(ctx, nil); err != nil {
			return none, err
		}
	}
	answer, err := p.run(ctx, "EVALSHA", in.scripts.sha[id], keys, args)
	if e, ok := rueidis.IsRedisErr(err); ok && e.IsNoScript() {
		// Only a server that was looked at gets the scripts: nobody can use it before.
		if in, err = p.check(ctx, in); err != nil {
			return none, err
		}
		answer, err = p.run(ctx, "EVAL", in.scripts.text[id], keys, args)
	}
	if err != nil {
		return none, err
	}
	if lookAgain(answer) {
		if _, err := p.check(ctx, in); err != nil {
			return none, err
		}
		return none, errLoadAgain
	}
	return answer, nil
}

func lookAgain(answer rueidis.RedisMessage) bool {
	text, err := answer.ToString()
	return err == nil && text == emptyReply
}

func (p *partition) run(ctx context.Context, command, what string, keys, args []string) (rueidis.RedisMessage, error) {
	return p.store.client.Do(ctx, p.command(command, what, keys, args)).ToMessage()
}

func (p *partition) command(command, what string, keys, args []string) rueidis.Completed {
	return p.store.client.B().Arbitrary(command).Args(what, strconv.Itoa(len(keys))).Keys(keys...).Args(args...).Build()
}

// check looks which process the server is, and begins a new epoch if it is not
// the one that the data is from. Nothing is done if it has been looked at since
// seen was found.
func (p *partition) check(ctx context.Context, seen *incarnation) (*incarnation, error) {
	select {
	case p.checking <- struct{}{}:
		defer func() { <-p.checking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if in := p.incarnation.Load(); in != nil && in != seen {
		return in, nil
	}
	found, err := p.look(ctx, p.store.partitions, randomID(), false)
	if err != nil {
		return nil, err
	}
	if found.partitions != p.store.partitions {
		return nil, &mismatchError{p.store.opts.Redis.String(), p.store.opts.Prefix, found.partitions, p.store.partitions}
	}
	in := p.incarnation.Load()
	if in != nil && in.run == found.run && in.epoch == found.epoch {
		return in, nil
	}
	if in != nil && in.epoch != found.epoch {
		p.store.log.Warn("data may have been lost: a new epoch", "partition", p.n, "epoch", found.epoch, "before", in.epoch)
		p.store.metrics.epochs.Inc()
	}
	return p.adopt(found), nil
}

// adopt takes the server for what it was found to be.
func (p *partition) adopt(found state) *incarnation {
	before := p.incarnation.Load()
	in := &incarnation{run: found.run, epoch: found.epoch, scripts: p.store.scriptsFor(found.run)}
	p.incarnation.Store(in)
	if before == nil || before.epoch != in.epoch {
		p.changes.restart(in.epoch)
		p.store.hurry()
	}
	return in
}

// state is what check.lua finds.
type state struct {
	partitions int
	epoch, run string
	begun      bool // a new epoch
	ready      bool // all partitions have been begun
}

func (p *partition) look(ctx context.Context, partitions int, epoch string, first bool) (state, error) {
	keys := []string{p.meta, p.log}
	args := []string{strconv.Itoa(partitions), epoch, strconv.FormatUint(p.changes.last().us, 10), flag(first)}
	answer, err := p.run(ctx, "EVALSHA", checkSHA, keys, args)
	if e, ok := rueidis.IsRedisErr(err); ok && e.IsNoScript() {
		answer, err = p.run(ctx, "EVAL", checkText, keys, args)
	}
	if err != nil {
		return state{}, err
	}
	fields, err := answer.AsStrSlice()
	if err != nil || len(fields) != 6 {
		return state{}, fmt.Errorf("%s: look at the server: %d fields, %w", p, len(fields), err)
	}
	found := state{epoch: fields[1], run: fields[2], begun: fields[4] == "1", ready: fields[5] == "1"}
	if found.partitions, err = strconv.Atoi(fields[0]); err != nil {
		return state{}, fmt.Errorf("%s: number of partitions: %w", p, err)
	}
	us, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil {
		return state{}, fmt.Errorf("%s: time of the server: %w", p, err)
	}
	p.heard(us)
	return found, nil
}

// heard notes the server's time in an answer. What the server's clock shows more
// than ours is taken to be what it was when the answer came, so that it is
// rather too little.
func (p *partition) heard(us int64) { p.clock.Store(us - p.store.now()) }

// mismatchError says that the boards are spread over another number of
// partitions than they are expected to be.
type mismatchError struct {
	redis, prefix string
	stored, asked int
}

func (e *mismatchError) Error() string {
	return fmt.Sprintf("%s has boards under %q in %d partitions, not in %d: leave the number out, use %d, or choose another prefix",
		e.redis, e.prefix, e.stored, e.asked, e.stored)
}

// kind says what an error of Redis means.
type kind int

const (
	passing kind = iota // the connection broke, or the server is not ready; the script may or may not have run
	refusal             // nothing was done, and there is no use in asking again at once
	mistake             // nothing is wrong with the server
)

// refusals are errors of a server that takes no writes or no commands of ours, and what they mean.
var refusals = map[string]string{
	"OOM":        "Redis has no memory left (maxmemory)",
	"MISCONF":    "Redis cannot save to its disk",
	"NOREPLICAS": "Redis has fewer replicas than min-replicas-to-write",
	"NOAUTH":     "Redis wants a password",
	"WRONGPASS":  "Redis does not know the user or the password",
	"NOPERM":     "Redis does not let this user do it",
}

// passings are errors of a server that will be ready, or that somebody else will
// take the place of.
var passings = map[string]string{
	"READONLY":    "Redis is a replica",
	"LOADING":     "Redis is loading its data",
	"MASTERDOWN":  "Redis has lost its master",
	"CLUSTERDOWN": "the cluster is down",
	"TRYAGAIN":    "the cluster is moving slots",
	"BUSY":        "Redis is busy with a script",
}

// passingMeaning returns what an error of a server means that will be ready, or "".
func passingMeaning(err error) string {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return ""
	}
	word, _, _ := strings.Cut(e.Error(), " ")
	return passings[word]
}

func classify(err error) (kind, *leaderboard.Error) {
	if errors.Is(err, errLoadAgain) {
		return passing, nil
	}
	if mismatch, ok := errors.AsType[*mismatchError](err); ok {
		return refusal, unavailable(mismatch.Error(), nil)
	}
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return passing, nil
	}
	return classifyText(e.Error(), err)
}

// classifyText is classify for an error of Redis in its own words.
func classifyText(text string, err error) (kind, *leaderboard.Error) {
	word, _, _ := strings.Cut(text, " ")
	if meaning, ok := refusals[word]; ok {
		return refusal, unavailable(meaning, err)
	}
	if _, ok := passings[word]; ok {
		return passing, nil
	}
	return mistake, nil
}

// unavailable is the error of what cannot be done for now.
func unavailable(meaning string, cause error) *leaderboard.Error {
	return &leaderboard.Error{Code: leaderboard.CodeStorageUnavailable, Message: meaning, Err: cause}
}

// away notes that the server has not answered for as long as it may take.
func (p *partition) away(err error) error {
	meaning := cmp.Or(passingMeaning(err), "Redis does not answer")
	t := &trouble{err: unavailable(meaning, err), away: true}
	p.note(t)
	return t.err
}

func (p *partition) refused(err *leaderboard.Error) { p.note(&trouble{err: err}) }

func (p *partition) note(t *trouble) {
	p.store.metrics.unavailable.Inc()
	if before := p.trouble.Swap(t); before == nil {
		p.store.log.Error("storage is unavailable", "partition", p.n, "err", t.err)
	}
}

// well notes that the server has answered; written says that it took a write.
func (p *partition) well(written bool) {
	t := p.trouble.Load()
	if t == nil || !t.away && !written {
		return
	}
	if p.trouble.CompareAndSwap(t, nil) {
		p.store.log.Info("storage is available again", "partition", p.n)
	}
}

// backOff is how long to wait after so many failures in a row.
func backOff(failures int) time.Duration {
	return min(2*time.Millisecond<<min(failures, 10), 200*time.Millisecond)
}

// pause reports whether d has passed before ctx was done.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
