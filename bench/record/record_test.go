package record

import (
	"bytes"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench/hist"
	"github.com/leasestorm/leasestorm/queue"
)

const ms = time.Millisecond

func smallLog() *Log {
	return NewLog(Shape{Leases: 100, Workers: 1, Step: 100 * ms, Phases: []Phase{{Name: "steady"}, {Name: "return", Start: 250 * ms}}})
}

// fill records a second of made-up work: each 10 ms an establish is offered, served in
// 2 ms after 3 ms of queue; every tenth is refused.
func fill(l *Log) {
	gen, worker := l.Recorder(1), l.Recorder(0)
	for now := time.Duration(0); now < time.Second; now += 10 * ms {
		gen.Tick(now)
		items := []queue.Item{{Born: now - ms, Timeout: queue.ToMicros(time.Second), Class: queue.Establish}}
		items[0].SetOffered(now)
		gen.Offered(now, items)
		gen.Sample(90, 7)
		if now%(100*ms) == 0 {
			items[0].Why = queue.Refused
			gen.Shed(items)
			continue
		}
		worker.Tick(now + 3*ms)
		out := queue.Good
		if now > 500*ms {
			out = queue.Late
		}
		worker.Served(now+3*ms, now+5*ms, 2*ms, &items[0], out)
		l.Collect()
	}
	l.Finish()
}

