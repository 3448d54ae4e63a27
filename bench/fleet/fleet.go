// Package fleet has the droplets: who asks when, what a time-out does, when the next
// try comes. It is passive and belongs to one goroutine, the generator's; 10^6
// droplets are flat arrays and a calendar of timers, without a goroutine or a
// pointer each.
package fleet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// droplet is one client: 32 bytes, two to a cache line, and none across two.
type droplet struct {
	lease uint64        // held, or last held
	until time.Duration // held: the lease's deadline as the droplet knows it; else: when it lapsed
	at    time.Duration // out: the birth of that attempt; else: its next timer
	place uint32        // of the time-out of the attempt that is out
	wait  uint16        // followed: what was drawn of Jitter, in 1/2^16; else: last retry wait, in 1/1024 of the timeout, saturating
	tries uint8         // attempts in a row that came to nothing, saturating
	state state
}

type state uint8

const (
	held     state = 1 << iota // it believes that its lease is alive
	out                        // an attempt is out
	followed                   // and its next check is set, an interval after this one
)

func (d *droplet) is(s state) bool { return d.state&s != 0 }

// next is the droplet's next timer; a calendar entry with another time is void.
func (f *Fleet) next(d *droplet) time.Duration {
	switch {
	case !d.is(out):
		return d.at
	case d.is(followed):
		return d.at + f.interval(d.wait)
	}
	return never
}

// Fleet is the droplets' state.
type Fleet struct {
	cfg       Config
	droplets  []droplet
	checks    lane // next regular checks
	timeouts  lane
	random    *wheel // retries and first checks
	launch    stream
	rng       *rand.Rand
	learner   admit.Learner // the retry policy, if it is one
	immediate bool          // the policy never waits
	zones     []Zone
	lost      int
	healthy   int
	due       [batch]event
	touched   uint8 // keeps the compiler from leaving out touch's loads

	// Leased, if set, is told each time to lease: from the loss of a lease to the next
	// good establish.
	Leased func(timeToLease time.Duration)
}

// batch is how many due timers are looked at together, so that the cache misses on
// their droplets overlap.
const batch = 32

// event is a timer on its way through Next.
type event struct {
	timer
	kind kind
}

type kind uint8

const (
	asks    kind = iota // a droplet's next attempt
	timeout             // of the attempt that is out
	launch              // a user's, on this droplet
)

// New makes a fleet in its steady state at time 0, in which seed has granted every
// droplet a lease with the given deadline.
func New(cfg Config, seed func(droplet uint32, until time.Duration) (lease.ID, error)) (*Fleet, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Fleet{
		cfg:      cfg,
		droplets: make([]droplet, cfg.Droplets),
		random:   newWheel(),
		rng:      rand.New(rand.NewPCG(cfg.Seed, 0x6c65617365)),
	}
	f.SetRetry(cfg.Retry)
	f.zones = make([]Zone, max(1, cfg.Zones))
	order := make([]uint32, cfg.Droplets)
	for i := range order {
		order[i] = uint32(i)
	}
	f.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	f.SetLaunches(0, cfg.Launches)
	doomed, eligible := cfg.Broken, cfg.eligible(cfg.Droplets)
	for k, i := range order {
		d := &f.droplets[i]
		*d = droplet{state: held}
		chosen := false
		if cfg.surges(i) { // selection sampling: Knuth, TAOCP 2, 3.4.2, algorithm S
			chosen = f.rng.IntN(eligible) < doomed
			eligible--
		}
		if chosen {
			// Nothing is heard of it until its lease has lapsed and the dependency is back.
			d.until = cfg.Outage.From + 1 + f.jitter(cfg.Outage.To-cfg.Outage.From)
			if cfg.Grace > 0 {
				d.until = cfg.Outage.To + cfg.Grace
			}
			f.schedule(d, i, cfg.Outage.To+f.jitter(cfg.Spread))
			doomed--
		} else {
			// The k-th of them checks in the k-th part of an interval.
			d.at = time.Duration((float64(k) + f.rng.Float64()) * float64(cfg.Interval) / float64(cfg.Droplets))
			d.until = d.at - cfg.Interval + cfg.TTL
			f.checks.add(timer{d.at, i})
		}
		id, err := seed(i, d.until)
		if err != nil {
			return nil, fmt.Errorf("fleet: droplet %d: %w", i, err)
		}
		d.lease = uint64(id)
	}
	return f, nil
}

