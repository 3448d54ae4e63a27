//go:build !amd64 || race || purego

package fleet

import "unsafe"

// prefetch loads records into the cache by reading them.
func prefetch(at []unsafe.Pointer) { load(at) }

// load is not inlined, so the compiler keeps the reads although their result is not used.
//
//go:noinline
func load(at []unsafe.Pointer) (x byte) {
	for _, p := range at {
		x |= *(*byte)(p)
	}
	return x
}
