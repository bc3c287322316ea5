package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// Codes that programs often ask for; docs/protocol.md lists all of them.
const (
	CodeUnauthorized       = "unauthorized"
	CodeBoardNotFound      = "board_not_found"
	CodeBoardExists        = "board_exists"
	CodeMemberNotFound     = "member_not_found"
	CodeScoreBelowMinimum  = "score_below_minimum"
	CodeScoreAboveMaximum  = "score_above_maximum"
	CodeStepTooLarge       = "step_too_large"
	CodeTooManySubmits     = "too_many_submits" // [Error.RetryAfter] says for how long
	CodeEntryChanged       = "entry_changed"
	CodeSeasonNotFound     = "season_not_found"
	CodeSeasonEnded        = "season_ended"
	CodeSeasonNotOpen      = "season_not_open"
	CodeStorageUnavailable = "storage_unavailable"
	CodeShuttingDown       = "shutting_down"
)

// Error is what the server answered instead of doing what it was asked for.
type Error struct {
	Status     int           // of HTTP
	Code       string        // stable, for programs; empty if something else than Laurel answered
	Detail     string        // a sentence for people
	Field      string        // the field of the request that is wrong, if it is one
	Member     string        // whose submission is wrong, if it is one
	Board      string        // on which board, if the request was about many
	Line       int           // which line of an import is wrong, counted from 1; 0: none
	RetryAfter time.Duration // when to try again, if the server said so
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s (HTTP %d)", e.Detail, e.Status)
	}
	return fmt.Sprintf("%s (%s)", e.Detail, e.Code)
}

// CodeOf returns the code of the [*Error] in err's chain, or "".
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// problem is an error as it is sent (RFC 9457).
type problem struct {
	Title, Code, Detail, Field, Member, Board string
	Status, Line                              int
}

func (p *problem) error() *Error {
	e := &Error{Status: p.Status, Code: p.Code, Detail: p.Detail, Field: p.Field, Member: p.Member, Board: p.Board, Line: p.Line}
	if e.Detail == "" {
		e.Detail = p.Title
	}
	return e
}

// errorFrom reads the problem details (RFC 9457) of an answer.
func errorFrom(res *http.Response) error {
	e := &Error{Status: res.StatusCode}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err == nil && media == "application/problem+json" {
		var p problem
		if json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&p) == nil {
			after := e.RetryAfter
			e = p.error()
			e.Status, e.RetryAfter = res.StatusCode, after
		}
	}
	if e.Detail == "" {
		e.Detail = "the server answered " + http.StatusText(res.StatusCode) + " and nothing that Laurel would say"
	}
	return e
}
