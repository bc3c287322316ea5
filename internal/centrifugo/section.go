package centrifugo

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// section is a part of a configuration that is being read: a map as a YAML or
// JSON decoder makes it. It keeps the first error. Each setting that was read is
// taken out, so that what is left in the end is what nobody knows.
type section struct {
	path  string // of the section, with a full stop behind it; "" is the whole
	left  map[string]any
	known []string
	err   *error
}

// SettingError says which setting of a configuration is wrong, and why.
type SettingError struct {
	Setting string // with its sections, such as consumers[0].redis_stream.streams
	Message string // what follows Setting in a sentence
}

func (e *SettingError) Error() string { return e.Setting + " " + e.Message }

func newSection(values map[string]any, err *error) *section {
	return &section{left: maps.Clone(values), err: err}
}

// take returns the value of a setting, or false if it is not given.
func (s *section) take(name string) (any, bool) {
	s.known = append(s.known, name)
	value, ok := s.left[name]
	delete(s.left, name)
	return value, ok && value != nil
}

func (s *section) fail(name, format string, args ...any) {
	if *s.err == nil {
		*s.err = &SettingError{Setting: s.path + name, Message: fmt.Sprintf(format, args...)}
	}
}

// end refuses what has not been taken.
func (s *section) end() {
	if *s.err != nil || len(s.left) == 0 {
		return
	}
	name := slices.Sorted(maps.Keys(s.left))[0]
	s.fail(name, "is no setting that Laurel knows; here it knows %s", strings.Join(s.known, ", "))
}

// section returns the section of this name; it is empty if it is not given.
func (s *section) section(name string) *section {
	sub := &section{path: s.path + name + ".", err: s.err}
	value, ok := s.take(name)
	if !ok {
		return sub
	}
	values, ok := value.(map[string]any)
	if !ok {
		s.fail(name, "must be a section with settings in it, not %s", kindOf(value))
	}
	sub.left = maps.Clone(values)
	return sub
}

// sections returns each section of a list.
func (s *section) sections(name string) []*section {
	value, ok := s.take(name)
	if !ok {
		return nil
	}
	values, ok := value.([]any)
	if !ok {
		s.fail(name, "must be a list, not %s", kindOf(value))
	}
	subs := make([]*section, len(values))
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", name, i)
		values, ok := value.(map[string]any)
		if !ok {
			s.fail(at, "must be a section with settings in it, not %s", kindOf(value))
		}
		subs[i] = &section{path: s.path + at + ".", left: maps.Clone(values), err: s.err}
	}
	return subs
}

// text reads a string into to, if it is given.
func (s *section) text(name string, to *string) {
	value, ok := s.take(name)
	if !ok {
		return
	}
	if *to, ok = value.(string); !ok {
		s.fail(name, "must be text, not %s", kindOf(value))
	}
}

// oneOf reads a string that must be one of a few.
func (s *section) oneOf(name string, to *string, allowed ...string) {
	s.text(name, to)
	if *s.err == nil && !slices.Contains(allowed, *to) {
		s.fail(name, "is %q, must be one of %s", *to, strings.Join(allowed, ", "))
	}
}

func (s *section) flag(name string, to *bool) {
	value, ok := s.take(name)
	if !ok {
		return
	}
	if *to, ok = value.(bool); !ok {
		s.fail(name, "must be true or false, not %s", kindOf(value))
	}
}

// number reads a whole number from least to most.
func (s *section) number(name string, to *int, least, most int) {
	value, ok := s.take(name)
	if !ok {
		return
	}
	switch n := value.(type) {
	case int:
		*to = n
	case float64: // as encoding/json has it
		if n != math.Trunc(n) || math.Abs(n) > 1<<31 {
			s.fail(name, "is %v, must be a whole number from %d to %d", n, least, most)
			return
		}
		*to = int(n)
	default:
		s.fail(name, "must be a number, not %s", kindOf(value))
		return
	}
	if *to < least || *to > most {
		s.fail(name, "is %d, must be from %d to %d", *to, least, most)
	}
}

// duration reads a time such as "30s", or 0.
func (s *section) duration(name string, to *time.Duration) {
	value, ok := s.take(name)
	if !ok {
		return
	}
	text, ok := value.(string)
	if !ok && (value == 0 || value == 0.0) {
		text, ok = "0", true
	}
	if !ok {
		s.fail(name, `must be a time such as "30s", not %s`, kindOf(value))
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		s.fail(name, `is %q, must be a time such as "30s"`, text)
	}
	*to = d
}

// texts reads a list of strings. One string stands for a list of its own.
func (s *section) texts(name string, to *[]string) {
	value, ok := s.take(name)
	if !ok {
		return
	}
	switch value := value.(type) {
	case string:
		*to = []string{value}
	case []string:
		*to = slices.Clone(value)
	case []any:
		*to = make([]string, len(value))
		for i, item := range value {
			if (*to)[i], ok = item.(string); !ok {
				s.fail(fmt.Sprintf("%s[%d]", name, i), "must be text, not %s", kindOf(item))
			}
		}
	default:
		s.fail(name, "must be a list, not %s", kindOf(value))
	}
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int, float64:
		return "a number"
	case []any, []string:
		return "a list"
	case map[string]any:
		return "a section"
	}
	return fmt.Sprintf("a %T", value)
}
