package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"laurel/internal/leaderboard"
)

// Store is a store that can be closed, and opened again.
type Store interface {
	leaderboard.Store
	leaderboard.Outbox
	Close() error
}

// Opener opens the store that is kept in dir, or a new one if there is none.
// The suite gives every new store an empty directory of its own, and opens one
// directory once at a time. A store that keeps nothing in files may take dir as
// a name.
type Opener func(tb testing.TB, dir string) Store

// Run holds the stores that open opens to the contract, one subtest a fact.
func Run(t *testing.T, open Opener) {
	t.Helper()
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.checks {
				t.Run(c.name, func(t *testing.T) { c.against(t, open, patience) })
			}
		})
	}
	t.Run("StateMachine", func(t *testing.T) { runMachine(t, open) })
}

var groups = []group{
	{"Boards", boardChecks},
	{"Apply", applyChecks},
	{"Batch", batchChecks},
	{"Bounds", boundsChecks},
	{"Condition", conditionChecks},
	{"Submits", submitsChecks},
	{"Capacity", capacityChecks},
	{"Expiry", expiryChecks},
	{"Once", onceChecks},
	{"Seasons", seasonChecks},
	{"CappedSeasons", cappedSeasonChecks},
	{"Read", readChecks},
	{"ChangeLog", changeLogChecks},
	{"Concurrency", concurrencyChecks},
	{"Reopen", reopenChecks},
	{"Outbox", outboxChecks},
}

type group struct {
	name   string
	checks []check
}

// check is one fact of the contract. The name says it.
type check struct {
	name string
	run  func(f *fixture)
}

// patience is how long something that must happen may take, however slow the
// machine is. Nothing is slower for its being long, except a failure.
const patience = 30 * time.Second

func (c check) against(tb testing.TB, open Opener, patience time.Duration) {
	tb.Helper()
	f := &fixture{
		TB: tb, open: open, dir: tb.TempDir(), patience: patience,
		clock: time.Date(2026, 11, 24, 9, 0, 0, 204e6, time.UTC),
	}
	f.store = open(tb, f.dir)
	tb.Cleanup(func() {
		if f.store != nil {
			f.close()
		}
	})
	c.run(f)
}

// fixture is a store with what a check needs at hand. Its methods end the check
// when something goes wrong that the check is not about.
type fixture struct {
	testing.TB
	store    Store // nil while it is closed
	open     Opener
	dir      string
	patience time.Duration
	clock    time.Time // time of the last batch
}

func (f *fixture) close() {
	f.Helper()
	store := f.store
	f.store = nil
	if err := store.Close(); err != nil {
		f.Fatalf("Close: %v", err)
	}
}

func (f *fixture) reopen() {
	f.Helper()
	f.close()
	f.store = f.open(f.TB, f.dir)
}

// create creates a board, now; settings that are zero get their defaults.
func (f *fixture) create(b leaderboard.Board) leaderboard.View {
	f.Helper()
	b = b.WithDefaults()
	b.CreatedAt = f.clock
	view, err := f.store.CreateBoard(f.Context(), b)
	if err != nil {
		f.Fatalf("CreateBoard(%q): %v", b.ID, err)
	}
	return view
}

func (f *fixture) patch(id string, p leaderboard.Patch) leaderboard.View {
	f.Helper()
	view, err := f.store.PatchBoard(f.Context(), id, p)
	if err != nil {
		f.Fatalf("PatchBoard(%q): %v", id, err)
	}
	return view
}

func (f *fixture) delete(id string) {
	f.Helper()
	if err := f.store.DeleteBoard(f.Context(), id); err != nil {
		f.Fatalf("DeleteBoard(%q): %v", id, err)
	}
}

// once carries out operations as one batch with a name, or without if that is
// empty, a second after the one before.
func (f *fixture) once(name string, ops ...leaderboard.Op) leaderboard.Outcome {
	f.Helper()
	f.clock = f.clock.Add(time.Second)
	outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock, Once: name})
	if err != nil {
		f.Fatalf("Apply(%v): %v", describe(ops), err)
	}
	return outcome
}

