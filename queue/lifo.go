package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var lifoEntry = catalog.Entry[New]{
	Name:   "lifo",
	Doc:    "newest first, without bound: whoever just asked still waits for the answer",
	Source: "B. Maurer, Fail at Scale, ACM Queue 13(8), 2015 (its adaptive form)",
	New:    func(Config, catalog.Values) (Discipline, error) { return NewLIFO(), nil },
}

// NewLIFO returns an unbounded queue that serves the newest attempt first, the catalog's
// "lifo".
func NewLIFO() Discipline { return &lifo{} }

type lifo struct{ line }

func (q *lifo) Pop(_ time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	for ; taken < len(dst) && q.items.Len() > 0; taken++ {
		dst[taken] = *q.items.Back()
		q.items.DropBack()
	}
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return taken, 0
}
