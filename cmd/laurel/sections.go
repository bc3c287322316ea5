package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"laurel/internal/centrifugo"
	"laurel/internal/hooks"
	"laurel/internal/realtime"
)

// sectionNames are the keys of a configuration file that are sections with
// settings of their own. They have no other place: hooks are lists, and the others are
// Centrifugo's, and what one would copy from its configuration is not options.
var sectionNames = []string{"centrifugo", "channel", "client", "consumers", "hooks"}

// sections are those of a configuration file.
type sections struct {
	path string     // of the file
	root *yaml.Node // the mapping that is the file, or nil
}

func (s sections) has(name string) bool {
	key, _ := lookUp(s.root, name)
	return key != nil
}

// streams returns what the file says about channels and consumers, or nil if it
// says nothing.
func (s sections) streams() (*centrifugo.Config, error) {
	values := map[string]any{}
	for _, name := range []string{"client", "channel", "consumers"} {
		if !s.has(name) {
			continue
		}
		var err error
		if values[name], err = s.value(name); err != nil {
			return nil, err
		}
	}
	if len(values) == 0 {
		return nil, nil
	}
	config, err := centrifugo.Parse(values)
	if err == nil {
		if wrong := realtime.CheckOrigins(config.Client.AllowedOrigins); wrong != nil {
			err = &centrifugo.SettingError{Setting: "client.allowed_origins", Message: "cannot be used: " + wrong.Error()}
		}
	}
	if err != nil {
		return nil, s.locate("", err)
	}
	return &config, nil
}

// publisher returns how to reach the viewers of a Centrifugo. A section that is
// not there has the defaults.
func (s sections) publisher() (*centrifugo.PublisherOptions, error) {
	const name = "centrifugo"
	value, err := s.value(name)
	if err != nil {
		return nil, err
	}
	values, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, s.locate("", &centrifugo.SettingError{Setting: name, Message: "must be a section with settings in it"})
	}
	opts, err := centrifugo.ParsePublisher(values)
	if err != nil {
		return nil, s.locate(name+".", err)
	}
	return &opts, nil
}

// hooks returns those that the file lists.
func (s sections) hooks() ([]hooks.Hook, error) {
	const name = "hooks"
	if !s.has(name) {
		return nil, nil
	}
	value, err := s.value(name)
	if err != nil {
		return nil, err
	}
	list, err := hooks.Parse(value, readSecret)
	if wrong, ok := errors.AsType[*hooks.SettingError](err); ok {
		place := s.path
		if line := lineOf(s.root, wrong.Setting); line > 0 {
			place = fmt.Sprintf("%s:%d", s.path, line)
		}
		return nil, usage(place+": "+wrong.Error(), "docs/hooks.md lists what a hook may have")
	}
	return list, err
}

// readSecret reads the secret of a hook from a file or the environment.
func readSecret(setting, name string) (string, error) {
	if setting == "secret_file" {
		text, err := os.ReadFile(name)
		return string(text), err
	}
	text, ok := os.LookupEnv(name)
	if !ok {
		return "", fmt.Errorf("the environment has no %s", name)
	}
	return text, nil
}

// value returns a section as plain maps, lists and values, or nil.
func (s sections) value(name string) (value any, err error) {
	_, node := lookUp(s.root, name)
	if node == nil {
		return nil, nil
	}
	err = node.Decode(&value)
	if several, ok := errors.AsType[*yaml.TypeError](err); ok {
		err = errors.New(several.Errors[0])
	}
	if err != nil {
		return nil, usage(fmt.Sprintf("configuration %s: %s: %v", s.path, name, err), "")
	}
	return value, nil
}

// locate says where in the file a setting is wrong. The section is what stands
// before the setting's name there.
func (s sections) locate(section string, err error) error {
	place, message := s.path, err.Error()
	if wrong, ok := errors.AsType[*centrifugo.SettingError](err); ok {
		if line := lineOf(s.root, section+wrong.Setting); line > 0 {
			place = fmt.Sprintf("%s:%d", s.path, line)
		}
	}
	return usage(place+": "+section+message, "docs/centrifugo.md lists what these sections may have")
}

// lineOf returns the line of a setting such as consumers[0].name, or of the
// innermost section around it that there is.
func lineOf(node *yaml.Node, setting string) (line int) {
	for part := range strings.SplitSeq(setting, ".") {
		name, index, inList := strings.Cut(part, "[")
		key, value := lookUp(node, name)
		if key == nil {
			break
		}
		line, node = key.Line, value
		if !inList {
			continue
		}
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || i >= len(node.Content) {
			break
		}
		node = node.Content[i]
		line = node.Line
	}
	return line
}

// lookUp returns a key of a mapping and its value, or nil if there is none.
func lookUp(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for pair := range slices.Chunk(node.Content, 2) {
		if pair[0].Value != name {
			continue
		}
		if value = pair[1]; value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		return pair[0], value
	}
	return nil, nil
}
