package centrifugo

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"
)

// fields makes the fields of an entry out of names and values.
func fields(pairs ...string) []rueidis.XRangeFieldValue {
	var list []rueidis.XRangeFieldValue
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, rueidis.XRangeFieldValue{Field: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// settings returns those of a consumer about which nothing was said.
func settings(tb testing.TB, more ...func(*RedisStreamConfig)) RedisStreamConfig {
	tb.Helper()
	config, err := Parse(map[string]any{"consumers": []any{map[string]any{
		"enabled": true, "name": "c1", "type": "redis_stream",
		"redis_stream": map[string]any{"streams": []any{"s"}, "consumer_group": "g"},
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	c := config.Consumers[0].RedisStream
	for _, change := range more {
		change(&c)
	}
	return c
}

func dataMode(c *RedisStreamConfig) { c.DataMode.Enabled = true }

func TestEntriesAreUnderstood(t *testing.T) {
	table := Publication{Channel: "leaderboard", Data: []byte(`{"leaders":[]}`), Version: 7, VersionEpoch: "1764000000"}
	for name, test := range map[string]struct {
		entry  []rueidis.XRangeFieldValue
		change func(*RedisStreamConfig)
		want   command
	}{
		"publish": {
			entry: fields("method", "publish", "payload", `{"channel":"leaderboard","data":{"leaders":[]},"version":7,"version_epoch":"1764000000"}`),
			want:  command{method: publish, publications: []Publication{table}},
		},
		"publish with everything": {
			entry: fields("method", "publish", "payload",
				`{"channel":"a","data":[1],"skip_history":true,"tags":{"k":"v"},"idempotency_key":"i","delta":true,"version":9007199254740991,"version_epoch":"e"}`),
			want: command{method: publish, publications: []Publication{{
				Channel: "a", Data: []byte("[1]"), SkipHistory: true, Tags: map[string]string{"k": "v"}, IdempotencyKey: "i", Delta: true,
				Version: 1<<53 - 1, VersionEpoch: "e",
			}}},
		},
		"fields in another order, and others": {
			entry: fields("x", "1", "payload", `{"channel":"a","data":null,"unheard_of":[{}]}`, "method", "publish"),
			want:  command{method: publish, publications: []Publication{{Channel: "a", Data: []byte("null")}}},
		},
		"line ends in the data": {
			entry: fields("method", "publish", "payload", "{\"channel\":\"a\",\"data\":{\n\t\"x\": \"a\\nb\",\r\n\"y\":2}}"),
			want:  command{method: publish, publications: []Publication{{Channel: "a", Data: []byte(`{"x":"a\nb","y":2}`)}}},
		},
		"text that is not ASCII": {
			entry: fields("method", "publish", "payload", `{"channel":"täfel","data":"Ålesund 🏆"}`),
			want:  command{method: publish, publications: []Publication{{Channel: "täfel", Data: []byte(`"Ålesund 🏆"`)}}},
		},
		"base64": {
			entry: fields("method", "publish", "payload", `{"channel":"a","b64data":"eyJ4IjogMX0="}`),
			want:  command{method: publish, publications: []Publication{{Channel: "a", Data: []byte(`{"x":1}`)}}},
		},
		"broadcast": {
			entry: fields("method", "broadcast", "payload", `{"channels":["a","b","a"],"data":{},"version":2}`),
			want: command{method: broadcast, publications: []Publication{
				{Channel: "a", Data: []byte("{}"), Version: 2}, {Channel: "b", Data: []byte("{}"), Version: 2},
			}},
		},
		"the method in the payload": {
			entry: fields("payload", `{"method":"publish","payload":{"channel":"a","data":1}}`),
			want:  command{method: publish, publications: []Publication{{Channel: "a", Data: []byte("1")}}},
		},
		"the method in the payload, and that in a string": {
			entry: fields("payload", `{"method":"publish","payload":"{\"channel\":\"a\",\"data\":1}"}`),
			want:  command{method: publish, publications: []Publication{{Channel: "a", Data: []byte("1")}}},
		},
		"submit": {
			entry: fields("method", "submit", "payload", `{"board":"b"}`),
			want:  command{method: submit, payload: []byte(`{"board":"b"}`)},
		},
		"a field twice": {
			entry: fields("method", "submit", "payload", "1", "payload", "2"),
			want:  command{method: submit, payload: []byte("2")},
		},
		"other names": {
			entry: fields("m", "submit", "p", "1"),
			change: func(c *RedisStreamConfig) {
				c.MethodValue, c.PayloadValue = "m", "p"
			},
			want: command{method: submit, payload: []byte("1")},
		},
		"data mode": {
			entry: fields("payload", `{"x":1}`, "centrifugo-channels", "a,b", "centrifugo-version", "12", "centrifugo-version-epoch", "e",
				"centrifugo-delta", "true", "centrifugo-idempotency-key", "i", "centrifugo-tag-k", "v"),
			change: dataMode,
			want: command{method: broadcast, publications: []Publication{
				{Channel: "a", Data: []byte(`{"x":1}`), Version: 12, VersionEpoch: "e", Delta: true, IdempotencyKey: "i", Tags: map[string]string{"k": "v"}},
				{Channel: "b", Data: []byte(`{"x":1}`), Version: 12, VersionEpoch: "e", Delta: true, IdempotencyKey: "i", Tags: map[string]string{"k": "v"}},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := settings(t)
			if test.change != nil {
				test.change(&c)
			}
			got, err := c.decode(test.entry)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(command{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// poisons are entries of which nothing can be made.
var poisons = []struct {
	name   string
	entry  []rueidis.XRangeFieldValue
	kind   kind
	reason string // a part of it
}{
	{"no fields", fields(), kindPayload, `no field "payload"`},
	{"no payload", fields("method", "publish"), kindPayload, `no field "payload"`},
	{"empty payload", fields("method", "publish", "payload", ""), kindPayload, "not JSON"},
	{"not JSON", fields("method", "publish", "payload", "channel=a"), kindPayload, "not JSON"},
	{"more than JSON", fields("method", "publish", "payload", `{"channel":"a","data":1} x`), kindPayload, "not JSON"},
	{"a list", fields("method", "publish", "payload", "[]"), kindPayload, "array"},
	{"no channel", fields("method", "publish", "payload", `{"data":1}`), kindPayload, "channel"},
	{"a number for a channel", fields("method", "publish", "payload", `{"channel":1,"data":1}`), kindPayload, "channel in its payload is number"},
	{"no channels", fields("method", "broadcast", "payload", `{"channels":[],"data":1}`), kindPayload, "channel"},
	{"an empty channel", fields("method", "broadcast", "payload", `{"channels":["a",""],"data":1}`), kindPayload, "channel"},
	{"too many channels", fields("method", "broadcast", "payload", `{"channels":["a"`+strings.Repeat(`,"a"`, maxChannels)+`],"data":1}`), kindPayload, "1001 channels"},
	{"no data", fields("method", "publish", "payload", `{"channel":"a"}`), kindPayload, "no data"},
	{"base64 that is none", fields("method", "publish", "payload", `{"channel":"a","b64data":"!"}`), kindPayload, "base64"},
	{"bytes that are not JSON", fields("method", "publish", "payload", `{"channel":"a","b64data":"AAEC"}`), kindPayload, "not JSON"},
	{"a version in a string", fields("method", "publish", "payload", `{"channel":"a","data":1,"version":"7"}`), kindPayload, "version"},
	{"a version as Lua writes large ones", fields("method", "publish", "payload", `{"channel":"a","data":1,"version":1e+14}`), kindPayload, "version"},
	{"a version below zero", fields("method", "publish", "payload", `{"channel":"a","data":1,"version":-1}`), kindPayload, "version"},
	{"a version that is not exact", fields("method", "publish", "payload", `{"channel":"a","data":1,"version":9007199254740992}`), kindPayload, "9007199254740992"},
	{"nested without end", fields("method", "publish", "payload", `{"channel":"a","data":`+strings.Repeat("[", 20_000)), kindPayload, "not JSON"},
	{"large", fields("method", "publish", "payload", `{"channel":"a","data":"`+strings.Repeat("x", maxPayload)+`"}`), kindPayload, "at most 1048576"},
	{"a method of Centrifugo", fields("method", "disconnect", "payload", `{"user":"1"}`), kindMethod, `method "disconnect" of Centrifugo`},
	{"an unknown method", fields("method", "explode", "payload", `{}`), kindMethod, `no method "explode"`},
	{"a method with capital letters", fields("method", "Publish", "payload", `{}`), kindMethod, `no method "Publish"`},
	{"no method", fields("payload", `{}`), kindMethod, "neither beside nor in"},
	{"no method, and no object", fields("payload", `1`), kindPayload, "number"},
	{"half of an envelope", fields("payload", `{"method":"publish"}`), kindPayload, "not JSON"},
	{"an envelope in an envelope", fields("payload", `{"method":"publish","payload":"\"{}\""}`), kindPayload, "string"},
}

func TestPoisonIsRecognized(t *testing.T) {
	c := settings(t)
	for _, test := range poisons {
		t.Run(test.name, func(t *testing.T) {
			expectPoison(t, &c, test.entry, test.kind, test.reason)
		})
	}
	c.DataMode.Enabled = true
	for name, entry := range map[string][]rueidis.XRangeFieldValue{
		"channel":                 fields("payload", "1"),
		"centrifugo-version is":   fields("payload", "1", "centrifugo-channels", "a", "centrifugo-version", "x"),
		"centrifugo-delta is":     fields("payload", "1", "centrifugo-channels", "a", "centrifugo-delta", "perhaps"),
		"its data is not JSON":    fields("payload", "{", "centrifugo-channels", "a"),
		"above 9007199254740991 ": fields("payload", "1", "centrifugo-channels", "a", "centrifugo-version", "18446744073709551615"),
	} {
		t.Run("data mode: "+name, func(t *testing.T) {
			expectPoison(t, &c, entry, kindPayload, name)
		})
	}
}

func expectPoison(t *testing.T, c *RedisStreamConfig, entry []rueidis.XRangeFieldValue, kind kind, reason string) {
	t.Helper()
	got, err := c.decode(entry)
	bad, ok := errors.AsType[*poison](err)
	if !ok {
		t.Fatalf("decode = %+v, %v, want poison", got, err)
	}
	if bad.kind != kind || !strings.Contains(bad.Error(), reason) {
		t.Errorf("%s: %v, want %s: …%s…", bad.kind, bad, kind, reason)
	}
	if len(bad.Error()) > 500 {
		t.Errorf("the reason has %d bytes", len(bad.Error()))
	}
}

// FuzzDecode holds the decoder to it that whatever stands in an entry is either
// understood, as JSON in one line for at least one channel, or poison.
func FuzzDecode(f *testing.F) {
	for _, p := range poisons {
		if len(p.entry) == 2 && len(p.entry[1].Value) < 1000 {
			f.Add(p.entry[0].Value, p.entry[1].Value, false)
		}
	}
	f.Add("publish", `{"channel":"leaderboard","data":{"leaders":[{"name":"Alice","score":1}]},"version":7,"version_epoch":"1764000000"}`, false)
	f.Add("", `{"method":"broadcast","payload":"{\"channels\":[\"a\",\"b\"],\"b64data\":\"MQ==\"}"}`, false)
	f.Add("a,b", `{"leaders":[]}`, true)
	f.Fuzz(func(t *testing.T, first, payload string, mode bool) {
		c := settings(t)
		c.DataMode.Enabled = mode
		entry := fields("payload", payload)
		switch {
		case mode:
			entry = append(entry, fields("centrifugo-channels", first, "centrifugo-version", "3")...)
		case first != "":
			entry = append(entry, fields("method", first)...)
		}
		got, err := c.decode(entry)
		if err != nil {
			if bad, ok := errors.AsType[*poison](err); !ok || bad.kind == "" || bad.Error() == "" {
				t.Fatalf("%q is refused by %v, which is no poison", payload, err)
			}
			return
		}
		if (got.method == submit) != (len(got.publications) == 0) {
			t.Fatalf("%q asks for %+v", payload, got)
		}
		seen := map[string]bool{}
		for _, p := range got.publications {
			if p.Channel == "" || seen[p.Channel] || p.Version > maxVersion {
				t.Errorf("%q publishes %+v", payload, p)
			}
			seen[p.Channel] = true
			if !json.Valid(p.Data) || strings.ContainsAny(string(p.Data), "\n\r") {
				t.Errorf("%q publishes %q", payload, p.Data)
			}
		}
		if again, err := c.decode(entry); err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
			t.Errorf("%q is understood in two ways", payload)
		}
	})
}
