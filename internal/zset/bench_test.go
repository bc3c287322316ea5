package zset

import (
	"flag"
	"fmt"
	"hash/maphash"
	"iter"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/btree"
)

// The yardstick is tidwall/btree, whose BTreeG keeps items in leaves as we do, and finds the item at an index but not the
// index of an item. Both sides of a benchmark run on the same entries and the same changes.

var (
	benchSize = flag.Int("zset.n", 1_000_000, "`entries` in the benchmarks' sets")
	benchSeed = flag.Uint64("zset.seed", 1, "`seed` of the benchmarks' random numbers")
)

// item is what a tree has to hold of an entry.
type item struct {
	score int64
	seq   uint64
	slot  uint32
}

func (a item) less(b item) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	return a.seq < b.seq
}

func newYardstick() *btree.BTreeG[item] {
	return btree.NewBTreeGOptions(item.less, btree.Options{NoLocks: true})
}

// yardset is a whole sorted set on the yardstick, made as one would make it: a map from member to slot, and the members
// and items by slot.
type yardset struct {
	tree    *btree.BTreeG[item]
	slots   map[string]uint32
	members []string
	items   []item
}

func newYardset(entries []Entry) *yardset {
	y := &yardset{tree: newYardstick(), slots: make(map[string]uint32, len(entries))}
	for _, e := range entries {
		slot := uint32(len(y.members))
		member := strings.Clone(e.Member) // a copy of its own, as the set has
		y.slots[member] = slot
		y.members = append(y.members, member)
		y.items = append(y.items, item{e.Score, e.Seq, slot})
		y.tree.Load(y.items[slot])
	}
	return y
}

func (y *yardset) set(member string, score int64, seq uint64) {
	slot := y.slots[member]
	y.tree.Delete(y.items[slot])
	y.items[slot] = item{score, seq, slot}
	y.tree.Set(y.items[slot])
}

// entries returns benchmark entries in rank order, with scores of up to a million and ids of 10 to 12 bytes. Members are in
// no order that has to do with their ranks.
func benchEntries(n int) []Entry {
	r := rand.New(rand.NewPCG(*benchSeed, 0))
	entries := make([]Entry, n)
	ids := r.Perm(n)
	for i := range entries {
		entries[i] = Entry{
			Member: fmt.Sprintf("player%0*d", 4+i%3, ids[i]),
			Score:  r.Int64N(1_000_000),
			Seq:    uint64(i + 1),
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if (item{a.Score, a.Seq, 0}).less(item{b.Score, b.Seq, 0}) {
			return -1
		}
		return 1
	})
	return entries
}

// moves are the ways in which scores change.
var moves = []struct {
	name string
	next func(r *rand.Rand, score int64) int64
}{
	{"anywhere", func(r *rand.Rand, _ int64) int64 { return r.Int64N(1_000_000) }},
	{"near", func(r *rand.Rand, score int64) int64 { return score + r.Int64N(21) - 10 }},
	{"up", func(r *rand.Rand, score int64) int64 { return score + 1 + r.Int64N(1000) }},
}

// versus runs the same work on both sides by turns, so that whatever else the machine does slows both, and reports how
// often as fast zset is.
func versus(b *testing.B, zset, tidwall func()) {
	b.Helper()
	const turn = 500
	var ours, theirs time.Duration
	ops := 0
	for b.Loop() {
		start := time.Now()
		for range turn {
			zset()
		}
		middle := time.Now()
		for range turn {
			tidwall()
		}
		ours += middle.Sub(start)
		theirs += time.Since(middle)
		ops += turn
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(ops), "zset-ns")
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(ops), "tidwall-ns")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-as-fast")
}

// BenchmarkTreeUpdate moves entries in the trees alone: no side looks up members.
func BenchmarkTreeUpdate(b *testing.B) {
	n := *benchSize
	entries := benchEntries(n)
	for _, m := range moves {
		b.Run("move="+m.name, func(b *testing.B) {
			t, keys := benchTree(entries)
			y := newYardset(entries)
			ours, theirs := newDice(n, 0), newDice(n, 1)
			versus(b, func() {
				slot, seq := ours.roll()
				score := m.next(ours.Rand, keys[slot].Score)
				keys[slot] = Key{score, seq}
				t.move(uint32(slot), benchKey(score, seq))
			}, func() {
				slot, seq := theirs.roll()
				score := m.next(theirs.Rand, y.items[slot].score)
				y.tree.Delete(y.items[slot])
				y.items[slot] = item{score, seq, uint32(slot)}
				y.tree.Set(y.items[slot])
			})
		})
	}
}

// dice choose entries. The two sides have different ones, or the second would find in the processor's cache what the first has
// read.
type dice struct {
	*rand.Rand
	n   int
	seq uint64
}

func newDice(n int, side uint64) *dice {
	return &dice{Rand: rand.New(rand.NewPCG(*benchSeed, 1+side)), n: n, seq: uint64(n)}
}

