package daemon

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// attacks are all there are, and how often each is made in a round.
var attacks = []struct {
	name  string
	times int
	run   func(*assault)
}{
	{"operations", 600, attackOperation},
	{"page", 60, attackPage},
	{"size", 6, attackSize},
	{"http", 150, attackHTTP},
	{"slow bodies", 1, attackSlowly},
	{"handshake", 60, attackHandshake},
	{"origin", 20, attackOrigin},
	{"commands", 80, attackCommands},
	{"protobuf", 80, attackProtobuf},
	{"frames", 60, attackFrames},
	{"streams", 60, attackStreams},
	{"emulation", 30, attackEmulation},
	{"drops", 60, attackDrops},
	{"subscriptions", 4, attackSubscriptions},
	{"calls", 4, attackCalls},
	{"no reading", 6, attackWithoutReading},
}

const handshake = "GET /connection/websocket%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// socket is a WebSocket of which each byte is ours.
type socket struct {
	*net.TCPConn
	from     *bufio.Reader
	protobuf bool
}

// upgrade opens a socket, or returns nil.
func (a *assault) upgrade(protobuf bool, headers string) *socket {
	conn := a.dial()
	if conn == nil {
		return nil
	}
	query := ""
	if protobuf {
		query = "?format=protobuf"
	}
	if _, err := fmt.Fprintf(conn, handshake, query, a.Addr(), headers); err != nil {
		a.fail("handshake: %v", err)
	}
	from := bufio.NewReader(conn)
	got, err := receive(from, http.MethodGet)
	if err != nil || got.StatusCode != http.StatusSwitchingProtocols {
		a.fail("handshake: %v, %v", got, err)
		drop(conn)
		return nil
	}
	a.count("101")
	return &socket{conn, from, protobuf}
}

// The kinds of frames.
const (
	frameText   = 0x1
	frameBinary = 0x2
	frameClose  = 0x8
	framePing   = 0x9
	framePong   = 0xa
)

// appendFrame writes a frame as a client has to.
func appendFrame(to []byte, kind byte, payload []byte) []byte {
	to = append(to, 0x80|kind)
	switch n := len(payload); {
	case n < 126:
		to = append(to, 0x80|byte(n))
	case n < 1<<16:
		to = binary.BigEndian.AppendUint16(append(to, 0x80|126), uint16(n))
	default:
		to = binary.BigEndian.AppendUint64(append(to, 0x80|127), uint64(n))
	}
	to = append(to, 0, 0, 0, 0) // a mask that changes nothing
	return append(to, payload...)
}

