package speed

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A small size runs with every test run, so that it cannot rot.
func TestMeasure(t *testing.T) {
	rows, err := Measure(t.Context(), Options{Leases: 1000, Goroutines: []int{1, 3}, Rounds: 2, Length: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if want := 4 * (4*len(tableRefs()) + 3*len(queueRefs())); len(rows) != want {
		t.Errorf("%d rows, want %d", len(rows), want)
	}
	for _, r := range rows {
		if !(r.PerSecond > 0) || r.Low > r.PerSecond || r.High < r.PerSecond || r.Rounds != 2 {
			t.Errorf("%+v", r)
		}
	}
	if text := Benchmarks(rows); strings.Count(text, "\n") != len(rows) || !strings.Contains(text, "BenchmarkSpeed/work=renew-anywhere/pinned=true/lockfree-3 1 ") {
		t.Errorf("%s", text)
	}
	if text := Table(rows); !strings.Contains(text, "lockfree") {
		t.Errorf("%s", text)
	}
}

func TestMeasureStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, Options{Leases: 1, Goroutines: []int{1}, Rounds: 1, Length: 1}); err == nil {
		t.Error("an interrupted measurement has rows")
	}
	if _, err := Measure(t.Context(), Options{}); err == nil {
		t.Error("nothing was measured, without an error")
	}
}

// A law that is put in comes out.
func TestFitLaw(t *testing.T) {
	counts := []int{1, 2, 4, 8, 16, 32}
	var rates [][]float64
	for _, n := range counts {
		x := 1e6 * float64(n) / (1 + 0.05*float64(n-1) + 0.002*float64(n*(n-1)))
		rates = append(rates, []float64{x * 0.999, x, x * 1.001})
	}
	l, ok := FitLaw(counts, rates, 1)
	near := func(got, want, by float64) bool { return got > want-by && got < want+by }
	if !ok || !near(l.Lambda, 1e6, 1e3) || !near(l.Sigma, 0.05, 1e-3) || !near(l.Kappa, 0.002, 1e-4) || !near(l.Peak, 21.8, 0.2) {
		t.Errorf("%v %+v", ok, l)
	}
	if l.SigmaCI[0] > 0.05 || l.SigmaCI[1] < 0.05 || l.KappaCI[0] > 0.002 || l.KappaCI[1] < 0.002 {
		t.Errorf("intervals %v, %v do not hold 0.05 and 0.002", l.SigmaCI, l.KappaCI)
	}
	if _, ok := FitLaw(counts[:2], rates[:2], 1); ok {
		t.Error("three parameters were fitted to two points")
	}
}
