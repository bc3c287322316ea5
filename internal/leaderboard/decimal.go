package leaderboard

import (
	"strconv"
	"strings"
)

// MaxScore returns the largest absolute value of a board's scaled scores: the
// range in which a JavaScript number tells any two of them apart. Whole numbers
// are exact up to 2^53−1; fractions only as long as they have no more than
// fifteen significant digits.
func MaxScore(decimals int) int64 {
	if decimals == 0 {
		return 1<<53 - 1
	}
	return 1e15 - 1
}

// Decimal is an exact decimal number of at most sixteen significant digits, as
// it was written by the sender of a score. The zero value is 0. Equal numbers
// are equal values, however they were written: 1.50, 1.5 and 15e-1 are one.
type Decimal struct {
	coefficient int64 // not divisible by 10, unless it is 0
	exponent    int   // the number is coefficient × 10^exponent
}

// ScaledDecimal returns the number scaled ÷ 10^decimals.
func ScaledDecimal(scaled int64, decimals int) Decimal {
	return normalize(scaled, -decimals)
}

func normalize(coefficient int64, exponent int) Decimal {
	if coefficient == 0 {
		return Decimal{}
	}
	for coefficient%10 == 0 {
		coefficient /= 10
		exponent++
	}
	return Decimal{coefficient, exponent}
}

const (
	maxDigits   = 16      // of 2^53−1
	maxExponent = 1 << 20 // beyond it, only the sign of the exponent matters
)

// ParseDecimal reads a number in the grammar of JSON (RFC 8259, section 6):
// -12, 0.25, 1e3. Anything else is an [Error] with the code [CodeInvalidScore];
// a number that no board can keep exactly has [CodeScoreOutOfRange] or
// [CodeTooManyDecimals].
func ParseDecimal(s string) (Decimal, error) {
	rest, negative := strings.CutPrefix(s, "-")
	whole, rest := leadingDigits(rest)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return Decimal{}, notANumber(s)
	}
	var fraction string
	if after, ok := strings.CutPrefix(rest, "."); ok {
		if fraction, rest = leadingDigits(after); fraction == "" {
			return Decimal{}, notANumber(s)
		}
	}
	exponent := 0
	if rest != "" {
		var ok bool
		if exponent, ok = parseExponent(rest); !ok {
			return Decimal{}, notANumber(s)
		}
	}

	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	if significant == "" {
		return Decimal{}, nil
	}
	exponent += len(digits) - len(significant) - len(fraction)
	if len(significant)+exponent > maxDigits {
		return Decimal{}, Errorf(CodeScoreOutOfRange, "score %s is out of range", quote(s))
	}
	if len(significant) > maxDigits || -exponent > MaxDecimals {
		return Decimal{}, Errorf(CodeTooManyDecimals, "score %s has more decimals than a board can have", quote(s))
	}
	coefficient, err := strconv.ParseInt(significant, 10, 64)
	if err != nil {
		return Decimal{}, notANumber(s)
	}
	if negative {
		coefficient = -coefficient
	}
	return Decimal{coefficient, exponent}, nil
}

func leadingDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// parseExponent reads e+12; an exponent too large to matter is cut to maxExponent.
func parseExponent(s string) (int, bool) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	sign := 1
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	digits, rest := leadingDigits(s)
	if digits == "" || rest != "" {
		return 0, false
	}
	digits = strings.TrimLeft(digits, "0")
	if len(digits) > 6 {
		return sign * maxExponent, true
	}
	n, _ := strconv.Atoi("0" + digits)
	return sign * n, true
}

func notANumber(s string) error {
	return Errorf(CodeInvalidScore, "score %s is not a decimal number", quote(s))
}

// UnmarshalJSON reads a JSON number, exactly.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	parsed, err := ParseDecimal(string(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// MarshalJSON writes the number without an exponent.
func (d Decimal) MarshalJSON() ([]byte, error) {
	return []byte(d.String()), nil
}

// String writes the number without an exponent.
func (d Decimal) String() string {
	if d.exponent >= 0 {
		return strconv.FormatInt(d.coefficient, 10) + strings.Repeat("0", d.exponent)
	}
	return string(AppendScore(nil, d.coefficient, -d.exponent))
}

// Scaled returns the number as a board with so many decimals stores it,
// d × 10^decimals. The error has the code [CodeTooManyDecimals] or
// [CodeScoreOutOfRange].
func (d Decimal) Scaled(decimals int) (int64, error) {
	shift := d.exponent + decimals
	if shift < 0 {
		return 0, Errorf(CodeTooManyDecimals, "score %s has more than the %d decimals of its board", d, decimals)
	}
	limit := MaxScore(decimals)
	scaled := d.coefficient
	for range shift {
		if scaled > limit/10 || scaled < -limit/10 {
			return 0, outOfRange(d.String(), decimals)
		}
		scaled *= 10
	}
	if scaled > limit || scaled < -limit {
		return 0, outOfRange(d.String(), decimals)
	}
	return scaled, nil
}

func outOfRange(score string, decimals int) error {
	limit := AppendScore(nil, MaxScore(decimals), decimals)
	return Errorf(CodeScoreOutOfRange, "score %s is out of range: scores of this board are from -%s to %s", score, limit, limit)
}

// AppendScore appends scaled ÷ 10^decimals to dst in its shortest form, which
// is a JSON number: 1250 with two decimals is 12.5.
func AppendScore(dst []byte, scaled int64, decimals int) []byte {
	if decimals == 0 || scaled == 0 {
		return strconv.AppendInt(dst, scaled, 10)
	}
	if scaled < 0 {
		dst = append(dst, '-')
		scaled = -scaled
	}
	unit := int64(1)
	for range decimals {
		unit *= 10
	}
	dst = strconv.AppendInt(dst, scaled/unit, 10)
	fraction := scaled % unit
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	for fraction > 0 {
		unit /= 10
		dst = append(dst, byte('0'+fraction/unit))
		fraction %= unit
	}
	return dst
}
