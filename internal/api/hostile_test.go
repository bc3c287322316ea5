package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"laurel/internal/leaderboard"
)

// checkProblem holds an answer to what every problem promises.
func (s *server) checkProblem(t *testing.T, what string, got received, code leaderboard.Code) {
	t.Helper()
	if got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s is not a problem: %s", what, got.status, got.header.Get("Content-Type"), clip(got.body))
		return
	}
	p := decode[problem](t, got)
	if leaderboard.Code(p.Code) != code {
		t.Errorf("%s: code %s, want %s: %s", what, p.Code, code, got.body)
	}
	if got.status != statusOf[leaderboard.Code(p.Code)] || p.Status != got.status || p.Title != http.StatusText(got.status) || p.Type != "about:blank" || p.Detail == "" {
		t.Errorf("%s: status %d with %s", what, got.status, got.body)
	}
	if len(got.body) > 1000 {
		t.Errorf("%s: a problem of %d bytes", what, len(got.body))
	}
}

// badMembers are members that no request may use, as they are in memory.
var badMembers = map[string]string{
	"129 bytes":       strings.Repeat("m", 129),
	"43 snowmen":      strings.Repeat("☃", 43),
	"newline":         "a\nb",
	"NUL":             "\x00",
	"DEL":             "a\x7f",
	"C1 control":      "a\u0085b",
	"not UTF-8":       "a\xff",
	"cut UTF-8":       "a\xe2\x98",
	"overlong UTF-8":  "\xc0\xaf",
	"surrogate bytes": "\xed\xa0\x80",
}

