package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"laurel/client"
)

const (
	arenaBoard    = "arena"
	importedBoard = "imported"

	arenaWriters = 3
	arenaMembers = 15 // of each writer
	importedRows = 3000
)

// arena is what is done beside the traffic: seasons of a board are ended, by two at
// once, while scores come in, some of them late; and a board is filled by imports, one
// after the other. Each request has an Idempotency-Key and is sent until it is
// answered, or, as an import, goes on from what is applied, so that it is known
// exactly what became of it, whatever failed meanwhile.
type arena struct {
	run *run

	mu      sync.Mutex
	season  int                      // guarded by mu: the current one
	scores  map[int]map[string]int64 // guarded by mu: by season and member
	late    int                      // guarded by mu: scores of a season that had ended
	imports int                      // guarded by mu
}

func (r *run) openArena(ctx context.Context) (*arena, error) {
	settings := client.Settings{ID: arenaBoard, RankStyle: "dense", Seasons: client.Seasons{GraceMS: int(time.Hour / time.Millisecond), Keep: 1000}}
	if _, err := r.api.CreateBoard(ctx, settings); err != nil {
		return nil, err
	}
	if _, err := r.api.CreateBoard(ctx, client.Settings{ID: importedBoard}); err != nil {
		return nil, err
	}
	return &arena{run: r, season: 1, scores: map[int]map[string]int64{1: {}}}, nil
}

// play does all that until the traffic is over, and then finishes what it has begun.
func (a *arena) play(ctx, playing context.Context, work *sync.WaitGroup) {
	start := func(name string, n int, step func(context.Context, *rand.Rand) error) {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(a.run.opts.Seed, uint64(1000+n)))
			for playing.Err() == nil {
				if err := step(ctx, rng); err != nil {
					if ctx.Err() == nil {
						a.run.fail(fmt.Errorf("%s: %w", name, err))
					}
					return
				}
			}
		})
	}
	for w := range arenaWriters {
		start("a writer to the arena", w, func(ctx context.Context, rng *rand.Rand) error {
			pause(playing, time.Duration(rng.Int64N(int64(20*time.Millisecond))))
			return a.submit(ctx, rng, w)
		})
	}
	start("the end of a season", arenaWriters, func(ctx context.Context, rng *rand.Rand) error {
		pause(playing, time.Duration(rng.Int64N(int64(time.Second))))
		return a.end(ctx)
	})
	start("an import", arenaWriters+1, func(ctx context.Context, _ *rand.Rand) error { return a.fill(ctx) })
}

// once sends a request under a key until it is answered.
func once[T any](ctx context.Context, c *client.Client, rng func() uint64, send func(*client.Client) (T, error)) (T, error) {
	key := strconv.FormatUint(rng(), 36)
	return await(ctx, func() (T, error) { return send(c.Once(key)) })
}

