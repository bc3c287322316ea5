package zset

import (
	"math"
	"math/bits"
	"slices"
)

const (
	nodeCap = 60 // keys in a leaf, or children of an inner node; a leaf is then 19 cache lines
	none    = ^uint32(0)
)

// key is a Key turned so that, whatever the order of the set, the smaller one stands first.
type key struct{ score, seq uint64 }

func (k key) less(than key) bool {
	return k.score < than.score || k.score == than.score && k.seq < than.seq
}

// keys is an array of keys, sorted, as two: a search reads the scores alone, unless there are equal ones.
type keys struct {
	scores [nodeCap]uint64
	seqs   [nodeCap]uint64
}

func (ks *keys) at(i int) key { return key{ks.scores[i], ks.seqs[i]} }

func (ks *keys) set(i int, k key) { ks.scores[i], ks.seqs[i] = k.score, k.seq }

// copy copies the keys of src from one position to another to position at, and returns how many these are. It may be
// within one array.
func (ks *keys) copy(at int, src *keys, from, to int) int {
	copy(ks.seqs[at:], src.seqs[from:to])
	return copy(ks.scores[at:], src.scores[from:to])
}

// below returns how many of the keys from one position to another are less than k.
func (ks *keys) below(from, to int, k key) int {
	scores := ks.scores[from:to]
	less := below(scores, k.score)
	if less == len(scores) || scores[less] != k.score {
		return less
	}
	equal := len(scores) - less
	if k.score < math.MaxUint64 {
		equal = below(scores[less:], k.score+1)
	}
	return less + below(ks.seqs[from+less:from+less+equal], k.seq)
}

// below returns how many of xs, which are sorted, are less than x. A set of a million is not in the processor's
// cache, so what counts is how often one read from memory must wait for another. The first loop reads a number from
// each cache line, and none of its reads waits; the second stays within a line. Neither takes a branch on what it
// compares, because none could be foretold.
func below(xs []uint64, x uint64) int {
	const line = 8
	n := 0
	for i := line - 1; i < len(xs); i += line {
		_, less := bits.Sub64(xs[i], x, 0)
		n += int(less) * line
	}
	for _, y := range xs[n:min(n+line, len(xs))] {
		_, less := bits.Sub64(y, x, 0)
		n += int(less)
	}
	return n
}

// leaf holds entries in rank order.
type leaf struct {
	n      int
	parent uint32 // none at the root; in a free leaf, the next free one
	slots  [nodeCap]uint32
	keys   keys
}

// inner is a node whose children are leaves, if its level is 1, or inner nodes of the level below.
type inner struct {
	n      int
	level  int
	parent uint32 // none at the root; in a free node, the next free one
	kids   [nodeCap]uint32
	counts [nodeCap]uint32 // entries under each child

	// bounds[i] lies between child i and child i+1: no key under the former is above it, and all under the latter
	// are. The last child has none.
	bounds keys
}

// tree is a counted B+ tree of slots ordered by key. It finds a slot's leaf through the slot's record, and the way up
// through parents. The nodes that split and merge are numbered, and a number stays with its node.
//
// Two neighbouring children of one parent are merged when a removal leaves them three quarters of one node's capacity
// between them, and have at any time more than half of it. A split leaves each half far enough from merging, and a
// merge far enough from splitting, that moving entries between nodes costs O(1) per change in the long run.
type tree struct {
	recs *records
	len  int

	root   uint32
	height int // 0 when the root is a leaf

	leaves     slab[leaf]
	inners     slab[inner]
	freeLeaves uint32
	freeInners uint32

	limits limits
}

func newTree(recs *records, lim limits) tree {
	t := tree{
		recs:       recs,
		leaves:     slab[leaf]{shift: 7},
		inners:     slab[inner]{shift: 4},
		freeLeaves: none,
		freeInners: none,
		limits:     lim,
	}
	t.root = t.newLeaf()
	return t
}

func (t *tree) bytes() int { return t.leaves.bytes() + t.inners.bytes() }

// newLeaf may move the leaves: pointers to them are stale afterwards.
func (t *tree) newLeaf() uint32 {
	id := t.freeLeaves
	if id == none {
		id = t.leaves.grow()
	} else {
		t.freeLeaves = t.leaves.at(id).parent
	}
	l := t.leaves.at(id)
	l.n, l.parent = 0, none
	return id
}

