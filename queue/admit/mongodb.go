package admit

import (
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var mongodbEntry = catalog.Entry[NewRetry]{
	Name:   "mongodb",
	Doc:    "retries twice with full jitter after a refusal, and once at once after another failure; then the client gives up",
	Source: "MongoDB specifications, client-backpressure (maxAdaptiveRetries, baseBackoffMS), and retryable reads and writes",
	Params: []catalog.Param{
		{Name: "retries", Unit: "attempts", Default: 2, Min: 0, Max: MostTries - 1, Doc: "maxAdaptiveRetries: of a request that was refused once"},
		{Name: "base", Unit: catalog.Seconds, Default: 0.1, Min: 1e-6, Max: 1e6, Doc: "the bound of the n-th retry's wait is this times 2^n; a manager's own is taken instead"},
		{Name: "cap", Unit: catalog.Seconds, Default: 10, Min: 1e-6, Max: 1e6, Doc: "largest bound"},
		{Name: "deadline", Unit: "timeouts", Default: 0, Min: 0, Max: 1e6, Doc: "timeoutMS: gives up at once where the wait would pass it; 0 is none"},
		pauseParam,
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		return &mongodb{requests: newRequests(timeout, v), retries: v.Int("retries"), base: v["base"] * float64(time.Second), limit: v["cap"] * float64(time.Second),
			deadline: nanos(v["deadline"] * float64(timeout))}, nil
	},
}

// mongodb is the back-pressure of MongoDB's drivers. A refusal is an error with the labels
// SystemOverloadedError and RetryableError, and the wait that the manager says with it is its
// baseBackoffMS. Any other failure is an ordinary retryable error. The n-th retry, from 1:
//
//	after a refusal   U(0,1)·min(cap, base·2^n)
//	otherwise         at once
//
// A request that was refused once has at most the retries given, those after other failures
// included. One that never was has one.
type mongodb struct {
	requests
	retries     int
	base, limit float64 // ns
	deadline    time.Duration
	asked       perDroplet[mongodbRequest]
}

type mongodbRequest struct {
	from    time.Duration // of the first attempt
	refused bool
}

func (m *mongodb) Wait(f Failure, rng *rand.Rand) time.Duration {
	n, r := m.failed(f), m.asked.of(f.Droplet)
	if n == 1 {
		*r = mongodbRequest{from: f.Now}
		if f.Why == TimedOut {
			r.from -= f.Timeout
		}
	}
	r.refused = r.refused || f.Why == Refused
	retries := 1
	if r.refused {
		retries = m.retries
	}
	if f.Last || n > retries {
		return m.giveUp(f, rng)
	}
	wait := time.Duration(0)
	if f.Why == Refused {
		base := m.base
		if f.After > 0 {
			base = float64(f.After)
		}
		wait = nanos(min(m.limit, base*float64(uint64(1)<<min(n, 62))) * rng.Float64())
	}
	if m.deadline > 0 && f.Now-r.from+wait > m.deadline {
		return m.giveUp(f, rng)
	}
	return wait
}

// Good implements Learner.
func (m *mongodb) Good(_ time.Duration, droplet uint32) { m.end(droplet) }

// Longest implements admit.Longest.
func (m *mongodb) Longest() time.Duration { return max(m.longestPause(), nanos(m.limit)) }
