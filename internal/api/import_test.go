package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"laurel/internal/leaderboard"
)

const importPath = "/v1/leaderboards/b/import"

func (s *server) importAll(body string) received {
	s.t.Helper()
	return s.send("POST", importPath, body, "Content-Type", ndjsonType)
}

// lastLine returns the last line of an import's answer.
func lastLine(t *testing.T, r received) imported {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.body, "\n"), "\n")
	var last imported
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return last
}

func TestImportSetsEveryLine(t *testing.T) {
	s := newServer(t)
	s.must("PUT", "/v1/leaderboards/b/entries/bob", `{"score":50}`) // the board adds
	got := s.importAll("\ufeff" + `{"member":"alice","score":12,"data":{"name":"Alice"}}` + "\r\n\n" + ` { "score" : 3 , "member" : "bob" } ` + "\n  \n" + `{"member":"carol","score":3}`)
	want := fmt.Sprintf(`{"applied":3,"line":5,"done":true,"board":"b","season":1,"rev":5,"epoch":%q,"total":3}`+"\n", lastLine(t, got).Epoch)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != ndjsonType || got.body != want {
		t.Fatalf("%d %s %s, want %s", got.status, got.header.Get("Content-Type"), got.body, want)
	}
	page := s.must("GET", "/v1/leaderboards/b/entries", "").body
	for _, entry := range []string{
		`{"member":"alice","score":12,"rank":1,"data":{"name":"Alice"},`, `{"member":"bob","score":3,"rank":2,`, `{"member":"carol","score":3,"rank":3,`,
	} {
		if !strings.Contains(page, entry) {
			t.Errorf("no %s in %s", entry, page)
		}
	}
	again := lastLine(t, s.importAll(`{"member":"bob","score":3}`))
	if after := s.must("GET", "/v1/leaderboards/b/entries", "").body; again.Applied != 1 || !strings.Contains(after, `{"member":"bob","score":3,"rank":2,`) {
		t.Errorf("the same score again moved the entry: %s", after)
	}
	empty := lastLine(t, s.importAll("\n"))
	if empty.Applied != 0 || empty.Line != 1 || !empty.Done || *empty.Total != 3 {
		t.Errorf("an import of nothing: %+v", empty)
	}
	if got := counter(t, s.registry, "laurel_imported_entries_total"); got != 4 {
		t.Errorf("%v entries counted, want 4", got)
	}
}

// numbered returns lines for members m0 up to n.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"member":"m%d","score":%d}`+"\n", i, n-i)
	}
	return b.String()
}

func TestImportAppliesWhatStandsBeforeAWrongLine(t *testing.T) {
	for name, test := range map[string]struct {
		line, noun string
		code       leaderboard.Code
		member     string
	}{
		"no JSON":             {`member,score`, "the line is not JSON", codeInvalidJSON, ""},
		"two values":          {`{"member":"x","score":1}{}`, "the line goes on", codeInvalidJSON, ""},
		"an array":            {`[]`, "a submission must be an object", codeInvalidJSON, ""},
		"an unknown field":    {`{"member":"x","score":1,"rank":1}`, `"rank"`, codeUnknownField, "x"},
		"no score":            {`{"member":"x"}`, "score", leaderboard.CodeInvalidScore, "x"},
		"a score in quotes":   {`{"member":"x","score":"1"}`, "score", leaderboard.CodeInvalidScore, "x"},
		"too many decimals":   {`{"member":"x","score":0.5}`, "decimals", leaderboard.CodeTooManyDecimals, "x"},
		"out of range":        {`{"member":"x","score":9007199254740992}`, "out of range", leaderboard.CodeScoreOutOfRange, "x"},
		"no member":           {`{"member":"","score":1}`, "member", leaderboard.CodeInvalidMember, ""},
		"data that is a text": {`{"member":"x","score":1,"data":"y"}`, "data", leaderboard.CodeInvalidData, "x"},
		"too long":            {`{"member":"x","score":1}` + strings.Repeat(" ", maxLine), "8192 bytes", codeBodyTooLarge, ""},
		"far too long":        {strings.Repeat(" ", 1<<20), "8192 bytes", codeBodyTooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []int{1, 999, 1000, 1001, 2500} {
				s := newServer(t)
				got := lastLine(t, s.importAll(numbered(before)+test.line+"\n"+numbered(3)))
				if got.Done || got.Problem == nil {
					t.Fatalf("after %d lines: %+v", before, got)
				}
				p := got.Problem
				if p.Code != problemCode(test.code) || p.Line != before+1 || p.Member != test.member || !strings.Contains(p.Detail, test.noun) || p.Index != nil {
					t.Errorf("after %d lines: %+v", before, p)
				}
				total := decode[board](t, s.must("GET", "/v1/leaderboards/b", "")).Total
				if got.Applied != before || got.Line != before || total != before {
					t.Errorf("applied %d to line %d, %d on the board, want %d", got.Applied, got.Line, total, before)
				}
				if got := counterWith(t, s, string(test.code)); got != 1 {
					t.Errorf("%v problems are counted", got)
				}
			}
			s := newServer(t)
			got := s.importAll(test.line + "\n" + numbered(3))
			if p := decode[problem](t, got); got.status != statusOf[test.code] || p.Code != problemCode(test.code) || p.Line != 1 {
				t.Errorf("the first line: %d %s", got.status, got.body)
			}
			s.checkProblem(t, "board", s.send("GET", "/v1/leaderboards/b", ""), leaderboard.CodeBoardNotFound)
		})
	}
}

