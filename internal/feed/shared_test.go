package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"laurel/internal/feed"
	"laurel/internal/leaderboard"
)

// shared is a store that several nodes share, and the channels in which their
// feeds publish, as far as a feed sees of both. Each board has one member, whose
// score is all there is to see, a log of its own, and an owner: the node that
// the log is told to.
type shared struct {
	mu     sync.Mutex
	boards map[string]*sharedBoard
	news   chan struct{}             // closed and replaced when there is something to be told
	fail   func(action string) error // nil: nothing fails
	calls  map[string]int            // by action
}

type sharedBoard struct {
	exists bool
	rev    uint64
	epoch  string
	score  int64
	owner  int
	log    []uint64 // revs; 0 is a lost one
	acked  int      // so many of log need not be told again

	kept *feed.Publication // what viewers have
}

// node is what one node has of it.
type node struct {
	*shared
	id int

	// Guarded by shared.mu.
	next map[string]int // by board: the first of its log that was not told
	told []told         // a cursor is how many of them
}

type told struct {
	board   string
	through int
}

func newShared(boards ...string) *shared {
	s := &shared{boards: map[string]*sharedBoard{}, news: make(chan struct{}), calls: map[string]int{}}
	for _, id := range boards {
		s.boards[id] = &sharedBoard{epoch: "first"}
	}
	return s
}

func (s *shared) node(id int) *node { return &node{shared: s, id: id, next: map[string]int{}} }

// change changes a board in some way and logs it.
func (s *shared) change(id string, f func(b *sharedBoard)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boards[id]
	b.exists = true
	b.rev++
	f(b)
	b.log = append(b.log, b.rev)
	close(s.news)
	s.news = make(chan struct{})
}

func (s *shared) score(id string, score int64) {
	s.change(id, func(b *sharedBoard) { b.score = score })
}

// lose gives a board an older state, in a new epoch, as a store does whose data
// was lost.
func (s *shared) lose(id, epoch string, rev uint64, score int64) {
	s.change(id, func(b *sharedBoard) {
		b.rev, b.epoch, b.score = rev, epoch, score
		clear(b.log[b.acked:]) // what was not told is lost too
	})
}

// move gives a board to another node.
func (s *shared) move(id string, owner int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boards[id].owner = owner
	close(s.news)
	s.news = make(chan struct{})
}

