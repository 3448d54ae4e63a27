package law

import (
	"math"

	"github.com/leasestorm/leasestorm/internal/det"
)

// CoDel is the control law of RFC 8289, with interval/count^e, as the fluid law has it. Times are in units of
// the timeout. The zero value is none. docs/border.md says what follows from it.
type CoDel struct {
	Target, Interval, Exponent float64
	// Establishes is how many the whole capacity serves per timeout: the law counts attempts, and the fluid is
	// work. The more attempts a timeout has, the less a drop is.
	Establishes float64
}

// Count returns the number of drops in the first t of a dropping state: the solution of
// dn/dt = n^e/I from n(0) = 1, less that one. It grows as t^(1/(1−e)) below e = 1, as e^(t/I) at 1, and
// passes all bounds at t = I/(e−1) above.
func (c CoDel) Count(t float64) float64 { return float64(c.after(1, t)) - 1 }

// after is the count that the law has after t from the count n on.
func (c CoDel) after(n, t float64) float64 {
	if c.Exponent == 1 {
		return n * det.Exp(min(700, t/c.Interval))
	}
	left := 1 - c.Exponent
	base := det.Pow(n, left) + float64(left*t)/c.Interval
	if base <= 0 {
		return math.Inf(1)
	}
	return det.Pow(base, 1/left)
}

// span is the time in which the law goes from the count n to m.
func (c CoDel) span(n, m float64) float64 {
	if c.Exponent == 1 {
		return c.Interval * det.Log(m/n)
	}
	left := 1 - c.Exponent
	return c.Interval * (det.Pow(m, left) - det.Pow(n, left)) / left
}

// Overtakes returns how long after its first drop the law has dropped all that came beyond the capacity:
// the least t with Count(t) ≥ excess·t, where excess is the attempts per timeout that are more than the
// workers serve.
func (c CoDel) Overtakes(excess float64) float64 {
	if c.Count(1e-6) >= excess*1e-6 {
		return 0
	}
	low, high := 0.0, 1.0
	for c.Count(high) < excess*high {
		low, high = high, high+high
	}
	for range 60 {
		if mid := (low + high) / 2; c.Count(mid) < excess*mid {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// codelRun is the law on its way, as queue's codel has it, in the fluid's time.
type codelRun struct {
	CoDel
	above     float64 // when the wait will have stood above the target for an interval; 0: it does not
	next      float64
	count     float64
	lastCount float64
	dropping  bool
}

func (c *codelRun) stands(t, sojourn float64) bool {
	if sojourn < c.Target {
		c.above = 0
		return false
	}
	if c.above == 0 {
		c.above = t + c.Interval
		return false
	}
	return t >= c.above
}

// drops is how many are dropped by t, at most most, while the head has waited for sojourn.
func (c *codelRun) drops(t, sojourn, most float64) (n float64) {
	switch standing := c.stands(t, sojourn); {
	case !standing:
		c.dropping = false
		return 0
	case !c.dropping:
		c.dropping = true
		delta := c.count - c.lastCount
		if c.count = 1; delta > 1 && t-c.next < 16*c.Interval {
			c.count = delta
		}
		c.next = t + c.Interval/det.Pow(c.count, c.Exponent)
		c.lastCount = c.count
		n = 1
	}
	for c.next <= t && n < most {
		m := 1.0
		if c.count < smooth {
			c.next += c.Interval / det.Pow(c.count+1, c.Exponent)
		} else {
			from := c.count + 0.5
			m = max(1, min(math.Ceil(most-n), math.Floor(float64(c.after(from, t-c.next))-from)+1))
			c.next += float64(c.span(from, from+m))
		}
		c.count += m
		n += m
	}
	return n
}

// smooth is the count from which the sum of the law's steps is taken as an integral.
const smooth = 64

// control drops at the head what the law asks for by step k. What was still waited for is kept in mind until
// its time-out: its droplet is not told.
func (r *fluidRun) control(k int) {
	owed := 0.0 // a part of an attempt that was dropped and has not been taken off a parcel
	for head := &r.head[0]; *head <= k; *head++ {
		p := &r.parcels[*head]
		have := float64((p.sum(0, 1) + float64(r.Sigma*p.sum(1, 2))) * r.codel.Establishes)
		if p.sum(0, 2) > fluidNothing {
			n := owed + r.codel.drops(float64(k)/fluidSteps, float64(k-*head)/fluidSteps, have-owed)
			if n == 0 {
				return
			}
			r.drop(k, *head, min(1, n/have))
			if owed = n - have; owed < 0 {
				return
			}
		}
	}
}

// drop takes a share off a parcel.
func (r *fluidRun) drop(k, at int, share float64) {
	p := &r.parcels[at]
	for class := range p.work {
		if k-at < fluidSteps && p.dropped[class] == nil {
			p.dropped[class] = make([]float64, len(p.work[class]))
		}
		for i, x := range p.work[class] {
			x = float64(share * x)
			p.work[class][i] -= x
			if k-at < fluidSteps {
				p.dropped[class][i] += x
			}
		}
	}
}