func counterWith(t *testing.T, s *server, code string) (value float64) {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "laurel_http_problems_total" && m.GetLabel()[0].GetValue() == code {
				value = m.GetCounter().GetValue()
			}
		}
	}
	return value
}

func TestImportIsRefusedAsAnyWriteIs(t *testing.T) {
	s := newServer(t)
	for code, headers := range map[leaderboard.Code][]string{
		codeUnauthorized: {"X-API-Key", "no"},
		codeMediaType:    {"Content-Type", "application/json"},
	} {
		got := s.send("POST", importPath, numbered(2), append([]string{"Content-Type", ndjsonType}, headers...)...)
		s.checkProblem(t, string(code), got, code)
	}
	s.checkProblem(t, "board", s.send("POST", "/v1/leaderboards/-/import", numbered(2), "Content-Type", ndjsonType), leaderboard.CodeInvalidBoard)
	s.checkProblem(t, "nothing to a board that is not there", s.importAll(""), leaderboard.CodeBoardNotFound)
	s.api.service = leaderboard.NewService(s.store, leaderboard.ServiceOptions{NoAutoCreate: true})
	got := s.importAll(numbered(2))
	s.checkProblem(t, "a board that is not there", got, leaderboard.CodeBoardNotFound)
	if p := decode[problem](t, got); p.Line != 0 {
		t.Errorf("the line is blamed: %s", got.body)
	}
}

// upload is an import whose body is still being sent.
type upload struct {
	t      *testing.T
	body   *io.PipeWriter
	answer *bufio.Reader
	close  func()
}

// upload begins an import with so many lines, and waits until all of them are
// told to be applied.
func (s *server) upload(t *testing.T, lines int) *upload {
	t.Helper()
	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	req := s.request("POST", importPath, read, "Content-Type", ndjsonType).WithContext(ctx)
	var sent sync.WaitGroup
	sent.Go(func() { _, _ = io.WriteString(write, numbered(lines)) })
	res, err := s.Client().Do(req) // answered at the first line that is told
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	u := &upload{t: t, body: write, answer: bufio.NewReader(res.Body)}
	u.close = sync.OnceFunc(func() {
		cancel()
		_ = write.Close()
		_ = res.Body.Close()
	})
	t.Cleanup(u.close)
	sent.Wait()
	for u.next().Line < lines {
	}
	return u
}

func (u *upload) next() imported {
	u.t.Helper()
	text, err := u.answer.ReadString('\n')
	if err != nil {
		u.t.Fatalf("%v behind %q", err, text)
	}
	var line imported
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		u.t.Fatal(err)
	}
	return line
}

func TestImportTellsHowFarItIsWhileItIsSent(t *testing.T) {
	s := newServer(t)
	u := s.upload(t, 1500)
	if total := decode[board](t, s.must("GET", "/v1/leaderboards/b", "")).Total; total != 1500 {
		t.Errorf("%d members are on the board when 1,500 are told", total)
	}
	if _, err := io.WriteString(u.body, `{"member":"last","score":1}`); err != nil {
		t.Fatal(err)
	}
	if err := u.body.Close(); err != nil {
		t.Fatal(err)
	}
	if last := u.next(); !last.Done || last.Applied != 1501 || last.Line != 1501 || *last.Total != 1501 {
		t.Errorf("last line %+v", last)
	}
	if _, err := u.answer.ReadByte(); err != io.EOF {
		t.Errorf("behind the last line: %v", err)
	}
}

