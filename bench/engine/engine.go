// Package engine drives the model of manager and droplets, which is passive: it starts no
// goroutine and reads no clock. [Real] drives the model on pinned goroutines, with the host's
// clock and real work. [Virtual] drives it through a calendar of events, without waiting.
//
// A now argument is run time: the time since the start of the run.
package engine

import (
	"cmp"
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Source issues attempts and receives their answers: a fleet of droplets, or the flood of a
// calibration. All calls come from the generator's goroutine.
type Source interface {
	// Next writes attempts that are due at or before now to dst and returns their number. If
	// it fills dst, more may be due.
	Next(now time.Duration, dst []queue.Item) int
	// Refused delivers attempts that were shed at the door and of which the droplet is told.
	// See queue.Reason.Told.
	Refused(now time.Duration, items []queue.Item)
	// Answers delivers good and failed answers. Nobody is told of a late attempt.
	Answers(now time.Duration, answers []dwfm.Answer)
}

// State is a sample of a run, for its watcher.
type State struct {
	Active int    `json:"active"` // live leases
	Queued int    `json:"queued"` // waiting attempts
	Good   uint64 `json:"good"`   // good establishes since the start
	Checks uint64 `json:"checks"` // good checks since the start
}

// ExpirePeriod is the run time between two calls of Manager.Expire.
const ExpirePeriod = 10 * time.Millisecond

// Manager is the manager under test, as the engines call it. The generator calls Offer, Queued
// and Live. Every worker calls Cost, and one worker calls Expire. These calls may be concurrent.
type Manager interface {
	// Worker returns the i-th worker's side. One goroutine uses it.
	Worker(i int) Worker
	// Offer brings a batch of attempts to the door. It puts items[:queued] into the queue and
	// sheds items[queued:], with Why set to the reason.
	Offer(now time.Duration, items []queue.Item) (queued int)
	// Cost returns the service that an attempt needs if a worker takes it up at now, in units
	// of one check's service.
	Cost(now time.Duration, it *queue.Item) float64
	// Expire frees the lapsed leases and returns their number.
	Expire(now time.Duration) int
	Live() int   // number of live leases
	Queued() int // number of waiting attempts
}

// Worker is one worker's side of a Manager. dwfm.Worker documents each method.
type Worker interface {
	Drain(now time.Duration, dst []queue.Item) (shed int)
	Take(now time.Duration, dst []queue.Item) (taken, dropped int)
	Stale(now time.Duration, it *queue.Item) bool
	Complete(taken, now time.Duration, it *queue.Item, a *dwfm.Answer)
}

// Local returns this module's lease manager as a Manager.
func Local(m *dwfm.Manager) Manager { return local{m} }

type local struct{ *dwfm.Manager }

func (l local) Worker(i int) Worker { return l.Manager.Worker(i) }

// Plan describes one run.
type Plan struct {
	Manager Manager
	Source  Source // Virtual needs a Calendar
	Log     *record.Log
	End     time.Duration // latest end, in run time
	// Watch, if set, is called every WatchPeriod on the generator's goroutine. The run ends when
	// Watch returns true.
	Watch       func(now time.Duration, s State) bool
	WatchPeriod time.Duration // run time
	// ExpirePeriod is the run time between two calls of Manager.Expire; 0: [ExpirePeriod].
	ExpirePeriod time.Duration
	// Blocking says that the manager's table keeps a worker waiting, which is a part of the service. The
	// real engine then reads the clock once more for each attempt.
	Blocking bool
	// Events are carried out on the generator's goroutine. They must be in ascending order of At.
	Events []Event
}

func (p *Plan) expirePeriod() time.Duration { return cmp.Or(p.ExpirePeriod, ExpirePeriod) }

// Event is an action at a set run time, such as an operator's step or a change of load.
type Event struct {
	At time.Duration
	Do func(now time.Duration)
}

// Result is an engine's account of a run, beside the Plan's Log.
type Result struct {
	Elapsed time.Duration // run time at the end
	Queued  int           // attempts still waiting at the end
}

// watcher does the generator's work that is the same for both engines.
type watcher struct {
	plan  *Plan
	stock stock
	rec   *record.Recorder // the generator's
	next  time.Duration
	good  [queue.Classes]uint64 // good answers
	left  []Event
}

// stock is what a watcher samples: a Manager has it.
type stock interface {
	Live() int
	Queued() int
}

func newWatcher(p *Plan, s stock) *watcher {
	return &watcher{plan: p, stock: s, rec: p.Log.Recorder(p.Log.Workers), left: p.Events}
}

// answers counts the good answers and delivers all answers to the source.
func (w *watcher) answers(now time.Duration, answers []dwfm.Answer) {
	for i := range answers {
		if answers[i].Outcome == queue.Good {
			w.good[answers[i].Class]++
		}
	}
	w.plan.Source.Answers(now, answers)
}

// tick carries out the events that are due, calls the watcher, and returns true when the run is
// over.
func (w *watcher) tick(now time.Duration) bool {
	w.rec.Tick(now)
	for len(w.left) > 0 && w.left[0].At <= now {
		w.left[0].Do(now)
		w.left = w.left[1:]
	}
	if now < w.next {
		return false
	}
	w.next = now + w.plan.WatchPeriod
	s := State{Active: w.stock.Live(), Queued: w.stock.Queued(), Good: w.good[queue.Establish], Checks: w.good[queue.Check]}
	w.rec.Sample(s.Active, s.Queued)
	return now >= w.plan.End || w.plan.Watch != nil && w.plan.Watch(now, s)
}

// offer brings a batch to the manager and delivers the refusals to the source.
func (w *watcher) offer(now time.Duration, items []queue.Item) {
	w.rec.Offered(now, items)
	queued := w.plan.Manager.Offer(now, items)
	if queued == len(items) {
		return
	}
	shed := items[queued:]
	w.rec.Shed(shed)
	told := 0
	for i := range shed {
		if shed[i].Why.Told() {
			shed[told] = shed[i]
			told++
		}
	}
	w.plan.Source.Refused(now, shed[:told])
}
