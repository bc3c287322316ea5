package feed

import (
	"container/heap"
	"time"
)

// queue holds boards in the order in which they are due.
type queue []*board

// first returns the board that is due first, or nil.
func (q queue) first() *board {
	if len(q) == 0 {
		return nil
	}
	return q[0]
}

// put adds a board, unless it is there. Only hasten may change when it is due
// while it is in the queue.
func (q *queue) put(b *board) {
	if b.place == 0 {
		heap.Push(q, b)
	}
}

// hasten makes a board that is there due at a time, unless it is due before.
func (q *queue) hasten(b *board, due time.Time) {
	if b.place > 0 && due.Before(b.due) {
		b.due = due
		heap.Fix(q, b.place-1)
	}
}

// take removes the first board.
func (q *queue) take() { heap.Pop(q) }

// The methods of [heap.Interface].

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i+1, j+1
}

func (q *queue) Push(x any) {
	b := x.(*board)
	*q = append(*q, b)
	b.place = len(*q)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	b := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	b.place = 0
	return b
}
