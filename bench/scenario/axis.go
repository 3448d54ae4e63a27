package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/internal/axis"
)

// Axis is a quantity of a scenario that a map or a search varies. Values are in Unit.
type Axis struct {
	Name, Unit, Doc string
	// Set sets the quantity to x.
	Set func(s *Scenario, x float64) error
	// Get returns the scenario's value. For jitter and theta it returns the default, 0 and 0.2.
	Get func(s *Scenario) float64
}

// times makes an axis of a time in seconds.
func times(name, doc string, at func(*Scenario) *time.Duration) Axis {
	return Axis{name, "s", doc,
		func(s *Scenario, x float64) error {
			return setSeconds(name, at(s), x)
		},
		func(s *Scenario) float64 { return at(s).Seconds() },
	}
}

// setWhole and setSeconds round x, to a whole number and to a nanosecond, and set the key. They
// refuse a value outside the key's range.
func setWhole(key string, at *int, x float64) error {
	k, err := findKey(key)
	if err == nil {
		err = k.within(math.Round(x), fmt.Sprintf("%g", x))
	}
	if err == nil {
		*at = int(math.Round(x))
	}
	return err
}

func setSeconds(key string, at *time.Duration, x float64) error {
	k, err := findKey(key)
	if err == nil {
		err = k.within(x, fmt.Sprintf("%g s", x))
	}
	if err == nil {
		*at = time.Duration(math.Round(x * float64(time.Second)))
	}
	return err
}

// shares makes an axis of a plain number.
func shares(name, unit, doc string, at func(*Scenario) *float64) Axis {
	return Axis{name, unit, doc,
		func(s *Scenario, x float64) error { *at(s) = x; return nil },
		func(s *Scenario) float64 { return *at(s) },
	}
}

// Axes lists all axes.
var Axes = []Axis{
	{"broken", "leases", "B, leases that lapse in the outage",
		func(s *Scenario, x float64) error { return setWhole("broken", &s.Broken, x) },
		func(s *Scenario) float64 { return float64(s.Broken) }},
	{"beta", "timeouts", "β, the surge in timeouts of spare capacity; sets B",
		func(s *Scenario, x float64) error {
			one := *s
			one.Broken = 1
			e, err := Fit(one, 1)
			if err != nil {
				return err
			}
			return setWhole("broken", &s.Broken, x/e.Beta(e.Capacity(e.Want)))
		}, func(s *Scenario) float64 { return s.Beta() }},
	{"rho", "of capacity", "ρ, what the steady checks take; sets the service of a check",
		func(s *Scenario, x float64) error {
			if s.Scale != "none" {
				s.Rho = x
				return nil
			}
			return setSeconds("service_time", &s.ServiceTime, x*float64(max(1, s.Workers))*s.Interval.Seconds()/float64(max(1, s.Leases)))
		}, func(s *Scenario) float64 {
			x, err := Fit(*s, 1)
			if err != nil {
				return math.NaN()
			}
			return x.Rho
		}},
	shares("delta", "times a live one's", "δ, cost of serving a dead attempt", func(s *Scenario) *float64 { return &s.Delta }),
	shares("cancel_seen", "1", "share of the attempts that their droplets gave up whose cancellation the manager sees", func(s *Scenario) *float64 { return &s.CancelSeen }),
	shares("loss", "of capacity", "capacity that is away from the return on", func(s *Scenario) *float64 { return &s.Slow }),
	times("timeout", "τ, how long a droplet waits for an answer", func(s *Scenario) *time.Duration { return &s.Timeout }),
	{"hedge_after", "s", "time without an answer after which a droplet sends a second attempt beside the first; 0: never",
		func(s *Scenario, x float64) error {
			return setSeconds("hedge_after", &s.HedgeAfter, math.Round(x*1e6)/1e6)
		},
		func(s *Scenario) float64 { return s.HedgeAfter.Seconds() }},
	times("spread", "over which the broken ask after the return", func(s *Scenario) *time.Duration { return &s.Spread }),
	times("wait", "w, between a timed-out attempt and the next", func(s *Scenario) *time.Duration { return &s.Wait }),
	times("pause", "no worker works for so long", func(s *Scenario) *time.Duration { return &s.Pause }),
	{"jitter", "s", "mean of a retry wait drawn uniformly from 0 to twice that; sets the retry policy",
		func(s *Scenario, x float64) error {
			s.Retry = "immediate"
			if bound := 2 * x / s.Timeout.Seconds(); bound > 0 {
				s.Retry = fmt.Sprintf("backoff:base=%g,cap=%g", bound, bound)
			}
			return nil
		},
		func(*Scenario) float64 { return 0 }},
	{"theta", "of TTL", "θ of slack, without its guard; sets the discipline",
		func(s *Scenario, x float64) error {
			s.Queue = fmt.Sprintf("slack:theta=%g,guard=0", x)
			return nil
		},
		func(*Scenario) float64 { return 0.2 }},
	{"outage", "s", "how long the dependency is away; leases break at the scenario's rate, broken/outage",
		func(s *Scenario, x float64) error {
			if s.Outage == 0 {
				return Bad("outage", "an axis of outages needs a scenario with one, to know how fast leases break; set outage")
			}
			broken := min(float64(s.MostBroken()), float64(s.Broken)*x/s.Outage.Seconds())
			if err := setWhole("broken", &s.Broken, broken); err != nil {
				return err
			}
			return setSeconds("outage", &s.Outage, x)
		},
		func(s *Scenario) float64 { return s.Outage.Seconds() }},
	{"workers", "workers", "c, workers of the manager; the service is fitted to the scenario's workers, or one",
		func(s *Scenario, x float64) error {
			// The service is fitted to the scenario's workers, and x workers then serve the same droplets.
			if !(x >= 1 && x <= MaxWorkers) {
				return Bad("workers", fmt.Sprintf("%g is out of range: 1 to %d workers", x, MaxWorkers))
			}
			e, err := Fit(*s, 1)
			if err != nil {
				return err
			}
			s.Scale, s.ServiceTime = "none", e.Want[0]
			s.Workers = int(math.Round(x))
			return s.rescale(nil)
		},
		func(s *Scenario) float64 { return float64(max(1, s.Workers)) }},
	{"ttl_h", "intervals", "TTL/H: a lease's time to live over the check interval",
		func(s *Scenario, x float64) error { return setSeconds("ttl", &s.TTL, x*s.Interval.Seconds()) },
		func(s *Scenario) float64 { return float64(s.TTL) / float64(s.Interval) }},
}

