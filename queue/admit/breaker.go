package admit

import (
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var breakerEntry = catalog.Entry[New]{
	Name:   "breaker",
	Doc:    "a circuit breaker around the dependency: refuses establishes for a while after some failed or came late in a row",
	Source: "M. Nygard, Release It!, 2007; states and defaults of sony/gobreaker v2, its minute open as timeouts",
	Params: []catalog.Param{
		{Name: "failures", Unit: "attempts", Default: 5, Min: 1, Max: 1e9, Doc: "failures in a row, above which it opens"},
		{Name: "open", Unit: "timeouts", Default: 5, Min: 1e-3, Max: 1e6, Doc: "how long it stays open"},
		{Name: "probes", Unit: "attempts", Default: 1, Min: 1, Max: 1e9, Doc: "attempts let in when it is half open; it closes when as many in a row are good"},
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		return &breaker{most: v.Int("failures"), open: time.Duration(v["open"] * float64(cfg.Timeout)), probes: v.Int("probes")}, nil
	},
}

// breaker has three states: closed; open until a time; half open after it, in which a few
// probes decide. Establishes alone need the dependency, so it is about them alone.
type breaker struct {
	most, probes int
	open         time.Duration
	shut         atomic.Bool // not closed: the door has to look closer

	mu     sync.Mutex // guards what follows
	since  time.Duration
	failed int // in a row, while closed
	probed int // let in, while half open
	good   int // of them
}

// Admit implements Controller.
func (c *breaker) Admit(now time.Duration, items []queue.Item, _ int) int {
	if !c.shut.Load() {
		return len(items)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return partition(items, func(it *queue.Item) bool {
		if it.Class != queue.Establish {
			return true
		}
		if now < c.since+c.open || c.probed >= c.probes {
			return false
		}
		c.probed++
		return true
	})
}

// Done implements Controller.
func (c *breaker) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	if it.Class != queue.Establish {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	bad := out != queue.Good
	if c.shut.Load() {
		if it.Offered() < c.since+c.open {
			return // from before it opened
		}
		if bad {
			c.trip(now)
		} else if c.good++; c.good >= c.probes {
			c.shut.Store(false)
			c.failed = 0
		}
		return
	}
	if !bad {
		c.failed = 0
	} else if c.failed++; c.failed > c.most {
		c.trip(now)
	}
}

func (c *breaker) trip(now time.Duration) {
	c.since, c.failed, c.probed, c.good = now, 0, 0, 0
	c.shut.Store(true)
}
