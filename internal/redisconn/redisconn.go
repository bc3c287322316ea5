// Package redisconn says in one URL how to reach Redis, whatever its form:
//
//	redis://[user[:password]@]host[:port][/db]                                       one server
//	redis+sentinel://[user[:password]@]host[:port],host…[/db]?sentinel_master_name=  a master that Sentinels watch
//	redis+cluster://[user[:password]@]host[:port],host…                              Redis Cluster
//
// rediss instead of redis in any of them is TLS, for which there are the
// parameters tls_ca, tls_cert and tls_key (files in PEM) and
// tls_skip_verify=true. Sentinels that want to know who asks are told
// sentinel_user and sentinel_password.
package redisconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Config is a Redis and how to reach it. The zero value is none.
type Config struct {
	scheme    string // redis or rediss
	form      form
	addresses []string
	user      *url.Userinfo
	db        int
	tls       *tls.Config

	masterName       string
	sentinelUser     string
	sentinelPassword string
}

type form string

const (
	single   form = ""
	sentinel form = "+sentinel"
	cluster  form = "+cluster"
)

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"

	dialTimeout = 2 * time.Second
	// A connection on which nothing has come for so long, though something
	// should have, is given up.
	ioTimeout = 3 * time.Second
	// Sentinels are asked this often whether they have told all about the master.
	topologyInterval = 5 * time.Second
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// parameters of a URL, and in which forms.
var parameters = map[string]func(c *Config) bool{
	"sentinel_master_name": func(c *Config) bool { return c.form == sentinel },
	"sentinel_user":        func(c *Config) bool { return c.form == sentinel },
	"sentinel_password":    func(c *Config) bool { return c.form == sentinel },
	"tls_ca":               func(c *Config) bool { return c.scheme == "rediss" },
	"tls_cert":             func(c *Config) bool { return c.scheme == "rediss" },
	"tls_key":              func(c *Config) bool { return c.scheme == "rediss" },
	"tls_skip_verify":      func(c *Config) bool { return c.scheme == "rediss" },
}

// Parse reads a URL. Its errors do not repeat a password.
func Parse(text string) (Config, error) {
	c, err := parse(text)
	if err != nil {
		return Config{}, fmt.Errorf("the URL of Redis: %w", err)
	}
	return c, nil
}

func parse(text string) (c Config, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return c, errors.New("it has to begin with redis://, redis+sentinel:// or redis+cluster://, or with rediss for TLS")
	}
	c.scheme, _, _ = strings.Cut(scheme, "+")
	c.form = form(strings.TrimPrefix(scheme, c.scheme))
	if c.scheme != "redis" && c.scheme != "rediss" || !slices.Contains([]form{single, sentinel, cluster}, c.form) {
		return c, fmt.Errorf("%q is not one of redis, redis+sentinel, redis+cluster, rediss, rediss+sentinel, rediss+cluster", scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		// url.Parse takes no list of hosts, so it is given the user alone; its
		// error would show the password.
		u, err := url.Parse("redis://" + authority[:at] + "@host")
		if err != nil {
			return c, errors.New("what stands before the @ is not user:password; characters such as @ / : % have to be written as %40 %2F %3A %25")
		}
		c.user, authority = u.User, authority[at+1:]
	}
	if err := c.parseAddresses(authority); err != nil {
		return c, err
	}
	if path != "" {
		if c.db, err = strconv.Atoi(path); err != nil || c.db < 0 {
			return c, fmt.Errorf("the database %q is not a number", path)
		}
		if c.form == cluster && c.db != 0 {
			return c, errors.New("a cluster has only the database 0")
		}
	}
	return c, c.parseQuery(query)
}

func (c *Config) parseAddresses(list string) error {
	port := defaultPort
	if c.form == sentinel {
		port = defaultSentinelPort
	}
	for address := range strings.SplitSeq(list, ",") {
		host, number, err := net.SplitHostPort(address)
		if err != nil {
			host, number = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), port
		}
		if n, err := strconv.Atoi(number); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("the port %q of %q is not one of 1 to 65535", number, address)
		}
		if !hostName.MatchString(host) && net.ParseIP(host) == nil {
			return fmt.Errorf("%q is not HOST or HOST:PORT", address)
		}
		c.addresses = append(c.addresses, net.JoinHostPort(host, number))
	}
	if c.form == single && len(c.addresses) > 1 {
		return fmt.Errorf("%d addresses are those of Sentinels or of a cluster: redis+sentinel:// or redis+cluster://", len(c.addresses))
	}
	return nil
}

