package oracle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"laurel/client"
	"laurel/internal/leaderboard"
	"laurel/internal/sim"
)

// book is what a board has to be, kept by those who write to it.
type book struct {
	board leaderboard.Board
	first uint64 // rev when it was created

	mu        sync.Mutex
	members   map[string]held // guarded by mu; a member's is changed by its writer only
	answered  []span          // guarded by mu
	highest   uint64          // guarded by mu; rev that was acknowledged
	done      int             // guarded by mu; changes that the board has for sure
	undecided int             // guarded by mu; changes that nobody can tell from none
}

// held is what a member has.
type held struct {
	score int64  // scaled
	data  string // JSON, or empty
	seq   uint64 // rev at which the score was reached; 0: not known, because nobody was told
}

// span is the revs of a request's changes.
type span struct{ low, high uint64 }

// openBooks creates the boards of a world on the server.
func openBooks(ctx context.Context, api *client.Client, world *sim.World) (map[string]*book, error) {
	books := map[string]*book{}
	for i, b := range world.Boards() {
		b.Interval = 50 << i                // 50, 100, 200 … ms
		b.Top = []int{10, 100, 500, 3}[i%4] // from most writes below the top to none
		if i%2 == 1 {
			b.Ties = leaderboard.LatestTie
		}
		created, err := api.CreateBoard(ctx, settingsOf(b))
		if err != nil {
			return nil, fmt.Errorf("create board %q: %w", b.ID, err)
		}
		books[b.ID] = &book{board: b, first: created.Rev, highest: created.Rev, members: map[string]held{}}
	}
	return books, nil
}

// step is what one submission has to do.
type step struct {
	before, after held
	had           bool // before counts
	accepted      bool
}

// expect works out, by rules of its own, what submissions have to do one after the other.
func (b *book) expect(events []sim.Event) ([]step, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	steps := make([]step, len(events))
	latest := map[string]held{}
	for i, e := range events {
		before, had := latest[e.Member]
		if !had {
			before, had = b.members[e.Member]
		}
		score, err := e.Score.Scaled(b.board.Decimals)
		if err != nil {
			return nil, fmt.Errorf("the world submits what no server takes: %w", err)
		}
		s := step{before: before, after: before, had: had, accepted: true}
		switch {
		case !had || b.board.Policy == leaderboard.Latest:
			s.after.score = score
		case b.board.Policy == leaderboard.Sum:
			s.after.score += score
		case b.board.Order == leaderboard.Ascending && score < before.score,
			b.board.Order == leaderboard.Descending && score > before.score:
			s.after.score = score
		default:
			s.accepted = false
		}
		if s.accepted {
			if e.Data != nil {
				s.after.data = string(e.Data)
			}
			latest[e.Member] = s.after
		}
		steps[i] = s
	}
	return steps, nil
}

