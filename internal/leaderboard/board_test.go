package leaderboard_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laurel/internal/leaderboard"
)

func TestWithDefaultsFillsWhatIsZero(t *testing.T) {
	want := leaderboard.Board{
		ID: "race", Order: leaderboard.Descending, Policy: leaderboard.Sum, Ties: leaderboard.Earliest,
		RankStyle: leaderboard.Ordinal, Top: 100, Interval: 100,
	}
	if diff := cmp.Diff(want, leaderboard.Board{ID: "race"}.WithDefaults()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if err := want.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
	own := leaderboard.Board{
		ID: "race", Order: leaderboard.Ascending, Policy: leaderboard.Best, Decimals: 3, Ties: leaderboard.LatestTie,
		RankStyle: leaderboard.Competition, Top: 1, Interval: 20, CreatedAt: time.UnixMilli(1),
	}
	if diff := cmp.Diff(own, own.WithDefaults()); diff != "" {
		t.Errorf("settings that are given (-want +got):\n%s", diff)
	}
}

func TestValidateNamesTheSettingThatIsOutOfRange(t *testing.T) {
	for _, test := range []struct {
		change func(b *leaderboard.Board)
		names  string // what the message must name; "" is valid
	}{
		{func(*leaderboard.Board) {}, ""},
		{func(b *leaderboard.Board) { b.Order, b.Policy = leaderboard.Ascending, leaderboard.Latest }, ""},
		{func(b *leaderboard.Board) { b.Decimals, b.Top, b.Interval = 6, 500, 60000 }, ""},
		{func(b *leaderboard.Board) { b.Decimals, b.Top, b.Interval = 0, 1, 20 }, ""},
		{func(b *leaderboard.Board) { b.ID = "" }, "board id"},
		{func(b *leaderboard.Board) { b.Order = "" }, "order"},
		{func(b *leaderboard.Board) { b.Order = "DESC" }, `order is "DESC", must be one of desc, asc`},
		{func(b *leaderboard.Board) { b.Policy = "max" }, `policy is "max", must be one of sum, best, latest`},
		{func(b *leaderboard.Board) { b.Ties = "first" }, `ties is "first", must be one of earliest, latest`},
		{func(b *leaderboard.Board) { b.RankStyle = leaderboard.Dense }, ""},
		{func(b *leaderboard.Board) { b.RankStyle = "fractional" }, `rank_style is "fractional", must be one of ordinal, competition, dense`},
		{func(b *leaderboard.Board) { b.RankStyle, b.ZSet = leaderboard.Competition, "scores" }, ""},
		{func(b *leaderboard.Board) { b.RankStyle, b.ZSet = leaderboard.Dense, "scores" }, `rank_style of a board that shows a zset is "dense"`},
		{func(b *leaderboard.Board) { b.Decimals = -1 }, "decimals is -1, must be from 0 to 6"},
		{func(b *leaderboard.Board) { b.Decimals = 7 }, "decimals is 7"},
		{func(b *leaderboard.Board) { b.Top = 0 }, "top is 0, must be from 1 to 500"},
		{func(b *leaderboard.Board) { b.Top = 501 }, "top is 501"},
		{func(b *leaderboard.Board) { b.Top = -1 }, "top is -1"},
		{func(b *leaderboard.Board) { b.Interval = 19 }, "interval_ms is 19, must be from 20 to 60000"},
		{func(b *leaderboard.Board) { b.Interval = 60001 }, "interval_ms is 60001"},
		{func(b *leaderboard.Board) { b.ZSet = "game:{eu}:scores" }, ""},
		{func(b *leaderboard.Board) { b.ZSet = strings.Repeat("k", 512) }, ""},
		{func(b *leaderboard.Board) { b.ZSet = strings.Repeat("k", 513) }, "zset is"},
		{func(b *leaderboard.Board) { b.ZSet = "a\nb" }, "zset is"},
		{func(b *leaderboard.Board) { b.ZSet = "\xff" }, "zset is"},
	} {
		b := leaderboard.Board{ID: "race"}.WithDefaults()
		test.change(&b)
		err := b.Validate()
		switch {
		case test.names == "" && err != nil:
			t.Errorf("%+v: %v", b, err)
		case test.names != "" && (leaderboard.CodeOf(err) != leaderboard.CodeInvalidBoard || !strings.Contains(err.Error(), test.names)):
			t.Errorf("%+v: %v, want an invalid board by %q", b, err, test.names)
		}
	}
}

func TestValidateBoardID(t *testing.T) {
	for _, id := range []string{"a", "Z", "0", "a.b_c-d", "EU", "2026.11", "a-", "a.", "a_", strings.Repeat("x", 64)} {
		if err := leaderboard.ValidateBoardID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{
		"", ".", "..", ".a", "-a", "_a", "a b", "a/b", "a:b", "a#b", "a\x00", "a\n", "é", "aé", "a\u200b", strings.Repeat("x", 65), strings.Repeat("x", 1<<20),
	} {
		err := leaderboard.ValidateBoardID(id)
		if leaderboard.CodeOf(err) != leaderboard.CodeInvalidBoard {
			t.Errorf("%.70q: %v, want the code %s", id, err, leaderboard.CodeInvalidBoard)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("the message for an id of %d bytes has %d", len(id), len(err.Error()))
		}
	}
}

func TestValidateMember(t *testing.T) {
	for _, member := range []string{
		"a", " ", "Alice B.", "a/b?c#d%20", "é", "e\u0301", "😀", "\u200b", "\u202e", "\ufffd", "null", strings.Repeat("x", 128), strings.Repeat("é", 64),
	} {
		if err := leaderboard.ValidateMember(member); err != nil {
			t.Errorf("%q: %v", member, err)
		}
	}
	for _, member := range []string{
		"", "\x00", "a\tb", "a\nb", "\x1f", "\x7f", "\u0080", "\u009f", "\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("x", 129), strings.Repeat("é", 65),
	} {
		if err := leaderboard.ValidateMember(member); leaderboard.CodeOf(err) != leaderboard.CodeInvalidMember {
			t.Errorf("%q: %v, want the code %s", member, err, leaderboard.CodeInvalidMember)
		}
	}
}

func TestBetterFollowsTheOrder(t *testing.T) {
	desc, asc := leaderboard.Board{Order: leaderboard.Descending}, leaderboard.Board{Order: leaderboard.Ascending}
	for _, test := range []struct {
		score, than   int64
		inDesc, inAsc bool
	}{
		{2, 1, true, false}, {1, 2, false, true}, {1, 1, false, false}, {0, -1, true, false},
	} {
		if got := desc.Better(test.score, test.than); got != test.inDesc {
			t.Errorf("%d better than %d, descending: %t", test.score, test.than, got)
		}
		if got := asc.Better(test.score, test.than); got != test.inAsc {
			t.Errorf("%d better than %d, ascending: %t", test.score, test.than, got)
		}
	}
}

func TestPublishInterval(t *testing.T) {
	if got := (leaderboard.Board{Interval: 250}).PublishInterval(); got != 250*time.Millisecond {
		t.Errorf("PublishInterval = %v, want 250ms", got)
	}
}

func TestPatch(t *testing.T) {
	board := leaderboard.Board{ID: "race", Decimals: 2, CreatedAt: time.UnixMilli(1)}.WithDefaults()
	for name, test := range map[string]struct {
		patch leaderboard.Patch
		want  func(b *leaderboard.Board)
		code  leaderboard.Code
	}{
		"nothing":         {leaderboard.Patch{}, func(*leaderboard.Board) {}, ""},
		"policy":          {leaderboard.Patch{Policy: new(leaderboard.Best)}, func(b *leaderboard.Board) { b.Policy = leaderboard.Best }, ""},
		"rank style":      {leaderboard.Patch{RankStyle: new(leaderboard.Competition)}, func(b *leaderboard.Board) { b.RankStyle = leaderboard.Competition }, ""},
		"dense ranks":     {leaderboard.Patch{RankStyle: new(leaderboard.Dense)}, nil, leaderboard.CodeImmutableSetting},
		"top":             {leaderboard.Patch{Top: new(7)}, func(b *leaderboard.Board) { b.Top = 7 }, ""},
		"interval":        {leaderboard.Patch{Interval: new(20)}, func(b *leaderboard.Board) { b.Interval = 20 }, ""},
		"two":             {leaderboard.Patch{Top: new(7), Interval: new(50)}, func(b *leaderboard.Board) { b.Top, b.Interval = 7, 50 }, ""},
		"the same":        {leaderboard.Patch{Order: new(leaderboard.Descending), Decimals: new(2), Ties: new(leaderboard.Earliest)}, func(*leaderboard.Board) {}, ""},
		"order":           {leaderboard.Patch{Order: new(leaderboard.Ascending)}, nil, leaderboard.CodeImmutableSetting},
		"decimals":        {leaderboard.Patch{Decimals: new(0)}, nil, leaderboard.CodeImmutableSetting},
		"ties":            {leaderboard.Patch{Ties: new(leaderboard.LatestTie)}, nil, leaderboard.CodeImmutableSetting},
		"zset":            {leaderboard.Patch{ZSet: new("scores")}, nil, leaderboard.CodeImmutableSetting},
		"the same zset":   {leaderboard.Patch{ZSet: new("")}, func(*leaderboard.Board) {}, ""},
		"unknown order":   {leaderboard.Patch{Order: new(leaderboard.Order("up"))}, nil, leaderboard.CodeImmutableSetting},
		"unknown policy":  {leaderboard.Patch{Policy: new(leaderboard.Policy("max"))}, nil, leaderboard.CodeInvalidBoard},
		"empty policy":    {leaderboard.Patch{Policy: new(leaderboard.Policy(""))}, nil, leaderboard.CodeInvalidBoard},
		"top of 0":        {leaderboard.Patch{Top: new(0)}, nil, leaderboard.CodeInvalidBoard},
		"interval of 1ms": {leaderboard.Patch{Interval: new(1)}, nil, leaderboard.CodeInvalidBoard},
	} {
		before := board
		got, err := test.patch.Apply(board)
		if leaderboard.CodeOf(err) != test.code {
			t.Errorf("%s: %v, want the code %q", name, err, test.code)
		}
		if test.want != nil {
			want := board
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
			}
		}
		if diff := cmp.Diff(before, board); diff != "" {
			t.Errorf("%s changed what it was applied to:\n%s", name, diff)
		}
	}
}
