package redisstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
)

var adoptedReadSHA = sha(readScript("adopted_read"))

// Member looks for a member on boards. Those of a partition are read in one pipeline,
// and so are the ZSETs that some of them show.
func (s *Store) Member(ctx context.Context, member, after string, limit int) (pages []leaderboard.Page, next string, err error) {
	if s.isClosed() {
		return nil, "", errClosed
	}
	ids, err := s.boardIDs(ctx, after, limit+1)
	if err != nil {
		return nil, "", s.fault(ctx, err)
	}
	if len(ids) > limit {
		ids = ids[:limit]
		next = ids[limit-1]
	}
	asked := make([][]string, len(s.parts))
	for _, id := range ids {
		n := partitionOf(id, len(s.parts))
		asked[n] = append(asked[n], id)
	}
	found := make([][]leaderboard.Page, len(s.parts))
	err = s.each(func(p *partition) (err error) {
		if len(asked[p.n]) > 0 {
			found[p.n], err = p.member(ctx, member, asked[p.n])
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	pages = slices.Concat(found...)
	slices.SortFunc(pages, func(a, b leaderboard.Page) int { return strings.Compare(a.Board.ID, b.Board.ID) })
	return pages, next, nil
}

// member looks for a member on boards of the partition.
func (p *partition) member(ctx context.Context, member string, ids []string) (pages []leaderboard.Page, err error) {
	found, err := p.memberAtOnce(ctx, member, ids)
	if err == nil && slices.Contains(found, nil) && len(ids) > 1 {
		// Perhaps the server has not had the script yet; after one reading it has. Or boards
		// had other seasons than were known; now they are known.
		_, err = p.store.Lookup(ctx, leaderboard.Ref{Board: ids[0]}, []string{member})
		if err == nil || errors.Is(err, leaderboard.ErrBoardNotFound) {
			found, err = p.memberAtOnce(ctx, member, ids)
		}
	}
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		page := found[i]
		if page == nil {
			alone, err := p.store.Lookup(ctx, leaderboard.Ref{Board: id}, []string{member})
			if errors.Is(err, leaderboard.ErrBoardNotFound) {
				continue // it was deleted in between
			}
			if err != nil {
				return nil, err
			}
			page = &alone
		}
		if page.Entries[0].Rank > 0 {
			pages = append(pages, *page)
		}
	}
	return pages, nil
}

// memberAtOnce reads a member's entry on each board. The page is nil where that did
// not do: the server is not the one that is known, or a batch is under way.
func (p *partition) memberAtOnce(ctx context.Context, member string, ids []string) ([]*leaderboard.Page, error) {
	pages := make([]*leaderboard.Page, len(ids))
	if t := p.trouble.Load(); t != nil && t.away {
		return nil, t.err
	}
	in := p.incarnation.Load()
	if in == nil {
		return pages, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.store.opts.Timeout)
	defer cancel()
	members := []string{member}
	known := make([]knownSeason, len(ids))
	cmds := make([]rueidis.Completed, len(ids))
	for i, id := range ids {
		known[i] = p.store.knownSeason(leaderboard.Ref{Board: id})
		cmds[i] = p.command("EVALSHA", in.scripts.sha[scriptLookup], p.keysOf(id, known[i].season), append(known[i].args(), member))
	}
	var adopted []int // those of ids that show a ZSET
	for i, answer := range p.store.client.DoMulti(ctx, cmds...) {
		message, err := answer.ToMessage()
		if err != nil || lookAgain(message) {
			continue
		}
		view, lock, rest, err := p.open(scriptLookup, leaderboard.Ref{Board: ids[i]}, known[i].settings, message)
		if err != nil || lock != "" {
			continue
		}
		page := leaderboard.Page{View: view}
		if view.Board.ZSet != "" {
			adopted = append(adopted, i)
		} else if page, err = readLookup(view, members, rest); err != nil {
			return nil, err
		}
		pages[i] = &page
	}

	cmds = cmds[:0]
	for _, i := range adopted {
		b := &pages[i].Board
		args := append(adoptedHead(b), "lookup", member)
		cmds = append(cmds, p.store.client.B().EvalshaRo().Sha1(adoptedReadSHA).Numkeys(1).Key(b.ZSet).Arg(args...).Build())
	}
	if len(cmds) == 0 {
		return pages, nil
	}
	for n, answer := range p.store.client.DoMulti(ctx, cmds...) {
		i := adopted[n]
		message, err := answer.ToMessage()
		if err != nil { // perhaps a server that does not know the script yet
			pages[i] = nil
			continue
		}
		page, err := readAdoptedLookup(pages[i].View, members, message)
		if err != nil {
			return nil, err
		}
		pages[i] = &page
	}
	return pages, nil
}
