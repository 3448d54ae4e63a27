package scenario

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"
)

// nameOf is the name of a scenario whose file has none: that of the file.
func nameOf(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), ".toml")
	return strings.Map(func(r rune) rune {
		if notInName(r) {
			return '-'
		}
		return r
	}, name)
}

// derive sets the keys that a file leaves out. Times are in proportion to the timeout: who gives
// only the own timeout gets the standard surge at the own pace.
func (s *Scenario) derive(given map[string]bool) {
	set := func(key string, at *time.Duration, times float64, of time.Duration) {
		k, err := findKey(key)
		if err != nil {
			panic(err) // a key of this file
		}
		if x := times * of.Seconds(); !given[key] && !math.IsNaN(x) {
			*at = time.Duration(math.Round(min(k.Max, max(k.Min, x)) * 1e9))
		}
	}
	tau := s.Timeout
	set("interval", &s.Interval, 20, tau)
	set("ttl", &s.TTL, 3, s.Interval)
	set("spread", &s.Spread, 0.1, tau)
	set("steady", &s.Steady, 1, tau)
	set("duration", &s.Duration, 25, tau)
	set("operator_at", &s.OperatorAt, 8, tau)
	set("restart_every", &s.RestartEvery, 1, tau)
	set("measure", &s.Measure, 1.5, tau)
	if s.Loads != "" {
		tau = 0 // a ramp has no outage
	}
	set("outage", &s.Outage, 1, tau)
	if !given["broken"] && s.Outage > 0 && s.Pause == 0 && s.Slow == 0 {
		s.Broken = min(s.Leases/10, max(0, s.MostBroken()))
	}
}

// holds reports whether a key is the scenario's own, and not what another key decides.
func (s *Scenario) holds(key string) bool {
	switch key {
	case "rho":
		return s.Scale != "none"
	case "service_time":
		return s.Scale != "service"
	case "require":
		return s.Require != ""
	}
	return true
}

// rescale finds out what is fitted to what, after the given keys were set. Which of rho and
// service_time has no meaning then is put back to its default, so that equal scenarios are equal.
func (s *Scenario) rescale(given map[string]bool) error {
	if given["service_time"] && !given["scale"] && s.Scale == "service" {
		s.Scale = "none"
	}
	for _, key := range []string{"rho", "service_time"} {
		if given[key] && !s.holds(key) {
			return s.surplus(key)
		}
	}
	if d := Default(); !s.holds("rho") {
		s.Rho = d.Rho
	} else if !s.holds("service_time") {
		s.ServiceTime = d.ServiceTime
	}
	return nil
}

func (s *Scenario) surplus(key string) error {
	if key == "rho" {
		return Bad(key, "with service_time it follows from leases, interval and workers: leave out rho, or service_time, or set scale to service")
	}
	return Bad(key, "with scale = \"service\" it follows from rho, leases, interval and workers: leave out service_time or scale")
}

// Summary is the scenario in a line, with what follows from its keys: ρ or the service of a check,
// σ, β and H/τ. The error is that of [Fit].
func (s *Scenario) Summary() (string, error) {
	x, err := Fit(*s, 1)
	if err != nil {
		return "", err
	}
	of := "given"
	switch s.Scale {
	case "service":
		of = "from ρ"
	case "leases":
		of = "given, and the leases from it"
	}
	text := fmt.Sprintf("%s: %d leases, %d broken; τ %v, H %v (H/τ %.3g), TTL %v; a check takes %v (%s) on each of %d workers, σ %g: ρ %.3g, β %.3g",
		s.Name, x.Leases, x.Broken, x.Timeout, x.Interval, x.Interval.Seconds()/x.Timeout.Seconds(), x.TTL, x.Want[0].Round(10*time.Nanosecond), of,
		x.Workers, x.Sigma, x.Rho, x.Beta(x.Capacity(x.Want)))
	if law := cmp.Or(s.ServiceLaw, FixedServices); law != FixedServices {
		text += ", " + law + " services"
	}
	return text, nil
}
