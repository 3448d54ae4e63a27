package hist_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/hist"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/internal/need"
)

// found is what testdata/js/roundtrip.js prints.
type found struct {
	Tags      []string
	InRange   int
	Log       string
	Intervals []struct {
		Tag             string
		Start, End      float64 // ms since 1970
		Count, P50, Max int64
		Hgrm            string
	}
}

// inJS reads a log with hdr-histogram-js. Stamps between from and to count as in the range.
func inJS(t *testing.T, log string, from, to float64) (f found) {
	t.Helper()
	node := need.Tool(t, "node", "nodejs")
	if err := exec.CommandContext(t.Context(), node, "-e", `require("hdr-histogram-js")`).Run(); err != nil {
		need.Missing(t, "hdr-histogram-js", `it by "npm ci --ignore-scripts" in a copy of bench/hist/testdata/js, and set NODE_PATH to its node_modules`)
	}
	script, err := os.ReadFile("testdata/js/roundtrip.js")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "-e", string(script), fmt.Sprint(from), fmt.Sprint(to))
	cmd.Stdin = strings.NewReader(log)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &f)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, &complaint)
	}
	return f
}

// compare fails where hdr-histogram-js has not found a log's intervals, or where this package does not
// find in its log what it had.
func compare(t *testing.T, f found, want []hist.Interval) {
	t.Helper()
	back, err := hist.Read("js.hlog", f.Log, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Intervals) != len(want) || len(back.Intervals) != len(want) {
		t.Fatalf("%d intervals there and %d back, want %d", len(f.Intervals), len(back.Intervals), len(want))
	}
	var tags []string
	for i, w := range want {
		g, b := f.Intervals[i], back.Intervals[i]
		h, err := w.Histogram()
		if err != nil {
			t.Fatal(err)
		}
		var hgrm bytes.Buffer
		if err := hist.WritePercentiles(&hgrm, h, time.Microsecond, w.Max()); err != nil {
			t.Fatal(err)
		}
		end := w.Start.Add(w.Length)
		if g.Tag != w.Tag || g.Count != w.Count() || g.P50 != w.Quantile(.5) || g.Max != w.Max() || int64(g.Start) != w.Start.UnixMilli() || int64(g.End) != end.UnixMilli() || g.Hgrm != hgrm.String() {
			t.Errorf("interval %d: there %+v, here %+v\n%s", i, g, w, &hgrm)
		}
		if b.Tag != w.Tag || !slices.Equal(b.Bars, w.Bars) || b.Start.UnixMilli() != w.Start.UnixMilli() {
			t.Errorf("interval %d comes back as %+v, want %+v", i, b, w)
		}
		name := w.Tag
		if name == "" {
			name = "NO TAG"
		}
		tags = append(tags, name)
	}
	slices.Sort(tags)
	slices.Sort(f.Tags)
	if tags = slices.Compact(tags); !slices.Equal(f.Tags, tags) {
		t.Errorf("tags %v, want %v", f.Tags, tags)
	}
}

// hdr-histogram-js reads a log that was made tag by tag whole, since it is written in order of time; it
// prints each percentile distribution as we do; and we read its log.
func TestJavaScriptReadsOurs(t *testing.T) {
	l := hist.Log{Unit: time.Microsecond, Start: time.Unix(1_760_951_100, 0)}
	for k, tag := range []string{"", "check/steady/actual", "Größe=1"} {
		for s := range 5 {
			h := hdrhistogram.New(1, 3_600_000_000, 3)
			for v := range int64(300 * s) {
				if err := h.RecordValues(v*v*int64(k+1), v%7+1); err != nil {
					t.Fatal(err)
				}
			}
			l.Intervals = append(l.Intervals, hist.Of(h, tag, l.Start.Add(time.Duration(s)*time.Second+time.Duration(k)*time.Millisecond), time.Second))
		}
	}
	var text bytes.Buffer
	if err := l.WriteLog(&text); err != nil {
		t.Fatal(err)
	}
	f := inJS(t, text.String(), 1, 3.5) // its ranges are those of the stamps as they are written
	if f.InRange != 9 {
		t.Errorf("%d intervals from second 1 to 3.5, want 9: the stamps of three seconds, of three tags each", f.InRange)
	}
	slices.SortStableFunc(l.Intervals, func(a, b hist.Interval) int { return a.Start.Compare(b.Start) })
	compare(t, f, l.Intervals)
}

// It reads the log of a run.
func TestJavaScriptReadsARun(t *testing.T) {
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set("leases=2000", "broken=200")
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	if _, err := (bench.Virtual{}).Run(t.Context(), s, bench.Options{Seed: 1, Folder: dir}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "latency.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := hist.Read("latency.hlog", string(text), 0)
	if err != nil || len(l.Intervals) < 4 || l.Unit != time.Microsecond || !l.Stated {
		t.Fatalf("%v, %+v", err, l)
	}
	if f := inJS(t, string(text), 0, 1e9); f.InRange != len(l.Intervals) {
		t.Errorf("%d of %d intervals before the end of time", f.InRange, len(l.Intervals))
	} else {
		compare(t, f, l.Intervals)
	}
}
