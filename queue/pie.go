package queue

import (
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var pieEntry = catalog.Entry[New]{
	Name:   "pie",
	Doc:    "first come, first served; refuses newcomers at random, with a probability that follows the wait and its trend",
	Source: "R. Pan, P. Natarajan, F. Baker, G. White, RFC 8033 (2017), sections 4.2, 5.1–5.4, appendix A",
	Params: []catalog.Param{
		{Name: "target", Unit: catalog.Seconds, Default: 0.015, Min: 1e-6, Max: 3600, Doc: "wait that it aims at (QDELAY_REF)"},
		{Name: "update", Unit: catalog.Seconds, Default: 0.015, Min: 1e-6, Max: 3600, Doc: "between two updates of the probability (T_UPDATE)"},
		{Name: "burst", Unit: catalog.Seconds, Default: 0.15, Min: 0, Max: 3600, Doc: "burst that passes (MAX_BURST)"},
		{Name: "seed", Unit: "1", Default: 1, Min: 0, Max: 1 << 32, Doc: "of its coin"},
	},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		return &pie{
			pieLaw: pieLaw{target: v.Duration("target"), update: v.Duration("update"), maxBurst: v.Duration("burst"), burst: v.Duration("burst")},
			rng:    rand.New(rand.NewPCG(uint64(v["seed"]), 0x706965)),
		}, nil
	},
}

// pie takes the wait from the item at the head, as the RFC allows where time stamps are at
// hand (section 5.2).
type pie struct {
	line
	pieLaw
	rng *rand.Rand
}

func (q *pie) Push(now time.Duration, items []Item) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.catchUp(now)
	kept := 0
	for i := range items {
		if q.refuses(q.items.Len(), q.rng.Float64()) {
			items[i].Why = Delay
			continue
		}
		q.items.PushBack(items[i])
		items[kept], items[i] = items[i], items[kept]
		kept++
	}
	q.n.Store(int64(q.items.Len()))
	return kept
}

func (q *pie) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	q.mu.Lock()
	q.catchUp(now)
	taken = q.items.TakeFront(dst)
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	return taken, 0
}

// catchUp brings the law up to now, before the queue changes.
func (q *pie) catchUp(now time.Duration) {
	if q.items.Len() == 0 {
		q.idle(now)
		return
	}
	// Clocks differ: to an update before the head was offered, nothing waits.
	offered := q.items.Front().Offered()
	q.idle(min(now, offered))
	q.stands(now, offered)
}

// pieLaw is the RFC's control law, apart from the queue that it works on.
type pieLaw struct {
	target, update, maxBurst time.Duration
	burst                    time.Duration // allowance that is left
	next                     time.Duration // next update
	old                      time.Duration // wait at the last one
	p                        float64       // probability of a refusal
	accu                     float64       // accumulated since the last refusal (section 5.4)
}

// The weights of the wait and of its trend, in 1/s (section 4.2).
const pieAlpha, pieBeta = 0.125, 1.25

// idle makes the updates that are due by now if nothing has waited since the last one. After
// some hundred of them the law is at rest, and the rest of them change nothing.
func (c *pieLaw) idle(now time.Duration) (ticks int) {
	for n := c.due(now); n > 0; n-- {
		if c.p == 0 && c.old == 0 && c.burst == c.maxBurst {
			c.next += n * c.update
			break
		}
		c.tick(0)
		ticks++
	}
	return ticks
}

// stands makes the updates that are due by now if the item that was offered then has stood at
// the head since the last one. The wait grows by update from one to the next, so that the
// probability stays 0 while it is far below the target, and stays 1 once it is: those
// updates are made at once. Some thousand at most lie between.
func (c *pieLaw) stands(now, offered time.Duration) (ticks int) {
	for n := c.due(now); n > 0; {
		delay := c.next - offered
		grows := delay - c.old
		far := (c.target-delay)/c.update - 11 // updates until the wait is 11 updates below the target
		short := c.old < c.target/2 && delay < c.target/2
		switch {
		case c.p == 1 && grows >= 0 && delay >= c.target:
			c.skip(n, delay)
			return ticks
		case c.p == 0 && grows >= 0 && grows <= c.update && far > 0 && short:
			m := min(n, far, (c.target/2-1-delay)/c.update+1)
			c.skip(m, delay)
			c.burst = c.maxBurst
			n -= m
		case c.p == 0 && grows >= 0 && grows <= c.update && far > 0:
			m := min(n, far)
			c.skip(m, delay)
			n -= m
		default:
			c.tick(delay)
			ticks++
			n--
		}
	}
	return ticks
}

// due is how many updates there are by now.
func (c *pieLaw) due(now time.Duration) time.Duration {
	if now < c.next {
		return 0
	}
	return (now-c.next)/c.update + 1
}

// skip makes n updates that leave the probability as it is, the first with this wait.
func (c *pieLaw) skip(n, delay time.Duration) {
	c.next += n * c.update
	c.burst = max(0, c.burst-n*c.update)
	c.old = delay + (n-1)*c.update
}

// tick makes one update, with the wait at the head.
func (c *pieLaw) tick(delay time.Duration) {
	c.next += c.update
	dp := float64(pieAlpha*(delay-c.target).Seconds()) + float64(pieBeta*(delay-c.old).Seconds())
	// Small probabilities move in small steps (section 5.2 and appendix A).
	for _, s := range []struct{ below, divisor float64 }{{1e-6, 2048}, {1e-5, 512}, {1e-4, 128}, {1e-3, 32}, {1e-2, 8}, {1e-1, 2}} {
		if c.p < s.below {
			dp /= s.divisor
			break
		}
	}
	if c.p >= 0.1 && dp > 0.02 {
		dp = 0.02
	}
	c.p = min(1, max(0, c.p+dp))
	if delay == 0 && c.old == 0 {
		c.p = float64(c.p * 0.98)
	}
	c.burst = max(0, c.burst-c.update)
	if c.p == 0 && delay < c.target/2 && c.old < c.target/2 {
		c.burst = c.maxBurst
	}
	c.old = delay
}

// refuses decides on a newcomer that finds so many waiting, by a uniform random number.
func (c *pieLaw) refuses(queued int, coin float64) bool {
	if c.burst > 0 || c.old < c.target/2 && c.p < 0.2 || queued <= 2 {
		return false
	}
	if c.p == 0 {
		c.accu = 0
	}
	c.accu += c.p
	if c.accu < 0.85 {
		return false
	}
	if c.accu < 8.5 && coin >= c.p {
		return false
	}
	c.accu = 0
	return true
}
