package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"
)

const (
	slots     = 16384
	masters   = 3
	nodesFile = "nodes.conf" // where a node of a Cluster keeps who it is and whom it knows
)

// Cluster is a Redis Cluster of three masters with a replica each.
type Cluster struct {
	*settings
	servers []*Server // three that were masters at first, and the replica of each in the same order
}

// StartCluster starts a Cluster that serves all slots. Its nodes take one for dead that has been silent for one and a half seconds;
// [Cluster.Failover] takes about three.
func StartCluster(tb testing.TB, opts ...Option) *Cluster {
	tb.Helper()
	set := newSettings(tb, opts)
	for range attempts {
		if c := startCluster(tb, set); c != nil {
			return c
		}
	}
	tb.Fatalf("redistest: free ports for a Cluster were taken %d times before all of it could listen", attempts)
	return nil
}

// startCluster returns nil if a port was taken.
func startCluster(tb testing.TB, set *settings) *Cluster {
	tb.Helper()
	c := &Cluster{settings: set}
	var buses []int
	for range 2 * masters {
		bus := reserve(tb)
		buses = append(buses, bus)
		c.servers = append(c.servers, newServer(tb, set, reserve(tb), []string{
			"cluster-enabled yes",
			"cluster-config-file " + nodesFile,
			"cluster-port " + strconv.Itoa(bus),
			"cluster-node-timeout 1500",
			"cluster-replica-validity-factor 0", // a replica that was paused for long may take over too
			"repl-ping-replica-period 1",
		}))
	}
	// Nodes that have to meet first take some seconds for it; these are told who everybody is.
	for i, server := range c.servers {
		if err := os.WriteFile(filepath.Join(server.dir, nodesFile), []byte(c.nodes(i, buses)), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	for _, server := range c.servers {
		if !server.start(tb) {
			for _, s := range c.servers {
				s.Kill()
			}
			return nil
		}
	}
	c.settle(tb)
	return c
}

// nodes writes the file of node self.
func (c *Cluster) nodes(self int, buses []int) string {
	var b strings.Builder
	for i, server := range c.servers {
		flags, master, epoch, served := "master", "-", i+1, fmt.Sprintf(" %d-%d", i*slots/masters, (i+1)*slots/masters-1)
		if i >= masters {
			flags, master, epoch, served = "slave", nodeID(i-masters), i-masters+1, ""
		}
		if i == self {
			flags = "myself," + flags
		}
		fmt.Fprintf(&b, "%s %s@%d %s %s 0 0 %d connected%s\n", nodeID(i), server.Addr(), buses[i], flags, master, epoch, served)
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", masters)
	return b.String()
}

// settle waits until every node that runs finds the Cluster well and each replica has what its master has.
func (c *Cluster) settle(tb testing.TB) {
	tb.Helper()
	for _, server := range c.servers {
		if !server.Running() {
			continue
		}
		wait(tb, "the Cluster works for its node at "+server.Addr(), func(ctx context.Context) bool {
			return strings.Contains(server.text(ctx, "CLUSTER", "INFO"), "cluster_state:ok") &&
				(server.role(ctx) == "master" || server.field(ctx, "replication", "master_link_status") == "up")
		})
	}
}

// URL returns what redisconn.Parse takes to reach the whole.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.servers))
	for i, server := range c.servers {
		addrs[i] = server.Addr()
	}
	return c.urlAt("+cluster", strings.Join(addrs, ","), "")
}

// Client returns a client of the whole with the options of redisconn, which is closed with the test.
func (c *Cluster) Client(tb testing.TB) rueidis.Client {
	tb.Helper()
	return client(tb, c.URL())
}

// Servers returns the masters and the replicas, whichever is what.
func (c *Cluster) Servers() []*Server { return slices.Clone(c.servers) }

// Master returns the server that is the master of key's slot, once all nodes that run agree on one that runs.
func (c *Cluster) Master(tb testing.TB, key string) *Server {
	tb.Helper()
	var master *Server
	wait(tb, fmt.Sprintf("the Cluster agrees on the master of %q", key), func(ctx context.Context) bool {
		master = c.agreed(ctx, key)
		return master != nil
	})
	return master
}

func (c *Cluster) agreed(ctx context.Context, key string) *Server {
	var named *Server
	for _, server := range c.servers {
		if !server.Running() {
			continue
		}
		owner := c.ownerBy(ctx, server, key)
		if owner == nil || named != nil && owner != named {
			return nil
		}
		named = owner
	}
	if named == nil || !named.Running() || named.role(ctx) != "master" {
		return nil
	}
	return named
}

// ownerBy returns the server whom another names as the master of key's slot.
func (c *Cluster) ownerBy(ctx context.Context, server *Server, key string) *Server {
	answer, _ := server.do(ctx, "CLUSTER", "KEYSLOT", key)
	slot, ok := answer.(int64)
	if !ok {
		return nil
	}
	answer, _ = server.do(ctx, "CLUSTER", "SLOTS")
	ranges, _ := answer.([]any)
	for _, r := range ranges {
		fields, _ := r.([]any)
		if len(fields) < 3 {
			continue
		}
		from, _ := fields[0].(int64)
		to, _ := fields[1].(int64)
		node, _ := fields[2].([]any)
		if slot < from || slot > to || len(node) < 2 {
			continue
		}
		port, _ := node[1].(int64)
		if i := slices.IndexFunc(c.servers, func(s *Server) bool { return s.port == int(port) }); i >= 0 {
			return c.servers[i]
		}
	}
	return nil
}

// KillMaster kills the master of key's slot, returns it, and does not wait for what follows.
func (c *Cluster) KillMaster(tb testing.TB, key string) (dead *Server) {
	tb.Helper()
	dead = c.Master(tb, key)
	dead.Kill()
	return dead
}

// Failover kills the master of key's slot and returns it when its replica has taken over and the Cluster works again. The dead one comes
// back, as a replica, with [Cluster.Heal].
func (c *Cluster) Failover(tb testing.TB, key string) (dead *Server) {
	tb.Helper()
	dead = c.KillMaster(tb, key)
	c.Master(tb, key)
	c.settle(tb)
	return dead
}

// Heal starts whoever is dead again and returns when the Cluster is whole.
func (c *Cluster) Heal(tb testing.TB) {
	tb.Helper()
	for _, server := range c.servers {
		if !server.Running() {
			server.Restart(tb)
		}
	}
	wait(tb, "each master of the Cluster has a replica again", func(ctx context.Context) bool {
		replicas := 0
		for _, server := range c.servers {
			if server.role(ctx) == "slave" && server.field(ctx, "replication", "master_link_status") == "up" {
				replicas++
			}
		}
		return replicas == len(c.servers)-masters
	})
	c.settle(tb)
}
