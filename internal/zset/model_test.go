package zset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// small makes sets in which a few dozen members are three levels deep.
var small = limits{leaf: 6, inner: 4, cells: 16}

var orders = []Order{
	{},
	{LatestFirst: true},
	{Ascending: true},
	{Ascending: true, LatestFirst: true},
}

const maxScore = 1<<53 - 1

// model is what a Set promises, done naively.
type model struct {
	order   Order
	entries []Entry // in rank order; slots are not modelled
}

func (m *model) compare(a, b Key) int {
	byScore, bySeq := cmp.Compare(b.Score, a.Score), cmp.Compare(a.Seq, b.Seq)
	if m.order.Ascending {
		byScore = -byScore
	}
	if m.order.LatestFirst {
		bySeq = -bySeq
	}
	return cmp.Or(byScore, bySeq)
}

func (m *model) find(member string) int {
	return slices.IndexFunc(m.entries, func(e Entry) bool { return e.Member == member })
}

func (m *model) set(member string, score int64, seq uint64) {
	m.remove(member)
	e := Entry{Member: member, Score: score, Seq: seq}
	i, _ := slices.BinarySearchFunc(m.entries, e, func(a, b Entry) int {
		return m.compare(Key{a.Score, a.Seq}, Key{b.Score, b.Seq})
	})
	m.entries = slices.Insert(m.entries, i, e)
}

func (m *model) remove(member string) bool {
	i := m.find(member)
	if i < 0 {
		return false
	}
	m.entries = slices.Delete(m.entries, i, i+1)
	return true
}

func (m *model) better(score int64) int {
	n := 0
	for _, e := range m.entries {
		if m.order.Ascending && e.Score < score || !m.order.Ascending && e.Score > score {
			n++
		}
	}
	return n
}

func (m *model) betterLevels(score int64) int {
	seen := map[int64]bool{}
	for _, e := range m.entries {
		if m.order.Ascending && e.Score < score || !m.order.Ascending && e.Score > score {
			seen[e.Score] = true
		}
	}
	return len(seen)
}

func (m *model) rankAfter(k Key) int {
	rank := 1
	for _, e := range m.entries {
		if m.compare(Key{e.Score, e.Seq}, k) <= 0 {
			rank++
		}
	}
	return rank
}

// machine applies the same changes to a Set and to its model, and holds them against each other.
type machine struct {
	set   *Set
	model model
	seq   uint64
	slots map[string]uint32 // the members', as Set returned them
}

// newMachine returns a machine whose set keeps its levels.
func newMachine(o Order, lim limits) *machine {
	m := &machine{set: newSet(o, lim), model: model{order: o}, slots: map[string]uint32{}}
	m.set.KeepLevels()
	return m
}

func (m *machine) put(t fataler, member string, score int64) {
	m.seq++
	m.putAt(t, member, score, m.seq)
}

// putAt is put with a seq of the caller's choice, which no member has.
func (m *machine) putAt(t fataler, member string, score int64, seq uint64) {
	t.Helper()
	slot := m.set.Set(member, score, seq)
	m.model.set(member, score, seq)
	if before, ok := m.slots[member]; ok && before != slot {
		t.Fatalf("Set(%q) returned slot %d, and before %d", member, slot, before)
	}
	m.slots[member] = slot
}

func (m *machine) remove(t fataler, member string) {
	t.Helper()
	if got, want := m.set.Remove(member), m.model.remove(member); got != want {
		t.Fatalf("Remove(%q) = %v, want %v", member, got, want)
	}
	delete(m.slots, member)
}

// compareAll holds everything that the set can be asked about its members against the model.
func (m *machine) compareAll(t fataler) {
	t.Helper()
	if err := m.set.check(); err != nil {
		t.Fatalf("%v", err)
	}
	if got, want := m.set.Len(), len(m.model.entries); got != want {
		t.Fatalf("Len() = %d, want %d", got, want)
	}
	want := slices.Clone(m.model.entries)
	taken := map[uint32]string{}
	for i := range want {
		slot, ok := m.slots[want[i].Member]
		if other, twice := taken[slot]; twice || !ok {
			t.Fatalf("%q and %q share slot %d", other, want[i].Member, slot)
		}
		taken[slot] = want[i].Member
		want[i].Slot = slot
	}
	var got []Entry
	for rank, e := range m.set.Range(1) {
		got = append(got, e)
		if rank != len(got) {
			t.Fatalf("Range yields rank %d after %d entries", rank, len(got)-1)
		}
	}
	if !slices.Equal(want, got) {
		t.Fatalf("entries (-want +got):\n%s", gocmp.Diff(want, got))
	}
	dense := 0
	for i, e := range want {
		if i == 0 || e.Score != want[i-1].Score {
			dense++
		}
		if got := 1 + m.set.BetterLevels(e.Score); got != dense {
			t.Fatalf("dense rank of %q = %d, want %d", e.Member, got, dense)
		}
		if rank, ok := m.set.Rank(e.Member); !ok || rank != i+1 {
			t.Fatalf("Rank(%q) = %d, %v, want %d", e.Member, rank, ok, i+1)
		}
		if got, ok := m.set.At(i + 1); !ok || got != e {
			t.Fatalf("At(%d) = %v, %v, want %v", i+1, got, ok, e)
		}
		if got, ok := m.set.Get(e.Member); !ok || got != e {
			t.Fatalf("Get(%q) = %v, %v, want %v", e.Member, got, ok, e)
		}
	}
	for _, rank := range []int{math.MinInt, 0, len(want) + 1, math.MaxInt} {
		if e, ok := m.set.At(rank); ok {
			t.Fatalf("At(%d) = %v of %d entries", rank, e, len(want))
		}
	}
}

// ask holds the answers about a key, which no entry need have, against the model.
func (m *machine) ask(t fataler, k Key) {
	t.Helper()
	if got, want := m.set.Better(k.Score), m.model.better(k.Score); got != want {
		t.Fatalf("Better(%d) = %d, want %d", k.Score, got, want)
	}
	if got, want := m.set.BetterLevels(k.Score), m.model.betterLevels(k.Score); got != want {
		t.Fatalf("BetterLevels(%d) = %d, want %d", k.Score, got, want)
	}
	size := 0
	for _, e := range m.model.entries {
		if e.Score == k.Score {
			size++
		}
	}
	if got := m.set.LevelSize(k.Score); got != size {
		t.Fatalf("LevelSize(%d) = %d, want %d", k.Score, got, size)
	}
	if got, want := m.set.RankAfter(k), m.model.rankAfter(k); got != want {
		t.Fatalf("RankAfter(%v) = %d, want %d", k, got, want)
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func forOrders(t *testing.T, f func(t *testing.T, o Order)) {
	t.Helper()
	for _, o := range orders {
		t.Run(fmt.Sprintf("ascending=%v,latest=%v", o.Ascending, o.LatestFirst), func(t *testing.T) { f(t, o) })
	}
}
