package table

import (
	"image/color"
	"math"

	gonum "gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/plot"
)

// panel is one quantity of a figure: a dot for each table, by its rank.
type panel struct {
	title string
	log   bool
	of    func(r *Row) (x, low, high float64) // x 0: none
	none  func(r *Row) string
}

var panels = []panel{
	{"renewals per second, one caller", true, func(r *Row) (x, low, high float64) { return r.Renew.PerSecond, r.Renew.Low, r.Renew.High }, nil},
	{"leases ended per second at a lapse", true, func(r *Row) (x, low, high float64) {
		x = float64(r.Lapsed) / r.Expiry
		return x, x, x
	}, nil},
	{"TTR of the surge (s), computed", false, func(r *Row) (x, low, high float64) {
		if r.TTR == nil {
			return 0, 0, 0
		}
		return *r.TTR, *r.TTR, *r.TTR
	}, func(r *Row) string { return string(r.Verdict) }},
}

// decades are plot.Decades with as many labels as a narrow panel has room for.
type decades struct{ plot.Decades }

// Ticks implements plot.Ticker.
func (d decades) Ticks(low, high float64) []gonum.Tick {
	all := d.Decades.Ticks(low, high)
	var named []int
	for i, t := range all {
		if t.Label != "" {
			named = append(named, i)
		}
	}
	each := 1 + len(named)/4
	for n, i := range named {
		if n%each > 0 {
			all[i].Label = ""
		}
	}
	return all
}

// figureName is the name of the figure's files, without .svg and .png.
const figureName = "tables"

// Draw writes a figure of the rows to the folder dir, in SVG and PNG: the tables in the order of rows from the
// top, and a panel for each of the renewals, the mass expiry and the TTR.
func Draw(dir string, rows []Row) error {
	return plot.Save(dir, figureName, (0.75+0.22*vg.Length(len(rows)))*vg.Inch, func(c draw.Canvas) error {
		figs := [][]*gonum.Plot{make([]*gonum.Plot, len(panels))}
		for i := range panels {
			fig, err := panels[i].figure(rows, i == 0)
			if err != nil {
				return err
			}
			figs[0][i] = fig
		}
		for i, tile := range gonum.Align(figs, draw.Tiles{Rows: 1, Cols: len(panels), PadX: 10}, c)[0] {
			figs[0][i].Draw(tile)
		}
		return nil
	})
}

// figure draws the panel, with the names of the tables if it is the first.
func (p *panel) figure(rows []Row, first bool) (*gonum.Plot, error) {
	fig := plot.New(p.title, "")
	fig.Y.Min, fig.Y.Max = -.5, float64(len(rows))-.5
	least, most := math.Inf(1), 0.0
	var names []gonum.Tick
	for k := range rows {
		name := gonum.Tick{Value: float64(len(rows) - 1 - k)}
		if first {
			name.Label = rows[k].Table
		}
		names = append(names, name)
		x, low, high := p.of(&rows[k])
		if x == 0 {
			continue
		}
		least, most = min(least, low), max(most, high)
		dot, err := plotter.NewScatter(plotter.XYs{{X: x, Y: name.Value}})
		if err != nil {
			return nil, err
		}
		dot.GlyphStyle = draw.GlyphStyle{Color: color.RGBA{0x00, 0x72, 0xb2, 0xff}, Radius: 3, Shape: draw.CircleGlyph{}}
		span, err := plotter.NewLine(plotter.XYs{{X: low, Y: name.Value}, {X: high, Y: name.Value}})
		if err != nil {
			return nil, err
		}
		fig.Add(span, dot)
	}
	if most == 0 {
		least, most = 1, 1
	}
	fig.X.Min, fig.X.Max = 0, 1.1*most
	if p.log {
		fig.X.Scale, fig.X.Tick.Marker = gonum.LogScale{}, decades{}
		fig.X.Min, fig.X.Max = math.Pow(10, math.Floor(math.Log10(least)-.01)), math.Pow(10, math.Ceil(math.Log10(most)+.01))
	}
	fig.Y.Tick.Marker = gonum.ConstantTicks(names)
	for k := range rows { // known now: where the axis begins
		x, _, _ := p.of(&rows[k])
		if x > 0 || p.none == nil {
			continue
		}
		at := plotter.XYs{{X: fig.X.Min, Y: names[k].Value}}
		label, err := plotter.NewLabels(plotter.XYLabels{XYs: at, Labels: []string{" " + p.none(&rows[k])}})
		if err != nil {
			return nil, err
		}
		label.TextStyle[0].Handler, label.TextStyle[0].Font = fig.TextHandler, fig.X.Tick.Label.Font
		fig.Add(label)
	}
	return fig, nil
}
