package admit

import (
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var cinnamonEntry = catalog.Entry[New]{
	Name: "cinnamon",
	Doc:  "admits by priority, class first and then a cohort of droplets; a PI controller on the growth of the queue behind a self-tuned limit moves the threshold",
	Source: "Uber Engineering Blog, Cinnamon: Using Century Old Tech to Build a Mean Load Shedder, PID Controller for Cinnamon, Cinnamon Auto-Tuner, 2023; " +
		"constants of jfrz38/rate-limit-pid-controller, a port: Uber's own code is closed",
	Params: []catalog.Param{
		{Name: "kp", Unit: "1", Default: 0.1, Min: 0, Max: 100, Doc: "weight of the queue's growth"},
		{Name: "ki", Unit: "1", Default: 1.4, Min: 0, Max: 100, Doc: "weight of its sum over time, per second"},
		{Name: "tick", Unit: catalog.Seconds, Default: 0.5, Min: 1e-3, Max: 3600, Doc: "between two moves of the threshold"},
		{Name: "patience", Unit: catalog.Seconds, Default: 10, Min: 0, Max: 3600, Doc: "a queue that was empty less than this ago is no overload"},
		{Name: "initial", Unit: "attempts", Default: 10, Min: 1, Max: cinnamonMost, Doc: "limit at the start"},
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		return &cinnamon{
			kp: v["kp"], ki: v["ki"], tick: max(1, v.Duration("tick")), patience: v.Duration("patience"), threshold: cinnamonAll,
			tuner: newCinnamonTuner(v["initial"], float64(cfg.Workers), float64(cfg.Timeout)/10),
		}, nil
	},
}

// cinnamon admits an attempt whose priority is at or below a threshold. The priority is the class
// (checks, launches, establishes: Uber has six tiers, a lease manager three) and one of 128 cohorts.
// A droplet's cohort never changes, so that the same droplets are shed together.
//
// The attempts in the manager beyond a limit L are the queue (see cinnamonTuner). Once a tick, of
// those that came in, that went out, and the free places below L:
//
//	e = (in − (out + free))/out, with L for an out of 0
//	u = kp·e + ki·∫e dt, held to 0 to 1
//
// A share u of the attempts is refused: the threshold is the (1 − u) quantile of the priorities of
// the last 1,000 attempts, if they came within 30 s. Nothing is refused until the queue has not been
// empty for a while. An empty queue ends the integral. ∫e dt is the time in which the queue drains,
// and has no upper bound here: with one, a queue that merely stands would stand for good.
//
// Uber's queue serves by priority and evicts what has waited for a third of its timeout. That is the
// discipline's part. Behind a plain fifo the patience of 10 s lets ten seconds of dead work in.
//
// What is known: the posts have the error, the tiers and cohorts, the covariance and the queue. The
// gains, the tick, the patience, the eviction and the tuner's constants are the port's or from
// memory; none was verified in Uber's own code. The port's first version assigns the queue's length
// to the limit instead of its own step. That is not copied.
type cinnamon struct {
	kp, ki         float64
	tick, patience time.Duration

	mu        sync.Mutex // guards what follows
	inside    int64
	empty     time.Duration // when the queue was last seen empty
	at        int64         // number of the present tick
	in, out   int64         // of it
	integral  float64       // s
	threshold int64
	seen      cinnamonWindow
	tuner     *cinnamonTuner
}

// cinnamonAll is the threshold that admits every priority.
const cinnamonAll = dagorLevels - 1

func cinnamonPriority(it *queue.Item) int64 {
	return dagorBusiness[it.Class]*dagorCohorts + cohort(uint64(it.Droplet))
}

// Admit implements Controller.
func (c *cinnamon) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	n := partition(items, func(it *queue.Item) bool {
		p := cinnamonPriority(it)
		c.seen.add(now, p)
		return p <= c.threshold
	})
	c.in += int64(n)
	c.inside += int64(n)
	c.tuner.inside(c.inside)
	return n
}

// Done implements Controller.
func (c *cinnamon) Done(now time.Duration, it *queue.Item, _ time.Duration, _ queue.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	c.out++
	c.inside--
	c.tuner.ended(now, it.Offered())
	c.look(now)
}

// turn ends the tick, the tuner's interval and what else is over.
func (c *cinnamon) turn(now time.Duration) {
	c.tuner.turn(now, c.inside)
	c.look(now)
	at := int64(now / c.tick)
	if at <= c.at {
		return
	}
	limit := c.tuner.places()
	e := cinnamonError(c.in, c.out, max(0, limit-c.inside), limit)
	if at > c.at+1 {
		// Nothing came and nothing went since the tick ended, while the queue stood.
		c.integral = max(0, c.integral+float64(e*c.tick.Seconds()))
		e = 0
	}
	c.at, c.in, c.out = at, 0, 0
	c.threshold = cinnamonAll
	if c.inside <= limit {
		c.integral = 0
		return
	}
	if u := c.share(e); now-c.empty >= c.patience {
		c.seen.forget(now)
		c.threshold = c.seen.quantile(1 - u)
	}
}

// look notes an empty queue. It is no overload any more.
func (c *cinnamon) look(now time.Duration) {
	if c.inside <= c.tuner.places() {
		c.empty = max(c.empty, now)
		c.threshold, c.integral = cinnamonAll, 0
	}
}

// share is the PI controller's step: the share of attempts to refuse.
func (c *cinnamon) share(e float64) float64 {
	dt := c.tick.Seconds()
	c.integral = max(0, c.integral+float64(e*dt))
	return min(max(float64(c.kp*e)+float64(c.ki*c.integral), 0), 1)
}

// cinnamonError is how much faster the queue and its free places fill than they empty.
func cinnamonError(in, out, free, limit int64) float64 {
	of := out
	if of == 0 {
		of = limit
	}
	return float64(in-(out+free)) / float64(of)
}

// cinnamonWindow has the priorities of the last attempts at the door.
type cinnamonWindow struct {
	last [1000]struct {
		at       time.Duration
		priority int16
	}
	first, n int // the oldest, and how many
	count    [dagorLevels]int32
}

// cinnamonMemory is how long a priority counts.
const cinnamonMemory = 30 * time.Second

func (w *cinnamonWindow) add(now time.Duration, priority int64) {
	if w.n == len(w.last) {
		w.drop()
	}
	at := &w.last[(w.first+w.n)%len(w.last)]
	at.at, at.priority = now, int16(priority)
	w.count[priority]++
	w.n++
}

func (w *cinnamonWindow) drop() {
	w.count[w.last[w.first].priority]--
	w.first = (w.first + 1) % len(w.last)
	w.n--
}

// forget drops what is too old.
func (w *cinnamonWindow) forget(now time.Duration) {
	for w.n > 0 && now-w.last[w.first].at > cinnamonMemory {
		w.drop()
	}
}

// quantile is the least priority that, with all better ones, has a share of the attempts; −1 for
// none of them.
func (w *cinnamonWindow) quantile(share float64) int64 {
	if share <= 0 {
		return -1
	}
	below := int32(0)
	for p, n := range w.count {
		if below += n; n > 0 && float64(below) >= share*float64(w.n) {
			return int64(p)
		}
	}
	return cinnamonAll
}