func (s *shared) failWith(f func(action string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// begin counts an action and makes it fail, if it should.
func (s *shared) begin(action string) error {
	s.calls[action]++
	if s.fail == nil {
		return nil
	}
	return s.fail(action)
}

func (n *node) Changes(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	for {
		changes, through, news, err := n.changesNow(after, limit)
		if err != nil || len(changes) > 0 {
			return changes, through, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
}

func (n *node) changesNow(after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.begin("changes"); err != nil {
		return nil, "", nil, err
	}
	if after == "" {
		clear(n.next)
	}
	var changes []leaderboard.Change
	for id, b := range n.boards {
		if b.owner != n.id {
			delete(n.next, id)
			continue
		}
		for i := max(n.next[id], b.acked); i < len(b.log) && len(changes) < limit; i++ {
			n.next[id] = i + 1
			if b.log[i] == 0 {
				continue
			}
			changes = append(changes, leaderboard.Change{Board: id, Rev: b.log[i]})
			n.told = append(n.told, told{id, i + 1})
		}
	}
	return changes, leaderboard.Cursor(strconv.Itoa(len(n.told))), n.news, nil
}

func (n *node) Ack(_ context.Context, through leaderboard.Cursor) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.begin("ack"); err != nil {
		return err
	}
	upTo, err := strconv.Atoi(string(through))
	if err != nil {
		return err
	}
	for _, t := range n.told[:upTo] {
		b := n.boards[t.board]
		b.acked = min(max(b.acked, t.through), len(b.log))
	}
	return nil
}

func (n *node) Entries(_ context.Context, at leaderboard.Ref, _ leaderboard.Range) (leaderboard.Page, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.begin("read"); err != nil {
		return leaderboard.Page{}, err
	}
	b := n.boards[at.Board]
	if !b.exists {
		return leaderboard.Page{}, leaderboard.ErrBoardNotFound
	}
	settings := leaderboard.Board{ID: at.Board, Interval: 20}.WithDefaults()
	return leaderboard.Page{
		View:    leaderboard.View{Board: settings, Season: 1, Rev: b.rev, Epoch: b.epoch, Total: 1},
		Entries: []leaderboard.Entry{{Member: "alice", Score: b.score, Rank: 1}},
	}, nil
}

// Publish does what realtime and its broker do: they leave out what is not newer
// within an epoch, where a board that is gone is one of its own, and refuse to
// leave behind what is not of the board's epoch any more. It may fail before and
// after.
func (n *node) Publish(_ context.Context, p feed.Publication) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.begin("publish"); err != nil {
		return err
	}
	b := n.boards[p.Board]
	if b.kept != nil && (p.Epoch == "" || p.Epoch == b.kept.Epoch) && p.Gone == b.kept.Gone && p.Rev <= b.kept.Rev {
		return nil
	}
	b.kept = &p
	if b.exists == p.Gone || b.exists && p.Epoch != b.epoch {
		return errors.New("it is another board now")
	}
	return n.begin("published")
}

// shows returns the score that a board's viewers see, with its epoch and rev.
func (s *shared) shows(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boards[id]
	switch {
	case b.kept == nil:
		return "nothing"
	case b.kept.Gone:
		return fmt.Sprintf("gone at %s/%d", b.kept.Epoch, b.kept.Rev)
	}
	_, score, _ := bytes.Cut(b.kept.Data, []byte(`"score":`))
	score, _, _ = bytes.Cut(score, []byte(`}`))
	return fmt.Sprintf("%s at %s/%d", score, b.kept.Epoch, b.kept.Rev)
}

// feed runs the feed of a node until the test ends, and returns its log.
func (n *node) feed(t *testing.T) *bytes.Buffer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer // written by Run
	f := feed.New(n, n, feed.Options{Trust: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return &log
}

func TestRunPublishesNewEpoch(t *testing.T) {
	for name, c := range map[string]struct {
		rev   uint64
		score int64
		want  string
	}{
		"same table at the same rev": {2, 7, "7 at second/2"},
		"same table at a lower rev":  {1, 7, "7 at second/1"},
		"older table":                {1, 5, "5 at second/1"},
		"newer table":                {9, 8, "8 at second/9"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShared("race")
				s.node(0).feed(t)
				s.score("race", 5)
				time.Sleep(time.Second)
				s.score("race", 7)
				time.Sleep(time.Second)
				want(t, "shown", s.shows("race"), "7 at first/2")
				s.lose("race", "second", c.rev, c.score)
				time.Sleep(time.Second)
				want(t, "shown", s.shows("race"), c.want)
			})
		})
	}
}

// A table may show more than the log has told. If that is lost, the rev of the
// new epoch lies between the two.
func TestRunPublishesNewEpochBetweenLogAndTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race")
		s.node(0).feed(t)
		s.score("race", 1)
		time.Sleep(time.Second)
		s.mu.Lock()
		b := s.boards["race"] // nine more changes, of which the log tells one at once
		b.rev, b.score = 10, 10
		b.log = append(b.log, 2)
		close(s.news)
		s.news = make(chan struct{})
		s.mu.Unlock()
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "10 at first/10")
		s.lose("race", "second", 7, 7)
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "7 at second/7")
	})
}

// The table of a deleted board is of the epoch of that board, whatever others
// have, and newer than any table of it, even if the log does not say so.
func TestRunPublishesDeletionInEpochOfBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race", "other")
		s.node(0).feed(t)
		s.score("race", 1)
		time.Sleep(time.Second)
		s.lose("other", "second", 4, 4)
		time.Sleep(time.Second)
		s.change("race", func(b *sharedBoard) { b.exists = false })
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "gone at first/2")

		s.score("race", 3)
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "3 at first/3")
		s.change("race", func(b *sharedBoard) { b.exists, b.rev = false, 1 }) // told with a rev of long ago
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "gone at first/4")
	})
}

