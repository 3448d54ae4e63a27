package fleet

import (
	"time"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Refused delivers attempts that were shed at the door at now, and of which the droplet is told.
func (f *Fleet) Refused(now time.Duration, items []queue.Item) { f.told(now, items, admit.Refused) }

// Errored delivers attempts to which a service said at now that they are late or have failed, or whose
// connection failed. An item has the wait that the service asked for, as a refused one has.
func (f *Fleet) Errored(now time.Duration, items []queue.Item) { f.told(now, items, admit.Errored) }

// told delivers attempts that came to nothing at now, and of which the droplet is told.
func (f *Fleet) told(now time.Duration, items []queue.Item, why admit.Cause) {
	for i := range items {
		it := &items[i]
		d := &f.droplets[it.Droplet]
		if it.Class == queue.Launch || !f.isOut(d, it.Born) {
			continue
		}
		if over, after := f.fails(now, d, it.Droplet, it.RetryAfter()); over {
			f.refused(now, d, it.Droplet, why, after)
		}
	}
}

// refused asks the retry policy for a wait. If the wait is 0, the droplet waits for the attempt's
// time-out instead and then asks again at once.
func (f *Fleet) refused(now time.Duration, d *droplet, i uint32, why admit.Cause, after time.Duration) {
	f.catchUp(d)
	if d.is(charged) {
		return // the policy was told before
	}
	before := *d
	if wait := f.failed(now, d, i, why, after) + f.cfg.Wait; wait > 0 {
		f.out.end(d.place)
		f.schedule(d, i, now+wait)
		return
	}
	if *d = before; !d.is(followed) {
		d.wait = 0
	}
	if !f.immediate {
		d.state |= charged
	}
}

// Answers delivers answers that came at now. A good answer counts even if the attempt timed out
// in the meantime: the manager has granted or extended the lease.
func (f *Fleet) Answers(now time.Duration, answers []dwfm.Answer) {
	f.aheadOfAnswers(answers)
	for i := range answers {
		a := &answers[i]
		d := &f.droplets[a.Droplet]
		switch a.Outcome {
		case queue.Good:
			f.good(now, d, a)
		case queue.Failed:
			if a.Class == queue.Launch || !f.isOut(d, a.Born) {
				continue
			}
			over, after := f.fails(now, d, a.Droplet, 0)
			if !over {
				continue
			}
			if f.cfg.Resume != nil {
				if at := f.cfg.Resume(now, a.Droplet); at > now {
					if f.watcher != nil {
						f.watcher.Silenced(now, a.Droplet)
					}
					f.park(d, a.Droplet, at)
					continue
				}
			}
			f.refused(now, d, a.Droplet, admit.Errored, after)
		}
	}
}

// park keeps a droplet whose call failed silent until the dependency is back.
func (f *Fleet) park(d *droplet, i uint32, until time.Duration) {
	f.catchUp(d)
	f.out.end(d.place)
	d.state &^= out | followed | charged
	d.tries, d.wait = 0, 0
	f.schedule(d, i, until+f.jitter(f.cfg.Spread))
}

func (f *Fleet) good(now time.Duration, d *droplet, a *dwfm.Answer) {
	born := a.Born
	if a.Class != queue.Launch {
		born = f.asked(d, born)
	}
	switch a.Class {
	case queue.Check:
		if !d.is(held) || d.lease != a.Lease {
			return // the droplet has noticed the loss, or has a newer lease
		}
		if d.is(out) {
			f.catchUp(d)
		}
		d.until = max(d.until, a.Until)
		if d.at = f.next(d); d.tries > 0 {
			f.schedule(d, a.Droplet, max(now, born+f.cfg.Interval))
		}
	case queue.Establish:
		if !d.is(held) {
			f.lost--
			if f.Leased != nil {
				f.Leased(now - d.until)
			}
		}
		d.lease, d.until = a.Lease, a.Until
		// The first check comes at a random phase. Otherwise leases that were granted in one
		// burst would be checked in one burst for ever.
		f.schedule(d, a.Droplet, now+1+f.jitter(f.cfg.Interval))
	default:
		f.launch.answered(a.Born, a.Droplet)
		return
	}
	if born >= f.cfg.Outage.To {
		z := &f.zones[f.cfg.zone(a.Droplet)]
		z.Good++
		z.Waits += now - born
	}
	if f.Answered != nil {
		f.Answered(a.Class, now-born)
	}
	if f.learner != nil {
		f.learner.Good(now, a.Droplet)
	}
	if d.is(out) {
		if len(f.pushBacks) > 0 {
			delete(f.pushBacks, a.Droplet)
		}
		f.out.end(d.place)
	}
	d.state, d.tries, d.wait = held, 0, 0
}

// Zone sums up the checks and establishes of a zone that were born after the outage.
type Zone struct {
	Asked int           // attempts, without hedges
	Good  int           // good answers
	Waits time.Duration // sum of the times from birth to a good answer; of a hedge's, from that of its request
}

// Zones returns the sums by zone. The caller must not change them.
func (f *Fleet) Zones() []Zone { return f.zones }
