package hist

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// geometries draws one that the format can hold, from coarse to fine.
func geometries(t *rapid.T) Geometry {
	g := Geometry{Lowest: rapid.SampledFrom([]int64{1, 2, 3, 64, 1000}).Draw(t, "lowest"), Digits: rapid.Int64Range(0, 3).Draw(t, "digits")}
	g.Highest = rapid.SampledFrom([]int64{2 * g.Lowest, 1 << 20, 3_600_000_000, math.MaxInt64}).Draw(t, "highest")
	return g
}

// intervals draws one with random values inside its geometry.
func intervals(t *rapid.T) Interval {
	g := geometries(t)
	h, err := sum(g)
	if err != nil {
		t.Fatal(err)
	}
	for range rapid.IntRange(0, 20).Draw(t, "values") {
		v := rapid.Int64Range(0, g.Highest).Draw(t, "value")
		if err := h.RecordValues(v, rapid.Int64Range(1, 1<<40).Draw(t, "count")); err != nil {
			t.Fatal(err)
		}
	}
	tag := rapid.SampledFrom([]string{"", "a", "check/steady/actual", "Größe=1"}).Draw(t, "tag")
	start := time.UnixMicro(rapid.Int64Range(1.6e15, 1.8e15).Draw(t, "start"))
	return Of(h, tag, start, time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "length"))*time.Microsecond)
}

func logs(t *rapid.T) *Log {
	unit := rapid.SampledFrom(units).Draw(t, "unit").d
	return &Log{Unit: unit, Stated: true, Intervals: rapid.SliceOfN(rapid.Custom(intervals), 1, 4).Draw(t, "intervals")}
}

// same says what is different between two lists of intervals.
func same(got, want []Interval) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d intervals, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if g.Tag != w.Tag || !g.Start.Equal(w.Start) || g.Length != w.Length || g.Geometry != w.Geometry || !slices.Equal(g.Bars, w.Bars) {
			return fmt.Errorf("interval %d is\n%+v, want\n%+v", i, g, w)
		}
	}
	return nil
}

// Buckets lie where the library says.
func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.Custom(intervals).Draw(t, "interval")
		h, err := i.Histogram()
		if err != nil {
			t.Fatal(err)
		}
		var want []hdrhistogram.Bar
		for _, b := range h.Distribution() {
			if b.Count > 0 {
				want = append(want, b)
			}
		}
		if !slices.Equal(i.Bars, want) {
			t.Fatalf("%+v: %v, want %v", i.Geometry, i.Bars, want)
		}
	})
}

// A log goes to CSV and back, and to a log and back, without a difference.
func TestFormatsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := logs(t)
		var text bytes.Buffer
		if err := l.WriteLog(&text); err != nil {
			t.Fatal(err)
		}
		ordered := slices.Clone(l.Intervals)
		slices.SortStableFunc(ordered, func(a, b Interval) int { return a.Start.Compare(b.Start) })
		read, err := Read("x.hlog", text.String(), 0)
		if err == nil {
			err = same(read.Intervals, ordered)
		}
		if err != nil || read.Unit != l.Unit || !read.Stated {
			t.Fatalf("%v: unit %v, %v", err, read.Unit, text.String())
		}
		var table, again bytes.Buffer
		if err := read.WriteCSV(&table); err != nil {
			t.Fatal(err)
		}
		back, err := Read("x.csv", table.String(), 0)
		if err != nil {
			t.Fatal(err)
		}
		// Rows of intervals with one tag, start, length and geometry are one interval.
		distinct := map[string]bool{}
		for _, i := range ordered {
			distinct[fmt.Sprint(i.Tag, i.Start, i.Length, i.Geometry)] = true
		}
		if len(distinct) < len(ordered) {
			return
		}
		back.Start = read.Start
		if err := back.WriteLog(&again); err != nil || again.String() != text.String() {
			t.Fatalf("%v, by way of CSV\n%s, want\n%s", err, &again, &text)
		}
	})
}

// A sum has in each of its buckets as many values as its parts have there, whatever their geometries.
func TestSumIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.Custom(intervals), 1, 4).Draw(t, "parts")
		for _, all := range []bool{false, true} {
			sums, err := Sum(parts, all)
			if err != nil {
				t.Fatal(err)
			}
			values := int64(0)
			for _, s := range sums {
				values += s.Count()
				for _, b := range s.Bars {
					want := int64(0)
					for _, p := range parts {
						for _, x := range p.Bars {
							switch {
							case !all && p.Tag != s.Tag || x.To < b.From || x.From > b.To:
							case x.From >= b.From && x.To <= b.To:
								want += x.Count
							default:
								t.Fatalf("%+v reaches over %+v", x, b)
							}
						}
					}
					if b.Count != want {
						t.Fatalf("%+v, want %d values", b, want)
					}
				}
			}
			for _, p := range parts {
				values -= p.Count()
			}
			if values != 0 {
				t.Fatalf("%d values too many", values)
			}
		}
	})
}