func (d *dice) roll() (i int, seq uint64) {
	d.seq++
	return d.IntN(d.n), d.seq
}

// benchKey is Set.key for the zero Order.
func benchKey(score int64, seq uint64) key { return key{^(uint64(score) ^ 1<<63), seq} }

// benchTree returns a tree of the entries, whose slots are their places, and their keys by slot.
func benchTree(entries []Entry) (*tree, []Key) {
	recs := newRecords()
	t := newTree(&recs, New(Order{}).limits)
	fill := bulk{tree: &t}
	keys := make([]Key, len(entries))
	for i, e := range entries {
		keys[i] = Key{e.Score, e.Seq}
		fill.add(recs.alloc(0), benchKey(e.Score, e.Seq))
	}
	fill.finish()
	return &t, keys
}

// BenchmarkSetUpdate sets scores of members.
func BenchmarkSetUpdate(b *testing.B) {
	n := *benchSize
	entries := benchEntries(n)
	for _, m := range moves {
		b.Run("move="+m.name, func(b *testing.B) {
			s, y := benchSet(b, entries), newYardset(entries)
			scores := [2][]int64{benchScores(entries), benchScores(entries)}
			ours, theirs := newDice(n, 0), newDice(n, 1)
			versus(b, func() {
				i, seq := ours.roll()
				scores[0][i] = m.next(ours.Rand, scores[0][i])
				s.Set(entries[i].Member, scores[0][i], seq)
			}, func() {
				i, seq := theirs.roll()
				scores[1][i] = m.next(theirs.Rand, scores[1][i])
				y.set(entries[i].Member, scores[1][i], seq)
			})
		})
	}
}

func benchSet(b *testing.B, entries []Entry) *Set {
	b.Helper()
	s, err := Load(Order{}, len(entries), slices.Values(entries))
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func benchScores(entries []Entry) []int64 {
	scores := make([]int64, len(entries))
	for i, e := range entries {
		scores[i] = e.Score
	}
	return scores
}

var sink int

// BenchmarkRead asks for members, entries and ranks anywhere in the set.
func BenchmarkRead(b *testing.B) {
	n := *benchSize
	entries := benchEntries(n)
	s, y := benchSet(b, entries), newYardset(entries)
	for _, read := range []struct {
		name          string
		zset, tidwall func(i int)
	}{
		{
			"get",
			func(i int) { e, _ := s.Get(entries[i].Member); sink += int(e.Slot) },
			func(i int) { it := y.items[y.slots[entries[i].Member]]; sink += int(it.slot) },
		},
		{
			"at",
			func(i int) { e, _ := s.At(i + 1); sink += len(e.Member) },
			func(i int) { it, _ := y.tree.GetAt(i); sink += len(y.members[it.slot]) },
		},
		{
			"range100",
			func(i int) {
				left := 100
				for _, e := range s.Range(i + 1) {
					sink += len(e.Member)
					if left--; left == 0 {
						break
					}
				}
			},
			func(i int) {
				first, _ := y.tree.GetAt(i)
				left := 100
				y.tree.Ascend(first, func(it item) bool {
					sink += len(y.members[it.slot])
					left--
					return left > 0
				})
			},
		},
		{"rank", func(i int) { rank, _ := s.Rank(entries[i].Member); sink += rank }, nil},
		{"better", func(i int) { sink += s.Better(entries[i].Score) }, nil},
		{"rankafter", func(i int) { sink += s.RankAfter(Key{entries[i].Score, entries[i].Seq}) }, nil},
	} {
		b.Run("op="+read.name, func(b *testing.B) {
			ours, theirs := newDice(n, 0), newDice(n, 1)
			if read.tidwall == nil { // which has no rank of a member or a key
				for b.Loop() {
					read.zset(ours.IntN(n))
				}
				return
			}
			versus(b, func() { read.zset(ours.IntN(n)) }, func() { read.tidwall(theirs.IntN(n)) })
		})
	}
}

// BenchmarkLoad loads a set in rank order.
func BenchmarkLoad(b *testing.B) {
	entries := benchEntries(*benchSize)
	perEntry := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(entries)), "ns/entry")
	}
	b.Run("impl=zset", func(b *testing.B) {
		for b.Loop() {
			sink += benchSet(b, entries).Len()
		}
		perEntry(b)
	})
	b.Run("impl=tidwall", func(b *testing.B) {
		for b.Loop() {
			sink += newYardset(entries).tree.Len()
		}
		perEntry(b)
	})
}

