package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"laurel/internal/leaderboard"
)

// dueError says that the season of a board has to be ended first.
type dueError struct{ board string }

func (e *dueError) Error() string { return fmt.Sprintf("the season of board %q is over", e.board) }

// errApart says that a batch goes to another season of a board than the batches of
// the same call.
var errApart = errors.New("another season of the board is in the same call")

// late reports whether the board takes scores for the season before the current one.
func (b *encodedBoard) late() bool { return b.settings != b.current }

// admit finds out which season of a board takes an operation. It returns a
// [*dueError] or errApart. refused says that none does, by the settings as they are known.
func (b *encodedBoard) admit(op *leaderboard.Op, at time.Time) (refused bool, err error) {
	set := b.current
	if set.board.Due(set.run, at) {
		return false, &dueError{b.id}
	}
	late, err := set.board.Admit(set.run, op, at)
	if err != nil {
		return true, nil //nolint:nilerr // that is the answer; why is told when Redis has found that the settings are those
	}
	if late == b.late() {
		return false, nil
	}
	if b.taken {
		return false, errApart
	}
	b.settings = set
	if late {
		b.settings = set.before
	}
	return false, nil
}

// boardRef says which keys of a board a batch is about.
type boardRef struct {
	id     string
	season int
	late   bool // it is a past season
	dense  bool // by the rank style
	limit  bool // of submissions
	aging  bool // its entries expire
}

func (b *encodedBoard) ref() boardRef {
	set := b.settings
	return boardRef{b.id, set.run.Season, b.late(), set.board.RankStyle == leaderboard.Dense, set.board.SubmitsPerMinute != 0, b.aging()}
}

// aging reports whether the entries of the season expire. Those of one that has ended
// do not.
func (b *encodedBoard) aging() bool { return b.settings.board.EntryTTL != 0 && !b.late() }

// What stands behind a board's id in intents, so that whoever ends one knows the
// keys. None of it is in an id.
const (
	seasonMark  = ":" // and the number, of any but the first
	lateMark    = "<"
	denseMark   = "="
	limitedMark = "+"
	agingMark   = "*"
)

// String returns the board as intents have it.
func (r boardRef) String() string {
	text := r.id
	if r.season > 1 {
		text += seasonMark + strconv.Itoa(r.season)
	}
	if r.late {
		text += lateMark
	}
	if r.dense {
		text += denseMark
	}
	if r.limit {
		text += limitedMark
	}
	if r.aging {
		text += agingMark
	}
	return text
}

func parseBoardRef(text string) (r boardRef, err error) {
	text, r.aging = strings.CutSuffix(text, agingMark)
	text, r.limit = strings.CutSuffix(text, limitedMark)
	text, r.dense = strings.CutSuffix(text, denseMark)
	text, r.late = strings.CutSuffix(text, lateMark)
	id, number, numbered := strings.Cut(text, seasonMark)
	r.id, r.season = id, 1
	if numbered {
		if r.season, err = strconv.Atoi(number); err != nil {
			return r, fmt.Errorf("season of board %q: %w", id, err)
		}
	}
	return r, nil
}

// ofBoard appends the keys of a board that batch.lua asks for.
func (k *keys) ofBoard(keys []string, r boardRef) []string {
	name := nameOf(r.id, r.season)
	keys = append(keys, k.state(r.id), k.ranks(name), k.entries(name))
	if r.dense {
		keys = append(keys, k.levels(name))
	}
	if r.limit {
		keys = append(keys, k.counts(r.id, 0), k.counts(r.id, 1))
	}
	if r.late {
		keys = append(keys, k.past(r.id))
	}
	if r.aging {
		keys = append(keys, k.ages(r.id), k.expiring)
	}
	return keys
}

