package lease

import (
	"math/bits"

	"go.uber.org/atomic"
)

// The lock-free table's free slots: see lockFree for the order in which free and some are
// written.

// take finds a free slot and makes it the caller's.
func (t *lockFree) take(r *region) (uint32, bool) {
	start := int(r.at.Load())
	for i := range t.some {
		at := start + i
		if at >= len(t.some) {
			at -= len(t.some)
		}
		for {
			m := t.some[at].Load()
			if m == 0 {
				break
			}
			block := uint32(at*64 + bits.TrailingZeros64(m))
			if slot, ok := t.takeFrom(block); ok {
				if i > 0 {
					r.at.Store(uint32(at))
				}
				return slot, true
			}
			clearBit(t.some, block)
			for i := range t.freeOf(block) {
				if t.free[block*mapWords+uint32(i)].Load() != 0 {
					setBit(t.some, block)
					break
				}
			}
		}
	}
	for block := range uint32(len(t.bounds)) {
		if slot, ok := t.takeFrom(block); ok {
			return slot, true
		}
	}
	return 0, false
}

// freeOf is a block's part of the free map.
func (t *lockFree) freeOf(block uint32) []atomic.Uint64 {
	return t.free[block*mapWords : (block+1)*mapWords]
}

func (t *lockFree) takeFrom(block uint32) (uint32, bool) {
	m := t.freeOf(block)
	for i := range m {
		for {
			old := m[i].Load()
			if old == 0 {
				break
			}
			bit := uint32(bits.TrailingZeros64(old))
			if m[i].CompareAndSwap(old, old&^(1<<bit)) {
				return block<<blockShift | uint32(i)*64 | bit, true
			}
		}
	}
	return 0, false
}

// release gives back a slot whose deadline the caller has swapped to 0.
func (t *lockFree) release(slot uint32) {
	setBit(t.free, slot)
	setBit(t.some, slot>>blockShift)
}

func setBit(m []atomic.Uint64, i uint32) { setBits(&m[i/64], 1<<(i%64)) }

func setBits(w *atomic.Uint64, set uint64) {
	for {
		old := w.Load()
		if old&set == set || w.CompareAndSwap(old, old|set) {
			return
		}
	}
}

func clearBit(m []atomic.Uint64, i uint32) {
	w, bit := &m[i/64], uint64(1)<<(i%64)
	for {
		old := w.Load()
		if old&bit == 0 || w.CompareAndSwap(old, old&^bit) {
			return
		}
	}
}
