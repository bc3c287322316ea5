// Package hooks tells other programs by HTTP what happens to boards: that another
// member leads, that a record is beaten, that a season has ended.
//
// [Hooks] is the witness of a feed. It compares what a board's viewers are about to see
// with a note of what was told last, and if there is something to tell, it puts an event
// into the queue of each hook that asked for it, together with the new note, in one
// step of the store's outbox. So an event is recorded once, whatever crashes and
// however many nodes look, and the change that it comes from is acknowledged only then.
//
// Each hook has a worker, which takes the events from its queue to its target, those
// about a board one after another. An event is taken out of the queue when the target has
// answered 2xx. Until then it is tried again, after pauses that grow, and it may
// arrive more than once, with the same id. When a target is down, its own events wait, and
// nobody else's.
package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/leaderboard"
)

// Kind is a kind of event. Kinds are part of the API and never change.
type Kind string

// The kinds of events.
const (
	NewLeader    Kind = "new_leader"    // another member stands first
	RecordBeaten Kind = "record_beaten" // the best score that the board ever had was beaten
	SeasonEnded  Kind = "season_ended"  // with the standing at its end
)

var kinds = []Kind{NewLeader, RecordBeaten, SeasonEnded}

// Hook is where events are sent, and which.
type Hook struct {
	Name   string   // names its queue: after another one, what waits in the queue is not found any more
	URL    string   // http or https
	Events []Kind   // none: all
	Boards []string // patterns of [path.Match] for the ids of boards; none: all

	// Secrets are the keys that deliveries are signed with, one, or two while a
	// receiver changes from one to another: then each delivery has both signatures.
	Secrets []string

	// Queue is how many events may wait, of each partition where the store has some; 0
	// is DefaultQueue. An event for which there is no room is left out. The ends of
	// seasons have a queue of their own, which is as long.
	Queue int

	// Standing is how many entries of an ended season are told, from the top; 0 is all.
	Standing int
}

// Limits of a [Hook].
const (
	MaxHooks        = 32
	DefaultQueue    = 10_000
	MaxQueue        = 1_000_000
	MinSecretLength = 16
	maxSecrets      = 2
	maxNameLength   = 32
)

// validate reports what is wrong with a hook, as a [*SettingError].
func (h Hook) validate() error {
	wrong := func(setting, format string, args ...any) error {
		return &SettingError{Setting: setting, Message: fmt.Sprintf(format, args...)}
	}
	if !validName(h.Name) {
		return wrong("name", "is %q, must be 1 to %d lower-case letters, digits, hyphens and underscores", h.Name, maxNameLength)
	}
	u, err := url.Parse(h.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return wrong("url", "is not like https://game.example/laurel") // and may have a password in it
	}
	if len(h.Secrets) < 1 || len(h.Secrets) > maxSecrets {
		return wrong("secret", "has %d values, must have one, or two while it changes", len(h.Secrets))
	}
	for _, secret := range h.Secrets {
		if len(secret) < MinSecretLength {
			return wrong("secret", "has %d characters, at least %d are needed; %q makes a good one", len(secret), MinSecretLength, "openssl rand -hex 32")
		}
	}
	for _, kind := range h.Events {
		if !slices.Contains(kinds, kind) {
			return wrong("events", "has %q, must be of %s, %s and %s", kind, NewLeader, RecordBeaten, SeasonEnded)
		}
	}
	for _, pattern := range h.Boards {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return wrong("boards", "has %q, which is no pattern such as eu.*", pattern)
		}
	}
	if h.Queue < 0 || h.Queue > MaxQueue {
		return wrong("queue", "is %d, must be from 1 to %d", h.Queue, MaxQueue)
	}
	if h.Standing < 0 {
		return wrong("standing", "is %d, must be at least 1", h.Standing)
	}
	return nil
}

func validName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	return name != "" && len(name) <= maxNameLength && strings.Trim(name, allowed) == ""
}

