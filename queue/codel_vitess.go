package queue

import (
	"math"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/chunk"
)

var codelVitessEntry = catalog.Entry[New]{
	Name:   "codel-vitess",
	Doc:    "first come, first served; drops by a clock, more and more often until one is served that has waited for less than a target",
	Source: "slackhq/vitess, go/vt/vttablet/tabletserver/loadshed (\"Snake\"), codelq.go; proposed as vitessio/vitess #20639 (2026)",
	Params: []catalog.Param{
		{Name: "target", Unit: catalog.Seconds, Default: 0.005, Min: 1e-6, Max: 3600, Doc: "a wait below it stops the drops"},
		{Name: "interval", Unit: catalog.Seconds, Default: 0.1, Min: 1e-6, Max: 3600, Doc: "from the first arrival to the first drop; vitess' is 20 targets"},
		{Name: "exponent", Default: 1, Min: 0.01, Max: 10, Doc: "the next drop follows after interval/count^exponent"},
		{Name: "ease", Default: 3, Min: 1.01, Max: 1000, Doc: "base b: without drops count falls by log_b(count)/b a step, by 1 at least"},
		{Name: "floor", Unit: "attempts", Default: 4, Min: 0, Max: 1e9, Doc: "nothing is dropped while no more wait"},
		{Name: "classes", Default: 0, Min: 0, Max: 1, Doc: "1: drops establishes before checks and launches; 0: the oldest of all"},
	},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		return &codelVitess{
			target: v.Duration("target"), law: vitessLaw{interval: v.Duration("interval"), exponent: v["exponent"], ease: v["ease"], count: 1},
			floor: v.Int("floor"), byClass: v["classes"] >= 0.5,
		}, nil
	},
}

// codelVitess differs from [codel] in five points beside the exponent. A timer drives the drops, so that they
// come while no worker asks. The clock starts at the first arrival. The second drop follows interval/2^e after
// the first. Count does not vanish when the wait is short again, but eases step by step. The victim is the
// oldest of the lowest priority, not the head.
//
// The timer's steps are made at the next Push or Pop, as of the times at which they were due. No item comes or
// goes between, so that the drops are those of a timer. Vitess tells the client at once; here the client waits
// for its time-out, as with all items that are given up as Delay.
type codelVitess struct {
	line                        // of the lowest priority, or of all
	high    chunk.Deque[queued] // guarded by mu, as is all below; what is dropped last
	lowSeq  chunk.Deque[uint64] // the numbers of line's items, by class only
	seq     uint64
	shed    chunk.Deque[Item] // dropped, and not yet given back
	law     vitessLaw
	target  time.Duration
	floor   int
	byClass bool
}

// queued is an item and its number in the order of arrival.
type queued struct {
	Item
	seq uint64
}

// Push implements Discipline. It gives back as many of the dropped as there is room for, the oldest first.
func (q *codelVitess) Push(now time.Duration, items []Item) int {
	q.mu.Lock()
	q.run(now)
	for i := range items {
		q.seq++
		if q.byClass && items[i].Class != Establish {
			q.high.PushBack(queued{items[i], q.seq})
		} else {
			q.items.PushBack(items[i])
			if q.byClass {
				q.lowSeq.PushBack(q.seq)
			}
		}
		q.law.arrive(now, q.waiting())
	}
	kept := len(items) - min(len(items), q.shed.Len())
	q.shed.TakeFront(items[kept:])
	q.store()
	q.mu.Unlock()
	return kept
}

// Pop implements Discipline.
func (q *codelVitess) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	q.run(now)
	b := batch{dst: dst}
	for ; b.open() && q.shed.Len() > 0; q.shed.DropFront() {
		b.drop(q.shed.Front(), Delay)
	}
	for b.open() && q.waiting() > 0 {
		it, low := q.head()
		b.take(it)
		sojourn := now - it.Offered()
		q.remove(low)
		q.law.served(sojourn < q.target || q.waiting() == 0)
	}
	q.store()
	q.mu.Unlock()
	return b.taken, b.dropped
}

func (q *codelVitess) waiting() int { return q.items.Len() + q.high.Len() }

func (q *codelVitess) store() { q.n.Store(int64(q.waiting() + q.shed.Len())) }

// head is the oldest item of all, and whether it is of the lowest priority.
func (q *codelVitess) head() (it *Item, low bool) {
	if q.high.Len() > 0 && (q.items.Len() == 0 || q.high.Front().seq < *q.lowSeq.Front()) {
		return &q.high.Front().Item, false
	}
	return q.items.Front(), true
}

// victim is the oldest item of the lowest priority that waits, as head is.
func (q *codelVitess) victim() (it *Item, low bool) {
	if q.items.Len() > 0 {
		return q.items.Front(), true
	}
	return &q.high.Front().Item, false
}

func (q *codelVitess) remove(low bool) {
	if !low {
		q.high.DropFront()
		return
	}
	q.items.DropFront()
	if q.byClass {
		q.lowSeq.DropFront()
	}
}

// run makes the steps that were due by now.
func (q *codelVitess) run(now time.Duration) {
	for q.law.due(now, q.waiting()) {
		can := q.waiting() > q.floor
		if can && q.law.dropping {
			it, low := q.victim()
			it.Why = Delay
			q.shed.PushBack(*it)
			q.remove(low)
		}
		oldest := time.Duration(math.MaxInt64)
		if q.waiting() > 0 {
			it, _ := q.head()
			oldest = it.Offered()
		}
		q.law.step(now, oldest, can)
	}
}

// vitessLaw is the control law, apart from the queue that it works on.
type vitessLaw struct {
	interval       time.Duration
	exponent, ease float64
	count          int
	next           time.Duration // the timer; 0: not armed
	dropping       bool          // the next step drops
}

// arrive notes an arrival, after which so many wait. The first is held guilty until one is served in time.
func (c *vitessLaw) arrive(now time.Duration, waiting int) {
	if c.next == 0 || waiting == 1 {
		c.next = c.after(now)
		c.dropping = true
	}
}

// served notes that an item was served. healthy: its wait was below the target, or nothing waits any more.
func (c *vitessLaw) served(healthy bool) { c.dropping = c.dropping && !healthy }

// due says whether a step is due by now while so many wait. It disarms the timer when the law is at rest.
func (c *vitessLaw) due(now time.Duration, waiting int) bool {
	if c.next == 0 || now < c.next {
		return false
	}
	if waiting == 0 && c.count == 1 {
		c.next = 0
		return false
	}
	return true
}

// step is one step of the timer. can: more than the floor waited, so that a step that drops has dropped one.
// oldest is when the head has come, or beyond all time if nothing waits.
func (c *vitessLaw) step(now, oldest time.Duration, can bool) {
	switch {
	case c.dropping && can:
		c.count++
		c.next = c.after(c.next)
	case c.count > 1:
		// log_b(count)/b is a whole number exactly where count is a power of b^b: a rounding must not go below it.
		less := int(det.Log(float64(c.count))/(det.Log(c.ease)*c.ease) + 1e-9)
		c.count = max(1, c.count-max(1, less))
		c.next = c.after(c.next)
	default: // at rest: the steps up to the next one that can change something, made at once
		to := now
		if can {
			to = min(now, max(c.next, oldest))
		}
		c.next += ((to-c.next)/c.interval + 1) * c.interval
	}
	c.dropping = oldest < c.next
}

// after is when the step after one at t is due.
func (c *vitessLaw) after(t time.Duration) time.Duration {
	return t + codelStep(c.interval, c.count, c.exponent)
}
