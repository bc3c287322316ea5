package centrifugo

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"laurel/internal/redisconn"
)

// tutorial is a configuration for the tutorial's backend and page, with all that
// the tutorial comes to in the end.
const tutorial = `
client:
  insecure: true
  allowed_origins: ["*"]
channel:
  without_namespace:
    history_size: 1
    history_ttl: 24h
    force_recovery: true
    force_recovery_mode: cache
    allowed_delta_types: [fossil]
    delta_publish: true
consumers:
  - enabled: true
    name: leaderboard_redis
    type: redis_stream
    redis_stream:
      address: "redis:6379"
      streams: ["leaderboard-stream"]
      consumer_group: centrifugo
      num_workers: 8
`

func parseYAML(tb testing.TB, text string) (Config, error) {
	tb.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		tb.Fatal(err)
	}
	return Parse(values)
}

func redisConfig(tb testing.TB, url string) redisconn.Config {
	tb.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		tb.Fatal(err)
	}
	return config
}

func TestParseTutorial(t *testing.T) {
	want := Config{
		Client: ClientConfig{Insecure: true, AllowedOrigins: []string{"*"}},
		Channel: ChannelConfig{WithoutNamespace: ChannelOptions{
			HistorySize: 1, HistoryTTL: 24 * time.Hour, HistoryMetaTTL: 720 * time.Hour,
			ForceRecovery: true, ForceRecoveryMode: "cache", AllowedDeltaTypes: []string{"fossil"}, DeltaPublish: true,
		}},
		Consumers: []ConsumerConfig{{Name: "leaderboard_redis", RedisStream: settings(t, func(c *RedisStreamConfig) {
			c.Redis = redisConfig(t, "redis://redis:6379")
			c.Streams = []string{"leaderboard-stream"}
			c.ConsumerGroup = "centrifugo"
			c.NumWorkers = 8
		})}},
	}
	fromYAML, err := parseYAML(t, tutorial)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal([]byte(tutorial), &values); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	values = nil
	if err := json.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	fromJSON, err := Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	compare := cmp.Comparer(func(a, b redisconn.Config) bool { return a.String() == b.String() })
	for from, got := range map[string]Config{"YAML": fromYAML, "JSON": fromJSON} {
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("from %s: %s", from, diff)
		}
	}
}

func TestParseLeavesOutWhatIsNotEnabled(t *testing.T) {
	got, err := parseYAML(t, strings.Replace(tutorial, "enabled: true", "enabled: false", 1))
	if err != nil || len(got.Consumers) != 0 {
		t.Errorf("Parse = %+v, %v, want no consumers", got.Consumers, err)
	}
}

func TestParseDefaults(t *testing.T) {
	got := settings(t)
	if got.Redis.String() != redisConfig(t, "redis://127.0.0.1:6379").String() {
		t.Errorf("redis = %s", got.Redis)
	}
	if got.VisibilityTimeout != 30*time.Second || got.NumWorkers != 1 || got.PayloadValue != "payload" || got.MethodValue != "method" ||
		got.ConnectTimeout != time.Second || got.IOTimeout != 4*time.Second {
		t.Errorf("defaults = %+v", got)
	}
}

