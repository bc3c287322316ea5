package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"laurel/client"
	"laurel/internal/redistest"
)

// endingIn returns a setting by which a season ends at an instant that is so far away, in
// whole milliseconds, and each one after that a minute later.
func endingIn(d time.Duration) (client.Seasons, time.Time) {
	end := time.Now().Add(d).UTC().Truncate(time.Millisecond)
	return client.Seasons{Every: "1m", From: end.Add(-time.Minute)}, end
}

// filled creates a board with a score whose season ends at an instant.
func filled(t *testing.T, c *client.Client, id string, d time.Duration) time.Time {
	t.Helper()
	seasons, end := endingIn(d)
	board, err := c.CreateBoard(t.Context(), client.Settings{ID: id, Seasons: seasons})
	if err != nil {
		t.Fatal(err)
	}
	if !board.EndsAt.Equal(end) || !board.NextReset.Equal(end) {
		t.Fatalf("the season ends at %v and the next begins at %v, want %v", board.EndsAt, board.NextReset, end)
	}
	if _, err := c.Submit(t.Context(), id, client.Submission{Member: "alice", Score: "5"}); err != nil {
		t.Fatal(err)
	}
	return end
}

// reset checks that a board has had one season end, at an instant, and that it can be read.
func reset(t *testing.T, c *client.Client, id string, end time.Time, rev uint64) {
	t.Helper()
	seasons, err := c.Seasons(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(seasons) != 2 || seasons[0].Season != 2 || !seasons[0].StartsAt.Equal(end) || !seasons[0].EndsAt.Equal(end.Add(time.Minute)) || seasons[0].Total != 0 || seasons[0].Rev != rev ||
		!seasons[1].EndsAt.Equal(end) || !seasons[1].Closed || seasons[1].Total != 1 {
		t.Errorf("seasons of %q: %+v; want a second one since %v, at rev %d", id, seasons, end, rev)
	}
	if alice, err := c.InSeason(1).Entry(t.Context(), id, "alice"); err != nil || alice.Score != "5" || alice.Rank != 1 {
		t.Errorf("alice in the first season of %q: %+v, %v", id, alice, err)
	}
}

// turn watches a board until its table is that of the second season.
func turn(t *testing.T, c *client.Client, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var seen []string
	for table, err := range c.Watch(ctx, id, client.WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, fmt.Sprint(table.Season, " ", len(table.Entries)))
		if table.Season == 2 {
			if len(table.Entries) != 0 || table.EndsAt.IsZero() {
				t.Errorf("the first table of the second season: %+v", table)
			}
			return
		}
	}
	t.Fatalf("no table of the second season within half a minute, but %q", seen)
}

func TestASeasonEndsBeforeTheViewersEyes(t *testing.T) {
	d := run(t, Options{})
	c := connect(t, d.url)
	end := filled(t, c, "race", 500*time.Millisecond)
	turn(t, c, "race") // nobody asks for anything
	reset(t, c, "race", end, 3)
}

func TestASeasonEndsOnceOverManyNodes(t *testing.T) {
	redis := at(t, redistest.Start(t).URL())
	nodes := []running{run(t, Options{Redis: redis}), run(t, Options{Redis: redis}), run(t, Options{Redis: redis})}
	clients := make([]*client.Client, len(nodes))
	for i, node := range nodes {
		clients[i] = connect(t, node.url)
	}
	ends := map[string]time.Time{}
	for i := range 8 { // on several partitions
		id := fmt.Sprint("race-", i)
		ends[id] = filled(t, clients[i%3], id, 2*time.Second)
	}
	for i, id := range slices.Sorted(maps.Keys(ends)) {
		turn(t, clients[(i+1)%3], id)
		for _, c := range clients {
			reset(t, c, id, ends[id], 3)
		}
	}
}

// TestASeasonThatEndsWhileNobodyRuns is closed at the next start, once.
func TestASeasonThatEndsWhileNobodyRuns(t *testing.T) {
	data := t.TempDir()
	first := run(t, Options{Data: data})
	c := connect(t, first.url)
	end := filled(t, c, "race", time.Second)
	once := client.Seasons{EndsAt: end}
	if _, err := c.CreateBoard(t.Context(), client.Settings{ID: "cup", Seasons: once}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(t.Context(), "cup", client.Submission{Member: "alice", Score: "5"}); err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(end))
	for range 2 {
		d := run(t, Options{Data: data})
		c := connect(t, d.url)
		reset(t, c, "race", end, 3)
		cup, err := c.Board(t.Context(), "cup")
		if err != nil {
			t.Fatal(err)
		}
		if !cup.Closed || cup.Season != 1 || cup.Total != 1 || cup.Rev != 3 || !cup.EndsAt.Equal(end) {
			t.Errorf("the season that was the only one: %+v", cup)
		}
		if _, err := c.Submit(t.Context(), "cup", client.Submission{Member: "alice", Score: "5"}); client.CodeOf(err) != client.CodeSeasonEnded {
			t.Errorf("a score after its end: %v", err)
		}
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
