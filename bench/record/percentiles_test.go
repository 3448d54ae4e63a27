package record

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// The printer writes what hdr-histogram-js 3.0.1 does, to the byte, for the values
// i³/4·10^6 + 1 µs, i = 1 … 20,000.
func TestWritePercentiles(t *testing.T) {
	want, err := os.ReadFile("testdata/hdr-histogram-js-3.0.1.hgrm")
	if err != nil {
		t.Fatal(err)
	}
	l := NewLatency()
	for i := int64(1); i <= 20_000; i++ {
		l.Record(time.Duration(i*i*i/4_000_000+1) * time.Microsecond)
	}
	var got bytes.Buffer
	if err := l.WritePercentiles(&got); err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("line %d of %d:\n got %q\nwant %q", i+1, len(w), strings.Join(g[min(i, len(g)):], "\n"), strings.Join(w[min(i, len(w)):], "\n"))
		}
	}
}

func TestWritePercentilesOfNothing(t *testing.T) {
	var got bytes.Buffer
	if err := NewLatency().WritePercentiles(&got); err != nil || !strings.Contains(got.String(), "Total count    =            0]") {
		t.Errorf("%v\n%s", err, &got)
	}
}

// Quantile gives at each percentile of the .hgrm file the value that stands there.
func TestQuantileIsTheFiles(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 10, 600, 1000, 4099} {
		l := NewLatency()
		for i := range n {
			l.Record(time.Duration(i*i) * time.Millisecond) // up to 4.7 h
		}
		var file bytes.Buffer
		if err := l.WritePercentiles(&file); err != nil {
			t.Fatal(err)
		}
		l.Max = 1 << 62 // the file has the top of a bucket
		lines := 0
		for line := range strings.Lines(file.String()) {
			var value, q float64
			if _, err := fmt.Sscan(line, &value, &q); err != nil {
				continue
			}
			lines++
			if got := 1e3 * l.Quantile(q); math.Abs(got-value) > 0.0005 {
				t.Errorf("of %d values p%v is %.3f ms, the file says %.3f", n, 100*q, got, value)
			}
		}
		if lines < 2 {
			t.Errorf("%d lines of %d values", lines, n)
		}
	}
}

// A quantile is the smallest value with at least the asked share at or below it.
func TestQuantileRank(t *testing.T) {
	for _, tt := range []struct {
		n, want int // of the values 1, 2, … n ms
		q       float64
	}{
		{600, 600, .999}, // 599 of 600 are 99.83 %
		{1000, 999, .999}, {1001, 1000, .999}, {100, 99, .99}, {101, 100, .99}, {100, 7, .07}, {100, 29, .29},
		{2, 1, .5}, {3, 2, .5}, {10, 5, .5}, {10, 10, 1}, {10, 1, 0}, {10, 1, .1}, {10, 2, .1000001},
	} {
		l := NewLatency()
		for i := range tt.n {
			l.Record(time.Duration(i+1) * time.Millisecond)
		}
		if got := math.Round(1e3 * l.Quantile(tt.q)); got != float64(tt.want) {
			t.Errorf("p%v of 1 … %d ms is %v ms, want %d", 100*tt.q, tt.n, got, tt.want)
		}
	}
}

// What takes longer than an hour is counted like everything else, in the quantiles, in sums
// of histograms and in the files.
func TestLongLatencies(t *testing.T) {
	l := NewLatency()
	for i := 1; i <= 1000; i++ {
		l.Record(time.Duration(i) * 6 * time.Second) // up to 100 min
	}
	l.Record(math.MaxInt64)
	sum := NewLatency()
	sum.Merge(l)
	for _, x := range []*Latency{l, sum} {
		if n := x.TotalCount(); n != 1001 {
			t.Errorf("%d records, want 1001", n)
		}
		if q := x.Quantile(.99); math.Abs(q/5946-1) > .001 {
			t.Errorf("p99 %v s, want 5946", q)
		}
		if q := x.Quantile(1); math.Abs(q/math.MaxInt64*1e9-1) > .001 {
			t.Errorf("the largest is %v s", q)
		}
		if h := x.Histogram(); h.TotalCount() != 1001 {
			t.Errorf("%d records in the log, want 1001", h.TotalCount())
		}
		var file bytes.Buffer
		if err := x.WritePercentiles(&file); err != nil || !strings.Contains(file.String(), "Total count    =         1001]") {
			t.Errorf("%v\n%s", err, &file)
		}
	}
}
