package plot

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// ExperimentFile is the name of the file with the cells of "leasestorm experiment".
const ExperimentFile = "experiment.json"

type experimentFactor struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels"`
	Labels []string `json:"labels"`
}

func (f *experimentFactor) label(i int) string {
	if len(f.Labels) == len(f.Levels) {
		return f.Labels[i]
	}
	return f.Levels[i]
}

type experimentCell struct {
	At       []int `json:"at"`
	Runs     int   `json:"runs"`
	Lost     int   `json:"lost"`
	Collapse struct {
		P *float64 `json:"p"`
	} `json:"collapse_probability"`
	Value   *extremes `json:"value"`
	Refused string    `json:"refused"`
}

type experimentFile struct {
	Title string `json:"title"`
	Unit  string `json:"unit"`
	Back  bool   `json:"back"` // the measure is of the runs that came back only
	Plan  struct {
		Name     string             `json:"name"`
		Question string             `json:"question"`
		Measure  string             `json:"measure"`
		Rows     string             `json:"rows"`
		Columns  string             `json:"columns"`
		Relative bool               `json:"relative"`
		Factors  []experimentFactor `json:"factors"`
	} `json:"plan"`
	Cells []experimentCell `json:"cells"`

	rows, columns int // indices of factors
	shades        ramp
	shaded        bool
}

// drawExperiment draws the cells of ExperimentFile, if it exists: a matrix of rows by columns for each
// combination of the other factors.
func drawExperiment(dir string) ([]string, error) {
	path := filepath.Join(dir, ExperimentFile)
	var f experimentFile
	if there, err := archive.ReadResult(path, "an experiment", &f); !there || err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var values []float64
	for i := range f.Cells {
		if c := &f.Cells[i]; c.Value != nil && !f.failed(c) {
			values = append(values, f.worth(c))
		}
	}
	f.shades, f.shaded = newRamp(values)
	name := "experiment-" + f.Plan.Name
	panels := f.panels()
	across := 1
	if len(f.Plan.Factors[f.columns].Levels) <= 8 && len(panels) > 1 {
		across = 2
	}
	down := (len(panels) + across - 1) / across
	rows := len(f.Plan.Factors[f.rows].Levels)
	const line = 13
	head := vg.Length(2.6 * line)
	panel := vg.Length(rows)*line + head
	return []string{name}, Save(dir, name, vg.Length(down)*panel+vg.Length(76), func(c draw.Canvas) error {
		c = legend(c, f.Plan.Question+"; "+grouped(f.Title), nil, f.marks()...)
		if f.shaded {
			c = f.shades.bar(c, f.shadesAre())
		}
		wide := (c.Max.X - c.Min.X) / vg.Length(across)
		labels := vg.Length(0)
		s := style(tickSize)
		for i := range rows {
			labels = max(labels, s.Width(f.Plan.Factors[f.rows].label(i)))
		}
		for i, at := range panels {
			x, y := c.Min.X+wide*vg.Length(i%across), c.Max.Y-panel*vg.Length(i/across)
			f.panel(c, at, x, y, wide-8, labels+6, line)
		}
		return nil
	})
}

// check says what of the file cannot be drawn.
func (f *experimentFile) check() error {
	f.rows, f.columns = -1, -1
	cells := 1
	for i, a := range f.Plan.Factors {
		if len(a.Levels) == 0 {
			return fmt.Errorf("factor %q has no levels", a.Name)
		}
		cells *= len(a.Levels)
		switch a.Name {
		case f.Plan.Rows:
			f.rows = i
		case f.Plan.Columns:
			f.columns = i
		}
	}
	for i := range f.Cells {
		if at := f.Cells[i].At; len(at) != len(f.Plan.Factors) || f.index(at) != i {
			return fmt.Errorf("cell %d is at %v: not an experiment", i, at)
		}
	}
	if f.rows < 0 || f.columns < 0 || cells != len(f.Cells) || !isName(f.Plan.Name) {
		return fmt.Errorf("%d cells of %d, by %q and %q: not an experiment", len(f.Cells), cells, f.Plan.Rows, f.Plan.Columns)
	}
	return nil
}

// isName says whether a name can be a part of a file's.
func isName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// what is the measure with its unit.
func (f *experimentFile) what() string {
	text := "median " + f.Plan.Measure
	switch f.Plan.Measure {
	case "ttr":
		text = "median time to recover"
	case "lost":
		text = "share of runs that do not come back"
	}
	return show.WithUnit(text, f.Unit)
}

func (f *experimentFile) marks() []mark {
	box := func(text string, of color.Color) mark {
		return mark{text: text, line: draw.LineStyle{Color: of, Width: 6}}
	}
	refused, none, lost, some := false, false, false, false
	for _, c := range f.Cells {
		refused = refused || c.Refused != ""
		none = none || c.Refused == "" && c.Runs == 0
		lost = lost || f.failed(&c)
		some = some || c.Lost > 0 && !f.failed(&c) && f.Plan.Measure != "lost"
	}
	var all []mark
	if lost {
		all = append(all, box("most runs do not come back (share)", lostRGB))
	}
	if some {
		all = append(all, mark{text: "*: not all runs come back", note: true})
	}
	if refused {
		all = append(all, box("no such scenario", noneRGB))
	}
	if none {
		all = append(all, mark{text: "–: no valid run", note: true})
	}
	return all
}

