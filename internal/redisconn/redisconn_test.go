package redisconn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"
)

// The password of every URL in these tests holds this word, which no error and no text may show.
const secret = "tunafish"

func TestParseReadsEachForm(t *testing.T) {
	type want struct {
		text                         string
		addrs                        []string
		user, password               string
		db                           int
		master, sentUser, sentSecret string
		tls, cluster, forceSingle    bool
	}
	for rawURL, w := range map[string]want{
		"redis://localhost": {
			text: "redis://localhost:6379", addrs: []string{"localhost:6379"}, forceSingle: true,
		},
		"REDIS://10.0.0.7:7000/": {
			text: "redis://10.0.0.7:7000", addrs: []string{"10.0.0.7:7000"}, forceSingle: true,
		},
		"redis://[0:0::1]/3": {
			text: "redis://[::1]:6379/3", addrs: []string{"[::1]:6379"}, db: 3, forceSingle: true,
		},
		"redis://:tunafish@db:6380/0": {
			text: "redis://:xxxxx@db:6380", addrs: []string{"db:6380"}, password: secret, forceSingle: true,
		},
		"redis://laurel:a%2Fb%3F%23%25@c:+tunafish@db": {
			text: "redis://laurel:xxxxx@db:6379", addrs: []string{"db:6379"}, user: "laurel", password: "a/b?#%@c:+" + secret, forceSingle: true,
		},
		"rediss://db?tls_skip_verify=true": {
			text: "rediss://db:6379?tls_skip_verify=true", addrs: []string{"db:6379"}, tls: true, forceSingle: true,
		},
		"redis+sentinel://:tunafish@s1,s2:26380,[::1]/2?sentinel_master_name=my+set&sentinel_password=tunafish%26": {
			text:  "redis+sentinel://:xxxxx@s1:26379,s2:26380,[::1]:26379/2?sentinel_master_name=my%20set&sentinel_password=xxxxx",
			addrs: []string{"s1:26379", "s2:26380", "[::1]:26379"}, password: secret, db: 2, master: "my set", sentSecret: secret + "&",
		},
		"rediss+sentinel://s1?sentinel_master_name=m&sentinel_user=u%2Bv&sentinel_password=tunafish": {
			text:  "rediss+sentinel://s1:26379?sentinel_master_name=m&sentinel_user=u%2Bv&sentinel_password=xxxxx",
			addrs: []string{"s1:26379"}, master: "m", sentUser: "u+v", sentSecret: secret, tls: true,
		},
		"redis+cluster://c1,c2:7001": {
			text: "redis+cluster://c1:6379,c2:7001", addrs: []string{"c1:6379", "c2:7001"}, cluster: true,
		},
		"rediss+cluster://u:tunafish@c1?tls_server_name=redis.example": {
			text:  "rediss+cluster://u:xxxxx@c1:6379?tls_server_name=redis.example",
			addrs: []string{"c1:6379"}, user: "u", password: secret, tls: true, cluster: true,
		},
	} {
		c, err := Parse(rawURL)
		if err != nil {
			t.Errorf("Parse(%q): %v", rawURL, err)
			continue
		}
		o := c.Options()
		got := want{
			c.String(), o.InitAddress, o.Username, o.Password, o.SelectDB,
			o.Sentinel.MasterSet, o.Sentinel.Username, o.Sentinel.Password, o.TLSConfig != nil, c.IsCluster(), o.ForceSingleClient,
		}
		if diff := cmp.Diff(w, got, cmp.AllowUnexported(want{})); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", rawURL, diff)
		}
		if (o.Sentinel.TLSConfig != nil) != (w.tls && w.master != "") {
			t.Errorf("Parse(%q): TLS to the Sentinels is %t", rawURL, o.Sentinel.TLSConfig != nil)
		}
		inside := struct{ c Config }{c}
		for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), fmt.Sprintf("%+v %#v", inside, inside), c.LogValue().String()} {
			if strings.Contains(text, secret) {
				t.Errorf("the text %q shows the password", text)
			}
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	empty, large := filepath.Join(dir, "empty"), filepath.Join(dir, "large")
	for name, size := range map[string]int{empty: 0, large: maxFile + 1} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for rawURL, want := range map[string]string{
		"":                                       "is empty",
		"localhost:6379":                         "has no scheme",
		"http://localhost":                       `unknown scheme "http", want one of redis, rediss`,
		"redis+ring://localhost":                 `unknown scheme "redis+ring"`,
		"tunafish@db://x":                        "has no scheme that is known",
		"redis://":                               "has no host",
		"redis:///0":                             "has no host",
		"redis://:tunafish@":                     "has no host",
		"redis://:tunafish":                      "host without a name",
		"redis://user:tunafish":                  `the port of host "user"`,
		"redis://h:":                             "the port of host",
		"redis://h:0":                            "from 1 to 65535",
		"redis://h:65536":                        "from 1 to 65535",
		"redis://h:+1":                           "from 1 to 65535",
		"redis://a:b:tunafish":                   "more than one colon",
		"redis://::1":                            "in brackets",
		"redis://[::1":                           "no IPv6 address",
		"redis://[127.0.0.1]":                    "no IPv6 address",
		"redis://[::1]6379":                      "no IPv6 address",
		"redis://h ost":                          "no host's name",
		"redis://a,b":                            "names 2 hosts",
		"rediss://a,b":                           "use rediss+sentinel or rediss+cluster",
		"redis+cluster://a,a":                    "names a:6379 twice",
		"redis+cluster://a,":                     "host without a name",
		"redis://tunafish@h":                     "user without a password",
		"redis://user:@h":                        "password after the user is empty",
		"redis://:tuna%fish@h":                   "write % as %25",
		"redis://%tunafish:p@h":                  "write % as %25",
		"redis://:tuna/fish@h":                   "write / as %2F",
		"redis://:tunafish?@h":                   "? as %3F",
		"redis://:tunafish#@h":                   "# as %23",
		"redis://u:1?tunafish@h":                 "? as %3F",
		"redis://h#x":                            "write # as %23",
		"redis://h/one":                          `database "one" is no number`,
		"redis://h/-1":                           "is no number",
		"redis://h/0/1":                          "is no number",
		"redis+cluster://h/1":                    "only database 0",
		"redis://h?tls_ca=x":                     "write rediss in place of redis",
		"redis+cluster://h?tls_skip_verify=true": "write rediss+cluster in place of redis+cluster",
		"rediss://h?sentinel_user=x":             "write rediss+sentinel in place of rediss",
		"redis+cluster://h?sentinel_user=x":      "write redis+sentinel in place of redis+cluster",
		"redis+sentinel://h":                     "add ?sentinel_master_name=NAME",
		"redis+sentinel://h?sentinel_master=m":   `unknown parameter "sentinel_master"; did you mean sentinel_master_name?`,
		"redis+sentinel://h?master_name=m":       `unknown parameter "master_name"; did you mean sentinel_master_name?`,
		"rediss://h?TLS_CA=x":                    `"TLS_CA"; did you mean tls_ca?`,
		"rediss://h?tls_crt=x":                   "did you mean tls_cert?",
		"redis://h?dial_timeout=1s":              `"dial_timeout"; known are`,
		"redis+sentinel://h?sentinel_master_name=m&sentinel_password=a&tunafish": "write & as %26",
		"redis+sentinel://h?sentinel_master_name=m&sentinel_password=%zz":        "parameter sentinel_password: has a %",
		"redis+sentinel://h?sentinel_master_name=m&sentinel_user=u":              "sentinel_user without sentinel_password",
		"redis+sentinel://h?sentinel_master_name=":                               "sentinel_master_name is empty",
		"redis+sentinel://h?sentinel_master_name=m&sentinel_master_name=n":       "sentinel_master_name twice",
		"rediss://h?tls_skip_verify=1":                                           `is "1", want true or false`,
		"rediss://h?tls_skip_verify":                                             "is empty",
		"rediss://h?tls_cert=x":                                                  "tls_cert without tls_key",
		"rediss://h?tls_key=x":                                                   "tls_key without tls_cert",
		"rediss://h?tls_ca=x&tls_skip_verify=true":                               "which then nobody looks at",
		"rediss://h?tls_ca=" + dir + "/none":                                     "tls_ca: stat " + dir + "/none: no such file",
		"rediss://h?tls_ca=" + dir:                                               "is no regular file",
		"rediss://h?tls_ca=/dev/zero":                                            "is no regular file",
		"rediss://h?tls_ca=" + empty:                                             "holds no certificate in PEM",
		"rediss://h?tls_ca=" + large:                                             "is larger than",
		"rediss://h?tls_cert=" + empty + "&tls_key=" + empty:                     "tls_cert " + empty + " with tls_key",
		"rediss://h?tls_cert=" + empty + "&tls_key=" + dir + "/none":             "tls_key: stat",
	} {
		c, err := Parse(rawURL)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", rawURL, err, want)
			continue
		}
		if !c.IsZero() {
			t.Errorf("Parse(%q) returns %v beside an error", rawURL, c)
		}
		if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, "tuna") || strings.Contains(text, "fish") {
			t.Errorf("Parse(%q): the error shows the password: %s", rawURL, text)
		}
	}
}

