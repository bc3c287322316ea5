package client

import (
	"encoding/json"
	"testing"
)

func TestScoreIsWrittenAsTheServerDoes(t *testing.T) {
	for in, want := range map[string]Score{
		"":           "0",
		"0":          "0",
		"-0":         "0",
		"-0.000":     "0",
		"0e9":        "0",
		"5":          "5",
		"-5":         "-5",
		"12.50":      "12.5",
		"100":        "100",
		"0.001":      "0.001",
		"1e3":        "1000",
		"1E+3":       "1000",
		"15e-1":      "1.5",
		"12.5e-4":    "0.00125",
		"1000e-3":    "1",
		"-1.20e1":    "-12",
		"0.1e1":      "1",
		"9007199254": "9007199254",
	} {
		got, err := ParseScore(in)
		if err != nil || got != want {
			t.Errorf("ParseScore(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestScoreRefusesWhatIsNotOne(t *testing.T) {
	for _, in := range []string{
		"-", ".", ".5", "5.", "01", "-01", "+1", "1e", "e1", "1e+", "1e+-1", "1 ", " 1", "1,5", "0x10", "NaN", "Infinity",
		"1e1000", "1e-1000", "1e99999999999999999999", "1.2.3", "--1", "1e1.5", "१",
		"11111111111111111111111111111111111111111",
	} {
		if got, err := ParseScore(in); err == nil {
			t.Errorf("ParseScore(%q) = %q, want an error", in, got)
		}
	}
}

func TestScoreTravelsAsJSONNumber(t *testing.T) {
	out, err := json.Marshal([]Score{"12.50", "", "1e2"})
	if err != nil || string(out) != `[12.5,0,100]` {
		t.Errorf("Marshal = %s, %v, want [12.5,0,100]", out, err)
	}
	if out, err := json.Marshal(Score("twelve")); err == nil {
		t.Errorf("Marshal of a word = %s, want an error", out)
	}
	var in struct{ A, B, C Score }
	if err := json.Unmarshal([]byte(`{"a": 0.30, "b": 900719925474099.1, "c": null}`), &in); err != nil {
		t.Fatal(err)
	}
	if in.A != "0.3" || in.B != "900719925474099.1" || in.C != "" {
		t.Errorf("Unmarshal = %+v, want 0.3, 900719925474099.1 and nothing", in)
	}
	if err := json.Unmarshal([]byte(`{"a": "1"}`), &in); err == nil {
		t.Errorf("Unmarshal of a string = %+v, want an error", in)
	}
}

func TestScoreComparesAsNumber(t *testing.T) {
	for _, c := range []struct {
		a, b Score
		want int
	}{{"9", "10", -1}, {"1.5", "1.50", 0}, {"-2", "-10", 1}, {"", "0", 0}, {"0.1", "0.09", 1}} {
		if got := c.a.Cmp(c.b); got != c.want {
			t.Errorf("%q compared with %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestScoreConverts(t *testing.T) {
	if got := Scaled(83120, 3); got != "83.12" {
		t.Errorf("Scaled(83120, 3) = %q, want 83.12", got)
	}
	if got := Int(-7); got != "-7" {
		t.Errorf("Int(-7) = %q", got)
	}
	for in, want := range map[Score]string{"83.12": "83.120", "7": "7.000", "": "0.000", "1.2345": "1.2345"} {
		if got := in.Fixed(3); got != want {
			t.Errorf("%q with 3 decimals is %q, want %q", in, got, want)
		}
	}
	if n, ok := Score("1e3").Int64(); !ok || n != 1000 {
		t.Errorf("Int64 of 1e3 = %d, %v, want 1000", n, ok)
	}
	if n, ok := Score("1.5").Int64(); ok {
		t.Errorf("Int64 of 1.5 = %d, want none", n)
	}
	if f := Score("-0.25").Float64(); f != -0.25 {
		t.Errorf("Float64 of -0.25 = %v", f)
	}
}
