package localstore

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
)

// kept is what is kept of a request with a name.
type kept struct {
	digest leaderboard.Digest
	day    uint32
	answer // filled in when the request is; without a digest, nobody asks for it

	request *request // of the group that carries it out, until that is finished
}

var noDigest leaderboard.Digest

// onceName is what a request is known by.
func (r *request) onceName() string { return r.id + "\x00" + r.once }

// repeats reports whether a request of the same name is among those of this group,
// of the one in flight, or on disk. If so, the request is not to be carried out:
// it has its answer, or an error, or waits for that of the other.
func (g *group) repeats(r *request) bool {
	k := g.names[r.onceName()]
	if f := g.store.flight; k == nil && f != nil && f.group != nil {
		k = f.group.names[r.onceName()]
	}
	if k != nil {
		if r.answerOf(k.digest) {
			r.first = k
		}
		return true
	}
	// The clock may have been set back since.
	today := dayOf(r.at)
	for day := max(today, 1) - 1; day <= today+1; day++ {
		g.key = appendOnceKey(g.key[:0], day, r.id, r.once)
		value, err := g.store.get(g.key)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err == nil {
			err = g.store.recall(r, value)
		}
		if err != nil {
			r.err = unavailable(err)
		}
		return true
	}
	return false
}

// answerOf says that a request was carried out with a digest, and whether it is to be
// answered what that was.
func (r *request) answerOf(digest leaderboard.Digest) bool {
	switch {
	case digest == noDigest || r.digest == noDigest:
		r.outcome.Repeated = true
		return false
	case digest != r.digest:
		r.err = leaderboard.ErrOnceReused
		return false
	}
	r.outcome.Repeated = true
	return true
}

// settle answers a request as the first of its name was.
func (r *request) settle() {
	if r.first != nil {
		r.answer = r.first.answer
		r.outcome.Repeated = true
	}
}

// recall answers a request with the value of its name.
func (s *Store) recall(r *request, value []byte) error {
	var digest leaderboard.Digest
	rest := reader{value[copy(digest[:], value):]}
	if len(value) > 0 && len(value) < len(digest) {
		return damage(r.onceKey(), errCutShort)
	}
	if !r.answerOf(digest) {
		return nil
	}
	outcome, err := s.parseOutcome(&rest)
	if err != nil {
		return damage(r.onceKey(), err)
	}
	if r.kind != applyBatch {
		if len(outcome.Boards) == 1 {
			r.view = outcome.Boards[0]
		}
		return nil
	}
	if len(outcome.Results) != len(r.batch.Ops) {
		r.outcome, r.err = leaderboard.Outcome{}, leaderboard.ErrOnceReused
		return nil
	}
	for i := range outcome.Results {
		outcome.Results[i].Member = r.batch.Ops[i].Member
	}
	r.outcome = outcome
	r.outcome.Repeated = true
	return nil
}

// onceKey is the key of a request's name, for an error.
func (r *request) onceKey() []byte { return appendOnceKey(nil, dayOf(r.at), r.id, r.once) }

// keep notes the name of a request that is going to be carried out.
func (g *group) keep(r *request) {
	r.kept = &kept{digest: r.digest, day: dayOf(r.at), request: r}
	g.names[r.onceName()] = r.kept
	if r.digest == noDigest || r.kind != applyBatch {
		return
	}
	plans := g.touched[r.touched[0]:r.touched[1]]
	r.outcome.Boards = make([]leaderboard.View, len(plans))
	for i, p := range plans {
		r.outcome.Boards[i] = g.store.view(&p.state)
	}
	g.keepers = append(g.keepers, r)
}

// writeNames puts the names of requests into a database batch, with what came of
// those that have a digest, and takes those out that are old enough to be
// forgotten.
func (g *group) writeNames(b *pebble.Batch) error {
	g.foresee()
	for name, k := range g.names {
		board, once, _ := strings.Cut(name, "\x00")
		g.key = appendOnceKey(g.key[:0], k.day, board, once)
		g.value = g.value[:0]
		if k.digest != noDigest {
			g.value = k.request.appendOutcome(append(g.value, k.digest[:]...))
		}
		if err := b.Set(g.key, g.value, nil); err != nil {
			return err
		}
		if k.day <= g.store.today {
			continue
		}
		g.store.today = k.day
		if err := b.DeleteRange(appendOnceKey(nil, 0, "", "")[:1], appendOnceKey(nil, k.day-1, "", "")[:5], nil); err != nil {
			return err
		}
	}
	return nil
}

