package main

import (
	"context"
	"encoding/json"
	"flag"

	"laurel/client"
)

func topCommand() command {
	return command{
		name:  "top",
		args:  "BOARD",
		short: "prints the first entries of a board",
		long: `
  laurel top race --limit 3
  laurel top race --around-score 12.5
  laurel top race --top-percent 10 --limit 1000`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags).withSeason(flags)
			limit := flags.Int("limit", 10, "print so many `entries`, 1 to 1000")
			around := flags.String("around-score", "", "print who stands about this `score`, in place of the first")
			percent := flags.Float64("top-percent", 0, "print no more than this `share` of the board, in percent; 0: all of it")
			asJSON := flags.Bool("json", false, "print the answer as one line of JSON")
			return func(ctx context.Context, t terminal, args []string) error {
				if *limit < 1 || *limit > 1000 {
					return usage("limit must be from 1 to 1000", "")
				}
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				board, err := c.Board(ctx, args[0])
				if err != nil {
					return remote.explain(err)
				}
				page, err := c.Entries(ctx, args[0], client.Range{Limit: *limit, Around: client.Score(*around), TopPercent: *percent})
				if err != nil {
					return remote.explain(err)
				}
				if *asJSON {
					return json.NewEncoder(t.Out).Encode(page)
				}
				return draw(t.Out, client.Table{Settings: board.Settings, Position: page.Position, Entries: page.Entries}, "")
			}
		},
	}
}
