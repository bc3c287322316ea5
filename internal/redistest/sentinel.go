package redistest

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// MasterName is what the Sentinels of [StartSentinel] call the master they watch.
const MasterName = "laurel"

// Sentinel is a master with two replicas, and three Sentinels that watch them and agree by two.
type Sentinel struct {
	*settings
	servers   []*Server // whatever they are now
	sentinels []*Server
}

// StartSentinel starts a set in which everybody knows everybody. Its Sentinels take a master for dead that has been silent for a second;
// [Sentinel.Failover] takes two or three seconds.
func StartSentinel(tb testing.TB, opts ...Option) *Sentinel {
	tb.Helper()
	set := newSettings(tb, opts)
	for range attempts {
		if s := startSentinel(tb, set); s != nil {
			return s
		}
	}
	tb.Fatalf("redistest: free ports for Sentinels were taken %d times before all of them could listen", attempts)
	return nil
}

// startSentinel returns nil if a port was taken.
func startSentinel(tb testing.TB, set *settings) *Sentinel {
	tb.Helper()
	s := &Sentinel{settings: set}
	for i := range 3 {
		var lines []string
		if i > 0 {
			lines = append(lines, "replicaof "+loopback+" "+strconv.Itoa(s.servers[0].port))
		}
		s.servers = append(s.servers, newServer(tb, set, reserve(tb), lines))
	}
	// Left to themselves, Sentinels meet each other and the replicas within some seconds; here, they have met already.
	ports := []int{reserve(tb), reserve(tb), reserve(tb)}
	for i, port := range ports {
		lines := []string{
			"sentinel myid " + nodeID(i),
			"sentinel monitor " + MasterName + " " + loopback + " " + strconv.Itoa(s.servers[0].port) + " 2",
			"sentinel down-after-milliseconds " + MasterName + " 1000",
			"sentinel failover-timeout " + MasterName + " 3000",
			"sentinel parallel-syncs " + MasterName + " 2",
		}
		if set.password != "" {
			lines = append(lines, "sentinel auth-pass "+MasterName+" "+quote(set.password))
		}
		for _, replica := range s.servers[1:] {
			lines = append(lines, "sentinel known-replica "+MasterName+" "+loopback+" "+strconv.Itoa(replica.port))
		}
		for j, other := range ports {
			if j != i {
				lines = append(lines, "sentinel known-sentinel "+MasterName+" "+loopback+" "+strconv.Itoa(other)+" "+nodeID(j))
			}
		}
		s.sentinels = append(s.sentinels, newGuard(tb, set, port, lines))
	}
	for _, server := range slices.Concat(s.servers, s.sentinels) {
		if !server.start(tb) {
			s.kill()
			return nil
		}
	}
	for _, guard := range s.sentinels {
		s.hurry(tb, guard)
	}
	s.complete(tb, s.servers[0])
	return s
}

// nodeID makes an id as Redis itself draws them.
func nodeID(i int) string { return strings.Repeat("0", 39) + strconv.Itoa(i+1) }

// hurry lets a Sentinel ask its servers, and tell the others, more often than one that watches over real machines would. How often it pings is
// left as it is: what it knows of a replica is too old for a failover after five times that.
func (s *Sentinel) hurry(tb testing.TB, guard *Server) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := guard.do(ctx, "SENTINEL", "DEBUG", "info-period", "100", "ask-period", "100", "publish-period", "200"); err != nil {
		tb.Fatalf("redistest: set the periods of the Sentinel at %s: %v", guard.Addr(), err)
	}
}

func (s *Sentinel) kill() {
	for _, server := range slices.Concat(s.servers, s.sentinels) {
		server.Kill()
	}
}

// complete waits until all servers that run follow master, and all Sentinels know it, the others and each other.
func (s *Sentinel) complete(tb testing.TB, master *Server) {
	tb.Helper()
	replicas := 0
	for _, server := range s.servers {
		if server == master || !server.Running() {
			continue
		}
		replicas++
		wait(tb, "redis at "+server.Addr()+" follows "+master.Addr(), func(ctx context.Context) bool { return server.follows(ctx, master.Addr()) })
	}
	for _, guard := range s.sentinels {
		wait(tb, "the Sentinel at "+guard.Addr()+" knows all", func(ctx context.Context) bool {
			return s.masterBy(ctx, guard) == master.Addr() && s.reachable(ctx, guard, "REPLICAS") >= replicas && s.reachable(ctx, guard, "SENTINELS") == 2
		})
	}
}

// masterBy returns the address that a Sentinel names.
func (s *Sentinel) masterBy(ctx context.Context, guard *Server) string {
	answer, _ := guard.do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
	fields, ok := answer.([]any)
	if !ok || len(fields) != 2 {
		return ""
	}
	host, _ := fields[0].(string)
	port, _ := fields[1].(string)
	return host + ":" + port
}

