package api

import (
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"laurel/internal/leaderboard"
)

// The headers by which a write of one entry names what must hold of it.
const (
	ifMatch     = "If-Match"
	ifNoneMatch = "If-None-Match"
)

var conditionHeaders = []string{ifMatch, ifNoneMatch}

// mostRev is the largest rev that a board can reach.
const mostRev = 1<<53 - 1

// refuseConditions refuses a write that has a condition in a header which would
// not be looked at: its sender believes itself safe.
func (x *exchange) refuseConditions(instead string) error {
	i := slices.IndexFunc(conditionHeaders, func(name string) bool { return len(x.r.Header[name]) > 0 })
	if i < 0 {
		return nil
	}
	return &inputError{Field: conditionHeaders[i], Index: -1, Err: leaderboard.Errorf(codeNotSupported, "%s is for a write of one entry; %s", conditionHeaders[i], instead)}
}

// condition returns what the headers ask of the entry that is written.
func (x *exchange) condition() (leaderboard.Condition, error) {
	match, none := x.r.Header[ifMatch], x.r.Header[ifNoneMatch]
	switch {
	case len(match) > 0 && len(none) > 0:
		return leaderboard.Condition{}, exclusive(ifMatch, ifNoneMatch)
	case len(none) > 0:
		if len(none) != 1 || none[0] != "*" {
			return leaderboard.Condition{}, &inputError{Field: ifNoneMatch, Index: -1, Err: leaderboard.Errorf(codeBadRequest, "%s of a write must be *: there is no entry yet", ifNoneMatch)}
		}
		return leaderboard.IfRev(0), nil
	case len(match) == 0:
		return leaderboard.Condition{}, nil
	}
	text := match[0]
	if n := len(text); len(match) == 1 && n > 2 && text[0] == '"' && text[n-1] == '"' && text[1] != '0' && text[1] != '+' {
		if rev, err := strconv.ParseUint(text[1:n-1], 10, 64); err == nil && rev <= mostRev {
			return leaderboard.IfRev(rev), nil
		}
	}
	return leaderboard.Condition{}, &inputError{Field: ifMatch, Index: -1, Err: leaderboard.Errorf(codeBadRequest,
		`%s must be one entry_rev in quotes, such as "7"; the ETag of a read stands for an answer and not for an entry`, ifMatch)}
}

// condition reads the rev that an entry must be at.
func (s *scanner) condition(where string) leaderboard.Condition {
	rev := s.integer(where)
	if s.err == nil && (rev < 0 || rev > mostRev) {
		s.fail(where, leaderboard.Errorf(codeBadRequest, "%s must be a rev, or 0 if there must be no entry", where))
	}
	return leaderboard.IfRev(uint64(max(rev, 0)))
}

// givenRev is a condition in the body of a request: the rev of an entry.
type givenRev struct{ leaderboard.Condition }

// Schema implements [huma.SchemaProvider].
func (givenRev) Schema(huma.Registry) *huma.Schema {
	least, most := 0.0, float64(mostRev)
	return &huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &most}
}
