package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"laurel/internal/leaderboard"
)

// Keys says who may write. It is called by many goroutines at once.
type Keys interface {
	Valid(key string) bool
}

// Check is something that must hold for the server to be ready.
type Check struct {
	Name  string
	Check func(context.Context) error // nil, or why not: a sentence that anybody may read
}

// Options are the settings of an [API]; the zero value works.
type Options struct {
	MaxBody     int64         // bytes that a request's body may have; 0 is DefaultMaxBody
	BodyTimeout time.Duration // in which a request's body must arrive; 0 is DefaultBodyTimeout

	// ImportTimeout is how long an import may wait for more of its body, which has
	// no other limit; 0 is DefaultImportTimeout.
	ImportTimeout time.Duration

	// Origins are the web pages that may read from a browser beside those that
	// this server delivers itself, such as https://game.example. "*" is all.
	// Writing from a page of another origin is never allowed: it would mean
	// that the page has an API key.
	Origins []string

	Checks  []Check      // of /readyz, beside that the store takes writes
	Metrics http.Handler // of /metrics; nil: the path is not there
	Version string       // of the server, for the OpenAPI document

	Log        *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // takes the API's own metrics; nil: they are not registered
}

// The defaults of Options.
const (
	DefaultMaxBody     = 1 << 20
	DefaultBodyTimeout = 10 * time.Second

	DefaultImportTimeout = time.Minute
)

// API serves version 1 over HTTP. Make one with [New].
type API struct {
	service *leaderboard.Service
	keys    Keys
	opts    Options
	log     *slog.Logger

	router    router
	metrics   *metrics
	describe  func() description // the OpenAPI document and its page, made when they are first asked for
	notReady  atomic.Bool        // what /readyz last answered, to log when it changes
	exchanges sync.Pool          // of *exchange

	importsMu sync.Mutex
	imports   map[*importing]struct{} // guarded by importsMu: those under way
	stopped   bool                    // guarded by importsMu: no more are taken
}

// New returns the API of a service. Without keys nobody may write.
func New(service *leaderboard.Service, keys Keys, opts Options) *API {
	if opts.MaxBody == 0 {
		opts.MaxBody = DefaultMaxBody
	}
	if opts.BodyTimeout == 0 {
		opts.BodyTimeout = DefaultBodyTimeout
	}
	if opts.ImportTimeout == 0 {
		opts.ImportTimeout = DefaultImportTimeout
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{service: service, keys: keys, opts: opts, log: opts.Log, imports: map[*importing]struct{}{}}
	table := routes()
	if opts.Metrics == nil {
		table = slices.DeleteFunc(table, func(r route) bool { return r.path == metricsPath })
	}
	a.metrics = newMetrics(opts.Registerer, table)
	a.router = newRouter(table)
	a.describe = sync.OnceValue(func() description { return describe(table, opts.Version) })
	a.exchanges.New = func() any { return new(exchange) }
	return a
}

// Handler returns the handler of the API's paths, which are all those below /v1
// and the few others of its table; what comes for any other path goes to rest,
// or is answered with a 404 if rest is nil.
//
// It must see the path as it was sent. Do not put it behind an [http.ServeMux],
// which cleans paths: a careless DELETE of the member ".." would be sent on to
// the board.
func (a *API) Handler(rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		match := a.router.match(path)
		if match.node == nil && rest != nil && path != "/v1" && !strings.HasPrefix(path, "/v1/") {
			rest.ServeHTTP(w, r)
			return
		}
		a.serve(w, r, match)
	})
}

// Refuse answers a request for which rest of [API.Handler] has nothing: with a
// 404, or, if the path has other methods, with a 405 that names them.
func (a *API) Refuse(w http.ResponseWriter, r *http.Request, allowed string) {
	var m match
	if allowed != "" {
		m.node = &node{allow: allowed}
	}
	a.serve(w, r, m)
}

// exchange is one request and its answer.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	route  *route // nil: there is none for this path and method
	params [2]string
	query  url.Values
	batch  bool // the request's submissions are numbered
	across bool // and are to many boards
	status int  // of the answer; 0: 200
	sent   int  // the status that was sent
	once   leaderboard.Once

	in, out []byte // kept for the next exchange
}

