package admit

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var partitionsEntry = catalog.Entry[New]{
	Name:   "partitions",
	Doc:    "a limit of attempts in the manager with a share for each class, which it keeps when the others have filled the limit",
	Source: "Netflix concurrency-limits, AbstractPartitionedLimiter @78a74b9, over a fixed limit",
	Params: []catalog.Param{
		depthParam, limitParam,
		{Name: "check", Unit: "1", Default: 0.4, Min: 0, Max: 1, Doc: "share of checks"},
		{Name: "launch", Unit: "1", Default: 0.1, Min: 0, Max: 1, Doc: "share of launches"},
		{Name: "establish", Unit: "1", Default: 0.5, Min: 0, Max: 1, Doc: "share of establishes"},
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		shares := [queue.Classes]float64{queue.Check: v["check"], queue.Launch: v["launch"], queue.Establish: v["establish"]}
		if sum := shares[queue.Check] + shares[queue.Launch] + shares[queue.Establish]; sum > 1+1e-9 {
			return nil, fmt.Errorf(`admission controller "partitions": %w: the shares add up to %.4g, want at most 1`, catalog.ErrParam, sum)
		}
		return newPartitions(fixedPlaces(cfg, v), shares), nil
	},
}

// partitions has a limit L and a share of it for each class, max(1, ⌈L·share⌉). While fewer than L
// attempts are in the manager everything is admitted: one class may take all of L. Beyond that a
// class is admitted while fewer than its share of its own are inside. The total can therefore be
// above L: at L = 10 and shares of 30 % and 70 %, 10 of the first class and 7 of the second. No
// class comes before another. A class with a share of 0 is refused whenever L is reached, as an
// attempt of an unknown partition is in the source.
type partitions struct {
	limit  int64
	shares [queue.Classes]int64

	mu     sync.Mutex // guards what follows
	total  int64
	inside [queue.Classes]int64
}

func newPartitions(limit int64, shares [queue.Classes]float64) *partitions {
	c := &partitions{limit: limit}
	for class, share := range shares {
		if share > 0 {
			c.shares[class] = max(1, int64(math.Ceil(float64(limit)*share)))
		}
	}
	return c
}

// Admit implements Controller.
func (c *partitions) Admit(_ time.Duration, items []queue.Item, _ func() int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return partition(items, func(it *queue.Item) bool {
		if c.total >= c.limit && c.inside[it.Class] >= c.shares[it.Class] {
			return false
		}
		c.total++
		c.inside[it.Class]++
		return true
	})
}

// Done implements Controller.
func (c *partitions) Done(_ time.Duration, it *queue.Item, _ time.Duration, _ queue.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	c.inside[it.Class]--
}
