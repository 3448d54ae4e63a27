package engine

import (
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// ringSize is the number of answers that a worker may be ahead of the generator: 16 ms
// of answers at 10^6 a second. A worker that finds the ring full waits.
const ringSize = 1 << 14

// ring carries answers from one worker to the generator (L. Lamport, Specifying
// Concurrent Program Modules, TOPLAS 5(2), 1983): head is written by the generator
// alone, tail by the worker alone. A slot is the worker's until it stores tail, then
// the generator's until it stores head.
type ring struct {
	slots [ringSize]dwfm.Answer
	_     [pad.Bytes]byte
	head  atomic.Uint64
	_     [pad.Bytes]byte // keeps the generator's head from the worker's tail
	tail  atomic.Uint64
	seen  uint64 // the worker's copy of head, read anew only when the ring looks full
	_     [pad.Bytes]byte
}

func (r *ring) push(a *dwfm.Answer) bool {
	t := r.tail.Load()
	if t-r.seen == ringSize {
		if r.seen = r.head.Load(); t-r.seen == ringSize {
			return false
		}
	}
	r.slots[t%ringSize] = *a
	r.tail.Store(t + 1)
	return true
}

// pop moves answers into dst and returns how many.
func (r *ring) pop(dst []dwfm.Answer) int {
	h := r.head.Load()
	n := min(int(r.tail.Load()-h), len(dst))
	for i := range n {
		dst[i] = r.slots[(h+uint64(i))%ringSize]
	}
	if n > 0 {
		r.head.Store(h + uint64(n))
	}
	return n
}
