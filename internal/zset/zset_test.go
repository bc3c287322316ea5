package zset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestEmptySet(t *testing.T) {
	forOrders(t, func(t *testing.T, o Order) {
		m := newMachine(o, small)
		m.compareAll(t)
		m.remove(t, "nobody")
		m.ask(t, Key{Score: 1, Seq: 1})
		if rank, ok := m.set.Rank("nobody"); ok {
			t.Errorf("Rank of nobody = %d", rank)
		}
		for rank, e := range m.set.Range(1) {
			t.Errorf("Range yields %d, %v", rank, e)
		}
	})
}

func TestOneMember(t *testing.T) {
	forOrders(t, func(t *testing.T, o Order) {
		m := newMachine(o, small)
		m.put(t, "a", 5)
		m.compareAll(t)
		m.put(t, "a", -5)
		m.compareAll(t)
		for _, score := range []int64{-6, -5, -4} {
			for seq := range uint64(4) {
				m.ask(t, Key{score, seq})
			}
		}
		m.remove(t, "a")
		m.compareAll(t)
	})
}

// The order is spelt out once, so that the model cannot be wrong in the same way as the set.
func TestOrders(t *testing.T) {
	for o, want := range map[Order]string{
		{}:                                   "top early late low",
		{LatestFirst: true}:                  "top late early low",
		{Ascending: true}:                    "low early late top",
		{Ascending: true, LatestFirst: true}: "low late early top",
	} {
		s := New(o)
		s.Set("early", 5, 2)
		s.Set("top", 9, 3)
		s.Set("late", 5, 4)
		s.Set("low", 1, 1)
		var got []string
		for _, e := range s.Range(0) {
			got = append(got, e.Member)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%+v: %s, want %s", o, got, want)
		}
		if got, want := s.Better(5), 1; got != want {
			t.Errorf("%+v: Better(5) = %d, want %d", o, got, want)
		}
		if got, want := s.Better(100)+s.Better(-100), 4; got != want {
			t.Errorf("%+v: better than 100 or than -100 are %d, want %d", o, got, want)
		}
	}
}

func TestEqualScores(t *testing.T) {
	forOrders(t, func(t *testing.T, o Order) {
		m := newMachine(o, small)
		for i := range 300 {
			m.put(t, fmt.Sprint(i), int64(i/100))
		}
		m.compareAll(t)
		for score := range int64(4) {
			for _, seq := range []uint64{0, 1, 50, 100, 101, 299, 300, 301} {
				m.ask(t, Key{score, seq})
			}
		}
	})
}

func TestExtremes(t *testing.T) {
	forOrders(t, func(t *testing.T, o Order) {
		m := newMachine(o, small)
		// The first and the last are more than a board allows, and still in order.
		scores := []int64{math.MinInt64, -maxScore, -maxScore + 1, -1, 0, 1, maxScore - 1, maxScore, math.MaxInt64}
		for i, score := range scores {
			m.putAt(t, fmt.Sprint("first", i), score, uint64(2*i))
			m.putAt(t, fmt.Sprint("between", i), score, uint64(2*i+100))
			m.putAt(t, fmt.Sprint("last", i), score, maxScore-uint64(i))
		}
		m.compareAll(t)
		for _, score := range scores {
			for _, seq := range []uint64{0, 1, 100, 116, maxScore - 1, maxScore, math.MaxUint64} {
				m.ask(t, Key{score, seq})
			}
		}
	})
}

func TestMemberIDs(t *testing.T) {
	ids := []string{
		"", "a", "ab", "abc", "abcd", "ü", "日本", "👩‍🚀", "a\x00b", "\x00", "\xff\xfe", "a\x80", "a ", " a",
		strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("é", 64), strings.Repeat("\x00", 128),
		strings.Repeat("y", maxMember),
	}
	m := newMachine(Order{}, small)
	for i, id := range ids {
		m.put(t, id, int64(i%3))
	}
	m.compareAll(t)
	for _, id := range ids[:len(ids)/2] {
		m.remove(t, id)
	}
	m.compareAll(t)
}

func TestLongMemberIDPanics(t *testing.T) {
	s := New(Order{})
	func() {
		defer func() {
			if recover() == nil {
				t.Errorf("Set took an id of %d bytes", maxMember+1)
			}
		}()
		s.Set(strings.Repeat("x", maxMember+1), 1, 1)
	}()
	if err := s.check(); err != nil || s.Len() != 0 {
		t.Errorf("after the panic the set has %d members, and %v", s.Len(), err)
	}
}