// reachable counts of whom a Sentinel lists those that it finds well.
func (s *Sentinel) reachable(ctx context.Context, guard *Server, whom string) int {
	answer, _ := guard.do(ctx, "SENTINEL", whom, MasterName)
	list, _ := answer.([]any)
	n := 0
	for _, one := range list {
		fields, _ := one.([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == "flags" && (fields[i+1] == "slave" || fields[i+1] == "sentinel") {
				n++
			}
		}
	}
	return n
}

// URL returns what redisconn.Parse takes to reach the master by way of the Sentinels.
func (s *Sentinel) URL() string {
	addrs := make([]string, len(s.sentinels))
	for i, guard := range s.sentinels {
		addrs[i] = guard.Addr()
	}
	query := "sentinel_master_name=" + MasterName
	if password := s.guardPassword(); password != "" {
		query += "&sentinel_password=" + url.QueryEscape(password)
	}
	return s.urlAt("+sentinel", strings.Join(addrs, ","), query)
}

// Client returns a client of the master with the options of redisconn, which is closed with the test.
func (s *Sentinel) Client(tb testing.TB) rueidis.Client {
	tb.Helper()
	return client(tb, s.URL())
}

// Servers returns the master and the replicas, whichever is what.
func (s *Sentinel) Servers() []*Server { return slices.Clone(s.servers) }

// Sentinels returns the Sentinels themselves.
func (s *Sentinel) Sentinels() []*Server { return slices.Clone(s.sentinels) }

// Master returns the server that all Sentinels that run name and that holds itself for the master too, once there is one.
func (s *Sentinel) Master(tb testing.TB) *Server {
	tb.Helper()
	var master *Server
	wait(tb, "the Sentinels agree on a master that runs", func(ctx context.Context) bool {
		master = s.agreed(ctx)
		return master != nil
	})
	return master
}

func (s *Sentinel) agreed(ctx context.Context) *Server {
	named := ""
	for _, guard := range s.sentinels {
		if !guard.Running() {
			continue
		}
		switch by := s.masterBy(ctx, guard); {
		case by == "", named != "" && by != named:
			return nil
		default:
			named = by
		}
	}
	i := slices.IndexFunc(s.servers, func(server *Server) bool { return server.Addr() == named })
	if i < 0 || !s.servers[i].Running() || s.servers[i].role(ctx) != "master" {
		return nil
	}
	return s.servers[i]
}

// KillMaster kills the master, returns it, and does not wait for what follows.
func (s *Sentinel) KillMaster(tb testing.TB) (dead *Server) {
	tb.Helper()
	dead = s.Master(tb)
	dead.Kill()
	return dead
}

// Failover kills the master and returns it when the Sentinels have made another server the master that the remaining one follows. The dead
// one comes back, as a replica, with [Sentinel.Heal].
func (s *Sentinel) Failover(tb testing.TB) (dead *Server) {
	tb.Helper()
	dead = s.KillMaster(tb)
	s.settle(tb)
	return dead
}

// settle waits for a master that every server that runs follows.
func (s *Sentinel) settle(tb testing.TB) {
	tb.Helper()
	wait(tb, "the Sentinels have a master that all others follow", func(ctx context.Context) bool {
		master := s.agreed(ctx)
		return master != nil && !slices.ContainsFunc(s.servers, func(server *Server) bool {
			return server != master && server.Running() && !server.follows(ctx, master.Addr())
		})
	})
}

// Heal starts whoever is dead again and returns when the set is whole.
func (s *Sentinel) Heal(tb testing.TB) {
	tb.Helper()
	for _, guard := range s.sentinels {
		if !guard.Running() {
			guard.Restart(tb)
			s.hurry(tb, guard)
		}
	}
	s.ended(tb)
	for _, server := range s.servers {
		if !server.Running() {
			server.Restart(tb)
		}
	}
	s.settle(tb)
	s.complete(tb, s.Master(tb))
}

// DownAfter sets for how long a server has to be silent until it counts as down. It is a second at first, which a machine with much else to do
// may exceed.
func (s *Sentinel) DownAfter(tb testing.TB, d time.Duration) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, guard := range s.sentinels {
		if _, err := guard.do(ctx, "SENTINEL", "SET", MasterName, "down-after-milliseconds", strconv.FormatInt(d.Milliseconds(), 10)); err != nil {
			tb.Fatalf("redistest: have the Sentinel at %s be more patient, or less: %v", guard.Addr(), err)
		}
	}
}

// ended waits until no Sentinel is in the midst of a failover. One that is takes the old master, when it is back, for the master, of which
// it tells its clients that it was restarted; and they go there.
func (s *Sentinel) ended(tb testing.TB) {
	tb.Helper()
	for _, guard := range s.sentinels {
		if !guard.Running() {
			continue
		}
		wait(tb, "the Sentinel at "+guard.Addr()+" has ended its failover", func(ctx context.Context) bool {
			answer, _ := guard.do(ctx, "SENTINEL", "MASTER", MasterName)
			fields, _ := answer.([]any)
			known := make(map[any]string)
			for i := 0; i+1 < len(fields); i += 2 {
				known[fields[i]], _ = fields[i+1].(string)
			}
			return known["ip"]+":"+known["port"] == s.masterBy(ctx, guard)
		})
	}
}
