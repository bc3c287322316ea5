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

func boardCommand() command {
	return command{
		name:  "board",
		args:  "ACTION [BOARD]",
		short: "creates, shows, changes, deletes or lists boards",
		long: `
  laurel board create race --order asc --policy best --decimals 3
  laurel board show race
  laurel board set race --top 50 --max-step none
  laurel board delete race
  laurel board list

create takes any of the settings below; those that are left out have the server's
defaults. set changes those that are given. Some are fixed when the board is
created. none takes a bound or a limit away. delete removes the board and all of
its entries, and asks nothing.`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags)
			asJSON := flags.Bool("json", false, "print each board as one line of JSON")
			given := make(map[string]*string)
			for _, o := range boardOptions {
				given[o.name] = flags.String(o.name, "", o.help)
			}
			return func(ctx context.Context, t terminal, args []string) error {
				act, ok := boardActions[args[0]]
				switch {
				case !ok:
					return usage(fmt.Sprintf("board cannot %s", args[0]), "it can create, show, set, delete and list")
				case act.named != (len(args) == 2):
					return usage("board "+args[0]+" takes "+act.takes(), "`laurel help board` has an example")
				}
				settings := make(map[string]string)
				for name, value := range given {
					if *value != "" {
						settings[name] = *value
					}
				}
				remote.attempts = submitAttempts
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				out := boardPrinter{out: t.Out, json: *asJSON}
				return remote.explain(act.run(ctx, c, out, args[len(args)-1], settings))
			}
		},
	}
}

// boardOption is an option that is a setting of a board.
type boardOption struct {
	name, help string

	create func(s *client.Settings, value string) error
	patch  func(p *client.Patch, value string) error // nil: it is fixed at the creation
}

var boardOptions = []boardOption{
	{
		"order", "which scores stand first: `desc|asc`; fixed at creation",
		func(s *client.Settings, v string) error { s.Order = v; return nil }, nil,
	},
	{
		"policy", "what a submission does: `sum|best|latest`",
		func(s *client.Settings, v string) error { s.Policy = v; return nil },
		func(p *client.Patch, v string) error { p.Policy = v; return nil },
	},
	{
		"decimals", "`digits` after the point that scores may have, 0 to 6; fixed at creation",
		func(s *client.Settings, v string) error { return whole(&s.Decimals, v) }, nil,
	},
	{
		"ties", "who stands first among equals: `earliest|latest`; fixed at creation",
		func(s *client.Settings, v string) error { s.Ties = v; return nil }, nil,
	},
	{
		"rank-style", "how equals are numbered: `ordinal|competition|dense`; dense is fixed at creation",
		func(s *client.Settings, v string) error { s.RankStyle = v; return nil },
		func(p *client.Patch, v string) error { p.RankStyle = v; return nil },
	},
	{
		"top", "`entries` that viewers are sent, 1 to 500",
		func(s *client.Settings, v string) error { return positive(&s.Top, v) },
		func(p *client.Patch, v string) error { return positive(&p.Top, v) },
	},
	{
		"interval-ms", "least `milliseconds` between two publications, 20 to 60000",
		func(s *client.Settings, v string) error { return positive(&s.IntervalMS, v) },
		func(p *client.Patch, v string) error { return positive(&p.IntervalMS, v) },
	},
	boundOption("min-score", "lowest `score` that a submission may leave a member with, or none",
		func(s *client.Settings) *client.Score { return &s.MinScore }, func(p *client.Patch) *client.Bound { return &p.MinScore }),
	boundOption("max-score", "highest `score` that a submission may leave a member with, or none",
		func(s *client.Settings) *client.Score { return &s.MaxScore }, func(p *client.Patch) *client.Bound { return &p.MaxScore }),
	boundOption("max-step", "furthest `step` by which a submission may move a score, or none",
		func(s *client.Settings) *client.Score { return &s.MaxStep }, func(p *client.Patch) *client.Bound { return &p.MaxStep }),
	limitOption("submits-per-minute", "most `submissions` of a member in a minute, 1 to 10000, or none",
		func(s *client.Settings) *int { return &s.SubmitsPerMinute }, func(p *client.Patch) **int { return &p.SubmitsPerMinute }),
	{
		"max-entries", "how many `entries` the board keeps, the best ones, up to 10000000; that there is such a number is fixed at creation",
		func(s *client.Settings, v string) error { return positive(&s.MaxEntries, v) },
		func(p *client.Patch, v string) error { return positive(&p.MaxEntries, v) },
	},
	{
		"entry-ttl", "for how many `seconds` an entry stays that nobody refreshes; that there is such a time is fixed at creation",
		func(s *client.Settings, v string) error { return positive(&s.EntryTTL, v) },
		func(p *client.Patch, v string) error { return positive(&p.EntryTTL, v) },
	},
	{
		"zset", "`key` of a sorted set in Redis that another program writes and that the board shows; fixed at creation",
		func(s *client.Settings, v string) error { s.ZSet = v; return nil }, nil,
	},
}

// none takes a bound or a limit away.
const none = string(client.NoBound)

func boundOption(name, help string, setting func(*client.Settings) *client.Score, change func(*client.Patch) *client.Bound) boardOption {
	read := func(v string) (client.Score, error) {
		if v == none {
			return "", nil
		}
		score, err := client.ParseScore(v)
		if err != nil {
			return "", fmt.Errorf("is %q, must be a decimal number or none", v)
		}
		return score, nil
	}
	return boardOption{
		name, help,
		func(s *client.Settings, v string) (err error) { *setting(s), err = read(v); return err },
		func(p *client.Patch, v string) error {
			score, err := read(v)
			*change(p) = client.Bound(score)
			if v == none {
				*change(p) = client.NoBound
			}
			return err
		},
	}
}

