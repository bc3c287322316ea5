package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"laurel/internal/leaderboard"
)

// plenty is a limit that no queue of a check reaches.
const plenty = 1 << 20

// to is a message for a queue.
func to(queue, text string) leaderboard.Outgoing {
	return leaderboard.Outgoing{Queue: queue, Text: []byte(text), Limit: plenty}
}

// record records what comes after the note of a board with the version.
func (f *fixture) record(board string, after uint64, note string, messages ...leaderboard.Outgoing) (left []int) {
	f.Helper()
	left, err := f.store.Record(f.Context(), leaderboard.Recording{Board: board, After: after, Note: []byte(note), Messages: messages})
	if err != nil {
		f.Fatalf("Record(%q): %v", board, err)
	}
	return left
}

func (f *fixture) wantNote(board string, version uint64, text string) {
	f.Helper()
	note, err := f.store.Note(f.Context(), board)
	if err != nil || note.Version != version || string(note.Text) != text {
		f.Errorf("note of %q = %d %q, %v, want %d %q", board, note.Version, note.Text, err, version, text)
	}
}

// waiting waits until a queue tells the oldest messages that are wanted, as
// "board text": a node may have to take over first.
func (f *fixture) waiting(queue string, want ...string) []leaderboard.Message {
	f.Helper()
	return f.waitingAbove(queue, "", 100, -1, want...)
}

func (f *fixture) waitingAbove(queue, after string, limit, queued int, want ...string) []leaderboard.Message {
	f.Helper()
	ctx, cancel := f.soon()
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		found, err := f.store.Waiting(ctx, queue, after, limit)
		var got []string
		for _, m := range found.Oldest {
			got = append(got, m.Board+" "+string(m.Text))
			if m.Queue != queue {
				f.Errorf("a message of the queue %q says that it is of %q", queue, m.Queue)
			}
		}
		if err == nil && slices.Equal(want, got) && (queued < 0 || found.Queued == queued) {
			return found.Oldest
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			f.Fatalf("oldest messages in %q above %q: %q of %d, %v, want %q of %d", queue, after, got, found.Queued, err, want, queued)
		}
	}
}

func (f *fixture) settle(m leaderboard.Message, text []byte) {
	f.Helper()
	if err := f.store.Settle(f.Context(), m, text); err != nil {
		f.Fatalf("Settle(%q of %q in %q): %v", m.Text, m.Board, m.Queue, err)
	}
}

