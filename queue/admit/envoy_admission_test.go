package admit

import (
	"math"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// Envoy's probability, worked out by hand from its definition.
func TestEnvoyRejection(t *testing.T) {
	for _, tt := range []struct {
		n, good         int64
		aggression, cap float64
		want            float64
	}{
		{100, 50, 1, 0.8, 0.4690},
		{100, 50, 2, 0.8, 0.6848},
		{100, 95, 1, 0.8, 0}, // the threshold
		{100, 94, 1, 0.8, 0.010422},
		{100, 0, 1, 0.8, 0.8}, // 100/101, capped
		{100, 0, 1, 1, 0.990099},
		{1, 0, 1, 0.8, 0.5},
		{0, 0, 1, 0.8, 0},
	} {
		if got := envoyRejection(ends{tt.n, tt.good}, 0.95, tt.aggression, tt.cap); math.Abs(got-tt.want) > 5e-5 {
			t.Errorf("%d of %d good, aggression %g: %.5f, want %.4f", tt.good, tt.n, tt.aggression, got, tt.want)
		}
	}
}

// An offered load of F times the capacity settles where μ·√(F/threshold) is admitted, and at the
// cap where a fifth of the load is.
func TestEnvoyAdmissionFixedPoint(t *testing.T) {
	for _, tt := range []struct{ load, want float64 }{{0.9, 0.9}, {2, 1.451}, {10, 3.244}, {40, 8}} {
		const capacity = 100 // a second, in equal steps
		c := make1(t, "envoy-admission", testConfig)
		admitted, each := 0, int(tt.load*capacity)
		for now := time.Duration(0); now < 400*time.Second; now += time.Second {
			n, items := door(c, now, queue.Establish, 0, each, 0)
			for i := range items[:n] {
				out := queue.Late
				if i < capacity {
					out = queue.Good
				}
				c.Done(now, &items[i], 0, out)
			}
			if now >= 200*time.Second {
				admitted += n
			}
		}
		if got := float64(admitted) / 200 / capacity; math.Abs(got-tt.want) > 0.03*tt.want {
			t.Errorf("load %g: %.3f of the capacity is admitted, want %.3f", tt.load, got, tt.want)
		}
	}
}

// What leaves the window is forgotten, what a client cancelled does not count, and below the
// threshold of requests per second everything is admitted.
func TestEnvoyAdmissionWindow(t *testing.T) {
	c := make1(t, "envoy-admission:rps=10", testConfig).(*envoyAdmission)
	done := func(at time.Duration, n int, out queue.Outcome, why queue.Reason) {
		for range n {
			c.Done(at, &queue.Item{Why: why}, 0, out)
		}
	}
	admits := func(at time.Duration, want bool, when string) {
		t.Helper()
		if n, _ := door(c, at, queue.Check, 0, 1000, 0); (n == 1000) != want {
			t.Errorf("%s: %d of 1000 admitted", when, n)
		}
	}
	const s = time.Second
	done(0, 500, queue.Shed, queue.Cancelled)
	admits(0, true, "after 500 cancelled")
	done(2*s, 50, queue.Late, queue.NotShed)
	done(6*s, 50, queue.Good, queue.NotShed)
	if c.ends.all != (ends{100, 50}) {
		t.Errorf("the window has %+v, want 100 ends, 50 good", c.ends.all)
	}
	admits(12*s, false, "100 ends in 10 s")
	admits(13*s, true, "100 ends in 11 s, fewer than 10 a second")
	done(31*s, 400, queue.Late, queue.NotShed)
	admits(31*s, false, "500 ends in 29 s")
	admits(32*s, false, "450 ends in 26 s")
	if c.ends.all != (ends{450, 50}) {
		t.Errorf("the window has %+v after 32 s, want 450 ends, 50 good", c.ends.all)
	}
	admits(61*s, true, "after an empty window")
	done(60*s, 30, queue.Failed, queue.NotShed) // a clock that is behind
	admits(61*s, false, "30 failures in a second")
}
