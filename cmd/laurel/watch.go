package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"laurel/client"
)

func watchCommand() command {
	return command{
		name:  "watch",
		args:  "BOARD",
		short: "follows a board in the terminal",
		long: `
Draws the top of a board, and again whenever it changes, until it is stopped with
Ctrl-C. When the output is not a terminal, each table is one line of JSON instead:

  laurel watch race | jq -c '.entries[0]'

A lost connection is made again without end; what happens to it is told on the
standard error output.`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags)
			limit := flags.Int("limit", 0, "show so many `entries`; 0 is as many as fit, or all that viewers are sent")
			return func(ctx context.Context, t terminal, args []string) error {
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				if _, err := c.Board(ctx, args[0]); err != nil { // what is wrong from the start is not waited for
					return remote.explain(err)
				}
				var show viewer = &lines{t: t}
				if _, rows := terminalSize(t.Out); rows > 0 {
					show = &screen{out: t.Out, rows: func() int { _, rows := terminalSize(t.Out); return rows }}
				}
				defer show.close()
				opts := client.WatchOptions{OnState: show.state}
				for table, err := range c.Watch(ctx, args[0], opts) {
					if err != nil {
						return remote.explain(err)
					}
					if *limit > 0 {
						table.Entries = table.Entries[:min(*limit, len(table.Entries))]
					}
					if err := show.table(table); err != nil {
						return err
					}
				}
				return nil
			}
		},
	}
}

// viewer shows a board that is followed.
type viewer interface {
	table(client.Table) error
	state(client.State, error)
	close()
}

// lines is a viewer for programs.
type lines struct {
	t    terminal
	lost bool // the connection, which was told
}

func (l *lines) table(t client.Table) error { return json.NewEncoder(l.t.Out).Encode(t) }

func (l *lines) state(s client.State, cause error) {
	switch {
	case s == client.Live && l.lost:
		fmt.Fprintln(l.t.Err, "laurel: connected again")
		l.lost = false
	case s == client.Connecting && cause != nil && !l.lost:
		fmt.Fprintf(l.t.Err, "laurel: connection lost: %v; trying again\n", cause)
		l.lost = true
	}
}

func (l *lines) close() {}

// screen is a viewer that has a terminal for itself while it shows something.
type screen struct {
	out  io.Writer
	rows func() int

	drawn bool
	last  client.Table
	words string // for the state
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the other screen, without a cursor, long lines cut off
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

func (s *screen) table(t client.Table) error {
	s.last = t
	return s.redraw()
}

func (s *screen) state(state client.State, cause error) {
	s.words = string(state)
	if cause != nil {
		s.words = "connection lost, trying again;"
	}
	if s.drawn {
		_ = s.redraw() // a terminal that is gone shows itself at the next table
	}
}

func (s *screen) redraw() error {
	if !s.drawn {
		s.drawn = true
		if _, err := io.WriteString(s.out, enterScreen); err != nil {
			return err
		}
	}
	shown := s.last
	const around = 5 // lines that are not entries
	shown.Entries = shown.Entries[:min(len(shown.Entries), max(1, s.rows()-around))]
	clean := &endOfLine{s.out}
	if _, err := io.WriteString(s.out, home); err != nil {
		return err
	}
	if err := draw(clean, shown, s.words); err != nil {
		return err
	}
	_, err := io.WriteString(s.out, clearBelow)
	return err
}

// close gives the terminal back, with the last table on it.
func (s *screen) close() {
	if !s.drawn {
		return
	}
	_, _ = io.WriteString(s.out, leaveScreen)
	s.last.Entries = s.last.Entries[:min(len(s.last.Entries), 10)]
	_ = draw(s.out, s.last, "")
}

// endOfLine clears the rest of each line, which may be of an earlier table.
type endOfLine struct{ out io.Writer }

func (e *endOfLine) Write(p []byte) (int, error) {
	var cleared []byte
	for _, c := range p {
		if c == '\n' {
			cleared = append(cleared, clearLine...)
		}
		cleared = append(cleared, c)
	}
	_, err := e.out.Write(cleared)
	return len(p), err
}
