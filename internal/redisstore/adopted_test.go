package redisstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
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

// notifying has Redis notify of what the store wants to know.
var notifying = redistest.Args("--notify-keyspace-events", "Kzgx")

// byNotification has the store not look by itself for as long as a test takes.
func byNotification(o *redisstore.Options) { o.Poll = time.Hour }

func adopt(t *testing.T, s *redisstore.Store, b leaderboard.Board) leaderboard.View {
	t.Helper()
	b.CreatedAt = time.UnixMilli(1).UTC()
	view, err := s.CreateBoard(t.Context(), b.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// do has another program do something to Redis.
func do(t *testing.T, c rueidis.Client, command ...string) {
	t.Helper()
	if err := c.Do(t.Context(), c.B().Arbitrary(command[0]).Keys(command[1]).Args(command[2:]...).Build()).Error(); err != nil {
		t.Fatalf("%q: %v", command, err)
	}
}

func entriesOf(t *testing.T, s *redisstore.Store, board string, r leaderboard.Range) leaderboard.Page {
	t.Helper()
	page, err := s.Entries(t.Context(), leaderboard.Ref{Board: board}, r)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// text is a page as "member=score#rank …".
func text(entries []leaderboard.Entry) string {
	var rows []string
	for _, e := range entries {
		rows = append(rows, fmt.Sprintf("%s=%d#%d", e.Member, e.Score, e.Rank))
	}
	return strings.Join(rows, " ")
}

// TestAdoptedBoardStandsAsRedisOrdersIt compares every read with what Redis itself
// says, for scores many of which are equal, or only shown as equal.
func TestAdoptedBoardStandsAsRedisOrdersIt(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	const members = 60
	for _, decimals := range []int{0, 2} {
		key := "scores:" + strconv.Itoa(decimals)
		for i := range members {
			score := float64(rng.IntN(13)-6) / 4 / math.Pow10(decimals)
			if i%9 == 0 {
				score = math.Nextafter(score, 1)
			}
			do(t, client, "ZADD", key, strconv.FormatFloat(score, 'g', -1, 64), "m"+strconv.Itoa(i))
		}
		for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
			for _, style := range []leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition} {
				id := fmt.Sprintf("b-%d-%s-%s", decimals, order, style)
				view := adopt(t, s, leaderboard.Board{ID: id, Order: order, RankStyle: style, Decimals: decimals, ZSet: key})
				if view.Total != members {
					t.Errorf("%s: %d members when it is made, want %d", id, view.Total, members)
				}
				want := asRedisHasIt(t, client, key, order, style, decimals)

				for _, r := range []leaderboard.Range{{Limit: 1000}, {Offset: 7, Limit: 5}, {Offset: members - 2, Limit: 5}, {Offset: members, Limit: 5}, {Offset: 1 << 40, Limit: 5}} {
					from := min(r.Offset, members)
					through := min(from+r.Limit, members)
					page := entriesOf(t, s, id, r)
					if diff := cmp.Diff(want[from:through], page.Entries); diff != "" {
						t.Fatalf("%s, %+v (-Redis +store):\n%s", id, r, diff)
					}
					if page.Total != members || page.More != (through < members) {
						t.Errorf("%s, %+v: total %d, more %t", id, r, page.Total, page.More)
					}
				}

				var paged []leaderboard.Entry
				r := leaderboard.Range{Limit: 7}
				for {
					page := entriesOf(t, s, id, r)
					paged = append(paged, page.Entries...)
					if !page.More {
						break
					}
					r.After = new(page.Entries[len(page.Entries)-1].Position())
				}
				if diff := cmp.Diff(want, paged); diff != "" {
					t.Fatalf("%s page by page (-Redis +store):\n%s", id, diff)
				}

				var names []string
				for i, e := range want {
					names = append(names, e.Member)
					around, err := s.Around(t.Context(), leaderboard.Ref{Board: id}, e.Member, 4)
					if err != nil {
						t.Fatal(err)
					}
					from := max(0, min(i-2, members-4))
					if diff := cmp.Diff(want[from:from+4], around.Entries); diff != "" {
						t.Fatalf("%s around %s (-Redis +store):\n%s", id, e.Member, diff)
					}
				}
				found, err := s.Lookup(t.Context(), leaderboard.Ref{Board: id}, append(names, "nobody"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(append(want, leaderboard.Entry{Member: "nobody"}), found.Entries); diff != "" {
					t.Fatalf("%s looked up (-Redis +store):\n%s", id, diff)
				}
				for scaled := int64(-8 * 25); scaled <= 8*25; scaled += 5 {
					above := 0
					for _, e := range want {
						if e.Score == scaled || view.Board.Better(e.Score, scaled) {
							above++
						}
					}
					from := max(0, min(above-2, members-4))
					page := entriesOf(t, s, id, leaderboard.Range{Around: new(leaderboard.ScaledDecimal(scaled, decimals)), Limit: 4})
					if diff := cmp.Diff(want[from:from+4], page.Entries); diff != "" {
						t.Fatalf("%s around the scaled score %d (-Redis +store):\n%s", id, scaled, diff)
					}
				}
				third := entriesOf(t, s, id, leaderboard.Range{Percent: new(leaderboard.ScaledDecimal(33333333, 6)), Limit: 1000})
				if diff := cmp.Diff(want[:20], third.Entries); diff != "" || third.More {
					t.Fatalf("%s, the first third, more %t (-Redis +store):\n%s", id, third.More, diff)
				}

				pages, _, err := s.Member(t.Context(), "m7", "", leaderboard.MaxLimit)
				if err != nil {
					t.Fatal(err)
				}
				at := slices.IndexFunc(pages, func(p leaderboard.Page) bool { return p.Board.ID == id })
				seventh := slices.IndexFunc(want, func(e leaderboard.Entry) bool { return e.Member == "m7" })
				if at < 0 || pages[at].Total != members {
					t.Fatalf("m7 is on %+v, and not on %s of %d members", pages, id, members)
				}
				if diff := cmp.Diff(want[seventh:seventh+1], pages[at].Entries); diff != "" {
					t.Fatalf("m7 on %s (-Redis +store):\n%s", id, diff)
				}

				rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
				service := leaderboard.NewService(s, leaderboard.ServiceOptions{})
				selected, err := service.Select(t.Context(), leaderboard.Ref{Board: id}, names)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, selected.Entries); diff != "" {
					t.Fatalf("%s side by side (-Redis +store):\n%s", id, diff)
				}
				if _, err := s.Around(t.Context(), leaderboard.Ref{Board: id}, "nobody", 4); leaderboard.CodeOf(err) != leaderboard.CodeMemberNotFound {
					t.Errorf("around nobody: %v", err)
				}
			}
		}
	}
}

// asRedisHasIt is a whole ZSET as Redis itself orders it.
func asRedisHasIt(t *testing.T, c rueidis.Client, key string, order leaderboard.Order, style leaderboard.RankStyle, decimals int) []leaderboard.Entry {
	t.Helper()
	cmd := c.B().Zrange().Key(key).Min("0").Max("-1").Withscores().Build()
	if order == leaderboard.Descending {
		cmd = c.B().Zrange().Key(key).Min("0").Max("-1").Rev().Withscores().Build()
	}
	rows, err := c.Do(t.Context(), cmd).AsZScores()
	if err != nil {
		t.Fatal(err)
	}
	var want []leaderboard.Entry
	for i, row := range rows {
		e := leaderboard.Entry{Member: row.Member, Score: int64(math.RoundToEven(row.Score * math.Pow10(decimals))), Rank: i + 1, Seq: 1}
		if i > 0 && want[i-1].Score == e.Score {
			e.Seq = want[i-1].Seq + 1
			if style == leaderboard.Competition {
				e.Rank = want[i-1].Rank
			}
		}
		want = append(want, e)
	}
	return want
}

func TestAdoptedScoresAreShownWithinTheLimits(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL())
	for i, score := range []string{"-inf", "-9007199254740993", "-9007199254740991", "-9007199254740990", "-0.5", "0.5", "1.5", "2.5", "9007199254740990", "9007199254740991", "1e300", "inf"} {
		do(t, client, "ZADD", "wide", score, string(rune('a'+i)))
	}
	adopt(t, s, leaderboard.Board{ID: "wide", ZSet: "wide", RankStyle: leaderboard.Competition})
	const high = "l=9007199254740991#1 k=9007199254740991#1 j=9007199254740991#1 i=9007199254740990#4 h=2#5 g=2#5 f=0#7 e=0#7 " +
		"d=-9007199254740990#9 c=-9007199254740991#10 b=-9007199254740991#10 a=-9007199254740991#10"
	if got := text(entriesOf(t, s, "wide", leaderboard.Range{Limit: 20}).Entries); got != high {
		t.Errorf("board\n%s\nwant\n%s", got, high)
	}
	for i, want := range strings.Fields(high) {
		if got := text(entriesOf(t, s, "wide", leaderboard.Range{Offset: i, Limit: 1}).Entries); got != want {
			t.Errorf("the page of entry %d is %s, want %s", i, got, want)
		}
	}
	adopt(t, s, leaderboard.Board{ID: "fine", ZSet: "wide", Decimals: 6, Order: leaderboard.Ascending, RankStyle: leaderboard.Competition})
	const fine = "a=-999999999999999#1 b=-999999999999999#1 c=-999999999999999#1 d=-999999999999999#1 e=-500000#5 f=500000#6 g=1500000#7 h=2500000#8 " +
		"i=999999999999999#9 j=999999999999999#9 k=999999999999999#9 l=999999999999999#9"
	if got := text(entriesOf(t, s, "fine", leaderboard.Range{Limit: 20}).Entries); got != fine {
		t.Errorf("board\n%s\nwant\n%s", got, fine)
	}
}

func TestAdoptedMembersThatLaurelWouldNotTakeAreShownApart(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL())
	names := []string{"", "a\xff", "a\xfe", "tab\t", strings.Repeat("x", 200), strings.Repeat("x", 201), strings.Repeat("é", 100), "fine"}
	for i, name := range names {
		do(t, client, "ZADD", "names", strconv.Itoa(len(names)-i), name)
	}
	adopt(t, s, leaderboard.Board{ID: "names", ZSet: "names"})
	page := entriesOf(t, s, "names", leaderboard.Range{Limit: 20})
	seen := make(map[string]bool)
	for i, e := range page.Entries {
		if err := leaderboard.ValidateMember(e.Member); err != nil {
			t.Errorf("%q is shown as what is no member: %v", names[i], err)
		}
		if seen[e.Member] {
			t.Errorf("two are shown as %q", e.Member)
		}
		seen[e.Member] = true
	}
	if len(seen) != len(names) || !seen["fine"] || !strings.HasPrefix(page.Entries[1].Member, "a\ufffd~") {
		t.Errorf("members %v", page.Entries)
	}
}

