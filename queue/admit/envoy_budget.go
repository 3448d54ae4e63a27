package admit

import (
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var envoyBudgetEntry = catalog.Entry[NewRetry]{
	Name:   "envoy-budget",
	Doc:    "retries once with full jitter while the proxy's retries are below a fifth of its requests, or below 3; then the client gives up",
	Source: "Envoy: RetryBudget of the circuit breakers (resource_manager_impl.h), retry_state_impl.cc, backoff_strategy.cc",
	Params: []catalog.Param{
		{Name: "percent", Unit: "percent", Default: 20, Min: 0, Max: 100, Doc: "budget_percent: retries for each hundred requests that are out"},
		{Name: "min", Unit: "1", Default: 3, Min: 0, Max: 1e6, Doc: "min_retry_concurrency: retries that may be out at any time"},
		{Name: "retries", Unit: "attempts", Default: 1, Min: 0, Max: MostTries - 1, Doc: "num_retries: of a request"},
		{Name: "base", Unit: catalog.Seconds, Default: 0.025, Min: 1e-6, Max: 1e6, Doc: "the wait before the n-th retry is below this times 2^(n-1), and below ten times this"},
		{Name: "clients", Unit: "1", Default: 1, Min: 0, Max: 1e6, Doc: "proxies with a budget each, which the droplets share evenly; 0 is one for each droplet, whose budget never binds"},
		pauseParam,
	},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		p := &envoyBudget{requests: newRequests(timeout, v), percent: v["percent"], least: v.Int("min"), retries: v.Int("retries"), base: max(1, v.Duration("base"))}
		p.proxies.n = uint32(v.Int("clients"))
		return p, nil
	},
}

// envoyBudget is the retry budget of an Envoy through which droplets ask. A retry is let out while
// the proxy has fewer of them than
//
//	max(min, ⌊percent/100 · requests that are out⌋)
//
// A retry counts from the failure on, so that it counts while it waits. A request counts while an
// attempt of it is out. Nothing is ever pending: no request waits for a connection. The n-th retry,
// from 1, waits U[0, min(10·base, base·2^(n-1))). All failures count as ones that may be retried.
// The manager's waits are not listened to: Envoy's rate_limited_retry_back_off is off by default. A hedge is a
// retry whose request goes on (hedge_on_per_try_timeout): it counts among num_retries and in the budget, until
// no attempt of the request is out. Envoy's backoff before a hedge is left out.
type envoyBudget struct {
	requests
	percent float64
	least   int
	retries int
	base    time.Duration
	proxies perClient[envoyCounts]
	asks    perDroplet[envoyAsks]
}

type envoyCounts struct{ requests, retries int }

// envoyAsks is what a droplet has with its proxy.
type envoyAsks struct {
	out     bool
	retries int // in the budget
	hedges  int // of the request, over all its tries
}

// Asked implements Watcher.
func (p *envoyBudget) Asked(_ time.Duration, droplet uint32) {
	a := p.asks.of(droplet)
	if a.out { // a check in place of the one before
		p.ends(droplet)
	}
	a.out = true
	p.proxies.of(droplet).requests++
}

// Silenced implements Watcher.
func (p *envoyBudget) Silenced(_ time.Duration, droplet uint32) { p.ends(droplet) }

// over ends the droplet's attempt.
func (p *envoyBudget) over(droplet uint32) {
	a, c := p.asks.of(droplet), p.proxies.of(droplet)
	if a.out {
		c.requests--
	}
	c.retries -= a.retries
	*a = envoyAsks{hedges: a.hedges}
}

// free reports whether the budget of the droplet's proxy has a retry left.
func (p *envoyBudget) free(droplet uint32) bool {
	c := p.proxies.of(droplet)
	return c.retries < max(p.least, int(float64(p.percent*float64(c.requests))/100))
}

// ends ends the droplet's request.
func (p *envoyBudget) ends(droplet uint32) {
	p.end(droplet)
	p.over(droplet)
	p.asks.of(droplet).hedges = 0
}

// lapsed forgets the droplet's last request if it ended unheard: failures are counted, and the attempt at hand
// comes after none. The lease lapsed between two tries, and what is asked now is another thing.
func (p *envoyBudget) lapsed(droplet uint32, tries int) {
	if tries == 0 && p.end(droplet) > 0 {
		p.asks.of(droplet).hedges = 0
	}
}

// Hedge implements Hedger.
func (p *envoyBudget) Hedge(_ time.Duration, droplet uint32, tries int) bool {
	p.lapsed(droplet, tries)
	a := p.asks.of(droplet)
	if int(*p.made.of(droplet))+a.hedges >= p.retries || !p.free(droplet) {
		return false
	}
	a.hedges++
	a.retries++
	p.proxies.of(droplet).retries++
	return true
}

// HedgeFailed implements Hedger. The budget is of what is out, whatever comes of it.
func (*envoyBudget) HedgeFailed(time.Duration, uint32) {}

func (p *envoyBudget) Wait(f Failure, rng *rand.Rand) time.Duration {
	p.lapsed(f.Droplet, f.Tries-1)
	n, a := p.failed(f), p.asks.of(f.Droplet)
	p.over(f.Droplet)
	if f.Last || n+a.hedges > p.retries || !p.free(f.Droplet) {
		a.hedges = 0
		return p.giveUp(f, rng)
	}
	p.proxies.of(f.Droplet).retries++
	a.retries = 1
	bound := 10 * p.base
	if n <= 4 {
		bound = min(bound, p.base<<(n-1))
	}
	return time.Duration(rng.Int64N(int64(bound)))
}

// Good implements Learner.
func (p *envoyBudget) Good(_ time.Duration, droplet uint32) { p.ends(droplet) }

// Drop implements Quitter. A retry that never goes out gives its place back.
func (p *envoyBudget) Drop(_ time.Duration, droplet uint32) { p.ends(droplet) }

// Longest implements admit.Longest.
func (p *envoyBudget) Longest() time.Duration { return max(p.longestPause(), 10*p.base) }
