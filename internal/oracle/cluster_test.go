package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"laurel/client"
	"laurel/deploy"
	"laurel/internal/leaderboard"
	"laurel/internal/redistest"
)

// cluster is nodes on one Redis, each of which reaches it by a network of its own
// where there is a proxy, and nginx before them.
type cluster struct {
	t       *testing.T
	life    context.Context //nolint:containedctx // of the nodes' processes, which outlive the run that restarts them
	nodes   []*server
	proxies []*redistest.Proxy      // none, or one for each node
	redis   func() []rueidis.Client // one of each server that takes writes
	front   string                  // address of nginx

	faults []fault
	deck   []fault // those that have not been made since they were last shuffled
	lossy  bool    // a new epoch may be of less

	ending sync.RWMutex // held while a node is killed
}

type fault struct {
	name string
	make func(ctx context.Context, r *run, rng *rand.Rand) error
}

const nodes = 3

// newCluster starts nodes, the i-th of which is told to find Redis at url(i).
func newCluster(t *testing.T, url func(i int) string) *cluster {
	t.Helper()
	c := &cluster{t: t, life: context.WithoutCancel(t.Context())}
	var addresses []string
	for i := range nodes {
		node, err := newServer(t.Context(), binary, t.ArtifactDir(), fmt.Sprint("node-", i), "--redis", url(i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(node.close)
		if err := node.start(c.life); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, node)
		addresses = append(addresses, node.address)
	}
	c.front = startNginx(t, addresses)
	return c
}

// startNginx starts nginx before nodes as deploy has it, and returns its address.
func startNginx(t *testing.T, nodes []string) string {
	t.Helper()
	address, held, err := reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(deploy.NginxAlone(dir, me.Username, address, nodes...)), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // where Debian has it, and not every user looks
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-c", config, "-p", dir, "-e", "stderr")
	log, err := os.Create(filepath.Join(t.ArtifactDir(), "nginx.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: scripts/packages nginx installs it", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait(), log.Close(), held.Close()); err != nil {
			t.Errorf("nginx: %v; its log is %s", err, log.Name())
		}
	})
	for range 1000 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close() // nothing was sent
			return address
		}
		pause(t.Context(), 10*time.Millisecond) // nobody tells when it listens
	}
	t.Fatalf("nginx does not listen at %s; its log is %s", address, log.Name())
	return ""
}

func (c *cluster) address() string { return c.front }

// viewed spreads viewers over the nodes and nginx, whose viewers come to another
// node when theirs dies.
func (c *cluster) viewed(i int) string {
	if i %= len(c.nodes) + 1; i < len(c.nodes) {
		return c.nodes[i].address
	}
	return c.front
}

func (c *cluster) forgets() bool { return c.lossy }

// least is once all faults.
func (c *cluster) least() int { return len(c.faults) }

func (c *cluster) disturb(ctx context.Context, r *run, rng *rand.Rand) (string, error) {
	if len(c.deck) == 0 {
		c.deck = slices.Clone(c.faults)
		rng.Shuffle(len(c.deck), func(i, j int) { c.deck[i], c.deck[j] = c.deck[j], c.deck[i] })
	}
	f := c.deck[0]
	c.deck = c.deck[1:]
	return f.name, f.make(ctx, r, rng)
}

func (c *cluster) moment() int { return 0 }

// over waits until no node is being killed. A node that lives has given up what it
// answers an error for, and Redis does nothing behind the time that the node has
// given it.
func (c *cluster) over(ctx context.Context, _ int) error {
	c.ending.RLock()
	defer c.ending.RUnlock()
	return ctx.Err()
}

func (c *cluster) excuses(e *client.Error) bool {
	return e.Code == string(leaderboard.CodeShuttingDown) || e.Code == string(leaderboard.CodeStorageUnavailable)
}

