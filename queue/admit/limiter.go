package admit

import (
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// law is how a concurrency limit follows what it sees, window by window.
type law interface {
	// next is the limit after a window with these samples.
	next(limit float64, w window) float64
}

// window is what was seen in one.
type window struct {
	n        int
	rtt      float64 // mean time from admission to the end, s
	least    float64 // smallest of them
	inflight int     // largest number inside
	dropped  bool    // something came late or was dropped
}

// limiter admits while fewer attempts than a limit are inside, waiting or in service, and
// lets a law move the limit. Every class counts and every class is refused.
type limiter struct {
	law      law
	length   time.Duration // of a window, at least
	timeout  time.Duration
	least    float64
	most     float64
	inflight atomic.Int64
	limit    atomic.Int64

	// The lock guards what follows. A window may have no more than ten samples, of which the
	// tenth ends it: each must be whole, and a law sees none that is of two windows.
	mu    sync.Mutex
	exact float64
	cur   window
	end   time.Duration
}

// leastSamples end a window: fewer say too little (Netflix concurrency-limits,
// WindowedLimit).
const leastSamples = 10

func limitParams(initial, least, most float64) []catalog.Param {
	return []catalog.Param{
		{Name: "initial", Unit: "attempts", Default: initial, Min: 1, Max: 1e9, Doc: "limit at the start"},
		{Name: "min", Unit: "attempts", Default: least, Min: 1, Max: 1e9, Doc: "smallest limit"},
		{Name: "max", Unit: "attempts", Default: most, Min: 1, Max: 1e9, Doc: "largest limit"},
		{Name: "window", Unit: "timeouts", Default: 0.01, Min: 1e-6, Max: 100, Doc: "shortest window, of ten samples or more"},
	}
}

func newLimiter(cfg Config, v catalog.Values, l law) *limiter {
	c := &limiter{
		law: l, length: nanos(v["window"] * float64(cfg.Timeout)), timeout: cfg.Timeout,
		least: v["min"], most: max(v["min"], v["max"]), exact: v["initial"],
	}
	c.exact = min(max(c.exact, c.least), c.most)
	c.limit.Store(int64(c.exact))
	return c
}

// Admit implements Controller.
func (c *limiter) Admit(_ time.Duration, items []queue.Item, _ func() int) int {
	return takePlaces(&c.inflight, c.limit.Load(), items)
}

// takePlaces admits as many of the items as there are places below a limit.
func takePlaces(inflight *atomic.Int64, limit int64, items []queue.Item) int {
	places := reserve(inflight, limit, int64(len(items)))
	return partition(items, func(*queue.Item) bool {
		places--
		return places >= 0
	})
}

// reserve takes as many places below a limit as there are, up to so many.
func reserve(inflight *atomic.Int64, limit, want int64) int64 {
	for {
		n := inflight.Load()
		places := min(limit-n, want)
		if places <= 0 {
			return 0
		}
		if inflight.CompareAndSwap(n, n+places) {
			return places
		}
	}
}

// Done implements Controller.
func (c *limiter) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	inside := int(c.inflight.Dec()) + 1
	if cancelled(now, it, out) {
		return // its time is too short, as nothing was done (onIgnore of concurrency-limits)
	}
	rtt := max(0, now-it.Offered()).Seconds()
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.cur
	w.n++
	w.rtt += rtt
	if w.n == 1 || rtt < w.least {
		w.least = rtt
	}
	w.inflight = max(w.inflight, inside)
	w.dropped = w.dropped || out == queue.Late || out == queue.Shed
	if w.n < leastSamples || now < c.end {
		return
	}
	w.rtt /= float64(w.n)
	c.exact = min(max(c.law.next(c.exact, *w), c.least), c.most)
	c.limit.Store(int64(c.exact))
	*w = window{}
	c.end = now + c.length
}
