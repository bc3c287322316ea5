package redisconn_test

import (
	"strings"
	"testing"

	"laurel/internal/redisconn"
)

func TestParse(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"redis://localhost", "redis://localhost:6379"},
		{"redis://[::1]:7000/3", "redis://[::1]:7000/3"},
		{"redis://::1", "redis://[::1]:6379"},
		{"redis://:s%2Fe%40cret@h:1", "redis://h:1"},
		{"redis://ann:secret@h", "redis://ann@h:6379"},
		{"rediss://h?tls_skip_verify=true", "rediss://h:6379"},
		{"redis+cluster://a:1,b:2,c", "redis+cluster://a:1,b:2,c:6379"},
		{"redis+sentinel://u:p@a,b:3/2?sentinel_master_name=my+master&sentinel_password=secret", "redis+sentinel://u@a:26379,b:3/2?sentinel_master_name=my+master"},
	} {
		c, err := redisconn.Parse(test.url)
		if err != nil || c.String() != test.want || c.IsZero() || c.IsCluster() != strings.Contains(test.url, "cluster") {
			t.Errorf("Parse(%q) = %v, %v; want %s", test.url, c, err, test.want)
		}
	}
	if c := (redisconn.Config{}); !c.IsZero() || c.String() != "" {
		t.Errorf("the zero Config is %q", c)
	}
}

func TestOptionsHaveWhatTheURLSays(t *testing.T) {
	c, err := redisconn.Parse("rediss+sentinel://ann:s%2Fcret@a,b/2?sentinel_master_name=m&sentinel_user=guard&sentinel_password=other")
	if err != nil {
		t.Fatal(err)
	}
	o := c.Options()
	if o.Username != "ann" || o.Password != "s/cret" || o.SelectDB != 2 || o.TLSConfig == nil || len(o.InitAddress) != 2 {
		t.Errorf("options = %+v", o)
	}
	if o.Sentinel.MasterSet != "m" || o.Sentinel.Username != "guard" || o.Sentinel.Password != "other" || o.Sentinel.TLSConfig == nil {
		t.Errorf("options of the Sentinels = %+v", o.Sentinel)
	}
	if !o.DisableRetry {
		t.Error("commands of which nobody knows whether they were carried out are sent again")
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for url, want := range map[string]string{
		"":                             "has to begin with",
		"localhost:6379":               "has to begin with",
		"http://h":                     `"http" is not one of`,
		"redis+://h":                   `"redis+" is not one of`,
		"redis+ring://h":               `"redis+ring" is not one of`,
		"redis://":                     "is not HOST or HOST:PORT",
		"redis://h:0":                  "the port",
		"redis://h:http":               "the port",
		"redis://h:70000":              "the port",
		"redis://a,b":                  "redis+sentinel:// or redis+cluster://",
		"redis://h/one":                "the database",
		"redis://h/-1":                 "the database",
		"redis+cluster://h/1":          "only the database 0",
		"redis+sentinel://h":           "sentinel_master_name is missing",
		"redis://h?tls_ca=x":           "means nothing with redis",
		"redis://h?sentinel_user=x":    "means nothing with redis",
		"redis://h?dial_timeout=1s":    `no parameter "dial_timeout"`,
		"rediss://h?tls_ca=/none":      "tls_ca: open /none",
		"rediss://h?tls_cert=/none":    "belong together",
		"rediss://h?tls_skip_verify=1": `tls_skip_verify is "1"`,
		"redis://ann:se%cret@h":        "before the @",
		"redis://ann:secret@h:x":       "the port",
	} {
		c, err := redisconn.Parse(url)
		if err == nil || !strings.Contains(err.Error(), want) || !c.IsZero() {
			t.Errorf("Parse(%q) = %v, %v; want an error with %q", url, c, err, want)
			continue
		}
		if strings.Contains(err.Error(), "cret") {
			t.Errorf("Parse(%q) shows the password: %v", url, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("redis://ann:secret@h:1/2")
	f.Add("rediss+sentinel://a,b?sentinel_master_name=m&sentinel_password=x")
	f.Add("redis+cluster://[::1]:7000,b")
	f.Fuzz(func(t *testing.T, url string) {
		if strings.Contains(url, "tls_") {
			return // which reads files
		}
		c, err := redisconn.Parse(url)
		if err != nil {
			return
		}
		again, err := redisconn.Parse(c.String())
		if err != nil || again.String() != c.String() {
			t.Errorf("Parse(%q).String() = %q, which is %v, %v", url, c, again, err)
		}
		c.Options()
	})
}
