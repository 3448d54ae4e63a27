package admit

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var predictedWaitEntry = catalog.Entry[New]{
	Name:   "predicted-wait",
	Doc:    "refuses an attempt whose predicted wait behind those of its own zone passes its deadline; meant for a queue that serves the zones in turn (fair)",
	Source: "NVIDIA infra-controller, crates/api-core/src/admission (engine.rs @64f744bd, peak_ewma.rs @4e28022, retry.rs); pull requests 5662 and 5666",
	Params: []catalog.Param{
		{Name: "share", Unit: "1", Default: 0.125, Min: 0.001, Max: 1, Doc: "share of the workers that a zone is sure of (8 of 64)"},
		{Name: "depth", Unit: "timeouts", Default: 1, Min: 1e-6, Max: 1000, Doc: "attempts that may wait, as the time in which the workers serve so many establishes; a zone has its share"},
		{Name: "within", Unit: "1", Default: 1, Min: 0.01, Max: 1, Doc: "share of the time to the deadline that the predicted wait may fill"},
		{Name: "idle", Unit: "timeouts", Default: 60, Min: 1e-3, Max: 1e6, Doc: "a zone that has nothing inside for so long is forgotten"},
		{Name: "global", Unit: "1", Default: 0, Min: 0, Max: 1, Doc: "1: test the wait behind the attempts of all zones, too, as before the source's pull request 5666"},
		seedParam,
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		pending := min(max(1, v["depth"]*cfg.Timeout.Seconds()*cfg.Capacity), 1e15)
		return newPredictedWait(cfg, v["share"], pending, v["within"], nanos(v["idle"]*float64(cfg.Timeout)), v["global"] >= 0.5, uint64(v["seed"])), nil
	},
}

// predictedWait knows, of each zone and of all, the number n of attempts in the manager and the
// peak x of their service times of late. It predicts the wait of a newcomer by complete batches; a
// partial batch costs nothing:
//
//	wait = ⌊n/m⌋·x, with m workers
//
// A zone is sure of a share of the workers if the queue serves the zones in turn; m may be below 1,
// and then 1/m turns pass between two of the zone's. An attempt is refused in this order: all places
// to wait are taken; the zone's are; its zone's wait is longer than the time to its deadline. The
// wrong form tests the wait of all zones as well. It counts attempts that a queue in turn passes
// over, so that one zone's surge shuts the others out.
//
// A refused attempt is told to come back after ⌈n/m⌉·x, the larger of its zone's and all zones', held
// to 1 to 30 s before and after a jitter of ±20 %, in whole seconds. The source's clients are users,
// services or machines with a queue each. A zone that was idle for a while begins anew; how long the
// source waits for that was not seen.
type predictedWait struct {
	pending   float64 // most attempts that wait, of all zones
	share     float64
	within    float64
	idle      time.Duration
	global    bool
	mu        sync.Mutex // guards what follows
	all       scope
	zones     [256]scope
	firstPeak float64 // peak of a zone of which nothing is known
	rng       *rand.Rand
}

// scope is a zone, or all of them.
type scope struct {
	workers float64
	inside  int64
	peak    float64       // ns, see peakOf
	since   time.Duration // the last end; meaningful while nothing is inside
}

func newPredictedWait(cfg Config, share, pending, within float64, idle time.Duration, global bool, seed uint64) *predictedWait {
	workers := float64(cfg.Workers)
	c := &predictedWait{
		pending: pending, share: share, within: within, idle: idle, global: global,
		firstPeak: float64(cfg.Timeout) * workers / pending, rng: rand.New(rand.NewPCG(seed, 0x70726564)),
	}
	c.all = scope{workers: workers, peak: c.firstPeak}
	for i := range c.zones {
		c.zones[i] = scope{workers: share * workers, peak: c.firstPeak}
	}
	return c
}

// Admit implements Controller.
func (c *predictedWait) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := partition(items, func(it *queue.Item) bool {
		zone := &c.zones[it.Zone]
		if zone.inside == 0 && now-zone.since >= c.idle {
			zone.peak = c.firstPeak
		}
		left := c.within * float64(it.Deadline()-now)
		if c.all.full(c.pending) || zone.full(c.share*c.pending) || zone.wait() > left || c.global && c.all.wait() > left {
			return false
		}
		c.all.inside++
		zone.inside++
		return true
	})
	for i := n; i < len(items); i++ {
		advice := advise(max(c.zones[items[i].Zone].drain(), c.all.drain()), c.rng.IntN(2*adviceJitter+1)-adviceJitter)
		items[i].SetRetryAfter(advice)
	}
	return n
}

// Done implements Controller. An attempt that was not served has no service time.
func (c *predictedWait) Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome) {
	service := float64(max(0, now-it.Offered()-sojourn))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*scope{&c.all, &c.zones[it.Zone]} {
		s.inside--
		s.since = now
		if out != queue.Shed {
			s.peak = peakOf(s.peak, service)
		}
	}
}

// full says whether so many attempts wait and every worker of the scope is busy.
func (s *scope) full(pending float64) bool { return float64(s.inside) >= float64(pending)+s.workers }

// wait is the time until a newcomer is served, in ns: the complete batches before it.
func (s *scope) wait() float64 { return math.Floor(float64(s.inside)/s.workers) * s.peak }

// drain is the time until all that are inside have been served, in ns.
func (s *scope) drain() float64 { return math.Ceil(float64(s.inside)/s.workers) * s.peak }

// peakOf is a mean that follows a rise at once and a fall by a fifth.
func peakOf(peak, sample float64) float64 {
	if sample >= peak {
		return sample
	}
	return (float64(4*peak) + sample) / 5
}

// adviceJitter is the largest jitter of an advice in basis points.
const adviceJitter = 2000

// advise is when a refused attempt should come back, with so many basis points of jitter.
func advise(drain float64, jitter int) time.Duration {
	const least, most = float64(time.Second), float64(30 * time.Second)
	d := min(max(drain, least), most)
	d = min(max(d*float64(10_000+jitter)/10_000, least), most)
	return time.Duration(math.Ceil(d/1e9)) * time.Second
}
