package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

type publisherFunc func(Publication) error

func (f publisherFunc) Publish(_ context.Context, p Publication) error { return f(p) }

// What the feed keeps while one board cannot be published does not grow with
// what happens to the others.
func TestRunKeepsFewBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewModel()
		service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
		ctx, stop := context.WithCancel(t.Context())
		f := New(store, publisherFunc(func(p Publication) error {
			if p.Board == "stuck" {
				return errors.New("refused")
			}
			return nil
		}), Options{})
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()

		for i := range 300 {
			for _, board := range []string{"stuck", fmt.Sprint("board", i%20)} {
				if _, err := service.Submit(ctx, board, []leaderboard.Submission{{Member: "alice"}}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Minute + 5*time.Millisecond) // between two attempts
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := len(f.batches); n != 1 {
			t.Errorf("%d batches are kept, want the one that waits for the board that is stuck", n)
		}
		if f.unsettled != 1 || len(f.waiting) != 1 || f.running != 0 {
			t.Errorf("unsettled = %d, waiting = %d, running = %d; want 1, 1, 0", f.unsettled, len(f.waiting), f.running)
		}
	})
}

func TestRunForgetsDeletedBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewModel()
		service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
		ctx, stop := context.WithCancel(t.Context())
		f := New(store, publisherFunc(func(Publication) error { return nil }), Options{})
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		for _, id := range []string{"stays", "goes"} {
			if _, err := service.CreateBoard(ctx, leaderboard.Board{ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if err := service.DeleteBoard(ctx, "goes"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(f.boards) != 1 || f.boards["stays"] == nil || len(f.waiting) != 0 {
			t.Errorf("%d boards are remembered, %d wait; want one and none", len(f.boards), len(f.waiting))
		}
	})
}

// A publisher that is down leaves the changes in the log.
func TestRunLeavesLogAloneWhenPublisherIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const boards = maxUnsettled + 2*pullLimit
		ctx, stop := context.WithCancel(t.Context())
		f := New(endless{}, publisherFunc(func(Publication) error { return errors.New("refused") }), Options{})
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(2 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := len(f.boards); n < maxUnsettled || n > boards {
			t.Errorf("%d boards are kept, want about %d", n, maxUnsettled)
		}
	})
}

// endless is a source in which one new board after the other changes.
type endless struct{ Source }

func (endless) Changes(_ context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	told, _ := strconv.Atoi(string(after))
	changes := make([]leaderboard.Change, limit)
	for i := range changes {
		told++
		changes[i] = leaderboard.Change{Board: strconv.Itoa(told), Rev: 1}
	}
	return changes, leaderboard.Cursor(strconv.Itoa(told)), nil
}

func (endless) Entries(_ context.Context, at leaderboard.Ref, _ leaderboard.Range) (leaderboard.Page, error) {
	return leaderboard.Page{View: leaderboard.View{Board: leaderboard.Board{ID: at.Board}.WithDefaults(), Rev: 1}}, nil
}

func (endless) Ack(context.Context, leaderboard.Cursor) error { return nil }

func TestRememberForgetsQuietBoards(t *testing.T) {
	f := New(nil, nil, Options{})
	now := time.Now()
	waits := f.remember("waits", now)
	waits.batch = &batch{}
	open := f.remember("window is open", now)
	open.window = now.Add(time.Minute)
	for i := range 2 * maxRemembered {
		f.remember(fmt.Sprint("quiet", i), now)
	}
	if n := len(f.boards); n > maxRemembered {
		t.Errorf("%d boards are remembered, want at most %d", n, maxRemembered)
	}
	if f.boards["waits"] != waits || f.boards["window is open"] != open {
		t.Error("a board that is not quiet is forgotten")
	}
}

func TestRenderReadsTopOnce(t *testing.T) {
	store := storetest.NewModel()
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	for _, c := range []struct{ top, members, rows, reads int }{
		{100, 0, 0, 1},
		{100, 99, 99, 1},
		{100, 100, 100, 1},
		{100, 101, 100, 1},
		{500, 100, 100, 1},
		{500, 101, 101, 2},
		{500, 501, 500, 2},
		{1, 3, 1, 1},
	} {
		id := fmt.Sprintf("top%d-of%d", c.top, c.members)
		if _, err := service.CreateBoard(t.Context(), leaderboard.Board{ID: id, Top: c.top}); err != nil {
			t.Fatal(err)
		}
		var members []leaderboard.Submission
		for i := range c.members {
			members = append(members, leaderboard.Submission{Member: fmt.Sprint(i), Score: leaderboard.ScaledDecimal(int64(i), 0)})
		}
		if len(members) > 0 {
			if _, err := service.Submit(t.Context(), id, members); err != nil {
				t.Fatal(err)
			}
		}
		reader := &counting{Reader: store}
		page, err := readTop(t.Context(), reader, id, leaderboard.DefaultTop)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Entries) != c.rows || reader.reads != c.reads {
			t.Errorf("%s: %d rows by %d reads, want %d by %d", id, len(page.Entries), reader.reads, c.rows, c.reads)
		}
	}
}

type counting struct {
	Reader
	reads int
}

func (c *counting) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	c.reads++
	return c.Reader.Entries(ctx, at, r)
}
