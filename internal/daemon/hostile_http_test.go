package daemon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unicode/utf8"
)

// scrap begins the names of boards that attackers with a key delete.
const scrap = "scrap-"

// boardNames are those that attackers with a key write to, and badBoardNames
// those that they try.
var boardNames = []string{
	"whole", "cents", "late", "auto-1", "auto-2", strings.Repeat("z", 64), "A.b-c_D", scrap + "1", scrap + "2",
}

var badBoardNames = []string{
	"", ".", "..", "-a", "a b", "a/b", "é", "a\x00", "a\xff", strings.Repeat("z", 65), "whole ", "%77hole", "whole#x", "whole?x", "__proto__",
}

// memberNames are those that a member may have, and badMemberNames the others.
var memberNames = []string{
	"alice", "bob", " ", ".", "..", "a/b", "a b", "a#b", "?", "%", "%2F", "%00", `"`, `\`, "</script>", "'; DROP TABLE members;--", "${jndi:x}",
	"佐藤", "Zoë 🌿", "👩‍👩‍👧", "שלום", "a\u2028b", "\u202egnp.exe", "\ufeffa", "\ufffd", "e\u0301", "null", "NaN", "__proto__", "0",
	strings.Repeat("m", 128), strings.Repeat("☃", 42), strings.Repeat("🌿", 32),
}

var badMemberNames = []string{
	"", strings.Repeat("m", 129), strings.Repeat("☃", 43), strings.Repeat("m", 100_000), "\x00", "a\nb", "a\rb", "a\tb", "\x1b[31m", "a\x7f", "a\u0085b",
	"a\xff", "a\xe2\x98", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
}

// jsonValues are what stands where something else should.
var jsonValues = []string{
	`null`, `true`, `""`, `"x"`, `[]`, `{}`, `[[]]`, `{"a":1}`, `{"":""}`, `{"a":{"a":{"a":1}}}`, `[1,2]`, `"5"`, `"NaN"`,
	`0`, `-0`, `-0.0`, `1`, `-1`, `5`, `0.1`, `2.50`, `1e2`, `1E+2`, `12e-1`, `1e-7`, `-3.141592653589793238`,
	`9007199254740990`, `9007199254740991`, `9007199254740992`, `9007199254740993`, `-9007199254740991`, `-9007199254740992`,
	`9223372036854775807`, `9223372036854775808`, `-9223372036854775809`, `18446744073709551616`, `4294967296`,
	`1e15`, `1e16`, `1e308`, `1e309`, `1e400`, `-1e400`, `1e-400`, `1e999999999999`, `-1e-999999999999`, `0e999999999999`, `0.000000000000000000000`,
	`NaN`, `nan`, `Infinity`, `-Infinity`, `+1`, `01`, `-`, `1.`, `.5`, `1e`, `0x10`, `1_000`, `١`, `１`,
	`"\ud800"`, `"\udc00\ud800"`, `"\u0000"`, `"\x"`, `"\u12"`, "\"\x01\"", "\"\xff\"", `"`, `'x'`, `undefined`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `]`, `}`, `//`, `/**/1`,
	strings.Repeat("9", 500), "0." + strings.Repeat("0", 20_000) + "1", strings.Repeat("9", 100_000),
	strings.Repeat("[", 20_000), strings.Repeat("[", 600) + strings.Repeat("]", 600), strings.Repeat(`{"a":`, 20_000), strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
	`{"a":"` + strings.Repeat("x", 1017) + `"}`, `{"a":"` + strings.Repeat("x", 1016) + `"}`, `"` + strings.Repeat("x", 5000) + `"`,
}

var queryValues = []string{
	"", "0", "1", "2", "10", "50", "999", "1000", "1001", "-1", "1e1", "1.5", " 1", "1 ", "0x1", "NaN", "x", "99999999999999999999", "9223372036854775807", "9223372036854775808",
	"current", "previous", "CURRENT", "\x00", "é", "AQYBDKY", "ARIfM0xkq9oG", "////", "....", strings.Repeat("A", 500), strings.Repeat("A", 10_000),
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "BREW", "M-SEARCH", "PROPFIND", strings.Repeat("X", 2000)}

