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
		c := &bbr{width: max(1, nanos(v["window"]*float64(cfg.Timeout)/float64(n))), buckets: make([]bbrBucket, n), workers: int64(cfg.Workers)}
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
	inflight atomic.Int64
	limit    atomic.Int64

	mu      sync.Mutex // guards what follows
	buckets []bbrBucket
	at      int64 // number of the present bucket
}

type bbrBucket struct {
	pass int
	rtt  time.Duration // sum
}

// Admit implements Controller.
func (c *bbr) Admit(_ time.Duration, items []queue.Item, _ int) int {
	return takePlaces(&c.inflight, c.limit.Load(), items)
}

// Done implements Controller.
func (c *bbr) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	c.inflight.Dec()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := int64(len(c.buckets))
	if at := int64(now / c.width); at > c.at {
		for i := max(c.at+1, at-n+1); i <= at; i++ {
			c.buckets[i%n] = bbrBucket{}
		}
		c.at = at
		c.limit.Store(c.product())
	}
	if out == queue.Good {
		b := &c.buckets[c.at%n]
		b.pass++
		b.rtt += max(0, now-it.Offered())
	}
}

// product is the limit by the finished buckets.
func (c *bbr) product() int64 {
	most, least := 0, math.Inf(1)
	for i, b := range c.buckets {
		if int64(i) == c.at%int64(len(c.buckets)) || b.pass == 0 {
			continue
		}
		most = max(most, b.pass)
		least = min(least, float64(b.rtt)/float64(b.pass))
	}
	if most == 0 {
		return math.MaxInt64
	}
	return max(c.workers, int64(math.Floor(min(float64(most)*least/float64(c.width)+0.5, 1<<53))))
}
