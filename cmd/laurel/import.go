package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"laurel/client"
	"laurel/internal/importer"
	"laurel/internal/redisconn"
)

func importCommand() command {
	return command{
		name:  "import",
		args:  "[FILE]",
		short: "sets any number of scores, from a file or a Redis",
		long: `
Sets the scores of a file on a board, whatever its policy, in the order of the
file; - is the standard input. A file has a JSON object on each line, such as

  {"member": "alice", "score": 12, "data": {"name": "Alice"}}

or is a table in CSV with the columns member, score and perhaps data. A board
that does not exist is created with the default settings. An outage of the server
is waited for, and what was not done is sent again. When the import ends early,
--from-line continues it; to set the same score again does no harm.

With --from and --zset the members of a sorted set in Redis are read, best first
in the order of Redis, so that equal ones keep that order; with --podium those of
a leaderboard of Podium, without the members that have expired there. Stop what
writes there before, or import once more behind it.

  laurel import --board race race.csv --api-key-file key
  laurel import --board race --from redis://10.0.0.5:6379/1 --zset game:scores`,
		setup: func(flags *flag.FlagSet) action {
			im := &importCall{remote: remoteOptions(flags)}
			flags.StringVar(&im.board, "board", "", "`id` of the board")
			flags.StringVar(&im.format, "format", "", "`form` of the file: ndjson or csv; by default what its name ends with, else ndjson")
			flags.IntVar(&im.fromLine, "from-line", 1, "begin with this `line` of the file, or this place of the sorted set")
			flags.StringVar(&im.from, "from", "", "`URL` of a Redis to read from, in place of a file")
			flags.StringVar(&im.zset, "zset", "", "`key` of the sorted set there")
			flags.StringVar(&im.podium, "podium", "", "`name` of the leaderboard of Podium there")
			flags.DurationVar(&im.patience, "patience", time.Minute, "wait for `so long` for a server that is away or takes no writes")
			return im.run
		},
	}
}

// importCall is one call of the command.
type importCall struct {
	remote                            *remote
	board, format, from, zset, podium string
	fromLine                          int
	patience                          time.Duration

	size int64        // of the file; 0: not known
	read atomic.Int64 // bytes of it

	mu    sync.Mutex
	count int         // guarded by mu: entries that were taken from the source
	last  int         // guarded by mu: the line of the last of them
	marks []entryMark // guarded by mu: where lines and entries go out of step
}

// entryMark says that from an entry on, its number and that of its line differ so much.
type entryMark struct{ entry, ahead int }

func (im *importCall) run(ctx context.Context, t terminal, args []string) error {
	if err := im.check(args); err != nil {
		return err
	}
	c, err := im.remote.connect(nil)
	if err != nil {
		return err
	}
	defer c.Close()
	source, done, err := im.source(ctx, c, args)
	if err != nil {
		return err
	}
	defer done()
	start := time.Now()
	progress := &importProgress{call: im, out: t.Err, start: start, told: start}
	columns, _ := terminalSize(t.Err)
	progress.drawn = columns > 0
	got, err := c.ImportLines(ctx, im.board, im.lines(source), client.ImportOptions{Patience: im.patience, Progress: progress.tell})
	progress.end()
	if err != nil {
		return im.explain(ctx, got.Applied, err)
	}
	took := time.Since(start)
	fmt.Fprintf(t.Out, "%s: %s set in %s, %s on the board\n", im.board, entries(got.Applied), took.Round(time.Millisecond), count(got.Total, "member"))
	return nil
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func (im *importCall) check(args []string) error {
	switch {
	case im.board == "":
		return usage("import needs --board", "it is the id of the board whose scores are set")
	case im.fromLine < 1:
		return usage("from-line must be at least 1", "")
	case im.format != "" && im.format != "ndjson" && im.format != "csv":
		return usage(fmt.Sprintf("format is %q, must be ndjson or csv", im.format), "")
	case im.zset != "" && im.podium != "":
		return usage("--zset and --podium are two sources", "leave one of them out")
	case im.from == "" && im.zset+im.podium != "":
		return usage("a sorted set is in a Redis", "name it with --from redis://HOST:PORT")
	case im.from != "" && im.zset+im.podium == "":
		return usage("--from needs --zset or --podium", "it is the key of a sorted set, or the name of a leaderboard of Podium")
	case im.from != "" && len(args) > 0:
		return usage("--from and FILE are two sources", "leave one of them out")
	case im.from == "" && len(args) == 0:
		return usage("a FILE is missing", "- is the standard input")
	}
	return nil
}

// source opens what is read.
func (im *importCall) source(ctx context.Context, c *client.Client, args []string) (source iter.Seq2[importer.Entry, error], done func(), err error) {
	if im.from != "" {
		source, err = im.sortedSet(ctx, c)
		return source, func() {}, err
	}
	file := os.Stdin
	if args[0] != "-" {
		if file, err = os.Open(args[0]); err != nil {
			return nil, nil, err
		}
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		im.size = info.Size()
	}
	content := &counted{file, &im.read}
	if formatOf(im.format, args[0]) == "csv" {
		source = importer.CSV(content)
	} else {
		source = importer.NDJSON(content)
	}
	return source, func() { _ = file.Close() }, nil
}

// formatOf returns the format that is named, or what the name of a file ends with.
func formatOf(named, file string) string {
	if named == "" && strings.EqualFold(filepath.Ext(file), ".csv") {
		return "csv"
	}
	return named
}

// sortedSet returns the members of a sorted set in the order in which they come to
// stand on the board as they stand there.
func (im *importCall) sortedSet(ctx context.Context, c *client.Client) (iter.Seq2[importer.Entry, error], error) {
	config, err := redisconn.Parse(im.from)
	if err != nil {
		return nil, usage(err.Error(), "")
	}
	board, err := c.Board(ctx, im.board)
	if err != nil && client.CodeOf(err) != client.CodeBoardNotFound {
		return nil, im.remote.explain(err)
	}
	best := board.Order != "asc"
	z := importer.ZSet{Redis: config, Key: im.zset + im.podium, Reverse: best == (board.Ties != "latest"), Podium: im.podium != ""}
	return z.Entries(ctx, im.fromLine-1), nil
}

// counted counts what is read from a file.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// lines passes entries on from the first line that is asked for, and remembers
// where they were.
func (im *importCall) lines(source iter.Seq2[importer.Entry, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for entry, err := range source {
			if err == nil && entry.Line < im.fromLine {
				continue
			}
			if err == nil {
				im.remember(entry.Line)
			}
			if !yield(entry.JSON, err) || err != nil {
				return
			}
		}
	}
}

func (im *importCall) remember(line int) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.count++
	im.last = line
	if n := len(im.marks); n == 0 || im.marks[n-1].ahead != line-im.count {
		im.marks = append(im.marks, entryMark{im.count, line - im.count})
	}
}

