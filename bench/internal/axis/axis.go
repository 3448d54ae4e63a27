// Package axis has the arithmetic of an axis, which scenarios are run along and figures are
// drawn along.
package axis

import "github.com/leasestorm/leasestorm/internal/det"

// Steps are N values from Low to High: at equal distances or, if Log, at equal ratios.
type Steps struct {
	Low, High float64
	N         int
	Log       bool
}

// At is the value at step i: Low at step 0, High at step N-1, and at i + 0.5 the edge between
// two steps.
func (s Steps) At(i float64) float64 {
	u := i / float64(s.N-1)
	if s.Log {
		return s.Low * det.Pow(s.High/s.Low, u)
	}
	return s.Low + float64(u*(s.High-s.Low))
}
