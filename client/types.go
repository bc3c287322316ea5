package client

import (
	"encoding/json"
	"time"
)

// Settings are what a board is created with. Only ID is needed; what is zero
// gets the server's default.
type Settings struct {
	ID         string `json:"id"`
	Order      string `json:"order,omitempty"`       // "desc", the highest first, or "asc"
	Policy     string `json:"policy,omitempty"`      // "sum", "best" or "latest"
	Decimals   int    `json:"decimals,omitempty"`    // digits after the point, 0 to 6
	Ties       string `json:"ties,omitempty"`        // who stands first among equals: "earliest" or "latest"
	RankStyle  string `json:"rank_style,omitempty"`  // "ordinal" 1 2 3 4, "competition" 1 2 2 4 or "dense" 1 2 2 3; dense cannot be patched away or in
	Top        int    `json:"top,omitempty"`         // entries that viewers are sent, 1 to 500
	IntervalMS int    `json:"interval_ms,omitempty"` // milliseconds between two publications at the least
	ZSet       string `json:"zset,omitempty"`        // key of a sorted set in Redis that another program writes and that the board shows

	// What submissions may do; each is none if it is empty. A member's score lies
	// from MinScore to MaxScore, and one submission moves it by no more than
	// MaxStep, up or down.
	MinScore Score `json:"min_score,omitempty"`
	MaxScore Score `json:"max_score,omitempty"`
	MaxStep  Score `json:"max_step,omitempty"`

	// SubmitsPerMinute is how many submissions of one member are carried out in a
	// minute of the clock, 1 to 10,000; 0 is any number.
	SubmitsPerMinute int `json:"submits_per_minute,omitempty"`

	Seasons Seasons `json:"seasons,omitzero"`

	// MaxEntries is how many entries the board keeps, up to 10,000,000; 0 is any number. It
	// can be patched, but not be given or taken away.
	MaxEntries int `json:"max_entries,omitempty"`

	// EntryTTL is for how many seconds an entry stays that no accepted write refreshes; 0
	// is for ever. It can be patched, but not be given or taken away.
	EntryTTL int `json:"entry_ttl,omitempty"`
}

// Patch changes settings of a board; what is zero stays as it is. A board's
// order, decimals, ties and ZSet never change.
type Patch struct {
	Policy     string `json:"policy,omitempty"`
	RankStyle  string `json:"rank_style,omitempty"`
	Top        int    `json:"top,omitempty"`
	IntervalMS int    `json:"interval_ms,omitempty"`
	MinScore   Bound  `json:"min_score,omitempty"`
	MaxScore   Bound  `json:"max_score,omitempty"`
	MaxStep    Bound  `json:"max_step,omitempty"`

	SubmitsPerMinute *int `json:"submits_per_minute,omitempty"` // nil leaves it, and 0 takes the limit away

	Seasons *Seasons `json:"seasons,omitempty"` // replaces the whole setting

	MaxEntries int `json:"max_entries,omitempty"` // of a board that has a number of them
	EntryTTL   int `json:"entry_ttl,omitempty"`   // of a board that has one
}

// Bound is what a bound of a board is to be: a number as a [Score] has it, or
// [NoBound]. The empty Bound leaves it as it is.
type Bound string

// NoBound takes a bound away.
const NoBound Bound = "none"

// MarshalJSON writes a JSON number, or null for [NoBound].
func (b Bound) MarshalJSON() ([]byte, error) {
	if b == NoBound {
		return []byte("null"), nil
	}
	return Score(b).MarshalJSON()
}

// Board is a board's settings and where it stands.
type Board struct {
	Settings
	CreatedAt time.Time `json:"created_at"`
	Season    int       `json:"season"`
	Rev       uint64    `json:"rev"`
	Epoch     string    `json:"epoch"`
	Total     int       `json:"total"`
	Span
}

// Position says of which board and at which of its states an answer is. Of two
// answers with the same epoch the one with the higher rev is newer.
type Position struct {
	Board  string `json:"board"`
	Season int    `json:"season"`
	Rev    uint64 `json:"rev"`
	Epoch  string `json:"epoch"`
	Total  int    `json:"total"` // members on the board
	Span
}

