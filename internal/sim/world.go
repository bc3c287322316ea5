package sim

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"laurel/internal/leaderboard"
)

// Options are the settings of a [World].
type Options struct {
	Members int     // who play; 0 is 1,000
	Boards  int     // that they play on, of the kinds of games in turn; 0 is one of each kind
	Rate    float64 // events a second, on average; 0 is 50
	Prefix  string  // of the ids of the boards

	// Round makes another sequence of events by the same members, who have the
	// same names and skills and have brought the same scores along.
	Round uint64

	// Steady keeps the rate the same throughout. Otherwise it is about four
	// times as high in a burst as between bursts.
	Steady bool

	// Tutorial adds one small board, beside Rate: every 0.2 seconds one of
	// Alice, Bob, Charlie, David and Eve scores 1 to 10.
	Tutorial bool
}

// Event is a score that a member makes.
type Event struct {
	At     time.Duration // since the start of the world
	Board  string
	Member string
	Score  leaderboard.Decimal
	Data   json.RawMessage // the display name, once in each session of those who have one; else nil
}

// World is members playing. It is a sequence without end and not safe for
// concurrent use.
type World struct {
	boards  []leaderboard.Board
	streams []stream
	heads   []Event // the next event of each stream
	crowd   *crowd
}

// stream yields events in the order of their times.
type stream interface{ next() Event }

// New returns the world of a seed.
func New(seed uint64, opts Options) *World {
	if opts.Members == 0 {
		opts.Members = 1000
	}
	if opts.Boards == 0 {
		opts.Boards = len(games)
	}
	if opts.Rate == 0 {
		opts.Rate = 50
	}
	w := &World{crowd: newCrowd(seed, opts)}
	for _, t := range w.crowd.tables {
		w.boards = append(w.boards, t.board())
	}
	w.add(w.crowd)
	if opts.Tutorial {
		w.boards = append(w.boards, leaderboard.Board{ID: opts.Prefix + tutorialBoard}.WithDefaults())
		w.add(&tutorial{board: opts.Prefix + tutorialBoard, rng: rand.New(rand.NewPCG(roundSeed(seed, opts.Round), tutorialStream))})
	}
	return w
}

// Streams of random numbers of one seed; members have those from memberStream on.
const (
	crowdStream = iota
	openingStream
	tutorialStream
	memberStream
)

// roundSeed is the seed of what differs between rounds; that of round 0 is the
// world's own.
func roundSeed(seed, round uint64) uint64 { return seed ^ round*0x9e3779b97f4a7c15 }

func (w *World) add(s stream) {
	w.streams = append(w.streams, s)
	w.heads = append(w.heads, s.next())
}

// Boards returns the boards of the world, with the settings that it expects them to have.
func (w *World) Boards() []leaderboard.Board { return w.boards }

// Opening yields what happened before the world starts: a score of every member
// on every board of the crowd, board after board, all At 0. A board that has
// them is as full as it will be.
func (w *World) Opening() iter.Seq[Event] { return w.crowd.opening() }

// Next returns the next event.
func (w *World) Next() Event {
	first := 0
	for i, head := range w.heads {
		if head.At < w.heads[first].At {
			first = i
		}
	}
	event := w.heads[first]
	w.heads[first] = w.streams[first].next()
	return event
}

// table is a game that is played on a board.
type table struct {
	game
	id string
}

func (t table) board() leaderboard.Board {
	b := t.settings
	b.ID = t.id
	return b.WithDefaults()
}

// game is a way of making scores.
type game struct {
	name     string
	settings leaderboard.Board
	opening  func(r *rand.Rand, skill float64) leaderboard.Decimal // what a member brings along
	play     func(r *rand.Rand, skill float64) leaderboard.Decimal // one event
}

// games are one of each kind of board.
var games = []game{
	{ // points that add up
		name:     "arcade",
		settings: leaderboard.Board{Policy: leaderboard.Sum},
		opening:  func(r *rand.Rand, skill float64) leaderboard.Decimal { return whole(1 + skill*400*r.ExpFloat64()) },
		play:     func(r *rand.Rand, skill float64) leaderboard.Decimal { return whole(1 + skill*30*r.ExpFloat64()) },
	},
	{ // lap times in seconds, of which the best counts
		name:     "laps",
		settings: leaderboard.Board{Policy: leaderboard.Best, Order: leaderboard.Ascending, Decimals: 3},
		opening:  func(r *rand.Rand, skill float64) leaderboard.Decimal { return lap(r, skill-0.3) },
		play:     lap,
	},
	{ // a form between 0 and 100 that comes and goes; equal ones share a rank
		name:     "form",
		settings: leaderboard.Board{Policy: leaderboard.Latest, RankStyle: leaderboard.Competition},
		opening:  form,
		play:     form,
	},
	{ // the highest level of a game of sixty, on which many meet: the next level is the next rank
		name:     "levels",
		settings: leaderboard.Board{Policy: leaderboard.Best, RankStyle: leaderboard.Dense, Ties: leaderboard.LatestTie},
		opening:  level,
		play:     level,
	},
}

func whole(x float64) leaderboard.Decimal { return leaderboard.ScaledDecimal(int64(x), 0) }

func lap(r *rand.Rand, skill float64) leaderboard.Decimal {
	milliseconds := 71_000 + 14_000*(1-skill) + 2_500*r.ExpFloat64()
	return leaderboard.ScaledDecimal(int64(milliseconds), 3)
}

func form(r *rand.Rand, skill float64) leaderboard.Decimal {
	return whole(min(100, max(0, 100*skill+6*r.NormFloat64())))
}

func level(r *rand.Rand, skill float64) leaderboard.Decimal {
	return whole(min(60, 1+45*skill*r.ExpFloat64()))
}

const tutorialBoard = "tutorial"

// tutorial is the board of the tutorial that Laurel began with.
type tutorial struct {
	board string
	rng   *rand.Rand
	at    time.Duration
}

var tutorialMembers = []string{"Alice", "Bob", "Charlie", "David", "Eve"}

func (t *tutorial) next() Event {
	t.at += 200 * time.Millisecond
	return Event{
		At:     t.at,
		Board:  t.board,
		Member: tutorialMembers[t.rng.IntN(len(tutorialMembers))],
		Score:  leaderboard.ScaledDecimal(1+t.rng.Int64N(10), 0),
	}
}

func tableID(prefix string, n int) string {
	id := prefix + games[n%len(games)].name
	if round := n / len(games); round > 0 {
		id += fmt.Sprintf("-%d", round+1)
	}
	return id
}
