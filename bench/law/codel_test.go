package law

import (
	"math"
	"testing"
)

// The count of drops by its formula, against the sum of the law's steps: the n-th drop follows
// interval·Σ 1/k^e after the first.
func TestCoDelCount(t *testing.T) {
	for _, e := range []float64{0.3, 0.5, 0.75, 0.9, 1, 1.25, 2} {
		c := CoDel{Interval: 0.1, Exponent: e}
		at := 0.0
		for n := 1.0; n <= 10_000; n++ {
			at += c.Interval / math.Pow(n, e)
			// The formula is a continuous one: between the sums that begin half a step earlier and later.
			if n >= 1000 && e <= 1 {
				if low, high := c.span(1, n), c.span(1, n)+c.Interval; at < low || at > high {
					t.Fatalf("exponent %g: drop %g after %g, want %g to %g", e, n, at, low, high)
				}
			}
		}
		for _, n := range []float64{1, 10, 1e4} {
			if got := c.Count(c.span(1, 1+n)); math.Abs(got/n-1) > 1e-6 {
				t.Errorf("exponent %g: after the time of %g drops there are %g", e, n, got)
			}
		}
	}
	if got := (CoDel{Interval: 0.1, Exponent: 2}).Count(0.1); !math.IsInf(got, 1) {
		t.Errorf("exponent 2: %g drops after I/(e−1), want no bound", got)
	}
}

// The steps that are taken as an integral make the drops of the steps one by one.
func TestCoDelSmooth(t *testing.T) {
	for _, e := range []float64{0.5, 0.75, 1, 1.5} {
		c := codelRun{CoDel: CoDel{Interval: 0.1, Exponent: e}}
		count, next := 0.0, 0.0
		for k := range 1000 {
			now, sum := 0.1+float64(k)/fluidSteps, 0.0
			if count == 0 {
				count, next, sum = 1, now+0.1, 1
			}
			for next <= now && sum < 50 {
				count++
				next += 0.1 / math.Pow(count, e)
				sum++
			}
			c.above = 0.1
			if got := c.drops(now, 1, 50); math.Abs(got-sum) > 1 || math.Abs(c.count-count) > 2 {
				t.Fatalf("exponent %g, step %d: %g drops, count %g; one by one %g, %g", e, k, got, c.count, sum, count)
			}
		}
	}
}

// When drops overtake: x attempts more than are served, a timeout, are dropped by
// (I/(1−e))^(1/e)·x^((1−e)/e), for x so large that the first drop is nothing.
func TestCoDelOvertakes(t *testing.T) {
	for _, e := range []float64{0.3, 0.5, 0.75} {
		c := CoDel{Interval: 0.1, Exponent: e}
		const x = 1e9
		want := math.Pow(c.Interval/(1-e), 1/e) * math.Pow(x, (1-e)/e)
		if got := c.Overtakes(x); math.Abs(got/want-1) > 0.1 {
			t.Errorf("exponent %g: overtakes after %g, want %g", e, got, want)
		}
	}
	c := CoDel{Interval: 0.1, Exponent: 1}
	if got := c.Overtakes(62_500); math.Abs(math.Expm1(got/0.1)/(62_500*got)-1) > 1e-6 {
		t.Errorf("exponent 1: at %g the drops are %g, and %g have come", got, math.Expm1(got/0.1), 62_500*got)
	}
}
