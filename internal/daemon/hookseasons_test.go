package daemon

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"laurel/client"
	"laurel/internal/hooks"
	"laurel/internal/redistest"
)

// The end of a season is told once, with its standing and its instant, by servers that
// run and by one that was away at that moment.
func TestHooksTellTheEndsOfSeasons(t *testing.T) {
	for _, store := range []string{"localstore", "redisstore"} {
		t.Run(store, func(t *testing.T) {
			target := newHookTarget(t)
			opts := Options{Hooks: []hooks.Hook{target.hook("all", hooks.NewLeader, hooks.SeasonEnded)}, hookOptions: impatient}
			nodes := 1
			if store == "localstore" {
				opts.Data = t.TempDir()
			} else {
				opts.Redis = at(t, redistest.Start(t).URL())
				nodes = 2
			}
			begin := func() (servers []running) {
				for range nodes {
					servers = append(servers, run(t, opts))
				}
				return servers
			}
			servers := begin()
			c := connect(t, servers[0].url)
			// noted waits until something is noted about a board with a score of alice.
			noted := func(board string) {
				t.Helper()
				if _, err := c.Submit(t.Context(), board, client.Submission{Member: "bob", Score: "7"}); err != nil {
					t.Fatal(err)
				}
				until(t, "something is noted about "+board, func() error {
					note, err := servers[0].store.Note(t.Context(), board)
					if err == nil && note.Version == 0 {
						err = errors.New("nothing is")
					}
					return err
				})
			}
			told := func(board string, ended time.Time) {
				t.Helper()
				e := target.next()
				for e.Event != client.HookSeasonEnded || e.Board != board { // alice may have been seen to lead
					e = target.next()
				}
				var got []string
				for _, p := range e.Standing.Entries {
					got = append(got, fmt.Sprint(p.Rank, p.Member, p.Score))
				}
				if e.Season != 1 || !e.EndedAt.Equal(ended) || !slices.Equal(got, []string{"1bob7", "2alice5"}) {
					t.Errorf("told is %+v with %q, want the end of %s at %v", e, got, board, ended)
				}
			}
			if _, err := c.Submit(t.Context(), "while-running", client.Submission{Member: "alice", Score: "5"}); err != nil {
				t.Fatal(err)
			}
			noted("while-running")
			board, err := c.EndSeason(t.Context(), "while-running", 1)
			if err != nil {
				t.Fatal(err)
			}
			told("while-running", board.StartsAt)

			// On a slow machine, a season may end before the board is seen in it.
			var away string
			var ends time.Time
			for in := 2 * time.Second; away == ""; in *= 2 {
				id := "while-away-" + in.String()
				ends = filled(t, c, id, in)
				if noted(id); time.Now().Before(ends) {
					away = id
				}
			}
			for _, server := range servers {
				if err := server.stop(); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "the season is over", func() error {
				if time.Now().Before(ends) {
					return errors.New("it is not")
				}
				return nil
			})
			begin()
			told(away, ends)
			select {
			case e := <-target.got:
				if e.Event == client.HookSeasonEnded && e.Board == away {
					t.Errorf("told is %+v too", e)
				}
			default:
			}
		})
	}
}
