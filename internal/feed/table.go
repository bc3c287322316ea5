package feed

import (
	"context"
	"strconv"
	"unicode/utf8"

	"laurel/internal/leaderboard"
)

// timeLayout is RFC 3339 with milliseconds, as everywhere in the API.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Publication is the top of a board at a rev, encoded for its viewers.
type Publication struct {
	Board string
	Rev   uint64
	Epoch string // of the rev; empty if it is not known, which only happens for a board that was deleted
	Gone  bool   // the board was deleted: the table is empty, and of a rev that is at most that of the deletion
	Data  []byte // the table as JSON; not to be changed
}

// Reader is what a table is read from.
type Reader interface {
	// Entries returns a page of a board, or [leaderboard.ErrBoardNotFound].
	Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error)
}

// Render returns the table of a board as it is now. It returns
// [leaderboard.ErrBoardNotFound] if there is no such board.
func Render(ctx context.Context, r Reader, board string) (Publication, error) {
	page, err := readTop(ctx, r, board, leaderboard.DefaultTop)
	if err != nil {
		return Publication{}, err
	}
	table, _ := encode(page)
	return Publication{Board: board, Rev: page.Rev, Epoch: page.Epoch, Data: table}, nil
}

// RenderGone returns the table that the viewers of a deleted board are sent.
func RenderGone(board string, rev uint64, epoch string) Publication {
	table, _ := encode(leaderboard.Page{View: leaderboard.View{Season: 1, Rev: rev}})
	return Publication{Board: board, Rev: rev, Epoch: epoch, Gone: true, Data: table}
}

// readTop reads as many entries as the board's viewers are sent, all at one rev.
// The guess of how many that are saves the second read.
func readTop(ctx context.Context, r Reader, board string, guess int) (leaderboard.Page, error) {
	for {
		page, err := r.Entries(ctx, leaderboard.Ref{Board: board}, leaderboard.Range{Limit: guess})
		if err != nil {
			return leaderboard.Page{}, err
		}
		top := page.Board.Top
		if guess < top && guess < page.Total {
			guess = top
			continue
		}
		page.Entries = page.Entries[:min(top, len(page.Entries))]
		return page, nil
	}
}

// encode returns a page as its viewers are sent it. The first seen bytes of the
// table are what a viewer sees; behind them is only the rev.
//
// The order of the fields never changes and all of it is ASCII: a delta between
// two tables is then small, and right even where it is applied by an SDK that cuts
// characters in half.
func encode(page leaderboard.Page) (table []byte, seen int) {
	size := len(`{"leaders":[],"total":,"season":,"rev":}`) + 3*20
	for _, e := range page.Entries {
		size += len(`{"name":"","score":,"data":},`) + 17 + len(e.Member) + len(e.Data)
	}
	dst := make([]byte, 0, size)
	dst = append(dst, `{"leaders":[`...)
	for i, e := range page.Entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = AppendString(dst, e.Member)
		dst = append(dst, `,"score":`...)
		dst = leaderboard.AppendScore(dst, e.Score, page.Board.Decimals)
		if e.Data != nil {
			dst = append(dst, `,"data":`...)
			dst = appendASCII(dst, e.Data, false)
		}
		dst = append(dst, '}')
	}
	dst = append(dst, `],"total":`...)
	dst = strconv.AppendInt(dst, int64(page.Total), 10)
	dst = append(dst, `,"season":`...)
	dst = strconv.AppendInt(dst, int64(page.Season), 10)
	if !page.EndsAt.IsZero() {
		dst = append(dst, `,"ends_at":"`...)
		dst = page.EndsAt.AppendFormat(dst, timeLayout)
		dst = append(dst, '"')
	}
	if page.Closed {
		dst = append(dst, `,"closed":true`...)
	}
	seen = len(dst)
	dst = append(dst, `,"rev":`...)
	dst = strconv.AppendUint(dst, page.Rev, 10)
	return append(dst, '}'), seen
}

// AppendString appends s to dst as a JSON string of ASCII characters.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendASCII(dst, s, true)
	return append(dst, '"')
}

// appendASCII appends text to dst with everything that is not printable ASCII,
// and what could end a script element, as \uXXXX. In JSON such characters stand
// only inside strings, so it does for a whole value what it does for the inside
// of a string; only the latter needs its quotes and backslashes escaped.
func appendASCII[T ~string | ~[]byte](dst []byte, text T, quotes bool) []byte {
	plain := 0 // start of what can be copied as it is
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			dst = append(dst, text[plain:i]...)
			r, size := decodeRune(text[i:])
			if r > 0xFFFF {
				r -= 0x10000
				dst = appendUnit(dst, 0xD800+r>>10)
				r = 0xDC00 + r&0x3FF
			}
			dst = appendUnit(dst, r)
			i += size
			plain = i
			continue
		case quotes && (c == '"' || c == '\\'):
			dst = append(dst, text[plain:i]...)
			dst = append(dst, '\\')
			plain = i
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7F:
			dst = append(dst, text[plain:i]...)
			dst = appendUnit(dst, rune(c))
			plain = i + 1
		}
		i++
	}
	return append(dst, text[plain:]...)
}

func decodeRune[T ~string | ~[]byte](text T) (rune, int) {
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], text)])
}

// appendUnit appends a UTF-16 code unit as \uXXXX.
func appendUnit(dst []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[u>>12&0xF], hex[u>>8&0xF], hex[u>>4&0xF], hex[u&0xF])
}
