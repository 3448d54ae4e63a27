package admit

import (
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var awsSDKEntry = catalog.Entry[NewRetry]{
	Name:   "aws-sdk",
	Doc:    "three attempts with full jitter while the client's retry tokens last; good answers bring tokens back (before=1: the law up to 1.47)",
	Source: `aws-sdk-go-v2 1.48.0 of 10 November 2026, standard retries "2.1" (PR 3400, retry2026_test.go); before=1: 1.47, jitter_backoff.go and standard.go`,
	Params: []catalog.Param{
		{Name: "attempts", Unit: "attempts", Default: 3, Min: 1, Max: MostTries, Doc: "of a request; DynamoDB's client has 4"},
		{Name: "base", Unit: catalog.Seconds, Default: 0.05, Min: 1e-6, Max: 1e6, Doc: "bound of the first wait; DynamoDB's client has 25ms, a refusal 1s; not with before"},
		{Name: "tokens", Unit: "1", Default: 500, Min: 0, Max: mostTokens, Doc: "of a full bucket; a retry takes 14, after a refusal 5"},
		{Name: "before", Unit: "1", Default: 0, Min: 0, Max: 1, Doc: "1: the law before November 2026"},
		clientsParam, pauseParam,
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		a := &awsSDK{requests: newRequests(timeout, v), attempts: v.Int("attempts"), base: v["base"] * float64(time.Second), tokens: int32(v.Int("tokens")), before: v.Int("before") == 1}
		a.bucket.n, a.bucket.fresh = uint32(v.Int("clients")), a.tokens
		return a, nil
	},
}

// awsSDK is the standard retryer of the AWS SDK for Go v2. A client has a bucket of tokens that
// time does not fill. Each retry takes tokens; a client without enough of them gives up. A good
// answer to a first attempt brings one token, a good answer to a retry what that retry cost. k is
// the number of the retry, from 0:
//
//	since 1.48   U(0,1)·min(20 s, x·2^k), x = base, or 1 s after a refusal; 14 tokens, or 5 after
//	             a refusal. Where the manager said a wait d, at least that of the law and at most
//	             5 s more.
//	before       U(0,1)·2^(k+1) s, from k = 4 on exactly 20 s; 5 tokens, or 10 after a time-out.
//	             The manager is not listened to.
//
// In a total outage a full bucket is worth 35 retries, and 14 good first attempts are worth one.
type awsSDK struct {
	requests
	attempts int
	base     float64 // ns
	tokens   int32
	before   bool
	bucket   perClient[int32]
	cost     perDroplet[uint8] // of the droplet's last retry
}

const (
	awsCap  = 20 * time.Second
	awsOver = 5 * time.Second // a manager's wait is at most this much longer than the law's
)

// law returns what the next retry costs, and the bound of its wait. made attempts have failed.
func (a *awsSDK) law(made int, why Cause) (cost uint8, bound float64, jitter bool) {
	k := made - 1
	if a.before {
		cost = 5
		if why == TimedOut {
			cost = 10
		}
		if k >= 4 {
			return cost, float64(awsCap), false
		}
		return cost, float64(int64(2*time.Second) << k), true
	}
	x, cost := a.base, uint8(14)
	if why == Refused {
		x, cost = float64(time.Second), 5
	}
	return cost, min(float64(awsCap), x*float64(uint64(1)<<min(k, 62))), true
}

func (a *awsSDK) Wait(f Failure, rng *rand.Rand) time.Duration {
	made := a.failed(f)
	cost, wait, jitter := a.law(made, f.Why)
	bucket := a.bucket.of(f.Droplet)
	if f.Last || made >= a.attempts || *bucket < int32(cost) {
		return a.giveUp(f, rng)
	}
	*bucket -= int32(cost)
	*a.cost.of(f.Droplet) = cost
	if jitter {
		wait *= rng.Float64()
	}
	d := nanos(wait)
	if f.After > 0 && !a.before {
		d = min(max(f.After, d), d+awsOver)
	}
	return d
}

// Good implements Learner.
func (a *awsSDK) Good(_ time.Duration, droplet uint32) {
	back := int32(1)
	if a.end(droplet) > 0 {
		back = int32(*a.cost.of(droplet))
	}
	bucket := a.bucket.of(droplet)
	*bucket = min(a.tokens, *bucket+back)
}

// Longest implements admit.Longest.
func (a *awsSDK) Longest() time.Duration { return max(a.longestPause(), awsCap+awsOver) }
