package plot

import (
	"fmt"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// CompareFile is the name of the file with the rows of "leasestorm bench compare".
const CompareFile = "compare.json"

// compareRow is the part of a row that the figure uses.
type compareRow struct {
	Rank    *int   `json:"rank"`
	Queue   string `json:"queue"`
	Admit   string `json:"admit"`
	Retry   string `json:"retry"`
	Then    string `json:"then"`
	Engine  string `json:"engine"`
	Verdict string `json:"verdict"`
	TTR     *struct {
		Median float64 `json:"median"`
		Min    float64 `json:"min"`
		Max    float64 `json:"max"`
	} `json:"ttr_s"`
	Collapse struct {
		P float64 `json:"p"`
		N int     `json:"n"`
	} `json:"collapse_probability"`
	Eta  *float64 `json:"efficiency"`
	Runs []struct {
		Leases int     `json:"leases"`
		Broken int     `json:"broken"`
		Beta   float64 `json:"beta"`
		Valid  bool    `json:"valid"`
	} `json:"runs"`
}

func (r *compareRow) name() string {
	n := r.Queue
	if r.Admit != plain.admit {
		n += " / " + r.Admit
	}
	if r.Retry != plain.retry {
		n += " / " + r.Retry
	}
	if r.Then != "" {
		n += " → " + r.Then
	}
	return n
}

// drawCompare draws the rows of CompareFile, if it exists.
func drawCompare(dir string) ([]string, error) {
	path := filepath.Join(dir, CompareFile)
	var file struct {
		Rows []compareRow `json:"rows"`
	}
	if there, err := readResult(path, "rows of compare", &file); !there || err != nil {
		return nil, err
	}
	if len(file.Rows) == 0 || len(file.Rows[0].Runs) == 0 {
		return nil, fmt.Errorf("%s: no rows", path)
	}
	return []string{"compare"}, saveCompare(dir, "compare", file.Rows)
}

// bars draws the rows as bars of TTR, from top to bottom. It implements plot.Plotter.
type bars []compareRow

var (
	barRGB = color.RGBA{0x56, 0xb4, 0xe9, 0xff}
)

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, r := range b {
		at := float64(len(b) - i)
		low, high := y(at-0.35), y(at+0.35)
		s := style(tickSize)
		s.YAlign = draw.YCenter
		if r.TTR == nil {
			s.Color = lostRGB
			c.FillText(s, vg.Point{X: x(0) + 3, Y: y(at)}, r.Verdict)
			continue
		}
		right := x(r.TTR.Median)
		c.FillPolygon(barRGB, []vg.Point{{X: x(0), Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: x(0), Y: high}})
		c.StrokeLine2(draw.LineStyle{Color: color.Black, Width: 0.8}, x(r.TTR.Min), y(at), x(r.TTR.Max), y(at))
		label := fmt.Sprintf("%.2f s", r.TTR.Median)
		if r.Eta != nil {
			label += fmt.Sprintf(", η %.2f", *r.Eta)
		}
		if r.Collapse.P > 0 {
			label += fmt.Sprintf(", collapsed %.0f of %d", r.Collapse.P*float64(r.Collapse.N), r.Collapse.N)
		}
		c.FillText(s, vg.Point{X: max(right, x(r.TTR.Max)) + 3, Y: y(at)}, label)
	}
}

// names has each row's name at its bar, with its rank where others share it.
func names(rows []compareRow) plot.ConstantTicks {
	shared := map[int]int{} // by rank
	for _, r := range rows {
		if r.Rank != nil {
			shared[*r.Rank]++
		}
	}
	ticks := make(plot.ConstantTicks, len(rows))
	for i, r := range rows {
		ticks[i] = plot.Tick{Value: float64(len(rows) - i), Label: r.name()}
		if r.Rank != nil && shared[*r.Rank] > 1 {
			ticks[i].Label += fmt.Sprintf("  %d=", *r.Rank)
		}
	}
	return ticks
}

func saveCompare(dir, name string, rows []compareRow) error {
	longest := 0.0
	for _, r := range rows {
		if r.TTR != nil {
			longest = max(longest, r.TTR.Max)
		}
	}
	r := rows[0]
	run := r.Runs[0]
	for _, other := range r.Runs {
		if other.Valid {
			run = other
			break
		}
	}
	title := fmt.Sprintf("surge: %s leases, %s broken, β = %.2f, up to %d seed%s, %s engine", show.Count(run.Leases), show.Count(run.Broken), run.Beta, most(rows), plural(most(rows)), r.Engine)
	return save(dir, name, vg.Length(0.9+0.19*float64(len(rows)))*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, title, nil, mark{"median time to recover, with the extremes", draw.LineStyle{Color: barRGB, Width: 6}}, mark{"did not come back", draw.LineStyle{Color: lostRGB, Width: 1}})
		p := newPlot("time to recover (s)", "")
		p.Y.Tick.Marker = names(rows)
		p.Y.Tick.LineStyle.Width = 0
		p.Add(bars(rows))
		p.X.Min, p.X.Max = 0, max(1, 1.25*longest)
		p.Y.Min, p.Y.Max = 0.4, float64(len(rows))+0.6
		p.Draw(c)
		return nil
	})
}

func most(rows []compareRow) (n int) {
	for _, r := range rows {
		n = max(n, len(r.Runs))
	}
	return n
}