func TestHostileBodies(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"whole"}`)
	s.must("POST", "/v1/leaderboards", `{"id":"cents","decimals":2}`)
	s.must("POST", "/v1/leaderboards/whole/scores", `{"member":"full","score":9007199254740991}`)

	const (
		create = "POST /v1/leaderboards"
		patch  = "PATCH /v1/leaderboards/whole"
		submit = "POST /v1/leaderboards/whole/scores"
		cents  = "POST /v1/leaderboards/cents/scores"
		put    = "PUT /v1/leaderboards/whole/entries/a"
		across = "POST /v1/scores"
		member = "POST /v1/members/a/scores"
	)
	type test struct {
		to, body string
		code     leaderboard.Code
	}
	tests := []test{
		{create, `{}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":""}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"a b"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"-a"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":".."}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"` + strings.Repeat("a", 65) + `"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"é"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":5}`, codeInvalidJSON},
		{create, `{"id":null}`, codeInvalidJSON},
		{create, `{"id":"b","order":"up"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","order":""}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","order":null}`, codeInvalidJSON},
		{create, `{"id":"b","policy":"max"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","ties":"random"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","rank_style":"x"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","rank_style":"dense","zset":"scores"}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","decimals":7}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","decimals":-1}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","decimals":1.5}`, codeInvalidJSON},
		{create, `{"id":"b","decimals":"2"}`, codeInvalidJSON},
		{create, `{"id":"b","top":0}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","top":501}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","top":99999999999999999999}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","top":-99999999999999999999}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","top":1e2}`, codeInvalidJSON},
		{create, `{"id":"b","interval_ms":0}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","interval_ms":60001}`, leaderboard.CodeInvalidBoard},
		{create, `{"id":"b","rev":1}`, codeUnknownField},
		{create, `{"ID":"b"}`, codeUnknownField},
		{create, `{"id":"b","id":"c"}`, codeInvalidJSON},
		{create, `{"id":"whole"}`, leaderboard.CodeBoardExists},
		{patch, `{}`, codeBadRequest},
		{patch, `{"id":"other"}`, codeUnknownField},
		{patch, `{"order":"asc"}`, leaderboard.CodeImmutableSetting},
		{patch, `{"decimals":2}`, leaderboard.CodeImmutableSetting},
		{patch, `{"ties":"latest"}`, leaderboard.CodeImmutableSetting},
		{patch, `{"top":0}`, leaderboard.CodeInvalidBoard},
		{patch, `{"policy":"max"}`, leaderboard.CodeInvalidBoard},
		{patch, `{"policy":["sum"]}`, codeInvalidJSON},
		{submit, `{}`, codeBadRequest},
		{submit, `{"member":"a"}`, leaderboard.CodeInvalidScore},
		{submit, `{"score":1}`, leaderboard.CodeInvalidMember},
		{submit, `{"data":{}}`, leaderboard.CodeInvalidMember},
		{submit, `{"member":"","score":1}`, leaderboard.CodeInvalidMember},
		{submit, `{"member":7,"score":1}`, codeInvalidJSON},
		{submit, `{"member":["a"],"score":1}`, codeInvalidJSON},
		{submit, `{"member":null,"score":1}`, codeInvalidJSON},
		{submit, `{"member":"a","score":1,"score":2}`, codeInvalidJSON},
		{submit, `{"member":"a","score":1,"policy":"latest"}`, codeUnknownField},
		{submit, `{"member":"\ud800","score":1}`, codeInvalidJSON},
		{submit, `{"member":"\udc00\ud800","score":1}`, codeInvalidJSON},
		{submit, `{"member":"\ud800x","score":1}`, codeInvalidJSON},
		{submit, `{"member":"\u0000","score":1}`, leaderboard.CodeInvalidMember},
		{submit, `{"member":"\u007f","score":1}`, leaderboard.CodeInvalidMember},
		{submit, "{\"member\":\"a\nb\",\"score\":1}", codeInvalidJSON},
		{submit, `{"member":"a","score":9007199254740992}`, leaderboard.CodeScoreOutOfRange},
		{submit, `{"member":"a","score":-9007199254740992}`, leaderboard.CodeScoreOutOfRange},
		{submit, `{"member":"full","score":1}`, leaderboard.CodeScoreOutOfRange},
		{submit, `{"member":"a","score":1.5}`, leaderboard.CodeTooManyDecimals},
		{submit, `{"member":"a","score":1e-7}`, leaderboard.CodeTooManyDecimals},
		{cents, `{"member":"a","score":0.001}`, leaderboard.CodeTooManyDecimals},
		{cents, `{"member":"a","score":10000000000000}`, leaderboard.CodeScoreOutOfRange},
		{submit, `{"submissions":[]}`, leaderboard.CodeEmptyBatch},
		{submit, `{"submissions":null}`, codeInvalidJSON},
		{submit, `{"submissions":{}}`, codeInvalidJSON},
		{submit, `{"submissions":[1]}`, codeInvalidJSON},
		{submit, `{"submissions":[{}]}`, leaderboard.CodeInvalidMember},
		{submit, `{"submissions":[{"member":"a","score":1},]}`, codeInvalidJSON},
		{submit, `{"submissions":[{"member":"a","score":1}],"member":"b","score":1}`, codeBadRequest},
		{submit, `{"submissions":[{"member":"a","score":1}],"data":null}`, codeBadRequest},
		{submit, `{"submissions":[{"member":"a","score":1,"x":1}]}`, codeUnknownField},
		{submit, `{"submissions":[{"submissions":[]}]}`, codeUnknownField},
		{submit, string(batchBody(1001)), leaderboard.CodeBatchTooLarge},
		{across, `{}`, codeBadRequest},
		{across, `{"submissions":[]}`, leaderboard.CodeEmptyBatch},
		{across, `{"submissions":null}`, codeInvalidJSON},
		{across, `{"submissions":[1]}`, codeInvalidJSON},
		{across, `{"submissions":[{"member":"a","score":1}]}`, leaderboard.CodeInvalidBoard},
		{across, `{"submissions":[{"board":"whole","score":1}]}`, leaderboard.CodeInvalidMember},
		{across, `{"submissions":[{"board":"whole","member":"a"}]}`, leaderboard.CodeInvalidScore},
		{across, `{"submissions":[{"board":"a b","member":"a","score":1}]}`, leaderboard.CodeInvalidBoard},
		{across, `{"submissions":[{"board":5,"member":"a","score":1}]}`, codeInvalidJSON},
		{across, `{"submissions":[{"board":"whole","member":"a","score":1,"x":1}]}`, codeUnknownField},
		{across, `{"submissions":[{"board":"whole","member":"a","score":1},]}`, codeInvalidJSON},
		{across, `{"submissions":[` + strings.Repeat(`{"board":"whole","member":"a","score":1},`, 1000) + `{"board":"whole","member":"a","score":1}]}`, leaderboard.CodeBatchTooLarge},
		{across, `{"submissions":[{"board":"whole","member":"a","score":1},{"board":"whole","member":"full","score":1}]}`, leaderboard.CodeScoreOutOfRange},
		{member, `{}`, codeBadRequest},
		{member, `{"scores":[]}`, leaderboard.CodeEmptyBatch},
		{member, `{"scores":[{"score":1}]}`, leaderboard.CodeInvalidBoard},
		{member, `{"scores":[{"board":"whole"}]}`, leaderboard.CodeInvalidScore},
		{member, `{"scores":[{"board":"whole","member":"b","score":1}]}`, codeUnknownField},
		{member, `{"submissions":[{"board":"whole","member":"b","score":1}]}`, codeUnknownField},
		{put, `{}`, leaderboard.CodeInvalidScore},
		{put, `{"member":"a","score":1}`, codeUnknownField},
	}
	for _, to := range []string{create, patch, submit, put} { // what no body may be
		for _, body := range []string{
			``, ` `, `x`, `nul`, `{`, `}`, `{"`, `{"a`, `{]`, `{"score":1`, `{"score":}`, `{"score" 1}`, `{score:1}`, `{'score':1}`, `{,}`, `{"score":1,}`,
			`{"score":1}}`, `{"score":1}{"score":1}`, `{"score":1} x`, "{\"score\":1}\x00", "\ufeff{\"score\":1}", `null`, `[]`, `"score"`, `1`, `true`,
			"{\"sco\x01re\":1}", `{"\u00"`, `{"\x":1}`, "{\"score\":1}\n//", `/**/{"score":1}`, strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
		} {
			want := codeInvalidJSON
			if body == strings.Repeat(`{"a":`, 100_000) {
				want = codeUnknownField
			}
			if to != submit && to != put && strings.HasPrefix(body, `{"score"`) {
				want = codeUnknownField // is met before what is wrong with it
				if strings.HasPrefix(body, `{"score" 1`) {
					want = codeInvalidJSON
				}
			}
			tests = append(tests, test{to, body, want})
		}
	}
	for _, field := range []string{`{"score":%s}`, `{"member":"a","score":%s}`, `{"submissions":[{"member":"a","score":%s}]}`} {
		to := submit
		if field == `{"score":%s}` {
			to = put
		}
		for score, want := range map[string]leaderboard.Code{
			`NaN`: codeInvalidJSON, `Infinity`: codeInvalidJSON, `-Infinity`: codeInvalidJSON, `nan`: codeInvalidJSON, `+1`: codeInvalidJSON,
			`01`: codeInvalidJSON, `-`: codeInvalidJSON, `1.`: codeInvalidJSON, `.5`: codeInvalidJSON, `1e`: codeInvalidJSON, `0x10`: codeInvalidJSON, `1_000`: codeInvalidJSON,
			`"5"`: leaderboard.CodeInvalidScore, `"NaN"`: leaderboard.CodeInvalidScore, `null`: leaderboard.CodeInvalidScore, `true`: leaderboard.CodeInvalidScore,
			`[1]`: leaderboard.CodeInvalidScore, `{}`: leaderboard.CodeInvalidScore,
			`1e400`: leaderboard.CodeScoreOutOfRange, `-1e400`: leaderboard.CodeScoreOutOfRange, `1e99999999999999999999`: leaderboard.CodeScoreOutOfRange,
			`9007199254740992`: leaderboard.CodeScoreOutOfRange, strings.Repeat("9", 100_000): leaderboard.CodeScoreOutOfRange,
			`1e-400`: leaderboard.CodeTooManyDecimals, `0.` + strings.Repeat("3", 100_000): leaderboard.CodeTooManyDecimals,
		} {
			tests = append(tests, test{to, fmt.Sprintf(field, score), want})
		}
	}
	for _, field := range []string{`{"score":1,"data":%s}`, `{"member":"a","score":1,"data":%s}`, `{"submissions":[{"member":"a","score":1,"data":%s}]}`} {
		to := submit
		if strings.HasPrefix(field, `{"score"`) {
			to = put
		}
		for data, want := range map[string]leaderboard.Code{
			`1`: leaderboard.CodeInvalidData, `"x"`: leaderboard.CodeInvalidData, `[]`: leaderboard.CodeInvalidData, `true`: leaderboard.CodeInvalidData,
			`{"a":"` + strings.Repeat("x", 1017) + `"}`: leaderboard.CodeInvalidData,
			"{\"a\":\"\xff\"}":                          leaderboard.CodeInvalidData,
			`{"a":1`:                                    codeInvalidJSON,
			`{"a":NaN}`:                                 codeInvalidJSON,
			`{"a":[}`:                                   codeInvalidJSON,
			strings.Repeat(`{"a":`, 600) + `1` + strings.Repeat(`}`, 600): codeInvalidJSON,
			strings.Repeat(`[`, 500_000):                                  codeInvalidJSON,
		} {
			tests = append(tests, test{to, fmt.Sprintf(field, data), want})
		}
	}
	for name, member := range badMembers {
		if strings.ContainsAny(member, "\n\x00") {
			continue // cannot be in JSON as they are
		}
		_ = name
		tests = append(tests, test{submit, `{"member":"` + member + `","score":1}`, leaderboard.CodeInvalidMember})
	}

	for _, test := range tests {
		method, path, _ := strings.Cut(test.to, " ")
		got := s.send(method, path, test.body)
		s.checkProblem(t, test.to+" "+clip(test.body), got, test.code)
	}
	if got := s.must("GET", "/v1/leaderboards/whole/entries", ""); decode[entries](t, got).Total != 1 {
		t.Errorf("something refused was applied: %s", got.body)
	}
	if s.log.Len() > 0 {
		t.Errorf("bad input was logged:\n%s", s.log)
	}
}

