package centrifugo

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// consumerMetrics are labelled by what configurations have few of: consumers,
// streams, methods and kinds of poison.
type consumerMetrics struct {
	processed *prometheus.CounterVec
	dead      *prometheus.CounterVec
	retries   *prometheus.CounterVec
	claimed   *prometheus.CounterVec
	lost      *prometheus.CounterVec
	reading   *prometheus.GaugeVec
	behind    *prometheus.GaugeVec
}

func newConsumerMetrics(reg prometheus.Registerer) *consumerMetrics {
	with := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return with.NewCounterVec(prometheus.CounterOpts{Namespace: "laurel", Subsystem: "consumer", Name: name, Help: help}, append([]string{"consumer"}, labels...))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return with.NewGaugeVec(prometheus.GaugeOpts{Namespace: "laurel", Subsystem: "consumer", Name: name, Help: help}, []string{"consumer", "stream"})
	}
	return &consumerMetrics{
		processed: counter("processed_total", "Entries of streams that were carried out.", "method"),
		dead:      counter("dead_total", "Entries of streams that nothing could be done with and that were set aside.", "kind"),
		retries:   counter("retries_total", "Attempts to carry out an entry of a stream that failed and were made again."),
		claimed:   counter("claimed_total", "Entries of streams that were taken over from a worker that had left them."),
		lost:      counter("lost_total", "Entries that were trimmed from their stream after they were delivered and before they were carried out."),
		reading:   gauge("reading", "Whether a stream is read: 1, or 0 while its Redis is away."),
		behind:    gauge("behind", "Entries of a stream that were not delivered yet; looked up once a minute."),
	}
}

// limiter lets one line of each kind through in a minute.
type limiter struct {
	mu    sync.Mutex
	kinds map[string]*lines // guarded by mu
}

type lines struct {
	last    time.Time
	dropped int
}

// allow reports whether a line may be logged, and how many were dropped before it.
func (l *limiter) allow(kind string) (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.kinds[kind]
	if of == nil {
		if l.kinds == nil {
			l.kinds = map[string]*lines{}
		}
		of = &lines{}
		l.kinds[kind] = of
	}
	if now := time.Now(); of.last.IsZero() || now.Sub(of.last) >= time.Minute {
		dropped, of.dropped, of.last = of.dropped, 0, now
		return dropped, true
	}
	of.dropped++
	return 0, false
}
