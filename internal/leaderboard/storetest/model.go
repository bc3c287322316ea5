package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"time"

	"laurel/internal/leaderboard"
)

// Model is a [leaderboard.Store] that is right before anything else: one mutex,
// one slice of entries for each board, sorted anew for every answer. It shares
// no rule with the package leaderboard, so that a mistake there is not
// repeated here. It keeps everything in memory; what was closed can be opened
// again with [Model.Reopen].
type Model struct {
	epoch string

	mu     sync.Mutex
	boards map[string]*board
	log    []leaderboard.Change // every change there ever was
	acked  int                  // so many of log need not be told again
	names  map[name]kept        // of batches and changes that were carried out
	news   chan struct{}        // closed and replaced when log grows, and at Close
	closed bool
	outbox *outbox
}

// name is that of a batch that is carried out once.
type name struct{ board, once string }

// kept is what is kept with a name.
type kept struct {
	digest  leaderboard.Digest
	outcome leaderboard.Outcome // of a batch
	view    leaderboard.View    // of a change
}

// recall returns what is kept with a name, if it has been used.
func (m *Model) recall(n name, digest leaderboard.Digest) (k kept, used bool, err error) {
	if n.once == "" {
		return kept{}, false, nil
	}
	k, used = m.names[n]
	switch none := (leaderboard.Digest{}); {
	case !used || k.digest == digest:
		return k, used, nil
	case k.digest == none || digest == none:
		return kept{}, true, nil
	}
	return kept{}, false, leaderboard.ErrOnceReused
}

// board is one board, or what a deleted one leaves behind.
type board struct {
	settings leaderboard.Board
	deleted  bool
	rev      uint64
	entries  []leaderboard.Entry // in no order, without ranks
	submits  []submission        // that were carried out while there was a limit of them
	run
}

// submission is one that was carried out.
type submission struct {
	member string
	at     time.Time
}

// NewModel returns an empty model.
func NewModel() *Model {
	return &Model{epoch: "model", boards: map[string]*board{}, names: map[name]kept{}, news: make(chan struct{}), outbox: newOutbox()}
}

// Close makes every method answer [leaderboard.ErrShuttingDown].
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
	return nil
}

// Reopen returns a model that has all that m, which is closed, had.
func (m *Model) Reopen() *Model {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Model{epoch: m.epoch, boards: m.boards, log: m.log, acked: m.acked, names: m.names, news: make(chan struct{}), outbox: m.outbox}
}

func (m *Model) wake() {
	close(m.news)
	m.news = make(chan struct{})
}

// lock begins every method: it takes the mutex and says why the method cannot
// go on, if so.
func (m *Model) lock(ctx context.Context) error {
	m.mu.Lock()
	if m.closed {
		return leaderboard.ErrShuttingDown
	}
	return ctx.Err()
}

// CreateBoard implements [leaderboard.Writer].
func (m *Model) CreateBoard(ctx context.Context, settings leaderboard.Board) (leaderboard.View, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.View{}, err
	}
	b, known := m.boards[settings.ID]
	if known && !b.deleted {
		return leaderboard.View{}, leaderboard.ErrBoardExists
	}
	var rev uint64
	if known {
		rev = b.rev
	}
	b = &board{settings: settings, rev: rev}
	b.found(settings.CreatedAt)
	m.boards[settings.ID] = b
	m.changed(b)
	return m.view(b), nil
}

// PatchBoard implements [leaderboard.Writer].
func (m *Model) PatchBoard(ctx context.Context, id string, p leaderboard.Patch) (leaderboard.View, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.View{}, err
	}
	b, err := m.board(id)
	if err != nil {
		return leaderboard.View{}, err
	}
	settings, err := p.Apply(b.settings)
	if err != nil {
		return leaderboard.View{}, err
	}
	b.settings = settings
	if p.Seasons != nil {
		b.replan(p.At)
	}
	b.fall(1000)
	m.changed(b)
	return m.view(b), nil
}

// DeleteBoard implements [leaderboard.Writer].
func (m *Model) DeleteBoard(ctx context.Context, id string) error {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return err
	}
	b, err := m.board(id)
	if err != nil {
		return err
	}
	b.deleted = true
	b.entries, b.past = nil, nil
	m.changed(b)
	return nil
}

