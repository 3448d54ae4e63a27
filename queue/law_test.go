package queue

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Under a standing queue the control law drops at these times (ms after the first drop),
// worked out from RFC 8289, section 5.3: t_n+1 = t_n + interval/sqrt(n).
func TestCodelLaw(t *testing.T) {
	const ms = time.Millisecond
	c := codelLaw{target: 5 * ms, interval: 100 * ms, exponent: 0.5}
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

// With another exponent the n-th drop after the first follows at interval·Σ 1/k^e: with 1 at the harmonic
// numbers, as in vitess' pool (slackhq/vitess, go/pools/smartconnpool/codel.go, but for its first wait).
func TestCodelExponent(t *testing.T) {
	const ms = time.Millisecond
	for exponent, want := range map[float64][]float64{
		1: {0, 100, 150, 183.333, 208.333, 228.333, 245, 259.286, 271.786}, 0.75: {0, 100, 159.460, 203.329, 238.684}, 2: {0, 100, 125, 136.111, 142.361},
	} {
		c := codelLaw{target: 5 * ms, interval: 100 * ms, exponent: exponent}
		var drops []time.Duration
		for now := time.Duration(0); len(drops) < len(want); now += 10 * time.Microsecond {
			if c.drops(now, 20*ms, false) {
				drops = append(drops, now)
			}
		}
		for i, w := range want {
			if got := float64(drops[i]-drops[0]) / 1e6; math.Abs(got-w) > 0.02*float64(i+1) {
				t.Errorf("exponent %g: drop %d after %.3f ms, want %.3f", exponent, i, got, w)
			}
		}
	}
}

func TestCodelLeaves(t *testing.T) {
	const ms = time.Millisecond
	c := codelLaw{target: 5 * ms, interval: 100 * ms, exponent: 0.5}
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
		c.tick(tt.delay)
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

// Between two calls the law stands where updates one by one would have brought it, whether
// nothing waited meanwhile or the same item stood at the head.
func TestPieCatchesUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := func(label string, most time.Duration) time.Duration {
			return time.Duration(float64(most) * math.Pow(10, -rapid.Float64Range(0, 9).Draw(t, label)))
		}
		c := pieLaw{target: max(time.Microsecond, span("target", time.Hour)), update: max(time.Microsecond, span("update", time.Minute)), maxBurst: span("burst", time.Hour)}
		c.burst = c.maxBurst
		now := time.Duration(0)
		for range 8 {
			offered := now - span("before", time.Hour)
			now += min(span("gap", 100*time.Hour), 50_000*c.update)
			want, ticks := c, 0
			if rapid.Bool().Draw(t, "idle") {
				ticks = c.idle(now)
				for want.next <= now {
					want.tick(0)
				}
			} else {
				offered = min(offered, c.next)
				ticks = c.stands(now, offered)
				for want.next <= now {
					want.tick(want.next - offered)
				}
			}
			if c != want {
				t.Fatalf("\n got %+v\nwant %+v", c, want)
			}
			if ticks > 10_000 {
				t.Fatalf("%d updates one by one", ticks)
			}
		}
	})
}

// However long nobody calls, the work of catching up is bounded.
func TestPieCatchesUpSoon(t *testing.T) {
	for _, target := range []time.Duration{time.Microsecond, 15 * time.Millisecond, time.Hour} {
		for _, burst := range []time.Duration{0, time.Hour} {
			for _, p := range []float64{0, 1e-7, 0.05, 1} {
				c := pieLaw{target: target, update: time.Microsecond, maxBurst: burst, p: p}
				idle := c
				if n := idle.idle(1 << 60); n > 10_000 || idle.p != 0 || idle.burst != burst || idle.next <= 1<<60 {
					t.Errorf("idle from p %v: %d updates, %+v", p, n, idle)
				}
				if n := c.stands(1<<60, -time.Second); n > 10_000 || c.p != 1 || c.burst != 0 || c.next <= 1<<60 {
					t.Errorf("an item that never goes, from p %v: %d updates, %+v", p, n, c)
				}
			}
		}
	}
}

// After an overload and an hour of idleness, newcomers to the empty queue are let in, and the
// allowance for bursts is whole again (RFC 8033, section 4.3), though nobody called meanwhile.
func TestPieForgets(t *testing.T) {
	const ms = time.Millisecond
	for _, idle := range []time.Duration{10 * time.Second, time.Hour} {
		d, err := Make("pie", Config{})
		if err != nil {
			t.Fatal(err)
		}
		q := d.(*pie)
		now, refused := time.Duration(0), 0
		offer := func() {
			it := []Item{{Born: now}}
			refused += 1 - q.Push(now, it)
		}
		one := make([]Item, 1)
		for ; now < 3*time.Second; now += ms { // twice the capacity
			offer()
			if now%(2*ms) == 0 {
				q.Pop(now, one)
			}
		}
		if refused == 0 {
			t.Fatal("nothing was refused in the overload")
		}
		for ; q.Len() > 0; now += 2 * ms {
			q.Pop(now, one)
		}
		now += idle
		refused = 0
		for range 1000 {
			offer()
		}
		if refused > 0 || q.p != 0 || q.burst != 150*ms {
			t.Errorf("after %v: %d of 1000 refused, p %v, allowance %v", idle, refused, q.p, q.burst)
		}
	}
}