// next reads a frame of the server's.
func (s *socket) next() (kind byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.from, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var long [2]byte
		_, err = io.ReadFull(s.from, long[:])
		n = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, err = io.ReadFull(s.from, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	if err != nil {
		return 0, nil, err
	}
	if n > 4<<20 {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(s.from, payload)
	return head[0] & 0xf, payload, err
}

const lastID = 1<<31 - 1 // the id of the last command that is sent

// converse sends messages, and then a call whose answer tells that the server
// has gone through all of them. It reads until that answer, or until the server
// has ended the connection.
func (a *assault) converse(s *socket, messages ...[]byte) {
	kind, call := byte(frameText), fmt.Appendf(nil, `{"id":%d,"rpc":{"method":"top","data":{"board":"calm","limit":1}}}`, lastID)
	if s.protobuf {
		kind = frameBinary
		params := appendField(appendField(nil, 1, []byte(`{"board":"calm","limit":1}`)), 2, []byte("top"))
		call = delimited(appendField(binary.AppendUvarint([]byte{1 << 3}, lastID), 13, params))
	}
	var frames []byte
	for _, m := range messages {
		frames = appendFrame(frames, kind, m)
	}
	_, _ = s.Write(appendFrame(frames, kind, call)) // may be ended before all is written
	a.listen(s)
}

// listen reads until the last answer or the end.
func (a *assault) listen(s *socket) {
	for {
		kind, payload, err := s.next()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			a.fail("the connection is neither answered nor ended")
			return
		case err != nil:
			a.count("cut off")
			return
		case kind == frameClose:
			a.closed(payload)
			return
		case kind == framePing || kind == framePong:
		case s.protobuf:
			if bytes.Contains(payload, binary.AppendUvarint([]byte{1 << 3}, lastID)) {
				return
			}
		default:
			for line := range bytes.Lines(payload) {
				if a.reply(line) == lastID {
					return
				}
			}
		}
	}
}

// closed judges how the server has ended a connection.
func (a *assault) closed(payload []byte) {
	code := 1005
	if len(payload) >= 2 {
		code = int(binary.BigEndian.Uint16(payload))
	}
	a.count(strconv.Itoa(code))
	switch {
	case code == 1011 || code == 3004: // errors of the server's
		a.fail("the connection was ended with %d %s", code, payload[2:])
	case code >= 3000 && code < 4000, code == 1000, code == 1002, code == 1005, code == 1007, code == 1009:
	default:
		a.fail("the connection was ended with %d", code)
	}
}

// reply judges what the server has said, and returns the id of the command.
func (a *assault) reply(line []byte) uint32 {
	if len(bytes.TrimSpace(line)) == 0 {
		return 0
	}
	var r struct {
		ID    uint32
		Error *struct {
			Code      uint32
			Message   string
			Temporary bool
		}
		Push *struct{ Disconnect *struct{ Code uint32 } }
	}
	if err := json.Unmarshal(line, &r); err != nil {
		a.fail("the server says %.300q: %v", line, err)
		return 0
	}
	if r.Push != nil && r.Push.Disconnect != nil {
		a.closed(binary.BigEndian.AppendUint16(nil, uint16(r.Push.Disconnect.Code)))
	}
	if r.Error != nil {
		a.count(strconv.Itoa(int(r.Error.Code)))
		code := r.Error.Code
		known := code > 100 && code < 112 || code >= 1000 && code <= 1002 || code >= 1010 && code <= 1015
		if !known || r.Error.Message == "" || r.Error.Temporary {
			a.fail("the server answers %s", line)
		}
	}
	return r.ID
}

// attackHandshake asks for a WebSocket in odd ways.
func attackHandshake(a *assault) {
	request := fmt.Sprintf(handshake, "", a.Addr(), "")
	replace := func(part, by string) { request = strings.Replace(request, part, by, 1) }
	for range 1 + a.IntN(2) {
		switch a.IntN(7) {
		case 0:
			replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: "+pick(a, []string{"", "12", "14", "13, 8", "-13", "\xff", strings.Repeat("13,", 3000)}))
		case 1:
			replace("dGhlIHNhbXBsZSBub25jZQ==", pick(a, []string{"", "x", "dGhlIHNhbXBsZSBub25jZQ", strings.Repeat("A", 20_000), "====", "\xff\xfe", "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}))
		case 2:
			replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: "+pick(a, []string{"", ",", "centrifuge-protobuf", "centrifuge-json,centrifuge-protobuf", "x\x01", strings.Repeat("p,", 10_000), "\"", "centrifuge-protobuf;x"})+"\r\n\r\n")
		case 3:
			replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: "+pick(a, []string{"permessage-deflate", "permessage-deflate; client_max_window_bits=99", "x;y=\"", ";;;", strings.Repeat("permessage-deflate,", 1000), "\xff"})+"\r\n\r\n")
		case 4:
			replace("Connection: Upgrade", "Connection: "+pick(a, []string{"", "close", "keep-alive, Upgrade", "Upgrade, close", "\"Upgrade", strings.Repeat("Upgrade,", 2000)}))
		case 5:
			replace("Upgrade: websocket", "Upgrade: "+pick(a, []string{"", "h2c", "websocket/13", "websocket, x", "WEBSOCKET", strings.Repeat("w", 10_000)}))
		case 6:
			replace("GET /connection/websocket", pick(a, []string{"POST /connection/websocket", "GET /connection/websocket?format=protobuf&cf_protocol_version=v1", "GET /connection/websocket?" + strings.Repeat("x", 10_000), "GET /connection/websocket?cf_ws_frame_ping_pong=true", "GET /connection/websocket?%zz", "HEAD /connection/websocket"}))
		}
	}
	conn := a.dial()
	if conn == nil {
		return
	}
	defer drop(conn)
	if _, err := io.WriteString(conn, request); err != nil {
		a.fail("%.300q: %v", request, err)
		return
	}
	method, _, _ := strings.Cut(request, " ")
	got, err := receive(bufio.NewReader(conn), method)
	if err != nil {
		// net/http refuses some headers before it has read the rest.
		if len(request) < 4<<10 || !errors.Is(err, syscall.ECONNRESET) {
			a.fail("%.500q is not answered: %v", request, err)
		}
		return
	}
	a.count(strconv.Itoa(got.StatusCode))
	if got.StatusCode != http.StatusSwitchingProtocols && got.StatusCode/100 != 4 {
		a.fail("%.500q is answered %d: %.300s", request, got.StatusCode, got.body)
	}
}

