package leaderboard

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Service is the door to a store: it checks what it is given, creates boards on
// their first submission, and stamps changes with the time. Its methods are
// safe for concurrent use.
type Service struct {
	store Store
	opts  ServiceOptions
	once  *Once // nil: writes have no name
}

// Once names a request that may have to be sent again because no answer came.
type Once struct {
	Name     string // at most [MaxOnce] bytes
	Digest   Digest // of all that the request is made up of
	Repeated bool   // set by a write that was not carried out, as it was before
}

// ServiceOptions are the settings of a [Service].
type ServiceOptions struct {
	// NoAutoCreate makes a submission to a board that does not exist an error,
	// where it would create the board with the default settings.
	NoAutoCreate bool

	// Now returns the time; nil is [time.Now].
	Now func() time.Time
}

// NewService returns a service over a store.
func NewService(store Store, opts ServiceOptions) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Service{store: store, opts: opts}
}

// Under returns a door for one request that makes one write: within [OnceTTL], a
// write to the same board with the same name and digest is answered as the first
// was, and changes nothing. If the digest is another, the write returns [ErrOnceReused]. A write
// that fails uses up no name.
func (s *Service) Under(once *Once) *Service {
	named := *s
	named.once = once
	return &named
}

// Submission is a score that a member made.
type Submission struct {
	Member string
	Score  Decimal
	Data   json.RawMessage // nil keeps what the entry has, null removes it, an object replaces it
	If     Condition       // what must hold of the entry; else [ErrEntryChanged]
	Season int             // 1-based, which the score was made in; 0: the current one
}

// op returns the operation that a submission is.
func (sub *Submission) op(board string, kind Kind) Op {
	return Op{Board: board, Kind: kind, Member: sub.Member, Score: sub.Score, Data: sub.Data, If: sub.If, Season: sub.Season}
}

// BoardSubmission is a score that a member made on one of many boards.
type BoardSubmission struct {
	Board string
	Submission
}

// CreateBoard creates a board; settings that are zero get their defaults. It
// returns [ErrBoardExists], or an error with the code [CodeInvalidBoard].
func (s *Service) CreateBoard(ctx context.Context, b Board) (View, error) {
	b = b.WithDefaults()
	if err := b.Validate(); err != nil {
		return View{}, err
	}
	b.CreatedAt = s.now()
	if s.once != nil {
		return s.change(ctx, BoardChange{ID: b.ID, Create: &b})
	}
	return s.store.CreateBoard(ctx, b)
}

// change changes a board under the name of the request.
func (s *Service) change(ctx context.Context, c BoardChange) (View, error) {
	c.Once, c.OnceDigest = s.once.Name, s.once.Digest
	view, repeated, err := s.store.ChangeBoard(ctx, c)
	s.once.Repeated = repeated
	return view, err
}

// PatchBoard changes settings of a board.
func (s *Service) PatchBoard(ctx context.Context, id string, p Patch) (View, error) {
	if err := ValidateBoardID(id); err != nil {
		return View{}, err
	}
	p.At = s.now()
	if p.Seasons != nil {
		// By the setting of before, or its end would be forgotten. What is in the way of that is in the
		// way of the patch too, unless that was made before.
		_, _, _ = s.store.ChangeBoard(ctx, BoardChange{ID: id, End: &End{At: p.At, Due: true}})
	}
	if s.once != nil {
		return s.change(ctx, BoardChange{ID: id, Patch: &p})
	}
	return s.store.PatchBoard(ctx, id, p)
}

// DeleteBoard removes a board and its entries.
func (s *Service) DeleteBoard(ctx context.Context, id string) error {
	if err := ValidateBoardID(id); err != nil {
		return err
	}
	if s.once != nil {
		_, err := s.change(ctx, BoardChange{ID: id})
		return err
	}
	return s.store.DeleteBoard(ctx, id)
}

// EndSeason ends the current season of a board, if it is the one with this number or if
// that is 0; see [End]. It returns the season that is the current one then.
func (s *Service) EndSeason(ctx context.Context, board string, season int) (View, error) {
	return s.end(ctx, board, End{Season: season, At: s.now()})
}

