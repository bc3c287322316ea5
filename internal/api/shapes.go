package api

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"laurel/internal/leaderboard"
)

// The types of this file are what requests bring and answers carry. Their tags
// are the OpenAPI document. They are read and written by hand, because most of
// them are on the path of every score; that this agrees with the tags is tested.

// answer is a type that can be an answer's body.
type answer interface {
	appendJSON(to []byte) []byte
}

// Position says which state of a board an answer is about.
type Position struct {
	Board  string `json:"board" doc:"The board's id"`
	Season int    `json:"season" minimum:"1" doc:"The season that the answer is about, counted from 1"`
	Rev    uint64 `json:"rev" doc:"The board's change number that the answer is at; publications carry the same number"`
	Epoch  string `json:"epoch" doc:"The store's incarnation; revs of different epochs cannot be compared"`
	Total  int    `json:"total" minimum:"0" doc:"Members on the board"`
	Span

	loose bool // see version
}

func positionOf(v leaderboard.View) Position {
	return Position{Board: v.Board.ID, Season: v.Season, Rev: v.Rev, Epoch: v.Epoch, Total: v.Total, Span: spanOf(v), loose: v.Board.ZSet != ""}
}

func (p Position) version() version { return version{p.Epoch, p.Season, p.Rev, p.loose} }

func (p Position) appendFields(to []byte) []byte {
	to = appendText(to, "board", p.Board)
	to = appendInt(to, "season", p.Season)
	to = strconv.AppendUint(appendField(to, "rev"), p.Rev, 10)
	to = appendText(to, "epoch", p.Epoch)
	return p.append(appendInt(to, "total", p.Total))
}

// score is a score on its board's scale; a nullScore may be absent.
type (
	score struct {
		scaled   int64
		decimals int
	}
	nullScore struct {
		score
		valid bool
	}
)

func (s score) append(to []byte) []byte { return leaderboard.AppendScore(to, s.scaled, s.decimals) }

func (s nullScore) append(to []byte) []byte {
	if !s.valid {
		return append(to, "null"...)
	}
	return s.score.append(to)
}

// MarshalJSON is for whoever encodes the type by reflection.
func (s score) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

// MarshalJSON is for whoever encodes the type by reflection.
func (s nullScore) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

const scoreDoc = "An exact decimal with at most as many digits after the point as the board has `decimals`, without an exponent"

// Schema implements [huma.SchemaProvider].
func (score) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Description: scoreDoc}
}

// Schema implements [huma.SchemaProvider].
func (nullScore) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Nullable: true}
}

// nullRank is a rank, or 0 for none.
type nullRank int

func (r nullRank) append(to []byte) []byte {
	if r == 0 {
		return append(to, "null"...)
	}
	return strconv.AppendInt(to, int64(r), 10)
}

// MarshalJSON is for whoever encodes the type by reflection.
func (r nullRank) MarshalJSON() ([]byte, error) { return r.append(nil), nil }

// Schema implements [huma.SchemaProvider].
func (nullRank) Schema(huma.Registry) *huma.Schema {
	one := 1.0
	return &huma.Schema{Type: huma.TypeInteger, Nullable: true, Minimum: &one}
}

// timestamp is a time in whole milliseconds.
type timestamp struct{ time.Time }

// MarshalJSON is for whoever encodes the type by reflection.
func (t timestamp) MarshalJSON() ([]byte, error) { return appendTime(nil, t.Time), nil }

