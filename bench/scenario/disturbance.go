package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Disturbance is an event that a scenario suffers. Its size has one unit for all kinds: the work
// that the event adds or takes away, in timeouts of the spare capacity. The size of a surge is β.
type Disturbance struct {
	Name string
	Most func(s *Scenario) float64             // returns the largest size
	Set  func(s *Scenario, size float64) error // adds the event to a scenario
}

// slowTimeouts is the length of a slow spell, in timeouts.
const slowTimeouts = 10

// spareTimeout is the work of all workers in one timeout, in timeouts of the spare capacity.
func spareTimeout(s *Scenario) float64 {
	rho := s.Rho
	if x, err := Fit(*s, 1); err == nil {
		rho = x.Rho
	}
	return 1 / (1 - rho)
}

// Spare returns the number of establishes that the spare capacity serves in a timeout.
func (s *Scenario) Spare() float64 {
	one := *s
	one.Broken = 1
	return 1 / one.Beta()
}

var single = []Disturbance{
	{"surge", func(s *Scenario) float64 {
		all := *s
		all.Broken = s.MostBroken()
		return all.Beta()
	}, func(s *Scenario, size float64) error {
		a, err := FindAxis("beta")
		if err != nil {
			return err
		}
		err = a.Set(s, size)
		s.Broken = min(s.Broken, s.MostBroken())
		return err
	}},
	{"pause", func(s *Scenario) float64 { return 20 * spareTimeout(s) }, func(s *Scenario, size float64) error {
		s.Pause, s.PauseAt = time.Duration(size/spareTimeout(s)*float64(s.Timeout)), 0
		return nil
	}},
	{"slow workers", func(s *Scenario) float64 { return 0.99 * slowTimeouts * spareTimeout(s) }, func(s *Scenario, size float64) error {
		s.Slow, s.SlowFor = size/spareTimeout(s)/slowTimeouts, slowTimeouts*s.Timeout
		return nil
	}},
}

// combination makes a Disturbance of several at once, each with an equal part of the size.
func combination(parts ...Disturbance) Disturbance {
	var names []string
	for _, p := range parts {
		names = append(names, p.Name)
	}
	n := float64(len(parts))
	return Disturbance{strings.Join(names, " and "), func(s *Scenario) float64 {
		most := math.Inf(1)
		for _, p := range parts {
			most = min(most, n*p.Most(s))
		}
		return most
	}, func(s *Scenario, size float64) error {
		for _, p := range parts {
			if err := p.Set(s, size/n); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Disturbances lists the surge, the pause and the slow spell, and the surge combined with each of
// the other two.
func Disturbances() []Disturbance {
	d := single
	return append(slices.Clone(d), combination(d[0], d[1]), combination(d[0], d[2]))
}

// Calm returns the scenario without broken leases, slow spell and pause. Its duration is at least
// twice the TTL and 20 timeouts.
func (s Scenario) Calm() Scenario {
	s.Broken, s.Slow, s.Pause = 0, 0, 0
	// Failed checks show in the count of leases only once leases lapse.
	s.Duration = max(s.Duration, 2*s.TTL+20*s.Timeout)
	return s
}

// Disturbed describes the scenario's broken leases, pause and slow spell, each in its own unit.
func (s *Scenario) Disturbed() string {
	var all []string
	if s.Broken > 0 {
		all = append(all, fmt.Sprintf("%s leases broken (%.1f %%)", show.Count(s.Broken), 100*float64(s.Broken)/float64(s.Leases)))
	}
	if s.Pause > 0 {
		all = append(all, fmt.Sprintf("a pause of %v", s.Pause.Round(time.Millisecond)))
	}
	if s.Slow > 0 {
		all = append(all, fmt.Sprintf("%.0f %% of the capacity away for %v", 100*s.Slow, s.SlowFor))
	}
	return strings.Join(all, ", ")
}
