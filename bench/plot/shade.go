package plot

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours of a map. Blue, yellow and vermilion are told apart by colour-blind readers, and
// their greys have an order.
var (
	lostRGB     = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	betweenRGB  = color.RGBA{0xf7, 0xe9, 0x8a, 0xff}
	noneRGB     = color.Gray{0xbb}
	survivesRGB = color.RGBA{0xc6, 0xdb, 0xef, 0xff} // of an unknown time to recover
	haloRGB     = color.NRGBA{0xff, 0xff, 0xff, 0xb0}
	fast        = [3]float64{0xf2, 0xf8, 0xfd}
	slow        = [3]float64{0x21, 0x66, 0xac}
)

// ramp maps times to recover to colours: from almost white, the fastest, to blue, the slowest.
type ramp struct {
	low, high float64
	log       bool
}

// newRamp covers all values that are numbers. ok is false if there is none.
func newRamp(values ...[]float64) (r ramp, ok bool) {
	r = ramp{low: math.Inf(1), high: math.Inf(-1)}
	for _, vs := range values {
		for _, v := range vs {
			if !math.IsNaN(v) {
				r.low, r.high = min(r.low, v), max(r.high, v)
			}
		}
	}
	if math.IsInf(r.low, 0) || math.IsInf(r.high, 0) {
		return r, false
	}
	r.log = r.low > 0 && r.high > 10*r.low
	return r, true
}

// place is how far a value is along the ramp, from 0 to 1.
func (r ramp) place(v float64) float64 {
	low, high := r.low, r.high
	if r.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	if !(high > low) {
		return 0
	}
	return min(1, max(0, (v-low)/(high-low)))
}

// colour is one of 64 shades, so that equal neighbours can be drawn as one.
func (r ramp) colour(u float64) color.Color {
	const n = 63
	u = math.Round(u*n) / n
	var rgb [3]uint8
	for c := range rgb {
		rgb[c] = uint8(fast[c] + u*(slow[c]-fast[c]) + 0.5)
	}
	return color.RGBA{rgb[0], rgb[1], rgb[2], 0xff}
}

// bar draws the ramp with its numbers and what it is of, at the top of the canvas. It returns the
// rest of the canvas.
func (r ramp) bar(c draw.Canvas, label string) draw.Canvas {
	const high = 8
	s := style(labelSize)
	s.YAlign = draw.YCenter
	top := c.Max.Y - 2
	c.FillText(s, vg.Point{X: c.Min.X, Y: top - high/2}, label)
	left := c.Min.X + s.Width(label) + 10
	const n = 64
	wide := min(200, c.Max.X-left-12)
	for i := range n {
		x0, x1 := left+wide*vg.Length(i)/n, left+wide*(vg.Length(i)+1.2)/n
		c.FillPolygon(r.colour((float64(i)+0.5)/n), []vg.Point{{X: x0, Y: top - high}, {X: x1, Y: top - high}, {X: x1, Y: top}, {X: x0, Y: top}})
	}
	var marker plot.Ticker = ticks{}
	if r.log {
		marker = Decades{}
	}
	num := style(tickSize)
	num.XAlign, num.YAlign = draw.XCenter, draw.YTop
	for _, t := range marker.Ticks(r.low, r.high) {
		if t.Value < r.low*(1-1e-9) || t.Value > r.high*(1+1e-9) {
			continue
		}
		x, length := left+wide*vg.Length(r.place(t.Value)), vg.Length(1.5)
		if t.Label != "" {
			length = 3
		}
		c.StrokeLine2(draw.LineStyle{Color: color.Black, Width: 0.5}, x, top-high, x, top-high-length)
		c.FillText(num, vg.Point{X: x, Y: top - high - 4}, t.Label)
	}
	c.Max.Y -= high + 2*tickSize + 6
	return c
}

// interpolate fills in the values at those places that lie between two known ones of their row or
// column: the mean of the linear values both ways, the shorter way the more. What lies between
// values that were filled in follows. A place that lies between none keeps its old value.
func (f field) interpolate(old map[int]float64) {
	const reach = 4 // the distance of the points that a study runs in any case
	known := func(c, r int) bool { return c >= 0 && c < f.x.N && r >= 0 && r < f.y.N && !math.IsNaN(f.Z(c, r)) }
	for range 2 {
		found := map[int]float64{}
		for i := range old {
			c, r := i%f.x.N, i/f.x.N
			if known(c, r) {
				continue
			}
			sum, weight := 0.0, 0.0
			for _, way := range [][2]int{{1, 0}, {0, 1}} {
				a, b := 1, 1
				for a < reach && !known(c-a*way[0], r-a*way[1]) {
					a++
				}
				for b < reach && !known(c+b*way[0], r+b*way[1]) {
					b++
				}
				if !known(c-a*way[0], r-a*way[1]) || !known(c+b*way[0], r+b*way[1]) {
					continue
				}
				low, high := f.Z(c-a*way[0], r-a*way[1]), f.Z(c+b*way[0], r+b*way[1])
				w := 1 / float64(a+b)
				sum += w * (low + (high-low)*float64(a)*w)
				weight += w
			}
			if weight > 0 {
				found[i] = sum / weight
			}
		}
		for i, z := range found {
			f.z[i] = z
		}
	}
	for i, z := range old {
		if math.IsNaN(f.z[i]) {
			f.z[i] = z
		}
	}
}