// Schema implements [huma.SchemaProvider].
func (timestamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// storedData is an entry's data in an answer.
type storedData json.RawMessage

// MarshalJSON is for whoever encodes the type by reflection.
func (d storedData) MarshalJSON() ([]byte, error) { return d, nil }

// Schema implements [huma.SchemaProvider].
func (storedData) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// board is a board's settings and position.
type board struct {
	ID        string                `json:"id" doc:"The board's id"`
	Order     leaderboard.Order     `json:"order" enum:"desc,asc" doc:"Which scores stand first: the highest, or the lowest"`
	Policy    leaderboard.Policy    `json:"policy" enum:"sum,best,latest" doc:"What a submission does to a score: it adds, replaces it if better, or replaces it"`
	Decimals  int                   `json:"decimals" minimum:"0" maximum:"6" doc:"Digits after the point that scores may have"`
	Ties      leaderboard.Ties      `json:"ties" enum:"earliest,latest" doc:"Who stands first among equal scores: who reached it first, or last"`
	RankStyle leaderboard.RankStyle `json:"rank_style" enum:"ordinal,competition,dense" doc:"How equal scores are numbered: 1 2 3 4, 1 2 2 4, or 1 2 2 3"`
	Top       int                   `json:"top" minimum:"1" maximum:"500" doc:"Entries that viewers are sent"`
	Interval  int                   `json:"interval_ms" minimum:"20" maximum:"60000" doc:"Milliseconds between two publications at the least"`
	MinScore  scoreBound            `json:"min_score,omitzero" doc:"No submission or correction may leave a member below this; absent: none"`
	MaxScore  scoreBound            `json:"max_score,omitzero" doc:"No submission or correction may leave a member above this; absent: none"`
	MaxStep   scoreBound            `json:"max_step,omitzero" doc:"No submission may move a score by more than this; absent: none"`
	Submits   int                   `json:"submits_per_minute,omitzero" minimum:"1" maximum:"10000" doc:"How many submissions of one member are carried out in a minute; absent: any number"`
	Seasons   seasons               `json:"seasons,omitzero" doc:"When seasons begin and end; absent: when somebody says so"`
	Entries   int                   `json:"max_entries,omitzero" minimum:"1" maximum:"10000000" doc:"How many entries the board keeps; absent: any number"`
	TTL       int                   `json:"entry_ttl,omitzero" minimum:"1" maximum:"316224000" doc:"For how many seconds an entry stays that no accepted write refreshes; absent: for ever"`
	ZSet      string                `json:"zset,omitempty" doc:"The key of the sorted set in Redis that the board shows; absent if it has its own entries"`
	CreatedAt timestamp             `json:"created_at"`
	Season    int                   `json:"season" minimum:"1" doc:"The current season, counted from 1"`
	Rev       uint64                `json:"rev" doc:"The board's change number"`
	Epoch     string                `json:"epoch" doc:"The store's incarnation; revs of different epochs cannot be compared"`
	Total     int                   `json:"total" minimum:"0" doc:"Members on the board"`
	Span
}

func boardOf(v leaderboard.View) board {
	b := v.Board
	return board{
		ID: b.ID, Order: b.Order, Policy: b.Policy, Decimals: b.Decimals, Ties: b.Ties, RankStyle: b.RankStyle,
		Top: b.Top, Interval: b.Interval, MinScore: scoreBound{b.MinScore}, MaxScore: scoreBound{b.MaxScore}, MaxStep: scoreBound{b.MaxStep}, Submits: b.SubmitsPerMinute, Seasons: seasonsOf(b.Seasons), Entries: b.MaxEntries, TTL: b.EntryTTL, ZSet: b.ZSet, CreatedAt: timestamp{b.CreatedAt},
		Season: v.Season, Rev: v.Rev, Epoch: v.Epoch, Total: v.Total, Span: spanOf(v),
	}
}

func (b board) appendJSON(to []byte) []byte {
	to = append(to, '{')
	to = appendText(to, "id", b.ID)
	to = appendText(to, "order", string(b.Order))
	to = appendText(to, "policy", string(b.Policy))
	to = appendInt(to, "decimals", b.Decimals)
	to = appendText(to, "ties", string(b.Ties))
	to = appendText(to, "rank_style", string(b.RankStyle))
	to = appendInt(to, "top", b.Top)
	to = appendInt(to, "interval_ms", b.Interval)
	to = appendBound(to, "min_score", b.MinScore)
	to = appendBound(to, "max_score", b.MaxScore)
	to = appendBound(to, "max_step", b.MaxStep)
	if b.Submits != 0 {
		to = appendInt(to, "submits_per_minute", b.Submits)
	}
	if b.Seasons != (seasons{}) {
		to = b.Seasons.appendJSON(appendField(to, "seasons"))
	}
	if b.Entries != 0 {
		to = appendInt(to, "max_entries", b.Entries)
	}
	if b.TTL != 0 {
		to = appendInt(to, "entry_ttl", b.TTL)
	}
	if b.ZSet != "" {
		to = appendText(to, "zset", b.ZSet)
	}
	to = appendTime(appendField(to, "created_at"), b.CreatedAt.Time)
	to = appendInt(to, "season", b.Season)
	to = strconv.AppendUint(appendField(to, "rev"), b.Rev, 10)
	to = appendText(to, "epoch", b.Epoch)
	to = appendInt(to, "total", b.Total)
	return append(b.append(to), '}')
}

func (b board) version() version { return version{b.Epoch, b.Season, b.Rev, b.ZSet != ""} }

// scoreBound is a limit of a board's scores that is absent if there is none.
type scoreBound struct{ leaderboard.Bound }

// Schema implements [huma.SchemaProvider].
func (scoreBound) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeNumber} }

