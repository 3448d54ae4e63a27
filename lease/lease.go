// Package lease provides lease tables. A lease is the right to act on a client until a deadline.
// An epoch, the fencing token, tells one lease of a slot from the next.
//
// A program makes a table with [NewMutex], [NewSharded] or [NewLockFree], or from text with
// [Make]. All tables behave the same, to the tick:
//
//   - A table is passive. Every method takes now, the time since the run's start.
//   - Deadlines have the resolution [Tick]. A deadline is rounded up and now is rounded down. So a
//     lease never lapses early, and lapses at most two ticks late.
//   - A now before the run's start counts as the start. A now after [MaxDeadline] counts as
//     MaxDeadline, when every lease has lapsed.
//   - now may step backward between two calls. Each call is decided by its own now.
//
// Package lease/leasetest checks a table against this documentation.
package lease

import (
	"errors"
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Tick is the resolution of deadlines: 2^20 ns, about 1.05 ms. A power of two lets a renewal
// shift instead of divide.
const Tick = time.Duration(1) << tickShift

const tickShift = 20

// MaxDeadline is the latest deadline that a table can hold, about 52 days.
const MaxDeadline = time.Duration(1<<32-2) << tickShift

// ErrStale is returned for an ID that names no live lease: the lease lapsed, was revoked, or was
// granted again under a later epoch.
var ErrStale = errors.New("lease: stale: lapsed, revoked or superseded; ask for a new grant")

// ErrFull is returned by Grant when every slot is taken.
var ErrFull = errors.New("lease: table full: revoke or expire leases, or make the table larger")

// ErrDeadline is returned for a deadline that is not after now, or is after MaxDeadline. It
// depends on the arguments alone, so it takes precedence over ErrStale and ErrFull.
var ErrDeadline = errors.New("lease: deadline not between now and MaxDeadline")

// ErrFailed is wrapped by the errors of a [Remote] table that did not carry out a call: the other process
// was not reached in time, or refused. It may have carried out the call all the same.
var ErrFailed = errors.New("lease: table failed")

// ID names one grant of one slot:
//
//	bits 63..32  slot   index of the slot in the table
//	bits 31..0   epoch  rises with each grant of the slot; the fencing token
//
// Epochs start at 1, so the zero ID names no lease. A slot's epochs start at 1 again after
// 2^32-1 grants: after 49 days at a grant per millisecond.
type ID uint64

// MakeID returns the ID of a slot and an epoch.
func MakeID(slot, epoch uint32) ID { return ID(uint64(slot)<<32 | uint64(epoch)) }

// Slot returns the index of the slot in its table.
func (id ID) Slot() uint32 { return uint32(id >> 32) }

// Epoch returns the fencing token.
func (id ID) Epoch() uint32 { return uint32(id) }

// String returns the ID as "slot@epoch".
func (id ID) String() string { return fmt.Sprintf("%d@%d", id.Slot(), id.Epoch()) }

// Table keeps leases. It is safe for concurrent use. A lease is live from its grant until its
// deadline, whether or not Expire has freed its slot.
//
// The table is linearizable for each slot: one order of the calls explains every answer about
// the slot. A call that looks at many slots (a Grant that finds none, Expire, Live) does not see
// all of them at one moment.
type Table interface {
	// Grant makes a lease on a free slot, live until deadline. worker is the caller's index,
	// any number. A table in parts uses it to keep workers apart. Errors: ErrDeadline; ErrFull,
	// if each slot was taken at some moment of the call.
	Grant(now, deadline time.Duration, worker int) (ID, error)
	// Renew moves the deadline of a live lease later. A deadline earlier than the present one
	// changes nothing. Errors: ErrStale, ErrDeadline.
	Renew(id ID, now, deadline time.Duration) error
	// RenewAll renews a batch to one deadline. It sets renewed[i] to whether ids[i] was live and
	// returns the number of live ones. renewed is as long as ids, or nil. A batch is cheaper
	// than single calls: it overlaps cache misses or shares locks. Errors: ErrDeadline; then
	// nothing is renewed.
	RenewAll(ids []ID, now, deadline time.Duration, renewed []bool) (int, error)
	// Verify is the epoch check. It returns nil while id names a live lease. Errors: ErrStale.
	Verify(id ID, now time.Duration) error
	// Revoke ends a lease and frees its slot. The lease may have lapsed if Expire has not freed
	// its slot yet. Errors: ErrStale.
	Revoke(id ID) error
	// Regrant ends the lease that id names and grants its slot again under the next epoch, live
	// until deadline. The lease may have lapsed if Expire has not freed its slot yet. It is
	// Revoke and Grant without the search for a free slot. Errors: ErrStale, ErrDeadline.
	Regrant(id ID, now, deadline time.Duration) (ID, error)
	// Prefetch loads what the next calls about ids will read into the processor's cache, so that
	// the cache misses of a batch overlap. A table that cannot do so does nothing. The leases
	// do not change.
	Prefetch(ids []ID)
	// Expire frees the slots of all leases whose deadline is at or before now, and returns their
	// number. It calls lapsed for each, before the slot can be granted again. lapsed must not
	// call the table and must not panic.
	//
	// Each lease ends once: by one Expire, Revoke or Regrant. A lease that is granted or renewed
	// while Expire runs is never freed before its deadline. Of two Expire calls that overlap,
	// either may leave a lapsed lease to the other or to the next call.
	Expire(now time.Duration, lapsed func(ID)) int
	// Live returns the number of slots that are granted and neither revoked nor expired. It may
	// count a lapsed lease. While calls run it may count some of them and not others.
	Live() int
	// Bytes returns the heap memory of the table in bytes. It does not depend on the number of
	// leases.
	Bytes() int64
}

// Remote is a Table that another process keeps. Its calls block the caller, and may fail with an error
// that wraps ErrFailed: Grant, Renew, RenewAll, Verify, Revoke and Regrant return it, and Expire leaves
// what it could not ask about to the next call.
type Remote interface {
	Table
	// Close gives up the connection, and the process if the table started it. No call is under way.
	Close() error
}

// Env has the facts of a run that the catalog's constructors need.
type Env struct {
	Leases  int // capacity, in leases; 1 to 2^32-1
	Workers int // number of goroutines that call concurrently
	Shards  int // number of shards that suits the host's caches; 0: derived from Workers
	// TTL is how long a lease lives after a grant or a renewal; 0: not known. A table that must settle
	// it in advance needs it.
	TTL time.Duration
}

// validate says what is wrong with the size of a table, or with its number of parts.
func validate(leases, parts int) error {
	switch {
	case leases < 1 || int64(leases) > 1<<32-1:
		return fmt.Errorf("lease: %d leases: a table holds 1 to %d", leases, int64(1<<32-1))
	case parts < 0 || parts > maxParts:
		return fmt.Errorf("lease: %d parts: a table has 1 to %d, or 0 for a default", parts, maxParts)
	}
	return nil
}

// New makes a Table from resolved parameters. It is what a catalog entry provides.
type New func(env Env, v catalog.Values) (Table, error)

// Catalog lists the tables by name. Another module adds its own with Register.
var Catalog = catalog.New("lease table", builtin...)

// Make returns the table that ref names, for example "sharded:shards=64".
func Make(ref string, env Env) (Table, error) {
	if err := validate(env.Leases, 0); err != nil {
		return nil, err
	}
	e, v, err := Catalog.Resolve(ref)
	if err != nil {
		return nil, err
	}
	return e.New(env, v)
}
