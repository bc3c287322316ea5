package centrifugo

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"laurel/internal/redisconn"
)

// Config is the part of a Centrifugo configuration that Laurel follows. Settings
// have Centrifugo's names, meanings and defaults; what has another default says so.
type Config struct {
	Client    ClientConfig
	Channel   ChannelConfig
	Consumers []ConsumerConfig // those that are enabled
}

// ClientConfig is the section client.
type ClientConfig struct {
	Insecure       bool     // everybody may subscribe to everything
	AllowedOrigins []string // pages that may connect
}

// ChannelConfig is the section channel.
type ChannelConfig struct {
	WithoutNamespace ChannelOptions
}

// ChannelOptions are the rules of channels that are not boards. How much history
// is kept decides whether versions count: without history, they do not.
type ChannelOptions struct {
	HistorySize       int
	HistoryTTL        time.Duration
	HistoryMetaTTL    time.Duration // how long the version is kept; channel.history_meta_ttl if it is not given
	ForceRecovery     bool
	ForceRecoveryMode string // stream or cache
	AutoCacheRecover  bool
	AllowedDeltaTypes []string // fossil
	DeltaPublish      bool

	AllowSubscribeForClient    bool
	AllowSubscribeForAnonymous bool
}

// ConsumerConfig is an element of consumers, of the type redis_stream.
type ConsumerConfig struct {
	Name        string // at least two letters, digits or _
	RedisStream RedisStreamConfig
}

// RedisStreamConfig is the section redis_stream of a consumer.
type RedisStreamConfig struct {
	Redis             redisconn.Config
	ConnectTimeout    time.Duration
	IOTimeout         time.Duration // in which Redis must answer
	ClientName        string        // as Redis lists it
	ForceRESP2        bool
	Streams           []string
	ConsumerGroup     string
	VisibilityTimeout time.Duration // after which an entry of a worker that says nothing is another's; 0: never
	NumWorkers        int           // for each stream
	PayloadValue      string        // field of an entry
	MethodValue       string        // field of an entry
	DataMode          DataMode
}

// DataMode is the section publication_data_mode: the payload is what is
// published, and the rest stands in fields of the entry, with these names.
type DataMode struct {
	Enabled             bool
	ChannelsValue       string
	IdempotencyKeyValue string
	DeltaValue          string
	VersionValue        string
	VersionEpochValue   string
	TagsValuePrefix     string
}

const (
	defaultAddress        = "redis://127.0.0.1:6379"
	defaultConnectTimeout = time.Second
	defaultIOTimeout      = 4 * time.Second
	defaultVisibility     = 30 * time.Second
	minVisibility         = time.Second // below, a worker could not say in time that it still works
	maxWorkers            = 1024
)

var consumerName = regexp.MustCompile(`^[a-zA-Z0-9_]{2,}$`)

// Parse reads a configuration with the sections client, channel and consumers,
// as a YAML or JSON decoder makes it. It returns a [SettingError] for the first
// setting that is wrong, or that Laurel does not know: a setting of Centrifugo
// that were passed over in silence would be a promise that is not kept.
func Parse(values map[string]any) (Config, error) {
	var err error
	var c Config
	root := newSection(values, &err)

	client := root.section("client")
	client.flag("insecure", &c.Client.Insecure)
	client.texts("allowed_origins", &c.Client.AllowedOrigins)
	client.end()

	channel := root.section("channel")
	metaTTL := 30 * 24 * time.Hour
	channel.duration("history_meta_ttl", &metaTTL)
	c.Channel.WithoutNamespace = parseChannelOptions(channel.section("without_namespace"), metaTTL)
	channel.end()

	var names []string
	for _, section := range root.sections("consumers") {
		consumer, enabled := parseConsumer(section)
		if err == nil && slices.Contains(names, consumer.Name) {
			section.fail("name", "is %q, which is the name of another consumer too", consumer.Name)
		}
		names = append(names, consumer.Name)
		if enabled {
			c.Consumers = append(c.Consumers, consumer)
		}
	}
	root.end()
	return c, err
}

// ParsePublisher reads the settings of a [Publisher], as a YAML or JSON decoder
// makes them. How to reach Redis is said as in a consumer's section redis_stream,
// and the rest is named after what it must agree with there. Its errors are those
// of [Parse].
func ParsePublisher(values map[string]any) (PublisherOptions, error) {
	var err error
	o := PublisherOptions{Stream: DefaultStream, ConsumerGroup: DefaultConsumerGroup, Channel: DefaultChannel, MaxLen: DefaultMaxLen}
	s := newSection(values, &err)
	o.Redis = parseRedis(s)
	s.text("stream", &o.Stream)
	s.text("consumer_group", &o.ConsumerGroup)
	s.text("channel", &o.Channel)
	s.number("max_len", &o.MaxLen, 100, 1_000_000)
	switch {
	case o.Stream == "":
		s.fail("stream", "is empty")
	case o.ConsumerGroup == "":
		s.fail("consumer_group", "is empty")
	case strings.Count(o.Channel, boardPlace) != 1:
		s.fail("channel", "is %q, must have %s in it once, where a board's id goes", o.Channel, boardPlace)
	}
	s.end()
	return o, err
}

