//go:build !amd64 || race || purego

package fleet

import "unsafe"

// prefetch brings records into the cache, by loads.
func prefetch(at []unsafe.Pointer) { load(at) }

// load is not inlined: the loads stay, though nobody wants what they find.
//
//go:noinline
func load(at []unsafe.Pointer) (x byte) {
	for _, p := range at {
		x |= *(*byte)(p)
	}
	return x
}
