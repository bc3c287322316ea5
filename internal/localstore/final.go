package localstore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
	"laurel/internal/zset"
)

// ranking is a standing that can be read, in memory or on the disk.
type ranking interface {
	// rank returns the ordinal rank of a member.
	rank(member string) (rank int, ok bool, err error)

	// rankAfter returns the ordinal rank of the first entry that stands behind k.
	rankAfter(k zset.Key) (int, error)

	// page returns at most limit entries from an ordinal rank on, as if there were no
	// more than end.
	page(v leaderboard.View, from, limit, end int) (leaderboard.Page, error)

	lookup(v leaderboard.View, members []string) (leaderboard.Page, error)
}

// final is the standing of a season that is final, on the disk. It is for one read.
type final struct {
	*state // does not change any more
	db     *pebble.DB
	dir    *directory

	key     []byte
	block   []placed // the one that was read last
	current int      // its number; -1: none
}

// errDiskAway is behind the answer to who reads a final standing while the database
// is opened anew.
var errDiskAway = errors.New("the database is not open")

// readFinal calls f with a standing on the disk. It must not be called with a
// board's mutex, as it waits for the disk.
func (s *Store) readFinal(id string, p *past, st *state, f func(ranking) error) error {
	err := s.readDisk(func(db *pebble.DB) error {
		dir, err := s.directories.get(db, st)
		if err != nil {
			return err
		}
		return f(&final{state: st, db: db, dir: dir, current: -1})
	})
	if _, ours := errors.AsType[*leaderboard.Error](err); err == nil || ours {
		return err
	}
	// It may have been removed meanwhile.
	b, gone := s.lookup(id)
	if gone != nil {
		return gone
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	switch {
	case b.deleted:
		return notFound(id)
	case !slices.Contains(b.past, p):
		return seasonNotFound(id, st.run.Season)
	}
	if s.queue.isClosed() {
		return errClosed
	}
	return unavailable(err)
}

// readDisk calls f with the database while it is open.
func (s *Store) readDisk(f func(*pebble.DB) error) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.readable == nil {
		return errDiskAway
	}
	return f(s.readable)
}

// setReadable says which database may be read; nil: none, as it is about to be closed.
func (s *Store) setReadable(db *pebble.DB) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.readable = db
}

func (f *final) get(parse func(value []byte) error) error {
	return getFrom(f.db, f.key, parse)
}

// getFrom parses the value of a key, which is not to be kept.
func getFrom(db *pebble.DB, key []byte, parse func(value []byte) error) error {
	value, closer, err := db.Get(key)
	if err != nil {
		return fmt.Errorf("key %s: %w", showKey(key), err)
	}
	if err := parse(value); err != nil {
		err = damage(key, err)
		return errors.Join(err, closer.Close())
	}
	return closer.Close()
}

// load makes the block with a number the current one.
func (f *final) load(number int) error {
	if number == f.current {
		return nil
	}
	f.current = -1
	f.key = appendBlockKey(f.key[:0], f.number, f.season(), number)
	err := f.get(func(value []byte) (err error) {
		f.block, err = parseBlock(f.block[:0], value)
		if want := min(blockLen, f.dir.total-number*blockLen); err == nil && len(f.block) != want {
			err = fmt.Errorf("the block has %d entries, not %d", len(f.block), want)
		}
		return err
	})
	if err == nil {
		f.current = number
	}
	return err
}

func (f *final) order(a, b zset.Key) int {
	return f.settings.Compare(leaderboard.Position{Score: a.Score, Seq: a.Seq}, leaderboard.Position{Score: b.Score, Seq: b.Seq})
}

// rankAfter implements [ranking].
func (f *final) rankAfter(k zset.Key) (int, error) {
	block := sort.Search(len(f.dir.blocks), func(i int) bool {
		return f.order(zset.Key{Score: f.dir.blocks[i].score, Seq: f.dir.blocks[i].seq}, k) > 0
	}) - 1
	if block < 0 {
		return 1, nil
	}
	if err := f.load(block); err != nil {
		return 0, err
	}
	i := sort.Search(len(f.block), func(i int) bool {
		return f.order(zset.Key{Score: f.block[i].score, Seq: f.block[i].seq}, k) > 0
	})
	return block*blockLen + i + 1, nil
}

