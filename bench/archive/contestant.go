package archive

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Contestant holds the runs of one contestant.
type Contestant struct {
	Name  string
	Cells []Cell
}

// Plain holds the default parts, which a contestant's name leaves out.
var Plain = struct{ Admit, Retry, Table string }{"none", "immediate", "lockfree"}

// Contestants groups the cells by table, discipline, controller and retry policy, or by service and
// policy where the service is not ours, and names each group by the parts that differ. Invalid runs
// are left out. A contestant with invalid runs only is represented by its first run, and its name
// says so.
func Contestants(cells []Cell) []Contestant {
	parts := func(c Cell) [5]string {
		r := c.Manifest.Result
		if r.Engine == "target" {
			return [5]string{2: r.Retry, 4: c.Manifest.Target.Client.URL}
		}
		return [5]string{r.Queue, r.Admit, r.Retry, r.Table, ""}
	}
	var differs [5]bool
	for _, c := range cells {
		for i, p := range parts(c) {
			differs[i] = differs[i] || p != parts(cells[0])[i]
		}
	}
	differs[0] = true
	var groups []Contestant
	for _, c := range cells {
		var words []string
		for i, p := range parts(c) {
			if differs[i] && p != [5]string{"", Plain.Admit, Plain.Retry, Plain.Table, ""}[i] && p != "" {
				words = append(words, p)
			}
		}
		name := cmp.Or(strings.Join(words, " + "), c.Manifest.Result.Retry)
		at := slices.IndexFunc(groups, func(g Contestant) bool { return g.Name == name })
		if at < 0 {
			groups = append(groups, Contestant{Name: name})
			at = len(groups) - 1
		}
		groups[at].Cells = append(groups[at].Cells, c)
	}
	for i := range groups {
		g := &groups[i]
		if good := Valid(g.Cells); len(good) > 0 {
			g.Cells = good
		} else {
			g.Cells = g.Cells[:1]
			g.Name += ", INVALID"
		}
	}
	return groups
}

// Valid returns the cells whose runs are valid.
func Valid(cells []Cell) (good []Cell) {
	for _, c := range cells {
		if c.Manifest.Result.Valid {
			good = append(good, c)
		}
	}
	return good
}

// Title is the title of a figure: the scenario, its size, and remarks on the runs.
func Title(cells []Cell) string {
	r := cells[0].Manifest.Result
	t := fmt.Sprintf("%s: %s leases", r.Scenario, show.Count(r.Leases))
	if r.Broken > 0 {
		t += fmt.Sprintf(", %s broken", show.Count(r.Broken))
	}
	if r.Engine != "target" { // it does not say how many it has
		t += fmt.Sprintf(", %d worker%s", r.Workers, show.Plural(r.Workers))
	}
	low, high := math.Inf(1), 0.0
	seeds := map[uint64]bool{}
	drawn := Valid(cells)
	invalid := len(cells) - len(drawn)
	if len(drawn) == 0 {
		drawn = cells
	}
	for _, c := range drawn {
		low, high = min(low, c.Manifest.Result.Beta), max(high, c.Manifest.Result.Beta)
		seeds[c.Manifest.Result.Seed] = true
	}
	switch {
	case high == 0:
	case high-low < 0.005:
		t += fmt.Sprintf(", β = %.2f", high)
	default:
		t += fmt.Sprintf(", β = %.2f–%.2f", low, high)
	}
	if len(seeds) > 1 {
		t += fmt.Sprintf(", %d seeds", len(seeds))
	}
	if h := cells[0].Manifest.Host; r.OnHost() {
		t += fmt.Sprintf(", %d cores", h.Cores)
		if h.Virtual {
			t += " (virtual)"
		}
	}
	if r.Engine != "real" {
		t += ", " + r.Engine
	}
	if invalid > 0 {
		t += fmt.Sprintf("; %d invalid run%s", invalid, show.Plural(invalid))
	}
	return t
}

// Experiment names a cell's experiment: its scenario, and the number of broken leases if it is not
// that of most cells of the scenario.
func Experiment(cells []Cell, c Cell) string {
	votes := map[int]int{}
	for _, o := range cells {
		if o.Manifest.Result.Scenario == c.Manifest.Result.Scenario {
			votes[o.Manifest.Result.Broken]++
		}
	}
	most := c.Manifest.Result.Broken
	for b, n := range votes {
		if n > votes[most] || n == votes[most] && b > most {
			most = b
		}
	}
	if most != c.Manifest.Result.Broken {
		return fmt.Sprintf("%s-%d", c.Manifest.Result.Scenario, c.Manifest.Result.Broken)
	}
	return c.Manifest.Result.Scenario
}

// Experiments sorts cells by their experiment. names are in the order of the first cells.
func Experiments(cells []Cell) (names []string, of map[string][]Cell) {
	of = map[string][]Cell{}
	for _, c := range cells {
		name := Experiment(cells, c)
		if of[name] == nil {
			names = append(names, name)
		}
		of[name] = append(of[name], c)
	}
	return names, of
}
