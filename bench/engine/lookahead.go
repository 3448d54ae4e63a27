package engine

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// lookahead is a Calendar whose attempts of a window may be asked for together.
type lookahead interface {
	Lookahead(window time.Duration) bool
	// Prefetch brings into the cache what answers to attempts will look at.
	Prefetch(now time.Duration, items []queue.Item)
}

// plainManager is a Manager of which the virtual engine may foresee what it gives out: while
// Plain says so, attempts go into a queue in order, all of them, with nobody at the door, and
// their cost does not depend on the time. OfferAll is Offer then, for attempts of several
// instants; the workers' Ahead copies attempts that will be taken next.
type plainManager interface {
	Plain() bool
	OfferAll(items []queue.Item)
}

type aheadWorker interface {
	Ahead(now time.Duration, dst []queue.Item) int
}

// aheadOf is how many attempts a plain manager's workers look at before they take them, so
// that the cache misses of their ends overlap.
const aheadOf = 16

// prefetchAhead does that, once per aheadOf takes.
func (r *virtualRun) prefetchAhead(s *server, now time.Duration) {
	if r.looked--; r.looked > 0 {
		return
	}
	if r.looked = aheadOf; r.plain != nil && r.plain.Plain() {
		r.foreseen.Prefetch(now, r.ahead[:s.side.(aheadWorker).Ahead(now, r.ahead[:])])
	}
}

// lookahead carries a plain manager's run over events after now of which nobody is told, and
// returns the time that it has reached: everything before it is done. It is a conservative
// lookahead (R. M. Fujimoto, Parallel Discrete Event Simulation, CACM 33(10), 1990):
//
//  1. All workers are at attempts that will be late when they are done. Until one of them
//     takes up an attempt that may be answered, the droplets hear nothing, and what they do
//     depends on them alone.
//  2. What a queue in order gives out does not depend on what is pushed later.
//  3. So the workers go on first, up to that time. Then all attempts that are born until then
//     are pushed in batches, whose cache misses overlap.
//
// Each event is what it would be one by one. TestLookaheadIsSingle asserts that to the byte.
func (r *virtualRun) lookahead(now time.Duration) time.Duration {
	bound := min(r.watcher.next, r.expireAt)
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
func (r *virtualRun) offerAll(items []queue.Item) {
	r.rec.OfferedOnTime(items)
	r.plain.OfferAll(items)
}
