// Package plot draws figures from the files of runs, and only from them.
package plot

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Cell is one run, as its files tell it.
type Cell struct {
	Folder   string
	Manifest Manifest
	Series   Series
}

// Manifest is the part of a run's manifest.json that figures need.
type Manifest struct {
	Schema int `json:"schema"`
	Result struct {
		Scenario string   `json:"scenario"`
		Table    string   `json:"table"`
		Queue    string   `json:"queue"`
		Admit    string   `json:"admit"`
		Retry    string   `json:"retry"`
		Engine   string   `json:"engine"`
		Leases   int      `json:"leases"`
		Broken   int      `json:"broken"`
		Workers  int      `json:"workers"`
		Seed     uint64   `json:"seed"`
		Verdict  string   `json:"verdict"`
		Beta     float64  `json:"beta"`
		TTR      *float64 `json:"ttr_s"`
		Capacity float64  `json:"capacity_per_s"`
		Valid    bool     `json:"valid"`
		Noisy    []string `json:"noisy"`
		Points   []struct {
			Load       float64 `json:"load"`
			Goodput    float64 `json:"goodput"`
			Throughput float64 `json:"throughput"`
		} `json:"points"`
	} `json:"result"`
	Phases []struct {
		Name  string        `json:"name"`
		Start time.Duration `json:"start_ns"`
	} `json:"phases"`
	Host struct {
		Name    string `json:"name"`
		CPU     string `json:"cpu"`
		Cores   int    `json:"cores"`
		Virtual bool   `json:"virtual"`
	} `json:"host"`
}

// Phase is the start of a phase in seconds; ok is false where the run has none of that name.
func (m *Manifest) Phase(name string) (start float64, ok bool) {
	for _, p := range m.Phases {
		if p.Name == name {
			return p.Start.Seconds(), true
		}
	}
	return 0, false
}

// Series is a run's series.csv: columns of numbers by name, one value a step.
type Series map[string][]float64

// schema is the manifests that this package reads.
const schema = 1

// ErrNoRuns is returned, wrapped, for a folder without a finished run.
var ErrNoRuns = errors.New("no finished run in this folder (a run has a manifest.json)")

// Load reads all runs in a folder and the folders below it, in the order of their names.
func Load(dir string) ([]Cell, error) {
	var cells []Cell
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir && filepath.Base(path)[0] == '.' {
			return fs.SkipDir // unfinished
		}
		if d.Name() != "manifest.json" {
			return nil
		}
		c, err := load(filepath.Dir(path))
		if err == nil {
			cells = append(cells, c)
		}
		return err
	})
	if err == nil && len(cells) == 0 {
		err = fmt.Errorf("%s: %w", dir, ErrNoRuns)
	}
	slices.SortFunc(cells, func(a, b Cell) int {
		if a.Folder < b.Folder {
			return -1
		}
		return 1
	})
	return cells, err
}

func load(dir string) (Cell, error) {
	c := Cell{Folder: dir}
	path := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c.Manifest); err != nil {
		return c, fmt.Errorf("%s: not a manifest: %w", path, err)
	}
	if c.Manifest.Schema != schema {
		return c, fmt.Errorf("%s: schema %d, and this program reads %d: use the version that wrote it", path, c.Manifest.Schema, schema)
	}
	c.Series, err = readSeries(filepath.Join(dir, "series.csv"))
	return c, err
}

func readSeries(path string) (Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: empty", path)
	}
	s := Series{}
	for line, row := range rows[1:] {
		for i, text := range row {
			if rows[0][i] == "phase" {
				continue
			}
			x, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: column %s: %w", path, line+2, rows[0][i], err)
			}
			s[rows[0][i]] = append(s[rows[0][i]], x)
		}
	}
	return s, nil
}
