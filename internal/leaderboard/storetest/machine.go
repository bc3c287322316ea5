package storetest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"laurel/internal/leaderboard"
)

// runMachine drives a store and a model with the same random operations and
// compares every answer. The words are few, so that ties, collisions of names
// and repeated members are common.
func runMachine(tb testing.TB, open Opener) {
	tb.Helper()
	rapid.Check(tb, func(rt *rapid.T) {
		dir := tb.TempDir()
		m := &machine{
			model: NewModel(), ctx: tb.Context(), clock: time.Date(2026, 11, 24, 9, 0, 0, 204e6, time.UTC),
			open:   func() Store { return open(tb, dir) },
			latest: map[string]uint64{},
			log:    logState{told: map[string]uint64{}, untold: map[string]uint64{}},
			acked:  logState{told: map[string]uint64{}, untold: map[string]uint64{}},
		}
		m.bounded = rapid.IntRange(0, 2).Draw(rt, "bounded") == 0
		m.seasonal = rapid.IntRange(0, 1).Draw(rt, "seasonal") == 0
		m.capped = rapid.IntRange(0, 2).Draw(rt, "capped boards") == 0
		m.store = m.open()
		defer func() {
			if err := m.store.Close(); err != nil {
				tb.Errorf("Close: %v", err)
			}
		}()
		m.create(rt, "a") // so that the actions have something to act on
		m.create(rt, "b")
		m.ApplyBatch(rt)
		rt.Repeat(rapid.StateMachineActions(m))
	})
}

// machine is the state of a run. Its exported methods are the actions.
type machine struct {
	store Store
	open  func() Store
	model *Model
	ctx   context.Context //nolint:containedctx // the test's, for every action
	clock time.Time

	bounded  bool // some boards have bounds, at which many batches end
	seasonal bool // seasons end
	capped   bool // some boards have a number of entries

	sent      [][]leaderboard.Op     // as batches with a digest
	positions []leaderboard.Position // that pages ended with

	latest map[string]uint64 // the rev of each board's last change, also of deleted ones
	cursor leaderboard.Cursor
	log    logState // of a reader at cursor
	acked  logState // of one at the last acknowledgement
}

// logState is where a reader of the change log is, as board to rev. A store may
// fold changes and the model does not, so what is told is compared with this.
type logState struct {
	told   map[string]uint64
	untold map[string]uint64 // the newest changes of those boards that have some
}

func (s logState) clone() logState {
	return logState{told: maps.Clone(s.told), untold: maps.Clone(s.untold)}
}

var (
	someBoards   = rapid.SampledFrom([]string{"a", "a", "a", "a", "b", "a-b"})
	members      = []string{"m", "n", "o", "p", "pp", "é", "q/r"}
	someMembers  = rapid.SampledFrom(members)
	commonScores = rapid.SampledFrom([]string{"0", "1", "1", "2", "3", "-1", "1e1"})
	rareScores   = rapid.SampledFrom([]string{
		"0.5", "-0.5", "1.5", "0.01", "0.001", "0.000001",
		"9007199254740991", "-9007199254740991", "9007199254740992", "999999999999999", "99999999999999.9", "-9999999999999.99", "1000000000",
	})
	someData   = rapid.SampledFrom([]string{"", "", "null", "{}", `{"n":1}`, `{"n":2}`})
	orders     = rapid.SampledFrom([]leaderboard.Order{leaderboard.Descending, leaderboard.Ascending})
	policies   = rapid.SampledFrom([]leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest})
	ties       = rapid.SampledFrom([]leaderboard.Ties{leaderboard.Earliest, leaderboard.LatestTie})
	styles     = rapid.SampledFrom([]leaderboard.RankStyle{leaderboard.Ordinal, leaderboard.Competition, leaderboard.Dense})
	decimals   = rapid.SampledFrom([]int{0, 0, 1, 2, 6})
	minima     = rapid.SampledFrom([]string{"", "-2", "-1", "0"})
	maxima     = rapid.SampledFrom([]string{"", "2", "5", "9.5", "-1"}) // the last ones not for every board
	steps      = rapid.SampledFrom([]string{"", "1", "2", "9"})
	lives      = rapid.SampledFrom([]int{1, 2, 5})
	capacities = rapid.SampledFrom([]int{1, 2, 3, 5})
	quotas     = rapid.SampledFrom([]int{0, 1, 2, 5})
	someLimits = rapid.IntRange(1, 9)
)

