package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
)

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":              `""`,
		"alice":         `"alice"`,
		`a"b\c/d`:       `"a\"b\\c/d"`,
		"</script>&":    `"\u003c/script\u003e\u0026"`,
		"\x00\t\n\x7f":  `"\u0000\u0009\u000a\u007f"`,
		"Zoë":           `"Zo\u00eb"`,
		"佐藤":            `"\u4f50\u85e4"`,
		"🌿!":            `"\ud83c\udf3f!"`,
		"\U0010ffff":    `"\udbff\udfff"`,
		"a\u2028b":      `"a\u2028b"`,
		"cut\xe4\xbd":   `"cut\ufffd\ufffd"`,
		"é":             `"\u00e9"`,
		"e\u0301":       `"e\u0301"`,
		"\ufeff\ufffd!": `"\ufeff\ufffd!"`,
	} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("AppendString(%q) = %s, want %s", in, got, want)
		}
	}
}

// Whatever the member and its data: the table is ASCII, and reads back as what
// went in.
func FuzzTable(f *testing.F) {
	f.Add("alice", `{"name":"Zoë 🌿","a":[1,"</b>"]}`, int64(12345), 3)
	f.Add(`"\`, `{"\ud83c":"\/"}`, int64(-1), 0)
	f.Fuzz(func(t *testing.T, member, data string, score int64, decimals int) {
		compact, err := leaderboard.CompactData(json.RawMessage(data))
		if err != nil || leaderboard.ValidateMember(member) != nil || decimals < 0 || decimals > leaderboard.MaxDecimals {
			return
		}
		if limit := leaderboard.MaxScore(decimals); score > limit || score < -limit {
			return
		}
		table, _ := encode(leaderboard.Page{
			View:    leaderboard.View{Board: leaderboard.Board{Decimals: decimals}, Total: 1, Season: 1, Rev: 9},
			Entries: []leaderboard.Entry{{Member: member, Score: score, Data: compact}},
		})
		if i := bytes.IndexFunc(table, func(r rune) bool { return r < ' ' || r >= 0x7F || r == '<' || r == '>' || r == '&' }); i >= 0 {
			t.Errorf("table has %q in it: %s", table[i], table)
		}
		var got struct {
			Leaders []struct {
				Name  string
				Score leaderboard.Decimal
				Data  json.RawMessage
			}
		}
		if err := json.Unmarshal(table, &got); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		row := got.Leaders[0]
		if row.Name != member {
			t.Errorf("name = %q, want %q", row.Name, member)
		}
		if back, err := row.Score.Scaled(decimals); err != nil || back != score {
			t.Errorf("score = %d, %v; want %d", back, err, score)
		}
		var in, out any
		if err := json.Unmarshal(compact, &in); err != nil {
			return // a number that no float64 holds
		}
		if err := json.Unmarshal(row.Data, &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Errorf("data: (-in +out)\n%s", diff)
		}
	})
}

func TestTableAllocatesOnce(t *testing.T) {
	page := examplePage(100, false)
	if n := testing.AllocsPerRun(100, func() { encode(page) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

// examplePage is the top of a board on which everybody has a name and a country.
func examplePage(rows int, unicode bool) leaderboard.Page {
	page := leaderboard.Page{View: leaderboard.View{Board: leaderboard.Board{ID: "race"}.WithDefaults(), Total: 1_000_000, Season: 1, Rev: 123456}}
	name := "Alice Liddell"
	if unicode {
		name = strings.Repeat("Ж", utf8.RuneCountInString(name)/2)
	}
	for i := range rows {
		page.Entries = append(page.Entries, leaderboard.Entry{
			Member: fmt.Sprintf("player-%06d", i), Score: int64(1_000_000 - i), Rank: i + 1,
			Data: json.RawMessage(`{"name":"` + name + `","country":"FI"}`),
		})
	}
	return page
}

func BenchmarkTable(b *testing.B) {
	for _, c := range []struct {
		name    string
		rows    int
		unicode bool
	}{{"rows=100", 100, false}, {"rows=500", 500, false}, {"rows=100/cyrillic", 100, true}} {
		b.Run(c.name, func(b *testing.B) {
			page := examplePage(c.rows, c.unicode)
			b.ReportAllocs()
			for b.Loop() {
				table, _ := encode(page)
				b.SetBytes(int64(len(table)))
			}
		})
	}
	// The yardstick: the same table by way of encoding/json.
	b.Run("rows=100/by=json", func(b *testing.B) {
		type row struct {
			Name  string          `json:"name"`
			Score int64           `json:"score"`
			Data  json.RawMessage `json:"data,omitempty"`
		}
		page := examplePage(100, false)
		b.ReportAllocs()
		for b.Loop() {
			rows := make([]row, len(page.Entries))
			for i, e := range page.Entries {
				rows[i] = row{e.Member, e.Score, e.Data}
			}
			table, err := json.Marshal(map[string]any{"leaders": rows, "total": page.Total, "season": page.Season, "rev": page.Rev})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(table)))
		}
	})
}