func appendBound(to []byte, name string, b scoreBound) []byte {
	if !b.Valid {
		return to
	}
	return append(appendField(to, name), b.Limit.String()...)
}

// boardList is a page of the list of boards.
type boardList struct {
	Leaderboards []board `json:"leaderboards" nullable:"false" doc:"Boards, ordered by id"`
	NextCursor   string  `json:"next_cursor,omitempty" doc:"Give it back as cursor for the boards behind these; absent if there are none"`
}

func (l boardList) appendJSON(to []byte) []byte {
	to = append(to, `{"leaderboards":[`...)
	for i, b := range l.Leaderboards {
		if i > 0 {
			to = append(to, ',')
		}
		to = b.appendJSON(to)
	}
	to = append(to, ']')
	if l.NextCursor != "" {
		to = appendText(to, "next_cursor", l.NextCursor)
	}
	return append(to, '}')
}

// outcome is what a write to entries did.
type outcome struct {
	Results []result `json:"results" nullable:"false" doc:"One for each submission, in their order"`
	Position
}

// result is what one submission did.
type result struct {
	Member        string             `json:"member"`
	Accepted      bool               `json:"accepted" doc:"Whether anything was changed"`
	Reason        leaderboard.Reason `json:"reason,omitempty" enum:"not_better,board_full" doc:"Why nothing was changed, which is not an error"`
	Score         nullScore          `json:"score" doc:"The member's score when the submission had been applied; null: not on the board"`
	Rank          nullRank           `json:"rank" doc:"The rank then"`
	PreviousScore nullScore          `json:"previous_score" doc:"The score just before; null: was not on the board"`
	PreviousRank  nullRank           `json:"previous_rank" doc:"The rank then"`
	EntryRev      uint64             `json:"entry_rev,omitzero" doc:"What the member's entry is at when the submission had been applied, for If-Match; absent if it is not on the board"`
}

func outcomeOf(o leaderboard.Outcome) outcome {
	view := o.Boards[0]
	results := make([]result, len(o.Results))
	for i, r := range o.Results {
		results[i] = resultOf(r, view)
	}
	return outcome{Results: results, Position: positionOf(view)}
}

func resultOf(r leaderboard.Result, view leaderboard.View) result {
	return result{
		Member: r.Member, Accepted: r.Accepted, Reason: r.Reason,
		Score: scoreOf(r.Current, view), Rank: nullRank(r.Current.Rank),
		PreviousScore: scoreOf(r.Previous, view), PreviousRank: nullRank(r.Previous.Rank), EntryRev: r.Rev,
	}
}

func scoreOf(s leaderboard.Standing, v leaderboard.View) nullScore {
	return nullScore{score: score{s.Score, v.Board.Decimals}, valid: s.Rank != 0}
}

func (o outcome) appendJSON(to []byte) []byte {
	to = append(to, `{"results":[`...)
	for i := range o.Results {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(o.Results[i].appendFields(append(to, '{')), '}')
	}
	to = append(to, ']')
	to = o.appendFields(to)
	return append(to, '}')
}

func (r *result) appendFields(to []byte) []byte {
	to = appendText(to, "member", r.Member)
	to = strconv.AppendBool(appendField(to, "accepted"), r.Accepted)
	if r.Reason != "" {
		to = appendText(to, "reason", string(r.Reason))
	}
	to = r.Score.append(appendField(to, "score"))
	to = r.Rank.append(appendField(to, "rank"))
	to = r.PreviousScore.append(appendField(to, "previous_score"))
	to = r.PreviousRank.append(appendField(to, "previous_rank"))
	if r.EntryRev != 0 {
		to = strconv.AppendUint(appendField(to, "entry_rev"), r.EntryRev, 10)
	}
	return to
}