func someScore(t *rapid.T) leaderboard.Decimal {
	if rapid.IntRange(0, 11).Draw(t, "rare") == 0 {
		return score(rareScores.Draw(t, "score"))
	}
	return score(commonScores.Draw(t, "score"))
}

func somePercent(t *rapid.T) leaderboard.Decimal {
	return score(rapid.SampledFrom([]string{"0.000001", "10", "33.333333", "50", "66.6", "99.999999", "100"}).Draw(t, "percent"))
}

// same compares what the store and the model answered.
func (m *machine) same(t *rapid.T, what string, want any, wantErr error, got any, gotErr error) {
	t.Helper()
	if wantErr != nil || gotErr != nil {
		wantBatch, _ := errors.AsType[*leaderboard.BatchError](wantErr)
		gotBatch, _ := errors.AsType[*leaderboard.BatchError](gotErr)
		if leaderboard.CodeOf(wantErr) != leaderboard.CodeOf(gotErr) || wantErr == nil || gotErr == nil ||
			(wantBatch == nil) != (gotBatch == nil) || wantBatch != nil && wantBatch.Index != gotBatch.Index {
			t.Fatalf("%s: error %v, want %v", what, gotErr, wantErr)
		}
		if wantBatch != nil {
			want, got = wantBatch.Op, gotBatch.Op
		}
	}
	if diff := compare(want, got); diff != "" {
		t.Fatalf("%s (-model +store):\n%s", what, diff)
	}
}

// changed notes what the change log has to tell of a board.
func (m *machine) changed(board string, rev uint64) {
	if m.latest[board] == rev {
		return
	}
	m.latest[board], m.log.untold[board], m.acked.untold[board] = rev, rev, rev
}

func (m *machine) Create(t *rapid.T) { m.create(t, someBoards.Draw(t, "board")) }

func (m *machine) create(t *rapid.T, id string) {
	b := leaderboard.Board{
		ID: id, Order: orders.Draw(t, "order"), Policy: policies.Draw(t, "policy"),
		Decimals: decimals.Draw(t, "decimals"), Ties: ties.Draw(t, "ties"), RankStyle: styles.Draw(t, "style"),
		CreatedAt: m.clock,
	}.WithDefaults()
	if m.bounded && rapid.Bool().Draw(t, "bounds") {
		b.MinScore, b.MaxStep = bound(minima.Draw(t, "minimum")), bound(steps.Draw(t, "step"))
		b.MaxScore = bound(rapid.SampledFrom([]string{"", "2", "5"}).Draw(t, "maximum"))
	}
	if m.bounded && rapid.IntRange(0, 2).Draw(t, "limited") == 0 {
		b.SubmitsPerMinute = quotas.Draw(t, "submits")
	}
	if m.seasonal {
		b.Seasons = m.someSeasons(t)
	}
	if m.capped && rapid.Bool().Draw(t, "capped") {
		b.MaxEntries = capacities.Draw(t, "entries")
	}
	if m.capped && rapid.Bool().Draw(t, "aging") {
		b.EntryTTL = lives.Draw(t, "ttl")
	}
	got, err := m.store.CreateBoard(m.ctx, b)
	if len(m.latest) == 0 {
		m.model.epoch = got.Epoch // the one thing that the model cannot know
	}
	want, wantErr := m.model.CreateBoard(m.ctx, b)
	m.same(t, "CreateBoard", want, wantErr, got, err)
	if err == nil {
		m.changed(b.ID, got.Rev)
	}
}

