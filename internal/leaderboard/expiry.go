package leaderboard

import (
	"context"
	"time"
)

// MaxEntryTTL is the most that a board's EntryTTL can be: ten years.
const MaxEntryTTL = 10 * 366 * 24 * 3600

// Expirer takes entries off boards that nobody has refreshed.
type Expirer interface {
	// Expire takes at most limit entries off boards with EntryTTL which were updated
	// that long before now, or longer; of one board those first that were updated
	// first. Each is one change of its board, and happens once, however many ask. It
	// returns how many there were, and when the next of what is left is due: no
	// later than now if there may be more already, and zero if there is none.
	//
	// Until then an entry is as any other. What is accepted of its member by then
	// keeps it on the board. Entries of a season that has ended never expire, nor do
	// those of one that was closed.
	Expire(ctx context.Context, now time.Time, limit int) (expired int, next time.Time, err error)
}

// TTL is how long an entry stays that nobody refreshes, or 0 for ever.
func (b *Board) TTL() time.Duration { return time.Duration(b.EntryTTL) * time.Second }

// Expired reports whether an entry that was updated at a time, in ms, is due by now.
func (b *Board) Expired(updated, now int64) bool {
	return b.EntryTTL != 0 && updated+b.TTL().Milliseconds() <= now
}

func (b *Board) validateTTL() error {
	if b.EntryTTL != 0 && b.ZSet != "" {
		return Errorf(CodeInvalidBoard, "entry_ttl is for boards that take scores; this one shows a ZSET")
	}
	return within("entry_ttl", b.EntryTTL, 0, MaxEntryTTL)
}

// checkTTL refuses a patch that gives a board a time to live or takes it away.
func (p *Patch) checkTTL(b *Board) error {
	if p.EntryTTL != nil && *p.EntryTTL >= 0 && (*p.EntryTTL == 0) != (b.EntryTTL == 0) {
		return Errorf(CodeImmutableSetting, "entry_ttl of board %q cannot be given or taken away after its creation, only changed; create another board", b.ID)
	}
	return nil
}
