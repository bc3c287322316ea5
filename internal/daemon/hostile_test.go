package daemon

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"

	"laurel/client"
)

// The board that is attacked only in ways that must change nothing, while it is
// written to and watched by who may.
const calm = "calm"

// TestHostileInput attacks a whole daemon, in rounds, with all that a client can
// send. Whatever it is, the answer is a success that was earned, or a refusal
// with a code of the protocol; nothing is an error of the server's, nothing is
// on a board that was not acknowledged, who behaves notices nothing, and
// afterwards there are as many goroutines and as much memory as before.
//
// LAUREL_SOAK=10m makes it last, LAUREL_SEED=n repeats a run.
func TestHostileInput(t *testing.T) {
	seed := cmp.Or(number(t, "LAUREL_SEED"), rand.Uint64())
	t.Logf("LAUREL_SEED=%d", seed)
	soak, _ := time.ParseDuration(os.Getenv("LAUREL_SOAK"))
	began := time.Now()

	w := newWitnessed(t, seed)
	share := 4 // of what a round can be
	if soak > 0 {
		share = 1
	}
	baseline := []goleak.Option{
		goleak.IgnoreCurrent(), sdkTimeout,
		// The store's log has one, and another when it begins a new file.
		goleak.IgnoreAnyFunction("github.com/cockroachdb/pebble/v2/record.(*LogWriter).flushLoop"),
	}
	var heaps []uint64
	var series []int
	for round := 0; round < 3 || time.Since(began) < soak; round++ {
		w.round(round, share)
		w.settle(baseline)
		heaps = append(heaps, heapInUse()>>10)
		series = append(series, strings.Count(get(t, w.url+"/metrics").text, "\n"))
		if t.Failed() {
			break
		}
	}
	t.Logf("answers: %v", w.answers)
	t.Logf("heap after each round, KB: %v", heaps)
	t.Logf("lines of metrics: %v", series)
	// The first round fills caches and pools, and meets most of what is counted.
	// Whatever a client could leave behind with each connection, or name in a
	// metric, would be more than these bounds.
	settled, last := min(1, len(heaps)-1), len(heaps)-1
	if heaps[last] > heaps[settled]+4<<10 {
		t.Errorf("the heap has grown from %d KB to %d KB", heaps[settled], heaps[last])
	}
	if series[last] > series[settled]+400 {
		t.Errorf("the metrics have grown from %d lines to %d", series[settled], series[last])
	}
	if w.answers["acknowledged"] == 0 || w.answers["400"] == 0 || w.answers["101"] == 0 || len(w.answers) < 20 {
		t.Error("the attacks did not reach what they attack")
	}
}

func number(t *testing.T, variable string) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

