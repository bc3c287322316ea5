package redisstore

import (
	"fmt"

	"laurel/internal/leaderboard"
)

// How batches with a digest are written; see batch.lua.
const (
	withDigest = 1 << 15
	keep       = "\x00"
)

var noDigest leaderboard.Digest

// spreadError says that a batch over several partitions has been decided for, and under
// which lock each of them keeps what became of its part.
type spreadError struct{ lock string }

func (e *spreadError) Error() string { return "it was carried out as batch " + e.lock }

// readRepeated reads what became of a batch whose name is there, behind the first letter.
func readRepeated(r *reader, why byte, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	switch why {
	case 'R':
		return leaderboard.Outcome{Repeated: true}, nil
	case 'D':
		return leaderboard.Outcome{}, leaderboard.ErrOnceReused
	}
	text := reader{rest: r.take(int(r.uint32()))}
	switch text.byte() {
	case 'S':
		return leaderboard.Outcome{}, &spreadError{text.rest}
	case 'V':
		outcome, err := readKept(&text, batch)
		outcome.Repeated = err == nil
		return outcome, err
	}
	return leaderboard.Outcome{}, errAnswer
}

// readKept reads what is kept of a batch, behind the first letter.
func readKept(r *reader, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	var outcome leaderboard.Outcome
	epoch := r.take(int(r.byte()))
	for range r.uint16() {
		id := r.take(int(r.byte()))
		rev, total := r.uint64(), int(r.uint32())
		var set settings
		if err := set.parse([]byte(r.take(int(r.uint16())))); err != nil {
			return leaderboard.Outcome{}, fmt.Errorf("settings of board %q: %w", id, err)
		}
		outcome.Boards = append(outcome.Boards, set.view(rev, epoch, total))
	}
	results := int(r.uint16())
	if r.bad {
		return leaderboard.Outcome{}, errAnswer
	}
	if results != len(batch.Ops) {
		return leaderboard.Outcome{}, leaderboard.ErrOnceReused
	}
	for _, op := range batch.Ops {
		flags, had, before, after := r.byte(), r.score(), int(r.uint32()), int(r.uint32())
		result := leaderboard.Result{Member: op.Member, Accepted: flags&3 != 0}
		if flags&8 != 0 {
			result.Rev = uint64(r.score())
		}
		if flags&16 != 0 {
			r.byte()
		}
		if flags&4 != 0 {
			result.Previous = leaderboard.Standing{Score: had, Rank: before + 1}
		}
		switch score := r.score(); flags & 3 {
		case 0:
			result.Reason = reasonOf(&op, flags)
			result.Current = result.Previous
		case 1, 2:
			result.Current = leaderboard.Standing{Score: score, Rank: after + 1}
		}
		outcome.Results = append(outcome.Results, result)
	}
	if r.bad {
		return leaderboard.Outcome{}, errAnswer
	}
	numberKept(&outcome, batch)
	return outcome, nil
}

// numberKept fills in the revs of the entries that a batch changed: each change was
// one of its board, the last of which the board's rev is of.
func numberKept(outcome *leaderboard.Outcome, batch leaderboard.Batch) {
	revs := make(map[string]uint64, len(outcome.Boards))
	for i := range outcome.Boards {
		revs[outcome.Boards[i].Board.ID] = outcome.Boards[i].Rev
	}
	for i := len(outcome.Results) - 1; i >= 0; i-- {
		result, board := &outcome.Results[i], batch.Ops[i].Board
		if !result.Accepted {
			continue
		}
		if result.Current.Rank != 0 {
			result.Rev = revs[board]
		}
		revs[board]--
	}
}
