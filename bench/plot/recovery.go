package plot

import (
	"slices"
	"strings"
)

// Recovery is the data of a figure of recovery curves: panels over the time since the dependency's
// return, with one line per contestant.
type Recovery struct {
	Title    string
	Outage   float64 // length of the outage, in s
	Operator float64 // the operator's first action, in s after the return; 0: none
	Panels   []Panel
	Names    []string // legend: Names[i] is that of Lines[i] in every panel
}

// Panel is a panel of one quantity.
type Panel struct {
	Label string // the quantity and its unit
	Lines []Line // one per name of the figure
}

// Line is the median over a contestant's runs, with the extremes as a band.
type Line struct {
	X, Y      []float64
	Low, High []float64 // extremes of Y; nil: there is one run
}

// median appends the point x with the median and the extremes of ys, one value per run.
func (l *Line) median(x float64, ys []float64) {
	slices.Sort(ys)
	l.X = append(l.X, x)
	l.Y = append(l.Y, (ys[(len(ys)-1)/2]+ys[len(ys)/2])/2)
	l.Low, l.High = append(l.Low, ys[0]), append(l.High, ys[len(ys)-1])
}

// group holds the runs of one contestant.
type group struct {
	name  string
	cells []Cell
}

// plain holds the default parts, which a contestant's name leaves out.
var plain = struct{ admit, retry, table string }{"none", "immediate", "lockfree"}

// contestants groups the cells by table, discipline, controller and retry policy, and names each
// group by the parts that differ. Invalid runs are left out. A contestant with invalid runs only is
// represented by its first run, and its name says so.
func contestants(cells []Cell) []group {
	parts := func(c Cell) [4]string {
		r := c.Manifest.Result
		return [4]string{r.Queue, r.Admit, r.Retry, r.Table}
	}
	var differs [4]bool
	for _, c := range cells {
		for i, p := range parts(c) {
			differs[i] = differs[i] || p != parts(cells[0])[i]
		}
	}
	differs[0] = true
	var groups []group
	for _, c := range cells {
		var words []string
		for i, p := range parts(c) {
			if differs[i] && p != [4]string{"", plain.admit, plain.retry, plain.table}[i] {
				words = append(words, p)
			}
		}
		name := strings.Join(words, " + ")
		at := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if at < 0 {
			groups = append(groups, group{name: name})
			at = len(groups) - 1
		}
		groups[at].cells = append(groups[at].cells, c)
	}
	for i := range groups {
		g := &groups[i]
		if good := valid(g.cells); len(good) > 0 {
			g.cells = good
		} else {
			g.cells = g.cells[:1]
			g.name += ", INVALID"
		}
	}
	return groups
}

func valid(cells []Cell) (good []Cell) {
	for _, c := range cells {
		if c.Manifest.Result.Valid {
			good = append(good, c)
		}
	}
	return good
}

type quantity struct {
	label string
	of    func(c Cell, i int) float64
}

// launchPanel is the quantity that customers see: the share of launches that succeed.
var launchPanel = quantity{"launches that succeed (%)", func(c Cell, i int) float64 {
	good, asked := 0.0, 0.0
	for k := max(0, i-9); k <= i; k++ { // over the last second: launches are few
		good += c.Series["good_launch"][k]
		asked += c.Series["offered_launch"][k]
	}
	if asked == 0 {
		return 100
	}
	return min(100, 100*good/asked)
}}

// recoveryPanels are the quantities of the figure, one per panel.
var recoveryPanels = []quantity{
	{"active leases (%)", func(c Cell, i int) float64 {
		return 100 * c.Series["active"][i] / float64(c.Manifest.Result.Leases)
	}},
	{"queued (attempts)", func(c Cell, i int) float64 { return c.Series["queued"][i] }},
	{"good establishes (%)", func(c Cell, i int) float64 {
		dt := c.Series["t_s"][0]
		if i > 0 {
			dt = c.Series["t_s"][i] - c.Series["t_s"][i-1]
		}
		return 100 * c.Series["good_establish"][i] / dt / c.Manifest.Result.Capacity
	}},
}

// NewRecovery returns the figure's data for the runs of one scenario with an outage.
func NewRecovery(cells []Cell) Recovery {
	var f Recovery
	panels := recoveryPanels
	for _, n := range cells[0].Series["offered_launch"] {
		if n > 0 {
			panels = append(slices.Clone(panels), launchPanel)
			break
		}
	}
	for _, g := range contestants(cells) {
		f.Names = append(f.Names, g.name)
		for p, panel := range panels {
			if len(f.Panels) <= p {
				f.Panels = append(f.Panels, Panel{Label: panel.label})
			}
			f.Panels[p].Lines = append(f.Panels[p].Lines, merge(g.cells, panel.of))
		}
	}
	m := &cells[0].Manifest
	from, _ := m.Phase("outage")
	to, _ := m.Phase("return")
	f.Outage = to - from
	if at, ok := m.Phase("operator"); ok {
		f.Operator = at - to
	}
	f.Title = title(cells)
	return f
}

// merge returns the median and the extremes over the runs, step by step. A run counts until its
// end.
func merge(cells []Cell, of func(Cell, int) float64) Line {
	var l Line
	at := map[int][]float64{} // by tenths of a second from the return
	for _, c := range cells {
		to, _ := c.Manifest.Phase("return")
		for i, t := range c.Series["t_s"] {
			k := int((t-to)*10 + 1000.5)
			at[k] = append(at[k], of(c, i))
		}
	}
	steps := make([]int, 0, len(at))
	for k := range at {
		steps = append(steps, k)
	}
	slices.Sort(steps)
	for _, k := range steps {
		l.median(float64(k-1000)/10, at[k])
	}
	if len(cells) == 1 {
		l.Low, l.High = nil, nil
	}
	return l
}
