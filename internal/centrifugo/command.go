package centrifugo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
)

// Publication is what a command publishes to one channel.
type Publication struct {
	Channel      string
	Data         []byte // JSON without line ends
	Version      uint64 // of the state that Data is; 0: it has none
	VersionEpoch string // versions of different epochs are not compared; "" compares with all
	Delta        bool   // viewers who asked for deltas may be sent one

	SkipHistory    bool // it is not kept for those who come later
	IdempotencyKey string
	Tags           map[string]string
}

// command is what an entry asks for: either publications or a submission.
type command struct {
	method       method
	publications []Publication // that differ by channel only, and are not done yet
	refused      []error       // what the rules said to those that were tried
	payload      []byte        // of a submission
}

type method string

const (
	publish   method = "publish"
	broadcast method = "broadcast"
	submit    method = "submit"
)

// methodsElsewhere are those that Centrifugo takes and we do not.
var methodsElsewhere = []string{"subscribe", "unsubscribe", "disconnect", "history_remove", "refresh"}

const (
	maxPayload  = 1 << 20 // bytes: as much as may wait for a slow viewer before it is given up
	maxChannels = 1000    // of one command
	maxVersion  = 1<<53 - 1
)

// kind is a kind of entry that nothing can be done with, for a label.
type kind string

const (
	kindPayload kind = "payload" // it cannot be read
	kindMethod  kind = "method"  // nobody knows what it asks for
	kindRefused kind = "refused" // it can be read, and the rules do not allow it
	kindPanic   kind = "panic"   // our own fault
)

// poison says why nothing can be done with an entry, now or later.
type poison struct {
	kind kind
	err  error
}

func (p *poison) Error() string { return p.err.Error() }
func (p *poison) Unwrap() error { return p.err }

func unreadable(format string, args ...any) error {
	return &poison{kindPayload, fmt.Errorf(format, args...)}
}

// decode reads a command out of the fields of an entry.
func (c *RedisStreamConfig) decode(fields []rueidis.XRangeFieldValue) (command, error) {
	payload, ok := fieldOf(fields, c.PayloadValue)
	switch {
	case !ok:
		return command{}, unreadable("it has no field %q", c.PayloadValue)
	case len(payload) > maxPayload:
		return command{}, unreadable("its payload is %d bytes, at most %d are taken", len(payload), maxPayload)
	case c.DataMode.Enabled:
		return c.DataMode.decode(fields, payload)
	}
	name := ""
	if c.MethodValue != "" {
		name, _ = fieldOf(fields, c.MethodValue)
	}
	if name == "" {
		return decodeEnvelope(payload)
	}
	return decodeMethod(name, []byte(payload))
}

// fieldOf returns the value of a field; of several, the last one's.
func fieldOf(fields []rueidis.XRangeFieldValue, name string) (string, bool) {
	for _, field := range slices.Backward(fields) {
		if field.Field == name {
			return field.Value, true
		}
	}
	return "", false
}

// decodeEnvelope reads a payload that has the method in it, which an entry may
// have in place of a field of that name.
func decodeEnvelope(payload string) (command, error) {
	var envelope struct {
		Method  string
		Payload json.RawMessage
	}
	if err := unmarshal([]byte(payload), &envelope); err != nil {
		return command{}, err
	}
	if envelope.Method == "" {
		return command{}, &poison{kindMethod, errors.New("it has a method neither beside nor in its payload")}
	}
	inner := envelope.Payload
	if len(inner) > 0 && inner[0] == '"' { // JSON in a string, as some producers have it
		var text string
		if err := unmarshal(inner, &text); err != nil {
			return command{}, err
		}
		inner = []byte(text)
	}
	return decodeMethod(envelope.Method, inner)
}

func decodeMethod(name string, payload []byte) (command, error) {
	switch m := method(name); m {
	case publish, broadcast:
		return decodePublish(m, payload)
	case submit:
		return command{method: submit, payload: payload}, nil
	}
	if slices.Contains(methodsElsewhere, name) {
		return command{}, &poison{kindMethod, fmt.Errorf("the method %q of Centrifugo is not one of Laurel's; known are publish, broadcast and submit", name)}
	}
	return command{}, &poison{kindMethod, fmt.Errorf("there is no method %q; known are publish, broadcast and submit", clip(name))}
}