func (m *machine) Patch(t *rapid.T) {
	var p leaderboard.Patch
	maybe(t, "policy", &p.Policy, policies)
	maybe(t, "style", &p.RankStyle, styles)
	maybe(t, "top", &p.Top, rapid.IntRange(0, 3))
	if m.bounded {
		maybeBound(t, "minimum", &p.MinScore, minima)
		maybeBound(t, "maximum", &p.MaxScore, maxima)
		maybeBound(t, "step", &p.MaxStep, steps)
		if rapid.IntRange(0, 3).Draw(t, "patch submits") == 0 {
			p.SubmitsPerMinute = new(quotas.Draw(t, "submits"))
		}
	}
	if m.capped && rapid.IntRange(0, 3).Draw(t, "patch entries") == 0 {
		p.MaxEntries = new(rapid.SampledFrom([]int{0, 1, 2, 3, 5, -1}).Draw(t, "entries"))
	}
	if m.capped && rapid.IntRange(0, 3).Draw(t, "patch ttl") == 0 {
		p.EntryTTL = new(rapid.SampledFrom([]int{0, 1, 2, 5, -1}).Draw(t, "ttl"))
	}
	if rapid.Bool().Draw(t, "fixed") {
		maybe(t, "order", &p.Order, orders)
		maybe(t, "ties", &p.Ties, ties)
		maybe(t, "decimals", &p.Decimals, decimals)
	}
	if m.seasonal && rapid.IntRange(0, 2).Draw(t, "patch seasons") == 0 {
		p.Seasons, p.At = new(m.someSeasons(t)), m.clock
	}
	id := someBoards.Draw(t, "board")
	want, wantErr := m.model.PatchBoard(m.ctx, id, p)
	got, err := m.store.PatchBoard(m.ctx, id, p)
	m.same(t, "PatchBoard", want, wantErr, got, err)
	if err == nil {
		m.changed(id, got.Rev)
	}
}

func maybe[T any](t *rapid.T, name string, setting **T, values *rapid.Generator[T]) {
	if rapid.Bool().Draw(t, "patch "+name) {
		*setting = new(values.Draw(t, name))
	}
}

func maybeBound(t *rapid.T, name string, setting **leaderboard.Bound, values *rapid.Generator[string]) {
	if rapid.IntRange(0, 3).Draw(t, "patch "+name) == 0 {
		*setting = new(bound(values.Draw(t, name)))
	}
}

func (m *machine) Delete(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("boards should live for a while")
	}
	id := someBoards.Draw(t, "board")
	before, beforeErr := m.model.Board(m.ctx, id)
	wantErr := m.model.DeleteBoard(m.ctx, id)
	err := m.store.DeleteBoard(m.ctx, id)
	m.same(t, "DeleteBoard", nil, wantErr, nil, err)
	if beforeErr == nil {
		m.changed(id, before.Rev+1)
	}
}

// ApplyOne and ApplyBatch stand for most of what happens to a store.
func (m *machine) ApplyOne(t *rapid.T) { m.apply(t, 1) }

func (m *machine) ApplyBatch(t *rapid.T) { m.apply(t, rapid.IntRange(2, 12).Draw(t, "operations")) }

