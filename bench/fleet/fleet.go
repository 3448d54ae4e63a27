// Package fleet has the droplets: who asks when, what a time-out does, when the next
// try comes. It is passive and belongs to one goroutine, the generator's; 10^6
// droplets are flat arrays and a calendar of timers, without a goroutine or a
// pointer each.
package fleet

import (
	"fmt"
	"math"
	"math/bits"
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
	at    time.Duration // out: when it asked, before it asked again at once; else: its next timer
	place uint32        // of the attempt that is out
	wait  uint16        // followed: what was drawn of Jitter, in 1/2^16; else: last retry wait, as shortWait has it
	tries uint8         // attempts in a row that came to nothing, saturating
	state state
}

type state uint8

const (
	held     state = 1 << iota // it believes that its lease is alive
	out                        // an attempt is out
	followed                   // and its next check is set, an interval after this one
	charged                    // and the policy knows already that it came to nothing, and chose no wait
)

func (d *droplet) is(s state) bool { return d.state&s != 0 }

// next is the droplet's next timer; a calendar entry with another time is void.
func (f *Fleet) next(d *droplet) time.Duration {
	switch {
	case !d.is(out):
		return d.at
	case d.is(followed) && f.out.at(d.place).born == d.at:
		return d.at + f.interval(d.wait)
	}
	return never
}

// Fleet is the droplets' state.
type Fleet struct {
	cfg         Config
	timeout     queue.Micros // τ
	droplets    []droplet
	checks      lane // next regular checks
	out         attempts
	random      *wheel // retries and first checks
	launch      stream
	rng         *rand.Rand
	learner     admit.Learner // the retry policy, if it is one
	immediate   bool          // the policy never waits
	zones       []Zone
	lost        int
	healthyLost int
	soon        [window]unsafe.Pointer // records that are being listed, to be prefetched

	// Leased, if set, is told each time to lease: from the loss of a lease to the next
	// good establish.
	Leased func(timeToLease time.Duration)
}

