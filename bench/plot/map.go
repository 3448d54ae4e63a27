package plot

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/axis"
	"github.com/leasestorm/leasestorm/bench/internal/show"
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
	return show.WithUnit(name, a.Unit)
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
		Contestant int      `json:"contestant"`
		X          int      `json:"x"`
		Y          int      `json:"y"`
		Beta       float64  `json:"beta"`
		Law        float64  `json:"law"`
		Lost       int      `json:"lost"`
		Runs       int      `json:"runs"`
		TTR        *float64 `json:"ttr_s"`
		Inferred   bool     `json:"inferred"`
	} `json:"points"`
	Fluid []fluidFile `json:"fluid_law"`
	Marks []struct {
		X    float64 `json:"x"`
		Y    float64 `json:"y"`
		Text string  `json:"text"`
	} `json:"marks"`
}

// fluidFile is a contestant's border by the fluid law.
type fluidFile struct {
	ByLaw bool       `json:"law"`
	Beta  []*float64 `json:"law_beta"`
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

// The lines of a map.
var (
	borderStyle = draw.LineStyle{Color: color.Black, Width: 1.1}
	lawStyle    = draw.LineStyle{Color: color.Black, Width: 1.1, Dashes: []vg.Length{5, 2.5}}
	fluidStyle  = draw.LineStyle{Color: color.RGBA{0x6a, 0x00, 0x6a, 0xff}, Width: 2.4, Dashes: []vg.Length{2.4, 3}}
)

// drawMap draws the map of MapFile, if it exists.
func drawMap(dir string) ([]string, error) {
	path := filepath.Join(dir, record.MapFile)
	var f mapFile
	if there, err := archive.ReadResult(path, "a map", &f); !there || err != nil {
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

// fields returns a contestant's collapse probability (p), β less the β of the batch law (law), and
// the time to recover (ttr), which is interpolated at places that were not run.
func (f *mapFile) fields(contestant int) (p, law, ttr field) {
	empty := func() field {
		return field{f.X, f.Y, slices.Repeat([]float64{math.NaN()}, f.X.N*f.Y.N)}
	}
	p, law, ttr = empty(), empty(), empty()
	inferred := map[int]float64{}
	for _, pt := range f.Points {
		if pt.Contestant != contestant || pt.X < 0 || pt.X >= f.X.N || pt.Y < 0 || pt.Y >= f.Y.N || pt.Runs == 0 {
			continue
		}
		i := pt.Y*f.X.N + pt.X
		p.z[i] = float64(pt.Lost) / float64(pt.Runs)
		law.z[i] = pt.Beta - pt.Law
		switch {
		case pt.TTR == nil:
		case pt.Inferred:
			inferred[i] = *pt.TTR
		default:
			ttr.z[i] = *pt.TTR
		}
	}
	ttr.interpolate(inferred)
	return p, law, ttr
}

func (f *mapFile) save(dir, name string) error {
	cols := 2
	if len(f.Contestants) == 1 {
		cols = 1
	}
	n := len(f.Contestants)
	rows := (n + cols - 1) / cols
	times := make([][]float64, n)
	impossible := false
	for i := range times {
		p, _, ttr := f.fields(i)
		times[i] = ttr.z
		for k, z := range p.z {
			impossible = impossible || math.IsNaN(z)
			if z == 1 {
				ttr.z[k] = math.NaN() // it is drawn as lost
			}
		}
	}
	shades, timed := newRamp(times...)
	return Save(dir, name, vg.Length(1.15+2.6*float64(rows))*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, grouped(f.Title), nil, f.marks(timed, impossible)...)
		if timed {
			c = shades.bar(c, "time to recover (s): median of those that came back, interpolated between runs")
		}
		plots := make([][]*plot.Plot, rows)
		for i := range plots {
			plots[i] = make([]*plot.Plot, cols)
		}
		for i := range n {
			p, err := f.panel(i, shades)
			if err != nil {
				return err
			}
			// The panels share their axes: numbers and names stand at the outer ones.
			if i%cols > 0 {
				p.Y.Label.Text, p.Y.Tick.Marker = "", unlabelled{p.Y.Tick.Marker}
			}
			if i+cols < n {
				p.X.Label.Text, p.X.Tick.Marker = "", unlabelled{p.X.Tick.Marker}
			}
			plots[i/cols][i%cols] = p
		}
		canvases := plot.Align(plots, draw.Tiles{Rows: rows, Cols: cols, PadX: 10, PadY: 6}, c)
		for i := range n {
			p := plots[i/cols][i%cols]
			tile := draw.Crop(canvases[i/cols][i%cols], 0, 0, 0, -1.6*labelSize)
			p.Draw(tile)
			tile.FillText(style(labelSize), vg.Point{X: p.DataCanvas(tile).Min.X, Y: tile.Max.Y + 0.5*labelSize}, f.panelTitle(i))
		}
		return nil
	})
}

// unlabelled are an axis's ticks without their numbers.
type unlabelled struct{ plot.Ticker }

// Ticks implements plot.Ticker.
func (u unlabelled) Ticks(low, high float64) []plot.Tick {
	all := slices.Clone(u.Ticker.Ticks(low, high))
	for i := range all {
		all[i].Label = ""
	}
	return all
}

// marks are the entries of the legend.
func (f *mapFile) marks(timed, impossible bool) []mark {
	box := func(text string, of color.Color) mark {
		return mark{text: text, line: draw.LineStyle{Color: of, Width: 6}}
	}
	seeds := fmt.Sprintf("%d of %d seed%s", f.Seeds, f.Seeds, show.Plural(f.Seeds))
	lost, law := "lost: "+seeds, "batch law of fifo"
	between := fmt.Sprintf("the border lies in here, between a point with 0 of %d lost and one with %d of %d", f.Seeds, f.Seeds, f.Seeds)
	if f.Measure == "healthy" {
		lost, law = "healthy leases lapse: "+seeds, "the guard: θ·TTL = τ + longest wait"
		between = fmt.Sprintf("the border lies in here, between a point with 0 of %d and one with %d of %d", f.Seeds, f.Seeds, f.Seeds)
	}
	all := []mark{box(lost, lostRGB), box(between, betweenRGB), {text: "middle of the border, smoothed", line: borderStyle}, {text: law, line: lawStyle}}
	if slices.ContainsFunc(f.Fluid, func(l fluidFile) bool { return l.ByLaw }) {
		all = append(all, mark{text: "fluid law of the contestant", line: fluidStyle})
	} else if f.Fluid == nil && f.Measure != "healthy" && (f.X.surge() || f.Y.surge()) {
		all = append(all, mark{text: "this file is older than the fluid law's line", note: true})
	}
	if impossible {
		all = append(all, box("no such scenario", noneRGB))
	}
	if !timed {
		all = append(all, box("none is lost; this file has no time to recover", survivesRGB))
	}
	return all
}

// panelTitle is the contestant's name, with what the fluid law says of it where there is no line.
func (f *mapFile) panelTitle(i int) string {
	name := f.Contestants[i]
	if i >= len(f.Fluid) {
		return name
	}
	if !f.Fluid[i].ByLaw {
		return name + " (not covered by the fluid law)"
	}
	if xs, ys := f.fluidLine(i); !slices.ContainsFunc(xs, isNumber) || !slices.ContainsFunc(ys, isNumber) {
		return name + " (fluid law: no border on this map)"
	}
	return name
}

func isNumber(x float64) bool { return !math.IsNaN(x) }

// panel is one contestant's map.
func (f *mapFile) panel(i int, shades ramp) (*plot.Plot, error) {
	p := New(f.X.label(), f.Y.label())
	for _, a := range []struct {
		axis *plot.Axis
		of   mapAxis
	}{{&p.X, f.X}, {&p.Y, f.Y}} {
		if a.of.Log {
			a.axis.Scale, a.axis.Tick.Marker = plot.LogScale{}, Decades{}
		}
	}
	prob, law, ttr := f.fields(i)
	p.Add(cells{prob, ttr, shades})
	all, longer := border(prob)
	p.Add(bandPlot{f.X, f.Y, all, longer})
	if law = law.filled(); crosses(law, 0) {
		for _, style := range []draw.LineStyle{halo(lawStyle), lawStyle} {
			contour := plotter.NewContour(law, []float64{0}, nil)
			contour.LineStyles = []draw.LineStyle{style}
			p.Add(contour)
		}
	}
	xs, ys := f.fluidLine(i)
	p.Add(pathPlot{xs, ys, fluidStyle}, f)
	p.X.Min, p.X.Max = f.X.between(0), f.X.between(f.X.N)
	p.Y.Min, p.Y.Max = f.Y.between(0), f.Y.between(f.Y.N)
	return p, nil
}

// cells draws a map with one rectangle per run of cells of the same colour. The library's heat map
// has seams between cells, or blurs them.
type cells struct {
	p, ttr field
	shades ramp
}

func (f cells) colour(c, r int) color.Color {
	switch z, ttr := f.p.Z(c, r), f.ttr.Z(c, r); {
	case math.IsNaN(z):
		return noneRGB
	case z == 1:
		return lostRGB
	case z > 0:
		return betweenRGB
	case math.IsNaN(ttr):
		return survivesRGB
	default:
		return f.shades.colour(f.shades.place(ttr))
	}
}

// Plot implements plot.Plotter.
func (f cells) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	const seam = 0.8 // less shows as a line between cells
	ax, ay := f.p.x, f.p.y
	for r := range ay.N {
		low, high := y(ay.between(r)), min(y(ay.between(r+1))+seam, c.Max.Y)
		for from := 0; from < ax.N; {
			to, now := from+1, f.colour(from, r)
			for to < ax.N && f.colour(to, r) == now {
				to++
			}
			left, right := x(ax.between(from)), min(x(ax.between(to))+seam, c.Max.X)
			c.FillPolygon(now, []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}})
			from = to
		}
	}
}

// surge reports whether the axis is the size of the surge.
func (a mapAxis) surge() bool { return a.Axis == "beta" || a.Axis == "broken" }

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
