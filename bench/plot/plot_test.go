package plot

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

// write makes a run's files: an outage from 1 s to 2 s, and leases that come back at a
// rate from then on.
func write(t *testing.T, dir, queue string, seed int, perSecond float64) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"schema": 1, "result": {"scenario": "surge", "table": "lockfree", "queue": %q, "admit": "none", "retry": "immediate",
		"leases": 1000, "broken": 100, "workers": 1, "engine": "real", "verdict": "recovered", "beta": 2.667, "seed": %d, "capacity_per_s": 50, "valid": true},
		"phases": [{"name": "steady", "start_ns": 0}, {"name": "outage", "start_ns": 1000000000}, {"name": "return", "start_ns": 2000000000}]}`, queue, seed)
	var csv strings.Builder
	csv.WriteString("t_s,phase,good_establish,active,queued\n")
	for i := 1; i <= 50; i++ {
		at := float64(i) / 10
		active, good, queued := 1000.0, 0.0, 0.0
		if at > 1 {
			active = 1000 - 100*min(at-1, 1)
		}
		if at > 2 {
			active = min(1000, 900+perSecond*(at-2))
			if active < 1000 {
				good, queued = perSecond/10, 1000-active
			}
		}
		fmt.Fprintf(&csv, "%.6f,x,%g,%g,%g\n", at, good, active, queued)
	}
	for name, text := range map[string]string{"manifest.json": manifest, "series.csv": csv.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// runs is a folder with four runs of two contestants, and one that is not finished.
func runs(t *testing.T) string {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "01-lifo"), "lifo", 1, 50)
	write(t, filepath.Join(dir, "02-fifo"), "fifo", 1, 20)
	write(t, filepath.Join(dir, "03-fifo"), "fifo", 2, 30)
	write(t, filepath.Join(dir, "04-fifo"), "fifo", 3, 40)
	write(t, filepath.Join(dir, ".05-fifo.unfinished-1"), "fifo", 4, 1)
	return dir
}

// The figure's data, not its pixels.
func TestRecoveryGolden(t *testing.T) {
	cells, err := archive.Load(t.Context(), runs(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(NewRecovery(cells), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "recovery.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the figure's data differ from %s; see what changed, then run go test ./bench/plot -update:\n%s", golden, got)
	}
}

// spoil makes a run's files say that it is invalid.
func spoil(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(path)
	if err == nil {
		text = bytes.ReplaceAll(text, []byte(`"beta": 2.667`), []byte(`"beta": 9, "points": [{"load": 1, "goodput": 0.1, "throughput": 0.2}]`))
		err = os.WriteFile(path, bytes.ReplaceAll(text, []byte(`"valid": true`), []byte(`"valid": false`)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A title keeps all of its remarks, in rows that fit.
func TestTitleRows(t *testing.T) {
	for _, c := range []struct {
		title string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"one", 2, []string{"one"}},
		{"one; two; three", 15, []string{"one; two; three"}},
		{"one; two; three", 14, []string{"one; two", "three"}},
		{"one; two; three", 7, []string{"one", "two", "three"}},
	} {
		got := titleRows(c.title, func(row string) bool { return len(row) <= c.width })
		if !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: %q, want %q", c.title, c.width, got, c.want)
		}
	}
}

// What the host spoilt is in no line; of a contestant without other runs one is drawn, and
// its name says so.
func TestInvalidRunsAreNotDrawn(t *testing.T) {
	dir := runs(t)
	before, err := archive.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00-fifo", "05-fifo"} {
		write(t, filepath.Join(dir, name), "fifo", 9, 7)
		spoil(t, filepath.Join(dir, name))
		hgrm := "1 0.5 1\n2 1.0 2\n"
		for _, clock := range []string{"intended", "actual"} {
			if err := os.WriteFile(filepath.Join(dir, name, "establish-return-"+clock+".hgrm"), []byte(hgrm), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, err := archive.Load(t.Context(), dir)
	if err != nil || len(after) != len(before)+2 {
		t.Fatalf("%d runs, %v", len(after), err)
	}
	a, b := NewRecovery(before), NewRecovery(after)
	if want := a.Title + "; 2 invalid runs"; b.Title != want {
		t.Errorf("title %q, want %q", b.Title, want)
	}
	for _, name := range b.Names {
		for p := range b.Panels {
			i, k := slices.Index(a.Names, name), slices.Index(b.Names, name)
			if i < 0 || !reflect.DeepEqual(a.Panels[p].Lines[i], b.Panels[p].Lines[k]) {
				t.Errorf("%s of %s: an invalid run counts", b.Panels[p].Label, name)
			}
		}
	}
	for _, l := range NewSweep(after).Lines {
		if len(l.X) > 0 {
			t.Errorf("a point of an invalid run: %+v", l)
		}
	}
	if l, err := NewLatency(after, "establish", "return"); err != nil || len(l.Lines) > 0 {
		t.Errorf("the latencies of an invalid run: %+v, %v", l, err)
	}
	spoil(t, filepath.Join(dir, "01-lifo"))
	if after, err = archive.Load(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if f := NewRecovery(after); !slices.Contains(f.Names, "lifo, INVALID") || !slices.Contains(f.Names, "fifo") {
		t.Errorf("%v", f.Names)
	}
}

// Quantiles of a step in which there was nothing are empty; other columns may not be.
func TestEmptyQuantiles(t *testing.T) {
	if s, err := archive.ParseSeries([]byte("t_s,active,queued,good_establish,sojourn_p50_s,slip_max_s\n0.1,1,0,0,,\n0.2,1,0,0,1,2\n")); err != nil || s["slip_max_s"][1] != 2 {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := archive.ParseSeries([]byte("t_s,active,queued,good_establish\n0.1,,0,0\n")); err == nil {
		t.Error("no number of active leases, and it was read")
	}
}

// The same files make the same figures, to the byte.
func TestDrawAgain(t *testing.T) {
	dir := runs(t)
	var first map[string][]byte
	for range 2 {
		made, err := Draw(t.Context(), dir)
		if err != nil || len(made) != 1 || made[0] != "recovery-surge" {
			t.Fatalf("%v, %v", made, err)
		}
		files := map[string][]byte{}
		for _, f := range []string{"recovery-surge.svg", "recovery-surge.png"} {
			if files[f], err = os.ReadFile(filepath.Join(dir, f)); err != nil || len(files[f]) < 5000 {
				t.Fatalf("%s: %d bytes, %v", f, len(files[f]), err)
			}
			if first != nil && !bytes.Equal(first[f], files[f]) {
				t.Errorf("%s differs when it is drawn again", f)
			}
		}
		first = files
	}
}

// Whatever is read is drawn, or refused; nothing panics.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	write(&testing.T{}, dir, "fifo", 1, 10)
	manifest, err1 := os.ReadFile(filepath.Join(dir, "manifest.json"))
	series, err2 := os.ReadFile(filepath.Join(dir, "series.csv"))
	if err := errors.Join(err1, err2); err != nil {
		f.Fatal(err)
	}
	f.Add(manifest, series)
	f.Add([]byte(`{"schema": 1, "result": {"scenario": "s", "leases": 1, "workers": 1, "points": [{"load": 1}]}}`), series[:200])
	f.Fuzz(func(_ *testing.T, manifest, series []byte) {
		var c archive.Cell
		if c.Manifest.Parse(manifest) != nil {
			return
		}
		s, err := archive.ParseSeries(series)
		if err != nil {
			return
		}
		c.Series = s
		NewRecovery([]archive.Cell{c, c})
		NewSweep([]archive.Cell{c, c})
	})
}

func TestLoadBad(t *testing.T) {
	if _, err := archive.Load(t.Context(), t.TempDir()); !errors.Is(err, archive.ErrNoRuns) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := archive.Load(t.Context(), filepath.Join(t.TempDir(), "nosuch")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	for name, change := range map[string][2]string{
		"not JSON": {"manifest.json", "{"}, "a later schema": {"manifest.json", `{"schema": 99}`},
		"no series": {"series.csv", ""}, "a word in the series": {"series.csv", "t_s,active\n0.1,many\n"}, "a torn series": {"series.csv", "t_s,active\n0.1\n"},
		"no active leases": {"series.csv", "t_s,queued,good_establish\n0.1,1,1\n"}, "no result": {"manifest.json", `{"schema": 1}`},
	} {
		dir := t.TempDir()
		write(t, dir, "fifo", 1, 10)
		if err := os.WriteFile(filepath.Join(dir, change[0]), []byte(change[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), change[0]) {
			t.Errorf("%s: %v; want an error that names the file", name, err)
		}
	}
}

func TestMapAndCompareFigures(t *testing.T) {
	for name, file := range map[string]struct{ file, text string }{
		"map": {record.MapFile, `{"schema":1,"title":"t","seeds":2,"contestants":["fifo"],"x":{"axis":"beta","unit":"timeouts","low":1,"high":2,"n":2},
			"y":{"axis":"wait","unit":"s","low":0.1,"high":1,"n":2,"log":true},"marks":[{"x":1.9,"y":0.2,"text":"the day"}],
			"points":[{"x":0,"y":0,"beta":1,"law":1.5,"runs":2},{"x":1,"y":0,"beta":2,"law":1.5,"lost":2,"runs":2},{"x":0,"y":1,"beta":1,"law":1.5,"lost":1,"runs":2},{"x":1,"y":1}]}`},
		"compare": {CompareFile, `{"schema":1,"rows":[{"queue":"lifo","admit":"none","retry":"backoff","engine":"real","verdict":"recovered","ttr_s":{"median":2,"min":1,"max":3},
			"efficiency":0.5,"collapse_probability":{"p":0.5,"n":2},"runs":[{"leases":10,"broken":1,"beta":2}]},{"queue":"fifo","admit":"none","retry":"immediate","verdict":"collapsed","runs":[{}]}]}`},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, file.file)
		if err := os.WriteFile(path, []byte(file.text), 0o644); err != nil {
			t.Fatal(err)
		}
		names, err := Draw(t.Context(), dir)
		if err != nil || len(names) != 1 || names[0] != name {
			t.Errorf("%s: drew %v, %v", name, names, err)
		}
		for _, bad := range []string{"{", `{"schema":9}`, `{"schema":1}`} {
			if err := os.WriteFile(path, []byte(bad), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Draw(t.Context(), dir); err == nil || !strings.Contains(err.Error(), file.file) {
				t.Errorf("%s of %s: %v", name, bad, err)
			}
		}
	}
}

// An axis whose ends were computed in another order is an ulp longer, and keeps its labels.
func TestTicksToAnUlp(t *testing.T) {
	want := ticks{}.Ticks(0.5, 6.5)
	got := ticks{}.Ticks(0.5, math.Nextafter(6.5, 7))
	if len(want) != 6 || !slices.Equal(got, want) {
		t.Errorf("%v; want 1 to 6, as without the ulp: %v", got, want)
	}
}