func TestImportEndsWithTheServer(t *testing.T) {
	s := newServer(t)
	u := s.upload(t, 1500)
	s.api.StopImports()
	last := u.next()
	if last.Problem == nil || last.Problem.Code != problemCode(leaderboard.CodeShuttingDown) || last.Problem.Line != 0 || last.Applied != 1500 || last.Line != 1500 {
		t.Errorf("last line %+v", last)
	}
	u.close()
	got := s.importAll(numbered(1))
	s.checkProblem(t, "another import", got, leaderboard.CodeShuttingDown)
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.must("GET", "/v1/leaderboards/b", "") // the rest goes on
}

func TestImportThatIsSilentEnds(t *testing.T) {
	s := newServer(t, func(o *Options) { o.ImportTimeout = 1500 * time.Millisecond })
	u := s.upload(t, 3)
	last := u.next()
	if last.Problem == nil || last.Problem.Code != problemCode(codeBodyTooSlow) || last.Line != 3 {
		t.Errorf("last line %+v", last)
	}
}

func TestImportThatIsGivenUpEnds(t *testing.T) {
	s := newServer(t)
	u := s.upload(t, 3)
	u.close()
	s.Close() // waits for it
	if s.api.imports == nil || len(s.api.imports) != 0 {
		t.Errorf("%d imports are left", len(s.api.imports))
	}
}

// pacedStore waits with each batch until the import has read all that it wants
// to read meanwhile.
type pacedStore struct {
	leaderboard.Store
	wait func(applied int)

	applied int
}

func (p *pacedStore) Apply(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
	p.wait(p.applied)
	p.applied += len(b.Ops)
	return p.Store.Apply(ctx, b)
}

// What is read ahead of what is applied is bounded, however fast it comes.
func TestImportReadsNoMoreThanItCanApply(t *testing.T) {
	const lines, width = 20_000, 4000
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b"}`)
	chunks := 0
	s.api.service = leaderboard.NewService(&pacedStore{Store: s.store, wait: func(applied int) {
		chunks++
		s.api.importsMu.Lock()
		defer s.api.importsMu.Unlock()
		for im := range s.api.imports {
			im.mu.Lock()
			for !im.chunk.isFull() && !im.ended {
				im.changed.Wait()
			}
			if n := len(im.chunk.list); n > leaderboard.MaxBatch {
				t.Errorf("a chunk has %d entries", n)
			}
			if n := len(im.chunk.text); n > chunkBytes+maxLine {
				t.Errorf("a chunk has %d bytes", n)
			}
			if im.chunk.last > applied+2*leaderboard.MaxBatch {
				t.Errorf("line %d is read when %d are applied", im.chunk.last, applied)
			}
			im.mu.Unlock()
		}
	}}, leaderboard.ServiceOptions{})
	var body strings.Builder
	for i := range lines {
		fmt.Fprintf(&body, "%-*s\n", width, fmt.Sprintf(`{"member":"m%d","data":{"x":%q},"score":1}`, i%100, strings.Repeat("y", 800)))
	}
	if last := lastLine(t, s.importAll(body.String())); !last.Done || last.Applied != lines {
		t.Errorf("last line %+v", last)
	}
	if chunks < lines/leaderboard.MaxBatch {
		t.Errorf("%d chunks", chunks)
	}
}

// A store that fails for a while ends the import with what is applied.
func TestImportEndsWhenTheStoreFails(t *testing.T) {
	s := newServer(t)
	failing := &failingAfter{Store: s.store, good: 2}
	s.api.service = leaderboard.NewService(failing, leaderboard.ServiceOptions{})
	s.must("POST", "/v1/leaderboards", `{"id":"b"}`)
	got := lastLine(t, s.importAll(numbered(10_000)))
	total := decode[board](t, s.must("GET", "/v1/leaderboards/b", "")).Total
	if got.Problem == nil || got.Problem.Code != problemCode(leaderboard.CodeStorageUnavailable) || got.Problem.Line != 0 || got.Applied == 0 || got.Applied != total || got.Line != total {
		t.Errorf("last line %+v, %d members on the board", got, total)
	}
}

type failingAfter struct {
	leaderboard.Store
	good int
}

func (f *failingAfter) Apply(ctx context.Context, b leaderboard.Batch) (leaderboard.Outcome, error) {
	if f.good--; f.good < 0 {
		return leaderboard.Outcome{}, leaderboard.Errorf(leaderboard.CodeStorageUnavailable, "the disk is full")
	}
	return f.Store.Apply(ctx, b)
}
