package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench/fault"
)

// commands are the shell commands that an operator runs beside a run: each in a goroutine of its own, so
// that none delays the generator.
type commands struct {
	ctx  context.Context
	end  context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex // guards errs
	errs []error
}

func newCommands(ctx context.Context) *commands {
	c := &commands{}
	c.ctx, c.end = context.WithCancel(ctx)
	return c
}

// start runs a command in the user's shell.
func (c *commands) start(text string) {
	c.all.Go(func() {
		if err := fault.Shell(c.ctx, text, nil); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.errs = append(c.errs, fmt.Errorf("the operator's exec %q: %w", text, err))
		}
	})
}

// finish waits for the commands, for patience at most, ends those that are left, and returns what
// failed.
func (c *commands) finish(patience time.Duration) error {
	late := time.AfterFunc(patience, c.end)
	c.all.Wait()
	late.Stop()
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.errs...)
}