func limitOption(name, help string, setting func(*client.Settings) *int, change func(*client.Patch) **int) boardOption {
	read := func(v string) (limit int, err error) {
		if v != none {
			err = positive(&limit, v)
		}
		return limit, err
	}
	return boardOption{
		name, help,
		func(s *client.Settings, v string) (err error) { *setting(s), err = read(v); return err },
		func(p *client.Patch, v string) error {
			limit, err := read(v)
			*change(p) = &limit
			return err
		},
	}
}

func whole(to *int, v string) (err error) {
	if *to, err = strconv.Atoi(v); err != nil {
		return fmt.Errorf("is %q, must be a whole number", v)
	}
	return nil
}

// positive reads a number for which 0 would be sent as if it were not given.
func positive(to *int, v string) error {
	if err := whole(to, v); err != nil {
		return err
	}
	if *to < 1 {
		return fmt.Errorf("is %d, must be above 0", *to)
	}
	return nil
}

// boardAction is what the command does. One that is not named is about all boards.
type boardAction struct {
	named bool
	run   func(ctx context.Context, c *client.Client, out boardPrinter, id string, settings map[string]string) error
}

func (a boardAction) takes() string {
	if a.named {
		return "the id of a board"
	}
	return "no board"
}

var boardActions = map[string]boardAction{
	"create": {true, newBoard},
	"show":   {true, showBoard},
	"set":    {true, setBoard},
	"delete": {true, deleteBoard},
	"list":   {false, listBoards},
}

func newBoard(ctx context.Context, c *client.Client, out boardPrinter, id string, settings map[string]string) error {
	s := client.Settings{ID: id}
	for _, o := range boardOptions {
		if value, ok := settings[o.name]; ok {
			if err := o.create(&s, value); err != nil {
				return wrongSetting(o.name, err)
			}
		}
	}
	board, err := c.CreateBoard(ctx, s)
	if err != nil {
		return err
	}
	return out.print(board)
}

func setBoard(ctx context.Context, c *client.Client, out boardPrinter, id string, settings map[string]string) error {
	var p client.Patch
	if len(settings) == 0 {
		return usage("board set needs a setting, such as --top 50", "`laurel help board` lists them")
	}
	for _, o := range boardOptions {
		value, ok := settings[o.name]
		if !ok {
			continue
		}
		if o.patch == nil {
			return usage(fmt.Sprintf("%s is fixed when a board is created", o.name), "create another board")
		}
		if err := o.patch(&p, value); err != nil {
			return wrongSetting(o.name, err)
		}
	}
	board, err := c.PatchBoard(ctx, id, p)
	if err != nil {
		return err
	}
	return out.print(board)
}

func wrongSetting(name string, err error) error {
	return usage(name+" "+err.Error(), "`laurel help board` tells what it can be")
}

func showBoard(ctx context.Context, c *client.Client, out boardPrinter, id string, _ map[string]string) error {
	board, err := c.Board(ctx, id)
	if err != nil {
		return err
	}
	return out.print(board)
}

func deleteBoard(ctx context.Context, c *client.Client, out boardPrinter, id string, _ map[string]string) error {
	if err := c.DeleteBoard(ctx, id); err != nil {
		return err
	}
	if out.json {
		return nil
	}
	_, err := fmt.Fprintf(out.out, "%s is deleted\n", id)
	return err
}

func listBoards(ctx context.Context, c *client.Client, out boardPrinter, _ string, _ map[string]string) error {
	boards, err := c.Boards(ctx)
	if err != nil {
		return err
	}
	return out.list(boards)
}

// boardPrinter writes boards for people or for programs.
type boardPrinter struct {
	out  io.Writer
	json bool
}

func (p boardPrinter) print(b client.Board) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(b)
	}
	// The settings are those that JSON has, by the names of the options.
	text, err := json.Marshal(b.Settings)
	if err != nil {
		return err
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s  %s, season %d, rev %d, created %s\n\n", b.ID, count(b.Total, "member"), b.Season, b.Rev, b.CreatedAt.Format(time.RFC3339))
	width := 0
	for _, o := range boardOptions {
		width = max(width, len(o.name))
	}
	for _, o := range boardOptions {
		value, ok := values[strings.ReplaceAll(o.name, "-", "_")]
		switch {
		case ok:
			fmt.Fprintf(&out, "  %-*s  %s\n", width, o.name, printable(strings.Trim(string(value), `"`)))
		case o.name == "decimals":
			fmt.Fprintf(&out, "  %-*s  0\n", width, o.name)
		case o.name != "zset":
			fmt.Fprintf(&out, "  %-*s  %s\n", width, o.name, none)
		}
	}
	_, err = io.WriteString(p.out, out.String())
	return err
}

func (p boardPrinter) list(boards []client.Board) error {
	if p.json {
		for _, b := range boards {
			if err := p.print(b); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"members", "rev", "order", "policy", "board"}}
	for _, b := range boards {
		rows = append(rows, []string{grouped(b.Total), strconv.FormatUint(b.Rev, 10), b.Order, b.Policy, b.ID})
	}
	var widths [4]int
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], len(row[i]))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&out, "  %*s  %*s  %-*s  %-*s  %s\n", widths[0], row[0], widths[1], row[1], widths[2], row[2], widths[3], row[3], row[4])
	}
	_, err := io.WriteString(p.out, out.String())
	return err
}
