package admit

import (
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

var creditsEntry = catalog.Entry[New]{
	Name:   "credits",
	Doc:    "admits establishes and launches that hold a credit; credits follow the wait, and are promised ahead to those who asked (retry-after)",
	Source: "I. Cho et al., Overload Control for µs-scale RPCs with Breakwater, OSDI 2020",
	Params: []catalog.Param{
		{Name: "target", Unit: "timeouts", Default: 0.1, Min: 1e-6, Max: 100, Doc: "d_t: wait that the credits are held to (the paper: 0.4 of the objective, here a quarter of a timeout)"},
		{Name: "a", Unit: "1", Default: 0.001, Min: 1e-9, Max: 1, Doc: "A: credits added a window for each client that asked in it"},
		{Name: "b", Unit: "1", Default: 0.02, Min: 1e-6, Max: 10, Doc: "B: share taken away for each target that the wait is above it"},
		{Name: "window", Unit: "timeouts", Default: 0.01, Min: 1e-6, Max: 100, Doc: "the paper's round trip"},
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		c := &credits{
			target: v["target"] * float64(cfg.Timeout), a: v["a"], b: v["b"], window: nanos(v["window"] * float64(cfg.Timeout)),
			exact: float64(cfg.Workers), capacity: cfg.Capacity,
		}
		c.pool.Store(int64(cfg.Workers))
		return c, nil
	},
}

// credits is the server's side of Breakwater. In the paper a client that has none waits for
// one to be sent; here it asks once, is refused with an appointment for when one will be
// free, and so has told its demand. Who comes without listening finds no credit. Attempts
// that arrive when the wait is above twice the target are refused even so, as the paper's
// active queue management does. Checks pass freely: they are what the leases live by.
//
// Once a window, of the wait d and n clients that asked in it:
//
//	d < d_t:  C += max(A·n, 1)
//	else      C *= max(1 − B·(d − d_t)/d_t, 1/2)
//
// A window in which nothing was taken up has no d: it lasts until something is, and an idle
// night adds no credits.
type credits struct {
	target, a, b float64
	window       time.Duration
	capacity     float64
	inflight     atomic.Int64
	pool         atomic.Int64
	late         atomic.Bool // the wait is above twice the target
	line         appointments
	end          atomic.Int64 // of the window
	clients      atomic.Int64
	_            [pad.Bytes]byte // keeps the workers' sums from the doors' reads
	waits        tally
	_            [pad.Bytes]byte

	mu    sync.Mutex // held by whoever ends a window
	exact float64    // guarded by mu
}

// Admit implements Controller.
func (c *credits) Admit(now time.Duration, items []queue.Item, queued func() int) int {
	asked := 0
	for i := range items {
		if items[i].Class != queue.Check {
			asked++
		}
	}
	if c.rest(now) && c.late.Load() && queued() == 0 {
		c.late.Store(false) // nothing waits
	}
	pool := c.pool.Load()
	if c.late.Load() && queued() > 0 {
		pool = 0
	}
	places := reserve(&c.inflight, pool, int64(asked))
	n := partition(items, func(it *queue.Item) bool {
		if it.Class == queue.Check {
			return true
		}
		places--
		return places >= 0
	})
	c.line.give(now, items[n:], 1e9/c.capacity)
	c.clients.Add(int64(asked))
	return n
}

// Done implements Controller.
func (c *credits) Done(now time.Duration, it *queue.Item, sojourn time.Duration, _ queue.Outcome) {
	if it.Class != queue.Check {
		c.inflight.Dec()
	}
	c.rest(now)
	c.waits.add(sojourn)
	if int64(now) >= c.end.Load() {
		c.turn(now)
	}
}

// rest says whether the window was over a whole window ago, and nothing has been taken up
// since. If something was taken up in it, it ends by itself: what comes now is of another.
func (c *credits) rest(now time.Duration) bool {
	if int64(now) < c.end.Load()+int64(c.window) {
		return false
	}
	if c.waits.any() {
		c.turn(now)
	}
	return true
}

// turn ends the window if it is over.
func (c *credits) turn(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(now) < c.end.Load() {
		return // another worker ended it between our look and the lock
	}
	taken, waits := c.waits.take()
	if taken == 0 {
		return
	}
	d := waits / float64(taken)
	c.exact = creditLaw(c.exact, d, c.target, c.a*float64(c.clients.Swap(0)), c.b)
	c.pool.Store(int64(c.exact))
	c.late.Store(d > 2*c.target)
	c.end.Store(int64(now + c.window))
}

// creditLaw is how many credits there are after a window.
func creditLaw(pool, wait, target, more, b float64) float64 {
	if wait < target {
		return min(pool+max(more, 1), 1<<53)
	}
	return max(1, pool*max(1-b*(wait-target)/target, 0.5))
}
