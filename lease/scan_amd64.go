//go:build !race && !purego

package lease

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
	"go.uber.org/atomic"
)

//go:noescape
func scanAVX2(words *uint64, now uint32, due *uint64) uint32

//go:noescape
func scanAVX512(words *uint64, now uint32, due *uint64) uint32

// The buffer of each form is its own, not a caller's behind a function value: it would
// escape, once a block.
func vectorScans() []scan {
	var all []scan
	if cpuid.CPU.Supports(cpuid.AVX2) {
		all = append(all, scan{"avx2", func(words []atomic.Uint64, now uint32) (least uint32, due [mapWords]uint64) {
			least = scanAVX2(wordsOf(words), now, &due[0])
			return least, due
		}})
	}
	if cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ) {
		all = append(all, scan{"avx512", func(words []atomic.Uint64, now uint32) (least uint32, due [mapWords]uint64) {
			least = scanAVX512(wordsOf(words), now, &due[0])
			return least, due
		}})
	}
	return all
}

// wordsOf is the block's first word, once it is known that there are all.
func wordsOf(words []atomic.Uint64) *uint64 {
	_ = words[blockWords-1]
	return (*uint64)(unsafe.Pointer(&words[0]))
}
