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
	"github.com/platinummonkey/go-concurrency-limits/strategy/matchers"
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
		return func(now time.Duration, _ *queue.Item) (done, bool) { return nothing, l.AllowN(start.Add(now), 1) }, nil
	})
	enter("failsafe-ratelimiter", "a bursty rate limiter of establishes at 0.8 of the spare capacity, by tenths of a timeout", failsafe, true, true, func(cfg admit.Config) (permit, error) {
		period := cfg.Timeout / 10
		l := ratelimiter.NewBursty[any](uint(max(1, spareRate(cfg)*period.Seconds())), period)
		return func(time.Duration, *queue.Item) (done, bool) { return nothing, l.TryAcquirePermit() }, nil
	})
	enter("failsafe-bulkhead", "a bulkhead of what the workers serve in half a timeout", failsafe, true, false, func(cfg admit.Config) (permit, error) {
		b := bulkhead.New[any](uint(inTime(cfg)))
		return func(time.Duration, *queue.Item) (done, bool) {
			return func(queue.Outcome) { b.ReleasePermit() }, b.TryAcquirePermit()
		}, nil
	})
	adaptive := func(name, doc string, build func(cfg admit.Config) adaptivelimiter.AdaptiveLimiter[any]) {
		enter(name, doc, failsafe, true, false, func(cfg admit.Config) (permit, error) {
			l := build(cfg)
			return func(time.Duration, *queue.Item) (done, bool) {
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
		return tuned(cfg).Build()
	})
	adaptive("failsafe-adaptive-stable", "the tuned adaptive limiter, whose cap goes by the most that were inside in the last five timeouts", func(cfg admit.Config) adaptivelimiter.AdaptiveLimiter[any] {
		return tuned(cfg).WithMaxLimitStabilizationWindow(5 * cfg.Timeout).Build()
	})
	enter("failsafe-throttler", "the adaptive throttler with its defaults", failsafe, true, false, func(admit.Config) (permit, error) {
		l := adaptivethrottler.NewWithDefaults[any]()
		return func(time.Duration, *queue.Item) (done, bool) {
			return success(l.RecordSuccess, l.RecordFailure), l.TryAcquirePermit()
		}, nil
	})
	enter("failsafe-breaker", "the circuit breaker with its defaults, around establishes", failsafe, true, true, func(admit.Config) (permit, error) {
		b := circuitbreaker.NewWithDefaults[any]()
		return func(time.Duration, *queue.Item) (done, bool) {
			return success(b.RecordSuccess, b.RecordFailure), b.TryAcquirePermit()
		}, nil
	})
	enter("failsafe-breaker-tuned", "the circuit breaker that opens above half failed of 20, for a timeout, around establishes", failsafe, true, true, func(cfg admit.Config) (permit, error) {
		b := circuitbreaker.NewBuilder[any]().WithFailureThresholdRatio(10, 20).WithDelay(cfg.Timeout).WithSuccessThreshold(5).Build()
		return func(time.Duration, *queue.Item) (done, bool) {
			return success(b.RecordSuccess, b.RecordFailure), b.TryAcquirePermit()
		}, nil
	})
	breaker := func(name, doc string, settings func(cfg admit.Config) gobreaker.Settings) {
		enter(name, doc, breakers, true, true, func(cfg admit.Config) (permit, error) {
			b := gobreaker.NewTwoStepCircuitBreaker[any](settings(cfg))
			return func(time.Duration, *queue.Item) (done, bool) {
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
			return acquire(d), nil
		})
	}
	enter("limits-partitions", "a fixed limit of what the workers serve in half a timeout, with a share for each class", limits, true, false, func(cfg admit.Config) (permit, error) {
		d, err := partitioned(cfg)
		if err != nil {
			return nil, err
		}
		return acquire(d), nil
	})
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

// acquire asks a limiter in the context of the attempt's class.
func acquire(d *limiter.DefaultLimiter) permit {
	return func(_ time.Duration, it *queue.Item) (done, bool) {
		listener, ok := d.Acquire(classes[it.Class])
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
	}
}

// tuned is the adaptive limiter with limits that fit the manager, and windows of a tenth of a timeout.
func tuned(cfg admit.Config) adaptivelimiter.Builder[any] {
	most := uint(max(200, inTime(cfg)))
	return adaptivelimiter.NewBuilder[any]().WithLimits(uint(cfg.Workers), most, min(most, max(20, most/10))).
		WithRecentWindow(cfg.Timeout/10, cfg.Timeout, 50)
}

// partitioned is a fixed limit of what the workers serve in half a timeout, with our partitions' shares.
func partitioned(cfg admit.Config) (*limiter.DefaultLimiter, error) {
	size, none := inTime(cfg), core.EmptyMetricRegistryInstance
	parts := map[string]*strategy.LookupPartition{}
	for class, share := range map[queue.Class]float64{queue.Check: 0.4, queue.Launch: 0.1, queue.Establish: 0.5} {
		parts[class.String()] = strategy.NewLookupPartitionWithMetricRegistry(class.String(), share, 1, none)
	}
	s, err := strategy.NewLookupPartitionStrategyWithMetricRegistry(parts, nil, int32(size), none)
	if err != nil {
		return nil, err
	}
	return limiter.NewDefaultLimiter(limit.NewFixedLimit("partitions", size, none), 1e9, 1e9, 1e5, 100, s, limit.NoopLimitLogger{}, none)
}

// classes are the contexts by which the partitions are looked up.
var classes = func() (all [queue.Classes]context.Context) {
	for class := range all {
		all[class] = context.WithValue(context.Background(), matchers.LookupPartitionContextKey, queue.Class(class).String())
	}
	return all
}()

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
	return func(time.Duration, *queue.Item) (done, bool) {
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
