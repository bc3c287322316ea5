package zset

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSetBehavesLikeModel(t *testing.T) {
	forOrders(t, func(t *testing.T, o Order) {
		rapid.Check(t, func(t *rapid.T) { runMachine(t, o, small) })
	})
}

func TestSetOfFullSizeNodesBehavesLikeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runMachine(t, rapid.SampledFrom(orders).Draw(t, "order"), limits{leaf: nodeCap, inner: nodeCap, cells: segmentCells})
	})
}

func runMachine(t *rapid.T, o Order, lim limits) {
	m := newMachine(o, lim)
	member := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("m", rapid.IntRange(0, 40).Draw(t, "m")) }),
		rapid.StringN(1, 32, 128),
	)
	known := func(t *rapid.T) string {
		if len(m.model.entries) == 0 {
			t.Skip("no members")
		}
		return m.model.entries[rapid.IntRange(0, len(m.model.entries)-1).Draw(t, "rank0")].Member
	}
	score := rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64Range(-maxScore, maxScore))
	key := rapid.Custom(func(t *rapid.T) Key {
		k := Key{score.Draw(t, "score"), uint64(rapid.Int64Range(0, maxScore).Draw(t, "seq"))}
		if n := len(m.model.entries); n > 0 && rapid.Bool().Draw(t, "near an entry") {
			e := m.model.entries[rapid.IntRange(0, n-1).Draw(t, "rank0")]
			k = Key{e.Score, e.Seq + uint64(rapid.IntRange(0, 2).Draw(t, "beside")) - 1}
		}
		return k
	})

	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) { m.compareAll(t) },
		"set": func(t *rapid.T) {
			m.put(t, member.Draw(t, "member"), score.Draw(t, "score"))
		},
		"nudge": func(t *rapid.T) {
			id := known(t)
			e := m.model.entries[m.model.find(id)]
			m.put(t, id, min(max(e.Score+rapid.Int64Range(-2, 2).Draw(t, "by"), -maxScore), maxScore))
		},
		"set again what is": func(t *rapid.T) {
			e := m.model.entries[m.model.find(known(t))]
			m.putAt(t, e.Member, e.Score, e.Seq)
		},
		"set many": func(t *rapid.T) {
			from, step := score.Draw(t, "score"), rapid.Int64Range(-1, 1).Draw(t, "step")
			for i := range rapid.Int64Range(1, 120).Draw(t, "n") {
				m.put(t, fmt.Sprint("many", i), min(max(from+i*step, -maxScore), maxScore))
			}
		},
		"remove": func(t *rapid.T) {
			m.remove(t, member.Draw(t, "member"))
		},
		"remove known": func(t *rapid.T) {
			m.remove(t, known(t))
		},
		"remove many": func(t *rapid.T) {
			every := rapid.IntRange(1, 4).Draw(t, "every")
			for i, e := range slices.Clone(m.model.entries) {
				if i%every == 0 {
					m.remove(t, e.Member)
				}
			}
		},
		"remove run": func(t *rapid.T) {
			from := m.model.find(known(t))
			run := m.model.entries[from:]
			run = run[:min(len(run), rapid.IntRange(1, 60).Draw(t, "n"))]
			for _, e := range slices.Clone(run) {
				m.remove(t, e.Member)
			}
		},
		"crowd": func(t *rapid.T) {
			e := m.model.entries[m.model.find(known(t))]
			for i := range rapid.IntRange(1, 60).Draw(t, "n") {
				m.put(t, fmt.Sprint("crowd", m.seq, i), e.Score)
			}
		},
		"ask unknown": func(t *rapid.T) {
			id := member.Draw(t, "member")
			known := m.model.find(id) >= 0
			_, got := m.set.Get(id)
			_, ranked := m.set.Rank(id)
			if got != known || ranked != known {
				t.Fatalf("Get(%q) and Rank say %v and %v, want %v", id, got, ranked, known)
			}
		},
		"ask": func(t *rapid.T) {
			m.ask(t, key.Draw(t, "key"))
		},
		"compare": func(t *rapid.T) {
			a, b := key.Draw(t, "a"), key.Draw(t, "b")
			if got, want := m.set.Compare(a, b), m.model.compare(a, b); got != want {
				t.Fatalf("Compare(%v, %v) = %d, want %d", a, b, got, want)
			}
		},
		"range": func(t *rapid.T) {
			from := rapid.IntRange(-1, len(m.model.entries)+2).Draw(t, "from")
			limit := rapid.IntRange(1, 20).Draw(t, "limit")
			want := m.model.entries[min(max(from, 1)-1, len(m.model.entries)):]
			want = want[:min(limit, len(want))]
			n := 0
			for rank, e := range m.set.Range(from) {
				if rank != max(from, 1)+n || e.Member != want[n].Member {
					t.Fatalf("Range(%d) yields %d, %q; want %d, %q", from, rank, e.Member, max(from, 1)+n, want[n].Member)
				}
				if n++; n == limit {
					break
				}
			}
			if n != len(want) {
				t.Fatalf("Range(%d) yields %d entries, want %d", from, n, len(want))
			}
		},
		"load": func(t *rapid.T) {
			loaded := newSet(o, lim)
			hint := rapid.IntRange(0, 2*len(m.model.entries)).Draw(t, "hint")
			if err := loaded.load(hint, slices.Values(m.model.entries)); err != nil {
				t.Fatal(err)
			}
			loaded.KeepLevels()
			m.set = loaded
			for i, e := range m.model.entries {
				m.slots[e.Member] = uint32(i)
			}
		},
	})
}
