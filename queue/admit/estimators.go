package admit

import (
	"math"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var silentEntry = catalog.Entry[NewEstimator]{
	Name:   "silent",
	Doc:    "says nothing: a refused client is on its own",
	Source: "nginx, whose limit_req and limit_conn answer 503 without Retry-After",
	New: func(_ Config, _ catalog.Values) (Estimator, error) {
		return constant{saying: saying{limit: longest}}, nil
	},
}

var constantEntry = catalog.Entry[NewEstimator]{
	Name:   "constant",
	Doc:    "says the same wait to everybody, always",
	Source: "Kubernetes' API server without priority and fairness (1 s; kubernetes #79805); divviup/janus (30 s)",
	Params: []catalog.Param{
		{Name: "wait", Unit: catalog.Seconds, Default: 1, Min: 1e-3, Max: 4000, Doc: "the wait"},
		jitterParam,
		{Name: "never", Unit: "1", Default: 0, Min: 0, Max: 1, Doc: "share of the refused that are told not to ask again, as by a negative grpc-retry-pushback-ms"},
	},
	New: func(_ Config, v catalog.Values) (Estimator, error) {
		return constant{saying{limit: longest, jitter: v["jitter"]}, v.Duration("wait"), v["never"]}, nil
	},
}

type constant struct {
	saying
	wait  time.Duration
	never float64
}

func (c constant) Advise(_ time.Duration, refused []queue.Item, _ func() int) {
	for i := range refused {
		it := &refused[i]
		// Drawn from the attempt, as the jitter is, but not with the jitter's number.
		if c.never > 0 && unit(mix(^(uint64(it.Droplet)<<32^uint64(it.Born)))) < c.never {
			it.SetRetryAfter(-1)
			continue
		}
		c.say(it, c.wait)
	}
}

func (constant) Done(time.Duration, *queue.Item, queue.Outcome) {}

// meter is the rate at which attempts are served: an average that takes in, once per period, the rate
// since the last time. The newest has a weight of 0.3 per period. Two periods or more without an end,
// and ten seconds or more, are an outage or idleness, and no measure. It is safe for concurrent use.
type meter struct {
	period time.Duration
	count  atomic.Int64
	folded atomic.Int64  // time of the last fold, ns
	newest atomic.Int64  // time of the last end, ns
	rate   atomic.Uint64 // bits of a float64, per second; 0: nothing was measured
}

// ended counts an attempt that ended at now. Only one that was served tells of the manager's speed.
func (m *meter) ended(now time.Duration, out queue.Outcome) {
	if out != queue.Good && out != queue.Late {
		return
	}
	before := m.newest.Swap(int64(now))
	if int64(now)-before >= max(pauseOfMeter, 2*int64(m.period)) { // the count begins anew, with this end
		m.folded.Store(int64(now))
		m.count.Store(0)
		return
	}
	n, last := m.count.Inc(), m.folded.Load()
	took := int64(now) - last
	if took < int64(m.period) || !m.folded.CompareAndSwap(last, int64(now)) {
		return
	}
	m.count.Sub(n)
	newest, old := float64(n)/time.Duration(took).Seconds(), m.perSecond()
	if old == 0 {
		old = newest
	}
	keep := det.Pow(0.7, float64(took)/float64(m.period))
	m.rate.Store(math.Float64bits(float64(keep*old) + float64((1-keep)*newest)))
}

// pauseOfMeter is the shortest time without an end that is no measure, in ns.
const pauseOfMeter = int64(10 * time.Second)

// perSecond is the rate; 0: none is known yet.
func (m *meter) perSecond() float64 { return math.Float64frombits(m.rate.Load()) }

var drainEntry = catalog.Entry[NewEstimator]{
	Name:   "drain",
	Doc:    "says when the queue of now will be empty: its length over the measured rate of service",
	Source: "ray-project/ray #65879 (queue ahead over an average of assignments per second); llm-d-router #2487",
	Params: []catalog.Param{overParam, windowParam, roundParam, capParam, jitterParam},
	New: func(_ Config, v catalog.Values) (Estimator, error) {
		d := &drain{saying: newSaying(v)}
		d.meter.period, d.window = v.Duration("over"), v.Duration("window")
		return d, nil
	},
}

// drain and rate keep what they said last, for as long as a window lasts.
type drain struct {
	saying
	held
	meter meter
}

func (d *drain) Advise(now time.Duration, refused []queue.Item, queued func() int) {
	wait := d.get(now, func() time.Duration {
		if rate := d.meter.perSecond(); rate > 0 {
			return nanos(float64(queued()) / rate * 1e9)
		}
		return 0
	})
	for i := range refused {
		d.say(&refused[i], wait)
	}
}

func (d *drain) Done(now time.Duration, _ *queue.Item, out queue.Outcome) { d.meter.ended(now, out) }

// held keeps an estimate for a window of time.
type held struct {
	window time.Duration

	mu    sync.Mutex // guards what follows
	made  bool
	at    time.Duration
	value time.Duration
}

// get is the window's estimate. It is made by make at the window's first call.
func (h *held) get(now time.Duration, make func() time.Duration) time.Duration {
	if h.window == 0 {
		return make()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.made || now-h.at >= h.window {
		h.made, h.at, h.value = true, now, make()
	}
	return h.value
}

var rateEntry = catalog.Entry[NewEstimator]{
	Name:   "rate",
	Doc:    "says when the next place of the class comes free: one over the measured rate of its class",
	Source: "llm-d-router #2487, #2489 (one over the rate of the scope whose limit tripped)",
	Params: []catalog.Param{overParam, windowParam, roundParam, capParam, jitterParam},
	New: func(_ Config, v catalog.Values) (Estimator, error) {
		r := &rate{saying: newSaying(v)}
		for i := range r.of {
			r.of[i].meter.period, r.of[i].window = v.Duration("over"), v.Duration("window")
		}
		return r, nil
	},
}

type rate struct {
	saying
	of [queue.Classes]struct {
		held
		meter meter
	}
}

func (r *rate) Advise(now time.Duration, refused []queue.Item, _ func() int) {
	for i := range refused {
		c := &r.of[refused[i].Class]
		r.say(&refused[i], c.get(now, func() time.Duration {
			if rate := c.meter.perSecond(); rate > 0 {
				return nanos(1e9 / rate)
			}
			return 0
		}))
	}
}

func (r *rate) Done(now time.Duration, it *queue.Item, out queue.Outcome) {
	r.of[it.Class].meter.ended(now, out)
}

var dropsEntry = catalog.Entry[NewEstimator]{
	Name:   "drops",
	Doc:    "says 1 to 32 whole seconds: doubled while refusals go on at three a second or more, one less where there are few",
	Source: "Kubernetes' API server, pkg/util/flowcontrol/dropped_requests_tracker.go (PR kubernetes #117547); a class is a priority level",
	Params: []catalog.Param{jitterParam},
	New: func(_ Config, v catalog.Values) (Estimator, error) {
		d := &drops{saying: saying{limit: longest, jitter: v["jitter"]}}
		for i := range d.of {
			d.of[i].wait = 1
		}
		return d, nil
	},
}

// drops is the tracker of refused requests. R is the wait in seconds and tUp the second in which it
// was last doubled. The first refusal of a second t counts the refusals D of the R seconds before:
//
//	t − tUp ≥ R and D ≥ 3R   R = min(32, 2R), tUp = t
//	else D < R and R > 1     R = R − 1
//
// R stays as it is while nobody is refused.
type drops struct {
	saying
	mu sync.Mutex // guards of
	of [queue.Classes]dropped
}

// longestDrops is the largest R, in seconds.
const longestDrops = 32

type dropped struct {
	wait, up, newest int64               // R, tUp and the second of the newest refusal
	count            [longestDrops]int64 // of the seconds up to newest, by second modulo the length
}

// add counts a refusal in second t. It returns R.
func (d *dropped) add(t int64) int64 {
	if t != d.newest {
		for s := max(d.newest+1, t-longestDrops); s < t; s++ { // seconds without refusals
			d.count[s%longestDrops] = 0
		}
		sum := int64(0)
		for s := max(0, t-d.wait); s < t; s++ {
			sum += d.count[s%longestDrops]
		}
		d.newest, d.count[t%longestDrops] = t, 0
		switch {
		case t-d.up >= d.wait && sum >= 3*d.wait:
			d.wait, d.up = min(longestDrops, 2*d.wait), t
		case sum < d.wait && d.wait > 1:
			d.wait--
		}
	}
	d.count[t%longestDrops]++
	return d.wait
}

func (d *drops) Advise(now time.Duration, refused []queue.Item, _ func() int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range refused {
		of := &d.of[refused[i].Class]
		// Callers' clocks differ: time does not go back.
		d.say(&refused[i], time.Duration(of.add(max(of.newest, int64(now/time.Second))))*time.Second)
	}
}

func (*drops) Done(time.Duration, *queue.Item, queue.Outcome) {}

var appointmentsEntry = catalog.Entry[NewEstimator]{
	Name:   "appointments",
	Doc:    "says a time of its own to each: one after the other, behind the queue of now, at the measured rate of service",
	Source: "this project",
	Params: []catalog.Param{
		overParam,
		{Name: "share", Unit: "1", Default: 1, Min: 0.01, Max: 10, Doc: "of the measured rate that is given away"},
		roundParam, {Name: "cap", Unit: catalog.Seconds, Default: 4000, Min: 1e-3, Max: 4000, Doc: capParam.Doc}, jitterParam,
	},
	New: func(_ Config, v catalog.Values) (Estimator, error) {
		a := &ranks{saying: newSaying(v), share: v["share"]}
		a.meter.period = v.Duration("over")
		return a, nil
	},
}

// ranks gives appointments.
type ranks struct {
	saying
	share float64
	meter meter
	line  appointments
}

func (r *ranks) Advise(now time.Duration, refused []queue.Item, queued func() int) {
	rate := r.meter.perSecond() * r.share
	if rate <= 0 {
		for i := range refused {
			refused[i].SetRetryAfter(0)
		}
		return
	}
	// Nobody comes before the queue of now is served.
	ahead := nanos(float64(queued()) / rate * 1e9)
	r.line.give(now+ahead, refused, 1e9/rate)
	for i := range refused {
		r.say(&refused[i], ahead+refused[i].RetryAfter())
	}
}

func (r *ranks) Done(now time.Duration, _ *queue.Item, out queue.Outcome) { r.meter.ended(now, out) }
