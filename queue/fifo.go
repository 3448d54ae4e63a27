package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var fifoEntry = catalog.Entry[New]{
	Name:   "fifo",
	Doc:    "first come, first served, without bound: what an outage's work queue is by default",
	Source: "no discipline",
	New:    func(Config, catalog.Values) (Discipline, error) { return NewFIFO(), nil },
}

// NewFIFO returns an unbounded queue that serves in order of arrival, the catalog's "fifo".
func NewFIFO() Discipline { return &fifo{} }

type fifo struct{ line }

func (q *fifo) Pop(_ time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	taken = q.items.TakeFront(dst)
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return taken, 0
}

// InOrder implements InOrder.
func (*fifo) InOrder() bool { return true }

// Peek implements InOrder.
func (q *fifo) Peek(dst []Item) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items.Peek(dst)
}
