package redisstore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's figures.
type metrics struct {
	callOps     prometheus.Histogram
	call        prometheus.Histogram
	operations  prometheus.Counter
	epochs      prometheus.Counter
	unavailable prometheus.Counter
	spread      prometheus.Counter
	helped      prometheus.Counter
	owned       prometheus.Gauge

	collectors []prometheus.Collector
}

func newMetrics(s *Store) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		callOps: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "laurel_store_call_operations",
			Help:    "Operations carried out with one call of Redis.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 6),
		}),
		call: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "laurel_store_call_seconds",
			Help:    "Time until Redis has carried out a call.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 3, 11),
		}),
		operations:  counter("laurel_store_operations_total", "Operations carried out, those that changed nothing included."),
		epochs:      counter("laurel_store_epochs_total", "Times that the data of a partition may have been lost."),
		unavailable: counter("laurel_store_unavailable_total", "Times that Redis did not answer in time or refused a write."),
		spread:      counter("laurel_store_spread_batches_total", "Batches over several partitions."),
		helped:      counter("laurel_store_helped_batches_total", "Batches over several partitions that this node ended for another one."),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "laurel_store_owned_partitions",
			Help: "Partitions whose changes this node tells.",
		}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.collectors = []prometheus.Collector{
		m.callOps, m.call, m.operations, m.epochs, m.unavailable, m.spread, m.helped, m.owned,
		gauge("laurel_store_unacknowledged_boards", "Boards with changes that nobody has acknowledged, in partitions whose changes this node tells.", func() float64 {
			lag := 0
			for _, p := range s.parts {
				lag += p.changes.lag()
			}
			return float64(lag)
		}),
		gauge("laurel_store_writable", "Whether writes are taken.", func() float64 {
			if s.Writable() != nil {
				return 0
			}
			return 1
		}),
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.collectors {
		if err := r.Register(c); err != nil {
			m.collectors = m.collectors[:i] // the others are somebody else's
			m.unregister(r)
			return err
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.collectors {
		r.Unregister(c)
	}
}

// observe counts a call.
func (m *metrics) observe(took time.Duration, ops int) {
	m.call.Observe(took.Seconds())
	m.callOps.Observe(float64(ops))
	m.operations.Add(float64(ops))
}
