package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"laurel/internal/leaderboard"
)

const (
	window     = 64       // boards in one look at a queue
	maxAnswer  = 16 << 10 // bytes of an answer that are read, so that the connection can be used again
	maxGrowths = 30       // how often a pause is doubled
)

// worker delivers the events of a hook.
type worker struct {
	hooks  *Hooks
	hook   Hook
	log    *slog.Logger
	client *http.Client
	wake   chan struct{} // holds one, as one is enough to look

	// Owned by run.

	failures int              // in a row, of all boards: when there are some, the target is to blame
	until    time.Time        // nothing is tried before
	lines    map[line]*backed // those whose last attempt failed
	queued   [2]int           // events in each queue
	silent   bool             // that a queue cannot be read was logged
}

// line is what an event waits in: those of one are delivered in their order.
type line struct{ queue, board string }

func lineOf(m leaderboard.Message) line { return line{m.Queue, m.Board} }

// backed is a line whose oldest event could not be delivered.
type backed struct {
	failures int
	due      time.Time
}

func newWorker(h *Hooks, hook Hook) *worker {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1
	return &worker{
		hooks: h, hook: hook,
		log:   h.log.With("hook", hook.Name),
		wake:  make(chan struct{}, 1),
		lines: make(map[line]*backed),
		client: &http.Client{
			Transport: transport,
			// Who has moved is to be told to the operator, not followed with what was signed for another.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// nudge has the worker look at its queue.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		timer.Reset(time.Until(w.pass(ctx)))
	}
}

// pass delivers what can be delivered now, at most one event of each board and queue, and
// returns when to look again.
func (w *worker) pass(ctx context.Context) (next time.Time) {
	if time.Now().Before(w.until) {
		return w.until
	}
	l := look{next: time.Now().Add(w.hooks.opts.Poll)}
	whole := w.take(ctx, w.hook.queue(NewLeader), &l) && w.take(ctx, w.hook.queue(SeasonEnded), &l)
	if whole || !l.oldest.IsZero() {
		w.hooks.metrics.since(w.hook.Name, l.oldest)
	}
	if !whole {
		return w.until
	}
	if w.queued == [2]int{} {
		clear(w.lines)
	}
	return l.next
}

// look is what a worker comes upon in its queues.
type look struct {
	next   time.Time // when to look again
	oldest time.Time // since when the oldest event that was seen could be delivered; zero: there is none
}

// take delivers from a queue. It returns false if nothing more is to be tried before
// w.until.
func (w *worker) take(ctx context.Context, queue string, l *look) bool {
	for after, more := "", true; more; {
		if time.Now().Before(w.until) || ctx.Err() != nil {
			return false
		}
		found, err := w.hooks.store.Waiting(ctx, queue, after, window)
		if ctx.Err() != nil {
			return false
		}
		w.readable(err)
		if after == "" {
			w.count(queue, found.Queued)
		}
		for _, m := range found.Oldest {
			after = m.Board
			e, err := w.parse(ctx, m)
			if err != nil {
				continue
			}
			if due := e.due(); time.Now().Before(due) {
				l.next = sooner(l.next, due)
				continue
			} else if l.oldest.IsZero() || due.Before(l.oldest) {
				l.oldest = due
			}
			if b := w.lines[lineOf(m)]; b != nil && time.Now().Before(b.due) {
				l.next = sooner(l.next, b.due)
				continue
			}
			if !w.deliver(ctx, m, e) || ctx.Err() != nil {
				return false
			}
			l.next = time.Now() // there may be another one of this board
		}
		more = err == nil && len(found.Oldest) == window
	}
	return true
}

// count notes how many events are in a queue.
func (w *worker) count(queue string, queued int) {
	i := 0
	if queue == w.hook.queue(SeasonEnded) {
		i = 1
	}
	w.queued[i] = queued
	w.hooks.metrics.waiting.WithLabelValues(w.hook.Name).Set(float64(w.queued[0] + w.queued[1]))
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// readable takes notice of whether the queue could be read.
func (w *worker) readable(err error) {
	switch {
	case err != nil && !w.silent:
		w.log.Error("cannot read the queue of a hook, trying again", "error", err)
	case err == nil && w.silent:
		w.log.Info("reading the queue of a hook again")
	}
	w.silent = err != nil
}

// parse reads an event. One that nobody can read is taken out.
func (w *worker) parse(ctx context.Context, m leaderboard.Message) (e event, err error) {
	if err = json.Unmarshal(m.Text, &e); err != nil {
		w.log.Error("event cannot be read, it is not delivered", "board", m.Board, "text", string(m.Text), "error", err)
		_ = w.settle(ctx, m, nil)
	}
	return e, err
}

// settle takes a message out of its queue, or keeps how far it has come.
func (w *worker) settle(ctx context.Context, m leaderboard.Message, text []byte) error {
	err := w.hooks.store.Settle(ctx, m, text)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("cannot note that an event was delivered, it will be delivered again", "board", m.Board, "error", err)
		w.until = time.Now().Add(w.pause(1))
	}
	return err
}

// deliver tries once to deliver an event, or a page of it. It returns false if
// nothing more is to be tried before w.until.
func (w *worker) deliver(ctx context.Context, m leaderboard.Message, e event) bool {
	delivery, last, err := w.hooks.compose(ctx, w.hook, e)
	if err == nil && time.Now().Before(delivery.FinalAt) {
		e.FinalAt = delivery.FinalAt
		text, err := json.Marshal(e)
		if err != nil {
			return w.failed(ctx, m, e, 0, err)
		}
		return w.settle(ctx, m, text) == nil
	}
	if err == nil && delivery.ID == "" { // the standing has become shorter meanwhile
		return w.settle(ctx, m, nil) == nil
	}
	var wait time.Duration // the target asks for it
	if err == nil {
		start := time.Now()
		wait, err = w.post(ctx, delivery)
		if ctx.Err() != nil {
			return false
		}
		w.hooks.metrics.took.Observe(time.Since(start).Seconds())
	}
	if err != nil {
		return w.failed(ctx, m, e, wait, err)
	}
	w.hooks.metrics.deliveries.WithLabelValues(w.hook.Name, "delivered").Inc()
	w.succeeded(m)
	var text []byte
	if !last {
		e.Done++
		if text, err = json.Marshal(e); err != nil {
			return w.failed(ctx, m, e, 0, err)
		}
	}
	return w.settle(ctx, m, text) == nil
}

// succeeded notes that the target has taken something.
func (w *worker) succeeded(m leaderboard.Message) {
	const many = 3 // failures in a row, after which it was not about one board
	if w.failures >= many {
		w.log.Info("target of a hook is back", "failures", w.failures)
		clear(w.lines)
	}
	w.failures = 0
	delete(w.lines, lineOf(m))
}

// failed notes that an event could not be delivered, and gives it up if that has
// been so for too long.
func (w *worker) failed(ctx context.Context, m leaderboard.Message, e event, wait time.Duration, cause error) bool {
	if ctx.Err() != nil {
		return false
	}
	w.failures++
	b := w.lines[lineOf(m)]
	if b == nil {
		b = &backed{}
		w.lines[lineOf(m)] = b
	}
	b.failures++
	now := time.Now()
	w.until = now.Add(max(w.pause(w.failures), wait))
	b.due = now.Add(max(w.pause(b.failures), wait))
	if now.Sub(e.due()) >= w.hooks.opts.GiveUp {
		w.hooks.metrics.deliveries.WithLabelValues(w.hook.Name, "given_up").Inc()
		w.log.Error("event given up", "board", m.Board, "event", e.Event, "id", e.ID, "recorded_at", e.At, "text", string(m.Text), "error", cause)
		delete(w.lines, lineOf(m))
		_ = w.settle(ctx, m, nil)
		return false
	}
	w.hooks.metrics.deliveries.WithLabelValues(w.hook.Name, "failed").Inc()
	if b.failures == 1 {
		w.log.Warn("cannot deliver an event, trying again", "board", m.Board, "event", e.Event, "id", e.ID, "error", cause)
	}
	return false
}

// pause is how long to wait after so many failures: twice as long each time, and a
// random part of it less, so that not all come at once to a target that is back.
func (w *worker) pause(failures int) time.Duration {
	d := w.hooks.opts.MinBackoff << min(failures-1, maxGrowths)
	if most := w.hooks.opts.MaxBackoff; d > most || d <= 0 {
		d = most
	}
	return d - rand.N(d/2+1)
}

// compose makes of an event what is delivered next of it, and says whether that is the last. What has no
// ID is nothing, and what has a FinalAt that is yet to come is not final.
func (h *Hooks) compose(ctx context.Context, hook Hook, e event) (delivery event, last bool, err error) {
	e.Delivery = e.ID
	if e.Event != SeasonEnded {
		return e, true, nil
	}
	done := e.Done
	e.Done = 0
	size := h.opts.Page
	page, err := h.store.Entries(ctx, leaderboard.Ref{Board: e.Board, Season: e.Season}, leaderboard.Range{Offset: done * size, Limit: size})
	s := &standing{Page: done + 1, Entries: []place{}}
	e.Standing = s
	e.Delivery = e.ID + "-" + strconv.Itoa(s.Page)
	if errors.Is(err, leaderboard.ErrSeasonNotFound) || errors.Is(err, leaderboard.ErrBoardNotFound) {
		s.Pages, s.Gone = s.Page, true
		return e, true, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("read the standing: %w", err)
	}
	if e.EndedAt.IsZero() {
		e.EndedAt = page.EndsAt
	}
	if grace := page.Board.Seasons.GracePeriod(); grace > 0 && e.FinalAt.IsZero() && !page.EndsAt.IsZero() {
		e.FinalAt = page.EndsAt.Add(grace)
	}
	told := page.Total
	if hook.Standing > 0 {
		told = min(told, hook.Standing)
	}
	s.Total, s.Pages = page.Total, max(1, (told+size-1)/size)
	if s.Page > s.Pages {
		return event{}, true, nil
	}
	entries := page.Entries[:max(0, min(len(page.Entries), told-done*size))]
	for _, entry := range entries {
		p := placeOf(page.Board, entry)
		p.Rank = entry.Rank
		s.Entries = append(s.Entries, *p)
	}
	return e, s.Page == s.Pages, nil
}

// post sends a delivery and returns nil if the target has taken it. If not, the target may ask
// for a pause.
func (w *worker) post(ctx context.Context, e event) (wait time.Duration, err error) {
	body, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.hooks.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Laurel/"+w.hooks.opts.Version)
	req.Header.Set("Laurel-Event", string(e.Event))
	req.Header.Set("Laurel-Delivery", e.Delivery)
	req.Header.Set(signatureHeader, sign(time.Now(), body, w.hook.Secrets))
	res, err := w.client.Do(req)
	if err != nil {
		return 0, plain(err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // what it says does not matter
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return 0, nil
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		wait = min(time.Duration(seconds)*time.Second, w.hooks.opts.MaxBackoff)
	}
	return wait, fmt.Errorf("the target answers %s", res.Status)
}
