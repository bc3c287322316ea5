package localstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"laurel/internal/leaderboard"
)

// The outbox is in memory as the boards are, and changed in the same way: planned
// by the committer over what the groups before leave, and put into memory when it is
// durable. Of its keys, those of messages are in the order in which they wait.
const (
	outboxPrefix = 'h'
	noteKind     = 'n'
	messageKind  = 'q'
)

// outbox is what is in memory of it. The committer alone changes it, under mu, so that
// the committer itself may read it without.
type outbox struct {
	mu     sync.RWMutex
	notes  map[string]leaderboard.Note
	queues map[string]*outboxQueue
}

type outboxQueue struct {
	count  int
	boards map[string][]leaderboard.Message // those about each board, in their order; none is empty
	ids    []string                         // of the boards, sorted
}

func newOutbox() outbox {
	return outbox{notes: make(map[string]leaderboard.Note), queues: make(map[string]*outboxQueue)}
}

func (o *outbox) put(m leaderboard.Message) {
	q := o.queues[m.Queue]
	if q == nil {
		q = &outboxQueue{boards: make(map[string][]leaderboard.Message)}
		o.queues[m.Queue] = q
	}
	if len(q.boards[m.Board]) == 0 {
		i, _ := slices.BinarySearch(q.ids, m.Board)
		q.ids = slices.Insert(q.ids, i, m.Board)
	}
	q.boards[m.Board] = append(q.boards[m.Board], m)
	q.count++
}

// find returns the queue that a message is in, and its place among those of its board.
func (o *outbox) find(m leaderboard.Message) (q *outboxQueue, i int, ok bool) {
	if q = o.queues[m.Queue]; q == nil {
		return nil, 0, false
	}
	i = slices.IndexFunc(q.boards[m.Board], func(other leaderboard.Message) bool { return other.Place == m.Place })
	return q, i, i >= 0
}

// settle gives a message that is there another text, or takes it out.
func (o *outbox) settle(m leaderboard.Message, text []byte) {
	q, i, ok := o.find(m)
	if !ok {
		return
	}
	if text != nil {
		q.boards[m.Board][i].Text = text
		return
	}
	q.count--
	if q.boards[m.Board] = slices.Delete(q.boards[m.Board], i, i+1); len(q.boards[m.Board]) > 0 {
		return
	}
	delete(q.boards, m.Board)
	at, _ := slices.BinarySearch(q.ids, m.Board)
	q.ids = slices.Delete(q.ids, at, at+1)
}

// outboxRequest is what a request asks of the outbox.
type outboxRequest struct {
	recording leaderboard.Recording // of recordNote

	message leaderboard.Message // of settleMessage
	text    []byte

	left []int // answer to recordNote
}

// outboxPlan is what a group leaves of the outbox.
type outboxPlan struct {
	versions map[string]uint64 // of notes that are replaced
	queued   map[string]int    // how many more messages a queue has
	gone     map[string]bool   // keys of messages that are taken out
	requests []*request        // in their order
}

func (p *outboxPlan) reset() {
	clear(p.versions)
	clear(p.queued)
	clear(p.gone)
	clear(p.requests)
	p.requests = p.requests[:0]
}

func (p *outboxPlan) init() {
	if p.versions == nil {
		p.versions, p.queued, p.gone = make(map[string]uint64), make(map[string]int), make(map[string]bool)
	}
}

// outboxBefore is what the group in flight leaves of the outbox.
func (g *group) outboxBefore() *outboxPlan {
	if f := g.store.flight; f != nil && f.group != nil {
		return &f.group.outbox
	}
	return &outboxPlan{}
}

// record plans a recording.
func (g *group) record(r *request) error {
	g.outbox.init()
	before, rec := g.outboxBefore(), &r.outbox.recording
	version, planned := g.outbox.versions[rec.Board]
	if !planned {
		if version, planned = before.versions[rec.Board]; !planned {
			version = g.store.outbox.notes[rec.Board].Version
		}
	}
	if version != rec.After {
		return leaderboard.ErrNoteChanged
	}
	g.outbox.versions[rec.Board] = version + 1
	for i, m := range rec.Messages {
		queued := g.outbox.queued[m.Queue] + before.queued[m.Queue]
		if q := g.store.outbox.queues[m.Queue]; q != nil {
			queued += q.count
		}
		if queued >= m.Limit {
			r.outbox.left = append(r.outbox.left, i)
			continue
		}
		g.outbox.queued[m.Queue]++
	}
	g.outbox.requests = append(g.outbox.requests, r)
	return nil
}

// settleMessage plans that a message is taken out, or given another text.
func (g *group) settleMessage(r *request) {
	g.outbox.init()
	m := r.outbox.message
	key := string(appendMessageKey(nil, m))
	if _, _, ok := g.store.outbox.find(m); !ok || g.outbox.gone[key] || g.outboxBefore().gone[key] {
		r.outbox = nil // there is nothing to do
		return
	}
	if r.outbox.text == nil {
		g.outbox.gone[key] = true
		g.outbox.queued[m.Queue]--
	}
	g.outbox.requests = append(g.outbox.requests, r)
}

