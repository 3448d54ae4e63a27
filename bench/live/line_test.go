package live

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// A sparkline shows a series of any length with its spikes.
func TestSpark(t *testing.T) {
	for _, tt := range []struct {
		name   string
		least  bool
		values []float64
		width  int
		want   string
	}{
		{"nothing", false, nil, 8, ""},
		{"zeros", false, []float64{0, 0, 0}, 8, "▁▁▁"},
		{"a ramp from 0", false, []float64{1, 2, 3, 4, 5, 6, 7}, 8, "▂▃▄▅▆▇█"},
		{"level leases", true, []float64{100, 100, 100}, 8, "███"},
		{"leases that fall and come back", true, []float64{100, 90, 95, 100}, 8, "█▁▄█"},
		{"narrow: the spike stays", false, []float64{0, 0, 0, 9, 0, 0, 0, 0}, 4, "▁█▁▁"},
		{"narrow: the dip stays", true, []float64{9, 9, 9, 9, 9, 0, 9, 9}, 4, "██▁█"},
	} {
		s := spark{least: tt.least}
		for _, x := range tt.values {
			s.add(x)
		}
		if got := s.draw(tt.width); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, least := range []bool{false, true} {
		s := spark{least: least}
		for i := range 10_000 {
			x := 5.0
			if i == 4321 {
				x = map[bool]float64{false: 50, true: 0}[least]
			}
			s.add(x)
		}
		if got := s.draw(sparkWidth); utf8.RuneCountInString(got) > sparkWidth || !strings.Contains(got, map[bool]string{false: "█", true: "▁"}[least]) || len(s.points) > sparkWidth {
			t.Errorf("one spike in 10,000 values: %q", got)
		}
	}
}

// told is a look with one step.
func told(step, active, queued int, good uint64) bench.Look {
	row := &record.Row{Step: step, Active: active, Queued: queued}
	row.Done[queue.Good][queue.Establish] = good
	return bench.Look{
		Now: time.Duration(step+1) * 100 * time.Millisecond, Verdict: bench.Degraded,
		News: &record.News{Active: active, Queued: queued, Rows: []*record.Row{row}},
	}
}

func TestLine(t *testing.T) {
	var l Line
	see := l.Begin(bench.About{End: 10 * time.Second, Shape: record.Shape{Leases: 100_000, Step: 100 * time.Millisecond}})
	if l.Text(80) != "" || l.Left() != "" || l.Verdict() != "" || l.Share() > 0 {
		t.Errorf("before the first step: %q, %q, %q", l.Text(80), l.Left(), l.Verdict())
	}
	for i := range 5 {
		see(told(i, 93_120+1000*i, 1204-100*i, 100))
		see(told(i, 93_120+1000*i, 1204-100*i, 100)) // a step that comes again counts once
	}
	if got, want := l.Text(0), "active 97,120  queue 804  goodput 1,000/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := l.Text(200), "active 97,120 ▁▂▄▆█  queue 804 █▇▆▆▅  goodput 1,000/s █████"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for width := 41; width < 200; width++ {
		if n := utf8.RuneCountInString(l.Text(width)); n > width {
			t.Errorf("%d characters, where there is room for %d", n, width)
		}
	}
	if got, want := l.Left(), "500ms of the run, at most 9.5s left"; got != want || l.Share() < 0.049 || l.Share() > 0.051 || l.Verdict() != bench.Degraded {
		t.Errorf("%q and %g, want %q", got, l.Share(), want)
	}
	// A run that is made again begins anew.
	see = l.Begin(bench.About{End: 10 * time.Second, Shape: record.Shape{Leases: 100_000, Step: 100 * time.Millisecond}})
	see(told(0, 100_000, 0, 20))
	if got, want := l.Text(60), "active 100,000 █  queue 0 ▁  goodput 200/s █"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
