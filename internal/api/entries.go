package api

import (
	"context"

	"laurel/internal/leaderboard"
)

// defaultAround is the limit of a read around a member if it names none: the
// member with five neighbours on each side.
const defaultAround = 11

func (a *API) submit(x *exchange, body *submissions) (outcome, error) {
	x.batch = body.batch
	if body.batch {
		if err := x.refuseConditions("in a batch, each submission may have if_rev"); err != nil {
			return outcome{}, err
		}
	} else if given, err := x.condition(); err != nil {
		return outcome{}, err
	} else if given.Valid {
		if body.list[0].If.Valid {
			return outcome{}, exclusive("a condition in a header", "if_rev")
		}
		body.list[0].If = given
	}
	season, err := seasonOf(x.board(), x.query.Get("season"))
	if err != nil {
		return outcome{}, err
	}
	if season != 0 {
		for i := range body.list {
			body.list[i].Season = season
		}
	}
	return outcomeFrom(a.writer(x).Submit(x.r.Context(), x.board(), body.list))
}

func (a *API) putEntry(x *exchange, body *newScore) (outcome, error) {
	condition, err := x.condition()
	if err != nil {
		return outcome{}, err
	}
	given := submission{Member: x.member(), Score: body.Score, Data: body.Data, IfRev: givenRev{condition}}
	set := given.submission()
	if set.Season, err = seasonOf(x.board(), x.query.Get("season")); err != nil {
		return outcome{}, err
	}
	return outcomeFrom(a.writer(x).Set(x.r.Context(), x.board(), set))
}

func (a *API) deleteEntry(x *exchange) (outcome, error) {
	condition, err := x.condition()
	if err != nil {
		return outcome{}, err
	}
	season, err := seasonOf(x.board(), x.query.Get("season"))
	if err != nil {
		return outcome{}, err
	}
	return outcomeFrom(a.writer(x).RemoveIf(x.r.Context(), leaderboard.Ref{Board: x.board(), Season: season}, x.member(), condition))
}

func outcomeFrom(o leaderboard.Outcome, err error) (outcome, error) {
	if err != nil {
		return outcome{}, err
	}
	return outcomeOf(o), nil
}

func (a *API) listEntries(x *exchange) (entryList, error) {
	limit, err := x.number("limit", x.route.limit)
	if err != nil {
		return entryList{}, err
	}
	offset, err := x.number("offset", 0)
	if err != nil {
		return entryList{}, err
	}
	season, err := seasonOf(x.board(), x.query.Get("season"))
	if err != nil {
		return entryList{}, err
	}
	if err := x.exclude("around_score", "cursor", "offset", "top_percent"); err != nil {
		return entryList{}, err
	}
	if err := x.exclude("cursor", "offset"); err != nil {
		return entryList{}, err
	}
	part := leaderboard.Range{Offset: offset, Limit: limit}
	if part.Around, err = x.decimal("around_score"); err != nil {
		return entryList{}, err
	}
	if part.Percent, err = x.decimal("top_percent"); err != nil {
		return entryList{}, &inputError{Field: "top_percent", Index: -1, Err: leaderboard.Errorf(leaderboard.CodeInvalidLimit,
			"top_percent is %q, must be a number with at most %d decimals", clip(x.query.Get("top_percent")), leaderboard.MaxDecimals)}
	}
	if x.query.Has("cursor") {
		cursor, err := decodeEntryCursor(x.board(), x.query.Get("cursor"))
		if err != nil {
			return entryList{}, err
		}
		if season != 0 && season != cursor.Season {
			return entryList{}, invalidCursor()
		}
		if part.Percent != nil && (cursor.Percent == nil || *part.Percent != *cursor.Percent) {
			return entryList{}, invalidCursor()
		}
		part.Percent = cursor.Percent
		season = cursor.Season // which is not the current one any more if the board was reset meanwhile
		part.After = &cursor.Position
	}
	return a.readPart(x.r.Context(), leaderboard.Ref{Board: x.board(), Season: season}, part)
}

func (a *API) getEntry(x *exchange) (standing, error) {
	return a.readEntry(x.r.Context(), x.board(), x.query.Get("season"), x.member())
}

func (a *API) around(x *exchange) (entryList, error) {
	limit, err := x.number("limit", x.route.limit)
	if err != nil {
		return entryList{}, err
	}
	return a.readAround(x.r.Context(), x.board(), x.query.Get("season"), x.member(), limit)
}

func (a *API) lookup(x *exchange, body *lookup) (selection, error) {
	return a.readLookup(x.r.Context(), x.board(), x.query.Get("season"), body.Members)
}

func (a *API) readLookup(ctx context.Context, board, seasonName string, members []string) (selection, error) {
	season, err := seasonOf(board, seasonName)
	if err != nil {
		return selection{}, err
	}
	found, err := a.service.Select(ctx, leaderboard.Ref{Board: board, Season: season}, members)
	if err != nil {
		return selection{}, err
	}
	return selectionOf(found), nil
}

func (a *API) getMember(x *exchange) (memberList, error) {
	limit, err := x.number("limit", x.route.limit)
	if err != nil {
		return memberList{}, err
	}
	var cursor *string
	if x.query.Has("cursor") {
		cursor = new(x.query.Get("cursor"))
	}
	return a.readMember(x.r.Context(), x.params[0], limit, cursor)
}

func (a *API) readMember(ctx context.Context, member string, limit int, cursor *string) (memberList, error) {
	after := ""
	if cursor != nil {
		var err error
		if after, err = decodeMemberCursor(member, *cursor); err != nil {
			return memberList{}, err
		}
	}
	pages, next, err := a.service.Member(ctx, member, after, limit)
	if err != nil {
		return memberList{}, err
	}
	list := memberList{Member: member, Entries: make([]standing, len(pages))}
	for i, page := range pages {
		list.Entries[i] = standingOf(page)
	}
	if next != "" {
		list.NextCursor = encodeMemberCursor(member, next)
	}
	return list, nil
}

func (a *API) readEntry(ctx context.Context, board, seasonName, member string) (standing, error) {
	season, err := seasonOf(board, seasonName)
	if err != nil {
		return standing{}, err
	}
	page, err := a.service.Entry(ctx, leaderboard.Ref{Board: board, Season: season}, member)
	if err != nil {
		return standing{}, err
	}
	return standingOf(page), nil
}

func (a *API) readAround(ctx context.Context, board, seasonName, member string, limit int) (entryList, error) {
	season, err := seasonOf(board, seasonName)
	if err != nil {
		return entryList{}, err
	}
	page, err := a.service.Around(ctx, leaderboard.Ref{Board: board, Season: season}, member, limit)
	if err != nil {
		return entryList{}, err
	}
	return entryListOf(page, nil), nil
}

func (a *API) readTop(ctx context.Context, board, seasonName string, part leaderboard.Range) (entryList, error) {
	season, err := seasonOf(board, seasonName)
	if err != nil {
		return entryList{}, err
	}
	if part.Around != nil && part.Percent != nil {
		return entryList{}, exclusive("around_score", "top_percent")
	}
	return a.readPart(ctx, leaderboard.Ref{Board: board, Season: season}, part)
}

func (a *API) readPart(ctx context.Context, at leaderboard.Ref, part leaderboard.Range) (entryList, error) {
	page, err := a.service.Entries(ctx, at, part)
	if err != nil {
		return entryList{}, err
	}
	return entryListOf(page, part.Percent), nil
}
