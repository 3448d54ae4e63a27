package plot

import (
	"math"

	"github.com/leasestorm/leasestorm/bench/archive"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// dots are the measured points of the i-th line, each with its extremes. It implements plot.Plotter
// and plot.DataRanger.
type dots struct {
	archive.Line
	i int
}

const dotRadius = 2.5

// shapes tell the points of as many lines apart as there are colours.
var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PlusGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{}}

// Plot implements plot.Plotter.
func (d dots) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	s := draw.LineStyle{Color: lineStyle(d.i).Color, Width: 0.8}
	aside := vg.Length(d.i-3) * 1.2 // bars of one place stand side by side
	for k := range d.X {
		at := x(d.X[k]) + aside
		c.StrokeLine2(s, at, y(d.Low[k]), at, y(d.High[k]))
		c.DrawGlyph(draw.GlyphStyle{Color: s.Color, Radius: dotRadius, Shape: shapes[d.i%len(shapes)]}, vg.Point{X: at, Y: y(d.Y[k])})
	}
}

// DataRange implements plot.DataRanger.
func (d dots) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, ymin, xmax, ymax = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for k := range d.X {
		xmin, xmax = min(xmin, d.X[k]), max(xmax, d.X[k])
		ymin, ymax = min(ymin, d.Low[k]), max(ymax, d.High[k])
	}
	return xmin, xmax, ymin, ymax
}
