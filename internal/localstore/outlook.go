package localstore

import (
	"slices"

	"laurel/internal/leaderboard"
	"laurel/internal/zset"
)

// outlook counts who will stand where while the steps of a group are done, before
// they are: what is answered to a request with a digest is written with what the
// request changes. An entry's rank is the one that its place has in memory, moved
// by the steps so far whose member leaves or enters a place above it.
type outlook struct {
	ranks *zset.Set // as it is before the group
	dense bool      // as it stays: no change of settings changes that
	style leaderboard.RankStyle
	keys  []zset.Key // every place that a step leaves or enters, from the top
	moved []int32    // Fenwick tree over keys: entries that have come, less those that have gone

	// By dense ranks the keys are the distinct scores of those places, and moved counts the scores that have come, less
	// those that have gone.
	sizes []int // how many entries have each score
}

// foresee works out what the requests of the group that have a digest will be
// answered. Memory must have all that the group before has changed.
func (g *group) foresee() {
	if len(g.keepers) == 0 {
		return
	}
	for _, r := range g.keepers {
		for _, p := range g.touched[r.touched[0]:r.touched[1]] {
			if p.outlook == nil {
				p.outlook = &outlook{ranks: p.season.ranks, dense: p.settings.RankStyle == leaderboard.Dense}
			}
		}
	}
	for i := range g.steps {
		if st := &g.steps[i]; st.plan.outlook != nil {
			st.plan.outlook.note(st)
		}
	}
	for _, p := range g.used {
		if p.outlook != nil {
			p.outlook.prepare()
		}
	}
	done := 0
	for _, r := range g.keepers {
		for ; done < r.steps[0]; done++ {
			g.steps[done].foresee()
		}
		for i, p := range g.touched[r.touched[0]:r.touched[1]] {
			p.outlook.style = r.outcome.Boards[i].Board.RankStyle
		}
		r.outcome.Results = make([]leaderboard.Result, 0, r.steps[1]-done)
		for ; done < r.steps[1]; done++ {
			r.outcome.Results = append(r.outcome.Results, g.steps[done].foresee())
		}
	}
}

// foresee moves the member in the outlook of its board, if there is one, and
// returns what will come of the step.
func (st *step) foresee() leaderboard.Result {
	res := leaderboard.Result{Member: st.op.Member, Accepted: st.accepted, Reason: st.reason, Rev: st.entryRev}
	o := st.plan.outlook
	if o == nil {
		return res
	}
	if st.had {
		res.Previous = o.standing(st.before())
	}
	if !st.accepted {
		res.Current = res.Previous
		return res
	}
	if st.had {
		o.move(st.before(), -1)
	}
	if !st.removes() {
		o.move(st.after(), 1)
		res.Current = o.standing(st.after())
		for i := range st.fallen {
			o.move(st.fallen[i].key, -1)
		}
	}
	return res
}

func (st *step) before() zset.Key { return zset.Key{Score: st.was, Seq: st.wasSeq} }

func (st *step) after() zset.Key { return zset.Key{Score: st.score, Seq: st.seq} }

// note adds the places of a step.
func (o *outlook) note(st *step) {
	if st.had {
		o.keys = append(o.keys, st.before())
	}
	if st.accepted && !st.removes() {
		o.keys = append(o.keys, st.after())
	}
	for i := range st.fallen {
		o.keys = append(o.keys, st.fallen[i].key)
	}
}

func (o *outlook) prepare() {
	if o.dense {
		for i := range o.keys {
			o.keys[i].Seq = 0
		}
	}
	slices.SortFunc(o.keys, o.ranks.Compare)
	o.keys = slices.Compact(o.keys)
	o.moved = make([]int32, len(o.keys)+1)
	if o.dense {
		o.sizes = make([]int, len(o.keys))
		for i, k := range o.keys {
			o.sizes[i] = o.ranks.LevelSize(k.Score)
		}
	}
}

// place returns the index of a key that a step has noted.
func (o *outlook) place(k zset.Key) int {
	if o.dense {
		k.Seq = 0
	}
	i, _ := slices.BinarySearchFunc(o.keys, k, o.ranks.Compare)
	return i
}

func (o *outlook) move(k zset.Key, by int32) {
	at := o.place(k)
	if o.dense {
		o.sizes[at] += int(by)
		if size := o.sizes[at]; size > 1 || size == 1 && by < 0 {
			return // the score was there, and still is
		}
	}
	for i := at + 1; i < len(o.moved); i += i & -i {
		o.moved[i] += by
	}
}

// sum returns how many more entries there are in the first n places than there were.
func (o *outlook) sum(n int) (sum int) {
	for ; n > 0; n -= n & -n {
		sum += int(o.moved[n])
	}
	return sum
}

// standing returns that of an entry which has the place k.
func (o *outlook) standing(k zset.Key) leaderboard.Standing {
	at := o.place(k)
	if o.dense {
		return leaderboard.Standing{Score: k.Score, Rank: 1 + o.ranks.BetterLevels(k.Score) + o.sum(at)}
	}
	if o.style != leaderboard.Competition {
		return leaderboard.Standing{Score: k.Score, Rank: o.ranks.RankAfter(k) - 1 + o.sum(at+1)}
	}
	for first := 0; first < at; { // to the first place with this score
		if middle := int(uint(first+at) / 2); o.keys[middle].Score == k.Score {
			at = middle
		} else {
			first = middle + 1
		}
	}
	return leaderboard.Standing{Score: k.Score, Rank: 1 + o.ranks.Better(k.Score) + o.sum(at)}
}