// ChangeBoard implements [leaderboard.Writer].
func (m *Model) ChangeBoard(ctx context.Context, c leaderboard.BoardChange) (leaderboard.View, bool, error) {
	n := name{c.ID, c.Once}
	m.mu.Lock()
	k, used, err := m.recall(n, c.OnceDigest)
	m.mu.Unlock()
	if used || err != nil {
		return k.view, used, err
	}
	k.digest = c.OnceDigest
	switch {
	case c.Create != nil:
		k.view, err = m.CreateBoard(ctx, *c.Create)
	case c.Patch != nil:
		k.view, err = m.PatchBoard(ctx, c.ID, *c.Patch)
	case c.End != nil:
		k.view, err = m.endSeason(ctx, c.ID, *c.End)
	default:
		err = m.DeleteBoard(ctx, c.ID)
	}
	if c.Once != "" && err == nil {
		m.mu.Lock()
		m.names[n] = k
		m.mu.Unlock()
	}
	return k.view, false, err
}

func (m *Model) board(id string) (*board, error) {
	b, known := m.boards[id]
	if !known || b.deleted {
		return nil, leaderboard.ErrBoardNotFound
	}
	return b, nil
}

// changed numbers a change of the board and logs it.
func (m *Model) changed(b *board) {
	b.rev++
	m.log = append(m.log, leaderboard.Change{Board: b.settings.ID, Rev: b.rev})
	m.wake()
}

// Apply implements [leaderboard.Writer].
func (m *Model) Apply(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.Outcome{}, err
	}
	if batch.Once != "" {
		k, used, err := m.recall(name{batch.Ops[0].Board, batch.Once}, batch.OnceDigest)
		if used || err != nil {
			k.outcome.Repeated = used
			return k.outcome, err
		}
	}
	m.endDue(batch)
	// The batch works on copies, which take the boards' places at its end.
	var (
		outcome leaderboard.Outcome
		log     []leaderboard.Change
		order   []string
		copies  = map[string]*board{}
		seasons = map[string]*board{} // those that the operations go to
	)
	for i, op := range batch.Ops {
		b, ok := copies[op.Board]
		if !ok {
			original, err := m.board(op.Board)
			if err != nil {
				return leaderboard.Outcome{}, &leaderboard.BatchError{Index: i, Op: op, Err: err}
			}
			b = original.clone()
			copies[op.Board] = b
			order = append(order, op.Board)
		}
		target, err := b.takes(op, batch.At)
		if err != nil {
			return leaderboard.Outcome{}, &leaderboard.BatchError{Index: i, Op: op, Err: err}
		}
		seasons[op.Board] = target
		before := target.rev
		target.rev, target.submits = b.rev, b.submits // all seasons of a board count their changes, and submissions, together
		result, err := target.apply(op, batch.At)
		b.rev, b.submits = target.rev, target.submits
		if !result.Accepted {
			target.rev = before
		}
		if err != nil {
			return leaderboard.Outcome{}, &leaderboard.BatchError{Index: i, Op: op, Err: err}
		}
		outcome.Results = append(outcome.Results, result)
		if result.Accepted {
			log = append(log, leaderboard.Change{Board: op.Board, Rev: b.rev})
		}
	}
	for _, id := range order {
		m.boards[id] = copies[id]
		outcome.Boards = append(outcome.Boards, m.view(seasons[id]))
	}
	if batch.Once != "" {
		k := kept{digest: batch.OnceDigest}
		if k.digest != (leaderboard.Digest{}) {
			k.outcome = outcome
		}
		m.names[name{batch.Ops[0].Board, batch.Once}] = k
	}
	if len(log) > 0 {
		m.log = append(m.log, log...)
		m.wake()
	}
	return outcome, nil
}