// find returns the entry of a member, if there is one.
func (f *final) find(member string) (e leaderboard.Entry, ok bool, err error) {
	f.key = appendEntryKey(f.key[:0], f.number, f.season(), member)
	err = f.get(func(value []byte) error {
		score, seq, rev, updated, data, err := parseEntry(value)
		e = leaderboard.Entry{Member: member, Score: score, Seq: seq, Rev: rev, UpdatedAt: time.UnixMilli(updated).UTC(), Data: bytes.Clone(data)}
		return err
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}

// rank implements [ranking].
func (f *final) rank(member string) (int, bool, error) {
	e, ok, err := f.find(member)
	if err != nil || !ok {
		return 0, false, err
	}
	after, err := f.rankAfter(zset.Key{Score: e.Score, Seq: e.Seq})
	return after - 1, true, err
}

// rankIn gives an entry, which is at an index of the current block, its rank.
func (f *final) rankIn(e *leaderboard.Entry, i int) {
	if f.settings.RankStyle == leaderboard.Ordinal {
		e.Rank = f.current*blockLen + i + 1
		return
	}
	w := f.walk()
	for j := range i + 1 {
		w.step(f.block[j].score)
	}
	w.rank(e)
}

// walk goes through the current block, from its beginning, and counts.
type walk struct {
	style          leaderboard.RankStyle
	score          int64
	ordinal        int
	better, levels int // entries with a better score, and such scores
}

func (f *final) walk() walk {
	at := f.dir.blocks[f.current]
	return walk{f.settings.RankStyle, at.score, f.current * blockLen, int(at.better), int(at.levels)}
}

func (w *walk) step(score int64) {
	if score != w.score {
		w.score, w.better = score, w.ordinal
		w.levels++
	}
	w.ordinal++
}

func (w *walk) rank(e *leaderboard.Entry) {
	switch w.style {
	case leaderboard.Ordinal:
		e.Rank = w.ordinal
	case leaderboard.Competition:
		e.Rank = 1 + w.better
	case leaderboard.Dense:
		e.Rank, e.Better = 1+w.levels, w.better
	}
}

// page implements [ranking].
func (f *final) page(v leaderboard.View, from, limit, end int) (leaderboard.Page, error) {
	p, from, n := emptyPage(v, from, limit, end)
	for len(p.Entries) < n {
		next := from - 1 + len(p.Entries)
		if err := f.load(next / blockLen); err != nil {
			return leaderboard.Page{}, err
		}
		w := f.walk()
		for i := range f.block {
			at := &f.block[i]
			w.step(at.score)
			if i < next%blockLen || len(p.Entries) == n {
				continue
			}
			e := leaderboard.Entry{Member: at.member, Score: at.score, Seq: at.seq, Rev: at.rev, UpdatedAt: time.UnixMilli(at.updated).UTC()}
			w.rank(&e)
			if at.data {
				own, ok, err := f.find(at.member)
				if err != nil || !ok {
					return leaderboard.Page{}, cmp.Or(err, fmt.Errorf("key %s: %w", showKey(f.key), pebble.ErrNotFound))
				}
				e.Data = own.Data
			}
			p.Entries = append(p.Entries, e)
		}
	}
	return p, nil
}

// lookup implements [ranking]. It goes through the members in the order of their
// places, so that it reads each block once.
func (f *final) lookup(v leaderboard.View, members []string) (leaderboard.Page, error) {
	page := leaderboard.Page{View: v, Entries: make([]leaderboard.Entry, len(members))}
	found := make([]*leaderboard.Entry, 0, len(members))
	for i, member := range members {
		e, ok, err := f.find(member)
		if err != nil {
			return leaderboard.Page{}, err
		}
		if !ok {
			page.Entries[i] = leaderboard.Entry{Member: member}
			continue
		}
		page.Entries[i] = e
		found = append(found, &page.Entries[i])
	}
	slices.SortFunc(found, func(a, b *leaderboard.Entry) int { return f.settings.Compare(a.Position(), b.Position()) })
	for _, e := range found {
		after, err := f.rankAfter(zset.Key{Score: e.Score, Seq: e.Seq})
		if err != nil {
			return leaderboard.Page{}, err
		}
		i := (after - 2) % blockLen
		if after < 2 || f.block[i].member != e.Member {
			return leaderboard.Page{}, damage(f.key, fmt.Errorf("%q is not in its place", e.Member))
		}
		f.rankIn(e, i)
	}
	return page, nil
}

// directories holds the directories of the final standings that were read last.
type directories struct {
	mu    sync.Mutex // guards what follows
	held  []heldDirectory
	bytes int
}

type heldDirectory struct {
	number, season uint32
	dir            *directory
}

// directoryBytes bounds the memory of the directories that are held, but that one is held
// however large it is.
const directoryBytes = 4 << 20

// get returns the directory of a season.
func (d *directories) get(db *pebble.DB, st *state) (*directory, error) {
	if dir := d.find(st.number, st.season()); dir != nil {
		return dir, nil
	}
	var dir *directory
	err := getFrom(db, appendSeasonKey(nil, finalPrefix, st.number, st.season()), func(value []byte) (err error) {
		if dir, err = parseDirectory(value); err == nil && dir.total != st.total {
			err = fmt.Errorf("it is of %d entries, not of %d", dir.total, st.total)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d.hold(heldDirectory{st.number, st.season(), dir})
	return dir, nil
}

// find returns a directory that is held, and notes that it was used.
func (d *directories) find(number, season uint32) *directory {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, h := range d.held {
		if h.number == number && h.season == season {
			copy(d.held[i:], d.held[i+1:])
			d.held[len(d.held)-1] = h
			return h.dir
		}
	}
	return nil
}

func (d *directories) hold(h heldDirectory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = append(d.held, h) // it may be there twice, for a while
	d.bytes += h.dir.bytes()
	drop := 0
	for ; d.bytes > directoryBytes && drop < len(d.held)-1 || len(d.held)-drop > maxDirectories; drop++ {
		d.bytes -= d.held[drop].dir.bytes()
	}
	d.held = slices.Delete(d.held, 0, drop)
}

// maxDirectories is how many directories are held at the most, as they are looked for
// one by one.
const maxDirectories = 64
