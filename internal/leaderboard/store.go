package leaderboard

import (
	"context"
	"encoding/json"
	"math/bits"
	"time"
)

// Store keeps boards. Its methods are safe for concurrent use, and each sees or
// makes every board at one rev: never half a batch.
//
// Errors that a caller can act on are [Error]s; compare with [errors.Is]. A
// store checks nothing that [Service] has checked: ids, members, data and limits
// that reach it are valid. Offsets and positions may be any at all.
//
// A store that has been closed answers [ErrShuttingDown] to everything, also to
// a Changes that waits.
type Store interface {
	Writer
	Reader
	ChangeLog
	Expirer
}

// Writer changes boards. When a method returns without error, its change is as
// durable as the store can make it and visible to every later read; when it
// returns an error, nothing has changed, except where the error is that of the
// context: then the change may or may not be made, but never half.
//
// A store that cannot write for now answers [ErrStorageUnavailable], and reads
// go on.
type Writer interface {
	// CreateBoard makes an empty board with valid settings. Its rev is 1, or,
	// if a board of this id was deleted, one more than the last rev of that one.
	// It returns [ErrBoardExists] if there is one, and an error with the code
	// [CodeInvalidBoard] if the board is one that the store cannot keep; see
	// Board.ZSet.
	CreateBoard(ctx context.Context, b Board) (View, error)

	// PatchBoard changes settings; that is one change, even if each is as it was:
	// rev is one more. It returns [ErrBoardNotFound] or the error of [Patch.Apply].
	PatchBoard(ctx context.Context, id string, p Patch) (View, error)

	// DeleteBoard removes a board, its entries and its seasons, all but its rev:
	// the deletion is one change, with a rev that is told. It returns [ErrBoardNotFound].
	DeleteBoard(ctx context.Context, id string) error

	// ChangeBoard does what one of the three methods above does, under a name if
	// the change has one; see [BoardChange].
	ChangeBoard(ctx context.Context, c BoardChange) (view View, repeated bool, err error)

	// Apply carries out the operations of a batch in their order, all or none:
	// each sees what the ones before it did. Each accepted one is one change of
	// its board. The first that fails ends the batch with a [*BatchError].
	Apply(ctx context.Context, b Batch) (Outcome, error)

	// Writable returns nil if the store takes writes, and else why not.
	Writable() error
}

// Reader answers from what is durable.
type Reader interface {
	// Board returns a board as it is now, or [ErrBoardNotFound].
	Board(ctx context.Context, id string) (View, error)

	// Boards returns at most limit boards whose ids are above after, ordered by
	// id bytewise.
	Boards(ctx context.Context, after string, limit int) ([]View, error)

	// Entries returns a page of a board from the top. It returns
	// [ErrBoardNotFound] or [ErrSeasonNotFound].
	Entries(ctx context.Context, at Ref, r Range) (Page, error)

	// Seasons returns the seasons of a board that are kept, the current one first, the
	// others from the newest on; or [ErrBoardNotFound].
	Seasons(ctx context.Context, board string) ([]View, error)

	// Due returns at most limit boards whose current season is due at an instant, the
	// earliest first, those of one instant by their ids, and when the next of the others will be; zero if none that is
	// known. It may miss what has changed in the last second.
	Due(ctx context.Context, at time.Time, limit int) (boards []string, next time.Time, err error)

	// Around returns a page of limit entries with the member in its middle, or
	// as near to the middle as the ends of the board allow: near an end the page
	// is filled up from the other side. With an even limit there is one more
	// entry above than below. It returns [ErrMemberNotFound] too.
	Around(ctx context.Context, at Ref, member string, limit int) (Page, error)

	// Lookup returns one entry for each of members, in their order. The entry
	// of a member that is not on the board has rank 0 and nothing but its name.
	// The page has no More.
	Lookup(ctx context.Context, at Ref, members []string) (Page, error)

	// Member looks for a member on at most limit boards whose ids are above after,
	// ordered by id bytewise, and returns a page, with that entry alone, of each
	// that has it. Next is the id of the last board that was looked at, for after;
	// it is empty if there is no board above that one. The page has no More. Each
	// page is of one rev; different boards are read at different moments.
	Member(ctx context.Context, member, after string, limit int) (pages []Page, next string, err error)
}

// ChangeLog tells which boards have changed. A change is recorded with what
// changed, so that none is lost; it is told at least once, and again after a
// crash unless it was acknowledged.
type ChangeLog interface {
	// Changes waits until there are changes after the cursor and returns at
	// most limit of them in their order, with the cursor that stands after the
	// last. The empty cursor stands before the first that is not acknowledged.
	// Changes of one board may be folded into the newest. What changed nothing is
	// not told.
	Changes(ctx context.Context, after Cursor, limit int) ([]Change, Cursor, error)

	// Ack says that the changes up to the cursor need not be told again.
	Ack(ctx context.Context, through Cursor) error
}

