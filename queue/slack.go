package queue

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/chunk"
)

var slackEntry = catalog.Entry[New]{
	Name:   "slack",
	Doc:    "establishes before checks, until a check's lease is about to lapse; drops what cannot be done in time",
	Source: "this project: least lease slack first",
	Params: []catalog.Param{
		{Name: "theta", Unit: "1", Default: 0.2, Min: 0, Max: 1, Doc: "θ: a check goes first when its lease has less than θ·TTL left"},
		marginParam,
		{Name: "guard", Unit: "1", Default: 1, Min: 0, Max: 1, Doc: "1: refuse a θ that breaks the guard; 0: do not, to see what it is for"},
	},
	New: newSlack,
}

// slack spends the time that checks can wait. A lease lives for several check intervals,
// so during a surge the workers can serve nothing but establishes for a while and lose no
// healthy lease, as long as a check whose lease is nearly over still goes first.
//
// Urgency is seen only when the droplet asks again. With θ·TTL below the timeout plus the
// longest wait between a timed-out attempt and the next, leases lapse before anybody sees
// that they are urgent. The catalog refuses such a θ.
type slack struct {
	mu        sync.Mutex
	establish chunk.Deque[Item] // guarded by mu, as all below; launches are with the checks
	checks    itemHeap          // by the lease's deadline
	n         atomic.Int64
	urgent    time.Duration // θ·TTL
	Margin
}

// SlackOptions are the options of [NewSlack]. With the zero value a check goes first only
// once its lease has lapsed.
type SlackOptions struct {
	// Urgent is the time to live under which a lease makes its check go before establishes.
	// It should be above the droplets' timeout plus their longest wait between attempts:
	// leases lapse unseen otherwise.
	Urgent time.Duration
	// Margin is the drop rule.
	Margin Margin
}

// Validate returns an error if an option is out of range.
func (o *SlackOptions) Validate() error {
	if o.Urgent < 0 {
		return catalog.OutOfRange("SlackOptions.Urgent", o.Urgent, "0s or more")
	}
	return o.Margin.Validate()
}

// NewSlack returns an unbounded queue that serves establishes before checks, but checks with
// an urgent lease before establishes: least lease slack first, the catalog's "slack". It
// drops, as Expired, an attempt that has less than its margin left.
func NewSlack(o SlackOptions) (Discipline, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &slack{urgent: o.Urgent, Margin: o.Margin}, nil
}

func newSlack(cfg Config, v catalog.Values) (Discipline, error) {
	urgent := time.Duration(v["theta"] * float64(cfg.TTL))
	if guard := cfg.Timeout + cfg.MaxWait; urgent <= guard && v["guard"] == 1 {
		return nil, fmt.Errorf(`queue discipline "slack": %w: theta·TTL = %g·%v = %v must be above the timeout plus the longest retry wait, %v + %v = %v: raise theta, or shorten the wait`,
			catalog.ErrParam, v["theta"], cfg.TTL, urgent, cfg.Timeout, cfg.MaxWait, guard)
	}
	return NewSlack(SlackOptions{Urgent: urgent, Margin: margins(cfg, v)})
}

func (q *slack) Push(_ time.Duration, items []Item) int {
	q.mu.Lock()
	for i := range items {
		if it := &items[i]; it.Class == Establish {
			q.establish.PushBack(*it)
		} else {
			q.checks.push(int64(it.LeaseUntil.Duration()), it)
		}
	}
	q.n.Store(int64(q.establish.Len() + q.checks.len()))
	q.mu.Unlock()
	return len(items)
}

func (q *slack) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	b := batch{dst: dst}
	for b.open() && q.establish.Len()+q.checks.len() > 0 {
		it := q.next(now)
		if q.Stale(now, &it) {
			b.drop(&it, Expired)
		} else {
			b.take(&it)
		}
	}
	q.n.Store(int64(q.establish.Len() + q.checks.len()))
	q.mu.Unlock()
	return b.taken, b.dropped
}

// next takes the next item out; there must be one.
func (q *slack) next(now time.Duration) (it Item) {
	if q.checks.len() > 0 {
		first, until := q.checks.first()
		if q.establish.Len() == 0 || time.Duration(until) < now+q.urgent {
			it = *first
			q.checks.drop()
			return it
		}
	}
	it = *q.establish.Front()
	q.establish.DropFront()
	return it
}

func (q *slack) Len() int { return int(q.n.Load()) }