// A percentile distribution that is read and written again has the same rows.
func TestPercentilesAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom(units[:3]).Draw(t, "unit").d
		h := hdrhistogram.New(1, int64(time.Hour/unit), int(rapid.Int64Range(1, 3).Draw(t, "digits")))
		for range rapid.IntRange(0, 300).Draw(t, "values") {
			if err := h.RecordValues(rapid.Int64Range(0, 3_600_000).Draw(t, "value")%int64(time.Hour/unit), rapid.Int64Range(1, 1e6).Draw(t, "count")); err != nil {
				t.Fatal(err)
			}
		}
		first := percentiles(t, h, unit)
		l, err := Read("dir/a b.hgrm", "Running 30s test\n\n"+first+"-----\n 3 requests\n", 0)
		if err != nil {
			t.Fatalf("%v\n%s", err, first)
		}
		i := l.Intervals[0]
		if i.Tag != "a-b" || i.Count() != h.TotalCount() {
			t.Fatalf("tag %q, %d values, want %d", i.Tag, i.Count(), h.TotalCount())
		}
		again, err := i.Histogram()
		if err != nil {
			t.Fatal(err)
		}
		rows := func(text string) string { return text[:strings.Index(text, "#[Mean")] }
		if second := percentiles(t, again, l.Unit); rows(second) != rows(first) {
			t.Fatalf("\n%s, want\n%s", second, first)
		}
	})
}

