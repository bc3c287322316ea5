package realtime

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
)

// logLevel returns from which level up the library should log.
func logLevel(log *slog.Logger) centrifuge.LogLevel {
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return centrifuge.LogLevelDebug
	}
	return centrifuge.LogLevelWarn
}

// maxLines is how many lines of the library are logged in a second: a client
// can cause them.
const maxLines = 10

// newLogHandler returns what the library logs to. Its errors are warnings here:
// it speaks of connections, whose ends it has coped with. What it informs about
// is what clients do wrong.
func newLogHandler(log *slog.Logger) centrifuge.LogHandler {
	var (
		mu      sync.Mutex
		second  time.Time // guarded by mu, like the rest: the one in which lines were logged last
		lines   int       // in it
		dropped int       // since the last line
	)
	return func(e centrifuge.LogEntry) {
		level := slog.LevelDebug
		if e.Level >= centrifuge.LogLevelWarn {
			level = slog.LevelWarn
		}
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now().Truncate(time.Second); !now.Equal(second) {
			second, lines = now, 0
		}
		if lines++; lines > maxLines {
			dropped++
			return
		}
		attrs := make([]slog.Attr, 0, len(e.Fields)+2)
		attrs = append(attrs, slog.String("event", e.Message))
		for _, key := range slices.Sorted(maps.Keys(e.Fields)) {
			attrs = append(attrs, slog.String(key, clip(fmt.Sprint(e.Fields[key]))))
		}
		if dropped > 0 {
			attrs = append(attrs, slog.Int("lines_dropped", dropped))
			dropped = 0
		}
		log.LogAttrs(context.Background(), level, "centrifuge", attrs...)
	}
}

// clip shortens what a client has sent.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