func (c *Config) parseQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what stands after the ? is not name=value&name=value")
	}
	for name, v := range values {
		allowed, known := parameters[name]
		switch {
		case !known:
			return fmt.Errorf("there is no parameter %q; there are sentinel_master_name, sentinel_user, sentinel_password, tls_ca, tls_cert, tls_key and tls_skip_verify", name)
		case !allowed(c):
			return fmt.Errorf("the parameter %q means nothing with %s", name, c.scheme+string(c.form))
		case len(v) > 1:
			return fmt.Errorf("the parameter %q is there %d times", name, len(v))
		}
	}
	c.masterName = values.Get("sentinel_master_name")
	c.sentinelUser, c.sentinelPassword = values.Get("sentinel_user"), values.Get("sentinel_password")
	if c.form == sentinel && c.masterName == "" {
		return errors.New("sentinel_master_name is missing: the name under which the Sentinels know the master, such as ?sentinel_master_name=mymaster")
	}
	if c.scheme == "rediss" {
		return c.parseTLS(values)
	}
	return nil
}

func (c *Config) parseTLS(values url.Values) error {
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	switch v := values.Get("tls_skip_verify"); v {
	case "", "false":
	case "true":
		c.tls.InsecureSkipVerify = true // the operator has said so
	default:
		return fmt.Errorf("tls_skip_verify is %q, not true or false", v)
	}
	if path := values.Get("tls_ca"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("tls_ca: %w", err)
		}
		c.tls.RootCAs = x509.NewCertPool()
		if !c.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls_ca: %s holds no certificate in PEM", path)
		}
	}
	cert, key := values.Get("tls_cert"), values.Get("tls_key")
	if (cert == "") != (key == "") {
		return errors.New("tls_cert and tls_key belong together")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("tls_cert and tls_key: %w", err)
		}
		c.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// IsZero reports whether there is no Redis.
func (c Config) IsZero() bool { return len(c.addresses) == 0 }

// IsCluster reports whether keys live on different servers.
func (c Config) IsCluster() bool { return c.form == cluster }

// String returns the URL, without what is secret.
func (c Config) String() string {
	if c.IsZero() {
		return ""
	}
	var b strings.Builder
	b.WriteString(c.scheme + string(c.form) + "://")
	if c.user.Username() != "" {
		b.WriteString(url.User(c.user.Username()).String() + "@")
	}
	b.WriteString(strings.Join(c.addresses, ","))
	if c.db != 0 {
		fmt.Fprintf(&b, "/%d", c.db)
	}
	if c.masterName != "" {
		b.WriteString("?sentinel_master_name=" + url.QueryEscape(c.masterName))
	}
	return b.String()
}

// Options returns what rueidis needs to know, which is the caller's to change.
//
// Commands are never sent twice by the library: of one that was cut off nobody
// knows whether it was carried out, and most of ours count. Whoever sends a
// command that may be repeated repeats it.
func (c Config) Options() rueidis.ClientOption {
	password, _ := c.user.Password()
	opts := rueidis.ClientOption{
		InitAddress:       slices.Clone(c.addresses),
		Username:          c.user.Username(),
		Password:          password,
		SelectDB:          c.db,
		TLSConfig:         c.tls.Clone(),
		ClientName:        "laurel",
		Dialer:            net.Dialer{Timeout: dialTimeout, KeepAlive: time.Second},
		ConnWriteTimeout:  ioTimeout,
		DisableRetry:      true,
		DisableCache:      true,
		ForceSingleClient: c.form == single,
	}
	if c.form == sentinel {
		opts.Sentinel = rueidis.SentinelOption{
			Dialer:                  opts.Dialer,
			TLSConfig:               c.tls.Clone(),
			MasterSet:               c.masterName,
			Username:                c.sentinelUser,
			Password:                c.sentinelPassword,
			ClientName:              "laurel",
			TopologyRefreshInterval: topologyInterval,
		}
	}
	return opts
}

// Dial connects.
func (c Config) Dial() (rueidis.Client, error) {
	client, err := rueidis.NewClient(c.Options())
	if err != nil {
		return nil, fmt.Errorf("connect to Redis at %s: %w", c, err)
	}
	return client, nil
}