// Cursor is a place in a change log; only its store can read it.
type Cursor string

// Change says that a board has reached a rev.
type Change struct {
	Board string
	Rev   uint64
}

// Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Submit Kind = iota // a score, to which the board's policy is applied
	Set                // a score that replaces the one there is, whatever the policy
	Remove             // takes the member off the board
	Expire             // takes the member off the board if its entry is due at the batch's time; see [Expirer]
)

// Op is one operation on one entry.
type Op struct {
	Board  string
	Kind   Kind
	Member string
	Score  Decimal         // of Submit and Set
	Data   json.RawMessage // of Submit and Set: nil keeps what the entry has, null removes it, an object replaces it

	// If is looked at first, on the entry that the operations before this one leave.
	// If it does not hold, the batch fails.
	If Condition

	// Season is that which the operation is meant for; 0 is the current one. One that has
	// ended takes late operations as long as [Board.Admit] says. All operations of a
	// batch on one board have the same.
	Season int
}

// Batch is operations that are carried out together, on one board or many. A board
// whose season is due at the batch's time has it ended first, which is a change of its
// own, and stays when the batch fails.
type Batch struct {
	Ops []Op
	At  time.Time // becomes the UpdatedAt of the entries that change, in whole milliseconds

	// Once, if it is not empty, names the batch, so that it can be sent again by
	// who does not know whether it arrived. For [OnceTTL] from a batch that was
	// carried out, one with the same name and the same board in its first operation
	// changes nothing, whatever else it holds. A batch that fails uses up no name.
	Once string

	// OnceDigest, if it is not zero, stands for all that makes up the request that
	// the batch is. What came of a batch that has one is kept with its name, in
	// the step that carries it out: one with the same name and digest answers it
	// again, also after a crash and from another node. One with another digest
	// gets [ErrOnceReused].
	OnceDigest Digest
}

// Digest tells requests apart that have the same name.
type Digest [16]byte

// BoardChange is the creation, the patch or the deletion of a board, or the end of
// its season.
type BoardChange struct {
	ID     string
	Create *Board // with the same ID
	Patch  *Patch
	End    *End // if all three are nil, the board is deleted

	// The name of the change and the digest of its request, as those of a [Batch]
	// that begins with an operation on this board. Names are of both kinds alike. If
	// there is one there must be the other.

	Once       string
	OnceDigest Digest
}

// End ends the current season of a board, by [Board.EndRun]: that is one change, in
// time that does not depend on how large the board is. The season is kept as it stands,
// to be read by its number; the one that begins is empty. Seasons older than those
// that are kept are removed.
type End struct {
	// Season is which one is to be ended, or 0 for the current one. If it has ended
	// already the error has the code [CodeSeasonEnded], and if it is yet to come
	// [CodeSeasonNotFound]; so an end that is asked for twice, or by several nodes, happens
	// once.
	Season int

	At time.Time // in whole milliseconds

	// Due ends the season only if it is due at At; otherwise nothing is changed.
	Due bool
}

// OnceTTL is how long the name of a batch is remembered, at least.
const OnceTTL = 24 * time.Hour

// MaxOnce is the most bytes in the name of a batch.
const MaxOnce = 256

// BatchError says which operation of a batch failed. Behind it is an [Error]:
// [ErrBoardNotFound], [ErrReadOnly], [ErrEntryChanged], [ErrMemberNotFound] (of Remove), that of [Board.Admit], or one with the code
// [CodeTooManyDecimals], [CodeScoreOutOfRange], [CodeScoreBelowMinimum], [CodeScoreAboveMaximum]
// or [CodeStepTooLarge]; or, if nothing else is in the way of a submission, [ErrTooManySubmits].
type BatchError struct {
	Index int // in Batch.Ops
	Op    Op
	Err   error
}

func (e *BatchError) Error() string {
	return "member " + quote(e.Op.Member) + ": " + e.Err.Error()
}

// Unwrap returns the operation's error.
func (e *BatchError) Unwrap() error { return e.Err }

// Outcome is what a batch did.
type Outcome struct {
	Results []Result // one for each operation, in their order
	Boards  []View   // the boards of the batch after it, in the order of their first operations, in the seasons that these went to

	// Repeated says that a batch of this name was carried out before. The rest is what
	// came of that one if both have a digest, or else empty.
	Repeated bool
}

