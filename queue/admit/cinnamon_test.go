package admit

import (
	"math"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// The error and the PI controller's step, worked out by hand.
func TestCinnamonLaw(t *testing.T) {
	for _, tt := range []struct {
		in, out, free, limit int64
		want                 float64
	}{
		{15, 10, 0, 10, 0.5}, {10, 10, 0, 10, 0}, {5, 10, 5, 10, -1}, {5, 0, 0, 10, 0.5}, {0, 0, 10, 10, -1},
	} {
		if got := cinnamonError(tt.in, tt.out, tt.free, tt.limit); got != tt.want {
			t.Errorf("%d in, %d out, %d free of %d: %g, want %g", tt.in, tt.out, tt.free, tt.limit, got, tt.want)
		}
	}
	c := make1(t, "cinnamon", testConfig).(*cinnamon)
	for i, tt := range []struct{ e, want float64 }{{0.5, 0.40}, {0.5, 0.75}, {0.5, 1}, {-0.5, 0.65}, {-9, 0}, {0.1, 0.08}} {
		if got := c.share(tt.e); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("tick %d, error %g: a share of %g is refused, want %g", i, tt.e, got, tt.want)
		}
	}
}

// A limit of 100 moves by steps of 2, not to the queue's length as in the port.
func TestCinnamonLimit(t *testing.T) {
	for _, tt := range []struct{ limit, latency, want float64 }{ // the target is 10 ms
		{10, 10, 11}, {10, 14, 11}, {10, 17, 10}, {10, 25, 9}, // q 0, 2.9, 4.1, 6; α 3, β 5
		{100, 10, 102}, {100, 10.8, 100}, {100, 12.5, 98}, // q 0, 7.4, 20; α 6, β 10
		{1000, 10, 1003}, {99, 20, 98}, {1, 10, 2}, {1, 20, 0}, {50, 5, 51}, {50, 0, 50},
	} {
		if got := cinnamonLimit(tt.limit, 10, tt.latency); got != tt.want {
			t.Errorf("limit %g, latency %g: %g, want %g", tt.limit, tt.latency, got, tt.want)
		}
	}
	// A busy interval each, all of one latency, which is the target after 10 s: the limit grows by
	// 1, to ten times what was inside; the worker is the least.
	tuner := newCinnamonTuner(20, 1, 1e12)
	for i := range 20 {
		now := time.Duration(i)*cinnamonTune + time.Second
		tuner.turn(now, 0)
		tuner.inside(3)
		for range cinnamonSamples {
			now += time.Millisecond
			tuner.ended(now, now-5*time.Millisecond)
		}
	}
	tuner.turn(time.Hour, 3)
	tuner.turn(2*time.Hour, 3)
	if tuner.target != 5e6 || tuner.limit != 30 || tuner.tries != 20 {
		t.Errorf("target %g ns, limit %g after %d limits; want 5e6, 30 after 20", tuner.target, tuner.limit, tuner.tries)
	}
}

// The target follows the sign of the covariance of limits and throughputs.
func TestCinnamonTarget(t *testing.T) {
	for _, tt := range []struct {
		tries int
		slope float64
		want  float64 // from a target of 100 and a shortest latency of 50
	}{{9, 1, 50}, {10, 1, 95}, {50, 1, 95}, {10, -1, 80}, {10, 0, 100}} {
		tuner := newCinnamonTuner(10, 1, 100)
		tuner.lowest, tuner.tries = 50, tt.tries
		for i := range tt.tries {
			tuner.tried[i].limit, tuner.tried[i].throughput = float64(i), 1000+tt.slope*float64(i)
		}
		if tuner.aim(); math.Abs(tuner.target-tt.want) > 1e-9 {
			t.Errorf("%d limits, slope %g: target %g, want %g", tt.tries, tt.slope, tuner.target, tt.want)
		}
	}
}

// In order of arrival an attempt comes into the first L places when the L-th before it ends.
func TestCinnamonLatency(t *testing.T) {
	tuner := newCinnamonTuner(2, 1, 1)
	for i, want := range []float64{1, 2, 2, 2} { // four come at 0, and one ends each nanosecond
		tuner.ended(time.Duration(i+1), 0)
		if got := tuner.sample[i]; got != want {
			t.Errorf("end %d: latency %g, want %g", i, got, want)
		}
	}
}

// After the patience the threshold refuses the share that the controller says, the same droplets
// first, and an empty queue opens it.
func TestCinnamonThreshold(t *testing.T) {
	const droplets = 1000
	c := make1(t, "cinnamon:patience=1s", testConfig).(*cinnamon)
	c.inside = 5000
	var before map[uint32]bool
	for i, tt := range []struct {
		at       time.Duration
		admitted float64
	}{{900 * time.Millisecond, 1}, {time.Second, 0.60}, {1500 * time.Millisecond, 0.25}} {
		if i > 0 {
			c.in, c.out, c.at = 15, 10, int64(tt.at/c.tick)-1
		}
		n, items := door(c, tt.at, queue.Establish, 0, droplets, 0)
		if got := float64(n) / droplets; math.Abs(got-tt.admitted) > 0.015 { // a cohort is 0.008
			t.Errorf("at %v: a share of %g is admitted, want %g", tt.at, got, tt.admitted)
		}
		now := map[uint32]bool{}
		for _, it := range items[:n] {
			now[it.Droplet] = true
			if i > 0 && !before[it.Droplet] {
				t.Fatalf("at %v: droplet %d is admitted, and was refused when more were", tt.at, it.Droplet)
			}
		}
		before = now
		if n, _ := door(c, tt.at, queue.Check, 0, 10, 0); i > 0 && n != 10 {
			t.Errorf("at %v: %d of 10 checks admitted", tt.at, n)
		}
	}
	c.inside = c.tuner.places() + 1
	c.Done(1600*time.Millisecond, &queue.Item{}, 0, queue.Good)
	if n, _ := door(c, 1600*time.Millisecond, queue.Establish, 0, droplets, 0); n != droplets {
		t.Errorf("%d admitted at an empty queue, want all", n)
	}
	// What stands for a minute is of the past: nothing is known of the priorities, and nothing is refused.
	c.seen.forget(time.Minute)
	if c.seen.n != 0 || c.seen.count != [dagorLevels]int32{} {
		t.Errorf("%d priorities after a minute", c.seen.n)
	}
}
