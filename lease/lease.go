// Package lease has the tables in which a manager keeps its leases: the right
// to act on a client until a deadline, fenced by an epoch.
//
// A table is passive: every method takes now, the time since the run's start.
// Deadlines are kept in ticks of [Tick]: a deadline is rounded up to the next
// tick and now is rounded down, so a lease never lapses early and lapses at most
// two ticks late (one by either rounding). All tables share these semantics to
// the tick. A now before the run's start counts as the start, and a now after
// [MaxDeadline] counts as MaxDeadline: by then every lease has lapsed. now may
// step backward between two calls; each call is decided by its own now.
//
// lease/leasetest has the test suite that holds every table to this page.
package lease

import (
	"errors"
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Tick is the resolution of deadlines, about 1.05 ms. It is a power of two in
// nanoseconds so that a renewal shifts instead of dividing.
const Tick = time.Duration(1) << tickShift

const tickShift = 20

// MaxDeadline is the latest deadline that a table can hold, about 52 days.
const MaxDeadline = time.Duration(1<<32-2) << tickShift

// ErrStale is returned for an ID whose lease lapsed, was revoked, or was granted
// anew under a later epoch: whoever holds the ID no longer holds the lease.
var ErrStale = errors.New("lease: stale: lapsed, revoked or superseded; ask for a new grant")

// ErrFull is returned by Grant when every slot is taken.
var ErrFull = errors.New("lease: table full: revoke or expire leases, or make the table larger")

// ErrDeadline is returned for a deadline that is not after now, or is after
// MaxDeadline. It is an error of the arguments alone, so it comes before ErrStale
// and ErrFull.
var ErrDeadline = errors.New("lease: deadline not between now and MaxDeadline")

// ID names one grant of one slot:
//
//	bits 63..32  slot   index of the lease's word in the table
//	bits 31..0   epoch  rises with each grant of the slot; the fencing token
//
// Epochs start at 1, so the zero ID names no lease. After 2^32-1 grants of one
// slot its epochs start at 1 again: at a grant every millisecond, after 49 days.
type ID uint64

// MakeID packs a slot and an epoch.
func MakeID(slot, epoch uint32) ID { return ID(uint64(slot)<<32 | uint64(epoch)) }

// Slot is the index of the lease in its table.
func (id ID) Slot() uint32 { return uint32(id >> 32) }

// Epoch is the fencing token.
func (id ID) Epoch() uint32 { return uint32(id) }

func (id ID) String() string { return fmt.Sprintf("%d@%d", id.Slot(), id.Epoch()) }

// Table keeps leases. It is safe for concurrent use. A lease is live from its
// grant until its deadline, whether or not Expire has come by since.
//
// Calls that overlap are ordered slot by slot: for each slot there is one order
// of them that explains every answer. Only where a call looks at many slots
// (Grant that finds none, Expire, Live) it does not see all of them at one moment.
type Table interface {
	// Grant makes a lease on a free slot, live until deadline. Worker is the
	// caller's index, any number: tables that shard their free slots use
	// it to keep workers apart. Errors: ErrFull, which means that each slot was
	// seen taken at some moment of the call, and so was free at no time of a call
	// that nothing overlaps; ErrDeadline.
	Grant(now, deadline time.Duration, worker int) (ID, error)
	// Renew moves a live lease's deadline later; an earlier deadline than the
	// present one changes nothing. Errors: ErrStale, ErrDeadline.
	Renew(id ID, now, deadline time.Duration) error
	// RenewAll renews a batch to one deadline, as Renew does each, and says in
	// renewed[i] whether ids[i] was live; it returns how many were. renewed is as long
	// as ids, or nil. A table overlaps the batch's cache misses, or shares its locks.
	// Errors: ErrDeadline, and then nothing is renewed.
	RenewAll(ids []ID, now, deadline time.Duration, renewed []bool) (int, error)
	// Verify is the epoch check: nil while id names a live lease. Errors: ErrStale.
	Verify(id ID, now time.Duration) error
	// Revoke ends a lease and frees its slot, lapsed but not yet expired ones
	// included. Errors: ErrStale.
	Revoke(id ID) error
	// Regrant ends the lease that id names, lapsed but not yet expired ones
	// included, and grants its slot anew, in place and under the next epoch, live
	// until deadline: what a client that asks for a new lease mostly needs, without
	// the way through the free slots. Errors: ErrStale, ErrDeadline.
	Regrant(id ID, now, deadline time.Duration) (ID, error)
	// Touch brings what the calls of a coming batch will look at into the cache,
	// where a table can: the misses of a batch then overlap. It changes nothing.
	Touch(ids []ID)
	// Expire frees the slots of all leases whose deadline is at or before now and
	// calls lapsed for each, before that slot can be granted again; lapsed must
	// not call back into the table and must not panic. It returns their number.
	// Each lease ends once: by one Expire, Revoke or Regrant. A lease granted or
	// renewed while Expire runs may or may not be looked at, but is never freed
	// before its deadline. Of two Expire calls that overlap either may leave a
	// lapsed lease to the other or to the next call.
	Expire(now time.Duration, lapsed func(ID)) int
	// Live is the number of slots granted and neither revoked nor expired. While
	// calls run it may count some of them and not others.
	Live() int
	// Bytes is the heap that the table holds on to, for its whole capacity.
	Bytes() int64
}

// Env is what a table's constructor may know of the run that it is made for.
type Env struct {
	Leases  int // capacity, in leases; 1 to 2^32-1
	Workers int // goroutines that will call concurrently
	Shards  int // suggested number of shards from the host's topology; 0: derive from Workers
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

// Catalog lists the tables by name. Add one's own with Catalog.Register.
var Catalog = catalog.New("lease table", builtin...)

// Make builds the table that ref names.
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
