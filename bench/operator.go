package bench

import (
	"cmp"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// act is the run time of the operator's i-th step.
func (x *experiment) act(i int) time.Duration { return x.outage.To + x.steps[i].After }

// play replaces the scenario's operator by a runbook.
func (x *experiment) play(b scenario.Runbook) error {
	if x.Outage == 0 {
		return scenario.Bad("outage", "a runbook's steps are after the return of an outage; set outage")
	}
	b.Steps = slices.Clone(b.Steps) // other runs share the runbook
	if err := b.Check(cmp.Or(b.Name, "runbook")); err != nil {
		return err
	}
	for _, s := range []*scenario.Scenario{&x.Scenario, &x.Asked} {
		s.Operator, s.ThenQueue, s.ThenAdmit, s.ThenRetry = "none", "", "", ""
	}
	if last := len(x.phases) - 1; len(x.steps) > 0 {
		x.phases = x.phases[:last] // the scenario's operator does nothing
	}
	x.runbook, x.steps = &b, b.Steps
	for _, s := range b.Steps {
		switch s.Do {
		case "switch-queue":
			x.ThenQueue = s.To
		case "switch-admit":
			x.ThenAdmit = s.To
		case "switch-retry":
			x.ThenRetry = s.To
		}
	}
	if x.how.Part == nil { // a longer replay has its own end
		x.end = max(x.end, x.act(len(x.steps)-1)+x.Duration)
	}
	x.disturb() // a lasting disturbance ends with the run, whose end has moved
	return x.check()
}

// stepEvents are the operator's steps as events.
func (x *experiment) stepEvents(m *dwfm.Manager, f *fleet.Fleet, s engine.Service) ([]engine.Event, error) {
	var events []engine.Event
	for i, step := range x.steps {
		var throttle admit.Controller
		var retry admit.Retry
		var err error
		switch step.Do {
		case "throttle":
			throttle, err = admit.Make(scenario.ThrottleRef(step.Value), x.admitConfig(s))
		case "switch-retry":
			retry, err = admit.MakeRetry(step.To, x.Timeout)
		}
		if err != nil {
			return nil, err
		}
		events = append(events, engine.Event{At: x.act(i), Do: func(time.Duration) {
			switch step.Do {
			case "throttle":
				m.Throttle(throttle)
			case "relax":
				m.Throttle(nil)
			case "restart":
				m.Restart(step.Value)
			case "switch-queue":
				x.switchQueue.Do()
			case "switch-admit":
				x.switchAdmit.Do()
			case "switch-retry":
				f.SetRetry(retry)
			}
		}})
	}
	return events, nil
}
