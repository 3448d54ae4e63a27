package admit

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var envoyGradientEntry = catalog.Entry[New]{
	Name: "envoy-gradient",
	Doc:  "a concurrency limit that follows the ratio of the median time at three attempts inside, measured now and then, to the present median",
	Source: "Envoy, extensions.filters.http.adaptive_concurrency.v3 (gradient_controller.cc @c35f67fb, pull request 46602 of August 2026); " +
		"the two intervals, which have no default, as in the example of its documentation",
	Params: []catalog.Param{
		{Name: "update", Unit: catalog.Seconds, Default: 0.1, Min: 1e-6, Max: 3600, Doc: "between two updates of the limit (concurrency_update_interval)"},
		{Name: "interval", Unit: catalog.Seconds, Default: 60, Min: 1e-3, Max: 1e6, Doc: "from the end of a measurement to the next, and up to 15 % at random (min_rtt_calc_params.interval)"},
		{Name: "requests", Unit: "attempts", Default: 50, Min: 1, Max: 1e6, Doc: "samples of a measurement (request_count)"},
		{Name: "min", Unit: "attempts", Default: 3, Min: 1, Max: 1e9, Doc: "smallest limit outside a measurement (min_concurrency)"},
		{Name: "max", Unit: "attempts", Default: 1000, Min: 1, Max: 1e9, Doc: "largest limit (max_concurrency_limit)"},
		{Name: "fixed", Unit: catalog.Seconds, Default: 0, Min: 0, Max: 3600, Doc: "the least time; 0: measured (fixed_value)"},
		seedParam,
	},
	New: newEnvoyGradient,
}

// envoyGradient admits while fewer attempts than a limit L are in the manager. Once an update period
// in which at least one attempt ended, of their median time p50:
//
//	g = minRTT·1.25/p50, held to 0.5 to 2
//	L = ⌊g·L + √(g·L)⌋, held to min to max
//
// For a constant g below 1 it settles at g/(1−g)². minRTT is the median of the first 50 attempts of
// a measurement. A measurement puts the limit aside and admits up to three attempts, never more than
// the limit did. Only attempts that are admitted after its start count, then and later: their mark is
// the number of measurements begun. The limit starts in a measurement, and five updates in a row
// that leave it at min begin another one at once.
//
// A measurement refuses what is above three attempts, whatever the load. One in an overload takes
// the queue that is left for the least time. An attempt that its client cancelled only frees its
// place. Envoy compares and counts in two steps, so that its threads may overshoot the limit.
type envoyGradient struct {
	update, interval time.Duration
	requests         int64
	least, most      int64

	mu        sync.Mutex // guards what follows
	inside    int64
	limit     int64
	aside     int64 // the limit while it is being measured
	measuring bool
	epoch     uint32  // measurements begun
	minRTT    float64 // ns
	times     medianOf
	next      time.Duration // when the update period ends
	measure   time.Duration // when the next measurement begins
	atLeast   int           // updates in a row that left the limit at min
	rng       *rand.Rand
}

const (
	envoyProbe  = 3
	envoyBuffer = 1.25
	envoyJitter = 0.15
	envoyStuck  = 5
)

func newEnvoyGradient(_ Config, v catalog.Values) (Controller, error) {
	c := &envoyGradient{
		update: max(1, v.Duration("update")), interval: v.Duration("interval"), requests: int64(v.Int("requests")),
		least: int64(whole(v["min"], 1)), most: int64(whole(v["max"], 1)), minRTT: float64(v.Duration("fixed")),
		rng: rand.New(rand.NewPCG(uint64(v["seed"]), 0x67726164)),
	}
	if c.most < c.least {
		return nil, fmt.Errorf(`admission controller "envoy-gradient": %w: max=%d is below min=%d`, catalog.ErrParam, c.most, c.least)
	}
	c.limit, c.next, c.measure = c.least, c.update, math.MaxInt64
	if c.minRTT == 0 {
		c.begin()
	}
	return c, nil
}

// Admit implements Controller.
func (c *envoyGradient) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	return partition(items, func(it *queue.Item) bool {
		if c.inside >= c.limit {
			return false
		}
		c.inside++
		it.SetMark(c.epoch)
		return true
	})
}

// Done implements Controller.
func (c *envoyGradient) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(now)
	c.inside--
	if out == queue.Shed && it.Why == queue.Cancelled || it.Mark() != c.epoch&(1<<queue.MarkBits-1) {
		return
	}
	c.times.add(max(0, now-it.Offered()))
	if c.measuring && c.times.n >= c.requests {
		c.minRTT, c.limit, c.measuring = c.times.take(), c.aside, false
		c.next = now + c.update
		c.measure = now + c.interval + nanos(envoyJitter*c.rng.Float64()*float64(c.interval))
	}
}

// turn does what is due: the update at the end of a period, and the begin of a measurement.
func (c *envoyGradient) turn(now time.Duration) {
	if c.measuring {
		return
	}
	if due := c.next; now >= due && due < c.measure {
		c.next += c.update * ((now-due)/c.update + 1)
		if c.times.n > 0 {
			c.limit = min(max(envoyLimit(c.limit, c.minRTT, c.times.take()), c.least), c.most)
			if c.limit > c.least {
				c.atLeast = 0
			} else if c.atLeast++; c.atLeast >= envoyStuck && c.measure != math.MaxInt64 {
				c.begin()
				return
			}
		}
	}
	if now >= c.measure {
		c.begin()
	}
}

// begin begins a measurement.
func (c *envoyGradient) begin() {
	c.measuring, c.aside, c.limit, c.atLeast = true, c.limit, min(c.limit, envoyProbe), 0
	c.epoch++
	c.times = medianOf{}
}

// envoyLimit is the limit after an update period with this median.
func envoyLimit(limit int64, minRTT, p50 float64) int64 {
	g := 2.0
	if p50 > 0 {
		g = min(max(minRTT*envoyBuffer/p50, 0.5), 2)
	}
	grown := float64(g * float64(limit))
	return int64(grown + math.Sqrt(grown))
}

// medianOf counts times in buckets, 32 to a factor of two: a time is known to 2 %.
type medianOf struct {
	n      int64
	counts [64 * medianParts]int32
}

const medianParts = 32

func (m *medianOf) add(d time.Duration) {
	at, x := 0, uint64(d)
	if shift := bits.Len64(x) - bits.Len(medianParts); shift > 0 {
		at, x = shift*medianParts, x>>shift
	}
	m.counts[at+int(x)]++
	m.n++
}

// take is the median in ns, the middle of its bucket, of one time at least; it begins anew.
func (m *medianOf) take() float64 {
	left := (m.n + 1) / 2
	for i, n := range m.counts {
		if left -= int64(n); left > 0 {
			continue
		}
		*m = medianOf{}
		if i < 2*medianParts {
			return float64(i) // a bucket of one nanosecond
		}
		return math.Ldexp(float64(i%medianParts+medianParts)+0.5, i/medianParts-1)
	}
	return 0
}
