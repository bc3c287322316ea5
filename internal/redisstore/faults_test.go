package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redisconn"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

func withTimeout(d time.Duration) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Timeout = d }
}

// scoreOf returns a member's score and the rev of the board.
func scoreOf(t *testing.T, s leaderboard.Store, board, member string) (score int64, rev uint64) {
	t.Helper()
	page, err := s.Lookup(t.Context(), leaderboard.Ref{Board: board}, []string{member})
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries[0].Score, page.Rev
}

// state is the name of a board's state in Redis, of a store with one partition.
func state(board string) string { return "laurel.{0}.s." + board }

func onePartition(o *redisstore.Options) { o.Partitions = 1 }

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	proxy := redistest.NewProxy(t, server.Addr())
	s := open(t, server.URLThrough(proxy), onePartition, withTimeout(patience))
	createBoard(t, s, "race")
	mustSubmit(t, s, "race", "ann", 1)

	// lost makes a change whose answer is lost when the board has come to rev.
	lost := func(board string, rev int64, change func() error) {
		t.Helper()
		// A call takes one of up to four connections by chance, and one that is made only now would have no answer to its greeting, and so
		// never get to the call.
		for range 64 {
			if _, err := s.Board(t.Context(), "race"); err != nil {
				t.Fatal(err)
			}
		}
		proxy.LoseAnswers()
		done := make(chan error, 1)
		go func() { done <- change() }()
		eventually(t, "the change is made", func() bool {
			n, err := client.Do(t.Context(), client.B().Hget().Key(state(board)).Field("rev").Build()).AsInt64()
			return err == nil && n == rev
		})
		select {
		case err := <-done:
			t.Fatalf("the change was answered before its answer could come: %v", err)
		default:
		}
		proxy.Heal()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}

	lost("race", 3, func() error {
		outcome, err := submit(t.Context(), s, "race", "ann", 5)
		want := []leaderboard.Result{{
			Member: "ann", Accepted: true, Rev: 3,
			Previous: leaderboard.Standing{Score: 1, Rank: 1}, Current: leaderboard.Standing{Score: 6, Rank: 1},
		}}
		if diff := cmp.Diff(want, outcome.Results); err == nil && diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		return err
	})
	lost("new", 1, func() error {
		_, err := s.CreateBoard(t.Context(), leaderboard.Board{ID: "new"}.WithDefaults())
		return err
	})
	lost("new", 2, func() error { return s.DeleteBoard(t.Context(), "new") })
	if score, rev := scoreOf(t, s, "race", "ann"); score != 6 || rev != 3 {
		t.Errorf("score %d at rev %d, want 6 at rev 3", score, rev)
	}
}

