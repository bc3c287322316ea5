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

// appendCondition appends a condition as batch.lua has it. What is refused, by its season or
// as its board shows a ZSET, is so whatever is asked of the entry.
func appendCondition(p []byte, c leaderboard.Condition, refused bool) []byte {
	asked := -1.0
	if c.Valid && !refused {
		asked = float64(min(c.Rev, 1<<53)) // no entry is beyond that
	}
	return binary.BigEndian.AppendUint64(p, math.Float64bits(asked))
}
