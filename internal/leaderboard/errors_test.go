package leaderboard_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"laurel/internal/leaderboard"
)

func TestErrorsAreComparedByCode(t *testing.T) {
	err := leaderboard.Errorf(leaderboard.CodeBoardNotFound, "board %q does not exist", "race")
	wrapped := fmt.Errorf("apply: %w", err)
	inBatch := error(&leaderboard.BatchError{Index: 3, Op: leaderboard.Op{Member: "alice"}, Err: err})
	for name, err := range map[string]error{"itself": err, "wrapped": wrapped, "in a batch": inBatch} {
		if !errors.Is(err, leaderboard.ErrBoardNotFound) {
			t.Errorf("%s: %v is not ErrBoardNotFound", name, err)
		}
		if errors.Is(err, leaderboard.ErrMemberNotFound) {
			t.Errorf("%s: %v is ErrMemberNotFound", name, err)
		}
		if got := leaderboard.CodeOf(err); got != leaderboard.CodeBoardNotFound {
			t.Errorf("%s: code %q", name, got)
		}
	}
	if got, want := inBatch.Error(), `member "alice": board "race" does not exist`; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got, ok := errors.AsType[*leaderboard.BatchError](fmt.Errorf("submit: %w", inBatch)); !ok || got.Index != 3 {
		t.Errorf("BatchError of a wrapped one = %v, %t", got, ok)
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	err := leaderboard.Errorf(leaderboard.CodeStorageUnavailable, "the disk is full")
	if got := err.Error(); got != "the disk is full" {
		t.Errorf("message without a cause = %q", got)
	}
	err.Err = io.ErrShortWrite
	if !errors.Is(err, io.ErrShortWrite) || !errors.Is(err, leaderboard.ErrStorageUnavailable) {
		t.Errorf("%v is not both its cause and its code", err)
	}
	if got, want := err.Error(), "the disk is full: short write"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

func TestCodeOfOtherErrorsIsEmpty(t *testing.T) {
	for _, err := range []error{nil, io.EOF, errors.New("board not found")} {
		if got := leaderboard.CodeOf(err); got != "" {
			t.Errorf("CodeOf(%v) = %q", err, got)
		}
	}
	if errors.Is(io.EOF, leaderboard.ErrBoardNotFound) {
		t.Error("EOF is ErrBoardNotFound")
	}
}

func TestErrorsToCompareWithDiffer(t *testing.T) {
	all := []*leaderboard.Error{
		leaderboard.ErrBoardNotFound, leaderboard.ErrBoardExists, leaderboard.ErrMemberNotFound,
		leaderboard.ErrSeasonNotFound, leaderboard.ErrStorageUnavailable, leaderboard.ErrShuttingDown,
	}
	for i, x := range all {
		for j, y := range all {
			if errors.Is(x, y) != (i == j) {
				t.Errorf("%v is %v: %t", x, y, errors.Is(x, y))
			}
		}
	}
}
