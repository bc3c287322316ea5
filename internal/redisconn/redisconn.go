// Package redisconn reads the one setting that says how Redis is reached: a URL for a single server, for a set watched by Sentinel, or for
// a Cluster, with or without TLS. [Parse] checks every part of it and loads the files it names, so that a wrong setting is refused when the
// process starts and not when the first command is sent; [Config.Options] turns it into the options of the client. Passwords stay inside:
// no error, no text and no log line shows one.
//
//	redis://[user[:password]@]host[:port][/db]
//	rediss://…?tls_ca=FILE&tls_cert=FILE&tls_key=FILE&tls_server_name=NAME&tls_skip_verify=true
//	redis+sentinel://[user:password@]host,host[/db]?sentinel_master_name=NAME&sentinel_user=USER&sentinel_password=PASSWORD
//	redis+cluster://[user:password@]host,host
//
// The forms rediss+sentinel and rediss+cluster take what rediss takes. A password without a user is written :password@. In a user or a
// password, what is no letter or digit is best written in percent-encoding.
package redisconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	// clientName is how our connections are called in CLIENT LIST.
	clientName = "laurel"

	dialTimeout = 2 * time.Second // of one connection to one address, with its handshake

	// keepAlive is how long a connection may be silent before it is asked whether it is alive, and answerTimeout how long it may take to
	// answer that or any other call that does not block by its nature. After it the connection is taken for dead, so that a Redis that has
	// vanished without a word is noticed within the sum of both.
	keepAlive     = time.Second
	answerTimeout = 3 * time.Second

	// topologyRefresh is how often Sentinels or a Cluster are asked who is master when nothing has told us of a change.
	topologyRefresh = 5 * time.Second

	maxRedirections = 16 // a Cluster that sends us around in circles is an error
)

type mode int

const (
	single mode = iota
	sentinel
	cluster
)

// A Config says how to reach Redis. It does not change, and its copies are the same setting. The zero Config reaches nothing.
type Config struct {
	// A pointer, so that printing a struct that has a Config inside shows an address at most.
	s *settings
}

type settings struct {
	mode             mode
	addrs            []string // host:port; of a Sentinel set, the Sentinels'
	user             string
	password         string
	db               int
	master           string
	sentinelUser     string
	sentinelPassword string
	tls              *tlsSettings // nil without TLS
}

type tlsSettings struct {
	ca, cert, key string // the files' names
	serverName    string
	skipVerify    bool

	roots        *x509.CertPool    // of ca; nil for the system's
	certificates []tls.Certificate // of cert and key
}

// IsZero reports whether c is the zero Config, which no URL stands for.
func (c Config) IsZero() bool { return c.s == nil }

// IsCluster reports whether c speaks of a Redis Cluster, where one command can only name keys of one slot.
func (c Config) IsCluster() bool { return c.s != nil && c.s.mode == cluster }

// IsSentinel reports whether c finds its Redis by asking Sentinels.
func (c Config) IsSentinel() bool { return c.s != nil && c.s.mode == sentinel }

// Addrs returns the addresses that the URL named, each as host:port.
func (c Config) Addrs() []string {
	if c.s == nil {
		return nil
	}
	return slices.Clone(c.s.addrs)
}

// Dial connects to what c speaks of, with [Config.Options], and refuses what is of another kind: a node of a Cluster taken for a single
// server would answer for some keys only, and the client would take a single server for a Cluster without a word.
func (c Config) Dial() (rueidis.Client, error) {
	client, err := rueidis.NewClient(c.Options())
	if err != nil {
		return nil, fmt.Errorf("connect to Redis at %s: %w", c, err)
	}
	if err := c.checkKind(client); err != nil {
		client.Close()
		return nil, fmt.Errorf("connect to Redis at %s: %w", c, err)
	}
	return client, nil
}

func (c Config) checkKind(client rueidis.Client) error {
	switch c.s.mode {
	case cluster:
		if client.Mode() != rueidis.ClientModeCluster {
			return errors.New("it is no Redis Cluster; write redis:// or rediss:// in place of the scheme with +cluster")
		}
	case single:
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		defer cancel()
		// A user who may not ask is believed.
		info, err := client.Do(ctx, client.B().Info().Section("server").Build()).ToString()
		if err == nil && strings.Contains(info, "redis_mode:cluster") {
			return fmt.Errorf("it is a node of a Redis Cluster; write %s+cluster:// in place of %[1]s://", c.s.scheme())
		}
	}
	return nil
}

