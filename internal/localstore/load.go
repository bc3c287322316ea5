package localstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
	"laurel/internal/zset"
)

// load fills memory from the disk.
func (s *Store) load(ctx context.Context) error {
	if err := s.loadMeta(); err != nil {
		return err
	}
	byNumber, err := s.loadBoards()
	if err != nil {
		return err
	}
	if err := s.loadGarbage(byNumber); err != nil {
		return err
	}
	if err := s.loadOutbox(); err != nil {
		return err
	}
	if err := s.loadSeasons(byNumber); err != nil {
		return err
	}
	if err := s.loadEntries(ctx, byNumber); err != nil {
		return err
	}
	s.beginSeasons()
	s.setReadable(s.disk.db)
	return nil
}

// damage says that the value of a key is not what it should be.
func damage(key []byte, err error) error {
	return fmt.Errorf("key %s: %w: %w", showKey(key), ErrDamaged, err)
}

func (s *Store) loadMeta() error {
	version, err := s.get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return s.initialise()
	}
	if err != nil {
		return err
	}
	if string(version) != format {
		return fmt.Errorf("the data has format %q; this version reads %q", version, format)
	}
	epoch, err := s.get(epochKey)
	if err != nil {
		return damage(epochKey, err)
	}
	s.epoch = string(epoch)
	acked, err := s.get(ackedKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r := reader{acked}
	s.acked = r.uvarint()
	if err := r.end(); err != nil {
		return damage(ackedKey, err)
	}
	return nil
}

// initialise writes what is in a store that nothing was written to.
func (s *Store) initialise() error {
	it, err := s.disk.db.NewIter(nil)
	if err != nil {
		return err
	}
	found := it.First()
	key := showKey(it.Key())
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return s.damaged(err)
	}
	if found {
		return fmt.Errorf("%w: there is data, such as the key %s, but no format", ErrDamaged, key)
	}
	s.epoch = rand.Text()
	batch := s.disk.db.NewBatch()
	err = errors.Join(batch.Set(formatKey, []byte(format), nil), batch.Set(epochKey, []byte(s.epoch), nil))
	if err != nil {
		return err
	}
	return s.disk.commit(batch, true)
}

func (s *Store) get(key []byte) ([]byte, error) {
	value, closer, err := s.disk.db.Get(key)
	if err != nil {
		return nil, s.damaged(err)
	}
	return bytes.Clone(value), closer.Close()
}

// scan yields the keys that begin with a prefix, and their values, until the
// next one. The error is in *failed afterwards.
func (s *Store) scan(prefix byte, failed *error) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		it, err := s.disk.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
		if err != nil {
			*failed = err
			return
		}
		for ok := it.First(); ok && yield(it.Key(), it.Value()); ok = it.Next() {
		}
		if err := errors.Join(it.Error(), it.Close()); err != nil && *failed == nil {
			*failed = s.damaged(err)
		}
	}
}

func (s *Store) loadBoards() (byNumber map[uint32]*board, err error) {
	byNumber = make(map[uint32]*board)
	last := s.acked
	var records []record
	for key, value := range s.scan(boardPrefix, &err) {
		id := string(key[1:])
		st, err := parseState(id, value)
		if err != nil {
			return nil, damage(key, err)
		}
		st.oldest = st.run.Season
		b := newBoard(st)
		s.boards[id] = b
		s.nextNumber = max(s.nextNumber, st.number+1)
		last = max(last, st.seq)
		if st.seq > s.acked {
			records = append(records, record{seq: st.seq})
			records[len(records)-1].Board, records[len(records)-1].Rev = id, st.rev
		}
		if st.deleted {
			continue
		}
		if other := byNumber[st.number]; other != nil {
			return nil, damage(key, fmt.Errorf("its number %d is that of board %q too", st.number, other.settings.ID))
		}
		byNumber[st.number] = b
		s.ids = append(s.ids, id)
		if b.ages != nil {
			s.aging = append(s.aging, b)
		}
	}
	s.metrics.boards.Store(int64(len(s.ids)))
	s.changes.load(records, last, s.acked)
	return byNumber, err
}

func (s *Store) loadGarbage(byNumber map[uint32]*board) (err error) {
	for key := range s.scan(garbagePrefix, &err) {
		number, season, err := parseSeasonKey(key)
		if err != nil {
			return damage(key, err)
		}
		if b := byNumber[number]; b != nil && (season == 0 || season >= b.season()) {
			return damage(key, fmt.Errorf("its entries are those of board %q", b.settings.ID))
		}
		s.garbage = append(s.garbage, garbage{number, season})
		s.nextNumber = max(s.nextNumber, number+1)
	}
	return err
}

