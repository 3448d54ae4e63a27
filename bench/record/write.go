package record

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/leasestorm/leasestorm/bench/hist"
	"github.com/leasestorm/leasestorm/queue"
)

// WriteFiles writes the log's files to a run's folder: series.csv, latency.hlog, sojourn.hlog, and one
// .hgrm file for each phase, class and clock that has latencies. origin is the wall time of run time 0.
func (l *Log) WriteFiles(f *Folder, origin time.Time) error {
	if err := f.Write("series.csv", l.writeSeries); err != nil {
		return err
	}
	if err := f.Write("latency.hlog", func(w io.Writer) error { return l.writeHistograms(w, origin) }); err != nil {
		return err
	}
	if err := f.Write("sojourn.hlog", func(w io.Writer) error { return l.writeSojourns(w, origin) }); err != nil {
		return err
	}
	return l.eachLatency(func(p int, class queue.Class, clock Clock, h *Latency) error {
		return f.Write(fmt.Sprintf("%v-%s-%v.hgrm", class, l.Phases[p].Name, clock), h.WritePercentiles)
	})
}

// eachLatency calls do for each histogram that is not empty.
func (l *Log) eachLatency(do func(phase int, class queue.Class, clock Clock, h *Latency) error) error {
	for p := range l.Phases {
		for class := range queue.Classes {
			for clock := range Clocks {
				if h := l.Latency(p, class, clock); h.TotalCount() > 0 {
					if err := do(p, class, clock, h); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// writeHistograms writes a log that the HdrHistogram tools of every language read. It has one
// interval per phase, class and clock, with these three as its tag, in order of time.
func (l *Log) writeHistograms(w io.Writer, origin time.Time) error {
	log := hist.Log{
		Unit: latencyUnit, Start: origin,
		Comment: "[Latencies in microseconds, Interval_Max in seconds; one interval a phase; tag: class/phase/clock]",
	}
	last := time.Duration(0)
	if rows := l.Rows(); len(rows) > 0 {
		last = time.Duration(rows[len(rows)-1].Step+1) * l.Step
	}
	err := l.eachLatency(func(p int, class queue.Class, clock Clock, h *Latency) error {
		start, end := l.Phases[p].Start, max(l.Phases[p].Start, last)
		if p+1 < len(l.Phases) {
			end = l.Phases[p+1].Start
		}
		tag := fmt.Sprintf("%v/%s/%v", class, l.Phases[p].Name, clock)
		log.Intervals = append(log.Intervals, hist.Of(h.Histogram(), tag, origin.Add(start), end-start))
		return nil
	})
	if err != nil {
		return err
	}
	return log.WriteLog(w)
}

// sojournIntervals is the most intervals that sojourn.hlog has. Each takes half a millisecond to
// compress, and a map of them is no wider on a screen.
const sojournIntervals = 120

// writeSojourns writes a log of how the sojourn time was distributed as the run went on: intervals of
// one or more whole steps, of two digits and without a tag. Where nothing was served there is none.
func (l *Log) writeSojourns(w io.Writer, origin time.Time) error {
	log := hist.Log{
		Unit: latencyUnit, Start: origin,
		Comment: "[Sojourn times in microseconds, Interval_Max in seconds; one interval for each step of the series, or several]",
	}
	rows := l.Rows()
	if len(rows) == 0 {
		return log.WriteLog(w)
	}
	steps := rows[len(rows)-1].Step/sojournIntervals + 1 // per interval
	sum := NewCoarse()
	for i, r := range rows {
		sum.Merge(r.sojourn)
		at := r.Step / steps
		if i+1 < len(rows) && rows[i+1].Step/steps == at {
			continue
		}
		if length := time.Duration(steps) * l.Step; sum.TotalCount() > 0 {
			log.Intervals = append(log.Intervals, hist.Of(sum.Histogram(), "", origin.Add(time.Duration(at)*length), length))
		}
		sum = NewCoarse()
	}
	return log.WriteLog(w)
}

// writeSeries writes series.csv, one row per step. Counts are those of the step that ends at t_s.
// active, lost and queued are those at its end. Quantiles are empty if no attempt was served
// (sojourn) or offered (slip) in the step.
func (l *Log) writeSeries(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(columns); err != nil {
		return err
	}
	for _, r := range l.Rows() {
		if err := c.Write(l.fields(r)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// columns are the names of the series' columns.
var columns = seriesColumns()

func seriesColumns() []string {
	header := []string{"t_s", "phase"}
	for _, what := range []string{"offered", "admitted", "good", "late", "shed", "failed"} {
		for class := range queue.Classes {
			header = append(header, what+"_"+class.String())
		}
	}
	header = append(header, "active", "lost", "queued", "sojourn_p50_s", "sojourn_p99_s", "sojourn_max_s",
		"wasted_work", "busy", "slip_p50_s", "slip_p999_s", "slip_max_s")
	for why := queue.NotShed + 1; why < queue.Reasons; why++ {
		header = append(header, "shed_"+why.String())
	}
	return header
}

// AppendJSON appends a row of the series to an object in JSON that has members already: one for each
// column, of the same name. Numbers are as in the file. A quantile of nothing is null.
func (l *Log) AppendJSON(object []byte, r *Row) []byte {
	for i, field := range l.fields(r) {
		object = append(strconv.AppendQuote(append(object, ','), columns[i]), ':')
		switch {
		case field == "":
			object = append(object, "null"...)
		case columns[i] == "phase":
			object = strconv.AppendQuote(object, field)
		default:
			object = append(object, field...)
		}
	}
	return object
}

func (l *Log) fields(r *Row) []string {
	start := time.Duration(r.Step) * l.Step
	out := []string{number((start + l.Step).Seconds()), l.Phases[l.phaseAt(start)].Name}
	admitted := r.Offered
	for i := range admitted {
		admitted[i] -= r.Refused[i]
	}
	// Admitted can be below 0 in a step: a service that is not ours refuses a round trip later.
	for _, c := range []Counts{r.Offered, admitted, r.Done[queue.Good], r.Done[queue.Late], r.Done[queue.Shed], r.Done[queue.Failed]} {
		for _, n := range c {
			out = append(out, strconv.FormatInt(int64(n), 10))
		}
	}
	for _, n := range []int{r.Active, l.Leases - r.Active, r.Queued} {
		out = append(out, strconv.Itoa(n))
	}
	busy := r.Busy.Seconds() / (l.Step.Seconds() * float64(l.Workers))
	out = append(out, r.sojourn.fields(.5, .99)...)
	out = append(out, number(Share(r.Wasted, r.Busy)), number(busy))
	out = append(out, r.slip.fields(.5, .999)...)
	for _, n := range r.Why[queue.NotShed+1:] {
		out = append(out, strconv.FormatUint(n, 10))
	}
	return out
}

// fields are two quantiles and the maximum, in seconds; empty if l is empty.
func (l *Latency) fields(low, high float64) []string {
	if l.n == 0 {
		return []string{"", "", ""}
	}
	return []string{number(l.Quantile(low)), number(l.Quantile(high)), number(l.Max.Seconds())}
}

// Share returns part/whole, or 0 if whole is 0.
func Share(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// number formats x with six decimals: seconds to the microsecond.
func number(x float64) string { return strconv.FormatFloat(x, 'f', 6, 64) }
