package admit

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

var concurrencyEntry = catalog.Entry[New]{
	Name: "concurrency",
	Doc:  "admits while fewer attempts than a limit are in the manager; the limit follows their time in the queue",
	Source: "Netflix concurrency-limits, AIMDLimit @78a74b9; additive increase, multiplicative decrease once a round trip: " +
		`Jacobson & Karels, "Congestion Avoidance and Control", SIGCOMM 1988`,
	Params: []catalog.Param{
		{Name: "target", Unit: "timeouts", Default: 0.1, Min: 0.001, Max: 1, Doc: "mean time in the queue that the limit is held to; also the window"},
		{Name: "backoff", Unit: "1", Default: 0.9, Min: 0.1, Max: 0.999, Doc: "what the limit is multiplied by after a window above the target"},
		{Name: "min", Unit: "attempts", Default: 0, Min: 0, Doc: "smallest limit; 0: one attempt a worker"},
		{Name: "max", Unit: "attempts", Default: 0, Min: 0, Doc: "largest limit; 0: none"},
		{Name: "initial", Unit: "attempts", Default: 0, Min: 0, Doc: "limit at the start, within min and max; 0: what the workers serve within the target, and one a worker"},
	},
	New: newConcurrency,
}

// concurrency holds the number of attempts in the manager, waiting or in service,
// below a limit that it finds by additive increase and multiplicative decrease.
//
// By Little's law the limit settles about Capacity·target, plus one a worker, if
// all attempts are establishes; checks are cheaper, so more of them fit.
//
//   - A window is target long, and longer until minSamples attempts have ended.
//   - Mean time in the queue above target: limit·backoff, unless more than the limit
//     are inside, when the last cut has yet to work and the door is shut anyhow.
//     For two windows after a cut, attempts that were admitted before it do not
//     count: they show the old limit. Their mark is the number of cuts at admission.
//     Both rules stand for the one decrease per round trip of Jacobson & Karels.
//     The real round trip will not do: behind a backlog of ten timeouts it is ten
//     timeouts long, and the cuts would come that far apart.
//   - Else, if the limit was pressed on (half of it used, as in AIMDLimit):
//     limit + step. Half is needed, or an idle night would raise it without end.
//   - step is a hundredth of Capacity·target, at least 1. AIMDLimit's +1 takes 500
//     windows, 50 timeouts, to undo one cut at 5·10^4 establishes/s; with this it
//     takes ten windows, one timeout, on every host.
//
// An attempt that ended Late, or was Shed by the discipline, counts as a wait of
// one timeout, whatever it really was: so a tenth of them at the default target is
// overload by itself (Netflix cuts at the first; at 10^4 a window there is always
// one). A check whose lease is gone ends Late as well. No wait counts for more, so that one attempt dug up from the far end of a
// lifo does not speak for a thousand others. Failed says nothing about the queue.
//
// Every class counts and every class is refused, checks too: that is what such a
// limiter does to a lease manager, and what is to be seen.
type concurrency struct {
	cfg limits

	// doors write here, and workers:
	inflight atomic.Int64    // admitted and not Done
	_        [pad.Bytes]byte // keeps inflight's writers from the readers of limit
	// written at the end of a window only; doors read it for each attempt:
	limit   atomic.Int64    // whole part of exact
	since   atomic.Int64    // time of the last cut
	cuts    atomic.Uint32   // how many there were; the mark of what is admitted
	end     atomic.Int64    // earliest end of the window
	pressed atomic.Bool     // half the limit was used in this window; set once a window
	_       [pad.Bytes]byte // keeps the workers' sums from the doors' reads of limit
	waits   atomic.Uint64
	_       [pad.Bytes]byte // keeps what the allocator puts next from waits

	mu    sync.Mutex // held by whoever ends a window
	exact float64    // the limit with its fraction; guarded by mu
}

// limits is the controller's configuration, resolved.
type limits struct {
	window, timeout time.Duration
	targetUnits     float64 // target in units of waits
	backoff         float64
	step            float64
	min, max        float64
}

// waits has the window's samples in one word, so that one addition records a
// sample and no reader sees a wait without its count:
//
//	63          40 39                    0
//	| count : 24  | sum of waits : 40    |   wait in 0..2^16, 2^16 is one timeout
//
// 2^24 samples of 2^16 fill the sum; a window of maxSamples ends by itself, far below.
const (
	sumBits    = 40
	waitBits   = 16
	minSamples = 10 // Netflix concurrency-limits, WindowedLimit
	maxSamples = 1 << 22
)

func newConcurrency(cfg Config, v catalog.Values) (Controller, error) {
	window := max(nanos(v["target"]*float64(cfg.Timeout)), 1)
	most := whole(v["max"], 1<<53)
	fits := min(cfg.Capacity*window.Seconds(), 1<<40) // attempts served within the target
	l := limits{
		window:      window,
		timeout:     cfg.Timeout,
		targetUnits: v["target"] * (1 << waitBits),
		backoff:     v["backoff"],
		step:        max(1, fits/100),
		min:         whole(v["min"], min(float64(cfg.Workers), most)),
		max:         most,
	}
	if l.max < l.min {
		return nil, fmt.Errorf(`admission controller "concurrency": %w: max=%v is below min=%v`, catalog.ErrParam, l.max, l.min)
	}
	return startConcurrency(l, whole(v["initial"], fits+float64(cfg.Workers))), nil
}

