package admit

import (
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
)

// appointments tells those who are refused when to ask again: one after the other, as fast
// as they can be served. Who does not listen only makes the line longer for those who do.
type appointments struct {
	next atomic.Int64 // time of the last one given, ns
}

// give marks the items with their times, an interval in ns apart.
func (a *appointments) give(now time.Duration, items []queue.Item, interval float64) {
	if len(items) == 0 {
		return
	}
	span := int64(interval * float64(len(items)))
	for {
		old := a.next.Load()
		from := max(old, int64(now))
		if !a.next.CompareAndSwap(old, from+span) {
			continue
		}
		for i := range items {
			items[i].SetRetryAfter(time.Duration(from + int64(interval*float64(i+1)) - int64(now)))
		}
		return
	}
}
