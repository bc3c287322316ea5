package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

// rank is what a viewer reads of a member's standing.
type rank struct {
	Member string
	Score  *json.Number
	Rank   *int
	Total  int
	Above  *neighbour
	Below  *neighbour
	Season int
	Rev    uint64
}

type neighbour struct {
	Name  string
	Score json.Number
	Rank  int
}

func parseRank(tb testing.TB, data []byte) rank {
	tb.Helper()
	var r rank
	if err := json.Unmarshal(data, &r); err != nil {
		tb.Fatalf("standing %q: %v", data, err)
	}
	return r
}

// watching is a world of watched members on the clock of a bubble.
type watching struct {
	*testing.T
	store   *storetest.Model
	service *leaderboard.Service
	ranks   *ranks
	start   time.Time
	log     lines

	mu   sync.Mutex
	sent []sentRank
	fail error
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

type sentRank struct {
	At     time.Duration
	Member string
	Rank   int // 0: none
	Rev    uint64
}

func newWatching(t *testing.T) *watching {
	t.Helper()
	store := storetest.NewModel()
	return watchingOf(t, store, store, false)
}

// watchingOf is a world whose ranks are read from reader.
func watchingOf(t *testing.T, store *storetest.Model, reader Reader, polls bool) *watching {
	t.Helper()
	w := &watching{T: t, store: store, service: leaderboard.NewService(store, leaderboard.ServiceOptions{}), start: time.Now()}
	w.ranks = newRanks(reader, 250*time.Millisecond, 2, w.publish, newMetrics(prometheus.NewRegistry()), slog.New(slog.NewTextHandler(&w.log, nil)))
	w.ranks.polls = polls
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ranks.run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watching) publish(_, member string, standing []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	got := parseRank(w.T, standing)
	s := sentRank{At: time.Since(w.start), Member: member, Rev: got.Rev}
	if got.Rank != nil {
		s.Rank = *got.Rank
	}
	w.sent = append(w.sent, s)
	return nil
}

// failWith makes publications fail, or no more.
func (w *watching) failWith(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

// submit submits a score and says that the board has changed, as the feed does.
func (w *watching) submit(member string, score int) {
	w.Helper()
	_, err := w.service.Submit(w.Context(), "race", []leaderboard.Submission{{Member: member, Score: leaderboard.ScaledDecimal(int64(score), 0)}})
	if err != nil {
		w.Fatal(err)
	}
	w.ranks.boardChanged("race")
}

func (w *watching) watch(member string) rank {
	w.Helper()
	var got rank
	if err := w.ranks.watch(w.Context(), "race", member, func(s []byte) { got = parseRank(w.T, s) }); err != nil {
		w.Fatal(err)
	}
	return got
}

func (w *watching) take() []sentRank {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

const ms = time.Millisecond

func TestRankIsSentWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.submit("alice", 10)
		w.submit("bob", 5)
		want(t, "rank", *w.watch("bob").Rank, 2)
		time.Sleep(time.Second)
		want(t, "sent without a change", w.take(), nil)

		w.submit("bob", 10) // at once
		time.Sleep(time.Second)
		want(t, "sent", w.take(), []sentRank{{At: time.Second, Member: "bob", Rank: 1, Rev: 4}})

		w.submit("carol", -1) // who stands below is part of it, and so is the total
		time.Sleep(time.Second)
		w.submit("dora", -2) // only the total
		time.Sleep(time.Second)
		want(t, "sent", len(w.take()), 2)

		w.submit("carol", 0) // nothing is different
		time.Sleep(time.Second)
		want(t, "sent", w.take(), nil)
	})
}

func TestRankIsSentOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.submit("bob", 1)
		w.watch("bob")
		for range 100 { // a second
			w.submit("bob", 1)
			time.Sleep(10 * ms)
		}
		time.Sleep(time.Second)
		sent := w.take()
		if len(sent) > 6 {
			t.Errorf("sent %d times within a second", len(sent))
		}
		for i := range sent[1:] {
			if gap := sent[i+1].At - sent[i].At; gap < 250*ms {
				t.Errorf("sent after %v", gap)
			}
		}
		want(t, "last rev", sent[len(sent)-1].Rev, 102)
	})
}

