// Package queue provides queue disciplines for servers whose clients time out: fifo, lifo, edf,
// CoDel, deadline dropping and others. A [Discipline] decides which waiting attempt is served
// next and which never.
//
// A program makes a discipline with a constructor such as [NewDeadline], or from text with
// [Make], for example "percore+deadline:margin=2". [Catalog] and [Wrappers] list the names.
//
// A discipline is passive. Every method takes now, the time since the run's start. No method
// reads a clock, starts a goroutine or sleeps. Items travel in batches, so that a batch shares
// one lock and its cache misses overlap.
//
// To add a discipline, write one file with its catalog entry and name the entry in builtin.go.
// Another module calls Catalog.Register instead. Package queue/queuetest checks a discipline
// against this documentation.
package queue

import (
	"math"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Class says what an attempt asks for.
type Class uint8

// The classes.
const (
	// Check is a heartbeat that extends a live lease.
	Check Class = iota
	// Establish asks for a new lease after the old one was lost.
	Establish
	// Launch asks to start an instance on a droplet. The droplet must hold a live lease.
	Launch
	// Classes is the number of classes, for arrays indexed by Class.
	Classes
)

// String returns the class in lower case, for example "check".
func (c Class) String() string {
	if c < Classes {
		return [Classes]string{"check", "establish", "launch"}[c]
	}
	return "class?"
}

// Outcome says how an attempt ended.
type Outcome uint8

// The outcomes.
const (
	// Good: the service ended before the attempt's deadline, and its result counts.
	Good Outcome = iota
	// Late: the service ended after the deadline, or for a lease epoch that has moved on, or after
	// another attempt of the same request was answered. Its result was discarded.
	Late
	// Shed: the attempt was refused at the door or dropped from the queue. It was not served.
	Shed
	// Failed: the attempt was served in time, and the dependency failed.
	Failed
	// Outcomes is the number of outcomes, for arrays indexed by Outcome.
	Outcomes
)

// String returns the outcome in lower case, for example "good".
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
	// NotShed is the zero value: the attempt was not shed.
	NotShed Reason = iota
	// Full: a bounded queue had no room. Set by Push; the client is told.
	Full
	// Expired: the attempt could not be done before its deadline. Set by Pop, or by a
	// worker that asks a Rechecker.
	Expired
	// Delay: active queue management gave the attempt up because of the queueing delay. Set by
	// Pop (codel, controlled-delay) or Push (pie).
	Delay
	// Displaced: another attempt of the same droplet took its place. Set by Push.
	Displaced
	// Refused: the admission controller refused the attempt at the door. Set by Admit, never by
	// a discipline; the client is told.
	Refused
	// Throttled: the operator's throttle refused the attempt at the door. Set by the manager;
	// the client is told.
	Throttled
	// Restarted: the manager was restarted and its queue emptied. Set by the manager.
	Restarted
	// Cancelled: the client gave the attempt up. Set by Pop, or by a Rechecker.
	Cancelled
	// Reasons is the number of reasons, for arrays indexed by Reason.
	Reasons
)

// String returns the reason in lower case, for example "expired".
func (r Reason) String() string {
	if r < Reasons {
		return [Reasons]string{"not shed", "full", "expired", "delay", "displaced", "refused", "throttled", "restarted", "cancelled"}[r]
	}
	return "reason?"
}

// Told reports whether the client is told at once that its attempt was shed. A client whose
// attempt is dropped from the queue is not told and waits for its time-out.
func (r Reason) Told() bool { return r == Full || r == Refused || r == Throttled }

// Millis is a time since the run's start in whole milliseconds. It reaches up to 49 days in
// four bytes.
type Millis uint32

// Duration returns the time since the run's start.
func (m Millis) Duration() time.Duration { return time.Duration(m) * time.Millisecond }

// ToMillis converts a time since the run's start to milliseconds, rounded down. A time outside
// the range becomes the nearer end of the range.
func ToMillis(d time.Duration) Millis {
	return Millis(min(max(d/time.Millisecond, 0), 1<<32-1))
}

// Micros is a length of time in whole microseconds. It reaches up to 71 minutes in four bytes.
// Its largest value, Forever, stands for every longer time.
type Micros uint32

// Forever is the timeout of an attempt that never times out.
const Forever Micros = 1<<32 - 1

// Duration returns the length of time. It is not meaningful for Forever.
func (m Micros) Duration() time.Duration { return time.Duration(m) * time.Microsecond }

// ToMicros converts a length of time to microseconds, rounded down. A length outside the range
// becomes the nearer end of the range.
func ToMicros(d time.Duration) Micros {
	return Micros(min(max(d/time.Microsecond, 0), time.Duration(Forever)))
}

// Item is one attempt of a client, here called a droplet. It has 40 bytes and no pointer, so
// that the garbage collector has nothing to scan in a queue of 10^7 attempts. Droplet, Class
// and Born identify an attempt.
type Item struct {
	Born       time.Duration // when the droplet meant to ask; latency counts from here
	Lease      uint64        // fencing token: the lease that the droplet holds or held; 0: none
	Timeout    Micros        // how long the droplet waits for the answer, from Born
	Slip       Micros        // from Born until the attempt was offered to the manager
	Door       uint32        // written by the admission controller: see Mark and RetryAfter
	LeaseUntil Millis        // deadline of a check's or launch's lease; 0 for an establish
	Droplet    uint32        // index of the client
	Zone       uint8         // availability zone: the fairness group
	Class      Class
	Try        uint8  // failed attempts in a row before this one; saturates at 255
	Why        Reason // why the item was given up; set by the part that gives it up
}

