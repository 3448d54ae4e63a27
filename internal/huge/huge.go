// Package huge allocates large arrays on huge pages, where the host has them for those who ask
// (Linux: transparent_hugepage is madvise or always). A run's arrays are written first in random
// order, a page fault at a time: with pages of 2 MiB there are 512 times fewer of them, and the
// reads that follow miss fewer page translations.
package huge

import "unsafe"

// page is the size of a huge page, in bytes.
const page = 2 << 20

// Make returns make([]T, n). T must not have pointers.
func Make[T any](n int) []T {
	s := make([]T, n)
	if bytes := uintptr(n) * unsafe.Sizeof(*new(T)); bytes >= page {
		advise(around(uintptr(unsafe.Pointer(unsafe.SliceData(s))), bytes))
	}
	return s
}

// around is the range of whole pages that n bytes at p touch. What else is in the first and the
// last of them gets a huge page, too: that is only where it lies.
func around(p, n uintptr) (from, bytes uintptr) {
	from = p &^ (page - 1)
	return from, (p + n - from + page - 1) &^ (page - 1)
}
