package leaderboard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of the words of the domain. They are part of the API.
const (
	MaxBoardID   = 64   // bytes in a board's id
	MaxMember    = 128  // bytes in a member
	MaxData      = 1024 // bytes in an entry's data, as compact JSON
	MaxZSet      = 512  // bytes in the key of a ZSET that a board shows
	MaxDecimals  = 6
	MaxTop       = 500
	MaxBatch     = 1000 // operations in a batch
	MaxLimit     = 1000 // entries in a page
	DefaultLimit = 50

	DefaultTop      = 100
	DefaultInterval = 100 * time.Millisecond
	MinInterval     = 20 * time.Millisecond
	MaxInterval     = time.Minute
)

// Order says which scores stand first.
type Order string

// The orders of a board.
const (
	Descending Order = "desc" // the highest score is first; the default
	Ascending  Order = "asc"  // the lowest score is first, as in a race
)

// Policy says what a submission does to the score that a member has.
type Policy string

// The policies of a board.
const (
	Sum    Policy = "sum"    // adds to it; the default
	Best   Policy = "best"   // replaces it when the new one is strictly better by the board's order
	Latest Policy = "latest" // replaces it
)

// Ties says who stands first among equal scores.
type Ties string

// The tie rules of a board.
const (
	Earliest  Ties = "earliest" // who reached the score first; the default
	LatestTie Ties = "latest"   // who reached it last
)

// RankStyle says how equal scores are numbered.
type RankStyle string

// The rank styles of a board. Ranks are 1-based in each.
const (
	Ordinal     RankStyle = "ordinal"     // 1 2 3 4: ties are told apart by the tie rule; the default
	Competition RankStyle = "competition" // 1 2 2 4: equal scores share a rank, and the next ranks are left out
	Dense       RankStyle = "dense"       // 1 2 2 3: equal scores share a rank, and none is left out
)

// Board is the settings of a leaderboard. Its id, order, decimals, ties and ZSet
// never change; the rest may be patched, but for MaxEntries, EntryTTL and [Dense], which a board has from
// its creation on or never: such a board keeps its distinct scores too, and to find
// those of a board that has not kept them takes as long as it is large.
type Board struct {
	ID        string    `json:"id"`
	Order     Order     `json:"order"`
	Policy    Policy    `json:"policy"`
	Decimals  int       `json:"decimals"` // digits after the point that scores may have, 0 to MaxDecimals
	Ties      Ties      `json:"ties"`
	RankStyle RankStyle `json:"rank_style"`
	Top       int       `json:"top"`         // entries that viewers are sent, 1 to MaxTop
	Interval  int       `json:"interval_ms"` // milliseconds between two publications at the least
	CreatedAt time.Time `json:"created_at"`

	// ZSet, if it is not empty, is the key of a sorted set of Redis that another
	// program writes and that the board shows: policy and ties mean nothing then, and the
	// board itself cannot be written. Only the store on Redis knows such boards.
	ZSet string `json:"zset,omitempty"`

	// The bounds of its scores; a submission that would go beyond one is refused.
	// The score that a member has then must lie from MinScore to MaxScore, for a
	// correction too. MaxStep is the furthest that one submission may move the
	// score of a member, up or down; the first is measured from 0 where scores
	// add up, and else not at all. Scores that were there before a bound stay.
	MinScore Bound `json:"min_score,omitzero"`
	MaxScore Bound `json:"max_score,omitzero"`
	MaxStep  Bound `json:"max_step,omitzero"`

	// SubmitsPerMinute, if it is not 0, is how many submissions of a member are
	// carried out in a [Minute] of their batches' times, whether they are accepted or
	// not better. The next one is refused. Neither what is refused counts nor are
	// corrections and removals counted. The counts of a minute and of the one before are
	// kept for a minute at least while the store is open; an opening may forget them.
	SubmitsPerMinute int `json:"submits_per_minute,omitzero"`

	Seasons Seasons `json:"seasons,omitzero"`

	// MaxEntries, if it is not 0, is how many entries the board keeps. A member that is
	// not on the board and would stand behind so many is not taken; see [BoardFull].
	// With another one that is, the worst fall off in the same change until there are no
	// more, but no more than [FallWithMember] at a time. There is more to fall off only
	// after a patch to a lower number, which itself drops up to [FallWithPatch]. A
	// board has a number from its creation on or never: what would fall off next must be
	// known before it is durable, and so the order is kept a second time. Each season is held
	// to the number that it has, and one that has ended to the number that it had then.
	MaxEntries int `json:"max_entries,omitzero"`

	// EntryTTL, if it is not 0, is for how many seconds an entry stays that nobody
	// refreshes, by its UpdatedAt; see [Expirer]. Those of a season that has ended stay. A board has one from its creation on or
	// never, as its entries are kept in the order of their UpdatedAt too.
	EntryTTL int `json:"entry_ttl,omitzero"`
}

