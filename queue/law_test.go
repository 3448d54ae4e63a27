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

// PIE's probability, worked out step by step from RFC 8033, section 4.2 and 5.2: target and
// update 15 ms. Each step: dp = .125·(d − .015) + 1.25·(d − d_old), over the divisor of the
// probability's decade; at most .02 from .1 on; × .98 while there is no wait at all.
func TestPieLaw(t *testing.T) {
	const ms = time.Millisecond
	c := pieLaw{target: 15 * ms, update: 15 * ms, maxBurst: 150 * ms, burst: 30 * ms}
	for i, tt := range []struct {
		delay time.Duration
		want  float64
		burst time.Duration
	}{
		{100 * ms, 6.622314453125e-05, 15 * ms}, // (.010625 + .125) / 2048, from 0
		{100 * ms, 0.00014923095703125002, 0},   // + .010625 / 128
		{115 * ms, 0.00112579345703125, 0},      // + (.0125 + .01875) / 32
		{115 * ms, 0.00268829345703125, 0},      // + .0125 / 8
		{1015 * ms, 0.15893829345703125, 0},     // + (.125 + 1.125) / 8
		{2015 * ms, 0.17893829345703124, 0},     // at most .02
		{15 * ms, 0, 0},                         // 0 − 1.25·2, not below 0
		{0, 0, 0},                               // −.001875 − .01875; the wait before was at the target
		{0, 0, 150 * ms},                        // no wait twice: the allowance is back
	} {
		c.tick(time.Duration(i)*15*ms, tt.delay)
		if math.Abs(c.p-tt.want) > 1e-12 || c.burst != tt.burst {
			t.Fatalf("update %d: p %.12g, allowance %v; want %.12g, %v", i, c.p, c.burst, tt.want, tt.burst)
		}
	}
	// Nothing is refused within the allowance, nor while few wait; else the sum of
	// probabilities decides: never below .85, always from 8.5 on.
	c = pieLaw{target: 15 * ms, p: 0.5, old: 100 * ms, burst: ms}
	if c.refuses(100, 0) {
		t.Error("refused within the allowance for bursts")
	}
	if c.burst = 0; c.refuses(2, 0) {
		t.Error("refused with two waiting")
	}
	if c.refuses(100, 0) || !c.refuses(100, 0) || c.accu != 0 {
		t.Errorf("the sum .5 was refused, or 1.0 was not; left %g", c.accu)
	}
	n := 0
	for !c.refuses(100, 0.9) { // a coin that never falls
		n++
	}
	if n != 16 { // the 17th makes 8.5
		t.Errorf("refused after %d, want 16", n)
	}
}
