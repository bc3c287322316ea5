package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options are the settings of a [Client].
type Options struct {
	// APIKey is sent with every request. Reading needs none.
	APIKey string

	// HTTPClient sends the requests; nil is one of the client's own, which gives
	// up after 30 seconds. A WebSocket uses the proxy, the dialer and the TLS
	// settings of its transport if that is an [*http.Transport].
	HTTPClient *http.Client

	// Cache is how many answers of reads of a board and its entries are kept. When
	// one of them is asked for again and nothing on the board has changed, the server
	// only says so. 0 keeps none. The answers are always the server's newest.
	Cache int

	// Attempts is how often a write is sent at the most; 0 is once. With more, each
	// write carries an Idempotency-Key of its own, so that it counts once however
	// often it arrives, and is sent again when the connection failed or the answer was
	// 502, 503 or 504, after a pause that doubles from 100 ms to 5 s, or the one that the server
	// asks for. The server must know such keys.
	Attempts int
}

// Client speaks to one server. Its methods are safe for concurrent use.
type Client struct {
	base    string // without a slash at its end
	key     string
	http    *http.Client
	ownHTTP bool
	cache   cache

	attempts int
	season   int     // of boards; 0: the current one
	once     string  // the Idempotency-Key of writes; empty: a random one if there may be several attempts
	ifRev    *uint64 // what the entry that is written must be at; nil: anything
}

// New returns a client of the server at baseURL, such as "http://127.0.0.1:8000".
// It sends nothing yet.
func New(baseURL string, opts Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server address %q is not like http://127.0.0.1:8000", baseURL)
	}
	c := &Client{base: strings.TrimRight(u.String(), "/"), key: opts.APIKey, http: opts.HTTPClient, cache: cache{most: opts.Cache}, attempts: max(1, opts.Attempts)}
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 64 // there is only one host
		c.http = &http.Client{Transport: transport, Timeout: 30 * time.Second}
		c.ownHTTP = true
	}
	return c, nil
}

// Close closes the connections that are kept for later requests, unless they
// are those of [Options.HTTPClient].
func (c *Client) Close() {
	if c.ownHTTP {
		c.http.CloseIdleConnections()
	}
}

// Once returns a client whose next write carries an Idempotency-Key: 1 to 255
// characters of printable ASCII. A program that keeps the key can send the same
// write again even after it was started anew. Each write needs its own.
func (c *Client) Once(key string) *Client {
	return c.with(func(d *Client) { d.once = key })
}

// CreateBoard creates a board.
func (c *Client) CreateBoard(ctx context.Context, s Settings) (Board, error) {
	return call[Board](ctx, c, http.MethodPost, "/v1/leaderboards", s)
}

// Board returns a board's settings and where it stands.
func (c *Client) Board(ctx context.Context, board string) (Board, error) {
	return call[Board](ctx, c, http.MethodGet, c.of(boardPath(board), nil), nil)
}

