// Package export writes the results of a folder's runs in formats that other programs read. It knows
// only files.
package export

import (
	"cmp"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/bench/internal/measure"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// Formats are the files that All writes, with who reads them.
var Formats = []struct {
	Name, Reader string
	write        func(w io.Writer, dir string, cells []archive.Cell) error
}{
	{"bench.txt", "benchstat", benchmarks},
	{"github-smaller.json", "github-action-benchmark, tool customSmallerIsBetter", func(w io.Writer, _ string, cells []archive.Cell) error { return github(w, cells, false) }},
	{"github-bigger.json", "github-action-benchmark, tool customBiggerIsBetter", func(w io.Writer, _ string, cells []archive.Cell) error { return github(w, cells, true) }},
	{"bencher.json", "Bencher, adapter json", bencher},
	{"table.csv", "spreadsheets: a row a contestant", table},
	{"cells.csv", "DuckDB, pandas, R: a row a run", cellsCSV},
}

// All writes all formats into the folder dir, of the runs in it. Of a damaged folder it writes what is
// whole; the error names the rest.
func All(ctx context.Context, dir string) error {
	cells, damaged, err := archive.Salvage(ctx, dir)
	if err != nil {
		return err
	}
	err = errors.Join(damaged...)
	if len(cells) == 0 {
		return err
	}
	cells = archive.Settle(cells)
	for _, f := range Formats {
		err = errors.Join(err, files.Write(filepath.Join(dir, f.Name), func(w io.Writer) error { return f.write(w, dir, cells) }))
	}
	return err
}

// group is the runs of a contestant.
type group struct {
	experiment string
	cells      []archive.Cell
	valid      []archive.Cell
}

func (g *group) result() *archive.Result { return &g.cells[0].Manifest.Result }

// name is the contestant's in full: its experiment and its parts.
func (g *group) name() string { return g.experiment + " " + g.result().Name() }

// groups puts the runs of one contestant together, in the order of their names.
func groups(cells []archive.Cell) (all []*group) {
	sorted := slices.Clone(cells)
	slices.SortStableFunc(sorted, func(a, b archive.Cell) int { return slices.Compare(parts(a), parts(b)) })
	for i, c := range sorted {
		if i == 0 || slices.Compare(parts(c), parts(sorted[i-1])) != 0 {
			all = append(all, &group{experiment: archive.Experiment(cells, c)})
		}
		g := all[len(all)-1]
		if g.cells = append(g.cells, c); c.Manifest.Result.Valid {
			g.valid = append(g.valid, c)
		}
	}
	return all
}

// parts are what makes a contestant, in the order by which they are sorted.
func parts(c archive.Cell) []string {
	r := &c.Manifest.Result
	broken := number(float64(r.Broken))
	return []string{r.Scenario, r.Table, r.Queue, r.Admit, r.Retry, r.Then, strings.Repeat("0", max(0, 12-len(broken))) + broken}
}

// values are a measure of the valid runs that have it, sorted.
func (g *group) values(m archive.Measure) (xs []float64) {
	for _, c := range g.valid {
		if x := m.Of(&c.Manifest.Result); x != nil {
			xs = append(xs, *x)
		}
	}
	slices.Sort(xs)
	return xs
}

// middle is the median, or the share of ones.
func middle(m archive.Measure, sorted []float64) float64 {
	if m.Kind != measure.Share {
		return stat.Median(sorted)
	}
	ones := 0.0
	for _, x := range sorted {
		ones += x
	}
	return ones / float64(len(sorted))
}

// unit is a measure's unit, as others are told it; scale makes values of it.
func unit(m archive.Measure) (name string, scale float64) {
	if m.Kind == measure.Ratio || m.Kind == measure.Share {
		return "%", 100
	}
	return cmp.Or(m.Unit(), "1"), 1
}