// Going away and coming back is no way around the interval, and who comes back
// is told how it is now, not how it was.
func TestRankIsReadAnewWhenNobodyWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.submit("alice", 10)
		w.submit("bob", 5)
		w.watch("bob")
		w.submit("bob", 1)
		want(t, "sent", len(w.take()), 1)
		w.ranks.unwatch("race", "bob")
		w.submit("bob", 100)
		want(t, "rank", *w.watch("bob").Rank, 1)
		w.submit("bob", 100)
		synctest.Wait()
		want(t, "sent within the interval", w.take(), nil)
		time.Sleep(time.Second)
		want(t, "sent", len(w.take()), 1)

		w.ranks.unwatch("race", "bob")
		time.Sleep(time.Second)
		w.submit("bob", 1)
		synctest.Wait()
		want(t, "boards kept", len(w.ranks.boards), 0)
	})
}

// The second viewer of a member sees what the first one sees.
func TestRankViewersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.submit("bob", 5)
		first := w.watch("bob")
		want(t, "second", w.watch("bob"), first)
		w.ranks.unwatch("race", "bob")
		w.submit("bob", 5)
		want(t, "sent to the one who is left", len(w.take()), 1)
	})
}

func TestRankOfMemberNotOnBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.submit("alice", 10)
		got := w.watch("bob")
		want(t, "standing", got, rank{Member: "bob", Total: 1, Season: 1, Rev: 2})
		w.submit("bob", 5)
		want(t, "sent", w.take(), []sentRank{{Member: "bob", Rank: 2, Rev: 3}})
		time.Sleep(time.Second)
		if _, err := w.service.Remove(t.Context(), leaderboard.Ref{Board: "race"}, "bob"); err != nil {
			t.Fatal(err)
		}
		w.ranks.boardChanged("race")
		want(t, "sent", w.take(), []sentRank{{At: time.Second, Member: "bob", Rev: 4}})

		time.Sleep(time.Second)
		if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
		w.ranks.boardChanged("race")
		want(t, "sent", w.take(), []sentRank{{At: 2 * time.Second, Member: "bob", Rev: 4}}) // the total is 0
		err := w.ranks.watch(t.Context(), "race", "carol", func([]byte) { t.Error("subscribed") })
		if !errors.Is(err, leaderboard.ErrBoardNotFound) {
			t.Errorf("watch = %v, want that there is no board", err)
		}
	})
}

func TestRankIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatching(t)
		w.submit("bob", 5)
		w.watch("bob")
		w.failWith(errors.New("injected"))
		w.submit("bob", 5)
		time.Sleep(time.Second)
		w.failWith(nil)
		time.Sleep(time.Second)
		want(t, "revs sent", len(w.take()), 1)
	})
}

// distant is a store on the network, which counts what it is asked and may be away.
type distant struct {
	*storetest.Model
	epoch atomic.Value // a string, if there is a new one
	away  atomic.Bool
	asked atomic.Int64 // for a board
	reads atomic.Int64
}

func (d *distant) Board(ctx context.Context, id string) (leaderboard.View, error) {
	d.asked.Add(1)
	if d.away.Load() {
		return leaderboard.View{}, leaderboard.ErrStorageUnavailable
	}
	view, err := d.Model.Board(ctx, id)
	if epoch, ok := d.epoch.Load().(string); ok {
		view.Epoch = epoch
	}
	return view, err
}

func (d *distant) Around(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error) {
	d.reads.Add(1)
	if d.away.Load() {
		return leaderboard.Page{}, leaderboard.ErrStorageUnavailable
	}
	return d.Model.Around(ctx, at, member, limit)
}

// newPolling is a world in which nobody tells of changes.
func newPolling(t *testing.T) (*watching, *distant) {
	t.Helper()
	store := &distant{Model: storetest.NewModel()}
	return watchingOf(t, store.Model, store, true), store
}

