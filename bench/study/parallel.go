package study

import (
	"context"
	"sync"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"go.uber.org/atomic"
)

// atOnce is how many runs of a scenario are made at a time: one where they must be alone, else one
// per processor, as far as memory goes. bytes is the least memory of each.
func atOnce(runner bench.Runner, s scenario.Scenario) (at int, bytes int64) {
	if runner.Alone() {
		return 1, 0
	}
	return bench.AtOnce(s)
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
