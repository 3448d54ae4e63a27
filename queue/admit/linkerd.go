package admit

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var linkerdEntry = catalog.Entry[NewRetry]{
	Name:   "linkerd-budget",
	Doc:    "retries at once while the client's retries are a fifth of its good answers and 100 in ten seconds; then the client gives up",
	Source: "Linkerd 2's service profiles, by tower's TpsBudget (tower/src/retry/budget/tps_budget.rs)",
	Params: windowParams,
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		deposit, withdraw := int64(0), 1.0
		switch ratio := v["ratio"]; {
		case ratio > 1:
			deposit, withdraw = 1000, math.Floor(1000/ratio)
		case ratio > 0:
			deposit, withdraw = 1, math.Floor(1/ratio)
		}
		return &linkerd{newRequests(timeout, v), newRetryWindow(deposit, withdraw, 11, v)}, nil
	},
}

// linkerd is the retry budget of Linkerd's proxy. A good answer deposits 1. A retry withdraws
// 1/ratio, cut to a whole number: a ratio of 0.3 acts as 1/3, and one of 0.51 as 1. Above 1 the
// amounts are 1,000 and 1,000/ratio. tower sums ten finished slots and the current one, so that a
// deposit counts for the ttl and up to a tenth more.
type linkerd struct {
	requests
	budget retryWindow
}

func (p *linkerd) Wait(f Failure, rng *rand.Rand) time.Duration {
	p.failed(f)
	if f.Last || !p.budget.take(f.Now, f.Droplet) {
		return p.giveUp(f, rng)
	}
	return 0
}

// Good implements Learner.
func (p *linkerd) Good(now time.Duration, droplet uint32) {
	p.end(droplet)
	p.budget.put(now, droplet)
}

// Longest implements admit.Longest.
func (p *linkerd) Longest() time.Duration { return p.longestPause() }