// attackOrigin comes from pages of others.
func attackOrigin(a *assault) {
	own := a.Addr().String()
	origin := pick(a, []string{
		"https://evil.example", "http://" + own + ".evil.example", "http://evil.example/" + own, "http://" + own + "@evil.example", "null", "file://", own, "//", "\xff", "http://",
		"http://localhost", "http://127.0.0.1", "http://[::1", strings.Repeat("http://x", 1000), "http://evil.example\t", "http://evil.example, http://" + own,
	})
	request := pick(a, []string{
		fmt.Sprintf(handshake, "", own, "Origin: "+origin+"\r\n"),
		fmt.Sprintf("GET /connection/sse?cf_connect=%%7B%%7D HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n\r\n", own, origin),
		fmt.Sprintf("POST /connection/http_stream HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nContent-Length: 2\r\n\r\n{}", own, origin),
		fmt.Sprintf("OPTIONS /emulation HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nAccess-Control-Request-Method: POST\r\n\r\n", own, origin),
	})
	conn := a.dial()
	if conn == nil {
		return
	}
	defer drop(conn)
	_, _ = io.WriteString(conn, request)
	got, err := receive(bufio.NewReader(conn), http.MethodGet)
	if err != nil || got.StatusCode != http.StatusForbidden || got.Header.Get("Access-Control-Allow-Origin") != "" {
		a.fail("a page of %q is answered %v, %v", origin, got.Response, err)
		return
	}
	a.count("403")
}

// attackCommands sends messages of commands that are more or less JSON.
func attackCommands(a *assault) {
	s := a.upgrade(false, "")
	if s == nil {
		return
	}
	defer drop(s.TCPConn)
	var messages [][]byte
	if !a.chance(6) {
		messages = append(messages, fmt.Appendf(nil, `{"id":1,"connect":{"name":"name-%d","version":"%d"}}`, a.Uint32(), a.Uint32()))
	}
	for range 1 + a.IntN(4) {
		messages = append(messages, a.commands())
	}
	a.converse(s, messages...)
}

// commands is a message, of one or more commands.
func (a *assault) commands() []byte {
	if a.chance(12) {
		return []byte(pick(a, jsonValues))
	}
	var message []byte
	for i := range 1 + a.IntN(5) {
		if i > 0 {
			message = append(message, '\n')
		}
		name := pick(a, []string{"connect", "subscribe", "subscribe", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "ping", "send", "rpc", "rpc", "rpc", "refresh", "sub_refresh", "fly"})
		id := pick(a, []string{strconv.Itoa(2 + a.IntN(1000)), "2", "0", "-1", "4294967296", "1.5", `"7"`, "null"})
		if !a.chance(5) {
			id = strconv.Itoa(2 + a.IntN(1000))
		}
		message = fmt.Appendf(message, `{"id":%s,%q:`, id, name)
		if a.chance(10) {
			message = append(message, pick(a, jsonValues)...)
		} else {
			message = a.appendParams(message, name)
		}
		message = append(message, '}')
	}
	if a.chance(4) {
		message = a.mutate(message)
	}
	return message
}

