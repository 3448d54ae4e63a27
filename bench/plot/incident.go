package plot

import (
	"fmt"
	"math"
	"path/filepath"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// incidentFile is what a replay of the outage leaves in its folder.
const incidentFile = "incident.json"

// Incident is the part of a replay's incident.json that the figure uses.
type Incident struct {
	Schema   int       `json:"schema"`
	Title    string    `json:"title"`
	Begin    time.Time `json:"begin"` // the clock time of 0 s
	Outages  []Span    `json:"outages"`
	Operator []struct {
		At   float64 `json:"at_s"`
		What string  `json:"what"`
	} `json:"operator"`
	Variants []struct {
		Name   string `json:"name"`
		Series string `json:"series"` // file
	} `json:"variants"`
}

// Span is a length of time, in s.
type Span struct {
	From float64 `json:"from_s"`
	To   float64 `json:"to_s"`
}

// incidentPanels are the panels of the figure, from cause to effect: a column of the series, its
// label, and a factor for it.
var incidentPanels = []struct {
	column, label string
	factor        float64
}{
	{"records", "records", 1},
	{"active_share", "leases (%)", 100},
	{"queued", "queue (10³)", 1e-3},
	{"good_check_per_s", "checks (1/s)", 1},
	{"good_establish_per_s", "establ. (1/s)", 1},
	{"launch_ok_share", "launches (%)", 100},
	{"network_backlog", "network (10³)", 1e-3},
	{"targets_share", "targets (%)", 100},
	{"services_up", "services up", 1},
}

func drawIncident(dir string) ([]string, error) {
	var f Incident
	there, err := archive.ReadResult(filepath.Join(dir, incidentFile), "the result of an incident", &f)
	if !there || err != nil {
		return nil, err
	}
	fig := incidentFigure{Incident: f}
	for _, v := range f.Variants {
		path := filepath.Join(dir, filepath.Base(v.Series))
		text, err := files.Read(path)
		if err != nil {
			return nil, err
		}
		s, err := archive.ParseTable(text, func(column string) bool { return column == "launch_ok_share" })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, panel := range incidentPanels {
			if len(s[panel.column]) == 0 || len(s["t_s"]) == 0 {
				return nil, fmt.Errorf("%s: no column %s, or none of t_s", path, panel.column)
			}
		}
		fig.series = append(fig.series, s)
	}
	if len(fig.series) == 0 {
		return nil, fmt.Errorf("%s: no series to draw", filepath.Join(dir, incidentFile))
	}
	return []string{"incident.svg", "incident.png"}, fig.save(dir, "incident")
}

// incidentFigure draws the panels one below the other over the day.
type incidentFigure struct {
	Incident
	series []archive.Series
}

// incidentWidth is that of the one figure that is wider than a page's column.
const incidentWidth = 10 * vg.Inch

func (f incidentFigure) save(dir, name string) error {
	height := vg.Length(1.1+0.95*float64(len(incidentPanels))) * vg.Inch
	return saveAs(dir, name, incidentWidth, height, func(c draw.Canvas) error {
		var names []string
		for _, v := range f.Variants {
			names = append(names, v.Name)
		}
		if len(names) == 1 {
			names = nil
		}
		c = legend(c, f.Title, names, f.legend()...)
		plots := make([][]*plot.Plot, len(incidentPanels))
		for i, panel := range incidentPanels {
			p := New("", panel.label)
			p.Add(f)
			top := 0.0
			for k, s := range f.series {
				l := archive.Line{}
				for j, t := range s["t_s"] {
					if y := s[panel.column][j]; !math.IsNaN(y) {
						l.X, l.Y = append(l.X, t), append(l.Y, panel.factor*y)
						top = max(top, panel.factor*y)
					}
				}
				if err := addLine(p, l, lineStyle(k)); err != nil {
					return err
				}
			}
			times := f.series[0]["t_s"]
			p.X.Min, p.X.Max = times[0], times[len(times)-1]
			p.Y.Min, p.Y.Max = 0, max(p.Y.Max, 1.05*top)
			p.Y.Tick.Marker = few{}
			p.X.Tick.Marker = clock{f.Begin, i == len(incidentPanels)-1}
			if i == len(incidentPanels)-1 {
				p.X.Label.Text = "time of day: PDT above, UTC below"
			}
			plots[i] = []*plot.Plot{p}
		}
		canvases := plot.Align(plots, draw.Tiles{Rows: len(plots), Cols: 1, PadY: 5}, c)
		for i := range plots {
			plots[i][0].Draw(canvases[i][0])
		}
		return nil
	})
}

// legend names the operator's actions by the numbers that stand at their lines.
func (f incidentFigure) legend() []mark {
	var m []mark
	if len(f.Outages) > 0 {
		m = append(m, mark{text: "the name has no records"})
	}
	if len(f.Operator) > 0 {
		m = append(m, mark{text: "the operator acts:", line: operatorStyle})
	}
	for i, o := range f.Operator {
		at := f.Begin.Add(time.Duration(o.At * float64(time.Second)))
		m = append(m, mark{text: fmt.Sprintf("%d  %s %s", i+1, at.Format("15:04"), o.What), note: true})
	}
	return m
}

// Plot implements plot.Plotter. It marks the outages and the operator's actions.
func (f incidentFigure) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, o := range f.Outages {
		left, right := x(o.From), x(min(o.To, p.X.Max))
		c.FillPolygon(shade, []vg.Point{{X: left, Y: c.Min.Y}, {X: right, Y: c.Min.Y}, {X: right, Y: c.Max.Y}, {X: left, Y: c.Max.Y}})
	}
	s := style(tickSize - 1)
	s.Color = grey
	last := -math.MaxFloat64
	for i, o := range f.Operator {
		at := x(o.At)
		c.StrokeLine2(operatorStyle, at, c.Min.Y, at, c.Max.Y)
		if text := fmt.Sprint(i + 1); float64(at)-last > float64(s.Width(text))+2 { // else the number before covers it
			c.FillText(s, vg.Point{X: at + 1.5, Y: c.Max.Y - tickSize}, text)
			last = float64(at)
		}
	}
}

// clock are ticks at whole hours, in local time and UTC where labelled.
type clock struct {
	begin    time.Time
	labelled bool
}

func (k clock) Ticks(low, high float64) (all []plot.Tick) {
	first := k.begin.Add(time.Duration(low * float64(time.Second)))
	for t := first.Truncate(time.Hour); ; t = t.Add(time.Hour) {
		at := t.Sub(k.begin).Seconds()
		if at > high {
			return all
		}
		if at < low {
			continue
		}
		label := ""
		if k.labelled {
			label = t.In(k.begin.Location()).Format("15:04") + "\n" + t.UTC().Format("15:04")
		}
		all = append(all, plot.Tick{Value: at, Label: label})
	}
}

// few are ticks for a low panel: at 0 and at one or two more values.
type few struct{}

func (few) Ticks(low, high float64) []plot.Tick {
	all := ticks{}.Ticks(low, high)
	for len(all) > 4 {
		var half []plot.Tick
		for i := 0; i < len(all); i += 2 {
			half = append(half, all[i])
		}
		all = half
	}
	return all
}
