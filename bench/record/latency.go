package record

import (
	"io"
	"math"
	"math/bits"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/leasestorm/leasestorm/bench/hist"
)

// Histograms count microseconds, from 1 µs to about an hour. A histogram of the whole run has
// three significant digits and takes 170 KiB. A histogram of a step has two digits and takes
// 30 KiB, since Collect merges it during the run. A value above the range widens its histogram,
// once, to the range of time.Duration (350 and 50 KiB).
const (
	latencyUnit = time.Microsecond
	latencyMax  = int64(time.Hour / latencyUnit)
	longest     = int64(math.MaxInt64 / latencyUnit)
)

// Latency is a histogram of durations in the geometry of HdrHistogram. It also keeps the exact
// maximum, which HdrHistogram rounds up to the top of its bucket.
//
// Latency counts by itself, because the library supports any geometry and takes four times as
// long per value. It merges and clears only the counts that are not empty. [Latency.Histogram]
// converts it for the library after the run. Methods must not be called concurrently.
type Latency struct {
	Max    time.Duration // exact; 0 if there is no record
	counts []int64       // by place; see geometry.index
	n      int64         // sum of counts
	high   int           // counts from this place on are 0
	geometry
}

// geometry is HdrHistogram's layout for a number of significant digits. A bucket has 2^half
// sub-buckets, twice as wide as those of the bucket before. The first bucket has twice as many
// sub-buckets.
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

// index is the place of a value, in HdrHistogram's order.
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

// NewCoarse makes an empty histogram with two significant digits, as those of a step are.
func NewCoarse() *Latency { return &Latency{geometry: coarse} }

// Record adds the value d. A negative d counts as 0.
func (l *Latency) Record(d time.Duration) { l.RecordMany(d, 1) }

// RecordMany adds the value d n times.
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

// lattice is the distance between the instants from which a gap is recorded.
const lattice = 10 * time.Microsecond

// RecordGap adds the gap from last to now as seen by arrivals every 10 µs: it adds one value per
// arrival, the time from the arrival to the end of the gap. So gaps compare with the slip of a busy
// generator, and many short gaps do not outweigh a long one.
func (l *Latency) RecordGap(last, now time.Duration) {
	for at := (last + lattice - 1) / lattice * lattice; at < now; at += lattice {
		l.Record(now - at)
	}
}

// Merge adds the values of other, which must have the same number of digits.
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

// Reset removes all values.
func (l *Latency) Reset() {
	clear(l.counts[:l.high])
	l.n, l.high, l.Max = 0, 0, 0
}

// Digits returns the number of significant digits.
func (l *Latency) Digits() int { return int(l.digits) }

// TotalCount returns the number of values.
func (l *Latency) TotalCount() int64 { return l.n }

// Quantile returns the q-quantile in seconds: the smallest value, at the histogram's resolution,
// at or below which at least a share q of the values lie. It is 0 for an empty histogram, and never
// above Max.
func (l *Latency) Quantile(q float64) float64 {
	if l.n == 0 {
		return 0
	}
	i, rank := 0, hist.Rank(q, l.n)
	for seen := l.counts[0]; seen < rank; seen += l.counts[i] {
		i++
	}
	return min(float64(l.top(i))*latencyUnit.Seconds(), l.Max.Seconds())
}

// highest is the largest value of the histogram's range, in µs.
func (l *Latency) highest() int64 {
	if l.high > l.size {
		return longest
	}
	return latencyMax
}

// Histogram returns the values as a histogram of the HdrHistogram library, in µs.
func (l *Latency) Histogram() *hdrhistogram.Histogram {
	return hdrhistogram.Import(&hdrhistogram.Snapshot{
		LowestTrackableValue: 1, HighestTrackableValue: l.highest(), SignificantFigures: l.digits, Counts: l.counts[:l.high],
	})
}

// WritePercentiles writes the percentile distribution in milliseconds, in the .hgrm format. Its maximum
// is exact.
func (l *Latency) WritePercentiles(w io.Writer) error {
	return hist.WritePercentiles(w, l.Histogram(), latencyUnit, int64(l.Max/latencyUnit))
}