// Options returns the options to give to [rueidis.NewClient]: a fresh value with each call, which the caller may change.
//
// The client does not try anything a second time by itself (DisableRetry): what to do about a broken connection is for the caller to
// decide, who has a context and knows whether the call may run twice. rueidis would only repeat what it takes for reads, and any command
// marked ToRetryable, but it does so without end where the context has no deadline. What a Cluster answers with MOVED or ASK has not been
// carried out, and is sent on in any case.
//
// Nothing is cached on our side (DisableCache), so the server need not track what we read. A command that takes longer than three seconds to
// be answered breaks its connection, unless it is one of those that block.
func (c Config) Options() rueidis.ClientOption {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	o := rueidis.ClientOption{
		ClientName:       clientName,
		Dialer:           dialer,
		ConnWriteTimeout: answerTimeout,
		DisableRetry:     true,
		DisableCache:     true,
	}
	if c.s == nil {
		return o
	}
	o.InitAddress = slices.Clone(c.s.addrs)
	o.Username, o.Password = c.s.user, c.s.password
	o.SelectDB = c.s.db
	o.TLSConfig = c.s.tls.config()
	switch c.s.mode {
	case single:
		o.ForceSingleClient = true
	case sentinel:
		o.Sentinel = rueidis.SentinelOption{
			Dialer:                  dialer, // not inherited: without it, a silent Sentinel would never be given up
			TLSConfig:               c.s.tls.config(),
			MasterSet:               c.s.master,
			Username:                c.s.sentinelUser,
			Password:                c.s.sentinelPassword,
			ClientName:              clientName,
			TopologyRefreshInterval: topologyRefresh,
		}
	case cluster:
		o.ClusterOption = rueidis.ClusterOption{ShardsRefreshInterval: topologyRefresh, MaxMovedRedirections: maxRedirections}
	}
	return o
}

func (t *tlsSettings) config() *tls.Config {
	if t == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            t.roots,
		Certificates:       slices.Clone(t.certificates),
		ServerName:         t.serverName, // when empty, the host that is dialled
		InsecureSkipVerify: t.skipVerify,
	}
}

// hidden stands in a text for a password.
const hidden = "xxxxx"

// String returns the URL that c came from, in its shortest form and with xxxxx in place of each password.
func (c Config) String() string {
	if c.s == nil {
		return ""
	}
	s := c.s
	var b strings.Builder
	b.WriteString(s.scheme())
	b.WriteString("://")
	if s.password != "" {
		b.WriteString(escape(s.user) + ":" + hidden + "@")
	}
	for i, addr := range s.addrs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(addr)
	}
	if s.db != 0 {
		b.WriteString("/" + strconv.Itoa(s.db))
	}
	sep := byte('?')
	param := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteByte(sep)
		b.WriteString(name + "=" + escape(value))
		sep = '&'
	}
	param("sentinel_master_name", s.master)
	param("sentinel_user", s.sentinelUser)
	if s.sentinelPassword != "" {
		param("sentinel_password", hidden)
	}
	if s.tls != nil {
		param("tls_ca", s.tls.ca)
		param("tls_cert", s.tls.cert)
		param("tls_key", s.tls.key)
		param("tls_server_name", s.tls.serverName)
		if s.tls.skipVerify {
			param("tls_skip_verify", "true")
		}
	}
	return b.String()
}

// GoString keeps %#v from showing more than [Config.String] does.
func (c Config) GoString() string { return "redisconn.Config(" + strconv.Quote(c.String()) + ")" }

// LogValue is what a log line shows: the same as [Config.String].
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is the same as [Config.String], so that no encoder shows more.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// escape leaves nothing that has a meaning in a URL.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func (s *settings) scheme() string {
	for _, k := range schemes {
		if k.mode == s.mode && k.tls == (s.tls != nil) {
			return k.name
		}
	}
	panic("redisconn: a mode without a scheme")
}
