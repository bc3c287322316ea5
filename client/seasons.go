package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Seasons says when the seasons of a board begin and end. The zero value is: when
// somebody says so, with [Client.EndSeason]. Otherwise it has one of Cron, Every with
// From, or StartsAt and EndsAt.
type Seasons struct {
	Cron     string    `json:"cron,omitempty"`      // five fields, or @hourly, @daily, @weekly, @monthly or @yearly: when one season ends and the next one begins
	Every    string    `json:"every,omitempty"`     // the length of a season, such as "36h" or "14d"
	From     time.Time `json:"from,omitzero"`       // when the first of those begins
	TimeZone string    `json:"time_zone,omitempty"` // of the IANA database; "" is UTC
	StartsAt time.Time `json:"starts_at,omitzero"`  // of one season
	EndsAt   time.Time `json:"ends_at,omitzero"`    // of one season

	// GraceMS is for how many milliseconds after its end a season takes late scores.
	GraceMS int `json:"grace_ms,omitempty"`

	Keep int `json:"keep,omitempty"` // past seasons that are kept; 0 is 10
}

// MarshalJSON writes null for the zero value, which clears the setting.
func (s Seasons) MarshalJSON() ([]byte, error) {
	type plain Seasons
	if s == (Seasons{}) {
		return []byte("null"), nil
	}
	return json.Marshal(plain(s))
}

// Span is when the season that an answer is about begins and ends.
type Span struct {
	StartsAt  time.Time `json:"starts_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`    // zero: nobody knows yet
	NextReset time.Time `json:"next_reset,omitzero"` // when the next season begins with an empty table; zero: nobody knows
	Closed    bool      `json:"closed,omitempty"`    // the season has ended
}

// InSeason returns a client whose reads and writes of one board are of that season,
// counted from 1. A season that has ended can be read as long as the board keeps
// it, and written for as long as its board takes late scores.
func (c *Client) InSeason(season int) *Client {
	return c.with(func(d *Client) { d.season = season })
}

// Seasons returns the current season of a board, and behind it the past ones that
// are kept, from the newest on.
func (c *Client) Seasons(ctx context.Context, board string) ([]Board, error) {
	list, err := call[struct {
		Seasons []Board `json:"seasons"`
	}](ctx, c, http.MethodGet, boardPath(board)+"/seasons", nil)
	return list.Seasons, err
}

// EndSeason ends the current season of a board and begins the next one, if the
// current one is that with this number, or if that is 0. Otherwise the error has the code
// [CodeSeasonEnded].
func (c *Client) EndSeason(ctx context.Context, board string, season int) (Board, error) {
	body := struct {
		Season int `json:"season,omitempty"`
	}{season}
	return call[Board](ctx, c, http.MethodPost, boardPath(board)+"/seasons", body)
}

// of adds the client's season to the query of a request about one board.
func (c *Client) of(path string, query url.Values) string {
	if c.season != 0 {
		if query == nil {
			query = url.Values{}
		}
		setInt(query, "season", c.season)
	}
	return withQuery(path, query)
}
