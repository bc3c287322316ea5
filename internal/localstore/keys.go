package localstore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"laurel/internal/leaderboard"
)

// The format of what is on disk. A store refuses to open a directory of another.
//
//	"m" "format"                      → "1"
//	"m" "epoch"                       → the store's epoch
//	"m" "acked"                       → uvarint: the place in the change log up to which it is acknowledged
//	"b" id                            → the board's state, or its tombstone: appendState
//	"e" number, season, member        → an entry: appendEntry
//	"s" number, season                → a past season: appendPast
//	"f" number, season                → its directory, if its standing is final: appendDirectory
//	"f" number, season, block         → a part of that standing: appendBlock
//	"x" number                        → (empty) the entries of this number are to be removed, and its past seasons
//	"x" number, season                → (empty) those of this season are
//	"o" day, board's id, 0, name      → a request of this name was carried out on that day: empty, or its digest and
//	                                    what came of it: appendOutcome
//	"hn" board's id                   → a note: its version as a uvarint, and its text
//	"hq" queue, 0, board's id, 0, place → a message: its text
//
// number, season, block and day, counted from 1970, are big-endian uint32s, place is a uint64. A board gets a number of its own
// when it is created, so that one which is created again under the id of a
// deleted one can never meet the entries of its predecessor. The season stands
// in the key of an entry so that those of a past one can stay where they are: they
// have what its standing does not, and lead to a member's place in it.
//
// There are no checksums here: Pebble has one for each record of its log and
// each block of its tables, and looks at it whenever it reads.
const format = "1"

const (
	metaPrefix    = 'm'
	boardPrefix   = 'b'
	entryPrefix   = 'e'
	garbagePrefix = 'x'
	pastPrefix    = 's'
	finalPrefix   = 'f'
	oncePrefix    = 'o'
)

var (
	formatKey = []byte("mformat")
	epochKey  = []byte("mepoch")
	ackedKey  = []byte("macked")
)

const entryKeyHeader = 1 + 4 + 4

func appendBoardKey(dst []byte, id string) []byte {
	return append(append(dst, boardPrefix), id...)
}

func appendEntryKey(dst []byte, number, season uint32, member string) []byte {
	dst = append(dst, entryPrefix)
	dst = binary.BigEndian.AppendUint32(dst, number)
	dst = binary.BigEndian.AppendUint32(dst, season)
	return append(dst, member...)
}

// appendOnceKey appends the key of a batch's name. A board's id has no zero byte.
func appendOnceKey(dst []byte, day uint32, board, name string) []byte {
	dst = append(dst, oncePrefix)
	dst = binary.BigEndian.AppendUint32(dst, day)
	dst = append(append(dst, board...), 0)
	return append(dst, name...)
}

// dayOf returns the day of a time in ms, so that names can be forgotten by the day.
func dayOf(ms int64) uint32 {
	return uint32(max(ms, 0) / leaderboard.OnceTTL.Milliseconds())
}

func parseEntryKey(key []byte) (number, season uint32, member []byte, err error) {
	if len(key) <= entryKeyHeader {
		return 0, 0, nil, errors.New("the key is too short")
	}
	return binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint32(key[5:]), key[entryKeyHeader:], nil
}

// showKey writes a key for people.
func showKey(key []byte) string {
	if len(key) > entryKeyHeader && key[0] == entryPrefix {
		number, season, member, _ := parseEntryKey(key)
		return fmt.Sprintf("e/%d/%d/%q", number, season, member)
	}
	return strconv.Quote(string(key))
}

// state is what a board is, but for its entries. A deleted board has one too,
// with its last rev.
type state struct {
	settings leaderboard.Board
	number   uint32 // under which its entries are kept
	run      leaderboard.Run
	rev      uint64
	seq      uint64 // place in the change log of its last change
	total    int    // entries of the season
	deleted  bool

	// What follows is not on disk, but comes of what is.

	oldest int   // the first season that is kept
	due    int64 // when the season has to be ended, in ms; 0: nobody knows
}

// season is the number of the season, as it is in keys.
func (s *state) season() uint32 { return uint32(s.run.Season) }

// The flags that begin a board's state.
const (
	stateDeleted   = 1 << iota // a tombstone: only number, rev and seq follow
	stateAscending             // order
	stateLatestTie             // ties
	stateCompetition
	stateDense
	knownStateFlags = 1<<iota - 1 | stateBounded | stateLimited | stateSeasonal
)

// stateBounded is the flag of a board with bounds.
const stateBounded = 1 << 6

// stateLimited is the flag of a board with one of limits.
const stateLimited = 1 << 7

