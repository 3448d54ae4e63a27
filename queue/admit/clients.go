package admit

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Learner is a Retry that keeps state for each droplet and learns from good answers. All calls,
// those of Wait included, come from one goroutine.
type Learner interface {
	// Good is called when an attempt of the droplet ended queue.Good at now.
	Good(now time.Duration, droplet uint32)
}

// Watcher is a Retry that counts the requests that are out. A request that is asked for is out until
// Wait, Good or Silenced is called with its droplet. A droplet has at most one request out: Asked may
// be called again without an end in between, and then replaces it. All calls, those of Wait included,
// come from one goroutine.
type Watcher interface {
	// Asked is called when an attempt of the droplet that is no hedge goes out at now.
	Asked(now time.Duration, droplet uint32)
	// Silenced is called when an attempt ended at now after which the droplet keeps silent of itself,
	// so that the policy is not asked for a wait.
	Silenced(now time.Duration, droplet uint32)
}

// Hedger is a Retry whose budget covers hedges, too: further attempts of a request that are sent while others
// are out (gRPC A6, "Throttling also applies to hedged RPCs"). All calls, those of Wait included, come from
// one goroutine. Wait is called once for a request that failed, for the last of its attempts.
type Hedger interface {
	// Hedge reports whether the droplet may send a hedge at now. If not, its request gets no more of them.
	// tries is the number of failures in a row before the attempt that is hedged, 0 to MostTries.
	Hedge(now time.Duration, droplet uint32, tries int) bool
	// HedgeFailed is called when an attempt was refused or failed at now while another of its request was
	// out, and for each but one of those that time out together.
	HedgeFailed(now time.Duration, droplet uint32)
}

// perDroplet has a value for each droplet. It grows as droplets appear.
type perDroplet[T any] struct {
	all   []T
	fresh T
}

func (p *perDroplet[T]) of(droplet uint32) *T {
	for int(droplet) >= len(p.all) {
		p.all = append(p.all, p.fresh)
	}
	return &p.all[droplet]
}

// The backoff of clients to which the manager says nothing.
var (
	retryBaseParam = catalog.Param{Name: "base", Unit: "timeouts", Default: 1, Min: 1e-6, Max: 1e6, Doc: "of the backoff"}
	retryCapParam  = catalog.Param{Name: "cap", Unit: "timeouts", Default: 8, Min: 1e-6, Max: 1e6, Doc: "of the backoff"}
)

var retryAfterEntry = catalog.Entry[NewRetry]{
	Name:   "retry-after",
	Doc:    "asks again when the manager said so; where it said nothing, by backoff with full jitter",
	Source: "RFC 9110, 10.2.3: Retry-After",
	Params: []catalog.Param{
		{Name: "jitter", Unit: "1", Default: 0.1, Min: 0, Max: 1, Doc: "largest part of what was said that is added at random"},
		{Name: "share", Unit: "1", Default: 1, Min: 0, Max: 1, Doc: "of the droplets that listen; to the others the manager says nothing"},
		{Name: "listen", Unit: "1", Default: 1, Min: 0, Max: 1, Doc: "of the refusals to which a droplet listens"},
		retryBaseParam, retryCapParam,
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		b, err := newBackoff(timeout, v)
		if err != nil {
			return nil, err
		}
		return retryAfter{b, v["jitter"], v["share"], v["listen"]}, nil
	},
}

// NewRetryAfter returns a retry policy that waits as long as the manager asked for, plus a random
// time of up to jitter times that: the catalog's "retry-after". Jitter is 0 to 1. Where the
// manager asked for nothing, the policy is NewBackoff(base, limit).
func NewRetryAfter(jitter float64, base, limit time.Duration) (Retry, error) {
	if !(jitter >= 0 && jitter <= 1) {
		return nil, catalog.OutOfRange("jitter", jitter, "0 to 1")
	}
	b, err := makeBackoff(base, limit)
	if err != nil {
		return nil, err
	}
	return retryAfter{b, jitter, 1, 1}, nil
}

type retryAfter struct {
	backoff
	jitter, share, listen float64
}

// listens says whether the droplet listens to this refusal. Which droplets do is the same in every
// run.
func (r retryAfter) listens(f Failure, rng *rand.Rand) bool {
	return (r.share >= 1 || unit(mix(uint64(f.Droplet))) < r.share) && (r.listen >= 1 || rng.Float64() < r.listen)
}

