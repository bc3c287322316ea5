package sim

import (
	"iter"
	"math/rand/v2"
	"time"
)

// crowd is the members of a world on its boards. At any time only some of them
// play: each has a session of a few events and makes room for another. In a
// burst, most events are on one board and by few members.
type crowd struct {
	seed    uint64
	rng     *rand.Rand
	members int
	rate    float64 // events a second, on average
	steady  bool
	tables  []table

	at       time.Duration
	sessions []session
	phase    phase
}

type session struct {
	member  member
	left    int  // events until it ends
	greeted bool // the display name was sent
}

// phase is a stretch of time, by turns calm and a burst.
type phase struct {
	until time.Duration
	burst bool
	rate  float64
	table int // of a burst: where it is
	first int // of a burst: the first of the sessions that make it
}

const (
	meanCalm  = 7 * time.Second
	meanBurst = 3 * time.Second

	// How much livelier than on average a burst is, and how much calmer the rest,
	// so that the average over both is 1.
	burstRate = 2.125
	calmRate  = (10 - 3*burstRate) / 7

	burstSessions = 8 // members who make a burst
	meanSession   = 25
)

func newCrowd(seed uint64, opts Options) *crowd {
	c := &crowd{
		seed:    seed,
		rng:     rand.New(rand.NewPCG(roundSeed(seed, opts.Round), crowdStream)),
		members: opts.Members,
		rate:    opts.Rate,
		steady:  opts.Steady,
	}
	for n := range opts.Boards {
		c.tables = append(c.tables, table{games[n%len(games)], tableID(opts.Prefix, n)})
	}
	c.sessions = make([]session, min(opts.Members, max(20, opts.Members/12)))
	for i := range c.sessions {
		c.sessions[i] = c.arrive()
	}
	c.phase = c.calm()
	return c
}

// arrive begins a session, half of the time of one of the regulars, who are a
// tenth of the members.
func (c *crowd) arrive() session {
	n := c.rng.IntN(c.members)
	if c.rng.IntN(2) == 0 {
		n = c.rng.IntN(c.members/10 + 1)
	}
	return session{member: newMember(c.seed, n), left: 1 + int(meanSession*c.rng.ExpFloat64())}
}

func (c *crowd) calm() phase {
	return phase{until: c.at + c.about(meanCalm), rate: c.rateOf(calmRate)}
}

func (c *crowd) burst() phase {
	return phase{
		until: c.at + c.about(meanBurst),
		burst: true,
		rate:  c.rateOf(burstRate),
		table: c.rng.IntN(len(c.tables)),
		first: c.rng.IntN(len(c.sessions)),
	}
}

// about returns a time from half of the mean to one and a half of it.
func (c *crowd) about(mean time.Duration) time.Duration {
	return mean/2 + time.Duration(c.rng.Int64N(int64(mean)))
}

func (c *crowd) rateOf(factor float64) float64 {
	if c.steady {
		return c.rate
	}
	return c.rate * factor
}

func (c *crowd) next() Event {
	for {
		// The gaps between events have no memory, so one that reaches beyond the
		// phase can be thrown away and drawn again from there.
		gap := time.Duration(c.rng.ExpFloat64() / c.phase.rate * float64(time.Second))
		if c.at+gap < c.phase.until {
			c.at += gap
			return c.play()
		}
		c.at = c.phase.until
		if c.phase.burst {
			c.phase = c.calm()
		} else {
			c.phase = c.burst()
		}
	}
}

func (c *crowd) play() Event {
	table := c.tables[c.rng.IntN(len(c.tables))]
	n := c.rng.IntN(len(c.sessions))
	if c.phase.burst && c.rng.IntN(4) > 0 {
		table = c.tables[c.phase.table]
		n = (c.phase.first + c.rng.IntN(burstSessions)) % len(c.sessions)
	}
	s := &c.sessions[n]
	event := Event{At: c.at, Board: table.id, Member: s.member.id, Score: table.play(c.rng, s.member.skill)}
	if !s.greeted {
		event.Data = s.member.data()
		s.greeted = true
	}
	if s.left--; s.left == 0 {
		*s = c.arrive()
	}
	return event
}

func (c *crowd) opening() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		rng := rand.New(rand.NewPCG(c.seed, openingStream))
		for _, table := range c.tables {
			for n := range c.members {
				m := newMember(c.seed, n)
				e := Event{Board: table.id, Member: m.id, Score: table.opening(rng, m.skill), Data: m.data()}
				if !yield(e) {
					return
				}
			}
		}
	}
}
