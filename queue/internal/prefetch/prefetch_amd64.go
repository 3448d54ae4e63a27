//go:build !race && !purego

package prefetch

import "unsafe"

//go:noescape
func lines(at unsafe.Pointer, n int)

// Write asks for the cache lines of n bytes, to write them soon.
func Write(at unsafe.Pointer, n int) { lines(at, (n+63)/64) }