// asks reports whether a hook asked for events of a kind about a board.
func (h Hook) asks(kind Kind, board string) bool {
	if len(h.Events) > 0 && !slices.Contains(h.Events, kind) {
		return false
	}
	return len(h.Boards) == 0 || slices.ContainsFunc(h.Boards, func(pattern string) bool {
		ok, _ := path.Match(pattern, board) // it was validated
		return ok
	})
}

// queue returns the name of the queue for events of a kind. The ends of seasons may have to
// wait, until late scores are in, and take long; they keep no other event of their board waiting.
func (h Hook) queue(kind Kind) string {
	if kind == SeasonEnded {
		return h.Name + ".seasons"
	}
	return h.Name
}

// Store is what hooks need of the store.
type Store interface {
	leaderboard.Outbox

	// Entries returns a page of a season, or [leaderboard.ErrBoardNotFound] or
	// [leaderboard.ErrSeasonNotFound].
	Entries(ctx context.Context, at leaderboard.Ref, r leaderboard.Range) (leaderboard.Page, error)
}

// Options are the settings of [Hooks]. The zero value works.
type Options struct {
	MinBackoff time.Duration // after a first failure; 0 is 1 s
	MaxBackoff time.Duration // between two attempts at the most; 0 is 5 minutes
	GiveUp     time.Duration // after which an event that fails is not tried again, since it was recorded; 0 is 24 h
	Timeout    time.Duration // of an attempt; 0 is 10 s
	Poll       time.Duration // between two looks at a queue for what other nodes put there; 0 is 1 s
	Page       int           // entries in a page of a standing; 0 is [leaderboard.MaxLimit]

	// Shared says that other nodes have the same store, and notice events too: then
	// what was told last is read anew each time.
	Shared bool

	Version string                // of the server, for the targets
	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: metrics are not shown
}

func (o Options) withDefaults() Options {
	o.MinBackoff = cmp.Or(o.MinBackoff, time.Second)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 5*time.Minute)
	o.GiveUp = cmp.Or(o.GiveUp, 24*time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Poll = cmp.Or(o.Poll, time.Second)
	o.Page = cmp.Or(o.Page, leaderboard.MaxLimit)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// Hooks notices events and delivers them. Its Run must be called, once.
type Hooks struct {
	store   Store
	opts    Options
	log     *slog.Logger
	metrics *metrics
	workers []*worker // one of each hook

	mu    sync.Mutex
	notes map[string]known // guarded by mu; by board, of some
}

// New returns hooks over a store. A hook that is not valid is a [*SettingError].
func New(store Store, list []Hook, opts Options) (*Hooks, error) {
	if err := Validate(list); err != nil {
		return nil, err
	}
	h := &Hooks{store: store, opts: opts.withDefaults(), notes: make(map[string]known)}
	h.log = h.opts.Log
	h.metrics = newMetrics(h.opts.Metrics)
	for _, hook := range list {
		hook.Queue = cmp.Or(hook.Queue, DefaultQueue)
		h.workers = append(h.workers, newWorker(h, hook))
	}
	return h, nil
}

// Validate reports what is wrong with a list of hooks, as a [*SettingError].
func Validate(list []Hook) error {
	if len(list) > MaxHooks {
		return &SettingError{Setting: "hooks", Message: fmt.Sprintf("has %d, at most %d are possible", len(list), MaxHooks)}
	}
	for i, hook := range list {
		err := hook.validate()
		if err == nil && slices.ContainsFunc(list[:i], func(other Hook) bool { return other.Name == hook.Name }) {
			err = &SettingError{Setting: "name", Message: fmt.Sprintf("is %q, as that of another hook", hook.Name)}
		}
		if wrong, ok := errors.AsType[*SettingError](err); ok {
			wrong.Setting = fmt.Sprintf("hooks[%d].%s", i, wrong.Setting)
			return wrong
		}
	}
	return nil
}

// Run delivers until ctx is done. What is not delivered by then stays where it is.
func (h *Hooks) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, w := range h.workers {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
}
