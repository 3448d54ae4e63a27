package admit

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var backlogEntry = catalog.Entry[New]{
	Name:   "backlog",
	Doc:    "admits establishes at a rate that falls in proportion to the waiting queue's length: the remedy announced after the outage",
	Source: "AWS, Summary of the Amazon DynamoDB Service Disruption in the Northern Virginia Region, October 2025 (rate limits by the size of the waiting queue)",
	Params: []catalog.Param{
		{Name: "depth", Unit: "timeouts", Default: 0.5, Min: 1e-6, Max: 1000, Doc: "queue at which nothing more is let in, as the time in which the workers serve so many establishes"},
		{Name: "rate", Unit: "1", Default: 1, Min: 0.001, Max: 100, Doc: "rate at an empty queue, as a share of the whole capacity"},
		burstParam,
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		c := &backlog{limit: max(1, v["depth"]*cfg.Timeout.Seconds()*cfg.Capacity)}
		c.bucket = newTokenBucket(v["rate"]*cfg.Capacity, v["burst"]*float64(cfg.Timeout), [queue.Classes]float64{queue.Establish: 1})
		return c, nil
	},
}

// backlog slows its bucket down by making each token dearer the longer the queue is.
type backlog struct {
	bucket *tokenBucket
	limit  float64 // attempts
}

// Admit implements Controller.
func (c *backlog) Admit(now time.Duration, items []queue.Item, queued func() int) int {
	open := 1 - float64(queued())/c.limit
	if open <= 0 {
		return partition(items, func(it *queue.Item) bool { return it.Class != queue.Establish })
	}
	return c.bucket.admit(now, items, 1/open)
}

// Done implements Controller: the queue's length says it all.
func (*backlog) Done(time.Duration, *queue.Item, time.Duration, queue.Outcome) {}
