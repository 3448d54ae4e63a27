// Package record keeps what a run measures: per goroutine while it runs, merged by a
// collector, and as files afterwards.
//
// Each goroutine of the run writes a [Recorder] of its own. Counts and a coarse
// histogram of each step stand in a window, which is handed to the collector when its
// step has passed; the whole run's histograms stay with the recorder until the end.
// Recording neither allocates nor locks, but for a channel operation a step and a
// histogram's first value.
package record

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// Phase is a named part of a run.
type Phase struct {
	Name  string        `json:"name"`
	Start time.Duration `json:"start_ns"`
}

// Clock says from which instant a latency counts.
type Clock uint8

// Intended counts from the attempt's birth, when the droplet meant to ask; Actual from
// when the generator got round to it. The headline is Intended: a generator that falls
// behind must not make the system look better.
const (
	Intended Clock = iota
	Actual
	Clocks // number of clocks

	onTime = Clocks // for both: of attempts that were offered when they meant to ask
)

func (c Clock) String() string { return [Clocks]string{"intended", "actual"}[c] }

// Counts are attempts by class.
type Counts [queue.Classes]uint64

// Sum is over all classes.
func (c Counts) Sum() (n uint64) {
	for _, x := range c {
		n += x
	}
	return n
}

func (c *Counts) add(d *Counts) {
	for i := range c {
		c[i] += d[i]
	}
}

// Tally is what is counted, of a step or of a whole run.
type Tally struct {
	Offered Counts
	Refused Counts // at the door, by controller or operator; they are among the shed, too
	Done    [queue.Outcomes]Counts
	Why     [queue.Reasons]uint64 // of the shed
	Busy    time.Duration         // of the workers
	Wasted  time.Duration         // the part of Busy that went into late attempts
	Planned time.Duration         // what Busy would be by the calibrated service times
}

func (t *Tally) add(o *Tally) {
	t.Offered.add(&o.Offered)
	t.Refused.add(&o.Refused)
	for i := range t.Done {
		t.Done[i].add(&o.Done[i])
	}
	for i := range t.Why {
		t.Why[i] += o.Why[i]
	}
	t.Busy += o.Busy
	t.Wasted += o.Wasted
	t.Planned += o.Planned
}

// Unaccounted is offered attempts that neither ended in any way nor are among the
// queued: 0 in a run that lost none and counted none twice.
func (t *Tally) Unaccounted(queued int) int64 {
	n := int64(t.Offered.Sum()) - int64(queued)
	for _, c := range t.Done {
		n -= int64(c.Sum())
	}
	return n
}

// window is what one recorder saw in one step.
type window struct {
	Tally
	step    int
	sojourn *Latency
	slip    *Latency
	sampled bool // active and queued are set
	active  int
	queued  int
}

func (w *window) clear(step int) {
	w.sojourn.Reset()
	w.slip.Reset()
	*w = window{step: step, sojourn: w.sojourn, slip: w.slip}
}

// spreadOne: one service in so many is noted in the distribution of services.
const spreadOne = 8

// Recorder is written by one goroutine.
type Recorder struct {
	step    time.Duration
	end     time.Duration // of the current window or phase
	cur     *window
	free    chan *window
	full    chan<- *window
	phases  []Phase
	phase   int
	latency [][queue.Classes][Clocks + 1]*Latency // by phase; the last is onTime
	sums    Tally                                 // of windows that have been handed over
	toLease *Latency
	spread  *Latency // of services over what was planned, 1/1000 as 1 µs; one in spreadOne
	served  uint
	_       [pad.Bytes]byte // keeps two recorders' counters off one cache line
}

// Tick must be called at least once a step, with the present time: it closes the
// windows and phases that have passed.
func (r *Recorder) Tick(now time.Duration) {
	if now >= r.end {
		r.turn(now)
	}
}

func (r *Recorder) turn(now time.Duration) {
	for r.phase+1 < len(r.phases) && now >= r.phases[r.phase+1].Start {
		r.phase++
	}
	r.end = (now/r.step + 1) * r.step
	if r.phase+1 < len(r.phases) {
		r.end = min(r.end, r.phases[r.phase+1].Start)
	}
	step := int(now / r.step)
	if step == r.cur.step {
		return
	}
	select {
	case next := <-r.free:
		r.sums.add(&r.cur.Tally)
		r.full <- r.cur // never blocks: it has room for all windows of all recorders
		next.clear(step)
		r.cur = next
	default:
		// The collector is late. The window goes on into the next step: its counts
		// stand in the series a step early, but none is lost.
	}
}

// Offered counts attempts that the generator brings to the door at now.
func (r *Recorder) Offered(now time.Duration, items []queue.Item) {
	for i := range items {
		it := &items[i]
		r.cur.Offered[it.Class]++
		r.cur.slip.Record(now - it.Born)
	}
}

// OfferedOnTime counts attempts that are offered each at its birth, in order; it ticks.
func (r *Recorder) OfferedOnTime(items []queue.Item) {
	n := int64(0)
	for i := range items {
		if it := &items[i]; it.Born >= r.end {
			r.cur.slip.RecordMany(0, n)
			n = 0
			r.turn(it.Born)
		}
		r.cur.Offered[items[i].Class]++
		n++
	}
	r.cur.slip.RecordMany(0, n)
}

// Shed counts attempts that were refused or dropped.
func (r *Recorder) Shed(items []queue.Item) {
	for i := range items {
		it := &items[i]
		r.cur.Done[queue.Shed][it.Class]++
		r.cur.Why[it.Why]++
		if it.Why == queue.Refused || it.Why == queue.Throttled {
			r.cur.Refused[it.Class]++
		}
	}
}

// Served counts an attempt on which a worker worked from start to end, where planned was
// to be expected.
func (r *Recorder) Served(start, end, planned time.Duration, it *queue.Item, out queue.Outcome) {
	w := r.cur
	w.Done[out][it.Class]++
	w.Busy += end - start
	w.Planned += planned
	if out == queue.Late {
		w.Wasted += end - start
	}
	if r.served++; r.served%spreadOne == 0 && planned > 0 {
		if x := (end - start) * 1000 / planned; x <= maxSpread { // what is out of range is no service
			r.spread.Record(x * latencyUnit)
		}
	}
	w.sojourn.Record(start - it.Offered())
	l := &r.latency[r.phase][it.Class]
	if it.Slip == 0 {
		l[onTime].Record(end - it.Born)
		return
	}
	l[Intended].Record(end - it.Born)
	l[Actual].Record(end - it.Offered())
}

// TimeToLease records one.
func (r *Recorder) TimeToLease(d time.Duration) { r.toLease.Record(d) }

// Sample notes the state as it stands; the last sample of a step counts. Only the
// generator's recorder is sampled.
func (r *Recorder) Sample(active, queued int) {
	r.cur.sampled, r.cur.active, r.cur.queued = true, active, queued
}
