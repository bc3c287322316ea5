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

// The yardstick is tidwall/btree, whose BTreeG keeps items in leaves as we do, and finds the item at an index but not
// the index of an item. Both sides of a benchmark run on the same entries and the same changes.

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

func (y *yardset) move(slot uint32, score int64, seq uint64) {
	y.tree.Delete(y.items[slot])
	y.items[slot] = item{score, seq, slot}
	y.tree.Set(y.items[slot])
}

// entries returns benchmark entries in rank order, with scores of up to a million and ids of 10 to 12 bytes. Members
// are in no order that has to do with their ranks.
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

// versus does the same work on both sides by short turns, and reports the median turn of each and how often as fast
// zset is: other processes slow both sides, and a turn that they interrupted does not count. Nor does drawing what to
// work on, so that the member's id is at hand as it is when it comes in a request. The yardstick may be nil.
func versus[T any](b *testing.B, draw func(side int) T, zset, tidwall func(T)) {
	b.Helper()
	const turn = 200
	var turns [2][]time.Duration
	var drawn [turn]T
	take := func(side int, f func(T)) {
		for i := range drawn {
			drawn[i] = draw(side)
		}
		start := time.Now()
		for i := range drawn {
			f(drawn[i])
		}
		turns[side] = append(turns[side], time.Since(start))
	}
	for b.Loop() {
		take(0, zset)
		if tidwall != nil {
			take(1, tidwall)
		}
	}
	median := func(side int) float64 {
		slices.Sort(turns[side])
		return float64(turns[side][len(turns[side])/2].Nanoseconds()) / turn
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(0), "zset-ns")
	if tidwall != nil {
		b.ReportMetric(median(1), "tidwall-ns")
		b.ReportMetric(median(1)/median(0), "times-as-fast")
	}
}

// change is a new score for a member.
type change struct {
	slot   uint32
	member string
	score  int64
	seq    uint64
}

// changes returns a function that draws changes for one side or the other. The sides get different ones, or the
// second would find in the processor's cache what the first has read.
func changes(entries []Entry, next func(r *rand.Rand, score int64) int64) func(side int) change {
	n := len(entries)
	var scores [2][]int64
	var dice [2]*rand.Rand
	for side := range scores {
		dice[side] = rand.New(rand.NewPCG(*benchSeed, uint64(side)))
		for _, e := range entries {
			scores[side] = append(scores[side], e.Score)
		}
	}
	seq := uint64(n)
	return func(side int) change {
		i := dice[side].IntN(n)
		seq++
		scores[side][i] = next(dice[side], scores[side][i])
		sink += int(entries[i].Member[0])
		return change{uint32(i), entries[i].Member, scores[side][i], seq}
	}
}

// BenchmarkTreeUpdate moves entries in the trees alone: no side looks up members.
func BenchmarkTreeUpdate(b *testing.B) {
	entries := benchEntries(*benchSize)
	for _, m := range moves {
		b.Run("move="+m.name, func(b *testing.B) {
			t, y := benchTree(entries), newYardset(entries)
			versus(b, changes(entries, m.next),
				func(c change) { t.move(c.slot, benchKey(c.score, c.seq)) },
				func(c change) { y.move(c.slot, c.score, c.seq) })
		})
	}
}

// benchKey is Set.key for the zero Order.
func benchKey(score int64, seq uint64) key { return key{^(uint64(score) ^ 1<<63), seq} }

// benchTree returns a tree of the entries, whose slots are their places.
func benchTree(entries []Entry) *tree {
	recs := newRecords()
	t := newTree(&recs, New(Order{}).limits)
	fill := bulk{tree: &t}
	for _, e := range entries {
		fill.add(recs.alloc(0), benchKey(e.Score, e.Seq))
	}
	fill.finish()
	return &t
}