// EndDue ends the current season of a board if it is due.
func (s *Service) EndDue(ctx context.Context, board string) (View, error) {
	return s.end(ctx, board, End{At: s.now(), Due: true})
}

func (s *Service) end(ctx context.Context, board string, end End) (View, error) {
	if err := ValidateBoardID(board); err != nil {
		return View{}, err
	}
	change := BoardChange{ID: board, End: &end}
	if s.once != nil {
		return s.change(ctx, change)
	}
	view, _, err := s.store.ChangeBoard(ctx, change)
	return view, err
}

// Submit applies the board's policy to submissions in their order, all or none.
// A board that does not exist is created, unless the options say otherwise.
func (s *Service) Submit(ctx context.Context, board string, submissions []Submission) (Outcome, error) {
	return s.SubmitOnce(ctx, "", board, submissions)
}

// SubmitOnce is Submit for who may have to ask again because no answer came:
// what was applied to a board under a name, of at most [MaxOnce] bytes, is not
// applied to it under the same name again. See [Batch] for how long.
func (s *Service) SubmitOnce(ctx context.Context, name, board string, submissions []Submission) (Outcome, error) {
	ops := make([]Op, len(submissions))
	for i, sub := range submissions {
		ops[i] = sub.op(board, Submit)
	}
	return s.apply(ctx, name, ops)
}

// SubmitAcross applies the policies of boards to submissions in their order, all
// or none. Boards that do not exist are not created, as one of them would stay
// when a submission to another is refused.
func (s *Service) SubmitAcross(ctx context.Context, submissions []BoardSubmission) (Outcome, error) {
	ops := make([]Op, len(submissions))
	for i, sub := range submissions {
		ops[i] = sub.op(sub.Board, Submit)
	}
	if err := checkAll(ops); err != nil {
		return Outcome{}, err
	}
	return s.applyOnce(ctx, "", ops)
}

// Set gives a member a score whatever the policy, as an operator's correction.
func (s *Service) Set(ctx context.Context, board string, sub Submission) (Outcome, error) {
	return s.apply(ctx, "", []Op{sub.op(board, Set)})
}

// SetAll gives members scores whatever the policy, in their order, all or none.
func (s *Service) SetAll(ctx context.Context, board string, submissions []Submission) (Outcome, error) {
	ops := make([]Op, len(submissions))
	for i, sub := range submissions {
		ops[i] = sub.op(board, Set)
	}
	return s.apply(ctx, "", ops)
}

// Remove takes a member off a board. It returns [ErrBoardNotFound] or
// [ErrMemberNotFound].
func (s *Service) Remove(ctx context.Context, at Ref, member string) (Outcome, error) {
	return s.RemoveIf(ctx, at, member, Condition{})
}

// RemoveIf is Remove under a condition; if that does not hold, it returns
// [ErrEntryChanged].
func (s *Service) RemoveIf(ctx context.Context, at Ref, member string, condition Condition) (Outcome, error) {
	return s.apply(ctx, "", []Op{{Board: at.Board, Kind: Remove, Member: member, If: condition, Season: at.Season}})
}

// apply carries out operations, under a name unless that is empty.
func (s *Service) apply(ctx context.Context, name string, ops []Op) (Outcome, error) {
	if err := checkAll(ops); err != nil {
		return Outcome{}, err
	}
	for {
		outcome, err := s.applyOnce(ctx, name, ops)
		failed, ok := errors.AsType[*BatchError](err)
		if !ok || s.opts.NoAutoCreate || failed.Op.Kind == Remove || !errors.Is(err, ErrBoardNotFound) {
			return outcome, err
		}
		if err := s.createFor(ctx, failed.Op.Board, ops); err != nil {
			return Outcome{}, err
		}
	}
}

// applyOnce tries once to carry out valid operations, under the name of the
// request if it has one, else under the one given unless that is empty.
func (s *Service) applyOnce(ctx context.Context, name string, ops []Op) (Outcome, error) {
	if s.once == nil {
		return s.store.Apply(ctx, Batch{Ops: ops, At: s.now(), Once: name})
	}
	outcome, err := s.store.Apply(ctx, Batch{Ops: ops, At: s.now(), Once: s.once.Name, OnceDigest: s.once.Digest})
	if outcome.Repeated {
		if len(outcome.Results) == 0 {
			return Outcome{}, ErrOnceReused // by something that needed no answer
		}
		s.once.Repeated = true
	}
	return outcome, err
}