var oddTypes = []string{
	"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/json; charset=latin1",
	"application/json;;", "json", "application/json, text/plain", "application/json; charset=utf-8", "APPLICATION/JSON", "application/octet-stream", "\xff", strings.Repeat("a", 5000),
}

var oddHeaders = []string{
	"X-HTTP-Method-Override: DELETE", "Idempotency-Key: 1", "Content-Encoding: gzip", "Accept: application/xml", "Accept: */*;q=0", "Accept-Encoding: br, gzip;q=x",
	"Range: bytes=0-0", "Range: bytes=-1,0-,99999999999999999999-", "If-None-Match: *", "If-Match: \"x\"", "If-Modified-Since: never", "Origin: https://evil.example", "Origin: null",
	"Access-Control-Request-Method: DELETE", "Cookie: " + strings.Repeat("a=b; ", 2000), "X-Forwarded-For: 127.0.0.1", "X-Original-URL: /metrics", "Forwarded: host=evil",
	"Expect: 100-continue", "Connection: X-Api-Key, close", "Keep-Alive: timeout=99999", "Trailer: X", "TE: trailers", "Pragma: \xff\xfe", "Authorization: apikey", "Authorization: Basic YTpi",
	"X-API-Key: ", "Date: x", "Max-Forwards: 0", "Upgrade: h2c", "Sec-Fetch-Site: cross-site",
}

// board and member return a name, more often than not one that is possible.
func (a *assault) board() string {
	if a.chance(4) {
		return pick(a, badBoardNames)
	}
	return pick(a, boardNames)
}

func (a *assault) member() string {
	name := pick(a, memberNames)
	if a.chance(4) {
		name = pick(a, badMemberNames)
	}
	if a.chance(6) && len(name) < 200 {
		more := pick(a, badMemberNames)
		name += more[:min(3, len(more))]
	}
	return name
}

// attackOperation asks for something that the API has, with one thing or another
// that should not be.
func attackOperation(a *assault) {
	op := pick(a, a.operations)
	method := op.method
	if a.chance(8) {
		method = pick(a, append(methods, fmt.Sprint("M", a.Uint32())))
	}
	authorized := !a.chance(4)
	board, member := a.board(), a.member()
	switch {
	case !authorized && a.chance(2):
		board = calm
	case method == http.MethodDelete && strings.HasSuffix(op.path, "{board}") && authorized:
		board = scrap + "1"
	}
	path := strings.NewReplacer("{board}", a.escape(board), "{member}", a.escape(member)).Replace(op.path)
	var body []byte
	if op.example != nil != a.chance(10) {
		example := op.example
		if example == nil {
			example = pick(a, a.operations).example
		}
		body = a.body(example)
	}
	a.ask(method, path+a.query(op.query), authorized, body)
}

// escape writes a part of a path in one of the ways that mean the same.
func (a *assault) escape(name string) string {
	if a.chance(3) {
		var all strings.Builder
		for i := range min(len(name), 10_000) {
			fmt.Fprintf(&all, "%%%02X", name[i])
		}
		return all.String()
	}
	if len(name) > 10_000 {
		name = name[:10_000]
	}
	return url.PathEscape(name)
}

func (a *assault) query(known []string) string {
	var query []string
	for _, name := range known {
		if a.chance(3) {
			query = append(query, name+"="+url.QueryEscape(pick(a, queryValues)))
		}
	}
	if a.chance(12) {
		query = append(query, pick(a, []string{"x=1", "limit", "limit=1&limit=2", "limit=1;offset=2", "limit=%zz", "=", "&&", "%00", "season[]=1", "board=calm", strings.Repeat("a=1&", 5000)}))
	}
	if len(query) == 0 {
		return ""
	}
	return "?" + strings.Join(query, "&")
}

// body makes something of a body that is valid.
func (a *assault) body(example any) []byte {
	switch a.IntN(8) {
	case 0:
		text, err := json.Marshal(example)
		if err != nil {
			a.fail("%v", err)
		}
		return a.mutate(text)
	case 1:
		return []byte(pick(a, jsonValues))
	}
	return a.appendJSON(nil, example, pick(a, []int{2, 5, 10, 1000}))
}

