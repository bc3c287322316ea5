package redisstore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// What is known of a server.
const (
	unanswered int32 = iota
	notifies
	silent
)

// listener listens to what a server notifies of the ZSETs of boards.
type listener struct {
	adopter *adopter
	address string
	node    rueidis.Client
	turn    chan struct{} // holds one: other channels are wanted
	state   atomic.Int32
	stop    context.CancelFunc
}

func newListener(a *adopter, address string, node rueidis.Client) *listener {
	return &listener{adopter: a, address: address, node: node, turn: make(chan struct{}, 1)}
}

func (l *listener) hurry() {
	select {
	case l.turn <- struct{}{}:
	default: // it will
	}
}

func (l *listener) run(ctx context.Context) {
	for failures := 0; ; failures++ {
		start := time.Now()
		l.listen(ctx)
		l.state.Store(unanswered)
		if time.Since(start) > time.Second {
			failures = 0
		}
		if !pause(ctx, backOff(failures)) {
			return
		}
	}
}

// listen listens on one connection until that ends. Each ZSET is noted when the
// server has begun to notify of it, as it may have changed before.
func (l *listener) listen(ctx context.Context) {
	a := l.adopter
	c, release := l.node.Dedicate()
	defer release()
	defer c.Close()
	subscribed := make(chan struct{}, 1)
	ended := c.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) { a.note(strings.TrimPrefix(m.Channel, a.prefix)) },
		OnSubscription: func(s rueidis.PubSubSubscription) {
			if s.Kind == "subscribe" {
				a.note(strings.TrimPrefix(s.Channel, a.prefix))
				select {
				case subscribed <- struct{}{}:
				default:
				}
			}
		},
	})
	tick := time.NewTicker(min(5*time.Second, a.store.opts.Poll))
	defer tick.Stop()
	have, listening := make(map[string]struct{}), false
	for {
		a.mu.Lock()
		want := a.wanted // it is never changed
		a.mu.Unlock()
		if !l.follow(ctx, c, have, want) {
			return
		}
		have = maps.Clone(want)
		select {
		case <-l.turn:
		case <-subscribed:
			if !listening {
				listening = true
				l.ask(ctx)
			}
		case <-tick.C:
			if listening {
				l.ask(ctx)
			}
		case err := <-ended:
			a.store.log.Debug("listening for changes of ZSETs has ended", "server", l.address, "err", err)
			return
		case <-ctx.Done():
			return
		}
	}
}

// follow subscribes to what is new and leaves what is not wanted any more.
func (l *listener) follow(ctx context.Context, c rueidis.DedicatedClient, have, want map[string]struct{}) bool {
	limited, cancel := context.WithTimeout(ctx, l.adopter.store.opts.Timeout)
	defer cancel()
	if more := without(want, have); len(more) > 0 {
		if c.Do(limited, c.B().Subscribe().Channel(more...).Build()).Error() != nil {
			return false
		}
	}
	if gone := without(have, want); len(gone) > 0 {
		if c.Do(limited, c.B().Unsubscribe().Channel(gone...).Build()).Error() != nil {
			return false
		}
	}
	return true
}

func without(all, less map[string]struct{}) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(s string) bool {
		_, ok := less[s]
		return ok
	})
}

// ask asks whether the server notifies of what can happen to a ZSET: changes, and
// that it is deleted, renamed or expires. It is left to whoever runs the server to
// switch that on.
func (l *listener) ask(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, l.adopter.store.opts.Timeout)
	defer cancel()
	const option = "notify-keyspace-events"
	is, err := l.node.Do(limited, l.node.B().ConfigGet().Parameter(option).Build()).AsStrMap()
	if _, refused := rueidis.IsRedisErr(err); err != nil && !refused {
		return // it does not answer
	}
	flags, missing := is[option], missingEvents(is[option])
	a := l.adopter
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil && missing == "" {
		l.state.Store(notifies)
		if a.quiet {
			a.quiet = false
			a.store.log.Info("changes of ZSETs are notified of by Redis", "server", l.address)
		}
		return
	}
	l.state.Store(silent)
	if a.quiet {
		return
	}
	a.quiet = true
	if err != nil {
		a.store.log.Info("changes of ZSETs are looked for every second, as Redis does not say whether it notifies of them", "server", l.address, "err", err)
		return
	}
	a.store.log.Info("changes of ZSETs are looked for every second, as Redis does not notify of them; a command switches it on",
		"server", l.address, "command", "CONFIG SET "+option+" "+flags+missing)
}

// missingEvents returns the letters that have to be added for all that is needed.
func missingEvents(flags string) string {
	var missing []byte
	for _, letter := range []byte("Kzgx") {
		all := letter != 'K' && strings.Contains(flags, "A")
		if !all && strings.IndexByte(flags, letter) < 0 {
			missing = append(missing, letter)
		}
	}
	return string(missing)
}
