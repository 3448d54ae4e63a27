package study

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Experiment is a plan with its runs.
type Experiment struct {
	Schema   int    `json:"schema"`
	Plan     Plan   `json:"plan"`
	Scenario string `json:"scenario_toml"` // to which each cell applies its assignments
	Title    string `json:"title"`
	Unit     string `json:"unit"`  // of the measure; "": a pure number
	Lower    bool   `json:"lower"` // less of the measure is better
	Back     bool   `json:"back"`  // the measure is of the runs that came back only
	Seeds    int    `json:"seeds"`
	Seed     uint64 `json:"seed"` // of the first
	Method
	Cells    []ExperimentCell `json:"cells"` // the last factor's level changes first
	Findings []string         `json:"findings"`
	Build    bench.BuildInfo  `json:"build"`
}

// ExperimentCell is a combination of levels over its seeds.
type ExperimentCell struct {
	At       []int       `json:"at"`  // level of each factor
	Set      []string    `json:"set"` // assignments
	Runs     int         `json:"runs"`
	Lost     int         `json:"lost"` // runs that did not come back
	Collapse Probability `json:"collapse_probability"`
	Value    *Spread     `json:"value"` // of the plan's measure; nil: no run has it
	TTR      *Spread     `json:"ttr_s"`
	Eta      *Spread     `json:"efficiency"`
	Idle     *Spread     `json:"idle"`
	Launches *Spread     `json:"launches_ok"`
	Wasted   *Spread     `json:"wasted_work"`
	Refused  string      `json:"refused,omitempty"` // why there is no such scenario
}

// experimentMeasure is a figure that an experiment is about.
type experimentMeasure struct {
	name, unit string
	lower      bool // less is better
	back       bool // of the runs that came back only
	of         measure
	scale      float64
}

var experimentMeasures = []experimentMeasure{
	{"ttr", "s", true, true, ttr, 1},
	{"ttr-hours", "h", true, true, ttr, 1. / 3600},
	{"efficiency", "%", false, true, efficiency, 100},
	{"idle", "%", true, true, idle, 100},
	{lostName, "%", true, false, lostShare, 100},
	{"launches", "%", false, false, launches, 100},
	{"wasted-work", "%", true, false, wasted, 100},
	{"healthy-lost", "leases", true, false, healthyLost, 1},
	{"goodput", "establishes/s", false, false, establishes, 1},
}

// lostName is the measure whose value is a share of the runs, not a median of them.
const lostName = "lost"

// lostShare is 1 for a run that did not come back.
func lostShare(r *bench.Result) *float64 {
	return oneIf(r.Verdict.Lost())
}

// MeasureNames are the measures that an experiment can be about.
func MeasureNames() (names []string) {
	for _, m := range experimentMeasures {
		names = append(names, m.name)
	}
	return names
}

func measureOf(name string) *experimentMeasure {
	for i := range experimentMeasures {
		if experimentMeasures[i].name == name {
			return &experimentMeasures[i]
		}
	}
	return nil
}

// Run runs the experiment's cells. A combination that is no scenario is a result.
func (e *Experiment) Run(ctx context.Context, runner bench.Runner, progress func(done, of int)) error {
	base, err := scenario.Parse("experiment.toml", []byte(e.Scenario))
	if err != nil {
		return err
	}
	if e.Seeds < 1 {
		return fmt.Errorf("%w: an experiment needs a seed at least", scenario.ErrScenario)
	}
	m := measureOf(e.Plan.Measure)
	fewest, largest := e.Plan.sizes(base)
	at, _ := atOnce(runner, largest)
	e.Seed = bench.DrawSeed(e.Seed)
	e.Schema, e.Build, e.Unit, e.Lower, e.Back = bench.ManifestSchema, bench.ReadBuildInfo(), m.unit, m.lower, m.back
	leases := show.Count(largest.Leases)
	if fewest < largest.Leases {
		leases = show.Count(fewest) + " to " + leases
	}
	e.Title = fmt.Sprintf("%s: %s leases, %d cells, %d seed%s each, %s", e.Plan.Name, leases, e.Plan.Cells(), e.Seeds, show.Plural(e.Seeds), runner.Name())
	e.Cells = make([]ExperimentCell, e.Plan.Cells())
	var done atomic.Int64
	err = each(ctx, runner, at, len(e.Cells), e.Seeds, func(ctx context.Context, i int) error {
		c, err := e.cell(ctx, runner, base, m, i)
		e.Cells[i] = c
		if n := done.Inc(); progress != nil {
			progress(int(n), len(e.Cells))
		}
		return err
	})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(e.Cells, func(c ExperimentCell) bool { return c.Refused == "" }) {
		return fmt.Errorf("%w: each of the %d cells is refused, the first because: %s", scenario.ErrScenario, len(e.Cells), e.Cells[0].Refused)
	}
	e.Findings = e.find()
	return nil
}

