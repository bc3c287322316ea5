package leaderboard

import (
	"context"
	"errors"
)

// Outbox keeps messages to other programs until they are delivered, and with each
// board a note of what was last told about it. A store that has one keeps it beside
// the boards, as durable as they are. It does not look into notes and messages.
//
// A store that has been closed answers [ErrShuttingDown].
type Outbox interface {
	// Note returns what is noted about a board, whether or not there is such a
	// board. The zero Note is that of one about which nothing was ever noted. Notes
	// outlive their boards.
	Note(ctx context.Context, board string) (Note, error)

	// Record replaces the note of a board and puts messages into queues, all in one
	// step. It returns [ErrNoteChanged] and has done nothing if the note is not the one that the
	// recording comes after: of several who record the same, one succeeds. After another
	// error the note says whether it was done. It returns the indexes of those
	// messages that were left out as their queues were full.
	Record(ctx context.Context, r Recording) (left []int, err error)

	// Waiting tells of each of at most limit boards, whose ids are above after, the
	// oldest message to it in a queue, ordered by id bytewise. Where several nodes share a
	// store, the messages of a board are told to one of them at a time, though at a
	// handover two may be told them for a moment. With an error may come those that were
	// found all the same.
	Waiting(ctx context.Context, queue, after string, limit int) (Waiting, error)

	// Settle takes a message out of its queue if text is nil, and else gives it
	// another text in the same place. It does nothing if the message is not there.
	Settle(ctx context.Context, m Message, text []byte) error
}

// ErrNoteChanged is returned by a Record that does not come after the note there is.
var ErrNoteChanged = errors.New("the note was changed by somebody else")

// Limits of an [Outbox].
const (
	MaxQueueName  = 64      // bytes in the name of a queue: lower-case letters, digits, dots, hyphens and underscores
	MaxRecording  = 1 << 12 // messages in a recording
	MaxOutboxText = 1 << 16 // bytes in a note or a message
)

// Note is what somebody noted about a board.
type Note struct {
	Version uint64 // how often it was replaced
	Text    []byte // not to be changed
}

// Recording is a new note about a board, and what is to be told because of it.
type Recording struct {
	Board    string
	After    uint64 // the Version of the note that it replaces
	Note     []byte
	Messages []Outgoing
}

// Outgoing is a message that is to be put into a queue.
type Outgoing struct {
	Queue string
	Text  []byte

	// Limit is how many messages the queue may have with this one. A store that
	// spreads its boards over partitions counts those of each for itself.
	Limit int
}

// Message is one in a queue.
type Message struct {
	Queue string
	Board string
	Place uint64 // orders the messages about a board; no two in a queue have the same, ever
	Text  []byte // not to be changed
}

// Waiting is what is in a queue.
type Waiting struct {
	Oldest []Message // one of each board
	Queued int       // messages of all boards, as far as they are told to this node
}

// PlaceOf returns the Place of the message with an index in a recording.
func (r Recording) PlaceOf(index int) uint64 { return (r.After+1)*MaxRecording + uint64(index) }
