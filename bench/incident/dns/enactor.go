package dns

import (
	"fmt"
	"time"
)

// lock is the record in an endpoint's zone that says who may change the zone. A batch of changes takes
// it: the one that builds a tree, the one that flips the alias, and with OneLock the clean-up's. It
// goes with the batch. Nobody has it once it has expired.
type lock struct {
	holder int // -1: nobody
	until  time.Duration
}

// Times of the locks, in steps. All are estimates.
const (
	lockSteps    = 5  // after which a lock expires
	mostWaitStep = 20 // of the longest back-off; the first is one step, and each is twice the one before
)

// hold is what holds an enactor up at the first endpoint of a walk. Why one enactor loses the lock so
// often is not public: that it does is given.
type hold struct {
	from, until time.Duration // until 0: it is not held up
	wait        time.Duration // Slow: of one step; 0: it backs off
	begun       bool
	lost        int  // attempts
	overtaken   bool // another enactor has applied a newer plan
	old         bool // a clean-up takes its plan for old
}

// Loss is an attempt at an endpoint's lock that was lost: another enactor had it, or had taken it
// before a slow step was done.
type Loss struct {
	At       time.Duration
	Wait     time.Duration // until the next attempt
	Enactor  int
	Endpoint int
	Count    int // attempts in a row that were lost, with this one
}

// Losses returns the attempts at locks that were lost, in order.
func (y *System) Losses() []Loss { return y.losses }

// Letter is an enactor's name.
func Letter(i int) string { return string(rune('A' + i)) }

// locks reports whether a step is a batch that takes the endpoint's lock, or begins one. Check and
// build of an endpoint are one batch.
func (y *System) locks(p Phase) bool {
	switch p {
	case Check, Build, Flip:
		return true
	case Scan:
		return y.cfg.Mends&OneLock != 0
	}
	return false
}

// take takes the lock of the endpoint at which the enactor is, if nobody else has it.
func (y *System) take(now time.Duration, i int) bool {
	l := &y.lock[y.s.Enactor[i].Endpoint]
	if l.holder >= 0 && l.holder != i && now < l.until {
		return false
	}
	*l = lock{i, now + lockSteps*y.cfg.StepTime}
	return true
}

// act takes the next step of an enactor at its own pace.
func (y *System) act(now time.Duration, i int) {
	n := &y.s.Enactor[i]
	h := &y.hold[i]
	switch {
	case h.begun && now < h.until:
		y.lose(now, i)
	case y.waits(now, i):
		y.next[i] = now + y.spread(y.cfg.StepTime)
	case n.Phase == Idle:
		y.next[i] = now + y.spread(y.cfg.Period/6)
		if y.off {
			return
		}
		if y.step(now, i); n.Phase != Idle {
			y.delay(now, i)
			y.request(now, i)
		}
	case h.begun, y.locks(n.Phase) && y.lock[n.Endpoint].holder != i && (y.slow[i] == 1 || !y.take(now, i)):
		y.request(now, i) // the lock is another's, or was never taken; a slow enactor takes it at the step's end again
	default:
		y.step(now, i)
		y.request(now, i)
	}
}

// request begins the enactor's next step: it takes the lock if the step needs one, or backs off.
func (y *System) request(now time.Duration, i int) {
	n := &y.s.Enactor[i]
	h := &y.hold[i]
	if h.from <= now && now < h.until && n.Phase != Idle {
		h.begun = true
		y.lose(now, i)
		return
	}
	y.free(now, i)
	if n.Phase == Idle {
		y.slow[i] = 1
		if h.until != 0 && now >= h.until {
			*h = hold{}
		}
	}
	y.next[i] = now + time.Duration(y.slow[i]*float64(y.spread(y.cfg.StepTime)))
	if !y.locks(n.Phase) || y.take(now, i) {
		y.tries[i] = 0
		return
	}
	y.noteLoss(now, i, y.backOff(i))
}