func (e *Experiment) cell(ctx context.Context, runner bench.Runner, s scenario.Scenario, m *experimentMeasure, i int) (ExperimentCell, error) {
	c := ExperimentCell{At: e.Plan.at(i)}
	c.Set = e.Plan.sets(c.At)
	if err := e.Plan.apply(&s, c.Set); err != nil {
		c.Refused = err.Error()
		return c, nil //nolint:nilerr // that there is no such scenario is a result
	}
	all, refused, err := point(ctx, runner, s, e.options(e.Seed), e.Seeds)
	if err != nil {
		return c, err
	}
	c.Refused = refused
	c.sum(all, m)
	return c, nil
}

// sum takes the valid runs together.
func (c *ExperimentCell) sum(all sample, m *experimentMeasure) {
	good := all.valid()
	back := good.back()
	c.Runs, c.Lost, c.Collapse = len(good), len(good)-len(back), good.collapse()
	of := good
	if m.back {
		of = back
	}
	c.Value = of.spread(func(r *bench.Result) *float64 {
		x := m.of(r)
		if x == nil {
			return nil
		}
		y := *x * m.scale
		return &y
	})
	c.TTR, c.Eta, c.Idle = back.spread(ttr), back.spread(efficiency), back.spread(idle)
	c.Launches, c.Wasted = good.spread(launches), good.spread(wasted)
	if m.name == lostName && c.Runs > 0 {
		x := m.scale * float64(c.Lost) / float64(c.Runs)
		c.Value = &Spread{Median: x, Min: x, Max: x, N: c.Runs}
	}
}

// sizes are the fewest leases of a cell, and the scenario of the cell with the most.
func (p *Plan) sizes(base scenario.Scenario) (fewest int, largest scenario.Scenario) {
	largest = base
	for i := range p.Cells() {
		s := base
		if p.apply(&s, p.sets(p.at(i))) != nil {
			continue // it will be refused
		}
		if fewest == 0 {
			fewest, largest = s.Leases, s
		}
		fewest = min(fewest, s.Leases)
		if s.Leases > largest.Leases {
			largest = s
		}
	}
	return fewest, largest
}

// index is the cell at those levels.
func (e *Experiment) index(at []int) int {
	i := 0
	for k, f := range e.Plan.Factors {
		i = i*len(f.Levels) + at[k]
	}
	return i
}

// failed says whether most runs of the cell did not come back, so that its value says nothing.
func (c *ExperimentCell) failed() bool { return c.Runs == 0 || 2*c.Lost > c.Runs }

// near is the largest ratio to the best at which a value counts as as good.
const near = 1.1

