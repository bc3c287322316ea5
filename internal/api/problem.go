package api

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"laurel/internal/leaderboard"
)

// The codes of what can be wrong with a request, beside those of the package
// leaderboard. They are part of the API and never change.
const (
	codeBadRequest       leaderboard.Code = "bad_request"            // malformed in a way that has no code of its own
	codeInvalidJSON      leaderboard.Code = "invalid_json"           // the body is not JSON, or a value has the wrong type
	codeUnknownField     leaderboard.Code = "unknown_field"          // the body has a field that the request does not know
	codeInvalidCursor    leaderboard.Code = "invalid_cursor"         // not a cursor that was given out for this list
	codeNotSupported     leaderboard.Code = "not_supported"          // the request asks for a promise that its route does not keep
	codeUnauthorized     leaderboard.Code = "unauthorized"           // no API key, or a wrong one
	codeNotFound         leaderboard.Code = "not_found"              // no such path
	codeMethodNotAllowed leaderboard.Code = "method_not_allowed"     //
	codeBodyTooSlow      leaderboard.Code = "body_too_slow"          // the body did not arrive in time
	codeBodyTooLarge     leaderboard.Code = "body_too_large"         //
	codeMediaType        leaderboard.Code = "unsupported_media_type" // the body is not of the type that the request takes
	codeInternal         leaderboard.Code = "internal"               // a bug or damage; the log has the cause
	codeClientGone       leaderboard.Code = "client_gone"            // nobody waits for the answer any more; never seen by a client
)

// statusClientGone counts as the client's doing. It is never read by anybody.
const statusClientGone = 499

// codes lists every code there is, with its status and what it means: for the
// caller of the API, in the OpenAPI document.
var codes = []struct {
	code    leaderboard.Code
	status  int
	meaning string
}{
	{codeBadRequest, http.StatusBadRequest, "The request is malformed in a way that has no code of its own."},
	{codeInvalidJSON, http.StatusBadRequest, "The body is not JSON, a field is there twice, or a value has the wrong type."},
	{codeUnknownField, http.StatusBadRequest, "The body has a field that this request does not know; `field` names it."},
	{leaderboard.CodeInvalidBoard, http.StatusBadRequest, "A board's id or a setting is not valid."},
	{leaderboard.CodeInvalidMember, http.StatusBadRequest, "A member is missing, empty, too long, not UTF-8 or has control characters."},
	{leaderboard.CodeInvalidScore, http.StatusBadRequest, "A score is missing or not a JSON number."},
	{leaderboard.CodeScoreOutOfRange, http.StatusBadRequest, "A score, or the sum that it would make, is beyond what the board keeps exactly."},
	{leaderboard.CodeTooManyDecimals, http.StatusBadRequest, "A score has more digits after the point than its board."},
	{leaderboard.CodeInvalidData, http.StatusBadRequest, "`data` is not a JSON object of at most 1 KiB."},
	{leaderboard.CodeInvalidLimit, http.StatusBadRequest, "`limit` or `offset` is out of its range."},
	{codeInvalidCursor, http.StatusBadRequest, "`cursor` is not one that was given out for this list."},
	{leaderboard.CodeEmptyBatch, http.StatusBadRequest, "`submissions` or `members` is empty."},
	{leaderboard.CodeBatchTooLarge, http.StatusBadRequest, "There are more than 1,000 submissions or members."},
	{codeNotSupported, http.StatusBadRequest, "The request asks for a promise that its route does not keep: an import takes no `Idempotency-Key`, and a write of many entries or of a board no `If-Match` and no `If-None-Match`."},
	{codeUnauthorized, http.StatusUnauthorized, "The API key is missing or wrong."},
	{leaderboard.CodeBoardNotFound, http.StatusNotFound, "There is no such board."},
	{leaderboard.CodeMemberNotFound, http.StatusNotFound, "The member is not on the board."},
	{leaderboard.CodeSeasonNotFound, http.StatusNotFound, "The board has no such season."},
	{leaderboard.CodeMixedSeasons, http.StatusBadRequest, "The request means two seasons of one board."},
	{codeNotFound, http.StatusNotFound, "There is no such path."},
	{codeMethodNotAllowed, http.StatusMethodNotAllowed, "The path does not have this method; `Allow` names those it has."},
	{codeBodyTooSlow, http.StatusRequestTimeout, "The body did not arrive in time."},
	{leaderboard.CodeBoardExists, http.StatusConflict, "There is a board of this id."},
	{leaderboard.CodeImmutableSetting, http.StatusConflict, "The setting is fixed when the board is created."},
	{leaderboard.CodeSeasonEnded, http.StatusConflict, "The season has ended and takes no more scores."},
	{leaderboard.CodeSeasonNotOpen, http.StatusConflict, "The season has not begun; `starts_at` of the board says when it does."},
	{leaderboard.CodeReadOnly, http.StatusConflict, "The board shows a ZSET that another program writes; write there."},
	{leaderboard.CodeEntryChanged, http.StatusPreconditionFailed, "The entry is not at the rev that `If-Match` or `if_rev` names, or there is one where there was to be none; `detail` says what it is at."},
	{codeBodyTooLarge, http.StatusRequestEntityTooLarge, "The body, or a line of an import, is too large."},
	{codeMediaType, http.StatusUnsupportedMediaType, "The body is not of the type that the request takes."},
	{leaderboard.CodeScoreBelowMinimum, http.StatusUnprocessableEntity, "The member would have a score below the board's `min_score`."},
	{leaderboard.CodeScoreAboveMaximum, http.StatusUnprocessableEntity, "The member would have a score above the board's `max_score`."},
	{leaderboard.CodeStepTooLarge, http.StatusUnprocessableEntity, "The submission would move the member's score further than the board's `max_step`."},
	{leaderboard.CodeOnceReused, http.StatusUnprocessableEntity, "The `Idempotency-Key` was used for another request to this board."},
	{leaderboard.CodeTooManySubmits, http.StatusTooManyRequests, "The member has made as many submissions in this minute as the board's `submits_per_minute`. `Retry-After` says when the next one begins."},
	{codeInternal, http.StatusInternalServerError, "A bug or damage; the server's log has the cause."},
	{leaderboard.CodeStorageUnavailable, http.StatusServiceUnavailable, "The store does not take writes for now; reads go on. `Retry-After` says when to try again."},
	{leaderboard.CodeShuttingDown, http.StatusServiceUnavailable, "The server is stopping. `Retry-After` says when to try again."},
}

