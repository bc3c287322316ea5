package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
)

// The page reads the same files, so that what is encoded here is what it decodes.
const golden = "../../web/src/live/testdata"

func TestTableMatchesPage(t *testing.T) {
	var all struct {
		Publications []struct {
			File    string
			Board   leaderboard.Board
			Entries []struct {
				Member string
				Score  int64
				Data   json.RawMessage
			}
			Total  int
			Season int
			Rev    uint64
		}
	}
	cases, err := os.ReadFile(filepath.Join(golden, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(cases, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Publications) == 0 {
		t.Fatal("golden.json has no publications")
	}
	for _, c := range all.Publications {
		t.Run(c.File, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join(golden, c.File))
			if err != nil {
				t.Fatal(err)
			}
			page := leaderboard.Page{View: leaderboard.View{Board: c.Board, Total: c.Total, Season: c.Season, Rev: c.Rev}}
			for _, e := range c.Entries {
				data, err := leaderboard.CompactData(e.Data)
				if err != nil {
					t.Fatal(err)
				}
				page.Entries = append(page.Entries, leaderboard.Entry{Member: e.Member, Score: e.Score, Data: data})
			}
			got, seen := encode(page)
			if diff := cmp.Diff(string(bytes.TrimSuffix(want, []byte("\n"))), string(got)); diff != "" {
				t.Errorf("(-file +encoded)\n%s", diff)
			}
			if rest, want := string(got[seen:]), fmt.Sprintf(`,"rev":%d}`, c.Rev); rest != want {
				t.Errorf("what no viewer sees is %s, want %s", rest, want)
			}
		})
	}
}
