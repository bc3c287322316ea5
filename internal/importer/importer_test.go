package importer_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"laurel/internal/importer"
	"laurel/internal/redisconn"
	"laurel/internal/redistest"
)

// collect returns what a source has, each entry behind its line, and its error.
func collect(source iter.Seq2[importer.Entry, error]) (list []string, err error) {
	for entry, err := range source {
		if err != nil {
			return list, err
		}
		list = append(list, fmt.Sprintf("%d %s", entry.Line, entry.JSON))
	}
	return list, nil
}

func TestNDJSON(t *testing.T) {
	got, err := collect(importer.NDJSON(strings.NewReader("\ufeff{\"a\":1}\r\n\r\n  {\"b\":2}\t\n\n{\"c\":3}")))
	if diff := cmp.Diff([]string{`1 {"a":1}`, `3 {"b":2}`, `5 {"c":3}`}, got); diff != "" || err != nil {
		t.Errorf("%v, lines (-want +got):\n%s", err, diff)
	}
	got, err = collect(importer.NDJSON(strings.NewReader("{}\n" + strings.Repeat("x", 2<<20))))
	if len(got) != 1 || err == nil || !strings.HasPrefix(err.Error(), "line 2 has more than") {
		t.Errorf("%d lines, %v", len(got), err)
	}
}

func TestCSV(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"without a header":   {"alice,12\nbob,-0.25,\"{\"\"n\"\": 1}\"\n", []string{`1 {"member":"alice","score":12}`, `2 {"member":"bob","score":-0.25,"data":{"n":1}}`}, ""},
		"a BOM and CRLF":     {"\ufeffmember,score\r\nalice,12\r\n\r\nbob,3\r\n", []string{`2 {"member":"alice","score":12}`, `4 {"member":"bob","score":3}`}, ""},
		"other order":        {" Score ,DATA,Member\n1,,a\n2,{},b", []string{`2 {"member":"a","score":1}`, `3 {"member":"b","score":2,"data":{}}`}, ""},
		"quotes":             {"\"a \"\"b\"\", c\",1\n\"d\ne\",2\nf,3", []string{`1 {"member":"a \"b\", c","score":1}`, `2 {"member":"d\ne","score":2}`, `4 {"member":"f","score":3}`}, ""},
		"a member in digits": {"007,1e3", []string{`1 {"member":"007","score":1e3}`}, ""},
		"nothing":            {"", nil, ""},
		"a header alone":     {"member,score,data", nil, ""},

		"an open quote":    {"a,1\n\"b,2\n", []string{`1 {"member":"a","score":1}`}, "line 2"},
		"a bare quote":     {"a\"b,1\n", nil, "line 1"},
		"no number":        {"a,1\nb,twelve", []string{`1 {"member":"a","score":1}`}, `line 2: score "twelve" is not`},
		"a decimal comma":  {"a,\"1,5\"", nil, `line 1: score "1,5" is not`},
		"two values":       {"a,\"1,\"\"data\"\":{}\"", nil, "line 1: score"},
		"no score":         {"a,", nil, "line 1: score"},
		"true":             {"a,true", nil, "line 1: score"},
		"one field":        {"a", nil, "line 1: there are 1 fields"},
		"too many fields":  {"member,score\na,1,{}", nil, "line 2: there are 3 fields"},
		"an unknown field": {"member,score,Name\n", nil, `line 1: there is a column "Name"`},
		"a field twice":    {"member,score,score\n", nil, `two columns "score"`},
		"data of a text":   {"a,1,x", nil, `line 1: data "x" is not`},
		"data of a list":   {"a,1,[]", nil, `line 1: data "[]" is not`},
	} {
		got, err := collect(importer.CSV(strings.NewReader(test.text)))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, want %q", name, err, test.err)
		}
	}
}

func TestZSet(t *testing.T) {
	config, err := redisconn.Parse(redistest.Start(t).URL() + "/3")
	if err != nil {
		t.Fatal(err)
	}
	client, err := config.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	do := func(words ...string) {
		t.Helper()
		if err := client.Do(context.Background(), client.B().Arbitrary(words...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	const n = 2500 // more than two pages
	var cmds rueidis.Commands
	for i := range n {
		cmds = append(cmds, client.B().Zadd().Key("game").ScoreMember().ScoreMember(float64(i/2), fmt.Sprintf("m%04d", i)).Build())
	}
	for _, answer := range client.DoMulti(t.Context(), cmds...) {
		if err := answer.Error(); err != nil {
			t.Fatal(err)
		}
	}
	want := make([]string, n)
	for i := range n {
		want[i] = fmt.Sprintf(`%d {"member":"m%04d","score":%d}`, n-i, i, i/2)
	}
	for _, skip := range []int{0, 1, 999, 1000, 2499, 2500, 9999} {
		got, err := collect(importer.ZSet{Redis: config, Key: "game", Reverse: true}.Entries(t.Context(), skip))
		if err != nil || len(got) != max(n-skip, 0) {
			t.Fatalf("%d entries behind %d, %v", len(got), skip, err)
		}
		for i, line := range got {
			if line != want[n-1-skip-i] {
				t.Fatalf("entry %d behind %d is %s, want %s", i, skip, line, want[n-1-skip-i])
			}
		}
	}
	forward, err := collect(importer.ZSet{Redis: config, Key: "game"}.Entries(t.Context(), n-2))
	if diff := cmp.Diff([]string{`2499 {"member":"m2498","score":1249}`, `2500 {"member":"m2499","score":1249}`}, forward); diff != "" || err != nil {
		t.Errorf("forward: %v (-want +got):\n%s", err, diff)
	}

	// Podium: gone since, until later, and for good.
	do("ZADD", "season", "5", "stays", "0.1", "new", "7", "gone")
	do("ZADD", "season:ttl", fmt.Sprint(time.Now().Add(-time.Hour).Unix()), "gone", fmt.Sprint(time.Now().Add(time.Hour).Unix()), "new")
	got, err := collect(importer.ZSet{Redis: config, Key: "season", Reverse: true, Podium: true}.Entries(t.Context(), 0))
	if diff := cmp.Diff([]string{`2 {"member":"stays","score":5}`, `3 {"member":"new","score":0.1}`}, got); diff != "" || err != nil {
		t.Errorf("podium: %v (-want +got):\n%s", err, diff)
	}

	do("SET", "text", "x")
	do("ZADD", "endless", "1", "a", "+inf", "b")
	for key, want := range map[string]string{"text": "is a string, not", "none": "no such key", "endless": `member "b": its score is +Inf`} {
		if _, err := collect(importer.ZSet{Redis: config, Key: key}.Entries(t.Context(), 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
	}
}