func heapInUse() uint64 {
	var stats runtime.MemStats
	for range 3 { // pools are given up at the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// witnessed is a daemon that is attacked, and those who see what comes of it.
type witnessed struct {
	*testing.T
	running
	log    *suspicious
	honest *client.Client // keeps no connections
	seed   uint64

	operations []operation    // what the OpenAPI document offers
	codes      map[string]int // the codes of docs/protocol.md, and their status

	scores map[string]int64  // of the calm board
	tables chan client.Table // the newest that its viewer has seen
	states chan client.State // of the viewer's connection

	mu      sync.Mutex
	answers map[string]int            // guarded by mu: how many there were of a kind
	ledger  map[string]map[seat]place // guarded by mu: what was acknowledged, by board
}

// seat is a member in a season of a board.
type seat struct {
	season int
	member string
}

// place is where a member stood when a change was acknowledged.
type place struct {
	rev   uint64
	score string // "null": not on the board
}

func newWitnessed(t *testing.T, seed uint64) *witnessed {
	t.Helper()
	log := &suspicious{level: slog.LevelInfo}
	if seed%2 == 0 {
		log.level = slog.LevelDebug // where the library says what clients have sent
	}
	d := run(t, Options{BodyTimeout: time.Second, Log: slog.New(log)})
	w := &witnessed{
		T: t, running: d, log: log, seed: seed,
		codes:   protocolCodes(t),
		scores:  map[string]int64{},
		tables:  make(chan client.Table, 1),
		states:  make(chan client.State, 1000),
		answers: map[string]int{},
		ledger:  map[string]map[seat]place{},
	}
	w.operations = w.readOperations()
	var err error
	lone := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if w.honest, err = client.New(d.url, client.Options{APIKey: key, HTTPClient: lone}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.honest.CreateBoard(t.Context(), client.Settings{ID: calm, Top: 500, IntervalMS: 20}); err != nil {
		t.Fatal(err)
	}
	w.write(rand.New(rand.NewPCG(seed, 0)))
	w.watch()
	for s := range w.states {
		if s == client.Live {
			break
		}
	}
	return w
}

// watch follows the calm board until the test ends.
func (w *witnessed) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	opts := client.WatchOptions{OnState: func(s client.State, _ error) { w.states <- s }}
	watching.Go(func() {
		last := uint64(0)
		for table, err := range w.honest.Watch(ctx, calm, opts) {
			if err != nil {
				if ctx.Err() == nil {
					w.Errorf("the viewer's connection: %v", err)
				}
				return
			}
			if table.Rev < last {
				w.Errorf("the viewer went from rev %d to %d", last, table.Rev)
			}
			last = table.Rev
			select { // nobody needs the one before
			case <-w.tables:
			default:
			}
			w.tables <- table
		}
	})
	w.Cleanup(func() { cancel(); watching.Wait() })
}

// write changes the calm board as who may does: a large table, so that there is
// something to send to who does not read.
func (w *witnessed) write(rng *rand.Rand) {
	w.Helper()
	picture := strings.Repeat("x", 200)
	var batch []client.Submission
	for range 200 {
		member, score := fmt.Sprint("member-", rng.IntN(300)), 1+rng.Int64N(1000)
		w.scores[member] += score
		batch = append(batch, client.Submission{Member: member, Score: client.Int(score), Data: map[string]string{"picture": picture}})
	}
	if _, err := w.honest.Submit(w.Context(), calm, batch...); err != nil {
		w.Errorf("an honest submit: %v", err)
	}
}

// round attacks the daemon in every way, many at once and in an order that the
// seed says, while the calm board changes.
func (w *witnessed) round(round, share int) {
	for _, settings := range []client.Settings{
		{ID: "whole"}, {ID: "cents", Decimals: 2, Policy: "best", Order: "asc"}, {ID: "late", Policy: "latest", RankStyle: "competition", Top: 3},
	} {
		if _, err := w.honest.CreateBoard(w.Context(), settings); err != nil {
			w.Fatal(err)
		}
		w.ledger[settings.ID] = map[seat]place{}
	}
	rng := rand.New(rand.NewPCG(w.seed, uint64(round)))
	var queue []assault
	for _, attack := range attacks {
		for range max(1, attack.times/share) {
			queue = append(queue, assault{witnessed: w, name: attack.name, attack: attack.run})
		}
	}
	rng.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
	next := make(chan assault)
	var attackers sync.WaitGroup
	for range 12 {
		attackers.Go(func() {
			for a := range next {
				a.attack(&a)
			}
		})
	}
	for i, a := range queue {
		a.Rand = rand.New(rand.NewPCG(w.seed, uint64(round)<<32|uint64(i)+1))
		next <- a
		if i%(len(queue)/20) == 0 {
			w.write(rng)
		}
	}
	close(next)
	attackers.Wait()
}

// settle checks what the round has left behind, and that the daemon is as good
// as before.
func (w *witnessed) settle(baseline []goleak.Option) {
	w.Helper()
	w.compareBoards()
	if _, err := w.honest.Submit(w.Context(), calm, client.Submission{Member: "member-0", Score: "1"}); err != nil {
		w.Errorf("an honest submit: %v", err)
	}
	w.scores["member-0"]++
	page, err := w.honest.Top(w.Context(), calm, 1000)
	if err != nil {
		w.Fatal(err)
	}
	scores := map[string]int64{}
	for _, e := range page.Entries {
		scores[e.Member], _ = e.Score.Int64()
	}
	if !maps.Equal(scores, w.scores) {
		w.Errorf("the calm board has the scores\n%v, want\n%v", scores, w.scores)
	}

	// The viewer who was there all the time, and one who comes now.
	shows := func(table client.Table) bool {
		return table.Rev == page.Rev && slices.EqualFunc(table.Entries, page.Entries, func(a, b client.Entry) bool {
			return a.Member == b.Member && a.Score == b.Score && a.Rank == b.Rank
		})
	}
	for deadline := time.After(patience); ; {
		select {
		case table := <-w.tables:
			if table.Rev < page.Rev {
				continue
			}
			if !shows(table) {
				w.Errorf("the viewer's table is of rev %d with %d rows, the store's of %d with %d", table.Rev, len(table.Entries), page.Rev, len(page.Entries))
			}
		case <-deadline:
			w.Fatalf("the viewer has not seen rev %d", page.Rev)
		}
		break
	}
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	for table, err := range w.honest.Watch(ctx, calm, client.WatchOptions{}) {
		if err != nil {
			w.Fatalf("a new viewer: %v", err)
		}
		if shows(table) {
			break
		}
	}
	for len(w.states) > 0 {
		w.Errorf("the viewer's connection became %v", <-w.states)
	}

	w.log.check(w.T)
	for deadline := time.Now().Add(patience); ; {
		err := goleak.Find(baseline...)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			w.Fatalf("goroutines are left behind: %v", err)
		}
	}
}

// compareBoards holds every board to what was acknowledged, and deletes it.
func (w *witnessed) compareBoards() {
	w.Helper()
	boards, err := w.honest.Boards(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	there := map[string]bool{}
	for _, b := range boards {
		there[b.ID] = true
		if b.ID == calm {
			continue
		}
		if !strings.HasPrefix(b.ID, scrap) {
			w.compareBoard(b)
		}
		if err := w.honest.DeleteBoard(w.Context(), b.ID); err != nil {
			w.Errorf("delete %s: %v", b.ID, err)
		}
	}
	for board := range w.ledger {
		if !there[board] && !strings.HasPrefix(board, scrap) {
			w.Errorf("board %q was acknowledged and is not there", board)
		}
	}
	clear(w.ledger)
}

func (w *witnessed) compareBoard(b client.Board) {
	w.Helper()
	acknowledged, ok := w.ledger[b.ID]
	if !ok {
		w.Errorf("board %q is there, and nobody was told so", b.ID)
	}
	seasons, err := w.honest.Seasons(w.Context(), b.ID)
	if err != nil {
		w.Fatal(err)
	}
	kept := map[int]bool{}
	there := map[seat]string{}
	for _, s := range seasons {
		kept[s.Season] = true
		w.readSeason(b, s.Season, there)
	}
	for at, p := range acknowledged {
		if !kept[at.season] {
			continue
		}
		if p.score == "null" {
			p.score = ""
		}
		if there[at] != p.score {
			w.Errorf("member %q of season %d of board %q has the score %q, acknowledged is %q at rev %d", at.member, at.season, b.ID, there[at], p.score, p.rev)
		}
		delete(there, at)
	}
	if len(there) > 0 {
		w.Errorf("board %q has what was never acknowledged: %v", b.ID, there)
	}
}

// readSeason looks at every entry of a season.
func (w *witnessed) readSeason(b client.Board, season int, there map[seat]string) {
	w.Helper()
	for e, err := range w.honest.InSeason(season).All(w.Context(), b.ID) {
		if err != nil {
			w.Fatal(err)
		}
		there[seat{season, e.Member}] = string(e.Score)
		if n := len(e.Member); n == 0 || n > 128 || !utf8.ValidString(e.Member) || strings.ContainsFunc(e.Member, unicode.IsControl) {
			w.Errorf("board %q has a member %q", b.ID, e.Member)
		}
		if digits := strings.NewReplacer("-", "", ".", "").Replace(string(e.Score)); len(digits) > 16 {
			w.Errorf("member %q of board %q has the score %s", e.Member, b.ID, e.Score)
		}
		if len(e.Data) > 1<<10 || len(e.Data) > 0 && e.Data[0] != '{' {
			w.Errorf("member %q of board %q has the data %.100s", e.Member, b.ID, e.Data)
		}
	}
}

// acknowledge takes down what an answer has said.
func (w *witnessed) acknowledge(body []byte) error {
	var said struct {
		ID      string // of a board that was created
		Board   string
		Season  int
		Rev     uint64
		Results []struct {
			Board  string // of one of many boards
			Member string
			Score  json.RawMessage
		}
		Boards []struct { // of a write to many
			Board  string
			Season int
			Rev    uint64
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return err
	}
	revs, seasons := map[string]uint64{}, map[string]int{}
	for _, b := range said.Boards {
		revs[b.Board], seasons[b.Board] = b.Rev, b.Season
	}
	one := cmp.Or(said.Board, said.ID)
	if one != "" {
		revs[one], seasons[one] = said.Rev, said.Season
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for board := range revs {
		if w.ledger[board] == nil {
			w.ledger[board] = map[seat]place{}
		}
	}
	w.answers["acknowledged"] += len(said.Results)
	for _, r := range said.Results {
		board := cmp.Or(r.Board, one)
		at := seat{seasons[board], r.Member}
		if known := w.ledger[board][at]; revs[board] >= known.rev {
			w.ledger[board][at] = place{revs[board], string(r.Score)}
		}
	}
	return nil
}

func (w *witnessed) count(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[kind]++
}

// operation is what can be asked of the API.
type operation struct {
	method, path string
	query        []string
	example      any // of a body; nil: there is none
}

// readOperations reads from the server's own document what it serves.
func (w *witnessed) readOperations() []operation {
	w.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name, In string }
			RequestBody struct {
				Content map[string]struct{ Example any }
			}
		}
	}
	if err := json.Unmarshal([]byte(get(w.T, w.url+"/openapi.json").text), &document); err != nil {
		w.Fatal(err)
	}
	var operations []operation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(document.Paths[path])) {
			o := document.Paths[path][method]
			op := operation{method: strings.ToUpper(method), path: path, example: o.RequestBody.Content["application/json"].Example}
			for _, p := range o.Parameters {
				if p.In == "query" {
					op.query = append(op.query, p.Name)
				}
			}
			operations = append(operations, op)
		}
	}
	if len(operations) < 17 {
		w.Fatalf("the document has %d operations", len(operations))
	}
	return operations
}

