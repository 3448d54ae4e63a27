package fleet

import (
	"fmt"
	"math"
	"time"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Config says who the droplets are and how they behave.
type Config struct {
	Droplets int         // N
	Broken   int         // B, droplets whose lease lapses during the outage
	Outage   dwfm.Window // leases lapse on a ramp from From to To; at To the broken ask anew
	Spread   time.Duration
	Interval time.Duration // H, between two checks of a droplet
	TTL      time.Duration
	Timeout  time.Duration // τ
	Retry    admit.Retry
	Wait     time.Duration // w, between a timed-out attempt and the next, before what Retry adds
	Launches float64       // instances that users ask to start, a second; nobody retries one
	Zones    int           // availability zones; 0 is 1
	Surge    int           // the broken leases are of the first so many zones; 0: of all
	Jitter   float64       // each check interval is drawn from 1 − Jitter to 1 of the interval
	Grace    time.Duration // leases live so long after the outage that would have lapsed in it; 0: they lapse
	Seed     uint64
}

// Validate says what is wrong with the configuration.
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
	case c.TTL <= c.Interval:
		return fmt.Errorf("fleet: lease time %v: want more than the check interval, %v", c.TTL, c.Interval)
	case c.Broken > 0 && (c.Outage.From <= 0 || c.Outage.To <= c.Outage.From):
		return fmt.Errorf("fleet: an outage from %v to %v: want it to begin after 0 and to end after it began", c.Outage.From, c.Outage.To)
	case c.Spread < 0 || c.Wait < 0:
		return fmt.Errorf("fleet: spread %v and retry wait %v: want at least 0", c.Spread, c.Wait)
	case !(c.Launches >= 0) || c.Launches > 1e9:
		return fmt.Errorf("fleet: %v launches a second: want 0 to 10^9", c.Launches)
	case c.Zones < 0 || c.Zones > math.MaxUint8+1:
		return fmt.Errorf("fleet: %d zones: want 1 to 256", c.Zones)
	case c.Surge < 0 || c.Surge > max(1, c.Zones):
		return fmt.Errorf("fleet: a surge of %d zones: want 0 (all) to %d", c.Surge, max(1, c.Zones))
	case c.Broken > c.eligible(c.Droplets):
		return fmt.Errorf("fleet: %d broken leases: the %d zones of the surge have %d droplets", c.Broken, c.Surge, c.eligible(c.Droplets))
	case !(c.Jitter >= 0 && c.Jitter < 1) || c.Grace < 0:
		return fmt.Errorf("fleet: jitter %v and grace %v: want 0 to below 1, and at least 0", c.Jitter, c.Grace)
	case c.Retry == nil:
		return fmt.Errorf("fleet: no retry policy given")
	}
	return nil
}

// zone is the availability zone that a droplet is in.
func (c *Config) zone(droplet uint32) uint8 { return uint8(droplet % uint32(max(1, c.Zones))) }

// surges says whether a droplet's lease may be one of the broken.
func (c *Config) surges(droplet uint32) bool { return c.Surge == 0 || int(c.zone(droplet)) < c.Surge }

// eligible is how many of n droplets those are.
func (c *Config) eligible(n int) int {
	if c.Surge == 0 {
		return n
	}
	zones := max(1, c.Zones)
	return n/zones*c.Surge + min(n%zones, c.Surge)
}
