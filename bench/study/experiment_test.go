package study

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

const tinyPlan = `name = "tiny"
question = "Which order?"
scenario = "surge"
set = ["leases=2000", "broken=200", "duration=10s"]
cell = ["beta={surge}", "queue={order}{more}", "retry={client}"]
measure = "ttr"
rows = "order"
columns = "surge"
ordered = true

[[factor]]
name = "client"
about = "the policy"
levels = ["immediate"]

[[factor]]
name = "order"
about = "the discipline"
levels = ["fifo", "deadline", "lifo"]

[[factor]]
name = "more"
about = "nothing, or a parameter that deadline alone has"
levels = ["", ":margin=0"]
labels = ["plain", "margin 0"]

[[factor]]
name = "surge"
about = "β"
levels = ["0.67", "2.67"]
`

func tinyExperiment(t *testing.T) *Experiment {
	t.Helper()
	p, err := ParsePlan("tiny.toml", []byte(tinyPlan))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Base()
	if err != nil {
		t.Fatal(err)
	}
	return &Experiment{Plan: p, Scenario: s.TOML(), Seeds: 2, Seed: 1}
}

// All combinations are run, each as its assignments say; one that is no scenario is refused with its
// reason; the same seed gives the same bytes.
func TestExperiment(t *testing.T) {
	e, again := tinyExperiment(t), tinyExperiment(t)
	for _, x := range []*Experiment{e, again} {
		if err := x.Run(t.Context(), bench.Virtual{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var texts [2]strings.Builder
	for i, x := range []*Experiment{e, again} {
		if err := record.JSON(x)(&texts[i]); err != nil {
			t.Fatal(err)
		}
	}
	if texts[0].String() != texts[1].String() || string(e.CSV()) != string(again.CSV()) || e.Text() != again.Text() {
		t.Error("the same seed gives another experiment")
	}
	if len(e.Cells) != 12 {
		t.Fatalf("%d cells", len(e.Cells))
	}
	for i := range e.Cells {
		c := &e.Cells[i]
		if e.index(c.At) != i {
			t.Errorf("cell %d is at %v", i, c.At)
		}
		order, margin := e.Plan.Factors[1].Levels[c.At[1]], c.At[2] == 1
		if refused := margin && order != "deadline"; refused != (c.Refused != "") || !refused && c.Runs != 2 {
			t.Errorf("%v: %d runs, refused %q", c.Set, c.Runs, c.Refused)
			continue
		}
		if c.Refused == "" && (c.Lost == 2) != (order == "fifo" && c.At[3] == 1) {
			t.Errorf("%v: %d lost", c.Set, c.Lost)
		}
		// A cell is what run makes of the same assignments.
		if order == "deadline" && c.At[3] == 1 {
			s, err := scenario.Parse("", []byte(e.Scenario))
			if err == nil {
				err = e.Plan.apply(&s, c.Set)
			}
			if err != nil {
				t.Fatal(err)
			}
			res, err := bench.Virtual{}.Run(t.Context(), s, bench.Options{Seed: 1, MaxQueue: hopeless})
			if err != nil || *res.TTR != c.TTR.Min && *res.TTR != c.TTR.Max {
				t.Errorf("%v: %v, %v; the cell has %v", c.Set, err, res.TTR, c.TTR)
			}
		}
	}
	text := e.Text()
	for _, want := range []string{"Which order?", "client immediate, more plain", "client immediate, more margin 0", "refused: ", "lost", "deadline: comes back in 4 of 4", "fifo: comes back in 1 of 2", "surge 2.67: best "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if rows := strings.Count(string(e.CSV()), "\n"); rows != 13 {
		t.Errorf("%d lines of CSV", rows)
	}
}

// What the findings say, from cells that are known: rows a, b and c by two columns.
func TestFindings(t *testing.T) {
	cell := func(row, column int, x float64, lost int) ExperimentCell {
		c := ExperimentCell{At: []int{row, column}, Runs: 2, Lost: lost}
		if lost < 2 {
			c.Value = &Spread{Median: x, Min: x, Max: x, N: 2}
		}
		return c
	}
	e := Experiment{Lower: true, Plan: Plan{Measure: "ttr", Rows: "row", Columns: "column", Ordered: true, Factors: []Factor{
		{Name: "row", Levels: []string{"a", "b", "c"}}, {Name: "column", Levels: []string{"1", "2"}},
	}}, Cells: []ExperimentCell{cell(0, 0, 4, 0), cell(0, 1, 0, 2), cell(1, 0, 2.1, 0), cell(1, 1, 2.15, 0), cell(2, 0, 8, 0), cell(2, 1, 2, 0)}}
	want := []string{
		"a: comes back in 1 of 2, within 10 % of the best in 0; ttr, to the best: median 1.90, worst 1.90",
		"b: comes back in 2 of 2, within 10 % of the best in 2; ttr, to the best: median 1.04, worst 1.07",
		"c: comes back in 2 of 2, within 10 % of the best in 1; ttr, to the best: median 2.40, worst 3.81",
		"column 2: best c with 2; the first row within 10 % of it is b with 2.15, as good from column 1 on",
	}
	if got := e.find(); !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	e.Plan.Ordered = false
	if got := e.find(); got[3] != "column 1: comes back in 3 of 3" || got[4] != "column 2: comes back in 2 of 3" {
		t.Errorf("%q", got[3:])
	}
}

// Each combination of a built-in experiment is a scenario, on its own scenario and on another.
func TestPlans(t *testing.T) {
	if len(Plans()) < 5 {
		t.Errorf("%d experiments", len(Plans()))
	}
	for _, p := range Plans() {
		base, err := p.Base()
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		for i := range p.Cells() {
			s := base
			if err := p.apply(&s, p.sets(p.at(i))); err != nil {
				t.Errorf("%s: %v: %v", p.Name, p.sets(p.at(i)), err)
			}
		}
		for _, f := range p.Factors {
			if f.About == "" {
				t.Errorf("%s: %s is not explained", p.Name, f.Name)
			}
		}
		if got, _, err := LoadPlan(p.Name); err != nil || got.Name != p.Name || !strings.Contains(PlanText(p.Name), p.Question) {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if _, _, err := LoadPlan("nothing"); !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), "retry-after") {
		t.Error(err)
	}
}

// The published experiments are those that the command has, and their pages name the number of cells.
func TestPublishedExperiments(t *testing.T) {
	page, err := os.ReadFile("../../docs/questions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Plans() {
		text, err := os.ReadFile("../../results/published/virtual-experiment-" + p.Name + "/experiment.json")
		if err != nil {
			t.Error(err)
			continue
		}
		var e Experiment
		if err := json.Unmarshal(text, &e); err != nil || !reflect.DeepEqual(e.Plan, p) {
			t.Errorf("%s: %v: the published set is of another plan: scripts/publish virtual-experiment-%[1]s", p.Name, err)
		}
		if !strings.Contains(string(page), "| "+p.Name+" | "+show.Count(p.Cells())+" |") {
			t.Errorf("docs/questions.md does not say that %s has %d cells", p.Name, p.Cells())
		}
	}
}

// A file that is wrong is refused with the place or the name.
func TestPlanErrors(t *testing.T) {
	for _, tt := range []struct{ old, to, want string }{
		{`name = "tiny"`, `name = "../tiny"`, "small letters"},
		{`measure = "ttr"`, `measure = "speed"`, "wasted-work"},
		{`measure = "ttr"`, "measure = \"launches\"\nrelative = true", "less is better"},
		{`rows = "order"`, `rows = "nothing"`, "two of the factors"},
		{`rows = "order"`, `rows = "surge"`, "two of the factors"},
		{`levels = ["immediate"]`, `levels = []`, "client: it has no levels"},
		{`labels = ["plain", "margin 0"]`, `labels = ["plain"]`, "1 labels for 2 levels"},
		{`queue={order}{more}`, `queue={order}`, "{more}"},
		{`queue={order}{more}`, `queue={order}{more}{x}`, "no factor for {x}"},
		{`levels = ["0.67", "2.67"]`, `levels = ["0.67", "2.67{x}"]`, "no factor for {x}"},
		{`levels = ["0.67", "2.67"]`, `levels = ["0.67", "{order}"]`, "no factor for {order} behind its own"},
		{`name = "more"`, `name = "order"`, "a name of its own"},
		{`cell = [`, `cells = [`, "tiny.toml"},
		{`cell = [`, `cell = `, "tiny.toml:5"},
	} {
		_, err := ParsePlan("tiny.toml", []byte(strings.Replace(tinyPlan, tt.old, tt.to, 1)))
		if !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.to, err, tt.want)
		}
	}
	p, err := ParsePlan("tiny.toml", []byte(tinyPlan))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Base()
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"nothing=1", "beta=much", "beta=-1"} {
		if err := p.apply(&s, []string{set}); !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), strings.SplitN(set, "=", 2)[0]) && !strings.Contains(err.Error(), "broken") {
			t.Errorf("%s: %v", set, err)
		}
	}
}