func (b *board) apply(op leaderboard.Op, at time.Time) (leaderboard.Result, error) {
	result := leaderboard.Result{Member: op.Member, Previous: b.standing(op.Member)}
	i := slices.IndexFunc(b.entries, func(e leaderboard.Entry) bool { return e.Member == op.Member })
	if i >= 0 {
		result.Rev = b.entries[i].Rev
	}
	if op.If.Valid && op.If.Rev != result.Rev {
		return leaderboard.Result{}, leaderboard.ErrEntryChanged
	}

	if op.Kind == leaderboard.Expire && (i < 0 || !b.due(b.entries[i], at)) {
		result.Reason, result.Current = leaderboard.NotExpired, result.Previous
		return result, nil
	}
	if op.Kind == leaderboard.Remove || op.Kind == leaderboard.Expire {
		if i < 0 {
			return leaderboard.Result{}, leaderboard.ErrMemberNotFound
		}
		b.entries = slices.Delete(b.entries, i, i+1)
		b.rev++
		result.Accepted, result.Rev = true, 0
		return result, nil
	}

	score, err := scaled(op.Score, b.settings.Decimals)
	if err != nil {
		return leaderboard.Result{}, err
	}
	if i >= 0 && op.Kind == leaderboard.Submit {
		has := b.entries[i].Score
		switch b.settings.Policy {
		case leaderboard.Sum:
			score += has // of two numbers below 2^53: it cannot overflow
		case leaderboard.Best:
			better := score > has
			if b.settings.Order == leaderboard.Ascending {
				better = score < has
			}
			if !better {
				if err := b.submit(op, at); err != nil {
					return leaderboard.Result{}, err
				}
				result.Reason = leaderboard.NotBetter
				result.Current = result.Previous
				return result, nil
			}
		}
	}
	if limit := scoreLimit(b.settings.Decimals); score > limit || score < -limit {
		return leaderboard.Result{}, &leaderboard.Error{Code: leaderboard.CodeScoreOutOfRange, Message: "sum out of range"}
	}
	if err := b.checkBounds(op, score, i); err != nil {
		return leaderboard.Result{}, err
	}
	if err := b.submit(op, at); err != nil {
		return leaderboard.Result{}, err
	}
	if i < 0 && b.settings.MaxEntries > 0 && b.through(leaderboard.Position{Score: score, Seq: b.rev + 1}) >= b.settings.MaxEntries {
		result.Reason = leaderboard.BoardFull
		return result, nil
	}
	if i < 0 {
		defer b.fall(10)
	}

	b.rev++
	if i < 0 {
		i = len(b.entries)
		b.entries = append(b.entries, leaderboard.Entry{Member: op.Member, Score: score, Seq: b.rev})
	}
	e := &b.entries[i]
	if e.Score != score {
		e.Score = score
		e.Seq = b.rev
	}
	e.Rev, e.UpdatedAt = b.rev, at
	if string(op.Data) == "null" {
		e.Data = nil
	} else if op.Data != nil {
		e.Data = op.Data
	}
	result.Accepted, result.Rev = true, b.rev
	result.Current = b.standing(op.Member)
	return result, nil
}

// submit notes an operation if it is a submission, unless there were enough in its minute.
func (b *board) submit(op leaderboard.Op, at time.Time) error {
	if op.Kind != leaderboard.Submit || b.settings.SubmitsPerMinute == 0 {
		return nil
	}
	minute, n := at.Truncate(time.Minute), 0
	for _, s := range b.submits {
		if s.member == op.Member && s.at.Truncate(time.Minute).Equal(minute) {
			n++
		}
	}
	if n >= b.settings.SubmitsPerMinute {
		return &leaderboard.Error{Code: leaderboard.CodeTooManySubmits, Message: "too many submissions", RetryAfter: minute.Add(time.Minute).Sub(at)}
	}
	b.submits = append(b.submits, submission{op.Member, at})
	return nil
}

// fall takes the last entries off the board, at most so many, until there are no
// more than it keeps.
func (b *board) fall(most int) {
	for ; most > 0 && b.settings.MaxEntries > 0 && len(b.entries) > b.settings.MaxEntries; most-- {
		last := slices.MaxFunc(b.entries, func(x, y leaderboard.Entry) int { return b.compare(x.Position(), y.Position()) })
		b.entries = slices.DeleteFunc(b.entries, func(e leaderboard.Entry) bool { return e.Member == last.Member })
	}
}

// due says whether an entry has lived for as long as the board lets it.
func (b *board) due(e leaderboard.Entry, now time.Time) bool {
	ttl := b.settings.EntryTTL
	return ttl > 0 && !b.closed && !now.Before(e.UpdatedAt.Add(time.Duration(ttl)*time.Second))
}