// limits are settings that are 0 unless the board has them, in the order of the
// bits that say which there are.
func limits(b *leaderboard.Board) [3]*int {
	return [3]*int{&b.SubmitsPerMinute, &b.MaxEntries, &b.EntryTTL}
}

// appendLimits appends which of the limits there are, and those.
func appendLimits(dst []byte, b *leaderboard.Board) []byte {
	bits := len(dst)
	dst = append(dst, 0)
	for i, limit := range limits(b) {
		if *limit != 0 {
			dst[bits] |= 1 << i
			dst = binary.AppendUvarint(dst, uint64(*limit))
		}
	}
	return dst
}

// parseLimits reads the limits of a board that has some.
func parseLimits(r *reader, b *leaderboard.Board) error {
	which := r.uvarint()
	if which >= 1<<len(limits(b)) {
		return fmt.Errorf("unknown limits %#x", which)
	}
	for i, limit := range limits(b) {
		if which&(1<<i) != 0 {
			*limit = int(r.uvarint())
		}
	}
	return nil
}

func isLimited(b *leaderboard.Board) bool {
	all := limits(b)
	return slices.ContainsFunc(all[:], func(limit *int) bool { return *limit != 0 })
}

// bounds are those that a board may have, in the order of the bits that say which
// there are.
func bounds(b *leaderboard.Board) [3]*leaderboard.Bound {
	return [3]*leaderboard.Bound{&b.MinScore, &b.MaxScore, &b.MaxStep}
}

var policies = []leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest}

// appendState writes
//
//	flags, number, rev, seq [, season, total, policy, decimals, top, interval, created at in ms
//	[, which bounds there are, bounds…] [, which limits there are, limits…] [, the season: appendRun]]
//
// each as a uvarint, times and bounds as varints.
func appendState(dst []byte, s *state) []byte {
	var flags uint64
	if s.deleted {
		flags |= stateDeleted
	}
	if s.settings.Order == leaderboard.Ascending {
		flags |= stateAscending
	}
	if s.settings.Ties == leaderboard.LatestTie {
		flags |= stateLatestTie
	}
	switch s.settings.RankStyle {
	case leaderboard.Competition:
		flags |= stateCompetition
	case leaderboard.Dense:
		flags |= stateDense
	}
	bounded := s.settings.Bounded() && !s.deleted
	if bounded {
		flags |= stateBounded
	}
	limited := !s.deleted && isLimited(&s.settings)
	if limited {
		flags |= stateLimited
	}
	seasonal := s.seasonal() && !s.deleted
	if seasonal {
		flags |= stateSeasonal
	}
	dst = binary.AppendUvarint(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(s.number))
	dst = binary.AppendUvarint(dst, s.rev)
	dst = binary.AppendUvarint(dst, s.seq)
	if s.deleted {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(s.run.Season))
	dst = binary.AppendUvarint(dst, uint64(s.total))
	dst = binary.AppendUvarint(dst, uint64(slices.Index(policies, s.settings.Policy)))
	dst = binary.AppendUvarint(dst, uint64(s.settings.Decimals))
	dst = binary.AppendUvarint(dst, uint64(s.settings.Top))
	dst = binary.AppendUvarint(dst, uint64(s.settings.Interval))
	dst = binary.AppendVarint(dst, s.settings.CreatedAt.UnixMilli())
	if bounded {
		dst = appendBounds(dst, &s.settings)
	}
	if limited {
		dst = appendLimits(dst, &s.settings)
	}
	if seasonal {
		dst = appendRun(dst, s)
	}
	return dst
}

// appendBounds appends which of the bounds there are, and those.
func appendBounds(dst []byte, b *leaderboard.Board) []byte {
	bits := len(dst)
	dst = append(dst, 0)
	for i, bound := range bounds(b) {
		if limit, ok := bound.Scaled(b.Decimals); ok {
			dst[bits] |= 1 << i
			dst = binary.AppendVarint(dst, limit)
		}
	}
	return dst
}

// parseBounds reads the bounds of a board that has some.
func parseBounds(r *reader, b *leaderboard.Board) error {
	which := r.uvarint()
	if which >= 1<<len(bounds(b)) {
		return fmt.Errorf("unknown bounds %#x", which)
	}
	for i, bound := range bounds(b) {
		if which&(1<<i) != 0 {
			*bound = leaderboard.BoundOf(leaderboard.ScaledDecimal(r.varint(), b.Decimals))
		}
	}
	return nil
}