// Lost is the number of droplets that know of the loss of their lease.
func (f *Fleet) Lost() int { return f.lost }

// Healthy is how many leases lapsed, and were missed, that had outlived the outage: what
// the surge, or the remedy, cost those who had no part in it.
func (f *Fleet) Healthy() int { return f.healthy }

// BytesPerDroplet is the heap of one droplet's state, without its timers.
const BytesPerDroplet = int64(unsafe.Sizeof(droplet{}))

// Due is a time before which no attempt comes, given that it is now. A virtual engine
// may jump there.
func (f *Fleet) Due(now time.Duration) time.Duration {
	return min(f.checks.due(), f.timeouts.due(), f.random.due(now), f.launch.due)
}

// Together says whether Next gives the same attempts, in the order of their births, whether
// it is asked once or for each instant of a window by itself: whether no timer that comes
// due in it sets another that does, and nothing is drawn in another order.
func (f *Fleet) Together(window time.Duration) bool {
	return f.immediate && (f.cfg.Wait == 0 || f.cfg.Wait >= window) && f.cfg.Interval > window && (f.cfg.Jitter == 0 || f.launch.due == never)
}

// Next fills dst with the attempts that are due at or before now, in the order of
// their births, and returns how many; as many as dst holds means that there may be more.
func (f *Fleet) Next(now time.Duration, dst []queue.Item) int {
	n := 0
	for n < len(dst) {
		due := f.collect(now, min(batch, len(dst)-n))
		if len(due) == 0 {
			break
		}
		for i := range due {
			if f.fire(&due[i], &dst[n]) {
				n++
			}
		}
	}
	return n
}

// collect takes up to limit due timers from the calendars, in the order of their
// times, and touches their droplets. Of those that are due together time-outs are first,
// then checks.
func (f *Fleet) collect(now time.Duration, limit int) []event {
	n, random := 0, f.random.due(now)
	for n < limit {
		check, out := f.checks.due(), f.timeouts.due()
		others := min(random, f.launch.due)
		switch {
		case out <= min(now, check, others):
			n += f.timeouts.take(min(now, check, others), f.due[n:limit], timeout)
		case check <= min(now, others):
			n += f.checks.take(min(now, others, out-1), f.due[n:limit], asks)
		case random <= min(now, f.launch.due):
			f.due[n] = event{f.random.take(), asks}
			n++
			random = f.random.due(now)
		case f.launch.due <= now:
			f.due[n] = event{timer{f.launch.due, f.rng.Uint32N(uint32(len(f.droplets)))}, launch}
			n++
			f.launch.advance(f.rng)
		default:
			limit = n
		}
	}
	if n > 0 {
		f.ahead(&f.timeouts)
		f.ahead(&f.checks)
	}
	return f.touch(n)
}

// fire handles a timer; it says whether the droplet asks now, and what.
func (f *Fleet) fire(e *event, it *queue.Item) bool {
	d := &f.droplets[e.droplet]
	switch e.kind {
	case launch:
		*it = queue.Item{
			Born: e.due, Deadline: e.due + f.cfg.Timeout, Lease: d.lease,
			Droplet: e.droplet, Zone: f.cfg.zone(e.droplet), Class: queue.Launch, LeaseUntil: queue.ToMillis(d.until),
		}
		return true
	case asks:
		if f.next(d) != e.due {
			return false
		}
		f.ask(d, e.droplet, e.due, it)
		return true
	}
	if !d.is(out) || d.at+f.cfg.Timeout != e.due {
		return false
	}
	wait := f.cfg.Wait
	if f.immediate { // nine in ten of a surge: no call
		d.fail()
		d.wait = 0
	} else {
		wait += f.failed(e.due, d, e.droplet, 0)
	}
	if wait == 0 {
		f.ask(d, e.droplet, e.due, it)
		return true
	}
	f.schedule(d, e.droplet, e.due+wait)
	return false
}

