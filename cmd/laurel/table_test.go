package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"laurel/client"
)

func TestDraw(t *testing.T) {
	var out strings.Builder
	err := draw(&out, client.Table{
		Settings: client.Settings{Decimals: 3},
		Position: client.Position{Board: "laps", Rev: 77, Total: 12345},
		Entries: []client.Entry{
			{Member: "kari-1", Score: "71.5", Rank: 1, Data: json.RawMessage(`{"name": "Kåri 🦊"}`)},
			{Member: "mi\x1b[31mlo", Score: "103.001", Rank: 2, Data: json.RawMessage(`{"name": 5}`)},
		},
	}, "live")
	if err != nil {
		t.Fatal(err)
	}
	const want = `laps  live  12,345 members, rev 77

  rank    score  member
     1   71.500  Kåri 🦊
     2  103.001  mi[31mlo
`
	if got := out.String(); got != want {
		t.Errorf("drawn is\n%s\nwant\n%s", got, want)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		250 * time.Microsecond: "250µs", 1234 * time.Microsecond: "1.2ms", 345678 * time.Microsecond: "346ms", 2500 * time.Millisecond: "2.5s", time.Minute: "60s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}