func TestEachScoreCountsOnceThroughAFailingNetwork(t *testing.T) {
	const writers, scores = 24, 150
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	s := open(t, server.URLThrough(proxy), withTimeout(patience))
	ids := numbered("b", 3)
	boards(t, s, ids...)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 0))
		worse := []func(){proxy.Cut, proxy.Silence, proxy.LoseAnswers}
		for ctx.Err() == nil {
			for _, f := range []func(){worse[rng.IntN(len(worse))], proxy.Heal} {
				f()
				select {
				case <-time.After(time.Duration(1+rng.IntN(40)) * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
		proxy.Heal()
	})
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for i := range scores {
				if _, err := submit(t.Context(), s, ids[(w+i)%len(ids)], "all", 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	cancel()
	wg.Wait()
	var total int64
	var revs uint64
	for _, id := range ids {
		score, rev := scoreOf(t, s, id, "all")
		total += score
		revs += rev - 1
	}
	if total != writers*scores || revs != writers*scores {
		t.Errorf("%d scores of 1 were accepted; they add up to %d, in %d changes", writers*scores, total, revs)
	}
}

// allCalls calls each method that asks Redis, but for Changes.
func allCalls(ctx context.Context, s leaderboard.Store) map[string]error {
	ref := leaderboard.Ref{Board: "race"}
	errs := make(map[string]error)
	_, errs["Apply"] = submit(ctx, s, "race", "late", 1)
	_, errs["CreateBoard"] = s.CreateBoard(ctx, leaderboard.Board{ID: "late"}.WithDefaults())
	_, errs["PatchBoard"] = s.PatchBoard(ctx, "race", leaderboard.Patch{})
	errs["DeleteBoard"] = s.DeleteBoard(ctx, "race")
	maps.Copy(errs, reads(ctx, s, ref))
	return errs
}

func reads(ctx context.Context, s leaderboard.Store, ref leaderboard.Ref) map[string]error {
	errs := make(map[string]error)
	_, errs["Board"] = s.Board(ctx, ref.Board)
	_, errs["Boards"] = s.Boards(ctx, "", 10)
	_, errs["Entries"] = s.Entries(ctx, ref, leaderboard.Range{Limit: 10})
	_, errs["Around"] = s.Around(ctx, ref, "ann", 10)
	_, errs["Lookup"] = s.Lookup(ctx, ref, []string{"ann"})
	return errs
}

func TestWhileRedisIsAway(t *testing.T) {
	const timeout = time.Second
	for _, c := range []struct {
		name       string
		begin, end func(*testing.T, *redistest.Server, *redistest.Proxy)
		epoch      bool // a new one begins
	}{
		{
			"stopped",
			func(_ *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Pause() },
			func(_ *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Resume() }, false,
		},
		{
			"dead",
			func(_ *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Kill() },
			func(t *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Restart(t) }, true,
		},
		{
			"cut off",
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Cut() },
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Heal() }, false,
		},
		{
			"silent",
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Silence() },
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Heal() }, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Start(t, redistest.AppendOnly())
			proxy := redistest.NewProxy(t, server.Addr())
			s := open(t, server.URLThrough(proxy), onePartition, withTimeout(timeout))
			createBoard(t, s, "race")
			before := mustSubmit(t, s, "race", "ann", 1).Boards[0]
			at := told(t, s, "", map[string]uint64{"race": 2})
			ack(t, s, at)
			if err := s.Writable(); err != nil {
				t.Fatal(err)
			}

			c.begin(t, server, proxy)
			// What is under way when Redis goes is given up in time, all of it.
			start := time.Now()
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					_, err := submit(t.Context(), s, "race", fmt.Sprint("late-", i), 1)
					if !errors.Is(err, leaderboard.ErrStorageUnavailable) {
						t.Errorf("a submit ends with %v, want storage_unavailable", err)
					}
				})
				if i%10 == 0 {
					wg.Go(func() {
						if _, err := s.Board(t.Context(), "race"); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
							t.Errorf("a read ends with %v, want storage_unavailable", err)
						}
					})
				}
			}
			wg.Wait()
			if took := time.Since(start); took > 2*timeout+time.Second {
				t.Errorf("submits were given up after %v, the timeout is %v", took, timeout)
			}
			if err := s.Writable(); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
				t.Errorf("writable: %v, want storage_unavailable", err)
			}
			start = time.Now()
			for name, err := range allCalls(t.Context(), s) {
				if !errors.Is(err, leaderboard.ErrStorageUnavailable) {
					t.Errorf("%s: %v, want storage_unavailable", name, err)
				}
			}
			if took := time.Since(start); took > timeout {
				t.Errorf("calls took %v though Redis was known to be away", took)
			}

			c.end(t, server, proxy)
			eventually(t, "the store heals by itself", func() bool { return s.Writable() == nil })
			view, err := s.Board(t.Context(), "race")
			if err != nil || view.Rev != 2 || view.Total != 1 {
				t.Fatalf("the board is at rev %d with %d entries, %v; what was given up must not be carried out later", view.Rev, view.Total, err)
			}
			if c.epoch == (view.Epoch == before.Epoch) {
				t.Errorf("epoch = %s, it was %s before", view.Epoch, before.Epoch)
			}
			if c.epoch {
				at = told(t, s, at, map[string]uint64{"race": 2})
			}
			mustSubmit(t, s, "race", "ann", 1)
			told(t, s, at, map[string]uint64{"race": 3})
			if _, err := s.Board(t.Context(), "late"); !errors.Is(err, leaderboard.ErrBoardNotFound) {
				t.Errorf("a board whose creation was given up: %v", err)
			}
		})
	}
}

func TestAStoreThatNobodyAsksNoticesThatRedisIsAway(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), withTimeout(500*time.Millisecond))
	server.Pause()
	eventually(t, "the store is not writable", func() bool { return errors.Is(s.Writable(), leaderboard.ErrStorageUnavailable) })
	server.Resume()
	eventually(t, "the store heals by itself", func() bool { return s.Writable() == nil })
}

func TestClosingWhileRedisIsAwayEnds(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), withTimeout(500*time.Millisecond))
	server.Pause()
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the store does not close")
	}
}

