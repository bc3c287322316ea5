package zset

import (
	"fmt"
	"slices"
	"testing"
)

// FuzzSet reads its input as a program that changes a set and its model, and holds them against each other at the
// end. The first byte chooses the order and the size of the nodes; then each instruction is three bytes: what to do,
// to whom, and with which score.
func FuzzSet(f *testing.F) {
	run := func(op byte, n int, who, score func(i int) byte) []byte {
		var p []byte
		for i := range n {
			p = append(p, op, who(i), score(i))
		}
		return p
	}
	up := func(i int) byte { return byte(i) }
	down := func(i int) byte { return byte(-i) }
	mixed := func(i int) byte { return byte(i * 37) }
	same := func(int) byte { return 7 }

	f.Add([]byte{})
	for head := range byte(8) {
		f.Add(slices.Concat([]byte{head}, run(0, 200, up, up), run(1, 200, up, up)))
		f.Add(slices.Concat([]byte{head}, run(0, 200, up, down), run(1, 150, mixed, same), run(0, 99, down, same)))
		f.Add(slices.Concat([]byte{head}, run(0, 255, mixed, same), run(2, 100, mixed, mixed), run(4, 1, up, up)))
		f.Add(slices.Concat([]byte{head}, run(0, 250, up, mixed), run(3, 20, mixed, mixed), run(1, 240, down, same),
			run(5, 3, up, up)))
	}

	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) == 0 {
			return
		}
		lim := small
		if program[0]&4 != 0 {
			lim = New(Order{}).limits
		}
		m := newMachine(orders[program[0]&3], lim)
		instructions := program[1:min(len(program), 6000)]
		for op := range slices.Chunk(instructions, 3) {
			if len(op) < 3 {
				break
			}
			member, score := fmt.Sprintf("%0*d", op[1]%127+1, op[1]), int64(op[2])-128
			switch op[0] % 6 {
			case 0:
				m.put(t, member, score)
			case 1:
				m.remove(t, member)
			case 2: // a little further than before
				if i := m.model.find(member); i >= 0 {
					m.put(t, member, m.model.entries[i].Score+score%4)
				}
			case 3: // far out
				m.put(t, member, score<<45)
			case 4:
				m.ask(t, Key{score, uint64(op[1])})
			case 5:
				loaded := newSet(m.model.order, lim)
				if err := loaded.load(int(op[1]), slices.Values(m.model.entries)); err != nil {
					t.Fatal(err)
				}
				loaded.KeepLevels()
				m.set = loaded
				for i, e := range m.model.entries {
					m.slots[e.Member] = uint32(i)
				}
			}
		}
		m.compareAll(t)
	})
}