// writeOutbox puts what the group leaves of the outbox into a database batch.
func (g *group) writeOutbox(b *pebble.Batch) error {
	for _, r := range g.outbox.requests {
		if r.kind == settleMessage {
			g.key = appendMessageKey(g.key[:0], r.outbox.message)
			if r.outbox.text == nil {
				if err := b.Delete(g.key, nil); err != nil {
					return err
				}
			} else if err := b.Set(g.key, r.outbox.text, nil); err != nil {
				return err
			}
			continue
		}
		rec := &r.outbox.recording
		g.key = appendNoteKey(g.key[:0], rec.Board)
		g.value = appendNote(g.value[:0], leaderboard.Note{Version: rec.After + 1, Text: rec.Note})
		if err := b.Set(g.key, g.value, nil); err != nil {
			return err
		}
		for _, m := range r.outbox.messages() {
			g.key = appendMessageKey(g.key[:0], m)
			if err := b.Set(g.key, m.Text, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// messages returns those of a recording that are not left out.
func (r *outboxRequest) messages() []leaderboard.Message {
	messages := make([]leaderboard.Message, 0, len(r.recording.Messages))
	for i, m := range r.recording.Messages {
		if !slices.Contains(r.left, i) {
			messages = append(messages, leaderboard.Message{Queue: m.Queue, Board: r.recording.Board, Place: r.recording.PlaceOf(i), Text: m.Text})
		}
	}
	return messages
}

// applyOutbox does in memory what is durable now.
func (s *Store) applyOutbox(r *request) {
	if r.outbox == nil {
		return
	}
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	if r.kind == settleMessage {
		s.outbox.settle(r.outbox.message, r.outbox.text)
		return
	}
	s.outbox.notes[r.outbox.recording.Board] = leaderboard.Note{Version: r.outbox.recording.After + 1, Text: r.outbox.recording.Note}
	for _, m := range r.outbox.messages() {
		s.outbox.put(m)
	}
	r.left = r.outbox.left
}

// Note returns what is noted about a board; see [leaderboard.Outbox].
func (s *Store) Note(_ context.Context, board string) (leaderboard.Note, error) {
	if s.isClosed() {
		return leaderboard.Note{}, errClosed
	}
	s.outbox.mu.RLock()
	defer s.outbox.mu.RUnlock()
	return s.outbox.notes[board], nil
}

// Record replaces a note and queues messages; see [leaderboard.Outbox].
func (s *Store) Record(ctx context.Context, rec leaderboard.Recording) (left []int, err error) {
	rec.Note = bytes.Clone(rec.Note) // the caller's own
	rec.Messages = slices.Clone(rec.Messages)
	for i := range rec.Messages {
		rec.Messages[i].Text = bytes.Clone(rec.Messages[i].Text)
	}
	r := newRequest(recordNote)
	r.outbox = &outboxRequest{recording: rec}
	a, err := s.submit(ctx, r)
	return a.left, err
}

// Settle takes a message out of its queue, or gives it another text; see [leaderboard.Outbox].
func (s *Store) Settle(ctx context.Context, m leaderboard.Message, text []byte) error {
	r := newRequest(settleMessage)
	r.outbox = &outboxRequest{message: m, text: bytes.Clone(text)}
	_, err := s.submit(ctx, r)
	return err
}

// Waiting tells what is in a queue; see [leaderboard.Outbox].
func (s *Store) Waiting(_ context.Context, queue, after string, limit int) (w leaderboard.Waiting, err error) {
	if s.isClosed() {
		return w, errClosed
	}
	s.outbox.mu.RLock()
	defer s.outbox.mu.RUnlock()
	q := s.outbox.queues[queue]
	if q == nil {
		return w, nil
	}
	w.Queued = q.count
	i, found := slices.BinarySearch(q.ids, after)
	if found {
		i++
	}
	for _, id := range q.ids[i:min(len(q.ids), i+limit)] {
		w.Oldest = append(w.Oldest, q.boards[id][0])
	}
	return w, nil
}

func (s *Store) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

func appendNoteKey(dst []byte, board string) []byte {
	return append(append(dst, outboxPrefix, noteKind), board...)
}

func appendNote(dst []byte, n leaderboard.Note) []byte {
	return append(binary.AppendUvarint(dst, n.Version), n.Text...)
}

func appendMessageKey(dst []byte, m leaderboard.Message) []byte {
	dst = append(append(dst, outboxPrefix, messageKind), m.Queue...)
	dst = append(append(dst, 0), m.Board...)
	return binary.BigEndian.AppendUint64(append(dst, 0), m.Place)
}

func parseMessageKey(key []byte) (m leaderboard.Message, err error) {
	queue, rest, ok := bytes.Cut(key[2:], []byte{0})
	board, place, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || len(place) != 8 {
		return m, errors.New("it is not that of a message")
	}
	return leaderboard.Message{Queue: string(queue), Board: string(board), Place: binary.BigEndian.Uint64(place)}, nil
}

// loadOutbox reads the outbox.
func (s *Store) loadOutbox() (err error) {
	for key, value := range s.scan(outboxPrefix, &err) {
		switch {
		case len(key) > 2 && key[1] == noteKind:
			r := reader{value}
			version := r.uvarint()
			if r.rest == nil {
				return damage(key, errCutShort)
			}
			s.outbox.notes[string(key[2:])] = leaderboard.Note{Version: version, Text: bytes.Clone(r.rest)}
		case len(key) > 2 && key[1] == messageKind:
			m, err := parseMessageKey(key)
			if err != nil {
				return damage(key, err)
			}
			m.Text = append([]byte{}, value...)
			s.outbox.put(m)
		default:
			return damage(key, errors.New("it is of no kind that is known"))
		}
	}
	return err
}

// remembered returns what the value of a key is, or nil if there is to be none.
func (o *outbox) remembered(key []byte) ([]byte, error) {
	if key[1] == noteKind {
		if n, ok := o.notes[string(key[2:])]; ok {
			return appendNote(nil, n), nil
		}
		return nil, nil
	}
	m, err := parseMessageKey(key)
	if err != nil {
		return nil, err
	}
	if q, i, ok := o.find(m); ok {
		return append([]byte{}, q.boards[m.Board][i].Text...), nil
	}
	return nil, nil
}
