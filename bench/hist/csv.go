package hist

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// WriteCSV writes a row per bucket that is not empty, and one with count 0 for an interval without
// values. Starts are in seconds since 1970. The names of the columns from and to end in the unit of the
// values. With its last three columns, the geometry, the file is as exact as a log.
func (l *Log) WriteCSV(w io.Writer) error {
	unit := ""
	for _, u := range units {
		if u.d == l.Unit {
			unit = u.short
		}
	}
	c := csv.NewWriter(w)
	if err := c.Write([]string{"tag", "start_s", "length_s", "from_" + unit, "to_" + unit, "count", "digits", "lowest_" + unit, "highest_" + unit}); err != nil {
		return err
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, i := range l.Intervals {
		bars := i.Bars
		if len(bars) == 0 {
			bars = []hdrhistogram.Bar{{}}
		}
		for _, b := range bars {
			if err := c.Write([]string{i.Tag, decimal(i.Start.UnixMicro()), decimal(i.Length.Microseconds()), number(b.From), number(b.To), number(b.Count),
				number(i.Digits), number(i.Lowest), number(i.Highest)}); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// ReadCSV reads rows of a value and a count. The columns value (or from) and count are needed, in any
// order; those of [Log.WriteCSV] are read if they are there, and others are skipped. Without the
// geometry values are kept to three significant digits. Rows with the same tag, start, length and
// geometry are one interval.
func ReadCSV(text string) (*Log, error) {
	r := csv.NewReader(strings.NewReader(text))
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	l := &Log{Unit: time.Nanosecond}
	column := map[string]int{}
	for i, name := range names {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		for _, base := range []string{"from", "value", "to", "lowest", "highest"} {
			short, has := strings.CutPrefix(name, base+"_")
			d, ok := Unit(short)
			if !has || !ok {
				continue
			}
			if l.Stated && d != l.Unit {
				return nil, fmt.Errorf("line 1: %w: column %s has another unit than the columns before it", ErrFormat, name)
			}
			name, l.Unit, l.Stated = base, d, true
		}
		if _, twice := column[name]; twice {
			return nil, fmt.Errorf("line 1: %w: column %s is there twice", ErrFormat, name)
		}
		column[name] = i
	}
	if _, ok := column["from"]; !ok {
		if v, ok := column["value"]; ok {
			column["from"] = v
		}
	}
	for _, name := range []string{"from", "count"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("line 1: %w: no column %s: want value (or from) and count, as in value_us,count; there are: %s", ErrFormat, name, strings.Join(names, ", "))
		}
	}
	rows := csvRows{column: column, log: l, places: map[place]int{}}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows.finish()
		}
		if err == nil {
			err = rows.add(fields)
		}
		if err != nil {
			if p, ok := errors.AsType[*csv.ParseError](err); ok {
				return nil, fmt.Errorf("line %d: %w: %w", p.Line, ErrFormat, p.Err)
			}
			n, _ := r.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
}

// csvRows collects the rows of a table.
type csvRows struct {
	column map[string]int
	log    *Log
	places map[place]int // of an interval in the log
}

// place is what the rows of an interval share.
type place struct {
	tag           string
	start, length int64 // µs
	Geometry
}

func (c *csvRows) add(row []string) (err error) {
	text := func(name string) string {
		if i, ok := c.column[name]; ok {
			return strings.TrimSpace(row[i])
		}
		return ""
	}
	whole := func(name string, otherwise int64) int64 {
		t := text(name)
		if t == "" && err == nil {
			return otherwise
		}
		n, bad := strconv.ParseInt(t, 10, 64)
		if (bad != nil || n < 0) && err == nil {
			err = fmt.Errorf("%w: %s %q is not a whole number from 0 on", ErrFormat, name, t)
		}
		return n
	}
	stamp := func(name string) int64 {
		t := text(name)
		if t == "" {
			return 0
		}
		x, bad := strconv.ParseFloat(t, 64)
		us, ok := micros(x)
		if (bad != nil || !ok || name == "length_s" && !(x >= 0 && x <= longest)) && err == nil {
			err = fmt.Errorf("%w: %s %q is not a number of seconds", ErrFormat, name, t)
		}
		return us
	}
	p := place{tag: text("tag"), start: stamp("start_s"), length: stamp("length_s"),
		Geometry: Geometry{whole("lowest", 1), whole("highest", 0), whole("digits", 3)}}
	b := hdrhistogram.Bar{From: whole("from", 0), Count: whole("count", 0)}
	if err == nil {
		err = CheckTag(p.tag)
	}
	if err != nil {
		return err
	}
	k, ok := c.places[p]
	if !ok {
		k = len(c.log.Intervals)
		c.places[p] = k
		c.log.Intervals = append(c.log.Intervals, Interval{Tag: p.tag, Start: time.UnixMicro(p.start), Length: time.Duration(p.length) * time.Microsecond, Geometry: p.Geometry})
	}
	if b.Count > 0 {
		c.log.Intervals[k].Bars = append(c.log.Intervals[k].Bars, b)
	}
	return nil
}

// finish puts the rows' values into buckets.
func (c *csvRows) finish() (*Log, error) {
	l := c.log
	for k := range l.Intervals {
		i := &l.Intervals[k]
		if i.Highest == 0 { // none was given
			i.Highest = int64(time.Hour / l.Unit)
			for _, b := range i.Bars {
				i.Highest = max(i.Highest, b.From)
			}
		}
		h, err := i.Histogram()
		if err != nil {
			return nil, err
		}
		*i = Of(h, i.Tag, i.Start, i.Length)
	}
	if _, ok := c.column["digits"]; !ok {
		l.Notes = append(l.Notes, "the table has no column digits: its values are kept to three significant digits")
	}
	return l, nil
}
