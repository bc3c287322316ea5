package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"laurel/internal/leaderboard"
)

// An import is a body of any length, a line for each entry, and an answer that
// tells how far it has come while the body still arrives. One goroutine reads
// lines into a chunk, another sets what is in the chunk before; when both chunks
// are full, nothing more is read, and the sender waits because TCP does. What is
// kept in memory is two chunks, however long the body is.

const (
	ndjsonType = "application/x-ndjson"

	// maxLine is the most bytes in a line. An entry needs less than 2 KiB of them,
	// with each character of its member escaped.
	maxLine = 8 << 10

	chunkBytes = 1 << 20 // of text, after which a chunk is full with fewer lines than it may have

	progressEvery = time.Second
	takeTimeout   = 30 * time.Second // for the sender to take what it is told
	linger        = 2 * time.Second  // for the sender to see the last line and to stop
)

// imported is a line of the answer to an import.
type imported struct {
	Applied int      `json:"applied" minimum:"0" doc:"Entries that are applied and durable"`
	Line    int      `json:"line" minimum:"0" doc:"The last line of the body up to which everything is applied, counted from 1"`
	Done    bool     `json:"done,omitempty" doc:"The whole body is applied; this is the last line"`
	Problem *problem `json:"problem,omitempty" doc:"Why the import ends here; this is the last line"`
	Board   string   `json:"board,omitempty" doc:"The board's id, with done"`
	Season  int      `json:"season,omitempty" minimum:"1" doc:"The season that the entries are in, with done"`
	Rev     uint64   `json:"rev,omitempty" doc:"The board's change number after the last entry, with done"`
	Epoch   string   `json:"epoch,omitempty" doc:"The store's incarnation, with done"`
	Total   *int     `json:"total,omitempty" minimum:"0" doc:"Members on the board, with done"`
}

func (i imported) appendJSON(to []byte) []byte {
	to = append(to, '{')
	to = appendInt(to, "applied", i.Applied)
	to = appendInt(to, "line", i.Line)
	switch {
	case i.Problem != nil:
		to = i.Problem.appendJSON(appendField(to, "problem"))
	case i.Done:
		to = strconv.AppendBool(appendField(to, "done"), true)
		to = Position{Board: i.Board, Season: i.Season, Rev: i.Rev, Epoch: i.Epoch, Total: *i.Total}.appendFields(to)
	}
	return append(to, '}')
}

// importing is an import under way.
type importing struct {
	api     *API
	x       *exchange
	control *http.ResponseController

	// Owned by the goroutine that applies.
	applied, line int
	told          int // line, when it was last told
	view          leaderboard.View

	mu      sync.Mutex
	changed *sync.Cond // with mu
	chunk   *chunk     // guarded by mu: what has been read and not been taken
	waiting bool       // guarded by mu: what is read next may be long in coming
	ended   bool       // guarded by mu: nothing more comes into the chunk
	stop    bool       // guarded by mu: the server stops
	due     bool       // guarded by mu: it is time to tell how far this is
	over    bool       // guarded by mu: the answer is given, what still comes is read past
}

// chunk is lines that are applied together.
type chunk struct {
	list  []leaderboard.Submission
	lines []int  // the number of each one's line
	text  []byte // what is kept of the lines
	last  int    // the number of the last line that is in it or was blank
	err   error  // behind it nothing can be read
}

func (c *chunk) isFull() bool {
	return len(c.list) >= leaderboard.MaxBatch || len(c.text) >= chunkBytes
}

func (c *chunk) reset() {
	clear(c.list)
	*c = chunk{list: c.list[:0], lines: c.lines[:0], text: c.text[:0]}
}

// lineError says which line an error is about.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

var errStopping = leaderboard.Errorf(leaderboard.CodeShuttingDown, "the server is stopping; go on behind the last line that is applied")

func (a *API) importEntries(x *exchange) error {
	if err := checkContentType(x.r.Header, ndjsonType); err != nil {
		return err
	}
	im := &importing{api: a, x: x, control: http.NewResponseController(x.w), chunk: &chunk{}}
	im.changed = sync.NewCond(&im.mu)
	// A writer that knows none of this is one of a test.
	_ = im.control.EnableFullDuplex()
	x.w.Header().Set("Connection", "close") // part of the body may be left
	if !a.enter(im) {
		return errStopping
	}
	defer a.leave(im)

	var reader sync.WaitGroup
	reader.Go(im.read)
	defer reader.Wait()
	defer im.end()
	im.answer(x.r.Context())
	return nil
}

