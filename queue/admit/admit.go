// Package admit has the admission controllers, which decide at the manager's door,
// and the retry policies, by which a droplet decides when to ask again.
//
// Like the disciplines they are passive: now, the time since the run's start, is an
// argument, and no method reads a clock, sleeps or starts a goroutine. To add one,
// write one file with its catalog entry and name the entry in builtin.go (or, from
// another module, call Controllers.Register); queue/admit/admittest holds it to this
// page.
package admit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Controller decides which attempts may join the queue. It is safe for concurrent
// use.
type Controller interface {
	// Admit is asked once for each batch at the door. It moves the admitted attempts to
	// the front, in their order, and returns their number; items[admitted:] are refused,
	// with Why set. queued returns the queue's length. It is a function because a length
	// costs a look at every part of the queue: only a controller that needs it pays.
	Admit(now time.Duration, items []queue.Item, queued func() int) (admitted int)
	// Done tells the end of each admitted attempt, once, with the mark that Admit set on
	// it: sojourn is the time that it waited in the queue, out how it ended (Shed: the
	// discipline gave it up). Done must not keep it.
	Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome)
}

// Queued is the length of a queue that has n attempts waiting, as Admit takes it.
func Queued(n int) func() int { return func() int { return n } }

// Config is what a controller's constructor may know of the run.
type Config struct {
	Timeout  time.Duration // τ, the droplets' timeout
	Capacity float64       // establishes a second that the workers serve if they do nothing else
	Rho      float64       // ρ, the share of capacity that the steady load takes
	Workers  int           // goroutines that serve
	Return   time.Duration // when the dependency comes back; 0: it is not away
	// Cost is what an attempt of each class costs, over an establish; all 0 is 1 each.
	Cost [queue.Classes]float64
}

// validate says what is wrong with the run that a controller is made for.
func (c Config) validate() error {
	switch {
	case c.Timeout <= 0:
		return fmt.Errorf("admit: timeout %v: want more than 0", c.Timeout)
	case !(c.Capacity > 0) || math.IsInf(c.Capacity, 0):
		return fmt.Errorf("admit: capacity of %v establishes/s: want a number above 0", c.Capacity)
	case !(c.Rho >= 0 && c.Rho < 1):
		return fmt.Errorf("admit: ρ %v: want 0 to below 1", c.Rho)
	case c.Workers < 1:
		return fmt.Errorf("admit: %d workers: want at least 1", c.Workers)
	}
	return nil
}

// New makes a Controller from resolved parameters.
type New func(cfg Config, v catalog.Values) (Controller, error)

// Controllers lists the admission controllers by name.
var Controllers = catalog.New("admission controller", controllers...)

// Make builds the controller that ref names, for example "token-bucket:rate=0.5".
func Make(ref string, cfg Config) (Controller, error) {
	e, v, err := Controllers.Resolve(ref)
	if err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return e.New(cfg, v)
}

// partition moves the items for which admit says true to the front, in their order,
// and marks the others refused. It is what every controller's Admit ends in.
func partition(items []queue.Item, admit func(it *queue.Item) bool) (admitted int) {
	for i := range items {
		it := &items[i]
		if !admit(it) {
			it.Why = queue.Refused
			it.SetRetryAfter(0)
			continue
		}
		if i != admitted {
			*it, items[admitted] = items[admitted], *it
		}
		admitted++
	}
	return admitted
}

// MostTries is where a droplet stops to count its attempts in a row that came to nothing.
const MostTries = 254

// Failure is what a droplet knows when an attempt of its came to nothing.
type Failure struct {
	Tries   int           // attempts in a row that came to nothing, this one included; 1 to MostTries
	Prev    time.Duration // the wait chosen before this attempt; 0 before the first
	Timeout time.Duration // τ, the droplets' timeout
	After   time.Duration // the wait that the manager asked for when it refused; 0: it said nothing
	Now     time.Duration
	Droplet uint32
}

// longest is 73 years. No wait is longer, so that it can be added to the time of a run.
const longest = 1 << 61

// nanos is x as a duration of 0 to longest. Go leaves open what the conversion of a float
// gives that an integer cannot hold: on amd64 it is the smallest one.
func nanos(x float64) time.Duration { return time.Duration(min(max(x, 0), longest)) }

// whole is a parameter that counts: x rounded, at least 1, or instead where x is 0. Beyond
// 2^53 a count is no limit.
func whole(x, instead float64) float64 {
	if x == 0 {
		return instead
	}
	return min(max(math.Round(x), 1), 1<<53)
}

// Retry decides how long a droplet waits between the end of an attempt that came to
// nothing (its time-out, or a refusal) and the next one. After a refusal a wait of 0
// means until the time-out, or a droplet would ask for ever in one instant. A wait is at
// least 0 and at most 73 years, 2^61 ns. One policy is for all droplets, and all calls come
// from one goroutine.
type Retry interface {
	Wait(f Failure, rng *rand.Rand) time.Duration
}

// Longest is a Retry that says how long its longest wait is. One that does not may wait
// for ever.
type Longest interface{ Longest() time.Duration }

// NewRetry makes a retry policy for droplets with the given timeout.
type NewRetry func(timeout time.Duration, v catalog.Values) (Retry, error)

// Retries lists the retry policies by name.
var Retries = catalog.New("retry policy", retries...)

// MakeRetry builds the retry policy that ref names, for example "backoff:cap=4".
func MakeRetry(ref string, timeout time.Duration) (Retry, error) {
	e, v, err := Retries.Resolve(ref)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		return nil, fmt.Errorf("admit: timeout %v: want more than 0", timeout)
	}
	return e.New(timeout, v)
}
