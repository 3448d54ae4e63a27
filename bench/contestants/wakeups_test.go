package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/atomic"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/platinummonkey/go-concurrency-limits/core"
	"github.com/platinummonkey/go-concurrency-limits/limit"
	"github.com/platinummonkey/go-concurrency-limits/limiter"
	"github.com/platinummonkey/go-concurrency-limits/strategy"
)

// Do limiters that let callers wait lose wake-ups? Callers take turns at one permit, held
// for a moment; whoever waits seconds while the permit is free was forgotten. What is found
// is the library's, not its algorithm's, and is logged: go test -v -run WakeUps. (It fails
// for no finding: it would be the host's business.)
func TestWakeUps(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds a library")
	}
	const callers, turns, patience = 64, 200, 2 * time.Second
	plain := func() *limiter.DefaultLimiter {
		d, err := limiter.NewDefaultLimiter(limit.NewFixedLimit("one", 1, core.EmptyMetricRegistryInstance), 1e9, 1e9, 1e5, 100,
			strategy.NewSimpleStrategy(1), limit.NoopLimitLogger{}, core.EmptyMetricRegistryInstance)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	waits := func(l core.Limiter) func(context.Context) (func(), bool) {
		return func(ctx context.Context) (func(), bool) {
			listener, ok := l.Acquire(ctx)
			return func() { listener.OnSuccess() }, ok
		}
	}
	b := bulkhead.New[any](1)
	for name, acquire := range map[string]func(context.Context) (func(), bool){
		"failsafe bulkhead": func(ctx context.Context) (func(), bool) {
			return b.ReleasePermit, b.AcquirePermit(ctx) == nil
		},
		"limits blocking":      waits(limiter.NewBlockingLimiter(plain(), patience, limit.NoopLimitLogger{})),
		"limits fifo blocking": waits(limiter.NewFifoBlockingLimiter(plain(), callers, patience)),
		"limits lifo blocking": waits(limiter.NewLifoBlockingLimiter(plain(), callers, patience, core.EmptyMetricRegistryInstance)),
	} {
		var lost atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for range callers {
			all.Go(func() {
				for range turns {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					start := time.Now()
					end, ok := acquire(ctx)
					if ok {
						end()
					} else if time.Since(start) >= patience/2 {
						lost.Inc()
						cancel()
						return
					}
					cancel()
				}
			})
		}
		all.Wait()
		t.Logf("%-22s %d of %d callers were left waiting with a permit free; %v for %d turns", name, lost.Load(), callers, time.Since(began).Round(time.Millisecond), callers*turns)
	}
}