func (x *exchange) board() string  { return x.params[0] }
func (x *exchange) member() string { return x.params[1] }

func (x *exchange) routePath() string {
	if x.route == nil {
		return unmatched
	}
	return x.route.path
}

// The values of frequent headers, as slices that are shared and never changed.
var (
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
	noCache     = []string{"no-cache"}
	noSniff     = []string{"nosniff"}
)

// keepAtMost is how large a buffer may be to be kept for later exchanges.
const keepAtMost = 64 << 10

func (a *API) serve(w http.ResponseWriter, r *http.Request, m match) {
	start := time.Now()
	x := a.exchanges.Get().(*exchange)
	*x = exchange{w: w, r: r, params: m.params, in: x.in[:0], out: x.out[:0]}
	defer func() {
		if thrown := recover(); thrown != nil {
			a.recovered(x, thrown)
		}
		a.metrics.observe(x, time.Since(start))
		x.w, x.r, x.query = nil, nil, nil
		if cap(x.in) > keepAtMost {
			x.in = nil
		}
		if cap(x.out) > keepAtMost {
			x.out = nil
		}
		a.exchanges.Put(x)
	}()

	if r.ContentLength != 0 {
		// Also for a body that is not read: before net/http answers, it waits for
		// the rest of one. A writer that knows no deadlines is one of a test.
		_ = http.NewResponseController(w).SetReadDeadline(start.Add(a.opts.BodyTimeout))
	}
	w.Header()["X-Content-Type-Options"] = noSniff
	if len(a.opts.Origins) > 0 {
		a.allowOrigin(x)
	}
	if err := a.dispatch(x, m); err != nil {
		a.fail(x, err)
	}
}

// dispatch finds the request's route, sees to what all routes have in common,
// and serves it. An error means that nothing has been answered yet.
func (a *API) dispatch(x *exchange, m match) error {
	if m.node == nil {
		return leaderboard.Errorf(codeNotFound, "there is nothing at %s; /docs says what there is", clip(x.r.URL.Path))
	}
	x.route = m.node.route(x.r.Method)
	if x.route == nil {
		x.w.Header().Set("Allow", m.node.allow)
		if x.r.Method == http.MethodOptions {
			a.preflight(x, m.node)
			return nil
		}
		return leaderboard.Errorf(codeMethodNotAllowed, "%s is not possible here; possible are %s", clip(x.r.Method), m.node.allow)
	}
	if x.route.write {
		if !a.authorized(x.r) {
			return leaderboard.Errorf(codeUnauthorized, "writing needs an API key, as X-API-Key: KEY or Authorization: apikey KEY; there was none, or a wrong one")
		}
		if err := x.takeKey(); err != nil {
			return err
		}
		if !x.route.guards {
			if err := x.refuseConditions("for others, each submission may have if_rev"); err != nil {
				return err
			}
		}
	}
	if err := x.parseQuery(); err != nil {
		return err
	}
	return x.route.serve(a, x)
}

// authorized reports whether the request carries a valid API key.
func (a *API) authorized(r *http.Request) bool {
	if a.keys == nil {
		return false
	}
	if given := r.Header["X-Api-Key"]; len(given) > 0 {
		return a.keys.Valid(given[0])
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "apikey") && a.keys.Valid(strings.TrimSpace(key))
}

// parseQuery reads the query, in which each parameter must be one that the
// route knows, and be there once.
func (x *exchange) parseQuery() error {
	if x.r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return leaderboard.Errorf(codeBadRequest, "the query is malformed")
	}
	for name, values := range query {
		if !slices.Contains(x.route.query, name) {
			known := "none"
			if len(x.route.query) > 0 {
				known = strings.Join(x.route.query, ", ")
			}
			return &inputError{Field: clip(name), Index: -1, Err: leaderboard.Errorf(codeBadRequest, "there is no parameter %q here; known: %s", clip(name), known)}
		}
		if len(values) > 1 {
			return &inputError{Field: name, Index: -1, Err: leaderboard.Errorf(codeBadRequest, "parameter %s is there %d times", name, len(values))}
		}
	}
	x.query = query
	return nil
}

// exclude refuses a query that has a parameter beside one of others.
func (x *exchange) exclude(name string, others ...string) error {
	for _, other := range others {
		if x.query.Has(name) && x.query.Has(other) {
			return exclusive(name, other)
		}
	}
	return nil
}

