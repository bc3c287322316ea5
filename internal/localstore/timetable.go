package localstore

import (
	"cmp"
	"container/heap"
	"context"
	"sync"
	"time"
)

// timetable holds when seasons have to be ended, of the boards of which that is known.
type timetable struct {
	mu     sync.Mutex // guards all that follows
	coming dueHeap
	of     map[string]*dueBoard
	closed bool
}

type dueBoard struct {
	id    string
	at    int64 // in ms
	index int   // in the heap
}

func (d *dueBoard) compare(other *dueBoard) int {
	return cmp.Or(cmp.Compare(d.at, other.at), cmp.Compare(d.id, other.id))
}

// dueHeap is a [heap.Interface], the earliest first.
type dueHeap []*dueBoard

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dueHeap) Push(x any) {
	d := x.(*dueBoard)
	d.index = len(*h)
	*h = append(*h, d)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return d
}

// set says when the season of a board has to be ended; 0: nobody knows.
func (t *timetable) set(id string, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.of[id]
	switch {
	case d == nil && at == 0:
	case d == nil:
		if t.of == nil {
			t.of = make(map[string]*dueBoard)
		}
		d = &dueBoard{id: id, at: at}
		t.of[id] = d
		heap.Push(&t.coming, d)
	case at == 0:
		delete(t.of, id)
		heap.Remove(&t.coming, d.index)
	case d.at != at:
		d.at = at
		heap.Fix(&t.coming, d.index)
	}
}

// first returns at most limit boards that are due, and when the next of the others
// will be. It goes down the heap from the earliest, and so looks only at those that it
// returns and at their children.
func (t *timetable) first(at int64, limit int) (ids []string, next int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, 0, errClosed
	}
	if len(t.coming) == 0 {
		return nil, 0, nil
	}
	seen := placeHeap{of: t.coming, places: []int{0}}
	for len(seen.places) > 0 {
		place := heap.Pop(&seen).(int)
		d := t.coming[place]
		if d.at > at || len(ids) == limit {
			return ids, d.at, nil
		}
		ids = append(ids, d.id)
		for child := 2*place + 1; child <= 2*place+2 && child < len(t.coming); child++ {
			heap.Push(&seen, child)
		}
	}
	return ids, 0, nil
}

func (t *timetable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// placeHeap is a [heap.Interface] of places in another heap.
type placeHeap struct {
	of     dueHeap
	places []int
}

func (h *placeHeap) Len() int           { return len(h.places) }
func (h *placeHeap) Less(i, j int) bool { return h.of.Less(h.places[i], h.places[j]) }
func (h *placeHeap) Swap(i, j int)      { h.places[i], h.places[j] = h.places[j], h.places[i] }
func (h *placeHeap) Push(x any)         { h.places = append(h.places, x.(int)) }

func (h *placeHeap) Pop() any {
	last := len(h.places) - 1
	place := h.places[last]
	h.places = h.places[:last]
	return place
}

// Due returns boards whose season is due; see [leaderboard.Reader].
func (s *Store) Due(_ context.Context, at time.Time, limit int) (boards []string, next time.Time, err error) {
	boards, then, err := s.timetable.first(at.UnixMilli(), limit)
	if then != 0 {
		next = time.UnixMilli(then).UTC()
	}
	return boards, next, err
}