// repeated carries out a batch whose name was used before.
func (f *fixture) repeated(name string, ops ...leaderboard.Op) {
	f.Helper()
	f.unchanged(func() {
		if diff := compare(leaderboard.Outcome{Repeated: true}, f.once(name, ops...)); diff != "" {
			f.Errorf("outcome of a repeated batch (-want +got):\n%s", diff)
		}
	})
}

// apply carries out operations as one batch, a second after the one before.
func (f *fixture) apply(ops ...leaderboard.Op) leaderboard.Outcome {
	f.Helper()
	outcome := f.once("", ops...)
	if len(outcome.Results) != len(ops) {
		f.Fatalf("Apply(%v): %d results for %d operations", describe(ops), len(outcome.Results), len(ops))
	}
	return outcome
}

// refuse carries out a batch that fails at the operation with the index.
func (f *fixture) refuse(index int, code leaderboard.Code, ops ...leaderboard.Op) {
	f.Helper()
	outcome, err := f.store.Apply(f.Context(), leaderboard.Batch{Ops: ops, At: f.clock.Add(time.Second)})
	failed, ok := errors.AsType[*leaderboard.BatchError](err)
	if !ok {
		f.Fatalf("Apply(%v) = %v, %v, want a BatchError with the code %s", describe(ops), outcome, err, code)
	}
	if failed.Index != index || leaderboard.CodeOf(err) != code {
		f.Errorf("Apply(%v) fails at %d with %s, want at %d with %s", describe(ops), failed.Index, leaderboard.CodeOf(err), index, code)
	}
	if diff := compare(ops[index], failed.Op); diff != "" {
		f.Errorf("operation in the BatchError (-want +got):\n%s", diff)
	}
	if diff := compare(leaderboard.Outcome{}, outcome); diff != "" {
		f.Errorf("outcome of a refused batch (-want +got):\n%s", diff)
	}
}

func (f *fixture) view(id string) leaderboard.View {
	f.Helper()
	view, err := f.store.Board(f.Context(), id)
	if err != nil {
		f.Fatalf("Board(%q): %v", id, err)
	}
	return view
}

func (f *fixture) page(id string, r leaderboard.Range) leaderboard.Page {
	f.Helper()
	page, err := f.store.Entries(f.Context(), leaderboard.Ref{Board: id}, r)
	if err != nil {
		f.Fatalf("Entries(%q, %s): %v", id, describeRange(r), err)
	}
	return page
}

func (f *fixture) entries(id string) []leaderboard.Entry {
	f.Helper()
	return f.page(id, leaderboard.Range{Limit: leaderboard.MaxLimit}).Entries
}

func (f *fixture) entry(id, member string) leaderboard.Entry {
	f.Helper()
	page := f.lookup(id, member)
	if len(page.Entries) != 1 {
		f.Fatalf("Lookup(%q, %q) has %d entries", id, member, len(page.Entries))
	}
	return page.Entries[0]
}

func (f *fixture) lookup(id string, members ...string) leaderboard.Page {
	f.Helper()
	page, err := f.store.Lookup(f.Context(), leaderboard.Ref{Board: id}, members)
	if err != nil {
		f.Fatalf("Lookup(%q, %q): %v", id, members, err)
	}
	return page
}

func (f *fixture) boards() []leaderboard.View {
	f.Helper()
	views, err := f.store.Boards(f.Context(), "", leaderboard.MaxLimit)
	if err != nil {
		f.Fatalf("Boards: %v", err)
	}
	return views
}

// wantTable compares the whole board with lines such as "1 alice 30": rank,
// member and scaled score.
func (f *fixture) wantTable(id string, want ...string) {
	f.Helper()
	if diff := compare(want, table(f.entries(id))); diff != "" {
		f.Errorf("board %q (-want +got):\n%s", id, diff)
	}
}

func table(entries []leaderboard.Entry) []string {
	var lines []string
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%d %s %d", e.Rank, e.Member, e.Score))
	}
	return lines
}

func (f *fixture) wantRev(id string, want uint64) {
	f.Helper()
	if got := f.view(id).Rev; got != want {
		f.Errorf("rev of %q = %d, want %d", id, got, want)
	}
}

