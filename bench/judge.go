package bench

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/law"
)

// Verdict is what became of a run. Near the border a single run's verdict is a coin
// toss.
type Verdict string

// The verdicts.
const (
	Healthy   Verdict = "healthy"   // never left the steady state
	Recovered Verdict = "recovered" // came back, after TTR
	Degraded  Verdict = "degraded"  // progress, but not there at the end; or ended by a queue over its limit
	Collapsed Verdict = "collapsed" // no progress worth the name for 5 timeouts on end
	Invalid   Verdict = "invalid"   // the harness itself could not keep up
)

// Lost says whether the leases did not come back.
func (v Verdict) Lost() bool { return v == Collapsed || v == Degraded }

// In the steady state 99.9 % of the leases are active; a recovery must hold for 5
// timeouts; a collapse is 5 timeouts on end in which a timeout's good establishes are
// less than 5 % of capacity while more than 1 % of what was lost is still lost, and
// after which more than half of what was lost at their start still is.
const (
	steadyShare  = 0.999
	collapseLost = 0.01
	// watchesPerTimeout is how finely the judge looks: η needs it.
	watchesPerTimeout = 100
)

// Judge watches a run and says when its verdict is clear. It is passive.
type Judge struct {
	Leases   int
	Timeout  time.Duration
	Capacity float64         // establishes a second
	Return   time.Duration   // of the dependency; 0 where there is no outage
	Acts     []time.Duration // when the operator acts, in order
	MaxQueue int             // attempts at which the run is ended, before the host swaps; 0: no limit

	ActiveMin, ActiveEnd int
	CollapsedAt          time.Duration // when a collapse was first seen; 0: never
	QueueFull            bool          // ended by MaxQueue

	begun    bool
	end      time.Duration // of the run so far
	lost     int           // most leases lost at any time
	below    bool          // has it ever been below the steady state?
	belowAt  time.Duration // last time that it was
	good     [watchesPerTimeout]uint64
	seen     int
	starved  time.Duration // since when there is no progress; 0: there is
	leftAt   int           // leases that were lost then
	collapse bool
	acted    int // of Acts
	steadyQ  int // longest queue before the return
	longAt   time.Duration
	long     bool
}

// Look keeps the extremes only: the watcher of a run that goes to its end.
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
	if float64(s.Active) < steadyShare*float64(j.Leases) {
		j.below, j.belowAt = true, now
	}
	j.QueueFull = j.MaxQueue > 0 && s.Queued > j.MaxQueue
}

// Watch is an engine's watcher, to be called every Timeout/watchesPerTimeout; true ends
// the run.
func (j *Judge) Watch(now time.Duration, s engine.State) bool {
	j.observe(now, s)
	if now < j.Return {
		j.steadyQ = max(j.steadyQ, s.Queued)
		return j.QueueFull
	}
	// "Back at its steady level" allows for a hiccup of the host: a queue of less than
	// 2 % of what a timeout can serve is as good as empty.
	if j.long = float64(s.Queued) > max(2*float64(j.steadyQ), 0.02*j.Capacity*j.Timeout.Seconds()); j.long {
		j.longAt = now
	}
	j.progress(now, s)
	hold := law.HoldTimeouts * j.Timeout
	if j.collapse && j.CollapsedAt == 0 {
		j.CollapsedAt = now
	}
	for j.acted < len(j.Acts) && now >= j.Acts[j.acted] { // whatever was, is judged anew
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
	// One that is back but drags a tail of dead work is watched a little longer; one that
	// has lost no lease yet but has a standing queue, to the end.
	return back && (!j.long || j.below && now-max(j.belowAt, j.Return) >= 2*hold)
}

// progress looks for 5 timeouts on end without goodput, over a sliding timeout.
func (j *Judge) progress(now time.Duration, s engine.State) {
	slot := j.seen % watchesPerTimeout
	before := j.good[slot]
	j.good[slot] = s.Good
	j.seen++
	if j.seen <= watchesPerTimeout {
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
		// A tail of droplets that sit out long waits thins out: that is progress.
		j.starved, j.leftAt = now, left
	}
}

// Verdict is the verdict of the run as it stands.
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

// TTR is the time from the dependency's return to the steady state, if the run came
// back to it.
func (j *Judge) TTR() (time.Duration, bool) {
	switch j.Verdict() {
	case Healthy:
		return 0, true
	case Recovered:
		return max(0, j.belowAt-j.Return), true
	}
	return 0, false
}

// Drain is the time from the dependency's return until the queue was back at its
// steady level, if it was at the end.
func (j *Judge) Drain() (time.Duration, bool) {
	return max(0, j.longAt-j.Return), !j.long && j.Verdict() != Collapsed
}
