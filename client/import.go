package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync"
	"time"
)

// ImportOptions are the settings of an import. The zero value works.
type ImportOptions struct {
	// Patience is how long to try again, without getting any further, when the
	// server cannot be reached, stops or takes no writes; 0 is not at all.
	Patience time.Duration

	// Progress, if it is not nil, is called now and then, from one goroutine.
	Progress func(ImportProgress)
}

// ImportProgress is how far an import has come.
type ImportProgress struct {
	Applied int   // entries that are applied and durable
	Err     error // why it is being tried again; nil while all is well
}

// Imported is what an import has done, also when it ends with an error: it can
// be continued with the entry behind the first Applied ones.
type Imported struct {
	Applied  int // entries that are applied and durable
	Position     // at the end; empty if it did not come to that
}

// Import sets scores whatever the board's policy, any number of them, in their
// order: an earlier one comes to stand before a later one of the same score, or
// behind it if the board's ties say so. Entries are sent as they come, and
// what is held of them is bounded. An error that comes with an entry ends the
// import behind those before it. An [*Error] with a Line is about one entry,
// counted from 1; those before it are applied.
func (c *Client) Import(ctx context.Context, board string, entries iter.Seq2[Submission, error], opts ImportOptions) (Imported, error) {
	return c.ImportLines(ctx, board, func(yield func([]byte, error) bool) {
		for entry, err := range entries {
			var line []byte
			if err == nil {
				if line, err = json.Marshal(entry); err != nil {
					err = unwrapMarshal(err)
				}
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}, opts)
}

// ImportLines is [Client.Import] of entries that are JSON already, as in the
// lines of a file: {"member": "alice", "score": 12, "data": {…}}. None of them may
// be blank or have a line break inside. A line may be changed when the next one is asked for.
func (c *Client) ImportLines(ctx context.Context, board string, lines iter.Seq2[[]byte, error], opts ImportOptions) (Imported, error) {
	w := &window{}
	w.changed = sync.NewCond(&w.mu)
	up := &uploader{client: c, board: board, opts: opts, window: w}
	var sender sync.WaitGroup
	var sendErr error
	sender.Go(func() {
		sendErr = up.run(ctx)
		w.abandon()
	})
	var sourceErr error
	for line, err := range lines {
		if err != nil {
			sourceErr = err
			break
		}
		if !w.add(line) {
			break
		}
	}
	w.end()
	sender.Wait()
	up.result.Applied = w.applied
	if sendErr != nil {
		return up.result, sendErr
	}
	return up.result, sourceErr
}

// windowBytes is how much may be sent and not yet told as applied: more than
// goes through a connection in the second between two tidings.
const windowBytes = 16 << 20

// window is the lines that have been taken from the source and are not known to
// be applied. They are kept to be sent again.
type window struct {
	mu      sync.Mutex
	changed *sync.Cond // with mu
	text    []byte     // guarded by mu: the lines, each with its line break
	base    int64      // guarded by mu: what was dropped before text
	lengths []int32    // guarded by mu: of the lines
	applied int        // guarded by mu: lines that were dropped
	ended   bool       // guarded by mu: no more comes
	over    bool       // guarded by mu: no more is wanted
}

// add waits for room and adds a line. It returns false if no more is wanted.
func (w *window) add(line []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.text) >= windowBytes && !w.over {
		w.changed.Wait()
	}
	if w.over {
		return false
	}
	w.text = append(append(w.text, line...), '\n')
	w.lengths = append(w.lengths, int32(len(line)+1))
	w.changed.Broadcast()
	return true
}

func (w *window) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.changed.Broadcast()
}

func (w *window) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.changed.Broadcast()
}

// drop drops lines until so many in all have been.
func (w *window) drop(applied int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(applied-w.applied, len(w.lengths))
	if n <= 0 {
		return
	}
	size := 0
	for _, length := range w.lengths[:n] {
		size += int(length)
	}
	w.text = w.text[:copy(w.text, w.text[size:])]
	w.lengths = w.lengths[:copy(w.lengths, w.lengths[n:])]
	w.base += int64(size)
	w.applied += n
	w.changed.Broadcast()
}

