package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

func prefixed(prefix string) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Prefix = prefix }
}

// apart creates n boards in as many partitions, each with the member m at 1.
func apart(t *testing.T, s *redisstore.Store, n int) []string {
	t.Helper()
	var ids []string
	seen := make(map[int]bool)
	for i := 0; len(ids) < n; i++ {
		id := fmt.Sprintf("board%d", i)
		if seen[s.Partition(id)] {
			continue
		}
		seen[s.Partition(id)] = true
		ids = append(ids, id)
		createBoard(t, s, id)
		mustSubmit(t, s, id, "m", 1)
	}
	return ids
}

// setAll is a batch that sets a member on all boards.
func setAll(ids []string, member string, score int64) leaderboard.Batch {
	batch := leaderboard.Batch{At: time.Now()}
	for _, id := range ids {
		batch.Ops = append(batch.Ops, leaderboard.Op{
			Board: id, Kind: leaderboard.Set, Member: member, Score: leaderboard.ScaledDecimal(score, 0),
		})
	}
	return batch
}

// scoreOf returns a member's score, 0 if it is not on the board.
// left returns what is left in Redis of batches over several partitions under way.
func left(t *testing.T, c rueidis.Client, prefix string) []string {
	t.Helper()
	keys, err := c.Do(t.Context(), c.B().Keys().Pattern(prefix+".{*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(keys, func(key string) bool {
		_, what, _ := strings.Cut(key, "}.")
		if strings.HasPrefix(what, "s.") {
			return number(t, c, "HEXISTS", key, "lock") == 0
		}
		return !strings.HasPrefix(what, "i.") && what != "intents" && what != "decisions"
	})
}

