package localstore

import (
	"strings"

	"laurel/internal/zset"
)

// A board with MaxEntries has its order twice: as it is, and ahead of that as the
// groups that are planned will leave it. The latter says who falls off next.

// fallen is an entry that fell off its board.
type fallen struct {
	member string
	key    zset.Key
}

// full reports whether a new member with a score would stand behind as many as the
// board keeps.
func (p *boardPlan) full(score int64) bool {
	most := p.settings.MaxEntries
	if most == 0 || p.total < most {
		return false
	}
	return p.season.ahead.RankAfter(zset.Key{Score: score, Seq: p.current.rev + 1})-1 >= most
}

// mirror has the order ahead follow a cell.
func (p *boardPlan) mirror(c *cell) {
	switch ahead := p.season.ahead; {
	case ahead == nil:
	case c.present:
		ahead.Set(c.member, c.score, c.seq)
	default:
		ahead.Remove(c.member)
	}
}

// fall plans that the worst entries fall off, no more than most, in the change that
// was planned last. single says that nothing will be undone.
func (g *group) fall(p *boardPlan, most int, single bool) (all []fallen) {
	if p.settings.MaxEntries == 0 {
		return nil
	}
	ahead := p.season.ahead
	for ahead.Len() > p.settings.MaxEntries && len(all) < most {
		e, _ := ahead.At(ahead.Len())
		member := strings.Clone(e.Member)
		i := p.cell(member)
		c := &p.cells[i]
		if !single {
			g.undo = append(g.undo, undo{plan: p, index: i, cell: *c})
		}
		*c = cell{member: c.member, dirty: true}
		p.mirror(c)
		p.total--
		all = append(all, fallen{member, zset.Key{Score: e.Score, Seq: e.Seq}})
	}
	return all
}

// drop takes fallen entries off the season.
func (b *standings) drop(all []fallen) {
	for i := range all {
		b.remove(all[i].member)
	}
}

// unmirror takes back from the orders ahead what a group planned that the disk did not take.
func (g *group) unmirror() {
	for _, p := range g.used {
		b := p.season
		if b.ahead == nil {
			continue
		}
		for i := range p.cells {
			member := p.cells[i].member
			if e, ok := b.ranks.Get(member); ok {
				b.ahead.Set(member, e.Score, e.Seq)
			} else {
				b.ahead.Remove(member)
			}
		}
	}
}