// entries is what a test reads of a list.
type entries struct {
	Total   int
	Rev     uint64
	Entries []struct {
		Member string
		Score  json.Number
		Rank   int
	}
	NextCursor string `json:"next_cursor"`
}

func (e entries) members() []string {
	members := make([]string, len(e.Entries))
	for i, entry := range e.Entries {
		members[i] = entry.Member
	}
	return members
}

func TestHostilePathsAndQueries(t *testing.T) {
	s := newServer(t)
	s.must("POST", "/v1/leaderboards", `{"id":"b"}`)
	s.must("POST", "/v1/leaderboards/b/scores", `{"member":"a","score":1}`)
	type test struct {
		path string
		code leaderboard.Code
	}
	tests := []test{
		{"/v1/leaderboards/nobody", leaderboard.CodeBoardNotFound},
		{"/v1/leaderboards/nobody/entries", leaderboard.CodeBoardNotFound},
		{"/v1/leaderboards/nobody/entries/a", leaderboard.CodeBoardNotFound},
		{"/v1/leaderboards/nobody/entries/a/around", leaderboard.CodeBoardNotFound},
		{"/v1/leaderboards/b/entries/nobody", leaderboard.CodeMemberNotFound},
		{"/v1/leaderboards/b/entries/nobody/around", leaderboard.CodeMemberNotFound},
		{"/v1/leaderboards/%2e%2e", leaderboard.CodeInvalidBoard},
		{"/v1/leaderboards/a%2Fb/entries", leaderboard.CodeInvalidBoard},
		{"/v1/leaderboards/" + strings.Repeat("a", 65) + "/entries", leaderboard.CodeInvalidBoard},
		{"/v1", codeNotFound},
		{"/v1/", codeNotFound},
		{"/v1/nothing", codeNotFound},
		{"/v1/leaderboards/", codeNotFound},
		{"/v1/leaderboards//entries", codeNotFound},
		{"/v1/leaderboards/b/", codeNotFound},
		{"/v1/leaderboards/b/entries/", codeNotFound},
		{"/v1/leaderboards/b/entries//around", codeNotFound},
		{"/v1/leaderboards/b/entries/a/around/", codeNotFound},
		{"/v1/leaderboards/b/entries/a/near", codeNotFound},
		{"//v1/leaderboards", codeNotFound},
		{"/V1/leaderboards", codeNotFound},
		{"/v2/leaderboards", codeNotFound},
		{"/", codeNotFound},
		{"/" + strings.Repeat("/", 1000), codeNotFound},
		{"/v1/leaderboards?limit=0", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards?limit=1001", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards?limit=x", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards?limit=", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards?limit=99999999999999999999", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards?cursor=x", codeInvalidCursor},
		{"/v1/leaderboards?cursor=", codeInvalidCursor},
		{"/v1/leaderboards?offset=1", codeBadRequest},
		{"/v1/leaderboards/b?limit=1", codeBadRequest},
		{"/v1/leaderboards/b/entries?limt=5", codeBadRequest},
		{"/v1/leaderboards/b/entries?limit=5&limit=6", codeBadRequest},
		{"/v1/leaderboards/b/entries?limit=5;offset=6", codeBadRequest},
		{"/v1/leaderboards/b/entries?limit=%zz", codeBadRequest},
		{"/v1/leaderboards/b/entries?limit=-1", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards/b/entries?limit=1e1", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards/b/entries?offset=-1", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards/b/entries?offset=1.5", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards/b/entries?cursor=" + strings.Repeat("A", 10_000), codeInvalidCursor},
		{"/v1/leaderboards/b/entries?cursor=%00", codeInvalidCursor},
		{"/v1/leaderboards/b/entries/a?offset=1", codeBadRequest},
		{"/v1/leaderboards/b/entries/a/around?limit=0", leaderboard.CodeInvalidLimit},
		{"/v1/leaderboards/b/entries/a/around?limit=1001", leaderboard.CodeInvalidLimit},
		{"/healthz?x=1", codeBadRequest},
	}
	for _, season := range []string{"previous", "0", "-1", "2", "99999999999999999999", "first", "1.0", "CURRENT", "%00"} {
		for _, path := range []string{"/v1/leaderboards/b", "/v1/leaderboards/b/entries", "/v1/leaderboards/b/entries/a", "/v1/leaderboards/b/entries/a/around"} {
			tests = append(tests, test{path + "?season=" + season, leaderboard.CodeSeasonNotFound})
		}
	}
	for _, member := range badMembers {
		escaped := url.PathEscape(member)
		tests = append(tests,
			test{"/v1/leaderboards/b/entries/" + escaped, leaderboard.CodeInvalidMember},
			test{"/v1/leaderboards/b/entries/" + escaped + "/around", leaderboard.CodeInvalidMember})
		for _, method := range []string{"PUT", "DELETE"} {
			got := s.send(method, "/v1/leaderboards/b/entries/"+escaped, `{"score":1}`)
			s.checkProblem(t, fmt.Sprintf("%s %q", method, member), got, leaderboard.CodeInvalidMember)
		}
	}
	for _, test := range tests {
		s.checkProblem(t, "GET "+test.path, s.send("GET", test.path, ""), test.code)
	}
	if got := s.must("GET", "/v1/leaderboards/b/entries?offset=9223372036854775807", ""); len(decode[entries](t, got).Entries) != 0 {
		t.Errorf("entries behind the end: %s", got.body)
	}
	if s.log.Len() > 0 {
		t.Errorf("bad input was logged:\n%s", s.log)
	}
}

func TestBodiesMustBeJSONOfAModestSize(t *testing.T) {
	s := newServer(t)
	const path = "/v1/leaderboards/b/scores"
	const body = `{"member":"a","score":1}`
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/json; charset=latin1", "application/json;;", "json"} {
		s.checkProblem(t, "Content-Type "+contentType, s.send("POST", path, body, "Content-Type", contentType), codeMediaType)
	}
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON; charset=UTF-8"} {
		if got := s.send("POST", path, body, "Content-Type", contentType); got.status != http.StatusOK {
			t.Errorf("Content-Type %s: %d %s", contentType, got.status, got.body)
		}
	}

	large := `{"member":"a","score":1,"data":` + strings.Repeat(" ", 10<<20) + `null}`
	s.checkProblem(t, "10 MB", s.send("POST", path, large), codeBodyTooLarge)
	chunked := s.request("POST", path, io.MultiReader(strings.NewReader(large))) // of unknown length
	s.checkProblem(t, "10 MB in chunks", s.do(chunked), codeBodyTooLarge)

	limit := `{"member":"a","score":1,"data":` + strings.Repeat(" ", DefaultMaxBody-len(`{"member":"a","score":1,"data":null}`)) + `null}`
	if got := s.send("POST", path, limit); got.status != http.StatusOK {
		t.Errorf("a body of exactly the limit: %d %s", got.status, got.body)
	}
	s.checkProblem(t, "one byte more", s.send("POST", path, limit+" "), codeBodyTooLarge)
	got := s.do(s.request("POST", path, io.MultiReader(strings.NewReader(body))))
	if got.status != http.StatusOK {
		t.Errorf("a small body in chunks: %d %s", got.status, got.body)
	}
}

