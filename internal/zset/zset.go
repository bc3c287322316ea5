// Package zset is a sorted set with ranks, in memory: the structure behind every board. It answers, in O(log N), the
// rank of a member, the entry at a rank, a run of entries from a rank on, and how many entries are better than a score.
//
// The ranking is a B+ tree whose inner nodes count the entries below each child. A leaf holds keys (score and tie
// sequence) beside slots, small integers that stand for members; a record per slot says in which leaf the member is
// and where its id is written. So an update starts at the leaf instead of at the root: a score that stays within its
// leaf moves there and nothing else is touched, and one that leaves it climbs only as far as the two leaves' common
// ancestor. A rank is the way up, adding counts. Ids lie in blocks of bytes that are never overwritten, and are found
// through a hash index, seeded per set so that nobody can choose ids that collide. Everything lives in chunks without
// pointers, numbered by uint32, which the garbage collector does not look into; and everything grows by a chunk at a
// time, so no write waits for the whole set to be copied.
//
// Equal scores share a competition rank, which is 1 + Better. A dense rank is 1 + BetterLevels, for which a set that
// is told to keeps its distinct scores in a second, smaller tree. Counts in the first one could answer too, but each
// set would pay for them with memory in its nodes and with time in every split and merge.
package zset

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"iter"
	"unsafe"
)

// maxMember is the longest member id that a set can hold, in bytes. Boards allow less.
const maxMember = 255

// Order says which of two entries stands first. The zero value puts the highest score first and, among equal scores,
// the one that was reached earliest.
type Order struct {
	Ascending   bool // the lowest score stands first
	LatestFirst bool // among equal scores the highest seq stands first
}

// Key is what entries are ordered by: first the score, then Seq.
type Key struct {
	Score int64
	Seq   uint64 // when the score was reached; no two entries of a set share one
}

// Entry is one member of a set.
//
// Member shares its bytes with the set, which never changes them. It is safe to keep, but keeps the 16 KiB around it
// alive too: clone what outlives the member by far.
type Entry struct {
	Member string
	Score  int64
	Seq    uint64

	// Slot is a small integer that is the member's own for as long as it stays in the set, for slices kept in parallel.
	Slot uint32
}

// Set is a set of members, each with a score, in a total order. It holds up to 2^32-2 members and 16 GiB of ids. Any
// number of goroutines may read it at once, but not while one writes.
type Set struct {
	scoreFlip uint64 // turns a score into the high half of a key and back
	seqFlip   uint64 // turns a seq into the low half of a key and back

	limits limits
	seed   maphash.Seed

	index index
	names arena
	recs  records
	tree  tree

	levels *levels // nil unless they are kept
}

// limits say how large the parts of a set get before they split. Tests have smaller ones, and so deeper sets.
type limits struct {
	leaf  int // keys in a leaf, at most nodeCap
	inner int // children of an inner node, at most nodeCap
	cells int // cells in a segment of the index
}

// New returns an empty set.
func New(o Order) *Set {
	return newSet(o, limits{leaf: nodeCap, inner: nodeCap, cells: segmentCells})
}

func newSet(o Order, lim limits) *Set {
	s := &Set{scoreFlip: 1 << 63, limits: lim, seed: maphash.MakeSeed()}
	if !o.Ascending {
		s.scoreFlip = ^s.scoreFlip
	}
	if o.LatestFirst {
		s.seqFlip = ^s.seqFlip
	}
	s.reset()
	return s
}

// reset makes the set empty and lets go of its memory.
func (s *Set) reset() {
	s.index = newIndex(0, s.limits)
	s.names = arena{}
	s.recs = newRecords()
	s.tree = newTree(&s.recs, s.limits)
	if s.levels != nil {
		s.levels = newLevels(s.limits)
	}
}

