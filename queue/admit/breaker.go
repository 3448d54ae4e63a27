package admit

import (
	"cmp"
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
		return newBreaker(v.Int("failures"), nanos(v["open"]*float64(cfg.Timeout)), v.Int("probes")), nil
	},
}

// BreakerOptions are the options of [NewBreaker]. The zero value has the defaults of
// sony/gobreaker v2.
type BreakerOptions struct {
	Failures int           // failures in a row above which the breaker opens; 0 is 5
	Open     time.Duration // how long the breaker stays open; 0 is 1 min
	Probes   int           // attempts admitted while it is half open; it closes when as many in a row are good; 0 is 1
}

// Validate returns an error if an option is out of range.
func (o *BreakerOptions) Validate() error {
	switch {
	case o.Failures < 0:
		return catalog.OutOfRange("BreakerOptions.Failures", o.Failures, "0 attempts or more")
	case o.Open < 0:
		return catalog.OutOfRange("BreakerOptions.Open", o.Open, "0s or more")
	case o.Probes < 0:
		return catalog.OutOfRange("BreakerOptions.Probes", o.Probes, "0 attempts or more")
	}
	return nil
}

// NewBreaker returns a circuit breaker around the dependency that establishes need, the
// catalog's "breaker". It refuses establishes for a while after several in a row ended other
// than Good. Checks and launches pass freely.
func NewBreaker(o BreakerOptions) (Controller, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return newBreaker(cmp.Or(o.Failures, 5), cmp.Or(o.Open, time.Minute), cmp.Or(o.Probes, 1)), nil
}

func newBreaker(failures int, open time.Duration, probes int) *breaker {
	b := &breaker{most: failures, open: open, probes: probes}
	b.closed.Store(true)
	return b
}

// breaker has three states: closed; open until a time; half open after that, when a few probes
// decide. Only establishes need the dependency, so only establishes are counted and refused.
//
// Each change of state begins a generation, whose number is the mark of the establishes
// that are admitted in it. An end counts in its own generation only: what was admitted
// before the breaker opened says nothing about a probe, and what was admitted before it
// closed nothing about the dependency as it is now (sony/gobreaker, afterRequest).
type breaker struct {
	most, probes int
	open         time.Duration
	generation   atomic.Uint32
	closed       atomic.Bool

	mu     sync.Mutex // guards what follows, and changes of what stands above
	half   bool       // half open; only while not closed
	since  time.Duration
	failed int // in a row, while closed
	probed int // let in, while half open
	good   int // of them
}

// Admit implements Controller.
func (c *breaker) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	// The generation is read before the state: what is let in by a state that has just
	// ended has a mark that no longer counts.
	generation := c.generation.Load()
	if c.closed.Load() {
		if generation != 0 { // items come with a mark of 0
			mark(items, generation)
		}
		return len(items)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed.Load() && !c.half && now >= c.since+c.open {
		c.half = true
		c.next()
	}
	n := partition(items, func(it *queue.Item) bool {
		if it.Class != queue.Establish || c.closed.Load() {
			return true
		}
		if !c.half || c.probed >= c.probes {
			return false
		}
		c.probed++
		return true
	})
	mark(items[:n], c.generation.Load())
	return n
}

// mark sets a mark on each establish.
func mark(items []queue.Item, m uint32) {
	for i := range items {
		if items[i].Class == queue.Establish {
			items[i].SetMark(m)
		}
	}
}

// Done implements Controller.
func (c *breaker) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	if it.Class != queue.Establish {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if it.Mark() != c.generation.Load()&(1<<queue.MarkBits-1) {
		return // of another generation
	}
	if cancelled(now, it, out) {
		if c.half {
			c.probed-- // another probe in its place
		}
		return
	}
	switch bad := out != queue.Good; {
	case c.half && bad:
		c.trip(now)
	case c.half:
		if c.good++; c.good >= c.probes {
			c.half = false
			c.closed.Store(true)
			c.next()
		}
	case !bad:
		c.failed = 0
	default:
		if c.failed++; c.failed > c.most {
			c.trip(now)
		}
	}
}

// trip opens it.
func (c *breaker) trip(now time.Duration) {
	c.since, c.half = now, false
	c.closed.Store(false)
	c.next()
}

// next begins a generation.
func (c *breaker) next() {
	c.failed, c.probed, c.good = 0, 0, 0
	c.generation.Inc()
}
