package admit

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var envoyAdmissionEntry = catalog.Entry[New]{
	Name:   "envoy-admission",
	Doc:    "rejects at random, with a probability that follows the share of admitted attempts that ended well of late",
	Source: "Envoy, extensions.filters.http.admission_control.v3 (admission_control.cc, admission_control.proto @292030a3)",
	Params: []catalog.Param{
		{Name: "window", Unit: catalog.Seconds, Default: 30, Min: 1, Max: 3600, Doc: "how long an end is remembered (sampling_window), in whole seconds"},
		{Name: "threshold", Unit: "1", Default: 0.95, Min: 0.01, Max: 1, Doc: "share of good ends below which it rejects (sr_threshold)"},
		{Name: "aggression", Unit: "1", Default: 1, Min: 1, Max: 1000, Doc: "the probability is raised to the power of 1/aggression"},
		{Name: "rps", Unit: "1", Default: 0, Min: 0, Max: 1e9, Doc: "ends per second below which everything is admitted (rps_threshold)"},
		{Name: "cap", Unit: "1", Default: 0.8, Min: 0, Max: 1, Doc: "largest probability (max_rejection_probability)"},
		seedParam,
	},
	New: func(_ Config, v catalog.Values) (Controller, error) {
		return &envoyAdmission{
			threshold: v["threshold"], aggression: v["aggression"], rps: v["rps"], cap: v["cap"],
			ends: newSeconds(v.Int("window")), rng: rand.New(rand.NewPCG(uint64(v["seed"]), 0x656e766f)),
		}, nil
	},
}

// seedParam is a controller's own source of chance. A run of virtual time is the same each time.
var seedParam = catalog.Param{Name: "seed", Unit: "1", Default: 1, Min: 0, Max: 1 << 32, Doc: "seed of its random numbers"}

// envoyAdmission counts n ends and s good ends of the attempts that it admitted, in buckets of one
// second. Its own rejections do not count: with them the probability would not return to 0. Each
// attempt is rejected with the probability
//
//	p = min(cap, max(0, (n − s/threshold)/(n + 1))^(1/aggression))
//
// in steps of 1/10,000. An offered load of F times the capacity μ, with an aggression of 1, settles
// where μ·√(F/threshold) is admitted, until the cap is reached: the work that it lets in grows as
// √F. The throttle of the SRE book, which counts what it rejects, admits K·μ at any F.
//
// Good is a success. Late, Failed and Shed are failures, as HTTP statuses from 500 on are. An
// attempt that its client cancelled has no status and does not count. Envoy keeps a window for each
// worker thread; here is one window for all.
type envoyAdmission struct {
	threshold, aggression, rps, cap float64

	mu   sync.Mutex // guards what follows
	ends seconds
	rng  *rand.Rand
}

// Admit implements Controller.
func (c *envoyAdmission) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends.turn(now)
	p := 0.0
	if c.ends.rate() >= c.rps {
		p = envoyRejection(c.ends.all, c.threshold, c.aggression, c.cap)
	}
	if p == 0 {
		return len(items)
	}
	return partition(items, func(*queue.Item) bool { return 1e4*p <= float64(c.rng.IntN(1e4)) })
}

// Done implements Controller.
func (c *envoyAdmission) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	if out == queue.Shed && it.Why == queue.Cancelled {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends.turn(now)
	c.ends.add(out == queue.Good)
}

// envoyRejection is the probability of a rejection after these ends.
func envoyRejection(e ends, threshold, aggression, most float64) float64 {
	lacks := (float64(e.n) - float64(e.good)/threshold) / (float64(e.n) + 1)
	if lacks <= 0 {
		return 0
	}
	return min(most, det.Pow(lacks, 1/aggression))
}

// ends are how attempts ended.
type ends struct{ n, good int64 }

// seconds is a sliding window of ends in buckets of one second. A caller whose clock is behind adds
// to the newest bucket.
type seconds struct {
	all     ends   // of all buckets
	buckets []ends // of second i at i mod their number
	at      int64  // the newest second
	first   int64  // second of the oldest end in the window; meaningful while all.n > 0
}

func newSeconds(window int) seconds { return seconds{buckets: make([]ends, max(1, window))} }

// turn forgets the seconds that have left the window.
func (s *seconds) turn(now time.Duration) {
	at, n := int64(now/time.Second), int64(len(s.buckets))
	if at <= s.at {
		return
	}
	for i := max(s.at+1, at-n+1); i <= at; i++ {
		b := &s.buckets[i%n]
		s.all.n -= b.n
		s.all.good -= b.good
		*b = ends{}
	}
	s.at = at
	for s.first = max(s.first, at-n+1); s.all.n > 0 && s.buckets[s.first%n].n == 0; s.first++ {
	}
}

func (s *seconds) add(good bool) {
	b := &s.buckets[s.at%int64(len(s.buckets))]
	if s.all.n == 0 {
		s.first = s.at
	}
	b.n++
	s.all.n++
	if good {
		b.good++
		s.all.good++
	}
}

// rate is the number of ends per second since the oldest of them, over at least one second.
func (s *seconds) rate() float64 { return float64(s.all.n) / float64(max(1, s.at-s.first)) }
