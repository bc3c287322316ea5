package api

import (
	"net/http"
	"strconv"

	"laurel/internal/leaderboard"
)

func (a *API) createBoard(x *exchange, body *newBoard) (board, error) {
	created, err := body.board()
	if err != nil {
		return board{}, err
	}
	view, err := a.writer(x).CreateBoard(x.r.Context(), created)
	if err != nil {
		return board{}, err
	}
	x.status = http.StatusCreated
	x.w.Header().Set("Location", boardsPath+"/"+view.Board.ID)
	return boardOf(view), nil
}

func (a *API) listBoards(x *exchange) (boardList, error) {
	limit, err := x.number("limit", x.route.limit)
	if err != nil {
		return boardList{}, err
	}
	after := ""
	if x.query.Has("cursor") {
		if after, err = decodeBoardCursor(x.query.Get("cursor")); err != nil {
			return boardList{}, err
		}
	}
	ctx := x.r.Context()
	views, err := a.service.Boards(ctx, after, limit)
	if err != nil {
		return boardList{}, err
	}
	list := boardList{Leaderboards: make([]board, len(views))}
	for i, view := range views {
		list.Leaderboards[i] = boardOf(view)
	}
	if len(views) < limit {
		return list, nil
	}
	last := views[len(views)-1].Board.ID
	more, err := a.service.Boards(ctx, last, 1)
	if err == nil && len(more) > 0 {
		list.NextCursor = encodeBoardCursor(last)
	}
	return list, err
}

func (a *API) getBoard(x *exchange) (board, error) {
	season, err := seasonOf(x.board(), x.query.Get("season"))
	if err != nil {
		return board{}, err
	}
	view, err := a.service.Board(x.r.Context(), x.board())
	if err != nil {
		return board{}, err
	}
	if season == 0 || season == view.Season {
		return boardOf(view), nil
	}
	kept, err := a.service.Seasons(x.r.Context(), x.board())
	if err != nil {
		return board{}, err
	}
	for _, past := range kept {
		if past.Season == season {
			return boardOf(past), nil
		}
	}
	return board{}, noSeason(x.board(), strconv.Itoa(season))
}

func (a *API) patchBoard(x *exchange, body *boardPatch) (board, error) {
	view, err := a.writer(x).PatchBoard(x.r.Context(), x.board(), body.patch())
	return boardOf(view), err
}

func (a *API) deleteBoard(x *exchange) (noContent, error) {
	x.status = http.StatusNoContent
	return noContent{}, a.writer(x).DeleteBoard(x.r.Context(), x.board())
}

// seasonOf reads the name of a season: a number from 1, or current, which is 0
// and also what no name means.
func seasonOf(board, name string) (int, error) {
	switch name {
	case "", "current":
		return 0, nil
	}
	season, err := strconv.Atoi(name)
	if err != nil || season < 1 {
		return 0, noSeason(board, name)
	}
	return season, nil
}

func noSeason(board, name string) error {
	return &inputError{Field: "season", Index: -1, Err: leaderboard.Errorf(leaderboard.CodeSeasonNotFound, "board %q has no season %q", clip(board), clip(name))}
}