// enter makes an import known to StopImports, unless that was called.
func (a *API) enter(im *importing) bool {
	a.importsMu.Lock()
	defer a.importsMu.Unlock()
	if a.stopped {
		return false
	}
	a.imports[im] = struct{}{}
	return true
}

func (a *API) leave(im *importing) {
	a.importsMu.Lock()
	defer a.importsMu.Unlock()
	delete(a.imports, im)
}

// StopImports ends the imports under way, each after what it is applying, with a
// last line that says why; others are refused from now on. Other requests end by
// themselves, but an import may take as long as it likes.
func (a *API) StopImports() {
	a.importsMu.Lock()
	defer a.importsMu.Unlock()
	a.stopped = true
	for im := range a.imports {
		im.mu.Lock()
		im.stop = true
		im.mu.Unlock()
		im.changed.Broadcast()
	}
}

// Read reads from the body. Each read has a time of its own; when the answer is
// given, all that are left have one together.
func (im *importing) Read(p []byte) (int, error) {
	im.mu.Lock()
	if !im.over {
		_ = im.control.SetReadDeadline(time.Now().Add(im.api.opts.ImportTimeout))
	}
	im.mu.Unlock()
	return im.x.r.Body.Read(p)
}

// read reads the body to its end, or until there is no sense in it.
func (im *importing) read() {
	in := bufio.NewReaderSize(im, 64<<10)
	for n := 1; im.readLine(in, n); n++ {
	}
	_, _ = io.Copy(io.Discard, im) // so that the sender is not cut off before it has seen the answer
}

// readLine reads the line of a number into the chunk, and returns whether
// another one may follow.
func (im *importing) readLine(in *bufio.Reader, n int) bool {
	if in.Buffered() == 0 {
		im.await(true)
	}
	text, err := in.ReadSlice('\n')
	im.mu.Lock()
	defer im.mu.Unlock()
	im.waiting = false
	for im.chunk.isFull() && !im.over {
		im.changed.Wait()
	}
	if im.over {
		return false
	}
	c := im.chunk
	if n == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(text) > maxLine:
		err = &lineError{n, leaderboard.Errorf(codeBodyTooLarge, "the line has more than %d bytes", maxLine)}
	case err == nil || errors.Is(err, io.EOF) && len(text) > 0:
		if wrong := c.add(text, n); wrong != nil {
			err = &lineError{n, wrong}
		}
	case errors.Is(err, io.EOF):
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = leaderboard.Errorf(codeBodyTooSlow, "nothing of the body arrived within %v", im.api.opts.ImportTimeout)
	default:
		err = &leaderboard.Error{Code: codeBadRequest, Message: "the body could not be read to its end", Err: err}
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			c.err = err
		}
		im.ended = true
	}
	if err != nil || c.isFull() {
		im.changed.Broadcast()
	}
	return err == nil
}

func (im *importing) await(waiting bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.waiting = waiting; len(im.chunk.list) > 0 {
		im.changed.Broadcast()
	}
}

// add adds the entry of a line. A blank one has none.
func (c *chunk) add(line []byte, n int) error {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		c.last = n
		return nil
	}
	start := len(c.text)
	c.text = append(c.text, line...)
	s := scanner{text: c.text[start:], noun: "line"}
	var one submission
	one.decodeLine(&s)
	s.end()
	if s.err != nil {
		if found, ok := errors.AsType[*inputError](s.err); ok && leaderboard.ValidateMember(one.Member) == nil {
			found.Member = one.Member
		}
		return s.err
	}
	c.list = append(c.list, one.submission())
	c.lines = append(c.lines, n)
	c.last = n
	return nil
}

// answer applies what is read, and tells of it, to the end.
func (im *importing) answer(ctx context.Context) {
	timer := time.AfterFunc(progressEvery, func() {
		im.mu.Lock()
		im.due = true
		im.mu.Unlock()
		im.changed.Broadcast()
	})
	defer timer.Stop()
	spare := &chunk{}
	for {
		c, ended, err := im.take(spare)
		if c != nil {
			if err = im.apply(ctx, c); err == nil {
				err = c.err
			}
			c.reset()
			spare = c
		}
		switch {
		case err != nil:
			im.fail(err)
			return
		case ended:
			im.finish(ctx)
			return
		case im.isDue():
			if !im.tell(imported{Applied: im.applied, Line: im.line}) {
				return
			}
			timer.Reset(progressEvery)
		}
	}
}

