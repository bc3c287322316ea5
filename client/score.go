package client

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Score is an exact decimal number, written as in JSON: "12", "-0.25", "1e3". A
// string constant can be used as it is:
//
//	client.Submission{Member: "alice", Score: "12.5"}
//
// Scores from the server have no exponent, no superfluous zeros, and no "-0", so
// equal ones are equal strings; [ParseScore] writes a number in that form. The
// empty Score stands for 0 when it is sent.
type Score string

// Int returns a whole number as a score.
func Int(n int64) Score { return Score(strconv.FormatInt(n, 10)) }

// Scaled returns n ÷ 10^decimals: Scaled(83120, 3) is 83.12.
func Scaled(n int64, decimals int) Score {
	s, err := canonical(fmt.Sprintf("%de%d", n, -decimals))
	if err != nil {
		panic("client: " + err.Error()) // decimals is out of every reason
	}
	return s
}

// ParseScore reads a number in the grammar of JSON and returns it in the form
// in which the server writes it.
func ParseScore(s string) (Score, error) { return canonical(s) }

// mostDigits is more than any board keeps, and few enough to be written out.
const mostDigits = 40

func canonical(s string) (Score, error) {
	if s == "" {
		return "0", nil
	}
	mantissa, power, hasPower := strings.Cut(strings.ToLower(s), "e")
	unsigned, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, hasFraction := strings.Cut(unsigned, ".")
	if !digits(whole) || len(whole) > 1 && whole[0] == '0' || hasFraction && !digits(fraction) {
		return "", notANumber(s)
	}
	exponent := 0
	if hasPower {
		if !digits(strings.TrimLeft(power, "+-")) {
			return "", notANumber(s)
		}
		var err error
		if exponent, err = strconv.Atoi(power); err != nil {
			return "", notANumber(s)
		}
	}

	exponent -= len(fraction)
	all := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(all, "0")
	if significant == "" {
		return "0", nil
	}
	exponent += len(all) - len(significant)
	if len(significant) > mostDigits || exponent > mostDigits || exponent < -mostDigits {
		return "", fmt.Errorf("score %.40q has too many digits", s)
	}
	if exponent >= 0 {
		significant += strings.Repeat("0", exponent)
	} else {
		point := len(significant) + exponent
		if point <= 0 {
			significant = strings.Repeat("0", 1-point) + significant
			point = 1
		}
		significant = significant[:point] + "." + significant[point:]
	}
	if negative {
		significant = "-" + significant
	}
	return Score(significant), nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func notANumber(s string) error { return fmt.Errorf("score %.40q is not a decimal number", s) }

// String returns the score as it is written.
func (s Score) String() string {
	if s == "" {
		return "0"
	}
	return string(s)
}

// Float64 returns the nearest binary fraction. It may differ from the score in
// the sixteenth digit.
func (s Score) Float64() float64 {
	f, _ := strconv.ParseFloat(s.String(), 64)
	return f
}

// Int64 returns the score if it is a whole number in the range of an int64.
func (s Score) Int64() (int64, bool) {
	c, err := canonical(string(s))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(c), 10, 64)
	return n, err == nil
}

// Cmp returns -1, 0 or +1 as s is less than, equal to or greater than other. A
// Score that is not a number counts as 0.
func (s Score) Cmp(other Score) int { return s.rat().Cmp(other.rat()) }

func (s Score) rat() *big.Rat {
	c, err := canonical(string(s))
	if err != nil {
		return new(big.Rat)
	}
	r, ok := new(big.Rat).SetString(string(c))
	if !ok {
		return new(big.Rat)
	}
	return r
}

// Fixed returns the score with so many digits after the point, for a column of
// them: "83.12" with 3 is "83.120". A score that has more keeps them.
func (s Score) Fixed(decimals int) string {
	c, err := canonical(string(s))
	if err != nil {
		return string(s)
	}
	_, fraction, found := strings.Cut(string(c), ".")
	missing := decimals - len(fraction)
	if missing <= 0 {
		return string(c)
	}
	if !found {
		return string(c) + "." + strings.Repeat("0", missing)
	}
	return string(c) + strings.Repeat("0", missing)
}

// MarshalJSON writes a JSON number. A Score that is not a number is an error.
func (s Score) MarshalJSON() ([]byte, error) {
	c, err := canonical(string(s))
	return []byte(c), err
}

// UnmarshalJSON reads a JSON number, digit by digit; null leaves the score as it is.
func (s *Score) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	c, err := canonical(string(b))
	if err != nil {
		return err
	}
	*s = c
	return nil
}

var (
	_ json.Marshaler   = Score("")
	_ json.Unmarshaler = (*Score)(nil)
)
