package leaderboard

import "bytes"

// Bound is a limit that a board may have: a number, or none, which is the zero
// value.
type Bound struct {
	Limit Decimal
	Valid bool // there is one
}

// BoundOf returns a bound with a limit.
func BoundOf(limit Decimal) Bound { return Bound{Limit: limit, Valid: true} }

// Equal reports whether both are none, or the same number.
func (b Bound) Equal(other Bound) bool { return b == other }

// MarshalJSON writes a JSON number, or null for none.
func (b Bound) MarshalJSON() ([]byte, error) {
	if !b.Valid {
		return null, nil
	}
	return b.Limit.MarshalJSON()
}

// UnmarshalJSON reads a JSON number, exactly, or null for none.
func (b *Bound) UnmarshalJSON(text []byte) error {
	*b = Bound{}
	if bytes.Equal(text, null) {
		return nil
	}
	b.Valid = true
	return b.Limit.UnmarshalJSON(text)
}

// Scaled returns the limit as a valid board with so many decimals stores it, and
// whether there is one.
func (b Bound) Scaled(decimals int) (limit int64, ok bool) {
	if !b.Valid {
		return 0, false
	}
	limit, err := b.Limit.Scaled(decimals)
	return limit, err == nil
}

// Bounded reports whether the board has one of the bounds.
func (b *Board) Bounded() bool { return b.MinScore.Valid || b.MaxScore.Valid || b.MaxStep.Valid }

// validateBounds reports the first bound that the board cannot have.
func (b *Board) validateBounds() error {
	if !b.Bounded() {
		return nil
	}
	if b.ZSet != "" {
		return Errorf(CodeInvalidBoard, "min_score, max_score and max_step are for boards that take scores; this one shows a ZSET")
	}
	for _, bound := range []struct {
		setting string
		Bound
	}{{"min_score", b.MinScore}, {"max_score", b.MaxScore}, {"max_step", b.MaxStep}} {
		if _, ok := bound.Scaled(b.Decimals); bound.Valid && !ok {
			return Errorf(CodeInvalidBoard, "%s is %s, which is not a score that a board with %d decimals can keep", bound.setting, bound.Limit, b.Decimals)
		}
	}
	low, hasLow := b.MinScore.Scaled(b.Decimals)
	high, hasHigh := b.MaxScore.Scaled(b.Decimals)
	if hasLow && hasHigh && low > high {
		return Errorf(CodeInvalidBoard, "min_score is %s, must not be above max_score, which is %s", b.MinScore.Limit, b.MaxScore.Limit)
	}
	if step, ok := b.MaxStep.Scaled(b.Decimals); ok && step <= 0 {
		return Errorf(CodeInvalidBoard, "max_step is %s, must be above 0", b.MaxStep.Limit)
	}
	return nil
}

// checkBounds reports whether an operation of the kind Submit or Set may give
// its member this score. A correction may step as far as it likes. So may the
// first score of a member, unless the policy adds it to the 0 that everybody
// begins with: before a best or a latest score there is nothing to step from.
func (b *Board) checkBounds(op *Op, score int64, has *Record) error {
	if low, ok := b.MinScore.Scaled(b.Decimals); ok && score < low {
		return Errorf(CodeScoreBelowMinimum, "member %s would have the score %s, below the min_score of its board, which is %s",
			quote(op.Member), ScaledDecimal(score, b.Decimals), b.MinScore.Limit)
	}
	if high, ok := b.MaxScore.Scaled(b.Decimals); ok && score > high {
		return Errorf(CodeScoreAboveMaximum, "member %s would have the score %s, above the max_score of its board, which is %s",
			quote(op.Member), ScaledDecimal(score, b.Decimals), b.MaxScore.Limit)
	}
	most, ok := b.MaxStep.Scaled(b.Decimals)
	if !ok || op.Kind != Submit || has == nil && b.Policy != Sum {
		return nil
	}
	step := score
	if has != nil {
		step -= has.Score
	}
	if step > most || step < -most {
		return Errorf(CodeStepTooLarge, "the score of member %s would change by %s, further than the max_step of its board, which is %s",
			quote(op.Member), ScaledDecimal(step, b.Decimals), b.MaxStep.Limit)
	}
	return nil
}
