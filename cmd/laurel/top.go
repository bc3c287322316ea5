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
  laurel top race --limit 3`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags)
			limit := flags.Int("limit", 10, "print so many `entries`, 1 to 1000")
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
				page, err := c.Top(ctx, args[0], *limit)
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
