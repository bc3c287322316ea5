package api

import (
	"context"
	"log/slog"
	"net/http"

	"laurel/internal/leaderboard"
)

// RPC answers a read that comes over a live connection, with the JSON that the
// same read has over HTTP:
//
//	top    {"board", "limit"?, "around_score"? or "top_percent"?, "season"?}
//	rank   {"board", "member", "season"?}
//	around {"board", "member", "limit"?, "season"?}
//	lookup {"board", "members", "season"?}
//	member {"member", "limit"?, "cursor"?}
//
// Its error is always a [*leaderboard.Error] whose code and message the caller
// may see; what is behind one that is our fault has been logged.
func (a *API) RPC(ctx context.Context, method string, params []byte) ([]byte, error) {
	result, err := a.call(ctx, method, params)
	outcome := "ok"
	if err != nil {
		p := explain(err, false)
		outcome = string(p.Code)
		if p.Status >= http.StatusInternalServerError {
			a.logFault(ctx, err, slog.String("rpc", clip(method)))
		}
		err = &leaderboard.Error{Code: leaderboard.Code(p.Code), Message: p.Detail}
	}
	a.metrics.call(method, outcome)
	return result, err
}

var (
	rpcTop    = []string{"board", "limit", "season", "around_score", "top_percent"}
	rpcRank   = []string{"board", "member", "season"}
	rpcAround = []string{"board", "member", "limit", "season"}
	rpcLookup = []string{"board", "members", "season"}
	rpcMember = []string{"member", "limit", "cursor"}
)

func (a *API) call(ctx context.Context, method string, params []byte) ([]byte, error) {
	switch method {
	case "top":
		call, err := parseCall(params, rpcTop)
		if err != nil {
			return nil, err
		}
		list, err := a.readTop(ctx, call.Board, call.Season, leaderboard.Range{
			Limit: valueOr(call.Limit, leaderboard.DefaultLimit), Around: call.Around, Percent: call.Percent,
		})
		if err != nil {
			return nil, err
		}
		return list.appendJSON(nil), nil
	case "rank":
		call, err := parseCall(params, rpcRank)
		if err != nil {
			return nil, err
		}
		found, err := a.readEntry(ctx, call.Board, call.Season, call.Member)
		if err != nil {
			return nil, err
		}
		return found.appendJSON(nil), nil
	case "around":
		call, err := parseCall(params, rpcAround)
		if err != nil {
			return nil, err
		}
		list, err := a.readAround(ctx, call.Board, call.Season, call.Member, valueOr(call.Limit, defaultAround))
		if err != nil {
			return nil, err
		}
		return list.appendJSON(nil), nil
	case "lookup":
		call, err := parseCall(params, rpcLookup)
		if err != nil {
			return nil, err
		}
		found, err := a.readLookup(ctx, call.Board, call.Season, call.Members)
		if err != nil {
			return nil, err
		}
		return found.appendJSON(nil), nil
	case "member":
		call, err := parseCall(params, rpcMember)
		if err != nil {
			return nil, err
		}
		list, err := a.readMember(ctx, call.Member, valueOr(call.Limit, leaderboard.DefaultLimit), call.Cursor)
		if err != nil {
			return nil, err
		}
		return list.appendJSON(nil), nil
	}
	return nil, leaderboard.Errorf(codeNotFound, "there is no method %q; known are top, rank, around, lookup, member", clip(method))
}

func parseCall(params []byte, names []string) (readCall, error) {
	s := scanner{text: params}
	var call readCall
	call.decode(&s, names)
	return call, s.err
}

func valueOr(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}
