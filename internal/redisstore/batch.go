package redisstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"laurel/internal/leaderboard"
)

// maxSeq is the largest rev. Where the latest of equals stands first, the tie of
// an entry is what is left of it above the rev.
const maxSeq = 1<<53 - 1

// The kinds of operations as batch.lua has them.
const (
	kindSubmit = iota
	kindSet
	kindRemove
	kindBadScore
	kindExpire
)

// What the policy of a board has added, as batch.lua has it.
const (
	boundedPolicy = 4  // with bounds
	limitedPolicy = 8  // with a limit of submissions
	latePolicy    = 16 // for late scores
	cappedPolicy  = 32 // with a number of entries
	agingPolicy   = 64 // whose entries expire
)

// encoder writes batches as batch.lua reads them, and reads what became of them.
// It is used again and again, by one lane.
type encoder struct {
	store  *Store
	boards []*encodedBoard
	index  map[string]int // by id
	ops    []encodedOp
	spare  []*encodedBoard

	packed []byte
}

type encodedBoard struct {
	id       string
	current  *settings
	settings *settings // of the season that takes the scores: current, or the one before
	taken    bool      // a batch of the call is on the board
	members  []string
	index    map[string]int // in members
	base     int            // index of the first member, less one

	// Read from the answer.

	status byte
	rev    uint64
	seen   uint64 // the rev that the season has: on a past one, that of its own last change
	total  int
	lock   string
}

type encodedOp struct {
	board, member int
	scaled        int64
	kind          byte
	refused       bool // by its season
}

// take adds a batch to those of the next call. It returns a [*dueError], or errApart
// if the batch cannot be in one call with those that were taken; then it is as if it was not there.
func (e *encoder) take(batch *leaderboard.Batch) error {
	first := len(e.ops)
	for n := range batch.Ops {
		op := &batch.Ops[n]
		i, ok := e.index[op.Board]
		if !ok {
			i = e.add(op.Board)
		}
		b := e.boards[i]
		refused := false
		if !b.current.timeless || op.Season != 0 || b.settings != b.current {
			var err error
			if refused, err = b.admit(op, batch.At); err != nil {
				e.ops = e.ops[:first]
				return err
			}
		}
		m, ok := b.index[op.Member]
		if !ok {
			m = len(b.members)
			b.members = append(b.members, op.Member)
			b.index[op.Member] = m
		}
		encoded := encodedOp{board: i, member: m, kind: kindRemove, refused: refused}
		if refused || b.settings.board.ZSet != "" {
			encoded.kind = kindBadScore // there is none that it can have
		} else if op.Kind == leaderboard.Expire {
			encoded.kind = kindExpire
		} else if op.Kind != leaderboard.Remove {
			var err error
			if encoded.scaled, err = op.Score.Scaled(b.settings.board.Decimals); err != nil {
				encoded.kind = kindBadScore
			} else {
				encoded.kind = byte(op.Kind)
			}
		}
		e.ops = append(e.ops, encoded)
	}
	for _, op := range e.ops[first:] {
		e.boards[op.board].taken = true
	}
	return nil
}

