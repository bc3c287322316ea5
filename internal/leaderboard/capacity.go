package leaderboard

// The bounds of what a board with MaxEntries keeps and drops.
const (
	MaxMaxEntries = 10_000_000

	// FallWithMember is how many entries fall off at the most with a new member, and
	// FallWithPatch with a change of settings.
	FallWithMember = 10
	FallWithPatch  = 1000
)

func (b *Board) validateCapacity() error {
	if b.MaxEntries != 0 && b.ZSet != "" {
		return Errorf(CodeInvalidBoard, "max_entries is for boards that take scores; this one shows a ZSET")
	}
	return within("max_entries", b.MaxEntries, 0, MaxMaxEntries)
}

// checkCapacity refuses a patch that gives a board a capacity or takes it away.
func (p *Patch) checkCapacity(b *Board) error {
	if p.MaxEntries != nil && *p.MaxEntries >= 0 && (*p.MaxEntries == 0) != (b.MaxEntries == 0) {
		return Errorf(CodeImmutableSetting, "max_entries of board %q cannot be given or taken away after its creation, only changed; create another board", b.ID)
	}
	return nil
}
