package redisconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"

	maxFile = 1 << 20 // bytes of a file that a URL may name; a bundle of all public authorities has 0.2 MB
)

type scheme struct {
	name string
	mode mode
	tls  bool
}

var schemes = []scheme{
	{"redis", single, false},
	{"rediss", single, true},
	{"redis+sentinel", sentinel, false},
	{"rediss+sentinel", sentinel, true},
	{"redis+cluster", cluster, false},
	{"rediss+cluster", cluster, true},
}

// parameters are the names that may follow the question mark, in the order in which an error lists them.
var parameters = []string{
	"sentinel_master_name", "sentinel_user", "sentinel_password",
	"tls_ca", "tls_cert", "tls_key", "tls_server_name", "tls_skip_verify",
}

// Parse reads a URL of one of the forms that the package comment lists, and the files that it names. Its errors say which part is wrong and
// what is expected in its place, and hold no password.
func Parse(rawURL string) (Config, error) {
	s, err := parse(rawURL)
	if err != nil {
		return Config{}, fmt.Errorf("redis url: %w", err)
	}
	return Config{s}, nil
}

// The standard parser is not used: it knows one host only, and its errors quote the text that they could not read, which may be a password.
func parse(rawURL string) (*settings, error) {
	if rawURL == "" {
		return nil, errors.New("is empty, want redis://host:port")
	}
	name, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, errors.New("has no scheme, want redis://host:port")
	}
	at := slices.IndexFunc(schemes, func(k scheme) bool { return strings.EqualFold(k.name, name) })
	if at < 0 {
		return nil, unknownScheme(name)
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	s, err := parseParts(schemes[at], authority, tail)
	if err != nil && !strings.Contains(authority, "@") && strings.Contains(tail, "@") {
		// The password was cut in two, and what has been found wrong may be a half of it.
		return nil, errors.New("has an @ that does not follow user:password; in them, write / as %2F, ? as %3F, # as %23 and % as %25")
	}
	return s, err
}

func unknownScheme(name string) error {
	names := make([]string, len(schemes))
	for i, k := range schemes {
		names[i] = k.name
	}
	if strings.ContainsAny(name, ":@/?") { // a URL inside of another, perhaps, or a password with :// in it
		return fmt.Errorf("has no scheme that is known, want one of %s", strings.Join(names, ", "))
	}
	return fmt.Errorf("unknown scheme %q, want one of %s", name, strings.Join(names, ", "))
}

func parseParts(kind scheme, authority, tail string) (*settings, error) {
	s := &settings{mode: kind.mode}
	if kind.tls {
		s.tls = new(tlsSettings)
	}
	if strings.Contains(tail, "#") {
		return nil, errors.New("has a # in it; in a user, a password or a file's name, write # as %23")
	}
	path, query, _ := strings.Cut(tail, "?")
	if err := s.parseAuthority(kind, authority); err != nil {
		return nil, err
	}
	if err := s.parseDB(kind, path); err != nil {
		return nil, err
	}
	if err := s.parseQuery(kind, query); err != nil {
		return nil, err
	}
	if s.tls != nil {
		if err := s.tls.load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *settings) parseAuthority(kind scheme, authority string) error {
	hosts := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		hosts = authority[i+1:]
		user, password, hasPassword := strings.Cut(authority[:i], ":")
		var err error
		if s.user, err = url.PathUnescape(user); err != nil {
			return errors.New("user: has a % that no two hexadecimal digits follow; write % as %25")
		}
		if s.password, err = url.PathUnescape(password); err != nil {
			return errors.New("password: has a % that no two hexadecimal digits follow; write % as %25")
		}
		switch {
		case !hasPassword && s.user != "":
			return errors.New("has a user without a password; write user:password@, or :password@ where Redis has only a password")
		case s.user != "" && s.password == "":
			return errors.New("the password after the user is empty; write user:password@")
		}
	}
	if hosts == "" {
		return fmt.Errorf("has no host, want %s://host:port", kind.name)
	}
	port := defaultPort
	if kind.mode == sentinel {
		port = defaultSentinelPort
	}
	for hostport := range strings.SplitSeq(hosts, ",") {
		addr, err := parseHost(hostport, port)
		if err != nil {
			return err
		}
		if slices.Contains(s.addrs, addr) {
			return fmt.Errorf("names %s twice", addr)
		}
		s.addrs = append(s.addrs, addr)
	}
	if kind.mode == single && len(s.addrs) > 1 {
		return fmt.Errorf("names %d hosts, but %s has one; for more, use %s+sentinel or %[2]s+cluster", len(s.addrs), kind.name, kind.name)
	}
	return nil
}

