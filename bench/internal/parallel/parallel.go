// Package parallel does several things at a time.
package parallel

import (
	"context"
	"sync"

	"go.uber.org/atomic"
)

// Do does n things, begun in order, so many at a time. The first error, or ctx's, ends it and
// is returned once all that were begun have returned.
func Do(ctx context.Context, at, n int, do func(ctx context.Context, i int) error) error {
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
