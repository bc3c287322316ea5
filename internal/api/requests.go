package api

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"laurel/internal/leaderboard"
)

// decodable is a type that can be a request's body.
type decodable[T any] interface {
	*T
	decode(s *scanner)
}

// Settings are those of a board, as far as they are given.
type Settings struct {
	Order     *leaderboard.Order     `json:"order,omitempty" enum:"desc,asc" default:"desc" doc:"Which scores stand first: the highest, or the lowest. Fixed at creation"`
	Decimals  *int                   `json:"decimals,omitempty" minimum:"0" maximum:"6" default:"0" doc:"Digits after the point that scores may have. Fixed at creation"`
	Policy    *leaderboard.Policy    `json:"policy,omitempty" enum:"sum,best,latest" default:"sum" doc:"What a submission does to a score: it adds, replaces it if better, or replaces it"`
	Ties      *leaderboard.Ties      `json:"ties,omitempty" enum:"earliest,latest" default:"earliest" doc:"Who stands first among equal scores: who reached it first, or last. Fixed at creation"`
	RankStyle *leaderboard.RankStyle `json:"rank_style,omitempty" enum:"ordinal,competition,dense" default:"ordinal" doc:"How equal scores are numbered: 1 2 3 4, 1 2 2 4, or 1 2 2 3"`
	Top       *int                   `json:"top,omitempty" minimum:"1" maximum:"500" default:"100" doc:"Entries that viewers are sent"`
	Interval  *int                   `json:"interval_ms,omitempty" minimum:"20" maximum:"60000" default:"100" doc:"Milliseconds between two publications at the least"`
	MinScore  *givenBound            `json:"min_score,omitempty" nullable:"true" doc:"A submission or correction that would leave its member below this is refused; null: none"`
	MaxScore  *givenBound            `json:"max_score,omitempty" nullable:"true" doc:"A submission or correction that would leave its member above this is refused; null: none"`
	MaxStep   *givenBound            `json:"max_step,omitempty" nullable:"true" exclusiveMinimum:"0" doc:"A submission that would move a score by more than this, up or down, is refused. The first score of a member counts from 0 if the policy is sum, and else not at all; null: none"`
	Submits   *int                   `json:"submits_per_minute,omitempty" minimum:"0" maximum:"10000" doc:"How many submissions of one member are carried out in a minute of the clock; the next is refused. 0: any number"`
	Seasons   *givenSeasons          `json:"seasons,omitempty" nullable:"true" doc:"When seasons begin and end; replaces the whole setting. Null: when somebody says so"`
	Entries   *int                   `json:"max_entries,omitempty" minimum:"0" maximum:"10000000" doc:"How many entries the board keeps: with a new one the worst falls off. 0: any number. It can be changed, but not be given or taken away after the creation"`
	TTL       *int                   `json:"entry_ttl,omitempty" minimum:"0" maximum:"316224000" doc:"For how many seconds an entry stays that no accepted write refreshes. 0: for ever. It can be changed, but not be given or taken away after the creation"`
	ZSet      *string                `json:"zset,omitempty" minLength:"0" maxLength:"512" doc:"The key of a sorted set in Redis that another program writes and that the board shows. The board itself is read-only then. Needs a server on Redis. Fixed at creation"`
}

var settingNames = fieldsOf[Settings]()

// givenBound is a bound of a board in a request: a number, or null for none.
type givenBound struct{ leaderboard.Bound }

// Schema implements [huma.SchemaProvider].
func (givenBound) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Nullable: true}
}

// bound returns the bound for the package leaderboard; nil says nothing of it.
func (b *givenBound) bound() *leaderboard.Bound {
	if b == nil {
		return nil
	}
	return &b.Bound
}

// bound reads a bound.
func (s *scanner) bound(where string) *givenBound {
	switch s.kind() {
	case 'n':
		s.at += len("null")
		return new(givenBound)
	case '0':
	default:
		s.wrongType(where, "a number or null")
		return nil
	}
	number := s.number()
	if s.err != nil {
		return nil
	}
	limit, err := leaderboard.ParseDecimal(string(number))
	if err != nil {
		s.fail(where, leaderboard.Errorf(leaderboard.CodeInvalidBoard, "%s is %s, which is not a score that a board can keep", where, clip(string(number))))
		return nil
	}
	return &givenBound{leaderboard.BoundOf(limit)}
}