// newInner may move the inner nodes: pointers to them are stale afterwards.
func (t *tree) newInner(level int) uint32 {
	id := t.freeInners
	if id == none {
		id = t.inners.grow()
	} else {
		t.freeInners = t.inners.at(id).parent
	}
	in := t.inners.at(id)
	in.n, in.level, in.parent = 0, level, none
	return id
}

// key returns the key of a slot that is in the tree.
func (t *tree) key(slot uint32) key {
	l := t.leaves.at(t.recs.at(slot).leaf)
	return l.keys.at(l.find(slot))
}

// rank returns how many entries stand before the slot's.
func (t *tree) rank(slot uint32) int {
	id := t.recs.at(slot).leaf
	l := t.leaves.at(id)
	rank := l.find(slot)
	for parent := l.parent; parent != none; {
		in := t.inners.at(parent)
		before := uint32(0)
		for i := 0; in.kids[i] != id; i++ {
			before += in.counts[i]
		}
		rank += int(before)
		id, parent = parent, in.parent
	}
	return rank
}

// below returns how many entries have a key less than k.
func (t *tree) below(k key) int {
	id, rank := t.root, 0
	for range t.height {
		in := t.inners.at(id)
		i := in.child(k)
		for _, c := range in.counts[:i] {
			rank += int(c)
		}
		id = in.kids[i]
	}
	l := t.leaves.at(id)
	return rank + l.keys.below(0, l.n, k)
}

// seek returns where the entry is that has rank entries before it: a leaf and a position there.
func (t *tree) seek(rank int) (id uint32, i int) {
	id = t.root
	for range t.height {
		in := t.inners.at(id)
		i := 0
		for ; rank >= int(in.counts[i]); i++ {
			rank -= int(in.counts[i])
		}
		id = in.kids[i]
	}
	return id, rank
}

// after returns the leaf that follows, or none.
func (t *tree) after(id uint32) uint32 {
	parent := t.leaves.at(id).parent
	for up := 0; parent != none; up++ {
		in := t.inners.at(parent)
		if i := in.find(id); i+1 < in.n {
			id = in.kids[i+1]
			for range up {
				id = t.inners.at(id).kids[0]
			}
			return id
		}
		id, parent = parent, in.parent
	}
	return none
}

// insert adds a slot that is not in the tree.
func (t *tree) insert(slot uint32, k key) {
	id := t.descend(t.root, t.height, k)
	id = t.put(id, slot, k)
	t.len++
	for parent := t.leaves.at(id).parent; parent != none; {
		in := t.inners.at(parent)
		in.counts[in.find(id)]++
		id, parent = parent, in.parent
	}
}

// remove takes a slot out of the tree.
func (t *tree) remove(slot uint32) {
	id := t.recs.at(slot).leaf
	l := t.leaves.at(id)
	l.cut(l.find(slot))
	t.len--
	child := id
	for parent := l.parent; parent != none; {
		in := t.inners.at(parent)
		in.counts[in.find(child)]--
		child, parent = parent, in.parent
	}
	t.mergeLeaf(id)
}

// move gives a slot that is in the tree another key.
func (t *tree) move(slot uint32, k key) {
	from := t.recs.at(slot).leaf
	l := t.leaves.at(from)
	i := l.find(slot)
	to := t.locate(from, k)
	if to == from {
		l.move(i, k)
		return
	}
	l.cut(i)
	to = t.put(to, slot, k)
	// Counts change only below the common ancestor.
	a, b := from, to
	pa, pb := t.leaves.at(a).parent, t.leaves.at(b).parent
	for {
		x, y := t.inners.at(pa), t.inners.at(pb)
		x.counts[x.find(a)]--
		y.counts[y.find(b)]++
		if pa == pb {
			break
		}
		a, b = pa, pb
		pa, pb = x.parent, y.parent
	}
	t.mergeLeaf(from)
}

// locate returns the leaf where k belongs, and searches from another leaf on: near keys are found without going up far.
func (t *tree) locate(id uint32, k key) uint32 {
	parent := t.leaves.at(id).parent
	level := 0
	for ; parent != none; level++ {
		id = parent
		in := t.inners.at(id)
		if in.n > 2 && in.bounds.at(0).less(k) && !in.bounds.at(in.n-2).less(k) {
			level++
			break // k belongs to one of the middle children, whatever the bounds of the node itself
		}
		parent = in.parent
	}
	return t.descend(id, level, k)
}

// descend returns the leaf where k belongs under the node with that number and level.
func (t *tree) descend(id uint32, level int, k key) uint32 {
	for range level {
		in := t.inners.at(id)
		id = in.kids[in.child(k)]
	}
	return id
}