func TestSetCopiesMember(t *testing.T) {
	id := []byte("alice")
	s := New(Order{})
	s.Set(unsafe.String(&id[0], len(id)), 1, 1)
	copy(id, "xxxxx")
	if e, ok := s.At(1); !ok || e.Member != "alice" {
		t.Errorf("At(1) = %q, %v, want alice", e.Member, ok)
	}
}

func TestRemoveEverything(t *testing.T) {
	forOrders(t, func(t *testing.T, o Order) {
		for name, pick := range map[string]func(n int) int{
			"first":  func(int) int { return 0 },
			"last":   func(n int) int { return n - 1 },
			"middle": func(n int) int { return n / 2 },
			"random": rand.New(rand.NewPCG(1, 2)).IntN,
		} {
			t.Run(name, func(t *testing.T) {
				m := newMachine(o, small)
				fresh := m.set.Bytes()
				for round := range 2 {
					for i := range 400 {
						m.put(t, fmt.Sprint(i), int64(i*7%50))
					}
					for n := 400; n > 0; n-- {
						if n%20 == round {
							m.compareAll(t)
						}
						m.remove(t, m.model.entries[pick(n)].Member)
					}
					m.compareAll(t)
				}
				if got := m.set.Bytes(); got > fresh {
					t.Errorf("an emptied set holds %d bytes, a new one %d", got, fresh)
				}
			})
		}
	})
}

// A set's long life: crowds come and whole stretches of the ranking go, so that nodes of every level split, merge and
// empty.
func TestLongLife(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, lim := range []limits{small, {leaf: 4, inner: 4, cells: 8}, {leaf: 8, inner: 5, cells: 32}} {
		m := newMachine(orders[r.IntN(len(orders))], lim)
		for step := range 400 {
			var at int
			if n := len(m.model.entries); n > 0 {
				at = r.IntN(n)
			}
			switch what := r.IntN(4); {
			case len(m.model.entries) == 0 || what == 0 && len(m.model.entries) < 1500:
				score := r.Int64N(1000)
				if n := len(m.model.entries); n > 0 {
					score = m.model.entries[at].Score
				}
				for range r.IntN(150) {
					m.put(t, fmt.Sprint(m.seq), score+r.Int64N(3))
				}
			case what == 1: // a stretch goes, from either end or by chance
				run := slices.Clone(m.model.entries[at:min(len(m.model.entries), at+r.IntN(150))])
				switch r.IntN(3) {
				case 0:
					slices.Reverse(run)
				case 1:
					r.Shuffle(len(run), func(i, j int) { run[i], run[j] = run[j], run[i] })
				}
				for _, e := range run {
					m.remove(t, e.Member)
				}
			case what == 2: // a stretch moves
				by := r.Int64N(2000) - 1000
				for _, e := range slices.Clone(m.model.entries[at:min(len(m.model.entries), at+r.IntN(100))]) {
					m.put(t, e.Member, e.Score+by)
				}
			default:
				for range 20 {
					e := m.model.entries[r.IntN(len(m.model.entries))]
					m.put(t, e.Member, r.Int64N(1000))
				}
			}
			if err := m.set.check(); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if step%40 == 0 {
				m.compareAll(t)
			}
		}
		m.compareAll(t)
	}
}

func TestGrowthInOrderFillsLeaves(t *testing.T) {
	for name, step := range map[string]int64{"up": 1, "down": -1} {
		t.Run(name, func(t *testing.T) {
			s := New(Order{})
			const n = 20_000
			for i := range int64(n) {
				s.Set(fmt.Sprint(i), i*step, uint64(i+1))
			}
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
			if got, most := int(s.tree.leaves.n), n/nodeCap*21/20; got > most {
				t.Errorf("%d leaves for %d entries, want at most %d", got, n, most)
			}
		})
	}
}