// protocolCodes reads the table of errors of the protocol's description.
func protocolCodes(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\d{3}) \\|").FindAllSubmatch(text, -1) {
		codes[string(row[1])], _ = strconv.Atoi(string(row[2]))
	}
	if len(codes) < 28 {
		t.Fatalf("the description has %d codes", len(codes))
	}
	return codes
}

// suspicious is a log in which there must be no error, and nothing of a panic.
type suspicious struct {
	level slog.Level

	mu    sync.Mutex
	found []string // guarded by mu
}

func (s *suspicious) Enabled(_ context.Context, level slog.Level) bool { return level >= s.level }
func (s *suspicious) WithAttrs([]slog.Attr) slog.Handler               { return s }
func (s *suspicious) WithGroup(string) slog.Handler                    { return s }

func (s *suspicious) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	fmt.Fprintf(&line, "%v %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&line, " %s=%v", a.Key, a.Value)
		return true
	})
	text := line.String()
	bad := r.Level >= slog.LevelError
	if r.Level >= slog.LevelWarn { // below it is what clients have sent
		for _, word := range []string{"panic", "runtime error", "superfluous", "hijacked"} {
			bad = bad || strings.Contains(text, word)
		}
	}
	if bad {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.found = append(s.found, text)
	}
	return nil
}

