package admit

import (
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

var dagorEntry = catalog.Entry[New]{
	Name:   "dagor",
	Doc:    "admits by priority, business first and then a cohort of droplets; the threshold moves with the mean wait",
	Source: "H. Zhou et al., Overload Control for Scaling WeChat Microservices, SoCC 2018",
	Params: []catalog.Param{
		{Name: "target", Unit: "timeouts", Default: 0.04, Min: 1e-6, Max: 100, Doc: "mean wait above which the manager is overloaded (20 ms of a timeout of 500)"},
		{Name: "window", Unit: "timeouts", Default: 1, Min: 1e-3, Max: 1000, Doc: "longest window"},
		{Name: "requests", Unit: "attempts", Default: 2000, Min: 1, Max: 1e9, Doc: "or so many attempts at the door"},
		{Name: "alpha", Unit: "1", Default: 0.05, Min: 1e-4, Max: 0.999, Doc: "share of those admitted by which the next window admits fewer under overload"},
		{Name: "beta", Unit: "1", Default: 0.01, Min: 1e-4, Max: 10, Doc: "share of all that came by which it admits more otherwise"},
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		c := &dagor{
			target: nanos(v["target"] * float64(cfg.Timeout)), window: nanos(v["window"] * float64(cfg.Timeout)),
			requests: v.Int("requests"), alpha: v["alpha"], beta: v["beta"],
		}
		c.cursor.Store(dagorLevels - 1)
		return c, nil
	},
}

// An attempt's level is its class (checks, then launches, then establishes: what keeps a
// lease comes before what asks for one) and one of 128 cohorts, drawn anew each hour so
// that nobody is always the last.
const (
	dagorCohorts = 128
	dagorLevels  = int64(queue.Classes) * dagorCohorts
)

var dagorBusiness = [queue.Classes]int64{queue.Check: 0, queue.Launch: 1, queue.Establish: 2}

// dagor admits what is at or below a cursor. At the end of a window, of a time or of a
// number of attempts, the cursor moves by the window's own histogram of levels: under
// overload to where (1−α) of those admitted would have been, else to where β of all that
// came would have been more.
type dagor struct {
	target, window time.Duration
	requests       int
	alpha, beta    float64
	cursor         atomic.Int64
	end            atomic.Int64    // of the window
	_              [pad.Bytes]byte // keeps the workers' sums from the doors' reads
	waits          tally
	_              [pad.Bytes]byte

	mu       sync.Mutex         // guards what follows
	came     [dagorLevels]int32 // requests, 10^9, and a batch at most
	all      int
	admitted int
}

func dagorLevel(now time.Duration, it *queue.Item) int64 {
	return dagorBusiness[it.Class]*dagorCohorts + cohort(uint64(it.Droplet)^uint64(now/time.Hour)<<32)
}

// cohort is one of dagorCohorts, each as likely as another.
func cohort(of uint64) int64 {
	h := of * 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return int64(h >> 57)
}

// Admit implements Controller.
func (c *dagor) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	c.rest(now)
	cursor := c.cursor.Load()
	n := partition(items, func(it *queue.Item) bool { return dagorLevel(now, it) <= cursor })
	c.mu.Lock()
	for i := range items {
		c.came[dagorLevel(now, &items[i])]++
	}
	c.all += len(items)
	c.admitted += n
	c.turn(now)
	c.mu.Unlock()
	return n
}

// Done implements Controller.
func (c *dagor) Done(now time.Duration, _ *queue.Item, sojourn time.Duration, _ queue.Outcome) {
	c.rest(now)
	c.waits.add(sojourn)
	if int64(now) >= c.end.Load() {
		c.mu.Lock()
		c.turn(now)
		c.mu.Unlock()
	}
}

// rest ends a window that was over a whole window ago: then nothing has come since, and what
// comes now is of another window. One in which nothing came leaves the cursor where it is.
func (c *dagor) rest(now time.Duration) {
	if int64(now) < c.end.Load()+int64(c.window) {
		return
	}
	c.mu.Lock()
	c.turn(now)
	c.mu.Unlock()
}

// turn ends the window if it is over.
func (c *dagor) turn(now time.Duration) {
	if int64(now) < c.end.Load() && c.all < c.requests {
		return
	}
	taken, waits := c.waits.take()
	c.cursor.Store(c.next(taken > 0 && time.Duration(waits/float64(taken)) > c.target))
	c.end.Store(int64(now + c.window))
	c.came = [dagorLevels]int32{}
	c.all, c.admitted = 0, 0
}

// next is where the window's histogram puts the cursor.
func (c *dagor) next(overloaded bool) int64 {
	cursor := c.cursor.Load()
	if overloaded {
		// Down while more than the target are below.
		sum, target := float64(c.admitted), (1-c.alpha)*float64(c.admitted)
		for cursor > 0 && sum > target {
			sum -= float64(c.came[cursor])
			cursor--
		}
		return cursor
	}
	sum, target := float64(c.admitted), float64(c.admitted)+float64(c.beta*float64(c.all))
	for cursor < dagorLevels-1 && sum < target {
		cursor++
		sum += float64(c.came[cursor])
	}
	return cursor
}