func TestAdoptedBoardIsReadOnly(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	s := open(t, server.URL())
	other := open(t, server.URL()) // it knows nothing of the board when it is first asked to write
	do(t, client, "ZADD", "scores", "5", "alice")
	adopt(t, s, leaderboard.Board{ID: "old", ZSet: "scores"})
	ids := numbered("own", many) // in several partitions
	boards(t, s, ids...)
	for _, store := range []*redisstore.Store{other, s} {
		for _, kind := range []leaderboard.Kind{leaderboard.Submit, leaderboard.Set, leaderboard.Remove} {
			ops := []leaderboard.Op{{Board: "old", Member: "alice", Kind: kind}}
			if _, err := store.Apply(t.Context(), leaderboard.Batch{Ops: ops}); leaderboard.CodeOf(err) != leaderboard.CodeReadOnly {
				t.Errorf("kind %d: %v, want the code %s", kind, err, leaderboard.CodeReadOnly)
			}
			for _, id := range ids {
				ops = append([]leaderboard.Op{{Board: id, Member: "bob"}}, ops...)
			}
			if _, err := store.Apply(t.Context(), leaderboard.Batch{Ops: ops}); leaderboard.CodeOf(err) != leaderboard.CodeReadOnly {
				t.Errorf("kind %d among others: %v, want the code %s", kind, err, leaderboard.CodeReadOnly)
			}
		}
	}
	for _, id := range ids {
		if view, err := s.Board(t.Context(), id); err != nil || view.Total != 0 || view.Rev != 1 {
			t.Errorf("%s after batches that were refused: %+v, %v", id, view, err)
		}
	}
	top := 7
	if view, err := s.PatchBoard(t.Context(), "old", leaderboard.Patch{Top: &top}); err != nil || view.Board.Top != 7 || view.Total != 1 {
		t.Errorf("patched: %+v, %v", view, err)
	}
	if err := s.DeleteBoard(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Do(t.Context(), client.B().Zcard().Key("scores").Build()).AsInt64(); n != 1 || err != nil {
		t.Errorf("when its board is deleted, the ZSET has %d members, %v", n, err)
	}
	boards(t, s, "old")
	if page := entriesOf(t, other, "old", leaderboard.Range{Limit: 5}); len(page.Entries) != 0 || page.Board.ZSet != "" {
		t.Errorf("a board of the same id has %v", page)
	}
	mustSubmit(t, other, "old", "bob", 3)
}

func TestAdoptedKeyMustBeAZSet(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	var log syncBuffer
	s := open(t, server.URL(), func(o *redisstore.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	do(t, client, "RPUSH", "queue", "job")
	for _, key := range []string{"queue", "laurel.{0}.boards"} {
		_, err := s.CreateBoard(t.Context(), leaderboard.Board{ID: "wrong", ZSet: key}.WithDefaults())
		if leaderboard.CodeOf(err) != leaderboard.CodeInvalidBoard || !strings.Contains(err.Error(), strconv.Quote(key)) {
			t.Errorf("a board over %s: %v", key, err)
		}
	}
	if view := adopt(t, s, leaderboard.Board{ID: "later", ZSet: "later"}); view.Total != 0 {
		t.Errorf("a board over a key that does not exist has %d members", view.Total)
	}
	w := watch(t, s, "later")
	do(t, client, "ZADD", "later", "1", "alice")
	w.until("alice=1#1")
	do(t, client, "SET", "later", "text")
	w.until("")
	eventually(t, "the log says why the board is empty", func() bool { return strings.Contains(log.String(), "not a zset") })
	if found, err := s.Lookup(t.Context(), leaderboard.Ref{Board: "later"}, []string{"alice"}); err != nil || found.Entries[0].Rank != 0 {
		t.Errorf("looked up in a text: %+v, %v", found, err)
	}
	if _, err := s.Around(t.Context(), leaderboard.Ref{Board: "later"}, "alice", 3); leaderboard.CodeOf(err) != leaderboard.CodeMemberNotFound {
		t.Errorf("around in a text: %v", err)
	}
	if view, err := s.Board(t.Context(), "later"); err != nil || view.Total != 0 {
		t.Errorf("%+v, %v", view, err)
	}
	do(t, client, "DEL", "later")
	do(t, client, "ZADD", "later", "2", "bob")
	w.until("bob=2#1")
	if n := strings.Count(log.String(), "CONFIG SET notify-keyspace-events Kzgx"); n != 1 {
		t.Errorf("%d times it was said how to be notified, want once", n)
	}
}

// syncBuffer is what a log writes to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// watcher reads a board when, and only when, it is told that it has changed.
type watcher struct {
	t      *testing.T
	store  *redisstore.Store
	board  string
	cursor leaderboard.Cursor
	rev    uint64
	seen   func() // called when until has seen what it waited for
}

func watch(t *testing.T, s *redisstore.Store, board string) *watcher {
	t.Helper()
	return &watcher{t: t, store: s, board: board, seen: func() {}}
}

// until waits until the first three entries are those.
func (w *watcher) until(want string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	got := "nothing"
	for {
		changes, cursor, err := w.store.Changes(ctx, w.cursor, 100)
		if err != nil {
			w.t.Fatalf("waited for %q, the last was %q: %v", want, got, err)
		}
		w.cursor = cursor
		for _, c := range changes {
			if c.Board != w.board {
				continue
			}
			page := entriesOf(w.t, w.store, w.board, leaderboard.Range{Limit: 3})
			if c.Rev < w.rev || page.Rev < c.Rev { // it may be told again
				w.t.Fatalf("told rev %d after %d, read at %d", c.Rev, w.rev, page.Rev)
			}
			w.rev = c.Rev
			if got = text(page.Entries); got == want {
				w.seen()
				return
			}
		}
	}
}

// changeInEveryWay does to a ZSET whatever can be done to one, and has each told.
func changeInEveryWay(t *testing.T, w *watcher, client rueidis.Client, key string) {
	t.Helper()
	do(t, client, "ZADD", key, "10", "alice", "20", "bob")
	w.until("bob=20#1 alice=10#2")
	do(t, client, "ZINCRBY", key, "15", "alice")
	w.until("alice=25#1 bob=20#2")
	do(t, client, "ZREM", key, "alice")
	w.until("bob=20#1")
	do(t, client, "DEL", key)
	w.until("")
	do(t, client, "ZADD", key+"2", "1", "carol")
	do(t, client, "RENAME", key+"2", key)
	w.until("carol=1#1")
	do(t, client, "RENAME", key, key+"2")
	w.until("")
	do(t, client, "RENAME", key+"2", key)
	w.until("carol=1#1")
	do(t, client, "PEXPIRE", key, "100")
	w.until("")
}

// TestAdoptedBoardIsLiveByNotification is in another database than the first,
// which Redis names in what it notifies of.
func TestAdoptedBoardIsLiveByNotification(t *testing.T) {
	server := redistest.Start(t, notifying)
	config, err := redisconn.Parse(server.URL() + "/3")
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(config.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	do(t, server.Client(t), "ZADD", "scores", "99", "of another database")
	s := open(t, server.URL()+"/3", byNotification)
	adopt(t, s, leaderboard.Board{ID: "old", ZSet: "scores"})
	changeInEveryWay(t, watch(t, s, "old"), client, "scores")
}

// TestAdoptedBoardNeedsFewRights has a user who may no more than docs/redis.md
// says, first without what notifications need.
func TestAdoptedBoardNeedsFewRights(t *testing.T) {
	server := redistest.Start(t, notifying)
	client := server.Client(t)
	user := []string{"ACL", "SETUSER", "laurel", "on", ">secret", "~laurel.*", "&laurel.*", "+@all", "-@admin", "-@dangerous", "+info", "%R~scores"}
	do(t, client, user...)
	var log syncBuffer
	s := open(t, strings.Replace(server.URL(), "redis://", "redis://laurel:secret@", 1), func(o *redisstore.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Poll = 50 * time.Millisecond
	})
	adopt(t, s, leaderboard.Board{ID: "old", ZSet: "scores"})
	w := watch(t, s, "old")
	do(t, client, "ZADD", "scores", "1", "alice")
	w.until("alice=1#1")

	do(t, client, append(user, "&__keyspace@0__:scores")...)
	eventually(t, "the log says that nothing is known of notifications", func() bool { return strings.Contains(log.String(), "does not say whether") })
	do(t, client, append(user, "&__keyspace@0__:scores", "+config|get")...)
	eventually(t, "the log says that Redis notifies", func() bool { return strings.Contains(log.String(), "are notified of") })
	do(t, client, "ZADD", "scores", "2", "alice")
	w.until("alice=2#1")
}

// timesCalled returns how often Redis has carried out a command.
func timesCalled(t *testing.T, client rueidis.Client, command string) int {
	t.Helper()
	stats, err := client.Do(t.Context(), client.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`cmdstat_` + command + `:calls=(\d+)`).FindStringSubmatch(stats)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAdoptedBoardIsLiveByLooking(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server.URL(), func(o *redisstore.Options) { o.Poll = 20 * time.Millisecond })
	adopt(t, s, leaderboard.Board{ID: "old", ZSet: "scores"})
	client := server.Client(t)
	w := watch(t, s, "old")
	// A watcher may be told of one change and see the next one already. If that were undone before the store has looked, there would be
	// nothing to tell.
	w.seen = func() {
		before := timesCalled(t, client, "type")
		eventually(t, "the store has looked again", func() bool { return timesCalled(t, client, "type") > before })
	}
	changeInEveryWay(t, w, client, "scores")
}

// TestAdoptedBoardIsTouchedByOneNode has a node take over from one that died, and
// tell what happened meanwhile.
func TestAdoptedBoardIsTouchedByOneNode(t *testing.T) {
	server := redistest.Start(t, notifying)
	client := server.Client(t)
	dying := open(t, server.URL(), byNotification, named("dying"))
	adopt(t, dying, leaderboard.Board{ID: "old", ZSet: "scores"})
	do(t, client, "ZADD", "scores", "1", "alice")
	watch(t, dying, "old").until("alice=1#1")
	dying.Abandon()
	do(t, client, "ZADD", "scores", "2", "bob")
	next := open(t, server.URL(), byNotification, named("next"))
	w := watch(t, next, "old")
	w.until("bob=2#1 alice=1#2")

	// A third node, which has no lease, leaves the board alone.
	third := open(t, server.URL(), byNotification, named("third"), withLease(aWhile))
	before, err := third.Board(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	do(t, client, "ZADD", "scores", "3", "carol")
	w.until("carol=3#1 bob=2#2 alice=1#3")
	if w.rev > before.Rev+2 {
		t.Errorf("rev went from %d to %d for one change", before.Rev, w.rev)
	}
}

// TestAdoptedBoardNoticesARestart has Redis change while nobody listens.
func TestAdoptedBoardNoticesARestart(t *testing.T) {
	server := redistest.Start(t, notifying, redistest.AppendOnly())
	client := server.Client(t)
	s := open(t, server.URL(), byNotification)
	adopt(t, s, leaderboard.Board{ID: "old", ZSet: "scores"})
	w := watch(t, s, "old")
	do(t, client, "ZADD", "scores", "1", "alice")
	w.until("alice=1#1")
	server.Restart(t)
	client = server.Client(t)
	do(t, client, "ZADD", "scores", "2", "bob")
	w.until("bob=2#1 alice=1#2")
	do(t, client, "ZINCRBY", "scores", "5", "alice")
	w.until("alice=6#1 bob=2#2")
}

func TestAdoptedBoardOnACluster(t *testing.T) {
	cluster := redistest.StartCluster(t, notifying)
	client := cluster.Client(t)
	s := open(t, cluster.URL(), byNotification)
	// There is a key on each master, and so on another one than its board.
	servers := make(map[string]bool)
	var keys []string
	for i := 0; len(servers) < 3; i++ {
		key := "scores:" + strconv.Itoa(i)
		if at := cluster.Master(t, key).Addr(); !servers[at] {
			servers[at] = true
			id := "old" + strconv.Itoa(i)
			adopt(t, s, leaderboard.Board{ID: id, ZSet: key})
			w := watch(t, s, id)
			do(t, client, "ZADD", key, "10", "alice", "20", "bob")
			w.until("bob=20#1 alice=10#2")
			do(t, client, "ZINCRBY", key, "15", "alice")
			w.until("alice=25#1 bob=20#2")
			do(t, client, "DEL", key)
			w.until("")
			keys = append(keys, key)
		}
	}
	for i, key := range keys {
		do(t, client, "ZADD", key, strconv.Itoa(i), "alice", "1", "bob")
	}
	for range 2 { // the second time, each server knows the script
		pages, next, err := s.Member(t.Context(), "alice", "", leaderboard.MaxLimit)
		if err != nil || next != "" {
			t.Fatalf("alice's boards, then %q: %v", next, err)
		}
		var got []string
		for _, page := range pages {
			got = append(got, page.Board.ZSet+": "+text(page.Entries))
		}
		want := []string{keys[0] + ": alice=0#2", keys[1] + ": alice=1#2", keys[2] + ": alice=2#1"} // bob is behind alice by name, and so before her
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("alice on every master (-want +got):\n%s", diff)
		}
	}
}

// TestAdoptedBoardFollowsAFailover has another server become the one that
// notifies, which has to be found and asked.
func TestAdoptedBoardFollowsAFailover(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) (url string, client rueidis.Client, failover func())
	}{
		{"Sentinel", func(t *testing.T) (string, rueidis.Client, func()) {
			set := redistest.StartSentinel(t, notifying)
			return set.URL(), set.Client(t), func() {
				written(t, set.Master(t))
				set.Failover(t)
			}
		}},
		{"Cluster", func(t *testing.T) (string, rueidis.Client, func()) {
			set := redistest.StartCluster(t, notifying)
			return set.URL(), set.Client(t), func() {
				written(t, set.Master(t, "scores"))
				set.Failover(t, "scores")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, client, failover := c.start(t)
			s := open(t, url, byNotification, withTimeout(patience))
			adopt(t, s, leaderboard.Board{ID: "old", ZSet: "scores"})
			w := watch(t, s, "old")
			do(t, client, "ZADD", "scores", "10", "alice", "20", "bob")
			w.until("bob=20#1 alice=10#2")
			failover()
			for _, want := range []string{"alice=25#1 bob=20#2", "alice=40#1 bob=20#2"} {
				eventually(t, "there is a master to write to", func() bool {
					score, _ := strconv.Atoi(strings.TrimPrefix(strings.Split(want, "#")[0], "alice="))
					return client.Do(t.Context(), client.B().Zadd().Key("scores").ScoreMember().ScoreMember(float64(score), "alice").Build()).Error() == nil
				})
				w.until(want)
			}
		})
	}
}

// TestAdoptedReadsAreBounded counts the commands that reads of a large ZSET make.
func TestAdoptedReadsAreBounded(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	const members = 100_000
	fillZSet(t, client, "large", members)
	s := open(t, server.URL(), func(o *redisstore.Options) { o.Lease = aWhile })
	adopt(t, s, leaderboard.Board{ID: "large", ZSet: "large", RankStyle: leaderboard.Competition})
	for name, read := range map[string]func() (leaderboard.Page, error){
		"a page": func() (leaderboard.Page, error) {
			return s.Entries(t.Context(), leaderboard.Ref{Board: "large"}, leaderboard.Range{Offset: members / 2, Limit: 50})
		},
		"a page behind a place": func() (leaderboard.Page, error) {
			return s.Entries(t.Context(), leaderboard.Ref{Board: "large"}, leaderboard.Range{After: &leaderboard.Position{Score: 500, Seq: 50}, Limit: 50})
		},
		"a page around a score": func() (leaderboard.Page, error) {
			return s.Entries(t.Context(), leaderboard.Ref{Board: "large"}, leaderboard.Range{Around: new(leaderboard.ScaledDecimal(500, 0)), Limit: 50})
		},
		"a page of half the board": func() (leaderboard.Page, error) {
			return s.Entries(t.Context(), leaderboard.Ref{Board: "large"}, leaderboard.Range{Percent: new(leaderboard.ScaledDecimal(51, 0)), Offset: members / 2, Limit: 50})
		},
		"neighbours": func() (leaderboard.Page, error) {
			return s.Around(t.Context(), leaderboard.Ref{Board: "large"}, memberName(members/2+500), 50)
		},
		"one entry": func() (leaderboard.Page, error) {
			return s.Lookup(t.Context(), leaderboard.Ref{Board: "large"}, []string{memberName(members/2 + 500)})
		},
	} {
		do(t, client, "CONFIG", "RESETSTAT")
		page, err := read()
		if err != nil {
			t.Fatal(err)
		}
		if page.Total != members || page.Entries[0].Score != 500 && page.Entries[0].Score != 499 {
			t.Errorf("%s: %d members, %s", name, page.Total, text(page.Entries[:1]))
		}
		stats, err := client.Do(t.Context(), client.B().Info().Section("commandstats").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		for line := range strings.Lines(stats) {
			if strings.HasPrefix(line, "cmdstat_z") {
				_, rest, _ := strings.Cut(line, "calls=")
				n, _, _ := strings.Cut(rest, ",")
				count, err := strconv.Atoi(n)
				if err != nil {
					t.Fatal(err)
				}
				calls += count
			}
		}
		// What watches the board may have looked at it too: at most so many members.
		if calls > 40 {
			t.Errorf("%s took %d commands on ZSETs:\n%s", name, calls, stats)
		}
	}
}

func fillZSet(t *testing.T, client rueidis.Client, key string, members int) {
	t.Helper()
	for at := 0; at < members; {
		add := client.B().Zadd().Key(key).ScoreMember()
		for range min(1000, members-at) {
			add = add.ScoreMember(float64(at%1000), memberName(at))
			at++
		}
		if err := client.Do(t.Context(), add.Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
}
