package admit

import (
	"cmp"
	"math"
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
		return newCredits(v["target"]*float64(cfg.Timeout), v["a"], v["b"], nanos(v["window"]*float64(cfg.Timeout)), cfg.Capacity, cfg.Workers), nil
	},
}

// CreditsOptions are the options of [NewCredits]. PerSecond must be given.
type CreditsOptions struct {
	PerSecond float64       // establishes that the workers serve per second; spaces the appointments of refused attempts
	Target    time.Duration // d_t, the wait in the queue that the credits are held to; 0 is 100 ms
	Window    time.Duration // how often the credits change, the paper's round trip; 0 is a tenth of Target
	A         float64       // credits that a window below the target adds for each client that asked in it; 0 is 0.001
	B         float64       // share that a window takes away for each Target by which the wait is above it; 0 is 0.02
	Initial   int           // credits at the start; 0 is 1
}

// Validate returns an error if an option is out of range.
func (o *CreditsOptions) Validate() error {
	switch {
	case !(o.PerSecond > 0) || math.IsInf(o.PerSecond, 0):
		return catalog.OutOfRange("CreditsOptions.PerSecond", o.PerSecond, "a number of establishes per second above 0")
	case o.Target < 0:
		return catalog.OutOfRange("CreditsOptions.Target", o.Target, "0s or more")
	case o.Window < 0:
		return catalog.OutOfRange("CreditsOptions.Window", o.Window, "0s or more")
	case !(o.A >= 0) || math.IsInf(o.A, 0):
		return catalog.OutOfRange("CreditsOptions.A", o.A, "0 credits or more")
	case !(o.B >= 0) || math.IsInf(o.B, 0):
		return catalog.OutOfRange("CreditsOptions.B", o.B, "0 or more")
	case o.Initial < 0:
		return catalog.OutOfRange("CreditsOptions.Initial", o.Initial, "0 credits or more")
	}
	return nil
}

// NewCredits returns a controller that admits establishes and launches while it has credits, and
// moves the number of credits by the wait in the queue: the server's side of Breakwater, the
// catalog's "credits". A refused attempt is told when a credit will be free (see
// queue.Item.RetryAfter). Checks pass freely.
func NewCredits(o CreditsOptions) (Controller, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	target := cmp.Or(o.Target, 100*time.Millisecond)
	return newCredits(float64(target), cmp.Or(o.A, 0.001), cmp.Or(o.B, 0.02), cmp.Or(o.Window, max(target/10, 1)), o.PerSecond, max(o.Initial, 1)), nil
}

// newCredits takes the target in ns and the capacity in establishes per second.
func newCredits(target, a, b float64, window time.Duration, capacity float64, initial int) *credits {
	c := &credits{target: target, a: a, b: b, window: window, exact: float64(initial), capacity: capacity}
	c.pool.Store(int64(initial))
	return c
}

// credits is the server's side of Breakwater. In the paper a client without a credit waits until
// the server sends one. Here the client asks once, which tells its demand, and is refused with
// an appointment for when a credit will be free. A client that comes earlier finds no credit.
// Every attempt that arrives while the wait is above twice the target is refused, as by the
// paper's active queue management. Checks pass freely: leases live by them.
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