// backOff draws how long an enactor waits that has lost a lock.
func (y *System) backOff(i int) time.Duration {
	return y.spread(y.cfg.StepTime * time.Duration(min(mostWaitStep, 1<<min(y.tries[i], 10))))
}

// noteLoss notes that an attempt at a lock was lost.
func (y *System) noteLoss(now time.Duration, i int, wait time.Duration) {
	y.tries[i]++
	y.losses = append(y.losses, Loss{now, wait, i, int(y.s.Enactor[i].Endpoint), y.tries[i]})
	y.next[i] = now + wait
}

// lose is an attempt of an enactor that is held up. Its waits add up to the time for which it is
// held.
func (y *System) lose(now time.Duration, i int) {
	h := &y.hold[i]
	wait := h.wait
	if wait == 0 {
		wait = y.backOff(i)
	}
	if h.until-now-wait < y.cfg.StepTime/2 {
		wait = h.until - now
	}
	y.noteLoss(now, i, wait)
	if h.lost++; h.wait == 0 && h.lost&(h.lost-1) == 0 && h.lost%3 == 1 { // 1, 4, 16 and so on
		y.did(now, i, fmt.Sprintf("has lost the endpoint's lock %s, and backs off", times(h.lost)), int(y.s.Enactor[i].Plan), 0)
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// free ends what has held an enactor up.
func (y *System) free(now time.Duration, i int) {
	h := &y.hold[i]
	if !h.begun || now < h.until {
		return
	}
	if h.wait == 0 && h.lost > 0 {
		y.did(now, i, fmt.Sprintf("has the lock at last: lost %s in %v", times(h.lost), (h.until-h.from).Round(time.Second)), int(y.s.Enactor[i].Plan), 0)
	} else if h.lost > 0 {
		y.did(now, i, fmt.Sprintf("has lost its lock %s, in %v, before a slow step was done; now it holds", times(h.lost), (h.until-h.from).Round(time.Second)), int(y.s.Enactor[i].Plan), 0)
	}
	h.begun, y.tries[i] = false, 0
}

// rareDelay is the share of walks that are delayed if races are left to chance: an estimate.
const rareDelay = 1e-3

// delay holds an enactor up whose walk has just begun, if it is to be late.
func (y *System) delay(now time.Duration, i int) {
	c, d := &y.cfg, time.Duration(0)
	switch {
	case c.RaceAt > 0:
		return
	case c.Delay > 0:
		if y.delayed {
			return
		}
		d = c.Delay
	case y.rng.Float64() >= rareDelay:
		return
	default: // as if the whole walk were slow
		d = time.Duration(y.factor() * float64(c.UsualWalk()))
	}
	y.delayed = true
	h := hold{from: now, until: now + d}
	if c.Cause == Slow {
		h.wait = y.slowStep(d)
		h.until = max(now, h.until-2*h.wait) // to build and flip is slow, too
	}
	y.hold[i] = h
	y.begin(now, i)
}

// begin says that an enactor is held up, and makes its steps slow if they are.
func (y *System) begin(now time.Duration, i int) {
	plan := int(y.s.Enactor[i].Plan)
	if h := &y.hold[i]; h.wait > 0 {
		y.slow[i] = float64(h.wait) / float64(y.cfg.StepTime)
		y.did(now, i, fmt.Sprintf("takes a plan; its steps take %.0f times as long as usual", y.slow[i]), plan, 0)
		return
	}
	y.did(now, i, "takes a plan, and is held up at the first endpoint", plan, 0)
}

// factor draws how many times as long as usual a slow enactor takes.
func (y *System) factor() float64 { return 10 + float64(90*y.rng.Float64()) }

// slowStep draws the time of a slow enactor's step, of which a whole number, at least 2, make d.
func (y *System) slowStep(d time.Duration) time.Duration {
	step := float64(y.cfg.StepTime)
	n := time.Duration(float64(d)/float64(y.factor()*step)) + 1 // at most 100 times as long as usual
	n = min(n, time.Duration(float64(d)/(10*step)))             // at least 10 times
	return d / max(2, n)
}
