package plot

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// band is where a contestant tips over, at contiguous steps of one axis. At each step the border
// lies between two places of the other axis: the last at which no run is lost, and the first at
// which all are. Places are indexes into the axis.
type band struct {
	rows bool // the steps are rows, and the border is a place in x; else columns, and in y
	at   []int
	a, b []float64 // the two places, a < b
}

// bands finds the bands of a field of collapse probabilities: at those steps of an axis at which
// the field tips over exactly once.
func bands(p field, rows bool) (all []band) {
	steps, places := p.x.N, p.y.N
	at := func(step, place int) float64 { return p.Z(step, place) }
	if rows {
		steps, places = places, steps
		at = func(step, place int) float64 { return p.Z(place, step) }
	}
	rising := false // of the last band: all are lost at b
	for step := range steps {
		last, n := -1, 0
		var a, b int
		for place := range places {
			z := at(step, place)
			if z != 0 && z != 1 { // some of the runs are lost, or none was made
				continue
			}
			if last >= 0 && at(step, last) != z {
				n, a, b = n+1, last, place
			}
			last = place
		}
		if n != 1 {
			continue
		}
		up := at(step, b) == 1
		if k := len(all) - 1; k < 0 || all[k].at[len(all[k].at)-1] != step-1 || up != rising {
			all = append(all, band{rows: rows})
		}
		rising = up
		l := &all[len(all)-1]
		l.at, l.a, l.b = append(l.at, step), append(l.a, float64(a)), append(l.b, float64(b))
	}
	return all
}

// border is the bands of a field both ways, and the way in which they have more steps.
func border(p field) (all, longer []band) {
	count := func(of []band) (n int) {
		for _, l := range of {
			n += len(l.at)
		}
		return n
	}
	rows, columns := bands(p, true), bands(p, false)
	longer = rows
	if count(columns) > count(rows) {
		longer = columns
	}
	return slices.Concat(rows, columns), longer
}

// middle is a smooth line within the band: the mean of the band's middles over five steps, which
// the band bounds.
func (l *band) middle() []float64 {
	out := make([]float64, len(l.at))
	for i := range out {
		reach := min(2, i, len(l.at)-1-i)
		for k := i - reach; k <= i+reach; k++ {
			out[i] += (l.a[k] + l.b[k]) / 2 / float64(2*reach+1)
		}
		out[i] = min(max(out[i], l.a[i]), l.b[i])
	}
	return out
}

// bandPlot draws bands on a map. It implements plot.Plotter.
type bandPlot struct {
	x, y        mapAxis
	all, longer []band
}

func (f bandPlot) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	points := func(l *band, places []float64) []vg.Point {
		n := len(places)
		pts := make([]vg.Point, 0, n+2)
		add := func(step, place float64) {
			if l.rows {
				pts = append(pts, vg.Point{X: tx(f.x.at(place)), Y: ty(f.y.at(step))})
			} else {
				pts = append(pts, vg.Point{X: tx(f.x.at(step)), Y: ty(f.y.at(place))})
			}
		}
		add(float64(l.at[0])-0.5, places[0]) // a step is as wide as its cells
		for i, place := range places {
			add(float64(l.at[i]), place)
		}
		add(float64(l.at[n-1])+0.5, places[n-1])
		return pts
	}
	for i := range f.all {
		outline, back := points(&f.all[i], f.all[i].a), points(&f.all[i], f.all[i].b)
		slices.Reverse(back)
		c.FillPolygon(betweenRGB, append(outline, back...))
	}
	for i := range f.longer {
		c.StrokeLines(borderStyle, points(&f.longer[i], f.longer[i].middle()))
	}
}

// fluidLine is a contestant's border by the fluid law, in the map's units. It is broken (NaN) where
// there is none on the map.
func (f *mapFile) fluidLine(contestant int) (xs, ys []float64) {
	if contestant >= len(f.Fluid) {
		return nil, nil
	}
	across := f.X.surge() // the law has a place in x at each row
	steps, places, axis, other := f.Y.N, f.X.N, f.X, f.Y
	if !across {
		steps, places, axis, other = f.X.N, f.Y.N, f.Y, f.X
	}
	beta := make([]float64, steps*places) // by step and place
	for _, pt := range f.Points {
		if pt.Contestant == contestant && pt.X >= 0 && pt.X < f.X.N && pt.Y >= 0 && pt.Y < f.Y.N {
			step, place := pt.Y, pt.X
			if !across {
				step, place = place, step
			}
			beta[step*places+place] = pt.Beta // 0 where there is no such scenario
		}
	}
	for step := range steps {
		at := math.NaN()
		if law := f.Fluid[contestant].Beta; step < len(law) && law[step] != nil {
			for k := 1; k < places; k++ {
				if low, high := beta[step*places+k-1], beta[step*places+k]; low > 0 && low <= *law[step] && *law[step] < high {
					at = axis.at(float64(k-1) + (*law[step]-low)/(high-low))
				}
			}
		}
		if across {
			xs, ys = append(xs, at), append(ys, other.at(float64(step)))
		} else {
			xs, ys = append(xs, other.at(float64(step))), append(ys, at)
		}
	}
	return xs, ys
}

// pathPlot is a line that is broken at NaN.
type pathPlot struct {
	xs, ys []float64
	style  draw.LineStyle
}

// Plot implements plot.Plotter.
func (f pathPlot) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	var part []vg.Point
	end := func() {
		if len(part) > 1 {
			c.StrokeLines(f.style, part)
		}
		part = nil
	}
	for i := range f.xs {
		if math.IsNaN(f.xs[i]) || math.IsNaN(f.ys[i]) {
			end()
			continue
		}
		part = append(part, vg.Point{X: tx(f.xs[i]), Y: ty(f.ys[i])})
	}
	end()
}

// halo is the white edge of a line, so that it shows on any colour.
func halo(s draw.LineStyle) draw.LineStyle {
	return draw.LineStyle{Color: haloRGB, Width: s.Width + 1.6}
}