// kill kills a node and returns when nothing of it is on its way to Redis.
func (c *cluster) kill(ctx context.Context, i int) error {
	c.ending.Lock()
	defer c.ending.Unlock()
	if err := c.nodes[i].kill(); err != nil {
		return err
	}
	for c.proxies != nil && c.proxies[i].Conns() > 0 {
		if !pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	// What has reached Redis is carried out in the round of its loop in which the
	// first of these is at the latest, be it behind it.
	for _, redis := range c.redis() {
		for range 2 {
			if err := insist(ctx, func() error { return redis.Do(ctx, redis.B().Ping().Build()).Error() }); err != nil {
				return fmt.Errorf("ask Redis: %w", err)
			}
		}
	}
	return nil
}

// ofNodes are the faults of nodes.
func (c *cluster) ofNodes() []fault {
	return []fault{
		{killed, func(ctx context.Context, _ *run, rng *rand.Rand) error {
			i := rng.IntN(len(c.nodes))
			if err := c.kill(ctx, i); err != nil {
				return err
			}
			pause(ctx, upTo(rng, 300*time.Millisecond))
			return c.nodes[i].start(c.life)
		}},
		{"kill of two", func(ctx context.Context, _ *run, rng *rand.Rand) error {
			chosen := rng.Perm(len(c.nodes))[:2]
			for _, i := range chosen {
				if err := c.kill(ctx, i); err != nil {
					return err
				}
			}
			pause(ctx, upTo(rng, 300*time.Millisecond))
			return errors.Join(c.nodes[chosen[0]].start(c.life), c.nodes[chosen[1]].start(c.life))
		}},
		{stopped, func(ctx context.Context, _ *run, rng *rand.Rand) error {
			node := c.nodes[rng.IntN(len(c.nodes))]
			if err := node.stop(); err != nil {
				return err
			}
			pause(ctx, upTo(rng, 300*time.Millisecond))
			return node.start(c.life)
		}},
		{paused, func(ctx context.Context, _ *run, rng *rand.Rand) error {
			// Sometimes for longer than a lease, so that two publish the same boards.
			return c.nodes[rng.IntN(len(c.nodes))].freeze(ctx, upTo(rng, 3*time.Second))
		}},
	}
}

// ofNetwork are the faults of what is between a node and Redis.
func (c *cluster) ofNetwork() []fault {
	faults := []fault{}
	for name, worsen := range map[string]func(*redistest.Proxy){
		"cut":          (*redistest.Proxy).Cut,
		"silence":      (*redistest.Proxy).Silence,
		"lost answers": (*redistest.Proxy).LoseAnswers,
	} {
		faults = append(faults, fault{name, func(ctx context.Context, _ *run, rng *rand.Rand) error {
			p := c.proxies[rng.IntN(len(c.proxies))]
			worsen(p)
			// Rarely for longer than a node waits.
			d := upTo(rng, 2*time.Second)
			if rng.IntN(8) == 0 {
				d += 5 * time.Second
			}
			pause(ctx, d)
			p.Heal()
			return nil
		}})
	}
	slices.SortFunc(faults, func(a, b fault) int { return len(a.name) - len(b.name) })
	return faults
}

// insist asks again when the connection was to a Redis that is gone.
func insist(ctx context.Context, ask func() error) error {
	for attempts := 0; ; attempts++ {
		err := ask()
		if err == nil || attempts == 100 || !pause(ctx, 10*time.Millisecond) {
			return err
		}
	}
}

func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

// play runs the world on the cluster, and stops it.
func (c *cluster) play(d time.Duration) Report {
	c.t.Helper()
	opts := options(c.t, d)
	opts.Rate, opts.Viewers = 200, 5
	report, err := runOn(c.t.Context(), c, opts)
	c.t.Logf("%+v", report)
	if err != nil {
		c.t.Fatalf("%v; the logs are in %s", err, c.t.ArtifactDir())
	}
	for _, f := range c.faults {
		if report.Faults[f.name] == 0 {
			c.t.Errorf("%q was not put to the test", f.name)
		}
	}
	if report.Acknowledged == 0 || report.Rebuilt == 0 || report.Tables == 0 || report.Epochs == 0 {
		c.t.Error("nothing was put to the test")
	}
	for _, node := range c.nodes {
		if err := node.stop(); err != nil {
			c.t.Error(err)
		}
	}
	return report
}

// withProxies starts a cluster whose nodes have proxies before Redis.
func withProxies(t *testing.T, redis *redistest.Server) *cluster {
	t.Helper()
	proxies := make([]*redistest.Proxy, nodes)
	for i := range proxies {
		proxies[i] = redistest.NewProxy(t, redis.Addr())
	}
	c := newCluster(t, func(i int) string { return redis.URLThrough(proxies[i]) })
	c.proxies = proxies
	asked := redis.Client(t)
	c.redis = func() []rueidis.Client { return []rueidis.Client{asked} }
	return c
}

// TestNodesKeepTheirWord runs nodes on a Redis that keeps all it acknowledges.
func TestNodesKeepTheirWord(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.AppendOnly())
	c := withProxies(t, redis)
	c.faults = append(append(c.ofNodes(), c.ofNetwork()...),
		fault{"restart of Redis", func(context.Context, *run, *rand.Rand) error {
			redis.Restart(t)
			return nil
		}},
		fault{"kill of Redis", func(ctx context.Context, _ *run, rng *rand.Rand) error {
			redis.Kill()
			pause(ctx, upTo(rng, 500*time.Millisecond))
			redis.Restart(t)
			return nil
		}})
	c.play(12 * time.Second)
}

