package zset

import (
	"iter"
	"unsafe"
)

// index finds slots by the hash of a member's id. A directory sends the first bits of a hash to a segment, a small
// table with linear probing. A full segment grows a little at a time until it has reached maxCells, and is then split
// in two by the next bit of the hash. So the tables stay about three quarters full, and an insertion moves at most
// one segment.
type index struct {
	maxCells int // a segment of this size splits

	depth    uint32   // how many bits of a hash the directory looks at
	dir      []uint32 // 2^depth numbers of segments
	segments []segment
	cells    int // of all segments
}

type segment struct {
	cells []uint64 // hash<<32 | slot+1; 0 is an empty cell
	n     int      // cells in use
	depth uint32   // how many first bits all hashes here have in common
}

const (
	segmentCells = 2048 // 16 KiB, which is copied in some ten microseconds
	stepFrom     = 1024 // a segment doubles up to this size, and then grows by a quarter of it
	minCells     = 8
	maxDepth     = 24
)

// newIndex returns an index with room for about n members.
func newIndex(n int, lim limits) index {
	x := index{maxCells: lim.cells}
	for n>>x.depth > x.maxCells*7/10 && x.depth < maxDepth {
		x.depth++
	}
	per := n >> x.depth
	if x.depth > 0 {
		per += per / 16 // hashes do not spread quite evenly
	}
	for i := range uint32(1) << x.depth {
		x.dir = append(x.dir, i)
		x.segments = append(x.segments, x.newSegment(per, x.depth))
	}
	return x
}

// newSegment returns a segment with room for n cells in use and some more.
func (x *index) newSegment(n int, depth uint32) segment {
	size := minCells
	for n*10 > size*7 {
		size = larger(size)
	}
	x.cells += size
	return segment{cells: make([]uint64, size), depth: depth}
}

// larger returns the size that follows in the growth of a table.
func larger(size int) int {
	if size < stepFrom {
		return 2 * size
	}
	return size + stepFrom/4
}

func (x *index) segment(h uint32) *segment {
	return &x.segments[x.dir[uint64(h)>>(32-x.depth)]]
}

// candidates yields the slots whose members have the hash h.
func (x *index) candidates(h uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		g := x.segment(h)
		for i := g.home(h); ; i = g.next(i) {
			c := g.cells[i]
			if c == 0 || uint32(c>>32) == h && !yield(uint32(c)-1) {
				return
			}
		}
	}
}

// add enters a slot whose member has the hash h.
func (x *index) add(h, slot uint32) {
	g := x.segment(h)
	if g.n*5 >= len(g.cells)*4 {
		x.makeRoom(h)
		g = x.segment(h)
	}
	g.put(uint64(h)<<32 | uint64(slot+1))
}

// remove takes out a slot whose member has the hash h.
func (x *index) remove(h, slot uint32) {
	g := x.segment(h)
	hole := g.home(h)
	for g.cells[hole] != uint64(h)<<32|uint64(slot+1) {
		hole = g.next(hole)
	}
	// Cells behind the hole that would no longer be found from their home move up.
	for i := g.next(hole); g.cells[i] != 0; i = g.next(i) {
		if g.distance(g.home(uint32(g.cells[i]>>32)), i) >= g.distance(hole, i) {
			g.cells[hole] = g.cells[i]
			hole = i
		}
	}
	g.cells[hole] = 0
	g.n--
}

// makeRoom grows or splits the segment for the hash h.
func (x *index) makeRoom(h uint32) {
	at := x.dir[uint64(h)>>(32-x.depth)]
	old := x.segments[at]
	x.cells -= len(old.cells)
	if len(old.cells) < x.maxCells || old.depth == maxDepth {
		g := segment{cells: make([]uint64, larger(len(old.cells))), depth: old.depth}
		x.cells += len(g.cells)
		for _, c := range old.cells {
			if c != 0 {
				g.put(c)
			}
		}
		x.segments[at] = g
		return
	}

	if old.depth == x.depth {
		wider := make([]uint32, 2*len(x.dir))
		for i := range wider {
			wider[i] = x.dir[i/2]
		}
		x.dir = wider
		x.depth++
	}
	bit := uint64(1) << (63 - old.depth)
	ones := 0
	for _, c := range old.cells {
		if c&bit != 0 {
			ones++
		}
	}
	zero, one := x.newSegment(old.n-ones, old.depth+1), x.newSegment(ones, old.depth+1)
	for _, c := range old.cells {
		switch {
		case c == 0:
		case c&bit == 0:
			zero.put(c)
		default:
			one.put(c)
		}
	}
	x.segments[at] = zero
	x.segments = append(x.segments, one)
	// The segment had a run of the directory. The second half of it is the new segment's.
	span := uint64(1) << (x.depth - old.depth)
	from := uint64(h) >> (32 - x.depth) &^ (span - 1)
	for i := from + span/2; i < from+span; i++ {
		x.dir[i] = uint32(len(x.segments) - 1)
	}
}

func (x *index) bytes() int {
	return x.cells*8 + cap(x.dir)*4 + cap(x.segments)*int(unsafe.Sizeof(segment{}))
}

// home returns where the search for a hash begins. It comes from the bits that the directory has not used.
func (g *segment) home(h uint32) int {
	return int(uint64(h<<g.depth) * uint64(len(g.cells)) >> 32)
}

func (g *segment) next(i int) int {
	if i++; i == len(g.cells) {
		return 0
	}
	return i
}

// distance returns how many steps lead from one cell to another.
func (g *segment) distance(from, to int) int {
	if to < from {
		to += len(g.cells)
	}
	return to - from
}

func (g *segment) put(c uint64) {
	i := g.home(uint32(c >> 32))
	for g.cells[i] != 0 {
		i = g.next(i)
	}
	g.cells[i] = c
	g.n++
}
