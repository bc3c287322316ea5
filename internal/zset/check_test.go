package zset

import (
	"errors"
	"fmt"
	"math/bits"
)

// check returns an error if the set is not built as it should be.
func (s *Set) check() error {
	return errors.Join(s.tree.check(), s.checkMembers(), s.index.check(), s.names.check(), s.checkLevels())
}

// checkLevels counts the entries of each score, if the set keeps levels.
func (s *Set) checkLevels() error {
	l := s.levels
	if l == nil {
		return nil
	}
	counts := map[uint64]uint32{}
	for _, e := range s.Range(1) {
		counts[s.key(e.Score, 0).score]++
	}
	if s.Levels() != len(counts) {
		return fmt.Errorf("%d levels of %d distinct scores", s.Levels(), len(counts))
	}
	for score, n := range counts {
		slot, ok := l.find(score)
		if !ok {
			return fmt.Errorf("score %d is not among the levels", int64(score^s.scoreFlip))
		}
		if got := l.recs.at(slot).name; got != n {
			return fmt.Errorf("score %d of %d entries counts %d", int64(score^s.scoreFlip), n, got)
		}
	}
	return l.tree.check()
}

// checkMembers walks the entries and what leads from one part of the set to the other.
func (s *Set) checkMembers() error {
	inUse := make([]int, len(s.names.blocks))
	for rank, e := range s.Range(1) {
		name := s.recs.at(e.Slot).name
		inUse[name/(blockSize/unit)] += size(len(e.Member))
		if slot, ok := s.find(s.hash(e.Member), e.Member); !ok || slot != e.Slot {
			return fmt.Errorf("rank %d, %q in slot %d: the index says %d, %v", rank, e.Member, e.Slot, slot, ok)
		}
	}
	for i, b := range s.names.blocks {
		if int(b.used) != inUse[i] {
			return fmt.Errorf("block %d: %d bytes counted in use, %d are", i, b.used, inUse[i])
		}
	}
	indexed := 0
	for _, g := range s.index.segments {
		indexed += g.n
	}
	if indexed != s.Len() {
		return fmt.Errorf("%d entries in the index of a set of %d", indexed, s.Len())
	}
	free := 0
	for slot := s.recs.free; slot != none; slot = s.recs.at(slot).leaf {
		free++
	}
	if free+s.Len() != s.recs.len() {
		return fmt.Errorf("%d free records and %d members make %d", free, s.Len(), s.recs.len())
	}
	return nil
}

func (t *tree) check() error {
	w := walk{tree: t}
	n, err := w.node(t.root, none, t.height, key{}, key{^uint64(0), ^uint64(0)})
	if err != nil {
		return err
	}
	if n != t.len {
		return fmt.Errorf("%d entries in a tree that counts %d", n, t.len)
	}
	for id := t.freeLeaves; id != none; id = t.leaves.at(id).parent {
		w.leaves++
	}
	for id := t.freeInners; id != none; id = t.inners.at(id).parent {
		w.inners++
	}
	if w.leaves != int(t.leaves.n) || w.inners != int(t.inners.n) {
		return fmt.Errorf("%d leaves and %d inner nodes are in the tree or free, of %d and %d",
			w.leaves, w.inners, t.leaves.n, t.inners.n)
	}
	return nil
}

type walk struct {
	tree           *tree
	leaves, inners int
}

