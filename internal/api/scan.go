package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"laurel/internal/leaderboard"
)

// maxDepth is how deep values may be nested; an entry's data cannot be deeper
// in the space that it has.
const maxDepth = leaderboard.MaxData / 2

// scanner reads one JSON text, strictly: it knows the fields it is asked for,
// refuses others, doubles and anything behind the end, and tells which field is
// wrong. It keeps the first error and from then on reads nothing.
//
// What it returns does not share memory with the text, except where it says so.
type scanner struct {
	text  []byte
	at    int
	depth int
	err   error
	noun  string // what the text is called in errors; "" is body
}

// called returns what the text is called.
func (s *scanner) called() string {
	if s.noun == "" {
		return "body"
	}
	return s.noun
}

// object is a JSON object that is being read, field by field:
//
//	for o := s.object(names); o.next(s); {
//		switch o.name {
//
// Each turn of the loop must read the value of the field.
type object struct {
	names []string // the fields that it may have
	name  string   // the field that next has come to
	seen  uint32   // bit i: names[i] was there
	begun bool
	whole bool // behind it the text must end
}

// object begins to read an object; where names the field that it is the value
// of, or is empty for the whole text.
func (s *scanner) object(where string, names []string) object {
	if s.kind() != '{' {
		s.wrongType(where, "an object")
		return object{}
	}
	s.at++
	return object{names: names, whole: where == ""}
}

// next comes to the next field. It returns false behind the last, or when an
// error has been found.
func (o *object) next(s *scanner) bool {
	name, ok := s.field(&o.begun)
	if !ok {
		if o.whole {
			s.end()
		}
		return false
	}
	for i, known := range o.names {
		if string(name) != known {
			continue
		}
		if o.seen&(1<<i) != 0 {
			s.fail(known, leaderboard.Errorf(codeInvalidJSON, "field %q is there twice", known))
			return false
		}
		o.seen |= 1 << i
		o.name = known
		return true
	}
	s.fail(clip(string(name)), leaderboard.Errorf(codeUnknownField, "there is no field %q here; known are %s", clip(string(name)), strings.Join(o.names, ", ")))
	return false
}

// has reports whether the object had the field.
func (o *object) has(name string) bool {
	for i, known := range o.names {
		if known == name {
			return o.seen&(1<<i) != 0
		}
	}
	return false
}

// array begins to read an array, and element comes to each of its elements:
//
//	s.array("submissions")
//	for begun := false; s.element(&begun); {
func (s *scanner) array(where string) {
	if s.kind() != '[' {
		s.wrongType(where, "an array")
		return
	}
	s.at++
}

func (s *scanner) element(begun *bool) bool {
	c := s.peek()
	switch {
	case s.err != nil:
		return false
	case c == ']':
		s.at++
		return false
	case !*begun:
		*begun = true
		return true
	case c != ',':
		s.syntax()
		return false
	}
	s.at++
	if s.peek() == ']' {
		s.syntax()
		return false
	}
	return true
}

// end says that the text must end here.
func (s *scanner) end() {
	if s.peek(); s.err == nil && s.at < len(s.text) {
		s.err = leaderboard.Errorf(codeInvalidJSON, "the %s goes on behind the end of its JSON value, at byte %d", s.called(), s.at+1)
	}
}

// string reads a string.
func (s *scanner) string(where string) string {
	if s.kind() != '"' {
		s.wrongType(where, "a string")
		return ""
	}
	return string(s.quoted())
}

// integer reads a whole number. One that is too large for an int becomes the
// largest, so that whoever knows the range can refuse it.
func (s *scanner) integer(where string) int {
	if s.kind() != '0' {
		s.wrongType(where, "a whole number")
		return 0
	}
	number := string(s.number())
	n, err := strconv.Atoi(number)
	switch {
	case s.err != nil:
		return 0
	case errors.Is(err, strconv.ErrRange) && number[0] == '-':
		return math.MinInt
	case errors.Is(err, strconv.ErrRange):
		return math.MaxInt
	case err != nil:
		s.fail(where, leaderboard.Errorf(codeInvalidJSON, "%s is %s, must be a whole number", where, clip(number)))
	}
	return n
}

