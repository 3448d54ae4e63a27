package engine

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// togetherer is a Calendar whose attempts of a window may be asked for together.
type togetherer interface {
	Together(window time.Duration) bool
	// Touch brings into the cache what answers to attempts will look at.
	Touch(now time.Duration, items []queue.Item)
}

// aheadOf is how many attempts a plain manager's workers look at before they take them, so
// that the cache misses of their ends overlap.
const aheadOf = 16

// lookAhead does that, once for so many.
func (r *virtualRun) lookAhead(s *server, now time.Duration) {
	if r.looked--; r.looked > 0 {
		return
	}
	if r.looked = aheadOf; r.together != nil && r.m.Plain() {
		r.together.Touch(now, r.ahead[:s.side.Ahead(now, r.ahead[:])])
	}
}

// stretch carries a plain manager's run over what happens after now and tells nobody
// anything, and returns the time that it has come to: everything before it is done.
//
// While all workers are at attempts that will be late when they are done, the droplets hear
// nothing, and what they do depends on them alone; and what a queue in order gives out does
// not depend on what comes meanwhile. So the workers go on first, until one takes up an
// attempt that may be answered; then all attempts that are born until then come in
// batches, whose cache misses overlap. Each event is what it would be one by one, which a
// test asserts to the byte.
func (r *virtualRun) stretch(now time.Duration) time.Duration {
	bound := min(r.watcher.next, r.sweepAt)
	if len(r.left) > 0 {
		bound = min(bound, r.left[0].At)
	}
	s := r.earliest()
	for s.end != idle && s.end < bound && s.end >= s.item[0].Deadline() && r.m.Queued() > 0 {
		at := s.end
		s.rec.Tick(at)
		s.rec.Served(s.taken, at, s.planned, &s.item[0], queue.Late) // all that complete comes to, here
		r.take(s, at)
		s = r.earliest()
	}
	until := min(bound, s.end)
	for i := range r.servers {
		if r.servers[i].end == idle {
			return now // it would take up the next to come
		}
	}
	src := r.source()
	for n := len(r.items); n == len(r.items) && until > now+1; {
		if n = src.Next(until-1, r.items[:]); n > 0 {
			r.offerAll(r.items[:n])
		}
	}
	return max(now, until-1)
}

// earliest is the worker whose service ends first; of several, the first.
func (r *virtualRun) earliest() *server {
	s := &r.servers[0]
	for i := range r.servers[1:] {
		if o := &r.servers[i+1]; o.end < s.end {
			s = o
		}
	}
	return s
}

// offerAll is offer to a plain manager, of attempts each at its birth.
func (w *watcher) offerAll(items []queue.Item) {
	w.rec.OfferedOnTime(items)
	w.plan.Manager.OfferAll(items)
}
