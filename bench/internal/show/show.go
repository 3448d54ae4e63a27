// Package show writes numbers for people: nothing is a dash.
package show

import "fmt"

// Rate is a number of things a second; a small one keeps its digits.
func Rate(x float64) string {
	if x < 9.995 {
		return fmt.Sprintf("%.3g", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// RateOrDash is Rate, or a dash for nothing.
func RateOrDash(x *float64) string {
	if x == nil {
		return "–"
	}
	return Rate(*x)
}

// OrZero is a number, or 0 for nothing.
func OrZero(x *float64) float64 {
	if x == nil {
		return 0
	}
	return *x
}

// Dash formats a number, or writes a dash for nothing.
func Dash(x *float64, format string) string {
	if x == nil {
		return "–"
	}
	return fmt.Sprintf(format, *x)
}
