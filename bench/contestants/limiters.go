package main

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/adaptivethrottler"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/go-kratos/aegis/ratelimit"
	"github.com/go-kratos/aegis/ratelimit/bbr"
	"github.com/platinummonkey/go-concurrency-limits/core"
	"github.com/platinummonkey/go-concurrency-limits/limit"
	"github.com/platinummonkey/go-concurrency-limits/limiter"
	"github.com/platinummonkey/go-concurrency-limits/strategy"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

const (
	failsafe = "github.com/failsafe-go/failsafe-go v0.9"
	limits   = "github.com/platinummonkey/go-concurrency-limits v0.8"
	aegis    = "github.com/go-kratos/aegis v0.2"
	breakers = "github.com/sony/gobreaker/v2 v2.4"
	xrate    = "golang.org/x/time/rate"
)

// errAttempt is what libraries are told of an attempt that was not good.
var errAttempt = errors.New("late, shed or failed")

// spareRate is the rate of establishes that our token bucket has by default: 0.8 of what
// the checks leave.
func spareRate(cfg admit.Config) float64 { return 0.8 * cfg.Capacity * (1 - cfg.Rho) }

// inTime is how many establishes the workers serve in half a timeout: a bulkhead's size.
func inTime(cfg admit.Config) int { return max(1, int(0.5*cfg.Timeout.Seconds()*cfg.Capacity)) }

