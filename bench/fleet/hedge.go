package fleet

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// A droplet that hedges sends its request once more while the first attempt is out: a hedge. All attempts
// of a request have the deadline of the first one, and each has a birth of its own, HedgeAfter behind the
// one before. The first good answer ends the request. A refusal or failure ends the request only if no
// other attempt of it is out; so does the time-out. Sources: J. Dean and L. A. Barroso, The Tail at Scale,
// CACM 56(2), 2013; gRPC A6, hedgingPolicy. Other than there, a refusal sends no hedge ahead of its time.

// request is the state of a request, in the record of its first attempt:
//
//	out:3 | hedges:3 | stopped:1 | redials:1
//
// out is the number of attempts that have neither failed nor been refused, hedges the number of hedges
// that were sent. stopped: no more of them are. redials: the droplet's last attempt timed out, and its
// connection was closed.
type request uint8

const (
	redials request = 1 << iota
	stopped
	oneHedge
	allHedges = 7 * oneHedge
	fresh     = 8 * oneHedge // one attempt out
)

func (r request) is(s request) bool { return r&s != 0 }
func (r request) hedges() int       { return int(r & allHedges / oneHedge) }
func (r request) out() int          { return int(r / fresh) }

// Hedges counts the hedges of a fleet.
type Hedges struct {
	Sent int `json:"sent"` // hedges
	Won  int `json:"won"`  // hedges that brought their request's first good answer
	Held int `json:"held"` // requests whose hedges the retry policy's budget held back
}

// Add adds the counts of another fleet.
func (h *Hedges) Add(o Hedges) {
	h.Sent += o.Sent
	h.Won += o.Won
	h.Held += o.Held
}

// Hedges returns the counts so far.
func (f *Fleet) Hedges() Hedges { return f.hedged }

// mayHedge sets the time of the first hedge of an attempt.
func (f *Fleet) mayHedge(a *attempt) {
	if f.cfg.HedgeAfter > 0 {
		f.hedges.add(timer{a.born + f.cfg.HedgeAfter, a.droplet})
	}
}

// hedge sends a droplet's next hedge, if its request still waits for an answer. It returns the number of
// attempts, 0 or 1.
func (f *Fleet) hedge(t timer, it *queue.Item) int {
	d := &f.droplets[t.droplet]
	if !d.is(out) {
		return 0
	}
	a := f.out.at(d.place)
	n := a.request.hedges() + 1
	behind := time.Duration(n) * f.cfg.HedgeAfter
	switch {
	case a.born+behind != t.due || a.request.is(stopped) || a.request.out() == 0:
		return 0
	case f.hedger != nil && !f.hedger.Hedge(t.due, t.droplet, int(a.tries)):
		a.request |= stopped
		f.hedged.Held++
		return 0
	}
	a.request += oneHedge + fresh
	f.hedged.Sent++
	if next := behind + f.cfg.HedgeAfter; n+1 < f.cfg.HedgeMost && next < f.cfg.Timeout {
		f.hedges.add(timer{a.born + next, t.droplet})
	}
	f.fill(a, it)
	it.Born, it.Timeout = t.due, f.timeout-queue.ToMicros(behind)
	return 1
}

// isOut reports whether the droplet waits for the attempt that was born at born.
func (f *Fleet) isOut(d *droplet, born time.Duration) bool {
	if !d.is(out) {
		return false
	}
	a := f.out.at(d.place)
	return a.born == born || f.cfg.HedgeAfter > 0 && f.isHedge(a, born)
}

// isHedge reports whether a hedge of the request that a began was born at born.
func (f *Fleet) isHedge(a *attempt, born time.Duration) bool {
	behind := born - a.born
	return behind > 0 && behind%f.cfg.HedgeAfter == 0 && int(behind/f.cfg.HedgeAfter) <= a.request.hedges()
}

// pushBack is the longest wait that a manager asked for when it refused an attempt of a request that goes on.
type pushBack struct {
	born  time.Duration // of the request's first attempt: the droplet's later requests have later births
	after time.Duration // below 0: never
}

// longer is the longer of two waits that a manager asked for. Never, which is below 0, is longer than any.
func longer(a, b time.Duration) time.Duration {
	if a < 0 || b < 0 {
		return min(a, b)
	}
	return max(a, b)
}

// fails notes that an attempt that was out was refused or failed. It returns true if the request has failed
// with it, since no other attempt is out, and the longest wait that the manager asked for at any of its
// attempts, of which after is this one's. A manager that asks for a wait gets no more hedges of the request.
func (f *Fleet) fails(now time.Duration, d *droplet, i uint32, after time.Duration) (over bool, longest time.Duration) {
	if f.cfg.HedgeAfter == 0 {
		return true, after
	}
	a := f.out.at(d.place)
	a.request -= fresh
	if after != 0 {
		a.request |= stopped
	}
	after = longer(after, f.pushedBack(a))
	if a.request.out() == 0 {
		return true, after
	}
	if after != 0 && !f.immediate {
		f.pushBacks[i] = pushBack{a.born, after}
	}
	if f.hedger != nil {
		f.hedger.HedgeFailed(now, i)
	}
	return false, 0
}

// pushedBack takes the longest wait that the manager asked for at an attempt of the request that a began; 0:
// none.
func (f *Fleet) pushedBack(a *attempt) time.Duration {
	if !a.request.is(stopped) || len(f.pushBacks) == 0 {
		return 0
	}
	p := f.pushBacks[a.droplet]
	delete(f.pushBacks, a.droplet)
	if p.born != a.born {
		return 0 // of a request that ended otherwise
	}
	return p.after
}

// timesOut tells the retry policy of the attempts that time out beside the one of which it hears as the
// request's failure. It returns the longest wait that the manager asked for at any of them.
func (f *Fleet) timesOut(now time.Duration, a *attempt) time.Duration {
	if f.hedger != nil {
		for range a.request.out() - 1 {
			f.hedger.HedgeFailed(now, a.droplet)
		}
	}
	return f.pushedBack(a)
}

// asked returns the birth of the request that a good answer ends: the answer to the attempt born at born. If
// the request has timed out meanwhile, it returns the attempt's own birth, and a hedge has not won.
func (f *Fleet) asked(d *droplet, born time.Duration) time.Duration {
	if f.cfg.HedgeAfter > 0 && d.is(out) {
		if a := f.out.at(d.place); f.isHedge(a, born) {
			f.hedged.Won++
			return a.born
		}
	}
	return born
}
