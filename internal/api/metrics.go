package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/leaderboard"
)

// unmatched stands for the route of a request that has none.
const unmatched = "none"

// metrics counts what is asked for. No label has a value that a client makes up.
type metrics struct {
	routes   map[*route]*routeMetrics
	none     *routeMetrics
	problems map[leaderboard.Code]prometheus.Counter
	panics   prometheus.Counter
	calls    *prometheus.CounterVec
	imported prometheus.Counter
}

// routeMetrics are those of one route, looked up once.
type routeMetrics struct {
	requests [5]prometheus.Counter // by class of status, 1xx first
	duration prometheus.Observer
}

func newMetrics(to prometheus.Registerer, table []route) *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "laurel_http_requests_total",
		Help: "Requests answered, by route, method and class of status.",
	}, []string{"route", "method", "status"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "laurel_http_request_duration_seconds",
		Help:    "Time from the end of a request's header to the end of its answer.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"route", "method"})
	problems := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "laurel_http_problems_total",
		Help: "Requests answered with an error, by its code.",
	}, []string{"code"})
	m := &metrics{
		routes:   map[*route]*routeMetrics{},
		problems: map[leaderboard.Code]prometheus.Counter{},
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "laurel_http_panics_total",
			Help: "Handlers that panicked.",
		}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "laurel_rpc_calls_total",
			Help: "Reads over live connections, by method and outcome: ok, or the code of the error.",
		}, []string{"method", "outcome"}),
		imported: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "laurel_imported_entries_total",
			Help: "Entries that imports have set.",
		}),
	}
	of := func(path, method string) *routeMetrics {
		rm := &routeMetrics{duration: duration.WithLabelValues(path, method)}
		for i := range rm.requests {
			rm.requests[i] = requests.WithLabelValues(path, method, strconv.Itoa(i+1)+"xx")
		}
		return rm
	}
	for i := range table {
		m.routes[&table[i]] = of(table[i].path, table[i].method)
	}
	m.none = of(unmatched, "any")
	for code := range statusOf {
		m.problems[code] = problems.WithLabelValues(string(code))
	}
	if to != nil {
		to.MustRegister(requests, duration, problems, m.panics, m.calls, m.imported)
	}
	return m
}

func (m *metrics) observe(x *exchange, took time.Duration) {
	rm := m.routes[x.route]
	if rm == nil {
		rm = m.none
	}
	rm.duration.Observe(took.Seconds())
	if class := x.sent/100 - 1; class >= 0 && class < len(rm.requests) {
		rm.requests[class].Inc()
	}
}

// call counts a read over a live connection.
func (m *metrics) call(method, outcome string) {
	switch method {
	case "top", "rank", "around", "lookup", "member":
	default:
		method = unmatched
	}
	m.calls.WithLabelValues(method, outcome).Inc()
}
