package law

import (
	"math/rand/v2"
	"strings"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// covered are the keys that the fluid law is about: it has them in its equations, or they
// change nothing that it says. A scenario in which any other key differs from its default is
// none of the law's, so a key that is added is not covered until it is entered here.
var covered = map[string]bool{
	"name": true, "about": true, "require": true, "leases": true, "broken": true, "timeout": true, "interval": true, "ttl": true,
	"rho": true, "sigma": true, "delta": true, "spread": true, "wait": true, "queue": true, "retry": true,

	"steady": true, "outage": true, "duration": true, // when the surge begins, and how long it is watched
	"zones": true, "surge_zones": true, // who is broken does not matter where nobody tells zones apart
	"scale": true, "service_time": true, "service_law": true, "workers": true, "table": true, // how the numbers come to a host
	// What these say holds only beside a key that is not covered.
	"slow_for": true, "slow_at": true, "launch_tries": true, "launch_law": true, "pause_at": true, "operator_at": true, "throttle": true, "restarts": true, "restart_every": true,
	"between": true, "measure": true, "hedge_most": true,
	"refuse_cost": true, // nothing is refused
}

// Of is a scenario as a fluid. ok is false if the law is not about the scenario, or there is none.
func Of(s *scenario.Scenario) (f Fluid, ok bool) {
	x, err := scenario.Fit(*s, 1)
	if err != nil {
		return f, false
	}
	tau := s.Timeout.Seconds()
	f = Fluid{
		Rho: x.Rho, Checks: s.Sigma * x.Rho * s.Interval.Seconds() / tau,
		Spread: s.Spread.Seconds() / tau, Wait: s.Wait.Seconds() / tau, Delta: s.Delta, Sigma: s.Sigma,
		TTL: s.TTL.Seconds() / tau,
	}
	from := scenario.Default()
	for _, set := range s.Differences(&from) {
		if key, _, _ := strings.Cut(set, "="); !covered[key] {
			return f, false
		}
	}
	e, v, err := queue.Catalog.Resolve(s.Queue)
	if err != nil { // a composition
		return f, false
	}
	switch e.Name {
	case "fifo", "fifo-lockfree", "edf": // one timeout for all: the earliest deadline is the oldest
	case "lifo", "lifo-lockfree":
		f.Order = Newest
	case "deadline":
		f.Drop = true
	case "codel":
		f.CoDel = CoDel{v["target"] / tau, v["interval"] / tau, v["exponent"], float64(x.Capacity(x.Want) * tau)}
	case "slack":
		f.Order, f.Drop = Establishes, true
	default:
		return f, false
	}
	f.Margin, f.Workers = v["margin"], x.Workers
	switch s.ServiceLaw {
	case "", scenario.FixedServices:
	case scenario.ExponentialServices:
		f.Exponential = true
	default:
		return f, false
	}
	r, w, err := admit.Retries.Resolve(s.Retry)
	if err != nil {
		return f, false
	}
	switch r.Name {
	case "immediate":
	case "fixed":
		f.Wait += w["wait"]
	case "backoff":
		for bound := w["base"]; len(f.Bounds) == 0 || f.Bounds[len(f.Bounds)-1] < w["cap"]; bound *= 2 {
			f.Bounds = append(f.Bounds, min(bound, w["cap"]))
		}
	default:
		return f, false
	}
	return f, true
}

// Batch returns the β from which on a fifo does not come back, by the batch law with the
// mean of the first retry's wait.
func Batch(s *scenario.Scenario) float64 {
	wait := s.Wait.Seconds()
	if retry, err := admit.MakeRetry(s.Retry, s.Timeout); err == nil {
		const draws = 1000
		rng := rand.New(rand.NewPCG(1, 1))
		for range draws {
			wait += retry.Wait(admit.Failure{Tries: 1, Timeout: s.Timeout}, rng).Seconds() / draws
		}
	}
	return 1 + (1+wait/s.Timeout.Seconds())/s.Delta
}

// BorderBeta returns the border as β*, or nil if there is none.
func (f Fluid) BorderBeta() *float64 {
	b, ok := f.Border()
	if !ok {
		return nil
	}
	b /= 1 - f.Rho
	return &b
}

// Beta is the β from which on a scenario is lost by the fluid law, or nil if it never is. ok is
// false if the law is not about the scenario.
func Beta(s *scenario.Scenario) (beta *float64, ok bool) {
	f, ok := Of(s)
	if !ok {
		return nil, false
	}
	return f.BorderBeta(), true
}
