package queue

import (
	"math"
	"slices"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var priorityEntry = catalog.Entry[Wrap]{
	Name:   "priority",
	Doc:    "launches and checks before establishes, with a bound on how long those starve",
	Source: "priority queueing with a guaranteed share, as in Kubernetes API priority and fairness",
	Params: []catalog.Param{{Name: "share", Unit: "1", Default: 0.1, Min: 0, Max: 1, Doc: "share of the turns that establishes have while both wait"}},
	New: func(_ Config, v catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		high, err := inner()
		if err != nil {
			return nil, err
		}
		low, err := inner()
		if err != nil {
			return nil, err
		}
		return NewPriority(v["share"], high, low)
	},
}

// NewPriority returns a queue that serves checks and launches, which wait in high, before
// establishes, which wait in low: the catalog's "priority". While both wait, establishes have
// the given share of the turns, 0 to 1, so that they do not starve. A turn is one Pop.
func NewPriority(share float64, high, low Discipline) (Discipline, error) {
	if !(share >= 0 && share <= 1) {
		return nil, catalog.OutOfRange("share", share, "0 to 1")
	}
	return &priority{high: high, low: low, share: share, step: turnStep(share)}, nil
}

// priority keeps what concerns live leases apart from what concerns lost ones.
type priority struct {
	high, low Discipline
	share     float64
	step      uint64 // share in units of 2^-64
	turns     atomic.Uint64
}

// turnStep is a share between 0 and 1 in units of 2^-64. It is rounded up a little, so that
// a share of 0.7 has 7 of the first 10 turns though the float64 is just below 0.7.
func turnStep(share float64) uint64 {
	const most = 1 - 1.0/(1<<53) // the last below 1
	if share <= 0 || share >= most {
		return math.MaxUint64
	}
	return uint64(math.Ldexp(math.Nextafter(share, 1), 64))
}

// lowFirst says whether the next turn is the low class's. Each turn adds the share to a sum,
// and a sum that passes a whole number is such a turn: after n of them there were ⌊n·share⌋.
func (q *priority) lowFirst() bool {
	switch {
	case q.share <= 0:
		return false
	case q.share >= 1:
		return true
	}
	return q.turns.Add(q.step) < q.step
}

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
	// Where one class waits alone there is no turn to count, and no word to share.
	if q.low.Len() > 0 && (q.high.Len() == 0 || q.lowFirst()) {
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
