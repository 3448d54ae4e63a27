package admit

import (
	"math"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// Worked out by hand from the definition: alpha 3, beta 6 and steps of 1 below a limit of
// 100; shortest time 100 ms.
func TestVegasLaw(t *testing.T) {
	l, limit := &vegas{}, 20.0
	for i, tt := range []struct {
		rtt      float64
		inflight int
		dropped  bool
		want     float64
	}{
		{0.1, 20, false, 26},    // nothing queued: + beta
		{0.2, 26, false, 25},    // 26/2 = 13 queued, above beta: - 1
		{0.1, 25, true, 24},     // a drop: - 1
		{0.125, 24, false, 24},  // ceil(24/5) = 5 queued, between alpha and beta
		{0.106, 24, false, 25},  // ceil(1.36) = 2 queued, below alpha: + 1
		{0.1, 12, false, 25},    // not half used: nothing
		{0.1, 13, false, 31},    // half used
		{0.3, 31, false, 30},    // 21 queued
		{0.103, 30, false, 36},  // 1 queued: + beta
		{0.25, 100, false, 35},  // 22 queued
		{0.1176, 35, false, 35}, // ceil(5.24) = 6 queued: beta is still allowed
	} {
		limit = l.next(limit, window{n: 10, rtt: tt.rtt, least: 0.1, inflight: tt.inflight, dropped: tt.dropped})
		if limit != tt.want {
			t.Fatalf("step %d: limit %v, want %v", i, limit, tt.want)
		}
	}
}

// One step from the definition, by hand, and the fixed point 4/(1−g).
func TestGradient2Law(t *testing.T) {
	l := &gradient2{long: 1, n: 600}
	// long = 1 + 2/601, g = 1.5·long/2, limit = 80 + 0.2·(100 g + 4)
	if got := l.next(100, window{n: 10, rtt: 2, inflight: 100}); math.Abs(got-95.849917) > 1e-5 {
		t.Errorf("one step: %.6f, want 95.849917", got)
	}
	if got := l.next(100, window{n: 10, rtt: 2, inflight: 49}); got != 100 {
		t.Errorf("not pressed on: %v, want 100", got)
	}
	for _, g := range []float64{0.8, 0.95} {
		limit := 20.0
		for range 2000 {
			l := &gradient2{long: 1, n: 600}
			rtt := 1.0
			for range 50 { // the present time that makes the gradient g, with the long mean's own step
				rtt = gradientTolerance * (1 + (rtt-1)*2/(gradientWindows+1)) / g
			}
			limit = l.next(limit, window{n: 10, rtt: rtt, inflight: 1e6})
		}
		if want := 4 / (1 - g); math.Abs(limit-want) > 0.01*want {
			t.Errorf("gradient %v: settles at %.2f, want %.2f", g, limit, want)
		}
	}
}

// The backlog's door closes in proportion to the queue, for establishes alone.
func TestBacklog(t *testing.T) {
	cfg := Config{Timeout: time.Second, Capacity: 1000, Workers: 1} // closed at 500
	for _, tt := range []struct{ queued, want int }{{0, 1000}, {250, 500}, {450, 100}, {500, 0}, {10_000, 0}} {
		c, err := Make("backlog", cfg)
		if err != nil {
			t.Fatal(err)
		}
		admitted, checks := 0, 0
		for now := time.Second; now < 3*time.Second; now += time.Millisecond {
			items := []queue.Item{{Class: queue.Establish}, {Class: queue.Check}, {Class: queue.Establish}, {Class: queue.Establish}}
			n := c.Admit(now, items, Queued(tt.queued))
			for _, it := range items[:n] {
				if it.Class == queue.Check {
					checks++
				} else if now >= 2*time.Second { // the burst has gone by then
					admitted++
				}
			}
		}
		if admitted < tt.want-2 || admitted > tt.want+2 || checks != 2000 {
			t.Errorf("%d queued: %d establishes a second, %d checks; want %d, all", tt.queued, admitted, checks, tt.want)
		}
	}
}