// WithDefaults returns b with every setting that is zero set to its default.
func (b Board) WithDefaults() Board {
	setDefault(&b.Order, Descending)
	setDefault(&b.Policy, Sum)
	setDefault(&b.Ties, Earliest)
	setDefault(&b.RankStyle, Ordinal)
	setDefault(&b.Top, DefaultTop)
	setDefault(&b.Interval, int(DefaultInterval/time.Millisecond))
	b.Seasons = b.Seasons.normal()
	return b
}

func setDefault[T comparable](setting *T, value T) {
	var zero T
	if *setting == zero {
		*setting = value
	}
}

// Validate reports the first setting of b that is out of its range, as an
// [Error] with the code [CodeInvalidBoard]. Zero settings are not valid; see
// [Board.WithDefaults].
func (b Board) Validate() error {
	if err := ValidateBoardID(b.ID); err != nil {
		return err
	}
	if err := oneOf("order", b.Order, Descending, Ascending); err != nil {
		return err
	}
	if err := oneOf("policy", b.Policy, Sum, Best, Latest); err != nil {
		return err
	}
	if err := oneOf("ties", b.Ties, Earliest, LatestTie); err != nil {
		return err
	}
	if err := oneOf("rank_style", b.RankStyle, Ordinal, Competition, Dense); err != nil {
		return err
	}
	if err := within("decimals", b.Decimals, 0, MaxDecimals); err != nil {
		return err
	}
	if err := within("top", b.Top, 1, MaxTop); err != nil {
		return err
	}
	if err := validateZSet(b.ZSet); err != nil {
		return err
	}
	if err := b.validateBounds(); err != nil {
		return err
	}
	if err := b.validateSubmits(); err != nil {
		return err
	}
	if err := b.Seasons.validate(); err != nil {
		return err
	}
	if b.ZSet != "" && b.Seasons != (Seasons{}) {
		return Errorf(CodeInvalidBoard, "seasons of a board that shows a zset cannot be set: another program writes it")
	}
	if err := b.validateCapacity(); err != nil {
		return err
	}
	if err := b.validateTTL(); err != nil {
		return err
	}
	if b.ZSet != "" && b.RankStyle == Dense {
		return Errorf(CodeInvalidBoard, "rank_style of a board that shows a zset is %q, must be one of %s, %s: nobody counts the distinct scores of a sorted set that another program writes", Dense, Ordinal, Competition)
	}
	return within("interval_ms", b.Interval, int(MinInterval/time.Millisecond), int(MaxInterval/time.Millisecond))
}

// validateZSet accepts the keys of Redis that JSON can carry and a log can show.
func validateZSet(key string) error {
	if len(key) > MaxZSet || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
		return Errorf(CodeInvalidBoard, "zset is %s, must be a key of at most %d bytes of UTF-8 without control characters", quote(key), MaxZSet)
	}
	return nil
}

func oneOf[T ~string](setting string, got T, valid ...T) error {
	if slices.Contains(valid, got) {
		return nil
	}
	names := make([]string, len(valid))
	for i, v := range valid {
		names[i] = string(v)
	}
	return Errorf(CodeInvalidBoard, "%s is %q, must be one of %s", setting, got, strings.Join(names, ", "))
}

func within(setting string, got, low, high int) error {
	if got < low || got > high {
		return Errorf(CodeInvalidBoard, "%s is %d, must be from %d to %d", setting, got, low, high)
	}
	return nil
}

// PublishInterval is the least time between two publications of the board.
func (b Board) PublishInterval() time.Duration {
	return time.Duration(b.Interval) * time.Millisecond
}

// Better reports whether score a stands strictly before score b on this board.
func (b Board) Better(score, than int64) bool {
	if b.Order == Ascending {
		return score < than
	}
	return score > than
}

// Compare returns a negative number when an entry at x stands before one at y
// on this board, a positive one when it stands behind it, and 0 when both are one place.
func (b Board) Compare(x, y Position) int {
	if x.Score != y.Score {
		if b.Better(x.Score, y.Score) {
			return -1
		}
		return 1
	}
	// On a board with a ZSet Seq counts the equals from the first.
	if b.Ties == LatestTie && b.ZSet == "" {
		x, y = y, x
	}
	return cmp.Compare(x.Seq, y.Seq)
}