// createFor creates a board with the default settings, unless one of the
// operations that wait for it could not be carried out on such a board: a
// request that is refused leaves nothing behind.
func (s *Service) createFor(ctx context.Context, id string, ops []Op) error {
	board := Board{ID: id}.WithDefaults()
	board.CreatedAt = s.now()
	season := board.FirstRun(board.CreatedAt)
	records := map[string]*Record{}
	for i, op := range ops {
		if op.Board != id || op.Kind == Remove {
			continue
		}
		_, err := board.Admit(season, &op, board.CreatedAt)
		if err == nil && records[op.Member] == nil {
			err = op.CheckRev(0)
		}
		var record Record
		if err == nil {
			record, _, err = board.Decide(op, records[op.Member])
		}
		if err != nil {
			return &BatchError{Index: i, Op: op, Err: err}
		}
		records[op.Member] = &record
	}
	_, err := s.store.CreateBoard(ctx, board) // the name is that of the batch
	if errors.Is(err, ErrBoardExists) {
		return nil // another submission was quicker
	}
	return err
}

// checkAll validates the operations of a batch and compacts their data.
func checkAll(ops []Op) error {
	switch {
	case len(ops) == 0:
		return Errorf(CodeEmptyBatch, "there is nothing to submit")
	case len(ops) > MaxBatch:
		return Errorf(CodeBatchTooLarge, "%d submissions in one request, at most %d are allowed", len(ops), MaxBatch)
	}
	for i := range ops {
		if err := check(&ops[i]); err != nil {
			return &BatchError{Index: i, Op: ops[i], Err: err}
		}
	}
	return checkSeasons(ops)
}

// checkSeasons refuses a batch in which a board is meant in two of its seasons.
func checkSeasons(ops []Op) error {
	var seasons map[string]int
	for i, op := range ops {
		first := ops[0]
		if op.Board == first.Board {
			if op.Season != first.Season {
				return mixedSeasons(i, op)
			}
			continue
		}
		if season, ok := seasons[op.Board]; ok && season != op.Season {
			return mixedSeasons(i, op)
		}
		if seasons == nil {
			seasons = make(map[string]int)
		}
		seasons[op.Board] = op.Season
	}
	return nil
}

func mixedSeasons(i int, op Op) error {
	return &BatchError{Index: i, Op: op, Err: Errorf(CodeMixedSeasons, "the request means two seasons of board %q; send it in two", op.Board)}
}

// check validates an operation and compacts its data.
func check(op *Op) error {
	if err := ValidateBoardID(op.Board); err != nil {
		return err
	}
	if err := ValidateMember(op.Member); err != nil {
		return err
	}
	if op.Season < 0 {
		return seasonNotFound(op.Board, op.Season)
	}
	var err error
	op.Data, err = CompactData(op.Data)
	return err
}

func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Millisecond) }

// Writable returns nil if submissions are taken, and else why not.
func (s *Service) Writable() error { return s.store.Writable() }

// Board returns a board as it is now.
func (s *Service) Board(ctx context.Context, id string) (View, error) {
	if err := ValidateBoardID(id); err != nil {
		return View{}, err
	}
	return s.store.Board(ctx, id)
}

// Seasons returns the seasons of a board that are kept; see [Reader].
func (s *Service) Seasons(ctx context.Context, board string) ([]View, error) {
	if err := ValidateBoardID(board); err != nil {
		return nil, err
	}
	return s.store.Seasons(ctx, board)
}

// Due returns at most limit boards whose season is due now; see [Reader].
func (s *Service) Due(ctx context.Context, limit int) (boards []string, next time.Time, err error) {
	return s.store.Due(ctx, s.now(), limit)
}

// Boards returns at most limit boards whose ids are above after.
func (s *Service) Boards(ctx context.Context, after string, limit int) ([]View, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return s.store.Boards(ctx, after, limit)
}