// acknowledge compares an answer with what it has to be, and takes it down. The
// floor is the highest rev that was acknowledged before the request was made.
func (b *book) acknowledge(events []sim.Event, steps []step, out client.Outcome, floor uint64) error {
	if len(out.Results) != len(events) {
		return fmt.Errorf("%d submissions were answered with %d results", len(events), len(out.Results))
	}
	accepted := 0
	for i, s := range steps {
		got := out.Results[i]
		if err := s.compare(events[i].Member, got, b.board.Decimals); err != nil {
			return err
		}
		if s.accepted {
			accepted++
		}
	}
	low := out.Rev - uint64(accepted) + 1
	if low <= floor {
		return fmt.Errorf("changes %d to %d were acknowledged after rev %d was", low, out.Rev, floor)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.highest = max(b.highest, out.Rev)
	b.done += accepted
	if accepted > 0 {
		b.answered = append(b.answered, span{low, out.Rev})
	}
	rev := low
	reached := map[string]uint64{} // within this request
	for i, s := range steps {
		if !s.accepted {
			continue
		}
		member := events[i].Member
		if !s.had || s.after.score != s.before.score {
			reached[member] = rev
		}
		h := s.after
		if seq, ok := reached[member]; ok {
			h.seq = seq
		}
		b.members[member] = h
		rev++
	}
	return nil
}

func (s step) compare(member string, got client.Result, decimals int) error {
	score := client.Scaled(s.after.score, decimals)
	previous := client.Score("")
	if s.had {
		previous = client.Scaled(s.before.score, decimals)
	}
	switch {
	case got.Member != member:
		return fmt.Errorf("the result for %q is that of %q", member, got.Member)
	case got.Accepted != s.accepted || got.Score != score || got.PreviousScore != previous:
		return fmt.Errorf("%q: accepted %t, score %s, previous %q; want %t, %s, %q",
			member, got.Accepted, got.Score, got.PreviousScore, s.accepted, score, previous)
	case got.Rank == 0 || s.had != (got.PreviousRank > 0):
		return fmt.Errorf("%q: rank %d, previous %d, had one before: %t", member, got.Rank, got.PreviousRank, s.had)
	}
	return nil
}

// resolve finds out whether submissions that were not answered were done, and
// takes that down. Done by half is an error.
func (b *book) resolve(ctx context.Context, api *client.Client, events []sim.Event, steps []step) (done bool, err error) {
	first, last := map[string]step{}, map[string]step{}
	accepted := 0
	for i, s := range steps {
		member := events[i].Member
		if _, ok := first[member]; !ok {
			first[member] = s
		}
		last[member] = s
		if s.accepted {
			accepted++
		}
	}
	var with, without []string // members whose entries say that it was done, or that it was not
	for member := range last {
		before, had, after := first[member].before, first[member].had, last[member].after
		is, there, err := b.read(ctx, api, member)
		if err != nil {
			return false, err
		}
		isBefore := there == had && (!had || same(is, before))
		isAfter := there && same(is, after)
		switch {
		case isBefore && isAfter:
		case isAfter:
			with = append(with, member)
		case isBefore:
			without = append(without, member)
		default:
			return false, fmt.Errorf("%q has %+v, and had %+v (%t) before a request without an answer that makes it %+v", member, is, before, had, after)
		}
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(with) > 0 && len(without) > 0:
		return false, fmt.Errorf("a request was done by half: for %q, not for %q", with, without)
	case len(with) > 0:
		b.done += accepted
		for member, s := range last {
			h := s.after
			if f := first[member]; !f.had || h.score != f.before.score {
				h.seq = 0
			}
			b.members[member] = h
		}
		return true, nil
	case len(without) == 0:
		b.undecided += accepted
		for member, s := range last { // a score may have gone and come back
			h := s.after
			h.seq = 0
			b.members[member] = h
		}
	}
	return false, nil
}

func same(a, b held) bool { return a.score == b.score && a.data == b.data }

// read reads what a member has, however long it takes to get an answer.
func (b *book) read(ctx context.Context, api *client.Client, member string) (h held, there bool, err error) {
	entry, err := await(ctx, func() (client.Standing, error) { return api.Entry(ctx, b.board.ID, member) })
	switch {
	case err == nil:
		h, err := toHeld(entry.Entry, b.board.Decimals)
		return h, true, err
	case client.CodeOf(err) == client.CodeMemberNotFound:
		return held{}, false, nil
	case ctx.Err() != nil:
		return held{}, false, context.Cause(ctx)
	}
	return held{}, false, fmt.Errorf("read %q: %w", member, err)
}

func toHeld(e client.Entry, decimals int) (held, error) {
	d, err := leaderboard.ParseDecimal(string(e.Score))
	if err != nil {
		return held{}, err
	}
	score, err := d.Scaled(decimals)
	return held{score: score, data: string(e.Data)}, err
}

// relearn takes what the store has for what the board has to be.
func (b *book) relearn(ctx context.Context, api *client.Client) error {
	view, err := await(ctx, func() (client.Board, error) { return api.Board(ctx, b.board.ID) })
	if err != nil {
		return err
	}
	members, err := await(ctx, func() (map[string]held, error) {
		members := map[string]held{}
		for entry, err := range api.All(ctx, b.board.ID) {
			if err != nil {
				return nil, err
			}
			if members[entry.Member], err = toHeld(entry, b.board.Decimals); err != nil {
				return nil, err
			}
		}
		return members, nil
	})
	b.begin(view, members)
	return err
}

// recreate begins with a new board.
func (b *book) recreate(ctx context.Context, api *client.Client) error {
	// A request that was under way may have brought it back.
	_, err := await(ctx, func() (struct{}, error) { return struct{}{}, api.DeleteBoard(ctx, b.board.ID) })
	if err != nil && client.CodeOf(err) != client.CodeBoardNotFound {
		return err
	}
	view, err := await(ctx, func() (client.Board, error) { return api.CreateBoard(ctx, settingsOf(b.board)) })
	b.begin(view, map[string]held{})
	return err
}

func (b *book) begin(view client.Board, members map[string]held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first, b.highest, b.members = view.Rev, view.Rev, members
	b.answered, b.done, b.undecided = nil, 0, 0
}

// await asks until the server can answer.
func await[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for {
		answer, err := ask()
		refused, ok := errors.AsType[*client.Error](err)
		if err == nil || ok && refused.Status < 502 || !pause(ctx, retryDelay) {
			return answer, err
		}
	}
}

func settingsOf(b leaderboard.Board) client.Settings {
	return client.Settings{
		ID: b.ID, Order: string(b.Order), Policy: string(b.Policy), Decimals: b.Decimals,
		Ties: string(b.Ties), RankStyle: string(b.RankStyle), Top: b.Top, IntervalMS: b.Interval,
	}
}

// audit compares a board that nobody writes to any more with what it has to be.
func (b *book) audit(ctx context.Context, api *client.Client) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	view, err := api.Board(ctx, b.board.ID)
	if err != nil {
		return err
	}
	if low, high := b.first+uint64(b.done), b.first+uint64(b.done+b.undecided); view.Rev < low || view.Rev > high {
		return fmt.Errorf("rev is %d after %d changes on top of %d, and %d that cannot be told", view.Rev, b.done, b.first, b.undecided)
	}
	if view.Total != len(b.members) {
		return fmt.Errorf("total is %d, want %d", view.Total, len(b.members))
	}
	slices.SortFunc(b.answered, func(x, y span) int { return cmp.Compare(x.low, y.low) })
	for i := 1; i < len(b.answered); i++ {
		if x, y := b.answered[i-1], b.answered[i]; x.high >= y.low {
			return fmt.Errorf("two requests were given the same revs: %d to %d and %d to %d", x.low, x.high, y.low, y.high)
		}
	}

	var above held
	rank, place := 0, 0
	for entry, err := range api.All(ctx, b.board.ID) {
		if err != nil {
			return err
		}
		want, ok := b.members[entry.Member]
		if !ok {
			return fmt.Errorf("%q is on the board and was never put there, or is there twice", entry.Member)
		}
		delete(b.members, entry.Member)
		got, err := toHeld(entry, b.board.Decimals)
		if err != nil {
			return err
		}
		if !same(got, want) {
			return fmt.Errorf("%q has %+v, want %+v", entry.Member, got, want)
		}
		place++
		switch {
		case place > 1 && b.board.RankStyle != leaderboard.Ordinal && want.score == above.score:
		case b.board.RankStyle == leaderboard.Dense:
			rank++
		default:
			rank = place
		}
		if entry.Rank != rank {
			return fmt.Errorf("%q has rank %d, want %d", entry.Member, entry.Rank, rank)
		}
		if place > 1 && !b.inOrder(above, want) {
			return fmt.Errorf("%q stands at %d with %+v, below %+v", entry.Member, place, want, above)
		}
		above = want
	}
	for member := range b.members {
		return fmt.Errorf("%q was acknowledged and is not on the board", member)
	}
	return nil
}

// inOrder reports whether a may stand above c.
func (b *book) inOrder(a, c held) bool {
	if a.score != c.score {
		return (a.score > c.score) == (b.board.Order == leaderboard.Descending)
	}
	if a.seq == 0 || c.seq == 0 {
		return true
	}
	return (a.seq < c.seq) == (b.board.Ties == leaderboard.Earliest)
}
