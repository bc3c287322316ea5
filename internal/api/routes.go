package api

import (
	"net/http"
	"reflect"

	"laurel/internal/leaderboard"
)

// route is a row of the table: what is served at a method and path, and how it
// is described.
type route struct {
	method string
	path   string
	write  bool     // needs an API key
	guards bool     // takes a condition on the entry that it writes
	query  []string // the parameters that it knows; see parameters
	limit  int      // what the parameter limit is if it is absent

	endpoint

	id, summary, description string // for the OpenAPI document
	example                  string // of a body
	status                   int    // of success
	statusToo                int    // another one with the same body; 0: there is none

	fails []leaderboard.Code // beside those that any route of its kind may answer
}

// endpoint is the function that serves a route, and the types that it takes and
// answers.
type endpoint struct {
	serve     func(*API, *exchange) error
	body      reflect.Type // nil: none
	bodyType  string       // media type of the body; "" is JSON
	answer    reflect.Type // nil: it is not JSON
	mediaType string       // of an answer that is not one JSON value

	conditional bool // the answer has an ETag
}

// read makes an endpoint of a function that needs no body.
func read[A answer](serve func(*API, *exchange) (A, error)) endpoint {
	return endpoint{
		answer: reflect.TypeFor[A](),
		serve: func(a *API, x *exchange) error {
			answer, err := serve(a, x)
			if err != nil {
				return err
			}
			reply(x, answer)
			return nil
		},
	}
}

// readBoard makes an endpoint of a read of one board, which who has the answer
// already need not be sent again.
func readBoard[A versioned](serve func(*API, *exchange) (A, error)) endpoint {
	return endpoint{
		conditional: true,
		answer:      reflect.TypeFor[A](),
		serve: func(a *API, x *exchange) error {
			asked := x.r.Header["If-None-Match"]
			if len(asked) > 0 && a.unchanged(x, asked) {
				return nil
			}
			answer, err := serve(a, x)
			if err != nil {
				return err
			}
			x.out = answer.appendJSON(x.out[:0])
			a.sendTagged(x, a.tag(x, answer.version()), asked)
			return nil
		},
	}
}

// take makes an endpoint of a function that takes a body.
func take[B any, P decodable[B], A answer](serve func(*API, *exchange, *B) (A, error)) endpoint {
	return endpoint{
		body:   reflect.TypeFor[B](),
		answer: reflect.TypeFor[A](),
		serve: func(a *API, x *exchange) error {
			if err := a.readBody(x); err != nil {
				return err
			}
			var body B
			s := scanner{text: x.in}
			P(&body).decode(&s)
			if s.err != nil {
				return s.err
			}
			answer, err := serve(a, x, &body)
			if err != nil {
				return err
			}
			reply(x, answer)
			return nil
		},
	}
}

func reply[A answer](x *exchange, answer A) {
	status := x.status
	if status == 0 {
		status = http.StatusOK
	}
	h := x.w.Header()
	if status != http.StatusNoContent {
		h["Content-Type"] = jsonType
	}
	if x.once.Repeated {
		h[replayedHeader] = replayed
	}
	h["Cache-Control"] = noStore
	x.out = answer.appendJSON(x.out[:0])
	x.send(status)
}

const (
	boardsPath  = "/v1/leaderboards"
	boardPath   = "/v1/leaderboards/{board}"
	entriesPath = "/v1/leaderboards/{board}/entries"
	entryPath   = "/v1/leaderboards/{board}/entries/{member}"
	memberPath  = "/v1/members/{member}"
	seasonsPath = "/v1/leaderboards/{board}/seasons"
	lookupPath  = "/v1/leaderboards/{board}/entries/lookup"
	metricsPath = "/metrics"
	stylePath   = "/docs/style.css"
)

