package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"laurel/client"
	"laurel/internal/leaderboard"
	"laurel/internal/sim"
)

// simOptions are the options of `laurel sim`.
type simOptions struct {
	remote   *remote
	rate     float64
	batch    int
	inFlight int
	members  int
	boards   int
	prefix   string
	duration time.Duration
	seed     uint64
	bursts   bool
	viewers  int
}

func simCommand() command {
	return command{
		name:  "sim",
		short: "drives a server with the scores of a simulated crowd",
		long: `
Submits scores at a given rate, tells each second how it goes, and at the end what
was achieved. The rate holds whether or not the server keeps up, as long as fewer
than --in-flight requests are under way; a latency counts from the moment when
the request was due, so that waiting for a slow server is not left out.

The boards are created if they do not exist: "sim-arcade" adds points up,
"sim-laps" keeps the best of times, "sim-form" the latest of percentages, in turn.

  laurel sim --rate 5000 --duration 30s --viewers 100`,
		setup: func(flags *flag.FlagSet) action {
			o := &simOptions{remote: remoteOptions(flags)}
			flags.Float64Var(&o.rate, "rate", 1000, "`submissions` a second, on average")
			flags.IntVar(&o.batch, "batch", 1, "`submissions` in a request, at most 1000")
			flags.IntVar(&o.inFlight, "in-flight", 256, "`requests` at a time, at most")
			flags.IntVar(&o.members, "members", 1000, "`members` of the crowd")
			flags.IntVar(&o.boards, "boards", 3, "`boards` that they play on")
			flags.StringVar(&o.prefix, "prefix", "sim-", "`text` that the boards' ids begin with")
			flags.DurationVar(&o.duration, "duration", 10*time.Second, "stop after this `time`; 0: go on until stopped")
			flags.Uint64Var(&o.seed, "seed", 0, "`number` from which the crowd is made; 0: a new one each time")
			flags.BoolVar(&o.bursts, "bursts", false, "let the rate go up and down")
			flags.IntVar(&o.viewers, "viewers", 0, "also watch the boards over so many `connections`")
			return o.run
		},
	}
}

