// Package queue has the queue disciplines that a lease manager's attempts wait
// in, and the item that waits.
//
// A discipline is passive: every method takes now, the time since the run's
// start, and none reads a clock, starts a goroutine or sleeps. Items travel in
// batches: locks are shared and cache misses overlap only where several go
// together. To add a discipline, write one file with its catalog entry and name the
// entry in builtin.go (or, from another module, call Catalog.Register);
// queue/queuetest holds it to this page.
package queue

import (
	"math"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Class says what an attempt asks for.
type Class uint8

// The classes. A check is the heartbeat that extends a live lease; an establish
// asks for a new lease after a loss; a launch is a user's request to start an
// instance on a droplet that must hold a live lease.
const (
	Check Class = iota
	Establish
	Launch
	Classes // number of classes, for arrays indexed by Class
)

func (c Class) String() string {
	if c < Classes {
		return [Classes]string{"check", "establish", "launch"}[c]
	}
	return "class?"
}

// Outcome says how an attempt ended.
type Outcome uint8

// The outcomes. Good: done before the attempt's deadline. Late: done after it, or
// for a lease epoch that has moved on, so discarded. Shed: refused at the door or
// dropped from the queue. Failed: done, and the dependency said no.
const (
	Good Outcome = iota
	Late
	Shed
	Failed
	Outcomes // number of outcomes, for arrays indexed by Outcome
)

func (o Outcome) String() string {
	if o < Outcomes {
		return [Outcomes]string{"good", "late", "shed", "failed"}[o]
	}
	return "outcome?"
}

// Reason says why an attempt was shed.
type Reason uint8

// The reasons.
const (
	// NotShed is the reason of an attempt that was not shed.
	NotShed Reason = iota
	// Full: a bounded queue had no room.
	Full
	// Expired: the attempt could not be done before its deadline.
	Expired
	// Delay: active queue management dropped the attempt because of the queueing delay.
	Delay
	// Displaced: another attempt of the same droplet took its place.
	Displaced
	// Refused: the admission controller refused the attempt at the door.
	Refused
	// Throttled: the operator's throttle refused the attempt at the door.
	Throttled
	// Restarted: the manager was restarted and its queue emptied.
	Restarted
	// Cancelled: the droplet gave the attempt up.
	Cancelled
	// Reasons is the number of reasons, for arrays indexed by Reason.
	Reasons
)

func (r Reason) String() string {
	if r < Reasons {
		return [Reasons]string{"not shed", "full", "expired", "delay", "displaced", "refused", "throttled", "restarted", "cancelled"}[r]
	}
	return "reason?"
}

// Told says whether the client hears of it at once. Whoever is dropped from the
// queue hears nothing and waits for its time-out.
func (r Reason) Told() bool { return r == Full || r == Refused || r == Throttled }

// Millis is a time since the run's start in whole milliseconds, rounded down: up to
// 49 days in four bytes.
type Millis uint32

// Duration is the time since the run's start.
func (m Millis) Duration() time.Duration { return time.Duration(m) * time.Millisecond }

// ToMillis rounds down, and holds what is before the start or after the range at
// the range's ends.
func ToMillis(d time.Duration) Millis {
	return Millis(min(max(d/time.Millisecond, 0), 1<<32-1))
}

// Micros is a length of time in whole microseconds, rounded down: up to 71 minutes in
// four bytes. Its largest value, Forever, stands for all that is longer.
type Micros uint32

// Forever is the Micros of a time-out that never comes.
const Forever Micros = 1<<32 - 1

// Duration is the length of time. It is not meaningful for Forever.
func (m Micros) Duration() time.Duration { return time.Duration(m) * time.Microsecond }

// ToMicros rounds down. It holds a length outside the range at the range's ends.
func ToMicros(d time.Duration) Micros {
	return Micros(min(max(d/time.Microsecond, 0), time.Duration(Forever)))
}

// Item is one attempt on its way through the manager: 40 bytes without a pointer, so
// that the collector has nothing to scan in a queue of 10^7 attempts. An attempt is
// named by its droplet, its class and its birth.
type Item struct {
	Born       time.Duration // when the droplet meant to ask; latency counts from here
	Lease      uint64        // fencing token: the lease that the droplet holds or held; 0 none
	Timeout    Micros        // how long the droplet waits for the answer, from Born
	Slip       Micros        // from Born until it was offered
	Door       uint32        // what the admission controller wrote: see Mark and RetryAfter
	LeaseUntil Millis        // the deadline of a check's or launch's lease; 0 for an establish
	Droplet    uint32
	Zone       uint8 // availability zone: the fairness group
	Class      Class
	Try        uint8  // attempts in a row that came to nothing before this one, saturating
	Why        Reason // set by whoever gives the item up
}

// Deadline is the time from which on nobody waits for the answer.
func (it *Item) Deadline() time.Duration {
	if it.Timeout == Forever {
		return math.MaxInt64
	}
	return it.Born + it.Timeout.Duration()
}

// Offered is when the attempt came to the manager, to the microsecond below. Sojourn
// counts from here. Who admitted an attempt, and under which of its states, cannot be
// told from a rounded time: see Mark.
func (it *Item) Offered() time.Duration { return it.Born + it.Slip.Duration() }

// SetOffered notes that the attempt comes to the manager at now.
func (it *Item) SetOffered(now time.Duration) { it.Slip = ToMicros(now - it.Born) }

// MarkBits is how many bits of a mark belong to the admission controller. The bits above
// them belong to whoever wraps it.
const MarkBits = 28

// Mark is what the controller that admitted the attempt wrote on it, for example the
// number of the state in which it did; 0 if it wrote nothing. The attempt's end is told
// to the controller with the mark, so that it knows exactly what it had decided and when.
func (it *Item) Mark() uint32 { return it.Door & (1<<MarkBits - 1) }

// SetMark writes a controller's mark on an attempt that it admits. Bits beyond MarkBits
// are cut off.
func (it *Item) SetMark(mark uint32) {
	it.Door = it.Door&^(1<<MarkBits-1) | mark&(1<<MarkBits-1)
}

// SetRetryAfter notes, on an item that is refused, how long its droplet should wait before
// it asks again, from the refusal.
func (it *Item) SetRetryAfter(d time.Duration) { it.Door = uint32(ToMicros(d)) }

// RetryAfter is what a refused item's droplet was told, up to 71 minutes; 0 is nothing.
func (it *Item) RetryAfter() time.Duration {
	if it.Why != Refused && it.Why != Throttled {
		return 0
	}
	return Micros(it.Door).Duration()
}

// Discipline decides which attempt is served next and which never. It is safe for
// concurrent use by any number of pushing and popping goroutines, whose now may
// differ and may step back by their skew.
//
// Every item pushed is, exactly once, given back by a Push, taken from a Pop,
// dropped by a Pop, or still counted by Len.
type Discipline interface {
	// Push adds a batch. It returns how many items of the batch's slice the caller
	// is rid of: items[kept:] are given up, with their Why set. They are newcomers
	// for which there was no room, or older items that a newcomer displaced; never
	// more than came.
	Push(now time.Duration, items []Item) (kept int)
	// Pop fills dst: dst[:taken] are the next to serve, in order, and
	// dst[len(dst)-dropped:] were dropped on the way, with their Why set. Both 0
	// means that nothing waits. What is popped is out of the discipline's hands, so
	// a caller bounds len(dst) by the service that a batch takes.
	Pop(now time.Duration, dst []Item) (taken, dropped int)
	// Len is the number of items waiting. Under concurrent use it may lag, but is
	// exact once all calls have returned.
	Len() int
}

// Rechecker is a Discipline that drops what is dead. A worker that popped several asks
// before each service whether the item is dead by now, so that what a discipline
// promises does not depend on how many are popped at a time.
type Rechecker interface {
	Stale(now time.Duration, it *Item) bool
}

// InOrder is a Discipline that, if it says so, gives out what was pushed first, keeps all of
// it, and looks at no clock: what is popped does not depend on what is pushed later, as
// long as something waits. A virtual engine may then push attempts of several instants
// together, and serve before it pushes; and may look ahead.
type InOrder interface {
	Discipline
	InOrder() bool
	// Peek copies to dst what the next Pop would give, and returns how many: one at least
	// if something waits, not always all that dst holds.
	Peek(dst []Item) int
}

// Sharder is a Discipline with a part of its own for each worker. A worker pops from its
// view, which takes from its own part first and from the others' when that is empty.
type Sharder interface {
	Discipline
	View(worker int) Discipline
}

// Config is what a discipline's constructor may know of the run: nobody has to guess
// what the scenario knows.
type Config struct {
	Timeout time.Duration          // τ, the droplets' timeout
	TTL     time.Duration          // a lease's time to live
	MaxWait time.Duration          // longest wait between a timed-out attempt and the next
	Service [Classes]time.Duration // expected service of a live attempt on one worker
	Workers int                    // goroutines that pop
}

// New makes a Discipline from resolved parameters.
type New func(cfg Config, v catalog.Values) (Discipline, error)

// Catalog lists the disciplines by name.
var Catalog = catalog.New("queue discipline", builtin...)
