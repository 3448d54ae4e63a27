package admit

import (
	"math"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
)

// cinnamonTuner finds the limit L of attempts in the manager beyond which they are a queue. Every
// 2 s, if at least 250 attempts have ended, of the 90th percentile l of their latencies:
//
//	q = L·(1 − target/l)
//	q ≤ 3·log₁₀ L: L += step; q > 5·log₁₀ L: L −= step; step = max(1, ⌊log₁₀ L⌋)
//
// L is at least the number of workers and at most ten times what was inside, and cinnamonMost.
// Every 10 s the target follows. With fewer than ten limits tried it is the shortest latency of the
// interval. Later the covariance of the last 50 limits and throughputs decides: above 0 the target
// goes a tenth of the way to the shortest latency, below 0 it falls by a fifth. A target that is
// measured anew under overload would rise with the limit.
//
// The latency of an attempt counts from when it came into the first L places, which in order of
// arrival is when the L-th before it ended.
type cinnamonTuner struct {
	limit, least float64
	target       float64 // ns

	ends    [cinnamonMost]time.Duration // when the last attempts ended, a ring
	endings int64                       // how many have
	sample  [1000]float64               // the latest latencies of the interval, ns, a ring
	sorted  [1000]float64
	samples int64 // since the last limit
	most    int64 // most inside since then
	from    int64 // first interval since then
	at      int64 // present interval
	lowest  float64
	tried   [50]struct{ limit, throughput float64 }
	tries   int
}

const (
	cinnamonMost        = 1000
	cinnamonTune        = 2 * time.Second
	cinnamonTarget      = 5 // tuning intervals
	cinnamonSamples     = 250
	cinnamonTries       = 10
	cinnamonPercent     = 90
	cinnamonA           = 3
	cinnamonB           = 5
	cinnamonFewerTarget = 0.8
)

func newCinnamonTuner(initial, workers, target float64) *cinnamonTuner {
	least := min(workers, cinnamonMost)
	return &cinnamonTuner{limit: max(math.Round(initial), least), least: least, target: target, lowest: math.Inf(1)}
}

// places is the limit.
func (t *cinnamonTuner) places() int64 { return int64(t.limit) }

// inside notes how many attempts are in the manager.
func (t *cinnamonTuner) inside(n int64) { t.most = max(t.most, n) }

// ended notes the end of an attempt.
func (t *cinnamonTuner) ended(now, offered time.Duration) {
	from := offered
	if before := t.endings - t.places(); before >= 0 {
		from = max(from, t.ends[before%cinnamonMost])
	}
	latency := float64(max(0, now-from))
	t.ends[t.endings%cinnamonMost] = now
	t.endings++
	t.sample[t.samples%int64(len(t.sample))] = latency
	t.samples++
	t.lowest = min(t.lowest, latency)
}

// turn ends an interval that is over, with so many attempts still inside. Those after it in which
// nothing ended change nothing.
func (t *cinnamonTuner) turn(now time.Duration, inside int64) {
	at := int64(now / cinnamonTune)
	if at <= t.at {
		return
	}
	if t.samples >= cinnamonSamples {
		t.tune(float64(t.samples) / (float64(t.at+1-t.from) * cinnamonTune.Seconds()))
		t.from, t.samples, t.most = at, 0, inside
	}
	if at/cinnamonTarget > t.at/cinnamonTarget && !math.IsInf(t.lowest, 1) {
		t.aim()
		t.lowest = math.Inf(1)
	}
	t.at = at
}

// tune moves the limit.
func (t *cinnamonTuner) tune(throughput float64) {
	t.tried[t.tries%len(t.tried)] = struct{ limit, throughput float64 }{t.limit, throughput}
	t.tries++
	sorted := t.sorted[:min(t.samples, int64(len(t.sorted)))]
	copy(sorted, t.sample[:])
	slices.Sort(sorted)
	latency := sorted[(len(sorted)*cinnamonPercent+99)/100-1]
	t.limit = min(max(cinnamonLimit(t.limit, t.target, latency), t.least), max(t.least, min(10*float64(t.most), cinnamonMost)))
}

// cinnamonLimit is the limit after an interval.
func cinnamonLimit(limit, target, latency float64) float64 {
	if latency <= 0 || target <= 0 {
		return limit
	}
	log10 := det.Log(limit) / math.Ln10
	step := 1.0
	for x := 100.0; x <= limit; x *= 10 {
		step++
	}
	switch q := limit * (1 - target/latency); {
	case q <= cinnamonA*log10:
		return limit + step
	case q > cinnamonB*log10:
		return limit - step
	}
	return limit
}

// aim moves the target.
func (t *cinnamonTuner) aim() {
	if t.tries < cinnamonTries {
		t.target = t.lowest
		return
	}
	// From the first on: an equal throughput has a covariance of exactly 0.
	tried := t.tried[:min(t.tries, len(t.tried))]
	limits, throughputs, products := 0.0, 0.0, 0.0
	for _, x := range tried {
		limit, throughput := x.limit-tried[0].limit, x.throughput-tried[0].throughput
		limits += limit
		throughputs += throughput
		products += float64(limit * throughput)
	}
	covariance := products - float64(limits*throughputs)/float64(len(tried))
	switch {
	case covariance > 0:
		t.target = float64(t.target*0.9) + float64(t.lowest*0.1)
	case covariance < 0:
		t.target = float64(t.target * cinnamonFewerTarget)
	}
}