// Deadline returns Born plus Timeout: the time from which on nobody waits for the answer.
func (it *Item) Deadline() time.Duration {
	if it.Timeout == Forever {
		return math.MaxInt64
	}
	return it.Born + it.Timeout.Duration()
}

// Offered returns when the attempt came to the manager, rounded down to a microsecond. The time
// in the queue counts from here. A rounded time does not tell in which of its states a
// controller admitted the attempt; Mark does.
func (it *Item) Offered() time.Duration { return it.Born + it.Slip.Duration() }

// SetOffered records that the attempt comes to the manager at now.
func (it *Item) SetOffered(now time.Duration) { it.Slip = ToMicros(now - it.Born) }

// MarkBits is the number of low bits of Item.Door that belong to the admission controller's
// mark. The bits above belong to a wrapper around the controller.
const MarkBits = 28

// Mark returns the number that the admission controller wrote on the attempt, for example the
// number of its state at admission; 0 if it wrote none. The controller gets the mark back with
// the attempt's end, and so knows exactly under which state it admitted the attempt.
func (it *Item) Mark() uint32 { return it.Door & (1<<MarkBits - 1) }

// SetMark writes a controller's mark on an attempt that it admits. Bits beyond MarkBits are
// cut off.
func (it *Item) SetMark(mark uint32) {
	it.Door = it.Door&^(1<<MarkBits-1) | mark&(1<<MarkBits-1)
}

// SetReconnects records, before the item is offered, that its client opened a connection for it. The
// manager reads it when the item is offered; then Door is the admission controller's.
func (it *Item) SetReconnects() { it.Door = 1 }

// Reconnects reports whether SetReconnects was called. It holds until the item is offered.
func (it *Item) Reconnects() bool { return it.Door == 1 }

// SetRetryAfter records on a refused item how long its droplet should wait, from the refusal,
// before it asks again. Below 0 the droplet is told not to ask again.
func (it *Item) SetRetryAfter(d time.Duration) {
	if it.Door = uint32(min(ToMicros(d), Forever-1)); d < 0 {
		it.Door = uint32(Forever)
	}
}

// RetryAfter returns how long a refused item's droplet was asked to wait, up to 71 minutes; 0 if
// it was told nothing; -1 if it was told not to ask again.
func (it *Item) RetryAfter() time.Duration {
	if it.Why != Refused && it.Why != Throttled {
		return 0
	}
	if Micros(it.Door) == Forever {
		return -1
	}
	return Micros(it.Door).Duration()
}

// Discipline decides which attempt is served next and which never. It is safe for concurrent
// use by any number of pushing and popping goroutines. Their values of now may differ, and may
// step back by that difference.
//
// Every item that is pushed comes out exactly once: given back by a Push, taken by a Pop or
// dropped by a Pop. Until then Len counts it.
type Discipline interface {
	// Push adds a batch and overwrites the slice. items[kept:] are given up, with their Why set,
	// and are the caller's: newcomers that found no room, or older items that a newcomer
	// displaced. The caller must not use items[:kept] again.
	Push(now time.Duration, items []Item) (kept int)
	// Pop fills dst from both ends. dst[:taken] are the next to serve, in order.
	// dst[len(dst)-dropped:] were dropped, with their Why set. Both counts are 0 if nothing
	// waits. The caller owns the popped items, and the discipline can no longer drop them. So
	// len(dst) should be small against the time that the service of a batch takes.
	Pop(now time.Duration, dst []Item) (taken, dropped int)
	// Len returns the number of waiting items. It may lag under concurrent use. It is exact
	// once all calls have returned.
	Len() int
}

// Rechecker is a Discipline that drops attempts, by a rule that can be asked again. A worker
// that popped several items calls Stale before it serves each of them. So the rule holds
// however many are popped at a time.
type Rechecker interface {
	// Stale reports whether the discipline would drop the item at now. If the reason is not
	// Expired, Stale sets the item's Why.
	Stale(now time.Duration, it *Item) bool
}

// InOrder is a Discipline that may be served in order of arrival, whatever the clock says.
// While something waits, later pushes do not change what is popped next. A virtual engine may
// then push attempts of several instants together, serve before it pushes, and look ahead.
type InOrder interface {
	Discipline
	// InOrder reports whether this discipline pops in order of arrival, keeps every item, and
	// uses no clock.
	InOrder() bool
	// Peek copies to dst the items that the next Pop would take and returns their number: at
	// least 1 if something waits, but possibly fewer than fit.
	Peek(dst []Item) int
}

// Sharder is a Discipline in parts, one for each worker.
type Sharder interface {
	Discipline
	// View returns the discipline as one worker should use it. Its Pop takes from the worker's
	// own part, and from the others when that is empty.
	View(worker int) Discipline
}

// Config has the facts of a run that the catalog's constructors need.
type Config struct {
	Timeout time.Duration          // τ, the droplets' timeout
	TTL     time.Duration          // time to live of a lease
	MaxWait time.Duration          // longest wait between a timed-out attempt and the next
	Service [Classes]time.Duration // expected service time of a live attempt on one worker
	Workers int                    // number of goroutines that pop
	// Answered, if set, reports whether another attempt of the item's request has had a good answer, so
	// that its client has cancelled this one: clients hedge.
	Answered func(it *Item) bool
}

// New makes a Discipline from resolved parameters. It is what a catalog entry provides.
type New func(cfg Config, v catalog.Values) (Discipline, error)

// Catalog lists the disciplines by name. Another module adds its own with Register.
var Catalog = catalog.New("queue discipline", builtin...)
