package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"laurel/internal/leaderboard"
)

// A cursor is a place in a list, in an opaque and URL-safe form. It ends with a
// short checksum over itself and the name of its list, so that one that was cut,
// edited or given out for another list is told apart from a place. It is no
// secret: whoever makes one up gets a place that could have asked for by offset.

const checksumLength = 6

var cursorText = base64.RawURLEncoding.Strict()

func sealCursor(list string, place []byte) string {
	return cursorText.EncodeToString(append(place, checksum(list, place)...))
}

func openCursor(list, cursor string) (place []byte, ok bool) {
	sealed, err := cursorText.DecodeString(cursor)
	if err != nil || len(sealed) < checksumLength {
		return nil, false
	}
	place, sum := sealed[:len(sealed)-checksumLength], sealed[len(sealed)-checksumLength:]
	return place, string(sum) == string(checksum(list, place))
}

func checksum(list string, place []byte) []byte {
	text := append([]byte("laurel cursor 1\x00"), list...)
	sum := sha256.Sum256(append(append(text, 0), place...))
	return sum[:checksumLength]
}

func invalidCursor() error {
	return &inputError{Field: "cursor", Index: -1, Err: leaderboard.Errorf(codeInvalidCursor, "cursor is not one that was given out for this list")}
}

// entryCursor is a place in a season of a board, and behind which share of its
// entries the list ends, if it does before the last.
type entryCursor struct {
	Season   int
	Position leaderboard.Position
	Percent  *leaderboard.Decimal
}

func (c entryCursor) encode(board string) string {
	place := binary.AppendUvarint(make([]byte, 0, 32), uint64(c.Season))
	place = binary.AppendVarint(place, c.Position.Score)
	place = binary.AppendUvarint(place, c.Position.Seq)
	if c.Percent != nil {
		part, _ := c.Percent.Scaled(leaderboard.MaxDecimals) // it was served
		place = binary.AppendVarint(place, part)
	}
	return sealCursor("entries/"+board, place)
}

func decodeEntryCursor(board, cursor string) (entryCursor, error) {
	place, ok := openCursor("entries/"+board, cursor)
	if !ok {
		return entryCursor{}, invalidCursor()
	}
	season, n := binary.Uvarint(place)
	place = place[max(n, 0):]
	score, m := binary.Varint(place)
	place = place[max(m, 0):]
	seq, l := binary.Uvarint(place)
	if n <= 0 || m <= 0 || l <= 0 || season < 1 || season > 1<<31 {
		return entryCursor{}, invalidCursor()
	}
	c := entryCursor{Season: int(season), Position: leaderboard.Position{Score: score, Seq: seq}}
	if place = place[l:]; len(place) > 0 {
		part, n := binary.Varint(place)
		if n != len(place) || part < 1 || part > 100_000_000 {
			return entryCursor{}, invalidCursor()
		}
		c.Percent = new(leaderboard.ScaledDecimal(part, leaderboard.MaxDecimals))
	}
	return c, nil
}

func encodeBoardCursor(after string) string { return sealCursor("leaderboards", []byte(after)) }

// A cursor through a member's boards says behind which board it goes on.
func encodeMemberCursor(member, after string) string {
	return sealCursor("member/"+member, []byte(after))
}

func decodeMemberCursor(member, cursor string) (after string, err error) {
	place, ok := openCursor("member/"+member, cursor)
	if !ok || leaderboard.ValidateBoardID(string(place)) != nil {
		return "", invalidCursor()
	}
	return string(place), nil
}

func decodeBoardCursor(cursor string) (after string, err error) {
	place, ok := openCursor("leaderboards", cursor)
	if !ok || leaderboard.ValidateBoardID(string(place)) != nil {
		return "", invalidCursor()
	}
	return string(place), nil
}