// TestAllBoardsAreToldInANewEpoch without anybody asking for them.
func TestAllBoardsAreToldInANewEpoch(t *testing.T) {
	for _, c := range []struct {
		name  string
		event func(*testing.T, *redistest.Server)
		keeps bool
	}{
		{"restart", func(t *testing.T, s *redistest.Server) { s.Restart(t) }, true},
		{"flush", func(t *testing.T, s *redistest.Server) { ask(t, s.Client(t), "FLUSHALL") }, false},
		{"empty restart", func(t *testing.T, s *redistest.Server) { s.RestartEmpty(t) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Start(t)
			stores := []*redisstore.Store{open(t, server.URL(), named("a")), open(t, server.URL(), named("b"))}
			evenly(t, stores)
			revs := boards(t, stores[1], numbered("b", 300)...)
			toldBy(t, revs, stores...)
			before, err := stores[0].Board(t.Context(), "b0")
			if err != nil {
				t.Fatal(err)
			}
			c.event(t, server)
			if c.keeps {
				toldBy(t, revs, stores...)
			}
			for _, s := range stores {
				after, err := s.Board(t.Context(), "b0")
				if c.keeps && (err != nil || after.Rev != before.Rev || after.Epoch == before.Epoch) {
					t.Errorf("%+v, %v; want what was there before, in another epoch than %s", after, err, before.Epoch)
				}
				if !c.keeps && !errors.Is(err, leaderboard.ErrBoardNotFound) {
					t.Errorf("board: %v, want that it is not there", err)
				}
			}
			if !c.keeps {
				toldBy(t, boards(t, stores[0], "b0", "b1", "b2"), stores...)
				after, err := stores[1].Board(t.Context(), "b0")
				if err != nil || after.Rev != 1 || after.Epoch == before.Epoch {
					t.Errorf("%+v, %v; want a new board in another epoch than %s", after, err, before.Epoch)
				}
			}
		})
	}
}

// waiting is a context that tells when somebody waits for its end.
type waiting struct {
	context.Context
	once  sync.Once
	begun chan struct{}
}

func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.begun) })
	return w.Context.Done()
}

// Who waits for changes while all is lost is told of the first one in the new
// epoch, though the logs of other partitions are shorter than they were.
func TestWhoWaitsIsToldInANewEpoch(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	after := told(t, s, "", boards(t, s, numbered("b", 100)...))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	waits := &waiting{Context: ctx, begun: make(chan struct{})}
	var (
		changes []leaderboard.Change
		err     error
		wg      sync.WaitGroup
	)
	wg.Go(func() { changes, _, err = s.Changes(waits, after, 1) })
	<-waits.begun
	ask(t, server.Client(t), "FLUSHALL")
	boards(t, s, "b0")
	wg.Wait()
	if want := []leaderboard.Change{{Board: "b0", Rev: 1}}; err != nil || !slices.Equal(changes, want) {
		t.Errorf("told was %v, %v; want %v", changes, err, want)
	}
}

func TestScriptsThatWereFlushedAreLoadedAgain(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL())
	createBoard(t, s, "race")
	before := mustSubmit(t, s, "race", "ann", 1).Boards[0]
	ask(t, server.Client(t), "SCRIPT", "FLUSH")
	after := mustSubmit(t, s, "race", "ann", 1).Boards[0]
	if after.Epoch != before.Epoch || after.Rev != before.Rev+1 {
		t.Errorf("after that, the board is at rev %d of epoch %s; it was at %d of %s", after.Rev, after.Epoch, before.Rev, before.Epoch)
	}
}