// New makes a fleet in its steady state at time 0, in which seed has granted every
// droplet a lease with the given deadline.
func New(cfg Config, seed func(droplet uint32, until time.Duration) (lease.ID, error)) (*Fleet, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Fleet{
		cfg:      cfg,
		timeout:  queue.ToMicros(cfg.Timeout),
		droplets: make([]droplet, cfg.Droplets),
		random:   newWheel(),
		out:      newAttempts(cfg.Timeout),
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

// HealthyLost is the number of leases that lapsed, and were missed, although they had outlived
// the outage: what the surge, or the remedy, cost droplets that had no part in it.
func (f *Fleet) HealthyLost() int { return f.healthyLost }

// BytesPerDroplet is the heap of one droplet's state, without its timers.
const BytesPerDroplet = int64(unsafe.Sizeof(droplet{}))

// Due is a time before which no attempt comes, given that it is now. A virtual engine
// may jump there.
func (f *Fleet) Due(now time.Duration) time.Duration {
	return min(f.checks.due(), f.out.due(), f.random.due(now), f.launch.due)
}

// Lookahead says whether Next gives the same attempts, in the order of their births, whether
// it is asked once or for each instant of a window by itself: whether no timer that comes
// due in it sets another that does, and nothing is drawn in another order.
func (f *Fleet) Lookahead(window time.Duration) bool {
	return f.immediate && (f.cfg.Wait == 0 || f.cfg.Wait >= window) && f.cfg.Interval > window && (f.cfg.Jitter == 0 || f.launch.due == never)
}

// Next fills dst with the attempts that are due at or before now, in the order of
// their births, and returns how many; as many as dst holds means that there may be more.
// Of timers that are due together time-outs are first, then checks.
func (f *Fleet) Next(now time.Duration, dst []queue.Item) int {
	n := 0
	for n < len(dst) {
		check, out, random := f.checks.due(), f.out.due(), f.random.soonest()
		if random <= now {
			random = f.random.due(now)
		}
		switch others := min(random, f.launch.due); {
		case out <= min(now, check, others):
			n += f.timeouts(min(now, check, others), dst[n:])
		case check <= min(now, others):
			f.aheadOfChecks()
			n += f.timer(f.checks.take(), &dst[n])
		case random <= min(now, f.launch.due):
			f.aheadOfRandom()
			n += f.timer(f.random.take(), &dst[n])
		case f.launch.due <= now:
			f.launches(&dst[n])
			n++
		default:
			return n
		}
	}
	return n
}

// timer handles a droplet's timer; it returns how many attempts came of it.
func (f *Fleet) timer(t timer, it *queue.Item) int {
	d := &f.droplets[t.droplet]
	if f.next(d) != t.due {
		return 0
	}
	f.ask(d, t.droplet, t.due, it)
	return 1
}

// launches makes a user's launch, on any droplet.
func (f *Fleet) launches(it *queue.Item) {
	i, born := f.rng.Uint32N(uint32(len(f.droplets))), f.launch.due
	d := &f.droplets[i]
	*it = queue.Item{
		Born: born, Timeout: f.timeout, Lease: d.lease,
		Droplet: i, Zone: f.cfg.zone(i), Class: queue.Launch, LeaseUntil: queue.ToMillis(d.until),
	}
	f.launch.advance(f.rng)
}

// timeouts handles time-outs that come due at bound or before, until dst is full or one has
// set another timer than a time-out; it returns how many droplets asked again at once.
func (f *Fleet) timeouts(bound time.Duration, dst []queue.Item) (n int) {
	again := f.immediate && f.cfg.Wait == 0
	f.aheadOfTimeouts(again)
	for n < len(dst) && f.out.due() <= bound {
		now := f.out.due()
		place := f.out.take()
		a := f.out.at(place)
		if again && (a.class == queue.Establish || a.until.Duration() > now) {
			a.again(now)
			f.out.push(a, place)
			f.item(a, &dst[n])
			n++
			continue
		}
		i := a.droplet
		d := &f.droplets[i]
		f.catchUp(d)
		f.out.drop(place)
		if wait := f.cfg.Wait + f.timedOut(now, d, i); wait > 0 {
			f.schedule(d, i, now+wait)
			return n
		}
		f.ask(d, i, now, &dst[n])
		n++
	}
	return n
}

// catchUp tells a droplet what became of the attempt that is out since it asked.
func (f *Fleet) catchUp(d *droplet) {
	if a := f.out.at(d.place); d.at != a.born {
		d.at, d.tries, d.wait = a.born, a.tries, 0
		d.state &^= followed | charged
	}
}

// timedOut is failed for an attempt whose time-out has come. If it was refused before, and
// the policy chose no wait then, the policy is not asked again: one attempt costs a budget
// one token (gRPC A6), however the droplet learns that it came to nothing.
func (f *Fleet) timedOut(now time.Duration, d *droplet, i uint32) time.Duration {
	if !d.is(charged) {
		return f.failed(now, d, i, 0)
	}
	d.state &^= out | followed | charged
	d.tries, d.wait = more(d.tries), 0
	return 0
}

// failed notes that the attempt that was out came to nothing and says how long the
// policy waits.
func (f *Fleet) failed(now time.Duration, d *droplet, i uint32, after time.Duration) time.Duration {
	if d.is(followed) {
		d.wait = 0
	}
	d.state &^= out | followed
	d.tries = more(d.tries)
	if f.immediate { // no call
		d.wait = 0
		return 0
	}
	wait := max(0, f.cfg.Retry.Wait(admit.Failure{
		Tries: int(d.tries), Prev: longWait(d.wait), Timeout: f.cfg.Timeout,
		After: after, Now: now, Droplet: i,
	}, f.rng))
	d.wait = shortWait(wait)
	return wait
}

// A wait of any length stands in 16 bits, rounded to a thousandth of it, like a floating
// point number without a sign:
//
//	exponent:6 | mantissa:10    exponent 0: the mantissa, in ns
//	                            else: (1024 + mantissa)·2^(exponent−1) ns
const mantissaBits = 10

// shortWait is a wait in that form.
func shortWait(wait time.Duration) uint16 {
	exponent := bits.Len64(uint64(wait)) - mantissaBits // of the leading 1
	if exponent <= 0 {
		return uint16(wait)
	}
	if exponent > 1 { // half a unit more: to the nearest, and past the top the next exponent's first
		wait = min(wait, math.MaxInt64-1<<(exponent-2)) + 1<<(exponent-2)
		exponent = bits.Len64(uint64(wait)) - mantissaBits
	}
	return uint16(exponent)<<mantissaBits | uint16(wait>>(exponent-1))&(1<<mantissaBits-1)
}

// longWait is the wait that stands in that form.
func longWait(short uint16) time.Duration {
	exponent, mantissa := short>>mantissaBits, time.Duration(short&(1<<mantissaBits-1))
	if exponent == 0 {
		return mantissa
	}
	return (1<<mantissaBits + mantissa) << (exponent - 1)
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
			f.healthyLost++
		}
	}
	if d.is(out) {
		f.out.end(d.place)
	}
	a, place := f.out.add(born)
	a.lease, a.until, a.droplet = d.lease, 0, i // one by one: a composite literal is built aside and copied
	a.tries, a.zone, a.class = d.tries, f.cfg.zone(i), queue.Establish
	d.at, d.place, d.state = born, place, d.state&held|out
	if d.is(held) {
		a.class, a.until = queue.Check, queue.ToMillis(d.until)
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
	f.item(a, it)
}

// item is what the manager hears of an attempt.
func (f *Fleet) item(a *attempt, it *queue.Item) {
	it.Born, it.Lease, it.Timeout = a.born, a.lease, f.timeout
	it.Slip, it.LeaseUntil, it.Droplet = 0, a.until, a.droplet
	it.Zone, it.Class, it.Try, it.Why = a.zone, a.class, a.tries, queue.NotShed
	if a.born >= f.cfg.Outage.To {
		f.zones[a.zone].Asked++
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
		f.out.bytes() + f.checks.bytes()
}
