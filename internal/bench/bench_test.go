package bench

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseResults(t *testing.T) {
	output := `goos: linux
pkg: laurel/internal/zset
BenchmarkSetUpdate/move=anywhere-2         	    3000	         0 ns/op	         1.850 times-as-fast	      2000 tidwall-ns	      1081 zset-ns
BenchmarkMemory/part=tree/made=grown/impl=zset-2 	       1	        50.39 B/entry	         0 ns/op
BenchmarkOpen/1M 	       2	 612345678 ns/op
PASS
ok  	laurel/internal/zset	12.3s
`
	want := results{
		"SetUpdate/move=anywhere":               {"ns/op": 0, "times-as-fast": 1.85, "tidwall-ns": 2000, "zset-ns": 1081},
		"Memory/part=tree/made=grown/impl=zset": {"ns/op": 0, "B/entry": 50.39},
		"Open/1M":                               {"ns/op": 612345678},
	}
	got := parseResults([]byte(output))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if _, err := got.get("SetUpdate/move=anywhere", "zset-ns", "ratio"); err == nil {
		t.Error("a metric that is not there is no error")
	}
}

func TestTableTellsWhatWasMissed(t *testing.T) {
	var out bytes.Buffer
	table := table{out: &out}
	table.row(row{what: "fast", ours: "2/s", yardstick: "4/s bare", ratio: 0.5, target: atLeast(0.5, 0.5)})
	table.row(row{what: "slow", ours: "9 ms", target: atMost(9, 8.5, " ms")})
	table.row(row{what: "for information", ours: "7"})
	table.end(90 * time.Second)
	if got, want := strings.Join(strings.Fields(out.String()), " "),
		"fast 2/s 4/s bare 0.50 ≥ 0.5 met slow 9 ms ≤ 8.5 ms missed for information 7 1 targets met, 1 missed, in 1m30s missed: slow"; got != want {
		t.Errorf("table = %q\nwant    %q", got, want)
	}
}

func TestCurvesShowBothRates(t *testing.T) {
	got := curves([]int{5, 10_000}, []float64{100_000, 90_000}, []float64{90_000, 1000})
	want := `
    100,000 |            Lw             L
            |
            |
     10,000 |
            |
            |
      1,000 |                           w
   scores/s +------------------------------
                          5        10,000 members`
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Errorf("curves (-want +got):\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	list := []int{5, 1, 4, 2, 3}
	for _, c := range []struct {
		q    float64
		want int
	}{{0, 1}, {0.5, 3}, {0.99, 5}, {1, 5}} {
		if got := quantile(list, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %d, want %d", list, c.q, got, c.want)
		}
	}
	if got := median([]float64(nil)); got != 0 {
		t.Errorf("median of nothing = %v, want 0", got)
	}
}

func TestRevOf(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{`{"leaders":[{"name":"\"rev\":7","score":1}],"total":1,"season":1,"rev":31}`, 31, true},
		{`{"results":[],"board":"race","season":1,"rev":9007199254740991,"epoch":"x","total":2}`, 1<<53 - 1, true},
		{`{"total":1}`, 0, false},
		{`{"rev":}`, 0, false},
	} {
		got, err := revOf([]byte(c.text))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("revOf(%s) = %d, %v; want %d", c.text, got, err, c.want)
		}
	}
}

// answers lets a connection read so many bytes as a server's answer.
func answers(t *testing.T, text string) *conn {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.ReadFull(server, make([]byte, len("request")))
		_, _ = io.WriteString(server, text) // a client that has read enough is gone
		_ = server.Close()
	}()
	t.Cleanup(func() {
		client.Close()
		<-done
	})
	return &conn{Conn: client, r: bufio.NewReader(client)}
}

func TestConnReadsAnswers(t *testing.T) {
	for _, c := range []struct{ name, answer, body, problem string }{
		{"whole", "HTTP/1.1 200 OK\r\nX: y\r\ncontent-LENGTH:  4\r\n\r\nbody", "body", ""},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", ""},
		{"refusal", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull", "", "503: full"},
		{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", "", "unexpected EOF"},
		{"of no length", "HTTP/1.1 200 OK\r\n\r\nbody", "", "does not say how long"},
		{"not HTTP", "220 ready\r\n\r\n", "", "begins with"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, err := answers(t, c.answer).do([]byte("request"))
			switch {
			case c.problem == "" && err != nil:
				t.Fatal(err)
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Fatalf("error = %v, want %s", err, c.problem)
			case string(body) != c.body:
				t.Errorf("body = %q, want %q", body, c.body)
			}
		})
	}
}

func TestReadArray(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n*1\r\n$3\r\n\r\n\x00\r\n-ERR no\r\n"))
	for _, want := range [][][]byte{{[]byte("psubscribe"), []byte("a*"), nil}, {[]byte("\r\n\x00")}} {
		got, err := readArray(in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("array (-want +got):\n%s", diff)
		}
	}
	if _, err := readArray(in); err == nil || !strings.Contains(err.Error(), "-ERR no") {
		t.Errorf("a refusal is read as %v", err)
	}
}