// put puts a key where it belongs in a leaf, or in that leaf's new neighbour if the leaf was full, and returns which.
// It leaves the counts above as they were.
func (t *tree) put(id, slot uint32, k key) uint32 {
	l := t.leaves.at(id)
	i := l.keys.below(0, l.n, k)
	if l.n == t.limits.leaf {
		at := t.splitPoint(id, i)
		right := t.splitLeaf(id, at)
		if i >= at {
			id, i = right, i-at
		}
		l = t.leaves.at(id)
	}
	l.insert(i, slot, k)
	t.recs.at(slot).leaf = id
	return id
}

// splitPoint returns where to split a full leaf for a new entry at i. What grows at one end, as a board does that
// everybody joins at the bottom of, leaves full leaves behind; but not so that the small leaf there comes beside
// another small one.
func (t *tree) splitPoint(id uint32, i int) int {
	half := t.limits.leaf / 2
	if i > 0 && i < t.limits.leaf {
		return half
	}
	if parent := t.leaves.at(id).parent; parent != none {
		in := t.inners.at(parent)
		beside := in.find(id) - 1
		if i > 0 {
			beside += 2
		}
		if beside >= 0 && beside < in.n && int(in.counts[beside]) < half {
			return half
		}
	}
	if i == 0 {
		return 1
	}
	return t.limits.leaf - 1
}

// splitLeaf moves the entries from position at on to a new leaf.
func (t *tree) splitLeaf(id uint32, at int) (right uint32) {
	parent := t.roomAbove(t.leaves.at(id).parent, id, 1)
	right = t.newLeaf()
	l, r := t.leaves.at(id), t.leaves.at(right)
	l.parent, r.parent = parent, parent
	r.n = r.keys.copy(0, &l.keys, at, l.n)
	copy(r.slots[:], l.slots[at:l.n])
	l.n = at
	for _, slot := range r.slots[:r.n] {
		t.recs.at(slot).leaf = right
	}
	in := t.inners.at(parent)
	in.split(in.find(id), right, uint32(r.n), l.keys.at(l.n-1))
	return right
}

// roomAbove returns the parent of a node that is about to be split, with room for one more child. It may be a new
// root, or half of the former parent.
func (t *tree) roomAbove(parent, child uint32, level int) uint32 {
	if parent == none {
		t.root = t.newInner(level)
		t.height = level
		in := t.inners.at(t.root)
		in.n = 1
		in.kids[0] = child
		in.counts[0] = uint32(t.len)
		return t.root
	}
	in := t.inners.at(parent)
	if in.n < t.limits.inner {
		return parent
	}
	right := t.splitInner(parent)
	if t.inners.at(parent).find(child) < 0 {
		return right
	}
	return parent
}

// splitInner moves the second half of the children to a new node.
func (t *tree) splitInner(id uint32) (right uint32) {
	level := t.inners.at(id).level
	parent := t.roomAbove(t.inners.at(id).parent, id, level+1)
	right = t.newInner(level)
	l, r := t.inners.at(id), t.inners.at(right)
	l.parent, r.parent = parent, parent
	at := l.n / 2
	r.n = copy(r.kids[:], l.kids[at:l.n])
	copy(r.counts[:], l.counts[at:l.n])
	r.bounds.copy(0, &l.bounds, at, l.n)
	l.n = at
	t.adopt(right, 0, r.n)
	in := t.inners.at(parent)
	in.split(in.find(id), right, r.total(), l.bounds.at(at-1))
	return right
}

// adopt makes a node the parent of its children from one position to another.
func (t *tree) adopt(id uint32, from, to int) {
	in := t.inners.at(id)
	for _, kid := range in.kids[from:to] {
		if in.level == 1 {
			t.leaves.at(kid).parent = id
		} else {
			t.inners.at(kid).parent = id
		}
	}
}

// mergeAt returns how full a node that two neighbours are merged into may be.
func mergeAt(capacity int) int { return capacity * 3 / 4 }

