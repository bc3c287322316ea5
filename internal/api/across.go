package api

import (
	"encoding/json"

	"laurel/internal/leaderboard"
)

// boardSubmission is a score of one member on one of many boards.
type boardSubmission struct {
	Board  string    `json:"board" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"The board's id"`
	Member string    `json:"member" minLength:"1" maxLength:"128" doc:"1 to 128 bytes of UTF-8 without control characters"`
	Score  number    `json:"score" doc:"Read digit by digit, never through a binary fraction; what it does is the board's policy"`
	Data   givenData `json:"data,omitempty" doc:"Absent keeps what the entry has, null removes it, an object of at most 1 KiB replaces it"`
	IfRev  givenRev  `json:"if_rev,omitzero" doc:"The entry must be at this entry_rev, or with 0 there must be none; else the request is refused"`
}

// boardScore is a score of the member that a path names, on one of many boards.
type boardScore struct {
	Board string    `json:"board" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"The board's id"`
	Score number    `json:"score" doc:"Read digit by digit, never through a binary fraction; what it does is the board's policy"`
	Data  givenData `json:"data,omitempty" doc:"Absent keeps what the entry has, null removes it, an object of at most 1 KiB replaces it"`
	IfRev givenRev  `json:"if_rev,omitzero" doc:"The entry must be at this entry_rev, or with 0 there must be none; else the request is refused"`
}

// acrossBatch is the body of a submit to many boards.
type acrossBatch struct {
	Submissions []boardSubmission `json:"submissions" nullable:"false" minItems:"1" maxItems:"1000" doc:"Applied in this order, all or none"`
}

// memberBatch is the body of a submit of one member's scores to many boards.
type memberBatch struct {
	Scores []boardScore `json:"scores" nullable:"false" minItems:"1" maxItems:"1000" doc:"Applied in this order, all or none"`
}

var (
	boardSubmissionNames = fieldsOf[boardSubmission]()
	boardScoreNames      = fieldsOf[boardScore]()
	acrossBatchNames     = fieldsOf[acrossBatch]()
	memberBatchNames     = fieldsOf[memberBatch]()
)

func (b *acrossBatch) decode(s *scanner) {
	o := s.object("", acrossBatchNames)
	for o.next(s) {
		for one := range elements(s, "submissions", "a submission", boardSubmissionNames) {
			b.Submissions = append(b.Submissions, one)
		}
	}
	if s.err == nil && !o.has("submissions") {
		s.missing("submissions", codeBadRequest)
	}
}

func (b *memberBatch) decode(s *scanner) {
	o := s.object("", memberBatchNames)
	for o.next(s) {
		for one := range elements(s, "scores", "a score", boardScoreNames) {
			b.Scores = append(b.Scores, boardScore{one.Board, one.Score, one.Data, one.IfRev})
		}
	}
	if s.err == nil && !o.has("scores") {
		s.missing("scores", codeBadRequest)
	}
}

// elements reads the array of submissions that follows, each with fields of these
// names, up to the first that is wrong.
func elements(s *scanner, field, what string, names []string) func(yield func(boardSubmission) bool) {
	return func(yield func(boardSubmission) bool) {
		s.array(field)
		n := 0
		for begun := false; s.element(&begun); n++ {
			if n == leaderboard.MaxBatch {
				s.fail(field, leaderboard.Errorf(leaderboard.CodeBatchTooLarge, "there are more than %d submissions in one request", leaderboard.MaxBatch))
				return
			}
			var board string
			var rest submission
			o := s.object(what, names)
			for o.next(s) {
				if o.name == "board" {
					board = s.string("board")
				} else {
					rest.field(s, o.name)
				}
			}
			for _, needed := range names {
				code, ok := codeOfMissing[needed]
				if ok && s.err == nil && !o.has(needed) {
					s.missing(needed, code)
				}
			}
			if s.err != nil {
				s.locate(n, rest.Member)
				return
			}
			if !yield(boardSubmission{board, rest.Member, rest.Score, rest.Data, rest.IfRev}) {
				return
			}
		}
	}
}

// codeOfMissing has the fields that a submission to one of many boards needs.
var codeOfMissing = map[string]leaderboard.Code{
	"board":  leaderboard.CodeInvalidBoard,
	"member": leaderboard.CodeInvalidMember,
	"score":  leaderboard.CodeInvalidScore,
}

func (a *API) submitAcross(x *exchange, body *acrossBatch) (acrossOutcome, error) {
	list := make([]leaderboard.BoardSubmission, len(body.Submissions))
	for i, one := range body.Submissions {
		list[i] = leaderboard.BoardSubmission{
			Board:      one.Board,
			Submission: leaderboard.Submission{Member: one.Member, Score: one.Score.Decimal, Data: json.RawMessage(one.Data), If: one.IfRev.Condition},
		}
	}
	return a.across(x, list)
}

func (a *API) submitOfMember(x *exchange, body *memberBatch) (acrossOutcome, error) {
	list := make([]leaderboard.BoardSubmission, len(body.Scores))
	for i, one := range body.Scores {
		list[i] = leaderboard.BoardSubmission{
			Board:      one.Board,
			Submission: leaderboard.Submission{Member: x.params[0], Score: one.Score.Decimal, Data: json.RawMessage(one.Data), If: one.IfRev.Condition},
		}
	}
	return a.across(x, list)
}

func (a *API) across(x *exchange, list []leaderboard.BoardSubmission) (acrossOutcome, error) {
	x.batch, x.across = true, true
	outcome, err := a.writer(x).SubmitAcross(x.r.Context(), list)
	if err != nil {
		return acrossOutcome{}, err
	}
	return acrossOutcomeOf(outcome, list), nil
}

// acrossOutcome is what a write to entries of many boards did.
type acrossOutcome struct {
	Results []boardResult `json:"results" nullable:"false" doc:"One for each submission, in their order"`
	Boards  []Position    `json:"boards" nullable:"false" doc:"The boards after it, in the order of their first submissions"`
}

// boardResult is what one submission did to one of many boards.
type boardResult struct {
	Board string `json:"board" doc:"The board's id"`
	result
}

func acrossOutcomeOf(o leaderboard.Outcome, list []leaderboard.BoardSubmission) acrossOutcome {
	answer := acrossOutcome{Results: make([]boardResult, len(o.Results)), Boards: make([]Position, len(o.Boards))}
	views := make(map[string]leaderboard.View, len(o.Boards))
	for i, view := range o.Boards {
		answer.Boards[i] = positionOf(view)
		views[view.Board.ID] = view
	}
	for i, r := range o.Results {
		board := list[i].Board
		answer.Results[i] = boardResult{board, resultOf(r, views[board])}
	}
	return answer
}

func (o acrossOutcome) appendJSON(to []byte) []byte {
	to = append(to, `{"results":[`...)
	for i := range o.Results {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendText(append(to, '{'), "board", o.Results[i].Board)
		to = append(o.Results[i].appendFields(to), '}')
	}
	to = append(to, `],"boards":[`...)
	for i, p := range o.Boards {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(p.appendFields(append(to, '{')), '}')
	}
	return append(to, ']', '}')
}