// Load returns a set of the entries given, which are in rank order, in O(N). It expects about n of them. Their slots
// are 0, 1, 2… in the order of input, whatever Slot says. The error names the entry that is out of order, or whose
// member came before.
func Load(o Order, n int, entries iter.Seq[Entry]) (*Set, error) {
	s := New(o)
	if err := s.load(n, entries); err != nil {
		return nil, err
	}
	return s, nil
}

// load is Load into an empty set.
func (s *Set) load(n int, entries iter.Seq[Entry]) error {
	s.index = newIndex(n, s.limits)
	b := bulk{tree: &s.tree}
	var last Entry
	for e := range entries {
		i := s.recs.len()
		if len(e.Member) > maxMember {
			return fmt.Errorf("entry %d: the member's id has %d bytes, more than %d", i, len(e.Member), maxMember)
		}
		k := s.key(e.Score, e.Seq)
		if i > 0 && !s.key(last.Score, last.Seq).less(k) {
			return fmt.Errorf("entry %d, %q with score %d and seq %d, does not stand after %q with score %d and seq %d",
				i, e.Member, e.Score, e.Seq, last.Member, last.Score, last.Seq)
		}
		h := s.hash(e.Member)
		if slot, ok := s.find(h, e.Member); ok {
			return fmt.Errorf("entry %d, %q, is already there as entry %d", i, e.Member, slot)
		}
		b.add(s.enrol(h, e.Member), k)
		last = e
	}
	b.finish()
	return nil
}

// Len returns how many members the set has.
func (s *Set) Len() int { return s.tree.len }

// Set gives the member a score, reached at seq, and puts it into the set if it is not there. It keeps a copy of member.
// An id longer than 255 bytes is a mistake of the caller's and panics.
func (s *Set) Set(member string, score int64, seq uint64) (slot uint32) {
	h := s.hash(member)
	slot, ok := s.find(h, member)
	k := s.key(score, seq)
	if ok {
		if s.levels != nil {
			if was := s.tree.key(slot).score; was != k.score {
				s.levels.join(k.score)
				s.levels.leave(was)
			}
		}
		s.tree.move(slot, k)
		return slot
	}
	if len(member) > maxMember {
		panic(fmt.Sprintf("zset: a member's id of %d bytes, more than %d", len(member), maxMember))
	}
	slot = s.enrol(h, member)
	s.tree.insert(slot, k)
	if s.levels != nil {
		s.levels.join(k.score)
	}
	return slot
}

// Remove takes the member out of the set and reports whether it was there. Its slot may then become another member's.
func (s *Set) Remove(member string) bool {
	h := s.hash(member)
	slot, ok := s.find(h, member)
	if !ok {
		return false
	}
	if s.Len() == 1 {
		s.reset()
		return true
	}
	if s.levels != nil {
		s.levels.leave(s.tree.key(slot).score)
	}
	s.tree.remove(slot)
	s.index.remove(h, slot)
	name := s.recs.at(slot).name
	s.recs.release(slot)
	if block, wasteful := s.names.release(name); wasteful {
		s.compact(block)
	}
	return true
}

// Get returns the member's entry.
func (s *Set) Get(member string) (Entry, bool) {
	slot, ok := s.find(s.hash(member), member)
	if !ok {
		return Entry{}, false
	}
	return s.entry(slot, s.tree.key(slot)), true
}

// Rank returns the member's rank: 1 stands first, and no two members share one.
func (s *Set) Rank(member string) (rank int, ok bool) {
	slot, ok := s.find(s.hash(member), member)
	if !ok {
		return 0, false
	}
	return s.tree.rank(slot) + 1, true
}

// At returns the entry at a rank from 1 to Len.
func (s *Set) At(rank int) (Entry, bool) {
	if rank < 1 || rank > s.Len() {
		return Entry{}, false
	}
	id, i := s.tree.seek(rank - 1)
	l := s.tree.leaves.at(id)
	return s.entry(l.slots[i], l.keys.at(i)), true
}

