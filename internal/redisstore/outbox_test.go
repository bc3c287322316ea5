package redisstore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

// recordOne records the next message about a board for the queue "hook".
func recordOne(t *testing.T, s *redisstore.Store, board string, after uint64) {
	t.Helper()
	_, err := s.Record(t.Context(), leaderboard.Recording{Board: board, After: after, Note: []byte("noted"), Messages: []leaderboard.Outgoing{
		{Queue: "hook", Text: fmt.Append(nil, board, " ", after), Limit: 100},
	}})
	if err != nil {
		t.Fatalf("Record(%q): %v", board, err)
	}
}

// waitingAt returns the boards of whose messages a node is told.
func waitingAt(t *testing.T, s *redisstore.Store) (ids []string) {
	t.Helper()
	w, err := s.Waiting(t.Context(), "hook", "", leaderboard.MaxLimit)
	if err != nil {
		t.Fatalf("Waiting: %v", err)
	}
	for _, m := range w.Oldest {
		ids = append(ids, m.Board)
	}
	return ids
}

// The messages about a board are told to the node that tells its changes, and when that one
// dies to another.
func TestMessagesAreToldToOneNode(t *testing.T) {
	server := redistest.Start(t)
	ids := numbered("b", 40)
	slices.Sort(ids)
	a, b := open(t, server.URL(), named("a")), open(t, server.URL(), named("b"))
	evenly(t, []*redisstore.Store{a, b})
	for i, id := range ids {
		recordOne(t, []*redisstore.Store{a, b}[i%2], id, 0)
	}
	eventually(t, "each message is told by one of two nodes", func() bool {
		left, right := waitingAt(t, a), waitingAt(t, b)
		all := slices.Concat(left, right)
		slices.Sort(all)
		return len(left) > 0 && len(right) > 0 && slices.Equal(all, ids)
	})
	a.Abandon()
	eventually(t, "the node that lives tells all messages", func() bool { return slices.Equal(waitingAt(t, b), ids) })
	for _, id := range ids {
		recordOne(t, b, id, 1)
	}
	if w, err := b.Waiting(t.Context(), "hook", "", 1); err != nil || w.Queued != 80 || string(w.Oldest[0].Text) != ids[0]+" 0" {
		t.Errorf("Waiting = %+v, %v, want the first of 80 messages", w, err)
	}
}

// A recording whose answer is lost is made once, and the note says so.
func TestALostAnswerOfARecording(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	proxy := redistest.NewProxy(t, server.Addr())
	s := open(t, server.URLThrough(proxy), onePartition, withTimeout(patience))
	recordOne(t, s, "race", 0)
	for range 64 { // so that all connections are there
		if _, err := s.Note(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
	}
	proxy.LoseAnswers()
	done := make(chan error, 1)
	go func() {
		_, err := s.Record(t.Context(), leaderboard.Recording{Board: "race", After: 1, Note: []byte("again"), Messages: []leaderboard.Outgoing{
			{Queue: "hook", Text: []byte("again"), Limit: 100},
		}})
		done <- err
	}()
	eventually(t, "the recording is made", func() bool { return number(t, client, "ZCARD", "laurel.{0}.q.hook") == 2 })
	proxy.Heal()
	// The answer may have been on its way still when the network healed.
	if err := <-done; err != nil && !errors.Is(err, leaderboard.ErrNoteChanged) {
		t.Errorf("Record: %v, want ErrNoteChanged", err)
	}
	note, err := s.Note(t.Context(), "race")
	if err != nil || note.Version != 2 || string(note.Text) != "again" {
		t.Errorf("note = %d %q, %v, want what was recorded", note.Version, note.Text, err)
	}
	if n := number(t, client, "HLEN", "laurel.{0}.m.hook"); n != 2 {
		t.Errorf("%d texts are in the queue, want 2", n)
	}
}

// Without memory nothing is recorded, or half of it, and what is delivered can be taken out.
func TestOutboxWithoutMemory(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), onePartition)
	recordOne(t, s, "race", 0)
	recordOne(t, s, "race", 1)
	ask(t, client, "CONFIG", "SET", "maxmemory", "1")
	_, err := s.Record(t.Context(), leaderboard.Recording{Board: "race", After: 2, Messages: []leaderboard.Outgoing{{Queue: "hook", Text: []byte("no"), Limit: 100}}})
	if !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("Record: %v, want storage_unavailable", err)
	}
	w, err := s.Waiting(t.Context(), "hook", "", 1)
	if err != nil || w.Queued != 2 {
		t.Fatalf("Waiting = %+v, %v, want the first of 2 messages", w, err)
	}
	if err := s.Settle(t.Context(), w.Oldest[0], []byte("another text")); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("Settle with a text: %v, want storage_unavailable", err)
	}
	if err := s.Settle(t.Context(), w.Oldest[0], nil); err != nil {
		t.Errorf("Settle: %v", err)
	}
	if note, err := s.Note(t.Context(), "race"); err != nil || note.Version != 2 {
		t.Errorf("version of the note = %d, %v, want 2", note.Version, err)
	}
	if n := number(t, client, "HLEN", "laurel.{0}.m.hook"); n != 1 {
		t.Errorf("%d texts are in the queue, want 1", n)
	}
}

// While Redis is away the outbox says so, and goes on when it is back.
func TestOutboxWhileRedisIsAway(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	s := open(t, server.URLThrough(proxy), onePartition, withTimeout(shortLease))
	recordOne(t, s, "race", 0)
	proxy.Cut()
	for what, do := range map[string]func() error{
		"Note": func() error { _, err := s.Note(t.Context(), "race"); return err },
		"Record": func() error {
			_, err := s.Record(t.Context(), leaderboard.Recording{Board: "race", After: 9})
			return err
		},
		"Settle": func() error {
			return s.Settle(t.Context(), leaderboard.Message{Queue: "hook", Board: "race", Place: 1}, nil)
		},
	} {
		if err := do(); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
			t.Errorf("%s: %v, want storage_unavailable", what, err)
		}
	}
	proxy.Heal()
	eventually(t, "the message is told again", func() bool {
		w, err := s.Waiting(t.Context(), "hook", "", 1)
		return err == nil && w.Queued == 1
	})
	eventually(t, "the store heals by itself", func() bool { return s.Writable() == nil })
	recordOne(t, s, "race", 1)
}
