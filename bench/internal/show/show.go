// Package show formats numbers for people. A missing number, a nil pointer, is a dash.
package show

import (
	"fmt"
	"strings"
)

// Count formats a whole number in groups of three digits: 100,000.
func Count[T ~int | ~int64 | ~uint64](n T) string { return group(fmt.Sprint(n)) }

// Group formats a number without decimals in groups of three digits.
func Group(x float64) string { return group(fmt.Sprintf("%.0f", x)) }

// group puts a comma between groups of three digits.
func group(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	if strings.Trim(digits, "0123456789") != "" {
		return sign + digits // NaN, Inf
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Rate formats a number of things per second: as an integer in groups of three
// digits, or with three digits if below 10.
func Rate(x float64) string {
	if x < 9.995 {
		return fmt.Sprintf("%.3g", x)
	}
	return Group(x)
}

// RateOrDash is Rate, or a dash for nil.
func RateOrDash(x *float64) string {
	if x == nil {
		return "–"
	}
	return Rate(*x)
}

// GroupOrDash is Group, or a dash for nil.
func GroupOrDash(x *float64) string {
	if x == nil {
		return "–"
	}
	return Group(*x)
}

// OrZero returns the number, or 0 for nil.
func OrZero(x *float64) float64 {
	if x == nil {
		return 0
	}
	return *x
}

// Dash formats a number with format, or returns a dash for nil.
func Dash(x *float64, format string) string {
	if x == nil {
		return "–"
	}
	return fmt.Sprintf(format, *x)
}

// Columns aligns cells under each other.
func Columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, c := range row {
			line += c + strings.Repeat(" ", widths[i]-len([]rune(c))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// Plural is the ending of a noun for n things.
func Plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// WithUnit is a quantity with its unit in brackets. A pure number, whose unit is "" or "1", has none.
func WithUnit(quantity, unit string) string {
	if unit == "" || unit == "1" {
		return quantity
	}
	return quantity + " (" + unit + ")"
}

// Spark draws values as a line of bars, one character each, from 0 to most. most 0 is the largest of
// them. A value that is not 0 never looks like 0.
func Spark(values []int, most int) string {
	const bars = "▁▂▃▄▅▆▇█"
	levels := []rune(bars)
	if most == 0 {
		for _, v := range values {
			most = max(most, v)
		}
	}
	line := make([]rune, len(values))
	for i, v := range values {
		level := 0
		if v > 0 {
			level = min(1+int(int64(v)*int64(len(levels)-1)/int64(most+1)), len(levels)-1)
		}
		line[i] = levels[level]
	}
	return string(line)
}

// Percent is a share in per cent, as in 12 %, or – for nil.
func Percent(share *float64) string {
	if share == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100**share)
}
