package admit_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/admit/admittest"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// A constructor makes what the catalog makes under the same parameters. The run is
// admittest.Config: timeouts of 1 s, 1000 establishes/s of which 750 are free, 2 workers.
func TestConstructors(t *testing.T) {
	const ms = time.Millisecond
	must := func(c admit.Controller, err error) admit.Controller {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	establishes := [queue.Classes]float64{queue.Establish: 1}
	for ref, got := range map[string]admit.Controller{
		"none":                   admit.NewNone(),
		"token-bucket":           must(admit.NewTokenBucket(admit.TokenBucketOptions{PerSecond: 600, Burst: 60, Cost: establishes})),
		"throttle:burst=0":       must(admit.NewTokenBucket(admit.TokenBucketOptions{PerSecond: 800})),
		"limit:limit=9":          must(admit.NewLimit(9)),
		"concurrency:initial=20": must(admit.NewConcurrency(admit.ConcurrencyOptions{Min: 2})),
		"concurrency:target=0.2,backoff=0.5,min=3,max=50,initial=7": must(admit.NewConcurrency(admit.ConcurrencyOptions{
			Timeout: time.Second, Target: 200 * ms, Backoff: 0.5, Step: 2, Min: 3, Max: 50, Initial: 7})),
		"breaker":                            must(admit.NewBreaker(admit.BreakerOptions{Open: 5 * time.Second})),
		"breaker:open=60":                    must(admit.NewBreaker(admit.BreakerOptions{})),
		"breaker:failures=2,open=1,probes=3": must(admit.NewBreaker(admit.BreakerOptions{Failures: 2, Open: time.Second, Probes: 3})),
		"credits":                            must(admit.NewCredits(admit.CreditsOptions{PerSecond: 1000, Initial: 2})),
		"credits:target=0.2,window=0.05,a=0.5,b=0.3": must(admit.NewCredits(admit.CreditsOptions{
			PerSecond: 1000, Target: 200 * ms, Window: 50 * ms, A: 0.5, B: 0.3, Initial: 2})),
	} {
		if want := must(admit.Make(ref, admittest.Config)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", ref, got, want)
		}
	}
	mustRetry := func(r admit.Retry, err error) admit.Retry {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for ref, got := range map[string]admit.Retry{
		"backoff":      mustRetry(admit.NewBackoff(time.Second, 8*time.Second)),
		"retry-after":  mustRetry(admit.NewRetryAfter(0.1, time.Second, 8*time.Second)),
		"retry-budget": mustRetry(admit.NewRetryBudget(admit.RetryBudgetOptions{})),
		"retry-budget:tokens=4,ratio=0.5,pause=2": mustRetry(admit.NewRetryBudget(admit.RetryBudgetOptions{Tokens: 4, Ratio: 0.5, Pause: 2 * time.Second})),
	} {
		if want := mustRetry(admit.MakeRetry(ref, time.Second)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", ref, got, want)
		}
	}
}

// An option out of range is named with its value and its range.
func TestOptions(t *testing.T) {
	one := func(_ admit.Controller, err error) error { return err }
	retry := func(_ admit.Retry, err error) error { return err }
	concurrency := func(o admit.ConcurrencyOptions) error { return one(admit.NewConcurrency(o)) }
	credits := func(o admit.CreditsOptions) error { return one(admit.NewCredits(o)) }
	const perSecond = "a number of tokens per second above 0"
	for want, err := range map[string]error{
		"TokenBucketOptions.PerSecond is 0, want " + perSecond:                            one(admit.NewTokenBucket(admit.TokenBucketOptions{})),
		"TokenBucketOptions.PerSecond is NaN, want " + perSecond:                          one(admit.NewTokenBucket(admit.TokenBucketOptions{PerSecond: math.NaN()})),
		"TokenBucketOptions.PerSecond is +Inf, want " + perSecond:                         one(admit.NewTokenBucket(admit.TokenBucketOptions{PerSecond: math.Inf(1)})),
		"TokenBucketOptions.Burst is -1, want 0 tokens or more":                           one(admit.NewTokenBucket(admit.TokenBucketOptions{PerSecond: 1, Burst: -1})),
		"TokenBucketOptions.Cost[launch] is -1, want 0 tokens or more":                    one(admit.NewTokenBucket(admit.TokenBucketOptions{PerSecond: 1, Cost: [queue.Classes]float64{queue.Launch: -1}})),
		"limit is 0, want at least 1 attempt":                                             one(admit.NewLimit(0)),
		"ConcurrencyOptions.Timeout is -1ns, want 0s or more":                             concurrency(admit.ConcurrencyOptions{Timeout: -1}),
		"ConcurrencyOptions.Target is 2s, want 0s to the timeout, 1s":                     concurrency(admit.ConcurrencyOptions{Target: 2 * time.Second}),
		"ConcurrencyOptions.Backoff is 1, want 0 to below 1":                              concurrency(admit.ConcurrencyOptions{Backoff: 1}),
		"ConcurrencyOptions.Step is NaN, want 0 attempts or more":                         concurrency(admit.ConcurrencyOptions{Step: math.NaN()}),
		"ConcurrencyOptions.Min is -1, want 0 attempts or more":                           concurrency(admit.ConcurrencyOptions{Min: -1}),
		"ConcurrencyOptions.Max is 2, want 0, or at least the smallest limit, 3 attempts": concurrency(admit.ConcurrencyOptions{Min: 3, Max: 2}),
		"ConcurrencyOptions.Initial is -1, want 0 attempts or more":                       concurrency(admit.ConcurrencyOptions{Initial: -1}),
		"BreakerOptions.Failures is -1, want 0 attempts or more":                          one(admit.NewBreaker(admit.BreakerOptions{Failures: -1})),
		"BreakerOptions.Open is -1s, want 0s or more":                                     one(admit.NewBreaker(admit.BreakerOptions{Open: -time.Second})),
		"BreakerOptions.Probes is -1, want 0 attempts or more":                            one(admit.NewBreaker(admit.BreakerOptions{Probes: -1})),
		"CreditsOptions.PerSecond is 0, want a number of establishes per second above 0":  credits(admit.CreditsOptions{}),
		"CreditsOptions.Target is -1s, want 0s or more":                                   credits(admit.CreditsOptions{PerSecond: 1, Target: -time.Second}),
		"CreditsOptions.Window is -1s, want 0s or more":                                   credits(admit.CreditsOptions{PerSecond: 1, Window: -time.Second}),
		"CreditsOptions.A is -1, want 0 credits or more":                                  credits(admit.CreditsOptions{PerSecond: 1, A: -1}),
		"CreditsOptions.B is NaN, want 0 or more":                                         credits(admit.CreditsOptions{PerSecond: 1, B: math.NaN()}),
		"CreditsOptions.Initial is -1, want 0 credits or more":                            credits(admit.CreditsOptions{PerSecond: 1, Initial: -1}),
		"base is 0s, want above 0s, up to 73 years":                                       retry(admit.NewBackoff(0, time.Second)),
		"limit is 1s, want at least the base, 2s, up to 73 years":                         retry(admit.NewBackoff(2*time.Second, time.Second)),
		"jitter is 1.5, want 0 to 1":                                                      retry(admit.NewRetryAfter(1.5, 1, 1)),
		"limit is 1ns, want at least the base, 2ns, up to 73 years":                       retry(admit.NewRetryAfter(0, 2, 1)),
		"RetryBudgetOptions.Tokens is 0.5, want 0, or 1 to 1e6 tokens":                    retry(admit.NewRetryBudget(admit.RetryBudgetOptions{Tokens: 0.5})),
		"RetryBudgetOptions.Ratio is -1, want 0 to 1e6 tokens":                            retry(admit.NewRetryBudget(admit.RetryBudgetOptions{Ratio: -1})),
		"RetryBudgetOptions.Pause is -1s, want 0s to 36 years":                            retry(admit.NewRetryBudget(admit.RetryBudgetOptions{Pause: -time.Second})),
	} {
		if !errors.Is(err, catalog.ErrParam) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
