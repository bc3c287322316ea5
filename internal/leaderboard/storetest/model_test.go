package storetest

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"laurel/internal/leaderboard"
)

func TestModelKeepsTheContract(t *testing.T) { Run(t, new(disk).open) }

// The contract leaves it to a store whether it folds the changes of one board.
func TestFoldingChangeLogKeepsTheContract(t *testing.T) {
	Run(t, (&disk{mutant: mutant{store: func(m *Model) Store {
		return &broken{Model: m, changes: func(ctx context.Context, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
			return fold(ctx, m, after, limit)
		}}
	}}}).open)
}

// fold is the Changes of a model that tells of each board the newest change only.
func fold(ctx context.Context, m *Model, after leaderboard.Cursor, limit int) ([]leaderboard.Change, leaderboard.Cursor, error) {
	if _, _, err := m.Changes(ctx, after, 1); err != nil { // waits for the first
		return nil, "", err
	}
	defer m.mu.Unlock()
	if err := m.lock(ctx); err != nil {
		return nil, "", err
	}
	place, err := m.place(after)
	if err != nil {
		return nil, "", err
	}
	var changes []leaderboard.Change
	for ; place < len(m.log) && len(changes) < limit; place++ {
		c := m.log[place]
		if !slices.ContainsFunc(m.log[place+1:], func(later leaderboard.Change) bool { return later.Board == c.Board }) {
			changes = append(changes, c)
		}
	}
	return changes, leaderboard.Cursor(strconv.Itoa(place)), nil
}