// mergeLeaf merges a leaf that has lost an entry with a neighbour, if they are now small enough.
func (t *tree) mergeLeaf(id uint32) {
	l := t.leaves.at(id)
	if l.parent == none || l.n > mergeAt(t.limits.leaf) {
		return
	}
	parent := l.parent
	in := t.inners.at(parent)
	i := in.find(id)
	if in.n == 1 {
		if l.n == 0 {
			t.freeLeaf(id)
			in.n = 0
			t.mergeInner(parent)
		}
		return
	}
	if i+1 == in.n || i > 0 && in.counts[i-1] < in.counts[i+1] {
		i--
	}
	if l.n > 0 && int(in.counts[i]+in.counts[i+1]) > mergeAt(t.limits.leaf) {
		return
	}

	left, right := in.kids[i], in.kids[i+1]
	l, r := t.leaves.at(left), t.leaves.at(right)
	if l.n > r.n {
		at := l.n
		l.n += l.keys.copy(at, &r.keys, 0, r.n)
		copy(l.slots[at:], r.slots[:r.n])
		for _, slot := range l.slots[at:l.n] {
			t.recs.at(slot).leaf = left
		}
		in.join(i, left)
		t.freeLeaf(right)
	} else {
		r.keys.copy(l.n, &r.keys, 0, r.n)
		copy(r.slots[l.n:], r.slots[:r.n])
		r.n += r.keys.copy(0, &l.keys, 0, l.n)
		copy(r.slots[:], l.slots[:l.n])
		for _, slot := range r.slots[:l.n] {
			t.recs.at(slot).leaf = right
		}
		in.join(i, right)
		t.freeLeaf(left)
	}
	t.mergeInner(parent)
}

// mergeInner merges an inner node that has lost a child with a neighbour, if they are now small enough. A root with one
// child makes room for it.
func (t *tree) mergeInner(id uint32) {
	in := t.inners.at(id)
	if in.level == 0 {
		return // has been merged meanwhile, and what it became part of has been looked at
	}
	if in.parent == none {
		for in.n == 1 {
			t.root = in.kids[0]
			t.height--
			t.freeInner(id)
			if t.height == 0 {
				t.leaves.at(t.root).parent = none
				return
			}
			id = t.root
			in = t.inners.at(id)
			in.parent = none
		}
		return
	}
	if in.n > mergeAt(t.limits.inner) {
		return
	}
	parent := in.parent
	up := t.inners.at(parent)
	i := up.find(id)
	if up.n == 1 {
		if in.n == 0 {
			t.freeInner(id)
			up.n = 0
			t.mergeInner(parent)
		}
		return
	}
	if i+1 == up.n || i > 0 && t.inners.at(up.kids[i-1]).n < t.inners.at(up.kids[i+1]).n {
		i--
	}
	left, right := up.kids[i], up.kids[i+1]
	l, r := t.inners.at(left), t.inners.at(right)
	if in.n > 0 && l.n+r.n > mergeAt(t.limits.inner) {
		return
	}
	meet := none // the second of the children that now become neighbours
	if l.n > 0 && r.n > 0 {
		meet = r.kids[0]
	}
	level := in.level
	if l.n > r.n {
		at := l.n
		l.n += copy(l.kids[at:], r.kids[:r.n])
		copy(l.counts[at:], r.counts[:r.n])
		l.bounds.set(at-1, up.bounds.at(i))
		l.bounds.copy(at, &r.bounds, 0, r.n)
		t.adopt(left, at, l.n)
		up.join(i, left)
		t.freeInner(right)
	} else {
		copy(r.kids[l.n:], r.kids[:r.n])
		copy(r.counts[l.n:], r.counts[:r.n])
		r.bounds.copy(l.n, &r.bounds, 0, r.n)
		r.n += copy(r.kids[:], l.kids[:l.n])
		copy(r.counts[:], l.counts[:l.n])
		r.bounds.copy(0, &l.bounds, 0, l.n)
		if l.n > 0 {
			r.bounds.set(l.n-1, up.bounds.at(i))
		}
		t.adopt(right, 0, l.n)
		up.join(i, right)
		t.freeInner(left)
	}
	if meet != none && level == 1 {
		t.mergeLeaf(meet)
	} else if meet != none {
		t.mergeInner(meet)
	}
	t.mergeInner(parent)
}

func (t *tree) freeLeaf(id uint32) {
	t.leaves.at(id).parent = t.freeLeaves
	t.freeLeaves = id
}

func (t *tree) freeInner(id uint32) {
	in := t.inners.at(id)
	in.level, in.parent = 0, t.freeInners
	t.freeInners = id
}

// find returns the position of a slot that is in the leaf.
func (l *leaf) find(slot uint32) int {
	for i, s := range l.slots[:l.n] {
		if s == slot {
			return i
		}
	}
	panic("zset: a slot is not in the leaf of its record")
}

