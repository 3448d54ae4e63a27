// Package study has what is made of many runs: suites and rankings, thresholds and borders,
// sweeps and maps, the search for what tips a scenario over, and drills. A study takes a
// bench.Runner and never knows which engine is behind it.
package study

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Suite is a set of runs that belong together.
type Suite struct {
	Name  string
	About string
	Seeds int // runs of each contestant
	cells []contestant
	base  *scenario.Scenario // of cells that name it; nil: all are built in
}

// How says how the runs of a suite are made.
type How struct {
	Method
	Seed  uint64   // of the order and of the first repetition; 0 draws one
	Seeds int      // runs of each contestant; 0: the suite's own number
	Set   []string // keys of every cell, as of --set
}

// contestant is a scenario with what differs from it.
type contestant struct {
	scenario string
	set      []string
}

func surge(set ...string) contestant { return contestant{"surge", set} }

// shortCells is the surge by discipline, and the days that fifo survives.
var shortCells = []contestant{
	{"steady", nil},
	{"surge-100", []string{"queue=fifo"}},
	surge("queue=fifo"), surge("queue=lifo"), surge("queue=deadline"),
	surge("queue=fifo", "admit=token-bucket", "retry=backoff"),
}

// moreCells is what the published figures need beside it.
var moreCells = []contestant{
	surge("queue=fifo", "broken=30000"), surge("queue=codel"), surge("queue=bounded"),
	surge("queue=fifo", "admit=concurrency"),
	surge("queue=deadline", "table=mutex"), surge("queue=deadline", "table=sharded"),
	{"rescue", []string{"queue=fifo"}},
	{"load-ramp", []string{"queue=fifo"}}, {"load-ramp", []string{"queue=lifo"}},
	{"load-ramp", []string{"queue=deadline"}}, {"load-ramp", []string{"queue=deadline:margin=0"}}, {"load-ramp", []string{"queue=codel"}},
}

// LeastSeeds is the smallest number of runs of each of two contestants by which a rank test at
// the level of 0.05 can tell them apart: with three each the smallest p is 0.1.
const LeastSeeds = 4

// Suites are the built-in ones.
func Suites() []Suite {
	all := append(append([]contestant(nil), shortCells...), moreCells...)
	return []Suite{
		{Name: "short", About: "the surge by discipline, and an ordinary day: a minute", Seeds: 1, cells: shortCells},
		{Name: "standard", About: "what every figure needs, once: five minutes on two cores", Seeds: 1, cells: all},
		{Name: "full", About: "the same over ten seeds, shuffled: an hour", Seeds: 10, cells: all},
		{Name: "hysteresis", About: "load up slowly and down again, nothing emptied in between: five minutes", Seeds: 1, cells: []contestant{
			{"hysteresis", []string{"queue=fifo"}}, {"hysteresis", []string{"queue=lifo"}}, {"hysteresis", []string{"queue=deadline"}}, {"hysteresis", []string{"queue=slack"}}}},
	}
}

func findSuite(name string) (Suite, error) {
	var names []string
	for _, s := range Suites() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Suite{}, fmt.Errorf("%w: no suite %q; there are: %s", scenario.ErrScenario, name, strings.Join(names, ", "))
}

// SuiteManifest is suite.json: what a suite's folder is to have in the end. It is
// written before the first cell, and is all that a resumed suite needs.
type SuiteManifest struct {
	Schema  int       `json:"schema"`
	Suite   string    `json:"suite"`
	Started time.Time `json:"started"`
	Seed    uint64    `json:"seed"` // of the order; the cells have seeds of their own
	Method            // real, if it names no engine
	// Scenarios are the TOML of those that are not built in, by the name that cells have for them.
	Scenarios map[string]string `json:"scenarios,omitempty"`
	Build     bench.BuildInfo   `json:"build"`
	Cells     []Cell            `json:"cells"` // in the order in which they are run
}

// Cell is one run of a suite.
type Cell struct {
	Folder   string   `json:"folder"` // within the suite's
	Scenario string   `json:"scenario"`
	Set      []string `json:"set"`
	Seed     uint64   `json:"seed"`
	Refused  string   `json:"refused,omitempty"` // why there is no such run
}