// written submits a score of which this node is not told.
func (w *watching) written(board, member string, score int) {
	w.Helper()
	_, err := w.service.Submit(w.Context(), board, []leaderboard.Submission{{Member: member, Score: leaderboard.ScaledDecimal(int64(score), 0)}})
	if err != nil {
		w.Fatal(err)
	}
}

func TestPollingFindsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := newPolling(t)
		w.written("race", "bob", 5)
		for range 100 {
			w.written("other", "bob", 1)
		}
		time.Sleep(10*time.Second + ms)
		want(t, "asked when nobody watches", store.asked.Load(), 0)

		w.watch("bob")
		time.Sleep(10 * time.Second)
		want(t, "asked in 10 s", store.asked.Load(), 40)
		want(t, "sent without a change", w.take(), nil)
		want(t, "standings read", store.reads.Load(), 2) // the first time it asks, it cannot tell

		w.written("race", "bob", 5)
		time.Sleep(250 * ms)
		want(t, "sent", w.take(), []sentRank{{At: 20*time.Second + 250*ms, Member: "bob", Rank: 1, Rev: 3}})
		want(t, "standings read", store.reads.Load(), 3)
		for range 100 { // a second
			w.written("race", "bob", 1)
			time.Sleep(10 * ms)
		}
		time.Sleep(time.Second)
		sent := w.take()
		if len(sent) > 6 {
			t.Errorf("sent %d times within a second", len(sent))
		}
		want(t, "last rev", sent[len(sent)-1].Rev, 103)

		w.ranks.unwatch("race", "bob")
		time.Sleep(time.Second)
		store.asked.Store(0)
		time.Sleep(10 * time.Second)
		want(t, "asked when nobody watches any more", store.asked.Load(), 0)
	})
}

// A change between the first look at a member and the first at the rev of its
// board is not missed.
func TestPollingMissesNothingAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newPolling(t)
		w.written("race", "bob", 5)
		time.Sleep(100 * ms)
		w.watch("bob")
		w.written("race", "alice", 9)
		time.Sleep(time.Second)
		want(t, "sent", w.take(), []sentRank{{At: 250 * ms, Member: "bob", Rank: 2, Rev: 3}})
	})
}

// An epoch is a change, also if the rev is as before; and so is the end of a board.
func TestPollingFindsNewEpochAndDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := newPolling(t)
		w.written("race", "bob", 5)
		w.watch("bob")
		time.Sleep(time.Second + ms)
		reads := store.reads.Load()
		store.epoch.Store("restored")
		time.Sleep(time.Second)
		want(t, "standings read", store.reads.Load(), reads+1)

		if err := w.service.DeleteBoard(t.Context(), "race"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want(t, "sent", len(w.take()), 1)
		asked := store.asked.Load()
		time.Sleep(time.Second)
		want(t, "asked about a board that is gone", store.asked.Load()-asked, 4)
		want(t, "sent", w.take(), nil)
		w.written("race", "bob", 6)
		time.Sleep(time.Second)
		want(t, "sent", w.take(), []sentRank{{At: 4*time.Second + 250*ms, Member: "bob", Rank: 1, Rev: 5}})
	})
}

// A store that is away is asked on, and heard of once; viewers then have what is new.
func TestPollingWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := newPolling(t)
		w.written("race", "bob", 5)
		w.watch("bob")
		time.Sleep(time.Second)
		store.away.Store(true)
		w.written("race", "bob", 5)
		time.Sleep(time.Minute)
		want(t, "sent", w.take(), nil)
		store.away.Store(false)
		time.Sleep(time.Second)
		want(t, "revs sent", len(w.take()), 1)
		want(t, "failures logged", w.log.count("cannot read ranks"), 1)
		want(t, "recoveries logged", w.log.count("reading ranks again"), 1)

		// Also if it goes away between the rev and the standings.
		w.ranks.boardChanged("race")
		store.away.Store(true)
		time.Sleep(time.Minute)
		store.away.Store(false)
		time.Sleep(time.Second)
		want(t, "failures logged", w.log.count("cannot read ranks"), 2)
		want(t, "recoveries logged", w.log.count("reading ranks again"), 2)
	})
}

