// Package engine drives the passive model of manager and droplets: [Real] on pinned
// goroutines, the host's clock and real work; [Virtual] through a calendar of events, without
// waiting.
package engine

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Source is where attempts come from and answers go: a fleet of droplets, or a flood
// that calibrates. It belongs to the generator's goroutine.
type Source interface {
	// Next fills dst with attempts that are due at or before now.
	Next(now time.Duration, dst []queue.Item) int
	// Refused delivers refusals at the door.
	Refused(now time.Duration, items []queue.Item)
	// Answers delivers good and failed answers.
	Answers(now time.Duration, answers []dwfm.Answer)
}

// State is what a run's watcher sees.
type State struct {
	Active int    // live leases
	Queued int    // attempts waiting
	Good   uint64 // good establishes since the start
}

// ExpirePeriod is how often the manager looks for lapsed leases, in run time.
const ExpirePeriod = 10 * time.Millisecond

// Manager is what the engines call of the manager under test. Offer, Queued and Live are
// called by the generator, Cost by the workers as well; Expire by one of them.
type Manager interface {
	// Worker makes the i-th worker's side, which belongs to one goroutine.
	Worker(i int) Worker
	// Offer brings a batch of attempts to the door: items[queued:] are shed, with their Why.
	Offer(now time.Duration, items []queue.Item) (queued int)
	// Cost is how much service an attempt takes that is taken up at now, in checks.
	Cost(now time.Duration, it *queue.Item) float64
	// Expire frees the lapsed leases and returns their number.
	Expire(now time.Duration) int
	Live() int   // live leases
	Queued() int // attempts that wait
}

// Worker is one worker's side of a Manager. See dwfm.Worker for what each call says.
type Worker interface {
	Drain(now time.Duration, dst []queue.Item) (shed int)
	Take(now time.Duration, dst []queue.Item) (taken, dropped int)
	Stale(now time.Duration, it *queue.Item) bool
	Complete(taken, now time.Duration, it *queue.Item, a *dwfm.Answer)
}

// Local is the lease manager of this module as the engines' Manager.
func Local(m *dwfm.Manager) Manager { return local{m} }

type local struct{ *dwfm.Manager }

func (l local) Worker(i int) Worker { return l.Manager.Worker(i) }

// Plan is one run.
type Plan struct {
	Manager Manager
	Source  Source
	Log     *record.Log
	End     time.Duration // at the latest
	// Watch is called every WatchPeriod, on the generator's goroutine; the run ends
	// when it returns true. May be nil.
	Watch       func(now time.Duration, s State) bool
	WatchPeriod time.Duration
	// Events happen on the generator's goroutine, in order of their times.
	Events []Event
}

// Event is something that happens to a run at a set time: an operator's action, a change
// of load.
type Event struct {
	At time.Duration
	Do func(now time.Duration)
}

// Result is what an engine knows of a run beside its log.
type Result struct {
	Elapsed time.Duration // run time
	Queued  int           // attempts still waiting at the end
}

// watcher has what any engine does between two batches of attempts.
type watcher struct {
	plan *Plan
	rec  *record.Recorder // the generator's
	next time.Duration
	good uint64
	left []Event
}

func newWatcher(p *Plan) *watcher {
	return &watcher{plan: p, rec: p.Log.Recorder(p.Log.Workers), left: p.Events}
}

// answers delivers answers to the source.
func (w *watcher) answers(now time.Duration, answers []dwfm.Answer) {
	for i := range answers {
		if answers[i].Class == queue.Establish && answers[i].Outcome == queue.Good {
			w.good++
		}
	}
	w.plan.Source.Answers(now, answers)
}

// tick returns true when the run is over.
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
	s := State{Active: w.plan.Manager.Live(), Queued: w.plan.Manager.Queued(), Good: w.good}
	w.rec.Sample(s.Active, s.Queued)
	return now >= w.plan.End || w.plan.Watch != nil && w.plan.Watch(now, s)
}

// offer brings a batch to the manager and its refusals back.
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
