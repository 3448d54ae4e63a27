// Package admit provides admission controllers and retry policies. A [Controller] decides on the
// server which attempts may join the queue. A [Retry] decides on the client, here called a
// droplet, how long it waits before its next attempt.
//
// A program makes one with a constructor such as [NewTokenBucket] or [NewBackoff], or from text
// with [Make] or [MakeRetry]. [Controllers] and [Retries] list the names.
//
// An [Estimator] behind a controller tells refused droplets when to ask again.
//
// All are passive. Every method takes now, the time since the run's start. No method reads a
// clock, sleeps or starts a goroutine.
//
// To add one, write one file with its catalog entry and name the entry in builtin.go. Another
// module calls Controllers.Register or Retries.Register instead. Package queue/admit/admittest
// checks a controller or policy against this documentation.
package admit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Controller decides which attempts may join the queue. It is safe for concurrent use.
type Controller interface {
	// Admit decides on a batch of attempts. It moves the admitted attempts to the front, in
	// their order, and returns their number. items[admitted:] are refused, with Why set to
	// queue.Refused.
	//
	// queued returns the queue's length. It is a function because a length costs a look at
	// every part of the queue. Only a controller that needs the length pays for it.
	Admit(now time.Duration, items []queue.Item, queued func() int) (admitted int)
	// Done is called once for each admitted attempt, when it ends. The item has the mark that
	// Admit set. sojourn is the time that the attempt waited in the queue. out is how it ended;
	// queue.Shed means that the discipline gave it up. Done must not keep the pointer.
	//
	// Of clients that hedge, an attempt may end after another one of its request was answered. It is
	// queue.Good if it was served: the server answered it in time. It is queue.Shed with the reason
	// queue.Cancelled, before its deadline, if it left the queue. Neither is a sign of overload.
	Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome)
}

// Queued returns Admit's argument for a queue in which n attempts wait.
func Queued(n int) func() int { return func() int { return n } }

// Config has the facts of a run that the catalog's constructors need.
type Config struct {
	Timeout  time.Duration // τ, the droplets' timeout
	Capacity float64       // establishes per second that the workers serve if they do nothing else
	Rho      float64       // ρ, the share of capacity that the steady load takes, 0 to below 1
	Workers  int           // number of goroutines that serve
	Return   time.Duration // when the dependency comes back; 0: it is not away
	// Cost is what an attempt of each class costs, in units of an establish. All 0 is 1 each.
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

// New makes a Controller from resolved parameters. It is what a catalog entry provides.
type New func(cfg Config, v catalog.Values) (Controller, error)

// Controllers lists the admission controllers by name. Another module adds its own with
// Register.
var Controllers = catalog.New("admission controller", controllers...)

// Make returns the controller that ref names, for example "token-bucket:rate=0.5", or
// "limit+drain:cap=10s" with an estimator behind it.
func Make(ref string, cfg Config) (Controller, error) {
	r, err := resolve(ref)
	if err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c, err := r.New(cfg, r.values)
	if err != nil || r.advise == nil {
		return c, err
	}
	e, err := r.advise.New(cfg, r.advice)
	if err != nil {
		return nil, err
	}
	return &advised{c, e}, nil
}

// partition moves the items for which admit returns true to the front, in their order, and marks
// the others as refused. Every controller's Admit ends in it.
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

// cancelled reports whether an attempt left the queue at now since its client had cancelled it before the
// deadline: another attempt of its request was answered.
func cancelled(now time.Duration, it *queue.Item, out queue.Outcome) bool {
	return out == queue.Shed && it.Why == queue.Cancelled && now < it.Deadline()
}

// MostTries is the largest number of failures in a row that a droplet counts.
const MostTries = 254

// Failure describes a failed attempt: one that timed out, was refused, or failed.
type Failure struct {
	Tries   int           // failures in a row, this one included; 1 to MostTries
	Prev    time.Duration // the wait before this attempt; 0 before the first
	Timeout time.Duration // τ, the droplets' timeout
	After   time.Duration // the wait that the manager asked for when it refused; 0: none; below 0: it said never. Of a hedged request, the longest
	Now     time.Duration // when the attempt failed
	Droplet uint32        // index of the client
	Why     Cause         // how the attempt failed
	Last    bool          // the caller makes no further attempt, whatever Wait returns
}

// Cause says how an attempt failed.
type Cause uint8

// The causes.
const (
	TimedOut Cause = iota // no answer came within the timeout
	Refused               // the manager refused the attempt at its door
	Errored               // the attempt was answered with an error, or its connection failed
)

// longest is 73 years. No wait is longer, so that a wait can be added to the time of a run.
const longest = 1 << 61

// nanos is x as a duration of 0 to longest. Go does not define the conversion of a float that an
// integer cannot hold: on amd64 the result is the smallest integer.
func nanos(x float64) time.Duration { return time.Duration(min(max(x, 0), longest)) }

// whole is a parameter that counts: x rounded, at least 1, or instead where x is 0. Beyond
// 2^53 a count is no limit.
func whole(x, instead float64) float64 {
	if x == 0 {
		return instead
	}
	return min(max(math.Round(x), 1), 1<<53)
}

// Retry decides how long a droplet waits after a failed attempt before the next one. One policy
// serves all droplets, and all calls come from one goroutine. A policy may keep state for each
// droplet; it is then usually a [Learner], too.
type Retry interface {
	// Wait returns the wait from the failure to the next attempt: 0 to 73 years (2^61 ns). After
	// a refusal a wait of 0 means until the attempt's timeout; the droplet would ask without end
	// in one instant otherwise. Randomness comes from rng only.
	Wait(f Failure, rng *rand.Rand) time.Duration
}

// Longest is a Retry that knows its longest wait. A Retry without this method may wait for any
// time.
type Longest interface {
	// Longest returns an upper bound of all waits.
	Longest() time.Duration
}

// NewRetry makes a retry policy from resolved parameters, for droplets with the given timeout.
// It is what a catalog entry provides.
type NewRetry func(timeout time.Duration, v catalog.Values) (Retry, error)

// Retries lists the retry policies by name. Another module adds its own with Register.
var Retries = catalog.New("retry policy", retries...)

// MakeRetry returns the retry policy that ref names, for example "backoff:cap=4", for droplets
// with the given timeout.
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
