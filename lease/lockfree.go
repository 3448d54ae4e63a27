package lease

import (
	"math/bits"
	"time"
	"unsafe"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/internal/huge"
	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// A lease is one word in a flat array:
//
//	bits 63..32  epoch     of the present grant, else of the last; 0 before the first
//	bits 31..0   deadline  in ticks; 0: free
//
// A block is 512 words, 4 KiB: what one sweep reads or skips, and one page to a
// hardware prefetcher.
const (
	blockShift = 9
	blockWords = 1 << blockShift
	mapWords   = blockWords / 64 // of a block's free map

	groupShift  = 6
	groupBlocks = 1 << groupShift
)

// lockFree keeps its leases in words that are renewed by one compare-and-swap.
//
// Who may write a slot's word:
//
//	slot     free bit   word's writers
//	free     1          nobody
//	taken    0, and deadline 0    the one Grant that cleared the bit; or, on the way
//	                    out, the Revoke or Expire that swapped the deadline to 0,
//	                    until it sets the bit
//	granted  0, deadline > 0      anybody, by compare-and-swap from the word it read
//
// So a word with deadline 0 is never swapped by a holder of an ID, and an epoch
// rises only under Grant's or Regrant's hand.
type lockFree struct {
	n     int             // slots
	words []atomic.Uint64 // whole blocks: what is behind n is free for ever and never granted
	scan  scan

	// bounds[b] is at or before the earliest deadline in block b; noDeadline: none
	// that this bound must know of. A renewal moves a deadline later and leaves the
	// bound valid. Where a deadline is new, the word is written first and the bound
	// lowered after; a sweep raises the bound first, reads the words, and lowers it
	// after. In either order of the two, one of them sees the other's word.
	bounds []atomic.Uint32

	// tops[g] is at or before the bounds of groupBlocks blocks, so that a sweep that finds
	// nothing reads a few cache lines. It keeps the same order towards bounds as these do
	// towards words: a bound is lowered before its top, and a top is raised before the
	// bounds are read. A bound that is raised leaves the top valid.
	tops []atomic.Uint32

	// free has a bit for each slot that a Grant may take, 8 words a block; some has
	// a bit for each block that may have one. A bit of some is set after the bit in
	// free, and cleared before a second look at free, so a free slot is overlooked
	// for that moment only, and Grant looks at all of free before it says ErrFull.
	free []atomic.Uint64
	some []atomic.Uint64

	regions []*region
	rotor   atomic.Uint32 // calls of Expire
}

// region is where a worker looks for free slots first, so that workers write to
// words, maps and bounds of their own as long as there is room.
type region struct {
	at atomic.Uint32 // word of some at which the last Grant found a slot
}

// NewLockFree returns a table for up to leases leases that keeps one word per lease and takes no
// lock, the catalog's "lockfree". Workers look for free slots in regions of their own first. The
// number of regions is 0 to 65536; 0 is one for each processor that Go may use.
func NewLockFree(leases, regions int) (Table, error) {
	if err := validate(leases, regions); err != nil {
		return nil, err
	}
	return makeLockFree(leases, parts(regions, processors(), 1), true), nil
}

func newLockFree(env Env, v catalog.Values) (Table, error) {
	return makeLockFree(env.Leases, parts(v.Int("regions"), env, 1), v.Int("pad") == 1), nil
}

func makeLockFree(leases, regions int, apart bool) *lockFree {
	blocks := (leases + blockWords - 1) / blockWords
	some := (blocks + 63) / 64
	t := &lockFree{
		n:       leases,
		words:   huge.Make[atomic.Uint64](blocks * blockWords),
		scan:    scans[len(scans)-1],
		bounds:  make([]atomic.Uint32, blocks),
		tops:    make([]atomic.Uint32, (blocks+groupBlocks-1)/groupBlocks),
		free:    make([]atomic.Uint64, blocks*mapWords),
		some:    make([]atomic.Uint64, some),
		regions: pad.Apart[region](min(regions, some), apart),
	}
	for b := range t.bounds {
		t.bounds[b].Store(noDeadline)
		setBit(t.some, uint32(b))
	}
	for g := range t.tops {
		t.tops[g].Store(noDeadline)
	}
	for i := range t.free {
		if left := leases - 64*i; left >= 64 {
			t.free[i].Store(^uint64(0))
		} else if left > 0 {
			t.free[i].Store(1<<left - 1)
		}
	}
	for i := range t.regions {
		t.regions[i].at.Store(uint32(i * some / len(t.regions)))
	}
	return t
}

func packWord(epoch, deadline uint32) uint64 { return uint64(epoch)<<32 | uint64(deadline) }

// lower makes a deadline in a block known to the sweeps.
func (t *lockFree) lower(block, deadline uint32) {
	atMost(&t.bounds[block], deadline)
	atMost(&t.tops[block>>groupShift], deadline)
}

// atMost is an atomic minimum.
func atMost(b *atomic.Uint32, deadline uint32) {
	for {
		old := b.Load()
		if old <= deadline || b.CompareAndSwap(old, deadline) {
			return
		}
	}
}

func (t *lockFree) Grant(now, deadline time.Duration, worker int) (ID, error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	slot, ok := t.take(t.regions[uint(worker)%uint(len(t.regions))])
	if !ok {
		return 0, ErrFull
	}
	epoch := nextEpoch(uint32(t.words[slot].Load() >> 32))
	t.words[slot].Store(packWord(epoch, d))
	t.lower(slot>>blockShift, d)
	return MakeID(slot, epoch), nil
}

// at is the word that id is about, nil where the table has no such slot.
func (t *lockFree) at(id ID) *atomic.Uint64 {
	if i := id.Slot(); uint64(i) < uint64(t.n) {
		return &t.words[i]
	}
	return nil
}

func (t *lockFree) Renew(id ID, now, deadline time.Duration) error {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return ErrDeadline
	}
	return staleUnless(t.renew(id, nowTick(now), d))
}