// BenchmarkSetUpdate sets scores of members.
func BenchmarkSetUpdate(b *testing.B) {
	entries := benchEntries(*benchSize)
	for _, m := range moves {
		b.Run("move="+m.name, func(b *testing.B) {
			s, y := benchSet(b, entries), newYardset(entries)
			versus(b, changes(entries, m.next),
				func(c change) { s.Set(c.member, c.score, c.seq) },
				func(c change) { y.move(y.slots[c.member], c.score, c.seq) })
		})
		b.Run("levels/move="+m.name, func(b *testing.B) {
			s := benchSet(b, entries)
			s.KeepLevels()
			versus(b, changes(entries, m.next), func(c change) { s.Set(c.member, c.score, c.seq) }, nil)
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

var sink int

// BenchmarkRead asks for members, entries and ranks anywhere in the set. The yardstick has no rank of a member or of
// a key.
func BenchmarkRead(b *testing.B) {
	entries := benchEntries(*benchSize)
	s, y := benchSet(b, entries), newYardset(entries)
	s.KeepLevels()
	for _, read := range []struct {
		name          string
		zset, tidwall func(c change)
	}{
		{
			"get",
			func(c change) { e, _ := s.Get(c.member); sink += int(e.Slot) },
			func(c change) { sink += int(y.items[y.slots[c.member]].slot) },
		},
		{
			"at",
			func(c change) { e, _ := s.At(int(c.slot) + 1); sink += int(e.Member[0]) },
			func(c change) { it, _ := y.tree.GetAt(int(c.slot)); sink += int(y.members[it.slot][0]) },
		},
		{
			"range100",
			func(c change) {
				left := 100
				for _, e := range s.Range(int(c.slot) + 1) {
					sink += int(e.Member[0])
					if left--; left == 0 {
						break
					}
				}
			},
			func(c change) {
				first, _ := y.tree.GetAt(int(c.slot))
				left := 100
				y.tree.Ascend(first, func(it item) bool {
					sink += int(y.members[it.slot][0])
					left--
					return left > 0
				})
			},
		},
		{"rank", func(c change) { rank, _ := s.Rank(c.member); sink += rank }, nil},
		{"better", func(c change) { sink += s.Better(c.score) }, nil},
		{"betterlevels", func(c change) { sink += s.BetterLevels(c.score) }, nil},
		{"rankafter", func(c change) { sink += s.RankAfter(Key{c.score, c.seq}) }, nil},
	} {
		b.Run("op="+read.name, func(b *testing.B) {
			stay := func(_ *rand.Rand, score int64) int64 { return score }
			versus(b, changes(entries, stay), read.zset, read.tidwall)
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

// BenchmarkMemory reports what the heap holds per entry, of trees alone and of whole sets: as loaded, grown in random
// order, and after every score has changed twice on average.
func BenchmarkMemory(b *testing.B) {
	n := *benchSize
	entries := benchEntries(n)
	shuffled := slices.Clone(entries)
	rand.New(rand.NewPCG(*benchSeed, 3)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })

	b.Run("part=tree/made=loaded/impl=zset", func(b *testing.B) {
		reportHeap(b, n, func() any { return benchTree(entries) })
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

// BenchmarkGrow adds members one by one, and reports the longest that one of them took, with the collector at rest.
// The set grows five times in the same way, and the quickest time of each step counts: the others are other
// processes' doing.
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
	collect := func(b *testing.B, alive any) {
		for b.Loop() {
			runtime.GC()
		}
		runtime.KeepAlive(alive)
	}
	b.Run("alive=nothing", func(b *testing.B) { collect(b, nil) })
	b.Run("alive=zset", func(b *testing.B) {
		s, err := Load(Order{}, n, generated(n))
		if err != nil {
			b.Fatal(err)
		}
		collect(b, s)
		b.ReportMetric(float64(s.Bytes())/float64(n), "B/entry")
	})
	b.Run("alive=tidwall", func(b *testing.B) { collect(b, newYardset(slices.Collect(generated(n)))) })
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
