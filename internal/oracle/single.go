package oracle

import (
	"context"
	"math/rand/v2"
	"time"

	"laurel/client"
	"laurel/internal/leaderboard"
)

// single is one server with a data directory.
type single struct{ srv *server }

func (s single) address() string   { return s.srv.address }
func (s single) viewed(int) string { return s.srv.address }
func (single) least() int          { return 1 }
func (single) forgets() bool       { return false }

// The names of faults that are done to a server.
const (
	killed  = "kill"  // kill -9
	stopped = "stop"  // SIGTERM
	paused  = "pause" // SIGSTOP for a while
)

func (s single) disturb(ctx context.Context, r *run, rng *rand.Rand) (name string, err error) {
	r.mu.Lock()
	first := r.report.Faults[killed] == 0 // however short the run, it has one
	r.mu.Unlock()
	switch fault := rng.IntN(10); {
	case fault < 6 || first:
		name, err = killed, s.srv.kill()
	case fault < 8:
		name, err = stopped, s.srv.stop()
	default:
		return paused, s.srv.freeze(ctx, time.Duration(rng.Int64N(int64(400*time.Millisecond))))
	}
	if err != nil {
		return name, err
	}
	// Sometimes the server is away for longer than a client's first attempt to reconnect.
	pause(ctx, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
	return name, s.srv.start(ctx)
}

func (s single) moment() int { return s.srv.generation() }

// over waits for another process than the one that may have done it.
func (s single) over(ctx context.Context, moment int) error { return s.srv.restarted(ctx, moment) }

func (single) excuses(e *client.Error) bool { return e.Code == string(leaderboard.CodeShuttingDown) }