// encode appends the arguments for the batches that were taken to args, and the boards'
// keys to keys.
func (e *encoder) encode(k *keys, batches []leaderboard.Batch, keys, args []string) ([]string, []string) {
	p := binary.BigEndian.AppendUint16(e.packed[:0], uint16(len(e.boards)))
	members := 0
	for _, b := range e.boards {
		b.base = members
		members += len(b.members)
		p = b.append(p)
		keys = k.ofBoard(keys, b.ref())
	}
	boards, names := len(p), 0
	data := members + 2 // index of what comes behind the members
	var texts []string
	p = binary.BigEndian.AppendUint16(p, uint16(len(batches)))
	n := 0
	for _, batch := range batches {
		conditions := hasConditions(batch.Ops)
		ops := uint16(len(batch.Ops))
		if conditions {
			ops |= withConditions
		}
		p = binary.BigEndian.AppendUint16(p, ops)
		p = binary.BigEndian.AppendUint64(p, uint64(batch.At.UnixMilli()))
		if batch.Once == "" {
			p = append(p, 0, 0)
		} else {
			names++
			name := uint16(names)
			if batch.OnceDigest != noDigest {
				name |= withDigest
			}
			p = binary.BigEndian.AppendUint16(p, name)
			if batch.OnceDigest != noDigest {
				p = append(p, batch.OnceDigest[:]...)
			}
			keys = append(keys, k.once(batch.Ops[0].Board, batch.Once))
		}
		for i := range batch.Ops {
			op, encoded := &batch.Ops[i], &e.ops[n]
			n++
			p = append(p, encoded.kind)
			p = binary.BigEndian.AppendUint16(p, uint16(e.boards[encoded.board].base+encoded.member+1))
			switch {
			case op.Data == nil || encoded.kind == kindRemove:
				p = append(p, 0, 0)
			case string(op.Data) == "null":
				p = append(p, 0, 1)
			default:
				p = binary.BigEndian.AppendUint16(p, uint16(data+len(texts)))
				texts = append(texts, string(op.Data))
			}
			p = binary.BigEndian.AppendUint64(p, math.Float64bits(float64(encoded.scaled)))
			if conditions {
				p = appendCondition(p, op.If, encoded.refused || e.boards[encoded.board].settings.board.ZSet != "")
			}
		}
	}
	e.packed = p
	args = append(args, string(p[:boards]), string(p[boards:]))
	for _, b := range e.boards {
		args = append(args, b.members...)
	}
	args = append(args, texts...)
	if len(batches) == 1 && batches[0].Once == "" && batches[0].OnceDigest != noDigest {
		args = append(args, keep) // it is a part of one that has its name elsewhere
	}
	return keys, args
}

// names are the boards, as intents have them.
func (e *encoder) names() string {
	names := make([]string, len(e.boards))
	for i, b := range e.boards {
		names[i] = b.ref().String()
	}
	return strings.Join(names, "/") // an id has no slash
}

func (e *encoder) reset() {
	for _, b := range e.boards {
		clear(b.members)
		clear(b.index)
		b.members = b.members[:0]
		e.spare = append(e.spare, b)
	}
	e.boards, e.ops = e.boards[:0], e.ops[:0]
	if e.index == nil {
		e.index = make(map[string]int)
	}
	clear(e.index)
}

func (e *encoder) has(id string) bool {
	_, ok := e.index[id]
	return ok
}

func (e *encoder) add(id string) int {
	var b *encodedBoard
	if n := len(e.spare); n > 0 {
		b, e.spare = e.spare[n-1], e.spare[:n-1]
	} else {
		b = &encodedBoard{index: make(map[string]int)}
	}
	b.id, b.current, b.taken = id, e.store.settings.get(id), false
	b.settings = b.current
	e.index[id] = len(e.boards)
	e.boards = append(e.boards, b)
	return len(e.boards) - 1
}

func (b *encodedBoard) append(p []byte) []byte {
	set := &b.settings.board
	p = binary.BigEndian.AppendUint64(p, b.current.revision)
	sign, policy := byte(1), byte(0)
	if set.Order == leaderboard.Descending {
		sign = 0xff
	}
	switch set.Policy {
	case leaderboard.Best:
		policy = 1
	case leaderboard.Latest:
		policy = 2
	}
	if set.Bounded() {
		policy |= boundedPolicy
	}
	if set.SubmitsPerMinute != 0 {
		policy |= limitedPolicy
	}
	if b.late() {
		policy |= latePolicy
	}
	if set.MaxEntries != 0 {
		policy |= cappedPolicy
	}
	if b.aging() {
		policy |= agingPolicy
	}
	style := byte(0)
	switch set.RankStyle {
	case leaderboard.Competition:
		style = 1
	case leaderboard.Dense:
		style = 2
	}
	p = append(p, sign, policy, bit(set.Ties == leaderboard.LatestTie), style)
	p = binary.BigEndian.AppendUint64(p, math.Float64bits(float64(leaderboard.MaxScore(set.Decimals))))
	p = binary.BigEndian.AppendUint16(p, uint16(len(b.members)))
	p = append(p, byte(len(b.id)))
	p = append(p, b.id...)
	if set.Bounded() {
		p = appendLimit(p, set, set.MinScore, math.Inf(-1))
		p = appendLimit(p, set, set.MaxScore, math.Inf(1))
		p = appendLimit(p, set, set.MaxStep, math.Inf(1))
	}
	if set.SubmitsPerMinute != 0 {
		p = binary.BigEndian.AppendUint16(p, uint16(set.SubmitsPerMinute))
	}
	if b.late() {
		p = binary.BigEndian.AppendUint32(p, uint32(b.settings.run.Season))
	}
	if set.MaxEntries != 0 {
		p = append(binary.BigEndian.AppendUint32(p, uint32(set.MaxEntries)), leaderboard.FallWithMember)
	}
	if b.aging() {
		p = binary.BigEndian.AppendUint32(p, uint32(set.EntryTTL))
	}
	return p
}

