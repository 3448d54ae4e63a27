package admit

import (
	"math"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var codelAdmitEntry = catalog.Entry[New]{
	Name:   "codel-admit",
	Doc:    "refuses establishes and launches while the shortest wait of the last interval was above a target",
	Source: "facebook/folly, executors/Codel.h: its overload condition, at the door instead of at the head",
	Params: []catalog.Param{
		{Name: "target", Unit: catalog.Seconds, Default: 0.005, Min: 1e-6, Max: 3600, Doc: "wait in the queue that is no overload"},
		{Name: "interval", Unit: catalog.Seconds, Default: 0.1, Min: 1e-6, Max: 3600, Doc: "over which the shortest wait is taken"},
	},
	New: func(_ Config, v catalog.Values) (Controller, error) {
		c := &codelAdmit{target: v.Duration("target"), interval: v.Duration("interval")}
		c.least.Store(noWait)
		return c, nil
	},
}

// codelAdmit keeps the shortest wait of each interval: a queue that stands has no short
// one, and one that merely had a burst has. An interval in which nothing was taken up says
// nothing, and opens the door.
//
// A verdict is therefore of the interval before and holds for one: at the door it is worked
// out from the clock, and what was seen before an idle time is forgotten after it.
type codelAdmit struct {
	target, interval time.Duration
	end              atomic.Int64 // of the interval
	overloaded       atomic.Bool  // the verdict on the interval before it
	least            atomic.Int64 // shortest wait in it, ns
	mu               sync.Mutex   // held by whoever ends an interval
}

// noWait is what least is before a first wait.
const noWait = math.MaxInt64

// Admit implements Controller.
func (c *codelAdmit) Admit(now time.Duration, items []queue.Item, queued func() int) int {
	if !c.shut(now) || queued() == 0 {
		return len(items)
	}
	return partition(items, func(it *queue.Item) bool { return it.Class == queue.Check })
}

// Done implements Controller.
func (c *codelAdmit) Done(now time.Duration, _ *queue.Item, sojourn time.Duration, _ queue.Outcome) {
	if int64(now) >= c.end.Load() {
		c.turn(now)
	}
	for least := c.least.Load(); int64(sojourn) < least; least = c.least.Load() {
		if c.least.CompareAndSwap(least, int64(sojourn)) {
			return
		}
	}
}

// shut is the verdict that holds at now.
func (c *codelAdmit) shut(now time.Duration) bool {
	if int64(now) < c.end.Load() {
		return c.overloaded.Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.verdict(now)
}

// verdict is shut for one who holds mu.
func (c *codelAdmit) verdict(now time.Duration) bool {
	switch end := time.Duration(c.end.Load()); {
	case now < end:
		return c.overloaded.Load()
	case now < end+c.interval:
		least := c.least.Load()
		return least != noWait && least > int64(c.target)
	}
	return false // a whole interval in which nothing was taken up
}

// turn ends the interval if it is over.
func (c *codelAdmit) turn(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(now) < c.end.Load() {
		return // another worker ended it between our look and the lock
	}
	c.overloaded.Store(c.verdict(now))
	c.least.Store(noWait)
	c.end.Store(int64(now + c.interval))
}
