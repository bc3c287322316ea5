package realtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"

	"laurel/internal/leaderboard"
)

// logLevel returns from which level up the library should log.
func logLevel(log *slog.Logger) centrifuge.LogLevel {
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return centrifuge.LogLevelDebug
	}
	return centrifuge.LogLevelWarn
}

// maxLines is how many lines of one kind are logged in a second: clients can
// cause them.
const maxLines = 10

// limiter lets so many lines through.
type limiter struct {
	mu      sync.Mutex
	second  time.Time // guarded by mu, like the rest: the one of the last line
	lines   int       // in it
	dropped int       // since the last line that was let through
}

// allow reports whether a line may be logged, and how many were dropped before it.
func (l *limiter) allow() (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now().Truncate(time.Second); !now.Equal(l.second) {
		l.second, l.lines = now, 0
	}
	if l.lines++; l.lines > maxLines {
		l.dropped++
		return 0, false
	}
	dropped, l.dropped = l.dropped, 0
	return dropped, true
}

// newLogHandler returns what the library logs to. Its errors are warnings here:
// it speaks of connections, whose ends it has coped with. What it informs about
// is what clients do wrong.
func newLogHandler(log *slog.Logger) centrifuge.LogHandler {
	var limit limiter
	return func(e centrifuge.LogEntry) {
		dropped, ok := limit.allow()
		if !ok {
			return
		}
		level := slog.LevelDebug
		if e.Level >= centrifuge.LogLevelWarn {
			level = slog.LevelWarn
		}
		attrs := make([]slog.Attr, 0, len(e.Fields)+2)
		attrs = append(attrs, slog.String("event", e.Message))
		for _, key := range slices.Sorted(maps.Keys(e.Fields)) {
			attrs = append(attrs, slog.String(key, clip(fmt.Sprint(e.Fields[key]))))
		}
		if dropped > 0 {
			attrs = append(attrs, slog.Int("lines_dropped", dropped))
		}
		log.LogAttrs(context.Background(), level, "centrifuge", attrs...)
	}
}

// failed logs that a viewer could not be answered, unless that is because it is
// gone or the store is being closed.
func (r *Realtime) failed(ctx context.Context, board string, err error) {
	if ctx.Err() != nil || errors.Is(err, leaderboard.ErrShuttingDown) {
		return
	}
	if dropped, ok := r.failures.allow(); ok {
		r.log.Error("cannot read a board for a viewer", "board", board, "err", err, "lines_dropped", dropped)
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