var statusOf = func() map[leaderboard.Code]int {
	status := map[leaderboard.Code]int{codeClientGone: statusClientGone}
	for _, c := range codes {
		status[c.code] = c.status
	}
	return status
}()

// problemCode is the code of a problem.
type problemCode leaderboard.Code

// Schema implements [huma.SchemaProvider].
func (problemCode) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, c := range codes {
		s.Enum = append(s.Enum, string(c.code))
	}
	return s
}

// problem is an error as the caller of the API sees it (RFC 9457).
type problem struct {
	Type   string      `json:"type" doc:"Always about:blank: the status says what kind of problem it is, and code which one"`
	Title  string      `json:"title" doc:"The status in words"`
	Status int         `json:"status" doc:"The HTTP status"`
	Detail string      `json:"detail" doc:"A sentence for people; it may change"`
	Code   problemCode `json:"code" doc:"For programs; it never changes its meaning"`
	Field  string      `json:"field,omitempty" doc:"The field, parameter or header that is wrong"`
	Index  *int        `json:"index,omitempty" minimum:"0" doc:"Which of the submissions or members is wrong, counted from 0"`
	Member string      `json:"member,omitempty" doc:"Whose submission is wrong"`
	Board  string      `json:"board,omitempty" doc:"On which board, if the request is about many"`
	Line   int         `json:"line,omitempty" minimum:"1" doc:"Which line of an import is wrong, counted from 1"`
}

