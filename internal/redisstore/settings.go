package redisstore

import (
	"encoding/json"
	"fmt"
	"sync"

	"laurel/internal/leaderboard"
)

// settings are a board's settings at a revision, which is never that of others.
type settings struct {
	revision uint64
	board    leaderboard.Board
}

// unknown is what is known of a board that was never seen.
var unknown = &settings{board: leaderboard.Board{}.WithDefaults()}

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
// They may be old: whoever uses them names their revision to Redis.
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

// put remembers settings as they are stored.
func (c *settingsCache) put(board string, revision uint64, text []byte) (*settings, error) {
	s := &settings{revision: revision}
	if err := json.Unmarshal(text, &s.board); err != nil {
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
