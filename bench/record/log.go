package record

import (
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// windows is the number of windows per recorder: one that it writes, and three on the way to the
// collector and back.
const windows = 4

// Shape is the layout of a log.
type Shape struct {
	Leases  int           // N
	Workers int           // c
	Step    time.Duration // length of a step of the series
	Phases  []Phase       // at least one; the first starts at 0, and the starts ascend
}

// Log is the record of one run: the recorders, and the time series that Collect merges from their
// windows.
type Log struct {
	Shape
	recorders []*Recorder
	full      chan *window
	spares    []*window
	rows      map[int]*Row
	watcher   *watcher // nil: nobody watches
}

// Row is one step of the series, summed over all recorders.
type Row struct {
	Tally
	Step           int // from 0; the step begins at run time Step times Shape.Step
	Active, Queued int // leases and attempts, at the last sample of the step
	sojourn, slip  *Latency
	sampled        bool
	parts          int // windows that were merged
}

// NewLog makes a log with Workers + 1 recorders: recorders 0 to Workers - 1 are the workers',
// recorder Workers is the generator's.
func NewLog(shape Shape) *Log {
	n := shape.Workers + 1
	l := &Log{Shape: shape, full: make(chan *window, n*windows), rows: map[int]*Row{}}
	for range n {
		r := &Recorder{
			step: shape.Step, free: make(chan *window, windows), full: l.full, phases: shape.Phases,
			latency: make([][queue.Classes][Clocks + 1]*Latency, len(shape.Phases)), toLease: NewLatency(),
			spread: NewCoarse(),
		}
		for range windows {
			r.free <- &window{step: -1, sojourn: NewCoarse(), slip: NewCoarse()}
		}
		r.cur = <-r.free
		for p := range r.latency {
			for c := range r.latency[p] {
				for k := range r.latency[p][c] {
					r.latency[p][c][k] = NewLatency()
				}
			}
		}
		r.cur.step = 0
		r.turn(0)
		l.recorders = append(l.recorders, r)
	}
	return l
}

// Recorder returns the i-th recorder.
func (l *Log) Recorder(i int) *Recorder { return l.recorders[i] }

// Collect merges the windows that the recorders have handed over. An engine calls it about once
// per step, from one goroutine. Recorders may be written meanwhile.
func (l *Log) Collect() {
	for {
		select {
		case w := <-l.full:
			l.merge(w)
			l.spares = append(l.spares, w)
		default:
			for _, r := range l.recorders {
				for len(l.spares) > 0 && len(r.free) < windows-1 { // any window serves any recorder
					r.free <- l.spares[len(l.spares)-1]
					l.spares = l.spares[:len(l.spares)-1]
				}
			}
			l.watcher.tell(false)
			return
		}
	}
}

func (l *Log) merge(w *window) {
	row := l.rows[w.step]
	if row == nil {
		row = &Row{Step: w.step, sojourn: NewCoarse(), slip: NewCoarse()}
		l.rows[w.step] = row
	}
	row.Tally.Add(&w.Tally)
	row.sojourn.Merge(w.sojourn)
	row.slip.Merge(w.slip)
	if w.sampled {
		row.Active, row.Queued, row.sampled = w.active, w.queued, true
	}
	row.parts++
	l.watcher.merge(w, row)
}

// Finish merges the windows that the recorders still hold. It must be called once, after the last
// write to a recorder. The methods below need it.
func (l *Log) Finish() {
	l.Collect()
	for _, r := range l.recorders {
		r.sums.Add(&r.cur.Tally)
		l.merge(r.cur)
	}
	l.watcher.tell(true)
}

// Rows returns the series in the order of time. A step without a sample has the Active and Queued
// of the step before. Rows must be called after Finish.
func (l *Log) Rows() []*Row {
	rows := make([]*Row, 0, len(l.rows))
	for _, r := range l.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *Row) int { return a.Step - b.Step })
	for i, r := range rows {
		if !r.sampled && i > 0 {
			r.Active, r.Queued = rows[i-1].Active, rows[i-1].Queued
		}
	}
	return rows
}

// Total returns the tally of the whole run. It must be called after Finish.
func (l *Log) Total() (t Tally) {
	for _, r := range l.recorders {
		t.Add(&r.sums)
	}
	return t
}

// Slip returns the distribution of the time from an attempt's birth to its offer. It must be
// called after Finish.
func (l *Log) Slip() *Latency {
	all := NewCoarse()
	for _, r := range l.rows {
		all.Merge(r.slip)
	}
	return all
}

// Quantile is a point of a distribution: a share Q of the values are at most X.
type Quantile struct {
	Q float64 `json:"q"` // 0 to 1
	X float64 `json:"x"`
}

// maxSpread is the longest service that is recorded, in 1/1000 of the planned service time.
const maxSpread = 1_000_000

// spreadAt are the quantiles of the distribution of service times that Services returns.
var spreadAt = []float64{0, .01, .05, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .98, .99, .995, .998, .999, .9995, .9999, 1}

// Services returns the distribution of service times, each divided by its planned service time. It
// is nil if fewer than 100 services were sampled. Services must be called after Finish.
func (l *Log) Services() []Quantile {
	all := NewCoarse()
	for _, r := range l.recorders {
		all.Merge(r.spread)
	}
	if all.TotalCount() < 100 {
		return nil
	}
	var qs []Quantile
	for _, q := range spreadAt {
		qs = append(qs, Quantile{q, 1e3 * all.Quantile(q)})
	}
	return qs
}

// TimeToLease returns the distribution of the times to lease. It must be called after Finish.
func (l *Log) TimeToLease() *Latency { return l.recorders[l.Workers].toLease }

// Latency returns the distribution of the latencies of one phase, class and clock. It must be
// called after Finish.
func (l *Log) Latency(phase int, class queue.Class, clock Clock) *Latency {
	h := NewLatency()
	for _, r := range l.recorders {
		h.Merge(r.latency[phase][class][clock])
		h.Merge(r.latency[phase][class][onTime])
	}
	return h
}

// phaseAt is the index of the phase at run time t.
func (l *Log) phaseAt(t time.Duration) int {
	phase := 0
	for phase+1 < len(l.Phases) && l.Phases[phase+1].Start <= t {
		phase++
	}
	return phase
}