// end makes the change of the end of a season.
func (c boardChange) end(now *settings) (*making, error) {
	if now.board.ZSet != "" {
		return nil, readOnly(&now.board)
	}
	run, ended, err := now.board.EndRun(now.run, *c.End)
	if err != nil || run == now.run {
		return nil, err
	}
	m := &making{what: "end", now: now, next: &settings{board: now.board, run: run, first: now.first, before: now.before}}
	if run.Season == now.run.Season {
		return m, nil // it is only closed
	}
	m.past = &settings{
		board: now.board,
		run:   leaderboard.Run{Season: now.run.Season, StartsAt: now.run.StartsAt, EndsAt: ended, Closed: true},
		first: 1,
	}
	m.next.before = nil
	if !run.LateUntil.IsZero() {
		m.next.before = m.past
	}
	m.next.first = max(now.first, run.Season-now.board.Seasons.Kept())
	for season := now.first; season < m.next.first; season++ {
		m.removed = append(m.removed, season)
	}
	return m, nil
}

// endDue ends the season of a board that is due at an instant, as far as is known. Of those that
// wait on this node for the same, one does it.
func (p *partition) endDue(ctx context.Context, board string, at time.Time) error {
	select {
	case p.ending <- struct{}{}:
		defer func() { <-p.ending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if set := p.store.settings.get(board); !set.board.Due(set.run, at) {
		return nil // by now it is not
	}
	end := leaderboard.BoardChange{ID: board, End: &leaderboard.End{At: at, Due: true}}
	_, err := p.store.amend(ctx, end, boardChange(end).end)
	if errors.Is(err, leaderboard.ErrBoardNotFound) {
		p.store.settings.forget(board) // whoever comes back finds out
		return nil
	}
	return err
}

// recallBatch returns what came of a batch if its name was used, as it is before
// anything else is done. The error may be a [*spreadError].
func (p *partition) recallBatch(ctx context.Context, batch leaderboard.Batch) (leaderboard.Outcome, error) {
	if batch.Once == "" {
		return leaderboard.Outcome{}, nil
	}
	answer, err := p.askName(ctx, batch.Ops[0].Board, batch.Once, batch.OnceDigest)
	if err != nil || answer == "" {
		return leaderboard.Outcome{}, err
	}
	r := reader{rest: answer[1:]}
	return readRepeated(&r, answer[0], batch)
}

// beforeSpread does what is to be done before a batch over several partitions is
// begun: if its name was used, it returns what came of it, and else it ends the season of a board.
func (s *Store) beforeSpread(ctx context.Context, batch leaderboard.Batch, board string) (leaderboard.Outcome, error) {
	outcome, err := s.partition(batch.Ops[0].Board).recallBatch(ctx, batch)
	if spread, ok := errors.AsType[*spreadError](err); ok {
		return s.divide(batch).recall(context.WithoutCancel(ctx), spread.lock)
	}
	if err != nil || outcome.Repeated {
		return outcome, err
	}
	return outcome, s.partition(board).endDue(ctx, board, batch.At)
}

// pastName is that of a past season's settings in the cache.
func pastName(board string, season int) string { return board + "/" + strconv.Itoa(season) }

// knownSeason is what is known of a season that is to be read.
type knownSeason struct {
	settings *settings
	season   int    // whose keys are read
	wanted   string // as season.lua is told
}

func (s *Store) knownSeason(at leaderboard.Ref) knownSeason {
	set := s.settings.get(at.Board)
	current := set.run.Season
	if at.Season == 0 {
		return knownSeason{set, current, "-" + strconv.Itoa(current)}
	}
	if at.Season != current {
		set = s.settings.get(pastName(at.Board, at.Season))
	}
	return knownSeason{set, at.Season, strconv.Itoa(max(0, at.Season))}
}

// args are the first ones of a script that reads a season.
func (k knownSeason) args() []string {
	return []string{strconv.FormatUint(k.settings.revision, 10), k.wanted}
}

// Seasons returns the seasons of a board that are kept.
func (s *Store) Seasons(ctx context.Context, board string) ([]leaderboard.View, error) {
	if s.isClosed() {
		return nil, errClosed
	}
	p := s.partition(board)
	for {
		views, lock, err := p.seasonsOnce(ctx, board)
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		valid, err := p.readable(ctx, lock)
		if err != nil {
			return nil, s.fault(ctx, err)
		}
		if valid {
			return views, s.fault(ctx, s.countAdopted(ctx, views[:1]))
		}
	}
}

// seasonsOnce returns errStale if the board had other seasons than were known; now they
// are known.
func (p *partition) seasonsOnce(ctx context.Context, board string) (views []leaderboard.View, lock string, err error) {
	at := leaderboard.Ref{Board: board}
	known := p.store.knownSeason(at)
	keys, args := p.keysOf(board, known.season), known.args()
	for season := known.season - 1; season >= known.settings.first; season-- {
		keys = append(keys, p.ranks(nameOf(board, season)))
		args = append(args, strconv.Itoa(season))
	}
	message, err := p.eval(ctx, scriptSeasons, keys, args)
	if err != nil {
		return nil, "", err
	}
	answer, err := message.ToString()
	if err != nil || answer == "" {
		return nil, "", fmt.Errorf("%s: script %s: %w", p, scriptSeasons, errAnswer)
	}
	if err := p.readWhy(answer, at); err != nil {
		return nil, "", err
	}
	r := reader{rest: answer[1:]}
	view, set, lock, err := p.openHead(&r, at, known.settings)
	if err != nil {
		return nil, "", fmt.Errorf("%s: script %s: %w", p, scriptSeasons, err)
	}
	if set.first != known.settings.first {
		return nil, "", errStale
	}
	views = append(views, view)
	for range args[2:] {
		if r.byte() == 0 {
			continue
		}
		past := settings{}
		rev, total := r.uint64(), int(r.uint32())
		past.revision = r.uint64()
		if err := past.parse([]byte(r.take(int(r.uint16())))); err != nil {
			return nil, "", fmt.Errorf("settings of board %q: %w", board, err)
		}
		views = append(views, past.view(rev, view.Epoch, total))
	}
	if r.bad {
		return nil, "", fmt.Errorf("%s: script %s: %w", p, scriptSeasons, errAnswer)
	}
	return views, lock, nil
}

// dueBoard is a board whose season ends at a time that is known.
type dueBoard struct {
	id string
	at float64 // in milliseconds
}

// Due returns boards whose current season is due.
func (s *Store) Due(ctx context.Context, at time.Time, limit int) (boards []string, next time.Time, err error) {
	if s.isClosed() {
		return nil, time.Time{}, errClosed
	}
	limit = min(limit, maxOffset)
	found := make([][]dueBoard, len(s.parts))
	err = s.each(func(p *partition) (err error) {
		found[p.n], err = p.firstDue(ctx, int64(limit)+1)
		return err
	})
	if err != nil {
		return nil, time.Time{}, s.fault(ctx, err)
	}
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b dueBoard) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.id, b.id)) })
	for _, b := range all {
		if due := milliseconds(int64(b.at)); due.After(at) || len(boards) >= limit {
			return boards, due, nil
		}
		boards = append(boards, b.id)
	}
	return boards, time.Time{}, nil
}

// firstDue returns at most limit boards of the partition, the first that are due first.
func (p *partition) firstDue(ctx context.Context, limit int64) ([]dueBoard, error) {
	if t := p.trouble.Load(); t != nil && t.away {
		return nil, t.err
	}
	limited, cancel := context.WithTimeout(ctx, p.store.opts.Timeout)
	defer cancel()
	client := p.store.client
	cmd := client.B().Zrangebyscore().Key(p.due).Min("-inf").Max("+inf").Withscores().Limit(0, limit).Build()
	rows, err := client.Do(limited, cmd).AsZScores()
	if err != nil {
		return nil, err
	}
	boards := make([]dueBoard, len(rows))
	for i, row := range rows {
		boards[i] = dueBoard{row.Member, row.Score}
	}
	return boards, nil
}