func exclusive(name, other string) error {
	return &inputError{Field: other, Index: -1, Err: leaderboard.Errorf(codeBadRequest, "%s and %s cannot both be given", name, other)}
}

// decimal returns an exact number of the query, or nil if it is not there.
func (x *exchange) decimal(name string) (*leaderboard.Decimal, error) {
	if !x.query.Has(name) {
		return nil, nil //nolint:nilnil // it is not there
	}
	d, err := leaderboard.ParseDecimal(x.query.Get(name))
	if err != nil {
		return nil, &inputError{Field: name, Index: -1, Err: err}
	}
	return &d, nil
}

// number returns a whole number of the query, or otherwise if it is not there.
func (x *exchange) number(name string, otherwise int) (int, error) {
	if !x.query.Has(name) {
		return otherwise, nil
	}
	text := x.query.Get(name)
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &inputError{Field: name, Index: -1, Err: leaderboard.Errorf(leaderboard.CodeInvalidLimit, "%s is %q, must be a whole number", name, clip(text))}
	}
	return n, nil
}

// send sends x.out, or nothing if the status has no body.
func (x *exchange) send(status int) {
	x.sent = status
	bodiless := status == http.StatusNoContent || status == http.StatusNotModified
	if n := len(x.out); n > 2000 && !bodiless { // net/http counts shorter ones itself
		x.w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	x.w.WriteHeader(status)
	if !bodiless {
		_, _ = x.w.Write(x.out) // who does not take the answer has gone
	}
}

// recovered answers a request whose handler has panicked, if nothing was
// answered yet, and lets the server live.
func (a *API) recovered(x *exchange, thrown any) {
	if err, ok := thrown.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(thrown) // how net/http is told to drop the connection
	}
	a.metrics.panics.Inc()
	a.log.LogAttrs(x.r.Context(), slog.LevelError, "handler panicked",
		slog.String("method", x.r.Method), slog.String("route", x.routePath()),
		slog.String("panic", fmt.Sprint(thrown)), slog.String("stack", string(debug.Stack())))
	if x.sent == 0 {
		a.fail(x, errPanicked)
	}
}

var errPanicked = errors.New("the handler panicked")

// readBody reads the request's body into x.in.
func (a *API) readBody(x *exchange) error {
	if err := checkContentType(x.r.Header, contentJSON); err != nil {
		return err
	}
	if x.r.ContentLength == 0 {
		return nil
	}
	if x.r.ContentLength > a.opts.MaxBody {
		return a.tooLarge()
	}
	for {
		if len(x.in) == cap(x.in) { // what is promised is not believed before it comes
			x.in = slices.Grow(x.in, max(1024, len(x.in)))
		}
		n, err := x.r.Body.Read(x.in[len(x.in):cap(x.in)])
		x.in = x.in[:len(x.in)+n]
		switch {
		case int64(len(x.in)) > a.opts.MaxBody:
			return a.tooLarge()
		case err == nil:
		case errors.Is(err, io.EOF):
			_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{}) // as above
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return leaderboard.Errorf(codeBodyTooSlow, "the body did not arrive within %v", a.opts.BodyTimeout)
		default:
			return &leaderboard.Error{Code: codeBadRequest, Message: "the body could not be read to its end", Err: err}
		}
	}
}

func (a *API) tooLarge() error {
	return leaderboard.Errorf(codeBodyTooLarge, "the body has more than %d bytes", a.opts.MaxBody)
}

const contentJSON = "application/json"

// checkContentType returns an error unless the body is said to be of a type.
func checkContentType(h http.Header, want string) error {
	given := h["Content-Type"]
	if len(given) == 1 && given[0] == want {
		return nil
	}
	if len(given) != 1 {
		return leaderboard.Errorf(codeMediaType, "the request must say Content-Type: %s", want)
	}
	kind, params, err := mime.ParseMediaType(given[0])
	if err != nil || kind != want {
		return leaderboard.Errorf(codeMediaType, "the body is %q, must be %s", clip(given[0]), want)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return leaderboard.Errorf(codeMediaType, "the body is in %q, must be in UTF-8", clip(charset))
	}
	return nil
}