// take takes the first steps of a batch: it is prepared everywhere, carried out everywhere, and forgotten.
func take(t *testing.T, s *redisstore.Steps, steps int) {
	t.Helper()
	parts := s.Parts()
	for i := range steps {
		var err error
		switch {
		case i < parts:
			err = s.Prepare(t.Context(), i)
		case i < 2*parts:
			var carried bool
			if carried, err = s.Finish(t.Context(), i-parts); err == nil && !carried {
				t.Fatalf("part %d was dropped", i-parts)
			}
		default:
			err = s.Forget(t.Context())
		}
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

func TestABatchIsWholeWhereverItsNodeDies(t *testing.T) {
	const parts = 3
	server := redistest.Start(t)
	client := server.Client(t)
	// What somebody else does then. Tenders wake up again only after the test, but for that of "nothing".
	for _, meeting := range []string{"reads", "asks for a member", "writes", "writes all", "changes settings", "does nothing"} {
		for steps := range 2*parts + 2 {
			prefix := fmt.Sprintf("%s%d", strings.ReplaceAll(meeting, " ", ""), steps)
			t.Run(fmt.Sprintf("%d steps, then one %s", steps, meeting), func(t *testing.T) {
				lease := withLease(aWhile)
				if meeting == "does nothing" {
					lease = withLease(shortLease)
				}
				one, err := tryOpen(t, server.URL(), prefixed(prefix), withLease(aWhile))
				if err != nil {
					t.Fatal(err)
				}
				ids := apart(t, one, parts)
				batch := setAll(ids, "m", 2)
				batch.Ops = append(batch.Ops, setAll(ids, "new", 5).Ops...)
				take(t, one.Steps(batch), steps)
				if meeting == "does nothing" {
					// Its leases are free, so that somebody tidies up.
					if err := one.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					one.Abandon()
				}
				two := open(t, server.URL(), prefixed(prefix), lease)

				want, revs := int64(1), uint64(2)
				if steps > parts {
					want, revs = 2, 4
				}
				order := slices.Clone(ids)
				if steps%2 == 0 {
					slices.Reverse(order)
				}
				switch meeting {
				case "asks for a member":
					for _, id := range order {
						_, err := two.Around(t.Context(), leaderboard.Ref{Board: id}, "new", 1)
						if want == 1 && !errors.Is(err, leaderboard.ErrMemberNotFound) || want == 2 && err != nil {
							t.Errorf("new member of %s: %v", id, err)
						}
					}
				case "writes":
					for _, id := range order {
						mustSubmit(t, two, id, "other", 1)
					}
					revs++
				case "writes all":
					if _, err := two.Apply(t.Context(), setAll(order, "other", 1)); err != nil {
						t.Fatal(err)
					}
					revs++
				case "changes settings":
					for _, id := range order {
						style := leaderboard.Competition
						if _, err := two.PatchBoard(t.Context(), id, leaderboard.Patch{RankStyle: &style}); err != nil {
							t.Fatal(err)
						}
					}
					revs++
				case "does nothing":
					eventually(t, "nothing is left", func() bool { return len(left(t, client, prefix)) == 0 })
				}
				for range 2 {
					for _, id := range order {
						page, err := two.Lookup(t.Context(), leaderboard.Ref{Board: id}, []string{"m"})
						if err != nil {
							t.Fatal(err)
						}
						if got := page.Entries[0].Score; got != want || page.Rev != revs {
							t.Errorf("%s has %d at rev %d, want %d at rev %d", id, got, page.Rev, want, revs)
						}
					}
				}
			})
		}
	}
}

func TestALateNodeFindsItsBatchGivenUp(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	one := open(t, server.URL(), withLease(aWhile))
	two := open(t, server.URL(), withLease(aWhile))
	ids := apart(t, one, 3)

	steps := one.Steps(setAll(ids, "m", 2))
	take(t, steps, 2)
	mustSubmit(t, two, ids[1], "other", 1) // waits until it may be given up
	if err := steps.Prepare(t.Context(), 1); !redisstore.GivenUp(err) {
		t.Errorf("preparing again what has ended: %v", err)
	}
	if err := steps.Prepare(t.Context(), 2); err != nil {
		t.Fatal(err) // nobody has been there
	}
	for range 2 {
		if carried, err := steps.Finish(t.Context(), 0); carried || err != nil {
			t.Fatalf("carried out: %v, %v; others have given it up", carried, err)
		}
	}
	for _, id := range ids {
		mustSubmit(t, two, id, "other", 2)
		if got, _ := scoreOf(t, two, id, "m"); got != 1 {
			t.Errorf("%s has %d, want 1", id, got)
		}
	}

	// As late as this, nothing is known of it any more.
	if err := steps.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		_, state := steps.Keys(i)
		if number(t, client, "HEXISTS", state, "lock") != 0 {
			t.Errorf("%s is locked", ids[i])
		}
		if err := steps.Prepare(t.Context(), i); !redisstore.GivenUp(err) {
			t.Errorf("preparing part %d: %v", i, err)
		}
		if carried, err := steps.Finish(t.Context(), i); carried || err != nil {
			t.Errorf("part %d was carried out: %v, %v", i, carried, err)
		}
	}
}

func TestFinishingAgainIsHarmless(t *testing.T) {
	server := redistest.Start(t)
	one := open(t, server.URL(), withLease(aWhile))
	ids := apart(t, one, 3)
	steps := one.Steps(setAll(ids, "m", 2))
	take(t, steps, 6)
	again := func() {
		t.Helper()
		for i := range ids {
			if err := steps.Prepare(t.Context(), i); !redisstore.GivenUp(err) {
				t.Errorf("preparing part %d again: %v", i, err)
			}
			if carried, err := steps.Finish(t.Context(), i); !carried || err != nil {
				t.Errorf("finishing part %d again: carried out %v, %v", i, carried, err)
			}
		}
	}
	again()
	if err := steps.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	again()
	for _, id := range ids {
		if view, err := one.Board(t.Context(), id); err != nil || view.Rev != 3 {
			t.Errorf("%s has rev %d, want 3; %v", id, view.Rev, err)
		}
	}
}

func TestBatchesOfManyNodesAreWhole(t *testing.T) {
	const (
		rounds  = 60
		writers = 3 // of each node
		dying   = 5 // batches that are left where they are
	)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	server := redistest.Start(t)
	stores := []*redisstore.Store{open(t, server.URL()), open(t, server.URL())}
	ids := apart(t, stores[0], 4)

	ctx, cancel := context.WithCancel(t.Context())
	var writing, reading sync.WaitGroup
	var members []string
	for n, s := range stores {
		for w := range writers {
			member := fmt.Sprintf("node%d-%d", n, w)
			members = append(members, member)
			random := rand.New(rand.NewPCG(seed, uint64(n*writers+w)))
			writing.Go(func() {
				for round := range int64(rounds) {
					some := shuffled(random, ids)
					batch := setAll(some, member, round+1)
					if random.IntN(2) == 0 {
						// The boards of other batches are some of these, or one.
						batch.Ops = append(batch.Ops, setAll(some[:1+random.IntN(3)], "all", round).Ops...)
					}
					if _, err := s.Apply(ctx, batch); err != nil {
						t.Errorf("%s: %v", member, err)
						return
					}
					if _, err := s.Apply(ctx, setAll(some[:1+random.IntN(2)], "few", round)); err != nil {
						t.Errorf("%s: %v", member, err)
						return
					}
				}
			})
		}
	}
	members = append(members, "dying")
	random := rand.New(rand.NewPCG(seed, 99))
	writing.Go(func() {
		for round := range int64(dying) {
			steps := stores[0].Steps(setAll(shuffled(random, ids), "dying", round+1))
			for i := range 1 + random.IntN(2*len(ids)) {
				// What others have locked, or given up, is left as it is.
				if i < len(ids) && steps.Prepare(ctx, i) != nil {
					break
				}
				if i >= len(ids) {
					if carried, err := steps.Finish(ctx, i-len(ids)); err != nil || !carried {
						break
					}
				}
			}
			_, err := submit(ctx, stores[1], ids[0], "between", round) // until it has been met
			if err != nil {
				t.Error(err)
			}
		}
	})
	var reads int
	for n, s := range stores {
		random := rand.New(rand.NewPCG(seed, uint64(1000+n)))
		reading.Go(func() {
			for ctx.Err() == nil {
				// What was seen on one board must be seen on all others afterwards.
				seen := make([]int64, len(members))
				for _, id := range shuffled(random, ids) {
					page, err := s.Lookup(ctx, leaderboard.Ref{Board: id}, members)
					if ctx.Err() != nil {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					for i, e := range page.Entries {
						if e.Score < seen[i] {
							t.Errorf("%s has batch %d of %s, another board had %d before", id, e.Score, e.Member, seen[i])
						}
						seen[i] = max(seen[i], e.Score)
					}
				}
				if n == 0 {
					reads++
				}
			}
		})
	}
	writing.Wait()
	cancel()
	reading.Wait()
	if reads == 0 {
		t.Error("nothing was read meanwhile")
	}
	for _, id := range ids {
		for _, member := range members[:len(members)-1] {
			if got, _ := scoreOf(t, stores[1], id, member); got != rounds {
				t.Errorf("%s has %d for %s, want %d", id, got, member, rounds)
			}
		}
	}
	client := server.Client(t)
	eventually(t, "nothing is left", func() bool { return len(left(t, client, "laurel")) == 0 })
}

func shuffled(random *rand.Rand, ids []string) []string {
	ids = slices.Clone(ids)
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

func TestANamedBatchOverSeveralPartitionsIsCarriedOutOnce(t *testing.T) {
	const names = 15
	server := redistest.Start(t)
	stores := []*redisstore.Store{open(t, server.URL()), open(t, server.URL())}
	ids := apart(t, stores[0], 3)
	for name := range names {
		batch := setAll(ids, "m", int64(name+10))
		batch.Once = fmt.Sprint("name ", name)
		outcomes := make([]leaderboard.Outcome, 4)
		var wg sync.WaitGroup
		for i := range outcomes {
			wg.Go(func() {
				batch := batch
				if i >= 2 {
					batch.Ops = batch.Ops[:1] // of the same name, in one partition
				}
				var err error
				if outcomes[i], err = stores[i%2].Apply(t.Context(), batch); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		carried := slices.DeleteFunc(outcomes, func(o leaderboard.Outcome) bool { return o.Repeated })
		if len(carried) != 1 {
			t.Fatalf("carried out %d times", len(carried))
		}
		want := int64(name + 10)
		if len(carried[0].Results) == 1 {
			batch.Once = "" // the one of one board came first
			if _, err := stores[0].Apply(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range ids {
			if got, _ := scoreOf(t, stores[1], id, "m"); got != want {
				t.Errorf("%s has %d, want %d", id, got, want)
			}
		}
	}
}

func TestABatchThatFailsLocksNothing(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), withLease(aWhile))
	ids := apart(t, s, 4)
	for bad := range ids {
		batch := setAll(ids, "m", 2)
		for i := bad; i < len(ids); i += 2 {
			batch.Ops[i].Kind, batch.Ops[i].Member = leaderboard.Remove, "nobody"
		}
		_, err := s.Apply(t.Context(), batch)
		failed, ok := errors.AsType[*leaderboard.BatchError](err)
		if !ok || failed.Index != bad || failed.Op.Board != ids[bad] || !errors.Is(err, leaderboard.ErrMemberNotFound) {
			t.Errorf("error = %v, want that operation %d failed", err, bad)
		}
		if keys := left(t, client, "laurel"); len(keys) > 0 {
			t.Errorf("left behind: %q", keys)
		}
	}
	for _, id := range ids {
		if got, _ := scoreOf(t, s, id, "m"); got != 1 {
			t.Errorf("%s has %d, want 1", id, got)
		}
	}
}

func TestWhoDoesNotWaitForALockLeavesNothing(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), withLease(aWhile))
	ids := apart(t, s, 3)
	steps := s.Steps(setAll(ids[1:], "m", 2))
	take(t, steps, 2)
	for _, batch := range []leaderboard.Batch{setAll(ids, "m", 3), setAll(ids[1:2], "m", 3)} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := s.Apply(ctx, batch); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("batch on locked boards: %v", err)
		}
		cancel()
	}
	for i := range 2 {
		if carried, err := steps.Finish(t.Context(), i); err != nil || !carried {
			t.Fatalf("part %d was carried out: %v, %v", i, carried, err)
		}
	}
	if err := steps.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left", func() bool { return len(left(t, client, "laurel")) == 0 })
	if got, _ := scoreOf(t, s, ids[0], "m"); got != 1 {
		t.Errorf("%s has %d, want 1", ids[0], got)
	}
}

func TestWhatRedisLosesLocksNothing(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	one := open(t, server.URL(), withLease(aWhile))
	two := open(t, server.URL(), withLease(aWhile))
	ids := apart(t, one, 3)

	// The partition where it is to be decided loses it.
	steps := one.Steps(setAll(ids, "m", 2))
	take(t, steps, 3)
	intent, state := steps.Keys(0)
	ask(t, client, "DEL", fmt.Sprintf("laurel.{%d}.decisions", steps.Home()), fmt.Sprintf("laurel.{%d}.intents", steps.Home()), intent)
	ask(t, client, "HDEL", state, "lock")
	for i, id := range ids {
		mustSubmit(t, two, id, "other", 1)
		if got, _ := scoreOf(t, two, id, "m"); got != 1 {
			t.Errorf("%s has %d, want 1", id, got)
		}
		if carried, err := steps.Finish(t.Context(), i); i == 0 && (err != nil || carried) {
			t.Errorf("decided though it was lost: %v, %v", carried, err)
		}
	}

	// Another one loses its part.
	steps = one.Steps(setAll(ids, "m", 3))
	take(t, steps, 4)
	intent, state = steps.Keys(1)
	ask(t, client, "DEL", intent)
	ask(t, client, "HDEL", state, "lock")
	if _, err := steps.Finish(t.Context(), 1); !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("finishing what was lost: %v", err)
	}
	for i, want := range []int64{3, 1, 3} {
		mustSubmit(t, two, ids[i], "other", 2)
		if got, _ := scoreOf(t, two, ids[i], "m"); got != want {
			t.Errorf("%s has %d, want %d", ids[i], got, want)
		}
	}
}