// field reads the setting of this name.
func (p *Settings) field(s *scanner, name string) {
	switch name {
	case "order":
		p.Order = new(leaderboard.Order(s.string(name)))
	case "decimals":
		p.Decimals = new(s.integer(name))
	case "policy":
		p.Policy = new(leaderboard.Policy(s.string(name)))
	case "ties":
		p.Ties = new(leaderboard.Ties(s.string(name)))
	case "rank_style":
		p.RankStyle = new(leaderboard.RankStyle(s.string(name)))
	case "top":
		p.Top = new(s.integer(name))
	case "interval_ms":
		p.Interval = new(s.integer(name))
	case "min_score":
		p.MinScore = s.bound(name)
	case "max_score":
		p.MaxScore = s.bound(name)
	case "max_step":
		p.MaxStep = s.bound(name)
	case "submits_per_minute":
		p.Submits = new(s.integer(name))
	case "seasons":
		p.Seasons = s.seasons(name)
	case "max_entries":
		p.Entries = new(s.integer(name))
	case "entry_ttl":
		p.TTL = new(s.integer(name))
	case "zset":
		p.ZSet = new(s.string(name))
	default:
		panic("api: field " + name + " of a type is not decoded")
	}
}

// newBoard is the body that creates a board.
type newBoard struct {
	ID string `json:"id" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"The board's id"`
	Settings
}

var newBoardNames = append([]string{"id"}, settingNames...)

func (b *newBoard) decode(s *scanner) {
	o := s.object("", newBoardNames)
	for o.next(s) {
		if o.name == "id" {
			b.ID = s.string("id")
		} else {
			b.field(s, o.name)
		}
	}
	if s.err == nil && !o.has("id") {
		s.missing("id", leaderboard.CodeInvalidBoard)
	}
}

// board returns the board with every setting that was not given set to its
// default. One that was given stays, so that a zero is refused and not replaced.
func (b *newBoard) board() (leaderboard.Board, error) {
	created := leaderboard.Board{ID: b.ID}.WithDefaults()
	override(&created.Order, b.Order)
	override(&created.Decimals, b.Decimals)
	override(&created.Policy, b.Policy)
	override(&created.Ties, b.Ties)
	override(&created.RankStyle, b.RankStyle)
	override(&created.Top, b.Top)
	override(&created.Interval, b.Interval)
	override(&created.ZSet, b.ZSet)
	override(&created.MinScore, b.MinScore.bound())
	override(&created.MaxScore, b.MaxScore.bound())
	override(&created.MaxStep, b.MaxStep.bound())
	override(&created.SubmitsPerMinute, b.Submits)
	override(&created.Seasons, b.Seasons.seasons())
	override(&created.MaxEntries, b.Entries)
	override(&created.EntryTTL, b.TTL)
	return created, created.Validate()
}

func override[T any](setting, given *T) {
	if given != nil {
		*setting = *given
	}
}

// boardPatch is the body that changes a board's settings.
type boardPatch struct {
	Settings
}

// patch returns the patch for the package leaderboard.
func (p *boardPatch) patch() leaderboard.Patch {
	return leaderboard.Patch{
		Order: p.Order, Decimals: p.Decimals, Policy: p.Policy, Ties: p.Ties, RankStyle: p.RankStyle, Top: p.Top, Interval: p.Interval, ZSet: p.ZSet,
		MinScore: p.MinScore.bound(), MaxScore: p.MaxScore.bound(), MaxStep: p.MaxStep.bound(),
		SubmitsPerMinute: p.Submits, Seasons: p.Seasons.seasons(), MaxEntries: p.Entries, EntryTTL: p.TTL,
	}
}

func (p *boardPatch) decode(s *scanner) {
	o := s.object("", settingNames)
	for o.next(s) {
		p.field(s, o.name)
	}
	if s.err == nil && o.seen == 0 {
		s.fail("", leaderboard.Errorf(codeBadRequest, "the body names no setting to change"))
	}
}

