package api

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"laurel/internal/leaderboard"
)

func TestEntryCursorsComeBackAsTheyWere(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		want := entryCursor{Season: 1 + random.IntN(1000), Position: leaderboard.Position{Score: int64(random.Uint64()), Seq: random.Uint64()}}
		text := want.encode("race")
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("cursor %q is not safe in a URL", text)
		}
		got, err := decodeEntryCursor("race", text)
		if err != nil || got != want {
			t.Fatalf("decode(encode(%+v)) = %+v, %v", want, got, err)
		}
		if _, err := decodeEntryCursor("race2", text); err == nil {
			t.Fatalf("a cursor of race is taken for race2")
		}
		if _, err := decodeBoardCursor(text); err == nil {
			t.Fatalf("a cursor of entries is taken for one of boards")
		}
		at := random.IntN(len(text))
		changed := []byte(text)
		for changed[at] == text[at] {
			changed[at] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[random.IntN(64)]
		}
		for _, broken := range []string{string(changed), text[:at], text + "A", text + "=", " " + text, text[at:] + "_"} {
			if got, err := decodeEntryCursor("race", broken); err == nil {
				t.Fatalf("%q, made of %q, is taken for %+v", broken, text, got)
			}
		}
	}
}

// TestSealedNonsenseIsNoPlace knows how cursors are sealed, as an attacker may.
func TestSealedNonsenseIsNoPlace(t *testing.T) {
	good := entryCursor{Season: 1, Position: leaderboard.Position{Score: math.MinInt64, Seq: math.MaxUint64}}
	place, ok := openCursor("entries/race", good.encode("race"))
	if !ok {
		t.Fatal("a good cursor cannot be opened")
	}
	for _, nonsense := range [][]byte{nil, {1}, {1, 2}, place[:len(place)-1], append(slices.Clone(place), 0), append([]byte{0}, place[1:]...), slices.Repeat([]byte{0xff}, 40)} {
		if got, err := decodeEntryCursor("race", sealCursor("entries/race", slices.Clone(nonsense))); err == nil {
			t.Errorf("%x is taken for %+v", nonsense, got)
		}
	}
	for _, id := range []string{"", "..", "a b", strings.Repeat("a", 65)} {
		if after, err := decodeBoardCursor(encodeBoardCursor(id)); err == nil {
			t.Errorf("%q is taken for the board %q", id, after)
		}
	}
}

func TestPagesCoverTheBoardWhileItMoves(t *testing.T) {
	s := newServer(t)
	const members = 57
	for i := range members {
		s.must("PUT", fmt.Sprintf("/v1/leaderboards/b/entries/m%02d", i), fmt.Sprintf(`{"score":%d}`, 1000-i/3*10))
	}
	var seen []string
	path := "/v1/leaderboards/b/entries?limit=10"
	for range members {
		page := decode[entries](t, s.must("GET", path, ""))
		seen = append(seen, page.members()...)
		if page.NextCursor == "" {
			break
		}
		// What was seen moves to the very top, and somebody new joins it.
		s.must("PUT", "/v1/leaderboards/b/entries/"+seen[0], fmt.Sprintf(`{"score":%d}`, 10_000+len(seen)))
		s.must("PUT", fmt.Sprintf("/v1/leaderboards/b/entries/new%d", len(seen)), `{"score":5000}`)
		path = "/v1/leaderboards/b/entries?limit=10&season=current&cursor=" + page.NextCursor
	}
	want := make([]string, members)
	for i := range want {
		want[i] = fmt.Sprintf("m%02d", i)
	}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q", seen)
	}
}

func TestCursorsAreOfTheirList(t *testing.T) {
	s := newServer(t)
	for _, board := range []string{"a", "b", "c"} {
		s.must("POST", "/v1/leaderboards/"+board+"/scores", `{"submissions":[{"member":"x","score":2},{"member":"y","score":1}]}`)
	}
	ofA := decode[entries](t, s.must("GET", "/v1/leaderboards/a/entries?limit=1", "")).NextCursor
	ofBoards := decode[entries](t, s.must("GET", "/v1/leaderboards?limit=1", "")).NextCursor
	if ofA == "" || ofBoards == "" {
		t.Fatal("no cursors")
	}
	for _, path := range []string{
		"/v1/leaderboards/b/entries?cursor=" + ofA, "/v1/leaderboards?cursor=" + ofA,
		"/v1/leaderboards/a/entries?cursor=" + ofBoards, "/v1/leaderboards/a/entries?season=2&cursor=" + ofA,
	} {
		s.checkProblem(t, path, s.send("GET", path, ""), codeInvalidCursor)
	}
	s.checkProblem(t, "offset and cursor", s.send("GET", "/v1/leaderboards/a/entries?offset=1&cursor="+ofA, ""), codeBadRequest)
	if got := decode[entries](t, s.must("GET", "/v1/leaderboards/a/entries?season=1&cursor="+ofA, "")).members(); !slices.Equal(got, []string{"y"}) {
		t.Errorf("behind x: %q", got)
	}

	var boards []string
	for path := "/v1/leaderboards?limit=1"; path != ""; {
		page := decode[struct {
			Leaderboards []struct{ ID string }
			NextCursor   string `json:"next_cursor"`
		}](t, s.must("GET", path, ""))
		for _, b := range page.Leaderboards {
			boards = append(boards, b.ID)
		}
		path = ""
		if page.NextCursor != "" {
			path = "/v1/leaderboards?limit=1&cursor=" + page.NextCursor
		}
	}
	if !slices.Equal(boards, []string{"a", "b", "c"}) {
		t.Errorf("boards %q", boards)
	}
}
