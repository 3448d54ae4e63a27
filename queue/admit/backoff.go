package admit

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var backoffEntry = catalog.Entry[NewRetry]{
	Name:   "backoff",
	Doc:    "waits a random time below a bound that doubles with each failure (full jitter)",
	Source: `M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015: "full jitter"`,
	Params: []catalog.Param{
		{Name: "base", Unit: "timeouts", Default: 1, Min: 1e-6, Max: 1e6, Doc: "bound of the wait after the first failure"},
		{Name: "cap", Unit: "timeouts", Default: 8, Min: 1e-6, Max: 1e6, Doc: "largest bound"},
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		b, err := newBackoff(timeout, v)
		return b, err
	},
}

// backoff draws the wait after n failures in a row from U[0, min(cap, base·2^(n-1))].
// Full jitter halves the mean wait against no jitter, and spreads the crowd over the
// whole of it: droplets that failed at the same moment do not meet again.
type backoff struct{ base, limit time.Duration }

// NewBackoff returns a retry policy that waits a random time between 0 and a bound: capped
// exponential backoff with full jitter, the catalog's "backoff". The bound is base after the
// first failure, doubles with each failure in a row, and is at most limit.
func NewBackoff(base, limit time.Duration) (Retry, error) {
	b, err := makeBackoff(base, limit)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func makeBackoff(base, limit time.Duration) (backoff, error) {
	switch {
	case base <= 0 || base > longest:
		return backoff{}, catalog.OutOfRange("base", base, "above 0s, up to 73 years")
	case limit < base || limit > longest:
		return backoff{}, catalog.OutOfRange("limit", limit, fmt.Sprintf("at least the base, %v, up to 73 years", base))
	}
	return backoff{base, limit}, nil
}

func newBackoff(timeout time.Duration, v catalog.Values) (backoff, error) {
	if v["cap"] < v["base"] {
		return backoff{}, fmt.Errorf("retry policy: %w: cap=%g is below base=%g timeouts", catalog.ErrParam, v["cap"], v["base"])
	}
	return makeBackoff(max(1, nanos(v["base"]*float64(timeout))), max(1, nanos(v["cap"]*float64(timeout))))
}

func (b backoff) Wait(f Failure, rng *rand.Rand) time.Duration {
	return time.Duration(rng.Int64N(int64(b.bound(f.Tries)) + 1))
}

// bound is min(cap, base·2^(tries-1)) without computing a power that overflows.
func (b backoff) bound(tries int) time.Duration {
	doublings := max(tries, 1) - 1
	if doublings >= 63 || b.base > b.limit>>doublings {
		return b.limit
	}
	return b.base << doublings
}

// Longest implements admit.Longest.
func (b backoff) Longest() time.Duration { return b.limit }

var decorrelatedEntry = catalog.Entry[NewRetry]{
	Name:   "decorrelated",
	Doc:    "waits a random time between a base and three times the last wait (decorrelated jitter)",
	Source: `M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015: "decorrelated jitter"`,
	Params: []catalog.Param{
		{Name: "base", Unit: "timeouts", Default: 0.1, Min: 1e-6, Max: 1e6, Doc: "shortest wait"},
		{Name: "cap", Unit: "timeouts", Default: 8, Min: 1e-6, Max: 1e6, Doc: "longest wait"},
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		b, err := newBackoff(timeout, v)
		if err != nil {
			return nil, err
		}
		return decorrelated{b}, nil
	},
}

type decorrelated struct{ backoff }

// Wait is min(cap, U[base, 3·previous]), where the previous of the first is base. It draws
// first and then caps: after a wait of the cap two thirds of the draws lie above it. A
// previous wait is from base to the cap, so that three times it is no overflow.
func (d decorrelated) Wait(f Failure, rng *rand.Rand) time.Duration {
	most := 3 * min(max(f.Prev, d.base), d.limit)
	return min(d.limit, d.base+time.Duration(rng.Int64N(int64(most-d.base)+1)))
}
