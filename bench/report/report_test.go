package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/hist"
	"github.com/leasestorm/leasestorm/bench/internal/files/filestest"
)

// run writes the files of a run: an outage from 1 s to 2 s, then leases that come back at a rate.
func run(t *testing.T, dir, scenario, queue, verdict string, seed int, perSecond float64) {
	t.Helper()
	ttr := "null"
	if verdict == "recovered" {
		ttr = fmt.Sprint(100 / perSecond)
	}
	name, err := json.Marshal(scenario)
	if err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"schema": 1, "command": "leasestorm run %s", "scenario_toml": "# %s </script>", "result": {"scenario": %s, "table": "lockfree", "queue": %q, "admit": "none",
		"retry": "immediate", "leases": 1000, "broken": 100, "workers": 1, "engine": "real", "verdict": %q, "ttr_s": %s, "beta": 2.667, "seed": %d, "capacity_per_s": 50,
		"valid": %v, "invalid_because": "the host slept"}, "host": {"name": "h", "os": "linux", "cores": 2, "virtual": true},
		"phases": [{"name": "steady", "start_ns": 0}, {"name": "outage", "start_ns": 1000000000}, {"name": "return", "start_ns": 2000000000}]}`,
		queue, queue, name, queue, verdict, ttr, seed, verdict != "invalid")
	var csv strings.Builder
	csv.WriteString("t_s,phase,good_establish,active,queued,sojourn_p50_s\n")
	for i := 1; i <= 50; i++ {
		at := float64(i) / 10
		sojourn := ""
		if i%2 == 0 {
			sojourn = fmt.Sprint(at / 100)
		}
		fmt.Fprintf(&csv, "%.6f,x,%g,%g,%g,%s\n", at, perSecond/10, min(1000, 900+perSecond*max(0, at-2)), 10*at, sojourn)
	}
	put(t, dir, map[string]string{"manifest.json": manifest, "series.csv": csv.String()})
}

func put(t *testing.T, dir string, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// made is the text of the page of dir.
func made(t *testing.T, dir string) string {
	t.Helper()
	p, err := Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What happened is said in sentences with the numbers of the data.
func TestSummary(t *testing.T) {
	dir := t.TempDir()
	run(t, filepath.Join(dir, "a"), "surge", "fifo", "collapsed", 1, 0)
	run(t, filepath.Join(dir, "b"), "surge", "lifo", "recovered", 1, 25)
	run(t, filepath.Join(dir, "c"), "surge", "deadline", "recovered", 1, 50)
	run(t, filepath.Join(dir, "d"), "surge", "slack", "recovered", 1, 40)
	run(t, filepath.Join(dir, "e"), "surge", "codel", "invalid", 1, 0)
	p, err := Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"100 of 1,000 leases were broken when the dependency returned; serving them once takes the spare capacity 2.7 timeouts (β = 2.67); on 2 cores of this host, in real time.",
		"First with all leases back: deadline, after 2.00 s; then 2 others between 2.50 s and 4.00 s; fifo collapsed; 1 other: see the verdicts.",
	}
	if !slices.Equal(p.Summary, want) {
		t.Errorf("summary %q", p.Summary)
	}
	if len(p.Alerts) != 2 || p.Alerts[0] != "Invalid: surge, codel/none/immediate, seed 1: the host slept." {
		t.Errorf("alerts %q", p.Alerts)
	}
	s := p.Sections[0]
	if want := []string{"deadline", "slack", "lifo", "fifo", "codel, INVALID"}; !slices.Equal(s.Names, want) {
		t.Errorf("contestants %q; want %q, the fastest first", s.Names, want)
	}
	if s.Verdicts[0] != (Verdict{"deadline", "recovered, back after 2.00 s", "good"}) || s.Verdicts[3].Class != "bad" {
		t.Errorf("verdicts %v", s.Verdicts)
	}
	titles := ""
	for _, c := range s.Parts[0].Charts {
		titles += c.Title + "; "
		for _, line := range c.Series {
			if len(line.Y) != len(c.X) || line.Name != s.Names[line.Key] {
				t.Errorf("%s: line %s has %d points and key %d; %d on the axis", c.Title, line.Name, len(line.Y), line.Key, len(c.X))
			}
		}
	}
	if titles != "active leases; queue length; goodput: establishes; sojourn time, median; " {
		t.Errorf("charts %q", titles)
	}
}

// A further try stands in the place of the one that the host spoilt. An invalid run of its own is told,
// whatever other run has its name.
func TestTries(t *testing.T) {
	dir := t.TempDir()
	run(t, filepath.Join(dir, "fifo-s1"), "surge", "fifo", "invalid", 1, 0)
	run(t, filepath.Join(dir, "fifo-s1-try2"), "surge", "fifo", "collapsed", 1, 0)
	run(t, filepath.Join(dir, "fifo-2-s1"), "surge", "fifo", "invalid", 1, 0) // as with another table
	p, err := Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Invalid: surge, fifo/none/immediate, seed 1: the host slept.", "Invalid runs count in no figure and no median.", "1 run was made again, since the first try was invalid."}
	if !slices.Equal(p.Alerts, want) {
		t.Errorf("alerts %q", p.Alerts)
	}
	if n := strings.Count(p.Commands[0].Text, "\n") + 1; n != 2 {
		t.Errorf("%d commands for 2 runs", n)
	}
}

// Names are shown, never run, wherever they stand.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	const bad = `<script>alert(1)<!-- " onload='x' ` + "`${x}`"
	run(t, filepath.Join(dir, "a"), strings.ReplaceAll(bad, "/", ""), "fifo", "collapsed", 1, 0)
	run(t, filepath.Join(dir, "b"), strings.ReplaceAll(bad, "/", ""), "lifo", "recovered", 1, 50)
	text := made(t, dir)
	if n := strings.Count(text, "<script"); n != 4 {
		t.Errorf("%d script elements; want the page's own 4", n)
	}
	if n := strings.Count(text, "</script>"); n != 4 {
		t.Errorf("%d ends of script elements; want 4", n)
	}
	for _, m := range regexp.MustCompile(`<[a-z][^>]*\son[a-z]+=`).FindAllString(text, -1) {
		t.Errorf("an attribute that runs: %.80s", m)
	}
	if !strings.Contains(text, "&lt;script&gt;alert(1)") {
		t.Error("the name is not shown")
	}
}