// submitFails are the codes of a submit that is refused.
var submitFails = []leaderboard.Code{
	"invalid_board", "invalid_member", "invalid_score", "score_out_of_range", "too_many_decimals", "invalid_data",
	"empty_batch", "batch_too_large", "board_not_found", "score_below_minimum", "score_above_maximum", "step_too_large", "entry_changed", "too_many_submits",
	"season_ended", "season_not_open",
}

// routes returns the table. No literal segment of it stands where another route
// of the same method has a parameter, so no board and no member is out of reach;
// with another method one may, as a lookup does: see [node].
func routes() []route {
	return []route{
		{
			method: http.MethodPost, path: boardsPath, write: true, endpoint: take((*API).createBoard),
			id: "create-board", summary: "Create a board", status: http.StatusCreated,
			description: "Only `id` is needed; the other settings have defaults. A board that was deleted can be created again, and goes on with the rev that it had.",
			example:     `{"id": "race", "order": "asc", "policy": "best", "decimals": 3, "top": 50}`,
			fails:       []leaderboard.Code{"invalid_board", "board_exists"},
		},
		{
			method: http.MethodGet, path: boardsPath, query: []string{"limit", "cursor"}, limit: leaderboard.DefaultLimit, endpoint: read((*API).listBoards),
			id: "list-boards", summary: "List the boards", status: http.StatusOK,
			description: "Boards in the order of their ids, a page at a time.",
			fails:       []leaderboard.Code{"invalid_limit", "invalid_cursor"},
		},
		{
			method: http.MethodGet, path: boardPath, query: []string{"season"}, endpoint: readBoard((*API).getBoard),
			id: "get-board", summary: "A board's settings and position", status: http.StatusOK,
			fails: []leaderboard.Code{"invalid_board", "board_not_found", "season_not_found"},
		},
		{
			method: http.MethodPatch, path: boardPath, write: true, endpoint: take((*API).patchBoard),
			id: "patch-board", summary: "Change a board's settings", status: http.StatusOK,
			description: "Takes any of the settings; those that are absent stay. `order`, `decimals` and `ties` are fixed at creation. Null takes a bound away.",
			example:     `{"top": 200, "interval_ms": 250}`,
			fails:       []leaderboard.Code{"invalid_board", "board_not_found", "immutable_setting"},
		},
		{
			method: http.MethodDelete, path: boardPath, write: true, endpoint: read((*API).deleteBoard),
			id: "delete-board", summary: "Delete a board and its entries", status: http.StatusNoContent,
			description: "The board's rev outlives it, so that a board that is later created under the same id never goes back.",
			fails:       []leaderboard.Code{"invalid_board", "board_not_found"},
		},
		{
			method: http.MethodPost, path: boardPath + "/scores", write: true, guards: true, query: []string{"season"}, endpoint: take((*API).submit),
			id: "submit-scores", summary: "Submit scores", status: http.StatusOK,
			description: "One submission, or up to 1,000 that are applied in their order, all or none. What a score does to the one that a member has is the board's policy. " +
				"The answer comes when the change is durable. A board that does not exist is created with the default settings, unless the server was told not to.",
			example: `{"submissions": [{"member": "alice", "score": 5, "data": {"name": "Alice", "country": "FI"}}, {"member": "bob", "score": 3}]}`,
			fails:   append([]leaderboard.Code{"season_not_found"}, submitFails...),
		},
		{
			method: http.MethodGet, path: seasonsPath, endpoint: read((*API).listSeasons),
			id: "list-seasons", summary: "The seasons of a board that are kept", status: http.StatusOK,
			description: "Every read of a board takes the number of any of these as `season`.",
			fails:       []leaderboard.Code{"invalid_board", "board_not_found"},
		},
		{
			method: http.MethodPost, path: seasonsPath, write: true, endpoint: take((*API).endSeason),
			id: "end-season", summary: "End the current season and begin the next", status: http.StatusCreated,
			description: "The standing of the season that ends is kept, and the table is empty. Answers with the board in its new season. Boards whose `seasons` say when that is to be need no such request.",
			example:     `{"season": 1}`,
			fails:       []leaderboard.Code{"invalid_board", "board_not_found", "season_not_found", "season_ended", "read_only"},
		},
		{
			method: http.MethodPost, path: boardPath + "/import", write: true,
			endpoint: endpoint{serve: (*API).importEntries, body: reflect.TypeFor[importLine](), bodyType: ndjsonType, answer: reflect.TypeFor[imported](), mediaType: ndjsonType},
			id:       "import-entries", summary: "Set any number of scores", status: http.StatusOK,
			description: "A body of any length, with an entry on each line: its score replaces what there is, whatever the board's policy. Lines are applied in their order, " +
				"up to 1,000 of them at once, while the next ones arrive. The answer is a line at most every second that says how far everything is applied and durable, and a last line with " +
				"`done` or `problem`; when a line is wrong, those before it are applied, and none from it on. A problem before anything is applied is answered as any other request's. " +
				"To go on after an interruption, send again from the line behind the last that was told as applied: setting the same score again changes nothing about the order. " +
				"A line has at most 8 KiB. A board that does not exist is created as by a submission.",
			example: `{"member": "alice", "score": 12, "data": {"name": "Alice"}}`,
			fails: []leaderboard.Code{
				"invalid_board", "invalid_member", "invalid_score", "score_out_of_range", "too_many_decimals", "invalid_data", "board_not_found", "read_only", "season_ended",
			},
		},
		{
			method: http.MethodPost, path: "/v1/scores", write: true, endpoint: take((*API).submitAcross),
			id: "submit-scores-across", summary: "Submit scores to many boards", status: http.StatusOK,
			description: "Up to 1,000 submissions of any members to any boards, applied in their order, all or none. For the rest it is as for one board, " +
				"but boards that do not exist are not created.",
			example: `{"submissions": [{"board": "goals", "member": "alice", "score": 1}, {"board": "assists", "member": "bob", "score": 1}]}`,
			fails:   submitFails,
		},
		{
			method: http.MethodPost, path: memberPath + "/scores", write: true, endpoint: take((*API).submitOfMember),
			id: "submit-member-scores", summary: "Submit a member's scores to many boards", status: http.StatusOK,
			description: "Up to 1,000 scores of one member, applied in their order, all or none. Boards that do not exist are not created.",
			example:     `{"scores": [{"board": "daily", "score": 5}, {"board": "all-time", "score": 5}]}`,
			fails:       submitFails,
		},
		{
			method: http.MethodGet, path: entriesPath, query: []string{"limit", "offset", "cursor", "around_score", "top_percent", "season"}, limit: leaderboard.DefaultLimit, endpoint: readBoard((*API).listEntries),
			id: "list-entries", summary: "A page of a board, from the top", status: http.StatusOK,
			description: "By `offset`, or by `cursor`: that continues behind the last entry that was given out, wherever the others have moved meanwhile. " +
				"Or around a score, whoever has it; or no further than a share of the board.",
			fails: []leaderboard.Code{"invalid_board", "invalid_limit", "invalid_cursor", "invalid_score", "too_many_decimals", "score_out_of_range", "board_not_found", "season_not_found"},
		},
		{
			method: http.MethodGet, path: entryPath, query: []string{"season"}, endpoint: readBoard((*API).getEntry),
			id: "get-entry", summary: "One member's entry, with its rank and percentile", status: http.StatusOK,
			fails: []leaderboard.Code{"invalid_board", "invalid_member", "board_not_found", "member_not_found", "season_not_found"},
		},
		{
			method: http.MethodPut, path: entryPath, write: true, guards: true, query: []string{"season"}, endpoint: take((*API).putEntry),
			id: "put-entry", summary: "Set a member's score", status: http.StatusOK,
			description: "Whatever the board's policy and `max_step`: this is an operator's correction. A board that does not exist is created as by a submission.",
			example:     `{"score": 12, "data": {"name": "Alice"}}`,
			fails: []leaderboard.Code{
				"invalid_board", "invalid_member", "invalid_score", "score_out_of_range", "too_many_decimals", "invalid_data", "board_not_found",
				"score_below_minimum", "score_above_maximum", "entry_changed", "season_not_found", "season_ended",
			},
		},
		{
			method: http.MethodDelete, path: entryPath, write: true, guards: true, query: []string{"season"}, endpoint: read((*API).deleteEntry),
			id: "delete-entry", summary: "Take a member off a board", status: http.StatusOK,
			description: "Answers as a submission does; `score` and `rank` are null then.",
			fails:       []leaderboard.Code{"invalid_board", "invalid_member", "board_not_found", "member_not_found", "entry_changed", "season_not_found", "season_ended"},
		},
		{
			method: http.MethodGet, path: entryPath + "/around", query: []string{"limit", "season"}, limit: defaultAround, endpoint: readBoard((*API).around),
			id: "list-entries-around", summary: "A member among its neighbours", status: http.StatusOK,
			description: "A page with the member in its middle; with an even `limit` one more stands above it than below. Near an end of the board the page is filled up from the other side.",
			fails:       []leaderboard.Code{"invalid_board", "invalid_member", "invalid_limit", "board_not_found", "member_not_found", "season_not_found"},
		},
		{
			method: http.MethodPost, path: lookupPath, query: []string{"season"}, endpoint: take((*API).lookup),
			id: "lookup-entries", summary: "Up to 1,000 members, side by side", status: http.StatusOK,
			description: "The entries of those members that are on the board, in its order, each with its rank on the board and its `position` among those that were asked for; " +
				"the others are in `not_found`. A member that is named twice counts once. This is a read: it needs no API key.",
			example: `{"members": ["alice", "bob", "carol"]}`,
			fails:   []leaderboard.Code{"invalid_board", "invalid_member", "empty_batch", "batch_too_large", "board_not_found", "season_not_found"},
		},
		{
			method: http.MethodGet, path: memberPath, query: []string{"limit", "cursor"}, limit: leaderboard.DefaultLimit, endpoint: read((*API).getMember),
			id: "get-member", summary: "A member's entries on all boards", status: http.StatusOK,
			description: "In the order of the boards' ids, each as it is read alone. `limit` is how many boards are looked at, so that an answer may have fewer entries, and none, " +
				"while there is a `next_cursor`. Each entry is of its board's rev; different boards are read at different moments.",
			fails: []leaderboard.Code{"invalid_member", "invalid_limit", "invalid_cursor"},
		},
		{
			method: http.MethodGet, path: "/healthz", endpoint: read((*API).healthz),
			id: "health", summary: "Whether the process lives", status: http.StatusOK,
			description: "Always 200 while it does.",
		},
		{
			method: http.MethodGet, path: "/readyz", endpoint: read((*API).readyz),
			id: "readiness", summary: "Whether the server takes reads and writes", status: http.StatusOK, statusToo: http.StatusServiceUnavailable,
			description: "503, with the same body, if it does not: `checks` says why.",
		},
		{
			method: http.MethodGet, path: metricsPath, endpoint: endpoint{serve: (*API).serveMetrics, mediaType: "text/plain"},
			id: "metrics", summary: "Metrics in the text format of Prometheus", status: http.StatusOK,
		},
		{
			method: http.MethodGet, path: "/openapi.json", endpoint: endpoint{serve: (*API).serveOpenAPI, mediaType: "application/json"},
			id: "openapi", summary: "This document", status: http.StatusOK,
		},
		{
			method: http.MethodGet, path: "/docs", endpoint: endpoint{serve: (*API).serveDocs, mediaType: "text/html"},
			id: "docs", summary: "This document, for people", status: http.StatusOK,
		},
		{
			method: http.MethodGet, path: stylePath, endpoint: endpoint{serve: (*API).serveStyle, mediaType: "text/css"},
			id: "docs-style", summary: "How the page for people looks", status: http.StatusOK,
		},
	}
}