func parseChannelOptions(s *section, metaTTL time.Duration) ChannelOptions {
	o := ChannelOptions{HistoryMetaTTL: metaTTL}
	s.number("history_size", &o.HistorySize, 0, 10_000)
	s.duration("history_ttl", &o.HistoryTTL)
	s.duration("history_meta_ttl", &o.HistoryMetaTTL)
	s.flag("force_recovery", &o.ForceRecovery)
	s.oneOf("force_recovery_mode", &o.ForceRecoveryMode, "", "stream", "cache")
	s.flag("auto_cache_recover", &o.AutoCacheRecover)
	s.texts("allowed_delta_types", &o.AllowedDeltaTypes)
	s.flag("delta_publish", &o.DeltaPublish)
	s.flag("allow_subscribe_for_client", &o.AllowSubscribeForClient)
	s.flag("allow_subscribe_for_anonymous", &o.AllowSubscribeForAnonymous)
	s.end()
	if o.HistoryMetaTTL == 0 {
		o.HistoryMetaTTL = metaTTL
	}
	switch {
	case (o.HistorySize > 0) != (o.HistoryTTL > 0):
		s.fail("history_size", "and history_ttl go together: give both or none")
	case o.HistoryTTL%time.Second != 0 || o.HistoryMetaTTL%time.Second != 0:
		s.fail("history_ttl", "and history_meta_ttl must be whole seconds")
	case o.HistoryMetaTTL < o.HistoryTTL:
		s.fail("history_ttl", "is %s, longer than history_meta_ttl, %s", o.HistoryTTL, o.HistoryMetaTTL)
	case o.ForceRecovery && o.HistorySize == 0:
		s.fail("force_recovery", "needs history_size and history_ttl")
	case o.AutoCacheRecover && (!o.ForceRecovery || o.ForceRecoveryMode != "cache"):
		s.fail("auto_cache_recover", "needs force_recovery, and force_recovery_mode cache")
	}
	for _, delta := range o.AllowedDeltaTypes {
		if delta != "fossil" {
			s.fail("allowed_delta_types", "has %q; there is only fossil", delta)
		}
	}
	return o
}

func parseConsumer(s *section) (c ConsumerConfig, enabled bool) {
	kind := ""
	s.flag("enabled", &enabled)
	s.text("name", &c.Name)
	s.text("type", &kind)
	switch {
	case *s.err != nil:
		return c, false
	case !consumerName.MatchString(c.Name):
		s.fail("name", "is %q, must be two or more letters, digits or _", c.Name)
	case kind != "redis_stream":
		s.fail("type", "is %q; Laurel has only redis_stream", kind)
	}
	r := s.section("redis_stream")
	c.RedisStream = parseRedisStream(r)
	r.end()
	s.end()
	return c, enabled
}

