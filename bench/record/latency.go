package record

import (
	"math"
	"math/bits"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms count microseconds, from 1 µs to about an hour. Those of the whole run
// have three significant digits and take 170 KiB; those of a step have two and take
// 30 KiB, since a collector merges them every step while the run goes on. A longer value
// widens its histogram, once, to every duration that there is (350 and 50 KiB).
const (
	latencyUnit = time.Microsecond
	latencyMax  = int64(time.Hour / latencyUnit)
	longest     = int64(math.MaxInt64 / latencyUnit)
)

// Latency is an HdrHistogram with its exact maximum, which the histogram itself rounds up to
// the top of its bucket.
//
// It keeps the counts itself, in HdrHistogram's buckets and their order: a record is three
// instructions and a count, where the library, which is made for any geometry, takes four
// times as long, and what is empty is neither merged nor cleared. The library is asked once
// the run is over.
type Latency struct {
	Max    time.Duration
	counts []int64 // as many as were needed
	n      int64   // sum of counts
	high   int     // counts from here on are 0
	geometry
}

// geometry is HdrHistogram's for a number of significant digits: buckets of 2^half
// sub-buckets, each bucket's twice as wide as those of the one before; the first has twice
// as many.
type geometry struct {
	digits int64
	half   uint8
	size   int // places up to latencyMax
	whole  int // places up to longest
}

var fine, coarse = newGeometry(3), newGeometry(2)

func newGeometry(digits int64) geometry {
	g := geometry{digits: digits}
	for float64(int(2)<<g.half) < 2*math.Pow10(int(digits)) {
		g.half++
	}
	places := func(most int64) int {
		buckets := 1
		for reach := int64(2) << g.half; reach <= most; reach <<= 1 {
			buckets++
		}
		return (buckets + 1) << g.half
	}
	g.size, g.whole = places(latencyMax), places(longest)
	return g
}

// subBuckets is the number of the first bucket's parts.
func (g geometry) subBuckets() int { return 2 << g.half }

// index is the place of a value in HdrHistogram's order.
func (g geometry) index(v int64) int {
	bucket := max(0, bits.Len64(uint64(v))-int(g.half)-1)
	return bucket<<g.half + int(v>>bucket)
}

// top is the largest value of a place.
func (g geometry) top(i int) int64 {
	bucket := max(0, i>>g.half-1)
	sub := int64(i - bucket<<g.half)
	return (sub+1)<<bucket - 1
}

// NewLatency makes an empty histogram with three significant digits.
func NewLatency() *Latency { return &Latency{geometry: fine} }

func newCoarse() *Latency { return &Latency{geometry: coarse} }

// Record adds d; a negative d counts as 0.
func (l *Latency) Record(d time.Duration) { l.RecordMany(d, 1) }

// RecordMany adds d n times.
func (l *Latency) RecordMany(d time.Duration, n int64) {
	d = max(0, d)
	l.Max = max(l.Max, d)
	i := l.index(int64(d / latencyUnit))
	if i >= len(l.counts) {
		room := l.size
		if i >= l.size {
			room = l.whole
		}
		l.counts = append(l.counts, make([]int64, room-len(l.counts))...) // once; most are never written
	}
	l.counts[i] += n
	l.n += n
	l.high = max(l.high, i+1)
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

// Merge adds what other, of as many digits, has.
func (l *Latency) Merge(other *Latency) {
	if other.high > len(l.counts) {
		l.counts = append(l.counts, make([]int64, other.high-len(l.counts))...)
	}
	counts := l.counts[:other.high]
	for i, n := range other.counts[:other.high] {
		counts[i] += n
	}
	l.n += other.n
	l.high = max(l.high, other.high)
	l.Max = max(l.Max, other.Max)
}

// Reset empties it.
func (l *Latency) Reset() {
	clear(l.counts[:l.high])
	l.n, l.high, l.Max = 0, 0, 0
}

// TotalCount is the number of records.
func (l *Latency) TotalCount() int64 { return l.n }

// Quantile returns the smallest value at or below which at least a share q of the records
// lie, in seconds, or 0 of no records. It is never above the exact maximum.
func (l *Latency) Quantile(q float64) float64 {
	if l.n == 0 {
		return 0
	}
	i, rank := 0, rank(q, l.n)
	for seen := l.counts[0]; seen < rank; seen += l.counts[i] {
		i++
	}
	return min(float64(l.top(i))*latencyUnit.Seconds(), l.Max.Seconds())
}

// rank is the smallest number of n records that is at least a share q of them, and at least
// 1. It compares shares, as WritePercentiles does: the product q·n may round to the wrong
// side of a whole number.
func rank(q float64, n int64) int64 {
	r := int64(min(max(1, q*float64(n)), float64(n)))
	for r > 1 && float64(r-1)/float64(n) >= q {
		r--
	}
	for r < n && float64(r)/float64(n) < q {
		r++
	}
	return r
}

// highest is the largest value of the histogram's range, buckets the number of its buckets.
func (l *Latency) highest() int64 {
	if l.high > l.size {
		return longest
	}
	return latencyMax
}

func (l *Latency) buckets() int {
	if l.high > l.size {
		return l.whole>>l.half - 1
	}
	return l.size>>l.half - 1
}

// Histogram is a copy as the library's, in µs.
func (l *Latency) Histogram() *hdrhistogram.Histogram {
	return hdrhistogram.Import(&hdrhistogram.Snapshot{
		LowestTrackableValue: 1, HighestTrackableValue: l.highest(), SignificantFigures: l.digits, Counts: l.counts[:l.high],
	})
}