func (s *suspicious) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.found {
		t.Errorf("logged: %s", line)
	}
	s.found = nil
}

// assault is one attack, with random numbers of its own.
type assault struct {
	*witnessed
	*rand.Rand
	name   string
	attack func(*assault)
}

func (a *assault) fail(format string, args ...any) {
	a.Errorf("%s: %s", a.name, fmt.Sprintf(format, args...))
}

// chance reports true once in n times.
func (a *assault) chance(n int) bool { return a.IntN(n) == 0 }

func pick[T any](a *assault, from []T) T { return from[a.IntN(len(from))] }

// dial opens a connection on which nothing may wait for long.
func (a *assault) dial() *net.TCPConn {
	conn, err := (&net.Dialer{}).DialContext(a.Context(), "tcp", a.Addr().String())
	if err != nil {
		a.fail("connect: %v", err)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// drop ends a connection without a farewell.
func drop(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// received is an answer to a request.
type received struct {
	*http.Response
	body []byte
}

// receive reads an answer with its body.
func receive(from *bufio.Reader, method string) (received, error) {
	for {
		res, err := http.ReadResponse(from, &http.Request{Method: method})
		if err != nil {
			return received{}, err
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return received{Response: res}, res.Body.Close() // what follows is no body
		}
		body, err := io.ReadAll(res.Body)
		return received{res, body}, errors.Join(err, res.Body.Close())
	}
}