// appendLimit appends a bound as batch.lua has it.
func appendLimit(p []byte, set *leaderboard.Board, bound leaderboard.Bound, none float64) []byte {
	if limit, ok := bound.Scaled(set.Decimals); ok {
		none = float64(limit)
	}
	return binary.BigEndian.AppendUint64(p, math.Float64bits(none))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// reader reads what struct.pack has written. When there is less than expected,
// bad is set and zeros are read.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) take(n int) string {
	if len(r.rest) < n {
		r.bad = true
		r.rest = ""
		return "\x00\x00\x00\x00\x00\x00\x00\x00"[:min(n, 8)]
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uint16() uint16 {
	s := r.take(2)
	return uint16(s[0])<<8 | uint16(s[1])
}

func (r *reader) uint32() uint32 {
	s := r.take(4)
	return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
}

func (r *reader) uint64() uint64 { return uint64(r.uint32())<<32 | uint64(r.uint32()) }

func (r *reader) score() int64 { return int64(math.Float64frombits(r.uint64())) }

// head reads how answers about boards begin: what is behind their first letter.
func (r *reader) head() (epoch string, us int64) {
	us = int64(r.uint64())
	return r.take(int(r.byte())), us
}

// status of a board in an answer, as in batch.lua.
const (
	statusNone = iota
	statusOK
	statusStale
	statusLocked
)

var errAnswer = errors.New("the answer is not what a script of this version gives")

// readBoards reads what the boards were before the batches.
func (e *encoder) readBoards(r *reader) error {
	for _, b := range e.boards {
		b.status, b.rev, b.total = r.byte(), r.uint64(), int(r.uint32())
		revision := r.uint64()
		more := r.take(int(r.uint16()))
		b.lock = ""
		b.seen = b.rev
		switch b.status {
		case statusOK:
			if b.late() {
				past := reader{rest: more}
				b.seen = past.uint64()
				r.bad = r.bad || past.bad
			}
		case statusStale:
			if r.bad {
				return errAnswer
			}
			if _, err := e.store.settings.put(b.id, revision, []byte(more)); err != nil {
				return err
			}
		case statusLocked:
			b.lock = more
		}
	}
	if r.bad {
		return errAnswer
	}
	return nil
}

// errStale says that the settings of a board were other ones than those known.
var errStale = errors.New("settings have changed")

// lockedError says that a board is locked by a batch over several partitions.
type lockedError struct{ lock string }

func (e *lockedError) Error() string { return "board is locked by batch " + e.lock }

// readOutcome reads what became of a batch, whose first operation has the index
// first among all of the call.
func (e *encoder) readOutcome(r *reader, epoch string, batch leaderboard.Batch, first int) (leaderboard.Outcome, error) {
	switch why := r.byte(); why {
	case 'O':
	case 'V':
		outcome, err := readKept(r, batch)
		for _, view := range outcome.Boards { // for the batches behind this one
			if i, ok := e.index[view.Board.ID]; ok {
				b := e.boards[i]
				b.rev, b.seen, b.total = max(b.rev, view.Rev), view.Rev, view.Total
			}
		}
		return outcome, err
	case 'R', 'D', 'W':
		return readRepeated(r, why, batch)
	default:
		err := e.readFailure(r, why, batch, first)
		for i := range batch.Ops {
			if e.boards[e.ops[first+i].board].status == statusStale {
				return leaderboard.Outcome{}, errStale // its season may have to be ended first
			}
		}
		return leaderboard.Outcome{}, err
	}
	outcome := leaderboard.Outcome{Results: make([]leaderboard.Result, len(batch.Ops))}
	var boards [4]int
	order := boards[:0]
	last := -1
	for i := range batch.Ops {
		op, encoded := &batch.Ops[i], &e.ops[first+i]
		b := e.boards[encoded.board]
		flags, had, before, after := r.byte(), r.score(), int(r.uint32()), int(r.uint32())
		result := &outcome.Results[i]
		result.Member = op.Member
		if flags&4 != 0 {
			result.Previous = leaderboard.Standing{Score: had, Rank: before + 1}
		}
		if flags&8 != 0 {
			result.Rev = uint64(r.score())
		}
		if flags&16 != 0 {
			b.total -= int(r.byte())
		}
		switch flags & 3 {
		case 0:
			result.Reason = reasonOf(op, flags)
			result.Current = result.Previous
		case 1, 2:
			result.Rev = b.rev + 1
			score := encoded.scaled
			if flags&4 != 0 && encoded.kind == kindSubmit && b.settings.board.Policy == leaderboard.Sum {
				score += had
			}
			result.Current = leaderboard.Standing{Score: score, Rank: after + 1}
		}
		if flags&3 != 0 {
			result.Accepted = true
			b.rev++
			b.seen = b.rev
		}
		switch flags & 7 {
		case 1:
			b.total++
		case 3 | 4:
			b.total--
		}
		if encoded.board != last {
			last = encoded.board
			order = appendNew(order, last)
		}
	}
	if r.bad {
		return leaderboard.Outcome{}, errAnswer
	}
	outcome.Boards = make([]leaderboard.View, len(order))
	for i, n := range order {
		b := e.boards[n]
		outcome.Boards[i] = b.settings.view(b.seen, epoch, b.total)
	}
	return outcome, nil
}

// reasonOf is why nothing was changed: only who is not on the board can find it full.
func reasonOf(op *leaderboard.Op, flags byte) leaderboard.Reason {
	if op.Kind == leaderboard.Expire {
		return leaderboard.NotExpired
	}
	if flags&4 == 0 {
		return leaderboard.BoardFull
	}
	return leaderboard.NotBetter
}

// appendNew appends n unless it is there.
func appendNew(list []int, n int) []int {
	if slices.Contains(list, n) {
		return list
	}
	return append(list, n)
}

// readFailure reads why a batch was not carried out, behind the first letter.
func (e *encoder) readFailure(r *reader, why byte, batch leaderboard.Batch, first int) error {
	i, there, had := int(r.uint16()), r.byte() == 1, r.score()
	if r.bad || i >= len(batch.Ops) {
		return errAnswer
	}
	op := batch.Ops[i]
	b := e.boards[e.ops[first+i].board]
	failed := &leaderboard.BatchError{Index: i, Op: op}
	switch why {
	case 'T':
		return errStale
	case 'L':
		return &lockedError{b.lock}
	case 'N':
		failed.Err = boardNotFound(op.Board)
	case 'C':
		failed.Err = op.CheckRev(uint64(had))
		if failed.Err == nil {
			return fmt.Errorf("condition of member %q on board %q: %w", op.Member, op.Board, errAnswer)
		}
	case 'Q':
		failed.Err = b.settings.board.TooManySubmits(&op, batch.At)
	case 'M':
		failed.Err = memberNotFound(op.Member, op.Board)
	case 'X':
		if b.settings.board.ZSet != "" {
			failed.Err = readOnly(&b.settings.board)
			break
		}
		if _, err := b.current.board.Admit(b.current.run, &op, batch.At); err != nil {
			failed.Err = err
			break
		}
		var has *leaderboard.Record
		if there {
			has = &leaderboard.Record{Score: had}
		}
		_, _, failed.Err = b.settings.board.Decide(op, has)
		if failed.Err == nil {
			return fmt.Errorf("batch with %s on board %q: %w", op.Score, op.Board, errAnswer)
		}
	default:
		return errAnswer
	}
	return failed
}

func boardNotFound(id string) error {
	return leaderboard.Errorf(leaderboard.CodeBoardNotFound, "board %q does not exist", id)
}

func memberNotFound(member, board string) error {
	return leaderboard.Errorf(leaderboard.CodeMemberNotFound, "member %q is not on board %q", member, board)
}

func milliseconds(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