// Submission is a score that a member made. What it does to the score that the
// member has is the board's policy.
type Submission struct {
	Member string `json:"member"`
	Score  Score  `json:"score"`

	// Data becomes a JSON object of at most 1 KiB that is kept with the entry: a
	// display name, a country. Nil keeps what is there,
	// json.RawMessage("null") removes it.
	Data any `json:"data,omitempty"`

	// IfRev, if it is not nil, has the write carried out only if the entry is at this
	// [Entry.EntryRev], or with 0 only if there is none. If not, the error has the
	// code [CodeEntryChanged], and nothing of the request was done.
	IfRev *uint64 `json:"if_rev,omitempty"`
}

// BoardSubmission is a score that a member made on one of many boards.
type BoardSubmission struct {
	Board string `json:"board"`
	Submission
}

// AcrossOutcome is what a write to many boards did.
type AcrossOutcome struct {
	Results []BoardResult `json:"results"` // one for each submission, in their order
	Boards  []Position    `json:"boards"`  // after it, in the order of their first submissions
}

// BoardResult is what one submission did to one of many boards.
type BoardResult struct {
	Board string `json:"board"`
	Result
}

// Outcome is what a write did.
type Outcome struct {
	Position
	Results []Result `json:"results"` // one for each submission, in their order
}

// Result is what one submission did. A rank of 0 means that the member was, or
// is, not on the board; the score beside it is then empty.
type Result struct {
	Member        string `json:"member"`
	Accepted      bool   `json:"accepted"`         // whether anything was changed
	Reason        string `json:"reason,omitempty"` // why not: "not_better" or "board_full"
	Score         Score  `json:"score"`
	Rank          int    `json:"rank"`
	PreviousScore Score  `json:"previous_score"`
	PreviousRank  int    `json:"previous_rank"`
	EntryRev      uint64 `json:"entry_rev,omitzero"` // of the member's entry then; see Entry
}

// Entry is a member's place on a board.
type Entry struct {
	Member    string          `json:"member"`
	Score     Score           `json:"score"`
	Rank      int             `json:"rank"` // 1-based
	Data      json.RawMessage `json:"data,omitempty"`
	UpdatedAt time.Time       `json:"updated_at,omitzero"` // zero in a table that is watched, and on a board that shows a ZSET
	EntryRev  uint64          `json:"entry_rev,omitzero"`  // the board's rev at the entry's last accepted change, for [Submission.IfRev]; zero where UpdatedAt is
}

// Standing is one member's entry.
type Standing struct {
	Entry
	Percentile float64 `json:"percentile"` // share of the other members, 0 to 100, that do not stand before this one
	Position
}

// Selection is those of some members that are on a board, in its order.
type Selection struct {
	Position
	Entries  []Selected `json:"entries"`
	NotFound []string   `json:"not_found"` // who is not on the board, in the order they were asked for
}

// Selected is one of some members.
type Selected struct {
	Entry
	Place      int     `json:"position"` // among those that were asked for and found, 1-based
	Percentile float64 `json:"percentile"`
}

// Page is entries of a board, in its order.
type Page struct {
	Position
	Entries    []Entry `json:"entries"`
	NextCursor string  `json:"next_cursor,omitempty"` // for [Range.Cursor]; empty on the last page
}

// Range is a part of a board. The zero value is its first 50 entries.
type Range struct {
	Limit  int    // 1 to 1,000; 0 is 50
	Offset int    // entries to leave out at the top
	Cursor string // goes on behind the last entry of an earlier page, wherever that stands now; in place of Offset

	// Around, if it is not empty, is a score that the page has in its middle, whoever
	// has it, in place of Offset and Cursor: where it would stand if it were reached now.
	Around Score

	// TopPercent, if it is not 0, ends the pages behind so many percent of the
	// board's entries, rounded up.
	TopPercent float64
}
