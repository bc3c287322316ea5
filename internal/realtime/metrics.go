package realtime

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are those that the library does not have.
type metrics struct {
	outdated prometheus.Counter
	fills    prometheus.Counter
	ranks    prometheus.Counter
	watched  prometheus.Gauge
	refused  prometheus.Counter
	resyncs  prometheus.Counter
	repairs  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	with := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return with.NewCounter(prometheus.CounterOpts{Namespace: "laurel", Subsystem: "realtime", Name: name, Help: help})
	}
	return &metrics{
		outdated: counter("outdated_total", "Tables that were left out because viewers had one as new."),
		fills:    counter("fills_total", "Tables that were read for a viewer because none was kept."),
		ranks:    counter("rank_publications_total", "Standings of members that were published."),
		watched: with.NewGauge(prometheus.GaugeOpts{
			Namespace: "laurel", Subsystem: "realtime", Name: "watched_members", Help: "Members whose standing somebody watches.",
		}),
		resyncs: counter("resyncs_total", "Boards whose viewers here were made to subscribe again, because Redis had lost something."),
		repairs: counter("repairs_total", "Tables in Redis that were replaced, because they were not of the board as the store has it."),
		refused: counter("refused_origins_total", "Requests of pages of origins that may not connect."),
	}
}