// find is what the cells say of the rows: of each row the share of combinations that it survives, those
// in which it is within a tenth of the best row, and its worst and its median ratio to that.
func (e *Experiment) find() (text []string) {
	p := &e.Plan
	r := p.factor(p.Rows)
	type row struct {
		of, survived, good int
		ratios             []float64
	}
	rows := make([]row, len(p.Factors[r].Levels))
	ratio := measureOf(p.Measure).back // only a time or a share above 0 has ratios
	for i := range e.Cells {
		at := p.at(i)
		if at[r] != 0 {
			continue
		}
		var best *float64
		each := func(do func(k int, c *ExperimentCell)) {
			for k := range rows {
				at[r] = k
				if c := &e.Cells[e.index(at)]; c.Refused == "" && c.Runs > 0 {
					do(k, c)
				}
			}
		}
		each(func(_ int, c *ExperimentCell) {
			if !c.failed() && c.Value != nil && (best == nil || e.better(c.Value.Median, *best)) {
				best = &c.Value.Median
			}
		})
		each(func(k int, c *ExperimentCell) {
			rows[k].of++
			if c.failed() {
				return
			}
			rows[k].survived++
			if c.Value == nil || best == nil {
				return
			}
			x, of := c.Value.Median, *best
			if !e.Lower {
				x, of = of, x
			}
			if x <= near*of {
				rows[k].good++
			}
			if ratio && of > 0 {
				rows[k].ratios = append(rows[k].ratios, x/of)
			}
		})
	}
	for k, w := range rows {
		line := fmt.Sprintf("%s: comes back in %d of %d, within 10 %% of the best in %d", p.Factors[r].Label(k), w.survived, w.of, w.good)
		if len(w.ratios) > 0 {
			line += fmt.Sprintf("; %s, to the best: median %.2f, worst %.2f", p.Measure, *medianOf(w.ratios), slices.Max(w.ratios))
		}
		text = append(text, line)
	}
	if !p.Ordered {
		return append(text, e.findColumns()...)
	}
	all, names := p.panels()
	for i, at := range all {
		text = append(text, e.findIn(at, names[i]))
	}
	return text
}

// findColumns is in how many combinations each column comes back.
func (e *Experiment) findColumns() (text []string) {
	p := &e.Plan
	c := p.factor(p.Columns)
	survived, of := make([]int, len(p.Factors[c].Levels)), make([]int, len(p.Factors[c].Levels))
	for i := range e.Cells {
		cell := &e.Cells[i]
		if cell.Refused != "" || cell.Runs == 0 {
			continue
		}
		of[cell.At[c]]++
		if !cell.failed() {
			survived[cell.At[c]]++
		}
	}
	for k := range of {
		text = append(text, fmt.Sprintf("%s %s: comes back in %d of %d", p.Columns, p.Factors[c].Label(k), survived[k], of[k]))
	}
	return text
}

// findIn is what a panel says: the best row where the columns' factor is at its last level, the first
// row that is within a tenth of it, and from which column on that row is as good as at the last.
func (e *Experiment) findIn(at []int, name string) string {
	p := &e.Plan
	r, c := p.factor(p.Rows), p.factor(p.Columns)
	last := len(p.Factors[c].Levels) - 1
	cell := func(row, column int) *ExperimentCell {
		at[r], at[c] = row, column
		return &e.Cells[e.index(at)]
	}
	value := func(row, column int) (float64, bool) {
		if x := cell(row, column); !x.failed() && x.Value != nil {
			return x.Value.Median, true
		}
		return 0, false
	}
	as := func(x, of float64) bool {
		if !e.Lower {
			x, of = of, x
		}
		return x <= near*of
	}
	best, of := -1, 0.0
	for k := range p.Factors[r].Levels {
		if x, ok := value(k, last); ok && (best < 0 || e.better(x, of)) {
			best, of = k, x
		}
	}
	where := fmt.Sprintf("%s %s", p.Columns, p.Factors[c].Label(last))
	if name != "" {
		where = name + ", " + where
	}
	if best < 0 {
		return where + ": no row comes back"
	}
	first := best
	for k := range best {
		if x, ok := value(k, last); ok && as(x, of) {
			first = k
			break
		}
	}
	from, own := last, 0.0
	own, _ = value(first, last)
	for ; from > 0; from-- {
		if x, ok := value(first, from-1); !ok || !as(x, own) {
			break
		}
	}
	text := fmt.Sprintf("%s: best %s with %.3g", where, p.Factors[r].Label(best), of)
	if first != best {
		text += fmt.Sprintf("; the first row within 10 %% of it is %s with %.3g", p.Factors[r].Label(first), own)
	}
	if from < last {
		text += fmt.Sprintf(", as good from %s %s on", p.Columns, p.Factors[c].Label(from))
	}
	return text
}

func (e *Experiment) better(x, than float64) bool {
	if e.Lower {
		return x < than
	}
	return x > than
}

