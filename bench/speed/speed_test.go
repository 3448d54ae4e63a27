package speed

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// A small size runs with every test run, so that it cannot rot.
func TestMeasure(t *testing.T) {
	rows, err := Measure(t.Context(), Options{Leases: 1000, Goroutines: []int{1, 3}, Rounds: 2, Length: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * (len(lease.Catalog.List()) + 2*len(queue.Catalog.List())); len(rows) != want {
		t.Errorf("%d rows, want %d", len(rows), want)
	}
	for _, r := range rows {
		if !(r.PerSecond > 0) || r.Low > r.PerSecond || r.High < r.PerSecond || r.Rounds != 2 {
			t.Errorf("%+v", r)
		}
	}
	if text := Benchmarks(rows); strings.Count(text, "\n") != len(rows) || !strings.Contains(text, "BenchmarkSpeed/work=renew-anywhere/lockfree-3 1 ") {
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
