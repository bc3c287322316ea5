package feed

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	changed   prometheus.Gauge
	published prometheus.Counter
	skipped   prometheus.Counter
	failed    prometheus.Counter
	took      prometheus.Histogram
	age       prometheus.Histogram
}

// newMetrics makes the metrics and registers them with reg, unless it is nil.
func newMetrics(reg prometheus.Registerer) *metrics {
	with := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return with.NewCounter(prometheus.CounterOpts{Namespace: "laurel", Subsystem: "feed", Name: name, Help: help})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return with.NewHistogram(prometheus.HistogramOpts{
			Namespace: "laurel", Subsystem: "feed", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8), // 0.1 ms to 1.6 s
		})
	}
	return &metrics{
		changed: with.NewGauge(prometheus.GaugeOpts{
			Namespace: "laurel", Subsystem: "feed", Name: "changed_boards", Help: "Boards with a change that is not published yet.",
		}),
		published: counter("publications_total", "Tables that were published."),
		skipped:   counter("skipped_total", "Changes of a board that were left out because no viewer would see a difference."),
		failed:    counter("failures_total", "Attempts to read and publish a table that failed."),
		took:      seconds("publish_seconds", "Time to read, encode and publish a table."),
		age:       seconds("age_seconds", "Time from hearing of a board's change to the end of its publication."),
	}
}

// attempted counts an attempt that has just ended.
func (m *metrics) attempted(a attempt, now time.Time) {
	switch {
	case a.err != nil:
		m.failed.Inc()
	case a.skipped:
		m.skipped.Inc()
	default:
		m.published.Inc()
		m.took.Observe(a.took.Seconds())
		m.age.Observe(now.Sub(a.board.since).Seconds())
	}
}