func (m *machine) apply(t *rapid.T, n int) {
	m.clock = m.clock.Add(time.Duration(rapid.IntRange(-1, 3).Draw(t, "later")) * 250 * time.Millisecond)
	if m.bounded && rapid.IntRange(0, 5).Draw(t, "much later") == 0 {
		m.clock = m.clock.Add(rapid.SampledFrom([]time.Duration{5 * time.Second, 20 * time.Second, time.Minute}).Draw(t, "how much"))
	}
	batch := leaderboard.Batch{At: m.clock}
	if rapid.IntRange(0, 2).Draw(t, "once") == 0 {
		batch.Once = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name")
	}
	home := someBoards.Draw(t, "board") // most batches are of one board, so that most succeed
	spread := rapid.IntRange(0, 3).Draw(t, "spread") == 0
	for range n {
		op := leaderboard.Op{Board: home, Member: someMembers.Draw(t, "member")}
		if spread {
			op.Board = someBoards.Draw(t, "board")
		}
		op.Kind = rapid.SampledFrom([]leaderboard.Kind{
			leaderboard.Submit, leaderboard.Submit, leaderboard.Submit, leaderboard.Submit, leaderboard.Submit, leaderboard.Set, leaderboard.Remove,
		}).Draw(t, "kind")
		if op.Kind != leaderboard.Remove {
			op.Score = someScore(t)
			if data := someData.Draw(t, "data"); data != "" {
				op.Data = []byte(data)
			}
		}
		if rapid.IntRange(0, 7).Draw(t, "if") == 0 {
			op.If = leaderboard.IfRev(m.revOf(t, op))
		}
		batch.Ops = append(batch.Ops, op)
	}
	m.someLate(t, batch.Ops)
	if batch.Once != "" && rapid.Bool().Draw(t, "digest") {
		if len(m.sent) > 0 && rapid.Bool().Draw(t, "again") {
			batch.Once, batch.Ops = "again", rapid.SampledFrom(m.sent).Draw(t, "batch")
		}
		m.sent = append(m.sent, batch.Ops)
		batch.OnceDigest = digestOf(batch.Ops)
		if batch.Once == "again" { // a name of its own, so that most are answered as they were
			batch.Once = fmt.Sprintf("%x", batch.OnceDigest[:4])
		}
	}
	want, wantErr := m.model.Apply(m.ctx, batch)
	got, err := m.store.Apply(m.ctx, batch)
	m.same(t, fmt.Sprintf("Apply(%v)", describe(batch.Ops)), want, wantErr, got, err)
	if got.Repeated {
		return
	}
	for _, op := range batch.Ops { // some of them may have had a season ended, also when the batch failed
		if view, err := m.model.Board(m.ctx, op.Board); err == nil {
			m.changed(op.Board, view.Rev)
		}
	}
}

// revOf returns the rev that an operation's entry is at, or mostly.
func (m *machine) revOf(t *rapid.T, op leaderboard.Op) uint64 {
	page, err := m.model.Lookup(m.ctx, leaderboard.Ref{Board: op.Board}, []string{op.Member})
	if err != nil || rapid.IntRange(0, 3).Draw(t, "other rev") == 0 {
		return rapid.Uint64Range(0, 9).Draw(t, "rev")
	}
	return page.Entries[0].Rev
}

// digestOf is the same for the same operations.
func digestOf(ops []leaderboard.Op) leaderboard.Digest {
	h := fnv.New128a()
	for _, op := range ops {
		fmt.Fprintf(h, "%q %d %q %s %q %v %d\n", op.Board, op.Kind, op.Member, op.Score, op.Data, op.If, op.Season)
	}
	return leaderboard.Digest(h.Sum(nil))
}

// expiry is what came of an attempt to expire entries.
type expiry struct {
	Expired int
	Next    time.Time
}

// Expire expires all that is due.
func (m *machine) Expire(t *rapid.T) {
	var want, got expiry
	var wantErr, err error
	want.Expired, want.Next, wantErr = m.model.Expire(m.ctx, m.clock, 100)
	got.Expired, got.Next, err = m.store.Expire(m.ctx, m.clock, 100)
	m.same(t, "Expire", want, wantErr, got, err)
	for _, id := range slices.Sorted(maps.Keys(m.latest)) {
		if view, err := m.model.Board(m.ctx, id); err == nil {
			m.changed(id, view.Rev)
		}
	}
}