func TestLog(t *testing.T) {
	l := smallLog()
	fill(l)
	total := l.Total()
	if total.Offered[queue.Establish] != 100 || total.Done[queue.Shed].Sum() != 10 || total.Why[queue.Refused] != 10 ||
		total.Done[queue.Good].Sum() != 45 || total.Done[queue.Late].Sum() != 45 || total.Busy != 180*ms || total.Wasted != 90*ms {
		t.Errorf("%+v", total)
	}
	if n := total.Unaccounted(0); n != 0 {
		t.Errorf("%d unaccounted", n)
	}
	if n := total.Unaccounted(3); n != -3 {
		t.Errorf("with three queued that nobody offered: %d, want -3", n)
	}
	rows := l.Rows()
	if len(rows) != 10 {
		t.Fatalf("%d rows, want 10", len(rows))
	}
	for i, r := range rows {
		if r.Step != i || r.Offered.Sum() != 10 || r.Active != 90 || r.Queued != 7 {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if got := l.Latency(0, queue.Establish, Intended).TotalCount() + l.Latency(1, queue.Establish, Intended).TotalCount(); got != 90 {
		t.Errorf("%d latencies, want 90", got)
	}
	if got := l.Latency(1, queue.Establish, Intended).Quantile(.5); got < 0.0059 || got > 0.0061 {
		t.Errorf("latency from birth %v s, want 6 ms", got)
	}
	if got := l.Latency(1, queue.Establish, Actual).Quantile(.5); got < 0.0049 || got > 0.0051 {
		t.Errorf("latency from the offer %v s, want 5 ms", got)
	}
}

// A collector that does not come loses nothing.
func TestLateCollector(t *testing.T) {
	l := smallLog()
	gen := l.Recorder(1)
	for now := time.Duration(0); now < 10*time.Second; now += 10 * ms {
		gen.Tick(now)
		gen.Offered(now, make([]queue.Item, 1))
	}
	l.Finish()
	sum := uint64(0)
	for _, r := range l.Rows() {
		sum += r.Offered.Sum()
	}
	if total := l.Total(); total.Offered.Sum() != 1000 || sum != 1000 {
		t.Errorf("%d offered, %d in the series; want 1000", total.Offered.Sum(), sum)
	}
}

func TestFiles(t *testing.T) {
	l := smallLog()
	fill(l)
	f, err := Create(filepath.Join(t.TempDir(), "a", "run"))
	if err != nil {
		t.Fatal(err)
	}
	origin := time.Date(2025, 10, 20, 9, 25, 0, 123456789, time.UTC)
	if err := l.WriteFiles(f, origin); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path); err == nil {
		t.Error("the folder is there before it is finished")
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(f.path, "series.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 11 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	want := map[string]string{
		"t_s": "0.800000", "phase": "return", "offered_establish": "10", "admitted_establish": "9", "good_establish": "0", "late_establish": "9",
		"shed_establish": "1", "active": "90", "lost": "10", "queued": "7", "shed_refused": "1", "wasted_work": "1.000000", "sojourn_max_s": "0.003000",
	}
	for name, w := range want {
		if got := rows[8][column[name]]; got != w {
			t.Errorf("%s at 0.8 s: %s, want %s", name, got, w)
		}
	}
	empty := smallLog() // in which nothing was offered
	empty.Finish()
	text = text[:0]
	for _, r := range empty.Rows() {
		text = append(text, strings.Join(empty.fields(r), ",")...)
	}
	if !strings.Contains(string(text), ",,,,0.000000,0.000000,,,,") {
		t.Errorf("quantiles of nothing: %s", text)
	}
	file, err := os.Open(filepath.Join(f.path, "latency.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	reader := hdrhistogram.NewHistogramLogReader(file)
	got := map[string]int64{}
	for {
		h, err := reader.NextIntervalHistogram()
		if h == nil || err != nil {
			break
		}
		got[h.Tag()] = h.TotalCount()
	}
	for tag, n := range map[string]int64{"establish/steady/intended": 22, "establish/return/intended": 68, "establish/return/actual": 68} {
		if got[tag] != n {
			t.Errorf("%s: %d values, want %d; there are %v", tag, got[tag], n, got)
		}
	}
}

// A gap is seen as whoever had come every 10 µs would have seen it.
func TestRecordGap(t *testing.T) {
	l := NewLatency()
	for now := 0; now < 1000; now++ { // a loop of 1 µs a turn, 1 ms
		l.RecordGap(time.Duration(now)*time.Microsecond, time.Duration(now+1)*time.Microsecond)
	}
	if n := l.TotalCount(); n != 100 {
		t.Errorf("1 ms without a gap: %d records, want 100", n)
	}
	l.RecordGap(time.Millisecond, 2*time.Millisecond)
	if n := l.TotalCount(); n != 200 || l.Max != time.Millisecond {
		t.Errorf("a gap of 1 ms: %d records, max %v", n, l.Max)
	}
	if q := l.Quantile(.75); q < 0.0004 || q > 0.0006 {
		t.Errorf("half of the records lie in a gap of 1 ms; p75 is %v s, want about 0.5 ms", q)
	}
}

func TestLatency(t *testing.T) {
	l := NewLatency()
	for i := 1; i <= 1000; i++ {
		l.Record(time.Duration(i) * ms)
	}
	l.Record(-time.Second)
	l.Record(100 * time.Hour)
	if l.TotalCount() != 1002 || l.Max != 100*time.Hour {
		t.Errorf("%d records, max %v", l.TotalCount(), l.Max)
	}
	if q := l.Quantile(.5); q < 0.499 || q > 0.502 {
		t.Errorf("p50 %s", strconv.FormatFloat(q, 'g', -1, 64))
	}
	if NewLatency().Quantile(.5) != 0 {
		t.Error("a quantile of nothing is not 0")
	}
}

// It has HdrHistogram's buckets. Its quantiles are the smallest values with at least the
// asked share at or below them, which the library rounds by half a record.
func TestLatencyIsHDR(t *testing.T) {
	for _, l := range []*Latency{NewLatency(), NewCoarse()} {
		h := hdrhistogram.New(1, latencyMax, int(l.digits))
		rapid.Check(t, func(t *rapid.T) {
			for range rapid.IntRange(1, 50).Draw(t, "n") {
				v := rapid.Int64Range(0, 2<<rapid.IntRange(0, 51).Draw(t, "bits")).Draw(t, "µs")
				n := rapid.Int64Range(1, 1000).Draw(t, "times")
				l.RecordMany(time.Duration(v)*time.Microsecond, n)
				if err := h.RecordValues(v, n); err != nil { // above the library's hour
					wide := hdrhistogram.New(1, longest, int(l.digits))
					wide.Merge(h)
					if h, err = wide, wide.RecordValues(v, n); err != nil {
						t.Fatalf("%d µs: %v", v, err)
					}
				}
			}
			sum := &Latency{geometry: l.geometry}
			sum.Merge(l)
			for _, x := range []*Latency{l, sum} {
				if !x.Histogram().Equals(h) || x.TotalCount() != h.TotalCount() {
					t.Fatal("other counts than the library's")
				}
				x.Max = 1 << 62 // it bounds the quantiles
				q := rapid.Float64Range(0.0001, 1).Draw(t, "q")
				want, seen := 0.0, int64(0)
				for _, bar := range h.Distribution() {
					if seen += bar.Count; float64(seen)/float64(h.TotalCount()) >= q {
						want = float64(bar.To) / 1e6
						break
					}
				}
				if got := x.Quantile(q); math.Abs(got-want) > 1e-9*want {
					t.Fatalf("q %g: %g s, want %g", q, got, want)
				}
			}
			if rapid.Bool().Draw(t, "reset") {
				l.Reset()
				h = hdrhistogram.New(1, latencyMax, int(l.digits))
			}
		})
	}
}

// The log of sojourn times has all of them, in at most as many intervals as it may have.
func TestSojournLog(t *testing.T) {
	for _, steps := range []int{1, 7, sojournIntervals, sojournIntervals + 1, 1000} {
		l := NewLog(Shape{Workers: 1, Leases: 10, Step: 100 * time.Millisecond, Phases: []Phase{{Name: "steady"}}})
		want := int64(0)
		for i := range steps {
			if i%5 == 4 {
				continue // nothing was served
			}
			row := &Row{Step: i, sojourn: NewCoarse(), slip: NewCoarse()}
			row.sojourn.RecordMany(time.Duration(i+1)*time.Millisecond, int64(i+1))
			l.rows[i] = row
			want += int64(i + 1)
		}
		var b bytes.Buffer
		if err := l.writeSojourns(&b, time.Unix(1000, 0)); err != nil {
			t.Fatal(err)
		}
		log, err := hist.ReadLog(b.String())
		if err != nil || len(log.Intervals) > sojournIntervals || len(log.Intervals) == 0 {
			t.Fatalf("%d steps: %d intervals, %v", steps, len(log.Intervals), err)
		}
		got, end := int64(0), time.Unix(1000, 0)
		for _, i := range log.Intervals {
			if i.Start.Before(end) {
				t.Errorf("%d steps: an interval at %v begins before %v", steps, i.Start, end)
			}
			got, end = got+i.Count(), i.Start.Add(i.Length)
		}
		if got != want {
			t.Errorf("%d steps: %d values; want %d", steps, got, want)
		}
	}
}

// A service that is not ours refuses a step later than it was asked: the admitted of a step may be below 0, and
// their sum is right.
func TestRefusedLater(t *testing.T) {
	l := smallLog()
	r := Row{sojourn: NewLatency(), slip: NewLatency()}
	r.Offered[queue.Check], r.Refused[queue.Check] = 2, 5
	at := slices.Index(columns, "admitted_"+queue.Check.String())
	if got := l.fields(&r)[at]; got != "-3" {
		t.Errorf("%s admitted, want -3", got)
	}
}
