package plot

import (
	"context"
	"errors"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/archive"
)

// Draw draws all figures for which the folder dir has the files, writes them to dir and returns
// their names. The error is that of ctx if Draw was interrupted.
func Draw(ctx context.Context, dir string) ([]string, error) {
	var made []string
	for _, of := range []func(dir string) ([]string, error){drawSpeed, drawMap, drawSweep, drawExperiment, drawIncident} {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		names, err := of(dir)
		made = append(made, names...)
		if err != nil {
			return made, err
		}
	}
	// Dozens of contestants are drawn as bars: their lines could not be told apart.
	if names, err := drawCompare(dir); len(names) > 0 || err != nil {
		return append(made, names...), err
	}
	cells, err := archive.Load(ctx, dir)
	if errors.Is(err, archive.ErrNoRuns) && len(made) > 0 {
		return made, nil
	}
	if err != nil {
		return nil, err
	}
	scenarios, byScenario := archive.Experiments(cells)
	for _, s := range scenarios {
		if err := ctx.Err(); err != nil {
			return made, err
		}
		names, err := drawScenario(ctx, dir, s, byScenario[s])
		made = append(made, names...)
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// drawScenario draws the figures of one scenario. Disciplines, admission controllers and tables
// have separate figures, so that a figure has few lines.
func drawScenario(ctx context.Context, dir, name string, cells []archive.Cell) (made []string, err error) {
	for _, part := range split(cells) {
		var figures []figure
		if len(part.cells[0].Manifest.Result.Points) > 0 {
			figures = append(figures, figure{"goodput-", NewSweep(part.cells).save})
		}
		if _, outage := part.cells[0].Manifest.Phase("return"); outage {
			figures = append(figures, figure{"recovery-", NewRecovery(part.cells).save})
			l, err := NewLatency(part.cells, "establish", "return")
			if err != nil {
				return made, err
			}
			if len(l.Lines) > 0 {
				figures = append(figures, figure{"latency-", l.saveLatency})
			}
		}
		for _, f := range figures {
			if err := ctx.Err(); err != nil {
				return made, err
			}
			file := f.prefix + name + part.suffix
			if err := f.save(dir, file); err != nil {
				return made, err
			}
			made = append(made, file)
		}
	}
	return made, nil
}

type figure struct {
	prefix string
	save   func(dir, name string) error
}

// part holds the cells of one figure.
type part struct {
	suffix string
	cells  []archive.Cell
}

// split puts the cells with plain admission and the default table, and those of services that are not
// ours, into a first part. The other
// parts hold the remaining cells, each with its plain counterpart.
func split(cells []archive.Cell) []part {
	plainAdmit := func(c archive.Cell) bool {
		r := c.Manifest.Result
		return r.Admit == archive.Plain.Admit && r.Retry == archive.Plain.Retry
	}
	plainTable := func(c archive.Cell) bool { return c.Manifest.Result.Table == archive.Plain.Table }
	var first, admission, tables part
	admission.suffix, tables.suffix = "-admission", "-tables"
	for _, c := range cells {
		switch {
		case plainAdmit(c) && plainTable(c), c.Manifest.Result.Engine == "target": // whose parts are not known
			first.cells = append(first.cells, c)
		case plainTable(c):
			admission.cells = append(admission.cells, c)
		default:
			tables.cells = append(tables.cells, c)
		}
	}
	var out []part
	for _, p := range []part{first, admission, tables} {
		if len(p.cells) == 0 {
			continue
		}
		if p.suffix != "" {
			for _, c := range first.cells {
				if slices.ContainsFunc(p.cells, func(o archive.Cell) bool { return o.Manifest.Result.Queue == c.Manifest.Result.Queue }) {
					p.cells = append(p.cells, c)
				}
			}
		}
		out = append(out, p)
	}
	return out
}

// save draws the panels one below the other, with a common time axis.
func (f Recovery) save(dir, name string) error {
	return Save(dir, name, vg.Length(0.4+2*float64(len(f.Panels)))*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, f.Title, f.Names, f.marks()...)
		low, high := math.Inf(1), math.Inf(-1)
		for _, l := range f.Panels[0].Lines {
			low, high = min(low, l.X[0]), max(high, l.X[len(l.X)-1])
		}
		plots := make([][]*plot.Plot, len(f.Panels))
		for i, panel := range f.Panels {
			p := New("", panel.Label)
			if i == len(f.Panels)-1 {
				p.X.Label.Text = "time since the dependency's return (s)"
			}
			p.Add(f)
			for k, l := range panel.Lines {
				if err := addLine(p, l, lineStyle(k)); err != nil {
					return err
				}
			}
			p.X.Min, p.X.Max = low, high
			if i > 0 {
				p.Y.Min = 0
			}
			plots[i] = []*plot.Plot{p}
		}
		canvases := plot.Align(plots, draw.Tiles{Rows: len(plots), Cols: 1, PadY: 8}, c)
		for i := range plots {
			plots[i][0].Draw(canvases[i][0])
		}
		return nil
	})
}

