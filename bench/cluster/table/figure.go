package table

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// panel is one quantity of a figure: a dot for each table, by its rank.
type panel struct {
	title string
	of    func(r *Row) (x, low, high float64) // x 0: none
	none  func(r *Row) string
}

var panels = []panel{
	{"renewals per second, one caller", func(r *Row) (x, low, high float64) { return r.Renew.PerSecond, r.Renew.Low, r.Renew.High }, nil},
	{"leases ended per second at a lapse", func(r *Row) (x, low, high float64) {
		x = float64(r.Lapsed) / r.Expiry
		return x, x, x
	}, nil},
	{"TTR of the surge (s), computed", func(r *Row) (x, low, high float64) {
		if r.TTR == nil {
			return 0, 0, 0
		}
		return *r.TTR, *r.TTR, *r.TTR
	}, func(r *Row) string { return string(r.Verdict) }},
}

// decades are ticks at powers of ten.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(low, high float64) (all []plot.Tick) {
	first, last := int(math.Ceil(math.Log10(low)-1e-9)), int(math.Floor(math.Log10(high)+1e-9))
	each := 1 + (last-first)/5
	for k := first; k <= last; k++ {
		t := plot.Tick{Value: math.Pow10(k)}
		if (k-first)%each == 0 {
			t.Label = fmt.Sprintf("%.3g", t.Value)
			if k >= 3 {
				t.Label = fmt.Sprintf("1e%d", k)
			}
		}
		all = append(all, t)
	}
	return all
}

// Draw writes a figure of the rows in SVG: the tables in the order of rows from the top, and a panel for
// each of the renewals, the mass expiry and the TTR.
func Draw(w io.Writer, rows []Row) error {
	const wide, first, high, line = 2.2 * vg.Inch, 1.0 * vg.Inch, 0.75 * vg.Inch, 0.22 * vg.Inch
	tall := high + line*vg.Length(len(rows))
	c := vgsvg.New(first+wide*vg.Length(len(panels)), tall)
	for i, p := range panels {
		fig := plot.New()
		fig.Title.Text, fig.Title.TextStyle.Font.Size = p.title, font.Points(8)
		fig.X.Tick.Label.Font.Size, fig.Y.Tick.Label.Font.Size = font.Points(7), font.Points(8)
		fig.X.Scale, fig.X.Tick.Marker = plot.LogScale{}, decades{}
		fig.Y.Min, fig.Y.Max = -.5, float64(len(rows))-.5
		least, most := math.Inf(1), 0.0
		var names []plot.Tick
		for k := range rows {
			y := float64(len(rows) - 1 - k)
			t := plot.Tick{Value: y}
			if i == 0 {
				t.Label = rows[k].Table
			}
			names = append(names, t)
			if x, low, high := p.of(&rows[k]); x > 0 {
				least, most = min(least, low), max(most, high)
				dot, err := plotter.NewScatter(plotter.XYs{{X: x, Y: y}})
				if err != nil {
					return err
				}
				dot.GlyphStyle = draw.GlyphStyle{Color: color.RGBA{0x00, 0x72, 0xb2, 0xff}, Radius: 3, Shape: draw.CircleGlyph{}}
				span, err := plotter.NewLine(plotter.XYs{{X: low, Y: y}, {X: high, Y: y}})
				if err != nil {
					return err
				}
				fig.Add(span, dot)
			}
		}
		if most == 0 {
			least, most = 1, 1
		}
		fig.X.Min, fig.X.Max = math.Pow(10, math.Floor(math.Log10(least)-.01)), math.Pow(10, math.Ceil(math.Log10(most)+.01))
		for k := range rows { // known now: where the axis begins
			if x, _, _ := p.of(&rows[k]); x == 0 && p.none != nil {
				label, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: fig.X.Min, Y: float64(len(rows) - 1 - k)}}, Labels: []string{" " + p.none(&rows[k])}})
				if err != nil {
					return err
				}
				fig.Add(label)
			}
		}
		fig.Y.Tick.Marker = plot.ConstantTicks(names)
		grid := plotter.NewGrid()
		fig.Add(grid)
		left := vg.Length(0)
		if i > 0 {
			left = first + wide*vg.Length(i)
		}
		fig.Draw(draw.Canvas{Canvas: c, Rectangle: vg.Rectangle{
			Min: vg.Point{X: left + 4}, Max: vg.Point{X: first + wide*vg.Length(i+1) - 4, Y: tall - 4},
		}})
	}
	_, err := c.WriteTo(w)
	return err
}
