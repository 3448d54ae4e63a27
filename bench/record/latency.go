package record

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms count microseconds, from 1 µs to about an hour. Those of the whole run
// have three significant digits and take 170 KiB; those of a step have two and take
// 30 KiB, since a collector merges them every step while the run goes on.
const (
	latencyUnit = time.Microsecond
	latencyMax  = int64(time.Hour / latencyUnit)
)

// Latency is a histogram with its exact maximum, which the histogram itself rounds up
// to the top of its bucket.
type Latency struct {
	*hdrhistogram.Histogram
	Max  time.Duration
	Over int64 // values above the range, which are in no bucket
}

// NewLatency makes an empty histogram with three significant digits.
func NewLatency() *Latency { return &Latency{Histogram: hdrhistogram.New(1, latencyMax, 3)} }

func newCoarse() *Latency { return &Latency{Histogram: hdrhistogram.New(1, latencyMax, 2)} }

// Record adds d; a negative d counts as 0.
func (l *Latency) Record(d time.Duration) {
	d = max(0, d)
	l.Max = max(l.Max, d)
	if l.RecordValue(int64(d/latencyUnit)) != nil {
		l.Over++
	}
}

// lattice is how often the instants are from which gaps are recorded.
const lattice = 10 * time.Microsecond

// RecordGap adds the gap from last to now as whoever had come every 10 µs would have
// seen it: from each of these instants until its end. So gaps compare with the slip of a
// generator that is busy all the time, and the many short ones do not drown the long.
func (l *Latency) RecordGap(last, now time.Duration) {
	for at := (last + lattice - 1) / lattice * lattice; at < now; at += lattice {
		l.Record(now - at)
	}
}

// Merge adds what other has.
func (l *Latency) Merge(other *Latency) {
	l.Over += l.Histogram.Merge(other.Histogram) + other.Over
	l.Max = max(l.Max, other.Max)
}

// Reset empties it.
func (l *Latency) Reset() {
	l.Histogram.Reset()
	l.Max, l.Over = 0, 0
}

// Quantile returns the value at or below which a share q of the records lie, in
// seconds, or 0 of none; never above the exact maximum.
func (l *Latency) Quantile(q float64) float64 {
	if l.TotalCount() == 0 {
		return 0
	}
	return min(float64(l.ValueAtQuantile(q*100))*latencyUnit.Seconds(), l.Max.Seconds())
}