func (a *assault) appendParams(to []byte, command string) []byte {
	params := map[string]string{}
	switch command {
	case "rpc":
		params["method"] = quoted(pick(a, []string{"top", "rank", "around", "around", "submit", "", "TOP", "__proto__", fmt.Sprint("fly-", a.Uint32()), strings.Repeat("m", 5000)}))
		call := map[string]string{"board": quoted(pick(a, []string{calm, calm, a.board()}))}
		if !a.chance(4) {
			call["member"] = quoted(a.short())
		}
		for _, name := range []string{"limit", "season", "x", "board"} {
			if a.chance(4) {
				call[name] = pick(a, jsonValues)
			}
		}
		params["data"] = object(call)
		if a.chance(5) {
			params["data"] = pick(a, jsonValues)
		}
	case "connect":
		params["name"] = quoted(fmt.Sprint(a.short(), a.Uint32()))
		params["version"] = quoted(fmt.Sprint(a.short(), a.Uint32()))
		params["token"] = pick(a, jsonValues)
		params["subs"] = pick(a, []string{`{}`, `{"board:calm":{"recover":true,"offset":99999999999999999999}}`, `{"":{}}`, `null`, `{"board:calm":null}`})
	default:
		params["channel"] = quoted(a.channel())
		values := map[string][]string{
			"recover": {"true"}, "recoverable": {"true"}, "positioned": {"true", "7"}, "offset": {"0", "1", "18446744073709551615", "18446744073709551616", "-1"}, "epoch": {`""`, `"x"`, `"` + strings.Repeat("e", 3000) + `"`},
			"delta": {`"fossil"`, `"fossil"`, `"xdelta"`, `""`}, "join_leave": {"true"}, "token": {`"x"`, `"a.b.c"`}, "data": jsonValues, "type": {"0", "1", "2", "3", "4", "-1", "99"}, "flag": {"0", "1", "2", "-1", "255"},
			"tf": {`{}`, `{"op":"x"}`, `{"op":"and","nodes":[{},{},{}]}`, `{"nodes":[` + strings.Repeat(`{"nodes":[`, 200) + strings.Repeat(`]}`, 200) + `]}`}, "limit": {"0", "-1", "2147483647", "4294967296"}, "reverse": {"true"}, "since": {"{}", `{"offset":1,"epoch":"x"}`},
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if a.chance(5) {
				params[name] = pick(a, values[name])
			}
		}
	}
	return append(to, object(params)...)
}

func quoted(s string) string { return string(appendQuoted(nil, s)) }

func object(fields map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, quoted(name)+":"+fields[name])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (a *assault) short() string {
	name := a.member()
	return name[:min(len(name), 300)]
}

func (a *assault) channel() string {
	switch a.IntN(6) {
	case 0:
		return "board:calm"
	case 1:
		return "rank:calm#" + a.short()
	case 2:
		return "board:" + a.board()
	case 3:
		return "rank:" + a.board() + "#" + a.short()
	}
	return pick(a, []string{"", ":", "#", "board", "board:", "rank:", "rank:#", "rank:calm", "rank:calm#", "rank:calm##", "rank:calm#a#b", "$board:calm", "@x", "board:calm#1", "BOARD:calm", "board:calm\x00", strings.Repeat("board:", 50), strings.Repeat("c", 5000), a.short()})
}

// appendField writes a field of a Protobuf message that has bytes in it.
func appendField(to []byte, number uint64, value []byte) []byte {
	to = binary.AppendUvarint(to, number<<3|2)
	return append(binary.AppendUvarint(to, uint64(len(value))), value...)
}

func delimited(message []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(message))), message...)
}

// attackProtobuf sends messages that are more or less Protobuf.
func attackProtobuf(a *assault) {
	s := a.upgrade(true, "")
	if s == nil {
		return
	}
	defer drop(s.TCPConn)
	var messages [][]byte
	if !a.chance(6) {
		messages = append(messages, delimited([]byte("\x08\x01\x22\x00"))) // connect
	}
	for range 1 + a.IntN(4) {
		var message []byte
		for range 1 + a.IntN(4) {
			command := binary.AppendUvarint([]byte{1 << 3}, uint64(2+a.IntN(1000)))
			command = appendField(command, uint64(4+a.IntN(13)), a.soup(2))
			if a.chance(3) {
				command = append(command, a.soup(1)...)
			}
			message = append(message, delimited(command)...)
		}
		if a.chance(3) {
			message = a.mutate(message)
		}
		messages = append(messages, message)
	}
	a.converse(s, messages...)
}

// soup is fields of any number and type, some of them with more of it within.
func (a *assault) soup(depth int) []byte {
	var fields []byte
	for range a.IntN(5) {
		number := uint64(1 + a.IntN(16))
		switch a.IntN(6) {
		case 0:
			fields = binary.AppendUvarint(binary.AppendUvarint(fields, number<<3), a.Uint64()>>a.IntN(64))
		case 1:
			fields = binary.LittleEndian.AppendUint64(binary.AppendUvarint(fields, number<<3|1), a.Uint64())
		case 2:
			fields = binary.AppendUvarint(fields, pick(a, []uint64{number<<3 | 3, number<<3 | 4, number<<3 | 7, 0, 1 << 40, number<<3 | 2}))
		case 3:
			fields = appendField(fields, number, []byte(a.channel()))
		case 4:
			fields = appendField(fields, number, []byte(pick(a, []string{"top", `{"board":"calm"}`, "fossil", "", "\xff", `{"board":"calm","member":"` + a.short() + `"}`})))
		default:
			if depth > 0 {
				fields = appendField(fields, number, a.soup(depth-1))
			}
		}
	}
	return fields
}