// loadSeasons reads which past seasons there are.
func (s *Store) loadSeasons(byNumber map[uint32]*board) (err error) {
	for key, value := range s.scan(pastPrefix, &err) {
		number, season, err := parseSeasonKey(key)
		if err != nil || season == 0 {
			return damage(key, cmp.Or(err, errors.New("it names no season")))
		}
		b := byNumber[number]
		if b == nil {
			if slices.Contains(s.garbage, garbage{number: number}) {
				continue
			}
			return damage(key, errors.New("it belongs to no board"))
		}
		st, final, err := parsePast(b.settings.ID, value)
		if err != nil {
			return damage(key, err)
		}
		switch {
		case st.number != number || st.run.Season != int(season):
			return damage(key, fmt.Errorf("it says that it is season %d of %d", st.run.Season, st.number))
		case st.run.Season >= b.run.Season:
			return damage(key, fmt.Errorf("board %q is in season %d", b.settings.ID, b.run.Season))
		case slices.Contains(s.garbage, garbage{number, season}):
			return damage(key, errors.New("it is to be removed"))
		}
		st.due = 0
		if len(b.past) == 0 {
			b.oldest = st.run.Season
		}
		if missing := b.oldest + len(b.past); missing != st.run.Season {
			return damage(appendSeasonKey(nil, pastPrefix, number, uint32(missing)), errors.New("the season is missing"))
		}
		p := &past{standings: newStandings(st), final: final}
		p.ages = nil // its entries do not expire
		if final {
			p.standings = &standings{state: st}
		}
		b.past = append(b.past, p)
	}
	for _, b := range byNumber {
		if missing := b.oldest + len(b.past); missing != b.run.Season || b.run.Season > 1 && len(b.past) == 0 {
			return damage(appendSeasonKey(nil, pastPrefix, b.number, uint32(b.run.Season-1)), errors.New("the season is missing"))
		}
	}
	return err
}

// beginSeasons sees to it that seasons end, and that those that have become final.
func (s *Store) beginSeasons() {
	for id, b := range s.boards {
		s.timetable.set(id, b.due)
		for i, p := range b.past {
			last := i == len(b.past)-1
			switch {
			case p.final && last:
				b.run.LateUntil = time.Time{} // as was decided before it became final
			case p.final:
			case last && !b.run.LateUntil.IsZero():
				s.finisher.add(b, id, p, p.settings.Seasons.GracePeriod()+clockSlack) // nobody knows how much of it is over
			default:
				s.finisher.add(b, id, p, 0)
			}
		}
	}
}

// loadEntries reads all entries that are kept in memory and builds the ranks of each
// board and of each season that is not final. It leaps over those that are.
func (s *Store) loadEntries(ctx context.Context, byNumber map[uint32]*board) (err error) {
	var (
		l       loader
		current *standings // whose entries are being read
		number  uint32
		season  uint32
		read    int
	)
	it, err := s.disk.db.NewIter(&pebble.IterOptions{LowerBound: []byte{entryPrefix}, UpperBound: []byte{entryPrefix + 1}})
	if err != nil {
		return err
	}
	defer func() {
		if failed := cmp.Or(it.Error(), it.Close()); failed != nil && err == nil {
			err = s.damaged(failed)
		}
	}()
	for ok := it.First(); ok; {
		key := it.Key()
		n, in, member, err := parseEntryKey(key)
		if err != nil {
			return damage(key, err)
		}
		if read == 0 || n != number || in != season {
			if err := l.finish(current); err != nil {
				return err
			}
			number, season = n, in
			var leap uint32
			current, leap, err = s.seasonOf(byNumber, n, in)
			if err != nil {
				return damage(key, err)
			}
			if current == nil {
				_, end := keysOf(entryPrefix, n, leap)
				ok = it.SeekGE(end)
				continue
			}
			l.begin(current)
		}
		if read++; read%(1<<16) == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.add(member, it.Value()); err != nil {
			return damage(key, err)
		}
		ok = it.Next()
	}
	if err := l.finish(current); err != nil {
		return err
	}
	return s.countEntries()
}

// seasonOf returns the season that entries belong to. If that is not to be loaded, leap
// is which season to leap over: 0 for all of the number.
func (s *Store) seasonOf(byNumber map[uint32]*board, number, season uint32) (st *standings, leap uint32, err error) {
	b := byNumber[number]
	switch {
	case b == nil && slices.Contains(s.garbage, garbage{number: number}):
		return nil, 0, nil
	case b == nil:
		return nil, 0, errors.New("it belongs to no board")
	case season == b.season():
		return b.standings, 0, nil
	}
	if p := b.pastSeason(int(season)); p != nil {
		if p.final {
			return nil, season, nil
		}
		return p.standings, 0, nil
	}
	if slices.Contains(s.garbage, garbage{number, season}) {
		return nil, season, nil
	}
	return nil, 0, fmt.Errorf("board %q is in season %d", b.settings.ID, b.run.Season)
}