// Boards returns every board, ordered by id.
func (c *Client) Boards(ctx context.Context) ([]Board, error) {
	var boards []Board
	query := url.Values{"limit": {"1000"}}
	for {
		page, err := call[struct {
			Leaderboards []Board `json:"leaderboards"`
			NextCursor   string  `json:"next_cursor"`
		}](ctx, c, http.MethodGet, withQuery("/v1/leaderboards", query), nil)
		if err != nil {
			return nil, err
		}
		boards = append(boards, page.Leaderboards...)
		if page.NextCursor == "" {
			return boards, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// PatchBoard changes settings of a board.
func (c *Client) PatchBoard(ctx context.Context, board string, p Patch) (Board, error) {
	return call[Board](ctx, c, http.MethodPatch, boardPath(board), p)
}

// DeleteBoard removes a board and its entries.
func (c *Client) DeleteBoard(ctx context.Context, board string) error {
	_, err := call[struct{}](ctx, c, http.MethodDelete, boardPath(board), nil)
	return err
}

// Submit sends scores to a board, at most 1,000 of them. The server applies
// them in their order, all or none; when it answers they are durable.
func (c *Client) Submit(ctx context.Context, board string, submissions ...Submission) (Outcome, error) {
	body := struct {
		Submissions []Submission `json:"submissions"`
	}{append([]Submission{}, submissions...)} // an empty list and not null, which would be another error
	return call[Outcome](ctx, c, http.MethodPost, c.of(boardPath(board)+"/scores", nil), body)
}

// SubmitAcross sends scores of any members to any boards, at most 1,000 of them.
// The server applies them in their order, all or none; when it answers they are
// durable.
func (c *Client) SubmitAcross(ctx context.Context, submissions ...BoardSubmission) (AcrossOutcome, error) {
	body := struct {
		Submissions []BoardSubmission `json:"submissions"`
	}{append([]BoardSubmission{}, submissions...)}
	return call[AcrossOutcome](ctx, c, http.MethodPost, "/v1/scores", body)
}

// Set gives a member a score whatever the board's policy, as an operator's correction.
func (c *Client) Set(ctx context.Context, board string, s Submission) (Outcome, error) {
	body := struct {
		Score Score `json:"score"`
		Data  any   `json:"data,omitempty"`
	}{s.Score, s.Data}
	return call[Outcome](ctx, c.given(s.IfRev), http.MethodPut, c.of(memberPath(board, s.Member), nil), body)
}

// Remove takes a member off a board.
func (c *Client) Remove(ctx context.Context, board, member string) (Outcome, error) {
	return call[Outcome](ctx, c, http.MethodDelete, c.of(memberPath(board, member), nil), nil)
}

// RemoveIf takes a member off a board if its entry is at a rev; see [Submission.IfRev].
func (c *Client) RemoveIf(ctx context.Context, board, member string, rev uint64) (Outcome, error) {
	return c.given(&rev).Remove(ctx, board, member)
}

// given returns a client whose write of one entry has a condition, unless that is nil.
func (c *Client) given(rev *uint64) *Client {
	if rev == nil {
		return c
	}
	return c.with(func(d *Client) { d.ifRev = rev })
}

// with returns a client of the same server that differs.
func (c *Client) with(change func(*Client)) *Client {
	d := &Client{base: c.base, key: c.key, http: c.http, cache: cache{most: c.cache.most}, attempts: c.attempts, season: c.season, once: c.once, ifRev: c.ifRev}
	change(d)
	return d
}

// Top returns the first entries of a board, at most 1,000.
func (c *Client) Top(ctx context.Context, board string, limit int) (Page, error) {
	return c.Entries(ctx, board, Range{Limit: limit})
}

// Entries returns a page of a board.
func (c *Client) Entries(ctx context.Context, board string, r Range) (Page, error) {
	query := url.Values{}
	setInt(query, "limit", r.Limit)
	setInt(query, "offset", r.Offset)
	if r.Cursor != "" {
		query.Set("cursor", r.Cursor)
	}
	if r.Around != "" {
		query.Set("around_score", string(r.Around))
	}
	if r.TopPercent != 0 {
		query.Set("top_percent", strconv.FormatFloat(r.TopPercent, 'f', -1, 64))
	}
	return call[Page](ctx, c, http.MethodGet, c.of(boardPath(board)+"/entries", query), nil)
}

// All returns every entry of a board, read page by page while the board may
// move: entries are in order within a page, and one that climbs past the reader
// meanwhile may be missed, one that sinks may come twice. It ends after an error.
func (c *Client) All(ctx context.Context, board string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r := Range{Limit: 1000}
		for {
			page, err := c.Entries(ctx, board, r)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			r.Cursor = page.NextCursor
		}
	}
}

// Entry returns a member's place on a board.
func (c *Client) Entry(ctx context.Context, board, member string) (Standing, error) {
	return call[Standing](ctx, c, http.MethodGet, c.of(memberPath(board, member), nil), nil)
}

// Around returns a member among its neighbours, limit entries together. Near an
// end of the board the page is filled up from the other side.
func (c *Client) Around(ctx context.Context, board, member string, limit int) (Page, error) {
	query := url.Values{}
	setInt(query, "limit", limit)
	return call[Page](ctx, c, http.MethodGet, c.of(memberPath(board, member)+"/around", query), nil)
}

// Lookup returns those of at most 1,000 members that are on a board, in its
// order. One that is named twice counts once.
func (c *Client) Lookup(ctx context.Context, board string, members ...string) (Selection, error) {
	body := struct {
		Members []string `json:"members"`
	}{append([]string{}, members...)}
	return call[Selection](ctx, c, http.MethodPost, c.of(boardPath(board)+"/entries/lookup", nil), body)
}

// Member returns a member's entries on all boards, ordered by the boards' ids,
// read page by page. It ends after an error.
func (c *Client) Member(ctx context.Context, member string) iter.Seq2[Standing, error] {
	return func(yield func(Standing, error) bool) {
		query := url.Values{"limit": {"1000"}}
		for {
			page, err := call[struct {
				Entries    []Standing `json:"entries"`
				NextCursor string     `json:"next_cursor"`
			}](ctx, c, http.MethodGet, withQuery("/v1/members/"+escape(member), query), nil)
			if err != nil {
				yield(Standing{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			query.Set("cursor", page.NextCursor)
		}
	}
}

func boardPath(board string) string { return "/v1/leaderboards/" + escape(board) }

func memberPath(board, member string) string { return boardPath(board) + "/entries/" + escape(member) }

// escape makes one segment of a path. A segment that is only dots would be
// taken for a step up the tree.
func escape(segment string) string {
	if strings.Trim(segment, ".") == "" {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

func setInt(query url.Values, name string, n int) {
	if n != 0 {
		query.Set(name, strconv.Itoa(n))
	}
}

func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// largestAnswer is more than a page of 1,000 entries can have.
const largestAnswer = 16 << 20

// call sends a request and reads the answer. It sends a write again as the
// options allow.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var (
		answer  T
		encoded []byte
		key     string
	)
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return answer, unwrapMarshal(err)
		}
	}
	attempts := 1
	if method != http.MethodGet {
		attempts, key = c.attempts, c.once
		if key == "" && attempts > 1 {
			key = rand.Text()
		}
	}
	for n := 1; ; n++ {
		again, err := send(ctx, c, method, path, key, encoded, &answer)
		if err == nil || !again || n == attempts || pause(ctx, retryAfter(n, err)) != nil {
			return answer, err
		}
	}
}

// retryAfter is how long to wait after the n-th attempt.
func retryAfter(n int, err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return min(100*time.Millisecond<<min(n-1, 10), 5*time.Second)
}

// send sends a request once and reads the answer. If there is an error, it says
// whether another attempt may have better luck.
func send[T any](ctx context.Context, c *Client, method, path, key string, body []byte, answer *T) (again bool, err error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return false, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("X-API-Key", c.key)
	}
	var has kept
	if method == http.MethodGet {
		if has = c.cache.get(path); has.tag != "" {
			req.Header.Set("If-None-Match", has.tag)
		}
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	switch {
	case c.ifRev == nil:
	case *c.ifRev == 0:
		req.Header.Set("If-None-Match", "*")
	default:
		req.Header.Set("If-Match", `"`+strconv.FormatUint(*c.ifRev, 10)+`"`)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return true, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified && has.tag != "" {
		return false, decode(has.body, answer, method, path)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		switch res.StatusCode {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			again = true
		}
		return again, errorFrom(res)
	}
	if res.StatusCode == http.StatusNoContent {
		return false, nil
	}
	content = io.LimitReader(res.Body, largestAnswer)
	text, err := io.ReadAll(content) // a connection whose answer is read to the end can be used again
	if err != nil {
		return true, err
	}
	*answer = *new(T) // of half an answer before
	if err := decode(text, answer, method, path); err != nil {
		return true, err
	}
	if tag := res.Header.Get("ETag"); tag != "" && method == http.MethodGet {
		c.cache.put(path, kept{tag, text})
	}
	return false, nil
}

func decode(text []byte, answer any, method, path string) error {
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("answer of %s %s: %w", method, path, err)
	}
	return nil
}

// unwrapMarshal takes off what encoding/json puts before the error of a Score.
func unwrapMarshal(err error) error {
	if wrapped, ok := errors.AsType[*json.MarshalerError](err); ok {
		return wrapped.Err
	}
	return err
}