func startConcurrency(l limits, initial float64) *concurrency {
	c := &concurrency{cfg: l, exact: min(max(initial, l.min), l.max)}
	c.limit.Store(int64(c.exact))
	c.end.Store(int64(l.window))
	return c
}

// ConcurrencyOptions are the options of [NewConcurrency]. Each has a default.
type ConcurrencyOptions struct {
	Timeout time.Duration // the clients' timeout; 0 is 1 s. A late or shed attempt counts as a wait of it
	Target  time.Duration // mean time in the queue that the limit is held to; also the window; 0 is a tenth of Timeout
	Backoff float64       // factor of the limit after a window above the target, above 0 and below 1; 0 is 0.9
	Step    float64       // attempts that a window below the target adds; 0 is 1
	Min     int           // smallest limit, in attempts; 0 is 1
	Max     int           // largest limit, in attempts; 0 is none
	Initial int           // limit at the start, in attempts, held within Min and Max; 0 is 20
}

// Validate returns an error if an option is out of range.
func (o *ConcurrencyOptions) Validate() error {
	least, timeout := max(o.Min, 1), cmp.Or(o.Timeout, time.Second)
	switch {
	case o.Timeout < 0:
		return catalog.OutOfRange("ConcurrencyOptions.Timeout", o.Timeout, "0s or more")
	case o.Target < 0 || o.Target > timeout:
		return catalog.OutOfRange("ConcurrencyOptions.Target", o.Target, fmt.Sprintf("0s to the timeout, %v", timeout))
	case !(o.Backoff >= 0 && o.Backoff < 1):
		return catalog.OutOfRange("ConcurrencyOptions.Backoff", o.Backoff, "0 to below 1")
	case !(o.Step >= 0) || math.IsInf(o.Step, 0):
		return catalog.OutOfRange("ConcurrencyOptions.Step", o.Step, "0 attempts or more")
	case o.Min < 0:
		return catalog.OutOfRange("ConcurrencyOptions.Min", o.Min, "0 attempts or more")
	case o.Max != 0 && o.Max < least:
		return catalog.OutOfRange("ConcurrencyOptions.Max", o.Max, fmt.Sprintf("0, or at least the smallest limit, %d attempts", least))
	case o.Initial < 0:
		return catalog.OutOfRange("ConcurrencyOptions.Initial", o.Initial, "0 attempts or more")
	}
	return nil
}

// NewConcurrency returns a controller that admits attempts while fewer than a limit are in the
// manager, and moves the limit by their time in the queue: additive increase, multiplicative
// decrease, the catalog's "concurrency".
func NewConcurrency(o ConcurrencyOptions) (Controller, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	timeout := cmp.Or(o.Timeout, time.Second)
	target := cmp.Or(o.Target, max(timeout/10, 1))
	return startConcurrency(limits{
		window: target, timeout: timeout, targetUnits: float64(target) / float64(timeout) * (1 << waitBits),
		backoff: cmp.Or(o.Backoff, 0.9), step: cmp.Or(o.Step, 1),
		min: whole(float64(o.Min), 1), max: whole(float64(o.Max), 1<<53),
	}, whole(float64(o.Initial), 20)), nil
}

// Admit takes as many places as there are. It only reads when there is none: in a
// surge most calls end so, and cost the workers no cache line.
func (c *concurrency) Admit(_ time.Duration, items []queue.Item, _ func() int) int {
	limit := c.limit.Load()
	if 2*(c.inflight.Load()+int64(len(items))) >= limit && !c.pressed.Load() {
		c.pressed.Store(true)
	}
	cuts := c.cuts.Load()
	n := takePlaces(&c.inflight, limit, items)
	for i := range items[:n] {
		items[i].SetMark(cuts)
	}
	return n
}

// Done gives the place back, and counts the wait.
func (c *concurrency) Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome) {
	c.inflight.Dec()
	if it.Mark() != c.cuts.Load()&(1<<queue.MarkBits-1) && now-time.Duration(c.since.Load()) < 2*c.cfg.window {
		return
	}
	if cancelled(now, it, out) {
		return // it waited less than it would have
	}
	if out == queue.Late || out == queue.Shed {
		sojourn = c.cfg.timeout
	}
	share := float64(min(max(sojourn, 0), c.cfg.timeout)) / float64(c.cfg.timeout)
	sums := c.waits.Add(1<<sumBits | uint64(share*(1<<waitBits)))
	if n := sums >> sumBits; n >= maxSamples || n >= minSamples && int64(now) >= c.end.Load() {
		c.turn(now)
	}
}

// turn ends the window, unless another worker is about to.
func (c *concurrency) turn(now time.Duration) {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	sums := c.waits.Load()
	count, sum := sums>>sumBits, sums&(1<<sumBits-1)
	if count < minSamples || count < maxSamples && int64(now) < c.end.Load() {
		return // another worker ended it between our look and the lock
	}
	switch {
	case float64(sum) > c.cfg.targetUnits*float64(count):
		if c.inflight.Load() > c.limit.Load() {
			break
		}
		c.exact = max(c.cfg.min, c.exact*c.cfg.backoff)
		c.limit.Store(int64(c.exact))
		// After the new limit is in force. What is admitted between the two counts among
		// what was admitted before the cut.
		c.since.Store(int64(now))
		c.cuts.Inc()
	case c.pressed.Load():
		c.exact = min(c.cfg.max, c.exact+c.cfg.step)
		c.limit.Store(int64(c.exact))
	}
	c.pressed.Store(false)
	c.end.Store(int64(now + c.cfg.window))
	c.waits.Store(0) // last: what others added meanwhile belongs to neither window
}
