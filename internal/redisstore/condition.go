package redisstore

import (
	"encoding/binary"
	"math"
	"slices"

	"laurel/internal/leaderboard"
)

// withConditions is added to the number of operations of a batch that have
// conditions, as batch.lua has it.
const withConditions = 1 << 15

func hasConditions(ops []leaderboard.Op) bool {
	return slices.ContainsFunc(ops, func(op leaderboard.Op) bool { return op.If.Valid })
}

// appendCondition appends a condition as batch.lua has it. A board that shows a ZSET
// is read-only whatever is asked of its entries.
func appendCondition(p []byte, c leaderboard.Condition, b *encodedBoard) []byte {
	asked := -1.0
	if c.Valid && b.settings.board.ZSet == "" {
		asked = float64(min(c.Rev, 1<<53)) // no entry is beyond that
	}
	return binary.BigEndian.AppendUint64(p, math.Float64bits(asked))
}
