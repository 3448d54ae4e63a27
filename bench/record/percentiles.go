package record

import (
	"bufio"
	"fmt"
	"io"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
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
	bars := h.Distribution()
	for _, bar := range bars {
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
	mean, deviation := moments(bars, total)
	fmt.Fprintf(b, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean/perMilli, deviation/perMilli)
	maximum := 0.0
	if total > 0 {
		maximum = float64(l.Max/latencyUnit) / perMilli
	}
	fmt.Fprintf(b, "#[Max     = %12.3f, Total count    = %12d]\n", maximum, total)
	fmt.Fprintf(b, "#[Buckets = %12d, SubBuckets     = %12d]\n", l.buckets(), l.subBuckets())
	return b.Flush()
}

// moments returns the mean and the standard deviation, with the middle of each bar for its values. The
// library's own have products that are fused on some architectures.
func moments(bars []hdrhistogram.Bar, total int64) (mean, deviation float64) {
	middle := func(b hdrhistogram.Bar) float64 { return float64(b.From + (b.To-b.From+1)/2) }
	for _, b := range bars {
		if b.Count > 0 {
			mean += float64(b.Count) * middle(b) / float64(total)
		}
	}
	squares := 0.0
	for _, b := range bars {
		if b.Count > 0 {
			off := middle(b) - mean
			squares += off * off * float64(b.Count) / float64(total)
		}
	}
	return mean, math.Sqrt(squares)
}

// halfUp makes an exact half round up when printed, as in the other implementations. Go rounds it
// to even.
func halfUp(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }

// nextLevel returns the next percentile to report: 5 steps from 0 to 50 %, 5 from 50 to 75 %, and
// so on.
func nextLevel(p float64) float64 {
	_, halvings := math.Frexp(100 / (100 - p))
	return p + 100/(ticksPerHalf*math.Ldexp(1, halvings))
}