func (t *lockFree) renew(id ID, now, deadline uint32) bool {
	w := t.at(id)
	if w == nil {
		return false
	}
	for {
		old := w.Load()
		if uint32(old>>32) != id.Epoch() || uint32(old) <= now {
			return false
		}
		if uint32(old) >= deadline || w.CompareAndSwap(old, packWord(id.Epoch(), deadline)) {
			return true
		}
	}
}

// ahead is how many words RenewAll asks for before it renews the first of them: the misses
// that a core keeps in flight at once, or a few more.
const ahead = 64

func (t *lockFree) RenewAll(ids []ID, now, deadline time.Duration, renewed []bool) (n int, err error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	tick := nowTick(now)
	for len(ids) > 0 {
		k := min(ahead, len(ids))
		t.Prefetch(ids[:k])
		for i, id := range ids[:k] {
			ok := false
			if w := t.at(id); w != nil { // renew in place: most need no second look
				old := w.Load()
				if uint32(old>>32) == id.Epoch() && uint32(old) > tick {
					ok = uint32(old) < d && w.CompareAndSwap(old, packWord(id.Epoch(), d)) || t.renew(id, tick, d)
				}
			}
			if ok {
				n++
			}
			if renewed != nil {
				renewed[i] = ok
			}
		}
		if ids = ids[k:]; renewed != nil {
			renewed = renewed[k:]
		}
	}
	return n, nil
}

func (t *lockFree) Verify(id ID, now time.Duration) error {
	w := t.at(id)
	if w == nil {
		return ErrStale
	}
	old := w.Load()
	return staleUnless(uint32(old>>32) == id.Epoch() && uint32(old) > nowTick(now))
}

func (t *lockFree) Revoke(id ID) error {
	w := t.at(id)
	if w == nil {
		return ErrStale
	}
	for {
		old := w.Load()
		if uint32(old>>32) != id.Epoch() || uint32(old) == 0 {
			return ErrStale
		}
		if w.CompareAndSwap(old, packWord(id.Epoch(), 0)) {
			t.release(id.Slot())
			return nil
		}
	}
}