// parseHost reads one host with or without a port. It shows no port that it cannot read: where an @ was forgotten, that is a password.
func parseHost(hostport, port string) (string, error) {
	var host string
	if strings.HasPrefix(hostport, "[") {
		literal, after, ok := strings.Cut(hostport[1:], "]")
		ip, err := netip.ParseAddr(literal)
		if !ok || err != nil || !ip.Is6() || ip.Zone() != "" || after != "" && after[0] != ':' {
			return "", errors.New("has a host in brackets that is no IPv6 address, want [address]:port")
		}
		if host = ip.String(); after != "" {
			port = after[1:]
		}
	} else {
		name, given, ok := strings.Cut(hostport, ":")
		if host = name; ok {
			port = given
		}
		switch {
		case strings.Contains(port, ":"):
			return "", errors.New("has a host with more than one colon; write an IPv6 address in brackets: [::1]:6379")
		case host == "":
			return "", errors.New("has a host without a name, want host:port")
		case !isHostname(host):
			return "", errors.New("has a host with a character in it that no host's name has, want host:port")
		}
	}
	// Only digits: what Atoi takes beside them, such as a sign, is no port.
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("the port of host %q is no number from 1 to 65535; in a user or a password, write : as %%3A and end both with an @", host)
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

func isHostname(s string) bool {
	return len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

func (s *settings) parseDB(kind scheme, path string) error {
	db := strings.TrimPrefix(path, "/")
	if db == "" {
		return nil
	}
	n, err := strconv.ParseUint(db, 10, 31)
	if err != nil {
		return fmt.Errorf("database %q is no number, want /0 or nothing after the host", db)
	}
	if n != 0 && kind.mode == cluster {
		return fmt.Errorf("names database %d, but a Redis Cluster has only database 0; leave it out", n)
	}
	s.db = int(n)
	return nil
}

func (s *settings) parseQuery(kind scheme, query string) error {
	seen := make(map[string]string)
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, escaped, _ := strings.Cut(pair, "=")
		if !slices.Contains(parameters, name) {
			_, afterPassword := seen["sentinel_password"]
			return unknownParameter(name, afterPassword)
		}
		if _, ok := seen[name]; ok {
			return fmt.Errorf("has the parameter %s twice", name)
		}
		// Here, as in the query of any URL and not as before the @, a plus is a space.
		value, err := url.QueryUnescape(escaped)
		if err != nil {
			return fmt.Errorf("parameter %s: has a %% that no two hexadecimal digits follow; write %% as %%25", name)
		}
		if value == "" {
			return fmt.Errorf("parameter %s is empty; leave it out or give it a value", name)
		}
		seen[name] = value
		switch {
		case strings.HasPrefix(name, "tls_") && s.tls == nil:
			return fmt.Errorf("parameter %s is for TLS; write %s in place of %s", name, strings.Replace(kind.name, "redis", "rediss", 1), kind.name)
		case strings.HasPrefix(name, "sentinel_") && kind.mode != sentinel:
			want := "redis+sentinel"
			if kind.tls {
				want = "rediss+sentinel"
			}
			return fmt.Errorf("parameter %s is for Sentinel; write %s in place of %s", name, want, kind.name)
		}
	}
	s.master, s.sentinelUser, s.sentinelPassword = seen["sentinel_master_name"], seen["sentinel_user"], seen["sentinel_password"]
	switch {
	case kind.mode == sentinel && s.master == "":
		return errors.New("says not which master the Sentinels watch; add ?sentinel_master_name=NAME, the name after `sentinel monitor` in their configuration")
	case s.sentinelUser != "" && s.sentinelPassword == "":
		return errors.New("has sentinel_user without sentinel_password")
	}
	if s.tls == nil {
		return nil
	}
	s.tls.ca, s.tls.cert, s.tls.key, s.tls.serverName = seen["tls_ca"], seen["tls_cert"], seen["tls_key"], seen["tls_server_name"]
	switch skip := seen["tls_skip_verify"]; skip {
	case "", "false":
	case "true":
		s.tls.skipVerify = true
	default:
		return fmt.Errorf("parameter tls_skip_verify is %q, want true or false", skip)
	}
	switch {
	case s.tls.cert != "" && s.tls.key == "":
		return errors.New("has tls_cert without tls_key; a certificate is of no use without its key")
	case s.tls.key != "" && s.tls.cert == "":
		return errors.New("has tls_key without tls_cert; a key is of no use without its certificate")
	case s.tls.skipVerify && (s.tls.ca != "" || s.tls.serverName != ""):
		return errors.New("has tls_skip_verify=true beside a tls_ca or a tls_server_name, which then nobody looks at; leave out one of the two")
	}
	return nil
}

// unknownParameter names the parameter that is not known, unless it may be what follows an & in a password.
func unknownParameter(name string, afterPassword bool) error {
	var guess string
	if best := nearest(name, parameters); best != "" {
		guess = fmt.Sprintf("; did you mean %s?", best)
	} else {
		guess = "; known are " + strings.Join(parameters, ", ")
	}
	if afterPassword {
		return fmt.Errorf("what follows sentinel_password is no parameter that is known; in a password, write & as %%26%s", guess)
	}
	return fmt.Errorf("unknown parameter %q%s", name, guess)
}

// nearest returns the one of known that s is a piece of, or that differs from s in the fewest letters, or "" when none is near.
func nearest(s string, known []string) string {
	if len(s) > 64 { // longer than any, and the work grows with it
		return ""
	}
	best, least := "", 4
	for _, k := range known {
		if len(s) > 4 && strings.Contains(k, strings.ToLower(s)) {
			return k
		}
		if d := distance(strings.ToLower(s), k); d < least && d <= len(k)/2 {
			best, least = k, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// load reads the files that t names.
func (t *tlsSettings) load() error {
	if t.ca != "" {
		pem, err := readFile(t.ca)
		if err != nil {
			return fmt.Errorf("tls_ca: %w", err)
		}
		t.roots = x509.NewCertPool()
		if !t.roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls_ca: %s holds no certificate in PEM", t.ca)
		}
	}
	if t.cert == "" {
		return nil
	}
	cert, err := readFile(t.cert)
	if err != nil {
		return fmt.Errorf("tls_cert: %w", err)
	}
	key, err := readFile(t.key)
	if err != nil {
		return fmt.Errorf("tls_key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("tls_cert %s with tls_key %s: %w", t.cert, t.key, err)
	}
	t.certificates = []tls.Certificate{pair}
	return nil
}

func readFile(name string) (content []byte, err error) {
	// Looked at before it is opened, since opening a pipe waits for who writes to it.
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes, which no file of certificates is", name, maxFile)
	}
	return content, nil
}
