package hooks_test

import (
	"fmt"
	"testing"
	"time"

	"laurel/internal/hooks"
	"laurel/internal/leaderboard"
	"laurel/internal/leaderboard/storetest"
)

// BenchmarkSaw is what a publication costs more where nothing is to be told: of a board that
// no hook asks for, and of one that three ask for.
func BenchmarkSaw(b *testing.B) {
	var list []hooks.Hook
	for i := range 3 {
		list = append(list, hooks.Hook{Name: fmt.Sprint("h", i), URL: "http://127.0.0.1:1", Secrets: []string{secret}, Boards: []string{"eu.*", "world"}})
	}
	h, err := hooks.New(storetest.NewModel(), list, hooks.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range []string{"other", "world"} {
		b.Run(id, func(b *testing.B) {
			page := leaderboard.Page{View: leaderboard.View{
				Board: leaderboard.Board{ID: id, CreatedAt: time.UnixMilli(1764000000000)}.WithDefaults(), Season: 1, Rev: 1, Total: 1,
			}, Entries: []leaderboard.Entry{{Member: "alice", Score: 5}}}
			b.ReportAllocs()
			for b.Loop() {
				page.Rev++
				if err := h.Saw(b.Context(), page); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
