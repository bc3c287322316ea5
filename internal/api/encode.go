package api

import (
	"strconv"
	"time"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD, and
// the two line separators that JavaScript once tripped over are escaped.
func appendString(to []byte, s string) []byte {
	to = append(to, '"')
	plain := 0 // s from here is to be copied as it is
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		var escape string
		switch {
		case c == '"':
			escape = `\"`
		case c == '\\':
			escape = `\\`
		case c == '\n':
			escape = `\n`
		case c == '\r':
			escape = `\r`
		case c == '\t':
			escape = `\t`
		case c == '\b':
			escape = `\b`
		case c == '\f':
			escape = `\f`
		case c < ' ':
			escape = string([]byte{'\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15]})
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				escape = `\ufffd`
			case r == '\u2028':
				escape = `\u2028`
			case r == '\u2029':
				escape = `\u2029`
			default:
				i += size
				continue
			}
		}
		to = append(to, s[plain:i]...)
		to = append(to, escape...)
		i += size
		plain = i
	}
	to = append(to, s[plain:]...)
	return append(to, '"')
}

// timeLayout is RFC 3339 with milliseconds, always three digits of them.
const timeLayout = "2006-01-02T15:04:05.000Z"

func appendTime(to []byte, t time.Time) []byte {
	to = append(to, '"')
	to = t.UTC().AppendFormat(to, timeLayout)
	return append(to, '"')
}

func appendField(to []byte, name string) []byte {
	if last := to[len(to)-1]; last != '{' && last != ',' {
		to = append(to, ',')
	}
	to = append(to, '"')
	to = append(to, name...)
	return append(to, '"', ':')
}

func appendText(to []byte, name, value string) []byte {
	return appendString(appendField(to, name), value)
}

func appendInt(to []byte, name string, value int) []byte {
	return strconv.AppendInt(appendField(to, name), int64(value), 10)
}