// Patch changes settings of a board; a nil field leaves its setting as it is.
// Order, decimals, ties and ZSet are part of how entries are kept, so they are
// here only to be refused by name when they differ, and so is a RankStyle where one
// of the old and the new is [Dense].
type Patch struct {
	Order     *Order     `json:"order,omitempty"`
	Decimals  *int       `json:"decimals,omitempty"`
	Policy    *Policy    `json:"policy,omitempty"`
	Ties      *Ties      `json:"ties,omitempty"`
	RankStyle *RankStyle `json:"rank_style,omitempty"`
	Top       *int       `json:"top,omitempty"`
	Interval  *int       `json:"interval_ms,omitempty"`
	ZSet      *string    `json:"zset,omitempty"`

	// A bound that is not valid takes the board's away.
	MinScore *Bound `json:"min_score,omitempty"`
	MaxScore *Bound `json:"max_score,omitempty"`
	MaxStep  *Bound `json:"max_step,omitempty"`

	SubmitsPerMinute *int `json:"submits_per_minute,omitempty"` // 0 takes the limit away

	// Seasons replaces the whole setting. The current season goes on, and ends when
	// the new setting says; see [Board.Reschedule].
	Seasons *Seasons `json:"seasons,omitempty"`

	At time.Time `json:"-"` // the time, which a change of Seasons needs, in whole milliseconds

	MaxEntries *int `json:"max_entries,omitempty"`
	EntryTTL   *int `json:"entry_ttl,omitempty"`
}

// Apply returns b as p changes it, or the error of [Board.Validate], or one
// with the code [CodeImmutableSetting].
func (p Patch) Apply(b Board) (Board, error) {
	if changes(p.Order, b.Order) {
		return b, immutable(b.ID, "order")
	}
	if changes(p.Decimals, b.Decimals) {
		return b, immutable(b.ID, "decimals")
	}
	if changes(p.Ties, b.Ties) {
		return b, immutable(b.ID, "ties")
	}
	if changes(p.ZSet, b.ZSet) {
		return b, immutable(b.ID, "zset")
	}
	if changes(p.RankStyle, b.RankStyle) && (*p.RankStyle == Dense || b.RankStyle == Dense) {
		return b, Errorf(CodeImmutableSetting, "rank_style of board %q cannot change to or from %s after its creation; create another board", b.ID, Dense)
	}
	if err := p.checkCapacity(&b); err != nil {
		return b, err
	}
	if err := p.checkTTL(&b); err != nil {
		return b, err
	}
	set(&b.Policy, p.Policy)
	set(&b.RankStyle, p.RankStyle)
	set(&b.Top, p.Top)
	set(&b.Interval, p.Interval)
	set(&b.MinScore, p.MinScore)
	set(&b.MaxScore, p.MaxScore)
	set(&b.MaxStep, p.MaxStep)
	set(&b.SubmitsPerMinute, p.SubmitsPerMinute)
	if p.Seasons != nil {
		b.Seasons = p.Seasons.normal()
	}
	set(&b.MaxEntries, p.MaxEntries)
	set(&b.EntryTTL, p.EntryTTL)
	return b, b.Validate()
}

func changes[T comparable](wanted *T, is T) bool { return wanted != nil && *wanted != is }

func immutable(board, setting string) error {
	return Errorf(CodeImmutableSetting, "%s of board %q cannot change after its creation; create another board", setting, board)
}

func set[T any](setting, value *T) {
	if value != nil {
		*setting = *value
	}
}

// ValidateBoardID reports whether id matches [A-Za-z0-9][A-Za-z0-9._-]{0,63};
// if not, the error has the code [CodeInvalidBoard].
func ValidateBoardID(id string) error {
	ok := len(id) >= 1 && len(id) <= MaxBoardID
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = alphanumeric || i > 0 && (c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return Errorf(CodeInvalidBoard, "board id %s must be 1 to %d letters, digits, dots, underscores or hyphens, and start with a letter or digit", quote(id), MaxBoardID)
	}
	return nil
}

// ValidateMember reports whether member is 1 to MaxMember bytes of UTF-8
// without control characters; if not, the error has the code [CodeInvalidMember].
func ValidateMember(member string) error {
	switch {
	case member == "":
		return Errorf(CodeInvalidMember, "member is empty")
	case len(member) > MaxMember:
		return Errorf(CodeInvalidMember, "member %s has %d bytes, at most %d are allowed", quote(member), len(member), MaxMember)
	case !utf8.ValidString(member):
		return Errorf(CodeInvalidMember, "member %s is not UTF-8", quote(member))
	case strings.ContainsFunc(member, unicode.IsControl):
		return Errorf(CodeInvalidMember, "member %s has a control character", quote(member))
	}
	return nil
}

// quote shows what was sent, short enough for a message.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
