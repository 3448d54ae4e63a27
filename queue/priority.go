package queue

import (
	"slices"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var priorityEntry = catalog.Entry[Wrap]{
	Name:   "priority",
	Doc:    "launches and checks before establishes, with a bound on how long those starve",
	Source: "priority queueing with a guaranteed share, as in Kubernetes API priority and fairness",
	Params: []catalog.Param{{Name: "share", Unit: "1", Default: 0.1, Min: 0, Max: 1, Doc: "share of the turns that establishes have even so"}},
	New: func(_ Config, v catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		q := &priority{every: never}
		if s := v["share"]; s > 0 {
			q.every = uint64(1/s + 0.5)
		}
		var err error
		if q.high, err = inner(); err == nil {
			q.low, err = inner()
		}
		return q, err
	},
}

// priority keeps what concerns live leases apart from what concerns lost ones.
type priority struct {
	high, low Discipline
	turn      atomic.Uint64
	every     uint64 // every so many turns the low class goes first
}

// never is a turn that does not come.
const never = 1 << 63

func (q *priority) Push(now time.Duration, items []Item) int {
	// Establishes to the back, each class in its order.
	return pushParts(now, items, func(it *Item) int {
		if it.Class == Establish {
			return 1
		}
		return 0
	}, q.high, q.low)
}

func (q *priority) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	first, second := q.high, q.low
	if q.turn.Inc()%q.every == 0 {
		first, second = second, first
	}
	if taken, dropped = first.Pop(now, dst); taken+dropped > 0 {
		return taken, dropped
	}
	return second.Pop(now, dst)
}

func (q *priority) Len() int { return q.high.Len() + q.low.Len() }

// Stale implements Rechecker.
func (q *priority) Stale(now time.Duration, it *Item) bool {
	r, ok := q.high.(Rechecker)
	return ok && r.Stale(now, it)
}

// pushParts pushes each item to the part that of says, in order within a part, and moves
// what is given up to the end; it returns how many are kept.
func pushParts(now time.Duration, items []Item, of func(*Item) int, parts ...Discipline) (kept int) {
	rest := items
	for p := range parts {
		// The part's own items to the front of the rest: stable, and small batches.
		n := 0
		for i := range rest {
			if of(&rest[i]) != p {
				continue
			}
			it := rest[i]
			copy(rest[n+1:i+1], rest[n:i])
			rest[n] = it
			n++
		}
		k := parts[p].Push(now, rest[:n])
		// What this part gave up goes behind everything, in front of which the others move.
		given := n - k
		rotate(rest[k:], given)
		rest = rest[k : len(rest)-given]
		kept += k
	}
	return kept
}

// rotate moves the first n items to the end.
func rotate(items []Item, n int) {
	if n == 0 || n == len(items) {
		return
	}
	slices.Reverse(items[:n])
	slices.Reverse(items[n:])
	slices.Reverse(items)
}
