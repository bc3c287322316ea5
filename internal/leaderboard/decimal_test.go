package leaderboard_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"laurel/internal/leaderboard"
)

func TestParseDecimalReadsJSONNumbers(t *testing.T) {
	for s, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0.000": "0", "0e5": "0", "0e-99999999999999999999": "0", "0E+99999999999999999999": "0",
		"1": "1", "-1": "-1", "10": "10", "100000": "100000", "-250": "-250",
		"1.5": "1.5", "1.50": "1.5", "15e-1": "1.5", "0.15E1": "1.5", "0.0000015e+6": "1.5", "-1.5": "-1.5",
		"0.000001": "0.000001", "-0.000001": "-0.000001", "1e-6": "0.000001", "1000e-9": "0.000001", "10.01": "10.01", "100.100": "100.1",
		"1e3": "1000", "1E3": "1000", "1e+3": "1000", "1e03": "1000", "1.25e1": "12.5", "1e15": "1000000000000000", "1e000000000000000000002": "100",
		"9007199254740991": "9007199254740991", "-9007199254740991": "-9007199254740991", "9999999999999999": "9999999999999999",
		"999999999.999999": "999999999.999999", "99999999999999.9": "99999999999999.9", "900719925474.0991": "900719925474.0991",
		"12.5" + strings.Repeat("0", 100): "12.5", "0." + strings.Repeat("0", 100) + "1e101": "1", "1" + strings.Repeat("0", 100) + "e-100": "1",
	} {
		got, err := leaderboard.ParseDecimal(s)
		if err != nil || got.String() != want {
			t.Errorf("ParseDecimal(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
}

func TestParseDecimalRefuses(t *testing.T) {
	for code, inputs := range map[leaderboard.Code][]string{
		leaderboard.CodeInvalidScore: {
			"", " ", "-", "+", "+1", "--1", "01", "-01", "00", "00.5", ".5", "-.5", "5.", "5.e1", "1e", "1e+", "1e-", "1e1.5", "1ee1", "e1", "E", ".",
			"1 ", " 1", "1\n", "1,5", "1_000", "0x10", "1p3", "0b1", "NaN", "nan", "Infinity", "-Infinity", "inf", "null", "true", `"1"`, "[1]", "{}",
			"1/2", "1-", "1.2.3", "1e5e5", "١", "１", "1\x00", "1.5f", "\ufeff1",
		},
		leaderboard.CodeScoreOutOfRange: {
			"10000000000000000", "-10000000000000000", "12345678901234567", "1e16", "1e400", "-1e400", "1e999999", "1e1000000", "1e99999999999999999999",
			"0.1e18", "1" + strings.Repeat("0", 5000),
		},
		leaderboard.CodeTooManyDecimals: {
			"0.0000001", "-1e-7", "1e-400", "1e-1000000", "-1e-99999999999999999999", "1.23456789", "0." + strings.Repeat("0", 5000) + "1",
			"1234567890.1234567", "12345678901234.567", "0.1" + strings.Repeat("0", 20) + "1",
		},
	} {
		for _, s := range inputs {
			if got, err := leaderboard.ParseDecimal(s); leaderboard.CodeOf(err) != code || got != (leaderboard.Decimal{}) {
				t.Errorf("ParseDecimal(%.40q) = %v, %v, want the code %s", s, got, err, code)
			}
		}
	}
}

func TestEqualDecimalsAreEqualValues(t *testing.T) {
	for _, forms := range [][]string{
		{"0", "-0", "0.00", "0e7"}, {"1.5", "1.50", "15e-1", "0.15e1"}, {"-100", "-1e2", "-100.0", "-1000e-1"},
	} {
		for _, s := range forms {
			if got, want := mustParse(t, s), mustParse(t, forms[0]); got != want {
				t.Errorf("%s = %#v, and %s = %#v", s, got, forms[0], want)
			}
		}
	}
	if zero := (leaderboard.Decimal{}); mustParse(t, "0") != zero || zero.String() != "0" {
		t.Errorf("the zero value is %v, want 0", zero)
	}
}

func TestScaledKeepsExactlyOrRefuses(t *testing.T) {
	for _, test := range []struct {
		s        string
		decimals int
		want     int64
		code     leaderboard.Code
	}{
		{"0", 0, 0, ""},
		{"0", 6, 0, ""},
		{"12.5", 1, 125, ""},
		{"12.5", 2, 1250, ""},
		{"-12.5", 6, -12500000, ""},
		{"1e3", 2, 100000, ""},
		{"9007199254740991", 0, 9007199254740991, ""},
		{"-9007199254740991", 0, -9007199254740991, ""},
		{"99999999999999.9", 1, 999999999999999, ""},
		{"-9999999999999.99", 2, -999999999999999, ""},
		{"999999999.999999", 6, 999999999999999, ""},
		{"9007199254740992", 0, 0, leaderboard.CodeScoreOutOfRange},
		{"-9007199254740992", 0, 0, leaderboard.CodeScoreOutOfRange},
		{"9999999999999999", 0, 0, leaderboard.CodeScoreOutOfRange},
		{"900719925474099.1", 1, 0, leaderboard.CodeScoreOutOfRange},
		{"100000000000000", 1, 0, leaderboard.CodeScoreOutOfRange},
		{"1e15", 6, 0, leaderboard.CodeScoreOutOfRange},
		{"-1e9", 6, 0, leaderboard.CodeScoreOutOfRange},
		{"12.5", 0, 0, leaderboard.CodeTooManyDecimals},
		{"0.000001", 5, 0, leaderboard.CodeTooManyDecimals},
		{"-1.25", 1, 0, leaderboard.CodeTooManyDecimals},
	} {
		got, err := mustParse(t, test.s).Scaled(test.decimals)
		if got != test.want || leaderboard.CodeOf(err) != test.code {
			t.Errorf("%s scaled by %d = %d, %v, want %d and the code %q", test.s, test.decimals, got, err, test.want, test.code)
		}
	}
}

func TestMaxScoreIsWhatTheDesignSays(t *testing.T) {
	if got := leaderboard.MaxScore(0); got != 9007199254740991 {
		t.Errorf("MaxScore(0) = %d, want 2^53-1", got)
	}
	for decimals := 1; decimals <= leaderboard.MaxDecimals; decimals++ {
		if got := leaderboard.MaxScore(decimals); got != 999999999999999 {
			t.Errorf("MaxScore(%d) = %d, want fifteen nines", decimals, got)
		}
	}
}

func TestAppendScoreWritesTheShortestForm(t *testing.T) {
	for _, test := range []struct {
		scaled   int64
		decimals int
		want     string
	}{
		{0, 0, "0"},
		{0, 6, "0"},
		{7, 0, "7"},
		{-70, 0, "-70"},
		{1250, 2, "12.5"},
		{1200, 2, "12"},
		{-1200, 3, "-1.2"},
		{5, 1, "0.5"},
		{-5, 2, "-0.05"},
		{1, 6, "0.000001"},
		{-1000001, 6, "-1.000001"},
		{1010, 3, "1.01"},
		{9007199254740991, 0, "9007199254740991"},
		{-999999999999999, 6, "-999999999.999999"},
	} {
		if got := string(leaderboard.AppendScore([]byte("x"), test.scaled, test.decimals)); got != "x"+test.want {
			t.Errorf("AppendScore(x, %d, %d) = %s, want x%s", test.scaled, test.decimals, got, test.want)
		}
	}
}

// A viewer's numbers are float64. No two scores of a board may become one there,
// and each must print there as it prints here.
func TestScoresSurviveTheWayThroughFloat64(t *testing.T) {
	for decimals := 0; decimals <= leaderboard.MaxDecimals; decimals++ {
		t.Run(strconv.Itoa(decimals), func(t *testing.T) {
			most := leaderboard.MaxScore(decimals)
			check := func(t interface{ Fatalf(string, ...any) }, scaled int64) {
				text, f := asFloat(t, scaled, decimals)
				if back := strconv.FormatFloat(f, 'f', -1, 64); back != text {
					t.Fatalf("%s is %s when it comes out of a float64", text, back)
				}
				// Rounding keeps the order, so when neighbours differ all differ.
				if scaled < most {
					if above, g := asFloat(t, scaled+1, decimals); g <= f {
						t.Fatalf("%s and %s are not in order as float64", text, above)
					}
				}
			}
			for edge := int64(1); edge < most; edge *= 2 { // where the distance of floats changes
				for d := int64(-2); d <= 2; d++ {
					check(t, min(edge+d, most))
					check(t, -min(edge+d, most))
				}
			}
			for d := range int64(1000) {
				check(t, most-d)
				check(t, d-most)
				check(t, d)
			}
			rapid.Check(t, func(t *rapid.T) { check(t, rapid.Int64Range(-most, most).Draw(t, "scaled")) })
		})
	}
}

func asFloat(t interface{ Fatalf(string, ...any) }, scaled int64, decimals int) (string, float64) {
	text := leaderboard.AppendScore(nil, scaled, decimals)
	var f float64
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s is not a JSON number: %v", text, err)
	}
	return string(text), f
}

func TestDecimalsAndScaledScoresAreOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decimals := rapid.IntRange(0, leaderboard.MaxDecimals).Draw(t, "decimals")
		most := leaderboard.MaxScore(decimals)
		scaled := rapid.Int64Range(-most, most).Draw(t, "scaled")
		d := leaderboard.ScaledDecimal(scaled, decimals)
		if got, err := d.Scaled(decimals); err != nil || got != scaled {
			t.Errorf("%v scaled by %d = %d, %v, want %d", d, decimals, got, err, scaled)
		}
		text := string(leaderboard.AppendScore(nil, scaled, decimals))
		if d.String() != text {
			t.Errorf("String = %s, AppendScore = %s", d, text)
		}
		if parsed, err := leaderboard.ParseDecimal(text); err != nil || parsed != d {
			t.Errorf("ParseDecimal(%s) = %v, %v, want %v", text, parsed, err, d)
		}
	})
}

