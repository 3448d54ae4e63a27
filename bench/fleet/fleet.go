// Package fleet simulates the droplets: when each droplet asks, what it does on an answer, a
// refusal or a time-out, and when it retries.
//
// A [Fleet] is passive: it starts no goroutine and reads no clock. One goroutine, the generator,
// calls it. The droplets are an array of 32-byte records and a calendar of timers, without a
// goroutine or pointer per droplet.
package fleet

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/internal/huge"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// droplet is one client: 32 bytes, two to a cache line, and none across two.
type droplet struct {
	lease uint64 // held, or last held
	// until is the lease's deadline as the droplet knows it (held), or when the lease lapsed.
	until time.Duration
	// at is the birth of the attempt that is out, as of the last catchUp, or the next timer (not
	// out).
	at    time.Duration
	place uint32 // of the attempt that is out
	// wait is the check interval's draw of Jitter, in 1/2^16 (followed), or the last retry wait,
	// encoded by shortWait.
	wait  uint16
	tries uint8 // consecutive failed attempts, saturating
	state state
}

type state uint8

const (
	held     state = 1 << iota // the droplet believes that its lease is live
	out                        // an attempt is out
	followed                   // out, and the next check is scheduled, an interval after this one
	charged                    // out, and the retry policy was told of its failure and chose no wait
	hungUp                     // not out, and the last attempt timed out
)

func (d *droplet) is(s state) bool { return d.state&s != 0 }

// next is the time of the droplet's next timer. A calendar entry with another time is void.
func (f *Fleet) next(d *droplet) time.Duration {
	switch {
	case !d.is(out):
		return d.at
	case d.is(followed) && f.out.at(d.place).born == d.at:
		return d.at + f.interval(d.wait)
	}
	return never
}

// Fleet is the state of all droplets. Its methods must not be called concurrently.
type Fleet struct {
	cfg         Config
	timeout     queue.Micros // τ
	droplets    []droplet
	checks      lane // next regular checks
	hedges      lane // next hedges
	out         attempts
	random      *wheel // retries and first checks
	launch      stream
	rng         *rand.Rand
	learner     admit.Learner // the retry policy, if it is one
	watcher     admit.Watcher // the retry policy, if it is one
	hedger      admit.Hedger  // the retry policy, if it is one
	hedged      Hedges
	pushBacks   map[uint32]pushBack // by droplet, where the droplets hedge
	immediate   bool                // the policy never waits
	zones       []Zone
	lost        int
	healthyLost int
	soon        [window]unsafe.Pointer // scratch: records to be prefetched

	// Leased, if set, is called with each time to lease: the time from the loss of a lease to the
	// next good establish.
	Leased func(timeToLease time.Duration)
	// Answered, if set, is called with the class of each check and establish that has its first good answer,
	// and the time from the request's birth.
	Answered func(class queue.Class, after time.Duration)
}

// New makes a fleet in its steady state at run time 0. It calls seed once per droplet; seed must
// grant the droplet a lease with the given deadline.
func New(cfg Config, seed func(droplet uint32, until time.Duration) (lease.ID, error)) (*Fleet, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Fleet{
		cfg:      cfg,
		timeout:  queue.ToMicros(cfg.Timeout),
		droplets: huge.Make[droplet](cfg.Droplets),
		random:   newWheel(),
		out:      newAttempts(cfg.Timeout),
		rng:      rand.New(rand.NewPCG(cfg.Seed, 0x6c65617365)),
	}
	if f.cfg.HedgeMost == 0 {
		f.cfg.HedgeMost = 2
	}
	if cfg.HedgeAfter > 0 {
		f.pushBacks = map[uint32]pushBack{}
	}
	f.SetRetry(cfg.Retry)
	f.zones = make([]Zone, max(1, cfg.Zones))
	order := f.shuffled()
	f.SetLaunches(0, cfg.Launches)
	doomed, eligible := cfg.Broken, cfg.eligible(cfg.Droplets)
	for k, i := range order {
		if k%window == 0 {
			f.aheadOfSeeds(order[k:min(k+window, len(order))])
		}
		d := &f.droplets[i]
		*d = droplet{state: held}
		chosen := false
		if cfg.surges(i) { // selection sampling: Knuth, TAOCP 2, 3.4.2, algorithm S
			chosen = f.rng.IntN(eligible) < doomed
			eligible--
		}
		if chosen {
			// The droplet is silent until its lease has lapsed and the dependency is back.
			d.until = cfg.Outage.From + 1 + f.jitter(cfg.Outage.To-cfg.Outage.From)
			if cfg.Grace > 0 {
				d.until = cfg.Outage.To + cfg.Grace
			}
			if at := cfg.Outage.To + f.jitter(cfg.Spread); cfg.Range.has(i) {
				f.schedule(d, i, at)
			}
			doomed--
		} else {
			// The k-th droplet first checks in the k-th part of an interval.
			d.at = time.Duration((float64(k) + float64(f.rng.Float64())) * float64(cfg.Interval) / float64(cfg.Droplets))
			d.until = d.at - cfg.Interval + cfg.TTL
			if cfg.Range.has(i) {
				f.checks.add(timer{d.at, i})
			}
		}
		if !cfg.Range.has(i) {
			continue
		}
		id, err := seed(i, d.until)
		if err != nil {
			return nil, fmt.Errorf("fleet: droplet %d: %w", i, err)
		}
		d.lease = uint64(id)
	}
	if cfg.Range != (Range{}) { // else all ranges would draw the same waits
		f.rng = rand.New(rand.NewPCG(cfg.Seed, 0x72616e6765+uint64(cfg.Range.From)))
		f.SetLaunches(0, cfg.Launches)
	}
	return f, nil
}