// publishPayload is the payload of publish and broadcast. Fields that it does not
// have are left aside, as Centrifugo does.
type publishPayload struct {
	Channel        string            `json:"channel"`
	Channels       []string          `json:"channels"`
	Data           json.RawMessage   `json:"data"`
	B64Data        string            `json:"b64data"`
	SkipHistory    bool              `json:"skip_history"`
	Tags           map[string]string `json:"tags"`
	IdempotencyKey string            `json:"idempotency_key"`
	Delta          bool              `json:"delta"`
	Version        uint64            `json:"version"`
	VersionEpoch   string            `json:"version_epoch"`
}

func decodePublish(m method, payload []byte) (command, error) {
	var p publishPayload
	if err := unmarshal(payload, &p); err != nil {
		return command{}, err
	}
	if m == publish {
		p.Channels = []string{p.Channel}
	}
	if p.B64Data != "" {
		data, err := base64.StdEncoding.DecodeString(p.B64Data)
		if err != nil {
			return command{}, unreadable("b64data is not base64: %w", err)
		}
		p.Data = data
	}
	return newPublish(m, p.Channels, Publication{
		Data:           p.Data,
		Version:        p.Version,
		VersionEpoch:   p.VersionEpoch,
		Delta:          p.Delta,
		SkipHistory:    p.SkipHistory,
		IdempotencyKey: p.IdempotencyKey,
		Tags:           p.Tags,
	})
}

// decode reads an entry whose payload is what is published.
func (mode *DataMode) decode(fields []rueidis.XRangeFieldValue, payload string) (command, error) {
	p := Publication{Data: []byte(payload)}
	get := func(name string) string {
		if name == "" {
			return ""
		}
		value, _ := fieldOf(fields, name)
		return value
	}
	p.IdempotencyKey = get(mode.IdempotencyKeyValue)
	p.VersionEpoch = get(mode.VersionEpochValue)
	if delta := get(mode.DeltaValue); delta != "" {
		var err error
		if p.Delta, err = strconv.ParseBool(delta); err != nil {
			return command{}, unreadable("%s is %q, must be true or false", mode.DeltaValue, clip(delta))
		}
	}
	if version := get(mode.VersionValue); version != "" {
		var err error
		if p.Version, err = strconv.ParseUint(version, 10, 64); err != nil {
			return command{}, unreadable("%s is %q, must be a whole number", mode.VersionValue, clip(version))
		}
	}
	if mode.TagsValuePrefix != "" {
		for _, field := range fields {
			if tag, ok := strings.CutPrefix(field.Field, mode.TagsValuePrefix); ok {
				if p.Tags == nil {
					p.Tags = map[string]string{}
				}
				p.Tags[tag] = field.Value
			}
		}
	}
	channels := strings.Split(get(mode.ChannelsValue), ",")
	if len(channels) == 1 {
		return newPublish(publish, channels, p)
	}
	return newPublish(broadcast, channels, p)
}

// newPublish returns the command to publish p to each of channels.
func newPublish(m method, channels []string, p Publication) (command, error) {
	switch {
	case len(channels) == 0 || slices.Contains(channels, ""):
		return command{}, unreadable("it does not say to which channel")
	case len(channels) > maxChannels:
		return command{}, unreadable("it is for %d channels, at most %d are taken", len(channels), maxChannels)
	case len(p.Data) == 0:
		return command{}, unreadable("it has no data")
	case p.Version > maxVersion:
		return command{}, unreadable("its version is %d; above %d versions are not exact in Redis", p.Version, uint64(maxVersion))
	}
	// The connections of viewers have a line for each message.
	var compact bytes.Buffer
	compact.Grow(len(p.Data))
	if err := json.Compact(&compact, p.Data); err != nil {
		return command{}, unreadable("its data is not JSON: %w", err)
	}
	p.Data = compact.Bytes()
	c := command{method: m}
	for i, channel := range channels {
		if slices.Contains(channels[:i], channel) {
			continue
		}
		p.Channel = channel
		c.publications = append(c.publications, p)
	}
	return c, nil
}

func unmarshal(text []byte, to any) error {
	err := json.Unmarshal(text, to)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return unreadable("%s in its payload is %s, which it must not be", wrong.Field, wrong.Value)
	}
	if err != nil {
		return unreadable("its payload is not JSON: %w", err)
	}
	return nil
}

// judge returns what an error of the one who carries a command out means for its
// entry: a [poison] if there is no use in trying again, and otherwise err.
//
// What the rules say has a code, and will be the same tomorrow. Everything else
// is taken for trouble that passes: an entry must not be lost because we do not
// know what happened.
func judge(err error) error {
	switch leaderboard.CodeOf(err) {
	case "", leaderboard.CodeStorageUnavailable, leaderboard.CodeShuttingDown:
		return err
	}
	return &poison{kindRefused, err}
}

// clip shortens what was written by others, for a message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