// TestLargeBodiesAreNotRead checks that a refusal comes before the body does.
func TestLargeBodiesAreNotRead(t *testing.T) {
	s := newServer(t)
	answer := s.raw(t, "POST /v1/leaderboards/b/scores HTTP/1.1\r\nHost: x\r\nX-API-Key: "+s.key+"\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n{")
	s.checkProblem(t, "promised 10 MB", answer, codeBodyTooLarge)
	if answer.header.Get("Connection") != "close" {
		t.Error("the connection is kept, and the body would have to be read")
	}
}

func TestSlowBodiesAreGivenUp(t *testing.T) {
	s := newServer(t, func(o *Options) { o.BodyTimeout = 50 * time.Millisecond })
	head := "POST /v1/leaderboards/b/scores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: "
	answer := s.raw(t, head+s.key+"\r\nContent-Length: 24\r\n\r\n{\"member\":")
	s.checkProblem(t, "half a body", answer, codeBodyTooSlow)
	answer = s.raw(t, head+s.key+"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"mem\r\n")
	s.checkProblem(t, "half a body in chunks", answer, codeBodyTooSlow)
	// Without a key the body is not asked for, but net/http waits for the rest.
	answer = s.raw(t, head+"wrong\r\nContent-Length: 24\r\n\r\n{\"member\":")
	s.checkProblem(t, "half a body without a key", answer, codeUnauthorized)

	// The deadline was for the body alone: the connection goes on.
	slow := s.request("POST", "/v1/leaderboards/b/scores", strings.NewReader(`{"member":"a","score":1}`))
	if got := s.do(slow); got.status != http.StatusOK {
		t.Errorf("a body in time: %d %s", got.status, got.body)
	}
}

// raw sends bytes over a connection of its own and reads one answer.
func (s *server) raw(t *testing.T, text string) received {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", clip(text), err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%q: %v", clip(text), err)
	}
	if res.Close {
		res.Header.Set("Connection", "close") // ReadResponse takes it out
	}
	return received{res.StatusCode, res.Header, string(body)}
}

