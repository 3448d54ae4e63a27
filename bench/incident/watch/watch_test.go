package watch_test

import (
	"flag"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/incident/watch"
	"github.com/leasestorm/leasestorm/internal/need"
)

// An alert fires at the first evaluation that is For after the first one above the threshold, and
// a single evaluation that is not above starts it anew.
func TestFor(t *testing.T) {
	const rule = watch.QueueAge // above 1 for 2 minutes
	above, at, gone := 1.5, 1.0, math.NaN()
	for _, c := range []struct {
		what   string
		values []float64 // a minute apart
		want   []watch.Firing
	}{
		{"for long", []float64{0, above, above, above, above, 0},
			[]watch.Firing{{Rule: rule, Pending: time.Minute, Fired: 3 * time.Minute, Resolved: 5 * time.Minute}}},
		{"to the end", []float64{above, above, above}, []watch.Firing{{Rule: rule, Fired: 2 * time.Minute}}},
		{"too short", []float64{above, above, 0, above, above}, nil},
		{"at the threshold", []float64{at, at, at, at, at}, nil},
		{"with a gap", []float64{above, above, gone, above, above}, nil},
		{"twice", []float64{above, above, above, 0, above, above, above},
			[]watch.Firing{{Rule: rule, Fired: 2 * time.Minute, Resolved: 3 * time.Minute}, {Rule: rule, Pending: 4 * time.Minute, Fired: 6 * time.Minute}}},
	} {
		var w watch.Watch
		for i, x := range c.values {
			v := watch.Missing()
			v[rule] = x
			w.Step(time.Duration(i)*time.Minute, v)
		}
		if got := w.Fired(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v; want %+v", c.what, got, c.want)
		}
	}
}

// The watch agrees with a search over the whole series: an alert fires at a time if every
// evaluation from For before it on was above the threshold.
func TestWatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const step = 30 * time.Second
		series := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 60).Draw(t, "series")
		rule := rapid.IntRange(0, watch.Count-1).Draw(t, "rule")
		r := watch.Rules[rule]
		var w watch.Watch
		began := 0
		for i, x := range series {
			v := watch.Missing()
			v[rule] = map[bool]float64{true: 2 * r.Above, false: r.Above}[x > 0]
			began += len(w.Step(time.Duration(i)*step, v))
			back := int(r.For / step)
			want := i >= back
			for j := max(0, i-back); j <= i; j++ {
				want = want && series[j] > 0
			}
			if got := w.Firing(rule); got != want {
				t.Fatalf("%s at step %d of %v: fires %v; want %v", r.Alert, i, series, got, want)
			}
		}
		if began != len(w.Fired()) {
			t.Fatalf("%d alerts began, %d fired", began, len(w.Fired()))
		}
	})
}

var metric = regexp.MustCompile(`^leasestorm(_[a-z0-9]+)+_(ratio|seconds)$`)

func TestRules(t *testing.T) {
	reported := 0
	for i, r := range watch.Rules {
		if !metric.MatchString(r.Metric) || r.Per != "" && !metric.MatchString(r.Per) || r.Help == "" || r.Summary == "" {
			t.Errorf("rule %d: %+v", i, r)
		}
		if !(r.Above > 0) || r.For < time.Minute || r.For%time.Minute != 0 {
			t.Errorf("%s: above %g for %v", r.Alert, r.Above, r.For)
		}
		if r.Knew != "" {
			if _, err := operator.At(r.Knew); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
		}
		if r.Reported {
			reported++
		}
	}
	if reported != 3 {
		t.Errorf("%d indicators are of the outage report; it names three", reported)
	}
}

const scripts = "../../../scripts"

var update = flag.Bool("update", false, "write the files in scripts/ anew")

// The files in scripts/ are those of the table.
func TestFiles(t *testing.T) {
	for name, want := range map[string]string{watch.RulesFile: watch.AlertRules(), watch.TestsFile: watch.AlertTests()} {
		path := filepath.Join(scripts, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is not that of the table (%v): go test ./bench/incident/watch -update writes it", path, err)
		}
	}
}

// Prometheus's own tool takes the rules and evaluates them as the watch does.
func TestPromtool(t *testing.T) {
	promtool := need.Tool(t, "promtool", "Debian's prometheus")
	for _, args := range [][]string{{"check", "rules", watch.RulesFile}, {"test", "rules", watch.TestsFile}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = scripts
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