// take waits for a chunk and puts the spare one in its place. It returns none
// when it is time to tell something. ended says that the chunk is the last.
func (im *importing) take(spare *chunk) (c *chunk, ended bool, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	for {
		switch {
		case im.stop:
			return nil, false, errStopping
		case im.ended || im.chunk.isFull() || im.waiting && len(im.chunk.list) > 0:
			c, im.chunk = im.chunk, spare
			im.changed.Broadcast()
			return c, im.ended, nil
		case im.due && im.line > im.told:
			return nil, false, nil
		}
		im.changed.Wait()
	}
}

// isDue reports whether it is time to tell something new, once.
func (im *importing) isDue() bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	is := im.due && im.line > im.told
	if is {
		im.due = false
	}
	return is
}

// apply sets the entries of a chunk: all of them, or all before the one that
// cannot be set.
func (im *importing) apply(ctx context.Context, c *chunk) error {
	err := im.set(ctx, c.list, c.last)
	failed, ok := errors.AsType[*leaderboard.BatchError](err)
	if !ok {
		return err
	}
	wrong := c.lines[failed.Index]
	if err := im.set(ctx, c.list[:failed.Index], wrong-1); err != nil {
		return err
	}
	switch leaderboard.CodeOf(err) {
	case leaderboard.CodeBoardNotFound, leaderboard.CodeReadOnly:
		return err // which is no fault of the line
	}
	return &lineError{wrong, err}
}

// set sets entries, with which everything up to a line is applied.
func (im *importing) set(ctx context.Context, list []leaderboard.Submission, line int) error {
	if len(list) > 0 {
		outcome, err := im.api.service.SetAll(ctx, im.x.board(), list)
		if err != nil {
			return err
		}
		im.view = outcome.Boards[0]
		im.applied += len(list)
		im.api.metrics.imported.Add(float64(len(list)))
	}
	im.line = max(im.line, line)
	return nil
}

// finish tells that everything is applied.
func (im *importing) finish(ctx context.Context) {
	if im.applied == 0 {
		var err error
		if im.view, err = im.api.service.Board(ctx, im.x.board()); err != nil {
			im.fail(err)
			return
		}
	}
	v := im.view
	im.tell(imported{
		Applied: im.applied, Line: im.line, Done: true,
		Board: v.Board.ID, Season: v.Season, Rev: v.Rev, Epoch: v.Epoch, Total: &v.Total,
	})
}

// fail tells why the import ends: in a last line, or, if nothing has been
// applied or told, as any other request does.
func (im *importing) fail(err error) {
	a, x := im.api, im.x
	if im.applied == 0 && x.sent == 0 {
		a.fail(x, err)
		_ = im.control.Flush()
		return
	}
	p := explain(err, false)
	a.note(x, &p, err)
	im.tell(imported{Applied: im.applied, Line: im.line, Problem: &p})
}

// tell sends a line of the answer. It returns false if nobody takes it.
func (im *importing) tell(line imported) bool {
	x := im.x
	_ = im.control.SetWriteDeadline(time.Now().Add(takeTimeout))
	if x.sent == 0 {
		x.sent = http.StatusOK
		h := x.w.Header()
		h.Set("Content-Type", ndjsonType)
		h["Cache-Control"] = noStore
		h.Set("X-Accel-Buffering", "no") // a proxy that knows this sends on what it gets at once
		x.w.WriteHeader(x.sent)
	}
	x.out = append(line.appendJSON(x.out[:0]), '\n')
	_, err := x.w.Write(x.out)
	if err == nil {
		err = im.control.Flush()
	}
	im.told = line.Line
	return err == nil
}

// end has the rest of the body read past, for a moment.
func (im *importing) end() {
	im.mu.Lock()
	im.over = true
	_ = im.control.SetReadDeadline(time.Now().Add(linger))
	im.mu.Unlock()
	im.changed.Broadcast()
}

// importLine is an entry on a line of an import. It has no condition, so that it can be sent again.
type importLine struct {
	Member string    `json:"member" minLength:"1" maxLength:"128" doc:"1 to 128 bytes of UTF-8 without control characters"`
	Score  number    `json:"score" doc:"Read digit by digit, never through a binary fraction"`
	Data   givenData `json:"data,omitempty" doc:"Absent keeps what the entry has, null removes it, an object of at most 1 KiB replaces it"`
}

var importLineNames = fieldsOf[importLine]()

// decodeLine reads a submission that is a line of an import.
func (b *submission) decodeLine(s *scanner) {
	o := s.object("a submission", importLineNames)
	for o.next(s) {
		b.field(s, o.name)
	}
	b.complete(s, &o)
}