// written waits until the replicas of a master have all that it has.
func written(t *testing.T, master *redistest.Server) {
	t.Helper()
	config, err := redisconn.Parse(master.URL())
	if err != nil {
		t.Fatal(err)
	}
	options := config.Options()
	options.ForceSingleClient = true
	client, err := rueidis.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	replication := func() string {
		info, err := client.Do(t.Context(), client.B().Info().Section("replication").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	at := number(regexp.MustCompile(`master_repl_offset:(\d+)`).FindStringSubmatch(replication())[1])
	eventually(t, "the replicas have all", func() bool { // of before: nodes go on writing that they live
		return !slices.ContainsFunc(regexp.MustCompile(`slave.*,offset=(\d+),`).FindAllStringSubmatch(replication(), -1), func(replica []string) bool {
			return number(replica[1]) < at
		})
	})
}

func TestAnotherMasterBeginsANewEpoch(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) (url string, failover func())
	}{
		{"Sentinel", func(t *testing.T) (string, func()) {
			set := redistest.StartSentinel(t)
			return set.URL(), func() {
				written(t, set.Master(t))
				set.Failover(t)
			}
		}},
		{"Cluster", func(t *testing.T) (string, func()) {
			set := redistest.StartCluster(t)
			return set.URL(), func() {
				written(t, set.Master(t, "laurel.{0}.meta"))
				set.Failover(t, "laurel.{0}.meta")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, failover := c.start(t)
			stores := []*redisstore.Store{open(t, url, onePartition, withTimeout(patience)), open(t, url, onePartition, withTimeout(patience))}
			revs := boards(t, stores[0], numbered("b", 20)...)
			revs["b0"] = mustSubmit(t, stores[1], "b0", "ann", 5).Boards[0].Rev
			toldBy(t, revs, stores...)
			before, err := stores[0].Board(t.Context(), "b0")
			if err != nil {
				t.Fatal(err)
			}
			failover()
			toldBy(t, revs, stores...)
			for _, s := range stores {
				outcome := mustSubmit(t, s, "b0", "ann", 1)
				if outcome.Boards[0].Epoch == before.Epoch {
					t.Errorf("the epoch is %s as before", before.Epoch)
				}
			}
			if score, rev := scoreOf(t, stores[0], "b0", "ann"); score != 7 || rev != 4 {
				t.Errorf("score %d at rev %d, want 7 at rev 4", score, rev)
			}
		})
	}
}

func TestRedisWithoutMemory(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	a, b := open(t, server.URL(), onePartition, named("a")), open(t, server.URL(), onePartition, named("b"))
	createBoard(t, a, "race")
	createBoard(t, a, "old")
	mustSubmit(t, a, "race", "ann", 1)
	mustSubmit(t, a, "race", "bob", 1)
	before := mustSubmit(t, a, "race", "ann", 1).Boards[0]
	dump := func() string {
		return fmt.Sprint(
			number(t, client, "XLEN", "laurel.{0}.log"), number(t, client, "ZCARD", "laurel.{0}.z.race"), number(t, client, "HLEN", "laurel.{0}.e.race"),
			texts(t, client, "HMGET", state("race"), "rev", "sr", "settings"), texts(t, client, "ZRANGE", "laurel.{0}.z.race", "0", "-1"),
			texts(t, client, "HMGET", "laurel.{0}.e.race", "ann", "bob"),
		)
	}
	whole := dump()

	ask(t, client, "CONFIG", "SET", "maxmemory", "1")
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, leaderboard.ErrStorageUnavailable) || !strings.Contains(err.Error(), "no memory") {
			t.Errorf("%s: %v, want storage_unavailable as there is no memory", what, err)
		}
	}
	_, err := submit(t.Context(), a, "race", "ann", 1)
	refused("a score of a member that is there", err)
	_, err = submit(t.Context(), a, "race", "cem", 1)
	refused("a new member's score", err)
	_, err = a.Apply(t.Context(), leaderboard.Batch{At: time.Now(), Once: "once", Ops: []leaderboard.Op{
		{Board: "race", Member: "ann", Score: leaderboard.ScaledDecimal(0, 0)},
		{Board: "race", Member: "bob", Score: leaderboard.ScaledDecimal(1, 0)},
	}})
	refused("a named batch", err)
	_, err = a.CreateBoard(t.Context(), leaderboard.Board{ID: "more"}.WithDefaults())
	refused("a new board", err)
	refused("Writable", a.Writable())
	if now := dump(); now != whole {
		t.Errorf("what was refused has changed Redis from\n%s\nto\n%s", whole, now)
	}
	for name, err := range reads(t.Context(), a, leaderboard.Ref{Board: "race"}) {
		if err != nil {
			t.Errorf("%s: %v, want that it works", name, err)
		}
	}

	// What was acknowledged before is told, also by another node.
	a.Abandon()
	at := told(t, b, "", map[string]uint64{"race": before.Rev, "old": 1})
	ack(t, b, at)
	if n := number(t, client, "XLEN", "laurel.{0}.log"); n != 0 {
		t.Errorf("%d entries of the log are left after they were acknowledged", n)
	}
	// Who makes room may.
	if err := b.DeleteBoard(t.Context(), "old"); err != nil {
		t.Errorf("delete a board: %v", err)
	}
	if _, err := b.Apply(t.Context(), leaderboard.Batch{At: time.Now(), Ops: []leaderboard.Op{{Board: "race", Kind: leaderboard.Remove, Member: "bob"}}}); err != nil {
		t.Errorf("remove a member: %v", err)
	}
	_, err = submit(t.Context(), b, "race", "ann", 1)
	refused("a score", err)

	// Another server that has no room either can be read too.
	ask(t, client, "CONFIG", "REWRITE")
	server.Restart(t)
	eventually(t, "the board can be read again", func() bool {
		view, err := b.Board(t.Context(), "race")
		return err == nil && view.Epoch != before.Epoch && view.Rev == before.Rev+1
	})
	_, err = submit(t.Context(), b, "race", "ann", 1)
	refused("a score", err)

	ask(t, server.Client(t), "CONFIG", "SET", "maxmemory", "0")
	eventually(t, "the store heals by itself", func() bool { return b.Writable() == nil })
	mustSubmit(t, b, "race", "ann", 1)
	eventuallyTold(t, b, "", map[string]uint64{"race": before.Rev + 2})
}