// shuffled is a permutation of the droplets: that of rand.Shuffle, with the places of 64 steps
// drawn and prefetched together.
func (f *Fleet) shuffled() []uint32 {
	order := huge.Make[uint32](len(f.droplets))
	for i := range order {
		order[i] = uint32(i)
	}
	var to [window]uint32
	for left := len(order); left > 1; {
		l := f.soon[:0]
		for k := range min(window, left-1) {
			to[k] = uint32(f.rng.Uint64N(uint64(left - k)))
			l = append(l, unsafe.Pointer(&order[to[k]]))
		}
		prefetch(l)
		for k := range l {
			left--
			order[left], order[to[k]] = order[to[k]], order[left]
		}
	}
	return order
}

// Lost returns the number of droplets that have noticed the loss of their lease.
func (f *Fleet) Lost() int { return f.lost }

// HealthyLost returns the number of leases that outlived the outage and lapsed later, as noticed
// by their droplets: the damage of the surge, or of the remedy, to droplets outside the surge.
func (f *Fleet) HealthyLost() int { return f.healthyLost }

// BytesPerDroplet is the heap of one droplet's record, in bytes, without timers and attempts.
const BytesPerDroplet = int64(unsafe.Sizeof(droplet{}))

// Due returns a run time before which Next has no attempt. A virtual engine may jump to it.
func (f *Fleet) Due(now time.Duration) time.Duration {
	return min(f.checks.due(), f.out.due(), f.hedges.due(), f.random.due(now), f.launch.due)
}

// Lookahead reports whether one call of Next for a whole window of time gives the same attempts,
// in the same order, as one call per instant. Two conditions must hold: no timer that comes due in
// the window sets another that is due in the window, and random numbers are drawn in the same
// order.
func (f *Fleet) Lookahead(window time.Duration) bool {
	return f.immediate && f.cfg.HedgeAfter == 0 && (f.cfg.Wait == 0 || f.cfg.Wait >= window) && f.cfg.Interval > window && (f.cfg.Jitter == 0 || f.launch.due == never)
}

