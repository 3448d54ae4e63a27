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
	if bytes := inner(unsafe.Pointer(unsafe.SliceData(s)), uintptr(n)*unsafe.Sizeof(*new(T))); len(bytes) > 0 {
		advise(bytes)
	}
	return s
}

// inner is the part of n bytes at p that consists of whole, aligned huge pages.
func inner(p unsafe.Pointer, n uintptr) []byte {
	skip := -uintptr(p) & (page - 1)
	if n < skip+page {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(p, skip)), (n-skip)&^(page-1))
}
