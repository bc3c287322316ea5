package localstore

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
)

// TestStatesOfOlderVersions reads what a version without seasons wrote, and writes the
// same for a board that makes no use of them.
func TestStatesOfOlderVersions(t *testing.T) {
	created := time.Date(2026, 11, 24, 9, 0, 0, 204e6, time.UTC)
	for name, c := range map[string]struct {
		value []byte
		board leaderboard.Board
	}{
		"plain": {
			[]byte{0, 7, 5, 9, 1, 3, 0, 0, 100, 100, 0x98, 0xbd, 0xc4, 0xcc, 0xc1, 0x68},
			leaderboard.Board{ID: "race"},
		},
		"bounded": {
			[]byte{64, 7, 5, 9, 1, 3, 0, 0, 100, 100, 0x98, 0xbd, 0xc4, 0xcc, 0xc1, 0x68, 1, 4},
			leaderboard.Board{ID: "race", MinScore: leaderboard.BoundOf(leaderboard.ScaledDecimal(2, 0))},
		},
	} {
		c.board.CreatedAt = created
		want := state{
			settings: c.board.WithDefaults(), number: 7, rev: 5, seq: 9, total: 3,
			run: leaderboard.Run{Season: 1, StartsAt: created},
		}
		got, err := parseState("race", c.value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(state{}, leaderboard.Decimal{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if value := appendState(nil, &want); !bytes.Equal(value, c.value) {
			t.Errorf("%s is written as %x, want %x", name, value, c.value)
		}
	}
}

// TestTimetable compares with a sorted list.
func TestTimetable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var table timetable
	at := map[string]int64{}
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"}
	for range 2000 {
		id := ids[rng.IntN(len(ids))]
		at[id] = rng.Int64N(7)
		table.set(id, at[id])
		var order []string
		for _, id := range ids {
			if at[id] != 0 {
				order = append(order, id)
			}
		}
		slices.SortStableFunc(order, func(x, y string) int { return int(at[x] - at[y]) })
		now, limit := rng.Int64N(8), rng.IntN(9)
		var want []string
		var wantNext int64
		for _, id := range order {
			if at[id] > now || len(want) == limit {
				wantNext = at[id]
				break
			}
			want = append(want, id)
		}
		got, next, err := table.first(now, limit)
		if err != nil || !slices.Equal(want, got) || next != wantNext {
			t.Fatalf("at %d, at most %d of %v: %v, then %d, %v; want %v, then %d", now, limit, at, got, next, err, want, wantNext)
		}
	}
}