// attackFrames breaks the rules of WebSocket itself.
func attackFrames(a *assault) {
	s := a.upgrade(a.chance(3), "")
	if s == nil {
		return
	}
	defer drop(s.TCPConn)
	connect := []byte(`{"id":1,"connect":{}}`)
	bytesOf := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	var frames []byte
	if a.chance(2) {
		frames = appendFrame(frames, frameText, connect)
	}
	for range 1 + a.IntN(3) {
		switch a.IntN(12) {
		case 0: // noise
			noise := make([]byte, 1+a.IntN(3000))
			_, _ = rand.NewChaCha8([32]byte{byte(a.Uint32()), byte(a.Uint32())}).Read(noise)
			frames = append(frames, noise...)
		case 1: // without a mask
			frames = append(frames, 0x81, byte(len(connect)))
			frames = append(frames, connect...)
		case 2: // reserved bits and kinds
			frames = append(appendFrame(frames, byte(a.IntN(16)), connect), appendFrame(nil, frameText|byte(a.IntN(8))<<4, connect)...)
		case 3: // lengths that are promised
			frames = append(frames, 0x81, 0xff)
			frames = binary.BigEndian.AppendUint64(frames, pick(a, []uint64{1<<63 - 1, 1 << 63, 1<<64 - 1, 1 << 40, 49153, 49152, 1}))
			frames = append(frames, 0, 0, 0, 0, 'x')
		case 4: // fragments without end, and of nothing
			for range a.IntN(2000) {
				frames = append(frames, byte(pick(a, []int{0x00, 0x01, 0x80})), 0x80, 0, 0, 0, 0)
			}
		case 5: // control frames
			frames = appendFrame(frames, framePing, bytesOf(a.IntN(300)))
			frames = appendFrame(frames, framePong, bytesOf(a.IntN(126)))
		case 6: // ends
			frames = appendFrame(frames, frameClose, pick(a, [][]byte{nil, {3}, {3, 232}, {0, 0}, {255, 255}, {3, 237, 0xff}, bytesOf(125), bytesOf(126)}))
		case 7: // what is no UTF-8
			frames = appendFrame(frames, frameText, []byte("\xff\xfe\xed\xa0\x80"))
		case 8: // a flood of pings
			for range a.IntN(3000) {
				frames = appendFrame(frames, framePing, nil)
			}
		case 9: // too large
			frames = appendFrame(frames, frameText, bytesOf(pick(a, []int{48 << 10, 48<<10 + 1, 1 << 20})))
		case 10: // many commands that are none
			frames = appendFrame(frames, frameText, bytes.Repeat([]byte("{}\n"), a.IntN(16_000)))
		case 11:
			frames = appendFrame(frames, frameText, nil)
		}
	}
	_, _ = s.Write(frames)
	_ = s.CloseWrite() // or the server would wait for what is missing
	a.listen(s)
}

// stream opens a connection over plain HTTP and returns it with its reader, or
// nil if that was refused.
func (a *assault) stream(path, kind string, commands []byte) (*net.TCPConn, *bufio.Reader) {
	conn := a.dial()
	if conn == nil {
		return nil, nil
	}
	if path == "/connection/sse" && a.chance(2) {
		_, _ = fmt.Fprintf(conn, "GET %s?cf_connect=%s HTTP/1.1\r\nHost: %s\r\n\r\n", path, url.QueryEscape(string(commands)), a.Addr())
	} else {
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, a.Addr(), kind, len(commands), commands)
	}
	from := bufio.NewReader(conn)
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		if len(commands) < 16<<10 {
			a.fail("%s with %.300q is not answered: %v", path, commands, err)
		}
		drop(conn)
		return nil, nil
	}
	a.count(strconv.Itoa(res.StatusCode))
	if res.StatusCode != http.StatusOK {
		if res.StatusCode/100 != 4 {
			a.fail("%s with %.300q is answered %d", path, commands, res.StatusCode)
		}
		_ = res.Body.Close()
		drop(conn)
		return nil, nil
	}
	return conn, bufio.NewReader(res.Body)
}

