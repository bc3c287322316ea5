package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"laurel/client"
	"laurel/internal/importer"
)

func exportCommand() command {
	return command{
		name:  "export",
		args:  "[FILE]",
		short: "writes a board's entries to a file",
		long: `
Writes members, scores and data of a board, the first one first, as import reads
them: a JSON object on each line, or a table in CSV. Without FILE, or with -,
they go to the standard output.

While others write to the board, it is not the board at one moment: a member that
moves past the place that is being read may be missing, or be there twice.

On a board whose ties are "latest", import the lines in reverse, as by tac.

  laurel export --board race race.csv`,
		setup: func(flags *flag.FlagSet) action {
			remote := remoteOptions(flags).withSeason(flags)
			board := flags.String("board", "", "`id` of the board")
			format := flags.String("format", "", "`form` of the file: ndjson or csv; by default what its name ends with, else ndjson")
			return func(ctx context.Context, t terminal, args []string) error {
				switch {
				case *board == "":
					return usage("export needs --board", "it is the id of the board whose entries are written")
				case *format != "" && *format != "ndjson" && *format != "csv":
					return usage(fmt.Sprintf("format is %q, must be ndjson or csv", *format), "")
				}
				c, err := remote.connect(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				name := "-"
				if len(args) > 0 {
					name = args[0]
				}
				if name == "-" {
					return remote.explain(export(ctx, c, *board, formatOf(*format, name), t.Out))
				}
				return remote.explain(exportFile(ctx, c, *board, formatOf(*format, name), name))
			}
		},
	}
}

// exportFile writes a file that has its name only when it is whole.
func exportFile(ctx context.Context, c *client.Client, board, format, name string) error {
	part := name + ".part"
	file, err := os.Create(part)
	if err != nil {
		return err
	}
	err = export(ctx, c, board, format, file)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}

func export(ctx context.Context, c *client.Client, board, format string, to io.Writer) error {
	out := bufio.NewWriter(to)
	write, end := exportNDJSON(out)
	if format == "csv" {
		write, end = exportCSV(out)
	}
	for entry, err := range c.All(ctx, board) {
		if err == nil {
			err = write(entry)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(end(), out.Flush())
}

func exportNDJSON(out io.Writer) (write func(client.Entry) error, end func() error) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return func(e client.Entry) error {
		line := client.Submission{Member: e.Member, Score: e.Score}
		if len(e.Data) > 0 {
			line.Data = e.Data
		}
		return encoder.Encode(line)
	}, func() error { return nil }
}

func exportCSV(out io.Writer) (write func(client.Entry) error, end func() error) {
	table := csv.NewWriter(out)
	_ = table.Write(importer.Columns) // it is told by Error
	return func(e client.Entry) error {
			return table.Write([]string{e.Member, e.Score.String(), string(e.Data)})
		}, func() error {
			table.Flush()
			return table.Error()
		}
}