func (t *lockFree) Regrant(id ID, now, deadline time.Duration) (ID, error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	w := t.at(id)
	if w == nil {
		return 0, ErrStale
	}
	epoch := nextEpoch(id.Epoch())
	for {
		old := w.Load()
		if uint32(old>>32) != id.Epoch() || uint32(old) == 0 {
			return 0, ErrStale
		}
		if w.CompareAndSwap(old, packWord(epoch, d)) {
			t.lower(id.Slot()>>blockShift, d)
			return MakeID(id.Slot(), epoch), nil
		}
	}
}

// Prefetch asks for the words that a batch is about to use, for writing: their cache misses
// overlap, with each other and with what follows.
func (t *lockFree) Prefetch(ids []ID) { touch(t.words, ids) }

// rotorCalls is in how many calls of Expire the rotor comes by every block.
//
// A bound that renewals have left behind must be refreshed by reading its block, sooner
// or later; left to themselves all blocks of a table that was filled at once come due in
// one call. The rotor reads a few blocks a call before their bounds pass. It helps while
// its period is shorter than what a renewal adds to a lease (TTL less the interval): with
// a call every 10 ms it takes 6 s.
const rotorCalls = 600

func (t *lockFree) Expire(now time.Duration, lapsed func(ID)) int {
	n := nowTick(now)
	ended := 0
	blocks, call := uint64(len(t.bounds)), uint64(t.rotor.Inc())
	for b := (call - 1) * blocks / rotorCalls; b < call*blocks/rotorCalls; b++ {
		ended += t.sweep(uint32(b%blocks), n, lapsed)
	}
	for g := range t.tops {
		if t.tops[g].Load() <= n {
			ended += t.sweepGroup(g, n, lapsed)
		}
	}
	return ended
}

// sweepGroup sweeps those blocks of a group that have something due, and gives the group a
// new top.
func (t *lockFree) sweepGroup(group int, now uint32, lapsed func(ID)) (ended int) {
	t.tops[group].Store(noDeadline)
	least := uint32(noDeadline)
	for b := group << groupShift; b < min((group+1)<<groupShift, len(t.bounds)); b++ {
		bound := t.bounds[b].Load()
		if bound <= now {
			ended += t.sweep(uint32(b), now, lapsed)
			bound = t.bounds[b].Load()
		}
		least = min(least, bound)
	}
	if least != noDeadline {
		atMost(&t.tops[group], least)
	}
	return ended
}

// sweep ends what lapsed in one block and gives it a new bound.
func (t *lockFree) sweep(block, now uint32, lapsed func(ID)) int {
	t.bounds[block].Store(noDeadline)
	first := block << blockShift
	words := t.words[first : first+blockWords]
	// A due deadline is in 1..now, so one less is below now.
	bound, due := t.scan.do(words, now)
	if bound != noDeadline {
		bound++
	}
	ended := 0
	for g, mask := range due {
		freed := uint64(0)
		for m := mask; m != 0; m &= m - 1 {
			i := uint32(g*64 + bits.TrailingZeros64(m))
			old := words[i].Load()
			for uint32(old) != 0 && uint32(old) <= now {
				if words[i].CompareAndSwap(old, old&^uint64(noDeadline)) {
					lapsed(MakeID(first+i, uint32(old>>32)))
					freed |= m & -m
					old = 0
					break
				}
				old = words[i].Load()
			}
			if d := uint32(old); d != 0 { // renewed or granted anew meanwhile
				bound = min(bound, d)
			}
		}
		if freed != 0 { // 64 slots at a time, after all of them were told
			ended += bits.OnesCount64(freed)
			setBits(&t.free[block*mapWords+uint32(g)], freed)
		}
	}
	if ended > 0 {
		setBits(&t.some[block/64], 1<<(block%64))
	}
	if bound != noDeadline {
		t.lower(block, bound)
	}
	return ended
}

func (t *lockFree) Live() int {
	n := t.n
	for i := range t.free {
		n -= bits.OnesCount64(t.free[i].Load())
	}
	return n
}

func (t *lockFree) Bytes() int64 {
	return int64(unsafe.Sizeof(*t)) + 8*int64(len(t.words)+len(t.free)+len(t.some)) + 4*int64(len(t.bounds)+len(t.tops)) +
		int64(len(t.regions))*int64(unsafe.Sizeof(region{})+pad.Bytes)
}