// score reads a number, digit by digit.
func (s *scanner) score(where string) leaderboard.Decimal {
	switch kind := s.kind(); kind {
	case '0':
	case 0:
		s.syntax()
	case '"':
		s.fail(where, leaderboard.Errorf(leaderboard.CodeInvalidScore, "%s must be a JSON number, not a string: leave out the quotation marks", where))
	default:
		s.fail(where, leaderboard.Errorf(leaderboard.CodeInvalidScore, "%s must be a JSON number, not %s", where, kindName(kind)))
	}
	number := s.number()
	if s.err != nil {
		return leaderboard.Decimal{}
	}
	score, err := leaderboard.ParseDecimal(string(number))
	if err != nil {
		s.fail(where, err)
	}
	return score
}

// raw reads any value. It shares memory with the text.
func (s *scanner) raw() json.RawMessage {
	s.peek()
	start := s.at
	s.value()
	if s.err != nil {
		return nil
	}
	return s.text[start:s.at:s.at]
}

// value reads past a value of any kind.
func (s *scanner) value() {
	if s.depth++; s.depth > maxDepth && s.err == nil {
		s.err = leaderboard.Errorf(codeInvalidJSON, "the %s is nested more than %d deep", s.called(), maxDepth)
	}
	defer func() { s.depth-- }()
	switch s.kind() {
	case '{':
		s.at++
		for begun := false; ; {
			if _, ok := s.field(&begun); !ok {
				break
			}
			s.value()
		}
	case '[':
		s.at++
		for begun := false; s.element(&begun); {
			s.value()
		}
	case '"':
		s.quoted()
	case '0':
		s.number()
	case 't', 'n':
		s.at += len("true")
	case 'f':
		s.at += len("false")
	default:
		s.syntax()
	}
}

// field comes to the value of the next field of an object and returns its name,
// which may share memory with the text. It returns false behind the last one.
func (s *scanner) field(begun *bool) (name []byte, ok bool) {
	c := s.peek()
	switch {
	case c == '}':
		s.at++
		return nil, false
	case *begun && c == ',':
		s.at++
		c = s.peek()
	case *begun:
		s.syntax()
	}
	*begun = true
	if c != '"' {
		s.syntax()
	}
	if s.err != nil {
		return nil, false
	}
	name = s.quoted()
	if s.peek() != ':' {
		s.syntax()
	}
	s.at++
	return name, s.err == nil
}

// peek returns the next byte that is not white space, or 0 at the end.
func (s *scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\n', '\t', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// kind returns the first byte of the next value, with '0' for all numbers, or 0
// if there is none.
func (s *scanner) kind() byte {
	c := s.peek()
	switch c {
	case '{', '[', '"':
		return c
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return '0'
	case 't', 'f', 'n':
		for _, literal := range [...]string{"true", "false", "null"} {
			if string(s.text[s.at:min(s.at+len(literal), len(s.text))]) == literal {
				return c
			}
		}
	}
	return 0
}

func kindName(kind byte) string {
	switch kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	}
	return "true or false"
}

// number reads a number. It shares memory with the text.
func (s *scanner) number() []byte {
	if s.err != nil {
		return nil
	}
	start := s.at
	if s.here() == '-' {
		s.at++
	}
	switch {
	case s.here() == '0':
		s.at++
	case !s.digits():
		s.syntax()
		return nil
	}
	if s.here() == '.' {
		s.at++
		if !s.digits() {
			s.syntax()
			return nil
		}
	}
	if c := s.here(); c == 'e' || c == 'E' {
		s.at++
		if c := s.here(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			s.syntax()
			return nil
		}
	}
	return s.text[start:s.at]
}

func (s *scanner) here() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}

// quoted reads a string, whose first quotation mark is here. What it returns
// may share memory with the text. Bytes that are not UTF-8 stay as they are, for
// whoever knows what the string is to refuse them.
func (s *scanner) quoted() []byte {
	s.at++
	start := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1]
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			s.err = leaderboard.Errorf(codeInvalidJSON, "the %s is not JSON: a control character in a string must be escaped, at byte %d", s.called(), s.at+1)
			return nil
		}
		s.at++
	}
	s.syntax()
	return nil
}