// Expire implements [leaderboard.Expirer].
func (m *Model) Expire(ctx context.Context, now time.Time, limit int) (expired int, next time.Time, err error) {
	m.mu.Lock()
	closed := m.closed
	ids := slices.Sorted(maps.Keys(m.boards))
	m.mu.Unlock()
	if closed {
		return 0, next, leaderboard.ErrShuttingDown
	}
	for _, id := range ids {
		for _, e := range m.aging(id) {
			m.mu.Lock()
			due := m.boards[id].due(e, now)
			m.mu.Unlock()
			if expired == limit || !due {
				break
			}
			op := leaderboard.Op{Board: id, Kind: leaderboard.Expire, Member: e.Member}
			outcome, err := m.Apply(ctx, leaderboard.Batch{Ops: []leaderboard.Op{op}, At: now})
			if leaderboard.CodeOf(err) == leaderboard.CodeSeasonEnded {
				break // it was due, and is closed
			}
			if err != nil {
				return expired, now, err
			}
			if outcome.Results[0].Accepted {
				expired++
			}
		}
		for _, e := range m.aging(id) {
			m.mu.Lock()
			at := e.UpdatedAt.Add(time.Duration(m.boards[id].settings.EntryTTL) * time.Second)
			m.mu.Unlock()
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return expired, next, nil
}

// aging returns the entries of a board that expire, the oldest first.
func (m *Model) aging(id string) []leaderboard.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boards[id]
	if b.settings.EntryTTL == 0 || b.deleted || b.closed {
		return nil
	}
	entries := slices.Clone(b.entries)
	slices.SortFunc(entries, func(x, y leaderboard.Entry) int {
		return cmp.Or(x.UpdatedAt.Compare(y.UpdatedAt), cmp.Compare(x.Rev, y.Rev))
	})
	return entries
}

// checkBounds says which bound a score would break; i is the index of the entry
// that the member has, or negative.
func (b *board) checkBounds(op leaderboard.Op, score int64, i int) error {
	most := func(of leaderboard.Bound, otherwise int64) int64 {
		if !of.Valid {
			return otherwise
		}
		limit, err := scaled(of.Limit, b.settings.Decimals)
		if err != nil {
			panic(err)
		}
		return limit
	}
	var from int64
	switch {
	case i >= 0:
		from = b.entries[i].Score
	case b.settings.Policy != leaderboard.Sum:
		from = score
	}
	if op.Kind == leaderboard.Set {
		from = score
	}
	switch {
	case score < most(b.settings.MinScore, math.MinInt64):
		return &leaderboard.Error{Code: leaderboard.CodeScoreBelowMinimum, Message: "below the minimum"}
	case score > most(b.settings.MaxScore, math.MaxInt64):
		return &leaderboard.Error{Code: leaderboard.CodeScoreAboveMaximum, Message: "above the maximum"}
	case max(score-from, from-score) > most(b.settings.MaxStep, math.MaxInt64):
		return &leaderboard.Error{Code: leaderboard.CodeStepTooLarge, Message: "too far"}
	}
	return nil
}

func scoreLimit(decimals int) int64 {
	if decimals == 0 {
		return 9_007_199_254_740_991
	}
	return 999_999_999_999_999
}

// scaled returns d × 10^decimals, by way of the number's written form.
func scaled(d leaderboard.Decimal, decimals int) (int64, error) {
	number, ok := new(big.Rat).SetString(d.String())
	if !ok {
		return 0, fmt.Errorf("decimal %v is not a number", d)
	}
	for range decimals {
		number.Mul(number, big.NewRat(10, 1))
	}
	if !number.IsInt() {
		return 0, &leaderboard.Error{Code: leaderboard.CodeTooManyDecimals, Message: "too many decimals"}
	}
	limit := big.NewInt(scoreLimit(decimals))
	if number.Num().CmpAbs(limit) > 0 {
		return 0, &leaderboard.Error{Code: leaderboard.CodeScoreOutOfRange, Message: "score out of range"}
	}
	return number.Num().Int64(), nil
}

func (m *Model) view(b *board) leaderboard.View {
	return leaderboard.View{
		Board: b.settings, Season: b.number, Rev: b.rev, Epoch: m.epoch, Total: len(b.entries),
		StartsAt: b.starts, EndsAt: b.ends, Closed: b.closed,
	}
}

// ranked returns the entries in the board's order, with their ranks.
func (b *board) ranked() []leaderboard.Entry {
	entries := slices.Clone(b.entries)
	slices.SortFunc(entries, func(x, y leaderboard.Entry) int { return b.compare(x.Position(), y.Position()) })
	for i := range entries {
		e := &entries[i]
		e.Rank, e.Better = i+1, 0
		equal := i > 0 && e.Score == entries[i-1].Score
		switch b.settings.RankStyle {
		case leaderboard.Competition:
			if equal {
				e.Rank = entries[i-1].Rank
			}
		case leaderboard.Dense:
			e.Rank, e.Better = 1, i
			if i > 0 {
				e.Rank = entries[i-1].Rank + 1
			}
			if equal {
				e.Rank, e.Better = entries[i-1].Rank, entries[i-1].Better
			}
		}
	}
	return entries
}

// compare is negative if x stands before y.
func (b *board) compare(x, y leaderboard.Position) int {
	score, seq := cmp.Compare(x.Score, y.Score), cmp.Compare(x.Seq, y.Seq)
	if b.settings.Order == leaderboard.Descending {
		score = -score
	}
	if b.settings.Ties == leaderboard.LatestTie {
		seq = -seq
	}
	if score != 0 {
		return score
	}
	return seq
}

// standing counts who stands before the member: everybody in front of it by the
// ordinal style, those with another score by the competition style, and of each
// such score one by the dense style.
func (b *board) standing(member string) leaderboard.Standing {
	i := slices.IndexFunc(b.entries, func(e leaderboard.Entry) bool { return e.Member == member })
	if i < 0 {
		return leaderboard.Standing{}
	}
	own, rank := b.entries[i], 1
	seen := map[int64]bool{}
	for _, e := range b.entries {
		inFront := b.compare(e.Position(), own.Position()) < 0
		if !inFront || b.settings.RankStyle == leaderboard.Dense && seen[e.Score] {
			continue
		}
		if b.settings.RankStyle == leaderboard.Ordinal || e.Score != own.Score {
			rank++
			seen[e.Score] = true
		}
	}
	return leaderboard.Standing{Score: own.Score, Rank: rank}
}

// Writable implements [leaderboard.Writer].
func (m *Model) Writable() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return leaderboard.ErrShuttingDown
	}
	return nil
}

