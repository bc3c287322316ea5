package api

import (
	"net/http"
	"slices"
	"strings"
)

// allowOrigin lets a page of a configured origin read the answer, also if it
// turns out to be a problem.
func (a *API) allowOrigin(x *exchange) {
	h := x.w.Header()
	if slices.Contains(a.opts.Origins, "*") {
		h.Set("Access-Control-Allow-Origin", "*")
		return
	}
	h.Add("Vary", "Origin")
	origin := x.r.Header.Get("Origin")
	if slices.ContainsFunc(a.opts.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		h.Set("Access-Control-Allow-Origin", origin)
	}
}

// preflight answers OPTIONS, a browser's question before an unusual request of a
// page of another origin. Such a page may read, also where a read has a body; the
// answer never names a method that writes, nor the header of an API key.
func (a *API) preflight(x *exchange, n *node) {
	h := x.w.Header()
	if h.Get("Access-Control-Allow-Origin") != "" && x.r.Header.Get("Access-Control-Request-Method") != "" {
		methods := "GET, HEAD"
		if r := n.route(http.MethodPost); r != nil && !r.write {
			methods = "GET, HEAD, POST"
			h.Set("Access-Control-Allow-Headers", "Content-Type")
		}
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Max-Age", "3600")
	}
	h["Cache-Control"] = noStore
	x.out = x.out[:0]
	x.send(http.StatusNoContent)
}