// Members come, go and score at random: no viewer goes back, and when writes
// stop, each has what the store has.
func TestRanksConverge(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%#x", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatching(t)
				rng := rand.New(rand.NewPCG(seed, 0))
				w.submit("m0", 1)
				viewers := map[string]int{}
				shown := map[string]rank{}
				for range 300 {
					member := fmt.Sprint("m", rng.IntN(8))
					switch {
					case rng.IntN(3) > 0:
						w.submit(member, rng.IntN(20)-8)
					case viewers[member] > 0 && rng.IntN(2) > 0:
						w.ranks.unwatch("race", member)
						viewers[member]--
					default:
						got := w.watch(member)
						if got.Rev < shown[member].Rev {
							t.Errorf("%s: rev %d is shown after %d", member, got.Rev, shown[member].Rev)
						}
						viewers[member]++
						shown[member] = got
					}
					time.Sleep(time.Duration(rng.IntN(60)) * ms)
					for _, s := range w.take() {
						if s.Rev < shown[s.Member].Rev {
							t.Errorf("%s: rev %d is sent after %d", s.Member, s.Rev, shown[s.Member].Rev)
						}
						shown[s.Member] = rank{Rank: &s.Rank, Rev: s.Rev}
					}
				}
				time.Sleep(time.Second)
				for _, s := range w.take() {
					shown[s.Member] = rank{Rank: &s.Rank, Rev: s.Rev}
				}
				for member, n := range viewers {
					if n == 0 {
						continue
					}
					page, err := w.store.Lookup(t.Context(), leaderboard.Ref{Board: "race"}, []string{member})
					if err != nil {
						t.Fatal(err)
					}
					got := 0
					if shown[member].Rank != nil {
						got = *shown[member].Rank
					}
					want(t, "rank of "+member, got, page.Entries[0].Rank)
				}
			})
		})
	}
}

// Viewers come and go while standings are being read and sent: none is sent an
// older one after a newer one.
func TestRankViewersDoNotGoBack(t *testing.T) {
	store := storetest.NewModel()
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	submit := func() {
		if _, err := service.Submit(context.Background(), "race", []leaderboard.Submission{{Member: "bob", Score: leaderboard.ScaledDecimal(1, 0)}}); err != nil {
			t.Error(err)
		}
	}
	submit()
	type viewer struct {
		rev  uint64        // that it was sent last
		more chan struct{} // has an element when it was sent something after the first
	}
	var mu sync.Mutex
	viewers := map[*viewer]bool{} // guarded by mu, with what they hold
	send := func(v *viewer, standing []byte) {
		rev := parseRank(t, standing).Rev
		if rev < v.rev {
			t.Errorf("viewer was sent rev %d after %d", rev, v.rev)
		}
		v.rev = rev
	}
	r := newRanks(store, time.Microsecond, 2, func(_, _ string, standing []byte) error {
		time.Sleep(100 * time.Microsecond) // on the way
		mu.Lock()
		defer mu.Unlock()
		for v := range viewers {
			send(v, standing)
			select {
			case v.more <- struct{}{}:
			default:
			}
		}
		return nil
	}, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.run(ctx) })
	running.Go(func() {
		for ctx.Err() == nil {
			submit()
			r.boardChanged("race")
		}
	})
	for i := range 800 {
		v := &viewer{more: make(chan struct{}, 1)}
		err := r.watch(t.Context(), "race", "bob", func(standing []byte) {
			mu.Lock()
			defer mu.Unlock()
			viewers[v] = true
			send(v, standing)
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 > 0 { // the others leave at once, in the middle of whatever is under way
			<-v.more
		}
		mu.Lock()
		delete(viewers, v)
		mu.Unlock()
		r.unwatch("race", "bob")
	}
	cancel()
	running.Wait()
}

func TestRankChannel(t *testing.T) {
	w := newWorld(t, Options{RankInterval: time.Millisecond})
	w.feed()
	const member = `Zoë #1: "the Ace" 🌿`
	w.submit("race", "alice", 10)
	w.submit("race", member, 7)
	w.submit("race", "bob", 3)
	channel := "rank:race#" + member
	p := w.websocket(nil)

	got := p.subscribe(2, channel, "").Subscribe.Publications
	want(t, "publications", len(got), 1)
	if text := string(got[0].Data); strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		t.Errorf("standing is not ASCII: %s", text)
	}
	score, place := json.Number("7"), 2
	want(t, "standing", parseRank(t, got[0].Data), rank{
		Member: member, Score: &score, Rank: &place, Total: 3, Season: 1, Rev: 4,
		Above: &neighbour{"alice", "10", 1}, Below: &neighbour{"bob", "3", 3},
	})

	w.submit("race", member, 5)
	score, place = "12", 1
	want(t, "standing", parseRank(t, p.pushed().Data), rank{
		Member: member, Score: &score, Rank: &place, Total: 3, Season: 1, Rev: 5,
		Below: &neighbour{"alice", "10", 2},
	})
	p.send(`{"id":3,"unsubscribe":{"channel":` + fmt.Sprintf("%q", channel) + `}}`)
	want(t, "answer to unsubscribe", p.next().ID, 3)
	w.node.ranks.mu.Lock()
	defer w.node.ranks.mu.Unlock()
	if b := w.node.ranks.boards["race"]; b != nil && len(b.members) > 0 {
		t.Error("the member is still watched")
	}
}

