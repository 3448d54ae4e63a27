package plot

import (
	"slices"

	"github.com/leasestorm/leasestorm/bench/archive"
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
	Label string         // the quantity and its unit
	Lines []archive.Line // one per name of the figure
}

type quantity struct {
	label string
	of    func(c archive.Cell, i int) float64
}

// launchPanel is the quantity that customers see: the share of launches that succeed.
var launchPanel = quantity{"launches that succeed (%)", func(c archive.Cell, i int) float64 {
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
	{"active leases (%)", func(c archive.Cell, i int) float64 {
		return 100 * c.Series["active"][i] / float64(c.Manifest.Result.Leases)
	}},
	{"queued (attempts)", func(c archive.Cell, i int) float64 { return c.Series["queued"][i] }},
	{"good establishes (%)", func(c archive.Cell, i int) float64 {
		dt := c.Series["t_s"][0]
		if i > 0 {
			dt = c.Series["t_s"][i] - c.Series["t_s"][i-1]
		}
		return 100 * c.Series["good_establish"][i] / dt / c.Manifest.Result.Capacity
	}},
}

// NewRecovery returns the figure's data for the runs of one scenario with an outage.
func NewRecovery(cells []archive.Cell) Recovery {
	var f Recovery
	panels := recoveryPanels
	for _, n := range cells[0].Series["offered_launch"] {
		if n > 0 {
			panels = append(slices.Clone(panels), launchPanel)
			break
		}
	}
	for _, g := range archive.Contestants(cells) {
		f.Names = append(f.Names, g.Name)
		for p, panel := range panels {
			if len(f.Panels) <= p {
				f.Panels = append(f.Panels, Panel{Label: panel.label})
			}
			f.Panels[p].Lines = append(f.Panels[p].Lines, archive.Median(g.Cells, panel.of))
		}
	}
	m := &cells[0].Manifest
	from, _ := m.Phase("outage")
	to, _ := m.Phase("return")
	f.Outage = to - from
	if at, ok := m.Phase("operator"); ok {
		f.Operator = at - to
	}
	f.Title = archive.Title(cells)
	return f
}
