package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/compare"
	"github.com/leasestorm/leasestorm/bench/export"
	"github.com/leasestorm/leasestorm/bench/internal/archivetest"
	"github.com/leasestorm/leasestorm/internal/need"
)

const series = "t_s,phase,active,queued,good_establish\n0.1,steady,1000,0,0\n"

// suite writes runs of three contestants and all formats, and returns the folder.
func suite(t *testing.T, seed uint64, slow map[string]float64, more ...archivetest.Run) string {
	t.Helper()
	dir := t.TempDir()
	for name, r := range archivetest.Suite(10, seed, slow) {
		r.Series = series
		r.Write(t, filepath.Join(dir, name))
	}
	for i, r := range more {
		r.Series = series
		r.Write(t, filepath.Join(dir, "more-"+strconv.Itoa(i)))
	}
	if err := export.All(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// benchstat reads bench.txt, finds the same p, and calls the same differences real: all that compare
// does, and beside them only what is not real once all tests are corrected together.
func TestBenchstatAgrees(t *testing.T) {
	benchstat := need.Tool(t, "benchstat", "golang.org/x/perf/cmd/benchstat")
	units := map[string]string{"ttr": "ttr-s", "efficiency": "efficiency", "goodput": "establish/s", "wasted_work": "wasted-%"}
	for _, slow := range []float64{0, 0.1} {
		a, b := suite(t, 11, nil), suite(t, 12, map[string]float64{"lifo": slow})
		c, err := compare.Folders(t.Context(), a, b, compare.How{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), benchstat, "-format", "csv", filepath.Join(a, "bench.txt"), filepath.Join(b, "bench.txt")).CombinedOutput() //nolint:gosec // the tool and our files
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		theirs := verdicts(t, string(out))
		checked, both := 0, 0
		for _, r := range c.Rows {
			unit, ok := units[r.Measure]
			if !ok {
				continue
			}
			checked++
			v, ok := theirs[r.Contestant+" "+unit]
			if !ok {
				t.Fatalf("benchstat says nothing of %s, %s:\n%s", r.Contestant, unit, out)
			}
			if math.Abs(v.p-*r.P) > 0.0006 {
				t.Errorf("%s %s: p %.4f, and benchstat's %.3f", r.Contestant, r.Measure, *r.P, v.p)
			}
			if v.real != (*r.P <= 0.05) || r.Real && !v.real {
				t.Errorf("%s %s: real %v, p %.4f, and benchstat's verdict is %v", r.Contestant, r.Measure, r.Real, *r.P, v.real)
			}
			if v.real && !r.Real && *r.Holm <= 0.05 {
				t.Errorf("%s %s: real for benchstat alone, and the corrected p is %.4f", r.Contestant, r.Measure, *r.Holm)
			}
			if r.Real && v.real {
				both++
			}
		}
		if want := map[float64]int{0: 0, 0.1: 3}[slow]; checked != 12 || both != want {
			t.Errorf("slowed by %g: %d rows, and both call %d real, want %d", slow, checked, both, want)
		}
	}
}

type verdict struct {
	p    float64
	real bool
}

// verdicts reads benchstat's CSV: tables with a unit each, a row a benchmark.
func verdicts(t *testing.T, text string) map[string]verdict {
	t.Helper()
	all := map[string]verdict{}
	unit := ""
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		switch {
		case len(fields) == 7 && fields[0] == "" && fields[2] == "CI":
			unit = fields[1]
		case len(fields) == 7 && strings.HasPrefix(fields[0], "Surge/"):
			_, queue, _ := strings.Cut(fields[0], "/queue=")
			queue, _, _ = strings.Cut(queue, "/")
			p, _, _ := strings.Cut(strings.TrimPrefix(fields[6], "p="), " ")
			x, err := strconv.ParseFloat(p, 64)
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			all[queue+" "+unit] = verdict{x, fields[5] != "~"}
		}
	}
	return all
}

// github-action-benchmark reads an array of name, value, unit, range and extra, in one direction a file.
func TestGitHub(t *testing.T) {
	dir := suite(t, 1, nil)
	seen := map[string][]string{}
	for file, has := range map[string]string{"github-smaller.json": "surge deadline: ttr", "github-bigger.json": "surge lifo: goodput"} {
		d := json.NewDecoder(bytes.NewReader(read(t, dir, file)))
		d.DisallowUnknownFields()
		var all []struct {
			Name  string   `json:"name"`
			Value *float64 `json:"value"`
			Unit  string   `json:"unit"`
			Range string   `json:"range"`
			Extra string   `json:"extra"`
		}
		if err := d.Decode(&all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, e := range all {
			if e.Name == "" || e.Value == nil || e.Unit == "" {
				t.Errorf("%s: %+v", file, e)
			}
			seen[file] = append(seen[file], e.Name)
		}
		if !slices.Contains(seen[file], has) {
			t.Errorf("%s has no %q", file, has)
		}
	}
	for _, name := range seen["github-smaller.json"] {
		if slices.Contains(seen["github-bigger.json"], name) {
			t.Errorf("%s is in both files", name)
		}
	}
}

// Bencher wants numbers by benchmark and by a slug of at most 64 characters.
func TestBencher(t *testing.T) {
	var all map[string]map[string]map[string]float64
	if err := json.Unmarshal(read(t, suite(t, 1, nil), "bencher.json"), &all); err != nil || len(all) != 3 {
		t.Fatalf("%d, %v", len(all), err)
	}
	for slug, m := range all["surge lifo"] {
		if len(slug) > 64 || strings.Trim(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("the slug %q", slug)
		}
		if v, ok := m["value"]; !ok || m["lower_value"] > v || m["upper_value"] < v {
			t.Errorf("%s: %v", slug, m)
		}
	}
	if _, ok := all["surge lifo"]["ttr-s"]; !ok {
		t.Errorf("%v", all["surge lifo"])
	}
}

// A row a run: all of them, whatever they are called, and invalid ones marked; a row a contestant, of
// the valid ones.
func TestCSV(t *testing.T) {
	hostile := "<script>,\"'=1+1"
	dir := suite(t, 1, nil, archivetest.Run{Seed: 1, Result: map[string]any{"queue": "fifo", "valid": false, "verdict": "invalid", "invalid_because": "the host, " + hostile, "ttr_s": 77}},
		archivetest.Run{Seed: 2, Result: map[string]any{"scenario": hostile, "queue": "fifo", "verdict": "collapsed", "ttr_s": nil}, Keys: map[string]string{}})
	tables := map[string][]map[string]string{}
	for _, file := range []string{"cells.csv", "table.csv"} {
		rows, err := csv.NewReader(bytes.NewReader(read(t, dir, file))).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, row := range rows[1:] {
			r := map[string]string{}
			for i, name := range rows[0] {
				r[name] = row[i]
			}
			tables[file] = append(tables[file], r)
		}
	}
	cells, contestants := tables["cells.csv"], tables["table.csv"]
	if len(cells) != 32 || len(contestants) != 5 {
		t.Fatalf("%d runs, %d contestants", len(cells), len(contestants))
	}
	spoilt, other := cells[30], cells[31]
	if spoilt["valid"] != "false" || !strings.HasSuffix(spoilt["invalid_because"], hostile) || spoilt["folder"] != "more-0" || other["scenario"] != hostile || other["ttr_s"] != "" || other["collapsed"] != "1" {
		t.Errorf("%v\n%v", spoilt, other)
	}
	for _, r := range contestants {
		switch {
		case r["queue"] == "fifo" && r["scenario"] == "surge":
			if r["valid_runs"] != "0" || r["ttr_s"] != "" {
				t.Errorf("of an invalid run: %v", r)
			}
		case r["queue"] == "lifo":
			if r["valid_runs"] != "10" || r["ttr_s"] == "" || r["ttr_s_min"] > r["ttr_s"] || r["lost"] != "0" {
				t.Errorf("%v", r)
			}
		}
	}
	if text := string(read(t, dir, "bench.txt")); strings.Contains(text, " 77 ttr-s") || strings.Count(text, "\nBenchmark") != 31 {
		t.Errorf("%d lines:\n%s", strings.Count(text, "\nBenchmark"), text)
	}
}

// Of a damaged folder the whole runs are written, and the error names the rest.
func TestDamaged(t *testing.T) {
	dir := suite(t, 1, nil)
	if err := os.WriteFile(filepath.Join(dir, "lifo-s1", "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := export.All(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "lifo-s1") {
		t.Errorf("%v", err)
	}
	if n := strings.Count(string(read(t, dir, "cells.csv")), "\n"); n != 30 {
		t.Errorf("%d lines, want a head and 29 runs", n)
	}
	if err := export.All(t.Context(), t.TempDir()); !errors.Is(err, archive.ErrNoRuns) {
		t.Errorf("an empty folder: %v", err)
	}
}