func TestOpeningSaysWhatIsWrong(t *testing.T) {
	server := redistest.Start(t, redistest.Password("sesame"))
	replica := redistest.Start(t, redistest.Password("sesame"), redistest.Args("--replicaof", strings.ReplaceAll(server.Addr(), ":", " ")))
	open(t, server.URL())
	client := replica.Client(t)
	eventually(t, "the replica has what its master has", func() bool {
		n, err := client.Do(t.Context(), client.B().Exists().Key("laurel.{0}.meta").Build()).AsInt64()
		return err == nil && n == 1
	})
	stored := fmt.Sprint(many)
	for _, c := range []struct {
		name, url string
		change    func(*redisstore.Options)
		want      []string
	}{
		{"no password", "redis://" + server.Addr(), nil, []string{"NOAUTH"}},
		{"wrong password", "redis://:opensesame@" + server.Addr(), nil, []string{"WRONGPASS"}},
		{"replica", replica.URL(), nil, []string{"Redis is a replica"}},
		{"empty replica", replica.URL(), func(o *redisstore.Options) { o.Prefix = "other" }, []string{"replica"}},
		{"nobody there", "redis://127.0.0.1:1", nil, []string{"127.0.0.1:1", "refused"}},
		{"too many partitions", server.URL(), func(o *redisstore.Options) { o.Partitions = redisstore.MaxPartitions + 1 }, []string{"partitions"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			s, err := tryOpen(t, c.url, withTimeout(time.Second), func(o *redisstore.Options) {
				if c.change != nil {
					c.change(o)
				}
			})
			if err == nil {
				_ = s.Close()
				t.Fatal("it opens")
			}
			t.Log(err)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want it to speak of %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("error shows the password: %v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v to say so", took)
			}
		})
	}
	t.Run("another number of partitions", func(t *testing.T) {
		ask(t, server.Client(t), "HSET", "laurel.{0}.meta", "partitions", "23")
		_, err := tryOpen(t, server.URL())
		if err == nil || !strings.Contains(err.Error(), "23") || !strings.Contains(err.Error(), stored) {
			t.Errorf("error = %v, want both numbers, 23 and %s", err, stored)
		}
	})
}

func TestAMasterThatHasBecomeAReplica(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), withTimeout(time.Second))
	createBoard(t, s, "race")
	mustSubmit(t, s, "race", "ann", 1)
	ask(t, client, "REPLICAOF", "127.0.0.1", "1")
	_, err := submit(t.Context(), s, "race", "ann", 1)
	if !errors.Is(err, leaderboard.ErrStorageUnavailable) || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a submit ends with %v, want that Redis is a replica", err)
	}
	ask(t, client, "REPLICAOF", "NO", "ONE")
	eventually(t, "the store heals by itself", func() bool { return s.Writable() == nil })
	mustSubmit(t, s, "race", "ann", 1)
	if score, rev := scoreOf(t, s, "race", "ann"); score != 2 || rev != 3 {
		t.Errorf("score %d at rev %d, want 2 at rev 3", score, rev)
	}
}

func TestAnotherNumberOfPartitionsWhileRunning(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), onePartition)
	createBoard(t, s, "race")
	// Somebody has flushed it and opened another store there.
	config, err := redisconn.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	err = client.Dedicated(func(c rueidis.DedicatedClient) error {
		for _, reply := range c.DoMulti(t.Context(), c.B().Multi().Build(), c.B().Flushall().Build(),
			c.B().Hset().Key("laurel.{0}.meta").FieldValue().FieldValue("partitions", "23").FieldValue("run", "another").
				FieldValue("epoch", "e").FieldValue("n", "0").FieldValue("us", "0").Build(), c.B().Exec().Build()) {
			if err := reply.Error(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range allCalls(t.Context(), s) {
		if name == "Boards" {
			continue
		}
		if !errors.Is(err, leaderboard.ErrStorageUnavailable) || !strings.Contains(err.Error(), "23 partitions, not in 1") {
			t.Errorf("%s: %v, want that %s has 23 partitions", name, err, config)
		}
	}
	if err := s.Writable(); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("writable: %v, want storage_unavailable", err)
	}
}
