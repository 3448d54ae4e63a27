package client

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// door lets a few connections be opened or closed at a time. Thousands of calls can time out in one instant.
// If all of them went on at once, each with some 50 µs of system calls, Go's scheduler would keep the
// generator waiting behind them.
type door chan struct{}

func newDoor() door { return make(door, 2*runtime.NumCPU()) }

// doorHeld is how long a connection that is being opened keeps its place: longer than the system calls
// take, and shorter than a service that does not answer.
const doorHeld = 500 * time.Microsecond

// enter waits for a place until ctx is done. It returns what gives the place back.
func (d door) enter(ctx context.Context) (leave func(), err error) {
	select {
	case d <- struct{}{}:
	default:
		select {
		case d <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	once := sync.OnceFunc(func() { <-d })
	late := time.AfterFunc(doorHeld, once)
	return func() { late.Stop(); once() }, nil
}
