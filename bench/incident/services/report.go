package services

import (
	"cmp"
	"slices"
	"time"
)

// Hours are hours of all services together.
type Hours struct {
	Down     float64 `json:"down_service_hours"`
	Degraded float64 `json:"degraded_service_hours"`
	Lost     float64 `json:"lost_service_hours"` // Down, less what clients had elsewhere
}

// Moment is a service and a time.
type Moment struct {
	Service string
	At      time.Duration
}

// Report is what happened up to the last step.
type Report struct {
	DownMax int      // services down at the same time
	Down    []Moment // services that went down, in the order of the first time
	Back    []Moment // services that went down or were degraded and are up, in the order of the last return
	Out     []string // services that are not up at the end
	Hands   []Hand   // what a hand restored, and circles that still wait for one
	Hours   Hours
}

// Report returns what happened up to the last step.
func (m *Machine) Report() Report {
	r := Report{DownMax: m.downMost, Hours: m.hours, Hands: slices.Clone(m.hands)}
	for i, c := range m.circles {
		if c.stuck && !c.forced {
			h := Hand{Since: c.since}
			for _, s := range m.graph.Circles[i].Members {
				h.Services = append(h.Services, m.graph.Services[s].Name)
			}
			r.Hands = append(r.Hands, h)
		}
	}
	last := map[string]time.Duration{} // read by name, never ranged over
	for _, t := range m.changes {
		last[t.Service] = t.At
	}
	for i, s := range m.graph.Services {
		if m.first[i] >= 0 {
			r.Down = append(r.Down, Moment{s.Name, m.first[i]})
		}
		at, changed := last[s.Name]
		switch {
		case m.all[i].state != Up:
			r.Out = append(r.Out, s.Name)
		case changed:
			r.Back = append(r.Back, Moment{s.Name, at})
		}
	}
	inTime := func(a, b Moment) int { return cmp.Compare(a.At, b.At) }
	slices.SortStableFunc(r.Down, inTime)
	slices.SortStableFunc(r.Back, inTime)
	return r
}

// Changes returns all transitions up to the last step, in the order of their times.
func (m *Machine) Changes() []Transition { return slices.Clone(m.changes) }

// State returns the state of the i-th service of the graph.
func (m *Machine) State(i int) State { return m.all[i].state }
