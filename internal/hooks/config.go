package hooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SettingError says which setting of a configuration is wrong, and why.
type SettingError struct {
	Setting string // such as hooks[0].url
	Message string // what follows Setting in a sentence
}

func (e *SettingError) Error() string { return e.Setting + " " + e.Message }

// Source reads a secret that a configuration names: setting is secret_file or
// secret_env.
type Source func(setting, name string) (string, error)

// Parse reads a list of hooks as a YAML or JSON decoder makes it. An error about a
// setting is a [*SettingError].
func Parse(value any, secrets Source) ([]Hook, error) {
	items, ok := value.([]any)
	if !ok {
		return nil, &SettingError{Setting: "hooks", Message: "must be a list of hooks"}
	}
	list := make([]Hook, len(items))
	for i, item := range items {
		at := fmt.Sprintf("hooks[%d]", i)
		values, ok := item.(map[string]any)
		if !ok {
			return nil, &SettingError{Setting: at, Message: "must have settings, such as name and url"}
		}
		p := parser{path: at + ".", left: maps.Clone(values)}
		list[i] = p.hook(secrets)
		if err := p.end(); err != nil {
			return nil, err
		}
	}
	return list, Validate(list)
}

// parser reads the settings of a hook. It keeps the first error.
type parser struct {
	path  string
	left  map[string]any
	known []string
	err   error
}

func (p *parser) fail(setting, format string, args ...any) {
	if p.err == nil {
		p.err = &SettingError{Setting: p.path + setting, Message: fmt.Sprintf(format, args...)}
	}
}

func (p *parser) hook(secrets Source) (h Hook) {
	h.Name, h.URL = p.text("name"), p.text("url")
	h.Secrets = p.list("secret")
	for _, setting := range []string{"secret_file", "secret_env"} {
		name := p.text(setting)
		if name == "" || p.err != nil {
			continue
		}
		if h.Secrets != nil {
			p.fail(setting, "is there beside another secret")
			continue
		}
		text, err := secrets(setting, name)
		if err != nil {
			p.fail(setting, "cannot be read: %v", err)
			continue
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				h.Secrets = append(h.Secrets, line)
			}
		}
	}
	for _, kind := range p.list("events") {
		h.Events = append(h.Events, Kind(kind))
	}
	h.Boards = p.list("boards")
	h.Queue, h.Standing = p.number("queue"), p.number("standing")
	return h
}

func (p *parser) take(setting string) (any, bool) {
	p.known = append(p.known, setting)
	value, ok := p.left[setting]
	delete(p.left, setting)
	return value, ok
}

func (p *parser) text(setting string) string {
	value, ok := p.take(setting)
	text, isText := value.(string)
	if ok && !isText {
		p.fail(setting, "must be text")
	}
	return text
}

// list reads a text or a list of texts.
func (p *parser) list(setting string) (list []string) {
	value, ok := p.take(setting)
	if !ok {
		return nil
	}
	items, isList := value.([]any)
	if !isList {
		items = []any{value}
	}
	for _, item := range items {
		text, isText := item.(string)
		if !isText {
			p.fail(setting, "must be text, or a list of texts")
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		p.fail(setting, "is an empty list")
	}
	return list
}

func (p *parser) number(setting string) int {
	value, ok := p.take(setting)
	n, isInt := value.(int)
	if ok && (!isInt || n < 1) {
		p.fail(setting, "must be a whole number of at least 1")
	}
	return n
}

// end refuses what nobody knows.
func (p *parser) end() error {
	if len(p.left) > 0 {
		p.fail(slices.Sorted(maps.Keys(p.left))[0], "is no setting of a hook; those are %s", strings.Join(p.known, ", "))
	}
	return p.err
}