// attackStreams opens connections over plain HTTP with anything in place of
// commands, looks at what comes first if anything must, and leaves.
func attackStreams(a *assault) {
	commands, kind := a.commands(), "application/json"
	if !a.chance(4) {
		commands = append([]byte(`{"id":1,"connect":{}}`+"\n"), commands...)
	}
	path := pick(a, []string{"/connection/sse", "/connection/http_stream"})
	switch a.IntN(6) {
	case 0:
		commands, kind = append(delimited([]byte("\x08\x01\x22\x00")), delimited(appendField([]byte{1 << 3, 2}, uint64(4+a.IntN(13)), a.soup(2)))...), "application/octet-stream"
	case 1:
		commands = append(commands, bytes.Repeat([]byte(" "), 60_000)...)
	}
	conn, from := a.stream(path, kind, commands)
	if conn == nil {
		return
	}
	defer drop(conn)
	if path == "/connection/sse" && bytes.HasPrefix(commands, []byte(`{"id":1,"connect":{}}`)) {
		for {
			line, err := from.ReadBytes('\n')
			if err != nil {
				return // what followed connect has ended it
			}
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				a.reply(data)
				return
			}
		}
	}
}

// attackEmulation sends to connections of others, and nonsense to one's own.
func attackEmulation(a *assault) {
	conn, from := a.stream("/connection/http_stream", "application/json", []byte(`{"id":1,"connect":{}}`))
	if conn == nil {
		return
	}
	defer drop(conn)
	var hello struct {
		Connect struct{ Session, Node string }
	}
	line, err := from.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		a.fail("answer to connect is %q: %v", line, err)
		return
	}
	session, node := hello.Connect.Session, hello.Connect.Node
	call := fmt.Sprintf(`{"id":%d,"rpc":{"method":"top","data":{"board":"calm","limit":1}}}`, lastID)
	post := func(body []byte) int {
		other := a.dial()
		if other == nil {
			return 0
		}
		defer other.Close()
		_, _ = fmt.Fprintf(other, "POST /emulation HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			a.Addr(), pick(a, []string{"application/json", "application/json", "application/json", "text/plain"}), len(body), body)
		got, err := receive(bufio.NewReader(other), http.MethodPost)
		if err != nil {
			a.fail("/emulation with %.300q is not answered: %v", body, err)
			return 0
		}
		a.count(strconv.Itoa(got.StatusCode))
		if got.StatusCode != http.StatusNoContent && got.StatusCode/100 != 4 {
			a.fail("/emulation with %.300q is answered %d", body, got.StatusCode)
		}
		return got.StatusCode
	}
	envelope := func(session, node, data string) []byte {
		return []byte(object(map[string]string{"session": session, "node": node, "data": data}))
	}
	// None of these is about this connection.
	for range 1 + a.IntN(4) {
		post(envelope(
			pick(a, []string{`""`, `"x"`, quoted(session + "x"), quoted(strings.ToUpper(session) + " "), `null`, quoted(strings.Repeat("s", 10_000))}),
			pick(a, []string{quoted(node), quoted(node), `""`, `"x"`, quoted(strings.Repeat("n", 10_000))}),
			pick(a, []string{quoted(call), `""`, quoted(`{"id":1,"connect":{}}`), quoted("]")}),
		))
	}
	if status := post(envelope(quoted(session), quoted(node), quoted(call))); status != http.StatusNoContent {
		a.fail("the session is gone: %d", status)
		return
	}
	for {
		line, err := from.ReadBytes('\n')
		if err != nil {
			a.fail("the connection does not answer any more: %v", err)
			return
		}
		if a.reply(line) == lastID {
			break
		}
	}
	// And now what it should not be sent.
	for range 1 + a.IntN(3) {
		post(pick(a, [][]byte{
			envelope(quoted(session), quoted(node), quoted(string(a.commands()))),
			envelope(quoted(session), quoted(node), pick(a, jsonValues)),
			a.mutate(envelope(quoted(session), quoted(node), quoted(call))),
			[]byte(pick(a, jsonValues)),
		}))
	}
}

