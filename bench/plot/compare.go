package plot

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// CompareFile is the name of the file with the rows of "leasestorm rank", "remedy" and "fairness".
const CompareFile = "compare.json"

// compareRow is the part of a row that the figure uses.
type compareRow struct {
	Rank    *int   `json:"rank"`
	N       *int   `json:"n"` // valid runs; older files have none
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
		N      int     `json:"n"`
	} `json:"ttr_s"`
	Collapse struct {
		P float64 `json:"p"`
		N int     `json:"n"`
	} `json:"collapse_probability"`
	Eta  *float64 `json:"efficiency"`
	Runs []struct {
		Scenario string  `json:"scenario"`
		Leases   int     `json:"leases"`
		Broken   int     `json:"broken"`
		Beta     float64 `json:"beta"`
		Valid    bool    `json:"valid"`
		Because  string  `json:"invalid_because"`
	} `json:"runs"`
}

func (r *compareRow) name() string {
	n := r.Queue
	if r.Admit != archive.Plain.Admit {
		n += " / " + r.Admit
	}
	if r.Retry != archive.Plain.Retry {
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
	if there, err := archive.ReadResult(path, "rows of compare", &file); !there || err != nil {
		return nil, err
	}
	if len(file.Rows) == 0 || len(file.Rows[0].Runs) == 0 {
		return nil, fmt.Errorf("%s: no rows", path)
	}
	return []string{"compare"}, saveCompare(dir, "compare", file.Rows)
}

// n is the number of valid runs.
func (r *compareRow) n() int {
	if r.N != nil {
		return *r.N
	}
	return r.Collapse.N
}

// families are the kinds of contestants, each with its own part of the figure.
var families = []string{"disciplines", "admission controllers", "retry policies", "switched on after the collapse"}

// family is the part of the contestant that is on trial, as an index of families.
func (r *compareRow) family() int {
	switch {
	case r.Then != "":
		return 3
	case r.Admit != archive.Plain.Admit:
		return 1
	case r.Retry != archive.Plain.Retry:
		return 2
	}
	return 0
}

// label stands at the end of a bar: the median, the extremes, n, and what else happened. One run
// has no extremes.
func (r *compareRow) label() string {
	n := r.n()
	if n == 0 {
		return "no valid run" + r.spoilt()
	}
	runs := fmt.Sprintf("n = %d", n)
	if n == 1 {
		runs += ", no spread"
	}
	if r.TTR == nil {
		return r.Verdict + ", " + runs + r.spoilt()
	}
	text := fmt.Sprintf("%.2f s", r.TTR.Median)
	if n > 1 && r.TTR.N != 1 {
		text += fmt.Sprintf(" (%.2f–%.2f)", r.TTR.Min, r.TTR.Max)
	}
	if r.Eta != nil {
		text += fmt.Sprintf(", η %.2f", *r.Eta)
	}
	if r.TTR.N > 0 && r.TTR.N < n {
		text += fmt.Sprintf(", came back %d of", r.TTR.N)
	}
	text += ", " + runs
	if r.Collapse.P > 0 {
		text += fmt.Sprintf(", collapsed %.0f of %d", r.Collapse.P*float64(r.Collapse.N), r.Collapse.N)
	}
	return strings.Replace(text, " of, n = ", " of n = ", 1) + r.spoilt()
}

// spoilt says how many runs are invalid, and why the first is, as far as its first clause: the table
// has the numbers.
func (r *compareRow) spoilt() string {
	n, why := 0, ""
	for _, run := range r.Runs {
		if run.Valid {
			continue
		}
		if n++; n == 1 {
			why = run.Because
			if end := strings.IndexAny(why, ":;,"); end >= 0 {
				why = why[:end]
			}
		}
	}
	switch {
	case n == 0:
		return ""
	case why == "":
		return fmt.Sprintf(", %d invalid", n)
	}
	return fmt.Sprintf(", %d invalid: %s", n, why)
}

// bar is a line of the figure: the head of a family, or a contestant.
type bar struct {
	head string
	row  *compareRow
	name string // with its rank
	tie  int    // rows with the same number, if it is not 0, share a rank
}

// bars draws lines from top to bottom. It implements plot.Plotter.
type bars []bar

// newBars puts the rows into families; within a family their order stays.
func newBars(rows []compareRow) (all bars) {
	shared := map[int]int{} // by rank
	for _, r := range rows {
		if r.Rank != nil {
			shared[*r.Rank]++
		}
	}
	for k, head := range families {
		first := true
		for i := range rows {
			r := &rows[i]
			if r.family() != k {
				continue
			}
			if first {
				all, first = append(all, bar{head: head}), false
			}
			b := bar{row: r, name: r.name()}
			switch {
			case r.Rank == nil:
			case shared[*r.Rank] > 1:
				b.name, b.tie = fmt.Sprintf("%s (%d=)", b.name, *r.Rank), *r.Rank
			default:
				b.name = fmt.Sprintf("%s (%d)", b.name, *r.Rank)
			}
			all = append(all, b)
		}
	}
	return all
}

var (
	barRGB    = color.RGBA{0x56, 0xb4, 0xe9, 0xff}
	barStyle  = draw.LineStyle{Color: color.RGBA{0x00, 0x72, 0xb2, 0xff}, Width: 0.8, Dashes: []vg.Length{2, 1.5}}
	tieRGB    = color.Gray{0xee}
	spanStyle = draw.LineStyle{Color: color.Black, Width: 0.8}
)

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := func(i int) float64 { return float64(len(b) - i) }
	box := func(left, low, right, high vg.Length) []vg.Point {
		return []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}}
	}
	for from := 0; from < len(b); {
		to := from + 1
		for to < len(b) && b[to].tie == b[from].tie && b[to].row != nil {
			to++
		}
		if b[from].tie > 0 && to > from+1 { // a group of equal rank, with a line that holds it together
			low, high := y(at(to-1)-0.46), y(at(from)+0.46)
			c.FillPolygon(tieRGB, box(c.Min.X, low, c.Max.X, high))
			c.StrokeLine2(draw.LineStyle{Color: grey, Width: 1.5}, c.Min.X, low, c.Min.X, high)
		}
		from = to
	}
	for i, l := range b {
		s := style(tickSize)
		s.YAlign = draw.YCenter
		low, high := y(at(i)-0.33), y(at(i)+0.33)
		if l.row == nil {
			s = style(labelSize)
			s.YAlign = draw.YCenter
			c.FillText(s, vg.Point{X: x(0) + 3, Y: y(at(i))}, l.head)
			continue
		}
		write := func(left vg.Length) {
			c.FillText(s, vg.Point{X: left, Y: y(at(i))}, fitted(s, l.row.label(), c.Max.X-left))
		}
		if l.row.TTR == nil {
			s.Color = lostRGB
			write(x(0) + 3)
			continue
		}
		right := x(l.row.TTR.Median)
		whole := box(x(0), low, right, high)
		if l.row.n() == 1 {
			c.StrokeLines(barStyle, append(whole, whole[0]))
		} else {
			c.FillPolygon(barRGB, whole)
			for _, end := range []float64{l.row.TTR.Min, l.row.TTR.Max} {
				c.StrokeLine2(spanStyle, x(end), y(at(i)-0.2), x(end), y(at(i)+0.2))
			}
			c.StrokeLine2(spanStyle, x(l.row.TTR.Min), y(at(i)), x(l.row.TTR.Max), y(at(i)))
			right = max(right, x(l.row.TTR.Max))
		}
		write(right + 4)
	}
}