func (r retryAfter) Wait(f Failure, rng *rand.Rand) time.Duration {
	if f.After <= 0 || !r.listens(f, rng) {
		return r.backoff.Wait(f, rng)
	}
	after := min(f.After, longest)
	return min(longest, after+nanos(r.jitter*rng.Float64()*float64(after)))
}

// Longest implements admit.Longest. A manager may ask for any wait.
func (retryAfter) Longest() time.Duration { return longest }

var budgetEntry = catalog.Entry[NewRetry]{
	Name:   "retry-budget",
	Doc:    "retries at once while the droplet's budget lasts, and pauses when it does not; good answers fill it slowly",
	Source: "gRPC A6: client retries, retry throttling (tokens, ratio; retry only above half)",
	Params: []catalog.Param{
		{Name: "tokens", Unit: "1", Default: 10, Min: 1, Max: mostTokens, Doc: "largest budget; a failure costs one"},
		{Name: "ratio", Unit: "1", Default: 0.1, Min: 0, Max: mostTokens, Doc: "what a good answer adds"},
		{Name: "pause", Unit: "timeouts", Default: 10, Min: 1e-6, Max: 1e6, Doc: "mean pause without a budget, drawn from half of it to one and a half"},
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		return newBudget(v["tokens"], v["ratio"], v["pause"]*float64(timeout)), nil
	},
}

// RetryBudgetOptions are the options of [NewRetryBudget]. The zero value has gRPC's usual
// numbers.
type RetryBudgetOptions struct {
	Tokens float64       // largest budget of a droplet; a failure costs one token; 0 is 10
	Ratio  float64       // tokens that a good answer adds; 0 is 0.1
	Pause  time.Duration // mean pause without a budget, drawn from half of it to one and a half; 0 is 10 s
}

// Validate returns an error if an option is out of range.
func (o *RetryBudgetOptions) Validate() error {
	switch {
	case o.Tokens != 0 && !(o.Tokens >= 1 && o.Tokens <= mostTokens):
		return catalog.OutOfRange("RetryBudgetOptions.Tokens", o.Tokens, "0, or 1 to 1e6 tokens")
	case !(o.Ratio >= 0 && o.Ratio <= mostTokens):
		return catalog.OutOfRange("RetryBudgetOptions.Ratio", o.Ratio, "0 to 1e6 tokens")
	case o.Pause < 0 || o.Pause > longest/2:
		return catalog.OutOfRange("RetryBudgetOptions.Pause", o.Pause, "0s to 36 years")
	}
	return nil
}

// NewRetryBudget returns a retry policy that keeps a budget for each droplet: the catalog's
// "retry-budget". A droplet retries at once while more than half of its tokens are left, and
// pauses otherwise. The policy is a [Learner]: good answers fill the budget.
func NewRetryBudget(o RetryBudgetOptions) (Retry, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return newBudget(cmp.Or(o.Tokens, 10), cmp.Or(o.Ratio, 0.1), float64(cmp.Or(o.Pause, 10*time.Second))), nil
}

// newBudget takes the pause in ns.
func newBudget(tokens, ratio, pause float64) *budget {
	return &budget{newThrottle(int64(whole(tokens*token, 0)), int64(whole(ratio*token, 0)), 0), pause}
}

// mostTokens bounds a budget, and what a good answer adds to it.
const mostTokens = 1e6

type budget struct {
	throttle
	pause float64
}

func (b *budget) Wait(f Failure, rng *rand.Rand) time.Duration {
	b.HedgeFailed(f.Now, f.Droplet)
	if b.Hedge(f.Now, f.Droplet, f.Tries) {
		return 0
	}
	return nanos(b.pause * (0.5 + float64(rng.Float64())))
}

// throttle is gRPC's throttling of retries, by droplet or client. It counts in billionths of a token: 10^6
// tokens and a ratio of 0.01 are both exact.
type throttle struct {
	most, ratio int64 // most 0: there is no throttling
	tokens      perClient[int64]
}

const token = 1e9

// newThrottle takes billionths. clients is that of perClient.
func newThrottle(most, ratio int64, clients uint32) throttle {
	t := throttle{most: most, ratio: ratio}
	t.tokens.n, t.tokens.fresh = clients, most
	return t
}

