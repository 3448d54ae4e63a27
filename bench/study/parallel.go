package study

import (
	"context"
	"fmt"
	"sync"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"go.uber.org/atomic"
)

// atOnce is how many of n runs are made at a time: one where they must be alone, else one per
// processor, as far as memory goes. note says so, if it is more than one.
func atOnce(runner bench.Runner, s scenario.Scenario, n int) (at int, note string) {
	if runner.Alone() || n < 2 {
		return 1, ""
	}
	at, bytes := bench.AtOnce(s)
	if at = min(at, n); at < 2 {
		return 1, ""
	}
	return at, fmt.Sprintf("%d runs at a time, one per processor as far as memory goes: about %.0f MB each", at, max(1, float64(bytes)/1e6))
}

// parallel does n runs, begun in order, so many at a time. The first error, or ctx's, ends it and
// is returned once all that were begun have returned.
func parallel(ctx context.Context, at, n int, do func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, at) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Inc() - 1)
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					stop(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// runsAtOnce is atOnce for a study whose progress tells nothing but its count.
func runsAtOnce(runner bench.Runner, s scenario.Scenario) int {
	at, _ := atOnce(runner, s, scenario.MaxSeeds)
	return at
}
