package hist

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// legend is the line with the names of the columns.
const legend = `"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"`

var (
	stamp  = regexp.MustCompile(`^#\[(StartTime|BaseTime): ([0-9.]+)`)
	values = regexp.MustCompile(`\bin (nanoseconds|microseconds|milliseconds|seconds)\b`)
)

// WriteLog writes a log in version 1.3 of the format. Lines are in order of time and their stamps
// count from the log's start, which is rounded down to a second, as the format wants. Some readers
// end at the first stamp behind the range that they are asked for. Interval_Max is the largest value
// / 10^6, as other implementations write it.
func (l *Log) WriteLog(w io.Writer) error {
	base := l.Begin().Truncate(time.Second)
	comment := l.Comment
	if comment == "" {
		comment = fmt.Sprintf("[Values in %s; Interval_Max is the largest / 10^6]", unitName(l.Unit))
	}
	_, err := fmt.Fprintf(w, "#[Histogram log format version %s]\n#%s\n#[BaseTime: %d (seconds since epoch)]\n#[StartTime: %d (seconds since epoch), %s]\n%s\n",
		hdrhistogram.HISTOGRAM_LOG_FORMAT_VERSION, comment, base.Unix(), base.Unix(), base.UTC().Format(time.RFC3339), legend)
	if err != nil {
		return err
	}
	ordered := slices.Clone(l.Intervals)
	slices.SortStableFunc(ordered, func(a, b Interval) int { return a.Start.Compare(b.Start) })
	for i := range ordered {
		if err := ordered[i].writeLine(w, base); err != nil {
			return err
		}
	}
	return nil
}

func (i *Interval) writeLine(w io.Writer, base time.Time) error {
	if err := CheckTag(i.Tag); err != nil {
		return err
	}
	h, err := i.Histogram()
	if err != nil {
		return err
	}
	payload, err := h.EncodeV2()
	if err != nil {
		return err
	}
	tag := ""
	if i.Tag != "" {
		tag = "Tag=" + i.Tag + ","
	}
	_, err = fmt.Fprintf(w, "%s%s,%s,%f,%s\n", tag, decimal(i.Start.Sub(base).Microseconds()), decimal(i.Length.Microseconds()), float64(i.Max())/1e6, payload)
	return err
}

// ReadLog reads a log. A line that is not whole is an error with its number, and the log then has the
// intervals before it. Other readers skip what they cannot read.
//
// Stamps count from the base time. Without one they are absolute, unless the first lies a year and
// more before the start time: then they count from that.
func ReadLog(text string) (*Log, error) {
	l := &Log{Unit: time.Nanosecond}
	var start, base float64
	started, based, n := false, false, 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		at := func(err error) (*Log, error) { return l, fmt.Errorf("line %d: %w", n, err) }
		if m := stamp.FindStringSubmatch(line); m != nil {
			x, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				return at(fmt.Errorf("%w: %s %q is not a number", ErrFormat, m[1], m[2]))
			}
			us, ok := micros(x)
			if !ok {
				return at(fmt.Errorf("%w: %s %q is not a time", ErrFormat, m[1], m[2]))
			}
			if m[1] == "StartTime" {
				start, started, l.Start = x, true, time.UnixMicro(us)
			} else {
				base, based = x, true
			}
			continue
		}
		if strings.HasPrefix(line, "#") {
			if m := values.FindStringSubmatch(line); m != nil && !l.Stated {
				l.Unit, l.Stated = must(Unit(m[1])), true
			}
			continue
		}
		if line == "" || strings.HasPrefix(line, `"StartTimestamp"`) {
			continue
		}
		f, err := parseLine(line)
		if err != nil {
			return at(err)
		}
		if !started {
			start, started = f.stamp, true
		}
		if !based {
			based = true
			if year := 365 * 24 * 3600.0; f.stamp < start-year {
				base = start
			}
		}
		us, ok := micros(f.stamp)
		from, _ := micros(base) // it has been checked
		long, whole := micros(f.length)
		if !ok || !whole || f.length < 0 || f.length > longest {
			return at(fmt.Errorf("%w: %v and %v are no start and length of an interval, in seconds", ErrFormat, f.stamp, f.length))
		}
		h, err := hdrhistogram.Decode([]byte(f.payload))
		if err != nil {
			return at(fmt.Errorf("%w: the histogram is cut off or damaged: %w", ErrFormat, err))
		}
		l.Intervals = append(l.Intervals, Of(h, f.tag, time.UnixMicro(from+us), time.Duration(long)*time.Microsecond))
	}
	return l, nil
}

// longest is the longest interval in seconds, so that it is a time.Duration.
const longest = 9e9

// fields are those of a line of a log.
type fields struct {
	tag, payload  string
	stamp, length float64
}

func parseLine(text string) (f fields, err error) {
	parts := strings.Split(text, ",")
	if tag, ok := strings.CutPrefix(parts[0], "Tag="); ok {
		f.tag, parts = tag, parts[1:]
		if len(parts) > 4 {
			return f, fmt.Errorf("%w: tag %q: a tag has no comma", ErrFormat, strings.Join(append([]string{tag}, parts[:len(parts)-4]...), ","))
		}
		if err := CheckTag(f.tag); err != nil {
			return f, err
		}
	}
	if len(parts) != 4 {
		return f, fmt.Errorf("%w: want start, length, maximum and histogram, and %d fields are there: it is cut off, or no log of HdrHistogram", ErrFormat, len(parts))
	}
	f.payload = strings.TrimSpace(parts[3])
	for i, at := range []*float64{&f.stamp, &f.length} {
		if *at, err = strconv.ParseFloat(strings.TrimSpace(parts[i]), 64); err != nil {
			return f, fmt.Errorf("%w: %q is not a number of seconds", ErrFormat, parts[i])
		}
	}
	return f, nil
}

func must[T any](v T, ok bool) T {
	if !ok {
		panic("hist: a unit of the pattern is not in the list")
	}
	return v
}
