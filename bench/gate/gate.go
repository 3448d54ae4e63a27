// Package gate holds the runs in a result folder to requirements. It knows only files.
package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/require"
)

// ErrRequirement is returned, wrapped, for a requirement that does not parse. The error names the place.
var ErrRequirement = errors.New("bad requirement")

// ErrNoMatch is returned, wrapped, for a requirement that no run can be held to.
var ErrNoMatch = errors.New("no run can be held to it")

// Report says which requirements hold.
type Report struct {
	Schema   int      `json:"schema"`
	Folder   string   `json:"folder"`
	Checks   []Check  `json:"checks"`
	Invalid  []string `json:"invalid"`  // runs that are held to a requirement
	Problems []string `json:"problems"` // what of the folder is damaged or missing
}

// Check is a condition and a contestant.
type Check struct {
	Requirement string `json:"requirement"`
	Condition   string `json:"condition"`
	Experiment  string `json:"experiment"`
	Contestant  string `json:"contestant"`
	Runs        int    `json:"runs"` // valid ones
	Holds       bool   `json:"holds"`
	Got         string `json:"got"`
}

// asked is what of a run's scenario the requirements need.
type asked struct {
	Timeout string `toml:"timeout"`
	Require string `toml:"require"`
}

func askedOf(c archive.Cell) (a asked, timeout float64, err error) {
	if err := toml.Unmarshal([]byte(c.Manifest.Scenario), &a); err != nil {
		return a, 0, fmt.Errorf("%s: scenario_toml: %w", c.Folder, err)
	}
	d, err := time.ParseDuration(a.Timeout)
	if err != nil {
		return a, 0, fmt.Errorf("%s: scenario_toml: timeout: %w", c.Folder, err)
	}
	return a, d.Seconds(), nil
}

// group is the runs of one contestant in one experiment.
type group struct {
	experiment, contestant string
	cells, valid           []archive.Cell
}

// Folder holds the runs in dir to the requirements in texts, and to those of their scenarios. The error
// wraps ErrRequirement or ErrNoMatch if there is something wrong with a requirement.
func Folder(ctx context.Context, dir string, texts []string) (*Report, error) {
	var required []require.Requirement
	for _, text := range texts {
		some, err := require.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequirement, err)
		}
		required = append(required, some...)
	}
	cells, damaged, err := archive.Salvage(ctx, dir)
	if err != nil {
		return nil, err
	}
	if len(cells) == 0 {
		return nil, damaged[0]
	}
	r := &Report{Schema: 1, Folder: dir, Checks: []Check{}, Invalid: []string{}, Problems: []string{}}
	for _, d := range damaged {
		r.Problems = append(r.Problems, d.Error())
	}
	missing, err := archive.Missing(dir)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%s: %d of the suite's runs are missing, the first is %s", dir, len(missing), missing[0]))
	}
	cells = archive.Settle(cells)
	for _, q := range required {
		if err := r.require(q, cells, cells); err != nil {
			return nil, err
		}
	}
	own, err := r.scenarios(cells)
	if err != nil {
		return nil, err
	}
	if own+len(required) == 0 {
		return nil, fmt.Errorf("%w: nothing is required: neither --require nor a key require in the scenarios of the runs", ErrNoMatch)
	}
	r.Invalid = slices.Compact(slices.Sorted(slices.Values(r.Invalid)))
	return r, nil
}