func TestDecimalIsAJSONNumber(t *testing.T) {
	var got struct{ Score leaderboard.Decimal }
	if err := json.Unmarshal([]byte(`{"score": 0.30}`), &got); err != nil || got.Score != mustParse(t, "0.3") {
		t.Errorf("score = %v, %v, want 0.3", got.Score, err)
	}
	if text, err := json.Marshal(got); err != nil || string(text) != `{"Score":0.3}` {
		t.Errorf("Marshal = %s, %v", text, err)
	}
	for _, body := range []string{`"0.3"`, `null`, `true`, `[]`, `{}`} {
		if err := json.Unmarshal([]byte(body), &got.Score); leaderboard.CodeOf(err) != leaderboard.CodeInvalidScore {
			t.Errorf("Unmarshal(%s): %v, want the code %s", body, err, leaderboard.CodeInvalidScore)
		}
	}
	if got.Score != mustParse(t, "0.3") {
		t.Errorf("score after what was refused = %v, want 0.3", got.Score)
	}
}

func mustParse(t *testing.T, s string) leaderboard.Decimal {
	t.Helper()
	d, err := leaderboard.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseDecimalAgreesWithBig(t *testing.T) {
	digits := rapid.StringMatching(`[0-9]{0,18}0{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign") + digits.Draw(t, "whole")
		if rapid.Bool().Draw(t, "point") {
			s += "." + digits.Draw(t, "fraction")
		}
		if rapid.Bool().Draw(t, "exponent") {
			s += fmt.Sprint("e", rapid.IntRange(-20, 20).Draw(t, "exponent"))
		}
		if problem := disagreement(s); problem != "" {
			t.Error(problem)
		}
	})
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{
		"0", "-0", "-12.50", "1e3", "15E-1", "9007199254740991", "9007199254740992", "999999999.999999", "1e400", "0.0000001", "01", "1.", "NaN", " 1", "1e+",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = s[:min(len(s), 500)] // beyond it, math/big takes its time
		if problem := disagreement(s); problem != "" {
			t.Error(problem)
		}
	})
}

// disagreement compares what the package makes of s with what encoding/json and
// math/big make of it, and says where they differ.
func disagreement(s string) string {
	d, err := leaderboard.ParseDecimal(s)
	code := leaderboard.CodeOf(err)
	isNumber := json.Valid([]byte(s)) && strings.Trim(s, " \t\r\n") == s && strings.IndexByte("-0123456789", s[0]) >= 0
	if !isNumber {
		if code != leaderboard.CodeInvalidScore {
			return fmt.Sprintf("ParseDecimal(%q) = %v, %v, which is no JSON number", s, d, err)
		}
		return ""
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	number, ok := new(big.Rat).SetString(mantissa)
	if !ok {
		return fmt.Sprintf("big.Rat cannot read %q", mantissa)
	}
	power, ok := new(big.Int).SetString("0"+strings.TrimLeft(exponent, "+-"), 10)
	if !ok {
		return fmt.Sprintf("big.Int cannot read %q", exponent)
	}
	switch {
	case number.Sign() == 0:
		power.SetInt64(0)
	case power.Cmp(big.NewInt(int64(len(s)+100))) > 0:
		power.SetInt64(int64(len(s) + 100)) // far enough for any mantissa of this length
	}
	factor := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), power, nil))
	if strings.HasPrefix(exponent, "-") {
		factor.Inv(factor)
	}
	number.Mul(number, factor)

	if err == nil {
		back, ok := new(big.Rat).SetString(d.String())
		if !ok || back.Cmp(number) != 0 || !json.Valid([]byte(d.String())) {
			return fmt.Sprintf("ParseDecimal(%q) = %v, want %s", s, d, number.RatString())
		}
		if again, err := leaderboard.ParseDecimal(d.String()); err != nil || again != d {
			return fmt.Sprintf("%q is %#v, and %q is %#v, %v", s, d, d, again, err)
		}
	} else if code != leaderboard.CodeScoreOutOfRange && code != leaderboard.CodeTooManyDecimals {
		return fmt.Sprintf("ParseDecimal(%q): %v, which is a JSON number", s, err)
	}
	for decimals := 0; decimals <= leaderboard.MaxDecimals; decimals++ {
		want := new(big.Rat).Mul(number, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)))
		fits := want.IsInt() && want.Num().CmpAbs(big.NewInt(leaderboard.MaxScore(decimals))) <= 0
		if err != nil {
			if fits {
				return fmt.Sprintf("ParseDecimal(%q): %v, but a board with %d decimals keeps it as %s", s, err, decimals, want.Num())
			}
			continue
		}
		got, scaledErr := d.Scaled(decimals)
		switch {
		case fits && (scaledErr != nil || got != want.Num().Int64()):
			return fmt.Sprintf("%q scaled by %d = %d, %v, want %s", s, decimals, got, scaledErr, want.Num())
		case !want.IsInt() && leaderboard.CodeOf(scaledErr) != leaderboard.CodeTooManyDecimals,
			want.IsInt() && !fits && leaderboard.CodeOf(scaledErr) != leaderboard.CodeScoreOutOfRange:
			return fmt.Sprintf("%q scaled by %d = %d, %v, of %s", s, decimals, got, scaledErr, want.RatString())
		}
	}
	return ""
}
