package realtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// newHandlers returns the handlers of the paths that clients know.
func newHandlers(node *centrifuge.Node) map[string]http.Handler {
	return map[string]http.Handler{
		"/connection/websocket": centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
			CheckOrigin:      func(*http.Request) bool { return true }, // admit has
			MessageSizeLimit: maxMessage,
			WriteTimeout:     writeTimeout,
			// An idle connection is most of what there is: keep its memory small.
			ReadBufferSize:             1024,
			UseWriteBufferPool:         true,
			ProcessCommandsOffReadLoop: true,
		}),
		"/connection/sse":         centrifuge.NewSSEHandler(node, centrifuge.SSEConfig{MaxRequestBodySize: maxMessage}),
		"/connection/http_stream": centrifuge.NewHTTPStreamHandler(node, centrifuge.HTTPStreamConfig{MaxRequestBodySize: maxMessage}),
		"/emulation":              centrifuge.NewEmulationHandler(node, centrifuge.EmulationConfig{MaxRequestBodySize: maxMessage}),
	}
}

// Register adds the paths of connections to mux.
func (r *Realtime) Register(mux *http.ServeMux) {
	for path, h := range r.handlers {
		mux.Handle(path, r.admit(h))
	}
}

// Handler serves the paths of connections and no others.
func (r *Realtime) Handler() http.Handler {
	mux := http.NewServeMux()
	r.Register(mux)
	return mux
}

// admit refuses pages of other origins, and everybody while the node is not running.
func (r *Realtime) admit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength != 0 {
			// Also for a body that is not read: before net/http answers, it waits for
			// the rest of one. A writer that knows no deadlines is one of a test.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.bodyTimeout))
		}
		header := w.Header()
		header.Add("Vary", "Origin")
		origin := req.Header.Get("Origin")
		if !r.origins.allow(origin, req.Host) {
			r.metrics.refused.Inc()
			http.Error(w, "this origin may not connect", http.StatusForbidden)
			return
		}
		if origin != "" {
			header.Set("Access-Control-Allow-Origin", origin)
		}
		if req.Method == http.MethodOptions { // asked by browsers before a POST
			header.Set("Access-Control-Allow-Methods", "GET, POST")
			header.Set("Access-Control-Allow-Headers", "Content-Type")
			header.Set("Access-Control-Max-Age", "3600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if !r.isRunning() {
			header.Set("Retry-After", "1")
			http.Error(w, "starting or stopping", http.StatusServiceUnavailable)
			return
		}
		if req.ContentLength != 0 && !readBody(w, req) {
			return
		}
		h.ServeHTTP(w, req)
	})
}

// readBody reads a request's body before the library does, which would wait for
// it without end, or answers why not. What follows has no deadline any more.
func readBody(w http.ResponseWriter, req *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxMessage))
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // as above
		req.Body = io.NopCloser(bytes.NewReader(body))
		return true
	}
	w.Header().Set("Connection", "close") // the rest is not waited for
	switch _, tooLarge := errors.AsType[*http.MaxBytesError](err); {
	case tooLarge:
		http.Error(w, fmt.Sprintf("the body has more than %d bytes", maxMessage), http.StatusRequestEntityTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		http.Error(w, "the body did not arrive in time", http.StatusRequestTimeout)
	default:
		http.Error(w, "the body could not be read to its end", http.StatusBadRequest)
	}
	return false
}

// origins are the pages that may connect beside those of the server itself.
type origins struct {
	all    bool
	listed map[string]bool // in lower case
}

// CheckOrigins returns an error that names the first of the origins that [New]
// would refuse.
func CheckOrigins(list []string) error {
	_, err := parseOrigins(list)
	return err
}

// parseOrigins reads origins as scheme://host or scheme://host:port, or "*".
func parseOrigins(list []string) (origins, error) {
	o := origins{listed: map[string]bool{}}
	for _, s := range list {
		if s == "*" {
			o.all = true
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Host == "" || !strings.EqualFold(s, u.Scheme+"://"+u.Host) {
			return origins{}, fmt.Errorf("origin %q is not of the form https://host or https://host:port, nor *", s)
		}
		o.listed[strings.ToLower(s)] = true
	}
	return o, nil
}

// allow reports whether a page may connect to host. Programs say no origin.
// Whether the page came by the same scheme cannot be told behind a proxy.
func (o origins) allow(origin, host string) bool {
	if origin == "" || o.all || o.listed[strings.ToLower(origin)] {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}
