package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// marginParam is the margin that every dropping discipline takes.
var marginParam = catalog.Param{
	Name: "margin", Unit: "services", Default: 1, Min: 0, Max: 1000,
	Doc: "drop what has less than this many of its expected services left; 0: only what is past its deadline",
}

// margins are what an item of each class must have left to be taken up.
//
// Without a margin, and with deadlines that retry jitter has spread, the head is
// always the attempt that is about to expire: it is taken up alive and finished late.
func margins(cfg Config, v catalog.Values) (m [Classes]time.Duration) {
	for class, s := range cfg.Service {
		m[class] = time.Duration(v["margin"] * float64(s))
	}
	return m
}

var deadlineEntry = catalog.Entry[New]{
	Name:   "deadline",
	Doc:    "first come, first served; at the head, drops what cannot be done before its deadline",
	Source: "deadline propagation, as gRPC servers do it; J. Dean and L. A. Barroso, The Tail at Scale, CACM 56(2), 2013",
	Params: []catalog.Param{marginParam},
	New: func(cfg Config, v catalog.Values) (Discipline, error) {
		return &deadline{margin: margins(cfg, v)}, nil
	},
}

type deadline struct {
	line
	margin [Classes]time.Duration
}

func (q *deadline) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	b := batch{dst: dst}
	for b.open() && q.items.Len() > 0 {
		it := q.items.Front()
		if q.Stale(now, it) {
			b.drop(it, Expired)
		} else {
			b.take(it)
		}
		q.items.DropFront()
	}
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return b.taken, b.dropped
}

// Stale implements Rechecker.
func (q *deadline) Stale(now time.Duration, it *Item) bool {
	return now+q.margin[it.Class] >= it.Deadline()
}
