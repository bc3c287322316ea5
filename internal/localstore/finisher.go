package localstore

import (
	"cmp"
	"container/heap"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
)

// clockSlack is for how long after its grace a season waits for those whose clocks
// are behind, until it becomes final.
const clockSlack = time.Minute

// finalBytes is about how much of a final standing is written with one commit. A group that
// has such a part takes longer, and those who wait for the next one too; so
// there is a pause after each that is finalPause times as long as the part has taken, but no
// longer than maxFinalPause. Tests have less.
var finalBytes = 64 << 10

const (
	finalPause    = 4
	maxFinalPause = 100 * time.Millisecond
)

// finisher makes past seasons final, one after the other: it writes their standings
// from memory to the disk, in parts that the committer commits together with what else
// it has. If the process ends in between, the next start begins that season again.
type finisher struct {
	store *Store

	mu      sync.Mutex // guards what follows
	ready   []*unfinished
	waiting waitHeap
	of      map[*past]*unfinished // all of them, also the one that is at work

	wake    chan struct{} // gets something when there is something to look at; holds one
	stop    sync.Once
	quit    chan struct{} // closed when the store is
	stopped chan struct{} // closed when the goroutine has ended
}

// unfinished is a season that is not final.
type unfinished struct {
	board *board
	id    string
	past  *past
	at    time.Time // when no late operation can come any more
	index int       // in the heap; -1: it is not there
}

type waitHeap []*unfinished

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *waitHeap) Push(x any) {
	u := x.(*unfinished)
	u.index = len(*h)
	*h = append(*h, u)
}

func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	u := (*h)[last]
	(*h)[last], u.index = nil, -1
	*h = (*h)[:last]
	return u
}

func newFinisher(s *Store) *finisher {
	return &finisher{
		store: s, of: make(map[*past]*unfinished),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// add takes a season on, which may have late operations for so long.
func (f *finisher) add(b *board, id string, p *past, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := &unfinished{board: b, id: id, past: p, at: time.Now().Add(wait), index: -1}
	f.of[p] = u
	if wait > 0 {
		heap.Push(&f.waiting, u)
	} else {
		f.ready = append(f.ready, u)
	}
	f.signal()
}

// hurry says that a season takes no more late operations.
func (f *finisher) hurry(p *past) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := f.of[p]; u != nil && u.index >= 0 {
		heap.Remove(&f.waiting, u.index)
		f.ready = append(f.ready, u)
		f.signal()
	}
}

func (f *finisher) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// next returns a season that is to be made final now, or else after what time to
// look again; 0: when there is a signal.
func (f *finisher) next() (*unfinished, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.waiting) > 0 {
		wait := time.Until(f.waiting[0].at)
		if wait > 0 && len(f.ready) == 0 {
			return nil, wait
		} else if wait > 0 {
			break
		}
		f.ready = append(f.ready, heap.Pop(&f.waiting).(*unfinished))
	}
	if len(f.ready) == 0 {
		return nil, 0
	}
	u := f.ready[0]
	f.ready[0] = nil
	f.ready = f.ready[1:]
	return u, 0
}

func (f *finisher) done(u *unfinished) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.of, u.past)
}

// left returns how many seasons are not final.
func (f *finisher) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.of)
}

// run makes seasons final until the store is closed.
func (f *finisher) run() {
	defer close(f.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		u, wait := f.next()
		if u != nil {
			if !f.finish(u) {
				return
			}
			f.done(u)
			continue
		}
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-f.wake:
		case <-timer.C:
		case <-f.quit:
			return
		}
	}
}

// finalWrite is a part of a standing that becomes final.
type finalWrite struct {
	id     string
	past   *past
	number uint32
	season int

	seal      bool // nothing late is taken any more; this is all
	clear     bool // what an attempt before has left is removed first
	from      int  // the number of the first block
	blocks    [][]byte
	directory []byte // if this is the last part
}

var errNotKept = errors.New("the season is not kept any more")

