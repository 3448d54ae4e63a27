// Package law has what theory says about a scenario: the batch law and the fluid law, by which
// studies are measured, and the two constants that the judge of runs shares with them.
// docs/border.md derives both laws.
package law

import (
	"math"

	"github.com/leasestorm/leasestorm/bench/internal/bisect"
	"github.com/leasestorm/leasestorm/internal/det"
)

// Fluid is the surge as a fluid. All times are in units of the timeout. All work is in units of
// what the whole capacity serves per timeout. docs/border.md derives the law.
type Fluid struct {
	Rho    float64 // ρ, what steady checks take
	Checks float64 // σρH/τ: the work of establishing all N leases, so that B/N = b/Checks
	Spread float64
	Wait   float64 // w
	Delta  float64 // δ, of what is dead and not dropped
	Order  Order
	Drop   bool // what is dead is dropped, at no cost
	// Bounds of the waits that a backoff with full jitter adds to w, by failures in a row;
	// the last is of all further ones. None: it adds nothing.
	Bounds []float64
	Sigma  float64 // σ; 0 is 1
	CoDel  CoDel   // drops by it at the head, whoever it is; Order is Oldest
	// What is taken up at its last moment may end too late. Margin is what a discipline that
	// drops wants left, in services; Workers share the capacity.
	Exponential bool // services are; else they are fixed
	Margin      float64
	Workers     int // 0 is 1
	// TTL is a lease's; 0: none lapses for want of a check.
	TTL float64
}

// Order is who is served first.
type Order int

// The orders: by age; the newest first; establishes before checks, each by age.
const (
	Oldest Order = iota
	Newest
	Establishes
)

// fluidSteps is the number of steps per timeout.
const fluidSteps = 500

// FluidTimeouts is how many timeouts the fluid is followed.
const FluidTimeouts = 60

// The judge of runs and the fluid law share two constants. A recovery must hold for
// HoldTimeouts; a collapse is as many on end in which the good establishes of a timeout are
// less than CollapseShare of what the capacity serves.
const (
	HoldTimeouts  = 5
	CollapseShare = 0.05
)

// fluidNothing is work that is none.
const fluidNothing = 1e-15

// parcel is what entered in one step and is still in the queue: establishes and checks, by
// failures in a row. dropped is what CoDel dropped of it before its time-out.
type parcel struct{ work, dropped [2][]float64 }

// sum is the work of the classes from..to-1.
func (p *parcel) sum(from, to int) (s float64) {
	for class := from; class < to; class++ {
		for _, x := range p.work[class] {
			s += x
		}
	}
	return s
}

// Recovers says whether the leases come back after a burst b of establish work.
func (f Fluid) Recovers(b float64) bool {
	_, ok := f.Recovery(b)
	return ok
}

// Recovery returns the time to recovery, from the return until 99.9 % of all leases are active
// again, in units of the timeout. ok is false if the leases never come back. b is the work of
// establishing the broken leases, in what the whole capacity serves per timeout.
//
// The fluid is followed in steps, and what enters the queue in one step is a parcel.
//
//  1. Arrivals. The burst enters over the spread. A droplet with a lease sends a check one
//     interval after the birth of its last good check. A droplet that has its lease back sends
//     its first check at a random phase of the interval.
//  2. Service. In each step the workers serve one step's capacity, in the order of the
//     discipline. Work that is served within a timeout of its entry is good.
//  3. Time-outs. What of a parcel is unserved a timeout after its entry enters again after the
//     retry wait, as part of the parcels of those steps. The old attempt stays in the queue and
//     costs δ of a live one. A lease lapses when its checks have failed for as long as it
//     lives; its droplet then sends an establish.
//  4. Drops. A discipline that drops the dead gives up what has timed out at no cost. CoDel gives up
//     attempts at the head as its law has it, and what of them was in time enters again when it times out.
//  5. Verdict. As the judge of runs has it, the leases are lost if the good work per timeout
//     stays below CollapseShare of the capacity for HoldTimeouts and more than half of the
//     leases that were lost at the start of that span are still lost.
func (f Fluid) Recovery(b float64) (ttr float64, ok bool) {
	const h = 1.0 / fluidSteps
	const n = fluidSteps * (FluidTimeouts - HoldTimeouts) // it must hold, too
	if f.Sigma == 0 {
		f.Sigma = 1
	}
	r := &fluidRun{Fluid: f, parcels: make([]parcel, n), codel: codelRun{CoDel: f.CoDel}}
	r.tries = [2]int{len(f.Bounds) + 1, f.lapse()}
	for class, tries := range r.tries {
		r.rate[class], r.late[class] = make([]float64, tries), make([]float64, tries)
		r.again[class] = [][]float64{make([]float64, n+1)} // more as they come
	}
	var flat []float64
	burst := max(1, int(math.Round(f.Spread*fluidSteps)))
	r.interval = int(min(n, math.Round(f.Checks/(f.Sigma*f.Rho)*fluidSteps)))
	r.lost = b
	goods := make([]float64, n)
	starved, leftAt := 0, 0.0
	for k := range n {
		p := &r.parcels[k]
		for class, again := range r.again {
			if len(flat) < len(again) {
				flat = make([]float64, 1<<14)
			}
			p.work[class], flat = flat[:len(again):len(again)], flat[len(again):]
			for i := range again {
				r.rate[class][i] += again[i][k]
				p.work[class][i] = max(0, r.rate[class][i])
			}
		}
		if k < r.interval { // then the good ones come again
			p.work[1][0] += float64(f.Rho * max(0, 1-b/f.Checks) * h)
		}
		if k < burst {
			p.work[0][0] += b / float64(burst)
		}
		if f.CoDel.Interval > 0 {
			r.control(k)
		}
		r.serve(k, h)
		r.timeOut(k - fluidSteps + 1)
		if goods[k] = r.good; r.lost-r.good <= min(0.001*f.Checks, 0.01*b) {
			return float64(k+1) * h, true
		}
		if k < fluidSteps || r.good-goods[k-fluidSteps] >= CollapseShare {
			starved, leftAt = k, r.lost-r.good
		} else if k-starved >= HoldTimeouts*fluidSteps && r.lost-r.good > leftAt/2 {
			return 0, false
		}
	}
	return 0, false
}