// While a board was another node's, its viewers were sent something else. When
// it is back and looks as it did, it is published nonetheless.
func TestRunDoesNotTrustWhatItShowedLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race")
		first, second := s.node(1), s.node(2)
		first.feed(t)
		second.feed(t)
		s.move("race", 1)
		s.score("race", 7)
		time.Sleep(2 * time.Second)
		s.move("race", 2)
		s.score("race", 8)
		time.Sleep(2 * time.Second)
		want(t, "shown", s.shows("race"), "8 at first/2")
		s.move("race", 1)
		s.score("race", 7)
		time.Sleep(2 * time.Second)
		want(t, "shown", s.shows("race"), "7 at first/3")
	})
}

// A publication whose answer was lost may have reached the viewers: what they
// were sent before cannot be taken for what they have.
func TestRunPublishesAfterLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race")
		s.node(0).feed(t)
		s.score("race", 7)
		time.Sleep(time.Second)
		s.failWith(func(action string) error {
			if action == "published" {
				return errors.New("connection reset")
			}
			return nil
		})
		s.score("race", 8)
		synctest.Wait()
		want(t, "shown", s.shows("race"), "8 at first/2")
		s.failWith(nil)
		s.score("race", 7) // within the trust in what was shown before
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "7 at first/3")
	})
}

// away is the error of a store that cannot be reached.
func away(string) error { return leaderboard.ErrStorageUnavailable }

// A store that is away for long is asked again and again, at growing distances,
// and heard of once.
func TestRunWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race")
		s.failWith(away)
		log := s.node(0).feed(t)
		time.Sleep(time.Minute)
		s.mu.Lock()
		calls := s.calls["changes"]
		s.mu.Unlock()
		if calls < 60 || calls > 66 {
			t.Errorf("asked %d times within a minute, want once a second and a few times more at first", calls)
		}
		s.score("race", 7)
		s.failWith(nil)
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "7 at first/1")
		synctest.Wait()
		want(t, "lines logged", strings.Count(log.String(), "\n"), 2)
		for _, line := range []string{"cannot read the change log", "reading the change log again"} {
			want(t, line, strings.Count(log.String(), line), 1)
		}
	})
}

func TestRunAsksSoonAfterFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race")
		s.failWith(away)
		s.node(0).feed(t)
		synctest.Wait()
		s.failWith(nil)
		s.score("race", 7)
		time.Sleep(100 * ms)
		want(t, "shown", s.shows("race"), "7 at first/1")
	})
}

// forgetful is a source that knows its own cursors only until it fails.
type forgetful struct {
	*node
	failed atomic.Bool
}

func (f *forgetful) Changes(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	if f.failed.Load() && after != "" {
		return nil, "", fmt.Errorf("cursor %q is not of this change log", after)
	}
	f.failed.Store(false)
	return f.node.Changes(ctx, after, limit)
}

func TestRunBeginsAgainWithUnknownCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race", "other")
		source := &forgetful{node: s.node(0)}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- feed.New(source, source, feed.Options{}).Run(ctx) }()
		s.score("race", 7)
		time.Sleep(time.Second)
		source.failed.Store(true)
		s.score("race", 8) // is told by the call that waits
		time.Sleep(time.Second)
		s.score("other", 9)
		time.Sleep(time.Second)
		want(t, "shown", []string{s.shows("race"), s.shows("other")}, []string{"8 at first/2", "9 at first/1"})
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// A change that the log tells of late does not hold up the next one.
func TestRunIsNotHeldUpByLateChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race")
		s.node(0).feed(t)
		s.score("race", 1)
		time.Sleep(time.Second)
		s.mu.Lock() // the table shows a change before the log tells of it
		b := s.boards["race"]
		b.rev, b.score, b.log = 3, 3, append(b.log, 2)
		close(s.news)
		s.news = make(chan struct{})
		s.mu.Unlock()
		time.Sleep(time.Second)
		want(t, "shown", s.shows("race"), "3 at first/3")
		s.mu.Lock()
		b.log = append(b.log, 3)
		close(s.news)
		s.news = make(chan struct{})
		s.mu.Unlock()
		time.Sleep(ms)
		s.score("race", 4)
		synctest.Wait()
		want(t, "shown at once", s.shows("race"), "4 at first/4")

		time.Sleep(500 * ms)
		s.mu.Lock()
		b.log = append(b.log, 4) // told again, and looked at in vain
		close(s.news)
		s.news = make(chan struct{})
		s.mu.Unlock()
		time.Sleep(21 * ms)
		s.score("race", 5)
		synctest.Wait()
		want(t, "shown at once", s.shows("race"), "5 at first/5")
	})
}

// An acknowledgement that fails is made again, though nothing follows.
func TestRunAcknowledgesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared("race")
		s.failWith(func(action string) error {
			if action == "ack" {
				return leaderboard.ErrStorageUnavailable
			}
			return nil
		})
		log := s.node(0).feed(t)
		s.score("race", 7)
		time.Sleep(time.Minute)
		s.failWith(nil)
		time.Sleep(2 * time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		want(t, "acknowledged", s.boards["race"].acked, 1)
		want(t, "lines logged", strings.Count(log.String(), "\n"), 1)
	})
}

// When everything is away, all boards fail; a few of them are named.
func TestRunLogsFewOfManyFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var boards []string
		for i := range 100 {
			boards = append(boards, fmt.Sprint("board", i))
		}
		s := newShared(boards...)
		log := s.node(0).feed(t)
		for round := range 2 {
			s.failWith(func(action string) error {
				if action == "read" {
					return leaderboard.ErrStorageUnavailable
				}
				return nil
			})
			for _, id := range boards {
				s.score(id, int64(round))
			}
			time.Sleep(time.Minute)
			s.failWith(nil)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			want(t, "failures logged", strings.Count(log.String(), "cannot publish"), 10*(round+1))
			want(t, "recoveries logged", strings.Count(log.String(), "publishing again"), 10*(round+1))
		}
	})
}

// Whatever is written, deleted and lost, whichever node a board belongs to and
// whatever fails meanwhile: at the end viewers see what the store has.
func TestRunConvergesOnManyNodes(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%#x", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng, failures := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
				boards := []string{"a", "b", "c", "d", "e", "f"}
				s := newShared(boards...)
				for id := range 3 {
					s.node(id).feed(t)
				}
				for step := range 400 {
					id := boards[rng.IntN(len(boards))]
					switch rng.IntN(20) {
					case 0:
						s.move(id, rng.IntN(3))
					case 1:
						s.change(id, func(b *sharedBoard) { b.exists = false })
					case 2:
						s.lose(id, fmt.Sprint("epoch", step), 1+rng.Uint64N(10), rng.Int64N(3))
					case 3:
						odds := rng.IntN(4)
						s.failWith(func(string) error {
							if failures.IntN(4) < odds {
								return leaderboard.ErrStorageUnavailable
							}
							return nil
						})
					default:
						s.score(id, rng.Int64N(3))
					}
					time.Sleep(time.Duration(rng.IntN(100)) * ms)
				}
				s.failWith(nil)
				time.Sleep(3 * time.Second)
				for id, b := range s.boards {
					wanted := fmt.Sprintf("%d at %s/", b.score, b.epoch)
					if !b.exists {
						wanted = "gone at "
					}
					if b.rev == 0 {
						wanted = "nothing"
					}
					if got := s.shows(id); !strings.HasPrefix(got, wanted) {
						t.Errorf("viewers of %s see %s, the store has %s%d", id, got, wanted, b.rev)
					}
				}
			})
		})
	}
}
