package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
)

func decimal(t *testing.T, text string) leaderboard.Decimal {
	t.Helper()
	d, err := leaderboard.ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecodeEvent(t *testing.T) {
	one := leaderboard.Submission{Member: "Åsa", Score: decimal(t, "-12.50"), Data: []byte(`{"c":1}`)}
	two := leaderboard.Submission{Member: "b", Score: decimal(t, "3")}
	for payload, want := range map[string][]leaderboard.Submission{
		`{"board":"eu","member":"Åsa","score":-12.50,"data":{"c":1}}`:                                           {one},
		`{"data":{"c":1},"score":-1.25e1,"member":"\u00c5sa","board":"eu"}`:                                     {one},
		`{"board":"eu","submissions":[{"member":"Åsa","score":-12.5,"data":{"c":1}},{"member":"b","score":3}]}`: {one, two},
		` {"submissions":[{"member":"b","score":3}], "board":"eu"} `:                                            {two},
		`{"board":"eu","submissions":[]}`:                                                                       nil, // the rules refuse it
	} {
		board, got, err := DecodeEvent([]byte(payload))
		if err != nil || board != "eu" {
			t.Errorf("DecodeEvent(%s) = %q, %v", payload, board, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(leaderboard.Decimal{})); diff != "" {
			t.Errorf("DecodeEvent(%s): %s", payload, diff)
		}
	}
}

func TestDecodeEventRefusals(t *testing.T) {
	for payload, want := range map[string]struct {
		code   leaderboard.Code
		reason string
	}{
		``:   {codeInvalidJSON, "empty"},
		`[]`: {codeInvalidJSON, "must be an object"},
		`{"board":"eu","member":"a","score":1} {}`:                               {codeInvalidJSON, "goes on"},
		`{"member":"a","score":1}`:                                               {leaderboard.CodeInvalidBoard, "board is missing"},
		`{"board":1,"member":"a","score":1}`:                                     {codeInvalidJSON, "board must be a string"},
		`{"board":"eu"}`:                                                         {codeBadRequest, `must have "member" and "score", or "submissions"`},
		`{"board":"eu","member":"a"}`:                                            {leaderboard.CodeInvalidScore, "score is missing"},
		`{"board":"eu","score":1}`:                                               {leaderboard.CodeInvalidMember, "member is missing"},
		`{"board":"eu","member":"a","score":"1"}`:                                {leaderboard.CodeInvalidScore, "not a string"},
		`{"board":"eu","member":"a","score":1,"extra":1}`:                        {codeUnknownField, `no field "extra"`},
		`{"board":"eu","board":"us","member":"a","score":1}`:                     {codeInvalidJSON, "twice"},
		`{"board":"eu","member":"a","score":1,"submissions":[]}`:                 {codeBadRequest, "beside"},
		`{"board":"eu","submissions":[{"member":"a","score":1},{"member":"b"}]}`: {leaderboard.CodeInvalidScore, "submissions[1]"},
		`{"board":"eu","submissions":[` + strings.Repeat(`{"member":"a","score":1},`, leaderboard.MaxBatch+1): {leaderboard.CodeBatchTooLarge, "more than 1000"},
	} {
		board, list, err := DecodeEvent([]byte(payload))
		if leaderboard.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.reason) || board != "" || list != nil {
			t.Errorf("DecodeEvent(%.80s) = %q, %v, %v, want %s: …%s…", payload, board, list, err, want.code, want.reason)
		}
	}
}
