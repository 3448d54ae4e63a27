package queue

import (
	"cmp"
	"math"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var codelEntry = catalog.Entry[New]{
	Name:   "codel",
	Doc:    "first come, first served; at the head, drops one now and then, more often while the wait stands above a target",
	Source: "K. Nichols, V. Jacobson, A. McGregor, J. Iyengar, RFC 8289 (2018), sections 5.4–5.6",
	Params: []catalog.Param{
		{Name: "target", Unit: catalog.Seconds, Default: 0.005, Min: 1e-6, Max: 3600, Doc: "acceptable standing wait (RFC 8289, 4.3)"},
		{Name: "interval", Unit: catalog.Seconds, Default: 0.1, Min: 1e-6, Max: 3600, Doc: "how long the wait must stand above it (RFC 8289, 4.2)"},
		{Name: "exponent", Default: 0.5, Min: 0.01, Max: 10, Doc: "the next drop follows after interval/count^exponent; the RFC's is 0.5, for senders that slow down; 1 is for clients that do not (vitess)"},
	},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		return NewCoDel(CoDelOptions{Target: v.Duration("target"), Interval: v.Duration("interval"), Exponent: v["exponent"]})
	},
}

// CoDelOptions are the options of [NewCoDel]. The zero value is the RFC's.
type CoDelOptions struct {
	Target   time.Duration // acceptable standing wait; 0 is 5 ms
	Interval time.Duration // how long the wait must stand above the target before the first drop; 0 is 100 ms
	Exponent float64       // e: the next drop follows after Interval/count^e; 0 is 0.5
}

// Validate returns an error if an option is out of range.
func (o *CoDelOptions) Validate() error {
	switch {
	case o.Target < 0:
		return catalog.OutOfRange("CoDelOptions.Target", o.Target, "0s or more")
	case o.Interval < 0:
		return catalog.OutOfRange("CoDelOptions.Interval", o.Interval, "0s or more")
	case !(o.Exponent >= 0) || math.IsInf(o.Exponent, 0):
		return catalog.OutOfRange("CoDelOptions.Exponent", o.Exponent, "0 (the RFC's, 0.5) or more")
	}
	return nil
}

// NewCoDel returns an unbounded queue that serves in order of arrival and drops at the head,
// as Delay, ever more often while the wait stands above a target: controlled delay by RFC
// 8289, the catalog's "codel".
func NewCoDel(o CoDelOptions) (Discipline, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Target = cmp.Or(o.Target, 5*time.Millisecond)
	o.Interval = cmp.Or(o.Interval, 100*time.Millisecond)
	return &codel{codelLaw: codelLaw{target: o.Target, interval: o.Interval, exponent: cmp.Or(o.Exponent, 0.5)}}, nil
}

// codel is the RFC's pseudo-code, with one change that the RFC's packets bring with
// them: "less than an MTU waits" is "nothing else waits".
//
// Its drop rate grows as t/(2·interval²): 500 a second after 10 s. That is enough for
// TCP, which slows down when something is dropped. Droplets do not. With exponent 1 the rate grows as
// e^(t/interval). Vitess has that law in a form of its own: [codelVitess].
type codel struct {
	line
	codelLaw
}

func (q *codel) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	b := batch{dst: dst}
	for b.open() && q.items.Len() > 0 {
		it := q.items.Front()
		if q.drops(now, now-it.Offered(), q.items.Len() == 1) {
			b.drop(it, Delay)
		} else {
			b.take(it)
		}
		q.items.DropFront()
	}
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return b.taken, b.dropped
}

// codelLaw is the RFC's control law, apart from the queue that it works on: it is asked
// about each item at the head, in turn.
type codelLaw struct {
	target, interval time.Duration
	exponent         float64
	firstAbove       time.Duration // when the wait will have stood above target for an interval; 0: it does not
	dropNext         time.Duration
	count, lastCount int
	dropping         bool
}

// drops decides on the item at the head, which has waited for sojourn and may be the last.
func (c *codelLaw) drops(now, sojourn time.Duration, last bool) bool {
	standing := c.stands(now, sojourn, last)
	switch {
	case c.dropping && !standing:
		c.dropping = false
		return false
	case c.dropping:
		if now < c.dropNext {
			return false
		}
		c.count++
		c.dropNext = c.law(c.dropNext)
		return true
	case !standing:
		return false
	}
	c.dropping = true
	// If the last dropping state is not long ago, its rate is where this one starts.
	delta := c.count - c.lastCount
	if c.count = 1; delta > 1 && now-c.dropNext < 16*c.interval {
		c.count = delta
	}
	c.dropNext = c.law(now)
	c.lastCount = c.count
	return true
}

// stands says whether the wait has been above the target for an interval.
func (c *codelLaw) stands(now, sojourn time.Duration, last bool) bool {
	if sojourn < c.target || last {
		c.firstAbove = 0
		return false
	}
	if c.firstAbove == 0 {
		c.firstAbove = max(1, now+c.interval)
		return false
	}
	return now >= c.firstAbove
}

func (c *codelLaw) law(t time.Duration) time.Duration {
	return t + codelStep(c.interval, c.count, c.exponent)
}

// codelStep is interval/count^exponent, at least 1 ns.
func codelStep(interval time.Duration, count int, exponent float64) time.Duration {
	n := float64(count)
	switch exponent {
	case 0.5:
		n = math.Sqrt(n)
	case 1:
	default:
		n = det.Pow(n, exponent)
	}
	return max(1, time.Duration(float64(interval)/n))
}
