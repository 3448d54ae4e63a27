// Package study has what is made of many runs: suites and rankings, thresholds and borders,
// sweeps and maps, the search for what tips a scenario over, and drills. A study takes a
// bench.Runner and never knows which engine is behind it.
package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Suite is a set of runs that belong together.
type Suite struct {
	Name  string
	About string
	Seeds int // runs of each contestant
	cells []contestant
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

// leastSeeds is the smallest number of runs of each of two contestants by which a rank test at
// the level of 0.05 can tell them apart: with three each the smallest p is 0.1.
const leastSeeds = 4

// Suites are the built-in ones.
func Suites() []Suite {
	all := append(append([]contestant(nil), shortCells...), moreCells...)
	return []Suite{
		{"short", "the surge by discipline, and an ordinary day: a minute", 1, shortCells},
		{"standard", "what every figure needs, once: five minutes on two cores", 1, all},
		{"full", "the same over ten seeds, shuffled: an hour", 10, all},
		{"compare", "the surge by discipline, admission and retry policy, a short list: seven minutes per seed (bench compare)", leastSeeds, cellsOf(shortList)},
		{"compare-all", "the full grid of them: some 540 contestants (bench compare --all)", 1, cellsOf(fullGrid())},
		{"hysteresis", "load up slowly and down again, nothing emptied in between: five minutes", 1, []contestant{
			{"hysteresis", []string{"queue=fifo"}}, {"hysteresis", []string{"queue=lifo"}}, {"hysteresis", []string{"queue=deadline"}}, {"hysteresis", []string{"queue=slack"}}}},
		{"fairness", "one zone of three carries the surge (bench fairness)", leastSeeds, fairnessCells()},
		{"prevent", "each control in place before the surge, and switched on after the collapse (bench prevent)", leastSeeds, preventCells()},
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
	Schema  int             `json:"schema"`
	Suite   string          `json:"suite"`
	Started time.Time       `json:"started"`
	Seed    uint64          `json:"seed"` // of the order; the cells have seeds of their own
	Workers int             `json:"workers"`
	Engine  string          `json:"engine,omitempty"` // real (the default) or virtual
	Build   bench.BuildInfo `json:"build"`
	Cells   []Cell          `json:"cells"` // in the order in which they are run
}

// Cell is one run of a suite.
type Cell struct {
	Folder   string   `json:"folder"` // within the suite's
	Scenario string   `json:"scenario"`
	Set      []string `json:"set"`
	Seed     uint64   `json:"seed"`
}

// plan lays out the cells, shuffled by seed so that the host's moods hit all contestants
// alike; of seed 0 it draws one. No two cells share a folder.
func (s Suite) plan(seed uint64, workers int) SuiteManifest {
	seed = bench.DrawSeed(seed)
	taken := map[string]bool{}
	m := SuiteManifest{Schema: bench.ManifestSchema, Suite: s.Name, Started: time.Now().UTC(), Seed: seed, Workers: workers, Build: bench.ReadBuildInfo()}
	for i := range s.Seeds {
		for _, c := range s.cells {
			name := c.scenario
			for _, set := range c.set {
				_, v, _ := strings.Cut(set, "=")
				name += "-" + scenario.FileName(v)
			}
			cell := Cell{Scenario: c.scenario, Set: c.set, Seed: seedAt(seed, i)}
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

// Bars shows how far a suite is.
type Bars interface {
	// Cell begins the i-th cell of n, which takes about that long; done ends it with its
	// result in a few words.
	Cell(i, n int, name string, estimate time.Duration) (done func(text string))
}

// NewSuite lays out a suite's folder; seeds, if not 0, is the number of runs of each
// contestant instead of the suite's own.
func NewSuite(name, dir, engine string, seed uint64, workers, seeds int) error {
	s, err := findSuite(name)
	if err != nil {
		return err
	}
	return s.begin(dir, engine, seed, workers, seeds)
}

// NewComparison is NewSuite for the surge with contestants of one's own choice: queue,
// queue/admit or queue/admit/retry.
func NewComparison(contestants []string, dir, engine string, seed uint64, workers, seeds int) error {
	named := map[scenario.Scenario]string{}
	for _, c := range contestants {
		s := scenario.Default()
		s.Name = "surge"
		if err := s.Contest(c); err != nil {
			return err
		}
		if err := s.Validate(); err != nil {
			return err
		}
		if first, twice := named[s]; twice {
			return fmt.Errorf("%w: contestant %q is the same as %q, and the same runs would count twice: leave one of them out", scenario.ErrScenario, c, first)
		}
		named[s] = c
	}
	return Suite{Name: "compare", Seeds: leastSeeds, cells: cellsOf(contestants)}.begin(dir, engine, seed, workers, seeds)
}

func (s Suite) begin(dir, engine string, seed uint64, workers, seeds int) error {
	if _, err := bench.RunnerOf(engine); err != nil {
		return err
	}
	if seeds > 0 {
		s.Seeds = seeds
	}
	m := s.plan(seed, workers)
	m.Engine = engine
	return layOut(dir, suiteFile, m)
}

// readSuite reads a suite's manifest.
func readSuite(dir string) (m SuiteManifest, err error) {
	path := filepath.Join(dir, suiteFile)
	if err := readLayout(path, "suite", &m, &m.Schema); err != nil {
		return m, err
	}
	seen := map[string]bool{}
	if m.Workers < 0 || m.Workers > scenario.MaxWorkers {
		return m, fmt.Errorf("%s: %d workers are out of range: 0 to %d", path, m.Workers, scenario.MaxWorkers)
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

// RunSuite runs the cells of a suite's folder that are not finished, and returns the
// results of all, in the order of its manifest. Whatever ends it, a finished cell stays
// whole.
func RunSuite(ctx context.Context, dir string, bars Bars) ([]*bench.Result, error) {
	m, err := readSuite(dir)
	if err != nil {
		return nil, err
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer held.Release()
	if err := m.clean(ctx, dir); err != nil {
		return nil, err
	}
	runner, err := bench.RunnerOf(cmp.Or(m.Engine, "real"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, suiteFile), err)
	}
	var all []*bench.Result
	for i, c := range m.Cells {
		folder := filepath.Join(dir, c.Folder)
		done, err := bench.ReadManifest(ctx, folder)
		if err == nil {
			all = append(all, done.Result)
			continue
		}
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		if _, none := os.Lstat(filepath.Join(folder, "manifest.json")); !errors.Is(none, fs.ErrNotExist) {
			return all, fmt.Errorf("cell %s: %w; move it away and resume to run it again", c.Folder, err)
		}
		if _, err := os.Lstat(folder); err == nil {
			return all, fmt.Errorf("cell %s: the folder has no manifest.json, so it is not ours; move it away and resume", c.Folder)
		}
		s, err := scenario.Load(c.Scenario)
		if err == nil {
			err = s.Set(c.Set...)
		}
		if err != nil {
			return all, fmt.Errorf("cell %s: %w", c.Folder, err)
		}
		if m.Workers > 0 {
			s.Workers = m.Workers
		}
		end := bars.Cell(i, len(m.Cells), c.Folder, estimate(s))
		res, err := runner.Run(ctx, s, bench.Options{Seed: c.Seed, Folder: folder})
		if err != nil {
			end("not finished")
			return all, fmt.Errorf("cell %s: %w", c.Folder, err)
		}
		end(fmt.Sprintf("%s, TTR %s", res.Verdict, show.Dash(res.TTR, "%.2f s")))
		all = append(all, res)
	}
	return all, nil
}

// clean takes up what a process that was killed has left: a cell that was written whole is
// put in its place, and what is half written is removed. The folder is locked.
func (m *SuiteManifest) clean(ctx context.Context, dir string) error {
	left, err := files.Left(dir)
	if err != nil {
		return err
	}
	cells := map[string]bool{}
	for _, c := range m.Cells {
		cells[c.Folder] = true
	}
	for _, name := range left {
		path := filepath.Join(dir, name)
		if cell := files.Final(name); cells[cell] {
			folder := filepath.Join(dir, cell)
			if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
				if _, err := bench.ReadManifest(ctx, path); err == nil {
					if err := files.Disk.Rename(path, folder); err != nil {
						return err
					}
					continue
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err // it may be whole
		}
		if err := files.Disk.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// estimate is about how long a run takes, set-up included.
func estimate(s scenario.Scenario) time.Duration {
	t := 2*time.Second + s.Steady + s.Outage + 8*s.Timeout
	if s.Operator != "none" {
		t += s.OperatorAt + 8*s.Timeout
	}
	if length, ok := bench.RampLength(s); ok {
		t = 2*time.Second + length
	}
	return t
}
