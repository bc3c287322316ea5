package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"laurel/client"
	"laurel/internal/daemon"
)

// A request of the SDK leaves a goroutine that waits for its timeout, five
// seconds, if the connection was made again before.
var sdkTimeout = goleak.IgnoreTopFunction("github.com/centrifugal/centrifuge-go.(*Client).sendAsync.func1")

// A server's engine leaves channels that nobody watches any more a second later.
var channelsEnd = goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker")

func TestMain(m *testing.M) {
	client.SetDescribeEvery(200 * time.Millisecond)
	goleak.VerifyTestMain(m, sdkTimeout, channelsEnd)
}

// server is a daemon in a data directory, which can be stopped and started.
type server struct {
	t      *testing.T
	data   string
	listen string
	stop   func() // does nothing the second time
}

const key = "0123456789abcdef"

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, data: t.TempDir(), listen: "127.0.0.1:0"}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *server) start() {
	s.t.Helper()
	d, err := daemon.Open(s.t.Context(), daemon.Options{Data: s.data, Listen: s.listen, APIKey: key})
	if err != nil {
		s.t.Fatal(err)
	}
	s.listen = d.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("server: %v", err)
		}
	})
}

func (s *server) client() *client.Client { return newClient(s.t, "http://"+s.listen) }

func newClient(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.Options{APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func submit(t *testing.T, c *client.Client, board, member string, score client.Score) client.Outcome {
	t.Helper()
	outcome, err := c.Submit(t.Context(), board, client.Submission{Member: member, Score: score})
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if got := client.CodeOf(err); got != code {
		t.Errorf("error is %v, want the code %s", err, code)
	}
}

func TestBoardsFromCreationToDeletion(t *testing.T) {
	c, ctx := newServer(t).client(), t.Context()
	settings := client.Settings{
		ID: "laps", Order: "asc", Policy: "best", Decimals: 3, Ties: "latest", RankStyle: "competition", Top: 10, IntervalMS: 50,
		MinScore: "0.5", MaxScore: "100", MaxStep: "7.25",
	}
	made, err := c.CreateBoard(ctx, settings)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(settings, made.Settings); diff != "" || made.Rev != 1 || made.Epoch == "" || made.CreatedAt.IsZero() {
		t.Errorf("created is %+v\n%s", made, diff)
	}
	_, err = c.CreateBoard(ctx, settings)
	wantCode(t, err, client.CodeBoardExists)

	patched, err := c.PatchBoard(ctx, "laps", client.Patch{Top: 20})
	if err != nil || patched.Top != 20 || patched.RankStyle != "competition" || patched.Rev != 2 {
		t.Errorf("patched is %+v (%v), want a top of 20 and nothing else changed", patched, err)
	}
	_, err = c.Submit(ctx, "laps", client.Submission{Member: "alice", Score: "0.4"})
	wantCode(t, err, client.CodeScoreBelowMinimum)
	_, err = c.Set(ctx, "laps", client.Submission{Member: "alice", Score: "100.001"})
	wantCode(t, err, client.CodeScoreAboveMaximum)
	patched, err = c.PatchBoard(ctx, "laps", client.Patch{MinScore: "0", MaxScore: client.NoBound})
	if err != nil || patched.MinScore != "0" || patched.MaxScore != "" || patched.MaxStep != "7.25" {
		t.Errorf("patched is %+v (%v), want another minimum and no maximum", patched, err)
	}
	got, err := c.Board(ctx, "laps")
	if diff := cmp.Diff(patched, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for i := range 60 {
		if _, err := c.CreateBoard(ctx, client.Settings{ID: fmt.Sprintf("b%02d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := c.Boards(ctx)
	if err != nil || len(all) != 61 || all[0].ID != "b00" || all[60].ID != "laps" {
		t.Errorf("there are %d boards (%v), want 61 in order", len(all), err)
	}
	if err := c.DeleteBoard(ctx, "laps"); err != nil {
		t.Error(err)
	}
	_, err = c.Board(ctx, "laps")
	wantCode(t, err, client.CodeBoardNotFound)
}

func TestScoresFromSubmitToRemoval(t *testing.T) {
	c, ctx := newServer(t).client(), t.Context()
	submit(t, c, "race", "alice", "5")
	outcome, err := c.Submit(ctx, "race",
		client.Submission{Member: "alice", Score: "2"},
		client.Submission{Member: "bob", Score: "9", Data: map[string]string{"name": "Bøb"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Result{
		{Member: "alice", Accepted: true, Score: "7", Rank: 1, PreviousScore: "5", PreviousRank: 1, EntryRev: 3}, // before bob
		{Member: "bob", Accepted: true, Score: "9", Rank: 1, EntryRev: 4},
	}
	if diff := cmp.Diff(want, outcome.Results); diff != "" || outcome.Board != "race" || outcome.Total != 2 || outcome.Rev != 4 {
		t.Errorf("outcome is %+v\n%s", outcome.Position, diff)
	}

	for _, board := range []string{"goals", "assists"} {
		if _, err := c.CreateBoard(ctx, client.Settings{ID: board}); err != nil {
			t.Fatal(err)
		}
	}
	across, err := c.SubmitAcross(ctx,
		client.BoardSubmission{Board: "goals", Submission: client.Submission{Member: "alice", Score: "1", Data: map[string]string{"name": "Alice"}}},
		client.BoardSubmission{Board: "assists", Submission: client.Submission{Member: "bob", Score: "2"}},
	)
	if err != nil || len(across.Results) != 2 || len(across.Boards) != 2 || across.Boards[1].Board != "assists" || across.Boards[1].Total != 1 {
		t.Fatalf("scores of two boards: %+v (%v)", across, err)
	}
	if diff := cmp.Diff(client.BoardResult{Board: "assists", Result: client.Result{Member: "bob", Accepted: true, Score: "2", Rank: 1, EntryRev: 2}}, across.Results[1]); diff != "" {
		t.Errorf("the second of two boards (-want +got):\n%s", diff)
	}
	_, err = c.SubmitAcross(ctx,
		client.BoardSubmission{Board: "goals", Submission: client.Submission{Member: "alice", Score: "1"}},
		client.BoardSubmission{Board: "assists", Submission: client.Submission{Member: "bob", Score: "0.5"}},
	)
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Board != "assists" || refused.Member != "bob" {
		t.Errorf("half a goal answers %v, want where it is", err)
	}
	if goals, err := c.Entry(ctx, "goals", "alice"); err != nil || goals.Score != "1" {
		t.Errorf("alice has %+v (%v) of a request that was refused, want 1", goals, err)
	}

	set, err := c.Set(ctx, "race", client.Submission{Member: "bob", Score: "1", Data: json.RawMessage("null")})
	if err != nil || set.Results[0].Score != "1" {
		t.Errorf("set answers %+v (%v), want a score of 1", set, err)
	}
	bob, err := c.Entry(ctx, "race", "bob")
	if err != nil || bob.Score != "1" || bob.Rank != 2 || bob.Data != nil || bob.Percentile != 0 || bob.UpdatedAt.IsZero() || bob.Rev != 5 {
		t.Errorf("bob is %+v (%v), want 1, second and last, without data", bob, err)
	}
	removed, err := c.Remove(ctx, "race", "bob")
	if err != nil || removed.Total != 1 || removed.Results[0].Rank != 0 || removed.Results[0].PreviousScore != "1" {
		t.Errorf("removal answers %+v (%v), want nobody behind it", removed, err)
	}
	_, err = c.Entry(ctx, "race", "bob")
	wantCode(t, err, client.CodeMemberNotFound)
	_, err = c.Remove(ctx, "race", "bob")
	wantCode(t, err, client.CodeMemberNotFound)
}

func TestReadsOfALongBoard(t *testing.T) {
	c, ctx := newServer(t).client(), t.Context()
	const members = 2345
	for first := 0; first < members; first += 1000 {
		var batch []client.Submission
		for n := first; n < min(first+1000, members); n++ {
			batch = append(batch, client.Submission{Member: fmt.Sprintf("m%04d", n), Score: client.Int(int64(members - n))})
		}
		if _, err := c.Submit(ctx, "race", batch...); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for e, err := range c.All(ctx, "race") {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("m%04d", n); e.Member != want || e.Rank != n+1 {
			t.Fatalf("entry %d is %s with rank %d, want %s with %d", n, e.Member, e.Rank, want, n+1)
		}
		n++
	}
	if n != members {
		t.Errorf("there are %d entries, want %d", n, members)
	}
	for _, err := range c.All(ctx, "race") {
		if err != nil {
			t.Error(err)
		}
		break // leaving early is fine
	}
	names := func(p client.Page, err error) string {
		if err != nil {
			t.Error(err)
		}
		list := ""
		for _, e := range p.Entries {
			list += e.Member + " "
		}
		return list
	}
	if got := names(c.Top(ctx, "race", 2)); got != "m0000 m0001 " {
		t.Errorf("top is %s", got)
	}
	if got := names(c.Entries(ctx, "race", client.Range{Offset: 2343, Limit: 5})); got != "m2343 m2344 " {
		t.Errorf("end is %s", got)
	}
	if got := names(c.Around(ctx, "race", "m0100", 3)); got != "m0099 m0100 m0101 " {
		t.Errorf("around is %s", got)
	}
	if page, err := c.Entries(ctx, "race", client.Range{}); err != nil || len(page.Entries) != 50 || page.Total != members {
		t.Errorf("a page of no size has %d entries (%v), want 50", len(page.Entries), err)
	}
	for _, err := range c.All(ctx, "nothing") {
		wantCode(t, err, client.CodeBoardNotFound)
	}
}

// Any member that the server takes can be read back under its name.
func TestMembersOfAnyName(t *testing.T) {
	c := newServer(t).client()
	for _, member := range []string{"a/b", "..", ".", "a b", "%2F", "?x=1#y", "Ж🦊", `"\`, "a+b", "//"} {
		submit(t, c, "race", member, "1")
		got, err := c.Entry(t.Context(), "race", member)
		if err != nil || got.Member != member {
			t.Errorf("member %q is read as %q (%v)", member, got.Member, err)
		}
		if _, err := c.Remove(t.Context(), "race", member); err != nil {
			t.Errorf("member %q cannot be removed: %v", member, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := newServer(t)
	c, ctx := s.client(), t.Context()
	stranger, err := client.New("http://"+s.listen, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	_, err = stranger.Submit(ctx, "race", client.Submission{Member: "alice", Score: "1"})
	wantCode(t, err, client.CodeUnauthorized)
	_, err = c.Submit(ctx, "race")
	wantCode(t, err, "empty_batch")
	_, err = c.Submit(ctx, "race", client.Submission{Member: "alice", Score: "1"}, client.Submission{Member: "bob", Score: "0.5"})
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Code != "too_many_decimals" || refused.Member != "bob" || refused.Status != http.StatusBadRequest {
		t.Errorf("error is %+v, want that bob's score has too many decimals", err)
	}
	if _, err = c.Submit(ctx, "race", client.Submission{Member: "alice", Score: "five"}); err == nil || err.Error() != `score "five" is not a decimal number` {
		t.Errorf("error is %v, want that five is not a number", err)
	}
	_, err = c.Submit(ctx, "race", client.Submission{Member: "alice", Score: "1", Data: make(chan int)})
	if err == nil {
		t.Error("data that is no JSON has no error")
	}
}

// tables follows a board in a goroutine of its own.
type tables struct {
	next   chan client.Table
	states chan client.State
	ended  chan error
	cancel context.CancelFunc
}

func follow(t *testing.T, c *client.Client, board string) *tables {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &tables{
		next:   make(chan client.Table, 1000), // more than any test here makes
		states: make(chan client.State, 1000),
		ended:  make(chan error, 1),
		cancel: cancel,
	}
	opts := client.WatchOptions{OnState: func(s client.State, _ error) { w.states <- s }}
	var wg sync.WaitGroup
	wg.Go(func() {
		for table, err := range c.Watch(ctx, board, opts) {
			if err != nil {
				w.ended <- err
				return
			}
			w.next <- table
		}
		w.ended <- nil
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return w
}

const patience = 30 * time.Second

// until returns the first table that is as wanted.
func (w *tables) until(t *testing.T, wanted func(client.Table) bool) client.Table {
	t.Helper()
	late := time.After(patience)
	var last client.Table
	for {
		select {
		case last = <-w.next:
			if wanted(last) {
				return last
			}
		case err := <-w.ended:
			t.Fatalf("the watch has ended with %v; the last table was %+v", err, last)
		case <-late:
			t.Fatalf("the table has not come; the last one was %+v", last)
		}
	}
}

func (w *tables) state(t *testing.T, wanted client.State) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case s := <-w.states:
			if s == wanted {
				return
			}
		case <-late:
			t.Fatalf("the watch is never %s", wanted)
		}
	}
}

func leader(member string) func(client.Table) bool {
	return func(t client.Table) bool { return len(t.Entries) > 0 && t.Entries[0].Member == member }
}

func TestWatchShowsTheBoard(t *testing.T) {
	c := newServer(t).client()
	if _, err := c.CreateBoard(t.Context(), client.Settings{ID: "race", Decimals: 1, RankStyle: "competition", Top: 3}); err != nil {
		t.Fatal(err)
	}
	w := follow(t, c, "race")
	w.state(t, client.Connecting)
	w.state(t, client.Live)
	first := w.until(t, func(client.Table) bool { return true })
	if len(first.Entries) != 0 || first.Rev != 1 || first.Settings.Decimals != 1 {
		t.Errorf("first table is %+v, want an empty one", first)
	}
	outcome, err := c.Submit(t.Context(), "race",
		client.Submission{Member: "alice", Score: "1.5", Data: map[string]string{"name": "Ålice 🦊 \"<"}},
		client.Submission{Member: "bob", Score: "1.5"},
		client.Submission{Member: "carol", Score: "0.1"},
		client.Submission{Member: "dave", Score: "0"},
	)
	if err != nil {
		t.Fatal(err)
	}
	got := w.until(t, func(table client.Table) bool { return table.Rev == outcome.Rev })
	want := []client.Entry{
		{Member: "alice", Score: "1.5", Rank: 1, Data: json.RawMessage(`{"name":"Ålice 🦊 \"<"}`)},
		{Member: "bob", Score: "1.5", Rank: 1},
		{Member: "carol", Score: "0.1", Rank: 3},
	}
	asJSON := cmp.Transformer("JSON", func(raw json.RawMessage) any {
		var v any
		_ = json.Unmarshal(raw, &v)
		return v
	})
	if diff := cmp.Diff(want, got.Entries, asJSON); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(outcome.Position, got.Position, cmpopts.IgnoreFields(client.Span{}, "StartsAt")); diff != "" { // which a publication does not say
		t.Error(diff)
	}
	// Deltas: a change of each kind, on top of the one before.
	for i := range 20 {
		submit(t, c, "race", "bob", client.Scaled(int64(1+i), 1))
		o := submit(t, c, "race", "carol", client.Scaled(int64(1+2*i), 1)) // no 0: a change that nobody sees is not published
		table := w.until(t, func(table client.Table) bool { return table.Rev == o.Rev })
		page, err := c.Top(t.Context(), "race", 3)
		if err != nil {
			t.Fatal(err)
		}
		same := cmpopts.IgnoreFields(client.Entry{}, "UpdatedAt", "EntryRev")
		if diff := cmp.Diff(page.Entries, table.Entries, asJSON, same); diff != "" {
			t.Fatalf("after %d changes the table is not the board:\n%s", i, diff)
		}
	}
}

func TestWatchThatIsSlowSkipsToTheNewest(t *testing.T) {
	c := newServer(t).client()
	if _, err := c.CreateBoard(t.Context(), client.Settings{ID: "race", IntervalMS: 20}); err != nil {
		t.Fatal(err)
	}
	quick := follow(t, c, "race")
	quick.until(t, func(client.Table) bool { return true })
	var seen []uint64
	newest := uint64(0)
	for table, err := range c.Watch(t.Context(), "race", client.WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, table.Rev)
		if table.Rev == newest {
			break
		}
		if newest > 0 {
			continue
		}
		for i := range 20 { // while this loop does not look, each change is published by itself
			rev := submit(t, c, "race", fmt.Sprint("m", i), "1").Rev
			quick.until(t, func(table client.Table) bool { return table.Rev == rev })
			newest = rev
		}
	}
	if len(seen) > 4 {
		t.Errorf("the slow loop saw the revs %v of 20 that were published, want the newest after few", seen)
	}
}

func TestWatchComesBack(t *testing.T) {
	s := newServer(t)
	c := s.client()
	submit(t, c, "race", "alice", "5")
	w := follow(t, c, "race")
	w.until(t, leader("alice"))
	w.state(t, client.Live)
	for round := range 3 {
		s.stop()
		w.state(t, client.Connecting)
		s.start()
		member := fmt.Sprint("m", round)
		outcome := submit(t, c, "race", member, client.Int(int64(10+round)))
		if got := w.until(t, leader(member)); got.Rev != outcome.Rev {
			t.Errorf("table has rev %d, want %d", got.Rev, outcome.Rev)
		}
		w.state(t, client.Live)
	}
}

// A server whose data was lost, or is that of a backup, counts anew: what it
// says is believed, though its revs are lower.
func TestWatchBelievesAnotherStore(t *testing.T) {
	s := newServer(t)
	c := s.client()
	var rev uint64
	for range 10 {
		rev = submit(t, c, "race", "alice", "5").Rev
	}
	w := follow(t, c, "race")
	before := w.until(t, func(table client.Table) bool { return table.Rev == rev })
	other := newServer(t)
	submit(t, other.client(), "race", "bob", "1")
	other.stop()
	s.stop()
	s.data = other.data
	s.start()
	after := w.until(t, leader("bob"))
	if after.Rev >= before.Rev || after.Epoch == before.Epoch {
		t.Errorf("table is at %+v after %+v, want a lower rev in another epoch", after.Position, before.Position)
	}
}

func TestWatchEndsWithItsBoard(t *testing.T) {
	c := newServer(t).client()
	for table, err := range c.Watch(t.Context(), "nothing", client.WatchOptions{}) {
		wantCode(t, err, client.CodeBoardNotFound)
		if table.Board != "" {
			t.Errorf("table is %+v, want none", table)
		}
	}
	submit(t, c, "race", "alice", "5")
	w := follow(t, c, "race")
	w.until(t, leader("alice"))
	if err := c.DeleteBoard(t.Context(), "race"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-w.ended:
		wantCode(t, err, client.CodeBoardNotFound)
	case <-time.After(patience):
		t.Error("the watch goes on without its board")
	}
}

func TestWatchFollowsItsSettings(t *testing.T) {
	c := newServer(t).client()
	_, err := c.Submit(t.Context(), "race", client.Submission{Member: "alice", Score: "5"}, client.Submission{Member: "bob", Score: "5"})
	if err != nil {
		t.Fatal(err)
	}
	w := follow(t, c, "race")
	second := func(rank int) func(client.Table) bool {
		return func(t client.Table) bool { return len(t.Entries) == 2 && t.Entries[1].Rank == rank }
	}
	w.until(t, second(2))
	if _, err := c.PatchBoard(t.Context(), "race", client.Patch{RankStyle: "competition"}); err != nil {
		t.Fatal(err)
	}
	w.until(t, second(1))
}

func TestDenseRanksAreReadAndWatched(t *testing.T) {
	c := newServer(t).client()
	if _, err := c.CreateBoard(t.Context(), client.Settings{ID: "levels", RankStyle: "dense"}); err != nil {
		t.Fatal(err)
	}
	outcome, err := c.Submit(t.Context(), "levels",
		client.Submission{Member: "alice", Score: "9"}, client.Submission{Member: "bob", Score: "7"}, client.Submission{Member: "carol", Score: "7"},
		client.Submission{Member: "dave", Score: "7"}, client.Submission{Member: "erin", Score: "5"},
	)
	if err != nil {
		t.Fatal(err)
	}
	ranks := func(entries []client.Entry) (ranks []int) {
		for _, e := range entries {
			ranks = append(ranks, e.Rank)
		}
		return ranks
	}
	want := []int{1, 2, 2, 2, 3}
	table := follow(t, c, "levels").until(t, func(table client.Table) bool { return table.Rev == outcome.Rev })
	if got := ranks(table.Entries); !slices.Equal(want, got) {
		t.Errorf("ranks of the live table are %v, want %v", got, want)
	}
	page, err := c.Entries(t.Context(), "levels", client.Range{})
	if got := ranks(page.Entries); !slices.Equal(want, got) || err != nil {
		t.Errorf("ranks of the page are %v (%v), want %v", got, err, want)
	}
	if e, err := c.Entry(t.Context(), "levels", "erin"); err != nil || e.Rank != 3 || e.Percentile != 0 {
		t.Errorf("the last is %+v (%v), want rank 3 and percentile 0", e, err)
	}
	if found, err := c.Lookup(t.Context(), "levels", "erin", "carol"); err != nil || len(found.Entries) != 2 || found.Entries[0].Rank != 2 ||
		found.Entries[0].Percentile != 75 || found.Entries[1].Rank != 3 || found.Entries[1].Percentile != 0 {
		t.Errorf("carol and erin are %+v (%v), want ranks 2 and 3, percentiles 75 and 0", found.Entries, err)
	}
	_, err = c.PatchBoard(t.Context(), "levels", client.Patch{RankStyle: "ordinal"})
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != "immutable_setting" {
		t.Errorf("a patch to ordinal ranks: %v, want immutable_setting", err)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	c := newServer(t).client()
	submit(t, c, "race", "alice", "5")
	w := follow(t, c, "race")
	w.until(t, leader("alice"))
	w.cancel()
	select {
	case err := <-w.ended:
		if err != nil {
			t.Errorf("the watch has ended with %v, want nil", err)
		}
	case <-time.After(patience):
		t.Error("the watch goes on without its context")
	}
}

// Requests and the WebSocket go through a proxy under a path of its own.
func TestThroughAProxy(t *testing.T) {
	s := newServer(t)
	target, err := url.Parse("http://" + s.listen)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.StripPrefix("/boards", httputil.NewSingleHostReverseProxy(target)))
	defer proxy.Close()
	c := newClient(t, proxy.URL+"/boards/")
	submit(t, c, "race", "a/b", "5")
	if e, err := c.Entry(t.Context(), "race", "a/b"); err != nil || e.Rank != 1 {
		t.Errorf("entry is %+v (%v), want number 1", e, err)
	}
	w := follow(t, c, "race")
	w.until(t, leader("a/b"))
	w.cancel()
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
}

func TestParts(t *testing.T) {
	c, ctx := newServer(t).client(), t.Context()
	for i := range 21 {
		submit(t, c, "race", fmt.Sprintf("m%02d", i), client.Int(int64(100-i)))
	}
	names := func(r client.Range) (names []string, cursor string) {
		t.Helper()
		page, err := c.Entries(ctx, "race", r)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			names = append(names, e.Member)
		}
		return names, page.NextCursor
	}
	around, _ := names(client.Range{Around: "95", Limit: 4})
	if diff := cmp.Diff([]string{"m04", "m05", "m06", "m07"}, around); diff != "" {
		t.Errorf("around 95 (-want +got):\n%s", diff)
	}
	first, cursor := names(client.Range{TopPercent: 9.6, Limit: 2}) // 2.016 of 21
	rest, none := names(client.Range{Cursor: cursor})
	if diff := cmp.Diff([]string{"m00", "m01", "m02"}, append(first, rest...)); diff != "" || none != "" {
		t.Errorf("the first 9.6 %%, and %q behind it (-want +got):\n%s", none, diff)
	}
	_, err := c.Entries(ctx, "race", client.Range{Around: "95.5"})
	wantCode(t, err, "too_many_decimals")
}

func TestLookup(t *testing.T) {
	c, ctx := newServer(t).client(), t.Context()
	submit(t, c, "race", "alice", "5")
	submit(t, c, "race", "bob", "9")
	submit(t, c, "race", "carol", "7")
	found, err := c.Lookup(ctx, "race", "alice", "nobody", "bob", "alice")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range found.Entries {
		got = append(got, fmt.Sprintf("%d %s %s, %d, %g", e.Place, e.Member, e.Score, e.Rank, e.Percentile))
	}
	if diff := cmp.Diff([]string{"1 bob 9, 1, 100", "2 alice 5, 3, 0"}, got); diff != "" || found.Total != 3 || found.Rev == 0 {
		t.Errorf("lookup at %+v (-want +got):\n%s", found.Position, diff)
	}
	if diff := cmp.Diff([]string{"nobody"}, found.NotFound); diff != "" {
		t.Errorf("not found (-want +got):\n%s", diff)
	}
	_, err = c.Lookup(ctx, "race")
	wantCode(t, err, "empty_batch")
}

func TestAnswersThatAreKept(t *testing.T) {
	s := newServer(t)
	c, ctx := s.client(), t.Context()
	submit(t, c, "race", "alice", "5")
	submit(t, c, "race", "bob", "7")
	var unchanged, sent atomic.Int32
	target, err := url.Parse("http://" + s.listen)
	if err != nil {
		t.Fatal(err)
	}
	counting := httputil.NewSingleHostReverseProxy(target)
	counting.ModifyResponse = func(res *http.Response) error {
		switch res.StatusCode {
		case http.StatusNotModified:
			unchanged.Add(1)
		case http.StatusOK:
			sent.Add(1)
		}
		return nil
	}
	proxy := httptest.NewServer(counting)
	t.Cleanup(proxy.Close)
	keeping, err := client.New(proxy.URL, client.Options{APIKey: key, Cache: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keeping.Close)
	same := func(wantSent, wantUnchanged int32) {
		t.Helper()
		want, err := c.Top(ctx, "race", 10)
		if err != nil {
			t.Fatal(err)
		}
		got, err := keeping.Top(ctx, "race", 10)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if sent.Load() != wantSent || unchanged.Load() != wantUnchanged {
			t.Errorf("%d answers sent and %d not, want %d and %d", sent.Load(), unchanged.Load(), wantSent, wantUnchanged)
		}
		if len(got.Entries) > 0 {
			got.Entries[0].Member = "nobody" // what is kept is not the caller's
		}
	}
	same(1, 0)
	same(1, 1)
	submit(t, c, "race", "alice", "5")
	same(2, 1)
	same(2, 2)
	for _, member := range []string{"alice", "bob"} { // two others push the page out, or one of each other
		for range 2 {
			if _, err := keeping.Entry(ctx, "race", member); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := sent.Load() + unchanged.Load(); n != 8 || sent.Load() != 4 {
		t.Errorf("%d answers, %d of them sent, want 8 and 4", n, sent.Load())
	}
	if err := c.DeleteBoard(ctx, "race"); err != nil {
		t.Fatal(err)
	}
	_, err = keeping.Top(ctx, "race", 10)
	wantCode(t, err, client.CodeBoardNotFound)
}

func TestMember(t *testing.T) {
	c, ctx := newServer(t).client(), t.Context()
	submit(t, c, "a", "carol/x", "5")
	submit(t, c, "b", "bob", "5")
	submit(t, c, "c", "bob", "5")
	submit(t, c, "c", "carol/x", "4")
	var got []string
	for e, err := range c.Member(ctx, "carol/x") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d of %d, %s, %g", e.Board, e.Rank, e.Total, e.Score, e.Percentile))
	}
	if diff := cmp.Diff([]string{"a 1 of 1, 5, 100", "c 2 of 2, 4, 0"}, got); diff != "" {
		t.Errorf("carol (-want +got):\n%s", diff)
	}
	for _, err := range c.Member(ctx, "") {
		wantCode(t, err, "not_found") // there is no such path
	}
}
