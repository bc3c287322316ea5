package leaderboard

import "time"

// MaxSubmits is the most that a board's SubmitsPerMinute can be.
const MaxSubmits = 10_000

// Minute returns the number of the minute that a time is in, counted from 1970:
// those of the clock, in which submissions are counted.
func Minute(at time.Time) int64 {
	ms := at.UnixMilli()
	minute := ms / 60_000
	if ms%60_000 < 0 {
		minute--
	}
	return minute
}

// TooManySubmits is the error of a submission beyond SubmitsPerMinute, in a batch
// of a time.
func (b *Board) TooManySubmits(op *Op, at time.Time) error {
	err := Errorf(CodeTooManySubmits, "member %s has made the submissions of this minute, which are %d by the submits_per_minute of its board",
		quote(op.Member), b.SubmitsPerMinute)
	err.RetryAfter = time.UnixMilli((Minute(at) + 1) * 60_000).Sub(at)
	return err
}

func (b *Board) validateSubmits() error {
	if b.SubmitsPerMinute != 0 && b.ZSet != "" {
		return Errorf(CodeInvalidBoard, "submits_per_minute is for boards that take scores; this one shows a ZSET")
	}
	return within("submits_per_minute", b.SubmitsPerMinute, 0, MaxSubmits)
}
