package bench

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/law"
)

// Verdict is the outcome of a run. Near the border between recovery and collapse the verdict
// differs from seed to seed.
type Verdict string

// The verdicts.
const (
	// Healthy: the run never left the steady state.
	Healthy Verdict = "healthy"
	// Recovered: the run left the steady state and came back to it, TTR after the return.
	Recovered Verdict = "recovered"
	// Degraded: the run ended outside the steady state without a collapse, or its queue
	// exceeded Judge.MaxQueue.
	Degraded Verdict = "degraded"
	// Collapsed: for 5 timeouts on end goodput was below 5 % of capacity, and more than half
	// of the lost leases stayed lost; or the queue exceeded Judge.MaxQueue during such a time.
	Collapsed Verdict = "collapsed"
	// Invalid: the harness could not keep up, so the run measured the harness.
	Invalid Verdict = "invalid"
)

// Lost reports whether the leases did not come back: a collapsed or a degraded run.
func (v Verdict) Lost() bool { return v == Collapsed || v == Degraded }

// The definitions behind the verdicts:
//
//   - Steady state: at least 99.9 % of the leases are active.
//   - Recovery: the steady state has held for 5 timeouts.
//   - Starvation: the good establishes of the last timeout are below 5 % of capacity, while the
//     lost leases are more than 1 % of the most that were ever lost.
//   - Collapse: 5 timeouts of starvation on end, after which more than half of the leases that
//     were lost at their start are still lost.
const (
	// SteadyShare is the share of the leases that are active in the steady state.
	SteadyShare  = 0.999
	collapseLost = 0.01
	// WatchesPerTimeout is the number of samples per timeout. The efficiency η needs so fine a
	// TTR.
	WatchesPerTimeout = 100
)

// Judge watches a run and decides when its verdict is final. An engine calls [Judge.Watch]; a
// Judge starts no goroutine and reads no clock. All times are run time.
type Judge struct {
	Leases   int
	Timeout  time.Duration
	Capacity float64         // establishes per second
	Return   time.Duration   // when the dependency returns; 0: there is no outage
	Acts     []time.Duration // when the operator acts, ascending
	MaxQueue int             // queued attempts above which the run ends; 0: no limit

	ActiveMin, ActiveEnd int           // live leases: the fewest so far, and the latest count
	CollapsedAt          time.Duration // when a collapse was first seen; 0: never
	QueueFull            bool          // the queue exceeds MaxQueue

	begun    bool
	end      time.Duration             // the latest sample
	lost     int                       // the most leases lost at any time
	below    bool                      // the run has left the steady state
	belowAt  time.Duration             // the last sample outside the steady state
	good     [WatchesPerTimeout]uint64 // good establishes at the last samples, a ring
	seen     int                       // samples in good so far
	starved  time.Duration             // when the present starvation began; 0: there is none
	leftAt   int                       // lost leases at that time
	collapse bool
	acted    int           // how many of Acts have passed
	steadyQ  int           // the longest queue before the return, in attempts
	longAt   time.Duration // the last sample with long set
	long     bool          // the queue is above its steady level
}

// Look is a watcher that records the extremes and ends the run only if the queue exceeds
// MaxQueue. A ramp of loads uses Look in place of Watch.
func (j *Judge) Look(now time.Duration, s engine.State) bool {
	j.observe(now, s)
	return j.QueueFull
}

func (j *Judge) observe(now time.Duration, s engine.State) {
	if !j.begun {
		j.begun, j.ActiveMin = true, s.Active
	}
	j.end = now
	j.ActiveMin, j.ActiveEnd = min(j.ActiveMin, s.Active), s.Active
	j.lost = max(j.lost, j.Leases-s.Active)
	if float64(s.Active) < SteadyShare*float64(j.Leases) {
		j.below, j.belowAt = true, now
	}
	j.QueueFull = j.MaxQueue > 0 && s.Queued > j.MaxQueue
}

// Watch takes one sample of the run and returns true when the run can end. An engine calls
// Watch every hundredth of the timeout.
func (j *Judge) Watch(now time.Duration, s engine.State) bool {
	j.observe(now, s)
	if now < j.Return {
		j.steadyQ = max(j.steadyQ, s.Queued)
		return j.QueueFull
	}
	// The steady level allows for a short stall of the host: a queue counts as long if it is
	// above twice its maximum before the return and above 2 % of the establishes that capacity
	// serves in one timeout.
	if j.long = float64(s.Queued) > max(2*float64(j.steadyQ), 0.02*j.Capacity*j.Timeout.Seconds()); j.long {
		j.longAt = now
	}
	j.progress(now, s)
	hold := law.HoldTimeouts * j.Timeout
	if j.collapse && j.CollapsedAt == 0 {
		j.CollapsedAt = now
	}
	for j.acted < len(j.Acts) && now >= j.Acts[j.acted] { // an action restarts the judgement
		j.acted++
		j.collapse, j.starved = false, 0
	}
	if j.collapse && j.acted == len(j.Acts) {
		return true
	}
	if j.QueueFull {
		return true
	}
	back := now-max(j.belowAt, j.Return) >= hold
	// With a long queue the run goes on: for 10 timeouts in the steady state if it had left that
	// state, else to its end.
	return back && (!j.long || j.below && now-max(j.belowAt, j.Return) >= 2*hold)
}

// progress looks for 5 timeouts of starvation on end. Goodput is counted over the last timeout.
func (j *Judge) progress(now time.Duration, s engine.State) {
	slot := j.seen % WatchesPerTimeout
	before := j.good[slot]
	j.good[slot] = s.Good
	j.seen++
	if j.seen <= WatchesPerTimeout {
		return
	}
	few := float64(s.Good-before) < law.CollapseShare*j.Capacity*j.Timeout.Seconds()
	if !few || float64(j.Leases-s.Active) <= collapseLost*float64(j.lost) {
		j.starved = 0
		return
	}
	left := j.Leases - s.Active
	if j.starved == 0 {
		j.starved, j.leftAt = now, left
	}
	if now-j.starved >= law.HoldTimeouts*j.Timeout {
		if 2*left > j.leftAt {
			j.collapse = true
		}
		// No collapse yet if at least half of the lost leases came back, as when the last
		// droplets sit out long retry waits. The next 5 timeouts are judged anew.
		j.starved, j.leftAt = now, left
	}
}

// Verdict returns the verdict of the run so far. It never returns Invalid.
func (j *Judge) Verdict() Verdict {
	switch {
	case !j.below && !j.QueueFull:
		return Healthy
	case j.collapse || j.QueueFull && j.starved > 0:
		return Collapsed
	case j.below && j.end-max(j.belowAt, j.Return) >= law.HoldTimeouts*j.Timeout:
		return Recovered
	}
	return Degraded
}

// TTR returns the time to recovery: from the dependency's return to the steady state. It is 0
// for a healthy run. ok is false if the run did not come back.
func (j *Judge) TTR() (time.Duration, bool) {
	switch j.Verdict() {
	case Healthy:
		return 0, true
	case Recovered:
		return max(0, j.belowAt-j.Return), true
	}
	return 0, false
}

// Drain returns the time from the dependency's return until the queue was back at its steady
// level. ok is false if the queue was above that level at the end, or the run collapsed.
func (j *Judge) Drain() (time.Duration, bool) {
	return max(0, j.longAt-j.Return), !j.long && j.Verdict() != Collapsed
}
