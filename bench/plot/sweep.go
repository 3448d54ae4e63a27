package plot

import (
	"fmt"
	"path/filepath"

	"github.com/leasestorm/leasestorm/bench/archive"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// SweepFile is the name of the file with the points of "leasestorm sweep".
const SweepFile = "sweep.json"

type extremes struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// drawSweep draws the points of SweepFile, if it exists: TTR above, idle share below.
func drawSweep(dir string) ([]string, error) {
	path := filepath.Join(dir, SweepFile)
	var f struct {
		Title       string   `json:"title"`
		X           mapAxis  `json:"x"`
		Contestants []string `json:"contestants"`
		Points      []struct {
			Contestant int       `json:"contestant"`
			X          float64   `json:"x"`
			TTR        *extremes `json:"ttr_s"`
			Idle       *extremes `json:"idle"`
		} `json:"points"`
	}
	if there, err := archive.ReadResult(path, "a sweep", &f); !there || err != nil {
		return nil, err
	}
	if len(f.Contestants) == 0 || len(f.Points) == 0 {
		return nil, fmt.Errorf("%s: no points", path)
	}
	if err := f.X.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ttr, idle := make([]archive.Line, len(f.Contestants)), make([]archive.Line, len(f.Contestants))
	add := func(l *archive.Line, x float64, e *extremes, scale float64) {
		if e != nil {
			l.X, l.Y = append(l.X, x), append(l.Y, scale*e.Median)
			l.Low, l.High = append(l.Low, scale*e.Min), append(l.High, scale*e.Max)
		}
	}
	for _, p := range f.Points {
		if p.Contestant < 0 || p.Contestant >= len(f.Contestants) {
			return nil, fmt.Errorf("%s: a point of contestant %d of %d", path, p.Contestant, len(f.Contestants))
		}
		if slack := 1e-9 * (f.X.High - f.X.Low); p.X < f.X.Low-slack || p.X > f.X.High+slack || f.X.Log && p.X <= 0 {
			return nil, fmt.Errorf("%s: a point at %g, outside the axis", path, p.X)
		}
		add(&ttr[p.Contestant], p.X, p.TTR, 1)
		add(&idle[p.Contestant], p.X, p.Idle, 100)
	}
	name := "sweep-" + f.X.Axis
	return []string{name}, Save(dir, name, 4.6*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, grouped(f.Title)+"; no line where it does not come back", f.Contestants)
		plots := make([][]*plot.Plot, 2)
		for i, panel := range []struct {
			label string
			lines []archive.Line
		}{{"TTR (s)", ttr}, {"idle in the recovery (%)", idle}} {
			p := New("", panel.label)
			if i == 1 {
				p.X.Label.Text = f.X.label()
			}
			for k, l := range panel.lines {
				if len(l.X) == 0 {
					continue
				}
				if err := addLine(p, l, lineStyle(k)); err != nil {
					return err
				}
			}
			p.X.Min, p.X.Max, p.Y.Min = f.X.Low, f.X.High, 0
			if f.X.Log {
				p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, Decades{}
			}
			plots[i] = []*plot.Plot{p}
		}
		canvases := plot.Align(plots, draw.Tiles{Rows: 2, Cols: 1, PadY: 8}, c)
		for i := range plots {
			plots[i][0].Draw(canvases[i][0])
		}
		return nil
	})
}