// entry is a member's place on a board.
type entry struct {
	Member    string     `json:"member"`
	Score     score      `json:"score"`
	Rank      int        `json:"rank" minimum:"1" doc:"Counted from 1, by the board's rank style"`
	Data      storedData `json:"data,omitempty" doc:"What was given with a submission"`
	UpdatedAt timestamp  `json:"updated_at,omitzero" doc:"When the entry last changed; absent on a board that shows a ZSET"`
	EntryRev  uint64     `json:"entry_rev,omitzero" doc:"The board's rev at the last accepted change of this entry, for If-Match; absent on a board that shows a ZSET"`
}

func entryOf(e leaderboard.Entry, decimals int) entry {
	return entry{
		Member: e.Member, Score: score{e.Score, decimals}, Rank: e.Rank,
		Data: storedData(e.Data), UpdatedAt: timestamp{e.UpdatedAt}, EntryRev: e.Rev,
	}
}

func (e *entry) appendPlace(to []byte) []byte {
	to = appendText(to, "member", e.Member)
	to = e.Score.append(appendField(to, "score"))
	return appendInt(to, "rank", e.Rank)
}

func (e *entry) appendRest(to []byte) []byte {
	if len(e.Data) > 0 {
		to = append(appendField(to, "data"), e.Data...)
	}
	if !e.UpdatedAt.IsZero() {
		to = appendTime(appendField(to, "updated_at"), e.UpdatedAt.Time)
	}
	if e.EntryRev != 0 {
		to = strconv.AppendUint(appendField(to, "entry_rev"), e.EntryRev, 10)
	}
	return to
}

// entryList is a page of a board.
type entryList struct {
	Position
	Entries    []entry `json:"entries" nullable:"false" doc:"Entries from a place of the board downwards"`
	NextCursor string  `json:"next_cursor,omitempty" doc:"Give it back as cursor for the entries behind these; absent if there are none"`
}

// entryListOf makes the answer of a page of a board, or of the first percent of it.
func entryListOf(p leaderboard.Page, percent *leaderboard.Decimal) entryList {
	list := entryList{Position: positionOf(p.View), Entries: make([]entry, len(p.Entries))}
	for i, e := range p.Entries {
		list.Entries[i] = entryOf(e, p.Board.Decimals)
	}
	if n := len(p.Entries); p.More && n > 0 {
		list.NextCursor = entryCursor{Season: p.Season, Position: p.Entries[n-1].Position(), Percent: percent}.encode(p.Board.ID)
	}
	return list
}

func (l entryList) appendJSON(to []byte) []byte {
	to = append(to, '{')
	to = l.appendFields(to)
	to = append(to, `,"entries":[`...)
	for i := range l.Entries {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(to, '{')
		to = l.Entries[i].appendPlace(to)
		to = l.Entries[i].appendRest(to)
		to = append(to, '}')
	}
	to = append(to, ']')
	if l.NextCursor != "" {
		to = appendText(to, "next_cursor", l.NextCursor)
	}
	return append(to, '}')
}

// standing is one member's entry and how it compares.
type standing struct {
	Member     string     `json:"member"`
	Score      score      `json:"score"`
	Rank       int        `json:"rank" minimum:"1" doc:"Counted from 1, by the board's rank style"`
	Percentile float64    `json:"percentile" minimum:"0" maximum:"100" doc:"The share of the other members, in percent, that do not stand before this one; equals do not where they share a rank, and dense ranks count members too, not scores. 100 for the first, 0 for one whom all stand before"`
	Data       storedData `json:"data,omitempty" doc:"What was given with a submission"`
	UpdatedAt  timestamp  `json:"updated_at,omitzero" doc:"When the entry last changed; absent on a board that shows a ZSET"`
	EntryRev   uint64     `json:"entry_rev,omitzero" doc:"The board's rev at the last accepted change of this entry, for If-Match; absent on a board that shows a ZSET"`
	Position
}

func standingOf(p leaderboard.Page) standing {
	e := entryOf(p.Entries[0], p.Board.Decimals)
	return standing{
		Member: e.Member, Score: e.Score, Rank: e.Rank, Percentile: p.Percentile(p.Entries[0]),
		Data: e.Data, UpdatedAt: e.UpdatedAt, EntryRev: e.EntryRev, Position: positionOf(p.View),
	}
}