func TestParseAddresses(t *testing.T) {
	for setting, want := range map[string]string{
		`address: "redis:6379"`:                                                   "redis://redis:6379",
		`address: ["redis:6379"]`:                                                 "redis://redis:6379",
		`address: "[::1]:6379"`:                                                   "redis://[::1]:6379",
		`address: "redis://u:p@redis:6379/3"`:                                     "redis://u:p@redis:6379/3",
		`address: "tcp://redis:6379"`:                                             "redis://redis:6379",
		`address: "rediss://redis:6380"`:                                          "rediss://redis:6380",
		`{address: "redis:6379", user: u, password: p, db: 2}`:                    "redis://u:p@redis:6379/2",
		`{address: "redis:6379", password: "p@:/"}`:                               "redis://:p%40%3A%2F@redis:6379",
		`address: "redis+sentinel://a:26379?sentinel_master_name=m&addr=b:26379"`: "redis+sentinel://a:26379,b:26379?sentinel_master_name=m",
		`{sentinel_address: ["a:26379,b:26379"], sentinel_master_name: m}`:        "redis+sentinel://a:26379,b:26379?sentinel_master_name=m",
		`{sentinel_address: "a:1", sentinel_master_name: m, sentinel_user: su, sentinel_password: sp}`: "redis+sentinel://a:1?sentinel_master_name=m&sentinel_user=su&sentinel_password=sp",
		`address: "redis://a:26379?sentinel_master_name=m"`:                                            "redis+sentinel://a:26379?sentinel_master_name=m",
		`address: "redis+cluster://a:7000?addr=b:7000"`:                                                "redis+cluster://a:7000,b:7000",
		`cluster_address: "a:7000,b:7000"`:                                                             "redis+cluster://a:7000,b:7000",
	} {
		t.Run(setting, func(t *testing.T) {
			got, err := parseYAML(t, withRedis(setting))
			if err != nil {
				t.Fatal(err)
			}
			gotOptions, wantOptions := got.Consumers[0].RedisStream.Redis, redisConfig(t, want)
			a, b := gotOptions.Options(), wantOptions.Options()
			if diff := cmp.Diff([]any{b.InitAddress, b.Username, b.Password, b.SelectDB, b.Sentinel.MasterSet, b.Sentinel.Password, b.TLSConfig != nil},
				[]any{a.InitAddress, a.Username, a.Password, a.SelectDB, a.Sentinel.MasterSet, a.Sentinel.Password, a.TLSConfig != nil}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// withRedis returns a configuration whose consumer has these settings more.
func withRedis(settings string) string {
	if inner, ok := strings.CutPrefix(settings, "{"); ok {
		settings = strings.TrimSuffix(inner, "}")
	}
	return `{consumers: [{enabled: true, name: c1, type: redis_stream, redis_stream: {streams: [s], consumer_group: g, ` + settings + `}}]}`
}

func TestParseRefusals(t *testing.T) {
	for text, want := range map[string]string{
		`{grpc_api: {}}`:                                    "grpc_api is no setting that Laurel knows; here it knows client, channel, consumers",
		`{client: {token: {}}}`:                             "client.token is no setting",
		`{client: []}`:                                      "client must be a section with settings in it, not a list",
		`{client: {insecure: "yes"}}`:                       "client.insecure must be true or false, not text",
		`{channel: {namespaces: []}}`:                       "channel.namespaces is no setting",
		`{channel: {without_namespace: {presence: true}}}`:  "channel.without_namespace.presence is no setting",
		`{channel: {without_namespace: {history_size: 1}}}`: "history_size and history_ttl go together",
		`{channel: {without_namespace: {history_size: 1.5, history_ttl: 1s}}}`:   "history_size is 1.5, must be a whole number",
		`{channel: {without_namespace: {history_size: -1, history_ttl: 1s}}}`:    "history_size is -1, must be from 0 to 10000",
		`{channel: {without_namespace: {history_size: 1, history_ttl: 1500ms}}}`: "whole seconds",
		`{channel: {without_namespace: {history_size: 1, history_ttl: 721h}}}`:   "history_ttl is 721h0m0s, longer than history_meta_ttl, 720h0m0s",
		`{channel: {without_namespace: {history_size: 1, history_ttl: 24}}}`:     `history_ttl must be a time such as "30s", not a number`,
		`{channel: {without_namespace: {force_recovery: true}}}`:                 "force_recovery needs history_size",
		`{channel: {without_namespace: {auto_cache_recover: true}}}`:             "auto_cache_recover needs",
		`{channel: {without_namespace: {force_recovery_mode: last}}}`:            `force_recovery_mode is "last", must be one of`,
		`{channel: {without_namespace: {allowed_delta_types: [xdelta]}}}`:        `allowed_delta_types has "xdelta"`,
		`{consumers: {}}`:  "consumers must be a list, not a section",
		`{consumers: [1]}`: "consumers[0] must be a section",
		`{consumers: [{enabled: true, name: x, type: redis_stream}]}`:      `consumers[0].name is "x", must be two or more`,
		`{consumers: [{enabled: true, name: c1, type: kafka, kafka: {}}]}`: `consumers[0].type is "kafka"; Laurel has only redis_stream`,
		`{consumers: [{enabled: true, name: c1, type: redis_stream, redis_stream: {streams: [s], consumer_group: g}},
			{enabled: true, name: c1, type: redis_stream, redis_stream: {streams: [s], consumer_group: g}}]}`: `consumers[1].name is "c1", which is the name of another consumer too`,
		`{consumers: [{enabled: true, name: c1, type: redis_stream, redis_stream: {consumer_group: g}}]}`:                  "consumers[0].redis_stream.streams must name at least one stream",
		`{consumers: [{enabled: true, name: c1, type: redis_stream, redis_stream: {streams: [s]}}]}`:                       "consumers[0].redis_stream.consumer_group is missing",
		`{consumers: [{enabled: true, name: c1, type: redis_stream, redis_stream: {streams: [s, s], consumer_group: g}}]}`: "names a stream twice",
		`{consumers: [{enabled: true, name: c1, type: redis_stream, redis_stream: {streams: [1], consumer_group: g}}]}`:    "streams[0] must be text, not a number",
		withRedis(`num_wokers: 8`):                                              "consumers[0].redis_stream.num_wokers is no setting that Laurel knows; here it knows address,",
		withRedis(`num_workers: 0`):                                             "num_workers is 0, must be from 1 to 1024",
		withRedis(`num_workers: many`):                                          "num_workers must be a number, not text",
		withRedis(`visibility_timeout: 10ms`):                                   "visibility_timeout is 10ms, must be at least 1s",
		withRedis(`visibility_timeout: soon`):                                   `visibility_timeout is "soon"`,
		withRedis(`payload_value: ""`):                                          "payload_value is empty",
		withRedis(`address: "redis"`):                                           `address is "redis", must be host:port or a URL`,
		withRedis(`address: ["a:1", "b:1"]`):                                    "address has several shards",
		withRedis(`address: "http://redis:6379"`):                               "address cannot be used",
		withRedis(`address: "redis://u:secret@re dis:1"`):                       "address is not a URL",
		withRedis(`sentinel_address: "a:1"`):                                    "address cannot be used",
		withRedis(`tls: {enabled: true}`):                                       "tls is part of the address here: rediss://",
		withRedis(`publication_data_mode: {enabled: true, channels_value: ""}`): "channels_value is empty",
		withRedis(`publication_data_mode: {colour: blue}`):                      "consumers[0].redis_stream.publication_data_mode.colour is no setting",
	} {
		t.Run(want, func(t *testing.T) {
			_, err := parseYAML(t, text)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Parse(%s): %v, want …%s…", text, err, want)
			}
			if wrong, ok := errors.AsType[*SettingError](err); !ok || !strings.HasPrefix(err.Error(), wrong.Setting+" ") {
				t.Errorf("the error does not begin with its setting: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
}

func TestParsePublisher(t *testing.T) {
	var values map[string]any
	if err := yaml.Unmarshal([]byte(`{address: "redis:6379", password: p, stream: out, consumer_group: g, channel: "games:{id}", max_len: 5000}`), &values); err != nil {
		t.Fatal(err)
	}
	got, err := ParsePublisher(values)
	if err != nil {
		t.Fatal(err)
	}
	if got.Redis.Options().Password != "p" || got.Stream != "out" || got.ConsumerGroup != "g" || got.Channel != "games:{id}" || got.MaxLen != 5000 {
		t.Errorf("ParsePublisher = %+v", got)
	}
	got, err = ParsePublisher(nil)
	if err != nil || got.Redis.String() != "redis://127.0.0.1:6379" || got.Stream != DefaultStream || got.Channel != "board:{id}" || got.MaxLen != 1000 {
		t.Errorf("ParsePublisher(nil) = %+v, %v", got, err)
	}
	for text, want := range map[string]string{
		`{streams: [a]}`:       "streams is no setting that Laurel knows",
		`{channel: board}`:     "channel is \"board\", must have {id} in it once",
		`{stream: ""}`:         "stream is empty",
		`{consumer_group: ""}`: "consumer_group is empty",
		`{max_len: 1}`:         "max_len is 1, must be from 100",
	} {
		var values map[string]any
		if err := yaml.Unmarshal([]byte(text), &values); err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePublisher(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePublisher(%s): %v, want …%s…", text, err, want)
		}
	}
}