// Next writes the attempts that are due at or before now to dst, in the order of their births, and
// returns their number. If it fills dst, more may be due. Of timers that are due at the same time,
// time-outs come first, then checks, then hedges, then retries and first checks, then launches.
func (f *Fleet) Next(now time.Duration, dst []queue.Item) int {
	n := 0
	for n < len(dst) {
		check, out, hedge, random := f.checks.due(), f.out.due(), f.hedges.due(), f.random.soonest()
		if random <= now {
			random = f.random.due(now)
		}
		switch others := min(hedge, random, f.launch.due); {
		case out <= min(now, check, others):
			n += f.timeouts(min(now, check, others), dst[n:])
		case check <= min(now, others):
			f.aheadOf(&f.checks)
			n += f.timer(f.checks.take(), &dst[n])
		case hedge <= min(now, random, f.launch.due):
			f.aheadOf(&f.hedges)
			n += f.hedge(f.hedges.take(), &dst[n])
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

// timer handles a droplet's timer. It returns the number of attempts, 0 or 1.
func (f *Fleet) timer(t timer, it *queue.Item) int {
	d := &f.droplets[t.droplet]
	if f.next(d) != t.due {
		return 0
	}
	f.ask(d, t.droplet, t.due, it)
	return 1
}

// timeouts handles the time-outs that are due at or before bound. It stops when dst is full, or
// after a time-out that scheduled a later retry. It returns the number of attempts in dst.
func (f *Fleet) timeouts(bound time.Duration, dst []queue.Item) (n int) {
	again := f.immediate && f.cfg.Wait == 0
	f.aheadOfTimeouts(again)
	for n < len(dst) && f.out.due() <= min(bound, f.hedges.due()) {
		now := f.out.due()
		place := f.out.take()
		a := f.out.at(place)
		if again && (a.class == queue.Establish || a.until.Duration() > now) {
			a.again(now)
			f.out.push(a, place)
			f.mayHedge(a)
			f.item(a, &dst[n])
			n++
			continue
		}
		i := a.droplet
		d := &f.droplets[i]
		f.catchUp(d)
		after := f.timesOut(now, a)
		f.out.drop(place)
		if wait := f.cfg.Wait + f.timedOut(now, d, i, after); wait > 0 {
			f.schedule(d, i, now+wait)
			return n
		}
		f.ask(d, i, now, &dst[n])
		n++
	}
	return n
}

// catchUp brings a droplet's record up to date with its attempt, which may have timed out and been
// repeated without the droplet.
func (f *Fleet) catchUp(d *droplet) {
	if a := f.out.at(d.place); d.at != a.born {
		d.at, d.tries, d.wait = a.born, a.tries, 0
		d.state &^= followed | charged
	}
}

// timedOut is failed for an attempt whose time-out has come. It does not ask the policy again if
// the attempt was refused before and the policy chose no wait then: a failed attempt costs one
// token of a retry budget (gRPC A6), whether it is refused, times out, or both.
func (f *Fleet) timedOut(now time.Duration, d *droplet, i uint32, after time.Duration) time.Duration {
	if !d.is(charged) {
		return f.failed(now, d, i, admit.TimedOut, after)
	}
	d.state &^= out | followed | charged
	d.tries, d.wait = more(d.tries), 0
	return 0
}

// failed records the failure of the attempt that is out. It returns the retry policy's wait. after
// is the wait that the manager asked for; 0: none.
func (f *Fleet) failed(now time.Duration, d *droplet, i uint32, why admit.Cause, after time.Duration) time.Duration {
	if d.is(followed) {
		d.wait = 0
	}
	d.state &^= out | followed
	if why == admit.TimedOut {
		d.state |= hungUp
	}
	d.tries = more(d.tries)
	if f.immediate { // saves the call
		d.wait = 0
		return 0
	}
	wait := max(0, f.cfg.Retry.Wait(admit.Failure{
		Tries: int(d.tries), Prev: longWait(d.wait), Timeout: f.cfg.Timeout,
		After: after, Now: now, Droplet: i, Why: why,
	}, f.rng))
	d.wait = shortWait(wait)
	return wait
}

// A wait is encoded in 16 bits as an unsigned floating-point number, with a relative error of at
// most 1/2048:
//
//	exponent:6 | mantissa:10    exponent 0: the mantissa, in ns
//	                            else: (1024 + mantissa)·2^(exponent−1) ns
const mantissaBits = 10

// shortWait encodes a wait.
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

// longWait decodes a wait.
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

// ask makes an attempt of droplet i, born at the given time: a check if the droplet holds a live
// lease, else an establish.
func (f *Fleet) ask(d *droplet, i uint32, born time.Duration, it *queue.Item) {
	r := fresh
	if d.is(hungUp) {
		r |= redials
	}
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
	if f.watcher != nil {
		f.watcher.Asked(born, i)
	}
	a, place := f.out.add(born)
	a.lease, a.until, a.droplet = d.lease, 0, i // no composite literal: it would be built and copied
	a.tries, a.zone, a.class, a.request = d.tries, f.cfg.zone(i), queue.Establish, r
	d.at, d.place, d.state = born, place, d.state&held|out
	if d.is(held) {
		a.class, a.until = queue.Check, queue.ToMillis(d.until)
		if d.tries == 0 { // after a retried check, the answer schedules the next one
			d.state |= followed
			if f.cfg.Jitter > 0 {
				d.wait = uint16(f.rng.Uint32())
				f.random.add(timer{born + f.interval(d.wait), i})
			} else {
				f.checks.add(timer{born + f.cfg.Interval, i})
			}
		}
	}
	f.mayHedge(a)
	f.item(a, it)
}

// item fills in the first attempt of a request as the manager receives it, and counts it.
func (f *Fleet) item(a *attempt, it *queue.Item) {
	f.fill(a, it)
	if a.request.is(redials) {
		it.SetReconnects()
	}
	if a.born >= f.cfg.Outage.To {
		f.zones[a.zone].Asked++
	}
}

// fill fills in an attempt as the manager receives it.
func (f *Fleet) fill(a *attempt, it *queue.Item) {
	it.Born, it.Lease, it.Timeout = a.born, a.lease, f.timeout
	it.Slip, it.LeaseUntil, it.Droplet = 0, a.until, a.droplet
	it.Zone, it.Class, it.Try, it.Why, it.Door = a.zone, a.class, a.tries, queue.NotShed, 0
}

// SetRetry replaces the droplets' retry policy.
func (f *Fleet) SetRetry(r admit.Retry) {
	f.cfg.Retry = r
	f.learner, _ = r.(admit.Learner)
	f.watcher, _ = r.(admit.Watcher)
	f.hedger, _ = r.(admit.Hedger)
	f.immediate = admit.IsImmediate(r)
}

// interval is the time to a droplet's next check, for a draw in 1/2^16 of Jitter.
func (f *Fleet) interval(drawn uint16) time.Duration {
	if f.cfg.Jitter == 0 {
		return f.cfg.Interval
	}
	return time.Duration(float64(f.cfg.Interval) * (1 - float64(f.cfg.Jitter*float64(drawn)/(1<<16))))
}

// jitter draws uniformly from 0 up to, but not including, d.
func (f *Fleet) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(f.rng.Int64N(int64(d)))
}

// Bytes returns the heap of the fleet, in bytes: droplets, attempts and timers.
func (f *Fleet) Bytes() int64 {
	return int64(len(f.droplets))*BytesPerDroplet + f.random.bytes() +
		f.out.bytes() + f.checks.bytes() + f.hedges.bytes()
}
