package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestShapesAreAsDocumented plays a short history and compares every answer,
// byte for byte, with what docs/protocol.md promises.
func TestShapesAreAsDocumented(t *testing.T) {
	s := newServer(t)
	epoch := decode[struct{ Epoch string }](t, s.must("POST", "/v1/leaderboards", `{"id":"other"}`)).Epoch
	last := "" // cursor

	for _, step := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{
			"create", "POST", "/v1/leaderboards", `{"id":"race","order":"asc","policy":"best","decimals":3,"top":50}`, 201,
			`{"id":"race","order":"asc","policy":"best","decimals":3,"ties":"earliest","rank_style":"ordinal","top":50,"interval_ms":100,"created_at":"2026-11-24T09:00:00.000Z","season":1,"rev":1,"epoch":"EPOCH","total":0,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"submit one", "POST", "/v1/leaderboards/race/scores", `{"member":"alice","score":12.5,"data":{"name":"Alice \u00e9"}}`, 200,
			`{"results":[{"member":"alice","accepted":true,"score":12.5,"rank":1,"previous_score":null,"previous_rank":null,"entry_rev":2}],"board":"race","season":1,"rev":2,"epoch":"EPOCH","total":1,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"submit many", "POST", "/v1/leaderboards/race/scores", `{"submissions":[{"member":"bob","score":9.125},{"member":"alice","score":13},{"member":"a/b \"<&\u2028é","score":-0.5}]}`, 200,
			`{"results":[{"member":"bob","accepted":true,"score":9.125,"rank":1,"previous_score":null,"previous_rank":null,"entry_rev":3},{"member":"alice","accepted":false,"reason":"not_better","score":12.5,"rank":2,"previous_score":12.5,"previous_rank":2,"entry_rev":2},{"member":"a/b \"<&\u2028é","accepted":true,"score":-0.5,"rank":1,"previous_score":null,"previous_rank":null,"entry_rev":4}],"board":"race","season":1,"rev":4,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"put", "PUT", "/v1/leaderboards/race/entries/bob", `{"score":100}`, 200,
			`{"results":[{"member":"bob","accepted":true,"score":100,"rank":3,"previous_score":9.125,"previous_rank":2,"entry_rev":5}],"board":"race","season":1,"rev":5,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"entry", "GET", "/v1/leaderboards/race/entries/alice", "", 200,
			`{"member":"alice","score":12.5,"rank":2,"percentile":50,"data":{"name":"Alice \u00e9"},"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":2,"board":"race","season":1,"rev":5,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"entries", "GET", "/v1/leaderboards/race/entries", "", 200,
			`{"board":"race","season":1,"rev":5,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z","entries":[{"member":"a/b \"<&\u2028é","score":-0.5,"rank":1,"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":4},{"member":"alice","score":12.5,"rank":2,"data":{"name":"Alice \u00e9"},"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":2},{"member":"bob","score":100,"rank":3,"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":5}]}`,
		},
		{
			"a page", "GET", "/v1/leaderboards/race/entries?limit=1&offset=1&season=1", "", 200,
			`{"board":"race","season":1,"rev":5,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z","entries":[{"member":"alice","score":12.5,"rank":2,"data":{"name":"Alice \u00e9"},"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":2}],"next_cursor":"CURSOR"}`,
		},
		{
			"around", "GET", "/v1/leaderboards/race/entries/bob/around?limit=2", "", 200,
			`{"board":"race","season":1,"rev":5,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z","entries":[{"member":"alice","score":12.5,"rank":2,"data":{"name":"Alice \u00e9"},"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":2},{"member":"bob","score":100,"rank":3,"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":5}]}`,
		},
		{
			"lookup", "POST", "/v1/leaderboards/race/entries/lookup", `{"members":["bob","nobody","alice","bob","some\u0062ody"]}`, 200,
			`{"board":"race","season":1,"rev":5,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z","entries":[{"member":"alice","score":12.5,"rank":2,"position":1,"percentile":50,"data":{"name":"Alice \u00e9"},"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":2},{"member":"bob","score":100,"rank":3,"position":2,"percentile":0,"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":5}],"not_found":["nobody","somebody"]}`,
		},
		{
			"member", "GET", "/v1/members/alice?limit=2", "", 200,
			`{"member":"alice","entries":[{"member":"alice","score":12.5,"rank":2,"percentile":50,"data":{"name":"Alice \u00e9"},"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":2,"board":"race","season":1,"rev":5,"epoch":"EPOCH","total":3,"starts_at":"2026-11-24T09:00:00.000Z"}]}`,
		},
		{
			"member on no board of this page", "GET", "/v1/members/alice?limit=1", "", 200,
			`{"member":"alice","entries":[],"next_cursor":"CURSOR"}`,
		},
		{
			"delete entry", "DELETE", "/v1/leaderboards/race/entries/bob", "", 200,
			`{"results":[{"member":"bob","accepted":true,"score":null,"rank":null,"previous_score":100,"previous_rank":3}],"board":"race","season":1,"rev":6,"epoch":"EPOCH","total":2,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"patch", "PATCH", "/v1/leaderboards/race", `{"policy":"latest","rank_style":"competition","top":7,"interval_ms":20}`, 200,
			`{"id":"race","order":"asc","policy":"latest","decimals":3,"ties":"earliest","rank_style":"competition","top":7,"interval_ms":20,"created_at":"2026-11-24T09:00:00.000Z","season":1,"rev":7,"epoch":"EPOCH","total":2,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"get", "GET", "/v1/leaderboards/race?season=current", "", 200,
			`{"id":"race","order":"asc","policy":"latest","decimals":3,"ties":"earliest","rank_style":"competition","top":7,"interval_ms":20,"created_at":"2026-11-24T09:00:00.000Z","season":1,"rev":7,"epoch":"EPOCH","total":2,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"list", "GET", "/v1/leaderboards?limit=1", "", 200,
			`{"leaderboards":[{"id":"other","order":"desc","policy":"sum","decimals":0,"ties":"earliest","rank_style":"ordinal","top":100,"interval_ms":100,"created_at":"2026-11-24T09:00:00.000Z","season":1,"rev":1,"epoch":"EPOCH","total":0,"starts_at":"2026-11-24T09:00:00.000Z"}],"next_cursor":"CURSOR"}`,
		},
		{
			"list after", "GET", "/v1/leaderboards?cursor=LAST", "", 200,
			`{"leaderboards":[{"id":"race","order":"asc","policy":"latest","decimals":3,"ties":"earliest","rank_style":"competition","top":7,"interval_ms":20,"created_at":"2026-11-24T09:00:00.000Z","season":1,"rev":7,"epoch":"EPOCH","total":2,"starts_at":"2026-11-24T09:00:00.000Z"}]}`,
		},
		{
			"across boards that are not there", "POST", "/v1/scores", `{"submissions":[{"board":"goals","member":"alice","score":3}]}`, 404,
			`{"type":"about:blank","title":"Not Found","status":404,"detail":"board not found","code":"board_not_found","index":0,"member":"alice","board":"goals"}`,
		},
		{
			"create goals", "POST", "/v1/leaderboards", `{"id":"goals"}`, 201,
			`{"id":"goals","order":"desc","policy":"sum","decimals":0,"ties":"earliest","rank_style":"ordinal","top":100,"interval_ms":100,"created_at":"2026-11-24T09:00:00.000Z","season":1,"rev":1,"epoch":"EPOCH","total":0,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"create a third", "POST", "/v1/leaderboards", `{"id":"third","decimals":0}`, 201,
			`{"id":"third","order":"desc","policy":"sum","decimals":0,"ties":"earliest","rank_style":"ordinal","top":100,"interval_ms":100,"created_at":"2026-11-24T09:00:00.000Z","season":1,"rev":1,"epoch":"EPOCH","total":0,"starts_at":"2026-11-24T09:00:00.000Z"}`,
		},
		{
			"across", "POST", "/v1/scores", `{"submissions":[{"board":"goals","member":"alice","score":3},{"board":"third","member":"bob","score":1},{"board":"goals","member":"bob","score":4}]}`, 200,
			`{"results":[{"board":"goals","member":"alice","accepted":true,"score":3,"rank":1,"previous_score":null,"previous_rank":null,"entry_rev":2},` +
				`{"board":"third","member":"bob","accepted":true,"score":1,"rank":1,"previous_score":null,"previous_rank":null,"entry_rev":2},` +
				`{"board":"goals","member":"bob","accepted":true,"score":4,"rank":1,"previous_score":null,"previous_rank":null,"entry_rev":3}],` +
				`"boards":[{"board":"goals","season":1,"rev":3,"epoch":"EPOCH","total":2,"starts_at":"2026-11-24T09:00:00.000Z"},{"board":"third","season":1,"rev":2,"epoch":"EPOCH","total":1,"starts_at":"2026-11-24T09:00:00.000Z"}]}`,
		},
		{
			"of a member", "POST", "/v1/members/bob/scores", `{"scores":[{"board":"third","score":2,"data":{"a":1}},{"board":"goals","score":1}]}`, 200,
			`{"results":[{"board":"third","member":"bob","accepted":true,"score":3,"rank":1,"previous_score":1,"previous_rank":1,"entry_rev":3},` +
				`{"board":"goals","member":"bob","accepted":true,"score":5,"rank":1,"previous_score":4,"previous_rank":1,"entry_rev":4}],` +
				`"boards":[{"board":"third","season":1,"rev":3,"epoch":"EPOCH","total":1,"starts_at":"2026-11-24T09:00:00.000Z"},{"board":"goals","season":1,"rev":4,"epoch":"EPOCH","total":2,"starts_at":"2026-11-24T09:00:00.000Z"}]}`,
		},
		{
			"across, and refused", "POST", "/v1/scores", `{"submissions":[{"board":"third","member":"alice","score":1},{"board":"goals","member":"bob","score":0.5}]}`, 400,
			`{"type":"about:blank","title":"Bad Request","status":400,"detail":"too many decimals","code":"too_many_decimals","index":1,"member":"bob","board":"goals"}`,
		},
		{"which changed nothing", "GET", "/v1/leaderboards/third/entries?limit=1", "", 200, `{"board":"third","season":1,"rev":3,"epoch":"EPOCH","total":1,"starts_at":"2026-11-24T09:00:00.000Z","entries":[{"member":"bob","score":3,"rank":1,"data":{"a":1},"updated_at":"2026-11-24T09:00:00.000Z","entry_rev":3}]}`},
		{
			"of a member without a board", "POST", "/v1/members/bob/scores", `{"scores":[{"score":2}]}`, 400,
			`{"type":"about:blank","title":"Bad Request","status":400,"detail":"board is missing","code":"invalid_board","field":"board","index":0}`,
		},
		{"delete goals", "DELETE", "/v1/leaderboards/goals", "", 204, ``},
		{"delete a third", "DELETE", "/v1/leaderboards/third", "", 204, ``},
		{"delete", "DELETE", "/v1/leaderboards/race", "", 204, ``},
		{
			"problem", "GET", "/v1/leaderboards/race", "", 404,
			`{"type":"about:blank","title":"Not Found","status":404,"detail":"board not found","code":"board_not_found"}`,
		},
		{
			"problem with a place", "POST", "/v1/leaderboards/other/scores", `{"submissions":[{"member":"a","score":1},{"member":"b","score":"2"}]}`, 400,
			`{"type":"about:blank","title":"Bad Request","status":400,"detail":"score must be a JSON number, not a string: leave out the quotation marks","code":"invalid_score","field":"score","index":1,"member":"b"}`,
		},
		{"healthz", "GET", "/healthz", "", 200, `{"status":"ok"}`},
		{"readyz", "GET", "/readyz", "", 200, `{"status":"ready","checks":[{"name":"storage","ok":true}]}`},
		{"empty list", "GET", "/v1/leaderboards/other/entries", "", 200, `{"board":"other","season":1,"rev":1,"epoch":"EPOCH","total":0,"starts_at":"2026-11-24T09:00:00.000Z","entries":[]}`},
	} {
		got := s.send(step.method, strings.ReplaceAll(step.path, "LAST", last), step.body)
		body := strings.ReplaceAll(got.body, epoch, "EPOCH")
		if got.status == 200 && strings.HasPrefix(body, "{") {
			if last = decode[struct {
				NextCursor string `json:"next_cursor"`
			}](t, got).NextCursor; last != "" {
				body = strings.ReplaceAll(body, last, "CURSOR")
			}
		}
		if got.status != step.status {
			t.Errorf("%s: status %d, want %d", step.name, got.status, step.status)
		}
		if diff := cmp.Diff(step.want, body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		wantType := "application/json"
		switch {
		case step.status == http.StatusNoContent:
			wantType = ""
		case step.status >= 400:
			wantType = "application/problem+json"
		}
		if gotType := got.header.Get("Content-Type"); gotType != wantType {
			t.Errorf("%s: Content-Type %q, want %q", step.name, gotType, wantType)
		}
		if got := got.header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", step.name, got)
		}
	}
}
