package admit

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var grpcPushbackEntry = catalog.Entry[NewRetry]{
	Name:   "grpc-pushback",
	Doc:    "up to four attempts, when the manager says or by backoff, while the client has tokens; a manager that says never ends the request",
	Source: "gRFC A6: retryPolicy and retryThrottling with its example's numbers, grpc-retry-pushback-ms",
	Params: []catalog.Param{
		{Name: "attempts", Unit: "attempts", Default: 4, Min: 1, Max: 5, Doc: "maxAttempts: of a request"},
		{Name: "initial", Unit: catalog.Seconds, Default: 0.1, Min: 1e-6, Max: 1e6, Doc: "initialBackoff: before the first retry"},
		{Name: "max", Unit: catalog.Seconds, Default: 1, Min: 1e-6, Max: 1e6, Doc: "maxBackoff: longest, before the jitter"},
		{Name: "multiplier", Unit: "1", Default: 2, Min: 1e-3, Max: 1e3, Doc: "backoffMultiplier: of one backoff over the last"},
		{Name: "tokens", Unit: "1", Default: 10, Min: 0, Max: 1000, Doc: "maxTokens: a failure takes one, and only above half of them are retries made; 0 is no throttling"},
		{Name: "ratio", Unit: "1", Default: 0.1, Min: 0, Max: 1000, Doc: "tokenRatio: what a good answer adds"},
		clientsParam, pauseParam,
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		if v["max"] < v["initial"] {
			return nil, fmt.Errorf("retry policy: %w: max=%gs is below initial=%gs", catalog.ErrParam, v["max"], v["initial"])
		}
		g := &grpcPushback{requests: newRequests(timeout, v), attempts: v.Int("attempts"), initial: v["initial"] * float64(time.Second), limit: v["max"] * float64(time.Second),
			multiplier: v["multiplier"], throttle: newThrottle(int64(v["tokens"]*token), int64(v["ratio"]*token), uint32(v.Int("clients")))}
		return g, nil
	},
}

// grpcPushback is gRPC's retry policy with its throttle. The wait before a retry is, first match:
//
//	the manager said never     none: the client gives up
//	the manager said a wait    exactly that, and the backoff starts over
//	otherwise                  U(0.8, 1.2)·min(max, initial·multiplier^(n-1)), n the retries by
//	                           backoff since it started, from 1
//
// All failures count as a retryable status. In gRPC a push-back of 0 ms is a retry at once; here a
// wait of 0 means that the manager said nothing.
type grpcPushback struct {
	requests
	throttle
	attempts                   int
	initial, limit, multiplier float64           // ns; ns; 1
	backoffs                   perDroplet[uint8] // of the droplet's request since its last push-back
}

func (g *grpcPushback) Wait(f Failure, rng *rand.Rand) time.Duration {
	made, n := g.failed(f), g.backoffs.of(f.Droplet)
	if made == 1 {
		*n = 0
	}
	g.HedgeFailed(f.Now, f.Droplet)
	switch {
	case f.Last || f.After < 0 || made >= g.attempts || !g.Hedge(f.Now, f.Droplet, f.Tries):
		return g.giveUp(f, rng)
	case f.After > 0:
		*n = 0
		return min(f.After, longest)
	}
	wait := g.initial
	for range *n {
		wait *= g.multiplier
	}
	*n++
	return nanos(min(wait, g.limit) * (0.8 + float64(0.4*rng.Float64())))
}

// Good implements Learner.
func (g *grpcPushback) Good(now time.Duration, droplet uint32) {
	g.end(droplet)
	g.throttle.Good(now, droplet)
}

// Longest implements admit.Longest. A manager may ask for any wait.
func (*grpcPushback) Longest() time.Duration { return longest }
