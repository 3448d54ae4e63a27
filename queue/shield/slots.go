package shield

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// What a Gate does with its slots. g.mu is held in all of it.

// spare is the number of slots beyond Config.Concurrency that an idle Gate keeps.
const spare = 64

// take is a free slot.
func (g *Gate) take() *slot {
	if n := len(g.unused); n > 0 {
		s := g.slots[g.unused[n-1]]
		g.unused = g.unused[:n-1]
		return s
	}
	s := &slot{wake: make(chan verdict, 1)}
	s.one[0].Droplet = uint32(len(g.slots))
	g.slots = append(g.slots, s)
	return s
}

// release frees a slot.
func (g *Gate) release(s *slot) {
	g.forget(s)
	s.state = free
	s.turn++
	g.unused = append(g.unused, s.one[0].Droplet)
	if len(g.unused) == len(g.slots) && len(g.slots)-spare > g.cfg.Concurrency {
		g.shrink(g.cfg.Concurrency + spare)
	}
}

// shrink gives the memory of a peak back. All slots are free.
func (g *Gate) shrink(keep int) {
	g.slots = slices.Clone(g.slots[:keep])
	g.unused = make([]uint32, keep)
	for i := range g.unused {
		g.unused[i] = uint32(i)
	}
	g.keys = map[string]uint32{}
}

// settle frees a slot whose wait is over once nobody has it.
func (g *Gate) settle(s *slot) {
	if s.state == over && !s.held && !s.waiter {
		g.release(s)
	}
}

// forget takes a slot's key away.
func (g *Gate) forget(s *slot) {
	if s.key == "" {
		return
	}
	if g.keys[s.key] == s.one[0].Droplet {
		delete(g.keys, s.key)
	}
	s.key = ""
}

// run lets a slot run.
func (g *Gate) run(now time.Duration, s *slot) Ticket {
	g.forget(s)
	s.state, s.since = running, now
	g.running++
	g.stats.Ran++
	return Ticket{g, s, s.turn}
}

// hold adds a slot to the list of those that the discipline has.
func (g *Gate) hold(s *slot) {
	s.held, s.before, s.behind = true, g.last, nil
	if g.last == nil {
		g.first = s
	} else {
		g.last.behind = s
	}
	g.last = s
}

// unhold takes it out.
func (g *Gate) unhold(s *slot) {
	if s.before == nil {
		g.first = s.behind
	} else {
		s.before.behind = s.behind
	}
	if s.behind == nil {
		g.last = s.before
	} else {
		s.behind.before = s.before
	}
	s.held, s.before, s.behind = false, nil, nil
}

// push gives a waiting slot to the discipline, and ends whom that gives up.
func (g *Gate) push(now time.Duration, s *slot) {
	g.buffer[0] = s.one[0]
	g.hold(s)
	if kept := g.queue.Push(now, g.buffer[:]); kept == 0 {
		it := g.buffer[0]
		up := g.slots[it.Droplet]
		g.unhold(up)
		g.end(now, up, it.Why)
	}
}

// fill lets waiting requests run while there are free places.
func (g *Gate) fill(now time.Duration) {
	for g.running < g.cfg.Concurrency {
		taken, dropped := g.queue.Pop(now, g.buffer[:])
		if taken+dropped == 0 {
			return
		}
		it := g.buffer[0]
		s := g.slots[it.Droplet]
		g.unhold(s)
		switch {
		case s.state != waiting:
			g.settle(s)
		case dropped > 0:
			g.end(now, s, it.Why)
		case now >= it.Deadline(): // dead work is never started, whatever the discipline does
			g.end(now, s, queue.Expired)
		default:
			g.live--
			g.run(now, s)
			s.wake <- verdict{} // it has room: a slot is woken once
		}
	}
}

// end ends a wait without a place.
func (g *Gate) end(now time.Duration, s *slot, why queue.Reason) {
	if s.state == waiting {
		g.forget(s)
		g.stats.Refused[why]++
		g.ended(now, s, queue.Shed)
		g.live--
		s.state = over
		s.wake <- verdict{why, g.after(now, s)}
	}
	g.settle(s)
}

// ended tells the controller.
func (g *Gate) ended(now time.Duration, s *slot, out queue.Outcome) {
	if s.door == nil {
		return
	}
	it := &s.one[0]
	sojourn := now - it.Born
	if s.state == running {
		sojourn = s.since - it.Born
	}
	s.door.Done(now, it, sojourn, out) // and no other: a new controller has not admitted it
}

// finish ends a request that ran, and lets the next ones in.
func (g *Gate) finish(now time.Duration, s *slot, out queue.Outcome) {
	g.ended(now, s, out)
	g.rate.completed(now, now-s.since)
	g.running--
	g.release(s)
	g.fill(now)
	g.rate.busy = g.live > 0 // only then is the service as fast as it can be until the next completion
}

// after is how long the client of a slot that gets no place is told to wait.
func (g *Gate) after(now time.Duration, s *slot) time.Duration {
	said := s.one[0].RetryAfter() // at the door, by the controller or by the estimator behind it
	if estimator, named := g.admit.(admit.Adviser); named && s.one[0].Why != queue.Refused {
		g.told[0] = s.one[0]
		g.told[0].Why = queue.Refused // of other reasons RetryAfter is none
		estimator.Advise(now, g.told[:], g.length)
		said = g.told[0].RetryAfter()
	} else if !named && said == 0 {
		return g.appointment(now)
	}
	return min(said, g.cfg.MostAfter)
}

// appointment is how long a refused client should wait: the requests that are in, and those that were
// given an appointment before it, come first, at the rate of the latest completions.
func (g *Gate) appointment(now time.Duration) time.Duration {
	each := g.rate.each(g.cfg.Concurrency)
	most := g.cfg.MostAfter
	if each == 0 { // nothing has been completed yet
		return spread(min(g.cfg.Timeout, most))
	}
	free := now + time.Duration(g.live+g.running)*each
	if g.due = max(g.due, free) + each; g.due-now >= most {
		g.due = now + most
		return spread(most)
	}
	return g.due - now
}

// spread draws from the later half of a time, so that clients do not come back together.
func spread(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// rate measures completions.
type rate struct {
	mean      float64 // time that a request ran, in s: an EWMA with weight 1/16
	perSecond float64 // completions while something waited, likewise
	last      time.Duration
	busy      bool // something has waited since
}

const weight = 1.0 / 16

// completed records that a request ran for so long. The time between two completions says what the service
// can do only if something waited all the while.
func (r *rate) completed(now, ran time.Duration) {
	r.mean = average(r.mean, ran.Seconds())
	if r.busy && now > r.last {
		gap := (now - r.last).Seconds()
		r.perSecond = 1 / average(inverse(r.perSecond), gap)
	}
	r.last = now
}

// each is the time between two completions of a busy service; 0: not known.
func (r *rate) each(concurrency int) time.Duration {
	if r.perSecond > 0 {
		return time.Duration(1e9 / r.perSecond)
	}
	return time.Duration(r.mean * 1e9 / float64(concurrency))
}

func average(old, x float64) float64 {
	if old == 0 {
		return x
	}
	return old + float64(weight*(x-old))
}

func inverse(x float64) float64 {
	if x == 0 {
		return 0
	}
	return 1 / x
}
