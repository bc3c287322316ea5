package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
	"laurel/internal/redisconn"
	"laurel/internal/redisstore"
	"laurel/internal/redistest"
)

const (
	// patience is how long something may take that happens soon, on a machine that has much else to do.
	patience = 30 * time.Second

	// aWhile is a lease that does not end during a test.
	aWhile = 10 * time.Minute

	shortLease = 400 * time.Millisecond
)

// many is as many partitions as there can be, up to more than any test has nodes.
const many = min(7, redisstore.MaxPartitions)

// open opens a store that is closed with the test.
func open(t *testing.T, url string, change ...func(*redisstore.Options)) *redisstore.Store {
	t.Helper()
	s, err := tryOpen(t, url, change...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func tryOpen(t *testing.T, url string, change ...func(*redisstore.Options)) (*redisstore.Store, error) {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	opts := redisstore.Options{
		Redis: config, Lease: shortLease, Partitions: many,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&opts)
	}
	return redisstore.Open(t.Context(), opts)
}

func named(name string) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Node = name }
}

func withLease(d time.Duration) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Lease = d }
}

// eventually waits for what nobody tells.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

func submit(ctx context.Context, s leaderboard.Store, board, member string, score int64) (leaderboard.Outcome, error) {
	return s.Apply(ctx, leaderboard.Batch{
		At:  time.Now(),
		Ops: []leaderboard.Op{{Board: board, Member: member, Score: leaderboard.ScaledDecimal(score, 0)}},
	})
}

func mustSubmit(t *testing.T, s leaderboard.Store, board, member string, score int64) leaderboard.Outcome {
	t.Helper()
	outcome, err := submit(t.Context(), s, board, member, score)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// boards creates boards with these ids, and returns their revs.
func boards(t *testing.T, s leaderboard.Store, ids ...string) map[string]uint64 {
	t.Helper()
	revs := make(map[string]uint64)
	for _, id := range ids {
		createBoard(t, s, id)
		revs[id] = 1
	}
	return revs
}

func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = prefix + strconv.Itoa(i)
	}
	return ids
}

// told reads changes from a cursor on until all of want have been told, and
// returns the cursor behind the last. A change that is none of want, or of
// another rev, fails the test.
func told(t *testing.T, s leaderboard.Store, from leaderboard.Cursor, want map[string]uint64) leaderboard.Cursor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	left := maps.Clone(want)
	for len(left) > 0 {
		changes, next, err := s.Changes(ctx, from, 100)
		if err != nil {
			t.Fatalf("changes after %q: %v; these were not told: %v", from, err, left)
		}
		for _, c := range changes {
			if want[c.Board] != c.Rev {
				t.Fatalf("told %s at rev %d, want rev %d", c.Board, c.Rev, want[c.Board])
			}
			delete(left, c.Board)
		}
		from = next
	}
	return from
}

// nothingTold fails the test if there is a change behind a cursor now.
func nothingTold(t *testing.T, s leaderboard.Store, from leaderboard.Cursor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*shortLease)
	defer cancel()
	if changes, _, err := s.Changes(ctx, from, 100); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("changes = %v, %v; want none", changes, err)
	}
}

func ack(t *testing.T, s leaderboard.Store, through leaderboard.Cursor) {
	t.Helper()
	if err := s.Ack(t.Context(), through); err != nil {
		t.Fatal(err)
	}
}

// ask asks Redis, beside the stores.
func ask(t *testing.T, c rueidis.Client, command ...string) rueidis.RedisMessage {
	t.Helper()
	m, err := c.Do(t.Context(), c.B().Arbitrary(command...).Build()).ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%v: %v", command, err)
	}
	return m
}

func number(t *testing.T, c rueidis.Client, command ...string) int64 {
	t.Helper()
	m := ask(t, c, command...)
	n, err := m.AsInt64()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return n
}

func texts(t *testing.T, c rueidis.Client, command ...string) []string {
	t.Helper()
	m := ask(t, c, command...)
	list, err := m.AsStrSlice()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return list
}

