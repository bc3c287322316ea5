package leaderboard

// Condition is what must hold of a member's entry for an operation to be carried
// out. The zero value asks for nothing.
type Condition struct {
	Rev   uint64 // the entry must be at it, as [Entry] has it; 0: there must be none
	Valid bool   // there is a condition
}

// IfRev returns the condition that an entry is at a rev, or, with 0, that there is
// none.
func IfRev(rev uint64) Condition { return Condition{Rev: rev, Valid: true} }

// CheckRev reports whether the condition of an operation holds for an entry that
// is at a rev, or for a member that has none if that is 0. The error has the code
// [CodeEntryChanged].
func (op *Op) CheckRev(rev uint64) error {
	switch {
	case !op.If.Valid || op.If.Rev == rev:
		return nil
	case rev == 0:
		return Errorf(CodeEntryChanged, "member %s has no entry, and so none at rev %d", quote(op.Member), op.If.Rev)
	case op.If.Rev == 0:
		return Errorf(CodeEntryChanged, "member %s has an entry, which is at rev %d", quote(op.Member), rev)
	}
	return Errorf(CodeEntryChanged, "the entry of member %s is at rev %d, not at %d", quote(op.Member), rev, op.If.Rev)
}