// What is whole of a damaged folder is shown, and what is missing is named. Where nothing is whole
// there is an error.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	run(t, filepath.Join(dir, "a"), "surge", "fifo", "collapsed", 1, 0)
	run(t, filepath.Join(dir, "b"), "surge", "lifo", "recovered", 1, 50)
	run(t, filepath.Join(dir, "c"), "surge", "slack", "recovered", 1, 50)
	put(t, dir, map[string]string{"b/manifest.json": `{"schema": 1, "res`, "d/manifest.json": `{"schema": 0}`, "sweep.json": "{", "compare.json": `{"schema":9}`})
	if err := os.Remove(filepath.Join(dir, "c", "series.csv")); err != nil {
		t.Fatal(err)
	}
	p, err := Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(p.Damaged, "\n")
	for _, want := range []string{"b/manifest.json: not a manifest", "d/manifest.json: schema 0, and this program reads 1", "1 of 2 runs: they have no series.csv that can be read", "sweep.json: not a sweep", "compare.json: schema 9"} {
		if !strings.Contains(all, want) {
			t.Errorf("damaged %q lacks %q", all, want)
		}
	}
	if len(p.Sections) != 1 || len(p.Sections[0].Verdicts) != 2 {
		t.Errorf("sections %v; want the surge with fifo and slack", p.Sections)
	}
	if _, err := Build(t.Context(), t.TempDir()); !errors.Is(err, archive.ErrNoRuns) {
		t.Errorf("an empty folder: %v", err)
	}
	only := t.TempDir()
	put(t, only, map[string]string{"manifest.json": `{"schema": 7}`})
	if _, err := Build(t.Context(), only); err == nil || !strings.Contains(err.Error(), "use the version that wrote it") {
		t.Errorf("a folder of another version: %v", err)
	}
	if _, err := Build(t.Context(), filepath.Join(dir, "nosuch")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// A long line keeps its smallest and its largest values, in every bucket.
func TestThinKeepsSpikes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		n := most + 1 + rng.IntN(20*most)
		c := Chart{Series: []Series{{Y: make(Numbers, n)}}}
		for i := range n {
			c.X = append(c.X, float64(i))
			c.Series[0].Y[i] = rng.Float64()
			if rng.IntN(5) == 0 {
				c.Series[0].Y[i] = math.NaN()
			}
		}
		spike, dip := rng.IntN(n), rng.IntN(n)
		c.Series[0].Y[spike], c.Series[0].Y[dip] = 100, -100
		if spike == dip {
			continue
		}
		c.thin()
		y := c.Series[0].Y
		if len(c.X) != most || len(y) != most || !slices.IsSorted(c.X) {
			t.Fatalf("%d points become %d and %d", n, len(c.X), len(y))
		}
		for want, at := range map[float64]int{100: spike, -100: dip} {
			i := slices.Index(y, want)
			if i < 0 {
				t.Fatalf("of %d points the value %g is lost", n, want)
			}
			if off := math.Abs(c.X[i] - float64(at)); off > 2*float64(n)/most+1 {
				t.Errorf("the value %g moves by %g of %d points", want, off, n)
			}
		}
	}
}

