package redistest_test

import (
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/internal/redisconn"
	"laurel/internal/redistest"
)

func TestServerKeepsItsDataOrNot(t *testing.T) {
	s := redistest.Start(t, redistest.AppendOnly(), redistest.Password("sésame / open"))
	set := func() {
		c := s.Client(t)
		if err := c.Do(t.Context(), c.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	get := func() (string, error) {
		c := s.Client(t)
		return c.Do(t.Context(), c.B().Get().Key("k").Build()).ToString()
	}
	set()
	s.Restart(t)
	if got, err := get(); got != "v" || err != nil {
		t.Errorf("after a restart k = %q, %v; want v", got, err)
	}
	s.RestartEmpty(t)
	if got, err := get(); !rueidis.IsRedisNil(err) {
		t.Errorf("after an empty restart k = %q, %v; want nothing", got, err)
	}
}

func TestProxyIsANetworkThatCanFail(t *testing.T) {
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr())
	config, err := redisconn.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	options := config.Options()
	options.ConnWriteTimeout = 200 * time.Millisecond
	options.Dialer.Timeout = 200 * time.Millisecond
	c, err := rueidis.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ping := func() error { return c.Do(t.Context(), c.B().Ping().Build()).Error() }
	healed := func() {
		t.Helper()
		p.Heal()
		for ping() != nil {
			if t.Context().Err() != nil {
				t.Fatal("it does not heal")
			}
		}
	}
	for range 3 {
		if err := ping(); err != nil {
			t.Fatal(err)
		}
		p.Cut()
		if err := ping(); err == nil {
			t.Fatal("an answer came through a cut")
		}
		healed()
		p.Silence()
		if err := ping(); err == nil {
			t.Fatal("an answer came through silence")
		}
		healed()
	}
}

func TestSentinelsNameAnotherMaster(t *testing.T) {
	s := redistest.StartSentinel(t, redistest.Password("secret"))
	keepsAfter(t, s.URL(), func() { s.Failover(t).Restart(t) })
	keepsAfter(t, s.URL(), func() { s.Failover(t) })
}

func TestAReplicaOfTheClusterTakesOver(t *testing.T) {
	c := redistest.StartCluster(t)
	keepsAfter(t, c.URL(), func() { c.Failover(t, "k") })
}

// keepsAfter reads through the same client, again and again, what it wrote
// before something happened.
func keepsAfter(t *testing.T, url string, happens func()) {
	t.Helper()
	config, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rueidis.NewClient(config.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(t.Context(), c.B().Set().Key("k").Value(t.Name()).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), c.B().Wait().Numreplicas(1).Timeout(5000).Build()).AsInt64(); err != nil && !config.IsCluster() {
		t.Fatal(err)
	}
	happens()
	for deadline := time.Now().Add(20 * time.Second); ; {
		got, err := c.Do(t.Context(), c.B().Get().Key("k").Build()).ToString()
		if err == nil && got == t.Name() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("k = %q, %v; want %q", got, err, t.Name())
		}
	}
}
