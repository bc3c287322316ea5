package storetest

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laurel/internal/leaderboard"
)

// TestSuiteCatchesMutants shows that the suite can fail: each mutant breaks one
// promise of the contract, and the check of that promise must notice.
func TestSuiteCatchesMutants(t *testing.T) {
	for _, m := range slices.Concat(mutants, outboxMutants) {
		t.Run(m.name, func(t *testing.T) {
			c := find(t, m.caughtBy)
			failures := record(t, func(tb testing.TB) {
				tb.Helper()
				c.against(tb, new(disk).open, patience)
			})
			if len(failures) > 0 {
				t.Fatalf("%q fails without a mutant: %s", m.caughtBy, failures[0])
			}
			// A mutant may keep silent where something has to come; that is not waited for long.
			failures = record(t, func(tb testing.TB) {
				tb.Helper()
				c.against(tb, (&disk{mutant: m}).open, 200*time.Millisecond)
			})
			if len(failures) == 0 {
				t.Fatalf("%q does not notice that %s", m.caughtBy, m.name)
			}
			t.Log(failures[0])
		})
	}
}

// TestStateMachineCatchesMutants shows the same of the state machine, for what
// one caller alone can see.
func TestStateMachineCatchesMutants(t *testing.T) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s", "rapid.seed": "1", "rapid.checks": "4000"} {
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := flag.Set(name, before); err != nil {
				t.Error(err)
			}
		})
	}
	for _, m := range mutants {
		if m.hidden {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			failures := record(t, func(tb testing.TB) {
				tb.Helper()
				runMachine(tb, (&disk{mutant: m}).open)
			})
			if len(failures) == 0 {
				t.Fatalf("the state machine does not notice that %s", m.name)
			}
		})
	}
}

func find(t *testing.T, name string) check {
	t.Helper()
	groupName, checkName, _ := strings.Cut(name, "/")
	for _, g := range groups {
		for _, c := range g.checks {
			if g.name == groupName && c.name == checkName {
				return c
			}
		}
	}
	t.Fatalf("there is no check %q", name)
	return check{}
}

// recorder is a testing.TB whose failures are kept instead of told.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// record runs a check as a test would be run and returns what it failed with.
func record(tb testing.TB, run func(tb testing.TB)) []string {
	tb.Helper()
	r := &recorder{TB: tb}
	var wg sync.WaitGroup
	for _, part := range []func(){func() { run(r) }, r.cleanup} {
		wg.Go(func() { // since FailNow ends the goroutine
			defer func() {
				if p := recover(); p != nil {
					r.fail(fmt.Sprint("panic: ", p))
				}
			}()
			part()
		})
		wg.Wait()
	}
	return r.failures
}

func (r *recorder) cleanup() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

func (r *recorder) fail(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, message)
}

