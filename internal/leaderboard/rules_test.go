package leaderboard_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

func TestDecide(t *testing.T) {
	alice, eve := json.RawMessage(`{"name":"Alice"}`), json.RawMessage(`{"name":"Eve"}`)
	null := json.RawMessage("null")
	has := func(score int64) *leaderboard.Record { return &leaderboard.Record{Score: score, Data: alice} }
	for _, test := range []struct {
		name   string
		board  leaderboard.Board
		kind   leaderboard.Kind
		score  string
		data   json.RawMessage
		has    *leaderboard.Record
		want   leaderboard.Record
		reason leaderboard.Reason
		code   leaderboard.Code
	}{
		{name: "sum of a new member", score: "5", want: leaderboard.Record{Score: 5}},
		{name: "sum adds", score: "5", has: has(7), want: leaderboard.Record{Score: 12, Data: alice}},
		{name: "sum adds what is below zero", score: "-10", has: has(7), want: leaderboard.Record{Score: -3, Data: alice}},
		{name: "sum with decimals", board: leaderboard.Board{Decimals: 2}, score: "0.2", has: has(10), want: leaderboard.Record{Score: 30, Data: alice}},
		{name: "sum beyond the limit", score: "1", has: has(1<<53 - 1), code: leaderboard.CodeScoreOutOfRange},
		{name: "sum beyond the lower limit", score: "-1", has: has(1 - 1<<53), code: leaderboard.CodeScoreOutOfRange},
		{name: "sum to the limit", score: "1", has: has(1<<53 - 2), want: leaderboard.Record{Score: 1<<53 - 1, Data: alice}},
		{name: "sum beyond fifteen digits", board: leaderboard.Board{Decimals: 1}, score: "0.1", has: has(999999999999999), code: leaderboard.CodeScoreOutOfRange},
		{name: "set ignores sum", kind: leaderboard.Set, score: "5", has: has(7), want: leaderboard.Record{Score: 5, Data: alice}},
		{name: "set beside the limit", kind: leaderboard.Set, score: "1", has: has(1<<53 - 1), want: leaderboard.Record{Score: 1, Data: alice}},

		{name: "best of a new member", board: leaderboard.Board{Policy: leaderboard.Best}, score: "-5", want: leaderboard.Record{Score: -5}},
		{name: "best takes a higher", board: leaderboard.Board{Policy: leaderboard.Best}, score: "8", has: has(7), want: leaderboard.Record{Score: 8, Data: alice}},
		{name: "best leaves an equal", board: leaderboard.Board{Policy: leaderboard.Best}, score: "7", data: eve, has: has(7), want: *has(7), reason: leaderboard.NotBetter},
		{name: "best leaves a lower", board: leaderboard.Board{Policy: leaderboard.Best}, score: "6", data: null, has: has(7), want: *has(7), reason: leaderboard.NotBetter},
		{name: "best takes a lower, ascending", board: leaderboard.Board{Policy: leaderboard.Best, Order: leaderboard.Ascending}, score: "6", has: has(7), want: leaderboard.Record{Score: 6, Data: alice}},
		{name: "best leaves a higher, ascending", board: leaderboard.Board{Policy: leaderboard.Best, Order: leaderboard.Ascending}, score: "8", has: has(7), want: *has(7), reason: leaderboard.NotBetter},
		{name: "set ignores best", board: leaderboard.Board{Policy: leaderboard.Best}, kind: leaderboard.Set, score: "6", has: has(7), want: leaderboard.Record{Score: 6, Data: alice}},

		{name: "latest replaces", board: leaderboard.Board{Policy: leaderboard.Latest}, score: "6", has: has(7), want: leaderboard.Record{Score: 6, Data: alice}},
		{name: "latest takes an equal", board: leaderboard.Board{Policy: leaderboard.Latest}, score: "7", data: eve, has: has(7), want: leaderboard.Record{Score: 7, Data: eve}},

		{name: "data of a new member", score: "5", data: alice, want: leaderboard.Record{Score: 5, Data: alice}},
		{name: "no data of a new member", score: "5", data: null, want: leaderboard.Record{Score: 5}},
		{name: "data that is replaced", score: "5", data: eve, has: has(7), want: leaderboard.Record{Score: 12, Data: eve}},
		{name: "data that is removed", score: "5", data: null, has: has(7), want: leaderboard.Record{Score: 12}},

		{name: "too many decimals", score: "0.5", has: has(7), code: leaderboard.CodeTooManyDecimals},
		{name: "too many decimals, though not better", board: leaderboard.Board{Policy: leaderboard.Best}, score: "0.5", has: has(7), code: leaderboard.CodeTooManyDecimals},
		{name: "out of range, though the sum would not be", score: "9007199254740992", has: has(-7), code: leaderboard.CodeScoreOutOfRange},
	} {
		t.Run(test.name, func(t *testing.T) {
			op := leaderboard.Op{Kind: test.kind, Score: mustParse(t, test.score), Data: test.data}
			got, reason, err := test.board.WithDefaults().Decide(op, test.has)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
			if reason != test.reason || leaderboard.CodeOf(err) != test.code {
				t.Errorf("reason %q, error %v, want the reason %q and the code %q", reason, err, test.reason, test.code)
			}
			if test.has != nil && string(test.has.Data) != string(alice) {
				t.Errorf("what the member had is changed to %s", test.has.Data)
			}
		})
	}
}