func (m *machine) Entries(t *rapid.T) {
	ref := leaderboard.Ref{Board: someBoards.Draw(t, "board"), Season: m.someSeason(t)}
	r := leaderboard.Range{Offset: rapid.IntRange(0, 8).Draw(t, "offset"), Limit: someLimits.Draw(t, "limit")}
	if len(m.positions) > 0 && rapid.Bool().Draw(t, "after") {
		after := rapid.SampledFrom(m.positions).Draw(t, "position")
		r.After = &after
	}
	if rapid.IntRange(0, 3).Draw(t, "around") == 0 {
		r.Around = new(someScore(t))
	}
	if rapid.IntRange(0, 3).Draw(t, "percent") == 0 {
		r.Percent = new(somePercent(t))
	}
	want, wantErr := m.model.Entries(m.ctx, ref, r)
	got, err := m.store.Entries(m.ctx, ref, r)
	m.same(t, fmt.Sprintf("Entries(%v, %s)", ref, describeRange(r)), want, wantErr, got, err)
	if n := len(got.Entries); n > 0 {
		m.positions = append(m.positions, got.Entries[n-1].Position())
	}
}

// Share reads the first so many percent of a board.
func (m *machine) Share(t *rapid.T) {
	ref := leaderboard.Ref{Board: someBoards.Draw(t, "board"), Season: m.someSeason(t)}
	r := leaderboard.Range{Percent: new(somePercent(t)), Offset: rapid.IntRange(0, 2).Draw(t, "offset"), Limit: someLimits.Draw(t, "limit")}
	want, wantErr := m.model.Entries(m.ctx, ref, r)
	got, err := m.store.Entries(m.ctx, ref, r)
	m.same(t, fmt.Sprintf("Entries(%v, %s)", ref, describeRange(r)), want, wantErr, got, err)
}

// Pages reads a board from its top to its end, by position and by offset.
func (m *machine) Pages(t *rapid.T) {
	ref := leaderboard.Ref{Board: someBoards.Draw(t, "board"), Season: m.someSeason(t)}
	r := leaderboard.Range{Limit: rapid.IntRange(1, 3).Draw(t, "limit")}
	byOffset := rapid.Bool().Draw(t, "by offset")
	for more := true; more; {
		want, wantErr := m.model.Entries(m.ctx, ref, r)
		got, err := m.store.Entries(m.ctx, ref, r)
		m.same(t, fmt.Sprintf("Entries(%v, %s)", ref, describeRange(r)), want, wantErr, got, err)
		if more = want.More; more {
			after := got.Entries[len(got.Entries)-1].Position()
			r.Offset += len(got.Entries)
			if !byOffset {
				r.After = &after
			}
		}
	}
}

// Around asks for the neighbours of everybody.
func (m *machine) Around(t *rapid.T) {
	ref := leaderboard.Ref{Board: someBoards.Draw(t, "board"), Season: m.someSeason(t)}
	limit := someLimits.Draw(t, "limit")
	for _, member := range members {
		want, wantErr := m.model.Around(m.ctx, ref, member, limit)
		got, err := m.store.Around(m.ctx, ref, member, limit)
		m.same(t, fmt.Sprintf("Around(%v, %q, %d)", ref, member, limit), want, wantErr, got, err)
	}
}

func (m *machine) Lookup(t *rapid.T) {
	ref := leaderboard.Ref{Board: someBoards.Draw(t, "board"), Season: m.someSeason(t)}
	members := rapid.SliceOfN(someMembers, 0, 5).Draw(t, "members")
	want, wantErr := m.model.Lookup(m.ctx, ref, members)
	got, err := m.store.Lookup(m.ctx, ref, members)
	m.same(t, fmt.Sprintf("Lookup(%v, %q)", ref, members), want, wantErr, got, err)
}

func (m *machine) Boards(t *rapid.T) {
	after := rapid.SampledFrom([]string{"", "a", "a-", "a-b", "aa", "b"}).Draw(t, "after")
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	want, wantErr := m.model.Boards(m.ctx, after, limit)
	got, err := m.store.Boards(m.ctx, after, limit)
	m.same(t, fmt.Sprintf("Boards(%q, %d)", after, limit), want, wantErr, got, err)
}

