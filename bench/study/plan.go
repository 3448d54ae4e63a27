package study

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/docs"
)

// Plan is an experiment before it is run: a question, the factors whose levels are combined, and what
// a combination sets. The built-in ones are files that a reader can open, and a user writes others in
// the same form.
type Plan struct {
	Name     string   `toml:"name" json:"name"`
	Question string   `toml:"question" json:"question"`
	Scenario string   `toml:"scenario" json:"scenario"` // name of a built-in one, to which Set is applied
	Set      []string `toml:"set" json:"set"`           // assignments key=value
	// Cell are the assignments of each combination: keys of a scenario, axes as in beta=2.67,
	// contestant=QUEUE/ADMIT/RETRY, or scenario=NAME, which takes the place of the scenario.
	// {factor} stands for the factor's level. A level may hold such places itself, of factors
	// behind its own.
	Cell    []string `toml:"cell" json:"cell"`
	Measure string   `toml:"measure" json:"measure"` // name of one of Measures, which the figure shows
	// Rows and Columns are the factors of a panel of the figure. There is a panel for each
	// combination of the others.
	Rows    string `toml:"rows" json:"rows"`
	Columns string `toml:"columns" json:"columns"`
	Ordered bool   `toml:"ordered" json:"ordered"` // the columns' levels have an order, and the last is the fullest
	// Relative colours a value of the figure by its ratio to the best one of its column.
	Relative bool     `toml:"relative" json:"relative"`
	Factors  []Factor `toml:"factor" json:"factors"`
}

// Factor is what is varied.
type Factor struct {
	Name   string   `toml:"name" json:"name"`
	About  string   `toml:"about" json:"about"` // what a level is, with its unit
	Levels []string `toml:"levels" json:"levels"`
	Labels []string `toml:"labels" json:"labels"` // of the levels; none: the levels themselves
}

// Label is the name of a level in tables and figures.
func (f *Factor) Label(level int) string {
	if len(f.Labels) > 0 {
		return f.Labels[level]
	}
	return f.Levels[level]
}

//go:embed experiments/*.toml
var planFiles embed.FS

// Plans are the built-in experiments, in the order of their names.
func Plans() (all []Plan) {
	names, err := planFiles.ReadDir("experiments")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, n := range names {
		text, err := planFiles.ReadFile("experiments/" + n.Name())
		if err != nil {
			panic(err)
		}
		p, err := ParsePlan(n.Name(), text)
		if err != nil {
			panic(err)
		}
		all = append(all, p)
	}
	return all
}

// LoadPlan returns the built-in experiment of that name, or the one in a file whose name ends in .toml,
// and its text.
func LoadPlan(name string) (p Plan, text []byte, err error) {
	if strings.HasSuffix(name, ".toml") {
		if text, err = os.ReadFile(name); err != nil {
			return p, nil, fmt.Errorf("%w: %w", scenario.ErrScenario, err)
		}
		p, err = ParsePlan(filepath.Base(name), text)
		return p, text, err
	}
	var names []string
	for _, p := range Plans() {
		if p.Name == name {
			return p, []byte(PlanText(name)), nil
		}
		names = append(names, p.Name)
	}
	return p, nil, fmt.Errorf("%w: there is no experiment %q; there are: %s, and files NAME.toml", scenario.ErrScenario, name, strings.Join(names, ", "))
}

// PlanText is a built-in experiment's file.
func PlanText(name string) string {
	text, _ := planFiles.ReadFile("experiments/" + name + ".toml")
	return string(text)
}

// mostCells is the largest grid.
const mostCells = 100_000

// ParsePlan reads and checks an experiment in TOML. file is its name in errors, which wrap
// scenario.ErrScenario.
func ParsePlan(file string, text []byte) (p Plan, err error) {
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := e.Position()
			return p, fmt.Errorf("%s:%d:%d: %w: %s", file, line, column, scenario.ErrScenario, strings.TrimPrefix(e.Error(), "toml: "))
		}
		return p, fmt.Errorf("%s: %w: %w: there are name, question, scenario, set, cell, measure, rows, columns, ordered, relative, and [[factor]] with name, about, levels, labels", file, scenario.ErrScenario, err)
	}
	if err := p.check(); err != nil {
		return p, fmt.Errorf("%s: %w: %w", file, scenario.ErrScenario, err)
	}
	return p, nil
}