// countEntries compares how many entries there are with how many there should be.
func (s *Store) countEntries() error {
	entries := 0
	for id, b := range s.boards {
		if b.ranks.Len() != b.total {
			return damage(appendBoardKey(nil, id), fmt.Errorf("the board has %d entries by its state, but there are %d", b.total, b.ranks.Len()))
		}
		entries += b.total
		for _, p := range b.past {
			if !p.final && p.ranks.Len() != p.total {
				return damage(appendSeasonKey(nil, pastPrefix, b.number, p.season()),
					fmt.Errorf("season %d of board %q has %d entries by its state, but there are %d", p.run.Season, id, p.total, p.ranks.Len()))
			}
			entries += p.inMemory()
		}
	}
	s.metrics.entries.Store(int64(entries))
	return nil
}

// loader builds one board after another. It holds its entries in little more
// than their own size, since of a large board they are all there at once with
// the ranks that are built from them.
type loader struct {
	rows    []row
	members [][]byte // one behind the other, in pieces
	data    map[uint64]json.RawMessage
	revs    map[uint64]uint64 // of entries whose rev is not their seq

	// What makes a score and a seq numbers by which rows are sorted, and back.
	scoreFlip, seqFlip uint64
}

// row is an entry that was read.
type row struct {
	score, seq uint64 // flipped
	updated    int64
	member     uint64 // where it is in the pieces: piece, offset, length
}

func compareRows(a, b row) int {
	return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.seq, b.seq))
}

const (
	offsetShift = 8                // bits of the length
	pieceShift  = offsetShift + 20 // and of the offset
	memberPiece = 1 << 20          // bytes
	lengthMask  = 1<<offsetShift - 1
	offsetMask  = memberPiece - 1
)

func (l *loader) begin(b *standings) {
	l.rows = slices.Grow(l.rows[:0], b.total)
	l.members = l.members[:0]
	l.data = make(map[uint64]json.RawMessage)
	l.revs = nil
	o := order(b.settings)
	l.scoreFlip, l.seqFlip = 1<<63, 0 // a negative number is below a positive one
	if !o.Ascending {
		l.scoreFlip = ^l.scoreFlip
	}
	if o.LatestFirst {
		l.seqFlip = ^l.seqFlip
	}
}

func (l *loader) add(member, value []byte) error {
	score, seq, rev, updated, data, err := parseEntry(value)
	if err != nil {
		return err
	}
	if len(member) > lengthMask {
		return errors.New("the member is too long")
	}
	n := len(l.members)
	if n == 0 || len(l.members[n-1])+len(member) > memberPiece {
		l.members = append(l.members, make([]byte, 0, memberPiece))
		n++
	}
	piece := &l.members[n-1]
	at := uint64(n-1)<<pieceShift | uint64(len(*piece))<<offsetShift | uint64(len(member))
	*piece = append(*piece, member...)
	l.rows = append(l.rows, row{uint64(score) ^ l.scoreFlip, seq ^ l.seqFlip, updated, at})
	if data != nil {
		l.data[at] = bytes.Clone(data)
	}
	if rev != seq {
		if l.revs == nil {
			l.revs = make(map[uint64]uint64)
		}
		l.revs[at] = rev
	}
	return nil
}

func (l *loader) member(at uint64) string {
	piece := l.members[at>>pieceShift]
	from := at >> offsetShift & offsetMask
	return unsafe.String(&piece[from], at&lengthMask)
}

// finish builds the ranks of b from the rows.
func (l *loader) finish(b *standings) error {
	if b == nil {
		return nil
	}
	slices.SortFunc(l.rows, compareRows)
	entries := func(yield func(zset.Entry) bool) {
		for i := range l.rows {
			r := &l.rows[i]
			if !yield(zset.Entry{Member: l.member(r.member), Score: int64(r.score ^ l.scoreFlip), Seq: r.seq ^ l.seqFlip}) {
				return
			}
		}
	}
	ranks, err := zset.Load(order(b.settings), len(l.rows), entries)
	if err == nil && b.ahead != nil {
		b.ahead, err = zset.Load(order(b.settings), len(l.rows), entries)
	}
	if err != nil {
		return fmt.Errorf("board %q: %w: %w", b.settings.ID, ErrDamaged, err)
	}
	b.ranks = ranks
	if b.settings.RankStyle == leaderboard.Dense {
		ranks.KeepLevels()
	}
	for i := range l.rows { // slots are given in order of input
		r := &l.rows[i]
		b.updated.set(uint32(i), r.updated)
		if rev, ok := l.revs[r.member]; ok {
			b.setRev(uint32(i), 0, rev)
		}
		if b.ages != nil {
			e := zset.Entry{Seq: r.seq ^ l.seqFlip, Slot: uint32(i)}
			b.ages.Set(l.member(r.member), r.updated, b.entryRev(e))
		}
		if len(l.data) > 0 {
			if data := l.data[r.member]; data != nil {
				b.data[uint32(i)] = data
			}
		}
	}
	return nil
}
