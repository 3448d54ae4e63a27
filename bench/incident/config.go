// Package incident replays the outage of 20 October 2025 from its own cause, on the day's own
// clock: from three DNS enactors to the services of a region. See docs/incident.md.
//
// The systems are packages of their own below this one. Each is passive and is driven in virtual
// time, so that the same seed gives the same result, byte for byte:
//
//	dns → dependency → the lease managers (lease/dwfm) → network → balancer → services
//
// Influence runs from left to right only. So each system is carried through the whole day before
// the next.
package incident

import (
	"fmt"
	"io"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/incident/services"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Begin is the clock time of run time 0: 23:30 PDT, 18 minutes before the record was emptied.
var Begin = time.Date(2025, 10, 19, 23, 30, 0, 0, time.FixedZone("PDT", -7*3600))

// End is the run time at which the replay ends: 15:00. The public event ended at 14:20, and the
// public dashboard was closed at 15:01.
const End = 15*time.Hour + 30*time.Minute

// Config says what is replayed. The zero value of a part is that of the day.
type Config struct {
	Seed       uint64
	Manager    scenario.Scenario // the managers together: leases, times, costs, queue, admission, retry
	Partitions int
	DNS        dns.Config
	Client     dependency.Config
	Runbook    operator.Runbook
	Balancer   BalancerOptions
	Services   int // in the graph
	Options    services.Options
	End        time.Duration
	Progress   io.Writer  // receives one line per event; nil: no progress is written
	Live       bench.Live // sees each partition while it goes on; nil: nobody does
}

// BalancerOptions are the switches of the load balancers.
type BalancerOptions struct {
	FailOverOff bool // no zone is ever failed over
	Velocity    bool // the announced limit on the capacity that fail-over may remove
}

// Default is the day as it was. Seed is 0: a random one.
func Default() (Config, error) {
	s, err := scenario.Load("incident")
	if err != nil {
		return Config{}, err
	}
	b, err := operator.Load("day")
	if err != nil {
		return Config{}, err
	}
	return Config{
		Manager: s, Partitions: 24, DNS: dns.Default(), Client: dependency.Default(), Runbook: b, Services: services.Count, End: End,
	}, nil
}

// MostPartitions is the largest number of partitions.
const MostPartitions = 1000

// validate returns an error for the first value that is not possible. It wraps
// scenario.ErrScenario.
func (c *Config) validate() error {
	bad := func(key, format string, args ...any) error { return scenario.Bad(key, fmt.Sprintf(format, args...)) }
	switch {
	case c.Partitions < 1 || c.Partitions > MostPartitions:
		return bad("partitions", "%d: want 1 to %d", c.Partitions, MostPartitions)
	case c.Manager.Leases < c.Partitions:
		return bad("leases", "%d for %d partitions: each needs a lease; lower partitions or raise leases", c.Manager.Leases, c.Partitions)
	case c.Manager.Loads != "":
		return bad("loads", "the day has an outage, and a ramp of loads has none: leave out loads")
	case c.Manager.Pause > 0 || c.Manager.Slow > 0:
		return bad("pause", "the day is disturbed by its own cause: leave out pause and slow")
	case c.Manager.Timeout < time.Second:
		return bad("timeout", "%v on a day of %v is a sample every %v: want at least 1 s", c.Manager.Timeout, c.End, c.Manager.Timeout/bench.WatchesPerTimeout)
	case c.Manager.Operator != "none":
		return bad("operator", "the day's operator has a runbook: leave out operator")
	}
	return bench.CheckVirtual(&c.Manager)
}
