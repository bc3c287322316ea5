package redisstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"laurel/internal/leaderboard"
)

// settings are a board's settings at a revision, which is never that of others, and
// its current season; or those that it had at the end of a past one, and that one.
type settings struct {
	revision uint64
	board    leaderboard.Board
	run      leaderboard.Run
	first    int       // the oldest season that is kept
	before   *settings // if the season before may take late scores, its settings; of the same revision
	timeless bool      // the season has begun, is open, and nobody knows its end
}

// unknown is what is known of a board that was never seen.
var unknown = &settings{board: leaderboard.Board{}.WithDefaults(), run: leaderboard.Run{Season: 1}, first: 1, timeless: true}

// storedRun is a season as it is stored.
type storedRun struct {
	Season    int       `json:"season"`
	StartsAt  time.Time `json:"starts_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
	Awaited   bool      `json:"awaited,omitempty"`
	Closed    bool      `json:"closed,omitempty"`
	LateUntil time.Time `json:"late_until,omitzero"`
	First     int       `json:"first"`
}

func (s *settings) stored() storedRun {
	r := s.run
	return storedRun{r.Season, r.StartsAt, r.EndsAt, r.Awaited, r.Closed, r.LateUntil, s.first}
}

// text is how settings are stored: a board whose season says no more than that it
// is the first, and began with the board, as versions before seasons did; another one as
// an array of the board, its season, and the text of the season before if that may take
// late scores. Those versions cannot read that, and would do the wrong thing if they could.
func (s *settings) text() ([]byte, error) {
	first := &settings{run: leaderboard.Run{Season: 1, StartsAt: s.board.CreatedAt}, first: 1}
	if s.before == nil && s.stored() == first.stored() {
		return json.Marshal(s.board)
	}
	parts := []any{s.board, s.stored()}
	if s.before != nil {
		text, err := s.before.text()
		if err != nil {
			return nil, err
		}
		parts = append(parts, json.RawMessage(text))
	}
	return json.Marshal(parts)
}

// parse reads what text has written.
func (s *settings) parse(text []byte) error {
	s.first = 1
	if len(text) == 0 || text[0] != '[' {
		if err := json.Unmarshal(text, &s.board); err != nil {
			return err
		}
		s.run = leaderboard.Run{Season: 1, StartsAt: s.board.CreatedAt}
		s.timeless = true
		return nil
	}
	var run storedRun
	var before json.RawMessage
	if err := json.Unmarshal(text, &[]any{&s.board, &run, &before}); err != nil {
		return err
	}
	if run.Season < 1 || run.First < 1 || run.First > run.Season || before == nil && !run.LateUntil.IsZero() {
		return errors.New("they are not whole")
	}
	s.run = leaderboard.Run{
		Season: run.Season, StartsAt: run.StartsAt, EndsAt: run.EndsAt,
		Awaited: run.Awaited, Closed: run.Closed, LateUntil: run.LateUntil,
	}
	s.first = run.First
	s.timeless = run.EndsAt.IsZero() && !run.Awaited && !run.Closed
	if before != nil {
		s.before = &settings{revision: s.revision}
		return s.before.parse(before)
	}
	return nil
}

// view is the season as it was read.
func (s *settings) view(rev uint64, epoch string, total int) leaderboard.View {
	return leaderboard.View{
		Board: s.board, Season: s.run.Season, Rev: rev, Epoch: epoch, Total: total,
		StartsAt: s.run.StartsAt, EndsAt: s.run.EndsAt, Closed: s.run.Closed,
	}
}

// letters returns what scripts need to know of a board's settings; see entries.lua.
func letters(b leaderboard.Board) string {
	k := []byte("aeo")
	if b.Order == leaderboard.Descending {
		k[0] = 'd'
	}
	if b.Ties == leaderboard.LatestTie {
		k[1] = 'l'
	}
	switch b.RankStyle {
	case leaderboard.Competition:
		k[2] = 'c'
	case leaderboard.Dense:
		k[2] = 'd'
	}
	if b.ZSet != "" {
		k = append(k, 'z')
	}
	return string(k)
}

// maxCached is how many boards' settings are remembered. Forgetting costs a
// question.
const maxCached = 1 << 16

// settingsCache remembers settings, so that they need not travel with every answer.
// They may be old: whoever uses them names their revision to Redis. Those of a past season
// are beside those of the board, under the season's name and a slash.
type settingsCache struct {
	mu     sync.RWMutex
	boards map[string]*settings // guarded by mu
}

func (c *settingsCache) get(board string) *settings {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.boards[board]; s != nil {
		return s
	}
	return unknown
}

// forget forgets a board.
func (c *settingsCache) forget(board string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.boards, board)
}

// put remembers settings as they are stored.
func (c *settingsCache) put(board string, revision uint64, text []byte) (*settings, error) {
	s := &settings{revision: revision}
	if err := s.parse(text); err != nil {
		return nil, fmt.Errorf("settings of board %q: %w", board, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.boards) >= maxCached || c.boards == nil {
		c.boards = make(map[string]*settings)
	}
	c.boards[board] = s
	return s, nil
}
