// Package plot draws figures from the result files of runs and studies. It needs no other input.
package plot

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// Cell is one run, as read from its files.
type Cell struct {
	Folder   string
	Manifest Manifest
	Series   Series
}

// Manifest is the part of a run's manifest.json that figures use.
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
			Back       bool    `json:"back"`
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

// Phase returns the start of a phase in s of run time. ok is false if the run has no phase of that
// name.
func (m *Manifest) Phase(name string) (start float64, ok bool) {
	for _, p := range m.Phases {
		if p.Name == name {
			return p.Start.Seconds(), true
		}
	}
	return 0, false
}

// Series is a run's series.csv: columns of numbers by name, one value per step.
type Series map[string][]float64

// schema is the version of manifests that this package reads.
const schema = 1

// readResult reads the JSON file at path into v. there is false if there is no such file. what
// names the file's content in errors.
func readResult(path, what string, v any) (there bool, err error) {
	text, err := files.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return true, fmt.Errorf("%s: not %s: %w", path, what, err)
	}
	if head.Schema != schema {
		return true, fmt.Errorf("%s: schema %d, and this program reads %d: use the version that wrote it", path, head.Schema, schema)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return true, fmt.Errorf("%s: not %s: %w", path, what, err)
	}
	return true, nil
}

// ErrNoRuns is returned, wrapped, for a folder without finished runs.
var ErrNoRuns = errors.New("no finished run in this folder (a run has a manifest.json)")

// Load reads all finished runs in a folder and the folders below it, in the order of their names.
func Load(ctx context.Context, dir string) ([]Cell, error) {
	var cells []Cell
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err = cmp.Or(err, ctx.Err()); err != nil {
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
	text, err := files.Read(path)
	if err != nil {
		return c, err
	}
	if err := c.Manifest.parse(text); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	path = filepath.Join(dir, "series.csv")
	if text, err = files.Read(path); err != nil {
		return c, err
	}
	if c.Series, err = parseSeries(text); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (m *Manifest) parse(text []byte) error {
	if err := json.Unmarshal(text, m); err != nil {
		return fmt.Errorf("not a manifest: %w", err)
	}
	switch r := m.Result; {
	case m.Schema != schema:
		return fmt.Errorf("schema %d, and this program reads %d: use the version that wrote it", m.Schema, schema)
	case r.Leases < 1 || r.Broken < 0 || r.Workers < 1 || r.Scenario == "" || filepath.Base(r.Scenario) != r.Scenario:
		return fmt.Errorf("not a run's manifest: scenario %q, %d leases, %d broken, %d workers", r.Scenario, r.Leases, r.Broken, r.Workers)
	case len(m.Phases) == 0 && len(r.Points) == 0:
		return errors.New("not a run's manifest: it has no phases")
	}
	return nil
}

// needed are the columns that every figure needs.
var needed = []string{"t_s", "active", "queued", "good_establish"}

// spreadsheet recognises a series.csv that a spreadsheet program has saved.
func spreadsheet(text []byte) string {
	head, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return "begins with a byte-order mark"
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return "is UTF-16"
	case bytes.ContainsRune(head, ';'):
		return "has semicolons between its columns"
	case bytes.ContainsRune(head, '\t'):
		return "has tabs between its columns"
	}
	return ""
}

// parseSeries reads a run's series.csv.
func parseSeries(text []byte) (Series, error) {
	s, err := parseTable(text, func(name string) bool { // a quantile of nothing; no figure has these
		return strings.HasPrefix(name, "sojourn_") || strings.HasPrefix(name, "slip_")
	})
	if err != nil {
		return nil, err
	}
	for _, name := range needed {
		if s[name] == nil {
			return nil, fmt.Errorf("no column %s", name)
		}
	}
	if (s["good_launch"] == nil) != (s["offered_launch"] == nil) {
		return nil, errors.New("only one of the columns good_launch and offered_launch")
	}
	return s, nil
}

// parseTable reads columns of numbers. Where blank allows it a value may be missing; it is NaN.
func parseTable(text []byte, blank func(column string) bool) (Series, error) {
	if how := spreadsheet(text); how != "" {
		return nil, fmt.Errorf("the file %s, as when a spreadsheet has saved it: put the original back, or save it as CSV in UTF-8 without a byte-order mark, with commas between columns and points in numbers", how)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) < 2 {
		return nil, errors.New("no rows")
	}
	s := Series{}
	for line, row := range rows[1:] {
		for i, text := range row {
			name := rows[0][i]
			if name == "phase" {
				continue
			}
			if text == "" && blank(name) {
				s[name] = append(s[name], math.NaN())
				continue
			}
			x, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(x) || math.Abs(x) > 1e15 {
				return nil, fmt.Errorf("line %d, column %s: %q is not a number", line+2, name, text)
			}
			s[name] = append(s[name], x)
		}
	}
	for name, column := range s {
		if len(column) != len(rows)-1 {
			return nil, fmt.Errorf("column %q stands twice", name)
		}
	}
	return s, nil
}