// attackDrops leaves at one moment or another.
func attackDrops(a *assault) {
	commands := `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"board:calm"}}`
	begin := pick(a, []string{
		"", "G", "GET / HTTP/1.1\r\n",
		"POST /v1/leaderboards/calm/scores HTTP/1.1\r\nHost: x\r\nX-API-Key: " + key + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"member\"",
		"GET /v1/leaderboards/calm/entries?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
		fmt.Sprintf(handshake, "", a.Addr(), ""),
		fmt.Sprintf(handshake, "", a.Addr(), "") + string(appendFrame(nil, frameText, []byte(commands))), // before the answer
		"GET /connection/sse?cf_connect=" + url.QueryEscape(commands) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		fmt.Sprintf("POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(commands), commands),
	})
	for range 1 + a.IntN(5) {
		conn := a.dial()
		if conn == nil {
			return
		}
		_, _ = io.WriteString(conn, begin)
		if a.chance(2) {
			_ = conn.SetReadDeadline(time.Now().Add(time.Duration(a.IntN(20)) * time.Millisecond))
			_, _ = conn.Read(make([]byte, 1+a.IntN(2000))) // some of the answer, if there is one
		}
		drop(conn)
	}
}

// attackSubscriptions asks for thousands of channels, some of which are there.
func attackSubscriptions(a *assault) {
	s := a.upgrade(false, "")
	if s == nil {
		return
	}
	defer drop(s.TCPConn)
	messages := [][]byte{[]byte(`{"id":1,"connect":{}}`)}
	for frame := range 10 {
		var message []byte
		for i := range 300 {
			id := 2 + frame*300 + i
			channel := pick(a, []string{fmt.Sprint("rank:calm#member-", id), fmt.Sprint("board:none-", id), "board:calm", fmt.Sprint("x", id), "board:whole"})
			command := "subscribe"
			if a.chance(4) {
				command = "unsubscribe"
			}
			message = fmt.Appendf(message, `{"id":%d,%q:{"channel":%q,"delta":"fossil"}}`+"\n", id, command, channel)
		}
		messages = append(messages, message)
	}
	a.converse(s, messages...)
}

// attackCalls calls more quickly than anybody can use the answers.
func attackCalls(a *assault) {
	s := a.upgrade(false, "")
	if s == nil {
		return
	}
	defer drop(s.TCPConn)
	messages := [][]byte{fmt.Appendf(nil, `{"id":1,"connect":{"name":"name-%d","version":"%d"}}`, a.Uint32(), a.Uint32())}
	for frame := range 10 {
		var message []byte
		for i := range 100 {
			message = fmt.Appendf(message, `{"id":%d,"rpc":{"method":%q,"data":{"board":"calm","member":"member-%d"}}}`+"\n", 2+frame*100+i, pick(a, []string{"rank", fmt.Sprint("fly-", a.Uint32())}), a.IntN(400))
		}
		messages = append(messages, message)
	}
	a.converse(s, messages...)
}

// attackWithoutReading asks for much, and takes none of it. It leaves when the
// server has had enough, or when it has seen that of the server's patience.
func attackWithoutReading(a *assault) {
	conn := a.dial()
	if conn == nil {
		return
	}
	defer drop(conn)
	_ = conn.SetReadBuffer(4 << 10)
	_ = conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	subscribe := `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"board:calm"}}`
	call := bytes.Repeat([]byte(`{"id":3,"rpc":{"method":"top","data":{"board":"calm","limit":1000}}}`+"\n"), 300)
	switch a.IntN(3) {
	case 0:
		_, _ = fmt.Fprintf(conn, handshake, "", a.Addr(), "")
		// Only now may frames be sent.
		if got, err := receive(bufio.NewReaderSize(conn, 16), http.MethodGet); err != nil || got.StatusCode != http.StatusSwitchingProtocols {
			a.fail("handshake: %v, %v", got.Response, err)
			return
		}
		_, _ = conn.Write(appendFrame(nil, frameText, []byte(subscribe)))
		for range 20 {
			if _, err := conn.Write(appendFrame(nil, frameText, call)); err != nil {
				return
			}
		}
	case 1:
		body := subscribe + "\n" + string(call)
		_, _ = fmt.Fprintf(conn, "POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	case 2:
		request := []byte("GET /v1/leaderboards/calm/entries?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
		for range 1000 {
			if _, err := conn.Write(request); err != nil {
				return
			}
		}
	}
	// The board goes on changing meanwhile; whoever is cut off is told by the kernel.
	_ = conn.SetReadDeadline(time.Now().Add(time.Duration(200+a.IntN(800)) * time.Millisecond))
	one := make([]byte, 1)
	for range 200 {
		if _, err := conn.Read(one); err != nil {
			return
		}
	}
}