// lapse is how many attempts in a row, all failing, a check has before its lease is lost.
func (f *Fluid) lapse() int {
	left, n := math.Inf(1), 0
	if f.TTL > 0 {
		left = f.TTL - f.Checks/(f.Sigma*f.Rho)
	}
	for at := 0.0; at < min(left, FluidTimeouts); n++ {
		at += 1 + f.Wait
		if len(f.Bounds) > 0 {
			at += float64(f.Bounds[min(n, len(f.Bounds)-1)] / 2)
		}
	}
	return max(1, n)
}

// fluidRun is a fluid on its way.
type fluidRun struct {
	Fluid
	codel    codelRun
	parcels  []parcel
	again    [2][][]float64 // by class and failures: changes of the rate at which work enters again, by step
	rate     [2][]float64   // that rate, a step
	late     [2][]float64   // what was taken up at its last moment in this step, and ended too late
	head     [2]int         // parcels before it are empty or dropped; of each class where the order tells them apart
	stack    []int          // parcels that are not empty, where the newest is first
	tries    [2]int         // classes of failures
	lost     float64        // establishes that became necessary
	good     float64        // establishes
	interval int            // H, in steps
	last     int            // step in which a parcel was last served at its last moment
	hovers   bool           // and in the one before, too: the head hovers there
}

// serve gives the capacity of step k to what waits.
func (r *fluidRun) serve(k int, room float64) {
	switch r.Order {
	case Newest:
		for r.stack = append(r.stack, k); len(r.stack) > 0 && room > fluidNothing; {
			top := r.stack[len(r.stack)-1]
			if room = r.take(k, top, 0, 2, room); r.parcels[top].sum(0, 2) > fluidNothing {
				return
			}
			r.stack = r.stack[:len(r.stack)-1]
		}
	case Establishes:
		room = r.oldest(k, 0, 1, room)
		r.oldest(k, 1, 2, room)
	default:
		r.oldest(k, 0, 2, room)
	}
}

// oldest serves the classes from..to-1 by age and returns the room that is left.
func (r *fluidRun) oldest(k, from, to int, room float64) float64 {
	for head := &r.head[from]; *head <= k && room > fluidNothing; *head++ {
		if room = r.take(k, *head, from, to, room); r.parcels[*head].sum(from, to) > fluidNothing {
			return room
		}
	}
	return room
}

// take serves, or drops, what a parcel has of the classes, as far as there is room, and
// returns what is left of it.
func (r *fluidRun) take(k, at, from, to int, room float64) float64 {
	p := &r.parcels[at]
	left := p.sum(from, to)
	dead, cost := k-at >= fluidSteps, 1.0
	if dead {
		if cost = r.Delta; r.Drop {
			cost = 0
		}
	}
	share := 1.0
	if left*cost > room {
		share = room / (left * cost)
	}
	decay := r.lastMoment(k, at, from, to)
	late := [2]float64{r.tooLate(decay), r.tooLate(decay / r.Sigma)}
	for class := from; class < to; class++ {
		for i := range p.work[class] {
			served := float64(share * p.work[class][i])
			p.work[class][i] -= served
			if dead {
				continue
			}
			r.late[class][i] += float64(late[class] * served)
			if served = float64(served * (1 - late[class])); class == 0 {
				r.good += served // and checks from a random phase on
				r.enter(1, 0, k+1, r.interval, served/r.Sigma)
			} else {
				r.enter(1, 0, at+r.interval, 1, served)
			}
		}
	}
	return room - float64(share*left*cost)
}

