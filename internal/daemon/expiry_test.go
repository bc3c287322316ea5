package daemon

import (
	"context"
	"fmt"
	"testing"
	"time"

	"laurel/client"
	"laurel/internal/redistest"
)

// Entries leave their board while nobody writes, with one change each, on either
// store and with several nodes; a viewer is sent the table without them.
func TestEntriesExpireByThemselves(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) []running{
		"embedded": func(t *testing.T) []running {
			t.Helper()
			return []running{run(t, Options{Data: t.TempDir()})}
		},
		"three nodes on Redis": func(t *testing.T) []running {
			t.Helper()
			redis := at(t, redistest.Start(t).URL())
			return []running{run(t, Options{Redis: redis}), run(t, Options{Redis: redis}), run(t, Options{Redis: redis})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := start(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := connect(t, nodes[0].url)
			if _, err := c.CreateBoard(ctx, client.Settings{ID: "race", EntryTTL: 1}); err != nil {
				t.Fatal(err)
			}
			const members = 30
			var list []client.Submission
			for i := range members {
				list = append(list, client.Submission{Member: fmt.Sprint(i), Score: client.Int(int64(i))})
			}
			submitted := false
			for table, err := range connect(t, nodes[len(nodes)-1].url).Watch(ctx, "race", client.WatchOptions{}) {
				switch {
				case err != nil:
					t.Fatal(err)
				case !submitted:
					submitted = true
					if _, err := c.Submit(ctx, "race", list...); err != nil {
						t.Fatal(err)
					}
				case table.Total == 0 && table.Rev > 1:
					if want := uint64(1 + 2*members); table.Rev != want {
						t.Errorf("the board is empty at rev %d, want %d", table.Rev, want)
					}
					return
				}
			}
			t.Errorf("the board was not seen to become empty: %v", ctx.Err())
		})
	}
}
