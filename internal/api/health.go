package api

import (
	"errors"
	"log/slog"
	"net/http"

	"laurel/internal/leaderboard"
)

// health is the answer of /healthz.
type health struct {
	Status string `json:"status" enum:"ok"`
}

func (h health) appendJSON(to []byte) []byte {
	return append(appendText(append(to, '{'), "status", h.Status), '}')
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string  `json:"status" enum:"ready,not_ready"`
	Checks []check `json:"checks" nullable:"false"`
}

// check is what one part says about itself.
type check struct {
	Name   string `json:"name" doc:"What was checked: storage is whether the store takes writes"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty" doc:"Why not"`
}

func (r readiness) appendJSON(to []byte) []byte {
	to = appendText(append(to, '{'), "status", r.Status)
	to = append(appendField(to, "checks"), '[')
	for i, c := range r.Checks {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendText(append(to, '{'), "name", c.Name)
		to = append(appendField(to, "ok"), map[bool]string{true: "true", false: "false"}[c.OK]...)
		if c.Reason != "" {
			to = appendText(to, "reason", c.Reason)
		}
		to = append(to, '}')
	}
	return append(to, ']', '}')
}

func (a *API) healthz(*exchange) (health, error) { return health{Status: "ok"}, nil }

func (a *API) readyz(x *exchange) (readiness, error) {
	ctx := x.r.Context()
	r := readiness{Status: "ready"}
	var failed []error
	add := func(name string, err error) {
		c := check{Name: name, OK: err == nil}
		if err != nil {
			c.Reason = reasonOf(err)
			failed = append(failed, err)
		}
		r.Checks = append(r.Checks, c)
	}
	add("storage", a.service.Writable())
	for _, c := range a.opts.Checks {
		add(c.Name, c.Check(ctx))
	}
	if len(failed) > 0 {
		r.Status = "not_ready"
		x.status = http.StatusServiceUnavailable
		x.w.Header().Set("Retry-After", "1")
	}
	if notReady := len(failed) > 0; a.notReady.Swap(notReady) != notReady {
		if notReady {
			a.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("error", errors.Join(failed...).Error()))
		} else {
			a.log.LogAttrs(ctx, slog.LevelInfo, "ready again")
		}
	}
	return r, nil
}

// reasonOf returns of an error what anybody may read.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*leaderboard.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

func (a *API) serveMetrics(x *exchange) error {
	x.sent = http.StatusOK
	a.opts.Metrics.ServeHTTP(x.w, x.r)
	return nil
}
