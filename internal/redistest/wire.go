package redistest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// questionTimeout is how long a server may take to answer one of our own questions.
const questionTimeout = 2 * time.Second

// wire is a connection to one server on which one question is asked after the other. A client as the tests use it would do, but it costs
// some connections, goroutines and a megabyte for each question to a server that has just been started, or is not up yet.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
}

// replyError is an error that the server has answered with.
type replyError string

func (e replyError) Error() string { return string(e) }

func dialWire(ctx context.Context, s *Server) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	dial := new(net.Dialer).DialContext
	if s.certs != nil {
		dial = (&tls.Dialer{Config: s.certs.client()}).DialContext
	}
	conn, err := dial(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn, r: bufio.NewReader(conn)}
	if password := s.ownPassword(); password != "" {
		if _, err := w.do(ctx, "AUTH", password); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

func (w *wire) close() { _ = w.conn.Close() } // nothing is lost with it

// do returns the answer: a string, an int64, nil or an []any of them.
func (w *wire) do(ctx context.Context, command ...string) (any, error) {
	deadline := time.Now().Add(questionTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := w.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	request := fmt.Appendf(nil, "*%d\r\n", len(command))
	for _, arg := range command {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := w.conn.Write(request); err != nil {
		return nil, err
	}
	return w.read()
}

func (w *wire) read() (any, error) {
	line, err := w.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, fmt.Errorf("an answer with the line %q", line)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, replyError(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("an answer with the line %q", line)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		text := make([]byte, n+2)
		if _, err := io.ReadFull(w.r, text); err != nil {
			return nil, err
		}
		return string(text[:n]), nil
	case kind == '*':
		list := make([]any, n)
		for i := range list {
			// An error inside of an answer is a part of it.
			if list[i], err = w.read(); err != nil && !errors.As(err, new(replyError)) {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("an answer with the line %q", line)
}