// TestACutBodyChangesNothing closes the connection in the middle of a body.
func TestACutBodyChangesNothing(t *testing.T) {
	s := newServer(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	text := "POST /v1/leaderboards/b/scores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: " + s.key + "\r\nContent-Length: 25\r\n\r\n{\"member\":\"a\",\"score\":1}"
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.checkProblem(t, "cut body", received{res.StatusCode, res.Header, string(body)}, codeBadRequest)
	if err := errors.Join(res.Body.Close(), conn.Close()); err != nil {
		t.Fatal(err)
	}
	s.checkProblem(t, "the board", s.send("GET", "/v1/leaderboards/b", ""), leaderboard.CodeBoardNotFound)
}

// TestAClientThatLeavesIsNotAFault gives up a request while the store works.
func TestAClientThatLeavesIsNotAFault(t *testing.T) {
	store := &waitingStore{entered: make(chan struct{}), left: make(chan struct{})}
	service := leaderboard.NewService(store, leaderboard.ServiceOptions{})
	s := newServer(t)
	s.api.service = service
	ctx, cancel := context.WithCancel(t.Context())
	req := s.request("POST", "/v1/leaderboards/b/scores", bytes.NewReader([]byte(`{"member":"a","score":1}`))).WithContext(ctx)
	done := make(chan error)
	go func() {
		res, err := s.Client().Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		done <- err
	}()
	<-store.entered
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	<-store.left
	s.Close() // waits for the handler
	if s.log.Len() > 0 {
		t.Errorf("a client that left was logged:\n%s", s.log)
	}
	if got := counter(t, s.registry, "laurel_http_problems_total", "client_gone"); got != 1 {
		t.Errorf("%v requests counted as given up, want 1", got)
	}
}

// waitingStore holds a submission until it is given up.
type waitingStore struct {
	leaderboard.Store
	entered, left chan struct{}
}

func (w *waitingStore) Apply(ctx context.Context, _ leaderboard.Batch) (leaderboard.Outcome, error) {
	close(w.entered)
	<-ctx.Done()
	close(w.left)
	return leaderboard.Outcome{}, fmt.Errorf("wait for the disk: %w", ctx.Err())
}
