package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var controlledDelayEntry = catalog.Entry[New]{
	Name:   "controlled-delay",
	Doc:    "first come, first served; drops what has waited longer than a timeout, which is short while the queue stands",
	Source: "B. Maurer, Fail at Scale, ACM Queue 13(8), 2015: M = 5 ms, N = 100 ms",
	Params: []catalog.Param{
		{Name: "short", Unit: catalog.Seconds, Default: 0.005, Min: 1e-6, Max: 3600, Doc: "timeout while the queue stands (M in the source)"},
		standsParam,
	},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		return &controlledDelay{standingLine: standingLine{standing: standing{limit: v.Duration("stands")}}, short: v.Duration("short")}, nil
	},
}

// controlledDelay bounds the wait by the interval N while the queue is empty now and then,
// and by M once it has not been empty for N. Unlike CoDel it drops all that is too old at
// once, so it keeps up with clients that do not slow down.
type controlledDelay struct {
	standingLine
	short time.Duration
}

func (q *controlledDelay) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	q.mu.Lock()
	b := batch{dst: dst}
	for b.open() {
		limit := q.limit
		if q.look(now, q.items.Len()) {
			limit = q.short
		}
		if q.items.Len() == 0 {
			break
		}
		if it := q.items.Front(); now-it.Offered() > limit {
			b.drop(it, Delay)
		} else {
			b.take(it)
		}
		q.items.DropFront()
	}
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return b.taken, b.dropped
}