// plan lays out the cells, shuffled by seed so that the host's moods hit all contestants
// alike; of seed 0 it draws one. No two cells share a folder.
func (s Suite) plan(how How) SuiteManifest {
	seed := bench.DrawSeed(how.Seed)
	taken := map[string]bool{}
	m := SuiteManifest{Schema: bench.ManifestSchema, Suite: s.Name, Started: time.Now().UTC(), Seed: seed, Method: how.Method, Build: bench.ReadBuildInfo()}
	if s.base != nil {
		m.Scenarios = map[string]string{s.base.Name: s.base.TOML()}
	}
	for i := range s.Seeds {
		for _, c := range s.cells {
			name := c.scenario
			for _, set := range c.set {
				_, v, _ := strings.Cut(set, "=")
				name += "-" + scenario.FileName(v)
			}
			cell := Cell{Scenario: c.scenario, Set: slices.Concat(c.set, how.Set), Seed: seedAt(seed, i)}
			cell.Folder = fmt.Sprintf("%s-s%d", name, cell.Seed)
			for n := 2; taken[cell.Folder]; n++ { // names that differ in what FileName takes out
				cell.Folder = fmt.Sprintf("%s-%d-s%d", name, n, cell.Seed)
			}
			taken[cell.Folder] = true
			m.Cells = append(m.Cells, cell)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0x7375697465))
	rng.Shuffle(len(m.Cells), func(i, j int) { m.Cells[i], m.Cells[j] = m.Cells[j], m.Cells[i] })
	return m
}

// suiteFile is where a suite's folder keeps its manifest.
const suiteFile = "suite.json"

// NewSuite lays out the folder of a built-in suite.
func NewSuite(name, dir string, how How) error {
	s, err := findSuite(name)
	if err != nil {
		return err
	}
	return s.begin(dir, how)
}

// begin lays out the suite's folder. A cell that there cannot be is refused there; a suite of
// which every cell is refused is.
func (s Suite) begin(dir string, how How) error {
	runner, err := bench.RunnerOf(how.Engine)
	if err != nil {
		return err
	}
	if how.Seeds > 0 {
		s.Seeds = how.Seeds
	}
	m := s.plan(how)
	last := error(nil)
	for i, c := range m.Cells {
		x, err := m.scenario(c)
		if err == nil {
			err = bench.Check(x)
		}
		if c, narrow := runner.(bench.Checker); narrow && err == nil {
			err = c.Check(&x)
		}
		switch {
		case scenario.Refused(err):
			m.Cells[i].Refused, last = err.Error(), err
		case err != nil:
			return err
		}
	}
	if !slices.ContainsFunc(m.Cells, func(c Cell) bool { return c.Refused == "" }) {
		return last
	}
	return LayOut(dir, suiteFile, m)
}

// scenario is what a cell runs.
func (m *SuiteManifest) scenario(c Cell) (s scenario.Scenario, err error) {
	if text, own := m.Scenarios[c.Scenario]; own {
		s, err = scenario.Parse(suiteFile+": "+c.Scenario, []byte(text))
	} else {
		s, err = scenario.Load(c.Scenario)
	}
	if err == nil {
		err = s.Set(c.Set...)
	}
	return s, err
}

// readSuite reads a suite's manifest.
func readSuite(dir string) (m SuiteManifest, err error) {
	path := filepath.Join(dir, suiteFile)
	if err := ReadLayout(path, "suite", &m, &m.Schema); err != nil {
		return m, err
	}
	seen := map[string]bool{}
	if err := m.Method.validate(); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	for _, c := range m.Cells {
		if seen[c.Folder] {
			return m, fmt.Errorf("%s: two cells have the folder %q, so that one run would count twice: remove one of them from the file", path, c.Folder)
		}
		seen[c.Folder] = true
		if c.Folder == "" || filepath.Base(c.Folder) != c.Folder || strings.HasPrefix(c.Folder, ".") {
			return m, fmt.Errorf("%s: %q is not a cell's folder", path, c.Folder)
		}
	}
	return m, nil
}
