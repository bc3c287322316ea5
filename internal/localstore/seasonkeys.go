package localstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"laurel/internal/leaderboard"
)

// stateSeasonal is the flag of a board that has a setting of seasons, or is not in its
// first season as it began with its creation.
const stateSeasonal = 1 << 8

// appendSeasonKey appends a key of a season, or with season 0 what begins those of
// all seasons of a number.
func appendSeasonKey(dst []byte, prefix byte, number, season uint32) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, prefix), number)
	if season == 0 {
		return dst
	}
	return binary.BigEndian.AppendUint32(dst, season)
}

func parseSeasonKey(key []byte) (number, season uint32, err error) {
	switch len(key) {
	case 1 + 4 + 4:
		season = binary.BigEndian.Uint32(key[5:])
		fallthrough
	case 1 + 4:
		return binary.BigEndian.Uint32(key[1:]), season, nil
	}
	return 0, 0, errors.New("the key has a wrong length")
}

func appendBlockKey(dst []byte, number, season uint32, block int) []byte {
	return binary.BigEndian.AppendUint32(appendSeasonKey(dst, finalPrefix, number, season), uint32(block))
}

// keysOf returns the bounds of the keys of a season, or with season 0 of all seasons
// of a number.
func keysOf(prefix byte, number, season uint32) (start, end []byte) {
	start = appendSeasonKey(nil, prefix, number, season)
	switch {
	case season != 0 && season < math.MaxUint32:
		return start, appendSeasonKey(nil, prefix, number, season+1)
	case number < math.MaxUint32:
		return start, appendSeasonKey(nil, prefix, number+1, 0)
	}
	return start, []byte{prefix + 1}
}

// seasonal reports whether the season is another than what older versions have.
func (s *state) seasonal() bool {
	first := leaderboard.Run{Season: s.run.Season, StartsAt: s.run.StartsAt}
	return s.settings.Seasons != (leaderboard.Seasons{}) || s.run != first || s.run.Season != 1 || !s.run.StartsAt.Equal(s.settings.CreatedAt)
}

// dueOf returns when the season has to be ended, in ms; 0 if nobody knows.
func dueOf(s *state) int64 {
	if due := s.settings.DueAt(s.run); !due.IsZero() {
		return due.UnixMilli()
	}
	return 0
}

// The flags that begin a season.
const (
	runAwaited = 1 << iota
	runClosed
)

// moments are the times of the setting and of the season that there may be, in the
// order of the bits that say which there are.
func (s *state) moments() [6]*time.Time {
	return [6]*time.Time{&s.settings.Seasons.From, &s.settings.Seasons.StartsAt, &s.settings.Seasons.EndsAt, &s.run.StartsAt, &s.run.EndsAt, &s.run.LateUntil}
}

func (s *state) texts() [3]*string {
	return [3]*string{&s.settings.Seasons.Cron, &s.settings.Seasons.Every, &s.settings.Seasons.TimeZone}
}

// appendRun writes the setting of seasons and the current one:
//
//	flags, which times there are, times in ms, cron, every and time zone, grace, keep
//
// where times are varints, texts have their length before them, and the rest is
// uvarints.
func appendRun(dst []byte, s *state) []byte {
	var flags, which uint64
	if s.run.Awaited {
		flags |= runAwaited
	}
	if s.run.Closed {
		flags |= runClosed
	}
	dst = binary.AppendUvarint(dst, flags)
	moments := s.moments()
	for i, t := range moments {
		if !t.IsZero() {
			which |= 1 << i
		}
	}
	dst = binary.AppendUvarint(dst, which)
	for _, t := range moments {
		if !t.IsZero() {
			dst = binary.AppendVarint(dst, t.UnixMilli())
		}
	}
	for _, text := range s.texts() {
		dst = appendSized(dst, []byte(*text))
	}
	dst = binary.AppendUvarint(dst, uint64(s.settings.Seasons.Grace))
	return binary.AppendUvarint(dst, uint64(s.settings.Seasons.Keep))
}

func parseRun(r *reader, s *state) error {
	flags, which := r.uvarint(), r.uvarint()
	moments := s.moments()
	if flags >= 1<<2 || which >= 1<<len(moments) {
		return fmt.Errorf("unknown flags %#x, %#x of a season", flags, which)
	}
	s.run.Awaited, s.run.Closed = flags&runAwaited != 0, flags&runClosed != 0
	for i, t := range moments {
		*t = time.Time{}
		if which&(1<<i) != 0 {
			*t = time.UnixMilli(r.varint()).UTC()
		}
	}
	for _, text := range s.texts() {
		*text = string(r.sized())
	}
	s.settings.Seasons.Grace, s.settings.Seasons.Keep = int(r.uvarint()), int(r.uvarint())
	return nil
}

