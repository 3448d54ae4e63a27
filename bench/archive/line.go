package archive

import (
	"math"
	"slices"

	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// Line is the median over a contestant's runs, with the extremes as a band.
type Line struct {
	X, Y      []float64
	Low, High []float64 // extremes of Y; nil: there is one run
}

// median appends the point x with the median and the extremes of ys, one value per run.
func (l *Line) median(x float64, ys []float64) {
	l.X, l.Y = append(l.X, x), append(l.Y, stat.Median(ys))
	l.Low, l.High = append(l.Low, slices.Min(ys)), append(l.High, slices.Max(ys))
}

// Median returns the median and the extremes over the runs, step by step, over the time in s since the
// dependency's return, or since the start of runs without one. A run counts until its
// end. A value that is NaN is left out.
func Median(cells []Cell, of func(Cell, int) float64) Line {
	var l Line
	at := map[int][]float64{} // by tenths of a second from the return
	for _, c := range cells {
		to, _ := c.Manifest.Phase("return")
		for i, t := range c.Series["t_s"] {
			k := int((t-to)*10 + 1000.5)
			if y := of(c, i); !math.IsNaN(y) { // a quantile of nothing
				at[k] = append(at[k], y)
			}
		}
	}
	steps := make([]int, 0, len(at))
	for k := range at {
		steps = append(steps, k)
	}
	slices.Sort(steps)
	for _, k := range steps {
		l.median(float64(k-1000)/10, at[k])
	}
	if len(cells) == 1 {
		l.Low, l.High = nil, nil
	}
	return l
}

// Lines are the lines of a figure, one per name, each with a thin one beside it.
type Lines struct {
	Names       []string
	Lines, Thin []Line
}
