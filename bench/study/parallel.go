package study

import (
	"context"
	"runtime"
	"sync"

	"github.com/leasestorm/leasestorm/bench"
	"go.uber.org/atomic"
)

// parallel does n runs, begun in order: one at a time where they must be alone, else as many
// as there are processors. The first error, or
// ctx's, ends it and is returned once all that were begun have returned.
func parallel(ctx context.Context, runner bench.Runner, n int, do func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	at := runtime.GOMAXPROCS(0)
	if runner.Alone() {
		at = 1
	}
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
