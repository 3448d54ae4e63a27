//go:build !race && !purego

package fleet

import "unsafe"

//go:noescape
func prefetchAll(at *unsafe.Pointer, n int)

// prefetch loads records into the cache.
func prefetch(at []unsafe.Pointer) {
	if len(at) > 0 {
		prefetchAll(&at[0], len(at))
	}
}
