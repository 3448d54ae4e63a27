package scenario

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Disturbance is something that goes wrong, of a size that all kinds have in common: the
// work that it adds or takes away, in timeouts of the spare capacity. A surge's size is β.
type Disturbance struct {
	Name string
	Most func(s *Scenario) float64             // largest size that there is
	Set  func(s *Scenario, size float64) error // makes it happen to a scenario
}

// slowTimeouts is how long a slow spell lasts, in timeouts.
const slowTimeouts = 10

// spareTimeout is a timeout of all capacity, in timeouts of the spare.
func spareTimeout(s *Scenario) float64 { return 1 / (1 - s.Rho) }

// Spare is how many establishes a timeout of the spare capacity serves.
func (s *Scenario) Spare() float64 {
	one := *s
	one.Broken = 1
	return 1 / one.Beta(1)
}

var single = []Disturbance{
	{"surge", func(s *Scenario) float64 {
		all := *s
		all.Broken = s.MostBroken()
		return all.Beta(1)
	}, func(s *Scenario, size float64) error {
		a, err := FindAxis("beta")
		if err != nil {
			return err
		}
		workers := 1
		err = a.Set(s, &workers, size)
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

// combination is several at once, each of an equal part of the size.
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

// Disturbances are those that there are, by themselves and two at a time.
func Disturbances() []Disturbance {
	d := single
	return append(slices.Clone(d), combination(d[0], d[1]), combination(d[0], d[2]))
}

// Calm is the scenario without anything that goes wrong.
func (s Scenario) Calm() Scenario {
	s.Broken, s.Slow, s.Pause = 0, 0, 0
	// Checks that come to nothing are seen once leases lapse.
	s.Duration = max(s.Duration, 2*s.TTL+20*s.Timeout)
	return s
}

// Disturbed is what goes wrong in a scenario, in its own units.
func (s *Scenario) Disturbed() string {
	var all []string
	if s.Broken > 0 {
		all = append(all, fmt.Sprintf("%d leases broken (%.1f %%)", s.Broken, 100*float64(s.Broken)/float64(s.Leases)))
	}
	if s.Pause > 0 {
		all = append(all, fmt.Sprintf("a pause of %v", s.Pause.Round(time.Millisecond)))
	}
	if s.Slow > 0 {
		all = append(all, fmt.Sprintf("%.0f %% of the capacity away for %v", 100*s.Slow, s.SlowFor))
	}
	return strings.Join(all, ", ")
}