const pastFinal = 1

// appendPast writes a past season: flags as a byte, and the state that the board
// had at its end, but with the season's own rev.
func appendPast(dst []byte, s *state, final bool) []byte {
	var flags byte
	if final {
		flags = pastFinal
	}
	own := *s
	own.seq = 0
	return appendState(append(dst, flags), &own)
}

func parsePast(id string, value []byte) (s state, final bool, err error) {
	if len(value) == 0 || value[0] > pastFinal {
		return state{}, false, errors.New("unknown flags")
	}
	s, err = parseState(id, value[1:])
	return s, value[0] == pastFinal, err
}

// A final standing is kept in blocks of so many entries, but for the last.
const blockLen = 256

// placed is an entry of a final standing.
type placed struct {
	member  string
	score   int64
	seq     uint64
	rev     uint64
	updated int64 // in ms
	data    bool  // there is some, with the entry
}

// appendBlock writes entries that follow each other, each as
//
//	2 × length of the member (+ 1 if it has data), member, score and updated at less those of the entry before,
//	seq, rev less seq
//
// where differences are varints, and the rest uvarints.
func appendBlock(dst []byte, entries []placed) []byte {
	var before placed
	for i := range entries {
		e := &entries[i]
		head := uint64(len(e.member)) << 1
		if e.data {
			head |= 1
		}
		dst = binary.AppendUvarint(dst, head)
		dst = append(dst, e.member...)
		dst = binary.AppendVarint(dst, e.score-before.score)
		dst = binary.AppendVarint(dst, e.updated-before.updated)
		dst = binary.AppendUvarint(dst, e.seq)
		dst = binary.AppendUvarint(dst, e.rev-e.seq)
		before = *e
	}
	return dst
}

// parseBlock appends the entries of a block to dst.
func parseBlock(dst []placed, value []byte) ([]placed, error) {
	text := string(value) // that members share
	r := reader{value}
	var e placed
	for len(r.rest) > 0 {
		head := r.uvarint()
		n := head >> 1
		if r.rest == nil || n == 0 || n > uint64(len(r.rest)) {
			return dst, errCutShort
		}
		from := len(value) - len(r.rest)
		r.skipTo(int(n))
		e.member, e.data = text[from:from+int(n)], head&1 != 0
		e.score += r.varint()
		e.updated += r.varint()
		e.seq = r.uvarint()
		e.rev = e.seq + r.uvarint()
		if r.rest == nil {
			return dst, errCutShort
		}
		dst = append(dst, e)
	}
	return dst, nil
}

// directory says where in a final standing what is.
type directory struct {
	total  int
	blocks []blockPlace
}

// blockPlace is where a block begins.
type blockPlace struct {
	score  int64
	seq    uint64
	better uint32 // how many entries have a better score than its first
	levels uint32 // how many such scores there are
}

// appendDirectory writes
//
//	total, and of each block score, seq, better and levels, less those of the block before
//
// all but total as varints.
func appendDirectory(dst []byte, d *directory) []byte {
	dst = binary.AppendUvarint(dst, uint64(d.total))
	var before blockPlace
	for _, b := range d.blocks {
		dst = binary.AppendVarint(dst, b.score-before.score)
		dst = binary.AppendVarint(dst, int64(b.seq-before.seq))
		dst = binary.AppendVarint(dst, int64(b.better)-int64(before.better))
		dst = binary.AppendVarint(dst, int64(b.levels)-int64(before.levels))
		before = b
	}
	return dst
}

func parseDirectory(value []byte) (*directory, error) {
	r := reader{value}
	d := &directory{total: int(r.uvarint())}
	if r.rest == nil || d.total < 0 || d.total > math.MaxUint32 {
		return nil, errCutShort
	}
	count := (d.total + blockLen - 1) / blockLen
	if count > len(r.rest) {
		return nil, errCutShort
	}
	d.blocks = slices.Grow(d.blocks, count)
	var b blockPlace
	for range count {
		b.score += r.varint()
		b.seq += uint64(r.varint())
		b.better += uint32(r.varint())
		b.levels += uint32(r.varint())
		d.blocks = append(d.blocks, b)
	}
	return d, r.end()
}

// bytes is about how much memory the directory takes.
func (d *directory) bytes() int { return 64 + 24*cap(d.blocks) }
