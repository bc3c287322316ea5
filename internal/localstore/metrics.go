package localstore

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's figures.
type metrics struct {
	boards  atomic.Int64
	entries atomic.Int64

	groupOps   prometheus.Histogram
	commit     prometheus.Histogram
	operations prometheus.Counter
	failures   prometheus.Counter

	collectors []prometheus.Collector
}

func newMetrics(s *Store) *metrics {
	m := &metrics{
		groupOps: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "laurel_store_group_operations",
			Help:    "Operations carried out with one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "laurel_store_commit_seconds",
			Help:    "Time to make a group durable.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 3, 11),
		}),
		operations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "laurel_store_operations_total",
			Help: "Operations carried out, those that changed nothing included.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "laurel_store_disk_failures_total",
			Help: "Times that the disk failed.",
		}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.collectors = []prometheus.Collector{
		m.groupOps, m.commit, m.operations, m.failures,
		gauge("laurel_store_boards", "Boards.", func() float64 { return float64(m.boards.Load()) }),
		gauge("laurel_store_entries", "Entries of all boards in memory: those of current seasons, and of past ones that are not final.", func() float64 { return float64(m.entries.Load()) }),
		gauge("laurel_store_rank_bytes", "Memory of the ranks of all boards.", func() float64 { return float64(s.rankBytes()) }),
		gauge("laurel_store_unfinished_seasons", "Past seasons that are not final, and so in memory.", func() float64 { return float64(s.finisher.left()) }),
		gauge("laurel_store_unacknowledged_boards", "Boards with changes that nobody has acknowledged.", func() float64 { return float64(s.changes.lag()) }),
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

// observe counts a group.
func (m *metrics) observe(g *group) {
	ops := float64(len(g.steps))
	m.groupOps.Observe(ops)
	m.operations.Add(ops)
}

// rankBytes returns the memory that the ranks of all boards take, and those of past
// seasons that are not final.
func (s *Store) rankBytes() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	total := 0
	for _, id := range s.ids {
		b := s.boards[id]
		b.mu.RLock()
		total += b.ranks.Bytes()
		for _, p := range b.past {
			if p.ranks != nil {
				total += p.ranks.Bytes()
			}
		}
		b.mu.RUnlock()
	}
	return total
}