// finish makes a season final, unless it is dropped meanwhile. It returns false when the
// store is closed.
func (f *finisher) finish(u *unfinished) bool {
	st := u.past.standings // that nobody replaces but for what is done here
	w := finalWrite{id: u.id, past: u.past, number: st.number, season: st.run.Season}
	seal := w
	seal.seal = true
	if ok, open := f.write(&seal); !ok {
		return open
	}
	var (
		total  = st.ranks.Len()
		dir    = directory{total: total, blocks: make([]blockPlace, 0, (total+blockLen-1)/blockLen)}
		block  = make([]placed, 0, min(blockLen, total))
		at     blockPlace // of the entry before
		size   int
		failed bool
		open   = true
	)
	w.clear = true
	start := time.Now()
	flush := func() bool {
		part := w
		ok, still := f.write(&part)
		if ok && w.directory == nil && !f.pause(min(finalPause*time.Since(start), maxFinalPause)) {
			ok, still = false, false
		}
		start = time.Now()
		failed, open = !ok, still
		w.clear, w.from, w.blocks, size = false, w.from+len(w.blocks), nil, 0
		return ok
	}
	for rank, e := range st.ranks.Range(1) {
		switch {
		case rank == 1:
			at.score = e.Score
		case e.Score != at.score:
			at.score, at.better = e.Score, uint32(rank-1)
			at.levels++
		}
		at.seq = e.Seq
		if len(block) == 0 {
			dir.blocks = append(dir.blocks, at)
		}
		block = append(block, placed{e.Member, e.Score, e.Seq, st.entryRev(e), st.updated.get(e.Slot), st.data[e.Slot] != nil})
		if len(block) < blockLen && rank < total {
			continue
		}
		w.blocks = append(w.blocks, appendBlock(nil, block))
		size += len(w.blocks[len(w.blocks)-1])
		block = block[:0]
		runtime.Gosched() // or who waits for a processor would wait for long
		if size >= finalBytes && rank < total && !flush() {
			break
		}
	}
	if failed {
		return open
	}
	w.directory = appendDirectory(nil, &dir)
	flush()
	return open
}

// write has the committer commit a part, and tries until that has worked. It returns false
// if there is no sense in going on, or if the store is closed, which open is false for.
func (f *finisher) write(w *finalWrite) (ok, open bool) {
	for {
		select {
		case <-f.quit:
			return false, false
		default:
		}
		r := newRequest(writeFinal)
		r.final = w
		err := f.store.queue.push(r)
		if err == nil {
			<-r.done
			err = r.err
		}
		requests.Put(r)
		switch {
		case err == nil:
			return true, true
		case errors.Is(err, errNotKept):
			return false, true
		case errors.Is(err, leaderboard.ErrShuttingDown):
			return false, false
		}
		if !f.pause(f.store.opts.RetryInterval) {
			return false, false
		}
	}
}

// pause waits. It returns false when the store is closed.
func (f *finisher) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.quit:
		return false
	}
}

// close ends the goroutine. The committer must still be there, as it may wait for it.
func (f *finisher) close() {
	f.stop.Do(func() { close(f.quit) })
	<-f.stopped
}

// final plans a part of a standing.
func (g *group) final(w *finalWrite) error {
	p := g.live(w.id)
	if p == nil || p.number != w.number || w.season < p.oldest {
		return errNotKept
	}
	if w.seal && p.run.Season == w.season+1 {
		p.run.LateUntil = time.Time{}
	}
	g.finals = append(g.finals, w)
	return nil
}

func (w *finalWrite) write(b *pebble.Batch) error {
	if w.clear {
		from, to := keysOf(finalPrefix, w.number, uint32(w.season))
		if err := b.DeleteRange(from, to, nil); err != nil {
			return err
		}
	}
	for i, block := range w.blocks {
		if err := b.Set(appendBlockKey(nil, w.number, uint32(w.season), w.from+i), block, nil); err != nil {
			return err
		}
	}
	if w.directory == nil {
		return nil
	}
	return cmp.Or(
		b.Set(appendSeasonKey(nil, finalPrefix, w.number, uint32(w.season)), w.directory, nil),
		b.Set(appendSeasonKey(nil, pastPrefix, w.number, uint32(w.season)), appendPast(nil, &w.past.state, true), nil))
}

// applyFinal lets go of the memory of a standing whose last part is on the disk.
func (s *Store) applyFinal(w *finalWrite) {
	s.mu.RLock()
	b := s.boards[w.id]
	s.mu.RUnlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.number != w.number {
		return
	}
	if w.seal && b.run.Season == w.season+1 {
		b.run.LateUntil = time.Time{}
	}
	if w.directory != nil {
		if slices.Contains(b.past, w.past) {
			s.metrics.entries.Add(-int64(w.past.inMemory()))
		}
		w.past.standings, w.past.final = &standings{state: w.past.state}, true
	}
}
