package realtime

import (
	"slices"
	"strings"
	"testing"

	"laurel/internal/leaderboard"
)

// FuzzChannels parses what clients may ask for: a channel is of one kind at
// most, names what may exist, and is the only way to name it.
func FuzzChannels(f *testing.F) {
	for _, channel := range []string{
		"board:race", "rank:race#alice", "rank:race#a#b", "rank:race#", "rank:#alice", "rank:race", "board:", "board:a#b", "Board:race", "race", "", ":", "#",
		"board:" + strings.Repeat("b", 64), "board:" + strings.Repeat("b", 65), "rank:" + strings.Repeat("b", 64) + "#" + strings.Repeat("m", 128), "rank:b#" + strings.Repeat("m", 129),
		"rank:b#a\x00", "rank:b#\xff", "rank:b#Zoë 🌿", "board:..", "rank:..#a",
	} {
		f.Add(channel)
	}
	f.Fuzz(func(t *testing.T, channel string) {
		kind := channelKind(channel)
		if !slices.Contains([]string{"board", "rank", "other"}, kind) {
			t.Fatalf("%q is of the kind %q", channel, kind)
		}
		if board, ok := parseBoardChannel(channel); ok {
			if err := leaderboard.ValidateBoardID(board); err != nil || boardChannel(board) != channel || kind != "board" {
				t.Fatalf("%q, a %s, is read as board %q: %v", channel, kind, board, err)
			}
		}
		board, member, ok := parseRankChannel(channel)
		if !ok {
			return
		}
		if err := leaderboard.ValidateBoardID(board); err != nil || rankChannel(board, member) != channel || kind != "rank" {
			t.Fatalf("%q, a %s, is read as member %q of board %q: %v", channel, kind, member, board, err)
		}
		if err := leaderboard.ValidateMember(member); err != nil {
			t.Fatalf("%q is read as member %q: %v", channel, member, err)
		}
		if len(channel) > maxChannelLength {
			t.Fatalf("%q is valid with %d bytes, and the library takes %d", channel, len(channel), maxChannelLength)
		}
	})
}