func (p *Plan) check() error {
	switch {
	case p.Name == "" || strings.ContainsFunc(p.Name, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }):
		return fmt.Errorf("name %q: want small letters, digits and '-'", p.Name)
	case len(p.Cell) == 0:
		return errors.New("cell is empty: want what a combination sets, as in admit=limit+{estimator}")
	case measureOf(p.Measure) == nil:
		return fmt.Errorf("there is no measure %q; there are: %s", p.Measure, strings.Join(MeasureNames(), ", "))
	case p.Relative && !measureOf(p.Measure).lower:
		return fmt.Errorf("relative: want a measure of which less is better, not %s", p.Measure)
	case p.factor(p.Rows) < 0 || p.factor(p.Columns) < 0 || p.Rows == p.Columns:
		return fmt.Errorf("rows %q and columns %q: want two of the factors", p.Rows, p.Columns)
	}
	cells := 1
	for i, f := range p.Factors {
		switch {
		case f.Name == "" || p.factor(f.Name) != i:
			return fmt.Errorf("factor %d: a name of its own is missing", i+1)
		case len(f.Levels) == 0:
			return fmt.Errorf("factor %s: it has no levels", f.Name)
		case len(f.Labels) != 0 && len(f.Labels) != len(f.Levels):
			return fmt.Errorf("factor %s: %d labels for %d levels", f.Name, len(f.Labels), len(f.Levels))
		case !strings.Contains(strings.Join(p.all(), " "), "{"+f.Name+"}"):
			return fmt.Errorf("factor %s: neither cell nor a level has {%s}", f.Name, f.Name)
		}
		if cells *= len(f.Levels); cells > mostCells {
			return fmt.Errorf("there are more than %d combinations", mostCells)
		}
	}
	for _, set := range p.Cell {
		if err := p.placed(set, 0); err != nil {
			return err
		}
	}
	for i, f := range p.Factors {
		for _, level := range f.Levels {
			if err := p.placed(level, i+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// places are where a factor's level is put.
var places = regexp.MustCompile(`\{[^{}]*\}?`)

// placed says which place of a text is of none of the factors from the first on.
func (p *Plan) placed(text string, first int) error {
	for _, at := range places.FindAllString(text, -1) {
		if k := p.factor(strings.Trim(at, "{}")); k < first || !strings.HasSuffix(at, "}") {
			return fmt.Errorf("%q: there is no factor for %s behind its own", text, at)
		}
	}
	return nil
}

// all is where a factor's place may be.
func (p *Plan) all() []string {
	all := slices.Clone(p.Cell)
	for _, f := range p.Factors {
		all = append(all, f.Levels...)
	}
	return all
}

// factor is the factor's index, or −1.
func (p *Plan) factor(name string) int {
	return slices.IndexFunc(p.Factors, func(f Factor) bool { return f.Name == name })
}

// Cells is the number of combinations.
func (p *Plan) Cells() int {
	n := 1
	for _, f := range p.Factors {
		n *= len(f.Levels)
	}
	return n
}

// at is the level of each factor in the i-th combination. The last factor's changes first.
func (p *Plan) at(i int) []int {
	at := make([]int, len(p.Factors))
	for k := len(at) - 1; k >= 0; k-- {
		n := len(p.Factors[k].Levels)
		at[k], i = i%n, i/n
	}
	return at
}

// sets are the assignments of a combination. A level may have several, with a semicolon between
// them. An empty one is left out.
func (p *Plan) sets(at []int) (sets []string) {
	for _, set := range p.Cell {
		for k, f := range p.Factors {
			set = strings.ReplaceAll(set, "{"+f.Name+"}", f.Levels[at[k]])
		}
		for one := range strings.SplitSeq(set, ";") {
			if one != "" {
				sets = append(sets, one)
			}
		}
	}
	return sets
}

// apply sets what a combination sets.
func (p *Plan) apply(s *scenario.Scenario, sets []string) error {
	for _, set := range sets {
		name, value, _ := strings.Cut(set, "=")
		switch name {
		case scenarioName:
			if err := swap(s, value); err != nil {
				return err
			}
			continue
		case "contestant":
			if err := s.Contest(value); err != nil {
				return err
			}
			continue
		}
		if !slices.ContainsFunc(scenario.Keys(), func(k scenario.Key) bool { return k.Name == name }) {
			a, err := scenario.FindAxis(name)
			if err != nil {
				return fmt.Errorf("%w: %q is neither a key nor an axis", scenario.ErrScenario, name)
			}
			x, err := strconv.ParseFloat(value, 64)
			if err == nil {
				err = a.Set(s, x)
			}
			if err != nil {
				return fmt.Errorf("%w: %s: %w", scenario.ErrScenario, set, err)
			}
			continue
		}
		if err := s.Set(set); err != nil {
			return err
		}
	}
	return s.Validate()
}

// swap replaces a scenario by another built-in or worked one, scaled down to as many leases.
func swap(s *scenario.Scenario, name string) error {
	other, err := scenario.Load(name)
	if err != nil {
		text, none := docs.Scenarios.ReadFile("examples/scenarios/" + name + ".toml")
		if none != nil {
			return err
		}
		if other, err = scenario.Parse(name+".toml", text); err != nil {
			return err
		}
	}
	other.Shrink(s.Leases)
	*s = other
	return nil
}

// Names are what the cells assign to, each once: keys, axes, contestant and scenario.
func (p *Plan) Names() (names []string) {
	seen := map[string]bool{}
	for i := range p.Cells() {
		for _, set := range p.sets(p.at(i)) {
			if name, _, _ := strings.Cut(set, "="); !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// Keys are the keys that the experiment sets itself: in its cells, which a user cannot overrule.
func (p *Plan) Keys() (keys []string) {
	for _, name := range p.Names() {
		switch name {
		case "beta":
			keys = append(keys, "broken") // which it sets
		case "contestant":
			keys = append(keys, "queue", "admit", "retry")
		case scenarioName: // it takes the place of all but the size
			for _, k := range scenario.Keys() {
				if k.Name != "leases" {
					keys = append(keys, k.Name)
				}
			}
		default:
			keys = append(keys, p.keysOf(name)...)
		}
	}
	return keys
}

// keysOf are the keys that a key or an axis sets.
func (p *Plan) keysOf(name string) (keys []string) {
	a, err := scenario.FindAxis(name)
	if err != nil || slices.ContainsFunc(scenario.Keys(), func(k scenario.Key) bool { return k.Name == name }) {
		return []string{name}
	}
	if part, _, of := strings.Cut(name, "."); of {
		return []string{part}
	}
	base, err := p.Base()
	if err != nil {
		return []string{name}
	}
	for i := range p.Cells() {
		for _, set := range p.sets(p.at(i)) {
			axis, value, _ := strings.Cut(set, "=")
			x, err := strconv.ParseFloat(value, 64)
			if axis != name || err != nil {
				continue
			}
			for _, x := range []float64{x, 0.99 * x, 1.01 * x} { // x may be the base's
				moved := base
				if a.Set(&moved, x) != nil {
					continue
				}
				for _, set := range moved.Differences(&base) {
					if key, _, _ := strings.Cut(set, "="); !slices.Contains(keys, key) {
						keys = append(keys, key)
					}
				}
			}
		}
	}
	return keys
}

// scenarioName is what a cell assigns a whole scenario to.
const scenarioName = "scenario"

// Swaps says whether the cells are scenarios of their own, so that the plan's is not used.
func (p *Plan) Swaps() bool { return slices.Contains(p.Names(), scenarioName) }

// Base is the scenario of the plan alone.
func (p *Plan) Base() (scenario.Scenario, error) {
	s, err := scenario.Load(p.Scenario)
	if err == nil {
		err = s.Set(p.Set...)
	}
	return s, err
}
