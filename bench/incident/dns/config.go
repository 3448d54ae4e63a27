package dns

import (
	"fmt"
	"time"
)

// Cause is why an enactor is late.
type Cause string

// The causes.
const (
	// Lock: it loses the endpoint's lock again and again, and backs off (DAT453).
	Lock Cause = "lock"
	// Slow: each of its steps takes 10 to 100 times as long as usual. Its lock expires before the step
	// is done. It takes the lock again then, and begins the step anew if another enactor has it.
	Slow Cause = "slow"
)

// Config is the configuration of a System. Times are run time.
type Config struct {
	Rules
	Seed     uint64
	Period   time.Duration // between two plans, on average
	StepTime time.Duration // of a step of an enactor, on average
	Records  int           // of an endpoint's tree, on average: its healthy load balancers
	Cause    Cause
	// RaceAt is when the endpoint 0 loses its records: one enactor is delayed so that it does, at
	// every seed. 0: races are left to chance.
	RaceAt time.Duration
	// Delay, if not 0, delays one walk by so much, from a random time in the first period on.
	Delay time.Duration
}

// Default returns the values of the replay. That plans come about once a minute, and that clean-up
// keeps ten, are estimates; neither is public.
func Default() Config {
	return Config{
		Rules:  Rules{Endpoints: 3, Keep: 10, Form: DeleteActive},
		Period: time.Minute, StepTime: 1500 * time.Millisecond, Records: 240, Cause: Lock, RaceAt: 18 * time.Minute,
	}
}

// Validate returns an error for the first value that is out of range.
func (c *Config) Validate() error {
	switch {
	case c.Period < time.Second || c.StepTime <= 0 || c.StepTime > c.Period/10:
		return fmt.Errorf("dns: a plan every %v and a step in %v: want a second or more, and a step of a tenth of it at most", c.Period, c.StepTime)
	case c.Records < 1:
		return fmt.Errorf("dns: %d records: want at least 1", c.Records)
	case c.Cause != Lock && c.Cause != Slow:
		return fmt.Errorf("dns: delay %q: want %s or %s", c.Cause, Lock, Slow)
	case c.RaceAt < 0 || c.Delay < 0:
		return fmt.Errorf("dns: a race at %v, a delay of %v: want 0 (none) or more", c.RaceAt, c.Delay)
	case c.RaceAt != 0 && c.Keep > mostScripted && c.Keep <= Window-4:
		return fmt.Errorf("dns: the clean-up keeps %d plans: for the scripted race want %d at most; lower --keep, or leave the race to chance with --race drawn", c.Keep, mostScripted)
	}
	return c.Rules.Validate()
}

// mostScripted is the largest Keep of a scripted race. The late enactor's plan, and all that are made
// while it is late, have to be within the State's window.
const mostScripted = 40

// overtake is how long an enactor has to be late for its plan to be old enough.
func (c *Config) overtake() time.Duration { return time.Duration(c.Keep+4) * c.Period }

// UsualWalk is how long a walk over the endpoints takes.
func (c *Config) UsualWalk() time.Duration { return time.Duration(2*c.Endpoints) * c.StepTime }

// rest is how long a walk and its clean-up take at most: four times as long as usual, since locks
// may be lost on the way.
func (c *Config) rest() time.Duration { return 8 * c.UsualWalk() }
