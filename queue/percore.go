package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var percoreEntry = catalog.Entry[Wrap]{
	Name:   "percore",
	Doc:    "a discipline of its own for each worker; who has nothing steals from the longest",
	Source: "R. D. Blumofe and C. E. Leiserson, Scheduling Multithreaded Computations by Work Stealing, JACM 46(5), 1999; M. Mitzenmacher, The Power of Two Choices, IEEE TPDS 12(10), 2001",
	Params: []catalog.Param{{Name: "parts", Unit: "parts", Default: 0, Min: 0, Max: 4096, Doc: "parts; 0: one a worker"}},
	New:    newPercore,
}

// NewPerCore returns a queue in parts, one for each worker: the catalog's "percore". inner
// makes one part. Workers pop from their own parts through [Sharder], and steal from the
// longest part when their own is empty. There is order within a part, and none between parts.
func NewPerCore(parts int, inner func() (Discipline, error)) (Discipline, error) {
	if parts < 1 {
		return nil, catalog.OutOfRange("parts", parts, "at least 1")
	}
	q := &percore{parts: make([]Discipline, parts)}
	for i := range q.parts {
		var err error
		if q.parts[i], err = inner(); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// percore spreads batches over one part per worker, so that on many cores nobody waits for one
// lock. A batch goes as a whole to the shorter of two parts: one in rotation and one by a hash
// of the rotation's number. The parts know nothing of cores: worker i pops from part i modulo
// their number, and pushers choose freely.
//
// The price is order between the parts. BenchmarkRankError measures how many older items still
// wait when one is taken, and docs/architecture.md states it.
type percore struct {
	parts []Discipline
	turn  word
}

func newPercore(cfg Config, v catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
	n := v.Int("parts")
	if n == 0 {
		n = max(1, cfg.Workers)
	}
	return NewPerCore(n, inner)
}

func (q *percore) Push(now time.Duration, items []Item) int {
	if len(items) == 0 {
		return 0
	}
	t := q.turn.Add(1)
	n := uint64(len(q.parts))
	a, b := q.parts[t%n], q.parts[(t*0x9e3779b97f4a7c15>>32)%n]
	if b.Len() < a.Len() {
		a = b
	}
	return a.Push(now, items)
}

// Pop is for a caller without a view: it takes from the longest part.
func (q *percore) Pop(now time.Duration, dst []Item) (taken, dropped int) { return q.steal(now, dst) }

// steal takes from the longest part. A part that has nothing for it, since others came
// first or its pushers stand between their reservations and their items, is passed over:
// the next that has any is as good.
func (q *percore) steal(now time.Duration, dst []Item) (taken, dropped int) {
	if len(dst) == 0 {
		return 0, 0
	}
	longest, most := 0, 0
	for i, p := range q.parts {
		if n := p.Len(); n > most {
			longest, most = i, n
		}
	}
	if most == 0 {
		return 0, 0
	}
	for i := range q.parts {
		part := q.parts[(longest+i)%len(q.parts)]
		if i > 0 {
			most = part.Len()
		}
		if most == 0 {
			continue
		}
		// Half of it at most: its own worker goes on with the rest.
		n := min(len(dst), (most+1)/2)
		if taken, dropped = part.Pop(now, dst[:n]); taken+dropped > 0 {
			copy(dst[len(dst)-dropped:], dst[n-dropped:n])
			return taken, dropped
		}
	}
	return 0, 0
}

func (q *percore) Len() (n int) {
	for _, p := range q.parts {
		n += p.Len()
	}
	return n
}

// View implements Sharder.
func (q *percore) View(worker int) Discipline {
	return percoreView{q, q.parts[uint(worker)%uint(len(q.parts))]}
}

// Stale implements Rechecker.
func (q *percore) Stale(now time.Duration, it *Item) bool {
	r, ok := q.parts[0].(Rechecker)
	return ok && r.Stale(now, it)
}

type percoreView struct {
	*percore
	own Discipline
}

func (v percoreView) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if taken, dropped = v.own.Pop(now, dst); taken+dropped > 0 {
		return taken, dropped
	}
	return v.steal(now, dst)
}
