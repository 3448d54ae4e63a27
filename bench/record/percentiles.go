package record

import (
	"bufio"
	"fmt"
	"io"
	"math"
)

// ticksPerHalf is the number of rows per halving of the distance to 100 %: 5, the default of the
// other HdrHistogram implementations.
const ticksPerHalf = 5

// WritePercentiles writes the percentile distribution in milliseconds, in the .hgrm format of
// HdrHistogram's Java and JavaScript implementations (outputPercentileDistribution,
// PercentileIterator). The Go library's own printer writes fewer decimals and a different last
// row.
func (l *Latency) WritePercentiles(w io.Writer) error {
	const perMilli = 1000 // histogram units in a millisecond
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")
	h := l.Histogram()
	total := h.TotalCount()
	seen, level := int64(0), 0.0 // level is the percentile to report next
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		seen += bar.Count
		value := float64(bar.To) / perMilli
		for level <= 100*float64(seen)/float64(total) {
			fmt.Fprintf(b, "%12.3f %2.12f %10d %14.2f\n", value, halfUp(level/100), seen, halfUp(1/(1-level/100)))
			level = nextLevel(level)
			if seen == total {
				break
			}
		}
		if seen == total {
			fmt.Fprintf(b, "%12.3f %2.12f %10d\n", value, 1.0, seen)
			break
		}
	}
	fmt.Fprintf(b, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", h.Mean()/perMilli, h.StdDev()/perMilli)
	maximum := 0.0
	if total > 0 {
		maximum = float64(l.Max/latencyUnit) / perMilli
	}
	fmt.Fprintf(b, "#[Max     = %12.3f, Total count    = %12d]\n", maximum, total)
	fmt.Fprintf(b, "#[Buckets = %12d, SubBuckets     = %12d]\n", l.buckets(), l.subBuckets())
	return b.Flush()
}

// halfUp makes an exact half round up when printed, as in the other implementations. Go rounds it
// to even.
func halfUp(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }

// nextLevel returns the next percentile to report: 5 steps from 0 to 50 %, 5 from 50 to 75 %, and
// so on.
func nextLevel(p float64) float64 {
	halves := math.Pow(2, math.Floor(math.Log2(100/(100-p)))+1)
	return p + 100/(ticksPerHalf*halves)
}
