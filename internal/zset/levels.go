package zset

// levels are the distinct scores of a set in rank order, each with how many entries have it, so that a dense rank is
// one descent of a tree that is no deeper than the set's own.
type levels struct {
	recs records // name is not an id's place here, but how many entries have the score
	tree *tree
}

func newLevels(lim limits) *levels {
	l := &levels{recs: newRecords()}
	t := newTree(&l.recs, lim)
	l.tree = &t
	return l
}

// find returns the slot of a score, turned as in keys.
func (l *levels) find(score uint64) (slot uint32, ok bool) {
	t := l.tree
	k := key{score: score}
	leaf := t.leaves.at(t.descend(t.root, t.height, k))
	i := leaf.keys.below(0, leaf.n, k)
	if i == leaf.n || leaf.keys.scores[i] != score {
		return none, false
	}
	return leaf.slots[i], true
}

// join counts one more entry with a score.
func (l *levels) join(score uint64) {
	if slot, ok := l.find(score); ok {
		l.recs.at(slot).name++
		return
	}
	l.tree.insert(l.recs.alloc(1), key{score: score})
}

// leave counts one entry less with a score that some have.
func (l *levels) leave(score uint64) {
	slot, ok := l.find(score)
	if !ok {
		panic("zset: a score that an entry has is not among the levels")
	}
	r := l.recs.at(slot)
	if r.name--; r.name > 0 {
		return
	}
	l.tree.remove(slot)
	l.recs.release(slot)
}

func (l *levels) bytes() int { return l.recs.bytes() + l.tree.bytes() }

// KeepLevels makes the set count its distinct scores from now on, for BetterLevels. It takes O(N) once, which is
// nothing for an empty set; after that each change of a score takes O(log N) more.
func (s *Set) KeepLevels() {
	l := newLevels(s.limits)
	fill := bulk{tree: l.tree}
	last, slot := uint64(0), none
	for _, e := range s.Range(1) {
		if k := s.key(e.Score, 0); slot == none || k.score != last {
			last, slot = k.score, l.recs.alloc(0)
			fill.add(slot, key{score: last})
		}
		l.recs.at(slot).name++
	}
	fill.finish()
	s.levels = l
}

// Levels returns how many distinct scores the set has. The set has to keep its levels, here, for BetterLevels and for
// LevelSize.
func (s *Set) Levels() int { return s.levels.tree.len }

// BetterLevels returns how many distinct scores of entries are strictly better than the given one. An entry's dense
// rank is one more than that.
func (s *Set) BetterLevels(score int64) int {
	return s.levels.tree.below(key{score: uint64(score) ^ s.scoreFlip})
}

// LevelSize returns how many entries have the given score.
func (s *Set) LevelSize(score int64) int {
	slot, ok := s.levels.find(uint64(score) ^ s.scoreFlip)
	if !ok {
		return 0
	}
	return int(s.levels.recs.at(slot).name)
}
