//go:build !interleave

package queue

import (
	"runtime"
	"sync"

	"go.uber.org/atomic"
)

// Structures without a lock share these words between goroutines, and nothing else without a
// protocol. With the build tag interleave each access is a scheduling point, at which a test
// decides what goroutine goes on, so that it can walk all interleavings (interleave_test.go);
// TestInterleavings runs them. Without the tag the words are plain and the points nothing.
//
// Go's atomic operations are sequentially consistent: goroutines can differ in nothing but
// the order of these accesses.
type (
	word       = atomic.Uint64
	word32     = atomic.Uint32
	ref[T any] = atomic.Pointer[T]
	mutex      = sync.Mutex
)

// wordBits is how many bits of a word a bitmap uses: all.
const wordBits = 64

// point stands before plain reads and writes of what an atomic operation has just made ours.
func point() {}

// pause stands in a loop that waits for another goroutine.
func pause() { runtime.Gosched() }

// linger lets some time pass: half a microsecond.
func linger() {
	for range 2000 {
	}
}
