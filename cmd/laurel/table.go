package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"laurel/client"
)

// draw writes a table for people. Names come last, so that it does not matter
// how wide their letters are.
func draw(out io.Writer, t client.Table, state string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", t.Board)
	if state != "" {
		fmt.Fprintf(&b, "  %s", state)
	}
	fmt.Fprintf(&b, "  %s, rev %d\n", count(t.Total, "member"), t.Rev)
	if len(t.Entries) == 0 {
		b.WriteString("\n  nobody yet\n")
	}
	rankWidth, scoreWidth := len("rank"), len("score")
	for _, e := range t.Entries {
		rankWidth = max(rankWidth, len(strconv.Itoa(e.Rank)))
		scoreWidth = max(scoreWidth, len(e.Score.Fixed(t.Settings.Decimals)))
	}
	if len(t.Entries) > 0 {
		fmt.Fprintf(&b, "\n  %*s  %*s  member\n", rankWidth, "rank", scoreWidth, "score")
	}
	for _, e := range t.Entries {
		fmt.Fprintf(&b, "  %*d  %*s  %s\n", rankWidth, e.Rank, scoreWidth, e.Score.Fixed(t.Settings.Decimals), displayName(e))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// displayName is what the entry's data calls the member, if anything.
func displayName(e client.Entry) string {
	var data struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(e.Data, &data) // data that has another name or none is no error
	return cmp.Or(printable(data.Name), printable(e.Member))
}

// printable leaves out what would do something to a terminal rather than show.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
}

// count writes 12345 members as 12,345 members.
func count(n int, of string) string {
	if n != 1 {
		of += "s"
	}
	return grouped(n) + " " + of
}

func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
