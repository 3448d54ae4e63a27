//go:build interleave

package queue

import (
	"sync"

	"go.uber.org/atomic"
)

// access is what a goroutine is about to do.
type access uint8

const (
	reads  access = iota // looks at a word
	writes               // changes a word, or tries to
	plain                // uses memory that the protocol has made its own
	waits                // can do nothing until another goroutine has written
)

// schedule is called at every scheduling point with the address of the word; nil: there are
// none.
var schedule func(word any, a access)

// wordBits is how many bits of a word a bitmap uses: so few that small batches touch two.
const wordBits = 2

// word is an atomic uint64.
type word struct{ v atomic.Uint64 }

func (w *word) Load() uint64 {
	if schedule != nil {
		schedule(w, reads)
	}
	return w.v.Load()
}

func (w *word) Store(x uint64) {
	if schedule != nil {
		schedule(w, writes)
	}
	w.v.Store(x)
}

func (w *word) Add(x uint64) uint64 {
	if schedule != nil {
		schedule(w, writes)
	}
	return w.v.Add(x)
}

func (w *word) CompareAndSwap(old, x uint64) bool {
	if schedule != nil {
		schedule(w, writes)
	}
	return w.v.CompareAndSwap(old, x)
}

// word32 is an atomic uint32.
type word32 struct{ v atomic.Uint32 }

func (w *word32) Load() uint32 {
	if schedule != nil {
		schedule(w, reads)
	}
	return w.v.Load()
}

func (w *word32) Store(x uint32) {
	if schedule != nil {
		schedule(w, writes)
	}
	w.v.Store(x)
}

func (w *word32) Add(x uint32) uint32 {
	if schedule != nil {
		schedule(w, writes)
	}
	return w.v.Add(x)
}

// ref is an atomic pointer.
type ref[T any] struct{ p atomic.Pointer[T] }

func (r *ref[T]) Load() *T {
	if schedule != nil {
		schedule(r, reads)
	}
	return r.p.Load()
}

func (r *ref[T]) Store(x *T) {
	if schedule != nil {
		schedule(r, writes)
	}
	r.p.Store(x)
}

func (r *ref[T]) Swap(x *T) *T {
	if schedule != nil {
		schedule(r, writes)
	}
	return r.p.Swap(x)
}

func (r *ref[T]) CompareAndSwap(old, x *T) bool {
	if schedule != nil {
		schedule(r, writes)
	}
	return r.p.CompareAndSwap(old, x)
}

// point stands before plain reads and writes of what an atomic operation has just made ours.
func point() {
	if schedule != nil {
		schedule(nil, plain)
	}
}

// pause stands in a loop that waits for another goroutine.
func pause() {
	if schedule != nil {
		schedule(nil, waits)
	}
}

// linger takes no time: a walk has none.
func linger() {}

// mutex is a lock that such a test can walk, too.
type mutex struct{ mu sync.Mutex }

func (m *mutex) Lock() {
	for schedule != nil {
		schedule(m, reads) // whoever unlocked it last has written
		if m.mu.TryLock() {
			return
		}
		pause()
	}
	m.mu.Lock()
}

func (m *mutex) Unlock() {
	if schedule != nil {
		schedule(m, writes)
	}
	m.mu.Unlock()
}