// lineOf returns the line of an entry that is not applied, or, if that was not
// read yet, the line behind the last.
func (im *importCall) lineOf(entry int) int {
	im.mu.Lock()
	defer im.mu.Unlock()
	if entry > im.count {
		return max(im.last+1, im.fromLine)
	}
	line := entry
	for _, m := range im.marks {
		if m.entry > entry {
			break
		}
		line = entry + m.ahead
	}
	return line
}

// forget drops what concerns entries that are applied.
func (im *importCall) forget(applied int) {
	im.mu.Lock()
	defer im.mu.Unlock()
	n := 0
	for n+1 < len(im.marks) && im.marks[n+1].entry <= applied {
		n++
	}
	im.marks = im.marks[:copy(im.marks, im.marks[n:])]
}

// explain says how to go on.
func (im *importCall) explain(ctx context.Context, applied int, err error) error {
	next := im.lineOf(applied + 1)
	hint := fmt.Sprintf("%s set before it; go on with --from-line %d", have(applied), next)
	wrong, ok := errors.AsType[*client.Error](err)
	switch {
	case ctx.Err() != nil:
		return withHint(errors.New("stopped before the end"), fmt.Sprintf("%s set; go on with --from-line %d", have(applied), next))
	case ok && wrong.Line > 0:
		return withHint(fmt.Errorf("line %d: %w", im.lineOf(wrong.Line), err), hint)
	}
	explained := im.remote.explain(err)
	if hintOf(explained) != "" && applied == 0 {
		return explained
	}
	return withHint(explained, fmt.Sprintf("%s set; go on with --from-line %d", have(applied), next))
}

func have(applied int) string {
	if applied == 1 {
		return "1 entry is"
	}
	return fmt.Sprintf("%d entries are", applied)
}

// plainEvery is how often something is told where there is no terminal.
const plainEvery = 10 * time.Second

// importProgress tells how far an import is: in one line on a terminal, else in
// a line now and then.
type importProgress struct {
	call        *importCall
	out         io.Writer
	drawn       bool
	start, told time.Time
	away        bool // it was told that the server is away
}

func (p *importProgress) tell(now client.ImportProgress) {
	p.call.forget(now.Applied)
	switch {
	case now.Err != nil && !p.away:
		p.away = true
		p.end()
		fmt.Fprintf(p.out, "waiting for the server: %v\n", now.Err)
		return
	case now.Err != nil:
		return
	case !p.drawn && time.Since(p.told) < plainEvery && !p.away:
		return
	}
	p.away = false
	p.told = time.Now()
	text := fmt.Sprintf("%s, %.0f/s", entries(now.Applied), float64(now.Applied)/time.Since(p.start).Seconds())
	if p.call.size > 0 {
		text += fmt.Sprintf(", %d %% read", 100*p.call.read.Load()/p.call.size)
	}
	if p.drawn {
		fmt.Fprintf(p.out, "\r%s\x1b[K", text)
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// end leaves the line on the terminal.
func (p *importProgress) end() {
	if p.drawn && p.told.After(p.start) {
		fmt.Fprintln(p.out)
	}
}