// TransformSchema implements [huma.SchemaTransformer]: what is not in a patch
// stays as it is, and has no default.
func (*boardPatch) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	for _, setting := range s.Properties {
		setting.Default = nil
	}
	return s
}

// number is a score as it is sent.
type number struct{ leaderboard.Decimal }

// Schema implements [huma.SchemaProvider].
func (number) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber}
}

// givenData is an entry's data in a request: nil if there is none, null, or an
// object.
type givenData json.RawMessage

// Schema implements [huma.SchemaProvider].
func (givenData) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Nullable: true, AdditionalProperties: true}
}

// submission is one score of one member.
type submission struct {
	Member string    `json:"member" minLength:"1" maxLength:"128" doc:"1 to 128 bytes of UTF-8 without control characters"`
	Score  number    `json:"score" doc:"Read digit by digit, never through a binary fraction; what it does is the board's policy"`
	Data   givenData `json:"data,omitempty" doc:"Absent keeps what the entry has, null removes it, an object of at most 1 KiB replaces it"`
	IfRev  givenRev  `json:"if_rev,omitzero" doc:"The entry must be at this entry_rev, or with 0 there must be none; else the request is refused"`
}

var submissionNames = fieldsOf[submission]()

// decode reads a submission that is an element of an array.
func (b *submission) decode(s *scanner) {
	o := s.object("a submission", submissionNames)
	for o.next(s) {
		b.field(s, o.name)
	}
	b.complete(s, &o)
}

func (b *submission) field(s *scanner, name string) {
	switch name {
	case "member":
		b.Member = s.string(name)
	case "score":
		b.Score.Decimal = s.score(name)
	case "data":
		b.Data = givenData(s.raw())
	case "if_rev":
		b.IfRev.Condition = s.condition(name)
	default:
		panic("api: field " + name + " of a type is not decoded")
	}
}

func (b *submission) complete(s *scanner, o *object) {
	switch {
	case s.err != nil:
	case !o.has("member"):
		s.missing("member", leaderboard.CodeInvalidMember)
	case !o.has("score"):
		s.missing("score", leaderboard.CodeInvalidScore)
	}
}

func (b *submission) submission() leaderboard.Submission {
	return leaderboard.Submission{Member: b.Member, Score: b.Score.Decimal, Data: json.RawMessage(b.Data), If: b.IfRev.Condition}
}

// submissions is the body of a submit: one submission, or an array of them.
type submissions struct {
	list  []leaderboard.Submission
	batch bool // it was an array
}

// batch is the shape of a body with an array of submissions.
type batch struct {
	Submissions []submission `json:"submissions" nullable:"false" minItems:"1" maxItems:"1000" doc:"Applied in this order, all or none"`
}

// Schema implements [huma.SchemaProvider].
func (submissions) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[submission](), true, ""),
		r.Schema(reflect.TypeFor[batch](), true, ""),
	}}
}

var submissionsNames = append(fieldsOf[submission](), fieldsOf[batch]()...)

func (b *submissions) decode(s *scanner) {
	var single submission
	o := s.object("", submissionsNames)
	for o.next(s) {
		if o.name == "submissions" {
			b.batch = true
			b.decodeList(s)
		} else {
			single.field(s, o.name)
		}
	}
	b.complete(s, &o, &single)
}

// complete ends the reading of a body that had single in it, or a list.
func (b *submissions) complete(s *scanner, o *object, single *submission) {
	alone := o.has("member") || o.has("score") || o.has("data") || o.has("if_rev")
	switch {
	case s.err != nil:
	case !b.batch && !alone:
		s.fail("", leaderboard.Errorf(codeBadRequest, `the body must have "member" and "score", or "submissions"`))
	case !b.batch:
		single.complete(s, o)
		b.list = []leaderboard.Submission{single.submission()}
	case alone:
		s.fail("submissions", leaderboard.Errorf(codeBadRequest, `the body has "submissions" beside a submission; send one of the two`))
	}
}

