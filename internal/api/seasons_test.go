package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// later lets time pass for the boards.
func (s *server) later(d time.Duration) { s.passed.Add(int64(d)) }

func TestSeasonsAreASetting(t *testing.T) {
	s := newServer(t)
	created := s.must("POST", "/v1/leaderboards", `{"id":"b","seasons":{"every":"2h","from":"2026-11-24T10:00:00+02:00","time_zone":"Europe/Berlin","grace_ms":5000,"keep":3}}`)
	for _, want := range []string{
		`"seasons":{"every":"2h","from":"2026-11-24T08:00:00.000Z","time_zone":"Europe/Berlin","grace_ms":5000,"keep":3}`,
		`"season":1,`, `"starts_at":"2026-11-24T09:00:00.000Z","ends_at":"2026-11-24T10:00:00.000Z","next_reset":"2026-11-24T10:00:00.000Z"}`,
	} {
		if !strings.Contains(created.body, want) {
			t.Errorf("created: %s, want %s in it", created.body, want)
		}
	}
	patched := s.must("PATCH", "/v1/leaderboards/b", `{"seasons":{"ends_at":"2026-11-24T12:00:00Z"}}`)
	if !strings.Contains(patched.body, `"seasons":{"ends_at":"2026-11-24T12:00:00.000Z"}`) || !strings.Contains(patched.body, `"ends_at":"2026-11-24T12:00:00.000Z"}`) || strings.Contains(patched.body, "next_reset") {
		t.Errorf("patched: %s", patched.body)
	}
	cleared := s.must("PATCH", "/v1/leaderboards/b", `{"seasons":null}`)
	if strings.Contains(cleared.body, "seasons") || strings.Contains(cleared.body, "ends_at") {
		t.Errorf("cleared: %s", cleared.body)
	}
	for body, want := range map[string][2]string{
		`{"seasons":5}`:                                            {"invalid_json", "seasons"},
		`{"seasons":{"cron":5}}`:                                   {"invalid_json", "seasons.cron"},
		`{"seasons":{"cron":"never"}}`:                             {"invalid_board", ""},
		`{"seasons":{"cron":"0 0 30 2 *"}}`:                        {"invalid_board", ""},
		`{"seasons":{"every":"14d"}}`:                              {"invalid_board", ""},
		`{"seasons":{"from":"tomorrow"}}`:                          {"invalid_board", "seasons.from"},
		`{"seasons":{"cron":"@daily","every":""}}`:                 {"", ""},
		`{"seasons":{"cron":"@daily","time_zone":"Mars/Olympus"}}`: {"invalid_board", ""},
		`{"seasons":{"grace_ms":-1}}`:                              {"invalid_board", ""},
		`{"seasons":{"keep":1001}}`:                                {"invalid_board", ""},
		`{"seasons":{"length":"14d"}}`:                             {"unknown_field", "length"},
		`{"seasons":{"starts_at":"2026-11-24T12:00:00Z","ends_at":"2026-11-24T12:00:00Z"}}`: {"invalid_board", ""},
		`{"seasons":{"cron":"@daily","ends_at":"2026-11-24T12:00:00Z"}}`:                    {"invalid_board", ""},
		`{"seasons":{"cron":"@daily","cron":"@daily"}}`:                                     {"invalid_json", "cron"},
		`{"seasons":{"ends_at":"2026-11-24"}}`:                                              {"invalid_board", "seasons.ends_at"},
		`{"seasons":{"ends_at":null}}`:                                                      {"invalid_json", "seasons.ends_at"},
	} {
		got := s.send("PATCH", "/v1/leaderboards/b", body)
		if want[0] == "" {
			if got.status != http.StatusOK {
				t.Errorf("%s: %d %s", body, got.status, got.body)
			}
			continue
		}
		if p := decode[problem](t, got); got.status != http.StatusBadRequest || string(p.Code) != want[0] || want[1] != "" && p.Field != want[1] {
			t.Errorf("%s: %d %s, want the code %s and the field %s", body, got.status, got.body, want[0], want[1])
		}
	}
}