// appendJSON writes a value with something else in its place once in so many times.
func (a *assault) appendJSON(to []byte, v any, rarely int) []byte {
	if a.chance(rarely * 3) {
		return append(to, pick(a, jsonValues)...)
	}
	switch v := v.(type) {
	case map[string]any:
		to = append(to, '{')
		begun := false
		field := func(name string, v any) {
			if begun {
				to = append(to, ',')
			}
			begun = true
			to = appendQuoted(to, name)
			to = append(to, ':')
			if name == "id" {
				v = pick(a, []string{scrap + "1", scrap + "2", "whole", calm, a.board()})
			}
			to = a.appendJSON(to, v, rarely)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			switch {
			case !a.chance(rarely * 4):
				field(name, v[name])
			case a.chance(2):
				field(name, v[name])
				field(name, v[name])
			case a.chance(2):
				field(pick(a, []string{"", "x", "Score", "MEMBER", "rank", "policy", "__proto__", strings.Repeat("f", 10_000)}), v[name])
			}
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		times := 1
		if a.chance(rarely * 2) {
			times = pick(a, []int{0, 2, 30, 499, 500, 501})
		}
		for i := range times * len(v) {
			if i > 0 {
				to = append(to, ',')
			}
			to = a.appendJSON(to, v[i%len(v)], rarely+times/10)
		}
		return append(to, ']')
	case string:
		if v == "alice" || v == "bob" {
			v = a.member()
		}
		return appendQuoted(to, v)
	case float64:
		return append(to, pick(a, []string{"0", "1", "5", "-3", "1000", "9007199254740991", "-9007199254740991", strconv.FormatFloat(v, 'f', -1, 64)})...)
	}
	return append(to, `null`...)
}

// appendQuoted is a JSON string of any bytes; those that are not UTF-8 stay so.
func appendQuoted(to []byte, s string) []byte {
	to = append(to, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ':
			to = fmt.Appendf(to, `\u%04x`, c)
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}

// mutate damages some bytes.
func (a *assault) mutate(text []byte) []byte {
	text = bytes.Clone(text)
	for range 1 + a.IntN(4) {
		if len(text) == 0 {
			return text
		}
		at := a.IntN(len(text))
		to := at + a.IntN(min(len(text)-at, 20)+1)
		switch a.IntN(6) {
		case 0:
			text[at] ^= 1 << a.IntN(8)
		case 1:
			text[at] = byte(a.Uint32())
		case 2:
			text = text[:at]
		case 3:
			text = slices.Delete(text, at, to)
		case 4:
			text = slices.Insert(text, at, text[at:to]...)
		case 5:
			text = slices.Insert(text, at, []byte(pick(a, []string{"\x00", "\r\n", "\n", " ", ",", "\"", "{", "}", "%", "\xff", "\ufeff", strings.Repeat("A", 5000)}))...)
		}
	}
	return text
}

// ask sends one well-formed request and judges the answer.
func (a *assault) ask(method, path string, authorized bool, body []byte) {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, a.Addr())
	switch {
	case authorized && a.chance(2):
		fmt.Fprintf(&head, "Authorization: ApiKey %s\r\n", key)
	case authorized:
		fmt.Fprintf(&head, "X-API-Key: %s\r\n", key)
	default:
		head.WriteString(pick(a, []string{"", "X-API-Key: wrong\r\n", "X-API-Key: " + key + "x\r\n", "Authorization: Bearer " + key + "\r\n", "X-API-Key: wrong\r\nX-API-Key: " + key + "\r\n"}))
	}
	if body != nil {
		kind := "application/json"
		if a.chance(15) {
			kind = pick(a, oddTypes)
		}
		fmt.Fprintf(&head, "Content-Type: %s\r\n", kind)
	}
	for a.chance(4) {
		if odd := pick(a, oddHeaders); !strings.HasPrefix(odd, "X-API-Key") || !authorized {
			head.WriteString(odd + "\r\n")
		}
	}
	if a.chance(8) && body != nil {
		body = a.chunked(&head, body)
	} else if body != nil {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(body))
	}
	head.WriteString("\r\n")

	conn := a.dial()
	if conn == nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write(append(head.Bytes(), body...))
	got, err := receive(bufio.NewReader(conn), method)
	if err != nil {
		// The server may refuse before it has read the body, and close: then the
		// answer may be lost with the connection.
		if len(body) == 0 || !errors.Is(err, syscall.ECONNRESET) {
			a.fail("%s %.200s with %.200q is not answered: %v", method, path, body, err)
		}
		a.count("cut off")
		return
	}
	a.judge(got, method, path, fmt.Sprintf("%.300q, %.300q", head.Bytes(), body))
	read := method == http.MethodGet || method == http.MethodHead || method == http.MethodPost && strings.Contains(path, "/entries/lookup")
	if !read && got.StatusCode/100 == 2 && got.StatusCode != http.StatusNoContent {
		if !authorized {
			a.fail("%s %.200s is answered %d without a key: %.200s", method, path, got.StatusCode, got.body)
		}
		if err := a.acknowledge(got.body); err != nil {
			a.fail("%s %.200s is answered %.200q: %v", method, path, got.body, err)
		}
	}
}

