package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"laurel/internal/leaderboard"
)

// A board with a ZSet shows a sorted set that another program writes. The board's
// state is in its partition as that of any other; the ZSET is wherever it is, on a
// cluster on another server perhaps. It is read after the state, so that what is
// shown is never older than the rev that it is shown with.

var (
	adoptedRead  = rueidis.NewLuaScriptReadOnly(readScript("adopted_read"))
	adoptedProbe = rueidis.NewLuaScriptReadOnly(readScript("adopted_probe"))
)

// ask runs a script on a ZSET.
func (s *Store) ask(ctx context.Context, script *rueidis.Lua, key string, args ...string) (rueidis.RedisMessage, error) {
	limited, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	for failures := 0; ; failures++ {
		message, err := script.Exec(limited, s.client, []string{key}, args).ToMessage()
		if err == nil {
			return message, nil
		}
		kind, _ := classify(err)
		switch {
		case kind == mistake:
			return message, fmt.Errorf("read ZSET %q: %w", key, err)
		case kind == refusal || !pause(limited, backOff(failures)):
			return message, s.fault(ctx, err)
		}
	}
}

// adoptable returns an error if a board cannot show the ZSET that it is to show.
func (s *Store) adoptable(ctx context.Context, b leaderboard.Board) error {
	if b.ZSet == "" {
		return nil
	}
	if strings.HasPrefix(b.ZSet, s.opts.Prefix+".{") {
		return leaderboard.Errorf(leaderboard.CodeInvalidBoard, "zset is %q: keys that begin so are Laurel's own", b.ZSet)
	}
	message, err := s.ask(ctx, adoptedProbe, b.ZSet, order(b), "1", "0")
	if err != nil {
		return err
	}
	fields, err := message.AsStrSlice()
	if err != nil || len(fields) != 2 {
		return fmt.Errorf("read ZSET %q: %w", b.ZSet, errAnswer)
	}
	if kind := fields[0]; kind != "zset" && kind != "none" {
		return leaderboard.Errorf(leaderboard.CodeInvalidBoard, "zset is %q: that key of Redis is a %s, not a zset", b.ZSet, kind)
	}
	return nil
}

func readOnly(b *leaderboard.Board) error {
	return leaderboard.Errorf(leaderboard.CodeReadOnly, "board %q shows the ZSET %q, which another program writes", b.ID, b.ZSet)
}

// order is how the scripts name a board's order.
func order(b leaderboard.Board) string {
	if b.Order == leaderboard.Descending {
		return "d"
	}
	return "a"
}

// countAdopted puts the numbers of members into the views of boards over ZSETs.
func (s *Store) countAdopted(ctx context.Context, views []leaderboard.View) error {
	var cmds []rueidis.Completed
	var of []*leaderboard.View
	for i := range views {
		if key := views[i].Board.ZSet; key != "" {
			cmds = append(cmds, s.client.B().Zcard().Key(key).Build())
			of = append(of, &views[i])
		}
	}
	if len(cmds) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	for i, answer := range s.client.DoMulti(ctx, cmds...) {
		total, err := answer.AsInt64()
		if e, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(e.Error(), "WRONGTYPE") {
			err = nil // no members
		}
		if err != nil {
			return err
		}
		of[i].Total = int(total)
	}
	return nil
}

func (s *Store) readAdopted(ctx context.Context, b *leaderboard.Board, args ...string) (rueidis.RedisMessage, error) {
	return s.ask(ctx, adoptedRead, b.ZSet, append(adoptedHead(b), args...)...)
}

// adoptedHead is what adopted_read.lua is told first.
func adoptedHead(b *leaderboard.Board) []string {
	scale, limit := math.Pow10(b.Decimals), leaderboard.MaxScore(b.Decimals)
	return []string{order(*b), strconv.FormatFloat(scale, 'f', -1, 64), strconv.FormatInt(limit, 10)}
}