// TestEveryReadAnswersForAPastSeason compares every read of a season before it ended
// with that afterwards.
func TestEveryReadAnswersForAPastSeason(t *testing.T) {
	for _, style := range []string{"ordinal", "competition", "dense"} {
		t.Run(style, func(t *testing.T) {
			s := newServer(t)
			s.must("POST", "/v1/leaderboards", fmt.Sprintf(`{"id":"b","rank_style":%q}`, style))
			s.must("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"ann","score":9},{"member":"bob","score":9,"data":{"name":"Bob"}},{"member":"cy","score":7},{"member":"di","score":7},{"member":"ed","score":1}]}`)
			reads := []string{
				"", "/entries", "/entries?limit=2", "/entries?limit=2&offset=2", "/entries?around_score=7&limit=3", "/entries?top_percent=40",
				"/entries/bob", "/entries/ed", "/entries/cy/around?limit=3",
			}
			before := map[string]string{}
			for _, read := range reads {
				before[read] = s.must("GET", "/v1/leaderboards/b"+read, "").body
			}
			lookup := s.must("POST", "/v1/leaderboards/b/entries/lookup", `{"members":["ed","nobody","bob"]}`).body

			s.later(time.Hour)
			ended := s.must("POST", "/v1/leaderboards/b/seasons", `{"season":1}`)
			if ended.status != http.StatusCreated || !strings.Contains(ended.body, `"season":2,`) || !strings.Contains(ended.body, `"total":0,"starts_at":"2026-11-24T10:00:00.000Z"}`) {
				t.Fatalf("ended: %d %s", ended.status, ended.body)
			}
			s.must("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"ed","score":100},{"member":"fay","score":50}]}`)
			s.must("PATCH", "/v1/leaderboards/b", `{"top":7}`)

			closed := func(body string) string { // as it is when the season has ended
				return strings.Replace(body, `"starts_at":"2026-11-24T09:00:00.000Z"`, `"starts_at":"2026-11-24T09:00:00.000Z","ends_at":"2026-11-24T10:00:00.000Z","closed":true`, 1)
			}
			for _, read := range reads {
				sep := "?"
				if strings.Contains(read, "?") {
					sep = "&"
				}
				if got := s.must("GET", "/v1/leaderboards/b"+read+sep+"season=1", "").body; got != closed(before[read]) {
					t.Errorf("GET %s of the season that has ended:\n%s, want\n%s", read, got, closed(before[read]))
				}
			}
			if got := s.must("POST", "/v1/leaderboards/b/entries/lookup?season=1", `{"members":["ed","nobody","bob"]}`).body; got != closed(lookup) {
				t.Errorf("lookup:\n%s, want\n%s", got, closed(lookup))
			}
			if got := s.must("GET", "/v1/leaderboards/b/entries/ed", "").body; !strings.Contains(got, `"score":100,"rank":1,`) || !strings.Contains(got, `"season":2`) {
				t.Errorf("the current season: %s", got)
			}
			if got := s.send("GET", "/v1/leaderboards/b/entries?season=3", ""); got.code() != "season_not_found" {
				t.Errorf("a season that is not there: %s", got.body)
			}
			list := decode[struct {
				Seasons []struct{ Season, Total, Top int }
			}](t, s.must("GET", "/v1/leaderboards/b/seasons", ""))
			if got := fmt.Sprint(list.Seasons); got != "[{2 2 7} {1 5 100}]" {
				t.Errorf("seasons, with their totals and tops: %s", got)
			}
		})
	}
}

func TestAPastSeasonIsNotSentAgain(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"ann","score":9}`)
	s.must("POST", "/v1/leaderboards/b/seasons", `{}`)
	tag := s.must("GET", "/v1/leaderboards/b/entries?season=1", "").header.Get("ETag")
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"ann","score":9}`)
	if got := s.send("GET", "/v1/leaderboards/b/entries?season=1", "", "If-None-Match", tag); got.status != http.StatusNotModified {
		t.Errorf("a season that has ended, when the next one has changed: %d", got.status)
	}
	if got := s.send("GET", "/v1/leaderboards/b/entries?season=2", "", "If-None-Match", tag); got.status != http.StatusOK {
		t.Errorf("another season with its tag: %d", got.status)
	}
}

func TestACursorStaysInItsSeason(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards/b/scores", `{"submissions":[{"member":"ann","score":9},{"member":"bob","score":8}]}`)
	cursor := decode[struct {
		NextCursor string `json:"next_cursor"`
	}](t, s.must("GET", "/v1/leaderboards/b/entries?limit=1", "")).NextCursor
	s.must("POST", "/v1/leaderboards/b/seasons", `{}`)
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"cy","score":1}`)
	if got := s.must("GET", "/v1/leaderboards/b/entries?limit=1&cursor="+cursor, "").body; !strings.Contains(got, `"member":"bob"`) || !strings.Contains(got, `"season":1`) {
		t.Errorf("the page behind one of the season before: %s", got)
	}
}

func TestASeasonEndsOnce(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b"}`)
	for body, want := range map[string]string{
		`{"season":2}`: "season_not_found", `{"season":0}`: "season_not_found", `{"season":"1"}`: "invalid_json", `{"at":1}`: "unknown_field",
	} {
		if got := s.send("POST", "/v1/leaderboards/b/seasons", body); got.code() != want {
			t.Errorf("%s: %s, want %s", body, got.body, want)
		}
	}
	first := s.send("POST", "/v1/leaderboards/b/seasons", `{"season":1}`, "Idempotency-Key", "k")
	again := s.send("POST", "/v1/leaderboards/b/seasons", `{"season":1}`, "Idempotency-Key", "k")
	if again.status != http.StatusCreated || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("under the same key: %d %s, want %s", again.status, again.body, first.body)
	}
	if got := s.send("POST", "/v1/leaderboards/b/seasons", `{"season":1}`); got.status != http.StatusConflict || got.code() != "season_ended" {
		t.Errorf("a second time: %d %s", got.status, got.body)
	}
	if got := s.send("POST", "/v1/leaderboards/none/seasons", `{}`); got.code() != "board_not_found" {
		t.Errorf("of no board: %s", got.body)
	}
	if got := s.send("POST", "/v1/leaderboards/b/seasons", `{}`, "X-API-Key", ""); got.status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", got.status)
	}
}

