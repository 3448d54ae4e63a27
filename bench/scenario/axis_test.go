package scenario

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// An axis sets what a scenario can be, or is refused by a message without a number that came of
// an overflow.
func TestAxesAtTheirEnds(t *testing.T) {
	bases := [][]string{nil, {"broken=0"}, {"broken=0", "outage=0s"}, {"surge_zones=1", "broken=60"}}
	for _, a := range Axes {
		for _, x := range []float64{0, -1, 1e-300, 1e-9, 0.5, 1, 1e6, 1e12, 1e300, math.Inf(1), math.Inf(-1), math.NaN()} {
			for _, base := range bases {
				s, err := tiniest(t, base...)
				if err != nil {
					t.Fatal(err)
				}
				if err = a.Set(&s, x); err == nil {
					err = s.Validate()
				}
				if err != nil && (!errors.Is(err, ErrScenario) || strings.Contains(err.Error(), "9223372036854775808") || strings.Contains(err.Error(), "2562047h")) {
					t.Errorf("%s=%g of %v: %v", a.Name, x, base, err)
				}
				if s.Workers < 0 || s.Workers > MaxWorkers {
					t.Errorf("%s=%g: %d workers", a.Name, x, s.Workers)
				}
			}
		}
	}
	s, err := tiniest(t, "broken=0", "outage=0s")
	if err != nil {
		t.Fatal(err)
	}
	a, err := FindAxis("outage")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Set(&s, 1); err == nil || !strings.Contains(err.Error(), "set outage") {
		t.Errorf("an axis of outages without one: %v", err)
	}
	if _, err := ParseRange("timeout=1:1e300:3:log"); err == nil || !strings.Contains(err.Error(), "up to 1e12") {
		t.Errorf("a range to 1e300: %v", err)
	}
}

// tiniest is a run of some thousand events.
func tiniest(t *testing.T, set ...string) (Scenario, error) {
	t.Helper()
	s, err := Load("surge")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set("leases=200", "broken=60", "timeout=100ms", "interval=500ms", "ttl=1500ms", "steady=50ms", "outage=50ms", "duration=1s", "spread=10ms"); err != nil {
		t.Fatal(err)
	}
	return s, s.Set(set...)
}
