package study

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// A suite of seed 0 draws its seed once: folders and manifest say what the runs use.
func TestSuiteSeeds(t *testing.T) {
	for _, seed := range []uint64{0, 1, 7, math.MaxUint64 - 1, math.MaxUint64} {
		m := Suite{Name: "x", Seeds: 3, cells: shortCells}.plan(How{Seed: seed})
		if m.Seed == 0 || seed != 0 && m.Seed != seed {
			t.Errorf("seed %d: the manifest says %d", seed, m.Seed)
		}
		runs := map[uint64]int{}
		for _, c := range m.Cells {
			runs[c.Seed]++
			if !strings.HasSuffix(c.Folder, fmt.Sprintf("-s%d", c.Seed)) {
				t.Errorf("seed %d: folder %s of a run with seed %d", seed, c.Folder, c.Seed)
			}
		}
		if len(runs) != 3 || runs[0] > 0 || runs[m.Seed] != len(shortCells) {
			t.Errorf("seed %d: runs by seed %v", seed, runs)
		}
	}
}

// So does everything else that runs several seeds: what it was is said, and with it the same
// comes out again.
func TestSeedZero(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	tiny := surgeStudy(t, "leases=500", "broken=25", "rho=0.5", "duration=5s")
	o := bench.Options{Folder: "base"}
	for name, find := range map[string]func(o bench.Options) (any, uint64, error){
		"border": func(o bench.Options) (any, uint64, error) {
			b, err := FindBorder(t.Context(), bench.Virtual{}, tiny, o, 2)
			return b, b.Seed, err
		},
		"collapse": func(o bench.Options) (any, uint64, error) {
			s, err := FindCollapse(t.Context(), bench.Virtual{}, tiny, o, 1)
			return s, s.Seed, err
		},
		"threshold": func(o bench.Options) (any, uint64, error) {
			all, err := Thresholds(t.Context(), bench.Virtual{}, tiny, []string{"fifo"}, o, 2, nil)
			return all, all[0].Seed, err
		},
		"line": func(o bench.Options) (any, uint64, error) {
			l := Sweep{Scenario: tiny.TOML(), X: scenario.Range{Axis: "rho", Low: .4, High: .6, N: 2}, Contestants: []string{"fifo"}, Seeds: 2, Seed: o.Seed}
			err := l.Run(t.Context(), bench.Virtual{}, nil)
			return l, l.Seed, err
		},
		"repeat": func(o bench.Options) (any, uint64, error) {
			var runs []string
			rep, err := Repeat(t.Context(), runnerFunc(func(_ context.Context, _ scenario.Scenario, o bench.Options) (*bench.Result, error) {
				runs = append(runs, fmt.Sprint(o.Seed, o.Folder))
				if o.Folder != filepath.Join("base", fmt.Sprintf("s%d", o.Seed)) {
					t.Errorf("a run of seed %d in %s", o.Seed, o.Folder)
				}
				return &bench.Result{Seed: o.Seed}, nil
			}), tiny, o, 3)
			return runs, rep.Runs[0].Seed, err
		},
	} {
		first, seed, err := find(o)
		if err != nil || seed == 0 {
			t.Errorf("%s: seed %d, %v", name, seed, err)
			continue
		}
		again := o
		again.Seed = seed
		if second, _, err := find(again); err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%s: with the seed that it names another result: %v\n%+v\n%+v", name, err, first, second)
		}
	}
}

func TestMapSeedZero(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "map")
	day := surgeStudy(t)
	g := Map{Scenario: day.TOML(), X: scenario.Range{Axis: "rho", Low: .1, High: .5, N: 2}, Y: scenario.Range{Axis: "broken", Low: 1, High: 9, N: 2}, Contestants: []string{"fifo"}, Seeds: 1}
	if err := NewMap(dir, g); err != nil {
		t.Fatal(err)
	}
	var laid Map
	if err := ReadLayout(filepath.Join(dir, mapLayout), "map", &laid, &laid.Schema); err != nil || laid.Seed == 0 {
		t.Errorf("seed %d, %v", laid.Seed, err)
	}
}

// All runbooks of a search have the same day.
func TestSearchRunbookSeedZero(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	s := surgeStudy(t, "leases=200", "broken=20", "duration=2s")
	all, err := SearchRunbook(t.Context(), bench.Virtual{}, s, bench.Options{}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.Result.Seed != all[0].Result.Seed {
			t.Fatalf("seeds %d and %d", d.Result.Seed, all[0].Result.Seed)
		}
	}
}

// A contestant that is named twice, however it is spelled, would count its runs twice.
func TestContestantTwice(t *testing.T) {
	for _, names := range [][]string{{"fifo", "lifo", "fifo"}, {"fifo", "fifo/none"}, {"lifo/none", "lifo/none/immediate"}} {
		dir := filepath.Join(t.TempDir(), "suite")
		if err := NewRanking(dir, surgeStudy(t), names, How{Method: Method{Engine: "virtual"}}); !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), names[len(names)-1]) {
			t.Errorf("%v: %v", names, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%v: the folder was made", names)
		}
	}
	if err := NewRanking(filepath.Join(t.TempDir(), "suite"), surgeStudy(t), []string{"fifo", "fifo/none/backoff"}, How{Method: Method{Engine: "virtual"}}); err != nil {
		t.Error(err)
	}
	// Two contestants whose names differ only in what a folder's name has not.
	m := Suite{Seeds: 2, cells: []contestant{surge("queue=a:b=1"), surge("queue=a-b1"), surge("queue=a+b=1")}}.plan(How{Seed: 1})
	folders := map[string]bool{}
	for _, c := range m.Cells {
		folders[c.Folder] = true
	}
	if len(folders) != 6 {
		t.Errorf("%d folders for 6 cells: %v", len(folders), folders)
	}
	// A folder that was begun with one named twice.
	dir := t.TempDir()
	m.Cells = append(m.Cells, m.Cells[0])
	if err := record.WriteFile(filepath.Join(dir, suiteFile), record.JSON(m)); err != nil {
		t.Fatal(err)
	}
	if _, err := readSuite(dir); err == nil || !strings.Contains(err.Error(), m.Cells[0].Folder) {
		t.Errorf("two cells in one folder: %v", err)
	}
}

// runnerFunc is a Runner that is a function.
type runnerFunc func(ctx context.Context, s scenario.Scenario, o bench.Options) (*bench.Result, error)

func (f runnerFunc) Run(ctx context.Context, s scenario.Scenario, o bench.Options) (*bench.Result, error) {
	return f(ctx, s, o)
}
func (runnerFunc) Name() string { return "func" }
func (runnerFunc) Alone() bool  { return false }
