// Package show formats numbers for people. A missing number, a nil pointer, is a dash.
package show

import "fmt"

// Rate formats a number of things per second: as an integer, or with three digits if below 10.
func Rate(x float64) string {
	if x < 9.995 {
		return fmt.Sprintf("%.3g", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// RateOrDash is Rate, or a dash for nil.
func RateOrDash(x *float64) string {
	if x == nil {
		return "–"
	}
	return Rate(*x)
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
