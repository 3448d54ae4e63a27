package engine

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// lookahead is a Calendar that can give all attempts of a window of time at once.
type lookahead interface {
	// Lookahead reports whether one call of Next for the whole window gives the same attempts as
	// a call per instant.
	Lookahead(window time.Duration) bool
	// Prefetch loads the records that the answers to these attempts will read into the cache.
	Prefetch(now time.Duration, items []queue.Item)
}

// plainManager is a Manager whose output the virtual engine can predict while Plain returns true:
// every attempt is admitted, the queue keeps their order, and costs do not depend on the time.
// OfferAll then replaces Offer, for attempts of several instants.
type plainManager interface {
	Plain() bool
	OfferAll(items []queue.Item)
}

// aheadWorker is the worker's side of a plainManager. Ahead copies the attempts that will be
// taken next.
type aheadWorker interface {
	Ahead(now time.Duration, dst []queue.Item) int
}

// aheadOf is the number of attempts for which records are prefetched together, so that their
// cache misses overlap.
const aheadOf = 16

// prefetchAhead prefetches for the next attempts, once per aheadOf takes.
func (r *virtualRun) prefetchAhead(s *server, now time.Duration) {
	if r.looked--; r.looked > 0 {
		return
	}
	if r.looked = aheadOf; r.plain != nil && r.plain.Plain() {
		r.foreseen.Prefetch(now, r.ahead[:s.side.(aheadWorker).Ahead(now, r.ahead[:])])
	}
}

// lookahead carries out the events after now that produce no answer, in batches, and returns the
// run time that it has reached. All events before that time are done. It is a conservative
// lookahead (R. M. Fujimoto, Parallel Discrete Event Simulation, CACM 33(10), 1990):
//
//  1. While every worker serves an attempt that will be late, no droplet receives an answer. So
//     the attempts of the droplets depend on the droplets alone.
//  2. A queue in order gives out the same attempts, whatever is pushed behind them.
//  3. So the workers go on first, until one of them takes up an attempt that may be answered.
//     Then all attempts that are born by that time are pushed in batches, whose cache misses
//     overlap.
//
// The result is that of one event at a time. TestLookaheadIsSingle compares the two byte for
// byte.
func (r *virtualRun) lookahead(now time.Duration) time.Duration {
	bound := min(r.watcher.next, r.expireAt)
	if len(r.left) > 0 {
		bound = min(bound, r.left[0].At)
	}
	s := r.earliest()
	for s.end != idle && s.end < bound && s.end >= s.item[0].Deadline() && r.m.Queued() > 0 {
		at := s.end
		s.rec.Tick(at)
		s.rec.Served(s.taken, at, s.planned, &s.item[0], queue.Late) // all that complete does then
		r.take(s, at)
		s = r.earliest()
	}
	until := min(bound, s.end)
	for i := range r.servers {
		if r.servers[i].end == idle {
			return now // an idle worker takes the next attempt at its birth
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

// earliest is the worker whose service ends first; of several, that with the lowest index.
func (r *virtualRun) earliest() *server {
	s := &r.servers[0]
	for i := range r.servers[1:] {
		if o := &r.servers[i+1]; o.end < s.end {
			s = o
		}
	}
	return s
}

// offerAll offers attempts to a plain manager, each at its birth.
func (r *virtualRun) offerAll(items []queue.Item) {
	r.rec.OfferedOnTime(items)
	r.plain.OfferAll(items)
}
