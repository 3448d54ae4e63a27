package plot

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/internal/axis"
	"github.com/leasestorm/leasestorm/bench/record"
)

// mapAxis is an axis of a map.
type mapAxis struct {
	Axis string  `json:"axis"`
	Unit string  `json:"unit"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	N    int     `json:"n"`
	Log  bool    `json:"log"`
}

// check returns an error if the axis cannot be drawn, or its name cannot be part of a file name.
func (a mapAxis) check() error {
	if !(a.Low < a.High) || a.Log && a.Low <= 0 || a.Axis == "" || filepath.Base(a.Axis) != a.Axis {
		return fmt.Errorf("axis %q cannot be drawn from %g to %g", a.Axis, a.Low, a.High)
	}
	return nil
}

// at is the i-th value. A half-integer i is the edge between two cells.
func (a mapAxis) at(i float64) float64 {
	return axis.Steps{Low: a.Low, High: a.High, N: a.N, Log: a.Log}.At(i)
}

// label is the axis's name with its unit.
func (a mapAxis) label() string {
	name := map[string]string{"beta": "β, surge", "broken": "broken leases", "rho": "ρ, steady load", "delta": "δ, cost of dead work", "loss": "capacity lost", "timeout": "τ", "spread": "spread of the return", "wait": "retry wait w", "jitter": "mean jittered retry wait", "pause": "pause", "outage": "outage", "workers": "workers", "ttl_h": "TTL / check interval", "theta": "θ"}[a.Axis]
	if name == "" {
		name = a.Axis
	}
	return fmt.Sprintf("%s (%s)", name, a.Unit)
}

// mapFile is the part of a map that the figure uses.
type mapFile struct {
	X           mapAxis  `json:"x"`
	Y           mapAxis  `json:"y"`
	Contestants []string `json:"contestants"`
	Seeds       int      `json:"seeds"`
	Title       string   `json:"title"`
	Measure     string   `json:"measure"`
	Points      []struct {
		Contestant int     `json:"contestant"`
		X          int     `json:"x"`
		Y          int     `json:"y"`
		Beta       float64 `json:"beta"`
		Law        float64 `json:"law"`
		Lost       int     `json:"lost"`
		Runs       int     `json:"runs"`
	} `json:"points"`
	Marks []struct {
		X    float64 `json:"x"`
		Y    float64 `json:"y"`
		Text string  `json:"text"`
	} `json:"marks"`
}

// field holds one contestant's values over the map. It implements plotter.GridXYZ, for contours.
type field struct {
	x, y mapAxis
	z    []float64 // by row, then column
}

func (f field) Dims() (c, r int)   { return f.x.N, f.y.N }
func (f field) X(c int) float64    { return f.x.at(float64(c)) }
func (f field) Y(r int) float64    { return f.y.at(float64(r)) }
func (f field) Z(c, r int) float64 { return f.z[r*f.x.N+c] }

// heat is the palette of the collapse probability: from white (0) over yellow and orange to dark
// red (1). Printed in black and white, its greys have the same order.
type heat struct{}

func (heat) Colors() []color.Color {
	stops := [][3]float64{{0xf7, 0xf7, 0xf7}, {0xfe, 0xd9, 0x76}, {0xfd, 0x8d, 0x3c}, {0xbd, 0x1f, 0x26}, {0x67, 0x00, 0x1f}}
	const n = 101
	all := make([]color.Color, n)
	for i := range all {
		u := float64(i) / (n - 1) * float64(len(stops)-1)
		k := min(int(u), len(stops)-2)
		var rgb [3]uint8
		for c := range rgb {
			rgb[c] = uint8(stops[k][c] + (u-float64(k))*(stops[k+1][c]-stops[k][c]))
		}
		all[i] = color.RGBA{rgb[0], rgb[1], rgb[2], 0xff}
	}
	return all
}

var (
	halfStyle = draw.LineStyle{Color: color.Black, Width: 1.2}
	lawStyle  = draw.LineStyle{Color: color.RGBA{0x00, 0x72, 0xb2, 0xff}, Width: 1.2, Dashes: []vg.Length{4, 2}}
	noneRGB   = color.Gray{0xbb}
)

// drawMap draws the map of MapFile, if it exists.
func drawMap(dir string) ([]string, error) {
	path := filepath.Join(dir, record.MapFile)
	var f mapFile
	if there, err := readResult(path, "a map", &f); !there || err != nil {
		return nil, err
	}
	if f.X.N < 2 || f.Y.N < 2 || f.X.N > 1000 || f.Y.N > 1000 || len(f.Points) != len(f.Contestants)*f.X.N*f.Y.N || len(f.Contestants) == 0 {
		return nil, fmt.Errorf("%s: not a whole map: %d points for %d contestants at %d × %d places", path, len(f.Points), len(f.Contestants), f.X.N, f.Y.N)
	}
	if err := cmp.Or(f.X.check(), f.Y.check()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	const name = "map"
	return []string{name}, f.save(dir, name)
}

// fields returns a contestant's collapse probability (p), and β less the β of the batch law (law).
func (f *mapFile) fields(contestant int) (p, law field) {
	p, law = field{f.X, f.Y, make([]float64, f.X.N*f.Y.N)}, field{f.X, f.Y, make([]float64, f.X.N*f.Y.N)}
	for i := range p.z {
		p.z[i], law.z[i] = math.NaN(), math.NaN()
	}
	for _, pt := range f.Points {
		if pt.Contestant != contestant || pt.X < 0 || pt.X >= f.X.N || pt.Y < 0 || pt.Y >= f.Y.N || pt.Runs == 0 {
			continue
		}
		p.z[pt.Y*f.X.N+pt.X] = float64(pt.Lost) / float64(pt.Runs)
		law.z[pt.Y*f.X.N+pt.X] = pt.Beta - pt.Law
	}
	return p, law
}

func (f *mapFile) save(dir, name string) error {
	cols := 2
	if len(f.Contestants) == 1 {
		cols = 1
	}
	rows := (len(f.Contestants) + cols - 1) / cols
	return save(dir, name, vg.Length(0.9+2.7*float64(rows))*vg.Inch, func(c draw.Canvas) error {
		half, law := "half of the seeds are lost", "batch law of fifo"
		if f.Measure == "healthy" {
			half, law = "half of the seeds", "the guard: θ·TTL = τ + longest wait"
		}
		c = legend(c, f.Title, nil,
			mark{half, halfStyle}, mark{law, lawStyle}, mark{"no such scenario", draw.LineStyle{Color: noneRGB, Width: 6}},
			mark{fmt.Sprintf("safe: 0 of %d seeds", f.Seeds), draw.LineStyle{Color: heat{}.Colors()[0], Width: 6}},
			mark{"vulnerable: some", draw.LineStyle{Color: heat{}.Colors()[45], Width: 6}}, mark{"lost: all", draw.LineStyle{Color: heat{}.Colors()[100], Width: 6}})
		plots := make([][]*plot.Plot, rows)
		for i := range plots {
			plots[i] = make([]*plot.Plot, cols)
		}
		for i := range f.Contestants {
			p, err := f.panel(i)
			if err != nil {
				return err
			}
			plots[i/cols][i%cols] = p
		}
		canvases := plot.Align(plots, draw.Tiles{Rows: rows, Cols: cols, PadX: 12, PadY: 12}, c)
		for i, contestant := range f.Contestants {
			tile := canvases[i/cols][i%cols]
			tile.FillText(style(labelSize), vg.Point{X: tile.Min.X + 30, Y: tile.Max.Y - labelSize}, contestant)
			plots[i/cols][i%cols].Draw(draw.Crop(tile, 0, 0, 0, -1.6*labelSize))
		}
		return nil
	})
}

// panel is one contestant's map.
func (f *mapFile) panel(i int) (*plot.Plot, error) {
	p := newPlot(f.X.label(), f.Y.label())
	for _, a := range []struct {
		axis *plot.Axis
		of   mapAxis
	}{{&p.X, f.X}, {&p.Y, f.Y}} {
		if a.of.Log {
			a.axis.Scale, a.axis.Tick.Marker = plot.LogScale{}, decades{}
		}
	}
	prob, law := f.fields(i)
	p.Add(cells(prob))
	for _, line := range []struct {
		of    field
		level float64
		style draw.LineStyle
	}{{prob.filled(), 0.5, halfStyle}, {law.filled(), 0, lawStyle}} {
		if !crosses(line.of, line.level) {
			continue
		}
		contour := plotter.NewContour(line.of, []float64{line.level}, nil)
		contour.LineStyles = []draw.LineStyle{line.style}
		p.Add(contour)
	}
	p.Add(f)
	p.X.Min, p.X.Max = f.X.between(0), f.X.between(f.X.N)
	p.Y.Min, p.Y.Max = f.Y.between(0), f.Y.between(f.Y.N)
	return p, nil
}

// cells draws a field with one rectangle per run of cells of the same colour. The library's heat
// map has seams between cells, or blurs them.
type cells field

// Plot implements plot.Plotter.
func (f cells) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	palette := heat{}.Colors()
	colour := func(z float64) color.Color {
		if math.IsNaN(z) {
			return noneRGB
		}
		return palette[int(math.Round(z*float64(len(palette)-1)))]
	}
	const seam = 0.2
	for r := range f.y.N {
		low, high := y(f.y.between(r)), y(f.y.between(r+1))+seam
		for from := 0; from < f.x.N; {
			to, now := from+1, colour(field(f).Z(from, r))
			for to < f.x.N && colour(field(f).Z(to, r)) == now {
				to++
			}
			left, right := x(f.x.between(from)), x(f.x.between(to))+seam
			c.FillPolygon(now, []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}})
			from = to
		}
	}
}

// between is the edge below the i-th cell.
func (a mapAxis) between(i int) float64 { return a.at(float64(i) - 0.5) }

// Plot implements plot.Plotter. It draws the map's marks, each with its name on a background.
func (f *mapFile) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, m := range f.Marks {
		at := vg.Point{X: x(m.X), Y: y(m.Y)}
		s := style(tickSize)
		s.YAlign = draw.YCenter
		w, h := s.Width(m.Text), 1.2*tickSize
		left := at.X + 6
		if left+w+4 > c.Max.X {
			left = at.X - 10 - w
		}
		c.FillPolygon(color.NRGBA{0xff, 0xff, 0xff, 0xd8}, []vg.Point{{X: left, Y: at.Y - h/2}, {X: left + w + 4, Y: at.Y - h/2}, {X: left + w + 4, Y: at.Y + h/2}, {X: left, Y: at.Y + h/2}})
		c.FillText(s, vg.Point{X: left + 2, Y: at.Y}, m.Text)
		c.DrawGlyph(draw.GlyphStyle{Color: color.White, Radius: 4, Shape: draw.CircleGlyph{}}, at)
		c.DrawGlyph(draw.GlyphStyle{Color: color.Black, Radius: 3, Shape: draw.RingGlyph{}}, at)
	}
}

// filled returns the field with each missing value replaced by the nearest value in its column or
// row. So a contour ends at a gap and does not run along it.
func (f field) filled() field {
	out := field{f.x, f.y, append([]float64(nil), f.z...)}
	for r := range f.y.N {
		for c := range f.x.N {
			if !math.IsNaN(f.Z(c, r)) {
				continue
			}
			for d := 1; d < max(f.x.N, f.y.N) && math.IsNaN(out.z[r*f.x.N+c]); d++ {
				for _, at := range [][2]int{{c, r + d}, {c, r - d}, {c - d, r}, {c + d, r}} {
					if at[0] >= 0 && at[0] < f.x.N && at[1] >= 0 && at[1] < f.y.N && !math.IsNaN(f.Z(at[0], at[1])) {
						out.z[r*f.x.N+c] = f.Z(at[0], at[1])
						break
					}
				}
			}
		}
	}
	return out
}

// crosses reports whether the field has values on both sides of a level.
func crosses(f field, level float64) bool {
	below, above := false, false
	for _, z := range f.z {
		below, above = below || z < level, above || z > level
	}
	return below && above
}