// Board implements [leaderboard.Reader].
func (m *Model) Board(ctx context.Context, id string) (leaderboard.View, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.View{}, err
	}
	b, err := m.board(id)
	if err != nil {
		return leaderboard.View{}, err
	}
	return m.view(b), nil
}

// Boards implements [leaderboard.Reader].
func (m *Model) Boards(ctx context.Context, after string, limit int) ([]leaderboard.View, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	var views []leaderboard.View
	for id, b := range m.boards {
		if id > after && !b.deleted {
			views = append(views, m.view(b))
		}
	}
	slices.SortFunc(views, func(x, y leaderboard.View) int { return cmp.Compare(x.Board.ID, y.Board.ID) })
	return views[:min(limit, len(views))], nil
}

// page returns the entries of the board from the one with the index start on, of
// the first so many percent if percent is not nil.
func (m *Model) page(b *board, start, limit int, percent *leaderboard.Decimal) leaderboard.Page {
	entries := b.ranked()
	if percent != nil {
		entries = entries[:share(*percent, len(entries))]
	}
	start = min(start, len(entries))
	end := start + min(limit, len(entries)-start)
	return leaderboard.Page{View: m.view(b), Entries: entries[start:end], More: end < len(entries)}
}

// Entries implements [leaderboard.Reader].
func (m *Model) Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.Page{}, err
	}
	b, err := m.season(at)
	if err != nil {
		return leaderboard.Page{}, err
	}
	start := r.Offset
	if r.After != nil {
		start = b.through(*r.After)
	}
	if r.Around != nil {
		score, err := scaled(*r.Around, b.settings.Decimals)
		if err != nil {
			return leaderboard.Page{}, err
		}
		// Start from the gap and add one below, one above, in turn.
		start = b.through(leaderboard.Position{Score: score, Seq: math.MaxUint64})
		for below, end := true, start; end-start < r.Limit && end-start < len(b.entries); below = !below {
			switch {
			case below && end < len(b.entries):
				end++
			case !below && start > 0:
				start--
			}
		}
	}
	return m.page(b, start, r.Limit, r.Percent), nil
}

