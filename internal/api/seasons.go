package api

import (
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"laurel/internal/leaderboard"
)

// Span is when a season begins and ends.
type Span struct {
	StartsAt  timestamp `json:"starts_at,omitzero" doc:"When the season began, or will; absent on a board that shows a ZSET"`
	EndsAt    timestamp `json:"ends_at,omitzero" doc:"The first instant after the season; absent: nobody knows yet"`
	NextReset timestamp `json:"next_reset,omitzero" doc:"When the next season begins with an empty table; absent: nobody knows, or the season is a past one"`
	Closed    bool      `json:"closed,omitempty" doc:"Whether the season has ended"`
}

func spanOf(v leaderboard.View) Span {
	return Span{timestamp{v.StartsAt}, timestamp{v.EndsAt}, timestamp{v.NextReset()}, v.Closed}
}

func (s Span) append(to []byte) []byte {
	to = appendInstant(to, "starts_at", s.StartsAt)
	to = appendInstant(to, "ends_at", s.EndsAt)
	to = appendInstant(to, "next_reset", s.NextReset)
	if s.Closed {
		to = append(appendField(to, "closed"), "true"...)
	}
	return to
}

// appendInstant appends a field unless the time is zero.
func appendInstant(to []byte, name string, t timestamp) []byte {
	if t.IsZero() {
		return to
	}
	return appendTime(appendField(to, name), t.Time)
}

// seasons is when the seasons of a board begin and end.
type seasons struct {
	Cron     string    `json:"cron,omitempty" doc:"Five fields (minute, hour, day of the month, month, day of the week), or @hourly, @daily, @weekly, @monthly or @yearly: at each of these times in time_zone a season ends and the next one begins"`
	Every    string    `json:"every,omitempty" doc:"The length of a season, from from on: such as 36h, 90m, 14d or 2w. Days and weeks are those of the calendar in time_zone"`
	From     timestamp `json:"from,omitzero" doc:"With every: when the first season begins"`
	TimeZone string    `json:"time_zone,omitempty" doc:"A name of the IANA database, such as Europe/Berlin; absent: UTC"`
	StartsAt timestamp `json:"starts_at,omitzero" doc:"Of one season: nothing can be submitted before"`
	EndsAt   timestamp `json:"ends_at,omitzero" doc:"Of one season: nothing can be submitted from then on, and its standing stays"`
	Grace    int       `json:"grace_ms,omitempty" minimum:"0" maximum:"604800000" doc:"For how many milliseconds after its end a season takes late scores: of who names it, if another one has begun, and else any"`
	Keep     int       `json:"keep,omitempty" minimum:"0" maximum:"1000" default:"10" doc:"How many past seasons are kept; older ones are removed when a season ends"`
}

func seasonsOf(s leaderboard.Seasons) seasons {
	return seasons{s.Cron, s.Every, timestamp{s.From}, s.TimeZone, timestamp{s.StartsAt}, timestamp{s.EndsAt}, s.Grace, s.Keep}
}

func (b seasons) appendJSON(to []byte) []byte {
	to = append(to, '{')
	to = appendGiven(to, "cron", b.Cron)
	to = appendGiven(to, "every", b.Every)
	to = appendInstant(to, "from", b.From)
	to = appendGiven(to, "time_zone", b.TimeZone)
	to = appendInstant(to, "starts_at", b.StartsAt)
	to = appendInstant(to, "ends_at", b.EndsAt)
	if b.Grace != 0 {
		to = appendInt(to, "grace_ms", b.Grace)
	}
	if b.Keep != 0 {
		to = appendInt(to, "keep", b.Keep)
	}
	return append(to, '}')
}

// appendGiven appends a field unless it is empty.
func appendGiven(to []byte, name, value string) []byte {
	if value == "" {
		return to
	}
	return appendText(to, name, value)
}

// givenSeasons is that setting in a request: an object, or null.
type givenSeasons struct{ leaderboard.Seasons }

// Schema implements [huma.SchemaProvider].
func (givenSeasons) Schema(r huma.Registry) *huma.Schema {
	s := huma.SchemaFromType(r, reflect.TypeFor[seasons]())
	s.Nullable = true
	return s
}

// seasons returns the setting for the package leaderboard; nil says nothing of it.
func (b *givenSeasons) seasons() *leaderboard.Seasons {
	if b == nil {
		return nil
	}
	return &b.Seasons
}

var seasonsNames = fieldsOf[seasons]()

// seasons reads the setting.
func (s *scanner) seasons(where string) *givenSeasons {
	given := new(givenSeasons)
	if s.kind() == 'n' {
		s.at += len("null")
		return given
	}
	o := s.object(where, seasonsNames)
	for o.next(s) {
		switch name := where + "." + o.name; o.name {
		case "cron":
			given.Cron = s.string(name)
		case "every":
			given.Every = s.string(name)
		case "time_zone":
			given.TimeZone = s.string(name)
		case "from":
			given.From = s.instant(name)
		case "starts_at":
			given.StartsAt = s.instant(name)
		case "ends_at":
			given.EndsAt = s.instant(name)
		case "grace_ms":
			given.Grace = s.integer(name)
		case "keep":
			given.Keep = s.integer(name)
		default:
			panic("api: field " + o.name + " of a type is not decoded")
		}
	}
	return given
}

// instant reads a time.
func (s *scanner) instant(where string) time.Time {
	text := s.string(where)
	if s.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		s.fail(where, leaderboard.Errorf(leaderboard.CodeInvalidBoard, "%s is %q, must be a time such as 2026-01-31T18:00:00Z", where, clip(text)))
		return time.Time{}
	}
	return t.UTC()
}

// endSeason is the body that ends a season.
type endSeason struct {
	Season int `json:"season,omitempty" minimum:"1" doc:"Which season is to be ended; if it has ended already nothing happens but an error, so it is safe to ask again. Absent: the current one"`
}

var endSeasonNames = fieldsOf[endSeason]()

func (b *endSeason) decode(s *scanner) {
	o := s.object("", endSeasonNames)
	for o.next(s) {
		b.Season = s.integer("season")
		if s.err == nil && b.Season < 1 {
			s.fail("season", leaderboard.Errorf(leaderboard.CodeSeasonNotFound, "seasons are counted from 1"))
		}
	}
}

func (a *API) endSeason(x *exchange, body *endSeason) (board, error) {
	view, err := a.writer(x).EndSeason(x.r.Context(), x.board(), body.Season)
	if err != nil {
		return board{}, err
	}
	x.status = http.StatusCreated
	x.w.Header().Set("Location", boardsPath+"/"+view.Board.ID+"?season="+strconv.Itoa(view.Season))
	return boardOf(view), nil
}

// seasonList is the seasons of a board.
type seasonList struct {
	Seasons []board `json:"seasons" nullable:"false" doc:"The current season, and those behind it that are kept, from the newest on, each with the settings that it has or had at its end"`
}

func (l seasonList) appendJSON(to []byte) []byte {
	to = append(to, `{"seasons":[`...)
	for i, b := range l.Seasons {
		if i > 0 {
			to = append(to, ',')
		}
		to = b.appendJSON(to)
	}
	return append(to, ']', '}')
}

func (a *API) listSeasons(x *exchange) (seasonList, error) {
	views, err := a.service.Seasons(x.r.Context(), x.board())
	if err != nil {
		return seasonList{}, err
	}
	list := seasonList{Seasons: make([]board, len(views))}
	for i, view := range views {
		list.Seasons[i] = boardOf(view)
	}
	return list, nil
}
