package queue

import (
	"math"
	"testing"
	"time"
)

// Under a standing queue the control law drops at these times (ms after the first drop),
// worked out from RFC 8289, section 5.3: t_n+1 = t_n + interval/sqrt(n).
func TestCodelLaw(t *testing.T) {
	const ms = time.Millisecond
	c := codelLaw{target: 5 * ms, interval: 100 * ms}
	var drops []time.Duration
	for now := time.Duration(0); len(drops) < 100; now += 10 * time.Microsecond {
		if c.drops(now, 20*ms, false) {
			drops = append(drops, now)
		}
	}
	if drops[0] < 100*ms || drops[0] > 101*ms {
		t.Errorf("the first drop comes after %v, want one interval", drops[0])
	}
	want := []float64{0, 100, 170.711, 228.446, 278.446, 323.167, 363.992, 401.788, 437.144, 470.477, 502.100, 532.251}
	for i, w := range append(want, 1848.96) {
		if i == len(want) {
			i = 99
		}
		if got := float64(drops[i]-drops[0]) / 1e6; math.Abs(got-w) > 0.02*float64(i+1)/10+0.02 {
			t.Errorf("drop %d after %.3f ms, want %.3f", i, got, w)
		}
	}
}

func TestCodelLeaves(t *testing.T) {
	const ms = time.Millisecond
	c := codelLaw{target: 5 * ms, interval: 100 * ms}
	for now := time.Duration(0); now < time.Second; now += ms {
		if c.drops(now, 4*ms, false) || c.drops(now, 20*ms, true) {
			t.Fatalf("a drop at %v below the target, or of the last item", now)
		}
	}
	// Above target for less than an interval, again and again.
	for now := time.Second; now < 3*time.Second; now += ms {
		sojourn := 20 * ms
		if now%(90*ms) == 0 {
			sojourn = ms
		}
		if c.drops(now, sojourn, false) {
			t.Fatalf("a drop at %v though the wait has not stood for an interval", now)
		}
	}
}