// operatorStyle is the line at the time at which the operator acts.
var operatorStyle = draw.LineStyle{Color: grey, Width: 0.7, Dashes: []vg.Length{3, 2}}

func (f Recovery) marks() []mark {
	var m []mark
	if f.Outage > 0 {
		m = append(m, mark{text: "outage"})
	}
	if f.Operator > 0 {
		m = append(m, mark{text: "the operator acts", line: operatorStyle})
	}
	return m
}

// Plot implements plot.Plotter. It marks the outage and the operator's first action.
func (f Recovery) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	if f.Outage > 0 {
		left, right := x(-f.Outage), x(0)
		c.FillPolygon(shade, []vg.Point{{X: left, Y: c.Min.Y}, {X: right, Y: c.Min.Y}, {X: right, Y: c.Max.Y}, {X: left, Y: c.Max.Y}})
	}
	if f.Operator > 0 {
		at := x(f.Operator)
		c.StrokeLine2(operatorStyle, at, c.Min.Y, at, c.Max.Y)
	}
}

// save draws the curves on linear axes.
func (f Curves) save(dir, name string) error {
	return Save(dir, name, 3.6*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, f.Title, nil, f.entries()...)
		p := New(f.XLabel, f.YLabel)
		if err := f.add(p); err != nil {
			return err
		}
		p.X.Min, p.Y.Min = 0, 0
		if f.Whole {
			p.X.Tick.Marker = f.counts()
			p.X.Max += 0.5
			p.X.Min = 0.5
			p.Y.Max *= 1.03 // the highest bar ends below the frame
		}
		p.Draw(c)
		return nil
	})
}

// counts are ticks at the values of X that were measured.
func (f Curves) counts() plot.ConstantTicks {
	var all plot.ConstantTicks
	for _, l := range f.Dots {
		for _, x := range l.X {
			if !slices.ContainsFunc(all, func(t plot.Tick) bool { return t.Value == x }) {
				all = append(all, plot.Tick{Value: x, Label: short(x)})
			}
		}
	}
	return all
}

// entries are those of the lines, then marks.
func (f Curves) entries() (all []mark) {
	for i, name := range f.Names {
		m := mark{text: name, line: f.style(i)}
		if i < len(f.Dots) {
			m.dot = shapes[i%len(shapes)]
		}
		all = append(all, m)
	}
	return append(all, f.marks()...)
}

func (f Curves) marks() []mark {
	if f.ThinIs == "" {
		return nil
	}
	return []mark{{text: f.ThinIs, line: draw.LineStyle{Color: grey, Width: 0.5}}}
}

func (f Curves) add(p *plot.Plot) error {
	for i := range f.Lines {
		if i < len(f.Thin) {
			if err := addLine(p, f.Thin[i], thinStyle(i)); err != nil {
				return err
			}
		}
		if err := addLine(p, f.Lines[i], f.style(i)); err != nil {
			return err
		}
		if i < len(f.Dots) {
			p.Add(dots{f.Dots[i], i})
		}
	}
	return nil
}

// style is the style of the i-th line.
func (f Curves) style(i int) draw.LineStyle {
	if !f.Pairs {
		return lineStyle(i)
	}
	// The first contestants have the wider lines, so that those that coincide show.
	s := draw.LineStyle{Color: colours[i/2%len(colours)], Width: lineWidth + max(0, vg.Length(len(f.Lines)/2-1-i/2))}
	if i%2 == 1 {
		s.Width, s.Dashes = lineWidth, []vg.Length{5, 3}
	}
	return s
}

// saveLatency draws the curves over the number of nines, with a logarithmic latency axis.
func (f Curves) saveLatency(dir, name string) error {
	return Save(dir, name, 3.6*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, f.Title, f.Names, f.marks()...)
		p := New(f.XLabel, f.YLabel)
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, Decades{}
		p.X.Tick.Marker = nines
		if err := f.add(p); err != nil {
			return err
		}
		p.X.Min, p.X.Max = 0, archive.MostNines
		low, high := math.Floor(math.Log10(p.Y.Min)), math.Ceil(math.Log10(p.Y.Max))
		p.Y.Min, p.Y.Max = math.Pow(10, low), math.Pow(10, max(high, low+1))
		p.Draw(c)
		return nil
	})
}

var nines = plot.ConstantTicks{
	{Value: 0, Label: "0"}, {Value: 1, Label: "90"}, {Value: 2, Label: "99"}, {Value: 3, Label: "99.9"}, {Value: 4, Label: "99.99"}, {Value: 5, Label: "99.999"},
}
