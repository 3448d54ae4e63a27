package queue

import (
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

const edfSource = "C. L. Liu and J. W. Layland, Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment, JACM 20(1), 1973"

var edfEntry = catalog.Entry[New]{
	Name:   "edf",
	Doc:    "earliest deadline first; what is dead is served all the same",
	Source: edfSource,
	New:    func(Config, catalog.Values) (Discipline, error) { return NewEDF(nil), nil },
}

var edfWrapper = catalog.Entry[Wrap]{
	Name:   "edf",
	Doc:    "earliest deadline first, by deadline's drop rule, as in edf+deadline",
	Source: edfSource,
	New: func(_ Config, _ catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		d, err := inner()
		if err != nil {
			return nil, err
		}
		rule, _ := d.(Rechecker)
		return NewEDF(rule), nil
	},
}

// NewEDF returns an unbounded queue that serves the earliest deadline first, the catalog's
// "edf". Of equal deadlines it serves the first that came. It drops, as Expired, each attempt
// that rule calls stale. A nil rule drops nothing; a [Margin] is the usual one.
func NewEDF(rule Rechecker) Discipline { return &edf{rule: rule} }

// edf is optimal as long as all deadlines can be met. When they cannot it is the worst
// there is without a drop rule: it always serves what is nearest to being dead, or dead.
type edf struct {
	mu   sync.Mutex
	heap itemHeap // guarded by mu
	n    atomic.Int64
	rule Rechecker // nil: nothing is dropped
}

func (q *edf) Push(_ time.Duration, items []Item) int {
	q.mu.Lock()
	for i := range items {
		q.heap.push(int64(items[i].Deadline()), &items[i])
	}
	q.n.Store(int64(q.heap.len()))
	q.mu.Unlock()
	return len(items)
}

func (q *edf) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	b := batch{dst: dst}
	for b.open() && q.heap.len() > 0 {
		it, _ := q.heap.first()
		if q.Stale(now, it) {
			b.drop(it, Expired)
		} else {
			b.take(it)
		}
		q.heap.drop()
	}
	q.n.Store(int64(q.heap.len()))
	q.mu.Unlock()
	return b.taken, b.dropped
}

func (q *edf) Len() int { return int(q.n.Load()) }

// Stale implements Rechecker.
func (q *edf) Stale(now time.Duration, it *Item) bool { return q.rule != nil && q.rule.Stale(now, it) }