func (a *assault) chunked(head *bytes.Buffer, body []byte) []byte {
	head.WriteString("Transfer-Encoding: chunked\r\n")
	var chunks bytes.Buffer
	for len(body) > 0 {
		n := min(len(body), 1+a.IntN(100)*a.IntN(1000))
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	chunks.WriteString("0\r\n\r\n")
	return chunks.Bytes()
}

// judge holds an answer to what every answer promises.
func (a *assault) judge(got received, method, path, sent string) {
	a.count(strconv.Itoa(got.StatusCode))
	status, kind := got.StatusCode, got.Header.Get("Content-Type")
	path, _, _ = strings.Cut(path, "?")
	ours := path == "/v1" || strings.HasPrefix(path, "/v1/")
	for _, op := range a.operations {
		ours = ours || op.path == path
	}
	switch {
	case status/100 == 2:
		if kind == "application/json" && method != http.MethodHead && (!json.Valid(got.body) || !utf8.Valid(got.body)) {
			a.fail("%s is answered %.300q, which is no JSON", sent, got.body)
		}
	case !ours && (status == http.StatusNotModified || status/100 == 4):
		// The page's files and the paths of the live connection say it in plain text.
	case status/100 != 4 || kind != "application/problem+json":
		a.fail("%s is answered %d, %s: %.300s", sent, status, kind, got.body)
	case method != http.MethodHead:
		var problem struct {
			Type, Title, Detail, Code string
			Status                    int
		}
		if err := json.Unmarshal(got.body, &problem); err != nil || !utf8.Valid(got.body) {
			a.fail("%s is answered %.300q: %v", sent, got.body, err)
		}
		if want, ok := a.codes[problem.Code]; !ok || want != status || problem.Status != status || problem.Detail == "" || len(got.body) > 2000 {
			a.fail("%s is answered %d %.3000s", sent, status, got.body)
		}
		a.count(problem.Code)
	}
}

// attackPage asks for what is not the API's.
func attackPage(a *assault) {
	path := pick(a, []string{
		"/", "/b/", "/b/" + a.escape(a.board()), "/b/a/b", "/index.html", "/assets/", "/assets/../index.html", "/assets/%2e%2e/embed.go", "/..%2f..%2fgo.mod", "/.git/config",
		"//", "//evil.example/", "/v1", "/v1/", "/v1/../metrics", "/v2", "/V1/leaderboards", "/debug/pprof/", "/connection", "/connection/", "/connection/websocket/", "/emulation/", "/docs/", "/" + strings.Repeat("a/", 5000),
		"/%00", "/%ff", "/b/%ff",
	})
	method := pick(a, methods)
	var body []byte
	if a.chance(3) {
		body = []byte(pick(a, jsonValues))
	}
	a.ask(method, path+a.query(nil), a.chance(2), body)
}

// attackSize sends bodies that nobody should take.
func attackSize(a *assault) {
	const size = 10 << 20
	body := bytes.Repeat([]byte(pick(a, []string{" ", "[", `{"a":`, "9", "x", "\x00", `{"member":"a","score":1},`})), size)[:size]
	if a.chance(3) {
		body = append([]byte(`{"submissions":[`), body...)
	}
	path := pick(a, []string{"/v1/leaderboards", "/v1/leaderboards/whole/scores", "/v1/leaderboards/whole/entries/alice", "/v1/leaderboards/whole", "/emulation", "/connection/sse", "/connection/http_stream", "/", "/docs"})
	a.ask(pick(a, []string{"POST", "PUT", "PATCH", "GET"}), path, a.chance(2), body)
}

// notHTTP are answers that net/http gives by itself, before any of our code is
// asked, to what is not HTTP or not the HTTP that it speaks. Two of them are 5xx.
var notHTTP = map[int]bool{
	http.StatusBadRequest: true, http.StatusExpectationFailed: true, http.StatusRequestHeaderFieldsTooLarge: true,
	http.StatusNotImplemented: true, http.StatusHTTPVersionNotSupported: true,
}

// attackHTTP sends what is no HTTP any more, or hardly. There is no valid key in
// it: what gets through may change nothing.
func attackHTTP(a *assault) {
	path := strings.NewReplacer("{board}", calm, "{member}", "member-0").Replace(pick(a, a.operations).path)
	if a.chance(3) {
		path = pick(a, []string{"/", "/emulation", "/connection/http_stream", "/connection/sse", "/connection/websocket"})
	}
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nX-API-Key: wrong\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"member\":\"a\",\"score\":1}", path)
	replace := func(part, by string) { request = strings.Replace(request, part, by, 1) }
	var text []byte
	switch a.IntN(24) {
	case 0:
		text = make([]byte, a.IntN(5000))
		_, _ = rand.NewChaCha8([32]byte{byte(a.Uint32()), byte(a.Uint32())}).Read(text)
	case 1:
		text = []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", a.IntN(600))) // TLS
	case 2:
		text = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	case 3:
		replace("HTTP/1.1", pick(a, []string{"HTTP/0.9", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/3.7", "HTTP/99", "HTTP/1.1 ", "http/1.1", "ICY", ""}))
	case 4:
		replace("Host: x\r\n", pick(a, []string{"", "Host: x\r\nHost: y\r\n", "Host: a b\r\n", "Host: \x00\r\n", "Host:\r\n", "Host: " + strings.Repeat("x", 10_000) + "\r\n"}))
	case 5:
		replace("Content-Length: 24", pick(a, []string{
			"Content-Length: 24\r\nContent-Length: 25", "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 0x18", "Content-Length: 24\r\nTransfer-Encoding: chunked",
			"Content-Length: +24", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: identity", "Content-Length: 24, 24",
		}))
	case 6:
		replace("Content-Length: 24\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n"+pick(a, []string{"FFFFFFFFFFFFFFFFF\r\n", "-1\r\n", "5;" + strings.Repeat("x", 10_000) + "\r\nabcde\r\n", "5\r\nabcdefgh", "0\r\nX: y\r\nX-API-Key: " + "wrong\r\n\r\n", "zz\r\n", "5\n", "\r\n"}))
	case 7:
		replace("X-API-Key", strings.Repeat("X-Filler: y\r\n", 1+a.IntN(20_000))+"X-API-Key")
	case 8:
		replace("wrong", strings.Repeat("k", 1+a.IntN(300_000)))
	case 9:
		replace("X-API-Key: wrong", pick(a, []string{"X-API-Key : wrong", " X-API-Key: wrong", "X-API-Key: a\r\n b", ": x", "X\x00Y: z", "X-API-Key: \x01", "no colon", "X-Ä: y", "Expect: 200-ok", "Upgrade: websocket\r\nConnection: upgrade"}))
	case 10:
		replace(path, pick(a, []string{"http://evil.example" + path, "http://" + strings.Repeat("a", 5000) + path, "*", "", path + " x", "?" + path, "#", "%zz", path + "%", "\\" + path, "http://[::1", "a" + path, strings.Repeat("/", 70_000), path + "\x00", path + "é"}))
	case 11:
		replace("POST", pick(a, []string{"", " ", "PO ST", "P(ST", "\x00", strings.Repeat("P", 70_000), "CONNECT", "TRACE", "OPTIONS"}))
	case 12:
		request = request[:a.IntN(len(request))]
	case 13:
		request += request + pick(a, []string{"\x00\x01\x02", "GET", "\r\n\r\n\r\n", "{}"})
	case 14:
		request = strings.ReplaceAll(request, "\r\n", "\n")
	case 15:
		request = strings.Repeat("\r\n", 1+a.IntN(3000)) + request
	case 16:
		request = strings.Repeat(request, 50)
	default:
		text = a.mutate([]byte(request))
	}
	if text == nil {
		text = []byte(request)
	}
	conn := a.dial()
	if conn == nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write(text) // may be refused half-way
	if a.chance(6) {
		drop(conn)
		return
	}
	_ = conn.CloseWrite() // or the server would wait for what is missing
	method, _, _ := strings.Cut(string(text), " ")
	for from := bufio.NewReader(conn); ; {
		got, err := receive(from, strings.TrimLeft(method, "\r\n"))
		if err != nil {
			return // all that came has been read, or the connection was cut off
		}
		a.count(strconv.Itoa(got.StatusCode))
		switch plain := strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain"); {
		case plain && notHTTP[got.StatusCode]:
		case got.StatusCode/100 == 3 || got.StatusCode/100 == 5:
			a.fail("%.500q is answered %d: %.300s", text, got.StatusCode, got.body)
		case got.StatusCode == http.StatusOK && bytes.Contains(got.body, []byte(`"results"`)):
			a.fail("%.500q is taken for a valid submit: %s", text, got.body)
		}
	}
}

// slowRequests are what a request can begin with, without ever ending.
var slowRequests = []string{
	"POST /v1/leaderboards/calm/scores HTTP/1.1\r\nX-API-Key: " + key + "\r\nContent-Type: application/json\r\n",
	"POST /v1/leaderboards/calm/scores HTTP/1.1\r\nX-API-Key: wrong\r\n", "PUT /v1/leaderboards/calm/entries/a HTTP/1.1\r\nX-API-Key: " + key + "\r\nContent-Type: application/json\r\n",
	"GET /v1/leaderboards HTTP/1.1\r\n", "GET /metrics HTTP/1.1\r\n", "DELETE /v1/nothing HTTP/1.1\r\n",
	"POST / HTTP/1.1\r\n", "GET /b/calm HTTP/1.1\r\n", "POST /nothing HTTP/1.1\r\n", "GET /docs HTTP/1.1\r\n",
	"POST /emulation HTTP/1.1\r\n", "GET /emulation HTTP/1.1\r\n", "POST /connection/http_stream HTTP/1.1\r\n", "POST /connection/sse HTTP/1.1\r\n",
	"GET /connection/sse?cf_connect=%7B%22id%22%3A1%2C%22connect%22%3A%7B%7D%7D HTTP/1.1\r\n",
	"GET /connection/websocket HTTP/1.1\r\n", "OPTIONS /connection/sse HTTP/1.1\r\n",
	"GET /connection/websocket HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
}

// attackSlowly begins requests whose bodies do not arrive: at each path the
// server gives them up by itself.
func attackSlowly(a *assault) {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for _, request := range slowRequests {
		for _, body := range []string{"Content-Length: 24\r\n\r\n{\"mem", "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"mem\r\n"} {
			waiting.Go(func() {
				conn := a.dial()
				if conn == nil {
					return
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, strings.Replace(request, "\r\n", "\r\nHost: x\r\n", 1)+body); err != nil {
					a.fail("%q: %v", request, err)
					return
				}
				said, err := io.ReadAll(conn)
				if err != nil {
					a.fail("%q waits for its body (%v) after %.300q", request, err, said)
				}
				status, _, _ := strings.Cut(strings.TrimPrefix(string(said), "HTTP/1.1 "), " ")
				a.count(status)
				if strings.HasPrefix(status, "5") || strings.HasPrefix(status, "3") {
					a.fail("%q is answered %.300s", request, said)
				}
			})
		}
	}
}
