package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"laurel/internal/api"
	"laurel/internal/centrifugo"
	"laurel/internal/feed"
	"laurel/internal/realtime"
)

// channelOptions are the rules of open channels as a configuration has them, or
// nil if there is none. Viewers have no tokens, so everybody is anonymous.
func channelOptions(config *centrifugo.Config) *realtime.ChannelOptions {
	if config == nil {
		return nil
	}
	c := config.Channel.WithoutNamespace
	return &realtime.ChannelOptions{
		Closed:         !config.Client.Insecure && (!c.AllowSubscribeForClient || !c.AllowSubscribeForAnonymous),
		HistorySize:    c.HistorySize,
		HistoryTTL:     c.HistoryTTL,
		HistoryMetaTTL: c.HistoryMetaTTL,
		Recovery:       c.ForceRecovery,
		Cache:          c.ForceRecoveryMode == "cache",
		Auto:           c.AutoCacheRecover,
		AllowDelta:     slices.Contains(c.AllowedDeltaTypes, "fossil"),
		AlwaysDelta:    c.DeltaPublish,
	}
}

// newConsumer returns what reads the streams of a configuration.
func (d *Daemon) newConsumer(configs []centrifugo.ConsumerConfig) *centrifugo.Consumer {
	return centrifugo.NewConsumer(configs, centrifugo.Handlers{
		Publish: func(ctx context.Context, p centrifugo.Publication) error {
			return d.realtime.Send(ctx, realtime.Message(p))
		},
		Submit: d.submit,
	}, centrifugo.ConsumerOptions{
		ShutdownTimeout: d.opts.ShutdownTimeout,
		Log:             d.log.With("part", "consumers"),
		Metrics:         d.registry,
	})
}

// submit applies a submission that came by a stream, once under its name.
func (d *Daemon) submit(ctx context.Context, name string, payload []byte) error {
	board, submissions, err := api.DecodeEvent(payload)
	if err != nil {
		return err
	}
	_, err = d.service.SubmitOnce(ctx, name, board, submissions)
	return err
}

// newPublisher returns what the feed publishes to: Laurel's own viewers and, if
// the options say so, those of a Centrifugo.
func (d *Daemon) newPublisher() (feed.Publisher, error) {
	if d.opts.Publisher == nil {
		return d.realtime, nil
	}
	opts := *d.opts.Publisher
	opts.Log, opts.Metrics = d.log.With("part", "centrifugo"), d.registry
	var err error
	if d.publisher, err = centrifugo.NewPublisher(opts); err != nil {
		return nil, fmt.Errorf("centrifugo: %w", err)
	}
	return each{d.realtime, d.publisher}, nil
}

// each publishes a table to several publishers. If one of them fails, the table
// is published again to all, and those that have it drop it.
type each []feed.Publisher

func (e each) Publish(ctx context.Context, table feed.Publication) error {
	var errs []error
	for _, to := range e {
		errs = append(errs, to.Publish(ctx, table))
	}
	return errors.Join(errs...)
}
