package leaderboard

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Record is the part of an entry that the rules decide about.
type Record struct {
	Score int64 // scaled
	Data  json.RawMessage
}

// Decide applies an operation of the kind Submit or Set to what the member has,
// which is nil if it is not on the board. It returns what the member has then,
// or the reason why nothing changes. The error has the code
// [CodeTooManyDecimals] or [CodeScoreOutOfRange], or that of a bound of the
// board.
func (b Board) Decide(op Op, has *Record) (Record, Reason, error) {
	score, err := op.Score.Scaled(b.Decimals)
	if err != nil {
		return Record{}, "", err
	}
	next := Record{Score: score}
	if has != nil {
		if op.Kind == Submit {
			switch b.Policy {
			case Best:
				if !b.Better(score, has.Score) {
					return *has, NotBetter, nil
				}
			case Sum:
				next.Score += has.Score
				if limit := MaxScore(b.Decimals); next.Score > limit || next.Score < -limit {
					return Record{}, "", outOfRange(ScaledDecimal(next.Score, b.Decimals).String(), b.Decimals)
				}
			}
		}
		next.Data = has.Data
	}
	if b.Bounded() {
		if err := b.checkBounds(&op, next.Score, has); err != nil {
			return Record{}, "", err
		}
	}
	if op.Data != nil {
		next.Data = op.Data
		if bytes.Equal(op.Data, null) {
			next.Data = nil
		}
	}
	return next, "", nil
}

var null = []byte("null")

// CompactData checks an entry's data as it was sent and returns it without
// insignificant white space. It must be a JSON object of at most MaxData bytes
// when compact, or null; nil stays nil. The error has the code [CodeInvalidData].
func CompactData(data json.RawMessage) (json.RawMessage, error) {
	if data == nil {
		return nil, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil || !utf8.Valid(data) {
		return nil, Errorf(CodeInvalidData, "data is not JSON in UTF-8")
	}
	data = compact.Bytes()
	switch {
	case bytes.Equal(data, null):
		return null, nil
	case len(data) == 0 || data[0] != '{':
		return nil, Errorf(CodeInvalidData, "data must be a JSON object")
	case len(data) > MaxData:
		return nil, Errorf(CodeInvalidData, "data has %d bytes, at most %d are allowed", len(data), MaxData)
	}
	return data, nil
}