// TestABoundaryIsAnInstant has nobody who ends the season but the writes.
func TestABoundaryIsAnInstant(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b","seasons":{"cron":"@hourly","grace_ms":1000}}`)
	s.later(time.Hour - time.Millisecond)
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"ann","score":9}`)
	s.later(time.Millisecond)
	next := s.must("POST", "/v1/leaderboards/b/scores", `{"member":"ann","score":1}`).body
	if !strings.Contains(next, `"score":1,"rank":1,"previous_score":null`) || !strings.Contains(next, `"season":2`) {
		t.Errorf("the first score of the next season: %s", next)
	}
	s.later(999 * time.Millisecond)
	late := s.must("POST", "/v1/leaderboards/b/scores?season=1", `{"member":"bob","score":8}`).body
	if !strings.Contains(late, `"score":8,"rank":2,`) || !strings.Contains(late, `"season":1,`) || !strings.Contains(late, `"total":2,`) {
		t.Errorf("a late score: %s", late)
	}
	s.later(time.Millisecond)
	for _, c := range [][3]string{
		{"POST", "/scores?season=1", `{"member":"bob","score":8}`},
		{"PUT", "/entries/bob?season=1", `{"score":8}`},
		{"DELETE", "/entries/bob?season=1", ""},
	} {
		if got := s.send(c[0], "/v1/leaderboards/b"+c[1], c[2]); got.status != http.StatusConflict || got.code() != "season_ended" {
			t.Errorf("%s %s after the time for late ones: %d %s", c[0], c[1], got.status, got.body)
		}
	}
	if got := s.send("POST", "/v1/leaderboards/b/scores?season=3", `{"member":"bob","score":8}`); got.code() != "season_not_found" {
		t.Errorf("a score of a season to come: %s", got.body)
	}
	if got := s.must("GET", "/v1/leaderboards/b/entries?season=1", "").body; strings.Count(got, `"member"`) != 2 {
		t.Errorf("the standing of the first season: %s", got)
	}
}

// TestAChangeOfTheSettingForgetsNoEnd has nobody who ends the season but the change.
func TestAChangeOfTheSettingForgetsNoEnd(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b","seasons":{"cron":"@hourly"}}`)
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"ann","score":9}`)
	s.later(90 * time.Minute)
	for range 2 {
		got := s.send("PATCH", "/v1/leaderboards/b", `{"seasons":null}`, "Idempotency-Key", "k").body
		if !strings.Contains(got, `"season":2,"rev":4,`) || !strings.Contains(got, `"total":0,"starts_at":"2026-11-24T10:00:00.000Z"}`) {
			t.Errorf("after the change: %s", got)
		}
	}
}

func TestOneSeasonWithItsDates(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b","seasons":{"starts_at":"2026-11-24T10:00:00Z","ends_at":"2026-11-24T11:00:00Z","grace_ms":60000}}`)
	submit := func() received {
		return s.send("POST", "/v1/leaderboards/b/scores", `{"member":"ann","score":1}`)
	}
	if got := submit(); got.status != http.StatusConflict || got.code() != "season_not_open" {
		t.Errorf("before it begins: %d %s", got.status, got.body)
	}
	s.later(time.Hour)
	if got := submit(); got.status != http.StatusOK {
		t.Errorf("when it begins: %d %s", got.status, got.body)
	}
	s.later(time.Hour + time.Minute - time.Millisecond)
	if got := submit(); got.status != http.StatusOK {
		t.Errorf("late: %d %s", got.status, got.body)
	}
	s.later(time.Millisecond)
	if got := submit(); got.status != http.StatusConflict || got.code() != "season_ended" {
		t.Errorf("too late: %d %s", got.status, got.body)
	}
	if got := s.must("GET", "/v1/leaderboards/b/entries", "").body; !strings.Contains(got, `"score":2,"rank":1`) || !strings.Contains(got, `"season":1,`) || !strings.Contains(got, `"closed":true`) {
		t.Errorf("afterwards: %s", got)
	}
	if got := s.must("POST", "/v1/leaderboards/b/seasons", `{}`).body; !strings.Contains(got, `"season":2,`) || strings.Contains(got, `"closed"`) {
		t.Errorf("the next one: %s", got)
	}
	if got := submit(); got.status != http.StatusOK {
		t.Errorf("in the next one: %d %s", got.status, got.body)
	}
}
