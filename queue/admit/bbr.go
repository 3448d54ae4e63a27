package admit

import (
	"math"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var bbrEntry = catalog.Entry[New]{
	Name:   "bbr",
	Doc:    "admits while fewer attempts are inside than the highest rate times the shortest time of late",
	Source: "go-kratos/aegis, ratelimit/bbr (after Cardwell et al., BBR, ACM Queue 14(5), 2016), without its trigger by CPU load: a lease manager's workers wait for others, and their processor says nothing",
	Params: []catalog.Param{
		{Name: "window", Unit: "timeouts", Default: 10, Min: 0.01, Max: 1000, Doc: "how long a rate and a time are remembered"},
		{Name: "buckets", Unit: "1", Default: 100, Min: 2, Max: 1000, Doc: "parts of the window"},
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		n := v.Int("buckets")
		c := &bbr{width: max(1, nanos(v["window"]*float64(cfg.Timeout)/float64(n))), buckets: make([]tally, n), workers: int64(cfg.Workers)}
		c.limit.Store(math.MaxInt64)
		return c, nil
	},
}

// bbr estimates the bandwidth-delay product: the most attempts that ended well in a bucket,
// times the smallest mean time of a bucket, over a bucket's width. The present bucket does
// not count, as in the source. Fewer than one a worker would idle workers.
type bbr struct {
	width    time.Duration
	workers  int64
	buckets  []tally // of the times of those that ended well
	inflight atomic.Int64
	limit    atomic.Int64
	at       atomic.Int64 // number of the present bucket
	mu       sync.Mutex   // held by whoever begins a bucket
}

// Admit implements Controller. The door looks at the clock as well: after an idle window
// nothing is known, and no limit holds.
func (c *bbr) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	c.tick(now)
	return takePlaces(&c.inflight, c.limit.Load(), items)
}

// Done implements Controller.
func (c *bbr) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	c.inflight.Dec()
	c.tick(now)
	if out == queue.Good {
		c.buckets[c.at.Load()%int64(len(c.buckets))].add(max(0, now-it.Offered()))
	}
}

// tick begins the bucket of now.
func (c *bbr) tick(now time.Duration) {
	at := int64(now / c.width)
	if at <= c.at.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old, n := c.at.Load(), int64(len(c.buckets))
	if at <= old {
		return
	}
	for i := max(old+1, at-n+1); i <= at; i++ {
		c.buckets[i%n].take()
	}
	c.at.Store(at)
	c.limit.Store(c.product())
}

// product is the limit by the finished buckets.
func (c *bbr) product() int64 {
	most, least := int64(0), math.Inf(1)
	present := c.at.Load() % int64(len(c.buckets))
	for i := range c.buckets {
		pass, rtt := c.buckets[i].sums()
		if int64(i) == present || pass == 0 {
			continue
		}
		most = max(most, pass)
		least = min(least, rtt/float64(pass))
	}
	if most == 0 {
		return math.MaxInt64
	}
	return max(c.workers, int64(math.Floor(min(float64(most)*least/float64(c.width)+0.5, 1<<53))))
}
