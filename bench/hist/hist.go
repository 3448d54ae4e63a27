// Package hist reads, sums, slices and writes histograms in the formats of HdrHistogram: logs of
// intervals (.hlog), percentile distributions (.hgrm) and CSV with a row per bucket. The formats are
// those of the Java implementation (https://github.com/HdrHistogram/HdrHistogram), which wrk2, jHiccup,
// cassandra-stress and many others write.
//
// A sum is exact. Buckets of HdrHistogram are nested: every bucket of a fine histogram lies in one
// bucket of a coarse one. A sum has the coarsest resolution of its parts, and each of its counts is
// the sum of theirs.
package hist

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ErrFormat is wrapped by the errors for a text that is not in the format that it seems to have.
var ErrFormat = errors.New("bad histogram file")

// Geometry says where the buckets of a histogram lie. A bucket from v on is at most v/10^Digits
// wide, and Lowest or the power of two below it at least.
type Geometry struct {
	Lowest, Highest, Digits int64
}

// Interval is a histogram of the values of some time.
type Interval struct {
	Tag    string // empty: none
	Start  time.Time
	Length time.Duration
	Parts  int // intervals that it is a sum of; 1: itself
	Geometry
	Bars []hdrhistogram.Bar // buckets that are not empty, in order
}

// Log is a sequence of intervals.
type Log struct {
	Unit      time.Duration // of the values: a nanosecond, microsecond, millisecond or second
	Stated    bool          // the text itself names the unit
	Start     time.Time     // zero: that of the first interval
	Comment   string        // written into a log
	Notes     []string      // what the format has lost
	Intervals []Interval
}

// Of is the interval of a histogram of the library.
func Of(h *hdrhistogram.Histogram, tag string, start time.Time, length time.Duration) Interval {
	i := Interval{Tag: tag, Start: start, Length: length, Parts: 1, Geometry: Geometry{h.LowestTrackableValue(), h.HighestTrackableValue(), h.SignificantFigures()}}
	for at, n := range h.Export().Counts {
		if n > 0 {
			from, to := i.bucket(at)
			i.Bars = append(i.Bars, hdrhistogram.Bar{From: from, To: to, Count: n})
		}
	}
	return i
}

// bucket is the range of a place in the counts. The library's Distribution, which says the same, makes a
// list of all buckets and takes three times as long.
func (g Geometry) bucket(at int) (from, to int64) {
	half := subBuckets(g.Digits) / 2
	doublings := max(0, at/half-1)
	shift := doublings + max(0, bits.Len64(uint64(g.Lowest))-1)
	from = int64(at-doublings*half) << shift
	return from, from + (1<<shift - 1)
}

// Histogram is the interval's histogram. The error is that of counts whose sum is not an int64, or of
// a value outside the geometry.
func (i *Interval) Histogram() (*hdrhistogram.Histogram, error) { return sum(i.Geometry, i) }

// sum adds the counts of intervals in a geometry that is not finer than theirs.
func sum(g Geometry, parts ...*Interval) (*hdrhistogram.Histogram, error) {
	s := &hdrhistogram.Snapshot{LowestTrackableValue: g.Lowest, HighestTrackableValue: g.Highest, SignificantFigures: g.Digits}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	h := hdrhistogram.Import(s)
	for _, p := range parts {
		for _, b := range p.Bars {
			if err := h.RecordValues(b.From, b.Count); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrFormat, err)
			}
		}
	}
	return h, nil
}

// Sum adds intervals, and returns one for each tag, sorted by tag; with all, it returns one without
// a tag. A sum reaches from the first start to the last end of its parts.
func Sum(intervals []Interval, all bool) ([]Interval, error) {
	groups := map[string][]*Interval{}
	for i := range intervals {
		tag := intervals[i].Tag
		if all {
			tag = ""
		}
		groups[tag] = append(groups[tag], &intervals[i])
	}
	var sums []Interval
	for tag, parts := range groups {
		g, start, end := parts[0].Geometry, parts[0].Start, parts[0].end()
		for _, p := range parts {
			g = Geometry{max(g.Lowest, p.Lowest), max(g.Highest, p.Highest), min(g.Digits, p.Digits)}
			if p.Start.Before(start) {
				start = p.Start
			}
			if p.end().After(end) {
				end = p.end()
			}
		}
		h, err := sum(g, parts...)
		if err != nil {
			return nil, err
		}
		s := Of(h, tag, start, end.Sub(start))
		s.Parts = len(parts)
		sums = append(sums, s)
	}
	slices.SortFunc(sums, func(a, b Interval) int { return cmp.Compare(a.Tag, b.Tag) })
	return sums, nil
}

func (i *Interval) end() time.Time { return i.Start.Add(i.Length) }

// Slice selects intervals: those that start in [from, to), if these are not zero, and whose tag
// matches one of the patterns, if there are any. Patterns are those of [path.Match]: * stands for
// any text without a slash. over is the number of selected intervals that end after to. An interval
// is never cut, since a histogram does not say when its values were recorded.
func Slice(intervals []Interval, tags []string, from, to time.Time) (selected []Interval, over int, err error) {
	for _, i := range intervals {
		match := len(tags) == 0
		for _, pattern := range tags {
			ok, err := path.Match(pattern, i.Tag)
			if err != nil {
				return nil, 0, fmt.Errorf("tag %q: %w", pattern, err)
			}
			match = match || ok
		}
		if !match || !from.IsZero() && i.Start.Before(from) || !to.IsZero() && !i.Start.Before(to) {
			continue
		}
		if !to.IsZero() && i.end().After(to) {
			over++
		}
		selected = append(selected, i)
	}
	return selected, over, nil
}