func (f *fixture) wantCode(what string, err error, want leaderboard.Code) {
	f.Helper()
	if got := leaderboard.CodeOf(err); got != want || err == nil {
		f.Errorf("%s: error %v with the code %q, want the code %q", what, err, got, want)
	}
}

// snapshot is everything that can be read from a store.
type snapshot struct {
	Boards  []leaderboard.View
	Seasons map[string][]leaderboard.Page // whole ones, by board
}

func (f *fixture) snapshot() snapshot {
	f.Helper()
	s := snapshot{Boards: f.boards(), Seasons: map[string][]leaderboard.Page{}}
	for _, view := range s.Boards {
		id := view.Board.ID
		for _, of := range f.seasons(id) {
			page := f.pageOf(leaderboard.Ref{Board: id, Season: of.Season}, whole)
			if diff := compare(of, page.View); diff != "" {
				f.Errorf("view of season %d of %q (-of Seasons +of Entries):\n%s", of.Season, id, diff)
			}
			s.Seasons[id] = append(s.Seasons[id], page)
		}
		if len(s.Seasons[id]) == 0 || compare(view, s.Seasons[id][0].View) != "" {
			f.Errorf("the first of the seasons of %q is not the current one, %+v: %+v", id, view, s.Seasons[id])
		}
	}
	return s
}

// unchanged runs something that must change nothing that can be read.
func (f *fixture) unchanged(run func()) {
	f.Helper()
	before := f.snapshot()
	run()
	if diff := compare(before, f.snapshot()); diff != "" {
		f.Errorf("what must not change did (-before +after):\n%s", diff)
	}
}

// soon is a context for what must come to its end by itself.
func (f *fixture) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(f.Context(), f.patience)
}

// compare tells want and got apart, where an empty list is like none and a time
// is a moment, whatever its zone.
func compare(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return "" // which is soon known, and the most common
	}
	return cmp.Diff(want, got, cmp.AllowUnexported(leaderboard.Decimal{}), cmpopts.EquateEmpty())
}

func score(s string) leaderboard.Decimal {
	d, err := leaderboard.ParseDecimal(s)
	if err != nil {
		panic(err)
	}
	return d
}

func submit(board, member, points string) leaderboard.Op {
	return leaderboard.Op{Board: board, Kind: leaderboard.Submit, Member: member, Score: score(points)}
}

func set(board, member, points string) leaderboard.Op {
	return leaderboard.Op{Board: board, Kind: leaderboard.Set, Member: member, Score: score(points)}
}

func remove(board, member string) leaderboard.Op {
	return leaderboard.Op{Board: board, Kind: leaderboard.Remove, Member: member}
}

func withData(op leaderboard.Op, data string) leaderboard.Op {
	op.Data = []byte(data)
	return op
}

func describe(ops []leaderboard.Op) []string {
	var words []string
	for _, op := range ops {
		kind := [...]string{leaderboard.Submit: "submit", leaderboard.Set: "set", leaderboard.Remove: "remove"}[op.Kind]
		word := fmt.Sprintf("%s %s/%s", kind, op.Board, op.Member)
		if op.Kind != leaderboard.Remove {
			word += " " + op.Score.String()
		}
		if op.Data != nil {
			word += " " + string(op.Data)
		}
		if op.Season != 0 {
			word += fmt.Sprintf(" in season %d", op.Season)
		}
		words = append(words, word)
	}
	return words
}

func describeRange(r leaderboard.Range) string {
	text := fmt.Sprintf("%d from %d", r.Limit, r.Offset)
	switch {
	case r.Around != nil:
		text = fmt.Sprintf("%d around %s", r.Limit, r.Around)
	case r.After != nil:
		text = fmt.Sprintf("%d after %+v", r.Limit, *r.After)
	}
	if r.Percent != nil {
		text += fmt.Sprintf(" within %s %%", r.Percent)
	}
	return text
}

// whole is the range of a whole board.
var whole = leaderboard.Range{Limit: leaderboard.MaxLimit}

var extremePositions = []leaderboard.Position{
	{Score: math.MinInt64, Seq: 0},
	{Score: math.MinInt64, Seq: math.MaxUint64},
	{Score: math.MaxInt64, Seq: 0},
	{Score: math.MaxInt64, Seq: math.MaxUint64},
}
