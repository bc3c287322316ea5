package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"laurel/client"
)

func memberCommand() command {
	return command{
		name:  "member",
		args:  "MEMBER",
		short: "prints where a member stands on every board",
		long: `
  laurel member alice

prints the boards that the member is on, by name. "top" is the smallest share
of the board that has the member in it.`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags)
			asJSON := flags.Bool("json", false, "print each entry as one line of JSON")
			return func(ctx context.Context, t terminal, args []string) error {
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				var standings []client.Standing
				for e, err := range c.Member(ctx, args[0]) {
					if err != nil {
						return remote.explain(err)
					}
					if !*asJSON {
						standings = append(standings, e)
					} else if err := json.NewEncoder(t.Out).Encode(e); err != nil {
						return err
					}
				}
				if *asJSON {
					return nil
				}
				if len(standings) == 0 {
					return fmt.Errorf("%s is on no board", printable(args[0]))
				}
				return drawStandings(t.Out, standings)
			}
		},
	}
}

// drawStandings writes one member's entries for people. The longest column, the
// names of the boards, comes last.
func drawStandings(out io.Writer, standings []client.Standing) error {
	rows := [][]string{{"rank", "of", "top", "score", "board"}}
	for _, e := range standings {
		rows = append(rows, []string{
			strconv.Itoa(e.Rank), grouped(e.Total), strconv.FormatFloat(100*float64(e.Rank)/float64(max(e.Total, 1)), 'f', 1, 64) + "%", string(e.Score), e.Board,
		})
	}
	return drawColumns(out, rows)
}

// drawColumns writes rows for people: all columns but the last are flush right.
func drawColumns(out io.Writer, rows [][]string) error {
	last := len(rows[0]) - 1
	widths := make([]int, last)
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], len(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, width := range widths {
			fmt.Fprintf(&b, "  %*s", width, row[i])
		}
		if row[last] != "" {
			b.WriteString("  " + row[last])
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}