// through counts the entries that stand at a position or before it.
func (b *board) through(p leaderboard.Position) int {
	n := 0
	for _, e := range b.entries {
		if b.compare(e.Position(), p) <= 0 {
			n++
		}
	}
	return n
}

// share returns the smallest number of entries that is no less than so many
// percent of total, by counting.
func share(percent leaderboard.Decimal, total int) int {
	part, ok := new(big.Rat).SetString(percent.String())
	if !ok {
		panic("storetest: percent is not a number")
	}
	part.Mul(part, big.NewRat(int64(total), 100))
	n := 0
	for n < total && big.NewRat(int64(n), 1).Cmp(part) < 0 {
		n++
	}
	return n
}

// Around implements [leaderboard.Reader].
func (m *Model) Around(ctx context.Context, at leaderboard.Ref, member string, limit int) (leaderboard.Page, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.Page{}, err
	}
	b, err := m.season(at)
	if err != nil {
		return leaderboard.Page{}, err
	}
	i := slices.IndexFunc(b.ranked(), func(e leaderboard.Entry) bool { return e.Member == member })
	if i < 0 {
		return leaderboard.Page{}, leaderboard.ErrMemberNotFound
	}
	// Start from the member alone and add one above, one below, in turn.
	start, end := i, i+1
	for above := true; end-start < limit && end-start < len(b.entries); above = !above {
		switch {
		case above && start > 0:
			start--
		case !above && end < len(b.entries):
			end++
		}
	}
	return m.page(b, start, end-start, nil), nil
}

// Lookup implements [leaderboard.Reader].
func (m *Model) Lookup(ctx context.Context, at leaderboard.Ref, members []string) (leaderboard.Page, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return leaderboard.Page{}, err
	}
	b, err := m.season(at)
	if err != nil {
		return leaderboard.Page{}, err
	}
	page := leaderboard.Page{View: m.view(b)}
	entries := b.ranked()
	for _, member := range members {
		found := leaderboard.Entry{Member: member}
		for _, e := range entries {
			if e.Member == member {
				found = e
			}
		}
		page.Entries = append(page.Entries, found)
	}
	return page, nil
}

// Member implements [leaderboard.Reader].
func (m *Model) Member(ctx context.Context, member, after string, limit int) (pages []leaderboard.Page, next string, err error) {
	views, err := m.Boards(ctx, after, math.MaxInt)
	if err != nil {
		return nil, "", err
	}
	for i, view := range views {
		if i == limit {
			return pages, views[i-1].Board.ID, nil
		}
		page, err := m.Lookup(ctx, leaderboard.Ref{Board: view.Board.ID}, []string{member})
		if err != nil {
			return nil, "", err
		}
		if page.Entries[0].Rank > 0 {
			pages = append(pages, page)
		}
	}
	return pages, "", nil
}

// Changes implements [leaderboard.ChangeLog]. It folds nothing. A cursor is the
// number of changes before it.
func (m *Model) Changes(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	for {
		changes, next, news, err := m.changesNow(ctx, after, limit)
		if err != nil || len(changes) > 0 {
			return changes, next, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
}

func (m *Model) changesNow(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, <-chan struct{}, error) {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return nil, "", nil, err
	}
	start, err := m.place(after)
	if err != nil {
		return nil, "", nil, err
	}
	end := min(start+limit, len(m.log))
	return slices.Clone(m.log[start:end]), leaderboard.Cursor(strconv.Itoa(end)), m.news, nil
}

func (m *Model) place(c leaderboard.Cursor) (int, error) {
	if c == "" {
		return m.acked, nil
	}
	place, err := strconv.Atoi(string(c))
	if err != nil || place < 0 || place > len(m.log) {
		return 0, fmt.Errorf("cursor %q is not of this change log", c)
	}
	return place, nil
}

// Ack implements [leaderboard.ChangeLog].
func (m *Model) Ack(ctx context.Context, through leaderboard.Cursor) error {
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return err
	}
	place, err := m.place(through)
	if err != nil {
		return err
	}
	m.acked = max(m.acked, place)
	return nil
}
