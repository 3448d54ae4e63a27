package bench

import (
	"context"
	"runtime"
	"sync"

	"go.uber.org/atomic"
)

// parallel does n things, begun in order, one a processor at a time. The first error, or
// ctx's, ends it and is returned once all that were begun have returned.
func parallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
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