func (b *submissions) decodeList(s *scanner) {
	s.array("submissions")
	for begun := false; s.element(&begun); {
		if len(b.list) == leaderboard.MaxBatch {
			s.fail("submissions", leaderboard.Errorf(leaderboard.CodeBatchTooLarge, "there are more than %d submissions in one request", leaderboard.MaxBatch))
			return
		}
		var one submission
		one.decode(s)
		if s.err != nil {
			s.locate(len(b.list), one.Member)
			return
		}
		b.list = append(b.list, one.submission())
	}
}

// locate adds to the error that was found which submission it is in.
func (s *scanner) locate(index int, member string) {
	located := inputError{Err: s.err}
	if found, ok := errors.AsType[*inputError](s.err); ok {
		located = *found
	}
	located.Index = index
	if leaderboard.ValidateMember(member) == nil {
		located.Member = member
	}
	s.err = &located
}

// newScore is the body that sets a member's score.
type newScore struct {
	Score number    `json:"score" doc:"Read digit by digit, never through a binary fraction"`
	Data  givenData `json:"data,omitempty" doc:"Absent keeps what the entry has, null removes it, an object of at most 1 KiB replaces it"`
}

var newScoreNames = fieldsOf[newScore]()

func (b *newScore) decode(s *scanner) {
	var set submission
	o := s.object("", newScoreNames)
	for o.next(s) {
		set.field(s, o.name)
	}
	if s.err == nil && !o.has("score") {
		s.missing("score", leaderboard.CodeInvalidScore)
	}
	b.Score, b.Data = set.Score, set.Data
}

// lookup is the body that asks for members.
type lookup struct {
	Members []string `json:"members" nullable:"false" minItems:"1" maxItems:"1000" doc:"Who is looked up; who is named twice counts once"`
}

var lookupNames = fieldsOf[lookup]()

func (b *lookup) decode(s *scanner) {
	o := s.object("", lookupNames)
	for o.next(s) {
		b.Members = s.members(o.name)
	}
	if s.err == nil && !o.has("members") {
		s.missing("members", leaderboard.CodeEmptyBatch)
	}
}

// members reads a list of members.
func (s *scanner) members(where string) []string {
	var list []string
	s.array(where)
	for begun := false; s.element(&begun); {
		if len(list) == leaderboard.MaxBatch {
			s.fail(where, leaderboard.Errorf(leaderboard.CodeBatchTooLarge, "there are more than %d members in one request", leaderboard.MaxBatch))
			return nil
		}
		member := s.string(where)
		if s.err == nil {
			if err := leaderboard.ValidateMember(member); err != nil {
				s.fail(where, err)
			}
		}
		if s.err != nil {
			s.locate(len(list), "")
			return nil
		}
		list = append(list, member)
	}
	return list
}

// readCall is the parameters of a read that comes by [API.RPC].
type readCall struct {
	Board  string `json:"board"`
	Member string `json:"member"`
	Limit  *int   `json:"limit"`
	Season string `json:"season"`

	Members []string `json:"members"`

	Cursor *string `json:"cursor"`

	Around  *leaderboard.Decimal `json:"around_score"`
	Percent *leaderboard.Decimal `json:"top_percent"`
}

// decode reads those of the fields that the method knows.
func (c *readCall) decode(s *scanner, names []string) {
	o := s.object("", names)
	for o.next(s) {
		switch o.name {
		case "board":
			c.Board = s.string("board")
		case "member":
			c.Member = s.string("member")
		case "cursor":
			c.Cursor = new(s.string("cursor"))
		case "around_score":
			c.Around = new(s.score("around_score"))
		case "top_percent":
			c.Percent = new(s.score("top_percent"))
		case "members":
			c.Members = s.members("members")
		case "limit":
			c.Limit = new(s.integer("limit"))
		case "season":
			if s.kind() == '0' {
				c.Season = strconv.Itoa(s.integer("season"))
			} else {
				c.Season = s.string("season")
			}
		}
	}
	for _, needed := range []struct {
		name string
		code leaderboard.Code
	}{{"board", leaderboard.CodeInvalidBoard}, {"member", leaderboard.CodeInvalidMember}, {"members", leaderboard.CodeEmptyBatch}} {
		if s.err == nil && !o.has(needed.name) && slices.Contains(names, needed.name) {
			s.missing(needed.name, needed.code)
		}
	}
}