func TestSlotsAreReused(t *testing.T) {
	s := New(Order{})
	for i := range 1000 {
		s.Set(fmt.Sprint(i), int64(i), uint64(i+1))
	}
	for i := range 10_000 {
		if !s.Remove(fmt.Sprint(i)) {
			t.Fatalf("member %d has gone", i)
		}
		if slot := s.Set(fmt.Sprint(i+1000), int64(i), uint64(i+1001)); slot >= 1000 {
			t.Fatalf("slot %d in a set of 1000", slot)
		}
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
}

func TestChurnDoesNotGrow(t *testing.T) {
	for name, last := range map[string]int{"long ids": 128, "short ids": 8} {
		t.Run(name, func(t *testing.T) {
			id := func(i int) string { return fmt.Sprintf("%0*d", last, i) }
			s := New(Order{})
			const n = 3000
			churn := func(from, to int) {
				for i := from; i < to; i++ {
					s.Set(id(i), int64(i*7919%1000), uint64(i+1))
					if i >= n {
						// The victim is mostly a member of some age, and sometimes the newest one; a third of the first
						// members stay, and keep their blocks from being empty.
						victim := i - n
						if i%3 == 0 {
							victim = i
						}
						s.Remove(id(victim))
					}
				}
			}
			churn(0, 5*n)
			before := s.Bytes()
			churn(5*n, 30*n)
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
			if s.Len() != n {
				t.Fatalf("%d members, want %d", s.Len(), n)
			}
			if got, most := s.Bytes(), before*3/2; got > most {
				t.Errorf("%d bytes after churn, %d before", got, before)
			}
		})
	}
}

// One member that comes and goes beside another that stays fills block after block with waste.
func TestChurnOfOneMemberDoesNotGrow(t *testing.T) {
	s := New(Order{})
	s.Set("stays", 1, 1)
	for i := range 100_000 {
		s.Set("comes and goes", int64(i), uint64(i+2))
		s.Remove("comes and goes")
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if got, most := s.Bytes(), 64<<10; got > most {
		t.Errorf("%d bytes for one member, want at most %d", got, most)
	}
}

// Ids moved out of one wasteful block can fill up the last one, which may be wasteful itself.
func TestCompactionOfTwoBlocks(t *testing.T) {
	s := New(Order{})
	id := func(kind string, i int) string { return fmt.Sprintf("%s%0*d", kind, 127, i) }
	perBlock := blockSize / size(128)
	seq := uint64(0)
	set := func(id string) {
		seq++
		s.Set(id, 1, seq)
	}
	for i := range perBlock {
		set(id("a", i))
	}
	set(id("b", 0))
	for i := range perBlock - 2 {
		set(id("c", i))
		s.Remove(id("c", i))
	}
	if got := len(s.names.blocks); got != 2 {
		t.Fatalf("%d blocks, want 2", got)
	}
	for i := range perBlock/2 + 1 {
		s.Remove(id("a", i))
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if s.names.blocks[0].text != nil || s.names.blocks[1].text != nil {
		t.Errorf("both blocks were to be dropped: %d and %d bytes", len(s.names.blocks[0].text), len(s.names.blocks[1].text))
	}
	for i := range perBlock {
		if _, ok := s.Get(id("a", i)); ok != (i > perBlock/2) {
			t.Errorf("a%d is there: %v", i, ok)
		}
	}
	if _, ok := s.Get(id("b", 0)); !ok {
		t.Errorf("b is lost")
	}
}

func TestEntriesOutliveTheirMembers(t *testing.T) {
	s := New(Order{})
	const n = 5000
	for i := range n {
		s.Set(fmt.Sprint("member", i), int64(-i), uint64(i+1))
	}
	var kept []Entry
	for _, e := range s.Range(1) {
		kept = append(kept, e)
	}
	compacted := false
	for i := range n {
		blocks := len(s.names.free)
		s.Remove(fmt.Sprint("member", i))
		s.Set(fmt.Sprint("xxxxxx", i), int64(i), uint64(n+i+1))
		compacted = compacted || len(s.names.free) > blocks
	}
	if !compacted {
		t.Fatal("no block was dropped")
	}
	runtime.GC()
	for i, e := range kept {
		if want := fmt.Sprint("member", i); e.Member != want {
			t.Fatalf("entry %d is now of %q, was of %q", i, e.Member, want)
		}
	}
}

func TestLoadIsLikeSet(t *testing.T) {
	for _, lim := range []limits{small, New(Order{}).limits} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 52, 53, 54, 1000, 20_000} {
			for _, hint := range []int{-1, 0, n / 2, n, 3 * n} {
				entries := make([]Entry, n)
				for i := range entries {
					entries[i] = Entry{Member: fmt.Sprint("m", i), Score: int64(n - i/3), Seq: uint64(i), Slot: 7}
				}
				s := newSet(Order{}, lim)
				if err := s.load(hint, slices.Values(entries)); err != nil {
					t.Fatalf("%d entries: %v", n, err)
				}
				if err := s.check(); err != nil {
					t.Fatalf("%d entries: %v", n, err)
				}
				for rank, e := range s.Range(1) {
					want := entries[rank-1]
					want.Slot = uint32(rank - 1)
					if e != want {
						t.Fatalf("%d entries: rank %d is %v, want %v", n, rank, e, want)
					}
				}
				if s.Len() != n {
					t.Fatalf("Len() = %d, want %d", s.Len(), n)
				}
				if slot := s.Set("new", 0, 1<<40); int(slot) != n {
					t.Fatalf("%d entries: the next slot is %d", n, slot)
				}
			}
		}
	}
}

func TestLoadNamesTheCulprit(t *testing.T) {
	good := []Entry{{Member: "a", Score: 9, Seq: 3}, {Member: "b", Score: 9, Seq: 4}, {Member: "c", Score: 8, Seq: 1}}
	for name, test := range map[string]struct {
		add  Entry
		want string
	}{
		"better score": {
			Entry{Member: "d", Score: 10, Seq: 9},
			`entry 3, "d" with score 10 and seq 9, does not stand after "c" with score 8 and seq 1`,
		},
		"earlier": {
			Entry{Member: "d", Score: 8, Seq: 0},
			`entry 3, "d" with score 8 and seq 0, does not stand after "c" with score 8 and seq 1`,
		},
		"same key": {
			Entry{Member: "d", Score: 8, Seq: 1},
			`entry 3, "d" with score 8 and seq 1, does not stand after "c" with score 8 and seq 1`,
		},
		"twice": {
			Entry{Member: "b", Score: 7, Seq: 7},
			`entry 3, "b", is already there as entry 1`,
		},
		"long id": {
			Entry{Member: strings.Repeat("x", 256), Score: 7, Seq: 7},
			`entry 3: the member's id has 256 bytes, more than 255`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Load(Order{}, 4, slices.Values(append(slices.Clone(good), test.add)))
			if s != nil || err == nil || err.Error() != test.want {
				t.Errorf("Load = %v, %v\nwant %s", s, err, test.want)
			}
		})
	}
}

