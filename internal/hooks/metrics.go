package hooks

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	recorded   *prometheus.CounterVec
	dropped    *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	waiting    *prometheus.GaugeVec
	took       prometheus.Histogram

	mu     sync.Mutex
	oldest map[string]time.Time // guarded by mu; by hook, since when its oldest event waits
	age    *prometheus.Desc
}

// newMetrics makes the metrics and registers them with reg, unless it is nil.
func newMetrics(reg prometheus.Registerer) *metrics {
	with := promauto.With(reg)
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "laurel", Subsystem: "hooks", Name: name, Help: help}
	}
	m := &metrics{
		recorded:   with.NewCounterVec(prometheus.CounterOpts(opts("recorded_total", "Events that were put into the queue of a hook.")), []string{"hook", "event"}),
		dropped:    with.NewCounterVec(prometheus.CounterOpts(opts("dropped_total", "Events that were lost because the queue of a hook was full.")), []string{"hook"}),
		deliveries: with.NewCounterVec(prometheus.CounterOpts(opts("deliveries_total", "Attempts to deliver an event: delivered, failed, or given_up after too long.")), []string{"hook", "result"}),
		waiting:    with.NewGaugeVec(prometheus.GaugeOpts(opts("waiting", "Events in the queue of a hook that this node delivers.")), []string{"hook"}),
		took: with.NewHistogram(prometheus.HistogramOpts{
			Namespace: "laurel", Subsystem: "hooks", Name: "attempt_seconds", Help: "Time until a target has answered, or has not.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8), // 1 ms to 16 s
		}),
		oldest: make(map[string]time.Time),
		age: prometheus.NewDesc("laurel_hooks_oldest_seconds", "How long the oldest event in the queue of a hook has waited.",
			[]string{"hook"}, nil),
	}
	if reg != nil {
		reg.MustRegister(ages{m})
	}
	return m
}

// since notes since when the oldest event of a hook waits; zero is that none does.
func (m *metrics) since(hook string, oldest time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.oldest[hook] = oldest
}

// ages tells how long events have waited, which grows while nobody looks at a
// queue.
type ages struct{ *metrics }

func (a ages) Describe(to chan<- *prometheus.Desc) { to <- a.age }

func (a ages) Collect(to chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for hook, oldest := range a.oldest {
		seconds := 0.0
		if !oldest.IsZero() {
			seconds = time.Since(oldest).Seconds()
		}
		to <- prometheus.MustNewConstMetric(a.age, prometheus.GaugeValue, seconds, hook)
	}
}