// Range yields ranks and their entries, from the given rank (or 1, if it is less) to the last. The set must not be
// changed meanwhile.
func (s *Set) Range(rank int) iter.Seq2[int, Entry] {
	return func(yield func(int, Entry) bool) {
		r := max(rank, 1)
		if r > s.Len() {
			return
		}
		id, i := s.tree.seek(r - 1)
		for id != none {
			l := s.tree.leaves.at(id)
			for ; i < l.n; i++ {
				if !yield(r, s.entry(l.slots[i], l.keys.at(i))) {
					return
				}
				r++
			}
			id, i = s.tree.after(id), 0
		}
	}
}

// Better returns how many entries have a strictly better score than the given one. An entry's competition rank is one
// more than that.
func (s *Set) Better(score int64) int {
	return s.tree.below(key{score: uint64(score) ^ s.scoreFlip})
}

// RankAfter returns the rank of the first entry that stands strictly after k, or Len()+1 if there is none. There need
// not be an entry with that key, so a reader can go on from where it was although the entry there has moved away.
func (s *Set) RankAfter(k Key) int {
	next := s.key(k.Score, k.Seq)
	next.seq++
	if next.seq == 0 {
		next.score++
		if next.score == 0 {
			return s.Len() + 1
		}
	}
	return s.tree.below(next) + 1
}

// Compare returns a negative number when a stands before b, a positive one when it stands after, and 0 when they are
// equal.
func (s *Set) Compare(a, b Key) int {
	x, y := s.key(a.Score, a.Seq), s.key(b.Score, b.Seq)
	return cmp.Or(cmp.Compare(x.score, y.score), cmp.Compare(x.seq, y.seq))
}

// Bytes returns how much memory the set holds. Room left by removed members is kept for new ones, and is given back
// when the last member goes.
func (s *Set) Bytes() int {
	n := int(unsafe.Sizeof(*s)) + s.index.bytes() + s.names.bytes() + s.recs.bytes() + s.tree.bytes()
	if s.levels != nil {
		n += int(unsafe.Sizeof(*s.levels)) + int(unsafe.Sizeof(*s.levels.tree)) + s.levels.bytes()
	}
	return n
}

func (s *Set) hash(member string) uint32 {
	return uint32(maphash.String(s.seed, member) >> 32)
}

func (s *Set) key(score int64, seq uint64) key {
	return key{score: uint64(score) ^ s.scoreFlip, seq: seq ^ s.seqFlip}
}

func (s *Set) entry(slot uint32, k key) Entry {
	return Entry{
		Member: s.names.get(s.recs.at(slot).name),
		Score:  int64(k.score ^ s.scoreFlip),
		Seq:    k.seq ^ s.seqFlip,
		Slot:   slot,
	}
}

// find returns the slot of the member, whose hash is h.
func (s *Set) find(h uint32, member string) (slot uint32, ok bool) {
	for slot := range s.index.candidates(h) {
		if s.names.get(s.recs.at(slot).name) == member {
			return slot, true
		}
	}
	return 0, false
}

// enrol gives a new member a slot, and makes it findable.
func (s *Set) enrol(h uint32, member string) (slot uint32) {
	name, block, wasteful := s.names.add(member)
	slot = s.recs.alloc(name)
	s.index.add(h, slot)
	if wasteful {
		s.compact(block)
	}
	return slot
}

// compact copies the ids that are still in use out of a block, and drops it.
func (s *Set) compact(block uint32) {
	again := false
	var next uint32
	for name, member := range s.names.all(block) {
		slot, ok := s.find(s.hash(member), member)
		if !ok || s.recs.at(slot).name != name {
			continue
		}
		moved, full, wasteful := s.names.add(member)
		s.recs.at(slot).name = moved
		if wasteful {
			next, again = full, true
		}
	}
	s.names.drop(block)
	if again {
		s.compact(next)
	}
}
