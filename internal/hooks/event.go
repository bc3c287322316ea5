package hooks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"laurel/internal/leaderboard"
)

// event is what is told. In a queue it is as here; a delivery has what its comments
// say more.
type event struct {
	ID       string    `json:"id"`                 // of the event, the same in every delivery of it
	Delivery string    `json:"delivery,omitempty"` // in a delivery: its id, the same whenever it is tried again
	Event    Kind      `json:"event"`
	Board    string    `json:"board"`
	Season   int       `json:"season"`
	Rev      uint64    `json:"rev,omitempty"`
	At       time.Time `json:"at"` // when it was recorded
	EndedAt  time.Time `json:"ended_at,omitzero"`
	FinalAt  time.Time `json:"final_at,omitzero"` // of season_ended: it is not delivered before
	Leader   *place    `json:"leader,omitempty"`
	Record   *place    `json:"record,omitempty"`
	Previous *place    `json:"previous,omitempty"` // leader, or record
	Standing *standing `json:"standing,omitempty"` // in a delivery of season_ended

	Done int `json:"pages_delivered,omitempty"` // in a queue
}

// due is when an event may be delivered.
func (e event) due() time.Time {
	if e.FinalAt.After(e.At) {
		return e.FinalAt
	}
	return e.At
}

// place is a member with a score.
type place struct {
	Rank   int             `json:"rank,omitempty"`
	Member string          `json:"member,omitempty"`
	Score  json.RawMessage `json:"score,omitempty"`
	Season int             `json:"season,omitempty"` // of a record
	Data   json.RawMessage `json:"data,omitempty"`
}

// standing is a page of that at the end of a season.
type standing struct {
	Page    int     `json:"page"` // 1-based
	Pages   int     `json:"pages"`
	Total   int     `json:"total"` // entries of the season
	Entries []place `json:"entries"`
	Gone    bool    `json:"gone,omitempty"` // the season or its board is not kept any more
}

func score(b leaderboard.Board, scaled int64) json.RawMessage {
	return leaderboard.AppendScore(nil, scaled, b.Decimals)
}

func placeOf(b leaderboard.Board, e leaderboard.Entry) *place {
	return &place{Member: e.Member, Score: score(b, e.Score), Data: e.Data}
}

// named gives an event its id, which follows from what it is about.
func (e event) named(b leaderboard.Board, epoch string) event {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %d %s %d", e.Event, e.Board, b.CreatedAt.UnixMilli(), e.Season, epoch, e.Rev))
	e.ID = hex.EncodeToString(sum[:16])
	return e
}

// note is what was told last about a board.
type note struct {
	Created int64   `json:"created"` // of the board, in ms: another one of the same id begins anew
	Season  int     `json:"season"`  // those before have ended, as far as was told; of a closed one it is the next
	Rev     uint64  `json:"rev"`     // of the board, when the note was made
	Epoch   string  `json:"epoch"`
	Leader  string  `json:"leader,omitempty"` // empty: nobody yet in this season, or not any more
	Record  *record `json:"record,omitempty"` // nil: it is not known
}

// record is the best score there ever was. Who reached it is not kept: a member may be
// erased, and the record stands.
type record struct {
	Score  int64 `json:"score"` // scaled
	Season int   `json:"season"`
}

// asked is which kinds of events somebody asked for.
type asked struct{ leader, record, season bool }

// maxSeasons is how many ends of seasons are told at once, the last ones.
const maxSeasons = 100

// after returns the note that follows on n when the top of a board is seen, and what is to be
// told. changed says whether it differs from n in what counts.
func (n note) after(top leaderboard.Page, want asked) (next note, events []event, changed bool) {
	b := top.Board
	created := b.CreatedAt.UnixMilli()
	fresh := n.Created != created
	if !fresh && n.Epoch == top.Epoch && top.Rev < n.Rev {
		return n, nil, false // somebody has seen a later state
	}
	next = n
	if fresh {
		next = note{Created: created, Season: top.Season}
		if top.Closed {
			next.Season++ // nobody was there to see its end
		}
	}
	next.Rev, next.Epoch = top.Rev, top.Epoch
	next.drop(want)
	if next.Season < top.Season {
		events = append(events, next.end(b, top.Season-1, SeasonEnd{}, want)...)
		changed = true
	}
	if len(top.Entries) == 0 {
		if top.Season == next.Season && next.Leader != "" {
			next.Leader, changed = "", true // who was erased is not to be kept here
		}
	} else {
		first := top.Entries[0]
		if want.leader && top.Season == next.Season && first.Member != next.Leader {
			if next.Leader != "" {
				e := event{Event: NewLeader, Board: b.ID, Season: top.Season, Rev: top.Rev, Leader: placeOf(b, first), Previous: &place{Member: next.Leader}}
				for _, other := range top.Entries {
					if other.Member == next.Leader {
						e.Previous = placeOf(b, other)
					}
				}
				events = append(events, e.named(b, top.Epoch))
			}
			next.Leader = first.Member
			changed = true
		}
		if want.record {
			beaten, better := next.reach(top)
			events = append(events, beaten...)
			changed = changed || better
		}
	}
	if top.Closed && next.Season == top.Season {
		events = append(events, next.end(b, top.Season, SeasonEnd{At: top.EndsAt}, want)...)
		changed = true
	}
	return next, events, changed || fresh
}

// drop forgets what nobody asks for any more: it will not be kept up to date.
func (n *note) drop(want asked) {
	if !want.leader {
		n.Leader = ""
	}
	if !want.record {
		n.Record = nil
	}
}

// reach takes the first of a page for the record, if it is better or there was none.
func (n *note) reach(top leaderboard.Page) (events []event, better bool) {
	b, first := top.Board, top.Entries[0]
	if n.Record != nil && !b.Better(first.Score, n.Record.Score) {
		return nil, false
	}
	if n.Record != nil {
		e := event{Event: RecordBeaten, Board: b.ID, Season: top.Season, Rev: top.Rev, Record: placeOf(b, first)}
		e.Record.Season = top.Season
		e.Previous = &place{Score: score(b, n.Record.Score), Season: n.Record.Season}
		events = append(events, e.named(b, top.Epoch))
	}
	n.Record = &record{first.Score, top.Season}
	return events, true
}

// end notes that all seasons up to last have ended, the last one as end says.
func (n *note) end(b leaderboard.Board, last int, end SeasonEnd, want asked) (events []event) {
	if want.season {
		for season := max(n.Season, last-maxSeasons+1); season <= last; season++ {
			e := event{Event: SeasonEnded, Board: b.ID, Season: season}
			if season == last {
				e.EndedAt, e.FinalAt = end.At, end.Final
			}
			events = append(events, e.named(b, ""))
		}
	}
	n.Season, n.Leader = last+1, ""
	return events
}