// The model has its own rules; where they and Decide differ, one of them is wrong.
func TestDecideAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		board := leaderboard.Board{
			ID: "race", Decimals: rapid.SampledFrom([]int{0, 1, 6}).Draw(t, "decimals"),
			Order:  rapid.SampledFrom([]leaderboard.Order{leaderboard.Descending, leaderboard.Ascending}).Draw(t, "order"),
			Policy: rapid.SampledFrom([]leaderboard.Policy{leaderboard.Sum, leaderboard.Best, leaderboard.Latest}).Draw(t, "policy"),
		}.WithDefaults()
		model := storetest.NewModel()
		if _, err := model.CreateBoard(t.Context(), board); err != nil {
			t.Fatal(err)
		}
		var has *leaderboard.Record
		for range rapid.IntRange(1, 4).Draw(t, "operations") {
			op := leaderboard.Op{
				Board: "race", Member: "alice", Kind: rapid.SampledFrom([]leaderboard.Kind{leaderboard.Submit, leaderboard.Submit, leaderboard.Set}).Draw(t, "kind"),
				Score: someScore(t), Data: rapid.SampledFrom([]json.RawMessage{nil, []byte("null"), []byte("{}"), []byte(`{"n":1}`)}).Draw(t, "data"),
			}
			record, reason, err := board.Decide(op, has)
			outcome, modelErr := model.Apply(t.Context(), leaderboard.Batch{Ops: []leaderboard.Op{op}})
			if leaderboard.CodeOf(err) != leaderboard.CodeOf(modelErr) {
				t.Fatalf("Decide: %v, model: %v", err, modelErr)
			}
			if err != nil {
				continue
			}
			has = &record
			page, err := model.Lookup(t.Context(), leaderboard.Ref{Board: "race"}, []string{"alice"})
			if err != nil {
				t.Fatal(err)
			}
			want := leaderboard.Record{Score: page.Entries[0].Score, Data: page.Entries[0].Data}
			if diff := cmp.Diff(want, record); diff != "" || reason != outcome.Results[0].Reason {
				t.Fatalf("reason %q, of the model %q; record (-model +Decide):\n%s", reason, outcome.Results[0].Reason, diff)
			}
		}
	})
}

func someScore(t *rapid.T) leaderboard.Decimal {
	s := rapid.SampledFrom([]string{
		"0", "1", "-1", "2", "0.1", "-0.5", "0.000001", "1e3", "9007199254740991", "-9007199254740990", "99999999999999.9", "999999999.999999", "-999999999.999998", "9007199254740992",
	}).Draw(t, "score")
	d, err := leaderboard.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCompactData(t *testing.T) {
	full := fmt.Sprintf(`{"x":%q}`, strings.Repeat("y", leaderboard.MaxData-len(`{"x":""}`)))
	for name, test := range map[string]struct {
		data string
		want string
		code leaderboard.Code
	}{
		"an object":                     {`{"name":"Alice"}`, `{"name":"Alice"}`, ""},
		"an empty object":               {`{}`, `{}`, ""},
		"white space":                   {" {\n\t\"name\" : \"A B\" , \"n\":[ 1 , 2 ]\r\n} ", `{"name":"A B","n":[1,2]}`, ""},
		"numbers and escapes as sent":   {`{"n":1.50,"e":1E+2,"s":"\u0041\/"}`, `{"n":1.50,"e":1E+2,"s":"\u0041\/"}`, ""},
		"a name twice":                  {`{"n":1,"n":2}`, `{"n":1,"n":2}`, ""},
		"marks of HTML":                 {`{"s":"<&>` + "\u2028" + `"}`, `{"s":"<&>` + "\u2028" + `"}`, ""},
		"null":                          {"null", "null", ""},
		"null in white space":           {" null\n", "null", ""},
		"as long as may be":             {full, full, ""},
		"too long before it is compact": {strings.Repeat(" ", leaderboard.MaxData) + `{ }`, `{}`, ""},
		"too long":                      {full[:len(full)-2] + `y"}`, "", leaderboard.CodeInvalidData},
		"an array":                      {`[]`, "", leaderboard.CodeInvalidData},
		"a string":                      {`"{}"`, "", leaderboard.CodeInvalidData},
		"a number":                      {`1`, "", leaderboard.CodeInvalidData},
		"true":                          {`true`, "", leaderboard.CodeInvalidData},
		"empty":                         {"", "", leaderboard.CodeInvalidData},
		"white space alone":             {" \n", "", leaderboard.CodeInvalidData},
		"cut off":                       {`{"a":1`, "", leaderboard.CodeInvalidData},
		"two values":                    {`{} {}`, "", leaderboard.CodeInvalidData},
		"not JSON":                      {`{a:1}`, "", leaderboard.CodeInvalidData},
		"Null":                          {`Null`, "", leaderboard.CodeInvalidData},
		"not UTF-8":                     {"{\"a\":\"\xff\"}", "", leaderboard.CodeInvalidData},
		"half a surrogate, raw":         {"{\"a\":\"\xed\xa0\x80\"}", "", leaderboard.CodeInvalidData},
	} {
		got, err := leaderboard.CompactData(json.RawMessage(test.data))
		if string(got) != test.want || leaderboard.CodeOf(err) != test.code || (got == nil) != (test.code != "") {
			t.Errorf("%s: CompactData(%.40q) = %.40q, %v, want %.40q and the code %q", name, test.data, got, err, test.want, test.code)
		}
	}
	if got, err := leaderboard.CompactData(nil); got != nil || err != nil {
		t.Errorf("CompactData(nil) = %q, %v, want nil", got, err)
	}
}

func TestCompactDataDoesNotKeepWhatItWasGiven(t *testing.T) {
	sent := json.RawMessage(`{"name":"Alice"}`)
	got, err := leaderboard.CompactData(sent)
	if err != nil {
		t.Fatal(err)
	}
	copy(sent, `{"NAME":"EVE!!"}`)
	if string(got) != `{"name":"Alice"}` {
		t.Errorf("compact data changed to %s with what was sent", got)
	}
}