// Result is what one operation did.
type Result struct {
	Member   string
	Accepted bool     // whether anything was changed
	Reason   Reason   // why not
	Current  Standing // the member's standing when the operation was done, before the next one of its batch
	Previous Standing // the one before the operation
	Rev      uint64   // of the member's entry with Current, as [Entry] has it; 0: not on the board, or nobody knows any more
}

// Reason says why an operation changed nothing, which is not an error.
type Reason string

// NotBetter is the reason of a submission that the policy [Best] leaves aside.
const NotBetter Reason = "not_better"

// NotExpired is the reason of an Expire whose entry is not due, or not there.
const NotExpired Reason = "not_expired"

// BoardFull is the reason of an operation that would put a member behind as many
// others as its board keeps; see Board.MaxEntries.
const BoardFull Reason = "board_full"

// Standing is a place on a board.
type Standing struct {
	Score int64 // scaled
	Rank  int   // 1-based, by the board's rank style; 0: not on the board
}

// View is a season of a board at a moment. That of a past season has the settings
// that the board had at its end, and the rev of the last change that it saw.
type View struct {
	Board  Board
	Season int    // 1-based number of the season that is read
	Rev    uint64 // number of changes so far; the next has Rev+1
	Epoch  string // the store's incarnation
	Total  int    // entries

	StartsAt time.Time // when the season began, or will
	EndsAt   time.Time // when it has ended or will; zero: nobody knows
	Closed   bool      // it has ended; of a past one, late scores may still come
}

// NextReset is when the next season begins and the table becomes empty; zero if nobody
// knows, and for a past season.
func (v View) NextReset() time.Time {
	if v.Closed || !v.Board.Seasons.Rolling() {
		return time.Time{}
	}
	return v.EndsAt
}

// Ref names a season of a board.
type Ref struct {
	Board  string
	Season int // 1-based; 0 is the current one
}

// Range is a part of a board: from Offset (0-based) or, if it is not nil, from
// what stands behind After.
//
// If Around is not nil, neither counts: in the middle of the page is the place of
// who reached that score now, behind its equals or, where the latest stands first,
// before them. Half of Limit stands above it, rounded down; near an end of the board
// the page is filled up from the other side. The score must be one that the board
// can keep, or the error has the code [CodeTooManyDecimals] or [CodeScoreOutOfRange].
//
// If Percent is not nil, the board ends for this page behind that share of its
// entries; see [Range.End].
type Range struct {
	Offset  int
	After   *Position
	Around  *Decimal
	Percent *Decimal // above 0, at most 100
	Limit   int
}

// End returns how many of a board's entries, from the top, the range can reach: as
// many as Percent says of total, rounded up, exactly.
func (r Range) End(total int) int {
	if r.Percent == nil {
		return total
	}
	const whole = 100_000_000 // 100 percent, with MaxDecimals
	part, err := r.Percent.Scaled(MaxDecimals)
	if err != nil || part >= whole || total <= 0 {
		return total
	}
	high, low := bits.Mul64(uint64(max(part, 0)), uint64(total))
	low, carry := bits.Add64(low, whole-1, 0)
	end, _ := bits.Div64(high+carry, low, whole) // no more than total
	return int(end)
}

// Position is a place in the total order of a board's entries; no two entries
// have the same. It stays a place when the entry that had it moves on.
type Position struct {
	Score int64
	Seq   uint64
}

// Page is entries of a board at a moment.
type Page struct {
	View
	Entries []Entry
	More    bool // entries stand behind the last of these
}

// Entry is a member's place on a board.
type Entry struct {
	Member    string
	Score     int64           // scaled
	Rank      int             // 1-based, by the board's rank style
	Better    int             // on a board with dense ranks, which do not tell: how many members have a strictly better score; else 0
	Seq       uint64          // the rev at which the member reached Score; orders ties
	Rev       uint64          // the rev of the last accepted change of the entry; 0 on a board with a ZSet
	Data      json.RawMessage // a compact JSON object, or nil; not to be changed
	UpdatedAt time.Time       // of the last accepted change, in whole milliseconds; zero if nobody knows
}

// Position returns the entry's place in the board's order.
func (e Entry) Position() Position { return Position{e.Score, e.Seq} }

// Percentile returns how many of the other members of the page's board, in
// percent, do not stand before an entry of it. Equals do not where they share a rank.
func (p Page) Percentile(e Entry) float64 {
	if p.Board.RankStyle == Dense {
		return Percentile(e.Better+1, p.Total)
	}
	return Percentile(e.Rank, p.Total)
}

// Percentile returns how many of the other members, in percent, do not stand before
// rank on a board of total entries: 100 for the first, 0 for one whom all stand before.
// It is the double that is nearest to that.
func Percentile(rank, total int) float64 {
	if total <= 1 {
		return 100
	}
	return 100 * float64(total-rank) / float64(total-1)
}