// lastMoment is the decay where the head of the queue hovers at its deadline; elsewhere what
// is taken up has plenty left: 0.
func (r *fluidRun) lastMoment(k, at, from, to int) float64 {
	if k-at != fluidSteps-1 {
		return 0
	}
	if r.last != k {
		r.last, r.hovers = k, r.last == k-1
	}
	if !r.hovers {
		return 0
	}
	p := &r.parcels[at]
	return r.decay(fluidSteps*p.sum(from, min(to, 1)), fluidSteps*r.Sigma*p.sum(max(from, 1), to))
}

// decay is θ, where establishes and checks of those numbers come past their deadlines in the
// time in which the capacity serves one establish, and the head of the queue hovers at its
// deadline. What the head has left when it is taken up is then exponential, with rate θ.
//
// For from one head to the next it changes by G − S, a gap between two deadlines less a
// service, and where it comes out below 0 the line goes on to the first that is not past its
// deadline, which has a gap's rest left: exponential again, since deadlines are a Poisson
// stream of some rate λ. A density θ·exp(−θr) is stationary iff E[exp(−θS)] = 1 − θ/λ: the
// adjustment equation of an M/G/1 queue, turned round. With fixed services the late share
// L = 1 − exp(−θS) solves L = 1 − exp(−λS·L).
func (f *Fluid) decay(establishes, checks float64) float64 {
	all := establishes + checks
	if establishes+checks/f.Sigma <= 1 {
		return 0 // the capacity does for them
	}
	low, high := 0.0, all
	for range 40 {
		y := float64((low + high) / 2)
		if float64(establishes*f.transform(y))+float64(checks*f.transform(y/f.Sigma)) < all-y {
			low = y
		} else {
			high = y
		}
	}
	return high
}

// transform is E[exp(−yS)] of a service of mean 1.
func (f *Fluid) transform(y float64) float64 {
	if f.Exponential {
		return 1 / (1 + y)
	}
	return det.Exp(-y)
}

// tooLate is the share of services that are longer than what is left beyond the margin, y
// being the decay by the mean service that all the workers together would need.
func (f *Fluid) tooLate(y float64) float64 {
	y = float64(y * float64(max(1, f.Workers))) // one of them takes so much longer
	if f.Exponential {
		return det.Exp(-f.Margin) * y / (1 + y)
	}
	return -det.Expm1(-y * max(0, 1-f.Margin))
}

// timeOut lets what of a parcel was not served in time enter again.
func (r *fluidRun) timeOut(at int) {
	if at < 0 {
		return
	}
	for class, work := range r.parcels[at].work {
		for i := range work {
			x := work[i] + r.late[class][i]
			r.late[class][i] = 0
			if dropped := r.parcels[at].dropped[class]; dropped != nil {
				x += dropped[i]
			}
			over := 1
			if n := len(r.Bounds); n > 0 {
				over = max(1, int(math.Round(r.Bounds[min(i, n-1)]*fluidSteps)))
			}
			from := at + fluidSteps + int(math.Round(r.Wait*fluidSteps))
			if class == 1 && i+1 == r.tries[1] { // its lease has lapsed
				r.lost += float64(x * r.Sigma)
				r.enter(0, 0, from, over, x*r.Sigma)
			} else {
				r.enter(class, min(i+1, r.tries[class]-1), from, over, x)
			}
		}
	}
}

// enter lets work enter from a step on, over so many.
func (r *fluidRun) enter(class, failures, from, over int, x float64) {
	if failures == len(r.again[class]) {
		r.again[class] = append(r.again[class], make([]float64, len(r.again[class][0])))
	}
	again := r.again[class][failures]
	if from < len(again) {
		again[from] += x / float64(over)
	}
	if from+over < len(again) {
		again[from+over] -= x / float64(over)
	}
}

// Border returns the smallest burst b* from which the fluid does not recover. ok is false if it
// recovers from the loss of all leases.
func (f Fluid) Border() (b float64, ok bool) {
	edge, ok, _ := bisect.Find(f.Checks, bisect.Tolerance{Share: 2e-4}, func(b float64) (bool, error) { return !f.Recovers(b), nil })
	return edge.Middle(), ok
}