func parseState(id string, value []byte) (state, error) {
	r := reader{value}
	flags := r.uvarint()
	s := state{
		deleted: flags&stateDeleted != 0,
		number:  uint32(r.uvarint()),
		rev:     r.uvarint(),
		seq:     r.uvarint(),
	}
	switch {
	case r.rest == nil:
		return state{}, errCutShort
	case flags&^knownStateFlags != 0:
		return state{}, fmt.Errorf("unknown flags %#x", flags)
	case s.deleted:
		return s, r.end()
	}
	s.run.Season = int(r.uvarint())
	s.total = int(r.uvarint())
	policy := r.uvarint()
	s.settings = leaderboard.Board{
		ID:        id,
		Order:     leaderboard.Descending,
		Ties:      leaderboard.Earliest,
		RankStyle: leaderboard.Ordinal,
		Decimals:  int(r.uvarint()),
		Top:       int(r.uvarint()),
		Interval:  int(r.uvarint()),
		CreatedAt: time.UnixMilli(r.varint()).UTC(),
	}
	if policy >= uint64(len(policies)) {
		return state{}, fmt.Errorf("unknown policy %d", policy)
	}
	s.settings.Policy = policies[policy]
	if flags&stateAscending != 0 {
		s.settings.Order = leaderboard.Ascending
	}
	if flags&stateLatestTie != 0 {
		s.settings.Ties = leaderboard.LatestTie
	}
	switch flags & (stateCompetition | stateDense) {
	case stateCompetition:
		s.settings.RankStyle = leaderboard.Competition
	case stateDense:
		s.settings.RankStyle = leaderboard.Dense
	case stateCompetition | stateDense:
		return state{}, errors.New("two rank styles")
	}
	if flags&stateBounded != 0 {
		if err := parseBounds(&r, &s.settings); err != nil {
			return state{}, err
		}
	}
	if flags&stateLimited != 0 {
		if err := parseLimits(&r, &s.settings); err != nil {
			return state{}, err
		}
	}
	s.run.StartsAt = s.settings.CreatedAt
	if flags&stateSeasonal != 0 {
		if err := parseRun(&r, &s); err != nil {
			return state{}, err
		}
	}
	if err := r.end(); err != nil {
		return state{}, err
	}
	s.due = dueOf(&s)
	return s, s.settings.Validate()
}

// The flags that begin an entry.
const (
	entryHasData    = 1 << iota
	entryHasRev     // its last change is not the one that gave it its score
	knownEntryFlags = 1<<iota - 1
)

// appendEntry writes
//
//	flags, seq, score as a varint, updated at in ms [, rev less seq] [, data]
//
// where the first byte is the flags, and the rest uvarints unless said otherwise.
func appendEntry(dst []byte, score int64, seq, rev uint64, updated int64, data json.RawMessage) []byte {
	var flags byte
	if data != nil {
		flags = entryHasData
	}
	if rev != seq {
		flags |= entryHasRev
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, seq)
	dst = binary.AppendVarint(dst, score)
	dst = binary.AppendVarint(dst, updated)
	if rev != seq {
		dst = binary.AppendUvarint(dst, rev-seq)
	}
	return append(dst, data...)
}

// parseEntry reads an entry; data is a part of value.
func parseEntry(value []byte) (score int64, seq, rev uint64, updated int64, data []byte, err error) {
	if len(value) == 0 || value[0]&^knownEntryFlags != 0 {
		return 0, 0, 0, 0, nil, errors.New("unknown flags")
	}
	r := reader{value[1:]}
	seq, score, updated = r.uvarint(), r.varint(), r.varint()
	rev = seq
	if value[0]&entryHasRev != 0 {
		rev += r.uvarint()
	}
	switch {
	case r.rest == nil:
		return 0, 0, 0, 0, nil, errCutShort
	case value[0]&entryHasData != 0:
		if len(r.rest) == 0 {
			return 0, 0, 0, 0, nil, errCutShort
		}
		data = r.rest
	case len(r.rest) > 0:
		return 0, 0, 0, 0, nil, errTooLong
	}
	return score, seq, rev, updated, data, nil
}

var (
	errCutShort = errors.New("the value is cut short")
	errTooLong  = errors.New("the value is too long")
)

// reader takes numbers from the front of rest, which is nil after one that was
// not whole.
type reader struct{ rest []byte }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) skip(n int) {
	if n <= 0 {
		r.rest = nil
		return
	}
	r.rest = r.rest[n:]
	if r.rest == nil {
		r.rest = []byte{}
	}
}

func (r *reader) end() error {
	switch {
	case r.rest == nil:
		return errCutShort
	case len(r.rest) > 0:
		return errTooLong
	}
	return nil
}
