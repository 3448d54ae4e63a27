package admit

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var finagleEntry = catalog.Entry[NewRetry]{
	Name:   "finagle-budget",
	Doc:    "retries at once while the client's retries are a fifth of its requests and 100 in ten seconds; then the client gives up",
	Source: "Finagle: RetryBudget.scala, RequeueFilter.scala (at once, at most a fifth of the balance for one request); its window: twitter/util, WindowedAdder.scala",
	Params: windowParams,
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		deposit, withdraw := int64(1000), 0.0
		if ratio := v["ratio"]; ratio > 0 {
			withdraw = math.Floor(1000 / ratio)
		} else {
			deposit, withdraw = 0, 1
		}
		return &finagle{requests: newRequests(timeout, v), budget: newRetryWindow(deposit, withdraw, 10, v)}, nil
	},
}

// finagle is Finagle's retry budget. A request deposits 1,000; a retry withdraws 1,000/ratio. Where
// the ratio is 0, requests deposit nothing and a retry withdraws 1. One request has at most a fifth
// of the retries that the balance held at its first failure, rounded up. All failures count as
// ones that may be retried. The policy learns of a request when its first attempt ends, and so
// deposits then.
type finagle struct {
	requests
	budget retryWindow
	most   perDroplet[int64] // retries of the droplet's request
}

func (p *finagle) Wait(f Failure, rng *rand.Rand) time.Duration {
	made, most := p.failed(f), p.most.of(f.Droplet)
	if made == 1 {
		p.budget.put(f.Now, f.Droplet)
		left := max(0, p.budget.balance(f.Now, f.Droplet)) / p.budget.withdraw
		*most = (left + 4) / 5
	}
	if f.Last || int64(made) > *most || !p.budget.take(f.Now, f.Droplet) {
		return p.giveUp(f, rng)
	}
	return 0
}

// Good implements Learner.
func (p *finagle) Good(now time.Duration, droplet uint32) {
	if p.end(droplet) == 0 {
		p.budget.put(now, droplet)
	}
}

// Drop implements Quitter. A request deposits however it ends.
func (p *finagle) Drop(now time.Duration, droplet uint32) { p.Good(now, droplet) }

// Longest implements admit.Longest.
func (p *finagle) Longest() time.Duration { return p.longestPause() }