func (l *leaf) insert(i int, slot uint32, k key) {
	l.keys.copy(i+1, &l.keys, i, l.n)
	copy(l.slots[i+1:], l.slots[i:l.n])
	l.keys.set(i, k)
	l.slots[i] = slot
	l.n++
}

func (l *leaf) cut(i int) {
	l.keys.copy(i, &l.keys, i+1, l.n)
	copy(l.slots[i:], l.slots[i+1:l.n])
	l.n--
}

// move gives the entry at i another key, and its place in the leaf.
func (l *leaf) move(i int, k key) {
	switch slot := l.slots[i]; {
	case i > 0 && !l.keys.at(i-1).less(k):
		to := l.keys.below(0, i-1, k)
		l.keys.copy(to+1, &l.keys, to, i)
		copy(l.slots[to+1:], l.slots[to:i])
		i = to
		l.slots[i] = slot
	case i+1 < l.n && l.keys.at(i+1).less(k):
		to := i + 1 + l.keys.below(i+2, l.n, k)
		l.keys.copy(i, &l.keys, i+1, to+1)
		copy(l.slots[i:], l.slots[i+1:to+1])
		i = to
		l.slots[i] = slot
	}
	l.keys.set(i, k)
}

// find returns the position of a child, or -1.
func (in *inner) find(id uint32) int {
	for i, kid := range in.kids[:in.n] {
		if kid == id {
			return i
		}
	}
	return -1
}

// child returns the position of the child under which k belongs.
func (in *inner) child(k key) int { return in.bounds.below(0, in.n-1, k) }

// total returns how many entries there are under the node.
func (in *inner) total() uint32 {
	total := uint32(0)
	for _, c := range in.counts[:in.n] {
		total += c
	}
	return total
}

// split makes room behind child i for a new child that has taken count entries from it, all those above bound.
func (in *inner) split(i int, right, count uint32, bound key) {
	copy(in.kids[i+2:], in.kids[i+1:in.n])
	copy(in.counts[i+2:], in.counts[i+1:in.n])
	in.bounds.copy(i+1, &in.bounds, i, in.n)
	in.kids[i+1] = right
	in.counts[i+1] = count
	in.counts[i] -= count
	in.bounds.set(i, bound)
	in.n++
}

// join makes one child with the given number of children i and i+1.
func (in *inner) join(i int, id uint32) {
	in.kids[i+1] = id
	in.counts[i+1] += in.counts[i]
	copy(in.kids[i:], in.kids[i+1:in.n])
	copy(in.counts[i:], in.counts[i+1:in.n])
	in.bounds.copy(i, &in.bounds, i+1, in.n)
	in.n--
}

// bulk fills an empty tree with entries in order.
type bulk struct {
	tree  *tree
	id    uint32 // the leaf that is being filled
	level []edge // finished nodes of the level that is being built
}

// edge is what a parent holds of a child.
type edge struct {
	id, count uint32
	last      key
}

// bulkFill is how many keys or children go into a node: not all that it can hold, so that the first changes do not
// split every node.
func bulkFill(capacity int) int { return capacity * 7 / 8 }

func (b *bulk) add(slot uint32, k key) {
	t := b.tree
	if t.len == 0 {
		b.id = t.root
	}
	l := t.leaves.at(b.id)
	if l.n == bulkFill(t.limits.leaf) {
		b.endLeaf(l)
		b.id = t.newLeaf()
		l = t.leaves.at(b.id)
	}
	l.keys.set(l.n, k)
	l.slots[l.n] = slot
	l.n++
	t.recs.at(slot).leaf = b.id
	t.len++
}

func (b *bulk) endLeaf(l *leaf) {
	b.level = append(b.level, edge{id: b.id, count: uint32(l.n), last: l.keys.at(l.n - 1)})
}

// finish builds the nodes above the leaves.
func (b *bulk) finish() {
	t := b.tree
	if t.len == 0 {
		return
	}
	b.endLeaf(t.leaves.at(b.id))
	for len(b.level) > 1 {
		t.height++
		var above []edge
		for kids := range slices.Chunk(b.level, bulkFill(t.limits.inner)) {
			id := t.newInner(t.height)
			in := t.inners.at(id)
			in.n = len(kids)
			for i, kid := range kids {
				in.kids[i], in.counts[i] = kid.id, kid.count
				in.bounds.set(i, kid.last)
			}
			t.adopt(id, 0, in.n)
			above = append(above, edge{id: id, count: in.total(), last: kids[len(kids)-1].last})
		}
		b.level = above
	}
	t.root = b.level[0].id
}
