package redisstore

import (
	"log/slog"
	"strings"
	"testing"

	"laurel/internal/redisconn"
	"laurel/internal/redistest"
)

func TestADangerousConfigurationIsTold(t *testing.T) {
	for _, c := range []struct {
		name            string
		opts            []redistest.Option
		evicts, forgets bool
	}{
		{"as it is after the installation", nil, false, true},
		{"as it should be", []redistest.Option{redistest.AppendOnly()}, false, false},
		{"as a cache", []redistest.Option{redistest.Args("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := redisconn.Parse(redistest.Start(t, c.opts...).URL())
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			store, err := Open(t.Context(), Options{Redis: config, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			if evicts := strings.Contains(log.String(), "set maxmemory-policy to noeviction"); evicts != c.evicts {
				t.Errorf("that it is told to evict is %t, want %t:\n%s", evicts, c.evicts, &log)
			}
			if forgets := strings.Contains(log.String(), "set appendonly to yes"); forgets != c.forgets {
				t.Errorf("that it is told to forget is %t, want %t:\n%s", forgets, c.forgets, &log)
			}
		})
	}
}
