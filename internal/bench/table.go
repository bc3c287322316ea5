package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// table is the output: parts, rows of figures in columns, and notes.
type table struct {
	out         io.Writer
	met, missed int
	failed      []string // what has missed its target
}

// row is one figure.
type row struct {
	what      string
	ours      string
	yardstick string  // "" if there is none
	ratio     float64 // of ours to the yardstick, the way round that the target has; 0: not shown
	target    target
}

// target is a bound on a value.
type target struct {
	value float64
	least float64 // 0: none
	most  float64 // 0: none
	unit  string
}

func atLeast(value, bound float64) target { return target{value: value, least: bound} }
func atMost(value, bound float64, unit string) target {
	return target{value: value, most: bound, unit: unit}
}

func (t target) isSet() bool { return t.least != 0 || t.most != 0 }

func (t target) isMet() bool {
	return (t.least == 0 || t.value >= t.least) && (t.most == 0 || t.value <= t.most)
}

func (t target) String() string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch {
	case t.least != 0:
		return "≥ " + number(t.least) + t.unit
	case t.most != 0:
		return "≤ " + number(t.most) + t.unit
	}
	return ""
}

// The widths of the columns.
var widths = []int{44, 18, 28, 6, 9}

func (t *table) printf(format string, args ...any) {
	fmt.Fprintf(t.out, format, args...)
}

func (t *table) begin(p Part) {
	t.printf("\n%s: %s\n", p.Name, p.Short)
	t.line("", "ours", "yardstick", "ratio", "target", "")
}

func (t *table) line(columns ...string) {
	var line strings.Builder
	for i, text := range columns {
		if i < len(widths) {
			text += strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(text)))
		}
		line.WriteString("  " + text)
	}
	t.printf("%s\n", strings.TrimRight(line.String(), " "))
}

func (t *table) row(r row) {
	ratio, verdict := "", ""
	if r.ratio != 0 {
		ratio = fmt.Sprintf("%.2f", r.ratio)
	}
	if r.target.isSet() {
		verdict = "met"
		t.met++
		if !r.target.isMet() {
			verdict = "missed"
			t.met--
			t.missed++
			t.failed = append(t.failed, r.what)
		}
	}
	t.line(r.what, r.ours, r.yardstick, ratio, r.target.String(), verdict)
}

// notef adds a sentence to the part.
func (t *table) notef(format string, args ...any) {
	t.printf("  · "+format+"\n", args...)
}

func (t *table) end(took time.Duration) {
	t.printf("\n%d targets met, %d missed, in %s\n", t.met, t.missed, took.Round(time.Second))
	for _, what := range t.failed {
		t.printf("  missed: %s\n", what)
	}
}

// rate writes 12345 as 12,345/s.
func rate(perSecond float64) string { return grouped(perSecond) + "/s" }

func grouped(f float64) string {
	digits := strconv.FormatFloat(f, 'f', 0, 64)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// span writes a duration with three digits or so.
func span(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	case d >= time.Microsecond:
		return fmt.Sprintf("%.3g µs", float64(d)/1e3)
	}
	return fmt.Sprintf("%d ns", d)
}

// size writes bytes.
func size(bytes float64) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", bytes/(1<<20))
	case bytes >= 10<<10:
		return fmt.Sprintf("%.1f KiB", bytes/(1<<10))
	}
	return fmt.Sprintf("%.0f B", bytes)
}

// members writes how many a board has.
func members(n int) string {
	if n >= 1_000_000 && n%1_000_000 == 0 {
		return fmt.Sprintf("%d M", n/1_000_000)
	}
	return grouped(float64(n))
}
