package bench

import (
	"cmp"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// Part makes a run one part of a longer replay, for example one partition of the lease managers in
// the outage of 20 October 2025. The run goes on to its end, whatever the verdict.
type Part struct {
	// Dependency replaces the scripted outage. The scenario's outage still says when the
	// dependency returns.
	Dependency dwfm.Dependency
	// Resume is fleet.Config.Resume.
	Resume func(now time.Duration, droplet uint32) time.Duration
	// Step is the length of a step of the series, a multiple of a hundredth of the timeout.
	Step time.Duration
	// Launches change the rate of launches, in ascending order of At.
	Launches []LaunchChange
	// Watch sees every sample of the run, a hundredth of the timeout apart; nil: nobody does.
	Watch func(now time.Duration, s engine.State)
	// Done receives the run's log at its end; nil: nobody does.
	Done func(*record.Log)
}

// LaunchChange is a new rate of launches.
type LaunchChange struct {
	At    time.Duration // run time
	Share float64       // of capacity, as the scenario's launch
}

// seriesStep is the length of a step of the run's series.
func (x *experiment) seriesStep() time.Duration {
	if x.how.Part != nil && x.how.Part.Step > 0 {
		return x.how.Part.Step
	}
	return step
}

// part adds to a plan what makes it a part of a longer replay.
func (x *experiment) part(p *engine.Plan, j *Judge, f *fleet.Fleet, s engine.Service) {
	part := x.how.Part
	if part == nil {
		return
	}
	p.Watch = func(now time.Duration, state engine.State) bool {
		j.Watch(now, state)
		if part.Watch != nil {
			part.Watch(now, state)
		}
		return j.QueueFull
	}
	// A sweep of the table per sample is enough where a lease lives for thousands of them.
	p.ExpirePeriod = max(engine.ExpirePeriod, p.WatchPeriod)
	for _, c := range part.Launches {
		p.Events = append(p.Events, engine.Event{At: c.At, Do: func(now time.Duration) { f.SetLaunches(now, x.Launches(c.Share, s)) }})
	}
	slices.SortStableFunc(p.Events, func(a, b engine.Event) int { return cmp.Compare(a.At, b.At) })
}

// resume is the fleet's Resume; nil: the run has none.
func (x *experiment) resume() func(now time.Duration, droplet uint32) time.Duration {
	if x.how.Part == nil {
		return nil
	}
	return x.how.Part.Resume
}