// Nobody can choose ids that collide, but some always do.
func TestIndexHoldsEqualHashes(t *testing.T) {
	x := newIndex(0, small)
	const n = 100
	for slot := range uint32(n) {
		x.add(0xdeadbeef, slot)
		x.add(slot<<24, slot+n)
	}
	if err := x.check(); err != nil {
		t.Fatal(err)
	}
	for removed := range uint32(n) {
		got := slices.Sorted(x.candidates(0xdeadbeef))
		if len(got) != int(n-removed) || got[0] != removed {
			t.Fatalf("%d slots from %d on, want %d from %d on", len(got), got[0], n-removed, removed)
		}
		x.remove(0xdeadbeef, removed)
		if err := x.check(); err != nil {
			t.Fatal(err)
		}
	}
	for slot := range uint32(n) {
		if !slices.Contains(slices.Collect(x.candidates(slot<<24)), slot+n) {
			t.Fatalf("slot %d is lost", slot+n)
		}
	}
}

func TestBytesIsWhatTheHeapHolds(t *testing.T) {
	const n = 100_000
	for name, build := range map[string]func() *Set{
		"grown": func() *Set { return growSet(benchEntries(n)) },
		"loaded": func() *Set {
			s, err := Load(Order{}, n, generated(n))
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		"with levels": func() *Set {
			s := growSet(benchEntries(n))
			s.KeepLevels()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			s := build()
			held := heap() - before
			if got := s.Bytes(); got < held*9/10 || got > held*11/10 {
				t.Errorf("Bytes() = %d, and the heap has grown by %d", got, held)
			}
			if got, most := held/n, 120; got > most {
				t.Errorf("%d bytes an entry, want at most %d", got, most)
			}
		})
	}
}

func TestReadsAndMovesDoNotAllocate(t *testing.T) {
	s := growSet(benchEntries(10_000))
	s.KeepLevels()
	r := rand.New(rand.NewPCG(1, 2))
	var members []string
	for _, e := range s.Range(1) {
		members = append(members, e.Member)
	}
	seq := uint64(10_000)
	for name, f := range map[string]func(){
		"Get":          func() { s.Get(members[r.IntN(len(members))]) },
		"Rank":         func() { s.Rank(members[r.IntN(len(members))]) },
		"At":           func() { s.At(1 + r.IntN(len(members))) },
		"Better":       func() { s.Better(r.Int64N(1_000_000)) },
		"BetterLevels": func() { s.BetterLevels(r.Int64N(1_000_000)) },
		"RankAfter":    func() { s.RankAfter(Key{r.Int64N(1_000_000), 1}) },
		"Range": func() {
			left := 100
			for range s.Range(1 + r.IntN(len(members))) {
				if left--; left == 0 {
					break
				}
			}
		},
		"near Set": func() {
			e, _ := s.At(1 + r.IntN(len(members)))
			seq++
			s.Set(e.Member, e.Score+1, seq)
		},
	} {
		if got := testing.AllocsPerRun(1000, f); got > 0 {
			t.Errorf("%s allocates %v times", name, got)
		}
	}
}
