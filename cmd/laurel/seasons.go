package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"laurel/client"
)

func seasonsCommand() command {
	return command{
		name:  "seasons",
		args:  "BOARD",
		short: "prints the seasons of a board that are kept",
		long: `
  laurel seasons race

prints the current season, and those before it that are kept, from the newest
on. Other commands read one of them with --season.`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags)
			asJSON := flags.Bool("json", false, "print each season as one line of JSON")
			return func(ctx context.Context, t terminal, args []string) error {
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				seasons, err := c.Seasons(ctx, args[0])
				if err != nil {
					return remote.explain(err)
				}
				if !*asJSON {
					return drawSeasons(t.Out, seasons)
				}
				for _, season := range seasons {
					if err := json.NewEncoder(t.Out).Encode(season); err != nil {
						return err
					}
				}
				return nil
			}
		},
	}
}

func endSeasonCommand() command {
	return command{
		name:  "end-season",
		args:  "BOARD",
		short: "ends the season of a board and begins the next",
		long: `
  laurel end-season race --season 3

The standing of the season that ends is kept, and the table is empty. With
--season nothing happens but an error if another season is the current one, so
it is safe to ask again. Boards whose settings say when seasons end need no such command.`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags)
			season := flags.Int("season", 0, "end the season with this `number`; 0: the current one, whichever that is")
			return func(ctx context.Context, t terminal, args []string) error {
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				board, err := c.EndSeason(ctx, args[0], *season)
				if err != nil {
					return remote.explain(err)
				}
				_, err = fmt.Fprintf(t.Out, "%s  season %d%s, rev %d\n", board.ID, board.Season, ending(board.Span), board.Rev)
				return err
			}
		},
	}
}

func ending(s client.Span) string {
	switch {
	case s.Closed:
		return ", ended " + s.EndsAt.Format(time.RFC3339)
	case !s.EndsAt.IsZero():
		return ", ends " + s.EndsAt.Format(time.RFC3339)
	}
	return ""
}

// drawSeasons writes seasons for people.
func drawSeasons(out io.Writer, seasons []client.Board) error {
	rows := [][]string{{"season", "members", "began", ""}}
	for _, s := range seasons {
		began := ""
		if !s.StartsAt.IsZero() {
			began = s.StartsAt.Format(time.RFC3339)
		}
		rows = append(rows, []string{strconv.Itoa(s.Season), grouped(s.Total), began, strings.TrimPrefix(ending(s.Span), ", ")})
	}
	return drawColumns(out, rows)
}
