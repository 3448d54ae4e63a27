package admit

import (
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
		return &codelAdmit{target: v.Duration("target"), interval: v.Duration("interval")}, nil
	},
}

// codelAdmit keeps the shortest wait of each interval: a queue that stands has no short
// one, and one that merely had a burst has. An interval in which nothing was taken up says
// nothing, and opens the door.
type codelAdmit struct {
	target, interval time.Duration
	overloaded       atomic.Bool

	mu    sync.Mutex // guards what follows
	end   time.Duration
	least time.Duration
	any   bool
}

// Admit implements Controller.
func (c *codelAdmit) Admit(now time.Duration, items []queue.Item, queued func() int) int {
	if !c.overloaded.Load() || queued() == 0 {
		return len(items)
	}
	return partition(items, func(it *queue.Item) bool { return it.Class == queue.Check })
}

// Done implements Controller.
func (c *codelAdmit) Done(now time.Duration, _ *queue.Item, sojourn time.Duration, _ queue.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now >= c.end {
		c.overloaded.Store(c.any && c.least > c.target)
		c.end, c.any = now+c.interval, false
	}
	if !c.any || sojourn < c.least {
		c.least, c.any = sojourn, true
	}
}