// Entries returns a page of a board from the top.
func (s *Service) Entries(ctx context.Context, at Ref, r Range) (Page, error) {
	if err := ValidateBoardID(at.Board); err != nil {
		return Page{}, err
	}
	if r.Offset < 0 {
		return Page{}, Errorf(CodeInvalidLimit, "offset is %d, must not be negative", r.Offset)
	}
	if err := checkPercent(r.Percent); err != nil {
		return Page{}, err
	}
	if err := checkLimit(r.Limit); err != nil {
		return Page{}, err
	}
	return s.store.Entries(ctx, at, r)
}

// Around returns a member and its neighbours; see [Reader].
func (s *Service) Around(ctx context.Context, at Ref, member string, limit int) (Page, error) {
	if err := checkMembers(at.Board, member); err != nil {
		return Page{}, err
	}
	if err := checkLimit(limit); err != nil {
		return Page{}, err
	}
	return s.store.Around(ctx, at, member, limit)
}

// Entry returns one member's entry, alone on its page. It returns
// [ErrMemberNotFound] if the member is not on the board.
func (s *Service) Entry(ctx context.Context, at Ref, member string) (Page, error) {
	page, err := s.Lookup(ctx, at, member)
	if err == nil && page.Entries[0].Rank == 0 {
		return Page{}, Errorf(CodeMemberNotFound, "member %s is not on board %q", quote(member), at.Board)
	}
	return page, err
}

// Lookup returns one entry for each member; see [Reader].
func (s *Service) Lookup(ctx context.Context, at Ref, members ...string) (Page, error) {
	if err := checkMembers(at.Board, members...); err != nil {
		return Page{}, err
	}
	return s.store.Lookup(ctx, at, members)
}

// Selection is those of some members that are on a board.
type Selection struct {
	Page              // their entries in the board's order, however they were asked for
	NotFound []string // who is not on the board, in the order they were asked for
}

// Select returns those of 1 to MaxBatch members that are on a board. One that is
// named twice counts once: lists that were put together need not be sorted out first.
func (s *Service) Select(ctx context.Context, at Ref, members []string) (Selection, error) {
	switch {
	case len(members) == 0:
		return Selection{}, Errorf(CodeEmptyBatch, "there is no member to look up")
	case len(members) > MaxBatch:
		return Selection{}, Errorf(CodeBatchTooLarge, "%d members in one request, at most %d are allowed", len(members), MaxBatch)
	}
	seen := make(map[string]bool, len(members))
	different := make([]string, 0, len(members))
	for _, member := range members {
		if !seen[member] {
			seen[member] = true
			different = append(different, member)
		}
	}
	page, err := s.Lookup(ctx, at, different...)
	if err != nil {
		return Selection{}, err
	}
	selection := Selection{Page: page, NotFound: []string{}}
	selection.Entries = make([]Entry, 0, len(page.Entries))
	for _, e := range page.Entries {
		if e.Rank == 0 {
			selection.NotFound = append(selection.NotFound, e.Member)
		} else {
			selection.Entries = append(selection.Entries, e)
		}
	}
	slices.SortFunc(selection.Entries, func(x, y Entry) int { return page.Board.Compare(x.Position(), y.Position()) })
	return selection, nil
}

// Member looks for a member on at most limit boards above after; see [Reader].
func (s *Service) Member(ctx context.Context, member, after string, limit int) (pages []Page, next string, err error) {
	if err := ValidateMember(member); err != nil {
		return nil, "", err
	}
	if err := checkLimit(limit); err != nil {
		return nil, "", err
	}
	return s.store.Member(ctx, member, after, limit)
}

func checkMembers(board string, members ...string) error {
	if err := ValidateBoardID(board); err != nil {
		return err
	}
	for _, member := range members {
		if err := ValidateMember(member); err != nil {
			return err
		}
	}
	return nil
}

func checkPercent(percent *Decimal) error {
	if percent == nil {
		return nil
	}
	if part, err := percent.Scaled(MaxDecimals); err != nil || part <= 0 || part > 100_000_000 {
		return Errorf(CodeInvalidLimit, "a share of %s percent must be above 0 and at most 100", percent)
	}
	return nil
}

func checkLimit(limit int) error {
	if limit < 1 || limit > MaxLimit {
		return Errorf(CodeInvalidLimit, "limit is %d, must be from 1 to %d", limit, MaxLimit)
	}
	return nil
}