func (o *simOptions) run(ctx context.Context, t terminal, _ []string) error {
	switch {
	case !(o.rate > 0):
		return usage("rate must be more than 0", "")
	case o.batch < 1 || o.batch > leaderboard.MaxBatch:
		return usage(fmt.Sprintf("batch must be from 1 to %d", leaderboard.MaxBatch), "")
	case o.inFlight < 1 || o.members < 1 || o.boards < 1 || o.viewers < 0:
		return usage("in-flight, members and boards must be at least 1, viewers at least 0", "")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.inFlight
	transport.MaxIdleConns = 0
	defer transport.CloseIdleConnections()
	c, err := o.remote.connect(&http.Client{Transport: transport, Timeout: 30 * time.Second})
	if err != nil {
		return err
	}

	world := sim.New(o.seed, sim.Options{
		Members: o.members, Boards: o.boards, Rate: o.rate, Prefix: o.prefix, Steady: !o.bursts,
	})
	for _, b := range world.Boards() {
		if err := createBoard(ctx, c, b); err != nil {
			return o.remote.explain(err)
		}
	}
	fmt.Fprintf(t.Out, "seed %d: %s on %s, %s/s offered in batches of %d\n",
		o.seed, count(o.members, "member"), count(o.boards, "board"), grouped(int(o.rate)), o.batch)

	driver := sim.NewDriver(world, submitter(c), sim.DriverOptions{
		Batch: o.batch, InFlight: o.inFlight, Duration: o.duration, Code: codeOf,
	})
	var tables atomic.Int64
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching, reporting sync.WaitGroup
	for i := range o.viewers {
		board := world.Boards()[i%o.boards].ID
		watching.Go(func() {
			for _, err := range c.Watch(ctx, board, client.WatchOptions{}) {
				if err != nil {
					fmt.Fprintf(t.Err, "laurel: viewer: %v\n", err)
					return
				}
				tables.Add(1)
			}
		})
	}
	ended := make(chan struct{})
	reporting.Go(func() { progress(t, driver, ended) })

	err = driver.Run(ctx)
	close(ended)
	cancel()
	reporting.Wait()
	watching.Wait()
	if err != nil {
		return err
	}
	stats := driver.Stats()
	summary(t, stats, o.rate)
	if o.viewers > 0 {
		fmt.Fprintf(t.Out, "viewers    %s got %s\n", count(o.viewers, "viewer"), count(int(tables.Load()), "table"))
	}
	failed := 0
	for _, n := range stats.Errors {
		failed += n
	}
	if failed > 0 {
		return fmt.Errorf("%s of %s failed", grouped(failed), count(stats.Requests, "request"))
	}
	return nil
}

func createBoard(ctx context.Context, c *client.Client, b leaderboard.Board) error {
	_, err := c.CreateBoard(ctx, client.Settings{
		ID:         b.ID,
		Order:      string(b.Order),
		Policy:     string(b.Policy),
		Decimals:   b.Decimals,
		Ties:       string(b.Ties),
		RankStyle:  string(b.RankStyle),
		Top:        b.Top,
		IntervalMS: b.Interval,
	})
	if client.CodeOf(err) == client.CodeBoardExists {
		return nil
	}
	return err
}

// submitter sends events to a server.
func submitter(c *client.Client) func(context.Context, string, []sim.Event) error {
	return func(ctx context.Context, board string, events []sim.Event) error {
		submissions := make([]client.Submission, len(events))
		for i, e := range events {
			submissions[i] = client.Submission{Member: e.Member, Score: client.Score(e.Score.String())}
			if e.Data != nil {
				submissions[i].Data = e.Data
			}
		}
		_, err := c.Submit(ctx, board, submissions...)
		return err
	}
}

// codeOf names an error for counting.
func codeOf(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok {
		if e.Code != "" {
			return e.Code
		}
		return fmt.Sprintf("http_%d", e.Status)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "connection"
}

// progress prints a line each second until the driver has ended.
func progress(t terminal, d *sim.Driver, ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last sim.Stats
	for second := 1; ; second++ {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		stats := d.Stats()
		latencies := stats.Latencies.Since(&last.Latencies)
		line := fmt.Sprintf("%4ds  %8s/s  p50 %-8s p99 %-8s", second,
			grouped(stats.Submitted-last.Submitted), short(latencies.Quantile(0.5)), short(latencies.Quantile(0.99)))
		if stats.Behind > 100*time.Millisecond {
			line += "  behind by " + short(stats.Behind)
		}
		if len(stats.Errors) > 0 {
			line += "  errors " + errorCounts(stats.Errors)
		}
		fmt.Fprintln(t.Out, strings.TrimRight(line, " "))
		last = stats
	}
}

func summary(t terminal, s sim.Stats, asked float64) {
	fmt.Fprintf(t.Out, "\nsubmitted  %s in %s: %s/s, of %s/s asked for\n",
		count(s.Submitted, "score"), s.Elapsed.Round(time.Millisecond), grouped(int(float64(s.Submitted)/s.Elapsed.Seconds())), grouped(int(asked)))
	fmt.Fprintf(t.Out, "latency    p50 %s, p99 %s, max %s of %s\n",
		short(s.Latencies.Quantile(0.5)), short(s.Latencies.Quantile(0.99)), short(s.Latencies.Max()), count(s.Requests, "request"))
	if len(s.Errors) == 0 {
		fmt.Fprintln(t.Out, "errors     none")
	} else {
		fmt.Fprintf(t.Out, "errors     %s\n", errorCounts(s.Errors))
	}
}

func errorCounts(errors map[string]int) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(errors)) {
		parts = append(parts, fmt.Sprintf("%s %s", code, grouped(errors[code])))
	}
	return strings.Join(parts, ", ")
}

// short writes a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0fms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%dµs", d.Microseconds())
}