func (s standing) appendJSON(to []byte) []byte {
	e := entry{Member: s.Member, Score: s.Score, Rank: s.Rank, Data: s.Data, UpdatedAt: s.UpdatedAt, EntryRev: s.EntryRev}
	to = append(to, '{')
	to = e.appendPlace(to)
	to = strconv.AppendFloat(appendField(to, "percentile"), s.Percentile, 'f', -1, 64)
	to = e.appendRest(to)
	to = s.appendFields(to)
	return append(to, '}')
}

// memberList is a member's entries on some boards.
type memberList struct {
	Member     string     `json:"member"`
	Entries    []standing `json:"entries" nullable:"false" doc:"One for each board that the member is on, ordered by the board's id"`
	NextCursor string     `json:"next_cursor,omitempty" doc:"Give it back as cursor for the boards behind those that were looked at; absent if there are none"`
}

func (l memberList) appendJSON(to []byte) []byte {
	to = append(to, '{')
	to = appendText(to, "member", l.Member)
	to = append(to, `,"entries":[`...)
	for i := range l.Entries {
		if i > 0 {
			to = append(to, ',')
		}
		to = l.Entries[i].appendJSON(to)
	}
	to = append(to, ']')
	if l.NextCursor != "" {
		to = appendText(to, "next_cursor", l.NextCursor)
	}
	return append(to, '}')
}

// selection is those of some members that are on a board.
type selection struct {
	Position
	Entries  []selected `json:"entries" nullable:"false" doc:"Those of the members that are on the board, in its order"`
	NotFound []string   `json:"not_found" nullable:"false" doc:"Those that are not, in the order they were asked for"`
}

// selected is one of some members.
type selected struct {
	Member     string     `json:"member"`
	Score      score      `json:"score"`
	Rank       int        `json:"rank" minimum:"1" doc:"On the whole board, counted from 1, by its rank style"`
	Place      int        `json:"position" minimum:"1" doc:"The place among those that were asked for and found, counted from 1, by the board's order: no two share one"`
	Percentile float64    `json:"percentile" minimum:"0" maximum:"100" doc:"As that of one entry"`
	Data       storedData `json:"data,omitempty" doc:"What was given with a submission"`
	UpdatedAt  timestamp  `json:"updated_at,omitzero" doc:"When the entry last changed; absent on a board that shows a ZSET"`
	EntryRev   uint64     `json:"entry_rev,omitzero" doc:"The board's rev at the last accepted change of this entry, for If-Match; absent on a board that shows a ZSET"`
}

func selectionOf(s leaderboard.Selection) selection {
	found := selection{Position: positionOf(s.View), Entries: make([]selected, len(s.Entries)), NotFound: s.NotFound}
	for i := range s.Entries {
		e := entryOf(s.Entries[i], s.Board.Decimals)
		found.Entries[i] = selected{
			Member: e.Member, Score: e.Score, Rank: e.Rank, Place: i + 1, Percentile: s.Percentile(s.Entries[i]),
			Data: e.Data, UpdatedAt: e.UpdatedAt, EntryRev: e.EntryRev,
		}
	}
	return found
}

func (s selection) appendJSON(to []byte) []byte {
	to = append(to, '{')
	to = s.appendFields(to)
	to = append(to, `,"entries":[`...)
	for i := range s.Entries {
		if i > 0 {
			to = append(to, ',')
		}
		one := &s.Entries[i]
		e := entry{Member: one.Member, Score: one.Score, Rank: one.Rank, Data: one.Data, UpdatedAt: one.UpdatedAt, EntryRev: one.EntryRev}
		to = append(to, '{')
		to = e.appendPlace(to)
		to = appendInt(to, "position", one.Place)
		to = strconv.AppendFloat(appendField(to, "percentile"), one.Percentile, 'f', -1, 64)
		to = e.appendRest(to)
		to = append(to, '}')
	}
	to = append(to, `],"not_found":[`...)
	for i, member := range s.NotFound {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendString(to, member)
	}
	return append(to, ']', '}')
}

// noContent is the answer of what has nothing to tell.
type noContent struct{}

func (noContent) appendJSON(to []byte) []byte { return to }
