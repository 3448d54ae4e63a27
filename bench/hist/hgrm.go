package hist

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ticksPerHalf is the number of rows per halving of the distance to 100 %: 5, the default of the
// other HdrHistogram implementations.
const ticksPerHalf = 5

// WritePercentiles writes the percentile distribution in milliseconds, in the .hgrm format of
// HdrHistogram's Java and JavaScript implementations (outputPercentileDistribution,
// PercentileIterator). The values of h are in the unit; most is the largest of them. The Go
// library's own printer writes fewer decimals and a different last row.
func WritePercentiles(w io.Writer, h *hdrhistogram.Histogram, unit time.Duration, most int64) error {
	milli := func(x float64) string {
		if unit > time.Millisecond {
			return fmt.Sprintf("%12.0f", x*float64(unit/time.Millisecond))
		}
		per := time.Millisecond / unit
		return fmt.Sprintf("%12.*f", len(strconv.Itoa(int(per)))-1, x/float64(per))
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")
	total := h.TotalCount()
	seen, level := int64(0), 0.0 // level is the percentile to report next
	bars := h.Distribution()
	for _, bar := range bars {
		if bar.Count == 0 {
			continue
		}
		seen += bar.Count
		value := milli(float64(bar.To))
		for level <= 100*float64(seen)/float64(total) {
			fmt.Fprintf(b, "%s %2.12f %10d %14.2f\n", value, halfUp(level/100), seen, halfUp(1/(1-level/100)))
			level = nextLevel(level)
			if seen == total {
				break
			}
		}
		if seen == total {
			fmt.Fprintf(b, "%s %2.12f %10d\n", value, 1.0, seen)
			break
		}
	}
	mean, deviation := moments(bars, total)
	sub := subBuckets(h.SignificantFigures())
	fmt.Fprintf(b, "#[Mean    = %s, StdDeviation   = %s]\n", milli(mean), milli(deviation))
	fmt.Fprintf(b, "#[Max     = %s, Total count    = %12d]\n", milli(float64(most)), total)
	fmt.Fprintf(b, "#[Buckets = %12d, SubBuckets     = %12d]\n", len(h.Export().Counts)/(sub/2)-1, sub)
	return b.Flush()
}

// subBuckets is the number of sub-buckets of the first bucket.
func subBuckets(digits int64) int {
	n := 2
	for float64(n) < 2*math.Pow10(int(digits)) {
		n *= 2
	}
	return n
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

// header is the first line of the format.
var header = []string{"Value", "Percentile", "TotalCount"}

func isHeader(line string) bool {
	f := strings.Fields(line)
	return len(f) >= len(header) && f[0] == header[0] && f[1] == header[1] && f[2] == header[2]
}

var footer = regexp.MustCompile(`^#\[(Max|Buckets) .*(Total count|SubBuckets) +=\s*([0-9]+)\]`)

// ReadPercentiles reads a percentile distribution of printed, a millisecond for most tools. Text before
// its header and behind its footer is skipped, as wrk2 prints some. The format has counts at its
// percentiles only: values between two of them become the value of the next. The rows of the result
// are those of the text again.
func ReadPercentiles(text, tag string, printed time.Duration) (*Log, error) {
	var bars []hdrhistogram.Bar // From is the value in units of the result
	digits, total, share, n, decimals := int64(3), int64(-1), 0.0, 0, -1
	seen, begun := int64(0), false
	l := &Log{Stated: true}
	for line := range strings.Lines(text) {
		n++
		at := func(format string, args ...any) (*Log, error) {
			return nil, fmt.Errorf("line %d: %w: %s", n, ErrFormat, fmt.Sprintf(format, args...))
		}
		line = strings.TrimRight(line, "\r\n")
		f := strings.Fields(line)
		switch {
		case !begun:
			begun = isHeader(line)
			continue
		case len(f) == 0:
			continue
		case strings.HasPrefix(line, "#"):
			if m := footer.FindStringSubmatch(line); m != nil {
				x, err := strconv.ParseInt(m[3], 10, 64)
				switch {
				case err != nil:
					return at("%q is no count", m[3])
				case m[1] == "Max":
					total = x
				default:
					digits = digitsOf(x)
				}
			}
			continue
		case total >= 0: // behind the footer
			continue
		case len(f) < len(header):
			return at("want value, percentile and total count: the file is cut off, or no percentile distribution")
		}
		whole, fraction, _ := strings.Cut(f[0], ".")
		if decimals < 0 {
			if decimals = len(fraction); decimals > 9 {
				return at("%q has more than 9 decimals", f[0])
			}
			l.Unit = resolution(printed, decimals)
		}
		value, err := strconv.ParseFloat(f[0], 64)
		p, bad := strconv.ParseFloat(f[1], 64)
		count, wrong := strconv.ParseInt(f[2], 10, 64)
		value = math.Round(value * (float64(printed) / float64(l.Unit)))
		if err != nil || bad != nil || wrong != nil || whole == "" || !(value >= 0 && value < 1<<62) || !(p >= share && p <= 1) || count < seen {
			return at("%q: want value, percentile and total count, none less than in the line above", line)
		}
		if count > seen {
			if k := len(bars) - 1; k >= 0 && int64(value) < bars[k].From {
				return at("value %s is less than in the line above", f[0])
			}
			bars = append(bars, hdrhistogram.Bar{From: int64(value), Count: count - seen})
		}
		seen, share = count, p
	}
	switch {
	case !begun:
		return nil, fmt.Errorf("%w: no line with Value, Percentile and TotalCount: it is no percentile distribution", ErrFormat)
	case total < 0 || total != seen || seen > 0 && share < 1:
		return nil, fmt.Errorf("line %d: %w: the file is cut off: its rows have %d values up to %g %%, and want the total count of the last lines (#[Max = …, Total count = …]) and 100 %%", n, ErrFormat, seen, 100*share)
	}
	g := Geometry{Lowest: 1, Highest: int64(time.Hour / max(l.Unit, 1)), Digits: digits}
	if len(bars) > 0 {
		g.Highest = max(g.Highest, bars[len(bars)-1].From)
	} else {
		l.Unit = resolution(printed, 3)
	}
	h, err := sum(g, &Interval{Bars: bars})
	if err != nil {
		return nil, err
	}
	l.Intervals = []Interval{Of(h, tag, time.UnixMicro(0), 0)}
	l.Notes = []string{"a percentile distribution has counts at its percentiles only: values between two of them count as the next"}
	return l, nil
}

// resolution is the unit of values that are printed with so many decimals: the largest in which all of
// them are whole, or else the nanosecond.
func resolution(printed time.Duration, decimals int) time.Duration {
	step := float64(printed) / math.Pow10(decimals)
	for _, u := range slices.Backward(units) {
		if float64(u.d) <= step {
			return u.d
		}
	}
	return time.Nanosecond
}

// digitsOf is the number of significant digits of histograms with so many sub-buckets.
func digitsOf(sub int64) int64 {
	for d := range int64(6) {
		if int64(subBuckets(d)) == sub {
			return d
		}
	}
	return 3
}