func percentiles(t *rapid.T, h *hdrhistogram.Histogram, unit time.Duration) string {
	var b bytes.Buffer
	if err := WritePercentiles(&b, h, unit, h.Max()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wrk2 prints a distribution among other lines, with six decimals of the percentile.
func TestOfWrk2(t *testing.T) {
	text := `Running 30s test @ http://127.0.0.1:80/index.html
  Thread Stats   Avg      Stdev     Max   +/- Stdev
  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       0.921     0.000000            1         1.00
       4.053     0.100000         3951         1.11
       8.935     0.500000        19810         2.00
      27.983     0.999994        39500    156250.00
      27.983     1.000000        39500          inf
#[Mean    =        9.747, StdDeviation   =        3.900]
#[Max     =       27.968, Total count    =        39500]
#[Buckets =           27, SubBuckets     =         2048]
----------------------------------------------------------
  60018 requests in 30.00s, 19.81MB read
`
	l, err := Read("wrk2.txt", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	i := l.Intervals[0]
	if l.Unit != time.Microsecond || i.Tag != "wrk2" || i.Count() != 39500 || i.Quantile(.5) != 8935 || i.Digits != 3 || len(l.Notes) != 1 {
		t.Errorf("%+v", l)
	}
	if l, err = Read("wrk2.txt", text, time.Second); err != nil || l.Unit != time.Millisecond { // its values would be seconds
		t.Errorf("%v, %+v", err, l)
	}
}

// example has three intervals of a second each, with two tags.
func example(t *testing.T) string {
	t.Helper()
	l := &Log{Unit: time.Microsecond, Start: time.Unix(1_760_951_100, 0)}
	for i, tag := range []string{"a/x", "b", "a/x"} {
		h := hdrhistogram.New(1, 1e9, 3)
		if err := h.RecordValues(int64(1000*(i+1)), 7); err != nil {
			t.Fatal(err)
		}
		l.Intervals = append(l.Intervals, Of(h, tag, l.Start.Add(time.Duration(i)*time.Second), 1500*time.Millisecond))
	}
	var b bytes.Buffer
	if err := l.WriteLog(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSlice(t *testing.T) {
	l, err := ReadLog(example(t))
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int) time.Time { return l.Begin().Add(time.Duration(s) * time.Second) }
	for _, tt := range []struct {
		tags       []string
		from, to   time.Time
		want, over int
	}{
		{nil, time.Time{}, time.Time{}, 3, 0}, {nil, at(1), time.Time{}, 2, 0}, {nil, time.Time{}, at(1), 1, 1}, {nil, at(1), at(3), 2, 1},
		{[]string{"a/*"}, time.Time{}, time.Time{}, 2, 0}, {[]string{"*"}, time.Time{}, time.Time{}, 1, 0}, {[]string{"b", "a/x"}, time.Time{}, time.Time{}, 3, 0},
		{[]string{""}, time.Time{}, time.Time{}, 0, 0},
	} {
		got, over, err := Slice(l.Intervals, tt.tags, tt.from, tt.to)
		if err != nil || len(got) != tt.want || over != tt.over {
			t.Errorf("%+v: %d, %d, %v", tt, len(got), over, err)
		}
	}
	if _, _, err := Slice(l.Intervals, []string{"["}, time.Time{}, time.Time{}); err == nil {
		t.Error("a bad pattern is taken")
	}
}

// A percentile distribution has no time: beside a log it begins with the log, not in 1970.
func TestAddWithoutTime(t *testing.T) {
	read := func(name, text string) *Log {
		l, err := Read(name, text, time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	_, lines, _ := strings.Cut(example(t), legend+"\n")
	log := read("x.hlog", "#[BaseTime: 1760951100 (seconds since epoch)]\n"+lines)
	want := log.Rows()
	csv, none := read("x.csv", "value_ms,count\n5,1\n"), read("y.csv", "value_ms,count\n5,1\n")
	none.Intervals = nil // as nothing of it is selected
	for _, order := range [][]*Log{{log, csv}, {csv, log}, {log, none}, {none, log}, {csv, csv, log, none}} {
		var l Log
		for _, one := range order {
			if err := l.Add(one); err != nil {
				t.Fatal(err)
			}
		}
		if l.Begin() != log.Begin() {
			t.Errorf("begins at %v, want %v", l.Begin(), log.Begin())
		}
		all, err := Sum(l.Intervals, true)
		first, last := want[0], want[len(want)-1]
		if err != nil || !all[0].Start.Equal(log.Begin()) || all[0].Length.Seconds() != last.Start+last.Length-first.Start {
			t.Errorf("%v: a sum from %v over %v", err, all[0].Start, all[0].Length)
		}
	}
}

// Stamps without a base time are absolute, or count from a start time that is much later.
func TestBaseTime(t *testing.T) {
	_, lines, _ := strings.Cut(example(t), legend+"\n")
	for head, want := range map[string]int64{
		"": 0, "#[BaseTime: 50.5 (seconds since epoch)]\n": 50_500, "#[StartTime: 1760951100 (seconds since epoch), …]\n": 1_760_951_100_000,
		"#[StartTime: 3600 (seconds since epoch), …]\n": 0,
	} {
		if l, err := Read("x.hlog", head+lines, time.Second); err != nil || l.Unit != time.Second {
			t.Errorf("in seconds: %v, %+v", err, l)
		}
		l, err := Read("x.hlog", head+lines, 0)
		if err != nil || l.Intervals[0].Start.UnixMilli() != want || l.Stated || l.Unit != time.Nanosecond {
			t.Errorf("%q: %v, %v, unit %v", head, l.Intervals[0].Start, err, l.Unit)
		}
	}
}

// What is not whole is refused with its place, and nothing of it is passed over.
func TestBadFiles(t *testing.T) {
	hlog := example(t)
	var hgrm bytes.Buffer
	h := hdrhistogram.New(1, 1e9, 3)
	for i := range int64(50) {
		if err := h.RecordValue(i * i); err != nil {
			t.Fatal(err)
		}
	}
	if err := WritePercentiles(&hgrm, h, time.Microsecond, h.Max()); err != nil {
		t.Fatal(err)
	}
	whole := hgrm.String()
	lines := strings.SplitAfter(whole, "\n")
	payload := hlog[strings.LastIndex(hlog, ",")+1:]
	for _, tt := range []struct{ name, text, want string }{
		{"x.hlog", hlog[:len(hlog)-9], "line 8: bad histogram file: the histogram is cut off"},
		{"x.hlog", hlog[:strings.LastIndex(hlog, ",")], "line 8: bad histogram file: want start, length, maximum and histogram, and 3 fields are there"},
		{"x.hlog", hlog[:strings.LastIndex(hlog, "Tag=")+6], "line 8"},
		{"x.hlog", strings.Replace(hlog, "Tag=b,", "Tag=b,c,", 1), `line 7: bad histogram file: tag "b,c"`},
		{"x.hlog", strings.Replace(hlog, "Tag=b,", "Tag=b c,", 1), `line 7: bad histogram file: tag "b c"`},
		{"x.hlog", strings.Replace(hlog, "Tag=b,1.0", "Tag=b,x1.0", 1), "line 7"},
		{"x.hlog", "1,2,3," + strings.Replace(payload, "HIST", "HISX", 1), "line 1"},
		{"x.hlog", "1,-2,3," + payload, "line 1"}, {"x.hlog", "1e300,2,3," + payload, "line 1"}, {"x.hlog", "NaN,2,3," + payload, "line 1"},
		{"x.hlog", "1,1e10,3," + payload, "line 1"}, {"x.hlog", "#[BaseTime: 1.2.3 (seconds)]\n", "line 1"},
		{"x.hgrm", "mean 3\n", "it is no percentile distribution"}, {"x.hgrm", "a,b\n", "it is no percentile distribution"},
		{"x.hgrm", strings.Join(lines[:9], ""), "cut off"}, {"x.hgrm", strings.Join(lines[:len(lines)-4], ""), "cut off"}, {"x.hgrm", whole[:300], "cut off"},
		{"x.hgrm", strings.Join(slices.Delete(slices.Clone(lines), 8, len(lines)-4), ""), "cut off"},
		{"x.hgrm", strings.Join(append(slices.Clone(lines[:5]), lines[3:]...), ""), "none less than in the line above"},
		{"x.hgrm", strings.Replace(whole, "0.000 ", "-0.001", 1), "line 3"}, {"x.hgrm", strings.Replace(whole, "0.000 ", "0x1p3 ", 1), "line"},
		{"x.csv", "value,n\n1,2\n", "no column count"}, {"x.csv", "value_us,to_ns,count\n1,2,3\n", "another unit"}, {"x.csv", "count,count,value\n", "twice"},
		{"x.csv", "value,count\n1,2\n-1,2\n", "line 3"}, {"x.csv", "value,count\n1,2\n1.5,2\n", "line 3"}, {"x.csv", "value,count\n1,2,3\n", "line 2"}, {"x.csv", "value,count\n1\n", "line 2"},
		{"x.csv", "tag,value,count\n\"a,b\",1,2\n", `line 2: bad histogram file: tag "a,b"`}, {"x.csv", "value,count,digits\n1,2,9\n", "significant figures"},
		{"x.csv", "value,count\n1,9223372036854775807\n1,1\n", "overflow"}, {"x.csv", "value,count,highest\n1000000,1,10\n", "too large"},
		{"x.csv", "value,count,start_s\n1,2,soon\n", "line 2"}, {"x.csv", "value,count,length_s\n1,2,-1\n", "line 2"},
		{"x", "", "it is empty"}, {"x", "hello", "begins no log"}, {"x", "\xff\xfe", "not text"},
	} {
		l, err := Read(tt.name, tt.text, 0)
		if err == nil || !strings.HasPrefix(err.Error(), tt.name+": ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: %v, want %q; %+v", tt.text, err, tt.want, l)
		}
	}
	if l, err := Read("x.hlog", hlog[:len(hlog)-9], 0); err == nil || len(l.Intervals) != 2 {
		t.Errorf("a log that is cut off has %d whole intervals, want 2", len(l.Intervals))
	}
	for _, tag := range []string{",b", "b,", " b", "b\n", "b\u00a0"} { // the library's check knows none of the delimiters at an end
		l := &Log{Unit: 1, Intervals: []Interval{{Tag: tag, Geometry: Geometry{1, 10, 2}}}}
		if err := l.WriteLog(&bytes.Buffer{}); err == nil {
			t.Errorf("tag %q is written", tag)
		}
	}
	if err := (&Log{Unit: 1, Intervals: make([]Interval, 1)}).Add(&Log{Unit: 1000}); err == nil {
		t.Error("logs of two units are added")
	}
}

// Whatever a file holds, it is read or refused: nothing panics, and what is read can be written.
func FuzzRead(f *testing.F) {
	f.Add("x.hgrm", "       Value     Percentile TotalCount 1/(1-Percentile)\n\n 1.0 0.0 1 1.0\n 1.0 1.0 1\n#[Max     =        1.000, Total count    =            1]\n")
	f.Add("x.csv", "value_us,count,tag\n1,2,a\n")
	f.Add("x.hlog", "Tag=a,1,2,3,HISTFAAAAEV42pNpmSzMwMBgyAABzFCaEUoz2X+AMKgAABIlAQw=\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		l, err := Read(name, text, 0)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := l.WriteLog(&b); err != nil {
			t.Fatal(err)
		}
		again, err := Read("x.hlog", b.String(), 0)
		if err != nil || len(again.Intervals) != len(l.Intervals) {
			t.Fatalf("%v: %d intervals, want %d", err, len(again.Intervals), len(l.Intervals))
		}
	})
}
