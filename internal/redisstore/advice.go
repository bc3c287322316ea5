package redisstore

import (
	"context"
	"strings"
)

// advise logs what of the servers' configuration may cost boards. A server that
// does not tell is not asked again.
func (s *Store) advise(ctx context.Context) {
	for address, node := range s.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("memory", "persistence").Build()).ToString()
		if err != nil {
			continue
		}
		is := make(map[string]string)
		for line := range strings.Lines(info) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			is[name] = value
		}
		if policy := is["maxmemory_policy"]; policy != "" && policy != "noeviction" {
			s.log.Warn("boards may be thrown away when the memory of Redis is full: set maxmemory-policy to noeviction",
				"server", address, "policy", policy)
		}
		if is["aof_enabled"] == "0" {
			s.log.Warn("what is not in the last snapshot of Redis is lost when it stops: set appendonly to yes",
				"server", address)
		}
	}
}
