package realtime

import (
	"context"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"

	"laurel/internal/leaderboard"
)

// ChannelOptions are the rules of open channels: those that are not Laurel's own
// and carry what [Realtime.Send] is given. Their names have no namespace, which
// is what stands before a colon.
type ChannelOptions struct {
	Closed bool // nobody may subscribe

	// How much is kept of a channel for those who come later, and for how long,
	// in whole seconds. Without it, versions do not count.
	HistorySize    int
	HistoryTTL     time.Duration
	HistoryMetaTTL time.Duration // how long the version is kept; not less than HistoryTTL

	// Recovery gives who comes back what it has missed; with Cache that is the
	// newest message, and with Auto also for who comes the first time. Without
	// Auto, that one has to ask for it.
	Recovery bool
	Cache    bool
	Auto     bool

	AllowDelta  bool // who asks for deltas gets them…
	AlwaysDelta bool // …also of messages that do not say that they may be sent so
}

// Message is what an open channel carries.
type Message struct {
	Channel      string
	Data         []byte // JSON in one line
	Version      uint64 // of the state that Data is; 0: it has none
	VersionEpoch string // versions of different epochs are not compared; "" compares with all
	Delta        bool   // it may be sent as a delta

	SkipHistory    bool   // it is not kept
	IdempotencyKey string // another message with the same is dropped for some minutes
	Tags           map[string]string
}

// codeUnknownChannel is the code of the error for a channel that there is not.
const codeUnknownChannel leaderboard.Code = "unknown_channel"

// isOpenChannel reports whether a channel may be an open one. A colon ends a
// namespace, and $ and # are marks of channels that not everybody may watch: to
// take them for letters would show to all what was meant for a few.
func isOpenChannel(channel string) bool {
	return channel != "" && len(channel) <= maxChannelLength && !strings.ContainsAny(channel, ":#") && channel[0] != '$'
}

// Send sends a message to those who watch its channel. One whose version is not
// above that of the last one is left out. It waits until the node runs.
func (r *Realtime) Send(ctx context.Context, m Message) error {
	select {
	case <-r.running:
	case <-ctx.Done():
		return ctx.Err()
	}
	o := r.channels
	if o == nil || !isOpenChannel(m.Channel) {
		return leaderboard.Errorf(codeUnknownChannel, "there is no channel %q to publish to", clip(m.Channel))
	}
	opts := []centrifuge.PublishOption{
		centrifuge.WithDelta(m.Delta || o.AlwaysDelta),
		centrifuge.WithIdempotencyKey(m.IdempotencyKey),
		centrifuge.WithTags(m.Tags),
		centrifuge.WithVersion(m.Version, m.VersionEpoch),
	}
	if o.HistorySize > 0 && !m.SkipHistory {
		opts = append(opts, centrifuge.WithHistory(o.HistorySize, o.HistoryTTL, o.HistoryMetaTTL))
	}
	result, err := r.node.Publish(m.Channel, m.Data, opts...)
	if err == nil && result.Suppressed {
		r.metrics.outdated.Inc()
	}
	return err
}

// subscribeOpen answers who wants to watch an open channel.
func (r *Realtime) subscribeOpen(channel string, done centrifuge.SubscribeCallback) {
	o := r.channels
	if o == nil || !isOpenChannel(channel) {
		done(centrifuge.SubscribeReply{}, centrifuge.ErrorUnknownChannel)
		return
	}
	if o.Closed {
		done(centrifuge.SubscribeReply{}, centrifuge.ErrorPermissionDenied)
		return
	}
	options := centrifuge.SubscribeOptions{
		EnableRecovery:   o.Recovery,
		AutoCacheRecover: o.Auto,
		HistoryMetaTTL:   o.HistoryMetaTTL,
	}
	if o.Cache {
		options.RecoveryMode = centrifuge.RecoveryModeCache
	}
	if o.AllowDelta {
		options.AllowedDeltaTypes = []centrifuge.DeltaType{centrifuge.DeltaTypeFossil}
	}
	done(centrifuge.SubscribeReply{Options: options}, nil)
}