// The exact form, which the page reads too.
func TestEncodeStanding(t *testing.T) {
	view := leaderboard.View{Board: leaderboard.Board{Decimals: 2}, Season: 1, Rev: 31, Total: 1000}
	self := &leaderboard.Entry{Member: "bob", Score: 950, Rank: 2}
	above := &leaderboard.Entry{Member: "Zoë", Score: 1200, Rank: 1}
	below := &leaderboard.Entry{Member: "<b>", Score: -5, Rank: 3}
	for _, c := range []struct {
		self, above, below *leaderboard.Entry
		want               string
	}{
		{self, above, below, `{"member":"bob","score":9.5,"rank":2,"total":1000,"above":{"name":"Zo\u00eb","score":12,"rank":1},"below":{"name":"\u003cb\u003e","score":-0.05,"rank":3},"season":1,"rev":31}`},
		{self, nil, nil, `{"member":"bob","score":9.5,"rank":2,"total":1000,"above":null,"below":null,"season":1,"rev":31}`},
		{nil, nil, nil, `{"member":"bob","score":null,"rank":null,"total":1000,"above":null,"below":null,"season":1,"rev":31}`},
	} {
		s := encodeStanding(view, "bob", c.self, c.above, c.below)
		want(t, "standing", string(s.json), c.want)
		want(t, "behind what is seen", string(s.json[s.seen:]), `,"rev":31}`)
	}
}

// Near the ends of a board the page is filled up from the other side.
func TestReadStandingAtEnds(t *testing.T) {
	store := storetest.NewModel()
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	for i := range 4 {
		_, err := service.Submit(t.Context(), "race", []leaderboard.Submission{{Member: fmt.Sprint(i), Score: leaderboard.ScaledDecimal(int64(-i), 0)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		s, err := readStanding(t.Context(), store, "race", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		got := parseRank(t, s.json)
		want(t, "rank", *got.Rank, i+1)
		if (got.Above == nil) != (i == 0) || (got.Below == nil) != (i == 3) {
			t.Errorf("rank %d has %v above and %v below", i+1, got.Above, got.Below)
		}
		if got.Above != nil {
			want(t, "above", got.Above.Name, fmt.Sprint(i-1))
		}
		if got.Below != nil {
			want(t, "below", got.Below.Name, fmt.Sprint(i+1))
		}
	}
}