// group is what XINFO GROUPS shows of the log's group.
func group(t *testing.T, c rueidis.Client, partition int) map[string]string {
	t.Helper()
	m := ask(t, c, "XINFO", "GROUPS", fmt.Sprintf("laurel.{%d}.log", partition))
	groups, err := m.ToArray()
	if err != nil || len(groups) != 1 {
		t.Fatalf("XINFO GROUPS: %d groups, %v; want 1", len(groups), err)
	}
	fields, err := groups[0].AsMap()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for name, m := range fields {
		if n, err := m.AsInt64(); err == nil {
			found[name] = strconv.FormatInt(n, 10)
		} else if text, err := m.ToString(); err == nil {
			found[name] = text
		}
	}
	return found
}

// shares fails the test if partitions are owned twice. It returns how many each
// store owns.
func shares(t *testing.T, stores []*redisstore.Store) []int {
	t.Helper()
	var all, counts []int
	for _, s := range stores {
		owned := s.Owned()
		all = append(all, owned...)
		counts = append(counts, len(owned))
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Fatalf("partitions are owned by two nodes at once: %v", all)
	}
	return counts
}

func sum(list []int) (sum int) {
	for _, n := range list {
		sum += n
	}
	return sum
}

// evenly waits until each of the stores has its share of all partitions.
func evenly(t *testing.T, stores []*redisstore.Store) {
	t.Helper()
	var counts []int
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last shares were %v", counts)
		}
	})
	eventually(t, fmt.Sprintf("%d nodes share %d partitions evenly", len(stores), many), func() bool {
		counts = shares(t, stores)
		return sum(counts) == many && slices.Max(counts)-slices.Min(counts) <= 1
	})
}

func TestLeasesAreSpreadEvenlyOverTheNodesThatLive(t *testing.T) {
	server := redistest.Start(t)
	var stores []*redisstore.Store
	join := func() {
		stores = append(stores, open(t, server.URL()))
		evenly(t, stores)
	}
	for range 5 {
		join()
	}
	stores[3].Abandon()
	stores = slices.Delete(stores, 3, 4)
	evenly(t, stores)
	if err := stores[0].Close(); err != nil {
		t.Fatal(err)
	}
	stores = stores[1:]
	evenly(t, stores)
	join()
	for len(stores) > 1 {
		stores[0].Abandon()
		stores = stores[1:]
		evenly(t, stores)
	}
}