// The flags that begin a result.
const (
	resultAccepted = 1 << iota
	resultBefore   // the member was on the board
	resultAfter    // the member is on the board
	resultRev      // the rev of its entry is told
)

// appendOutcome writes what a request is answered:
//
//	boards, then of each: length and id, length and state; results, then of each:
//	flags [, score before, rank before] [, score after, rank after] [, rev] [, length and reason]
//
// each number as a uvarint, but scores as varints and flags as a byte.
func (r *request) appendOutcome(dst []byte) []byte {
	views := r.outcome.Boards
	switch r.kind {
	case createBoard, patchBoard, endSeason:
		views = []leaderboard.View{r.view}
	}
	dst = binary.AppendUvarint(dst, uint64(len(views)))
	for _, v := range views {
		dst = appendSized(dst, []byte(v.Board.ID))
		dst = appendSized(dst, appendState(nil, stateOf(v)))
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.outcome.Results)))
	for i := range r.outcome.Results {
		dst = appendResult(dst, &r.outcome.Results[i])
	}
	return dst
}

// stateOf returns a state of which the view is v.
func stateOf(v leaderboard.View) *state {
	run := leaderboard.Run{Season: v.Season, StartsAt: v.StartsAt, EndsAt: v.EndsAt, Closed: v.Closed}
	return &state{settings: v.Board, run: run, rev: v.Rev, total: v.Total}
}

func appendResult(dst []byte, res *leaderboard.Result) []byte {
	var flags byte
	if res.Accepted {
		flags |= resultAccepted
	}
	if res.Previous.Rank != 0 {
		flags |= resultBefore
	}
	if res.Current.Rank != 0 {
		flags |= resultAfter
	}
	if res.Rev != 0 {
		flags |= resultRev
	}
	dst = append(dst, flags)
	for _, st := range []leaderboard.Standing{res.Previous, res.Current} {
		if st.Rank != 0 {
			dst = binary.AppendVarint(dst, st.Score)
			dst = binary.AppendUvarint(dst, uint64(st.Rank))
		}
	}
	if res.Rev != 0 {
		dst = binary.AppendUvarint(dst, res.Rev)
	}
	if !res.Accepted {
		dst = appendSized(dst, []byte(res.Reason))
	}
	return dst
}

func appendSized(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// sized reads what appendSized has written.
func (r *reader) sized() []byte {
	n := r.uvarint()
	if r.rest == nil || n > uint64(len(r.rest)) {
		r.rest = nil
		return nil
	}
	text := r.rest[:n]
	r.skipTo(int(n))
	return text
}

// skipTo drops n bytes that are there.
func (r *reader) skipTo(n int) {
	if r.rest = r.rest[n:]; r.rest == nil {
		r.rest = []byte{}
	}
}

func (s *Store) parseOutcome(r *reader) (leaderboard.Outcome, error) {
	var o leaderboard.Outcome
	for n := r.uvarint(); n > 0 && r.rest != nil; n-- {
		id := string(r.sized())
		text := r.sized()
		if r.rest == nil {
			break
		}
		st, err := parseState(id, text)
		if err != nil {
			return o, err
		}
		o.Boards = append(o.Boards, s.view(&st))
	}
	for n := r.uvarint(); n > 0 && r.rest != nil; n-- {
		o.Results = append(o.Results, r.result())
	}
	return o, r.end()
}

func (r *reader) result() (res leaderboard.Result) {
	if len(r.rest) == 0 {
		r.rest = nil
		return res
	}
	flags := r.rest[0]
	r.skipTo(1)
	if flags&resultBefore != 0 {
		res.Previous = leaderboard.Standing{Score: r.varint(), Rank: int(r.uvarint())}
	}
	if flags&resultAfter != 0 {
		res.Current = leaderboard.Standing{Score: r.varint(), Rank: int(r.uvarint())}
	}
	if flags&resultRev != 0 {
		res.Rev = r.uvarint()
	}
	if res.Accepted = flags&resultAccepted != 0; !res.Accepted {
		res.Reason = leaderboard.Reason(r.sized())
	}
	return res
}
