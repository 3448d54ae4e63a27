package queue

import (
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// marginParam is the margin that every dropping discipline takes.
var marginParam = catalog.Param{
	Name: "margin", Unit: "services", Default: 1, Min: 0, Max: 1000,
	Doc: "drop what has less than this many of its expected services left; 0: only what is past its deadline",
}

// Margin is the time that an attempt of each class must have left before its deadline to be
// served. A good margin is the class's expected service time: an attempt with less left is
// taken up alive and finished late. The zero value drops only attempts that are past their
// deadline.
//
// A Margin is a [Rechecker], so that it can be the drop rule of [NewEDF].
type Margin [Classes]time.Duration

// Validate returns an error if a margin is negative.
func (m *Margin) Validate() error {
	for class, d := range m {
		if d < 0 {
			return catalog.OutOfRange(fmt.Sprintf("Margin[%v]", Class(class)), d, "0s or more")
		}
	}
	return nil
}

// Stale implements Rechecker. It says whether the attempt has less than its margin left.
func (m *Margin) Stale(now time.Duration, it *Item) bool {
	return now+m[it.Class] >= it.Deadline()
}

// margins are the margins of a run: a number of expected services.
func margins(cfg Config, v catalog.Values) (m Margin) {
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
		return NewDeadline(margins(cfg, v))
	},
}

// NewDeadline returns an unbounded queue that serves in order of arrival and drops an attempt
// at the head that has less than its margin left, the catalog's "deadline". The reason is
// Expired.
func NewDeadline(margin Margin) (Discipline, error) {
	if err := margin.Validate(); err != nil {
		return nil, err
	}
	return &deadline{Margin: margin}, nil
}

type deadline struct {
	line
	Margin
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