// FindAxis returns the axis of the given name: one of Axes, or a parameter of a part, as in
// "queue.exponent", "admit.limit" or "retry.wait". An unknown name wraps [ErrScenario].
func FindAxis(name string) (Axis, error) {
	var names []string
	for _, a := range Axes {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	if a, ok := partAxis(name); ok {
		return a, nil
	}
	for _, part := range partAxes {
		names = append(names, part.key+".PARAMETER")
	}
	return Axis{}, fmt.Errorf("%w: no axis %q; there are: %s", ErrScenario, name, strings.Join(names, ", "))
}

// Range is N values of an axis from Low to High, both included.
type Range struct {
	Axis string  `json:"axis"`
	Unit string  `json:"unit"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	N    int     `json:"n"`
	Log  bool    `json:"log"` // values at equal ratios; false: at equal distances
}

// ParseRange parses "axis=low:high:points", as in "rho=0.05:0.75:40". A suffix ":log" asks for
// values at equal ratios.
func ParseRange(text string) (Range, error) {
	bad := func(why string) (Range, error) {
		return Range{}, fmt.Errorf("%w: %q: %s; write axis=low:high:points or axis=low:high:points:log, as in rho=0.05:0.75:40", ErrScenario, text, why)
	}
	name, rest, ok := strings.Cut(text, "=")
	if !ok {
		return bad("no axis named")
	}
	a, err := FindAxis(name)
	if err != nil {
		return Range{}, err
	}
	r := Range{Axis: name, Unit: a.Unit}
	parts := strings.Split(rest, ":")
	if len(parts) == 4 && parts[3] == "log" {
		r.Log = true
		parts = parts[:3]
	}
	if len(parts) != 3 {
		return bad("not a range")
	}
	var err1, err2, err3 error
	r.Low, err1 = strconv.ParseFloat(parts[0], 64)
	r.High, err2 = strconv.ParseFloat(parts[1], 64)
	r.N, err3 = strconv.Atoi(parts[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return bad("not numbers")
	}
	if why := r.wrong(); why != "" {
		return bad(why)
	}
	return r, nil
}

// MaxSteps is the largest N of a Range.
const MaxSteps = 1000

// Validate returns an error for a range that ParseRange would refuse. It is for a range that was
// read from a file.
func (r Range) Validate() error {
	if _, err := FindAxis(r.Axis); err != nil {
		return err
	}
	if why := r.wrong(); why != "" {
		return Bad("axis "+r.Axis, fmt.Sprintf("low %g, high %g, n %d: %s", r.Low, r.High, r.N, why))
	}
	return nil
}

// wrong says why the range is invalid; "" if it is valid.
func (r Range) wrong() string {
	switch {
	case math.IsNaN(r.Low - r.High):
		return "not numbers"
	case math.Abs(r.Low) > 1e12 || math.Abs(r.High) > 1e12:
		return "values are out of range: up to 1e12"
	case !(r.Low < r.High):
		return "low must be below high"
	case r.N < 2 || r.N > MaxSteps:
		return fmt.Sprintf("points are out of range: 2 to %d", MaxSteps)
	case r.Log && r.Low <= 0:
		return "equal ratios need low above 0"
	}
	return ""
}

// At returns the i-th value, from 0.
func (r Range) At(i int) float64 {
	return axis.Steps{Low: r.Low, High: r.High, N: r.N, Log: r.Log}.At(float64(i))
}

// Apply sets the range's axis to x. See [Axis].
func (r Range) Apply(s *Scenario, x float64) error {
	a, err := FindAxis(r.Axis)
	if err != nil {
		return err
	}
	return a.Set(s, x)
}
