package api

import "laurel/internal/leaderboard"

// event is the payload of a submission that comes by a stream: what is sent to
// POST /v1/leaderboards/{board}/scores, and the board.
type event struct {
	board string
	submissions
}

var eventNames = append([]string{"board"}, submissionsNames...)

func (e *event) decode(s *scanner) {
	var single submission
	o := s.object("", eventNames)
	for o.next(s) {
		switch o.name {
		case "board":
			e.board = s.string("board")
		case "submissions":
			e.batch = true
			e.decodeList(s)
		default:
			single.field(s, o.name)
		}
	}
	if s.err == nil && !o.has("board") {
		s.missing("board", leaderboard.CodeInvalidBoard)
	}
	e.complete(s, &o, &single)
}

// DecodeEvent reads a submission that comes by a stream, as strictly as the body
// of a request: {"board", "member", "score", "data"?}, or {"board",
// "submissions":[…]}. Its errors have codes; see [leaderboard.CodeOf].
func DecodeEvent(payload []byte) (board string, list []leaderboard.Submission, err error) {
	s := scanner{text: payload}
	var e event
	e.decode(&s)
	if s.err != nil {
		return "", nil, s.err
	}
	return e.board, e.list, nil
}