var outboxChecks = []check{
	{"nothing is noted at first", func(f *fixture) {
		f.wantNote("race", 0, "")
		f.create(leaderboard.Board{ID: "race"})
		f.apply(submit("race", "alice", "1"))
		f.wantNote("race", 0, "")
		f.waiting("hook")
	}},
	{"a recording replaces the note and is queued", func(f *fixture) {
		f.unchanged(func() {
			f.record("race", 0, "alice leads", to("hook", "alice"), to("other", "alice too"))
			f.wantNote("race", 1, "alice leads")
			f.wantNote("rac", 0, "")
			f.record("race", 1, "bob leads", to("hook", "bob"))
			f.wantNote("race", 2, "bob leads")
			f.record("race", 2, "")
			f.wantNote("race", 3, "")
		})
		f.waitingAbove("hook", "", 100, 2, "race alice")
		f.waitingAbove("other", "", 100, 1, "race alice too")
		f.waitingAbove("hoo", "", 100, 0)
	}},
	{"a recording that comes after another note changes nothing", func(f *fixture) {
		f.record("race", 0, "one", to("hook", "one"))
		f.record("race", 1, "two")
		for _, after := range []uint64{0, 1, 3} {
			_, err := f.store.Record(f.Context(), leaderboard.Recording{Board: "race", After: after, Note: []byte("no"), Messages: []leaderboard.Outgoing{to("hook", "no")}})
			if !errors.Is(err, leaderboard.ErrNoteChanged) {
				f.Errorf("Record after %d: %v, want ErrNoteChanged", after, err)
			}
		}
		f.wantNote("race", 2, "two")
		f.waitingAbove("hook", "", 100, 1, "race one")
	}},
	{"of many who record the same one succeeds", func(f *fixture) {
		for round := range uint64(5) {
			var recorded atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					_, err := f.store.Record(f.Context(), leaderboard.Recording{
						Board: "race", After: round, Note: fmt.Append(nil, round), Messages: []leaderboard.Outgoing{to("hook", fmt.Sprint(round))},
					})
					switch {
					case err == nil:
						recorded.Add(1)
					case !errors.Is(err, leaderboard.ErrNoteChanged):
						f.Errorf("Record: %v", err)
					}
				})
			}
			wg.Wait()
			if recorded.Load() != 1 {
				f.Errorf("%d of 8 recordings succeeded, want 1", recorded.Load())
			}
		}
		f.waitingAbove("hook", "", 100, 5, "race 0")
	}},
	{"messages about a board wait in their order, those about others do not wait for them", func(f *fixture) {
		f.record("b", 0, "", to("hook", "1"), to("hook", "2"))
		f.record("b", 1, "", to("hook", "3"))
		f.record("a.b", 0, "", to("hook", "1"))
		f.record("a", 0, "", to("hook", "1"))
		f.record("a-b", 0, "", to("hook", "1"))
		for i, want := range []string{"b 1", "b 2", "b 3"} {
			oldest := f.waitingAbove("hook", "", 100, 6-i, "a 1", "a-b 1", "a.b 1", want)
			f.settle(oldest[3], nil)
			f.settle(oldest[3], nil) // which is not there any more
		}
		f.waitingAbove("hook", "", 100, 3, "a 1", "a-b 1", "a.b 1")
	}},
	{"messages keep their order through many recordings", func(f *fixture) {
		var want []string
		for i := range uint64(300) {
			text := fmt.Sprint(i)
			f.record("race", i, text, to("hook", text))
			want = append(want, text)
		}
		var got []string
		var place uint64
		for range want {
			m := f.waitingAbove("hook", "", 1, len(want)-len(got), "race "+want[len(got)])[0]
			if m.Place <= place {
				f.Errorf("place %d comes after %d", m.Place, place)
			}
			place = m.Place
			got = append(got, string(m.Text))
			f.settle(m, nil)
		}
		f.waitingAbove("hook", "", 1, 0)
	}},
	{"boards are told in pieces, by their ids", func(f *fixture) {
		ids := []string{"a", "a-", "a.a", "a0", "aa", "b", "z"}
		for _, id := range ids {
			f.record(id, 0, "", to("hook", "1"), to("hook", "2"))
		}
		f.waitingAbove("hook", "", 3, 14, "a 1", "a- 1", "a.a 1")
		f.waitingAbove("hook", "a.a", 3, 14, "a0 1", "aa 1", "b 1")
		f.waitingAbove("hook", "b", 3, 14, "z 1")
		f.waitingAbove("hook", "z", 3, 14)
		f.waitingAbove("hook", "a-z", 2, 14, "a.a 1", "a0 1")
	}},
	{"a message can be given another text in its place", func(f *fixture) {
		f.record("race", 0, "", to("hook", "page 1"), to("hook", "next"))
		m := f.waiting("hook", "race page 1")[0]
		f.settle(m, []byte("page 2"))
		again := f.waitingAbove("hook", "", 100, 2, "race page 2")[0]
		if again.Place != m.Place {
			f.Errorf("place = %d, want %d as before", again.Place, m.Place)
		}
		f.settle(again, nil)
		f.settle(again, []byte("page 3")) // does not bring it back
		f.waitingAbove("hook", "", 100, 1, "race next")
	}},
	{"a full queue leaves messages out, and the note is replaced all the same", func(f *fixture) {
		limited := func(queue, text string, limit int) leaderboard.Outgoing {
			return leaderboard.Outgoing{Queue: queue, Text: []byte(text), Limit: limit}
		}
		left := f.record("race", 0, "one", limited("hook", "1", 3), limited("hook", "2", 3), limited("other", "1", 1), limited("hook", "3", 3), limited("hook", "4", 3), limited("other", "2", 1))
		if diff := compare([]int{4, 5}, left); diff != "" {
			f.Errorf("left out (-want +got):\n%s", diff)
		}
		left = f.record("race", 1, "two", limited("hook", "5", 3), limited("hook", "6", 4))
		if diff := compare([]int{0}, left); diff != "" {
			f.Errorf("left out (-want +got):\n%s", diff)
		}
		f.wantNote("race", 2, "two")
		for i, want := range []string{"1", "2", "3", "6"} {
			f.settle(f.waitingAbove("hook", "", 100, 4-i, "race "+want)[0], nil)
		}
		if left := f.record("race", 2, "three", limited("hook", "7", 1)); left != nil {
			f.Errorf("left out of an empty queue: %v", left)
		}
	}},
	{"notes and messages outlive their board, and know nothing of one", func(f *fixture) {
		f.create(leaderboard.Board{ID: "race"})
		f.record("race", 0, "noted", to("hook", "told"))
		f.delete("race")
		f.wantNote("race", 1, "noted")
		f.waiting("hook", "race told")
		f.create(leaderboard.Board{ID: "race"})
		f.wantNote("race", 1, "noted")
		f.wantRev("race", 3)
	}},
	{"any text is kept as it is", func(f *fixture) {
		texts := []string{"", "\x00", "\xff\xfe\n\r\x00\x01", "名前", strings.Repeat("x", leaderboard.MaxOutboxText)}
		for i, text := range texts {
			f.record("race", uint64(i), text, to("hook", text))
			f.wantNote("race", uint64(i)+1, text)
		}
		for _, text := range texts {
			m := f.waiting("hook", "race "+text)[0]
			if !bytes.Equal(m.Text, []byte(text)) {
				f.Errorf("text %q came back as %q", text, m.Text)
			}
			f.settle(m, nil)
		}
	}},
	{"the outbox is there again after opening", func(f *fixture) {
		f.record("race", 0, "one", to("hook", "1"), to("hook", "2"), to("other", "1"))
		f.record("lap", 0, "lap", to("hook", "1"))
		oldest := f.waiting("hook", "lap 1", "race 1")
		f.settle(oldest[0], nil)
		f.settle(oldest[1], []byte("1 again"))
		f.reopen()
		f.wantNote("race", 1, "one")
		f.wantNote("lap", 1, "lap")
		f.settle(f.waitingAbove("hook", "", 100, 2, "race 1 again")[0], nil)
		f.reopen()
		f.settle(f.waitingAbove("hook", "", 100, 1, "race 2")[0], nil)
		left := f.record("race", 1, "two", leaderboard.Outgoing{Queue: "other", Text: []byte("2"), Limit: 1}, to("hook", "3"))
		if diff := compare([]int{0}, left); diff != "" {
			f.Errorf("left out (-want +got):\n%s", diff)
		}
		f.reopen()
		f.wantNote("race", 2, "two")
		f.waitingAbove("hook", "", 100, 1, "race 3")
		f.waitingAbove("other", "", 100, 1, "race 1")
	}},
	{"recordings, submits and settlements at once", func(f *fixture) {
		const boards, each = 4, 25
		var wg sync.WaitGroup
		for b := range boards {
			id := fmt.Sprint("b", b)
			f.create(leaderboard.Board{ID: id})
			wg.Go(func() {
				for i := range uint64(each) {
					_, err := f.store.Record(f.Context(), leaderboard.Recording{Board: id, After: i, Note: fmt.Append(nil, i), Messages: []leaderboard.Outgoing{to("hook", fmt.Sprint(i))}})
					if err != nil {
						f.Errorf("Record: %v", err)
					}
				}
			})
			wg.Go(func() {
				for range each {
					if _, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: []leaderboard.Op{submit(id, "alice", "1")}, At: f.clock}); err != nil {
						f.Errorf("Apply: %v", err)
					}
				}
			})
		}
		ctx, cancel := f.soon()
		defer cancel()
		got := map[string]int{}
		for n := 0; n < boards*each && ctx.Err() == nil; {
			found, err := f.store.Waiting(ctx, "hook", "", 10)
			if err != nil {
				f.Fatalf("Waiting: %v", err)
			}
			for _, m := range found.Oldest {
				if want := fmt.Sprint(got[m.Board]); string(m.Text) != want {
					f.Fatalf("message of %s is %s, want %s", m.Board, m.Text, want)
				}
				got[m.Board]++
				n++
				f.settle(m, nil)
			}
		}
		wg.Wait()
		f.waitingAbove("hook", "", 10, 0)
		for b := range boards {
			f.wantNote(fmt.Sprint("b", b), each, fmt.Sprint(each-1))
			f.wantTable(fmt.Sprint("b", b), fmt.Sprint("1 alice ", each))
		}
	}},
	{"a closed outbox answers that it is shutting down", func(f *fixture) {
		f.record("race", 0, "one", to("hook", "1"))
		m := f.waiting("hook", "race 1")[0]
		s, ctx := f.store, f.Context()
		f.close()
		_, err := s.Note(ctx, "race")
		f.wantCode("Note", err, leaderboard.CodeShuttingDown)
		_, err = s.Record(ctx, leaderboard.Recording{Board: "race", After: 1})
		f.wantCode("Record", err, leaderboard.CodeShuttingDown)
		_, err = s.Waiting(ctx, "hook", "", 1)
		f.wantCode("Waiting", err, leaderboard.CodeShuttingDown)
		f.wantCode("Settle", s.Settle(ctx, m, nil), leaderboard.CodeShuttingDown)
	}},
}