// Numbers without a value are null.
func TestNumbers(t *testing.T) {
	text, err := json.Marshal(Numbers{1, math.NaN(), math.Inf(1), 123456.7, -0.000012345678})
	if err != nil || string(text) != "[1,null,null,1.2346e+05,-1.2346e-05]" {
		t.Errorf("%s, %v", text, err)
	}
}

// Whatever call fails, the page is the old one or the new one, whole.
func TestPageSurvivesTheDisk(t *testing.T) {
	dir := t.TempDir()
	run(t, filepath.Join(dir, "a"), "surge", "fifo", "collapsed", 1, 0)
	want := made(t, dir)
	path := filepath.Join(dir, File)
	filestest.EachCall(t, func(t *testing.T) error {
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Make(t.Context(), dir)
		return err
	}, func(t *testing.T, err error) {
		if text, _ := os.ReadFile(path); string(text) != "old" && string(text) != want {
			t.Errorf("%d bytes are left", len(text))
		}
		if !errors.Is(err, filestest.ErrBroken) {
			t.Errorf("the error is lost: %v", err)
		}
	})
}

// A map of sojourn times has a column per interval, and all maps of a page have one scale.
func TestHeats(t *testing.T) {
	dir := t.TempDir()
	var all []archive.Contestant
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, ms := range []int64{1, 5000} {
		log := hist.Log{Unit: time.Microsecond, Start: start}
		for k := range 4 + i {
			h := hdrhistogram.New(1, 3_600_000_000, 2)
			if err := h.RecordValues(ms*1000, int64(1)<<(4*k)); err != nil {
				t.Fatal(err)
			}
			log.Intervals = append(log.Intervals, hist.Of(h, "", start.Add(time.Duration(k+1)*time.Second), time.Second))
		}
		var b bytes.Buffer
		if err := log.WriteLog(&b); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, fmt.Sprint(i)), map[string]string{"sojourn.hlog": b.String()})
		c := archive.Cell{Folder: filepath.Join(dir, fmt.Sprint(i))}
		c.Manifest.Started = start
		all = append(all, archive.Contestant{Name: fmt.Sprint(i), Cells: []archive.Cell{c}})
	}
	p, err := heats(all)
	if err != nil || len(p.Heats) != 2 {
		t.Fatalf("%d maps, %v", len(p.Heats), err)
	}
	for i, h := range p.Heats {
		if len(h.Columns) != 6 || h.Rows != 46 {
			t.Fatalf("map %d has %d columns of %d rows; want 6 of 46: eight a decade from 10 µs to 5 s", i, len(h.Columns), h.Rows)
		}
		row := []int{16, 45}[i]
		for k, c := range h.Columns {
			for r, v := range c {
				want := byte(0)
				if r == row && k >= 1 && k <= 4+i {
					want = byte(heatLevels * (1 + 4*(k-1)))
				}
				if k == 5 && i == 1 && r == row {
					want = 255 // at most
				}
				if v != want {
					t.Errorf("map %d, column %d, row %d: %d; want %d", i, k, r, v, want)
				}
			}
		}
	}
}

// Every published set of files makes a page, with its table.
func TestPublished(t *testing.T) {
	const published = "../../results/published"
	sets, err := os.ReadDir(published)
	if err != nil || len(sets) < 5 {
		t.Fatalf("%d published sets, %v", len(sets), err)
	}
	for _, set := range sets {
		if !set.IsDir() {
			continue
		}
		dir := filepath.Join(published, set.Name())
		p, err := Build(t.Context(), dir)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		for _, s := range p.Sections {
			if len(s.Tables) == 0 && s.Pre == "" {
				t.Errorf("%s: section %s has no table", dir, s.Name)
			}
		}
		if len(p.Summary) == 0 && len(p.Sections) > 0 && p.Sections[0].Name != "speed" {
			t.Errorf("%s: nothing is said of it", dir)
		}
	}
}