func parseRedisStream(s *section) RedisStreamConfig {
	c := RedisStreamConfig{
		ConnectTimeout:    defaultConnectTimeout,
		IOTimeout:         defaultIOTimeout,
		VisibilityTimeout: defaultVisibility,
		NumWorkers:        1,
		PayloadValue:      "payload",
		MethodValue:       "method",
		DataMode: DataMode{
			ChannelsValue:       "centrifugo-channels",
			IdempotencyKeyValue: "centrifugo-idempotency-key",
			DeltaValue:          "centrifugo-delta",
			VersionValue:        "centrifugo-version",
			VersionEpochValue:   "centrifugo-version-epoch",
			TagsValuePrefix:     "centrifugo-tag-",
		},
	}
	c.Redis = parseRedis(s)
	s.duration("connect_timeout", &c.ConnectTimeout)
	s.duration("io_timeout", &c.IOTimeout)
	s.text("client_name", &c.ClientName)
	s.flag("force_resp2", &c.ForceRESP2)
	if _, ok := s.take("tls"); ok {
		s.fail("tls", "is part of the address here: rediss://host:port?tls_ca=FILE&tls_cert=FILE&tls_key=FILE")
	}
	s.texts("streams", &c.Streams)
	s.text("consumer_group", &c.ConsumerGroup)
	s.duration("visibility_timeout", &c.VisibilityTimeout)
	s.number("num_workers", &c.NumWorkers, 1, maxWorkers)
	s.text("payload_value", &c.PayloadValue)
	s.text("method_value", &c.MethodValue)

	mode := s.section("publication_data_mode")
	mode.flag("enabled", &c.DataMode.Enabled)
	mode.text("channels_value", &c.DataMode.ChannelsValue)
	mode.text("idempotency_key_value", &c.DataMode.IdempotencyKeyValue)
	mode.text("delta_value", &c.DataMode.DeltaValue)
	mode.text("version_value", &c.DataMode.VersionValue)
	mode.text("version_epoch_value", &c.DataMode.VersionEpochValue)
	mode.text("tags_value_prefix", &c.DataMode.TagsValuePrefix)
	mode.end()

	sorted := slices.Sorted(slices.Values(c.Streams))
	switch {
	case len(c.Streams) == 0 || sorted[0] == "":
		s.fail("streams", "must name at least one stream, and none may be empty")
	case len(slices.Compact(sorted)) < len(c.Streams):
		s.fail("streams", "names a stream twice")
	case c.ConsumerGroup == "":
		s.fail("consumer_group", "is missing")
	case c.ConnectTimeout == 0 || c.IOTimeout == 0:
		s.fail("io_timeout", "and connect_timeout must be longer than nothing")
	case c.VisibilityTimeout != 0 && c.VisibilityTimeout < minVisibility:
		s.fail("visibility_timeout", "is %s, must be at least %s, or 0 for never", c.VisibilityTimeout, minVisibility)
	case c.PayloadValue == "":
		s.fail("payload_value", "is empty")
	case c.DataMode.Enabled && c.DataMode.ChannelsValue == "":
		s.fail("publication_data_mode.channels_value", "is empty")
	}
	return c
}

// parseRedis reads how to reach Redis. Centrifugo has it as an address in one of
// several forms with more settings beside it, we have it as one URL.
func parseRedis(s *section) redisconn.Config {
	var addresses, clusters, sentinels []string
	var user, password, master, sentinelUser, sentinelPassword string
	db := -1
	s.texts("address", &addresses)
	s.texts("cluster_address", &clusters)
	s.texts("sentinel_address", &sentinels)
	s.text("sentinel_master_name", &master)
	s.text("sentinel_user", &sentinelUser)
	s.text("sentinel_password", &sentinelPassword)
	s.text("user", &user)
	s.text("password", &password)
	s.number("db", &db, 0, 1<<20)

	scheme, set := "redis+cluster", clusters
	if len(set) == 0 {
		scheme, set = "redis+sentinel", sentinels
	}
	var u *url.URL
	switch {
	case *s.err != nil:
		return redisconn.Config{}
	case len(addresses) > 1 || len(set) > 1:
		s.fail("address", "has several shards; a consumer reads from one Redis")
		return redisconn.Config{}
	case len(set) == 1:
		u = &url.URL{Scheme: scheme, Host: set[0]}
	default:
		address := defaultAddress
		if len(addresses) == 1 {
			address = addresses[0]
		}
		var err error
		if u, err = addressURL(address); err != nil {
			s.fail("address", "%v", err)
			return redisconn.Config{}
		}
	}
	if u.User == nil && (user != "" || password != "") {
		u.User = url.UserPassword(user, password)
	}
	if db >= 0 && strings.Trim(u.Path, "/") == "" {
		u.Path = "/" + strconv.Itoa(db)
	}
	query := u.Query()
	for name, value := range map[string]string{
		"sentinel_master_name": master, "sentinel_user": sentinelUser, "sentinel_password": sentinelPassword,
	} {
		if value != "" && !query.Has(name) {
			query.Set(name, value)
		}
	}
	if query.Has("sentinel_master_name") && u.Scheme == "redis" {
		u.Scheme = "redis+sentinel"
	}
	u.RawQuery = query.Encode()
	config, err := redisconn.Parse(u.String())
	if err != nil {
		s.fail("address", "cannot be used: %v", err)
	}
	return config
}

// addressURL makes a URL of an address: host:port, or a URL already.
func addressURL(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("is %q, must be host:port or a URL such as %s", address, defaultAddress)
		}
		return &url.URL{Scheme: "redis", Host: address}, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		// What url.Parse says repeats the address, which may have a password in it.
		return nil, errors.New("is not a URL")
	}
	if u.Scheme == "tcp" {
		u.Scheme = "redis"
	}
	// More hosts of a cluster, or more sentinels, stand in the query there.
	query := u.Query()
	if more := query["addr"]; len(more) > 0 {
		u.Host = strings.Join(append([]string{u.Host}, more...), ",")
		query.Del("addr")
		u.RawQuery = query.Encode()
	}
	return u, nil
}