// panels are the levels of each panel; those of rows and columns are 0.
func (f *experimentFile) panels() (all [][]int) {
	for _, c := range f.Cells {
		if c.At[f.rows] == 0 && c.At[f.columns] == 0 {
			all = append(all, c.At)
		}
	}
	return all
}

// index is the cell at those levels, or −1.
func (f *experimentFile) index(at []int) int {
	i := 0
	for k, a := range f.Plan.Factors {
		if at[k] < 0 || at[k] >= len(a.Levels) {
			return -1
		}
		i = i*len(a.Levels) + at[k]
	}
	return i
}

// cell is the cell of a panel.
func (f *experimentFile) cell(at []int, row, column int) *experimentCell {
	at = slices.Clone(at)
	at[f.rows], at[f.columns] = row, column
	return &f.Cells[f.index(at)]
}

// worth is what the cell's colour shows: its value, or its ratio to the best one of its column.
func (f *experimentFile) worth(c *experimentCell) float64 {
	if !f.Plan.Relative {
		return c.Value.Median
	}
	best := c.Value.Median
	for row := range f.Plan.Factors[f.rows].Levels {
		if other := f.cell(c.At, row, c.At[f.columns]); other.Value != nil && !f.failed(other) {
			best = min(best, other.Value.Median)
		}
	}
	if best <= 0 {
		return 1 // of two times of nothing there is no ratio
	}
	return c.Value.Median / best
}

// shadesAre says what the colours show.
func (f *experimentFile) shadesAre() string {
	if f.Plan.Relative {
		return "text: " + f.what() + "; colour: its ratio to the best of the column"
	}
	return f.what()
}

// failed says whether most runs did not come back, and the measure is not of them or counts them.
func (f *experimentFile) failed(c *experimentCell) bool {
	return c.Runs > 0 && 2*c.Lost > c.Runs && (f.Back || f.Plan.Measure == "lost")
}

// panel draws a matrix with its upper left corner at x, y.
func (f *experimentFile) panel(c draw.Canvas, at []int, x, y, wide, labels, line vg.Length) {
	rows, columns := &f.Plan.Factors[f.rows], &f.Plan.Factors[f.columns]
	var name []string
	for k, a := range f.Plan.Factors {
		if k != f.rows && k != f.columns {
			name = append(name, a.Name+" "+a.label(at[k]))
		}
	}
	s := style(labelSize)
	s.YAlign = draw.YCenter
	c.FillText(s, vg.Point{X: x, Y: y - line/2}, strings.Join(name, ", "))
	small := style(tickSize)
	small.YAlign = draw.YCenter
	middle := small
	middle.XAlign = draw.XCenter
	each := (wide - labels) / vg.Length(len(columns.Levels))
	c.FillText(small, vg.Point{X: x, Y: y - 1.6*line}, rows.Name+" \\ "+columns.Name)
	for j := range columns.Levels {
		c.FillText(middle, vg.Point{X: x + labels + each*(vg.Length(j)+0.5), Y: y - 1.6*line}, columns.label(j))
	}
	for i := range rows.Levels {
		top := y - 2.2*line - line*vg.Length(i)
		c.FillText(small, vg.Point{X: x, Y: top - line/2}, rows.label(i))
		for j := range columns.Levels {
			cell := f.cell(at, i, j)
			left := x + labels + each*vg.Length(j)
			of, text, dark := f.look(cell)
			c.FillPolygon(of, []vg.Point{{X: left, Y: top}, {X: left + each - 1, Y: top}, {X: left + each - 1, Y: top - line + 1}, {X: left, Y: top - line + 1}})
			t := middle
			if dark {
				t.Color = color.White
			}
			c.FillText(t, vg.Point{X: left + each/2, Y: top - line/2}, text)
		}
	}
}

// look is the colour and the text of a cell, and whether the colour is a dark one.
func (f *experimentFile) look(c *experimentCell) (color.Color, string, bool) {
	switch {
	case c.Refused != "":
		return noneRGB, "", false
	case f.failed(c):
		return lostRGB, fmt.Sprintf("%d/%d", c.Lost, c.Runs), true
	case c.Runs == 0:
		return noneRGB, "–", false
	case c.Value == nil || !f.shaded:
		return survivesRGB, "–", false
	case f.Plan.Measure == "lost":
		u := f.shades.place(f.worth(c))
		return f.shades.colour(u), fmt.Sprintf("%d/%d", c.Lost, c.Runs), u > 0.6
	}
	u := f.shades.place(f.worth(c))
	text := digits(c.Value.Median)
	if c.Lost > 0 {
		text += "*"
	}
	return f.shades.colour(u), text, u > 0.6
}

// digits is a number of three digits.
func digits(x float64) string {
	if a := math.Abs(x); a >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
