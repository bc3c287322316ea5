package redisstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
)

var _ leaderboard.Outbox = (*Store)(nil)

// The outbox is in the partitions of its boards, so that what is recorded about one
// is one call of a script. See record.lua for what the keys hold.

func (k *keys) noted(board string) string { return k.prefix + "n." + board } // string: version and text
func (k *keys) queued(name string) string { return k.prefix + "q." + name }  // zset: names of messages
func (k *keys) texts(name string) string  { return k.prefix + "m." + name }  // hash: name to text

// messageName is what a message is called in its queue. In the order of the bytes, names
// are in the order of boards, and those of one board in that of their places.
func messageName(board string, place uint64) string {
	return string(binary.BigEndian.AppendUint64(append([]byte(board), 0), place))
}

func parseMessageName(name string) (board string, place uint64, err error) {
	board, text, ok := strings.Cut(name, "\x00")
	if !ok || len(text) != 8 {
		return "", 0, fmt.Errorf("%q is not the name of a message", name)
	}
	return board, binary.BigEndian.Uint64([]byte(text)), nil
}

// Note returns what is noted about a board; see [leaderboard.Outbox].
func (s *Store) Note(ctx context.Context, board string) (leaderboard.Note, error) {
	if s.isClosed() {
		return leaderboard.Note{}, errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	p := s.partition(board)
	text, err := s.client.Do(ctx, s.client.B().Get().Key(p.noted(board)).Build()).AsBytes()
	switch {
	case rueidis.IsRedisNil(err):
		return leaderboard.Note{}, nil
	case err != nil:
		return leaderboard.Note{}, s.fault(ctx, err)
	case len(text) < 8:
		return leaderboard.Note{}, fmt.Errorf("%s: note of board %q: %w", p, board, errAnswer)
	}
	return leaderboard.Note{Version: binary.BigEndian.Uint64(text), Text: text[8:]}, nil
}

// Record replaces a note and queues messages; see [leaderboard.Outbox].
func (s *Store) Record(ctx context.Context, r leaderboard.Recording) (left []int, err error) {
	if s.isClosed() {
		return nil, errClosed
	}
	p := s.partition(r.Board)
	keys := []string{p.meta, p.noted(r.Board)}
	args := []string{strconv.FormatUint(r.After, 10), string(r.Note)}
	for i, m := range r.Messages {
		keys = append(keys, p.queued(m.Queue), p.texts(m.Queue))
		args = append(args, strconv.Itoa(m.Limit), messageName(r.Board, r.PlaceOf(i)), string(m.Text))
	}
	message, err := p.eval(ctx, scriptRecord, keys, args)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	if text, err := message.ToString(); err == nil && text == "T" {
		return nil, leaderboard.ErrNoteChanged
	}
	fields, err := message.AsStrSlice()
	if err != nil || len(fields) == 0 {
		return nil, fmt.Errorf("%s: script %s: %w", p, scriptRecord, errAnswer)
	}
	for _, f := range fields[1:] {
		i, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("%s: script %s: %w", p, scriptRecord, errAnswer)
		}
		left = append(left, i)
	}
	return left, nil
}

// Settle takes a message out of its queue, or gives it another text; see [leaderboard.Outbox].
func (s *Store) Settle(ctx context.Context, m leaderboard.Message, text []byte) error {
	if s.isClosed() {
		return errClosed
	}
	p := s.partition(m.Board)
	args := []string{messageName(m.Board, m.Place)}
	if text != nil {
		args = append(args, string(text))
	}
	_, err := p.eval(ctx, scriptSettle, []string{p.meta, p.queued(m.Queue), p.texts(m.Queue)}, args)
	return s.fault(ctx, err)
}

// Waiting tells what is in a queue, of those partitions whose changes this node tells; see
// [leaderboard.Outbox].
func (s *Store) Waiting(ctx context.Context, queue, after string, limit int) (w leaderboard.Waiting, err error) {
	if s.isClosed() {
		return w, errClosed
	}
	var mu sync.Mutex // guards w
	err = s.each(func(p *partition) error {
		if _, held := p.changes.held(); !held {
			return nil
		}
		found, err := p.waiting(ctx, queue, after, limit)
		mu.Lock()
		defer mu.Unlock()
		w.Oldest = append(w.Oldest, found.Oldest...)
		w.Queued += found.Queued
		return err
	})
	slices.SortFunc(w.Oldest, func(x, y leaderboard.Message) int { return cmp.Compare(x.Board, y.Board) })
	w.Oldest = w.Oldest[:min(limit, len(w.Oldest))]
	return w, s.fault(ctx, err)
}

func (p *partition) waiting(ctx context.Context, queue, after string, limit int) (w leaderboard.Waiting, err error) {
	message, err := p.eval(ctx, scriptWaiting, []string{p.meta, p.queued(queue), p.texts(queue)}, []string{after, strconv.Itoa(limit)})
	if err != nil {
		return w, err
	}
	fields, err := message.AsStrSlice()
	if err != nil || len(fields) < 2 || len(fields)%2 != 0 {
		return w, fmt.Errorf("%s: script %s: %w", p, scriptWaiting, errAnswer)
	}
	if w.Queued, err = strconv.Atoi(fields[1]); err != nil {
		return w, fmt.Errorf("%s: script %s: %w", p, scriptWaiting, errAnswer)
	}
	for pair := range slices.Chunk(fields[2:], 2) {
		m := leaderboard.Message{Queue: queue, Text: []byte(pair[1])}
		if m.Board, m.Place, err = parseMessageName(pair[0]); err != nil {
			return w, fmt.Errorf("%s: queue %q: %w", p, queue, err)
		}
		w.Oldest = append(w.Oldest, m)
	}
	return w, nil
}