// escaped reads on in a string that has begun at start, from its first backslash.
func (s *scanner) escaped(start int) []byte {
	text := append([]byte(nil), s.text[start:s.at]...)
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == '"':
			s.at++
			return text
		case c < ' ':
			s.err = leaderboard.Errorf(codeInvalidJSON, "the %s is not JSON: a control character in a string must be escaped, at byte %d", s.called(), s.at+1)
			return nil
		case c != '\\':
			s.at++
			text = append(text, c)
			continue
		}
		s.at++
		switch c := s.here(); c {
		case '"', '\\', '/':
			text = append(text, c)
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r := s.hex4()
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if s.at+2 < len(s.text) && s.text[s.at+1] == '\\' && s.text[s.at+2] == 'u' {
					s.at += 2
					low = s.hex4()
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError && s.err == nil {
					s.err = leaderboard.Errorf(codeInvalidJSON, `the %s is not JSON in UTF-8: half of a surrogate pair stands alone, at byte %d`, s.called(), s.at+1)
				}
			}
			if s.err != nil {
				return nil
			}
			text = utf8.AppendRune(text, r)
		default:
			s.syntax()
			return nil
		}
		s.at++
	}
	s.syntax()
	return nil
}

// hex4 reads the four digits behind the u that is here, up to the last of them.
func (s *scanner) hex4() rune {
	if s.at+4 >= len(s.text) {
		s.at = len(s.text)
		s.syntax()
		return -1
	}
	n, err := strconv.ParseUint(string(s.text[s.at+1:s.at+5]), 16, 16)
	if err != nil {
		s.syntax()
		return -1
	}
	s.at += 4
	return rune(n)
}

// syntax says that what is here does not belong here.
func (s *scanner) syntax() {
	switch {
	case s.err != nil:
	case len(s.text) == 0:
		s.err = leaderboard.Errorf(codeInvalidJSON, "the %s is empty, it must be JSON", s.called())
	case s.at >= len(s.text):
		s.err = leaderboard.Errorf(codeInvalidJSON, "the %s is not JSON: it ends too early", s.called())
	default:
		r, _ := utf8.DecodeRune(s.text[s.at:])
		s.err = leaderboard.Errorf(codeInvalidJSON, "the %s is not JSON: unexpected %q at byte %d", s.called(), r, s.at+1)
	}
}

// wrongType says that the value here is not what the field needs.
func (s *scanner) wrongType(where, needed string) {
	kind := s.kind()
	if kind == 0 {
		s.syntax()
		return
	}
	if where == "" {
		s.fail("", leaderboard.Errorf(codeInvalidJSON, "the %s must be %s, not %s", s.called(), needed, kindName(kind)))
		return
	}
	s.fail(where, leaderboard.Errorf(codeInvalidJSON, "%s must be %s, not %s", where, needed, kindName(kind)))
}

// missing says that a field is needed that was not there.
func (s *scanner) missing(where string, code leaderboard.Code) {
	s.fail(where, leaderboard.Errorf(code, "%s is missing", where))
}

func (s *scanner) fail(where string, err error) {
	if s.err == nil {
		s.err = &inputError{Field: where, Index: -1, Err: err}
	}
}

// inputError says where in a request's body an error lies.
type inputError struct {
	Field  string
	Index  int    // in submissions; -1: there are none
	Member string // whose submission it is, if that is known
	Err    error
}

func (e *inputError) Error() string {
	if e.Index >= 0 {
		return fmt.Sprintf("submissions[%d]: %v", e.Index, e.Err)
	}
	return e.Err.Error()
}

func (e *inputError) Unwrap() error { return e.Err }

// fieldsOf returns the names of T's fields in JSON, in their order: what a body
// of the type may have.
func fieldsOf[T any]() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if field.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// clip shortens what was sent, for a message.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