// failed notes that the attempt that was out came to nothing and says how long the
// policy waits.
func (f *Fleet) failed(now time.Duration, d *droplet, i uint32, after time.Duration) time.Duration {
	d.fail()
	wait := max(0, f.cfg.Retry.Wait(admit.Failure{
		Tries: int(d.tries), Prev: time.Duration(d.wait) * f.cfg.Timeout / 1024, Timeout: f.cfg.Timeout,
		After: after, Now: now, Droplet: i,
	}, f.rng))
	d.wait = uint16(min(int64(float64(wait)/float64(f.cfg.Timeout)*1024), math.MaxUint16))
	return wait
}

// fail notes that the attempt that was out came to nothing.
func (d *droplet) fail() {
	if d.is(followed) {
		d.wait = 0
	}
	d.state &^= out | followed
	d.tries += min(1, 254-d.tries)
}

func (f *Fleet) schedule(d *droplet, i uint32, due time.Duration) {
	d.at = due
	f.random.add(timer{due, i})
}

// ask makes the attempt that is born at the droplet's timer.
func (f *Fleet) ask(d *droplet, i uint32, born time.Duration, it *queue.Item) {
	if d.is(held) && d.until <= born {
		d.state, d.tries, d.wait = 0, 0, 0
		f.lost++
		if d.until > f.cfg.Outage.To {
			f.healthy++
		}
	}
	it.Born, it.Deadline, it.Lease = born, born+f.cfg.Timeout, d.lease // one by one: a composite literal is built aside and copied
	it.Slip, it.LeaseUntil, it.Droplet = 0, 0, i
	it.Zone, it.Class, it.Try, it.Why = f.cfg.zone(i), queue.Establish, d.tries, queue.NotShed
	if born >= f.cfg.Outage.To {
		f.zones[it.Zone].Asked++
	}
	d.at, d.state = born, d.state&held|out
	d.place = f.timeouts.add(timer{it.Deadline, i})
	if d.is(held) {
		it.Class, it.LeaseUntil = queue.Check, queue.ToMillis(d.until)
		if d.tries == 0 { // a retried check is followed by the next one when it is answered
			d.state |= followed
			if f.cfg.Jitter > 0 {
				d.wait = uint16(f.rng.Uint32())
				f.random.add(timer{born + f.interval(d.wait), i})
			} else {
				f.checks.add(timer{born + f.cfg.Interval, i})
			}
		}
	}
}

// SetRetry gives the droplets another retry policy.
func (f *Fleet) SetRetry(r admit.Retry) {
	f.cfg.Retry = r
	f.learner, _ = r.(admit.Learner)
	f.immediate = admit.IsImmediate(r)
}

// interval is the time to a droplet's next check, given what was drawn for it.
func (f *Fleet) interval(drawn uint16) time.Duration {
	if f.cfg.Jitter == 0 {
		return f.cfg.Interval
	}
	return time.Duration(float64(f.cfg.Interval) * (1 - f.cfg.Jitter*float64(drawn)/(1<<16)))
}

// jitter is uniform on 0..d, without d.
func (f *Fleet) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(f.rng.Int64N(int64(d)))
}

// Bytes is the heap of the fleet: droplets and calendars.
func (f *Fleet) Bytes() int64 {
	return int64(len(f.droplets))*BytesPerDroplet + f.random.bytes() +
		f.timeouts.bytes() + f.checks.bytes()
}
