package zset

import "unsafe"

// slab holds values of T, numbered from 0, in chunks of 2^shift. The first chunk grows by doubling, so that a small set
// is small; after that nothing is ever copied. T holds no pointers, so the garbage collector sees one object per chunk.
type slab[T any] struct {
	shift  uint32
	n      uint32
	chunks [][]T
}

// at returns the value with number i. The pointer is good until the next grow.
func (s *slab[T]) at(i uint32) *T {
	return &s.chunks[i>>s.shift][i&(1<<s.shift-1)]
}

// grow adds a zero value and returns its number.
func (s *slab[T]) grow() uint32 {
	i := s.n
	switch c := int(i >> s.shift); {
	case c < len(s.chunks) && c > 0:
	case c > 0:
		s.chunks = append(s.chunks, make([]T, 1<<s.shift))
	case i == 0:
		s.chunks = append(s.chunks, make([]T, 1))
	case int(i) == len(s.chunks[0]):
		first := make([]T, min(2*len(s.chunks[0]), 1<<s.shift))
		copy(first, s.chunks[0])
		s.chunks[0] = first
	}
	s.n++
	return i
}

func (s *slab[T]) bytes() int {
	if len(s.chunks) == 0 {
		return 0
	}
	values := len(s.chunks[0]) + (len(s.chunks)-1)<<s.shift
	return values*int(unsafe.Sizeof(*new(T))) + cap(s.chunks)*int(unsafe.Sizeof(s.chunks[0]))
}

// record is what a slot stands for.
type record struct {
	leaf uint32 // the leaf that holds the member's key; in a free record, the next free slot
	name uint32 // where the arena keeps the member's id
}

// records hands out slots.
type records struct {
	slab[record]
	free uint32 // a list of slots, linked by record.leaf; none at its end
}

func newRecords() records {
	return records{slab: slab[record]{shift: 12}, free: none}
}

// len returns how many slots have ever been handed out.
func (r *records) len() int { return int(r.n) }

func (r *records) alloc(name uint32) (slot uint32) {
	slot = r.free
	if slot == none {
		slot = r.grow()
	} else {
		r.free = r.at(slot).leaf
	}
	*r.at(slot) = record{leaf: none, name: name}
	return slot
}

func (r *records) release(slot uint32) {
	*r.at(slot) = record{leaf: r.free, name: none}
	r.free = slot
}
