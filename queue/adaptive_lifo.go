package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var adaptiveLifoEntry = catalog.Entry[New]{
	Name:   "adaptive-lifo",
	Doc:    "fifo while the queue is empty now and then; newest first once it stands",
	Source: "B. Maurer, Fail at Scale, ACM Queue 13(8), 2015",
	Params: []catalog.Param{standsParam},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		return &adaptiveLifo{standingLine{standing: standing{limit: v.Duration("stands")}}}, nil
	},
}

var standsParam = catalog.Param{
	Name: "stands", Unit: catalog.Seconds, Default: 0.1, Min: 1e-6, Max: 3600, Doc: "how long a queue has not been empty when it stands (N in the source)",
}

// standing says whether a queue has not been empty for a while.
type standing struct {
	limit time.Duration
	empty time.Duration // when it was last empty
}

// look notes the queue's length; it is asked before each item is taken.
func (s *standing) look(now time.Duration, n int) bool {
	if n == 0 {
		s.empty = now
	}
	return now-s.empty > s.limit
}

// standingLine is a line that knows whether it stands.
type standingLine struct {
	line
	standing // guarded by line.mu
}

// Push notes whether the queue was empty until now.
func (q *standingLine) Push(now time.Duration, items []Item) int {
	q.mu.Lock()
	q.look(now, q.items.Len())
	q.items.Append(items)
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return len(items)
}

type adaptiveLifo struct{ standingLine }

func (q *adaptiveLifo) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	q.mu.Lock()
	newest := q.look(now, q.items.Len())
	for ; taken < len(dst) && q.items.Len() > 0; taken++ {
		if newest {
			dst[taken] = *q.items.Back()
			q.items.DropBack()
		} else {
			dst[taken] = *q.items.Front()
			q.items.DropFront()
		}
	}
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return taken, 0
}
