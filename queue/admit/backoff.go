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
	New: newBackoff,
}

// backoff draws the wait after n failures in a row from U[0, min(cap, base·2^(n-1))].
// Full jitter halves the mean wait against no jitter, and spreads the crowd over the
// whole of it: droplets that failed at the same moment do not meet again.
type backoff struct{ base, limit time.Duration }

func newBackoff(timeout time.Duration, v catalog.Values) (Retry, error) {
	b := backoff{
		base:  max(1, time.Duration(v["base"]*float64(timeout))),
		limit: time.Duration(v["cap"] * float64(timeout)),
	}
	if b.limit < b.base {
		return nil, fmt.Errorf("retry policy \"backoff\": %w: cap=%g is below base=%g timeouts", catalog.ErrParam, v["cap"], v["base"])
	}
	return b, nil
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
