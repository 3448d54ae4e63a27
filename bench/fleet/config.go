package fleet

import (
	"fmt"
	"math"
	"time"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Config is the configuration of a fleet.
type Config struct {
	Droplets int           // N
	Broken   int           // B, droplets whose lease lapses during the outage
	Outage   dwfm.Window   // broken leases lapse at random times in the window
	Spread   time.Duration // broken droplets ask again at random times from To to To + Spread
	Interval time.Duration // H, between two checks of a droplet
	TTL      time.Duration // of a lease, from each check or establish
	Timeout  time.Duration // τ, how long a droplet waits for an answer
	Retry    admit.Retry   // the droplets' retry policy
	Wait     time.Duration // w, added to each wait of Retry
	// HedgeAfter is how long after its birth a request without an answer is sent once more, up to HedgeMost
	// attempts in all, each so long behind the one before; 0: never. HedgeMost is 2 to 5; 0: 2. Checks and
	// establishes are hedged, launches are not.
	HedgeAfter time.Duration
	HedgeMost  int
	Launches   float64 // users' launches per second
	// LaunchTries is how often a user asks for a launch: again after each time-out; 0: 1. A refusal is
	// heard at the time-out.
	LaunchTries  int
	LaunchesEven bool          // launches come at equal distances, else as a Poisson process
	Zones        int           // number of availability zones; 0: 1
	Surge        int           // number of zones, from the first, with broken leases; 0: all zones
	Jitter       float64       // check intervals are uniform from 1 − Jitter to 1 times Interval
	Grace        time.Duration // broken leases live until To + Grace; 0: they lapse in the outage
	// Resume, if set, returns when a droplet may ask again whose call failed at now, since the
	// dependency did not answer. Until then, and for a random part of Spread after, the droplet is
	// silent. A time up to now leaves the droplet to its retry policy.
	Resume func(now time.Duration, droplet uint32) time.Duration
	Seed   uint64 // of all random numbers
	// Range is the part of the droplets that this fleet plays; zero: all of them. The lease, the first
	// check and the break of each droplet are those of the whole fleet. What is drawn later has a seed of
	// its own for each range, and the range has its share of the launches.
	Range Range
	// Soon, if set, is called with droplets that will be seeded next, before they are.
	Soon func(droplets []uint32)
}

// Validate returns an error that names the first invalid field and its range.
func (c Config) Validate() error {
	switch {
	case c.Droplets < 1 || c.Droplets > math.MaxUint32:
		return fmt.Errorf("fleet: %d droplets: want 1 to %d", c.Droplets, uint32(math.MaxUint32))
	case c.Broken < 0 || c.Broken > c.Droplets:
		return fmt.Errorf("fleet: %d broken leases: want 0 to the %d droplets", c.Broken, c.Droplets)
	case c.Timeout <= 0 || c.Interval < c.Timeout:
		return fmt.Errorf("fleet: check interval %v: want at least the timeout, %v", c.Interval, c.Timeout)
	case c.Timeout%time.Microsecond != 0 || queue.ToMicros(c.Timeout) == queue.Forever:
		return fmt.Errorf("fleet: timeout %v: want a whole number of microseconds, up to 71 minutes", c.Timeout)
	case c.HedgeAfter < 0 || c.HedgeAfter >= c.Timeout || c.HedgeAfter%time.Microsecond != 0:
		return fmt.Errorf("fleet: hedges after %v: want a whole number of microseconds, from 0 to below the timeout, %v", c.HedgeAfter, c.Timeout)
	case c.HedgeMost < 0 || c.HedgeMost == 1 || c.HedgeMost > 5:
		return fmt.Errorf("fleet: %d attempts of a request in all: want 2 to 5", c.HedgeMost)
	case c.TTL <= c.Interval:
		return fmt.Errorf("fleet: lease time %v: want more than the check interval, %v", c.TTL, c.Interval)
	case c.Broken > 0 && (c.Outage.From <= 0 || c.Outage.To <= c.Outage.From):
		return fmt.Errorf("fleet: an outage from %v to %v: want it to begin after 0 and to end after it began", c.Outage.From, c.Outage.To)
	case c.Spread < 0 || c.Wait < 0:
		return fmt.Errorf("fleet: spread %v and retry wait %v: want at least 0", c.Spread, c.Wait)
	case !(c.Launches >= 0) || c.Launches > 1e9:
		return fmt.Errorf("fleet: %v launches a second: want 0 to 10^9", c.Launches)
	case c.LaunchTries < 0 || c.LaunchTries > admit.MostTries:
		return fmt.Errorf("fleet: %d tries of a launch: want 1 to %d", c.LaunchTries, admit.MostTries)
	case c.Zones < 0 || c.Zones > math.MaxUint8+1:
		return fmt.Errorf("fleet: %d zones: want 1 to 256", c.Zones)
	case c.Surge < 0 || c.Surge > max(1, c.Zones):
		return fmt.Errorf("fleet: a surge of %d zones: want 0 (all) to %d", c.Surge, max(1, c.Zones))
	case c.Broken > c.eligible(c.Droplets):
		return fmt.Errorf("fleet: %d broken leases: the %d zones of the surge have %d droplets", c.Broken, c.Surge, c.eligible(c.Droplets))
	case !(c.Jitter >= 0 && c.Jitter < 1) || c.Grace < 0:
		return fmt.Errorf("fleet: jitter %v and grace %v: want 0 to below 1, and at least 0", c.Jitter, c.Grace)
	case c.Range.From > c.Range.To || int64(c.Range.To) > int64(c.Droplets):
		return fmt.Errorf("fleet: droplets %d up to %d: want a range of the %d droplets", c.Range.From, c.Range.To, c.Droplets)
	case c.Retry == nil:
		return fmt.Errorf("fleet: no retry policy given")
	}
	return nil
}

// Range is a range of droplets: From is in it, To is not. The zero value stands for all droplets.
type Range struct {
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

// has reports whether the range has a droplet.
func (r Range) has(droplet uint32) bool { return r == Range{} || droplet >= r.From && droplet < r.To }

// zone is a droplet's availability zone.
func (c *Config) zone(droplet uint32) uint8 { return uint8(droplet % uint32(max(1, c.Zones))) }

// surges reports whether a droplet's lease may be broken.
func (c *Config) surges(droplet uint32) bool { return c.Surge == 0 || int(c.zone(droplet)) < c.Surge }

// eligible is the number of droplets, of n, whose lease may be broken.
func (c *Config) eligible(n int) int {
	if c.Surge == 0 {
		return n
	}
	zones := max(1, c.Zones)
	return n/zones*c.Surge + min(n%zones, c.Surge)
}