func (r *recorder) Helper()                           {}
func (r *recorder) Log(...any)                        {}
func (r *recorder) Logf(string, ...any)               {}
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fail()                             { r.fail("failed") }
func (r *recorder) FailNow()                          { r.fail("failed"); runtime.Goexit() }
func (r *recorder) Error(args ...any)                 { r.fail(fmt.Sprintln(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.fail(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatal(args ...any)                 { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

// disk keeps models, or mutants of them, between Close and the next opening.
type disk struct {
	mutant mutant
	mu     sync.Mutex
	models map[string]*Model // by directory
}

func (d *disk) open(_ testing.TB, dir string) Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.models == nil {
		d.models = map[string]*Model{}
	}
	if m, ok := d.models[dir]; ok {
		d.models[dir] = m.Reopen()
		if d.mutant.reopen != nil {
			d.mutant.reopen(d.models[dir])
		}
	} else {
		d.models[dir] = NewModel()
	}
	if d.mutant.store != nil {
		return d.mutant.store(d.models[dir])
	}
	return d.models[dir]
}

// mutant breaks the promise that its name says.
type mutant struct {
	name     string
	caughtBy string               // group/check
	store    func(m *Model) Store // wraps the model
	reopen   func(m *Model)       // damages what was kept
	hidden   bool                 // from the state machine: it takes a second caller, or too much luck
}

// Each method of a broken store is the model's, unless there is another.
type broken struct {
	*Model
	create  func(ctx context.Context, b leaderboard.Board) (leaderboard.View, error)
	patch   func(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error)
	delete  func(ctx context.Context, id string) error
	change  func(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error)
	apply   func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error)
	boards  func(ctx context.Context, after string, limit int) ([]leaderboard.View, error)
	seasons func(ctx context.Context, id string) ([]leaderboard.View, error)
	due     func(ctx context.Context, at time.Time, limit int) ([]string, time.Time, error)
	entries func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error)
	around  func(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error)
	lookup  func(ctx context.Context, at leaderboard.Ref, members []string) (leaderboard.Page, error)
	member  func(ctx context.Context, member, after string, limit int) ([]leaderboard.Page, string, error)
	changes func(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error)
	ack     func(ctx context.Context, through leaderboard.Cursor) error
	expire  func(ctx context.Context, now time.Time, limit int) (int, time.Time, error)
}

func (s *broken) Expire(ctx context.Context, now time.Time, limit int) (int, time.Time, error) {
	if s.expire != nil {
		return s.expire(ctx, now, limit)
	}
	return s.Model.Expire(ctx, now, limit)
}

func (s *broken) CreateBoard(ctx context.Context, b leaderboard.Board) (leaderboard.View, error) {
	if s.create != nil {
		return s.create(ctx, b)
	}
	return s.Model.CreateBoard(ctx, b)
}

func (s *broken) ChangeBoard(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
	if s.change != nil {
		return s.change(ctx, c)
	}
	return s.Model.ChangeBoard(ctx, c)
}

func (s *broken) PatchBoard(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error) {
	if s.patch != nil {
		return s.patch(ctx, id, p)
	}
	return s.Model.PatchBoard(ctx, id, p)
}

func (s *broken) DeleteBoard(ctx context.Context, id string) error {
	if s.delete != nil {
		return s.delete(ctx, id)
	}
	return s.Model.DeleteBoard(ctx, id)
}

func (s *broken) Apply(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
	if s.apply != nil {
		return s.apply(ctx, b)
	}
	return s.Model.Apply(ctx, b)
}

func (s *broken) Boards(ctx context.Context, after string, limit int) ([]leaderboard.View, error) {
	if s.boards != nil {
		return s.boards(ctx, after, limit)
	}
	return s.Model.Boards(ctx, after, limit)
}

func (s *broken) Seasons(ctx context.Context, id string) ([]leaderboard.View, error) {
	if s.seasons != nil {
		return s.seasons(ctx, id)
	}
	return s.Model.Seasons(ctx, id)
}

func (s *broken) Due(ctx context.Context, at time.Time, limit int) ([]string, time.Time, error) {
	if s.due != nil {
		return s.due(ctx, at, limit)
	}
	return s.Model.Due(ctx, at, limit)
}

func (s *broken) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	if s.entries != nil {
		return s.entries(ctx, at, r)
	}
	return s.Model.Entries(ctx, at, r)
}

func (s *broken) Around(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error) {
	if s.around != nil {
		return s.around(ctx, at, member, limit)
	}
	return s.Model.Around(ctx, at, member, limit)
}

func (s *broken) Lookup(ctx context.Context, at leaderboard.Ref, members []string) (leaderboard.Page, error) {
	if s.lookup != nil {
		return s.lookup(ctx, at, members)
	}
	return s.Model.Lookup(ctx, at, members)
}

func (s *broken) Member(ctx context.Context, member, after string, limit int) ([]leaderboard.Page, string, error) {
	if s.member != nil {
		return s.member(ctx, member, after, limit)
	}
	return s.Model.Member(ctx, member, after, limit)
}

func (s *broken) Changes(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	if s.changes != nil {
		return s.changes(ctx, after, limit)
	}
	return s.Model.Changes(ctx, after, limit)
}

func (s *broken) Ack(ctx context.Context, through leaderboard.Cursor) error {
	if s.ack != nil {
		return s.ack(ctx, through)
	}
	return s.Model.Ack(ctx, through)
}

// spoil returns an Apply that has the model apply a batch, then changes what
// the model has for each operation that was accepted, or for each that was not.
func spoil(m *Model, accepted bool, change func(b *board, e *leaderboard.Entry, op leaderboard.Op, r leaderboard.Result)) func(context.Context, leaderboard.Batch) (leaderboard.Outcome, error) {
	return func(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
		outcome, err := m.Apply(ctx, batch)
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, result := range outcome.Results {
			if result.Accepted != accepted {
				continue
			}
			b := m.boards[batch.Ops[i].Board]
			for j := range b.entries {
				if b.entries[j].Member == result.Member {
					change(b, &b.entries[j], batch.Ops[i], result)
				}
			}
		}
		for i := range outcome.Boards {
			outcome.Boards[i] = m.view(m.boards[outcome.Boards[i].Board.ID])
		}
		return outcome, err
	}
}

// window returns an Around that cuts its page out of the whole board.
func window(m *Model, cut func(i, limit, total int) (start, end int)) func(context.Context, leaderboard.Ref, string, int) (leaderboard.Page, error) {
	return func(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error) {
		page, err := m.Around(ctx, at, member, leaderboard.MaxLimit)
		if err != nil {
			return page, err
		}
		total := len(page.Entries)
		start, end := cut(slices.IndexFunc(page.Entries, func(e leaderboard.Entry) bool { return e.Member == member }), limit, total)
		page.Entries, page.More = page.Entries[max(start, 0):min(end, total)], end < total
		return page, nil
	}
}

var mutants = []mutant{
	{
		name: "ties go to the latest", caughtBy: "Apply/among equals the earliest stands first, in both orders",
		store: func(m *Model) Store {
			return &broken{Model: m, create: func(ctx context.Context, b leaderboard.Board) (leaderboard.View, error) {
				b.Ties = leaderboard.LatestTie
				return m.CreateBoard(ctx, b)
			}}
		},
	},
	{
		name: "a patch is no change", caughtBy: "Boards/a patch changes the settings it names and is one change",
		store: func(m *Model) Store {
			return &broken{Model: m, patch: func(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error) {
				view, err := m.PatchBoard(ctx, id, p)
				if err == nil {
					m.boards[id].rev--
					view.Rev--
				}
				return view, err
			}}
		},
	},
	{
		name: "a fixed setting can be patched", caughtBy: "Boards/a setting that cannot change is refused by a patch, whole",
		store: func(m *Model) Store {
			return &broken{Model: m, patch: func(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error) {
				p.Ties = nil
				return m.PatchBoard(ctx, id, p)
			}}
		},
	},
	{
		name: "a deletion forgets the rev", caughtBy: "Boards/a board created again is empty, has its new settings and goes on from its rev",
		store: func(m *Model) Store {
			return &broken{Model: m, delete: func(ctx context.Context, id string) error {
				err := m.DeleteBoard(ctx, id)
				delete(m.boards, id)
				return err
			}}
		},
	},
	{
		name: "a deletion is no change of its own", caughtBy: "Boards/rev goes on through every deletion",
		store: func(m *Model) Store {
			return &broken{Model: m, delete: func(ctx context.Context, id string) error {
				err := m.DeleteBoard(ctx, id)
				if err == nil {
					m.boards[id].rev--
				}
				return err
			}}
		},
	},
	{
		name: "boards are listed without regard to case", caughtBy: "Boards/boards are listed by id bytewise, in pages", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, boards: func(ctx context.Context, after string, limit int) ([]leaderboard.View, error) {
				views, err := m.Boards(ctx, after, limit)
				slices.SortFunc(views, func(x, y leaderboard.View) int {
					return cmp.Compare(strings.ToLower(x.Board.ID), strings.ToLower(y.Board.ID))
				})
				return views, err
			}}
		},
	},
	{
		name: "a refused batch is carried out up to its failure", caughtBy: "Batch/an operation that removes who is not there refuses its whole batch",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if failed, ok := errors.AsType[*leaderboard.BatchError](err); ok && failed.Index > 0 {
					if _, err := m.Apply(ctx, leaderboard.Batch{Ops: b.Ops[:failed.Index], At: b.At}); err != nil {
						return outcome, err
					}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "a refused batch uses up a rev", caughtBy: "Batch/a refused batch leaves nothing for the next one to see",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if err != nil && m.boards[b.Ops[0].Board] != nil {
					m.boards[b.Ops[0].Board].rev++
				}
				return outcome, err
			}}
		},
	},
	{
		name: "results show the end of the batch", caughtBy: "Batch/each operation sees what the ones before it did",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				for i, r := range outcome.Results {
					outcome.Results[i].Current = m.boards[b.Ops[i].Board].standing(r.Member)
				}
				return outcome, err
			}}
		},
	},
	{
		name: "the views of a batch are sorted", caughtBy: "Batch/a batch over many boards has its views in the order of the first operations",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				slices.SortFunc(outcome.Boards, func(x, y leaderboard.View) int { return cmp.Compare(x.Board.ID, y.Board.ID) })
				return outcome, err
			}}
		},
	},
	{
		name: "a score that comes back within a batch keeps its old place", caughtBy: "Batch/a score that leaves and comes back within a batch is reached anew",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
				before := map[string][]leaderboard.Entry{}
				for id, b := range m.boards {
					before[id] = slices.Clone(b.entries)
				}
				outcome, err := m.Apply(ctx, batch)
				for id, b := range m.boards {
					for i, e := range b.entries {
						for _, old := range before[id] {
							if old.Member == e.Member && old.Score == e.Score {
								b.entries[i].Seq = old.Seq
							}
						}
					}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "every batch is carried out, whatever its name", caughtBy: "Once/a batch of a name that was used changes nothing, whatever it holds",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				b.Once = ""
				return m.Apply(ctx, b)
			}}
		},
	},
	{
		name: "names are those of all boards", caughtBy: "Once/a name belongs to the board of the first operation",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				m.mu.Lock()
				for n := range m.names {
					if n.once == b.Once {
						m.names[name{b.Ops[0].Board, b.Once}] = kept{digest: b.OnceDigest}
						break
					}
				}
				m.mu.Unlock()
				return m.Apply(ctx, b)
			}}
		},
	},
	{
		name: "a batch that fails uses up its name", caughtBy: "Once/a batch that fails uses up no name",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				m.mu.Lock()
				defer m.mu.Unlock()
				if err != nil && b.Once != "" {
					m.names[name{b.Ops[0].Board, b.Once}] = kept{digest: b.OnceDigest}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "a batch that changes nothing keeps its name", caughtBy: "Once/a batch that changes nothing uses its name up", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				m.mu.Lock()
				defer m.mu.Unlock()
				if !outcome.Repeated && !slices.ContainsFunc(outcome.Results, func(r leaderboard.Result) bool { return r.Accepted }) && len(b.Ops) > 0 {
					delete(m.names, name{b.Ops[0].Board, b.Once})
				}
				return outcome, err
			}}
		},
	},
	{
		name: "a deletion forgets names", caughtBy: "Once/names outlive their board, and its settings",
		store: func(m *Model) Store {
			return &broken{Model: m, delete: func(ctx context.Context, id string) error {
				err := m.DeleteBoard(ctx, id)
				m.mu.Lock()
				defer m.mu.Unlock()
				for n := range m.names {
					if n.board == id {
						delete(m.names, n)
					}
				}
				return err
			}}
		},
	},
	{
		name: "opening forgets names", caughtBy: "Once/names are there again after opening",
		reopen: func(m *Model) { m.names = map[name]kept{} },
	},
	{
		name: "best takes an equal score", caughtBy: "Apply/best leaves a worse or an equal score aside and changes nothing",
		store: func(m *Model) Store {
			s := &broken{Model: m}
			s.apply = func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				b.Ops = slices.Clone(b.Ops)
				for i, op := range b.Ops {
					has, ok := m.boards[op.Board]
					if !ok || op.Kind != leaderboard.Submit || has.settings.Policy != leaderboard.Best {
						continue
					}
					points, err := scaled(op.Score, has.settings.Decimals)
					if err == nil && has.standing(op.Member).Rank > 0 && has.standing(op.Member).Score == points {
						b.Ops[i].Kind = leaderboard.Set
					}
				}
				return m.Apply(ctx, b)
			}
			return s
		},
	},
	{
		name: "a rejected submission uses up a rev", caughtBy: "Apply/a rejected submission uses up no rev",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: spoil(m, false, func(b *board, _ *leaderboard.Entry, _ leaderboard.Op, _ leaderboard.Result) { b.rev++ })}
		},
	},
	{
		name: "a rejected submission leaves its data", caughtBy: "Apply/best leaves a worse or an equal score aside and changes nothing",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: spoil(m, false, func(_ *board, e *leaderboard.Entry, op leaderboard.Op, _ leaderboard.Result) { e.Data = op.Data })}
		},
	},
	{
		name: "an equal score is reached anew", caughtBy: "Apply/an accepted submission that leaves the score equal keeps its place and is one change",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: spoil(m, true, func(b *board, e *leaderboard.Entry, _ leaderboard.Op, r leaderboard.Result) {
				if r.Previous.Rank > 0 && r.Previous.Score == r.Current.Score {
					e.Seq = b.rev
				}
			})}
		},
	},
	{
		name: "updated_at never goes back", caughtBy: "Apply/updated_at is the time of the batch, even when it lies before the last",
		store: func(m *Model) Store {
			var last time.Time
			return &broken{Model: m, apply: spoil(m, true, func(_ *board, e *leaderboard.Entry, _ leaderboard.Op, _ leaderboard.Result) {
				if e.UpdatedAt.Before(last) {
					e.UpdatedAt = last
				}
				last = e.UpdatedAt
			})}
		},
	},
	{
		name: "null is kept as data", caughtBy: "Apply/data that is null removes what there is",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: spoil(m, true, func(_ *board, e *leaderboard.Entry, op leaderboard.Op, _ leaderboard.Result) {
				if op.Data != nil {
					e.Data = op.Data
				}
			})}
		},
	},
	{
		name: "absent data removes what there is", caughtBy: "Apply/data that is absent keeps what there is",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: spoil(m, true, func(_ *board, e *leaderboard.Entry, op leaderboard.Op, _ leaderboard.Result) {
				if op.Data == nil {
					e.Data = nil
				}
			})}
		},
	},
	{
		name: "removing nobody is no error", caughtBy: "Apply/a member that is not on the board cannot be removed",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if errors.Is(err, leaderboard.ErrMemberNotFound) {
					return leaderboard.Outcome{}, nil
				}
				return outcome, err
			}}
		},
	},
	{
		name: "a sum stops at the limit", caughtBy: "Apply/a sum beyond the limit is refused",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if failed, ok := errors.AsType[*leaderboard.BatchError](err); ok && len(b.Ops) == 1 && leaderboard.CodeOf(err) == leaderboard.CodeScoreOutOfRange {
					decimals := m.boards[failed.Op.Board].settings.Decimals
					most := set(failed.Op.Board, failed.Op.Member, "0")
					most.Score = leaderboard.ScaledDecimal(scoreLimit(decimals), decimals)
					return m.Apply(ctx, leaderboard.Batch{Ops: []leaderboard.Op{most}, At: b.At})
				}
				return outcome, err
			}}
		},
	},
	{
		name: "submissions that are refused are counted", caughtBy: "Submits/what is refused counts as no submission, and neither do corrections and removals",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if failed, ok := errors.AsType[*leaderboard.BatchError](err); ok {
					for _, op := range b.Ops[:failed.Index] {
						_ = m.boards[op.Board].submit(op, b.At)
					}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "submissions are counted by the clock on the wall", caughtBy: "Submits/submissions are counted by the times of their batches, also where these go back",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				for _, view := range outcome.Boards {
					b := m.boards[view.Board.ID]
					for i := range b.submits {
						b.submits[i].at = time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)
					}
				}
				return outcome, err
			}}
		},
		hidden: true,
	},
	{
		name: "submissions that are not better are not counted", caughtBy: "Submits/a member makes no more submissions in a minute than its board allows, whatever came of them",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, batch)
				for i, r := range outcome.Results {
					b := m.boards[batch.Ops[i].Board]
					if n := len(b.submits); !r.Accepted && n > 0 {
						b.submits = b.submits[:n-1]
					}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "who falls off is told as a change", caughtBy: "Capacity/a board keeps its best, and who would be behind them is not taken",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				total := map[string]int{}
				for _, op := range b.Ops {
					if before := m.boards[op.Board]; before != nil {
						total[op.Board] = len(before.entries)
					}
				}
				outcome, err := m.Apply(ctx, b)
				for i := range outcome.Boards {
					b := m.boards[outcome.Boards[i].Board.ID]
					for _, r := range outcome.Results {
						if r.Accepted && r.Previous.Rank == 0 && total[b.settings.ID] == len(b.entries) && b.settings.MaxEntries > 0 {
							b.rev++
							outcome.Boards[i].Rev = b.rev
						}
					}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "a full board is changed by who is not taken", caughtBy: "Capacity/a board keeps its best, and who would be behind them is not taken",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				for _, r := range outcome.Results {
					if r.Reason == leaderboard.BoardFull {
						b := m.boards[outcome.Boards[0].Board.ID]
						if len(b.entries) > 0 {
							b.entries[0].Score++
						}
					}
				}
				return outcome, err
			}}
		},
	},
	{
		name: "an entry expires a moment too early", caughtBy: "Expiry/an entry that nobody refreshed for so long is taken off the board, which is one change",
		store: func(m *Model) Store {
			return &broken{Model: m, expire: func(ctx context.Context, now time.Time, limit int) (int, time.Time, error) {
				return m.Expire(ctx, now.Add(time.Millisecond), limit)
			}}
		},
		hidden: true, // where times are a quarter of a second apart
	},
	{
		name: "nothing expires", caughtBy: "Expiry/who left the board in another way does not expire",
		store: func(m *Model) Store {
			return &broken{Model: m, expire: func(context.Context, time.Time, int) (int, time.Time, error) { return 0, time.Time{}, nil }}
		},
	},
	{
		name: "conditions are not looked at", caughtBy: "Condition/an operation is carried out if its entry is at the rev that it names, and else nothing is",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				b.Ops = slices.Clone(b.Ops)
				for i := range b.Ops {
					b.Ops[i].If = leaderboard.Condition{}
				}
				return m.Apply(ctx, b)
			}}
		},
	},
	{
		name: "an entry is at the rev of its score", caughtBy: "Condition/an entry tells the rev of its last accepted change, also where that leaves its score",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: spoil(m, true, func(_ *board, e *leaderboard.Entry, _ leaderboard.Op, _ leaderboard.Result) { e.Rev = e.Seq })}
		},
	},
	{
		name: "what comes before a bound is carried out", caughtBy: "Bounds/each submission of a batch makes its own step",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if failed, ok := errors.AsType[*leaderboard.BatchError](err); ok && leaderboard.CodeOf(err) == leaderboard.CodeStepTooLarge {
					_, _ = m.Apply(ctx, leaderboard.Batch{Ops: b.Ops[:failed.Index], At: b.At})
				}
				return outcome, err
			}}
		},
	},
	{
		name: "a first step is free also where scores add up", caughtBy: "Bounds/the first step begins at 0 where scores add up, and is free elsewhere",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if leaderboard.CodeOf(err) != leaderboard.CodeStepTooLarge || len(b.Ops) > 1 || m.boards[b.Ops[0].Board].standing(b.Ops[0].Member).Rank > 0 {
					return outcome, err
				}
				correction := b.Ops[0]
				correction.Kind = leaderboard.Set
				return m.Apply(ctx, leaderboard.Batch{Ops: []leaderboard.Op{correction}, At: b.At, Once: b.Once})
			}}
		},
	},
	{
		name: "a correction goes beyond the maximum", caughtBy: "Bounds/no operation leaves a member below the minimum or above the maximum",
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				outcome, err := m.Apply(ctx, b)
				if leaderboard.CodeOf(err) != leaderboard.CodeScoreAboveMaximum || len(b.Ops) > 1 || b.Ops[0].Kind != leaderboard.Set {
					return outcome, err
				}
				settings := &m.boards[b.Ops[0].Board].settings
				most := settings.MaxScore
				settings.MaxScore = leaderboard.Bound{}
				defer func() { m.boards[b.Ops[0].Board].settings.MaxScore = most }()
				return m.Apply(ctx, b)
			}}
		},
	},
	{
		name: "competition ranks leave none out", caughtBy: "Read/competition ranks are shared by equals, and the next ones left out",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				page, err := m.Entries(ctx, at, r)
				for i := 1; i < len(page.Entries) && page.Board.RankStyle == leaderboard.Competition; i++ {
					page.Entries[i].Rank = page.Entries[i-1].Rank
					if page.Entries[i].Score != page.Entries[i-1].Score {
						page.Entries[i].Rank++
					}
				}
				return page, err
			}}
		},
	},
	{
		name: "dense ranks are competition ranks", caughtBy: "Read/dense ranks are shared by equals, and none is left out",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				page, err := m.Entries(ctx, at, r)
				for i := range page.Entries {
					if e := &page.Entries[i]; page.Board.RankStyle == leaderboard.Dense {
						e.Rank = e.Better + 1
					}
				}
				return page, err
			}}
		},
	},
	{
		name: "dense ranks begin with the page", caughtBy: "Read/ranks are those of the whole board wherever a page begins",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				page, err := m.Entries(ctx, at, r)
				if len(page.Entries) > 0 && page.Board.RankStyle == leaderboard.Dense {
					for i, first := len(page.Entries)-1, page.Entries[0].Rank; i >= 0; i-- {
						page.Entries[i].Rank -= first - 1
					}
				}
				return page, err
			}}
		},
	},
	{
		name: "competition ranks begin with the page", caughtBy: "Read/ranks are those of the whole board wherever a page begins",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				page, err := m.Entries(ctx, at, r)
				if len(page.Entries) > 0 && r.After == nil {
					page.Entries[0].Rank = r.Offset + 1
				}
				return page, err
			}}
		},
	},
	{
		name: "a full page says that there is more", caughtBy: "Read/a page from an offset has the entries from there on, at most limit",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				page, err := m.Entries(ctx, at, r)
				page.More = err == nil && len(page.Entries) == r.Limit
				return page, err
			}}
		},
	},
	{
		name: "a position must be somebody's", caughtBy: "Read/a position that nobody has any more is still a place",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				if b := m.boards[at.Board]; b != nil && r.After != nil {
					r.Offset = 1 + slices.IndexFunc(b.ranked(), func(e leaderboard.Entry) bool { return e.Position() == *r.After })
					r.After = nil
				}
				return m.Entries(ctx, at, r)
			}}
		},
	},
	{
		name: "around a score comes what is better only", caughtBy: "Read/around a score are those who stand about where it would",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				page, err := m.Entries(ctx, at, r)
				if r.Around != nil && len(page.Entries) > 1 {
					page.Entries, page.More = page.Entries[:len(page.Entries)-1], true
				}
				return page, err
			}}
		},
	},
	{
		name: "a percentage is rounded down", caughtBy: "Read/the first so many percent are rounded up, exactly",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				page, err := m.Entries(ctx, at, r)
				if err != nil || r.Percent == nil || r.After != nil || r.Around != nil {
					return page, err
				}
				part, err := r.Percent.Scaled(6)
				n := int(part) * page.Total / 100_000_000
				page.Entries = page.Entries[:max(0, min(len(page.Entries), n-r.Offset))]
				return page, err
			}}
		},
	},
	{
		name: "around is not filled up", caughtBy: "Read/around is filled up from below at the top",
		store: func(m *Model) Store {
			return &broken{Model: m, around: window(m, func(i, limit, _ int) (int, int) { return i - limit/2, i - limit/2 + limit })}
		},
	},
	{
		name: "around is filled up from below only", caughtBy: "Read/around is filled up from above at the bottom",
		store: func(m *Model) Store {
			return &broken{Model: m, around: window(m, func(i, limit, _ int) (int, int) {
				start := max(0, i-limit/2)
				return start, start + limit
			})}
		},
	},
	{
		name: "around has one more below", caughtBy: "Read/around has the member in its middle, one more above with an even limit",
		store: func(m *Model) Store {
			return &broken{Model: m, around: window(m, func(i, limit, total int) (int, int) {
				start := max(0, min(i-(limit-1)/2, total-limit))
				return start, start + limit
			})}
		},
	},
	{
		name: "a lookup answers by rank", caughtBy: "Read/a lookup answers in the order it was asked, absent members by name alone",
		store: func(m *Model) Store {
			return &broken{Model: m, lookup: func(ctx context.Context, at leaderboard.Ref, members []string) (leaderboard.Page, error) {
				page, err := m.Lookup(ctx, at, members)
				slices.SortFunc(page.Entries, func(x, y leaderboard.Entry) int { return cmp.Compare(x.Rank, y.Rank) })
				return page, err
			}}
		},
	},
	{
		name: "a member's boards are counted by those it is on", caughtBy: "Read/a member is found on every board, in pages by id",
		store: func(m *Model) Store {
			return &broken{Model: m, member: func(ctx context.Context, member, after string, limit int) ([]leaderboard.Page, string, error) {
				pages, _, err := m.Member(ctx, member, after, leaderboard.MaxLimit)
				if len(pages) <= limit {
					return pages, "", err
				}
				return pages[:limit], pages[limit-1].Board.ID, nil
			}}
		},
	},
	{
		name: "every season is the current one", caughtBy: "Read/a season that never was is not found",
		store: func(m *Model) Store {
			return &broken{Model: m, entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
				at.Season = 0
				return m.Entries(ctx, at, r)
			}}
		},
	},
	{
		name: "half a batch can be read", caughtBy: "Concurrency/readers see whole batches, at revs that never decrease, with the ranks that belong to them", hidden: true,
		store: func(m *Model) Store {
			var reads atomic.Int64
			return &broken{
				Model: m,
				apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
					if len(b.Ops) == 1 {
						return m.Apply(ctx, b)
					}
					var whole leaderboard.Outcome
					for _, op := range b.Ops {
						outcome, err := m.Apply(ctx, leaderboard.Batch{Ops: []leaderboard.Op{op}, At: b.At})
						if err != nil {
							return outcome, err
						}
						whole.Results, whole.Boards = append(whole.Results, outcome.Results...), outcome.Boards
						// Give the readers the time for two reads, unless they have all gone.
						seen := reads.Load()
						for end := time.Now().Add(5 * time.Millisecond); reads.Load() < seen+2 && time.Now().Before(end); {
							runtime.Gosched()
						}
					}
					return whole, nil
				},
				entries: func(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
					defer reads.Add(1)
					return m.Entries(ctx, at, r)
				},
			}
		},
	},
	{
		name: "an answer comes before its change can be read", caughtBy: "Concurrency/what was answered can be read at once", hidden: true,
		store: func(m *Model) Store {
			var old leaderboard.Page // what the last lookup found
			var mu sync.Mutex
			return &broken{Model: m, lookup: func(ctx context.Context, at leaderboard.Ref, members []string) (leaderboard.Page, error) {
				page, err := m.Lookup(ctx, at, members)
				mu.Lock()
				defer mu.Unlock()
				if old.Entries == nil {
					old = page
				}
				return old, err
			}}
		},
	},
	{
		name: "a deletion is not told", caughtBy: "ChangeLog/every kind of change is told", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, delete: func(ctx context.Context, id string) error {
				err := m.DeleteBoard(ctx, id)
				if err == nil {
					m.log = m.log[:len(m.log)-1]
				}
				return err
			}}
		},
	},
	{
		name: "a batch tells its first board only", caughtBy: "ChangeLog/a batch tells the last rev of each of its boards", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, apply: func(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
				logged := len(m.log)
				outcome, err := m.Apply(ctx, b)
				m.log = append(m.log[:logged], slices.DeleteFunc(slices.Clone(m.log[logged:]), func(c leaderboard.Change) bool {
					return c.Board != b.Ops[0].Board
				})...)
				return outcome, err
			}}
		},
	},
	{
		name: "changes are told board by board", caughtBy: "ChangeLog/changes are told in their order, at most limit at once",
		store: func(m *Model) Store {
			return &broken{Model: m, changes: func(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
				changes, next, err := m.Changes(ctx, after, limit)
				slices.SortFunc(changes, func(x, y leaderboard.Change) int { return cmp.Compare(x.Board, y.Board) })
				return changes, next, err
			}}
		},
		hidden: true,
	},
	{
		name: "the limit of changes does not count", caughtBy: "ChangeLog/changes are told in their order, at most limit at once",
		store: func(m *Model) Store {
			return &broken{Model: m, changes: func(ctx context.Context, after leaderboard.Cursor, _ int) ([]leaderboard.Change, leaderboard.Cursor, error) {
				return m.Changes(ctx, after, 1000)
			}}
		},
	},
	{
		name: "nobody is woken", caughtBy: "ChangeLog/who waits for changes is woken by one", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, changes: func(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
				changes, next, _, err := m.changesNow(ctx, after, limit)
				if err == nil && len(changes) == 0 {
					<-ctx.Done()
					err = ctx.Err()
				}
				return changes, next, err
			}}
		},
	},
	{
		name: "no changes is an answer", caughtBy: "ChangeLog/waiting ends with the context", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, changes: func(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
				changes, next, _, err := m.changesNow(context.WithoutCancel(ctx), after, limit)
				return changes, next, err
			}}
		},
	},
	{
		name: "waiting outlasts its context", caughtBy: "ChangeLog/waiting ends with the context", hidden: true,
		store: func(m *Model) Store {
			return &broken{Model: m, changes: func(_ context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
				return m.Changes(context.Background(), after, limit) //nolint:contextcheck // which is what is wrong here
			}}
		},
	},
	{
		name: "an acknowledgement is not kept", caughtBy: "ChangeLog/after an acknowledgement the empty cursor stands behind what was acknowledged",
		store: func(m *Model) Store {
			return &broken{Model: m, ack: func(context.Context, leaderboard.Cursor) error { return nil }}
		},
	},
	{
		name: "an acknowledgement reaches to the end", caughtBy: "ChangeLog/an acknowledgement does not reach beyond its cursor",
		store: func(m *Model) Store {
			return &broken{Model: m, ack: func(context.Context, leaderboard.Cursor) error {
				m.acked = len(m.log)
				return nil
			}}
		},
		hidden: true,
	},
	{
		name: "opening tells everything again", caughtBy: "Reopen/changes that were acknowledged are not told again",
		reopen: func(m *Model) { m.acked = 0 },
	},
	{
		name: "opening tells nothing again", caughtBy: "Reopen/changes that were not acknowledged are told again", hidden: true,
		reopen: func(m *Model) { m.acked = len(m.log) },
	},
	{
		name: "opening forgets the revs of deleted boards", caughtBy: "Reopen/rev goes on through deletion and creation",
		reopen: func(m *Model) {
			for id, b := range m.boards {
				if b.deleted {
					delete(m.boards, id)
				}
			}
		},
	},
	{
		name: "opening loses the order of ties", caughtBy: "Reopen/ties keep their order, and the next to come stands where it should",
		reopen: func(m *Model) {
			for _, b := range m.boards {
				slices.SortFunc(b.entries, func(x, y leaderboard.Entry) int { return cmp.Compare(x.Member, y.Member) })
				for i := range b.entries {
					b.entries[i].Seq = uint64(i) + 1
				}
			}
		},
	},
	{
		name: "opening loses updated_at", caughtBy: "Reopen/everything that can be read is there again",
		reopen: func(m *Model) {
			for _, b := range m.boards {
				for i := range b.entries {
					b.entries[i].UpdatedAt = time.Time{}
				}
			}
		},
	},
	{
		name: "opening loses the last change", caughtBy: "Reopen/closing under writers keeps what was answered and nothing else",
		reopen: func(m *Model) {
			for _, b := range m.boards {
				if len(b.entries) > 0 {
					b.entries[0].Score--
				}
			}
		},
	},
}