func (p problem) appendJSON(to []byte) []byte {
	to = append(to, `{"type":`...)
	to = appendString(to, p.Type)
	to = append(to, `,"title":`...)
	to = appendString(to, p.Title)
	to = append(to, `,"status":`...)
	to = strconv.AppendInt(to, int64(p.Status), 10)
	to = append(to, `,"detail":`...)
	to = appendString(to, p.Detail)
	to = append(to, `,"code":`...)
	to = appendString(to, string(p.Code))
	if p.Field != "" {
		to = append(to, `,"field":`...)
		to = appendString(to, p.Field)
	}
	if p.Index != nil {
		to = append(to, `,"index":`...)
		to = strconv.AppendInt(to, int64(*p.Index), 10)
	}
	if p.Member != "" {
		to = append(to, `,"member":`...)
		to = appendString(to, p.Member)
	}
	if p.Board != "" {
		to = append(to, `,"board":`...)
		to = appendString(to, p.Board)
	}
	if p.Line != 0 {
		to = append(to, `,"line":`...)
		to = strconv.AppendInt(to, int64(p.Line), 10)
	}
	return append(to, '}')
}

// explain says what the caller of the API is told about an error. An error that
// is not meant for the caller becomes codeInternal without a word about it.
// Submissions that the caller did not number are not numbered for it.
func explain(err error, numbered bool) problem {
	p := problem{Type: "about:blank", Code: problemCode(codeInternal), Detail: "something went wrong in the server; its log says what"}
	known, ok := errors.AsType[*leaderboard.Error](err)
	switch {
	case ok && statusOf[known.Code] != 0:
		p.Code, p.Detail = problemCode(known.Code), known.Message
	case errors.Is(err, context.Canceled):
		p.Code, p.Detail = problemCode(codeClientGone), "the request was given up"
	}
	if p.Code != problemCode(codeInternal) {
		if input, ok := errors.AsType[*inputError](err); ok {
			p.Field, p.Member = input.Field, input.Member
			if input.Index >= 0 {
				p.Index = &input.Index
			}
		}
		if in, ok := errors.AsType[*lineError](err); ok {
			p.Line = in.line
		}
		if failed, ok := errors.AsType[*leaderboard.BatchError](err); ok {
			p.Member = failed.Op.Member
			if leaderboard.ValidateMember(p.Member) != nil {
				p.Member = "" // the detail shows as much of it as is fit to be shown
			}
			if numbered {
				p.Index = &failed.Index
			}
		}
	}
	p.Status = statusOf[leaderboard.Code(p.Code)]
	p.Title = http.StatusText(p.Status)
	return p
}

// note counts a problem, and logs the error behind it if that is a fault of ours.
func (a *API) note(x *exchange, p *problem, err error) {
	if p.Status >= http.StatusInternalServerError {
		a.logFault(x.r.Context(), err, slog.String("method", x.r.Method), slog.String("route", x.routePath()), slog.String("code", string(p.Code)))
	}
	a.metrics.problems[leaderboard.Code(p.Code)].Inc()
}

// fail answers a request with what [explain] makes of an error. It is the only
// place where an error becomes an answer, beside the last line of an import.
func (a *API) fail(x *exchange, err error) {
	p := explain(err, x.batch)
	if failed, ok := errors.AsType[*leaderboard.BatchError](err); ok && x.across && leaderboard.ValidateBoardID(failed.Op.Board) == nil {
		p.Board = failed.Op.Board
	}
	a.note(x, &p, err)
	h := x.w.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `apikey realm="laurel"`)
	case http.StatusTooManyRequests:
		if known, ok := errors.AsType[*leaderboard.Error](err); ok {
			h.Set("Retry-After", strconv.FormatInt(max(1, int64(math.Ceil(known.RetryAfter.Seconds()))), 10))
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of the body is not waited for
	}
	h["Content-Type"] = problemType
	h["Cache-Control"] = noStore
	x.out = p.appendJSON(x.out[:0])
	x.send(p.Status)
}

// logFault logs an error that somebody should look at. That the store takes no
// writes is told by the store; here it would be told for every request.
func (a *API) logFault(ctx context.Context, err error, attrs ...slog.Attr) {
	level := slog.LevelError
	if code := leaderboard.CodeOf(err); code == leaderboard.CodeStorageUnavailable || code == leaderboard.CodeShuttingDown {
		level = slog.LevelDebug
	}
	a.log.LogAttrs(ctx, level, "request failed", append(attrs, slog.String("error", err.Error()))...)
}
