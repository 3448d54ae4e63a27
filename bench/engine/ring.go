package engine

import (
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// ringSize is the number of answers that a worker may be ahead of the generator: 16 ms of answers
// at 10^6 per second. A worker waits while its ring is full.
const ringSize = 1 << 14

// ring is a queue of answers from one worker to the generator (L. Lamport, Specifying Concurrent
// Program Modules, TOPLAS 5(2), 1983). Only the generator writes head, and only the worker writes
// tail. A slot belongs to the worker until the worker stores tail, then to the generator until the
// generator stores head.
type ring struct {
	slots [ringSize]dwfm.Answer
	_     [pad.Bytes]byte
	head  atomic.Uint64
	_     [pad.Bytes]byte // keeps head and tail on separate cache lines
	tail  atomic.Uint64
	next  uint64 // the worker's: where it puts the next answer; at or after tail
	seen  uint64 // the worker's copy of head, refreshed only when the ring looks full
	_     [pad.Bytes]byte
}

// put adds an answer that the generator sees after publish, and returns false if the ring is full.
func (r *ring) put(a *dwfm.Answer) bool {
	if r.next-r.seen == ringSize {
		if r.seen = r.head.Load(); r.next-r.seen == ringSize {
			return false
		}
	}
	r.slots[r.next%ringSize] = *a
	r.next++
	return true
}

// publish shows the generator all answers that were put. It is one locked instruction, so those
// of one instant share it.
func (r *ring) publish() {
	if r.next != r.tail.Load() {
		r.tail.Store(r.next)
	}
}

// pop moves answers to dst and returns their number.
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
