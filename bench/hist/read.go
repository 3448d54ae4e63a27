package hist

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Formats are the formats that are written, by the ends of file names.
var Formats = []string{"hlog", "hgrm", "csv"}

// Read reads a text in any of the formats, which it recognises by its content. name is that of the
// file: errors begin with it, and it becomes the tag of a percentile distribution. unit is that of the
// values, as they are printed in a percentile distribution; 0: what the text says, or else a nanosecond,
// and in a percentile distribution a millisecond. A damaged log is returned with the intervals that are
// whole, beside the error.
func Read(name, text string, unit time.Duration) (*Log, error) {
	l, err := read(name, text, unit)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return l, err
}

func read(name, text string, unit time.Duration) (*Log, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%w: it is not text: want a log of HdrHistogram, a percentile distribution or CSV", ErrFormat)
	}
	printed := cmp.Or(unit, time.Millisecond)
	first := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if isHeader(line) {
			return ReadPercentiles(text, tagOf(name), printed)
		}
		if first == "" {
			first = strings.TrimPrefix(line, "\ufeff")
		}
	}
	switch {
	case first == "":
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	case strings.HasPrefix(first, "#"), strings.HasPrefix(first, "Tag="), strings.HasPrefix(first, `"StartTimestamp"`):
		l, err := ReadLog(text)
		return l.in(unit, err)
	case strings.HasSuffix(name, ".hgrm"):
		return ReadPercentiles(text, "", printed) // which says what is missing
	case strings.HasSuffix(name, ".hlog") || strings.Count(first, ",") == 3 && !unicode.IsLetter(rune(first[0])):
		l, err := ReadLog(text)
		return l.in(unit, err)
	case strings.Contains(first, ","):
		l, err := ReadCSV(text)
		return l.in(unit, err)
	}
	return nil, fmt.Errorf("%w: %.40q begins no log of HdrHistogram, percentile distribution or CSV", ErrFormat, first)
}

// in is a log with the unit that the caller knows; 0: none. err is that of reading it.
func (l *Log) in(unit time.Duration, err error) (*Log, error) {
	switch {
	case l == nil || unit == 0:
	case !l.Stated:
		l.Unit, l.Stated = unit, true
	case l.Unit != unit:
		return nil, fmt.Errorf("%w: it says that its values are in %s, and %s are asked for", ErrFormat, unitName(l.Unit), unitName(unit))
	}
	return l, err
}

// tagOf makes a tag of a file's name.
func tagOf(name string) string {
	name = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	return strings.Map(func(r rune) rune {
		if CheckTag(string(r)) != nil {
			return '-'
		}
		return r
	}, name)
}

// Row is what a person wants to know of an interval. Times are in seconds.
type Row struct {
	Tag    string  `json:"tag"`
	Parts  int     `json:"intervals"`
	Start  float64 `json:"start_s"` // since the log's start
	Length float64 `json:"length_s"`
	Count  int64   `json:"count"`
	P50    float64 `json:"p50_s"`
	P90    float64 `json:"p90_s"`
	P99    float64 `json:"p99_s"`
	P999   float64 `json:"p999_s"`
	Max    float64 `json:"max_s"`
}

// Rows are the intervals' quantiles in seconds, as tops of buckets.
func (l *Log) Rows() (rows []Row) {
	for _, i := range l.Intervals {
		s := func(v int64) float64 { return float64(v) / float64(time.Second/l.Unit) }
		rows = append(rows, Row{
			Tag: i.Tag, Parts: i.Parts, Start: i.Start.Sub(l.Begin()).Seconds(), Length: i.Length.Seconds(), Count: i.Count(),
			P50: s(i.Quantile(.5)), P90: s(i.Quantile(.9)), P99: s(i.Quantile(.99)), P999: s(i.Quantile(.999)), Max: s(i.Max()),
		})
	}
	return rows
}

// Text is the rows as a table.
func Text(rows []Row) string {
	table := [][]string{{"tag", "intervals", "from s", "for s", "values", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"}}
	for _, r := range rows {
		line := []string{cmp.Or(r.Tag, "-"), show.Count(r.Parts), fmt.Sprintf("%.3f", r.Start), fmt.Sprintf("%.3f", r.Length), show.Count(r.Count)}
		for _, s := range []float64{r.P50, r.P90, r.P99, r.P999, r.Max} {
			line = append(line, fmt.Sprintf("%.3f", 1000*s))
		}
		table = append(table, line)
	}
	return show.Columns(table)
}