// fitted is text, cut after a word to be no wider than room.
func fitted(s text.Style, text string, room vg.Length) string {
	for cut := text; s.Width(text) > room; text = cut + " …" {
		end := strings.LastIndexByte(cut, ' ')
		if end < 0 {
			return text
		}
		cut = cut[:end]
	}
	return text
}

// names has each row's name at its bar.
func (b bars) names() plot.ConstantTicks {
	var all plot.ConstantTicks
	for i, l := range b {
		if l.row != nil {
			all = append(all, plot.Tick{Value: float64(len(b) - i), Label: l.name})
		}
	}
	return all
}

// end is where the axis ends, so that all labels fit beside their bars.
func (b bars) end() float64 {
	s := style(tickSize)
	var names vg.Length
	for _, l := range b {
		names = max(names, s.Width(l.name))
	}
	room := width - 2*margin - names - 20
	end := 1.0
	for _, l := range b {
		if l.row != nil && l.row.TTR != nil {
			share := float64((room - s.Width(l.row.label()) - 8) / room)
			end = max(end, l.row.TTR.Max/max(0.2, share))
		}
	}
	return end
}

// compareTitle is the scenario of the rows, and how many runs they have.
func compareTitle(rows []compareRow) string {
	run := rows[0].Runs[0]
	for _, other := range rows[0].Runs {
		if other.Valid {
			run = other
			break
		}
	}
	if run.Scenario == "" {
		run.Scenario = "surge"
	}
	low, high := rows[0].n(), rows[0].n()
	for i := range rows {
		low, high = min(low, rows[i].n()), max(high, rows[i].n())
	}
	runs := fmt.Sprintf("n = %d", high)
	if low < high {
		runs = fmt.Sprintf("n = %d–%d", low, high)
	}
	if low <= 1 {
		runs += " (of one run there is no spread: not for publication)"
	}
	return fmt.Sprintf("%s: %s leases, %s broken, β = %.2f, %s engine; %s", run.Scenario, show.Count(run.Leases), show.Count(run.Broken), run.Beta, rows[0].Engine, runs)
}

// marks are the entries of the legend: those of what is drawn.
func (b bars) marks() (all []mark) {
	var several, one, lost, ranked, tied bool
	for _, l := range b {
		if l.row != nil {
			came := l.row.TTR != nil
			several, one, lost = several || came && l.row.n() != 1, one || came && l.row.n() == 1, lost || !came
			ranked, tied = ranked || l.row.Rank != nil, tied || l.tie > 0
		}
	}
	for _, m := range []struct {
		is bool
		mark
	}{
		{several, mark{text: "median time to recover, with the extremes", line: draw.LineStyle{Color: barRGB, Width: 6}}},
		{one, mark{text: "one run", line: barStyle}},
		{lost, mark{text: "did not come back", line: draw.LineStyle{Color: lostRGB, Width: 1}}},
		{tied, mark{text: "(k=): of equal rank, not told apart by the rank tests", line: draw.LineStyle{Color: tieRGB, Width: 8}}},
		{!ranked, mark{text: "this file has no ranks", note: true}},
	} {
		if m.is {
			all = append(all, m.mark)
		}
	}
	return all
}

func saveCompare(dir, name string, rows []compareRow) error {
	b := newBars(rows)
	return Save(dir, name, vg.Length(1.05+0.18*float64(len(b)))*vg.Inch, func(c draw.Canvas) error {
		c = legend(c, compareTitle(rows), nil, b.marks()...)
		p := New("time to recover (s)", "")
		p.Y.Tick.Marker = b.names()
		p.Y.Tick.LineStyle.Width = 0
		p.Add(b)
		p.X.Min, p.X.Max = 0, b.end()
		p.Y.Min, p.Y.Max = 0.4, float64(len(b))+0.6
		p.Draw(c)
		return nil
	})
}