// BenchmarkMemory reports what the heap holds per entry, of trees alone and of whole sets: as loaded, grown in random order, and after
// every score has changed twice on average.
func BenchmarkMemory(b *testing.B) {
	n := *benchSize
	entries := benchEntries(n)
	shuffled := slices.Clone(entries)
	rand.New(rand.NewPCG(*benchSeed, 3)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })

	b.Run("part=tree/made=loaded/impl=zset", func(b *testing.B) {
		reportHeap(b, n, func() any { t, _ := benchTree(entries); return t })
	})
	b.Run("part=tree/made=grown/impl=zset", func(b *testing.B) {
		reportHeap(b, n, func() any {
			recs := newRecords()
			t := newTree(&recs, New(Order{}).limits)
			for _, e := range shuffled {
				t.insert(recs.alloc(0), benchKey(e.Score, e.Seq))
			}
			return &t
		})
	})
	b.Run("part=tree/made=grown/impl=tidwall", func(b *testing.B) {
		reportHeap(b, n, func() any {
			t := newYardstick()
			for i, e := range shuffled {
				t.Set(item{e.Score, e.Seq, uint32(i)})
			}
			return t
		})
	})
	b.Run("part=whole/made=loaded/impl=zset", func(b *testing.B) {
		reportHeap(b, n, func() any { return benchSet(b, entries) })
	})
	b.Run("part=whole/made=grown/impl=zset", func(b *testing.B) {
		reportHeap(b, n, func() any { return growSet(shuffled) })
	})
	b.Run("part=whole/made=moved/impl=zset", func(b *testing.B) {
		reportHeap(b, n, func() any {
			s := growSet(shuffled)
			r := rand.New(rand.NewPCG(*benchSeed, 4))
			for i := range 2 * n {
				s.Set(entries[r.IntN(n)].Member, r.Int64N(1_000_000), uint64(n+i+1))
			}
			return s
		})
	})
	b.Run("part=whole/made=grown/impl=tidwall", func(b *testing.B) {
		reportHeap(b, n, func() any {
			y := &yardset{tree: newYardstick(), slots: map[string]uint32{}}
			for i, e := range shuffled {
				member := strings.Clone(e.Member)
				y.slots[member] = uint32(i)
				y.members = append(y.members, member)
				y.items = append(y.items, item{e.Score, e.Seq, uint32(i)})
				y.tree.Set(y.items[i])
			}
			return y
		})
	})
}

func growSet(entries []Entry) *Set {
	s := New(Order{})
	for _, e := range entries {
		s.Set(e.Member, e.Score, e.Seq)
	}
	return s
}

// reportHeap reports how much the heap grows, per entry, by what build returns.
func reportHeap(b *testing.B, n int, build func() any) {
	b.Helper()
	var grown int
	for b.Loop() {
		before := heap()
		built := build()
		grown = heap() - before
		runtime.KeepAlive(built)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(grown)/float64(n), "B/entry")
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// BenchmarkGrow adds members one by one, and reports the longest that one of them took, with the collector at rest. The set
// grows five times in the same way, and the quickest time of each step counts: the others are other processes' doing.
func BenchmarkGrow(b *testing.B) {
	n := *benchSize
	entries := benchEntries(n)
	rand.New(rand.NewPCG(*benchSeed, 3)).Shuffle(n, func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for b.Loop() {
		seed := maphash.MakeSeed()
		steps := make([]time.Duration, n)
		for run := range 5 {
			debug.FreeOSMemory()
			s := New(Order{})
			s.seed = seed
			for i, e := range entries {
				start := time.Now()
				s.Set(e.Member, e.Score, e.Seq)
				if took := time.Since(start); run == 0 || took < steps[i] {
					steps[i] = took
				}
			}
			sink += s.Len()
		}
		slices.Sort(steps)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(steps[n/2].Nanoseconds()), "p50-ns")
		b.ReportMetric(float64(steps[n-1-n/1000].Nanoseconds()), "p99.9-ns")
		b.ReportMetric(float64(steps[n-1].Nanoseconds()), "worst-ns")
	}
}

// BenchmarkCollect is one cycle of the garbage collector with a large set alive, and with none: -zset.n=10000000.
func BenchmarkCollect(b *testing.B) {
	n := *benchSize
	b.Run("heap=empty", func(b *testing.B) {
		for b.Loop() {
			runtime.GC()
		}
	})
	b.Run("heap=zset", func(b *testing.B) {
		s, err := Load(Order{}, n, generated(n))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			runtime.GC()
		}
		b.ReportMetric(float64(s.Bytes())/float64(n), "B/entry")
		runtime.KeepAlive(s)
	})
}

// generated yields n entries in rank order without keeping them.
func generated(n int) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range n {
			if !yield(Entry{Member: fmt.Sprintf("player%d", i), Score: int64(n - i), Seq: uint64(i + 1)}) {
				return
			}
		}
	}
}

// BenchmarkHash is the part of every call by member that is not ours to make faster.
func BenchmarkHash(b *testing.B) {
	seed := maphash.MakeSeed()
	for b.Loop() {
		sink += int(maphash.String(seed, "player012345"))
	}
}