func TestTheZeroConfigReachesNothing(t *testing.T) {
	var c Config
	if !c.IsZero() || c.IsCluster() || c.IsSentinel() || c.String() != "" || c.Addrs() != nil {
		t.Errorf("the zero Config is %#v", c)
	}
	if client, err := c.Dial(); !errors.Is(err, rueidis.ErrNoAddr) {
		t.Errorf("Dial = %v, %v", client, err)
	}
}

func TestOptionsAreTheCallersToChange(t *testing.T) {
	c, err := Parse("rediss+sentinel://a,b?sentinel_master_name=m")
	if err != nil {
		t.Fatal(err)
	}
	first := c.Options()
	first.InitAddress[0] = "changed"
	first.TLSConfig.ServerName = "changed"
	first.Sentinel.TLSConfig.InsecureSkipVerify = true
	second := c.Options()
	if second.InitAddress[0] != "a:26379" || second.TLSConfig.ServerName != "" || second.Sentinel.TLSConfig.InsecureSkipVerify {
		t.Errorf("a change of one value is seen in another: %+v", second)
	}
}

// Of a command that was cut off nobody knows whether it was carried out.
func TestNothingIsSentTwiceUnasked(t *testing.T) {
	for _, rawURL := range []string{"redis://h", "redis+cluster://h", "redis+sentinel://h?sentinel_master_name=m"} {
		c, err := Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		o := c.Options()
		if !o.DisableRetry || !o.DisableCache || o.ClientName != "laurel" || o.Dialer.Timeout != dialTimeout || o.ConnWriteTimeout != answerTimeout {
			t.Errorf("options of %s = %+v", rawURL, o)
		}
		if c.IsSentinel() && (o.Sentinel.Dialer.Timeout != dialTimeout || o.Sentinel.Dialer.KeepAlive != keepAlive || o.Sentinel.ClientName != "laurel") {
			t.Errorf("options of the Sentinels = %+v", o.Sentinel)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, rawURL := range []string{
		"redis://:" + secret + "@h:1/2", "redis://[::1]", "redis://u:a%2F@h", "rediss://h?tls_skip_verify=true&tls_cert=a&tls_key=b",
		"redis+sentinel://u:p@a,b:3/2?sentinel_master_name=m+m&sentinel_user=u&sentinel_password=" + secret, "redis+cluster://a,b?", "redis://a:b@c:d@e",
	} {
		f.Add(rawURL)
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		c, err := Parse(rawURL)
		if err != nil {
			if !c.IsZero() {
				t.Fatalf("Parse(%q) returns %v beside an error", rawURL, c)
			}
			return
		}
		text := c.String()
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("Parse(%q) gives %q, which cannot be read: %v", rawURL, text, err)
		}
		if again.String() != text {
			t.Fatalf("%q, read again, is %q", text, again.String())
		}
		got, want := again.Options(), c.Options()
		if diff := cmp.Diff(want.InitAddress, got.InitAddress); diff != "" {
			t.Errorf("addresses (-first +again):\n%s", diff)
		}
		if got.Username != want.Username || got.SelectDB != want.SelectDB || got.Sentinel.MasterSet != want.Sentinel.MasterSet ||
			got.Sentinel.Username != want.Sentinel.Username || (got.Password == "") != (want.Password == "") {
			t.Errorf("%q says something else than %q", text, rawURL)
		}
	})
}

// FuzzNoPasswordIsShown puts a password into each of its places and breaks the URL around it.
func FuzzNoPasswordIsShown(f *testing.F) {
	f.Add(0, "", "@h:x", "/x")
	f.Add(2, "u", "", "?a@b")
	f.Add(4, "u", "&", "x")
	f.Fuzz(func(t *testing.T, kind int, user, after, tail string) {
		const password = "9b4f0c77d1"
		if strings.ContainsAny(user, "/?#@") {
			return // the password would stand where none is
		}
		name := schemes[uint(kind)%uint(len(schemes))].name
		for _, rawURL := range []string{
			name + "://" + user + ":" + password + after + tail,
			name + "://h?sentinel_password=" + password + after + "&sentinel_master_name=m" + tail,
		} {
			c, err := Parse(rawURL)
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("Parse(%q): the error shows the password: %v", rawURL, err)
			}
			if strings.Contains(c.String(), password) {
				t.Errorf("Parse(%q): the text shows the password: %s", rawURL, c)
			}
		}
	})
}