// Hedge implements Hedger: hedges and retries need more than half of the tokens.
func (t *throttle) Hedge(_ time.Duration, droplet uint32, _ int) bool {
	return t.most == 0 || *t.tokens.of(droplet) > t.most/2
}

// HedgeFailed implements Hedger: every attempt that fails costs a token.
func (t *throttle) HedgeFailed(_ time.Duration, droplet uint32) {
	n := t.tokens.of(droplet)
	*n = max(0, *n-token)
}

// Good implements Learner.
func (t *throttle) Good(_ time.Duration, droplet uint32) {
	n := t.tokens.of(droplet)
	*n = min(t.most, *n+t.ratio)
}

// Longest implements admit.Longest.
func (b *budget) Longest() time.Duration { return nanos(1.5 * b.pause) }

var adaptiveEntry = catalog.Entry[NewRetry]{
	Name:   "client-throttle",
	Doc:    "each droplet rejects its own attempts with a probability that grows as fewer of them are accepted",
	Source: "B. Beyer et al., Site Reliability Engineering, 2016, chapter 21: client-side throttling",
	Params: []catalog.Param{
		{Name: "k", Unit: "1", Default: 2, Min: 1, Max: 100, Doc: "K: attempts let out for each that was accepted"},
		{Name: "window", Unit: catalog.Seconds, Default: 120, Min: 0.001, Max: 1e5, Doc: "how long attempts are remembered"},
		{Name: "step", Unit: "timeouts", Default: 1, Min: 1e-3, Max: 1e4, Doc: "after a rejection of its own a droplet thinks of asking again"},
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		return &adaptive{k: v["k"], window: v["window"] * float64(time.Second), step: v["step"] * float64(timeout)}, nil
	},
}

// adaptive counts requests and accepts of each droplet. A count fades exponentially over the
// window, where the source's leaves a sliding window. The counts are float64: in a float32 a
// step of 10 ms in a window of a day would not fade, and a count above 2^24 would not grow.
type adaptive struct {
	k, window, step float64
	seen            perDroplet[accepts]
}

type accepts struct {
	at                 time.Duration
	requests, accepted float64
}

// mostRejections bounds the attempts in a row that a droplet rejects by itself.
const mostRejections = 1000

func (a *adaptive) faded(now time.Duration, droplet uint32) *accepts {
	s := a.seen.of(droplet)
	f := det.Exp(-float64(max(0, now-s.at)) / a.window)
	s.requests, s.accepted, s.at = float64(s.requests*f), float64(s.accepted*f), max(s.at, now)
	return s
}

func (a *adaptive) Wait(f Failure, rng *rand.Rand) time.Duration {
	s := a.faded(f.Now, f.Droplet)
	s.requests++
	n := 0
	for ; n < mostRejections; n++ {
		p := max(0, (s.requests-float64(a.k*s.accepted))/(s.requests+1))
		if rng.Float64() >= p {
			break
		}
		s.requests++
	}
	return nanos(float64(n) * a.step)
}

// Good implements Learner.
func (a *adaptive) Good(now time.Duration, droplet uint32) {
	s := a.faded(now, droplet)
	s.requests++
	s.accepted++
}

var clientBreakerEntry = catalog.Entry[NewRetry]{
	Name:   "client-breaker",
	Doc:    "retries at once until some attempts have failed in a row; then one try each time that the breaker has been open for a while",
	Source: "states and defaults of sony/gobreaker v2, its minute open as timeouts; on the droplet",
	Params: []catalog.Param{
		{Name: "failures", Unit: "attempts", Default: 5, Min: 1, Max: MostTries - 1, Doc: "failures in a row, above which it opens"},
		{Name: "open", Unit: "timeouts", Default: 5, Min: 1e-3, Max: 1e6, Doc: "how long it stays open"},
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		return clientBreaker{v.Int("failures"), nanos(v["open"] * float64(timeout))}, nil
	},
}

type clientBreaker struct {
	failures int
	open     time.Duration
}

func (b clientBreaker) Wait(f Failure, _ *rand.Rand) time.Duration {
	if f.Tries > b.failures {
		return b.open
	}
	return 0
}

// Longest implements admit.Longest.
func (b clientBreaker) Longest() time.Duration { return b.open }
