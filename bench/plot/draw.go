package plot

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// title says what a figure is of: scenario, size, and what a reader must know.
func title(cells []Cell) string {
	r := cells[0].Manifest.Result
	t := fmt.Sprintf("%s: %s leases, %s broken, %d worker%s", r.Scenario, thousands(r.Leases), thousands(r.Broken), r.Workers, plural(r.Workers))
	low, high := math.Inf(1), 0.0
	seeds := map[uint64]bool{}
	invalid := 0
	for _, c := range cells {
		low, high = min(low, c.Manifest.Result.Beta), max(high, c.Manifest.Result.Beta)
		seeds[c.Manifest.Result.Seed] = true
		if !c.Manifest.Result.Valid {
			invalid++
		}
	}
	if high-low < 0.005 {
		t += fmt.Sprintf(", β = %.2f", high)
	} else {
		t += fmt.Sprintf(", β = %.2f–%.2f", low, high)
	}
	if len(seeds) > 1 {
		t += fmt.Sprintf(", %d seeds", len(seeds))
	}
	if r.Engine != "real" {
		t += ", " + r.Engine
	}
	if invalid > 0 {
		t += fmt.Sprintf("; %d INVALID runs", invalid)
	}
	return t
}

// thousands writes a count in groups of three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// Draw makes all figures that the runs in a folder allow, into that folder, and
// returns their names.
func Draw(dir string) ([]string, error) {
	cells, err := Load(dir)
	if err != nil {
		return nil, err
	}
	byScenario := map[string][]Cell{}
	var scenarios []string
	for _, c := range cells {
		name := c.Manifest.Result.Scenario
		if _, outage := c.Manifest.Phase("return"); !outage {
			continue
		}
		if byScenario[name] == nil {
			scenarios = append(scenarios, name)
		}
		byScenario[name] = append(byScenario[name], c)
	}
	var made []string
	for _, s := range scenarios {
		name := "recovery-" + s
		if err := NewRecovery(byScenario[s]).save(dir, name); err != nil {
			return made, err
		}
		made = append(made, name)
	}
	return made, nil
}

// save draws the figure: panels under each other, with one time axis.
func (f Recovery) save(dir, name string) error {
	return save(dir, name, 6.4*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, f.Title, f.Names)
		low, high := math.Inf(1), math.Inf(-1)
		for _, l := range f.Panels[0].Lines {
			low, high = min(low, l.X[0]), max(high, l.X[len(l.X)-1])
		}
		plots := make([][]*plot.Plot, len(f.Panels))
		for i, panel := range f.Panels {
			p := newPlot("", panel.Label)
			if i == len(f.Panels)-1 {
				p.X.Label.Text = "time since the dependency's return (s)"
			}
			p.Add(outage{f.Outage, i == 0})
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

// outage shades the time before 0 in which the dependency is away.
type outage struct {
	seconds float64
	named   bool
}

// Plot implements plot.Plotter.
func (o outage) Plot(c draw.Canvas, p *plot.Plot) {
	if o.seconds <= 0 {
		return
	}
	x, _ := p.Transforms(&c)
	left, right := x(-o.seconds), x(0)
	c.FillPolygon(shade, []vg.Point{{X: left, Y: c.Min.Y}, {X: right, Y: c.Min.Y}, {X: right, Y: c.Max.Y}, {X: left, Y: c.Max.Y}})
	if o.named {
		s := style(tickSize)
		s.Color, s.XAlign, s.YAlign = grey, draw.XCenter, draw.YBottom
		c.FillText(s, vg.Point{X: (left + right) / 2, Y: c.Min.Y + 2}, "outage")
	}
}