// panels are the combinations of the factors beside rows and columns, with their names.
func (p *Plan) panels() (all [][]int, names []string) {
	r, c := p.factor(p.Rows), p.factor(p.Columns)
	for i := range p.Cells() {
		at := p.at(i)
		if at[r] != 0 || at[c] != 0 {
			continue
		}
		var name []string
		for k := range p.Factors {
			if k != r && k != c {
				name = append(name, p.Factors[k].Name+" "+p.Factors[k].Label(at[k]))
			}
		}
		all, names = append(all, at), append(names, strings.Join(name, ", "))
	}
	return all, names
}

// text is the cell for a person.
func (c *ExperimentCell) text(m *experimentMeasure) string {
	switch {
	case c.Refused != "":
		return "refused"
	case c.Runs == 0:
		return "–"
	case m.name == lostName:
		return fmt.Sprintf("%d/%d", c.Lost, c.Runs)
	case c.Value == nil:
		return "lost"
	case c.Lost > 0:
		return fmt.Sprintf("%.3g, lost %d of %d", c.Value.Median, c.Lost, c.Runs)
	}
	return fmt.Sprintf("%.3g", c.Value.Median)
}

// Text is a table for each panel, and the findings.
func (e *Experiment) Text() string {
	p := &e.Plan
	m := measureOf(p.Measure)
	r, c := p.factor(p.Rows), p.factor(p.Columns)
	var b strings.Builder
	of := "median "
	if p.Measure == lostName {
		of = "runs that are "
	}
	fmt.Fprintf(&b, "%s\n%s\n%s%s by %s and %s\n", p.Question, e.Title, of, show.WithUnit(p.Measure, e.Unit), p.Rows, p.Columns)
	all, names := p.panels()
	refused := map[string]int{}
	for i, at := range all {
		head := []string{p.Rows + " \\ " + p.Columns}
		for k := range p.Factors[c].Levels {
			head = append(head, p.Factors[c].Label(k))
		}
		table := [][]string{head}
		for k := range p.Factors[r].Levels {
			row := []string{p.Factors[r].Label(k)}
			for l := range p.Factors[c].Levels {
				at[r], at[c] = k, l
				cell := &e.Cells[e.index(at)]
				if cell.Refused != "" {
					refused[cell.Refused]++
				}
				row = append(row, cell.text(m))
			}
			table = append(table, row)
		}
		if len(names[i]) > 0 {
			fmt.Fprintf(&b, "\n%s", names[i])
		}
		fmt.Fprintf(&b, "\n%s", show.Columns(table))
	}
	for _, why := range slices.Sorted(maps.Keys(refused)) {
		n := refused[why]
		fmt.Fprintf(&b, "\n%d cell%s refused: %s\n", n, show.Plural(n), why)
	}
	fmt.Fprintf(&b, "\n%s\n", strings.Join(e.Findings, "\n"))
	return b.String()
}

// CSV is a row for each cell.
func (e *Experiment) CSV() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	head := []string{}
	for _, f := range e.Plan.Factors {
		head = append(head, f.Name)
	}
	head = append(head, "set", "runs", "lost", "collapse_probability", "collapse_low", "collapse_high")
	for _, name := range []string{"value", "ttr_s", "efficiency", "idle", "launches_ok", "wasted_work"} {
		head = append(head, name+"_median", name+"_min", name+"_max")
	}
	_ = w.Write(append(head, "refused"))
	for i := range e.Cells {
		c := &e.Cells[i]
		row := []string{}
		for k := range e.Plan.Factors {
			row = append(row, e.Plan.Factors[k].Label(c.At[k]))
		}
		row = append(row, strings.Join(c.Set, " "), fmt.Sprint(c.Runs), fmt.Sprint(c.Lost), show.Dash(c.Collapse.P, "%g"), fmt.Sprintf("%g", c.Collapse.Low), fmt.Sprintf("%g", c.Collapse.High))
		for _, s := range []*Spread{c.Value, c.TTR, c.Eta, c.Idle, c.Launches, c.Wasted} {
			if s == nil {
				row = append(row, "", "", "")
				continue
			}
			row = append(row, fmt.Sprintf("%g", s.Median), fmt.Sprintf("%g", s.Min), fmt.Sprintf("%g", s.Max))
		}
		_ = w.Write(append(row, c.Refused))
	}
	w.Flush()
	return b.Bytes()
}
