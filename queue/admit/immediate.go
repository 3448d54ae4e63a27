package admit

import (
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var immediateEntry = catalog.Entry[NewRetry]{
	Name:   "immediate",
	Doc:    "asks again as soon as the attempt has timed out: what a client without a policy does",
	Source: "no back-off",
	New:    func(time.Duration, catalog.Values) (Retry, error) { return immediate{}, nil },
}

type immediate struct{}

func (immediate) Wait(Failure, *rand.Rand) time.Duration { return 0 }

// Longest implements admit.Longest.
func (immediate) Longest() time.Duration { return 0 }

// IsImmediate reports whether r is the policy "immediate", which never waits.
func IsImmediate(r Retry) bool {
	_, ok := r.(immediate)
	return ok
}
