package admit

import (
	"fmt"
	"math"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var burstParam = catalog.Param{
	Name: "burst", Unit: "timeouts", Default: 0.1, Min: 0, Max: 100, Doc: "burst, as the time in which the rate fills the bucket",
}

const gcra = "as a virtual schedule: GCRA, ITU-T I.371 (03/2004), annex A"

var tokenBucketEntry = catalog.Entry[New]{
	Name:   "token-bucket",
	Doc:    "admits establishes at a fixed rate, and a burst; checks and launches pass freely",
	Source: gcra,
	Params: []catalog.Param{
		{Name: "rate", Unit: "1", Default: 0.8, Min: 0.001, Max: 100, Doc: "rate of establishes, as a share of the capacity that the steady load leaves"},
		burstParam,
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		return newTokenBucket(v["rate"]*cfg.Capacity*(1-cfg.Rho), v["burst"]*float64(cfg.Timeout), [queue.Classes]float64{queue.Establish: 1}), nil
	},
}

var throttleEntry = catalog.Entry[New]{
	Name:   "throttle",
	Doc:    "admits work of every class at a fixed rate, each by what it costs: the operator's lever on the day",
	Source: gcra,
	Params: []catalog.Param{
		{Name: "rate", Unit: "1", Default: 0.8, Min: 0.001, Max: 100, Doc: "rate of work, as a share of the whole capacity"},
		burstParam,
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		return newTokenBucket(v["rate"]*cfg.Capacity, v["burst"]*float64(cfg.Timeout), orOne(cfg.Cost)), nil
	},
}

// TokenBucketOptions are the options of [NewTokenBucket].
type TokenBucketOptions struct {
	PerSecond float64 // rate at which the bucket fills, in tokens per second; above 0
	Burst     float64 // tokens that the bucket holds; less than the dearest attempt costs: as many as that costs
	// Cost is what an attempt of each class takes, in tokens. A class with 0 passes freely. All
	// 0 is 1 each.
	Cost [queue.Classes]float64
}

// Validate returns an error if an option is out of range.
func (o *TokenBucketOptions) Validate() error {
	switch {
	case !(o.PerSecond > 0) || math.IsInf(o.PerSecond, 0):
		return catalog.OutOfRange("TokenBucketOptions.PerSecond", o.PerSecond, "a number of tokens per second above 0")
	case !(o.Burst >= 0) || math.IsInf(o.Burst, 0):
		return catalog.OutOfRange("TokenBucketOptions.Burst", o.Burst, "0 tokens or more")
	}
	for class, c := range o.Cost {
		if !(c >= 0) || math.IsInf(c, 0) {
			return catalog.OutOfRange(fmt.Sprintf("TokenBucketOptions.Cost[%v]", queue.Class(class)), c, "0 tokens or more")
		}
	}
	return nil
}

// NewTokenBucket returns a controller that admits attempts at a fixed rate, and a burst above
// it: the catalog's "token-bucket" and "throttle". A refused attempt is told when to come back,
// one establish after the other (see queue.Item.RetryAfter).
func NewTokenBucket(o TokenBucketOptions) (Controller, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return newTokenBucket(o.PerSecond, o.Burst/o.PerSecond*1e9, orOne(o.Cost)), nil
}

// orOne is a cost of 1 each where none is given.
func orOne(cost [queue.Classes]float64) [queue.Classes]float64 {
	if cost == [queue.Classes]float64{} {
		return [queue.Classes]float64{1, 1, 1}
	}
	return cost
}

// fine is the resolution of the schedule in parts of a nanosecond, so that a rate of
// 10^8 a second is still met to 0.04 %.
const fine = 256

// skew is how far the callers' clocks may differ: a day.
const skew = int64(24*time.Hour) * fine

// tokenBucket is a bucket of tokens, kept as the one time at which it will be full:
//
//	full at:  |now ......... full|   the bucket lacks (full - now)/interval tokens
//
// Taking a token moves that time one interval ahead. A token may be taken while the time stays
// within a burst from now. A batch costs one compare-and-swap. The time only moves forward, so
// clocks that differ between callers make no tokens.
//
// The schedule's clock wraps after 2.3 years. A time further ahead than a burst plus the largest
// difference of clocks is therefore in the past.
type tokenBucket struct {
	interval [queue.Classes]int64 // that an attempt of the class takes; 0: it passes freely
	burst    int64                // the bucket's depth in time, at least one attempt
	full     atomic.Int64
	line     appointments
}

// newTokenBucket makes a bucket that fills at a rate in tokens per second. It holds what comes in
// within a burst, in ns, and at least the dearest attempt. Costs are in tokens.
func newTokenBucket(perSecond, burst float64, cost [queue.Classes]float64) *tokenBucket {
	b := &tokenBucket{burst: int64(nanos(burst * fine))}
	for class, c := range cost {
		if c > 0 {
			b.interval[class] = max(1, int64(min(c*fine*1e9/perSecond, 1<<60)))
		}
		b.burst = max(b.burst, b.interval[class])
	}
	return b
}

// Admit implements Controller.
func (b *tokenBucket) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	return b.admit(now, items, 1)
}

// admit is Admit with every cost multiplied by dearer.
func (b *tokenBucket) admit(now time.Duration, items []queue.Item, dearer float64) int {
	at := int64(now) * fine
	for {
		old := b.full.Load()
		lacks := old - at
		if lacks < 0 || lacks > b.burst+skew {
			lacks = 0
		}
		room := b.burst - lacks
		used, refused := int64(0), 0
		for i := range items {
			if c := b.cost(&items[i], dearer); used+c <= room || c == 0 {
				used += c
			} else {
				refused++
			}
		}
		if used > 0 && !b.full.CompareAndSwap(old, at+lacks+used) {
			continue
		}
		if refused == 0 {
			return len(items)
		}
		used = 0
		n := partition(items, func(it *queue.Item) bool {
			c := b.cost(it, dearer)
			if c != 0 && used+c > room {
				return false
			}
			used += c
			return true
		})
		b.line.give(now, items[n:], float64(b.interval[queue.Establish])/fine)
		return n
	}
}

func (b *tokenBucket) cost(it *queue.Item, dearer float64) int64 {
	if dearer == 1 {
		return b.interval[it.Class]
	}
	// Never more than the bucket holds, or it would admit nothing at all.
	if c := float64(b.interval[it.Class]) * dearer; c < float64(b.burst) {
		return int64(c)
	}
	return b.burst
}

// Done implements Controller: tokens come back with time only.
func (*tokenBucket) Done(time.Duration, *queue.Item, time.Duration, queue.Outcome) {}