// TestNodesOnRedisThatForgets runs nodes on a Redis that comes back without its
// data: everybody begins anew, and nobody is left with what was.
func TestNodesOnRedisThatForgets(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	c := withProxies(t, redis)
	c.lossy = true
	c.faults = []fault{
		{"emptied", func(ctx context.Context, r *run, _ *rand.Rand) error {
			return r.anew(ctx, func() { redis.RestartEmpty(t) }, func(ctx context.Context, b *book) error { return b.recreate(ctx, r.api) })
		}},
		{"flushed", func(ctx context.Context, r *run, _ *rand.Rand) error {
			var err error
			flush := func() {
				redis := c.redis()[0]
				err = insist(ctx, func() error { return redis.Do(ctx, redis.B().Flushall().Build()).Error() })
			}
			return errors.Join(r.anew(ctx, flush, func(ctx context.Context, b *book) error { return b.recreate(ctx, r.api) }), err)
		}},
		c.ofNodes()[0],
	}
	c.play(5 * time.Second)
}

// TestNodesThroughFailover runs nodes on a Redis whose master dies, and another
// takes its place that may not have all that was acknowledged.
func TestNodesThroughFailover(t *testing.T) {
	t.Parallel()
	redis := redistest.StartSentinel(t)
	redis.DownAfter(t, time.Minute) // a failover that nobody has asked for is none that the books know of
	c := newCluster(t, func(int) string { return redis.URL() })
	c.lossy = true
	c.redis = func() []rueidis.Client { return []rueidis.Client{redis.Master(t).Client(t)} }
	c.faults = []fault{
		{"failover", func(ctx context.Context, r *run, _ *rand.Rand) error {
			fail := func() {
				redis.DownAfter(t, time.Second)
				redis.Failover(t)
				redis.DownAfter(t, time.Minute)
			}
			if err := r.anew(ctx, fail, func(ctx context.Context, b *book) error { return b.relearn(ctx, r.api) }); err != nil {
				return err
			}
			redis.Heal(t)
			return nil
		}},
		c.ofNodes()[0],
	}
	c.play(5 * time.Second)
}

// keyOf returns a key of one of the boards.
func keyOf(t *testing.T, r *run, rng *rand.Rand, servers []rueidis.Client) string {
	t.Helper()
	ids := slices.Sorted(maps.Keys(r.books))
	id := ids[rng.IntN(len(ids))]
	for _, server := range servers {
		keys, err := server.Do(t.Context(), server.B().Keys().Pattern("laurel.{*}.s."+id).Build()).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) > 0 {
			return keys[0]
		}
	}
	t.Fatalf("Redis has no key of board %q", id)
	return ""
}

// TestNodesOnCluster runs nodes on a Cluster of three masters, of which one after
// the other dies, and a replica takes its place that may not have all.
func TestNodesOnCluster(t *testing.T) {
	t.Parallel()
	redis := redistest.StartCluster(t)
	client := redis.Client(t)
	running := func() (asked []rueidis.Client) {
		all := client.Nodes()
		for _, server := range redis.Servers() {
			if one := all[server.Addr()]; one != nil && server.Running() {
				asked = append(asked, one)
			}
		}
		return asked
	}
	// patient sets how long a server may be silent: a failover that nobody has asked
	// for is none that the books know of.
	patient := func(d time.Duration) {
		for _, asked := range running() {
			set := asked.B().ConfigSet().ParameterValue().ParameterValue("cluster-node-timeout", strconv.FormatInt(d.Milliseconds(), 10)).Build()
			if err := insist(t.Context(), func() error { return asked.Do(t.Context(), set.Pin()).Error() }); err != nil {
				t.Fatal(err)
			}
		}
	}
	patient(time.Minute)
	c := newCluster(t, func(int) string { return redis.URL() })
	c.lossy = true
	c.redis = running
	c.faults = []fault{
		{"failover", func(ctx context.Context, r *run, rng *rand.Rand) error {
			fail := func() {
				patient(1500 * time.Millisecond)
				redis.Failover(t, keyOf(t, r, rng, running()))
				patient(time.Minute)
			}
			if err := r.anew(ctx, fail, func(ctx context.Context, b *book) error { return b.relearn(ctx, r.api) }); err != nil {
				return err
			}
			redis.Heal(t)
			patient(time.Minute)
			return nil
		}},
		c.ofNodes()[0],
	}
	c.play(5 * time.Second)
}
