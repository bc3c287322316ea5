package zset

import (
	"iter"
	"unsafe"
)

const (
	blockSize = 16 << 10
	unit      = 4 // ids begin at multiples of this many bytes, so that 32 bits can point to any of 16 GiB
	maxBlocks = 1 << 32 / (blockSize / unit)
)

// arena holds the members' ids, each as a byte with its length and then the text, in blocks that are only ever
// appended to. Strings that it returns are therefore safe to keep. A released id leaves waste behind; the owner
// copies what is in use out of a block that has become mostly waste, and drops the block.
type arena struct {
	blocks []block
	tail   uint32   // the block that is being filled, if there is any
	free   []uint32 // numbers of dropped blocks
	held   int      // bytes of all blocks
}

type block struct {
	text []byte // nil when dropped
	used uint32 // how many of these bytes belong to ids in use
}

// size returns how many bytes an id takes up.
func size(length int) int { return (1 + length + unit - 1) &^ (unit - 1) }

// add copies an id and returns its name. When the block that was being filled is full, and is wasteful already, add
// says so, and the caller must compact it.
func (a *arena) add(id string) (name, full uint32, wasteful bool) {
	n := size(len(id))
	if len(a.blocks) == 0 || len(a.blocks[a.tail].text)+n > blockSize {
		full = a.tail
		wasteful = len(a.blocks) > 0 && a.blocks[full].wasteful()
		a.begin()
	}
	b := &a.blocks[a.tail]
	at := len(b.text)
	if at+n > cap(b.text) {
		// Only the first block starts small. Strings that were handed out keep its older copies.
		larger := make([]byte, at, min(max(2*cap(b.text), at+n), blockSize))
		copy(larger, b.text)
		a.held += cap(larger) - cap(b.text)
		b.text = larger
	}
	b.text = b.text[:at+n]
	b.text[at] = byte(len(id))
	copy(b.text[at+1:], id)
	b.used += uint32(n)
	return a.tail*(blockSize/unit) + uint32(at/unit), full, wasteful
}

// begin makes an empty block the one to be filled.
func (a *arena) begin() {
	capacity := blockSize
	if len(a.blocks) == 0 {
		capacity = 64
	}
	a.held += capacity
	b := block{text: make([]byte, 0, capacity)}
	if n := len(a.free); n > 0 {
		a.tail = a.free[n-1]
		a.free = a.free[:n-1]
		a.blocks[a.tail] = b
		return
	}
	if len(a.blocks) == maxBlocks {
		panic("zset: more than 16 GiB of member ids")
	}
	a.tail = uint32(len(a.blocks))
	a.blocks = append(a.blocks, b)
}

// get returns the id with that name.
func (a *arena) get(name uint32) string {
	text := a.blocks[name/(blockSize/unit)].text
	at := int(name%(blockSize/unit)) * unit
	id := text[at+1 : at+1+int(text[at])]
	return unsafe.String(unsafe.SliceData(id), len(id))
}

// release says that the id is no longer in use. When its block has become wasteful, the caller must compact it.
func (a *arena) release(name uint32) (in uint32, wasteful bool) {
	in = name / (blockSize / unit)
	b := &a.blocks[in]
	b.used -= uint32(size(len(a.get(name))))
	return in, in != a.tail && b.wasteful()
}

// wasteful reports whether more than half of a block is waste. What is in use then fits into half a block, so
// compacting fills up at most the one block that was being filled.
func (b *block) wasteful() bool { return int(b.used) < len(b.text)/2 }

// all yields every id that was written into a block, in use or not.
func (a *arena) all(in uint32) iter.Seq2[uint32, string] {
	return func(yield func(uint32, string) bool) {
		for at := 0; at < len(a.blocks[in].text); {
			name := in*(blockSize/unit) + uint32(at/unit)
			id := a.get(name)
			if !yield(name, id) {
				return
			}
			at += size(len(id))
		}
	}
}

// drop lets go of a block in which nothing is in use any more.
func (a *arena) drop(in uint32) {
	a.held -= cap(a.blocks[in].text)
	a.blocks[in] = block{}
	a.free = append(a.free, in)
}

func (a *arena) bytes() int {
	return a.held + cap(a.blocks)*int(unsafe.Sizeof(block{})) + cap(a.free)*4
}
