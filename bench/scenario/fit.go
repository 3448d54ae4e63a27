package scenario

import (
	"fmt"
	"math"
	"time"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// Fitted is a scenario fitted to a number of workers. Its shares and costs have become leases
// and times.
type Fitted struct {
	Scenario                              // fitted
	Asked    Scenario                     // as given to Fit
	Renewal  float64                      // factor by which Interval and TTL grew; 0: they did not
	Costs    [queue.Classes]float64       // cost of a service by class, in checks
	Want     [queue.Classes]time.Duration // mean service time by class, on one worker
	Loads    []float64                    // offered loads of a ramp, in shares of capacity
}

// ShortestCheck is the shortest service of a check on real cores. Below this limit the overhead
// per attempt exceeds the work, so a real run would measure the harness.
const ShortestCheck = 500 * time.Nanosecond

// Fit fits a scenario to its workers, or to one if it has none. The service of a check must be at least shortest.
// The error names the key to change and wraps [ErrScenario].
func Fit(s Scenario, shortest time.Duration) (Fitted, error) {
	s.Workers = max(1, s.Workers)
	x := Fitted{Scenario: s, Asked: s, Costs: [queue.Classes]float64{1, s.Sigma, s.Sigma}}
	if err := s.Validate(); err != nil {
		return x, err
	}
	if err := x.renewSlower(); err != nil {
		return x, err
	}
	x.Spread += x.ExpirySpread
	var err error
	if x.Loads, err = s.loads(); err != nil {
		return x, err
	}
	return x, x.fit(shortest)
}

// Capacity returns the establishes per second that all workers serve if they do nothing else.
// service is the mean service time by class.
func (x *Fitted) Capacity(service [queue.Classes]time.Duration) float64 {
	return float64(x.Workers) / service[queue.Establish].Seconds()
}

// Beta returns the collapse number β: how many timeouts the spare capacity needs to serve the
// surge once. capacity is in establishes per second.
func (x *Fitted) Beta(capacity float64) float64 {
	return float64(x.Broken) / (capacity * x.Timeout.Seconds() * (1 - x.Rho))
}

// Launches returns the launches per second that ask for the given share of capacity.
func (x *Fitted) Launches(share float64, service [queue.Classes]time.Duration) float64 {
	return share * x.Capacity(service) * x.Costs[queue.Establish] / x.Costs[queue.Launch]
}

// Beta returns the scenario's β, or NaN if the scenario cannot be run.
func (s *Scenario) Beta() float64 {
	x, err := Fit(*s, 1)
	if err != nil {
		return math.NaN()
	}
	return x.Beta(x.Capacity(x.Want))
}

// renewSlower lengthens interval and TTL until the checks take no more than renew_rate.
func (x *Fitted) renewSlower() error {
	if x.RenewRate == 0 || x.RenewRate >= x.Rho {
		return nil
	}
	// Nomad's TTL is at least the number of nodes over the rate. Here the interval grows as well.
	grow := x.Rho / x.RenewRate
	if ttl := grow * float64(x.TTL); ttl > float64(LastDeadline) {
		return Bad("renew_rate", fmt.Sprintf("%g makes leases live %.3g times as long, %.3g days, and a table holds %.1f: raise it, or lower ttl", x.RenewRate, grow, ttl/float64(day), float64(LastDeadline)/float64(day)))
	}
	x.Interval, x.TTL = time.Duration(grow*float64(x.Interval)), time.Duration(grow*float64(x.TTL))
	x.Renewal = grow
	return nil
}

// fit fits the number of leases and the service times to the workers. It computes in float64: a
// value that it refuses may exceed a time.Duration.
func (x *Fitted) fit(shortest time.Duration) error {
	defer func() {
		if x.Renewal > 0 {
			x.Rho /= x.Renewal
		}
	}()
	check, service := float64(x.ServiceTime), "service_time"
	work := float64(x.Workers) * float64(x.Asked.Interval) // worker time in an interval
	capacity := x.Rho * work                               // worker time for one check per lease
	switch x.Scale {
	case "service":
		check, service = capacity/float64(x.Leases), "leases"
	case "leases":
		n := capacity / check
		if n >= mostLeases {
			return Bad(service, fmt.Sprintf("%v for a check makes %.3g leases, more than %.0f: raise it, or lower rho or interval", x.ServiceTime, n, float64(mostLeases)))
		}
		x.Broken = int(float64(x.Broken) * n / float64(x.Leases))
		x.Leases = int(n)
		x.Broken = min(x.Broken, x.MostBroken())
	default:
		x.Rho = float64(x.Leases) * check / work
	}
	if x.Rho >= 1 {
		return Bad("leases", fmt.Sprintf("%d leases whose checks take %v each need %.2f of %d workers: lower leases or service_time", x.Leases, x.ServiceTime, x.Rho, x.Workers))
	}
	if x.Leases < 1 || check < float64(shortest) {
		return Bad("leases", fmt.Sprintf("%d leases on %d workers leave %v for a check, and the path around it alone takes about %v: lower leases, or raise rho, interval or --workers", x.Leases, x.Workers, time.Duration(check), shortest))
	}
	for class, cost := range x.Costs {
		took := cost * check
		if took >= float64(x.Timeout) {
			mend := "raise leases or timeout, or lower sigma, rho or interval"
			if service != "leases" {
				mend = "lower service_time or sigma, or raise timeout"
			}
			return Bad(service, fmt.Sprintf("the service of %s takes %.3g s and the timeout is %v, so that none is done in time: %s", queue.Class(class), took/1e9, x.Timeout, mend))
		}
		x.Want[class] = max(1, time.Duration(took))
	}
	return nil
}

// day is the unit of messages about long times.
const day = 24 * time.Hour

// mostLeases is the largest number of leases that a table holds.
const mostLeases = 1<<32 - 1

// LastDeadline is the latest deadline of a lease that both a table and an attempt can hold: 49.7
// days after the start of the run.
var LastDeadline = min(lease.MaxDeadline, queue.Millis(1<<32-1).Duration())

// MostLaunches is the highest rate at which a fleet makes launches, in launches per second.
const MostLaunches = 1e9