// idleAfter is how long a body may have nothing to send before it sends a blank
// line. Without one, a transport that waits for the next line does not notice that
// its connection has broken, and a server would lose its patience.
const idleAfter = time.Second

// body is the body of one request: what the window has, and what comes into it.
type body struct {
	w      *window
	at     int64 // guarded by w.mu: counted as w.base
	idle   bool  // guarded by w.mu: nothing was sent for a while
	closed bool  // guarded by w.mu
}

func (w *window) body() (b *body, base int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &body{w: w, at: w.base}, w.applied
}

var errClosed = errors.New("the import is over")

func (b *body) Read(p []byte) (int, error) {
	w := b.w
	w.mu.Lock()
	defer w.mu.Unlock()
	b.idle = false
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		switch start := b.at - w.base; {
		case b.closed:
			return 0, errClosed
		case start < int64(len(w.text)):
			n := copy(p, w.text[start:])
			b.at += int64(n)
			return n, nil
		case w.ended:
			return 0, io.EOF
		case b.idle && len(p) > 0:
			p[0] = '\n'
			return 1, nil
		case timer == nil:
			timer = time.AfterFunc(idleAfter, b.wake)
		}
		w.changed.Wait()
	}
}

func (b *body) wake() {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.idle = true
	b.w.changed.Broadcast()
}

func (b *body) Close() error {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.closed = true
	b.w.changed.Broadcast()
	return nil
}

// uploader sends a window's lines until all of them are applied.
type uploader struct {
	client *Client
	board  string
	opts   ImportOptions
	window *window
	result Imported
}

// Between two attempts.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 2 * time.Second
)

func (u *uploader) run(ctx context.Context) error {
	since, pause := time.Now(), firstPause
	for {
		before := u.applied()
		err := u.attempt(ctx)
		if err == nil || ctx.Err() != nil || !isPassing(err) {
			return cmpError(ctx, err)
		}
		if u.applied() > before {
			since, pause = time.Now(), firstPause
		}
		if time.Since(since) >= u.opts.Patience {
			return err
		}
		u.tell(err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, mostPause)
	}
}

// cmpError prefers the context's error to what it did to a connection.
func cmpError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// isPassing reports whether the same may go well a little later.
func isPassing(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return true // no answer, or half of one
	}
	return e.Status >= http.StatusInternalServerError && e.Code != "internal" || e.Status == http.StatusRequestTimeout
}

func (u *uploader) applied() int {
	u.window.mu.Lock()
	defer u.window.mu.Unlock()
	return u.window.applied
}

func (u *uploader) tell(err error) {
	if u.opts.Progress != nil {
		u.opts.Progress(ImportProgress{Applied: u.applied(), Err: err})
	}
}

// attempt sends what is not known to be applied, in one request.
func (u *uploader) attempt(ctx context.Context) error {
	content, base := u.window.body()
	defer content.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.client.base+boardPath(u.board)+"/import", content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if u.client.key != "" {
		req.Header.Set("X-API-Key", u.client.key)
	}
	patient := *u.client.http
	patient.Timeout = 0 // which is for a whole request, however long
	res, err := patient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		err := errorFrom(res)
		if e, ok := errors.AsType[*Error](err); ok && e.Line > 0 {
			e.Line = base + 1 // nothing is applied
		}
		return err
	}
	lines := json.NewDecoder(res.Body)
	for {
		var line struct {
			Applied int // not the line, which counts blank ones too
			Done    bool
			Problem *problem
			Position
		}
		if err := lines.Decode(&line); err != nil {
			return fmt.Errorf("the import's answer ends too early: %w", err)
		}
		u.window.drop(base + line.Applied)
		switch {
		case line.Problem != nil:
			e := line.Problem.error()
			if e.Line > 0 {
				e.Line = base + line.Applied + 1
			}
			return e
		case line.Done:
			u.result.Position = line.Position
			u.tell(nil)
			return nil
		}
		u.tell(nil)
	}
}
