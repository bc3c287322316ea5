package leaderboard

import (
	"errors"
	"fmt"
	"time"
)

// Code names a kind of error. Codes are part of the API and never change.
type Code string

// The codes of this package's errors.
const (
	CodeInvalidBoard       Code = "invalid_board"          // a board's id or one of its settings is not valid
	CodeInvalidMember      Code = "invalid_member"         // a member is empty, too long, not UTF-8 or has control characters
	CodeInvalidScore       Code = "invalid_score"          // a score is not a decimal number
	CodeScoreOutOfRange    Code = "score_out_of_range"     // a score, or what it would add up to, is beyond what a board keeps exactly
	CodeTooManyDecimals    Code = "too_many_decimals"      // a score has more digits after the point than its board
	CodeScoreBelowMinimum  Code = "score_below_minimum"    // a member would have less than its board's MinScore
	CodeScoreAboveMaximum  Code = "score_above_maximum"    // a member would have more than its board's MaxScore
	CodeStepTooLarge       Code = "step_too_large"         // a submission would move a score further than its board's MaxStep
	CodeInvalidData        Code = "invalid_data"           // an entry's data is not a JSON object of at most MaxData bytes
	CodeInvalidLimit       Code = "invalid_limit"          // limit or offset is out of its range
	CodeBatchTooLarge      Code = "batch_too_large"        // a batch has more than MaxBatch operations
	CodeEmptyBatch         Code = "empty_batch"            // a batch has none
	CodeBoardNotFound      Code = "board_not_found"        //
	CodeBoardExists        Code = "board_exists"           //
	CodeMemberNotFound     Code = "member_not_found"       // the member is not on the board
	CodeSeasonNotFound     Code = "season_not_found"       //
	CodeSeasonEnded        Code = "season_ended"           // the season takes no more scores
	CodeSeasonNotOpen      Code = "season_not_open"        // the season has not begun
	CodeMixedSeasons       Code = "mixed_seasons"          // a batch names two seasons of one board
	CodeImmutableSetting   Code = "immutable_setting"      // a setting that is fixed at the board's creation
	CodeTooManySubmits     Code = "too_many_submits"       // a member has made as many submissions in a minute as its board's SubmitsPerMinute
	CodeEntryChanged       Code = "entry_changed"          // an entry is not at the rev that an operation asks for
	CodeReadOnly           Code = "read_only"              // the board shows what another program writes
	CodeOnceReused         Code = "idempotency_key_reused" // a name belongs to another request
	CodeStorageUnavailable Code = "storage_unavailable"    // the store does not take writes for now; try again
	CodeShuttingDown       Code = "shutting_down"          // the store is closed or being closed
)

// Error is an error that the caller of the API may see: Message is a short
// sentence for people, Code what programs compare. Two errors with one code
// are the same to [errors.Is].
type Error struct {
	Code    Code
	Message string
	Err     error // what is behind it, for the operator; may be nil

	RetryAfter time.Duration // when the same may go well; 0: nothing is known of that
}

// Errorf returns an [Error] with the code and a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns what is behind the error.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an [Error] with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errors to compare with by [errors.Is]; what stores return has the same code
// and a message that names the thing.
var (
	ErrBoardNotFound      = &Error{Code: CodeBoardNotFound, Message: "board not found"}
	ErrBoardExists        = &Error{Code: CodeBoardExists, Message: "board exists"}
	ErrMemberNotFound     = &Error{Code: CodeMemberNotFound, Message: "member not found"}
	ErrSeasonNotFound     = &Error{Code: CodeSeasonNotFound, Message: "season not found"}
	ErrTooManySubmits     = &Error{Code: CodeTooManySubmits, Message: "too many submissions in this minute"}
	ErrEntryChanged       = &Error{Code: CodeEntryChanged, Message: "entry has changed"}
	ErrSeasonEnded        = &Error{Code: CodeSeasonEnded, Message: "season has ended"}
	ErrReadOnly           = &Error{Code: CodeReadOnly, Message: "board is read-only"}
	ErrOnceReused         = &Error{Code: CodeOnceReused, Message: "the key was used for another request"}
	ErrStorageUnavailable = &Error{Code: CodeStorageUnavailable, Message: "storage unavailable"}
	ErrShuttingDown       = &Error{Code: CodeShuttingDown, Message: "shutting down"}
)

// CodeOf returns the code of the first [Error] in err's chain, or "".
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