func init() {
	enter("x-time-rate", "a token bucket of establishes at 0.8 of the spare capacity, a tenth of a timeout of burst", xrate, false, true, func(cfg admit.Config) (permit, error) {
		r := spareRate(cfg)
		l := rate.NewLimiter(rate.Limit(r), max(1, int(0.1*cfg.Timeout.Seconds()*r)))
		start := time.Unix(0, 0)
		return func(now time.Duration) (done, bool) { return nothing, l.AllowN(start.Add(now), 1) }, nil
	})
	enter("failsafe-ratelimiter", "a bursty rate limiter of establishes at 0.8 of the spare capacity, by tenths of a timeout", failsafe, true, true, func(cfg admit.Config) (permit, error) {
		period := cfg.Timeout / 10
		l := ratelimiter.NewBursty[any](uint(max(1, spareRate(cfg)*period.Seconds())), period)
		return func(time.Duration) (done, bool) { return nothing, l.TryAcquirePermit() }, nil
	})
	enter("failsafe-bulkhead", "a bulkhead of what the workers serve in half a timeout", failsafe, true, false, func(cfg admit.Config) (permit, error) {
		b := bulkhead.New[any](uint(inTime(cfg)))
		return func(time.Duration) (done, bool) {
			return func(queue.Outcome) { b.ReleasePermit() }, b.TryAcquirePermit()
		}, nil
	})
	adaptive := func(name, doc string, build func(cfg admit.Config) adaptivelimiter.AdaptiveLimiter[any]) {
		enter(name, doc, failsafe, true, false, func(cfg admit.Config) (permit, error) {
			l := build(cfg)
			return func(time.Duration) (done, bool) {
				p, ok := l.TryAcquirePermit()
				return func(out queue.Outcome) {
					if out == queue.Good {
						p.Record()
					} else {
						p.Drop()
					}
				}, ok
			}, nil
		})
	}
	adaptive("failsafe-adaptive", "the adaptive limiter with its defaults", func(admit.Config) adaptivelimiter.AdaptiveLimiter[any] {
		return adaptivelimiter.NewWithDefaults[any]()
	})
	adaptive("failsafe-adaptive-tuned", "the adaptive limiter with limits that fit the manager, and windows of a tenth of a timeout", func(cfg admit.Config) adaptivelimiter.AdaptiveLimiter[any] {
		most := uint(max(200, inTime(cfg)))
		return adaptivelimiter.NewBuilder[any]().WithLimits(uint(cfg.Workers), most, min(most, max(20, most/10))).
			WithRecentWindow(cfg.Timeout/10, cfg.Timeout, 50).Build()
	})
	enter("failsafe-throttler", "the adaptive throttler with its defaults", failsafe, true, false, func(admit.Config) (permit, error) {
		l := adaptivethrottler.NewWithDefaults[any]()
		return func(time.Duration) (done, bool) {
			return success(l.RecordSuccess, l.RecordFailure), l.TryAcquirePermit()
		}, nil
	})
	enter("failsafe-breaker", "the circuit breaker with its defaults, around establishes", failsafe, true, true, func(admit.Config) (permit, error) {
		b := circuitbreaker.NewWithDefaults[any]()
		return func(time.Duration) (done, bool) {
			return success(b.RecordSuccess, b.RecordFailure), b.TryAcquirePermit()
		}, nil
	})
	enter("failsafe-breaker-tuned", "the circuit breaker that opens above half failed of 20, for a timeout, around establishes", failsafe, true, true, func(cfg admit.Config) (permit, error) {
		b := circuitbreaker.NewBuilder[any]().WithFailureThresholdRatio(10, 20).WithDelay(cfg.Timeout).WithSuccessThreshold(5).Build()
		return func(time.Duration) (done, bool) {
			return success(b.RecordSuccess, b.RecordFailure), b.TryAcquirePermit()
		}, nil
	})
	breaker := func(name, doc string, settings func(cfg admit.Config) gobreaker.Settings) {
		enter(name, doc, breakers, true, true, func(cfg admit.Config) (permit, error) {
			b := gobreaker.NewTwoStepCircuitBreaker[any](settings(cfg))
			return func(time.Duration) (done, bool) {
				end, err := b.Allow()
				return func(out queue.Outcome) {
					if out == queue.Good {
						end(nil)
					} else {
						end(errAttempt)
					}
				}, err == nil
			}, nil
		})
	}
	breaker("gobreaker", "the two-step breaker with its defaults, around establishes", func(admit.Config) gobreaker.Settings { return gobreaker.Settings{} })
	breaker("gobreaker-tuned", "the two-step breaker, open for a timeout, 100 probes, around establishes", func(cfg admit.Config) gobreaker.Settings {
		return gobreaker.Settings{Timeout: cfg.Timeout, MaxRequests: 100}
	})
	enter("aegis-bbr", "BBR with its defaults (window 10 s, CPU above 80 %)", aegis, true, false, func(admit.Config) (permit, error) { return bbrPermit(bbr.NewLimiter()), nil })
	enter("aegis-bbr-tuned", "BBR without its trigger by CPU load, window ten timeouts", aegis, true, false, func(cfg admit.Config) (permit, error) {
		return bbrPermit(bbr.NewLimiter(bbr.WithCPUThreshold(1), bbr.WithWindow(10*cfg.Timeout))), nil
	})
	concurrency := func(name, doc string, build func(cfg admit.Config) (core.Limit, error)) {
		enter(name, doc, limits, true, false, func(cfg admit.Config) (permit, error) {
			l, err := build(cfg)
			if err != nil {
				return nil, err
			}
			d, err := limiter.NewDefaultLimiter(l, 1e9, 1e9, 1e5, 100, strategy.NewSimpleStrategy(l.EstimatedLimit()), limit.NoopLimitLogger{}, core.EmptyMetricRegistryInstance)
			if err != nil {
				return nil, err
			}
			return func(time.Duration) (done, bool) {
				listener, ok := d.Acquire(context.Background())
				return func(out queue.Outcome) {
					switch out {
					case queue.Good:
						listener.OnSuccess()
					case queue.Failed:
						listener.OnIgnore()
					default:
						listener.OnDropped()
					}
				}, ok
			}, nil
		})
	}
	concurrency("limits-vegas", "Vegas with its defaults", func(admit.Config) (core.Limit, error) {
		return limit.NewDefaultVegasLimit("vegas", limit.NoopLimitLogger{}, core.EmptyMetricRegistryInstance), nil
	})
	concurrency("limits-gradient2", "Gradient2 with its defaults", func(admit.Config) (core.Limit, error) {
		return limit.NewDefaultGradient2Limit("gradient2", limit.NoopLimitLogger{}, core.EmptyMetricRegistryInstance), nil
	})
	concurrency("limits-gradient2-tuned", "Gradient2 up to what the workers serve in half a timeout", func(cfg admit.Config) (core.Limit, error) {
		return limit.NewGradient2Limit("gradient2", 20, max(200, inTime(cfg)), 20, func(int) int { return 4 }, 0.2, 600, limit.NoopLimitLogger{}, core.EmptyMetricRegistryInstance)
	})
}

func success(good, bad func()) done {
	return func(out queue.Outcome) {
		if out == queue.Good {
			good()
		} else {
			bad()
		}
	}
}

func bbrPermit(l *bbr.BBR) permit {
	return func(time.Duration) (done, bool) {
		end, err := l.Allow()
		return func(out queue.Outcome) {
			if out == queue.Good {
				end(ratelimit.DoneInfo{})
			} else {
				end(ratelimit.DoneInfo{Err: errAttempt})
			}
		}, err == nil
	}
}
