package api

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"laurel/internal/leaderboard"
)

// FuzzCall calls with whatever comes over a live connection, which need not be
// JSON. What is answered was asked for in JSON, and what is refused has a code
// that clients know.
func FuzzCall(f *testing.F) {
	for _, params := range []string{
		``, `{}`, `null`, `{"board":"race"}`, `{"board":"race","limit":10}`, `{"board":"race","member":"a"}`, `{"board":"race","member":"a/b","limit":2,"season":1}`, `{"board":"race","season":"current"}`,
		`{"board":"race","limit":-1}`, `{"board":"race","limit":1e400}`, `{"board":"race","member":"\ud800"}`, `{"board":"race","x":1}`, `{"board":"race"} {}`, `{"board":"race"}x`, `{"board":"race","board":"race"}`, `[[[[`, `{"board":"nowhere"}`,
		"{\"board\":\"race\",\"member\":\"\xff\"}", `{"board":"race","season":9223372036854775808}`, `{"board":null}`, `{"board":"race","around_score":2.5}`, `{"board":"race","top_percent":50,"limit":1}`, `{"board":"race","members":["a","x"]}`, `{"board":"race","members":[]}`, `{"board":"race","member":"nobody"}`,
	} {
		for _, method := range []string{"top", "rank", "around", "lookup", "member", "erase"} {
			f.Add(method, []byte(params))
		}
	}
	target := newFuzzed()
	refusals := []leaderboard.Code{
		leaderboard.CodeBoardNotFound, leaderboard.CodeMemberNotFound, leaderboard.CodeSeasonNotFound, leaderboard.CodeInvalidBoard, leaderboard.CodeInvalidMember,
		leaderboard.CodeInvalidLimit, leaderboard.CodeEmptyBatch, codeInvalidCursor, leaderboard.CodeInvalidScore, leaderboard.CodeScoreOutOfRange, leaderboard.CodeTooManyDecimals, leaderboard.CodeBatchTooLarge, codeInvalidJSON, codeUnknownField, codeBadRequest, codeNotFound,
	}
	f.Fuzz(func(t *testing.T, method string, params []byte) {
		target.fill(t)
		answer, err := target.api.RPC(t.Context(), method, params)
		if err != nil {
			if code := leaderboard.CodeOf(err); !slices.Contains(refusals, code) || answer != nil {
				t.Fatalf("%q of %q: code %s, %v, answer %q", method, params, code, err, answer)
			}
			return
		}
		if !json.Valid(params) || !utf8.Valid(params) {
			t.Fatalf("%q is no JSON, and %s answers it", params, method)
		}
		var asked, got struct{ Board, Member string }
		if err := json.Unmarshal(params, &asked); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(answer, &got); err != nil || got.Board != asked.Board || got.Member != "" && got.Member != asked.Member {
			t.Fatalf("%s of %q answers %q: %v", method, params, answer, err)
		}
	})
}