// Member is what a member has on a page of the boards, and where the next one begins.
type member struct {
	Pages []leaderboard.Page
	Next  string
}

func (m *machine) Member(t *rapid.T) {
	name := someMembers.Draw(t, "member")
	after := rapid.SampledFrom([]string{"", "", "a", "a-", "a-b", "b"}).Draw(t, "after")
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	var want, got member
	var wantErr, err error
	want.Pages, want.Next, wantErr = m.model.Member(m.ctx, name, after, limit)
	got.Pages, got.Next, err = m.store.Member(m.ctx, name, after, limit)
	m.same(t, fmt.Sprintf("Member(%q, %q, %d)", name, after, limit), want, wantErr, got, err)
}

// Changes reads the change log on, if it has something to tell.
func (m *machine) Changes(t *rapid.T) {
	if len(m.log.untold) == 0 {
		t.Skip("there is nothing to be told")
	}
	limit := someLimits.Draw(t, "limit")
	ctx, cancel := context.WithTimeout(m.ctx, patience)
	defer cancel()
	changes, next, err := m.store.Changes(ctx, m.cursor, limit)
	if err != nil {
		t.Fatalf("Changes(%q, %d): %v; not told yet are %v", m.cursor, limit, err, m.log.untold)
	}
	if len(changes) == 0 || len(changes) > limit {
		t.Fatalf("Changes(%q, %d) has %d changes", m.cursor, limit, len(changes))
	}
	for _, c := range changes {
		last := m.log.untold[c.Board]
		if c.Rev <= m.log.told[c.Board] || c.Rev > last {
			t.Fatalf("%s at rev %d is told after %v; what can be told is %v", c.Board, c.Rev, m.log.told, m.log.untold)
		}
		m.log.told[c.Board] = c.Rev
		if c.Rev == last {
			delete(m.log.untold, c.Board)
		}
	}
	m.cursor = next
}

// Ack acknowledges what was told.
func (m *machine) Ack(t *rapid.T) {
	if err := m.store.Ack(m.ctx, m.cursor); err != nil {
		t.Fatalf("Ack(%q): %v", m.cursor, err)
	}
	if m.cursor != "" {
		m.acked = m.log.clone()
	}
}

// ChangesAnew has the next reading begin from what is not acknowledged.
func (m *machine) ChangesAnew(t *rapid.T) {
	m.cursor = ""
	m.log = m.acked.clone()
	m.Changes(t)
}

// Reopen closes the store and opens it again.
func (m *machine) Reopen(t *rapid.T) {
	if rapid.Bool().Draw(t, "stay") {
		t.Skip("stores should be open for a while")
	}
	if err := m.store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	m.store = m.open()
	m.cursor = ""
	m.log = m.acked.clone()
	if m.bounded { // else late scores may still come
		m.clock = m.clock.Add(2 * time.Minute) // what was counted may be forgotten
	}
}

// Check compares everything that can be read.
func (m *machine) Check(t *rapid.T) {
	want, wantErr := m.model.Boards(m.ctx, "", 10)
	got, err := m.store.Boards(m.ctx, "", 10)
	m.same(t, "all boards", want, wantErr, got, err)
	for _, id := range slices.Sorted(maps.Keys(m.latest)) {
		want, wantErr := m.model.Seasons(m.ctx, id)
		got, err := m.store.Seasons(m.ctx, id)
		m.same(t, "seasons of "+id, want, wantErr, got, err)
		for _, ref := range append([]leaderboard.Ref{{Board: id}}, past(want)...) {
			want, wantErr := m.model.Entries(m.ctx, ref, whole)
			got, err := m.store.Entries(m.ctx, ref, whole)
			m.same(t, fmt.Sprintf("all of %v", ref), want, wantErr, got, err)
		}
	}
}
