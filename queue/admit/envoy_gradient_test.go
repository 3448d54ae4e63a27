package admit

import (
	"math"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// Envoy's step, worked out by hand, and where a constant gradient settles: g/(1−g)².
func TestEnvoyLimit(t *testing.T) {
	for _, tt := range []struct {
		limit       int64
		minRTT, p50 float64
		want        int64
	}{
		{100, 10, 12.5, 110}, {100, 10, 25, 57}, {100, 10, 5, 214}, // g 1, 0.5, 2
		{100, 10, 1000, 57}, {100, 10, 0.1, 214}, {100, 10, 0, 214}, {100, 0, 10, 57}, {3, 10, 100, 2},
	} {
		if got := envoyLimit(tt.limit, tt.minRTT, tt.p50); got != tt.want {
			t.Errorf("limit %d, minRTT %g, p50 %g: %d, want %d", tt.limit, tt.minRTT, tt.p50, got, tt.want)
		}
	}
	for _, tt := range []struct {
		g    float64
		want int64
	}{{0.8, 20}, {0.9, 90}} {
		limit := int64(1000)
		for range 1000 {
			limit = envoyLimit(limit, 1, envoyBuffer/tt.g)
		}
		if limit != tt.want {
			t.Errorf("gradient %g: settles at %d, want %d", tt.g, limit, tt.want)
		}
	}
}

// A median is right to 2 % at any size, and exact where a bucket is a nanosecond.
func TestMedian(t *testing.T) {
	var m medianOf
	for _, d := range []time.Duration{0, 1, 63, 64, 999, 12_345, 50 * time.Millisecond, time.Hour, math.MaxInt64} {
		for _, x := range []time.Duration{0, d, d, d, math.MaxInt64} {
			m.add(x)
		}
		if got := m.take(); math.Abs(got-float64(d)) > 0.02*float64(d) || d < 64 && got != float64(d) || m.n != 0 {
			t.Errorf("median of %v: %g ns", d, got)
		}
	}
	m.add(5)
	m.add(9)
	if got := m.take(); got != 5 {
		t.Errorf("median of 5 and 9: %g, want the lower", got)
	}
}

// gradientRun drives one controller through measurements and updates.
type gradientRun struct {
	*testing.T
	c   *envoyGradient
	now time.Duration
}

// ask lets n attempts ask, of which want are to be admitted.
func (r *gradientRun) ask(n, want int, when string) []queue.Item {
	r.Helper()
	got, items := door(r.c, r.now, queue.Check, 0, n, 0)
	if got != want {
		r.Errorf("%s: %d of %d admitted, want %d", when, got, n, want)
	}
	return items[:got]
}

// serve has n attempts, one at a time, that take so long each.
func (r *gradientRun) serve(n int, each time.Duration) {
	for range n {
		_, items := door(r.c, r.now, queue.Check, 0, 1, 0)
		r.now += each
		r.c.Done(r.now, &items[0], 0, queue.Good)
	}
}

// The controller starts in a measurement of three places and 50 samples, grows by updates on any
// sample, measures again after the interval, and then only what came after that began counts.
func TestEnvoyGradientMeasures(t *testing.T) {
	const ms = time.Millisecond
	r := &gradientRun{T: t, c: make1(t, "envoy-gradient", testConfig).(*envoyGradient)}
	first := r.ask(9, 3, "at the start")
	r.c.Done(0, &first[0], 0, queue.Shed) // a place for one at a time
	r.serve(48, 10*ms)                    // and the one that was shed
	if !r.c.measuring {
		t.Fatal("49 samples ended the measurement")
	}
	first[1].Why = queue.Cancelled
	r.c.Done(r.now, &first[1], 0, queue.Shed)
	if !r.c.measuring || r.c.inside != 1 {
		t.Fatalf("%d inside, measuring %v after one that was cancelled", r.c.inside, r.c.measuring)
	}
	r.serve(1, 10*ms)
	if r.c.measuring || math.Abs(r.c.minRTT-10e6) > 0.02*10e6 || r.c.limit != 3 {
		t.Fatalf("measuring %v, least time %g ns, limit %d; want 10 ms, 3", r.c.measuring, r.c.minRTT, r.c.limit)
	}
	end := r.now
	r.serve(1, 10*ms) // g 1.25 makes 5 of 3 at the end of the period
	r.now = end + 100*ms
	r.ask(9, 4, "after an update on one sample, one inside")
	r.c.inside = 1
	r.now += time.Second
	r.ask(9, 4, "after ten periods without a sample")
	r.c.inside = 1
	if next := r.c.measure - end; next < 60*time.Second || next > 69*time.Second {
		t.Errorf("the next measurement begins after %v, want 60 s and up to 15 %%", next)
	}
	old := r.ask(1, 1, "before the measurement")
	r.now = r.c.measure
	r.ask(9, 1, "in the measurement, two inside")
	if !r.c.measuring || r.c.limit != 3 || r.c.aside != 5 {
		t.Fatalf("measuring %v, limit %d, %d aside; want 3, 5", r.c.measuring, r.c.limit, r.c.aside)
	}
	r.c.Done(r.now, &old[0], 0, queue.Good)
	if r.c.times.n != 0 {
		t.Error("an attempt from before the measurement counts in it")
	}
	r.c.inside = 0
	r.serve(50, 20*ms)
	if r.c.measuring || r.c.limit != 5 || math.Abs(r.c.minRTT-20e6) > 0.02*20e6 {
		t.Errorf("measuring %v, limit %d, least time %g ns; want 5, 20 ms", r.c.measuring, r.c.limit, r.c.minRTT)
	}
}

// A measurement never raises the limit, five updates at the smallest limit begin one, and none does
// where the least time is given.
func TestEnvoyGradientStuck(t *testing.T) {
	for ref, measures := range map[string]bool{"envoy-gradient:min=2,requests=1": true, "envoy-gradient:min=2,fixed=10ms": false} {
		r := &gradientRun{T: t, c: make1(t, ref, testConfig).(*envoyGradient)}
		if r.c.limit != 2 {
			t.Errorf("%s: starts with a limit of %d, want 2", ref, r.c.limit)
		}
		if measures {
			r.serve(1, 10*time.Millisecond)
		}
		for i := range envoyStuck {
			if r.c.measuring {
				t.Fatalf("%s: measures after %d updates", ref, i)
			}
			r.serve(1, time.Second) // g 0.5
		}
		r.c.turn(r.now + time.Second)
		if r.c.measuring != measures || r.c.limit != 2 {
			t.Errorf("%s: measuring %v at a limit of %d after five updates at the smallest", ref, r.c.measuring, r.c.limit)
		}
	}
}
