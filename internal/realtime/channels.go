package realtime

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/centrifugal/centrifuge"

	"laurel/internal/leaderboard"
)

const (
	boardPrefix = "board:"
	rankPrefix  = "rank:"

	maxChannelLength = len(rankPrefix) + leaderboard.MaxBoardID + len("#") + leaderboard.MaxMember
)

func boardChannel(board string) string { return boardPrefix + board }

// parseBoardChannel reports whether a channel is one of a board that may exist.
func parseBoardChannel(channel string) (board string, ok bool) {
	board, ok = strings.CutPrefix(channel, boardPrefix)
	return board, ok && leaderboard.ValidateBoardID(board) == nil
}

func rankChannel(board, member string) string { return rankPrefix + board + "#" + member }

// parseRankChannel reports whether a channel is one of a member that may exist.
// The first # ends the board: it cannot have one, and a member can.
func parseRankChannel(channel string) (board, member string, ok bool) {
	rest, ok := strings.CutPrefix(channel, rankPrefix)
	if !ok {
		return "", "", false
	}
	board, member, ok = strings.Cut(rest, "#")
	return board, member, ok && leaderboard.ValidateBoardID(board) == nil && leaderboard.ValidateMember(member) == nil
}

// channelKind is the label of a channel in metrics.
func channelKind(channel string) string {
	for _, prefix := range []string{boardPrefix, rankPrefix} {
		if strings.HasPrefix(channel, prefix) {
			return prefix[:len(prefix)-1]
		}
	}
	return "other"
}

// errUnavailable tells a client to try again by itself. It is the library's
// internal error, but not that very value, with which a subscription that fails
// would close the whole connection.
var errUnavailable = &centrifuge.Error{
	Code:      centrifuge.ErrorInternal.Code,
	Message:   centrifuge.ErrorInternal.Message,
	Temporary: true,
}

// connection is what we keep of one beside the library.
type connection struct {
	client *centrifuge.Client
	ranks  atomic.Int32  // subscriptions to ranks
	calls  chan struct{} // has an element for each call under way
}

// connected sets what a connection may do. Whatever has no handler here, such as
// publishing, asking for history or for who is present, is refused by the library.
func (r *Realtime) connected(client *centrifuge.Client) {
	c := &connection{client: client, calls: make(chan struct{}, maxCalls)}
	client.OnSubscribe(func(e centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
		if board, ok := parseBoardChannel(e.Channel); ok {
			r.subscribeBoard(c, board, done)
		} else if board, member, ok := parseRankChannel(e.Channel); ok {
			r.subscribeRank(c, board, member, done)
		} else {
			r.subscribeOpen(e.Channel, done)
		}
	})
	client.OnUnsubscribe(func(e centrifuge.UnsubscribeEvent) {
		if board, member, ok := parseRankChannel(e.Channel); ok {
			r.unsubscribedRank(c, board, member)
		}
	})
	if r.call != nil {
		client.OnRPC(func(e centrifuge.RPCEvent, done centrifuge.RPCCallback) { r.called(c, e, done) })
	}
}

func (r *Realtime) subscribeBoard(c *connection, board string, done centrifuge.SubscribeCallback) {
	// The cache cannot tell: it may have the table of a board that is deleted.
	view, err := r.reader.Board(c.client.Context(), board)
	if errors.Is(err, leaderboard.ErrBoardNotFound) && r.shared != nil && r.shared.comesBack(boardChannel(board)) {
		err = nil
	}
	if err != nil {
		done(centrifuge.SubscribeReply{}, r.refusal(c, board, err))
		return
	}
	if r.shared != nil {
		r.shared.expect(boardChannel(board), view.Epoch)
	}
	// A number in place of the channel's name is not offered, though it is a few
	// bytes shorter: the Protobuf build of centrifuge-js 5.8 asks for it and then
	// drops every publication that has one.
	done(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{
		EnableRecovery:    true,
		RecoveryMode:      centrifuge.RecoveryModeCache,
		AutoCacheRecover:  true,
		HistoryMetaTTL:    r.metaTTL,
		AllowedDeltaTypes: []centrifuge.DeltaType{centrifuge.DeltaTypeFossil},
	}}, nil)
}

func (r *Realtime) subscribeRank(c *connection, board, member string, done centrifuge.SubscribeCallback) {
	if c.ranks.Add(1) > maxRanks {
		c.ranks.Add(-1)
		done(centrifuge.SubscribeReply{}, centrifuge.ErrorLimitExceeded)
		return
	}
	err := r.ranks.watch(c.client.Context(), board, member, func(standing []byte) {
		done(centrifuge.SubscribeReply{Publications: []*centrifuge.Publication{{Data: standing}}}, nil)
	})
	if err != nil {
		c.ranks.Add(-1)
		done(centrifuge.SubscribeReply{}, r.refusal(c, board, err))
	}
}

// unsubscribedRank is called once for each subscription that was allowed.
func (r *Realtime) unsubscribedRank(c *connection, board, member string) {
	c.ranks.Add(-1)
	r.ranks.unwatch(board, member)
}

// refusal is what a client is told when the board that it asks for could not be read.
func (r *Realtime) refusal(c *connection, board string, err error) error {
	if errors.Is(err, leaderboard.ErrBoardNotFound) {
		return centrifuge.ErrorUnknownChannel
	}
	r.failed(c.client.Context(), board, err)
	return errUnavailable
}