// node checks what is under a node, all of which lies from one key to another, and returns how many entries that is.
func (w *walk) node(id, parent uint32, level int, from, to key) (int, error) {
	t := w.tree
	if level == 0 {
		return w.leaf(id, parent, from, to)
	}
	w.inners++
	in := t.inners.at(id)
	switch {
	case in.parent != parent:
		return 0, fmt.Errorf("inner node %d has parent %d, want %d", id, in.parent, parent)
	case in.level != level:
		return 0, fmt.Errorf("inner node %d has level %d, want %d", id, in.level, level)
	case in.n < 1 || in.n > t.limits.inner:
		return 0, fmt.Errorf("inner node %d has %d children", id, in.n)
	case parent == none && in.n < 2:
		return 0, fmt.Errorf("the root has one child")
	}
	total, before := 0, 0
	for i := range in.n {
		first, last := from, to
		if i > 0 {
			first = in.bounds.at(i - 1)
		}
		if i < in.n-1 {
			last = in.bounds.at(i)
		}
		if last.less(first) {
			return 0, fmt.Errorf("inner node %d: bounds of child %d are out of order", id, i)
		}
		n, err := w.node(in.kids[i], id, level-1, first, last)
		if err != nil {
			return 0, err
		}
		if n != int(in.counts[i]) {
			return 0, fmt.Errorf("inner node %d: child %d has %d entries, and %d are counted", id, i, n, in.counts[i])
		}
		total += n

		fill, limit := n, t.limits.leaf/2
		if level > 1 {
			fill, limit = t.inners.at(in.kids[i]).n, t.limits.inner/2
		}
		if i > 0 && before+fill <= limit {
			return 0, fmt.Errorf("inner node %d: children %d and %d have too little between them", id, i-1, i)
		}
		before = fill
	}
	return total, nil
}

func (w *walk) leaf(id, parent uint32, from, to key) (int, error) {
	t := w.tree
	w.leaves++
	l := t.leaves.at(id)
	switch {
	case l.parent != parent:
		return 0, fmt.Errorf("leaf %d has parent %d, want %d", id, l.parent, parent)
	case l.n > t.limits.leaf || l.n == 0 && parent != none:
		return 0, fmt.Errorf("leaf %d has %d entries", id, l.n)
	}
	for i := range l.n {
		k := l.keys.at(i)
		if i > 0 && !l.keys.at(i-1).less(k) || k.less(from) || to.less(k) {
			return 0, fmt.Errorf("leaf %d: key %d is out of order", id, i)
		}
		if got := t.recs.at(l.slots[i]).leaf; got != id {
			return 0, fmt.Errorf("leaf %d: slot %d has leaf %d in its record", id, l.slots[i], got)
		}
	}
	return l.n, nil
}

func (x *index) check() error {
	cells := 0
	owned := make([]int, len(x.segments))
	for _, at := range x.dir {
		owned[at]++
	}
	for at := range x.segments {
		g := &x.segments[at]
		cells += len(g.cells)
		if want := 1 << (x.depth - g.depth); owned[at] != want {
			return fmt.Errorf("segment %d has %d places in the directory, want %d", at, owned[at], want)
		}
		n := 0
		for i, c := range g.cells {
			if c == 0 {
				continue
			}
			n++
			h := uint32(c >> 32)
			if x.segment(h) != g {
				return fmt.Errorf("segment %d has a hash %x of another", at, h)
			}
			for j := g.home(h); j != i; j = g.next(j) {
				if g.cells[j] == 0 {
					return fmt.Errorf("segment %d: cell %d is not found from its home", at, i)
				}
			}
		}
		if n != g.n || n == len(g.cells) {
			return fmt.Errorf("segment %d has %d of %d cells in use, and counts %d", at, n, len(g.cells), g.n)
		}
	}
	if cells != x.cells || bits.OnesCount(uint(len(x.dir))) != 1 {
		return fmt.Errorf("%d cells, counted as %d, in a directory of %d", cells, x.cells, len(x.dir))
	}
	return nil
}

func (a *arena) check() error {
	held, dropped := 0, 0
	for i := range a.blocks {
		b := &a.blocks[i]
		held += cap(b.text)
		if b.text == nil {
			dropped++
		}
		if uint32(i) != a.tail && b.wasteful() {
			return fmt.Errorf("block %d uses %d of %d bytes", i, b.used, len(b.text))
		}
	}
	if held != a.held || dropped != len(a.free) {
		return fmt.Errorf("%d bytes in blocks, %d counted; %d blocks dropped, %d free", held, a.held, dropped, len(a.free))
	}
	return nil
}