// scenarios holds the runs to what their own scenarios require, and returns the number of requirements.
func (r *Report) scenarios(cells []archive.Cell) (n int, err error) {
	type source struct{ scenario, text string }
	by := map[source][]archive.Cell{}
	var order []source
	for _, c := range cells {
		a, _, err := askedOf(c)
		if err != nil {
			return 0, err
		}
		if a.Require == "" {
			continue
		}
		s := source{c.Manifest.Result.Scenario, a.Require}
		if by[s] == nil {
			order = append(order, s)
		}
		by[s] = append(by[s], c)
	}
	for _, s := range order {
		all, err := require.Parse(s.text)
		if err != nil {
			return 0, fmt.Errorf("%s: %w: the scenario's own: %w", by[s][0].Folder, ErrRequirement, err)
		}
		for _, q := range all {
			n++
			if err := r.require(q, by[s], cells); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// require holds the runs to one requirement. all are those of the folder.
func (r *Report) require(q require.Requirement, cells, all []archive.Cell) error {
	groups := groupsOf(cells, all, q.Select)
	if len(groups) == 0 {
		var names []string
		for _, g := range groupsOf(cells, all, nil) {
			names = append(names, g.experiment+" "+g.contestant)
		}
		return fmt.Errorf("%w: %s: no contestant matches; there are: %s", ErrNoMatch, q.Text, strings.Join(names, ", "))
	}
	for _, g := range groups {
		for _, c := range g.cells {
			if !c.Manifest.Result.Valid {
				r.Invalid = append(r.Invalid, fmt.Sprintf("%s: %s", c.Folder, cmp.Or(c.Manifest.Result.Why, "no reason is given")))
			}
		}
		for i := range q.Conds {
			if len(g.valid) == 0 {
				continue
			}
			check := Check{Requirement: q.Text, Condition: q.Conds[i].Text, Experiment: g.experiment, Contestant: g.contestant, Runs: len(g.valid)}
			if q.Window != nil {
				check.Condition = q.Window.Text + ": " + check.Condition
			}
			var err error
			if check.Holds, check.Got, err = hold(&q.Conds[i], q.Window, g.valid); err != nil {
				return fmt.Errorf("%s: %w", q.Text, err)
			}
			r.Checks = append(r.Checks, check)
		}
	}
	return nil
}

// Failed are the checks that do not hold.
func (r *Report) Failed() (all []Check) {
	for _, c := range r.Checks {
		if !c.Holds {
			all = append(all, c)
		}
	}
	return all
}

// groupsOf are the contestants of the cells that are selected, in order.
func groupsOf(cells, all []archive.Cell, selected [][2]string) (groups []group) {
	for _, c := range cells {
		r := &c.Manifest.Result
		is := map[string]string{
			"scenario": r.Scenario, "queue": r.Queue, "admit": r.Admit, "retry": r.Retry, "table": r.Table, "then": r.Then,
			"engine": r.Engine, "broken": fmt.Sprint(r.Broken),
		}
		if slices.ContainsFunc(selected, func(s [2]string) bool { return is[s[0]] != s[1] }) {
			continue
		}
		experiment, contestant := archive.Experiment(all, c), r.Name()
		at := slices.IndexFunc(groups, func(g group) bool { return g.experiment == experiment && g.contestant == contestant })
		if at < 0 {
			at = len(groups)
			groups = append(groups, group{experiment: experiment, contestant: contestant})
		}
		g := &groups[at]
		if g.cells = append(g.cells, c); r.Valid {
			g.valid = append(g.valid, c)
		}
	}
	return groups
}

// hold says whether a condition holds for valid runs, and what they have.
func hold(c *require.Condition, w *require.Window, cells []archive.Cell) (holds bool, got string, err error) {
	if c.Over == "share" {
		n := 0
		for _, cell := range cells {
			ok, _, err := hold(c.Inner, w, []archive.Cell{cell})
			if err != nil {
				return false, "", err
			}
			if ok {
				n++
			}
		}
		share := float64(n) / float64(len(cells))
		return c.Holds(share), fmt.Sprintf("%d of %d runs", n, len(cells)), nil
	}
	if c.Verdict != "" {
		for _, cell := range cells {
			if r := &cell.Manifest.Result; (r.Verdict == c.Verdict) != (c.Op == "==") {
				return false, fmt.Sprintf("seed %d: %s", r.Seed, r.Verdict), nil
			}
		}
		return true, runs(len(cells)), nil
	}
	_, timeout, err := askedOf(cells[0])
	if err != nil {
		return false, "", err
	}
	limit := *c
	if c.Unit == "τ" {
		limit.Value *= timeout
	}
	var xs []float64
	for _, cell := range cells {
		x, none, err := value(c, w, cell)
		seed := fmt.Sprintf("seed %d: ", cell.Manifest.Result.Seed)
		switch {
		case err != nil:
			return false, "", err
		case none == over: // it came back before the window begins
			continue
		case none != "":
			return false, seed + none, nil
		case c.Over == "" && !limit.Holds(x):
			return false, seed + c.Show(x), nil
		}
		xs = append(xs, x)
	}
	if len(xs) == 0 {
		return true, over, nil
	}
	slices.Sort(xs)
	if c.Over == "" {
		return true, spread(c, xs), nil
	}
	x := together(c, xs)
	return limit.Holds(x), fmt.Sprintf("%s of %s", c.Show(x), runs(len(cells))), nil
}

func runs(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

func spread(c *require.Condition, sorted []float64) string {
	low, high := c.Show(sorted[0]), c.Show(sorted[len(sorted)-1])
	if low != high {
		low += "–" + high
	}
	return low + ", " + runs(len(sorted))
}

// together takes sorted values of several runs together.
func together(c *require.Condition, sorted []float64) float64 {
	if q, ok := c.Quantile(); ok {
		return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
	}
	switch c.Over {
	case "min":
		return sorted[0]
	case "max":
		return sorted[len(sorted)-1]
	}
	sum := 0.0
	for _, x := range sorted {
		sum += x
	}
	return sum / float64(len(sorted))
}

// value is a measure of a run. none says why there is none.
func value(c *require.Condition, w *require.Window, cell archive.Cell) (x float64, none string, err error) {
	if w != nil {
		return inWindow(c, w, cell)
	}
	m, ok := archive.FindMeasure(c.Measure.Name)
	if !ok {
		return 0, "", fmt.Errorf("no run has a %s", c.Measure.Name) // the parser knows them all
	}
	got := m.Of(&cell.Manifest.Result)
	switch {
	case got != nil:
		return *got, "", nil
	case c.Measure.Name == "ttr":
		return math.Inf(1), "", nil // it takes longer than any limit
	}
	return 0, "it has no " + c.Measure.Name, nil
}
