package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"

	"laurel/client"
)

func rankCommand() command {
	return command{
		name:  "rank",
		args:  "BOARD MEMBER...",
		short: "prints where members stand on a board",
		long: `
  laurel rank race alice
  laurel rank race alice bob carol

prints the members in the order of the board, however they are given. Members
that are not on the board are named below; if none is, that is a failure.`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags).withSeason(flags)
			asJSON := flags.Bool("json", false, "print the answer as one line of JSON")
			return func(ctx context.Context, t terminal, args []string) error {
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				board, err := c.Board(ctx, args[0])
				if err != nil {
					return remote.explain(err)
				}
				found, err := c.Lookup(ctx, args[0], args[1:]...)
				if err != nil {
					return remote.explain(err)
				}
				if *asJSON {
					return json.NewEncoder(t.Out).Encode(found)
				}
				if len(found.Entries) == 0 {
					return fmt.Errorf("not on board %s: %s", args[0], nameAll(found.NotFound))
				}
				table := client.Table{Settings: board.Settings, Position: found.Position}
				for _, e := range found.Entries {
					table.Entries = append(table.Entries, e.Entry)
				}
				if err := draw(t.Out, table, ""); err != nil {
					return err
				}
				if len(found.NotFound) > 0 {
					_, err = fmt.Fprintf(t.Out, "\nnot on the board: %s\n", nameAll(found.NotFound))
				}
				return err
			}
		},
	}
}

func nameAll(members []string) string {
	shown := make([]string, len(members))
	for i, member := range members {
		shown[i] = printable(member)
	}
	return strings.Join(shown, ", ")
}