func TestClosingGivesLeasesBackAtOnce(t *testing.T) {
	server := redistest.Start(t)
	a := open(t, server.URL(), withLease(aWhile))
	if n := len(a.Owned()); n != many {
		t.Fatalf("a node alone owns %d partitions, want %d", n, many)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b := open(t, server.URL(), withLease(aWhile))
	if n := len(b.Owned()); n != many {
		t.Fatalf("the next node owns %d partitions, want %d", n, many)
	}
	b.Abandon()
	c := open(t, server.URL(), withLease(aWhile))
	if n := len(c.Owned()); n != 0 {
		t.Fatalf("a node owns %d partitions before the leases of a dead one have ended", n)
	}
}

func TestADeadNodesChangesAreToldByAnother(t *testing.T) {
	for _, how := range []string{"dead", "cut off"} {
		t.Run(how, func(t *testing.T) {
			server := redistest.Start(t)
			proxy := redistest.NewProxy(t, server.Addr())
			a := open(t, server.URLThrough(proxy), named("a"))
			evenly(t, []*redisstore.Store{a})
			b := open(t, server.URL(), named("b"), withLease(shortLease))
			revs := boards(t, b, numbered("x", 20)...)
			// Those that a tells before it dies, and acknowledges, are not told again.
			_, first := toldBy(t, revs, a, b)
			mine := map[string]uint64{}
			for id := range revs {
				if slices.Contains(first[a], id) || slices.Contains(first[b], id) {
					mine[id] = mustSubmit(t, b, id, "m", 1).Boards[0].Rev
				}
			}
			switch how {
			case "dead":
				a.Abandon()
			case "cut off":
				proxy.Cut()
			}
			later := boards(t, b, numbered("y", 20)...)
			maps.Copy(later, mine)
			told(t, b, "", later)
			if how == "cut off" {
				if n := len(a.Owned()); n != 0 {
					t.Errorf("the node that was cut off owns %d partitions beside the other", n)
				}
				proxy.Heal()
				evenly(t, []*redisstore.Store{a, b})
			}
		})
	}
}

// toldBy reads from several nodes until all of want have been told, each by
// one of them, and acknowledges it.
func toldBy(t *testing.T, want map[string]uint64, stores ...*redisstore.Store) (cursors []leaderboard.Cursor, by map[*redisstore.Store][]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cursors = make([]leaderboard.Cursor, len(stores))
	by = make(map[*redisstore.Store][]string)
	left := maps.Clone(want)
	for len(left) > 0 {
		for i, s := range stores {
			short, cancel := context.WithTimeout(ctx, shortLease/2)
			changes, next, err := s.Changes(short, cursors[i], 100)
			cancel()
			if ctx.Err() != nil {
				t.Fatalf("these were not told: %v", left)
			}
			if err != nil {
				continue // another one tells
			}
			for _, c := range changes {
				if c.Rev >= want[c.Board] {
					delete(left, c.Board)
				}
				by[s] = append(by[s], c.Board)
			}
			cursors[i] = next
			ack(t, s, next)
		}
	}
	return cursors, by
}

func TestOnlyTheOwnerTells(t *testing.T) {
	server := redistest.Start(t)
	stores := []*redisstore.Store{open(t, server.URL(), withLease(aWhile)), open(t, server.URL(), withLease(aWhile))}
	revs := boards(t, stores[1], numbered("b", 30)...)
	told(t, stores[0], "", revs)
	if owned := stores[1].Owned(); len(owned) != 0 {
		t.Fatalf("the second node owns %v while the first has not looked", owned)
	}
	nothingTold(t, stores[1], "")
}

func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	a, b, c := open(t, server.URL(), named("a")), open(t, server.URL(), named("b")), open(t, server.URL(), named("c"))
	count := func() int64 { return number(t, client, "ZCARD", "laurel.{0}.nodes") }
	if n := count(); n != 3 {
		t.Fatalf("Redis knows %d nodes, want 3", n)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 2 {
		t.Fatalf("Redis knows %d nodes after one has gone, want 2", n)
	}
	b.Abandon()
	eventually(t, "the dead node is forgotten", func() bool { return count() == 1 })
	evenly(t, []*redisstore.Store{c})
}

func TestAcknowledgedChangesAreTrimmed(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL(), func(o *redisstore.Options) { o.Partitions = 1 })
	if g := group(t, client, 0); g["name"] != "laurel" || g["last-delivered-id"] != "0-0" {
		t.Fatalf("the group of a new log is %v, want laurel at 0-0", g)
	}
	boards(t, s, numbered("b", 10)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	length := func() int64 { return number(t, client, "XLEN", "laurel.{0}.log") }
	var cursors []leaderboard.Cursor
	for at := leaderboard.Cursor(""); len(cursors) < 10; {
		changes, next, err := s.Changes(ctx, at, 1)
		if err != nil || len(changes) != 1 {
			t.Fatalf("changes = %v, %v; want one", changes, err)
		}
		at = next
		cursors = append(cursors, next)
	}
	if n := length(); n != 10 {
		t.Fatalf("the log has %d entries, want 10", n)
	}
	ack(t, s, cursors[6])
	if n := length(); n != 3 {
		t.Errorf("the log has %d entries after 7 of 10 were acknowledged, want 3", n)
	}
	at := group(t, client, 0)
	if at["lag"] != "3" {
		t.Errorf("XINFO GROUPS shows %v, want a lag of 3", at)
	}
	ack(t, s, cursors[2])
	ack(t, s, "")
	if now := group(t, client, 0); now["last-delivered-id"] != at["last-delivered-id"] {
		t.Errorf("acknowledging less moves the group back, from %s to %s", at["last-delivered-id"], now["last-delivered-id"])
	}
	ack(t, s, cursors[9])
	if n := length(); n != 0 {
		t.Errorf("the log has %d entries after all were acknowledged", n)
	}
	// Whoever comes next begins there.
	revs := map[string]uint64{"b3": mustSubmit(t, s, "b3", "m", 1).Boards[0].Rev}
	s.Abandon()
	s = open(t, server.URL(), func(o *redisstore.Options) { o.Partitions = 1 })
	told(t, s, "", revs)
}

func TestWhatTheCapHasCutOffIsToldByAllBoards(t *testing.T) {
	for _, limit := range []int{100, 1000} { // a stream is trimmed by blocks of 100
		t.Run(fmt.Sprint("cap of ", limit), func(t *testing.T) {
			server := redistest.Start(t)
			client := server.Client(t)
			capped := func(o *redisstore.Options) { o.Partitions, o.LogCap = 1, limit }
			a := open(t, server.URL(), capped, named("a"), withLease(aWhile))
			revs := boards(t, a, numbered("quiet", 300)...)
			a.Abandon() // nobody tells while this lasts
			b := open(t, server.URL(), capped, named("b"))
			createBoard(t, b, "busy")
			for range 4 * limit {
				revs["busy"] = mustSubmit(t, b, "busy", "m", 1).Boards[0].Rev
			}
			if n := number(t, client, "XLEN", "laurel.{0}.log"); n > int64(limit)+100 {
				t.Fatalf("the log has %d entries, the cap is %d", n, limit)
			}
			ask(t, client, "DEL", "laurel.{0}.lease")
			eventuallyTold(t, b, "", revs)
			eventually(t, "the group is at the end", func() bool { return group(t, client, 0)["lag"] == "0" })
			eventually(t, "that is over", func() bool { return number(t, client, "HEXISTS", "laurel.{0}.meta", "retell") == 0 })
			// It is as it always was.
			told(t, b, "", map[string]uint64{"quiet7": mustSubmit(t, b, "quiet7", "m", 1).Boards[0].Rev})
		})
	}
}

func TestANodeThatReadsTooSlowlyTellsAllBoards(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	capped := func(o *redisstore.Options) { o.Partitions, o.LogCap, o.Lease = 1, 1000, aWhile }
	a := open(t, server.URLThrough(proxy), capped, named("a"))
	b := open(t, server.URL(), capped, named("b"))
	revs := boards(t, b, numbered("quiet", 50)...)
	at := told(t, a, "", revs)
	ack(t, a, at)
	proxy.Silence()
	for id := range revs {
		revs[id] = mustSubmit(t, b, id, "m", 1).Boards[0].Rev
	}
	createBoard(t, b, "busy")
	for range 3000 {
		revs["busy"] = mustSubmit(t, b, "busy", "m", 1).Boards[0].Rev
	}
	proxy.Heal()
	eventuallyTold(t, a, at, revs)
}

// eventuallyTold is told where other changes may be told too. It acknowledges
// what it reads.
func eventuallyTold(t *testing.T, s leaderboard.Store, from leaderboard.Cursor, want map[string]uint64) leaderboard.Cursor {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	left := maps.Clone(want)
	for len(left) > 0 {
		changes, next, err := s.Changes(ctx, from, 100)
		if err != nil {
			t.Fatalf("changes after %q: %v; these were not told: %v", from, err, left)
		}
		for _, c := range changes {
			if c.Rev == want[c.Board] {
				delete(left, c.Board)
			}
		}
		from = next
		ack(t, s, from)
	}
	return from
}

// TestPrefixesShareARedis has stores whose names begin alike, and one of which has
// other partitions.
func TestPrefixesShareARedis(t *testing.T) {
	server := redistest.Start(t)
	stores := map[string]*redisstore.Store{}
	for i, prefix := range []string{"laurel", "laurel2", "laurel.2"} {
		stores[prefix] = open(t, server.URL(), func(o *redisstore.Options) {
			o.Prefix, o.Partitions = prefix, i+1
		})
	}
	want := map[string]map[string]uint64{}
	for i, prefix := range slices.Sorted(maps.Keys(stores)) {
		s := stores[prefix]
		createBoard(t, s, "race")
		want[prefix] = map[string]uint64{"race": mustSubmit(t, s, "race", "ann", int64(i+1)).Boards[0].Rev}
	}
	for i, prefix := range slices.Sorted(maps.Keys(stores)) {
		s := stores[prefix]
		if score, rev := scoreOf(t, s, "race", "ann"); score != int64(i+1) || rev != 2 {
			t.Errorf("%s: score %d at rev %d, want %d at rev 2", prefix, score, rev, i+1)
		}
		eventuallyTold(t, s, "", want[prefix])
	}
	if err := stores["laurel"].DeleteBoard(t.Context(), "race"); err != nil {
		t.Fatal(err)
	}
	if views, err := stores["laurel.2"].Boards(t.Context(), "", 10); err != nil || len(views) != 1 {
		t.Errorf("%d boards, %v, when another store deleted its own", len(views), err)
	}
}
