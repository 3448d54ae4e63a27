// Package record records the measurements of a run and writes them to files.
//
// Each goroutine of a run writes to a [Recorder] of its own. A recorder keeps the counts and two
// coarse histograms of the present step in a window. When the step has passed, the recorder hands
// the window to [Log.Collect], which merges the windows of all recorders into a time series. The
// fine histograms of the whole run stay with the recorder until the end.
//
// Recording takes no lock and does not allocate, with two exceptions: one channel operation per
// step, and one allocation when a histogram first needs more room.
package record

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// Phase is a named part of a run. It ends where the next phase starts.
type Phase struct {
	Name  string        `json:"name"`
	Start time.Duration `json:"start_ns"` // run time
}

// Clock is the instant from which a latency counts. The headline figures use Intended: a generator
// that falls behind must not make the manager look better.
type Clock uint8

// The clocks.
const (
	Intended Clock = iota // from the attempt's birth, when the droplet was due to ask
	Actual                // from the offer, when the generator brought the attempt to the door
	Clocks                // number of clocks

	onTime = Clocks // both clocks at once, for attempts that were offered at their birth
)

func (c Clock) String() string { return [Clocks]string{"intended", "actual"}[c] }

// Counts are numbers of attempts by class.
type Counts [queue.Classes]uint64

// Sum returns the number of attempts of all classes.
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

// Tally holds the counts and the workers' times of a step or of a whole run.
type Tally struct {
	Offered Counts                 // brought to the door
	Refused Counts                 // by controller or operator's throttle; also in Done[queue.Shed]
	Done    [queue.Outcomes]Counts // by outcome
	Why     [queue.Reasons]uint64  // shed attempts by reason
	Busy    time.Duration          // sum of the service times of all workers
	Wasted  time.Duration          // the part of Busy that went into late attempts
	Planned time.Duration          // Busy as expected from the calibrated service times
}

// Add adds the counts and times of another one.
func (t *Tally) Add(o *Tally) {
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

// Unaccounted returns the offered attempts less those that have an outcome and those still queued.
// It is 0 in a correct run, positive if attempts were lost, and negative if attempts were counted
// twice.
func (t *Tally) Unaccounted(queued int) int64 {
	n := int64(t.Offered.Sum()) - int64(queued)
	for _, c := range t.Done {
		n -= int64(c.Sum())
	}
	return n
}

// window holds the measurements of one recorder in one step.
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

// spreadOne is the number of services per sample of the distribution of service times.
const spreadOne = 8

// Recorder records the measurements of one goroutine. Its methods must not be called concurrently.
// Times named now are run time.
type Recorder struct {
	step    time.Duration
	end     time.Duration // run time at which the current step or phase ends
	cur     *window
	free    chan *window
	full    chan<- *window
	phases  []Phase
	phase   int
	latency [][queue.Classes][Clocks + 1]*Latency // by phase; the last is onTime
	sums    Tally                                 // of the windows handed over so far
	toLease *Latency
	spread  *Latency        // service time over planned service time, 1/1000 as 1 µs; see spreadOne
	served  uint            // attempts
	_       [pad.Bytes]byte // keeps two recorders' counters off one cache line
}

// Tick closes the windows and phases that have passed. It must be called at least once per step.
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
		r.sums.Add(&r.cur.Tally)
		r.full <- r.cur // never blocks: it has room for all windows of all recorders
		next.clear(step)
		r.cur = next
	default:
		// The collector is late. The window continues in the next step. Counts of that step
		// then appear one step early in the series, but none is lost.
	}
}

// Offered counts attempts that the generator brings to the door at now, and records their slip.
func (r *Recorder) Offered(now time.Duration, items []queue.Item) {
	for i := range items {
		it := &items[i]
		r.cur.Offered[it.Class]++
		r.cur.slip.Record(now - it.Born)
	}
}

// OfferedOnTime counts attempts that are each offered at their birth. They must be in the order of
// their births. OfferedOnTime calls Tick as needed.
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

// Shed counts attempts that were refused at the door or dropped by the discipline.
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

// Served counts an attempt with outcome out, which a worker served from start to end. planned is
// the expected service time.
func (r *Recorder) Served(start, end, planned time.Duration, it *queue.Item, out queue.Outcome) {
	w := r.cur
	w.Done[out][it.Class]++
	w.Busy += end - start
	w.Planned += planned
	if out == queue.Late {
		w.Wasted += end - start
	}
	if r.served++; r.served%spreadOne == 0 && planned > 0 {
		if x := (end - start) * 1000 / planned; x <= maxSpread { // longer services are left out
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

// TimeToLease records the time from the loss of a lease to the next one.
func (r *Recorder) TimeToLease(d time.Duration) { r.toLease.Record(d) }

// Sample records the number of active leases and of queued attempts. The last sample of a step
// counts. Only the generator calls Sample.
func (r *Recorder) Sample(active, queued int) {
	r.cur.sampled, r.cur.active, r.cur.queued = true, active, queued
}
