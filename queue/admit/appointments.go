package admit

import (
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
)

// appointments tells refused droplets when to ask again: one after the other, at the rate at which
// they can be served. A droplet that does not listen takes an appointment all the same and makes
// the line longer for the others.
type appointments struct {
	next atomic.Int64 // time of the last one given, ns
}

// farthest is the longest wait that an item can carry. The line is no longer than that: whoever
// comes later is told the same time.
const farthest = (1<<32 - 2) * int64(time.Microsecond)

// give sets the items' appointments, an interval apart, in ns.
func (a *appointments) give(now time.Duration, items []queue.Item, interval float64) {
	if len(items) == 0 {
		return
	}
	upTo := func(n int) int64 { return int64(min(interval*float64(n), float64(farthest))) }
	for {
		old := a.next.Load()
		from := min(max(old, int64(now)), int64(now)+farthest)
		if !a.next.CompareAndSwap(old, from+upTo(len(items))) {
			continue
		}
		for i := range items {
			items[i].SetRetryAfter(time.Duration(from + upTo(i+1) - int64(now)))
		}
		return
	}
}
