package realtime

import (
	"bytes"
	"errors"
	"runtime/debug"

	"github.com/centrifugal/centrifuge"

	"laurel/internal/leaderboard"
)

// called answers a call beside the connection's other commands. A client that
// has as many under way as it may is not listened to until one is answered.
func (r *Realtime) called(c *connection, e centrifuge.RPCEvent, done centrifuge.RPCCallback) {
	ctx := c.client.Context()
	select {
	case c.calls <- struct{}{}:
	case <-ctx.Done():
		done(centrifuge.RPCReply{}, centrifuge.DisconnectConnectionClosed)
		return
	}
	params := bytes.Clone(e.Data) // it is the library's when we return
	started := r.spawn(func() {
		defer func() { <-c.calls }()
		defer func() {
			if p := recover(); p != nil {
				r.log.Error("call panicked", "method", clip(e.Method), "panic", p, "stack", string(debug.Stack()))
				done(centrifuge.RPCReply{}, errUnavailable)
			}
		}()
		answer, err := r.call(ctx, e.Method, params)
		if err != nil {
			done(centrifuge.RPCReply{}, clientError(err))
			return
		}
		done(centrifuge.RPCReply{Data: answer}, nil)
	})
	if !started {
		<-c.calls
		done(centrifuge.RPCReply{}, centrifuge.DisconnectShutdown)
	}
}

// errorCodes are the numbers by which clients are told the codes of
// [leaderboard.Error]. They are part of the API and never change.
var errorCodes = map[leaderboard.Code]uint32{
	leaderboard.CodeBoardNotFound:      1000,
	leaderboard.CodeMemberNotFound:     1001,
	leaderboard.CodeSeasonNotFound:     1002,
	leaderboard.CodeInvalidBoard:       1010,
	leaderboard.CodeInvalidMember:      1011,
	leaderboard.CodeInvalidLimit:       1012,
	"invalid_json":                     1013,
	"unknown_field":                    1014,
	"bad_request":                      1015,
	leaderboard.CodeEmptyBatch:         1016,
	leaderboard.CodeBatchTooLarge:      1017,
	"invalid_cursor":                   1018,
	leaderboard.CodeInvalidScore:       1030,
	leaderboard.CodeScoreOutOfRange:    1031,
	leaderboard.CodeTooManyDecimals:    1032,
	leaderboard.CodeStorageUnavailable: 1020,
	leaderboard.CodeShuttingDown:       1021,
	"not_found":                        centrifuge.ErrorMethodNotFound.Code,
}

// clientError is what a client is told of an error. What is not meant for it
// becomes the library's internal error, which says nothing.
func clientError(err error) error {
	e, ok := errors.AsType[*leaderboard.Error](err)
	if !ok {
		return errUnavailable
	}
	code, ok := errorCodes[e.Code]
	if !ok {
		return errUnavailable
	}
	temporary := e.Code == leaderboard.CodeStorageUnavailable || e.Code == leaderboard.CodeShuttingDown
	return &centrifuge.Error{Code: code, Message: e.Message, Temporary: temporary}
}