// adoptedPage reads a page; where is what entries.lua is told, too.
func (s *Store) adoptedPage(ctx context.Context, view leaderboard.View, r leaderboard.Range, where ...string) (leaderboard.Page, error) {
	page := leaderboard.Page{View: view}
	message, err := s.readAdopted(ctx, &view.Board, append([]string{strconv.Itoa(r.Limit)}, where...)...)
	if err != nil {
		return page, err
	}
	if message.IsString() {
		return page, errNoMember
	}
	m, err := message.ToArray()
	if err != nil || len(m) != 4 {
		return page, fmt.Errorf("read ZSET %q: %w", view.Board.ZSet, errAnswer)
	}
	total, err := m[0].ToInt64()
	start, err2 := m[1].ToInt64()
	before, err3 := m[2].ToInt64()
	rows, err4 := m[3].AsStrSlice()
	if err != nil || err2 != nil || err3 != nil || err4 != nil || len(rows)%2 != 0 {
		return page, fmt.Errorf("read ZSET %q: %w", view.Board.ZSet, errAnswer)
	}
	page.Total = int(total)
	end := int64(r.End(page.Total))
	page.Entries = make([]leaderboard.Entry, max(0, min(int64(len(rows)/2), end-start)))
	page.More = start+int64(len(page.Entries)) < end
	for i := range page.Entries {
		score, err := strconv.ParseInt(rows[2*i+1], 10, 64)
		if err != nil {
			return page, fmt.Errorf("read ZSET %q: %w", view.Board.ZSet, errAnswer)
		}
		index := int(start) + i
		if i > 0 && score != page.Entries[i-1].Score {
			before = int64(index)
		}
		page.Entries[i] = adoptedEntry(&view.Board, rows[2*i], score, index, int(before))
	}
	return page, nil
}

func (s *Store) adoptedLookup(ctx context.Context, view leaderboard.View, members []string) (leaderboard.Page, error) {
	message, err := s.readAdopted(ctx, &view.Board, append([]string{"lookup"}, members...)...)
	if err != nil {
		return leaderboard.Page{View: view}, err
	}
	return readAdoptedLookup(view, members, message)
}

func readAdoptedLookup(view leaderboard.View, members []string, message rueidis.RedisMessage) (leaderboard.Page, error) {
	page := leaderboard.Page{View: view, Entries: make([]leaderboard.Entry, len(members))}
	m, err := message.ToArray()
	if err != nil || len(m) != 1+len(members) {
		return page, fmt.Errorf("read ZSET %q: %w", view.Board.ZSet, errAnswer)
	}
	total, err := m[0].ToInt64()
	if err != nil {
		return page, fmt.Errorf("read ZSET %q: %w", view.Board.ZSet, errAnswer)
	}
	page.Total = int(total)
	for i, member := range members {
		page.Entries[i].Member = member
		if m[i+1].IsString() {
			continue
		}
		found, err := m[i+1].ToArray()
		if err != nil || len(found) != 3 {
			return page, fmt.Errorf("read ZSET %q: %w", view.Board.ZSet, errAnswer)
		}
		text, err := found[0].ToString()
		score, err2 := strconv.ParseInt(text, 10, 64)
		index, err3 := found[1].ToInt64()
		before, err4 := found[2].ToInt64()
		if err != nil || err2 != nil || err3 != nil || err4 != nil {
			return page, fmt.Errorf("read ZSET %q: %w", view.Board.ZSet, errAnswer)
		}
		page.Entries[i] = adoptedEntry(&view.Board, member, score, int(index), int(before))
	}
	return page, nil
}

// adoptedEntry is an entry that stands at an index, behind so many with another
// score. Its Seq is its place among its equals, counted from 1: those above
// another place are fewer or more only when equals come or go.
func adoptedEntry(b *leaderboard.Board, member string, score int64, index, before int) leaderboard.Entry {
	e := leaderboard.Entry{Member: shownName(member), Score: score, Rank: index + 1, Seq: uint64(index-before) + 1}
	if b.RankStyle == leaderboard.Competition {
		e.Rank = before + 1
	}
	return e
}

// shownName returns a member as it can be shown. One that Laurel would not take
// has what is wrong replaced and a digest behind it, so that no two are shown alike.
func shownName(member string) string {
	if leaderboard.ValidateMember(member) == nil {
		return member
	}
	sum := sha256.Sum256([]byte(member))
	const most = leaderboard.MaxMember - 1 - 16
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, member)
	for i, r := range name {
		if i+utf8.RuneLen(r) > most {
			name = name[:i]
			break
		}
	}
	return name + "~" + hex.EncodeToString(sum[:8])
}
