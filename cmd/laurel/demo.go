package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"laurel/internal/auth"
	"laurel/internal/daemon"
	"laurel/internal/leaderboard"
	"laurel/internal/sim"
)

func demoCommand() command {
	return command{
		name:  "demo",
		short: "runs the server with a world of its own to look at",
		long: `
Runs the server as ` + "`laurel serve`" + ` does, and plays a simulated world on it: a
crowd on four boards with different settings, and the five members of the
tutorial on a small one. Stop it with Ctrl-C, or kill -9 it: started again, it goes
on with what was there.`,
		setup: func(flags *flag.FlagSet) action {
			o := &demo{server: serverOptions(flags, "warn")}
			flags.Uint64Var(&o.seed, "seed", 1, "`number` from which the crowd and what it does are made")
			flags.IntVar(&o.members, "members", 1000, "`members` of the crowd")
			flags.Float64Var(&o.rate, "rate", 100, "`submissions` a second by the crowd, on average")
			return o.run
		},
	}
}

type demo struct {
	server  *server
	seed    uint64
	members int
	rate    float64
}

func (o *demo) run(ctx context.Context, t terminal, _ []string) error {
	if o.members < 1 || !(o.rate > 0) {
		return usage("members must be at least 1, rate more than 0", "")
	}
	given, err := o.server.key.read()
	if err != nil {
		return err
	}
	key := given
	if given == "" {
		if key, err = demoKey(o.server.data); err != nil {
			return err
		}
		o.server.key = apiKey{value: key}
	}
	log, err := o.server.logger(t.Err)
	if err != nil {
		return err
	}
	d, err := o.server.open(ctx, t)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	if given == "" {
		if err := keepDemoKey(o.server.data, key); err != nil {
			return errors.Join(err, d.Close())
		}
	}
	world, err := o.world(ctx, d.Service())
	if err != nil {
		return errors.Join(unlessStopped(ctx, fmt.Errorf("fill the boards: %w", err)), d.Close())
	}
	o.announce(t.Out, d, world, key)

	playing, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { play(playing, d.Service(), world, log) })
	err = d.Run(ctx)
	stop()
	wg.Wait()
	return err
}

// announce prints where to look. A program that starts the demo waits for the
// last line.
func (o *demo) announce(out io.Writer, d *daemon.Daemon, w *sim.World, key string) {
	url := urlOf(d.Addr())
	fmt.Fprintf(out, "%s race on %d boards (seed %d):\n\n", count(o.members, "member"), len(w.Boards())-1, o.seed)
	fmt.Fprintf(out, "  %-34s %s\n", url+"/", "the list of boards")
	for _, b := range w.Boards() {
		fmt.Fprintf(out, "  %-34s %s\n", url+"/b/"+b.ID, descriptions[b.ID])
	}
	fmt.Fprintf(out, `
Take part:

  curl %s/v1/leaderboards/tutorial/scores \
    -H 'Content-Type: application/json' -H 'X-API-Key: %s' \
    -d '{"member": "You", "score": 10}'

The boards are kept in %s. Ctrl-C stops the demo.

listening on %s
`, url, key, o.server.data, url)
}

var descriptions = map[string]string{
	"arcade":   "points add up",
	"laps":     "lap times, of which the best counts",
	"form":     "the latest percentage counts, equal ones share a rank",
	"levels":   "the highest level counts, equal ones share a rank and none is left out",
	"tutorial": "Alice, Bob, Charlie, David and Eve",
}

// demoKeyName is the file in the data directory that keeps the demo's API key
// in the clear, so that a second start prints the same one. A server that is
// more than a demo keeps only the hash of its own.
const demoKeyName = "demo-api-key"

// demoKey returns the key that an earlier demo kept, or a new one.
func demoKey(data string) (string, error) {
	content, err := os.ReadFile(filepath.Join(data, demoKeyName))
	if key := strings.TrimSpace(string(content)); err == nil && auth.Check(key) == nil {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return "", fmt.Errorf("API key: %w", err)
	}
	return auth.NewKey(), nil
}

// keepDemoKey is for the owner of the data directory: not before it is open.
func keepDemoKey(data, key string) error {
	if err := os.WriteFile(filepath.Join(data, demoKeyName), []byte(key+"\n"), 0o600); err != nil {
		return fmt.Errorf("API key: %w", err)
	}
	return nil
}

// world returns the world, whose boards exist and are full. Where the demo has
// been before, it is another round of the same crowd.
func (o *demo) world(ctx context.Context, s *leaderboard.Service) (*sim.World, error) {
	opts := sim.Options{Members: o.members, Rate: o.rate, Tutorial: true}
	w := sim.New(o.seed, opts)
	if err := populate(ctx, s, w); err != nil {
		return nil, err
	}
	for _, b := range w.Boards() {
		view, err := s.Board(ctx, b.ID)
		if err != nil {
			return nil, err
		}
		opts.Round += view.Rev
	}
	return sim.New(o.seed, opts), nil
}

// populate creates the boards that do not exist and fills those that are empty
// with what happened before.
func populate(ctx context.Context, s *leaderboard.Service, w *sim.World) error {
	fill := map[string]bool{}
	for _, b := range w.Boards() {
		view, err := s.CreateBoard(ctx, b)
		if errors.Is(err, leaderboard.ErrBoardExists) {
			view, err = s.Board(ctx, b.ID)
		}
		if err != nil {
			return err
		}
		fill[b.ID] = view.Total == 0
	}
	submit := submitTo(s)
	var events []sim.Event
	flush := func() error {
		if len(events) == 0 {
			return nil
		}
		err := submit(ctx, events[0].Board, events)
		events = events[:0]
		return err
	}
	for e := range w.Opening() {
		if !fill[e.Board] {
			continue
		}
		if len(events) == leaderboard.MaxBatch || len(events) > 0 && events[0].Board != e.Board {
			if err := flush(); err != nil {
				return err
			}
		}
		events = append(events, e)
	}
	return flush()
}

func submitTo(s *leaderboard.Service) func(context.Context, string, []sim.Event) error {
	return func(ctx context.Context, board string, events []sim.Event) error {
		submissions := make([]leaderboard.Submission, len(events))
		for i, e := range events {
			submissions[i] = leaderboard.Submission{Member: e.Member, Score: e.Score, Data: e.Data}
		}
		_, err := s.Submit(ctx, board, submissions)
		return err
	}
}

// play plays the world until the context ends. What goes wrong is logged at
// most every few seconds.
func play(ctx context.Context, s *leaderboard.Service, w *sim.World, log *slog.Logger) {
	const every = 10 * time.Second
	var mu sync.Mutex
	var logged time.Time
	submit := submitTo(s)
	driver := sim.NewDriver(w, func(ctx context.Context, board string, events []sim.Event) error {
		err := submit(ctx, board, events)
		if err == nil || ctx.Err() != nil || errors.Is(err, leaderboard.ErrShuttingDown) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if time.Since(logged) > every {
			logged = time.Now()
			log.Warn("score not submitted", "board", board, "error", err.Error())
		}
		return err
	}, sim.DriverOptions{})
	_ = driver.Run(ctx) // ends with its context, which is no error
}