// submit adds scores of some members of a writer, sometimes to the season before.
func (a *arena) submit(ctx context.Context, rng *rand.Rand, writer int) error {
	api := a.run.api
	a.mu.Lock()
	season := a.season
	a.mu.Unlock()
	late := season > 1 && rng.IntN(5) == 0
	if late {
		api = api.InSeason(season - 1)
	}
	submissions := make([]client.Submission, 1+rng.IntN(3))
	for i := range submissions {
		submissions[i] = client.Submission{Member: fmt.Sprintf("w%d-%d", writer, rng.IntN(arenaMembers)), Score: client.Score(strconv.Itoa(1 + rng.IntN(5)))}
	}
	out, err := once(ctx, api, rng.Uint64, func(c *client.Client) (client.Outcome, error) { return c.Submit(ctx, arenaBoard, submissions...) })
	if client.CodeOf(err) == client.CodeSeasonEnded && late {
		return nil // two have ended since
	}
	if err != nil {
		return err
	}
	if late && out.Season != season-1 || !late && out.Season < season {
		return fmt.Errorf("scores went to season %d when season %d was the current one (late: %v)", out.Season, season, late)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if late {
		a.late++
	}
	if a.scores[out.Season] == nil {
		a.scores[out.Season] = map[string]int64{}
	}
	for i, s := range submissions {
		score, err := strconv.ParseInt(string(s.Score), 10, 64)
		if err != nil {
			return err
		}
		sum := a.scores[out.Season][s.Member] + score
		a.scores[out.Season][s.Member] = sum
		if got := out.Results[i].Score; got != client.Score(strconv.FormatInt(sum, 10)) {
			return fmt.Errorf("%s has %s in season %d, want %d", s.Member, got, out.Season, sum)
		}
	}
	return nil
}

// end has two end the same season at once.
func (a *arena) end(ctx context.Context) error {
	a.mu.Lock()
	season := a.season
	a.mu.Unlock()
	var both sync.WaitGroup
	var ended [2]client.Board
	var errs [2]error
	for i := range ended {
		both.Go(func() {
			ended[i], errs[i] = once(ctx, a.run.api, rand.Uint64, func(c *client.Client) (client.Board, error) { return c.EndSeason(ctx, arenaBoard, season) })
		})
	}
	both.Wait()
	done := 0
	for i, err := range errs {
		switch {
		case err == nil && ended[i].Season == season+1:
			done++
		case err == nil:
			return fmt.Errorf("the end of season %d led to season %d", season, ended[i].Season)
		case client.CodeOf(err) != client.CodeSeasonEnded:
			return err
		}
	}
	if done != 1 {
		return fmt.Errorf("season %d was ended by %d of two: %w", season, done, errors.Join(errs[:]...))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.season = season + 1
	return nil
}

// fill imports all rows anew.
func (a *arena) fill(ctx context.Context) error {
	a.mu.Lock()
	n := a.imports + 1
	a.mu.Unlock()
	done, err := a.run.api.Import(ctx, importedBoard, func(yield func(client.Submission, error) bool) {
		for i := range importedRows {
			if !yield(client.Submission{Member: rowName(i), Score: rowScore(n, i)}, nil) {
				return
			}
		}
	}, client.ImportOptions{Patience: time.Minute})
	if err != nil {
		return err
	}
	if done.Applied != importedRows || done.Total != importedRows {
		return fmt.Errorf("%d rows are applied, and %d there, want %d", done.Applied, done.Total, importedRows)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.imports = n
	return nil
}

func rowName(i int) string { return fmt.Sprintf("row-%05d", i) }

// rowScore is what the n-th import gives a row.
func rowScore(n, i int) client.Score { return client.Score(strconv.Itoa((i*7919 + n) % importedRows)) }

// audit compares every season, and the board that was imported, with what they have to be.
func (a *arena) audit(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	seasons, err := a.run.api.Seasons(ctx, arenaBoard)
	if err != nil {
		return err
	}
	if len(seasons) != a.season {
		return fmt.Errorf("there are %d seasons, want %d", len(seasons), a.season)
	}
	for i, s := range seasons {
		if s.Season != a.season-i || s.Closed != (i > 0) || i > 0 && !s.EndsAt.Equal(seasons[i-1].StartsAt) {
			return fmt.Errorf("season %d is listed as %+v", a.season-i, s)
		}
		if err := a.auditSeason(ctx, s); err != nil {
			return fmt.Errorf("season %d: %w", s.Season, err)
		}
	}
	place := 0
	for e, err := range a.run.api.All(ctx, importedBoard) {
		if err != nil {
			return err
		}
		var i int
		if _, err := fmt.Sscanf(e.Member, "row-%d", &i); err != nil || e.Score != rowScore(a.imports, i) {
			return fmt.Errorf("%s has %s after %d imports", e.Member, e.Score, a.imports)
		}
		place++
	}
	if place != importedRows {
		return fmt.Errorf("%d rows were imported, want %d", place, importedRows)
	}
	return nil
}

func (a *arena) auditSeason(ctx context.Context, s client.Board) error {
	want := a.scores[s.Season]
	if s.Total != len(want) {
		return fmt.Errorf("%d members, want %d", s.Total, len(want))
	}
	levels := map[int64]bool{}
	for _, score := range want {
		levels[score] = true
	}
	descending := slices.Sorted(maps.Keys(levels))
	slices.Reverse(descending)
	seen := map[string]bool{}
	last := 1
	for e, err := range a.run.api.InSeason(s.Season).All(ctx, arenaBoard) {
		if err != nil {
			return err
		}
		score, err := strconv.ParseInt(string(e.Score), 10, 64)
		if err != nil {
			return err
		}
		if have, ok := want[e.Member]; !ok || have != score || seen[e.Member] {
			return fmt.Errorf("%s has %d, want %d (and there before: %v)", e.Member, score, have, seen[e.Member])
		}
		seen[e.Member] = true
		if rank := 1 + slices.Index(descending, score); e.Rank != rank || rank < last {
			return fmt.Errorf("%s has rank %d below one of %d, want %d", e.Member, e.Rank, last, rank)
		}
		last = e.Rank
	}
	if len(seen) != len(want) {
		return fmt.Errorf("%d entries, want %d", len(seen), len(want))
	}
	return nil
}