// Count is the number of values.
func (i *Interval) Count() (n int64) {
	for _, b := range i.Bars {
		n += b.Count
	}
	return n
}

// Max is the top of the highest bucket with a value; 0 if there is none.
func (i *Interval) Max() int64 {
	if len(i.Bars) == 0 {
		return 0
	}
	return i.Bars[len(i.Bars)-1].To
}

// Quantile is the top of the first bucket at or below whose top at least a share q of the values lie; 0
// if there are none.
func (i *Interval) Quantile(q float64) int64 {
	rank, seen := Rank(q, i.Count()), int64(0)
	for _, b := range i.Bars {
		if seen += b.Count; seen >= rank {
			return b.To
		}
	}
	return 0
}

// Rank is the smallest number of values, at least 1, that is at least a share q of n. It compares
// shares, as WritePercentiles does, because the product q·n may round to the wrong side of an
// integer.
func Rank(q float64, n int64) int64 {
	r := int64(min(max(1, q*float64(n)), float64(n)))
	for r > 1 && float64(r-1)/float64(n) >= q {
		r--
	}
	for r < n && float64(r)/float64(n) < q {
		r++
	}
	return r
}

// Begin is the time from which the log counts: that of its first interval where it does not say.
func (l *Log) Begin() time.Time {
	s := l.Start
	if s.IsZero() {
		s = time.UnixMicro(0)
		if len(l.Intervals) > 0 {
			s = slices.MinFunc(l.Intervals, func(a, b Interval) int { return a.Start.Compare(b.Start) }).Start
		}
	}
	return s
}

// timeless says that no interval has a time, as those of a percentile distribution.
func (l *Log) timeless() bool {
	return l.Begin().Equal(time.UnixMicro(0)) && !slices.ContainsFunc(l.Intervals, func(i Interval) bool { return i.end().After(l.Begin()) })
}

// begun is the log with all intervals at a start.
func (l *Log) begun(start time.Time) *Log {
	at := *l
	at.Start, at.Intervals = start, slices.Clone(l.Intervals)
	for i := range at.Intervals {
		at.Intervals[i].Start = start
	}
	return &at
}

// Add appends another log's intervals. The logs must have one unit. What has no time begins with the
// other log.
func (l *Log) Add(other *Log) error {
	if len(l.Intervals) == 0 && l.Unit == 0 {
		*l = *other
		return nil
	}
	if l.Unit != other.Unit {
		return fmt.Errorf("%w: values in %s cannot be added to values in %s", ErrFormat, unitName(other.Unit), unitName(l.Unit))
	}
	switch {
	case other.timeless():
		other = other.begun(l.Begin())
	case l.timeless():
		*l = *l.begun(other.Begin())
	case other.Begin().Before(l.Begin()):
		l.Start = other.Begin()
	}
	l.Stated = l.Stated && other.Stated
	l.Notes = append(l.Notes, other.Notes...)
	l.Intervals = append(l.Intervals, other.Intervals...)
	return nil
}

// CheckTag returns an error for a tag that the format cannot hold: one with a comma, white space or a
// control character. The check of the Go library lets a delimiter at either end of a tag through.
func CheckTag(tag string) error {
	if i := strings.IndexFunc(tag, func(r rune) bool { return r == ',' || unicode.IsSpace(r) || unicode.IsControl(r) }); i >= 0 {
		return fmt.Errorf("%w: tag %q: a tag has no comma, white space or line break", ErrFormat, tag)
	}
	return nil
}

// units are the units of values, by their long names.
var units = []struct {
	short, long string
	d           time.Duration
}{{"ns", "nanoseconds", time.Nanosecond}, {"us", "microseconds", time.Microsecond}, {"ms", "milliseconds", time.Millisecond}, {"s", "seconds", time.Second}}

// Units are the short names of all units.
func Units() (names []string) {
	for _, u := range units {
		names = append(names, u.short)
	}
	return names
}

// Unit is the unit of a short or long name.
func Unit(name string) (time.Duration, bool) {
	for _, u := range units {
		if name == u.short || name == u.long {
			return u.d, true
		}
	}
	return 0, false
}

func unitName(d time.Duration) string {
	for _, u := range units {
		if u.d == d {
			return u.long
		}
	}
	return d.String()
}

// micros turns a decimal number of seconds into microseconds. ok is false for what is not a time.
func micros(x float64) (us int64, ok bool) {
	const most = 1e11 // in the year 5138
	if !(x >= -most && x <= most) {
		return 0, false
	}
	return int64(math.Round(x * 1e6)), true
}

// decimal writes microseconds as seconds with six decimals.
func decimal(us int64) string {
	sign := ""
	if us < 0 {
		sign, us = "-", -us
	}
	return fmt.Sprintf("%s%d.%06d", sign, us/1e6, us%1e6)
}
